//! What can be wrong in a pool's config by itself, beyond the form of its values.

use super::affinity::place_problem;
use super::config::{
    ATTEMPTS_MAX, BreakerConfig, ENDPOINTS_MAX, EndpointConfig, FALLBACKS_MAX, PoolConfig, RetryConfig,
    WEIGHT_MAX,
};
use super::lies;
use super::rewrite;
use super::url::OriginUrl;
use crate::time::Span;

/// The largest `cost`.
const COST_MAX: f64 = 1e9;
/// The longest that a bookmark may hold.
const BOOKMARK_TTL_MAX: Span = Span::from_secs(86_400);

impl PoolConfig {
    /// The first thing that is wrong with a pool by itself: `where: what; allowed: ...`.
    pub(super) fn problem(&self) -> Option<String> {
        self.endpoint_problem()
            .or_else(|| self.split_problem())
            .or_else(|| self.score.problem())
            .or_else(|| lies::problem(&self.fail_when))
            .or_else(|| self.attempt_problem())
            .or_else(|| self.rewrite_problem())
            .or_else(|| self.health.as_ref().and_then(|health| health.problem()))
            .or_else(|| self.retry.problem())
            .or_else(|| self.breaker.problem())
    }

    fn endpoint_problem(&self) -> Option<String> {
        match (&self.url, self.endpoints.len()) {
            (None, 0) if self.split.is_some() => {}
            (None, 0) => return Some("no endpoint is given; allowed: `url`, `endpoints` or `split`".into()),
            (Some(_), 1..) => {
                return Some("`url` and `endpoints` are both given; allowed: one of the two".into());
            }
            (_, ENDPOINTS_MAX..) if self.endpoints.len() > ENDPOINTS_MAX => {
                return Some(format!("endpoints: too many; allowed: 1 to {ENDPOINTS_MAX}"));
            }
            _ => {}
        }
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let name = endpoint.label();
            if !(1..=WEIGHT_MAX).contains(&endpoint.weight) {
                let weight = endpoint.weight;
                return Some(format!(
                    "endpoints[{at}].weight: {weight} is no weight; allowed: 1 to {WEIGHT_MAX}"
                ));
            }
            if let Some(problem) = place_problem(&endpoint.colos, &endpoint.regions) {
                return Some(format!("endpoints[{at}].{problem}"));
            }
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
                return Some(format!(
                    "endpoints[{at}].name: `{name}` is no name; allowed: visible ASCII without quotes"
                ));
            }
            if self.endpoints.iter().take(at).any(|other| other.label() == name) {
                return Some(format!(
                    "endpoints[{at}].name: `{name}` is there twice; allowed: a `name` of its own for each"
                ));
            }
        }
        None
    }

    fn split_problem(&self) -> Option<String> {
        let split = self.split.as_ref()?;
        let all: Vec<&str> = split.replicas.iter().chain([&split.primary]).map(|text| &**text).collect();
        if let Some(twice) =
            all.iter().enumerate().find(|(at, text)| all.iter().take(*at).any(|one| one == *text))
        {
            return Some(format!("split: `{}` is there twice; allowed: each endpoint once", twice.1));
        }
        if split.replicas.is_empty() || all.len() > ENDPOINTS_MAX {
            let most = ENDPOINTS_MAX - 1;
            return Some(format!(
                "split.replicas: {} do not fit; allowed: 1 to {most}",
                split.replicas.len()
            ));
        }
        if self.url.is_some() {
            return Some("`url` and `split` are both given; allowed: one of the two".into());
        }
        let known: Vec<&str> = self.endpoints.iter().map(EndpointConfig::label).collect();
        for text in &all {
            if known.is_empty() {
                if let Err(error) = text.parse::<OriginUrl>() {
                    return Some(format!("split: {error}, or the name of one of the `endpoints`"));
                }
            } else if !known.contains(text) {
                return Some(format!("split: `{text}` is no endpoint; allowed: {}", known.join(", ")));
            }
        }
        if let Some(other) = known.iter().find(|name| !all.contains(*name)) {
            return Some(format!(
                "split: `{other}` is neither; allowed: every endpoint as `primary` or among `replicas`"
            ));
        }
        if split.probe.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return Some("split.probe: is no path; allowed: such as \"/lag\"".into());
        }
        if split.probe_every == Span::ZERO {
            return Some("split.probe_every: no time at all; allowed: more than nothing".into());
        }
        (split.bookmark_ttl <= split.lag_max || split.bookmark_ttl > BOOKMARK_TTL_MAX).then(|| {
            format!("split.bookmark_ttl: does not fit; allowed: more than split.lag_max, at most {BOOKMARK_TTL_MAX}")
        })
    }

    fn attempt_problem(&self) -> Option<String> {
        if !(1..=ATTEMPTS_MAX).contains(&self.attempts_max) {
            let given = self.attempts_max;
            return Some(format!("attempts_max: {given} is out of range; allowed: 1 to {ATTEMPTS_MAX}"));
        }
        let (attempt, total) = (self.attempt_timeout, self.total_timeout);
        if attempt == Span::ZERO {
            return Some("attempt_timeout: no time at all; allowed: more than nothing".into());
        }
        if total < attempt && attempt == Self::default().attempt_timeout {
            return Some(format!(
                "total_timeout: {total} is less than attempt_timeout, which is {attempt} where nothing else is said; \
                 allowed: at least that, or an attempt_timeout of at most {total}"
            ));
        }
        if total < attempt {
            return Some(format!(
                "attempt_timeout: {attempt} is more than total_timeout; allowed: up to {total}"
            ));
        }
        if self.queue > self.total_timeout {
            return Some("queue: too long; allowed: up to total_timeout".into());
        }
        if self.body_idle_timeout == Some(Span::ZERO) {
            return Some("body_idle_timeout: no time at all; allowed: more than nothing".into());
        }
        let is_field =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if let Some(name) = self.deadline_header.as_ref().filter(|name| !rewrite::is_field(name)) {
            return Some(format!(
                "deadline_header: `{name}` is no field that is free; allowed: such as \"X-Request-Deadline\" or \
                 \"grpc-timeout\""
            ));
        }
        if let Some(name) = self.lag_header.as_ref().filter(|name| !is_field(name)) {
            return Some(format!("lag_header: `{name}` is no field; allowed: such as \"X-Replication-Lag\""));
        }
        (self.fallback.len() > FALLBACKS_MAX)
            .then(|| format!("fallback: too many pools; allowed: up to {FALLBACKS_MAX}"))
    }
}

