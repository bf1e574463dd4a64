//! RFC 9111, sections 3.5, 4.2.4 and 5.2.1, and RFC 5861: what clients ask for, and stale responses, in every form.

use tidegate::origin::FetchError;

use super::{Step, date, get, rule};
use crate::sim::Reply;

const STORED: &str = "cache-control: max-age=60\netag: \"a\"";

/// Whether a request with this Cache-Control, so many seconds after, is answered without a question.
#[track_caller]
fn answered(stored: &str, after: u64, said: &str, answered: bool) {
    let next = get().after(after).with(&format!("cache-control: {said}"));
    rule([get().reply(stored), if answered { next.hit(0) } else { next.reply("") }]);
}

#[test]
fn rfc9111_5_2_1_fresh_responses_and_what_is_asked_of_them() {
    for (said, is_answered) in [
        ("max-age=0", false),
        ("max-age=19", false),
        ("max-age=20", true),
        ("MAX-AGE=20", true),
        ("max-age=\"20\"", true),
        ("max-age=\"19\"", false),
        ("max-age=99999999999999", true),
        ("max-age=20, max-age=0", true),
        ("min-fresh=40", true),
        ("min-fresh=41", false),
        ("min-fresh=\"41\"", false),
        ("min-fresh=0", true),
        ("no-cache", false),
        ("No-Cache", false),
        ("no-cache, max-age=60", false),
        ("foo, no-cache", false),
        ("foo=\"no-cache\"", true),
        ("no-cachex", true),
        ("max-stale=10", true),
        ("max-stale=10, max-age=10", false),
        ("only-if-cached", true),
        ("no-transform", true),
        ("foo=bar", true),
        ("", true),
    ] {
        answered(STORED, 20, said, is_answered);
    }
}

#[test]
fn rfc9111_5_2_1_1_no_stored_response_is_younger_than_zero() {
    for (said, is_answered) in [("max-age=0", false), ("max-age=1", true), ("max-age=0, max-stale=60", false)]
    {
        answered(STORED, 0, said, is_answered);
    }
}

#[test]
fn rfc9111_5_2_1_2_stale_responses_and_what_is_asked_of_them() {
    for (said, is_answered) in [
        ("max-stale", true),
        ("max-stale=10", true),
        ("max-stale=9", false),
        ("max-stale=0", false),
        ("max-stale=\"10\"", true),
        ("max-stale=x", false),
        ("Max-Stale=10", true),
        ("max-stale, no-cache", false),
        ("max-stale=10, min-fresh=1", false),
        ("max-age=60", false),
        ("max-stale=10, max-age=70", true),
        ("max-stale=10, max-age=69", false),
    ] {
        answered(STORED, 70, said, is_answered);
    }
    for strict in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"] {
        answered(&format!("cache-control: max-age=60, {strict}\netag: \"a\""), 70, "max-stale", false);
    }
}

#[test]
fn rfc9111_5_2_1_7_only_if_cached_never_asks_the_origin() {
    let only = |more: &str| get().with(&format!("cache-control: only-if-cached{more}"));
    rule([only("").status(504)]);
    rule([get().reply("cache-control: no-store"), only("").status(504)]);
    rule([
        get().reply(STORED),
        only(", no-cache").status(504),
        only(", max-age=0").after(1).status(504),
        only("").hit(0),
    ]);
    rule([get().reply(STORED), only("").after(61).status(504), only(", max-stale").hit(0)]);
    rule([get().with("foo: 1").reply(&format!("{STORED}\nvary: foo")), only("").with("foo: 2").status(504)]);
}

#[test]
fn rfc9111_5_2_1_5_no_store_keeps_this_exchange_out_of_the_store() {
    for said in ["no-store", "No-Store", "no-store, max-age=60", "foo, no-store"] {
        rule([
            get().with(&format!("cache-control: {said}")).reply(STORED),
            get().reply(STORED),
            get().hit(1),
        ]);
    }
}

#[test]
fn rfc9111_5_4_pragma_of_a_request_counts_where_nothing_else_is_said() {
    for (said, is_answered) in [
        ("pragma: no-cache", false),
        ("pragma: No-Cache", false),
        ("pragma: foo, no-cache", false),
        ("pragma: foo", true),
        ("pragma: no-store", true),
        ("pragma: no-cache\ncache-control: max-stale=5", true),
    ] {
        let next = get().after(20).with(said);
        rule([get().reply(STORED), if is_answered { next.hit(0) } else { next.reply("") }]);
    }
}

#[test]
fn rfc9111_3_5_authorization() {
    for credentials in ["Basic YTpi", "Bearer abc.def.ghi", "Digest username=\"a\"", "foo"] {
        let mine = || get().with(&format!("authorization: {credentials}"));
        for (said, shared) in [
            ("max-age=60", false),
            ("max-age=60, public", true),
            ("max-age=60, must-revalidate", true),
            ("s-maxage=60", true),
            ("max-age=60, proxy-revalidate", false),
            ("max-age=60, public, private", false),
            ("max-age=60, public, no-store", false),
            ("max-age=60, immutable", false),
        ] {
            let stored = mine().reply(&format!("cache-control: {said}"));
            let again = |step: Step| if shared { step.hit(0) } else { step.reply("cache-control: no-store") };
            rule([stored, again(mine()), again(get())]);
        }
        // What is stored of others answers this one too: it is for everybody.
        rule([get().reply("cache-control: max-age=60"), mine().hit(0)]);
    }
    rule([
        get().with("authorization: Basic YTpi").reply(&format!("expires: {}", date(60))),
        get().reply("cache-control: no-store"),
    ]);
}

