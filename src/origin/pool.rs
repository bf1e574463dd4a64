//! A pool as it is used: what is fixed ([`Pool`]) and what one isolate has learned ([`PoolState`]).

use serde::{Deserialize, Serialize};

use super::affinity::{self, Near};
use super::breaker::{Admission, Breaker, BreakerState};
use super::concurrency::{Concurrency, Gradient, QUEUED_MAX};
use super::config::{EndpointConfig, PoolConfig};
use super::outcome::{FetchError, Outcome};
use super::quantile::Samples;
use super::retry::{Class, RetryBudget};
use super::select::Set;
use super::split::{Seen, Split};
use super::upstream::Upstream;
use super::url::OriginUrl;
use crate::head::{Client, RequestHead};
use crate::time::{Span, Timestamp};

/// A pool with its endpoints, made once from a config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// The name under `[origins]`.
    pub name: Box<str>,
    /// What the config says.
    pub config: PoolConfig,
    /// The endpoints; an index into them names one. At least one, at most [`super::config::ENDPOINTS_MAX`].
    pub endpoints: Vec<Endpoint>,
    /// Which of them is written to, where the others are only read.
    pub split: Option<Split>,
    /// Of its name, for bookmarks.
    pub hash: u64,
}

/// One endpoint of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// What it is called in Proxy-Status, metrics and the log.
    pub name: Box<str>,
    /// Where it is.
    pub url: OriginUrl,
    /// 0 is asked first.
    pub priority: u32,
    /// Its share among those of its priority.
    pub weight: u32,
    /// The data centres of the platform whose requests it gets first.
    pub(super) colos: Vec<Box<str>>,
    /// The countries and continents whose requests it gets first.
    pub(super) regions: Vec<Box<str>>,
    /// Of its name, for rendezvous hashing.
    pub(super) hash: u64,
}

impl Endpoint {
    fn new(config: EndpointConfig) -> Self {
        let name = config.label();
        Self {
            hash: affinity::hash(name.as_bytes()),
            name: name.into(),
            url: config.url,
            priority: config.priority,
            weight: config.weight,
            colos: config.colos,
            regions: config.regions,
        }
    }
}

impl Pool {
    /// From a checked config.
    pub fn new(name: &str, mut config: PoolConfig) -> Self {
        if config.upstream_quota && !config.retry.statuses.contains(&429) {
            // It is for tidegate, not for its client.
            config.retry.statuses.push(429);
        }
        let single = config.url.iter().cloned().map(EndpointConfig::of);
        let named = single.chain(config.endpoints.iter().cloned());
        let mut endpoints: Vec<Endpoint> = named.chain(config.split_endpoints()).map(Endpoint::new).collect();
        let split = config.split.as_ref().and_then(|split| Split::new(split, &mut endpoints));
        Self { name: name.into(), endpoints, split, hash: affinity::hash(name.as_bytes()), config }
    }

    /// The endpoint at this index.
    pub fn endpoint(&self, at: usize) -> Option<&Endpoint> {
        self.endpoints.get(at)
    }

    /// Which endpoints are near to a client.
    pub fn near(&self, client: &Client) -> Near {
        let has_places = |endpoint: &Endpoint| !(endpoint.colos.is_empty() && endpoint.regions.is_empty());
        if !self.endpoints.iter().any(has_places) {
            return Near::default();
        }
        Near::of(self.endpoints.iter().map(|endpoint| (&*endpoint.colos, &*endpoint.regions)), client)
    }

    /// How many endpoints may be ejected at once.
    fn ejected_max(&self) -> usize {
        let percent = self.config.breaker.ejected_percent_max as usize;
        (self.endpoints.len() * percent / 100).max(1)
    }

    /// Whether it is worth keeping this request's body so that it can be sent again: as far as is known its length is
    /// within `replay_bytes_max`, and the method, or the route (`declared_safe`), lets it be sent twice.
    pub fn keeps_body(&self, request: &RequestHead, declared_safe: bool) -> bool {
        let length = request.fields.get("content-length").and_then(|text| text.trim().parse::<u64>().ok());
        (declared_safe || self.config.retry.repeats(&request.method))
            && length.is_none_or(|length| length <= self.config.replay_bytes_max.bytes())
    }
}

/// What one isolate has learned of a pool.
#[derive(Debug, Clone)]
pub struct PoolState {
    pub(super) endpoints: Vec<EndpointState>,
    pub(super) budget: RetryBudget,
    /// Of the attempts that had an answer.
    pub(super) samples: Samples,
    /// Requests that wait for a place.
    queued: u32,
    /// Until when what the fleet said of the endpoints holds.
    pub(super) told_until: Timestamp,
    /// What its origin said of its own quota.
    pub(super) upstream: Upstream,
    /// When its replicas were asked for their lag.
    pub(super) probed: Timestamp,
}

