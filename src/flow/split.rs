//! Split pools: where a client's reads may go after its writes, and the bookmark that tells of them.

use std::rc::Rc;

use crate::cache::stored::Exchange;
use crate::head::{Message, Method, RequestHead, ResponseHead};
use crate::origin::bookmark::{COOKIE, FIELD};
use crate::origin::split::{Carrier, SplitConfig, position};
use crate::origin::{Bookmark, Pool, Try};
use crate::ports::Ports;
use crate::record::Incident;
use crate::route::Route;
use crate::time::{Span, Timestamp};

use super::gate::{Gate, TICK};
use super::visit::Visit;

/// How long a replica is waited for that is asked for its lag.
const PROBE_TIMEOUT: Span = Span::from_secs(2);
/// How long what it answers may be.
const PROBE_BYTES_MAX: u64 = 4096;

/// The bookmark that a request shows, where its route's pool has replicas.
pub fn bookmark<P: Ports>(
    gate: &Gate<P>,
    route: &Route,
    request: &RequestHead,
    now: Timestamp,
) -> Option<Bookmark> {
    let split = config(gate, route)?;
    Bookmark::of(request, &gate.bookmark_key, split.bookmark_ttl, now)
}

fn config<'g, P: Ports>(gate: &'g Gate<P>, route: &Route) -> Option<&'g SplitConfig> {
    gate.site.pools.get(*route.pools.first()?)?.config.split.as_ref()
}

/// Gives the client its bookmark with the answer to what may have been a write: also to one that failed, which may have
/// been done all the same, but not to one that an origin refused.
pub fn tell<P: Ports>(visit: &Visit<P>, head: &mut ResponseHead) {
    let Some(split) = config(&visit.gate, &visit.route) else { return };
    let request = &visit.request;
    let only_reads = request.method.is_safe() || visit.route.cache.key.has_body(&request.method);
    let notes = visit.notes.borrow();
    head.fields.remove(FIELD);
    if only_reads || notes.attempts == 0 || matches!(head.status, 400..=499) {
        return;
    }
    let pool = visit.route.pools.first().and_then(|at| visit.gate.site.pools.get(*at));
    let pool = pool.map_or(0, |pool| pool.hash);
    // What was read in its own millisecond may have been read before it.
    let mark = Bookmark { at: visit.ports.now() + TICK, position: notes.position, pool };
    let text = mark.write(&visit.gate.bookmark_key);
    if split.bookmark != Carrier::Cookie {
        head.fields.append(FIELD, &text);
    }
    if split.bookmark != Carrier::Header {
        let secs = split.bookmark_ttl.as_secs_ceil().to_string();
        let secure = if request.target.scheme() == "https" { "; Secure" } else { "" };
        let cookie =
            [COOKIE, "=", &text, "; Path=/; Max-Age=", &secs, "; HttpOnly; SameSite=Lax", secure].concat();
        head.fields.append("set-cookie", &cookie);
    }
}

impl<P: Ports> Visit<P> {
    /// Whether what was stored as of this moment lacks a write of this client.
    pub fn is_past(&self, as_of: Timestamp) -> bool {
        self.bookmark.is_none_or(|mark| as_of >= mark.at)
    }

    /// A response of this endpoint has come: notes what it says of its place in the log, and tells how current it is.
    pub fn exchange(
        &self,
        (index, pool): (usize, &Pool),
        by: Try,
        head: Option<&ResponseHead>,
        (request_time, response_time): (Timestamp, Timestamp),
    ) -> Exchange {
        let exchange = Exchange::new(request_time, response_time);
        let Some(split) = &pool.config.split else {
            // Another pool stands in, of which nothing is known.
            let stands_in_for = config(&self.gate, &self.route);
            let behind = stands_in_for.map_or(Span::ZERO, |split| split.bookmark_ttl);
            let good_for = stands_in_for.map_or(Span::MAX, |split| split.bookmark_ttl);
            return Exchange { behind, good_for, ..exchange };
        };
        let mut as_of = None;
        if let Some(head) = head {
            let heed =
                self.with_pool(index, |state, _| state.heed(pool, by.endpoint, &head.fields, request_time));
            as_of = heed.flatten();
            if pool.split.is_some_and(|split| split.primary == by.endpoint) {
                let name = split.position_header.to_ascii_lowercase();
                self.notes.borrow_mut().position =
                    head.fields.get(&name).and_then(|text| position(text.trim()));
            }
        }
        let times = (request_time, response_time);
        let behind = pool.behind(by.endpoint, as_of, self.bookmark.as_ref(), times);
        Exchange { behind, good_for: split.bookmark_ttl, ..exchange }
    }

    /// Asks the replicas for their lag, after the answer, where that is due.
    pub fn probe(&self, index: usize, pool: &Pool) {
        let now = self.ports.now();
        if self.with_pool(index, |state, _| state.probe_due(pool, now)) == Some(true) {
            self.ports.defer(probe(self.gate.clone(), self.ports.clone(), index));
        }
    }
}

async fn probe<P: Ports>(gate: Rc<Gate<P>>, ports: P, index: usize) {
    let Some(pool) = gate.site.pools.get(index) else { return };
    let path = pool.config.split.as_ref().and_then(|split| split.probe.as_deref()).unwrap_or_default();
    for (at, endpoint) in pool.replicas() {
        let url = [&*endpoint.url.to_string(), path].concat();
        let Ok(request) = RequestHead::new(Method::Get, &url) else { continue };
        let sent = ports.now();
        let answer = ports.fetch(&request, P::Body::default(), PROBE_TIMEOUT).await;
        let text = match answer {
            Ok(Message { head, body }) if head.status == 200 => {
                let heed = |state: &mut crate::origin::PoolState| {
                    state.heed(pool, at, &head.fields, sent);
                };
                if let Some(state) = gate.pools.borrow_mut().get_mut(index) {
                    heed(state);
                }
                ports.collect(body, PROBE_BYTES_MAX).await.ok().map(|bytes| ports.text(&bytes))
            }
            Ok(Message { body, .. }) => {
                ports.discard(body);
                None
            }
            Err(_) => None,
        };
        match text {
            Some(text) => {
                if let Some(state) = gate.pools.borrow_mut().get_mut(index) {
                    state.heed_text(pool, at, &text, sent);
                }
            }
            None => gate.outbox.borrow_mut().add_incident(Incident::ProbeFailed),
        }
    }
}
