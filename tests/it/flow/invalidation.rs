//! What a write through one isolate makes invalid in the others: `invalidation = "global"`.

use super::PLAIN;
use crate::sim::{Fault, Helper, Reply, World, secs};

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
