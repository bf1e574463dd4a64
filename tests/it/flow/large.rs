//! Responses too large for memory: their bodies stay in colo and KV, and what confirms them lies beside.

use super::PLAIN;
use crate::sim::{Asked, Fault, Helper, Reply, World, secs};

const LARGE: &str = "cache = { memory_object_bytes_max = \"1KiB\", kv_admission = \"always\", honour_client_directives = \"all\" }";

fn body(name: &str) -> String {
    name.repeat(3000)
}

/// Two colos, and an origin that confirms what has this tag and sends anything else anew.
fn fleet(keys: &str, tag: impl Fn(&Asked) -> &'static str + 'static, said: &'static str) -> World {
    seeded(3, keys, tag, said)
}

fn seeded(
    seed: u64,
    keys: &str,
    tag: impl Fn(&Asked) -> &'static str + 'static,
    said: &'static str,
) -> World {
    let world = World::fleet(seed, 2).config(&format!("{PLAIN}{keys}\n"));
    world.origin(move |asked| {
        let tag = tag(asked);
        let reply = if asked.field("if-none-match") == Some(tag) {
            Reply::new(304, "").field("x-confirmed", &asked.nth.to_string())
        } else {
            Reply::ok(body(tag))
        };
        reply.field("cache-control", said).field("etag", tag)
    });
    world
}

#[test]
fn a_304_freshens_a_body_that_stays_in_its_store() {
    let world = fleet(LARGE, |_| "\"a\"", "max-age=100");
    world.get("/x").run();
    for round in 1..=3 {
        world.pass(secs(110));
        let confirmed = world.get("/x").run();
        assert_eq!((confirmed.text() == body("\"a\""), world.counts().origin), (true, round + 1));
        let writes = world.counts().kv_writes;
        world.pass(secs(61));
        // Neither this isolate, nor another one, nor another colo asks again, and no hit writes.
        for (colo, isolate) in [(0, 0), (0, 1), (1, 0)] {
            let answer = world.get("/x").at(colo, isolate).run();
            assert_eq!((answer.text() == body("\"a\""), answer.is_hit(), answer.age()), (true, true, 61));
            assert_eq!(answer.field("x-confirmed"), Some(round.to_string()));
        }
        assert_eq!((world.counts().origin, world.counts().kv_writes), (round + 1, writes));
    }
    assert_eq!((world.counts().kv_writes, world.leaks()), (4, 0), "the body once, and a head each time");
}

#[test]
fn a_fresh_body_costs_no_more_reads_than_before() {
    let world = fleet(LARGE, |_| "\"a\"", "max-age=100");
    world.get("/x").run();
    world.pass(secs(61));
    let before = world.counts();
    world.get("/x").at(1, 0).run();
    let after = world.counts();
    assert_eq!((after.colo_reads - before.colo_reads, after.kv_reads - before.kv_reads), (1, 1));
}

#[test]
fn what_does_not_pay_is_kept_in_the_colo_alone() {
    let keys = "cache = { memory_object_bytes_max = \"1KiB\" }";
    let world = fleet(keys, |_| "\"a\"", "max-age=30");
    for _ in 0..3 {
        world.get("/x").run();
        world.pass(secs(20));
        assert!(world.get("/x").at(0, 1).run().is_hit());
        world.pass(secs(40));
    }
    assert_eq!((world.counts().kv_writes, world.counts().origin), (0, 3));
}

#[test]
fn a_head_is_never_taken_for_one_of_another_body() {
    for seed in 0..10 {
        // The first body is replaced while its newer head still lies beside it.
        let tag = |asked: &Asked| if asked.nth < 2 { "\"a\"" } else { "\"b\"" };
        let world = seeded(seed, LARGE, tag, "max-age=100");
        world.get("/x").run();
        world.pass(secs(110));
        world.get("/x").run();
        world.pass(secs(110));
        assert!(world.get("/x").run().text() == body("\"b\""));
        // The second one is confirmed at once, and before everybody has seen it.
        world.pass(secs(2));
        assert!(world.get("/x").field("cache-control", "no-cache").run().text() == body("\"b\""));
        // Each colo sees the writes to KV in an order of its own.
        for _ in 0..70 {
            world.pass(secs(1));
            for (colo, isolate) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let known = world.get("/x").field("cache-control", "only-if-cached");
                let answer = known.at(colo, isolate).run();
                assert!(answer.status == 504 || answer.text() == body(&answer.field("etag").unwrap()));
            }
        }
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn what_was_invalidated_is_not_brought_back_by_its_newer_head() {
    let world = fleet(LARGE, |_| "\"a\"", "max-age=100");
    world.get("/x").run();
    world.pass(secs(110));
    world.get("/x").run();
    world.request("POST", "/x").body("x").run();
    world.pass(secs(10));
    let asked = world.counts().origin;
    world.get("/x").run();
    assert_eq!(world.counts().origin, asked + 1);
    assert_eq!(world.asked_last().field("if-none-match"), None);
}

#[test]
fn a_store_that_fails_only_lets_the_origin_confirm_again() {
    let world = fleet(LARGE, |_| "\"a\"", "max-age=100");
    world.get("/x").run();
    world.pass(secs(110));
    world.fault(Helper::Colo, Fault::Fails);
    world.fault(Helper::Kv, Fault::None);
    for _ in 0..2 {
        assert!(world.get("/x").run().text() == body("\"a\""));
        world.pass(secs(5));
    }
    assert_eq!(world.counts().origin, 2, "KV has body and head");
    world.fault(Helper::Kv, Fault::Fails);
    assert!(world.get("/x").run().text() == body("\"a\""));
    assert_eq!((world.counts().origin, world.leaks()), (3, 0));
}

#[test]
fn a_large_variant_leaves_the_others_where_they_are() {
    let world = World::new(3).config(&format!("{PLAIN}{LARGE}\n"));
    world.origin(|asked| {
        let language = asked.field("accept-language").unwrap_or("none");
        Reply::cached(body(language), "max-age=100").field("vary", "accept-language")
    });
    let get = |language: &str| world.get("/x").field("accept-language", language).run();
    for language in ["de", "en"] {
        get(language);
        world.pass(secs(1));
    }
    for language in ["de", "en"] {
        let answer = get(language);
        assert_eq!((answer.text() == body(language), answer.is_hit()), (true, true), "{language}");
    }
    assert_eq!((world.counts().origin, world.leaks()), (2, 0));
}
