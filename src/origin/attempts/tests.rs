use super::*;
use crate::origin::affinity::Near;
use crate::origin::config::PoolConfig;
use crate::origin::outcome::FetchError;
use serde_json::json;

const ASK: Ask = Ask {
    declared_safe: false,
    replayable: true,
    last_resort: true,
    may_panic: true,
    wish: Wish { affinity: 0, near: Near::NONE, barred: Set::EMPTY },
};

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
            match attempts.report(state, next, &outcome, rng, *now) {
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
        stops.push(bench.send(Method::Get, ASK, &[SLOW, SLOW]).1.err().map(|failure| failure.stop));
    }
    let spent = stops.iter().filter(|stop| **stop == Some(Stop::BudgetSpent)).count();
    let last = stops[19];
    assert_eq!(spent, 15, "the first found `b` well, 3 by budget, and the last since `a` was ejected by it");
    assert_eq!(last, Some(Stop::AttemptsSpent));
}

#[test]
fn the_budget_does_not_hold_back_from_an_endpoint_that_is_well() {
    let mut bench = bench(json!({
        "breaker": {"failures": 0, "failure_ratio": 0.0},
        "retry": {"budget_percent": 0, "budget_min_per_second": 0}}));
    for _ in 0..1000 {
        assert_eq!(bench.send(Method::Get, ASK, &[BUSY, GOOD]).1, Ok(()));
    }
    let stop = |bench: &mut Bench, results| bench.send(Method::Get, ASK, results).1.unwrap_err().stop;
    assert_eq!(stop(&mut bench, &[BUSY, BUSY]), Stop::BudgetSpent, "none is asked again");
    assert_eq!(stop(&mut bench, &[BUSY]), Stop::BudgetSpent, "the other one failed, too");
}

#[test]
fn a_route_may_refuse_where_all_are_ejected() {
    let mut bench = bench(json!({}));
    bench.eject(1);
    bench.eject(0);
    let (asked, result) = bench.send(Method::Get, Ask { may_panic: false, ..ASK }, &[]);
    assert!(asked.is_empty());
    assert_eq!((result.unwrap_err().stop, result.unwrap_err().status()), (Stop::BreakerOpen, 503));
}

#[test]
fn a_request_whose_failure_would_show_goes_where_the_last_one_did_not_fail() {
    let mut bench = bench(json!({}));
    assert_eq!(endpoints(&bench.send(Method::Get, ASK, &[DOWN, GOOD]).0), [0, 1]);
    assert_eq!(endpoints(&bench.send(Method::Post, ASK, &[GOOD]).0), [1]);
    assert_eq!(endpoints(&bench.send(Method::Get, ASK, &[GOOD]).0), [0], "who can be sent again finds out");
    assert_eq!(endpoints(&bench.send(Method::Post, ASK, &[GOOD]).0), [0]);
    assert!(bench.send(Method::Get, ASK, &[DOWN, GOOD]).1.is_ok());
    bench.now = bench.now + Span::from_secs(10);
    assert_eq!(endpoints(&bench.send(Method::Post, ASK, &[GOOD]).0), [0], "that was long ago");
}

#[test]
fn only_the_failures_that_are_named_are_tried_again() {
    const LOST: (Result<u16, FetchError>, Option<u64>) = (Err(FetchError::ConnectionLost), None);
    for (on, failure, stop) in [
        (json!(["timeout"]), SLOW, None),
        (json!(["timeout"]), LOST, Some(Stop::NotRetried)),
        (json!(["timeout"]), DOWN, Some(Stop::NotRetried)),
        (json!(["connection"]), SLOW, Some(Stop::NotRetried)),
        (json!(["connection"]), LOST, None),
        (json!([]), BUSY, None),
    ] {
        let mut bench = bench(json!({"retry": {"on": on}}));
        let (_, result) = bench.send(Method::Get, ASK, &[failure, GOOD]);
        assert_eq!(result.err().map(|failure| failure.stop), stop, "{on} {failure:?}");
    }
}

