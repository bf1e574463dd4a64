//! `write_behind`: changes that are accepted at once, and delivered to the origin later.

use serde::{Deserialize, Serialize};

use crate::size::Size;
use crate::time::{Span, Timestamp};

/// How a route's changes are delivered later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WriteBehind {
    /// 0 to 9: of what is due to one pool, the higher number is delivered first.
    pub priority: u32,
    /// How often a delivery is tried at most; then it is a dead letter.
    pub attempts_max: u32,
    /// Before the n-th further attempt, the wait is random between half of this and this, times 2^(n-1).
    pub backoff_base: Span,
    /// The longest such wait.
    pub backoff_cap: Span,
    /// The longest body that is accepted.
    pub body_bytes_max: Size,
    /// How many changes of one pool wait at most, dead letters included; what comes then is refused.
    pub pending_max: u32,
    /// How long it is told of a delivery after it was made, and for how long its Idempotency-Key is remembered.
    pub keep: Span,
}

impl Default for WriteBehind {
    fn default() -> Self {
        Self {
            priority: 0,
            attempts_max: 20,
            backoff_base: Span::from_secs(1),
            backoff_cap: Span::from_secs(300),
            body_bytes_max: Size::from_kib(256),
            pending_max: 10_000,
            keep: Span::from_secs(86_400),
        }
    }
}

/// The largest priority.
#[cfg(not(target_arch = "wasm32"))]
const PRIORITY_MAX: u32 = 9;
/// The largest `attempts_max`.
#[cfg(not(target_arch = "wasm32"))]
const ATTEMPTS_MAX: u32 = 1000;
/// The largest `body_bytes_max`: a row has to hold it.
#[cfg(not(target_arch = "wasm32"))]
const BODY_BYTES_MAX: Size = Size::from_mib(1);
/// The largest `pending_max`.
#[cfg(not(target_arch = "wasm32"))]
const PENDING_MAX: u32 = 100_000;
/// The longest `keep`.
#[cfg(not(target_arch = "wasm32"))]
const KEEP_MAX: Span = Span::from_secs(30 * 86_400);

/// What an attempt of a delivery came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The origin has it.
    Delivered,
    /// It is tried again, at this moment.
    Again(Timestamp),
    /// It is not tried any more, until somebody has it replayed.
    Dead,
}

impl Delivery {
    /// As the object and the metrics know it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Again(_) => "again",
            Self::Dead => "dead",
        }
    }
}

impl WriteBehind {
    /// What becomes of a delivery after so many attempts, of which the last had this status, or none. `rest`: how long
    /// the origin asks to be left alone. What it refuses for good (4xx, but 408, 425 and 429) is not tried again.
    pub fn after(
        &self,
        attempts: u32,
        status: Option<u16>,
        rest: Option<Span>,
        rng: &mut fastrand::Rng,
        now: Timestamp,
    ) -> Delivery {
        match status {
            Some(200..=399) => return Delivery::Delivered,
            Some(408 | 425 | 429) => {}
            Some(400..=499) => return Delivery::Dead,
            _ => {}
        }
        if attempts >= self.attempts_max {
            return Delivery::Dead;
        }
        let doubled = 1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
        let most = self.backoff_base.as_millis().saturating_mul(doubled).min(self.backoff_cap.as_millis());
        let wait = Span::from_millis(rng.u64(most / 2..=most));
        Delivery::Again(now + rest.map_or(wait, |rest| wait.max(rest.min(REST_MAX))))
    }

    /// What is wrong with it, by key.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut check = |is_good: bool, key, message: String| {
            if !is_good {
                found.push((key, message));
            }
        };
        let Self { priority, attempts_max, backoff_base, backoff_cap, body_bytes_max, pending_max, keep } =
            self;
        check(
            *priority <= PRIORITY_MAX,
            "priority",
            format!("{priority} is out of range; allowed: 0 to {PRIORITY_MAX}"),
        );
        check(
            (1..=ATTEMPTS_MAX).contains(attempts_max),
            "attempts_max",
            format!("{attempts_max} is out of range; allowed: 1 to {ATTEMPTS_MAX}"),
        );
        check(
            *backoff_base > Span::ZERO && backoff_base <= backoff_cap,
            "backoff_base",
            "does not fit; allowed: more than nothing, at most backoff_cap".into(),
        );
        check(
            *body_bytes_max <= BODY_BYTES_MAX,
            "body_bytes_max",
            format!("{body_bytes_max} is too much; allowed: up to {BODY_BYTES_MAX}"),
        );
        check(
            (1..=PENDING_MAX).contains(pending_max),
            "pending_max",
            format!("{pending_max} is out of range; allowed: 1 to {PENDING_MAX}"),
        );
        check(*keep <= KEEP_MAX, "keep", format!("{keep} is too long; allowed: up to {KEEP_MAX}"));
        found
    }
}

/// The longest Retry-After that is heeded.
const REST_MAX: Span = Span::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn after(attempts: u32, status: Option<u16>, rest: Option<Span>) -> Delivery {
        WriteBehind::default().after(attempts, status, rest, &mut fastrand::Rng::with_seed(1), NOW)
    }

    #[test]
    fn what_the_origin_took_is_delivered_and_what_it_refused_is_dead() {
        for status in [200, 201, 204, 303] {
            assert_eq!(after(1, Some(status), None), Delivery::Delivered, "{status}");
        }
        for status in [400, 401, 404, 409, 413, 422] {
            assert_eq!(after(1, Some(status), None), Delivery::Dead, "{status}");
        }
        for status in [None, Some(408), Some(425), Some(429), Some(500), Some(503)] {
            assert!(matches!(after(1, status, None), Delivery::Again(_)), "{status:?}");
        }
    }

    #[test]
    fn waits_double_up_to_their_cap_until_the_attempts_are_spent() {
        for (attempts, least, most) in
            [(1, 500, 1000), (2, 1000, 2000), (5, 8000, 16_000), (19, 150_000, 300_000)]
        {
            let Delivery::Again(at) = after(attempts, None, None) else { panic!("{attempts}") };
            let wait = at.since(NOW).as_millis();
            assert!((least..=most).contains(&wait), "{attempts}: {wait}");
        }
        assert_eq!(after(20, None, None), Delivery::Dead);
    }

    #[test]
    fn an_origin_that_asks_for_a_pause_gets_it() {
        let hour = Span::from_secs(3600);
        assert_eq!(
            after(1, Some(503), Some(Span::from_secs(77))),
            Delivery::Again(NOW + Span::from_secs(77))
        );
        assert_eq!(after(1, Some(503), Some(Span::MAX)), Delivery::Again(NOW + hour));
    }

    #[test]
    #[cfg(not(target_arch = "wasm32"))]
    fn what_is_out_of_range_is_named() {
        let wrong = WriteBehind {
            priority: 10,
            attempts_max: 0,
            backoff_base: Span::ZERO,
            backoff_cap: Span::ZERO,
            body_bytes_max: Size::from_mib(2),
            pending_max: 0,
            keep: Span::MAX,
        };
        let keys: Vec<_> = wrong.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            ["priority", "attempts_max", "backoff_base", "body_bytes_max", "pending_max", "keep"]
        );
        assert!(wrong.problems().iter().all(|(_, message)| message.contains("; allowed: ")));
        assert_eq!(WriteBehind::default().problems(), []);
    }
}
