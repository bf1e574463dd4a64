//! Whether tidegate works, and what stands in its way.

use serde::Serialize;

use super::live::Live;
use crate::time::Timestamp;

/// How tidegate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything works.
    Ok,
    /// Requests are answered, but not all as well as they should be.
    Degraded,
    /// A whole pool does not answer, or tidegate can't work at all.
    Down,
}

/// What kind of thing stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    /// Every breaker of a pool is open in every isolate.
    PoolDown,
    /// A breaker is not closed.
    BreakerOpen,
    /// A helper failed within the last minute.
    Incident,
    /// A stale response or a static fallback was served for want of an origin within the last minute.
    ServingStale,
    /// The configuration is wrong.
    ConfigInvalid,
    /// The metrics object can't be reached, so nothing is known.
    MetricsUnreachable,
}

/// One thing that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What kind.
    pub code: ReasonCode,
    /// In words.
    pub detail: String,
}

/// The answer of the health endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// How tidegate is.
    pub status: Status,
    /// Why it is not `ok`.
    pub reasons: Vec<Reason>,
}

impl Health {
    /// As the metrics object sees it.
    pub fn of(_live: &Live, _now: Timestamp) -> Self {
        Self { status: Status::Ok, reasons: Vec::new() }
    }

    /// For one reason that an isolate knows by itself.
    pub fn because(status: Status, code: ReasonCode, detail: impl Into<String>) -> Self {
        Self { status, reasons: vec![Reason { code, detail: detail.into() }] }
    }

    /// 200 where requests are answered, 503 where not.
    pub const fn http_status(&self) -> u16 {
        match self.status {
            Status::Ok | Status::Degraded => 200,
            Status::Down => 503,
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
