//! What may be stored, one rule a test.

use super::*;
use crate::cache::testing::{anonymous, date, get, known, policy, request, response, secs};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn verdict(status: u16, pairs: Pairs<'_>) -> Result<Lifetime, NotStored> {
    with("{}", &get(&[]), status, pairs)
}

fn with(json: &str, request: &RequestHead, status: u16, pairs: Pairs<'_>) -> Result<Lifetime, NotStored> {
    storable(request, &response(status, pairs), &policy(json), &anonymous(), secs(0))
}

/// The lifetime of a 200, or why there is none.
fn fresh(json: &str, pairs: Pairs<'_>) -> Result<(u32, Source), NotStored> {
    with(json, &get(&[]), 200, pairs).map(|lifetime| (lifetime.fresh_secs, lifetime.source))
}

#[test]
fn s_maxage_wins_over_max_age_wins_over_expires_rfc9111_4_2_1() {
    let (made, later) = (date(0), date(500));
    let expires = ("expires", later.as_str());
    for (pairs, secs) in [
        (&[("cache-control", "max-age=60, s-maxage=30"), expires][..], Ok(30)),
        (&[("cache-control", "max-age=60"), expires], Ok(60)),
        (&[expires, ("date", made.as_str())], Ok(500)),
        (&[expires], Ok(500)),
        (&[("expires", "0")], Err(NotStored::NoFreshnessNoValidator)),
        (&[("expires", "0"), ("etag", "\"a\"")], Ok(0)),
        (&[("cache-control", "s-maxage=x, max-age=60"), ("etag", "\"a\"")], Ok(0)),
    ] {
        assert_eq!(fresh("{}", pairs), secs.map(|secs| (secs, Source::Explicit)), "{pairs:?}");
    }
}

#[test]
fn without_freshness_and_validator_nothing_is_stored_rfc9111_3() {
    for (status, pairs, expected) in [
        (200, &[][..], Err(NotStored::NoFreshnessNoValidator)),
        (200, &[("etag", "\"a\"")], Ok(Source::None)),
        (200, &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], Ok(Source::None)),
        (200, &[("last-modified", "long ago")], Err(NotStored::NoFreshnessNoValidator)),
        (200, &[("cache-control", "max-age=0")], Err(NotStored::NoFreshnessNoValidator)),
        (200, &[("cache-control", "max-age=9"), ("age", "9")], Err(NotStored::NoFreshnessNoValidator)),
        (200, &[("cache-control", "max-age=0, stale-while-revalidate=9")], Ok(Source::Explicit)),
        (200, &[("cache-control", "no-cache, max-age=9")], Err(NotStored::NoFreshnessNoValidator)),
        (200, &[("cache-control", "no-cache"), ("etag", "\"a\"")], Ok(Source::None)),
        (503, &[("etag", "\"a\"")], Err(NotStored::Status)),
        (503, &[("etag", "\"a\""), ("cache-control", "public")], Ok(Source::None)),
    ] {
        assert_eq!(verdict(status, pairs).map(|lifetime| lifetime.source), expected, "{status} {pairs:?}");
    }
}

#[test]
fn every_final_status_with_explicit_freshness_is_storable_rfc9111_3() {
    for status in [200, 201, 204, 299, 302, 307, 404, 418, 499, 500, 503, 599] {
        assert!(verdict(status, &[("cache-control", "max-age=9")]).is_ok(), "{status}");
    }
    for (status, reason) in [(101, NotStored::Status), (206, NotStored::Partial), (304, NotStored::Partial)] {
        assert_eq!(verdict(status, &[("cache-control", "max-age=9")]), Err(reason));
    }
}

#[test]
fn what_forbids_storing_is_named() {
    for (pairs, reason) in [
        (&[("cache-control", "no-store, max-age=9")][..], NotStored::NoStore),
        (&[("cache-control", "private, max-age=9")], NotStored::Private),
        (&[("cache-control", "max-age=9"), ("set-cookie", "a=b")], NotStored::SetCookie),
        (&[("cache-control", "max-age=9"), ("vary", "foo, *")], NotStored::VaryStar),
        (&[("cache-control", "max-age=9"), ("vary", "a,b,c,d,e,f,g,h,i")], NotStored::VaryNames),
        (&[("cache-control", "max-age=9"), ("content-length", "99999999")], NotStored::TooLarge),
    ] {
        assert_eq!(verdict(200, pairs), Err(reason));
    }
    for off in [r#"{"enabled":false}"#, r#"{"layers":[]}"#] {
        assert_eq!(with(off, &get(&[]), 200, &[]), Err(NotStored::Disabled));
    }
}

