//! What the metrics object keeps.

use super::counters::Counters;
use super::delta::Delta;
use crate::time::{Span, Timestamp};

/// Totals, the last two minutes second by second, and what isolates say about endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    started: Timestamp,
    totals: Counters,
}

impl Live {
    /// Nothing counted yet.
    pub fn new(now: Timestamp) -> Self {
        Self { started: now, totals: Counters::default() }
    }

    /// Takes in what an isolate sent.
    pub fn ingest(&mut self, delta: &Delta, _now: Timestamp) {
        self.totals.merge(&delta.counters);
    }

    /// The state as JSON for pages and for `metrics.json`.
    pub fn snapshot(&self, _now: Timestamp) -> String {
        String::new()
    }

    /// How long to wait until the next snapshot is to be pushed to open pages; `None` where pages already show
    /// everything and nothing moves any more.
    pub fn push_in(&self, _now: Timestamp) -> Option<Span> {
        None
    }

    /// Notes that a snapshot was pushed.
    pub fn pushed(&mut self, _now: Timestamp) {}

    /// How long to wait until the state is to be stored; `None` where what is stored is up to date.
    pub fn store_in(&self, _now: Timestamp) -> Option<Span> {
        None
    }

    /// The state for storage; notes that it was taken.
    pub fn store(&mut self, _now: Timestamp) -> String {
        String::new()
    }

    /// Reads what [`Self::store`] wrote. What can't be read (another version) is `None`: begin anew then.
    pub fn load(_text: &str) -> Option<Self> {
        None
    }
}
