//! The deny and the allow list.

use serde_json::Value;

use crate::sim::{Answer, Fault, Helper, Reply, World, ms, secs};

const SITE: &str = r#"
[origins.default]
url = "http://origin.example"
[limits]
deny = ["198.51.100.0/24"]
allow = ["198.51.100.7"]
[limits.policies.few]
quota = "2/1m"
partition = "address"
[[routes]]
name = "all"
limits = ["few"]
cache = { ttl = "1h" }
"#;

/// After how long a change holds everywhere: a second, KV's lag, and `fleet.refresh`.
const EVERYWHERE_SECS: u64 = 66;

fn world(colos: usize) -> World {
    let world = World::fleet(3, colos).config(SITE).var("TIDEGATE_ADMIN_TOKEN", "s3cret");
    world.origin(|_| Reply::ok("x"));
    world
}

fn admin(world: &World, method: &str, path: &str, body: &str) -> Answer {
    let request = world.request(method, &format!("/_tidegate/admin/lists{path}"));
    let request = request.field("authorization", "Bearer s3cret");
    if body.is_empty() { request.run() } else { request.body(body).run() }
}

fn done(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:#?}");
    serde_json::from_str(answer.text()).unwrap()
}

fn from(world: &World, address: &str) -> u16 {
    world.get("/x").from(address).run().status
}

#[test]
fn a_denied_network_is_refused_what_memory_has_too_and_an_allowed_address_of_it_is_not_limited() {
    let world = world(1);
    assert_eq!(from(&world, "192.0.2.1"), 200);
    let refused = world.get("/x").from("198.51.100.1").run();
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("the client is on the deny list"), "{refused:#?}");
    assert_eq!(
        refused.field("proxy-status").unwrap(),
        "tidegate; error=http_request_denied; details=\"deny list\""
    );
    assert_eq!(refused.field("ratelimit"), None);
    for _ in 0..5 {
        let allowed = world.get("/x").from("198.51.100.7").run();
        assert_eq!((allowed.status, allowed.field("ratelimit")), (200, None));
    }
    assert_eq!((from(&world, "192.0.2.1"), from(&world, "192.0.2.1")), (200, 429));
    world.pass(secs(2));
    assert_eq!(world.metric("tidegate_refusals_total", &[("policy", "deny"), ("reason", "abuse")]), 1);
}

