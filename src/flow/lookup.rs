//! Look up: what the layers hold for a request, in the order in which they are asked.

use std::cell::Cell;
use std::rc::Rc;

use crate::cache::memory::Held;
use crate::cache::range::{ByteRange, How};
use crate::cache::{Layer, Policy, PrimaryKey, Record, StorageKey, StoredHead, VariantIndex, multipart};
use crate::head::{Message, Method, ResponseHead};
use crate::ports::{PortError, Ports};
use crate::record::Incident;
use crate::time::Timestamp;

use super::visit::Visit;
use super::{beside, slices};

/// A stored body: whole in hand, or a stream that can be handed on once.
pub enum Content<P: Ports> {
    /// Whole.
    Bytes(P::Bytes),
    /// A stream.
    Stream(Rc<Stream<P>>),
}

/// A stream that can be handed on once. One that nobody wants is let go, for its connection's sake.
pub struct Stream<P: Ports> {
    ports: P,
    body: Cell<Option<P::Body>>,
}

impl<P: Ports> Stream<P> {
    fn take(&self) -> P::Body {
        self.body.take().unwrap_or_default()
    }
}

impl<P: Ports> Drop for Stream<P> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            self.ports.discard(body);
        }
    }
}

impl<P: Ports> Content<P> {
    /// A stream.
    pub fn stream(ports: &P, body: P::Body) -> Self {
        Self::Stream(Rc::new(Stream { ports: ports.clone(), body: Cell::new(Some(body)) }))
    }

    fn again(&self) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Self::Stream(stream) => Self::Stream(stream.clone()),
        }
    }

    pub(super) fn whole(&self, ports: &P) -> P::Body {
        match self {
            Self::Bytes(bytes) => ports.body(bytes),
            Self::Stream(stream) => stream.take(),
        }
    }

    pub(super) fn part(&self, ports: &P, range: ByteRange) -> P::Body {
        let range = range.first..range.last.saturating_add(1);
        match self {
            Self::Bytes(bytes) => ports.body(&ports.slice(bytes, range)),
            Self::Stream(stream) => ports.part(stream.take(), range),
        }
    }
}

/// KV's own promise: what is written is seen everywhere after so long.
const KV_LAG_SECS_MAX: i64 = 60;

/// A stored response as a layer gave it.
pub struct Candidate<P: Ports> {
    /// Its head.
    pub head: Rc<StoredHead>,
    /// Its body.
    pub content: Content<P>,
    /// Where it was.
    pub layer: Layer,
    /// The record that it was read from, where its body stayed in the store.
    pub place: Option<Place>,
}

/// A record whose body is not in hand.
#[derive(Clone, Copy)]
pub struct Place {
    /// Where it lies.
    pub key: StorageKey,
    /// When the response came that the body is of.
    pub born: Timestamp,
}

impl<P: Ports> AsRef<StoredHead> for Candidate<P> {
    fn as_ref(&self) -> &StoredHead {
        &self.head
    }
}

impl<P: Ports> Candidate<P> {
    /// What memory holds.
    pub fn held(held: &Held<P::Bytes>) -> Self {
        let content = Content::Bytes(held.body.clone());
        Self { head: held.head.clone(), content, layer: Layer::Memory, place: None }
    }

    /// The same once more. A stream is still handed on only once.
    pub fn again(&self) -> Self {
        Self { head: self.head.clone(), content: self.content.again(), ..*self }
    }

    /// The same content under a new head.
    pub fn with_head(&self, head: StoredHead) -> Self {
        Self { head: Rc::new(head), ..self.again() }
    }

    /// What the client gets, also of a sliced response.
    pub fn answer_with(
        &self,
        visit: &Rc<Visit<P>>,
        key: &PrimaryKey,
        how: &How,
    ) -> Message<ResponseHead, P::Body> {
        if self.head.is_sliced() {
            return slices::answer(visit, key, self.head.clone(), self.content.again(), how);
        }
        self.answer(visit, how)
    }

