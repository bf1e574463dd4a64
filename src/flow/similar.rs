//! Similar prompts: the answer to a text that is nearly the same, on routes that opt in. A prompt is looked for among
//! those of the isolate, then by its bands in the colo.

use std::cell::OnceCell;
use std::rc::Rc;

use crate::cache::similar::{Mode, Prompt, shown};
use crate::cache::{CacheStatus, Detail, Layer, PrimaryKey, Record, StoredHead};
use crate::head::Method;
use crate::ports::{Loaded, Ports};
use crate::record::{AnsweredBy, Incident};

use super::cached::stored;
use super::lookup::{self, Content};
use super::visit::Visit;
use super::{Reply, keep};

/// A prompt's shingles as a store holds them are no longer than this.
const SHINGLES_BYTES_MAX: u64 = 64 << 10;

/// What looking for a prompt takes of the subrequests that the platform allows.
const SUBREQUESTS: u32 = 8;

/// A prompt that nothing stored has answered yet.
pub struct Asked<P: Ports> {
    prompt: Prompt,
    /// What would have answered it, where that is only measured.
    shadow: OnceCell<P::Bytes>,
}

/// The answer to a prompt that is similar to this request's, where the route has such answers and there is one.
pub async fn answer<P: Ports>(visit: &Rc<Visit<P>>) -> Option<Reply<P::Body>> {
    let rules = visit.route.cache.similar.as_ref().filter(|_| visit.request.method == Method::Post)?;
    let is_verified = visit.identity.subject.is_some() || !visit.request.fields.contains("authorization");
    if visit.identity.unproven || !is_verified {
        // The origin may know who that is, and answer accordingly.
        return None;
    }
    let content = visit.ports.text(visit.content.get()?);
    let (request, policy) = (&visit.request, &visit.route.cache);
    let base = PrimaryKey::new(&request.target, &request.fields, &policy.key, &visit.identity);
    let prompt = Prompt::new(&base, request, &content, rules)?;
    let near = find(visit, &prompt).await;
    let asked = visit.prompt.get_or_init(|| Asked { prompt, shadow: OnceCell::new() });
    let (key, similarity) = near?;
    let (candidate, serve) = stored(visit, &key).await.filter(|(_, serve)| serve.ttl > 0)?;
    let count = |outcome| visit.gate.outbox.borrow_mut().add_similar(outcome);
    if rules.mode == Mode::Shadow {
        count("shadow");
        if let Content::Bytes(bytes) = &candidate.content {
            // Nobody else sets it.
            let _ = asked.shadow.set(bytes.clone());
        }
        return None;
    }
    count("answered");
    visit.notes.borrow_mut().answered_by = match candidate.layer {
        Layer::Memory => AnsweredBy::Memory,
        Layer::Colo => AnsweredBy::Colo,
        Layer::Kv => AnsweredBy::Kv,
    };
    let mut message = candidate.answer_with(visit, &key, &serve.how);
    message.head.fields.insert("x-tidegate-similarity", &shown(similarity));
    Some(Reply { message, cache: Some(CacheStatus::hit(serve.ttl, Detail::Similar)) })
}

/// The key under which a similar prompt's answer is stored, and how similar it is.
async fn find<P: Ports>(visit: &Visit<P>, prompt: &Prompt) -> Option<(PrimaryKey, f64)> {
    let (policy, ports) = (&visit.route.cache, &visit.ports);
    let rules = policy.similar.as_ref()?;
    let known = visit.gate.prompts.borrow().find(prompt, rules, ports.now());
    if known.is_some() || !policy.layers.contains(&Layer::Colo) || !visit.has_left(SUBREQUESTS) {
        return known;
    }
    let mut best: Option<(PrimaryKey, f64)> = None;
    for band in prompt.bands() {
        let Some((record, body)) = lookup::read(visit, Layer::Colo, &band).await else { continue };
        let Record::Prompt(key) = record else {
            ports.discard(body);
            continue;
        };
        let Ok(shingles) = ports.collect(body, SHINGLES_BYTES_MAX).await else { continue };
        let similarity = prompt.similarity_to(&ports.text(&shingles));
        if rules.takes(similarity) && best.as_ref().is_none_or(|(_, before)| similarity > *before) {
            best = Some((key, similarity));
        }
    }
    best
}

/// The answer to this request's prompt was stored under this key.
pub fn learn<P: Ports>(visit: &Rc<Visit<P>>, key: &PrimaryKey, head: &StoredHead, bytes: &P::Bytes) {
    let Some(Asked { prompt, shadow }) = visit.prompt.get() else { return };
    if let Some(other) = shadow.get() {
        let same = visit.ports.text(other) == visit.ports.text(bytes);
        visit.gate.outbox.borrow_mut().add_similar(if same { "shadow-same" } else { "shadow-different" });
    }
    let (now, policy) = (visit.ports.now(), &visit.route.cache);
    let Some(ttl) = u64::try_from(head.ttl(now)).ok().filter(|ttl| *ttl > 0 && !head.no_cache) else {
        return;
    };
    let until = now + crate::time::Span::from_secs(ttl);
    visit.gate.prompts.borrow_mut().learn(prompt.clone(), key, until);
    if !policy.layers.contains(&Layer::Colo) || !visit.has_left(SUBREQUESTS) {
        return;
    }
    let (record, shingles) = (Record::Prompt(key.clone()).encode(), visit.ports.bytes(&prompt.text()));
    let keep = keep::span(policy, head);
    for band in prompt.bands() {
        let length = visit.ports.len(&shingles);
        let loaded = Loaded::new(record.clone(), visit.ports.body(&shingles));
        let visit = visit.clone();
        visit.clone().ports.defer(async move {
            if let Err(error) = visit.ports.save(Layer::Colo, &band, loaded, Some(length), keep).await {
                visit.late_incident(Incident::StoreFailed, &error.to_string());
            }
        });
    }
}
