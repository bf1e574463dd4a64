//! Whether a route's `match` holds for a request, and how special it is: precedence is the `Ord` of
//! [`Specificity`].

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::path::PathPattern;
use crate::cache::rules::FieldName;
use crate::head::{Fields, Method, RequestHead};
use crate::list::Dict;

/// `match = { host, path, methods, headers }`: all that are given must hold; none given matches everything.
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct Match {
    /// `example.com`, or `*.example.com` for every name below it (not for itself). The port does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostPattern>,
    /// See [`PathPattern`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathPattern>,
    /// `["GET", "POST"]`; GET includes HEAD. Empty: every method.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<MethodName>,
    /// Field name to its exact value, or to `"*"`: it only has to be there.
    #[serde(skip_serializing_if = "HeaderRules::is_empty")]
    pub headers: HeaderRules,
}

/// Which part of a `match` does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// Another host.
    Host,
    /// Another path.
    Path,
    /// Another method.
    Method,
    /// A header is missing or has another value.
    Header,
}

impl Mismatch {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "another host",
            Self::Path => "another path",
            Self::Method => "another method",
            Self::Header => "a header is missing or different",
        }
    }
}

impl Match {
    /// Whether it holds for a request whose path, in its normal form, is `path`.
    ///
    /// # Errors
    /// The first part that does not hold.
    pub fn holds(&self, request: &RequestHead, path: &[u8]) -> Result<(), Mismatch> {
        if self.path.as_ref().is_some_and(|pattern| !pattern.matches(path)) {
            return Err(Mismatch::Path);
        }
        if self.host.as_ref().is_some_and(|pattern| !pattern.matches(request.target.host())) {
            return Err(Mismatch::Host);
        }
        if !self.methods.is_empty() && !self.methods.iter().any(|name| name.covers(&request.method)) {
            return Err(Mismatch::Method);
        }
        if self.headers.hold(&request.fields) { Ok(()) } else { Err(Mismatch::Header) }
    }

    /// Whether it holds for every request.
    pub fn is_everything(&self) -> bool {
        self.host.is_none()
            && self.path.as_ref().is_none_or(|pattern| pattern.glob() == "/**")
            && self.methods.is_empty()
            && self.headers.is_empty()
    }

    /// Whether it holds for exactly the requests that another one holds for, as far as their texts tell.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let glob = |rule: &Self| match &rule.path {
            Some(pattern) => pattern.glob().to_owned(),
            None => "/**".to_owned(),
        };
        let has_all = |a: &Self, b: &Self| a.methods.iter().all(|method| b.methods.contains(method));
        self.host == other.host
            && glob(self) == glob(other)
            && has_all(self, other)
            && has_all(other, self)
            && self.headers == other.headers
    }

    /// How special it is.
    pub fn specificity(&self) -> Specificity {
        Specificity {
            host: self.host.as_ref().map_or(HostRank::Any, HostPattern::rank),
            path: self.path.as_ref().map_or(PathRank::default(), |pattern| PathRank {
                literal: pattern.is_literal(),
                prefix_bytes: pattern.literal_prefix().len(),
                literal_bytes: pattern.as_str().bytes().filter(|b| *b != b'*').count(),
                depths: Reverse(pattern.glob().matches("**").count()),
            }),
            methods: !self.methods.is_empty(),
            headers: self.headers.0.len(),
        }
    }
}

/// How special a `match` is: of the routes that match, the greatest wins, and among equals the one that stands
/// first in the file. The parts count in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    /// An exact host, before a wildcard (the longer first), before none.
    pub host: HostRank,
    /// See [`PathRank`].
    pub path: PathRank,
    /// Methods are named.
    pub methods: bool,
    /// So many headers are named.
    pub headers: usize,
}

/// How special a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRank {
    /// No host is given.
    Any,
    /// `*.example.com`, with so many bytes after the star.
    Wildcard(usize),
    /// `example.com`.
    Exact,
}

/// How special a path is: one without wildcards, then the longer literal text before the first wildcard, then
/// the more literal text in all, then the fewer parts that may be of any depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PathRank {
    /// It has no wildcard.
    pub literal: bool,
    /// The bytes before the first wildcard.
    pub prefix_bytes: usize,
    /// The bytes that are no wildcards.
    pub literal_bytes: usize,
    /// How often it has `**`, a final `/*` included.
    pub depths: Reverse<usize>,
}

impl fmt::Display for Specificity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            HostRank::Any => write!(f, "any host")?,
            HostRank::Wildcard(_) => write!(f, "wildcard host")?,
            HostRank::Exact => write!(f, "exact host")?,
        }
        match self.path {
            PathRank { literal: true, .. } => write!(f, ", exact path")?,
            PathRank { prefix_bytes: 0, .. } => write!(f, ", any path")?,
            PathRank { prefix_bytes, .. } => write!(f, ", path with {prefix_bytes} literal bytes in front")?,
        }
        write!(f, ", {} method", if self.methods { "named" } else { "any" })?;
        match self.headers {
            0 => Ok(()),
            1 => write!(f, ", 1 header"),
            n => write!(f, ", {n} headers"),
        }
    }
}

/// A host to match: exact, or `*.` and a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct HostPattern(Box<str>);

impl HostPattern {
    /// Whether a request's host matches; case and one trailing dot do not count.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self.0.strip_prefix('*') {
            None => host.eq_ignore_ascii_case(&self.0),
            Some(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .filter(|at| *at > 0)
                .and_then(|at| host.get(at..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(suffix)),
        }
    }

