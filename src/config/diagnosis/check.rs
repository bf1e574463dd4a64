//! What is wrong between the parts of a config, each of which is right alone.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::Value;

use super::Reading;
use super::message::nearest;
use super::problem::{KeyPath, Problem};
use crate::cache::slice::{SLICE_BYTES_MAX, SLICE_BYTES_MIN};
use crate::cache::{self, Classes, Layer};
use crate::config::sections::Config;
use crate::head::Method;
use crate::route::asset::CLASSES;
use crate::route::{CacheSetting, FALLBACK_BYTES_MAX, RouteConfig, RouteName, StaticFallback};
use crate::size::Size;
use crate::time::Span;

/// How many routes a config has at most.
pub const ROUTES_MAX: usize = 256;
/// How many pools a config has at most.
pub const POOLS_MAX: usize = 64;
/// How many policies limit one route at most.
pub const ROUTE_LIMITS_MAX: usize = 8;

/// How long a gate's name may be, in bytes.
const ID_BYTES_MAX: usize = 32;
/// How often a request may pass one gate besides the first time.
const LOOPS_MAX: usize = 8;
/// How many subrequests a request may make: enough for one way to an origin, up to what a paid plan allows.
const SUBREQUESTS_MAX: std::ops::RangeInclusive<u32> = 20..=10_000;
/// The least memory for stored responses.
const MEMORY_BYTES_MIN: Size = Size::from_mib(1);
/// The most memory for stored responses, of the 128 MB that an isolate has.
const MEMORY_BYTES_MAX: Size = Size::from_mib(96);
/// How often the fleet's document may be read: more often costs more than it tells, and seldom leaves purges unheard.
const REFRESH: std::ops::RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(3600);
/// How often the hot URLs may be warmed.
const WARM_EVERY: std::ops::RangeInclusive<Span> = Span::from_secs(60)..=Span::from_secs(86_400);
/// How many URLs may be warmed in a second.
const WARM_PER_SECOND: std::ops::RangeInclusive<u32> = 1..=50;
/// The longest wait for KV.
const KV_BUDGET_MAX: Span = Span::from_secs(10);

/// Every problem between the parts of `config`, which is what could be read of `json`.
pub(super) fn check(config: &Config, json: &Value, reading: &Reading) -> Vec<Problem> {
    let mut check = Check { config, json, reading, found: Vec::new() };
    check.server();
    check.origins();
    check.routes();
    check.precedence();
    check.cache();
    check.limits();
    check.assets();
    check.found
}

pub(super) struct Check<'c> {
    pub(super) config: &'c Config,
    pub(super) json: &'c Value,
    pub(super) reading: &'c Reading,
    found: Vec<Problem>,
}

impl<'c> Check<'c> {
    pub(super) fn add(&mut self, path: KeyPath, message: String) {
        self.found.push(Problem { path, message });
    }

