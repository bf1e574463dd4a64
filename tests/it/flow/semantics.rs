//! Rules of RFC 9110 and 9111, and of their extensions, that need the whole way to be seen.

use super::{cached, plain};
use crate::sim::{Reply, World, secs};

/// An origin that answers GET with `get` and its number, and POST with `post`.
fn with_post(post: Reply) -> World {
    let world = plain([]);
    world.origin(move |asked| match asked.method() {
        "GET" => Reply::cached(format!("get {}", asked.nth), "max-age=60"),
        _ => post.clone(),
    });
    world
}

#[test]
fn a_post_that_says_so_answers_later_gets_rfc9110_9_3_3() {
    let posted = Reply::cached("posted", "max-age=60").field("content-location", "/x");
    for (before, reply, expected) in [
        (false, posted.clone(), "posted"),
        (true, posted.clone(), "posted"),
        (true, Reply::cached("posted", "max-age=60"), "get 2"),
        (true, Reply::cached("posted", "max-age=60").field("content-location", "/y"), "get 2"),
        (true, Reply::cached("posted", "private, max-age=60").field("content-location", "/x"), "get 2"),
        (true, Reply::ok("posted").field("content-location", "/x").field("etag", "\"a\""), "get 2"),
    ] {
        let world = with_post(reply);
        if before {
            world.get("/x").run();
        }
        assert_eq!(world.request("POST", "/x").body("a=1").run().text(), "posted");
        world.pass(secs(2));
        let answer = world.get("/x").run();
        assert_eq!((answer.text(), answer.is_hit()), (expected, expected == "posted"));
        world.lose(0, 0);
        assert_eq!(world.get("/x").run().text(), expected, "the same from the colo's layer");
        assert_eq!(
            world.request("POST", "/x").run().text(),
            "posted",
            "a POST is never answered from a store"
        );
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn a_stored_post_replaces_every_variant_rfc9111_4_4() {
    let world = plain([]);
    world.origin(|asked| {
        let reply =
            Reply::cached(format!("{} {}", asked.method(), asked.nth), "max-age=60").field("vary", "foo");
        if asked.method() == "POST" {
            reply.field("content-location", "https://edge.example/x")
        } else {
            reply
        }
    });
    for foo in ["1", "2"] {
        world.get("/x").field("foo", foo).run();
    }
    world.pass(secs(2));
    world.request("POST", "/x").field("foo", "1").run();
    world.pass(secs(2));
    assert_eq!(world.get("/x").field("foo", "1").run().text(), "POST 2");
    assert_eq!(world.get("/x").field("foo", "2").run().text(), "GET 3");
}

#[test]
fn nothing_is_stored_of_a_post_where_the_route_does_not_cache() {
    let world = cached("enabled = false");
    world.replies([Reply::cached("posted", "max-age=60").field("content-location", "/x"), Reply::ok("got")]);
    world.request("POST", "/x").run();
    assert_eq!(world.get("/x").run().text(), "got");
}

#[test]
fn a_write_invalidates_the_groups_that_it_names_in_every_layer_of_its_isolate_rfc9875_3() {
    let world = cached("kv_admission = \"always\"");
    world.origin(|asked| match asked.method() {
        "GET" => Reply::cached(format!("version {}", asked.nth), "max-age=600, stale-while-revalidate=600")
            .field("cache-groups", "\"all\", \"scripts\"")
            .field("etag", "\"a\""),
        _ => Reply::new(204, "").field("cache-group-invalidation", "\"scripts\""),
    });
    for path in ["/a", "/b"] {
        world.get(path).run();
    }
    world.get("/a").at(0, 1).run();
    world.pass(secs(2));
    world.request("POST", "/write").run();
    world.pass(secs(1));
    let after = world.get("/a").run();
    assert_eq!(
        (after.text(), after.cache().as_str()),
        ("version 3", "fwd=stale; fwd-status=200; stored; ttl=600")
    );
    assert_eq!(world.asked_last().field("if-none-match"), Some("\"a\""));
    world.pass(secs(1));
    assert!(world.get("/a").run().is_hit());
    assert_eq!(world.get("/a").at(0, 1).run().text(), "version 0", "another isolate has not heard of it");
    assert!(!world.get("/b").run().is_hit());
}
