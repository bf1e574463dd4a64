//! Cache groups (RFC 9875): a stored response names its groups, a response to an unsafe method says which of them are
//! no longer so.
//!
//! This table is what one isolate has heard, and [`super::reuse()`] asks it about whatever layer a stored response
//! came from. Where a route says so, the fleet hears of it too: see [`super::purge`].

use super::purge::hash;
use super::rules::KeyRules;
use super::structured;
use crate::head::{Fields, RequestHead, Target};
use crate::time::Timestamp;

/// How many members of one field count (RFC 9875, section 2: at least 32).
const GROUPS_MAX: usize = 128;

/// How many invalidated groups are remembered.
const STAMPS_MAX: usize = 1024;

/// Which groups were invalidated, and when.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// A hash of origin and group, and the moment; the oldest first. Two groups with one hash are invalidated together.
    stamps: Vec<(u64, Timestamp)>,
    /// For every group that was forgotten for room: no response with a group that came until then is reused.
    floor: Option<Timestamp>,
}

impl Groups {
    /// Hears what a response to an unsafe method invalidates (RFC 9875, section 3).
    pub fn heed(&mut self, request: &RequestHead, response: &Fields, now: Timestamp) {
        for stamp in invalidated(request, response) {
            self.learn(stamp, now);
        }
    }

    /// Hears that a target was written to: what is stored for its URI under the content, fields, cookies or device of other
    /// requests can't be found by their keys, so it is taken for a group (RFC 9111, section 4.4).
    pub fn write(&mut self, target: &Target, now: Timestamp) {
        for origin in [Some(target), None] {
            self.learn(stamp(origin, &of_uri(target)), now);
        }
    }

    /// Hears that a group was invalidated at this moment.
    pub fn learn(&mut self, stamp: u64, at: Timestamp) {
        let known = self.stamps.iter().position(|(known, _)| *known == stamp);
        let before = known.map(|place| self.stamps.remove(place).1);
        self.stamps.push((stamp, before.map_or(at, |before| before.max(at))));
        if self.stamps.len() > STAMPS_MAX {
            let (_, oldest) = self.stamps.remove(0);
            self.floor = self.floor.max(Some(oldest));
        }
    }

    /// Whether a response that was stored for this request at that moment, with these fields, is in a group that was
    /// invalidated since, or its URI was written to.
    pub fn invalidated(
        &self,
        request: &RequestHead,
        rules: &KeyRules,
        fields: &Fields,
        stored: Timestamp,
    ) -> bool {
        if self.stamps.is_empty() {
            return false;
        }
        let mut groups = stamps(request, rules, fields);
        if rules.has_body(&request.method) || rules.splits() {
            groups.push(stamp(origin(request, rules), &of_uri(&request.target)));
        }
        let since = |at: Timestamp| stored <= at;
        groups.iter().any(|stamp| {
            self.floor.is_some_and(since)
                || self.stamps.iter().any(|(known, at)| known == stamp && since(*at))
        })
    }
}

/// What the groups of a stored response are known by.
pub(super) fn stamps(request: &RequestHead, rules: &KeyRules, fields: &Fields) -> Vec<u64> {
    let groups = named(fields, "cache-groups");
    groups.iter().map(|group| stamp(origin(request, rules), group)).collect()
}

/// What the groups are known by that a response to an unsafe method invalidates (RFC 9875, section 3).
pub fn invalidated(request: &RequestHead, response: &Fields) -> Vec<u64> {
    if request.method.is_safe() {
        return Vec::new();
    }
    let groups = named(response, "cache-group-invalidation");
    groups.iter().flat_map(|group| [stamp(Some(&request.target), group), stamp(None, group)]).collect()
}

/// The origin whose groups a response is in; one that several origins share is in the groups of each.
fn origin<'r>(request: &'r RequestHead, rules: &KeyRules) -> Option<&'r Target> {
    (rules.host && rules.scheme).then_some(&request.target)
}

/// The group of all that is stored for a URI. No other can have this name.
fn of_uri(target: &Target) -> String {
    ["\n", target.path_and_query()].concat()
}

/// What a group of an origin, or of any, is known by.
fn stamp(origin: Option<&Target>, group: &str) -> u64 {
    let [scheme, authority] = origin.map_or(["", ""], |target| [target.scheme(), target.authority()]);
    hash([scheme, &authority.to_ascii_lowercase(), group])
}

