//! What travels from an isolate to the metrics object, and when.

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::endpoints::EndpointReport;
use super::event::{Event, Incident};
use crate::time::{Span, Timestamp};

/// An isolate sends at most one delta in this time.
const SEND_EVERY: Span = Span::from_secs(1);

/// What an isolate counted since its last delta, and what it thinks of the endpoints now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delta {
    /// Which isolate: a random number that it draws at its start.
    pub isolate: u64,
    /// What it counted.
    pub counters: Counters,
    /// Every endpoint of every pool that it knows, so that a pool can be seen to be down as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointReport>,
}

impl Delta {
    /// As JSON.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From JSON.
    ///
    /// # Errors
    /// Where the text is not a delta.
    pub fn decode(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// An isolate's counters between two deltas.
#[derive(Debug)]
pub struct Outbox {
    isolate: u64,
    counters: Counters,
    sent: Option<Timestamp>,
}

impl Outbox {
    /// An empty one for the isolate with this number.
    pub fn new(isolate: u64) -> Self {
        Self { isolate, counters: Counters::default(), sent: None }
    }

    /// Counts one request.
    pub fn add(&mut self, event: &Event) {
        self.counters.add(event);
    }

    /// Counts what went wrong outside a request.
    pub fn add_incident(&mut self, incident: Incident) {
        self.counters.add_incident(incident);
    }

    /// How long to wait until the next delta may go; `None` where there is nothing to send.
    pub fn due_in(&self, now: Timestamp) -> Option<Span> {
        if self.counters.is_empty() {
            return None;
        }
        Some(self.sent.map_or(Span::ZERO, |sent| SEND_EVERY.saturating_sub(now.since(sent))))
    }

    /// Takes out what is to be sent, when it is due.
    pub fn take(&mut self, endpoints: Vec<EndpointReport>, now: Timestamp) -> Option<Delta> {
        if self.due_in(now)? > Span::ZERO {
            return None;
        }
        self.sent = Some(now);
        Some(Delta { isolate: self.isolate, counters: std::mem::take(&mut self.counters), endpoints })
    }

    /// Takes back a delta that could not be delivered.
    pub fn give_back(&mut self, delta: &Delta) {
        self.counters.merge(&delta.counters);
        self.counters.add_incident(Incident::MetricsUnreachable);
    }
}
