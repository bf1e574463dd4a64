//! What a response to an unsafe method makes invalid (RFC 9111, section 4.4).

use crate::head::{RequestHead, ResponseHead, Target};

/// The targets whose stored responses are to be removed: the request's own, and those of Location and
/// Content-Location where they have the same origin, or `known` has it under another name. Empty for safe methods and for
/// errors.
pub fn invalidates(
    request: &RequestHead,
    response: &ResponseHead,
    known: impl Fn(&Target) -> Option<Target>,
) -> Vec<Target> {
    if request.method.is_safe() || !(200..400).contains(&response.status) {
        return Vec::new();
    }
    let own = &request.target;
    let mut targets = vec![own.clone()];
    for name in ["location", "content-location"] {
        let named = response.fields.get(name).and_then(|reference| resolve(own, reference));
        let same_origin =
            |to: &Target| to.scheme() == own.scheme() && to.authority().eq_ignore_ascii_case(own.authority());
        let named = named.and_then(|to| if same_origin(&to) { Some(to) } else { known(&to) });
        targets.extend(named.filter(|to| *to != *own));
    }
    targets.dedup();
    targets
}

/// A reference, as seen from a base (RFC 3986, section 5.2).
pub(super) fn resolve(base: &Target, reference: &str) -> Option<Target> {
    let reference = reference.trim().split('#').next().unwrap_or_default();
    let origin = format!("{}://{}", base.scheme(), base.authority());
    let (origin, rest) =
        if let Some((scheme, after)) = reference.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
            let end = after.find(['/', '?']).unwrap_or(after.len());
            let (authority, rest) = after.split_at(end);
            (format!("{}://{authority}", scheme.to_ascii_lowercase()), rest)
        } else if let Some(after) = reference.strip_prefix("//") {
            let (authority, rest) = after.split_at(after.find(['/', '?']).unwrap_or(after.len()));
            (format!("{}://{authority}", base.scheme()), rest)
        } else {
            let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
            let rest = match reference.chars().next() {
                None => base.path_and_query().to_owned(),
                Some('/') => reference.to_owned(),
                Some('?') => format!("{}{reference}", base.path()),
                Some(_) => format!("{directory}/{reference}"),
            };
            return Target::parse(&(origin + &without_dots(&rest))).ok();
        };
    Target::parse(&(origin + &without_dots(rest))).ok()
}

fn is_scheme(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// Removes `.` and `..` from the path (RFC 3986, section 5.2.4).
fn without_dots(path_and_query: &str) -> String {
    let (path, query) = path_and_query.split_at(path_and_query.find('?').unwrap_or(path_and_query.len()));
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." | ".." if segment == "." || kept.pop().is_some() || kept.is_empty() => {}
            _ => kept.push(segment),
        }
    }
    let ends_open = path.ends_with("/.") || path.ends_with("/..");
    let mut text = String::with_capacity(path_and_query.len() + 1);
    for segment in &kept {
        text.push('/');
        text.push_str(segment);
    }
    if ends_open || kept.is_empty() {
        text.push('/');
    }
    text.push_str(query);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(method: &str, status: u16, pairs: &[(&str, &str)]) -> Vec<String> {
        let request = RequestHead::new(method.into(), "https://a/b/c?d=1").unwrap();
        let mut response = ResponseHead::new(status);
        for (name, value) in pairs {
            response.fields.append(name, value);
        }
        invalidates(&request, &response, |_| None).iter().map(|target| target.url().to_owned()).collect()
    }

    #[test]
    fn a_successful_unsafe_request_invalidates_its_target_rfc9111_4_4() {
        for (method, status, hit) in [
            ("POST", 200, true),
            ("PUT", 201, true),
            ("DELETE", 204, true),
            ("PATCH", 303, true),
            ("FOO", 200, true),
            ("POST", 404, false),
            ("POST", 500, false),
            ("POST", 100, false),
            ("GET", 200, false),
            ("HEAD", 200, false),
            ("OPTIONS", 200, false),
            ("QUERY", 200, false),
        ] {
            assert_eq!(!targets(method, status, &[]).is_empty(), hit, "{method} {status}");
        }
    }

    #[test]
    fn location_and_content_location_count_on_the_same_origin_only_rfc9111_4_4() {
        let own = "https://a/b/c?d=1";
        for (pairs, others) in [
            (&[("location", "/x"), ("content-location", "y")][..], &["https://a/x", "https://a/b/y"][..]),
            (&[("location", "https://a/x?y=1#z")], &["https://a/x?y=1"]),
            (&[("location", "HTTPS://A/x")], &["https://A/x"]),
            (&[("location", "https://b/x")], &[]),
            (&[("location", "http://a/x")], &[]),
            (&[("location", "//b/x")], &[]),
            (&[("location", "//a/x")], &["https://a/x"]),
            (&[("location", own)], &[]),
            (&[("content-location", "")], &[]),
            (&[("content-location", "?e")], &["https://a/b/c?e"]),
            (&[("location", "mailto:a@b")], &["https://a/b/mailto:a@b"]),
        ] {
            let expected: Vec<&str> = std::iter::once(own).chain(others.iter().copied()).collect();
            assert_eq!(targets("POST", 201, pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn references_resolve_as_rfc3986_5_4_says() {
        let base = Target::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, url) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("http://h?x", "http://h/?x"),
        ] {
            assert_eq!(resolve(&base, reference).unwrap().url(), url, "{reference}");
        }
    }
}
