//! What a request shows for itself, not yet believed.

use sha2::{Digest, Sha256};

use super::jwt::UnverifiedToken;
use super::{IdentityConfig, Rejected, hex};
use crate::head::RequestHead;

/// The longest API key that is looked up, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// What a request shows for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// An API key, to be looked up.
    ApiKey {
        /// Its SHA-256, in lower-case hex; the key itself is not kept.
        hash: Box<str>,
    },
    /// A token, to be verified.
    Token(UnverifiedToken),
    /// Something that need not be looked at any further.
    Invalid(Rejected),
}

/// Reads a request's credential: the API key's own field first, then `Authorization: Bearer` (RFC 6750, section 2.1).
/// What has the form of a JWT is never taken for an API key.
pub fn read(head: &RequestHead, config: &IdentityConfig) -> Credential {
    let keys = &config.api_keys;
    if keys.enabled
        && let Some(key) = head.fields.get(&keys.header)
    {
        return api_key(key.trim());
    }
    if config.jwt.is_none() && !(keys.enabled && keys.bearer) {
        return Credential::None;
    }
    let Some(bearer) = head.fields.get("authorization").and_then(bearer) else { return Credential::None };
    match &config.jwt {
        _ if !is_token(bearer) && keys.enabled && keys.bearer => api_key(bearer),
        Some(jwt) if is_token(bearer) => {
            UnverifiedToken::parse(bearer, jwt).map_or_else(Credential::Invalid, Credential::Token)
        }
        // Somebody else's: the origin may know it.
        _ => Credential::None,
    }
}

/// The credential of the Bearer scheme, whose name is case-insensitive (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()).filter(|token| !token.is_empty())
}

fn is_token(text: &str) -> bool {
    text.bytes().filter(|b| *b == b'.').count() == 2
}

fn api_key(key: &str) -> Credential {
    match key.len() {
        0 => Credential::None,
        1..=MAX_KEY_BYTES => Credential::ApiKey { hash: hex(&Sha256::digest(key.as_bytes())).into() },
        _ => Credential::Invalid(Rejected::TooLong),
    }
}
