//! Assets and compression.

use tidegate::origin::FetchError;

use super::{PLAIN, plain};
use crate::sim::{Reply, World};

#[test]
fn an_asset_whose_origin_says_nothing_gets_a_cache_control_by_its_class() {
    for (path, media_type, expected) in [
        ("/logo.png", "image/png", Some("max-age=31536000")),
        ("/app.3f2a9c1b.js", "text/javascript", Some("immutable")),
        ("/jquery.min.js", "text/javascript", Some("max-age=2592000")),
        ("/account.css", "text/html", None),
        ("/data", "application/json", None),
    ] {
        let world = plain([Reply::ok("hello").field("content-type", media_type)]);
        let answer = world.get(path).run();
        let said = answer.field("cache-control");
        match expected {
            Some(part) => {
                assert!(said.as_ref().is_some_and(|said| said.contains(part)), "{path}: {said:?}");
                assert!(world.get(path).run().is_hit(), "{path}");
            }
            None => assert!(!world.get(path).run().is_hit(), "{path}: {said:?}"),
        }
    }
}

#[test]
fn what_the_origin_says_of_an_asset_stands() {
    let world = plain([Reply::cached("hello", "no-store").field("content-type", "image/png")]);
    assert_eq!(world.get("/logo.png").run().field("cache-control").as_deref(), Some("no-store"));
    assert!(!world.get("/logo.png").run().is_hit());
}

#[test]
fn an_asset_that_sets_a_cookie_or_is_an_error_is_not_made_public() {
    let cookie = plain([Reply::ok("hello").field("content-type", "image/png").field("set-cookie", "a=1")]);
    cookie.get("/logo.png").run();
    assert!(!cookie.get("/logo.png").run().is_hit());
    let error = plain([Reply::new(404, "no").field("content-type", "image/png")]);
    error.get("/logo.png").run();
    assert!(!error.get("/logo.png").run().is_hit());
}

fn text() -> Reply {
    Reply::cached("hello ".repeat(1000), "max-age=60")
        .field("content-type", "text/html")
        .field("etag", "\"a\"")
}

#[test]
fn text_leaves_compressed_for_those_who_accept_it_and_vary_says_so() {
    let world = plain([text()]);
    for round in 0..2 {
        let plain = world.get("/x").run();
        assert_eq!((plain.encoded, plain.field("content-encoding")), (false, None));
        assert!(plain.field("vary").unwrap().to_lowercase().contains("accept-encoding"), "{round}");
        let packed = world.get("/x").field("accept-encoding", "gzip, br").run();
        assert!(packed.encoded && packed.field("content-encoding").is_some());
        assert_eq!(
            (packed.field("content-length"), packed.field("etag").as_deref()),
            (None, Some("W/\"a\""))
        );
        assert!(packed.field("vary").unwrap().to_lowercase().contains("accept-encoding"));
    }
    assert_eq!((world.counts().origin, world.leaks()), (1, 0));
}

#[test]
fn what_is_encoded_small_or_no_text_is_left_alone() {
    for reply in [
        text().field("content-encoding", "gzip"),
        Reply::ok("short").field("content-type", "text/html"),
        Reply::ok("hello ".repeat(1000)).field("content-type", "image/png"),
    ] {
        let world = plain([reply]);
        assert!(!world.get("/x").field("accept-encoding", "gzip").run().encoded);
    }
}

#[test]
fn a_route_may_leave_all_of_it_off() {
    let world = World::new(1).config(&format!("{PLAIN}assets = false\ncompress = false\n"));
    world.origin(|_| Reply::ok("hello ".repeat(1000)).field("content-type", "text/css"));
    let answer = world.get("/style.css").field("accept-encoding", "gzip").run();
    assert_eq!((answer.encoded, answer.field("vary"), answer.field("cache-control")), (false, None, None));
}

const ELSEWHERE: &str = r#"
[origins.default]
url = "http://origin.example"
[assets.images]
cdn_base = "https://cdn.example/bucket"
"#;

#[test]
fn an_assets_other_host_is_asked_first_and_not_told_who_asks() {
    let world = World::new(1).config(ELSEWHERE);
    world.origin(|asked| Reply::ok(format!("from {}", asked.host())));
    let answer =
        world.get("/a.png?v=1").field("cookie", "session=1").field("authorization", "Basic YTpi").run();
    assert_eq!(answer.text(), "from cdn.example");
    let asked = world.asked_last();
    assert_eq!(
        (asked.path(), asked.field("cookie"), asked.field("authorization")),
        ("/bucket/a.png?v=1", None, None)
    );
    assert_eq!(world.get("/a.css").run().text(), "from origin.example");
}

#[test]
fn an_assets_own_origin_answers_where_the_other_host_fails_or_lacks_it() {
    for reply in [Reply::new(404, "no"), Reply::new(503, "down"), Reply::fails(FetchError::ConnectionLost)] {
        let world = World::new(1).config(ELSEWHERE);
        world.origin(
            move |asked| if asked.host() == "cdn.example" { reply.clone() } else { Reply::ok("own") },
        );
        assert_eq!((world.get("/a.png").run().text(), world.leaks()), ("own", 0));
    }
}

#[test]
fn a_write_below_an_assets_path_is_for_its_own_origin() {
    let world = World::new(1).config(ELSEWHERE);
    world.request("PUT", "/a.png").body("image").run();
    let asked = world.asked_last();
    assert_eq!((asked.host(), asked.body.as_str()), ("origin.example", "image"));
}
