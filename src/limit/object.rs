//! What a partition's Durable Object does: one pure step on its table.

use std::num::NonZeroU32;

use super::account::{Account, Grant, Report};
use super::policy::{Ask, QuotaPolicy, Verdict};
use super::state::{read_number, write_number};
use crate::list::Dict;
use crate::time::Timestamp;

/// Of the stored form of a [`StateTable`]. One that differs is as good as none.
const VERSION: u8 = 2;
/// The version before there were leases, which is still read.
const VERSION_WITHOUT_LEASES: u8 = 1;
/// The most policies that an object keeps accounts for. A config that names more for one partition loses those
/// that would expire first.
pub const MAX_STATES: usize = 64;

/// What is asked of one policy. Every part may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The policy.
    pub policy: QuotaPolicy,
    /// What this request costs. Without it nothing is taken: the order settles, reports or renews a lease.
    pub cost: Option<NonZeroU32>,
    /// How many units the isolate wants to lease besides.
    pub want: u32,
    /// What an earlier request turned out to cost more or less.
    pub settle: Option<Settle>,
    /// What became of leases.
    pub reports: Vec<Report>,
}

/// A correction of what was taken before. It comes once: one that may have arrived is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settle {
    /// Above zero taken besides, whatever is left; below it given back.
    pub units: i32,
    /// When the request was counted, as its [`Verdict`] says.
    pub at: Timestamp,
}

/// What one order came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// How things stand afterwards, without what is leased.
    pub verdict: Verdict,
    /// What the isolate may spend from now on.
    pub grant: Option<Grant>,
    /// It was refused, and would not have been if nothing were on lease.
    pub early: bool,
}

/// The accounts of one partition, by policy name: all that its object stores, as one value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateTable(Dict<Box<str>, Account>);

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// One for each order, in their sequence.
    pub replies: Vec<Reply>,
    /// Whether the table changed and has to be saved.
    pub changed: bool,
    /// When the object's alarm should ring: from then on nothing in the table counts. `None` where it is empty.
    pub expires_at: Option<Timestamp>,
}

impl Order {
    /// Takes so many units.
    pub fn take(policy: QuotaPolicy, cost: NonZeroU32) -> Self {
        Self { policy, cost: Some(cost), want: 0, settle: None, reports: Vec::new() }
    }

    /// Corrects what was taken at a moment by so many units.
    pub fn settle(ask: &Ask, units: i32, at: Timestamp) -> Self {
        let settle = Some(Settle { units, at });
        Self { cost: None, settle, ..Self::take(ask.take.policy.clone(), ask.take.cost) }
    }

    /// Takes what a request costs; where strikes are counted it only asks.
    pub fn of(ask: &Ask) -> Self {
        let cost = (!ask.take.policy.algorithm.is_strikes()).then_some(ask.take.cost);
        Self { cost, ..Self::take(ask.take.policy.clone(), ask.take.cost) }
    }
}

/// Counts one request: all costs are debited where every policy (but those in shadow) has room, and none is where
/// one has not. The verdicts of a refused request say how things stand, without it. What is settled or reported counts
/// before, come what may; leases are granted only where nothing was refused.
pub fn step(table: &mut StateTable, orders: &[Order], now: Timestamp) -> Step {
    let before = table.0.len();
    table.0.retain(|account| account.expires_at() > now);
    let mut changed = table.0.len() != before;
    for order in orders {
        changed |= table.settle(order, now);
    }
    let mut verdicts: Vec<Verdict> = orders.iter().map(|order| table.peek(order, now)).collect();
    let admitted =
        verdicts.iter().zip(orders).all(|(verdict, order)| verdict.admitted || order.policy.shadow);
    let mut grants = vec![None; orders.len()];
    if admitted {
        for ((verdict, grant), order) in verdicts.iter_mut().zip(&mut grants).zip(orders) {
            if verdict.admitted {
                let (admitted, granted) = table.take(order, now);
                changed |= order.cost.is_some() || granted.is_some();
                (*verdict, *grant) = (admitted, granted);
            }
        }
    }
    table.bound();
    let reply = |((verdict, grant), order): ((Verdict, _), _)| {
        let early = !verdict.admitted && table.is_early(order, now);
        Reply { verdict, grant, early }
    };
    let replies = verdicts.into_iter().zip(grants).zip(orders).map(reply).collect();
    Step { replies, changed, expires_at: table.expires_at() }
}

