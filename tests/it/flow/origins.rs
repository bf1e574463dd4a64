//! Origins that fail.

use tidegate::origin::FetchError;

use super::plain;
use crate::sim::{Reply, World, ms, secs};

const TWO: &str = r#"
[origins.default]
endpoints = [
  { name = "a", url = "http://a.example", priority = 0 },
  { name = "b", url = "http://b.example", priority = 1 },
]
attempt_timeout = "2s"
total_timeout = "10s"
[origins.default.breaker]
failures = 3
ejection = "10s"
[[routes]]
name = "all"
[[routes]]
name = "static"
match = { path = "/static" }
static_fallback = { status = 200, content_type = "text/html", body = "back soon" }
"#;

/// Endpoint a answers like this, b with 200.
fn two(a: Reply) -> World {
    let world = World::new(1).config(TWO);
    world.origin(move |asked| if asked.host() == "a.example" { a.clone() } else { Reply::ok("from b") });
    world
}

#[test]
fn another_endpoint_answers_when_the_first_one_fails() {
    for failure in [
        Reply::new(503, "down"),
        Reply::fails(FetchError::Connect),
        Reply::fails(FetchError::ConnectionLost),
        Reply::ok("late").after(secs(60)),
    ] {
        let world = two(failure);
        let answer = world.get("/x").run();
        assert_eq!((answer.status, answer.text()), (200, "from b"));
        assert_eq!(world.metric("tidegate_failovers_total", &[]), 1);
        assert_eq!(world.metric("tidegate_origin_attempts_total", &[]), 2);
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn an_endpoint_that_keeps_failing_is_left_alone_and_health_says_so() {
    let world = two(Reply::fails(FetchError::ConnectionLost));
    for nth in 0..10 {
        assert_eq!(world.get(&format!("/{nth}")).run().status, 200);
    }
    let to_a = world.asked().iter().filter(|asked| asked.host() == "a.example").count();
    assert_eq!(to_a, 3);
    world.pass(secs(2));
    let health = world.get("/_tidegate/health").run();
    assert!(
        health.status == 200 && health.text().contains("\"degraded\"") && health.text().contains("breaker"),
        "{}",
        health.text()
    );
    world.pass(secs(10));
    world.origin(|asked| Reply::ok(format!("from {}", asked.host())));
    assert_eq!(world.get("/again").run().text(), "from a.example", "it gets one request to prove itself");
}

#[test]
fn a_write_is_sent_twice_only_where_that_does_no_harm() {
    use FetchError::{Connect, ConnectionLost};
    for (method, body, failure, sent) in [
        ("POST", Some("a=1"), ConnectionLost, 1),
        ("POST", None, ConnectionLost, 1),
        ("POST", None, Connect, 2),
        ("PUT", Some("a=1"), ConnectionLost, 2),
        ("DELETE", None, ConnectionLost, 2),
        ("PATCH", Some("a=1"), ConnectionLost, 1),
    ] {
        let world = two(Reply::fails(failure));
        let request = world.request(method, "/x");
        let answer = if let Some(body) = body { request.body(body) } else { request }.run();
        assert_eq!(
            (answer.status, world.counts().origin),
            (if sent == 1 { 502 } else { 200 }, sent),
            "{method}"
        );
        assert!(world.asked().iter().all(|asked| asked.body == body.unwrap_or_default()));
    }
}

#[test]
fn when_all_are_dead_a_problem_document_says_what_happened() {
    let world = World::new(1).config(TWO);
    world.replies([Reply::fails(FetchError::ConnectionLost)]);
    let answer = world.get("/x").run();
    assert_eq!(
        (answer.status, answer.field("content-type").as_deref()),
        (502, Some("application/problem+json"))
    );
    let proxy = answer.field("proxy-status").unwrap();
    assert!(proxy.starts_with("tidegate; error=connection_terminated; next-hop="), "{proxy}");
    let problem: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(problem["status"], 502);
    assert_eq!(answer.field("cache-status").as_deref(), Some("tidegate; fwd=uri-miss"));
    assert_eq!(world.metric("tidegate_request_duration_seconds_count", &[("answered_by", "error")]), 1);
}

#[test]
fn an_origin_that_is_slow_is_504_within_the_deadline() {
    let world = World::new(1).config(TWO);
    world.replies([Reply::ok("late").after(secs(60))]);
    let before = world.now();
    let answer = world.get("/x").run();
    assert_eq!(answer.status, 504);
    assert!(answer.at.since(before) <= secs(10));
    assert!(answer.field("proxy-status").unwrap().contains("error=http_response_timeout"));
}

#[test]
fn the_last_response_is_handed_on_when_no_endpoint_has_a_better_one() {
    let world = World::new(1).config(TWO);
    world.replies([Reply::new(503, "maintenance").field("retry-after", "1")]);
    let answer = world.get("/x").run();
    assert_eq!((answer.status, answer.text(), world.leaks()), (503, "maintenance", 0));
}

#[test]
fn a_static_fallback_answers_when_nobody_else_can() {
    let world = World::new(1).config(TWO);
    world.replies([Reply::new(503, "down")]);
    let answer = world.get("/static").run();
    assert_eq!((answer.status, answer.text()), (200, "back soon"));
    assert_eq!(answer.field("content-type").as_deref(), Some("text/html"));
    assert_eq!(answer.field("cache-control").as_deref(), Some("no-store"));
    assert!(answer.field("proxy-status").unwrap().contains("received-status=503"));
    assert_eq!(world.metric("tidegate_request_duration_seconds_count", &[("answered_by", "static")]), 1);
    assert_eq!(world.leaks(), 0);
}

#[test]
fn another_pool_answers_when_the_first_one_gives_up() {
    let world = World::new(1).config(
        "[origins.default]\nurl = \"http://one.example\"\nfallback = [\"second\"]\n[origins.second]\nurl = \"http://two.example\"\n",
    );
    world.origin(
        |asked| if asked.host() == "one.example" { Reply::new(503, "down") } else { Reply::ok("two") },
    );
    let answer = world.get("/x").run();
    assert_eq!((answer.status, answer.text(), world.leaks()), (200, "two", 0));
}

#[test]
fn a_request_that_comes_back_is_answered_502() {
    let world = plain([Reply::ok("hello")]);
    let answer = world.get("/x").field("cdn-loop", "other, tidegate").run();
    assert_eq!((answer.status, world.counts().origin), (502, 0));
    assert!(answer.field("proxy-status").unwrap().contains("proxy_loop_detected"));
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "loop-detected")]), 1);
}

