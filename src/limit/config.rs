//! What a config says about limits.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::partition::{Partition, Prefixes};
use super::policy::{Algorithm, Ask, QuotaPolicy, Take};
use super::quota::{Allowance, Quota};
use crate::head::RequestHead;
use crate::identity::{Identity, Tier};
use crate::time::Span;

/// The longest name that a policy may have, in bytes.
pub const MAX_POLICY_NAME_BYTES: usize = 64;

/// The name of a policy: 1 to [`MAX_POLICY_NAME_BYTES`] letters, digits, `-`, `_` and `.`, so that it stands in a
/// header field, a metric and the text of an ask as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PolicyName(Rc<str>);

impl PolicyName {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PolicyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=MAX_POLICY_NAME_BYTES).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "`{text}` is not a policy name; allowed: 1 to {MAX_POLICY_NAME_BYTES} letters, digits, \"-\", \"_\", \".\""
        ))
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for PolicyName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for PolicyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What happens to a request whose limiter can't be reached within the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// It is admitted, and its header fields say that it was not counted.
    #[default]
    Admit,
    /// It is refused with 503.
    Refuse,
}

/// How `X-RateLimit-Reset` tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetForm {
    /// Seconds since the UNIX epoch.
    #[default]
    Epoch,
    /// Seconds from now.
    Delta,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitConfig {
    /// Whether anything is limited at all. Default true; the variable `RATE_LIMIT_ENABLED` overrules it.
    pub enabled: bool,
    /// The policies that routes name. Default: `tier` alone.
    pub policies: BTreeMap<PolicyName, PolicyConfig>,
    /// How much of an address makes a client.
    pub prefixes: Prefixes,
    /// How `X-RateLimit-Reset` tells the time. Default `"epoch"`.
    pub reset: ResetForm,
    /// Whether `RateLimit-Policy` and `RateLimit` carry `pk`, the hash of the partition. Default false.
    pub show_partition: bool,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            policies: BTreeMap::from([tier_policy()]),
            prefixes: Prefixes::default(),
            reset: ResetForm::default(),
            show_partition: false,
        }
    }
}

/// `[limits.policies.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// What a client may take whose tier is not in `tiers`. Without it, such a client is not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// What a client may take, by tier: a quota or `"unlimited"`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tiers: BTreeMap<Tier, Allowance>,
    /// Default `"sliding-window"`.
    pub algorithm: Algorithm,
    /// Units that GCRA lets through at once, at most the quota. Default 1: evenly spread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// What is counted together. Default `"client"`.
    pub partition: Partition,
    /// Quota units that a request takes. Default 1.
    pub cost: NonZeroU32,
    /// Default `"admit"`.
    pub on_error: OnError,
    /// How long to wait for the limiter. Default 50 ms.
    pub budget: Span,
    /// Counted and reported, but never a reason to refuse. Default false.
    pub shadow: bool,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            quota: None,
            tiers: BTreeMap::new(),
            algorithm: Algorithm::default(),
            burst: None,
            partition: Partition::default(),
            cost: NonZeroU32::MIN,
            on_error: OnError::default(),
            budget: Span::from_millis(50),
            shadow: false,
        }
    }
}

impl PolicyConfig {
    /// What this client may take; `None` where it is not limited.
    pub fn quota_of(&self, tier: &str) -> Option<Quota> {
        match self.tiers.get(tier) {
            Some(Allowance::Quota(quota)) => Some(*quota),
            Some(Allowance::Unlimited) => None,
            None => self.quota,
        }
    }

    /// What has to be asked for one request on the route of this name; `None` where the client is not limited.
    pub fn ask(
        &self,
        name: &PolicyName,
        route: &str,
        head: &RequestHead,
        identity: &Identity,
        prefixes: Prefixes,
    ) -> Option<Ask> {
        let quota = self.quota_of(&identity.tier)?;
        let policy = QuotaPolicy {
            name: name.clone(),
            quota,
            algorithm: self.algorithm,
            burst: self.burst.unwrap_or(NonZeroU32::MIN),
            shadow: self.shadow,
        };
        Some(Ask {
            object: self.partition.object(route, head, identity, prefixes),
            take: Take { policy, cost: self.cost },
            on_error: self.on_error,
            budget: self.budget,
        })
    }

    /// What is wrong with the keys taken together, each as the key's name and a message. `tiers` are those that the
    /// identity config knows.
    pub fn problems(&self, tiers: &[Tier]) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.quota.is_none() && self.tiers.is_empty() {
            found.push(("quota", "limits nothing; allowed: `quota`, `tiers` or both".to_owned()));
        }
        for tier in self.tiers.keys().filter(|tier| !tiers.contains(tier)) {
            found.push(("tiers", format!("`{tier}` is not a tier; allowed: {}", tiers.join(", "))));
        }
        if self.burst.is_some() && self.algorithm != Algorithm::Gcra {
            found.push(("burst", "is of no use here; allowed: only with algorithm = \"gcra\"".to_owned()));
        }
        let quotas = self.tiers.values().filter_map(|allowance| match allowance {
            Allowance::Quota(quota) => Some(*quota),
            Allowance::Unlimited => None,
        });
        let Some(least) = quotas.chain(self.quota).map(Quota::amount).min() else { return found };
        let burst = self.burst.map_or(1, NonZeroU32::get);
        if burst > least {
            found.push(("burst", format!("{burst} is above the quota; allowed: 1 to {least}")));
        }
        let most = if self.algorithm == Algorithm::Gcra { burst.min(least) } else { least };
        if self.cost.get() > most {
            found.push((
                "cost",
                format!("{} is above what is ever let through; allowed: 1 to {most}", self.cost),
            ));
        }
        found
    }
}

fn policy(name: &str, quota: Option<(u32, u64)>, tiers: &[(&str, u32, u64)]) -> (PolicyName, PolicyConfig) {
    let allowance = |(name, amount, secs): &(&str, u32, u64)| {
        Some((Tier::from(*name), Allowance::Quota(Quota::new(*amount, *secs)?)))
    };
    let config = PolicyConfig {
        quota: quota.and_then(|(amount, secs)| Quota::new(amount, secs)),
        tiers: tiers.iter().filter_map(allowance).collect(),
        ..PolicyConfig::default()
    };
    (PolicyName(name.into()), config)
}

fn tier_policy() -> (PolicyName, PolicyConfig) {
    let tiers = [("anonymous", 20, 60), ("free", 100, 60), ("pro", 1000, 60), ("enterprise", 10_000, 60)];
    policy("tier", None, &tiers)
}

/// The policies that a new config file starts from: `tier`, `api`, `strict`, `login`, `ai`, `payment`.
pub fn builtin() -> BTreeMap<PolicyName, PolicyConfig> {
    BTreeMap::from([
        tier_policy(),
        policy("api", Some((100, 60)), &[]),
        policy("strict", Some((20, 60)), &[]),
        policy("login", Some((5, 900)), &[]),
        policy("ai", Some((30, 60)), &[]),
        policy("payment", Some((10, 60)), &[]),
    ])
}
