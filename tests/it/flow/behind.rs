//! Write-behind: what is accepted is delivered, later.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tidegate::origin::FetchError;
use tidegate::sim::{Answer, Fault, Helper, Reply, World, ms, secs};

use super::token;

const CONFIG: &str = r#"
[origins.default]
url = "http://origin.example"
[[routes]]
name = "orders"
match = { path = "/orders/**" }
[routes.write_behind]
attempts_max = 6
pending_max = 3
body_bytes_max = "1kB"
backoff_cap = "1m"
[[routes]]
name = "rest"
"#;

fn world() -> World {
    World::new(1).config(CONFIG).var("TIDEGATE_ADMIN_TOKEN", "secret")
}

fn status_url(answer: &Answer) -> String {
    assert_eq!(
        (answer.status, answer.field("cache-control").as_deref()),
        (202, Some("no-store")),
        "{answer:?}"
    );
    answer.field("location").unwrap()
}

/// What the status URL says.
fn status(world: &World, url: &str) -> String {
    let read: serde_json::Value = serde_json::from_str(world.get(url).run().text()).unwrap();
    read["status"].as_str().unwrap().to_owned()
}

fn admin(world: &World, method: &str, path: &str) -> serde_json::Value {
    let answer = world.request(method, path).field("authorization", "Bearer secret").run();
    serde_json::from_str(answer.text()).unwrap()
}

#[test]
fn a_change_is_accepted_at_once_and_arrives_as_it_came_with_a_key() {
    let world = world();
    world.replies([Reply::new(201, "made").after(secs(5))]);
    let before = world.now();
    let answer = world.request("POST", "/orders/1?x=%20").field("x-own", "yes").body("two boxes").run();
    assert_eq!(answer.at, before, "nobody waits for the origin");
    let url = status_url(&answer);
    let id = url.rsplit('/').next().unwrap();
    assert_eq!(url, format!("/_tidegate/deliveries/default/{id}"));
    let read: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(
        (&read["id"], &read["status"], &read["status_url"]),
        (&id.into(), &"accepted".into(), &(*url).into())
    );
    assert_eq!(status(&world, &url), "accepted");
    world.pass(secs(6));
    let asked = world.asked_last();
    assert_eq!((asked.method(), asked.path(), &*asked.body), ("POST", "/orders/1?x=%20", "two boxes"));
    assert_eq!((asked.field("x-own"), asked.field("idempotency-key")), (Some("yes"), Some(id)));
    assert_eq!((status(&world, &url), world.counts().origin, world.leaks()), ("delivered".into(), 1, 0));
    assert_eq!(world.metric("tidegate_deliveries_total", &[("result", "accepted")]), 1);
    assert_eq!(world.metric("tidegate_deliveries_total", &[("result", "delivered")]), 1);
}

#[test]
fn reads_and_other_routes_are_answered_as_ever() {
    let world = world();
    assert_eq!(world.get("/orders/1").run().text(), "hello");
    assert_eq!(world.request("POST", "/elsewhere").body("x").run().text(), "hello");
    for unknown in [
        "/_tidegate/deliveries/default/00",
        "/_tidegate/deliveries/no-pool/00",
        "/_tidegate/deliveries/default/../x",
    ] {
        assert_eq!(world.get(unknown).run().status, 404, "{unknown}");
    }
}

#[test]
fn what_fails_is_tried_again_and_what_the_origin_refuses_is_a_dead_letter_until_it_is_replayed() {
    let world = world();
    let fails =
        [Reply::fails(FetchError::ConnectionLost), Reply::new(503, "busy"), Reply::new(429, "slow down")];
    world.replies(fails.into_iter().chain([Reply::new(422, "no such article"), Reply::ok("at last")]));
    let url = status_url(&world.request("POST", "/orders/1").body("x").run());
    world.pass(secs(600));
    assert_eq!((status(&world, &url), world.counts().origin), ("dead".into(), 4));
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "dead-letter")]), 1);
    assert_eq!(admin(&world, "GET", "/_tidegate/admin/deliveries")["default"]["dead"], 1);
    assert_eq!(admin(&world, "POST", "/_tidegate/admin/deliveries/replay?id=00")["status"], 404);
    for (query, wrong) in [
        ("pool=other", "no changes are delivered later to a pool `other`; allowed: default"),
        ("foo=1", "`foo` can't be read in the query; allowed: `pool`, `id`"),
        ("id=00&foo=1", "`foo` can't be read in the query; allowed: `pool`, `id`"),
    ] {
        let told = admin(&world, "POST", &format!("/_tidegate/admin/deliveries/replay?{query}"));
        assert_eq!((&told["status"], &told["detail"]), (&400.into(), &wrong.into()));
    }
    assert_eq!(world.counts().origin, 4);
    assert_eq!(admin(&world, "POST", "/_tidegate/admin/deliveries/replay")["replayed"], 1);
    world.pass(secs(1));
    assert_eq!(status(&world, &url), "delivered");
    let keys: BTreeSet<String> =
        world.asked().iter().map(|asked| asked.field("idempotency-key").unwrap().into()).collect();
    assert_eq!(keys.len(), 1, "each attempt has the same key");
}

