//! What a request costs, and what does not count.

use crate::sim::{Answer, Asked, Fault, Helper, Reply, World, ms, secs};

fn site(policy: &str, route: &str) -> World {
    World::new(1).config(&format!(
        "[origins.default]\nurl = \"http://origin.example\"\n[limits.policies.units]\n{policy}\n\
         [[routes]]\nname = \"all\"\nlimits = [\"units\"]\n{route}\n"
    ))
}

fn left(answer: &Answer) -> u64 {
    answer.field("x-ratelimit-remaining").unwrap().parse().unwrap()
}

#[test]
fn a_route_may_have_a_cost_of_its_own() {
    let world = site(
        "quota = \"20/1m\"\ncost = 2",
        "cost = 6\n[[routes]]\nname = \"cheap\"\nmatch = { path = \"/cheap\" }\nlimits = [\"units\"]",
    );
    for (path, remaining) in [("/x", 14), ("/cheap", 12), ("/x", 6), ("/x", 0)] {
        assert_eq!(left(&world.get(path).run()), remaining, "{path}");
    }
    assert_eq!(world.get("/cheap").run().status, 429);
}

#[test]
fn bytes_of_content_are_counted_and_named() {
    let world = site("quota = \"1kB/1m\"\ncost = \"request-bytes\"", "");
    let sent = |bytes: usize| world.request("POST", "/x").body(&"x".repeat(bytes)).run();
    let answer = sent(600);
    assert_eq!((answer.status, left(&answer)), (200, 400));
    assert_eq!(
        answer.field("ratelimit-policy").as_deref(),
        Some("\"units\";q=1000;w=60;qu=\"content-bytes\"")
    );
    assert_eq!(left(&world.get("/x").run()), 399, "no content counts as one");
    let refused = sent(600);
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("1000 content bytes per 60 s"), "{refused:#?}");
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    world.pass(secs(wait));
    assert_eq!(sent(600).status, 200, "Retry-After is enough for so many bytes");
    let hopeless = sent(2000);
    assert_eq!(
        (hopeless.status, hopeless.field("retry-after")),
        (413, None),
        "more than is ever let through"
    );
    assert!(
        hopeless.text().contains("it costs 2000, and never more than 1000 are let through"),
        "{hopeless:#?}"
    );
}

#[test]
fn what_costs_more_than_its_quota_is_not_told_to_come_again_also_where_that_is_used_up() {
    let world = site("quota = \"2/1m\"\ncost = \"request-bytes/1KiB\"", "");
    let sent = |bytes: usize| world.request("POST", "/x").body(&"x".repeat(bytes)).run();
    assert_eq!((sent(2048).status, sent(1).status), (200, 429));
    let hopeless = sent(2049);
    assert_eq!((hopeless.status, hopeless.field("retry-after")), (413, None));
    assert_eq!(hopeless.field("x-ratelimit-limit").as_deref(), Some("2"));
}

#[test]
fn a_length_that_is_not_told_is_asked_for() {
    let world = site("quota = \"1kB/1m\"\ncost = \"request-bytes\"", "");
    let answer = world.request("POST", "/x").streamed("hello").run();
    assert_eq!((answer.status, world.counts().origin), (411, 0));
    let other = site("quota = \"9/1m\"", "");
    assert_eq!(other.request("POST", "/x").streamed("hello").run().status, 200);
}

#[test]
fn what_the_origin_says_a_request_cost_is_settled_afterwards() {
    let world = site("quota = \"100/1m\"\ncost = \"header:X-Cost:5\"", "");
    world.origin(|asked| match asked.path() {
        "/dear" => Reply::ok("much").field("x-cost", "60"),
        "/free" => Reply::ok("nothing").field("x-cost", "0"),
        _ => Reply::ok("says nothing"),
    });
    for (path, remaining) in [("/free", 100), ("/dear", 40), ("/x", 35), ("/free", 35)] {
        let answer = world.get(path).run();
        assert_eq!((answer.status, left(&answer)), (200, remaining), "{path}");
        world.pass(secs(1));
    }
    assert_eq!(left(&world.get("/dear").run()), 0, "more than was left is taken all the same");
    world.pass(secs(1));
    assert_eq!(world.get("/free").run().status, 429);
    world.pass(secs(60));
    assert_eq!(left(&world.get("/free").run()), 100);
}

