//! Let go: which stored responses an answer makes invalid, and their removal from every layer.

use std::rc::Rc;

use crate::cache::{Layer, NotStored, PrimaryKey, Reach, invalidates};
use crate::head::{ResponseHead, Target};
use crate::origin::forward::backward;
use crate::ports::{PortError, Ports};
use crate::record::Incident;
use crate::time::{Span, Timestamp};

use super::lookup::Found;
use super::visit::Visit;
use super::{fleet, shield};

/// Removes what a response to an unsafe method makes invalid (RFC 9111, section 4.4), from every layer that is asked
/// by this worker. Others learn of it when what they hold is stale, or where the route says so from the fleet. `own` is what
/// this response itself replaces, and the moment until which what was asked for is older.
pub fn invalidate<P: Ports>(
    visit: &Rc<Visit<P>>,
    response: &ResponseHead,
    own: Option<(&PrimaryKey, Timestamp)>,
) {
    let policy = &visit.route.cache;
    // Where the content is in the key, it only reads.
    if !policy.enabled || policy.key.has_body(&visit.request.method) {
        return;
    }
    let now = visit.gate.note_write(visit.ports.now());
    visit.gate.groups.borrow_mut().heed(&visit.request, &response.fields, now);
    let targets = invalidates(&visit.request, response, |to| public(visit, to));
    if policy.invalidation == Reach::Global {
        fleet::tell(visit, &targets, &response.fields);
    }
    for target in targets {
        let key = PrimaryKey::new(&target, &visit.request.fields, &policy.key, &visit.identity);
        let other = key.of_same_user();
        let own = own.filter(|(own, _)| **own == key);
        if policy.key.splits() || !policy.key.body.is_empty() {
            let at = own.filter(|_| policy.key.splits()).map_or(now, |(_, before)| before);
            visit.gate.groups.borrow_mut().write(&target, at);
        }
        other.into_iter().chain(Some(key).filter(|_| own.is_none())).for_each(|key| forget(visit, key));
    }
}

/// What clients ask for to get what is at this target of one of the route's endpoints.
fn public<P: Ports>(visit: &Visit<P>, target: &Target) -> Option<Target> {
    let pools = visit.route.pools.iter().filter_map(|index| visit.gate.site.pools.get(*index));
    let mut endpoints = pools.flat_map(|pool| pool.endpoints.iter().map(move |endpoint| (pool, endpoint)));
    endpoints
        .find_map(|(pool, endpoint)| backward(target, endpoint, &visit.request.target, visit.rewrite(pool)))
}

/// KV takes one write a second under one key, and what is to be removed may just have been stored.
const REMOVE_AGAIN_AFTER: Span = Span::from_millis(1100);

/// Removes every stored response of this key.
pub fn forget<P: Ports>(visit: &Rc<Visit<P>>, key: PrimaryKey) {
    let now = visit.gate.note_write(visit.ports.now());
    visit.gate.forget(&key, now);
    if visit.route.cache.collapse == Reach::Global {
        shield::forget(visit, &key);
    }
    let visit = visit.clone();
    visit.clone().ports.defer(async move { remove(&visit, &key).await });
}

/// Removes what the layers below memory hold for a key.
pub async fn remove<P: Ports>(visit: &Visit<P>, key: &PrimaryKey) {
    for layer in visit.route.cache.layers.iter().filter(|layer| **layer != Layer::Memory) {
        let mut removed = remove_from(visit, *layer, key).await;
        if removed.is_err() {
            visit.ports.sleep(REMOVE_AGAIN_AFTER).await;
            removed = remove_from(visit, *layer, key).await;
        }
        if let Err(error) = removed {
            visit.late_incident(Incident::StoreFailed, &format!("{}: {error}", layer.as_str()));
        }
    }
}

/// A delete costs as much as ten reads of KV, so it is looked first.
async fn remove_from<P: Ports>(visit: &Visit<P>, layer: Layer, key: &PrimaryKey) -> Result<(), PortError> {
    let key = key.storage_key();
    if layer == Layer::Kv {
        let Some(found) = visit.ports.load(layer, &key, visit.gate.site.kv_budget).await? else {
            return Ok(());
        };
        visit.ports.discard(found.body);
    }
    visit.ports.remove(layer, &key).await
}

/// An answer of the origin's own, other than a failure or one to this client alone, takes the place of the stored response
/// that the request selects, also where it is not stored itself (RFC 9111, section 4.3.3).
pub fn displace<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &Found<P>,
    status: u16,
    why: NotStored,
) {
    let for_one = matches!(
        why,
        NotStored::Partial | NotStored::RequestNoStore | NotStored::Authorization | NotStored::Method
    );
    let is_failure = status >= 500 || matches!(status, 408 | 425 | 429);
    if !for_one && !is_failure && found.selected(visit).is_some() {
        forget(visit, key.clone());
    }
}
