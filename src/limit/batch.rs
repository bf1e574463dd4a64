//! The asks of one request that go to one object, and the text that travels there and back.
//!
//! There: a line for each order, `name units window-seconds algorithm burst shadow cost`, such as
//! `tier 20 60 sliding-window 1 0 1`, with a cost of 0 where nothing is taken. Further words may follow:
//!
//! - `m390`: a day begins so many minutes after 00:00 UTC,
//! - `w20`: how many units are wanted on lease,
//! - `s-1@1789000000123`: one unit that was taken at that moment is given back; above 0 as many are taken besides,
//! - `r1789000007000:5:2:1200:3`: of this lease 5 units are held from now on, 2 are given back, and 3 were spent 1200 ms
//!   ago; pairs of an age and units may follow.
//!
//! Back: a line for each reply, `admitted limit remaining reset-ms retry-ms at-ms`, such as
//! `0 20 0 12000 12000 1789000000123`, with `-` for no retry, `e` for a refusal that is early, and after it
//! ` id units lifetime-ms` of a lease.

use std::num::NonZeroU32;

use super::account::{Grant, Report};
use super::object::{Order, Reply, Settle};
use super::policy::{Algorithm, Ask, QuotaPolicy, Verdict};
use super::quota::Quota;
use super::strikes::Penalty;
use crate::time::{Span, Timestamp};

/// The most orders that one call may carry.
pub const MAX_ORDERS: usize = 32;
/// The most leases that one order may report on.
const MAX_REPORTS: usize = 8;

/// What one call to one object asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The object's name.
    pub object: Box<str>,
    /// What is asked of it, at least one.
    pub asks: Vec<Ask>,
}

/// Puts asks that go to the same object together, in the order in which objects first come up.
pub fn by_object(asks: Vec<Ask>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for ask in asks {
        match batches.iter_mut().find(|batch| batch.object == ask.object) {
            Some(batch) => batch.asks.push(ask),
            None => batches.push(Batch { object: ask.object.clone(), asks: vec![ask] }),
        }
    }
    batches
}

impl Batch {
    /// How long to wait for the answer: as long as the most patient of its policies.
    pub fn budget(&self) -> Span {
        self.asks.iter().map(|ask| ask.budget).max().unwrap_or_default()
    }
}

/// Writes in the isolate what [`read_orders`] reads.
pub fn orders_text(orders: &[Order]) -> String {
    let mut text = String::with_capacity(orders.len() * 48);
    for Order { policy, cost, want, settle, reports } in orders {
        text.push_str(policy.name.as_str());
        push_number(&mut text, " ", policy.quota.amount().into());
        push_number(&mut text, " ", policy.quota.window_secs());
        text.push(' ');
        text.push_str(policy.algorithm.as_str());
        if let Algorithm::Strikes(penalty) = policy.algorithm {
            push_number(&mut text, ":", penalty.first.as_millis());
            push_number(&mut text, ":", penalty.most.as_millis());
        }
        push_number(&mut text, " ", policy.burst.get().into());
        push_number(&mut text, " ", policy.shadow.into());
        push_number(&mut text, " ", cost.map_or(0, NonZeroU32::get).into());
        if policy.resets_minute > 0 {
            push_number(&mut text, " m", policy.resets_minute.into());
        }
        if *want > 0 {
            push_number(&mut text, " w", (*want).into());
        }
        if let Some(Settle { units, at }) = settle {
            push_number(&mut text, if *units < 0 { " s-" } else { " s" }, units.unsigned_abs().into());
            push_number(&mut text, "@", at.as_millis());
        }
        for Report { id, held, back, spent } in reports.iter().take(MAX_REPORTS) {
            push_number(&mut text, " r", *id);
            push_number(&mut text, ":", (*held).into());
            push_number(&mut text, ":", (*back).into());
            for (age, units) in spent {
                push_number(&mut text, ":", age.as_millis());
                push_number(&mut text, ":", (*units).into());
            }
        }
        text.push('\n');
    }
    text
}

/// Reads in the object what [`orders_text`] wrote. `None` where it is not that.
pub fn read_orders(text: &str) -> Option<Vec<Order>> {
    text.lines().map(read_order).collect::<Option<Vec<_>>>().filter(|orders| orders.len() <= MAX_ORDERS)
}

