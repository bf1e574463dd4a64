//! Admit: the route's quota policies are asked, each at its partition's object.

use crate::head::{Message, ResponseHead};
use crate::limit::decision::{Answer, Checked, Decision, Reason};
use crate::limit::{Ask, PolicyConfig, batch, fields};
use crate::origin::ProxyStatus;
use crate::ports::Ports;
use crate::record::{AnsweredBy, LimitCount, LimiterEvent, Refusal, Verdict};
use crate::respond::Problem;

use super::lease;
use super::settle;
use super::visit::Visit;

/// What the route's policies say; `None` where none holds for this request.
pub async fn admit<P: Ports>(visit: &Visit<P>) -> Option<Decision> {
    decide(visit, asks(visit)).await
}

/// What those of them say that count strikes, for a request that goes nowhere in any case.
pub async fn admit_stranger<P: Ports>(visit: &Visit<P>) -> Option<Decision> {
    let mut asks = asks(visit);
    asks.retain(|ask| ask.take.policy.algorithm.is_strikes());
    decide(visit, asks).await
}

async fn decide<P: Ports>(visit: &Visit<P>, asks: Vec<Ask>) -> Option<Decision> {
    if asks.is_empty() {
        return None;
    }
    let (gate, tier) = (&visit.gate, &visit.identity.tier);
    let now = visit.ports.now();
    let known = gate.local.borrow().refused(&asks, tier, now);
    if let Some((decision, early)) = known {
        lease::count(gate, LimiterEvent::Saved, 1);
        lease::count(gate, LimiterEvent::Early, early.into());
        return Some(decision);
    }
    let mut checked = Vec::with_capacity(asks.len());
    let mut refused = false;
    let (mut spent, mut first) = (Vec::new(), Vec::new());
    for batch in batch::by_object(asks) {
        if refused {
            // The others are not debited for a request that goes nowhere.
            let stood = |ask| Checked { answer: gate.local.borrow().stood(&ask, now), ask };
            checked.extend(batch.asks.into_iter().map(stood));
            continue;
        }
        let provisional = gate.local.borrow_mut().first(&batch.asks, now);
        if let Some((answers, orders)) = provisional {
            checked.extend(answers);
            first.push((batch, orders));
            continue;
        }
        let here = gate.local.borrow_mut().spend(&batch.asks, now);
        let answers = match here {
            Some(answers) => {
                lease::count(gate, LimiterEvent::Saved, 1);
                if gate.tended.get() <= now {
                    lease::tend(gate, &visit.ports);
                }
                spent.push(batch);
                answers
            }
            None => {
                let (answers, from_lease) = lease::ask(visit, &batch).await;
                spent.extend(from_lease.then_some(batch));
                answers
            }
        };
        checked.extend(answers);
        let so_far = Decision { tier: tier.clone(), checked };
        refused = so_far.refusal().is_some();
        checked = so_far.checked;
    }
    let mut decision = Decision { tier: tier.clone(), checked };
    if refused {
        settle::give_back(visit, &mut decision, &spent);
    } else {
        first.into_iter().for_each(|(batch, orders)| lease::count_first(visit, &batch, orders, now));
        spent.iter().for_each(|batch| lease::renew(visit, batch, now));
        visit.notes.borrow_mut().leased = spent;
    }
    gate.local.borrow_mut().stand(&decision.checked, now);
    Some(decision)
}

fn asks<P: Ports>(visit: &Visit<P>) -> Vec<Ask> {
    let limits = &visit.gate.site.limits;
    if !are_limits_on(visit) || visit.route.limits.is_empty() {
        return Vec::new();
    }
    visit.meet_client();
    let (route, request, identity) = (&visit.route.name, &visit.request, &visit.identity);
    let policies = visit.route.limits.iter();
    policies
        .filter_map(|(name, policy)| policy.ask(name, route, request, identity, limits.prefixes))
        .collect()
}

/// Whether this client is limited at all.
pub fn are_limits_on<P: Ports>(visit: &Visit<P>) -> bool {
    visit.gate.vars.limits && visit.gate.site.limits.enabled && !visit.notes.borrow().is_allowed
}

