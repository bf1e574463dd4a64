//! Limits, as whoever holds the admin token looks at them: the policies, how a partition stands, and what makes it forget.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::head::{Client, Method, RequestHead};
use crate::identity::{Identity, Tier};
use crate::json::{push_name, push_text};
use crate::limit::{Ask, LimitConfig, PolicyConfig, PolicyName, Verdict};
use crate::route::{Route, Table};

/// How many hex digits the name of a partition's object has.
const OBJECT_DIGITS: usize = 64;
/// What a query may name.
const NAMES: &str = "policy, route, tier, address, subject, key, url, country, asn, header:NAME, cookie:NAME; or \
                     partition and tier";

/// What is done with limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The policies are listed.
    List,
    /// The state of partitions is shown.
    Show,
    /// They are made to forget.
    Reset,
}

/// The act for a request to `rate-limits` and this rest of a path.
///
/// # Errors
/// The methods that are allowed there; empty where there is nothing.
pub fn act(request: &RequestHead, rest: &str) -> Result<Act, &'static str> {
    match (rest, &request.method) {
        ("" | "/", Method::Get | Method::Head) => Ok(Act::List),
        ("" | "/", _) => Err("GET, HEAD"),
        ("/partition", Method::Get | Method::Head) => Ok(Act::Show),
        ("/partition", Method::Delete) => Ok(Act::Reset),
        ("/partition", _) => Err("GET, HEAD, DELETE"),
        _ => Err(""),
    }
}

/// The value of a name in a query; `None` where it is not there.
pub fn query<'t>(target: &'t str, name: &str) -> Option<Cow<'t, str>> {
    pairs(target).find(|(known, _)| known == name).map(|(_, value)| value)
}

/// The values of these two names in a query.
///
/// # Errors
/// Where it has another name.
pub fn read_query<'t>(target: &'t str, names: [&str; 2]) -> Result<[Option<Cow<'t, str>>; 2], String> {
    match pairs(target).find(|(name, _)| !names.contains(&&**name)) {
        Some((name, _)) => {
            let [one, other] = names;
            Err(["`", &name, "` can't be read in the query; allowed: `", one, "`, `", other, "`"].concat())
        }
        None => Ok(names.map(|name| query(target, name))),
    }
}

fn pairs(target: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// Whose state is looked up: a request as it would be counted, or a partition by its hash.
#[derive(Debug)]
pub struct Sought {
    /// The policy, where one alone is meant.
    policy: Option<String>,
    route: Option<String>,
    object: Option<Box<str>>,
    head: RequestHead,
    identity: Identity,
}

impl Sought {
    /// Reads a query. `identity` is that of the key that it names, where it names one.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn read(target: &str, identity: Option<Identity>, default_tier: &Tier) -> Result<Self, String> {
        let url = query(target, "url").unwrap_or(Cow::Borrowed("https://any.invalid/"));
        let wrong = |name: &str| ["`", name, "` can't be read in the query; allowed: ", NAMES].concat();
        let mut head = RequestHead::new(Method::Get, &url).map_err(|_| wrong("url"))?;
        let (mut client, mut tier) = (Client::default(), None);
        let mut identity = identity.unwrap_or_else(Identity::anonymous);
        let (mut policy, mut route, mut object) = (None, None, None);
        for (name, value) in pairs(target) {
            match &*name {
                "policy" => policy = Some(value.into_owned()),
                "route" => route = Some(value.into_owned()),
                "tier" => tier = Some(Tier::from(&*value)),
                "address" => client.address = Some(value.parse().map_err(|_| wrong("address"))?),
                "country" => client.country = Some(value.into()),
                "asn" => client.asn = Some(value.parse().map_err(|_| wrong("asn"))?),
                "subject" => {
                    identity.subject = Some(value.into());
                    if *identity.tier == *"anonymous" {
                        identity.tier = default_tier.clone();
                    }
                }
                "partition" if is_object(&value) => object = Some(value.into()),
                "key" | "url" => {}
                _ => match name.split_once(':') {
                    Some(("header", field)) => head.fields.append(&field.to_ascii_lowercase(), &value),
                    Some(("cookie", cookie)) => head.fields.append("cookie", &[cookie, "=", &value].concat()),
                    _ => return Err(wrong(&name)),
                },
            }
        }
        identity.tier = tier.unwrap_or(identity.tier);
        head.client = client.into();
        Ok(Self { policy, route, object, head, identity })
    }

    /// What would have to be asked for it, once for each policy and route that differ in what is counted together.
    ///
    /// # Errors
    /// Where it names what there is not.
    pub fn asks(&self, table: &Table, limits: &LimitConfig) -> Result<Vec<Ask>, String> {
        let unknown = |kind: &str, name: &str| ["there is no ", kind, " `", name, "`"].concat();
        if let Some(name) = self.policy.as_deref().filter(|name| limits.policies.get(name).is_none()) {
            return Err(unknown("policy", name));
        }
        if let Some(name) = self.route.as_deref().filter(|name| table.iter().all(|one| *one.name != **name)) {
            return Err(unknown("route", name));
        }
        let mut asks: Vec<Ask> = Vec::new();
        let is_meant = |route: &&Route| self.route.as_deref().is_none_or(|name| *route.name == *name);
        for route in table.iter().filter(is_meant) {
            for (name, policy) in self.meant(route) {
                let mut ask = policy.ask(name, &route.name, &self.head, &self.identity, limits.prefixes);
                if let (Some(ask), Some(object)) = (&mut ask, &self.object) {
                    ask.object = object.clone();
                }
                asks.extend(ask.filter(|ask| !asks.iter().any(|known| known == ask)));
            }
        }
        Ok(asks)
    }

    fn meant<'r>(&'r self, route: &'r Route) -> impl Iterator<Item = (&'r PolicyName, &'r PolicyConfig)> {
        let policies = route.limits.iter().map(|(name, policy)| (name, &**policy));
        policies.filter(|(name, _)| self.policy.as_deref().is_none_or(|one| one == name.as_str()))
    }
}

