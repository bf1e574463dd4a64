//! The breaker of an endpoint: closed lets requests through, open refuses them, half-open lets a few probes by.

use serde::Serialize;

use crate::time::Timestamp;

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

/// The breaker of an endpoint.
#[derive(Debug, Clone, Default)]
pub struct Breaker {}

impl Breaker {
    /// Whether requests flow.
    pub fn state(&self, now: Timestamp) -> BreakerState {
        let _ = now;
        BreakerState::Closed
    }

    /// The end of the ejection, while it lasts.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let _ = now;
        None
    }

    /// Failures in a row.
    pub fn failures_in_a_row(&self) -> u32 {
        0
    }

    /// Ejections so far.
    pub fn ejections(&self) -> u32 {
        0
    }
}
