//! RFC 9110, section 9, and RFC 9111, section 4.4: methods.

use super::{get, rule, send};

const STORED: &str = "cache-control: max-age=600";

#[test]
fn rfc9110_9_3_3_a_post_that_says_it_is_the_page_answers_later_gets() {
    for to in ["/x", "x", "https://edge.example/x", "./x"] {
        rule([
            send("POST", "/x").content("a").reply(&format!("{STORED}\ncontent-location: {to}")),
            get().after(5).hit(0).says("age: 5"),
        ]);
    }
    rule([
        get().reply(STORED),
        send("POST", "/x").after(2).content("a").reply(&format!("{STORED}\ncontent-location: /x")),
        get().after(2).hit(1),
    ]);
    rule([
        send("POST", "/x").content("a").replies(201, &format!("{STORED}\ncontent-location: /x")),
        get().after(5).status(201).hit(0),
    ]);
}

#[test]
fn rfc9110_9_3_3_any_other_post_is_not_stored() {
    for said in [
        STORED.to_owned(),
        format!("{STORED}\ncontent-location: /y"),
        format!("{STORED}\ncontent-location: /x?a=1"),
        format!("{STORED}\ncontent-location: https://other.example/x"),
        "content-location: /x".to_owned(),
        "content-location: /x\ncache-control: no-store".to_owned(),
        "content-location: /x\ncache-control: max-age=0\netag: \"a\"".to_owned(),
    ] {
        rule([send("POST", "/x").content("a").reply(&said), get().after(1).reply("")]);
    }
    // A response to POST answers no POST.
    rule([
        send("POST", "/x").content("a").reply(&format!("{STORED}\ncontent-location: /x")),
        send("POST", "/x").content("a").reply(""),
    ]);
}

#[test]
fn rfc9110_9_3_3_no_other_method_is_stored_for_a_get() {
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        let said = format!("{STORED}\ncontent-location: /x");
        rule([send(method, "/x").content("a").reply(&said), get().after(1).reply("")]);
    }
}

#[test]
fn rfc9111_4_4_every_unsafe_method_invalidates() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "MKCOL", "PROPPATCH", "PURGE", "LOCK"] {
        rule([get().reply(STORED), send(method, "/x").after(2).content("a").reply(""), get().reply("")]);
    }
}

#[test]
fn rfc9111_4_4_only_what_was_no_error_invalidates() {
    for status in [200, 201, 202, 204, 206, 299, 300, 301, 302, 303, 307, 308] {
        rule([get().reply(STORED), send("POST", "/x").after(2).replies(status, ""), get().reply("")]);
    }
    for status in [400, 401, 404, 410, 429, 499, 500, 501, 502, 503, 504, 599] {
        rule([get().reply(STORED), send("POST", "/x").after(2).replies(status, ""), get().hit(0)]);
    }
}

#[test]
fn rfc9111_4_4_location_may_be_any_reference_on_this_origin() {
    let stored = |path: &str| send("GET", path).reply(STORED);
    for (at, name, to, invalid) in [
        ("/d/x", "location", "y", "/d/y"),
        ("/d/x", "location", "../y", "/y"),
        ("/d/x", "location", "/y?a=1", "/y?a=1"),
        ("/d/x", "location", "?a=1", "/d/x?a=1"),
        ("/d/x", "location", "/y#part", "/y"),
        ("/d/x", "location", "//edge.example/y", "/y"),
        ("/d/x", "content-location", "y", "/d/y"),
        ("/d/x", "content-location", "HTTPS://edge.example/y", "/y"),
    ] {
        rule([
            stored(invalid),
            send("POST", at).after(2).replies(201, &format!("{name}: {to}")),
            send("GET", invalid).reply(""),
        ]);
    }
    for to in [
        "https://other.example/y",
        "https://edge.example:8443/y",
        "//other.example/y",
        "ftp://edge.example/y",
        "mailto:y",
        "/Y",
    ] {
        for name in ["location", "content-location"] {
            rule([
                stored("/y"),
                send("POST", "/x").after(2).replies(201, &format!("{name}: {to}")),
                send("GET", "/y").hit(0),
            ]);
        }
    }
    rule([stored("/y"), send("POST", "/x").after(2).replies(400, "location: /y"), send("GET", "/y").hit(0)]);
    rule([
        stored("/y"),
        get().reply("cache-control: max-age=60\nlocation: /y\ncontent-location: /y"),
        send("GET", "/y").hit(0),
    ]);
}

