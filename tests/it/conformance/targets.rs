//! RFC 9213 and RFC 9651: CDN-Cache-Control in every form.

use super::{date, get, rule};
use crate::sim::Reply;
use tidegate::origin::FetchError;

/// Whether a response with this CDN-Cache-Control and these other fields is reused after half a minute.
#[track_caller]
fn reused(targeted: &str, others: &str, reused: bool) {
    let next = get().after(30);
    let stored = get().reply(&format!("{others}\ncdn-cache-control: {targeted}"));
    rule([stored, if reused { next.hit(0) } else { next.reply("cache-control: no-store") }]);
}

#[test]
fn rfc9213_2_1_valid_ones_in_every_form() {
    for targeted in [
        "max-age=60",
        "  max-age=60  ",
        "max-age=60;foo=bar",
        "max-age=60; foo",
        "max-age=10, max-age=60",
        "max-age=10\ncdn-cache-control: max-age=60",
        "foo, max-age=60, bar=(a b)",
        "foo=1.5, max-age=60",
        "foo=:YQ==:, max-age=60",
        "foo=?0,max-age=60",
        "max-age=060",
        "max-age=999999999999999",
        "public, max-age=60",
        "must-revalidate, max-age=60",
    ] {
        for others in [
            "cache-control: no-store",
            "cache-control: max-age=0",
            "cache-control: private",
            "cache-control: no-cache",
            "cache-control: foo",
            "expires: 0",
        ] {
            reused(targeted, others, true);
        }
    }
}

#[test]
fn rfc9213_2_1_broken_ones_are_as_if_they_were_not_there() {
    for targeted in [
        "max-age=60, ",
        ", max-age=60",
        "max-age=60,, foo",
        "Max-Age=60",
        "MAX-AGE=60",
        "max-age =60",
        "max-age= 60",
        "max-age=60 foo",
        "max-age=60s",
        "max-age=60, &",
        "max-age=60; ",
        "max-age=1000000000000000",
        "max-age=60, foo=\"bar",
        "max-age=60, foo='bar'",
        "max-age=--60",
        "no store, max-age=60",
        "",
    ] {
        reused(targeted, "cache-control: no-store", false);
        reused(targeted, "cache-control: max-age=60", true);
        reused(targeted, &format!("expires: {}", date(60)), true);
    }
}

#[test]
fn rfc9213_2_1_a_value_of_another_type_is_not_taken_for_seconds() {
    for targeted in
        ["max-age=\"60\"", "max-age=60.0", "max-age=sixty", "max-age", "max-age=-60", "max-age=(60)"]
    {
        reused(targeted, "cache-control: no-store", false);
        reused(targeted, "cache-control: max-age=0", false);
    }
}

#[test]
fn rfc9213_2_2_what_it_forbids_is_forbidden_whatever_else_is_said() {
    for targeted in [
        "no-store",
        "private",
        "no-cache",
        "max-age=0",
        "max-age=60, no-store",
        "max-age=60, private",
        "max-age=60, no-cache",
        "max-age=20",
    ] {
        reused(
            targeted,
            &format!("cache-control: public, max-age=600, s-maxage=600\nexpires: {}", date(600)),
            false,
        );
    }
}

#[test]
fn rfc9213_2_1_age_and_date_count() {
    reused("max-age=60", "cache-control: max-age=600\nage: 40", false);
    reused("max-age=60", "cache-control: max-age=1\nage: 20", true);
    reused("max-age=60", &format!("cache-control: max-age=600\ndate: {}", date(-40)), false);
}

#[test]
fn rfc9213_2_2_stale_directives_are_its_own_too() {
    rule([
        get().reply(
            "cache-control: max-age=600, stale-if-error=600\ncdn-cache-control: max-age=10, must-revalidate",
        ),
        get().after(20).replies_with(Reply::fails(FetchError::ConnectionLost)).status(504),
    ]);
    rule([
        get().reply("cache-control: no-store\ncdn-cache-control: max-age=10, stale-while-revalidate=60"),
        get().after(20).reply("cdn-cache-control: max-age=60").status(200).hit(0),
        get().hit(1),
    ]);
}

#[test]
fn rfc9213_3_a_field_for_another_cache_says_nothing() {
    for name in ["surrogate-control", "other-cache-control", "cdn-cache-control-foo", "x-cdn-cache-control"] {
        rule([get().reply(&format!("cache-control: no-store\n{name}: max-age=60")), get().reply("")]);
        rule([get().reply(&format!("cache-control: max-age=60\n{name}: no-store")), get().hit(0)]);
    }
}