fn read_order(line: &str) -> Option<Order> {
    let mut words = line.split(' ');
    let name = words.next()?.parse().ok()?;
    let quota = Quota::new(words.next()?.parse().ok()?, words.next()?.parse().ok()?)?;
    let algorithm = read_algorithm(words.next()?)?;
    let burst: NonZeroU32 = words.next()?.parse().ok()?;
    let shadow = words.next()? == "1";
    let cost = NonZeroU32::new(words.next()?.parse().ok()?);
    let policy = QuotaPolicy { name, quota, algorithm, burst, resets_minute: 0, shadow };
    let mut order = Order { policy, cost, want: 0, settle: None, reports: Vec::new() };
    for word in words {
        let (kind, rest) = word.split_at_checked(1)?;
        match kind {
            "m" => order.policy.resets_minute = rest.parse().ok()?,
            "w" => order.want = rest.parse().ok()?,
            "s" => {
                let (units, at) = rest.split_once('@')?;
                let at = Timestamp::from_millis(at.parse().ok()?);
                order.settle = Some(Settle { units: units.parse().ok()?, at });
            }
            "r" if order.reports.len() < MAX_REPORTS => {
                let mut parts = rest.split(':');
                let id = parts.next()?.parse().ok()?;
                let (held, back) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
                let mut spent = Vec::new();
                while let Some(age) = parts.next() {
                    spent.push((Span::from_millis(age.parse().ok()?), parts.next()?.parse().ok()?));
                }
                order.reports.push(Report { id, held, back, spent });
            }
            _ => return None,
        }
    }
    Some(order)
}

fn read_algorithm(word: &str) -> Option<Algorithm> {
    let Some(penalty) = word.strip_prefix("strikes:") else { return Algorithm::read(word) };
    let (first, most) = penalty.split_once(':')?;
    let [first, most] = [first.parse().ok()?, most.parse().ok()?].map(Span::from_millis);
    Some(Algorithm::Strikes(Penalty { first, most }))
}

/// Writes in the object what [`read_replies`] reads.
pub fn replies_text(replies: &[Reply]) -> String {
    let mut text = String::with_capacity(replies.len() * 40);
    for Reply { verdict, grant, early } in replies {
        text.push(match verdict.admitted {
            true => '1',
            false if *early => 'e',
            false => '0',
        });
        push_number(&mut text, " ", verdict.limit.into());
        push_number(&mut text, " ", verdict.remaining.into());
        push_number(&mut text, " ", verdict.reset.as_millis());
        match verdict.retry_after {
            Some(wait) => push_number(&mut text, " ", wait.as_millis()),
            None => text.push_str(" -"),
        }
        push_number(&mut text, " ", verdict.at.as_millis());
        if let Some(Grant { id, units, lifetime }) = grant {
            push_number(&mut text, " ", *id);
            push_number(&mut text, " ", (*units).into());
            push_number(&mut text, " ", lifetime.as_millis());
        }
        text.push('\n');
    }
    text
}

/// Reads in the isolate what the object said. `None` where it is not that.
pub fn read_replies(text: &str) -> Option<Vec<Reply>> {
    text.lines().map(read_reply).collect()
}

fn read_reply(line: &str) -> Option<Reply> {
    let mut words = line.split(' ');
    let said = words.next()?;
    let (limit, remaining) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let reset = Span::from_millis(words.next()?.parse().ok()?);
    let retry_after = match words.next()? {
        "-" => None,
        wait => Some(Span::from_millis(wait.parse().ok()?)),
    };
    let at = Timestamp::from_millis(words.next()?.parse().ok()?);
    let grant = match words.next() {
        None => None,
        Some(id) => Some(Grant {
            id: id.parse().ok()?,
            units: words.next()?.parse().ok()?,
            lifetime: Span::from_millis(words.next()?.parse().ok()?),
        }),
    };
    let verdict = Verdict { admitted: said == "1", limit, remaining, reset, retry_after, at };
    Some(Reply { verdict, grant, early: said == "e" })
}