/// After so long without an attempt, what was seen of an endpoint counts half: one that was slow or failing once would
/// else never be asked again by a selection that goes by it.
const HALF_FORGOTTEN_AFTER: Span = Span::from_secs(10);
/// A whole, for the shares of attempts below.
const WHOLE: u32 = 1 << 16;

/// What one isolate has learned of an endpoint.
#[derive(Debug, Clone, Default)]
pub(super) struct EndpointState {
    pub(super) breaker: Breaker,
    /// Since when the fleet holds it for ill, where it does.
    pub(super) down: Option<Timestamp>,
    /// Of the time until the head of the response, exponentially weighted, in microseconds; 0 where unknown.
    latency_us: u64,
    /// The share of attempts without a response, of [`WHOLE`], exponentially weighted.
    unanswered: u32,
    /// The same of those that failed, with a response or without.
    failing: u32,
    /// When something of this was learned last.
    learned: Timestamp,
    /// How far it is behind its primary, where that is known.
    pub(super) lag: Option<Span>,
    /// What it said of that.
    pub(super) seen: Seen,
    /// When an attempt failed last.
    failed: Timestamp,
    gradient: Gradient,
    /// Attempts without an outcome yet.
    pub(super) in_flight: u32,
    /// How far ahead or behind its share the endpoint is (smooth weighted round robin).
    pub(super) turn: i64,
    tries: u64,
    failures: u64,
}

impl EndpointState {
    /// Of the latency, a quarter of the new and three of the old; of the shares, an eighth.
    pub(super) fn learn(&mut self, latency: Span, answered: bool, good: bool, now: Timestamp) {
        let new = latency.as_millis().saturating_mul(1000).max(1);
        let old = if self.latency_us == 0 { new } else { self.latency_us(now) };
        self.latency_us = (old.saturating_mul(3).saturating_add(new)) / 4;
        let mix = |old: u32, is: bool| old - old / 8 + if is { WHOLE / 8 } else { 0 };
        self.unanswered = mix(self.faded(self.unanswered, now), !answered);
        self.failing = mix(self.faded(self.failing, now), !good);
        self.learned = now;
    }

    /// What is left by now of what was learned.
    fn faded(&self, value: u32, now: Timestamp) -> u32 {
        value.checked_shr(self.halvings(now)).unwrap_or(0)
    }

    fn halvings(&self, now: Timestamp) -> u32 {
        let halvings = now.since(self.learned).as_millis() / HALF_FORGOTTEN_AFTER.as_millis();
        u32::try_from(halvings).unwrap_or(u32::MAX)
    }

    /// What a request may expect to wait, in microseconds; 0 where nothing is known, or all is forgotten.
    pub(super) fn latency_us(&self, now: Timestamp) -> u64 {
        self.latency_us.checked_shr(self.halvings(now)).unwrap_or(0)
    }

    /// The share of attempts that had a response: 0.0 to 1.0.
    pub(super) fn availability(&self, now: Timestamp) -> f64 {
        1.0 - f64::from(self.faded(self.unanswered, now)) / f64::from(WHOLE)
    }

    /// The share of attempts that did not fail.
    pub(super) fn success_rate(&self, now: Timestamp) -> f64 {
        1.0 - f64::from(self.faded(self.failing, now)) / f64::from(WHOLE)
    }

    /// Whether the fleet holds it for ill.
    pub(super) fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// Whether its last attempts failed, not long ago.
    fn is_shaky(&self, pool: &Pool, now: Timestamp) -> bool {
        self.breaker.failures_in_a_row() > 0 && now.since(self.failed) < pool.config.breaker.ejection
    }
}

/// What health output shows of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndpointHealth<'a> {
    /// Its name.
    pub name: &'a str,
    /// `closed`, `open` or `half-open`.
    pub state: BreakerState,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// Failures in a row.
    pub failures_in_a_row: u32,
    /// Ejections so far.
    pub ejections: u32,
    /// Attempts so far.
    pub tries: u64,
    /// How many of them failed.
    pub failures: u64,
    /// Attempts without an outcome yet.
    pub in_flight: u32,
    /// Weighted mean of the time until the head of the response, in milliseconds; `None` where unknown.
    pub latency_ms: Option<u64>,
}

impl PoolState {
    /// Nothing learned yet.
    pub fn new(pool: &Pool, now: Timestamp) -> Self {
        let endpoints = pool.endpoints.iter().map(|_| EndpointState::default()).collect();
        Self {
            endpoints,
            budget: RetryBudget::new(&pool.config.retry, now),
            samples: Samples::default(),
            queued: 0,
            told_until: now,
            upstream: Upstream::default(),
            probed: Timestamp::default(),
        }
    }

    /// As what a request may go to this endpoint, where it may. See [`Breaker::admits`] for `patience`.
    pub(super) fn admits(&self, pool: &Pool, at: usize, patience: Span, now: Timestamp) -> Option<Admission> {
        let state = self.endpoints.get(at).filter(|state| state.down.is_none())?;
        state.breaker.admits(&pool.config.breaker, patience, now)
    }

