//! How many requests an endpoint has at once: a fixed number, or as many as its latency bears.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// The smallest adaptive limit.
pub const ADAPTIVE_MIN: u32 = 4;
/// The largest adaptive limit.
pub const ADAPTIVE_MAX: u32 = 1000;
/// Where an adaptive limit begins.
const ADAPTIVE_START: f64 = 20.0;
/// How many requests wait at once for a place in one pool, in one isolate.
pub const QUEUED_MAX: u32 = 64;
/// How often one that waits looks for a place.
pub const QUEUE_STEP: Span = Span::from_millis(10);

/// How much slower than usual an answer may be before the limit shrinks.
const TOLERANCE: f64 = 1.5;
/// What the limit grows by where latency does not: as many as may wait at the endpoint.
const HEADROOM: f64 = 4.0;
/// How much one answer moves the limit.
const STEP: f64 = 0.2;
/// How much one answer moves the recent latency.
const RECENT_STEP: f64 = 0.1;
/// How much one answer moves the usual latency.
const USUAL_STEP: f64 = 0.02;
/// The same where the endpoint is busy and slower than usual: that is what the limit is against.
const USUAL_STEP_BUSY: f64 = 0.0001;
/// What a failure leaves of the limit.
const AFTER_FAILURE: f64 = 0.9;

/// How many requests an endpoint has at once at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Concurrency {
    /// `"32"`: so many.
    Fixed(u32),
    /// `"adaptive"`: it grows as long as latency does not, and shrinks when it does.
    Adaptive,
}

impl FromStr for Concurrency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("adaptive", _) => Ok(Self::Adaptive),
            (_, Ok(count @ 1..)) => Ok(Self::Fixed(count)),
            _ => Err(mistake!("`{text}` is no number of requests; allowed: \"adaptive\", or such as \"32\"")),
        }
    }
}

impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(count) => count.fmt(f),
            Self::Adaptive => f.write_str("adaptive"),
        }
    }
}

text_serde!(Concurrency, packed);

/// The adaptive limit of an endpoint (a gradient on its latency).
#[derive(Debug, Clone)]
pub(super) struct Gradient {
    limit: f64,
    /// The latency of the last answers, in milliseconds; 0 where unknown.
    recent: f64,
    /// That of an endpoint with little to do.
    usual: f64,
}

impl Default for Gradient {
    fn default() -> Self {
        Self { limit: ADAPTIVE_START, recent: 0.0, usual: 0.0 }
    }
}

impl Gradient {
    /// The limit now.
    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// An answer came after so long, when so many requests were under way.
    pub(super) fn answered(&mut self, latency: Span, in_flight: u32) {
        let latency = (latency.as_millis() as f64).max(1.0);
        if self.usual == 0.0 {
            (self.recent, self.usual) = (latency, latency);
        }
        self.recent += (latency - self.recent) * RECENT_STEP;
        let is_busy = f64::from(in_flight) * 2.0 >= self.limit;
        let step = if is_busy && self.recent > self.usual { USUAL_STEP_BUSY } else { USUAL_STEP };
        self.usual += (self.recent - self.usual) * step;
        // A limit that nobody comes near says nothing.
        if is_busy {
            let gradient = (TOLERANCE * self.usual / self.recent).clamp(0.5, 1.0);
            self.move_to(self.limit + (self.limit * gradient + HEADROOM - self.limit) * STEP);
        }
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self) {
        self.move_to(self.limit * AFTER_FAILURE);
    }

    fn move_to(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(ADAPTIVE_MIN), f64::from(ADAPTIVE_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_reads_back() {
        for text in ["1", "32", "adaptive"] {
            assert_eq!(text.parse::<Concurrency>().unwrap().to_string(), text);
        }
        for text in ["", "0", "-1", "many"] {
            assert!(text.parse::<Concurrency>().unwrap_err().contains("; allowed: "), "{text}");
        }
    }

    /// An endpoint that works on 50 requests at once, 20 ms each; what is more waits there.
    fn latency(in_flight: u32) -> Span {
        Span::from_millis(u64::from(20 * in_flight.div_ceil(50)))
    }

    #[test]
    fn a_limit_finds_what_an_endpoint_bears_and_stays_near_it() {
        let mut gradient = Gradient::default();
        let mut after = Vec::new();
        for nth in 0..4000 {
            let in_flight = gradient.limit();
            gradient.answered(latency(in_flight), in_flight);
            if nth > 1000 {
                after.push(gradient.limit());
            }
        }
        let (least, most) = (after.iter().min().unwrap(), after.iter().max().unwrap());
        assert!(*least >= 25 && *most <= 160, "{least} to {most}");
    }

    #[test]
    fn a_limit_that_is_not_used_does_not_grow_and_failures_shrink_it_down_to_its_bound() {
        let mut gradient = Gradient::default();
        (0..1000).for_each(|_| gradient.answered(Span::from_millis(5), 3));
        assert_eq!(gradient.limit(), 20);
        (0..1000).for_each(|_| gradient.failed());
        assert_eq!(gradient.limit(), ADAPTIVE_MIN);
        (0..9000).for_each(|_| gradient.answered(Span::from_millis(5), 900));
        assert_eq!(gradient.limit(), ADAPTIVE_MAX);
    }
}
