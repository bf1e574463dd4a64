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
    /// Those that took longer than `latency` has it.
    slow: u32,
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

    /// Somebody else has found the endpoint well: requests flow.
    pub(super) fn close(&mut self, now: Timestamp) {
        if !self.is_closed() {
            (self.phase, self.window, self.failures_in_a_row) =
                (Phase::Closed { since: now }, Window::default(), 0);
        }
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

    /// A request that passed succeeded or failed, after so long. `may_eject` tells whether the pool can spare the
    /// endpoint. What was sent before the last ejection says nothing after it.
    pub(super) fn record(
        &mut self,
        config: &BreakerConfig,
        admission: Admission,
        result: Result<Span, Span>,
        may_eject: bool,
        now: Timestamp,
    ) {
        let (Ok(latency) | Err(latency)) = result;
        let succeeded = result.is_ok();
        let is_slow = config.latency.is_some_and(|bound| latency > bound.over);
        match (self.phase, admission) {
            (Phase::Closed { .. }, _) => {
                self.window.add(config, succeeded, is_slow, now);
                self.count(succeeded);
                if (!succeeded || is_slow) && may_eject && self.is_tripped(config) {
                    self.eject(config, now);
                }
            }
            (Phase::HalfOpen { .. }, Admission::Probe(after)) if after == self.ejections => {
                self.count(succeeded);
                if succeeded && !is_slow { self.recover(config, now) } else { self.eject(config, now) }
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
        let Window { requests, failures, slow, .. } = self.window;
        let failing =
            config.failure_ratio > 0.0 && f64::from(failures) >= config.failure_ratio * f64::from(requests);
        let slow = config.latency.is_some_and(|bound| bound.is_met(slow, requests));
        row || (requests >= config.window_requests_min && (failing || slow))
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
    fn add(&mut self, config: &BreakerConfig, succeeded: bool, is_slow: bool, now: Timestamp) {
        if now >= self.start + config.window {
            *self = Self { start: now, ..Self::default() };
        }
        self.slow = self.slow.saturating_add(u32::from(is_slow));
        self.requests = self.requests.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(!succeeded));
    }
}

#[cfg(test)]
mod tests;
