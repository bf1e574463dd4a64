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
