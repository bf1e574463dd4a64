//! Large responses in aligned slices: each is read from the stores or asked for alone, and they flow to the client one
//! after the other.

use std::rc::Rc;

use crate::cache::range::{ByteRange, How};
use crate::cache::slice::{self, Piece};
use crate::cache::{Layer, PrimaryKey, Record, StoredHead, storable};
use crate::head::{Message, Method, ResponseHead};
use crate::ports::{Loaded, PortError, Ports};
use crate::record::Incident;

use super::forget;
use super::keep;
use super::lookup::{self, Candidate, Content};
use super::origin::{self, Asked};
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
    let content = Content::stream(&visit.ports, body);
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
    let mut slices = Slices { visit: visit.clone(), key: key.clone(), head, first: Some(content), sink };
    visit.clone().ports.defer(async move {
        let poured = slices.pour(pieces).await;
        visit.ports.end(&slices.sink, poured.is_ok());
        visit.late_incidents();
    });
    Message::new(served, body)
}

struct Slices<P: Ports> {
    visit: Rc<Visit<P>>,
    key: PrimaryKey,
    head: Rc<StoredHead>,
    first: Option<Content<P>>,
    sink: P::Sink,
}

/// The client went, or the rest can't be had.
struct Broken;

/// What one more slice takes of the subrequests that the platform allows: looking for it in the colo, asking for it, and
/// storing it there. What is left after that is enough for asking for all the rest at once.
const SLICE_SUBREQUESTS: u32 = 4;

impl<P: Ports> Slices<P> {
    async fn pour(&mut self, pieces: Vec<Piece>) -> Result<(), Broken> {
        for (text, range) in pieces {
            if !text.is_empty() {
                let ports = &self.visit.ports;
                ports.pour(&self.sink, ports.body(&ports.bytes(&text))).await.map_err(|_| Broken)?;
            }
            let Some(range) = range else { continue };
            for number in self.head.slice_with(range.first)..=self.head.slice_with(range.last) {
                let slice = self.head.slice(number).ok_or(Broken)?;
                let is_last = number == self.head.slice_with(range.last);
                let rest = ByteRange { first: range.first.max(slice.first), last: range.last };
                let all = self.first.is_none() && !is_last && !self.visit.has_left(SLICE_SUBREQUESTS);
                let body = match all {
                    true => self.asked(rest).await?,
                    false => self.body(number, slice, range).await?,
                };
                self.visit.ports.pour(&self.sink, body).await.map_err(|_| Broken)?;
                if all {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What of this slice lies in the range.
    async fn body(&mut self, number: u64, slice: ByteRange, range: ByteRange) -> Result<P::Body, Broken> {
        let first = range.first.max(slice.first).saturating_sub(slice.first);
        let last = range.last.min(slice.last).saturating_sub(slice.first);
        let within = ByteRange { first, last };
        let ports = self.visit.ports.clone();
        let whole = match self.first.take().filter(|_| number == 0) {
            Some(content) if within.bytes() < slice.bytes() => return Ok(content.part(&ports, within)),
            Some(content) => return Ok(content.whole(&ports)),
            None => match self.stored(number, slice).await {
                Some(body) => body,
                None => self.fetched(number, slice).await?,
            },
        };
        let cut = within.bytes() < slice.bytes();
        Ok(if cut { ports.part(whole, first..last.saturating_add(1)) } else { whole })
    }

    async fn stored(&self, number: u64, slice: ByteRange) -> Option<P::Body> {
        let (visit, key) = (&self.visit, self.head.slice_key(&self.key, number));
        for layer in [Layer::Colo, Layer::Kv] {
            if !visit.route.cache.layers.contains(&layer) {
                continue;
            }
            match lookup::read(visit, layer, &key).await {
                Some((Record::Response(found), body))
                    if self.head.has_slice(slice, found.part, found.body_bytes, &found.fields) =>
                {
                    let body = visit.ports.exact(body, slice.bytes());
                    let above = layer == Layer::Kv && number > 0;
                    return Some(if above { self.kept(number, slice, body, &[Layer::Colo]) } else { body });
                }
                Some((_, body)) => visit.ports.discard(body),
                None => {}
            }
        }
        None
    }

    async fn fetched(&self, number: u64, slice: ByteRange) -> Result<P::Body, Broken> {
        let body = self.asked(slice).await?;
        Ok(self.kept(number, slice, body, &[Layer::Colo, Layer::Kv]))
    }

    /// From the origin, which has to confirm that it still is of the same response.
    async fn asked(&self, range: ByteRange) -> Result<P::Body, Broken> {
        let visit = &self.visit;
        let mut request = super::fetch::asked_for_all(visit).into_owned();
        self.head.ask_for(range, &mut request.fields);
        let Message { head, body } = match origin::ask(visit, &request, None, false).await {
            Asked::Answered(message, _) => message,
            Asked::Failed(failed) => {
                failed.response.into_iter().for_each(|message| visit.ports.discard(message.body));
                visit.incident(Incident::TruncatedBody, "a slice could not be fetched");
                return Err(Broken);
            }
            Asked::Refused(_) => return Err(Broken),
        };
        let (part, complete) = slice::carried(&head);
        if !self.head.has_slice(range, part, complete, &head.fields) {
            visit.ports.discard(body);
            visit.incident(Incident::TruncatedBody, "the response changed between two slices");
            forget::forget(visit, self.key.clone());
            return Err(Broken);
        }
        Ok(body)
    }

    /// The body for the client; the same goes into those of the layers for which it pays.
    fn kept(&self, number: u64, slice: ByteRange, mut body: P::Body, layers: &[Layer]) -> P::Body {
        let (visit, policy, now) = (&self.visit, &self.visit.route.cache, self.visit.ports.now());
        let (bytes, key) = (slice.bytes(), self.head.slice_key(&self.key, number));
        for layer in layers.iter().copied().filter(|layer| policy.takes(*layer, Some(bytes))) {
            let requests = || visit.gate.stored_again(&self.key.part(number), now);
            if layer == Layer::Kv && !policy.kv_pays(self.head.lifetime_secs, bytes, requests()) {
                continue;
            }
            visit.notes.borrow_mut().subrequests += u32::from(layer == Layer::Colo);
            let (theirs, ours) = visit.ports.tee(body);
            body = theirs;
            let record = Loaded::new(Record::Response(self.head.slice_head(slice)).encode(), ours);
            let (visit, keep) = (visit.clone(), keep::span(policy, &self.head));
            visit.clone().ports.defer(async move {
                match visit.ports.save(layer, &key, record, Some(bytes), keep).await {
                    Err(PortError::Failed(why)) => visit.late_incident(Incident::StoreFailed, &why),
                    Err(why) => visit.late_incident(Incident::StoreFailed, &why.to_string()),
                    Ok(()) => {}
                }
            });
        }
        body
    }
}
