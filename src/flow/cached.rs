//! Look up, and what follows from it: serve a stored response, or leave it to `fetch`.

use std::rc::Rc;

use crate::cache::reuse::{Forward, Revalidate, Serve};
use crate::cache::validator::{self, remove_conditions};
use crate::cache::{CacheStatus, Detail, Fwd, Layer, PrimaryKey, Reach, Reuse, StoredHead, content, reuse};
use crate::head::Method;
use crate::ports::Ports;
use crate::record::{AnsweredBy, Staleness};
use crate::respond::Problem;

use super::collapse::{self, Turn};
use super::complete::complete;
use super::fetch::{fetch, pass, revalidate};
use super::flight::{self, Lead};
use super::lookup::{self, Candidate, Content, Found};
use super::origin::Refusal;
use super::visit::Visit;
use super::{Reply, shield, similar, store, unanswered};

/// The answer of an admitted request.
pub async fn answer<P: Ports>(visit: &Rc<Visit<P>>, body: Option<P::Body>) -> Reply<P::Body> {
    let policy = &visit.route.cache;
    if !policy.enabled || is_unknown_user(visit) {
        return pass(visit, body, Fwd::Bypass).await;
    }
    let mut key = PrimaryKey::new(&visit.request.target, &visit.request.fields, &policy.key, &visit.identity);
    if policy.key.has_body(&visit.request.method) {
        match keyed(visit, body).await {
            Keyed::By(digest) => key = key.with_body(digest),
            Keyed::Not(body) => return pass(visit, body, Fwd::Bypass).await,
            Keyed::Lost => return unanswered::refused(visit, Refusal::BodyLost),
        }
    } else if !matches!(visit.request.method, Method::Get | Method::Head) {
        return pass(visit, body, Fwd::Method).await;
    } else if let Some(body) = body {
        if visit.request.fields.get("content-length") != Some("0") {
            // An origin may heed it, and it is not in the key.
            return pass(visit, Some(body), Fwd::Bypass).await;
        }
        visit.ports.discard(body);
    }
    if visit.is_behind() && visit.is_held(&key) {
        visit.caught_up().await;
    }
    match collapse::turn(visit, &key).await {
        Turn::Answered(reply) => reply,
        Turn::Asks { lead, found, is_passed } => {
            let is_told = visit.notes.borrow().failed_for_all.is_some();
            let mut reply = from_elsewhere(visit, &key, lead, found, is_passed).await;
            collapse::mark(visit, &mut reply, is_told);
            reply
        }
    }
}

/// What becomes of the content of a request that is to be part of its key.
enum Keyed<B> {
    /// It is, with this hash; the visit keeps it.
    By([u8; 32]),
    /// It can't be: it is too long, or no text, or the request asks for more than that.
    Not(Option<B>),
    /// It broke off.
    Lost,
}

async fn keyed<P: Ports>(visit: &Visit<P>, body: Option<P::Body>) -> Keyed<P::Body> {
    let (request, ports) = (&visit.request, &visit.ports);
    let cap = visit.route.cache.key.body_bytes_max.bytes();
    let length = request.fields.get("content-length").and_then(|text| text.trim().parse::<u64>().ok());
    let fits = body.is_none() || length.is_some_and(|bytes| bytes <= cap);
    let conditional = request.method == Method::Post && validator::is_conditional(&request.fields);
    if !fits || conditional || request.fields.contains("content-encoding") {
        return Keyed::Not(body);
    }
    let Some(body) = body else { return Keyed::By(content::digest(request, "")) };
    let Ok(bytes) = ports.collect(body, cap).await else { return Keyed::Lost };
    let text = ports.text(&bytes);
    // What is no text was replaced, or left out.
    if text.len() as u64 != ports.len(&bytes) || text.contains(char::REPLACEMENT_CHARACTER) {
        return Keyed::Not(Some(ports.body(&bytes)));
    }
    // Nobody else sets it.
    let _ = visit.content.set(bytes);
    Keyed::By(content::digest(request, &text))
}

/// Whether each user has responses of its own, and this one shows a credential that does not tell which user it is.
pub(super) fn is_unknown_user<P: Ports>(visit: &Visit<P>) -> bool {
    let identity = &visit.identity;
    let shows = identity.unproven || visit.request.fields.contains("authorization");
    visit.route.cache.key.per_user && identity.subject.is_none() && shows
}

