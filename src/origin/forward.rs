//! The head that goes to an origin.

use std::net::IpAddr;

use super::config::HostMode;
use super::fields::{append_member, is_hop_by_hop, is_not_for_clients, named_in_connection};
use super::pool::Endpoint;
use super::trace;
use super::url::has_dot_segment;
use crate::head::{Fields, Method, RequestHead, Target};

/// How a route changes the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrite<'a> {
    /// Taken from the front of the path, where it is there as whole segments.
    pub strip_prefix: Option<&'a str>,
    /// Put in front of what is left.
    pub add_prefix: Option<&'a str>,
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

/// The head that goes to `endpoint` for a client's request. An Upgrade is left only where it is to a WebSocket,
/// and a Host only where it is not that of the URL.
///
/// # Errors
/// Where it may not go there.
pub fn forward(
    request: &RequestHead,
    endpoint: &Endpoint,
    host: &HostMode,
    rewrite: Rewrite<'_>,
    hop: &Hop<'_>,
) -> Result<RequestHead, NotForwarded> {
    if is_loop(request, hop.id, hop.loops_max) {
        return Err(NotForwarded::LoopDetected);
    }
    let target = target(request, endpoint, rewrite).ok_or(NotForwarded::DotSegment)?;
    let mut fields = end_to_end(request);
    match host {
        HostMode::Origin => {}
        HostMode::Pass => fields.append("host", request.target.authority()),
        HostMode::Name(name) => fields.append("host", name),
    }
    say_who_asks(&mut fields, request);
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
    let rest = rewrite.strip_prefix.and_then(|prefix| strip_prefix(path, prefix)).unwrap_or(path);
    let added = rewrite.add_prefix.unwrap_or_default().trim_matches('/');
    let mut url = endpoint.url.to_string();
    if !added.is_empty() {
        url.push('/');
        url.push_str(added);
    }
    url.push_str(rest);
    if let Some(query) = request.target.query() {
        url.push('?');
        url.push_str(query);
    }
    Target::parse(&url).ok()
}

/// What follows the prefix, where it is there as whole segments: empty, or from its `/` on.
fn strip_prefix<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
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
        if !(is_ours || is_for_this_hop || is_not_for_clients(name)) {
            fields.append(name, value);
        }
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
mod tests {
    use super::*;
    use crate::head::Client;
    use crate::origin::{Pool, PoolConfig};
    use proptest::prelude::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const HOP: Hop<'_> = Hop { id: "tidegate", loops_max: 0, request_id: "r1", traceparent: TRACE };

    fn pool(url: &str) -> Pool {
        let config = PoolConfig { url: Some(url.parse().unwrap()), ..Default::default() };
        Pool::new("p", config)
    }

    fn request(url: &str, fields: &[(&str, &str)]) -> RequestHead {
        let client = Client {
            address: Some("2001:db8::1".parse().unwrap()),
            protocol: Some("HTTP/2".into()),
            ..Default::default()
        };
        let fields = Fields::from_pairs(fields.iter().copied());
        RequestHead { fields, client: client.into(), ..RequestHead::new(Method::Get, url).unwrap() }
    }

    fn sent(request: &RequestHead, host: &HostMode) -> Result<RequestHead, NotForwarded> {
        let pool = pool("https://origin.internal/v1");
        forward(request, &pool.endpoints[0], host, Rewrite::default(), &HOP)
    }

    #[test]
    fn the_target_is_base_path_and_rewritten_path_and_the_query_as_it_came() {
        for (origin, strip, add, url, expected) in [
            ("http://o:81", None, None, "/a/b?x=%20&y=a+b", "http://o:81/a/b?x=%20&y=a+b"),
            ("http://o/v1/", None, None, "/", "http://o/v1/"),
            ("http://o/v1", Some("/api"), None, "/api/users?", "http://o/v1/users?"),
            ("http://o/v1", Some("/api"), None, "/api?x", "http://o/v1?x"),
            ("http://o", Some("/api/"), None, "/api?x", "http://o/?x"),
            ("http://o", Some("/api"), None, "/apix", "http://o/apix"),
            ("http://o", Some("/api"), Some("/v2/"), "/api/x", "http://o/v2/x"),
            ("http://o/v1", None, Some("in"), "/a%2Fb//c%c3", "http://o/v1/in/a%2Fb//c%c3"),
            ("http://o", Some("/api"), None, "/api//evil.example/x", "http://o//evil.example/x"),
        ] {
            let rewrite = Rewrite { strip_prefix: strip, add_prefix: add };
            let (pool, request) = (pool(origin), request(&format!("https://c{url}"), &[]));
            let head = forward(&request, &pool.endpoints[0], &HostMode::Origin, rewrite, &HOP).unwrap();
            assert_eq!(head.target.url(), expected, "{origin} {strip:?} {add:?} {url}");
        }
    }

    #[test]
    fn a_path_cannot_climb_out_of_its_base() {
        for path in ["/%2e%2e/secret", "/a/.%2E", "/x/%2e/y"] {
            let request = request(&format!("https://c{path}"), &[]);
            assert_eq!(sent(&request, &HostMode::Origin), Err(NotForwarded::DotSegment), "{path}");
        }
    }

