//! What is reused, and for whom.

use tidegate::origin::FetchError;

use super::{cached, plain};
use crate::sim::{Reply, ms, secs};

#[test]
fn the_second_request_is_a_hit_and_its_age_grows() {
    let world = plain([Reply::cached("hello", "max-age=60")]);
    let miss = world.get("/x").run();
    assert_eq!((miss.status, miss.text()), (200, "hello"));
    assert_eq!(miss.cache(), "fwd=uri-miss; fwd-status=200; stored; ttl=60");
    let hit = world.get("/x").run();
    assert_eq!((hit.status, hit.text(), hit.age()), (200, "hello", 0));
    assert_eq!(hit.cache(), "hit; ttl=60; detail=memory");
    world.pass(secs(24));
    let later = world.get("/x").run();
    assert_eq!((later.cache().as_str(), later.age()), ("hit; ttl=36; detail=memory", 24));
    assert_eq!((world.counts().origin, world.leaks()), (1, 0));
}

#[test]
fn a_stale_response_is_asked_about_and_a_304_makes_it_fresh_again() {
    let world = plain([
        Reply::cached("hello", "max-age=60").field("etag", "\"a\""),
        Reply::new(304, "").field("etag", "\"a\"").field("cache-control", "max-age=30"),
    ]);
    world.get("/x").run();
    world.pass(secs(61));
    let answer = world.get("/x").run();
    assert_eq!((answer.status, answer.text(), answer.age()), (200, "hello", 0));
    assert_eq!(answer.cache(), "fwd=stale; fwd-status=304; stored; ttl=30");
    assert_eq!(world.asked_last().field("if-none-match"), Some("\"a\""));
    world.pass(secs(29));
    assert_eq!(world.get("/x").run().cache(), "hit; ttl=1; detail=memory");
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_client_that_has_it_gets_304_out_of_the_cache() {
    let modified = "Mon, 07 Sep 2026 08:00:00 GMT";
    let world =
        plain([Reply::cached("hello", "max-age=60").field("etag", "\"a\"").field("last-modified", modified)]);
    world.get("/x").run();
    for (name, value, status) in [
        ("if-none-match", "\"a\"", 304),
        ("if-none-match", "W/\"a\", \"b\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"b\"", 200),
        ("if-modified-since", modified, 304),
        ("if-modified-since", "Sun, 06 Sep 2026 08:00:00 GMT", 200),
    ] {
        let answer = world.get("/x").field(name, value).run();
        assert_eq!((answer.status, answer.is_hit()), (status, true), "{name}: {value}");
        assert_eq!(answer.text().is_empty(), status == 304);
    }
    assert_eq!((world.counts().origin, world.leaks()), (1, 0));
}

#[test]
fn a_stored_get_answers_head() {
    let world = plain([Reply::cached("hello", "max-age=60")]);
    world.get("/x").run();
    let head = world.request("HEAD", "/x").run();
    assert_eq!((head.status, head.text(), head.field("content-length")), (200, "", Some("5".into())));
    assert!(head.is_hit());
}

#[test]
fn parts_are_cut_from_what_is_stored() {
    let world = plain([Reply::cached("0123456789", "max-age=60").field("etag", "\"a\"")]);
    world.get("/x").run();
    for (range, status, text, told) in [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("bytes=10-", 416, "", Some("bytes */10")),
        ("lines=1-2", 200, "0123456789", None),
    ] {
        let part = world.get("/x").field("range", range).run();
        assert_eq!(
            (part.status, part.text(), part.field("content-range").as_deref()),
            (status, text, told),
            "{range}"
        );
    }
    let both = world.get("/x").field("range", "bytes=0-1,8-9").run();
    assert_eq!(both.status, 206);
    assert!(both.field("content-type").unwrap().starts_with("multipart/byteranges; boundary="));
    assert!(both.text().contains("\r\n01\r\n") && both.text().contains("\r\n89\r\n"), "{}", both.text());
    let other = world.get("/x").field("range", "bytes=2-4").field("if-range", "\"b\"").run();
    assert_eq!((other.status, other.text()), (200, "0123456789"));
    assert_eq!((world.counts().origin, world.leaks()), (1, 0));
}

#[test]
fn a_stale_response_is_served_while_one_request_refreshes_it() {
    let world = plain([
        Reply::cached("old", "max-age=10, stale-while-revalidate=60"),
        Reply::cached("new", "max-age=10, stale-while-revalidate=60").after(ms(300)),
    ]);
    world.get("/x").run();
    world.pass(secs(15));
    for _ in 0..20 {
        let stale = world.get("/x").run();
        assert_eq!((stale.text(), stale.cache().as_str()), ("old", "hit; ttl=-5; detail=swr"));
    }
    assert_eq!(world.counts().origin, 2, "one refresh");
    world.pass(ms(300));
    let new = world.get("/x").run();
    assert_eq!((new.text(), new.cache().as_str()), ("new", "hit; ttl=10; detail=memory"));
    assert_eq!((world.counts().origin, world.leaks()), (2, 0));
}

#[test]
fn the_client_that_causes_a_refresh_is_not_asked_to_wait_for_it() {
    let world = plain([
        Reply::cached("old", "max-age=10, stale-while-revalidate=60"),
        Reply::cached("new", "max-age=10").after(secs(5)),
    ]);
    world.get("/x").run();
    world.pass(secs(15));
    let before = world.now();
    assert_eq!(world.get("/x").run().at, before);
}

#[test]
fn a_stale_response_stands_in_for_an_error() {
    for failure in
        [Reply::new(503, "down"), Reply::fails(FetchError::ConnectionLost), Reply::ok("late").after(secs(60))]
    {
        let world = plain([Reply::cached("old", "max-age=10, stale-if-error=600"), failure]);
        world.get("/x").run();
        world.pass(secs(50));
        let answer = world.get("/x").run();
        assert_eq!((answer.status, answer.text()), (200, "old"));
        let cache = answer.cache();
        assert!(cache.starts_with("fwd=stale") && cache.ends_with("detail=sie"), "{cache}");
        assert!(answer.age() >= 50);
        world.pass(secs(600));
        assert!(world.get("/x").run().status >= 502, "its time is over");
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn a_write_invalidates_what_is_stored_in_every_layer() {
    let world = cached("kv_admission = \"always\"");
    world.origin(|asked| match asked.method() {
        "GET" => Reply::cached(format!("version {}", asked.nth), "max-age=600"),
        _ => Reply::new(204, ""),
    });
    world.get("/x").run();
    world.pass(secs(2));
    assert_eq!(world.request("POST", "/x").body("a=1").run().cache(), "fwd=method; fwd-status=204");
    assert_eq!(world.asked_last().body, "a=1");
    let after = world.get("/x").run();
    assert_eq!((after.text(), after.is_hit()), ("version 2", false));
    assert_eq!(world.get("/x").run().text(), "version 2");
}

#[test]
fn a_write_that_fails_invalidates_nothing() {
    let world = plain([Reply::cached("hello", "max-age=600"), Reply::new(400, "no"), Reply::ok("other")]);
    world.get("/x").run();
    assert_eq!(world.request("POST", "/x").run().status, 400);
    assert!(world.get("/x").run().is_hit());
}

#[test]
fn what_is_for_one_client_is_never_given_to_another() {
    let secret = || Reply::ok("secret");
    for (name, reply) in [
        ("set-cookie", secret().field("cache-control", "max-age=60").field("set-cookie", "session=secret")),
        ("private", secret().field("cache-control", "private, max-age=60")),
        ("no-store", secret().field("cache-control", "no-store, max-age=60")),
        ("targeted", secret().field("cache-control", "max-age=60").field("cdn-cache-control", "private")),
        ("vary", secret().field("cache-control", "max-age=60").field("vary", "*")),
    ] {
        let world = plain([reply, Reply::ok("public")]);
        assert_eq!(world.get("/x").run().text(), "secret");
        let other = world.get("/x").from("198.51.100.7").run();
        assert_eq!((other.text(), other.is_hit()), ("public", false), "{name}");
        world.pass(secs(5));
        assert!(!world.stores_hold("secret"), "{name}");
    }
}

#[test]
fn a_response_to_a_request_with_credentials_is_shared_only_where_it_says_so() {
    for (cache_control, shared) in [
        ("max-age=60", false),
        ("public, max-age=60", true),
        ("s-maxage=60", true),
        ("must-revalidate, max-age=60", true),
    ] {
        let world = plain([Reply::cached("mine", cache_control), Reply::ok("public")]);
        world.get("/x").field("authorization", "Basic YTpi").run();
        assert_eq!(world.get("/x").run().text() == "mine", shared, "{cache_control}");
    }
}

#[test]
fn several_variants_live_side_by_side() {
    let world = plain([]);
    world.origin(|asked| {
        let language = asked.field("accept-language").unwrap_or("none");
        Reply::cached(language.to_owned(), "max-age=60").field("vary", "Accept-Language")
    });
    for _ in 0..2 {
        for language in ["de", "en", "fr"] {
            assert_eq!(world.get("/x").field("accept-language", language).run().text(), language);
        }
        assert_eq!(world.get("/x").run().text(), "none");
    }
    assert_eq!(world.counts().origin, 4);
}

#[test]
fn a_body_that_breaks_off_is_never_stored() {
    for reply in [
        Reply::cached("0123456789", "max-age=60").breaks(),
        Reply::cached("0123456789", "max-age=60").breaks().chunked(),
        Reply::cached("0123456789".repeat(60_000), "max-age=60").breaks(),
        Reply::cached("0123456789".repeat(60_000), "max-age=60").breaks().takes(secs(3)),
    ] {
        let world = plain([reply, Reply::ok("whole")]);
        let broken = world.get("/x").run();
        assert!(broken.read.is_err(), "the client sees that it broke off");
        world.pass(secs(5));
        assert_eq!(world.get("/x").run().text(), "whole");
        assert!(!world.stores_hold("0123"));
        assert!(
            world.log().iter().any(|line| line.contains("truncated-body") || line.contains("store-failed"))
        );
    }
}

#[test]
fn a_client_that_wants_nothing_but_the_cache_gets_504_where_it_has_nothing() {
    let world = plain([Reply::cached("hello", "max-age=60")]);
    let missing = world.get("/x").field("cache-control", "only-if-cached").run();
    assert_eq!(
        (missing.status, missing.cache().as_str()),
        (504, "detail=\"only-if-cached\""),
        "nothing was forwarded"
    );
    assert_eq!(world.counts().origin, 0);
    world.get("/x").run();
    assert_eq!(world.get("/x").field("cache-control", "only-if-cached").run().text(), "hello");
}

#[test]
fn a_stranger_cannot_press_on_the_origin_with_no_cache() {
    let world = plain([Reply::cached("hello", "max-age=60")]);
    world.get("/x").run();
    for directive in ["no-cache", "max-age=0", "no-store"] {
        assert!(world.get("/x").field("cache-control", directive).run().is_hit(), "{directive}");
    }
    let open = cached("honour_client_directives = \"all\"");
    open.replies([Reply::cached("hello", "max-age=60")]);
    open.get("/x").run();
    assert!(!open.get("/x").field("cache-control", "no-cache").run().is_hit());
}

#[test]
fn responses_of_two_hosts_are_kept_apart() {
    let world = plain([]);
    world.origin(|asked| Reply::cached(asked.field("x-forwarded-host").unwrap().to_owned(), "max-age=60"));
    for host in ["one.example", "other.example", "one.example"] {
        assert_eq!(world.get(&format!("https://{host}/x")).run().text(), host);
    }
    assert_eq!(world.counts().origin, 2);
}

#[test]
fn a_part_asks_for_the_whole_when_it_is_refreshed_in_the_background() {
    let world = plain([
        Reply::cached("0123456789", "max-age=10, stale-while-revalidate=60"),
        Reply::cached("abcdefghij", "max-age=10"),
    ]);
    world.get("/x").run();
    world.pass(secs(15));
    assert_eq!(world.get("/x").field("range", "bytes=0-1").run().text(), "01");
    assert_eq!(world.asked_last().field("range"), None);
    assert_eq!(world.get("/x").field("range", "bytes=0-1").run().text(), "ab");
}

#[test]
fn a_route_may_give_each_user_responses_of_its_own() {
    let world = cached("key = { per_user = true }");
    world.api_key("a-key", r#"{"subject":"a"}"#);
    world.api_key("b-key", r#"{"subject":"b"}"#);
    world.origin(|asked| Reply::cached(asked.field("x-api-key").unwrap_or("none").to_owned(), "max-age=60"));
    for round in 0..2 {
        for key in ["a-key", "b-key"] {
            let answer = world.get("/x").field("x-api-key", key).run();
            assert_eq!((answer.text(), answer.is_hit()), (key, round == 1));
        }
    }
    assert_eq!(world.get("/x").run().text(), "none");
}

#[test]
fn a_write_is_not_undone_by_a_store_that_is_late_to_learn_of_it() {
    let world = cached("kv_admission = \"always\"");
    world.origin(|asked| match asked.method() {
        "GET" => Reply::cached(format!("version {}", asked.nth), "max-age=600").after(ms(1)),
        _ => Reply::new(204, "").after(ms(1)),
    });
    world.get("/x").run();
    world.request("POST", "/x").run();
    assert_eq!(world.get("/x").run().text(), "version 2", "KV refused the delete, so soon after the write");
    world.pass(secs(5));
    assert_eq!(world.get("/x").run().text(), "version 2");
    assert_eq!(world.get("/x").at(0, 1).run().text(), "version 2");
}

#[test]
fn a_response_that_was_on_its_way_when_a_write_came_through_is_not_stored() {
    let world = plain([]);
    world.origin(|asked| match (asked.method(), asked.nth) {
        ("GET", 0) => Reply::cached("before", "max-age=600").after(secs(1)),
        ("GET", _) => Reply::cached("after", "max-age=600"),
        _ => Reply::new(204, "").after(ms(10)),
    });
    let slow = world.get("/x").start();
    world.pass(ms(100));
    world.request("POST", "/x").run();
    assert_eq!(world.finish(&slow).text(), "before");
    world.pass(secs(2));
    assert_eq!(world.get("/x").run().text(), "after");
    assert!(!world.stores_hold("before"));
}
