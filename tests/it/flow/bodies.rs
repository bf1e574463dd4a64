//! Requests whose content is part of the key: QUERY, and POST where the route says so.

use super::{cached, plain};
use crate::sim::{Reply, World, secs};

const BOTH: &str =
    "key = { body = [\"QUERY\", \"POST\"], body_bytes_max = \"64B\" }, stale_if_error = \"1h\"";

/// An origin that repeats what it is asked.
fn echo(world: World) -> World {
    world.origin(|asked| {
        Reply::cached(format!("{} {}", asked.method(), asked.body), "max-age=60").field("etag", "\"a\"")
    });
    world
}

#[test]
fn the_content_tells_requests_apart_rfc10008_2_7() {
    let world = echo(cached(BOTH));
    for (method, content, is_hit) in [
        ("QUERY", "{\"a\":1,\"b\":2}", false),
        ("QUERY", "{ \"b\":2, \"a\":1 }", true),
        ("QUERY", "{\"a\":2}", false),
        ("POST", "{\"a\":2}", false),
        ("POST", "{\"a\":2}", true),
        ("POST", "\u{fffd}", false),
        ("POST", "\u{fffd}", false),
    ] {
        let answer =
            world.request(method, "/x").field("content-type", "application/json").body(content).run();
        assert_eq!(answer.is_hit(), is_hit, "{method} {content}: {}", answer.cache());
        assert!(answer.text().starts_with(method));
        world.pass(secs(1));
    }
    assert_eq!(world.get("/x").run().text(), "GET ");
    assert!(
        world
            .request("QUERY", "/x")
            .field("content-type", "application/json")
            .body("{\"a\":2}")
            .run()
            .is_hit()
    );
    assert_eq!(world.leaks(), 0);
}

#[test]
fn what_is_too_long_or_conditional_goes_past_the_cache_and_arrives_whole() {
    let world = echo(cached(BOTH));
    let long = "x".repeat(65);
    for _ in 0..2 {
        for (content, field) in [
            (long.as_str(), ("accept", "*/*")),
            ("a", ("if-none-match", "\"a\"")),
            ("a", ("content-encoding", "br")),
        ] {
            let answer = world.request("POST", "/x").body(content).field(field.0, field.1).run();
            assert_eq!(answer.text(), format!("POST {content}"));
            assert_eq!(answer.cache(), "fwd=bypass; fwd-status=200");
        }
    }
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_stale_one_is_asked_again_with_its_content() {
    for (method, condition) in [("QUERY", Some("\"a\"")), ("POST", None)] {
        let world = echo(cached(BOTH));
        world.request(method, "/x").body("a").run();
        world.pass(secs(61));
        assert!(!world.request(method, "/x").body("a").run().is_hit());
        let asked = world.asked_last();
        assert_eq!((asked.method(), asked.body.as_str()), (method, "a"));
        assert_eq!(asked.field("if-none-match"), condition);
        world.pass(secs(61));
        world.origin(|_| Reply::new(503, "down"));
        let stale = world.request(method, "/x").body("a").run();
        assert_eq!(stale.text(), format!("{method} a"), "{}", stale.cache());
    }
}

#[test]
fn it_is_refreshed_in_the_background_with_its_content() {
    let world = cached(BOTH);
    world.origin(|asked| {
        let said = "max-age=10, stale-while-revalidate=60";
        Reply::cached(format!("{} {} {}", asked.method(), asked.body, asked.nth), said)
    });
    world.request("POST", "/x").body("a").run();
    world.pass(secs(15));
    assert_eq!(world.request("POST", "/x").body("a").run().text(), "POST a 0");
    world.pass(secs(1));
    assert_eq!(world.request("POST", "/x").body("a").run().text(), "POST a 1");
}

#[test]
fn a_client_gets_304_to_a_query_that_it_has_rfc10008_2_6() {
    let world = echo(cached(BOTH));
    world.request("QUERY", "/x").body("a").run();
    let answer = world.request("QUERY", "/x").body("a").field("if-none-match", "\"a\"").run();
    assert_eq!((answer.status, answer.is_hit()), (304, true));
}

#[test]
fn many_that_ask_the_same_cost_one_request() {
    let world = cached(BOTH);
    world.origin(|asked| Reply::cached(asked.body.clone(), "max-age=60").after(secs(1)));
    let pending: Vec<_> = (0..20).map(|_| world.request("POST", "/x").body("a").start()).collect();
    assert!(world.finish_all(&pending).iter().all(|answer| answer.text() == "a"));
    assert_eq!(world.counts().origin, 1);
}

#[test]
fn without_leave_no_content_is_a_key() {
    let world = echo(plain([]));
    for _ in 0..2 {
        for method in ["QUERY", "POST"] {
            let answer = world.request(method, "/x").body("a").run();
            assert_eq!(answer.cache(), "fwd=method; fwd-status=200");
        }
    }
}

#[test]
fn a_write_reaches_what_is_stored_under_other_contents_rfc9111_4_4() {
    let world = echo(cached("key = { body = [\"QUERY\"] }"));
    for (path, content) in [("/x", "a"), ("/x", "b"), ("/y", "a")] {
        world.request("QUERY", path).body(content).run();
    }
    world.pass(secs(1));
    world.request("PUT", "/x").body("new").run();
    world.pass(secs(1));
    for (path, content, is_hit) in
        [("/x", "a", false), ("/x", "b", false), ("/y", "a", true), ("/x", "a", true)]
    {
        let answer = world.request("QUERY", path).body(content).run();
        assert_eq!(answer.is_hit(), is_hit, "{path} {content}");
    }
}
