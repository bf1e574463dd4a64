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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Method;

    /// `{"alg":"HS256"}`, `{}` and no signature.
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.e30.";

    fn shown(fields: &[(&str, &str)], config: &IdentityConfig) -> &'static str {
        let mut head = RequestHead::new(Method::Get, "https://a.example/").unwrap();
        for (name, value) in fields {
            head.fields.append(name, value);
        }
        match read(&head, config) {
            Credential::None => "none",
            Credential::ApiKey { .. } => "key",
            Credential::Token(_) => "token",
            Credential::Invalid(why) => why.as_str(),
        }
    }

    fn configs() -> [IdentityConfig; 3] {
        let jwt = serde_json::from_str(r#"{"jwt":{"algorithm":"HS256","secret_binding":"S"}}"#).unwrap();
        let nothing = serde_json::from_str(r#"{"api_keys":{"enabled":false}}"#).unwrap();
        [IdentityConfig::default(), jwt, nothing]
    }

    #[test]
    fn a_credential_is_read_from_where_the_config_says() {
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        let bearer = format!("Bearer {TOKEN}");
        for (field, expected) in [
            (("x-api-key", "secret"), ["key", "key", "none"]),
            (("x-api-key", " "), ["none", "none", "none"]),
            (("x-api-key", &*long), ["too-long", "too-long", "none"]),
            (("authorization", "bearer  secret"), ["key", "key", "none"]),
            (("authorization", "Bearer"), ["none", "none", "none"]),
            (("authorization", "Bearer "), ["none", "none", "none"]),
            (("authorization", "Basic dTpw"), ["none", "none", "none"]),
            (("authorization", &*bearer), ["none", "token", "none"]),
            (("authorization", "Bearer a.b.c"), ["none", "malformed-token", "none"]),
            (("authorization", "Bearer a.b"), ["key", "key", "none"]),
            (("x-ratelimit-tier", "enterprise"), ["none", "none", "none"]),
        ] {
            for (config, expected) in configs().iter().zip(expected) {
                assert_eq!(shown(&[field], config), expected, "{field:?}");
            }
        }
        let both = [("authorization", &*bearer), ("x-api-key", "secret")];
        assert_eq!(shown(&both, &configs()[1]), "key", "its own field comes first");
    }

    #[test]
    fn a_key_is_known_by_its_hash_alone() {
        let mut head = RequestHead::new(Method::Get, "https://a.example/").unwrap();
        head.fields.append("x-api-key", " abc ");
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into();
        assert_eq!(
            read(&head, &IdentityConfig::default()),
            Credential::ApiKey { hash },
            "FIPS 180-4, SHA-256 of abc"
        );
    }
}
