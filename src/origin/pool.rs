//! A pool as it is used: what is fixed ([`Pool`]) and what one isolate has learned ([`PoolState`]).

use serde::Serialize;

use super::breaker::{Admission, Breaker, BreakerState};
use super::config::PoolConfig;
use super::outcome::Outcome;
use super::retry::{Class, RetryBudget};
use super::select::{self, Set};
use super::url::OriginUrl;
use crate::head::RequestHead;
use crate::time::{Span, Timestamp};

/// A pool with its endpoints, made once from a config.
#[derive(Debug, Clone)]
pub struct Pool {
    /// The name under `[origins]`.
    pub name: Box<str>,
    /// What the config says.
    pub config: PoolConfig,
    /// The endpoints; an index into them names one. At least one, at most [`super::config::ENDPOINTS_MAX`].
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a pool.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// What it is called in Proxy-Status, metrics and the log.
    pub name: Box<str>,
    /// Where it is.
    pub url: OriginUrl,
    /// 0 is asked first.
    pub priority: u32,
    /// Its share among those of its priority.
    pub weight: u32,
    /// Of its name, for rendezvous hashing.
    pub(super) hash: u64,
}

impl Endpoint {
    fn new(name: &str, url: &OriginUrl, priority: u32, weight: u32) -> Self {
        Self {
            name: name.into(),
            url: url.clone(),
            priority,
            weight,
            hash: select::affinity(name.as_bytes()),
        }
    }
}

impl Pool {
    /// From a checked config.
    pub fn new(name: &str, config: PoolConfig) -> Self {
        let single = config.url.iter().map(|url| Endpoint::new(url.authority(), url, 0, 1));
        let many = config.endpoints.iter().map(|e| Endpoint::new(e.label(), &e.url, e.priority, e.weight));
        Self { name: name.into(), endpoints: single.chain(many).collect(), config }
    }

    /// The endpoint at this index.
    pub fn endpoint(&self, at: usize) -> Option<&Endpoint> {
        self.endpoints.get(at)
    }

    /// How many endpoints may be ejected at once.
    fn ejected_max(&self) -> usize {
        let percent = self.config.breaker.ejected_percent_max as usize;
        (self.endpoints.len() * percent / 100).max(1)
    }

    /// Whether it is worth keeping this request's body so that it can be sent again: its length is known and
    /// within `replay_bytes_max`, and the method, or the route (`declared_safe`), lets it be sent twice.
    pub fn keeps_body(&self, request: &RequestHead, declared_safe: bool) -> bool {
        let length = request.fields.get("content-length").and_then(|text| text.trim().parse::<u64>().ok());
        (declared_safe || self.config.retry.repeats(&request.method))
            && length.is_some_and(|length| length <= self.config.replay_bytes_max.bytes())
    }
}

/// What one isolate has learned of a pool.
#[derive(Debug, Clone)]
pub struct PoolState {
    pub(super) endpoints: Vec<EndpointState>,
    pub(super) budget: RetryBudget,
}

/// What one isolate has learned of an endpoint.
#[derive(Debug, Clone, Default)]
pub(super) struct EndpointState {
    pub(super) breaker: Breaker,
    /// Of the time until the head of the response, exponentially weighted, in microseconds; 0 where unknown.
    pub(super) latency_us: u64,
    /// Attempts without an outcome yet.
    pub(super) in_flight: u32,
    /// How far ahead or behind its share the endpoint is (smooth weighted round robin).
    pub(super) turn: i64,
    tries: u64,
    failures: u64,
}

impl EndpointState {
    /// A quarter of the new, three of the old.
    fn learn(&mut self, latency: Span) {
        let new = latency.as_millis().saturating_mul(1000).max(1);
        let old = if self.latency_us == 0 { new } else { self.latency_us };
        self.latency_us = (old.saturating_mul(3).saturating_add(new)) / 4;
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
        Self { endpoints, budget: RetryBudget::new(&pool.config.retry, now) }
    }

    /// As what a request may go to this endpoint, where it may. See [`Breaker::admits`] for `patience`.
    pub(super) fn admits(&self, pool: &Pool, at: usize, patience: Span, now: Timestamp) -> Option<Admission> {
        self.endpoints.get(at)?.breaker.admits(&pool.config.breaker, patience, now)
    }

    /// The endpoints whose breakers are closed.
    pub(super) fn closed(&self) -> Set {
        Set::of((0..self.endpoints.len()).filter(|at| self.is_closed(*at)))
    }

    pub(super) fn is_closed(&self, at: usize) -> bool {
        self.endpoints.get(at).is_some_and(|state| state.breaker.is_closed())
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
            self.endpoints.iter().enumerate().filter(|(i, state)| *i != at && !state.breaker.is_closed());
        let may_eject = others_ejected.count() < pool.ejected_max();
        let Some(state) = self.endpoints.get_mut(at) else { return };
        state.in_flight = state.in_flight.saturating_sub(1);
        let breaker = &pool.config.breaker;
        match class {
            Class::Aborted => state.breaker.release(admission),
            Class::Success | Class::Declined => {
                state.breaker.record(breaker, admission, true, may_eject, now);
                state.learn(outcome.latency);
            }
            Class::Failed { .. } => {
                state.failures += 1;
                state.breaker.record(breaker, admission, false, may_eject, now);
                // What fails at once must not look fast.
                state.learn(outcome.latency.max(pool.config.attempt_timeout));
            }
        }
    }

    /// The state of every endpoint, in the pool's order.
    pub fn endpoints<'a>(
        &'a self,
        pool: &'a Pool,
        now: Timestamp,
    ) -> impl Iterator<Item = EndpointHealth<'a>> {
        pool.endpoints.iter().zip(&self.endpoints).map(move |(endpoint, state)| EndpointHealth {
            name: &endpoint.name,
            state: state.breaker.state(now),
            since: state.breaker.since(now),
            failures_in_a_row: state.breaker.failures_in_a_row(),
            ejections: state.breaker.ejections(),
            tries: state.tries,
            failures: state.failures,
            in_flight: state.in_flight,
            latency_ms: (state.latency_us > 0).then(|| state.latency_us.div_ceil(1000)),
        })
    }
}
