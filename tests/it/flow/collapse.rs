//! Many requests for one key.

use std::cell::Cell;
use std::collections::BTreeMap;

use tidegate::origin::FetchError;

use super::{PLAIN, plain};
use crate::sim::{Answer, Fault, Helper, Reply, World, ms, secs};

fn stampede(world: &World, requests: usize) -> Vec<Answer> {
    let pending: Vec<_> = (0..requests).map(|_| world.get("/x").start()).collect();
    world.finish_all(&pending)
}

#[test]
fn a_stampede_of_a_thousand_costs_one_origin_request() {
    let world = plain([Reply::cached("hello", "max-age=60").after(ms(200)).takes(ms(50))]);
    let answers = stampede(&world, 1000);
    assert!(answers.iter().all(|answer| answer.text() == "hello"));
    assert_eq!(world.counts().origin, 1);
    let collapsed = answers.iter().filter(|answer| answer.cache().contains("collapsed")).count();
    assert_eq!(collapsed, 999);
    assert_eq!(world.metric("tidegate_collapsed_requests_total", &[]), 999);
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_stampede_for_what_is_stale_costs_one_origin_request() {
    let world = plain([
        Reply::cached("old", "max-age=10").field("etag", "\"a\""),
        Reply::new(304, "").field("cache-control", "max-age=10").after(ms(200)),
    ]);
    world.get("/x").run();
    world.pass(secs(20));
    assert!(stampede(&world, 100).iter().all(|answer| answer.text() == "old"));
    assert_eq!((world.counts().origin, world.leaks()), (2, 0));
}

#[test]
fn whoever_waits_too_long_for_another_goes_itself() {
    let world =
        plain([Reply::cached("slow", "max-age=60").after(secs(9)), Reply::cached("quick", "max-age=60")]);
    let leader = world.get("/x").start();
    let before = world.now();
    let follower = world.get("/x").run();
    assert_eq!((follower.text(), follower.at.since(before)), ("quick", secs(5)));
    assert_eq!(world.finish(&leader).text(), "slow");
}

#[test]
fn an_answer_that_cannot_be_shared_lets_the_others_go_at_once_and_is_remembered() {
    let world = plain([]);
    world.origin(|asked| Reply::cached(format!("for {}", asked.nth), "private").after(ms(200)));
    let before = world.now();
    let answers = stampede(&world, 10);
    let mut texts: Vec<&str> = answers.iter().map(Answer::text).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 10, "each got its own");
    assert!(answers.iter().all(|answer| answer.at.since(before) <= ms(400)));
    let before = world.now();
    let again = stampede(&world, 10);
    assert!(again.iter().all(|answer| answer.at.since(before) == ms(200)), "nobody waits for anybody");
}

