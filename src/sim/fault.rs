//! What may be wrong with a helper.

use crate::time::Span;

/// Who helps tidegate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helper {
    /// The Cache API.
    Colo,
    /// Workers KV.
    Kv,
    /// The objects that hold quotas.
    Limiter,
    /// The objects that hold queues.
    Queue,
    /// The objects that keep changes.
    Deliveries,
    /// The object that holds the counters.
    Metrics,
    /// The object that probes endpoints.
    Health,
    /// The object of a key with `collapse = "global"`.
    Shield,
    /// The object of what the fleet shares.
    Fleet,
}

/// How a helper behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// It answers at once.
    #[default]
    None,
    /// It answers with an error.
    Fails,
    /// It answers after so long.
    Takes(Span),
    /// It never answers.
    Hangs,
    /// So many of a hundred calls fail, as many hang, and the others take up to so long.
    Mixed(u8, Span),
}

impl Fault {
    /// What happens to one call: how long it takes (`None`: for ever), and whether it is done.
    pub fn draw(self, rng: &mut fastrand::Rng) -> (Option<Span>, bool) {
        match self {
            Self::None => (Some(Span::ZERO), true),
            Self::Fails => (Some(Span::ZERO), false),
            Self::Takes(span) => (Some(span), true),
            Self::Hangs => (None, false),
            Self::Mixed(percent, max) => match rng.u8(..100) {
                drawn if drawn < percent => (None, false),
                drawn if drawn < percent.saturating_mul(2) => (Some(Span::ZERO), false),
                _ => (Some(Span::from_millis(rng.u64(..=max.as_millis()))), true),
            },
        }
    }
}
