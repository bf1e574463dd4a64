//! What may be tried again, after what wait, and how much of it in all.

use super::config::RetryConfig;
use super::outcome::{FetchError, Outcome};
use crate::time::{Span, Timestamp};

/// What an outcome means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The response is for the client.
    Success,
    /// The endpoint works, but asks to come again (a 408, 425 or 429 that the config declares).
    Declined,
    /// The endpoint failed. `reached` is false where nothing of the request can have arrived there.
    Failed {
        /// Whether the request may have arrived.
        reached: bool,
    },
    /// Nobody waits for an answer any more.
    Aborted,
}

/// What an outcome means under this config.
pub fn classify(outcome: &Outcome, config: &RetryConfig) -> Class {
    match outcome.result {
        Ok(status) if !config.statuses.contains(&status) => Class::Success,
        Ok(..500) => Class::Declined,
        Ok(_) | Err(FetchError::Timeout | FetchError::ConnectionLost | FetchError::Lied) => {
            Class::Failed { reached: true }
        }
        Err(FetchError::Connect) => Class::Failed { reached: false },
        Err(FetchError::Aborted | FetchError::OverCap) => Class::Aborted,
    }
}

/// The wait before an endpoint is asked for the `nth` time again (from 0): random between nothing and the base
/// times 2^nth, at most the cap ("full jitter").
pub fn backoff(config: &RetryConfig, nth: u32, rng: &mut fastrand::Rng) -> Span {
    let doubled = 1_u64.checked_shl(nth).unwrap_or(u64::MAX);
    let longest = config.backoff_base.as_millis().saturating_mul(doubled);
    Span::from_millis(rng.u64(0..=longest.min(config.backoff_cap.as_millis())))
}

/// How many retries an isolate may make in a pool: every request adds a share of one, every second some, and
/// what is not used is kept up to [`RetryBudget::SAVED_MAX`].
#[derive(Debug, Clone)]
pub struct RetryBudget {
    /// In thousandths of a retry.
    saved: u64,
    counted: Timestamp,
}

impl RetryBudget {
    /// How many retries can be saved up.
    pub const SAVED_MAX: u64 = 100;

    /// With the retries of one second.
    pub fn new(config: &RetryConfig, now: Timestamp) -> Self {
        let saved = u64::from(config.budget_min_per_second) * 1000;
        Self { saved: saved.min(Self::SAVED_MAX * 1000), counted: now }
    }

    /// A request came.
    pub fn deposit(&mut self, config: &RetryConfig, now: Timestamp) {
        let passed = now.since(self.counted).as_millis();
        self.counted = self.counted.max(now);
        let by_time = passed.saturating_mul(u64::from(config.budget_min_per_second));
        let by_request = u64::from(config.budget_percent) * 10;
        self.saved = self.saved.saturating_add(by_time + by_request).min(Self::SAVED_MAX * 1000);
    }

    /// Takes one retry out, where there is one.
    pub fn take(&mut self) -> bool {
        let left = self.saved.checked_sub(1000);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Fields, ResponseHead};

    #[test]
    fn only_what_another_attempt_may_better_is_tried_again() {
        let declared = RetryConfig { statuses: vec![429, 503], ..Default::default() };
        let failed = Class::Failed { reached: true };
        for (result, by_default, by_declaration) in [
            (Ok(200), Class::Success, Class::Success),
            (Ok(404), Class::Success, Class::Success),
            (Ok(408), Class::Success, Class::Success),
            (Ok(429), Class::Success, Class::Declined),
            (Ok(500), Class::Success, Class::Success),
            (Ok(502), failed, Class::Success),
            (Ok(503), failed, failed),
            (Err(FetchError::Connect), Class::Failed { reached: false }, Class::Failed { reached: false }),
            (Err(FetchError::Timeout), failed, failed),
            (Err(FetchError::ConnectionLost), failed, failed),
            (Err(FetchError::Lied), failed, failed),
            (Err(FetchError::Aborted), Class::Aborted, Class::Aborted),
        ] {
            let outcome = Outcome { result, latency: Span::ZERO, retry_after: None };
            assert_eq!(classify(&outcome, &RetryConfig::default()), by_default, "{result:?}");
            assert_eq!(classify(&outcome, &declared), by_declaration, "{result:?}");
        }
    }

    #[test]
    fn waits_grow_and_stay_within_their_bounds() {
        let config = RetryConfig::default();
        let mut rng = fastrand::Rng::with_seed(1);
        for (nth, longest) in [(0, 50), (1, 100), (2, 200), (5, 1600), (6, 2000), (99, 2000)] {
            let waits: Vec<u64> = (0..1000).map(|_| backoff(&config, nth, &mut rng).as_millis()).collect();
            let (min, max) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*max <= longest && *max > longest * 9 / 10 && *min < longest / 10, "{nth}: {min} {max}");
        }
    }

    #[test]
    fn retries_are_a_share_of_requests_and_some_a_second() {
        let config = RetryConfig::default();
        let mut now = Timestamp::from_secs(1_000_000);
        let mut budget = RetryBudget::new(&config, now);
        let taken =
            |budget: &mut RetryBudget| std::iter::repeat_with(|| budget.take()).take_while(|t| *t).count();
        assert_eq!(taken(&mut budget), 10, "those of the first second");
        for _ in 0..100 {
            budget.deposit(&config, now);
        }
        assert_eq!(taken(&mut budget), 20, "a fifth of a hundred requests");
        now = now + Span::from_secs(2);
        budget.deposit(&config, now);
        assert_eq!(taken(&mut budget), 20, "two seconds without requests");
        budget.deposit(&config, now + Span::from_secs(3600));
        assert_eq!(taken(&mut budget), 100, "no more than can be saved");
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = Timestamp::from_http_date("Sun, 06 Nov 1994 08:49:30 GMT").unwrap();
        for (text, secs) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let mut head = ResponseHead::new(503);
            head.fields = Fields::from_pairs([("Retry-After", text)]);
            let outcome = Outcome::response(&head, Span::ZERO, now);
            assert_eq!(outcome.retry_after, secs.map(Span::from_secs), "{text}");
        }
    }
}