#[test]
fn must_understand_lifts_no_store_for_known_statuses_rfc9111_5_2_2_3() {
    let pairs = &[("cache-control", "no-store, must-understand, max-age=9")];
    assert!(verdict(200, pairs).is_ok() && verdict(404, pairs).is_ok());
    assert_eq!(verdict(599, pairs), Err(NotStored::MustUnderstand));
    let pairs = &[("cache-control", "must-understand, max-age=9")];
    assert_eq!(verdict(299, pairs), Err(NotStored::MustUnderstand));
}

#[test]
fn responses_to_requests_with_credentials_need_leave_rfc9111_3_5() {
    let shown = get(&[("authorization", "Basic x")]);
    for (directives, stored) in [
        ("max-age=9", false),
        ("max-age=9, public", true),
        ("max-age=9, must-revalidate", true),
        ("s-maxage=9", true),
        ("max-age=9, proxy-revalidate", false),
        ("max-age=9, private, public", false),
    ] {
        let response = response(200, &[("cache-control", directives)]);
        let verdict = |request: &RequestHead, json: &str, identity: &Identity| {
            storable(request, &response, &policy(json), identity, secs(0)).is_ok()
        };
        assert_eq!(verdict(&shown, "{}", &anonymous()), stored, "{directives}");
        assert_eq!(verdict(&get(&[]), "{}", &known()), stored, "a verified key counts as well: {directives}");
        let by_key = Identity { key_hash: Some("00".into()), ..known() };
        assert_eq!(verdict(&shown, r#"{"key":{"per_user":true}}"#, &by_key), stored, "{directives}");
    }
    let per_user = policy(r#"{"key":{"per_user":true}}"#);
    let fresh = response(200, &[("cache-control", "max-age=9")]);
    assert!(storable(&get(&[]), &fresh, &per_user, &known(), secs(0)).is_ok());
}

#[test]
fn only_get_and_a_post_that_answers_itself_are_stored_rfc9110_9_3_3() {
    let named = [("cache-control", "max-age=9"), ("content-location", "/x")];
    for (method, pairs, stored) in [
        ("GET", &named[..1], true),
        ("HEAD", &named, false),
        ("PUT", &named, false),
        ("FOO", &named, false),
        ("POST", &named[..1], false),
        ("POST", &named, true),
        ("POST", &[("content-location", "/x"), ("etag", "\"a\"")], false),
        ("POST", &[("content-location", "/y"), ("cache-control", "max-age=9")], false),
    ] {
        let verdict = with("{}", &request(method, &[]), 200, pairs);
        assert_eq!(verdict.is_ok(), stored, "{method} {pairs:?}");
        assert!(stored || verdict == Err(NotStored::Method));
    }
}

#[test]
fn a_targeted_field_replaces_cache_control_and_expires_rfc9213_2_2() {
    let later = date(500);
    for (targeted, expected) in [
        ("max-age=30", Ok((30, Source::Explicit))),
        ("max-age=30, no-store", Err(NotStored::NoStore)),
        ("public", Err(NotStored::NoFreshnessNoValidator)),
        ("max-age=\"30\"", Err(NotStored::NoStore)),
    ] {
        let pairs = [("cache-control", "no-store"), ("expires", &later), ("cdn-cache-control", targeted)];
        assert_eq!(fresh("{}", &pairs), expected, "{targeted}");
    }
}

#[test]
fn the_route_fills_in_or_overrides_a_lifetime() {
    let said = ("cache-control", "max-age=9");
    let (filled, own) = (Ok((60, Source::Policy)), Ok((9, Source::Explicit)));
    for (json, status, pairs, expected) in [
        (r#"{"ttl":"short"}"#, 200, &[][..], filled),
        (r#"{"ttl":"short"}"#, 200, &[said], own),
        (r#"{"ttl":"short","ttl_mode":"override"}"#, 200, &[said], filled),
        (
            r#"{"ttl":"short","ttl_mode":"override"}"#,
            200,
            &[("cache-control", "private")],
            Err(NotStored::Private),
        ),
        (
            r#"{"ttl":"short","ttl_mode":"override"}"#,
            200,
            &[("cache-control", "no-store")],
            Err(NotStored::NoStore),
        ),
        (r#"{"ttl":"short"}"#, 404, &[], Err(NotStored::NoFreshnessNoValidator)),
        (r#"{"ttl":"short"}"#, 302, &[], Err(NotStored::Status)),
        (r#"{"negative":{"404":"1m"}}"#, 404, &[], filled),
        (r#"{"negative":{"404":"1m"}}"#, 404, &[said], own),
        (r#"{"negative":{"500":"1m"}}"#, 500, &[], filled),
    ] {
        let verdict = with(json, &get(&[]), status, pairs);
        assert_eq!(
            verdict.map(|lifetime| (lifetime.fresh_secs, lifetime.source)),
            expected,
            "{json} {pairs:?}"
        );
    }
}

#[test]
fn a_guess_is_a_tenth_of_the_time_since_the_last_change_rfc9111_4_2_2() {
    let (made, old) = (date(0), crate::time::Timestamp::from_secs(999_990_000).to_http_date());
    let pairs = [("date", made.as_str()), ("last-modified", old.as_str())];
    let guess = |json: &str, status| {
        with(json, &get(&[]), status, &pairs).map(|lifetime| (lifetime.fresh_secs, lifetime.source))
    };
    assert_eq!(guess("{}", 200), Ok((0, Source::None)));
    assert_eq!(guess(r#"{"heuristic":true}"#, 200), Ok((1000, Source::Heuristic)));
    assert_eq!(guess(r#"{"heuristic":true,"heuristic_max":"5m"}"#, 404), Ok((300, Source::Heuristic)));
    assert_eq!(guess(r#"{"heuristic":true}"#, 403), Err(NotStored::Status));
}

#[test]
fn stale_use_is_bounded_and_ends_at_must_revalidate_rfc5861_rfc9111_4_2_4() {
    let json = r#"{"stale_while_revalidate":"5s","stale_if_error":"6s","stale_while_revalidate_max":"50s",
        "stale_if_error_max":"60s"}"#;
    for (directives, allowed) in [
        ("max-age=9", (5, 6)),
        ("max-age=9, stale-while-revalidate=7, stale-if-error=8", (7, 8)),
        ("max-age=9, stale-while-revalidate=700, stale-if-error=800", (50, 60)),
        ("max-age=9, stale-while-revalidate=0, stale-if-error=x", (0, 0)),
        ("max-age=9, must-revalidate, stale-while-revalidate=7", (0, 0)),
        ("max-age=9, proxy-revalidate, stale-if-error=8", (0, 0)),
        ("s-maxage=9", (0, 0)),
        ("s-maxage=9, stale-while-revalidate=7", (7, 0)),
    ] {
        let lifetime = with(json, &get(&[]), 200, &[("cache-control", directives)]).unwrap();
        let stale = (lifetime.stale_while_revalidate_secs, lifetime.stale_if_error_secs);
        assert_eq!(stale, allowed, "{directives}");
    }
}

#[test]
fn a_client_that_counts_may_forbid_storing_rfc9111_5_2_1_5() {
    let (shy, pairs) = (get(&[("cache-control", "no-store")]), [("cache-control", "max-age=9, public")]);
    assert!(with("{}", &shy, 200, &pairs).is_ok());
    let all = r#"{"honour_client_directives":"all"}"#;
    assert_eq!(with(all, &shy, 200, &pairs), Err(NotStored::RequestNoStore));
}

#[test]
fn a_key_of_ones_own_is_as_good_as_a_private_cache_rfc9111_3_5() {
    let by_key = Identity { key_hash: Some("00".into()), ..known() };
    let unproven = Identity { unproven: true, ..anonymous() };
    let token = ("authorization", "Bearer a.b.c");
    let per_user = r#"{"key":{"per_user":true}}"#;
    for (json, fields, identity, stored) in [
        (per_user, &[][..], &by_key, true),
        (per_user, &[token], &known(), true),
        (per_user, &[token], &by_key, false),
        (per_user, &[token, token], &known(), false),
        (per_user, &[("cookie", "session=1")], &by_key, false),
        (per_user, &[], &anonymous(), false),
        (per_user, &[token], &anonymous(), false),
        (per_user, &[], &unproven, false),
        ("{}", &[], &by_key, false),
        ("{}", &[token], &known(), false),
    ] {
        for directives in ["private, max-age=9", "max-age=9, private=\"x\", private"] {
            let response = response(200, &[("cache-control", directives)]);
            let verdict = storable(&get(fields), &response, &policy(json), identity, secs(0));
            assert_eq!(verdict.is_ok(), stored, "{json} {fields:?} {identity:?}");
        }
    }
    let none = response(200, &[("cache-control", "private, no-store, max-age=9")]);
    assert_eq!(storable(&get(&[]), &none, &policy(per_user), &by_key, secs(0)), Err(NotStored::NoStore));
}
