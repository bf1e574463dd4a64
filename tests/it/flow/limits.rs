//! Admission.

use tidegate::origin::FetchError;

use crate::sim::{Answer, Fault, Helper, Reply, World, ms, secs};

const LIMITED: &str = r#"
[origins.default]
url = "http://origin.example"
[limits.policies.tier]
tiers = { anonymous = "20/1m", free = "100/1m", pro = "1000/1m", enterprise = "10000/1m" }
[limits.policies.strict]
quota = "5/1m"
on_error = "refuse"
[[routes]]
name = "api"
match = { path = "/api/*" }
limits = ["tier"]
[[routes]]
name = "strict"
match = { path = "/strict" }
limits = ["strict"]
"#;

fn limited() -> World {
    World::new(1).config(LIMITED)
}

fn times(world: &World, requests: usize, path: &str) -> Vec<Answer> {
    (0..requests).map(|_| world.get(path).run()).collect()
}

#[test]
fn the_21st_request_of_a_minute_is_refused_with_all_that_a_client_needs_to_know() {
    let world = limited();
    let admitted = times(&world, 20, "/api/x");
    for (nth, answer) in admitted.iter().enumerate() {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("ratelimit-policy").as_deref(), Some("\"tier\";q=20;w=60"));
        let left = 19 - nth;
        assert!(
            answer.field("ratelimit").unwrap().starts_with(&format!("\"tier\";r={left};t=")),
            "{answer:?}"
        );
        assert_eq!(answer.field("x-ratelimit-remaining"), Some(left.to_string()));
    }
    world.pass(secs(10));
    let refused = world.get("/api/x").run();
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    let reset: u64 = refused.field("x-ratelimit-reset").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait) && reset == world.now().as_secs() + wait, "{refused:#?}");
    for (name, value) in [
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("x-ratelimit-limit", "20"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-policy", "tier"),
        ("x-ratelimit-tier", "anonymous"),
        ("ratelimit-policy", "\"tier\";q=20;w=60"),
        ("proxy-status", "tidegate; error=http_request_denied; details=\"quota tier\""),
    ] {
        assert_eq!(refused.field(name).as_deref(), Some(value), "{name}");
    }
    let problem: serde_json::Value = serde_json::from_str(refused.text()).unwrap();
    assert_eq!((&problem["status"], &problem["violated-policies"][0]), (&429.into(), &"tier".into()));
    assert_eq!(problem["instance"], format!("/requests/{}", refused.field("x-request-id").unwrap()));
    assert_eq!(world.counts().origin, 20);
    world.pass(secs(wait));
    assert_eq!(world.get("/api/x").run().status, 200, "Retry-After is enough");
}

#[test]
fn a_client_that_is_known_to_be_over_costs_no_call() {
    let world = limited();
    times(&world, 21, "/api/x");
    let before = world.counts().limiter;
    for answer in times(&world, 50, "/api/x") {
        assert_eq!(answer.status, 429);
        assert!(answer.field("retry-after").is_some() && answer.field("ratelimit").is_some());
    }
    assert_eq!(world.counts().limiter, before);
    assert_eq!(world.get("/api/x").from("198.51.100.7").run().status, 200, "another client");
}

#[test]
fn the_quota_holds_over_all_isolates() {
    let world = World::fleet(5, 3).config(LIMITED);
    let pending: Vec<_> = (0..60).map(|nth| world.get("/api/x").at(nth % 3, nth % 4).start()).collect();
    let admitted = world.finish_all(&pending).iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted, 20);
}

#[test]
fn a_limiter_that_cannot_be_reached_admits_says_so_and_is_counted() {
    for fault in [Fault::Fails, Fault::Hangs, Fault::Takes(ms(400))] {
        let world = limited();
        world.fault(Helper::Limiter, fault);
        let before = world.now();
        let answer = world.get("/api/x").run();
        assert_eq!(answer.status, 200);
        assert!(answer.field("x-ratelimit-policy").unwrap().contains("degraded"), "{answer:#?}");
        assert!(answer.at.since(before) <= ms(50));
        let unreachable = [("incident", "limiter-unreachable")];
        assert_eq!(world.metric("tidegate_incidents_total", &unreachable), 1);
        assert_eq!(world.metric("tidegate_admissions_total", &[("verdict", "degraded")]), 1);
    }
}

#[test]
fn a_policy_that_says_so_refuses_when_the_limiter_cannot_be_reached() {
    let world = limited();
    world.fault(Helper::Limiter, Fault::Fails);
    let refused = world.get("/strict").run();
    assert_eq!((refused.status, world.counts().origin), (503, 0));
    assert!(refused.field("retry-after").is_some());
    let refusals = [("reason", "limiter-unreachable")];
    assert_eq!(world.metric("tidegate_refusals_total", &refusals), 1);
}

#[test]
fn cached_answers_and_304s_tell_of_the_limit_too() {
    let world = limited();
    world.origin(|_| Reply::cached("hello", "max-age=60").field("etag", "\"a\""));
    world.get("/api/x").run();
    let hit = world.get("/api/x").run();
    assert!(hit.is_hit() && hit.field("x-ratelimit-remaining") == Some("18".into()));
    let same = world.get("/api/x").field("if-none-match", "\"a\"").run();
    assert_eq!((same.status, same.field("x-ratelimit-remaining")), (304, Some("17".into())));
}

#[test]
fn what_a_client_says_of_its_limits_is_not_stored_and_an_origins_own_fields_do_not_mix_with_ours() {
    let world = limited();
    world.origin(|_| Reply::cached("hello", "max-age=60").field("x-ratelimit-remaining", "9999"));
    let answer = world.get("/api/x").field("x-ratelimit-tier", "enterprise").run();
    assert_eq!(answer.field("x-ratelimit-tier").as_deref(), Some("anonymous"));
    assert_eq!(answer.field("x-ratelimit-remaining").as_deref(), Some("19"), "{answer:#?}");
    assert_eq!(world.asked_last().field("x-ratelimit-tier"), None);
}

