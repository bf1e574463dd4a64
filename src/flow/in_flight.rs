//! Gives back what a request took of policies that count requests in flight, when its response has ended.

use crate::head::{Method, ResponseHead};
use crate::limit::{Decision, Order};
use crate::ports::Ports;
use crate::record::AnsweredBy;

use super::settle::{self, Call};
use super::visit::Visit;

/// The same body; when it has ended, what the request took is free. What did not come from an origin is at hand, so then it
/// is free at once; so it is with an upgrade: how long a connection lasts is not a matter of requests.
pub fn give_back<P: Ports>(
    visit: &Visit<P>,
    decision: &Decision,
    head: &ResponseHead,
    body: P::Body,
) -> P::Body {
    let mut calls: Vec<Call> = Vec::new();
    for (ask, at) in decision.in_flight() {
        let units = i32::try_from(ask.take.cost.get()).unwrap_or(i32::MAX);
        settle::add(&mut calls, ask, Order::settle(ask, -units, at));
    }
    if calls.is_empty() {
        return body;
    }
    let is_whole = visit.notes.borrow().answered_by != AnsweredBy::Origin
        || visit.request.method == Method::Head
        || head.status == 101
        || head.is_bodiless();
    if is_whole {
        calls.into_iter().for_each(|call| settle::tell(visit, call, None));
        return body;
    }
    let signal = visit.ports.signal();
    // What a store takes of it is another branch, so this one is wanted by the client alone.
    let body = visit.ports.ending(body, &signal, head.content_length(), true);
    calls.into_iter().for_each(|call| settle::tell(visit, call, Some(signal.clone())));
    body
}
