//! The table as a whole: precedence, and paths that are dressed up.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::head::{Fields, Method};

/// A route that says nothing but what it matches.
pub(crate) fn route(name: &str, matches: serde_json::Value) -> Route {
    Route {
        name: name.into(),
        matches: serde_json::from_value(matches).unwrap(),
        pools: Vec::new(),
        strip_prefix: None,
        add_prefix: None,
        cache: Rc::default(),
        limits: Vec::new(),
        queue: None,
        assets: true,
        compress: true,
        retry_safe: false,
        require_precondition: false,
        panic: Panic::Try,
        hedge: None,
        static_fallback: None,
        write_behind: None,
        batch: None,
        websocket: None,
    }
}

fn table(routes: &[(&str, serde_json::Value)]) -> Table {
    let routes = routes.iter().map(|(name, matches)| route(name, matches.clone())).collect();
    Table::new(routes, route("rest", serde_json::json!({})))
}

fn taken<'t>(table: &'t Table, path: &str) -> Result<&'t str, AmbiguousPath> {
    let request = RequestHead::new(Method::Get, &format!("https://a.example{path}")).unwrap();
    table.classify(&request).map(|route| &*route.name)
}

#[test]
fn a_limited_path_cannot_be_dressed_up_as_another() {
    let table = table(&[
        ("api", serde_json::json!({ "path": "/api/*" })),
        ("login", serde_json::json!({ "path": "/api/login" })),
        ("public", serde_json::json!({ "path": "/public/*" })),
    ]);
    for (path, expected) in [
        ("/api/x", Ok("api")),
        ("/api", Ok("api")),
        ("/%61pi/x", Ok("api")),
        ("/%61%70%69", Ok("api")),
        ("//api/x", Ok("api")),
        ("/./api//x", Ok("api")),
        ("/public/../api/x", Ok("api")),
        ("/public/%2e%2E/api/x", Ok("api")),
        ("/api;jsessionid=1/x", Ok("api")),
        ("/api/login", Ok("login")),
        ("/api/login/", Ok("login")),
        ("/api/login//;x", Ok("login")),
        ("/api/logi%6E", Ok("login")),
        ("/api//login;a=b", Ok("login")),
        ("/api/a%2Fb", Ok("api")),
        ("/public/a%2Fb", Ok("public")),
        ("/public/100%", Ok("public")),
        ("/apis", Ok("rest")),
        ("/API/x", Ok("rest")),
        ("/api%2Fx", Err(AmbiguousPath)),
        ("/api%5Cx", Err(AmbiguousPath)),
        ("/api%2flogin", Err(AmbiguousPath)),
        ("/api/%2Flogin", Err(AmbiguousPath)),
        ("/api/..%2Fpublic/x", Err(AmbiguousPath)),
        ("/public/..%2Fapi/x", Err(AmbiguousPath)),
        ("/api/..;/public/x", Err(AmbiguousPath)),
        ("/public/..;x=y/api/x", Err(AmbiguousPath)),
    ] {
        assert_eq!(taken(&table, path), expected, "{path}");
    }
}

#[test]
fn the_first_in_the_file_wins_among_equals() {
    let json = || serde_json::json!({ "path": "/{a,b}/*" });
    let first = table(&[("one", json()), ("two", serde_json::json!({ "path": "/{a,c}/*" }))]);
    assert_eq!(taken(&first, "/a/x"), Ok("one"));
    assert_eq!(taken(&first, "/c/x"), Ok("two"));
    let last = table(&[("two", serde_json::json!({ "path": "/{a,c}/*" })), ("one", json())]);
    assert_eq!(taken(&last, "/a/x"), Ok("two"));
}

#[test]
fn a_route_for_everything_takes_the_place_of_the_rest() {
    for matches in [serde_json::json!({}), serde_json::json!({ "path": "/*" })] {
        let table = table(&[("all", matches), ("api", serde_json::json!({ "path": "/api/*" }))]);
        assert_eq!((taken(&table, "/x"), taken(&table, "/api/x")), (Ok("all"), Ok("api")));
        assert_eq!(table.iter().map(|route| &*route.name).collect::<Vec<_>>(), ["api", "all"]);
    }
}

