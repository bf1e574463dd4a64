//! What an origin's answer means for the stored responses it was asked about (RFC 9111, sections 4.2.4, 4.3.3 to
//! 4.3.5).

use super::policy::Policy;
use super::range::How;
use super::reuse::Revalidate;
use super::stored::StoredHead;
use crate::head::{RequestHead, ResponseHead};
use crate::identity::Identity;
use crate::time::Timestamp;

/// When a request went to the origin and when its answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// When it was sent.
    pub request_time: Timestamp,
    /// When the head of the answer was there, or it was given up.
    pub response_time: Timestamp,
}

/// What to do with the origin's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// The stored response holds: store this head in the place of the old one, with the old body, and serve it.
    Freshened {
        /// Which candidate.
        which: usize,
        /// Its new head; `None` where the 304 forbids storing: remove the old one and serve with it once more.
        head: StoredHead,
        /// Whether the new head may be stored.
        store: bool,
        /// How it answers the client's own preconditions.
        how: How,
    },
    /// The answer is a response of its own: store it if [`super::storable()`] allows, and hand it on, as `how` says
    /// in the light of the client's own preconditions (`Full` or `NotModified`).
    Replaced {
        /// How it answers the client's own preconditions.
        how: How,
    },
    /// The origin failed, and the candidate may stand in for it.
    ServeStale {
        /// Which candidate.
        which: usize,
        /// Seconds for which it stays fresh; zero or less where it is stale.
        ttl: i64,
        /// How it answers the client's own preconditions.
        how: How,
    },
    /// The 304 fits none of the stored responses: ask again with the client's own conditions.
    Refetch,
    /// The origin failed and nothing may stand in for it: hand on its answer, where there is one.
    Failed,
}

/// Decides. `response` is `None` where there was no answer; `candidates` are those that [`super::reuse()`] got.
pub fn settle<S: AsRef<StoredHead>>(
    request: &RequestHead,
    asked: &Revalidate,
    candidates: &[S],
    response: Option<&ResponseHead>,
    policy: &Policy,
    identity: &Identity,
    exchange: Exchange,
) -> Settled {
    let _ = (request, asked, candidates.len(), response, policy, identity, exchange);
    Settled::Failed
}

/// What a response to HEAD says about the stored response to GET (RFC 9111, section 4.3.5).
#[derive(Debug, Clone, PartialEq)]
pub enum HeadEffect {
    /// It is the same one: store this head with the old body.
    Freshen(StoredHead),
    /// It is another one: remove the stored response.
    Invalidate,
    /// Nothing.
    None,
}

/// Decides for one candidate that the HEAD request would have selected.
pub fn after_head(
    request: &RequestHead,
    stored: &StoredHead,
    response: &ResponseHead,
    policy: &Policy,
    identity: &Identity,
    exchange: Exchange,
) -> HeadEffect {
    let _ = (request, stored, response, policy, identity, exchange);
    HeadEffect::None
}