impl PoolConfig {
    fn rewrite_problem(&self) -> Option<String> {
        if !(0.0..=COST_MAX).contains(&self.cost) {
            return Some(format!("cost: {} does not fit; allowed: 0 to {COST_MAX}", self.cost));
        }
        for (name, value) in self.headers.iter() {
            if !rewrite::is_field(name) {
                return Some(format!(
                    "headers.{name}: can't be set; allowed: fields that neither frame the message nor say which way it \
                     went (Host is that of the endpoint's URL)"
                ));
            }
            if !value.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
                return Some(format!(
                    "headers.{name}: `{value}` is no value; allowed: visible ASCII, or \"\""
                ));
            }
        }
        None
    }
}

impl RetryConfig {
    fn problem(&self) -> Option<String> {
        let retryable = |status: &u16| matches!(status, 408 | 425 | 429 | 500..=599);
        if let Some(status) = self.statuses.iter().find(|status| !retryable(status)) {
            return Some(format!(
                "retry.statuses: {status} is never tried again; allowed: 408, 425, 429, 500 to 599"
            ));
        }
        if self.backoff_base > self.backoff_cap {
            return Some("retry.backoff_base: too long; allowed: up to retry.backoff_cap".into());
        }
        (self.budget_percent > 100).then(|| "retry.budget_percent: too much; allowed: 0 to 100".into())
    }
}

