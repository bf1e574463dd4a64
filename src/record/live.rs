//! What the metrics object keeps.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::delta::Delta;
use super::endpoints::{Book, EndpointView};
use super::event::{Incident, Verdict};
use super::histogram::Histogram;
use super::limits::{self, Busiest};
use super::snapshot;
use super::tally::{Merge, Named, Tally};
use super::{of_stamped, stamped};
use crate::time::{Span, Timestamp};

/// Seconds that are kept one by one, for the graphs.
pub(super) const RING_SECS: u64 = 120;
/// Seconds that "lately" means.
pub(super) const RECENT_SECS: u64 = 60;
/// How often what the busiest partitions asked counts half.
const FADES_EVERY: Span = Span::from_secs(3600);

/// One second, or several merged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Slot {
    #[serde(rename = "s")]
    second: u64,
    /// By who answered: how long requests took.
    #[serde(rename = "l")]
    pub(super) answers: Named<Histogram>,
    /// By tier: refused requests.
    #[serde(rename = "r", skip_serializing_if = "Named::is_empty")]
    pub(super) refused: Named<u64>,
    /// By [`Incident`]: how often.
    #[serde(rename = "i", skip_serializing_if = "Tally::is_empty")]
    pub(super) incidents: Tally,
    /// Responses with a 5xx status.
    #[serde(rename = "e")]
    pub(super) errors: u64,
    #[serde(rename = "o")]
    pub(super) failovers: u64,
}

impl Slot {
    /// The figures of these counters that are also kept by second.
    pub(super) fn of(counters: &Counters) -> Self {
        let mut refused = Named::default();
        for (tier, verdicts) in counters.tiers.iter() {
            match verdicts.get(Verdict::REFUSED) {
                0 => {}
                n => refused.add(tier, &n),
            }
        }
        Self {
            second: 0,
            answers: counters.answers.clone(),
            refused,
            incidents: counters.incidents.clone(),
            errors: counters.server_errors(),
            failovers: counters.failovers,
        }
    }

    /// All durations together, whoever answered.
    pub(super) fn latency(&self) -> Histogram {
        let mut all = Histogram::default();
        self.answers.iter().for_each(|(_, histogram)| all.merge(histogram));
        all
    }

    /// Requests that were answered by this one.
    pub(super) fn answered_by(&self, who: &str) -> u64 {
        self.answers.get(who).map_or(0, Histogram::count)
    }

    /// How often this happened.
    pub(super) fn incident(&self, incident: Incident) -> u64 {
        self.incidents.get(incident as usize)
    }
}

impl Merge for Slot {
    fn merge(&mut self, other: &Self) {
        self.answers.merge(&other.answers);
        self.refused.merge(&other.refused);
        self.incidents.merge(&other.incidents);
        self.errors.merge(&other.errors);
        self.failovers.merge(&other.failovers);
    }
}

/// Totals, the last two minutes second by second, and what isolates say about endpoints. A delta counts in
/// the second in which it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    started: Timestamp,
    totals: Counters,
    slots: VecDeque<Slot>,
    book: Book,
    /// When the busiest partitions last counted less.
    faded: Timestamp,
}

