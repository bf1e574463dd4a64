//! RFC 9111, section 4.3: validation, and RFC 9110, section 13: conditional requests.

use super::{date, get, rule, send};

const TAGGED: &str = "cache-control: max-age=10\netag: \"a\"";

#[test]
fn rfc9111_4_3_1_a_stale_response_is_validated_with_what_it_has() {
    rule([
        get().reply(TAGGED),
        get().after(11).asks("if-none-match: \"a\"").asks_not("if-modified-since").replies(304, "").hit(0),
    ]);
    let modified = date(-5000);
    let dated = format!("cache-control: max-age=10\nlast-modified: {modified}");
    rule([
        get().reply(&dated),
        get()
            .after(11)
            .asks(&format!("if-modified-since: {modified}"))
            .asks_not("if-none-match")
            .replies(304, "")
            .hit(0),
    ]);
    let both = format!("{dated}\netag: W/\"a\"");
    rule([
        get().reply(&both),
        get()
            .after(11)
            .asks(&format!("if-none-match: W/\"a\"\nif-modified-since: {modified}"))
            .replies(304, "")
            .hit(0),
    ]);
}

#[test]
fn rfc9111_4_3_3_any_other_answer_replaces_what_is_stored() {
    rule([
        get().reply(TAGGED),
        get().after(11).reply("cache-control: max-age=60\netag: \"b\"").hit(1),
        get().after(20).hit(1),
    ]);
}

#[test]
fn rfc9111_4_3_4_a_304_freshens_the_stored_response_and_its_fields() {
    rule([
        get().reply("cache-control: max-age=10\netag: \"a\"\nx-old: 1\nx-both: 1"),
        get().after(11).replies(304, "cache-control: max-age=100\netag: \"a\"\nx-both: 2\nx-new: 3").hit(0),
        get().after(50).hit(0).says("x-old: 1\nx-both: 2\nx-new: 3\nage: 50\ncache-control: max-age=100"),
    ]);
}

#[test]
fn rfc9111_3_2_what_describes_the_body_is_not_updated() {
    rule([
        get().reply("cache-control: max-age=10\netag: \"a\"\ncontent-type: text/plain\ncontent-encoding: x\ncontent-range: y"),
        get().after(11).replies(304, "cache-control: max-age=100\ncontent-type: text/html\ncontent-encoding: z\ncontent-length: 9"),
        get().hit(0).says("content-encoding: x\ncontent-length: 18"),
    ]);
}

#[test]
fn rfc9111_4_3_4_a_304_of_another_response_is_not_taken_for_this_one() {
    // The origin is asked twice: the second time without conditions.
    rule([get().reply(TAGGED), get().after(11).replies(304, "etag: \"z\"").status(304)]);
}

#[test]
fn rfc9111_4_3_2_a_client_that_has_it_gets_304() {
    let modified = date(-5000);
    let stored = format!("cache-control: max-age=60\netag: \"a\"\nlast-modified: {modified}\nx-own: 1");
    for (condition, status) in [
        ("if-none-match: \"a\"".to_owned(), 304),
        ("if-none-match: W/\"a\"".to_owned(), 304),
        ("if-none-match: \"x\", \"a\"".to_owned(), 304),
        ("if-none-match: *".to_owned(), 304),
        ("if-none-match: \"b\"".to_owned(), 200),
        ("if-none-match: a".to_owned(), 200),
        (format!("if-modified-since: {modified}"), 304),
        (format!("if-modified-since: {}", date(-10)), 304),
        (format!("if-modified-since: {}", date(-5001)), 200),
        ("if-modified-since: yesterday".to_owned(), 200),
        (format!("if-none-match: \"b\"\nif-modified-since: {modified}"), 200),
    ] {
        rule([
            get().reply(&stored),
            get().after(5).with(&condition).status(status).says("etag: \"a\"\nage: 5"),
        ]);
    }
}

#[test]
fn rfc9110_15_4_5_a_304_has_what_a_200_would_have_had_and_nothing_about_the_body() {
    rule([
        get()
            .reply("cache-control: max-age=60\netag: \"a\"\nvary: foo\ncontent-type: text/plain\nexpires: 0"),
        get()
            .with("if-none-match: \"a\"")
            .status(304)
            .says("vary: foo\ncache-control: max-age=60\nexpires: 0")
            .lacks("content-type")
            .lacks("content-length"),
    ]);
}

#[test]
fn rfc9111_4_3_2_a_client_with_another_tag_gets_the_whole_after_a_validation() {
    rule([
        get().reply(TAGGED),
        get().after(11).with("if-none-match: \"b\"").asks("if-none-match: \"a\"").replies(304, TAGGED).hit(0),
        get().after(11).with("if-none-match: \"a\"").replies(304, TAGGED).status(304),
    ]);
}

#[test]
fn rfc9111_4_3_2_a_client_that_has_the_new_one_gets_304_and_the_cache_keeps_the_whole() {
    rule([
        get().reply(TAGGED),
        get()
            .after(11)
            .with("if-none-match: \"b\"")
            .reply("cache-control: max-age=60\netag: \"b\"")
            .status(304),
        get().hit(1),
    ]);
}

#[test]
fn rfc9110_13_1_if_match_and_if_unmodified_since_are_for_the_origin() {
    for condition in ["if-match: \"a\"".to_owned(), format!("if-unmodified-since: {}", date(0))] {
        rule([
            get().reply("cache-control: max-age=60\netag: \"a\""),
            get().with(&condition).asks(&condition).replies(412, ""),
        ]);
    }
}

#[test]
fn rfc9110_9_3_2_a_stored_get_answers_head() {
    rule([get().reply(TAGGED), send("HEAD", "/x").body("").says("content-length: 18\netag: \"a\"")]);
}

#[test]
fn rfc9111_4_3_5_a_head_that_agrees_freshens_the_stored_get() {
    rule([
        get().reply(TAGGED),
        send("HEAD", "/x")
            .after(11)
            .reply("cache-control: max-age=60\netag: \"a\"\nx-new: 1\ncontent-length: 18")
            .body(""),
        get().after(30).hit(0).says("x-new: 1"),
    ]);
}

#[test]
fn rfc9111_4_3_5_a_head_that_disagrees_invalidates_the_stored_get() {
    for other in ["etag: \"b\"\ncontent-length: 18", "etag: \"a\"\ncontent-length: 99"] {
        rule([
            get().reply(&format!("{TAGGED}, stale-while-revalidate=0")),
            send("HEAD", "/x").after(11).reply(&format!("cache-control: max-age=60\n{other}")).body(""),
            get().asks_not("if-none-match").reply(""),
        ]);
    }
}

#[test]
fn rfc9110_8_8_1_a_response_without_length_is_validated_like_any_other() {
    let stored = crate::sim::Reply::cached("chunked", "max-age=10").field("etag", "\"a\"").chunked();
    rule([get().replies_with(stored), get().after(11).replies(304, "").body("chunked")]);
}