impl BreakerConfig {
    fn problem(&self) -> Option<String> {
        if !(0.0..=1.0).contains(&self.failure_ratio) {
            return Some("breaker.failure_ratio: no share; allowed: 0.0 to 1.0".into());
        }
        if self.ejection == Span::ZERO || self.ejection > self.ejection_max {
            return Some(
                "breaker.ejection: does not fit; allowed: more than nothing, at most breaker.ejection_max"
                    .into(),
            );
        }
        if self.probes == 0 {
            return Some("breaker.probes: an endpoint would never come back; allowed: 1 or more".into());
        }
        (self.ejected_percent_max > 100)
            .then(|| "breaker.ejected_percent_max: too much; allowed: 0 to 100".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Pool;
    use crate::origin::config::Selection;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<PoolConfig, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_alone_is_a_pool_with_the_documented_defaults() {
        let config = read(json!({"url": "https://app.example.com"})).unwrap();
        let seconds = (config.attempt_timeout.as_secs(), config.total_timeout.as_secs());
        assert_eq!((config.attempts_max, seconds, config.replay_bytes_max.bytes()), (3, (10, 30), 65_536));
        assert_eq!(config.retry.statuses, [502, 503, 504]);
        assert_eq!((config.breaker.failures, config.breaker.probes), (5, 1));
        let pool = Pool::new("default", config);
        assert_eq!(pool.endpoints.len(), 1);
        assert_eq!(&*pool.endpoints[0].name, "app.example.com");
    }

    #[test]
    fn a_pool_reads_back_as_it_was_written() {
        let config = read(json!({
            "endpoints": [
                {"name": "a", "url": "https://a.example/v1", "weight": 3},
                {"url": "http://127.0.0.1:8080", "priority": 1},
            ],
            "selection": "least-loaded",
            "retry": {"methods": ["GET", "POST"], "statuses": [429, 503]},
            "breaker": {"failure_ratio": 0.25, "ejection": "5s"},
            "host": "origin",
            "fallback": ["other"],
        }));
        let config = config.unwrap();
        assert_eq!(config.selection, Selection::LeastLoaded);
        assert_eq!(config.endpoints[1].label(), "127.0.0.1:8080");
        assert_eq!(read(serde_json::to_value(&config).unwrap()), Ok(config));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        let url = "https://a";
        for (value, place) in [
            (json!({}), "no endpoint"),
            (json!({"endpoints": []}), "no endpoint"),
            (json!({"url": url, "endpoints": [{"url": url}]}), "both"),
            (json!({"url": "a.example"}), "`a.example`"),
            (json!({"endpoints": [{"url": url}, {"url": "https://a/x"}]}), "endpoints[1].name: `a`"),
            (json!({"endpoints": [{"url": url, "name": "a b"}]}), "endpoints[0].name"),
            (json!({"endpoints": [{"url": url, "weight": 0}]}), "endpoints[0].weight"),
            (json!({"endpoints": [{"url": url, "colos": ["Frankfurt"]}]}), "endpoints[0].colos: `Frankfurt`"),
            (json!({"endpoints": [{"url": url, "regions": ["EU-WEST"]}]}), "endpoints[0].regions: `EU-WEST`"),
            (json!({"url": url, "affinity": "cookie"}), "`cookie` is nothing to go by"),
            (json!({"url": url, "score": {"response_time": 1.5}}), "score: its weights"),
            (json!({"url": url, "split": {"primary": url, "replicas": ["https://b"]}}), "`url` and `split`"),
            (json!({"split": {"primary": url, "replicas": []}}), "split.replicas: 0"),
            (json!({"split": {"primary": url, "replicas": [url]}}), "split: `https://a` is there twice"),
            (json!({"split": {"primary": "a", "replicas": [url]}}), "`a` is not the URL of an origin"),
            (
                json!({"endpoints": [{"url": url}], "split": {"primary": "a", "replicas": ["b"]}}),
                "`b` is no endpoint",
            ),
            (
                json!({"endpoints": [{"url": url}, {"url": "https://b"}, {"url": "https://c"}],
                    "split": {"primary": "a", "replicas": ["b"]}}),
                "`c` is neither",
            ),
            (json!({"split": {"primary": url, "replicas": ["https://b"], "probe": "lag"}}), "split.probe"),
            (
                json!({"split": {"primary": url, "replicas": ["https://b"], "probe_every": "0s"}}),
                "split.probe_every",
            ),
            (
                json!({"split": {"primary": url, "replicas": ["https://b"], "lag_max": "10m"}}),
                "split.bookmark_ttl",
            ),
            (json!({"url": url, "score": {"response_time_under": "0s"}}), "score.response_time_under"),
            (json!({"url": url, "breaker": {"latency": "p95"}}), "`p95` is no bound of latency"),
            (json!({"endpoints": vec![json!({"url": url}); 33]}), "endpoints: too many"),
            (json!({"url": url, "attempts_max": 0}), "attempts_max: 0"),
            (json!({"url": url, "attempts_max": 11}), "attempts_max: 11"),
            (
                json!({"url": url, "attempt_timeout": "31s"}),
                "attempt_timeout: 31s is more than total_timeout",
            ),
            (
                json!({"url": url, "total_timeout": "5s"}),
                "total_timeout: 5s is less than attempt_timeout, which is 10s",
            ),
            (json!({"url": url, "attempt_timeout": "0s"}), "attempt_timeout"),
            (json!({"url": url, "attempt_timeout": "x"}), "`x` is not a duration"),
            (json!({"url": url, "replay_bytes_max": "64"}), "`64` is not a size"),
            (json!({"url": url, "retry": {"statuses": [404]}}), "retry.statuses: 404"),
            (json!({"url": url, "retry": {"backoff_base": "3s"}}), "retry.backoff_base"),
            (json!({"url": url, "retry": {"budget_percent": 101}}), "retry.budget_percent"),
            (json!({"url": url, "breaker": {"failure_ratio": 1.5}}), "breaker.failure_ratio"),
            (json!({"url": url, "breaker": {"ejection": "10m"}}), "breaker.ejection"),
            (json!({"url": url, "breaker": {"probes": 0}}), "breaker.probes"),
            (json!({"url": url, "breaker": {"ejected_percent_max": 101}}), "breaker.ejected_percent_max"),
            (json!({"url": url, "concurrency": "0"}), "`0` is no number of requests"),
            (json!({"url": url, "queue": "31s"}), "queue: too long"),
            (json!({"url": url, "body_idle_timeout": "0s"}), "body_idle_timeout"),
            (json!({"url": url, "deadline_header": "a b"}), "deadline_header: `a b`"),
            (json!({"url": url, "deadline_header": "Content-Length"}), "deadline_header: `Content-Length`"),
            (json!({"url": url, "deadline_header": "TE"}), "deadline_header: `TE`"),
            (json!({"url": url, "breaker": {"latency": "p95 > 0ms"}}), "`p95 > 0ms` is no bound of latency"),
            (json!({"url": url, "secret": "x y"}), "`x y` names no secret"),
            (
                json!({"url": url, "health": {"interval": "1s"}}),
                "health.interval: 1s is less than health.timeout, which is 2s",
            ),
            (json!({"url": url, "fail_when": [{}]}), "fail_when[0]: says nothing"),
            (json!({"url": url, "host": "pass"}), "Host can't be `pass`"),
            (json!({"url": url, "host": "app.internal"}), "X-Forwarded-Host has the client's"),
            (json!({"url": url, "path": "v1"}), "`v1` is no rewrite of a path"),
            (json!({"url": url, "headers": {"Host": "x"}}), "headers.Host: can't be set"),
            (json!({"url": url, "headers": {"x-a": "a\nb"}}), "headers.x-a: `a\nb` is no value"),
            (json!({"url": url, "secret": "sk-1234"}), "`sk-1234` names no secret"),
            (json!({"url": url, "cost": -1}), "cost: -1 does not fit"),
            (json!({"url": url, "health": {"path": "healthz"}}), "health.path: `healthz`"),
            (json!({"url": url, "health": {"interval": "500ms"}}), "health.interval"),
            (json!({"url": url, "health": {"interval": "2s", "timeout": "3s"}}), "health.timeout"),
            (json!({"url": url, "health": {"healthy_threshold": 0}}), "health: a threshold"),
            (json!({"url": url, "health": {"status": "ok"}}), "`ok` is no status"),
            (json!({"url": url, "lag_header": "a b"}), "lag_header: `a b`"),
            (json!({"url": url, "fallback": ["a", "b", "c", "d", "e"]}), "fallback"),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert!(error.contains(place) && error.contains("; allowed: "), "{value}: {error}");
        }
        for value in [json!({"url": url, "retries": 3}), json!({"url": url, "selection": "random"})] {
            assert!(read(value).unwrap_err().contains("expected"), "serde names what is known");
        }
    }
}
