//! An origin's own quota is heeded before it says no, and a budget chooses the pool.

use std::cell::Cell;
use std::rc::Rc;

use crate::sim::{Answer, Asked, Fault, Helper, Reply, World, ms, secs};

/// One origin whose quota is heeded, with more keys in the pool, and more in the one route.
fn heeding(pool: &str, route: &str) -> World {
    let world = World::new(1).config(&format!(
        "[origins.default]\nurl = \"http://a.example\"\nupstream_quota = true\n{pool}\n[[routes]]\nname = \"all\"\n{route}\n"
    ));
    world.api_key("of a pro", r#"{"tier":"pro","subject":"p"}"#);
    world.api_key("of a company", r#"{"tier":"enterprise","subject":"e"}"#);
    world
}

/// A reply that says what is left of 100 for the next so many seconds.
fn left(remaining: u64, secs: u64) -> Reply {
    Reply::cached("fresh", "max-age=1, stale-while-revalidate=3600, stale-if-error=3600")
        .field("x-ratelimit-limit", "100")
        .field("x-ratelimit-remaining", &remaining.to_string())
        .field("x-ratelimit-reset", &secs.to_string())
}

/// An origin that allows so many requests in each `window` seconds and tells of it in the IETF's fields; answers to it, and
/// how often it said no.
fn counting(limit: u64, window: u64) -> (impl FnMut(&Asked) -> Reply, Rc<Cell<u64>>) {
    let refused = Rc::new(Cell::new(0));
    let (mut current, mut used, count) = (0, 0, refused.clone());
    let origin = move |asked: &Asked| {
        let now = asked.at.as_secs();
        if now / window != current {
            (current, used) = (now / window, 0);
        }
        let resets = window - now % window;
        if used == limit {
            count.set(count.get() + 1);
            return Reply::new(429, "no more").field("retry-after", &resets.to_string());
        }
        used += 1;
        Reply::ok("fresh")
            .field("ratelimit-policy", &format!("\"all\";q={limit};w={window}"))
            .field("ratelimit", &format!("\"all\";r={};t={resets}", limit - used))
            .after(ms(20))
    };
    (origin, refused)
}

fn get(world: &World, path: &str, key: Option<&str>) -> Answer {
    let request = world.get(path);
    key.into_iter().fold(request, |request, key| request.field("x-api-key", key)).run()
}

#[test]
fn the_origins_429_is_not_met_and_who_waits_is_answered_within_the_time_out() {
    let world = heeding("attempts_max = 1", "");
    let (origin, refused) = counting(20, 5);
    world.origin(origin);
    get(&world, "/first", None);
    let mut rng = fastrand::Rng::with_seed(7);
    let mut pending = Vec::new();
    for nth in 0..400 {
        let request = world.get(&format!("/{nth}")).from(&format!("192.0.2.{}", nth % 50));
        let key = [None, Some("of a pro"), Some("of a company")][rng.usize(0..3)];
        pending.push(key.into_iter().fold(request, |request, key| request.field("x-api-key", key)).start());
        world.pass(ms(rng.u64(0..400)));
    }
    let answers = world.finish_all(&pending);
    assert_eq!(refused.get(), 0, "the origin never had to say no");
    let fresh = answers.iter().filter(|answer| answer.text() == "fresh").count();
    for answer in answers.iter().filter(|answer| answer.text() != "fresh") {
        let wait: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!(answer.status == 503 && (1..=5).contains(&wait), "{answer:#?}");
        assert!(answer.field("proxy-status").unwrap().contains("the origin's quota is spent"));
    }
    // 80 s of 20 in 5 s make 320, of which an isolate that has heard nothing of the new window takes all the same.
    assert!(fresh > 250, "{fresh}");
    assert_eq!(world.leaks(), 0);
}

#[test]
fn with_little_left_the_lowest_tier_gets_what_is_stale_and_others_what_is_new() {
    let world = heeding("", "cache = { stale_while_revalidate = \"0s\" }");
    let stale = Reply::cached("old", "max-age=1, stale-if-error=3600");
    world.replies([
        stale.clone(),
        stale,
        left(9, 600).field("cache-control", "max-age=1, stale-if-error=3600"),
    ]);
    for path in ["/x", "/y"] {
        get(&world, path, None);
    }
    world.pass(secs(10));
    assert_eq!(get(&world, "/x", Some("of a pro")).text(), "fresh", "9 of 100 are left from now on");
    let asked = world.counts().origin;
    let answer = get(&world, "/y", None);
    assert_eq!((answer.text(), world.counts().origin), ("old", asked));
    assert!(answer.cache().ends_with("detail=sie"), "{}", answer.cache());
    assert_eq!(
        get(&world, "/z", None).status,
        503,
        "there is nothing stale, and the wait is longer than the time-out"
    );
    assert_eq!(get(&world, "/y", Some("of a pro")).text(), "fresh");
}

#[test]
fn with_little_left_nothing_is_refreshed_behind_an_answer_or_hedged() {
    for (remaining, refreshed) in [(50, true), (9, false)] {
        let world = heeding("", "");
        world.replies([left(remaining, 600)]);
        get(&world, "/x", None);
        world.pass(secs(5));
        let answer = get(&world, "/x", None);
        assert!(answer.cache().ends_with("detail=swr"), "{answer:#?}");
        world.pass(secs(1));
        assert_eq!(world.counts().origin == 2, refreshed, "{remaining}");

        let world = heeding("", "hedge = \"100ms\"");
        world.replies([left(remaining, 600), left(remaining, 600).after(secs(1))]);
        get(&world, "/x", Some("of a company"));
        get(&world, "/y", Some("of a company"));
        assert_eq!(world.counts().origin == 3, refreshed, "{remaining}");
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn who_can_wait_for_the_next_window_does() {
    let world = heeding("total_timeout = \"10s\"", "");
    world.replies([left(0, 8), left(99, 60)]);
    get(&world, "/x", None);
    let before = world.now();
    let answer = get(&world, "/y", None);
    assert_eq!((answer.status, answer.at.since(before)), (200, secs(8)));
    let world = heeding("attempt_timeout = \"5s\"\ntotal_timeout = \"5s\"", "");
    world.replies([left(0, 8)]);
    get(&world, "/x", None);
    let before = world.now();
    let answer = get(&world, "/y", None);
    assert_eq!((answer.status, answer.at, answer.field("retry-after").as_deref()), (503, before, Some("8")));
}

#[test]
fn a_429_that_came_all_the_same_is_hidden_where_something_is_at_hand() {
    let no_more = || Reply::new(429, "no more").field("retry-after", "600");
    let world = heeding("", "");
    world.replies([Reply::cached("old", "max-age=1, stale-if-error=3600"), no_more()]);
    get(&world, "/x", None);
    world.pass(secs(10));
    assert_eq!(get(&world, "/x", None).text(), "old");
    assert_eq!(get(&world, "/x", None).text(), "old");
    assert_eq!(world.counts().origin, 2, "the second one is not sent any more");
    let answer = get(&world, "/y", Some("of a company"));
    assert_eq!((answer.status, answer.field("retry-after").as_deref()), (503, Some("600")));
    world.pass(secs(600));
    world.replies([Reply::ok("new")]);
    assert_eq!(get(&world, "/y", None).text(), "new");
    let world = heeding("fallback = [\"next\"]\n[origins.next]\nurl = \"http://b.example\"", "");
    world.origin(move |asked| if asked.host() == "a.example" { no_more() } else { Reply::ok("b") });
    for nth in 0..3 {
        assert_eq!(get(&world, &format!("/{nth}"), None).text(), "b");
    }
    assert_eq!(world.counts().origin, 4, "the first pool is asked once");
}

#[test]
fn what_the_origin_counts_by_client_is_another_clients_no_reason_to_wait() {
    let world = heeding("attempt_timeout = \"1s\"\ntotal_timeout = \"1s\"", "");
    world.replies([
        Reply::ok("one").field("ratelimit", "\"each\";r=0;t=60;pk=:b25l:"),
        Reply::ok("other").field("ratelimit", "\"each\";r=9;t=60;pk=:b3RoZXI=:"),
    ]);
    let ask = |path: &str, who: &str| world.get(path).field("authorization", who).run();
    assert_eq!(ask("/1", "Basic one").text(), "one");
    assert_eq!(ask("/2", "Basic one").status, 503);
    assert_eq!(ask("/3", "Basic other").text(), "other");
    assert_eq!(ask("/4", "Basic one").status, 503);
}

#[test]
fn without_being_told_to_nobody_heeds_what_an_origin_says() {
    let world = super::plain([left(0, 600)]);
    for path in ["/x", "/y"] {
        assert_eq!(get(&world, path, None).text(), "fresh");
    }
}

/// A free provider with so many requests in a day, and one that costs.
fn providers(keys: &str) -> World {
    let world = World::fleet(1, 2).config(&format!(
        "[origins.default]\nurl = \"http://free.example\"\nbudget = \"10/day\"\nfallback = [\"paid\"]\n{keys}\n\
         [origins.paid]\nurl = \"http://paid.example\"\ncost = 1\n"
    ));
    world.origin(|asked| Reply::ok(asked.host()).field("cache-control", "no-store"));
    world
}

fn by_free(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.text() == "free.example").count()
}

#[test]
fn so_many_a_day_go_to_the_free_provider_whichever_isolate_they_come_to_and_the_rest_to_the_next() {
    let world = providers("");
    let day = |count: usize| {
        let pending: Vec<_> =
            (0..count).map(|nth| world.get(&format!("/{nth}")).at(nth % 2, nth % 3).start()).collect();
        world.finish_all(&pending)
    };
    for _ in 0..3 {
        let answers = day(30);
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(by_free(&answers), 10);
        let limiter = world.counts().limiter;
        assert_eq!(by_free(&day(30)), 0);
        assert_eq!(world.counts().limiter, limiter, "that it is spent is known");
        world.pass(secs(86_400));
    }
}

#[test]
fn a_budget_pays_for_each_attempt_and_for_nothing_that_was_not_sent() {
    let world = providers(
        "attempts_max = 2\nretry = { backoff_base = \"0s\" }\nbreaker = { failures = 0, failure_ratio = 0.0 }",
    );
    world.origin(|asked| match asked.host() {
        "free.example" => Reply::new(503, "broken"),
        host => Reply::ok(host),
    });
    for nth in 0..20 {
        assert_eq!(world.get(&format!("/{nth}")).run().text(), "paid.example");
    }
    let sent = world.asked().iter().filter(|asked| asked.host() == "free.example").count();
    assert_eq!(sent, 10);
    let world =
        providers("breaker = { failures = 1, ejection = \"1h\", ejection_max = \"1h\" }\nattempts_max = 1");
    world.origin(|asked| match (asked.host(), asked.nth) {
        ("free.example", 0) => Reply::new(503, "broken"),
        (host, _) => Reply::ok(host),
    });
    for nth in 0..20 {
        world.get(&format!("/{nth}")).run();
    }
    world.pass(secs(3600));
    let answers: Vec<_> = (0..20).map(|nth| world.get(&format!("/later{nth}")).run()).collect();
    assert_eq!(by_free(&answers), 9, "what its breaker kept from it was given back");
}

#[test]
fn a_budget_that_cannot_be_counted_is_let_through_and_that_is_said() {
    let world = providers("");
    world.fault(Helper::Limiter, Fault::Fails);
    let answers: Vec<_> = (0..20).map(|nth| world.get(&format!("/{nth}")).run()).collect();
    assert_eq!(by_free(&answers), 20);
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "limiter-unreachable")]), 20);
}

#[test]
fn without_a_next_provider_a_spent_budget_is_a_503_until_it_is_midnight() {
    let world = World::new(1).config("[origins.default]\nurl = \"http://free.example\"\nbudget = \"1/1d\"\n");
    world.get("/x").run();
    let answer = world.get("/y").run();
    let wait: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert_eq!((answer.status, (world.now() + secs(wait)).as_secs() % 86_400), (503, 0));
    world.pass(secs(wait));
    assert_eq!(world.get("/y").run().status, 200);
}
