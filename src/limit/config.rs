//! What a config says about limits.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::cost::{AnswerKind, Cost};
use super::lists::Listed;
use super::name::PolicyName;
use super::partition::Partition;
use super::policy::{Algorithm, Ask, QuotaPolicy, Take};
use super::prefix::Prefixes;
use super::queue::QueueConfig;
use super::quota::{Allowance, DAY_SECS, MAX_AMOUNT, MONTH_SECS, Quota};
use super::strikes::Penalty;
use super::time_of_day::TimeOfDay;
use crate::head::RequestHead;
use crate::identity::{Identity, Tier};
use crate::list::Dict;
use crate::time::Span;

/// The longest that a request may wait for its limiter.
pub const MAX_BUDGET: Span = Span::from_secs(10);

/// Smaller quotas are not leased: each request is counted at the object.
pub const LEASED_FROM: u32 = 100;

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

/// What happens to the first request of a client that an isolate knows nothing of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstRequest {
    /// It waits until it is counted.
    #[default]
    Counted,
    /// It is let through, and counted meanwhile.
    Provisional,
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

/// Which header fields tell a client about its limits. `Retry-After` is there in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldsForm {
    /// All there are.
    #[default]
    All,
    /// `RateLimit-Policy` and `RateLimit`, as the IETF has them.
    Standard,
    /// `X-RateLimit-*`, for clients that take an earlier form of `RateLimit` for granted.
    Legacy,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct LimitConfig {
    /// Whether anything is limited at all. Default true; the variable `RATE_LIMIT_ENABLED` overrules it.
    pub enabled: bool,
    /// The policies that routes name. A checked config always has `tier`, that of the file or [`super::builtin::tier`].
    pub policies: Dict<PolicyName, PolicyConfig>,
    /// The queues that routes name.
    pub queues: Dict<PolicyName, QueueConfig>,
    /// Who is refused, whatever it asks for.
    pub deny: Vec<Listed>,
    /// Who is never limited, nor denied.
    pub allow: Vec<Listed>,
    /// How much of an address makes a client.
    pub prefixes: Prefixes,
    /// How `X-RateLimit-Reset` tells the time. Default `"epoch"`.
    pub reset: ResetForm,
    /// Which fields tell about limits. Default `"all"`.
    pub fields: FieldsForm,
    /// Whether `RateLimit-Policy` and `RateLimit` carry `pk`, the hash of the partition. Default false.
    pub show_partition: bool,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            policies: Dict::default(),
            queues: Dict::default(),
            deny: Vec::new(),
            allow: Vec::new(),
            prefixes: Prefixes::default(),
            reset: ResetForm::default(),
            fields: FieldsForm::default(),
            show_partition: false,
        }
    }
}

impl LimitConfig {
    /// Whether the units of this policy are bytes of content.
    pub fn counts_bytes(&self, policy: &str) -> bool {
        self.policies.get(policy).is_some_and(|policy| policy.cost.is_bytes())
    }
}

/// `[limits.policies.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct PolicyConfig {
    /// What a client may take whose tier is not in `tiers`. Without it, such a client is not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// What a client may take, by tier: a quota, so many times `quota` (`"5x"`), or `"unlimited"`.
    #[serde(skip_serializing_if = "Dict::is_empty")]
    pub tiers: Dict<Tier, Allowance>,
    /// Default `"sliding-window"`.
    pub algorithm: Algorithm,
    /// When a day begins for `"daily"` and `"monthly"`, in UTC. Default `"00:00"`.
    pub resets_at: TimeOfDay,
    /// Units that GCRA lets through at once, at most the quota. Default 1: evenly spread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// What is counted together. Default `"client"`.
    pub partition: Partition,
    /// Quota units that a request takes. Default 1.
    pub cost: Cost,
    /// Answers that do not count. Default: all do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refund: Vec<AnswerKind>,
    /// Answers that count instead of requests: who has a quota of them is refused for a time, the `penalty`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strikes: Vec<AnswerKind>,
    /// Default `"1m to 1h"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty: Option<Penalty>,
    /// Default `"admit"`.
    pub on_error: OnError,
    /// How long to wait for the limiter. Default 50 ms.
    pub budget: Span,
    /// Counted and reported, but never a reason to refuse. Default false.
    pub shadow: bool,
    /// Whether a busy isolate may take units on lease, where the quota is [`LEASED_FROM`] or more. Default true.
    pub leases: bool,
    /// Default `"counted"`.
    pub first_request: FirstRequest,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            quota: None,
            tiers: Dict::default(),
            algorithm: Algorithm::default(),
            resets_at: TimeOfDay::default(),
            burst: None,
            partition: Partition::default(),
            cost: Cost::default(),
            refund: Vec::new(),
            strikes: Vec::new(),
            penalty: None,
            on_error: OnError::default(),
            budget: Span::from_millis(50),
            shadow: false,
            leases: true,
            first_request: FirstRequest::default(),
        }
    }
}

