use super::super::builtin;
use super::*;
use crate::head::Method;

fn tiers() -> Vec<Tier> {
    ["anonymous", "free", "pro", "enterprise"].map(Tier::from).to_vec()
}

#[test]
fn the_builtin_policy_limits_by_tier() {
    let (_, tier) = builtin::tier();
    for (name, quota) in
        [("anonymous", "20/1m"), ("free", "100/1m"), ("pro", "1000/1m"), ("enterprise", "10000/1m")]
    {
        assert_eq!(tier.quota_of(name), quota.parse().ok(), "{name}");
    }
    assert_eq!(
        (tier.budget, tier.on_error, tier.cost.least().get()),
        (Span::from_millis(50), OnError::Admit, 1)
    );
}

#[test]
fn the_builtin_policies_are_right_and_read_back() {
    let all = builtin::all();
    for (name, quota) in
        [("api", "100/1m"), ("strict", "20/1m"), ("login", "5/15m"), ("ai", "30/1m"), ("payment", "10/1m")]
    {
        assert_eq!(all.get(name).unwrap().quota_of("pro"), quota.parse().ok(), "{name}");
    }
    for (name, policy) in all.iter() {
        assert_eq!(policy.problems(&tiers()), [], "{name}");
        let text = serde_json::to_string(policy).unwrap();
        assert_eq!(&serde_json::from_str::<PolicyConfig>(&text).unwrap(), policy, "{text}");
    }
}

#[test]
fn a_request_is_asked_for_under_every_policy_that_limits_it() {
    let text = r#"{"policies":{
        "tier":{"tiers":{"anonymous":"20/1m","pro":"1000/1m","enterprise":"unlimited"}},
        "burst":{"quota":"10/1s","algorithm":"gcra","burst":5,"partition":"global","cost":2,"on_error":"refuse"}}}"#;
    let config: LimitConfig = serde_json::from_str(text).unwrap();
    let head = RequestHead::new(Method::Get, "https://a.example/api").unwrap();
    let asks = |tier: &str| {
        let identity = Identity { tier: tier.into(), ..Identity::anonymous() };
        let ask = |name: &str| {
            config.policies.get(name).unwrap().ask(
                &name.parse().unwrap(),
                "api",
                &head,
                &identity,
                config.prefixes,
            )
        };
        ["tier", "burst"].into_iter().filter_map(ask).collect::<Vec<Ask>>()
    };
    let quotas =
        |tier: &str| asks(tier).iter().map(|ask| ask.take.policy.quota.to_string()).collect::<Vec<_>>();
    assert_eq!(quotas("anonymous"), ["20/1m", "10/1s"]);
    assert_eq!(quotas("pro"), ["1000/1m", "10/1s"]);
    assert_eq!(quotas("enterprise"), ["10/1s"], "unlimited");
    assert_eq!(quotas("free"), ["10/1s"], "not named, and no quota for all");
    let burst = asks("pro").pop().unwrap();
    assert_eq!(
        (burst.take.cost.get(), burst.take.policy.capacity(), burst.on_error),
        (2, 5, OnError::Refuse)
    );
}

#[test]
fn a_tier_may_have_a_multiple_of_the_quota() {
    let text = r#"{"quota":"10/1h","tiers":{"free":"2x","pro":"5x","enterprise":"unlimited"}}"#;
    let policy: PolicyConfig = serde_json::from_str(text).unwrap();
    assert_eq!(policy.problems(&tiers()), []);
    let quota = |tier: &str| policy.quota_of(tier).map(|quota| quota.to_string());
    assert_eq!(quota("anonymous").as_deref(), Some("10/1h"));
    assert_eq!(quota("free").as_deref(), Some("20/1h"));
    assert_eq!(quota("pro").as_deref(), Some("50/1h"));
    assert_eq!(quota("enterprise"), None);
    assert_eq!(
        serde_json::from_str::<PolicyConfig>(&serde_json::to_string(&policy).unwrap()).unwrap(),
        policy
    );
}

#[test]
fn what_does_not_go_together_is_said_with_what_is_allowed() {
    for (text, key) in [
        ("{}", "quota"),
        (r#"{"tiers":{"gold":"1/1m"}}"#, "tiers"),
        (r#"{"tiers":{"pro":"5x"}}"#, "tiers"),
        (r#"{"quota":"30000000/1m","tiers":{"pro":"5x"}}"#, "tiers"),
        (r#"{"quota":"10/1m","burst":5}"#, "burst"),
        (r#"{"quota":"10/1d","resets_at":"06:30"}"#, "resets_at"),
        (r#"{"quota":"10/1h","algorithm":"daily"}"#, "quota"),
        (r#"{"quota":"10/1d","algorithm":"monthly"}"#, "quota"),
        (r#"{"quota":"10/1m","algorithm":"concurrency","refund":["5xx"]}"#, "algorithm"),
        (r#"{"quota":"10/1m","algorithm":"gcra","burst":11}"#, "burst"),
        (r#"{"quota":"10/1m","cost":11}"#, "cost"),
        (r#"{"quota":"10/1m","algorithm":"gcra","cost":2}"#, "cost"),
        (r#"{"quota":"10/1m","tiers":{"free":"5/1m"},"cost":6}"#, "cost"),
        (r#"{"quota":"10/1m","budget":"0s"}"#, "budget"),
        (r#"{"quota":"10/1m","penalty":"1m"}"#, "penalty"),
        (r#"{"quota":"10/1m","strikes":["404"],"algorithm":"fixed-window"}"#, "algorithm"),
        (r#"{"quota":"10/1m","strikes":["404"],"cost":2}"#, "cost"),
        (r#"{"quota":"10/1m","strikes":["404"],"refund":["5xx"]}"#, "refund"),
        (r#"{"quota":"10/1m","strikes":["hit"]}"#, "strikes"),
        (r#"{"quota":"10/1m","refund":["refused"]}"#, "refund"),
        (r#"{"quota":"10/1m","budget":"11s"}"#, "budget"),
        (r#"{"quota":"10/1m","first_request":"provisional","cost":"header:x-cost"}"#, "first_request"),
        (r#"{"quota":"10/1m","first_request":"provisional","refund":["5xx"]}"#, "first_request"),
        (r#"{"quota":"10/1m","first_request":"provisional","strikes":["404"]}"#, "first_request"),
        (r#"{"quota":"10/1m","first_request":"provisional","algorithm":"concurrency"}"#, "first_request"),
    ] {
        let policy: PolicyConfig = serde_json::from_str(text).unwrap();
        let problems = policy.problems(&tiers());
        assert_eq!(problems.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key], "{text}");
        assert!(problems[0].1.contains("; allowed: "), "{problems:?}");
    }
    for text in
        [r#"{"qouta":"1/1m"}"#, r#"{"quota":"1"}"#, r#"{"quota":"1/1m","cost":0}"#, r#"{"algorithm":"x"}"#]
    {
        assert!(serde_json::from_str::<PolicyConfig>(text).is_err(), "{text}");
    }
    assert!(serde_json::from_str::<LimitConfig>(r#"{"policies":{"a b":{"quota":"1/1m"}}}"#).is_err());
}
