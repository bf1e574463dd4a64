//! Origins: which endpoint is asked, after what wait and with what deadline, what head it gets, and what its
//! answer means. Nothing here does I/O.
//!
//! ```text
//! PoolConfig -> Pool (fixed)  +  PoolState (per isolate: breakers, latencies, retry budget)
//!                    \              /
//!                     Attempts::start -> Try -> forward::forward -> fetch -> Outcome
//!                                         ^                                     |
//!                                         +---- Next::Retry <-- Attempts::report
//!                                                                |-> Next::Answer: response::clean
//!                                                                `-> Next::GiveUp(Failure): ProxyStatus
//! ```
//!
//! Fallback pools: one [`Attempts`] walks one [`Pool`]. When it gives up and [`Failure::may_fall_back`] says so,
//! the caller starts a new one on the next pool of `config.fallback`; the lists of those pools are not followed.
//! Each pool has its own attempts and its own total time-out.

pub mod affinity;
pub mod attempts;
pub mod bookmark;
pub mod breaker;
#[cfg(not(target_arch = "wasm32"))]
mod check;
pub mod concurrency;
pub mod config;
pub mod deadline;
mod fields;
pub mod forward;
mod hearsay;
pub mod lies;
pub mod monitor;
pub mod outcome;
pub mod pool;
pub mod probe;
pub mod quantile;
pub mod response;
pub mod retry;
pub mod rewrite;
mod score;
mod select;
#[cfg(test)]
mod simulation;
pub mod split;
pub mod status;
pub mod trace;
pub mod upstream;
pub mod url;

pub use affinity::{Affinity, Wish};
pub use attempts::{Ask, Attempts, Next, Try};
pub use bookmark::Bookmark;
pub use config::PoolConfig;
#[cfg(feature = "cli")]
pub use fields::dropped;
pub use outcome::{Cause, Failure, FetchError, Outcome, Stop};
pub use pool::{Pool, PoolState};
pub use quantile::Hedge;
pub use status::ProxyStatus;
pub use url::OriginUrl;
