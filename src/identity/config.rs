//! What a config says about identifying clients.

use serde::{Deserialize, Serialize};

use super::{Identity, Rejected, Tier};
use crate::head::Target;
use crate::time::Span;

/// What a credential that is not believed comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInvalid {
    /// The client is anonymous, and it is counted.
    #[default]
    Anonymous,
    /// 401.
    Refuse,
}

/// `[identity]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct IdentityConfig {
    /// The tiers that there are. Default `anonymous`, `free`, `pro`, `enterprise`; `anonymous` must be among them.
    pub tiers: Vec<Tier>,
    /// The tier of a verified client whose key or token names none. Default `"free"`.
    pub default_tier: Tier,
    /// Default `"anonymous"`.
    pub on_invalid: OnInvalid,
    /// API keys.
    pub api_keys: ApiKeyConfig,
    /// JSON Web Tokens. Default: none are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtConfig>,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            tiers: ["anonymous", "free", "pro", "enterprise"].map(Tier::from).to_vec(),
            default_tier: "free".into(),
            on_invalid: OnInvalid::default(),
            api_keys: ApiKeyConfig::default(),
            jwt: None,
        }
    }
}

/// `[identity.api_keys]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct ApiKeyConfig {
    /// Default true.
    pub enabled: bool,
    /// The header field that carries a key, in lower case. Default `"x-api-key"`.
    pub header: Box<str>,
    /// Whether `Authorization: Bearer` may carry one too, where it does not have the form of a JWT. Default true.
    pub bearer: bool,
}

impl Default for ApiKeyConfig {
    fn default() -> Self {
        Self { enabled: true, header: "x-api-key".into(), bearer: true }
    }
}

/// The signature algorithms of tokens (RFC 7518, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256 and a shared secret.
    #[serde(rename = "HS256")]
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA with P-256 and SHA-256; the signature is r and s, as WebCrypto wants it.
    #[serde(rename = "ES256")]
    Es256,
}

impl Algorithm {
    /// As it stands in `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// Where the key comes from that a token is verified with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySource {
    /// HS256: the secret of this name among the Worker's variables.
    Secret(Box<str>),
    /// RS256, ES256: the JSON Web Key Set at this URL.
    Jwks(Box<str>),
}

/// `[identity.jwt]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct JwtConfig {
    /// The one algorithm that tokens may be signed with.
    pub algorithm: Algorithm,
    /// Where its key comes from: `secret_binding` or `jwks_url`.
    pub key_source: KeySource,
    /// What `iss` must be. Default: anything.
    pub issuer: Option<Box<str>>,
    /// What `aud` must be or hold. Without it, a token that names an audience is meant for somebody else.
    pub audience: Option<Box<str>>,
    /// How far clocks may differ. Default 30 s.
    pub leeway: Span,
    /// The claim that names the tier. Default `"tier"`.
    pub tier_claim: Box<str>,
    /// The claim that names the subject. Default `"sub"`.
    pub subject_claim: Box<str>,
}

/// As [`JwtConfig`] stands in a file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JwtFields {
    algorithm: Algorithm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_binding: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks_url: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audience: Option<Box<str>>,
    #[serde(default = "default_leeway")]
    leeway: Span,
    #[serde(default = "default_tier_claim")]
    tier_claim: Box<str>,
    #[serde(default = "default_subject_claim")]
    subject_claim: Box<str>,
}

fn default_leeway() -> Span {
    Span::from_secs(30)
}

fn default_tier_claim() -> Box<str> {
    "tier".into()
}

fn default_subject_claim() -> Box<str> {
    "sub".into()
}

impl TryFrom<JwtFields> for JwtConfig {
    type Error = String;

    fn try_from(fields: JwtFields) -> Result<Self, String> {
        let algorithm = fields.algorithm;
        let key_source = match (algorithm, fields.secret_binding, fields.jwks_url) {
            (Algorithm::Hs256, Some(name), None) if !name.is_empty() => KeySource::Secret(name),
            (Algorithm::Hs256, ..) => {
                return Err(mistake!("HS256 needs a secret; allowed: `secret_binding` and no `jwks_url`"));
            }
            (_, None, Some(url)) if is_trustworthy(&url) => KeySource::Jwks(url),
            _ => {
                let name = algorithm.as_str();
                return Err(mistake!(
                    "{name} needs a key set; allowed: `jwks_url = \"https://...\"` and no `secret_binding`"
                ));
            }
        };
        Ok(Self {
            algorithm,
            key_source,
            issuer: fields.issuer,
            audience: fields.audience,
            leeway: fields.leeway,
            tier_claim: fields.tier_claim,
            subject_claim: fields.subject_claim,
        })
    }
}

/// Keys that anybody on the way could replace prove nothing; only the own machine needs no TLS.
fn is_trustworthy(url: &str) -> bool {
    Target::parse(url).is_ok_and(|target| {
        target.scheme() == "https" || matches!(target.host(), "localhost" | "127.0.0.1" | "[::1]")
    })
}

impl From<JwtConfig> for JwtFields {
    fn from(config: JwtConfig) -> Self {
        let (secret_binding, jwks_url) = match config.key_source {
            KeySource::Secret(name) => (Some(name), None),
            KeySource::Jwks(url) => (None, Some(url)),
        };
        Self {
            algorithm: config.algorithm,
            secret_binding,
            jwks_url,
            issuer: config.issuer,
            audience: config.audience,
            leeway: config.leeway,
            tier_claim: config.tier_claim,
            subject_claim: config.subject_claim,
        }
    }
}

