//! What an HTTP message says before its body: plain data that every room reads.

use std::cell::OnceCell;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A request method (RFC 9110, section 9). Unknown ones are kept as they came; methods are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// PATCH (RFC 5789)
    Patch,
    /// QUERY: safe and idempotent, with a body (RFC 10008)
    Query,
    /// TRACE
    Trace,
    /// Any other method, as it came.
    Other(Box<str>),
}

impl Method {
    /// As it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Query => "QUERY",
            Self::Trace => "TRACE",
            Self::Other(name) => name,
        }
    }

    /// Whether it is defined as read-only, by RFC 9110, section 9.2.1, or in the registry of methods (section 16.1.1).
    /// Unknown methods are not.
    pub fn is_safe(&self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Options | Self::Query | Self::Trace => true,
            Self::Other(name) => matches!(&**name, "PROPFIND" | "REPORT" | "SEARCH"),
            _ => false,
        }
    }

    /// Whether sending it twice is as good as once (RFC 9110, section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "PATCH" => Self::Patch,
            "QUERY" => Self::Query,
            "TRACE" => Self::Trace,
            _ => Self::Other(name.into()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Header fields in the order in which they came: slices into one packed text, so that a head is two
/// allocations whatever it holds, and crosses into and out of wasm as one string.
///
/// Names are lower case, as the platform hands them over. Values never hold a line break.
#[derive(Clone, Default)]
pub struct Fields {
    text: String,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    start: u32,
    colon: u32,
    end: u32,
}

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// From name and value pairs; names are made lower case.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut fields = Self::new();
        for (name, value) in pairs {
            fields.append(name, value);
        }
        fields
    }

    /// Takes over a packed text: from byte `start` on, lines that alternate between name and value, each ended
    /// by `\n`. A name without a value is dropped.
    pub fn from_packed(text: String, start: usize) -> Self {
        let bytes = text.as_bytes();
        let mut lines = Vec::with_capacity(24);
        let mut from = start;
        while let Some(colon) = find_newline(bytes, from) {
            let Some(end) = find_newline(bytes, colon + 1) else { break };
            lines.push(Line { start: from as u32, colon: colon as u32, end: end as u32 });
            from = end + 1;
        }
        Self { text, lines }
    }

    /// Writes every field as `name\nvalue\n`.
    pub fn pack_into(&self, out: &mut String) {
        for (name, value) in self.iter() {
            out.push_str(name);
            out.push('\n');
            out.push_str(value);
            out.push('\n');
        }
    }

    /// How many field lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The bytes that names and values take.
    pub fn byte_len(&self) -> usize {
        self.lines.iter().map(|line| (line.end - line.start) as usize).sum()
    }

    /// The value of the first line with this name (lower case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// The values of all lines with this name (lower case), in their order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The combined field value: all lines joined with `, ` (RFC 9110, section 5.2).
    pub fn combined(&self, name: &str) -> Option<String> {
        let mut values = self.get_all(name);
        let mut whole = values.next()?.to_owned();
        for value in values {
            whole.push_str(", ");
            whole.push_str(value);
        }
        Some(whole)
    }

    /// The members of a comma-separated list field, over all its lines; commas in quoted strings do not count
    /// (RFC 9110, section 5.6.1).
    pub fn list<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.get_all(name).flat_map(split_list)
    }

    /// Whether a line with this name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Every name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|line| {
            let name = self.text.get(line.start as usize..line.colon as usize);
            let value = self.text.get(line.colon as usize + 1..line.end as usize);
            (name.unwrap_or_default(), value.unwrap_or_default())
        })
    }

    /// Adds a line at the end. Line breaks and NUL in the value become spaces (RFC 9110, section 5.5).
    pub fn append(&mut self, name: &str, value: &str) {
        let start = self.text.len();
        self.text.extend(name.chars().map(|c| c.to_ascii_lowercase()));
        let colon = self.text.len();
        self.text.push('\n');
        if value.contains(['\r', '\n', '\0']) {
            self.text.extend(value.chars().map(|c| if matches!(c, '\r' | '\n' | '\0') { ' ' } else { c }));
        } else {
            self.text.push_str(value);
        }
        self.lines.push(Line { start: start as u32, colon: colon as u32, end: self.text.len() as u32 });
    }

    /// Replaces every line of this name by one.
    pub fn insert(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.append(name, value);
    }

    /// Removes every line of this name (lower case); tells whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.lines.len();
        self.retain(|n, _| n != name);
        self.lines.len() != before
    }

    /// Keeps the lines for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        let Self { text, lines } = self;
        lines.retain(|line| {
            let name = text.get(line.start as usize..line.colon as usize);
            let value = text.get(line.colon as usize + 1..line.end as usize);
            keep(name.unwrap_or_default(), value.unwrap_or_default())
        });
    }
}