    /// What the client gets.
    pub fn answer(&self, visit: &Visit<P>, how: &How) -> Message<ResponseHead, P::Body> {
        let ports = &visit.ports;
        let how = match how {
            How::Multipart(_) if matches!(self.content, Content::Stream(_)) => &How::Full,
            how => how,
        };
        let head = self.head.serve(how, ports.now());
        let body = match how {
            _ if visit.request.method == Method::Head => P::Body::default(),
            How::Full => self.content.whole(ports),
            How::Partial(range) => self.content.part(ports, self.head.in_stored_body(*range)),
            How::Multipart(ranges) => self.parts(ports, ranges),
            How::NotModified | How::Unsatisfiable => P::Body::default(),
        };
        Message::new(head, body)
    }
}

impl<P: Ports> Candidate<P> {
    /// Several parts in one body. They are small enough to be put together: what is not in hand is served whole.
    fn parts(&self, ports: &P, ranges: &[ByteRange]) -> P::Body {
        let Content::Bytes(bytes) = &self.content else { return self.content.whole(ports) };
        let frames = multipart::frames(&self.head, ranges);
        let part = |(text, range): &(String, ByteRange)| {
            let range = self.head.in_stored_body(*range);
            [ports.bytes(text), ports.slice(bytes, range.first..range.last.saturating_add(1))]
        };
        let mut parts: Vec<P::Bytes> = frames.parts.iter().flat_map(part).collect();
        parts.push(ports.bytes(&frames.end));
        ports.body(&ports.concat(&parts))
    }
}

/// What the layers hold for one primary key, as far as they were asked.
pub struct Found<P: Ports> {
    /// Stored responses.
    pub candidates: Vec<Candidate<P>>,
    /// The names of further variants.
    pub index: Option<VariantIndex>,
}

impl<P: Ports> Found<P> {
    /// What memory holds.
    pub fn in_memory(visit: &Visit<P>, key: &PrimaryKey) -> Self {
        visit.sweep(key);
        let mut candidates = Vec::new();
        if !visit.warms && visit.route.cache.layers.contains(&Layer::Memory) {
            candidates.extend(
                visit
                    .gate
                    .memory
                    .borrow()
                    .get(&visit.gate.searches.borrow().key(key))
                    .iter()
                    .filter(|held| visit.is_past(held.head.as_of()))
                    .map(Candidate::held),
            );
        }
        Self { candidates, index: None }
    }

    /// A stored response that the request selects (RFC 9111, section 4.1).
    pub(super) fn selected(&self, visit: &Visit<P>) -> Option<&Candidate<P>> {
        let rules = &visit.route.cache.vary;
        self.candidates
            .iter()
            .find(|candidate| candidate.head.selecting.matches(&visit.request.fields, rules))
    }

    /// Whether it holds what became stale so short a time ago that it was so for everybody: what one of them writes to KV
    /// now, the others do not see yet.
    pub(super) fn is_lately_stale(&self, now: Timestamp) -> bool {
        self.candidates.iter().any(|candidate| (-KV_LAG_SECS_MAX..=0).contains(&candidate.head.ttl(now)))
    }

    /// Whether KV could hold something better: not where what was found is of a kind that is never written there.
    pub(super) fn may_be_in_kv(&self, policy: &Policy) -> bool {
        let may = |candidate: &Candidate<P>| policy.kv_may_pay(candidate.head.lifetime_secs);
        self.candidates.is_empty() || self.candidates.iter().any(may)
    }
}

/// Asks one layer, and adds what it has. A layer that fails or is slow holds nothing, and that is counted.
pub async fn look<P: Ports>(visit: &Visit<P>, layer: Layer, key: &PrimaryKey, found: &mut Found<P>) {
    match read(visit, layer, &key.storage_key()).await {
        None => {}
        Some((Record::Response(head), body)) => {
            add(visit, layer, (key, key.storage_key()), head, body, found).await;
        }
        Some((Record::Variants(index), body)) => {
            visit.ports.discard(body);
            visit.caught_up().await;
            let index = visit.spared_of(key, index);
            let picked =
                index.pick(key, &visit.request.fields, &visit.route.cache.vary).map(|variant| variant.key);
            if let Some(latest) = index.variants.first() {
                visit.gate.flights.borrow_mut().learn_names(key, latest.names.clone());
            }
            found.index.get_or_insert_default().learn(index);
            let Some(picked) = picked else { return };
            if let Some((Record::Response(head), body)) = read(visit, layer, &picked).await {
                add(visit, layer, (key, picked), head, body, found).await;
            }
        }
        Some((Record::Freshened(..) | Record::Prompt(_), body)) => visit.ports.discard(body),
    }
}

