//! One request to the origin for all isolates and colos: `collapse = "global"`.

use tidegate::sim::{Answer, Fault, Helper, Pending, Reply, World, ms, secs};

use super::PLAIN;

const COLOS: usize = 8;
const ISOLATES: usize = 4;

fn global(seed: u64, keys: &str) -> World {
    World::fleet(seed, COLOS).config(&format!("{PLAIN}cache = {{ collapse = \"global\"{keys} }}\n"))
}

/// So many requests, spread over all isolates.
fn stampede(world: &World, requests: usize) -> Vec<Answer> {
    let place = |nth: usize| (nth % COLOS, nth / COLOS % ISOLATES);
    let pending: Vec<Pending> =
        (0..requests).map(|nth| world.get("/x").at(place(nth).0, place(nth).1).start()).collect();
    world.finish_all(&pending)
}

#[test]
fn a_stampede_of_a_thousand_over_eight_colos_costs_one_origin_request() {
    for seed in 0..5 {
        let world = global(seed, "");
        world.origin(|_| Reply::cached("hello", "max-age=60").after(ms(200)).takes(ms(50)));
        world.fault(Helper::Shield, Fault::Takes(ms(40)));
        let answers = stampede(&world, 1000);
        assert!(answers.iter().all(|answer| answer.text() == "hello"));
        assert_eq!(world.counts().origin, 1);
        assert_eq!(answers.iter().filter(|answer| answer.cache().contains("collapsed")).count(), 999);
        assert!(answers.iter().any(|answer| answer.cache() == "hit; collapsed; ttl=60; detail=shield"));
        // An isolate asks twice, and one tells.
        assert!(world.counts().shield <= 2 * COLOS * ISOLATES + 1, "{}", world.counts().shield);
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn without_it_each_isolate_asks() {
    let world = World::fleet(1, COLOS).config(PLAIN);
    world.origin(|_| Reply::cached("hello", "max-age=60").after(ms(200)));
    stampede(&world, 1000);
    assert_eq!((world.counts().origin, world.counts().shield), (COLOS * ISOLATES, 0));
}

#[test]
fn who_comes_a_little_later_gets_it_too_although_kv_knows_nothing_yet() {
    let world = global(1, "");
    world.origin(|_| Reply::cached("hello", "max-age=60").after(ms(200)));
    world.get("/x").run();
    world.pass(secs(3));
    let late = world.get("/x").at(5, 0).run();
    assert_eq!((late.text(), late.age(), world.counts().origin), ("hello", 3, 1));
    // It went into memory and the colo.
    world.pass(secs(10));
    assert_eq!(world.get("/x").at(5, 0).run().cache(), "hit; ttl=47; detail=memory");
    assert_eq!(world.get("/x").at(5, 1).run().cache(), "hit; ttl=47; detail=colo");
}

#[test]
fn a_stampede_for_what_is_stale_costs_one_validation() {
    let world = global(2, "");
    world.replies([
        Reply::cached("old", "max-age=10").field("etag", "\"a\""),
        Reply::new(304, "").field("cache-control", "max-age=10").after(ms(200)),
    ]);
    stampede(&world, 64);
    world.pass(secs(20));
    assert!(stampede(&world, 200).iter().all(|answer| answer.text() == "old"));
    assert_eq!((world.counts().origin, world.leaks()), (2, 0));
}

#[test]
fn every_method_that_is_keyed_is_collapsed() {
    let world = global(3, ", key = { body = [\"POST\"] }");
    world.origin(|asked| Reply::cached(format!("for {}", asked.body), "max-age=60").after(ms(200)));
    let ask = |nth: usize| world.request("POST", "/x").body(["a", "b"][nth % 2]).at(nth % COLOS, 0).start();
    let pending: Vec<Pending> = (0..40).map(ask).collect();
    for (nth, answer) in world.finish_all(&pending).iter().enumerate() {
        assert_eq!(answer.text(), ["for a", "for b"][nth % 2]);
    }
    assert_eq!(world.counts().origin, 2);
}

#[test]
fn whoever_waits_too_long_goes_itself() {
    let world = global(4, ", collapse_wait = \"2s\"");
    world.replies([
        Reply::cached("slow", "max-age=60").after(secs(9)),
        Reply::cached("quick", "max-age=60").after(ms(100)),
    ]);
    let leader = world.get("/x").start();
    world.pass(ms(10));
    let before = world.now();
    let other = world.get("/x").at(1, 0).run();
    assert_eq!((other.text(), other.at.since(before)), ("quick", ms(2100)));
    assert_eq!(world.finish(&leader).text(), "slow");
}

#[test]
fn an_answer_that_cannot_be_shared_lets_all_go_at_once_and_is_remembered() {
    let world = global(5, "");
    world.origin(|asked| Reply::cached(format!("for {}", asked.nth), "private").after(ms(200)));
    let before = world.now();
    let mut texts: Vec<String> = Vec::new();
    for answer in stampede(&world, 100) {
        assert!(answer.at.since(before) <= ms(400), "{answer:?}");
        texts.push(answer.text().to_owned());
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 100, "each got its own");
    let (before, asked) = (world.now(), world.counts().shield);
    assert!(stampede(&world, 100).iter().all(|answer| answer.at.since(before) == ms(200)));
    assert_eq!(world.counts().shield, asked, "each isolate remembers it for itself");
    // An isolate that knows nothing of it yet is told.
    world.lose(0, 0);
    let before = world.now();
    assert_eq!(world.get("/x").run().at.since(before), ms(200));
}

#[test]
fn what_memory_does_not_keep_is_not_waited_for() {
    let world = global(6, ", memory_object_bytes_max = \"1KiB\"");
    world.origin(|_| Reply::cached("x".repeat(5000), "max-age=60").after(ms(200)));
    let before = world.now();
    let answers = stampede(&world, 32);
    assert!(answers.iter().all(|answer| answer.at.since(before) <= ms(400) && answer.text().len() == 5000));
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_leader_that_fails_or_is_lost_holds_up_nobody_for_long() {
    let world = global(7, ", collapse_wait = \"3s\"");
    world.replies([Reply::new(500, "no").after(ms(200)), Reply::cached("hello", "max-age=60")]);
    let leader = world.get("/x").start();
    world.pass(ms(10));
    assert_eq!(world.get("/x").at(1, 0).run().text(), "hello");
    assert_eq!(world.finish(&leader).status, 500);

    let world = global(7, ", collapse_wait = \"3s\"");
    world.origin(|_| Reply::cached("hello", "max-age=60").after(ms(500)));
    let _gone = world.get("/x").start();
    world.pass(ms(10));
    world.lose(0, 0);
    let before = world.now();
    let other = world.get("/x").at(1, 0).run();
    assert_eq!((other.text(), other.at.since(before)), ("hello", ms(3500)));
}

#[test]
fn an_object_that_fails_or_is_slow_leaves_each_isolate_to_itself() {
    for (fault, takes) in
        [(Fault::Fails, ms(200)), (Fault::Hangs, ms(1200)), (Fault::Takes(secs(20)), ms(1200))]
    {
        let world = global(8, "");
        world.origin(|_| Reply::cached("hello", "max-age=60").after(ms(200)));
        world.fault(Helper::Shield, fault);
        let before = world.now();
        let answers = stampede(&world, 1000);
        assert!(answers.iter().all(|answer| answer.text() == "hello" && answer.at.since(before) <= takes));
        assert_eq!(world.counts().origin, COLOS * ISOLATES);
        let incident = [("incident", "shield-unreachable")];
        assert_eq!(world.metric("tidegate_incidents_total", &incident), (COLOS * ISOLATES) as u64);
        // It is left alone for a while.
        let asked = world.counts().shield;
        world.get("/y").run();
        assert_eq!(world.counts().shield, asked);
    }
}

#[test]
fn an_object_that_is_lost_while_many_wait_costs_no_answer_and_no_isolate_more_than_one_request() {
    for seed in 0..12 {
        let world = global(seed, ", collapse_wait = \"2s\"");
        world.origin(|_| Reply::cached("hello", "max-age=60").after(ms(200)));
        world.fault(Helper::Shield, Fault::Mixed([10, 30, 50][seed as usize % 3], ms(800)));
        let before = world.now();
        let answers = stampede(&world, 500);
        assert!(answers.iter().all(|answer| answer.text() == "hello"));
        // An object that says to wait and is lost then is waited for a second longer than a leader that is slow.
        assert!(answers.iter().all(|answer| answer.at.since(before) <= ms(3200)));
        assert!(world.counts().origin <= COLOS * ISOLATES, "seed {seed}: {}", world.counts().origin);
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn those_who_wait_for_one_that_waits_have_patience_with_the_origin_too_but_no_more() {
    let world = global(11, ", collapse_wait = \"2s\"");
    for colo in [0, 1] {
        world.get("/before").at(colo, 0).run();
    }
    let before = world.counts().origin;
    world.replies([
        Reply::cached("lost", "max-age=60").after(secs(30)),
        Reply::cached("slow", "max-age=60").after(secs(9)),
        Reply::cached("quick", "max-age=60").after(ms(100)),
    ]);
    let _gone = world.get("/x").start();
    world.pass(ms(10));
    let start = world.now();
    let pending: Vec<Pending> = (0..3).map(|_| world.get("/x").at(1, 0).start()).collect();
    world.pass(ms(3900));
    assert_eq!(world.counts().origin - before, 2, "one of those at that isolate");
    let answers = world.finish_all(&pending);
    let took = |nth: usize| answers[nth].at.since(start);
    assert_eq!((took(0), answers[0].text()), (secs(11), "slow"));
    assert_eq!((took(1), took(2), answers[1].text()), (ms(4100), ms(4100), "quick"));
}

#[test]
fn a_write_takes_back_what_the_object_holds() {
    let world = global(9, "");
    world.origin(|asked| Reply::cached(format!("version {}", asked.nth), "max-age=60"));
    assert_eq!(world.get("/x").run().text(), "version 0");
    world.request("POST", "/x").body("new").run();
    world.pass(ms(10));
    assert_eq!(world.get("/x").at(3, 0).run().text(), "version 2");
}

#[test]
fn nobody_gets_what_another_variant_or_user_got() {
    let world = global(10, "");
    world.origin(|asked| {
        let language = asked.field("accept-language").unwrap_or("none").to_owned();
        Reply::cached(language, "max-age=60").field("vary", "accept-language").after(ms(100))
    });
    let languages = ["de", "en", "fr"];
    let ask =
        |nth: usize| world.get("/x").field("accept-language", languages[nth % 3]).at(nth % COLOS, 0).start();
    let pending: Vec<Pending> = (0..60).map(ask).collect();
    for (nth, answer) in world.finish_all(&pending).iter().enumerate() {
        assert_eq!(answer.text(), languages[nth % 3]);
    }
    let before = world.counts();
    world.get("/y").field("authorization", "Bearer x").run();
    assert_eq!(world.counts().shield, before.shield, "what is for one is nobody else's");
}

#[test]
fn who_has_written_since_does_not_get_what_another_client_got() {
    let world = World::fleet(3, COLOS).config(
        "[origins.default]
         split = { primary = \"http://primary.example\", replicas = [\"http://replica.example\"] }
         [[routes]]
         name = \"all\"
         cache = { collapse = \"global\" }",
    );
    world.origin(|asked| match asked.method() {
        "GET" => Reply::cached(asked.host(), "max-age=60"),
        _ => Reply::ok("written"),
    });
    assert_eq!(world.get("/x").run().text(), "replica.example");
    let written = world.request("POST", "/y").body("1").run();
    let bookmark = written.field("x-tidegate-bookmark").unwrap();
    let reader = world.get("/x").field("x-tidegate-bookmark", &bookmark).at(5, 0).run();
    assert_eq!(reader.text(), "primary.example");
    let stranger = world.get("/x").at(6, 0).run();
    assert!(stranger.cache().contains("detail=shield"), "{}", stranger.cache());
}
