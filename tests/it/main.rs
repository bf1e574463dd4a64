//! All native tests that look at more than one room, in one binary.

// The lints' exception for tests does not reach the helpers of an integration test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic
)]

mod config;
mod conformance;
mod differential;
mod faults;
mod flow;
mod histories;
mod leases;
mod packed;
mod reference;
mod replicas;
mod simulate;
mod tidy;

use tidegate::sim;
