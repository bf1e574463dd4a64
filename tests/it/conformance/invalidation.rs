//! RFC 9111, section 4.4: invalidating stored responses.

use super::{Step, get, rule, send};

fn stored(path: &str) -> Step {
    send("GET", path).reply("cache-control: max-age=600")
}

/// A write, later than KV refuses a second one.
fn write(method: &'static str, path: &str) -> Step {
    send(method, path).after(2)
}

#[test]
fn rfc9111_4_4_a_write_that_succeeds_invalidates_its_target() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "FOO"] {
        for status in [200, 201, 204, 303] {
            rule([stored("/x"), write(method, "/x").content("a=1").replies(status, ""), get().reply("")]);
        }
    }
}

#[test]
fn rfc9111_4_4_a_write_that_fails_does_not() {
    for status in [400, 403, 404, 409, 500, 503] {
        rule([stored("/x"), write("POST", "/x").replies(status, ""), get().hit(0)]);
    }
}

#[test]
fn rfc9111_4_4_a_safe_method_does_not() {
    for method in ["OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"] {
        rule([stored("/x"), write(method, "/x").reply(""), get().hit(0)]);
    }
}

#[test]
fn rfc9111_4_4_location_and_content_location_are_invalidated_on_the_same_origin() {
    for name in ["location", "content-location"] {
        for to in ["/y", "https://edge.example/y", "y"] {
            rule([
                stored("/y"),
                write("POST", "/x").replies(201, &format!("{name}: {to}")),
                send("GET", "/y").reply(""),
            ]);
        }
        for to in ["https://other.example/y", "http://edge.example/y", "/z"] {
            rule([
                stored("/y"),
                write("POST", "/x").replies(201, &format!("{name}: {to}")),
                send("GET", "/y").hit(0),
            ]);
        }
    }
}

#[test]
fn rfc9111_4_4_another_target_stays() {
    rule([stored("/y"), write("DELETE", "/x").replies(204, ""), send("GET", "/y").hit(0)]);
    rule([stored("/x?a=1"), write("DELETE", "/x").replies(204, ""), send("GET", "/x?a=1").hit(0)]);
}

#[test]
fn rfc9111_4_4_all_variants_are_invalidated() {
    let variant = |foo: &str| get().with(&format!("foo: {foo}"));
    let fields = "cache-control: max-age=600\nvary: foo";
    rule([
        variant("1").reply(fields),
        variant("2").after(2).reply(fields),
        write("POST", "/x").replies(204, ""),
        variant("1").after(2).reply(fields),
        variant("2").after(2).reply(fields),
    ]);
}
