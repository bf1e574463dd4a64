//! How a pool changes what its endpoints are asked: its own path, fields and secret, so that one request can be put to
//! providers that differ in them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::url::has_dot_segment;

/// `"/v1/chat"`: this path in the place of any. `"/openai/*"`: in front of any. `"/ai/* -> /openai/*"`: the one front for
/// the other, where it is there as whole segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRewrite {
    /// The front that is looked for, without a slash at its end; `None` for any path.
    from: Option<Box<str>>,
    to: Box<str>,
    /// What follows the front stays.
    keeps_rest: bool,
}

impl PathRewrite {
    /// The front that is looked for, what is put in its place, and whether what follows it stays.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn parts(&self) -> (Option<&str>, &str, bool) {
        (self.from.as_deref(), &self.to, self.keeps_rest)
    }

    /// The path that is asked for in the place of this one.
    pub fn apply<'a>(&self, path: &'a str) -> Cow<'a, str> {
        let rest = match &self.from {
            Some(front) => match behind(path, front) {
                Some(rest) => rest,
                None => return path.into(),
            },
            None => path,
        };
        if self.keeps_rest { [&*self.to, rest].concat().into() } else { self.to.to_string().into() }
    }
}

impl FromStr for PathRewrite {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |text: &str| {
            let front = text.trim().strip_suffix("/*");
            let path = front.unwrap_or(text.trim());
            let is_path = path.starts_with('/') || (path.is_empty() && front.is_some());
            let is_plain = path.bytes().all(|b| b.is_ascii_graphic() && !b"*?#\\<>\"".contains(&b));
            (is_path && is_plain && !has_dot_segment(path)).then(|| (Box::from(path), front.is_some()))
        };
        let rule = match text.split_once("->") {
            Some((from, to)) => read(from).zip(read(to)).and_then(|((from, is_front), (to, keeps_rest))| {
                (is_front && keeps_rest).then_some(Self { from: Some(from), to, keeps_rest })
            }),
            None => read(text).map(|(to, keeps_rest)| Self { from: None, to, keeps_rest }),
        };
        rule.ok_or_else(|| {
            mistake!(
                "`{text}` is no rewrite of a path; allowed: \"/v1/chat\" (this path), \"/openai/*\" (in front of \
                 any), \"/ai/* -> /openai/*\" (the one for the other)"
            )
        })
    }
}

impl fmt::Display for PathRewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(from) = &self.from {
            write!(f, "{from}/* -> ")?;
        }
        f.write_str(&self.to)?;
        f.write_str(if self.keeps_rest { "/*" } else { "" })
    }
}

text_serde!(PathRewrite);

/// What follows a front that is there as whole segments: nothing, or from its `/` on.
pub(super) fn behind<'a>(path: &'a str, front: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(front.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// A secret of the deployment, and the field that carries it: `"OPENAI_KEY"` is `"authorization: Bearer OPENAI_KEY"`;
/// `"x-api-key: ANTHROPIC_KEY"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The field, in lower case.
    pub field: Box<str>,
    /// What stands before the secret, with a space at its end, or nothing.
    pub scheme: Box<str>,
    /// The name of the variable.
    pub name: Box<str>,
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, value) = match text.split_once(':') {
            Some((field, value)) => (field, value.trim()),
            None => ("authorization", text.trim()),
        };
        let (scheme, name) = match value.rsplit_once(' ').filter(|_| text.contains(':')) {
            Some((scheme, name)) => ([scheme.trim(), " "].concat(), name),
            None if text.contains(':') => (String::new(), value),
            None => ("Bearer ".to_owned(), value),
        };
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let is_scheme = scheme.bytes().all(|b| matches!(b, b' '..=b'~'));
        if !(is_name && is_scheme && is_field(field)) {
            return Err(mistake!(
                "`{text}` names no secret; allowed: \"OPENAI_KEY\" (sent as `Authorization: Bearer ...`), or with the \
                 field, such as \"x-api-key: ANTHROPIC_KEY\" or \"authorization: Basic APP_LOGIN\""
            ));
        }
        Ok(Self { field: field.to_ascii_lowercase().into(), scheme: scheme.into(), name: name.into() })
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{}", self.field, self.scheme, self.name)
    }
}

text_serde!(Secret);

/// Whether a text is the name of a field that a pool may set: not one that frames the message or says whose it is.
pub(super) fn is_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    is_name
        && !matches!(&*name, "host" | "content-length" | "via" | "cdn-loop")
        && !super::fields::is_hop_by_hop(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_replaced_or_put_behind_another() {
        for (rule, path, expected) in [
            ("/v1/chat", "/ai/complete", "/v1/chat"),
            ("/openai/*", "/complete", "/openai/complete"),
            ("/ai/* -> /openai/v1/*", "/ai/complete", "/openai/v1/complete"),
            ("/ai/* -> /openai/*", "/ai", "/openai"),
            ("/ai/* -> /openai/*", "/aix", "/aix"),
            ("/ai/* -> /openai/*", "/other", "/other"),
            ("/ai/* -> /*", "/ai/x", "/x"),
        ] {
            let read: PathRewrite = rule.parse().unwrap();
            assert_eq!((&*read.apply(path), read.to_string().as_str()), (expected, rule));
        }
        for wrong in ["", "v1", "/a/*/b", "/a?b", "/a/../b", "/a -> /b", "/a/* -> /b", "/a b", "/a/* ->"] {
            assert!(wrong.parse::<PathRewrite>().unwrap_err().contains("; allowed: "), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_named_with_the_field_that_carries_it() {
        for (text, written) in [
            ("OPENAI_KEY", "authorization: Bearer OPENAI_KEY"),
            ("x-api-key: KEY", "x-api-key: KEY"),
            ("Authorization: Basic LOGIN", "authorization: Basic LOGIN"),
        ] {
            let secret: Secret = text.parse().unwrap();
            assert_eq!(secret.to_string(), written);
            assert_eq!(written.parse(), Ok(secret));
        }
        for wrong in ["", "sk-1234", "host: KEY", "x-api-key:", "a b: KEY", "x-api-key: sk-12-34", "te: KEY"]
        {
            assert!(wrong.parse::<Secret>().unwrap_err().contains("; allowed: "), "{wrong}");
        }
    }
}
