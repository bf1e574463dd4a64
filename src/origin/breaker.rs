//! The breaker of an endpoint: closed lets requests flow, open refuses them, half-open lets a few probes by.

use serde::Serialize;

use super::config::BreakerConfig;
use crate::time::{Span, Timestamp};

/// Whether requests flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Requests flow.
    Closed,
    /// The endpoint is ejected: no request goes there.
    Open,
    /// The ejection is over; a few requests may show whether the endpoint is back.
    HalfOpen,
}

impl BreakerState {
    /// As it is serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// As what a request went to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Through a closed breaker.
    Normal,
    /// Through a half-open one, to see whether the endpoint is back; after that many ejections.
    Probe(u32),
    /// Past an open one, since all are.
    Panic,
}

/// The breaker of an endpoint.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    phase: Phase,
    failures_in_a_row: u32,
    window: Window,
    /// How often the next ejection is doubled.
    level: u32,
    /// The length of the last ejection.
    ejection: Span,
    ejections: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed {
        since: Timestamp,
    },
    Open {
        until: Timestamp,
    },
    HalfOpen {
        since: Timestamp,
        admitted: u32,
        succeeded: u32,
        /// When every admitted probe must have come to something; one that is never reported does not count after.
        expires: Timestamp,
    },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Closed { since: Timestamp::default() }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    start: Timestamp,
    requests: u32,
    failures: u32,
}

impl Breaker {
    /// Whether requests flow. An ejection that is over counts as half-open, before the first probe too.
    pub fn state(&self, now: Timestamp) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { until } if now < until => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Since when it is so.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        match self.phase {
            Phase::Closed { since } | Phase::HalfOpen { since, .. } => since,
            Phase::Open { until } => until.before(if now < until { self.ejection } else { Span::ZERO }),
        }
    }

    /// Failures in a row.
    pub fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }

    /// Ejections so far.
    pub fn ejections(&self) -> u32 {
        self.ejections
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    /// How bad an endpoint is, for the choice of the least bad one.
    pub(super) fn badness(&self) -> (u32, u32) {
        (self.level, self.failures_in_a_row)
    }

    /// As what a request may pass, where it may. `patience` is for how long after the ejection others go first as
    /// probes.
    pub(super) fn admits(&self, config: &BreakerConfig, patience: Span, now: Timestamp) -> Option<Admission> {
        let is_due = match self.phase {
            Phase::Closed { .. } => return Some(Admission::Normal),
            Phase::Open { until } => now >= until + patience,
            Phase::HalfOpen { since, admitted, expires, .. } => {
                now >= since + patience && (admitted < config.probes || now >= expires)
            }
        };
        is_due.then_some(Admission::Probe(self.ejections))
    }

    /// A request passes, and will have come to something before `expires`.
    pub(super) fn admit(&mut self, admission: Admission, expires: Timestamp, now: Timestamp) {
        if !matches!(admission, Admission::Probe(_)) {
            return;
        }
        self.phase = match self.phase {
            Phase::Open { until } => Phase::HalfOpen { since: until, admitted: 1, succeeded: 0, expires },
            Phase::HalfOpen { since, admitted, succeeded, expires: earlier } => {
                let admitted = if now >= earlier { succeeded } else { admitted };
                Phase::HalfOpen { since, admitted: admitted + 1, succeeded, expires: expires.max(earlier) }
            }
            closed @ Phase::Closed { .. } => closed,
        };
    }

    /// A request that passed came to nothing that says something about the endpoint: a probe's place is free again.
    pub(super) fn release(&mut self, admission: Admission) {
        match (&mut self.phase, admission) {
            (Phase::HalfOpen { admitted, .. }, Admission::Probe(after)) if after == self.ejections => {
                *admitted = admitted.saturating_sub(1);
            }
            _ => {}
        }
    }

    /// A request that passed succeeded or failed. `may_eject` tells whether the pool can spare the endpoint.
    /// What was sent before the last ejection says nothing after it.
    pub(super) fn record(
        &mut self,
        config: &BreakerConfig,
        admission: Admission,
        succeeded: bool,
        may_eject: bool,
        now: Timestamp,
    ) {
        match (self.phase, admission) {
            (Phase::Closed { .. }, _) => {
                self.window.add(config, succeeded, now);
                self.count(succeeded);
                if !succeeded && may_eject && self.is_tripped(config) {
                    self.eject(config, now);
                }
            }
            (Phase::HalfOpen { .. }, Admission::Probe(after)) if after == self.ejections => {
                self.count(succeeded);
                if succeeded { self.recover(config, now) } else { self.eject(config, now) }
            }
            (_, Admission::Panic) => {
                self.count(succeeded);
                if succeeded {
                    self.recover(config, now);
                }
            }
            (_, Admission::Normal | Admission::Probe(_)) => {}
        }
    }

    fn count(&mut self, succeeded: bool) {
        self.failures_in_a_row = if succeeded { 0 } else { self.failures_in_a_row.saturating_add(1) };
    }

    fn is_tripped(&self, config: &BreakerConfig) -> bool {
        let row = config.failures > 0 && self.failures_in_a_row >= config.failures;
        let Window { requests, failures, .. } = self.window;
        row || (config.failure_ratio > 0.0
            && requests >= config.window_requests_min
            && f64::from(failures) >= config.failure_ratio * f64::from(requests))
    }

    /// Each ejection takes twice as long as the last one; every stretch of good time that is as long as the last
    /// ejection was takes one doubling back.
    fn eject(&mut self, config: &BreakerConfig, now: Timestamp) {
        if let Phase::Closed { since } = self.phase {
            let good = now.since(since).as_millis() / self.ejection.as_millis().max(1);
            self.level = self.level.saturating_sub(u32::try_from(good).unwrap_or(u32::MAX));
        }
        let doubled = 1_u64.checked_shl(self.level).unwrap_or(u64::MAX);
        let ejection = Span::from_millis(config.ejection.as_millis().saturating_mul(doubled));
        if ejection < config.ejection_max {
            self.level += 1;
        }
        self.ejection = ejection.min(config.ejection_max);
        self.ejections = self.ejections.saturating_add(1);
        self.phase = Phase::Open { until: now + self.ejection };
    }

    /// One more success: of a probe, or of a request that went past an open breaker, which shows as much.
    fn recover(&mut self, config: &BreakerConfig, now: Timestamp) {
        let (since, admitted, succeeded, expires) = match self.phase {
            Phase::HalfOpen { since, admitted, succeeded, expires } => {
                (since, admitted, succeeded + 1, expires)
            }
            _ => (now, 1, 1, now),
        };
        self.phase = if succeeded >= config.probes {
            self.window = Window::default();
            Phase::Closed { since: now }
        } else {
            Phase::HalfOpen { since, admitted: admitted.max(succeeded), succeeded, expires }
        };
    }
}

