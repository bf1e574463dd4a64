//! Memory, colo and KV.

use super::PLAIN;
use crate::sim::{Fault, Helper, Reply, World, ms, secs};

/// Two colos; every response is worth a KV write.
fn fleet(colos: usize) -> World {
    let world = World::fleet(3, colos).config(&format!("{PLAIN}cache = {{ kv_admission = \"always\" }}\n"));
    world.origin(|_| Reply::cached("hello", "max-age=600"));
    world
}

#[test]
fn layers_answer_in_order_and_are_filled_on_the_way_back() {
    let world = fleet(2);
    world.get("/x").run();
    world.pass(secs(61));
    let layer = |colo, isolate| {
        let answer = world.get("/x").at(colo, isolate).run();
        assert_eq!((answer.text(), answer.age()), ("hello", 61));
        answer.cache().rsplit('=').next().unwrap().to_owned()
    };
    assert_eq!(layer(0, 0), "memory");
    assert_eq!(layer(0, 1), "colo", "another isolate");
    assert_eq!(layer(0, 1), "memory", "filled on the way back");
    assert_eq!(layer(1, 0), "kv", "another colo");
    assert_eq!(layer(1, 1), "colo", "filled on the way back");
    let counts = world.counts();
    assert_eq!((counts.origin, counts.kv_writes, world.leaks()), (1, 1, 0));
}

#[test]
fn a_response_that_is_fresh_for_ever_is_kept_in_every_layer() {
    let world = fleet(2);
    world.origin(|_| Reply::cached("hello", "max-age=99999999999, stale-if-error=99999999999"));
    world.get("/x").run();
    world.pass(secs(61));
    let answer = world.get("/x").at(1, 0).run();
    assert_eq!((answer.text(), answer.cache().rsplit('=').next()), ("hello", Some("kv")));
}

#[test]
fn a_hit_never_writes_kv() {
    let world = fleet(2);
    world.get("/x").run();
    world.pass(secs(61));
    let before = world.counts();
    for round in 0..50 {
        assert!(world.get("/x").at(round % 2, round % 5).run().is_hit());
    }
    let after = world.counts();
    assert_eq!((after.kv_writes, after.origin), (before.kv_writes, before.origin));
}

#[test]
fn a_memory_hit_asks_nobody() {
    let world = fleet(1);
    world.get("/x").run();
    let before = world.counts();
    let pending = world.get("/x").start();
    assert!(pending.take().is_some(), "it is ready at the first poll");
    assert_eq!(world.counts(), before);
}

#[test]
fn a_short_life_is_not_worth_a_kv_write_nor_is_a_first_request() {
    let world = World::new(3).config(PLAIN);
    world.origin(|asked| {
        Reply::cached("hello", if asked.path() == "/short" { "max-age=119" } else { "max-age=600" })
    });
    world.get("/short").run();
    world.get("/long").run();
    assert_eq!(world.counts().kv_writes, 0);
    world.pass(secs(661));
    world.get("/short").run();
    world.get("/long").run();
    assert_eq!(world.counts().kv_writes, 1, "the second time it pays, for the long one");
}

#[test]
fn what_lives_for_an_hour_is_worth_a_kv_write_at_once_unless_it_is_tiny() {
    let world = World::new(3).config(PLAIN);
    world.origin(|asked| {
        let bytes = if asked.path() == "/tiny" { 2047 } else { 2048 };
        Reply::cached("x".repeat(bytes), "max-age=3600")
    });
    for (path, writes) in [("/tiny", 0), ("/long", 1)] {
        world.get(path).run();
        world.pass(secs(1));
        assert_eq!(world.counts().kv_writes, writes, "{path}");
    }
}

#[test]
fn of_colos_that_find_it_stale_at_the_same_time_a_few_write_kv() {
    let world = World::fleet(3, 8).config(PLAIN);
    world.origin(|_| Reply::cached("hello", "max-age=600"));
    let everywhere = || (0..8).for_each(|colo| assert_eq!(world.get("/x").at(colo, 0).run().text(), "hello"));
    everywhere();
    let mut writes = Vec::new();
    for _ in 0..10 {
        let before = world.counts();
        world.pass(secs(601));
        everywhere();
        let after = world.counts();
        assert!(after.origin - before.origin >= 6, "what one writes, the others hardly see yet");
        writes.push(after.kv_writes - before.kv_writes);
    }
    assert!(writes.iter().all(|writes| *writes < 6) && writes.iter().sum::<usize>() >= 10, "{writes:?}");
}

#[test]
fn kv_is_not_asked_for_what_is_never_there() {
    let world = World::fleet(3, 1).config(PLAIN);
    world.origin(|asked| {
        Reply::cached("hello", if asked.path() == "/secret" { "no-store" } else { "max-age=60" })
            .field("etag", "\"a\"")
    });
    for path in ["/secret", "/short"] {
        for (isolate, reads) in [(0, 1), (0, 0), (0, 0)] {
            let before = world.counts();
            assert!(!world.get(path).at(0, isolate).run().is_hit(), "{path}");
            assert_eq!(world.counts().kv_reads - before.kv_reads, reads, "{path}");
            world.pass(if path == "/short" { secs(61) } else { ms(1) });
        }
    }
    let before = world.counts();
    world.get("/short").at(0, 1).run();
    assert_eq!(world.counts().kv_reads, before.kv_reads, "the colo tells an isolate that knows nothing");
}

