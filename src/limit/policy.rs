//! A policy resolved for one request, and the one step that counts.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::config::OnError;
use super::fixed_window;
use super::name::PolicyName;
use super::quota::Quota;
use super::state::State;
use super::strikes::Penalty;
use crate::time::{Span, Timestamp};

/// How a policy counts. In a config `"sliding-window"`, `"fixed-window"`, `"daily"`, `"monthly"`, `"gcra"` or
/// `"concurrency"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// Never more than the quota in any window, wherever it begins.
    #[default]
    SlidingWindow,
    /// Never more than the quota in a window that begins at a multiple of its length since the UNIX epoch (so a
    /// day's begins at 00:00 UTC); up to twice the quota around such a moment.
    FixedWindow,
    /// A fixed window of a day, which begins at a time of the day in UTC.
    Daily,
    /// The same of a month, from the first of it.
    Monthly,
    /// The quota evenly spread over its window, and up to `burst` units at once (ITU-T I.371); never more than
    /// quota + burst - 1 units in any window.
    Gcra,
    /// Never more than the quota at once: what is taken is given back when the response has ended, and counts no longer
    /// than the window where that gets lost.
    Concurrency,
    /// Not requests but strikes, which come afterwards; in a config by `strikes`.
    #[serde(skip)]
    Strikes(Penalty),
}

impl Algorithm {
    const ALL: [Self; 6] =
        [Self::SlidingWindow, Self::FixedWindow, Self::Daily, Self::Monthly, Self::Gcra, Self::Concurrency];

    /// Whether a window begins at moments that the clock says.
    pub fn is_fixed(self) -> bool {
        matches!(self, Self::FixedWindow | Self::Daily | Self::Monthly)
    }

    /// As a config writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlidingWindow => "sliding-window",
            Self::FixedWindow => "fixed-window",
            Self::Daily => "daily",
            Self::Monthly => "monthly",
            Self::Gcra => "gcra",
            Self::Concurrency => "concurrency",
            Self::Strikes(_) => "strikes",
        }
    }

    /// Reads what [`Self::as_str`] writes, but of strikes.
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }

    /// Whether answers are counted, not requests.
    pub fn is_strikes(self) -> bool {
        matches!(self, Self::Strikes(_))
    }
}

/// What one policy means for one request: all that is needed to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaPolicy {
    /// As the config calls it; the client sees it.
    pub name: PolicyName,
    /// How many units in how long, for this client's tier.
    pub quota: Quota,
    /// How it counts.
    pub algorithm: Algorithm,
    /// The units that [`Algorithm::Gcra`] lets through at once; nothing to the others.
    pub burst: NonZeroU32,
    /// When a day begins for [`Algorithm::Daily`] and [`Algorithm::Monthly`], in minutes after 00:00 UTC; zero for the others.
    pub resets_minute: u16,
    /// Counted and reported, but never a reason to refuse.
    pub shadow: bool,
}

/// One policy and what this request costs under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// The policy.
    pub policy: QuotaPolicy,
    /// In quota units.
    pub cost: NonZeroU32,
}

/// A [`Take`] and where it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The name of the partition's Durable Object: 64 lower-case hex digits, a hash, so no personal data.
    pub object: Box<str>,
    /// What is asked of it.
    pub take: Take,
    /// What happens where the object can't be asked.
    pub on_error: OnError,
    /// How long to wait for it.
    pub budget: Span,
    /// Whether units of it may be leased.
    pub leases: bool,
    /// Whether the first request of a client is let through before it is counted.
    pub provisional: bool,
}

/// What counting said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the cost was within what was left. Only then it was debited.
    pub admitted: bool,
    /// The quota's units.
    pub limit: u32,
    /// Units that could be taken at this moment, after this request.
    pub remaining: u32,
    /// From `at` until more units than `remaining` are available; zero where all are. Never longer than `retry_after`.
    pub reset: Span,
    /// Where it was refused: the wait after which the same request is admitted, if nobody else in the partition
    /// comes first. `None` when admitted, and where the cost is above what the policy ever lets through at once.
    pub retry_after: Option<Span>,
    /// The object's clock: whoever gives units back says so when they were taken.
    pub at: Timestamp,
}

impl Verdict {
    /// When more units than `remaining` are available, by the object's clock: one moment, whenever it is asked for. Later than
    /// `now` where it has passed, for nobody has said how much there is since; `now` where all are.
    pub fn resets_at(&self, now: Timestamp) -> Timestamp {
        match self.reset {
            Span::ZERO => now,
            reset => (self.at + reset).max(now + Span::from_millis(1)),
        }
    }

    /// How long that is from `now` on.
    pub fn resets_in(&self, now: Timestamp) -> Span {
        self.resets_at(now).since(now).min(self.reset)
    }
}

impl QuotaPolicy {
    /// What [`Self::take`] would say, without taking. `remaining` and `reset` are as they stand.
    pub fn peek(&self, state: &State, cost: NonZeroU32, now: Timestamp) -> Verdict {
        let wait = state.wait(self, cost.get(), now);
        let admitted = wait == Some(Span::ZERO);
        Verdict {
            admitted,
            limit: self.quota.amount(),
            remaining: state.remaining(self, now),
            reset: state.reset(self, now),
            retry_after: wait.filter(|_| !admitted),
            at: now,
        }
    }

    /// Counts one request: debits `cost` where there is room for it, and says how things stand afterwards. A state
    /// that another algorithm left is forgotten.
    pub fn take(&self, state: Option<State>, cost: NonZeroU32, now: Timestamp) -> (Verdict, State) {
        let kept = state.filter(|state| state.is_of(self.algorithm));
        let mut state = kept.unwrap_or_else(|| State::empty(self.algorithm));
        let mut verdict = self.peek(&state, cost, now);
        if verdict.admitted {
            state.debit(self, cost.get(), now);
            verdict.remaining = state.remaining(self, now);
            verdict.reset = state.reset(self, now);
        }
        (verdict, state)
    }

    /// The seconds of the window around a moment. Months differ.
    pub fn window_secs(&self, now: Timestamp) -> u64 {
        match self.algorithm {
            Algorithm::Monthly => {
                let (begins, ends) = fixed_window::around(self, now);
                ends.since(begins).as_secs()
            }
            _ => self.quota.window_secs(),
        }
    }

    /// The most that is ever let through at once: the quota, or the burst where that is less.
    pub fn capacity(&self) -> u32 {
        match self.algorithm {
            Algorithm::Gcra => self.burst.get().min(self.quota.amount()),
            _ => self.quota.amount(),
        }
    }
}
