//! A simulated fleet: the second implementation of `Ports`, single-threaded, on a virtual clock, everything drawn
//! from one seed. The tests live in it, and `tidegate simulate` counts what a workload costs in it.
//!
//! ```text
//! let world = World::new(1).config(TOML);
//! world.origin(|asked| Reply::cached("hello", "max-age=60"));
//! let answer = world.get("/x").field("accept", "text/html").run();
//! world.pass(secs(10));
//! ```

// What can't be, in a world that tests or a person put together, is told at once. No request that anybody sent depends
// on it: none of this is in the wasm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic
)]

mod body;
mod client;
mod clock;
pub mod cost;
mod counts;
mod deliveries;
mod edge;
mod fault;
mod fleet;
mod ledger;
mod origin;
mod probes;
mod queue;
mod shield;
mod stores;
mod warm;
pub mod workload;
mod world;

pub use client::{Answer, Pending, Request};
pub use counts::Counts;
pub use fault::{Fault, Helper};
pub use origin::{Asked, Reply};
pub use world::World;

use crate::time::Span;

/// So many milliseconds.
pub const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

/// So many seconds.
pub const fn secs(secs: u64) -> Span {
    Span::from_secs(secs)
}
