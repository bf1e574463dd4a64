//! Write-behind: a change is accepted, kept by the object of its pool, and delivered from there by the same code.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use crate::admin::limits::read_query;
use crate::head::{Message, RequestHead, ResponseHead};
use crate::origin::{Cause, Failure, Outcome};
use crate::ports::{PortError, Ports};
use crate::record::{AnsweredBy, Incident};
use crate::respond::{self, Problem};
use crate::route::{Delivery, WriteBehind};
use crate::time::Span;

use super::gate::Gate;
use super::origin::{self, Asked, Failed, Refusal};
use super::visit::{Notes, Visit};
use super::{Reply, forget, report, unanswered};

/// How long to wait for the object that keeps a change.
const KEEP_BUDGET: Span = Span::from_secs(5);
/// What a client is told that comes when too many changes wait, in seconds.
const RETRY_AFTER_SECS: &str = "10";

/// How this request is delivered later, where it is: one that only reads never is.
pub fn wish<P: Ports>(visit: &Visit<P>) -> Option<Rc<WriteBehind>> {
    let (route, method) = (&visit.route, &visit.request.method);
    let only_reads = method.is_safe() || route.cache.key.has_body(method);
    route.write_behind.clone().filter(|_| !only_reads)
}

/// Accepts a change: it is kept before this returns.
pub async fn accept<P: Ports>(
    visit: &Rc<Visit<P>>,
    wish: &WriteBehind,
    body: Option<P::Body>,
) -> Reply<P::Body> {
    let (ports, gate) = (&visit.ports, &visit.gate);
    let bytes = match ports.collect(body.unwrap_or_default(), wish.body_bytes_max.bytes()).await {
        Ok(bytes) => bytes,
        Err(PortError::TooLarge) => return refuse(visit, 413, "the body is too long to be kept"),
        Err(_) => return unanswered::refused(visit, Refusal::BodyLost),
    };
    let Some(pool) = visit.route.pools.first().and_then(|at| gate.site.pools.get(*at)) else {
        return unanswered::refused(visit, Refusal::NoPool);
    };
    visit.meet_client();
    // What clients see of a random number tells the next one; this does not.
    let id = gate.bookmark_key.name(&visit.id);
    let number = |number: u64| number.to_string();
    let ask = [
        "accept",
        &id,
        &scope(visit),
        &number(wish.priority.into()),
        &number(wish.pending_max.into()),
        &number(wish.keep.as_millis()),
    ]
    .join("\n");
    let answer = match ports.deliveries(&pool.name, &ask, Some((&visit.request, &bytes)), KEEP_BUDGET).await {
        Ok(answer) => answer,
        Err(error) => {
            visit.incident(Incident::DeliveriesUnreachable, &error.to_string());
            return refuse(visit, 503, "the change can't be kept for delivery now");
        }
    };
    let Some((state, id)) = answer.split_once(' ') else {
        return match &*answer {
            "conflict" => refuse(visit, 422, "the Idempotency-Key was used for another request"),
            _ => refuse(visit, 503, "too many changes wait for their delivery"),
        };
    };
    if state == "accepted" {
        gate.outbox.borrow_mut().add_delivery(state);
    }
    visit.notes.borrow_mut().answered_by = AnsweredBy::Tidegate;
    let status_url = [gate.site.server.prefix.as_str(), "/deliveries/", &pool.name, "/", id].concat();
    let text =
        ["{\"id\":\"", id, "\",\"status\":\"", state, "\",\"status_url\":\"", &status_url, "\"}"].concat();
    let mut message = respond::text(202, "application/json", text);
    message.head.fields.append("location", &status_url);
    visit.own(message, None)
}

/// The Idempotency-Key of a request; an empty one is none.
fn key(request: &RequestHead) -> Option<&str> {
    request.fields.get("idempotency-key").filter(|key| !key.trim().is_empty())
}

/// Whose Idempotency-Key it is, for which URL and method: a hash of that. Empty where there is none. Of clients that
/// nobody has verified, each is another that shows something else to the origin, or comes from elsewhere.
fn scope<P: Ports>(visit: &Visit<P>) -> String {
    let (request, identity) = (&visit.request, &visit.identity);
    let Some(key) = key(request) else { return String::new() };
    let whose = match (&identity.subject, &identity.key_hash) {
        (Some(subject), None) => ["user", subject].join("\n"),
        (Some(owner), Some(_)) => ["owner", owner].join("\n"),
        (None, Some(hash)) => ["key", hash].join("\n"),
        (None, None) => {
            let shown = |name| request.fields.combined(name).unwrap_or_default();
            let address = request.client().address.map(|address| address.to_canonical().to_string());
            [&*shown("authorization"), &shown("cookie"), &address.unwrap_or_default()].join("\n")
        }
    };
    visit.gate.bookmark_key.name(&[request.method.as_str(), request.target.url(), key, &whose].join("\n"))
}