#[test]
fn a_variable_switches_every_limit_off() {
    let world = limited().var("RATE_LIMIT_ENABLED", "false");
    assert!(times(&world, 30, "/api/x").iter().all(|answer| answer.status == 200));
    assert_eq!(world.counts().limiter, 0);
    assert_eq!(world.get("/api/x").run().field("ratelimit"), None);
}

#[test]
fn other_paths_are_counted_and_not_limited() {
    let world = limited();
    assert!(times(&world, 30, "/x").iter().all(|answer| answer.status == 200));
    assert_eq!(world.counts().limiter, 0);
    assert_eq!(world.metric("tidegate_requests_total", &[("route", "rest")]), 30);
}

/// Three policies that hold at once: of the client, of everybody on the route, and one that only counts.
const SEVERAL: &str = r#"
[origins.default]
url = "http://origin.example"
[limits.policies.minute]
quota = "10/1m"
[limits.policies.day]
quota = "100/1d"
partition = ["route", "global"]
[limits.policies.trial]
quota = "1/1m"
shadow = true
[[routes]]
name = "api"
match = { path = "/api/*" }
limits = ["minute", "day", "trial"]
"#;

#[test]
fn whatever_the_answer_of_a_limited_route_is_it_tells_of_every_policy() {
    let world = World::new(1).config(SEVERAL);
    world.origin(|asked| match asked.path() {
        "/api/stored" => Reply::cached("hello", "max-age=60").field("etag", "\"a\""),
        "/api/missing" => Reply::new(404, "no"),
        "/api/broken" => Reply::new(500, "no"),
        "/api/late" => Reply::ok("late").after(secs(600)),
        "/api/lost" => Reply::fails(FetchError::ConnectionLost),
        _ => Reply::ok("hello"),
    });
    let mut left = (10, 100);
    for (method, path, field, status) in [
        ("GET", "/api/stored", None, 200),
        ("GET", "/api/stored", None, 200),
        ("GET", "/api/stored", Some(("if-none-match", "\"a\"")), 304),
        ("HEAD", "/api/stored", None, 200),
        ("GET", "/api/new", Some(("cache-control", "only-if-cached")), 504),
        ("GET", "/api/missing", None, 404),
        ("POST", "/api/broken", None, 500),
        ("POST", "/api/lost", None, 502),
        ("POST", "/api/late", None, 504),
    ] {
        let request = world.request(method, path);
        let request = field.into_iter().fold(request, |request, (name, value)| request.field(name, value));
        let answer = request.run();
        assert_eq!(answer.status, status, "{method} {path}: {answer:#?}");
        left = (left.0 - 1, left.1 - 1);
        let told = answer.field("ratelimit").unwrap_or_default();
        let [minute, day] = told.split(", ").collect::<Vec<_>>()[..] else {
            panic!("{method} {path} tells {told}")
        };
        assert!(minute.starts_with(&format!("\"minute\";r={};t=", left.0)), "{method} {path}: {told}");
        assert!(day.starts_with(&format!("\"day\";r={};t=", left.1)), "{method} {path}: {told}");
        for (name, value) in [
            ("ratelimit-policy", "\"minute\";q=10;w=60, \"day\";q=100;w=86400"),
            ("x-ratelimit-limit", "10"),
            ("x-ratelimit-remaining", &left.0.to_string()),
            ("x-ratelimit-policy", "minute"),
            ("x-ratelimit-tier", "anonymous"),
        ] {
            assert_eq!(answer.field(name).as_deref(), Some(value), "{method} {path}: {name}");
        }
        assert!(answer.field("x-ratelimit-reset").is_some(), "{method} {path}");
    }
}

#[test]
fn a_policy_in_shadow_is_counted_and_neither_refuses_nor_is_shown() {
    let world = World::new(1).config(&SEVERAL.replace("[\"minute\", \"day\", \"trial\"]", "[\"trial\"]"));
    for answer in times(&world, 5, "/api/x") {
        assert_eq!((answer.status, answer.field("ratelimit")), (200, None), "{answer:#?}");
    }
    assert_eq!(world.counts().limiter, 5, "it is counted");
}

#[test]
fn a_client_that_waits_as_told_is_admitted_under_every_algorithm() {
    for (algorithm, capacity) in [("sliding-window", 7), ("fixed-window", 7), ("gcra", 1)] {
        let config =
            SEVERAL.replace("quota = \"10/1m\"", &format!("quota = \"7/1m\"\nalgorithm = \"{algorithm}\""));
        for seed in 0..20 {
            let world = World::new(seed).config(&config);
            world.pass(ms(seed * 2711));
            let mut admitted = 0;
            let refused = loop {
                let answer = world.get("/api/x").run();
                if answer.status == 429 {
                    break answer;
                }
                admitted += 1;
                assert!(admitted <= 2 * capacity, "{algorithm}: the quota holds");
                world.pass(ms(seed * 13));
            };
            let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
            let told = refused.field("ratelimit").unwrap();
            let reset = told.split(", ").next().unwrap().rsplit_once("t=").unwrap().1.parse().unwrap();
            assert!((1..=60).contains(&wait) && wait >= reset, "{algorithm}: {refused:#?}");
            world.pass(secs(wait));
            let answer = world.get("/api/x").run();
            assert_eq!(answer.status, 200, "{algorithm}, seed {seed}: {wait} s were enough");
        }
    }
}
