//! Purges: what they put an end to, when they hold where, and what happens when the fleet's object is away.

use std::cell::Cell;
use std::rc::Rc;

use super::PLAIN;
use crate::sim::{Answer, Fault, Helper, Reply, World, ms, secs};

/// After how long a purge holds everywhere: a second, KV's lag, and `fleet.refresh`.
const EVERYWHERE_SECS: u64 = 66;

/// Some colos with all layers. The origin's answers are numbered, and `keys` go on after `max-age=86400`.
fn fleet(colos: usize, keys: &'static str) -> World {
    let config = format!("{PLAIN}cache = {{ kv_admission = \"always\" }}\n");
    let world = World::fleet(5, colos).config(&config).var("TIDEGATE_ADMIN_TOKEN", "s3cret");
    numbered(&world, keys);
    world
}

fn numbered(world: &World, keys: &'static str) {
    let count = Cell::new(0);
    world.origin(move |asked| {
        count.set(count.get() + 1);
        let tag = asked.path().split('?').next().unwrap();
        Reply::cached(count.get().to_string(), &format!("max-age=86400{keys}"))
            .field("cache-tag", &format!("all, tag{}", tag.replace('/', "-")))
    });
}

fn admin(world: &World, method: &str, path: &str, body: &str) -> Answer {
    let request = world.request(method, &format!("/_tidegate/admin/{path}"));
    let request = request.field("authorization", "Bearer s3cret");
    if method == "POST" { request.body(body).run() } else { request.run() }
}

