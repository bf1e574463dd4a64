//! Single requests that come within a few milliseconds, sent to the origin's batch endpoint as one. What is shared is
//! plain text; whoever finds nothing there asks alone.

use std::cell::RefCell;
use std::rc::Rc;

use crate::cache::stored::Exchange;
use crate::head::{Message, RequestHead, ResponseHead, Target};
use crate::ports::Ports;
use crate::route::Batch;

use super::gate::Gate;
use super::origin::{Asked, ask_now};
use super::visit::Visit;

/// How long the answer of a batch endpoint may be.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Request fields that differ from request to request and that no answer depends on.
const PASSING: [&str; 6] =
    ["accept-encoding", "priority", "referer", "traceparent", "tracestate", "x-request-id"];
/// Response fields that say something of the whole answer, and not of its items.
const OF_THE_WHOLE: [&str; 9] = [
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-location",
    "content-md5",
    "etag",
    "last-modified",
    "link",
    "repr-digest",
];

/// What is about to be asked, and for whom it can be.
pub struct Open<S> {
    key: String,
    shared: Rc<Shared<S>>,
}

/// What those have in common that are asked for together.
struct Shared<S> {
    ids: RefCell<Vec<Box<str>>>,
    landed: S,
    got: RefCell<Option<Got>>,
}

struct Got {
    head: ResponseHead,
    exchange: Exchange,
    items: Vec<(Box<str>, Box<str>)>,
}

/// Whoever came first asks for all, until it is dropped; then the others go on.
struct Lead<P: Ports> {
    gate: Rc<Gate<P>>,
    ports: P,
    shared: Rc<Shared<P::Signal>>,
}

impl<P: Ports> Lead<P> {
    /// Nobody joins any more.
    fn close(&self) {
        if let Ok(mut open) = self.gate.batches.try_borrow_mut() {
            open.retain(|one| !Rc::ptr_eq(&one.shared, &self.shared));
        }
    }
}

impl<P: Ports> Drop for Lead<P> {
    fn drop(&mut self) {
        self.close();
        self.ports.raise(&self.shared.landed);
    }
}

/// Asks together with others, where the route says so and this request may be; `None` where it has to be asked alone.
pub async fn ask<P: Ports>(
    visit: &Visit<P>,
    request: &RequestHead,
    has_body: bool,
) -> Option<Asked<P::Body>> {
    let batch = visit.route.batch.as_deref().filter(|_| !has_body)?;
    let id = batch.id(request)?;
    let key = key(visit, request);
    let joined = {
        let open = visit.gate.batches.borrow();
        open.iter()
            .find(|one| one.key == key)
            .and_then(|one| one.shared.join(id, batch).then(|| one.shared.clone()))
    };
    let shared = match joined {
        Some(shared) => {
            let pool = visit.gate.site.pools.get(*visit.route.pools.first()?)?;
            let patience = batch.wait.saturating_add(pool.config.total_timeout);
            visit.ports.raised(&shared.landed, patience).await;
            visit.notes.borrow_mut().collapsed = true;
            shared
        }
        None => lead(visit, request, (batch, id), key).await?,
    };
    let got = shared.got.borrow();
    let got = got.as_ref()?;
    let (_, item) = got.items.iter().find(|(one, _)| **one == *id)?;
    let mut head = got.head.clone();
    head.fields.append("content-length", &item.len().to_string());
    let body = visit.ports.body(&visit.ports.bytes(item));
    Some(Asked::Answered(Message::new(head, body), got.exchange))
}

impl<S> Shared<S> {
    /// Whether there is room for one more, or it is asked for already.
    fn join(&self, id: &str, batch: &Batch) -> bool {
        let mut ids = self.ids.borrow_mut();
        if ids.iter().any(|one| **one == *id) {
            return true;
        }
        let has_room = ids.len() < batch.size_max as usize;
        if has_room {
            ids.push(id.into());
        }
        has_room
    }
}

/// Waits for others, and asks for all of them; `None` where nobody came.
async fn lead<P: Ports>(
    visit: &Visit<P>,
    request: &RequestHead,
    (batch, id): (&Batch, &str),
    key: String,
) -> Option<Rc<Shared<P::Signal>>> {
    let shared = Rc::new(Shared {
        ids: RefCell::new(vec![id.into()]),
        landed: visit.ports.signal(),
        got: RefCell::default(),
    });
    {
        let mut open = visit.gate.batches.borrow_mut();
        // One that is full makes room for the next.
        open.retain(|one| one.key != key);
        open.push(Open { key, shared: shared.clone() });
    }
    let lead = Lead { gate: visit.gate.clone(), ports: visit.ports.clone(), shared };
    visit.ports.sleep(batch.wait).await;
    lead.close();
    let ids = lead.shared.ids.borrow().clone();
    if ids.len() < 2 {
        return None;
    }
    let got = asked(visit, request, batch, &ids).await;
    *lead.shared.got.borrow_mut() = got;
    Some(lead.shared.clone())
}

/// What the batch endpoint answers; `None` where that can't be split.
async fn asked<P: Ports>(
    visit: &Visit<P>,
    request: &RequestHead,
    batch: &Batch,
    ids: &[Box<str>],
) -> Option<Got> {
    let (method, path, content) = batch.request(ids);
    let mut head = request.clone();
    head.method = method;
    head.target =
        Target::parse(&[request.target.scheme(), "://", request.target.authority(), &path].concat()).ok()?;
    // It is read here.
    head.fields.insert("accept-encoding", "identity");
    let body = content.map(|text| {
        head.fields.insert("content-type", "application/json");
        head.fields.insert("content-length", &text.len().to_string());
        visit.ports.body(&visit.ports.bytes(&text))
    });
    let (Message { head, body }, exchange) = match ask_now(visit, &head, body, false).await {
        Asked::Answered(message, exchange) => (message, exchange),
        Asked::Failed(failed) => {
            if let Some(message) = failed.response {
                visit.ports.discard(message.body);
            }
            return None;
        }
        Asked::Refused(_) => return None,
    };
    let is_json = head.fields.get("content-type").is_some_and(|kind| kind.contains("json"));
    let is_for_one = head.fields.contains("set-cookie") || head.fields.contains("content-encoding");
    if head.status != 200 || !is_json || is_for_one {
        visit.ports.discard(body);
        return None;
    }
    let bytes = visit.ports.collect(body, ANSWER_BYTES_MAX).await.ok()?;
    let items = batch.split(&visit.ports.text(&bytes))?;
    let mut head = head;
    head.fields.retain(|name, _| !OF_THE_WHOLE.contains(&name));
    Some(Got { head, exchange, items })
}

/// What requests have to have in common to be asked as one: all that an answer may depend on.
fn key<P: Ports>(visit: &Visit<P>, request: &RequestHead) -> String {
    let mut key = [&*visit.route.name, "\n", request.target.authority()].concat();
    for (name, value) in request.fields.iter().filter(|(name, _)| !PASSING.contains(name)) {
        for part in ["\n", name, "\n", value] {
            key.push_str(part);
        }
    }
    key
}