fn refuse<P: Ports>(visit: &Rc<Visit<P>>, status: u16, detail: &str) -> Reply<P::Body> {
    visit.notes.borrow_mut().answered_by = AnsweredBy::Error;
    let problem = match status {
        503 => Problem::reduced_capacity(detail, &visit.id),
        _ => Problem::plain(status, detail, &visit.id),
    };
    let mut message = problem.into_message();
    if status == 503 {
        message.head.fields.insert("retry-after", RETRY_AFTER_SECS);
    }
    visit.own(message, None)
}

/// One attempt to deliver a change that was accepted as `id`; the `attempts`th. What came of it, the object reads in the
/// fields of the answer: `next`, `at`, `status` and `why`.
pub async fn deliver<P: Ports>(
    gate: Rc<Gate<P>>,
    ports: P,
    mut request: RequestHead,
    body: Option<P::Body>,
    (id, attempts): (String, u32),
) -> Message<ResponseHead, P::Body> {
    gate.seed(&ports);
    let route = gate.site.table.classify(&request).unwrap_or_else(|_| gate.site.table.rest()).clone();
    let wish = route.write_behind.clone().unwrap_or_default();
    if key(&request).is_none() {
        request.fields.insert("idempotency-key", &id);
    }
    let visit = Rc::new(Visit {
        id: gate.request_id(),
        identity: gate.anonymous.clone(),
        arrived: ports.now(),
        content: OnceCell::new(),
        prompt: OnceCell::new(),
        bookmark: None,
        unread: RefCell::default(),
        warms: false,
        notes: RefCell::new(Notes::default()),
        gate,
        ports,
        request,
        route,
    });
    let (head, failure) = match origin::ask(&visit, &visit.request, body, false).await {
        Asked::Answered(message, _) => {
            forget::invalidate(&visit, &message.head, None);
            visit.ports.discard(message.body);
            (Some(message.head), None)
        }
        Asked::Failed(Failed { response, failure, .. }) => {
            let head = response.map(|message| {
                visit.ports.discard(message.body);
                message.head
            });
            (head, Some(failure))
        }
        Asked::Refused(_) => (None, None),
    };
    let (gate, now) = (&visit.gate, visit.ports.now());
    let outcome = head.as_ref().map(|head| Outcome::response(head, Span::ZERO, now));
    let rest = outcome.and_then(|outcome| outcome.retry_after);
    let status = head.map(|head| head.status);
    let next = wish.after(attempts, status, rest, &mut gate.rng.borrow_mut(), now);
    let why = if next == Delivery::Delivered { String::new() } else { why(status, failure) };
    gate.outbox.borrow_mut().add_delivery(next.as_str());
    if next == Delivery::Dead {
        visit.late_incident(Incident::DeadLetter, &why);
    }
    visit.late_incidents();
    report::schedule(gate, &visit.ports);
    let mut answer = ResponseHead::new(200);
    answer.fields.append("next", next.as_str());
    if let Delivery::Again(at) = next {
        answer.fields.append("at", &at.as_millis().to_string());
    }
    if let Some(status) = status {
        answer.fields.append("status", &status.to_string());
    }
    if !why.is_empty() {
        answer.fields.append("why", &why);
    }
    Message::new(answer, P::Body::default())
}

/// What an attempt came to that did not deliver.
fn why(status: Option<u16>, failure: Option<Failure>) -> String {
    match (status, failure) {
        (Some(status), _) => ["the origin answered ", &status.to_string()].concat(),
        (None, Some(Failure { cause: Cause::Fetch(error), .. })) => error.as_str().into(),
        (None, Some(failure)) => failure.to_string(),
        (None, None) => "it does not go to an origin".into(),
    }
}

