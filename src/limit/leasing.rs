//! What holds for leases, whatever isolates do with them and whatever gets lost on the way.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::account::{MAX_LIFETIME, SLACK};
use super::object::{self, StateTable};
use super::{Algorithm, Grant, Order, Quota, QuotaPolicy, Report, Settle};
use crate::time::{Span, Timestamp};

const START: Timestamp = Timestamp::from_millis(1_789_000_000_123);

/// What happens next.
#[derive(Debug, Clone)]
enum Act {
    /// A request is counted at the object, and units are wanted besides; the answer may get lost.
    Take { want: u32, lost: bool },
    /// Units of a lease are spent, as many as there are.
    Spend { which: usize, units: u32 },
    /// The isolate says what it holds, and may keep a part; the report may come twice.
    Report { which: usize, keep: u32, twice: bool },
    /// A request that was counted at the object is not to count.
    Refund { which: usize },
    /// Time passes.
    Pass(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0_u32..40, prop::bool::weighted(0.1)).prop_map(|(want, lost)| Act::Take { want, lost }),
        4 => (any::<usize>(), 1_u32..12).prop_map(|(which, units)| Act::Spend { which, units }),
        3 => (any::<usize>(), 0_u32..6, any::<bool>())
            .prop_map(|(which, keep, twice)| Act::Report { which, keep, twice }),
        1 => any::<usize>().prop_map(|which| Act::Refund { which }),
        4 => prop_oneof![0_u64..300, 0_u64..9000].prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 1..200)
}

/// A lease as its isolate knows it.
struct Held {
    grant: Grant,
    asked: Timestamp,
    unspent: u32,
    /// When units were spent since the last report.
    spent: Vec<(Timestamp, u32)>,
}

/// A partition, and what really happened in it.
struct Partition {
    policy: QuotaPolicy,
    table: StateTable,
    now: Timestamp,
    held: Vec<Held>,
    /// When units were taken, and whether at the object.
    taken: Vec<(Timestamp, bool)>,
}

impl Partition {
    fn order(&self) -> Order {
        Order { cost: None, ..Order::take(self.policy.clone(), NonZeroU32::MIN) }
    }

    fn step(&mut self, order: Order) -> super::Reply {
        let reply = object::step(&mut self.table, &[order], self.now).replies[0];
        self.table = StateTable::decode(&self.table.encode()).unwrap();
        reply
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Take { want, lost } => {
                let reply = self.step(Order { want, ..Order::take(self.policy.clone(), NonZeroU32::MIN) });
                if reply.verdict.admitted && !lost {
                    self.taken.push((self.now, true));
                }
                if let Some(grant) = reply.grant.filter(|_| !lost) {
                    let (asked, unspent) = (self.now, grant.units);
                    self.held.push(Held { grant, asked, unspent, spent: Vec::new() });
                }
            }
            Act::Spend { which, units } => {
                let Some(held) = pick(&mut self.held, which) else { return };
                if self.now < held.asked + held.grant.lifetime {
                    let spent = units.min(held.unspent);
                    held.unspent -= spent;
                    held.spent.push((self.now, spent));
                    self.taken.extend((0..spent).map(|_| (self.now, false)));
                }
            }
            Act::Report { which, keep, twice } => {
                let Some(held) = pick(&mut self.held, which) else { return };
                let kept = keep.min(held.unspent);
                let now = self.now;
                let spent = held.spent.drain(..).map(|(at, units)| (now.since(at), units)).collect();
                let report = Report { id: held.grant.id, held: kept, back: held.unspent - kept, spent };
                held.unspent = kept;
                for _ in 0..=usize::from(twice) {
                    self.step(Order { reports: vec![report.clone()], ..self.order() });
                }
            }
            Act::Refund { which } => {
                let taken: Vec<usize> = (0..self.taken.len()).filter(|at| self.taken[*at].1).collect();
                let Some(at) = taken.get(which % taken.len().max(1)) else { return };
                let (at, _) = self.taken.remove(*at);
                self.step(Order { settle: Some(Settle { units: -1, at }), ..self.order() });
            }
            Act::Pass(millis) => self.now = self.now + Span::from_millis(millis),
        }
    }

    /// The most that was taken in any window.
    fn most(&self) -> u32 {
        let window = self.policy.quota.window();
        let mut moments: Vec<Timestamp> = self.taken.iter().map(|(at, _)| *at).collect();
        moments.sort_unstable();
        let from = |at: Timestamp| match self.policy.algorithm {
            algorithm if algorithm.is_fixed() => {
                Timestamp::from_millis(at.as_millis() - at.as_millis() % window.as_millis())
            }
            _ => at,
        };
        let in_window = |at: &Timestamp| {
            let begin = from(*at);
            moments.iter().filter(|moment| (begin..begin + window).contains(moment)).count() as u32
        };
        moments.iter().map(in_window).max().unwrap_or(0)
    }
}

