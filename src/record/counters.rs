//! The fold of events: bounded numbers that travel from each isolate to the metrics object.

use serde::{Deserialize, Serialize};

use super::event::{AnsweredBy, Event, Incident, LimiterEvent, MethodClass, Verdict};
use super::histogram::Histogram;
use super::limits::{Busiest, LimitCount};
use super::tally::{Merge, Named, Tally};

/// Status classes that are told apart: the first digit of a status, 0 to 9.
pub(super) const STATUS_CLASSES: usize = 10;

/// Everything that is counted. Names are bounded (see [`Named`]), all else is a closed set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// By route: requests by method class and status class, at [`status_index`].
    #[serde(rename = "r", skip_serializing_if = "Named::is_empty")]
    pub routes: Named<Tally>,
    /// By tier: requests by [`Verdict`].
    #[serde(rename = "t", skip_serializing_if = "Named::is_empty")]
    pub tiers: Named<Tally>,
    /// By policy: refused requests by [`Refusal`](super::Refusal).
    #[serde(rename = "p", skip_serializing_if = "Named::is_empty")]
    pub policies: Named<Tally>,
    /// By policy and tier, with a space between them: what became of it, by [`LimitCount`].
    #[serde(rename = "k", skip_serializing_if = "Named::is_empty")]
    pub checks: Named<Tally>,
    /// The partitions that asked most.
    #[serde(rename = "y", skip_serializing_if = "Busiest::is_empty")]
    pub busiest: Busiest,
    /// By route: the URLs whose stored responses were asked for most.
    #[serde(rename = "w", skip_serializing_if = "Named::is_empty")]
    pub hot: Named<Busiest>,
    /// By endpoint: requests that it was the last to be asked for, by status class.
    #[serde(rename = "e", skip_serializing_if = "Named::is_empty")]
    pub endpoints: Named<Tally>,
    /// By the reason for which the cache forwarded (RFC 9211): requests.
    #[serde(rename = "f", skip_serializing_if = "Named::is_empty")]
    pub forwards: Named<u64>,
    /// By what came of it: prompts that were similar to one already answered.
    #[serde(rename = "s", skip_serializing_if = "Named::is_empty")]
    pub similar: Named<u64>,
    /// By what came of them: changes that were accepted for delivery, and attempts to deliver them.
    #[serde(rename = "d", skip_serializing_if = "Named::is_empty")]
    pub deliveries: Named<u64>,
    /// By who answered ([`AnsweredBy::as_str`]): how long requests took.
    #[serde(rename = "l", skip_serializing_if = "Named::is_empty")]
    pub answers: Named<Histogram>,
    /// By [`Incident`]: how often.
    #[serde(rename = "i", skip_serializing_if = "Tally::is_empty")]
    pub incidents: Tally,
    /// By [`LimiterEvent`]: how often.
    #[serde(rename = "m", skip_serializing_if = "Tally::is_empty")]
    pub limiter: Tally,
    /// Requests that shared another's way to the origin.
    #[serde(rename = "c", skip_serializing_if = "is_zero")]
    pub collapsed: u64,
    /// How often an origin was asked.
    #[serde(rename = "a", skip_serializing_if = "is_zero")]
    pub origin_attempts: u64,
    /// Requests for which another endpoint than the first choice was asked.
    #[serde(rename = "o", skip_serializing_if = "is_zero")]
    pub failovers: u64,
    /// Requests for which a second attempt was sent beside the first.
    #[serde(rename = "h", skip_serializing_if = "is_zero")]
    pub hedges: u64,
    /// Bytes of bodies whose length was known beforehand.
    #[serde(rename = "b", skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// Responses whose length was not known beforehand.
    #[serde(rename = "u", skip_serializing_if = "is_zero")]
    pub unknown_length: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Where a request of this method class and status class is counted in [`Counters::routes`].
pub(super) const fn status_index(method: MethodClass, class: usize) -> usize {
    method as usize * STATUS_CLASSES + class
}