#[test]
fn when_the_attempts_are_spent_it_is_a_dead_letter() {
    let world = world();
    world.replies([Reply::new(500, "broken")]);
    let url = status_url(&world.request("POST", "/orders/1").body("x").run());
    world.pass(secs(600));
    assert_eq!((status(&world, &url), world.counts().origin), ("dead".into(), 6));
}

#[test]
fn the_same_idempotency_key_is_the_same_change_and_another_one_under_it_is_refused() {
    let world = world();
    let send =
        |body: &str, path: &str| world.request("POST", path).field("idempotency-key", "k1").body(body).run();
    let (first, again) = (send("x", "/orders/1"), send("x", "/orders/1"));
    assert_eq!(status_url(&first), status_url(&again));
    assert_eq!(send("y", "/orders/1").status, 422);
    assert_ne!(status_url(&send("x", "/orders/2")), status_url(&first), "the key of another URL is another");
    world.pass(secs(1));
    let asked = world.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.field("idempotency-key") == Some("k1")));
}

#[test]
fn an_empty_idempotency_key_is_none() {
    let world = world();
    for (blank, body) in ["", " "].into_iter().zip(["x", "y"]) {
        let sent = world.request("POST", "/orders/1").field("idempotency-key", blank).body(body).run();
        let url = status_url(&sent);
        world.pass(secs(1));
        let asked = world.asked_last();
        let keys: Vec<_> = asked.head.fields.get_all("idempotency-key").collect();
        assert_eq!((&*asked.body, keys), (body, vec![url.rsplit('/').next().unwrap()]));
    }
}

#[test]
fn whoever_sends_a_change_again_is_told_what_became_of_it() {
    let world = world();
    world.replies([Reply::ok("made"), Reply::new(422, "no"), Reply::new(503, "busy")]);
    for (path, told) in [("/orders/1", "delivered"), ("/orders/2", "dead"), ("/orders/3", "retrying")] {
        let send = || world.request("POST", path).field("idempotency-key", "k1").body("x").run();
        let first = send();
        world.pass(ms(100));
        let again = send();
        assert_eq!(status_url(&again), status_url(&first));
        let read: serde_json::Value = serde_json::from_str(again.text()).unwrap();
        assert_eq!(read["status"], told);
    }
}

#[test]
fn a_dead_letter_says_what_its_last_attempt_came_to() {
    for (reply, why) in [
        (Reply::fails(FetchError::ConnectionLost), "connection_terminated"),
        (Reply::new(503, "busy"), "the origin answered 503"),
        (Reply::new(422, "no"), "the origin answered 422"),
    ] {
        let world = world();
        world.replies([reply]);
        let url = status_url(&world.request("POST", "/orders/1").body("x").run());
        world.pass(secs(600));
        let read: serde_json::Value = serde_json::from_str(world.get(&url).run().text()).unwrap();
        assert_eq!((&read["status"], &read["reason"]), (&"dead".into(), &why.into()));
    }
}

