//! The sections of a config file that belong to no other room.

use serde::{Deserialize, Serialize};

use crate::cache::{Classes, Policy};
use crate::identity::IdentityConfig;
use crate::limit::LimitConfig;
use crate::list::Dict;
use crate::origin::PoolConfig;
use crate::route::asset::AssetConfig;
use crate::route::compress::CompressionConfig;
use crate::route::{OnTrap, RouteConfig};
use crate::size::Size;
use crate::time::Span;

/// A whole config file.
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[origins.NAME]`
    pub origins: Dict<String, PoolConfig>,
    /// `[[routes]]`. Without any, `/api/*` is limited by tier, and everything else is counted.
    pub routes: Vec<RouteConfig>,
    /// `[cache]`
    pub cache: CacheSection,
    /// `[limits]`
    pub limits: LimitConfig,
    /// `[identity]`
    pub identity: IdentityConfig,
    /// `[assets]`
    pub assets: AssetConfig,
    /// `[compression]`
    pub compression: CompressionConfig,
    /// `[fleet]`
    pub fleet: FleetSection,
}

/// `[server]`
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct ServerConfig {
    /// Where tidegate's own pages and endpoints are; default `/_tidegate`.
    pub prefix: crate::route::path::PathPrefix,
    /// What happens to requests when the wasm dies; default `"pass"`.
    pub on_trap: OnTrap,
    /// The name of this gate in Via, CDN-Loop and Proxy-Status: one word; default `tidegate`.
    pub id: String,
    /// How often CDN-Loop may already name this gate; default 0. 1 where a request passes here twice on purpose.
    pub loops_max: usize,
    /// How many subrequests the platform allows one request; default 50, as on the free plan.
    pub subrequests_max: u32,
    /// Whether responses say in Server-Timing where their time went; default false.
    pub timing: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            prefix: crate::route::path::PathPrefix::tidegate(),
            on_trap: OnTrap::default(),
            id: "tidegate".into(),
            loops_max: 0,
            subrequests_max: 50,
            timing: false,
        }
    }
}

/// `[cache]`
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct CacheSection {
    /// How much of the isolate's memory stored responses may take; default 24MiB.
    pub memory_bytes_max: Size,
    /// How long a look-up in KV may take before it counts as a miss; default 75ms.
    pub kv_budget: Span,
    /// What the named lifetimes are.
    pub classes: Classes,
    /// What routes say about caching that say nothing themselves, and the keys that their own tables lack.
    pub default: Policy,
}

impl Default for CacheSection {
    fn default() -> Self {
        Self {
            memory_bytes_max: Size::from_mib(24),
            kv_budget: Span::from_millis(75),
            classes: Classes::default(),
            default: Policy::default(),
        }
    }
}

/// `[fleet]`
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct FleetSection {
    /// How old an isolate's knowledge of what the whole fleet shares (purges) may be; default 5s.
    pub refresh: Span,
    /// How many URLs are warmed in a second at most; default 5.
    pub warm_per_second: u32,
    /// Whether the hot URLs are counted; default false.
    pub hot: bool,
    /// Whether they are warmed after a purge; default false.
    pub warm_after_purge: bool,
    /// How often they are warmed, to the minute; default 0s: never.
    pub warm_every: Span,
}

impl Default for FleetSection {
    fn default() -> Self {
        Self {
            refresh: Span::from_secs(5),
            warm_per_second: 5,
            hot: false,
            warm_after_purge: false,
            warm_every: Span::ZERO,
        }
    }
}
