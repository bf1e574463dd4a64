//! Upgrades to WebSockets: past the cache, to an endpoint that takes them, within what a tier may have open.

use tidegate::origin::FetchError;

use super::PLAIN;
use crate::sim::{Answer, Fault, Helper, Pending, Reply, Request, World, secs};

/// One route whose WebSockets are limited.
const LIMITED: &str = r#"
websocket = { connections = { anonymous = 2, pro = 3 }, messages = { anonymous = "5/1s" } }
"#;

fn upgrade<'w>(world: &'w World, path: &str) -> Request<'w> {
    let request = world.get(path).field("connection", "upgrade").field("upgrade", "websocket");
    request.field("sec-websocket-key", "k").field("sec-websocket-version", "13")
}

fn limited() -> World {
    let world = World::new(1).config(&[PLAIN, LIMITED].concat());
    world.api_key("of a pro", r#"{"tier":"pro","subject":"p"}"#);
    world.replies([switching()]);
    world
}

fn switching() -> Reply {
    Reply::new(101, "").field("upgrade", "websocket")
}

fn statuses(answers: impl IntoIterator<Item = Answer>) -> Vec<u16> {
    answers.into_iter().map(|answer| answer.status).collect()
}

#[test]
fn an_upgrade_waits_for_no_other_and_is_not_answered_by_what_is_stored() {
    let world = World::new(1).config(PLAIN);
    world.origin(|asked| match asked.field("upgrade") {
        Some(_) => switching().after(secs(1)),
        None => Reply::cached("a page", "max-age=600"),
    });
    world.get("/x").run();
    let before = world.now();
    let pending: Vec<Pending> = (0..5).map(|_| upgrade(&world, "/x").start()).collect();
    for answer in world.finish_all(&pending) {
        assert_eq!((answer.status, answer.at.since(before)), (101, secs(1)));
        assert_eq!(answer.cache(), "fwd=bypass; fwd-status=101");
    }
    assert!(world.get("/x").run().is_hit());
}

#[test]
fn an_upgrade_goes_to_another_endpoint_before_the_client_is_answered() {
    for first in [Reply::new(503, "busy"), Reply::fails(FetchError::ConnectionLost)] {
        let world = World::new(1).config(
            "[origins.default]\nendpoints = [{ url = \"http://a.example\" }, { url = \"http://b.example\", priority = 1 }]\n",
        );
        world.origin(move |asked| if asked.host() == "a.example" { first.clone() } else { switching() });
        assert_eq!(upgrade(&world, "/x").run().status, 101);
        assert_eq!(world.asked_last().host(), "b.example");
    }
}

#[test]
fn each_client_has_as_many_open_as_its_tier_may() {
    let world = limited();
    let open = |from: &str| upgrade(&world, "/x").from(from).run();
    assert_eq!(statuses((0..3).map(|_| open("192.0.2.1"))), [101, 101, 429]);
    assert_eq!(open("192.0.2.2").status, 101, "another client");
    assert_eq!(
        statuses((0..4).map(|_| upgrade(&world, "/x").field("x-api-key", "of a pro").run())),
        [101, 101, 101, 429]
    );
    let refused = open("192.0.2.1");
    assert!(refused.field("proxy-status").unwrap().contains("error=connection_limit_reached"));
    assert!(refused.text().contains("2 open connections on tier anonymous"), "{}", refused.text());
    for (name, value) in [
        ("ratelimit-policy", "\"websocket\";q=2;qu=\"concurrent-requests\""),
        ("x-ratelimit-limit", "2"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-policy", "websocket"),
        ("x-ratelimit-tier", "anonymous"),
    ] {
        assert_eq!(refused.field(name).as_deref(), Some(value), "{name}");
    }
    assert!(refused.field("ratelimit").unwrap().starts_with("\"websocket\";r=0;t="), "{refused:#?}");
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!(wait >= 1 && refused.field("x-ratelimit-reset").is_some());
    assert_eq!(world.get("/x").run().status, 101, "what is no upgrade is none of it");
    let refusals = [("policy", "websocket"), ("reason", "capacity")];
    assert_eq!(world.metric("tidegate_refusals_total", &refusals), 3);
}

#[test]
fn who_has_too_many_open_is_told_of_the_other_limits_too_and_holds_nothing_in_flight() {
    let limits = "limits = [\"minute\", \"flight\"]\n[limits.policies.minute]\nquota = \"20/1m\"\n\
                  [limits.policies.flight]\nquota = \"4/1m\"\nalgorithm = \"concurrency\"\n";
    let world = World::new(1).config(&[PLAIN, LIMITED, limits].concat());
    world.replies([switching()]);
    let answers: Vec<Answer> = (0..9)
        .map(|_| {
            world.pass(secs(1));
            upgrade(&world, "/x").run()
        })
        .collect();
    let refused = answers.last().unwrap();
    assert_eq!((refused.status, refused.field("x-ratelimit-policy").as_deref()), (429, Some("websocket")));
    let told = refused.field("ratelimit").unwrap();
    for item in ["\"minute\";r=11;t=", "\"flight\";r=3;t=", "\"websocket\";r=0;t="] {
        assert!(told.contains(item), "{told}");
    }
}

#[test]
fn what_cannot_be_counted_is_let_through_and_that_is_said() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = limited();
        world.fault(Helper::Limiter, fault);
        assert_eq!(statuses((0..4).map(|_| upgrade(&world, "/x").run())), [101; 4]);
        assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "limiter-unreachable")]), 4);
    }
}

#[test]
fn with_limits_switched_off_nothing_is_counted() {
    let world = limited().var("RATE_LIMIT_ENABLED", "false");
    assert_eq!(statuses((0..9).map(|_| upgrade(&world, "/x").run())), [101; 9]);
}

#[test]
fn who_is_on_the_allow_list_has_as_many_open_as_he_likes() {
    let world = World::new(1).config(&[PLAIN, LIMITED, "[limits]\nallow = [\"192.0.2.9\"]\n"].concat());
    world.replies([switching()]);
    assert_eq!(statuses((0..4).map(|_| upgrade(&world, "/x").from("192.0.2.9").run())), [101; 4]);
}

#[test]
fn what_is_no_handshake_is_refused_before_an_origin_takes_it() {
    let world = limited();
    for (fields, status) in [
        (vec![], 426),
        (vec![("sec-websocket-key", "k")], 426),
        (vec![("sec-websocket-key", "k"), ("sec-websocket-version", "8")], 426),
        (vec![("sec-websocket-version", "13")], 400),
    ] {
        let request = world.get("/x").field("connection", "upgrade").field("upgrade", "websocket");
        let answer = fields.iter().fold(request, |request, (name, value)| request.field(name, value)).run();
        assert_eq!((answer.status, answer.field("sec-websocket-version").as_deref()), (status, Some("13")));
        assert_eq!(answer.field("upgrade").as_deref(), Some("websocket"), "RFC 9110, section 15.5.22");
        assert_eq!(answer.text().contains("\"title\":\"Upgrade Required\""), status == 426);
    }
    assert_eq!(world.counts().origin, 0);
}
