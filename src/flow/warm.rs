//! Warming: what will be asked for is fetched into KV before anybody does. The object `Warm` goes through a list of URLs at
//! a rate that spares the origin; this is how such a list comes to it, and what it does with each URL.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use crate::cache::{Detail, Layer};
use crate::fleet::object::Purge;
use crate::fleet::warm::{WARM, Wish, command};
use crate::head::{Client, Message, Method, RequestHead, ResponseHead};
use crate::json;
use crate::ports::{Observed, PortError, Ports};
use crate::record::Incident;
use crate::respond::Problem;
use crate::time::Span;

use super::gate::Gate;
use super::visit::{Notes, Visit};
use super::{cached, fleet, report};

/// How long a command to the object may take.
const BUDGET: Span = Span::from_secs(10);

/// How far it is, as JSON.
pub async fn progress<P: Ports>(ports: &P) -> Result<String, PortError> {
    ports.command(WARM, BUDGET).await
}

/// Has warmed what a person asks for; tells how far it is.
pub async fn ask<P: Ports>(gate: &Gate<P>, ports: &P, text: &str, id: &str) -> Result<String, Problem> {
    let told = match Wish::read(text, gate.site.server.prefix.as_str())
        .map_err(|wrong| Problem::plain(400, wrong, id))?
    {
        Wish::Urls(urls, fields) => start(gate, ports, &urls, &fields).await,
        Wish::Hot => start_hot(gate, ports).await,
    };
    match told {
        Ok(told) if told.is_empty() => {
            Err(Problem::reduced_capacity("10,000 URLs wait to be warmed already: ask again later", id))
        }
        Ok(told) => Ok(told),
        Err(error) => {
            let detail = ["the object that warms does not answer: ", &error.to_string()].concat();
            Err(Problem::reduced_capacity(detail, id))
        }
    }
}

/// Gives the object URLs to fetch. Empty where it has too many.
async fn start<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    urls: &[String],
    fields: &str,
) -> Result<String, PortError> {
    // It must know of every purge before it looks at what is stored, and so must what it stores.
    fleet::purge(gate, ports, &Purge::default()).await?;
    let (per_second, document) = (gate.site.fleet.warm_per_second, gate.fleet.document().encode());
    ports.command(&command(urls, fields, per_second, &document), BUDGET).await
}

/// Has the hot URLs warmed; tells how far it is.
async fn start_hot<P: Ports>(gate: &Gate<P>, ports: &P) -> Result<String, PortError> {
    let hot = ports.observe(Observed::Hot, BUDGET).await?;
    let urls: Vec<String> = hot.lines().map(str::to_owned).collect();
    match urls.is_empty() {
        true => progress(ports).await,
        false => start(gate, ports, &urls, "").await,
    }
}

/// Has the hot URLs warmed, where nobody waits for it.
pub async fn refill<P: Ports>(gate: &Gate<P>, ports: &P) {
    let failed = match start_hot(gate, ports).await {
        Ok(told) if told.is_empty() => "too many URLs wait to be warmed".to_owned(),
        Ok(_) => return,
        Err(error) => error.to_string(),
    };
    gate.outbox.borrow_mut().add_incident(Incident::FleetUnreachable);
    ports.log(&json::object(&[
        ("level", "warn"),
        ("incident", Incident::FleetUnreachable.as_str()),
        ("detail", &failed),
    ]));
}

/// Counts a request for what is stored for everybody.
pub fn note<P: Ports>(visit: &Visit<P>) {
    if visit.request.method == Method::Get && !visit.route.cache.key.per_user {
        visit.gate.outbox.borrow_mut().add_hot(&visit.route.name, visit.request.target.url());
    }
}

/// Once a minute: has the hot URLs warmed where it is time.
pub fn tick<P: Ports>(gate: &Rc<Gate<P>>, ports: &P) {
    let every = gate.site.fleet.warm_every.as_secs() / 60;
    if every == 0 || !(ports.now().as_secs() / 60).is_multiple_of(every) {
        return;
    }
    let (gate, later) = (gate.clone(), ports.clone());
    ports.defer(async move { refill(&gate, &later).await });
}

/// One URL, for the object, in an isolate that is to know this document: an answer that says what came of it.
pub async fn warm<P: Ports>(
    gate: Rc<Gate<P>>,
    ports: P,
    (url, fields): (&str, &str),
    document: &str,
) -> Message<ResponseHead, P::Body> {
    gate.seed(&ports);
    let outcome = match gate.fleet.adopt(document, ports.now()) {
        Ok(()) => fetch(&gate, &ports, url, fields).await,
        Err(_) => "failed",
    };
    report::schedule(&gate, &ports);
    let mut answer = ResponseHead::new(200);
    answer.fields.append("outcome", outcome);
    Message::new(answer, P::Body::default())
}

/// `fresh` where KV has it, `stored` where it has now, `passed` where it is none of KV's, `failed` where there was no answer.
async fn fetch<P: Ports>(gate: &Rc<Gate<P>>, ports: &P, url: &str, fields: &str) -> &'static str {
    let Ok(mut request) = RequestHead::new(Method::Get, url) else { return "failed" };
    request.client = Client::default().into();
    let mut words = fields.split('\t');
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        request.fields.append(name, value);
    }
    let Ok(route) = gate.site.table.classify(&request) else { return "failed" };
    if !route.cache.enabled || !route.cache.layers.contains(&Layer::Kv) {
        return "passed";
    }
    let visit = Rc::new(Visit {
        id: gate.request_id(),
        identity: gate.anonymous.clone(),
        arrived: ports.now(),
        content: OnceCell::new(),
        prompt: OnceCell::new(),
        bookmark: None,
        unread: RefCell::default(),
        warms: true,
        notes: RefCell::new(Notes::default()),
        gate: gate.clone(),
        ports: ports.clone(),
        request,
        route: route.clone(),
    });
    let reply = cached::answer(&visit, None).await;
    ports.discard(reply.message.body);
    visit.late_incidents();
    let pays = |ttl: Option<i64>| {
        let secs = ttl.and_then(|ttl| u32::try_from(ttl).ok());
        secs.is_some_and(|secs| visit.route.cache.kv_may_pay(secs))
    };
    match reply.cache {
        // One that is stale is refreshed behind this answer.
        Some(cache) if cache.detail == Some(Detail::Swr) => "stored",
        Some(cache) if cache.stored && pays(cache.ttl) => "stored",
        Some(cache) if cache.is_hit() => "fresh",
        _ if reply.message.head.status >= 500 => "failed",
        _ => "passed",
    }
}
