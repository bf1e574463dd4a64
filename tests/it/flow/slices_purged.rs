//! What puts an end to a response puts an end to each of its slices, also where the origin goes on with the entity tag.

use std::cell::Cell;
use std::rc::Rc;

use super::PLAIN;
use super::purging::purge;
use super::slices::{SLICE, asked, large, ranges};
use crate::sim::{Asked, Reply, World, secs};

/// A world with what tells its origin to go on with another body, under the same tag.
fn world(tag: &'static str, validates: bool) -> (World, Rc<Cell<bool>>, [String; 2]) {
    let config = format!("{PLAIN}cache = {{ slice = \"64KiB\", kv_admission = \"always\" }}\n");
    let world = World::fleet(5, 1).config(&config).var("TIDEGATE_ADMIN_TOKEN", "s3cret");
    let changed = Rc::new(Cell::new(false));
    let bodies = [large(4 * SLICE), "n".repeat(4 * SLICE)];
    let (has, [old, new]) = (changed.clone(), bodies.clone());
    world.origin(move |asked| {
        let mut asked = Asked { ..asked.clone() };
        if !validates {
            asked.head.fields.remove("if-none-match");
        }
        if asked.method() == "POST" {
            return Reply::ok("").field("cache-group-invalidation", "\"films\"");
        }
        let reply = ranges(if has.get() { &new } else { &old }, tag, &asked);
        reply.field("cache-tag", "film").field("cache-groups", "\"films\"")
    });
    (world, changed, bodies)
}

#[test]
fn a_hard_purge_reaches_every_slice() {
    for operation in [
        r#""url":"https://edge.example/x""#,
        r#""tag":"film""#,
        r#""everything":true"#,
        r#""route":"all""#,
        r#""host":"edge.example""#,
        r#""prefix":"https://edge.example/""#,
    ] {
        let (world, changed, [old, new]) = world("\"same\"", true);
        assert!(world.get("/x").run().text() == old);
        world.pass(secs(61));
        changed.set(true);
        purge(&world, operation);
        for isolate in [0, 1] {
            let answer = world.get("/x").at(0, isolate).run();
            assert!(answer.text() == new, "{operation}, isolate {isolate}");
            world.pass(secs(61));
        }
        assert_eq!((world.counts().origin, world.leaks()), (8, 0), "each slice anew, once");
    }
}

#[test]
fn after_a_soft_purge_no_slice_is_of_another_response_than_the_first() {
    for validates in [true, false] {
        let (world, changed, [old, new]) = world("\"same\"", validates);
        world.get("/x").run();
        world.pass(secs(61));
        changed.set(!validates);
        purge(&world, r#""tag":"film","mode":"soft""#);
        let answer = world.get("/x").run();
        assert!(answer.text() == if validates { old } else { new }, "{validates}: {}", answer.cache());
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn what_a_write_makes_invalid_are_all_slices() {
    for target in ["/x", "/other"] {
        let (world, changed, [_, new]) = world("\"same\"", false);
        world.get("/x").run();
        world.pass(secs(61));
        changed.set(true);
        world.request("POST", target).body("x").run();
        assert!(world.get("/x").run().text() == new, "{target}");
        world.pass(secs(2));
        assert!(world.get("/x").run().text() == new, "{target}");
        assert_eq!((asked(&world).len(), world.leaks()), (9, 0), "{target}");
    }
}
