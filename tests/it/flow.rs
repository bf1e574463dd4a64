//! A request's whole way, on a virtual clock.

use crate::sim::{Reply, World, secs};

const ONE: &str = "[origins.default]\nurl = \"http://origin.example\"\n";

#[test]
fn the_second_request_is_a_hit_and_its_age_grows() {
    let world = World::new(1).config(ONE);
    world.origin(|_| Reply::cached("hello", "max-age=60"));
    let miss = world.get("/x").run();
    assert_eq!(
        (miss.status, miss.text(), miss.cache().as_str()),
        (200, "hello", "fwd=uri-miss; fwd-status=200; stored; ttl=60")
    );
    let hit = world.get("/x").run();
    assert_eq!(
        (hit.status, hit.text(), hit.cache().as_str(), hit.age()),
        (200, "hello", "hit; ttl=60; detail=memory", 0)
    );
    world.pass(secs(24));
    let later = world.get("/x").run();
    assert_eq!((later.cache().as_str(), later.age()), ("hit; ttl=36; detail=memory", 24));
    assert_eq!((world.counts().origin, world.leaks()), (1, 0));
}
