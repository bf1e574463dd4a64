//! The head that goes to an origin.

use std::borrow::Cow;
use std::net::IpAddr;

use super::bookmark;
use super::fields::{append_member, is_hop_by_hop, is_not_for_clients, named_in_connection};
use super::pool::Endpoint;
use super::rewrite::{PathRewrite, Secret, behind};
use super::trace;
use super::url::has_dot_segment;
use crate::head::{Fields, Method, RequestHead, Target};

/// How a route and its pool change a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrite<'a> {
    /// Taken from the front of the path, where it is there as whole segments.
    pub strip_prefix: Option<&'a str>,
    /// Put in front of what is left.
    pub add_prefix: Option<&'a str>,
    /// What the pool makes of the path that comes of that.
    pub path: Option<&'a PathRewrite>,
    /// The fields that the pool sets, and with an empty value takes out.
    pub headers: &'a [(String, String)],
    /// The pool's secret: where it goes, and what it is.
    pub secret: Option<(&'a Secret, &'a str)>,
}

/// Who forwards, and what it says of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop<'a> {
    /// The name of this tidegate in Via and CDN-Loop: one word. Two in a chain on purpose have different ones.
    pub id: &'a str,
    /// How often CDN-Loop may already name this tidegate: 0, unless a request passes here twice on purpose.
    pub loops_max: usize,
    /// This request's X-Request-Id. A client's own is never passed on; who believes it gives it here.
    pub request_id: &'a str,
    /// This request's traceparent: see [`trace::traceparent`].
    pub traceparent: &'a str,
}

/// Why a request does not go to an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotForwarded {
    /// It came from this tidegate (RFC 8586): 502 with Proxy-Status.
    LoopDetected,
    /// Its path has a `.` or `..` segment, perhaps as `%2e`. The platform's URL parser would resolve it after the
    /// route was chosen, and leave the base path: 400.
    DotSegment,
}

impl NotForwarded {
    /// The error type of Proxy-Status (RFC 9209, section 2.3).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoopDetected => "proxy_loop_detected",
            Self::DotSegment => "http_request_error",
        }
    }

    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::LoopDetected => 502,
            Self::DotSegment => 400,
        }
    }
}

/// Whether a request came from this tidegate, more often than it may (RFC 8586). Asked before anything waits for it.
pub fn is_loop(request: &RequestHead, id: &str, loops_max: usize) -> bool {
    request.fields.list("cdn-loop").filter(|member| names(member, id)).count() > loops_max
}

/// How much further an OPTIONS or TRACE may go, where it says so (RFC 9110, section 7.6.2).
pub fn max_forwards(request: &RequestHead) -> Option<u64> {
    let counts = matches!(request.method, Method::Options | Method::Trace);
    request.fields.get("max-forwards").filter(|_| counts)?.trim().parse().ok()
}

/// The head that goes to `endpoint` for a client's request, without Host, which the platform makes of the URL. An Upgrade is
/// left only where it is to a WebSocket.
///
/// # Errors
/// Where it may not go there.
pub fn forward(
    request: &RequestHead,
    endpoint: &Endpoint,
    rewrite: Rewrite<'_>,
    hop: &Hop<'_>,
) -> Result<RequestHead, NotForwarded> {
    if is_loop(request, hop.id, hop.loops_max) {
        return Err(NotForwarded::LoopDetected);
    }
    let target = target(request, endpoint, rewrite).ok_or(NotForwarded::DotSegment)?;
    let mut fields = end_to_end(request);
    say_who_asks(&mut fields, request);
    if let Some(left) = max_forwards(request) {
        fields.insert("max-forwards", &left.saturating_sub(1).to_string());
    }
    for (name, value) in rewrite.headers {
        let name = name.to_ascii_lowercase();
        fields.remove(&name);
        if !value.is_empty() {
            fields.append(&name, value);
        }
    }
    if let Some((secret, value)) = rewrite.secret {
        fields.insert(&secret.field, &[&*secret.scheme, value].concat());
    }
    append_member(&mut fields, "via", &format!("{} {}", protocol(request), hop.id));
    append_member(&mut fields, "cdn-loop", hop.id);
    fields.append("traceparent", hop.traceparent);
    fields.append("x-request-id", hop.request_id);
    Ok(RequestHead { method: request.method.clone(), target, fields, client: request.client.clone() })
}

/// Whether a member of CDN-Loop names this tidegate: `tidegate; loops=1`.
fn names(member: &str, id: &str) -> bool {
    member.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(id))
}

