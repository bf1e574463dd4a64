//! One request's attempts in one pool: a value that is asked what to do next.

use super::affinity::Wish;
use super::breaker::Admission;
use super::outcome::{Cause, Failure, FetchError, Outcome, Stop};
use super::pool::{Pool, PoolState};
use super::quantile::Hedge;
use super::retry::{self, Class};
use super::select::{self, Set};
use crate::head::Method;
use crate::time::{Span, Timestamp};

/// How much later than its time-out an attempt may be reported.
const REPORT_GRACE: Span = Span::from_secs(1);

/// What the attempts need to know of a request besides its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The route says that this request may be sent twice, whatever its method.
    pub declared_safe: bool,
    /// The body can be sent again: there is none, or it was kept (see [`Pool::keeps_body`]).
    pub replayable: bool,
    /// There is nothing better behind this pool: no stale response, no static fallback, no other pool. Then,
    /// where every endpoint is ejected, the least bad one is tried all the same, once ("panic mode"), and a
    /// Retry-After is waited for, however long it is within the total time-out.
    pub last_resort: bool,
    /// The route allows panic mode.
    pub may_panic: bool,
    /// What the selection goes by.
    pub wish: Wish,
}

/// Send the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// To this endpoint, an index into the pool's.
    pub endpoint: usize,
    /// After this wait.
    pub wait: Span,
    /// With this time for the head of the response to come, from when it is sent.
    pub timeout: Span,
    pub(super) admission: Admission,
}

/// What to do after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Hand on the response.
    Answer,
    /// Drop what came, and send the request again.
    Retry(Try),
    /// This pool cannot do better. A response that came (`Cause::Status`) is still good to be handed on.
    GiveUp(Failure),
}

/// One request's attempts in one pool.
#[derive(Debug, Clone)]
pub struct Attempts<'p> {
    pool: &'p Pool,
    ask: Ask,
    /// The request may be sent twice, as far as its method goes.
    repeatable: bool,
    deadline: Timestamp,
    tries: u32,
    tried: Set,
    panicked: bool,
    is_counted: bool,
    last: Option<usize>,
    /// The endpoints that asked to be left alone, and until when.
    resting: Vec<(usize, Timestamp)>,
}

/// An endpoint that can be asked next.
struct Plan {
    endpoint: usize,
    admission: Admission,
    wait: Span,
}

impl Plan {
    fn now(endpoint: usize, admission: Admission) -> Self {
        Self { endpoint, admission, wait: Span::ZERO }
    }
}

impl<'p> Attempts<'p> {
    /// Before the first attempt. The total time-out runs from `now`.
    pub fn new(pool: &'p Pool, method: &Method, ask: Ask, now: Timestamp) -> Self {
        Self {
            pool,
            ask,
            repeatable: ask.declared_safe || pool.config.retry.repeats(method),
            deadline: now + pool.config.total_timeout,
            tries: 0,
            tried: Set::default(),
            panicked: false,
            is_counted: false,
            last: None,
            resting: Vec::new(),
        }
    }

    /// The first attempt. It can be asked for again where all endpoints are busy ([`Stop::Full`]).
    ///
    /// # Errors
    /// Where no endpoint can be asked.
    pub fn start(
        &mut self,
        state: &mut PoolState,
        rng: &mut fastrand::Rng,
        now: Timestamp,
    ) -> Result<Try, Failure> {
        state.forget_hearsay(now);
        if !std::mem::replace(&mut self.is_counted, true) {
            state.budget.deposit(&self.pool.config.retry, now);
        }
        self.go(state, rng, now).map_err(|stop| self.failure(Cause::NoEndpoint, stop))
    }

