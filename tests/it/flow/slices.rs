//! Large responses in aligned slices.

use std::cell::Cell;
use std::rc::Rc;

use super::cached;
use crate::sim::{Asked, Reply, World, secs};

pub(super) const SLICE: usize = 64 << 10;

/// So many bytes, no two slices alike.
pub(super) fn large(bytes: usize) -> String {
    (0..bytes / 8 + 1).map(|at| format!("{at:08}")).collect::<String>()[..bytes].to_owned()
}

/// An origin that does ranges of this body, as the RFC says.
pub(super) fn ranges(body: &str, tag: &str, asked: &Asked) -> Reply {
    let reply = |status, text: &str| {
        let reply = Reply::new(status, text).field("cache-control", "max-age=600").field("etag", tag);
        reply.field("accept-ranges", "bytes")
    };
    if asked.field("if-none-match") == Some(tag) {
        return reply(304, "");
    }
    let range = asked.field("range").filter(|_| asked.field("if-range").is_none_or(|known| known == tag));
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return reply(200, body);
    };
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(usize::MAX).min(body.len() - 1);
    let told = format!("bytes {first}-{last}/{}", body.len());
    reply(206, &body[first..=last]).field("content-range", &told)
}

fn sliced(body: &str) -> World {
    let world = cached("slice = \"64KiB\", kv_admission = \"always\"");
    let body = body.to_owned();
    world.origin(move |asked| ranges(&body, "\"a\"", asked));
    world
}

pub(super) fn asked(world: &World) -> Vec<String> {
    world.asked().iter().map(|one| one.field("range").unwrap_or("all").to_owned()).collect()
}

#[test]
fn a_large_response_is_fetched_slice_by_slice_and_each_slice_once() {
    let body = large(5 * SLICE / 2);
    let world = sliced(&body);
    let first = world.get("/x").run();
    assert_eq!((first.status, first.text() == body), (200, true));
    assert_eq!(first.field("content-length"), Some(body.len().to_string()));
    assert_eq!(first.cache(), "fwd=uri-miss; fwd-status=200; stored; ttl=600");
    assert_eq!(asked(&world), ["bytes=0-65535", "bytes=65536-131071", "bytes=131072-"]);
    world.pass(secs(61));
    // Another isolate, so that nothing comes out of memory.
    let again = world.get("/x").at(0, 1).run();
    assert_eq!((again.status, again.text() == body, again.age()), (200, true, 61));
    assert!(again.is_hit() && again.field("content-range").is_none());
    assert_eq!((world.counts().origin, world.leaks()), (3, 0));
}

#[test]
fn what_the_platform_does_not_allow_in_slices_is_asked_for_at_once() {
    let body = large(9 * SLICE);
    let keys = "cache = { slice = \"64KiB\" }\n[server]\nsubrequests_max = 20\n";
    let world = World::new(1).config(&[crate::flow::PLAIN, keys].concat());
    let replied = body.clone();
    world.origin(move |asked| ranges(&replied, "\"a\"", asked));
    assert_eq!(world.get("/x").run().text(), body);
    let all = asked(&world);
    assert_eq!((all.len(), all.last().map(String::as_str), world.leaks()), (5, Some("bytes=262144-"), 0));
    let again = world.get("/x").field("range", "bytes=0-140000").at(0, 1).run();
    assert_eq!((again.status, again.text() == &body[..140_001]), (206, true));
    assert_eq!(world.counts().origin, 5, "what was in slices is stored");
}

#[test]
fn a_range_touches_only_its_slices() {
    let body = large(5 * SLICE);
    let world = sliced(&body);
    let part = |range: &str| world.get("/x").field("range", range).run();
    let within = part("bytes=200000-200009");
    assert_eq!((within.status, within.text()), (206, &body[200_000..200_010]));
    assert_eq!(within.field("content-range"), Some(format!("bytes 200000-200009/{}", body.len())));
    assert_eq!(asked(&world), ["bytes=0-65535", "bytes=196608-262143"]);
    world.pass(secs(2));
    let across = part("bytes=262140-262150");
    assert_eq!((across.text(), across.is_hit()), (&body[262_140..262_151], true));
    assert_eq!(asked(&world).last().map(String::as_str), Some("bytes=262144-"));
    let end = part("bytes=-5");
    assert_eq!((end.status, end.text()), (206, &body[body.len() - 5..]));
    assert_eq!(part("bytes=9999999-").status, 416);
    assert_eq!((world.counts().origin, world.leaks()), (3, 0));
}

