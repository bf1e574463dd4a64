//! Our freshness against that of `http-cache-semantics`, an implementation by others, where both follow RFC 9111:
//! responses made when they came (it knows no apparent age), without overflow, RFC 850 dates, quoted commas, 206 and
//! proxy-revalidate, in each of which it is known to differ from the RFC.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::{Duration, SystemTime};

use http_cache_semantics::{CacheOptions, CachePolicy};
use proptest::prelude::*;
use tidegate::cache::{self, Exchange, Policy, Reuse, StoredHead};
use tidegate::head::{Fields, Method, RequestHead, ResponseHead};
use tidegate::identity::Identity;
use tidegate::time::Timestamp;

const CAME_SECS: u64 = 1_000_000_000;

type Pairs = Vec<(&'static str, String)>;

fn http_date(secs: u64) -> String {
    Timestamp::from_secs(secs).to_http_date()
}

fn response_fields() -> impl Strategy<Value = Pairs> {
    let directive = prop_oneof![
        3 => (0..90_u32).prop_map(|secs| format!("max-age={secs}")),
        1 => (0..90_u32).prop_map(|secs| format!("s-maxage={secs}")),
        1 => prop::sample::select(vec!["public", "private", "no-cache", "no-store", "must-revalidate", "foo", "bar=1"])
            .prop_map(str::to_owned),
    ];
    let directives = prop::collection::vec(directive, 0..4).prop_map(|mut all| {
        // A directive once only: of duplicates it takes none, and we the first.
        all.sort();
        all.dedup_by_key(|text| text.split('=').next().map(str::to_owned));
        all.join(", ")
    });
    let expires =
        prop_oneof![Just("0".to_owned()), (0..120_u64).prop_map(|secs| http_date(CAME_SECS - 30 + secs))];
    (directives, prop::option::of(expires), prop::option::of(0..50_u32)).prop_map(
        |(directives, expires, age)| {
            let mut pairs = vec![("date", http_date(CAME_SECS)), ("etag", "\"a\"".to_owned())];
            if !directives.is_empty() {
                pairs.push(("cache-control", directives));
            }
            pairs.extend(expires.map(|date| ("expires", date)));
            pairs.extend(age.map(|secs| ("age", secs.to_string())));
            pairs
        },
    )
}

fn ours(status: u16, request: &[(&str, &str)], response: &Pairs, after_secs: u64) -> bool {
    let mut asked = RequestHead::new(Method::Get, "http://a/").unwrap();
    asked.fields = Fields::from_pairs(request.iter().copied());
    let pairs = response.iter().map(|(name, value)| (*name, value.as_str()));
    let answer = ResponseHead { status, fields: Fields::from_pairs(pairs) };
    let (policy, nobody, came) = (Policy::default(), Identity::anonymous(), Timestamp::from_secs(CAME_SECS));
    let Ok(lifetime) = cache::storable(&asked, &answer, &policy, &nobody, came) else { return false };
    let exchange = Exchange::new(came, came);
    let stored = StoredHead::new(&asked, &answer, &lifetime, &policy, exchange);
    let now = Timestamp::from_secs(CAME_SECS + after_secs);
    matches!(
        cache::reuse(&asked, &[stored], None, &cache::Groups::default(), &policy, &nobody, now),
        Reuse::Serve(_)
    )
}

fn theirs(status: u16, request: &[(&str, &str)], response: &Pairs, after_secs: u64) -> bool {
    let mut asked = http::Request::get("http://a/");
    for (name, value) in request {
        asked = asked.header(*name, *value);
    }
    let mut answer = http::Response::builder().status(status);
    for (name, value) in response {
        answer = answer.header(*name, value);
    }
    let (asked, answer) = (asked.body(()).unwrap(), answer.body(()).unwrap());
    let came = SystemTime::UNIX_EPOCH + Duration::from_secs(CAME_SECS);
    let options = CacheOptions { cache_heuristic: 0.0, ..CacheOptions::default() };
    let policy = CachePolicy::new_options(&asked, &answer, came, options);
    policy.is_storable() && !policy.is_stale(came + Duration::from_secs(after_secs))
}

proptest! {
    #[test]
    fn the_same_responses_are_fresh_for_both(
        status in prop::sample::select(vec![200_u16, 203, 301, 302, 404, 410, 501]),
        authorised in any::<bool>(),
        response in response_fields(),
        after_secs in 0..100_u64,
    ) {
        let request: &[(&str, &str)] = if authorised { &[("authorization", "Basic eDp5")] } else { &[] };
        prop_assert_eq!(
            ours(status, request, &response, after_secs),
            theirs(status, request, &response, after_secs)
        );
    }
}