#[test]
fn a_second_attempt_beside_the_first_goes_elsewhere_and_out_of_the_budget() {
    let mut bench = bench(json!({"retry": {"budget_percent": 0, "budget_min_per_second": 1}}));
    let Bench { pool, state, rng, now } = &mut bench;
    let mut hedged = |method: Method, ask: Ask| {
        let mut attempts = Attempts::new(pool, &method, ask, *now);
        let first = attempts.start(state, rng, *now).unwrap();
        attempts.hedge_after(state, "30ms".parse().unwrap())?;
        let second = attempts.hedge(state, rng, *now)?;
        assert_eq!((first.endpoint, second.endpoint), (0, 1));
        let answer = Outcome { result: Ok(200), latency: Span::from_millis(35), retry_after: None };
        assert!(attempts.is_answer(&answer));
        assert_eq!(attempts.report(state, second, &answer, rng, *now), Next::Answer);
        attempts.lose(state, first, Span::from_millis(65), *now);
        Some(())
    };
    assert_eq!(hedged(Method::Post, ASK), None);
    assert_eq!(hedged(Method::Get, Ask { replayable: false, ..ASK }), None);
    assert_eq!(hedged(Method::Get, ASK), Some(()));
    assert_eq!(hedged(Method::Get, ASK), None, "the budget of a second is one");
    let in_flight: Vec<u32> = state.endpoints(pool, *now).map(|endpoint| endpoint.in_flight).collect();
    assert_eq!(in_flight, [3, 0], "those that were not reported");
}

#[test]
fn the_wait_before_a_second_attempt_is_the_quantile_once_enough_is_known() {
    let mut bench = bench(json!({}));
    let p95 = "p95".parse().unwrap();
    let after = |bench: &mut Bench| {
        let mut attempts = Attempts::new(&bench.pool, &Method::Get, ASK, bench.now);
        let first = attempts.start(&mut bench.state, &mut bench.rng, bench.now).unwrap();
        let after = attempts.hedge_after(&bench.state, p95);
        attempts.lose(&mut bench.state, first, Span::ZERO, bench.now);
        after
    };
    for _ in 0..15 {
        assert!(bench.send(Method::Get, ASK, &[GOOD]).1.is_ok());
    }
    assert_eq!(after(&mut bench), None);
    assert!(bench.send(Method::Get, ASK, &[GOOD]).1.is_ok());
    assert_eq!(after(&mut bench), Some(Span::from_millis(5)));
}

#[test]
fn a_busy_endpoint_is_passed_over_and_where_all_are_busy_that_is_said() {
    let mut bench = bench(json!({"concurrency": "2"}));
    let Bench { pool, state, rng, now } = &mut bench;
    let mut under_way = Vec::new();
    for expected in [0, 0, 1, 1] {
        let mut attempts = Attempts::new(pool, &Method::Get, ASK, *now);
        let first = attempts.start(state, rng, *now).unwrap();
        assert_eq!(first.endpoint, expected);
        under_way.push((attempts, first));
    }
    let mut late = Attempts::new(pool, &Method::Get, ASK, *now);
    let failure = late.start(state, rng, *now).unwrap_err();
    assert_eq!((failure.stop, failure.status(), failure.may_fall_back()), (Stop::Full, 503, true));
    let said = failure.proxy_status("tidegate", pool).to_string();
    assert_eq!(said, "tidegate; error=connection_limit_reached; details=\"all busy\"");
    let (mut attempts, first) = under_way.remove(2);
    let answer = Outcome { result: Ok(200), latency: Span::from_millis(5), retry_after: None };
    assert_eq!(attempts.report(state, first, &answer, rng, *now), Next::Answer);
    assert_eq!(late.start(state, rng, *now).map(|next| next.endpoint), Ok(1), "it may ask again");
}
