//! The sliding window: what was taken in the last window, moment by moment.
//!
//! Each admitted cost is kept under the moment from which it counts, and stops counting one window later. Quotas of
//! up to [`EXACT_UP_TO`] units keep the moment itself, so they are exact to the millisecond. Of larger ones, what is taken
//! within one slot of 1/[`SLOTS`] of the window counts from the last moment of it: a unit then counts up to one slot longer
//! than it must, so never more than the quota is admitted in any window, and the cost of it is refusing 0.1 % of a window early.

use std::collections::VecDeque;

use super::quota::Quota;
use crate::time::{Span, Timestamp};

/// Quotas of so many units and less are counted to the millisecond.
pub const EXACT_UP_TO: u32 = 1000;
/// How many slots a window of a larger quota has.
pub const SLOTS: u64 = 1000;
/// The most moments that are kept: those of an exact quota and, where a new config then made it a large one, its
/// slots besides. Beyond it the oldest two become one, which counts as long as the later.
pub const MAX_MOMENTS: usize = EXACT_UP_TO as usize + SLOTS as usize + 1;

/// What was taken: moment from which it counts and units, oldest first, each moment once. At most
/// [`MAX_MOMENTS`] of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlidingWindow {
    pub(super) taken: VecDeque<(Timestamp, u32)>,
    /// Of the quota that was debited last; it says when the state is over.
    pub(super) window: Span,
}

impl SlidingWindow {
    fn live(&self, quota: Quota, now: Timestamp) -> impl Iterator<Item = (Timestamp, u32)> {
        self.taken
            .iter()
            .map(move |(at, units)| (*at + quota.window(), *units))
            .filter(move |(end, _)| *end > now)
    }

    fn used(&self, quota: Quota, now: Timestamp) -> u32 {
        self.live(quota, now).fold(0, |sum, (_, units)| sum.saturating_add(units))
    }

    pub(super) fn remaining(&self, quota: Quota, now: Timestamp) -> u32 {
        quota.amount().saturating_sub(self.used(quota, now))
    }

    pub(super) fn reset(&self, quota: Quota, now: Timestamp) -> Span {
        self.live(quota, now).next().map_or(Span::ZERO, |(end, _)| end.since(now))
    }

    pub(super) fn wait(&self, quota: Quota, cost: u32, now: Timestamp) -> Option<Span> {
        if cost > quota.amount() {
            return None;
        }
        let mut used = self.used(quota, now);
        let room = quota.amount() - cost;
        let mut wait = Span::ZERO;
        for (end, units) in self.live(quota, now) {
            if used <= room {
                break;
            }
            used = used.saturating_sub(units);
            wait = end.since(now);
        }
        Some(wait)
    }

    pub(super) fn debit(&mut self, quota: Quota, cost: u32, now: Timestamp) {
        self.window = quota.window();
        while self.taken.front().is_some_and(|(at, _)| *at + quota.window() <= now) {
            self.taken.pop_front();
        }
        // Also where the clock went back: the moments stay in order, and the unit counts longer, not shorter.
        let newest = self.taken.back().map_or(now, |(at, _)| now.max(*at));
        self.charge(quota, cost, newest);
    }

    /// Puts units where they belong that were taken before others, or are going to be.
    pub(super) fn charge(&mut self, quota: Quota, cost: u32, at: Timestamp) {
        self.window = quota.window();
        let slot_ends = slot(quota, at);
        let later = self.taken.iter().rev().take_while(|(at, _)| *at > slot_ends).count();
        let place = self.taken.len() - later;
        match place.checked_sub(1).and_then(|before| self.taken.get_mut(before)) {
            Some((last, units)) if slot(quota, *last) == slot_ends => {
                (*last, *units) = (at.max(*last), units.saturating_add(cost));
            }
            _ => self.taken.insert(place, (at, cost)),
        }
        while self.taken.len() > MAX_MOMENTS
            && let (Some((_, oldest)), Some((_, next))) = (self.taken.pop_front(), self.taken.front_mut())
        {
            *next = next.saturating_add(oldest);
        }
    }

    /// Gives back units that were taken at a moment: those of that moment, else of the last ones before it. Never
    /// of later ones, since what was taken then has to count as long as it must.
    pub(super) fn refund(&mut self, quota: Quota, mut refunded: u32, at: Timestamp) {
        let slot_ends = slot(quota, at);
        for (_, units) in self.taken.iter_mut().rev().filter(|(at, _)| *at <= slot_ends) {
            let back = refunded.min(*units);
            *units -= back;
            refunded -= back;
        }
        self.taken.retain(|(_, units)| *units > 0);
    }

    pub(super) fn expires_at(&self) -> Timestamp {
        self.taken.back().map_or(Timestamp::default(), |(at, _)| *at + self.window)
    }
}

/// The end of the slot that a moment lies in.
fn slot(quota: Quota, at: Timestamp) -> Timestamp {
    let millis = if quota.amount() <= EXACT_UP_TO { 1 } else { quota.window().as_millis().div_ceil(SLOTS) };
    Timestamp::from_millis(at.as_millis().next_multiple_of(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_stay_bounded_whatever_configs_came_before() {
        let mut state = SlidingWindow::default();
        let mut now = Timestamp::from_secs(1_789_000_000);
        // Each window is longer than the one before, so that nothing leaves.
        for secs in [1, 4, 16, 64, 256] {
            let quota = Quota::new(1_000_000, secs).unwrap();
            for _ in 0..600 {
                now = now + Span::from_millis(secs);
                state.debit(quota, 1, now);
            }
        }
        assert_eq!(state.taken.len(), MAX_MOMENTS);
        assert_eq!(
            state.remaining(Quota::new(1_000_000, 256).unwrap(), now),
            1_000_000 - 3000,
            "and nothing is lost"
        );
    }

    #[test]
    fn a_full_large_quota_is_admitted_and_stays_small() {
        let quota: Quota = "10000/1m".parse().unwrap();
        let mut state = SlidingWindow::default();
        let start = Timestamp::from_millis(1_789_000_000_001);
        let mut refused = 0;
        for i in 0..20_000_u64 {
            let now = start + Span::from_millis(i * 6);
            match state.wait(quota, 1, now) {
                Some(Span::ZERO) => state.debit(quota, 1, now),
                _ => refused += 1,
            }
        }
        assert!(refused <= 20, "of what is exactly the quota, {refused} were refused early");
        assert!(state.taken.len() as u64 <= SLOTS + 1);
    }
}
