//! tidegate: edge middleware on Cloudflare Workers. It stands in front of an origin API and keeps it alive under real
//! traffic: asset policy, response caching, rate limits, failover, and counters that one can watch.
//!
//! # The map
//! [`flow::serve`] takes a request through its stages and is the only place that knows their order. Each stage asks a
//! pure function of one of the rooms: [`route`], [`identity`], [`limit`], [`cache`], [`origin`], [`record`]. All that
//! is outside is behind [`ports::Ports`]: on wasm32 `platform` implements it, for the tests and `tidegate simulate`
//! [`sim`] does.
//!
//! # Invariants
//! The core never asks for time, randomness or I/O. Decisions are enums whose variants are the next actions. A helper
//! that fails degrades the request. Nothing that a client says tells who it is. Everything is bounded.

/// The words for a mistake in a config's value. The wasm reads only what was checked, and has none.
macro_rules! mistake {
    ($($text:tt)*) => {
        if cfg!(target_arch = "wasm32") { String::new() } else { format!($($text)*) }
    };
}

#[macro_use]
mod text;

pub mod admin;
pub mod base64url;
pub mod cache;
pub mod config;
pub mod fleet;
pub mod flow;
pub mod head;
pub mod identity;
pub mod json;
pub mod limit;
pub mod list;
pub mod origin;
pub mod packed;
pub mod path;
#[cfg(target_arch = "wasm32")]
pub mod platform;
pub mod ports;
pub mod record;
pub mod respond;
pub mod route;
#[cfg(feature = "cli")]
pub mod sim;
pub mod size;
pub mod time;