/// Purges, with the members of one operation.
#[track_caller]
pub(super) fn purge(world: &World, operation: &str) {
    let answer = admin(world, "POST", "purge", &format!("{{\"operations\":[{{{operation}}}]}}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn each_kind_of_purge_ends_what_it_names_and_spares_the_rest() {
    for (operation, a_ends, b_ends) in [
        (r#""url":"https://edge.example/a/x?y=1""#, true, false),
        (r#""url":"https://edge.example/a/x""#, false, false),
        (r#""prefix":"https://edge.example/a/""#, true, false),
        (r#""prefix":"https://edge.example/""#, true, true),
        (r#""tag":"Tag-A-X""#, true, false),
        (r#""tag":"tag-b""#, false, true),
        (r#""tag":"all""#, true, true),
        (r#""route":"all""#, true, true),
        (r#""host":"edge.example""#, true, true),
        (r#""host":"other.example""#, false, false),
        (r#""everything":true"#, true, true),
    ] {
        let world = fleet(1, "");
        let stored = ["/a/x?y=1", "/b"].map(|path| (path, world.get(path).run().text().to_owned()));
        world.pass(secs(61));
        purge(&world, operation);
        for ((path, first), ends) in stored.iter().zip([a_ends, b_ends]) {
            // The one that was asked, and one that has only heard of it.
            for isolate in [0, 1] {
                let answer = world.get(path).at(0, isolate).run();
                assert_eq!(answer.text() != first, ends, "{operation}: {path} {}", answer.cache());
                world.pass(secs(61));
            }
        }
        let asked = world.asked();
        assert!(asked.iter().all(|asked| asked.field("if-none-match").is_none()), "it is gone, not stale");
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn a_purge_reaches_what_every_layer_of_every_isolate_holds() {
    let world = fleet(2, "");
    // In the memory of two isolates in each colo, in both colos, in KV; a third isolate of each has not seen it.
    for isolate in 0..2 {
        for colo in 0..2 {
            assert_eq!(world.get("/x").at(colo, isolate).run().text(), "1");
            world.pass(secs(61));
        }
    }
    purge(&world, r#""tag":"tag-x""#);
    assert_eq!(world.get("/x").run().text(), "2", "where it was asked for it holds at once");
    world.pass(secs(EVERYWHERE_SECS));
    for isolate in 0..3 {
        for colo in 0..2 {
            let answer = world.get("/x").at(colo, isolate).run();
            assert_ne!(answer.text(), "1", "colo {colo}, isolate {isolate}: {}", answer.cache());
        }
    }
    assert_eq!(world.leaks(), 0);
}

#[test]
fn an_isolate_under_load_learns_of_a_purge_without_a_request_that_waits() {
    let world = fleet(2, "");
    world.get("/x").run();
    world.pass(secs(61));
    let ask = || world.get("/x").at(1, 0).start();
    world.finish(&ask());
    purge(&world, r#""everything":true"#);
    let (mut old, before) = (0, world.counts().fleet_reads);
    for _ in 0..EVERYWHERE_SECS {
        world.pass(secs(1));
        let pending = ask();
        match pending.take() {
            Some(answer) => old += u32::from(answer.text() == "1"),
            // Purged: this one is fetched.
            None => assert_eq!(world.finish(&pending).text(), "2"),
        }
    }
    assert!(old > 0 && world.get("/x").at(1, 0).run().text() == "2", "{old}");
    let reads = world.counts().fleet_reads - before;
    assert!((10..=32).contains(&reads), "{reads} reads of KV in {EVERYWHERE_SECS} s");
}

#[test]
fn a_soft_purge_leaves_a_stale_response_that_still_answers_as_it_may() {
    let world = fleet(1, ", stale-while-revalidate=600, stale-if-error=3600");
    world.get("/x").run();
    purge(&world, r#""url":"https://edge.example/x","mode":"soft""#);
    world.pass(secs(1));
    let stale = world.get("/x").run();
    assert_eq!((stale.text(), stale.cache().as_str()), ("1", "hit; ttl=-1; detail=swr"));
    world.pass(secs(1));
    let fresh = world.get("/x").run();
    assert_eq!((fresh.text(), fresh.is_hit()), ("2", true), "refreshed behind the stale one");

    purge(&world, r#""url":"https://edge.example/x","mode":"soft""#);
    world.pass(secs(601));
    world.origin(|_| Reply::new(503, ""));
    let answer = world.get("/x").run();
    assert_eq!((answer.status, answer.text()), (200, "2"));
    assert!(answer.cache().contains("detail=sie"), "{}", answer.cache());
}

#[test]
fn what_the_origin_confirms_after_a_soft_purge_is_fresh_again() {
    let world = fleet(1, "");
    world.replies([
        Reply::cached("1", "max-age=600").field("etag", "\"a\""),
        Reply::new(304, "").field("cache-control", "max-age=600").field("etag", "\"a\""),
    ]);
    world.get("/x").run();
    purge(&world, r#""everything":true,"mode":"soft""#);
    let answer = world.get("/x").run();
    assert_eq!((answer.text(), world.asked_last().field("if-none-match")), ("1", Some("\"a\"")));
    assert_eq!(world.get("/x").run().cache(), "hit; ttl=600; detail=memory");
}

#[test]
fn every_variant_of_a_url_is_purged() {
    let world = fleet(1, "");
    world.origin(|asked| {
        let language = asked.field("accept-language").unwrap_or("none");
        Reply::cached(language.to_owned(), "max-age=600").field("vary", "accept-language")
    });
    let get = |language: &str| world.get("/x").field("accept-language", language).run();
    for language in ["de", "en"] {
        get(language);
        world.pass(secs(2));
        assert!(get(language).is_hit());
    }
    purge(&world, r#""url":"https://edge.example/x""#);
    for language in ["de", "en"] {
        assert!(!get(language).is_hit(), "{language}");
        assert!(get(language).is_hit(), "{language}");
    }
}

#[test]
fn a_response_under_way_when_it_is_purged_is_not_stored() {
    let world = fleet(1, "");
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    world.origin(move |_| {
        counted.set(counted.get() + 1);
        Reply::cached(counted.get().to_string(), "max-age=600").after(secs(2))
    });
    let pending = world.get("/x").start();
    world.pass(secs(1));
    purge(&world, r#""url":"https://edge.example/x""#);
    assert_eq!(world.finish(&pending).text(), "1");
    assert_eq!((world.get("/x").run().text(), count.get()), ("2", 2));
    assert_eq!(world.get("/x").run().text(), "2");
}

#[test]
fn a_batch_that_is_sent_again_is_not_applied_again() {
    let world = fleet(1, "");
    let batch = |operations: &str| {
        let text = format!("{{\"id\":\"deploy-7\",\"operations\":[{operations}]}}");
        admin(&world, "POST", "purge", &text)
    };
    let one = r#"{"tag":"all"},{"host":"other.example","mode":"soft"}"#;
    let first = batch(one);
    let done: serde_json::Value = serde_json::from_str(first.text()).unwrap();
    assert_eq!(
        (first.status, &done["id"], &done["everywhere_within_seconds"]),
        (200, &"deploy-7".into(), &66.into())
    );
    let operations = done["operations"].as_array().unwrap();
    assert_eq!((operations.len(), &operations[0]["done"]), (2, &"not served again".into()));
    assert_eq!(
        (&operations[1]["done"], &operations[1]["here"]),
        (&"stale from now on".into(), &"now".into())
    );
    world.get("/x").run();
    world.pass(secs(5));
    assert_eq!(batch(one).text(), first.text());
    assert!(world.get("/x").run().is_hit(), "what came after the first is not purged by the second");
    let other = batch(r#"{"tag":"other"}"#);
    assert_eq!(other.status, 409);
    assert!(other.text().contains("another batch has this id; allowed: "), "{}", other.text());
}

#[test]
fn who_shows_no_token_purges_nothing_and_what_is_wrong_is_named() {
    let world = fleet(1, "");
    world.get("/x").run();
    let body = r#"{"operations":[{"everything":true}]}"#;
    let closed = World::new(1).config(PLAIN);
    assert_eq!(closed.request("POST", "/_tidegate/admin/purge").body(body).run().status, 404);
    let wrong =
        world.request("POST", "/_tidegate/admin/purge").field("authorization", "Bearer no").body(body);
    assert_eq!(wrong.run().status, 401);
    assert!(world.get("/x").run().is_hit());
    for (method, body, status, expected) in [
        ("GET", "", 405, ""),
        ("POST", "", 400, "the content is no JSON object; allowed: "),
        (
            "POST",
            r#"{"operations":[{"tag":"a","mode":"sft"}]}"#,
            400,
            "operations[0].mode: is not known; allowed: ",
        ),
        ("POST", r#"{"operations":[{"route":"al"}]}"#, 400, "`al` is not a route; allowed: all"),
        ("POST", &" ".repeat(256 * 1024 + 1), 413, "the content is too long; allowed: up to 256 KiB"),
    ] {
        let answer = admin(&world, method, "purge", body);
        assert_eq!(answer.status, status, "{method} {}", answer.text());
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
    assert_eq!(world.counts().fleet_commands, 0);
}

#[test]
fn the_audit_trail_tells_who_purged_what() {
    let world = fleet(1, "");
    purge(&world, r#""tag":"a""#);
    world.pass(secs(1));
    purge(&world, r#""host":"b.example","mode":"soft""#);
    let trail: serde_json::Value = serde_json::from_str(admin(&world, "GET", "audit", "").text()).unwrap();
    let of = |at: usize| trail[at]["operations"][0].clone();
    assert_eq!(of(0), serde_json::json!({ "host": "b.example", "mode": "soft" }));
    assert_eq!(of(1), serde_json::json!({ "tag": "a", "mode": "hard" }));
    assert_eq!(trail[0]["by"]["address"], "192.0.2.1");
    assert!(!trail.to_string().contains("s3cret"));
}

#[test]
fn an_object_that_is_away_fails_the_purge_and_nothing_else() {
    let world = fleet(1, "");
    world.get("/x").run();
    world.fault(Helper::Fleet, Fault::Hangs);
    let answer = admin(&world, "POST", "purge", r#"{"operations":[{"everything":true}]}"#);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(world.get("/x").run().is_hit());
}

#[test]
fn a_document_that_cannot_be_read_is_the_old_one_and_counted() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = fleet(1, "");
        world.get("/x").run();
        purge(&world, r#""url":"https://edge.example/y""#);
        world.fault(Helper::Kv, fault);
        world.pass(secs(3600));
        let before = world.now();
        let answer = world.get("/x").run();
        assert_eq!((answer.text(), answer.is_hit()), ("1", true));
        assert!(answer.at.since(before) <= ms(75), "it waits no longer than for KV");
        world.pass(secs(10));
        world.get("/x").run();
        assert!(world.metric("tidegate_incidents_total", &[("incident", "fleet-unreachable")]) >= 1);
    }
}

#[test]
fn a_flood_of_purges_writes_kv_once_a_second() {
    let world = fleet(1, "");
    for _ in 0..20 {
        for _ in 0..25 {
            purge(&world, r#""tag":"a""#);
        }
        world.pass(secs(1));
    }
    world.pass(secs(2));
    let counts = world.counts();
    assert_eq!(counts.fleet_commands, 500);
    assert!((20..=22).contains(&counts.fleet_writes), "{} writes", counts.fleet_writes);
}

#[test]
fn a_body_too_large_for_memory_is_purged_hard_and_soft_where_it_lies() {
    let world = fleet(1, "");
    let large = "0123456789".repeat(60_000);
    let body = large.clone();
    world.origin(move |asked| match asked.field("if-none-match") {
        Some(_) => Reply::new(304, "").field("cache-control", "max-age=600").field("etag", "\"a\""),
        None => Reply::cached(body.clone(), "max-age=600").field("etag", "\"a\""),
    });
    let cache = || {
        let answer = world.get("/x").run();
        assert!(answer.text() == large);
        world.pass(secs(2));
        answer.cache()
    };
    cache();
    assert!(cache().contains("detail=colo"));
    purge(&world, r#""url":"https://edge.example/x","mode":"soft""#);
    assert!(cache().starts_with("fwd=stale; fwd-status=304"));
    assert!(cache().starts_with("hit"), "confirmed after it was purged");
    purge(&world, r#""url":"https://edge.example/x""#);
    assert!(cache().starts_with("fwd=uri-miss; fwd-status=200"));
    assert!(cache().starts_with("hit"));
    assert_eq!(world.leaks(), 0);
}

#[test]
fn what_another_isolate_got_before_a_purge_answers_nobody_who_knows_of_it() {
    let config = format!("{PLAIN}cache = {{ collapse = \"global\" }}\n");
    let world = World::fleet(5, 2).config(&config).var("TIDEGATE_ADMIN_TOKEN", "s3cret");
    let count = Cell::new(0);
    world.origin(move |_| {
        count.set(count.get() + 1);
        Reply::cached(count.get().to_string(), "max-age=600").after(secs(2))
    });
    let leads = world.get("/x").at(1, 0).start();
    world.pass(secs(1));
    purge(&world, r#""everything":true"#);
    let waits = world.get("/x").at(0, 0).start();
    assert_eq!(world.finish(&leads).text(), "1", "it has not heard of it");
    assert_eq!(world.finish(&waits).text(), "2");
}

#[test]
fn what_answers_other_queries_is_purged_by_any_of_them_in_every_layer() {
    for mode in ["hard", "soft"] {
        for query in ["?a=1", "?a=2", ""] {
            let world = fleet(1, "");
            world.origin(|asked| {
                Reply::cached(asked.nth.to_string(), "max-age=86400")
                    .field("no-vary-search", "params=(\"a\")")
            });
            world.get("/x?a=1").run();
            world.get("/y?a=1").run();
            world.pass(secs(61));
            let url = format!("\"url\":\"https://edge.example/x{query}\",\"mode\":\"{mode}\"");
            purge(&world, &url);
            // The one that was asked, one that has only heard of it, and one that starts.
            for isolate in [0, 1, 2] {
                let answer = world.get("/x?a=1").at(0, isolate).run();
                assert_ne!(answer.text(), "0", "{mode} {query} {isolate}: {}", answer.cache());
                assert_eq!(world.get("/y?a=1").at(0, isolate).run().text(), "1");
                world.pass(secs(61));
            }
            assert_eq!(world.leaks(), 0);
        }
    }
}

#[test]
fn after_a_purge_of_a_url_none_of_its_variants_is_there() {
    let world = fleet(1, "");
    world.origin(|asked| {
        let language = asked.field("accept-language").unwrap_or("none");
        Reply::cached(language.to_owned(), "max-age=86400")
            .field("vary", "accept-language")
            .field("etag", &format!("\"{language}\""))
    });
    let get = |language: &str| world.get("/x").field("accept-language", language).run();
    for language in ["de", "en"] {
        get(language);
        world.pass(secs(2));
    }
    assert!(get("fr").cache().starts_with("fwd=vary-miss"));
    purge(&world, r#""url":"https://edge.example/x""#);
    world.pass(secs(EVERYWHERE_SECS));
    let answer = get("de");
    assert!(answer.cache().starts_with("fwd=uri-miss"), "{}", answer.cache());
    assert_eq!(world.asked_last().field("if-none-match"), None);
    let answer = get("en");
    assert!(answer.cache().starts_with("fwd=vary-miss"), "{}", answer.cache());
}
