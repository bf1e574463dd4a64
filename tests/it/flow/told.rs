//! What a client is told of its limits: every policy, and moments that are right.

use crate::sim::{Answer, Reply, World, ms};

/// One policy on every path.
fn site(policy: &str) -> World {
    let world = World::new(1).config(&format!(
        "[origins.default]\nurl = \"http://origin.example\"\n[limits.policies.units]\n{policy}\n\
         [[routes]]\nname = \"all\"\nlimits = [\"units\"]\ncache = \"off\"\n"
    ));
    world.origin(|_| Reply::ok("hello").after(ms(300)));
    world.pass(ms(421));
    world
}

fn number(answer: &Answer, name: &str) -> u64 {
    answer.field(name).unwrap_or_default().parse().unwrap_or_else(|_| panic!("{name}: {answer:#?}"))
}

/// The `t` of the first policy.
fn reset(answer: &Answer) -> u64 {
    let told = answer.field("ratelimit").unwrap();
    told.split(", ").next().unwrap().rsplit_once("t=").unwrap().1.parse().unwrap()
}

#[test]
fn a_window_ends_when_it_is_told_to_end_however_long_an_answer_takes() {
    for (policy, window) in [
        ("quota = \"3/7s\"\nalgorithm = \"fixed-window\"", 7),
        ("quota = \"3/day\"\nalgorithm = \"daily\"", 86_400),
        ("quota = \"300/day\"\nalgorithm = \"daily\"", 86_400),
    ] {
        let world = site(policy);
        for _ in 0..30 {
            let answer = world.get("/x").run();
            let now = answer.at.as_millis();
            let asked = if answer.status == 429 { now } else { now - 300 } / 1000;
            let ends = asked - asked % window + window;
            assert_eq!(number(&answer, "x-ratelimit-reset"), ends, "{policy}: {answer:#?}");
            assert_eq!(reset(&answer), (ends * 1000 - now).div_ceil(1000), "{policy}: {answer:#?}");
        }
    }
}

#[test]
fn a_sliding_window_tells_one_moment_until_it_comes_and_never_more_than_itself() {
    for quota in ["3/20s", "300/20s", "10000/20s"] {
        let world = site(&format!("quota = \"{quota}\""));
        let first = world.get("/x").run();
        let comes = first.at.as_millis() - 300 + 20_000;
        for answer in std::iter::once(first).chain((0..9).map(|_| world.get("/x").run())) {
            let told = number(&answer, "x-ratelimit-reset");
            let late = told * 1000 - comes;
            // An object is some milliseconds away.
            assert!(late < 1050, "{quota}: {late} ms late: {answer:#?}");
            assert!(reset(&answer) <= 20, "{quota}: {answer:#?}");
        }
    }
}

#[test]
fn a_client_that_waits_for_the_reset_is_admitted_under_every_algorithm() {
    for policy in [
        "quota = \"3/7s\"",
        "quota = \"3/7s\"\nalgorithm = \"fixed-window\"",
        "quota = \"6/6s\"\nalgorithm = \"gcra\"\nburst = 2",
        "quota = \"3/day\"\nalgorithm = \"daily\"\nresets_at = \"03:30\"",
        "quota = \"3/month\"\nalgorithm = \"monthly\"",
    ] {
        let world = site(policy);
        for _ in 0..3 {
            let spent = loop {
                let answer = world.get("/x").run();
                if number(&answer, "x-ratelimit-remaining") == 0 {
                    break answer;
                }
                world.pass(ms(137));
            };
            let refused = world.get("/x").run();
            for answer in [&spent, &refused] {
                let comes = number(answer, "x-ratelimit-reset");
                assert!(comes * 1000 > answer.at.as_millis(), "{policy}: {answer:#?}");
            }
            assert_eq!(refused.status, 429, "{policy}");
            assert!(number(&refused, "retry-after") >= reset(&refused), "{refused:#?}");
            let comes = number(&spent, "x-ratelimit-reset");
            assert_eq!(comes, number(&refused, "x-ratelimit-reset"), "{policy}: {spent:#?} {refused:#?}");
            world.pass(ms(comes * 1000 - world.now().as_millis()));
            assert_eq!(world.get("/x").run().status, 200, "{policy}");
        }
    }
}

#[test]
fn a_refusal_tells_of_the_other_policies_as_they_stood() {
    for order in [r#"["own", "day", "all", "flight"]"#, r#"["all", "flight", "day", "own"]"#] {
        let world = World::new(1).config(&format!(
            r#"
[origins.default]
url = "http://origin.example"
[limits.policies.own]
quota = "2/1m"
[limits.policies.day]
quota = "1000/day"
algorithm = "daily"
[limits.policies.all]
quota = "90/1m"
partition = "global"
[limits.policies.flight]
quota = "50/1m"
algorithm = "concurrency"
partition = "global"
[[routes]]
name = "all"
limits = {order}
cache = "off"
"#
        ));
        for (nth, status) in [200, 200, 429, 429, 429].into_iter().enumerate() {
            let answer = world.get("/x").run();
            assert_eq!(answer.status, status);
            let told = answer.field("ratelimit").unwrap();
            let left = 2_usize.saturating_sub(nth + 1);
            let taken = (nth + 1).min(2);
            for (name, left) in [("own", left), ("day", 1000 - taken), ("all", 90 - taken)] {
                assert!(
                    told.contains(&format!("\"{name}\";r={left};t=")),
                    "request {nth} of {order}: {told}"
                );
            }
            assert!(told.contains("\"flight\";r="), "request {nth} of {order}: {told}");
            assert_eq!(answer.field("x-ratelimit-policy").as_deref(), Some("own"));
            world.pass(ms(50));
        }
        assert_eq!(world.get("/x").from("198.51.100.7").run().status, 200);
    }
}

#[test]
fn who_is_asked_for_the_length_is_told_of_the_limits_too() {
    let world = site("quota = \"1kB/1m\"\ncost = \"request-bytes\"");
    let asked = || world.request("POST", "/x").streamed("hello").run();
    let answer = asked();
    assert_eq!((answer.status, number(&answer, "x-ratelimit-remaining")), (411, 999), "it counts as one");
    assert_eq!(
        answer.field("ratelimit-policy").as_deref(),
        Some("\"units\";q=1000;w=60;qu=\"content-bytes\"")
    );
    assert!(answer.field("ratelimit").is_some() && answer.field("x-ratelimit-tier").is_some());
    assert_eq!(world.request("POST", "/x").body(&"x".repeat(999)).run().status, 200);
    assert_eq!((asked().status, world.counts().origin), (429, 1), "and is refused as any other");
}
