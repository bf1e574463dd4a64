//! RFC 9213: targeted cache control.

use super::{date, get, rule, with};

#[test]
fn rfc9213_2_2_a_valid_targeted_field_replaces_cache_control_and_expires() {
    for (said, targeted) in [
        ("cache-control: no-store", "max-age=60"),
        ("cache-control: private", "max-age=60"),
        ("cache-control: max-age=1", "max-age=60"),
        (&format!("expires: {}", date(-60)), "max-age=60"),
    ] {
        rule([get().reply(&format!("{said}\ncdn-cache-control: {targeted}")), get().after(30).hit(0)]);
    }
}

#[test]
fn rfc9213_2_2_what_a_targeted_field_forbids_is_forbidden() {
    for targeted in ["no-store", "private", "max-age=0", "no-store, max-age=60"] {
        let said = format!("cache-control: max-age=60\ncdn-cache-control: {targeted}");
        rule([get().reply(&said), get().after(1).reply("")]);
    }
}

#[test]
fn rfc9213_2_2_an_invalid_or_empty_one_is_ignored_whole() {
    for targeted in ["max-age=60, &", "max-age=10000, no store", ""] {
        let said = format!("cache-control: max-age=60\ncdn-cache-control: {targeted}");
        rule([get().reply(&said), get().after(59).hit(0), get().after(1).reply("")]);
    }
}

#[test]
fn rfc9213_2_1_age_counts_against_a_targeted_lifetime() {
    let said = "cache-control: max-age=600\nage: 50\ncdn-cache-control: max-age=60";
    rule([get().reply(said), get().after(9).hit(0), get().after(1).reply("")]);
}

#[test]
fn rfc9213_3_it_is_passed_on_or_consumed_as_configured() {
    let said = "cdn-cache-control: max-age=60";
    rule([get().reply(said).says(said), get().hit(0).says(said)]);
    with(
        "targets_passed_on = false",
        [get().reply(said).lacks("cdn-cache-control"), get().hit(0).lacks("cdn-cache-control")],
    );
}

#[test]
fn tags_are_passed_on_or_consumed_as_configured() {
    let said = "cache-control: max-age=60\ncache-tag: a, b\nsurrogate-key: c d\ncache-groups: \"e\"";
    rule([get().reply(said).says(said), get().hit(0).says(said)]);
    let lacks = |step: super::Step| step.lacks("cache-tag").lacks("surrogate-key").lacks("cache-groups");
    with("tags_passed_on = false", [lacks(get().reply(said)), lacks(get().hit(0))]);
}

#[test]
fn rfc9213_2_2_the_first_of_the_configured_list_counts() {
    let said = "tidegate-cache-control: max-age=60\ncdn-cache-control: no-store";
    let keys = "targets = [\"tidegate-cache-control\", \"cdn-cache-control\"]";
    with(keys, [get().reply(said), get().after(30).hit(0)]);
    with("targets = []", [get().reply("cdn-cache-control: max-age=60"), get().reply("")]);
}
