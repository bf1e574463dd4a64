use super::*;

const GOOD: Result<Span, Span> = Ok(Span::ZERO);
const FAILED: Result<Span, Span> = Err(Span::ZERO);

/// A probe after the first ejection.
const PROBE: Admission = Admission::Probe(1);

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn fail(breaker: &mut Breaker, config: &BreakerConfig, times: u32, secs: u64) {
    for _ in 0..times {
        breaker.record(config, Admission::Normal, FAILED, true, at(secs));
    }
}

fn probe(breaker: &mut Breaker, config: &BreakerConfig, succeeds: bool, secs: u64) {
    let admission = breaker.admits(config, Span::ZERO, at(secs)).unwrap();
    breaker.admit(admission, at(secs + 10), at(secs));
    breaker.record(config, admission, if succeeds { GOOD } else { FAILED }, true, at(secs));
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
    let config = BreakerConfig::default();
    let mut breaker = Breaker::default();
    fail(&mut breaker, &config, 4, 0);
    breaker.record(&config, Admission::Normal, GOOD, true, at(0));
    fail(&mut breaker, &config, 4, 0);
    assert_eq!(breaker.state(at(0)), BreakerState::Closed);
    fail(&mut breaker, &config, 1, 0);
    assert_eq!((breaker.state(at(9)), breaker.since(at(9))), (BreakerState::Open, at(0)));
    assert_eq!(breaker.admits(&config, Span::ZERO, at(9)), None);
    assert_eq!((breaker.state(at(10)), breaker.since(at(10))), (BreakerState::HalfOpen, at(10)));
}

#[test]
fn a_share_of_failures_ejects_only_when_the_window_holds_enough() {
    let config = BreakerConfig { failures: 0, window_requests_min: 10, ..Default::default() };
    for (pairs, expected) in [(4, BreakerState::Closed), (5, BreakerState::Open)] {
        let mut breaker = Breaker::default();
        for _ in 0..pairs {
            breaker.record(&config, Admission::Normal, GOOD, true, at(0));
            breaker.record(&config, Admission::Normal, FAILED, true, at(1));
        }
        assert_eq!(breaker.state(at(1)), expected);
    }
    let mut breaker = Breaker::default();
    fail(&mut breaker, &config, 9, 0);
    fail(&mut breaker, &config, 9, 10);
    assert_eq!(breaker.state(at(10)), BreakerState::Closed, "a window forgets the one before");
}

#[test]
fn half_open_admits_its_number_and_closes_when_all_of_them_succeed() {
    let config = BreakerConfig { probes: 2, ..Default::default() };
    let mut breaker = Breaker::default();
    fail(&mut breaker, &config, 5, 0);
    for _ in 0..2 {
        assert_eq!(breaker.admits(&config, Span::ZERO, at(10)), Some(PROBE));
        breaker.admit(PROBE, at(20), at(10));
    }
    assert_eq!(breaker.admits(&config, Span::ZERO, at(11)), None);
    breaker.release(PROBE);
    assert!(breaker.admits(&config, Span::ZERO, at(11)).is_some(), "an aborted probe leaves its place");
    breaker.admit(PROBE, at(21), at(11));
    breaker.record(&config, Admission::Normal, GOOD, true, at(12));
    breaker.record(&config, PROBE, GOOD, true, at(12));
    assert_eq!(breaker.state(at(12)), BreakerState::HalfOpen, "what was sent before does not count");
    breaker.record(&config, PROBE, GOOD, true, at(12));
    assert_eq!((breaker.state(at(12)), breaker.failures_in_a_row()), (BreakerState::Closed, 0));
}

#[test]
fn a_probe_from_before_the_last_ejection_says_nothing() {
    let config = BreakerConfig { probes: 2, ..Default::default() };
    let mut breaker = Breaker::default();
    fail(&mut breaker, &config, 5, 0);
    breaker.admit(PROBE, at(90), at(10));
    probe(&mut breaker, &config, false, 10);
    let second = breaker.admits(&config, Span::ZERO, at(30)).unwrap();
    breaker.admit(second, at(90), at(30));
    breaker.release(PROBE);
    breaker.record(&config, PROBE, FAILED, true, at(31));
    breaker.record(&config, PROBE, GOOD, true, at(31));
    breaker.record(&config, second, GOOD, true, at(32));
    assert_eq!((breaker.state(at(32)), breaker.ejections()), (BreakerState::HalfOpen, 2));
    probe(&mut breaker, &config, true, 33);
    assert_eq!(breaker.state(at(33)), BreakerState::Closed);
}

