//! API keys, made and changed at run time.

use serde_json::Value;

use crate::sim::{Answer, Fault, Helper, World, secs};

const SITE: &str = r#"
[origins.default]
url = "http://origin.example"
[limits.policies.tier]
tiers = { anonymous = "20/1m", free = "100/1m", pro = "1000/1m", enterprise = "10000/1m" }
[[routes]]
name = "all"
limits = ["tier"]
"#;

fn world() -> World {
    World::fleet(1, 2).config(SITE).var("TIDEGATE_ADMIN_TOKEN", "s3cret")
}

fn admin(world: &World, method: &str, path: &str, content: &str) -> Answer {
    let request = world.request(method, &format!("/_tidegate/admin/keys{path}"));
    let request = request.field("authorization", "Bearer s3cret");
    if content.is_empty() { request.run() } else { request.body(content).run() }
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(answer.text()).unwrap()
}

/// A new key and its id.
fn made(world: &World, content: &str) -> (String, String) {
    let answer = admin(world, "POST", "", content);
    assert_eq!(answer.status, 201, "{answer:#?}");
    assert_eq!(answer.field("cache-control").as_deref(), Some("no-store"));
    let told = json(&answer);
    (told["key"].as_str().unwrap().to_owned(), told["id"].as_str().unwrap().to_owned())
}

fn tier(world: &World, key: &str, isolate: usize) -> String {
    world.get("/x").field("x-api-key", key).at(isolate, 0).run().field("x-ratelimit-tier").unwrap()
}