/// Wakes the objects that keep changes: an alarm that was lost with its machine is set anew.
pub fn wake<P: Ports>(gate: &Rc<Gate<P>>, ports: &P) {
    for at in pools(gate) {
        let (gate, ports_later) = (gate.clone(), ports.clone());
        ports.defer(async move {
            let Some(pool) = gate.site.pools.get(at) else { return };
            if let Err(error) = ports_later.deliveries(&pool.name, "wake", None, KEEP_BUDGET).await {
                gate.outbox.borrow_mut().add_incident(Incident::DeliveriesUnreachable);
                ports_later.log(&["deliveries-unreachable: ", &error.to_string()].concat());
            }
        });
    }
}

/// The pools whose changes are delivered later.
pub fn pools<P: Ports>(gate: &Gate<P>) -> Vec<usize> {
    let mut pools = Vec::new();
    for route in gate.site.table.iter().filter(|route| route.write_behind.is_some()) {
        match route.pools.first() {
            Some(at) if !pools.contains(at) => pools.push(*at),
            _ => {}
        }
    }
    pools
}

/// Whether this is a pool whose changes are delivered later: no others have an object.
fn has_object<P: Ports>(gate: &Gate<P>, name: &str) -> bool {
    pools(gate).into_iter().filter_map(|at| gate.site.pools.get(at)).any(|pool| *pool.name == *name)
}

/// What came of a delivery, for whoever was told its id.
pub async fn tell<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    (pool, delivery): (&str, &str),
    id: &str,
) -> Message<ResponseHead, String> {
    let unknown = || Problem::plain(404, "no such delivery is known, or not any more", id).into_message();
    if !has_object(gate, pool) || !delivery.bytes().all(|b| b.is_ascii_hexdigit()) {
        return unknown();
    }
    match ports.deliveries(pool, &["tell\n", delivery].concat(), None, KEEP_BUDGET).await {
        Ok(text) if text.is_empty() => unknown(),
        Ok(text) => respond::text(200, "application/json", text),
        Err(error) => unreachable(&error, id),
    }
}

/// The changes of every pool that are delivered later: how many there are, and the dead letters.
pub async fn list<P: Ports>(gate: &Gate<P>, ports: &P, id: &str) -> Message<ResponseHead, String> {
    let mut whole = String::from("{");
    for pool in pools(gate).into_iter().filter_map(|at| gate.site.pools.get(at)) {
        match ports.deliveries(&pool.name, "list", None, KEEP_BUDGET).await {
            Ok(text) => {
                let comma = if whole.len() > 1 { "," } else { "" };
                whole.push_str(&[comma, "\"", &pool.name, "\":", &text].concat());
            }
            Err(error) => return unreachable(&error, id),
        }
    }
    whole.push('}');
    respond::text(200, "application/json", whole)
}

/// Has dead letters delivered after all: the one that the query names (`id=`), or all; of one pool (`pool=`), or of all.
pub async fn replay<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    request: &RequestHead,
    id: &str,
) -> Message<ResponseHead, String> {
    let wrong = |wrong: String| Problem::plain(400, wrong, id).into_message();
    let [only, letter] = match read_query(request.target.path_and_query(), ["pool", "id"]) {
        Ok(read) => read,
        Err(why) => return wrong(why),
    };
    if let Some(only) = only.as_ref().filter(|only| !has_object(gate, only)) {
        let pools = pools(gate).into_iter().filter_map(|at| gate.site.pools.get(at));
        let names: Vec<&str> = pools.map(|pool| &*pool.name).collect();
        let names = names.join(", ");
        return wrong(["no changes are delivered later to a pool `", only, "`; allowed: ", &names].concat());
    }
    let letter = letter.unwrap_or_default();
    let mut replayed = 0_u64;
    for pool in pools(gate).into_iter().filter_map(|at| gate.site.pools.get(at)) {
        if only.as_ref().is_some_and(|only| **only != *pool.name) {
            continue;
        }
        match ports.deliveries(&pool.name, &["replay\n", &letter].concat(), None, KEEP_BUDGET).await {
            Ok(count) => replayed += count.parse().unwrap_or(0),
            Err(error) => return unreachable(&error, id),
        }
    }
    if replayed == 0 && !letter.is_empty() {
        return Problem::plain(404, "there is no such dead letter", id).into_message();
    }
    respond::text(200, "application/json", ["{\"replayed\":", &replayed.to_string(), "}"].concat())
}

fn unreachable(error: &PortError, id: &str) -> Message<ResponseHead, String> {
    let detail = ["the object that keeps the changes does not answer: ", &error.to_string()].concat();
    Problem::reduced_capacity(detail, id).into_message()
}