/// The endpoint's root and base path, the path as the route rewrites it, and the query as it came.
fn target(request: &RequestHead, endpoint: &Endpoint, rewrite: Rewrite<'_>) -> Option<Target> {
    let path = request.target.path();
    if has_dot_segment(path) {
        return None;
    }
    let rest = rewrite.strip_prefix.and_then(|prefix| behind(path, prefix)).unwrap_or(path);
    let added = rewrite.add_prefix.unwrap_or_default().trim_matches('/');
    let routed = if added.is_empty() { Cow::Borrowed(rest) } else { ["/", added, rest].concat().into() };
    let mut url = endpoint.url.to_string();
    url.push_str(&rewrite.path.map_or_else(|| Cow::Borrowed(&*routed), |path| path.apply(&routed)));
    if let Some(query) = request.target.query() {
        url.push('?');
        url.push_str(query);
    }
    Target::parse(&url).ok()
}

/// What clients ask for to get what is at this target of an endpoint, where they ask for others of it like this: the way of
/// [`forward`] back. `None` where it is not the endpoint's, or where its pool has paths of its own.
pub fn backward(at: &Target, endpoint: &Endpoint, like: &Target, rewrite: Rewrite<'_>) -> Option<Target> {
    let is_there = at.url().get(..endpoint.url.root().len())?.eq_ignore_ascii_case(endpoint.url.root());
    if !is_there || !at.authority().eq_ignore_ascii_case(endpoint.url.authority()) || rewrite.path.is_some() {
        return None;
    }
    let path = behind(at.path(), endpoint.url.base_path())?;
    let path = rewrite.add_prefix.map_or(Some(path), |added| behind(path, added))?;
    let front = rewrite.strip_prefix.unwrap_or_default().trim_end_matches('/');
    let query = at.path_and_query().get(at.path().len()..)?;
    Target::parse(&[like.scheme(), "://", like.authority(), front, path, query].concat()).ok()
}

/// The fields of a request that are for the origin.
fn end_to_end(request: &RequestHead) -> Fields {
    let named = named_in_connection(&request.fields);
    let keeps_trace = trace::received(&request.fields).is_some();
    let mut fields = Fields::new();
    for (name, value) in request.fields.iter() {
        let is_ours = matches!(name, "host" | "traceparent") || (name == "tracestate" && !keeps_trace);
        // CDN-Loop stays, whoever asks for its removal (RFC 8586, section 2).
        let is_named = name != "cdn-loop" && named.iter().any(|n| n == name);
        let is_for_this_hop = is_hop_by_hop(name) || is_named;
        if is_ours || is_for_this_hop || is_not_for_clients(name) {
            continue;
        }
        if name == "cookie" && value.contains(bookmark::COOKIE) {
            let is_other = |pair: &&str| pair.split('=').next() != Some(bookmark::COOKIE);
            let others = value.split(';').map(str::trim).filter(is_other).collect::<Vec<_>>().join("; ");
            if !others.is_empty() {
                fields.append(name, &others);
            }
            continue;
        }
        fields.append(name, value);
    }
    if request.fields.list("te").any(|coding| coding.eq_ignore_ascii_case("trailers")) {
        fields.append("te", "trailers");
    }
    if is_websocket(request) {
        fields.append("upgrade", "websocket");
    }
    fields
}

/// Whether a request asks for a WebSocket (RFC 6455, section 4.2.1).
pub fn is_websocket(request: &RequestHead) -> bool {
    request.method == Method::Get
        && request.fields.list("upgrade").any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// Forwarded (RFC 7239) and the older fields that say the same, of the client as the platform saw it.
fn say_who_asks(fields: &mut Fields, request: &RequestHead) {
    let address = request.client().address.map(|address| address.to_canonical());
    let (scheme, host) = (request.target.scheme(), request.target.authority());
    let node = match address {
        Some(IpAddr::V6(address)) => format!("\"[{address}]\""),
        Some(IpAddr::V4(address)) => address.to_string(),
        None => "unknown".into(),
    };
    let quote = if host.contains([':', '[']) { "\"" } else { "" };
    fields.append("forwarded", &format!("for={node};proto={scheme};host={quote}{host}{quote}"));
    if let Some(address) = address {
        fields.append("x-forwarded-for", &address.to_string());
    }
    fields.append("x-forwarded-proto", scheme);
    fields.append("x-forwarded-host", host);
}

/// The version that Via names (RFC 9110, section 7.6.3): `2` for `HTTP/2`.
fn protocol(request: &RequestHead) -> &str {
    let version = request.client().protocol.as_deref().and_then(|protocol| protocol.strip_prefix("HTTP/"));
    version.filter(|version| !version.is_empty()).unwrap_or("1.1")
}

#[cfg(test)]
mod tests;
