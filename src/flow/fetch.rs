//! Fetch: what the origin is asked, and what its answer makes of what is stored.

use std::borrow::Cow;
use std::rc::Rc;

use crate::cache::key::keyed;
use crate::cache::range::How;
use crate::cache::reuse::Revalidate;
use crate::cache::settle::{HeadEffect, after_head};
use crate::cache::slice::ask_first;
use crate::cache::stored::Exchange;
use crate::cache::validator::replace_conditions;
use crate::cache::{CacheStatus, Detail, Fwd, PrimaryKey, Settled, settle, unkeyed};
use crate::head::{Fields, Method, RequestHead, ResponseHead};
use crate::ports::Ports;
use crate::record::{AnsweredBy, Staleness};
use crate::route::asset;

use super::flight::{self, Lead};
use super::forget;
use super::lookup::{self, Candidate, Found};
use super::origin::{self, Asked, Failed};
use super::slices;
use super::store::{self, Received};
use super::visit::Visit;
use super::{Reply, unanswered};

/// Asks the origin for a response that nothing stored could become.
pub async fn fetch<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &Found<P>,
    fwd: Fwd,
    lead: Option<Lead<P>>,
) -> Reply<P::Body> {
    visit.notes.borrow_mut().forward = Some(fwd.as_str());
    let mut slice = slices::wanted(visit, key);
    loop {
        let mut request = asked_for_all(visit);
        if let Some(bytes) = slice {
            ask_first(&mut request.to_mut().fields, bytes);
        }
        match origin::ask(visit, &request, visit.body(), false).await {
            Asked::Answered(message, exchange) => {
                heed_head(visit, key, found, &message.head, exchange);
                let received = Received { message, exchange, fwd, how: How::Full, complete: None };
                if let Some(received) = slices::first(visit, key, received, slice.take()) {
                    return store::receive(visit, key, found, received, lead);
                }
            }
            Asked::Failed(failed) => return gave_up(visit, key, found, failed, fwd, lead).await,
            Asked::Refused(why) => return unanswered::refused(visit, why),
        }
    }
}

/// The client's request without what could make its response another one than its key says.
pub(super) fn asked_for_all<P: Ports>(visit: &Visit<P>) -> Cow<'_, RequestHead> {
    let rules = &visit.route.cache.key;
    let target = keyed(&visit.request.target, rules);
    if target.is_none() && !unkeyed::any(&visit.request.fields, rules) {
        return Cow::Borrowed(&visit.request);
    }
    let mut request = visit.request.clone();
    unkeyed::strip(&mut request.fields, rules);
    if let Some(target) = target {
        request.target = target;
    }
    Cow::Owned(request)
}

/// The route's asset policy speaks where the origin did not (or over it, where the config says so).
pub fn apply_asset_policy<P: Ports>(visit: &Visit<P>, head: &mut ResponseHead) {
    if !visit.route.assets {
        return;
    }
    let said = asset::policy(&visit.request, head, &visit.gate.site.assets).map(|text| text.into_owned());
    if let Ok(cache_control) = said {
        head.fields.insert("cache-control", &cache_control);
    }
}

/// No attempt bettered the last response: where nothing stands in for it, it is one like any other, and may be stored
/// where it says so (RFC 9111, section 3).
pub(super) async fn gave_up<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &Found<P>,
    failed: Failed<P::Body>,
    fwd: Fwd,
    lead: Option<Lead<P>>,
) -> Reply<P::Body> {
    lead.iter().for_each(|lead| lead.fail(flight::Failed::new(failed.failure, failed.pool)));
    let Failed { response, exchange, .. } = failed;
    match response {
        Some(message) if visit.route.static_fallback.is_none() => {
            let received = Received { message, exchange, fwd, how: How::Full, complete: None };
            store::receive(visit, key, found, received, lead)
        }
        response => unanswered::failed(visit, Failed { response, ..failed }, Some(fwd)).await,
    }
}