/// How many of a route's requests got a 5xx status.
pub(super) fn server_errors(route: &Tally) -> u64 {
    MethodClass::ALL.into_iter().map(|method| route.get(status_index(method, 5))).sum()
}

fn class_of(status: u16) -> usize {
    usize::from(status / 100).min(STATUS_CLASSES - 1)
}

impl Counters {
    /// Counts one request.
    pub fn add(&mut self, event: &Event) {
        let class = class_of(event.status);
        count(&mut self.routes, &event.route, status_index(event.method, class));
        count(&mut self.tiers, &event.tier, event.verdict.index());
        if let (Verdict::Refused { policy }, AnsweredBy::Limiter(refusal)) =
            (&event.verdict, event.answered_by)
        {
            count(&mut self.policies, policy, refusal as usize);
        }
        if let Some(endpoint) = &event.endpoint {
            count(&mut self.endpoints, endpoint, class);
        }
        if let Some(reason) = event.forward {
            self.forwards.add(reason, &1);
        }
        if let Some(histogram) = self.answers.entry(event.answered_by.as_str()) {
            histogram.add(event.duration);
        }
        event.incidents.iter().for_each(|incident| self.add_incident(incident));
        self.collapsed += u64::from(event.collapsed);
        self.origin_attempts += u64::from(event.origin_attempts);
        self.failovers += u64::from(event.failover);
        self.hedges += u64::from(event.hedged);
        match event.bytes {
            Some(bytes) => self.bytes = self.bytes.saturating_add(bytes),
            None => self.unknown_length += 1,
        }
    }

    /// Counts what became of a policy for a client of this tier.
    pub fn add_check(&mut self, policy: &str, tier: &str, what: LimitCount) {
        if let Some(tally) = self.checks.pair(policy, tier) {
            tally.add(what as usize, 1);
        }
    }

    /// Counts what went wrong outside a request: in a deferred task, or in one that trapped.
    pub fn add_incident(&mut self, incident: Incident) {
        self.incidents.add(incident as usize, 1);
    }

    /// Counts what the limiter did.
    pub fn add_limiter(&mut self, what: LimiterEvent, times: u64) {
        self.limiter.add(what as usize, times);
    }

    /// Adds another's numbers to these: order does not matter.
    pub fn merge(&mut self, other: &Self) {
        self.routes.merge(&other.routes);
        self.tiers.merge(&other.tiers);
        self.policies.merge(&other.policies);
        self.checks.merge(&other.checks);
        self.busiest.merge(&other.busiest);
        self.hot.merge(&other.hot);
        self.endpoints.merge(&other.endpoints);
        self.forwards.merge(&other.forwards);
        self.similar.merge(&other.similar);
        self.deliveries.merge(&other.deliveries);
        self.answers.merge(&other.answers);
        self.incidents.merge(&other.incidents);
        self.limiter.merge(&other.limiter);
        self.collapsed.merge(&other.collapsed);
        self.origin_attempts.merge(&other.origin_attempts);
        self.failovers.merge(&other.failovers);
        self.hedges.merge(&other.hedges);
        self.bytes.merge(&other.bytes);
        self.unknown_length.merge(&other.unknown_length);
    }

    /// How many requests were counted.
    pub fn requests(&self) -> u64 {
        self.routes.iter().map(|(_, tally)| tally.total()).sum()
    }

