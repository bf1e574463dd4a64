//! Settle: what a request cost in the end, and what is not counted after all, by its answer.

use std::num::NonZeroU32;

use crate::head::ResponseHead;
use crate::json;
use crate::limit::batch::orders_text;
use crate::limit::{Answer, Checked, Decision, Order, PolicyConfig, Settle};
use crate::ports::Ports;
use crate::record::{AnsweredBy, Incident, LimiterEvent, Staleness};
use crate::time::Span;

use super::lease;
use super::visit::Visit;

/// How long a limiter may take that nobody waits for.
const BUDGET: Span = Span::from_secs(5);

/// Has the limiter settle what differs from what was taken, after the answer. The decision is as if it had been done.
pub fn settle<P: Ports>(visit: &Visit<P>, decision: &mut Decision, head: &ResponseHead) {
    if decision.refusal().is_some() {
        return;
    }
    let by = visit.notes.borrow().answered_by;
    let mut calls: Vec<Call> = Vec::new();
    for Checked { ask, answer } in &mut decision.checked {
        let Answer::Counted(verdict) = answer else { continue };
        let name = &ask.take.policy.name;
        let Some((_, policy)) = visit.route.limits.iter().find(|(known, _)| known == name) else { continue };
        let units = difference(policy, ask.take.cost, by, head);
        if units == 0 || !verdict.admitted {
            continue;
        }
        verdict.remaining = verdict.remaining.saturating_add_signed(-units).min(verdict.limit);
        let settle = Some(Settle { units, at: verdict.at });
        let order = Order { cost: None, settle, ..Order::take(ask.take.policy.clone(), ask.take.cost) };
        add(&mut calls, &ask.object, order);
    }
    send(visit, calls, None);
}

/// What one object is told.
pub type Call = (Box<str>, Vec<Order>);

/// Adds an order for an object.
pub fn add(calls: &mut Vec<Call>, object: &str, order: Order) {
    match calls.iter_mut().find(|(known, _)| **known == *object) {
        Some((_, orders)) => orders.push(order),
        None => calls.push((object.into(), vec![order])),
    }
}

/// Tells objects, after the answer; where there is a signal, when it is raised. What is not given back in its policy's window
/// counts no longer anyway.
pub fn send<P: Ports>(visit: &Visit<P>, calls: Vec<Call>, signal: Option<P::Signal>) {
    for (object, orders) in calls {
        let signal = signal.clone();
        let (gate, ports, later) = (visit.gate.clone(), &visit.ports, visit.ports.clone());
        lease::count(&gate, LimiterEvent::Call, 1);
        ports.defer(async move {
            if let Some(signal) = signal {
                let counts = orders.iter().map(|order| order.policy.quota.window()).max().unwrap_or_default();
                later.raised(&signal, counts).await;
            }
            if let Err(error) = later.limit(&object, &orders_text(&orders), BUDGET).await {
                gate.outbox.borrow_mut().add_incident(Incident::LimiterUnreachable);
                let detail = ["not settled: ", &error.to_string()].concat();
                later.log(&json::object(&[
                    ("level", "warn"),
                    ("incident", Incident::LimiterUnreachable.as_str()),
                    ("detail", &detail),
                ]));
            }
        });
    }
}

/// How many units more than what was taken the request cost; below zero, how many less.
fn difference(policy: &PolicyConfig, taken: NonZeroU32, by: AnsweredBy, head: &ResponseHead) -> i32 {
    let is_hit = matches!(
        by,
        AnsweredBy::Memory
            | AnsweredBy::Colo
            | AnsweredBy::Kv
            | AnsweredBy::Stale(Staleness::WhileRevalidate)
    );
    let is_uncounted = policy.refund.iter().any(|kind| kind.is(head.status, is_hit));
    let settled = match by {
        _ if is_uncounted => 0,
        AnsweredBy::Origin => policy.cost.settled(taken, head),
        _ => taken.get(),
    };
    let signed = |units: u32| i32::try_from(units).unwrap_or(i32::MAX);
    signed(settled).saturating_sub(signed(taken.get()))
}
