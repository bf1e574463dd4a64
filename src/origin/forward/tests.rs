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

fn sent(request: &RequestHead) -> Result<RequestHead, NotForwarded> {
    let pool = pool("https://origin.internal/v1");
    forward(request, &pool.endpoints[0], Rewrite::default(), &HOP)
}

#[test]
fn a_pool_has_its_own_path_fields_and_secret() {
    let (path, secret) = ("/ai/* -> /openai/*".parse().unwrap(), "x-api-key: KEY".parse().unwrap());
    let headers = [("Cookie".to_owned(), String::new()), ("X-Version".to_owned(), "7".to_owned())];
    let rewrite = Rewrite {
        add_prefix: Some("/ai"),
        path: Some(&path),
        headers: &headers,
        secret: Some((&secret, "s3cret")),
        ..Rewrite::default()
    };
    let client = [("cookie", "a=1"), ("x-version", "1"), ("x-api-key", "guess"), ("accept", "*/*")];
    let pool = pool("https://origin.internal/v1");
    let asked = request("https://a/chat?x=1", &client);
    let head = forward(&asked, &pool.endpoints[0], rewrite, &HOP).unwrap();
    assert_eq!(head.target.url(), "https://origin.internal/v1/openai/chat?x=1");
    let field = |name: &str| head.fields.combined(name);
    assert_eq!((field("cookie"), field("x-version").as_deref()), (None, Some("7")));
    assert_eq!((field("x-api-key").as_deref(), field("accept").as_deref()), (Some("s3cret"), Some("*/*")));
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
        let rewrite = Rewrite { strip_prefix: strip, add_prefix: add, ..Rewrite::default() };
        let (pool, request) = (pool(origin), request(&format!("https://c{url}"), &[]));
        let head = forward(&request, &pool.endpoints[0], rewrite, &HOP).unwrap();
        assert_eq!(head.target.url(), expected, "{origin} {strip:?} {add:?} {url}");
    }
}

#[test]
fn a_path_cannot_climb_out_of_its_base() {
    for path in ["/%2e%2e/secret", "/a/.%2E", "/x/%2e/y"] {
        let request = request(&format!("https://c{path}"), &[]);
        assert_eq!(sent(&request), Err(NotForwarded::DotSegment), "{path}");
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
    let head = sent(&request("https://api.example.com:8443/", &lies)).unwrap();
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
        let fields = sent(&request).unwrap().fields;
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
    let fields = sent(&request).unwrap().fields;
    for (name, value) in [("te", "trailers"), ("upgrade", "websocket"), ("sec-websocket-key", "k")] {
        assert_eq!(fields.get_all(name).collect::<Vec<_>>(), [value]);
    }
    for name in ["connection", "x-hop", "keep-alive", "proxy-authorization", "transfer-encoding", "trailer"] {
        assert!(!fields.contains(name), "{name}");
    }
    request.fields.insert("upgrade", "h2c");
    assert!(!sent(&request).unwrap().fields.contains("upgrade"));
}

#[test]
fn the_origin_sees_the_host_of_its_url_and_is_told_the_clients() {
    let head = sent(&request("https://c.example/", &[("Host", "lie.example")])).unwrap();
    assert_eq!((head.fields.get("host"), head.fields.get("x-forwarded-host")), (None, Some("c.example")));
}

#[test]
fn what_is_tidegates_own_and_what_only_it_may_say_does_not_reach_the_origin() {
    let head = sent(&request(
        "https://c/",
        &[
            ("X-Queue-Position", "0"),
            ("X-Queue-Wait", "0"),
            ("X-Tidegate-Bookmark", "b"),
            ("Cookie", "a=1;tidegate_bookmark=b; c=\"2\""),
            ("Cookie", "tidegate_bookmark=b"),
        ],
    ))
    .unwrap();
    let said: Vec<(&str, &str)> =
        head.fields.iter().filter(|(name, _)| name.starts_with("x-queue") || *name == "cookie").collect();
    assert_eq!(said, [("cookie", "a=1; c=\"2\"")]);
    assert!(!head.fields.contains("x-tidegate-bookmark"));
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
        let result = forward(&request, &pool.endpoints[0], Rewrite::default(), &hop);
        assert_eq!(result.err() == Some(NotForwarded::LoopDetected), is_loop, "{value}");
    }
}

proptest! {
    #[test]
    fn a_request_always_stays_at_its_origin_and_under_its_base(path in "(/|%2e|\\.|a|%2F|\\\\|@|:|;){0,12}") {
        let request = request(&format!("https://c/{path}"), &[]);
        if let Ok(head) = sent(&request) {
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

#[test]
fn what_an_endpoint_calls_its_own_is_what_clients_ask_for() {
    let like = Target::parse("https://www.example.com/api/x?y").unwrap();
    let routed = Rewrite { strip_prefix: Some("/api"), add_prefix: Some("/in"), ..Rewrite::default() };
    for (url, at, rewrite, expected) in [
        (
            "http://origin:8000",
            "http://origin:8000/a?b",
            Rewrite::default(),
            Some("https://www.example.com/a?b"),
        ),
        ("http://origin:8000", "http://ORIGIN:8000/a", Rewrite::default(), Some("https://www.example.com/a")),
        (
            "http://origin:8000/v1",
            "http://origin:8000/v1/a",
            Rewrite::default(),
            Some("https://www.example.com/a"),
        ),
        ("http://origin:8000/v1", "http://origin:8000/v2/a", Rewrite::default(), None),
        ("http://origin:8000", "https://origin:8000/a", Rewrite::default(), None),
        ("http://origin:8000", "http://origin:80001/a", Rewrite::default(), None),
        ("http://origin", "http://origin.evil/a", Rewrite::default(), None),
        ("http://origin/v1", "http://origin/v1/in/a", routed, Some("https://www.example.com/api/a")),
        ("http://origin/v1", "http://origin/v1/out/a", routed, None),
    ] {
        let pool = pool(url);
        let target = backward(&Target::parse(at).unwrap(), &pool.endpoints[0], &like, rewrite);
        assert_eq!(target.as_ref().map(Target::url), expected, "{url} {at}");
    }
}
