//! The queue before an origin that takes few requests at once.

use std::cell::RefCell;
use std::rc::Rc;

use tidegate::time::Timestamp;

use crate::sim::{Answer, Fault, Helper, Pending, Reply, World, ms, secs};

/// A fleet before an origin that takes two seconds for the head and one for the body, and a queue with these keys.
fn fleet(keys: &str, route: &str) -> World {
    let world = World::fleet(7, 4).config(&format!(
        "[origins.default]
         url = \"http://ai.example\"
         [limits.queues.ai]
         {keys}
         [[routes]]
         name = \"ai\"
         match = {{ path = \"/ai/*\" }}
         queue = \"ai\"
         {route}"
    ));
    world.origin(|_| Reply::ok("answer").after(secs(2)).takes(secs(1)));
    for tier in ["free", "pro", "enterprise"] {
        world.api_key(tier, &format!("{{\"tier\":\"{tier}\",\"subject\":\"{tier}\"}}"));
    }
    world
}

/// So many requests at once, spread over the fleet.
fn flood(world: &World, count: usize) -> Vec<Pending> {
    (0..count).map(|nth| world.request("POST", &format!("/ai/{nth}")).at(nth % 4, nth % 3).start()).collect()
}

/// When each request came to the origin, in order.
fn starts(world: &World) -> Vec<Timestamp> {
    world.asked().iter().map(|asked| asked.at).collect()
}

#[test]
fn the_origin_has_as_many_at_once_as_it_takes_and_is_kept_full() {
    let world = fleet("max_concurrent = 3", "");
    let answers = world.finish_all(&flood(&world, 12));
    assert!(answers.iter().all(|answer| answer.status == 200));
    let (starts, first) = (starts(&world), world.asked()[0].at);
    assert_eq!(starts.len(), 12);
    for (nth, at) in starts.iter().enumerate() {
        // Each has its place for three seconds; a place that comes free is taken at once.
        let turn = secs(3 * (nth as u64 / 3));
        let late = at.since(first + turn);
        assert!(*at >= first + turn && late < secs(1), "{nth}: {late} late");
    }
    let mut told: Vec<u32> =
        answers.iter().map(|answer| answer.field("x-queue-position").unwrap().parse().unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn no_more_start_in_a_minute_than_the_origin_takes() {
    let world = fleet("max_concurrent = 50\nquota = \"5/1m\"\nmax_wait = \"5m\"", "");
    world.finish_all(&flood(&world, 14));
    let starts = starts(&world);
    assert_eq!(starts.len(), 14);
    for window in starts.windows(6) {
        assert!(window[5].since(window[0]) >= ms(59_900), "{window:?}");
    }
    assert!(starts[13].since(starts[0]) < secs(123));
}

#[test]
fn the_next_place_goes_by_tier() {
    let world = fleet("max_concurrent = 1\npriority = [\"enterprise\", \"pro\"]", "");
    let order: Rc<RefCell<Vec<String>>> = Rc::default();
    let seen = order.clone();
    world.origin(move |asked| {
        seen.borrow_mut().push(asked.path().to_owned());
        Reply::ok("answer").after(secs(2))
    });
    let mut pending = vec![world.request("POST", "/ai/first").start()];
    world.pass(ms(100));
    for key in ["", "free", "pro", "enterprise"] {
        let request = world.request("POST", &format!("/ai/{key}"));
        pending.push(if key.is_empty() { request.start() } else { request.field("x-api-key", key).start() });
        world.pass(ms(100));
    }
    world.finish_all(&pending);
    assert_eq!(*order.borrow(), ["/ai/first", "/ai/enterprise", "/ai/pro", "/ai/", "/ai/free"]);
}

#[test]
fn where_the_queue_is_full_the_client_is_told_when_to_come_back() {
    let world = fleet("max_concurrent = 2\nmax_length = 3", "");
    let answers = world.finish_all(&flood(&world, 8));
    let (served, refused): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refused.len()), (5, 3));
    for answer in refused {
        assert_eq!(answer.status, 503);
        assert_eq!(answer.field("retry-after").as_deref(), Some("2"), "four turns of a second, two at once");
        assert_eq!(answer.field("x-queue-position").as_deref(), Some("3"));
        let status = answer.field("proxy-status").unwrap();
        assert!(status.contains("error=connection_limit_reached"), "{status}");
        assert!(status.contains("queue full"), "{status}");
    }
}

#[test]
fn who_has_waited_long_enough_is_told_so_and_leaves_no_gap() {
    let world = fleet("max_concurrent = 1\nmax_wait = \"2s\"", "");
    let answers = world.finish_all(&flood(&world, 3));
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|answer| answer.field("proxy-status").unwrap().contains("no turn in time")));
    world.pass(secs(3));
    assert_eq!(world.request("POST", "/ai/next").run().field("x-queue-position").as_deref(), Some("0"));
}

#[test]
fn a_place_is_kept_as_long_as_the_response_lasts_and_lost_with_its_isolate() {
    let world = fleet("max_concurrent = 1\nmax_wait = \"5m\"", "");
    world.origin(|asked| {
        let takes = if asked.path() == "/ai/long" { secs(60) } else { secs(1) };
        Reply::ok("answer").takes(takes)
    });
    let long = world.request("POST", "/ai/long").at(0, 0).start();
    world.pass(secs(1));
    let next = world.request("POST", "/ai/next").at(1, 1).start();
    world.pass(secs(50));
    assert_eq!(world.asked().len(), 1, "the first is not done");
    world.lose(0, 0);
    let answer = world.finish(&next);
    drop(long);
    assert_eq!(answer.status, 200);
    assert!(answer.at.since(world.asked()[0].at) < secs(51 + 16 + 2), "its place was free after the lease");
}

#[test]
fn a_stored_answer_waits_for_nobody_and_stands_in_where_the_queue_is_full() {
    let world = fleet("max_concurrent = 1\nmax_length = 0", "cache = { stale_if_error = \"1h\" }");
    world.origin(|_| Reply::cached("answer", "max-age=60").after(secs(2)));
    world.get("/ai/x").run();
    let busy = world.request("POST", "/ai/busy").start();
    world.pass(secs(1));
    let hit = world.get("/ai/x").run();
    assert_eq!((hit.status, hit.field("x-queue-position")), (200, None));
    world.finish(&busy);
    world.pass(secs(100));
    let busy = world.request("POST", "/ai/busy").start();
    world.pass(secs(1));
    let stale = world.get("/ai/x").run();
    assert_eq!(stale.status, 200);
    assert!(stale.field("cache-status").unwrap().contains("fwd=stale"), "{stale:?}");
    world.finish(&busy);
}

#[test]
fn a_queue_that_cannot_be_reached_does_what_its_config_says() {
    for (keys, status) in [("", 200), ("\non_error = \"refuse\"", 503)] {
        let world = fleet(&["max_concurrent = 1", keys].concat(), "");
        world.fault(Helper::Queue, Fault::Fails);
        let answer = world.request("POST", "/ai/x").run();
        assert_eq!(answer.status, status);
        assert!(world.log().iter().any(|line| line.contains("queue: ")), "{:?}", world.log());
    }
}
