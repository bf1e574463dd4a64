//! Path patterns, held against the normal form of a path ([`crate::path`]). A path whose readings lead to different
//! routes is refused by [`super::Table::classify`]; all others are routed, and the origin gets the path as it came.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::path::without_last_slash;

/// A path pattern: `*` stands for anything within a segment, `**` (a whole segment) for any number of
/// segments, `{a,b}` for one of several. A final `/*` means everything below, as in Cloudflare's and Hono's
/// patterns, and the parent itself: `/api/*` matches `/api`, `/api/`, `/api/a` and `/api/a/b`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct PathPattern {
    text: Box<str>,
    glob: Box<str>,
}

/// What a path pattern may be.
pub const PATH_FORM: &str = "a path that begins with `/`, with `*` (within a segment), `**` (a whole segment: any \
                             number of segments), `{a,b}` (one of several) and a final `/*` (everything below)";

/// How long a path pattern may be, in bytes.
pub const PATTERN_BYTES_MAX: usize = 256;

impl PathPattern {
    /// Whether a path in its normal form matches.
    pub fn matches(&self, normal: &[u8]) -> bool {
        // `**` needs a segment; the parent belongs to it too.
        let parent = self.glob.strip_suffix("/**").map(|parent| if parent.is_empty() { "/" } else { parent });
        fast_glob::glob_match(&*self.glob, normal)
            || parent.is_some_and(|parent| fast_glob::glob_match(parent, normal))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern with a final `/*` written out as `/**`, and without a slash at its end.
    pub fn glob(&self) -> &str {
        &self.glob
    }

    /// The part before the first wildcard.
    pub fn literal_prefix(&self) -> &str {
        self.text.split(['*', '{']).next().unwrap_or_default()
    }

    /// Whether it has no wildcard.
    pub fn is_literal(&self) -> bool {
        self.literal_prefix().len() == self.text.len()
    }
}

impl FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| mistake!("`{text}` {what}; allowed: {PATH_FORM}");
        if !text.starts_with('/') {
            return Err(wrong("does not begin with `/`"));
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(wrong(&mistake!("is longer than {PATTERN_BYTES_MAX} bytes")));
        }
        if let Some(bad) = text.chars().find(|c| "?#%[]\\!;".contains(*c) || c.is_control()) {
            return Err(wrong(&match bad {
                '?' | '#' => mistake!("has a `{bad}`: a pattern is held against the path alone"),
                '%' => {
                    "has a `%`: write the character itself, paths are decoded before they are matched".into()
                }
                _ => mistake!("has `{bad}`, which no pattern may hold"),
            }));
        }
        if text.split('/').any(|segment| segment.contains("**") && segment != "**") {
            return Err(wrong("has `**` beside other characters in one segment"));
        }
        if text.contains("//") || text.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(wrong("has an empty or a dot segment, which no normal path has"));
        }
        if fast_glob::validate(text).is_err() || text.matches('{').count() != text.matches('}').count() {
            return Err(wrong("has a `{` without its `}`, or too many"));
        }
        let glob = match text.strip_suffix("/*") {
            Some(parent) => format!("{parent}/**").into(),
            None => without_last_slash(text).into(),
        };
        Ok(Self { text: text.into(), glob })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

text_serde!(PathPattern, packed);

/// A path prefix of whole segments: `/v1`, `/app/v1`. A slash at the end is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// `/_tidegate`
    pub fn tidegate() -> Self {
        Self("/_tidegate".into())
    }

    /// `/v1`
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path, or the front of a pattern, begins with it as whole segments.
    pub fn is_prefix_of(&self, path: &str) -> bool {
        path.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for PathPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let prefix = text.strip_suffix('/').unwrap_or(text);
        let is_good = prefix.starts_with('/')
            && prefix.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\\"<>^`{}|*".contains(&b))
            && prefix.split('/').skip(1).all(|segment| !matches!(segment, "" | "." | ".."));
        if is_good {
            return Ok(Self(prefix.into()));
        }
        Err(mistake!("`{text}` is not a path prefix; allowed: whole segments such as \"/v1\" or \"/app/v1\""))
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_serde!(PathPrefix, packed);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{Reading, normal};

    #[test]
    fn patterns_match_as_documented() {
        for (pattern, hits, misses) in [
            (
                "/api/*",
                &["/api", "/api/", "/api/a", "/api/a/b", "/api/a/b/"][..],
                &["/", "/apis", "/x/api/a"][..],
            ),
            ("/*", &["/", "/a", "/a/b"], &[]),
            ("/**", &["/", "/a", "/a/b"], &[]),
            ("/a/*/c", &["/a/b/c"], &["/a/c", "/a/b/b/c", "/a/b/c/d"]),
            ("/a/**/c", &["/a/b/c", "/a/b/b/c", "/a/c"], &["/a/b", "/c"]),
            ("/img/*.png", &["/img/x.png"], &["/img/a/x.png", "/img/x.jpg"]),
            ("/{a,b}/*", &["/a", "/a/x", "/b/x/y"], &["/c/x"]),
            ("/**/z", &["/z", "/z/", "/q/z", "/q/r/z"], &["/", "/zz"]),
            ("/a/**/b/*", &["/a/b", "/a/b/c", "/a/x/b", "/a/x/b/y"], &["/a", "/a/", "/b/a"]),
            ("/{a,b}/*/x{1,2}", &["/a/q/x1", "/b/q/x2"], &["/b/q/x3", "/a/x1"]),
            ("/exact", &["/exact", "/exact/"], &["/exact/x", "/Exact"]),
            ("/exact/", &["/exact", "/exact/"], &["/exact/x"]),
            ("/", &["/", "//"], &["/x"]),
        ] {
            let parsed: PathPattern = pattern.parse().unwrap();
            for path in hits {
                assert!(parsed.matches(&normal(path, Reading::Strict)), "{pattern} should match {path}");
            }
            for path in misses {
                assert!(!parsed.matches(&normal(path, Reading::Strict)), "{pattern} should not match {path}");
            }
        }
    }

    #[test]
    fn a_wrong_pattern_says_what_is_allowed() {
        for text in
            ["", "api", "/a?b", "/%61", "/a**", "/[a]", "/a//b", "/a/../b", "/{a", "/a}", "/a;b", "/!x"]
        {
            assert!(text.parse::<PathPattern>().unwrap_err().contains("; allowed: "), "{text}");
        }
    }
}
