//! What may be tried again, after what wait, and how much of it in all.

use super::config::RetryConfig;
use crate::time::Timestamp;

/// How many retries an isolate may make in a pool.
#[derive(Debug, Clone)]
pub struct RetryBudget {}

impl RetryBudget {
    /// With the retries of one second.
    pub fn new(config: &RetryConfig, now: Timestamp) -> Self {
        let _ = (config, now);
        Self {}
    }
}
