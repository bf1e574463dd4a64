//! What the metrics object keeps.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::delta::Delta;
use super::endpoints::{Book, EndpointView};
use super::event::{Incident, Verdict};
use super::histogram::Histogram;
use super::snapshot;
use super::tally::{Merge, Named, Tally};
use crate::time::{Span, Timestamp};

/// Seconds that are kept one by one, for the graphs.
pub(super) const RING_SECS: u64 = 120;
/// Seconds that "lately" means.
pub(super) const RECENT_SECS: u64 = 60;
/// Pages get at most one snapshot in this time.
const PUSH_EVERY: Span = Span::from_secs(1);
/// The state is stored this long after the first delta that storage lacks: before an idle object loses its
/// memory (about 10 s), and at most two rows written in ten seconds.
const STORE_AFTER: Span = Span::from_secs(5);
/// Stands before the stored JSON; another version begins anew.
const STORED_VERSION: &str = "tidegate-live-1 ";

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
    #[serde(rename = "r")]
    pub(super) refused: Named<u64>,
    /// By [`Incident`]: how often.
    #[serde(rename = "i")]
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

/// Totals, the last two minutes second by second, and what isolates say about endpoints. A delta counts in the
/// second in which it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    started: Timestamp,
    totals: Counters,
    slots: VecDeque<Slot>,
    book: Book,
    #[serde(skip)]
    pushed: Option<Timestamp>,
    #[serde(skip)]
    is_news: bool,
    #[serde(skip)]
    unstored_since: Option<Timestamp>,
}

impl Live {
    /// Nothing counted yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            started: now,
            totals: Counters::default(),
            slots: VecDeque::new(),
            book: Book::default(),
            pushed: None,
            is_news: false,
            unstored_since: None,
        }
    }

    /// Takes in what an isolate sent.
    pub fn ingest(&mut self, delta: &Delta, now: Timestamp) {
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
        self.is_news = true;
        self.unstored_since.get_or_insert(now);
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

    /// How long to wait until the next snapshot is to be pushed to open pages; `None` where they show
    /// everything and no graph moves any more.
    pub fn push_in(&self, now: Timestamp) -> Option<Span> {
        let is_moving = self.slots.back().is_some_and(|slot| slot.second + RING_SECS >= now.as_secs());
        if !self.is_news && !is_moving {
            return None;
        }
        Some(self.pushed.map_or(Span::ZERO, |pushed| PUSH_EVERY.saturating_sub(now.since(pushed))))
    }

    /// Notes that a snapshot was pushed to every page.
    pub fn pushed(&mut self, now: Timestamp) {
        self.pushed = Some(now);
        self.is_news = false;
    }

    /// How long to wait until the state is to be stored; `None` where storage has it.
    pub fn store_in(&self, now: Timestamp) -> Option<Span> {
        Some(STORE_AFTER.saturating_sub(now.since(self.unstored_since?)))
    }

    /// The state for storage, taken as stored from now on.
    pub fn store(&mut self) -> String {
        self.unstored_since = None;
        serde_json::to_string(self).map(|json| STORED_VERSION.to_owned() + &json).unwrap_or_default()
    }

    /// Reads what [`Self::store`] wrote. `None` for what another version wrote: begin anew then.
    pub fn load(text: &str) -> Option<Self> {
        serde_json::from_str(text.strip_prefix(STORED_VERSION)?).ok()
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
    fn pages_hear_at_most_once_a_second_and_until_nothing_moves() {
        let mut live = Live::new(START);
        assert_eq!(live.push_in(START), None, "nothing has happened");
        live.ingest(&delta(), START);
        assert_eq!(live.push_in(START), Some(Span::ZERO));
        live.pushed(START);
        live.ingest(&delta(), START + Span::from_millis(300));
        assert_eq!(live.push_in(START + Span::from_millis(300)), Some(Span::from_millis(700)));
        live.pushed(at(1));
        assert_eq!(live.push_in(at(120)), Some(Span::ZERO), "the graph still moves");
        live.pushed(at(120));
        assert_eq!(live.push_in(at(121)), None);
    }

    #[test]
    fn it_is_stored_some_seconds_after_the_first_change_and_not_at_each() {
        let mut live = Live::new(START);
        assert_eq!(live.store_in(START), None);
        live.ingest(&delta(), at(0));
        live.ingest(&delta(), at(4));
        assert_eq!(live.store_in(at(4)), Some(Span::from_secs(1)));
        assert_eq!(live.store_in(at(9)), Some(Span::ZERO));
        live.store();
        assert_eq!(live.store_in(at(9)), None);
    }

    #[test]
    fn what_was_stored_reads_back_and_another_version_does_not() {
        let mut live = Live::new(START);
        live.ingest(&delta(), at(2));
        let text = live.store();
        let loaded = Live::load(&text).unwrap();
        assert_eq!(loaded.snapshot(at(5)), live.snapshot(at(5)));
        assert_eq!(Live::load(&text.replacen("live-1", "live-0", 1)), None);
        assert_eq!(Live::load(&text.replacen('}', "", 1)), None);
    }
}
