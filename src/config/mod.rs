//! The typed configuration. [`Config::from_json`] finds every problem at once, each with its path and what is
//! allowed; [`Config::compile`] makes of what it found good what requests are decided with, and [`Compiled::deployed`]
//! reads that in the Worker.
//!
//! TOML is turned into JSON before it comes here (by `tidegate build`), and nothing but what was checked and compiled
//! there is deployed: the wasm has no reader of TOML or of named sections, and no diagnosis.

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
