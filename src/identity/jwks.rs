//! JSON Web Key Sets (RFC 7517): which key a token is to be verified with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::Algorithm;

/// The largest key set that is read, in bytes.
pub const MAX_JWKS_BYTES: usize = 65_536;
/// The most keys of it that are kept.
pub const MAX_KEYS: usize = 64;
/// The shortest RSA modulus that is used, in bytes: 2048 bits (RFC 7518, section 3.3).
const MIN_MODULUS_BYTES: usize = 256;

/// The keys of a set that can verify RS256 or ES256. Others are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwks(Vec<Key>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    json: Box<str>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: Box<str>,
    kid: Option<Box<str>>,
    #[serde(rename = "use")]
    purpose: Option<Box<str>>,
    key_ops: Option<Vec<Box<str>>>,
    alg: Option<Box<str>>,
    n: Option<Box<str>>,
    e: Option<Box<str>>,
    crv: Option<Box<str>>,
    x: Option<Box<str>>,
    y: Option<Box<str>>,
}

impl Jwks {
    /// Reads a key set; `None` where it is not one. Keys that can't be used are left out (RFC 7517, section 5).
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_JWKS_BYTES {
            return None;
        }
        let set: Set = serde_json::from_str(text).ok()?;
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.usable());
        Some(Self(keys.take(MAX_KEYS).collect()))
    }

    /// The public key that verifies a token, as a JWK with nothing in it but the key (RFC 7517, section 4), for
    /// WebCrypto's `importKey`. A token without a key id fits only where one key of its algorithm is there.
    pub fn pick(&self, key_id: Option<&str>, algorithm: Algorithm) -> Option<&str> {
        let mut fitting = self.0.iter().filter(|key| {
            key.algorithm == algorithm && key_id.is_none_or(|wanted| key.id.as_deref() == Some(wanted))
        });
        let key = fitting.next()?;
        (key_id.is_some() || fitting.next().is_none()).then_some(&*key.json)
    }
}

impl Jwk {
    fn usable(self) -> Option<Key> {
        let verifies = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| &**op == "verify"));
        let (algorithm, json) = match &*self.kty {
            "RSA" => {
                let (n, e) = (self.n?, self.e?);
                if decode(&n)?.iter().skip_while(|byte| **byte == 0).count() < MIN_MODULUS_BYTES {
                    return None;
                }
                decode(&e)?;
                (Algorithm::Rs256, format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#))
            }
            "EC" if self.crv.as_deref() == Some("P-256") => {
                let (x, y) = (self.x?, self.y?);
                if decode(&x)?.len() != 32 || decode(&y)?.len() != 32 {
                    return None;
                }
                (Algorithm::Es256, format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#))
            }
            _ => return None,
        };
        let fits = self.alg.as_deref().is_none_or(|alg| alg == algorithm.as_str());
        (verifies && fits).then_some(Key { id: self.kid, algorithm, json: json.into() })
    }
}

/// What decodes holds nothing that would have to be escaped in JSON.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
