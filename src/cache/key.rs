//! Keys: the primary key is text that two requests share exactly when the route's rules call them the same; the
//! storage key is its hash, under which colo and KV keep things. A client chooses the URL, so the hash is a
//! cryptographic one.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::device;
use super::rules::KeyRules;
use crate::head::{Fields, Target};
use crate::identity::Identity;
use crate::list::sort_texts;

/// What is asked for, normalised (RFC 9111, section 2). Memory is keyed by it.
///
/// Lines of text: the scope where there is one, the target, then a line for each header, cookie, device, user and body
/// that counts. No part can hold a line break.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PrimaryKey(Box<str>);

/// SHA-256 over a primary key, or over a primary and a secondary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StorageKey(pub [u8; 32]);

impl PrimaryKey {
    /// The key of a target, asked for with these fields by this client.
    pub fn new(target: &Target, fields: &Fields, rules: &KeyRules, identity: &Identity) -> Self {
        let mut text = String::with_capacity(target.url().len() + rules.scope.len() + 16);
        if !rules.scope.is_empty() {
            text.push('@');
            push_part(&mut text, &rules.scope);
            text.push('\n');
        }
        push_target(&mut text, target, rules);
        for name in &rules.headers {
            push_line(&mut text, "\nh", name.as_str(), fields.combined(name.as_str()).as_deref());
        }
        for name in &rules.cookies {
            push_line(&mut text, "\nc", name, cookie(fields, name).as_deref());
        }
        if rules.device {
            push_line(&mut text, "\nd", device::class(fields), None);
        }
        if rules.per_user {
            push_line(&mut text, "\nu", "", identity.subject.as_deref());
        }
        Self(text.into())
    }

    /// The key of the same target asked for with content: the SHA-256 of that content counts too.
    pub fn with_body(&self, sha256: [u8; 32]) -> Self {
        let mut text = String::from(&*self.0);
        text.push_str("\nb");
        push_hex(&mut text, &sha256);
        Self(text.into())
    }

    /// The key of a slice of its response, for whoever counts or waits.
    pub fn part(&self, slice: &StorageKey) -> Self {
        Self([&*self.0, "\ns", &slice.hex()].concat().into())
    }

    /// The key of the index of its variants, for whoever writes that.
    pub fn index(&self) -> Self {
        Self([&*self.0, "\ni"].concat().into())
    }

    /// A key of this text.
    pub(super) fn from_text(text: String) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The target as it stands in the key.
    pub(super) fn line(&self) -> &str {
        let target = if self.0.starts_with('@') {
            self.0.split_once('\n').map_or("", |(_, rest)| rest)
        } else {
            &self.0
        };
        target.split('\n').next().unwrap_or_default()
    }

