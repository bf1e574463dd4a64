//! Fetch from origin: the attempts of one pool after another, driven.

use crate::cache::stored::Exchange;
use crate::head::{Message, Method, RequestHead, ResponseHead};
use crate::origin::concurrency::QUEUE_STEP;
use crate::origin::forward::NotForwarded;
use crate::origin::probe::read_lag;
use crate::origin::upstream::Turn;
use crate::origin::{
    Ask, Attempts, Cause, Failure, FetchError, Next, Outcome, Pool, Stop, Try, response, trace,
};
use crate::ports::{Held, Ports};
use crate::route::Panic;
use crate::time::Span;

use super::batch;
use super::cdn;
use super::flight;
use super::health;
use super::hedge::Made;
use super::queue;
use super::visit::Visit;

/// What came of asking the origins.
pub enum Asked<B> {
    /// A response, cleaned of what was for this hop only.
    Answered(Message<ResponseHead, B>, Exchange),
    /// None that another attempt could not have bettered.
    Failed(Failed<B>),
    /// The request does not go to an origin.
    Refused(Refusal),
}

/// Why a request does not go to an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It may not.
    NotForwarded(NotForwarded),
    /// Its body broke off, or was longer than it said.
    BodyLost,
    /// The route has no pool. A checked config gives every route one.
    NoPool,
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
    async fn kept_for(self, visit: &Visit<P>, pool: &Pool) -> Result<Self, Refusal> {
        match self {
            Self::Once(Some(body)) if pool.keeps_body(&visit.request, visit.route.retry_safe) => {
                match visit.ports.hold(body, pool.config.replay_bytes_max.bytes()).await {
                    Ok(Held::Whole(bytes)) => Ok(Self::Kept(bytes)),
                    Ok(Held::Longer(body)) => Ok(Self::Once(Some(body))),
                    Err(_) => Err(Refusal::BodyLost),
                }
            }
            as_it_is => Ok(as_it_is),
        }
    }

    fn replayable(&self) -> bool {
        matches!(self, Self::Kept(_) | Self::Once(None))
    }

    /// Whether it comes from the client while it is sent.
    pub fn streams(&self) -> bool {
        matches!(self, Self::Once(Some(_)))
    }

    /// The body for an attempt.
    pub fn take(&mut self, ports: &P) -> P::Body {
        match self {
            Self::Once(body) => body.take().unwrap_or_default(),
            Self::Kept(bytes) => ports.body(bytes),
        }
    }
}

/// Asks the route's pool, once there is a place, and where it gives up the pools that it falls back to. `request` is the client's, perhaps
/// with conditions of the cache's own. `spare`: something better than a probable failure is at hand.
pub async fn ask<P: Ports>(
    visit: &Visit<P>,
    request: &RequestHead,
    body: Option<P::Body>,
    spare: bool,
) -> Asked<P::Body> {
    let failed = visit.notes.borrow_mut().failed_for_all.take();
    if let Some(flight::Failed { failure, pool, .. }) = failed {
        let now = visit.ports.now();
        return Asked::Failed(Failed { response: None, failure, pool, exchange: Exchange::new(now, now) });
    }
    visit.meet_client();
    if let Some(answered) = cdn::ask(visit, request).await {
        return answered;
    }
    match batch::ask(visit, request, body.is_some()).await {
        Some(answered) => answered,
        None => ask_now(visit, request, body, spare).await,
    }
}

/// The same, for this request alone.
pub async fn ask_now<P: Ports>(
    visit: &Visit<P>,
    request: &RequestHead,
    body: Option<P::Body>,
    spare: bool,
) -> Asked<P::Body> {
    let can_hide = visit.route.retry_safe || request.method.is_idempotent();
    health::keep_up(visit, can_hide).await;
    let start = visit.ports.now();
    let place = match queue::enter(visit).await {
        Ok(place) => place,
        Err(stop) => {
            let exchange = Exchange::new(start, visit.ports.now());
            let failure = Failure { cause: Cause::NoEndpoint, stop, tries: 0, endpoint: None };
            let pool = visit.route.pools.first().copied().unwrap_or_default();
            return Asked::Failed(Failed { response: None, failure, pool, exchange });
        }
    };
    let asked = ask_pools(visit, request, body, spare).await;
    visit.notes.borrow_mut().waited = visit.ports.now().since(start);
    let Some(place) = place else { return asked };
    match asked {
        Asked::Answered(message, exchange) => Asked::Answered(place.leave_with(visit, message), exchange),
        Asked::Failed(Failed { response: Some(message), failure, pool, exchange }) => {
            let response = Some(place.leave_with(visit, message));
            Asked::Failed(Failed { response, failure, pool, exchange })
        }
        asked => {
            place.leave(visit);
            asked
        }
    }
}