packed_serde!(JwtConfig as JwtFields);

/// What identifying a client came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Go on as this client; with the reason where a credential was not believed.
    As(Identity, Option<Rejected>),
    /// 401.
    Refuse(Rejected),
}

impl IdentityConfig {
    /// What a checked credential comes to. A key that can't be had is never the client's fault, so it is never a 401.
    pub fn settle(&self, checked: Result<Identity, Rejected>) -> Settled {
        match checked {
            Ok(identity) => Settled::As(identity, None),
            Err(why) if self.on_invalid == OnInvalid::Refuse && why != Rejected::Unavailable => {
                Settled::Refuse(why)
            }
            Err(why) => Settled::As(Identity { unproven: true, ..Identity::anonymous() }, Some(why)),
        }
    }

    /// The tier of a verified client: the one that it names, else the default one.
    pub(super) fn tier(&self, named: Option<&str>) -> Result<Tier, Rejected> {
        let Some(name) = named else { return Ok(self.default_tier.clone()) };
        self.tiers.iter().find(|tier| tier.as_ref() == name).cloned().ok_or(Rejected::UnknownTier)
    }

    /// What is wrong with the keys taken together, each as the key's name and a message.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if !self.tiers.iter().any(|tier| tier.as_ref() == "anonymous") {
            found.push((
                "tiers",
                "lacks the tier of unknown clients; allowed: a list with `anonymous`".to_owned(),
            ));
        }
        let fits = |tier: &&Tier| {
            !tier.is_empty()
                && tier.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if let Some(tier) = self.tiers.iter().find(|tier| !fits(tier)) {
            found.push((
                "tiers",
                format!("`{tier}` is not a tier's name; allowed: letters, digits, \"-\", \"_\", \".\""),
            ));
        }
        if !self.tiers.contains(&self.default_tier) {
            let tiers = self.tiers.join(", ");
            found.push(("default_tier", format!("`{}` is not a tier; allowed: {tiers}", self.default_tier)));
        }
        let header = &self.api_keys.header;
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if header.is_empty() || !header.bytes().all(is_name) {
            found.push((
                "api_keys.header",
                format!("`{header}` is not a field name; allowed: lower case, \"x-api-key\""),
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_config_names_the_one_key_that_its_algorithm_needs() {
        for (text, expected) in [
            (r#"{"algorithm":"HS256","secret_binding":"S"}"#, Some(KeySource::Secret("S".into()))),
            (
                r#"{"algorithm":"RS256","jwks_url":"https://a.example/k"}"#,
                Some(KeySource::Jwks("https://a.example/k".into())),
            ),
            (
                r#"{"algorithm":"ES256","jwks_url":"http://127.0.0.1:9/k"}"#,
                Some(KeySource::Jwks("http://127.0.0.1:9/k".into())),
            ),
            (r#"{"algorithm":"ES256","jwks_url":"http://a.example/k"}"#, None),
            (r#"{"algorithm":"HS256","jwks_url":"https://a.example/k"}"#, None),
            (r#"{"algorithm":"HS256","secret_binding":"S","jwks_url":"https://a.example/k"}"#, None),
            (r#"{"algorithm":"RS256","secret_binding":"S"}"#, None),
            (r#"{"algorithm":"RS256"}"#, None),
            (r#"{"algorithm":"none","secret_binding":"S"}"#, None),
            (r#"{"algorithm":"HS256","secret_binding":"S","secret":"x"}"#, None),
        ] {
            let config = serde_json::from_str::<JwtConfig>(text);
            assert_eq!(config.as_ref().ok().map(|config| config.key_source.clone()), expected, "{text}");
            if let Ok(config) = config {
                let written = serde_json::to_string(&config).unwrap();
                assert_eq!(serde_json::from_str::<JwtConfig>(&written).unwrap(), config);
            }
        }
    }

    #[test]
    fn what_does_not_go_together_is_said_with_what_is_allowed() {
        assert_eq!(IdentityConfig::default().problems(), []);
        for (text, key) in [
            (r#"{"tiers":["free"]}"#, "tiers"),
            (r#"{"tiers":["anonymous","free","a b"]}"#, "tiers"),
            (r#"{"default_tier":"gold"}"#, "default_tier"),
            (r#"{"api_keys":{"header":"X-Key"}}"#, "api_keys.header"),
        ] {
            let config: IdentityConfig = serde_json::from_str(text).unwrap();
            let problems = config.problems();
            assert_eq!(problems.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key], "{text}");
            assert!(problems[0].1.contains("; allowed: "), "{problems:?}");
        }
    }

    #[test]
    fn a_credential_that_is_not_believed_makes_nobody() {
        let lenient = IdentityConfig::default();
        let strict = IdentityConfig { on_invalid: OnInvalid::Refuse, ..IdentityConfig::default() };
        let unproven = Identity { unproven: true, ..Identity::anonymous() };
        let nobody = |why| Settled::As(unproven.clone(), Some(why));
        assert_eq!(lenient.settle(Err(Rejected::Expired)), nobody(Rejected::Expired));
        assert_eq!(strict.settle(Err(Rejected::Expired)), Settled::Refuse(Rejected::Expired));
        assert_eq!(
            strict.settle(Err(Rejected::Unavailable)),
            nobody(Rejected::Unavailable),
            "not the client's fault"
        );
        assert_eq!(strict.settle(Ok(Identity::anonymous())), Settled::As(Identity::anonymous(), None));
    }
}
