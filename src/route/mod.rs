//! Which route a request takes, and what the route says about assets and compression. Pure.
//!
//! # Precedence
//! Of the routes whose `match` holds, the most special wins ([`Specificity`]): an exact host before a wildcard
//! before none; a path without wildcards before one with, then the longer literal text before the first wildcard,
//! then the more literal text in all, then fewer `**`; named methods before none; more headers before fewer. Among
//! equals the one that stands first in the file wins. What no route matches takes the fallback route.

pub mod asset;
mod batch;
mod class;
pub mod compress;
mod config;
mod fingerprint;
pub mod matcher;
pub mod path;
mod sockets;
mod write_behind;

use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::cache;
use crate::head::RequestHead;
use crate::limit::queue::QueueConfig;
use crate::limit::{PolicyConfig, PolicyName};
use crate::list::sort_short;
use crate::origin::Hedge;
use crate::path::{Reading, normal};
pub use batch::Batch;
pub use config::{CacheSetting, RouteConfig, RouteName};
use matcher::{Match, Mismatch, Specificity};
use path::PathPrefix;
pub use sockets::Sockets;
pub use write_behind::{Delivery, WriteBehind};

/// What happens to a request whose route cannot be decided upon because the wasm died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTrap {
    /// It goes straight to its route's first origin.
    #[default]
    Pass,
    /// It is answered 503.
    Refuse,
}

/// What happens to a request when every endpoint of its pool is ejected, and nothing else can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Panic {
    /// The least bad one is tried all the same, once.
    #[default]
    Try,
    /// It is answered 503.
    Refuse,
}

/// What is answered when neither an origin nor a stored response can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticFallback {
    /// 200 to 599.
    #[serde(default = "unavailable")]
    pub status: u16,
    /// The Content-Type; default `text/plain; charset=utf-8`.
    #[serde(default = "plain_text")]
    pub content_type: String,
    /// The content, at most [`FALLBACK_BYTES_MAX`]; where there is a `file`, for the case that it can't be had.
    #[serde(default)]
    pub body: String,
    /// A file of `www/` instead, with the type that the platform knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Box<str>>,
}

/// How long the body of a [`StaticFallback`] may be, in bytes.
pub const FALLBACK_BYTES_MAX: usize = 64 * 1024;

fn unavailable() -> u16 {
    503
}

fn plain_text() -> String {
    "text/plain; charset=utf-8".into()
}

/// One route, ready for use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Its name, for people, metrics and the `route` part of a partition.
    pub name: Rc<str>,
    /// What it matches.
    pub matches: Match,
    /// The pools that are asked, its own first and then those it falls back to: indices into
    /// `config::Compiled::pools`.
    pub pools: Vec<usize>,
    /// Taken from the front of the path before the origin gets it.
    pub strip_prefix: Option<PathPrefix>,
    /// Put in front of the path before the origin gets it.
    pub add_prefix: Option<PathPrefix>,
    /// What it says about caching; `enabled = false` where it is off.
    #[serde(with = "cache::policy::whole")]
    pub cache: Rc<cache::Policy>,
    /// The policies that limit it. Empty: counted, not limited.
    pub limits: Vec<(PolicyName, Rc<PolicyConfig>)>,
    /// The queue in which its requests wait for the origin.
    pub queue: Option<(PolicyName, Rc<QueueConfig>)>,
    /// Whether the asset classes hold here.
    pub assets: bool,
    /// Whether text may be compressed here.
    pub compress: bool,
    /// Whether a request may be sent twice whatever its method.
    pub retry_safe: bool,
    /// Whether a change must say by If-Match what it changes.
    pub require_precondition: bool,
    /// When every endpoint is ejected.
    pub panic: Panic,
    /// When a second attempt is sent beside the first.
    pub hedge: Option<Hedge>,
    /// What is answered at last.
    pub static_fallback: Option<Rc<StaticFallback>>,
    /// How its changes are delivered later, where they are.
    pub write_behind: Option<Rc<WriteBehind>>,
    /// How several of its requests are sent as one, where they are.
    pub batch: Option<Rc<Batch>>,
    /// What its WebSockets may do.
    pub websocket: Option<Rc<Sockets>>,
}

/// The path means different routes to different origins (an encoded slash, a dot segment behind one): it could
/// slip past a policy, so it is answered 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmbiguousPath;

impl AmbiguousPath {
    /// For the log and the problem document.
    pub const fn as_str(self) -> &'static str {
        "the path can be read in two ways that lead to different routes"
    }
}

impl fmt::Display for AmbiguousPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All routes, in the order of their precedence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    routes: Vec<Rc<Route>>,
    fallback: Rc<Route>,
}

impl Table {
    /// From routes in the order of the file. `rest` takes what none of them matches; where one of them matches
    /// everything, it is not needed.
    pub fn new(mut routes: Vec<Route>, rest: Route) -> Self {
        sort_short(&mut routes, |a, b| a.matches.specificity() > b.matches.specificity());
        let fallback = routes.pop_if(|last| last.matches.is_everything()).unwrap_or(rest);
        Self { routes: routes.into_iter().map(Rc::new).collect(), fallback: Rc::new(fallback) }
    }

    /// The route of what no other takes.
    pub fn rest(&self) -> &Rc<Route> {
        &self.fallback
    }

    /// Which route a request takes.
    ///
    /// # Errors
    /// Where that depends on how an origin reads the path.
    pub fn classify(&self, request: &RequestHead) -> Result<&Rc<Route>, AmbiguousPath> {
        let path = request.target.path();
        let strict = normal(path, Reading::Strict);
        let route = self.first(request, &strict);
        let lenient = normal(path, Reading::Lenient);
        if strict == lenient || std::ptr::eq(route, self.first(request, &lenient)) {
            Ok(route)
        } else {
            Err(AmbiguousPath)
        }
    }

    fn first(&self, request: &RequestHead, path: &[u8]) -> &Rc<Route> {
        self.routes.iter().find(|route| route.matches.holds(request, path).is_ok()).unwrap_or(&self.fallback)
    }

    /// Every route in the order of precedence, and why it does not match where it does not; the fallback is last.
    pub fn explain<'t>(
        &'t self,
        request: &RequestHead,
    ) -> impl Iterator<Item = (&'t Route, Specificity, Result<(), Mismatch>)> {
        let path = normal(request.target.path(), Reading::Strict);
        self.iter()
            .map(move |route| (route, route.matches.specificity(), route.matches.holds(request, &path)))
    }

    /// Every route in the order of precedence; the fallback is last.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().chain([&self.fallback]).map(Rc::as_ref)
    }
}

#[cfg(test)]
pub(crate) mod tests;
