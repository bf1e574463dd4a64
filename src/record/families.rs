//! Every metric there is, with its samples: what both forms of the exposition are written from.

use super::counters::{STATUS_CLASSES, status_index};
use super::endpoints::EndpointState;
use super::event::{Incident, LimiterEvent, MethodClass, Refusal, Verdict};
use super::health::{Health, Status};
use super::histogram::Histogram;
use super::limits::LimitCount;
use super::live::Live;
use super::tally::{Named, Tally};
use crate::time::{Span, Timestamp};

/// A metric family of OpenMetrics 1.0.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    /// The last part of the name, or empty.
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
}

macro_rules! metrics {
    ($($id:ident: $name:literal $kind:literal $unit:literal $help:literal;)*) => {
        $(const $id: Metric = Metric { name: $name, kind: $kind, unit: $unit, help: $help };)*
        /// Every metric, for the test that reads the reference.
        #[cfg(test)]
        pub(super) const METRICS: &[Metric] = &[$($id),*];
    };
}

metrics! {
    BUILD: "tidegate_build" "info" "" "The version that runs.";
    START: "tidegate_start_time_seconds" "gauge" "seconds" "When counting began, since the UNIX epoch.";
    ISOLATES: "tidegate_isolates" "gauge" "" "Isolates that were heard of in the last minute, 64 at most.";
    HEALTH: "tidegate_health" "stateset" "" "What the health endpoint says.";
    REQUESTS: "tidegate_requests" "counter" "" "Requests by route, kind of method and class of status.";
    DURATION: "tidegate_request_duration_seconds" "histogram" "seconds"
        "Time from a request's arrival to its response's head, by who answered.";
    ADMISSIONS: "tidegate_admissions" "counter" "" "Requests by tier and verdict of admission.";
    REFUSALS: "tidegate_refusals" "counter" "" "Refused requests by policy and reason.";
    CHECKS: "tidegate_limit_checks" "counter" "" "What became of limits, by policy and tier.";
    LIMITER: "tidegate_limiter" "counter" "" "What was done to count requests: calls of limiter objects, leases.";
    FORWARDS: "tidegate_cache_forwards" "counter" ""
        "Requests that the cache forwarded, by reason (fwd of RFC 9211).";
    SIMILAR: "tidegate_similar_prompts" "counter" ""
        "Prompts similar to one already answered, by what came of it.";
    DELIVERIES: "tidegate_deliveries" "counter" ""
        "Changes accepted for later delivery, and attempts to deliver them, by result.";
    COLLAPSED: "tidegate_collapsed_requests" "counter" ""
        "Requests that shared another request's way to the origin.";
    ATTEMPTS: "tidegate_origin_attempts" "counter" "" "How often an origin was asked, retries included.";
    FAILOVERS: "tidegate_failovers" "counter" ""
        "Requests for which another endpoint than the first choice was asked.";
    HEDGES: "tidegate_hedges" "counter" ""
        "Requests for which a second attempt was sent beside the first.";
    ENDPOINT_REQUESTS: "tidegate_endpoint_requests" "counter" ""
        "Requests by the endpoint that was asked last and class of status.";
    ENDPOINT_STATE: "tidegate_endpoint_state" "stateset" ""
        "How an endpoint's breaker stands, the worst that an isolate reports.";
    ENDPOINT_OPEN: "tidegate_endpoint_open_isolates" "gauge" ""
        "Isolates in which an endpoint's breaker is open.";
    BYTES: "tidegate_response_bytes" "counter" "bytes"
        "Bytes of response bodies whose length was known beforehand.";
    UNKNOWN_LENGTH: "tidegate_responses_of_unknown_length" "counter" ""
        "Responses whose length was not known beforehand.";
    INCIDENTS: "tidegate_incidents" "counter" "" "What went wrong in a helper, once a request at most.";
}

/// Upper bounds of the buckets, in milliseconds: edges of [`Histogram`]'s own, so that the counts are exact.
const BOUNDS_MILLIS: [u64; 16] =
    [1, 2, 5, 10, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200];

/// One family and what it says now.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) metric: Metric,
    pub(super) samples: Vec<Sample>,
}

/// One line.
#[derive(Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) suffix: &'static str,
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: Value,
}

/// A number in the form in which it is exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    Count(u64),
    Seconds(Span),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(n) => write!(f, "{n}"),
            Self::Seconds(span) => write!(f, "{}.{:03}", span.as_secs(), span.as_millis() % 1000),
        }
    }
}

impl Family {
    fn new(metric: Metric) -> Self {
        Self { metric, samples: Vec::new() }
    }

    fn one(metric: Metric, value: Value) -> Self {
        let mut family = Self::new(metric);
        family.add(&[], value);
        family
    }

    fn count(metric: Metric, n: u64) -> Self {
        Self::one(metric, Value::Count(n))
    }

    fn add(&mut self, labels: &[(&'static str, &str)], value: Value) {
        let suffix = match self.metric.kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        self.push(suffix, labels, value);
    }

    fn push(&mut self, suffix: &'static str, labels: &[(&'static str, &str)], value: Value) {
        let labels = labels.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        self.samples.push(Sample { suffix, labels, value });
    }

