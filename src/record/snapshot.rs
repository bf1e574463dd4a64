//! What a page is sent, as JSON: small figures that need no further knowledge.

use std::rc::Rc;

use serde::Serialize;

use super::counters::{Counters, server_errors};
use super::endpoints::{EndpointState, EndpointView};
use super::event::{Incident, Verdict};
use super::health::Health;
use super::live::{Live, RECENT_SECS, RING_SECS, Slot};
use crate::json;
use crate::list::{Dict, sort_short};
use crate::time::{Span, Timestamp};

/// Routes that are shown; `metrics.json` has them all.
const MAX_ROUTES: usize = 12;

#[derive(Serialize)]
struct Snapshot<'a> {
    v: u8,
    version: &'static str,
    now: Timestamp,
    started: Timestamp,
    isolates: usize,
    health: Health,
    /// Over the last `seconds` of `recent`.
    recent: Figures<'a>,
    totals: Figures<'a>,
    traffic: Traffic,
    series: Series,
    tiers: Vec<TierRow<'a>>,
    policies: Vec<(&'a str, u64)>,
    routes: Vec<RouteRow<'a>>,
    endpoints: Vec<EndpointRow>,
}

/// What is shown both for the last minute and in all.
#[derive(Serialize)]
struct Figures<'a> {
    seconds: u64,
    requests: u64,
    answers: Dict<&'a str, u64>,
    errors: u64,
    failovers: u64,
    /// In milliseconds.
    p50: Option<u64>,
    p95: Option<u64>,
    p99: Option<u64>,
    incidents: Dict<&'static str, u64>,
}

#[derive(Serialize)]
struct Traffic {
    bytes: u64,
    origin_attempts: u64,
    collapsed: u64,
}

/// One number for each second, the oldest first; the last one is the last whole second.
#[derive(Serialize, Default)]
struct Series {
    memory: Vec<u64>,
    colo: Vec<u64>,
    kv: Vec<u64>,
    stale: Vec<u64>,
    origin: Vec<u64>,
    refused: Vec<u64>,
    /// Static fallbacks, tidegate's own answers, problem documents.
    other: Vec<u64>,
    errors: Vec<u64>,
    failovers: Vec<u64>,
    p95: Vec<Option<u64>>,
}

#[derive(Serialize)]
struct TierRow<'a> {
    tier: &'a str,
    requests: u64,
    refused: u64,
    refused_recently: u64,
    degraded: u64,
}

#[derive(Serialize)]
struct RouteRow<'a> {
    route: &'a str,
    requests: u64,
    errors: u64,
}

#[derive(Serialize)]
struct EndpointRow {
    pool: Rc<str>,
    endpoint: Rc<str>,
    state: EndpointState,
    since: Timestamp,
    open_in: u32,
    isolates: u32,
    requests: u64,
    errors: u64,
}

/// The state as JSON.
pub(super) fn to_json(live: &Live, now: Timestamp) -> String {
    let totals = live.totals();
    let (recent, all) = (live.recent(now), Slot::of(totals));
    let age = now.since(live.started()).as_secs();
    let snapshot = Snapshot {
        v: 1,
        version: env!("CARGO_PKG_VERSION"),
        now,
        started: live.started(),
        isolates: live.isolates(now),
        health: Health::of(live, now),
        recent: figures(&recent, age.clamp(1, RECENT_SECS)),
        totals: figures(&all, age),
        traffic: Traffic {
            bytes: totals.bytes,
            origin_attempts: totals.origin_attempts,
            collapsed: totals.collapsed,
        },
        series: series(live, now),
        tiers: tiers(totals, &recent),
        policies: totals.policies.iter().map(|(policy, reasons)| (policy, reasons.total())).collect(),
        routes: routes(totals),
        endpoints: live.endpoints(now).into_iter().map(|view| endpoint(totals, view)).collect(),
    };
    json::write(&snapshot)
}

fn figures(slot: &Slot, seconds: u64) -> Figures<'_> {
    let latency = slot.latency();
    let quantile = |permille| latency.quantile(permille).map(Span::as_millis);
    Figures {
        seconds,
        requests: latency.count(),
        answers: slot.answers.iter().map(|(who, histogram)| (who, histogram.count())).collect(),
        errors: slot.errors,
        failovers: slot.failovers,
        p50: quantile(500),
        p95: quantile(950),
        p99: quantile(990),
        incidents: (Incident::ALL.into_iter())
            .map(|incident| (incident.as_str(), slot.incident(incident)))
            .filter(|(_, n)| *n > 0)
            .collect(),
    }
}

