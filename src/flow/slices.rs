//! Large responses in aligned slices: each is read from the stores or asked for alone, and they flow to the client one
//! after the other.

use std::rc::Rc;

use crate::cache::range::{ByteRange, How};
use crate::cache::slice::{self, Piece};
use crate::cache::{Layer, PrimaryKey, StoredHead, storable};
use crate::head::{Message, Method, ResponseHead};
use crate::ports::Ports;

use super::lookup::{Candidate, Content};
use super::slice::{Broken, Source};
use super::store::Received;
use super::visit::Visit;

/// How long the slices are in which this request's response is to be fetched; `None` where it is to come whole.
pub fn wanted<P: Ports>(visit: &Visit<P>, key: &PrimaryKey) -> Option<u64> {
    let policy = &visit.route.cache;
    let bytes = policy.slice?.bytes();
    let stored = policy.takes(Layer::Colo, Some(bytes)) || policy.takes(Layer::Kv, Some(bytes));
    let get = visit.request.method == Method::Get;
    (stored && get && !visit.gate.flights.borrow().is_plain(key, visit.ports.now())).then_some(bytes)
}

/// What became of asking for the first slice. `None` where it has to be asked again, for the whole as the client wants it:
/// what came is no such slice, or may not be stored.
pub fn first<P: Ports>(
    visit: &Visit<P>,
    key: &PrimaryKey,
    mut received: Received<P::Body>,
    slice_bytes: Option<u64>,
) -> Option<Received<P::Body>> {
    let Some(bytes) = slice_bytes.filter(|_| matches!(received.message.head.status, 206 | 416)) else {
        return Some(received);
    };
    let (request, policy, identity) = (&visit.request, &visit.route.cache, &visit.identity);
    let head = &mut received.message.head;
    super::fetch::apply_asset_policy(visit, head);
    received.complete = slice::first(head, bytes);
    let several = received.complete.is_some_and(|complete| complete > bytes);
    let stored = || storable(request, head, policy, identity, received.exchange.response_time).is_ok();
    if received.complete.is_some() && (!several || stored()) {
        return Some(received);
    }
    visit.gate.flights.borrow_mut().fetch_plainly(key, visit.ports.now());
    visit.ports.discard(received.message.body);
    None
}

/// What the client gets of a response of which tidegate asked for the first slice, which may be all of it.
pub fn answer_first<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    head: Rc<StoredHead>,
    body: P::Body,
    how: &How,
) -> Message<ResponseHead, P::Body> {
    let ports = &visit.ports;
    let body = head.stored_bytes().map_or_else(P::Body::default, |bytes| ports.exact(body, bytes));
    let content = Content::stream(ports, body);
    Candidate { head, content, layer: Layer::Memory, place: None }.answer_with(visit, key, how)
}

/// What a client gets of a sliced response. `content` is the first slice.
pub fn answer<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    head: Rc<StoredHead>,
    content: Content<P>,
    how: &How,
) -> Message<ResponseHead, P::Body> {
    let served = head.serve(how, visit.ports.now());
    let pieces = head.pieces(how);
    if visit.request.method == Method::Head || pieces.is_empty() {
        return Message::new(served, P::Body::default());
    }
    let (body, sink) = visit.ports.pipe(served.content_length().unwrap_or_default());
    let mut request = visit.request.clone();
    request.method = Method::Get;
    let visit = Rc::new(visit.in_background(request));
    let source = Source { visit: visit.clone(), key: key.clone(), head };
    let mut slices = Slices { source, first: Some(content), sink };
    visit.clone().ports.defer(async move {
        let poured = slices.pour(pieces).await;
        visit.ports.end(&slices.sink, poured.is_ok());
        visit.late_incidents();
    });
    Message::new(served, body)
}

/// How many slices are looked for before what is stale is served.
const LOOKED_FOR_MAX: usize = 16;

/// Whether what this answer needs of a response beside its first slice is stored, as far as it is worth to look: once the
/// head is sent there is no way back.
pub async fn are_stored<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    head: &Rc<StoredHead>,
    how: &How,
) -> bool {
    if !head.is_sliced() || visit.request.method == Method::Head {
        return true;
    }
    let source = Source { visit: visit.clone(), key: key.clone(), head: head.clone() };
    let ranges = head.pieces(how).into_iter().filter_map(|(_, range)| range);
    let numbers = ranges.flat_map(|range| head.slice_with(range.first).max(1)..=head.slice_with(range.last));
    for number in numbers.take(LOOKED_FOR_MAX) {
        let Some(slice) = head.slice(number) else { return false };
        let Some(body) = source.stored(number, slice).await else { return false };
        visit.ports.discard(body);
    }
    true
}

struct Slices<P: Ports> {
    source: Source<P>,
    first: Option<Content<P>>,
    sink: P::Sink,
}

/// What one more slice takes of the subrequests that the platform allows: looking for it in the colo, asking for it, and
/// storing it there. What is left after that is enough for asking for all the rest at once.
const SLICE_SUBREQUESTS: u32 = 4;

impl<P: Ports> Slices<P> {
    async fn pour(&mut self, pieces: Vec<Piece>) -> Result<(), Broken> {
        let ports = self.source.visit.ports.clone();
        for (text, range) in pieces {
            if !text.is_empty() {
                ports.pour(&self.sink, ports.body(&ports.bytes(&text))).await.map_err(|_| Broken)?;
            }
            let mut rest = range;
            while let Some(wanted) = rest {
                let (content, carried) = self.next(wanted).await?;
                let last = wanted.last.min(carried.last);
                let part = ByteRange { first: wanted.first, last };
                let body = if part == carried {
                    content.whole(&ports)
                } else {
                    let [first, last] = [part.first, part.last].map(|at| at.saturating_sub(carried.first));
                    content.part(&ports, ByteRange { first, last })
                };
                ports.pour(&self.sink, body).await.map_err(|_| Broken)?;
                rest = (last < wanted.last).then(|| ByteRange { first: last.saturating_add(1), ..wanted });
            }
        }
        Ok(())
    }

    /// What has the first of these bytes, and which it has.
    async fn next(&mut self, wanted: ByteRange) -> Result<(Content<P>, ByteRange), Broken> {
        let Source { visit, head, .. } = &self.source;
        let number = head.slice_with(wanted.first);
        let slice = head.slice(number).ok_or(Broken)?;
        if let Some(content) = self.first.take().filter(|_| number == 0) {
            return Ok((content, slice));
        }
        let is_last = wanted.last <= slice.last;
        let (body, carried) = match is_last || visit.has_left(SLICE_SUBREQUESTS) {
            true => self.source.get(number, slice).await?,
            false => self.source.asked(wanted).await?,
        };
        Ok((Content::stream(&visit.ports, body), carried))
    }
}
