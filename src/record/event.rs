//! What happened to one request, and the closed sets of words in which it is said.

use std::rc::Rc;

use crate::head::Method;
use crate::identity::Tier;
use crate::time::{Span, Timestamp};

/// One request, seen from its end. tidegate's own endpoints make none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When the response's head was ready.
    pub at: Timestamp,
    /// Name of the route that took the request.
    pub route: Rc<str>,
    /// What kind of method asked.
    pub method: MethodClass,
    /// The status that the client got.
    pub status: u16,
    /// What the client is entitled to.
    pub tier: Tier,
    /// Who made the response.
    pub answered_by: AnsweredBy,
    /// What admission said.
    pub verdict: Verdict,
    /// Why the cache did not answer alone: the `fwd` token of RFC 9211; `None` on a hit or without a cache.
    pub forward: Option<&'static str>,
    /// Whether it shared another request's way to the origin.
    pub collapsed: bool,
    /// How often an origin was asked.
    pub origin_attempts: u8,
    /// Whether another endpoint than the first choice was asked.
    pub failover: bool,
    /// Whether a second attempt was sent beside the first.
    pub hedged: bool,
    /// The endpoint that was asked last.
    pub endpoint: Option<Rc<str>>,
    /// From the request's arrival to its response's head.
    pub duration: Span,
    /// Length of the body, where it is known beforehand.
    pub bytes: Option<u64>,
    /// What went wrong on the way without failing the request.
    pub incidents: Incidents,
}

/// What a request does to its target (RFC 9110, section 9.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodClass {
    /// GET, HEAD, OPTIONS, QUERY, TRACE.
    Read,
    /// POST, PUT, PATCH, DELETE.
    Write,
    /// A method that tidegate does not know.
    Other,
}

impl MethodClass {
    /// In the order of their index.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Other];

    /// The class of a method.
    pub fn of(method: &Method) -> Self {
        match method {
            Method::Other(_) => Self::Other,
            known if known.is_safe() => Self::Read,
            _ => Self::Write,
        }
    }

    /// As a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Other => "other",
        }
    }
}

/// Why a stale response was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staleness {
    /// It is refreshed in the background (`stale-while-revalidate`, RFC 5861).
    WhileRevalidate,
    /// The origin failed (`stale-if-error`, RFC 5861).
    IfError,
}

/// Why admission said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The quota of a policy is used up.
    Quota,
    /// There is no room at the moment: too many open connections, a full or slow queue, an origin's quota that is spent.
    Capacity,
    /// The client is in the penalty box or on a deny list.
    Abuse,
    /// The limiter can't be reached and its policy says to refuse then.
    LimiterUnreachable,
}

impl Refusal {
    /// In the order of their index.
    pub const ALL: [Self; 4] = [Self::Quota, Self::Capacity, Self::Abuse, Self::LimiterUnreachable];

    /// As a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Capacity => "capacity",
            Self::Abuse => "abuse",
            Self::LimiterUnreachable => "limiter-unreachable",
        }
    }
}

/// Who made the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The isolate's own memory, fresh.
    Memory,
    /// The data centre's Cache API, fresh.
    Colo,
    /// Global KV, fresh.
    Kv,
    /// An origin, a validation by it included.
    Origin,
    /// A stored response past its lifetime.
    Stale(Staleness),
    /// The route's static fallback.
    Static,
    /// Admission refused.
    Limiter(Refusal),
    /// tidegate itself, by rule: a redirect, a refused method, a detected loop.
    Tidegate,
    /// A problem document, since everything else had failed.
    Error,
}

impl AnsweredBy {
    /// As a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Colo => "colo",
            Self::Kv => "kv",
            Self::Origin => "origin",
            Self::Stale(Staleness::WhileRevalidate) => "stale-while-revalidate",
            Self::Stale(Staleness::IfError) => "stale-if-error",
            Self::Static => "static",
            Self::Limiter(_) => "limiter",
            Self::Tidegate => "tidegate",
            Self::Error => "error",
        }
    }
}

/// What admission said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No policy holds for the request.
    None,
    /// Every policy had room.
    Admitted,
    /// The named policy had none; why, says [`AnsweredBy::Limiter`].
    Refused {
        /// Name of the policy.
        policy: Rc<str>,
    },
    /// The limiter could not be reached, and the request was let through.
    Degraded,
}

impl Verdict {
    /// The label of each index. A new one goes to the end: counters on their way hold the index.
    pub const LABELS: [&'static str; 4] = ["none", "admitted", "refused", "degraded"];

    /// The index of [`Self::Refused`].
    pub const REFUSED: usize = 2;

    /// Its place in a [`Tally`](super::Tally).
    pub const fn index(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Admitted => 1,
            Self::Refused { .. } => Self::REFUSED,
            Self::Degraded => 3,
        }
    }
}

/// What the limiter did to count requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimiterEvent {
    /// A limiter's object was called.
    Call,
    /// A call was saved: a lease was spent, or a refusal was known.
    Saved,
    /// A lease was granted.
    Lease,
    /// A unit went out on lease.
    Leased,
    /// A unit came back unspent.
    GivenBack,
    /// A request was refused that there was room for, since isolates hold it on lease.
    Early,
    /// The first request of a client was let through, and counted meanwhile.
    Provisional,
}

