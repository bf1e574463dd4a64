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
        let window = quota.window();
        let ends = Timestamp::from_millis(now.as_millis() - now.as_millis() % window.as_millis()) + window;
        if self.ends >= ends && self.ends <= ends + window { self.clone() } else { Self { ends, used: 0 } }
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
