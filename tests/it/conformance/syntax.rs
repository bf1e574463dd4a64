//! RFC 9111, sections 4.2, 5.1 to 5.4, and RFC 9110, sections 5.5 and 5.6: fields as strangers write them.

use super::{date, get, rule};

/// Whether a response with these fields is reused without a question after so many seconds.
#[track_caller]
fn reused(fields: &str, after: u64, reused: bool) {
    let next = get().after(after);
    rule([get().reply(fields), if reused { next.hit(0) } else { next.reply("cache-control: no-store") }]);
}

#[test]
fn rfc9111_5_2_spaces_case_and_empty_members_do_not_matter() {
    for said in [
        "\tmax-age=60",
        "max-age=60\t",
        ",max-age=60",
        ", , max-age=60 ,,",
        "Max-Age=60",
        "mAX-aGE=60, PUBLIC",
        "max-age=060",
        "max-age=0000000000000060",
        "foo=bar,max-age=60",
        "foo=\"bar, baz\",max-age=60",
        "foo=\"bar\\\"baz, no-store\",max-age=60",
        "foo=\"\",max-age=60",
        "foo=,max-age=60",
        "=,max-age=60",
        "max-age=60,max-age=60",
        "max-age=60, no-storex, xno-store, no_store",
        "max-age=60, foo=no-store",
        "max-age=60, foo=\"private\"",
        "max-age=60, no-cachex, privatex",
    ] {
        reused(&format!("cache-control: {said}"), 30, true);
    }
}

#[test]
fn rfc9111_4_2_1_what_is_no_number_of_seconds_is_stale() {
    for said in [
        "max-age=60.0",
        "max-age=6e1",
        "max-age=+60",
        "max-age=0x60",
        "max-age=60s",
        "max-age=60 s",
        "max-age=60 public",
        "max-age=60;public",
        "max-age='60'",
        "max-age=\"60",
        "max-age=60\"",
        "max-age=\"6 0\"",
        "max-age=\"\"",
        "max-age==60",
        "max-age:60",
        "max-age 60",
        "\"max-age=60\"",
        "max-age=-60",
        "max-age=1,000",
        "max-age =60",
        "max-age= 60",
        "s-maxage=60.5, max-age=600",
        "s-maxage=-1, max-age=600",
        "s-maxage, max-age=600",
        "s_maxage=60",
        "smax-age=60",
    ] {
        reused(&format!("cache-control: {said}"), 30, false);
    }
}

#[test]
fn rfc9111_5_2_a_directive_counts_wherever_it_stands() {
    for said in [
        "max-age=60, no-store",
        "no-store,max-age=60",
        "max-age=60,No-Store",
        "max-age=60,,no-store",
        "max-age=60, foo=\"bar\", no-store",
        "max-age=60, foo=\"a\\\\\", no-store",
        "max-age=60, no-store=1",
        "max-age=60, no-cache",
        "max-age=60, no-cache=\"\"",
        "max-age=60, no-cache=1 2",
        "max-age=60, private",
        "max-age=60, private=1 2",
        "max-age=60, PRIVATE",
        "public, private, max-age=60",
        "s-maxage=60, private",
    ] {
        reused(&format!("cache-control: {said}"), 1, false);
    }
    for said in ["max-age=60\ncache-control: private", "private\ncache-control: max-age=60"] {
        reused(&format!("cache-control: {said}"), 1, false);
    }
    reused("cache-control: foo\ncache-control: max-age=60\ncache-control: bar", 59, true);
}

#[test]
fn rfc9111_5_1_age_in_every_form() {
    for (age, fresh) in [
        ("0", true),
        ("20", true),
        ("0020", true),
        ("30", false),
        ("59", false),
        ("60", false),
        ("2147483648", false),
        ("99999999999999999999", false),
        ("0, 60", true),
        ("60, 0", false),
        ("-60", true),
        ("60.5", true),
        ("+60", true),
        ("60s", true),
        ("60;foo=bar", true),
        ("\"60\"", true),
        ("abc", true),
        ("abc, 60", true),
        ("60, abc", false),
        ("", true),
    ] {
        reused(&format!("cache-control: max-age=60\nage: {age}"), 30, fresh);
    }
    reused(&format!("date: {}\nexpires: {}\nage: 40", date(0), date(60)), 30, false);
}

#[test]
fn rfc9111_5_3_expires_in_every_form() {
    // The rules begin on Thursday, 10 September 2026, at 00:26:40.
    for (expires, fresh) in [
        ("Thu, 10 Sep 2026 03:26:40 GMT", true),
        ("Thursday, 10-Sep-26 03:26:40 GMT", true),
        ("Thu Sep 10 03:26:40 2026", true),
        ("thu, 10 sep 2026 03:26:40 gmt", true),
        ("Fri, 01 Jan 2038 00:00:00 GMT", true),
        ("Fri, 01 Jan 2100 00:00:00 GMT", true),
        ("Mon, 10 Sep 2026 03:26:40 GMT", true),
        ("Tue Sep 10 03:26:40 2026", true),
        ("Thu, 10 Sep 2026 00:26:40 GMT", false),
        ("Thu, 10 Sep 2026 03:26:40", false),
        ("Thu, 10 Sep 2026 03:26:40 UTC", false),
        ("Thu, 10 Sep 2026 03:26:40 EST", false),
        ("Thu, 10 Sep 2026 03:26:40 +0000", false),
        ("Thu, 10 Sep 2026 3:26:40 GMT", false),
        ("Thu, 10 Sep 2026 03:26 GMT", false),
        ("Thu, 10 Sep 2026 03.26.40 GMT", false),
        ("Thu, 10 Sep 26 03:26:40 GMT", false),
        ("Thu 10 Sep 2026 03:26:40 GMT", false),
        ("Thu, 10  Sep 2026 03:26:40 GMT", false),
        ("Thu, 10-Sep-2026 03:26:40 GMT", false),
        ("10 Sep 2026 03:26:40 GMT", false),
        ("Thu, 10 September 2026 03:26:40 GMT", false),
        ("Thu, 10 Sep 2026 03:26:40 GMT; foo", false),
        ("2026-09-10T03:26:40Z", false),
        ("0", false),
        ("-1", false),
        ("1789999999", false),
        ("never", false),
        ("", false),
    ] {
        reused(&format!("expires: {expires}"), 30, fresh);
    }
    // Two that differ: nobody knows which is meant.
    reused(&format!("expires: {}\nexpires: {}", date(-60), date(600)), 30, false);
}

