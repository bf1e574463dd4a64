//! What a request took of one policy is given back when another one refuses it, wherever that is counted.

use crate::sim::{Answer, World, ms, secs};

/// One policy of each client, and two of everybody.
fn site(order: &str, more: &str) -> World {
    World::new(1).config(&format!(
        r#"
[origins.default]
url = "http://origin.example"
[limits.policies.own]
quota = "2/1m"
[limits.policies.all]
quota = "90/1m"
partition = "global"
{more}
[limits.policies.day]
quota = "5000/day"
algorithm = "daily"
partition = "route"
[[routes]]
name = "api"
match = {{ path = "/api/*" }}
limits = {order}
cache = "off"
[[routes]]
name = "rest"
"#
    ))
}

/// What remains of each policy.
fn left(answer: &Answer) -> Vec<(String, u64)> {
    let told = answer.field("ratelimit").unwrap();
    let mut left: Vec<_> = told
        .split(", ")
        .map(|item| {
            let mut parts = item.split(';');
            let name = parts.next().unwrap().trim_matches('"').to_owned();
            (name, parts.next().unwrap().strip_prefix("r=").unwrap().parse().unwrap())
        })
        .collect();
    left.sort();
    left
}

#[test]
fn a_refused_request_costs_nothing_elsewhere_whatever_the_order_of_the_policies() {
    for order in [r#"["own", "all", "day"]"#, r#"["all", "day", "own"]"#, r#"["day", "own", "all"]"#] {
        let world = site(order, "");
        let (mut admitted, mut refused) = (0, 0);
        for client in 1..=20 {
            for _ in 0..4 {
                let answer = world.get("/api/x").from(&format!("192.0.2.{client}")).run();
                match answer.status {
                    200 => admitted += 1,
                    429 => refused += 1,
                    other => panic!("{other}"),
                }
                world.pass(ms(20));
            }
        }
        assert_eq!((admitted, refused), (40, 40), "{order}");
        world.pass(secs(2));
        let after = world.get("/api/x").from("198.51.100.9").run();
        let expected = [("all", 49), ("day", 4959), ("own", 1)].map(|(name, left)| (name.to_owned(), left));
        assert_eq!(left(&after), expected, "{order}");
    }
}

#[test]
fn a_refused_request_is_told_what_is_left_without_it() {
    let world = site(r#"["all", "day", "own"]"#, "");
    let answers: Vec<Answer> = (0..3).map(|_| world.get("/api/x").run()).collect();
    assert_eq!(answers[2].status, 429);
    assert_eq!(left(&answers[2])[..2], left(&answers[1])[..2]);
}

#[test]
fn what_is_let_through_before_it_is_counted_is_not_counted_where_another_policy_refuses() {
    let world = site(r#"["all", "own"]"#, "first_request = \"provisional\"");
    for (isolate, status) in [(0, 200), (0, 200), (1, 429)] {
        assert_eq!(world.get("/api/x").at(0, isolate).run().status, status);
        world.pass(secs(1));
    }
    let answer = world.get("/api/x").from("198.51.100.9").run();
    assert_eq!(left(&answer)[0], ("all".to_owned(), 87));
}

#[test]
fn an_admitted_request_costs_one_call_for_each_partition() {
    let world = site(r#"["all", "own"]"#, "");
    world.get("/api/x").run();
    world.pass(secs(1));
    assert_eq!(world.counts().limiter, 2);
}
