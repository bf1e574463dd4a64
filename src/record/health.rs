//! Whether tidegate works, and what stands in its way.

use serde::Serialize;

use super::endpoints::{EndpointState, EndpointView};
use super::event::{AnsweredBy, Incident, Staleness};
use super::live::Live;
use crate::json;
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

impl Status {
    /// From the best to the worst.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Degraded, Self::Down];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// What kind of thing stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    /// Every breaker of a pool is open in every isolate.
    PoolDown,
    /// A breaker is open or half-open.
    BreakerNotClosed,
    /// A helper failed within the last minute.
    Incident,
    /// For want of an origin, a stale response, a static fallback or a problem was served in the last minute.
    NoOrigin,
    /// An endpoint fails its probe, or so many isolates complain of it that it is left alone.
    ProbeFailed,
    /// The metrics object can't be reached, so that nothing else is known.
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
    pub fn of(live: &Live, now: Timestamp) -> Self {
        let (endpoints, recent) = (live.endpoints(now), live.recent(now));
        let mut health = Self { status: Status::Ok, reasons: Vec::new() };
        for pool in endpoints.chunk_by(|a, b| a.pool == b.pool) {
            health.judge_pool(pool);
        }
        for incident in Incident::ALL.into_iter().filter(|incident| incident.degrades()) {
            let n = recent.incident(incident);
            health.degraded_by(ReasonCode::Incident, n, incident.as_str());
        }
        for who in [AnsweredBy::Stale(Staleness::IfError), AnsweredBy::Static, AnsweredBy::Error] {
            let n = recent.answered_by(who.as_str());
            health.degraded_by(ReasonCode::NoOrigin, n, who.as_str());
        }
        health
    }

    fn judge_pool(&mut self, pool: &[EndpointView]) {
        for view in pool.iter().filter(|view| view.state != EndpointState::Closed) {
            let EndpointView { pool, endpoint, state, open_in, isolates, .. } = view;
            let state = state.as_str();
            self.add(
                Status::Degraded,
                ReasonCode::BreakerNotClosed,
                format!("{pool}/{endpoint} is {state} (open in {open_in} of {isolates} isolates)"),
            );
        }
        if let Some(EndpointView { pool: name, .. }) = pool.first()
            && pool.iter().all(|view| view.open_in == view.isolates)
        {
            self.add(Status::Down, ReasonCode::PoolDown, format!("every endpoint of {name} is open"));
        }
    }

    fn degraded_by(&mut self, code: ReasonCode, n: u64, what: &str) {
        if n > 0 {
            self.add(Status::Degraded, code, format!("{what}: {n} in the last minute"));
        }
    }

    /// One more reason.
    pub fn add(&mut self, status: Status, code: ReasonCode, detail: String) {
        self.status = self.status.max(status);
        self.reasons.push(Reason { code, detail });
    }

    /// Puts what this one says before what the metrics object says in its text.
    pub fn joined(&self, text: &str) -> String {
        let begins = |status: &&Status| text.starts_with(&["{\"status\":\"", status.as_str(), "\""].concat());
        let status = Status::ALL.iter().find(begins).copied().unwrap_or(Status::Degraded).max(self.status);
        let theirs = text.split_once("\"reasons\":[").map_or("]}", |(_, reasons)| reasons);
        let ours = json::write(&self.reasons);
        let ours = ours.strip_suffix(']').unwrap_or("[");
        let comma = if theirs.starts_with(']') || self.reasons.is_empty() { "" } else { "," };
        ["{\"status\":\"", status.as_str(), "\",\"reasons\":", ours, comma, theirs].concat()
    }