fn push_number(text: &mut String, before: &str, number: u64) {
    text.push_str(before);
    text.push_str(&number.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::object::{self, StateTable};
    use crate::limit::{OnError, Take};
    use crate::time::Timestamp;

    fn ask(object: &str, name: &str, quota: &str, budget: u64) -> Ask {
        let policy = QuotaPolicy {
            name: name.parse().unwrap(),
            quota: quota.parse().unwrap(),
            algorithm: Algorithm::Gcra,
            burst: NonZeroU32::new(3).unwrap(),
            resets_minute: 0,
            shadow: name == "shadow",
        };
        let take = Take { policy, cost: NonZeroU32::MIN };
        Ask {
            object: object.into(),
            take,
            on_error: OnError::Admit,
            budget: Span::from_millis(budget),
            leases: false,
            provisional: false,
        }
    }

    #[test]
    fn asks_of_one_object_travel_together_and_come_back_as_they_went() {
        let batches = by_object(vec![
            ask("a", "minute", "100/1m", 50),
            ask("b", "route", "5/15m", 50),
            ask("a", "shadow", "10000/1d", 80),
        ]);
        assert_eq!(batches.iter().map(|batch| &*batch.object).collect::<Vec<_>>(), ["a", "b"]);
        let [batch, _] = &batches[..] else { panic!("two batches") };
        assert_eq!(batch.budget(), Span::from_millis(80));
        let orders: Vec<Order> =
            batch.asks.iter().map(|ask| Order::take(ask.take.policy.clone(), ask.take.cost)).collect();
        let text = orders_text(&orders);
        assert_eq!(text, "minute 100 60 gcra 3 0 1\nshadow 10000 86400 gcra 3 1 1\n");
        assert_eq!(read_orders(&text), Some(orders));
    }

    #[test]
    fn what_goes_with_an_order_and_a_reply_reads_back() {
        let policy = ask("a", "minute", "100/1m", 50).take.policy;
        let at = Timestamp::from_millis(1_789_000_000_123);
        let order = Order {
            policy: policy.clone(),
            cost: None,
            want: 20,
            settle: Some(Settle { units: -3, at }),
            reports: vec![
                Report {
                    id: 1,
                    held: 5,
                    back: 2,
                    spent: vec![(Span::from_millis(1200), 3), (Span::ZERO, 4)],
                },
                Report { id: 2, held: 0, back: 0, spent: Vec::new() },
            ],
        };
        let more = Order { settle: Some(Settle { units: 7, at }), ..Order::take(policy, NonZeroU32::MIN) };
        let text = orders_text(&[order.clone(), more.clone()]);
        assert_eq!(
            text,
            "minute 100 60 gcra 3 0 0 w20 s-3@1789000000123 r1:5:2:1200:3:0:4 r2:0:0\nminute 100 60 gcra 3 0 1 s7@1789000000123\n"
        );
        assert_eq!(read_orders(&text), Some(vec![order, more]));

        let wait = Some(Span::from_millis(7));
        let verdict =
            Verdict { admitted: true, limit: 100, remaining: 9, reset: Span::ZERO, retry_after: wait, at };
        let lifetime = Span::from_secs(15);
        let grant = Some(Grant { id: 1_789_000_015_123, units: 20, lifetime });
        let refused = Verdict { admitted: false, ..verdict };
        let replies = vec![
            Reply { verdict, grant, early: false },
            Reply { verdict: refused, grant: None, early: true },
            Reply { verdict: refused, grant: None, early: false },
        ];
        assert_eq!(read_replies(&replies_text(&replies)), Some(replies));
    }

    #[test]
    fn what_are_no_replies_is_none() {
        for text in ["x", "1 100 99 0\n", "1 100 99 0 -\n", "1 100 99 0 - 5 7\n"] {
            assert_eq!(read_replies(text), None, "{text}");
        }
    }

    #[test]
    fn strikes_are_only_asked_for_until_one_is_told() {
        let mut ask = ask("a", "scan", "3/1m", 50);
        ask.take.policy.algorithm = Algorithm::Strikes("1m to 1h".parse().unwrap());
        let mut table = StateTable::default();
        let mut run = |order: &Order, secs: u64| {
            let orders = read_orders(&orders_text(std::slice::from_ref(order))).unwrap();
            object::step(&mut table, &orders, Timestamp::from_secs(1_789_000_000 + secs)).replies[0].verdict
        };
        let asked = Order::of(&ask);
        assert_eq!(orders_text(std::slice::from_ref(&asked)), "scan 3 60 strikes:60000:3600000 3 0 0\n");
        for _ in 0..9 {
            let verdict = run(&asked, 0);
            assert_eq!((verdict.admitted, verdict.remaining), (true, 3));
        }
        let settle = Some(Settle { units: 1, at: Timestamp::default() });
        let strike = Order { settle, ..asked.clone() };
        for left in [2, 1] {
            assert_eq!(run(&strike, 1).remaining, left);
        }
        let verdict = run(&strike, 1);
        assert_eq!((verdict.admitted, verdict.retry_after), (false, Some(Span::from_secs(60))));
        assert_eq!(run(&asked, 2).retry_after, Some(Span::from_secs(59)));
        assert!(run(&asked, 61).admitted);
    }

    #[test]
    fn what_are_no_orders_is_none() {
        let line = "minute 100 60 gcra 3 0 1\n";
        assert_eq!(read_orders(&line.repeat(MAX_ORDERS)).unwrap().len(), MAX_ORDERS);
        assert_eq!(read_orders(&line.repeat(MAX_ORDERS + 1)), None);
        for text in [
            "minute 0 60 gcra 3 0 1",
            "minute 100 60 lease 3 0 1",
            "mi\"nute 100 60 gcra 3 0 1",
            "minute 100",
            "minute 100 60 gcra 3 0 1 x",
            "minute 100 60 gcra 3 0 1 w-1",
            "minute 100 60 gcra 3 0 1 s1",
            "minute 100 60 gcra 3 0 1 r1:2",
        ] {
            assert_eq!(read_orders(text), None, "{text}");
        }
    }
}
