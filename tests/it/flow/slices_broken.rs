//! Slices of origins that do ranges badly, or not always.

use std::cell::Cell;
use std::rc::Rc;

use super::cached;
use super::slices::{SLICE, asked, large, ranges};
use crate::sim::{Asked, Reply, World, ms, secs};

/// An origin whose ranges are right but for those after the first slice, of which `later` makes something.
fn world(keys: &str, later: impl Fn(&Asked, Reply) -> Reply + 'static) -> (World, String) {
    let world = cached(&["slice = \"64KiB\"", keys].concat());
    let body = large(4 * SLICE);
    let text = body.clone();
    world.origin(move |asked| {
        let reply = ranges(&text, "\"a\"", asked);
        let is_later = asked.field("range").is_some_and(|range| !range.starts_with("bytes=0-"));
        if is_later { later(asked, reply) } else { reply }
    });
    (world, body)
}

fn log(world: &World, what: &str) -> bool {
    world.log().iter().any(|line| line.contains(what))
}

#[test]
fn a_slice_of_another_length_than_it_says_breaks_off_where_it_is_wrong() {
    for (what, right) in [("short", SLICE + 100), ("long", 2 * SLICE)] {
        let (world, body) = world("", move |asked, reply| match asked.nth {
            1 => {
                let text = match what {
                    "short" => reply.body[..100].to_owned(),
                    _ => [&*reply.body, "surplus"].concat(),
                };
                Reply { body: text.into(), ..reply.chunked() }
            }
            _ => reply,
        });
        let broken = world.get("/x").run().read.unwrap_err();
        assert!(body.starts_with(&broken) && broken.len() <= right, "{what}: {}", broken.len());
        world.pass(secs(2));
        assert!(world.get("/x").run().text() == body, "{what}: nothing of it was stored");
        assert_eq!(asked(&world)[1..3], ["bytes=65536-131071", "bytes=65536-131071"]);
        assert_eq!(world.leaks(), 0, "{what}");
    }
}

#[test]
fn a_first_slice_of_another_length_than_it_says_breaks_off_and_is_not_stored() {
    for extra in [false, true] {
        let world = cached("slice = \"64KiB\"");
        let body = large(4 * SLICE);
        let text = body.clone();
        world.origin(move |asked| {
            let reply = ranges(&text, "\"a\"", asked);
            if asked.nth > 0 {
                return reply;
            }
            let wrong = if extra { [&*reply.body, "surplus"].concat() } else { reply.body[..100].to_owned() };
            Reply { body: wrong.into(), ..reply.chunked() }
        });
        let broken = world.get("/x").run().read.unwrap_err();
        assert!(body.starts_with(&broken) && broken.len() <= SLICE, "{}", broken.len());
        world.pass(secs(2));
        assert!(world.get("/x").run().text() == body);
        assert_eq!((asked(&world)[1].as_str(), world.leaks()), ("bytes=0-65535", 0));
    }
}

#[test]
fn where_a_later_slice_cannot_be_had_the_whole_is_asked_for_from_then_on() {
    for (what, said) in [
        ("404", "with 404"),
        ("416", "with 416"),
        ("500", "with 500"),
        ("other range", "with 206"),
        ("no tag", "with 206"),
        ("other tag", "changed"),
    ] {
        let (world, body) = world("", move |_, mut reply| {
            let fields = &mut reply.result.as_mut().unwrap().fields;
            match what {
                "other range" => fields.insert("content-range", "bytes 0-65535/262144"),
                "no tag" => drop(fields.remove("etag")),
                "other tag" => fields.insert("etag", "\"b\""),
                status => return Reply::new(status.parse().unwrap(), ""),
            }
            reply
        });
        let broken = world.get("/x").run();
        assert!(broken.read.is_err_and(|part| part == body[..SLICE]), "{what}");
        assert!(log(&world, said), "{what}: {:?}", world.log());
        for _ in 0..2 {
            assert!(world.get("/x").run().text() == body, "{what}");
            world.pass(secs(2));
        }
        assert_eq!(asked(&world), ["bytes=0-65535", "bytes=65536-131071", "all"], "{what}");
        assert_eq!(world.leaks(), 0, "{what}");
    }
}