/// What the object's alarm does: drops what no longer counts. When to ring again; `None` where nothing is left and the
/// object may delete all that it stores.
pub fn expire(table: &mut StateTable, now: Timestamp) -> Option<Timestamp> {
    table.0.retain(|account| account.expires_at() > now);
    table.expires_at()
}

impl StateTable {
    /// Brings an account up to date: with leases that are over, with what is reported of others, and with what is settled.
    /// Tells whether that changed it.
    fn settle(&mut self, order: &Order, now: Timestamp) -> bool {
        let policy = &order.policy;
        let Some(account) = self.0.get_mut(policy.name.as_str()).filter(|one| one.is_of(policy.algorithm))
        else {
            // Nothing is left of what is given back; what is taken besides counts in any case.
            let Some(Settle { units: more @ 1.., .. }) = order.settle else { return false };
            let mut account = Account::empty(policy.algorithm);
            account.debit(policy, more.unsigned_abs(), now);
            self.0.set(policy.name.as_str().into(), account);
            return true;
        };
        let mut changed = account.expire(policy, now);
        for report in &order.reports {
            account.report(policy, report, now);
            changed = true;
        }
        if let Some(Settle { units, at }) = order.settle {
            match units {
                1.. => account.debit(policy, units.unsigned_abs(), now),
                _ => account.refund(policy, units.unsigned_abs(), at),
            }
            changed = true;
        }
        changed
    }

    fn peek(&self, order: &Order, now: Timestamp) -> Verdict {
        let policy = &order.policy;
        let empty = Account::empty(policy.algorithm);
        let known = self.0.get(policy.name.as_str()).filter(|account| account.is_of(policy.algorithm));
        known.unwrap_or(&empty).peek(policy, order.cost, now)
    }

    /// Whether a refusal comes from what is on lease.
    fn is_early(&self, order: &Order, now: Timestamp) -> bool {
        let known = self.0.get(order.policy.name.as_str());
        known.zip(order.cost).is_some_and(|(account, cost)| account.is_early(&order.policy, cost, now))
    }

    /// Debits the cost, which fits, and leases.
    fn take(&mut self, order: &Order, now: Timestamp) -> (Verdict, Option<Grant>) {
        let policy = &order.policy;
        let known = self.0.remove(policy.name.as_str()).filter(|account| account.is_of(policy.algorithm));
        let mut account = known.unwrap_or_else(|| Account::empty(policy.algorithm));
        if let Some(cost) = order.cost {
            account.debit(policy, cost.get(), now);
        }
        let grant = account.lease(policy, order.want, now);
        let verdict = account.peek(policy, None, now);
        self.0.set(policy.name.as_str().into(), account);
        (verdict, grant)
    }

    fn bound(&mut self) {
        while self.0.len() > MAX_STATES {
            let first =
                self.0.iter().min_by_key(|(_, account)| account.expires_at()).map(|(name, _)| name.clone());
            let Some(name) = first else { return };
            self.0.remove(&name);
        }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.0.values().map(Account::expires_at).max()
    }

