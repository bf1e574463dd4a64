//! Limits, looked at and reset while the gate runs.

use serde_json::Value;

use crate::sim::{Answer, Fault, Helper, World, secs};

const SITE: &str = r#"
[origins.default]
url = "http://origin.example"
[limits.policies.tier]
tiers = { anonymous = "5/1m", free = "10/1m", pro = "100/1m", enterprise = "unlimited" }
[limits.policies.tenant]
quota = "50/1h"
partition = ["header:x-tenant", "route"]
[limits.policies.trial]
quota = "2/1m"
shadow = true
[[routes]]
name = "api"
match = { path = "/api/*" }
limits = ["tier", "trial"]
[[routes]]
name = "tenants"
match = { path = "/tenants/*" }
limits = ["tenant"]
"#;

fn world() -> World {
    World::new(1).config(SITE).var("TIDEGATE_ADMIN_TOKEN", "s3cret")
}

fn admin(world: &World, method: &str, path: &str) -> Answer {
    let request = world.request(method, &format!("/_tidegate/admin/rate-limits{path}"));
    request.field("authorization", "Bearer s3cret").run()
}

fn told(world: &World, method: &str, path: &str) -> Value {
    let answer = admin(world, method, path);
    assert_eq!(answer.status, 200, "{answer:#?}");
    serde_json::from_str(answer.text()).unwrap()
}

/// What is left under each policy of what a query names.
fn left(shown: &Value) -> Vec<(&str, u64)> {
    let partitions = shown["partitions"].as_array().unwrap().iter();
    partitions.map(|one| (one["policy"].as_str().unwrap(), one["remaining"].as_u64().unwrap())).collect()
}

#[test]
fn the_statistics_tell_what_became_of_each_policy_for_each_tier() {
    let world = world();
    world.api_key("key", r#"{"tier":"pro","subject":"acme"}"#);
    for _ in 0..8 {
        world.get("/api/x").run();
    }
    world.get("/api/x").field("x-api-key", "key").run();
    world.pass(secs(2));
    let stats = told(&world, "GET", "/stats");
    let of = |policy: &str, tier: &str, what: &str| {
        let all = stats["policies"].as_array().unwrap();
        let one = all.iter().find(|one| one["policy"] == policy && one["tier"] == tier).unwrap();
        one[what].as_u64().unwrap()
    };
    for (policy, tier, what, n) in [
        ("tier", "anonymous", "admitted", 5),
        ("tier", "anonymous", "refused", 3),
        ("tier", "anonymous", "degraded", 0),
        ("tier", "anonymous", "called", 6),
        ("tier", "anonymous", "calls-saved", 2),
        ("tier", "pro", "admitted", 1),
        ("trial", "anonymous", "admitted", 2),
        ("trial", "anonymous", "would-refuse", 4),
        ("trial", "anonymous", "refused", 0),
    ] {
        assert_eq!(of(policy, tier, what), n, "{policy} {tier} {what}: {stats:#}");
    }
    let partitions = stats["partitions"].as_array().unwrap();
    assert_eq!((&partitions[0]["requests"], &partitions[0]["refused"]), (&8.into(), &3.into()), "{stats:#}");
    assert_eq!(partitions.len(), 2);
    let hash = partitions[0]["partition"].as_str().unwrap();
    let shown = told(&world, "GET", &format!("/partition?partition={hash}&policy=tier"));
    assert_eq!(left(&shown), [("tier", 0)], "the busiest partition, by its hash");
    let labels = [("policy", "tier"), ("tier", "anonymous"), ("what", "refused")];
    assert_eq!(world.metric("tidegate_limit_checks_total", &labels), 3);

    world.fault(Helper::Limiter, Fault::Fails);
    world.get("/api/x").from("192.0.2.9").run();
    let degraded = [("policy", "tier"), ("what", "degraded")];
    assert_eq!(world.metric("tidegate_limit_checks_total", &degraded), 1);
}

#[test]
fn one_partition_is_looked_up_by_what_makes_it_and_reset() {
    let world = world();
    world.api_key("key", r#"{"tier":"pro","subject":"acme"}"#);
    let id = world.shared().api_keys.borrow().keys().next().unwrap().clone();
    for _ in 0..6 {
        world.get("/api/x").run();
    }
    world.get("/api/x").field("x-api-key", "key").run();
    world.get("/tenants/1").field("x-tenant", "blue").run();
    assert_eq!(
        left(&told(&world, "GET", "/partition?address=192.0.2.1")),
        [("tenant", 50), ("tier", 0), ("trial", 0)]
    );
    for (query, policy, remaining) in [
        ("policy=tier&address=192.0.2.1", "tier", 0),
        ("policy=tier&address=192.0.2.2", "tier", 5),
        ("policy=tier&subject=acme&tier=pro", "tier", 99),
        ("policy=tier&subject=acme", "tier", 9),
        (&format!("policy=tier&key={id}"), "tier", 99),
        ("route=tenants&header:X-Tenant=blue", "tenant", 49),
        ("route=tenants&header:x-tenant=red", "tenant", 50),
    ] {
        let shown = told(&world, "GET", &format!("/partition?{query}"));
        assert_eq!(left(&shown), [(policy, remaining)], "{query}");
    }
    assert_eq!(world.get("/api/x").run().status, 429);
    let reset = told(&world, "DELETE", "/partition?policy=tier&address=192.0.2.1");
    assert_eq!((&reset["reset"], left(&reset)), (&true.into(), vec![("tier", 5)]));
    assert_eq!(world.get("/api/x").run().status, 200, "at once");
}

#[test]
fn the_policies_are_listed_with_what_each_tier_may_take() {
    let world = world();
    world.get("/api/x").run();
    world.pass(secs(2));
    let list = told(&world, "GET", "");
    let policies = list["policies"].as_array().unwrap();
    assert_eq!(policies.len(), 3);
    let tier = policies.iter().find(|one| one["policy"] == "tier").unwrap();
    assert_eq!((&tier["quotas"]["anonymous"], &tier["quotas"]["enterprise"]), (&"5/1m".into(), &Value::Null));
    assert_eq!((&tier["partition"][0], &tier["routes"][0]), (&"client".into(), &"api".into()));
    assert_eq!(list["stats"]["policies"][0]["admitted"], 1);
    world.fault(Helper::Metrics, Fault::Fails);
    assert_eq!(told(&world, "GET", "")["stats"], Value::Null);
}

#[test]
fn what_can_not_be_looked_up_is_said() {
    let world = world();
    for (query, said) in [
        ("policy=nothing", "there is no policy `nothing`"),
        ("route=nothing", "there is no route `nothing`"),
        ("address=here", "`address` can't be read"),
        ("key=0000", "`key` is no key's id: unknown-api-key"),
        ("partition=short", "`partition` can't be read"),
        ("nonsense=1", "`nonsense` can't be read"),
    ] {
        let answer = admin(&world, "GET", &format!("/partition?{query}"));
        assert!(answer.status == 400 && answer.text().contains(said), "{query}: {answer:#?}");
    }
    world.fault(Helper::Limiter, Fault::Fails);
    for method in ["GET", "DELETE"] {
        assert_eq!(admin(&world, method, "/partition?address=192.0.2.1").status, 503);
    }
    assert_eq!(world.get("/_tidegate/admin/rate-limits").run().status, 401);
}
