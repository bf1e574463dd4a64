//! What an origin's answer means for the stored responses it was asked about (RFC 9111, sections 4.2.4 and 4.3.3 to
//! 4.3.5).

use super::key::StorageKey;
use super::policy::Policy;
use super::range::How;
use super::reuse::Revalidate;
use super::stored::{Exchange, Freshened, StoredHead};
use super::variants::VariantIndex;
use super::{date, validator};
use crate::head::{Fields, RequestHead, ResponseHead};
use crate::identity::Identity;

/// What to do with the origin's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// A stored response holds: serve it with its new head, and store that with the old body, where it may be
    /// stored. Its storage key is another than before where Vary had not selected it.
    Freshened {
        /// Which candidate.
        which: usize,
        /// Its new head.
        freshened: Box<Freshened>,
        /// How it answers the client's own preconditions.
        how: How,
    },
    /// A variant holds that is not among the candidates: read it, and settle again with it alone as candidate.
    Load(StorageKey),
    /// The answer is a response of its own: store it if [`super::storable()`] allows, and hand it on.
    Replaced {
        /// `NotModified` where tidegate's conditions stood in the place of the client's, and those say that the
        /// client has this response; else `Full`.
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
    /// There was no answer, and nothing may stand in for it.
    Failed,
}

/// Decides. `response` is `None` where there was no answer; `candidates` and `index` are those that
/// [`super::reuse()`] got.
#[expect(clippy::too_many_arguments, reason = "a pure decision names all that it depends on")]
pub fn settle<S: AsRef<StoredHead>>(
    request: &RequestHead,
    asked: &Revalidate,
    candidates: &[S],
    index: Option<&VariantIndex>,
    response: Option<&ResponseHead>,
    policy: &Policy,
    identity: &Identity,
    exchange: Exchange,
) -> Settled {
    let candidate = |which: usize| candidates.get(which).map(AsRef::as_ref);
    match response {
        Some(answer) if answer.status == 304 && !asked.conditions.is_empty() => {
            let heads: Vec<&StoredHead> = candidates.iter().map(AsRef::as_ref).collect();
            let Some(which) = confirmed(&answer.fields, asked.which, &heads) else {
                return unloaded(&answer.fields, index).map_or(Settled::Refetch, Settled::Load);
            };
            let Some(head) = candidate(which) else { return Settled::Refetch };
            let freshened = head.freshen(request, answer, policy, identity, exchange);
            let how = freshened.head.answers(request);
            Settled::Freshened { which, freshened: Box::new(freshened), how }
        }
        Some(answer) if !is_error(answer.status) => {
            Settled::Replaced { how: as_asked(request, asked, answer, exchange) }
        }
        _ => {
            let allowed = asked.stale_until.is_some_and(|until| exchange.response_time < until);
            match asked.which.filter(|_| allowed).and_then(|which| Some((which, candidate(which)?))) {
                Some((which, head)) => Settled::ServeStale {
                    which,
                    ttl: head.ttl(exchange.response_time),
                    how: head.answers(request),
                },
                None if response.is_some() => Settled::Replaced { how: How::Full },
                None => Settled::Failed,
            }
        }
    }
}

/// The statuses that count as errors (RFC 5861, section 4).
const fn is_error(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// How a new response answers the conditions that were taken from the request on its way.
fn as_asked(request: &RequestHead, asked: &Revalidate, answer: &ResponseHead, exchange: Exchange) -> How {
    if asked.conditions.is_empty() {
        return How::Full;
    }
    // Its length is held back, since a body that passes through is not cut.
    How::new(request, answer.status, &answer.fields, None, exchange.response_time)
}

/// Which stored response a 304 confirms (RFC 9111, section 4.3.4): one with its entity tag; where either has none, one
/// with its Last-Modified; without both the one that was asked about, which comes first, since several may fit.
/// Tags are compared as the origin compared them, weakly.
fn confirmed(answer: &Fields, asked: Option<usize>, heads: &[&StoredHead]) -> Option<usize> {
    let fits = |at: &usize| {
        let Some(head) = heads.get(*at) else { return false };
        match (validator::etag(answer), validator::etag(&head.fields)) {
            (Some(one), Some(other)) => validator::same_weakly(one, other),
            _ => match date::field(answer, "last-modified") {
                Some(modified) => date::field(&head.fields, "last-modified") == Some(modified),
                None => asked == Some(*at),
            },
        }
    };
    asked.into_iter().chain(0..heads.len()).find(fits)
}

/// The variant that a 304 confirms and that only the index knows.
fn unloaded(answer: &Fields, index: Option<&VariantIndex>) -> Option<StorageKey> {
    let tag = validator::etag(answer)?;
    let has_tag = |known: &str| validator::same_weakly(known, tag);
    let mut variants = index?.variants.iter();
    variants.find(|variant| variant.etag.as_deref().is_some_and(has_tag)).map(|variant| variant.key)
}

/// What a response to HEAD says about the stored response to GET (RFC 9111, section 4.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadEffect {
    /// It is the same one: store this head with the old body, where it may be stored.
    Freshen(Box<Freshened>),
    /// It is another one: remove the stored response.
    Invalidate,
    /// Nothing.
    None,
}

/// Decides for a stored response that the HEAD request would have selected.
pub fn after_head(
    request: &RequestHead,
    stored: &StoredHead,
    response: &ResponseHead,
    policy: &Policy,
    identity: &Identity,
    exchange: Exchange,
) -> HeadEffect {
    if response.status != 200 || request.method != crate::head::Method::Head {
        return HeadEffect::None;
    }
    let same = |name| response.fields.get(name).is_none_or(|value| stored.fields.get(name) == Some(value));
    let length =
        response.content_length().is_none_or(|bytes| stored.body_bytes.is_none_or(|known| known == bytes));
    if stored.status == 200 && same("etag") && same("last-modified") && length {
        HeadEffect::Freshen(Box::new(stored.freshen(request, response, policy, identity, exchange)))
    } else {
        HeadEffect::Invalidate
    }
}
