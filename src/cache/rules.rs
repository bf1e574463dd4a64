//! The rules of a route's keys: what makes two requests the same, and how Vary is read.

use serde::{Deserialize, Serialize};

use crate::head::{Fields, Method};
use crate::identity::Identity;
use crate::size::Size;

/// The name of a header field, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct FieldName(Box<str>);

impl FieldName {
    /// RFC 9213, section 3.
    pub fn cdn_cache_control() -> Self {
        Self("cdn-cache-control".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a text is a token (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if is_token(&name) {
            Ok(Self(name.to_ascii_lowercase().into()))
        } else {
            Err(mistake!("`{name}` is not a field name; allowed: letters, digits and !#$%&'*+-.^_`|~"))
        }
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> Self {
        name.0.into()
    }
}

packed_serde!(FieldName as String);

/// The name of a query parameter, or with a `*` at its end the start of one: `gclid`, `utm_*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct NamePattern(Box<str>);

impl NamePattern {
    /// Whether this (decoded) name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => *self.0 == *name,
        }
    }
}

impl TryFrom<String> for NamePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.find('*') {
            _ if text.is_empty() => {
                Err("`` is no name; allowed: a parameter's name, or its start and `*`".into())
            }
            Some(at) if at + 1 != text.len() => {
                Err(mistake!("`{text}` has a `*` before its end; allowed: one `*`, as the last character"))
            }
            _ => Ok(Self(text.into())),
        }
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> Self {
        pattern.0.into()
    }
}

packed_serde!(NamePattern as String);

/// A method whose content may be part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReadingMethod {
    /// Safe by its definition (RFC 10008).
    Query,
    /// Where the route's requests only read: GraphQL, search, generation.
    Post,
}

/// What makes two requests the same, apart from the path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct KeyRules {
    /// Query parameters that do not count; default none.
    pub drop: Vec<NamePattern>,
    /// Where it is there, only these query parameters count; default absent: all do.
    pub keep_only: Option<Vec<NamePattern>>,
    /// Whether the order of differently named parameters does not count; default false: it does.
    pub sort: bool,
    /// Request fields that count; default none.
    pub headers: Vec<FieldName>,
    /// Cookies that count; default none.
    pub cookies: Vec<Box<str>>,
    /// Whether the class of the device counts: mobile, tablet or desktop; default false.
    pub device: bool,
    /// Methods whose responses are stored under the content of the request besides its URL; default none. Requests with
    /// them change nothing at the origin.
    pub body: Vec<ReadingMethod>,
    /// The longest such content; default 256KiB. What is longer, or does not say how long it is, goes past the cache.
    pub body_bytes_max: Size,
    /// Whether each verified subject has responses of its own; default false.
    pub per_user: bool,
    /// Whether host and port count; default true.
    pub host: bool,
    /// Whether http and https differ; default true.
    pub scheme: bool,
    /// What keeps the responses of two routes apart where their URLs do not; whoever compiles the config
    /// sets it, and changes it with these rules.
    #[serde(skip)]
    pub scope: Box<str>,
}

impl Default for KeyRules {
    fn default() -> Self {
        Self {
            drop: Vec::new(),
            keep_only: None,
            sort: false,
            headers: Vec::new(),
            cookies: Vec::new(),
            device: false,
            body: Vec::new(),
            body_bytes_max: Size::from_kib(256),
            per_user: false,
            host: true,
            scheme: true,
            scope: "".into(),
        }
    }
}

impl KeyRules {
    /// Whether not all of a query counts, or not in its order.
    pub(super) fn picks(&self) -> bool {
        self.sort || self.keep_only.is_some() || !self.drop.is_empty()
    }

    /// Whether a GET of one URL may have several keys, which a write to it can't name and makes invalid all the same.
    pub fn splits(&self) -> bool {
        self.device || !self.headers.is_empty() || !self.cookies.is_empty()
    }

    /// Whether the key is that of one verified user, for whom this is as good as a private cache (RFC 9111, section 3.5). The
    /// origin may know nobody else: a cookie tells it of a session, and an Authorization beside an API key of another user.
    pub(super) fn is_of_one_user(&self, fields: &Fields, identity: &Identity) -> bool {
        let mut authorization = fields.get_all("authorization");
        let proves = match (authorization.next(), authorization.next()) {
            (None, _) => true,
            (Some(_), None) => identity.key_hash.is_none(),
            (Some(_), Some(_)) => false,
        };
        let counts = self.per_user && identity.subject.is_some() && !identity.unproven;
        counts && proves && !fields.contains("cookie")
    }

    /// Whether the content of a request with this method is part of the key.
    pub fn has_body(&self, method: &Method) -> bool {
        match method {
            Method::Query => self.body.contains(&ReadingMethod::Query),
            Method::Post => self.body.contains(&ReadingMethod::Post),
            _ => false,
        }
    }
}

/// How two values of a negotiation field are compared (RFC 9111, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// White space and letter case aside, they must be the same.
    #[default]
    Exact,
    /// The order of members and the way their weights are written do not count.
    Normalise,
    /// Besides, a stored response whose language is among those that the request likes best will do.
    /// For Accept-Encoding the same as `normalise`.
    Select,
}

/// How Vary is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct VaryRules {
    /// How Accept-Encoding is compared; default `"exact"`.
    pub accept_encoding: Compare,
    /// How Accept-Language is compared; default `"exact"`.
    pub accept_language: Compare,
    /// The most names a stored response's Vary may hold; default 8.
    pub names_max: usize,
    /// The most variants kept under one primary key, the oldest goes first; default 12.
    pub variants_max: usize,
}

impl Default for VaryRules {
    fn default() -> Self {
        Self {
            accept_encoding: Compare::Exact,
            accept_language: Compare::Exact,
            names_max: 8,
            variants_max: 12,
        }
    }
}
