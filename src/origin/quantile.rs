//! Quantiles of latency: as a config names them, and of the last attempts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// `"p95"`: what 95 of 100 stay below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantile(u8);

impl Quantile {
    /// In percent: 1 to 99.
    pub fn percent(self) -> u32 {
        u32::from(self.0)
    }

    fn read(text: &str) -> Option<Self> {
        let percent = text.strip_prefix('p')?.parse().ok()?;
        (1..=99).contains(&percent).then_some(Self(percent))
    }
}

/// `"p95 > 800ms"`: too many are slower than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct TooSlow {
    /// Which quantile ...
    pub quantile: Quantile,
    /// ... is not to be above this.
    pub over: Span,
}

impl TooSlow {
    /// Whether so many slow ones among so many are too many.
    pub(super) fn is_met(self, slow: u32, all: u32) -> bool {
        u64::from(slow) * 100 > u64::from(all) * u64::from(100 - self.quantile.percent())
    }
}

impl FromStr for TooSlow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('>').and_then(|(quantile, over)| {
            Some(Self { quantile: Quantile::read(quantile.trim())?, over: over.trim().parse().ok()? })
        });
        let parts = parts.filter(|parts| parts.over > Span::ZERO);
        parts.ok_or_else(|| mistake!("`{text}` is no bound of latency; allowed: such as \"p95 > 800ms\""))
    }
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{} > {}", self.quantile.0, self.over)
    }
}

text_serde!(TooSlow, packed);

/// When a second attempt is sent beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Hedge {
    /// After this quantile of the pool's latency.
    After(Quantile),
    /// After this time.
    Fixed(Span),
}

impl FromStr for Hedge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let quantile = Quantile::read(text).map(Self::After);
        let fixed = || text.parse().ok().filter(|span| *span > Span::ZERO).map(Self::Fixed);
        quantile.or_else(fixed).ok_or_else(|| {
            mistake!("`{text}` is no time to wait; allowed: such as \"p95\", or a duration such as \"200ms\"")
        })
    }
}

impl fmt::Display for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(Quantile(percent)) => write!(f, "p{percent}"),
            Self::Fixed(span) => span.fmt(f),
        }
    }
}

text_serde!(Hedge, packed);

/// How many latencies are kept.
const SAMPLES: usize = 64;
/// From how many on they say something.
const SAMPLES_MIN: usize = 16;

/// The latencies of a pool's last attempts.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    millis: [u32; SAMPLES],
    count: usize,
}

impl Default for Samples {
    fn default() -> Self {
        Self { millis: [0; SAMPLES], count: 0 }
    }
}

impl Samples {
    pub(super) fn add(&mut self, latency: Span) {
        if let Some(slot) = self.millis.get_mut(self.count % SAMPLES) {
            *slot = u32::try_from(latency.as_millis()).unwrap_or(u32::MAX);
        }
        self.count = self.count.wrapping_add(1);
    }

    /// What that share of them stays at or below, where there are enough.
    pub(super) fn at(&self, quantile: Quantile) -> Option<Span> {
        let held = self.millis.get(..self.count.min(SAMPLES))?;
        if held.len() < SAMPLES_MIN {
            return None;
        }
        // So many may be above; few, so that finding them one by one is less than sorting.
        let above = held.len() * (100 - quantile.0 as usize) / 100;
        let (mut bound, mut seen) = (u32::MAX, 0);
        loop {
            let next = held.iter().copied().filter(|millis| seen == 0 || *millis < bound).max()?;
            bound = next;
            seen += held.iter().filter(|millis| **millis == next).count();
            if seen > above {
                return Some(Span::from_millis(u64::from(next)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_waits_read_back() {
        for text in ["p95 > 800ms", "p50 > 2s"] {
            assert_eq!(text.parse::<TooSlow>().unwrap().to_string(), text);
        }
        for text in ["p95", "p0 > 1s", "p100 > 1s", "95 > 1s", "p95 > fast", ""] {
            assert!(text.parse::<TooSlow>().unwrap_err().contains("; allowed: "), "{text}");
        }
        for text in ["p95", "200ms"] {
            assert_eq!(text.parse::<Hedge>().unwrap().to_string(), text);
        }
        for text in ["p0", "p", "soon", "0s", ""] {
            assert!(text.parse::<Hedge>().unwrap_err().contains("; allowed: "), "{text}");
        }
    }

    #[test]
    fn a_quantile_is_over_its_bound_when_too_many_are() {
        let rule: TooSlow = "p95 > 1s".parse().unwrap();
        for (slow, all, met) in
            [(0, 0, false), (1, 20, false), (2, 20, true), (5, 100, false), (6, 100, true)]
        {
            assert_eq!(rule.is_met(slow, all), met, "{slow} of {all}");
        }
    }

    #[test]
    fn the_quantile_of_the_last_latencies_is_what_sorting_says() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut samples, mut all) = (Samples::default(), Vec::new());
        for nth in 1..=300_usize {
            let latency = rng.u64(1..40);
            samples.add(Span::from_millis(latency));
            all.push(latency);
            let mut held = all.get(all.len().saturating_sub(SAMPLES)..).unwrap().to_vec();
            held.sort_unstable();
            for percent in [1, 50, 90, 95, 99] {
                let expected = held[held.len() - 1 - held.len() * (100 - percent) / 100];
                let expected = (nth >= SAMPLES_MIN).then(|| Span::from_millis(expected));
                assert_eq!(samples.at(Quantile(percent as u8)), expected, "p{percent} of {nth}");
            }
        }
    }
}