#[test]
fn rfc9110_9_3_2_head_is_answered_out_of_what_a_get_stored() {
    let fields = "etag: \"a\"\ncontent-type: text/plain";
    rule([
        get().reply(&format!("{STORED}\n{fields}")),
        send("HEAD", "/x").after(5).body("").says(fields).says("content-length: 18\nage: 5"),
        send("HEAD", "/x").with("if-none-match: \"a\"").body("").status(304),
        get().hit(0),
    ]);
}

#[test]
fn rfc9110_9_3_2_a_head_stores_nothing_for_a_get() {
    rule([send("HEAD", "/x").reply(STORED).body(""), get().reply(STORED), get().hit(1)]);
}

#[test]
fn rfc9111_4_3_5_a_head_updates_a_stale_get_that_it_agrees_with() {
    for (stored, told) in [
        ("etag: \"a\"", "etag: \"a\"\ncontent-length: 18"),
        ("etag: \"a\"", "content-length: 18"),
        (
            "last-modified: Wed, 09 Sep 2026 19:26:40 GMT",
            "last-modified: Wed, 09 Sep 2026 19:26:40 GMT\ncontent-length: 18",
        ),
        ("x-old: 1", "content-length: 18"),
    ] {
        rule([
            get().reply(&format!("cache-control: max-age=10\nx-a: 1\n{stored}")),
            send("HEAD", "/x")
                .after(11)
                .reply(&format!("cache-control: max-age=60\nx-a: 2\n{told}"))
                .body(""),
            get().after(30).hit(0).says("x-a: 2\nage: 30\ncontent-length: 18"),
        ]);
    }
}

#[test]
fn rfc9111_4_3_5_a_head_that_disagrees_ends_the_use_of_the_stored_get() {
    let stored = "cache-control: max-age=10, stale-while-revalidate=600\netag: \"a\"\nlast-modified: Wed, 09 Sep 2026 19:26:40 GMT";
    for told in [
        "etag: \"b\"\ncontent-length: 18",
        "etag: \"a\"\ncontent-length: 19",
        "last-modified: Wed, 09 Sep 2026 19:26:41 GMT\ncontent-length: 18",
    ] {
        rule([
            get().reply(stored),
            send("HEAD", "/x")
                .after(11)
                .with("cache-control: no-cache")
                .reply(&format!("cache-control: max-age=60\n{told}"))
                .body(""),
            get().reply(""),
        ]);
    }
}

#[test]
fn rfc9110_9_3_1_a_get_with_content_is_for_the_origin() {
    rule([get().reply(STORED), get().content("a").reply(""), get().hit(0)]);
}

#[test]
fn rfc10008_2_7_a_query_is_answered_by_what_is_stored_for_its_content() {
    let query = |content| {
        send("QUERY", "/x").with("content-type: application/x-www-form-urlencoded").content(content)
    };
    rule([
        query("a=1").reply(STORED),
        query("a=1").after(5).hit(0).says("age: 5"),
        query("a=2").reply(STORED),
        get().reply(STORED),
        query("a=1").hit(0),
        get().hit(3),
    ]);
    rule([query("a=1").reply("cache-control: no-store"), query("a=1").reply("")]);
    rule([query("a=1").reply(STORED), send("POST", "/x").after(2).replies(204, ""), query("a=1").reply("")]);
    rule([get().reply(STORED), query("a=1").after(2).reply(""), get().hit(0)]);
}