impl LimiterEvent {
    /// In the order of their index. A new one goes to the end: counters on their way hold the index.
    pub const ALL: [Self; 7] =
        [Self::Call, Self::Saved, Self::Lease, Self::Leased, Self::GivenBack, Self::Early, Self::Provisional];

    /// As a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Saved => "call-saved",
            Self::Lease => "lease",
            Self::Leased => "unit-leased",
            Self::GivenBack => "unit-given-back",
            Self::Early => "refused-early",
            Self::Provisional => "provisional",
        }
    }
}

/// Something that went wrong in a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// KV failed; the look-up counted as a miss.
    KvError,
    /// KV was slower than its budget; the look-up counted as a miss.
    KvSlow,
    /// The Cache API failed; the look-up counted as a miss.
    ColoError,
    /// A response could not be stored.
    StoreFailed,
    /// A stored response could not be read back.
    UnreadableRecord,
    /// The limiter failed or was slower than its budget.
    LimiterUnreachable,
    /// A credential was shown that does not hold.
    AuthRejected,
    /// The key store or a JWKS could not be read.
    AuthUnavailable,
    /// The wasm trapped; requests in flight went straight to their origin.
    Trap,
    /// A request came back to tidegate (RFC 8586).
    LoopDetected,
    /// An origin's body ended before its end.
    TruncatedBody,
    /// A delta of counters did not reach the metrics object.
    MetricsUnreachable,
    /// A pool was left out, since the deployment lacks its secret.
    SecretMissing,
    /// The object that probes endpoints can't be reached.
    HealthUnreachable,
    /// The file of a static fallback could not be had.
    FallbackMissing,
    /// The object that keeps changes for their delivery failed or was too slow.
    DeliveriesUnreachable,
    /// A change could not be delivered, and is not tried any more.
    DeadLetter,
    /// A replica did not say how far behind it is.
    ProbeFailed,
    /// A key's shield failed or was slower than its budget.
    ShieldUnreachable,
    /// What the fleet shares could not be read; the isolate went on with what it knew.
    FleetUnreachable,
}

impl Incident {
    /// In the order of their index. A new one goes to the end: counters on their way hold the index.
    pub const ALL: [Self; 20] = [
        Self::KvError,
        Self::KvSlow,
        Self::ColoError,
        Self::StoreFailed,
        Self::UnreadableRecord,
        Self::LimiterUnreachable,
        Self::AuthRejected,
        Self::AuthUnavailable,
        Self::Trap,
        Self::LoopDetected,
        Self::TruncatedBody,
        Self::MetricsUnreachable,
        Self::SecretMissing,
        Self::HealthUnreachable,
        Self::FallbackMissing,
        Self::DeliveriesUnreachable,
        Self::DeadLetter,
        Self::ProbeFailed,
        Self::ShieldUnreachable,
        Self::FleetUnreachable,
    ];

    /// As a label and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KvError => "kv-error",
            Self::KvSlow => "kv-slow",
            Self::ColoError => "colo-error",
            Self::StoreFailed => "store-failed",
            Self::UnreadableRecord => "unreadable-record",
            Self::LimiterUnreachable => "limiter-unreachable",
            Self::AuthRejected => "auth-rejected",
            Self::AuthUnavailable => "auth-unavailable",
            Self::Trap => "trap",
            Self::LoopDetected => "loop-detected",
            Self::TruncatedBody => "truncated-body",
            Self::MetricsUnreachable => "metrics-unreachable",
            Self::ShieldUnreachable => "shield-unreachable",
            Self::SecretMissing => "secret-missing",
            Self::HealthUnreachable => "health-unreachable",
            Self::FallbackMissing => "fallback-missing",
            Self::DeliveriesUnreachable => "deliveries-unreachable",
            Self::DeadLetter => "dead-letter",
            Self::ProbeFailed => "probe-failed",
            Self::FleetUnreachable => "fleet-unreachable",
        }
    }

    /// Whether it means that tidegate works with less than it should. A wrong password does not.
    pub const fn degrades(self) -> bool {
        match self {
            Self::AuthRejected | Self::LoopDetected | Self::KvSlow | Self::MetricsUnreachable => false,
            Self::KvError
            | Self::ColoError
            | Self::StoreFailed
            | Self::UnreadableRecord
            | Self::LimiterUnreachable
            | Self::ShieldUnreachable
            | Self::AuthUnavailable
            | Self::Trap
            | Self::ProbeFailed
            | Self::TruncatedBody
            | Self::SecretMissing
            | Self::FleetUnreachable
            | Self::FallbackMissing
            | Self::HealthUnreachable => true,
            Self::DeliveriesUnreachable | Self::DeadLetter => true,
        }
    }
}

/// A set of [`Incident`]s: each counts once a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Incidents(u32);

impl Incidents {
    /// None.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds one.
    pub fn insert(&mut self, incident: Incident) {
        self.0 |= 1 << incident as u32;
    }

    /// Whether it is in.
    pub const fn contains(self, incident: Incident) -> bool {
        self.0 & (1 << incident as u32) != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in.
    pub fn iter(self) -> impl Iterator<Item = Incident> {
        Incident::ALL.into_iter().filter(move |incident| self.contains(*incident))
    }
}

impl FromIterator<Incident> for Incidents {
    fn from_iter<I: IntoIterator<Item = Incident>>(incidents: I) -> Self {
        let mut set = Self::new();
        incidents.into_iter().for_each(|incident| set.insert(incident));
        set
    }
}

#[cfg(test)]
mod tests;
