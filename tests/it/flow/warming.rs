//! Warming: what will be asked for is in KV before anybody asks for it.

use super::PLAIN;
use crate::sim::{Answer, Fault, Helper, Reply, World, secs};

fn fleet(config: &str) -> World {
    let world = World::fleet(5, 3).config(&format!("{PLAIN}{config}")).var("TIDEGATE_ADMIN_TOKEN", "s3cret");
    world.origin(|asked| match asked.path() {
        "/private" => Reply::cached("mine", "private, max-age=600"),
        "/short" => Reply::cached("short", "max-age=5"),
        "/gone" => Reply::new(503, "no"),
        "/spoken" => Reply::cached(asked.field("accept-language").unwrap_or("none"), "max-age=600")
            .field("vary", "accept-language"),
        _ => Reply::cached(asked.nth.to_string(), "max-age=600"),
    });
    world
}

fn admin(world: &World, method: &str, path: &str, body: &str) -> Answer {
    let request = world.request(method, &format!("/_tidegate/admin/{path}"));
    let request = request.field("authorization", "Bearer s3cret");
    if method == "POST" { request.body(body).run() } else { request.run() }
}

fn warm(world: &World, paths: &[&str], more: &str) {
    let urls: Vec<String> = paths.iter().map(|path| format!("\"https://edge.example{path}\"")).collect();
    let answer = admin(world, "POST", "warm", &format!("{{\"urls\":[{}]{more}}}", urls.join(",")));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn progress(world: &World) -> serde_json::Value {
    serde_json::from_str(admin(world, "GET", "warm", "").text()).unwrap()
}

#[test]
fn what_is_warmed_is_in_kv_for_every_colo_before_anybody_asks() {
    let world = fleet("");
    let paths = ["/0", "/1", "/2", "/3", "/4"];
    warm(&world, &paths, "");
    world.pass(secs(70));
    // The object's own colo has it too.
    for path in paths {
        for colo in 1..3 {
            let answer = world.get(path).at(colo, 0).run();
            assert!(answer.cache().contains("detail=kv"), "{path} {colo}: {}", answer.cache());
        }
    }
    assert_eq!((world.counts().origin, world.counts().kv_writes, world.leaks()), (5, 5, 0));
}

#[test]
fn no_more_of_them_are_asked_for_in_a_second_than_the_config_says() {
    let world = fleet("[fleet]\nwarm_per_second = 2\n");
    let paths: Vec<String> = (0..20).map(|nth| format!("/{nth}")).collect();
    warm(&world, &paths.iter().map(String::as_str).collect::<Vec<_>>(), "");
    world.pass(secs(5));
    assert_eq!(world.counts().origin, 11);
    let told = progress(&world);
    assert_eq!((&told["waiting"], &told["stored"]), (&9.into(), &11.into()));
    world.pass(secs(6));
    let asked: Vec<_> = world.asked().iter().map(|asked| asked.at).collect();
    assert!(asked.windows(3).all(|three| three[2].since(three[0]) >= secs(1)), "{asked:?}");
    assert_eq!(progress(&world)["stored"], 20);
}

#[test]
fn it_tells_what_came_of_each() {
    let world = fleet("");
    warm(&world, &["/a", "/private", "/short", "/gone"], "");
    world.pass(secs(10));
    warm(&world, &["/a", "/b"], "");
    world.pass(secs(10));
    let told = progress(&world);
    assert_eq!((&told["waiting"], &told["under_way"]), (&0.into(), &0.into()));
    assert_eq!((&told["stored"], &told["fresh"]), (&1.into(), &1.into()), "{told}");
    let world = fleet("");
    warm(&world, &["/a", "/private", "/short", "/gone"], "");
    world.pass(secs(10));
    let told = progress(&world);
    assert_eq!((&told["stored"], &told["passed"], &told["failed"]), (&1.into(), &2.into(), &1.into()));
}

#[test]
fn what_was_purged_is_fetched_anew_wherever_the_purge_was_asked_for() {
    let world = fleet("");
    warm(&world, &["/a"], "");
    world.pass(secs(70));
    let old = world.get("/a").at(1, 0).run();
    assert!(old.cache().contains("detail=kv"));
    let purge = world.request("POST", "/_tidegate/admin/purge").at(2, 1);
    let purge = purge.field("authorization", "Bearer s3cret");
    assert_eq!(purge.body(r#"{"operations":[{"everything":true}]}"#).run().status, 200);
    // Another isolate, which has not heard of it.
    warm(&world, &["/a"], "");
    world.pass(secs(67));
    assert_eq!(progress(&world)["stored"], 1);
    for colo in 0..3 {
        world.get("/other").at(colo, 0).run();
        world.pass(secs(1));
        let new = world.get("/a").at(colo, 0).run();
        assert!(new.is_hit() && new.text() != old.text(), "{colo}: {}", new.cache());
    }
}

#[test]
fn variants_are_warmed_by_the_fields_that_select_them() {
    let world = fleet("");
    for language in ["de", "fr"] {
        warm(&world, &["/spoken"], &format!(",\"fields\":{{\"Accept-Language\":\"{language}\"}}"));
        world.pass(secs(2));
    }
    world.pass(secs(61));
    for language in ["de", "fr"] {
        let answer = world.get("/spoken").at(1, 0).field("accept-language", language).run();
        assert_eq!((answer.text(), answer.is_hit()), (language, true), "{}", answer.cache());
    }
}

#[test]
fn who_shows_no_token_warms_nothing_and_what_is_wrong_is_named() {
    let world = fleet("");
    let body = r#"{"urls":["https://edge.example/a"]}"#;
    let wrong = world.request("POST", "/_tidegate/admin/warm").field("authorization", "Bearer no").body(body);
    assert_eq!(wrong.run().status, 401);
    let answer = admin(&world, "POST", "warm", r#"{"urls":["/a"]}"#);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("urls[0]: is no absolute URL"), "{}", answer.text());
    world.fault(Helper::Fleet, Fault::Fails);
    assert_eq!(admin(&world, "POST", "warm", body).status, 503);
    world.pass(secs(10));
    assert_eq!(world.counts().origin, 0);
}

const HOT: &str = "[fleet]\nhot = true\nwarm_after_purge = true\nwarm_every = \"10m\"\n";

/// Asks for some paths, the first ones more often, and lets it be counted.
fn busy(world: &World) {
    for nth in 0..40 {
        for hot in 0..3 {
            world.get(&format!("/hot/{hot}")).at(0, nth % 3).run();
        }
        world.get(&format!("/cold/{nth}")).run();
    }
    world.get("/private").run();
    world.pass(secs(15));
    world.get("/hot/0").run();
    world.pass(secs(15));
}

#[test]
fn what_tidegate_answers_itself_is_not_warmed() {
    let world = fleet("");
    for path in ["/_tidegate", "/_tidegate/health", "/_tidegate/admin/config?x", "//%5ftidegate/live"] {
        let content = format!("{{\"urls\":[\"https://a/x\",\"https://edge.example{path}\"]}}");
        let answer = admin(&world, "POST", "warm", &content);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert!(answer.text().contains("urls[1]: is one of tidegate's own"), "{answer:#?}");
    }
    warm(&world, &["/_tidegatex"], "");
}

#[test]
fn what_is_asked_for_most_is_refilled_after_a_purge_at_its_rate() {
    let world = fleet(HOT);
    busy(&world);
    let before = world.counts().origin;
    let purged = admin(&world, "POST", "purge", r#"{"operations":[{"everything":true}]}"#);
    assert_eq!(purged.status, 200);
    world.pass(secs(70));
    let asked: Vec<String> = world.asked()[before..].iter().map(|asked| asked.path().to_owned()).collect();
    assert_eq!(asked.len(), 16, "{asked:?}");
    assert!((0..3).all(|hot| asked.contains(&format!("/hot/{hot}"))), "{asked:?}");
    assert!(!asked.contains(&"/private".to_owned()));
    let answer = world.get("/hot/1").at(2, 0).run();
    assert!(answer.cache().contains("detail=kv"), "{}", answer.cache());
}

#[test]
fn what_is_asked_for_most_is_warmed_from_time_to_time_and_when_it_is_asked_for() {
    let world = fleet(HOT);
    busy(&world);
    world.pass(secs(700));
    let before = world.counts().origin;
    for _ in 0..10 {
        world.tick(1, 1);
        world.pass(secs(60));
    }
    let asked = world.counts().origin - before;
    assert_eq!(asked, 16, "once in ten minutes");
    world.pass(secs(700));
    assert_eq!(admin(&world, "POST", "warm", r#"{"hot":true}"#).status, 200);
    world.pass(secs(10));
    assert_eq!(world.counts().origin - before, 32);

    let world = fleet("");
    busy(&world);
    let before = world.counts().origin;
    assert_eq!(admin(&world, "POST", "warm", r#"{"hot":true}"#).status, 200);
    world.pass(secs(10));
    assert_eq!(world.counts().origin, before, "nobody counted");
}

#[test]
fn a_purge_is_answered_where_the_hot_urls_cannot_be_had() {
    let world = fleet(HOT);
    busy(&world);
    world.fault(Helper::Metrics, Fault::Fails);
    let purged = admin(&world, "POST", "purge", r#"{"operations":[{"everything":true}]}"#);
    assert_eq!(purged.status, 200);
    world.fault(Helper::Metrics, Fault::None);
    world.get("/hot/0").run();
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "fleet-unreachable")]), 1);
}
