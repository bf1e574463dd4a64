//! RFC 9110, sections 8.8 and 13: conditional requests as strangers write them.

use super::{date, get, rule};

/// What a client with this condition gets of a fresh stored response with these fields.
#[track_caller]
fn answered(stored: &str, condition: &str, status: u16) {
    rule([
        get().reply(&format!("cache-control: max-age=60\n{stored}")),
        get().after(5).with(condition).status(status),
    ]);
}

#[test]
fn rfc9110_13_1_2_if_none_match_in_every_form() {
    for (tag, condition, status) in [
        ("\"a\"", "\"a\"", 304),
        ("\"a\"", "W/\"a\"", 304),
        ("W/\"a\"", "\"a\"", 304),
        ("W/\"a\"", "W/\"a\"", 304),
        ("\"a\"", "*", 304),
        ("\"a\"", " * ", 304),
        ("\"a\"", "\"b\",\"a\"", 304),
        ("\"a\"", "\"b\" , W/\"a\" ,\"c\"", 304),
        ("\"a\"", ",,\"a\",", 304),
        ("\"a\"", "\"b\"\nif-none-match: \"a\"", 304),
        ("\"a\"", "\"b\"", 200),
        ("\"a\"", "\"A\"", 200),
        ("\"a\"", "\"aa\"", 200),
        ("\"a\"", "\"\"", 200),
        ("\"a\"", "'a'", 200),
        ("\"a\"", "w/\"a\"", 200),
        ("\"a\"", "W\\\"a\"", 200),
        ("\"a\"", "\"b,a\"", 200),
        ("\"a\"", "\"*\"", 200),
        ("\"*\"", "\"*\"", 304),
        ("\"a,b\"", "\"a,b\"", 304),
        ("\"a,b\"", "\"x\", \"a,b\"", 304),
        ("\"a b\"", "\"a b\"", 304),
        ("\"\"", "\"\"", 304),
        ("\"a\\\"", "\"a\\\"", 304),
        // A backslash escapes nothing in a tag (section 8.8.3).
        ("\"a\\\"", "\"a\\\", \"b\"", 304),
        ("\"b\"", "\"a\\\", \"b\"", 304),
        ("\"b\"", "\"a\\\", \"c\"", 200),
        ("a", "a", 304),
        ("a", "\"b\"", 200),
    ] {
        answered(&format!("etag: {tag}"), &format!("if-none-match: {condition}"), status);
    }
    // Without a tag nothing but `*` can match, and a date does not stand in for it.
    let dated = format!("last-modified: {}", date(-5000));
    answered(&dated, "if-none-match: *", 304);
    answered(&dated, &format!("if-none-match: \"a\"\nif-modified-since: {}", date(-5000)), 200);
}

#[test]
fn rfc9110_13_1_3_if_modified_since_in_every_form() {
    // 2026-09-09, five hours before the rules begin.
    let modified = "last-modified: Wed, 09 Sep 2026 19:26:40 GMT";
    for (since, status) in [
        ("Wed, 09 Sep 2026 19:26:40 GMT", 304),
        ("Wednesday, 09-Sep-26 19:26:40 GMT", 304),
        ("Wed Sep  9 19:26:40 2026", 304),
        ("wed, 09 sep 2026 19:26:40 gmt", 304),
        ("Wed, 09 Sep 2026 19:26:41 GMT", 304),
        ("Wed, 09 Sep 2026 19:26:39 GMT", 200),
        ("Wed, 09 Sep 2037 19:26:40 GMT", 304),
        ("Wed, 09 Sep 2026 19:26:40 EST", 200),
        ("Wed, 09 Sep 2026 19:26:40 GMT; length=9", 200),
        ("2026-09-09T19:26:40Z", 200),
        ("*", 200),
        ("", 200),
    ] {
        answered(modified, &format!("if-modified-since: {since}"), status);
    }
}

#[test]
fn rfc9111_4_3_2_without_last_modified_the_date_is_compared() {
    for (since, status) in [(date(0), 304), (date(60), 304), (date(-1), 200)] {
        answered(&format!("date: {}", date(0)), &format!("if-modified-since: {since}"), status);
    }
}

#[test]
fn rfc9110_13_2_1_a_condition_changes_nothing_of_a_response_that_is_no_success() {
    for status in [301, 404, 410] {
        rule([
            get().replies(status, "cache-control: max-age=60\netag: \"a\""),
            get().with("if-none-match: \"a\"").status(status).hit(0),
        ]);
    }
}

