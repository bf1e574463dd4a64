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
    assert_eq!(key.storage_key().hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
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