fn pick<T>(list: &mut [T], which: usize) -> Option<&mut T> {
    let at = which % list.len().max(1);
    list.get_mut(at)
}

fn partition(algorithm: Algorithm, amount: u32, secs: u64) -> Partition {
    let quota = Quota::new(amount, secs).unwrap();
    let (name, burst) = ("p".parse().unwrap(), NonZeroU32::MIN);
    let policy = QuotaPolicy { name, quota, algorithm, burst, resets_minute: 0, shadow: false };
    Partition { policy, table: StateTable::default(), now: START, held: Vec::new(), taken: Vec::new() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn whatever_becomes_of_leases_the_quota_holds_and_all_comes_back(
        fixed in any::<bool>(),
        amount in prop_oneof![1_u32..60, 1001_u32..1100],
        secs in prop_oneof![Just(4_u64), Just(10), Just(60)],
        acts in acts(),
    ) {
        let algorithm = if fixed { Algorithm::FixedWindow } else { Algorithm::SlidingWindow };
        let mut partition = partition(algorithm, amount, secs);
        for act in acts {
            partition.act(act);
        }
        prop_assert!(partition.most() <= amount, "{} > {amount}", partition.most());
        let over = partition.now + MAX_LIFETIME + SLACK + Span::from_secs(secs) + Span::from_secs(secs);
        prop_assert!(object::step(&mut partition.table.clone(), &[], partition.now).expires_at.is_none_or(|at| at <= over));
        prop_assert_eq!(object::expire(&mut partition.table, over), None);
    }

    #[test]
    fn a_client_that_waits_as_told_is_admitted_though_leases_are_out(
        fixed in any::<bool>(),
        amount in 1_u32..60,
        acts in acts(),
    ) {
        let algorithm = if fixed { Algorithm::FixedWindow } else { Algorithm::SlidingWindow };
        let mut partition = partition(algorithm, amount, 20);
        for act in acts {
            partition.act(act);
            let take = Order::take(partition.policy.clone(), NonZeroU32::MIN);
            let step = |at| object::step(&mut partition.table.clone(), std::slice::from_ref(&take), at).replies[0];
            if let Some(wait) = step(partition.now).verdict.retry_after {
                prop_assert!(step(partition.now + wait).verdict.admitted, "after {wait}");
            }
        }
    }
}

#[test]
fn a_lease_takes_a_quarter_of_what_remains_and_is_gone_at_its_end() {
    let mut partition = partition(Algorithm::SlidingWindow, 1000, 60);
    let want = |want| Order { want, ..partition.order() };
    let (all, few, one) = (want(5000), want(7), want(1));
    let first = partition.step(all.clone());
    assert_eq!(first.grant.map(|grant| (grant.units, grant.lifetime)), Some((250, MAX_LIFETIME)));
    assert_eq!(first.verdict.remaining, 750);
    assert_eq!(partition.step(few).grant.map(|grant| grant.units), Some(7));
    assert_eq!(partition.step(one).grant, None, "it is not worth a call");
    partition.now = START + MAX_LIFETIME + SLACK;
    assert_eq!(partition.step(partition.order()).verdict.remaining, 743, "nobody said what became of them");
    partition.now = partition.now + Span::from_millis(60_001);
    assert_eq!(partition.step(partition.order()).verdict.remaining, 1000, "two never end at once");
}

#[test]
fn what_is_given_back_can_be_taken_and_what_was_spent_counts_from_the_report_on() {
    let mut partition = partition(Algorithm::SlidingWindow, 100, 60);
    let grant = partition.step(Order { want: 20, ..partition.order() }).grant.unwrap();
    let report = |held, back| vec![Report { id: grant.id, held, back, spent: Vec::new() }];
    partition.now = START + Span::from_secs(2);
    let reply = partition.step(Order { reports: report(10, 0), ..partition.order() });
    assert_eq!(reply.verdict.remaining, 80);
    partition.now = START + Span::from_secs(4);
    for _ in 0..2 {
        let reply = partition.step(Order { reports: report(0, 8), ..partition.order() });
        assert_eq!((reply.verdict.remaining, reply.verdict.reset), (88, Span::from_secs(58)));
    }
}

#[test]
fn a_lease_of_a_fixed_window_ends_before_it() {
    let mut partition = partition(Algorithm::FixedWindow, 100, 60);
    let ends = super::fixed_window::end(&partition.policy, START);
    let want = Order { want: 20, ..partition.order() };
    for (before, lifetime) in
        [(40_000, Some(27_000)), (20_000, Some(19_000)), (5000, Some(4000)), (1500, None)]
    {
        partition.now = ends.before(Span::from_millis(before));
        let grant = partition.step(want.clone()).grant;
        assert_eq!(grant.map(|grant| grant.lifetime.as_millis()), lifetime, "{before} ms before");
    }
}
