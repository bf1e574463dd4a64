//! What a write through one isolate makes invalid in the others: `invalidation = "global"`.

use super::{PLAIN, plain};
use crate::sim::{Fault, Helper, Reply, World, ms, secs};

/// After how long the fleet knows of a write: a second, KV's lag, and `fleet.refresh`.
const EVERYWHERE: u64 = 66;
const PLACES: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

/// Two colos with all layers. What is got says of which request it is, and is fresh for a day.
fn fleet(invalidation: &str) -> World {
    let keys = format!("kv_admission = \"always\", invalidation = \"{invalidation}\"");
    let world = World::fleet(7, 2).config(&format!("{PLAIN}cache = {{ {keys} }}\n"));
    world.origin(|asked| match asked.method() {
        "GET" => {
            let group = asked.path().replace('/', "");
            Reply::cached(asked.nth.to_string(), "max-age=86400")
                .field("cache-groups", &format!("\"{group}\""))
        }
        _ => Reply::new(204, "").field("location", "/made").field("cache-group-invalidation", "\"grouped\""),
    });
    world
}

/// Whether each place still answers with what it had before, once all had time to hear of a write.
fn left_after_a_write(world: &World, path: &str) -> Vec<bool> {
    let had: Vec<String> = PLACES
        .iter()
        .map(|place| {
            let answer = world.get(path).at(place.0, place.1).run();
            world.pass(secs(61));
            answer.text().to_owned()
        })
        .collect();
    assert_eq!(world.request("POST", "/written").run().status, 204);
    world.pass(secs(EVERYWHERE));
    let still = |(place, had): (&(usize, usize), &String)| {
        world.pass(secs(6));
        world.get(path).at(place.0, place.1).run().text() == had
    };
    PLACES.iter().zip(&had).map(still).collect()
}

#[test]
fn a_write_reaches_every_layer_of_every_isolate_where_the_route_says_so() {
    for path in ["/written", "/made", "/grouped"] {
        assert_eq!(left_after_a_write(&fleet("global"), path), [false; 4], "{path}");
        let by_itself = left_after_a_write(&fleet("isolate"), path);
        assert!(!by_itself[0] && by_itself[3], "{path}: {by_itself:?}");
    }
    assert_eq!(left_after_a_write(&fleet("global"), "/other"), [true; 4]);
}

#[test]
fn writes_that_come_while_one_is_told_are_told_together() {
    let world = fleet("global");
    let paths: Vec<String> = (0..100).map(|nth| format!("/{nth}")).collect();
    let read = |path: &String| world.get(path).at(1, 0).run().text().to_owned();
    let had: Vec<String> = paths.iter().map(read).collect();
    world.fault(Helper::Fleet, Fault::Takes(secs(1)));
    let pending: Vec<_> = paths.iter().map(|path| world.request("POST", path).start()).collect();
    world.finish_all(&pending);
    world.pass(secs(EVERYWHERE));
    assert_eq!(world.counts().fleet_commands, 2);
    assert!(paths.iter().zip(&had).all(|(path, had)| read(path) != *had));
}

#[test]
fn an_object_that_is_away_fails_no_write_and_hears_of_it_later() {
    let world = fleet("global");
    let first = world.get("/written").at(1, 0).run();
    world.fault(Helper::Fleet, Fault::Fails);
    assert_eq!(world.request("POST", "/written").run().status, 204);
    world.pass(secs(20));
    world.get("/elsewhere").run();
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "fleet-unreachable")]), 3);
    assert_eq!(world.get("/written").at(1, 0).run().text(), first.text());
    world.fault(Helper::Fleet, Fault::None);
    world.request("POST", "/elsewhere").run();
    world.pass(secs(EVERYWHERE));
    world.get("/other").at(1, 0).run();
    world.pass(secs(1));
    assert_ne!(world.get("/written").at(1, 0).run().text(), first.text());
}

