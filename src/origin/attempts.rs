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

    /// An endpoint that was not asked yet, at once; else a good one again, after a wait; else the least bad one.
    fn plan(&self, state: &mut PoolState, rng: &mut fastrand::Rng, now: Timestamp) -> Result<Plan, Stop> {
        let retry = &self.pool.config.retry;
        let fresh = self.fresh(state, now);
        let chosen = select::choose(self.pool, state, fresh, self.ask.affinity, rng);
        let admitted = chosen.and_then(|at| Some((at, state.admits(self.pool, at, Span::ZERO, now)?)));
        if let Some((endpoint, admission)) = admitted {
            return Ok(Plan { endpoint, admission, wait: Span::ZERO });
        }
        let again = |endpoint, wait| Plan { endpoint, admission: Admission::Normal, wait };
        let closed = state.closed();
        let resting = Set::of(self.resting.iter().filter(|(_, until)| *until > now).map(|(at, _)| *at));
        let awake = closed.without(resting);
        if let Some(endpoint) = select::choose(self.pool, state, awake, self.ask.affinity, rng) {
            return Ok(again(endpoint, retry::backoff(retry, self.tries.saturating_sub(1), rng)));
        }
        let soonest =
            self.resting.iter().filter(|(at, _)| closed.contains(*at)).min_by_key(|(_, until)| *until);
        if let Some((endpoint, until)) = soonest {
            let wait = until.since(now);
            let is_short = wait <= retry.backoff_cap || self.ask.last_resort;
            return if is_short { Ok(again(*endpoint, wait)) } else { Err(Stop::RetryAfter) };
        }
        match select::least_bad(self.pool, state, self.tried) {
            Some(endpoint) if self.ask.last_resort && !self.panicked => {
                Ok(Plan { endpoint, admission: Admission::Panic, wait: Span::ZERO })
            }
            _ => Err(Stop::BreakerOpen),
        }
    }

    /// The endpoints that can be asked and were not yet. A request that cannot be sent again is a probe only where
    /// no breaker is closed, or nobody else was one for long: its failure would be one that the client sees.
    fn fresh(&self, state: &PoolState, now: Timestamp) -> Set {
        let can_hide = self.repeatable && self.ask.replayable;
        let is_alone = state.closed().is_empty();
        let patience = if can_hide || is_alone { Span::ZERO } else { self.pool.config.breaker.ejection_max };
        let all = 0..self.pool.endpoints.len();
        Set::of(all.filter(|at| state.admits(self.pool, *at, patience, now).is_some())).without(self.tried)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::config::PoolConfig;
    use crate::origin::outcome::FetchError;
    use serde_json::json;

    const ASK: Ask = Ask { declared_safe: false, replayable: true, last_resort: true, affinity: 0 };

    struct Bench {
        pool: Pool,
        state: PoolState,
        rng: fastrand::Rng,
        now: Timestamp,
    }

    /// A pool of `a` (asked first) and `b`, with some settings changed.
    fn bench(changes: serde_json::Value) -> Bench {
        let mut config = json!({"endpoints": [
            {"name": "a", "url": "http://a"}, {"name": "b", "url": "http://b", "priority": 1}]});
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let pool = Pool::new("p", serde_json::from_value::<PoolConfig>(config).unwrap());
        let now = Timestamp::from_secs(1_000_000);
        Bench { state: PoolState::new(&pool, now), pool, rng: fastrand::Rng::with_seed(3), now }
    }

    impl Bench {
        /// Sends one request whose attempts come to `results`, in this order, each at once. Tells which endpoints
        /// were asked, and what came of it.
        fn send(
            &mut self,
            method: Method,
            ask: Ask,
            results: &[(Result<u16, FetchError>, Option<u64>)],
        ) -> (Vec<(usize, Span)>, Result<(), Failure>) {
            let Self { pool, state, rng, now } = self;
            let mut attempts = Attempts::new(pool, &method, ask, *now);
            let mut asked = Vec::new();
            let mut next = match attempts.start(state, rng, *now) {
                Ok(first) => first,
                Err(failure) => return (asked, Err(failure)),
            };
            for (result, retry_after) in results {
                asked.push((next.endpoint, next.wait));
                *now = *now + next.wait;
                let retry_after = retry_after.map(Span::from_secs);
                let outcome = Outcome { result: *result, latency: Span::from_millis(5), retry_after };
                match attempts.report(state, &outcome, rng, *now) {
                    Next::Answer => return (asked, Ok(())),
                    Next::GiveUp(failure) => return (asked, Err(failure)),
                    Next::Retry(retry) => next = retry,
                }
            }
            panic!("more attempts than results: {asked:?}");
        }

        fn eject(&mut self, endpoint: usize) {
            for _ in 0..5 {
                let outcome = Outcome::failed(FetchError::Connect, Span::ZERO);
                let class = Class::Failed { reached: false };
                self.state.end(&self.pool, endpoint, Admission::Normal, (&outcome, class), self.now);
            }
            assert!(!self.state.is_closed(endpoint));
        }
    }

    const DOWN: (Result<u16, FetchError>, Option<u64>) = (Err(FetchError::Connect), None);
    const SLOW: (Result<u16, FetchError>, Option<u64>) = (Err(FetchError::Timeout), None);
    const BUSY: (Result<u16, FetchError>, Option<u64>) = (Ok(503), None);
    const GOOD: (Result<u16, FetchError>, Option<u64>) = (Ok(200), None);

    fn endpoints(asked: &[(usize, Span)]) -> Vec<usize> {
        asked.iter().map(|(endpoint, _)| *endpoint).collect()
    }

    #[test]
    fn a_failure_moves_to_another_endpoint_at_once_and_comes_back_after_a_wait() {
        let mut bench = bench(json!({}));
        let (asked, result) = bench.send(Method::Get, ASK, &[SLOW, BUSY, GOOD]);
        assert_eq!((endpoints(&asked), result), (vec![0, 1, 0], Ok(())));
        assert_eq!(asked[1].1, Span::ZERO);
        assert!(asked[2].1 <= Span::from_millis(100));
    }

    #[test]
    fn attempts_end_at_their_number_and_the_last_response_is_kept() {
        let mut bench = bench(json!({}));
        let (asked, result) = bench.send(Method::Get, ASK, &[DOWN, SLOW, BUSY]);
        let failure = result.unwrap_err();
        assert_eq!((asked.len(), failure.stop, failure.status()), (3, Stop::AttemptsSpent, 503));
        assert_eq!(
            failure.proxy_status("tidegate", &bench.pool).to_string(),
            "tidegate; received-status=503; next-hop=a; details=\"3 tries, attempts spent\""
        );
    }

    #[test]
    fn what_may_have_arrived_is_sent_twice_only_where_that_does_no_harm() {
        let safe = Ask { declared_safe: true, ..ASK };
        let gone = Ask { replayable: false, ..ASK };
        for (method, ask, first, stop) in [
            (Method::Post, ASK, SLOW, Some(Stop::NotIdempotent)),
            (Method::Post, ASK, BUSY, Some(Stop::NotIdempotent)),
            (Method::Post, ASK, DOWN, None),
            (Method::Post, safe, SLOW, None),
            (Method::Patch, ASK, SLOW, Some(Stop::NotIdempotent)),
            (Method::Put, ASK, SLOW, None),
            (Method::Put, gone, SLOW, Some(Stop::BodyGone)),
            (Method::Post, gone, DOWN, Some(Stop::BodyGone)),
            (Method::Get, ASK, (Err(FetchError::Aborted), None), Some(Stop::Aborted)),
        ] {
            let (asked, result) = bench(json!({})).send(method.clone(), ask, &[first, GOOD]);
            assert_eq!(result.err().map(|failure| failure.stop), stop, "{method} {first:?}");
            assert_eq!(asked.len(), if stop.is_some() { 1 } else { 2 });
            assert!(result.is_ok() || !result.unwrap_err().may_fall_back());
        }
    }

    #[test]
    fn a_retry_after_is_waited_for_where_it_fits_and_nothing_better_is_there() {
        let single = || bench(json!({"endpoints": [{"url": "http://a"}]}));
        let (asked, _) = single().send(Method::Get, ASK, &[(Ok(503), Some(7)), GOOD]);
        assert_eq!(asked[1].1, Span::from_secs(7));
        let (_, result) = single().send(Method::Get, ASK, &[(Ok(503), Some(30))]);
        assert_eq!(result.unwrap_err().stop, Stop::DeadlineSpent);
        let patient = Ask { last_resort: false, ..ASK };
        let (_, result) = single().send(Method::Get, patient, &[(Ok(503), Some(7))]);
        assert_eq!(result.unwrap_err().stop, Stop::RetryAfter);
        let (asked, _) = bench(json!({})).send(Method::Get, ASK, &[(Ok(503), Some(7)), DOWN, GOOD]);
        assert_eq!(endpoints(&asked), [0, 1, 1], "the one that rests is left alone");
    }

    #[test]
    fn an_ejected_endpoint_is_left_alone_and_probed_by_who_can_be_sent_again() {
        let mut bench = bench(json!({}));
        bench.eject(0);
        assert_eq!(endpoints(&bench.send(Method::Get, ASK, &[GOOD]).0), [1]);
        bench.now = bench.now + Span::from_secs(10);
        assert_eq!(endpoints(&bench.send(Method::Post, ASK, &[GOOD]).0), [1]);
        assert_eq!(endpoints(&bench.send(Method::Get, ASK, &[DOWN, GOOD]).0), [0, 1]);
        bench.now = bench.now + Span::from_secs(20);
        assert_eq!(endpoints(&bench.send(Method::Get, ASK, &[GOOD]).0), [0]);
        assert_eq!(endpoints(&bench.send(Method::Post, ASK, &[GOOD]).0), [0]);
    }

    #[test]
    fn when_all_are_ejected_the_least_bad_is_tried_once_unless_something_better_is_there() {
        let mut bench = bench(json!({}));
        bench.eject(1);
        bench.eject(0);
        let (asked, result) = bench.send(Method::Get, Ask { last_resort: false, ..ASK }, &[]);
        let failure = result.unwrap_err();
        assert!(asked.is_empty() && failure.may_fall_back());
        assert_eq!(
            (failure.status(), failure.proxy_status("tidegate", &bench.pool).to_string().as_str()),
            (503, "tidegate; error=destination_unavailable; details=\"breaker open\"")
        );
        let (asked, result) = bench.send(Method::Get, ASK, &[DOWN]);
        assert_eq!((endpoints(&asked), result.unwrap_err().stop), (vec![0], Stop::BreakerOpen));
        assert_eq!(bench.send(Method::Get, ASK, &[GOOD]).1, Ok(()));
        assert!(bench.state.is_closed(1) != bench.state.is_closed(0), "the one that answered is back");
    }

    #[test]
    fn the_budget_holds_back_retries_but_not_the_way_out_of_an_ejected_endpoint() {
        let mut bench = bench(json!({
            "attempts_max": 2, "breaker": {"failures": 20, "failure_ratio": 0.0},
            "retry": {"budget_percent": 0, "budget_min_per_second": 3}}));
        let mut stops = Vec::new();
        for _ in 0..20 {
            stops.push(bench.send(Method::Get, ASK, &[SLOW, GOOD]).1.err().map(|failure| failure.stop));
        }
        let spent = stops.iter().filter(|stop| **stop == Some(Stop::BudgetSpent)).count();
        assert_eq!((spent, stops[19]), (16, None), "3 by budget, and the last since `a` was ejected by it");
    }
}
