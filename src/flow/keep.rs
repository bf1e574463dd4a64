//! How long a store below memory keeps what it holds.

use crate::cache::{Layer, Policy, StoredHead};
use crate::time::Span;

/// A stale response with a validator is worth keeping for a while: a 304 is cheaper than a body.
const KEEP_FOR_VALIDATION: Span = Span::from_secs(3600);

/// The same for one that memory does not keep: its body is written once, however often it is confirmed.
const KEEP_LARGE_FOR_VALIDATION: Span = Span::from_secs(86_400);

/// Nothing is kept longer, whatever its lifetime: a store counts in seconds of 31 bits.
const KEEP_MAX: Span = Span::from_secs(31_536_000);

/// How long a store keeps a response: as long as it could be of use.
pub fn span(policy: &Policy, head: &StoredHead) -> Span {
    let stale = head.stale_while_revalidate_secs.max(head.stale_if_error_secs);
    let validator = head.fields.contains("etag") || head.fields.contains("last-modified");
    let after = if validator {
        let small = policy.takes(Layer::Memory, head.stored_bytes());
        Span::from_secs(stale.into()).max(if small { KEEP_FOR_VALIDATION } else { KEEP_LARGE_FOR_VALIDATION })
    } else {
        Span::from_secs(stale.into())
    };
    let fresh = Span::from_secs(head.lifetime_secs.saturating_sub(head.initial_age_secs).into());
    fresh.saturating_add(after).min(KEEP_MAX)
}