    /// The endpoints whose breakers are closed.
    pub(super) fn closed(&self) -> Set {
        Set::of((0..self.endpoints.len()).filter(|at| self.is_closed(*at)))
    }

    /// The endpoints whose last attempts did not fail.
    pub(super) fn sound(&self, pool: &Pool, now: Timestamp) -> Set {
        let states = self.endpoints.iter().enumerate();
        Set::of(states.filter(|(_, state)| !state.is_shaky(pool, now)).map(|(at, _)| at))
    }

    pub(super) fn is_closed(&self, at: usize) -> bool {
        self.endpoints.get(at).is_some_and(|state| state.down.is_none() && state.breaker.is_closed())
    }

    /// A request goes to this endpoint, and will have come to something before `expires`.
    pub(super) fn begin(&mut self, at: usize, admission: Admission, expires: Timestamp, now: Timestamp) {
        if let Some(state) = self.endpoints.get_mut(at) {
            state.breaker.admit(admission, expires, now);
            state.in_flight += 1;
            state.tries += 1;
        }
    }

    /// It came to something.
    pub(super) fn end(
        &mut self,
        pool: &Pool,
        at: usize,
        admission: Admission,
        (outcome, class): (&Outcome, Class),
        now: Timestamp,
    ) {
        let others_ejected =
            (0..self.endpoints.len()).filter(|other| *other != at && !self.is_closed(*other));
        let may_eject = others_ejected.count() < pool.ejected_max();
        let Some(state) = self.endpoints.get_mut(at) else { return };
        let in_flight = state.in_flight;
        state.in_flight = state.in_flight.saturating_sub(1);
        let breaker = &pool.config.breaker;
        match class {
            Class::Aborted => state.breaker.release(admission),
            Class::Success | Class::Declined => {
                state.breaker.record(breaker, admission, Ok(outcome.latency), may_eject, now);
                state.learn(outcome.latency, true, true, now);
                state.gradient.answered(outcome.latency, in_flight);
                self.samples.add(outcome.latency);
            }
            Class::Failed { .. } => {
                state.failures += 1;
                state.failed = now;
                state.gradient.failed();
                state.breaker.record(breaker, admission, Err(outcome.latency), may_eject, now);
                // What fails at once must not look fast.
                let latency = outcome.latency.max(pool.config.attempt_timeout);
                let answered = matches!(outcome.result, Ok(_) | Err(FetchError::Lied));
                state.learn(latency, answered, false, now);
            }
        }
    }

    /// An attempt had not been answered after so long, when another one was.
    pub(super) fn outrun(&mut self, pool: &Pool, at: usize, after: Span, now: Timestamp) {
        self.samples.add(after);
        let Some(state) = self.endpoints.get_mut(at) else { return };
        if after.as_millis().saturating_mul(1000) > state.latency_us(now) {
            state.learn(after, true, true, now);
        }
        if pool.config.breaker.latency.is_some_and(|bound| after > bound.over) && state.breaker.is_closed() {
            state.breaker.record(&pool.config.breaker, Admission::Normal, Ok(after), true, now);
        }
    }

    /// The endpoints that may have one more request.
    pub(super) fn roomy(&self, pool: &Pool) -> Set {
        let states = self.endpoints.iter().enumerate();
        let has_room = |state: &EndpointState| match pool.config.concurrency {
            None => true,
            Some(Concurrency::Fixed(count)) => state.in_flight < count,
            Some(Concurrency::Adaptive) => state.in_flight < state.gradient.limit(),
        };
        Set::of(states.filter(|(_, state)| has_room(state)).map(|(at, _)| at))
    }

    /// A request is to wait for a place; `false` where too many do.
    pub fn enqueue(&mut self) -> bool {
        let may = self.queued < QUEUED_MAX;
        self.queued += u32::from(may);
        may
    }

    /// It does not wait any more.
    pub fn dequeue(&mut self) {
        self.queued = self.queued.saturating_sub(1);
    }

    /// The state of every endpoint, in the pool's order.
    pub fn endpoints<'a>(
        &'a self,
        pool: &'a Pool,
        now: Timestamp,
    ) -> impl Iterator<Item = EndpointHealth<'a>> {
        pool.endpoints.iter().zip(&self.endpoints).map(move |(endpoint, state)| EndpointHealth {
            name: &endpoint.name,
            state: if state.down.is_some() { BreakerState::Open } else { state.breaker.state(now) },
            since: state.down.unwrap_or_else(|| state.breaker.since(now)),
            failures_in_a_row: state.breaker.failures_in_a_row(),
            ejections: state.breaker.ejections(),
            tries: state.tries,
            failures: state.failures,
            in_flight: state.in_flight,
            latency_ms: (state.latency_us > 0).then(|| state.latency_us.div_ceil(1000)),
        })
    }
}
