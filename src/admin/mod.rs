//! tidegate's own endpoints, under the configured prefix: a table from method and path to an [`Action`].
//!
//! What only shows counters is open. What changes or reveals more needs the admin token; without a token
//! configured those paths do not exist.

pub mod auth;
pub mod keys;
pub mod limits;
pub mod lists;

use crate::head::{Method, RequestHead};
use crate::path;
use crate::ports::Observed;
use auth::Access;

/// What a request to one of tidegate's own endpoints is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// A file of the live page, by its path below `www/`; empty for the page itself.
    Asset(&'a str),
    /// The stream that the live page listens to.
    Live,
    /// Figures of the whole fleet.
    Observe(Observed),
    /// The config that this worker runs, as JSON.
    Config,
    /// Something is done with API keys.
    Keys(keys::Act<'a>),
    /// Something is done with limits.
    Limits(limits::Act),
    /// What came of a change that is delivered later: of this pool, accepted under this id.
    Delivery(&'a str, &'a str),
    /// The changes that are delivered later, and the dead letters.
    Deliveries,
    /// Dead letters are delivered after all; what the query has says which.
    Replay,
    /// The deny and the allow list.
    Lists(lists::Act),
    /// What needs more than an answer.
    Steer(Steer),
    /// On to the page: the prefix was asked for without its slash.
    ToPage,
    /// 401: the admin token is missing or wrong.
    Unauthorized,
    /// 404.
    NotFound,
    /// 405, with what is allowed.
    NotAllowed(&'static str),
}

/// What whoever holds the token has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// What the content of the request names is purged.
    Purge,
    /// The audit trail is shown.
    Audit,
    /// What the content of the request names is warmed.
    Warm,
    /// It is shown how far that is.
    Warming,
}

/// The action for a request below `prefix`; `None` where the path is not tidegate's own. What only an obliging reader takes
/// for a path below it (`//_tidegate/...`) is nobody's: an origin is not shown the token.
pub fn endpoint<'a>(request: &'a RequestHead, prefix: &str, token: Option<&str>) -> Option<Action<'a>> {
    let path = request.target.path();
    let Some(path) = below(path, prefix) else {
        return path::may_be_below(path, prefix).then_some(Action::NotFound);
    };
    let Some(path) = path.strip_prefix('/') else { return Some(Action::ToPage) };
    if let Some(path) = path.strip_prefix("admin/") {
        return Some(match auth::access(request, token) {
            Access::Hidden => Action::NotFound,
            Access::Refused => Action::Unauthorized,
            Access::Granted => steer(request, path),
        });
    }
    Some(read_only(request, watch(path)))
}

fn read_only<'a>(request: &RequestHead, action: Action<'a>) -> Action<'a> {
    match request.method {
        Method::Get | Method::Head => action,
        _ => Action::NotAllowed("GET, HEAD"),
    }
}

fn watch(path: &str) -> Action<'_> {
    match path {
        "live" => Action::Live,
        "health" => Action::Observe(Observed::Health),
        "metrics" => Action::Observe(Observed::Metrics),
        "metrics.json" => Action::Observe(Observed::MetricsJson),
        file => match file.strip_prefix("deliveries/").and_then(|rest| rest.split_once('/')) {
            Some((pool, id)) => Action::Delivery(pool, id),
            None => Action::Asset(file),
        },
    }
}

fn steer<'a>(request: &RequestHead, path: &'a str) -> Action<'a> {
    match path {
        "config" => read_only(request, Action::Config),
        "audit" => read_only(request, Action::Steer(Steer::Audit)),
        "purge" => posted(request, Steer::Purge),
        "warm" => match request.method {
            Method::Post => Action::Steer(Steer::Warm),
            Method::Get | Method::Head => Action::Steer(Steer::Warming),
            _ => Action::NotAllowed("GET, HEAD, POST"),
        },
        "deliveries" => read_only(request, Action::Deliveries),
        "deliveries/replay" if request.method == Method::Post => Action::Replay,
        "deliveries/replay" => Action::NotAllowed("POST"),
        "rate-limits/stats" => read_only(request, Action::Observe(Observed::Limits)),
        _ => match (below(path, "keys"), below(path, "rate-limits"), below(path, "lists")) {
            (Some(rest), ..) => one_of(keys::act(request, rest).map(Action::Keys)),
            (_, Some(rest), _) => one_of(limits::act(request, rest).map(Action::Limits)),
            (.., Some(rest)) => one_of(lists::act(request, rest).map(Action::Lists)),
            _ => Action::NotFound,
        },
    }
}

/// What follows in a path that is this one, or below it: nothing, or from its slash on.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An act, or what is said where there is none: 404, or 405 with the methods that are allowed.
fn one_of<'a>(act: Result<Action<'a>, &'static str>) -> Action<'a> {
    match act {
        Ok(action) => action,
        Err("") => Action::NotFound,
        Err(allow) => Action::NotAllowed(allow),
    }
}

