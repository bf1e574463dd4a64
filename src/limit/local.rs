//! What an isolate knows of partitions without asking: who is over its quota, and what it holds on lease.
//!
//! A client that is busy here gets a lease with one of its calls, and spends it without any. When little of it is left
//! the next one is asked for in the background, up to four times as large as long as that is used up early, until one
//! lasts for its life. What became of a lease goes to the object with the next call, or in a call of its own when the
//! lease ends. Each lease is reported on in absolute numbers and at most once as given back, so that a call that is lost,
//! late or overtaken only ever makes the fleet refuse early.

use std::collections::HashMap;

use super::decision::{Answer, Checked, Decision};
use super::holding::Holding;
use super::object::{Order, Reply};
use super::policy::{Algorithm, Ask, QuotaPolicy, Verdict};
use crate::identity::Tier;
use crate::time::{Span, Timestamp};

/// The most partitions of which something is known; beyond it they are forgotten, which costs calls and leases, and
/// nothing else.
pub const MAX_PARTITIONS: usize = 4096;
/// How long a refusal is remembered at most, so that a partition that a person resets is soon free everywhere.
pub const REMEMBERED_AT_MOST: Span = Span::from_secs(60);
/// How long a client is taken to have no penalty, if no strike is added here.
const CLEAR_FOR: Span = Span::from_secs(5);
/// How long a client counts as known at most after its last request, where its first one does not wait.
const MET_AT_MOST: Span = Span::from_secs(3600);
/// How long one that is due to leases is remembered: what is left of them comes back.
const EARLY_REMEMBERED: Span = Span::from_secs(2);

/// What is known, by partition. Isolates differ in it, and it is only ever what an object said.
#[derive(Debug, Default)]
pub struct Local(HashMap<Box<str>, Vec<Known>>);

/// One policy of one partition.
#[derive(Debug)]
struct Known {
    policy: QuotaPolicy,
    refused: Option<Refused>,
    /// How strikes stood, and until when that is taken to be so.
    clear: Option<(Verdict, Timestamp)>,
    /// How it stood when it was asked last, and until when that says something; only where it is asked with others.
    stood: Option<(Verdict, Timestamp)>,
    holding: Holding,
    /// Until then the client counts as known here, where its first request does not wait.
    met: Timestamp,
}

#[derive(Debug)]
struct Refused {
    cost: u32,
    verdict: Verdict,
    early: bool,
    at: Timestamp,
    until: Timestamp,
}

/// What the object would say now where it is known to refuse, and whether it would have room if nothing were on lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal {
    verdict: Verdict,
    early: bool,
}

impl Known {
    fn new(policy: &QuotaPolicy) -> Self {
        let (policy, met) = (policy.clone(), Timestamp::default());
        Self { policy, refused: None, clear: None, stood: None, holding: Holding::default(), met }
    }

    fn refusal(&self, cost: u32, now: Timestamp) -> Option<Refusal> {
        let refused = self.refused.as_ref().filter(|refused| refused.cost == cost && refused.until > now)?;
        if self.holding.has(cost, now) {
            return None;
        }
        let passed = now.since(refused.at);
        let verdict = Verdict {
            retry_after: refused.verdict.retry_after.map(|wait| wait.saturating_sub(passed)),
            ..refused.verdict
        };
        Some(Refusal { verdict, early: refused.early })
    }

    /// Adds to an order what became of leases, and the wish for one.
    fn prepare(&mut self, order: &mut Order, cost: u32, now: Timestamp) {
        order.reports = self.holding.reports(now);
        order.want = self.holding.want(&self.policy, cost, now);
    }

    /// A request came of a client whose first one does not wait.
    fn meet(&mut self, now: Timestamp) {
        self.met = now + self.policy.quota.window().min(MET_AT_MOST);
    }

    fn clear(&self, now: Timestamp) -> Option<Verdict> {
        self.clear.filter(|(_, until)| *until > now).map(|(verdict, _)| verdict)
    }

    fn stood(&self, now: Timestamp) -> Option<Verdict> {
        self.stood.filter(|(_, until)| *until > now).map(|(verdict, _)| verdict)
    }

    /// Whether it saves calls. How it stood does not.
    fn is_of_use(&self, now: Timestamp) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.until > now)
            || self.clear(now).is_some()
            || self.holding.is_of_use(now)
            || self.met > now
    }
}

impl Local {
    fn get(&self, ask: &Ask) -> Option<&Known> {
        self.0.get(&ask.object)?.iter().find(|known| known.policy == ask.take.policy)
    }

    fn get_mut(&mut self, object: &str, policy: &QuotaPolicy) -> Option<&mut Known> {
        self.0.get_mut(object)?.iter_mut().find(|known| known.policy == *policy)
    }