/// Past the cache: the origin answers, and what that makes invalid is removed.
pub async fn pass<P: Ports>(visit: &Rc<Visit<P>>, body: Option<P::Body>, fwd: Fwd) -> Reply<P::Body> {
    visit.notes.borrow_mut().forward = Some(fwd.as_str());
    match origin::ask(visit, &visit.request, body, false).await {
        Asked::Answered(message, exchange) if visit.request.method == Method::Post && fwd == Fwd::Method => {
            store::receive_post(visit, message, exchange)
        }
        Asked::Answered(mut message, _) => {
            forget::invalidate(visit, &message.head, None);
            apply_asset_policy(visit, &mut message.head);
            visit.notes.borrow_mut().answered_by = AnsweredBy::Origin;
            let cache = CacheStatus { fwd_status: Some(message.head.status), ..CacheStatus::fwd(fwd) };
            Reply { message, cache: Some(cache) }
        }
        Asked::Failed(failed) => unanswered::failed(visit, failed, Some(fwd)).await,
        Asked::Refused(why) => unanswered::refused(visit, why),
    }
}

/// Asks the origin whether a stored response still holds, and whatever it says, answers.
pub async fn revalidate<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &Found<P>,
    mut asked: Revalidate,
    lead: Option<Lead<P>>,
) -> Reply<P::Body> {
    let fwd = asked.fwd;
    if visit.request.method == Method::Post {
        // A condition on a POST means something else (RFC 9110, section 13.1): it is asked again.
        asked.conditions = Fields::new();
    }
    visit.notes.borrow_mut().forward = Some(fwd.as_str());
    let mut request = asked_for_all(visit).into_owned();
    replace_conditions(&mut request.fields, &asked.conditions);
    let slice = slices::wanted(visit, key);
    if let Some(bytes) = slice {
        ask_first(&mut request.fields, bytes);
    }
    let spare = asked.stale_until.is_some_and(|until| visit.ports.now() < until);
    let (message, failed, exchange) = match origin::ask(visit, &request, visit.body(), spare).await {
        Asked::Answered(message, exchange) => (Some(message), None, exchange),
        Asked::Failed(mut failed) => {
            let exchange = failed.exchange;
            (failed.response.take(), Some(failed), exchange)
        }
        Asked::Refused(why) => return unanswered::refused(visit, why),
    };
    let head = message.as_ref().map(|message| &message.head);
    // One that asks to come again is no answer where something else is at hand.
    let answer = head.filter(|head| failed.is_none() || head.status >= 500);
    let settled = settled(visit, &asked, found, answer, exchange);
    let (settled, loaded) = match settled {
        Settled::Load(variant) => load(visit, key, &asked, variant, head, exchange).await,
        Settled::ServeStale { which, how, .. }
            if !is_whole(visit, key, found.candidates.get(which), &how).await =>
        {
            (if message.is_some() { Settled::Replaced { how: How::Full } } else { Settled::Failed }, None)
        }
        settled => (settled, None),
    };
    let candidates = &loaded.as_ref().unwrap_or(found).candidates;
    let cache = CacheStatus { fwd_status: head.map(|head| head.status), ..CacheStatus::fwd(fwd) };
    let candidate = |which: usize| candidates.get(which);
    match (settled, message, failed) {
        (Settled::Freshened { which, freshened, how }, Some(message), _) if candidate(which).is_some() => {
            visit.ports.discard(message.body);
            visit.notes.borrow_mut().answered_by = AnsweredBy::Origin;
            let ttl = Some(freshened.head.ttl(exchange.response_time));
            let Some(held) = candidate(which) else { return fetch(visit, key, found, fwd, lead).await };
            let stored = freshened.not_stored.is_none();
            let fresh = held.with_head(freshened.head);
            if stored {
                store::freshen(visit, key, found, &fresh, exchange.as_of(), lead);
            }
            let mut message = fresh.answer_with(visit, key, &how);
            for (name, value) in freshened.pass_on.iter() {
                message.head.fields.append(name, value);
            }
            Reply { message, cache: Some(CacheStatus { stored, ttl, ..cache }) }
        }
        (Settled::ServeStale { which, ttl, how }, message, failed) if candidate(which).is_some() => {
            if let Some(lead) = &lead {
                let word = match (&message, &failed) {
                    (_, Some(failed)) => flight::Failed::new(failed.failure, failed.pool),
                    (Some(message), None) => Some(flight::Failed::answered(message.head.status)),
                    (None, None) => None,
                };
                // The others may have the same stored response.
                lead.fail(word.map(|word| flight::Failed { is_sure: true, ..word }));
            }
            if let Some(message) = message {
                visit.ports.discard(message.body);
            }
            let Some(held) = candidate(which) else { return fetch(visit, key, found, fwd, lead).await };
            visit.notes.borrow_mut().answered_by = AnsweredBy::Stale(Staleness::IfError);
            let cache = CacheStatus { ttl: Some(ttl), detail: Some(Detail::Sie), ..cache };
            Reply { message: held.answer_with(visit, key, &how), cache: Some(cache) }
        }
        (Settled::Replaced { how }, Some(message), None) => {
            heed_head(visit, key, found, &message.head, exchange);
            let received = Received { message, exchange, fwd, how, complete: None };
            match slices::first(visit, key, received, slice) {
                Some(received) => store::receive(visit, key, found, received, lead),
                None => fetch(visit, key, found, fwd, lead).await,
            }
        }
        (Settled::Failed | Settled::Replaced { .. }, response, Some(failed)) => {
            let held = asked.which.and_then(candidate);
            let strict = held.is_some_and(|held| held.head.must_revalidate || held.head.no_cache);
            let failure = if strict { failed.failure.unconfirmed() } else { failed.failure };
            gave_up(visit, key, found, Failed { response, failure, ..failed }, fwd, lead).await
        }
        (_, message, _) => {
            if let Some(message) = message {
                visit.ports.discard(message.body);
            }
            fetch(visit, key, found, fwd, lead).await
        }
    }
}

