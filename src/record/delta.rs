//! What travels from an isolate to the metrics object, and when.

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::endpoints::EndpointReport;
use super::event::{Event, Incident, LimiterEvent};
use super::limits::LimitCount;
use super::{of_stamped, stamped};
use crate::packed::Unreadable;
use crate::time::{Span, Timestamp};

/// An isolate sends at most one delta in this time: where a page watches, and where something went wrong.
const SEND_EVERY: Span = Span::from_secs(1);
/// The same where nobody looks.
const SEND_UNWATCHED_EVERY: Span = Span::from_secs(10);

/// A longer URL is none of the hot ones.
const HOT_URL_BYTES_MAX: usize = 1024;

/// What an isolate counted since its last delta, and what it thinks of the endpoints now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delta {
    /// Which isolate: a random number that it draws at its start.
    pub isolate: u64,
    /// What it counted.
    pub counters: Counters,
    /// Every endpoint of every pool that it knows, so that a pool can be seen to be down as a whole.
    pub endpoints: Vec<EndpointReport>,
}

impl Delta {
    /// As text.
    pub fn encode(&self) -> String {
        stamped(self)
    }

    /// From text.
    ///
    /// # Errors
    /// Where the text is not a delta, or one of an isolate that counts other things.
    pub fn decode(text: &str) -> Result<Self, Unreadable> {
        of_stamped(text)
    }
}

/// An isolate's counters between two deltas.
#[derive(Debug)]
pub struct Outbox {
    isolate: u64,
    counters: Counters,
    sent: Option<Timestamp>,
    /// Whether a page watches, as far as is known here.
    watched: bool,
    /// Whether something went wrong since the last delta.
    is_urgent: bool,
}

impl Outbox {
    /// An empty one for the isolate with this number.
    pub fn new(isolate: u64) -> Self {
        Self { isolate, counters: Counters::default(), sent: None, watched: false, is_urgent: false }
    }

    /// The isolate's number.
    pub fn isolate(&self) -> u64 {
        self.isolate
    }

    /// Counts one request.
    pub fn add(&mut self, event: &Event) {
        self.is_urgent |= event.failover || event.status >= 500 || event.incidents.iter().next().is_some();
        self.counters.add(event);
    }

    /// Counts what became of a policy for a client of this tier.
    pub fn add_check(&mut self, policy: &str, tier: &str, what: LimitCount) {
        self.counters.add_check(policy, tier, what);
    }

    /// Counts a request of a partition.
    pub fn add_partition(&mut self, object: &str, is_refused: bool) {
        self.counters.busiest.add(object, 1, is_refused.into());
    }

    /// Counts a request for a URL whose response is stored.
    pub fn add_hot(&mut self, route: &str, url: &str) {
        if let Some(hot) = self.counters.hot.entry(route).filter(|_| url.len() <= HOT_URL_BYTES_MAX) {
            hot.add(url, 1, 0);
        }
    }

    /// Counts what went wrong outside a request.
    pub fn add_incident(&mut self, incident: Incident) {
        self.is_urgent = true;
        self.counters.add_incident(incident);
    }

    /// Counts what came of a similar prompt.
    pub fn add_similar(&mut self, outcome: &'static str) {
        self.counters.similar.add(outcome, &1);
    }

    /// Counts what the limiter did.
    pub fn add_limiter(&mut self, what: LimiterEvent, times: u64) {
        self.counters.add_limiter(what, times);
    }

    /// Counts what came of a change that is delivered later.
    pub fn add_delivery(&mut self, result: &str) {
        self.counters.deliveries.add(result, &1);
    }

    /// How long to wait until the next delta may go; `None` where there is nothing to send.
    pub fn due_in(&self, now: Timestamp) -> Option<Span> {
        if self.counters.is_empty() {
            return None;
        }
        let every = if self.watched || self.is_urgent { SEND_EVERY } else { SEND_UNWATCHED_EVERY };
        Some(self.sent.map_or(Span::ZERO, |sent| every.saturating_sub(now.since(sent))))
    }

    /// Takes out what is to be sent, when it is due.
    pub fn take(&mut self, endpoints: Vec<EndpointReport>, now: Timestamp) -> Option<Delta> {
        if self.due_in(now)? > Span::ZERO {
            return None;
        }
        Some(self.take_now(endpoints, now))
    }

    /// Takes out what there is, due or not, and be it only what is thought of the endpoints.
    pub fn take_now(&mut self, endpoints: Vec<EndpointReport>, now: Timestamp) -> Delta {
        self.sent = Some(now);
        self.is_urgent = false;
        Delta { isolate: self.isolate, counters: std::mem::take(&mut self.counters), endpoints }
    }

    /// Takes note of whether a page watches.
    pub fn watch(&mut self, watched: bool) {
        self.watched = watched;
    }

    /// Takes back a delta that could not be delivered.
    pub fn give_back(&mut self, delta: &Delta) {
        self.counters.merge(&delta.counters);
        self.add_incident(Incident::MetricsUnreachable);
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::tests::{event, failure};
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1000);

    #[test]
    fn an_isolate_sends_at_most_once_a_second_and_only_what_is_new() {
        let mut outbox = Outbox::new(7);
        assert_eq!(outbox.take(Vec::new(), START), None);
        outbox.add(&event());
        assert_eq!(outbox.take(Vec::new(), START).unwrap().counters.requests(), 1);
        outbox.add(&event());
        assert_eq!(outbox.due_in(START), Some(SEND_UNWATCHED_EVERY), "nobody looks");
        outbox.watch(true);
        let soon = START + Span::from_millis(400);
        assert_eq!(
            (outbox.due_in(soon), outbox.take(Vec::new(), soon)),
            (Some(Span::from_millis(600)), None)
        );
        outbox.add(&failure());
        let later = START + SEND_EVERY;
        assert_eq!(outbox.take(Vec::new(), later).unwrap().counters.requests(), 2);
        assert_eq!(outbox.due_in(later), None);
        outbox.watch(false);
        outbox.add(&event());
        assert_eq!(outbox.due_in(later), Some(SEND_UNWATCHED_EVERY));
        outbox.add_incident(Incident::Trap);
        assert_eq!(outbox.due_in(later), Some(SEND_EVERY), "what went wrong is told soon");
    }

    #[test]
    fn what_could_not_be_delivered_goes_with_the_next() {
        let mut outbox = Outbox::new(7);
        outbox.add(&event());
        let lost = outbox.take(Vec::new(), START).unwrap();
        outbox.add(&failure());
        outbox.give_back(&lost);
        let sent = outbox.take(Vec::new(), START + SEND_EVERY).unwrap();
        assert_eq!(sent.counters.requests(), 2);
        assert_eq!(sent.counters.incidents.get(Incident::MetricsUnreachable as usize), 1);
    }

    #[test]
    fn a_delta_reads_back() {
        let mut outbox = Outbox::new(u64::MAX);
        outbox.add(&failure());
        let delta = outbox.take(Vec::new(), START).unwrap();
        assert_eq!(Delta::decode(&delta.encode()).unwrap(), delta);
        let other = delta.encode().replacen(|c: char| c.is_ascii_hexdigit(), "x", 1);
        assert!(Delta::decode("{}").is_err() && Delta::decode(&other).is_err());
    }
}
