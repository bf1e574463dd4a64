//! The core compiled to wasm32 gives the answers that it gives natively: one file, run by `cargo test` and by
//! `wasm-pack test --node`, with the expected values written down.

// The lints' exception for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use tidegate::cache::policy::Ttl;
use tidegate::cache::stored::Exchange;
use tidegate::cache::{
    CacheStatus, Detail, Fwd, Layer, Policy, PrimaryKey, Record, StoredHead, reuse, storable,
};
use tidegate::config::{Compiled, Config, stamp};
use tidegate::head::{Fields, Method, RequestHead, ResponseHead, Target};
use tidegate::identity::{Identity, hex};
use tidegate::limit::object::{self, StateTable};
use tidegate::limit::{PolicyConfig, batch};
use tidegate::origin::{PoolConfig, ProxyStatus};
use tidegate::route::{CacheSetting, RouteConfig};
use tidegate::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);

fn get(url: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut request = RequestHead::new(Method::Get, url).unwrap();
    request.fields = Fields::from_pairs(fields.iter().copied());
    request
}

fn response(fields: &[(&str, &str)]) -> ResponseHead {
    ResponseHead { status: 200, fields: Fields::from_pairs(fields.iter().copied()) }
}

fn stored(fields: &[(&str, &str)]) -> StoredHead {
    let (request, response, policy) = (get("https://a.example/x", &[]), response(fields), Policy::default());
    let lifetime = storable(&request, &response, &policy, &Identity::anonymous(), NOW).unwrap();
    let exchange = Exchange::new(NOW, NOW);
    StoredHead::new(&request, &response, &lifetime, &policy, exchange)
}

#[test]
fn storage_keys_are_the_same() {
    for (url, key) in [
        ("https://a.example/", "befde498a45b6c82084a07709548fe6ff7cad85ae6f76a971ad9afaa83f20595"),
        (
            "https://A.example:443/%7euser/?b=2&a=1",
            "241ce6cffde66ecef8f5b42c50043fb675ca0f62e893f61fb4753da974661399",
        ),
        (
            "http://[2001:db8::1]:8080/caf%C3%A9?x=%2f",
            "679b567f0004f127d415024c3683902e1da3e521cc31626796ff0d186d345ecb",
        ),
    ] {
        let target = Target::parse(url).unwrap();
        let primary =
            PrimaryKey::new(&target, &Fields::new(), &Policy::default().key, &Identity::anonymous());
        assert_eq!(primary.storage_key().hex(), key, "{}", primary.as_str());
    }
}

#[test]
fn lifetimes_are_the_same() {
    for (fields, fresh_secs) in [
        (&[("cache-control", "max-age=60")][..], Ok(60)),
        (&[("cache-control", "max-age=60, s-maxage=\"7\"")], Ok(7)),
        (&[("cache-control", "max-age=99999999999999999999")], Ok(1 << 31)),
        (&[("cdn-cache-control", "max-age=9"), ("cache-control", "no-store")], Ok(9)),
        (&[("date", "Thu, 10 Sep 2026 00:26:40 GMT"), ("expires", "Thu Sep 10 03:26:40 2026")], Ok(10_800)),
        (&[("expires", "0"), ("etag", "\"a\"")], Ok(0)),
        (&[("cache-control", "private, max-age=60")], Err("private")),
        (&[("cache-control", "max-age=60"), ("set-cookie", "a=1")], Err("set-cookie")),
        (&[], Err("no-freshness-no-validator")),
    ] {
        let (request, response) = (get("https://a.example/x", &[]), response(fields));
        let lifetime = storable(&request, &response, &Policy::default(), &Identity::anonymous(), NOW);
        assert_eq!(lifetime.map(|one| one.fresh_secs).map_err(|why| why.as_str()), fresh_secs, "{fields:?}");
    }
}

