//! What holds for every algorithm, over arbitrary histories.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::fixed_window;
use super::object::{self, StateTable};
use super::quota::{DAY_SECS, MONTH_SECS};
use super::{Algorithm, Order, Quota, QuotaPolicy, State, Verdict};
use crate::time::{Span, Timestamp};

const START: Timestamp = Timestamp::from_millis(1_789_000_000_123);

/// A policy and arrivals: the milliseconds since the one before (a clock may go back a little), and the cost.
type History = (QuotaPolicy, Vec<(i64, NonZeroU32)>);

fn policies() -> impl Strategy<Value = QuotaPolicy> {
    let algorithm = prop_oneof![
        2 => Just(Algorithm::SlidingWindow),
        1 => Just(Algorithm::FixedWindow),
        2 => Just(Algorithm::Gcra),
        1 => Just(Algorithm::Daily),
        1 => Just(Algorithm::Monthly),
        1 => Just(Algorithm::Concurrency),
    ];
    // Small quotas are counted to the millisecond, large ones by slots.
    let amount = prop_oneof![1_u32..=30, 1001_u32..=3000];
    (algorithm, amount, 1_u64..=20, 1_u32..=30, any::<bool>(), 0_u16..1440).prop_map(
        |(algorithm, amount, secs, burst, shadow, minute)| {
            let (secs, resets_minute) = match algorithm {
                Algorithm::Daily => (DAY_SECS, minute),
                Algorithm::Monthly => (MONTH_SECS, minute),
                _ => (secs, 0),
            };
            let burst = NonZeroU32::new(burst.min(amount)).unwrap();
            let name = "p".parse().unwrap();
            QuotaPolicy {
                name,
                quota: Quota::new(amount, secs).unwrap(),
                algorithm,
                burst,
                resets_minute,
                shadow,
            }
        },
    )
}

fn histories() -> impl Strategy<Value = History> {
    policies().prop_flat_map(|policy| {
        let cost = (1..=policy.capacity().div_ceil(4) + 1).prop_map(|cost| NonZeroU32::new(cost).unwrap());
        let gap = prop_oneof![3 => Just(0_i64), 4 => 0_i64..=50, 3 => 0_i64..=3000, 1 => -500_i64..0];
        (Just(policy), prop::collection::vec((gap, cost), 1..150))
    })
}

/// How far a clock may be behind what it has shown before.
const BEHIND_AT_MOST: Span = Span::from_millis(500);

/// When the arrivals are, by a clock that may go back a little.
fn moments(arrivals: &[(i64, NonZeroU32)]) -> impl Iterator<Item = (Timestamp, NonZeroU32)> {
    let (mut now, mut latest) = (START, START);
    arrivals.iter().map(move |(gap, cost)| {
        let moved = Timestamp::from_millis(now.as_millis().saturating_add_signed(*gap));
        now = moved.max(latest.before(BEHIND_AT_MOST));
        latest = latest.max(now);
        (now, *cost)
    })
}

/// What was admitted: when, by the latest that the clock showed at an admission so far, and how much.
fn admitted((policy, arrivals): &History) -> Vec<(u64, u64)> {
    let (mut latest, mut state, mut admitted) = (Timestamp::default(), None, Vec::new());
    for (now, cost) in moments(arrivals) {
        let (verdict, after) = policy.take(state, cost, now);
        state = Some(after);
        if verdict.admitted {
            latest = latest.max(now);
            admitted.push((latest.as_millis(), u64::from(cost.get())));
        }
    }
    admitted
}