fn find_newline(bytes: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.iter().position(|b| *b == b'\n').map(|at| from + at)
}

/// Splits a field value at the commas that stand outside quoted strings; white space around members and empty
/// members are dropped (RFC 9110, section 5.6.1.2).
pub fn split_list(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(move |c: char| {
            let was_escaped = std::mem::take(&mut escaped);
            match c {
                '\\' if quoted && !was_escaped => escaped = true,
                '"' if !was_escaped => quoted = !quoted,
                _ => {}
            }
            c == ',' && !quoted
        })
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Where a request goes: an absolute `http` or `https` URL in the form the platform hands over (dot segments
/// resolved, host in lower case, no fragment), and its parts as slices of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    url: Box<str>,
    authority: u32,
    path: u32,
    query: u32,
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// A text that names what is wrong, where there is no scheme or no host.
    pub fn parse(url: &str) -> Result<Self, String> {
        let url = url.split('#').next().unwrap_or_default();
        let wrong =
            || format!("`{url}` is not an absolute URL; allowed: http://host/path or https://host/path");
        let authority = match url.split_once("://") {
            Some((scheme @ ("http" | "https"), _)) => scheme.len() + 3,
            _ => return Err(wrong()),
        };
        let after = url.get(authority..).unwrap_or_default();
        let path = authority + after.find(['/', '?']).unwrap_or(after.len());
        if path == authority {
            return Err(wrong());
        }
        let tail = url.get(path..).unwrap_or_default();
        if !tail.starts_with('/') {
            let head = url.get(..path).unwrap_or_default();
            return Self::parse(&format!("{head}/{tail}"));
        }
        let query = path + tail.find('?').unwrap_or(tail.len());
        Ok(Self { url: url.into(), authority: authority as u32, path: path as u32, query: query as u32 })
    }

    /// The whole URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.slice(0, self.authority.saturating_sub(3))
    }

    /// Host and, where it is not the scheme's own, port.
    pub fn authority(&self) -> &str {
        self.slice(self.authority, self.path)
    }

    /// The host without its port; an IPv6 literal keeps its brackets.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// The path, from its first `/`.
    pub fn path(&self) -> &str {
        self.slice(self.path, self.query)
    }

    /// The query without its `?`, where there is one.
    pub fn query(&self) -> Option<&str> {
        self.slice(self.query, self.url.len() as u32).strip_prefix('?')
    }

    /// The path and, where there is one, `?` and the query.
    pub fn path_and_query(&self) -> &str {
        self.slice(self.path, self.url.len() as u32)
    }

    fn slice(&self, from: u32, to: u32) -> &str {
        self.url.get(from as usize..to as usize).unwrap_or_default()
    }
}

/// Who is at the other end of the connection, as the platform saw it. Nothing in here is a client's own word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// The address the connection came from.
    pub address: Option<IpAddr>,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<Box<str>>,
    /// The code of the continent, such as `EU`.
    pub continent: Option<Box<str>>,
    /// Autonomous system number.
    pub asn: Option<u32>,
    /// The platform's data centre that handles the request, such as `AMS`.
    pub colo: Option<Box<str>>,
    /// Protocol of the connection, such as `HTTP/2`.
    pub protocol: Option<Box<str>>,
}

