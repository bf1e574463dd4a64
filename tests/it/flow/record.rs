//! What is counted is what happened.

use super::PLAIN;
use crate::sim::{Fault, Helper, Reply, World, ms, secs};

const ANSWERED: &str = "tidegate_request_duration_seconds_count";

#[test]
fn each_answer_is_counted_by_who_made_it() {
    let world = World::new(1).config(&format!("{PLAIN}cache = {{ kv_admission = \"always\" }}\n"));
    world.replies([
        Reply::cached("hello", "max-age=10, stale-while-revalidate=10, stale-if-error=600")
            .field("etag", "\"a\""),
        Reply::new(304, "").after(ms(10)),
        Reply::new(503, "down"),
    ]);
    world.get("/x").run();
    world.get("/x").run();
    world.get("/x").at(0, 1).run();
    world.pass(secs(12));
    world.get("/x").run();
    world.pass(secs(30));
    world.get("/x").run();
    for (by, count) in [
        ("origin", 1),
        ("memory", 1),
        ("colo", 1),
        ("stale-while-revalidate", 1),
        ("stale-if-error", 1),
        ("error", 0),
    ] {
        assert_eq!(world.metric(ANSWERED, &[("answered_by", by)]), count, "{by}");
    }
    assert_eq!(world.metric("tidegate_requests_total", &[("route", "all"), ("status", "2xx")]), 5);
    assert_eq!(world.metric("tidegate_cache_forwards_total", &[("reason", "uri-miss")]), 1);
    assert_eq!(world.metric("tidegate_cache_forwards_total", &[("reason", "stale")]), 1);
}

#[test]
fn counters_leave_the_isolate_at_most_once_a_second() {
    let world = World::new(1).config(PLAIN);
    for _ in 0..100 {
        world.get("/x").run();
        world.pass(ms(100));
    }
    assert!((9..=12).contains(&world.counts().metrics), "{}", world.counts().metrics);
    assert_eq!(world.metric("tidegate_requests_total", &[]), 100);
}

#[test]
fn counters_that_could_not_be_handed_over_go_with_the_next() {
    let world = World::new(1).config(PLAIN);
    world.fault(Helper::Metrics, Fault::Fails);
    world.get("/x").run();
    world.pass(secs(3));
    world.fault(Helper::Metrics, Fault::None);
    world.get("/x").run();
    assert_eq!(world.metric("tidegate_requests_total", &[]), 2);
    assert!(world.log().iter().any(|line| line.contains("metrics-unreachable")));
}

#[test]
fn a_metrics_object_that_hangs_does_not_end_the_counting() {
    let world = World::new(1).config(PLAIN);
    world.fault(Helper::Metrics, Fault::Hangs);
    world.get("/x").run();
    world.pass(secs(60));
    world.fault(Helper::Metrics, Fault::None);
    world.get("/x").run();
    world.pass(secs(60));
    assert_eq!(world.metric("tidegate_requests_total", &[]), 2);
}

#[test]
fn how_long_it_took_is_what_the_client_waited() {
    let world = World::new(1).config(PLAIN);
    world.origin(|_| Reply::ok("hello").after(ms(1500)).takes(secs(5)));
    world.get("/x").run();
    let within = |le: &str| {
        world.metric("tidegate_request_duration_seconds_bucket", &[("answered_by", "origin"), ("le", le)])
    };
    assert_eq!((within("0.8"), within("1.6")), (0, 1));
}

#[test]
fn a_background_refresh_is_not_a_request() {
    let world = World::new(1).config(PLAIN);
    world.origin(|_| Reply::cached("hello", "max-age=10, stale-while-revalidate=60"));
    world.get("/x").run();
    world.pass(secs(20));
    world.get("/x").run();
    assert_eq!(world.metric("tidegate_requests_total", &[]), 2);
}

#[test]
fn what_goes_wrong_after_an_answer_is_handed_over_without_another_request() {
    let world = World::new(1).config(&format!("{PLAIN}cache = {{ kv_admission = \"always\" }}\n"));
    world.origin(|_| Reply::cached("hello", "max-age=600"));
    world.fault(Helper::Kv, Fault::Fails);
    world.get("/x").run();
    world.pass(secs(60));
    world.tick(0, 0);
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "store-failed")]), 1);
}

#[test]
fn where_no_page_watches_counters_leave_seldom_and_what_went_wrong_leaves_soon() {
    let world = World::new(1).config(PLAIN);
    world.watch(false);
    for _ in 0..300 {
        world.get("/x").run();
        world.pass(ms(100));
    }
    assert!((3..=5).contains(&world.counts().metrics), "{}", world.counts().metrics);
    let before = world.counts().metrics;
    world.replies([Reply::new(503, "down")]);
    world.get("/x").run();
    world.pass(secs(2));
    assert_eq!(world.counts().metrics, before + 1);
}
