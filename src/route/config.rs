//! `[[routes]]`: what a config says of a route.

use std::num::NonZeroU32;
use std::rc::Rc;

use serde::de::{self, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::matcher::Match;
#[cfg(not(target_arch = "wasm32"))]
use super::matcher::MethodName;
use super::path::PathPrefix;
use super::{Batch, Panic, Sockets, StaticFallback, WriteBehind};
use crate::cache::{self, policy::Ttl};
#[cfg(not(target_arch = "wasm32"))]
use crate::head::Method;
use crate::limit::PolicyName;
use crate::origin::Hedge;

/// One of `[[routes]]`.
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// What it is called in metrics, the log and `explain`.
    pub name: RouteName,
    /// What it matches; default everything.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// The pool that answers: a key of `[origins]`; default `"default"`.
    #[serde(default = "default_pool")]
    pub origin: Box<str>,
    /// Taken from the front of the path before the origin gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<PathPrefix>,
    /// Put in front of the path before the origin gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_prefix: Option<PathPrefix>,
    /// What it says about caching; default `[cache.default]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSetting>,
    /// The policies that limit it, keys of `[limits.policies]`; default none: counted, not limited.
    #[serde(default)]
    pub limits: Vec<PolicyName>,
    /// What a request costs under those of them that have a fixed cost; default theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<NonZeroU32>,
    /// The queue in which its requests wait for the origin, a key of `[limits.queues]`; default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<PolicyName>,
    /// Whether the asset classes hold here; default true.
    #[serde(default = "yes")]
    pub assets: bool,
    /// Whether text may be compressed here; default true.
    #[serde(default = "yes")]
    pub compress: bool,
    /// Whether a request may be sent twice whatever its method; default false.
    #[serde(default)]
    pub retry_safe: bool,
    /// Whether PUT, PATCH and DELETE must say by If-Match what they change; default false.
    #[serde(default)]
    pub require_precondition: bool,
    /// What happens when every endpoint is ejected; default `"try"`.
    #[serde(default)]
    pub panic: Panic,
    /// After what time a second attempt is sent beside the first, where the request may be sent twice; default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// What is answered when neither an origin nor a stored response can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub static_fallback: Option<StaticFallback>,
    /// Its changes are accepted at once, and delivered later; default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_behind: Option<WriteBehind>,
    /// How several of its requests are sent as one; default each alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// What its WebSockets may do; default what they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<Sockets>,
}

fn default_pool() -> Box<str> {
    "default".into()
}

fn yes() -> bool {
    true
}

/// A route's name: 1 to 64 letters, digits, `-`, `_` and `.`, so that it stands in a metric as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteName(Rc<str>);

/// How long a route's name may be, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

impl RouteName {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for RouteName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return Ok(Self(text.into()));
        }
        Err(mistake!(
            "`{text}` is not a name; allowed: 1 to {NAME_BYTES_MAX} letters, digits, \"-\", \"_\", \".\""
        ))
    }
}

impl std::fmt::Display for RouteName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

text_serde!(RouteName);

/// `cache = "off"`, `cache = "short"` (or `"90s"`), or a table of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum CacheSetting {
    /// Nothing is stored or reused.
    Off,
    /// As `[cache.default]`, but with this lifetime where the origin says nothing.
    Ttl(Ttl),
    /// These keys, and those of `[cache.default]` that are not among them ([`crate::config::Config::from_json`]
    /// puts them together).
    Policy(Box<cache::Policy>),
}

impl CacheSetting {
    /// What it comes to.
    pub fn policy(&self, default: &cache::Policy) -> cache::Policy {
        match self {
            Self::Off => cache::Policy { enabled: false, ..default.clone() },
            Self::Ttl(ttl) => cache::Policy { ttl: Some(*ttl), ..default.clone() },
            Self::Policy(policy) => (**policy).clone(),
        }
    }
}

impl Serialize for CacheSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Ttl(ttl) => ttl.serialize(serializer),
            Self::Policy(policy) => policy.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CacheSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = CacheSetting;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"off\", a class or duration such as \"short\" or \"90s\", or a table")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<CacheSetting, E> {
                match text {
                    "off" => Ok(CacheSetting::Off),
                    _ => Ttl::try_from(text.to_owned())
                        .map(CacheSetting::Ttl)
                        .map_err(|error| E::custom(mistake!("{error}, or \"off\", or a table"))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CacheSetting, A::Error> {
                let policy = cache::Policy::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(CacheSetting::Policy(Box::new(policy)))
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

impl RouteConfig {
    /// A route that matches everything and says nothing.
    pub fn plain(name: &str) -> Self {
        Self {
            name: RouteName(name.into()),
            matches: Match::default(),
            origin: default_pool(),
            strip_prefix: None,
            add_prefix: None,
            cache: None,
            limits: Vec::new(),
            cost: None,
            assets: true,
            compress: true,
            queue: None,
            retry_safe: false,
            require_precondition: false,
            panic: Panic::default(),
            hedge: None,
            static_fallback: None,
            write_behind: None,
            batch: None,
            websocket: None,
        }
    }

    /// What is wrong with what it says of batches, WebSockets and changes: under which of its keys, and the key below that
    /// where it is one.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn problems(&self, tiers: &[crate::identity::Tier]) -> Vec<(&'static str, &'static str, String)> {
        let Match { path, methods, .. } = &self.matches;
        let under = |section, found: Vec<(&'static str, String)>| {
            found.into_iter().map(move |(key, message)| (section, key, message))
        };
        let mut all: Vec<_> = under("batch", self.batch.iter().flat_map(Batch::problems).collect()).collect();
        let sockets = self.websocket.iter().flat_map(|websocket| websocket.problems(tiers));
        all.extend(under("websocket", sockets.collect()));
        all.extend(under("write_behind", self.write_behind.iter().flat_map(WriteBehind::problems).collect()));
        let front = path.as_ref().map(|path| path.literal_prefix());
        if let Some(batch) = &self.batch {
            if !methods.is_empty() && !methods.iter().any(|method| method.covers(&Method::Get)) {
                let message = "only GETs are sent as one; allowed: with GET among match.methods";
                all.push(("batch", "", message.into()));
            }
            if front.is_some_and(|front| !batch.may_be_below(front)) {
                let message = format!(
                    "no path of the route's is `{}...`; allowed: a path that match.path takes",
                    batch.ask.before()
                );
                all.push(("batch", "ask", message));
            }
        }
        if self.write_behind.is_some() && !methods.is_empty() && methods.iter().all(MethodName::is_safe) {
            let message = "the route takes no changes; allowed: with POST, PUT, PATCH, DELETE or another of their kind \
                           among match.methods";
            all.push(("write_behind", "", message.into()));
        }
        all
    }

    /// A route below `/api` that is limited by tier.
    pub fn api(name: &str) -> Self {
        let matches = Match { path: "/api/*".parse().ok(), ..Match::default() };
        Self { matches, limits: "tier".parse().into_iter().collect(), ..Self::plain(name) }
    }
}
