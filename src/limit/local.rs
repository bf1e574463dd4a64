//! What an isolate remembers of refusals, so that a client that is known to be over costs no call.

use std::collections::HashMap;

use super::decision::{Answer, Checked, Decision};
use super::policy::{Ask, Take, Verdict};
use crate::identity::Tier;
use crate::time::{Span, Timestamp};

/// The most partitions whose refusals are remembered; beyond it they are forgotten, which costs a call each and
/// nothing else.
pub const MAX_PARTITIONS: usize = 4096;
/// How long one is remembered at most, so that a partition that a person resets is soon free everywhere.
pub const REMEMBERED_AT_MOST: Span = Span::from_secs(60);

/// Refusals by partition. Isolates differ in what they remember, and it is only ever what an object said.
#[derive(Debug, Default)]
pub struct Refusals(HashMap<Box<str>, Vec<Refused>>);

#[derive(Debug)]
struct Refused {
    take: Take,
    verdict: Verdict,
    at: Timestamp,
    until: Timestamp,
}

impl Refusals {
    /// The decision where one of the asks is known to be refused; `None` where the objects have to be asked.
    pub fn known(&self, asks: &[Ask], tier: &Tier, now: Timestamp) -> Option<Decision> {
        asks.iter().find_map(|ask| self.get(ask, now))?;
        let checked = asks.iter().map(|ask| {
            let answer = self.get(ask, now).map_or(Answer::NotAsked, Answer::Counted);
            Checked { ask: ask.clone(), answer }
        });
        Some(Decision { tier: tier.clone(), checked: checked.collect() })
    }

    /// What the object would say now, where it is known to refuse: for the same policy and the same cost.
    fn get(&self, ask: &Ask, now: Timestamp) -> Option<Verdict> {
        let refused = self.0.get(&ask.object)?.iter().find(|refused| refused.take == ask.take)?;
        let passed = now.since(refused.at);
        (refused.until > now).then(|| Verdict {
            reset: refused.verdict.reset.saturating_sub(passed),
            retry_after: refused.verdict.retry_after.map(|wait| wait.saturating_sub(passed)),
            ..refused.verdict
        })
    }

    /// Remembers what refused.
    pub fn learn(&mut self, decision: &Decision, now: Timestamp) {
        for Checked { ask, answer } in &decision.checked {
            let Answer::Counted(verdict @ Verdict { admitted: false, retry_after: Some(wait), .. }) = answer
            else {
                continue;
            };
            if ask.take.policy.shadow {
                continue;
            }
            self.make_room(now);
            let until = now + (*wait).min(REMEMBERED_AT_MOST);
            let refused = Refused { take: ask.take.clone(), verdict: *verdict, at: now, until };
            let of_object = self.0.entry(ask.object.clone()).or_default();
            of_object.retain(|known| known.take.policy.name != ask.take.policy.name && known.until > now);
            of_object.push(refused);
        }
    }

    /// Forgets what an object refused.
    pub fn forget(&mut self, object: &str) {
        self.0.remove(object);
    }

    /// Forgets what is over; and where that leaves more than half, everything, so that sweeps stay rare.
    fn make_room(&mut self, now: Timestamp) {
        if self.0.len() < MAX_PARTITIONS {
            return;
        }
        self.0.retain(|_, of_object| of_object.iter().any(|refused| refused.until > now));
        if self.0.len() > MAX_PARTITIONS / 2 {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::limit::{Algorithm, OnError, QuotaPolicy};

    const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);

    fn ask(object: &str, quota: &str, cost: u32) -> Ask {
        let policy = QuotaPolicy {
            name: "minute".parse().unwrap(),
            quota: quota.parse().unwrap(),
            algorithm: Algorithm::SlidingWindow,
            burst: NonZeroU32::MIN,
            shadow: false,
        };
        let take = Take { policy, cost: NonZeroU32::new(cost).unwrap() };
        Ask { object: object.into(), take, on_error: OnError::Admit, budget: Span::ZERO }
    }

    fn decided(ask: &Ask, admitted: bool, wait: u64) -> Decision {
        let wait = Span::from_secs(wait);
        let retry_after = (!admitted).then_some(wait);
        let verdict = Verdict { admitted, limit: 20, remaining: 0, reset: wait, retry_after, at: NOW };
        let checked = vec![Checked { ask: ask.clone(), answer: Answer::Counted(verdict) }];
        Decision { tier: "free".into(), checked }
    }

    #[test]
    fn a_refusal_is_known_until_it_can_change_and_its_wait_shrinks() {
        let over = ask("a", "20/1m", 1);
        let mut refusals = Refusals::default();
        refusals.learn(&decided(&over, false, 12), NOW);
        let free = Tier::from("free");
        for (after, wait) in [(0, Some(12)), (5000, Some(7)), (11_999, Some(1)), (12_000, None)] {
            let known =
                refusals.known(&[ask("b", "5/1m", 1), over.clone()], &free, NOW + Span::from_millis(after));
            let secs =
                known.as_ref().and_then(Decision::refusal).map(|refusal| refusal.retry_after.as_secs());
            assert_eq!(secs, wait, "after {after} ms");
            assert!(known.is_none_or(|known| known.checked[0].answer == Answer::NotAsked));
        }
    }

    #[test]
    fn what_may_be_admitted_is_asked_for() {
        let over = ask("a", "20/1m", 2);
        let free = Tier::from("free");
        let mut refusals = Refusals::default();
        refusals.learn(&decided(&over, true, 12), NOW);
        assert_eq!(refusals.known(std::slice::from_ref(&over), &free, NOW), None, "it was admitted");
        refusals.learn(&decided(&over, false, 900), NOW);
        assert!(refusals.known(std::slice::from_ref(&over), &free, NOW).is_some());
        for other in [ask("b", "20/1m", 2), ask("a", "20/1m", 1), ask("a", "1000/1m", 2)] {
            assert_eq!(refusals.known(std::slice::from_ref(&other), &free, NOW), None, "{other:?}");
        }
        assert_eq!(
            refusals.known(&[over], &free, NOW + REMEMBERED_AT_MOST),
            None,
            "somebody may have reset it"
        );
    }

    #[test]
    fn refusals_are_bounded() {
        let mut refusals = Refusals::default();
        for i in 0..3 * MAX_PARTITIONS {
            let over = ask(&i.to_string(), "20/1m", 1);
            refusals.learn(&decided(&over, false, 50), NOW);
            refusals.learn(&decided(&over, false, 50), NOW);
            assert!(refusals.0.len() <= MAX_PARTITIONS);
            assert!(refusals.known(&[over], &"free".into(), NOW).is_some(), "the newest is there");
        }
        assert!(refusals.0.values().all(|of_object| of_object.len() == 1));
    }
}