/// Adds a stored response, unless it is older than what invalidated it, or than what this client wrote, or was purged.
async fn add<P: Ports>(
    visit: &Visit<P>,
    layer: Layer,
    (primary, key): (&PrimaryKey, StorageKey),
    head: StoredHead,
    body: P::Body,
    found: &mut Found<P>,
) {
    visit.caught_up().await;
    if visit.gate.is_forgotten(primary, head.as_of()) || !visit.is_past(head.as_of()) {
        return visit.ports.discard(body);
    }
    found.candidates.extend(take(visit, layer, (primary, key), head, body).await);
}

/// One variant by its storage key, from whichever layer has it.
pub async fn variant<P: Ports>(
    visit: &Visit<P>,
    primary: &PrimaryKey,
    key: &StorageKey,
) -> Option<Candidate<P>> {
    for layer in [Layer::Colo, Layer::Kv] {
        if visit.route.cache.layers.contains(&layer)
            && let Some((Record::Response(head), body)) = read(visit, layer, key).await
        {
            let mut found = Found { candidates: Vec::new(), index: None };
            add(visit, layer, (primary, *key), head, body, &mut found).await;
            if let Some(candidate) = found.candidates.pop() {
                return Some(candidate);
            }
        }
    }
    None
}

pub(super) async fn read<P: Ports>(
    visit: &Visit<P>,
    layer: Layer,
    key: &StorageKey,
) -> Option<(Record, P::Body)> {
    // What is read from KV is counted apart, and generously.
    visit.notes.borrow_mut().subrequests += u32::from(layer == Layer::Colo);
    let loaded = match visit.ports.load(layer, key, visit.gate.site.kv_budget).await {
        Ok(loaded) => loaded?,
        Err(error) => {
            let incident = match (layer, &error) {
                (Layer::Kv, PortError::Timeout) => Incident::KvSlow,
                (Layer::Kv, _) => Incident::KvError,
                _ => Incident::ColoError,
            };
            visit.incident(incident, &error.to_string());
            return None;
        }
    };
    match Record::decode(&loaded.head) {
        Ok(record) => Some((record, loaded.body)),
        Err(_) => {
            visit.ports.discard(loaded.body);
            visit.incident(Incident::UnreadableRecord, layer.as_str());
            None
        }
    }
}

/// What purges have left of a stored response. A small body is read whole, so that memory can keep it too; a body that
/// breaks off is as good as none.
async fn take<P: Ports>(
    visit: &Visit<P>,
    layer: Layer,
    (primary, key): (&PrimaryKey, StorageKey),
    head: StoredHead,
    body: P::Body,
) -> Option<Candidate<P>> {
    let Some(head) = visit.spared(primary, head) else {
        visit.ports.discard(body);
        return None;
    };
    if !visit.route.cache.takes(Layer::Memory, head.stored_bytes()) {
        let body = match head.stored_bytes() {
            Some(bytes) => visit.ports.exact(body, bytes),
            None => body,
        };
        let content = Content::stream(&visit.ports, body);
        let place = Place { key, born: head.response_time };
        let head = visit.spared(primary, beside::newer(visit, layer, place, head).await)?;
        return Some(Candidate { head: Rc::new(head), content, layer, place: Some(place) });
    }
    let cap = visit.route.cache.memory_object_bytes_max.bytes();
    match visit.ports.collect(body, cap).await {
        Ok(bytes) if head.stored_bytes().is_none_or(|length| length == visit.ports.len(&bytes)) => {
            let content = Content::Bytes(bytes);
            Some(Candidate { head: Rc::new(head), content, layer, place: None })
        }
        Ok(_) => None,
        Err(error) => {
            visit.incident(Incident::UnreadableRecord, &error.to_string());
            None
        }
    }
}
