//! What the verdicts of one request come to.

use super::config::OnError;
use super::policy::{Algorithm, Ask, Verdict};
use crate::identity::Tier;
use crate::time::{Span, Timestamp};

/// What is known about one ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was counted, or is known to be over.
    Counted(Verdict),
    /// The limiter did not answer in time.
    Unreachable,
    /// It is let through, and counted meanwhile: nobody knows yet what is left.
    Provisional,
    /// It was not asked, since another policy refuses; so it stood when it was, where that is known here.
    NotAsked(Option<Verdict>),
}

impl Answer {
    /// How things stand, or stood, where an object has said so.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Counted(verdict) => Some(*verdict),
            Self::NotAsked(stood) => *stood,
            Self::Unreachable | Self::Provisional => None,
        }
    }
}

/// One policy of a request, and what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What was asked.
    pub ask: Ask,
    /// What came back.
    pub answer: Answer,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A quota is used up: 429.
    OverQuota,
    /// The request costs more than the quota ever lets through at once: 413.
    AboveQuota,
    /// The client has collected too many strikes: 429.
    Penalty,
    /// The limiter can't be reached, and the policy says to refuse then: 503.
    LimiterUnreachable,
}

impl Reason {
    /// For the log and the counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OverQuota => "over-quota",
            Self::AboveQuota => "above-quota",
            Self::Penalty => "penalty",
            Self::LimiterUnreachable => "limiter-unreachable",
        }
    }

    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::OverQuota | Self::Penalty => 429,
            // Of costs that may be as much, only that of its content is the request's own.
            Self::AboveQuota => 413,
            Self::LimiterUnreachable => 503,
        }
    }
}

/// A request that is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal<'d> {
    /// Why.
    pub reason: Reason,
    /// The policy that refuses for longest.
    pub by: &'d Checked,
    /// How long the client should wait: at least a second, and not less than any refusing policy's reset. `None`: the same
    /// request will never be admitted.
    pub retry_after: Option<Span>,
}

impl Refusal<'_> {
    /// For a person: `1000 requests per 60 s on tier pro`.
    pub fn detail(&self, unit: &str, tier: &str) -> String {
        let quota = self.by.ask.take.policy.quota;
        let span = match self.by.ask.take.policy.algorithm {
            Algorithm::Concurrency => "at once".to_owned(),
            Algorithm::Daily => "per day".to_owned(),
            Algorithm::Monthly => "per month".to_owned(),
            _ => format!("per {} s", quota.window_secs()),
        };
        let said = format!("{} {unit} {span} on tier {tier}", quota.amount());
        match (self.reason, self.by.answer) {
            (Reason::AboveQuota, Answer::Counted(verdict)) => format!(
                "{said}: it costs {}, and never more than {} are let through at once",
                self.by.ask.take.cost, verdict.limit
            ),
            _ => said,
        }
    }
}

/// All policies of one request with what is known about each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The client's tier.
    pub tier: Tier,
    /// In the order in which their objects were asked.
    pub checked: Vec<Checked>,
}

/// What to tell a client that is refused because nobody could count: soon.
const UNREACHABLE_RETRY: Span = Span::from_secs(1);

impl Checked {
    /// Whether this policy refuses the request.
    pub fn is_refusing(&self) -> bool {
        self.refuses().is_some()
    }

    /// Whether a client is told of it: not of one in shadow, nor of strikes that lead to nothing yet.
    pub fn is_shown(&self) -> bool {
        !self.ask.take.policy.shadow && (!self.ask.take.policy.algorithm.is_strikes() || self.is_refusing())
    }

