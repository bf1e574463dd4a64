//! `[origins.NAME]`: what a config says of a pool.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::affinity::Affinity;
use super::concurrency::Concurrency;
use super::lies::FailWhen;
use super::outcome::FetchError;
use super::probe::ProbeConfig;
use super::quantile::TooSlow;
use super::rewrite::{PathRewrite, Secret};
use super::score::ScoreConfig;
use super::split::SplitConfig;
use super::upstream::Budget;
use super::url::OriginUrl;
use crate::head::Method;
use crate::list::Dict;
use crate::size::Size;
use crate::time::Span;

/// How many endpoints a pool has at most.
pub const ENDPOINTS_MAX: usize = 32;
/// How many fallback pools a pool names at most.
pub const FALLBACKS_MAX: usize = 4;
/// The largest `attempts_max`.
pub const ATTEMPTS_MAX: u32 = 10;
/// The largest weight of an endpoint.
pub const WEIGHT_MAX: u32 = 1000;

/// A pool of endpoints that can answer for one another. With `url` alone, one endpoint.
///
/// Deserialising checks everything that can be wrong in a pool alone; whether the pools in `fallback` exist is
/// for the reader of the whole config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct PoolConfig {
    /// The only endpoint: `https://app.example.com`, perhaps with a base path. Not together with `endpoints`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<OriginUrl>,
    /// The endpoints. Not together with `url`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointConfig>,
    /// Which endpoint is written to, where the others are only read. Without `endpoints` it has their URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitConfig>,
    /// How one endpoint is chosen among those of the same priority.
    pub selection: Selection,
    /// By what the rendezvous selection keeps requests together.
    pub affinity: Affinity,
    /// What the scored selection goes by.
    pub score: ScoreConfig,
    /// How often a request is sent at most, the first time included: 1 to 10.
    pub attempts_max: u32,
    /// How long one attempt may take until the head of the response is there.
    pub attempt_timeout: Span,
    /// How long all attempts and the waits between them may take until the head of the response is there.
    pub total_timeout: Span,
    /// How many requests one endpoint has at once at most; nothing is no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// How long a request waits where all endpoints have that many and nothing better is at hand.
    pub queue: Span,
    /// How long the body of a response may stand still before it is broken off; nothing is for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_idle_timeout: Option<Span>,
    /// The field in which an endpoint is told how long it is waited for; nothing is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_header: Option<Box<str>>,
    /// Which responses are failures, whatever their status says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail_when: Vec<FailWhen>,
    /// The longest request body that is kept so that it can be sent again.
    pub replay_bytes_max: Size,
    /// What is tried again, and how soon.
    pub retry: RetryConfig,
    /// When an endpoint is left alone, and for how long.
    pub breaker: BreakerConfig,
    /// How the fleet finds out together which endpoints are well; nothing: each isolate for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<ProbeConfig>,
    /// The field in which an endpoint says how far it is behind its primary; nothing is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_header: Option<Box<str>>,
    /// Whether what its origin says of its own quota is heeded.
    pub upstream_quota: bool,
    /// How many requests it may be sent in how long, by the whole fleet; nothing is no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The Host that the origin sees.
    pub host: HostMode,
    /// The pools that are asked when this one gives up: this one and they by `priority`, then by `cost`, then in the
    /// order in which they stand here.
    pub fallback: Vec<Box<str>>,
    /// Of this pool and those that stand in for one another, the one with the smallest number is asked first.
    pub priority: u32,
    /// What a request costs here, in any unit: of pools with the same priority the cheapest is asked first.
    pub cost: f64,
    /// The path that its endpoints are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
    /// Fields of the request that are set for its endpoints; an empty value takes one out.
    #[serde(skip_serializing_if = "Dict::is_empty")]
    pub headers: Dict<String, String>,
    /// The secret of the deployment that its endpoints are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

impl Default for PoolConfig {
    /// The documented defaults; without any endpoint, which a config may not leave so.
    fn default() -> Self {
        Self {
            url: None,
            endpoints: Vec::new(),
            split: None,
            selection: Selection::Priority,
            affinity: Affinity::default(),
            score: ScoreConfig::default(),
            attempts_max: 3,
            attempt_timeout: Span::from_secs(10),
            total_timeout: Span::from_secs(30),
            concurrency: None,
            queue: Span::from_millis(100),
            body_idle_timeout: None,
            deadline_header: None,
            fail_when: Vec::new(),
            replay_bytes_max: Size::from_kib(64),
            retry: RetryConfig::default(),
            breaker: BreakerConfig::default(),
            health: None,
            lag_header: None,
            upstream_quota: false,
            budget: None,
            host: HostMode::Origin,
            fallback: Vec::new(),
            priority: 0,
            cost: 0.0,
            path: None,
            headers: Dict::default(),
            secret: None,
        }
    }
}

/// One endpoint of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// What it is called in Proxy-Status, metrics and the log; the host and port of its URL where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// Where it is, perhaps with a base path.
    pub url: OriginUrl,
    /// 0 is asked first; an endpoint is asked when none of a smaller number can be.
    #[serde(default)]
    pub priority: u32,
    /// The share of requests that it gets among those of its priority: 1 to 1000.
    #[serde(default = "one")]
    pub weight: u32,
    /// The platform's data centres (`"FRA"`) whose requests it gets before others of its priority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub colos: Vec<Box<str>>,
    /// The countries (`"DE"`) and continents (`"europe"`) of clients for whom the same holds, after `colos`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Box<str>>,
}

fn one() -> u32 {
    1
}

