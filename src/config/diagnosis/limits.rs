//! What is wrong with limits, and with who clients are.

use serde_json::Value;

use super::check::Check;
use super::problem::KeyPath;
use crate::limit::{PolicyConfig, PolicyName, Quota, builtin};

impl<'c> Check<'c> {
    pub(super) fn limits(&mut self) {
        let config = self.config;
        let (limits, identity) = (&config.limits, &config.identity);
        let path = KeyPath::of("limits");
        for (key, message) in identity.problems() {
            self.add(KeyPath::of("identity").below(key), message);
        }
        for (key, message) in limits.prefixes.problems() {
            self.add(path.key("prefixes").key(key), message);
        }
        let written = self.names("/limits/policies");
        for (name, policy) in limits.policies.iter() {
            let path = path.key("policies").key(name.as_str());
            if written.contains(&name.as_str()) && self.reading.is_whole(&path) {
                for (key, message) in policy.problems(&identity.tiers) {
                    self.add(path.key(key), message);
                }
                self.bytes(&path, name.as_str(), policy);
                self.refusals(&path, name, policy);
            }
        }
        for (name, queue) in limits.queues.iter() {
            for (key, message) in queue.problems(&identity.tiers) {
                self.add(path.key("queues").key(name.as_str()).key(key), message);
            }
        }
        let (name, policy) = builtin::tier();
        if !written.contains(&name.as_str()) {
            let left_out = identity.tiers.iter().find(|tier| policy.quota_of(tier).is_none());
            let is_used = self.config.routes_or_default().iter().any(|route| route.limits.contains(&name));
            if let Some(tier) = left_out.filter(|_| is_used) {
                let message = format!(
                    "the policy `{name}` that is used says nothing about `{tier}`; allowed: with a \
                     [limits.policies.{name}] that does"
                );
                self.add(KeyPath::of("identity").key("tiers"), message);
            }
        }
    }

    /// Quotas of bytes where requests are counted.
    fn bytes(&mut self, path: &KeyPath, name: &str, policy: &PolicyConfig) {
        let json = self.json.pointer(&["/limits/policies/", name].concat());
        let text = |value: Option<&'c Value>| value.and_then(Value::as_str);
        let tiers = json.and_then(|json| json.get("tiers")).and_then(Value::as_object);
        let tiers =
            tiers.into_iter().flatten().map(|(tier, value)| (path.key("tiers").key(tier), text(Some(value))));
        let quota = (path.key("quota"), text(json.and_then(|json| json.get("quota"))));
        for (path, quota) in tiers.chain([quota]) {
            if let Some(quota) =
                quota.filter(|quota| Quota::is_of_bytes(quota) && !policy.cost.may_be_bytes())
            {
                let form =
                    "with cost = \"request-bytes\" or \"header:NAME\", else a quota such as \"100/1m\"";
                self.add(path, format!("`{quota}` is of bytes, but no unit is a byte; allowed: {form}"));
            }
        }
    }

    /// Strikes for refusals where nothing ever refuses.
    fn refusals(&mut self, path: &KeyPath, name: &PolicyName, policy: &PolicyConfig) {
        let policies = &self.config.limits.policies;
        let refuses = |other: &PolicyName| {
            other != name && policies.get(other.as_str()).is_none_or(PolicyConfig::may_refuse)
        };
        let mut routes = self.config.routes.iter().filter(|route| route.limits.contains(name)).peekable();
        if policy.counts_refusals()
            && routes.peek().is_some()
            && !routes.any(|route| route.limits.iter().any(refuses))
        {
            let message =
                "there is nothing to be refused by; allowed: with another policy in the `limits` of a route";
            self.add(path.key("strikes"), message.to_owned());
        }
    }
}
