//! The scored selection: what an endpoint is worth, from what was seen of it.

use serde::{Deserialize, Serialize};

use super::pool::EndpointState;
use crate::time::{Span, Timestamp};

/// Endpoints whose scores differ by less share the requests.
pub(super) const TIE: f64 = 0.05;

/// What counts how much, and where its bounds are. A part of which nothing is known counts in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct ScoreConfig {
    /// A response time under `response_time_under`; above it, in proportion less.
    pub response_time: f64,
    /// That it answers at all.
    pub availability: f64,
    /// That what it answers is no failure.
    pub success_rate: f64,
    /// That it is not behind its primary; nothing is left of it at `replication_lag_max`.
    pub replication_lag: f64,
    /// The response time up to which an endpoint is as good as any.
    pub response_time_under: Span,
    /// The lag at which a replica is worth nothing for its freshness.
    pub replication_lag_max: Span,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        Self {
            response_time: 0.4,
            availability: 0.3,
            success_rate: 0.2,
            replication_lag: 0.1,
            response_time_under: Span::from_millis(200),
            replication_lag_max: Span::from_secs(10),
        }
    }
}

impl ScoreConfig {
    /// What this endpoint is worth now.
    pub(super) fn of(&self, state: &EndpointState, now: Timestamp) -> f64 {
        let (latency, threshold) =
            (state.latency_us(now) as f64, self.response_time_under.as_millis() as f64 * 1000.0);
        let response_time = if latency <= threshold { 1.0 } else { threshold / latency };
        let lag_max = self.replication_lag_max.as_millis().max(1) as f64;
        let lag = state.lag.map_or(0.0, |lag| lag.as_millis() as f64 / lag_max);
        self.response_time * response_time
            + self.availability * state.availability(now)
            + self.success_rate * state.success_rate(now)
            + self.replication_lag * (1.0 - lag.min(1.0))
    }

    /// What is wrong with it, where something is.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn problem(&self) -> Option<String> {
        let weights = [self.response_time, self.availability, self.success_rate, self.replication_lag];
        if weights.iter().any(|weight| !(0.0..=1.0).contains(weight)) || weights.iter().sum::<f64>() <= 0.0 {
            return Some("score: its weights do not fit; allowed: 0.0 to 1.0 each, one of them above".into());
        }
        (self.response_time_under == Span::ZERO)
            .then(|| "score.response_time_under: no time at all; allowed: more than nothing".into())
    }
}
