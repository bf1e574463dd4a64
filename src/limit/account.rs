//! What an object knows of one policy of its partition: what was taken, and what isolates hold on lease.
//!
//! A lease is so many units that one isolate may spend without asking, until it ends. While it is held it counts as if
//! all of it had been taken, so that the fleet never admits more than the quota. What the isolate reports as spent counts
//! from when it was spent, as far as the isolate's clock can be believed; what it gives back counts no more. What an
//! isolate never reports, since it died or its report got lost, counts as spent at the lease's end and [`SLACK`] after it.
//!
//! # Stored form
//! The number of leases as an unsigned LEB128 number, for each its id (when it ends, in ms) and its units, then the state.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::fixed_window;
use super::policy::{Algorithm, QuotaPolicy, Verdict};
use super::state::{State, read_number, write_number};
use crate::time::{Span, Timestamp};

/// The most leases of one policy in one partition; further isolates ask for every request.
pub const MAX_LEASES: usize = 512;
/// How far the clock of an isolate may be off, and may stand still while code runs.
pub const SLACK: Span = Span::from_millis(500);
/// The longest life of a lease.
pub const MAX_LIFETIME: Span = Span::from_secs(27);
/// The shortest life for which a lease is worth its call.
pub const MIN_LIFETIME: Span = Span::from_secs(1);
/// A lease lives at most this part of its policy's window.
const LIVES_IN_WINDOW: u64 = 2;
/// A lease takes at most this part of what remains.
const LEASES_IN_REMAINING: u32 = 4;
/// The fewest units that are leased.
const MIN_UNITS: u32 = 2;

/// Units that one isolate may spend without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    /// When it ends, in ms, or shortly after, so that no two are alike.
    id: u64,
    units: u32,
}

impl Lease {
    /// From when on none of it is spent any more, whatever the isolate's clock says.
    fn over(self) -> Timestamp {
        Timestamp::from_millis(self.id) + SLACK
    }
}

/// What an isolate is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// By this the isolate reports on it.
    pub id: u64,
    /// How many units.
    pub units: u32,
    /// How long it holds, counted from when it was asked for.
    pub lifetime: Span,
}

/// What an isolate says of a lease of its.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which one.
    pub id: u64,
    /// How many units it holds at most from now on; with 0 the lease is over.
    pub held: u32,
    /// How many of the others it gives back unspent.
    pub back: u32,
    /// How long ago it spent the rest, and how many units then.
    pub spent: Vec<(Span, u32)>,
}

/// One policy's state and leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    state: State,
    leases: Vec<Lease>,
}

impl Account {
    /// One of which nothing was taken.
    pub fn empty(algorithm: Algorithm) -> Self {
        Self { state: State::empty(algorithm), leases: Vec::new() }
    }

    /// Whether it counts by this algorithm.
    pub fn is_of(&self, algorithm: Algorithm) -> bool {
        self.state.is_of(algorithm)
    }