#[test]
fn a_probe_that_is_never_reported_does_not_close_the_way_for_ever() {
    let config = BreakerConfig::default();
    let mut breaker = Breaker::default();
    fail(&mut breaker, &config, 5, 0);
    breaker.admit(PROBE, at(20), at(10));
    assert_eq!(breaker.admits(&config, Span::ZERO, at(19)), None);
    probe(&mut breaker, &config, true, 20);
    assert_eq!(breaker.state(at(20)), BreakerState::Closed);
}

#[test]
fn who_cannot_be_tried_again_is_a_probe_only_after_a_long_wait() {
    let config = BreakerConfig::default();
    let mut breaker = Breaker::default();
    fail(&mut breaker, &config, 5, 0);
    assert_eq!(breaker.admits(&config, config.ejection_max, at(309)), None);
    assert_eq!(breaker.admits(&config, config.ejection_max, at(310)), Some(PROBE));
}

#[test]
fn ejections_grow_on_repeat_up_to_their_bound_and_shrink_in_good_times() {
    let config = BreakerConfig::default();
    let mut breaker = Breaker::default();
    fail(&mut breaker, &config, 5, 0);
    let mut now = 10;
    for secs in [20, 40, 80, 160, 300, 300] {
        probe(&mut breaker, &config, false, now);
        assert_eq!((breaker.since(at(now)), breaker.ejection), (at(now), Span::from_secs(secs)));
        now += secs;
    }
    probe(&mut breaker, &config, true, now);
    now += 3 * 300;
    fail(&mut breaker, &config, 5, now);
    assert_eq!(breaker.ejection, Span::from_secs(40), "three good times: 300, 160, 80, 40");
    assert_eq!(breaker.ejections(), 8);
}

#[test]
fn a_success_past_an_open_breaker_closes_it_and_a_failure_does_not_lengthen_it() {
    let config = BreakerConfig::default();
    let mut breaker = Breaker::default();
    fail(&mut breaker, &config, 5, 0);
    breaker.record(&config, Admission::Panic, FAILED, true, at(5));
    assert_eq!((breaker.since(at(5)), breaker.ejection), (at(0), Span::from_secs(10)));
    breaker.record(&config, Admission::Panic, GOOD, true, at(6));
    assert_eq!(breaker.state(at(6)), BreakerState::Closed);
}

#[test]
fn an_endpoint_that_the_pool_cannot_spare_stays() {
    let config = BreakerConfig::default();
    let mut breaker = Breaker::default();
    for _ in 0..9 {
        breaker.record(&config, Admission::Normal, FAILED, false, at(0));
    }
    assert_eq!(breaker.state(at(0)), BreakerState::Closed);
    fail(&mut breaker, &config, 1, 0);
    assert_eq!(breaker.state(at(0)), BreakerState::Open);
}

#[test]
fn too_many_slow_answers_eject_and_a_slow_probe_does_so_again() {
    let latency = Some("p95 > 1s".parse().unwrap());
    let config = BreakerConfig { failures: 0, failure_ratio: 0.0, latency, ..Default::default() };
    let slow = Ok(Span::from_millis(1001));
    for (count, expected) in [(1, BreakerState::Closed), (2, BreakerState::Open)] {
        let mut breaker = Breaker::default();
        for _ in count..20 {
            breaker.record(&config, Admission::Normal, Ok(Span::from_secs(1)), true, at(0));
        }
        for _ in 0..count {
            breaker.record(&config, Admission::Normal, slow, true, at(1));
        }
        assert_eq!(breaker.state(at(1)), expected, "{count} of 20");
        if expected == BreakerState::Open {
            breaker.admit(PROBE, at(20), at(11));
            breaker.record(&config, PROBE, slow, true, at(12));
            assert_eq!((breaker.state(at(12)), breaker.ejections()), (BreakerState::Open, 2));
        }
    }
}
