//! The calls to limiter objects: for a request that waits for one, and in the background for what is held on lease.

use std::rc::Rc;

use crate::identity::Tier;
use crate::json;
use crate::limit::account::MAX_LIFETIME;
use crate::limit::batch::{self, Batch};
use crate::limit::decision::{Answer, Checked};
use crate::limit::{Ask, Order, Reply};
use crate::ports::{PortError, Ports};
use crate::record::{Incident, LimitCount, LimiterEvent};
use crate::time::{Span, Timestamp};

use super::gate::Gate;
use super::visit::Visit;

/// How long a call may take that no request waits for.
const BACKGROUND_BUDGET: Span = Span::from_secs(2);
/// How long one request's deferred work sees to the leases of the isolate; the platform ends it after 30 s.
const TENDED_FOR: Span = Span::from_secs(29);
/// It looks no more often than this.
const TENDED_EVERY: Span = Span::from_millis(250);
/// How many objects get something back in one go.
const GIVEN_BACK_MAX: usize = 32;

/// Counts what the limiter did.
pub fn count<P: Ports>(gate: &Gate<P>, what: LimiterEvent, times: u64) {
    gate.outbox.borrow_mut().add_limiter(what, times);
}

/// Counts what became of policies for a client of this tier.
fn check<P: Ports>(gate: &Gate<P>, asks: &[Ask], tier: &str, what: LimitCount) {
    let mut outbox = gate.outbox.borrow_mut();
    asks.iter().for_each(|ask| outbox.add_check(ask.take.policy.name.as_str(), tier, what));
}

async fn call<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    object: &str,
    orders: &[Order],
    budget: Span,
) -> Result<Vec<Reply>, PortError> {
    count(gate, LimiterEvent::Call, 1);
    let answer = ports.limit(object, &batch::orders_text(orders), budget).await?;
    let replies = batch::read_replies(&answer).filter(|replies| replies.len() == orders.len());
    replies.ok_or_else(|| PortError::Failed("the answer can't be read".into()))
}

/// Asks one object about a request. Tells, too, whether it was spent from a lease in the end: one that came while the object
/// was asked has room for what the object refused because of it.
pub async fn ask<P: Ports>(visit: &Visit<P>, batch: &Batch) -> (Vec<Checked>, bool) {
    let (gate, ports) = (&visit.gate, &visit.ports);
    let sent = ports.now();
    let orders = gate.local.borrow_mut().orders(&batch.asks, sent);
    let tier = &visit.identity.tier;
    check(gate, &batch.asks, tier, LimitCount::Called);
    let answer = call(gate, ports, &batch.object, &orders, batch.budget()).await;
    let checked = |ask: &Ask, answer| Checked { ask: ask.clone(), answer };
    match answer {
        Ok(replies) => {
            let early = replies.iter().any(|reply| reply.early);
            let answers = learn(gate, ports, (batch, tier), &orders, replies, sent);
            let spent = early.then(|| gate.local.borrow_mut().spend(&batch.asks, ports.now())).flatten();
            if let Some(spent) = spent {
                return (spent, true);
            }
            count(gate, LimiterEvent::Early, early.into());
            let counted = |(ask, verdict)| checked(ask, Answer::Counted(verdict));
            (batch.asks.iter().zip(answers).map(counted).collect(), false)
        }
        Err(error) => {
            visit.incident(Incident::LimiterUnreachable, &error.to_string());
            gate.local.borrow_mut().lost(&batch.asks);
            (batch.asks.iter().map(|ask| checked(ask, Answer::Unreachable)).collect(), false)
        }
    }
}

/// Takes note of what an object said.
fn learn<P: Ports>(
    gate: &Rc<Gate<P>>,
    ports: &P,
    (batch, tier): (&Batch, &Tier),
    orders: &[Order],
    replies: Vec<Reply>,
    sent: Timestamp,
) -> Vec<crate::limit::Verdict> {
    let now = ports.now();
    let mut verdicts = Vec::with_capacity(replies.len());
    let mut is_leased = false;
    for ((ask, order), reply) in batch.asks.iter().zip(orders).zip(replies) {
        if reply.grant.is_some() {
            is_leased = true;
            check(gate, std::slice::from_ref(ask), tier, LimitCount::Leased);
        }
        granted(gate, reply);
        verdicts.push(gate.local.borrow_mut().learn(ask, order, reply, sent, now));
    }
    if is_leased {
        tend(gate, ports);
    }
    verdicts
}

