//! Paths as routes see them: normal forms that a client cannot dress up, and the patterns they are held against.
//!
//! An origin may read one path in two ways. `/api%2Fusers` is one segment to a server that keeps to RFC 3986,
//! and two to one that decodes first; `/api/..;/public` leaves `/api` on a servlet container and on no other.
//! So there are two readings, [`Reading::Strict`] and [`Reading::Lenient`]. A path whose readings lead to
//! different routes could be used to slip past a policy, and [`super::Table::classify`] refuses it; all others
//! are routed, and the origin gets the path as it came.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// How a path is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As RFC 3986 says: dot segments are resolved first, then all is decoded but `%2F` and `%5C`.
    Strict,
    /// As the most obliging origin might: parameters (`;x=1`) dropped, all decoded, `\` is `/`, and only then
    /// dot segments resolved.
    Lenient,
}

/// The form of a path that routes are matched on, under one reading: decoded, empty segments merged, dot
/// segments resolved, `;` parameters and a slash at the end dropped (many origins answer `/login/` as `/login`).
/// Begins with `/`. Bytes, because what is decoded need not be UTF-8.
pub fn normal(path: &str, reading: Reading) -> Cow<'_, [u8]> {
    if is_plain(path) {
        return Cow::Borrowed(without_last_slash(path).as_bytes());
    }
    let mut segments: Vec<Vec<u8>> = Vec::new();
    match reading {
        Reading::Strict => {
            for raw in path.split('/') {
                let dots = decode(raw.as_bytes(), &[]);
                push_segment(&mut segments, &dots, decode(without_parameters(raw), b"/\\"));
            }
        }
        Reading::Lenient => {
            for raw in path.split('/') {
                for part in decode(without_parameters(raw), &[]).split(|b| matches!(b, b'/' | b'\\')) {
                    push_segment(&mut segments, part, part.to_vec());
                }
            }
        }
    }
    let mut whole = Vec::with_capacity(path.len());
    for segment in &segments {
        whole.push(b'/');
        whole.extend_from_slice(segment);
    }
    if whole.is_empty() {
        whole.push(b'/');
    }
    Cow::Owned(whole)
}

fn without_last_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path)
}

/// Whether both readings leave the path as it is, but for a slash at its end: the common case, which costs one scan
/// and no allocation.
fn is_plain(path: &str) -> bool {
    let mut previous = b'x';
    for byte in path.bytes() {
        match byte {
            b'%' | b';' | b'\\' => return false,
            b'/' | b'.' if previous == b'/' => return false,
            _ => previous = byte,
        }
    }
    path.starts_with('/')
}

fn push_segment(segments: &mut Vec<Vec<u8>>, dots: &[u8], segment: Vec<u8>) {
    match dots {
        b"." => {}
        b".." => drop(segments.pop()),
        _ if segment.is_empty() => {}
        _ => segments.push(segment),
    }
}

fn without_parameters(segment: &str) -> &[u8] {
    segment.split(';').next().unwrap_or_default().as_bytes()
}

/// Decodes `%XX`; what stands for a byte of `kept` stays encoded, in lower-case hex.
fn decode(bytes: &[u8], kept: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let decoded = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|(h, l)| h << 4 | l),
            _ => None,
        };
        match decoded {
            Some(byte) => {
                let (code, tail) = tail.split_at(2);
                rest = tail;
                if kept.contains(&byte) {
                    out.push(b'%');
                    out.extend(code.iter().map(u8::to_ascii_lowercase));
                } else {
                    out.push(byte);
                }
            }
            None => out.push(*first),
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// A path pattern: `*` stands for anything within a segment, `**` (a whole segment) for any number of
/// segments, `{a,b}` for one of several. A final `/*` means everything below, as in Cloudflare's and Hono's
/// patterns, and the parent itself: `/api/*` matches `/api`, `/api/`, `/api/a` and `/api/a/b`.
#[derive(Debug, Clone, PartialEq, Eq)]
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

text_serde!(PathPattern);

/// A path prefix of whole segments: `/v1`, `/app/v1`. A slash at the end is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
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

text_serde!(PathPrefix);

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(path: &str) -> String {
        String::from_utf8_lossy(&normal(path, Reading::Strict)).into_owned()
    }

    fn lenient(path: &str) -> String {
        String::from_utf8_lossy(&normal(path, Reading::Lenient)).into_owned()
    }

    #[test]
    fn both_readings_agree_where_there_is_nothing_to_argue_about() {
        for (path, form) in [
            ("/", "/"),
            ("/api/x", "/api/x"),
            ("/%61pi/x", "/api/x"),
            ("/%41PI/x", "/API/x"),
            ("//api///x", "/api/x"),
            ("/api/x/", "/api/x"),
            ("//", "/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2E/c", "/c"),
            ("/../../c", "/c"),
            ("/.well-known/x", "/.well-known/x"),
            ("/api;v=1/x;y", "/api/x"),
            ("/caf%C3%A9", "/café"),
            ("/100%", "/100%"),
            ("/%zz", "/%zz"),
            ("/a%252Fb", "/a%2Fb"),
        ] {
            assert_eq!((strict(path).as_str(), lenient(path).as_str()), (form, form), "{path}");
        }
    }

    #[test]
    fn the_readings_part_where_origins_do() {
        for (path, as_rfc, as_obliging) in [
            ("/api%2Fx", "/api%2fx", "/api/x"),
            ("/api%5cx", "/api%5cx", "/api/x"),
            ("/api\\x", "/api\\x", "/api/x"),
            ("/api/..%2Fpublic", "/api/..%2fpublic", "/public"),
            ("/api/..;/public", "/api/../public", "/public"),
            ("/a/%2e%2e%2f%2e%2e/b", "/a/..%2f../b", "/b"),
        ] {
            assert_eq!((strict(path).as_str(), lenient(path).as_str()), (as_rfc, as_obliging), "{path}");
        }
    }

    #[test]
    fn a_plain_path_is_not_copied() {
        assert!(matches!(normal("/api/v1/users.json", Reading::Strict), Cow::Borrowed(_)));
    }

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