#[test]
fn several_ranges_come_out_of_several_slices() {
    let body = large(3 * SLICE);
    let world = sliced(&body);
    world.get("/x").run();
    world.pass(secs(2));
    let answer = world.get("/x").field("range", "bytes=0-3, 65534-65537, 196604-").run();
    assert_eq!((answer.status, answer.field("content-length")), (206, Some(answer.text().len().to_string())));
    assert!(answer.field("content-type").unwrap().starts_with("multipart/byteranges"));
    for part in [&body[..4], &body[65_534..65_538], &body[196_604..]] {
        assert!(answer.text().contains(&format!("\r\n\r\n{part}\r\n--")), "{part}");
    }
    assert_eq!((world.counts().origin, world.leaks()), (3, 0));
}

#[test]
fn a_response_that_changes_while_it_is_sent_breaks_off_and_is_never_mixed() {
    let (old, new) = (large(4 * SLICE), "n".repeat(4 * SLICE));
    let world = cached("slice = \"64KiB\"");
    let changed = Rc::new(Cell::new(false));
    let (has, one, other) = (changed.clone(), old.clone(), new.clone());
    world.origin(move |asked| {
        has.set(has.get() || asked.nth >= 2);
        if has.get() { ranges(&other, "\"b\"", asked) } else { ranges(&one, "\"a\"", asked) }
    });
    let broken = world.get("/x").run();
    assert!(broken.read.as_ref().is_err_and(|part| *part == old[..2 * SLICE]));
    let whole = world.get("/x").run();
    assert!(whole.text() == new && !whole.is_hit());
    world.pass(secs(2));
    assert_eq!(world.metric("tidegate_incidents_total", &[("incident", "truncated-body")]), 1);
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_stale_response_is_validated_by_its_head_alone() {
    let body = large(3 * SLICE);
    let world = sliced(&body);
    world.get("/x").run();
    world.pass(secs(601));
    let answer = world.get("/x").run();
    assert!(
        answer.text() == body && answer.cache().starts_with("fwd=stale; fwd-status=304"),
        "{}",
        answer.cache()
    );
    assert_eq!(world.asked_last().field("if-none-match"), Some("\"a\""));
    assert_eq!((world.counts().origin, world.leaks()), (4, 0));
}

#[test]
fn what_is_small_is_one_slice_and_stored_whole() {
    let world = sliced("0123456789");
    let part = world.get("/x").field("range", "bytes=2-3").run();
    assert_eq!(
        (part.status, part.text(), part.field("content-range")),
        (206, "23", Some("bytes 2-3/10".into()))
    );
    let whole = world.get("/x").run();
    assert_eq!((whole.text(), whole.cache().as_str()), ("0123456789", "hit; ttl=600; detail=memory"));
    assert_eq!((world.counts().origin, world.leaks()), (1, 0));
}

#[test]
fn an_origin_whose_ranges_are_of_no_use_is_asked_for_the_whole() {
    let body = large(3 * SLICE);
    for (what, origin) in [("none", 1), ("weak", 2), ("no-store", 2), ("wrong", 2), ("416", 2)] {
        let world = cached("slice = \"64KiB\"");
        let text = body.clone();
        world.origin(move |asked| match (what, asked.field("range")) {
            ("none", _) | (_, None) => Reply::cached(text.clone(), "max-age=600").field("etag", "\"a\""),
            ("weak", _) => ranges(&text, "W/\"a\"", asked),
            ("416", _) => Reply::new(416, ""),
            ("wrong", _) => {
                Reply::new(206, "12").field("content-range", "bytes 1-2/10").field("etag", "\"a\"")
            }
            _ => {
                let mut reply = ranges(&text, "\"a\"", asked);
                reply.result.as_mut().unwrap().fields.insert("cache-control", "no-store");
                reply
            }
        });
        let answer = world.get("/x").run();
        assert_eq!((answer.status, answer.text() == body), (200, true), "{what}");
        assert_eq!(world.counts().origin, origin, "{what}");
        assert_eq!(world.get("/y").field("cache-control", "no-cache").run().status, 200);
        assert_eq!(world.leaks(), 0, "{what}");
    }
}

#[test]
fn a_lost_slice_is_fetched_again_and_a_broken_one_is_not_stored() {
    let body = large(3 * SLICE);
    let world = cached("slice = \"64KiB\"");
    let text = body.clone();
    world.origin(move |asked| {
        let reply = ranges(&text, "\"a\"", asked);
        if asked.nth == 1 { reply.breaks() } else { reply }
    });
    assert!(world.get("/x").run().read.is_err());
    world.pass(secs(2));
    let whole = world.get("/x").run();
    assert_eq!((whole.text() == body, whole.is_hit()), (true, true));
    assert_eq!(asked(&world)[1..], ["bytes=65536-131071", "bytes=65536-131071", "bytes=131072-"]);
    assert_eq!(world.leaks(), 0);
}