    /// What came of an attempt, beside which none is under way. Every attempt must be reported or noted, an aborted one
    /// too: the counts of requests in flight and of probes depend on it.
    pub fn report(
        &mut self,
        state: &mut PoolState,
        of: Try,
        outcome: &Outcome,
        rng: &mut fastrand::Rng,
        now: Timestamp,
    ) -> Next {
        let retry = &self.pool.config.retry;
        let stop = match self.settle(state, of, outcome, now) {
            Class::Success => return Next::Answer,
            Class::Aborted if outcome.result == Err(FetchError::OverCap) => Err(Stop::OverCap),
            Class::Aborted => Err(Stop::Aborted),
            Class::Failed { reached: true } | Class::Declined if !self.repeatable => Err(Stop::NotIdempotent),
            Class::Failed { .. } if !retry.is_retried(outcome.result) => Err(Stop::NotRetried),
            Class::Failed { .. } | Class::Declined => Ok(()),
        };
        match stop.and_then(|()| self.again(state, rng, now)) {
            Ok(next) => Next::Retry(next),
            Err(stop) => Next::GiveUp(self.failure(Cause::from(outcome.result), stop)),
        }
    }

    /// Whether an attempt that came to this is one whose response is handed on.
    pub fn is_answer(&self, outcome: &Outcome) -> bool {
        retry::classify(outcome, &self.pool.config.retry) == Class::Success
    }

    /// What came of an attempt that is no answer, beside which another one is under way.
    pub fn note(&mut self, state: &mut PoolState, of: Try, outcome: &Outcome, now: Timestamp) {
        self.settle(state, of, outcome, now);
    }

    /// An attempt was let go after so long, since another one answered first.
    pub fn lose(&mut self, state: &mut PoolState, of: Try, after: Span, now: Timestamp) {
        self.settle(state, of, &Outcome::failed(FetchError::Aborted, after), now);
        state.outrun(self.pool, of.endpoint, after, now);
    }

    fn settle(&mut self, state: &mut PoolState, of: Try, outcome: &Outcome, now: Timestamp) -> Class {
        let class = retry::classify(outcome, &self.pool.config.retry);
        state.end(self.pool, of.endpoint, of.admission, (outcome, class), now);
        if let Some(rest) = outcome.retry_after {
            self.resting.retain(|(endpoint, _)| *endpoint != of.endpoint);
            self.resting.push((of.endpoint, now + rest));
        }
        class
    }

    /// After what time without an answer a second attempt may be sent beside the first.
    pub fn hedge_after(&self, state: &PoolState, hedge: Hedge) -> Option<Span> {
        if !(self.repeatable && self.ask.replayable) || self.tries >= self.pool.config.attempts_max {
            return None;
        }
        match hedge {
            Hedge::Fixed(span) => Some(span),
            Hedge::After(quantile) => state.samples.at(quantile),
        }
    }

    /// A second attempt beside the first, at another endpoint where there is one. The budget pays for it.
    pub fn hedge(&mut self, state: &mut PoolState, rng: &mut fastrand::Rng, now: Timestamp) -> Option<Try> {
        let left = self.deadline.since(now);
        let good = state.closed().without(self.ask.wish.barred).and(state.roomy(self.pool));
        let others = good.without(self.tried);
        let among = if others.is_empty() { good } else { others };
        let endpoint = select::choose(self.pool, state, among, self.ask.wish, rng, now)?;
        (left > Span::ZERO && state.budget.take())
            .then(|| self.begin(state, &Plan::now(endpoint, Admission::Normal), left, now))
    }

    fn again(&mut self, state: &mut PoolState, rng: &mut fastrand::Rng, now: Timestamp) -> Result<Try, Stop> {
        if !self.ask.replayable {
            return Err(Stop::BodyGone);
        }
        if self.tries >= self.pool.config.attempts_max {
            return Err(Stop::AttemptsSpent);
        }
        self.go(state, rng, now)
    }

    /// Plans the next attempt and takes what it needs from the pool.
    fn go(&mut self, state: &mut PoolState, rng: &mut fastrand::Rng, now: Timestamp) -> Result<Try, Stop> {
        let plan = self.plan(state, rng, now)?;
        let left = self.deadline.since(now + plan.wait);
        if left == Span::ZERO {
            return Err(Stop::DeadlineSpent);
        }
        if !self.is_free(state, &plan, now) && !state.budget.take() {
            return Err(Stop::BudgetSpent);
        }
        Ok(self.begin(state, &plan, left, now))
    }

