//! What is wrong between the parts of a config.