/// The answer out of the isolate's memory, where it needs nothing else.
pub(super) fn from_memory<P: Ports>(visit: &Rc<Visit<P>>, key: &PrimaryKey) -> Option<Reply<P::Body>> {
    if visit.warms || !visit.route.cache.layers.contains(&Layer::Memory) {
        return None;
    }
    let memory = visit.gate.memory.borrow();
    let held = memory.get(&visit.gate.searches.borrow().key(key));
    if held.iter().any(|held| held.is_unjudged(visit.gate.fleet.newest())) {
        drop(memory);
        visit.sweep(key);
        return from_memory(visit, key);
    }
    if !held.iter().all(|held| visit.is_past(held.head.as_of())) {
        return None;
    }
    let groups = &visit.gate.groups.borrow();
    let (policy, identity) = (&visit.route.cache, &visit.identity);
    match reuse(&visit.request, held, None, groups, policy, identity, visit.ports.now()) {
        Reuse::Serve(serve) => {
            let candidate = Candidate::held(held.get(serve.which)?);
            Some(serve_stored(visit, key, &candidate, &serve))
        }
        _ => None,
    }
}

/// The answer out of a layer below memory. What of late could not be stored (`is_passed`) is not looked for in KV, nor is
/// what is never written there: a look-up costs time and money.
pub(super) async fn from_below<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &mut Found<P>,
    lead: &mut Option<Lead<P>>,
    is_passed: bool,
) -> Option<Reply<P::Body>> {
    let policy = &visit.route.cache;
    for layer in [Layer::Colo, Layer::Kv] {
        let is_idle = layer == Layer::Kv && (is_passed || !found.may_be_in_kv(policy));
        if !policy.layers.contains(&layer) || is_idle || (visit.warms && layer == Layer::Colo) {
            continue;
        }
        lookup::look(visit, layer, key, found).await;
        if let Reuse::Serve(serve) = decide(visit, found)
            && let Some(candidate) = found.candidates.get(serve.which)
        {
            store::promote(visit, key, found, candidate, lead.take());
            return Some(serve_stored(visit, key, candidate, &serve));
        }
    }
    None
}

/// The answer out of the other layers, where they were not looked through just now, or from the origin.
async fn from_elsewhere<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    mut lead: Option<Lead<P>>,
    found: Option<Found<P>>,
    is_passed: bool,
) -> Reply<P::Body> {
    let policy = &visit.route.cache;
    let mut found = match found {
        Some(found) => found,
        None => {
            let mut found = Found::in_memory(visit, key);
            match from_below(visit, key, &mut found, &mut lead, is_passed).await {
                Some(reply) => return reply,
                None => found,
            }
        }
    };
    // What is stored from here on says how far purges were known.
    visit.caught_up().await;
    if !matches!(decide(visit, &found), Reuse::OnlyIfCachedMiss)
        && let Some(reply) = similar::answer(visit).await
    {
        return reply;
    }
    if policy.collapse == Reach::Global
        && !matches!(decide(visit, &found), Reuse::OnlyIfCachedMiss)
        && let Some(own) = lead.take()
    {
        own.asks_by(visit.ports.now() + shield::within(policy.collapse_wait));
        let turn = shield::turn(visit, key).await;
        own.asks_by(visit.ports.now());
        match turn {
            shield::Turn::Lead(duty) => lead = Some(own.for_all(duty)),
            shield::Turn::Alone => lead = Some(own),
            shield::Turn::Pass => own.pass(),
            shield::Turn::Have(head, bytes) => match from_another(visit, key, &mut found, (head, bytes), own)
            {
                Ok(reply) => return reply,
                Err(own) => lead = Some(own),
            },
        }
    }
    match decide(visit, &found) {
        Reuse::Revalidate(asked) => revalidate(visit, key, &found, asked, lead).await,
        Reuse::Complete(asked) => complete(visit, key, &found, asked, lead).await,
        Reuse::Forward(Forward { fwd, .. }) => fetch(visit, key, &found, fwd, lead).await,
        Reuse::OnlyIfCachedMiss => only_if_cached(visit),
        // Memory said no a moment ago, so this can't come; the origin is never wrong.
        Reuse::Serve(_) => fetch(visit, key, &found, Fwd::Miss, lead).await,
    }
}

/// What is stored under another key and answers this request.
pub(super) async fn stored<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
) -> Option<(Candidate<P>, Serve)> {
    let mut found = Found::in_memory(visit, key);
    for layer in [Layer::Memory, Layer::Colo, Layer::Kv] {
        if !visit.route.cache.layers.contains(&layer) {
            continue;
        }
        if layer != Layer::Memory {
            lookup::look(visit, layer, key, &mut found).await;
        }
        if let Reuse::Serve(serve) = decide(visit, &found) {
            return Some((found.candidates.get(serve.which)?.again(), serve));
        }
    }
    None
}

