//! RFC 9110, section 14, and RFC 9111, sections 3.3 and 3.4: ranges in every form.

use super::{Step, date, get, rule, send};
use crate::sim::Reply;

const WHOLE: &str = "0123456789";

fn whole(fields: &str) -> Step {
    let reply = super::fields(fields)
        .iter()
        .fold(Reply::cached(WHOLE, "max-age=60"), |reply, (name, value)| reply.field(name, value));
    get().replies_with(reply)
}

fn part(range: &str) -> Step {
    get().with(&format!("range: {range}"))
}

fn cut(first: usize, last: usize) -> &'static str {
    WHOLE.get(first..=last).unwrap()
}

/// The origin's answer with these bytes of the whole.
fn told(first: usize, last: usize, fields: &str) -> Reply {
    let range = format!("bytes {first}-{last}/10");
    super::fields(fields)
        .iter()
        .fold(Reply::new(206, cut(first, last)).field("content-range", &range), |reply, (name, value)| {
            reply.field(name, value)
        })
}

#[test]
fn rfc9110_14_1_2_byte_ranges_in_every_form() {
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=9-9", 9, 9),
        ("bytes=9-", 9, 9),
        ("bytes=0-", 0, 9),
        ("bytes=-1", 9, 9),
        ("bytes=-10", 0, 9),
        ("bytes=-11", 0, 9),
        ("bytes=2-99999999999999999999", 2, 9),
        ("bytes=002-005", 2, 5),
        ("Bytes=2-5", 2, 5),
        ("bytes=2-5 ", 2, 5),
        ("bytes= 2-5", 2, 5),
        ("bytes=,2-5,", 2, 5),
        ("bytes=2-5,20-30", 2, 5),
    ] {
        let shown = format!("content-range: bytes {first}-{last}/10\ncontent-length: {}", last - first + 1);
        rule([
            whole("etag: \"a\""),
            part(range).after(5).status(206).body(cut(first, last)).says(&shown).says("age: 5"),
        ]);
    }
}

#[test]
fn rfc9110_14_2_what_is_no_valid_range_is_no_range() {
    for range in [
        "bytes=5-2",
        "bytes=x-5",
        "bytes=2-x",
        "bytes=--5",
        "bytes=2",
        "bytes=-",
        "bytes",
        "bytes:2-5",
        "2-5",
        "items=2-5",
        "=2-5",
    ] {
        rule([whole(""), part(range).status(200).body(WHOLE).lacks("content-range")]);
    }
    rule([
        whole(""),
        send("HEAD", "/x").with("range: bytes=2-5").status(200).body("").says("content-length: 10"),
    ]);
}

#[test]
fn rfc9110_15_5_17_what_lies_outside_is_not_satisfiable() {
    for range in ["bytes=10-10", "bytes=99-", "bytes=-0", "bytes=20-30,40-"] {
        rule([
            whole("etag: \"a\""),
            part(range).status(416).says("content-range: bytes */10"),
            get().body(WHOLE),
        ]);
    }
}

#[test]
fn rfc9110_14_2_only_a_200_is_cut() {
    for status in [404, 203, 301] {
        rule([
            get().replies(status, "cache-control: max-age=60"),
            part("bytes=2-5").status(status).hit(0).lacks("content-range"),
        ]);
    }
}

#[test]
fn rfc9110_13_1_5_if_range_in_every_form() {
    let modified = date(-5000);
    let fields = format!("etag: \"a\"\nlast-modified: {modified}\ndate: {}", date(0));
    for (condition, holds) in [
        ("\"a\"", true),
        ("\"b\"", false),
        ("W/\"a\"", false),
        ("a", false),
        ("*", false),
        ("nonsense", false),
        (&modified, true),
        (&date(0), false),
    ] {
        let asked = part("bytes=2-5").with(&format!("if-range: {condition}"));
        rule([
            whole(&fields),
            if holds { asked.status(206).body("2345") } else { asked.status(200).body(WHOLE) },
        ]);
    }
    // A date less than a second before the response was made tells nothing for certain.
    let young = format!("last-modified: {}\ndate: {}", date(0), date(0));
    let asked = part("bytes=2-5").with(&format!("if-range: {}", date(0)));
    rule([whole(&young), asked.status(200).body(WHOLE)]);
    let weak = part("bytes=2-5").with("if-range: W/\"a\"");
    rule([whole("etag: W/\"a\""), weak.status(200).body(WHOLE)]);
}

