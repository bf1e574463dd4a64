//! The fold of events: bounded numbers that travel from each isolate to the metrics object.

use serde::{Deserialize, Serialize};

use super::event::{AnsweredBy, Event, Incident, MethodClass, Verdict};
use super::histogram::Histogram;
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
    /// By endpoint: requests that it was the last to be asked for, by status class.
    #[serde(rename = "e", skip_serializing_if = "Named::is_empty")]
    pub endpoints: Named<Tally>,
    /// By the reason for which the cache forwarded (RFC 9211): requests.
    #[serde(rename = "f", skip_serializing_if = "Named::is_empty")]
    pub forwards: Named<u64>,
    /// By who answered ([`AnsweredBy::as_str`]): how long requests took.
    #[serde(rename = "l", skip_serializing_if = "Named::is_empty")]
    pub answers: Named<Histogram>,
    /// By [`Incident`]: how often.
    #[serde(rename = "i", skip_serializing_if = "Tally::is_empty")]
    pub incidents: Tally,
    /// Requests that shared another's way to the origin.
    #[serde(rename = "c", skip_serializing_if = "is_zero")]
    pub collapsed: u64,
    /// How often an origin was asked.
    #[serde(rename = "a", skip_serializing_if = "is_zero")]
    pub origin_attempts: u64,
    /// Requests for which another endpoint than the first choice was asked.
    #[serde(rename = "o", skip_serializing_if = "is_zero")]
    pub failovers: u64,
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
        match event.bytes {
            Some(bytes) => self.bytes = self.bytes.saturating_add(bytes),
            None => self.unknown_length += 1,
        }
    }

    /// Counts what went wrong outside a request: in a deferred task, or in one that trapped.
    pub fn add_incident(&mut self, incident: Incident) {
        self.incidents.add(incident as usize, 1);
    }

    /// Adds another's numbers to these: order does not matter.
    pub fn merge(&mut self, other: &Self) {
        self.routes.merge(&other.routes);
        self.tiers.merge(&other.tiers);
        self.policies.merge(&other.policies);
        self.endpoints.merge(&other.endpoints);
        self.forwards.merge(&other.forwards);
        self.answers.merge(&other.answers);
        self.incidents.merge(&other.incidents);
        self.collapsed.merge(&other.collapsed);
        self.origin_attempts.merge(&other.origin_attempts);
        self.failovers.merge(&other.failovers);
        self.bytes.merge(&other.bytes);
        self.unknown_length.merge(&other.unknown_length);
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