/// Counts in the background the first request of a client, which was let through.
pub fn count_first<P: Ports>(visit: &Visit<P>, batch: &Batch, orders: Vec<Order>, now: Timestamp) {
    count(&visit.gate, LimiterEvent::Provisional, 1);
    in_background(visit, batch, orders, now);
}

/// Asks for the next lease in the background, where little is left.
pub fn renew<P: Ports>(visit: &Visit<P>, batch: &Batch, now: Timestamp) {
    let orders = visit.gate.local.borrow_mut().renewal(&batch.asks, now);
    if let Some(orders) = orders {
        in_background(visit, batch, orders, now);
    }
}

fn in_background<P: Ports>(visit: &Visit<P>, batch: &Batch, orders: Vec<Order>, now: Timestamp) {
    let (gate, ports, batch) = (visit.gate.clone(), visit.ports.clone(), batch.clone());
    let tier = visit.identity.tier.clone();
    visit.ports.defer(async move {
        check(&gate, &batch.asks, &tier, LimitCount::Called);
        match call(&gate, &ports, &batch.object, &orders, BACKGROUND_BUDGET).await {
            Ok(replies) => drop(learn(&gate, &ports, (&batch, &tier), &orders, replies, now)),
            Err(error) => {
                gate.local.borrow_mut().lost(&batch.asks);
                late(&gate, &ports, &error);
            }
        }
    });
}

/// Gives back what is left of leases when they end: by this request's deferred work, unless another one's is at it for
/// long enough.
pub fn tend<P: Ports>(gate: &Rc<Gate<P>>, ports: &P) {
    let begin = ports.now();
    if gate.tended.get() >= begin + MAX_LIFETIME {
        return;
    }
    let until = begin + TENDED_FOR;
    gate.tended.set(until);
    let (gate, ports_later) = (gate.clone(), ports.clone());
    ports.defer(async move {
        while let Some(wait) = next(&gate, ports_later.now(), until) {
            ports_later.sleep(wait).await;
            give_back(&gate, &ports_later).await;
        }
    });
}

/// How long it is until a lease is to be given back; `None` where there is none, or a later request's work sees to it.
fn next<P: Ports>(gate: &Gate<P>, now: Timestamp, until: Timestamp) -> Option<Span> {
    let ends = gate.local.borrow().ends().filter(|ends| *ends <= until && now < until)?;
    Some(ends.since(now).max(TENDED_EVERY))
}

async fn give_back<P: Ports>(gate: &Rc<Gate<P>>, ports: &P) {
    let sent = ports.now();
    let calls = gate.local.borrow_mut().over(sent, GIVEN_BACK_MAX);
    for (object, orders) in calls {
        let back = orders.iter().flat_map(|order| &order.reports).map(|report| u64::from(report.back)).sum();
        count(gate, LimiterEvent::GivenBack, back);
        match call(gate, ports, &object, &orders, BACKGROUND_BUDGET).await {
            Ok(replies) => {
                for (order, reply) in orders.iter().zip(replies) {
                    gate.local.borrow_mut().hold(&object, order, reply, sent, ports.now());
                    granted(gate, reply);
                }
            }
            Err(error) => late(gate, ports, &error),
        }
    }
}

/// Counts a lease, where there is one.
fn granted<P: Ports>(gate: &Gate<P>, reply: Reply) {
    if let Some(grant) = reply.grant {
        count(gate, LimiterEvent::Lease, 1);
        count(gate, LimiterEvent::Leased, grant.units.into());
    }
}

/// What went wrong where no request waited.
fn late<P: Ports>(gate: &Gate<P>, ports: &P, error: &PortError) {
    gate.outbox.borrow_mut().add_incident(Incident::LimiterUnreachable);
    let (incident, detail) = (Incident::LimiterUnreachable.as_str(), error.to_string());
    ports.log(&json::object(&[
        ("level", "warn"),
        ("incident", incident),
        ("detail", &detail),
        ("lease", "true"),
    ]));
}
