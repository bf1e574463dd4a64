//! One request's attempts in one pool: a value that is asked what to do next.

use super::outcome::{Cause, Failure, Outcome, Stop};
use super::pool::{Pool, PoolState};
use crate::head::Method;
use crate::time::{Span, Timestamp};

/// What the attempts need to know of a request besides its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The route says that this request may be sent twice, whatever its method.
    pub declared_safe: bool,
    /// The body can be sent again: there is none, or it was kept (see [`Pool::keeps_body`]).
    pub replayable: bool,
    /// Where every endpoint is ejected, the least bad one is tried all the same. Switch it off where there is
    /// something better than a probable failure: a stale response, a static fallback, another pool.
    pub panic: bool,
    /// What the rendezvous selection goes by: [`super::select::affinity`] of the subject or the address.
    pub affinity: u64,
}

/// Send the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// To this endpoint, an index into the pool's.
    pub endpoint: usize,
    /// After this wait.
    pub wait: Span,
    /// With this time for the head of the response to come, from when it is sent.
    pub timeout: Span,
}

/// What to do after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Hand on the response.
    Answer,
    /// Drop what came, and send the request again.
    Retry(Try),
    /// This pool cannot do better. A response that came (`Cause::Status`) is still good to be handed on.
    GiveUp(Failure),
}

/// One request's attempts in one pool.
#[derive(Debug, Clone)]
pub struct Attempts<'p> {
    pool: &'p Pool,
    ask: Ask,
}

impl<'p> Attempts<'p> {
    /// Before the first attempt. The total time-out runs from `now`.
    pub fn new(pool: &'p Pool, method: &Method, ask: Ask, now: Timestamp) -> Self {
        let _ = (method, now);
        Self { pool, ask }
    }

    /// The first attempt.
    ///
    /// # Errors
    /// Where no endpoint can be asked.
    pub fn start(
        &mut self,
        state: &mut PoolState,
        rng: &mut fastrand::Rng,
        now: Timestamp,
    ) -> Result<Try, Failure> {
        let _ = (state, rng, now, self.ask);
        let timeout = self.pool.config.attempt_timeout;
        Ok(Try { endpoint: 0, wait: Span::ZERO, timeout })
    }

    /// What came of the attempt that was asked for last. Every attempt must be reported, an aborted one too.
    pub fn report(
        &mut self,
        state: &mut PoolState,
        outcome: &Outcome,
        rng: &mut fastrand::Rng,
        now: Timestamp,
    ) -> Next {
        let _ = (state, rng, now);
        match outcome.result {
            Ok(_) => Next::Answer,
            Err(error) => Next::GiveUp(Failure {
                cause: Cause::Fetch(error),
                stop: Stop::AttemptsSpent,
                tries: 1,
                endpoint: Some(0),
            }),
        }
    }
}