/// The answer out of what another isolate got; `Err` where that does not answer this request.
fn from_another<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &mut Found<P>,
    (head, bytes): (StoredHead, P::Bytes),
    lead: Lead<P>,
) -> Result<Reply<P::Body>, Lead<P>> {
    let spared = visit.spared(key, head).filter(|head| !visit.gate.is_forgotten(key, head.as_of()));
    let Some(head) = spared else { return Err(lead) };
    let content = Content::Bytes(bytes);
    found.candidates.push(Candidate { head: Rc::new(head), content, layer: Layer::Memory, place: None });
    let Reuse::Serve(serve) = decide(visit, found) else { return Err(lead) };
    let Some(candidate) = found.candidates.get(serve.which) else { return Err(lead) };
    store::promote(visit, key, found, candidate, Some(lead));
    let mut reply = serve_stored(visit, key, candidate, &serve);
    collapse::mark(visit, &mut reply, true);
    if let Some(status) = &mut reply.cache {
        status.detail = Some(Detail::Shield);
    }
    Ok(reply)
}

fn decide<P: Ports>(visit: &Visit<P>, found: &Found<P>) -> Reuse {
    let (candidates, index) = (&found.candidates, found.index.as_ref());
    let (policy, identity) = (&visit.route.cache, &visit.identity);
    let groups = &visit.gate.groups.borrow();
    reuse(&visit.request, candidates, index, groups, policy, identity, visit.ports.now())
}

fn only_if_cached<P: Ports>(visit: &Visit<P>) -> Reply<P::Body> {
    let problem =
        Problem::plain(504, "nothing suitable is stored, and the request asks for nothing else", &visit.id);
    visit.own(problem.into_message(), Some(CacheStatus::neither("only-if-cached")))
}

/// A stored response, as it answers this request.
fn serve_stored<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    candidate: &Candidate<P>,
    serve: &Serve,
) -> Reply<P::Body> {
    let detail = if serve.refresh { Detail::Swr } else { Detail::Layer(candidate.layer) };
    visit.notes.borrow_mut().answered_by = match candidate.layer {
        _ if serve.refresh => AnsweredBy::Stale(Staleness::WhileRevalidate),
        Layer::Memory => AnsweredBy::Memory,
        Layer::Colo => AnsweredBy::Colo,
        Layer::Kv => AnsweredBy::Kv,
    };
    if serve.refresh && !visit.is_sparing() {
        refresh(visit, key, candidate);
    }
    let message = candidate.answer_with(visit, key, &serve.how);
    Reply { message, cache: Some(CacheStatus::hit(serve.ttl, detail)) }
}

/// Asks the origin for a new response in the background, once for each key (RFC 5861, section 3).
fn refresh<P: Ports>(visit: &Rc<Visit<P>>, key: &PrimaryKey, stale: &Candidate<P>) {
    let now = visit.ports.now();
    let Some(guard) = flight::refresh(&visit.gate, &visit.gate.key_in_memory(key), now) else { return };
    let mut request = visit.request.clone();
    if request.method == Method::Head {
        request.method = Method::Get;
    }
    remove_conditions(&mut request.fields);
    let conditions = stale.head.conditions();
    let asked = Revalidate { which: Some(0), fwd: Fwd::Stale, conditions, stale_until: None };
    let found = Found { candidates: vec![stale.again()], index: None };
    let layer = stale.layer;
    let visit = Rc::new(visit.in_background(request));
    let key = key.clone();
    visit.clone().ports.defer(async move {
        if layer == Layer::Memory && is_refreshed(&visit, &key).await {
            return drop(guard);
        }
        let reply = revalidate(&visit, &key, &found, asked, None).await;
        // Nobody reads it; what is to be stored has been teed off.
        visit.ports.discard(reply.message.body);
        drop(guard);
    });
}

/// Whether another isolate of this colo has refreshed it; then memory holds what came of it.
async fn is_refreshed<P: Ports>(visit: &Rc<Visit<P>>, key: &PrimaryKey) -> bool {
    if !visit.route.cache.layers.contains(&Layer::Colo) {
        return false;
    }
    let mut found = Found { candidates: Vec::new(), index: None };
    lookup::look(visit, Layer::Colo, key, &mut found).await;
    match decide(visit, &found) {
        Reuse::Serve(Serve { refresh: false, which, .. }) => {
            let newer = found.candidates.get(which);
            newer.inspect(|candidate| store::promote(visit, key, &found, candidate, None)).is_some()
        }
        _ => false,
    }
}
