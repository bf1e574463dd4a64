//! What a partition's Durable Object does: one pure step on its table.

use super::policy::{Take, Verdict};
use super::state::{State, read_number, write_number};
use crate::list::Dict;
use crate::time::Timestamp;

/// Of the stored form of a [`StateTable`]. One that differs is as good as none.
const VERSION: u8 = 1;
/// The most policies that an object keeps states for. A config that names more for one partition loses the states
/// that would expire first.
pub const MAX_STATES: usize = 64;

/// The states of one partition, by policy name: all that its object stores, as one value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateTable(Dict<Box<str>, State>);

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// One for each take, in their order.
    pub verdicts: Vec<Verdict>,
    /// Whether the table changed and has to be saved.
    pub changed: bool,
    /// When the object's alarm should ring: from then on nothing in the table counts. `None` where it is empty.
    pub expires_at: Option<Timestamp>,
}

/// Counts one request: all takes are debited where every policy (but those in shadow) has room, and none is where
/// one has not. The verdicts of a refused request say how things stand, without it.
pub fn step(table: &mut StateTable, takes: &[Take], now: Timestamp) -> Step {
    let before = table.0.len();
    table.0.retain(|state| state.expires_at() > now);
    let mut changed = table.0.len() != before;
    let mut verdicts: Vec<Verdict> = takes.iter().map(|take| table.peek(take, now)).collect();
    let admitted = verdicts.iter().zip(takes).all(|(verdict, take)| verdict.admitted || take.policy.shadow);
    if admitted {
        for (verdict, take) in verdicts.iter_mut().zip(takes).filter(|(verdict, _)| verdict.admitted) {
            *verdict = table.take(take, now);
            changed = true;
        }
    }
    table.bound();
    Step { verdicts, changed, expires_at: table.expires_at() }
}

/// What the object's alarm does: drops what no longer counts. When to ring again; `None` where nothing is left and the
/// object may delete all that it stores.
pub fn expire(table: &mut StateTable, now: Timestamp) -> Option<Timestamp> {
    table.0.retain(|state| state.expires_at() > now);
    table.expires_at()
}

impl StateTable {
    fn peek(&self, take: &Take, now: Timestamp) -> Verdict {
        let algorithm = take.policy.algorithm;
        match self.0.get(take.policy.name.as_str()) {
            Some(state) if state.is_of(algorithm) => take.policy.peek(state, take.cost, now),
            _ => take.policy.peek(&State::empty(algorithm), take.cost, now),
        }
    }

    fn take(&mut self, take: &Take, now: Timestamp) -> Verdict {
        let name = take.policy.name.as_str();
        let (verdict, state) = take.policy.take(self.0.remove(name), take.cost, now);
        self.0.set(name.into(), state);
        verdict
    }

    fn bound(&mut self) {
        while self.0.len() > MAX_STATES {
            let first =
                self.0.iter().min_by_key(|(_, state)| state.expires_at()).map(|(name, _)| name.clone());
            let Some(name) = first else { return };
            self.0.remove(&name);
        }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.0.values().map(State::expires_at).max()
    }

    /// The stored form: a version byte, then for each policy the length of its name, its name, its state.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for (name, state) in self.0.iter() {
            write_number(&mut out, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
            state.encode(&mut out);
        }
        out
    }

    /// Reads a stored form. `None` where it is not one; an object then starts anew.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, mut rest) = bytes.split_first()? else { return None };
        let mut table = Dict::default();
        while !rest.is_empty() {
            let length = usize::try_from(read_number(&mut rest)?).ok()?;
            let (name, tail) = rest.split_at_checked(length)?;
            rest = tail;
            let state = State::decode(&mut rest)?;
            table.set(std::str::from_utf8(name).ok()?.into(), state);
        }
        Some(Self(table))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::limit::{Algorithm, QuotaPolicy};
    use crate::time::Span;

    const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);

    fn take(name: &str, quota: &str, shadow: bool) -> Take {
        let policy = QuotaPolicy {
            name: name.parse().unwrap(),
            quota: quota.parse().unwrap(),
            algorithm: Algorithm::SlidingWindow,
            burst: NonZeroU32::MIN,
            shadow,
        };
        Take { policy, cost: NonZeroU32::MIN }
    }

    fn remaining(table: &StateTable, take: &Take) -> u32 {
        step(&mut table.clone(), std::slice::from_ref(take), NOW).verdicts[0].remaining + 1
    }

    #[test]
    fn one_policy_that_refuses_keeps_the_others_from_being_debited() {
        let (wide, narrow) = (take("wide", "100/1m", false), take("narrow", "1/1m", false));
        let mut table = StateTable::default();
        let takes = [wide.clone(), narrow];
        assert!(step(&mut table, &takes, NOW).changed);
        let refused = step(&mut table, &takes, NOW);
        assert_eq!(refused.verdicts.iter().map(|v| v.admitted).collect::<Vec<_>>(), [true, false]);
        assert!(!refused.changed, "a refusal writes nothing");
        assert_eq!((refused.verdicts[0].remaining, remaining(&table, &wide)), (99, 99));
    }

    #[test]
    fn a_policy_in_shadow_refuses_nobody() {
        let (wide, shadow) = (take("wide", "100/1m", false), take("narrow", "1/1m", true));
        let mut table = StateTable::default();
        for _ in 0..3 {
            step(&mut table, &[wide.clone(), shadow.clone()], NOW);
        }
        assert_eq!(remaining(&table, &wide), 97);
        assert!(!step(&mut table, &[shadow], NOW).verdicts[0].admitted, "but it counts");
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