#[test]
fn rfc5861_3_while_revalidating_in_every_form() {
    for (said, stale) in [
        ("max-age=10, stale-while-revalidate=60", true),
        ("max-age=10, Stale-While-Revalidate=60", true),
        ("max-age=10, stale-while-revalidate=\"60\"", true),
        ("stale-while-revalidate=60, max-age=10", true),
        ("s-maxage=10, stale-while-revalidate=60", true),
        ("max-age=10, stale-while-revalidate=9", false),
        ("max-age=10, stale-while-revalidate=x", false),
        ("max-age=10, stale-while-revalidate", false),
        ("max-age=10, stale-while-revalidate=60, must-revalidate", false),
        ("max-age=10, stale-while-revalidate=60, proxy-revalidate", false),
        ("max-age=10, stale-while-revalidate=60, no-cache", false),
    ] {
        let next = get().after(20).reply("cache-control: max-age=60").status(200);
        rule([
            get().reply(&format!("cache-control: {said}")),
            if stale { next.hit(0).says("age: 20") } else { next.hit(1) },
            get().hit(1),
        ]);
    }
}

#[test]
fn rfc5861_4_instead_of_an_error_in_every_form() {
    for status in [500, 502, 503, 504] {
        rule([
            get().reply("cache-control: max-age=10, stale-if-error=60"),
            get().after(20).replies(status, "").status(200).hit(0).says("age: 20"),
            get().reply("cache-control: max-age=60").hit(2),
        ]);
    }
    rule([
        get().reply("cache-control: max-age=10, stale-if-error=60"),
        get().after(20).replies_with(Reply::fails(FetchError::ConnectionLost)).status(200).hit(0),
    ]);
    for status in [400, 404, 410, 451, 501] {
        rule([
            get().reply("cache-control: max-age=10, stale-if-error=60"),
            get().after(20).replies(status, "").hit(1),
        ]);
    }
    // What the origin allows goes before what the route does, and has an end.
    rule([
        get().reply("cache-control: max-age=10, stale-if-error=60"),
        get().after(80).replies(503, "").hit(1),
    ]);
    rule([
        get().reply("cache-control: max-age=10, stale-if-error=0"),
        get().after(20).replies(503, "").hit(1),
    ]);
}

#[test]
fn rfc5861_4_a_client_may_allow_it_too() {
    super::by_default([get().reply("cache-control: max-age=10"), get().after(20).replies(503, "")]);
    super::with(
        "honour_client_directives = \"all\"",
        [
            get().reply("cache-control: max-age=10"),
            get().after(20).with("cache-control: stale-if-error=60").replies(503, "").status(200).hit(0),
            get().after(60).with("cache-control: stale-if-error=60").replies(503, "").hit(2),
        ],
    );
}

#[test]
fn rfc8246_immutable_is_for_fresh_responses() {
    let stored = "cache-control: max-age=60, immutable\netag: \"a\"";
    answered(stored, 20, "max-age=0", true);
    answered(stored, 61, "max-age=0", false);
    answered(stored, 20, "no-cache", false);
}

#[test]
fn rfc9111_5_2_2_4_no_cache_that_names_fields() {
    for said in [
        "no-cache=\"x-a\"",
        "no-cache=\"X-A\"",
        "no-cache=x-a",
        "no-cache=\"x-b, x-a\"",
        "private=\"x-a\"",
        "private=\"x-a, x-b\"",
    ] {
        rule([
            get().reply(&format!("cache-control: max-age=60, {said}\nx-a: 1\nx-c: 3")).says("x-a: 1"),
            get().after(5).hit(0).lacks("x-a").says("x-c: 3"),
        ]);
    }
    rule([
        get().reply("cache-control: max-age=60, no-cache=\"x-a\", no-cache=\"x-b\"\nx-a: 1\nx-b: 2"),
        get().after(5).hit(0).lacks("x-a").lacks("x-b"),
    ]);
}

#[test]
fn rfc9111_5_2_1_4_what_fetch_adds_to_a_scripts_conditions_is_no_wish_of_the_client() {
    let added = "cache-control: no-cache\npragma: no-cache";
    let asks = |fields: &str| get().after(5).with(fields).with(added);
    rule([
        get().reply(STORED),
        asks("if-none-match: \"a\"").status(304),
        asks("if-none-match: \"b\"").hit(0),
        asks(&format!("if-modified-since: {}", date(1))).status(304),
        asks("range: bytes=0-2\nif-range: \"a\"").after(0).status(206).body("the"),
    ]);
    for (wish, conditions) in [
        (added, ""),
        ("cache-control: no-cache", "if-none-match: \"a\""),
        ("pragma: no-cache", "if-none-match: \"a\""),
        ("cache-control: no-cache, max-age=0\npragma: no-cache", "if-none-match: \"a\""),
    ] {
        rule([
            get().reply(STORED),
            get()
                .after(20)
                .with(wish)
                .with(conditions)
                .replies(304, "etag: \"a\"")
                .status(if conditions.is_empty() { 200 } else { 304 }),
        ]);
    }
    // What is stale is confirmed all the same.
    rule([
        get().reply(STORED),
        asks("if-none-match: \"a\"").after(61).replies(304, "etag: \"a\"").status(304),
    ]);
}
