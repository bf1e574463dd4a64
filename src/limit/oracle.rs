//! Every algorithm against a plain one that keeps all that ever happened and counts it anew each time. (GCRA stands against
//! `governor`, with the properties.)

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::object::{self, StateTable};
use super::quota::{DAY_SECS, MONTH_SECS};
use super::{Algorithm, Order, Quota, QuotaPolicy, Settle};
use crate::time::{Span, Timestamp};

const START: Timestamp = Timestamp::from_millis(1_789_000_000_123);

/// What happens next, after so many milliseconds.
#[derive(Debug, Clone)]
enum Act {
    Take(u32),
    /// One that was admitted is not to count, or is over where requests in flight are counted.
    GiveBack(prop::sample::Index),
}

/// The policy's algorithm, told in the simplest way.
struct Oracle {
    policy: QuotaPolicy,
    /// When units were taken that were not given back since.
    taken: Vec<(Timestamp, u32)>,
}

impl Oracle {
    /// What tells windows apart: the beginning of the date and time in which they are, where they go by the calendar.
    fn window(&self, at: Timestamp) -> String {
        let shifted = at.before(Span::from_secs(u64::from(self.policy.resets_minute) * 60));
        let date = shifted.to_iso();
        match self.policy.algorithm {
            Algorithm::Daily => date.chars().take(10).collect(),
            Algorithm::Monthly => date.chars().take(7).collect(),
            _ => (at.as_millis() / self.policy.quota.window().as_millis()).to_string(),
        }
    }

    fn used(&self, now: Timestamp) -> u32 {
        let counts = |at: Timestamp| match self.policy.algorithm.is_fixed() {
            true => self.window(at) == self.window(now),
            false => at + self.policy.quota.window() > now,
        };
        self.taken.iter().filter(|(at, _)| counts(*at)).map(|(_, units)| units).sum()
    }

    fn fits(&self, cost: u32, now: Timestamp) -> bool {
        self.used(now) + cost <= self.policy.quota.amount()
    }
}

fn policies() -> impl Strategy<Value = QuotaPolicy> {
    let algorithm = prop::sample::select(vec![
        Algorithm::SlidingWindow,
        Algorithm::FixedWindow,
        Algorithm::Daily,
        Algorithm::Monthly,
        Algorithm::Concurrency,
    ]);
    (algorithm, 1_u32..=12, 1_u64..=20, 0_u16..1440).prop_map(|(algorithm, amount, secs, minute)| {
        let (secs, resets_minute) = match algorithm {
            Algorithm::Daily => (DAY_SECS, minute),
            Algorithm::Monthly => (MONTH_SECS, minute),
            _ => (secs, 0),
        };
        let (name, quota) = ("p".parse().unwrap(), Quota::new(amount, secs).unwrap());
        QuotaPolicy { name, quota, algorithm, burst: NonZeroU32::MIN, resets_minute, shadow: false }
    })
}

fn acts() -> impl Strategy<Value = Vec<(u64, Act)>> {
    // In thousandths of a window, so that windows of every length come to an end.
    let gap = prop_oneof![3 => Just(0_u64), 4 => 0_u64..100, 2 => 0_u64..1500];
    let act = prop_oneof![
        3 => (1_u32..=3).prop_map(Act::Take),
        1 => any::<prop::sample::Index>().prop_map(Act::GiveBack),
    ];
    prop::collection::vec((gap, act), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn an_object_decides_as_who_remembers_everything(policy in policies(), acts in acts()) {
        let mut oracle = Oracle { policy: policy.clone(), taken: Vec::new() };
        let (mut table, mut now) = (StateTable::default(), START);
        for (gap, act) in acts {
            now = now + Span::from_millis(policy.quota.window().as_millis() * gap / 1000);
            table = StateTable::decode(&table.encode()).unwrap();
            match act {
                Act::Take(cost) => {
                    let order = Order::take(policy.clone(), NonZeroU32::new(cost).unwrap());
                    let verdict = object::step(&mut table, &[order], now).replies[0].verdict;
                    prop_assert_eq!(verdict.admitted, oracle.fits(cost, now), "{} at {:?}", cost, now);
                    if verdict.admitted {
                        oracle.taken.push((now, cost));
                    }
                    prop_assert_eq!(verdict.remaining, policy.quota.amount() - oracle.used(now));
                    if let Some(wait) = verdict.retry_after {
                        prop_assert!(oracle.fits(cost, now + wait), "who waits as told is admitted");
                        prop_assert!(!oracle.fits(cost, now + wait.saturating_sub(Span::from_millis(1))));
                    }
                }
                Act::GiveBack(which) if !oracle.taken.is_empty() => {
                    let (at, units) = oracle.taken.remove(which.index(oracle.taken.len()));
                    let settle = Some(Settle { units: -i32::try_from(units).unwrap(), at });
                    let order = Order { cost: None, settle, ..Order::take(policy.clone(), NonZeroU32::MIN) };
                    object::step(&mut table, &[order], now);
                }
                Act::GiveBack(_) => {}
            }
        }
    }
}