    /// Where the response, or the index of its variants, is kept.
    pub fn storage_key(&self) -> StorageKey {
        StorageKey(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Where the variant is kept that was selected by this secondary key.
    pub fn variant_key(&self, secondary: &str) -> StorageKey {
        let hash = Sha256::new().chain_update(self.0.as_bytes()).chain_update(b"\n\n");
        StorageKey(hash.chain_update(secondary.as_bytes()).finalize().into())
    }
}

/// A target as it stands in keys by these rules.
pub fn line(target: &Target, rules: &KeyRules) -> String {
    let mut line = String::with_capacity(target.url().len());
    push_target(&mut line, target, rules);
    line
}

fn push_target(text: &mut String, target: &Target, rules: &KeyRules) {
    if rules.scheme {
        text.push_str(target.scheme());
        text.push(':');
    }
    if rules.host {
        text.push_str("//");
        push_authority(text, target);
    }
    text.push_str(&normalise(target.path()));
    if let Some(query) = target.query() {
        push_query(text, query, rules);
    }
}

/// The target with no more of its query than the key holds, and in its form: what an origin is asked for where others may
/// get the answer. `None` where that is the target itself.
pub fn keyed(target: &Target, rules: &KeyRules) -> Option<Target> {
    if !rules.picks() {
        return None;
    }
    let query = target.query()?;
    let mut url = target.url().strip_suffix(query)?.strip_suffix('?')?.to_owned();
    push_query(&mut url, query, rules);
    Target::parse(&url).ok().filter(|keyed| keyed != target)
}

impl StorageKey {
    /// Where a newer head lies of the response that is kept here.
    pub fn beside(&self) -> Self {
        Self(Sha256::new().chain_update(b"beside\n").chain_update(self.0).finalize().into())
    }

    /// 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        push_hex(&mut text, &self.0);
        text
    }
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    for byte in bytes {
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
}

/// `name` and, where there is a value, `=` and it.
fn push_line(out: &mut String, kind: &str, name: &str, value: Option<&str>) {
    out.push_str(kind);
    push_part(out, name);
    if let Some(value) = value {
        out.push('=');
        push_part(out, value);
    }
}

/// Text that may not end its line, nor look as if it did.
fn push_part(out: &mut String, text: &str) {
    if text.contains(['\n', '\\']) {
        out.push_str(&text.replace('\\', "\\\\").replace('\n', "\\n"));
    } else {
        out.push_str(text);
    }
}

/// The host in lower case, the port where it is not the scheme's own (RFC 9110, section 4.2.3).
fn push_authority(out: &mut String, target: &Target) {
    out.extend(target.host().chars().map(|c| c.to_ascii_lowercase()));
    let port = target.authority().strip_prefix(target.host()).unwrap_or_default();
    let default = if target.scheme() == "https" { ":443" } else { ":80" };
    if port != default && port != ":" {
        out.push_str(port);
    }
}

fn push_query(out: &mut String, query: &str, rules: &KeyRules) {
    if !rules.picks() {
        out.push('?');
        out.push_str(&normalise(query));
        return;
    }
    let kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default().replace('+', " ");
        let name = percent_decode_str(&name).decode_utf8_lossy();
        let wanted = rules.keep_only.as_ref().is_none_or(|only| only.iter().any(|one| one.matches(&name)));
        wanted && !rules.drop.iter().any(|one| one.matches(&name))
    };
    let pairs: Vec<Cow<'_, str>> = query.split('&').filter(kept).map(normalise).collect();
    let names = pairs.iter().map(|pair| pair.split('=').next().unwrap_or_default());
    let mut names: Vec<(&str, usize)> = names.zip(0..).collect();
    if rules.sort {
        // Equal ones by their place: the order of values of one name may mean something.
        sort_texts(&mut names);
    }
    for (at, pair) in names.iter().filter_map(|(_, at)| pairs.get(*at)).enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        out.push_str(pair);
    }
}

/// Percent-encoding in its normal form: unreserved characters are written plainly, hexadecimal digits in upper
/// case (RFC 3986, section 6.2.2). A text with a broken escape stays as it is: nobody knows what the origin makes
/// of it.
fn normalise(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut pieces = text.split('%');
    let mut normal = String::with_capacity(text.len());
    normal.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let Some((hex, rest)) = piece.split_at_checked(2) else { return Cow::Borrowed(text) };
        let byte = match u8::from_str_radix(hex, 16) {
            Ok(byte) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => byte,
            _ => return Cow::Borrowed(text),
        };
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            normal.push('%');
            normal.extend(hex.chars().map(|c| c.to_ascii_uppercase()));
        }
        normal.push_str(rest);
    }
    Cow::Owned(normal)
}

