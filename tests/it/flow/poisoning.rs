//! Web cache poisoning: nobody makes the cache keep for others the answer to another question than theirs.

use super::{cached, plain};
use crate::sim::{Reply, World};

/// An origin that heeds every field of a request that could change what is asked for, and repeats it.
fn credulous(world: World) -> World {
    const HARMLESS: [&str; 8] = [
        "cdn-loop",
        "content-length",
        "forwarded",
        "traceparent",
        "via",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
    ];
    world.origin(|asked| {
        let heeded = asked.head.fields.iter().filter(|(name, _)| !HARMLESS.contains(name));
        let heeded: Vec<String> = heeded.map(|(name, value)| format!("{name}={value}")).collect();
        Reply::cached(format!("{} {}", heeded.join(" "), asked.body), "max-age=60")
    });
    world
}

const ATTACKS: [(&str, &str); 39] = [
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-scheme", "http"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-port", "1"),
    ("forwarded", "host=evil.example"),
    ("host", "evil.example"),
    ("x-host", "evil.example"),
    ("x-original-host", "evil.example"),
    ("x-http-host-override", "evil.example"),
    ("x-original-url", "/admin"),
    ("x-rewrite-url", "/admin"),
    ("x-http-method-override", "POST"),
    ("x-http-method", "HEAD"),
    ("x-method-override", "DELETE"),
    ("x-scheme", "http"),
    ("true-client-ip", "6.6.6.6"),
    ("x-original-uri", "evil"),
    ("x-original-path", "evil"),
    ("x-original-method", "evil"),
    ("x-envoy-original-path", "evil"),
    ("x-request-uri", "evil"),
    ("request-uri", "evil"),
    ("x-override-url", "evil"),
    ("x-http-path-override", "evil"),
    ("x-script-name", "evil"),
    ("script-name", "evil"),
    ("x-real-host", "evil"),
    ("host-override", "evil"),
    ("x-server-name", "evil"),
    ("x-replaced-path", "evil"),
    ("x-external-path", "evil"),
    ("x-matched-path", "evil"),
    ("x-now-route-matches", "evil"),
    ("x-nextjs-data", "evil"),
    ("x-middleware-prefetch", "evil"),
    ("x-middleware-subrequest", "evil"),
    ("x-invoke-path", "evil"),
    ("x-invoke-status", "evil"),
    ("proxy", "evil"),
];

#[test]
fn fields_that_change_the_question_do_not_reach_the_origin_of_what_is_cached() {
    for (name, value) in ATTACKS {
        let world = credulous(plain([]));
        let fields = |asked: &crate::sim::Asked| asked.head.fields.clone();
        world.get("/x").run();
        let harmless = fields(&world.asked_last());
        world.get("/y").field(name, value).run();
        let attacked = fields(&world.asked_last());
        for (name, value) in
            attacked.iter().filter(|(name, _)| !["traceparent", "x-request-id"].contains(name))
        {
            assert_eq!(harmless.get(name), Some(value), "{name}: {value}");
        }
        assert_eq!(world.get("/y").run().text(), world.get("/x").run().text(), "{name}: {value}");
    }
}

#[test]
fn a_field_that_the_key_holds_reaches_the_origin() {
    let world = credulous(cached("key = { headers = [\"x-original-url\"] }"));
    assert!(world.get("/x").field("x-original-url", "/a").run().text().contains("x-original-url=/a"));
    assert!(!world.get("/x").run().is_hit());
}

#[test]
fn what_is_not_cached_is_handed_on_as_it_came() {
    for world in [credulous(plain([])), credulous(cached("enabled = false"))] {
        world.request("POST", "/x").field("x-http-method-override", "PATCH").run();
        assert_eq!(world.asked_last().field("x-http-method-override"), Some("PATCH"));
    }
    let world = credulous(cached("enabled = false"));
    world.get("/x").field("x-original-url", "/a").run();
    assert_eq!(world.asked_last().field("x-original-url"), Some("/a"));
}

#[test]
fn the_content_of_a_get_poisons_nothing() {
    let world = credulous(plain([]));
    let answer = world.get("/x").body("evil").run();
    assert!(answer.text().contains("evil") && answer.cache().starts_with("fwd=bypass"), "{}", answer.cache());
    assert!(!world.get("/x").run().text().contains("evil"));
    assert!(!world.get("/x").body("evil").run().is_hit(), "nor is it answered by what is stored");
}

#[test]
fn a_post_about_something_else_is_not_stored_for_gets() {
    let world = plain([]);
    world.origin(|asked| {
        let about = asked.field("x-original-url").unwrap_or("/x").to_owned();
        Reply::cached(about, "max-age=60").field("content-location", "/x")
    });
    world.request("POST", "/x").field("x-original-url", "/evil").run();
    assert_eq!(world.get("/x").run().text(), "/x");
}

#[test]
fn a_get_that_says_it_has_no_content_is_like_any_other() {
    let world = credulous(plain([]));
    assert_eq!(world.get("/x").body("").run().cache(), "fwd=uri-miss; fwd-status=200; stored; ttl=60");
    assert!(world.get("/x").run().is_hit() && world.get("/x").body("").run().is_hit());
    assert_eq!(world.leaks(), 0);
}

#[test]
fn what_the_key_leaves_out_of_a_query_does_not_reach_the_origin_of_what_is_cached() {
    for (keys, query, sent) in [
        ("drop = [\"utm_*\"]", "?a=1&utm_x=evil&b=2", "/x?a=1&b=2"),
        ("drop = [\"utm_*\"]", "?utm_x=evil", "/x"),
        ("keep_only = [\"a\"]", "?b=evil&a=1&%61=2", "/x?a=1&a=2"),
        ("drop = [\"utm_*\"], sort = true", "?b=2&a=1", "/x?a=1&b=2"),
        ("drop = [\"utm_*\"]", "?a=%3C", "/x?a=%3C"),
        ("drop = []", "?utm_x=1", "/x?utm_x=1"),
    ] {
        let world = cached(&format!("key = {{ {keys} }}"));
        world.origin(|asked| Reply::cached(asked.path().to_owned(), "max-age=1, stale-while-revalidate=60"));
        let path = ["/x", query].concat();
        assert_eq!(world.get(&path).run().text(), sent, "{keys} {query}");
        world.pass(crate::sim::secs(10));
        world.get(&path).run();
        world.pass(crate::sim::secs(1));
        assert_eq!(world.asked_last().path(), sent, "refreshed: {keys} {query}");
        world.request("PUT", &path).run();
        assert_eq!(world.asked_last().path(), path, "what is not stored goes as it came");
    }
    let world = cached("key = { drop = [\"utm_*\"] }");
    world.origin(|asked| {
        Reply::cached(asked.path().to_owned(), "max-age=60").field("content-location", asked.path())
    });
    world.request("POST", "/x?utm_x=evil").run();
    assert_eq!(world.get("/x").run().text(), "/x", "nor is a POST about it stored for others");
}
