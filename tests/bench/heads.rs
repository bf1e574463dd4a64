//! What a head costs on its way through, as `head::Fields` and as `http::HeaderMap`: `cargo bench --bench heads`.
//! The ratio of the medians, both measured in turns in one run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate::head::Fields;

const NAMES: [&str; 12] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "cookie",
    "dnt",
    "host",
    "referer",
    "sec-fetch-mode",
    "sec-fetch-site",
    "user-agent",
    "x-request-id",
];
const ASKED: [&str; 8] = [
    "authorization",
    "cache-control",
    "cookie",
    "if-none-match",
    "range",
    "accept-encoding",
    "x-api-key",
    "cdn-loop",
];
const ADDED: [&str; 5] = ["via", "forwarded", "x-forwarded-for", "x-forwarded-host", "traceparent"];
const VALUE: &str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

fn packed() -> String {
    NAMES.iter().map(|name| format!("{name}\n{VALUE}\n")).collect()
}

fn fields(packed: &str) -> usize {
    let mut fields = Fields::from_packed(packed.to_owned(), 0);
    let found = ASKED.iter().filter(|name| fields.get(name).is_some()).count();
    fields.retain(|name, _| name != "x-request-id" && name != "dnt");
    ADDED.iter().for_each(|name| fields.append(name, VALUE));
    let mut out = String::with_capacity(2048);
    fields.pack_into(&mut out);
    found + out.len()
}

fn header_map(packed: &str) -> usize {
    let mut lines = packed.split('\n');
    let mut map = HeaderMap::with_capacity(24);
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let found = ASKED.iter().filter(|name| map.get(**name).is_some()).count();
    map.remove("x-request-id");
    map.remove("dnt");
    ADDED.iter().for_each(|name| {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(VALUE));
    });
    let mut out = String::with_capacity(2048);
    for (name, value) in &map {
        out.push_str(name.as_str());
        out.push('\n');
        out.push_str(value.to_str().unwrap());
        out.push('\n');
    }
    found + out.len()
}

fn time(work: impl Fn(&str) -> usize, packed: &str) -> Duration {
    let start = Instant::now();
    for _ in 0..20_000 {
        black_box(work(black_box(packed)));
    }
    start.elapsed() / 20_000
}

fn main() {
    let packed = packed();
    assert_eq!(fields(&packed), header_map(&packed));
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) =
        (0..9).map(|_| (time(fields, &packed), time(header_map, &packed))).unzip();
    ours.sort_unstable();
    theirs.sort_unstable();
    let ratio = theirs[4].as_secs_f64() / ours[4].as_secs_f64();
    println!("Fields {:?}, HeaderMap {:?} a head: {ratio:.2} times as long", ours[4], theirs[4]);
}
