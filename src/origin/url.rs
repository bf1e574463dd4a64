//! The URL of an endpoint as a config writes it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::head::Target;

/// An absolute `http` or `https` URL without user information, query and fragment: `https://app.example.com`
/// or, with a base path that every request's path is put behind, `https://app.example.com/v1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct OriginUrl {
    target: Target,
}

impl OriginUrl {
    /// `https://app.example.com`: scheme and authority, without a slash at the end.
    pub fn root(&self) -> &str {
        let url = self.target.url();
        url.get(..url.len() - self.target.path_and_query().len()).unwrap_or(url)
    }

    /// Host and, where it was written, port.
    pub fn authority(&self) -> &str {
        self.target.authority()
    }

    /// The path that comes before every request's path: empty, or `/` and more, without a slash at the end.
    pub fn base_path(&self) -> &str {
        self.target.path().trim_end_matches('/')
    }
}

impl FromStr for OriginUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            mistake!("`{text}` {what}; allowed: http:// or https://, a host, perhaps a port and a base path")
        };
        if text.contains(|c: char| c.is_ascii_whitespace() || c.is_ascii_control()) {
            return Err(wrong("has white space or a control character in it"));
        }
        if text.contains(['?', '#']) {
            return Err(wrong("has a query or a fragment"));
        }
        let target = Target::parse(text).map_err(|_| wrong("is not the URL of an origin"))?;
        if target.authority().contains('@') {
            return Err(wrong("has user information (put credentials into a secret)"));
        }
        if !is_authority(&target) {
            return Err(wrong("has a host or a port that cannot be"));
        }
        if has_dot_segment(target.path()) {
            return Err(wrong("has `.` or `..` in its path"));
        }
        Ok(Self { target })
    }
}

/// `name`, `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
fn is_authority(target: &Target) -> bool {
    let host = target.host();
    let host_is_good = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    let port = target.authority().get(host.len()..).unwrap_or_default();
    host_is_good
        && match port.strip_prefix(':') {
            Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
            None => port.is_empty(),
        }
}

/// Whether a text may be a host name: letters, digits, `-`, `_` and `.`.
pub(super) fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Whether a segment of the path is `.` or `..`, written plainly or with `%2e`. A URL parser resolves such
/// segments, so a path with one leaves the base path that it is put behind.
pub fn has_dot_segment(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| {
        let mut rest = segment;
        let mut dots = 0;
        loop {
            rest = match rest.strip_prefix('.') {
                Some(rest) => rest,
                None => match rest.split_at_checked(3) {
                    Some((escape, rest)) if escape.eq_ignore_ascii_case("%2e") => rest,
                    _ => break,
                },
            };
            dots += 1;
        }
        rest.is_empty() && matches!(dots, 1 | 2)
    })
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.root())?;
        f.write_str(self.base_path())
    }
}

text_serde!(OriginUrl, packed);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_host_and_perhaps_a_base_path() {
        for (text, root, base) in [
            ("https://app.example.com", "https://app.example.com", ""),
            ("https://app.example.com/", "https://app.example.com", ""),
            ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080", "/v1"),
            ("http://[::1]:9000/a/b", "http://[::1]:9000", "/a/b"),
        ] {
            let url: OriginUrl = text.parse().unwrap();
            assert_eq!((url.root(), url.base_path()), (root, base), "{text}");
            assert_eq!(url.to_string().parse::<OriginUrl>().unwrap().to_string(), format!("{root}{base}"));
        }
    }

    #[test]
    fn what_cannot_be_an_origin_is_refused_with_what_is_allowed() {
        for (text, what) in [
            ("app.example.com", "not the URL"),
            ("ftp://a", "not the URL"),
            ("https://", "not the URL"),
            ("https://a/?x=1", "query"),
            ("https://a#x", "fragment"),
            ("https://user:secret@a/", "user information"),
            ("https://a b/", "white space"),
            ("https://a:0/", "port"),
            ("https://a:70000/", "port"),
            ("https://a:b/", "host"),
            ("https://[::g]/", "host"),
            ("https://::1/", "host"),
            ("https://a/v1/../", "`..`"),
            ("https://a/%2E./x", "`..`"),
        ] {
            let error = text.parse::<OriginUrl>().unwrap_err();
            assert!(error.contains(what) && error.contains("; allowed: "), "{text}: {error}");
        }
    }

    #[test]
    fn dot_segments_are_seen_however_they_are_written() {
        for path in ["/..", "/a/../b", "/%2e%2E/a", "/.%2e", "/a/.", "/%2e/", "/a\\..\\b"] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in ["/", "/a..b", "/...", "/.well-known/x", "/%2e%2e%2e", "/a.", "/%2"] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }
}