fn is_object(text: &str) -> bool {
    text.len() == OBJECT_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// How partitions stand, as JSON; `None` where their object did not answer.
pub fn shown(states: &[(Ask, Option<Verdict>)], is_reset: bool) -> String {
    let mut out = String::from("{");
    if is_reset {
        push_name(&mut out, "reset");
        out.push_str("true");
    }
    push_name(&mut out, "partitions");
    out.push('[');
    for (at, (ask, verdict)) in states.iter().enumerate() {
        out.push_str(if at == 0 { "{" } else { ",{" });
        let policy = &ask.take.policy;
        for (name, text) in [
            ("partition", &*ask.object),
            ("policy", policy.name.as_str()),
            ("quota", &policy.quota.to_string()),
            ("algorithm", policy.algorithm.as_str()),
        ] {
            push_name(&mut out, name);
            push_text(&mut out, text);
        }
        if let Some(verdict) = verdict {
            push_number(&mut out, "limit", verdict.limit.into());
            push_number(&mut out, "remaining", verdict.remaining.into());
            push_number(&mut out, "reset", verdict.reset.as_secs_ceil());
        }
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// The policies, as JSON: what each tier may take, what is counted together, which routes it holds for. `stats` is what
/// became of them, as JSON.
pub fn list(limits: &LimitConfig, tiers: &[Tier], table: &Table, stats: &str) -> String {
    let mut out = String::from("{");
    push_name(&mut out, "policies");
    out.push('[');
    for (at, (name, policy)) in limits.policies.iter().enumerate() {
        out.push_str(if at == 0 { "{" } else { ",{" });
        push_name(&mut out, "policy");
        push_text(&mut out, name.as_str());
        push_name(&mut out, "algorithm");
        push_text(&mut out, policy.counts_by().as_str());
        push_name(&mut out, "shadow");
        out.push_str(if policy.shadow { "true" } else { "false" });
        push_name(&mut out, "quotas");
        out.push('{');
        for tier in tiers {
            push_name(&mut out, tier);
            match policy.quota_of(tier) {
                Some(quota) => push_text(&mut out, &quota.to_string()),
                None => out.push_str("null"),
            }
        }
        out.push('}');
        push_list(&mut out, "partition", &policy.partition.names());
        let holds = |route: &&Route| route.limits.iter().any(|(held, _)| held == name);
        let routes: Vec<String> = table.iter().filter(holds).map(|route| route.name.to_string()).collect();
        push_list(&mut out, "routes", &routes);
        out.push('}');
    }
    out.push(']');
    push_name(&mut out, "stats");
    out.push_str(stats);
    out.push('}');
    out
}

fn push_list(out: &mut String, name: &str, items: &[String]) {
    push_name(out, name);
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_text(out, item);
    }
    out.push(']');
}

fn push_number(out: &mut String, name: &str, number: u64) {
    push_name(out, name);
    out.push_str(&number.to_string());
}
