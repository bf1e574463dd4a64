//! All native tests that look at more than one room, in one binary.

mod config;
mod reference;
mod tidy;
