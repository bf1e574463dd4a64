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

#[test]
fn a_response_answers_queries_that_differ_in_what_it_calls_nothing() {
    let world = plain([]);
    world.origin(|asked| match asked.method() {
        "GET" => Reply::cached(asked.path().to_owned(), "max-age=60")
            .field("no-vary-search", "params=(\"utm\"), key-order"),
        _ => Reply::new(204, ""),
    });
    for (query, answer, is_hit) in [
        ("?a=1&b=2&utm=x", "/x?a=1&b=2&utm=x", false),
        ("?b=2&utm=y&a=1", "/x?a=1&b=2&utm=x", true),
        ("?b=2&a=2", "/x?b=2&a=2", false),
        ("?a=1&b=2", "/x?a=1&b=2&utm=x", true),
    ] {
        let got = world.get(&format!("/x{query}")).run();
        assert_eq!((got.text(), got.is_hit()), (answer, is_hit), "{query}");
    }
    world.pass(secs(2));
    world.request("POST", "/x?utm=z&a=1&b=2").run();
    assert_eq!(
        world.get("/x?b=2&a=1").run().text(),
        "/x?b=2&a=1",
        "a write reaches it under any of its names"
    );
    world.lose(0, 0);
    assert_eq!(world.get("/x?b=2&a=1").run().text(), "/x?b=2&a=1");
    assert!(
        world.get("/x?a=1&b=2&utm=1").run().is_hit(),
        "the rule is learned again from what the colo holds"
    );
}

#[test]
fn one_refresh_serves_all_queries_that_are_the_same() {
    let world = plain([]);
    world.origin(|asked| {
        let reply = Reply::cached(format!("{}", asked.nth), "max-age=10, stale-while-revalidate=60");
        reply.field("no-vary-search", "params").after(if asked.nth > 0 { secs(1) } else { secs(0) })
    });
    world.get("/x?a").run();
    world.pass(secs(15));
    for at in 0..9 {
        assert_eq!(world.get(&format!("/x?{at}")).run().text(), "0");
    }
    world.pass(secs(2));
    assert_eq!((world.get("/x?b").run().text(), world.counts().origin), ("1", 2));
}

