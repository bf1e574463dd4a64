//! How a policy is read.

use super::*;
use crate::cache::testing::{anonymous, known, policy};

#[test]
fn what_a_config_leaves_out_is_safe() {
    let policy = policy("{}");
    assert_eq!(policy, Policy::default());
    assert_eq!((policy.ttl, policy.heuristic, policy.set_cookie), (None, false, SetCookie::Refuse));
    assert_eq!((policy.stale_while_revalidate, policy.stale_if_error), (Span::ZERO, Span::ZERO));
    assert!(policy.honours(&known()) && !policy.honours(&anonymous()));
}

#[test]
fn a_policy_reads_back_as_it_was_written() {
    let json = r#"{"ttl":"very_long","ttl_mode":"override","negative":{"404":"1m","410":"5m"},"layers":["kv"],
        "honour_client_directives":"all","set_cookie":"strip","targets":["Tidegate-Cache-Control"],
        "key":{"drop":["utm_*"],"keep_only":["id"],"headers":["X-A"],"per_user":true},
        "vary":{"accept_language":"select"},"object_bytes_max":"1MiB","kv_admission":"always"}"#;
    let policy = policy(json);
    assert_eq!(policy.negative.get(410), Some(Span::from_secs(300)));
    assert_eq!(policy.targets[0].as_str(), "tidegate-cache-control");
    let text = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
}

#[test]
fn a_mistake_is_named_with_what_is_allowed() {
    for (json, allowed) in [
        (r#"{"ttl":"forever"}"#, "allowed: a duration such as"),
        (r#"{"negative":{"200":"1m"}}"#, "allowed: 300 to 599"),
        (r#"{"negative":{"304":"1m"}}"#, "allowed: 300 to 599"),
        (r#"{"targets":["a b"]}"#, "allowed: letters"),
        (r#"{"key":{"drop":["*_utm"]}}"#, "allowed: one `*`"),
        (r#"{"key":{"drop":[""]}}"#, "allowed: a parameter"),
        (r#"{"set_cookie":"keep"}"#, "`refuse`, `strip`, `store`"),
        (r#"{"tll":"1m"}"#, "unknown field `tll`"),
        (r#"{"key":{"query":[]}}"#, "unknown field `query`"),
    ] {
        let error = serde_json::from_str::<Policy>(json).unwrap_err().to_string();
        assert!(error.contains(allowed), "{json}: {error}");
    }
}

#[test]
fn a_class_lasts_as_long_as_the_config_says() {
    let classes = Classes { short: Span::from_secs(5), ..Classes::default() };
    for (text, secs) in [("short", 5), ("medium", 300), ("long", 3600), ("very_long", 86_400), ("90s", 90)] {
        let ttl = Ttl::try_from(text.to_owned()).unwrap();
        assert_eq!((ttl.span(&classes), String::from(ttl).as_str()), (Span::from_secs(secs), text));
    }
}

#[test]
fn each_layer_takes_what_pays() {
    let policy = policy(r#"{"layers":["memory","kv"]}"#);
    for (layer, bytes, takes) in [
        (Layer::Memory, Some(256 << 10), true),
        (Layer::Memory, Some((256 << 10) + 1), false),
        (Layer::Memory, None, false),
        (Layer::Colo, Some(1), false),
        (Layer::Kv, Some(20 << 20), true),
        (Layer::Kv, Some((20 << 20) + 1), false),
        (Layer::Kv, None, true),
    ] {
        assert_eq!(policy.takes(layer, bytes), takes, "{layer:?} {bytes:?}");
    }
}

#[test]
fn a_kv_write_pays_for_what_is_asked_for_again_or_lives_long_and_is_not_tiny() {
    let (second, always) = (policy("{}"), policy(r#"{"kv_admission":"always"}"#));
    for (lifetime_secs, bytes, requests, pays, always_pays) in [
        (59, 1 << 20, 9, false, false),
        (60, 1 << 20, 9, false, true),
        (119, 1 << 20, 9, false, true),
        (120, 1 << 20, 1, false, true),
        (120, 0, 2, true, true),
        (3599, 1 << 20, 1, false, true),
        (3600, 2047, 1, false, true),
        (3600, 2048, 1, true, true),
    ] {
        let of = |policy: &Policy| policy.kv_pays(lifetime_secs, bytes, requests);
        assert_eq!((of(&second), of(&always)), (pays, always_pays), "{lifetime_secs} {bytes} {requests}");
    }
}

#[test]
fn what_is_for_caches_alone_is_consumed_where_the_route_says_so_rfc9213_2_2() {
    let names = ["cdn-cache-control", "cache-control", "cache-tag", "surrogate-key", "cache-groups"];
    let all = Fields::from_pairs(names.map(|name| (name, "a")));
    for (json, left) in [
        ("{}", &names[..]),
        (r#"{"targets_passed_on":false}"#, &names[1..]),
        (r#"{"tags_passed_on":false}"#, &names[..2]),
        (r#"{"tags_passed_on":false,"targets_passed_on":false}"#, &names[1..2]),
    ] {
        let mut fields = all.clone();
        policy(json).consume(&mut fields);
        assert!(fields.iter().map(|(name, _)| name).eq(left.iter().copied()), "{json}");
    }
}