#[test]
fn a_stored_response_is_reused_for_as_long() {
    let head = stored(&[
        ("cache-control", "max-age=60, stale-while-revalidate=30"),
        ("age", "5"),
        ("etag", "\"a\""),
    ]);
    let policy = Policy::default();
    let decide = |after_millis: u64| {
        let now = Timestamp::from_millis(NOW.as_millis() + after_millis);
        let decision = reuse(
            &get("https://a.example/x", &[]),
            std::slice::from_ref(&head),
            None,
            &tidegate::cache::Groups::default(),
            &policy,
            &Identity::anonymous(),
            now,
        );
        match decision {
            tidegate::cache::Reuse::Serve(serve) => (serve.ttl, serve.refresh),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        [decide(0), decide(54_999), decide(55_000), decide(84_999)],
        [(55, false), (1, false), (0, true), (-29, true)]
    );
}

#[test]
fn stored_records_are_the_same() {
    let head = stored(&[("cache-control", "max-age=60"), ("content-type", "text/html"), ("x-own", "naïve")]);
    let record = Record::Response(head);
    let text = "2R|A|200|1789000000000|0|60|0|0|0|0|0|0|0|E|max-age=60|A|text/html|x-own|naïve|I|Thu, 10 Sep 2026 00:26:40 GMT"
        .replace('|', "\u{7f}");
    assert_eq!(record.encode(), text);
    let before_purges = text.replacen("2R\u{7f}A", "1R", 1);
    assert_eq!(Record::decode(&text).as_ref(), Ok(&record));
    assert_eq!(Record::decode(&before_purges), Ok(record));
}

#[test]
fn header_fields_are_the_same() {
    let mut text = String::new();
    let status =
        CacheStatus { fwd_status: Some(304), stored: true, ttl: Some(60), ..CacheStatus::fwd(Fwd::Stale) };
    status.write("tidegate", &mut text);
    text.push_str(", ");
    CacheStatus::hit(-12, Detail::Layer(Layer::Kv)).write("tidegate", &mut text);
    assert_eq!(
        text,
        "tidegate; fwd=stale; fwd-status=304; stored; ttl=60, tidegate; hit; ttl=-12; detail=kv"
    );
    let proxy = ProxyStatus::error("tidegate", "http_request_denied", Some("quota \"x\"".into()));
    assert_eq!(proxy.to_string(), "tidegate; error=http_request_denied; details=\"quota \\\"x\\\"\"");
    assert_eq!(NOW.to_http_date(), "Thu, 10 Sep 2026 00:26:40 GMT");
}

#[test]
fn a_sliding_window_is_the_same() {
    let mut table = StateTable::default();
    let mut verdicts = String::new();
    for at in [0, 10_000, 20_000, 59_999, 60_000, 70_001, 200_000] {
        let orders = batch::read_orders("tier 3 60 sliding-window 1 0 1\n").unwrap();
        let now = Timestamp::from_millis(NOW.as_millis() + at);
        verdicts.push_str(&batch::replies_text(&object::step(&mut table, &orders, now).replies));
        table = StateTable::decode(&table.encode()).unwrap();
    }
    assert_eq!(
        verdicts,
        "1 3 2 60000 - 1789000000000\n1 3 1 50000 - 1789000010000\n1 3 0 40000 - 1789000020000\n\
         0 3 0 1 1 1789000059999\n1 3 0 10000 - 1789000060000\n1 3 0 9999 - 1789000070001\n\
         1 3 2 60000 - 1789000200000\n"
    );
    assert_eq!(hex(&table.encode()), "0204746965720001e0d40301c0dee2c5883401");
}

#[test]
fn a_config_is_compiled_packed_and_read_the_same_way() {
    let pool = PoolConfig { url: "https://app.example".parse().ok(), ..PoolConfig::default() };
    let api = RouteConfig { cache: Some(CacheSetting::Ttl(Ttl::Short)), ..RouteConfig::api("api") };
    let mut config = Config { routes: vec![api], ..Config::default() };
    config.origins.set("default".into(), pool);
    config.limits.policies.set("tier".parse().unwrap(), PolicyConfig::default());
    config.cache.kv_budget = Span::from_millis(50);
    let packed = config.compile().pack().unwrap();
    let site = Compiled::deployed(&packed, &stamp(&packed)).unwrap();
    let route = site.table.classify(&get("https://edge.example/api/x", &[])).unwrap();
    assert_eq!((&*route.name, route.limits.len(), route.pools.len()), ("api", 1, 1));
    // A change of this leaves all that is stored behind.
    assert_eq!(&*route.cache.key.scope, "2c32abb5009d");
    assert_eq!(site.kv_budget.as_millis(), 50);
    assert_eq!(&*site.table.classify(&get("https://edge.example/x", &[])).unwrap().name, "rest");
    assert!(Compiled::deployed(&packed, "other").is_err());
}
