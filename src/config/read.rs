//! From JSON to a [`Config`], or to everything that is wrong with it.

use serde_json::Value;

use super::problem::Problem;
use super::sections::Config;

impl Config {
    /// Reads a config.
    ///
    /// # Errors
    /// Every problem there is, in the order of their paths.
    pub fn from_json(json: &Value) -> Result<Self, Vec<Problem>> {
        use serde::Deserialize;
        Config::deserialize(json)
            .map_err(|error| vec![Problem { path: Default::default(), message: error.to_string() }])
    }
}
