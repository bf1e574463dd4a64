//! What isolates say about the endpoints they talk to.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How an endpoint's breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointState {
    /// Requests flow.
    Closed,
    /// One probe at a time is let through.
    HalfOpen,
    /// Requests are refused.
    Open,
}

impl EndpointState {
    /// From the best to the worst.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// As a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// One isolate's word on one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointReport {
    /// Name of the pool.
    pub pool: Rc<str>,
    /// Name of the endpoint in it.
    pub endpoint: Rc<str>,
    /// How its breaker stands there.
    pub state: EndpointState,
    /// Since when.
    pub since: Timestamp,
}

/// What all isolates together say about one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointView {
    /// Name of the pool.
    pub pool: Rc<str>,
    /// Name of the endpoint in it.
    pub endpoint: Rc<str>,
    /// The worst state that an isolate reports.
    pub state: EndpointState,
    /// The earliest moment since which one reports that state.
    pub since: Timestamp,
    /// Isolates whose breaker is open.
    pub open_in: u32,
    /// Isolates that report on it.
    pub isolates: u32,
}
