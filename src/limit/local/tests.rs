use std::num::NonZeroU32;

use super::*;
use crate::limit::object::{self, StateTable};
use crate::limit::{Algorithm, OnError, Take};

const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);

fn ask(object: &str, quota: &str, cost: u32) -> Ask {
    let policy = QuotaPolicy {
        name: "minute".parse().unwrap(),
        quota: quota.parse().unwrap(),
        algorithm: Algorithm::SlidingWindow,
        burst: NonZeroU32::MIN,
        resets_minute: 0,
        shadow: false,
    };
    let leases = policy.quota.amount() >= 100;
    let take = Take { policy, cost: NonZeroU32::new(cost).unwrap() };
    Ask {
        object: object.into(),
        take,
        on_error: OnError::Admit,
        budget: Span::ZERO,
        leases,
        provisional: false,
    }
}

fn learn(local: &mut Local, ask: &Ask, admitted: bool, wait: u64) {
    let wait = Span::from_secs(wait);
    let retry_after = (!admitted).then_some(wait);
    let verdict = Verdict { admitted, limit: 20, remaining: 0, reset: wait, retry_after, at: NOW };
    let order = Order::take(ask.take.policy.clone(), ask.take.cost);
    local.learn(ask, &order, Reply { verdict, grant: None, early: false }, NOW, NOW);
}

fn known(local: &Local, asks: &[Ask], now: Timestamp) -> Option<Decision> {
    local.refused(asks, &"free".into(), now).map(|(decision, _)| decision)
}

#[test]
fn a_refusal_is_known_until_it_can_change_and_its_wait_shrinks() {
    let over = ask("a", "20/1m", 1);
    let mut local = Local::default();
    learn(&mut local, &over, false, 12);
    for (after, wait) in [(0, Some(12)), (5000, Some(7)), (11_999, Some(1)), (12_000, None)] {
        let asks = [ask("b", "5/1m", 1), over.clone()];
        let known = known(&local, &asks, NOW + Span::from_millis(after));
        let secs = known
            .as_ref()
            .and_then(Decision::refusal)
            .and_then(|refusal| refusal.retry_after)
            .map(Span::as_secs);
        assert_eq!(secs, wait, "after {after} ms");
        assert!(known.is_none_or(|known| known.checked[0].answer == Answer::NotAsked(None)));
    }
}

#[test]
fn what_may_be_admitted_is_asked_for() {
    let over = ask("a", "20/1m", 2);
    let mut local = Local::default();
    learn(&mut local, &over, true, 12);
    assert_eq!(known(&local, std::slice::from_ref(&over), NOW), None, "it was admitted");
    learn(&mut local, &over, false, 900);
    assert!(known(&local, std::slice::from_ref(&over), NOW).is_some());
    for other in [ask("b", "20/1m", 2), ask("a", "20/1m", 1), ask("a", "1000/1m", 2)] {
        assert_eq!(known(&local, std::slice::from_ref(&other), NOW), None, "{other:?}");
    }
    assert_eq!(known(&local, &[over], NOW + REMEMBERED_AT_MOST), None, "somebody may have reset it");
}

#[test]
fn what_is_known_is_bounded() {
    let mut local = Local::default();
    for i in 0..3 * MAX_PARTITIONS {
        let over = ask(&i.to_string(), "20/1m", 1);
        learn(&mut local, &over, false, 50);
        learn(&mut local, &over, false, 50);
        assert!(local.0.len() <= MAX_PARTITIONS);
        assert!(known(&local, &[over], NOW).is_some(), "the newest is there");
    }
    assert!(local.0.values().all(|of_object| of_object.len() == 1));
}

/// An isolate and its object, whose calls take no time.
struct Pair {
    local: Local,
    table: StateTable,
    calls: usize,
}

impl Pair {
    fn new() -> Self {
        Self { local: Local::default(), table: StateTable::default(), calls: 0 }
    }

    fn call(&mut self, asks: &[Ask], orders: &[Order], now: Timestamp) -> Vec<Verdict> {
        self.calls += 1;
        let replies = object::step(&mut self.table, orders, now).replies;
        let learn = |((ask, order), reply)| self.local.learn(ask, order, reply, now, now);
        asks.iter().zip(orders).zip(replies).map(learn).collect()
    }

