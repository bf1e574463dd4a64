//! An origin's own quota, as its responses tell of it: what is left, and when there is more. As it runs out, first those go
//! without who can, and nobody meets the origin's 429.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::pool::PoolState;
use crate::head::{Fields, ResponseHead};
use crate::time::{DeltaSeconds, Span, Timestamp};

/// A quota counts as low when this share of it is left, in percent ...
const LOW_PERCENT: u64 = 10;
/// ... or so many requests, where it does not say how many there were.
const LOW_REQUESTS: u64 = 5;
/// A Reset above this is a moment in seconds since 1970, one below it so many seconds from now ...
const MOMENT_SECS_MIN: u64 = 1_000_000_000;
/// ... and one above this a moment in milliseconds.
const MOMENT_MILLIS_MIN: u64 = 1_000_000_000_000;
/// What an origin says of a later time than this is not believed.
const RESET_MAX: Span = Span::from_secs(86_400);
/// How long a new window is taken for that nothing is known of yet but how much it allows.
const WINDOW_UNKNOWN: Span = Span::from_secs(1);
/// How long a generation of requests is; one that has not come to anything in the next one either is forgotten.
const GENERATION: Span = Span::from_secs(60);
/// How many clients' quotas are known of one pool; those that are over first make room.
const KEYS_MAX: usize = 256;

/// The key of the quota that all clients of a pool share.
pub const SHARED: u64 = 0;

/// `"1000/1d"`: how many requests a pool may be sent in how long, from one multiple of that since 1970 to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Budget {
    /// How many.
    pub requests: u32,
    /// In how long, in seconds.
    pub window_secs: u64,
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (requests, window) = text.split_once('/')?;
            let window: Span = match window.trim() {
                "day" => Span::from_secs(86_400),
                "hour" => Span::from_secs(3600),
                unit if unit.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    ["1", unit].concat().parse().ok()?
                }
                window => window.parse().ok()?,
            };
            let requests =
                requests.trim().parse().ok().filter(|requests| (1..=100_000_000).contains(requests))?;
            let is_whole =
                window.as_millis().is_multiple_of(1000) && (1..=366 * 86_400).contains(&window.as_secs());
            is_whole.then_some(Self { requests, window_secs: window.as_secs() })
        };
        read().ok_or_else(|| {
            mistake!(
                "`{text}` is no budget; allowed: such as \"1000/1d\" (1 to 100000000 requests, in whole seconds up to 366d)"
            )
        })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, Span::from_secs(self.window_secs))
    }
}

text_serde!(Budget, packed);

/// Who asks, as the origin's quota sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// Whose quota it is, where the origin counts by client.
    pub key: u64,
    /// The place of its tier, from 0 for the lowest ...
    pub rank: usize,
    /// ... among so many.
    pub ranks: usize,
}

/// A request that is sent out of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// How many were sent by then, it included.
    number: u64,
    /// How many were under way.
    beside: u64,
    generation: u64,
}

/// One quota: what is left of it, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quota {
    remaining: u64,
    limit: Option<u64>,
    window: Option<Span>,
    resets: Timestamp,
}

/// What a response says: a quota, and whether it is of this client alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    quota: Quota,
    is_own: bool,
}

/// What is known of a pool's quotas.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    quotas: Vec<(u64, Quota)>,
    /// How many requests were sent.
    sent: u64,
    /// How many of them are under way, of this generation and of the one before; older ones are forgotten.
    under_way: [u64; 2],
    /// The number of this generation, and when it began.
    generation: (u64, Timestamp),
    /// Until when its budget is spent.
    spent_until: Timestamp,
}

impl Quota {
    fn low(&self) -> u64 {
        self.limit.map_or(LOW_REQUESTS, |limit| limit.saturating_mul(LOW_PERCENT).div_ceil(100).max(1))
    }

    /// How much has to be left for somebody of this rank: nothing for the highest tier, a low quota's worth for the lowest.
    fn kept_from(&self, Asker { rank, ranks, .. }: Asker) -> u64 {
        let above = ranks.saturating_sub(rank + 1) as u64;
        self.low() * above / (ranks.saturating_sub(1).max(1) as u64)
    }

    /// Brings it up to now; `false` where nothing is known any more. A window that has begun unheard has all that its
    /// origin said it allows, so that those who waited for it do not come all at once.
    fn is_known(&mut self, under_way: u64, now: Timestamp) -> bool {
        if self.resets > now {
            return true;
        }
        let Some(limit) = self.limit else { return false };
        self.remaining = limit.saturating_sub(under_way);
        self.resets = now + self.window.unwrap_or(WINDOW_UNKNOWN);
        true
    }
}

