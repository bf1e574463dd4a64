//! What the fleet finds out together about its endpoints.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::sim::{Asked, Fault, Helper, Reply, World, secs};
use tidegate::origin::FetchError;
use tidegate::time::Span;

const fn millis(millis: u64) -> Span {
    Span::from_millis(millis)
}

const TWO: &str = r#"
[origins.default]
endpoints = [{ name = "a", url = "http://a.example/base" }, { name = "b", url = "http://b.example", priority = 1 }]
health = { path = "/up", interval = "2s", timeout = "1s", unhealthy_threshold = 2, healthy_threshold = 2 }
[[routes]]
name = "all"
cache = "off"
"#;

/// Two endpoints, and those of them that are dead.
fn two(config: &str, colos: usize) -> (World, Rc<RefCell<BTreeSet<&'static str>>>) {
    let world = World::fleet(1, colos).config(config);
    let dead: Rc<RefCell<BTreeSet<&'static str>>> = Rc::default();
    let those = dead.clone();
    world.origin(move |asked| {
        let host = asked.host().trim_end_matches(".example").to_owned();
        match those.borrow().contains(&*host) {
            true => Reply::fails(FetchError::ConnectionLost),
            false => Reply::ok(host),
        }
    });
    (world, dead)
}

fn is_probe(asked: &Asked) -> bool {
    asked.path().ends_with("/up")
}

fn post(world: &World) -> String {
    let answer = world.request("POST", "/x").body("order").run();
    assert_eq!(answer.status, 200, "{answer:#?}");
    answer.text().to_owned()
}

#[test]
fn probes_eject_an_endpoint_before_a_request_meets_it_and_it_comes_back() {
    let (world, dead) = two(TWO, 1);
    assert_eq!(post(&world), "a");
    world.pass(secs(1));
    dead.borrow_mut().insert("a");
    world.pass(secs(5));
    let before = world.asked().len();
    // No failure of a POST could be hidden.
    assert_eq!(post(&world), "b");
    let asked = &world.asked()[before..];
    assert!(asked.iter().filter(|asked| !is_probe(asked)).all(|asked| asked.host() == "b.example"));
    world.pass(secs(20));
    assert_eq!(post(&world), "b", "also after an ejection would have ended");
    dead.borrow_mut().clear();
    world.pass(secs(5));
    assert_eq!(post(&world), "a", "at once, also what could not be sent again");
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_probe_asks_as_the_pool_does_and_names_nobody() {
    let config =
        TWO.replacen("[[routes]]", "headers = { x-version = \"7\" }\nsecret = \"KEY\"\n[[routes]]", 1);
    let world = World::new(1).config(&config).var("KEY", "s3cret");
    world.get("/x").run();
    world.pass(secs(1));
    let asked = world.asked();
    let probe = asked.iter().find(|asked| is_probe(asked)).unwrap();
    assert_eq!((probe.method(), probe.head.target.url()), ("GET", "http://a.example/base/up"));
    let field = |name| probe.field(name);
    assert_eq!((field("x-version"), field("authorization")), (Some("7"), Some("Bearer s3cret")));
    assert_eq!(
        (field("user-agent"), field("x-forwarded-for"), field("forwarded")),
        (Some("tidegate"), None, None)
    );
}

#[test]
fn one_isolate_learns_from_another_what_that_has_met() {
    let (world, dead) = two(&TWO.replacen("interval = \"2s\"", "interval = \"60s\"", 1), 2);
    let get = |place: (usize, usize)| world.get("/x").at(place.0, place.1).run().text().to_owned();
    assert_eq!((get((0, 0)), get((1, 0))), ("a".into(), "a".into()));
    world.pass(secs(5));
    dead.borrow_mut().insert("a");
    for _ in 0..6 {
        assert_eq!(get((0, 0)), "b", "a failure that can be hidden");
    }
    world.pass(secs(1));
    assert_eq!(get((0, 0)), "b");
    world.pass(secs(1));
    let before = world.asked().len();
    let answer = world.request("POST", "/x").body("order").at(1, 0).run();
    assert_eq!((answer.status, answer.text()), (200, "b"));
    assert!(world.asked()[before..].iter().all(|asked| is_probe(asked) || asked.host() == "b.example"));
}

#[test]
fn an_isolate_asks_every_few_seconds_and_not_with_each_request() {
    let (world, _) = two(TWO, 1);
    for _ in 0..100 {
        world.get("/x").run();
        world.pass(millis(100));
    }
    let probes = world.asked().iter().filter(|asked| is_probe(asked)).count();
    assert!((10..=12).contains(&probes), "{probes} probes of two endpoints in ten seconds");
    let (plain, _) = two(&TWO.replacen("health =", "#", 1), 1);
    plain.get("/x").run();
    plain.pass(secs(60));
    assert_eq!(plain.counts().origin, 1, "nobody asked for probes");
}

#[test]
fn an_object_that_cannot_be_reached_leaves_each_isolate_to_itself() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let (world, dead) = two(TWO, 1);
        world.get("/x").run();
        world.pass(secs(1));
        dead.borrow_mut().insert("a");
        world.pass(secs(8));
        world.get("/x").run();
        world.pass(secs(1));
        world.fault(Helper::Health, fault);
        assert_eq!(post(&world), "b", "what is known holds for a while");
        dead.borrow_mut().clear();
        world.pass(secs(40));
        let begun = world.now();
        assert_eq!(post(&world), "a", "and not for ever");
        assert!(world.now().since(begun) <= millis(100));
        world.pass(secs(10));
        world.get("/x").run();
        assert!(world.metric("tidegate_incidents_total", &[("incident", "health-unreachable")]) >= 1);
    }
}

