//! A request's whole way: the only place that knows the order of the stages.
//!
//! ```text
//! classify -> identify -> admit -> cached (look up -> origin -> store) -> respond -> record
//! ```
//!
//! A helper that fails degrades the request, it does not fail it: a store that fails or is slow is a miss, a limiter
//! that can't be reached does what its policy declares. Each is counted and logged.

mod admit;
mod batch;
mod behind;
mod beside;
mod cached;
mod cdn;
mod collapse;
mod complete;
mod fetch;
mod fleet;
mod flight;
mod forget;
mod gate;
pub mod health;
mod hedge;
mod identify;
mod in_flight;
mod keep;
mod keys;
mod lease;
mod limits;
mod lists;
mod lookup;
mod origin;
mod own;
mod precondition;
mod purged;
mod queue;
mod quota;
mod report;
mod send;
mod settle;
mod shield;
mod similar;
mod slice;
mod slices;
mod socket;
mod split;
mod steer;
mod store;
mod timing;
mod unanswered;
mod visit;
mod warm;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

pub use behind::deliver;
pub use gate::{Gate, Vars};
pub use warm::warm;

use crate::admin;
use crate::cache::CacheStatus;
use crate::head::{Message, RequestHead, ResponseHead};
use crate::identity::{Rejected, Settled};
use crate::limit::Decision;
use crate::origin::forward::{NotForwarded, is_loop, max_forwards};
use crate::ports::Ports;
use crate::record::Incident;
use crate::respond::{self, Problem};
use crate::route::compress::{self, Compression};
use origin::Refusal;
use visit::{Notes, Visit};

/// An answer, and what to tell of the cache's part in it.
struct Reply<B> {
    message: Message<ResponseHead, B>,
    cache: Option<CacheStatus>,
}

/// Answers one request. `body` is `None` where the request has none.
pub async fn serve<P: Ports>(
    gate: Rc<Gate<P>>,
    ports: P,
    request: RequestHead,
    body: Option<P::Body>,
) -> Message<ResponseHead, P::Body> {
    gate.seed(&ports);
    let id = gate.request_id();
    if let Some(action) =
        admin::endpoint(&request, gate.site.server.prefix.as_str(), gate.vars.admin_token.as_deref())
    {
        return own::answer(&gate, &ports, &request, body, action, &id).await;
    }
    let (route, ambiguous) = match gate.site.table.classify(&request) {
        Ok(route) => (route.clone(), None),
        Err(why) => (gate.site.table.rest().clone(), Some(why)),
    };
    let arrived = ports.now();
    let subrequests = Cell::new(0);
    let settled = if lists::is_barred(&gate, &ports, &request) {
        Settled::As(gate.anonymous.clone(), None)
    } else {
        identify::identify(&gate, &ports, &request, &subrequests).await
    };
    let (identity, rejected, refused) = match settled {
        Settled::As(identity, rejected) => (identity, rejected, false),
        Settled::Refuse(why) => (gate.anonymous.clone(), Some(why), true),
    };
    let notes = RefCell::new(Notes { subrequests: subrequests.get(), ..Notes::default() });
    let bookmark = split::bookmark(&gate, &route, &request, arrived);
    let unread = RefCell::new(fleet::keep_up(&gate, &ports, arrived));
    let visit = Rc::new(Visit {
        gate,
        ports,
        request,
        content: OnceCell::new(),
        prompt: OnceCell::new(),
        route,
        identity,
        id,
        arrived,
        bookmark,
        unread,
        warms: false,
        notes,
    });
    if let Some(why) = rejected {
        let incident =
            if why == Rejected::Unavailable { Incident::AuthUnavailable } else { Incident::AuthRejected };
        visit.incident(incident, why.as_str());
    }
    if lists::is_denied(&visit).await {
        return finish(&visit, visit.own(lists::refuse(&visit), None), None);
    }
    if let Some(why) = ambiguous {
        let problem = Problem::plain(400, why.as_str(), &visit.id);
        return finish(&visit, visit.own(problem.into_message(), None), None);
    }
    if refused {
        let why = rejected.map_or("", Rejected::as_str);
        let mut message =
            Problem::plain(401, ["the credential is not believed: ", why].concat(), &visit.id).into_message();
        message.head.fields.append("www-authenticate", "Bearer error=\"invalid_token\"");
        let decision = admit::admit_stranger(&visit).await;
        let penalty = decision.as_ref().and_then(|decision| admit::note(&visit, decision));
        return finish(&visit, visit.own(penalty.unwrap_or(message), None), decision);
    }
    let server = &visit.gate.site.server;
    if is_loop(&visit.request, &server.id, server.loops_max) {
        let refusal = Refusal::NotForwarded(NotForwarded::LoopDetected);
        return finish(&visit, unanswered::refused(&visit, refusal), None);
    }
    if max_forwards(&visit.request) == Some(0) {
        return finish(&visit, visit.own(respond::no_further(&visit.request.method, &visit.id), None), None);
    }
    let asked = visit.ports.now();
    let decision = admit::admit(&visit).await;
    visit.notes.borrow_mut().limited = visit.ports.now().since(asked);
    let reply = match decision.as_ref().and_then(|decision| admit::note(&visit, decision)) {
        Some(refusal) => visit.own(refusal, None),
        None if body.is_some() && admit::lacks_length(&visit) => {
            let problem = Problem::plain(411, "a quota goes by the length of the content", &visit.id);
            visit.own(problem.into_message(), None)
        }
        None => match precondition::refuse(&visit).await {
            Some(refusal) => refusal,
            None => match behind::wish(&visit) {
                Some(wish) => behind::accept(&visit, &wish, body).await,
                None if socket::is_upgrade(&visit) => socket::answer(&visit, body).await,
                None => cached::answer(&visit, body).await,
            },
        },
    };
    finish(&visit, reply, decision)
}

