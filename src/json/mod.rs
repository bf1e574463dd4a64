//! JSON with as little code as can be: texts as values, and values as texts. `serde_json` follows the text's position,
//! knows numbers of every kind and readers and writers of every kind, in a copy for each type: that came to a quarter of
//! the whole wasm. Native code and tests use it, and hold ours against it.

mod value;
mod write;

pub use value::{Value, parts};
pub use write::{object, push_name, push_number, push_text, write};
