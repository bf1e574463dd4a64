//! Durations in log-linear buckets: small, mergeable, and with a bounded error.

use serde::{Deserialize, Serialize};

use super::tally::{Merge, Tally};
use crate::time::Span;

/// Buckets in each doubling: a bucket is at most 1/16 of its lower bound wide.
const STEPS: u64 = 16;
/// What is longer than this many milliseconds (2^17, about 131 s) counts in the last bucket.
const MAX_MILLIS: u64 = (1 << 17) - 1;

/// How many requests took how long. Up to 32 ms each millisecond has its own bucket; above, a bucket is at
/// most 6.25 % of its lower bound wide, so that a quantile is at most 3.2 % off (half a bucket). Merging is
/// adding, in any order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// Requests by bucket.
    #[serde(rename = "n")]
    counts: Tally,
    /// All durations together, in milliseconds.
    #[serde(rename = "s")]
    sum_millis: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&mut self, duration: Span) {
        let millis = duration.as_millis();
        self.counts.add(bucket_of(millis), 1);
        self.sum_millis = self.sum_millis.saturating_add(millis);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.total()
    }

    /// All durations together.
    pub const fn sum(&self) -> Span {
        Span::from_millis(self.sum_millis)
    }

    /// How many durations were shorter than `bound`, which must lie on a bucket's edge to be exact.
    pub fn count_below(&self, bound: Span) -> u64 {
        let end = bucket_of(bound.as_millis());
        self.counts.iter().take_while(|(bucket, _)| *bucket < end).map(|(_, n)| n).sum()
    }

    /// The duration that `permille` of 1000 requests did not exceed: the middle of its bucket.
    /// `None` where nothing was counted.
    pub fn quantile(&self, permille: u64) -> Option<Span> {
        let count = self.count();
        let rank = count.saturating_mul(permille).div_ceil(1000).max(1);
        let mut seen = 0_u64;
        let (bucket, _) = self.counts.iter().find(|(_, n)| {
            seen = seen.saturating_add(*n);
            seen >= rank
        })?;
        let (from, to) = (lower_bound(bucket), lower_bound(bucket + 1));
        Some(Span::from_millis(from + (to - from) / 2))
    }
}

impl Merge for Histogram {
    fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.sum_millis = self.sum_millis.saturating_add(other.sum_millis);
    }
}

/// The bucket of a number of milliseconds.
const fn bucket_of(millis: u64) -> usize {
    let millis = if millis > MAX_MILLIS { MAX_MILLIS } else { millis };
    if millis < STEPS {
        return millis as usize;
    }
    let doubling = millis.ilog2() as u64 - STEPS.ilog2() as u64;
    (doubling * STEPS + (millis >> doubling)) as usize
}

/// The smallest number of milliseconds in a bucket.
const fn lower_bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let doubling = bucket / STEPS - 1;
    (bucket % STEPS + STEPS) << doubling
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(millis: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        millis.iter().for_each(|m| histogram.add(Span::from_millis(*m)));
        histogram
    }

    #[test]
    fn buckets_follow_one_another_without_a_gap() {
        for bucket in 0..bucket_of(MAX_MILLIS) {
            assert!(lower_bound(bucket) < lower_bound(bucket + 1), "{bucket}");
            assert_eq!(bucket_of(lower_bound(bucket)), bucket);
            assert_eq!(bucket_of(lower_bound(bucket + 1) - 1), bucket);
        }
        assert_eq!(bucket_of(MAX_MILLIS), 223);
        assert_eq!(bucket_of(u64::MAX), 223);
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(500), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_its_documented_error(
            mut millis in prop::collection::vec(0..MAX_MILLIS, 1..200),
            permille in 1..=1000_u64,
        ) {
            let said = of(&millis).quantile(permille).unwrap().as_millis();
            millis.sort_unstable();
            let rank = (millis.len() as u64 * permille).div_ceil(1000).max(1);
            let exact = millis[rank as usize - 1];
            prop_assert!(said.abs_diff(exact) as f64 <= exact as f64 * 0.032, "{said} for {exact}");
        }

        #[test]
        fn merging_is_adding(
            a in prop::collection::vec(0..MAX_MILLIS, 0..50),
            b in prop::collection::vec(0..MAX_MILLIS, 0..50),
        ) {
            let (mut left, mut right) = (of(&a), of(&b));
            left.merge(&of(&b));
            right.merge(&of(&a));
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(left, of(&[a, b].concat()));
        }
    }
}