#[test]
fn where_all_are_ill_the_least_bad_one_is_asked() {
    let (world, dead) = two(TWO, 1);
    world.get("/x").run();
    dead.borrow_mut().extend(["a", "b"]);
    world.pass(secs(6));
    assert_eq!(world.get("/x").run().status, 502);
    world.pass(secs(3));
    world.get("/x").run();
    dead.borrow_mut().clear();
    assert_eq!(world.get("/x").run().status, 200, "before the next probe");
}

#[test]
fn the_health_document_says_which_probe_fails_and_why() {
    let (world, dead) = two(TWO, 1);
    world.get("/x").run();
    let health = || {
        let answer = world.get("/_tidegate/health").run();
        (answer.status, serde_json::from_str::<serde_json::Value>(answer.text()).unwrap())
    };
    assert_eq!(health().1["status"], "ok");
    dead.borrow_mut().insert("a");
    world.pass(secs(6));
    let (status, document) = health();
    assert_eq!(
        (status, &document["status"], &document["reasons"][0]["code"]),
        (200, &"degraded".into(), &"probe-failed".into())
    );
    let detail = document["reasons"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("default/a: connection_terminated, for "), "{detail}");
    dead.borrow_mut().insert("b");
    world.pass(secs(6));
    let (status, document) = health();
    assert_eq!((status, &document["status"]), (503, &"down".into()));
    world.fault(Helper::Health, Fault::Fails);
    assert_eq!(health().1["reasons"][0]["code"], "incident");
}

#[test]
fn the_scored_selection_avoids_a_replica_that_says_it_is_behind() {
    let config = r#"
[origins.default]
endpoints = [{ name = "a", url = "http://a.example" }, { name = "b", url = "http://b.example" }]
selection = "scored"
score = { replication_lag = 0.5 }
lag_header = "X-Replication-Lag"
HEALTH
[[routes]]
name = "all"
cache = "off"
"#;
    for health in ["", "health = { path = \"/up\", interval = \"1s\", timeout = \"1s\" }"] {
        let world = World::new(7).config(&config.replacen("HEALTH", health, 1));
        world.origin(move |asked| {
            let lag = if asked.host() == "a.example" { "8.5" } else { "0" };
            let reply = Reply::ok(asked.host());
            if is_probe(asked) || health.is_empty() { reply.field("x-replication-lag", lag) } else { reply }
        });
        for _ in 0..30 {
            world.get("/x").run();
            world.pass(millis(300));
        }
        let asked = world.asked();
        let to = |host: &str| asked.iter().filter(|asked| !is_probe(asked) && asked.host() == host).count();
        assert!(to("a.example") <= 8 && to("b.example") >= 20, "{} {}", to("a.example"), to("b.example"));
    }
}