    /// Why this policy refuses, and for how long (`None`: for ever); `None` where it does not. One in shadow never does.
    fn refuses(&self) -> Option<(Reason, Option<Span>)> {
        if self.ask.take.policy.shadow {
            return None;
        }
        match self.answer {
            Answer::Counted(verdict) if verdict.admitted => None,
            Answer::Counted(Verdict { retry_after: Some(wait), .. }) => {
                let is_strikes = self.ask.take.policy.algorithm.is_strikes();
                Some((if is_strikes { Reason::Penalty } else { Reason::OverQuota }, Some(wait)))
            }
            Answer::Counted(_) => Some((Reason::AboveQuota, None)),
            Answer::Unreachable if self.ask.on_error == OnError::Refuse => {
                Some((Reason::LimiterUnreachable, Some(UNREACHABLE_RETRY)))
            }
            Answer::Unreachable | Answer::Provisional | Answer::NotAsked(_) => None,
        }
    }
}

impl Decision {
    /// Why and by whom the request is refused; `None` where it is admitted.
    pub fn refusal(&self) -> Option<Refusal<'_>> {
        let refusing = self.checked.iter().filter_map(|checked| Some((checked, checked.refuses()?)));
        let (by, (reason, wait)) = refusing.max_by_key(|(_, (_, wait))| (wait.is_none(), *wait))?;
        let retry_after = wait.map(|wait| Span::from_secs(wait.as_secs_ceil().max(1)));
        Some(Refusal { reason, by, retry_after })
    }

    /// The names of the policies that refuse.
    pub fn violated(&self) -> impl Iterator<Item = &str> {
        self.checked.iter().filter(|c| c.refuses().is_some()).map(|c| c.ask.take.policy.name.as_str())
    }

    /// What was taken of policies that count requests in flight, and when. Of a request that is refused it was given back.
    pub fn in_flight(&self) -> impl Iterator<Item = (&Ask, Timestamp)> {
        let is_refused = self.refusal().is_some();
        self.checked.iter().filter_map(move |Checked { ask, answer }| match answer {
            Answer::Counted(verdict) if verdict.admitted && !is_refused => {
                (ask.take.policy.algorithm == Algorithm::Concurrency).then_some((ask, verdict.at))
            }
            _ => None,
        })
    }

    /// Takes what was taken to be given back: the decision is as if it had not been. Nothing was in an object that refused
    /// something, and strikes come afterwards.
    pub fn untake(&mut self) -> Vec<(Ask, Timestamp)> {
        let refusing = self.checked.iter().filter(|checked| checked.is_refusing());
        let refusing: Vec<Box<str>> = refusing.map(|checked| checked.ask.object.clone()).collect();
        let untake = |Checked { ask, answer }: &mut Checked| {
            let Answer::Counted(verdict) = answer else { return None };
            if !verdict.admitted || ask.take.policy.algorithm.is_strikes() || refusing.contains(&ask.object) {
                return None;
            }
            verdict.remaining = verdict.remaining.saturating_add(ask.take.cost.get()).min(verdict.limit);
            Some((ask.clone(), verdict.at))
        };
        self.checked.iter_mut().filter_map(untake).collect()
    }

    /// Whether a policy was not counted because the limiter could not be reached.
    pub fn is_degraded(&self) -> bool {
        self.checked.iter().any(|checked| checked.answer == Answer::Unreachable)
    }

    /// The policy that is nearest to its limit: one that refuses before one that does not, then the one with the
    /// fewest such requests left, then the one that resets last. Those of which a client is not told, and those that were not
    /// asked, never are.
    /// One that could not be counted is only where no other is.
    pub fn tightest(&self) -> Option<&Checked> {
        let shown = self.checked.iter().filter(|c| c.is_shown() && !matches!(c.answer, Answer::NotAsked(_)));
        shown.min_by_key(|checked| {
            let wait = checked.refuses().map(|(_, wait)| (wait.is_none(), wait));
            let (remaining, reset) = match checked.answer {
                Answer::Counted(verdict) => (verdict.remaining / checked.ask.take.cost, verdict.reset),
                Answer::Unreachable | Answer::Provisional | Answer::NotAsked(_) => (u32::MAX, Span::ZERO),
            };
            (std::cmp::Reverse(wait), remaining, std::cmp::Reverse(reset))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::limit::{QuotaPolicy, Take};

    fn checked(name: &str, on_error: OnError, answer: Answer) -> Checked {
        let policy = QuotaPolicy {
            name: name.parse().unwrap(),
            quota: "1000/1m".parse().unwrap(),
            algorithm: Algorithm::SlidingWindow,
            burst: NonZeroU32::MIN,
            resets_minute: 0,
            shadow: name == "shadow",
        };
        let take = Take { policy, cost: NonZeroU32::MIN };
        Checked {
            ask: Ask {
                object: "o".into(),
                take,
                on_error,
                budget: Span::ZERO,
                leases: false,
                provisional: false,
            },
            answer,
        }
    }

    fn refused(retry_after: Option<u64>) -> Answer {
        let retry_after = retry_after.map(Span::from_millis);
        Answer::Counted(Verdict {
            admitted: false,
            limit: 1000,
            remaining: 0,
            reset: Span::ZERO,
            retry_after,
            at: Timestamp::default(),
        })
    }

    fn admitted(remaining: u32) -> Answer {
        Answer::Counted(Verdict {
            admitted: true,
            limit: 1000,
            remaining,
            reset: Span::ZERO,
            retry_after: None,
            at: Timestamp::default(),
        })
    }

    #[test]
    fn the_policy_that_refuses_for_longest_decides() {
        let name = |checked: Option<&Checked>| checked.map(|c| c.ask.take.policy.name.to_string());
        for (answers, reason, secs, tightest) in [
            (vec![("a", admitted(5)), ("b", admitted(4))], None, 0, "b"),
            (
                vec![("a", admitted(0)), ("b", refused(Some(1))), ("c", refused(Some(2001)))],
                Some("over-quota"),
                3,
                "c",
            ),
            (vec![("a", refused(None)), ("b", refused(Some(500_000)))], Some("above-quota"), 0, "a"),
            (vec![("shadow", refused(Some(500))), ("b", admitted(9))], None, 0, "b"),
            (vec![("a", Answer::Unreachable), ("b", admitted(9))], None, 0, "b"),
            (
                vec![("a", Answer::NotAsked(admitted(0).verdict())), ("b", refused(Some(0)))],
                Some("over-quota"),
                1,
                "b",
            ),
        ] {
            let checked =
                answers.into_iter().map(|(name, answer)| checked(name, OnError::Admit, answer)).collect();
            let decision = Decision { tier: "pro".into(), checked };
            let refusal = decision.refusal();
            assert_eq!(refusal.map(|refusal| refusal.reason.as_str()), reason, "{decision:?}");
            assert_eq!(refusal.and_then(|refusal| refusal.retry_after).map_or(0, Span::as_secs), secs);
            assert_eq!(name(decision.tightest()).as_deref(), Some(tightest));
            assert_eq!(decision.violated().count() > 0, reason.is_some());
        }
    }

    #[test]
    fn a_limiter_that_is_gone_refuses_only_where_the_policy_says_so() {
        for (on_error, status) in [(OnError::Admit, None), (OnError::Refuse, Some(503))] {
            let checked =
                vec![checked("a", on_error, Answer::Unreachable), checked("shadow", on_error, admitted(1))];
            let decision = Decision { tier: "pro".into(), checked };
            assert!(decision.is_degraded());
            assert_eq!(decision.refusal().map(|refusal| refusal.reason.status()), status);
        }
        let nobody = Decision {
            tier: "pro".into(),
            checked: vec![checked("shadow", OnError::Refuse, Answer::Unreachable)],
        };
        assert_eq!(nobody.refusal(), None);
    }

    #[test]
    fn a_refusal_is_put_into_words() {
        let decision =
            Decision { tier: "pro".into(), checked: vec![checked("a", OnError::Admit, refused(Some(1)))] };
        assert_eq!(
            decision.refusal().unwrap().detail("requests", &decision.tier),
            "1000 requests per 60 s on tier pro"
        );
        assert_eq!(decision.violated().collect::<Vec<_>>(), ["a"]);
    }
}
