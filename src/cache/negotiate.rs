//! Accept-Encoding and Accept-Language as a key sees them: members, weights and languages (RFC 9110, section 12.5).

use super::rules::{Compare, VaryRules};
use crate::head::{Fields, split_list};
use crate::list::sort_texts;

/// Whether a stored response's language may stand in the place of Accept-Language.
pub(super) fn selects(rules: &VaryRules) -> bool {
    rules.accept_language == Compare::Select
}

/// The value in the form in which two are compared.
pub(super) fn normalised(value: &str, compare: Compare) -> Box<str> {
    let value = value.to_ascii_lowercase();
    if compare == Compare::Exact {
        return split_list(&value).collect::<Vec<_>>().join(",").into();
    }
    let mut members: Vec<(&str, usize)> = split_list(&value).map(weighed).collect();
    sort_texts(&mut members);
    members.dedup();
    let mut text = String::with_capacity(value.len());
    for (name, weight) in members {
        text.push_str(name);
        if weight != 1000 {
            text.push(';');
            super::status::push_integer(&mut text, weight as i64);
        }
        text.push(',');
    }
    text.into()
}

/// Whether this language is among those that the request likes best (RFC 4647, section 3.3.1).
pub(super) fn likes(request: &Fields, language: &str) -> bool {
    let Some(value) = request.combined("accept-language") else { return false };
    let best = split_list(&value).map(|member| weighed(member).1).max().unwrap_or(0);
    best > 0
        && split_list(&value).map(weighed).any(|(range, weight)| {
            let within = language.get(..range.len()).is_some_and(|start| start.eq_ignore_ascii_case(range))
                && matches!(language.as_bytes().get(range.len()), None | Some(b'-'));
            weight == best && (range == "*" || within)
        })
}

/// A member and its weight in thousandths (RFC 9110, section 12.4.2); one that cannot be read is kept whole.
fn weighed(member: &str) -> (&str, usize) {
    let Some((name, weight)) = member.rsplit_once(';') else { return (member, 1000) };
    let weight = weight.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('='));
    match weight.and_then(thousandths) {
        Some(weight) => (name.trim_end(), weight),
        None => (member, 1000),
    }
}

fn thousandths(weight: &str) -> Option<usize> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let fraction = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_preferences_compare_equal() {
        for (one, other, same) in [
            ("gzip, br", "br,gzip", true),
            ("gzip;q=1.0, br", "BR, gzip", true),
            ("gzip;q=0.50", "gzip; Q=0.5", true),
            ("gzip;q=0.5, br", "br;q=0.5, gzip", false),
            ("gzip;q=0", "gzip", false),
            ("gzip;q=2", "gzip", false),
            ("gzip;x=1", "gzip", false),
        ] {
            let equal = normalised(one, Compare::Normalise) == normalised(other, Compare::Normalise);
            assert_eq!(equal, same, "{one} {other}");
        }
        assert_ne!(normalised("gzip, br", Compare::Exact), normalised("br, gzip", Compare::Exact));
    }

    #[test]
    fn a_language_is_liked_when_none_is_liked_better() {
        for (accepted, language, liked) in [
            ("de", "de", true),
            ("de", "de-CH", true),
            ("de-CH", "de", false),
            ("de", "den", false),
            ("*", "fr", true),
            ("en, de", "de", true),
            ("en, de;q=0.9", "de", false),
            ("de;q=0", "de", false),
            ("", "de", false),
        ] {
            let request = Fields::from_pairs([("accept-language", accepted)]);
            assert_eq!(likes(&request, language), liked, "{accepted} {language}");
        }
        assert!(!likes(&Fields::new(), "de"));
    }
}
