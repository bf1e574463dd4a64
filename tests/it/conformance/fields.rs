//! RFC 9111, sections 3.1 and 3.2, and RFC 9110, section 7.6: which fields are handed on, stored and updated.

use super::{get, rule, send};

/// Fields of a response that a cache has no reason to touch.
const KEPT: [&str; 16] = [
    "allow: GET, FOO",
    "content-language: de-DE",
    "content-location: /x",
    "content-type: text/plain; charset=utf-8",
    "content-security-policy: default-src 'self'",
    "etag: \"a\"",
    "expires: Thu, 10 Sep 2037 00:00:00 GMT",
    "last-modified: Wed, 09 Sep 2026 19:26:40 GMT",
    "link: </a>; rel=\"next\", </b>; rel=\"prev\"",
    "pragma: foo",
    "retry-after: 7",
    "server: Some/1.0 (with a comment)",
    "set-cookie: a=1; Path=/; HttpOnly",
    "surrogate-control: max-age=5",
    "test-header: \u{201e}",
    "x-empty:",
];

#[test]
fn rfc9111_3_1_every_field_that_is_end_to_end_is_stored() {
    for field in KEPT {
        // Not every platform hands on what is not ASCII.
        let field = field.replace('\u{201e}', "!#$%&'*+-.^_`|~ ,;:\\\"/()<>@?={}[]");
        rule([
            get().reply(&format!("cache-control: max-age=60\n{field}")).says(&field),
            get().after(5).hit(0).says(&field).says("cache-control: max-age=60"),
        ]);
    }
    rule([
        get().reply("cache-control: max-age=60\nx-a: 1\nx-a: 2\nX-B: C").says("x-a: 1, 2\nx-b: C"),
        get().hit(0).says("x-a: 1, 2\nx-b: C"),
    ]);
}

#[test]
fn rfc9111_3_1_every_field_of_one_hop_is_left_out() {
    for field in [
        "keep-alive: timeout=5",
        "proxy-authenticate: Basic realm=\"a\"",
        "proxy-authentication-info: nextnonce=\"a\"",
        "proxy-authorization: Basic YTpi",
        "proxy-connection: keep-alive",
        "te: trailers",
        "trailer: x-later",
        "upgrade: h2c",
    ] {
        let name = field.split(':').next().unwrap();
        rule([
            get().reply(&format!("cache-control: max-age=60\n{field}")).lacks(name),
            get().hit(0).lacks(name),
        ]);
    }
    rule([
        get()
            .reply("cache-control: max-age=60\nconnection: X-One, x-two\nx-one: 1\nX-Two: 2\nx-three: 3")
            .lacks("x-one")
            .lacks("x-two"),
        get().hit(0).lacks("x-one").lacks("x-two").says("x-three: 3"),
    ]);
}

#[test]
fn rfc9110_7_6_1_a_request_loses_what_was_for_one_hop_and_nothing_else() {
    rule([get()
        .with("connection: x-one\nx-one: 1\nkeep-alive: 5\nproxy-authorization: Basic YTpi\ntest-id: 7\ncache-control: foo\npragma: bar")
        .asks("test-id: 7\ncache-control: foo\npragma: bar")
        .asks_not("x-one")
        .asks_not("keep-alive")
        .asks_not("proxy-authorization")
        .reply("")]);
}

#[test]
fn rfc9111_3_2_a_304_updates_every_field_that_it_brings() {
    for (old, new) in [
        ("allow: GET", "allow: GET, POST"),
        ("cache-control: max-age=10, foo", "cache-control: max-age=60, bar"),
        ("content-language: de", "content-language: en"),
        ("content-location: /a", "content-location: /b"),
        ("content-security-policy: default-src 'none'", "content-security-policy: default-src 'self'"),
        ("content-type: text/plain", "content-type: text/html"),
        ("expires: Thu, 10 Sep 2026 00:27:40 GMT", "expires: Thu, 10 Sep 2026 00:36:40 GMT"),
        ("last-modified: Wed, 09 Sep 2026 19:26:40 GMT", "last-modified: Wed, 09 Sep 2026 20:26:40 GMT"),
        ("link: </a>; rel=next", "link: </b>; rel=next"),
        ("server: a", "server: b"),
        ("set-cookie: a=1", "set-cookie: a=2"),
        ("test-header: a", "test-header: b"),
        ("x-frame-options: deny", "x-frame-options: sameorigin"),
    ] {
        let plain = if old.starts_with("cache-control") { "" } else { "cache-control: max-age=10\n" };
        let fresh = if new.starts_with("cache-control") { "" } else { "cache-control: max-age=60\n" };
        rule([
            get().reply(&format!("{plain}etag: \"a\"\n{old}")).says(old),
            get().after(11).replies(304, &format!("{fresh}etag: \"a\"\n{new}")).hit(0).says(new),
            get().after(5).hit(0).says(new).says("content-length: 18"),
        ]);
    }
}

#[test]
fn rfc9111_3_2_what_describes_the_stored_body_or_one_hop_is_not_updated() {
    for (old, new) in [
        ("content-encoding: foo", "content-encoding: bar"),
        ("content-length: 18", "content-length: 36"),
        ("content-range: foo", "content-range: bar"),
    ] {
        rule([
            get().reply(&format!("cache-control: max-age=10\netag: \"a\"\n{old}")),
            get()
                .after(11)
                .replies(304, &format!("cache-control: max-age=60\netag: \"a\"\n{new}"))
                .hit(0)
                .says(old),
            get().after(5).hit(0).says(old),
        ]);
    }
    rule([
        get().reply("cache-control: max-age=10\netag: \"a\"\nx-one: 1"),
        get()
            .after(11)
            .replies(304, "cache-control: max-age=60\netag: \"a\"\nconnection: x-one\nx-one: 2\nproxy-authenticate: Basic")
            .hit(0)
            .says("x-one: 1")
            .lacks("proxy-authenticate"),
    ]);
}

#[test]
fn rfc9111_4_a_reused_response_says_how_old_it_is() {
    rule([
        get().reply("cache-control: max-age=60"),
        get().hit(0).says("age: 0"),
        get().after(1).hit(0).says("age: 1"),
        send("HEAD", "/x").after(9).says("age: 10"),
    ]);
}

#[test]
fn rfc9110_15_a_stored_redirect_is_handed_on_as_it_is() {
    for status in [301, 302, 303, 307, 308] {
        let to = "location: /elsewhere?a=b#c";
        rule([
            get().replies(status, &format!("cache-control: max-age=60\n{to}")).says(to),
            get().after(5).status(status).hit(0).says(to),
        ]);
    }
}