async fn ask_pools<P: Ports>(
    visit: &Visit<P>,
    request: &RequestHead,
    body: Option<P::Body>,
    spare: bool,
) -> Asked<P::Body> {
    let rng = &mut visit.gate.rng.borrow_mut().fork();
    let way = Way { visit, request, traceparent: trace::traceparent(&request.fields, rng) };
    let pools = &visit.gate.site.pools;
    let mut payload = Payload::Once(body);
    let mut asked = Asked::Refused(Refusal::NoPool);
    for (nth, index) in visit.route.pools.iter().enumerate() {
        let Some(pool) = pools.get(*index) else { continue };
        payload = match payload.kept_for(visit, pool).await {
            Ok(payload) => payload,
            Err(refusal) => return Asked::Refused(refusal),
        };
        if let Asked::Failed(Failed { response: Some(message), .. }) = asked {
            visit.ports.discard(message.body);
        }
        let is_last = nth + 1 == visit.route.pools.len();
        let last_resort = is_last && !spare && visit.route.static_fallback.is_none();
        let leave = match way.leave(*index, pool, last_resort).await {
            Ok(leave) => leave,
            Err(stop) => {
                let failure = Failure { cause: Cause::NoEndpoint, stop, tries: 0, endpoint: None };
                let now = visit.ports.now();
                let exchange = Exchange::new(now, now);
                asked = Asked::Failed(Failed { response: None, failure, pool: *index, exchange });
                continue;
            }
        };
        asked = way.ask_pool(*index, pool, &mut payload, last_resort, leave.turn).await;
        way.settle(pool, &leave);
        match &asked {
            Asked::Failed(failed) if failed.failure.may_fall_back() => {
                visit.notes.borrow_mut().failover |= !is_last;
            }
            _ => break,
        }
    }
    asked
}

/// One request on its way to the origins.
pub struct Way<'v, P: Ports> {
    pub visit: &'v Visit<P>,
    pub request: &'v RequestHead,
    pub traceparent: String,
}

