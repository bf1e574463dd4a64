//! The queue before an origin that takes few requests at once: instead of being refused, a request waits its turn.
//!
//! A Durable Object for each queue holds who has a place and who waits ([`Queue`]); it gives a free place to the next
//! by priority, then in the order of coming, so that the origin is kept full and never fuller. A place is held for
//! [`LEASE`] and kept by whoever asks again, so that one whose isolate died does not take it along.

mod state;
mod wire;

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::OnError;
use super::quota::Quota;
use crate::identity::Tier;
use crate::time::Span;

pub use state::{Queue, Turn};
pub use wire::{Call, Ticket, read_answer, told_text};

/// How long a place, or a wait, is held without a word from whoever has it.
pub const LEASE: Span = Span::from_secs(15);
/// How often whoever has a place says so.
pub const STAY_EVERY: Span = Span::from_secs(5);
/// How long one call waits for the turn to come.
pub const PATIENCE: Span = Span::from_secs(5);
/// The longest queue.
pub const LENGTH_MAX: u32 = 1000;
/// The most places.
pub const CONCURRENT_MAX: u32 = 1000;
/// The longest wait.
pub const WAIT_MAX: Span = Span::from_secs(300);

/// `[limits.queues.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// How many requests are at the origin at once, until the last byte of each response.
    pub max_concurrent: NonZeroU32,
    /// How many may start in a window; default any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Tiers whose requests go first, the first before the second; all others come after them. Default none.
    #[serde(default)]
    pub priority: Vec<Tier>,
    /// How many may wait at once. Default 100.
    #[serde(default = "length")]
    pub max_length: u32,
    /// How long a request may wait. Default 30 s.
    #[serde(default = "wait")]
    pub max_wait: Span,
    /// What happens where the queue can't be reached. Default `"admit"`.
    #[serde(default)]
    pub on_error: OnError,
    /// How long to wait for the queue's object. Default 500 ms.
    #[serde(default = "budget")]
    pub budget: Span,
}

fn length() -> u32 {
    100
}

fn wait() -> Span {
    Span::from_secs(30)
}

fn budget() -> Span {
    Span::from_millis(500)
}

impl QueueConfig {
    /// How late the turn of such a client comes: 0 is first.
    pub fn rank(&self, tier: &str) -> u32 {
        let rank = self.priority.iter().position(|one| &**one == tier);
        rank.unwrap_or(self.priority.len()) as u32
    }

    /// What the object has to know.
    pub fn terms(&self) -> Terms {
        Terms { concurrent: self.max_concurrent.get(), quota: self.quota, length: self.max_length }
    }

    /// What is wrong, each as the key's name and a message. `tiers` are those that the identity config knows.
    pub fn problems(&self, tiers: &[Tier]) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.max_concurrent.get() > CONCURRENT_MAX {
            let message = format!("{} is too much; allowed: 1 to {CONCURRENT_MAX}", self.max_concurrent);
            found.push(("max_concurrent", message));
        }
        if self.max_length > LENGTH_MAX {
            found
                .push(("max_length", format!("{} is too long; allowed: 0 to {LENGTH_MAX}", self.max_length)));
        }
        if self.max_wait == Span::ZERO || self.max_wait > WAIT_MAX {
            found.push((
                "max_wait",
                format!("`{}` is no time to wait; allowed: 1ms to {WAIT_MAX}", self.max_wait),
            ));
        }
        if self.budget == Span::ZERO || self.budget > super::config::MAX_BUDGET {
            let most = super::config::MAX_BUDGET;
            found.push(("budget", format!("`{}` is no time to wait; allowed: 1ms to {most}", self.budget)));
        }
        for tier in self.priority.iter().filter(|tier| !tiers.contains(tier)) {
            found.push(("priority", format!("`{tier}` is not a tier; allowed: {}", tiers.join(", "))));
        }
        found
    }
}

/// What a queue goes by; those of whoever asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How many places there are.
    pub concurrent: u32,
    /// How many requests may start in a window.
    pub quota: Option<Quota>,
    /// How many may wait.
    pub length: u32,
}

/// What a request is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It has a place.
    Admitted {
        /// How many were before it when it came.
        position: u32,
        /// How long it waited.
        waited: Span,
    },
    /// Its turn has not come.
    Waiting {
        /// How many are before it now.
        position: u32,
        /// How long that takes, as things are.
        wait: Span,
    },
    /// There is no room for another one that waits.
    Full {
        /// How many are before it.
        position: u32,
        /// When its turn would have come, as things are.
        wait: Span,
    },
}
