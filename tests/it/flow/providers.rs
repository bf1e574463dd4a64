//! Chains of providers: each pool with its own path, fields, secret and cost.

use crate::sim::{Asked, Reply, World};

/// Three providers of the same, each with its own way of being asked.
const CHAIN: &str = r#"
[origins.default]
url = "http://one.example/base"
path = "/ai/* -> /v1/*"
secret = "ONE_KEY"
attempts_max = 1
fallback = ["three", "two"]
retry = { statuses = [429, 503] }
[origins.two]
url = "http://two.example"
path = "/complete"
headers = { x-version = "2026-01-01", cookie = "" }
secret = "x-api-key: TWO_KEY"
attempts_max = 1
retry = { statuses = [429, 503] }
cost = 2
[origins.three]
url = "http://three.example"
path = "/free/*"
headers = { authorization = "" }
cost = 3
[[routes]]
name = "ai"
retry_safe = true
"#;

/// These providers answer, the others are over their quota.
fn world(working: &'static [&str]) -> World {
    let world = World::new(1).config(CHAIN).var("ONE_KEY", "s3cret-one").var("TWO_KEY", "s3cret-two");
    world.origin(move |asked| match working.iter().any(|host| asked.host() == *host) {
        true => Reply::cached(asked.host(), "max-age=60"),
        false => Reply::new(429, "no more"),
    });
    world
}

fn post(world: &World) -> String {
    let request = world.request("POST", "/ai/chat?stream=1").field("authorization", "Bearer mine");
    request.field("cookie", "a=1").body("{\"prompt\":\"hello\"}").run().text().to_owned()
}

fn seen(asked: &Asked) -> (&str, &str, Option<&str>, Option<&str>, Option<&str>) {
    let field = |name| asked.field(name);
    (asked.host(), asked.path(), field("authorization"), field("x-api-key"), field("cookie"))
}

#[test]
fn the_next_provider_answers_where_the_first_cannot_each_asked_in_its_own_way() {
    let world = world(&["three.example"]);
    assert_eq!(post(&world), "three.example");
    let asked = world.asked();
    assert_eq!(
        asked.iter().map(seen).collect::<Vec<_>>(),
        [
            ("one.example", "/base/v1/chat?stream=1", Some("Bearer s3cret-one"), None, Some("a=1")),
            ("two.example", "/complete?stream=1", Some("Bearer mine"), Some("s3cret-two"), None),
            ("three.example", "/free/ai/chat?stream=1", None, None, Some("a=1")),
        ],
        "by cost, whatever the order in `fallback`"
    );
    assert!(asked.iter().all(|asked| asked.body == "{\"prompt\":\"hello\"}"));
    assert_eq!(asked[1].field("x-version"), Some("2026-01-01"));
}

#[test]
fn a_priority_goes_before_the_cost_and_both_before_the_order() {
    let first = |more: &str| {
        let world = World::new(1).config(&[CHAIN, more].concat()).var("ONE_KEY", "1").var("TWO_KEY", "2");
        world.get("/ai/x").run();
        world.asked()[0].host().to_owned()
    };
    assert_eq!(first(""), "one.example");
    let cheap = CHAIN.replacen("attempts_max = 1", "attempts_max = 1\ncost = 9", 1);
    let world = World::new(1).config(&cheap).var("ONE_KEY", "1").var("TWO_KEY", "2");
    world.get("/ai/x").run();
    assert_eq!(world.asked()[0].host(), "two.example");
    let preferred = cheap.replacen("cost = 3", "cost = 3\npriority = 0", 1).replacen(
        "cost = 2",
        "cost = 2\npriority = 1",
        1,
    );
    let world = World::new(1).config(&preferred).var("ONE_KEY", "1").var("TWO_KEY", "2");
    world.get("/ai/x").run();
    assert_eq!(world.asked()[0].host(), "three.example");
}

#[test]
fn a_provider_whose_secret_is_missing_is_left_out_and_that_is_said() {
    let world = World::new(1).config(CHAIN).var("TWO_KEY", "s3cret-two");
    world.origin(|asked| Reply::ok(asked.host()));
    assert_eq!(post(&world), "two.example");
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "secret-missing")]), 1);
    let alone = CHAIN.replacen("fallback = [\"three\", \"two\"]", "", 1);
    let world = World::new(1).config(&alone).var("ONE_KEY", " ");
    let answer = world.get("/ai/x").run();
    let proxy = answer.field("proxy-status").unwrap();
    assert_eq!((answer.status, world.counts().origin), (500, 0));
    assert!(proxy.contains("error=proxy_configuration_error") && proxy.contains("no secret"), "{proxy}");
}

#[test]
fn a_secret_is_in_no_store_no_log_and_no_answer() {
    let world = world(&["one.example"]);
    let answers = [world.get("/ai/x").run(), world.get("/ai/x").run()];
    assert!(answers[1].is_hit());
    world.origin(|_| Reply::new(503, "broken"));
    let failed = world.get("/ai/other").run();
    for secret in ["s3cret-one", "s3cret-two"] {
        assert!(!world.stores_hold(secret) && !world.log().concat().contains(secret));
        let answers = answers.iter().chain([&failed]);
        assert!(answers.into_iter().all(|answer| !format!("{answer:?}").contains(secret)));
    }
}

#[test]
fn what_one_way_of_asking_brought_does_not_answer_for_another() {
    let stored = |config: &str| {
        let world = World::new(1).config(config).var("ONE_KEY", "1").var("OTHER", "2").var("TWO_KEY", "3");
        world.origin(|asked| Reply::cached(asked.path(), "max-age=600"));
        world.get("/ai/x").run();
        world.shared().colos.borrow().iter().count()
    };
    assert_eq!(stored(CHAIN), 1);
    let key = |config: &str| {
        let json = toml::from_str::<serde_json::Value>(config).unwrap();
        let site = tidegate::config::Config::from_json(&json).unwrap().compile();
        site.table.iter().next().unwrap().cache.key.scope.clone()
    };
    for (from, to) in [
        ("\"/ai/* -> /v1/*\"", "\"/ai/* -> /v2/*\""),
        ("\"ONE_KEY\"", "\"OTHER\""),
        ("x-version = \"2026-01-01\"", "x-version = \"2026-02-02\""),
    ] {
        assert_ne!(key(CHAIN), key(&CHAIN.replacen(from, to, 1)), "{to}");
    }
}
