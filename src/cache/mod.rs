//! The shared HTTP cache: what may be stored, what may be reused, and what to ask the origin instead
//! (RFC 9110, 9111, 9211, 9213, 5861, 8246). Pure: heads and times in, decisions out.
//!
//! A request's way: [`PrimaryKey::new`] -> the stored heads of that key, layer by layer (a [`Record`] each; a
//! [`VariantIndex`] names the variant to read next) -> [`reuse()`] -> serve with [`StoredHead::serve`], or ask
//! the origin -> [`settle()`] -> [`storable()`] -> [`StoredHead::new`] into the layers. A response to an unsafe
//! method goes through [`invalidates()`].

pub mod combine;
pub mod complete;
pub mod content;
mod date;
pub mod device;
pub mod directives;
mod freshness;
pub mod groups;
pub mod invalidate;
pub mod key;
pub mod memory;
pub mod multipart;
mod negotiate;
pub mod policy;
pub mod purge;
pub mod range;
pub mod record;
pub mod reuse;
pub mod rules;
pub mod search;
pub mod settle;
pub mod shield;
pub mod similar;
pub mod slice;
pub mod status;
pub mod storable;
pub mod stored;
mod structured;
pub mod targeted;
#[cfg(test)]
mod testing;
pub mod unkeyed;
pub mod validator;
pub mod variants;

pub use freshness::Source;
pub use groups::Groups;
pub use invalidate::invalidates;
pub use key::{PrimaryKey, StorageKey};
pub use memory::Memory;
pub use policy::{Classes, Layer, Policy, Reach};
pub use purge::{Fate, Stamps};
pub use range::How;
pub use record::Record;
pub use reuse::{Reuse, reuse};
pub use search::Searches;
pub use settle::{HeadEffect, Settled, after_head, settle};
pub use status::{CacheStatus, Detail, Fwd};
pub use storable::{Lifetime, NotStored, storable};
pub use stored::{Exchange, StoredHead};
pub use validator::replace_conditions;
pub use variants::VariantIndex;
