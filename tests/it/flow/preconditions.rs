//! Changes that have to say what they change.

use super::PLAIN;
use crate::sim::{Reply, World, secs};

/// An origin whose resources have the tag `"a"`, before which changes need If-Match.
fn guarded(cache: &str) -> World {
    let config = [PLAIN, "require_precondition = true\ncache = ", cache, "\n"].concat();
    let world = World::new(1).config(&config);
    world.origin(|asked| match (asked.method(), asked.field("if-match")) {
        ("GET" | "HEAD", _) => Reply::cached("state", "max-age=60").field("etag", "\"a\""),
        (_, None | Some("\"a\"" | "*")) => Reply::new(204, ""),
        _ => Reply::new(412, "the origin's own words"),
    });
    world
}

#[test]
fn a_change_without_if_match_is_answered_428_and_troubles_no_origin() {
    let world = guarded("\"60s\"");
    for method in ["PUT", "PATCH", "DELETE"] {
        for fields in
            [vec![], vec![("if-match", " ")], vec![("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT")]]
        {
            let request = world.request(method, "/x").body("new");
            let answer =
                fields.into_iter().fold(request, |request, (name, value)| request.field(name, value)).run();
            assert_eq!(answer.status, 428, "{method}");
            assert!(answer.text().contains("\"title\":\"Precondition Required\""), "{}", answer.text());
            let proxy = answer.field("proxy-status").unwrap();
            assert!(proxy.contains("error=http_request_denied") && proxy.contains("no If-Match"), "{proxy}");
            assert_eq!(answer.field("cache-control").as_deref(), Some("no-store"));
        }
    }
    for method in ["GET", "HEAD", "POST", "OPTIONS"] {
        assert!(world.request(method, "/x").run().status < 300, "{method} changes nothing that has a tag");
    }
    assert_eq!((world.counts().origin, world.leaks()), (3, 0));
    let create = world.request("PUT", "/new").field("if-none-match", "*").body("new").run();
    assert_eq!((create.status, world.counts().origin), (204, 4), "what is not there has no tag");
    assert_eq!(world.request("DELETE", "/x").field("if-none-match", "*").run().status, 428);
}

#[test]
fn a_route_that_does_not_ask_for_it_lets_changes_through() {
    let world = World::new(1).config(PLAIN);
    assert_eq!(world.request("PUT", "/x").body("new").run().status, 200);
}

#[test]
fn a_mismatch_that_a_fresh_stored_response_shows_troubles_no_origin() {
    let world = guarded("\"60s\"");
    let put = |tag: &str| world.request("PUT", "/x").field("if-match", tag).body("new");
    assert_eq!(put("\"b\"").run().text(), "the origin's own words", "nothing is stored");
    world.get("/x").run();
    for (tag, expected, asked) in [
        ("\"b\"", 412, false),
        ("\"b\", \"c\"", 412, false),
        ("\"b\", W/\"a\"", 412, false),
        ("\"b\", \"a\"", 412, true),
    ] {
        let before = world.counts().origin;
        let answer = put(tag).run();
        assert_eq!((answer.status, world.counts().origin > before), (expected, asked), "{tag}");
        if !asked {
            assert!(answer.text().contains("\"title\":\"Precondition Failed\""), "{}", answer.text());
            assert!(answer.cache().starts_with("hit; ttl=6"), "{}", answer.cache());
        }
    }
    assert_eq!(put("*").run().status, 204);
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_weak_tag_matches_nothing_whatever_is_stored_rfc9110_13_1_1() {
    let world = guarded("\"60s\"");
    for tag in ["W/\"a\"", "W/\"a\", W/\"b\""] {
        let answer = world.request("PUT", "/x").field("if-match", tag).body("new").run();
        assert_eq!((answer.status, world.counts().origin), (412, 0), "{tag}");
        assert!(answer.text().contains("a weak entity tag matches nothing"), "{}", answer.text());
    }
}

#[test]
fn a_change_that_came_through_is_not_held_against_the_next_one() {
    let world = guarded("\"60s\"");
    world.get("/x").run();
    let put = |tag: &str| world.request("PUT", "/x").field("if-match", tag).body("new").run();
    assert_eq!(put("\"a\"").status, 204);
    let before = world.counts().origin;
    assert_eq!(
        (put("\"b\"").status, world.counts().origin),
        (412, before + 1),
        "the stored response is gone"
    );
}

#[test]
fn what_is_stale_or_of_one_variant_only_or_off_is_for_the_origin_to_say() {
    let put = |world: &World| world.request("PUT", "/x").field("if-match", "\"b\"").body("new").run();
    let world = guarded("{ stale_if_error = \"1h\", stale_while_revalidate = \"1h\" }");
    world.get("/x").run();
    world.pass(secs(61));
    assert_eq!(put(&world).text(), "the origin's own words");
    let world = guarded("\"off\"");
    world.get("/x").run();
    assert_eq!(put(&world).text(), "the origin's own words");
    let world = guarded("\"60s\"");
    world.origin(|asked| match asked.method() {
        "GET" => Reply::cached("state", "max-age=60").field("etag", "\"a\"").field("vary", "accept"),
        _ => Reply::new(412, "the origin's own words"),
    });
    world.get("/x").run();
    assert_eq!(put(&world).text(), "the origin's own words");
}

#[test]
fn the_colo_knows_what_another_isolate_stored() {
    let world = guarded("\"60s\"");
    world.get("/x").run();
    world.pass(secs(1));
    let before = world.counts().origin;
    let answer = world.request("DELETE", "/x").field("if-match", "\"b\"").at(0, 1).run();
    assert_eq!((answer.status, world.counts().origin), (412, before));
    assert!(answer.cache().ends_with("detail=colo"), "{}", answer.cache());
}

#[test]
fn a_tag_by_which_something_is_to_be_changed_is_not_made_weak() {
    let world = guarded("\"60s\"");
    let answer = world.get("/x.json").field("accept-encoding", "gzip").run();
    assert_eq!((answer.field("etag").as_deref(), answer.encoded), (Some("\"a\""), false));
}