    /// One sample for each state there is; the current one has 1.
    fn add_states(&mut self, labels: &[(&'static str, &str)], states: &[&str], current: &str) {
        for state in states {
            let labels = [labels, &[(self.metric.name, *state)]].concat();
            self.add(&labels, Value::Count(u64::from(*state == current)));
        }
    }

    /// One sample for each name and each of its indices that was counted.
    fn by_index(
        metric: Metric,
        name: &'static str,
        index: &'static str,
        of: &Named<Tally>,
        words: &[&str],
    ) -> Self {
        let mut family = Self::new(metric);
        for (label, tally) in of.iter() {
            for (word, (_, n)) in words.iter().zip(tally.iter()).filter(|(_, (_, n))| *n > 0) {
                family.add(&[(name, label), (index, word)], Value::Count(n));
            }
        }
        family
    }

    fn add_histogram(&mut self, who: &str, histogram: &Histogram) {
        let who = ("answered_by", who);
        for bound in BOUNDS_MILLIS.map(Span::from_millis) {
            let below = Value::Count(histogram.count_below(bound));
            self.push("_bucket", &[who, ("le", &le(bound))], below);
        }
        let count = Value::Count(histogram.count());
        self.push("_bucket", &[who, ("le", "+Inf")], count);
        self.push("_count", &[who], count);
        self.push("_sum", &[who], Value::Seconds(histogram.sum()));
    }
}

/// The canonical form of a float (OpenMetrics 1.0, "Considerations: Canonical Numbers"): no needless zeros.
fn le(bound: Span) -> String {
    let text = Value::Seconds(bound).to_string();
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

/// Everything that is known now.
pub(super) fn families(live: &Live, now: Timestamp) -> Vec<Family> {
    let totals = live.totals();
    let classes: [String; STATUS_CLASSES] = std::array::from_fn(|digit| format!("{digit}xx"));
    let classes = classes.each_ref().map(String::as_str);
    let started = Span::from_millis(live.started().as_millis());
    let mut build = Family::new(BUILD);
    build.add(&[("version", env!("CARGO_PKG_VERSION"))], Value::Count(1));
    let mut health = Family::new(HEALTH);
    health.add_states(&[], &Status::ALL.map(Status::as_str), Health::of(live, now).status.as_str());
    let mut duration = Family::new(DURATION);
    totals.answers.iter().for_each(|(who, histogram)| duration.add_histogram(who, histogram));
    let mut forwards = Family::new(FORWARDS);
    totals.forwards.iter().for_each(|(reason, n)| forwards.add(&[("reason", reason)], Value::Count(*n)));
    let mut similar = Family::new(SIMILAR);
    totals.similar.iter().for_each(|(outcome, n)| similar.add(&[("outcome", outcome)], Value::Count(*n)));
    let mut deliveries = Family::new(DELIVERIES);
    totals.deliveries.iter().for_each(|(result, n)| deliveries.add(&[("result", result)], Value::Count(*n)));
    let mut incidents = Family::new(INCIDENTS);
    for incident in Incident::ALL {
        let n = totals.incidents.get(incident as usize);
        incidents.add(&[("incident", incident.as_str())], Value::Count(n));
    }
    let mut limiter = Family::new(LIMITER);
    for event in LimiterEvent::ALL {
        limiter.add(&[("event", event.as_str())], Value::Count(totals.limiter.get(event as usize)));
    }
    let [states, open] = endpoints(live, now);
    vec![
        build,
        Family::one(START, Value::Seconds(started)),
        Family::count(ISOLATES, live.isolates(now) as u64),
        health,
        requests(&totals.routes, &classes),
        duration,
        Family::by_index(ADMISSIONS, "tier", "verdict", &totals.tiers, &Verdict::LABELS),
        Family::by_index(REFUSALS, "policy", "reason", &totals.policies, &Refusal::ALL.map(Refusal::as_str)),
        checks(&totals.checks),
        limiter,
        forwards,
        similar,
        deliveries,
        Family::count(COLLAPSED, totals.collapsed),
        Family::count(ATTEMPTS, totals.origin_attempts),
        Family::count(FAILOVERS, totals.failovers),
        Family::count(HEDGES, totals.hedges),
        Family::by_index(ENDPOINT_REQUESTS, "endpoint", "status", &totals.endpoints, &classes),
        states,
        open,
        Family::count(BYTES, totals.bytes),
        Family::count(UNKNOWN_LENGTH, totals.unknown_length),
        incidents,
    ]
}

fn checks(checks: &Named<Tally>) -> Family {
    let mut family = Family::new(CHECKS);
    for (pair, tally) in checks.iter() {
        let (policy, tier) = pair.split_once(' ').unwrap_or((pair, pair));
        for kind in LimitCount::ALL.into_iter().filter(|kind| tally.get(*kind as usize) > 0) {
            let labels = [("policy", policy), ("tier", tier), ("what", kind.as_str())];
            family.add(&labels, Value::Count(tally.get(kind as usize)));
        }
    }
    family
}

fn requests(routes: &Named<Tally>, classes: &[&str]) -> Family {
    let mut family = Family::new(REQUESTS);
    for (route, tally) in routes.iter() {
        for method in MethodClass::ALL {
            for (class, status) in classes.iter().enumerate() {
                let n = tally.get(status_index(method, class));
                if n > 0 {
                    let labels = [("route", route), ("method", method.as_str()), ("status", status)];
                    family.add(&labels, Value::Count(n));
                }
            }
        }
    }
    family
}

fn endpoints(live: &Live, now: Timestamp) -> [Family; 2] {
    let (mut states, mut open) = (Family::new(ENDPOINT_STATE), Family::new(ENDPOINT_OPEN));
    let words = EndpointState::ALL.map(EndpointState::as_str);
    for view in live.endpoints(now) {
        let labels = [("pool", &*view.pool), ("endpoint", &*view.endpoint)];
        states.add_states(&labels, &words, view.state.as_str());
        open.add(&labels, Value::Count(u64::from(view.open_in)));
    }
    [states, open]
}
