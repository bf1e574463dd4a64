//! What an isolate is told of the endpoints of a pool, beside what it sees itself.

use super::breaker::BreakerState;
use super::pool::{EndpointState, PoolState};
use crate::time::{Span, Timestamp};

impl PoolState {
    /// What the fleet says of an endpoint, and until when that holds: whether it is well, since when, and how far it is
    /// behind.
    pub fn hear(
        &mut self,
        at: usize,
        (well, since): (bool, Timestamp),
        lag: Option<Span>,
        until: Timestamp,
        now: Timestamp,
    ) {
        self.told_until = until;
        let Some(state) = self.endpoints.get_mut(at) else { return };
        let was_down = state.down.is_some();
        state.down = (!well).then_some(since);
        if was_down && well {
            state.breaker.close(now);
        }
        state.lag = lag.or(state.lag);
    }

    /// What the fleet said long ago holds no more: what the isolate sees itself counts alone.
    pub(super) fn forget_hearsay(&mut self, now: Timestamp) {
        if now >= self.told_until {
            self.endpoints.iter_mut().for_each(|state| state.down = None);
        }
    }

    /// An endpoint says itself how far it is behind.
    pub fn lags(&mut self, at: usize, lag: Span) {
        if let Some(state) = self.endpoints.get_mut(at) {
            state.lag = Some(lag);
        }
    }

    /// The endpoints whose breakers are open in this isolate, whatever the fleet says.
    pub fn tripped(&self, now: Timestamp) -> impl Iterator<Item = usize> {
        let is_open = move |state: &EndpointState| state.breaker.state(now) == BreakerState::Open;
        self.endpoints.iter().enumerate().filter(move |(_, state)| is_open(state)).map(|(at, _)| at)
    }

    /// How often breakers have opened so far.
    pub fn trips(&self) -> u32 {
        self.endpoints.iter().map(|state| state.breaker.ejections()).sum()
    }
}
