//! tidegate's own endpoints.

use super::PLAIN;
use crate::sim::{Fault, Helper, World, secs};

#[test]
fn own_endpoints_are_not_counted_and_no_origin_sees_them() {
    let world = World::new(1).config(PLAIN);
    for path in [
        "/_tidegate",
        "/_tidegate/",
        "/_tidegate/health",
        "/_tidegate/metrics",
        "/_tidegate/metrics.json",
        "/_tidegate/live",
        "/_tidegate/nothing",
    ] {
        world.get(path).run();
    }
    assert_eq!(world.metric("tidegate_requests_total", &[]), 0);
    assert_eq!((world.counts().origin, world.leaks()), (0, 0));
    world.get("/x").run();
    assert_eq!(world.metric("tidegate_requests_total", &[]), 1);
}

#[test]
fn an_origins_own_health_is_untouched() {
    let world = World::new(1).config(PLAIN);
    assert_eq!(world.get("/api/health").run().text(), "hello");
}

#[test]
fn the_admin_token_opens_and_without_one_there_is_no_door() {
    let closed = World::new(1).config(PLAIN);
    assert_eq!(closed.get("/_tidegate/admin/config").field("authorization", "Bearer ").run().status, 404);
    let world = World::new(1).config(PLAIN).var("TIDEGATE_ADMIN_TOKEN", "s3cret");
    let config = |token: &str| world.get("/_tidegate/admin/config").field("authorization", token).run();
    assert_eq!(world.get("/_tidegate/admin/config").run().status, 401);
    assert_eq!(config("Bearer wrong").status, 401);
    let shown = config("Bearer s3cret");
    assert_eq!((shown.status, shown.field("cache-control").as_deref()), (200, Some("no-store")));
    assert!(shown.text().contains("http://origin.example"));
}

#[test]
fn the_page_is_guarded_and_what_is_not_there_is_404() {
    let world = World::new(1).config(PLAIN);
    let page = world.get("/_tidegate/").run();
    assert_eq!((page.status, page.text()), (200, "<!doctype html>"));
    assert!(page.field("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!(world.get("/_tidegate").run().field("location").as_deref(), Some("/_tidegate/"));
    assert_eq!(world.get("/_tidegate/none.js").run().status, 404);
    assert_eq!(world.request("POST", "/_tidegate/health").run().status, 405);
}

#[test]
fn metrics_that_do_not_answer_are_503_and_health_is_degraded() {
    let world = World::new(1).config(PLAIN);
    world.fault(Helper::Metrics, Fault::Hangs);
    let before = world.now();
    let health = world.get("/_tidegate/health").run();
    assert!(health.at.since(before) <= secs(2));
    assert_eq!(health.status, 200, "a load balancer is to leave it in: it answers");
    let said: serde_json::Value = serde_json::from_str(health.text()).unwrap();
    assert_eq!(
        (&said["status"], &said["reasons"][0]["code"]),
        (&"degraded".into(), &"metrics-unreachable".into())
    );
    let metrics = world.get("/_tidegate/metrics").run();
    assert_eq!((metrics.status, metrics.field("retry-after").as_deref()), (503, Some("1")));
}

#[test]
fn what_an_origin_may_read_as_one_of_them_does_not_go_to_it() {
    let world = World::new(1).config(PLAIN).var("TIDEGATE_ADMIN_TOKEN", "s3cret");
    for path in [
        "//_tidegate/admin/config",
        "///_tidegate",
        "/%5Ftidegate/admin/config",
        "/x/..;/_tidegate/admin/config",
        "/_tidegate;x=1/admin/config",
    ] {
        let answer = world.get(path).field("authorization", "Bearer s3cret").run();
        assert_eq!((answer.status, world.counts().origin), (404, 0), "{path}");
    }
    for path in ["/_Tidegate/x", "//_tidegatex", "/x//_tidegate"] {
        assert_eq!(world.get(path).run().text(), "hello", "{path}");
    }
}
