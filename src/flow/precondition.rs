//! Optimistic concurrency at the edge: on routes that ask for it, a change must say which state of the resource it
//! changes, and one that is known to change another state than the present one troubles no origin.

use std::rc::Rc;

use crate::cache::validator::{self, Precondition};
use crate::cache::{CacheStatus, Detail, Layer, PrimaryKey, Reuse, reuse};
use crate::head::{Method, RequestHead};
use crate::origin::ProxyStatus;
use crate::ports::Ports;
use crate::record::AnsweredBy;
use crate::respond::Problem;

use super::Reply;
use super::cached::is_unknown_user;
use super::lookup::{self, Found};
use super::visit::Visit;

/// The refusal of a change, where it is one: 428 where it says nothing of the state that it changes (RFC 6585, section 3),
/// 412 where a fresh stored response says that it is another one (RFC 9110, section 15.5.13).
pub async fn refuse<P: Ports>(visit: &Rc<Visit<P>>) -> Option<Reply<P::Body>> {
    let request = &visit.request;
    if !visit.route.require_precondition
        || !matches!(request.method.as_str(), "PUT" | "PATCH" | "DELETE")
        || validator::is_creation(&request.method, &request.fields)
    {
        return None;
    }
    match validator::if_match(&request.fields, None) {
        Precondition::Missing => {
            Some(refusal(visit, 428, "a change has to say by If-Match what it changes", None))
        }
        Precondition::Holds => None,
        Precondition::Fails => Some(refusal(visit, 412, "a weak entity tag matches nothing", None)),
        Precondition::Unknown => {
            let cache = stored(visit).await?;
            Some(refusal(visit, 412, "what is to be changed is not what it was any more", Some(cache)))
        }
    }
}

/// How a stored response tells that the request's If-Match fails; `None` where none does.
async fn stored<P: Ports>(visit: &Visit<P>) -> Option<CacheStatus> {
    let policy = &visit.route.cache;
    if !policy.enabled || policy.key.has_body(&visit.request.method) || is_unknown_user(visit) {
        return None;
    }
    let mut get = RequestHead { method: Method::Get, ..visit.request.clone() };
    validator::remove_all_conditions(&mut get.fields);
    let key = PrimaryKey::new(&get.target, &get.fields, &policy.key, &visit.identity);
    let mut found = Found::in_memory(visit, &key);
    let mut told = tells(visit, &get, &found);
    if told.is_none() && policy.layers.contains(&Layer::Colo) {
        lookup::look(visit, Layer::Colo, &key, &mut found).await;
        told = tells(visit, &get, &found);
    }
    let (fails, status, answered_by) = told?;
    visit.notes.borrow_mut().answered_by = if fails { answered_by } else { AnsweredBy::Tidegate };
    fails.then_some(status)
}

/// Whether the If-Match fails, by a stored response that is fresh and the only one there can be at its URL.
fn tells<P: Ports>(
    visit: &Visit<P>,
    get: &RequestHead,
    found: &Found<P>,
) -> Option<(bool, CacheStatus, AnsweredBy)> {
    let (policy, identity, groups) = (&visit.route.cache, &visit.identity, visit.gate.groups.borrow());
    let index = found.index.as_ref();
    let Reuse::Serve(serve) =
        reuse(get, &found.candidates, index, &groups, policy, identity, visit.ports.now())
    else {
        return None;
    };
    let candidate = found.candidates.get(serve.which)?;
    if serve.ttl <= 0
        || !(200..300).contains(&candidate.head.status)
        || candidate.head.fields.contains("vary")
    {
        return None;
    }
    let fails = match validator::if_match(&visit.request.fields, Some(&candidate.head.fields)) {
        Precondition::Fails => true,
        Precondition::Holds => false,
        Precondition::Missing | Precondition::Unknown => return None,
    };
    let answered_by = if candidate.layer == Layer::Memory { AnsweredBy::Memory } else { AnsweredBy::Colo };
    Some((fails, CacheStatus::hit(serve.ttl, Detail::Layer(candidate.layer)), answered_by))
}

fn refusal<P: Ports>(
    visit: &Visit<P>,
    status: u16,
    detail: &'static str,
    cache: Option<CacheStatus>,
) -> Reply<P::Body> {
    let mut message = Problem::plain(status, detail, &visit.id).into_message();
    let why = if status == 428 { "no If-Match" } else { "If-Match fails" };
    let proxy = ProxyStatus::error(&visit.gate.site.server.id, "http_request_denied", Some(why.into()));
    message.head.fields.append("proxy-status", &proxy.to_string());
    visit.own(message, cache)
}
