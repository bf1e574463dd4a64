//! The fixed window: one counter, which starts again at every multiple of the window since the UNIX epoch; that of a day at a
//! time of the day, and that of a month on the first at that time.

use super::policy::{Algorithm, QuotaPolicy};
use crate::time::{Span, Timestamp};

const DAY_SECS: u64 = 86_400;

/// What was taken in the window that ends at `ends`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FixedWindow {
    pub(super) ends: Timestamp,
    pub(super) used: u32,
}

impl FixedWindow {
    /// This state where it still holds, else the empty window around `now`. A clock that goes back by less than a
    /// window finds the window that it had left; anything else comes from another config and is over.
    fn current(&self, policy: &QuotaPolicy, now: Timestamp) -> Self {
        let (begins, ends) = around(policy, now);
        if self.ends >= ends && self.ends <= ends + ends.since(begins) {
            self.clone()
        } else {
            Self { ends, used: 0 }
        }
    }

    pub(super) fn remaining(&self, policy: &QuotaPolicy, now: Timestamp) -> u32 {
        policy.quota.amount().saturating_sub(self.current(policy, now).used)
    }

    pub(super) fn reset(&self, policy: &QuotaPolicy, now: Timestamp) -> Span {
        let current = self.current(policy, now);
        if current.used == 0 { Span::ZERO } else { current.ends.since(now) }
    }

    pub(super) fn wait(&self, policy: &QuotaPolicy, cost: u32, now: Timestamp) -> Option<Span> {
        if cost > policy.quota.amount() {
            return None;
        }
        let current = self.current(policy, now);
        let fits = current.used.saturating_add(cost) <= policy.quota.amount();
        Some(if fits { Span::ZERO } else { current.ends.since(now) })
    }

    pub(super) fn debit(&mut self, policy: &QuotaPolicy, cost: u32, now: Timestamp) {
        *self = self.current(policy, now);
        self.used = self.used.saturating_add(cost);
    }

    /// Counts units that were taken in the window around `at`, or are going to be; nothing where a later one has begun.
    pub(super) fn charge(&mut self, policy: &QuotaPolicy, cost: u32, at: Timestamp) {
        if self.ends <= end(policy, at) {
            self.debit(policy, cost, at);
        }
    }

    /// Gives back units that were taken at a moment; nothing where its window is over.
    pub(super) fn refund(&mut self, policy: &QuotaPolicy, units: u32, at: Timestamp) {
        if self.ends == end(policy, at) {
            self.used = self.used.saturating_sub(units);
        }
    }
}

/// The window around a moment: when it begins and when it ends.
pub(super) fn around(policy: &QuotaPolicy, at: Timestamp) -> (Timestamp, Timestamp) {
    let shift = Span::from_secs(u64::from(policy.resets_minute) * 60);
    let shifted = at.before(shift);
    if policy.algorithm == Algorithm::Monthly {
        let (first, next) = shifted.month_days();
        return (
            Timestamp::from_secs(first * DAY_SECS) + shift,
            Timestamp::from_secs(next * DAY_SECS) + shift,
        );
    }
    let window = policy.quota.window();
    let begins =
        Timestamp::from_millis(shifted.as_millis() - shifted.as_millis() % window.as_millis()) + shift;
    (begins, begins + window)
}

/// The end of the window around a moment.
pub(super) fn end(policy: &QuotaPolicy, at: Timestamp) -> Timestamp {
    around(policy, at).1
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn policy(algorithm: Algorithm, quota: &str, resets_minute: u16) -> QuotaPolicy {
        let (name, quota) = ("p".parse().unwrap(), quota.parse().unwrap());
        QuotaPolicy { name, quota, algorithm, burst: NonZeroU32::MIN, resets_minute, shadow: false }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_http_date(text).unwrap()
    }

    #[test]
    fn a_window_of_another_config_is_over() {
        let day = &policy(Algorithm::FixedWindow, "5/1d", 0);
        let minute = &policy(Algorithm::FixedWindow, "5/1m", 0);
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

    #[test]
    fn a_day_begins_when_the_policy_says() {
        for (minute, now, begins) in [
            (0, "Wed, 25 Nov 2026 00:00:00 GMT", "Wed, 25 Nov 2026 00:00:00 GMT"),
            (0, "Wed, 25 Nov 2026 23:59:59 GMT", "Wed, 25 Nov 2026 00:00:00 GMT"),
            (390, "Wed, 25 Nov 2026 06:29:59 GMT", "Tue, 24 Nov 2026 06:30:00 GMT"),
            (390, "Wed, 25 Nov 2026 06:30:00 GMT", "Wed, 25 Nov 2026 06:30:00 GMT"),
        ] {
            let daily = policy(Algorithm::Daily, "5/1d", minute);
            assert_eq!(around(&daily, at(now)).0, at(begins), "{now} from minute {minute}");
            assert_eq!(daily.window_secs(at(now)), 86_400);
        }
    }

    #[test]
    fn a_month_is_as_long_as_it_is() {
        for (minute, now, begins, days) in [
            (0, "Sun, 01 Nov 2026 00:00:00 GMT", "Sun, 01 Nov 2026 00:00:00 GMT", 30),
            (0, "Thu, 31 Dec 2026 23:59:59 GMT", "Tue, 01 Dec 2026 00:00:00 GMT", 31),
            (0, "Thu, 11 Feb 2027 10:00:00 GMT", "Mon, 01 Feb 2027 00:00:00 GMT", 28),
            (0, "Tue, 29 Feb 2028 10:00:00 GMT", "Tue, 01 Feb 2028 00:00:00 GMT", 29),
            (0, "Sun, 28 Feb 2100 10:00:00 GMT", "Mon, 01 Feb 2100 00:00:00 GMT", 28),
            (61, "Fri, 01 Jan 2027 01:00:59 GMT", "Tue, 01 Dec 2026 01:01:00 GMT", 31),
            (61, "Fri, 01 Jan 2027 01:01:00 GMT", "Fri, 01 Jan 2027 01:01:00 GMT", 31),
        ] {
            let monthly = policy(Algorithm::Monthly, "5/month", minute);
            assert_eq!(around(&monthly, at(now)).0, at(begins), "{now} from minute {minute}");
            assert_eq!(monthly.window_secs(at(now)), days * 86_400, "{now}");
            let mut state = FixedWindow::default();
            state.debit(&monthly, 5, at(now));
            let wait = state.wait(&monthly, 1, at(now)).unwrap();
            assert_eq!(at(now) + wait, end(&monthly, at(now)));
            assert_eq!(state.wait(&monthly, 1, at(now) + wait), Some(Span::ZERO));
        }
    }
}