fn series(live: &Live, now: Timestamp) -> Series {
    let (mut series, empty) = (Series::default(), Slot::default());
    for second in now.as_secs().saturating_sub(RING_SECS)..now.as_secs() {
        let slot = live.second(second).unwrap_or(&empty);
        let sum = |who: &[&str]| who.iter().map(|who| slot.answered_by(who)).sum();
        series.memory.push(slot.answered_by("memory"));
        series.colo.push(slot.answered_by("colo"));
        series.kv.push(slot.answered_by("kv"));
        series.stale.push(sum(&["stale-while-revalidate", "stale-if-error"]));
        series.origin.push(slot.answered_by("origin"));
        series.refused.push(slot.answered_by("limiter"));
        series.other.push(sum(&["static", "tidegate", "error"]));
        series.errors.push(slot.errors);
        series.failovers.push(slot.failovers);
        series.p95.push(slot.latency().quantile(950).map(Span::as_millis));
    }
    series
}

fn tiers<'a>(totals: &'a Counters, recent: &Slot) -> Vec<TierRow<'a>> {
    (totals.tiers.iter())
        .map(|(tier, verdicts)| TierRow {
            tier,
            requests: verdicts.total(),
            refused: verdicts.get(Verdict::REFUSED),
            refused_recently: recent.refused.get(tier).copied().unwrap_or(0),
            degraded: verdicts.get(Verdict::Degraded.index()),
        })
        .collect()
}

fn routes(totals: &Counters) -> Vec<RouteRow<'_>> {
    let mut rows: Vec<_> = (totals.routes.iter())
        .map(|(route, tally)| RouteRow { route, requests: tally.total(), errors: server_errors(tally) })
        .collect();
    sort_short(&mut rows, |a: &RouteRow, b: &RouteRow| (b.requests, a.route) < (a.requests, b.route));
    rows.truncate(MAX_ROUTES);
    rows
}

fn endpoint(totals: &Counters, view: EndpointView) -> EndpointRow {
    let statuses = totals.endpoints.get(&view.endpoint);
    let EndpointView { pool, endpoint, state, since, open_in, isolates } = view;
    EndpointRow {
        pool,
        endpoint,
        state,
        since,
        open_in,
        isolates,
        requests: statuses.map_or(0, |statuses| statuses.total()),
        errors: statuses.map_or(0, |statuses| statuses.get(5)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::tests::{count_of, event, failure, refusal};
    use super::super::delta::Delta;
    use super::super::endpoints::{EndpointReport, EndpointState};
    use super::*;

    #[test]
    fn a_page_is_told_what_happened_and_when() {
        let start = Timestamp::from_secs(1000);
        let mut live = Live::new(start);
        let endpoints = vec![EndpointReport {
            pool: "api".into(),
            endpoint: "origin-b".into(),
            state: EndpointState::Open,
            since: start,
        }];
        let counters = count_of(&[event(), event(), refusal(), failure()]);
        live.ingest(&Delta { isolate: 1, counters, endpoints }, start + Span::from_secs(5));
        let json: serde_json::Value =
            serde_json::from_str(&live.snapshot(start + Span::from_secs(10))).unwrap();
        for (pointer, expected) in [
            ("/recent/requests", 4),
            ("/recent/seconds", 10),
            ("/recent/answers/memory", 2),
            ("/recent/incidents/kv-error", 1),
            ("/totals/errors", 1),
            ("/totals/p50", 3),
            ("/traffic/origin_attempts", 2),
            ("/series/memory/115", 2),
            ("/series/refused/115", 1),
            ("/series/memory/116", 0),
            ("/tiers/0/refused_recently", 1),
            ("/policies/0/1", 1),
            ("/routes/0/errors", 1),
            ("/endpoints/0/open_in", 1),
            ("/endpoints/0/errors", 1),
        ] {
            assert_eq!(json.pointer(pointer), Some(&expected.into()), "{pointer}");
        }
        assert_eq!(json["series"]["p95"].as_array().unwrap().len(), 120);
        assert_eq!(json["health"]["status"], "down");
    }

    #[test]
    fn a_snapshot_of_a_full_object_stays_small() {
        let mut live = Live::new(Timestamp::from_secs(0));
        for second in 0..300 {
            let events: Vec<_> = (0..20)
                .map(|n| super::super::event::Event {
                    route: format!("route-{}", second * 20 + n).into(),
                    tier: format!("tier-{}", second * 20 + n).into(),
                    ..failure()
                })
                .collect();
            let delta = Delta { isolate: second, counters: count_of(&events), endpoints: Vec::new() };
            live.ingest(&delta, Timestamp::from_secs(second));
        }
        let bytes = live.snapshot(Timestamp::from_secs(300)).len();
        assert!(bytes < 16 * 1024, "{bytes}");
    }
}
