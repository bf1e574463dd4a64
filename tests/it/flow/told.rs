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
