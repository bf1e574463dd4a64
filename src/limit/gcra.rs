//! The generic cell rate algorithm (ITU-T I.371, annex A; "virtual scheduling"): one moment says everything.

use super::policy::QuotaPolicy;
use crate::time::{Span, Timestamp};

const NANOS_PER_MILLI: u64 = 1_000_000;

/// The theoretical arrival time, in nanoseconds since the UNIX epoch: when all that was taken has been paid off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gcra {
    pub(super) tat_nanos: u64,
    /// Since when something is owed.
    pub(super) since: Timestamp,
    /// When something was taken last.
    pub(super) last: Timestamp,
    /// How much less could be owed without there having been a moment since then when nothing was.
    pub(super) slack_nanos: u64,
}

/// What one unit takes to pay off. Rounded up, so that the rate is never above the quota.
fn interval_nanos(policy: &QuotaPolicy) -> u64 {
    (policy.quota.window().as_millis() * NANOS_PER_MILLI).div_ceil(u64::from(policy.quota.amount()))
}

fn nanos(now: Timestamp) -> u64 {
    now.as_millis().saturating_mul(NANOS_PER_MILLI)
}

/// Rounded up, since the clock that the client will be measured with counts whole milliseconds.
fn span(nanos: u64) -> Span {
    Span::from_millis(nanos.div_ceil(NANOS_PER_MILLI))
}

impl Gcra {
    /// What is owed at `now`.
    fn debt_nanos(&self, now: Timestamp) -> u64 {
        self.tat_nanos.saturating_sub(nanos(now))
    }

    pub(super) fn remaining(&self, policy: &QuotaPolicy, now: Timestamp) -> u32 {
        let interval = interval_nanos(policy);
        let room = (u64::from(policy.capacity()) * interval).saturating_sub(self.debt_nanos(now));
        u32::try_from(room / interval).unwrap_or(u32::MAX)
    }

    pub(super) fn reset(&self, policy: &QuotaPolicy, now: Timestamp) -> Span {
        let taken_at_next =
            u64::from(policy.capacity()).saturating_sub(u64::from(self.remaining(policy, now)) + 1);
        span(self.debt_nanos(now).saturating_sub(taken_at_next * interval_nanos(policy)))
    }

    pub(super) fn wait(&self, policy: &QuotaPolicy, cost: u32, now: Timestamp) -> Option<Span> {
        let room = policy.capacity().checked_sub(cost)?;
        Some(span(self.debt_nanos(now).saturating_sub(u64::from(room) * interval_nanos(policy))))
    }

    pub(super) fn debit(&mut self, policy: &QuotaPolicy, cost: u32, now: Timestamp) {
        let (owed, paid) = (self.debt_nanos(now), u64::from(cost).saturating_mul(interval_nanos(policy)));
        if owed == 0 {
            (self.since, self.last, self.slack_nanos) = (now, now, u64::MAX);
        } else {
            self.slack_nanos = self.slack_nanos.min(owed);
            self.last = self.last.max(now);
        }
        self.tat_nanos = self.tat_nanos.max(nanos(now)).saturating_add(paid);
    }

    /// Gives back units that were taken at a moment. Where others were taken since, only as much as leaves theirs to be
    /// paid off from when they were taken on.
    pub(super) fn refund(&mut self, policy: &QuotaPolicy, units: u32, at: Timestamp) {
        let paid = u64::from(units).saturating_mul(interval_nanos(policy));
        let back = match at {
            _ if at >= self.last => paid,
            _ if at >= self.since => paid.min(self.slack_nanos),
            _ => 0,
        };
        self.slack_nanos = self.slack_nanos.saturating_sub(back);
        self.tat_nanos = self.tat_nanos.saturating_sub(back);
    }

    pub(super) fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.tat_nanos.div_ceil(NANOS_PER_MILLI))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::limit::{Algorithm, Quota};

    #[test]
    fn a_whole_quota_takes_a_whole_window_to_pay_off() {
        let now = Timestamp::from_secs(1_789_000_000);
        for (amount, secs) in [(7, 1), (3000, 1), (99_999_999, 60), (1, 31_622_400)] {
            let quota = Quota::new(amount, secs).unwrap();
            let name = "p".parse().unwrap();
            // A burst above the quota is the quota.
            let policy = QuotaPolicy {
                name,
                quota,
                algorithm: Algorithm::Gcra,
                burst: NonZeroU32::MAX,
                resets_minute: 0,
                shadow: false,
            };
            let mut state = Gcra::default();
            assert_eq!(state.remaining(&policy, now), amount);
            state.debit(&policy, amount, now);
            let paid_off = nanos(now + quota.window());
            assert!((paid_off..paid_off + u64::from(amount)).contains(&state.tat_nanos), "{quota}");
            assert_eq!(state.wait(&policy, amount + 1, now), None);
        }
    }
}