    /// As it was written, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn rank(&self) -> HostRank {
        match self.0.strip_prefix('*') {
            Some(suffix) => HostRank::Wildcard(suffix.len()),
            None => HostRank::Exact,
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_address = name.starts_with('[') && name.ends_with(']');
        let is_name = !name.is_empty()
            && name.split('.').all(|label| !label.is_empty())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if is_address || is_name {
            return Ok(Self(text.to_ascii_lowercase().into()));
        }
        Err(mistake!(
            "`{text}` is not a host; allowed: a name such as \"example.com\" or \"*.example.com\", without scheme, \
             port or path"
        ))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_serde!(HostPattern, packed);

/// A method's name as a config writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodName(Method);

impl MethodName {
    /// As it stands on the wire.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it only reads ([`Method::is_safe`]).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn is_safe(&self) -> bool {
        self.0.is_safe()
    }

    /// Whether a route that names this method takes a request with that one: GET takes HEAD too.
    pub fn covers(&self, method: &Method) -> bool {
        self.0 == *method || (self.0 == Method::Get && *method == Method::Head)
    }
}

impl FromStr for MethodName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_upper = !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        if is_upper {
            return Ok(Self(Method::from(text)));
        }
        Err(mistake!(
            "`{text}` is not a method; allowed: a name in capitals such as \"GET\", \"POST\", \"QUERY\""
        ))
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_serde!(MethodName);

/// The fields that a request must have.
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq, Default)]
#[serde(remote = "Self")]
pub struct HeaderRules(Vec<(FieldName, Box<str>)>);

impl HeaderRules {
    /// Each name, and the value that it must have; `None`: it only has to be there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), Some(&**value).filter(|value| *value != "*")))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn hold(&self, fields: &Fields) -> bool {
        self.iter().all(|(name, value)| match value {
            None => fields.contains(name),
            Some(value) => fields.get_all(name).any(|sent| sent == value),
        })
    }
}

impl TryFrom<Dict<String, String>> for HeaderRules {
    type Error = String;

    fn try_from(table: Dict<String, String>) -> Result<Self, String> {
        let rule = |(name, value): (String, String)| Ok((FieldName::try_from(name)?, value.into()));
        table.into_iter().map(rule).collect::<Result<_, String>>().map(Self)
    }
}

impl From<HeaderRules> for Dict<String, String> {
    fn from(rules: HeaderRules) -> Self {
        rules.0.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
    }
}

packed_serde!(HeaderRules as Dict<String, String>);

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: serde_json::Value) -> Match {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn hosts_match_exactly_or_below_a_star() {
        for (pattern, hits, misses) in [
            (
                "example.com",
                &["example.com", "EXAMPLE.com", "example.com."][..],
                &["a.example.com", "xample.com"][..],
            ),
            (
                "*.example.com",
                &["a.example.com", "a.b.example.com", "A.Example.com."],
                &["example.com", "badexample.com", ".example.com.evil"],
            ),
        ] {
            let parsed: HostPattern = pattern.parse().unwrap();
            for host in hits {
                assert!(parsed.matches(host), "{pattern} should match {host}");
            }
            for host in misses {
                assert!(!parsed.matches(host), "{pattern} should not match {host}");
            }
        }
        for text in ["", "https://a", "a:80", "*", "*.", "a..b", "a/b", "*.*.a"] {
            assert!(text.parse::<HostPattern>().unwrap_err().contains("; allowed: "), "{text}");
        }
    }

    #[test]
    fn every_part_has_to_hold() {
        let rule = of(serde_json::json!({
            "host": "a.example", "path": "/x/*", "methods": ["GET"], "headers": { "X-Beta": "*", "X-V": "2" }
        }));
        let mut request = RequestHead::new(Method::Head, "https://a.example:8443/x/y").unwrap();
        assert_eq!(rule.holds(&request, b"/x/y"), Err(Mismatch::Header));
        request.fields = Fields::from_pairs([("x-beta", ""), ("x-v", "2")]);
        assert_eq!(rule.holds(&request, b"/x/y"), Ok(()), "GET takes HEAD");
        assert_eq!(rule.holds(&request, b"/y"), Err(Mismatch::Path));
        request.method = Method::Post;
        assert_eq!(rule.holds(&request, b"/x/y"), Err(Mismatch::Method));
        request.target = crate::head::Target::parse("https://b.example/x").unwrap();
        assert_eq!(rule.holds(&request, b"/x/y"), Err(Mismatch::Host));
    }

    #[test]
    fn precedence_is_host_then_path_then_methods_then_headers() {
        let rising = [
            serde_json::json!({}),
            serde_json::json!({ "headers": { "a": "*" } }),
            serde_json::json!({ "methods": ["GET"] }),
            serde_json::json!({ "path": "/*" }),
            serde_json::json!({ "path": "/api/*" }),
            serde_json::json!({ "path": "/api/**/x" }),
            serde_json::json!({ "path": "/api/*/x" }),
            serde_json::json!({ "path": "/api/v1/*" }),
            serde_json::json!({ "path": "/api/v1/*", "methods": ["GET"] }),
            serde_json::json!({ "path": "/api" }),
            serde_json::json!({ "host": "*.example.com" }),
            serde_json::json!({ "host": "*.a.example.com" }),
            serde_json::json!({ "host": "example.com" }),
            serde_json::json!({ "host": "example.com", "path": "/*" }),
        ];
        let ranks: Vec<_> = rising.into_iter().map(|json| of(json).specificity()).collect();
        assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "{ranks:#?}");
    }
}
