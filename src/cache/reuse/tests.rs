//! What may be reused, one rule a test.

use super::*;
use crate::cache::range::ByteRange;
use crate::cache::storable;
use crate::cache::testing::{anonymous, at, date, get, known, policy, request, secs, stored};

const ALL: &str = r#"{"honour_client_directives":"all","stale_if_error_max":"50s"}"#;

fn held(pairs: &[(&str, &str)]) -> StoredHead {
    stored(&get(&[]), pairs, &policy(r#"{"key":{"per_user":true}}"#), secs(0))
}

/// What becomes of a request after so many seconds: `hit`, `swr`, `504`, or the reason to forward.
fn outcome(json: &str, request: &RequestHead, held: &[StoredHead], after: u64) -> &'static str {
    name(&reuse(request, held, None, &Groups::default(), &policy(json), &anonymous(), secs(after)))
}

fn name(decision: &Reuse) -> &'static str {
    match decision {
        Reuse::Serve(Serve { refresh: false, .. }) => "hit",
        Reuse::Serve(_) => "swr",
        Reuse::Revalidate(Revalidate { fwd, .. }) | Reuse::Forward(Forward { fwd, .. }) => fwd.as_str(),
        Reuse::Complete(_) => "partial",
        Reuse::OnlyIfCachedMiss => "504",
    }
}

#[test]
fn a_fresh_response_is_served_and_a_stale_one_validated_rfc9111_4() {
    let held = [held(&[("cache-control", "max-age=60"), ("etag", "\"a\"")])];
    for (after, expected) in [(0, "hit"), (59, "hit"), (60, "stale"), (9999, "stale")] {
        assert_eq!(outcome("{}", &get(&[]), &held, after), expected, "{after}");
    }
    let decision = reuse(&get(&[]), &held, None, &Groups::default(), &policy("{}"), &anonymous(), secs(61));
    let conditions = Fields::from_pairs([("if-none-match", "\"a\"")]);
    let asked = Revalidate { which: Some(0), fwd: Fwd::Stale, conditions, stale_until: None };
    assert_eq!(decision, Reuse::Revalidate(asked));
}

