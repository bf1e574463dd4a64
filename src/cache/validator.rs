//! Entity tags, Last-Modified and the preconditions that compare them (RFC 9110, sections 8.8 and 13).

use super::date;
use crate::head::{Fields, Method};
use crate::time::Timestamp;

/// Request fields that give way to tidegate's own conditions when a stored response is validated.
const CLIENT_CONDITIONS: [&str; 4] = ["if-none-match", "if-modified-since", "if-range", "range"];

/// Puts tidegate's own conditions in the place of the client's. Without any of them nothing is changed.
pub fn replace_conditions(request: &mut Fields, conditions: &Fields) {
    if conditions.is_empty() {
        return;
    }
    remove_conditions(request);
    for (name, value) in conditions.iter() {
        request.append(name, value);
    }
}

/// Takes the client's own conditions and range out of a request: for one that is to bring a response for the store.
pub fn remove_conditions(request: &mut Fields) {
    request.retain(|name, _| !CLIENT_CONDITIONS.contains(&name));
}

/// Takes everything out that makes a request ask for less than the response to a plain one.
pub fn remove_all_conditions(request: &mut Fields) {
    remove_conditions(request);
    let others = ["if-match", "if-unmodified-since", "cache-control", "pragma"];
    request.retain(|name, _| !others.contains(&name));
}

/// Whether the request carries conditions or a range of its own.
pub fn is_conditional(request: &Fields) -> bool {
    request.iter().any(|(name, _)| CLIENT_CONDITIONS.contains(&name))
}

/// Whether the request asks for something only where it is not what the client has.
pub(super) fn has_condition(request: &Fields) -> bool {
    ["if-none-match", "if-modified-since", "if-range"].iter().any(|name| request.contains(name))
}

/// Whether an origin may have failed the request for a condition of its own (RFC 9110, section 13.2.2).
pub(super) fn is_precondition(request: &Fields) -> bool {
    has_condition(request) || request.contains("if-match") || request.contains("if-unmodified-since")
}

/// The entity tag as it came; also one that lost its quotes, since the origin that sent it will know it again.
pub(super) fn etag(fields: &Fields) -> Option<&str> {
    fields.get("etag").map(|tag| tag.trim_matches([' ', '\t'])).filter(|tag| !tag.is_empty())
}

/// The entity tag, where it is a strong one: the same tag is the same bytes (RFC 9110, section 8.8.1).
pub(super) fn strong_tag(fields: &Fields) -> Option<&str> {
    etag(fields).filter(|tag| tag.len() > 1 && tag.starts_with('"') && tag.ends_with('"'))
}

/// What tells that two responses are the same bytes (RFC 9110, section 8.8.1): a strong entity tag, or without any tag a
/// Last-Modified that lies a second or more before Date (section 8.8.2.2).
pub(super) fn strong(fields: &Fields) -> Option<&str> {
    if etag(fields).is_some() {
        return strong_tag(fields);
    }
    let (modified, made) = (date::field(fields, "last-modified")?, date::field(fields, "date")?);
    fields.get("last-modified").filter(|_| modified.as_secs() < made.as_secs())
}

/// Whether something is there by which a stored response can be validated.
pub(super) fn has_validator(fields: &Fields) -> bool {
    etag(fields).is_some() || date::field(fields, "last-modified").is_some()
}

/// The conditions that ask whether the response with these fields still holds (RFC 9111, section 4.3.1).
pub(super) fn conditions(stored: &Fields) -> Fields {
    let mut conditions = Fields::new();
    if let Some(tag) = etag(stored) {
        conditions.append("if-none-match", tag);
    }
    if let Some(modified) = stored.get("last-modified").filter(|text| date::parse(text).is_some()) {
        conditions.append("if-modified-since", modified);
    }
    conditions
}