    /// The state as if all that is leased had been spent as late as it can be.
    fn state(&self, policy: &QuotaPolicy) -> Cow<'_, State> {
        if self.leases.is_empty() {
            return Cow::Borrowed(&self.state);
        }
        let mut state = self.state.clone();
        self.leases.iter().for_each(|lease| state.charge(policy, lease.units, lease.over()));
        Cow::Owned(state)
    }

    /// Counts leases that are over and were not reported as spent. Tells whether there were any.
    pub fn expire(&mut self, policy: &QuotaPolicy, now: Timestamp) -> bool {
        let state = &mut self.state;
        let before = self.leases.len();
        self.leases.retain(|lease| {
            let is_over = lease.over() <= now;
            if is_over {
                state.charge(policy, lease.units, lease.over());
            }
            !is_over
        });
        self.leases.len() != before
    }

    /// How things stand for a request of this cost; without one, nothing is refused but for strikes.
    pub fn peek(&self, policy: &QuotaPolicy, cost: Option<NonZeroU32>, now: Timestamp) -> Verdict {
        let verdict = policy.peek(&self.state(policy), cost.unwrap_or(NonZeroU32::MIN), now);
        match cost {
            Some(_) => verdict,
            None if policy.algorithm.is_strikes() => verdict,
            None => Verdict { admitted: true, retry_after: None, ..verdict },
        }
    }

    /// Whether a request that is refused would be admitted if nothing were on lease.
    pub fn is_early(&self, policy: &QuotaPolicy, cost: NonZeroU32, now: Timestamp) -> bool {
        !self.leases.is_empty() && policy.peek(&self.state, cost, now).admitted
    }

    /// Takes units, whatever is left.
    pub fn debit(&mut self, policy: &QuotaPolicy, units: u32, now: Timestamp) {
        self.state.debit(policy, units, now);
    }

    /// Gives back units that were taken at a moment.
    pub fn refund(&mut self, policy: &QuotaPolicy, units: u32, at: Timestamp) {
        self.state.refund(policy, units, at);
    }

    /// Takes note of what became of a lease. One that is not known, or knew more, says nothing.
    pub fn report(&mut self, policy: &QuotaPolicy, report: &Report, now: Timestamp) {
        let Some(lease) = self.leases.iter_mut().find(|lease| lease.id == report.id) else { return };
        let gone = lease.units.saturating_sub(report.held);
        lease.units -= gone;
        let mut spent = gone.saturating_sub(report.back);
        for (age, units) in &report.spent {
            let then = spent.min(*units);
            spent -= then;
            if then > 0 {
                self.state.charge(policy, then, now.before(age.saturating_sub(SLACK)));
            }
        }
        if spent > 0 {
            self.state.debit(policy, spent, now);
        }
        self.leases.retain(|lease| lease.units > 0);
    }

    /// Leases up to so many units: at most a quarter of what remains, and none where that is not worth a call.
    pub fn lease(&mut self, policy: &QuotaPolicy, want: u32, now: Timestamp) -> Option<Grant> {
        let lifetime = lifetime(policy, now)?;
        let remaining = self.state(policy).remaining(policy, now);
        let units = want.min(remaining / LEASES_IN_REMAINING);
        if units < MIN_UNITS || self.leases.len() >= MAX_LEASES {
            return None;
        }
        let mut id = (now + lifetime).as_millis();
        while self.leases.iter().any(|lease| lease.id == id) {
            id += 1;
        }
        self.state.lasts(policy);
        self.leases.push(Lease { id, units });
        Some(Grant { id, units, lifetime })
    }

    /// From when on it is as good as empty.
    pub fn expires_at(&self) -> Timestamp {
        let leases = self.leases.iter().map(|lease| lease.over() + self.state.window()).max();
        leases.unwrap_or_default().max(self.state.expires_at())
    }

    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_number(out, self.leases.len() as u64);
        for lease in &self.leases {
            write_number(out, lease.id);
            write_number(out, u64::from(lease.units));
        }
        self.state.encode(out);
    }

    /// Reads a stored form from the front of `bytes` and moves it behind. `None` where it is not one.
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let count = usize::try_from(read_number(bytes)?).ok().filter(|count| *count <= MAX_LEASES)?;
        let mut leases = Vec::with_capacity(count);
        for _ in 0..count {
            leases.push(Lease { id: read_number(bytes)?, units: u32::try_from(read_number(bytes)?).ok()? });
        }
        Some(Self { state: State::decode(bytes)?, leases })
    }

    /// Reads a stored form of the time before there were leases: a state alone.
    pub fn decode_state(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { state: State::decode(bytes)?, leases: Vec::new() })
    }
}

/// How long a lease would hold that is given now; `None` where the policy leases nothing. One of a fixed window ends
/// before the window does.
fn lifetime(policy: &QuotaPolicy, now: Timestamp) -> Option<Span> {
    let window = policy.quota.window();
    let longest = Span::from_millis(window.as_millis() / LIVES_IN_WINDOW).min(MAX_LIFETIME);
    let lifetime = match policy.algorithm {
        Algorithm::SlidingWindow => longest,
        Algorithm::FixedWindow | Algorithm::Daily | Algorithm::Monthly => {
            let left = fixed_window::end(policy, now).since(now);
            longest.min(left.saturating_sub(SLACK).saturating_sub(SLACK))
        }
        Algorithm::Gcra | Algorithm::Concurrency | Algorithm::Strikes(_) => return None,
    };
    Some(lifetime).filter(|lifetime| *lifetime >= MIN_LIFETIME)
}
