//! Parts of a response, of origins that do ranges badly.

use super::cached;
use crate::sim::{Asked, Reply, World, secs};

const WHOLE: &str = "0123456789";

fn range(asked: &Asked) -> Option<(usize, usize)> {
    let (first, last) = asked.field("range")?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().unwrap_or(WHOLE.len() - 1)))
}

fn reply(status: u16, text: &str) -> Reply {
    Reply::new(status, text).field("cache-control", "max-age=60").field("etag", "\"a\"")
}

fn part(first: usize, last: usize, text: &str) -> Reply {
    reply(206, text).field("content-range", &format!("bytes {first}-{last}/{}", WHOLE.len()))
}

fn ask(world: &World, range: &str) -> String {
    world.get("/x").field("range", range).run().text().to_owned()
}

#[test]
fn a_part_of_another_length_than_it_says_is_not_put_together_as_if_it_were_right() {
    for sent in ["01", "01234567"] {
        let world = cached("partial = true");
        world.origin(move |asked| match range(asked) {
            Some((first, last)) if asked.nth == 0 => part(first, last, sent).chunked(),
            Some((first, last)) => part(first, last, &WHOLE[first..=last]),
            None => reply(200, WHOLE),
        });
        assert_eq!(ask(&world, "bytes=0-4"), sent);
        assert_eq!(ask(&world, "bytes=3-4"), "34", "{sent}");
        for _ in 0..2 {
            assert_eq!(world.get("/x").run().text(), WHOLE, "{sent}");
        }
        assert_eq!(world.leaks(), 0);
    }
}

#[test]
fn where_a_part_does_not_complete_it_the_whole_is_asked_for_once_rfc9110_15_3_7() {
    for (most, unasked) in [(2, false), (5, true)] {
        let world = cached("partial = true");
        world.origin(move |asked| match range(asked) {
            Some((first, _)) if unasked && first > 0 => part(0, 4, &WHOLE[..5]),
            Some((first, last)) => {
                let last = last.min(first + most - 1);
                part(first, last, &WHOLE[first..=last])
            }
            None => reply(200, WHOLE),
        });
        ask(&world, &format!("bytes=0-{}", most - 1));
        for (origin, hit) in [(3, false), (3, true)] {
            let answer = world.get("/x").run();
            assert_eq!((answer.status, answer.text(), answer.is_hit()), (200, WHOLE, hit));
            assert_eq!(world.counts().origin, origin);
        }
        world.pass(secs(2));
        assert_eq!(world.leaks(), 0);
    }
}
