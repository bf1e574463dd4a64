//! Who a client is, once it has been proved: the tier it is entitled to and the subject it speaks for.
//!
//! [`credential::read`] takes from a request what it shows. An API key is then looked up by its hash
//! ([`api_key::KeyRecord`]); a token's signature is verified by the platform with the key that [`jwks::Jwks::pick`] or
//! a secret gives, and its claims are checked ([`jwt::Claims::check`]). [`IdentityConfig::settle`] says what it comes
//! to. Nothing else that a client says about itself (a tier header, say) is ever read.

pub mod api_key;
mod config;
pub mod credential;
pub mod jwks;
pub mod jwt;

pub use config::{Algorithm, ApiKeyConfig, IdentityConfig, JwtConfig, KeySource, OnInvalid, Settled};
pub use credential::Credential;

/// A tier's name: `anonymous`, `free`, `pro`, `enterprise`, or what the config adds.
pub type Tier = std::rc::Rc<str>;

/// The longest subject that is believed, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 256;

/// What is known for certain about a client, or that nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the client is entitled to.
    pub tier: Tier,
    /// The verified subject (an API key's owner, a token's `sub`); `None` for anonymous clients.
    pub subject: Option<Box<str>>,
    /// SHA-256 of the API key that was shown, in lower-case hex; `None` where there was none.
    pub key_hash: Option<Box<str>>,
    /// A credential was shown that is not believed here. The origin may believe it, and answer somebody in particular.
    pub unproven: bool,
}

impl Identity {
    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self { tier: "anonymous".into(), subject: None, key_hash: None, unproven: false }
    }
}

/// Why a credential was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejected {
    /// Longer than any credential of ours.
    TooLong,
    /// Not a JWT in compact form (RFC 7515, section 7.1), or its parts are not what they must be.
    MalformedToken,
    /// `alg` is not the one that the config fixes (RFC 8725, section 3.1).
    WrongAlgorithm,
    /// `crit` names an extension (RFC 7515, section 4.1.11).
    CriticalExtension,
    /// No key of the key set fits.
    UnknownKeyId,
    /// The signature is not the key's.
    BadSignature,
    /// There is no `exp`.
    NoExpiry,
    /// `exp` is past.
    Expired,
    /// `nbf` is to come.
    NotYetValid,
    /// `iss` is not the one that the config names.
    WrongIssuer,
    /// `aud` does not name us (RFC 7519, section 4.1.3).
    WrongAudience,
    /// The subject is not a text of a bearable length.
    BadSubject,
    /// The tier is not one of ours.
    UnknownTier,
    /// There is no record of the API key.
    UnknownApiKey,
    /// The API key's record can't be read.
    BadKeyRecord,
    /// The API key was switched off.
    DisabledApiKey,
    /// The API key's time is over.
    ExpiredApiKey,
    /// The key, the key set or the secret could not be had: not the client's fault.
    Unavailable,
}

impl Rejected {
    /// For the log and the counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::MalformedToken => "malformed-token",
            Self::WrongAlgorithm => "wrong-algorithm",
            Self::CriticalExtension => "critical-extension",
            Self::UnknownKeyId => "unknown-key-id",
            Self::BadSignature => "bad-signature",
            Self::NoExpiry => "no-expiry",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::WrongIssuer => "wrong-issuer",
            Self::WrongAudience => "wrong-audience",
            Self::BadSubject => "bad-subject",
            Self::UnknownTier => "unknown-tier",
            Self::UnknownApiKey => "unknown-api-key",
            Self::BadKeyRecord => "bad-key-record",
            Self::DisabledApiKey => "disabled-api-key",
            Self::ExpiredApiKey => "expired-api-key",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}
