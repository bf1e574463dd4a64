//! RFC 9111, section 3: storing responses in caches.

use super::{by_default, get, rule, send, with};

#[test]
fn rfc9111_3_a_response_with_explicit_freshness_is_stored_whatever_its_final_status() {
    for status in
        [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 418, 451, 499, 500, 501, 503, 599]
    {
        let body = if status == 204 { "" } else { "the body of step 0" };
        rule([
            get().replies(status, "cache-control: max-age=60"),
            get().after(10).status(status).body(body).says("age: 10"),
        ]);
    }
}

#[test]
fn rfc9111_3_a_response_without_freshness_and_validator_is_not_reused() {
    rule([get().reply(""), get().reply("")]);
    rule([get().reply("cache-control: public"), get().reply("")]);
}

#[test]
fn rfc9111_3_no_store_is_not_stored() {
    for said in ["no-store", "no-store, max-age=60", "NO-STORE, max-age=60", "max-age=60, no-store=\"x\""] {
        rule([get().reply(&format!("cache-control: {said}")), get().reply("")]);
    }
    rule([get().reply("cache-control: max-age=60\ncache-control: no-store"), get().reply("")]);
}

#[test]
fn rfc9111_3_private_is_not_stored() {
    rule([get().reply("cache-control: private, max-age=60"), get().reply("")]);
    rule([get().reply("cache-control: private=\"\", max-age=60"), get().reply("")]);
}

#[test]
fn rfc9111_5_2_2_7_private_with_field_names_keeps_those_out() {
    rule([
        get().reply("cache-control: max-age=60, private=\"x-mine\"\nx-mine: 1\nx-ours: 2").says("x-mine: 1"),
        get().hit(0).lacks("x-mine").says("x-ours: 2"),
    ]);
}

#[test]
fn rfc9111_3_5_a_response_to_a_request_with_authorization_is_shared_only_where_it_says_so() {
    let get = || get().with("authorization: Basic YTpi");
    rule([get().reply("cache-control: max-age=60"), get().reply("")]);
    for said in ["public, max-age=60", "s-maxage=60", "must-revalidate, max-age=60"] {
        rule([get().reply(&format!("cache-control: {said}")), get().hit(0)]);
    }
}

#[test]
fn rfc9111_3_methods_that_are_not_understood_are_not_stored() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"] {
        rule([send(method, "/x").reply("cache-control: max-age=60"), send(method, "/x").reply("")]);
        rule([send(method, "/x").reply("cache-control: max-age=60"), get().reply("")]);
    }
}

#[test]
fn rfc9111_3_must_understand_with_a_status_that_is_not_known_is_not_stored() {
    rule([get().replies(299, "cache-control: max-age=60, must-understand"), get().replies(299, "")]);
    rule([get().reply("cache-control: max-age=60, must-understand, no-store"), get().hit(0)]);
}

#[test]
fn rfc9111_3_1_fields_that_are_not_for_a_cache_are_not_stored() {
    rule([
        get().reply(
            "cache-control: max-age=60\nconnection: x-hop\nx-hop: 1\nproxy-authenticate: Basic\nx-kept: 1",
        ),
        get().hit(0).lacks("connection").lacks("x-hop").lacks("proxy-authenticate").says("x-kept: 1"),
    ]);
}

#[test]
fn rfc9111_7_3_set_cookie_is_stored_only_where_the_config_says_so() {
    let sets = || get().reply("cache-control: max-age=60\nset-cookie: a=1\nset-cookie: b=2");
    rule([sets(), get().hit(0).says("set-cookie: a=1, b=2")]);
    by_default([sets(), get().reply("").lacks("set-cookie")]);
    with("set_cookie = \"strip\"", [sets().says("set-cookie: a=1, b=2"), get().hit(0).lacks("set-cookie")]);
}

#[test]
fn rfc9111_3_3_a_part_is_no_whole() {
    let part = || {
        get()
            .with("range: bytes=0-3")
            .replies(206, "cache-control: max-age=60\ncontent-range: bytes 0-3/9\ncontent-length: 4")
    };
    let part = || super::Step {
        reply: part().reply.map(|reply| crate::sim::Reply { body: "0123".into(), ..reply }),
        ..part()
    };
    rule([part(), get().reply("")]);
    by_default([part(), part()]);
}

#[test]
fn rfc9111_2_two_urls_are_two_responses() {
    rule([
        get().reply("cache-control: max-age=60"),
        send("GET", "/y").reply("cache-control: max-age=60"),
        send("GET", "/x?a=1").reply("cache-control: max-age=60"),
        send("GET", "/x?a=2").reply("cache-control: max-age=60"),
        send("GET", "/x?a=1").hit(2),
        get().hit(0),
    ]);
}

#[test]
fn rfc3986_6_2_2_two_spellings_of_one_url_are_one_response() {
    rule([
        send("GET", "/%7Ea/b%2fc?q=%41").reply("cache-control: max-age=60"),
        send("GET", "/~a/b%2Fc?q=A").hit(0),
        send("GET", "/~a/b/c?q=A").reply(""),
    ]);
}