fn posted<'a>(request: &RequestHead, what: Steer) -> Action<'a> {
    if request.method == Method::Post { Action::Steer(what) } else { Action::NotAllowed("POST") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, path: &str, token: Option<&str>) -> Option<String> {
        let mut request = RequestHead::new(method, &format!("https://a{path}")).unwrap();
        request.fields.append("authorization", "Bearer secret");
        endpoint(&request, "/_tidegate", token).map(|action| format!("{action:?}"))
    }

    #[test]
    fn what_is_not_below_the_prefix_is_the_origins() {
        for path in ["/", "/api/health", "/_tidegatex", "/_tidegatex/live"] {
            assert_eq!(ask(Method::Get, path, None), None, "{path}");
        }
    }

    #[test]
    fn the_table_answers() {
        for (method, path, token, expected) in [
            (Method::Get, "/_tidegate", None, "ToPage"),
            (Method::Get, "/_tidegate/", None, "Asset(\"\")"),
            (Method::Get, "/_tidegate/live.js", None, "Asset(\"live.js\")"),
            (Method::Get, "/_tidegate/live", None, "Live"),
            (Method::Get, "/_tidegate/health", None, "Observe(Health)"),
            (Method::Post, "/_tidegate/health", None, "NotAllowed(\"GET, HEAD\")"),
            (Method::Get, "/_tidegate/admin/config", None, "NotFound"),
            (Method::Get, "/_tidegate/admin/config", Some("other"), "Unauthorized"),
            (Method::Get, "/_tidegate/admin/config", Some("secret"), "Config"),
            (Method::Get, "/_tidegate/admin/nothing", Some("secret"), "NotFound"),
            (Method::Get, "/_tidegate/admin/keys", Some("secret"), "Keys(List)"),
            (Method::Get, "/_tidegate/admin/keys", None, "NotFound"),
            (Method::Post, "/_tidegate/admin/keys", Some("other"), "Unauthorized"),
            (Method::Put, "/_tidegate/admin/keys", Some("secret"), "NotAllowed(\"GET, HEAD, POST\")"),
            (Method::Get, "/_tidegate/admin/keysx", Some("secret"), "NotFound"),
            (Method::Get, "/_tidegate/admin/rate-limits", Some("secret"), "Limits(List)"),
            (Method::Get, "/_tidegate/admin/rate-limits", None, "NotFound"),
            (Method::Get, "/_tidegate/admin/rate-limits/stats", Some("secret"), "Observe(Limits)"),
            (Method::Post, "/_tidegate/admin/rate-limits/stats", Some("secret"), "NotAllowed(\"GET, HEAD\")"),
            (Method::Get, "/_tidegate/admin/rate-limits/partition", Some("secret"), "Limits(Show)"),
            (Method::Delete, "/_tidegate/admin/rate-limits/partition", Some("secret"), "Limits(Reset)"),
            (
                Method::Put,
                "/_tidegate/admin/rate-limits/partition",
                Some("secret"),
                "NotAllowed(\"GET, HEAD, DELETE\")",
            ),
            (Method::Get, "/_tidegate/admin/rate-limits/x", Some("secret"), "NotFound"),
            (Method::Get, "/_tidegate/deliveries/default/1f", None, "Delivery(\"default\", \"1f\")"),
            (Method::Get, "/_tidegate/admin/deliveries", Some("other"), "Unauthorized"),
            (Method::Get, "/_tidegate/admin/deliveries", Some("secret"), "Deliveries"),
            (Method::Post, "/_tidegate/admin/deliveries/replay?id=1", Some("secret"), "Replay"),
            (Method::Get, "/_tidegate/admin/deliveries/replay", Some("secret"), "NotAllowed(\"POST\")"),
            (Method::Post, "/_tidegate/admin/purge", None, "NotFound"),
            (Method::Post, "/_tidegate/admin/purge", Some("other"), "Unauthorized"),
            (Method::Post, "/_tidegate/admin/purge", Some("secret"), "Steer(Purge)"),
            (Method::Get, "/_tidegate/admin/purge", Some("secret"), "NotAllowed(\"POST\")"),
            (Method::Post, "/_tidegate/admin/warm", Some("other"), "Unauthorized"),
            (Method::Post, "/_tidegate/admin/warm", Some("secret"), "Steer(Warm)"),
            (Method::Get, "/_tidegate/admin/warm", Some("secret"), "Steer(Warming)"),
            (Method::Put, "/_tidegate/admin/warm", Some("secret"), "NotAllowed(\"GET, HEAD, POST\")"),
            (Method::Get, "/_tidegate/admin/lists", Some("secret"), "Lists(Show)"),
            (Method::Post, "/_tidegate/admin/lists/deny", Some("secret"), "Lists(Add(Deny))"),
            (Method::Delete, "/_tidegate/admin/lists/allow?key=1", Some("secret"), "Lists(Remove(Allow))"),
            (Method::Put, "/_tidegate/admin/lists/deny", Some("secret"), "NotAllowed(\"POST, DELETE\")"),
            (Method::Post, "/_tidegate/admin/lists", Some("secret"), "NotAllowed(\"GET, HEAD\")"),
            (Method::Post, "/_tidegate/admin/lists/grey", Some("secret"), "NotFound"),
            (Method::Get, "/_tidegate/admin/audit", Some("secret"), "Steer(Audit)"),
            (Method::Post, "/_tidegate/admin/config", Some("secret"), "NotAllowed(\"GET, HEAD\")"),
        ] {
            assert_eq!(ask(method, path, token).as_deref(), Some(expected), "{path}");
        }
    }
}