    fn request(&mut self, asks: &[Ask], now: Timestamp) -> Vec<Verdict> {
        if let Some(checked) = self.local.spend(asks, now) {
            if let Some(orders) = self.local.renewal(asks, now) {
                self.call(asks, &orders, now);
            }
            let counted = |one: Checked| match one.answer {
                Answer::Counted(verdict) => verdict,
                other => panic!("{other:?}"),
            };
            return checked.into_iter().map(counted).collect();
        }
        let orders = self.local.orders(asks, now);
        self.call(asks, &orders, now)
    }
}

#[test]
fn a_busy_client_costs_few_calls_and_gets_all_of_its_quota_and_no_more() {
    for gap in [1, 7, 40] {
        let mut pair = Pair::new();
        let asks = [ask("a", "1000/1m", 1)];
        let at = |nth: u64| NOW + Span::from_millis(nth * gap);
        for nth in 0..1000 {
            let [verdict] = pair.request(&asks, at(nth))[..] else { panic!("one ask") };
            assert!(verdict.admitted, "request {nth}, every {gap} ms");
            assert_eq!(verdict.remaining, 999 - nth as u32, "every {gap} ms");
            let reset = NOW + Span::from_secs(60);
            assert!(
                (reset.before(Span::from_secs(1))..=reset).contains(&verdict.resets_at(at(nth))),
                "{verdict:?}"
            );
        }
        assert!(!pair.request(&asks, at(1000))[0].admitted);
        assert!(pair.calls < 50, "{} calls, every {gap} ms", pair.calls);
    }
}

#[test]
fn who_asks_seldom_and_small_quotas_are_counted_one_by_one() {
    for (quota, gap) in [("1000/1m", 10_500), ("99/1m", 10)] {
        let (mut pair, asks) = (Pair::new(), [ask("a", quota, 1)]);
        for nth in 0..30 {
            pair.request(&asks, NOW + Span::from_millis(nth * gap));
        }
        assert_eq!(pair.calls, 30, "{quota}");
    }
}

#[test]
fn where_one_policy_is_counted_one_by_one_the_others_are_too() {
    let (mut pair, mut asks) = (Pair::new(), [ask("a", "1000/1m", 1), ask("a", "10/1h", 1)]);
    asks[1].take.policy.name = "hour".parse().unwrap();
    for nth in 0..10 {
        let verdicts = pair.request(&asks, NOW + Span::from_millis(nth));
        let remaining: Vec<u32> = verdicts.iter().map(|verdict| verdict.remaining).collect();
        assert_eq!(remaining, [999 - nth as u32, 9 - nth as u32]);
    }
    assert_eq!(pair.calls, 10);
}

#[test]
fn what_is_left_of_a_lease_goes_back_before_it_ends_and_once() {
    let (mut pair, asks) = (Pair::new(), [ask("a", "1000/1m", 1)]);
    for nth in 0..40 {
        pair.request(&asks, NOW + Span::from_millis(nth * 10));
    }
    let left = |pair: &Pair, now| {
        let peek = Order { cost: None, ..Order::take(asks[0].take.policy.clone(), NonZeroU32::MIN) };
        object::step(&mut pair.table.clone(), &[peek], now).replies[0].verdict.remaining
    };
    let ends = pair.local.ends().unwrap();
    assert!(left(&pair, ends) < 960, "some is out on lease");
    let later = ends + Span::from_secs(1);
    for (object, orders) in pair.local.over(later, 9) {
        assert_eq!(&*object, "a");
        object::step(&mut pair.table, &orders, later);
    }
    assert_eq!(left(&pair, later), 960);
    assert_eq!((pair.local.ends(), pair.local.over(later, 9).len()), (None, 0));
}

#[test]
fn what_was_spent_for_nothing_is_spent_again_unless_the_object_knows() {
    let (mut pair, asks) = (Pair::new(), [ask("a", "1000/1m", 1)]);
    for nth in 0..8 {
        pair.request(&asks, NOW + Span::from_millis(nth));
    }
    let unspent = |pair: &mut Pair| (0..99).take_while(|_| pair.local.spend(&asks, NOW).is_some()).count();
    assert!(pair.local.spend(&asks, NOW).is_some());
    assert!(pair.local.unspend(&asks[0]));
    let held = unspent(&mut pair);
    assert!(held > 0);
    assert!((0..held).all(|_| pair.local.unspend(&asks[0])));
    assert_eq!(unspent(&mut pair), held);
    pair.local.orders(&asks, NOW);
    assert!(!pair.local.unspend(&asks[0]));
    assert_eq!(unspent(&mut pair), 0, "it was reported as spent");
}
