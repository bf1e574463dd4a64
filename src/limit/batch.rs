//! The asks of one request that go to one object, and the text that travels there and back.
//!
//! There: a line for each take, `name units window-seconds algorithm burst shadow cost`, such as
//! `tier 20 60 sliding-window 1 0 1`. Back: a line for each verdict, `admitted limit remaining reset-ms retry-ms`, such
//! as `0 20 0 12000 12000`, with `-` for no retry.

use std::num::NonZeroU32;

use super::decision::{Answer, Checked};
use super::policy::{Algorithm, Ask, QuotaPolicy, Take, Verdict};
use super::quota::Quota;
use crate::time::Span;

/// The most takes that one call may carry.
pub const MAX_TAKES: usize = 32;

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

    /// What is sent to the object.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.asks.len() * 40);
        for Ask { take: Take { policy, cost }, .. } in &self.asks {
            text.push_str(policy.name.as_str());
            push_number(&mut text, policy.quota.amount().into());
            push_number(&mut text, policy.quota.window_secs());
            text.push(' ');
            text.push_str(policy.algorithm.as_str());
            push_number(&mut text, policy.burst.get().into());
            push_number(&mut text, policy.shadow.into());
            push_number(&mut text, cost.get().into());
            text.push('\n');
        }
        text
    }

    /// What the object's answer means for each ask; `None` is an answer that did not come in time or at all. One that
    /// can't be read counts as none.
    pub fn answered(self, answer: Option<&str>) -> Vec<Checked> {
        let verdicts = answer.and_then(read_verdicts).filter(|verdicts| verdicts.len() == self.asks.len());
        let mut verdicts = verdicts.unwrap_or_default().into_iter();
        let answer = |ask| {
            let answer = verdicts.next().map_or(Answer::Unreachable, Answer::Counted);
            Checked { ask, answer }
        };
        self.asks.into_iter().map(answer).collect()
    }
}

/// Reads in the object what [`Batch::text`] wrote. `None` where it is not that.
pub fn read_takes(text: &str) -> Option<Vec<Take>> {
    text.lines().map(read_take).collect::<Option<Vec<_>>>().filter(|takes| takes.len() <= MAX_TAKES)
}

fn read_take(line: &str) -> Option<Take> {
    let mut words = line.split(' ');
    let name = words.next()?.parse().ok()?;
    let quota = Quota::new(words.next()?.parse().ok()?, words.next()?.parse().ok()?)?;
    let algorithm = Algorithm::read(words.next()?)?;
    let burst: NonZeroU32 = words.next()?.parse().ok()?;
    let shadow = words.next()? == "1";
    let cost = words.next()?.parse().ok()?;
    Some(Take { policy: QuotaPolicy { name, quota, algorithm, burst, shadow }, cost })
}

/// Writes in the object what [`Batch::answered`] reads.
pub fn verdicts_text(verdicts: &[Verdict]) -> String {
    let mut text = String::with_capacity(verdicts.len() * 24);
    for verdict in verdicts {
        text.push(if verdict.admitted { '1' } else { '0' });
        push_number(&mut text, verdict.limit.into());
        push_number(&mut text, verdict.remaining.into());
        push_number(&mut text, verdict.reset.as_millis());
        match verdict.retry_after {
            Some(wait) => push_number(&mut text, wait.as_millis()),
            None => text.push_str(" -"),
        }
        text.push('\n');
    }
    text
}

fn read_verdicts(text: &str) -> Option<Vec<Verdict>> {
    text.lines().map(read_verdict).collect()
}

fn read_verdict(line: &str) -> Option<Verdict> {
    let mut words = line.split(' ');
    Some(Verdict {
        admitted: words.next()? == "1",
        limit: words.next()?.parse().ok()?,
        remaining: words.next()?.parse().ok()?,
        reset: Span::from_millis(words.next()?.parse().ok()?),
        retry_after: match words.next()? {
            "-" => None,
            wait => Some(Span::from_millis(wait.parse().ok()?)),
        },
    })
}

fn push_number(text: &mut String, number: u64) {
    text.push(' ');
    text.push_str(&number.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::OnError;
    use crate::limit::object::{self, StateTable};
    use crate::time::Timestamp;

    fn ask(object: &str, name: &str, quota: &str, budget: u64) -> Ask {
        let policy = QuotaPolicy {
            name: name.parse().unwrap(),
            quota: quota.parse().unwrap(),
            algorithm: Algorithm::Gcra,
            burst: NonZeroU32::new(3).unwrap(),
            shadow: name == "shadow",
        };
        let take = Take { policy, cost: NonZeroU32::MIN };
        Ask { object: object.into(), take, on_error: OnError::Admit, budget: Span::from_millis(budget) }
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
        assert_eq!(batch.text(), "minute 100 60 gcra 3 0 1\nshadow 10000 86400 gcra 3 1 1\n");
        let takes = read_takes(&batch.text()).unwrap();
        assert_eq!(takes, batch.asks.iter().map(|ask| ask.take.clone()).collect::<Vec<_>>());

        let mut table = StateTable::default();
        for _ in 0..4 {
            let verdicts = object::step(&mut table, &takes, Timestamp::from_secs(1_789_000_000)).verdicts;
            let checked = batch.clone().answered(Some(&verdicts_text(&verdicts)));
            assert_eq!(
                checked.iter().map(|checked| checked.answer).collect::<Vec<_>>(),
                verdicts.into_iter().map(Answer::Counted).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn an_answer_that_is_none_counts_as_none() {
        let batch = Batch { object: "a".into(), asks: vec![ask("a", "minute", "100/1m", 50)] };
        for answer in [None, Some(""), Some("x"), Some("1 100 99 0\n"), Some("1 100 99 0 -\n1 100 98 0 -\n")]
        {
            let [checked] = &batch.clone().answered(answer)[..] else { panic!("one ask") };
            assert_eq!(checked.answer, Answer::Unreachable, "{answer:?}");
        }
    }

    #[test]
    fn what_are_no_takes_is_none() {
        let line = "minute 100 60 gcra 3 0 1\n";
        assert_eq!(read_takes(&line.repeat(MAX_TAKES)).unwrap().len(), MAX_TAKES);
        assert_eq!(read_takes(&line.repeat(MAX_TAKES + 1)), None);
        for text in [
            "minute 0 60 gcra 3 0 1",
            "minute 100 60 lease 3 0 1",
            "mi\"nute 100 60 gcra 3 0 1",
            "minute 100",
        ] {
            assert_eq!(read_takes(text), None, "{text}");
        }
    }
}
