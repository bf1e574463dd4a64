//! Who asks.

use super::cached;
use crate::sim::{Fault, Helper, Reply, World, secs};

const KEYS: &str = r#"
[origins.default]
url = "http://origin.example"
[limits.policies.tier]
tiers = { anonymous = "20/1m", free = "100/1m", pro = "1000/1m", enterprise = "10000/1m" }
[identity]
tiers = ["anonymous", "free", "pro", "enterprise"]
default_tier = "free"
[[routes]]
name = "all"
limits = ["tier"]
"#;

fn world() -> World {
    let world = World::new(1).config(KEYS);
    world.api_key("pro-key", r#"{"tier":"pro","subject":"acme"}"#);
    world.api_key("other-key", r#"{"tier":"free","subject":"other"}"#);
    world
}

#[test]
fn a_key_says_the_tier_and_nothing_else_does() {
    let world = world();
    let tier =
        |name: &str, value: &str| world.get("/x").field(name, value).run().field("x-ratelimit-tier").unwrap();
    assert_eq!(tier("x-api-key", "pro-key"), "pro");
    assert_eq!(tier("authorization", "Bearer other-key"), "free");
    assert_eq!(tier("x-api-key", "unknown"), "anonymous");
    assert_eq!(tier("x-tier", "enterprise"), "anonymous");
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "auth-rejected")]), 1);
}

#[test]
fn two_keys_have_a_quota_each_wherever_they_come_from() {
    let world = world();
    let left = |key: &str, from: &str| {
        world.get("/x").field("x-api-key", key).from(from).run().field("x-ratelimit-remaining").unwrap()
    };
    assert_eq!(left("pro-key", "192.0.2.1"), "999");
    assert_eq!(left("pro-key", "192.0.2.2"), "998");
    assert_eq!(left("other-key", "192.0.2.1"), "99");
}

#[test]
fn what_a_verified_client_gets_is_not_shared_with_another() {
    let world = world();
    world.origin(|asked| {
        Reply::cached(format!("for {}", asked.field("x-api-key").unwrap_or("all")), "max-age=60")
    });
    assert_eq!(world.get("/x").field("x-api-key", "pro-key").run().text(), "for pro-key");
    assert_eq!(world.get("/x").field("x-api-key", "other-key").run().text(), "for other-key");
    assert_eq!(world.get("/x").run().text(), "for all");
}

#[test]
fn a_key_store_that_is_away_makes_nobody_more_than_anonymous() {
    let world = world();
    world.fault(Helper::Kv, Fault::Fails);
    let answer = world.get("/x").field("x-api-key", "pro-key").run();
    assert_eq!((answer.status, answer.field("x-ratelimit-tier").as_deref()), (200, Some("anonymous")));
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "auth-unavailable")]), 1);
}

#[test]
fn a_key_is_believed_for_a_while_without_looking_again() {
    let world = world();
    world.get("/x").field("x-api-key", "pro-key").run();
    world.fault(Helper::Kv, Fault::Fails);
    let tier = || world.get("/x").field("x-api-key", "pro-key").run().field("x-ratelimit-tier").unwrap();
    assert_eq!(tier(), "pro");
    world.pass(secs(31));
    assert_eq!(tier(), "anonymous");
}

#[test]
fn what_a_client_gets_that_could_not_be_verified_is_for_it_alone() {
    for per_user in [false, true] {
        let world = cached(&format!("key = {{ per_user = {per_user} }}"));
        world.api_key("alice", r#"{"subject":"alice"}"#);
        let said = if per_user { "public, max-age=60" } else { "max-age=60" };
        world.origin(move |asked| {
            Reply::cached(asked.field("x-api-key").unwrap_or("nobody").to_owned(), said)
        });
        world.fault(Helper::Kv, Fault::Fails);
        assert_eq!(world.get("/x").field("x-api-key", "alice").run().text(), "alice");
        assert_eq!(world.get("/y").field("x-api-key", "the origin's own").run().text(), "the origin's own");
        for path in ["/x", "/y"] {
            assert_eq!(world.get(path).run().text(), "nobody", "{per_user}");
        }
    }
}

#[test]
fn where_each_user_has_responses_of_its_own_an_unknown_credential_gets_none_of_them() {
    let world = cached("key = { per_user = true }");
    world.origin(|asked| {
        Reply::cached(asked.field("authorization").unwrap_or("nobody").to_owned(), "public, max-age=60")
    });
    for who in ["Basic Y2Fyb2w6eA==", "Basic ZGF2ZTp4"] {
        assert_eq!(world.get("/x").field("authorization", who).run().text(), who);
    }
    assert_eq!(world.get("/x").run().text(), "nobody");
    assert_eq!(
        world.get("/x").field("authorization", "Basic Y2Fyb2w6eA==").run().cache(),
        "fwd=bypass; fwd-status=200"
    );
}