impl Upstream {
    /// A request is to be sent: counts it, or tells how long this asker goes without.
    ///
    /// # Errors
    /// The wait until there is more.
    pub fn take(&mut self, asker: Asker, now: Timestamp) -> Result<Turn, Span> {
        let (generation, began) = self.generation;
        if now.since(began) >= GENERATION {
            self.generation = (generation + 1, now);
            self.under_way = [0, self.under_way[0]];
        }
        let beside = self.under_way.iter().sum();
        self.quotas.retain_mut(|(_, quota)| quota.is_known(beside, now));
        let short = self.of(asker.key).filter(|(_, quota)| quota.remaining <= quota.kept_from(asker));
        if let Some(wait) = short.map(|(_, quota)| quota.resets.since(now)).max() {
            return Err(wait);
        }
        self.spend(asker.key);
        self.sent += 1;
        self.under_way[0] += 1;
        Ok(Turn { number: self.sent, beside, generation: self.generation.0 })
    }

    /// A request is sent besides.
    pub fn spend(&mut self, key: u64) {
        for (_, quota) in self.of(key) {
            quota.remaining = quota.remaining.saturating_sub(1);
        }
    }

    /// A request has come to something.
    pub fn end(&mut self, turn: Turn) {
        let age = self.generation.0 - turn.generation;
        if let Some(count) = usize::try_from(age).ok().and_then(|age| self.under_way.get_mut(age)) {
            *count = count.saturating_sub(1);
        }
    }

    fn of(&mut self, key: u64) -> impl Iterator<Item = &mut (u64, Quota)> {
        self.quotas.iter_mut().filter(move |(one, _)| *one == SHARED || *one == key)
    }

    /// Whether so little is left that what need not be asked is not.
    pub fn is_low(&self, key: u64, now: Timestamp) -> bool {
        let mut quotas = self.quotas.iter().filter(|(one, _)| *one == SHARED || *one == key);
        quotas.any(|(_, quota)| quota.resets > now && quota.remaining <= quota.low())
    }

    /// A response may say what was left when its origin counted its request. That is more than there is now, by as many as
    /// were under way then and were sent since: each of them may have been counted later. So little is left at least, and
    /// what was known is right where it is between the two.
    pub fn hear(&mut self, key: u64, turn: Turn, head: &ResponseHead, now: Timestamp) {
        let Some(Said { quota, is_own }) = read(head, now).filter(|said| said.quota.resets > now) else {
            return;
        };
        let at_least = quota.remaining.saturating_sub(turn.beside + self.sent.saturating_sub(turn.number));
        let key = if is_own { key } else { SHARED };
        if let Some((_, known)) = self.quotas.iter_mut().find(|(one, _)| *one == key) {
            *known = Quota {
                remaining: known.remaining.max(at_least).min(quota.remaining),
                limit: quota.limit.or(known.limit),
                window: quota.window.or(known.window),
                resets: quota.resets,
            };
            return;
        }
        if self.quotas.len() >= KEYS_MAX {
            let first = self.quotas.iter().enumerate().min_by_key(|(_, (_, quota))| quota.resets);
            if let Some((at, _)) = first {
                self.quotas.swap_remove(at);
            }
        }
        self.quotas.push((key, Quota { remaining: at_least, ..quota }));
    }

    /// The budget is spent, until after so long.
    pub fn close(&mut self, wait: Span, now: Timestamp) {
        self.spent_until = now + wait;
    }

    /// For how long the budget is spent.
    pub fn closed_for(&self, now: Timestamp) -> Span {
        self.spent_until.since(now)
    }

    /// How long somebody who was turned away had better wait.
    pub fn wait(&self, key: u64, now: Timestamp) -> Span {
        let quotas = self.quotas.iter().filter(|(one, _)| *one == SHARED || *one == key);
        let low = quotas
            .filter(|(_, quota)| quota.remaining <= quota.low())
            .map(|(_, quota)| quota.resets.since(now));
        low.chain([self.closed_for(now)]).max().unwrap_or_default()
    }
}

impl PoolState {
    /// What is known of its origin's quota, to be learned from or asked.
    pub fn upstream(&mut self) -> &mut Upstream {
        &mut self.upstream
    }
}

