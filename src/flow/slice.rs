//! One slice of a large response: read from the stores, or asked for by one request for all of an isolate that want it.

use std::rc::Rc;

use crate::cache::range::ByteRange;
use crate::cache::slice::Answered;
use crate::cache::{Layer, PrimaryKey, Record, StoredHead};
use crate::head::Message;
use crate::ports::{Loaded, PortError, Ports};
use crate::record::Incident;

use super::collapse::FAILURES_BELIEVED;
use super::flight::{self, Lead, Left, Role};
use super::forget;
use super::keep;
use super::lookup;
use super::origin::{self, Asked};
use super::visit::Visit;

/// What the slices of a response are had from.
pub struct Source<P: Ports> {
    /// Who asks.
    pub visit: Rc<Visit<P>>,
    /// The response's key.
    pub key: PrimaryKey,
    /// The head that stands with the first slice.
    pub head: Rc<StoredHead>,
}

/// The client went, or the rest can't be had.
pub struct Broken;

/// A body, and which bytes of the response it carries.
pub type Carried<B> = (B, ByteRange);

impl<P: Ports> Source<P> {
    /// A slice, or the whole response where the origin sends no less.
    pub async fn get(&self, number: u64, slice: ByteRange) -> Result<Carried<P::Body>, Broken> {
        let (gate, ports, policy) = (&self.visit.gate, &self.visit.ports, &self.visit.route.cache);
        let key = self.key.part(&self.head.slice_key(&self.key, number));
        let mut failures = 0;
        loop {
            if let Some(body) = self.stored(number, slice).await {
                return Ok((body, slice));
            }
            let lead = match flight::role(gate, ports, &key) {
                Role::Lead(lead) => Some(lead),
                Role::Alone => None,
                Role::Follow(leader) => match flight::follow(ports, &leader, policy.collapse_wait).await {
                    Some(Left::Failure(_)) => {
                        failures += 1;
                        if failures >= FAILURES_BELIEVED {
                            return Err(Broken);
                        }
                        continue;
                    }
                    Some(_) => match self.stored(number, slice).await {
                        Some(body) => return Ok((body, slice)),
                        None => None,
                    },
                    None => None,
                },
            };
            return self.fetched(number, slice, lead).await;
        }
    }

    async fn fetched(
        &self,
        number: u64,
        slice: ByteRange,
        lead: Option<Lead<P>>,
    ) -> Result<Carried<P::Body>, Broken> {
        let asked = self.asked(slice).await;
        if asked.is_err() {
            lead.iter().for_each(|lead| lead.fail(Some(flight::Failed::broken_off())));
        }
        let (body, carried) = asked?;
        let layers = &[Layer::Colo, Layer::Kv];
        let body = if carried == slice { self.kept(number, slice, body, layers, lead) } else { body };
        Ok((body, carried))
    }

    /// A slice that is stored.
    pub async fn stored(&self, number: u64, slice: ByteRange) -> Option<P::Body> {
        let (visit, key) = (&self.visit, self.head.slice_key(&self.key, number));
        for layer in [Layer::Colo, Layer::Kv] {
            if !visit.route.cache.layers.contains(&layer) {
                continue;
            }
            match lookup::read(visit, layer, &key).await {
                Some((Record::Response(found), body))
                    if self.head.has_slice(slice, &found) && self.is_current(&found) =>
                {
                    let body = visit.ports.exact(body, slice.bytes());
                    let above = layer == Layer::Kv && number > 0;
                    return Some(if above {
                        self.kept(number, slice, body, &[Layer::Colo], None)
                    } else {
                        body
                    });
                }
                Some((_, body)) => visit.ports.discard(body),
                None => {}
            }
        }
        None
    }