#[test]
fn what_has_to_be_confirmed_before_each_use_lets_the_others_go_at_once_and_is_remembered() {
    for said in ["no-cache", "max-age=0, must-revalidate"] {
        let world = plain([]);
        world.origin(move |_| Reply::cached("page", said).field("etag", "\"a\"").after(ms(200)));
        for wave in 0..2 {
            let before = world.now();
            let answers = stampede(&world, 10);
            let last = answers.iter().map(|answer| answer.at.since(before)).max().unwrap();
            assert!(last < ms(500), "{said}, wave {wave}: one after the other, the last after {last:?}");
        }
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn a_leader_that_fails_lets_the_others_go() {
    let world = plain([Reply::new(500, "no").after(ms(200)), Reply::cached("hello", "max-age=60")]);
    let leader = world.get("/x").start();
    let follower = world.get("/x").run();
    assert_eq!((world.finish(&leader).status, follower.text()), (500, "hello"));
}

#[test]
fn a_leader_whose_isolate_keeps_it_waiting_does_not_hold_the_key_for_ever() {
    let world = plain([
        Reply::cached("broken", "max-age=60").breaks().takes(ms(100)),
        Reply::cached("hello", "max-age=60"),
    ]);
    let leader = world.get("/x").start();
    let follower = world.get("/x").run();
    assert!(world.finish(&leader).read.is_err());
    assert_eq!(follower.text(), "hello");
}

#[test]
fn without_memory_each_request_goes_for_itself() {
    let world = World::new(1).config(&format!("{PLAIN}cache = {{ layers = [\"colo\"] }}\n"));
    world.origin(|_| Reply::cached("hello", "max-age=60").after(ms(200)));
    stampede(&world, 3);
    assert_eq!(world.counts().origin, 3);
}

#[test]
fn different_variants_of_one_key_do_not_answer_for_each_other() {
    let world = plain([]);
    world.origin(|asked| {
        let language = asked.field("accept-language").unwrap_or("none");
        Reply::cached(language.to_owned(), "max-age=60").field("vary", "accept-language").after(ms(100))
    });
    let languages = ["de", "en", "fr"].repeat(5);
    let pending: Vec<_> =
        languages.iter().map(|one| world.get("/x").field("accept-language", one).start()).collect();
    for (language, answer) in languages.iter().zip(world.finish_all(&pending)) {
        assert_eq!(answer.text(), *language);
    }
}

#[test]
fn a_304_for_one_client_does_not_keep_the_others_from_sharing() {
    let world = plain([]);
    world.origin(|asked| match asked.field("if-none-match") {
        Some(_) => Reply::new(304, "").after(ms(100)),
        None => Reply::cached("hello", "max-age=60").field("etag", "\"a\"").after(ms(100)),
    });
    assert_eq!(world.get("/x").field("if-none-match", "\"a\"").run().status, 304);
    stampede(&world, 10);
    assert_eq!(world.counts().origin, 2);
}

/// The statuses, and how many answers have each.
fn statuses(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut all = BTreeMap::new();
    answers.iter().for_each(|answer| *all.entry(answer.status).or_default() += 1);
    all
}

/// One attempt for each request that goes to the origin.
fn once(reply: Reply, keys: &str) -> World {
    let world = World::new(1).config(&format!(
        "[origins.default]\nurl = \"http://origin.example\"\nattempts_max = 1\n\
         [[routes]]\nname = \"all\"\ncache = {{ {keys} }}\n"
    ));
    world.origin(move |_| reply.clone().after(ms(200)));
    world
}

#[test]
fn those_who_wait_share_the_gates_own_word_of_an_origin_that_is_gone() {
    let world = once(Reply::fails(FetchError::ConnectionLost), "");
    let answers = stampede(&world, 100);
    assert_eq!(statuses(&answers), BTreeMap::from([(502, 100)]));
    assert_eq!(world.counts().origin, 1);
    let told = answers.iter().filter(|answer| answer.cache() == "fwd=uri-miss; collapsed").count();
    assert_eq!(told, 99);
    assert!(answers.iter().all(|answer| answer.field("proxy-status").is_some()));
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_failure_that_the_origin_answers_with_is_believed_the_second_time() {
    for status in [500, 502, 503, 504] {
        let world = once(Reply::new(status, "no"), "");
        let answers = stampede(&world, 100);
        assert_eq!(statuses(&answers), BTreeMap::from([(status, 100)]));
        assert_eq!(world.counts().origin, 2);
        assert_eq!(answers.iter().filter(|answer| answer.text() == "no").count(), 2);
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn those_who_wait_have_what_is_stale_where_their_leader_had_it() {
    for layers in ["memory\", \"colo\", \"kv", "memory"] {
        for reply in [Reply::new(503, "no"), Reply::fails(FetchError::ConnectionLost)] {
            let world = once(reply, &format!("layers = [\"{layers}\"]"));
            let failing = Cell::new(false);
            world.origin(move |_| match failing.replace(true) {
                false => Reply::cached("old", "max-age=10, stale-if-error=600"),
                true => Reply::new(503, "no").after(ms(200)),
            });
            world.get("/x").run();
            world.pass(secs(20));
            let answers = stampede(&world, 100);
            assert!(answers.iter().all(|answer| answer.text() == "old"));
            assert_eq!(world.counts().origin, 2);
        }
    }
}

#[test]
fn each_variant_is_collapsed_for_itself() {
    let world = plain([]);
    world.origin(|asked| {
        let language = asked.field("accept-language").unwrap_or("none");
        Reply::cached(language.to_owned(), "max-age=60").field("vary", "accept-language").after(ms(100))
    });
    for round in 1..3 {
        let languages = ["de", "en", "fr"].repeat(20);
        let before = world.now();
        let pending: Vec<_> =
            languages.iter().map(|one| world.get("/x").field("accept-language", one).start()).collect();
        let answers = world.finish_all(&pending);
        assert_eq!(world.counts().origin, 3 * round);
        assert!(answers.iter().all(|answer| answer.at.since(before) <= ms(200)), "they do not wait in a row");
        world.pass(secs(100));
    }
}

#[test]
fn what_is_too_large_for_memory_is_collapsed_until_the_colo_has_it() {
    let world = plain([Reply::cached("x".repeat(400_000), "max-age=600").after(ms(200)).takes(ms(300))]);
    let answers = stampede(&world, 50);
    assert!(answers.iter().all(|answer| answer.text().len() == 400_000));
    assert_eq!((world.counts().origin, world.leaks()), (1, 0));
}

#[test]
fn variants_too_large_for_memory_are_collapsed_each_for_itself() {
    let world = plain([]);
    world.origin(|asked| {
        let language = asked.field("accept-language").unwrap_or("none");
        Reply::cached(language.repeat(200_000), "max-age=60")
            .field("vary", "accept-language")
            .after(ms(100))
            .takes(ms(100))
    });
    let languages = ["de", "en", "fr", "it"].repeat(20);
    for (isolate, origin) in [(0, 4), (0, 4), (1, 4), (0, 8)] {
        let before = world.now();
        let asked = |one: &&str| world.get("/x").at(0, isolate).field("accept-language", one).start();
        let pending: Vec<_> = languages.iter().map(asked).collect();
        let answers = world.finish_all(&pending);
        assert!(languages.iter().zip(&answers).all(|(one, answer)| answer.text() == one.repeat(200_000)));
        assert_eq!(world.counts().origin, origin);
        assert!(answers.iter().all(|answer| answer.at.since(before) <= ms(400)), "they do not wait in a row");
        if isolate == 1 {
            world.pass(secs(100));
        }
    }
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_body_that_breaks_off_is_tried_once_more_and_then_believed() {
    for bytes in [100_000, 400_000] {
        for keys in ["", "partial = true"] {
            let world = once(Reply::cached("x".repeat(bytes), "max-age=600").breaks(), keys);
            let answers = stampede(&world, 100);
            assert_eq!(statuses(&answers), BTreeMap::from([(200, 2), (502, 98)]), "{bytes} {keys}");
            assert!(answers.iter().all(|answer| answer.status == 502 || answer.read.is_err()));
            assert_eq!((world.counts().origin, world.leaks()), (2, 0));
        }
    }
}

#[test]
fn a_body_that_breaks_off_once_is_asked_for_once_more() {
    for bytes in [100_000, 400_000] {
        let world = plain([]);
        world.origin(move |asked| {
            let reply = Reply::cached("x".repeat(bytes), "max-age=600").after(ms(200));
            if asked.nth == 0 { reply.breaks() } else { reply }
        });
        let answers = stampede(&world, 100);
        let whole = |answer: &&Answer| answer.read.is_ok() && answer.text().len() == bytes;
        assert_eq!((answers.iter().filter(whole).count(), world.counts().origin), (99, 2), "{bytes}");
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn a_colo_that_does_not_store_is_no_failure_of_the_origin() {
    let world = plain([Reply::cached("x".repeat(400_000), "max-age=600").after(ms(200))]);
    world.fault(Helper::Colo, Fault::Fails);
    let answers = stampede(&world, 10);
    assert!(answers.iter().all(|answer| answer.text().len() == 400_000));
    assert_eq!(world.leaks(), 0);
}
