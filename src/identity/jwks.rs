//! JSON Web Key Sets (RFC 7517): which key a token is to be verified with.

use super::Algorithm;
use crate::base64url;
use crate::json::Value;

/// The largest key set that is read, in bytes.
pub const MAX_JWKS_BYTES: usize = 65_536;
/// The most keys of it that are kept.
pub const MAX_KEYS: usize = 64;
/// The shortest RSA modulus that is used, in bytes: 2048 bits (RFC 7518, section 3.3).
const MIN_MODULUS_BYTES: usize = 256;
/// Of a point on P-256 (RFC 7518, section 6.2.1.2).
const COORDINATE_BYTES: usize = 32;

/// The keys of a set that can verify RS256 or ES256. Others are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwks(Vec<Key>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    json: Box<str>,
}

impl Jwks {
    /// Reads a key set; `None` where it is not one. Keys that can't be used are left out (RFC 7517, section 5).
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_JWKS_BYTES {
            return None;
        }
        let set = Value::parse(text)?;
        let keys = set.get("keys")?.as_list()?.iter().filter_map(Key::read);
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

impl Key {
    /// Reads a key that can verify; `None` where it can't.
    fn read(jwk: &Value) -> Option<Self> {
        let text = |name| jwk.get(name).and_then(Value::as_str);
        let verifies = match jwk.get("key_ops").and_then(Value::as_list) {
            Some(operations) => operations.iter().any(|operation| operation.as_str() == Some("verify")),
            None => text("use").is_none_or(|purpose| purpose == "sig"),
        };
        let (algorithm, json) = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let (n, e) = (text("n")?, text("e")?);
                let modulus = decode(n)?;
                if modulus.iter().skip_while(|byte| **byte == 0).count() < MIN_MODULUS_BYTES {
                    return None;
                }
                decode(e)?;
                (Algorithm::Rs256, format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#))
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (text("x")?, text("y")?);
                if decode(x)?.len() != COORDINATE_BYTES || decode(y)?.len() != COORDINATE_BYTES {
                    return None;
                }
                (Algorithm::Es256, format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#))
            }
            _ => return None,
        };
        let fits = text("alg").is_none_or(|alg| alg == algorithm.as_str());
        (verifies && fits).then(|| Self { id: text("kid").map(Box::from), algorithm, json: json.into() })
    }
}

/// Base64url text; what decodes holds nothing that would have to be escaped in JSON.
fn decode(text: &str) -> Option<Vec<u8>> {
    base64url::decode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsa(bytes: usize, more: &str) -> String {
        let modulus = base64url::encode(&vec![0xc5; bytes]);
        format!(r#"{{"kty":"RSA","n":"{modulus}","e":"AQAB"{more}}}"#)
    }

    fn ec(more: &str) -> String {
        // RFC 7515, appendix A.3.1.
        let (x, y) =
            ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"{more}}}"#)
    }

    fn set(keys: &[String]) -> Jwks {
        Jwks::parse(&format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap()
    }

    #[test]
    fn a_key_is_picked_by_id_and_algorithm() {
        let keys = set(&[
            rsa(256, r#","kid":"a","use":"sig","alg":"RS256""#),
            rsa(512, r#","kid":"b","key_ops":["verify"]"#),
            ec(r#","kid":"a","d":"private""#),
        ]);
        assert_eq!(keys.pick(Some("a"), Algorithm::Rs256), Some(&*rsa(256, "")));
        assert_eq!(keys.pick(Some("b"), Algorithm::Rs256), Some(&*rsa(512, "")));
        assert_eq!(keys.pick(Some("a"), Algorithm::Es256), Some(&*ec("")), "and nothing of it but the key");
        assert_eq!(keys.pick(None, Algorithm::Es256), Some(&*ec("")), "the only one");
        assert_eq!(keys.pick(None, Algorithm::Rs256), None, "there are two");
        assert_eq!(keys.pick(Some("c"), Algorithm::Rs256), None);
        assert_eq!(keys.pick(Some("b"), Algorithm::Es256), None);
    }

    #[test]
    fn keys_that_can_not_verify_are_left_out() {
        for key in [
            rsa(255, ""),
            rsa(256, r#","use":"enc""#),
            rsa(256, r#","alg":"RS512""#),
            rsa(256, r#","key_ops":["encrypt"]"#),
            rsa(256, "").replace("AQAB", "A\\\""),
            ec("").replace("P-256", "P-384"),
            ec("").replace("f83O", ""),
            r#"{"kty":"oct","k":"c2VjcmV0"}"#.to_owned(),
            "7".to_owned(),
        ] {
            assert_eq!(set(std::slice::from_ref(&key)), Jwks(vec![]), "{key}");
        }
        for text in ["", "{}", r#"{"keys":{}}"#, &format!("{}{{}}", " ".repeat(MAX_JWKS_BYTES))] {
            assert_eq!(Jwks::parse(text), None);
        }
        assert_eq!(set(&vec![ec(""); MAX_KEYS + 1]).0.len(), MAX_KEYS);
    }
}
