//! RFC 9111, section 4.2.4, and RFC 5861: serving stale responses; RFC 9211: Cache-Status.

use tidegate::origin::FetchError;

use super::{Step, by_default, get, rule};
use crate::sim::Reply;

fn down() -> [Reply; 3] {
    [Reply::new(503, "down"), Reply::new(500, "broken"), Reply::fails(FetchError::ConnectionLost)]
}

fn stored(said: &str) -> Step {
    get().reply(&format!("cache-control: {said}\netag: \"a\""))
}

#[test]
fn rfc5861_4_stale_if_error() {
    for reply in down() {
        by_default([
            stored("max-age=10, stale-if-error=60"),
            get().after(69).replies_with(reply.clone()).status(200).hit(0).says("age: 69"),
        ]);
        let status = reply.result.as_ref().map_or(502, |head| head.status);
        by_default([
            stored("max-age=10, stale-if-error=60"),
            get().after(71).replies_with(reply.clone()).status(status),
        ]);
        by_default([stored("max-age=10"), get().after(11).replies_with(reply).status(status)]);
    }
}

#[test]
fn rfc9111_4_2_4_a_disconnected_cache_may_serve_stale_where_the_config_says_so() {
    for reply in down() {
        rule([stored("max-age=10"), get().after(600).replies_with(reply).status(200).hit(0)]);
    }
}

#[test]
fn rfc9111_5_2_2_2_must_revalidate_is_never_served_stale() {
    for said in [
        "must-revalidate, stale-if-error=60",
        "proxy-revalidate, stale-if-error=60",
        "no-cache, stale-if-error=60",
        "s-maxage=10",
    ] {
        for reply in down() {
            let status = reply.result.as_ref().map_or(504, |head| head.status);
            rule([
                stored(&format!("max-age=10, {said}")),
                get().after(20).replies_with(reply).status(status),
            ]);
        }
    }
}

#[test]
fn rfc9111_4_2_4_a_4xx_is_no_failure() {
    rule([stored("max-age=10, stale-if-error=60"), get().after(20).replies(404, "")]);
}

#[test]
fn rfc5861_3_stale_while_revalidate() {
    let said = "max-age=10, stale-while-revalidate=60";
    by_default([
        stored(said),
        get().after(20).reply("cache-control: max-age=60").status(200).hit(0).says("age: 20"),
        get().hit(1).says("age: 0"),
    ]);
    by_default([stored(said), get().after(71).reply("").hit(1)]);
    by_default([stored(&format!("{said}, must-revalidate")), get().after(20).reply("").hit(1)]);
}

#[test]
fn rfc9211_2_cache_status_says_what_the_cache_did() {
    let cache = |text: &str| format!("cache-status: tidegate; {text}");
    by_default([
        stored("max-age=60").says(&cache("fwd=uri-miss; fwd-status=200; stored; ttl=60")),
        get().after(10).hit(0).says(&cache("hit; ttl=50; detail=memory")),
        get().after(60).replies(304, "").hit(0).says(&cache("fwd=stale; fwd-status=304; stored; ttl=60")),
        super::send("POST", "/x").after(2).replies(204, "").says(&cache("fwd=method; fwd-status=204")),
        get()
            .reply("cache-control: private")
            .says(&cache("fwd=uri-miss; fwd-status=200; detail=\"private\"")),
    ]);
}

#[test]
fn rfc9211_2_what_an_origin_says_comes_first() {
    by_default([get()
        .reply("cache-control: max-age=60\ncache-status: inner; hit")
        .says("cache-status: inner; hit, tidegate; fwd=uri-miss; fwd-status=200; stored; ttl=60")]);
}
