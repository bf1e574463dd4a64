//! What the whole fleet shares, and each isolate may be behind with for some seconds.
//!
//! One Durable Object is authoritative: it takes commands ([`object::step`]) and holds a [`Document`]. It spreads the
//! document through one KV key, written at most once a second. Isolates read it in the background every `fleet.refresh`;
//! who gave a command gets the new document with the answer. A document is newer than another by its version alone; no
//! clock is compared with another.
//!
//! A section is a line of the document. To add one: a field of [`Document`] with its letter, and a command of
//! [`object::step`] that changes it.

mod document;
pub mod object;
pub mod request;
pub mod warm;

pub use document::Document;

use crate::time::Span;

/// How long after a command the object may take to write the document to KV.
const WRITE_WITHIN: Span = Span::from_secs(1);
/// How long after that KV may take to show it everywhere.
const KV_LAG_MAX: Span = Span::from_secs(60);

/// After how long every isolate knows of a command, at this [`crate::config::FleetSection::refresh`].
pub fn holds_within(refresh: Span) -> Span {
    WRITE_WITHIN.saturating_add(KV_LAG_MAX).saturating_add(refresh)
}