    fn begin(&mut self, state: &mut PoolState, plan: &Plan, left: Span, now: Timestamp) -> Try {
        let &Plan { endpoint, admission, wait } = plan;
        let timeout = left.min(self.pool.config.attempt_timeout);
        state.begin(endpoint, admission, now + wait + timeout + REPORT_GRACE, now);
        self.last = Some(endpoint);
        self.tries += 1;
        self.tried.insert(endpoint);
        self.panicked |= admission == Admission::Panic;
        Try { endpoint, wait, timeout, admission }
    }

    /// An endpoint that was not asked yet, at once; else a good one again, after a wait; else the least bad one.
    fn plan(&self, state: &mut PoolState, rng: &mut fastrand::Rng, now: Timestamp) -> Result<Plan, Stop> {
        let retry = &self.pool.config.retry;
        let (closed, roomy) = (state.closed().without(self.ask.wish.barred), state.roomy(self.pool));
        let fresh = self.fresh(state, now).and(roomy);
        let chosen = select::choose(self.pool, state, fresh, self.ask.wish, rng, now);
        let admitted = chosen.and_then(|at| Some((at, state.admits(self.pool, at, Span::ZERO, now)?)));
        if let Some((endpoint, admission)) = admitted {
            return Ok(Plan::now(endpoint, admission));
        }
        let again = |endpoint, wait| Plan { endpoint, admission: Admission::Normal, wait };
        let resting = Set::of(self.resting.iter().filter(|(_, until)| *until > now).map(|(at, _)| *at));
        let awake = closed.and(roomy).without(resting);
        if let Some(endpoint) = select::choose(self.pool, state, awake, self.ask.wish, rng, now) {
            return Ok(again(endpoint, retry::backoff(retry, self.tries.saturating_sub(1), rng)));
        }
        let rested = self.resting.iter().filter(|(at, _)| closed.and(roomy).contains(*at));
        if let Some((endpoint, until)) = rested.min_by_key(|(_, until)| *until) {
            let wait = until.since(now);
            let is_short = wait <= retry.backoff_cap || self.ask.last_resort;
            return if is_short { Ok(again(*endpoint, wait)) } else { Err(Stop::RetryAfter) };
        }
        if !closed.is_empty() {
            return Err(Stop::Full);
        }
        match select::least_bad(self.pool, state, self.ask.wish.barred, self.tried) {
            Some(endpoint) if self.ask.last_resort && self.ask.may_panic && !self.panicked => {
                Ok(Plan::now(endpoint, Admission::Panic))
            }
            _ => Err(Stop::BreakerOpen),
        }
    }

    /// The endpoints that can be asked and were not yet. A request that cannot be sent again is a probe only where
    /// no breaker is closed, or nobody else was one for long, and goes to an endpoint whose last attempt failed only
    /// where there is no other: its failure would be one that the client sees.
    fn fresh(&self, state: &PoolState, now: Timestamp) -> Set {
        let can_hide = self.repeatable && self.ask.replayable;
        let barred = self.ask.wish.barred;
        let is_alone = state.closed().without(barred).is_empty();
        let patience = if can_hide || is_alone { Span::ZERO } else { self.pool.config.breaker.ejection_max };
        let all = 0..self.pool.endpoints.len();
        let admitted = Set::of(all.filter(|at| state.admits(self.pool, *at, patience, now).is_some()))
            .without(self.tried)
            .without(barred);
        let sound = if can_hide { admitted } else { admitted.and(state.sound(self.pool, now)) };
        if sound.is_empty() { admitted } else { sound }
    }

    /// Whether an attempt takes nothing from the retry budget: the first one; the first one at an endpoint whose last
    /// attempt did not fail, since what bounds retries is for when there is none; and one that leaves an ejected
    /// endpoint for a good one, since there it would have gone at first had one known.
    fn is_free(&self, state: &PoolState, plan: &Plan, now: Timestamp) -> bool {
        self.last.is_none_or(|last| {
            let is_new =
                || !self.tried.contains(plan.endpoint) && state.sound(self.pool, now).contains(plan.endpoint);
            last != plan.endpoint
                && plan.admission == Admission::Normal
                && (!state.is_closed(last) || is_new())
        })
    }

    /// They end here.
    pub fn failure(&self, cause: Cause, stop: Stop) -> Failure {
        Failure { cause, stop, tries: self.tries, endpoint: self.last }
    }
}

#[cfg(test)]
mod tests;