/// A request without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// What is asked for.
    pub method: Method,
    /// Of what.
    pub target: Target,
    /// The header fields.
    pub fields: Fields,
    /// By whom; empty until somebody asks the platform, which costs something and is of no use to a hit.
    pub client: OnceCell<Client>,
}

/// Nobody in particular.
const UNKNOWN: &Client =
    &Client { address: None, country: None, continent: None, asn: None, colo: None, protocol: None };

impl RequestHead {
    /// By whom; nobody in particular where the platform was not asked.
    pub fn client(&self) -> &Client {
        self.client.get().unwrap_or(UNKNOWN)
    }

    /// A request without fields, from nobody in particular.
    ///
    /// # Errors
    /// As [`Target::parse`].
    pub fn new(method: Method, url: &str) -> Result<Self, String> {
        Ok(Self { method, target: Target::parse(url)?, fields: Fields::new(), client: OnceCell::new() })
    }
}

/// A response without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// 100 to 999 (RFC 9110, section 15).
    pub status: u16,
    /// The header fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// A response without fields.
    pub fn new(status: u16) -> Self {
        Self { status, fields: Fields::new() }
    }

    /// Content-Length, where it is there and one number.
    pub fn content_length(&self) -> Option<u64> {
        self.fields.get("content-length")?.trim().parse().ok()
    }

    /// Whether a response of this status never has content (RFC 9110, section 6.4.1).
    pub fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 205 | 304)
    }
}

/// A head and the body that belongs to it. The core never looks into a body.
#[derive(Debug, Clone)]
pub struct Message<H, B> {
    /// What it says.
    pub head: H,
    /// What it carries.
    pub body: B,
}

impl<H, B> Message<H, B> {
    /// Puts the two together.
    pub fn new(head: H, body: B) -> Self {
        Self { head, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_order_and_multiplicity() {
        let mut fields =
            Fields::from_pairs([("Set-Cookie", "a=1"), ("ETag", "\"x\""), ("set-cookie", "b=2")]);
        assert_eq!(fields.get_all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
        fields.insert("etag", "\"y\"");
        assert_eq!(fields.get("etag"), Some("\"y\""));
        assert!(fields.remove("set-cookie") && !fields.remove("set-cookie"));
        assert_eq!(fields.len(), 1);
    }

    #[test]
    fn a_packed_head_reads_back() {
        let mut fields = Fields::from_pairs([("accept", "a, b"), ("empty", ""), ("x", "naïve")]);
        let mut packed = String::from("GET\n");
        fields.pack_into(&mut packed);
        assert_eq!(Fields::from_packed(packed, 4), fields);
        fields.append("x-evil", "a\r\nset-cookie: b");
        assert_eq!(fields.get("x-evil"), Some("a  set-cookie: b"));
    }

    #[test]
    fn lists_split_outside_quotes_only() {
        let fields = Fields::from_pairs([("x", "a, \"b,\\\"c\" ,,d"), ("x", "e")]);
        assert_eq!(fields.list("x").collect::<Vec<_>>(), ["a", "\"b,\\\"c\"", "d", "e"]);
    }

    #[test]
    fn a_target_is_taken_apart() {
        let target = Target::parse("https://a.example:8443/p/q?x=1&y=/?").unwrap();
        assert_eq!(
            (target.scheme(), target.authority(), target.host(), target.path(), target.query()),
            ("https", "a.example:8443", "a.example", "/p/q", Some("x=1&y=/?"))
        );
        assert_eq!(Target::parse("http://[::1]:80").unwrap().host(), "[::1]");
        assert_eq!(Target::parse("http://a?b").unwrap().path_and_query(), "/?b");
        for url in ["", "/x", "ftp://a/", "http:///x", "http://"] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
