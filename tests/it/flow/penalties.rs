//! Strikes and penalties: who goes on after a refusal, or scans, is refused outright.

use crate::sim::{Answer, Fault, Helper, Reply, World, ms, secs};

const SITE: &str = r#"
[origins.default]
url = "http://origin.example"
[identity]
on_invalid = "refuse"
[limits.policies.tier]
tiers = { anonymous = "5/1m", free = "10/1m", pro = "1000/1m", enterprise = "unlimited" }
[limits.policies.box]
quota = "3/5m"
strikes = ["refused"]
penalty = "2m to 10m"
partition = "address"
[limits.policies.scan]
quota = "4/1m"
strikes = ["401", "403", "404"]
penalty = "5m"
partition = "address"
[[routes]]
name = "api"
match = { path = "/api/*" }
limits = ["tier", "box"]
[[routes]]
name = "site"
limits = ["scan"]
"#;

/// An origin that has what ends in `here`, and no more.
fn world() -> World {
    let world = World::new(1).config(SITE);
    world.origin(|asked| if asked.path().ends_with("here") { Reply::ok("x") } else { Reply::new(404, "x") });
    world
}

fn wait(answer: &Answer) -> u64 {
    answer.field("retry-after").unwrap().parse().unwrap()
}

fn policy(answer: &Answer) -> String {
    answer.field("x-ratelimit-policy").unwrap()
}

/// Uses up the quota of `tier`, then goes on until something else than that refuses.
fn hammer(world: &World) -> Answer {
    let mut refused = 0;
    loop {
        let answer = world.get("/api/here").run();
        world.pass(ms(10));
        match (answer.status, policy(&answer).as_str()) {
            (200, _) => assert_eq!(refused, 0),
            (429, "tier") => refused += 1,
            _ => {
                assert_eq!(refused, 3, "{answer:#?}");
                return answer;
            }
        }
    }
}

#[test]
fn a_client_that_is_refused_three_times_is_refused_outright_for_a_time_that_grows() {
    let world = world();
    for (penalty, peace) in [(120, 0), (240, 0), (480, 0), (600, 1200), (300, 3000), (120, 0)] {
        let refused = hammer(&world);
        assert_eq!((refused.status, wait(&refused)), (429, penalty));
        assert!(refused.text().contains("#abnormal-usage-detected"), "{refused:#?}");
        assert!(refused.text().contains("3 strikes per 300 s"), "{refused:#?}");
        assert_eq!(refused.field("ratelimit-policy").unwrap(), "\"tier\";q=5;w=60, \"box\";q=3;w=300");
        assert_eq!(policy(&refused), "box");
        world.pass(secs(penalty - 1));
        assert_eq!(world.get("/api/here").run().status, 429);
        world.pass(secs(1));
        assert_eq!(world.get("/api/here").run().status, 200, "Retry-After is enough");
        world.pass(secs(peace + 60));
    }
}

#[test]
fn nobody_is_told_of_strikes_that_lead_to_nothing_and_other_clients_have_none() {
    let world = world();
    let answer = world.get("/api/here").run();
    assert_eq!(answer.field("ratelimit-policy").unwrap(), "\"tier\";q=5;w=60");
    let site = world.get("/here").run();
    assert_eq!((site.status, site.field("ratelimit"), site.field("x-ratelimit-limit")), (200, None, None));
    hammer(&world);
    assert_eq!(world.get("/api/here").from("198.51.100.7").run().status, 200);
    assert_eq!(world.get("/here").run().status, 200, "the other policy knows nothing of it");
}

#[test]
fn a_scanner_is_refused_what_there_is_too() {
    let world = world();
    for path in ["/wp-login.php", "/here", "/.env", "/here", "/.git/config", "/here", "/admin.php"] {
        assert_ne!(world.get(path).run().status, 429, "{path}");
        world.pass(secs(1));
    }
    let refused = world.get("/here").run();
    assert_eq!((refused.status, policy(&refused).as_str(), wait(&refused)), (429, "scan", 299));
    world.pass(secs(299));
    assert_eq!(world.get("/here").run().status, 200);
}

#[test]
fn keys_that_are_not_believed_are_strikes_and_lead_to_a_penalty() {
    let world = world();
    let guess = |n: u32| world.get("/here").field("x-api-key", &format!("guess-{n}")).run();
    for n in 0..4 {
        assert_eq!(guess(n).status, 401, "{n}");
        world.pass(secs(1));
    }
    assert_eq!(guess(5).status, 429);
    assert_eq!(world.get("/here").run().status, 429);
}

#[test]
fn strikes_in_several_isolates_are_one_clients() {
    let world = world();
    for isolate in 0..4 {
        assert_eq!(world.get("/nothing").at(0, isolate).run().status, 404);
        world.pass(secs(1));
    }
    assert_eq!(world.get("/here").at(0, 3).run().status, 429, "known where the last strike was");
    world.pass(secs(5));
    assert_eq!(world.get("/here").at(0, 0).run().status, 429, "and elsewhere after some seconds");
}

#[test]
fn a_client_that_strikes_rarely_costs_a_call_in_some_seconds_and_one_that_is_refused_none() {
    let world = world();
    let calls = || world.counts().limiter;
    for _ in 0..100 {
        assert_eq!(world.get("/here").run().status, 200);
        world.pass(ms(100));
    }
    assert!(calls() <= 3, "{} calls in 10 s", calls());
    hammer(&world);
    let before = calls();
    for _ in 0..100 {
        assert_eq!(world.get("/api/here").run().status, 429);
        world.pass(ms(100));
    }
    assert_eq!(calls(), before);
}

#[test]
fn in_shadow_it_is_reported_and_nobody_is_refused() {
    let site = SITE.replace("penalty = \"5m\"", "penalty = \"5m\"\nshadow = true");
    let world = World::new(1).config(&site);
    world.origin(|_| Reply::new(404, "x"));
    for _ in 0..8 {
        assert_eq!(world.get("/x").run().status, 404);
        world.pass(secs(1));
    }
    world.pass(secs(2));
    let labels = [("policy", "scan"), ("what", "would-refuse")];
    assert_eq!(world.metric("tidegate_limit_checks_total", &labels), 4);
}

#[test]
fn a_limiter_that_fails_adds_no_strikes_and_refuses_nobody() {
    let world = world();
    world.fault(Helper::Limiter, Fault::Fails);
    for _ in 0..20 {
        assert_eq!(world.get("/nothing").run().status, 404);
        world.pass(secs(1));
    }
    assert!(world.metric("tidegate_incidents_total", &[("incident", "limiter-unreachable")]) > 0);
}

#[test]
fn refusals_for_abuse_are_counted_as_such() {
    let world = world();
    hammer(&world);
    world.pass(secs(2));
    assert_eq!(world.metric("tidegate_refusals_total", &[("policy", "box"), ("reason", "abuse")]), 1);
    assert_eq!(world.metric("tidegate_refusals_total", &[("policy", "tier"), ("reason", "quota")]), 3);
}