/// Once a minute, without a request: hands over what was counted and what is known of the endpoints.
pub fn tick<P: Ports>(gate: &Rc<Gate<P>>, ports: &P) {
    gate.seed(ports);
    report::tick(gate, ports);
    health::exchange(gate, ports);
    behind::wake(gate, ports);
    warm::tick(gate, ports);
}

/// The last touches of the client's head, and the record.
fn finish<P: Ports>(
    visit: &Rc<Visit<P>>,
    reply: Reply<P::Body>,
    mut decision: Option<Decision>,
) -> Message<ResponseHead, P::Body> {
    let Reply { message: Message { mut head, mut body }, cache } = reply;
    if let Some(decision) = &decision {
        body = in_flight::give_back(visit, decision, &head, body);
    }
    if visit.route.compress {
        match compress::decide(&visit.request, &head, &visit.gate.site.compression) {
            Compression::Encode(coding) => {
                compress::encode(&mut head, coding);
                body = visit.ports.encode(body);
            }
            Compression::Negotiated => compress::vary(&mut head),
            Compression::Leave(_) => {}
        }
    }
    visit.route.cache.consume(&mut head.fields);
    if visit.gate.site.fleet.hot && cache.is_some_and(|cache| cache.stored || cache.is_hit()) {
        warm::note(visit);
    }
    if let Some(cache) = cache {
        let mut text = head.fields.combined("cache-status").unwrap_or_default();
        if !text.is_empty() {
            text.push_str(", ");
            head.fields.remove("cache-status");
        }
        cache.write(&visit.gate.site.server.id, &mut text);
        head.fields.append("cache-status", &text);
    }
    if let Some(decision) = &mut decision {
        settle::settle(visit, decision, &head);
    }
    if let Some(full) = visit.notes.borrow_mut().full.take() {
        let none = || Decision { tier: visit.identity.tier.clone(), checked: Vec::new() };
        decision.get_or_insert_with(none).checked.push(full);
    }
    if let Some(decision) = &decision {
        admit::tell(visit, decision, &mut head);
    }
    queue::tell(visit, &mut head);
    split::tell(visit, &mut head);
    timing::tell(visit, decision.is_some(), &mut head);
    head.fields.insert("x-request-id", &visit.id);
    let bytes = head.content_length();
    visit.gate.outbox.borrow_mut().add(&visit.event(head.status, bytes));
    report::schedule(&visit.gate, &visit.ports);
    Message::new(head, body)
}

impl<P: Ports> Visit<P> {
    /// An answer of tidegate's own, with the Date that it needs (RFC 9110, section 6.6.1), and its length, which keeps
    /// what is small from being compressed.
    fn own(&self, mut message: Message<ResponseHead, String>, cache: Option<CacheStatus>) -> Reply<P::Body> {
        message.head.fields.append("date", &self.ports.now().to_http_date());
        if !message.head.is_bodiless() {
            message.head.fields.insert("content-length", &message.body.len().to_string());
        }
        let body = match self.request.method {
            crate::head::Method::Head => P::Body::default(),
            _ => self.ports.body(&self.ports.bytes(&message.body)),
        };
        Reply { message: Message::new(message.head, body), cache }
    }
}

/// Runs two futures side by side until both have ended.
async fn join(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut one_done, mut other_done) = (false, false);
    std::future::poll_fn(move |context| {
        one_done = one_done || one.as_mut().poll(context).is_ready();
        other_done = other_done || other.as_mut().poll(context).is_ready();
        if one_done && other_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