impl PolicyConfig {
    /// The policy on a route that has a cost of its own, which takes the place of a fixed one.
    pub fn on_route(&self, cost: Option<NonZeroU32>) -> Self {
        let cost = match (&self.cost, cost) {
            (Cost::Units(_), Some(units)) => Cost::Units(units),
            (own, _) => own.clone(),
        };
        Self { cost, ..self.clone() }
    }

    /// Whether nothing but refusals are strikes.
    pub fn counts_refusals(&self) -> bool {
        !self.strikes.is_empty() && self.strikes.iter().all(|kind| *kind == AnswerKind::Refused)
    }

    /// Whether it may refuse a client for what it asks, not for what it was answered.
    pub fn may_refuse(&self) -> bool {
        self.strikes.is_empty() && !self.shadow
    }

    /// Whether what it counts is known with the answer alone.
    fn is_told_afterwards(&self) -> bool {
        !self.strikes.is_empty() || matches!(self.cost, Cost::Header { .. })
    }

    /// Whether an answer may change what its request cost.
    fn settles(&self) -> bool {
        !self.refund.is_empty() || self.is_told_afterwards()
    }

    /// How it counts: by its algorithm, or strikes.
    pub fn counts_by(&self) -> Algorithm {
        if self.strikes.is_empty() {
            self.algorithm
        } else {
            Algorithm::Strikes(self.penalty.unwrap_or_default())
        }
    }

    fn is_concurrency(&self) -> bool {
        self.algorithm == Algorithm::Concurrency
    }

    /// What this client may take; `None` where it is not limited.
    pub fn quota_of(&self, tier: &str) -> Option<Quota> {
        match self.tiers.get(tier) {
            Some(allowance) => self.quota_under(*allowance),
            None => self.quota,
        }
    }

    fn quota_under(&self, allowance: Allowance) -> Option<Quota> {
        match allowance {
            Allowance::Quota(quota) => Some(quota),
            Allowance::Times(times) => self.quota.map(|quota| quota.times(times)),
            Allowance::Unlimited => None,
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
            algorithm: self.counts_by(),
            burst: self.burst.unwrap_or(NonZeroU32::MIN),
            resets_minute: self.resets_at.minute(),
            shadow: self.shadow,
        };
        Some(Ask {
            object: self.partition.object(route, head, identity, prefixes),
            take: Take { policy, cost: self.cost.taken(head).unwrap_or(NonZeroU32::MIN) },
            on_error: self.on_error,
            budget: self.budget,
            leases: self.leases
                && quota.amount() >= LEASED_FROM
                && !self.is_told_afterwards()
                && !self.is_concurrency(),
            provisional: self.first_request == FirstRequest::Provisional
                && !self.settles()
                && !self.is_concurrency(),
        })
    }