/// Whether a policy goes by a length that the request does not tell.
pub fn lacks_length<P: Ports>(visit: &Visit<P>) -> bool {
    let lacks = |policy: &PolicyConfig| {
        policy.cost.taken(&visit.request).is_none() && policy.quota_of(&visit.identity.tier).is_some()
    };
    are_limits_on(visit) && visit.route.limits.iter().any(|(_, policy)| lacks(policy))
}

/// Counts what became of each policy. Where the request is refused, those that would have let it through do not count.
fn count<P: Ports>(visit: &Visit<P>, decision: &Decision) {
    let mut outbox = visit.gate.outbox.borrow_mut();
    let refused = decision.refusal().is_some();
    let mut counted: Option<&str> = None;
    for checked in &decision.checked {
        let (ask, refusing) = (&checked.ask, checked.is_refusing());
        let what = match checked.answer {
            _ if refusing => LimitCount::Refused,
            Answer::NotAsked(_) => continue,
            Answer::Unreachable => LimitCount::Degraded,
            Answer::Counted(verdict) if !verdict.admitted => LimitCount::WouldRefuse,
            Answer::Counted(_) | Answer::Provisional if refused => continue,
            Answer::Counted(_) | Answer::Provisional => LimitCount::Admitted,
        };
        outbox.add_check(ask.take.policy.name.as_str(), &decision.tier, what);
        if counted != Some(&ask.object) {
            outbox.add_partition(&ask.object, refusing);
            counted = Some(&ask.object);
        }
    }
}

/// Takes a decision down for the record. `Some` where the request is refused.
pub fn note<P: Ports>(visit: &Visit<P>, decision: &Decision) -> Option<Message<ResponseHead, String>> {
    visit.notes.borrow_mut().verdict = match decision.refusal() {
        Some(refusal) => Verdict::Refused { policy: refusal.by.ask.take.policy.name.as_str().into() },
        None if decision.is_degraded() => Verdict::Degraded,
        None => Verdict::Admitted,
    };
    count(visit, decision);
    refuse(visit, decision)
}

/// The refusal of a request, where the decision is one.
fn refuse<P: Ports>(visit: &Visit<P>, decision: &Decision) -> Option<Message<ResponseHead, String>> {
    let refusal = decision.refusal()?;
    let by = match refusal.reason {
        Reason::LimiterUnreachable => Refusal::LimiterUnreachable,
        Reason::OverQuota | Reason::AboveQuota => Refusal::Quota,
        Reason::Penalty => Refusal::Abuse,
    };
    visit.notes.borrow_mut().answered_by = AnsweredBy::Limiter(by);
    let policy = &refusal.by.ask.take.policy.name;
    let is_bytes = visit.gate.site.limits.counts_bytes(policy.as_str());
    let unit = match refusal.reason {
        Reason::Penalty => "strikes",
        _ if is_bytes => "content bytes",
        _ => "requests",
    };
    let detail = refusal.detail(unit, &decision.tier);
    let problem = match refusal.reason {
        Reason::LimiterUnreachable => {
            Problem::reduced_capacity("the rate limiter can't be reached", &visit.id)
        }
        Reason::OverQuota | Reason::AboveQuota => {
            let violated = decision.violated().map(str::to_owned).collect();
            Problem {
                status: refusal.reason.status(),
                ..Problem::quota_exceeded(detail, violated, &visit.id)
            }
        }
        Reason::Penalty => {
            Problem::abnormal_usage(detail, decision.violated().map(str::to_owned).collect(), &visit.id)
        }
    };
    let mut message = problem.into_message();
    let status = ProxyStatus::error(
        &visit.gate.site.server.id,
        "http_request_denied",
        Some(format!("quota {policy}")),
    );
    message.head.fields.append("proxy-status", &status.to_string());
    Some(message)
}

/// Tells the client about its limits: on every answer of a limited route.
pub fn tell<P: Ports>(visit: &Visit<P>, decision: &Decision, head: &mut ResponseHead) {
    fields::write(decision, &visit.gate.site.limits, visit.ports.now(), &mut head.fields);
}