    #[test]
    fn the_origin_learns_who_asks_from_tidegate_alone() {
        let lies = [
            ("Forwarded", "for=1.1.1.1"),
            ("X-Forwarded-For", "1.1.1.1"),
            ("X-Forwarded-Port", "1"),
            ("X-Real-IP", "1.1.1.1"),
            ("True-Client-IP", "1.1.1.1"),
            ("CF-Connecting-IP", "1.1.1.1"),
            ("CF-Ray", "x"),
            ("X-RateLimit-Tier", "enterprise"),
            ("RateLimit", "x"),
            ("X-Tidegate-Bypass", "1"),
            ("Cache-Status", "x; hit"),
            ("Proxy-Status", "x"),
            ("X-Request-Id", "mine"),
            ("Connection", "X-Forwarded-For, Forwarded, CDN-Loop"),
            ("Accept", "*/*"),
            ("Via", "1.1 lan"),
            ("CDN-Loop", "other; x=1"),
            ("traceparent", "nonsense"),
            ("tracestate", "a=b"),
        ];
        let head = sent(&request("https://api.example.com:8443/", &lies), &HostMode::Origin).unwrap();
        let expected = [
            ("accept", "*/*"),
            ("forwarded", "for=\"[2001:db8::1]\";proto=https;host=\"api.example.com:8443\""),
            ("x-forwarded-for", "2001:db8::1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example.com:8443"),
            ("via", "1.1 lan, 2 tidegate"),
            ("cdn-loop", "other; x=1, tidegate"),
            ("traceparent", TRACE),
            ("x-request-id", "r1"),
        ];
        let sorted = |fields: &Fields| {
            let mut lines: Vec<_> = fields.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&head.fields), sorted(&Fields::from_pairs(expected)));
    }

    #[test]
    fn addresses_are_written_as_forwarded_wants_them() {
        for (address, node, plain) in [
            (Some("192.0.2.1"), "for=192.0.2.1;", Some("192.0.2.1")),
            (Some("::ffff:192.0.2.1"), "for=192.0.2.1;", Some("192.0.2.1")),
            (None, "for=unknown;", None),
        ] {
            let mut request = request("http://c/", &[("X-Forwarded-For", "6.6.6.6")]);
            let address = address.map(|address| address.parse().unwrap());
            request.client = Client { address, ..Client::default() }.into();
            let fields = sent(&request, &HostMode::Origin).unwrap().fields;
            assert!(fields.get("forwarded").unwrap().starts_with(node), "{address:?}");
            assert_eq!(fields.get("x-forwarded-for"), plain);
        }
    }

    #[test]
    fn what_was_for_one_hop_stays_behind_and_a_websocket_upgrade_goes_on() {
        let one_hop = [
            ("Connection", "upgrade, X-Hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "1"),
            ("Proxy-Authorization", "Basic x"),
            ("TE", "trailers, deflate"),
            ("Transfer-Encoding", "chunked"),
            ("Trailer", "x"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Key", "k"),
        ];
        let mut request = request("https://c/", &one_hop);
        let fields = sent(&request, &HostMode::Origin).unwrap().fields;
        for (name, value) in [("te", "trailers"), ("upgrade", "websocket"), ("sec-websocket-key", "k")] {
            assert_eq!(fields.get_all(name).collect::<Vec<_>>(), [value]);
        }
        for name in
            ["connection", "x-hop", "keep-alive", "proxy-authorization", "transfer-encoding", "trailer"]
        {
            assert!(!fields.contains(name), "{name}");
        }
        request.fields.insert("upgrade", "h2c");
        assert!(!sent(&request, &HostMode::Origin).unwrap().fields.contains("upgrade"));
    }

    #[test]
    fn the_origin_sees_the_host_that_the_config_says() {
        for (host, expected) in [
            (HostMode::Origin, None),
            (HostMode::Pass, Some("c.example")),
            (HostMode::Name("app.example".into()), Some("app.example")),
        ] {
            let request = request("https://c.example/", &[("Host", "lie.example")]);
            let head = sent(&request, &host).unwrap();
            assert_eq!(head.fields.get("host"), expected);
            assert_eq!(head.fields.get("x-forwarded-host"), Some("c.example"));
        }
    }

    #[test]
    fn a_request_that_passed_here_before_is_a_loop() {
        for (value, id, loops_max, is_loop) in [
            ("tidegate", "tidegate", 0, true),
            ("cloudflare, TideGate; x=1", "tidegate", 0, true),
            ("tidegate", "tidegate-inner", 0, false),
            ("tidegates, cloudflare", "tidegate", 0, false),
            ("tidegate", "tidegate", 1, false),
            ("tidegate, tidegate", "tidegate", 1, true),
        ] {
            let hop = Hop { id, loops_max, ..HOP };
            let (pool, request) = (pool("http://o"), request("https://c/", &[("CDN-Loop", value)]));
            let result = forward(&request, &pool.endpoints[0], &HostMode::Origin, Rewrite::default(), &hop);
            assert_eq!(result.err() == Some(NotForwarded::LoopDetected), is_loop, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_request_always_stays_at_its_origin_and_under_its_base(path in "(/|%2e|\\.|a|%2F|\\\\|@|:|;){0,12}") {
            let request = request(&format!("https://c/{path}"), &[]);
            if let Ok(head) = sent(&request, &HostMode::Origin) {
                prop_assert_eq!(head.target.authority(), "origin.internal");
                prop_assert_eq!(head.target.path(), format!("/v1/{path}"));
                let mut depth = 0;
                for segment in path.replace("%2e", ".").split(['/', '\\']) {
                    depth += if segment == ".." { -1 } else { 1 };
                    prop_assert!(depth > 0);
                }
            }
        }
    }
}