#[test]
fn the_idempotency_key_of_another_client_is_another() {
    let jwt = "[identity.jwt]\nalgorithm = \"HS256\"\nsecret_binding = \"S\"\n";
    let world = World::new(1).config(&[&CONFIG.replace("pending_max = 3", "pending_max = 30"), jwt].concat());
    let send = || world.request("POST", "/orders/1").field("idempotency-key", "k1").body("x");
    let keyed = |key: &str| send().field("x-api-key", key);
    world.api_key("alice", r#"{"tier":"pro","subject":"alice"}"#);
    world.api_key("alice-2", r#"{"tier":"pro","subject":"alice"}"#);
    world.api_key("bob", r#"{"tier":"pro","subject":"bob"}"#);
    let urls: BTreeSet<String> = [
        send(),
        send().from("192.0.2.2"),
        send().field("authorization", "Basic YTph"),
        send().field("authorization", "Basic YjpI"),
        send().field("cookie", "session=1"),
        send().field("cookie", "session=2"),
        keyed("alice"),
        keyed("bob"),
        send().field("authorization", &token("alice")),
    ]
    .into_iter()
    .map(|request| status_url(&request.run()))
    .collect();
    assert_eq!(urls.len(), 9);
    assert_eq!(status_url(&keyed("alice").from("192.0.2.9").run()), status_url(&keyed("alice-2").run()));
    world.pass(secs(1));
    assert_eq!(world.counts().origin, 9);
}

#[test]
fn what_can_not_be_kept_is_refused_and_said_so() {
    let world = world();
    world.replies([Reply::new(500, "broken")]);
    assert_eq!(world.request("POST", "/orders/1").body(&"x".repeat(1001)).run().status, 413);
    for nth in 0..3 {
        status_url(&world.request("POST", &format!("/orders/{nth}")).body("x").run());
    }
    let full = world.request("POST", "/orders/4").body("x").run();
    assert_eq!((full.status, full.field("retry-after").as_deref()), (503, Some("10")));
    world.fault(Helper::Deliveries, Fault::Fails);
    assert_eq!(world.request("POST", "/orders/5").body("x").run().status, 503);
    assert_eq!(world.get("/_tidegate/deliveries/default/00").run().status, 503);
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "deliveries-unreachable")]), 1);
}

#[test]
fn a_delivered_change_invalidates_what_is_stored() {
    let world = world();
    world.origin(|asked| match asked.method() {
        "GET" => Reply::cached(asked.nth.to_string(), "max-age=600"),
        _ => Reply::ok("written"),
    });
    assert_eq!(world.get("/orders/1").run().text(), "0");
    assert!(world.get("/orders/1").run().is_hit());
    status_url(&world.request("PUT", "/orders/1").body("x").run());
    world.pass(secs(2));
    assert!(!world.get("/orders/1").at(0, 1).run().is_hit(), "it is gone from the colo");
}

/// Changes are sent while the origin fails in every way, also after it has done what it was asked for, and isolates die.
/// Exactly the accepted ones arrive, each at least once, with its own key.
#[test]
fn exactly_what_was_accepted_arrives() {
    for seed in 0..30 {
        let config = CONFIG
            .replace("attempts_max = 6", "attempts_max = 1000")
            .replace("pending_max = 3", "pending_max = 30");
        let world = World::new(seed).config(&config);
        let arrived: Rc<RefCell<BTreeMap<String, BTreeSet<String>>>> = Rc::default();
        let (done, rng) = (arrived.clone(), RefCell::new(fastrand::Rng::with_seed(seed)));
        world.origin(move |asked| {
            let dice = rng.borrow_mut().u8(..10);
            if dice < 6 {
                let key = asked.field("idempotency-key").unwrap().to_owned();
                done.borrow_mut().entry(asked.body.clone()).or_default().insert(key);
            }
            match dice {
                0..4 => Reply::ok("done"),
                4 => Reply::fails(FetchError::ConnectionLost),
                5 => Reply::ok("done, and late").after(secs(60)),
                6 => Reply::new(503, "busy").field("retry-after", "7"),
                7 => Reply::fails(FetchError::Connect),
                _ => Reply::new(500, "broken"),
            }
        });
        let rng = &mut fastrand::Rng::with_seed(seed ^ 1);
        let mut accepted = BTreeSet::new();
        for nth in 0..60 {
            let body = format!("change {nth}");
            if nth % 9 == 0 {
                let fault = if rng.bool() { Fault::None } else { Fault::Mixed(20, ms(4000)) };
                world.fault(Helper::Deliveries, fault);
            }
            let answer = world.request("POST", "/orders/x").body(&body).run();
            match answer.status {
                202 => drop(accepted.insert(body)),
                503 => {}
                status => panic!("seed {seed}: {status}"),
            }
            if rng.u8(..5) == 0 {
                world.lose(0, 0);
            }
            world.pass(ms(rng.u64(..5000)));
        }
        world.fault(Helper::Deliveries, Fault::None);
        world.pass(secs(40_000));
        let arrived = arrived.borrow();
        let missing: Vec<_> = accepted.iter().filter(|body| !arrived.contains_key(*body)).collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?}");
        assert!(arrived.values().all(|keys| keys.len() == 1), "seed {seed}: one change under several keys");
        assert!(accepted.len() > 20, "seed {seed}: only {} were accepted", accepted.len());
        assert_eq!(world.leaks(), 0);
    }
}
