//! A response whose body stays in its store is freshened by a small record beside it, which holds the newer head. It is
//! read only where the body's own head is stale, and written where the origin has just confirmed it: never on a hit.

use std::rc::Rc;

use crate::cache::{Layer, PrimaryKey, Record, StoredHead};
use crate::ports::{Loaded, Ports};
use crate::record::Incident;

use super::flight::Lead;
use super::keep;
use super::lookup::{self, Candidate, Place};
use super::visit::Visit;

/// The newest head of a body that lies here, in this layer or one that is asked before it.
pub async fn newer<P: Ports>(visit: &Visit<P>, layer: Layer, place: Place, own: StoredHead) -> StoredHead {
    let now = visit.ports.now();
    let mut newest = own;
    for above in [Layer::Colo, Layer::Kv] {
        // What has to be confirmed before each use gains nothing.
        if newest.no_cache || newest.ttl(now) > 0 || !visit.route.cache.layers.contains(&above) {
            break;
        }
        match lookup::read(visit, above, &place.key.beside()).await {
            // A body that came since, or that is late to be seen here, has nothing to do with it.
            Some((Record::Freshened(born, head), body)) => {
                visit.ports.discard(body);
                if born == place.born && head.response_time > newest.response_time {
                    newest = head;
                }
            }
            Some((_, body)) => visit.ports.discard(body),
            None => {}
        }
        if above == layer {
            break;
        }
    }
    newest
}

/// The origin has confirmed a response whose body is in a store: its newer head goes beside it.
pub fn freshen<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    candidate: &Candidate<P>,
    mut lead: Option<Lead<P>>,
) {
    let (head, policy) = (candidate.head.clone(), &visit.route.cache);
    // A body can't be moved to where another Vary would have it.
    let Some(place) = candidate.place.filter(|place| head.storage_key(key) == place.key) else { return };
    // Where the body came from the colo, KV has it as well only if that paid at the first request.
    let from_kv = candidate.layer == Layer::Kv;
    let requests = if from_kv { visit.gate.stored_again(key, visit.ports.now()) } else { 1 };
    let pays = policy.takes(Layer::Kv, head.stored_bytes())
        && policy.kv_pays(head.lifetime_secs, head.stored_bytes().unwrap_or(0), requests);
    let layers = [Some(Layer::Colo), pays.then_some(Layer::Kv)];
    let (visit, key) = (visit.clone(), key.clone());
    visit.clone().ports.defer(async move {
        for layer in layers.into_iter().flatten().filter(|layer| visit.route.cache.layers.contains(layer)) {
            if visit.is_gone(&key, head.as_of(), &head) {
                return;
            }
            let record = Record::Freshened(place.born, (*head).clone()).encode();
            let record = Loaded::new(record, P::Body::default());
            let keep = keep::span(&visit.route.cache, &head);
            let saved = visit.ports.save(layer, &place.key.beside(), record, Some(0), keep).await;
            if let Err(error) = saved {
                visit.late_incident(
                    Incident::StoreFailed,
                    &[layer.as_str(), ": ", &error.to_string()].concat(),
                );
            }
            lead.take().iter().for_each(Lead::leave_below);
        }
    });
}