/// The members of a list of entity tags. Other than in a quoted string, a backslash escapes nothing in them (RFC 9110,
/// section 8.8.3).
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let members = list.split(move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    members.map(|member| member.trim_matches([' ', '\t']))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Weak comparison (RFC 9110, section 8.8.3.2).
pub(super) fn same_weakly(one: &str, other: &str) -> bool {
    opaque(one) == opaque(other)
}

/// Strong comparison (RFC 9110, section 8.8.3.2).
pub(super) fn same_strongly(one: &str, other: &str) -> bool {
    one == other && !one.starts_with("W/")
}

/// Whether the request's If-None-Match, or without one its If-Modified-Since, says that the client has the response
/// with these fields (RFC 9110, section 13.2.2; RFC 9111, section 4.3.2).
pub(super) fn not_modified(request: &Fields, response: &Fields, response_time: Timestamp) -> bool {
    if request.contains("if-none-match") {
        let tag = etag(response);
        let known = |member: &str| member == "*" || tag.is_some_and(|tag| same_weakly(member, tag));
        return request.get_all("if-none-match").flat_map(tags).any(known);
    }
    let mut since = request.get_all("if-modified-since");
    let (Some(since), None) = (since.next(), since.next()) else { return false };
    let modified = date::field(response, "last-modified").or_else(|| date::field(response, "date"));
    date::parse(since).is_some_and(|since| modified.unwrap_or(response_time) <= since)
}

/// What a request's If-Match comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// It has none, or an empty one.
    Missing,
    /// It holds, or may hold, which is for the origin to say.
    Holds,
    /// It names other tags than the one of the response.
    Fails,
    /// There is no tag to compare with.
    Unknown,
}

/// Compares the tags of If-Match with that of a response, where there is one. A weak one of the request matches nothing,
/// whatever the response (RFC 9110, section 13.1.1); that of the response may have been made weak on the way, so a strong one
/// like it is for the origin to judge.
pub fn if_match(request: &Fields, response: Option<&Fields>) -> Precondition {
    let mut members = request.get_all("if-match").flat_map(tags).filter(|tag| !tag.is_empty()).peekable();
    if members.peek().is_none() {
        return Precondition::Missing;
    }
    let mut strong = members.filter(|member| !member.starts_with("W/")).peekable();
    if strong.peek().is_none() {
        return Precondition::Fails;
    }
    let Some(tag) = response.and_then(etag) else { return Precondition::Unknown };
    let may_hold = strong.any(|member| member == "*" || same_weakly(member, tag));
    if may_hold { Precondition::Holds } else { Precondition::Fails }
}

/// Whether a request is to create what is not there yet, and to fail else (RFC 9110, section 13.1.2).
pub fn is_creation(method: &Method, request: &Fields) -> bool {
    *method == Method::Put && request.get("if-none-match").is_some_and(|text| text.trim() == "*")
}

