//! Settle: what a request cost in the end, what is not counted after all, and what is a strike, by its answer.

use std::num::NonZeroU32;

use crate::head::ResponseHead;
use crate::json;
use crate::limit::batch::{orders_text, read_replies};
use crate::limit::decision::Reason;
use crate::limit::{Answer, AnswerKind, Ask, Batch, Checked, Decision, Order, PolicyConfig, Settle};
use crate::ports::Ports;
use crate::record::{AnsweredBy, Incident, LimiterEvent, Staleness};
use crate::time::Span;

use super::lease;
use super::visit::Visit;

/// How long a limiter may take that nobody waits for.
const BUDGET: Span = Span::from_secs(5);

/// What is to be told to one object.
pub type Call = (Box<str>, Vec<(Ask, Order)>);

/// Has the limiter settle what differs from what was taken, after the answer. The decision is as if it had been done.
pub fn settle<P: Ports>(visit: &Visit<P>, decision: &mut Decision, head: &ResponseHead) {
    let Some(outcome) = Outcome::of(visit, decision, head) else { return };
    let now = visit.ports.now();
    let mut calls: Vec<Call> = Vec::new();
    for Checked { ask, answer } in &mut decision.checked {
        let name = &ask.take.policy.name;
        let Some((_, policy)) = visit.route.limits.iter().find(|(known, _)| known == name) else { continue };
        let settle = if ask.take.policy.algorithm.is_strikes() {
            policy.strikes.iter().any(|kind| outcome.is(*kind)).then_some(Settle { units: 1, at: now })
        } else {
            let settle = outcome.correct(policy, ask.take.cost, answer);
            settle.filter(|settle| !settles_here(visit, ask, settle.units))
        };
        if let Some(Settle { units, at }) = settle {
            add(&mut calls, ask, Order::settle(ask, units, at));
        }
    }
    calls.into_iter().for_each(|call| tell(visit, call, None));
}

/// Gives back what was taken for a request that is refused, in the background where that needs a call. The decision is as if
/// it had not been taken.
pub fn give_back<P: Ports>(visit: &Visit<P>, decision: &mut Decision, leased: &[Batch]) {
    let mut calls: Vec<Call> = Vec::new();
    for (ask, at) in decision.untake() {
        let is_leased = leased.iter().any(|batch| batch.object == ask.object);
        if !is_leased || !visit.gate.local.borrow_mut().unspend(&ask) {
            let units = i32::try_from(ask.take.cost.get()).unwrap_or(i32::MAX);
            add(&mut calls, &ask, Order::settle(&ask, -units, at));
        }
    }
    calls.into_iter().for_each(|call| tell(visit, call, None));
}

/// Adds what is to be told to an ask's object.
pub fn add(calls: &mut Vec<Call>, ask: &Ask, order: Order) {
    match calls.iter_mut().find(|(object, _)| *object == ask.object) {
        Some((_, orders)) => orders.push((ask.clone(), order)),
        None => calls.push((ask.object.clone(), vec![(ask.clone(), order)])),
    }
}

/// Gives back what was spent from a lease, without a call where that can be.
fn settles_here<P: Ports>(visit: &Visit<P>, ask: &Ask, units: i32) -> bool {
    let is_leased = visit.notes.borrow().leased.iter().any(|batch| batch.object == ask.object);
    let now = visit.ports.now();
    let refund = |units| visit.gate.local.borrow_mut().refund(ask, units, (visit.arrived, now), now);
    is_leased && units < 0 && refund(units.unsigned_abs())
}

/// Tells one object; where there is a signal, when it is raised, or where nothing of it counts any more. What it says of strikes
/// holds here at once.
pub fn tell<P: Ports>(visit: &Visit<P>, (object, settled): Call, signal: Option<P::Signal>) {
    let (gate, ports, later) = (visit.gate.clone(), &visit.ports, visit.ports.clone());
    let strikes = |ask: &&Ask| ask.take.policy.algorithm.is_strikes();
    settled.iter().map(|(ask, _)| ask).filter(strikes).for_each(|ask| gate.local.borrow_mut().struck(ask));
    lease::count(&gate, LimiterEvent::Call, 1);
    ports.defer(async move {
        let sent = later.now();
        let orders: Vec<Order> = settled.iter().map(|(_, order)| order.clone()).collect();
        if let Some(signal) = signal {
            let counts = orders.iter().map(|order| order.policy.quota.window()).max().unwrap_or_default();
            later.raised(&signal, counts).await;
        }
        match later.limit(&object, &orders_text(&orders), BUDGET).await {
            Ok(text) => {
                let replies = read_replies(&text).unwrap_or_default();
                for ((ask, order), reply) in settled.iter().zip(replies) {
                    if strikes(&ask) {
                        gate.local.borrow_mut().learn(ask, order, reply, sent, later.now());
                    }
                }
            }
            Err(error) => {
                gate.outbox.borrow_mut().add_incident(Incident::LimiterUnreachable);
                let detail = ["not settled: ", &error.to_string()].concat();
                later.log(&json::object(&[
                    ("level", "warn"),
                    ("incident", Incident::LimiterUnreachable.as_str()),
                    ("detail", &detail),
                ]));
            }
        }
    });
}

/// What became of a request, as far as limits go by it.
struct Outcome<'h> {
    head: &'h ResponseHead,
    by: AnsweredBy,
    is_hit: bool,
    is_refused: bool,
}

impl<'h> Outcome<'h> {
    /// `None` where nothing counts: the client is refused for its strikes already, or because nobody could count.
    fn of<P: Ports>(visit: &Visit<P>, decision: &Decision, head: &'h ResponseHead) -> Option<Self> {
        let is_refused = match decision.refusal().map(|refusal| refusal.reason) {
            None => false,
            Some(Reason::OverQuota | Reason::AboveQuota) => true,
            Some(Reason::Penalty | Reason::LimiterUnreachable) => return None,
        };
        let by = visit.notes.borrow().answered_by;
        let is_hit = matches!(
            by,
            AnsweredBy::Memory
                | AnsweredBy::Colo
                | AnsweredBy::Kv
                | AnsweredBy::Stale(Staleness::WhileRevalidate)
        );
        Some(Self { head, by, is_hit, is_refused })
    }

    fn is(&self, kind: AnswerKind) -> bool {
        kind.is(self.head.status, self.is_hit, self.is_refused)
    }

    /// What is to be corrected of what was taken, after it was corrected in what the client is told.
    fn correct(&self, policy: &PolicyConfig, taken: NonZeroU32, answer: &mut Answer) -> Option<Settle> {
        let Answer::Counted(verdict) = answer else { return None };
        let units = self.difference(policy, taken);
        if units == 0 || self.is_refused || !verdict.admitted {
            return None;
        }
        verdict.remaining = verdict.remaining.saturating_add_signed(-units).min(verdict.limit);
        Some(Settle { units, at: verdict.at })
    }

    /// How many units more than what was taken the request cost; below zero, how many less.
    fn difference(&self, policy: &PolicyConfig, taken: NonZeroU32) -> i32 {
        let settled = match self.by {
            _ if policy.refund.iter().any(|kind| self.is(*kind)) => 0,
            AnsweredBy::Origin => policy.cost.settled(taken, self.head),
            _ => taken.get(),
        };
        let signed = |units: u32| i32::try_from(units).unwrap_or(i32::MAX);
        signed(settled).saturating_sub(signed(taken.get()))
    }
}
