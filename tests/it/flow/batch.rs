//! Single requests that come together are sent to the origin as one, and each gets its own answer.

use super::PLAIN;
use crate::sim::{Answer, Asked, Pending, Reply, World, ms, secs};

const QUERY: &str = "batch = { ask = \"/users/{id} -> /users?ids={ids}\", wait = \"5ms\", size_max = 4 }\n";
const POST: &str = "batch = { ask = \"/users/{id} -> POST /users/batch\" }\n";

fn world(batch: &str) -> World {
    let world = World::new(1).config(&[PLAIN, batch].concat());
    world.origin(origin);
    world
}

/// An item for each id but `gone`; alone it answers 404 for that.
fn origin(asked: &Asked) -> Reply {
    let item = |id: &str| format!("{{\"id\":\"{id}\",\"name\":\"user {id}\"}}");
    let list = |ids: Vec<&str>| {
        let items: Vec<String> = ids.into_iter().filter(|id| *id != "gone").map(item).collect();
        Reply::cached(format!("[{}]", items.join(",")), "max-age=60")
            .field("content-type", "application/json")
            .field("etag", "\"all\"")
    };
    match (asked.path().strip_prefix("/users?ids="), asked.path().strip_prefix("/users/")) {
        (Some(ids), _) => list(ids.split(',').collect()),
        (_, Some("batch")) => {
            list(asked.body.trim_matches(['[', ']']).split(',').map(|id| id.trim_matches('"')).collect())
        }
        (_, Some("gone")) => Reply::new(404, "no such user"),
        (_, Some(id)) => Reply::cached(item(id), "max-age=60")
            .field("content-type", "application/json")
            .field("etag", "\"one\""),
        _ => Reply::new(400, "what?"),
    }
}

fn ask(world: &World, ids: &[&str]) -> Vec<Answer> {
    let pending: Vec<Pending> = ids.iter().map(|id| world.get(&format!("/users/{id}")).start()).collect();
    world.finish_all(&pending)
}

fn paths(world: &World) -> Vec<String> {
    world.asked().iter().map(|asked| asked.path().to_owned()).collect()
}

#[test]
fn what_comes_together_is_asked_for_as_one_and_each_gets_its_own() {
    for (batch, path, body) in [(QUERY, "/users?ids=", ""), (POST, "/users/batch", "\",\"")] {
        let world = world(batch);
        let answers = ask(&world, &["1", "2", "3"]);
        for (answer, id) in answers.iter().zip(["1", "2", "3"]) {
            assert_eq!(
                (answer.status, answer.text()),
                (200, &*format!("{{\"id\":\"{id}\",\"name\":\"user {id}\"}}"))
            );
            assert_eq!(answer.field("etag"), None, "that was the list's");
        }
        let asked = world.asked();
        assert!(
            asked.len() == 1 && asked[0].path().starts_with(path) && asked[0].body.contains(body),
            "{asked:?}"
        );
        assert!(ask(&world, &["1", "2", "3"]).iter().all(Answer::is_hit), "each is stored by itself");
    }
}

#[test]
fn one_that_is_missing_is_asked_alone_and_fails_no_other() {
    let world = world(QUERY);
    let answers = ask(&world, &["1", "gone", "2"]);
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 404, 200]);
    assert_eq!(answers[1].text(), "no such user");
    assert_eq!(paths(&world).len(), 2);
}

#[test]
fn an_answer_that_cannot_be_split_is_as_if_nobody_had_asked_together() {
    let json = |text: &str| Reply::ok(text).field("content-type", "application/json");
    for bad in [
        Reply::new(500, "broken"),
        Reply::ok("<html>"),
        json("[{\"id\":\"1\"}"),
        json("[{\"id\":\"1\"},{\"id\":\"2\"}]").field("set-cookie", "a=1"),
        json("[{\"id\":\"1\"},{\"id\":\"2\"}]").breaks(),
    ] {
        let world = world(QUERY);
        world.origin(move |asked| if asked.path().contains('?') { bad.clone() } else { origin(asked) });
        let answers = ask(&world, &["1", "2"]);
        assert!(answers.iter().all(|answer| answer.text().contains("user")), "{answers:#?}");
        assert_eq!((paths(&world).len(), world.leaks()), (3, 0));
    }
}

#[test]
fn only_who_may_get_the_same_answer_is_asked_for_together() {
    let world = world(QUERY);
    let one =
        |id: &str, name: &str, value: &str| world.get(&format!("/users/{id}")).field(name, value).start();
    let pending = [
        one("1", "cookie", "s=1"),
        one("2", "cookie", "s=2"),
        one("3", "accept-language", "de"),
        one("4", "range", "bytes=0-1"),
        one("5", "cookie", "s=1"),
    ];
    world.finish_all(&pending);
    let mut asked = paths(&world);
    asked.sort();
    assert_eq!(asked, ["/users/2", "/users/3", "/users/4", "/users?ids=1,5"]);
}

#[test]
fn nobody_waits_longer_than_said_and_no_more_than_so_many_go_together() {
    let world = world(QUERY);
    let before = world.now();
    let alone = world.get("/users/9").run();
    assert_eq!((alone.at.since(before), paths(&world)), (ms(5), vec!["/users/9".to_owned()]));
    let ids: Vec<String> = (10..20).map(|id| id.to_string()).collect();
    let answers = ask(&world, &ids.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(answers.iter().all(|answer| answer.status == 200));
    let counts = |path: &String| path.strip_prefix("/users?ids=").map_or(1, |ids| ids.split(',').count());
    let mut together: Vec<usize> = paths(&world)[1..].iter().map(counts).collect();
    together.sort_unstable();
    assert_eq!(together, [2, 4, 4]);
}

#[test]
fn an_origin_that_is_gone_is_everybodys_own_error() {
    let world = world(QUERY);
    world.replies([Reply::fails(tidegate::origin::FetchError::ConnectionLost)]);
    let answers = ask(&world, &["1", "2", "3"]);
    assert!(answers.iter().all(|answer| matches!(answer.status, 502 | 503)), "{answers:#?}");
    world.pass(secs(60));
    assert_eq!(world.leaks(), 0);
}
