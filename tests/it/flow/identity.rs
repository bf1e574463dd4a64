//! Who asks.

use super::{PLAIN, cached, token};
use crate::sim::{Answer, Fault, Helper, Reply, World, secs};

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

/// Alice and Bob by their tokens, Alice's key, and an origin that goes by whatever it sees.
fn users() -> World {
    let jwt = "[identity.jwt]\nalgorithm = \"HS256\"\nsecret_binding = \"S\"\n";
    let world = World::new(1).config(&format!("{PLAIN}cache = {{ key = {{ per_user = true }} }}\n{jwt}"));
    world.api_key("alices", r#"{"subject":"alice"}"#);
    world.origin(|asked| {
        let seen = ["cookie", "authorization", "x-api-key"].map(|name| asked.field(name).unwrap_or("-"));
        let said = if asked.path().starts_with("/public") { "public" } else { "private" };
        Reply::cached(seen.join(" "), &format!("{said}, max-age=60"))
    });
    world
}

fn shown(world: &World, path: &str, fields: &[(&str, &str)]) -> Answer {
    fields.iter().fold(world.get(path), |request, (name, value)| request.field(name, value)).run()
}

#[test]
fn what_is_stored_for_a_user_is_not_reused_where_he_shows_more_than_that() {
    let (alice, bob) = (token("alice"), token("bob"));
    let by_token = ("authorization", &*alice);
    let by_key = ("x-api-key", "alices");
    for (alone, more) in [(by_token, ("cookie", "sid=carol")), (by_key, ("authorization", &*bob))] {
        let world = users();
        assert!(!shown(&world, "/x", &[alone]).is_hit());
        for _ in 0..2 {
            let answer = shown(&world, "/x", &[alone, more]);
            assert!(!answer.is_hit() && answer.text().contains(more.1), "{answer:#?}");
        }
        assert!(shown(&world, "/x", &[alone]).is_hit(), "his own is still there");
        shown(&world, "/public", &[alone, more]);
        assert!(shown(&world, "/public", &[alone, more]).is_hit());
    }
}

#[test]
fn a_key_and_a_token_of_the_same_name_are_two_users() {
    let (world, alice) = (users(), token("alice"));
    shown(&world, "/x", &[("authorization", &alice)]);
    let answer = shown(&world, "/x", &[("x-api-key", "alices")]);
    assert!(!answer.is_hit() && answer.text() == "- - alices", "{answer:#?}");
}

#[test]
fn a_write_makes_invalid_what_its_user_got_with_more_and_with_less() {
    let (world, alice) = (users(), token("alice"));
    let (alone, with) = ([("authorization", &*alice)], [("authorization", &*alice), ("cookie", "a=b")]);
    for fields in [&alone[..], &with] {
        let stored = || [&alone[..], &with].map(|fields| shown(&world, "/public", fields).is_hit());
        stored();
        assert_eq!(stored(), [true, true]);
        let write = fields.iter().fold(world.request("POST", "/public"), |r, (n, v)| r.field(n, v));
        write.run();
        assert_eq!(stored(), [false, false]);
    }
}
