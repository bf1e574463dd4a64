//! The quotas of `tidegate init --example saas`, as a client meets them.

use crate::sim::{Answer, World, secs};

const SAAS: &str = include_str!("../../../src/bin/saas.toml");

const TIERS: [&str; 4] = ["anonymous", "free", "pro", "enterprise"];

/// With a key of each tier.
fn saas() -> World {
    let world = World::new(1).config(SAAS);
    for tier in TIERS {
        world.api_key(tier, &format!(r#"{{"tier":"{tier}","subject":"{tier}"}}"#));
    }
    world
}

fn post(world: &World, tier: &str, path: &str) -> Answer {
    world.request("POST", path).field("x-api-key", tier).run()
}

/// How many requests are admitted before the first that is not; `most` where none is refused.
fn admitted(world: &World, tier: &str, path: &str, most: usize) -> usize {
    (0..most).take_while(|_| post(world, tier, path).status == 200).count()
}

#[test]
fn every_tier_gets_exactly_what_it_is_entitled_to() {
    for (path, quotas) in [
        ("/api/ai/text", [10, 10, 50, 200]),
        ("/api/images/new", [5, 5, 25, 100]),
        ("/api/exports/csv", [20, 20, 100, 400]),
    ] {
        for (tier, quota) in TIERS.into_iter().zip(quotas) {
            let world = saas();
            assert_eq!(admitted(&world, tier, path, 1000), quota, "{path} {tier}");
            let refused = post(&world, tier, path);
            assert_eq!((refused.status, refused.field("x-ratelimit-tier").as_deref()), (429, Some(tier)));
            let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
            assert!((1..=3600).contains(&wait), "{refused:#?}");
            world.pass(secs(wait));
            assert_eq!(post(&world, tier, path).status, 200, "Retry-After is enough: {path} {tier}");
        }
    }
}

#[test]
fn edits_are_a_thousand_a_minute_and_without_end_for_who_pays() {
    let world = saas();
    for (tier, edits) in [("anonymous", 1000), ("free", 1000), ("pro", 1500), ("enterprise", 1500)] {
        assert_eq!(admitted(&world, tier, "/api/documents/7", 1500), edits, "{tier}");
        world.pass(secs(60));
    }
}

#[test]
fn a_thousand_images_are_the_most_in_a_day_for_every_tier() {
    let world = saas();
    // To the beginning of a day, UTC.
    world.pass(secs(86_400 - world.now().as_secs() % 86_400));
    let day = world.now();
    let mut images = 0;
    while images < 1000 {
        images += admitted(&world, "enterprise", "/api/images/new", 1000);
        if images < 1000 {
            world.pass(secs(3600));
        }
    }
    assert_eq!((images, world.now().since(day).as_secs()), (1000, 9 * 3600));
    world.pass(secs(3600));
    let refused = post(&world, "enterprise", "/api/images/new");
    assert_eq!(refused.field("x-ratelimit-policy").as_deref(), Some("images-day"), "{refused:#?}");
    assert_eq!(refused.field("retry-after"), Some((14 * 3600).to_string()), "until midnight");
    world.pass(secs(14 * 3600));
    assert_eq!(post(&world, "enterprise", "/api/images/new").status, 200);
}

#[test]
fn every_policy_of_a_route_is_listed_but_those_in_shadow() {
    let answer = post(&saas(), "pro", "/api/images/new");
    let policies = answer.field("ratelimit-policy").unwrap();
    assert_eq!(policies, "\"images\";q=25;w=3600, \"images-day\";q=1000;w=86400, \"address\";q=6000;w=60");
    let states = answer.field("ratelimit").unwrap();
    for left in ["\"images\";r=24;", "\"images-day\";r=999;", "\"address\";r=5999;"] {
        assert!(states.contains(left), "{states}");
    }
    assert_eq!(answer.field("x-ratelimit-policy").as_deref(), Some("images"), "the nearest to its limit");
}

#[test]
fn the_address_is_counted_beside_the_client() {
    let world = saas();
    let edit = |tier: &str, from: &str| {
        world.request("PUT", "/api/documents/7").field("x-api-key", tier).from(from).run()
    };
    assert!((0..6000).all(|nth| edit(TIERS[2 + nth % 2], "192.0.2.1").status == 200));
    let refused = edit("pro", "192.0.2.1");
    assert_eq!((refused.status, refused.field("x-ratelimit-policy").as_deref()), (429, Some("address")));
    assert_eq!(edit("pro", "192.0.2.2").status, 200, "the same client from elsewhere");
}

#[test]
fn a_trial_ends_by_itself() {
    let world = saas();
    let until = world.now().as_secs() + 1000;
    let record = format!(r#"{{"tier":"pro","until":{until},"then":"free","subject":"trial"}}"#);
    world.api_key("trial", &record);
    let tier = || post(&world, "trial", "/api/ai/text").field("x-ratelimit-tier").unwrap();
    assert_eq!(tier(), "pro");
    world.pass(secs(1000));
    assert_eq!(tier(), "pro", "the last second");
    world.pass(secs(1));
    assert_eq!(tier(), "free");
}

#[test]
fn a_change_of_a_keys_tier_is_seen_without_a_deployment() {
    let world = saas();
    let quota = || post(&world, "free", "/api/ai/text").field("x-ratelimit-limit").unwrap();
    assert_eq!(quota(), "10");
    world.api_key("free", r#"{"tier":"enterprise","subject":"free"}"#);
    world.pass(secs(30));
    assert_eq!(quota(), "200");
}
