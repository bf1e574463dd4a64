//! Store: which layers are filled, and which are told that what they hold is no longer so.

use std::rc::Rc;

use crate::cache::policy::KvAdmission;
use crate::cache::range::How;
use crate::cache::stored::Exchange;
use crate::cache::{
    CacheStatus, Detail, Fwd, Layer, NotStored, PrimaryKey, StoredHead, VariantIndex, storable,
};
use crate::head::{Message, ResponseHead};
use crate::ports::{PortError, Ports};
use crate::record::{AnsweredBy, Incident};
use crate::time::Timestamp;

use super::Reply;
use super::beside;
use super::complete;
use super::fetch;
use super::flight::{Failed, Lead};
use super::forget;
use super::gate::TICK;
use super::keep;
use super::lookup::{Candidate, Content, Found};
use super::visit::Visit;
use super::{similar, slices};

/// A response of the origin's own to a request that the cache took part in.
pub struct Received<B> {
    /// The response.
    pub message: Message<ResponseHead, B>,
    /// When it was asked for and came.
    pub exchange: Exchange,
    /// Why it was asked for.
    pub fwd: Fwd,
    /// How it answers the client's own preconditions.
    pub how: How,
    /// The complete length, where tidegate asked for the first slice and this is it.
    pub complete: Option<u64>,
}

/// Hands the response on, and stores it where that is allowed and pays.
pub fn receive<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &Found<P>,
    received: Received<P::Body>,
    lead: Option<Lead<P>>,
) -> Reply<P::Body> {
    let Received { message: Message { mut head, body }, exchange, fwd, mut how, complete } = received;
    visit.notes.borrow_mut().answered_by = AnsweredBy::Origin;
    fetch::apply_asset_policy(visit, &mut head);
    let now = exchange.response_time;
    let mut cache = CacheStatus { fwd_status: Some(head.status), ..CacheStatus::fwd(fwd) };
    let lifetime = match storable(&visit.request, &head, &visit.route.cache, &visit.identity, now) {
        Ok(lifetime) => lifetime,
        Err(why) => {
            // Whose method's responses are hardly ever stored needs no reason.
            cache.detail = (fwd != Fwd::Method).then_some(Detail::Reason(why.as_str()));
            forget::displace(visit, key, found, head.status, why);
            // A 304, a client's own wish and a failure say nothing of what the next client would get.
            if head.status >= 500 {
                lead.iter().for_each(|lead| lead.fail(Some(Failed::answered(head.status))));
            } else if !matches!(why, NotStored::Partial | NotStored::RequestNoStore) {
                lead.into_iter().for_each(Lead::pass);
            }
            return Reply { message: Message::new(head, body), cache: Some(cache) };
        }
    };
    let mut stored = StoredHead::new(&visit.request, &head, &lifetime, &visit.route.cache, exchange);
    cache.ttl = Some(stored.ttl(now));
    let lead = lead_for(&stored, now, lead);
    let length = match stored.part {
        _ if head.is_bodiless() => Some(0),
        Some(part) => Some(part.bytes()),
        None => head.content_length(),
    };
    let policy = &visit.route.cache;
    if !policy.layers.iter().any(|layer| policy.takes(*layer, length.or(Some(0)))) {
        cache.detail = Some(Detail::Reason(NotStored::TooLarge.as_str()));
        forget::displace(visit, key, found, head.status, NotStored::TooLarge);
        return Reply { message: Message::new(head, body), cache: Some(cache) };
    }
    cache.stored = true;
    let (theirs, ours) = visit.ports.tee(body);
    let (asked, afresh) = (exchange.as_of(), fwd == Fwd::Method);
    if afresh {
        // It shows what the write made, and so does nothing that was asked for before.
        visit.gate.forget(key, asked.before(TICK));
    }
    if let Some(complete) = complete {
        stored.slice_of(complete);
        how = stored.answers(&visit.request);
    }
    let cut = complete.is_some() && how != How::NotModified;
    let whole = cut.then(|| Rc::new(stored.clone()));
    let (primary, index, crowded) = (key.clone(), found.index.clone(), found.is_lately_stale(now));
    let filling = Filling { visit: visit.clone(), key: primary, index, asked, afresh, crowded, lead };
    visit.ports.defer(filling.fill(stored, ours, length));
    if let Some(whole) = whole {
        let mut message = slices::answer_first(visit, key, whole, theirs, &how);
        let for_one = |name: &str| lifetime.omitted.iter().any(|omitted| **omitted == *name);
        head.fields.retain(|name, _| for_one(name));
        head.fields.iter().for_each(|(name, value)| message.head.fields.append(name, value));
        return Reply { message, cache: Some(cache) };
    }
    if how == How::NotModified {
        visit.ports.discard(theirs);
        head.status = 304;
        return Reply { message: Message::new(head, P::Body::default()), cache: Some(cache) };
    }
    Reply { message: Message::new(head, theirs), cache: Some(cache) }
}