#[test]
fn who_is_put_on_a_list_is_denied_here_at_once_and_everywhere_soon_until_taken_off() {
    let world = world(2);
    let at = |colo| world.get("/x").from("2001:db8::5").at(colo, 0).run().status;
    assert_eq!((at(0), at(1)), (200, 200));
    let told = done(&admin(&world, "POST", "/deny", r#"{"address":"2001:db8::/32","note":"scans"}"#));
    assert_eq!((told["list"].as_str(), told["address"].as_str()), (Some("deny"), Some("2001:db8::/32")));
    assert_eq!(at(0), 403);
    // What an isolate reads in the background holds for what comes after it.
    for _ in 0..EVERYWHERE_SECS {
        at(1);
        world.pass(secs(1));
    }
    assert_eq!(at(1), 403);
    assert_eq!(
        world.get("/x").from("2001:db8::6").at(1, 1).run().status,
        403,
        "an isolate that is new knows it, too"
    );
    let shown = done(&admin(&world, "GET", "", ""));
    assert_eq!(shown["deny"][1]["address"], "2001:db8::/32");
    assert_eq!(shown["deny"][0]["from"], "config");
    done(&admin(&world, "DELETE", "/deny?address=2001:db8::/32", ""));
    assert_ne!(at(0), 403);
    world.pass(secs(EVERYWHERE_SECS));
    assert_ne!(at(1), 403, "one that was idle looks first, where it knew of somebody");
}

#[test]
fn a_key_is_denied_and_allowed_by_its_id_and_for_a_time() {
    let world = world(1);
    world.api_key("good", r#"{"tier":"free","subject":"a"}"#);
    world.api_key("bad", r#"{"tier":"free","subject":"b"}"#);
    let with = |key: &str| world.get("/x").from("192.0.2.1").field("x-api-key", key).run().status;
    let id = |key: &str| {
        use sha2::{Digest, Sha256};
        Sha256::digest(key).iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    done(&admin(&world, "POST", "/deny", &format!(r#"{{"key":"{}","until":"1h"}}"#, id("bad"))));
    done(&admin(&world, "POST", "/allow", &format!(r#"{{"key":"{}"}}"#, id("good"))));
    assert_eq!([with("bad"), with("good"), with("good"), with("good")], [403, 200, 200, 200]);
    assert_eq!([with("x"), with("x"), with("x")], [200, 200, 429]);
    world.pass(secs(3600));
    assert_eq!(with("bad"), 200);
    done(&admin(&world, "DELETE", &format!("/allow?key={}", id("good")), ""));
    assert_eq!([with("good"), with("good")], [200, 429]);
}

#[test]
fn who_is_not_listed_under_this_name_can_not_be_taken_off_and_it_is_said_what_names_them() {
    let world = world(1);
    done(&admin(&world, "POST", "/deny", r#"{"key":"3f2a9c1b"}"#));
    done(&admin(&world, "POST", "/deny", r#"{"address":"192.0.2.0/24"}"#));
    let whole = "3f2a9c1b".repeat(8);
    for (query, detail) in [
        (
            format!("key={whole}"),
            format!("`key:{whole}` is not on the deny list, but as part of `key:3f2a9c1b`"),
        ),
        (
            "address=192.0.2.7".into(),
            "`192.0.2.7` is not on the deny list, but as part of `192.0.2.0/24`".into(),
        ),
        (
            "address=198.51.100.0/24".into(),
            "`198.51.100.0/24` is on the deny list of the config; allowed: another config".into(),
        ),
        ("address=203.0.113.1".into(), "`203.0.113.1` is not on the deny list".into()),
    ] {
        let answer = admin(&world, "DELETE", &format!("/deny?{query}"), "");
        let told: Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!((answer.status, told["detail"].as_str()), (404, Some(&*detail)));
    }
    assert_eq!(admin(&world, "DELETE", "/allow?address=192.0.2.0/24", "").status, 404);
    assert_eq!(from(&world, "192.0.2.7"), 403);
    done(&admin(&world, "DELETE", "/deny?key=3f2a9c1b", ""));
    let trail = world.get("/_tidegate/admin/audit").field("authorization", "Bearer s3cret").run();
    assert_eq!(done(&trail).as_array().unwrap().len(), 3, "what was not done is not in the trail");
}

#[test]
fn the_key_of_a_denied_address_is_not_looked_up() {
    let world = world(1);
    let guess = |n: u32| world.get("/x").from("198.51.100.1").field("x-api-key", &format!("guess-{n}")).run();
    guess(0);
    let before = world.counts().key_reads;
    for n in 1..9 {
        assert_eq!(guess(n).status, 403);
    }
    assert_eq!(world.counts().key_reads, before);
}

#[test]
fn what_is_done_is_in_the_audit_trail_and_what_is_wrong_is_said() {
    let world = world(1);
    done(&admin(&world, "POST", "/deny", r#"{"address":"192.0.2.0/24","note":"a \"note\"\nof two lines"}"#));
    done(&admin(&world, "DELETE", "/deny?address=192.0.2.0/24", ""));
    let trail = world.get("/_tidegate/admin/audit").field("authorization", "Bearer s3cret").run();
    let trail = done(&trail);
    assert_eq!(trail[0]["listed"]["list"], "not-deny");
    assert_eq!(trail[1]["listed"]["address"], "192.0.2.0/24");
    assert_eq!(trail[1]["listed"]["note"], "a \"note\"\nof two lines");
    assert!(trail[1]["by"]["token"].is_string());
    for (method, path, body, status) in [
        ("POST", "/deny", "{}", 400),
        ("POST", "/deny", r#"{"address":"x"}"#, 400),
        ("DELETE", "/deny", "", 400),
        ("POST", "", "{}", 405),
        ("GET", "/deny", "", 405),
        ("POST", "/other", "{}", 404),
    ] {
        assert_eq!(admin(&world, method, path, body).status, status, "{method} {path} {body}");
    }
}

#[test]
fn where_the_fleet_is_away_what_is_known_holds_and_nothing_is_changed() {
    let world = world(1);
    done(&admin(&world, "POST", "/deny", r#"{"address":"192.0.2.0/24"}"#));
    world.fault(Helper::Fleet, Fault::Fails);
    world.fault(Helper::Kv, Fault::Hangs);
    assert_eq!(admin(&world, "POST", "/deny", r#"{"address":"203.0.113.1"}"#).status, 503);
    world.pass(secs(600));
    assert_eq!((from(&world, "192.0.2.1"), from(&world, "203.0.113.1")), (403, 200));
    let start = world.now();
    let other = world.get("/y").from("203.0.113.2").at(0, 1).run();
    assert_eq!(other.status, 200, "an isolate that never heard of it goes on");
    assert!(world.now().since(start) <= ms(600), "and waits no longer than for a look-up");
}