impl Live {
    /// Nothing counted yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            started: now,
            totals: Counters::default(),
            slots: VecDeque::new(),
            book: Book::default(),
            faded: now,
        }
    }

    /// Takes in what an isolate sent.
    pub fn ingest(&mut self, delta: &Delta, now: Timestamp) {
        if now.since(self.faded) >= FADES_EVERY {
            self.totals.busiest.halve();
            self.totals.hot.values_mut().for_each(Busiest::halve);
            self.faded = now;
        }
        self.totals.merge(&delta.counters);
        self.book.note(delta.isolate, &delta.endpoints, now);
        // A clock that went back adds to the newest second: the ring stays in order.
        let second = self.slots.back().map_or(0, |slot| slot.second).max(now.as_secs());
        if self.slots.back().is_none_or(|slot| slot.second != second) {
            self.slots.push_back(Slot { second, ..Slot::default() });
        }
        if let Some(slot) = self.slots.back_mut() {
            slot.merge(&Slot::of(&delta.counters));
        }
        while self.slots.front().is_some_and(|slot| slot.second + RING_SECS < second) {
            self.slots.pop_front();
        }
    }

    /// Since when it counts.
    pub const fn started(&self) -> Timestamp {
        self.started
    }

    /// Everything that was counted.
    pub const fn totals(&self) -> &Counters {
        &self.totals
    }

    /// What isolates say about endpoints, by pool and endpoint.
    pub fn endpoints(&self, now: Timestamp) -> Vec<EndpointView> {
        self.book.views(now)
    }

    /// Isolates that were heard of within the last minute.
    pub fn isolates(&self, now: Timestamp) -> usize {
        self.book.isolates(now)
    }

    /// The second that began at this UNIX time, where something happened in it.
    pub(super) fn second(&self, second: u64) -> Option<&Slot> {
        let at = self.slots.binary_search_by_key(&second, |slot| slot.second).ok()?;
        self.slots.get(at)
    }

    /// The last minute as one.
    pub(super) fn recent(&self, now: Timestamp) -> Slot {
        let mut all = Slot::default();
        (self.slots.iter())
            .filter(|slot| slot.second + RECENT_SECS > now.as_secs())
            .for_each(|slot| all.merge(slot));
        all
    }

    /// The state as JSON, for the page.
    pub fn snapshot(&self, now: Timestamp) -> String {
        snapshot::to_json(self, now)
    }

    /// When every figure of the last two minutes will have come to rest: open pages are to get a snapshot a
    /// second until then, also when nothing is ingested any more, and none after it.
    pub fn rests_at(&self) -> Timestamp {
        let newest = self.slots.back().map_or(0, |slot| slot.second);
        Timestamp::from_secs(newest.saturating_add(RING_SECS + 1))
    }

    /// What became of limits, as JSON.
    pub fn limits(&self) -> String {
        limits::json(self.started, &self.totals.checks, &self.totals.busiest)
    }

    /// The hot URLs of all routes, a line each; of each route the busiest first.
    pub fn hot(&self) -> String {
        let routes = self.totals.hot.iter().flat_map(|(_, hot)| hot.ranked());
        let urls: Vec<&str> = routes.map(|busy| &*busy.name).collect();
        urls.join("\n")
    }

    /// The state for storage. Storing it some seconds after the first change that
    /// storage lacks loses little and writes few rows; it must happen within the 10 s after which an idle
    /// object loses its memory.
    pub fn store(&self) -> String {
        stamped(self)
    }

    /// Reads what [`Self::store`] wrote. `None` for what another version wrote: begin anew then.
    pub fn load(text: &str) -> Option<Self> {
        of_stamped(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::tests::{count_of, event, failure, refusal};
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1000);

    fn at(secs: u64) -> Timestamp {
        START + Span::from_secs(secs)
    }

    fn delta() -> Delta {
        let counters = count_of(&[event(), refusal(), failure()]);
        Delta { isolate: 7, counters, endpoints: Vec::new() }
    }

    #[test]
    fn totals_stay_and_the_last_minute_passes() {
        let mut live = Live::new(START);
        live.ingest(&delta(), at(0));
        live.ingest(&delta(), at(30));
        assert_eq!(live.recent(at(59)).latency().count(), 6);
        assert_eq!(live.recent(at(60)).latency().count(), 3);
        assert_eq!(live.recent(at(90)).latency().count(), 0);
        assert_eq!(live.recent(at(30)).refused.get("anonymous"), Some(&2));
        assert_eq!(live.totals().requests(), 6);
    }

    #[test]
    fn the_ring_is_bounded_and_a_clock_that_goes_back_keeps_it_in_order() {
        let mut live = Live::new(START);
        for second in 0..1000 {
            live.ingest(&delta(), at(second));
            live.ingest(&delta(), at(second / 2));
        }
        assert_eq!(live.slots.len() as u64, RING_SECS + 1);
        assert!(live.slots.iter().is_sorted_by_key(|slot| slot.second));
    }

    #[test]
    fn the_graphs_rest_once_the_newest_second_has_left_them() {
        let mut live = Live::new(START);
        assert!(live.rests_at() < START, "nothing has happened");
        live.ingest(&delta(), START);
        let series = |now| {
            let json: serde_json::Value = serde_json::from_str(&live.snapshot(now)).unwrap();
            json["series"]["memory"].as_array().unwrap().iter().any(|n| *n != 0)
        };
        assert!(series(at(120)) && !series(live.rests_at()));
        assert_eq!(live.rests_at(), at(121));
    }

    #[test]
    fn what_is_stored_of_two_busy_minutes_is_small() {
        let mut live = Live::new(START);
        for second in 0..200 {
            live.ingest(&delta(), at(second));
        }
        let bytes = live.store().len();
        assert!(bytes < 32 * 1024, "{bytes}");
    }

    #[test]
    fn what_was_stored_reads_back_and_another_version_does_not() {
        let mut live = Live::new(START);
        live.ingest(&delta(), at(2));
        let text = live.store();
        let loaded = Live::load(&text).unwrap();
        assert_eq!(loaded.snapshot(at(5)), live.snapshot(at(5)));
        assert_eq!(Live::load(&["0".repeat(16), text.get(16..).unwrap().to_owned()].concat()), None);
        assert_eq!(text.get(..text.len() - 1).map(Live::load), Some(None));
    }
}