impl Window {
    fn add(&mut self, config: &BreakerConfig, succeeded: bool, now: Timestamp) {
        if now >= self.start + config.window {
            *self = Self { start: now, requests: 0, failures: 0 };
        }
        self.requests = self.requests.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(!succeeded));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A probe after the first ejection.
    const PROBE: Admission = Admission::Probe(1);

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + secs)
    }

    fn fail(breaker: &mut Breaker, config: &BreakerConfig, times: u32, secs: u64) {
        for _ in 0..times {
            breaker.record(config, Admission::Normal, false, true, at(secs));
        }
    }

    fn probe(breaker: &mut Breaker, config: &BreakerConfig, succeeds: bool, secs: u64) {
        let admission = breaker.admits(config, Span::ZERO, at(secs)).unwrap();
        breaker.admit(admission, at(secs + 10), at(secs));
        breaker.record(config, admission, succeeds, true, at(secs));
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
        let config = BreakerConfig::default();
        let mut breaker = Breaker::default();
        fail(&mut breaker, &config, 4, 0);
        breaker.record(&config, Admission::Normal, true, true, at(0));
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
                breaker.record(&config, Admission::Normal, true, true, at(0));
                breaker.record(&config, Admission::Normal, false, true, at(1));
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
        breaker.record(&config, Admission::Normal, true, true, at(12));
        breaker.record(&config, PROBE, true, true, at(12));
        assert_eq!(breaker.state(at(12)), BreakerState::HalfOpen, "what was sent before does not count");
        breaker.record(&config, PROBE, true, true, at(12));
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
        breaker.record(&config, PROBE, false, true, at(31));
        breaker.record(&config, PROBE, true, true, at(31));
        breaker.record(&config, second, true, true, at(32));
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
        breaker.record(&config, Admission::Panic, false, true, at(5));
        assert_eq!((breaker.since(at(5)), breaker.ejection), (at(0), Span::from_secs(10)));
        breaker.record(&config, Admission::Panic, true, true, at(6));
        assert_eq!(breaker.state(at(6)), BreakerState::Closed);
    }

    #[test]
    fn an_endpoint_that_the_pool_cannot_spare_stays() {
        let config = BreakerConfig::default();
        let mut breaker = Breaker::default();
        for _ in 0..9 {
            breaker.record(&config, Admission::Normal, false, false, at(0));
        }
        assert_eq!(breaker.state(at(0)), BreakerState::Closed);
        fail(&mut breaker, &config, 1, 0);
        assert_eq!(breaker.state(at(0)), BreakerState::Open);
    }
}