    /// The names of a table as the file has them, also those whose values could not be read.
    pub(super) fn names(&self, pointer: &str) -> Vec<&'c str> {
        let table = self.json.pointer(pointer).and_then(Value::as_object);
        table.into_iter().flat_map(|table| table.keys().map(String::as_str)).collect()
    }

    /// The routes that could be read, each with its place in the file.
    fn placed(&self) -> Vec<(KeyPath, &'c RouteConfig)> {
        let place = |at| self.reading.item(&KeyPath::of("routes"), at);
        self.config.routes.iter().enumerate().map(|(at, route)| (place(at), route)).collect()
    }

    fn server(&mut self) {
        let config = self.config;
        let server = &config.server;
        let path = KeyPath::of("server");
        let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let id = &server.id;
        if !(1..=ID_BYTES_MAX).contains(&id.len()) || !id.bytes().all(is_word) {
            let form = format!("1 to {ID_BYTES_MAX} letters, digits, \"-\", \"_\", \".\"");
            self.add(path.key("id"), format!("`{id}` is not a word; allowed: {form}"));
        }
        if !SUBREQUESTS_MAX.contains(&server.subrequests_max) {
            let (given, least, most) =
                (server.subrequests_max, SUBREQUESTS_MAX.start(), SUBREQUESTS_MAX.end());
            let message = format!("{given} does not fit; allowed: {least} to {most}");
            self.add(path.key("subrequests_max"), message);
        }
        if server.loops_max > LOOPS_MAX {
            let loops = server.loops_max;
            self.add(path.key("loops_max"), format!("{loops} is too many; allowed: 0 to {LOOPS_MAX}"));
        }
    }

    fn origins(&mut self) {
        let known = self.names("/origins");
        let path = KeyPath::of("origins");
        if known.is_empty() && self.reading.is_whole(&path) {
            let message = "no origin is given; allowed: [origins.default] with its `url`";
            self.add(KeyPath::default(), message.to_owned());
        }
        if known.len() > POOLS_MAX {
            self.add(path.clone(), format!("{} are too many; allowed: 1 to {POOLS_MAX}", known.len()));
        }
        let config = self.config;
        for (name, pool) in config.origins.iter() {
            // It stands in URLs and texts of tidegate's own.
            if let Err(message) = name.parse::<RouteName>() {
                self.add(path.key(name), message);
            }
            let path = path.key(name).key("fallback");
            for (at, fallback) in pool.fallback.iter().enumerate() {
                let others: Vec<&str> = known.iter().copied().filter(|other| other != name).collect();
                if !others.contains(&&**fallback) {
                    let what = if **fallback == **name { "this pool itself" } else { "not a pool" };
                    self.add(self.reading.item(&path, at), unknown(fallback, what, &others));
                }
            }
        }
    }

    fn routes(&mut self) {
        let pools = self.names("/origins");
        let mut policies = self.names("/limits/policies");
        policies.extend((!policies.contains(&"tier")).then_some("tier"));
        let queues = self.names("/limits/queues");
        let mut names = BTreeSet::new();
        let routes = self.placed();
        for (path, route) in &routes {
            if !names.insert(route.name.as_str()) {
                let message =
                    format!("`{}` is there twice; allowed: a name of its own for each route", route.name);
                self.add(path.key("name"), message);
            }
            if !pools.is_empty() && !pools.contains(&&*route.origin) {
                self.add(path.key("origin"), unknown(&route.origin, "not a pool", &pools));
            }
            for (at, name) in route.limits.iter().enumerate() {
                let path = self.reading.item(&path.key("limits"), at);
                if !policies.contains(&name.as_str()) {
                    self.add(path, unknown(name.as_str(), "not a policy", &policies));
                } else if route.limits.iter().take(at).any(|other| other == name) {
                    self.add(path, format!("`{name}` is there twice; allowed: each policy once"));
                }
            }
            for (_, policy) in
                self.config.limits.policies.iter().filter(|(name, _)| route.limits.contains(name))
            {
                let wrong = policy.on_route(route.cost).problems(&self.config.identity.tiers);
                let wrong = wrong.into_iter().find(|(key, _)| *key == "cost" && route.cost.is_some());
                wrong.into_iter().for_each(|(key, message)| self.add(path.key(key), message));
            }
            if let Some(name) = route.queue.as_ref().filter(|name| !queues.contains(&name.as_str())) {
                self.add(path.key("queue"), unknown(name.as_str(), "not a queue", &queues));
            }
            if route.limits.len() > ROUTE_LIMITS_MAX {
                let message =
                    format!("{} are too many; allowed: up to {ROUTE_LIMITS_MAX}", route.limits.len());
                self.add(path.key("limits"), message);
            }
            for (path, message) in self.route_alone(path, route) {
                self.add(path, message);
            }
        }
        if routes.len() > ROUTES_MAX {
            let message = format!("{} are too many; allowed: up to {ROUTES_MAX}", routes.len());
            self.add(KeyPath::of("routes"), message);
        }
    }

    fn route_alone(&self, path: &KeyPath, route: &RouteConfig) -> Vec<(KeyPath, String)> {
        let mut found = Vec::new();
        let is_match_whole = self.reading.is_whole(&path.key("match"));
        let front = route.matches.path.as_ref().map(|pattern| pattern.literal_prefix());
        if let Some(strip) = route.strip_prefix.as_ref().filter(|_| is_match_whole)
            && !front.is_some_and(|front| strip.is_prefix_of(front))
        {
            let message = format!(
                "the route also takes paths without `{strip}` in front; allowed: a prefix of match.path, such as \
                 match.path = \"{strip}/*\""
            );
            found.push((path.key("strip_prefix"), message));
        }
        let prefix = &self.config.server.prefix;
        if front.is_some_and(|front| prefix.is_prefix_of(front)) {
            let message = format!(
                "everything below `{prefix}` is tidegate's own; allowed: another path, or another server.prefix"
            );
            found.push((path.key("match").key("path"), message));
        }
        if let Some(fallback) = &route.static_fallback {
            found.extend(static_fallback(&path.key("static_fallback"), fallback));
        }
        for (section, key, message) in route.problems(&self.config.identity.tiers) {
            let path = path.key(section);
            found.push((if key.is_empty() { path } else { path.key(key) }, message));
        }
        if let Some(CacheSetting::Policy(policy)) = &route.cache {
            found.extend(self.policy(&path.key("cache"), policy));
        }
        found
    }

    /// Routes that no request can reach, and requests that no route takes.
    fn precedence(&mut self) {
        let mut routes = self.placed();
        routes.retain(|(path, _)| self.reading.is_whole(&path.key("match")));
        routes.sort_by_key(|(_, route)| Reverse(route.matches.specificity()));
        for (at, (path, route)) in routes.iter().enumerate() {
            let before = routes.iter().take(at).find(|(_, other)| other.matches.is_same_as(&route.matches));
            if let Some((other, _)) = before {
                self.add(
                    path.key("match"),
                    format!("{other} takes every request that this one matches; allowed: another `match`"),
                );
            }
        }
        let pools = self.names("/origins");
        let takes_all = routes.iter().any(|(_, route)| route.matches.is_everything());
        let all_read = self.reading.is_whole(&KeyPath::of("routes"));
        if all_read && !takes_all && !pools.is_empty() && !pools.contains(&"default") {
            let message = "there is no pool for what no route matches; allowed: [origins.default], or a route \
                           without `match`";
            self.add(KeyPath::of("origins"), message.to_owned());
        }
    }

    fn cache(&mut self) {
        let config = self.config;
        let cache = &config.cache;
        let path = KeyPath::of("cache");
        if !(MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX).contains(&cache.memory_bytes_max) {
            let form =
                format!("\"{MEMORY_BYTES_MIN}\" to \"{MEMORY_BYTES_MAX}\", of the 128 MB of an isolate");
            let message = format!("{} does not fit; allowed: {form}", cache.memory_bytes_max);
            self.add(path.key("memory_bytes_max"), message);
        }
        if cache.kv_budget > KV_BUDGET_MAX {
            let message = format!("{} is too long; allowed: up to {KV_BUDGET_MAX}", cache.kv_budget);
            self.add(path.key("kv_budget"), message);
        }
        let Classes { short, medium, long, very_long } = cache.classes;
        if !(short <= medium && medium <= long && long <= very_long) {
            let message = "do not grow; allowed: short <= medium <= long <= very_long";
            self.add(path.key("classes"), message.to_owned());
        }
        for (path, message) in self.policy(&path.key("default"), &cache.default) {
            self.add(path, message);
        }
        if !REFRESH.contains(&config.fleet.refresh) {
            let (min, max) = (REFRESH.start(), REFRESH.end());
            let message = format!("{} does not fit; allowed: \"{min}\" to \"{max}\"", config.fleet.refresh);
            self.add(KeyPath::of("fleet").key("refresh"), message);
        }
        let per_second = config.fleet.warm_per_second;
        if !WARM_PER_SECOND.contains(&per_second) {
            let message = format!("{per_second} does not fit; allowed: 1 to {}", WARM_PER_SECOND.end());
            self.add(KeyPath::of("fleet").key("warm_per_second"), message);
        }
        let (every, hot) = (config.fleet.warm_every, config.fleet.hot);
        if every != Span::ZERO && !WARM_EVERY.contains(&every) {
            let (min, max) = (WARM_EVERY.start(), WARM_EVERY.end());
            let message = format!("{every} does not fit; allowed: \"{min}\" to \"{max}\", or \"0s\": never");
            self.add(KeyPath::of("fleet").key("warm_every"), message);
        }
        for (key, is_on) in
            [("warm_every", every != Span::ZERO), ("warm_after_purge", config.fleet.warm_after_purge)]
        {
            if is_on && !hot {
                let message = "has nothing to warm; allowed: with `fleet.hot = true`".to_owned();
                self.add(KeyPath::of("fleet").key(key), message);
            }
        }
    }

    fn policy(&self, path: &KeyPath, policy: &cache::Policy) -> Vec<(KeyPath, String)> {
        let (object, all) = (policy.memory_object_bytes_max, self.config.cache.memory_bytes_max);
        let message = || format!("{object} does not fit; allowed: up to cache.memory_bytes_max, {all}");
        let mut found = Vec::new();
        if object > all {
            found.push((path.key("memory_object_bytes_max"), message()));
        }
        let slice = policy.slice.unwrap_or(SLICE_BYTES_MIN);
        let takes = |layer| policy.takes(layer, Some(slice.bytes()));
        if !(SLICE_BYTES_MIN..=SLICE_BYTES_MAX).contains(&slice) {
            let form = format!("\"{SLICE_BYTES_MIN}\" to \"{SLICE_BYTES_MAX}\"");
            found.push((path.key("slice"), format!("{slice} is no size of a slice; allowed: {form}")));
        } else if policy.slice.is_some() && policy.enabled && !takes(Layer::Colo) && !takes(Layer::Kv) {
            let form = "allowed: with `colo` or `kv` among `layers`, up to `object_bytes_max`";
            found.push((path.key("slice"), format!("no layer takes a slice; {form}")));
        }
        if policy.similar.is_some() && !policy.key.has_body(&Method::Post) {
            let message = "it needs responses to POST; allowed: with key.body = [\"POST\"]";
            found.push((path.key("similar"), message.into()));
        }
        found
    }

    fn assets(&mut self) {
        let config = self.config;
        let assets = &config.assets;
        let mut seen = BTreeSet::new();
        for class in CLASSES {
            for (at, extension) in assets.of(class).extensions.iter().flatten().enumerate() {
                let list = KeyPath::of("assets").key(class.as_str()).key("extensions");
                let path = self.reading.item(&list, at);
                if extension.is_empty() || !extension.bytes().all(|b| b.is_ascii_alphanumeric()) {
                    let form = "letters and digits, without the dot";
                    self.add(path, format!("`{extension}` is not an extension; allowed: {form}"));
                } else if !seen.insert(extension.to_ascii_lowercase()) {
                    self.add(path, format!("`{extension}` is listed twice; allowed: in one class"));
                }
            }
        }
    }
}

