//! What an isolate remembers of refusals, so that a client that is known to be over costs no call.

use std::collections::HashMap;

use super::config::PolicyName;
use super::decision::{Answer, Checked, Decision};
use super::policy::{Ask, QuotaPolicy, Verdict};
use crate::identity::Tier;
use crate::time::{Span, Timestamp};

/// The most refusals that are remembered; beyond it they are forgotten, which costs a call each and nothing else.
pub const MAX_REFUSALS: usize = 4096;
/// How long one is remembered at most, so that a partition that a person resets is soon free everywhere.
pub const REMEMBERED_AT_MOST: Span = Span::from_secs(60);

/// Refusals by partition and policy. Isolates differ in what they remember, and it is only ever what an object said.
#[derive(Debug, Default)]
pub struct Refusals(HashMap<(Box<str>, PolicyName), Refused>);

#[derive(Debug)]
struct Refused {
    policy: QuotaPolicy,
    cost: u32,
    verdict: Verdict,
    at: Timestamp,
    until: Timestamp,
}

impl Refusals {
    /// The decision where one of the asks is known to be refused; `None` where the objects have to be asked.
    pub fn known(&self, asks: &[Ask], tier: &Tier, now: Timestamp) -> Option<Decision> {
        if self.0.is_empty() {
            return None;
        }
        let answers: Vec<Answer> =
            asks.iter().map(|ask| self.get(ask, now).map_or(Answer::NotAsked, Answer::Counted)).collect();
        if answers.iter().all(|answer| *answer == Answer::NotAsked) {
            return None;
        }
        let checked =
            asks.iter().cloned().zip(answers).map(|(ask, answer)| Checked { ask, answer }).collect();
        Some(Decision { tier: tier.clone(), checked })
    }

    /// What the object would say now, where it is known to refuse: for the same policy and the same cost.
    fn get(&self, ask: &Ask, now: Timestamp) -> Option<Verdict> {
        let refused = self.0.get(&(ask.object.clone(), ask.take.policy.name.clone()))?;
        let holds =
            refused.until > now && refused.policy == ask.take.policy && refused.cost == ask.take.cost.get();
        let passed = now.since(refused.at);
        holds.then(|| Verdict {
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
            let refused = Refused {
                policy: ask.take.policy.clone(),
                cost: ask.take.cost.get(),
                verdict: *verdict,
                at: now,
                until: now + (*wait).min(REMEMBERED_AT_MOST),
            };
            self.0.insert((ask.object.clone(), ask.take.policy.name.clone()), refused);
        }
    }

    /// Forgets what is over; and where that leaves more than half, everything, so that sweeps stay rare.
    fn make_room(&mut self, now: Timestamp) {
        if self.0.len() < MAX_REFUSALS {
            return;
        }
        self.0.retain(|_, refused| refused.until > now);
        if self.0.len() > MAX_REFUSALS / 2 {
            self.0.clear();
        }
    }
}