#[test]
fn what_cannot_be_had_for_the_moment_is_asked_for_in_slices_again() {
    let down = Rc::new(Cell::new(true));
    let is_down = down.clone();
    let (world, body) = world("", move |_, reply| if is_down.get() { Reply::new(503, "") } else { reply });
    assert!(world.get("/x").run().read.is_err());
    let tries = world.counts().origin;
    down.set(false);
    assert!(log(&world, "could not be fetched"), "{:?}", world.log());
    world.pass(secs(2));
    assert!(world.get("/x").run().text() == body);
    assert_eq!((world.counts().origin, world.leaks()), (tries + 3, 0));
}

#[test]
fn an_origin_that_sends_the_whole_for_a_later_slice_is_taken_at_its_word() {
    let whole: Rc<str> = large(4 * SLICE).into();
    let text = whole.clone();
    let (world, body) =
        world("", move |_, _| Reply::cached(text.clone(), "max-age=600").field("etag", "\"a\""));
    assert!(*whole == body);
    assert!(world.get("/x").run().text() == body);
    let part = world.get("/y").field("range", "bytes=70000-140000").run();
    assert_eq!((part.status, part.text() == &body[70_000..=140_000]), (206, true));
    assert!(world.get("/x").run().text() == body);
    assert_eq!(asked(&world)[..2], ["bytes=0-65535", "bytes=65536-131071"]);
    assert_eq!((world.counts().origin, world.leaks()), (5, 0), "from then on the whole is asked for");
}

#[test]
fn a_later_slice_need_not_tell_the_length_of_the_whole_rfc9110_14_4() {
    let (world, body) = world("", |_, mut reply| {
        let fields = &mut reply.result.as_mut().unwrap().fields;
        let range = fields.get("content-range").unwrap().replace(&format!("/{}", 4 * SLICE), "/*");
        fields.insert("content-range", &range);
        reply
    });
    assert!(world.get("/x").run().text() == body);
    world.pass(secs(2));
    assert!(world.get("/x").run().is_hit());
    assert_eq!((world.counts().origin, world.leaks()), (4, 0));
}

#[test]
fn what_is_stale_is_not_begun_where_its_rest_is_not_at_hand() {
    let keys = ", stale_while_revalidate = \"1h\", stale_if_error = \"1h\"";
    for has_rest in [false, true] {
        let world = cached(&["slice = \"64KiB\"", keys].concat());
        let body = large(4 * SLICE);
        let (text, down) = (body.clone(), Rc::new(Cell::new(false)));
        let is_down = down.clone();
        world.origin(move |asked| match is_down.get() {
            true => Reply::new(503, ""),
            false => ranges(&text, "\"a\"", asked),
        });
        let request = world.get("/x");
        if has_rest {
            request.run()
        } else {
            request.field("range", "bytes=0-9").run()
        };
        world.pass(secs(700));
        down.set(true);
        let answer = world.get("/x").run();
        if has_rest {
            assert!(answer.text() == body, "{}", answer.cache());
        } else {
            assert_eq!(answer.status, 503);
        }
        let begin = world.get("/x").field("range", "bytes=0-9").run();
        assert_eq!((begin.status, begin.text()), (206, &body[..10]), "what is at hand is served");
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn each_slice_is_asked_for_once_however_many_want_it_at_once() {
    let world = cached("slice = \"64KiB\"");
    let body = large(6 * SLICE);
    let text = body.clone();
    world.origin(move |asked| ranges(&text, "\"a\"", asked).after(ms(100)).takes(ms(50)));
    let pending: Vec<_> = (0..30).map(|_| world.get("/x").start()).collect();
    assert!(world.finish_all(&pending).iter().all(|answer| answer.text() == body));
    assert_eq!((world.counts().origin, world.leaks()), (6, 0));
}

#[test]
fn those_who_wait_for_a_slice_that_fails_ask_at_most_once_more() {
    let (world, _) = world("", |_, _| Reply::new(503, "").after(ms(100)));
    let pending: Vec<_> = (0..30).map(|_| world.get("/x").start()).collect();
    assert!(world.finish_all(&pending).iter().all(|answer| answer.read.is_err()));
    assert_eq!((world.counts().origin, world.leaks()), (7, 0), "the first slice, and three tries twice");
}