#[test]
fn max_forwards_counts_down_and_ends_here() {
    for (method, sent, status, passed_on) in [
        ("OPTIONS", "0", 204, None),
        ("TRACE", "0", 405, None),
        ("OPTIONS", "1", 200, Some("0")),
        ("TRACE", "7", 200, Some("6")),
        ("OPTIONS", "x", 200, Some("x")),
        ("GET", "0", 200, Some("0")),
    ] {
        let world = plain([Reply::ok("hello")]);
        let answer = world.request(method, "/x").field("max-forwards", sent).run();
        assert_eq!(answer.status, status, "{method} {sent}");
        let asked = world.asked();
        let asked = asked.first().map(|asked| asked.field("max-forwards").unwrap());
        assert_eq!(asked, passed_on, "{method} {sent}");
    }
}

#[test]
fn what_passes_is_passed_on_as_it_is() {
    let world = plain([]);
    world.origin(|_| {
        Reply::new(418, "tea")
            .field("set-cookie", "a=1")
            .field("set-cookie", "b=2")
            .field("x-own", "1")
            .field("connection", "x-hop")
            .field("x-hop", "1")
    });
    let answer = world
        .request("PATCH", "/a%20b?q=1&q=2")
        .body("patch")
        .field("x-custom", "yes")
        .field("connection", "x-secret")
        .field("x-secret", "1")
        .run();
    assert_eq!((answer.status, answer.text()), (418, "tea"));
    assert_eq!(answer.fields.get_all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!((answer.field("x-own").as_deref(), answer.field("x-hop")), (Some("1"), None));
    let asked = world.asked_last();
    assert_eq!((asked.method(), asked.path(), asked.body.as_str()), ("PATCH", "/a%20b?q=1&q=2", "patch"));
    assert_eq!((asked.field("x-custom"), asked.field("x-secret")), (Some("yes"), None));
    for name in ["via", "forwarded", "cdn-loop", "traceparent", "x-request-id", "x-forwarded-for"] {
        assert!(asked.field(name).is_some(), "{name}");
    }
    assert_eq!(asked.field("x-request-id"), answer.field("x-request-id").as_deref());
}

#[test]
fn what_a_client_says_of_its_address_is_not_believed() {
    let world = plain([Reply::ok("hello")]);
    world.get("/x").field("x-forwarded-for", "203.0.113.9").field("forwarded", "for=203.0.113.9").run();
    let asked = world.asked_last();
    assert_eq!(asked.field("x-forwarded-for"), Some("192.0.2.1"));
    assert!(!asked.field("forwarded").unwrap().contains("203.0.113.9"));
}

#[test]
fn a_background_refresh_that_fails_leaves_the_stale_response_where_it_is() {
    let world = plain([
        Reply::cached("old", "max-age=10, stale-while-revalidate=600"),
        Reply::new(503, "down"),
        Reply::new(503, "down"),
        Reply::new(503, "down"),
        Reply::new(503, "down"),
    ]);
    world.get("/x").run();
    for _ in 0..3 {
        world.pass(secs(70));
        assert_eq!(world.get("/x").run().text(), "old");
        world.pass(ms(4000));
    }
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_body_that_does_not_say_how_long_it_is_goes_to_another_endpoint_too_while_it_can_be_kept() {
    for (method, bytes, expected) in
        [("PUT", 65_536, (200, 2)), ("PUT", 65_537, (503, 1)), ("POST", 10, (503, 1))]
    {
        let world = two(Reply::new(503, "down"));
        let body = "x".repeat(bytes);
        let answer = world.request(method, "/x").streamed(&body).run();
        assert_eq!((answer.status, world.asked().len()), expected, "{method} {bytes}");
        assert!(world.asked().iter().all(|asked| asked.body == body), "it arrives whole");
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn how_long_a_client_sends_is_not_how_slow_an_endpoint_is() {
    let world = World::new(1).config(&TWO.replace("failures = 3", "latency = \"p95 > 800ms\""));
    world.origin(|asked| Reply::ok(asked.host()));
    for nth in 0..60 {
        let answer = world.request("POST", &format!("/{nth}")).uploads("x", secs(60)).run();
        assert_eq!((answer.status, answer.text()), (200, "a.example"));
    }
    assert_eq!(world.get("/x").run().text(), "a.example");
}
