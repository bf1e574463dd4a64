//! Keys: the primary key is text that two requests share exactly when the route's rules call them the same; the
//! storage key is its hash, under which colo and KV keep things.

use super::rules::KeyRules;
use crate::head::{Fields, Target};
use crate::identity::Identity;

/// What is asked for, normalised (RFC 9111, section 2). Memory is keyed by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PrimaryKey(Box<str>);

/// SHA-256 over a primary key, or over a primary and a secondary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StorageKey(pub [u8; 32]);

impl PrimaryKey {
    /// The key of a target, asked for with these fields by this client.
    pub fn new(target: &Target, fields: &Fields, rules: &KeyRules, identity: &Identity) -> Self {
        let _ = (fields, rules, identity);
        Self(target.url().into())
    }

    /// The key of the same target asked for with content: the SHA-256 of that content counts too.
    pub fn with_body(&self, sha256: [u8; 32]) -> Self {
        let _ = sha256;
        self.clone()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the response, or the index of its variants, is kept.
    pub fn storage_key(&self) -> StorageKey {
        StorageKey([0; 32])
    }

    /// Where the variant is kept that was selected by this secondary key.
    pub fn variant_key(&self, secondary: &str) -> StorageKey {
        let _ = secondary;
        StorageKey([0; 32])
    }
}

impl StorageKey {
    /// 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        String::new()
    }
}