#[test]
fn a_key_is_told_once_and_works_at_once() {
    let world = world();
    let (key, id) = made(&world, r#"{"tier":"pro","subject":"acme"}"#);
    assert_eq!(tier(&world, &key, 0), "pro");
    let shown = admin(&world, "GET", &format!("/{id}"), "");
    assert_eq!((shown.status, &json(&shown)["subject"]), (200, &"acme".into()));
    for (id, record) in world.shared().api_keys.borrow().iter() {
        assert!(!id.contains(&key) && !record.contains(&key), "only its hash is kept");
    }
    assert!(!shown.text().contains(&key) && !admin(&world, "GET", "", "").text().contains(&key));
    assert!(world.log().iter().all(|line| !line.contains(&key)), "{:#?}", world.log());
    let (other, _) = made(&world, "");
    assert_ne!(other, key);
    assert_eq!(tier(&world, &other, 0), "free");
}

#[test]
fn a_tier_that_is_changed_holds_here_at_once_and_elsewhere_within_half_a_minute() {
    let world = world();
    let (key, id) = made(&world, r#"{"tier":"free","subject":"acme"}"#);
    assert_eq!((tier(&world, &key, 0), tier(&world, &key, 1)), ("free".into(), "free".into()));
    let changed = admin(&world, "PATCH", &format!("/{}", &id[..8]), r#"{"tier":"enterprise"}"#);
    assert_eq!((changed.status, &json(&changed)["tier"]), (200, &"enterprise".into()), "by its beginning");
    assert_eq!(tier(&world, &key, 0), "enterprise");
    world.pass(secs(30));
    assert_eq!(tier(&world, &key, 1), "enterprise");
}

#[test]
fn a_key_that_is_revoked_or_deleted_is_nobodys() {
    for (method, end, stays) in [("POST", "/revoke", 200), ("DELETE", "", 404)] {
        let world = world();
        let (key, id) = made(&world, r#"{"tier":"pro"}"#);
        assert_eq!(tier(&world, &key, 0), "pro");
        assert_eq!(admin(&world, method, &format!("/{id}{end}"), "").status, 200);
        assert_eq!(tier(&world, &key, 0), "anonymous");
        assert_eq!(admin(&world, "GET", &format!("/{id}"), "").status, stays);
    }
}

#[test]
fn a_key_that_is_rotated_gives_way_now_or_after_its_grace() {
    for (content, after) in [("", "anonymous"), (r#"{"grace":"1h"}"#, "pro")] {
        let world = world();
        let (old, id) = made(&world, r#"{"tier":"pro","subject":"acme"}"#);
        let rotated = admin(&world, "POST", &format!("/{id}/rotate"), content);
        assert_eq!(rotated.status, 201, "{rotated:#?}");
        let new = json(&rotated)["key"].as_str().unwrap().to_owned();
        assert_eq!((tier(&world, &new, 0), tier(&world, &old, 0)), ("pro".into(), after.into()), "{content}");
        world.pass(secs(3601));
        assert_eq!((tier(&world, &new, 0), tier(&world, &old, 0)), ("pro".into(), "anonymous".into()));
        let left = |key: &str| {
            let answer = world.get("/x").field("x-api-key", key).run();
            answer.field("x-ratelimit-remaining").unwrap()
        };
        assert_eq!(left(&new), "998", "its owner is the same");
    }
    let world = world();
    let (_, id) = made(&world, "");
    admin(&world, "POST", &format!("/{id}/revoke"), "");
    assert_eq!(admin(&world, "POST", &format!("/{id}/rotate"), "").status, 409);
}

#[test]
fn a_key_that_was_rotated_or_is_over_has_no_further_one_that_would_end_with_it() {
    let world = world();
    let rotate = |id: &str| admin(&world, "POST", &format!("/{id}/rotate"), r#"{"grace":"1h"}"#);
    let (_, id) = made(&world, r#"{"tier":"pro","not_after":"2h"}"#);
    let next = json(&rotate(&id));
    for wait in [0, 3601] {
        world.pass(secs(wait));
        let refused = rotate(&id);
        assert_eq!(refused.status, 409, "{refused:#?}");
        let successor = next["id"].as_str().unwrap();
        assert!(refused.text().contains(successor) && refused.text().contains("allowed: "), "{refused:#?}");
    }
    assert_eq!(tier(&world, next["key"].as_str().unwrap(), 0), "pro", "it holds as the first would have");
    world.pass(secs(3601));
    assert_eq!(rotate(next["id"].as_str().unwrap()).status, 409, "its own time is over");
    admin(&world, "PATCH", &format!("/{id}"), r#"{"not_after":null}"#);
    let again = rotate(&id);
    assert_eq!(again.status, 201, "one that was brought back can be rotated: {again:#?}");
    assert_eq!(tier(&world, json(&again)["key"].as_str().unwrap(), 0), "pro");
}

#[test]
fn all_keys_are_listed_page_by_page() {
    let world = world();
    world.api_key("by hand", r#"{"tier":"pro","subject":"acme"}"#);
    world.api_key("broken", "x");
    let mut ids = vec![made(&world, "").1, made(&world, "").1, made(&world, "").1];
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = json(&admin(&world, "GET", &format!("?cursor={cursor}"), ""));
        seen.extend(
            page["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["cursor"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    ids.retain(|id| !seen.contains(id));
    assert_eq!((seen.len(), ids.len()), (5, 0));
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let world = world();
    let (_, id) = made(&world, r#"{"subject":"acme"}"#);
    let before = world.shared().api_keys.borrow().clone();
    let nobody = "0".repeat(64);
    for (method, path, content, status) in [
        ("POST", "".to_owned(), r#"{"tier":"gold"}"#, 400),
        ("POST", String::new(), "x", 400),
        ("POST", String::new(), &*"x".repeat(20_000), 413),
        ("PATCH", format!("/{id}"), "", 400),
        ("PATCH", format!("/{id}"), r#"{"tier":"gold"}"#, 400),
        ("POST", format!("/{id}/rotate"), r#"{"grace":"x"}"#, 400),
        ("POST", format!("/{nobody}/rotate"), "", 404),
        ("DELETE", format!("/{nobody}"), "", 404),
        ("DELETE", format!("/{}", &nobody[..8]), "", 404),
        ("GET", "/acme".to_owned(), "", 404),
        ("GET", "/fb09".to_owned(), "", 404),
        ("PUT", format!("/{id}"), "", 405),
    ] {
        let answer = admin(&world, method, &path, content);
        assert_eq!(answer.status, status, "{method} {path} {content}: {answer:#?}");
    }
    let short = admin(&world, "GET", "/fb09", "");
    assert!(
        short.text().contains("allowed: the 64 hex digits of an ID, or the first 8 or more"),
        "{short:#?}"
    );
    assert_eq!(*world.shared().api_keys.borrow(), before);
    assert_eq!(world.request("POST", "/_tidegate/admin/keys").run().status, 401);
    world.fault(Helper::Kv, Fault::Fails);
    assert_eq!(admin(&world, "POST", "", "").status, 503);
}