    /// Whether what has put an end to this slice has put one to the response, too: where that came later, the slice goes,
    /// whatever its tag says.
    fn is_current(&self, slice: &StoredHead) -> bool {
        let (visit, key, head) = (&self.visit, &self.key, &*self.head);
        if slice.generation >= head.generation && slice.as_of() >= head.as_of() {
            return true;
        }
        let ended = |head: &StoredHead| {
            let (groups, rules) = (visit.gate.groups.borrow(), &visit.route.cache.key);
            let in_group = groups.invalidated(&visit.request, rules, &head.fields, head.as_of());
            (visit.fate(key, head), visit.gate.is_forgotten(key, head.as_of()) || in_group)
        };
        let &StoredHead { generation, response_time, behind, .. } = slice;
        ended(&StoredHead { generation, response_time, behind, ..head.clone() }) == ended(head)
    }

    /// From the origin, which has to confirm that it still is of the same response.
    pub async fn asked(&self, range: ByteRange) -> Result<Carried<P::Body>, Broken> {
        let (visit, key) = (&self.visit, &self.key);
        let mut request = super::fetch::asked_for_all(visit).into_owned();
        self.head.ask_for(range, &mut request.fields);
        let Message { head, body } = match origin::ask(visit, &request, None, false).await {
            Asked::Answered(message, _) => message,
            Asked::Failed(failed) => {
                failed.response.into_iter().for_each(|message| visit.ports.discard(message.body));
                let why = ["a slice could not be fetched: ", &failed.failure.to_string()].concat();
                visit.incident(Incident::TruncatedBody, &why);
                return Err(Broken);
            }
            Asked::Refused(_) => return Err(Broken),
        };
        let answered = self.head.answered(range, &head);
        if !matches!(answered, Answered::Range | Answered::Later) {
            visit.gate.flights.borrow_mut().fetch_plainly(key, visit.ports.now());
            forget::forget(visit, key.clone());
        }
        let carried = match answered {
            Answered::Range => range,
            Answered::Whole(whole) => whole,
            no => {
                visit.ports.discard(body);
                let why = match no {
                    Answered::Changed => "the response changed between two slices".to_owned(),
                    _ => ["a slice was answered with ", &head.status.to_string()].concat(),
                };
                visit.incident(Incident::TruncatedBody, &why);
                return Err(Broken);
            }
        };
        // What is shorter or longer than it says would move all that follows.
        Ok((visit.ports.exact(body, carried.bytes()), carried))
    }

    /// The body for the client; the same goes into those of the layers for which it pays. `lead`: others wait for the colo to
    /// have it.
    fn kept(
        &self,
        number: u64,
        slice: ByteRange,
        mut body: P::Body,
        layers: &[Layer],
        mut lead: Option<Lead<P>>,
    ) -> P::Body {
        let (visit, policy, now) = (&self.visit, &self.visit.route.cache, self.visit.ports.now());
        let (bytes, key) = (slice.bytes(), self.head.slice_key(&self.key, number));
        for layer in layers.iter().copied().filter(|layer| policy.takes(*layer, Some(bytes))) {
            let requests = || visit.gate.stored_again(&self.key.part(&key), now);
            if layer == Layer::Kv && !policy.kv_pays(self.head.lifetime_secs, bytes, requests()) {
                continue;
            }
            visit.notes.borrow_mut().subrequests += u32::from(layer == Layer::Colo);
            let (theirs, ours) = visit.ports.tee(body);
            body = theirs;
            let record = Loaded::new(Record::Response(self.head.slice_head(slice)).encode(), ours);
            let (visit, keep) = (visit.clone(), keep::span(policy, &self.head));
            let lead = lead.take();
            visit.clone().ports.defer(async move {
                let Err(why) = visit.ports.save(layer, &key, record, Some(bytes), keep).await else { return };
                if why == PortError::BrokenOff {
                    lead.iter().for_each(|lead| lead.fail(Some(flight::Failed::broken_off())));
                    return visit
                        .late_incident(Incident::TruncatedBody, "a slice broke off, or had another length");
                }
                visit.late_incident(Incident::StoreFailed, &why.to_string());
            });
        }
        body
    }
}