fn static_fallback(path: &KeyPath, fallback: &StaticFallback) -> Vec<(KeyPath, String)> {
    let mut found = Vec::new();
    if !matches!(fallback.status, 200..=599) || matches!(fallback.status, 204 | 205 | 304) {
        let message = format!("{} does not fit; allowed: 200 to 599 without 204, 205, 304", fallback.status);
        found.push((path.key("status"), message));
    }
    if !fallback.content_type.contains('/')
        || !fallback.content_type.bytes().all(|b| matches!(b, b' '..=b'~'))
    {
        let message = format!("`{}` is not a media type; allowed: such as text/html", fallback.content_type);
        found.push((path.key("content_type"), message));
    }
    let is_file = |file: &str| {
        !file.is_empty()
            && !file.starts_with('/')
            && file.split('/').all(|part| !matches!(part, "" | "." | ".."))
    };
    if let Some(file) = fallback.file.as_ref().filter(|file| !is_file(file)) {
        let message =
            format!("`{file}` is no file of www/; allowed: its path from there, such as \"offline.html\"");
        found.push((path.key("file"), message));
    }
    if fallback.body.len() > FALLBACK_BYTES_MAX {
        let message =
            format!("{} bytes are too many; allowed: up to {FALLBACK_BYTES_MAX}", fallback.body.len());
        found.push((path.key("body"), message));
    }
    found
}

fn unknown(name: &str, what: &str, known: &[&str]) -> String {
    let perhaps = nearest(name, known).map(|name| format!(", perhaps `{name}`")).unwrap_or_default();
    let known = if known.is_empty() { "none, for there is none".to_owned() } else { known.join(", ") };
    format!("`{name}` is {what}{perhaps}; allowed: {known}")
}
