//! What a stored head serves and how it is freshened.

use super::*;
use crate::cache::testing::{anonymous, at, date, get, policy, response, secs, stored};

const TYPE: (&str, &str) = ("content-type", "text/plain");

fn head(pairs: &[(&str, &str)]) -> StoredHead {
    stored(&get(&[]), pairs, &Policy::default(), secs(0))
}

fn freshened(old: &StoredHead, json: &str, pairs: &[(&str, &str)]) -> Freshened {
    old.freshen(&get(&[]), &response(304, pairs), &policy(json), &anonymous(), at(secs(100)))
}

#[test]
fn the_current_age_grows_by_whole_seconds_and_never_back_rfc9111_4_2_3() {
    let made = date(0);
    let mut old = head(&[("cache-control", "max-age=60"), ("age", "7"), ("date", &made)]);
    old.response_time = Timestamp::from_millis(old.response_time.as_millis() + 500);
    let mut last = 0;
    for (millis, age) in [(0, 7), (500, 7), (1499, 7), (1500, 8), (53_500, 60), (90_000, 96)] {
        let now = Timestamp::from_millis(secs(0).as_millis() + millis);
        assert_eq!((old.current_age(now), old.ttl(now)), (age, 60 - i64::from(age)), "{millis}");
        assert!(age >= last);
        last = age;
        let served = old.serve(&How::Full, now).fields;
        assert_eq!((served.get("age"), served.get("date")), (Some(age.to_string().as_str()), Some(&*made)));
    }
}

#[test]
fn fields_of_one_connection_are_not_stored_rfc9111_3_1() {
    let old = head(&[
        TYPE,
        ("cache-control", "max-age=9, no-cache=\"x-one\", private=x-two"),
        ("connection", "close, X-Hop"),
        ("x-hop", "1"),
        ("keep-alive", "5"),
        ("proxy-authenticate", "Basic"),
        ("te", "x"),
        ("upgrade", "h3"),
        ("transfer-encoding", "chunked"),
        ("age", "1"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
    ]);
    let names: Vec<_> = old.fields.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["content-type", "cache-control", "x-three", "date"]);
}

#[test]
fn a_missing_or_wrong_date_becomes_the_time_of_arrival_rfc9110_6_6_1() {
    let fresh = ("cache-control", "max-age=9");
    for pairs in [&[fresh][..], &[fresh, ("date", "today")]] {
        let old = head(pairs);
        assert_eq!(old.fields.get_all("date").collect::<Vec<_>>(), [date(0)]);
    }
}

