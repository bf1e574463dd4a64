//! A stored response's head: what is served, and what decides whether it may be.

use super::policy::Policy;
use super::range::How;
use super::storable::Lifetime;
use super::variants::{Selecting, VariantIndex};
use crate::head::{Fields, RequestHead, ResponseHead};
use crate::time::Timestamp;

/// A stored response without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHead {
    /// 200 to 999.
    pub status: u16,
    /// The fields to be served; Age is not among them.
    pub fields: Fields,
    /// When the response came.
    pub response_time: Timestamp,
    /// Its corrected initial age in seconds (RFC 9111, section 4.2.3).
    pub initial_age_secs: u32,
    /// Freshness lifetime in seconds.
    pub lifetime_secs: u32,
    /// How long it may be used stale while it is refreshed, in seconds.
    pub stale_while_revalidate_secs: u32,
    /// How long it may stand in for an error, in seconds.
    pub stale_if_error_secs: u32,
    /// It is validated before each use.
    pub no_cache: bool,
    /// Clients cannot ask for it stale.
    pub must_revalidate: bool,
    /// RFC 8246.
    pub immutable: bool,
    /// The request's values of the fields that Vary names.
    pub selecting: Selecting,
    /// The body's length in bytes; whoever has counted the body sets it where Content-Length did not.
    pub body_bytes: Option<u64>,
    /// Cache tags, for purging.
    pub tags: Vec<Box<str>>,
}

/// A text that is no stored head of this version: a miss, to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// What a store holds under a storage key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The response itself. Its body is the stored body.
    Response(StoredHead),
    /// The names of the variants that are kept under storage keys of their own. It has no body.
    Variants(VariantIndex),
}

/// KV takes so many bytes of metadata, written as JSON.
pub const METADATA_BYTES_MAX: usize = 1024;

impl Record {
    /// As one text of printable characters, readable by [`Self::decode`].
    pub fn encode(&self) -> String {
        String::new()
    }

    /// # Errors
    /// [`Unreadable`] where the text is broken or from a newer version.
    pub fn decode(text: &str) -> Result<Self, Unreadable> {
        let _ = text;
        Err(Unreadable)
    }
}

/// How many bytes a text takes as a JSON string, quotes included.
pub fn json_bytes(text: &str) -> usize {
    text.len()
}

impl StoredHead {
    /// From a storable response to this request, which was sent at `request_time` and answered at `response_time`.
    pub fn new(
        request: &RequestHead,
        response: &ResponseHead,
        lifetime: &Lifetime,
        policy: &Policy,
        request_time: Timestamp,
        response_time: Timestamp,
    ) -> Self {
        let _ = (request, lifetime, policy, request_time);
        Self {
            status: response.status,
            fields: response.fields.clone(),
            response_time,
            initial_age_secs: 0,
            lifetime_secs: 0,
            stale_while_revalidate_secs: 0,
            stale_if_error_secs: 0,
            no_cache: false,
            must_revalidate: false,
            immutable: false,
            selecting: Selecting::default(),
            body_bytes: None,
            tags: Vec::new(),
        }
    }

    /// Seconds since the origin made it (RFC 9111, section 4.2.3).
    pub fn current_age(&self, now: Timestamp) -> u32 {
        let _ = now;
        self.initial_age_secs
    }

    /// Seconds for which it stays fresh; zero or less where it is stale.
    pub fn ttl(&self, now: Timestamp) -> i64 {
        i64::from(self.lifetime_secs) - i64::from(self.current_age(now))
    }

    /// The head that the client gets: Age is recomputed, Date is the origin's.
    pub fn serve(&self, how: &How, now: Timestamp) -> ResponseHead {
        let _ = (how, now);
        ResponseHead { status: self.status, fields: self.fields.clone() }
    }
}

impl AsRef<Self> for StoredHead {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl StoredHead {
    /// TEMPORARY until the cache room lands.
    pub fn conditions(&self) -> Fields {
        Fields::new()
    }
}
