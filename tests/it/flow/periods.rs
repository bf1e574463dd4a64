//! Quotas by the calendar, and of requests in flight.

use tidegate::time::Timestamp;

use crate::sim::{Answer, Fault, Helper, Reply, World, ms, secs};

const CONFIG: &str = r#"
[origins.default]
url = "http://origin.example"
[limits.policies.day]
quota = "2/day"
algorithm = "daily"
resets_at = "06:30"
[limits.policies.month]
quota = "3/month"
algorithm = "monthly"
[limits.policies.at-once]
quota = "2/1m"
algorithm = "concurrency"
partition = "address"
on_error = "refuse"
[limits.policies.five]
quota = "5/1h"
partition = "route"
[[routes]]
name = "day"
match = { path = "/day" }
limits = ["day"]
cache = "off"
[[routes]]
name = "month"
match = { path = "/month" }
limits = ["month"]
cache = "off"
[[routes]]
name = "at-once"
match = { path = "/at-once" }
limits = ["at-once"]
[[routes]]
name = "both"
match = { path = "/both" }
limits = ["at-once", "five"]
"#;

fn statuses(world: &World, path: &str, requests: usize) -> (Vec<u16>, Answer) {
    let answers: Vec<Answer> = (0..requests).map(|_| world.get(path).run()).collect();
    (answers.iter().map(|answer| answer.status).collect(), answers.last().unwrap().clone())
}

fn number(answer: &Answer, field: &str) -> u64 {
    answer.field(field).unwrap().parse().unwrap()
}

#[test]
fn a_daily_quota_begins_anew_at_its_time_of_the_day() {
    let world = World::new(1).config(CONFIG);
    let (admitted, refused) = statuses(&world, "/day", 3);
    assert_eq!(admitted, [200, 200, 429]);
    assert_eq!(refused.field("ratelimit-policy").as_deref(), Some("\"day\";q=2;w=86400"));
    assert!(refused.text().contains("2 requests per day on tier anonymous"), "{}", refused.text());
    let wait = number(&refused, "retry-after");
    let begins = number(&refused, "x-ratelimit-reset");
    assert_eq!(begins % 86_400, 6 * 3600 + 30 * 60, "in seconds after 00:00 UTC");
    assert_eq!(begins, world.now().as_millis().div_ceil(1000) + wait);
    world.pass(secs(wait - 2));
    assert_eq!(world.get("/day").run().status, 429);
    world.pass(secs(2));
    assert_eq!(statuses(&world, "/day", 3).0, [200, 200, 429]);
}

#[test]
fn a_monthly_quota_begins_anew_on_the_first() {
    let world = World::new(1).config(CONFIG);
    let (admitted, refused) = statuses(&world, "/month", 4);
    assert_eq!(admitted, [200, 200, 200, 429]);
    let begins = number(&refused, "x-ratelimit-reset");
    let text = Timestamp::from_secs(begins).to_iso();
    assert!(text.ends_with("-01T00:00:00Z"), "{text}");
    // The first of the next month is so many days after the first of this one.
    let days = refused.field("ratelimit-policy").unwrap();
    let secs_of_month: u64 = days.rsplit('=').next().unwrap().parse().unwrap();
    assert!(Timestamp::from_secs(begins - secs_of_month).to_iso().ends_with("-01T00:00:00Z"), "{days}");
    world.pass(secs(number(&refused, "retry-after")));
    assert_eq!(statuses(&world, "/month", 4).0, [200, 200, 200, 429]);
}

#[test]
fn so_many_requests_are_in_flight_and_no_more() {
    let world = World::new(1).config(CONFIG);
    world.origin(|_| Reply::ok("hello").field("cache-control", "no-store").after(ms(200)).takes(secs(5)));
    let first: Vec<_> = (0..2).map(|_| world.get("/at-once").start()).collect();
    world.pass(ms(300));
    let refused = world.get("/at-once").at(0, 1).run();
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.field("ratelimit-policy").as_deref(),
        Some("\"at-once\";q=2;qu=\"concurrent-requests\"")
    );
    assert!(refused.text().contains("2 requests at once on tier anonymous"), "{}", refused.text());
    assert!(number(&refused, "retry-after") <= 60);
    world.pass(secs(3));
    assert_eq!(world.get("/at-once").run().status, 429, "their responses have not ended");
    first.iter().for_each(|one| assert_eq!(world.finish(one).status, 200));
    world.pass(secs(6));
    for _ in 0..5 {
        let answer = world.get("/at-once").run();
        assert_eq!((answer.status, answer.field("x-ratelimit-remaining").as_deref()), (200, Some("1")));
        world.pass(secs(6));
    }
}

#[test]
fn what_is_refused_by_another_policy_or_does_not_reach_its_origin_is_not_in_flight() {
    let world = World::new(1).config(CONFIG);
    for _ in 0..12 {
        world.get("/both").run();
        world.pass(ms(10));
    }
    world.replies([Reply::new(503, "down"), Reply::new(204, "")]);
    for _ in 0..3 {
        let answer = world.get("/at-once").run();
        assert_eq!(answer.field("x-ratelimit-remaining").as_deref(), Some("1"), "{answer:#?}");
        world.pass(ms(50));
    }
}

#[test]
fn a_request_whose_end_gets_lost_counts_for_the_window() {
    let world = World::new(1).config(CONFIG);
    world.origin(|_| Reply::ok("hello").takes(secs(1)));
    let sent: Vec<_> = (0..2).map(|_| world.get("/at-once").start()).collect();
    world.pass(ms(100));
    world.fault(Helper::Limiter, Fault::Fails);
    sent.iter().for_each(|one| drop(world.finish(one)));
    world.pass(secs(20));
    world.fault(Helper::Limiter, Fault::None);
    assert_eq!(world.get("/at-once").run().status, 429);
    world.pass(secs(41));
    assert_eq!(world.get("/at-once").run().status, 200);
}
