//! One attempt at an origin, and where the route asks for it a second one beside it: the first good answer wins, and
//! the other attempt is let go. A 4xx or 5xx of the second waits for what the first comes to.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;

use crate::head::{Message, ResponseHead};
use crate::origin::forward::NotForwarded;
use crate::origin::{Attempts, FetchError, Outcome, Pool, Try};
use crate::ports::Ports;
use crate::time::{Span, Timestamp};

use super::origin::{Payload, Way};

/// What an attempt came to: a response or why there is none, or why it was not made.
pub type Sent<B> = Result<Result<Message<ResponseHead, B>, FetchError>, NotForwarded>;

/// An attempt that has come to something.
pub struct Made<B> {
    /// Which one.
    pub by: Try,
    /// When it was sent.
    pub request_time: Timestamp,
    /// Since when the endpoint has all of it: until then it was the client's time, not the endpoint's.
    pub since: Timestamp,
    /// What it came to.
    pub sent: Sent<B>,
}

impl<B> Made<B> {
    /// What it means for the pool.
    pub fn outcome(&self, now: Timestamp) -> Outcome {
        let latency = now.since(self.since);
        match &self.sent {
            Ok(Ok(message)) => Outcome::response(&message.head, latency, now),
            Ok(Err(error)) => Outcome::failed(*error, latency),
            Err(_) => Outcome::failed(FetchError::Aborted, latency),
        }
    }
}

impl<P: Ports> Way<'_, P> {
    /// Makes an attempt. What it came to is for the caller to report.
    pub async fn attempt(
        &self,
        (index, pool): (usize, &Pool),
        attempts: &mut Attempts<'_>,
        step: Try,
        payload: &mut Payload<P>,
    ) -> Made<P::Body> {
        let (visit, ports) = (self.visit, &self.visit.ports);
        let request_time = ports.now();
        let streams = payload.streams();
        let body = payload.take(ports);
        let hedge = visit.route.hedge;
        let after = hedge.and_then(|hedge| {
            visit.with_pool(index, |state, _| attempts.hedge_after(state, hedge)).flatten()
        });
        let is_worth_it = |after: &Span| *after < step.timeout && !visit.is_low(index);
        let Some(after) = after.filter(is_worth_it) else {
            let sent = self.send(pool, step, body, visit.is_lone()).await;
            let since = if streams { request_time.max(ports.uploaded()) } else { request_time };
            return Made { by: step, request_time, since, sent };
        };
        let mut first = pin!(self.send(pool, step, body, true));
        if let Either::One(sent) = race(first.as_mut(), pin!(ports.sleep(after))).await {
            return Made { by: step, request_time, since: request_time, sent };
        }
        let hedged_at = ports.now();
        let second = (!visit.is_low(index))
            .then(|| visit.with_pool(index, |state, rng| attempts.hedge(state, rng, hedged_at)).flatten());
        let Some(second) = second.flatten() else {
            return Made { by: step, request_time, since: request_time, sent: first.await };
        };
        self.spend(index, pool);
        visit.notes.borrow_mut().hedged = true;
        let mut other = pin!(self.send(pool, second, payload.take(ports), true));
        let (sent, is_second) = match race(first.as_mut(), other.as_mut()).await {
            Either::One(sent) => (sent, false),
            Either::Other(sent) => (sent, true),
        };
        let (mut won, mut lost) = ((step, request_time), (second, hedged_at));
        if is_second {
            std::mem::swap(&mut won, &mut lost);
        }
        let made = Made { by: won.0, request_time: won.1, since: won.1, sent };
        let now = ports.now();
        let outcome = made.outcome(now);
        if is_second && attempts.is_answer(&outcome) && outcome.result.is_ok_and(|status| status >= 400) {
            let first = Made { by: lost.0, request_time: lost.1, since: lost.1, sent: first.await };
            let later = ports.now();
            let better = first.outcome(later);
            let is_better = attempts.is_answer(&better) || first.sent.is_err();
            let made = Made { since: made.since + later.since(now), ..made };
            let (kept, (dropped, came_to)) =
                if is_better { (first, (made, outcome)) } else { (made, (first, better)) };
            visit.with_pool(index, |state, _| attempts.note(state, dropped.by, &came_to, later));
            if let Ok(Ok(message)) = dropped.sent {
                ports.discard(message.body);
            }
            return kept;
        }
        if attempts.is_answer(&outcome) || made.sent.is_err() {
            visit.with_pool(index, |state, _| attempts.lose(state, lost.0, now.since(lost.1), now));
            return made;
        }
        visit.with_pool(index, |state, _| attempts.note(state, won.0, &outcome, now));
        if let Ok(Ok(message)) = made.sent {
            ports.discard(message.body);
        }
        let sent = if is_second { first.await } else { other.await };
        Made { by: lost.0, request_time: lost.1, since: lost.1, sent }
    }
}

enum Either<A, B> {
    One(A),
    Other(B),
}

/// The first of two futures to be ready; neither is dropped.
async fn race<A, B>(
    mut one: Pin<&mut impl Future<Output = A>>,
    mut other: Pin<&mut impl Future<Output = B>>,
) -> Either<A, B> {
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = one.as_mut().poll(context) {
            return Poll::Ready(Either::One(output));
        }
        other.as_mut().poll(context).map(Either::Other)
    })
    .await
}