    /// What is known of a policy, begun where that is nothing.
    fn entry(&mut self, object: &str, policy: &QuotaPolicy, now: Timestamp) -> Option<&mut Known> {
        if !self.0.contains_key(object) {
            self.make_room(now);
            self.0.insert(object.into(), Vec::new());
        }
        let of_object = self.0.get_mut(object)?;
        of_object
            .retain(|known| known.policy == *policy || known.is_of_use(now) || known.stood(now).is_some());
        if !of_object.iter().any(|known| known.policy == *policy) {
            of_object.push(Known::new(policy));
        }
        of_object.iter_mut().find(|known| known.policy == *policy)
    }

    /// Forgets all that is known of an object.
    pub fn forget(&mut self, object: &str) {
        self.0.remove(object);
    }

    /// Forgets what is over; and where that leaves more than half, everything, so that sweeps stay rare.
    fn make_room(&mut self, now: Timestamp) {
        if self.0.len() < MAX_PARTITIONS {
            return;
        }
        self.0.retain(|_, of_object| of_object.iter().any(|known| known.is_of_use(now)));
        if self.0.len() > MAX_PARTITIONS / 2 {
            self.0.clear();
        }
    }

    /// The decision where one of the asks is known to be refused, and whether that is early; `None` where the others
    /// have to be asked.
    pub fn refused(&self, asks: &[Ask], tier: &Tier, now: Timestamp) -> Option<(Decision, bool)> {
        let refusal = |ask: &Ask| self.get(ask)?.refusal(ask.take.cost.get(), now);
        let first = asks.iter().find_map(refusal)?;
        let checked = asks.iter().map(|ask| {
            let answer = refusal(ask).map_or(self.stood(ask, now), |known| Answer::Counted(known.verdict));
            Checked { ask: ask.clone(), answer }
        });
        Some((Decision { tier: tier.clone(), checked: checked.collect() }, first.early))
    }

    /// Of one that is not asked, since another refuses.
    pub fn stood(&self, ask: &Ask, now: Timestamp) -> Answer {
        Answer::NotAsked(self.get(ask).and_then(|known| known.stood(now)))
    }

    /// Keeps in mind how each of several policies stands, to tell clients that another one refuses.
    pub fn stand(&mut self, checked: &[Checked], now: Timestamp) {
        for Checked { ask, answer } in checked.iter().filter(|_| checked.len() > 1) {
            let policy = &ask.take.policy;
            if let Answer::Counted(verdict) = answer
                && !policy.shadow
                && !policy.algorithm.is_strikes()
                && let Some(known) = self.entry(&ask.object, policy, now)
            {
                let says = if policy.algorithm.is_fixed() { verdict.reset } else { policy.quota.window() };
                known.stood = Some((*verdict, now + says));
            }
        }
    }

    /// Spends what the asks of one object cost from leases: all of it, or nothing. Strikes cost nothing.
    pub fn spend(&mut self, asks: &[Ask], now: Timestamp) -> Option<Vec<Checked>> {
        let fits = |ask: &Ask| match self.get(ask) {
            None => false,
            Some(known) if ask.take.policy.algorithm.is_strikes() => known.clear(now).is_some(),
            Some(known) => ask.leases && known.holding.has(ask.take.cost.get(), now),
        };
        if !asks.iter().all(fits) {
            return None;
        }
        let mut checked = Vec::with_capacity(asks.len());
        for ask in asks {
            let known = self.get_mut(&ask.object, &ask.take.policy)?;
            let verdict = match known.clear(now) {
                Some(clear) => clear,
                None => known.holding.spend(&ask.take.policy, ask.take.cost.get(), now),
            };
            checked.push(Checked { ask: ask.clone(), answer: Answer::Counted(verdict) });
        }
        Some(checked)
    }

    /// Lets a request through before it is counted, where it is the first of clients that nothing is known of here and all of
    /// its policies in this object allow that. The orders count it, whatever is left then.
    pub fn first(&mut self, asks: &[Ask], now: Timestamp) -> Option<(Vec<Checked>, Vec<Order>)> {
        let is_first =
            |ask: &Ask| ask.provisional && !self.get(ask).is_some_and(|known| known.is_of_use(now));
        if !asks.iter().all(is_first) {
            return None;
        }
        let count = |ask: &Ask| {
            let units = i32::try_from(ask.take.cost.get()).unwrap_or(i32::MAX);
            if let Some(known) = self.entry(&ask.object, &ask.take.policy, now) {
                known.meet(now);
                known.holding.seen(now);
            }
            Order::settle(ask, units, now)
        };
        let orders = asks.iter().map(count).collect();
        let checked = asks.iter().map(|ask| Checked { ask: ask.clone(), answer: Answer::Provisional });
        Some((checked.collect(), orders))
    }

    /// Takes back what was spent for a request that another policy then refused. Tells whether that could be done without
    /// the object.
    pub fn unspend(&mut self, ask: &Ask) -> bool {
        let known = self.get_mut(&ask.object, &ask.take.policy);
        known.is_some_and(|known| known.holding.unspend(ask.take.cost.get()))
    }