#[test]
fn a_write_invalidates_what_the_origin_names_as_its_own_rfc9111_4_4() {
    for (named, kept) in [
        ("http://origin.example/b", false),
        ("HTTP://Origin.Example/b", false),
        ("/b", false),
        ("http://other.example/b", true),
        ("https://origin.example/b", true),
    ] {
        for field in ["location", "content-location"] {
            let world = plain([]);
            world.origin(move |asked| match asked.method() {
                "GET" => Reply::cached("old", "max-age=1000"),
                _ => Reply::new(201, "").field(field, named),
            });
            world.get("/b").run();
            world.request("POST", "/a").run();
            assert_eq!(world.get("/b").run().is_hit(), kept, "{field}: {named}");
        }
    }
}

#[test]
fn what_a_group_is_rid_of_includes_what_was_on_its_way_rfc9875_3() {
    let world = plain([]);
    world.origin(|asked| match asked.method() {
        "GET" => Reply::cached(asked.nth.to_string(), "max-age=1000")
            .field("cache-groups", "\"g\"")
            .after(if asked.nth == 0 { ms(1500) } else { ms(1) }),
        _ => Reply::new(200, "").field("cache-group-invalidation", "\"g\"").after(ms(1)),
    });
    let slow = world.get("/a").start();
    world.pass(ms(300));
    world.request("POST", "/w").run();
    assert_eq!(world.finish(&slow).text(), "0");
    for (isolate, text) in [(0, "2"), (0, "2"), (1, "2")] {
        assert_eq!(world.get("/a").at(0, isolate).run().text(), text);
    }
}

/// A world whose origin takes so long for everything, and whose answers say how many writes they show.
fn versions(takes: u64) -> World {
    let world = World::new(2).config(PLAIN);
    let writes = std::cell::Cell::new(0);
    world.origin(move |asked| {
        writes.set(writes.get() + u32::from(asked.method() == "PUT"));
        Reply::cached(writes.get().to_string(), "max-age=1000").after(ms(takes))
    });
    world
}

#[test]
fn a_write_that_ends_in_the_millisecond_in_which_a_get_is_sent_makes_it_old() {
    for takes in [0, 1, 5] {
        let world = versions(takes);
        let get = world.get("/a").start();
        let put = world.request("PUT", "/a").start();
        world.finish_all(&[get, put]);
        for _ in 0..2 {
            assert_eq!(world.get("/a").run().text(), "1", "{takes} ms");
        }
        // What is asked after a write in the same millisecond is stored all the same.
        let world = versions(takes);
        world.request("PUT", "/a").run();
        assert!(!world.get("/a").run().is_hit());
        assert!(world.get("/a").run().is_hit(), "{takes} ms");
    }
}

#[test]
fn what_is_sent_between_two_writes_of_one_millisecond_is_older_than_the_second() {
    for between in 1..4 {
        let world = versions(0);
        let mut pending = vec![world.request("PUT", "/a").start()];
        for _ in 0..between {
            world.tick(0, 0);
            pending.push(world.get("/a").start());
            world.tick(0, 0);
            pending.push(world.request("PUT", "/a").start());
        }
        let answers = world.finish_all(&pending);
        assert!(answers.iter().all(|answer| answer.at == answers[0].at), "all in one millisecond");
        for _ in 0..2 {
            assert_eq!(world.get("/a").run().text(), (between + 1).to_string());
        }
    }
}

#[test]
fn what_was_on_its_way_in_one_isolate_does_not_come_back_to_the_one_that_wrote() {
    let world = versions(500);
    let slow = world.get("/a").at(0, 1).start();
    world.pass(ms(100));
    let put = world.request("PUT", "/a").start();
    assert_eq!(world.finish(&slow).text(), "0");
    world.finish(&put);
    assert_eq!(world.get("/a").run().text(), "1");
}

#[test]
fn what_is_being_read_of_a_store_while_a_write_ends_does_not_come_into_memory() {
    let world = versions(20);
    world.get("/a").run();
    world.pass(secs(2));
    world.lose(0, 0);
    let put = world.request("PUT", "/a").start();
    world.fault(Helper::Colo, Fault::Takes(ms(30)));
    let get = world.get("/a").start();
    world.fault(Helper::Colo, Fault::None);
    world.finish_all(&[put, get]);
    assert_eq!(world.get("/a").run().text(), "1");
}
