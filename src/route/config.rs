//! `[[routes]]`: what a config says of a route.

use std::num::NonZeroU32;
use std::rc::Rc;

use serde::de::{self, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::matcher::Match;
use super::path::PathPrefix;
use super::{Batch, Panic, Sockets, StaticFallback, WriteBehind};
use crate::cache::{self, policy::Ttl};
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

    /// A route below `/api` that is limited by tier.
    pub fn api(name: &str) -> Self {
        let matches = Match { path: "/api/*".parse().ok(), ..Match::default() };
        Self { matches, limits: "tier".parse().into_iter().collect(), ..Self::plain(name) }
    }
}