/// Lets all who wait for a response go at once that has to be confirmed before each use: one after the other they would
/// only find that out.
fn lead_for<P: Ports>(head: &StoredHead, now: Timestamp, lead: Option<Lead<P>>) -> Option<Lead<P>> {
    let answers = !head.no_cache && (head.ttl(now) > 0 || head.stale_while_revalidate_secs > 0);
    if answers {
        return lead;
    }
    lead.into_iter().for_each(Lead::pass);
    None
}

/// Hands on the response to a POST. It is stored for later GETs where it says that it is theirs (RFC 9110, section
/// 9.3.3); whatever was stored before is no longer so.
pub fn receive_post<P: Ports>(
    visit: &Rc<Visit<P>>,
    message: Message<ResponseHead, P::Body>,
    exchange: Exchange,
) -> Reply<P::Body> {
    let (rules, request) = (&visit.route.cache.key, &visit.request);
    let key = PrimaryKey::new(&request.target, &request.fields, rules, &visit.identity);
    let found = Found { candidates: Vec::new(), index: None };
    let received = Received { message, exchange, fwd: Fwd::Method, how: How::Full, complete: None };
    let reply = receive(visit, &key, &found, received, None);
    let is_stored = reply.cache.is_some_and(|cache| cache.stored);
    forget::invalidate(
        visit,
        &reply.message.head,
        Some((&key, exchange.as_of().before(TICK))).filter(|_| is_stored),
    );
    reply
}

/// One response on its way into the layers.
struct Filling<P: Ports> {
    visit: Rc<Visit<P>>,
    key: PrimaryKey,
    index: Option<VariantIndex>,
    /// When the origin was asked for it: what was invalidated since is not stored any more.
    asked: Timestamp,
    /// What the layers hold for this key is to go first.
    afresh: bool,
    /// The others are likely to fetch the same just now.
    crowded: bool,
    lead: Option<Lead<P>>,
}

impl<P: Ports> Filling<P> {
    /// Fills memory first, and lets the followers go; then the others. Nothing is kept of a body that did not end well.
    async fn fill(mut self, mut head: StoredHead, body: P::Body, length: Option<u64>) {
        let visit = self.visit.clone();
        if self.afresh {
            forget::remove(&visit, &self.key).await;
        }
        let policy = &visit.route.cache;
        let small = length.is_none_or(|bytes| bytes <= policy.memory_object_bytes_max.bytes());
        if !small {
            self.displace(&head);
            self.lead.iter_mut().for_each(Lead::pass_for_others);
            return self.stream(head, body, length).await;
        }
        let read = visit.ports.gather(body, policy.memory_object_bytes_max.bytes()).await;
        let (bytes, is_whole) = match read {
            Ok((bytes, true)) if length.is_none_or(|length| length == visit.ports.len(&bytes)) => {
                (bytes, true)
            }
            // Of unknown length, and longer than what is held: not an error, and not to be waited for again.
            Err(PortError::TooLarge) => {
                self.displace(&head);
                return self.lead.into_iter().for_each(Lead::pass);
            }
            Ok((part, _)) => {
                visit.late_incident(Incident::TruncatedBody, "it broke off, or was shorter than it said");
                self.lead.iter().for_each(|lead| lead.fail(Some(Failed::broken_off())));
                if !policy.partial || !head.broke_off(visit.ports.len(&part)) {
                    return;
                }
                (part, false)
            }
            Err(error) => return visit.late_incident(Incident::TruncatedBody, &error.to_string()),
        };
        if self.is_forgotten(&head) {
            return;
        }
        head.count(visit.ports.len(&bytes));
        let bytes = complete::with_memory(&visit, &self.key, &mut head, bytes);
        let length = visit.ports.len(&bytes);
        if policy.layers.contains(&Layer::Memory) {
            let variants_max = policy.vary.variants_max;
            let mut memory = visit.gate.memory.borrow_mut();
            let mut searches = visit.gate.searches.borrow_mut();
            let key = searches.learn(&self.key, &head);
            memory.insert(&key, head.clone(), bytes.clone(), length, variants_max);
        }
        if let Some(lead) = self.lead.take().filter(|_| is_whole) {
            lead.share(&head, &bytes);
        }
        similar::learn(&visit, &self.key, &head, &bytes);
        self.save(Layer::Colo, &head, visit.ports.body(&bytes), length).await;
        if self.pays(&head, length) {
            self.save(Layer::Kv, &head, visit.ports.body(&bytes), length).await;
        }
    }

    /// A body too large for memory flows into the other layers as it comes.
    async fn stream(mut self, mut head: StoredHead, body: P::Body, length: Option<u64>) {
        let lead = self.lead.take();
        lead.iter().for_each(Lead::leave_below);
        let (policy, ports) = (&self.visit.route.cache, &self.visit.ports);
        self.visit.gate.flights.borrow_mut().learn_names(&self.key, head.selecting.names());
        let fits = |layer| policy.takes(layer, length);
        let Some(bytes) = length.filter(|_| fits(Layer::Colo) || fits(Layer::Kv)) else {
            return ports.discard(body);
        };
        head.count(bytes);
        let head = &head;
        let into_kv = async |body| {
            self.save(Layer::Kv, head, body, bytes).await;
        };
        let into_colo = async |body, lead: Option<Lead<P>>| {
            if !self.save(Layer::Colo, head, body, bytes).await {
                lead.iter().for_each(|lead| lead.fail(Some(Failed::broken_off())));
            }
        };
        match (fits(Layer::Colo), fits(Layer::Kv) && self.pays(head, bytes)) {
            (true, true) => {
                let (one, other) = ports.tee(body);
                super::join(into_colo(one, lead), into_kv(other)).await;
            }
            (true, false) => into_colo(body, lead).await,
            (false, true) => {
                drop(lead);
                into_kv(body).await;
            }
            (false, false) => ports.discard(body),
        }
    }

