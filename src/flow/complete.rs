//! Complete: the origin is asked only for what a stored part lacks (RFC 9111, section 3.4; RFC 9110, section 15.3.7).

use std::rc::Rc;

use crate::cache::combine::Combined;
use crate::cache::complete::Complete;
use crate::cache::memory::Held;
use crate::cache::range::{ByteRange, How};
use crate::cache::stored::Exchange;
use crate::cache::{CacheStatus, Fwd, Layer, PrimaryKey, StoredHead, storable};
use crate::head::{Message, ResponseHead};
use crate::ports::Ports;
use crate::record::AnsweredBy;

use super::Reply;
use super::fetch::{asked_for_all, fetch, gave_up};
use super::flight::Lead;
use super::lookup::{Candidate, Content, Found};
use super::origin::{self, Asked};
use super::store::{self, Received};
use super::unanswered;
use super::visit::Visit;

/// Asks for the rest of a stored part, stores what they make, and answers with it. What can't be completed is asked for
/// as if nothing had been stored.
pub async fn complete<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &Found<P>,
    asked: Complete,
    lead: Option<Lead<P>>,
) -> Reply<P::Body> {
    let fwd = Fwd::Partial;
    visit.notes.borrow_mut().forward = Some(fwd.as_str());
    let held = found.candidates.get(asked.which).map(Candidate::again);
    let Some(mut held) = held.filter(|held| fits(visit, held)) else {
        return fetch(visit, key, found, fwd, lead).await;
    };
    let mut gap = Some(asked.gap);
    let mut exchange = None;
    while let Some(missing) = gap {
        let mut request = asked_for_all(visit).into_owned();
        held.head.ask_for(missing, &mut request.fields);
        let (message, asked) = match origin::ask(visit, &request, None, false).await {
            Asked::Answered(message, asked) => (message, asked),
            Asked::Failed(failed) => return gave_up(visit, key, found, failed, fwd, lead).await,
            Asked::Refused(why) => return unanswered::refused(visit, why),
        };
        if !matches!(message.head.status, 206 | 304 | 416) {
            // It is another response by now, and came whole.
            let received = Received { message, exchange: asked, fwd, how: How::Full, complete: None };
            return store::receive(visit, key, found, received, lead);
        }
        held = match put_together(visit, &held, missing, message, asked).await {
            Some(more) => more,
            None => return fetch(visit, key, found, fwd, lead).await,
        };
        exchange = Some(asked);
        gap = held.head.gap(&visit.request);
    }
    let now = visit.ports.now();
    let asked_at = exchange.map_or(now, Exchange::as_of);
    store::freshen(visit, key, found, &held, asked_at, lead);
    visit.notes.borrow_mut().answered_by = AnsweredBy::Origin;
    let ttl = Some(held.head.ttl(now));
    let cache = CacheStatus { fwd_status: Some(206), stored: true, ttl, ..CacheStatus::fwd(fwd) };
    Reply { message: held.answer(visit, &held.head.answers(&visit.request)), cache: Some(cache) }
}

/// Whether there is room for the whole of it.
fn fits<P: Ports>(visit: &Visit<P>, held: &Candidate<P>) -> bool {
    visit.route.cache.takes(Layer::Memory, held.head.body_bytes) && matches!(held.content, Content::Bytes(_))
}

/// The stored part with the one that came. `None` where they are not of one response, or it did not come well, or is less
/// than what is missing (RFC 9110, section 15.3.7): the rest of it may come in any number of parts.
async fn put_together<P: Ports>(
    visit: &Visit<P>,
    held: &Candidate<P>,
    missing: ByteRange,
    message: Message<ResponseHead, P::Body>,
    exchange: Exchange,
) -> Option<Candidate<P>> {
    let (policy, ports) = (&visit.route.cache, &visit.ports);
    let Message { head, body } = message;
    let lifetime = storable(&visit.request, &head, policy, &visit.identity, exchange.response_time);
    let new = lifetime.map(|lifetime| StoredHead::new(&visit.request, &head, &lifetime, policy, exchange));
    let (Ok(new), Content::Bytes(old)) = (new, &held.content) else {
        ports.discard(body);
        return None;
    };
    let completes = new.part.is_some_and(|part| part.covers(missing));
    if !completes || Combined::new(&held.head, &new).is_none() {
        ports.discard(body);
        return None;
    }
    let length = new.stored_bytes();
    let bytes = ports.collect(body, policy.memory_object_bytes_max.bytes()).await.ok()?;
    if length != Some(ports.len(&bytes)) {
        return None;
    }
    let (head, bytes) = combine(ports, (&held.head, old), (&new, bytes))?;
    Some(Candidate { head: Rc::new(head), content: Content::Bytes(bytes), layer: Layer::Memory, place: None })
}

/// What a stored part and a new one make.
pub fn combine<P: Ports>(
    ports: &P,
    (stored, old): (&StoredHead, &P::Bytes),
    (head, new): (&StoredHead, P::Bytes),
) -> Option<(StoredHead, P::Bytes)> {
    let whole = Combined::new(stored, head)?;
    let cut = |range: ByteRange| ports.slice(old, range.first..range.last.saturating_add(1));
    let (before, after) = (whole.before.map(cut), whole.after.map(cut));
    let parts: Vec<P::Bytes> = before.into_iter().chain([new]).chain(after).collect();
    Some((whole.head, ports.concat(&parts)))
}

/// A part is put together with what memory holds of the same response; tells the body that the new head is of.
pub fn with_memory<P: Ports>(
    visit: &Visit<P>,
    key: &PrimaryKey,
    head: &mut StoredHead,
    bytes: P::Bytes,
) -> P::Bytes {
    let (gate, ports) = (&visit.gate, &visit.ports);
    if head.incomplete().is_none() {
        return bytes;
    }
    let memory = gate.memory.borrow();
    let held = memory.get(&gate.searches.borrow().key(key));
    let fits = |held: &&Held<P::Bytes>| {
        let whole = Combined::new(&held.head, head);
        whole.is_some_and(|whole| visit.route.cache.takes(Layer::Memory, whole.head.stored_bytes()))
    };
    let both = held
        .iter()
        .find(fits)
        .and_then(|held| combine(ports, (&held.head, &held.body), (head, bytes.clone())));
    match both {
        Some((whole, bytes)) => {
            *head = whole;
            bytes
        }
        None => bytes,
    }
}