/// Runs a history and calls `check` with the state before each take, its cost and its moment.
fn each(
    (policy, arrivals): &History,
    mut check: impl FnMut(&State, NonZeroU32, Timestamp, Verdict, &State) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut state = State::empty(policy.algorithm);
    for (now, cost) in moments(arrivals) {
        let (verdict, after) = policy.take(Some(state.clone()), cost, now);
        check(&state, cost, now, verdict, &after)?;
        state = after;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn never_more_than_the_quota_in_any_window(history in histories()) {
        let policy = &history.0;
        let window = policy.quota.window().as_millis();
        let most = u64::from(policy.quota.amount()) + match policy.algorithm {
            Algorithm::Gcra => u64::from(policy.burst.get()) - 1,
            _ => 0,
        };
        let admitted = admitted(&history);
        for (at, _) in &admitted {
            let (starts, ends) = match policy.algorithm.is_fixed() {
                true => fixed_window::around(policy, Timestamp::from_millis(*at)),
                false => (Timestamp::from_millis(*at), Timestamp::from_millis(at + window)),
            };
            let during = starts.as_millis()..ends.as_millis();
            let taken: u64 = admitted.iter().filter(|(t, _)| during.contains(t)).map(|(_, cost)| cost).sum();
            prop_assert!(taken <= most, "{taken} > {most} from {starts:?}");
        }
    }

    #[test]
    fn a_client_that_waits_as_told_is_admitted_and_one_that_waits_less_is_not(history in histories()) {
        let policy = &history.0;
        each(&history, |before, cost, now, verdict, after| {
            let Some(wait) = verdict.retry_after else {
                prop_assert!(verdict.admitted || cost.get() > policy.capacity());
                return Ok(());
            };
            prop_assert!(!verdict.admitted && before == after && verdict.reset <= wait);
            let (in_time, _) = policy.take(Some(after.clone()), cost, now + wait);
            prop_assert!(in_time.admitted, "after {wait}");
            let (too_early, _) = policy.take(Some(after.clone()), cost, now + wait.saturating_sub(Span::from_millis(1)));
            prop_assert!(!too_early.admitted, "before {wait}");
            Ok(())
        })?;
    }

    #[test]
    fn what_remains_is_true_and_never_grows_before_the_reset(history in histories()) {
        let policy = &history.0;
        let fits = |state: &State, units: u32, now| {
            NonZeroU32::new(units).is_none_or(|units| policy.take(Some(state.clone()), units, now).0.admitted)
        };
        each(&history, |before, cost, now, verdict, after| {
            let debit = if verdict.admitted { cost.get() } else { 0 };
            prop_assert_eq!(policy.peek(before, cost, now).remaining - debit, verdict.remaining);
            prop_assert!(fits(after, verdict.remaining, now));
            prop_assert!(!fits(after, verdict.remaining + 1, now));
            if verdict.reset == Span::ZERO {
                prop_assert_eq!(verdict.remaining, policy.capacity());
                return Ok(());
            }
            let just_before = now + verdict.reset.saturating_sub(Span::from_millis(1));
            prop_assert_eq!(after.remaining(policy, just_before), verdict.remaining);
            prop_assert!(after.remaining(policy, now + verdict.reset) > verdict.remaining);
            Ok(())
        })?;
    }

    #[test]
    fn a_stored_state_reads_back_and_is_nothing_once_it_expires(history in histories()) {
        let policy = &history.0;
        each(&history, |_, cost, now, _, after| {
            let mut bytes = Vec::new();
            after.encode(&mut bytes);
            prop_assert!(bytes.len() <= 12 * 1024);
            let mut rest = bytes.as_slice();
            let back = State::decode(&mut rest);
            prop_assert_eq!(back.as_ref(), Some(after));
            prop_assert!(rest.is_empty());
            for cut in 0..bytes.len() {
                prop_assert_eq!(State::decode(&mut &bytes[..cut]), None);
            }
            let over = after.expires_at().max(now);
            let empty = State::empty(policy.algorithm);
            prop_assert_eq!(policy.peek(after, cost, over), policy.peek(&empty, cost, over));
            Ok(())
        })?;
    }

    #[test]
    fn a_sliding_window_refuses_at_most_one_slot_early((mut policy, mut arrivals) in histories()) {
        policy.algorithm = Algorithm::SlidingWindow;
        arrivals.retain(|(gap, _)| *gap >= 0);
        let history = (policy, arrivals);
        let policy = &history.0;
        let window = policy.quota.window().as_millis();
        let slot = if policy.quota.amount() <= 1000 { 0 } else { window.div_ceil(1000) };
        let mut taken: Vec<(u64, u64)> = Vec::new();
        each(&history, |_, cost, now, verdict, _| {
            let (now, cost) = (now.as_millis(), u64::from(cost.get()));
            if verdict.admitted {
                taken.push((now, cost));
            } else {
                let used: u64 = taken.iter().filter(|(at, _)| at + window + slot > now).map(|(_, cost)| cost).sum();
                prop_assert!(used + cost > u64::from(policy.quota.amount()));
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_is_given_back_leaves_no_more_than_if_it_had_never_been_taken(
        (policy, arrivals) in histories(),
        refunds in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 150),
    ) {
        let (mut state, mut now) = (State::empty(policy.algorithm), START);
        let (mut taken, mut refunded) = (Vec::<(Timestamp, u32)>::new(), false);
        for ((gap, cost), (which, refund)) in arrivals.into_iter().zip(refunds) {
            now = now + Span::from_millis(gap.unsigned_abs());
            let (verdict, after) = policy.take(Some(state), cost, now);
            state = after;
            if verdict.admitted {
                taken.push((now, cost.get()));
            }
            let alone = taken.len() == 1 && !refunded;
            if refund && !taken.is_empty() {
                refunded = true;
                let (at, cost) = taken.remove(which.index(taken.len()));
                state.refund(&policy, cost, at);
            }
            let mut never = State::empty(policy.algorithm);
            taken.iter().for_each(|(at, cost)| never.debit(&policy, *cost, *at));
            prop_assert!(state.remaining(&policy, now) <= never.remaining(&policy, now));
            prop_assert!(!alone || state.remaining(&policy, now) == never.remaining(&policy, now));
        }
    }

    #[test]
    fn an_object_debits_every_policy_or_none(
        policies in prop::collection::vec(policies(), 1..4),
        arrivals in prop::collection::vec((0_u64..=1500, 1_u32..=3), 1..100),
    ) {
        let mut table = StateTable::default();
        let mut now = START;
        for (gap, cost) in arrivals {
            now = now + Span::from_millis(gap);
            let cost = NonZeroU32::new(cost).unwrap();
            let orders: Vec<Order> = policies.iter().enumerate().map(|(i, policy)| {
                let name = format!("p{i}").parse().unwrap();
                Order::take(QuotaPolicy { name, ..policy.clone() }, cost)
            }).collect();
            let alone: Vec<Verdict> = orders.iter().map(|order| {
                object::step(&mut table.clone(), std::slice::from_ref(order), now).replies[0].verdict
            }).collect();
            let before = StateTable::decode(&table.encode()).unwrap();
            prop_assert_eq!(&before, &table);
            let step = object::step(&mut table, &orders, now);
            let verdicts: Vec<Verdict> = step.replies.iter().map(|reply| reply.verdict).collect();
            for (verdict, alone) in verdicts.iter().zip(&alone) {
                prop_assert_eq!(verdict.admitted, alone.admitted);
            }
            let refused = alone.iter().zip(&orders).any(|(v, order)| !v.admitted && !order.policy.shadow);
            if refused {
                let mut unchanged = before;
                object::expire(&mut unchanged, now);
                prop_assert_eq!(&unchanged, &table);
            } else {
                prop_assert_eq!(&verdicts, &alone);
            }
            prop_assert!(step.expires_at.is_none_or(|at| at > now));
        }
    }
}

/// GCRA by somebody else's hand, on a virtual clock.
#[cfg(not(target_arch = "wasm32"))]
mod against_governor {
    use std::time::Duration;

    use governor::clock::{Clock, FakeRelativeClock};
    use governor::{Quota as Theirs, RateLimiter};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn gcra_decides_as_governor_does(
            // Such as divide a minute into whole nanoseconds; governor rounds down where we round up.
            amount in prop::sample::select(vec![1_u32, 2, 5, 20, 100, 1000, 10_000]),
            burst in 1_u32..=20,
            arrivals in prop::collection::vec((prop_oneof![Just(0_u64), 0_u64..=20, 0_u64..=5000, 0_u64..=60_000], 1_u32..=3), 1..200),
        ) {
            let burst = NonZeroU32::new(burst.min(amount)).unwrap();
            let period = Duration::from_mins(1) / amount;
            let clock = FakeRelativeClock::default();
            let theirs = Theirs::with_period(period).unwrap().allow_burst(burst);
            let theirs = RateLimiter::direct_with_clock(theirs, clock.clone());
            let name = "gcra".parse().unwrap();
            let quota = Quota::new(amount, 60).unwrap();
            let ours = QuotaPolicy { name, quota, algorithm: Algorithm::Gcra, burst, resets_minute: 0, shadow: false };
            let (mut now, mut state) = (START, None);
            for (gap, cost) in arrivals {
                now = now + Span::from_millis(gap);
                clock.advance(Duration::from_millis(gap));
                let cost = NonZeroU32::new(cost).unwrap();
                let (verdict, after) = ours.take(state, cost, now);
                state = Some(after);
                let their_wait = match theirs.check_n(cost) {
                    Ok(Ok(())) => Some(Span::ZERO),
                    Ok(Err(refused)) => {
                        let nanos = refused.wait_time_from(clock.now()).as_nanos();
                        Some(Span::from_millis(u64::try_from(nanos.div_ceil(1_000_000)).unwrap()))
                    }
                    Err(_) => None,
                };
                let our_wait = if verdict.admitted { Some(Span::ZERO) } else { verdict.retry_after };
                prop_assert_eq!(our_wait, their_wait);
            }
        }
    }
}
