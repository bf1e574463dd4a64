//! docs/stale.md says what a client gets of an old stored response before an origin that is not well, and it is so.

use std::cell::Cell;
use std::rc::Rc;

use tidegate::origin::FetchError;

use super::PLAIN;
use crate::sim::{Answer, Reply, World, secs};

/// One origin that is not waited for long.
const SHORT: &str = r#"
[origins.default]
url = "http://origin.example"
attempt_timeout = "1s"
total_timeout = "3s"
[[routes]]
name = "all"
"#;

/// The rows of the table: a name, and what stands in each column.
fn table() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/stale.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ")).map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        (cells.next().unwrap(), cells.collect())
    });
    rows.collect()
}

/// An origin that is like this from now on.
fn origin(how: &str) -> Reply {
    let new = Reply::cached("new", "max-age=10");
    match how {
        "healthy" => new,
        "erroring" => Reply::new(503, "broken"),
        "slow" => new.after(secs(60)),
        "down" => Reply::fails(FetchError::ConnectionLost),
        _ => panic!("no such origin: {how}"),
    }
}

/// What the client got, in the words of the table.
fn words(answer: &Answer) -> String {
    let cache = answer.cache();
    let is_problem = answer.field("content-type").as_deref() == Some("application/problem+json");
    let is_told = ["proxy-status", "retry-after"].iter().all(|name| answer.field(name).is_some());
    match (answer.status, answer.text()) {
        (200, "old") if cache.starts_with("hit") && cache.ends_with("detail=swr") => "stale at once".into(),
        (200, "old") if cache.starts_with("hit") => "stored".into(),
        (200, "old") if cache.ends_with("detail=sie") => "stale".into(),
        (200, "new") => "new".into(),
        (503, "back soon") if is_told => "fallback".into(),
        (status, "broken") => format!("{status} of the origin"),
        (status, _) if is_problem && is_told => format!("{status} problem"),
        other => panic!("what is this? {other:?} {answer:#?}"),
    }
}

#[test]
fn every_cell_of_the_table_is_so() {
    let mut rows = table().into_iter();
    let (_, origins) = rows.next().unwrap();
    assert_eq!(origins, ["healthy", "erroring", "slow", "down"]);
    let mut checked = 0;
    for (row, cells) in rows {
        let age = match row.split([' ', ',']).next().unwrap() {
            "fresh" => 5,
            "swr" => 15,
            "sie" => 40,
            "expired" => 100,
            "nothing" => 0,
            other => panic!("no such age: {other}"),
        };
        let strict = if row.contains("must-revalidate") { ", must-revalidate" } else { "" };
        let fallback = "static_fallback = { body = \"back soon\" }";
        let config = [SHORT, if row.contains("static_fallback") { fallback } else { "" }].concat();
        for (how, expected) in origins.iter().zip(&cells) {
            let world = World::new(1).config(&config);
            let said = format!("max-age=10, stale-while-revalidate=10, stale-if-error=60{strict}");
            world.replies([Reply::cached("old", &said)]);
            if age > 0 {
                world.get("/x").run();
                world.pass(secs(age));
            }
            world.replies([origin(how)]);
            let before = world.now();
            let answer = world.get("/x").run();
            assert_eq!(words(&answer), *expected, "{row}, {how}");
            let at_once = ["stored", "stale at once"].contains(&&**expected);
            assert!(!at_once || answer.at == before, "{row}, {how}: nobody waits");
            world.pass(secs(60));
            assert_eq!(world.leaks(), 0);
            checked += 1;
        }
    }
    assert_eq!(checked, 28);
}

#[test]
fn what_is_asked_behind_a_stale_answer_is_for_the_next_one_where_it_is_good() {
    for (how, expected) in [("healthy", "new"), ("erroring", "old"), ("slow", "old"), ("down", "old")] {
        let world = World::new(1).config(PLAIN);
        world.replies([Reply::cached("old", "max-age=10, stale-while-revalidate=600")]);
        world.get("/x").run();
        world.pass(secs(15));
        let (asked, reply) = (Rc::new(Cell::new(0)), origin(how));
        let count = asked.clone();
        world.origin(move |_| {
            count.set(count.get() + 1);
            reply.clone()
        });
        assert_eq!(world.get("/x").run().text(), "old", "nobody waits");
        for _ in 0..5 {
            assert_eq!(world.get("/x").run().text(), expected);
        }
        world.pass(secs(1));
        assert!(asked.get() <= 3, "one refresh of up to three attempts: {}", asked.get());
    }
}