impl<P: Ports> Way<'_, P> {
    async fn ask_pool(
        &self,
        index: usize,
        pool: &Pool,
        payload: &mut Payload<P>,
        last_resort: bool,
        mut turn: Option<Turn>,
    ) -> Asked<P::Body> {
        let (visit, ports) = (self.visit, &self.visit.ports);
        let ask = Ask {
            declared_safe: visit.route.retry_safe,
            replayable: payload.replayable(),
            last_resort,
            may_panic: visit.route.panic == Panic::Try,
            wish: visit.wish(index, pool, &self.request.method),
        };
        visit.probe(index, pool);
        let start = ports.now();
        let mut attempts = Attempts::new(pool, &self.request.method, ask, start);
        let mut step = match self.start(index, pool, &mut attempts, last_resort).await {
            Some(Ok(step)) => step,
            Some(Err(failure)) => {
                self.end_turn(index, turn);
                let exchange = Exchange::new(start, ports.now());
                return Asked::Failed(Failed { response: None, failure, pool: index, exchange });
            }
            None => return Asked::Refused(Refusal::NoPool),
        };
        loop {
            let (generation, after) = (visit.gate.fleet.generation(), visit.gate.after_writes(ports.now()));
            let made = self.attempt((index, pool), &mut attempts, step, payload).await;
            let response_time = ports.now();
            let outcome = made.outcome(response_time);
            self.heed_quota(index, pool, turn, &made);
            self.heed_lag(index, pool, &made);
            let Made { by, request_time, sent, .. } = made;
            let next =
                visit.with_pool(index, |state, rng| attempts.report(state, by, &outcome, rng, response_time));
            let head = sent.as_ref().ok().and_then(|sent| sent.as_ref().ok()).map(|message| &message.head);
            let times = (request_time.max(after), response_time.max(after));
            let exchange = Exchange { generation, ..visit.exchange((index, pool), by, head, times) };
            match (next, sent) {
                (_, Err(refused)) => return Asked::Refused(Refusal::NotForwarded(refused)),
                (Some(Next::Retry(again)), Ok(sent)) => {
                    if let Ok(message) = sent {
                        ports.discard(message.body);
                    }
                    visit.notes.borrow_mut().failover |= again.endpoint != step.endpoint;
                    step = again;
                    if step.wait > Span::ZERO {
                        ports.sleep(step.wait).await;
                    }
                    let Ok(next) = self.another(index, pool) else {
                        let failure = self.take_back(index, &mut attempts, step, &outcome);
                        return Asked::Failed(Failed { response: None, failure, pool: index, exchange });
                    };
                    turn = next;
                }
                (Some(Next::GiveUp(failure)), Ok(sent)) => {
                    let response = sent.ok().map(|message| self.receive(pool, message));
                    return Asked::Failed(Failed { response, failure, pool: index, exchange });
                }
                (_, Ok(Ok(message))) => return Asked::Answered(self.receive(pool, message), exchange),
                // `Attempts` never calls a failure an answer.
                (_, Ok(Err(_))) => return Asked::Refused(Refusal::NoPool),
            }
        }
    }

    /// The first attempt. Where all endpoints are busy, and there is nothing better than one of them, it waits a little
    /// for a place.
    async fn start(
        &self,
        index: usize,
        pool: &Pool,
        attempts: &mut Attempts<'_>,
        may_wait: bool,
    ) -> Option<Result<Try, Failure>> {
        let (visit, ports) = (self.visit, &self.visit.ports);
        let mut start = || {
            let now = ports.now();
            visit.with_pool(index, |state, rng| attempts.start(state, rng, now))
        };
        let is_full = |first: &Option<Result<Try, Failure>>| {
            matches!(first, Some(Err(Failure { stop: Stop::Full, .. })))
        };
        let mut first = start();
        if !may_wait || !is_full(&first) || visit.with_pool(index, |state, _| state.enqueue()) != Some(true) {
            return first;
        }
        let until = ports.now() + pool.config.queue;
        while is_full(&first) && ports.now() < until {
            ports.sleep(QUEUE_STEP).await;
            first = start();
        }
        visit.with_pool(index, |state, _| state.dequeue());
        first
    }

    /// An attempt that was planned is not made, since its origin's quota is spent.
    fn take_back(&self, index: usize, attempts: &mut Attempts<'_>, step: Try, last: &Outcome) -> Failure {
        let now = self.visit.ports.now();
        let outcome = Outcome::failed(FetchError::Aborted, Span::ZERO);
        self.visit.with_pool(index, |state, _| attempts.note(state, step, &outcome, now));
        attempts.failure(Cause::from(last.result), Stop::QuotaSpent)
    }

    /// A response may say how far its endpoint is behind.
    fn heed_lag(&self, index: usize, pool: &Pool, made: &Made<P::Body>) {
        let (Some(name), Ok(Ok(message))) = (&pool.config.lag_header, &made.sent) else { return };
        let field = message.head.fields.get(&name.to_ascii_lowercase());
        if let Some(lag) = field.and_then(read_lag) {
            self.visit.with_pool(index, |state, _| state.lags(made.by.endpoint, lag));
        }
    }

    /// A response as it goes on from here.
    fn receive(
        &self,
        pool: &Pool,
        Message { head, mut body }: Message<ResponseHead, P::Body>,
    ) -> Message<ResponseHead, P::Body> {
        // An upgrade has a stream of its own, and its own silences.
        if let Some(idle) = pool.config.body_idle_timeout
            && self.request.method != Method::Head
            && head.status != 101
            && !head.is_bodiless()
        {
            body = self.visit.ports.watch(body, idle, head.content_length());
        }
        let mut head = response::clean(head, &self.visit.gate.site.server.id);
        if !head.fields.contains("date") {
            // It was made when it came (RFC 9110, section 6.6.1).
            head.fields.append("date", &self.visit.ports.now().to_http_date());
        }
        Message::new(head, body)
    }
}