    /// Memory is asked first, and would go on with what it held in the place of what it can't hold.
    fn displace(&self, head: &StoredHead) {
        let gate = &self.visit.gate;
        if head.selecting.0.is_empty() {
            gate.forget(&self.key, self.asked.before(TICK));
        } else {
            gate.memory.borrow_mut().displace(&gate.key_in_memory(&self.key), head);
        }
    }

    fn is_forgotten(&self, head: &StoredHead) -> bool {
        self.visit.is_gone(&self.key, self.asked, head)
    }

    /// Whether KV is to have it too. Where what was stored has only just become stale it has everywhere: one of a few is
    /// enough to write what all of them fetch.
    fn pays(&self, head: &StoredHead, bytes: u64) -> bool {
        let (gate, policy) = (&self.visit.gate, &self.visit.route.cache);
        if self.visit.warms {
            return policy.kv_may_pay(head.lifetime_secs);
        }
        let requests = gate.stored_again(&self.key, self.visit.ports.now());
        // KV takes one write a second under one key, and where it was cleared that was it.
        let pays = !self.afresh && policy.kv_pays(head.lifetime_secs, bytes, requests);
        let is_left_to_others = || policy.kv_admission == KvAdmission::SecondRequest && self.crowded;
        pays && !(is_left_to_others() && gate.rng.borrow_mut().u8(..CROWD) > 0)
    }

    /// Tells whether the body came to its end.
    async fn save(&self, layer: Layer, head: &StoredHead, body: P::Body, length: u64) -> bool {
        if !self.visit.route.cache.takes(layer, Some(length)) || self.is_forgotten(head) {
            self.visit.ports.discard(body);
            return true;
        }
        let saved = keep::save(&self.visit, layer, &self.key, self.index.clone(), head, body, length).await;
        let Err(error) = saved else { return true };
        let is_broken = error == PortError::BrokenOff;
        let incident = if is_broken { Incident::TruncatedBody } else { Incident::StoreFailed };
        self.visit.late_incident(incident, &format!("{}: {error}", layer.as_str()));
        !is_broken
    }
}

/// Of so many that fetch the same at the same time, one writes it to KV.
const CROWD: u8 = 4;

/// A response that a lower layer had goes into those above it.
pub fn promote<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &Found<P>,
    candidate: &Candidate<P>,
    lead: Option<Lead<P>>,
) {
    let Content::Bytes(bytes) = &candidate.content else {
        return lead.iter().for_each(Lead::leave_below);
    };
    if visit.is_gone(key, candidate.head.as_of(), &candidate.head) {
        // A write came while it was read.
        return;
    }
    let (policy, length) = (&visit.route.cache, visit.ports.len(bytes));
    if policy.takes(Layer::Memory, Some(length)) {
        let variants_max = policy.vary.variants_max;
        let mut memory = visit.gate.memory.borrow_mut();
        let mut searches = visit.gate.searches.borrow_mut();
        let key = searches.learn(key, &candidate.head);
        memory.insert(&key, (*candidate.head).clone(), bytes.clone(), length, variants_max);
    }
    drop(lead);
    if candidate.layer != Layer::Colo && policy.takes(Layer::Colo, Some(length)) {
        let index = found.index.clone();
        let (key, asked) = (key.clone(), candidate.head.as_of());
        let filling =
            Filling { visit: visit.clone(), key, index, asked, afresh: false, crowded: false, lead: None };
        let (head, body) = (candidate.head.clone(), visit.ports.body(bytes));
        visit.ports.defer(async move {
            filling.save(Layer::Colo, &head, body, length).await;
        });
    }
}

/// A stored response was confirmed: its new head goes with its old body.
pub fn freshen<P: Ports>(
    visit: &Rc<Visit<P>>,
    key: &PrimaryKey,
    found: &Found<P>,
    candidate: &Candidate<P>,
    asked: Timestamp,
    lead: Option<Lead<P>>,
) {
    let lead = lead_for(&candidate.head, asked, lead);
    let Content::Bytes(bytes) = &candidate.content else {
        return beside::freshen(visit, key, candidate, lead);
    };
    let (key, index, crowded) = (key.clone(), found.index.clone(), found.is_lately_stale(asked));
    let filling = Filling { visit: visit.clone(), key, index, asked, afresh: false, crowded, lead };
    let length = visit.ports.len(bytes);
    visit.ports.defer(filling.fill((*candidate.head).clone(), visit.ports.body(bytes), Some(length)));
}