/// Every value that an origin could read for this cookie. Cookie lines are joined with commas on the way, so a
/// cookie that follows a comma counts too.
fn cookie(fields: &Fields, name: &str) -> Option<String> {
    let lines = fields.combined("cookie")?;
    let value = |piece: &str| {
        let (found, value) = piece.trim().split_once('=')?;
        (found.trim_end() == name).then(|| value.trim().to_owned())
    };
    let by_semicolon = lines.split(';').filter_map(value);
    let by_comma = lines.split(';').flat_map(|piece| piece.split(',').skip(1)).filter_map(value);
    let values: Vec<String> = by_semicolon.chain(by_comma).collect();
    if values.is_empty() { None } else { Some(values.join(";")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::Policy;

    fn rules(json: &str) -> KeyRules {
        serde_json::from_str(json).unwrap()
    }

    fn key_of(url: &str, pairs: &[(&str, &str)], rules: &KeyRules) -> String {
        let fields = Fields::from_pairs(pairs.iter().copied());
        let target = Target::parse(url).unwrap();
        PrimaryKey::new(&target, &fields, rules, &Identity::anonymous()).as_str().to_owned()
    }

    fn key(url: &str) -> String {
        key_of(url, &[], &Policy::default().key)
    }

    #[test]
    fn equivalent_uris_share_a_key_rfc3986_6_2_2() {
        for (one, other) in [
            ("http://a/%7euser/%61", "http://A/~user/a"),
            ("http://a/%e4%2f", "http://a/%E4%2F"),
            ("https://a:443/", "https://a"),
            ("http://a:80/?q=%41", "http://a:/?q=A"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
    }

    #[test]
    fn different_targets_have_different_keys() {
        let all = [
            "http://a/",
            "https://a/",
            "http://b/",
            "http://a:8080/",
            "http://a/?",
            "http://a/?a",
            "http://a/?a=",
            "http://a/a",
            "http://a/A",
            "http://a/a%2Fb",
            "http://a/a/b",
            "http://a/%41%zz",
            "http://a/A%zz",
            "http://a/a?b=1&a=2",
            "http://a/a?a=2&b=1",
            "http://a/a%3Fb",
            "http://a/a?b",
            "http://a/a+b",
            "http://a/a%20b",
            "http://a/a%2Bb",
            "http://a/%%341",
            "http://a/%2541",
            "http://a/%254",
            "http://a//",
        ];
        let keys: std::collections::HashSet<String> = all.iter().map(|url| key(url)).collect();
        assert_eq!(keys.len(), all.len(), "{keys:?}");
    }

    #[test]
    fn rules_say_which_query_parameters_count() {
        for (json, url, expected) in [
            (r#"{"drop":["utm_*","gclid"]}"#, "http://a/?utm_x=1&a=2&gclid=3&%75tm_y", "http://a/?a=2"),
            (r#"{"drop":["utm_*"]}"#, "http://a/?utm_x=1", "http://a/"),
            (r#"{"drop":["a b"]}"#, "http://a/?a+b=1&c&a%20b", "http://a/?c"),
            (r#"{"keep_only":["id"]}"#, "http://a/?x=1&id=2&idx=3", "http://a/?id=2"),
            (r#"{"keep_only":[]}"#, "http://a/?x=1", "http://a/"),
            (r#"{"sort":true}"#, "http://a/?b=1&a=2&b=0", "http://a/?a=2&b=1&b=0"),
        ] {
            assert_eq!(key_of(url, &[], &rules(json)), expected);
        }
    }

    #[test]
    fn headers_and_cookies_count_where_the_rules_say_so() {
        let rules = rules(r#"{"headers":["X-Device"],"cookies":["plan"]}"#);
        let mut keys = std::collections::HashSet::new();
        for pairs in [
            &[][..],
            &[("x-device", "")],
            &[("x-device", "a")],
            &[("x-device", "a"), ("x-device", "b")],
            &[("cookie", "plan=")],
            &[("cookie", "plan=a")],
            &[("cookie", "x=1, plan=b")],
            &[("cookie", "plan=a,1")],
            &[("cookie", "plan=a; plan=b")],
            &[("x-device", "a\\ncplan=a")],
        ] {
            assert!(keys.insert(key_of("http://a/", pairs, &rules)), "{pairs:?}");
        }
        assert!(!keys.insert(key_of("http://a/", &[("cookie", "y=2; plan=a; z"), ("x-other", "1")], &rules)));
        assert!(!keys.insert(key_of("http://a/", &[("cookie", "xplan=1")], &rules)));
    }

    #[test]
    fn each_user_scope_host_scheme_and_body_can_be_kept_apart() {
        let target = Target::parse("http://a/x").unwrap();
        let user = |subject: Option<&str>| {
            let identity = Identity { subject: subject.map(Into::into), ..Identity::anonymous() };
            PrimaryKey::new(&target, &Fields::new(), &rules(r#"{"per_user":true}"#), &identity)
        };
        assert_ne!(user(None), user(Some("")));
        assert_ne!(user(Some("a")), user(Some("b")));
        assert_ne!(user(Some("a\n")), user(Some("a\\n")));
        assert_ne!(user(None).with_body([1; 32]), user(None).with_body([2; 32]));
        let shared = rules(r#"{"host":false,"scheme":false}"#);
        assert_eq!(key_of("http://a/x", &[], &shared), key_of("https://b/x", &[], &shared));
        let scoped = KeyRules { scope: "r1".into(), ..shared.clone() };
        assert_ne!(key_of("http://a/x", &[], &shared), key_of("http://a/x", &[], &scoped));
    }

    #[test]
    fn storage_keys_are_sha_256_in_hex() {
        let key = PrimaryKey("abc".into());
        assert_eq!(
            key.storage_key().hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_ne!(key.variant_key(""), key.storage_key());
        assert_ne!(key.variant_key("a"), key.variant_key("b"));
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(text in "([a-z%/]|%[0-9a-fA-F]{2}){0,12}") {
            let once = normalise(&text).into_owned();
            prop_assert_eq!(normalise(&once), once.as_str());
        }

        #[test]
        fn what_shares_a_key_decodes_to_the_same(
            one in "([ab]|%61|%2[fF]|%25|%4|%){0,6}",
            other in "([ab]|%61|%2[fF]|%25|%4|%){0,6}",
        ) {
            if normalise(&one) == normalise(&other) {
                let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
                prop_assert_eq!(decoded(&one), decoded(&other));
            }
        }
    }
}
