//! RFC 9111, section 4.1: calculating cache keys with the Vary header field.

use super::{by_default, get, rule, with};

const FOO: &str = "cache-control: max-age=60\nvary: foo";

#[test]
fn rfc9111_4_1_a_request_with_the_same_fields_selects() {
    rule([
        get().with("foo: 1").reply(FOO),
        get().with("foo: 1").hit(0),
        get().with("foo: 2").reply(FOO),
        get().reply(FOO),
    ]);
    rule([get().reply(FOO), get().hit(0), get().with("foo: 1").reply("")]);
}

#[test]
fn rfc9111_4_1_several_variants_are_kept() {
    rule([
        get().with("foo: 1").reply(FOO),
        get().with("foo: 2").reply(FOO),
        get().with("foo: 1").hit(0),
        get().with("foo: 2").hit(1),
    ]);
}

#[test]
fn rfc9111_4_1_fields_are_compared_without_what_does_not_count() {
    rule([
        get().with("foo: 1, 2").reply(FOO),
        get().with("foo: 1,2").hit(0),
        get().with("foo: 1\nfoo: 2").hit(0),
    ]);
}

#[test]
fn rfc9111_4_1_all_names_count_over_all_lines_in_any_case() {
    let both = "cache-control: max-age=60\nvary: Foo\nvary: BAR";
    rule([
        get().with("foo: 1\nbar: 1").reply(both),
        get().with("foo: 1\nbar: 1").hit(0),
        get().with("foo: 1\nbar: 2").reply(both),
        get().with("foo: 2\nbar: 1").reply(both),
    ]);
}

#[test]
fn rfc9111_4_1_vary_star_never_matches() {
    for vary in ["*", "foo, *", "*, foo"] {
        rule([get().reply(&format!("cache-control: max-age=60\nvary: {vary}")), get().reply("")]);
    }
}

#[test]
fn rfc9111_4_1_accept_encoding_and_accept_language_may_be_normalised() {
    let encoding = "cache-control: max-age=60\nvary: accept-encoding";
    rule([
        get().with("accept-encoding: gzip, br").reply(encoding),
        get().with("accept-encoding: br,gzip").hit(0),
    ]);
    by_default([
        get().with("accept-encoding: gzip, br").reply(encoding),
        get().with("accept-encoding: br,gzip").reply(""),
    ]);
    let language = "cache-control: max-age=60\nvary: accept-language\ncontent-language: de";
    rule([
        get().with("accept-language: de, en;q=0.5").reply(language),
        get().with("accept-language: de").hit(0),
    ]);
}

#[test]
fn rfc9111_4_1_the_most_recent_of_several_that_match_is_chosen() {
    rule([
        get().with("foo: 1").reply("cache-control: max-age=60"),
        get().with("foo: 1\ncache-control: no-cache").reply(FOO),
        get().with("foo: 1").hit(1),
    ]);
}

#[test]
fn rfc9111_4_3_1_a_request_that_selects_nothing_asks_with_the_tags_of_all_variants() {
    let tagged = |tag: &str| format!("{FOO}\netag: \"{tag}\"");
    rule([
        get().with("foo: 1").reply(&tagged("a")),
        get().with("foo: 2").reply(&tagged("b")),
        get()
            .with("foo: 3")
            .asks("if-none-match: \"a\", \"b\"")
            .replies(304, "etag: \"b\"\nvary: foo")
            .hit(1),
        get().with("foo: 3").hit(1),
        get().with("foo: 1").hit(0),
    ]);
}

#[test]
fn what_varies_by_too_many_fields_is_not_stored() {
    let many = "cache-control: max-age=60\nvary: a, b, c";
    with("vary = { names_max = 2 }", [get().reply(many), get().reply("")]);
}