/// The groups that a field lists: none where it is broken in any part (RFC 9651, section 4.2).
fn named(fields: &Fields, name: &str) -> Vec<String> {
    let mut groups = fields.combined(name).and_then(|value| structured::strings(&value)).unwrap_or_default();
    groups.truncate(GROUPS_MAX);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Policy;
    use crate::cache::testing::{request, secs};

    const STORED: &str = "\"a\", \"b\";x=1";

    fn heard(method: &str, invalidated: &str) -> Groups {
        let mut groups = Groups::default();
        let response = Fields::from_pairs([("cache-group-invalidation", invalidated)]);
        groups.heed(&request(method, &[]), &response, secs(10));
        groups
    }

    fn hits(groups: &Groups, url: &str, rules: &KeyRules, stored: &str, after: u64) -> bool {
        let fields = Fields::from_pairs([("cache-groups", stored)]);
        let request = RequestHead::new(crate::head::Method::Get, url).unwrap();
        groups.invalidated(&request, rules, &fields, secs(after))
    }

    #[test]
    fn a_group_named_by_a_write_is_invalidated_on_its_origin_rfc9875_3() {
        for (method, invalidated, url, stored, expected) in [
            ("POST", "\"a\"", "https://a/y", STORED, true),
            ("PUT", "\"x\", \"b\"", "https://a/y", STORED, true),
            ("FOO", "\"b\";p=?0", "https://a/y?z", STORED, true),
            ("POST", "\"A\"", "https://a/y", STORED, false),
            ("POST", "\"c\"", "https://a/y", STORED, false),
            ("POST", "a", "https://a/y", "a", false),
            ("POST", "\"a\", b", "https://a/y", STORED, false),
            ("POST", "\"a\"", "https://a/y", "\"a\", b", false),
            ("POST", "\"a\"", "https://b/y", STORED, false),
            ("POST", "\"a\"", "http://a/y", STORED, false),
            ("GET", "\"a\"", "https://a/y", STORED, false),
            ("QUERY", "\"a\"", "https://a/y", STORED, false),
        ] {
            let groups = heard(method, invalidated);
            let rules = Policy::default().key;
            assert_eq!(
                hits(&groups, url, &rules, stored, 9),
                expected,
                "{method} {invalidated} {url} {stored}"
            );
        }
    }

    #[test]
    fn what_was_stored_since_then_is_not_invalidated() {
        let (groups, rules) = (heard("POST", "\"a\""), Policy::default().key);
        for (stored, expected) in [(0, true), (10, true), (11, false)] {
            assert_eq!(hits(&groups, "https://a/", &rules, STORED, stored), expected, "{stored}");
        }
        assert!(!hits(&Groups::default(), "https://a/", &rules, STORED, 0));
    }

    #[test]
    fn what_several_origins_share_is_invalidated_by_each_of_them() {
        let rules = KeyRules { host: false, ..Policy::default().key };
        assert!(hits(&heard("POST", "\"a\""), "https://b/", &rules, STORED, 0));
    }

    #[test]
    fn a_group_forgotten_for_room_stays_invalidated() {
        let (mut groups, rules) = (heard("POST", "\"a\""), Policy::default().key);
        for at in 0..2 * STAMPS_MAX as u64 {
            groups.learn(at, secs(20));
            assert!(groups.stamps.len() <= STAMPS_MAX);
        }
        assert!(hits(&groups, "https://a/", &rules, STORED, 9));
        assert!(!hits(&groups, "https://a/", &rules, STORED, 21));
    }

    #[test]
    fn a_write_invalidates_what_is_stored_under_the_content_of_requests_rfc9111_4_4() {
        let rules = crate::cache::testing::policy(r#"{"key":{"body":["QUERY"]}}"#).key;
        let mut groups = Groups::default();
        groups.write(&Target::parse("https://a/x").unwrap(), secs(10));
        for (method, url, after, expected) in [
            ("QUERY", "https://a/x", 9, true),
            ("QUERY", "https://a/x", 11, false),
            ("QUERY", "https://a/x?y", 9, false),
            ("QUERY", "https://b/x", 9, false),
            ("GET", "https://a/x", 9, false),
        ] {
            let request = RequestHead::new(method.into(), url).unwrap();
            assert_eq!(
                groups.invalidated(&request, &rules, &Fields::new(), secs(after)),
                expected,
                "{method} {url}"
            );
        }
    }

    #[test]
    fn a_list_of_any_length_is_bearable() {
        let many: Vec<String> = (0..500).map(|at| format!("\"{at}\"")).collect();
        let fields = Fields::from_pairs([("cache-groups", many.join(",").as_str())]);
        assert_eq!(named(&fields, "cache-groups").len(), GROUPS_MAX);
    }
}
