//! RFC 9111, section 3, and RFC 9110, section 15: every final status, with and without its own word on freshness.

use super::{date, get, rule};
use crate::sim::Reply;

/// Statuses that are in nobody's list.
const UNKNOWN: [u16; 5] = [218, 299, 399, 499, 599];
const KNOWN: [u16; 34] = [
    201, 202, 203, 204, 205, 207, 226, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 409,
    410, 413, 414, 415, 418, 422, 429, 451, 500, 501, 502, 503, 504,
];

fn has_body(status: u16) -> bool {
    !matches!(status, 204 | 205)
}

#[test]
fn rfc9111_3_every_status_is_reused_where_it_says_how_long() {
    for status in KNOWN.into_iter().chain(UNKNOWN) {
        for said in [
            "cache-control: max-age=60".to_owned(),
            format!("expires: {}", date(60)),
            "cache-control: s-maxage=60".into(),
        ] {
            let reused = get().after(30).status(status).says("age: 30");
            let reused = if has_body(status) { reused.hit(0) } else { reused.body("") };
            rule([
                get().replies(status, &said),
                reused,
                get().after(31).replies(status, "cache-control: no-store"),
            ]);
        }
    }
}

#[test]
fn rfc9110_15_a_status_beyond_599_passes_and_is_not_stored() {
    for status in [600, 799, 999] {
        let said = "cache-control: max-age=60\nx-a: 1";
        rule([get().replies(status, said).hit(0).says("x-a: 1"), get().replies(status, said).hit(1)]);
    }
}

#[test]
fn rfc9111_3_no_status_is_stored_against_its_word() {
    for status in KNOWN.into_iter().chain(UNKNOWN) {
        for said in ["no-store", "no-store, max-age=60", "private, max-age=60"] {
            let said = format!("cache-control: {said}");
            rule([get().replies(status, &said), get().replies(status, &said)]);
        }
    }
}

#[test]
fn rfc9111_4_2_2_only_some_statuses_are_reused_by_a_guess() {
    let modified = format!("last-modified: {}\ndate: {}", date(-10_000), date(0));
    for status in KNOWN.into_iter().chain(UNKNOWN) {
        let heuristic = matches!(status, 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501);
        let next = get().after(30).status(status);
        rule([
            get().replies(status, &modified),
            if heuristic { next } else { next.replies(status, "cache-control: no-store") },
        ]);
        rule([
            get().replies(status, &format!("cache-control: public\n{modified}")),
            get().after(30).status(status),
        ]);
    }
}

#[test]
fn rfc9111_5_2_2_3_must_understand() {
    for status in [200, 204, 301, 404, 410, 501] {
        rule([
            get().replies(status, "cache-control: max-age=60, must-understand, no-store"),
            get().after(30).status(status),
        ]);
    }
    for status in UNKNOWN {
        for said in ["max-age=60, must-understand", "max-age=60, must-understand, no-store"] {
            let said = format!("cache-control: {said}");
            rule([get().replies(status, &said), get().replies(status, &said)]);
        }
    }
}

#[test]
fn rfc9111_3_a_304_or_a_part_is_never_taken_for_the_whole() {
    rule([get().replies(304, "cache-control: max-age=60\netag: \"a\"").status(304), get().reply("")]);
    rule([
        get().replies_with(
            Reply::new(206, "0123")
                .field("cache-control", "max-age=60")
                .field("content-range", "bytes 0-3/9"),
        ),
        get().reply(""),
    ]);
    // A part that does not say which one it is.
    rule([
        get()
            .with("range: bytes=0-3")
            .replies_with(Reply::new(206, "0123").field("cache-control", "max-age=60")),
        get().with("range: bytes=0-3").replies_with(Reply::new(206, "0123")),
    ]);
}

#[test]
fn rfc9110_15_5_a_condition_or_range_of_one_request_fails_it_alone() {
    for (status, asked) in [
        (412, "if-match: \"z\""),
        (412, "if-unmodified-since: Thu, 01 Jan 1970 00:00:00 GMT"),
        (416, "range: bytes=99-"),
    ] {
        rule([
            get().with(asked).replies(status, "cache-control: max-age=60"),
            get().reply(""),
            get().reply(""),
        ]);
    }
}

#[test]
fn rfc9110_15_3_6_an_error_is_stored_over_what_was_there_before() {
    rule([
        get().reply("cache-control: max-age=10"),
        get().after(11).replies(404, "cache-control: max-age=60").hit(1),
        get().after(5).status(404).hit(1),
    ]);
}
