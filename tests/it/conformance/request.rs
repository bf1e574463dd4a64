//! RFC 9111, section 5.2.1: what a request says to caches.

use super::{by_default, get, rule, with};

const STORED: &str = "cache-control: max-age=60\netag: \"a\"";

#[test]
fn rfc9111_5_2_1_1_max_age() {
    rule([get().reply(STORED), get().after(20).with("cache-control: max-age=20").hit(0)]);
    rule([
        get().reply(STORED),
        get()
            .after(20)
            .with("cache-control: max-age=19")
            .asks("if-none-match: \"a\"")
            .replies(304, "")
            .hit(0),
    ]);
}

#[test]
fn rfc9111_5_2_1_2_max_stale() {
    rule([get().reply(STORED), get().after(70).with("cache-control: max-stale=10").hit(0)]);
    rule([get().reply(STORED), get().after(71).with("cache-control: max-stale=10").reply("")]);
    rule([get().reply(STORED), get().after(600).with("cache-control: max-stale").hit(0)]);
    let strict = "cache-control: max-age=60, must-revalidate\netag: \"a\"";
    rule([get().reply(strict), get().after(70).with("cache-control: max-stale=10").reply("")]);
}

#[test]
fn rfc9111_5_2_1_3_min_fresh() {
    rule([get().reply(STORED), get().after(20).with("cache-control: min-fresh=40").hit(0)]);
    rule([get().reply(STORED), get().after(20).with("cache-control: min-fresh=41").reply("")]);
}

#[test]
fn rfc9111_5_2_1_4_no_cache() {
    rule([
        get().reply(STORED),
        get().with("cache-control: no-cache").asks("if-none-match: \"a\"").replies(304, "").hit(0),
    ]);
}

#[test]
fn rfc9111_5_4_pragma_counts_where_there_is_no_cache_control() {
    rule([get().reply(STORED), get().with("pragma: no-cache").reply("")]);
    rule([get().reply(STORED), get().with("pragma: no-cache\ncache-control: max-age=60").hit(0)]);
}

#[test]
fn rfc9111_5_2_1_5_no_store() {
    rule([get().with("cache-control: no-store").reply(STORED), get().reply("")]);
}

#[test]
fn rfc9111_5_2_1_7_only_if_cached() {
    rule([
        get().with("cache-control: only-if-cached").status(504),
        get().reply(STORED),
        get().with("cache-control: only-if-cached").hit(1),
    ]);
    rule([get().reply(STORED), get().after(61).with("cache-control: only-if-cached").status(504)]);
}

#[test]
fn a_stranger_is_not_listened_to_by_default() {
    for directive in ["max-age=0", "no-cache", "no-store", "min-fresh=100"] {
        by_default([
            get().reply(STORED),
            get().after(20).with(&format!("cache-control: {directive}")).hit(0),
        ]);
    }
    by_default([get().reply(STORED), get().with("pragma: no-cache").hit(0)]);
    by_default([get().with("cache-control: only-if-cached").status(504)]);
    with("honour_client_directives = \"none\"", [get().with("cache-control: only-if-cached").reply("")]);
}