/// How one endpoint is chosen among those of the smallest priority number that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// At random, by weight; `"weighted"` is the same. This name is for the usual use, with endpoints of different
    /// priority.
    #[serde(alias = "weighted")]
    Priority,
    /// One after the other, by weight.
    RoundRobin,
    /// What `affinity` names gets the same endpoint as long as that one can be asked (weighted rendezvous hashing).
    Rendezvous,
    /// Of two at random, the one with less latency times requests in flight.
    LeastLoaded,
    /// The highest [`ScoreConfig`].
    Scored,
}

/// What is tried again, and how soon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct RetryConfig {
    /// The methods that may be sent twice; those that are idempotent by RFC 9110 where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<Box<str>>>,
    /// The failures without a response that are tried again.
    pub on: Vec<Trouble>,
    /// The statuses of a response that another attempt may better: 5xx, 408, 425, 429.
    pub statuses: Vec<u16>,
    /// Before the n-th time that an endpoint is asked again, the wait is random between nothing and this, times
    /// 2^(n-1).
    pub backoff_base: Span,
    /// The longest such wait.
    pub backoff_cap: Span,
    /// How many retries there may be, in percent of the requests ...
    pub budget_percent: u32,
    /// ... and how many in a second in any case.
    pub budget_min_per_second: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            methods: None,
            on: vec![Trouble::Connection, Trouble::Timeout],
            statuses: vec![502, 503, 504],
            backoff_base: Span::from_millis(50),
            backoff_cap: Span::from_secs(2),
            budget_percent: 20,
            budget_min_per_second: 10,
        }
    }
}

impl RetryConfig {
    /// Whether a request with this method may be sent twice.
    pub fn repeats(&self, method: &Method) -> bool {
        match &self.methods {
            Some(methods) => methods.iter().any(|m| **m == *method.as_str()),
            None => method.is_idempotent(),
        }
    }

    /// Whether such a failure is tried again, where the request may be sent twice.
    pub(super) fn is_retried(&self, result: Result<u16, FetchError>) -> bool {
        let trouble = match result {
            Err(FetchError::Connect | FetchError::ConnectionLost) => Trouble::Connection,
            Err(FetchError::Timeout) => Trouble::Timeout,
            Ok(_) | Err(FetchError::Lied | FetchError::OverCap | FetchError::Aborted) => return true,
        };
        self.on.contains(&trouble)
    }
}

/// A failure without a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// There was no connection, or it broke before the head of the response was there. The platform does not tell which.
    Connection,
    /// The head of the response was not there in time.
    Timeout,
}

/// When an endpoint is left alone (its breaker opens), and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct BreakerConfig {
    /// It opens after so many failures in a row; 0 switches this off.
    pub failures: u32,
    /// It opens when this share of the requests in a window failed; 0 switches this off.
    pub failure_ratio: f64,
    /// It opens when the latency of the requests in a window is above this; nothing switches this off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<TooSlow>,
    /// The length of such a window.
    pub window: Span,
    /// The share and the latency count from so many requests in the window on.
    pub window_requests_min: u32,
    /// How long the first ejection takes; each that follows soon takes twice the last one.
    pub ejection: Span,
    /// The longest ejection.
    pub ejection_max: Span,
    /// How many requests a half-open breaker lets through, and how many of them must succeed for it to close.
    pub probes: u32,
    /// The share of a pool's endpoints that is ejected at most, in percent; one always may be.
    pub ejected_percent_max: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            failure_ratio: 0.5,
            latency: None,
            window: Span::from_secs(10),
            window_requests_min: 20,
            ejection: Span::from_secs(10),
            ejection_max: Span::from_secs(300),
            probes: 1,
            ejected_percent_max: 100,
        }
    }
}

/// The Host that the origin sees. The platform makes it of the endpoint's URL and of nothing else; X-Forwarded-Host and
/// Forwarded carry the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum HostMode {
    /// `"origin"`: that of the endpoint's URL.
    Origin,
}

impl FromStr for HostMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "origin" => Ok(Self::Origin),
            _ => Err(mistake!(
                "Host can't be `{text}`, since the platform makes it of the endpoint's URL, and X-Forwarded-Host has the \
                 client's; allowed: \"origin\", or an endpoint whose URL has the wanted name"
            )),
        }
    }
}

impl fmt::Display for HostMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("origin")
    }
}

text_serde!(HostMode, packed);

impl Serialize for PoolConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for PoolConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[cfg(not(target_arch = "wasm32"))]
        if deserializer.is_human_readable() {
            let config = Self::deserialize(deserializer)?;
            return match config.problem() {
                Some(problem) => Err(serde::de::Error::custom(problem)),
                None => Ok(config),
            };
        }
        Self::deserialize(deserializer)
    }
}

impl PoolConfig {
    /// The endpoints that `split` gives by their URLs.
    pub(super) fn split_endpoints(&self) -> impl Iterator<Item = EndpointConfig> {
        let split = self.split.iter().filter(|_| self.url.is_none() && self.endpoints.is_empty());
        let urls = split.flat_map(|split| split.replicas.iter().chain([&split.primary]));
        urls.filter_map(|url| url.parse().ok()).map(EndpointConfig::of)
    }
}

impl EndpointConfig {
    /// The only endpoint of a pool.
    pub(super) fn of(url: OriginUrl) -> Self {
        Self { name: None, url, priority: 0, weight: 1, colos: Vec::new(), regions: Vec::new() }
    }

    /// Its name, or the host and port of its URL.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(self.url.authority())
    }
}
