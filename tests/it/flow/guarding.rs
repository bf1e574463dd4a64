//! How origins are chosen, and what keeps their faults from clients.

use std::collections::BTreeSet;

use tidegate::origin::FetchError;

use crate::sim::{Answer, Reply, World, ms, secs};

/// Endpoints a, b and c with more keys in the pool, and more in the one route.
fn three(pool: &str, route: &str) -> World {
    let world = World::new(1).config(&format!(
        "[origins.default]
         endpoints = [
           {{ name = \"a\", url = \"http://a.example\" }},
           {{ name = \"b\", url = \"http://b.example\", priority = 1 }},
           {{ name = \"c\", url = \"http://c.example\", priority = 1 }},
         ]
         {pool}
         [[routes]]
         name = \"all\"
         {route}"
    ));
    world.origin(|asked| Reply::ok(asked.host()));
    world
}

/// Three endpoints of the same priority, chosen by affinity.
fn alike(affinity: &str) -> World {
    let endpoints: String =
        ["a", "b", "c", "d"].map(|name| format!("{{ url = \"http://{name}.example\" }},")).concat();
    let world = World::new(1).config(&format!(
        "[origins.default]\nselection = \"rendezvous\"\naffinity = \"{affinity}\"\nendpoints = [{endpoints}]\n"
    ));
    world.origin(|asked| Reply::ok(asked.host()));
    world
}

#[test]
fn what_belongs_together_goes_to_one_endpoint() {
    let asked = |affinity: &str, one: &dyn Fn(&World, usize) -> Answer| {
        let world = alike(affinity);
        (0..24).map(|nth| one(&world, nth).text().to_owned()).collect::<BTreeSet<_>>().len()
    };
    let by_url = |world: &World, _: usize| world.get("/same").run();
    let by_address = |world: &World, nth: usize| world.get(&format!("/{nth}")).run();
    let by_field = |world: &World, nth: usize| {
        world.get(&format!("/{nth}")).field("x-session", "s1").from(&format!("192.0.2.{nth}")).run()
    };
    for (affinity, one, together) in [
        ("key", &by_url as &dyn Fn(&World, usize) -> Answer, true),
        ("key", &by_address, false),
        ("client", &by_address, true),
        ("client", &by_field, false),
        ("header:X-Session", &by_field, true),
        ("header:x-other", &by_field, false),
        ("user", &by_address, false),
    ] {
        let count = asked(affinity, one);
        assert_eq!(count == 1, together, "{affinity}: {count} endpoints");
    }
}

#[test]
fn a_client_gets_the_endpoint_near_it_and_another_when_that_fails() {
    let world = World::new(1).config(
        "[origins.default]
         endpoints = [
           { name = \"us\", url = \"http://us.example\", regions = [\"north-america\"] },
           { name = \"eu\", url = \"http://eu.example\", regions = [\"europe\"] },
           { name = \"fra\", url = \"http://fra.example\", colos = [\"FRA\"] },
         ]",
    );
    world.origin(|asked| Reply::ok(asked.host()));
    for (colo, country, continent, host) in [
        ("FRA", "DE", "EU", "fra.example"),
        ("CDG", "FR", "EU", "eu.example"),
        ("EWR", "US", "NA", "us.example"),
    ] {
        for nth in 0..5 {
            let answer = world.get(&format!("/{colo}/{nth}")).near(colo, country, continent).run();
            assert_eq!(answer.text(), host);
        }
    }
    world.origin(|asked| match asked.host() {
        "fra.example" => Reply::fails(FetchError::ConnectionLost),
        host => Reply::ok(host),
    });
    assert_eq!(world.get("/x").near("FRA", "DE", "EU").run().status, 200);
}

#[test]
fn an_error_page_with_status_200_is_a_failure_where_a_rule_says_so() {
    let rules = "fail_when = [
        { header = \"content-type: text/html*\" },
        { header = \"x-upstream: php\", body = \"Fatal error\" },
    ]";
    for (page, lies) in [
        (Reply::ok("<h1>Oops</h1>").field("content-type", "text/html"), true),
        (Reply::ok("Fatal error: x").field("x-upstream", "php"), true),
        (Reply::ok("fine").field("x-upstream", "php"), false),
        (Reply::ok("Fatal error: x").field("x-upstream", "php").chunked(), false),
        (Reply::ok("Fatal error: x"), false),
        (Reply::new(404, "no").field("content-type", "text/html"), false),
    ] {
        let world = three(rules, "");
        let told = page.clone();
        world.origin(move |asked| if asked.host() == "a.example" { told.clone() } else { Reply::ok("good") });
        let answer = world.get("/x").run();
        assert_eq!(answer.text() == "good", lies, "{page:?}");
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn a_lie_is_never_stored_and_a_stale_response_goes_before_it() {
    let world = three(
        "fail_when = [{ header = \"content-type: text/html*\" }]",
        "cache = { ttl = \"10s\", stale_if_error = \"1h\" }",
    );
    let lie = Reply::cached("<h1>Oops</h1>", "max-age=60").field("content-type", "text/html");
    let told = lie.clone();
    world.origin(move |_| told.clone());
    let answer = world.get("/new").run();
    assert_eq!(answer.status, 502);
    let proxy = answer.field("proxy-status").unwrap();
    assert!(proxy.starts_with("tidegate; error=destination_unavailable; next-hop="), "{proxy}");
    assert!(!world.stores_hold("Oops"));
    world.pass(secs(60));
    world.replies([Reply::ok("true"), lie]);
    world.get("/x").run();
    world.pass(secs(30));
    assert_eq!(world.get("/x").run().text(), "true");
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_second_attempt_beside_a_slow_one_answers_and_the_slow_one_is_let_go() {
    let world = three("", "hedge = \"100ms\"");
    world.origin(|asked| match asked.host() {
        "a.example" => Reply::ok("slow").after(secs(5)),
        host => Reply::ok(host),
    });
    let before = world.now();
    let answer = world.get("/x").run();
    assert!(["b.example", "c.example"].contains(&answer.text()));
    assert_eq!((answer.at.since(before), world.revoked(), world.leaks()), (ms(100), 1, 0));
    assert_eq!(world.metric("tidegate_hedges_total", &[]), 1);
    let post = world.request("POST", "/x").run();
    assert_eq!((post.text(), world.counts().origin), ("slow", 3), "what may not be sent twice is not");
}

#[test]
fn the_first_good_answer_wins_not_the_first() {
    for (a, others, text) in [
        (Reply::ok("a").after(ms(300)), Reply::new(503, "bad"), "a"),
        (Reply::new(503, "bad").after(ms(150)), Reply::ok("other").after(ms(300)), "other"),
        (Reply::fails(FetchError::ConnectionLost).after(ms(150)), Reply::ok("other").after(ms(300)), "other"),
    ] {
        let world = three("", "hedge = \"100ms\"");
        world.origin(move |asked| if asked.host() == "a.example" { a.clone() } else { others.clone() });
        let answer = world.get("/x").run();
        assert_eq!((answer.status, answer.text()), (200, text));
        assert_eq!((world.revoked(), world.leaks(), world.counts().origin), (0, 0, 2));
    }
}

#[test]
fn an_error_of_the_second_attempt_waits_for_what_the_first_one_comes_to() {
    let ask = |a: &Reply, others: &Reply| {
        let world = three("attempt_timeout = \"2s\"", "hedge = \"100ms\"");
        let (a, others) = (a.clone(), others.clone());
        world.origin(move |asked| if asked.host() == "a.example" { a.clone() } else { others.clone() });
        let before = world.now();
        let answer = world.get("/x").run();
        assert_eq!((world.leaks(), world.counts().origin), (0, 2));
        (answer.status, answer.text().to_owned(), answer.at.since(before))
    };
    let broken = Reply::fails(FetchError::ConnectionLost);
    for status in [400, 401, 404, 429, 500, 501] {
        let bad = Reply::new(status, "b");
        assert_eq!(ask(&Reply::ok("a").after(ms(700)), &bad), (200, "a".into(), ms(700)));
        assert_eq!(ask(&Reply::new(410, "a").after(ms(700)), &bad), (410, "a".into(), ms(700)));
        assert_eq!(ask(&Reply::ok("a").after(secs(5)), &bad), (status, "b".into(), secs(2)));
        assert_eq!(ask(&broken.clone().after(ms(300)), &bad), (status, "b".into(), ms(300)));
        assert_eq!(ask(&Reply::new(503, "a").after(ms(300)), &bad), (status, "b".into(), ms(300)));
    }
    let gone = Reply::new(404, "a").after(ms(150));
    assert_eq!(ask(&gone, &Reply::ok("b").after(ms(200))), (404, "a".into(), ms(150)));
}

#[test]
fn when_both_attempts_fail_a_third_one_follows() {
    let world = three("", "hedge = \"100ms\"");
    world.origin(|asked| match asked.nth {
        0 => Reply::fails(FetchError::ConnectionLost).after(ms(200)),
        1 => Reply::new(502, "bad").after(ms(200)),
        _ => Reply::ok("third"),
    });
    let answer = world.get("/x").run();
    assert_eq!((answer.text(), world.counts().origin, world.leaks()), ("third", 3, 0));
}

#[test]
fn a_quantile_says_when_to_hedge_once_enough_is_known() {
    let world = three("", "hedge = \"p95\"");
    world.origin(|asked| match asked.nth {
        0..40 => Reply::ok("quick").after(ms(20)),
        40 => Reply::ok("slow").after(secs(5)),
        _ => Reply::ok("second"),
    });
    for nth in 0..40 {
        world.get(&format!("/{nth}")).run();
    }
    assert_eq!(world.counts().origin, 40);
    let before = world.now();
    let answer = world.get("/last").run();
    assert_eq!((answer.text(), answer.at.since(before)), ("second", ms(20)));
}

#[test]
fn an_origin_is_told_how_long_it_is_waited_for() {
    let world = three("deadline_header = \"X-Request-Deadline\"\nattempt_timeout = \"2s\"", "");
    world.get("/x").field("x-request-deadline", "1").run();
    let expected = (world.now().as_millis() + 2000).to_string();
    assert_eq!(world.asked_last().field("x-request-deadline"), Some(&*expected));
    let world =
        three("deadline_header = \"grpc-timeout\"\nattempt_timeout = \"2s\"\ntotal_timeout = \"3s\"", "");
    world.origin(|asked| if asked.nth == 0 { Reply::ok("late").after(secs(9)) } else { Reply::ok("good") });
    world.get("/x").run();
    let told: Vec<String> =
        world.asked().iter().map(|asked| asked.field("grpc-timeout").unwrap().to_owned()).collect();
    assert_eq!(told, ["2000m", "1000m"]);
}

#[test]
fn the_shorter_deadline_of_a_client_is_passed_on_where_the_answer_is_for_it_alone() {
    let told = |name: &str, asked: &str| {
        let world = three(&format!("deadline_header = \"{name}\"\nattempt_timeout = \"5s\""), "");
        world.request("POST", "/x").field(name, asked).run();
        (world.asked_last().field(name).unwrap().to_owned(), world.now().as_millis())
    };
    for (asked, expected) in [
        ("100m", "100m"),
        ("2S", "2000m"),
        ("250000u", "250m"),
        ("1n", "1m"),
        ("1H", "5000m"),
        ("99999999H", "5000m"),
        ("", "5000m"),
        ("5", "5000m"),
        ("-1S", "5000m"),
        ("123456789m", "5000m"),
        ("soon", "5000m"),
    ] {
        assert_eq!(told("grpc-timeout", asked).0, expected, "{asked}");
    }
    let (_, now) = told("x-request-deadline", "");
    for (asked, expected) in [(now + 100, now + 100), (now + 60_000, now + 5000)] {
        assert_eq!(told("x-request-deadline", &asked.to_string()).0, expected.to_string());
    }
}

#[test]
fn a_body_that_stands_still_is_broken_off_and_not_stored() {
    let world = three("body_idle_timeout = \"3s\"", "cache = { ttl = \"1h\" }");
    world.origin(|_| Reply::ok("half of it and more").takes(secs(60)));
    let before = world.now();
    let answer = world.get("/x").run();
    assert!(answer.read.is_err() && answer.status == 200);
    assert_eq!(world.now().since(before), secs(3));
    world.pass(secs(5));
    assert!(!world.stores_hold("half of it"));
    world.origin(|_| Reply::ok("steady").takes(secs(2)));
    assert_eq!(world.get("/y").run().text(), "steady");
}

#[test]
fn a_busy_endpoint_is_spared_and_what_is_too_much_waits_a_little() {
    let world = three("concurrency = \"1\"\nqueue = \"300ms\"", "assets = false\ncache = \"off\"");
    world.get("/before").run();
    world.origin(|asked| Reply::ok(asked.host()).after(ms(200)));
    let pending: Vec<_> = (0..5).map(|nth| world.get(&format!("/{nth}")).start()).collect();
    let answers = world.finish_all(&pending);
    let hosts: BTreeSet<&str> = answers.iter().take(3).map(Answer::text).collect();
    assert_eq!(hosts.len(), 3, "each endpoint has one");
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:#?}");
    world.origin(|asked| Reply::ok(asked.host()).after(secs(2)));
    let pending: Vec<_> = (0..4).map(|nth| world.get(&format!("/{nth}")).start()).collect();
    let answers = world.finish_all(&pending);
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].field("proxy-status").unwrap().contains("connection_limit_reached"));
    assert!(refused[0].field("retry-after").is_some());
}

#[test]
fn where_all_are_ejected_a_route_may_refuse() {
    for (route, asked_again) in [("", true), ("panic = \"refuse\"", false)] {
        let world = three("breaker = { failures = 1 }", route);
        world.origin(|_| Reply::fails(FetchError::ConnectionLost));
        world.get("/x").run();
        let before = world.counts().origin;
        let answer = world.get("/y").run();
        assert_eq!(world.counts().origin > before, asked_again, "{route}");
        assert_eq!(answer.status, if asked_again { 502 } else { 503 });
    }
}

#[test]
fn an_endpoint_whose_answers_are_too_slow_is_left_alone() {
    let world = three(
        "[origins.default.breaker]\nlatency = \"p90 > 500ms\"\nwindow_requests_min = 10",
        "cache = \"off\"",
    );
    world.origin(|asked| match asked.host() {
        "a.example" => Reply::ok("a").after(ms(600)),
        host => Reply::ok(host),
    });
    let answers: Vec<String> = (0..20).map(|_| world.get("/x").run().text().to_owned()).collect();
    assert_eq!(answers.iter().filter(|text| *text == "a").count(), 10);
    assert_ne!(answers[19], "a");
}

#[test]
fn a_request_does_not_ask_for_more_than_the_platform_allows() {
    let pools: String = (0..5)
        .map(|nth| format!("[origins.p{nth}]\nurl = \"http://p{nth}.example\"\nattempts_max = 10\nretry = {{ backoff_cap = \"0s\", backoff_base = \"0s\", budget_min_per_second = 100 }}\nbreaker = {{ failures = 0, failure_ratio = 0.0 }}\n"))
        .collect();
    let pools =
        pools.replacen("attempts_max", "fallback = [\"p1\", \"p2\", \"p3\", \"p4\"]\nattempts_max", 1);
    let world = World::new(1).config(&format!(
        "{pools}[server]\nsubrequests_max = 40\n[[routes]]\nname = \"all\"\norigin = \"p0\"\ncache = \"off\""
    ));
    world.replies([Reply::fails(FetchError::ConnectionLost)]);
    let answer = world.get("/x").run();
    assert_eq!((answer.status, world.counts().origin), (503, 32));
    let proxy = answer.field("proxy-status").unwrap();
    assert!(
        proxy.contains("error=connection_limit_reached") && proxy.contains("subrequests spent"),
        "{proxy}"
    );
    assert!(answer.field("retry-after").is_some());
}
