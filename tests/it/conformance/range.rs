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
    let part = |range: &str, body: &str| {
        format!(
            "\r\n--{{boundary}}\r\ncontent-type: text/plain\r\ncontent-range: bytes {range}/10\r\n\r\n{body}"
        )
    };
    let expected = format!("{}{}\r\n--{{boundary}}--\r\n", part("0-1", "01"), part("8-9", "89"));
    rule([
        get()
            .replies_with(Reply::cached("0123456789", "max-age=60").field("content-type", "text/plain"))
            .body("0123456789"),
        self::part("bytes=0-1, 8-9").status(206).body(&expected).lacks("content-range"),
    ]);
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

/// The bytes from `first` to `last` of the digits, as the origin sends them.
fn digits(first: usize, last: usize, tag: &str) -> Reply {
    let body = "0123456789".get(first..=last).unwrap();
    let reply = Reply::new(206, body).field("cache-control", "max-age=60").field("etag", tag);
    reply.field("content-range", &format!("bytes {first}-{last}/10"))
}

#[test]
fn rfc9111_3_4_a_stored_part_is_completed_by_what_it_lacks() {
    let first = part("bytes=0-3").replies_with(digits(0, 3, "\"a\""));
    let rest = get().asks("range: bytes=4-\nif-range: \"a\"").replies_with(digits(4, 9, "\"a\""));
    rule([
        first.clone(),
        rest.status(200).body("0123456789").says("content-length: 10").lacks("content-range"),
        get().body("0123456789"),
        part("bytes=-2").status(206).body("89"),
    ]);
    let more = part("bytes=2-6").asks("range: bytes=4-6\nif-range: \"a\"");
    rule([
        first,
        more.replies_with(digits(4, 6, "\"a\""))
            .status(206)
            .body("23456")
            .says("content-range: bytes 2-6/10"),
        part("bytes=0-6").status(206).body("0123456"),
    ]);
    let last = part("bytes=6-9").replies_with(digits(6, 9, "\"a\""));
    let rest = get().asks("range: bytes=0-5").replies_with(digits(0, 5, "\"a\""));
    rule([last, rest.status(200).body("0123456789")]);
}

#[test]
fn rfc9111_3_4_a_part_is_completed_also_when_it_is_stale_since_the_origin_confirms_it() {
    let first = part("bytes=0-3").replies_with(digits(0, 3, "\"a\""));
    let rest = get().after(61).asks("if-range: \"a\"").replies_with(digits(4, 9, "\"a\""));
    rule([first, rest.status(200).body("0123456789"), get().after(59).body("0123456789")]);
}

#[test]
fn rfc9110_13_1_5_a_response_that_has_changed_comes_whole() {
    let first = part("bytes=0-3").replies_with(digits(0, 3, "\"a\""));
    let new = Reply::cached("ABCDE", "max-age=60").field("etag", "\"b\"");
    rule([first, get().asks("if-range: \"a\"").replies_with(new).body("ABCDE"), get().body("ABCDE")]);
}

#[test]
fn rfc9110_15_3_7_3_parts_of_different_responses_are_never_mixed() {
    for tag in ["\"b\"", "W/\"a\""] {
        let world =
            crate::sim::World::new(1).config(include_str!("../../../examples/plain-cache/tidegate.toml"));
        world.replies([digits(0, 3, "\"a\""), digits(4, 9, tag), Reply::ok("all of it")]);
        world.get("/x").field("range", "bytes=0-3").run();
        assert_eq!(world.get("/x").run().text(), "all of it", "{tag}");
        assert_eq!(world.asked_last().field("range"), None);
    }
    let weak = part("bytes=0-3").replies_with(digits(0, 3, "W/\"a\""));
    rule([weak, get().asks_not("range").replies_with(Reply::ok("0123456789"))]);
}

#[test]
fn rfc9111_3_4_a_part_in_the_middle_is_completed_on_both_sides() {
    let world = crate::sim::World::new(1).config(include_str!("../../../examples/plain-cache/tidegate.toml"));
    world.replies([digits(3, 5, "\"a\""), digits(0, 2, "\"a\""), digits(6, 9, "\"a\"")]);
    world.get("/x").field("range", "bytes=3-5").run();
    let whole = world.get("/x").run();
    let told = "fwd=partial; fwd-status=206; stored; ttl=60";
    assert_eq!((whole.status, whole.text(), whole.cache().as_str()), (200, "0123456789", told));
    let asked: Vec<_> = world.asked().iter().map(|one| one.field("range").unwrap().to_owned()).collect();
    assert_eq!(asked, ["bytes=3-5", "bytes=0-2", "bytes=6-"]);
    assert!(world.get("/x").run().is_hit() && world.leaks() == 0);
}

#[test]
fn rfc9111_3_3_what_came_of_a_body_that_broke_off_is_a_part() {
    let broken = Reply::cached("0123456789", "max-age=60").field("etag", "\"a\"").breaks();
    for (reply, range) in [(broken.clone(), Some("bytes=5-")), (broken.clone().chunked(), None)] {
        let world =
            crate::sim::World::new(1).config(include_str!("../../../examples/plain-cache/tidegate.toml"));
        let rest = if range.is_some() { digits(5, 9, "\"a\"") } else { Reply::ok("0123456789") };
        world.replies([reply, rest]);
        assert!(world.get("/x").run().read.is_err(), "the client sees that it broke off");
        let whole = world.get("/x").run();
        assert_eq!((whole.status, whole.text()), (200, "0123456789"));
        assert_eq!(
            world.asked_last().field("range"),
            range,
            "without its length nobody knows what is missing"
        );
    }
    let world = crate::sim::World::new(1).config("[origins.default]\nurl = \"http://origin.example\"\n");
    world.replies([broken, Reply::ok("whole")]);
    assert!(world.get("/x").run().read.is_err());
    assert_eq!(world.get("/x").run().text(), "whole");
    assert_eq!(world.asked_last().field("range"), None, "by default no parts are stored");
}
