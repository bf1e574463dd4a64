//! RFC 9110, section 14, and RFC 9111, sections 3.3 and 3.4: ranges.

use super::{Step, date, get, rule};
use crate::sim::Reply;

fn ten() -> Step {
    let reply =
        Reply::cached("0123456789", "max-age=60").field("etag", "\"a\"").field("last-modified", &date(-5000));
    get().replies_with(reply.field("date", &date(0)))
}

fn part(range: &str) -> Step {
    get().with(&format!("range: {range}"))
}

#[test]
fn rfc9110_14_a_part_is_cut_from_a_stored_whole() {
    for (range, body, told) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-5", "2345", "bytes 2-5/10"),
        ("bytes=5-", "56789", "bytes 5-9/10"),
        ("bytes=-4", "6789", "bytes 6-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
        ("BYTES=2-5", "2345", "bytes 2-5/10"),
    ] {
        let length = format!("content-length: {}\ncontent-range: {told}\netag: \"a\"", body.len());
        rule([ten(), part(range).status(206).body(body).says(&length)]);
    }
}

#[test]
fn rfc9110_15_5_17_a_part_that_is_not_there_is_416() {
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
        rule([ten(), part(range).status(416).says("content-range: bytes */10")]);
    }
}

#[test]
fn rfc9110_14_2_a_range_that_is_not_understood_is_ignored() {
    for range in ["bytes=5-2", "bytes=a-b", "bytes", "bytes=", "lines=0-1", "bytes=1-2-3"] {
        rule([ten(), part(range).body("0123456789")]);
    }
}

#[test]
fn rfc9110_14_6_several_parts_come_as_multipart() {
    let world = crate::sim::World::new(1).config(include_str!("../../../examples/plain-cache/tidegate.toml"));
    world.origin(|_| Reply::cached("0123456789", "max-age=60").field("content-type", "text/plain"));
    world.get("/x").run();
    let answer = world.get("/x").field("range", "bytes=0-1, 8-9").run();
    let kind = answer.field("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap().trim_matches('"').to_owned();
    let part = |range: &str, body: &str| {
        format!(
            "--{boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes {range}/10\r\n\r\n{body}\r\n"
        )
    };
    let expected = format!("{}{}--{boundary}--", part("0-1", "01"), part("8-9", "89"));
    assert_eq!((answer.status, answer.text().to_lowercase().trim()), (206, expected.to_lowercase().trim()));
    assert_eq!(answer.field("content-range"), None);
}

#[test]
fn rfc9110_13_1_5_if_range_must_hold_strongly() {
    let modified = date(-5000);
    for (condition, holds) in [
        ("\"a\"".to_owned(), true),
        ("\"b\"".to_owned(), false),
        ("W/\"a\"".to_owned(), false),
        (modified, true),
        (date(-4000), false),
        (date(-6000), false),
    ] {
        let request = part("bytes=0-1").with(&format!("if-range: {condition}"));
        rule([ten(), if holds { request.status(206).body("01") } else { request.body("0123456789") }]);
    }
}

#[test]
fn rfc9110_13_2_2_a_condition_goes_before_a_range() {
    rule([ten(), part("bytes=0-1").with("if-none-match: \"a\"").status(304)]);
    rule([ten(), part("bytes=0-1").with("if-none-match: \"b\"").status(206).body("01")]);
}

fn stored_part() -> Step {
    let reply = Reply::new(206, "2345").field("cache-control", "max-age=60").field("etag", "\"a\"");
    part("bytes=2-5").replies_with(reply.field("content-range", "bytes 2-5/10"))
}

#[test]
fn rfc9111_3_3_a_stored_part_answers_for_what_lies_in_it() {
    rule([stored_part(), part("bytes=2-5").status(206).body("2345").says("content-range: bytes 2-5/10")]);
    rule([
        stored_part(),
        part("bytes=3-4").status(206).body("34").says("content-range: bytes 3-4/10\ncontent-length: 2"),
    ]);
}

#[test]
fn rfc9111_3_3_a_stored_part_does_not_answer_for_anything_else() {
    rule([stored_part(), get().replies_with(Reply::ok("0123456789"))]);
    rule([
        stored_part(),
        part("bytes=0-3").replies_with(Reply::new(206, "0123").field("content-range", "bytes 0-3/10")),
    ]);
    rule([
        stored_part(),
        part("bytes=5-7").replies_with(Reply::new(206, "567").field("content-range", "bytes 5-7/10")),
    ]);
}

#[test]
fn rfc9111_4_3_1_a_part_of_a_stale_whole_is_validated_as_a_whole() {
    let asked = part("bytes=2-5").after(61).asks("if-none-match: \"a\"").asks_not("range");
    rule([ten(), asked.replies(304, "").status(206).body("2345"), get().body("0123456789")]);
}