#[test]
fn a_refresh_that_another_isolate_of_the_colo_has_done_is_not_done_again() {
    let world = World::fleet(3, 1).config(PLAIN);
    world.origin(|asked| Reply::cached(asked.nth.to_string(), "max-age=60, stale-while-revalidate=600"));
    (0..4).for_each(|isolate| assert_eq!(world.get("/x").at(0, isolate).run().text(), "0"));
    world.pass(secs(61));
    for isolate in 0..4 {
        let stale = world.get("/x").at(0, isolate).run();
        assert_eq!((stale.text(), stale.cache().as_str()), ("0", "hit; ttl=-1; detail=swr"));
        world.pass(ms(1));
        assert_eq!(world.get("/x").at(0, isolate).run().text(), "1", "isolate {isolate}");
    }
    assert_eq!((world.counts().origin, world.leaks()), (2, 0));
}

#[test]
fn kv_that_fails_or_is_slow_is_a_miss_and_counted() {
    for (fault, incident) in
        [(Fault::Fails, "kv-error"), (Fault::Takes(ms(300)), "kv-slow"), (Fault::Hangs, "kv-slow")]
    {
        let world = fleet(2);
        world.get("/x").run();
        world.get("/other").at(1, 0).run();
        world.pass(secs(61));
        world.fault(Helper::Kv, fault);
        let before = world.now();
        let answer = world.get("/x").at(1, 0).run();
        assert_eq!((answer.status, answer.text(), answer.is_hit()), (200, "hello", false));
        assert!(answer.at.since(before) <= ms(75), "it waits no longer than the budget");
        world.pass(secs(60));
        assert_eq!(world.metric("tidegate_incidents_total", &[("incident", incident)]), 1, "{incident}");
    }
}

#[test]
fn a_colo_that_fails_is_a_miss_and_counted() {
    let world = fleet(1);
    world.get("/x").run();
    world.fault(Helper::Colo, Fault::Fails);
    world.fault(Helper::Kv, Fault::Fails);
    let answer = world.get("/x").at(0, 1).run();
    assert_eq!((answer.text(), answer.is_hit()), ("hello", false));
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "colo-error")]), 1);
}

#[test]
fn a_write_that_fails_costs_the_client_nothing_and_is_counted() {
    let world = fleet(1);
    world.fault(Helper::Kv, Fault::Fails);
    assert_eq!(world.get("/x").run().text(), "hello");
    world.pass(secs(2));
    // What fails after the answer goes with the next report.
    world.get("/x").run();
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "store-failed")]), 1);
}

#[test]
fn every_variant_can_be_read_back_from_the_stores() {
    let world = fleet(1);
    world.origin(|asked| {
        let language = asked.field("accept-language").unwrap_or("none");
        Reply::cached(language.to_owned(), "max-age=600").field("vary", "accept-language")
    });
    for (at, language) in ["de", "en", "fr"].into_iter().enumerate() {
        assert_eq!(world.get("/x").field("accept-language", language).at(0, at).run().text(), language);
        world.pass(secs(2));
    }
    for language in ["de", "en", "fr"] {
        let answer = world.get("/x").field("accept-language", language).at(0, 9).run();
        assert_eq!((answer.text(), answer.is_hit()), (language, true));
    }
    assert_eq!((world.counts().origin, world.leaks()), (3, 0));
}

#[test]
fn a_large_body_streams_past_memory_into_the_stores() {
    let world = fleet(1);
    let large = "0123456789".repeat(60_000);
    let body = large.clone();
    world.origin(move |_| Reply::cached(body.clone(), "max-age=600").takes(secs(2)));
    assert_eq!(world.get("/x").run().text(), large);
    world.pass(secs(1));
    let hit = world.get("/x").run();
    assert_eq!((hit.text() == large, hit.cache().as_str()), (true, "hit; ttl=597; detail=colo"));
    let part = world.get("/x").field("range", "bytes=10-19").run();
    assert_eq!((part.status, part.text()), (206, "0123456789"));
    assert_eq!((world.counts().origin, world.leaks()), (1, 0));
}

#[test]
fn an_isolate_that_is_lost_takes_nothing_with_it_but_its_memory() {
    let world = fleet(1);
    world.get("/x").run();
    world.lose(0, 0);
    assert_eq!(world.get("/x").run().cache(), "hit; ttl=600; detail=colo");
}

#[test]
fn a_variant_that_kv_had_does_not_hide_the_others_from_its_colo() {
    let world = fleet(2);
    world.origin(|asked| {
        let language = asked.field("accept-language").unwrap_or("none");
        Reply::cached(language.to_owned(), "max-age=600").field("vary", "accept-language")
    });
    let get = |language: &str, colo, isolate| {
        let answer = world.get("/x").field("accept-language", language).at(colo, isolate).run();
        assert_eq!(answer.text(), language);
        answer.cache().rsplit('=').next().unwrap().to_owned()
    };
    for language in ["de", "en"] {
        get(language, 0, 0);
        world.pass(secs(61));
    }
    assert_eq!((get("de", 1, 0).as_str(), get("en", 1, 0).as_str()), ("kv", "kv"));
    assert_eq!((get("de", 1, 1).as_str(), get("en", 1, 1).as_str()), ("colo", "colo"));
}
