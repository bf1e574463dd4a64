//! Fetch from origin: the attempts of one pool after another, driven.

use crate::cache::settle::Exchange;
use crate::head::{Message, RequestHead, ResponseHead};
use crate::origin::forward::{Hop, NotForwarded, Rewrite, forward};
use crate::origin::{Ask, Attempts, Failure, Next, Outcome, Pool, Try, response, select};
use crate::ports::Ports;
use crate::time::Timestamp;

use super::visit::Visit;

/// What came of asking the origins.
pub enum Asked<B> {
    /// A response, cleaned of what was for this hop only.
    Answered(Message<ResponseHead, B>, Exchange),
    /// None that another attempt could not have bettered.
    Failed(Failed<B>),
    /// The request may not go to an origin.
    Refused(NotForwarded),
}

/// Every attempt in every pool failed.
pub struct Failed<B> {
    /// The last response, where a status was the reason.
    pub response: Option<Message<ResponseHead, B>>,
    /// Why there was no further attempt.
    pub failure: Failure,
    /// The pool that failed last, an index into the site's.
    pub pool: usize,
    /// When it was asked, and when that was given up.
    pub exchange: Exchange,
}

/// A request's body: to be sent once, or kept so that it can be sent again.
pub enum Payload<P: Ports> {
    /// It can be handed on once; `None` where there is none, or where it is gone.
    Once(Option<P::Body>),
    /// It is kept.
    Kept(P::Bytes),
}

impl<P: Ports> Payload<P> {
    /// Keeps the body where the pool says that this is worth it.
    pub async fn new(visit: &Visit<P>, pool: &Pool, body: Option<P::Body>) -> Self {
        let Some(body) = body else { return Self::Once(None) };
        if !pool.keeps_body(&visit.request, visit.route.retry_safe) {
            return Self::Once(Some(body));
        }
        // A body longer than it said, or broken off, can't be sent; the origin sees the short one fail.
        let kept = visit.ports.collect(body, pool.config.replay_bytes_max.bytes()).await;
        kept.map_or(Self::Once(None), Self::Kept)
    }

    fn replayable(&self) -> bool {
        matches!(self, Self::Kept(_) | Self::Once(None))
    }

    fn take(&mut self, ports: &P) -> P::Body {
        match self {
            Self::Once(body) => body.take().unwrap_or_default(),
            Self::Kept(bytes) => ports.body(bytes),
        }
    }
}

/// Asks the route's pool, and where it gives up the pools that it falls back to. `request` is the client's, perhaps
/// with conditions of the cache's own.
pub async fn ask<P: Ports>(visit: &Visit<P>, request: &RequestHead, body: Option<P::Body>) -> Asked<P::Body> {
    let site = &visit.gate.site;
    let Some(first) = site.pools.get(visit.route.pool) else { return Asked::Refused(NotForwarded::LoopDetected) };
    let mut payload = Payload::new(visit, &first.pool, body).await;
    let mut asked = ask_pool(visit, visit.route.pool, request, &mut payload).await;
    for next in &first.fallback {
        match &asked {
            Asked::Failed(failed) if failed.failure.may_fall_back() => {}
            _ => return asked,
        }
        visit.notes.borrow_mut().failover = true;
        asked = ask_pool(visit, *next, request, &mut payload).await;
    }
    asked
}

async fn ask_pool<P: Ports>(
    visit: &Visit<P>,
    index: usize,
    request: &RequestHead,
    payload: &mut Payload<P>,
) -> Asked<P::Body> {
    let Some(pool) = visit.gate.site.pools.get(index).map(|site| &site.pool) else {
        return Asked::Refused(NotForwarded::LoopDetected);
    };
    let ports = &visit.ports;
    let ask = Ask {
        declared_safe: visit.route.retry_safe,
        replayable: payload.replayable(),
        panic: true,
        affinity: select::affinity(visit.affinity().as_bytes()),
    };
    let mut request_time = ports.now();
    let failed = |failure, response, request_time, response_time| {
        let exchange = Exchange { request_time, response_time };
        Asked::Failed(Failed { response, failure, pool: index, exchange })
    };
    let mut attempts = Attempts::new(pool, &request.method, ask, request_time);
    let mut step = match visit.with_pool(index, |state, rng| attempts.start(state, rng, request_time)) {
        Ok(step) => step,
        Err(failure) => return failed(failure, None, request_time, request_time),
    };
    loop {
        if step.wait > crate::time::Span::ZERO {
            ports.sleep(step.wait).await;
        }
        request_time = ports.now();
        let sent = match send(visit, pool, step, request, payload).await {
            Ok(sent) => sent,
            Err(refused) => {
                visit.with_pool(index, |state, _| attempts.cancel(state));
                return Asked::Refused(refused);
            }
        };
        let now = ports.now();
        let outcome = match &sent {
            Ok(message) => Outcome::response(&message.head, now.since(request_time), now),
            Err(error) => Outcome::failed(*error, now.since(request_time)),
        };
        let next = visit.with_pool(index, |state, rng| attempts.report(state, &outcome, rng, now));
        let response = sent.ok().map(|message| {
            Message::new(response::clean(message.head, &visit.gate.site.id), message.body)
        });
        match (next, response) {
            (Next::Answer, Some(response)) => {
                return Asked::Answered(response, Exchange { request_time, response_time: now });
            }
            (Next::GiveUp(failure), response) => return failed(failure, response, request_time, now),
            (Next::Retry(again), response) => {
                if let Some(Message { body, .. }) = response {
                    ports.discard(body);
                }
                visit.notes.borrow_mut().failover |= again.endpoint != step.endpoint;
                step = again;
            }
            (Next::Answer, None) => step = again_at(step, now),
        }
    }
}

/// `Attempts` never answers with a response that did not come; should it, the same endpoint is asked again.
fn again_at(step: Try, _now: Timestamp) -> Try {
    step
}