#[test]
fn rfc9111_4_2_1_an_invalid_expires_is_no_reason_to_guess() {
    for expires in ["0", "-1", "never"] {
        reused(
            &format!("expires: {expires}\nlast-modified: {}\ndate: {}", date(-100_000), date(0)),
            30,
            false,
        );
    }
}

#[test]
fn rfc9111_4_2_1_precedence() {
    for (fields, fresh) in [
        (format!("cache-control: max-age=60\nexpires: {}", date(-600)), true),
        (format!("cache-control: max-age=0\nexpires: {}", date(600)), false),
        (format!("cache-control: max-age=x\nexpires: {}", date(600)), false),
        (format!("cache-control: s-maxage=60\nexpires: {}", date(-600)), true),
        (format!("cache-control: s-maxage=0\nexpires: {}", date(600)), false),
        ("cache-control: s-maxage=60, max-age=0".to_owned(), true),
        ("cache-control: max-age=0, s-maxage=60".to_owned(), true),
        ("cache-control: s-maxage=0, max-age=60".to_owned(), false),
        ("cache-control: S-MaxAge=60, max-age=0".to_owned(), true),
        ("cache-control: s-maxage=\"60\", max-age=0".to_owned(), true),
        (format!("cache-control: foo\nexpires: {}", date(600)), true),
        (format!("cache-control: public\nexpires: {}", date(600)), true),
        (format!("pragma: no-cache\nexpires: {}", date(600)), true),
    ] {
        reused(&fields, 30, fresh);
    }
}

#[test]
fn rfc9111_4_2_3_date_missing_wrong_or_from_elsewhere() {
    for (fields, fresh) in [
        ("cache-control: max-age=60".to_owned(), true),
        ("cache-control: max-age=60\ndate: nonsense".to_owned(), true),
        (format!("cache-control: max-age=60\ndate: {}", date(10_000)), true),
        (format!("cache-control: max-age=60\ndate: {}", date(-40)), false),
        (format!("cache-control: max-age=60\ndate: {}", date(-10_000)), false),
        (format!("cache-control: max-age=10060\ndate: {}", date(-10_000)), true),
        (format!("cache-control: max-age=10030\ndate: {}", date(-10_000)), false),
        (format!("expires: {}\ndate: {}", date(60), date(-10)), true),
        (format!("expires: {}\ndate: {}", date(-10_000), date(-20_000)), false),
        (format!("expires: {}\ndate: {}", date(20_060), date(20_000)), true),
        (format!("expires: {}\ndate: {}", date(60), date(20_000)), false),
    ] {
        reused(&fields, 30, fresh);
    }
}

#[test]
fn rfc9110_6_6_1_a_response_without_date_gets_one_stored_or_not() {
    let shown = format!("date: {}", date(0));
    rule([
        get().reply("cache-control: max-age=60").says(&shown),
        get().after(20).hit(0).says(&shown).says("age: 20"),
    ]);
    rule([get().reply("cache-control: no-store").says(&shown)]);
}

#[test]
fn rfc9111_4_2_2_guesses_are_a_tenth_of_the_age() {
    let modified = |ago: i64| format!("date: {}\nlast-modified: {}", date(0), date(-ago));
    reused(&modified(1000), 99, true);
    reused(&modified(1000), 100, false);
    reused(&modified(10), 2, false);
    reused(&format!("date: {}\nlast-modified: {}", date(0), date(1000)), 1, false);
    reused("last-modified: nonsense", 1, false);
    reused(&format!("cache-control: foo\n{}", modified(1000)), 50, true);
    reused(&format!("cache-control: must-revalidate\n{}", modified(1000)), 50, true);
    reused(&format!("cache-control: no-cache\n{}", modified(1000)), 50, false);
    reused(&format!("cache-control: private\n{}", modified(1000)), 50, false);
    reused(&format!("cache-control: no-store\n{}", modified(1000)), 50, false);
    reused(&format!("last-modified: {}", date(-1000)), 50, true);
    // An Age counts against a guess too.
    reused(&format!("age: 60\n{}", modified(1000)), 50, false);
}

#[test]
fn rfc9111_5_4_pragma_of_a_response_means_nothing() {
    for pragma in ["no-cache", "no-store", "foo, no-cache"] {
        reused(&format!("cache-control: max-age=60\npragma: {pragma}"), 30, true);
        reused(&format!("pragma: {pragma}\ndate: {}\nlast-modified: {}", date(0), date(-1000)), 30, true);
    }
}
