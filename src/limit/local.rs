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