/// What a response says of a quota; `None` where it says nothing. Of several the one with the least left.
fn read(head: &ResponseHead, now: Timestamp) -> Option<Said> {
    let fields = &head.fields;
    let said = structured(fields, now).or_else(|| unstructured(fields, now));
    if head.status != 429 {
        return said;
    }
    let told = fields.get("retry-after").map(str::trim);
    let secs = told.and_then(DeltaSeconds::parse).map(|secs| now + secs.span().min(RESET_MAX));
    let resets =
        secs.or_else(|| told.and_then(Timestamp::from_http_date).map(|moment| moment.min(now + RESET_MAX)));
    let known = said.unwrap_or(Said {
        quota: Quota { remaining: 0, limit: None, window: None, resets: now + WINDOW_UNKNOWN },
        is_own: false,
    });
    let quota = Quota { remaining: 0, resets: resets.unwrap_or(known.quota.resets), ..known.quota };
    Some(Said { quota, ..known })
}

/// A member's parameter.
fn parameter<'m>(member: &'m str, key: &str) -> Option<&'m str> {
    let mut parts = member.split(';').skip(1);
    parts.find_map(|part| part.trim().strip_prefix(key)?.strip_prefix('='))
}

/// `RateLimit: "day";r=3;t=600;pk=:...:` and `RateLimit-Policy: "day";q=1000;w=86400`.
fn structured(fields: &Fields, now: Timestamp) -> Option<Said> {
    let number = |member: &str, key: &str| parameter(member, key)?.parse::<u64>().ok();
    let name = |member: &str| member.split(';').next().map(str::trim).map(str::to_owned);
    let read = fields
        .list("ratelimit")
        .filter_map(|member| Some((number(member, "r")?, number(member, "t")?, member)));
    let (remaining, secs, member) = read.min_by_key(|(remaining, ..)| *remaining)?;
    let policy = fields.list("ratelimit-policy").find(|policy| name(policy) == name(member));
    let of_policy = |key: &str| policy.and_then(|policy| number(policy, key));
    let quota = Quota {
        remaining,
        limit: of_policy("q"),
        window: of_policy("w").map(|secs| Span::from_secs(secs.max(1)).min(RESET_MAX)),
        resets: now + Span::from_secs(secs).min(RESET_MAX),
    };
    Some(Said { quota, is_own: parameter(member, "pk").is_some() })
}

/// `X-RateLimit-Remaining` and its like, also without the `X-`, and as providers of models have it, with `-Requests`.
fn unstructured(fields: &Fields, now: Timestamp) -> Option<Said> {
    let either = |name: &str| {
        let spelled =
            [["x-ratelimit-", name, ""], ["ratelimit-", name, ""], ["x-ratelimit-", name, "-requests"]];
        spelled.iter().find_map(|parts| fields.get(&parts.concat()).map(str::trim))
    };
    let number = |name: &str| {
        let text = either(name)?;
        text.split([',', ';']).next().and_then(|first| first.trim().parse::<u64>().ok())
    };
    let remaining = number("remaining")?;
    let resets = match either("reset").map(str::parse::<u64>) {
        Some(Ok(millis @ MOMENT_MILLIS_MIN..)) => Timestamp::from_millis(millis).min(now + RESET_MAX),
        Some(Ok(secs @ MOMENT_SECS_MIN..)) => Timestamp::from_secs(secs).min(now + RESET_MAX),
        Some(Ok(secs)) => now + Span::from_secs(secs).min(RESET_MAX),
        Some(Err(_)) => now + duration(either("reset")?)?.min(RESET_MAX),
        None => return None,
    };
    let quota = Quota { remaining, limit: number("limit"), window: None, resets };
    Some(Said { quota, is_own: false })
}

/// `6m0s`, `20ms`, and `1.52s` as 1.6 s: a little more is no harm.
fn duration(text: &str) -> Option<Span> {
    let mut millis = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let each: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let tail = fraction
            .get(..1)
            .map_or(Some(0), |tenths| tenths.parse::<u64>().ok().map(|tenths| tenths + 1))?;
        let part = (each * tail).div_ceil(10);
        millis = millis.saturating_add(whole.parse::<u64>().ok()?.saturating_mul(each)).saturating_add(part);
        rest = after;
    }
    (!text.is_empty()).then_some(Span::from_millis(millis))
}

#[cfg(test)]
mod tests;