    /// How many of them got a 5xx status.
    pub fn server_errors(&self) -> u64 {
        self.routes.iter().map(|(_, tally)| server_errors(tally)).sum()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn count(named: &mut Named<Tally>, name: &str, index: usize) {
    if let Some(tally) = named.entry(name) {
        tally.add(index, 1);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::event::{Incidents, Refusal, Staleness};
    use super::*;
    use crate::time::{Span, Timestamp};

    /// A GET that a layer answered with 200.
    pub(crate) fn event() -> Event {
        Event {
            at: Timestamp::from_secs(1_789_000_000),
            route: "api".into(),
            method: MethodClass::Read,
            status: 200,
            tier: "anonymous".into(),
            answered_by: AnsweredBy::Memory,
            verdict: Verdict::Admitted,
            forward: None,
            collapsed: false,
            origin_attempts: 0,
            failover: false,
            hedged: false,
            endpoint: None,
            duration: Span::from_millis(3),
            bytes: Some(100),
            incidents: Incidents::new(),
        }
    }

    /// A GET that the limiter refused.
    pub(crate) fn refusal() -> Event {
        Event {
            status: 429,
            answered_by: AnsweredBy::Limiter(Refusal::Quota),
            verdict: Verdict::Refused { policy: "pro-minute".into() },
            ..event()
        }
    }

    /// A GET for which the second endpoint answered 503.
    pub(crate) fn failure() -> Event {
        Event {
            status: 503,
            answered_by: AnsweredBy::Origin,
            forward: Some("uri-miss"),
            origin_attempts: 2,
            failover: true,
            hedged: false,
            endpoint: Some("origin-b".into()),
            duration: Span::from_millis(700),
            bytes: None,
            incidents: [Incident::KvError].into_iter().collect(),
            ..event()
        }
    }

    pub(crate) fn count_of(events: &[Event]) -> Counters {
        let mut counters = Counters::default();
        events.iter().for_each(|event| counters.add(event));
        counters
    }

    #[test]
    fn each_part_of_an_event_is_counted_once() {
        let counters = count_of(&[event(), refusal(), failure()]);
        assert_eq!((counters.requests(), counters.server_errors()), (3, 1));
        assert_eq!(counters.tiers.get("anonymous").unwrap().get(Verdict::REFUSED), 1);
        assert_eq!(counters.policies.get("pro-minute").unwrap().get(Refusal::Quota as usize), 1);
        assert_eq!(counters.endpoints.get("origin-b").unwrap().get(5), 1);
        assert_eq!(counters.forwards.get("uri-miss"), Some(&1));
        assert_eq!(counters.answers.get("memory").unwrap().count(), 1);
        assert_eq!(counters.incidents.get(Incident::KvError as usize), 1);
        assert_eq!((counters.origin_attempts, counters.failovers, counters.collapsed), (2, 1, 0));
        assert_eq!((counters.bytes, counters.unknown_length), (200, 1));
    }

    #[test]
    fn what_was_not_counted_is_not_sent() {
        assert_eq!(serde_json::to_string(&Counters::default()).unwrap(), "{}");
        let text = serde_json::to_string(&count_of(&[event()])).unwrap();
        assert!(text.len() < 150, "{text}");
    }

    #[test]
    fn a_status_out_of_range_is_counted_with_the_nearest() {
        for status in [0, 99, 999, u16::MAX] {
            assert_eq!(count_of(&[Event { status, ..event() }]).requests(), 1, "{status}");
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let who = prop::sample::select(vec![
            AnsweredBy::Memory,
            AnsweredBy::Origin,
            AnsweredBy::Stale(Staleness::IfError),
            AnsweredBy::Limiter(Refusal::Capacity),
        ]);
        (0..5_u8, 100..600_u16, who, 0..100_000_u64, any::<Option<u32>>(), 0..4_u8).prop_map(
            |(route, status, answered_by, millis, bytes, attempts)| Event {
                route: format!("route-{route}").into(),
                status,
                answered_by,
                duration: Span::from_millis(millis),
                bytes: bytes.map(u64::from),
                origin_attempts: attempts,
                failover: attempts > 1,
                hedged: false,
                ..event()
            },
        )
    }

    proptest! {
        #[test]
        fn counting_in_two_isolates_and_merging_is_counting_in_one(
            events in prop::collection::vec(any_event(), 0..60),
            split in any::<prop::sample::Index>(),
        ) {
            let (here, there) = events.split_at(split.index(events.len() + 1));
            let mut merged = count_of(here);
            let sent = serde_json::to_string(&count_of(there)).unwrap();
            merged.merge(&serde_json::from_str(&sent).unwrap());
            prop_assert_eq!(merged, count_of(&events));
        }
    }
}