    /// What is wrong with the keys taken together, each as the key's name and a message. `tiers` are those that the
    /// identity config knows.
    pub fn problems(&self, tiers: &[Tier]) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.quota.is_none() && self.tiers.is_empty() {
            found.push(("quota", "limits nothing; allowed: `quota`, `tiers` or both".to_owned()));
        }
        for tier in self.tiers.names().filter(|tier| !tiers.contains(tier)) {
            found.push(("tiers", format!("`{tier}` is not a tier; allowed: {}", tiers.join(", "))));
        }
        for (tier, allowance) in self.tiers.iter() {
            let Allowance::Times(times) = allowance else { continue };
            let amount = self.quota.map(|quota| u64::from(quota.amount()) * u64::from(times.get()));
            if amount.is_none_or(|amount| amount > MAX_AMOUNT.into()) {
                let form = format!("with a `quota`, and up to {MAX_AMOUNT} units together");
                found.push(("tiers", format!("`{times}x` for `{tier}` is no quota; allowed: {form}")));
            }
        }
        if self.burst.is_some() && self.algorithm != Algorithm::Gcra {
            found.push(("burst", "is of no use here; allowed: only with algorithm = \"gcra\"".to_owned()));
        }
        found.extend(self.period_problems());
        found.extend(self.strike_problems());
        if self.budget == Span::ZERO || self.budget > MAX_BUDGET {
            found.push((
                "budget",
                format!("`{}` is no time to wait; allowed: 1ms to {MAX_BUDGET}", self.budget),
            ));
        }
        let quotas = self.tiers.values().filter_map(|allowance| self.quota_under(*allowance));
        let Some(least) = quotas.chain(self.quota).map(Quota::amount).min() else { return found };
        let burst = self.burst.map_or(1, NonZeroU32::get);
        if burst > least {
            found.push(("burst", format!("{burst} is above the quota; allowed: 1 to {least}")));
        }
        let most = if self.algorithm == Algorithm::Gcra { burst.min(least) } else { least };
        if self.cost.least().get() > most {
            found.push((
                "cost",
                format!("{} is above what is ever let through; allowed: 1 to {most}", self.cost),
            ));
        }
        found
    }
}

impl PolicyConfig {
    fn period_problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let (period, secs) = match self.algorithm {
            Algorithm::Daily => ("day", DAY_SECS),
            Algorithm::Monthly => ("month", MONTH_SECS),
            _ => ("", 0),
        };
        if self.resets_at != TimeOfDay::default() && secs == 0 {
            let allowed = "only with algorithm = \"daily\" or \"monthly\"";
            found.push(("resets_at", format!("is of no use here; allowed: {allowed}")));
        }
        let all = self.tiers.values().filter_map(|allowance| self.quota_under(*allowance)).chain(self.quota);
        for quota in all.filter(|quota| secs != 0 && quota.window_secs() != secs) {
            let form = format!("a quota such as \"1000/{period}\"");
            found.push(("quota", format!("`{quota}` is not for a {period}; allowed: {form}")));
        }
        if self.is_concurrency() && self.settles() {
            let message = "what is in flight costs what it costs; allowed: no `refund` and no cost by header";
            found.push(("algorithm", message.to_owned()));
        }
        if self.first_request == FirstRequest::Provisional && (self.settles() || self.is_concurrency()) {
            let allowed =
                "only without `refund`, `strikes`, a cost by header and algorithm = \"concurrency\"";
            found.push(("first_request", format!("is of no use here; allowed: {allowed}")));
        }
        found
    }

    fn strike_problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut wrong = |key, is_wrong: bool, what: &str| {
            if is_wrong {
                found.push((key, what.to_owned()));
            }
        };
        let is_strikes = !self.strikes.is_empty();
        let useless = "is of no use here; allowed: only without `strikes`";
        wrong(
            "penalty",
            !is_strikes && self.penalty.is_some(),
            "is of no use here; allowed: only with `strikes`",
        );
        wrong("algorithm", is_strikes && self.algorithm != Algorithm::default(), useless);
        wrong("cost", is_strikes && self.cost != Cost::default(), useless);
        wrong("refund", is_strikes && !self.refund.is_empty(), useless);
        let kinds = "a class of statuses such as \"4xx\", or a status such as \"404\"";
        let hit = format!("`hit` is no strike; allowed: \"refused\", {kinds}");
        wrong("strikes", self.strikes.contains(&AnswerKind::Hit), &hit);
        let refused = format!("`refused` is never counted; allowed: \"hit\", {kinds}");
        wrong("refund", self.refund.contains(&AnswerKind::Refused), &refused);
        found
    }
}

#[cfg(test)]
mod tests;