/// Matches that are all different in what they are ranked by.
fn matches() -> impl Strategy<Value = serde_json::Value> {
    let host = select(vec![None, Some("*.example"), Some("*.b.example"), Some("a.example")]);
    let path = select(vec![
        None,
        Some("/*"),
        Some("/a/*"),
        Some("/a/b"),
        Some("/a/*/c"),
        Some("/a/b/**"),
        Some("/*/b"),
    ]);
    let methods = select(vec![vec![], vec!["GET"], vec!["POST", "GET"]]);
    let headers = select(vec![vec![], vec![("x", "*")], vec![("x", "1"), ("y", "*")]]);
    (host, path, methods, headers).prop_map(|(host, path, methods, headers)| {
        let mut json = serde_json::json!({ "methods": methods });
        if let Some(host) = host {
            json["host"] = host.into();
        }
        if let Some(path) = path {
            json["path"] = path.into();
        }
        json["headers"] = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), serde_json::Value::from(value)))
            .collect();
        json
    })
}

fn request() -> impl Strategy<Value = RequestHead> {
    let url = select(vec![
        "https://a.example/a/b",
        "https://a.example/",
        "https://x.b.example/a/b/c",
        "https://x.b.example/a/z/c",
        "https://c.example/q/b",
        "https://other/a",
    ]);
    let method = select(vec!["GET", "HEAD", "POST", "PUT"]);
    let fields = select(vec![vec![], vec![("x", "1")], vec![("x", "2"), ("y", "")]]);
    (url, method, fields).prop_map(|(url, method, fields)| RequestHead {
        fields: Fields::from_pairs(fields),
        ..RequestHead::new(Method::from(method), url).unwrap()
    })
}

proptest! {
    #[test]
    fn the_order_of_the_file_decides_only_between_equals(
        rules in prop::collection::vec(matches(), 1..8),
        swaps in prop::collection::vec(any::<(Index, Index)>(), 0..8),
        request in request(),
    ) {
        let mut routes: Vec<Route> =
            rules.iter().enumerate().map(|(at, rule)| route(&at.to_string(), rule.clone())).collect();
        let rest = || route("rest", serde_json::json!({}));
        let before = Table::new(routes.clone(), rest());
        for (a, b) in swaps {
            let len = routes.len();
            routes.swap(a.index(len), b.index(len));
        }
        let after = Table::new(routes, rest());
        let (before, after) = (before.classify(&request).unwrap(), after.classify(&request).unwrap());
        prop_assert_eq!(before.matches.specificity(), after.matches.specificity());
    }

    #[test]
    fn the_most_special_route_that_matches_wins(
        rules in prop::collection::vec(matches(), 1..8),
        request in request(),
    ) {
        let routes: Vec<Route> =
            rules.iter().enumerate().map(|(at, rule)| route(&at.to_string(), rule.clone())).collect();
        let path = request.target.path().as_bytes();
        let best = routes.iter().filter(|route| route.matches.holds(&request, path).is_ok());
        // Of equals `max_by_key` takes the last, so the order is turned round.
        let best = best.rev().max_by_key(|route| route.matches.specificity()).map(|route| route.name.clone());
        let table = Table::new(routes.clone(), route("rest", serde_json::json!({})));
        let taken = table.classify(&request).unwrap().name.clone();
        prop_assert_eq!(taken, best.unwrap_or_else(|| "rest".into()));
    }

    #[test]
    fn a_normal_path_has_no_empty_segment_and_read_obligingly_no_dots(path in "(/[a-c.;%2Ff5C\\\\e]{0,6}){1,4}") {
        for reading in [Reading::Strict, Reading::Lenient] {
            let once = normal(&path, reading);
            prop_assert!(once.starts_with(b"/"));
            let segments: Vec<&[u8]> = once.split(|b| *b == b'/').skip(1).collect();
            prop_assert!(segments == [b""] || segments.iter().all(|segment| !segment.is_empty()), "{:?}", once);
            let is_dots = |segment: &&[u8]| matches!(*segment, b"." | b"..");
            prop_assert!(reading == Reading::Strict || !segments.iter().any(is_dots), "{:?}", once);
        }
    }
}