    /// The stored form: a version byte, then for each policy the length of its name, its name, its account.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for (name, account) in self.0.iter() {
            write_number(&mut out, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
            account.encode(&mut out);
        }
        out
    }

    /// Reads a stored form. `None` where it is not one; an object then starts anew.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, mut rest) = bytes.split_first()?;
        let read = match *version {
            VERSION => Account::decode,
            VERSION_WITHOUT_LEASES => Account::decode_state,
            _ => return None,
        };
        let mut table = Dict::default();
        while !rest.is_empty() {
            let length = usize::try_from(read_number(&mut rest)?).ok()?;
            let (name, tail) = rest.split_at_checked(length)?;
            rest = tail;
            let account = read(&mut rest)?;
            table.set(std::str::from_utf8(name).ok()?.into(), account);
        }
        Some(Self(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Algorithm;
    use crate::time::Span;

    const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);

    fn take(name: &str, quota: &str, shadow: bool) -> Order {
        let policy = QuotaPolicy {
            name: name.parse().unwrap(),
            quota: quota.parse().unwrap(),
            algorithm: Algorithm::SlidingWindow,
            burst: NonZeroU32::MIN,
            resets_minute: 0,
            shadow,
        };
        Order::take(policy, NonZeroU32::MIN)
    }

    fn remaining(table: &StateTable, order: &Order) -> u32 {
        step(&mut table.clone(), std::slice::from_ref(order), NOW).replies[0].verdict.remaining + 1
    }

    #[test]
    fn one_policy_that_refuses_keeps_the_others_from_being_debited() {
        let (wide, narrow) = (take("wide", "100/1m", false), take("narrow", "1/1m", false));
        let mut table = StateTable::default();
        let orders = [Order { want: 9, ..wide.clone() }, narrow];
        assert_eq!(step(&mut table, &orders, NOW).replies[0].grant.map(|grant| grant.units), Some(9));
        let refused = step(&mut table, &orders, NOW);
        assert_eq!(refused.replies.iter().map(|r| r.verdict.admitted).collect::<Vec<_>>(), [true, false]);
        assert!(!refused.changed, "a refusal writes nothing");
        assert_eq!(refused.replies[0].grant, None, "and leases nothing");
        assert_eq!((refused.replies[0].verdict.remaining, remaining(&table, &wide)), (90, 90));
    }

    #[test]
    fn a_policy_in_shadow_refuses_nobody() {
        let (wide, shadow) = (take("wide", "100/1m", false), take("narrow", "1/1m", true));
        let mut table = StateTable::default();
        for _ in 0..3 {
            step(&mut table, &[wide.clone(), shadow.clone()], NOW);
        }
        assert_eq!(remaining(&table, &wide), 97);
        assert!(!step(&mut table, &[shadow], NOW).replies[0].verdict.admitted, "but it counts");
    }

    #[test]
    fn what_is_settled_counts_whatever_is_left() {
        let order = take("tier", "10/1m", false);
        let settle = |units| Order { cost: None, settle: Some(Settle { units, at: NOW }), ..order.clone() };
        let mut table = StateTable::default();
        assert!(!step(&mut table, &[settle(-1)], NOW).changed, "there is nothing to give back");
        for (settled, left) in [(settle(8), 2), (settle(8), 0), (settle(-7), 1), (settle(-100), 10)] {
            let step = step(&mut table, &[settled], NOW);
            assert!(step.changed && step.replies[0].verdict.admitted);
            assert_eq!(step.replies[0].verdict.remaining, left);
        }
    }

    #[test]
    fn a_table_of_the_time_before_leases_is_read() {
        let mut table = StateTable::default();
        let order = take("tier", "9/1m", false);
        step(&mut table, std::slice::from_ref(&order), NOW);
        let (mut old, mut state) = (vec![VERSION_WITHOUT_LEASES, 4], Vec::new());
        old.extend_from_slice(b"tier");
        table.0.get("tier").unwrap().encode(&mut state);
        old.extend_from_slice(&state[1..]);
        assert_eq!(StateTable::decode(&old), Some(table));
    }

    #[test]
    fn an_object_is_empty_when_its_windows_are_over() {
        let mut table = StateTable::default();
        let takes = [take("minute", "9/1m", false), take("hour", "9/1h", false)];
        let over = step(&mut table, &takes, NOW).expires_at.unwrap();
        assert_eq!(over, NOW + Span::from_secs(3600));
        assert_eq!(expire(&mut table, NOW + Span::from_secs(60)), Some(over));
        assert_eq!(table.0.len(), 1);
        assert_eq!(expire(&mut table, over), None);
        assert_eq!(table, StateTable::default());
    }

    #[test]
    fn a_table_keeps_a_bounded_number_of_states() {
        let mut table = StateTable::default();
        for i in 0..2 * MAX_STATES {
            step(&mut table, &[take(&format!("p{i}"), "9/1m", false)], NOW + Span::from_millis(i as u64));
        }
        assert_eq!(table.0.len(), MAX_STATES);
        assert_eq!(StateTable::decode(&table.encode()), Some(table));
    }

    #[test]
    fn what_is_no_table_is_none() {
        let mut table = StateTable::default();
        step(&mut table, &[take("minute", "9/1m", false)], NOW);
        let bytes = table.encode();
        for cut in 2..bytes.len() {
            assert_eq!(StateTable::decode(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(StateTable::decode(&[]), None);
        assert_eq!(StateTable::decode(&[VERSION + 1]), None, "of another version");
    }
}
