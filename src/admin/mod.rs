//! tidegate's own endpoints, under the configured prefix: a table from method and path to an [`Action`].
//!
//! What only shows counters is open. What changes or reveals more needs the admin token; without a token
//! configured those paths do not exist.

pub mod auth;
pub mod keys;

use crate::head::{Method, RequestHead};
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
    /// On to the page: the prefix was asked for without its slash.
    ToPage,
    /// 401: the admin token is missing or wrong.
    Unauthorized,
    /// 404.
    NotFound,
    /// 405, with what is allowed.
    NotAllowed(&'static str),
}

/// The action for a request below `prefix`; `None` where the path is not tidegate's own.
pub fn endpoint<'a>(request: &'a RequestHead, prefix: &str, token: Option<&str>) -> Option<Action<'a>> {
    let path = request.target.path().strip_prefix(prefix)?;
    if path.is_empty() {
        return Some(Action::ToPage);
    }
    let path = path.strip_prefix('/')?;
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
        file => Action::Asset(file),
    }
}

fn steer<'a>(request: &RequestHead, path: &'a str) -> Action<'a> {
    match path {
        "config" => read_only(request, Action::Config),
        _ => match path.strip_prefix("keys") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => one_of(keys::act(request, rest)),
            _ => Action::NotFound,
        },
    }
}

/// An act, or what is said where there is none: 404, or 405 with the methods that are allowed.
fn one_of<'a>(act: Result<keys::Act<'a>, &'static str>) -> Action<'a> {
    match act {
        Ok(act) => Action::Keys(act),
        Err("") => Action::NotFound,
        Err(allow) => Action::NotAllowed(allow),
    }
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
        ] {
            assert_eq!(ask(method, path, token).as_deref(), Some(expected), "{path}");
        }
    }
}
