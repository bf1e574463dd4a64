//! JSON Web Tokens (RFC 7519) in compact form: everything but the signature's arithmetic, which the platform does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Identity, IdentityConfig, JwtConfig, MAX_SUBJECT_BYTES, Rejected};
use crate::time::Timestamp;

/// The longest token that is read, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8192;

/// A token whose signature nobody has verified. Its claims can't be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedToken {
    signing_input: Box<str>,
    signature: Box<[u8]>,
    key_id: Option<Box<str>>,
}

impl UnverifiedToken {
    /// Takes a token apart (RFC 7515, section 5.2).
    ///
    /// # Errors
    /// Where it is no token, or not one that this config could ever believe.
    pub fn parse(text: &str, config: &JwtConfig) -> Result<Self, Rejected> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Rejected::TooLong);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(Rejected::MalformedToken)?;
        let (header, _) = signing_input.split_once('.').ok_or(Rejected::MalformedToken)?;
        let header = object(header)?;
        if header.get("alg").and_then(Value::as_str) != Some(config.algorithm.as_str()) {
            return Err(Rejected::WrongAlgorithm);
        }
        if header.contains_key("crit") {
            return Err(Rejected::CriticalExtension);
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(key_id)) => Some(key_id.as_str().into()),
            Some(_) => return Err(Rejected::MalformedToken),
        };
        Ok(Self { signing_input: signing_input.into(), signature: decode(signature)?.into(), key_id })
    }

    /// The bytes that were signed.
    pub fn signing_input(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The key's name in its key set, where the token says it.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The claims, where the platform found that the signature is the key's.
    ///
    /// # Errors
    /// Where it is not, or the claims are no JSON object.
    pub fn verified(&self, signature_is_right: bool) -> Result<Claims, Rejected> {
        if !signature_is_right {
            return Err(Rejected::BadSignature);
        }
        let (_, payload) = self.signing_input.split_once('.').ok_or(Rejected::MalformedToken)?;
        object(payload).map(Claims)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Rejected> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejected::MalformedToken)
}

/// A part that is a JSON object.
fn object(part: &str) -> Result<Map<String, Value>, Rejected> {
    serde_json::from_slice(&decode(part)?).map_err(|_| Rejected::MalformedToken)
}

/// What a token with a verified signature says. It is believed only after [`Self::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Whether the token holds here and now, and for whom (RFC 7519, section 4.1). `exp` is required; what is there is
    /// checked.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn check(
        &self,
        jwt: &JwtConfig,
        config: &IdentityConfig,
        now: Timestamp,
    ) -> Result<Identity, Rejected> {
        let leeway = jwt.leeway;
        if now >= self.date("exp")?.ok_or(Rejected::NoExpiry)? + leeway {
            return Err(Rejected::Expired);
        }
        if self.date("nbf")?.is_some_and(|from| now + leeway < from) {
            return Err(Rejected::NotYetValid);
        }
        if jwt.issuer.as_deref().is_some_and(|issuer| self.text("iss") != Some(issuer)) {
            return Err(Rejected::WrongIssuer);
        }
        if !self.is_for(jwt.audience.as_deref()) {
            return Err(Rejected::WrongAudience);
        }
        let subject = match self.0.get(&*jwt.subject_claim) {
            None | Some(Value::Null) => None,
            Some(Value::String(subject)) if (1..=MAX_SUBJECT_BYTES).contains(&subject.len()) => {
                Some(subject.as_str().into())
            }
            Some(_) => return Err(Rejected::BadSubject),
        };
        let named = match self.0.get(&*jwt.tier_claim) {
            None | Some(Value::Null) => None,
            Some(tier) => Some(tier.as_str().ok_or(Rejected::UnknownTier)?),
        };
        Ok(Identity { tier: config.tier(named)?, subject, key_hash: None })
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim)?.as_str()
    }

    /// A NumericDate: seconds since the epoch, which may have a fraction (RFC 7519, section 2).
    fn date(&self, claim: &str) -> Result<Option<Timestamp>, Rejected> {
        let Some(value) = self.0.get(claim) else { return Ok(None) };
        let secs = value.as_f64().filter(|secs| *secs >= 0.0).ok_or(Rejected::MalformedToken)?;
        // A float that is too large becomes the largest number there is.
        Ok(Some(Timestamp::from_millis((secs * 1000.0) as u64)))
    }

    /// `aud` is one text or a list of them. A token that names an audience is for nobody else.
    fn is_for(&self, audience: Option<&str>) -> bool {
        match (self.0.get("aud"), audience) {
            (None, None) => true,
            (Some(Value::String(aud)), Some(audience)) => aud == audience,
            (Some(Value::Array(list)), Some(audience)) => {
                list.iter().any(|aud| aud.as_str() == Some(audience))
            }
            _ => false,
        }
    }
}
