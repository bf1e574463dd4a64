//! The policies that tidegate brings along.

use super::config::PolicyConfig;
use super::name::PolicyName;
use super::quota::{Allowance, Quota};
use crate::identity::Tier;
use crate::list::Dict;

fn policy(
    name: &'static str,
    quota: Option<(u32, u64)>,
    tiers: &[(&str, u32, u64)],
) -> (PolicyName, PolicyConfig) {
    let allowance = |(name, amount, secs): &(&str, u32, u64)| {
        Some((Tier::from(*name), Allowance::Quota(Quota::new(*amount, *secs)?)))
    };
    let config = PolicyConfig {
        quota: quota.and_then(|(amount, secs)| Quota::new(amount, secs)),
        tiers: tiers.iter().filter_map(allowance).collect(),
        ..PolicyConfig::default()
    };
    (PolicyName::builtin(name), config)
}

/// The policy that every config has: each tier its own quota a minute.
pub fn tier() -> (PolicyName, PolicyConfig) {
    let tiers = [("anonymous", 20, 60), ("free", 100, 60), ("pro", 1000, 60), ("enterprise", 10_000, 60)];
    policy("tier", None, &tiers)
}

/// The policies that a new config file starts from: `tier`, `api`, `strict`, `login`, `ai`, `payment`.
pub fn all() -> Dict<PolicyName, PolicyConfig> {
    Dict::from_iter([
        tier(),
        policy("api", Some((100, 60)), &[]),
        policy("strict", Some((20, 60)), &[]),
        policy("login", Some((5, 900)), &[]),
        policy("ai", Some((30, 60)), &[]),
        policy("payment", Some((10, 60)), &[]),
    ])
}