/// Whether a stored response can be served without the origin.
async fn is_whole<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    stored: Option<&Candidate<P>>,
    how: &How,
) -> bool {
    match stored {
        Some(stored) => slices::are_stored(visit, key, &stored.head, how).await,
        None => true,
    }
}

fn settled<P: Ports>(
    visit: &Visit<P>,
    asked: &Revalidate,
    found: &Found<P>,
    head: Option<&ResponseHead>,
    exchange: Exchange,
) -> Settled {
    let (policy, identity) = (&visit.route.cache, &visit.identity);
    settle(&visit.request, asked, &found.candidates, found.index.as_ref(), head, policy, identity, exchange)
}

/// A 304 confirmed a variant that had not been read.
async fn load<P: Ports>(
    visit: &Visit<P>,
    key: &PrimaryKey,
    asked: &Revalidate,
    variant: crate::cache::StorageKey,
    head: Option<&ResponseHead>,
    exchange: Exchange,
) -> (Settled, Option<Found<P>>) {
    match lookup::variant(visit, key, &variant).await {
        Some(candidate) => {
            let found = Found { candidates: vec![candidate], index: None };
            (settled(visit, asked, &found, head, exchange), Some(found))
        }
        None => (Settled::Refetch, None),
    }
}

/// A response to HEAD tells whether the stored response to GET still holds (RFC 9111, section 4.3.5).
fn heed_head<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &Found<P>,
    head: &ResponseHead,
    exchange: Exchange,
) {
    if visit.request.method != Method::Head {
        return;
    }
    let Some(candidate) = found.selected(visit) else { return };
    match after_head(&visit.request, &candidate.head, head, &visit.route.cache, &visit.identity, exchange) {
        HeadEffect::Freshen(freshened) if freshened.not_stored.is_none() => {
            let fresh = candidate.with_head(freshened.head);
            store::freshen(visit, key, found, &fresh, exchange.as_of(), None);
        }
        HeadEffect::Invalidate => forget::forget(visit, key.clone()),
        HeadEffect::Freshen(_) | HeadEffect::None => {}
    }
}
