//! One request's attempts in one pool: a value that is asked what to do next.

use super::breaker::Admission;
use super::outcome::{Cause, Failure, Outcome, Stop};
use super::pool::{Pool, PoolState};
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
    /// What the rendezvous selection goes by: [`select::affinity`] of the subject or the address.
    pub affinity: u64,
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
    current: Option<(usize, Admission)>,
    /// The endpoints that asked to be left alone, and until when.
    resting: Vec<(usize, Timestamp)>,
}

/// An endpoint that can be asked next.
struct Plan {
    endpoint: usize,
    admission: Admission,
    wait: Span,
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
            current: None,
            resting: Vec::new(),
        }
    }

    /// The first attempt.
    ///
    /// # Errors
    /// Where no endpoint can be asked.
    pub fn start(
        &mut self,
        state: &mut PoolState,
        rng: &mut fastrand::Rng,
        now: Timestamp,
    ) -> Result<Try, Failure> {
        state.budget.deposit(&self.pool.config.retry, now);
        self.go(state, rng, now).map_err(|stop| self.failure(Cause::NoEndpoint, stop))
    }

    /// What came of the attempt that was asked for last. Every attempt must be reported, an aborted one too: the
    /// counts of requests in flight and of probes depend on it.
    pub fn report(
        &mut self,
        state: &mut PoolState,
        outcome: &Outcome,
        rng: &mut fastrand::Rng,
        now: Timestamp,
    ) -> Next {
        let class = retry::classify(outcome, &self.pool.config.retry);
        if let Some((at, admission)) = self.current {
            state.end(self.pool, at, admission, (outcome, class), now);
            if let Some(rest) = outcome.retry_after {
                self.resting.retain(|(endpoint, _)| *endpoint != at);
                self.resting.push((at, now + rest));
            }
        }
        let stop = match class {
            Class::Success => return Next::Answer,
            Class::Aborted => Err(Stop::Aborted),
            Class::Failed { reached: false } => Ok(()),
            Class::Failed { reached: true } | Class::Declined if self.repeatable => Ok(()),
            Class::Failed { reached: true } | Class::Declined => Err(Stop::NotIdempotent),
        };
        match stop.and_then(|()| self.again(state, rng, now)) {
            Ok(next) => Next::Retry(next),
            Err(stop) => Next::GiveUp(self.failure(Cause::from(outcome.result), stop)),
        }
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
        let Plan { endpoint, admission, wait } = self.plan(state, rng, now)?;
        let left = self.deadline.since(now + wait);
        if left == Span::ZERO {
            return Err(Stop::DeadlineSpent);
        }
        if !self.is_free(state, endpoint, admission) && !state.budget.take() {
            return Err(Stop::BudgetSpent);
        }
        let timeout = left.min(self.pool.config.attempt_timeout);
        state.begin(endpoint, admission, now + wait + timeout + REPORT_GRACE, now);
        self.current = Some((endpoint, admission));
        self.tries += 1;
        self.tried.insert(endpoint);
        self.panicked |= admission == Admission::Panic;
        Ok(Try { endpoint, wait, timeout })
    }

    /// An endpoint that was not asked yet, at once; else one again, after a wait; else the least bad one.
    fn plan(&self, state: &mut PoolState, rng: &mut fastrand::Rng, now: Timestamp) -> Result<Plan, Stop> {
        let config = &self.pool.config;
        let admitted = self.admitted(state, now);
        let mut choose = |among: Set| select::choose(self.pool, state, among, self.ask.affinity, rng);
        if let Some(endpoint) = choose(admitted.without(self.tried)) {
            return Ok(Plan { endpoint, admission: admission(state, endpoint), wait: Span::ZERO });
        }
        let resting = Set::of(self.resting.iter().filter(|(_, until)| *until > now).map(|(at, _)| *at));
        if let Some(endpoint) = choose(admitted.without(resting)) {
            let wait = retry::backoff(&config.retry, self.tries.saturating_sub(1), rng);
            return Ok(Plan { endpoint, admission: admission(state, endpoint), wait });
        }
        let soonest =
            self.resting.iter().filter(|(at, _)| admitted.contains(*at)).min_by_key(|(_, until)| *until);
        if let Some((endpoint, until)) = soonest {
            let wait = until.since(now);
            if !self.ask.last_resort && wait > config.retry.backoff_cap {
                return Err(Stop::RetryAfter);
            }
            return Ok(Plan { endpoint: *endpoint, admission: admission(state, *endpoint), wait });
        }
        match select::least_bad(self.pool, state, self.tried) {
            Some(endpoint) if self.ask.last_resort && !self.panicked => {
                Ok(Plan { endpoint, admission: Admission::Panic, wait: Span::ZERO })
            }
            _ => Err(Stop::BreakerOpen),
        }
    }

    /// A request that cannot be sent again is a probe only where no breaker is closed, or nobody else was one for
    /// long: its failure would be one that the client sees.
    fn admitted(&self, state: &PoolState, now: Timestamp) -> Set {
        let can_hide = self.repeatable && self.ask.replayable;
        let patience = if can_hide { Span::ZERO } else { self.pool.config.breaker.ejection_max };
        let patient = state.admitted(self.pool, patience, now);
        if patient.is_empty() { state.admitted(self.pool, Span::ZERO, now) } else { patient }
    }

    /// Whether an attempt takes nothing from the retry budget: the first one, and one that leaves an ejected
    /// endpoint for a good one, since there it would have gone at first had one known.
    fn is_free(&self, state: &PoolState, endpoint: usize, admission: Admission) -> bool {
        self.current.is_none_or(|(last, _)| {
            last != endpoint && admission == Admission::Normal && !state.is_closed(last)
        })
    }

    fn failure(&self, cause: Cause, stop: Stop) -> Failure {
        let endpoint = self.current.map(|(at, _)| at);
        Failure { cause, stop, tries: self.tries, endpoint }
    }
}

/// An admitted endpoint's admission.
fn admission(state: &PoolState, endpoint: usize) -> Admission {
    if state.is_closed(endpoint) { Admission::Normal } else { Admission::Probe }
}