#[test]
fn rfc9111_3_3_a_part_that_is_stored_answers_for_itself() {
    let stored = || part("bytes=2-5").replies_with(told(2, 5, "cache-control: max-age=60\netag: \"a\""));
    for (range, first, last) in
        [("bytes=2-5", 2, 5), ("bytes=2-2", 2, 2), ("bytes=3-4", 3, 4), ("bytes=5-5", 5, 5)]
    {
        rule([
            stored().status(206).body("2345"),
            part(range)
                .after(5)
                .status(206)
                .body(cut(first, last))
                .says(&format!("content-range: bytes {first}-{last}/10\nage: 5")),
        ]);
    }
    let tail = part("bytes=6-9").replies_with(told(6, 9, "cache-control: max-age=60\netag: \"a\""));
    rule([tail.clone(), part("bytes=-4").status(206).body("6789")]);
    rule([tail.clone(), part("bytes=7-").status(206).body("789")]);
    rule([tail, part("bytes=-2").status(206).body("89")]);
}

#[test]
fn rfc9111_3_3_a_part_is_not_stored_against_its_word_nor_used_stale() {
    rule([
        part("bytes=2-5").replies_with(told(2, 5, "cache-control: no-store\netag: \"a\"")),
        part("bytes=2-5").replies_with(told(2, 5, "cache-control: no-store")),
    ]);
    rule([
        part("bytes=2-5").replies_with(told(2, 5, "cache-control: max-age=10\netag: \"a\"")),
        part("bytes=2-5").after(11).replies_with(told(2, 5, "cache-control: no-store\netag: \"a\"")),
    ]);
}

#[test]
fn rfc9111_3_4_two_parts_of_one_strong_tag_become_the_whole() {
    let fields = "cache-control: max-age=60\netag: \"a\"";
    rule([
        part("bytes=0-4").replies_with(told(0, 4, fields)),
        part("bytes=5-9").replies_with(told(5, 9, fields)),
        get().status(200).body(WHOLE).says("content-length: 10").lacks("content-range"),
        part("bytes=3-6").status(206).body("3456"),
    ]);
}

#[test]
fn rfc9111_3_4_two_parts_of_different_or_weak_tags_are_not_put_together() {
    for (one, other) in [("\"a\"", "\"b\""), ("W/\"a\"", "W/\"a\"")] {
        let fields = |tag: &str| format!("cache-control: max-age=60\netag: {tag}");
        rule([
            part("bytes=0-4").replies_with(told(0, 4, &fields(one))),
            part("bytes=5-9").replies_with(told(5, 9, &fields(other))),
            get().replies_with(Reply::ok(WHOLE)).body(WHOLE),
        ]);
    }
}

#[test]
fn rfc9110_8_8_2_2_parts_of_one_last_modified_that_lies_before_the_date_become_the_whole() {
    let fields = |modified: i64| {
        format!("cache-control: max-age=60\ndate: {}\nlast-modified: {}", date(0), date(modified))
    };
    let first = |modified| part("bytes=0-4").replies_with(told(0, 4, &fields(modified)));
    let rest = |modified| get().replies_with(told(5, 9, &fields(modified))).status(200).body(WHOLE);
    rule([first(-1), rest(-1).asks(&format!("range: bytes=5-\nif-range: {}", date(-1))), get().body(WHOLE)]);
    // Within one second it may have changed twice.
    let whole = get().replies_with(Reply::cached(WHOLE, "max-age=60")).body(WHOLE);
    rule([first(0), whole.asks_not("range")]);
}

#[test]
fn rfc9110_14_a_whole_that_came_for_a_range_is_stored_whole() {
    rule([
        part("bytes=2-5").replies_with(Reply::cached(WHOLE, "max-age=60")),
        get().body(WHOLE),
        part("bytes=2-5").status(206).body("2345"),
    ]);
}

#[test]
fn rfc9110_15_5_17_a_416_of_the_origin_spoils_nothing() {
    rule([
        part("bytes=99-").replies(416, "content-range: bytes */10"),
        get().replies_with(Reply::cached(WHOLE, "max-age=60")).body(WHOLE),
        part("bytes=2-5").status(206).body("2345"),
    ]);
}