/// Whether the request's Range counts for the response with these fields: there is no If-Range, or it holds
/// (RFC 9110, section 13.1.5).
pub(super) fn range_counts(request: &Fields, response: &Fields) -> bool {
    let Some(condition) = request.get("if-range") else { return true };
    if condition.starts_with(['"', 'W']) && condition.contains('"') {
        return etag(response).is_some_and(|tag| same_strongly(tag, condition.trim()));
    }
    // A date is a strong validator when the response was made a second or more after it (section 8.8.2.2).
    let modified = date::field(response, "last-modified");
    let made = date::field(response, "date");
    date::parse(condition).is_some_and(|moment| {
        modified == Some(moment) && made.is_some_and(|made| made.as_secs() > moment.as_secs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const MID: &str = "Mon, 07 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Tue, 08 Nov 1994 08:49:37 GMT";

    fn known(request: &[(&str, &str)], response: &[(&str, &str)]) -> bool {
        let request = Fields::from_pairs(request.iter().copied());
        not_modified(
            &request,
            &Fields::from_pairs(response.iter().copied()),
            Timestamp::from_secs(784_111_777),
        )
    }

    #[test]
    fn if_match_fails_only_where_no_tag_could_be_meant_rfc9110_13_1_1() {
        use Precondition::{Fails, Holds, Missing, Unknown};
        let response = Fields::from_pairs([("etag", "\"a\"")]);
        for (fields, expected) in [
            (vec![], Missing),
            (vec!["", " , "], Missing),
            (vec!["\"a\""], Holds),
            (vec!["\"b\", \"a\""], Holds),
            (vec!["\"b\"", "W/\"a\""], Fails),
            (vec!["W/\"b\"", "\"a\""], Holds),
            (vec!["*"], Holds),
            (vec!["\"b\""], Fails),
            (vec!["\"a,b\", a"], Fails),
        ] {
            let request = Fields::from_pairs(fields.iter().map(|text| ("if-match", *text)));
            assert_eq!(if_match(&request, Some(&response)), expected, "{fields:?}");
            let untagged = if expected == Missing { Missing } else { Unknown };
            assert_eq!(if_match(&request, Some(&Fields::new())), untagged, "{fields:?}");
        }
        let weak = Fields::from_pairs([("if-match", "W/\"a\", W/\"b\"")]);
        assert_eq!((if_match(&weak, None), if_match(&weak, Some(&response))), (Fails, Fails));
        let (request, weakened) =
            (Fields::from_pairs([("if-match", "\"a\"")]), Fields::from_pairs([("etag", "W/\"a\"")]));
        assert_eq!(if_match(&request, Some(&weakened)), Holds);
    }

    #[test]
    fn if_none_match_compares_weakly_and_takes_lists_rfc9110_13_1_2() {
        for (condition, tag, expected) in [
            ("\"a\"", "\"a\"", true),
            ("W/\"a\"", "\"a\"", true),
            ("\"a\"", "W/\"a\"", true),
            ("\"b\", W/\"a\",\"c\"", "\"a\"", true),
            ("\"x,y\"", "\"x,y\"", true),
            ("*", "\"a\"", true),
            ("\"b\"", "\"a\"", false),
            ("\"A\"", "\"a\"", false),
            ("a", "\"a\"", false),
            ("a", "a", true),
            ("w/\"a\"", "\"a\"", false),
        ] {
            assert_eq!(
                known(&[("if-none-match", condition)], &[("etag", tag)]),
                expected,
                "{condition} {tag}"
            );
        }
        assert!(!known(&[("if-none-match", "\"a\"")], &[]));
        assert!(known(&[("if-none-match", "\"a\""), ("if-none-match", "\"b\"")], &[("etag", "\"b\"")]));
    }

    #[test]
    fn if_modified_since_counts_only_without_if_none_match_rfc9110_13_1_3() {
        let since = |date| ("if-modified-since", date);
        let modified = |date| [("last-modified", date), ("date", NEW)];
        assert!(known(&[since(MID)], &modified(MID)) && known(&[since(NEW)], &modified(MID)));
        assert!(!known(&[since(OLD)], &modified(MID)) && !known(&[since("yesterday")], &modified(OLD)));
        assert!(!known(&[since(NEW), since(NEW)], &modified(OLD)));
        assert!(!known(&[since(NEW), ("if-none-match", "\"b\"")], &modified(OLD)));
        assert!(known(&[since(NEW), ("if-none-match", "\"b\"")], &[("etag", "\"b\"")]));
    }

    #[test]
    fn without_last_modified_the_date_is_compared_rfc9111_4_3_2() {
        assert!(known(&[("if-modified-since", MID)], &[("date", MID)]));
        assert!(!known(&[("if-modified-since", OLD)], &[("date", MID)]));
        assert!(known(&[("if-modified-since", OLD)], &[]), "the time of arrival stands in for a Date");
    }

    #[test]
    fn if_range_compares_strongly_rfc9110_13_1_5() {
        for (condition, response, counts) in [
            ("\"a\"", &[("etag", "\"a\"")][..], true),
            ("W/\"a\"", &[("etag", "W/\"a\"")], false),
            ("\"a\"", &[("etag", "W/\"a\"")], false),
            ("\"a\"", &[("etag", "\"b\"")], false),
            ("\"a\"", &[], false),
            (OLD, &[("last-modified", OLD), ("date", NEW)], true),
            (MID, &[("last-modified", OLD), ("date", NEW)], false),
            (OLD, &[("last-modified", OLD), ("date", OLD)], false),
            (OLD, &[("last-modified", OLD)], false),
            ("x", &[("last-modified", OLD)], false),
        ] {
            let request = Fields::from_pairs([("if-range", condition)]);
            let response = Fields::from_pairs(response.iter().copied());
            assert_eq!(range_counts(&request, &response), counts, "{condition} {response:?}");
        }
        assert!(range_counts(&Fields::new(), &Fields::new()));
    }

    #[test]
    fn conditions_are_made_of_both_validators_rfc9111_4_3_1() {
        let stored = Fields::from_pairs([("etag", "W/\"a\""), ("last-modified", OLD)]);
        let expected = Fields::from_pairs([("if-none-match", "W/\"a\""), ("if-modified-since", OLD)]);
        assert_eq!(conditions(&stored), expected);
        assert!(conditions(&Fields::from_pairs([("last-modified", "then")])).is_empty());
        let mut request =
            Fields::from_pairs([("range", "bytes=0-1"), ("if-none-match", "\"x\""), ("foo", "1")]);
        replace_conditions(&mut request, &Fields::new());
        assert_eq!(request.len(), 3);
        replace_conditions(&mut request, &expected);
        assert_eq!(
            request.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            ["foo", "if-none-match", "if-modified-since"]
        );
    }
}
