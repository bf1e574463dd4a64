//! RFC 9111, section 4.1, and RFC 9110, sections 12.4 and 12.5: Vary in every form.

use super::{Step, date, get, rule};

fn varied(by: &str) -> String {
    format!("cache-control: max-age=60\nvary: {by}")
}

/// Whether a response that was stored for one request answers another one.
#[track_caller]
fn selects(by: &str, stored: &str, asked: &str, selected: bool) {
    let next = get().after(5).with(asked);
    rule([get().with(stored).reply(&varied(by)), if selected { next.hit(0) } else { next.reply("") }]);
}

#[test]
fn rfc9111_4_1_how_values_are_compared() {
    for (stored, asked, selected) in [
        ("foo: 1", "foo: 1", true),
        ("foo: 1", "FOO: 1", true),
        ("foo: 1", "foo:   1  ", true),
        ("foo: 1, 2", "foo: 1,2", true),
        ("foo: 1, 2", "foo: 1 ,\t2", true),
        ("foo: 1, 2", "foo: 1\nfoo: 2", true),
        ("foo: 1", "foo: 2", false),
        ("foo: 1", "foo: 1, 2", false),
        ("foo: 1, 2", "foo: 2, 1", false),
        ("foo: a", "foo: A", false),
        ("foo: 1", "", false),
        ("", "foo: 1", false),
        ("", "", true),
        ("", "bar: 1", true),
        ("foo: \"a, b\"", "foo: \"a,b\"", false),
        ("foo: a b", "foo: ab", false),
    ] {
        selects("foo", stored, asked, selected);
    }
}

#[test]
fn rfc9110_12_5_5_how_vary_names_fields() {
    for by in ["foo, bar", "bar,foo", "Foo, BAR", "foo\nvary: bar", "foo,, bar,", "foo, bar, foo"] {
        selects(by, "foo: 1\nbar: 2", "bar: 2\nfoo: 1", true);
        selects(by, "foo: 1\nbar: 2", "foo: 1\nbar: 3", false);
        selects(by, "foo: 1\nbar: 2", "foo: 2\nbar: 2", false);
        selects(by, "foo: 1\nbar: 2", "foo: 1", false);
        selects(by, "foo: 1", "foo: 1", true);
    }
    selects("", "foo: 1", "foo: 2", true);
}

#[test]
fn rfc9111_4_1_a_star_anywhere_matches_nothing() {
    for by in ["*", "*, foo", "foo, *", "foo\nvary: *", "*\nvary: foo", "foo,*"] {
        selects(by, "foo: 1", "foo: 1", false);
    }
}

#[test]
fn rfc9110_12_5_3_accept_encoding_in_another_spelling_is_the_same() {
    for (stored, asked, selected) in [
        ("gzip, br", "br, gzip", true),
        ("gzip, br", "GZIP,BR", true),
        ("gzip;q=1.0, br", "br, gzip", true),
        ("gzip;q=0.5, br", "br, gzip;q=0.500", true),
        ("gzip;q=0.5, br", "br, gzip ; q=0.5", true),
        ("gzip, gzip", "gzip", true),
        ("gzip", "br", false),
        ("gzip, br", "gzip", false),
        ("gzip;q=0.5", "gzip", false),
        ("gzip;q=0", "gzip", false),
        ("identity", "gzip", false),
    ] {
        let field = |value: &str| format!("accept-encoding: {value}");
        selects("accept-encoding", &field(stored), &field(asked), selected);
    }
}

#[test]
fn rfc9110_12_5_4_accept_language_in_another_spelling_is_the_same() {
    for (stored, asked, selected) in [
        ("en, de", "de, en", true),
        ("en, de", "en,de", true),
        ("en, de", "EN, De", true),
        ("en-US, de;q=0.5", "de;q=0.50,en-us", true),
        ("en, de", "en", false),
        ("en", "fr", false),
        ("en;q=0.5, de", "en, de;q=0.5", false),
    ] {
        let field = |value: &str| format!("accept-language: {value}");
        selects("accept-language", &field(stored), &field(asked), selected);
    }
}

#[test]
fn rfc4647_3_3_1_a_stored_language_that_is_liked_best_will_do() {
    let by = "accept-language\ncontent-language: de";
    for (stored, asked, selected) in [
        ("de", "de, en;q=0.5", true),
        ("de, en;q=0.5", "de", true),
        ("de, en;q=0.5", "fr;q=0.1, de;q=0.9", true),
        ("de", "en, de;q=0.5", false),
        ("de", "en", false),
        ("de", "de-AT", false),
    ] {
        let field = |value: &str| format!("accept-language: {value}");
        selects(by, &field(stored), &field(asked), selected);
    }
    selects(by, "accept-language: de", "", false);
}

#[test]
fn rfc9111_4_1_many_variants_live_side_by_side_and_each_answers_its_own() {
    let variant = |foo: usize| get().with(&format!("foo: {foo}"));
    let mut steps: Vec<Step> = (0..8).map(|foo| variant(foo).reply(&varied("foo"))).collect();
    steps.extend((0..8).map(|foo| variant(foo).after(1).hit(foo)));
    steps.extend((0..8).rev().map(|foo| variant(foo).hit(foo)));
    rule(steps);
}

#[test]
fn rfc9111_4_1_variants_may_vary_by_different_fields() {
    rule([
        get().with("foo: 1\nbar: 1").reply(&varied("foo")),
        get().with("foo: 2\nbar: 1").reply(&varied("foo, bar")),
        get().with("foo: 1\nbar: 9").hit(0),
        get().with("foo: 2\nbar: 1").hit(1),
        get().with("foo: 2\nbar: 2").reply(""),
    ]);
}

#[test]
fn rfc9111_4_1_a_response_without_vary_answers_everybody() {
    rule([get().with("foo: 1").reply("cache-control: max-age=60"), get().with("foo: 2").hit(0)]);
}

#[test]
fn rfc9111_4_1_of_those_that_fit_the_one_with_the_latest_date_is_chosen() {
    let dated = |said: &str, at: i64| format!("cache-control: max-age=600\ndate: {}\n{said}", date(at));
    rule([
        get().with("foo: 1").reply(&dated("", -50)),
        get().with("foo: 1\ncache-control: no-cache").reply(&dated("vary: foo", -10)),
        get().with("foo: 1").hit(1),
        get().with("foo: 2").hit(0),
    ]);
}

#[test]
fn rfc9111_4_1_each_variant_is_as_fresh_as_itself() {
    rule([
        get().with("foo: 1").reply("cache-control: max-age=10\nvary: foo\netag: \"1\""),
        get().with("foo: 2").reply("cache-control: max-age=600\nvary: foo\netag: \"2\""),
        get()
            .with("foo: 1")
            .after(20)
            .asks("if-none-match: \"1\"")
            .replies(304, "cache-control: max-age=60")
            .hit(0),
        get().with("foo: 2").hit(1).says("age: 20"),
        get().with("foo: 1").after(20).hit(0).says("age: 20"),
    ]);
}

#[test]
fn rfc9110_12_5_5_a_vary_by_what_every_request_has_still_hits() {
    for by in ["user-agent", "accept", "cookie", "origin", "host"] {
        selects(
            by,
            &format!("{}: a", if by == "host" { "x" } else { by }),
            &format!("{}: a", if by == "host" { "x" } else { by }),
            true,
        );
    }
    selects("cookie", "cookie: a=1; b=2", "cookie: b=2; a=1", false);
    selects("user-agent", "user-agent: a, b", "user-agent: a,b", false);
}