#[test]
fn a_full_answer_that_is_no_failure_takes_the_place_of_what_is_stored_rfc9111_4_3_3() {
    let said = "max-age=200, stale-while-revalidate=600, stale-if-error=600";
    let answers = [
        (Reply::new(404, "no"), true),
        (Reply::new(410, "no"), true),
        (Reply::cached("no", "private"), true),
        (Reply::cached("no", "no-store"), true),
        (Reply::cached("no", "max-age=60").field("vary", "*"), true),
        (Reply::cached("x".repeat(300_000), "max-age=60").chunked(), true),
        (Reply::new(429, "no"), false),
        (Reply::new(408, "no"), false),
        (Reply::new(501, "no"), false),
        (Reply::new(503, "no"), false),
    ];
    for (answer, replaces) in answers {
        for (age, layers) in [(205, "memory"), (205, "colo"), (205, "kv"), (900, "memory")] {
            let world = World::new(1).config(&format!(
                "{PLAIN}cache = {{ layers = [\"{layers}\"], kv_admission = \"always\" }}\n"
            ));
            world.replies([Reply::cached("old", said).field("etag", "\"a\"")]);
            world.get("/x").run();
            world.pass(secs(age));
            world.replies([answer.clone()]);
            world.get("/x").run();
            world.pass(secs(2));
            world.replies([Reply::fails(FetchError::ConnectionLost)]);
            let after = world.get("/x").run();
            let may_be_old = !replaces && age == 205;
            assert_eq!(after.text() == "old", may_be_old, "{answer:?} {age} {layers}");
            world.pass(secs(60));
            assert_eq!(world.leaks(), 0);
        }
    }
}

#[test]
fn what_is_too_large_for_memory_takes_the_place_of_what_is_held_there() {
    let world = World::new(1).config(PLAIN);
    world.replies([Reply::cached("old", "max-age=10, stale-while-revalidate=600")]);
    world.get("/x").run();
    world.pass(secs(15));
    let large = "x".repeat(300_000);
    world.replies([Reply::cached(large.clone(), "max-age=60"), Reply::new(500, "asked again")]);
    assert_eq!(world.get("/x").run().text(), "old");
    world.pass(secs(1));
    assert!(world.get("/x").run().text() == large);
}

#[test]
fn what_one_request_alone_was_answered_leaves_what_is_stored() {
    let world = World::new(1).config(&format!("{PLAIN}cache = {{ honour_client_directives = \"all\" }}\n"));
    world.replies([Reply::cached("old", "max-age=100, public")]);
    world.get("/x").run();
    world.replies([Reply::new(412, "no"), Reply::new(404, "no")]);
    world.get("/x").field("if-match", "\"z\"").run();
    world.get("/x").field("cache-control", "no-cache, no-store").run();
    world.request("HEAD", "/x").field("cache-control", "no-cache").run();
    world.get("/x").field("cache-control", "no-cache").field("authorization", "Basic eDp5").run();
    assert!(world.get("/x").run().is_hit());
}

#[test]
fn a_file_is_the_fallback_and_its_body_stands_in_for_it() {
    let failing = |fallback: &str, path: &str| {
        let world = World::new(1).config(&[PLAIN, "static_fallback = ", fallback].concat());
        world.replies([Reply::fails(FetchError::ConnectionLost)]);
        let answer = world.request("GET", path).run();
        assert_eq!(world.leaks(), 0);
        (answer, world)
    };
    let (answer, _) = failing("{ file = \"index.html\", status = 500 }", "/x");
    assert_eq!((answer.status, answer.text()), (500, "<!doctype html>"));
    assert!(answer.field("proxy-status").unwrap().contains("error=connection_terminated"));
    assert_eq!(answer.field("cache-control").as_deref(), Some("no-store"));
    let (answer, world) = failing("{ file = \"gone.html\", body = \"back soon\" }", "/x");
    assert_eq!((answer.status, answer.text()), (503, "back soon"));
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "fallback-missing")]), 1);
}
