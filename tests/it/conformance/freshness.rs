//! RFC 9111, section 4.2: freshness, and sections 5.1 to 5.3.

use super::{by_default, date, get, rule};

/// Stored with these fields; reused after so many seconds, and not after so many.
fn lives(fields: &str, fresh: Option<u64>, stale: u64) {
    let stored = || get().reply(fields);
    if let Some(fresh) = fresh {
        rule([stored(), get().after(fresh).hit(0)]);
    }
    rule([stored(), get().after(stale).reply("cache-control: no-store")]);
}

#[test]
fn rfc9111_4_2_1_max_age() {
    lives("cache-control: max-age=60", Some(59), 60);
    lives("cache-control: max-age=0\netag: \"a\"", None, 0);
}

#[test]
fn rfc9111_4_2_1_s_maxage_goes_before_max_age_and_that_before_expires() {
    lives("cache-control: max-age=10, s-maxage=60", Some(59), 60);
    lives("cache-control: max-age=60, s-maxage=10", Some(9), 10);
    lives(&format!("cache-control: max-age=10\nexpires: {}", date(600)), Some(9), 10);
    lives(&format!("cache-control: s-maxage=60\nexpires: {}", date(10)), Some(59), 60);
}

#[test]
fn rfc9111_5_3_expires_counts_from_date() {
    lives(&format!("date: {}\nexpires: {}", date(0), date(60)), Some(59), 60);
    lives(&format!("expires: {}", date(60)), Some(59), 60);
    lives(&format!("date: {}\nexpires: {}\netag: \"a\"", date(0), date(-60)), None, 0);
}

#[test]
fn rfc9111_5_3_what_is_no_date_has_expired() {
    for expires in [
        "0",
        "-1",
        "tomorrow",
        "Thu, 10 Sep 2026 03:26:40",
        "Thu, 10 Sep 2026 03:26:40 UTC",
        "Thu, 10 Sep 2026 03:26:40 +0000",
        "Thu 10 Sep 2026 03:26:40 GMT",
        "Thu, 10 Sep 26 03:26:40 GMT",
    ] {
        rule([get().reply(&format!("expires: {expires}\netag: \"a\"")), get().reply("")]);
    }
}

#[test]
fn rfc9110_5_6_7_three_forms_are_dates_in_any_case() {
    for expires in [
        "Thu, 10 Sep 2026 03:26:40 GMT",
        "Thursday, 10-Sep-26 03:26:40 GMT",
        "Thu Sep 10 03:26:40 2026",
        "THU, 10 SEP 2026 03:26:40 GMT",
        "thu, 10 sep 2026 03:26:40 gmt",
    ] {
        rule([get().reply(&format!("expires: {expires}")), get().after(60).hit(0)]);
    }
}

#[test]
fn rfc9111_5_2_directives_are_read_as_the_grammar_says() {
    for (said, fresh) in [
        ("MAX-AGE=60", true),
        ("max-age=\"60\"", true),
        ("foo=\"max-age=1\", max-age=60", true),
        ("max-age=60, bar=\"no-store\"", true),
        ("foo, max-age=60,,", true),
        ("max-age=60 , foo", true),
        ("x-max-age=60", false),
        ("max-age", false),
        ("max-age=", false),
        ("max-age=-1", false),
        ("max-age=a60", false),
        ("max-age = 60", false),
    ] {
        let stored = get().reply(&format!("cache-control: {said}\netag: \"a\""));
        let next = get().after(30);
        rule([stored, if fresh { next.hit(0) } else { next.reply("") }]);
    }
}

#[test]
fn rfc9111_1_2_2_seconds_that_overflow_are_very_many() {
    for seconds in ["2147483648", "4294967296", "99999999999999999999999"] {
        rule([get().reply(&format!("cache-control: max-age={seconds}")), get().after(86_400).hit(0)]);
    }
}

#[test]
fn rfc9111_4_2_3_age_counts_against_freshness_and_grows() {
    rule([
        get().reply("cache-control: max-age=60\nage: 40"),
        get().after(10).hit(0).says("age: 50"),
        get().after(9).hit(0).says("age: 59"),
        get().after(1).reply(""),
    ]);
}

#[test]
fn rfc9111_4_2_3_a_date_in_the_past_counts_as_age() {
    let stored = format!("cache-control: max-age=60\ndate: {}", date(-40));
    rule([
        get().reply(&stored),
        get().after(19).hit(0).says(&format!("age: 59\ndate: {}", date(-40))),
        get().after(1).reply(""),
    ]);
}

#[test]
fn rfc9111_5_1_an_age_that_is_no_number_is_none_and_of_several_the_first_counts() {
    for (age, shown) in [("abc", "10"), ("-7", "10"), ("7, 50", "17"), ("\"7\"", "10")] {
        rule([
            get().reply(&format!("cache-control: max-age=60\nage: {age}")),
            get().after(10).hit(0).says(&format!("age: {shown}")),
        ]);
    }
}

#[test]
fn rfc9111_4_2_1_of_several_values_the_first_counts() {
    for between in [", ", "\ncache-control: "] {
        lives(&format!("cache-control: max-age=60{between}max-age=5"), Some(59), 60);
        lives(&format!("cache-control: max-age=5{between}max-age=60"), Some(4), 5);
    }
}

#[test]
fn rfc9111_4_2_2_a_lifetime_is_guessed_from_last_modified_where_the_config_says_so() {
    let modified = format!("date: {}\nlast-modified: {}", date(0), date(-1000));
    rule([get().reply(&modified), get().after(99).hit(0), get().after(2).reply("")]);
    by_default([get().reply(&modified), get().after(1).reply("")]);
    for status in [203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        rule([get().replies(status, &modified), get().after(90).status(status)]);
    }
    for status in [201, 302, 307, 400, 403, 500, 503] {
        rule([get().replies(status, &modified), get().after(1).reply("")]);
        let public = format!("cache-control: public\n{modified}");
        rule([get().replies(status, &public), get().after(90).status(status)]);
    }
}

#[test]
fn rfc9111_5_2_2_4_no_cache_is_stored_and_validated() {
    let stored = "cache-control: no-cache, max-age=60\netag: \"a\"";
    rule([get().reply(stored), get().asks("if-none-match: \"a\"").replies(304, "").hit(0)]);
}

#[test]
fn rfc9111_5_2_2_4_no_cache_with_field_names_keeps_those_out() {
    rule([
        get().reply("cache-control: max-age=60, no-cache=\"x-mine\"\nx-mine: 1").says("x-mine: 1"),
        get().hit(0).lacks("x-mine"),
    ]);
}

#[test]
fn rfc9111_5_4_pragma_in_a_response_says_nothing() {
    rule([get().reply("cache-control: max-age=60\npragma: no-cache"), get().hit(0)]);
}

#[test]
fn rfc8246_a_fresh_immutable_response_is_not_reloaded() {
    rule([
        get().reply("cache-control: max-age=600, immutable\netag: \"a\""),
        get().after(60).with("cache-control: max-age=0").hit(0),
    ]);
}
