//! What a store below memory keeps, and how long.

use crate::cache::{Layer, Policy, PrimaryKey, Record, StoredHead, VariantIndex};
use crate::ports::{Loaded, PortError, Ports};
use crate::time::Span;

use super::visit::Visit;
use super::{flight, lookup};

/// A stale response with a validator is worth keeping for a while: a 304 is cheaper than a body.
const KEEP_FOR_VALIDATION: Span = Span::from_secs(3600);

/// The same for one that memory does not keep: its body is written once, however often it is confirmed.
const KEEP_LARGE_FOR_VALIDATION: Span = Span::from_secs(86_400);

/// Nothing is kept longer, whatever its lifetime: a store counts in seconds of 31 bits.
const KEEP_MAX: Span = Span::from_secs(31_536_000);

/// How long a write of an index of variants waits for another one.
const INDEX_WAIT: Span = Span::from_secs(2);

/// How long an index of variants is kept at least.
const INDEX_FOR: Span = Span::from_secs(86_400);

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

/// Writes a response, and where Vary selected it, the index that names it.
pub async fn save<P: Ports>(
    visit: &Visit<P>,
    layer: Layer,
    key: &PrimaryKey,
    index: Option<VariantIndex>,
    head: &StoredHead,
    body: P::Body,
    length: u64,
) -> Result<(), PortError> {
    let keep = span(&visit.route.cache, head);
    let primary = key.storage_key();
    let own = head.storage_key(key);
    let record = Loaded::new(Record::Response(head.clone()).encode(), body);
    visit.ports.save(layer, &own, record, Some(length), keep).await?;
    if own == primary {
        return Ok(());
    }
    // Others store variants beside this one.
    let turn = flight::exclusively(&visit.gate, &visit.ports, &key.index(), INDEX_WAIT).await;
    let mut index = index.unwrap_or_default();
    if layer == Layer::Colo
        && let Some((record, body)) = lookup::read(visit, layer, &primary).await
    {
        visit.ports.discard(body);
        if let Record::Variants(now) = record {
            index.learn(visit.spared_of(key, now));
        }
    }
    let gone = index.put(key, head, &visit.route.cache.vary);
    // Variants that were stored before may live longer than this one; none is kept longer than the index tells of it.
    let record = Loaded::new(Record::Variants(index).encode(), P::Body::default());
    visit.ports.save(layer, &primary, record, Some(0), keep.max(INDEX_FOR)).await?;
    drop(turn);
    for key in gone {
        visit.ports.remove(layer, &key).await?;
    }
    Ok(())
}
