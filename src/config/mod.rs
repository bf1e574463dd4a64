//! The typed configuration. [`Config::from_json`] finds every problem at once, each with its path and what is
//! allowed; [`Config::deployed`] reads what it found good, and [`Config::compile`] makes of that what requests are
//! decided with.
//!
//! TOML is turned into JSON before it comes here (by `tidegate build`), and nothing but what was checked there is
//! deployed: the wasm has neither a TOML reader nor the diagnosis.

mod compiled;
mod deployed;
#[cfg(not(target_arch = "wasm32"))]
mod diagnosis;
mod sections;

pub use compiled::Compiled;
pub use deployed::stamp;
#[cfg(not(target_arch = "wasm32"))]
pub use diagnosis::{KeyPath, Problem, Step};
pub use sections::{CacheSection, Config, FleetSection, ServerConfig};
