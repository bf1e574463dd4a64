//! The typed configuration. [`Config::from_json`] finds every problem at once, each with its path and what is
//! allowed; [`Config::compile`] makes of a good one what requests are decided with.
//!
//! TOML is turned into JSON before it comes here (by `tidegate build`): the wasm has no TOML reader.

mod check;
mod compiled;
mod message;
mod problem;
mod read;
mod sections;

pub use compiled::Compiled;
pub use problem::{KeyPath, Problem, Step};
pub use sections::{CacheSection, Config, ServerConfig};