#[test]
fn what_a_policy_says_does_not_count_does_not() {
    let reply = |status| move |_: &Asked| Reply::new(status, "x");
    for (refund, status, counts) in [
        ("[\"5xx\"]", 500, false),
        ("[\"5xx\"]", 404, true),
        ("[\"404\", \"401\"]", 404, false),
        ("[\"404\", \"401\"]", 403, true),
        ("[]", 500, true),
    ] {
        let world = site(&format!("quota = \"3/1m\"\nrefund = {refund}"), "");
        world.origin(reply(status));
        let statuses: Vec<u16> = (0..6)
            .map(|_| {
                let answer = world.request("POST", "/x").run();
                world.pass(secs(1));
                answer.status
            })
            .collect();
        let admitted = statuses.iter().filter(|one| **one == status).count();
        assert_eq!(admitted, if counts { 3 } else { 6 }, "{refund} {status}: {statuses:?}");
    }
}

#[test]
fn stored_responses_and_304s_need_not_count() {
    let cached = |refund: &str| {
        let world = site(&format!("quota = \"3/1m\"\nrefund = {refund}"), "cache = { ttl = \"1h\" }");
        world.origin(|_| Reply::cached("hello", "max-age=3600").field("etag", "\"a\""));
        world
    };
    let world = cached("[\"hit\"]");
    for _ in 0..9 {
        let answer = world.get("/x").run();
        world.pass(secs(1));
        assert_eq!((answer.status, left(&answer)), (200, 2), "{answer:#?}");
    }
    let world = cached("[\"304\"]");
    world.get("/x").run();
    for _ in 0..9 {
        let answer = world.get("/x").field("if-none-match", "\"a\"").run();
        world.pass(secs(1));
        assert_eq!((answer.status, left(&answer)), (304, 2));
    }
    assert_eq!(left(&world.get("/x").run()), 1);
}

#[test]
fn a_refund_that_gets_lost_is_counted_as_an_incident_and_refuses_early_at_most() {
    let world = site("quota = \"3/1m\"\nrefund = [\"5xx\"]", "");
    world.origin(|_| Reply::new(500, "x").after(secs(1)));
    let pending = world.request("POST", "/x").start();
    world.pass(ms(500));
    world.fault(Helper::Limiter, Fault::Fails);
    assert_eq!(world.finish(&pending).status, 500);
    world.tick(0, 0);
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "limiter-unreachable")]), 1);
}

#[test]
fn what_does_not_count_goes_back_to_the_lease_that_it_was_spent_from() {
    let world = site("quota = \"1000/1m\"\nrefund = [\"hit\"]", "cache = { ttl = \"1h\" }");
    world.origin(|_| Reply::cached("hello", "max-age=3600"));
    for _ in 0..200 {
        assert_eq!(world.get("/x").run().status, 200);
        world.pass(ms(50));
    }
    assert!(world.counts().limiter <= 20, "{} calls for 200 requests", world.counts().limiter);
    world.pass(secs(40));
    assert!(left(&world.get("/x").run()) >= 998, "one was counted, and one is");
}

#[test]
fn with_leases_and_refunds_never_more_counts_than_the_quota() {
    for seed in 0..4_u64 {
        let world = site("quota = \"100/10s\"\nrefund = [\"5xx\"]", "cache = \"off\"");
        world.origin(|asked| {
            Reply::new(if asked.path().contains("bad") { 500 } else { 200 }, "x").after(ms(30))
        });
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut sent = Vec::new();
        for _ in 0..3000 {
            let path = if rng.bool() { "/bad" } else { "/good" };
            sent.push(world.request("POST", path).at(0, rng.usize(..3)).start());
            world.pass(ms(rng.u64(..20)));
        }
        let answers = world.finish_all(&sent);
        let good: Vec<u64> =
            answers.iter().filter(|one| one.status == 200).map(|one| one.at.as_millis()).collect();
        // An answer comes up to 80 ms after its request was counted.
        let most = good.iter().map(|at| good.iter().filter(|t| (*at..at + 9_920).contains(t)).count()).max();
        assert!(most.is_some_and(|most| (60..=100).contains(&most)), "seed {seed}: {most:?}");
    }
}