    /// Gives units back to the leases from which they were spent between two moments. Tells whether that could be done
    /// without the object.
    pub fn refund(&mut self, ask: &Ask, units: u32, spent: (Timestamp, Timestamp), now: Timestamp) -> bool {
        let known = self.get_mut(&ask.object, &ask.take.policy);
        known.is_some_and(|known| known.holding.refund(units, spent, now))
    }

    /// What is asked of the object for a request: its cost, what became of leases, and where all of its policies
    /// may be leased and the client is busy here, a lease.
    pub fn orders(&mut self, asks: &[Ask], now: Timestamp) -> Vec<Order> {
        // Where one is not, each request asks the object anyway.
        let all_lease = asks.iter().all(|ask| ask.leases || ask.take.policy.algorithm.is_strikes());
        let order = |ask: &Ask| {
            let mut order = Order::of(ask);
            if ask.provisional
                && let Some(known) = self.get_mut(&ask.object, &ask.take.policy)
            {
                known.meet(now);
            }
            if all_lease
                && ask.leases
                && let Some(known) = self.entry(&ask.object, &ask.take.policy, now)
            {
                known.holding.seen(now);
                known.prepare(&mut order, ask.take.cost.get(), now);
            }
            order
        };
        asks.iter().map(order).collect()
    }

    /// What is asked of the object to renew leases of which little is left; nothing where that is none.
    pub fn renewal(&mut self, asks: &[Ask], now: Timestamp) -> Option<Vec<Order>> {
        if !asks.iter().any(|ask| self.get(ask).is_some_and(|known| known.holding.is_low(now))) {
            return None;
        }
        let order = |ask: &Ask| {
            let mut order = Order { cost: None, ..Order::take(ask.take.policy.clone(), ask.take.cost) };
            if let Some(known) = self.get_mut(&ask.object, &ask.take.policy) {
                known.prepare(&mut order, ask.take.cost.get(), now);
            }
            order
        };
        Some(asks.iter().map(order).collect())
    }

    /// Takes note of what came of an order that was sent at `sent`, and tells how things stand for a request: what remains
    /// includes what is held here. A refusal is kept until it can change.
    pub fn learn(
        &mut self,
        ask: &Ask,
        order: &Order,
        reply: Reply,
        sent: Timestamp,
        now: Timestamp,
    ) -> Verdict {
        let Reply { mut verdict, early, .. } = reply;
        let policy = &ask.take.policy;
        if policy.algorithm.is_strikes()
            && let Some(known) = self.entry(&ask.object, policy, now)
        {
            known.clear = verdict.admitted.then_some((verdict, now + CLEAR_FOR));
        }
        if ask.leases {
            verdict = self.hold(&ask.object, order, reply, sent, now);
        }
        if let Verdict { admitted: false, retry_after: Some(wait), .. } = verdict
            && !policy.shadow
            && policy.algorithm != Algorithm::Concurrency
            && let Some(known) = self.entry(&ask.object, policy, now)
        {
            let until = now + wait.min(if early { EARLY_REMEMBERED } else { REMEMBERED_AT_MOST });
            let cost = ask.take.cost.get();
            known.refused = Some(Refused { cost, verdict, early, at: now, until });
        }
        verdict
    }

    /// A strike is added to what an object knows: it has to be asked again.
    pub fn struck(&mut self, ask: &Ask) {
        if let Some(known) = self.get_mut(&ask.object, &ask.take.policy) {
            known.clear = None;
        }
    }

    /// Takes note of what came of an order that no request waits for.
    pub fn hold(
        &mut self,
        object: &str,
        order: &Order,
        reply: Reply,
        sent: Timestamp,
        now: Timestamp,
    ) -> Verdict {
        let Reply { verdict, grant, .. } = reply;
        match self.get_mut(object, &order.policy) {
            Some(known) => known.holding.learn(verdict, grant, order.want > 0, sent, now),
            None => verdict,
        }
    }

    /// A call came to nothing, or its answer to nobody.
    pub fn lost(&mut self, asks: &[Ask]) {
        for ask in asks {
            if let Some(known) = self.get_mut(&ask.object, &ask.take.policy) {
                known.holding.lost();
            }
        }
    }

    /// When the first lease ends; `None` where there is none.
    pub fn ends(&self) -> Option<Timestamp> {
        self.0.values().flatten().filter_map(|known| known.holding.ends()).min()
    }

    /// What is to be given back now: the object, and the orders that do it. At most so many objects at once.
    pub fn over(&mut self, now: Timestamp, most: usize) -> Vec<(Box<str>, Vec<Order>)> {
        let mut calls = Vec::new();
        for (object, of_object) in &mut self.0 {
            let mut orders = Vec::new();
            for Known { policy, holding, .. } in of_object.iter_mut() {
                let (reports, want) = holding.over(policy, now);
                if !reports.is_empty() {
                    orders.push(Order { policy: policy.clone(), cost: None, want, settle: None, reports });
                }
            }
            if !orders.is_empty() {
                calls.push((object.clone(), orders));
                if calls.len() == most {
                    break;
                }
            }
        }
        calls
    }
}

#[cfg(test)]
mod tests;