#[test]
fn what_is_not_in_the_cache_goes_to_the_origin_rfc9211_2_2() {
    let other = [held(&[("cache-control", "max-age=60"), ("vary", "foo")])];
    let foo = get(&[("foo", "1")]);
    for (json, request, held, expected) in [
        ("{}", &get(&[]), &[][..], "uri-miss"),
        ("{}", &foo, &other, "vary-miss"),
        ("{}", &get(&[]), &other, "hit"),
        ("{}", &request("HEAD", &[]), &other, "hit"),
        ("{}", &request("POST", &[]), &other, "method"),
        ("{}", &request("DELETE", &[]), &other, "method"),
        ("{}", &request("FOO", &[]), &other, "method"),
        ("{}", &get(&[("if-match", "\"a\"")]), &other, "request"),
        ("{}", &get(&[("if-unmodified-since", "x")]), &other, "request"),
        (r#"{"enabled":false}"#, &get(&[]), &other, "bypass"),
    ] {
        assert_eq!(outcome(json, request, held, 0), expected, "{request:?}");
    }
}

#[test]
fn the_most_recent_of_several_matching_responses_is_used_rfc9111_4_1() {
    let (old, new) = (date(0), date(5));
    let made = |date: &str| held(&[("cache-control", "max-age=60"), ("date", date)]);
    for held in [[made(&old), made(&new)], [made(&new), made(&old)]] {
        let decision =
            reuse(&get(&[]), &held, None, &Groups::default(), &policy("{}"), &anonymous(), secs(9));
        let Reuse::Serve(Serve { which, .. }) = decision else { panic!("{decision:?}") };
        assert_eq!(held[which].fields.get("date"), Some(new.as_str()));
    }
}

#[test]
fn the_client_says_how_fresh_is_fresh_rfc9111_5_2_1() {
    let plain = [held(&[("cache-control", "max-age=60")])];
    for (directives, after, expected) in [
        ("max-age=10", 10, "hit"),
        ("max-age=10", 11, "request"),
        ("max-age=0", 1, "request"),
        ("max-age=x", 1, "request"),
        ("min-fresh=10", 50, "hit"),
        ("min-fresh=10", 51, "request"),
        ("max-stale=10", 70, "hit"),
        ("max-stale=10", 71, "stale"),
        ("max-stale", 9999, "hit"),
        ("max-stale=10, max-age=65", 66, "stale"),
        ("no-cache", 1, "request"),
        ("no-cache", 61, "stale"),
        ("no-store", 1, "hit"),
        ("only-if-cached", 1, "hit"),
        ("only-if-cached", 61, "504"),
        ("only-if-cached, max-stale", 61, "hit"),
    ] {
        let request = get(&[("cache-control", directives)]);
        assert_eq!(outcome(ALL, &request, &plain, after), expected, "{directives} {after}");
    }
    assert_eq!(outcome(ALL, &get(&[("cache-control", "only-if-cached")]), &[], 0), "504");
    assert_eq!(outcome(ALL, &get(&[("pragma", "no-cache")]), &plain, 1), "request");
}

#[test]
fn max_stale_ends_at_must_revalidate_rfc9111_4_2_4() {
    let request = get(&[("cache-control", "max-stale")]);
    for directives in ["max-age=9, must-revalidate", "max-age=9, proxy-revalidate", "s-maxage=9"] {
        assert_eq!(
            outcome(ALL, &request, &[held(&[("cache-control", directives)])], 10),
            "stale",
            "{directives}"
        );
    }
    let no_cache = [held(&[("cache-control", "max-age=9, no-cache"), ("etag", "\"a\"")])];
    assert_eq!(outcome(ALL, &request, &no_cache, 1), "stale");
}

#[test]
fn the_route_decides_whose_directives_count() {
    let plain = [held(&[("cache-control", "max-age=60")])];
    let (no_cache, only) =
        (get(&[("cache-control", "no-cache")]), get(&[("cache-control", "only-if-cached")]));
    for (honour, stranger, friend, missing) in [
        ("none", "hit", "hit", "uri-miss"),
        ("authorised", "hit", "request", "504"),
        ("all", "request", "request", "504"),
    ] {
        let policy = policy(&format!(r#"{{"honour_client_directives":"{honour}"}}"#));
        let of = |request: &RequestHead, held: &[StoredHead], identity: &Identity| {
            name(&reuse(request, held, None, &Groups::default(), &policy, identity, secs(1)))
        };
        assert_eq!(of(&no_cache, &plain, &anonymous()), stranger, "{honour}");
        assert_eq!(of(&no_cache, &plain, &known()), friend, "{honour}");
        assert_eq!(of(&only, &[], &anonymous()), missing, "{honour}");
    }
}

#[test]
fn a_reload_gets_a_fresh_immutable_response_rfc8246() {
    let held = [held(&[("cache-control", "max-age=60, immutable")])];
    for (directives, after, expected) in
        [("max-age=0", 5, "hit"), ("max-age=0", 61, "stale"), ("no-cache", 5, "request")]
    {
        assert_eq!(
            outcome(ALL, &get(&[("cache-control", directives)]), &held, after),
            expected,
            "{directives}"
        );
    }
}

#[test]
fn a_stale_response_is_served_while_it_is_refreshed_rfc5861_3() {
    let held = [held(&[("cache-control", "max-age=60, stale-while-revalidate=30")])];
    for (after, expected) in [(59, "hit"), (60, "swr"), (89, "swr"), (90, "stale")] {
        assert_eq!(outcome("{}", &get(&[]), &held, after), expected, "{after}");
    }
    assert_eq!(outcome(ALL, &get(&[("cache-control", "max-age=10")]), &held, 61), "stale");
    assert_eq!(outcome(ALL, &get(&[("cache-control", "no-cache")]), &held, 61), "stale");
}

#[test]
fn a_stale_response_may_stand_in_for_an_error_until_a_bound_rfc5861_4() {
    let until = |stored: &[(&str, &str)], asked: &str, after| {
        let request = get(&[("cache-control", asked)]);
        match reuse(
            &request,
            &[held(stored)],
            None,
            &Groups::default(),
            &policy(ALL),
            &anonymous(),
            secs(after),
        ) {
            Reuse::Revalidate(asked) => asked.stale_until,
            other => panic!("{other:?}"),
        }
    };
    for (directives, asked, expected) in [
        ("max-age=60, stale-if-error=30", "x", Some(90)),
        ("max-age=60, stale-if-error=30", "stale-if-error=40", Some(100)),
        ("max-age=60", "stale-if-error=4000", Some(110)),
        ("max-age=60, must-revalidate", "stale-if-error=40", None),
        ("max-age=60, stale-if-error=30", "no-cache", None),
    ] {
        assert_eq!(
            until(&[("cache-control", directives)], asked, 70),
            expected.map(secs),
            "{directives} {asked}"
        );
    }
    let aged = [("cache-control", "max-age=60, stale-if-error=30"), ("age", "65")];
    assert_eq!((until(&aged, "x", 20), until(&aged, "x", 25)), (Some(secs(25)), None));
}

#[test]
fn a_vary_miss_offers_the_tags_of_the_other_variants_rfc9111_4_3_1() {
    let other = |tag| held(&[("cache-control", "max-age=60"), ("vary", "foo"), ("etag", tag)]);
    let held = [other("\"b\""), other("W/\"a\""), other("\"b\"")];
    let tags = |request: &RequestHead| match reuse(
        request,
        &held,
        None,
        &Groups::default(),
        &policy("{}"),
        &anonymous(),
        secs(1),
    ) {
        Reuse::Revalidate(Revalidate { which: None, fwd: Fwd::VaryMiss, conditions, .. }) => {
            conditions.get("if-none-match").map(str::to_owned)
        }
        _ => None,
    };
    assert_eq!(tags(&get(&[("foo", "1")])).as_deref(), Some("\"b\", W/\"a\""));
    assert_eq!(tags(&get(&[("foo", "1"), ("if-none-match", "\"z\"")])), None);
}

#[test]
fn a_hit_answers_the_clients_own_conditions_rfc9111_4_3_2() {
    let held = [held(&[("cache-control", "max-age=60"), ("etag", "\"a\""), ("content-length", "10")])];
    for (name, value, expected) in [
        ("if-none-match", "\"a\"", How::NotModified),
        ("if-none-match", "\"b\"", How::Full),
        ("range", "bytes=0-3", How::Partial(ByteRange { first: 0, last: 3 })),
        ("range", "bytes=10-", How::Unsatisfiable),
    ] {
        let decision = reuse(
            &get(&[(name, value)]),
            &held,
            None,
            &Groups::default(),
            &policy("{}"),
            &anonymous(),
            secs(7),
        );
        let expected = Serve { which: 0, how: expected, ttl: 53, refresh: false };
        assert_eq!(decision, Reuse::Serve(expected), "{name}");
    }
}

#[test]
fn a_stored_part_answers_for_what_lies_in_it_rfc9111_3_3() {
    let policy = policy(r#"{"partial":true}"#);
    let pairs = [("cache-control", "max-age=60"), ("etag", "\"a\""), ("content-range", "bytes 4-9/10")];
    let response = crate::cache::testing::response(206, &pairs);
    let ranged = |range| get(&[("range", range)]);
    let lifetime = storable(&ranged("bytes=4-"), &response, &policy, &anonymous(), secs(0)).unwrap();
    let held = [StoredHead::new(&ranged("bytes=4-"), &response, &lifetime, &policy, at(secs(0)))];
    let of = |request: &RequestHead, after| {
        name(&reuse(request, &held, None, &Groups::default(), &policy, &anonymous(), secs(after)))
    };
    for (range, after, expected) in [
        ("bytes=4-9", 1, "hit"),
        ("bytes=-2", 1, "hit"),
        ("bytes=3-9", 1, "partial"),
        ("bytes=0-0,9-9", 1, "partial"),
        ("bytes=4-9", 61, "partial"),
    ] {
        assert_eq!(of(&ranged(range), after), expected, "{range}");
    }
    assert_eq!((of(&get(&[]), 1), of(&request("HEAD", &[]), 1)), ("partial", "partial"));
    let within = held[0].in_stored_body(ByteRange { first: 5, last: 6 });
    assert_eq!((within, held[0].stored_bytes()), (ByteRange { first: 1, last: 2 }, Some(6)));
    let served = held[0].serve(&held[0].answers(&ranged("bytes=5-6")), secs(1));
    assert_eq!((served.status, served.fields.get("content-range")), (206, Some("bytes 5-6/10")));
}

#[test]
fn what_a_group_invalidates_is_validated_before_each_use_rfc9111_4_4() {
    let pairs = [
        ("cache-control", "max-age=60, stale-while-revalidate=60, stale-if-error=60"),
        ("etag", "\"a\""),
        ("cache-groups", "\"a\""),
    ];
    let held = [held(&pairs)];
    let mut groups = Groups::default();
    let response = Fields::from_pairs([("cache-group-invalidation", "\"a\"")]);
    groups.heed(&request("POST", &[]), &response, secs(5));
    let decide = |request: &RequestHead, after| {
        reuse(request, &held, None, &groups, &policy(ALL), &anonymous(), secs(after))
    };
    for after in [6, 61] {
        let Reuse::Revalidate(asked) = decide(&get(&[]), after) else { panic!("{after}") };
        assert_eq!((asked.fwd, asked.stale_until), (Fwd::Stale, None), "nor does it stand in for an error");
    }
    assert_eq!(name(&decide(&get(&[("cache-control", "only-if-cached")]), 6)), "504");
}
