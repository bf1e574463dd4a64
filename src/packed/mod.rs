//! A compact form of values that only tidegate itself writes and reads, both from the same sources: a value's parts one
//! after the other, without names. A self-describing form costs a reader for each name, kind and default, which came to
//! a quarter of the whole wasm.
//!
//! Numbers, flags and the places of variants are digits and `:`; a text is its length in bytes, `:`, and itself; of a
//! list or a table the length goes first. What a type leaves out of its JSON (`skip_serializing_if`) must be as good as
//! an empty list, `None` or 0. Since no part is ever missing, a structure needs no defaults in the wasm: sections of a
//! config say `cfg_attr(not(target_arch = "wasm32"), serde(default))`.
//!
//! Nothing here tells whether a text was written from other sources: who takes one from elsewhere asks for a stamp first
//! ([`FORM`]). Without one, a type that checks what it reads may stop the reading by a panic.

mod read;
mod write;

pub use read::{Unreadable, read};
pub use write::write;

/// A hash of the sources that say what the form is (`build.rs`).
pub const FORM: &str = env!("TIDEGATE_FORM");

#[cfg(test)]
mod tests;