#[test]
fn cookies_are_stored_or_stripped_as_the_route_says() {
    let pairs = [("cache-control", "max-age=9"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
    for (json, cookies) in [(r#"{"set_cookie":"strip"}"#, 0), (r#"{"set_cookie":"store"}"#, 2)] {
        let old = stored(&get(&[]), &pairs, &policy(json), secs(0));
        assert_eq!(old.fields.get_all("set-cookie").count(), cookies);
    }
}

#[test]
fn a_304_updates_all_but_what_describes_the_body_rfc9111_3_2() {
    let old = head(&[
        TYPE,
        ("cache-control", "max-age=9"),
        ("etag", "\"a\""),
        ("x-old", "1"),
        ("x-both", "1"),
        ("x-both", "2"),
        ("content-length", "10"),
        ("content-encoding", "br"),
        ("age", "8"),
    ]);
    let pairs = [
        ("content-type", "text/html"),
        ("cache-control", "max-age=60"),
        ("x-both", "3"),
        ("x-new", "4"),
        ("content-length", "0"),
        ("content-encoding", "gzip"),
        ("content-range", "bytes 0-1/2"),
        ("upgrade", "x"),
    ];
    let Freshened { head: new, not_stored, pass_on } = freshened(&old, "{}", &pairs);
    assert_eq!((not_stored, pass_on.len(), new.status, new.body_bytes), (None, 0, 200, Some(10)));
    assert_eq!((new.lifetime_secs, new.ttl(secs(101))), (60, 59));
    for (name, values) in [
        ("content-type", &["text/html"][..]),
        ("x-old", &["1"]),
        ("x-both", &["3"]),
        ("x-new", &["4"]),
        ("content-length", &["10"]),
        ("content-encoding", &["br"]),
        ("content-range", &[]),
        ("upgrade", &[]),
        ("etag", &["\"a\""]),
        ("date", &[date(100).as_str()]),
    ] {
        assert_eq!(new.fields.get_all(name).collect::<Vec<_>>(), values, "{name}");
    }
}

#[test]
fn what_a_304_brings_for_one_client_is_passed_on_and_not_stored() {
    let old = head(&[("cache-control", "max-age=9, no-cache=\"x-mine\""), ("etag", "\"a\"")]);
    let pairs = [("set-cookie", "a=1"), ("x-mine", "2")];
    let mine = freshened(&old, "{}", &pairs);
    assert_eq!(mine.pass_on, Fields::from_pairs(pairs));
    assert!(mine.not_stored.is_none() && !mine.head.fields.contains("x-mine"));
    let shared = freshened(&old, r#"{"set_cookie":"store"}"#, &pairs[..1]);
    assert!(shared.pass_on.is_empty() && shared.head.fields.contains("set-cookie"));
    let private = freshened(&old, "{}", &[("cache-control", "private")]);
    assert_eq!(private.not_stored, Some(NotStored::Private));
}

#[test]
fn each_answer_has_the_fields_it_must_have_rfc9110_15() {
    let old = head(&[
        TYPE,
        ("cache-control", "max-age=9"),
        ("etag", "\"a\""),
        ("content-length", "10"),
        ("x-a", "1"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("content-location", "/y"),
        ("vary", "foo"),
    ]);
    let range = |first, last| ByteRange { first, last };
    for (how, status, length, range) in [
        (How::Full, 200, Some("10"), None),
        (How::NotModified, 304, None, None),
        (How::Partial(range(2, 4)), 206, Some("3"), Some("bytes 2-4/10")),
        (How::Unsatisfiable, 416, Some("0"), Some("bytes */10")),
    ] {
        let served = old.serve(&how, secs(1));
        assert_eq!((served.status, served.fields.get("content-length")), (status, length));
        assert_eq!(served.fields.get("content-range"), range);
        for name in ["cache-control", "content-location", "date", "etag", "vary", "age", "x-a"] {
            assert!(served.fields.contains(name), "{how:?} {name}");
        }
        let whole = matches!(how, How::Full | How::Partial(_));
        assert_eq!(
            (served.fields.contains("content-type"), served.fields.contains("last-modified")),
            (whole, status != 304)
        );
    }
    let several = old.serve(&How::Multipart(vec![range(0, 0), range(9, 9)]), secs(1));
    assert_eq!(several.status, 206);
    assert!(several.fields.get("content-type").unwrap().starts_with("multipart/byteranges; boundary="));
    assert!(several.content_length().unwrap() > 20 && !several.fields.contains("content-range"));
}

#[test]
fn nothing_takes_vary_from_a_stored_response() {
    for takes in [("connection", "vary"), ("x", "")] {
        let pairs = [("cache-control", "max-age=9, no-cache=\"vary\""), ("vary", "foo"), takes];
        let old = stored(&get(&[("foo", "1")]), &pairs, &Policy::default(), secs(0));
        assert!(
            old.fields.contains("vary") && !old.selecting.matches(&Fields::new(), &Policy::default().vary)
        );
    }
}

#[test]
fn counting_the_body_tells_the_complete_length_but_not_of_a_part() {
    let part = Some(ByteRange { first: 4, last: 9 });
    for (part, complete) in [(None, Some(6)), (part, Some(10))] {
        let mut old = StoredHead { part, body_bytes: part.map(|_| 10), ..StoredHead::default() };
        old.count(6);
        assert_eq!((old.body_bytes, old.stored_bytes()), (complete, Some(6)));
    }
}
