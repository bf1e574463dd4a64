//! The fixed window: one counter, which starts again at every multiple of the window since the UNIX epoch.

use super::quota::Quota;
use crate::time::{Span, Timestamp};

/// What was taken in the window that ends at `ends`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FixedWindow {
    pub(super) ends: Timestamp,
    pub(super) used: u32,
}

impl FixedWindow {
    /// This state where it still holds, else the empty window around `now`. A clock that goes back by less than a
    /// window finds the window that it had left; anything else comes from another config and is over.
    fn current(&self, quota: Quota, now: Timestamp) -> Self {
        let ends = end(quota, now);
        if self.ends >= ends && self.ends <= ends + quota.window() {
            self.clone()
        } else {
            Self { ends, used: 0 }
        }
    }

    pub(super) fn remaining(&self, quota: Quota, now: Timestamp) -> u32 {
        quota.amount().saturating_sub(self.current(quota, now).used)
    }

    pub(super) fn reset(&self, quota: Quota, now: Timestamp) -> Span {
        let current = self.current(quota, now);
        if current.used == 0 { Span::ZERO } else { current.ends.since(now) }
    }

    pub(super) fn wait(&self, quota: Quota, cost: u32, now: Timestamp) -> Option<Span> {
        if cost > quota.amount() {
            return None;
        }
        let current = self.current(quota, now);
        let fits = current.used.saturating_add(cost) <= quota.amount();
        Some(if fits { Span::ZERO } else { current.ends.since(now) })
    }

    pub(super) fn debit(&mut self, quota: Quota, cost: u32, now: Timestamp) {
        *self = self.current(quota, now);
        self.used = self.used.saturating_add(cost);
    }

    /// Counts units that were taken in the window around `at`, or are going to be; nothing where a later one has begun.
    pub(super) fn charge(&mut self, quota: Quota, cost: u32, at: Timestamp) {
        if self.ends <= end(quota, at) {
            self.debit(quota, cost, at);
        }
    }

    /// Gives back units that were taken at a moment; nothing where its window is over.
    pub(super) fn refund(&mut self, quota: Quota, units: u32, at: Timestamp) {
        if self.ends == end(quota, at) {
            self.used = self.used.saturating_sub(units);
        }
    }
}

/// The end of the window around a moment.
pub(super) fn end(quota: Quota, at: Timestamp) -> Timestamp {
    let window = quota.window();
    Timestamp::from_millis(at.as_millis() - at.as_millis() % window.as_millis()) + window
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_another_config_is_over() {
        let day: Quota = "5/1d".parse().unwrap();
        let minute: Quota = "5/1m".parse().unwrap();
        let noon = Timestamp::from_secs(1_789_041_600);
        let mut state = FixedWindow::default();
        state.debit(day, 5, noon);
        assert_eq!(
            (state.remaining(day, noon), state.reset(day, noon)),
            (0, Span::from_secs(43_200)),
            "to midnight UTC"
        );
        assert_eq!(state.remaining(minute, noon), 5);
        state.debit(minute, 5, noon);
        assert_eq!(state.remaining(day, noon), 5);
        let before = Timestamp::from_millis(noon.as_millis() - 1);
        assert_eq!(
            state.wait(minute, 1, before),
            Some(Span::from_millis(60_001)),
            "a clock that goes back gives no more"
        );
    }
}
