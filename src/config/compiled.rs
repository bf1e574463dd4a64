//! A config as requests are decided with.

use std::borrow::Cow;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::sections::{Config, FleetSection, ServerConfig};
use crate::cache::Policy;
use crate::identity::{IdentityConfig, hex};
use crate::json;
use crate::limit::LimitConfig;
use crate::list::sort_short;
use crate::origin::Pool;
use crate::route::asset::AssetConfig;
use crate::route::compress::CompressionConfig;
use crate::route::{Route, RouteConfig, Table};
use crate::size::Size;
use crate::time::Span;

/// A checked config, ready for use. Every name that a route gives is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compiled {
    /// `[server]`
    pub server: ServerConfig,
    /// All routes.
    pub table: Table,
    /// All pools, in the order of their names; [`Route::pools`] are indices into them.
    pub pools: Vec<Rc<Pool>>,
    /// `[limits]`
    pub limits: LimitConfig,
    /// `[identity]`
    pub identity: IdentityConfig,
    /// `[assets]`
    pub assets: AssetConfig,
    /// `[compression]`
    pub compression: CompressionConfig,
    /// How much of the isolate's memory stored responses may take.
    pub memory_bytes_max: Size,
    /// How long a look-up in KV may take.
    pub kv_budget: Span,
    /// `[fleet]`
    pub fleet: FleetSection,
}

impl Config {
    /// The routes as they are written; where there are none, `/api/*` limited by tier.
    pub fn routes_or_default(&self) -> Cow<'_, [RouteConfig]> {
        if self.routes.is_empty() { vec![RouteConfig::api("api")].into() } else { (&self.routes).into() }
    }

    /// The route of what no other matches: it goes to the pool `default`, is counted and not limited.
    pub fn rest() -> RouteConfig {
        RouteConfig::plain("rest")
    }

    /// Ready for use, natively; the wasm gets what this gives. Meant for a config that [`Config::from_json`] let
    /// through: a name that is not there is left out.
    pub fn compile(&self) -> Compiled {
        let routes = self.routes_or_default().iter().map(|route| self.compile_route(route)).collect();
        let pools = self.origins.iter().map(|(name, pool)| Rc::new(Pool::new(name, pool.clone()))).collect();
        Compiled {
            server: self.server.clone(),
            table: Table::new(routes, self.compile_route(&Self::rest())),
            pools,
            limits: self.limits.clone(),
            identity: self.identity.clone(),
            assets: self.assets.clone(),
            compression: self.compression.clone(),
            memory_bytes_max: self.cache.memory_bytes_max,
            kv_budget: self.cache.kv_budget,
            fleet: self.fleet.clone(),
        }
    }

    fn compile_route(&self, route: &RouteConfig) -> Route {
        let limits = route.limits.iter().filter_map(|name| {
            let (name, policy) = self.limits.policies.entry(name.as_str())?;
            Some((name.clone(), Rc::new(policy.on_route(route.cost))))
        });
        Route {
            name: route.name.as_str().into(),
            matches: route.matches.clone(),
            pools: self.chain(route).into_iter().filter_map(|name| self.origins.position(name)).collect(),
            strip_prefix: route.strip_prefix.clone(),
            add_prefix: route.add_prefix.clone(),
            cache: Rc::new(self.cache_policy(route)),
            limits: limits.collect(),
            queue: route.queue.as_ref().and_then(|name| {
                let (name, queue) = self.limits.queues.entry(name.as_str())?;
                Some((name.clone(), Rc::new(queue.clone())))
            }),
            assets: route.assets,
            // What tidegate compresses has a weak tag, by which nothing can be changed.
            compress: route.compress && !route.require_precondition,
            retry_safe: route.retry_safe,
            require_precondition: route.require_precondition,
            panic: route.panic,
            hedge: route.hedge,
            static_fallback: route.static_fallback.clone().map(Rc::new),
            batch: route.batch.clone().map(Rc::new),
            websocket: route.websocket.clone().map(Rc::new),
            write_behind: route.write_behind.clone().map(Rc::new),
        }
    }

    /// The pools that a route's requests go to, in the order in which they are asked.
    fn chain<'a>(&'a self, route: &'a RouteConfig) -> Vec<&'a str> {
        let fallbacks = self.origins.get(&route.origin).into_iter().flat_map(|pool| &pool.fallback);
        let mut names: Vec<&str> =
            std::iter::once(&route.origin).chain(fallbacks).map(|name| &**name).collect();
        let rank = |name: &str| self.origins.get(name).map_or((0, 0.0), |pool| (pool.priority, pool.cost));
        sort_short(&mut names, |one, other| rank(one) < rank(other));
        names
    }

    /// Its scope keeps apart what differs in more than the client's URL: what the origin is asked, and the rules of
    /// the key. Routes that agree on both share it, so that a write through one invalidates what the other stored.
    fn cache_policy(&self, route: &RouteConfig) -> Policy {
        let default = &self.cache.default;
        let mut policy =
            route.cache.as_ref().map_or_else(|| default.clone(), |setting| setting.policy(default));
        policy.classes = self.cache.classes;
        let asked = (&route.origin, &route.strip_prefix, &route.add_prefix, &policy.key);
        // A rule that came later changes no scope where it is off: a new version does not empty the cache.
        let mut text = json::write(&asked).replace("\"device\":false,", "");
        for pool in self.chain(route).into_iter().filter_map(|name| self.origins.get(name)) {
            if pool.path.is_some() || !pool.headers.is_empty() || pool.secret.is_some() {
                let asked = (&pool.path, &pool.headers, &pool.secret);
                text.push_str(&json::write(&asked));
            }
        }
        let hash = Sha256::digest(&text);
        policy.key.scope = hex(hash.get(..SCOPE_BYTES).unwrap_or_default()).into();
        policy
    }
}

/// How many bytes of the hash make a scope. It tells apart what one person wrote, so a few do.
const SCOPE_BYTES: usize = 6;