#[test]
fn rfc9111_4_3_2_a_condition_about_nothing_stored_is_for_the_origin() {
    for condition in ["if-none-match: \"a\"".to_owned(), format!("if-modified-since: {}", date(-500))] {
        rule([
            get()
                .with(&condition)
                .asks(&condition)
                .replies(304, "etag: \"a\"\ncache-control: max-age=60")
                .status(304),
            get().asks_not("if-none-match").reply("cache-control: max-age=60\netag: \"a\""),
            get().hit(1),
        ]);
        rule([
            get().with(&condition).asks(&condition).reply("cache-control: max-age=60\netag: \"b\"").hit(0),
            get().hit(0),
        ]);
    }
}

#[test]
fn rfc9111_4_3_1_a_validator_that_is_none_is_not_sent() {
    rule([
        get().reply("cache-control: max-age=10\nlast-modified: nonsense"),
        get().after(11).asks_not("if-modified-since").asks_not("if-none-match").reply(""),
    ]);
    rule([
        get().reply("cache-control: max-age=10"),
        get().after(11).asks_not("if-modified-since").asks_not("if-none-match").reply(""),
    ]);
}

#[test]
fn rfc9110_8_8_3_a_tag_goes_to_the_origin_as_it_came() {
    for tag in ["\"a\"", "W/\"a\"", "\"a,b\"", "\"\"", "\"a\\b\"", "a", "\"!#$%&'()*+-./:;<=>?@[]^_`{|}~\""] {
        rule([
            get().reply(&format!("cache-control: max-age=10\netag: {tag}")),
            get().after(11).asks(&format!("if-none-match: {tag}")).replies(304, "").hit(0),
        ]);
    }
}

#[test]
fn rfc9111_4_3_4_a_304_confirms_by_whatever_validator_there_is() {
    let modified = date(-5000);
    let dated = format!("last-modified: {modified}");
    let both = format!("{dated}\netag: \"a\"");
    for (stored, answer) in [
        ("etag: \"a\"", ""),
        ("etag: \"a\"", "etag: \"a\""),
        ("etag: W/\"a\"", "etag: W/\"a\""),
        ("etag: W/\"a\"", "etag: \"a\""),
        (&dated, ""),
        (&dated, &dated),
        (&both, "etag: \"a\""),
        (&both, &dated),
        (&both, ""),
        (&dated, "etag: \"new\""),
    ] {
        rule([
            get().reply(&format!("cache-control: max-age=10\n{stored}")),
            get()
                .after(11)
                .replies(304, &format!("{answer}\ncache-control: max-age=60\nx-new: 1"))
                .hit(0)
                .says("x-new: 1"),
            get().after(30).hit(0).says("x-new: 1").says("age: 30"),
        ]);
    }
}

#[test]
fn rfc9111_4_3_3_a_304_without_freshness_keeps_what_was_said_before() {
    rule([
        get().reply("cache-control: max-age=10\netag: \"a\""),
        get().after(11).replies(304, "").hit(0).says("age: 0"),
        get().after(9).hit(0).says("age: 9"),
        get().after(1).asks("if-none-match: \"a\"").replies(304, "").hit(0),
    ]);
}

#[test]
fn rfc9111_4_3_3_a_304_may_take_away_what_was_allowed() {
    for said in ["no-store", "private", "no-cache"] {
        rule([
            get().reply("cache-control: max-age=10\netag: \"a\""),
            get().after(11).replies(304, &format!("cache-control: {said}")).hit(0),
            get().after(1).reply(""),
        ]);
    }
}

#[test]
fn rfc9111_4_3_3_an_error_while_validating_without_permission_for_stale_goes_to_the_client() {
    for status in [400, 401, 403, 404, 410, 429, 501] {
        rule([
            get().reply("cache-control: max-age=10\netag: \"a\""),
            get().after(11).replies(status, "cache-control: no-store").hit(1),
        ]);
    }
}

#[test]
fn rfc9111_5_2_2_2_a_must_revalidate_without_an_origin_is_an_error() {
    use crate::sim::Reply;
    use tidegate::origin::FetchError;
    for said in ["max-age=10, must-revalidate", "max-age=10, proxy-revalidate", "s-maxage=10", "no-cache"] {
        rule([
            get().reply(&format!("cache-control: {said}\netag: \"a\"")),
            get().after(11).replies_with(Reply::fails(FetchError::ConnectionLost)).status(504),
        ]);
    }
}