    /// For one reason that an isolate knows by itself.
    pub fn because(status: Status, code: ReasonCode, detail: impl Into<String>) -> Self {
        Self { status, reasons: vec![Reason { code, detail: detail.into() }] }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        json::write(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::tests::{count_of, event};
    use super::super::delta::Delta;
    use super::super::endpoints::EndpointReport;
    use super::super::event::Event;
    use super::*;
    use crate::time::Span;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    #[test]
    fn what_is_added_stands_before_what_was_said_and_the_worse_status_holds() {
        let ok = Health { status: Status::Ok, reasons: Vec::new() };
        let bad = Health::because(Status::Degraded, ReasonCode::ProbeFailed, "a");
        let down = Health::because(Status::Down, ReasonCode::PoolDown, "b");
        for (one, other) in [(&ok, &ok), (&ok, &bad), (&bad, &ok), (&bad, &down), (&down, &bad)] {
            let status = one.status.max(other.status);
            let reasons = one.reasons.iter().chain(&other.reasons).cloned().collect();
            assert_eq!(one.joined(&other.to_json()), Health { status, reasons }.to_json());
        }
        assert_eq!(bad.joined("?"), bad.to_json());
    }

    fn word(isolate: u64, states: [EndpointState; 2]) -> Delta {
        let report = |(name, state): (&str, _)| EndpointReport {
            pool: "api".into(),
            endpoint: name.into(),
            state,
            since: NOW,
        };
        let endpoints = ["a", "b"].into_iter().zip(states).map(report).collect();
        Delta { isolate, endpoints, ..Delta::default() }
    }

    fn health(deltas: &[Delta], now: Timestamp) -> Health {
        let mut live = Live::new(NOW);
        deltas.iter().for_each(|delta| live.ingest(delta, NOW));
        Health::of(&live, now)
    }

    #[test]
    fn a_pool_is_down_when_every_isolate_finds_every_endpoint_open() {
        use EndpointState::{Closed, HalfOpen, Open};
        for (first, second, status, reasons) in [
            ([Closed, Closed], [Closed, Closed], Status::Ok, 0),
            ([Open, Closed], [Closed, Closed], Status::Degraded, 1),
            ([HalfOpen, Closed], [Closed, Closed], Status::Degraded, 1),
            ([Open, Closed], [Closed, Open], Status::Degraded, 2),
            ([Open, Open], [Open, Closed], Status::Degraded, 2),
            ([Open, Open], [Open, HalfOpen], Status::Degraded, 2),
            ([Open, Open], [Open, Open], Status::Down, 3),
        ] {
            let health = health(&[word(1, first), word(2, second)], NOW);
            assert_eq!((health.status, health.reasons.len()), (status, reasons), "{health:?}");
        }
    }

    #[test]
    fn what_went_wrong_degrades_for_a_minute() {
        for (event, code) in [
            (
                Event { incidents: [Incident::LimiterUnreachable].into_iter().collect(), ..event() },
                Some(ReasonCode::Incident),
            ),
            (
                Event { answered_by: AnsweredBy::Stale(Staleness::IfError), ..event() },
                Some(ReasonCode::NoOrigin),
            ),
            (Event { answered_by: AnsweredBy::Static, ..event() }, Some(ReasonCode::NoOrigin)),
            (Event { answered_by: AnsweredBy::Stale(Staleness::WhileRevalidate), ..event() }, None),
            (Event { incidents: [Incident::AuthRejected].into_iter().collect(), ..event() }, None),
        ] {
            let delta = Delta { counters: count_of(std::slice::from_ref(&event)), ..Delta::default() };
            let said = health(std::slice::from_ref(&delta), NOW + Span::from_secs(59));
            assert_eq!(said.reasons.first().map(|reason| reason.code), code, "{event:?}");
            let later = health(&[delta], NOW + Span::from_secs(60));
            assert_eq!(later, Health { status: Status::Ok, reasons: Vec::new() });
        }
    }

    #[test]
    fn it_is_written_for_people_and_machines() {
        let health = Health::because(Status::Degraded, ReasonCode::MetricsUnreachable, "no \"answer\"");
        assert_eq!(
            health.to_json(),
            r#"{"status":"degraded","reasons":[{"code":"metrics-unreachable","detail":"no \"answer\""}]}"#
        );
    }
}