#[test]
fn what_is_private_is_stored_for_its_user_alone() {
    let world = cached("key = { per_user = true }, kv_admission = \"always\"");
    for user in ["a", "b"] {
        world.api_key(&format!("{user}-key"), &format!(r#"{{"subject":"{user}"}}"#));
    }
    world.origin(|asked| {
        let who = [asked.field("x-api-key"), asked.field("cookie")].map(|name| name.unwrap_or("none"));
        Reply::cached(who.join(" "), "private, max-age=60")
    });
    for round in 0..3 {
        for key in ["a-key", "b-key"] {
            let answer = world.get("/x").field("x-api-key", key).run();
            assert_eq!((answer.text(), answer.is_hit()), (format!("{key} none").as_str(), round > 0));
        }
        assert_eq!(world.get("/x").run().text(), "none none");
        let stranger = world.get("/x").field("x-api-key", "c-key").run();
        assert_eq!((stranger.text(), stranger.is_hit()), ("c-key none", false));
        world.pass(secs(2));
        if round == 1 {
            world.lose(0, 0);
        }
    }
    assert!(!world.get("/y").field("x-api-key", "a-key").field("cookie", "b").run().is_hit());
    assert_eq!(
        world.get("/y").field("x-api-key", "a-key").run().text(),
        "a-key none",
        "no session is shared"
    );
}

#[test]
fn parts_are_put_together_until_they_are_the_whole_rfc9111_3_4() {
    for (strong, origin) in [(true, 3), (false, 6)] {
        let world = cached("partial = true");
        world.origin(move |asked| {
            let tag = if strong { "\"a\"" } else { "W/\"a\"" };
            let whole = "0123456789";
            let reply = |status, text: &str| {
                Reply::new(status, text).field("cache-control", "max-age=60").field("etag", tag)
            };
            match asked.field("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
                Some((first, last)) => {
                    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap_or(9));
                    reply(206, whole.get(first..=last).unwrap())
                        .field("content-range", &format!("bytes {first}-{last}/10"))
                }
                None => reply(200, whole),
            }
        });
        let ask = |range: &str| world.get("/x").field("range", range).run();
        for range in ["bytes=0-3", "bytes=2-6", "bytes=7-9"] {
            let answer = ask(range);
            assert!(answer.status == 206 && answer.cache().ends_with("stored; ttl=60"), "{}", answer.cache());
        }
        for (range, text) in [("bytes=1-8", "12345678"), ("bytes=0-0", "0")] {
            let answer = ask(range);
            assert_eq!((answer.status, answer.text(), answer.is_hit()), (206, text, strong));
        }
        let answer = world.get("/x").run();
        assert_eq!((answer.status, answer.text(), answer.is_hit()), (200, "0123456789", strong));
        assert_eq!((world.counts().origin, world.leaks()), (origin, 0));
    }
}

#[test]
fn each_class_of_devices_has_responses_of_its_own_and_the_origin_is_told() {
    const AGENTS: [(&str, &str); 4] = [
        ("mobile", "Mozilla/5.0 (iPhone) Mobile/15E148"),
        ("mobile", "Mozilla/5.0 (Linux; Android 10; K) Chrome/124.0.0.0 Mobile Safari/537.36"),
        ("tablet", "Mozilla/5.0 (iPad) Mobile/15E148"),
        ("desktop", "curl/8.5.0"),
    ];
    let world = cached("key = { device = true }");
    world.origin(|asked| {
        let device = asked.field("x-tidegate-device").unwrap_or("none").to_owned();
        Reply::cached(device, "max-age=1000")
    });
    for round in 0..2 {
        for (device, agent) in AGENTS {
            let get = world.get("/x").field("user-agent", agent).field("x-tidegate-device", "evil");
            assert_eq!(get.run().text(), device);
        }
        assert_eq!(world.counts().origin, 3 + 4 * round);
        // What one of them writes, all of them see.
        world.request("PUT", "/x").field("user-agent", AGENTS[0].1).run();
    }
}

#[test]
fn a_write_invalidates_what_is_stored_for_its_url_under_other_headers_and_cookies_rfc9111_4_4() {
    for (key, field, values) in [
        ("headers = [\"x-plan\"]", "x-plan", ["a", "b"]),
        ("cookies = [\"plan\"]", "cookie", ["plan=a", "plan=b"]),
    ] {
        let world = cached(&format!("key = {{ {key} }}"));
        world.origin(|_| Reply::cached("x", "max-age=1000"));
        let is_hit = |value: &str| world.get("/x").field(field, value).run().is_hit();
        assert_eq!(values.map(is_hit), [false, false], "{key}");
        assert_eq!(values.map(is_hit), [true, true], "{key}");
        world.request("PUT", "/x").field(field, "plan=c").run();
        assert_eq!(values.map(is_hit), [false, false], "{key}");
        assert_eq!(values.map(is_hit), [true, true], "{key}");
    }
}

#[test]
fn a_post_that_answers_later_gets_does_not_invalidate_itself_where_headers_are_keyed() {
    let world = cached("key = { headers = [\"x-plan\"] }");
    world.origin(|asked| {
        Reply::cached(asked.method().to_owned(), "max-age=1000").field("content-location", "/x")
    });
    let get = |plan: &str| world.get("/x").field("x-plan", plan).run().text().to_owned();
    assert_eq!((get("a"), get("b")), ("GET".into(), "GET".into()));
    world.pass(secs(1));
    world.request("POST", "/x").field("x-plan", "a").run();
    assert_eq!(get("a"), "POST");
    let asked = world.counts().origin;
    assert_eq!((get("b"), world.counts().origin), ("GET".into(), asked + 1));
}
