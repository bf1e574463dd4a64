//! What a stored response can be purged by.

use super::stamp::{What, hash};
use crate::cache::groups;
use crate::cache::key::PrimaryKey;
use crate::cache::rules::KeyRules;
use crate::cache::search::Variance;
use crate::cache::structured;
use crate::head::{Fields, RequestHead};

/// What is known of a stored response that could answer a request.
#[derive(Debug, Clone)]
pub struct Marks<'a> {
    /// The URL as it stands in the key.
    line: &'a str,
    url: u64,
    path: u64,
    /// The response says that it answers other queries of the same path too.
    any_query: bool,
    /// `None` where all hosts share it.
    host: Option<u64>,
    route: u64,
    tags: Vec<u64>,
    groups: Vec<u64>,
}

impl<'a> Marks<'a> {
    /// Those of a response with these fields, stored under this key, that a request to this route could be answered
    /// with.
    pub fn new(
        request: &RequestHead,
        key: &'a PrimaryKey,
        (route, rules): (&str, &KeyRules),
        fields: &Fields,
    ) -> Self {
        let line = key.line();
        Self {
            line,
            url: hash([line]),
            path: hash([without_query(line)]),
            any_query: Variance::of(fields).is_some(),
            host: rules.host.then(|| host_hash(request.target.host())),
            route: hash([route]),
            tags: tags(fields),
            groups: groups::stamps(request, rules, fields),
        }
    }

    /// Whether a stamp hits it.
    pub(super) fn have(&self, what: &What) -> bool {
        match what {
            What::Everything => true,
            What::Host(host) => self.host.is_none_or(|own| own == *host),
            What::Route(route) => self.route == *route,
            What::Tag(tag) => self.tags.contains(tag),
            What::Group(group) => self.groups.contains(group),
            What::Url { line, path } => self.url == *line || (self.any_query && self.path == *path),
            What::Prefix { hash: prefix, bytes, .. } => {
                self.line.get(..*bytes).is_some_and(|start| hash([start]) == *prefix)
            }
        }
    }

    /// What it could stand in the cells for.
    pub(super) fn of_cells(&self) -> impl Iterator<Item = What> {
        let tags = self.tags.iter().map(|tag| What::Tag(*tag));
        let groups = self.groups.iter().map(|group| What::Group(*group));
        let path = self.any_query.then_some(What::Url { line: 0, path: self.path });
        tags.chain(groups).chain(path).chain([What::Url { line: self.url, path: 0 }])
    }
}

/// A URL as it stands in a key, up to its query.
pub(super) fn without_query(line: &str) -> &str {
    line.split('?').next().unwrap_or_default()
}

impl What {
    /// All of a URL that stands in keys like this.
    pub fn url(line: &str) -> Self {
        Self::Url { line: hash([line]), path: hash([without_query(line)]) }
    }

    /// All whose URL stands in keys with this at its beginning, on this host.
    pub fn prefix(line: &str, host: &str) -> Self {
        Self::Prefix { hash: hash([line]), bytes: line.len(), host: host_hash(host) }
    }
}

/// What a host is known by.
pub fn host_hash(host: &str) -> u64 {
    hash([&*host.to_ascii_lowercase()])
}

/// What a tag is known by: upper and lower case are one.
pub fn tag_hash(tag: &str) -> u64 {
    hash([&*tag.to_ascii_lowercase()])
}

/// The fields in which a response bears tags.
pub const TAG_FIELDS: [&str; 3] = ["cache-tag", "surrogate-key", "cache-groups"];

/// The tags that a response bears, in whichever of the [`TAG_FIELDS`].
pub fn tags(fields: &Fields) -> Vec<u64> {
    let mut found = Vec::new();
    let words = |text: &str, by: fn(char) -> bool, found: &mut Vec<u64>| {
        found.extend(text.split(by).map(str::trim).filter(|tag| !tag.is_empty()).map(tag_hash));
    };
    for value in fields.get_all("cache-tag") {
        words(value, |c| c == ',', &mut found);
    }
    for value in fields.get_all("surrogate-key") {
        words(value, |c| c.is_ascii_whitespace() || c == ',', &mut found);
    }
    let groups = fields.combined("cache-groups").and_then(|value| structured::strings(&value));
    found.extend(groups.iter().flatten().map(|tag| tag_hash(tag)));
    found
}
