//! What isolates say about the endpoints they talk to.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::list::sort_short;
use crate::time::{Span, Timestamp};

/// How an endpoint's breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointState {
    /// Requests flow.
    Closed,
    /// As many requests as are needed to find out are let through.
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

/// Isolates whose word is kept; past it the oldest goes.
const MAX_ISOLATES: usize = 64;
/// Endpoints that are kept of one isolate's word.
const MAX_ENDPOINTS: usize = 64;
/// A word that is older than this says nothing any more.
const EXPIRES_AFTER: Span = Span::from_secs(60);

/// The newest word of each isolate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Book(Vec<Word>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Word {
    isolate: u64,
    at: Timestamp,
    reports: Vec<EndpointReport>,
}

impl Book {
    /// Notes what an isolate says now, in place of what it said before.
    pub(super) fn note(&mut self, isolate: u64, reports: &[EndpointReport], now: Timestamp) {
        self.0.retain(|word| word.isolate != isolate && now.since(word.at) <= EXPIRES_AFTER);
        if self.0.len() >= MAX_ISOLATES {
            self.0.remove(0);
        }
        let reports = reports.iter().take(MAX_ENDPOINTS).cloned().collect();
        self.0.push(Word { isolate, at: now, reports });
    }

    fn current(&self, now: Timestamp) -> impl Iterator<Item = &Word> {
        self.0.iter().filter(move |word| now.since(word.at) <= EXPIRES_AFTER)
    }

    /// How many isolates were heard of lately.
    pub(super) fn isolates(&self, now: Timestamp) -> usize {
        self.current(now).count()
    }

    /// What all say together, by pool and endpoint.
    pub(super) fn views(&self, now: Timestamp) -> Vec<EndpointView> {
        let mut views = Vec::<EndpointView>::new();
        for report in self.current(now).flat_map(|word| &word.reports) {
            let known = |view: &EndpointView| view.pool == report.pool && view.endpoint == report.endpoint;
            let at = views.iter().position(known).unwrap_or_else(|| {
                views.push(EndpointView {
                    pool: report.pool.clone(),
                    endpoint: report.endpoint.clone(),
                    state: report.state,
                    since: report.since,
                    open_in: 0,
                    isolates: 0,
                });
                views.len() - 1
            });
            let Some(view) = views.get_mut(at) else { continue };
            view.isolates += 1;
            view.open_in += u32::from(report.state == EndpointState::Open);
            if report.state > view.state {
                (view.state, view.since) = (report.state, report.since);
            } else if report.state == view.state {
                view.since = view.since.min(report.since);
            }
        }
        sort_short(&mut views, |a, b| (&a.pool, &a.endpoint) < (&b.pool, &b.endpoint));
        views
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(endpoint: &str, state: EndpointState, since: u64) -> EndpointReport {
        let since = Timestamp::from_secs(since);
        EndpointReport { pool: "api".into(), endpoint: endpoint.into(), state, since }
    }

    #[test]
    fn the_worst_word_is_shown_and_how_many_share_it() {
        use EndpointState::{Closed, HalfOpen, Open};
        let mut book = Book::default();
        let now = Timestamp::from_secs(1000);
        book.note(1, &[report("a", Closed, 10), report("b", Open, 990)], now);
        book.note(2, &[report("a", HalfOpen, 980), report("b", Open, 970)], now);
        book.note(3, &[report("a", HalfOpen, 985), report("b", Closed, 1)], now);
        let said: Vec<_> = (book.views(now).iter())
            .map(|v| (v.endpoint.to_string(), v.state, v.since.as_secs(), v.open_in, v.isolates))
            .collect();
        assert_eq!(said, [("a".into(), HalfOpen, 980, 0, 3), ("b".into(), Open, 970, 2, 3)]);
    }

    #[test]
    fn a_newer_word_takes_the_place_of_the_older_and_an_old_one_expires() {
        let mut book = Book::default();
        book.note(1, &[report("a", EndpointState::Open, 1)], Timestamp::from_secs(100));
        book.note(1, &[report("a", EndpointState::Closed, 130)], Timestamp::from_secs(130));
        assert_eq!(book.views(Timestamp::from_secs(190))[0].state, EndpointState::Closed);
        assert_eq!(book.views(Timestamp::from_secs(191)), []);
        assert_eq!(book.isolates(Timestamp::from_secs(191)), 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut book = Book::default();
        let many: Vec<_> = (0..1000).map(|n| report(&n.to_string(), EndpointState::Open, 1)).collect();
        for isolate in 0..1000 {
            book.note(isolate, &many, Timestamp::from_secs(100));
        }
        assert_eq!(book.isolates(Timestamp::from_secs(100)), MAX_ISOLATES);
        assert_eq!(book.views(Timestamp::from_secs(100)).len(), MAX_ENDPOINTS);
    }
}
