//! JSON Web Tokens (RFC 7519) in compact form: everything but the signature's arithmetic, which the platform does.

use super::{Identity, IdentityConfig, JwtConfig, MAX_SUBJECT_BYTES, Rejected};
use crate::base64url;
use crate::json::Value;
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
        let parts = signing_input.split_once('.').filter(|(_, payload)| !payload.contains('.'));
        let (header, _) = parts.ok_or(Rejected::MalformedToken)?;
        let header = object(header)?;
        if header.get("alg").and_then(Value::as_str) != Some(config.algorithm.as_str()) {
            return Err(Rejected::WrongAlgorithm);
        }
        if header.get("crit").is_some() {
            return Err(Rejected::CriticalExtension);
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::Text(key_id)) => Some(key_id.as_str().into()),
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
    base64url::decode(part).ok_or(Rejected::MalformedToken)
}

/// A part that is a JSON object.
fn object(part: &str) -> Result<Value, Rejected> {
    let text = String::from_utf8(decode(part)?).map_err(|_| Rejected::MalformedToken)?;
    Value::parse(&text).filter(|value| matches!(value, Value::Table(_))).ok_or(Rejected::MalformedToken)
}

/// What a token with a verified signature says. It is believed only after [`Self::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct Claims(Value);

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
        let subject = match self.0.get(&jwt.subject_claim) {
            None | Some(Value::Null) => None,
            Some(Value::Text(subject)) if (1..=MAX_SUBJECT_BYTES).contains(&subject.len()) => {
                Some(subject.as_str().into())
            }
            Some(_) => return Err(Rejected::BadSubject),
        };
        let until = self.date(&[&jwt.tier_claim, "_until"].concat())?;
        let named = match until {
            Some(until) if now >= until => self.0.get(&[&jwt.tier_claim, "_then"].concat()),
            _ => self.0.get(&jwt.tier_claim),
        };
        let named = match named {
            None | Some(Value::Null) => None,
            Some(tier) => Some(tier.as_str().ok_or(Rejected::UnknownTier)?),
        };
        Ok(Identity { tier: config.tier(named)?, subject, key_hash: None, unproven: false })
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
            (Some(Value::Text(aud)), Some(audience)) => aud == audience,
            (Some(Value::List(list)), Some(audience)) => {
                list.iter().any(|aud| aud.as_str() == Some(audience))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);

    fn config(jwt: &str) -> JwtConfig {
        serde_json::from_str(&format!(r#"{{"algorithm":"HS256","secret_binding":"S"{jwt}}}"#)).unwrap()
    }

    fn token(header: &str, claims: &str) -> String {
        format!(
            "{}.{}.{}",
            base64url::encode(header.as_bytes()),
            base64url::encode(claims.as_bytes()),
            base64url::encode(b"sig")
        )
    }

    fn parse(text: &str) -> Result<UnverifiedToken, Rejected> {
        UnverifiedToken::parse(text, &config(""))
    }

    #[test]
    fn only_the_algorithm_of_the_config_is_read() {
        for (header, expected) in [
            (r#"{"alg":"HS256","typ":"JWT"}"#, None),
            (r#"{"alg":"HS256","kid":"k1"}"#, None),
            (r#"{"alg":"none"}"#, Some(Rejected::WrongAlgorithm)),
            (r#"{"alg":"hs256"}"#, Some(Rejected::WrongAlgorithm)),
            (r#"{"alg":"RS256"}"#, Some(Rejected::WrongAlgorithm)),
            (r#"{"alg":["HS256"]}"#, Some(Rejected::WrongAlgorithm)),
            (r#"{"typ":"JWT"}"#, Some(Rejected::WrongAlgorithm)),
            (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, Some(Rejected::CriticalExtension)),
            (r#"{"alg":"HS256","crit":null}"#, Some(Rejected::CriticalExtension)),
            (r#"{"alg":"HS256","kid":7}"#, Some(Rejected::MalformedToken)),
            ("[]", Some(Rejected::MalformedToken)),
            ("", Some(Rejected::MalformedToken)),
        ] {
            assert_eq!(parse(&token(header, "{}")).err(), expected, "{header}");
        }
    }

    #[test]
    fn what_is_no_compact_token_is_malformed() {
        let good = token(r#"{"alg":"HS256"}"#, "{}");
        for text in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c",
            &good.replace('.', ""),
            &format!("{good}="),
            &format!("{good}.e30"),
        ] {
            assert_eq!(parse(text).err(), Some(Rejected::MalformedToken), "{text}");
        }
        assert_eq!(parse(&"a".repeat(MAX_TOKEN_BYTES + 1)).err(), Some(Rejected::TooLong));
    }

    #[test]
    fn the_claims_are_shown_only_behind_a_right_signature() {
        // RFC 7515, appendix A.1.1; its parts are separated by line breaks in the JSON.
        let header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
        let payload =
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let example = parse(&format!("{header}.{payload}.{signature}")).unwrap();
        assert_eq!(example.signing_input(), format!("{header}.{payload}").as_bytes());
        assert_eq!((example.signature().first(), example.signature().len()), (Some(&116), 32));
        assert_eq!(example.verified(false), Err(Rejected::BadSignature));
        let claims = example.verified(true).unwrap();
        let checked = claims.check(&config(r#","issuer":"joe""#), &IdentityConfig::default(), NOW);
        assert_eq!(checked, Err(Rejected::Expired), "in 2011");
        let list = parse(&token(r#"{"alg":"HS256"}"#, "[]")).unwrap();
        assert_eq!(list.verified(true).err(), Some(Rejected::MalformedToken));
    }

    #[test]
    fn claims_are_believed_only_where_all_of_them_hold() {
        let jwt = config(r#","issuer":"https://id.example","audience":"api","leeway":"10s""#);
        let good = r#""exp":1789000100,"iss":"https://id.example","aud":"api""#;
        for (claims, expected) in [
            (format!(r#"{good},"sub":"u1","tier":"pro""#), Ok(("pro", Some("u1")))),
            (format!(r#"{good},"sub":"u1""#), Ok(("free", Some("u1")))),
            (format!(r#"{good},"tier":null"#), Ok(("free", None))),
            (format!(r#"{good},"tier":"pro","tier_until":1789000001"#), Ok(("pro", None))),
            (format!(r#"{good},"tier":"pro","tier_until":1789000000"#), Ok(("free", None))),
            (
                format!(r#"{good},"tier":"pro","tier_until":1,"tier_then":"anonymous""#),
                Ok(("anonymous", None)),
            ),
            (format!(r#"{good},"tier":"pro","tier_until":1,"tier_then":7"#), Err(Rejected::UnknownTier)),
            (format!(r#"{good},"tier":"pro","tier_until":"soon""#), Err(Rejected::MalformedToken)),
            (format!(r#"{good},"nbf":1789000010"#), Ok(("free", None))),
            (format!(r#"{good},"nbf":1789000011"#), Err(Rejected::NotYetValid)),
            (good.replace(r#""api""#, r#"["web","api"]"#), Ok(("free", None))),
            (good.replace("1789000100", "1788999990.5"), Ok(("free", None))),
            (good.replace("1789000100", "1e300"), Ok(("free", None))),
            (good.replace("1789000100", "1788999990"), Err(Rejected::Expired)),
            (good.replace("1789000100", "-1"), Err(Rejected::MalformedToken)),
            (good.replace("1789000100", r#""1789000100""#), Err(Rejected::MalformedToken)),
            (good.replace("exp", "expires"), Err(Rejected::NoExpiry)),
            (good.replace("https://id", "https://evil"), Err(Rejected::WrongIssuer)),
            (good.replace("iss", "issuer"), Err(Rejected::WrongIssuer)),
            (good.replace(r#""api""#, r#""web""#), Err(Rejected::WrongAudience)),
            (good.replace(r#""api""#, r#"["web",7]"#), Err(Rejected::WrongAudience)),
            (good.replace("aud", "audience"), Err(Rejected::WrongAudience)),
            (format!(r#"{good},"tier":"root""#), Err(Rejected::UnknownTier)),
            (format!(r#"{good},"tier":["pro"]"#), Err(Rejected::UnknownTier)),
            (format!(r#"{good},"sub":7"#), Err(Rejected::BadSubject)),
            (format!(r#"{good},"sub":"""#), Err(Rejected::BadSubject)),
            (format!(r#"{good},"sub":"{}""#, "u".repeat(MAX_SUBJECT_BYTES + 1)), Err(Rejected::BadSubject)),
        ] {
            let text = token(r#"{"alg":"HS256"}"#, &format!("{{{claims}}}"));
            let found =
                parse(&text).unwrap().verified(true).unwrap().check(&jwt, &IdentityConfig::default(), NOW);
            let found = found.as_ref().map(|identity| (&*identity.tier, identity.subject.as_deref()));
            assert_eq!(found.map_err(|why| *why), expected, "{claims}");
        }
    }

    #[test]
    fn a_token_for_an_audience_is_for_nobody_else() {
        let claims =
            Claims(Value::parse(r#"{"exp":1789000100,"aud":"web","plan":"pro","user":"u"}"#).unwrap());
        let check = |jwt: &str| claims.check(&config(jwt), &IdentityConfig::default(), NOW);
        assert_eq!(check(""), Err(Rejected::WrongAudience));
        let named = check(r#","audience":"web","tier_claim":"plan","subject_claim":"user""#).unwrap();
        assert_eq!((&*named.tier, named.subject.as_deref()), ("pro", Some("u")));
    }
}
