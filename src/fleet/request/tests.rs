use std::rc::Rc;

use super::*;
use crate::cache::Policy;
use crate::route::Route;
use crate::route::tests::route;

/// Routes with these names, paths and key rules.
fn table(routes: &[(&str, &str, KeyRules)]) -> Table {
    let route = |(name, path, key): &(&str, &str, KeyRules)| Route {
        cache: Rc::new(Policy { key: key.clone(), ..Policy::default() }),
        ..route(name, serde_json::json!({ "path": path }))
    };
    Table::new(routes.iter().map(route).collect(), route(&("rest", "/**", KeyRules::default())))
}

fn plain() -> Table {
    table(&[("all", "/**", KeyRules::default())])
}

#[test]
fn a_batch_is_read_with_its_modes() {
    let text = r#"{"id":"deploy-42","operations":[
        {"url":"https://a.example/x?y=1"}, {"prefix":"https://a.example/blog/","mode":"soft"}, {"tag":"post-1"},
        {"route":"all"}, {"host":"a.example"}, {"everything":true,"mode":"hard"}]}"#;
    let batch = Batch::read(text, &plain()).unwrap();
    let kinds: Vec<Kind> = batch.operations.iter().map(|operation| operation.kind).collect();
    assert_eq!(kinds, KINDS.map(|(kind, _)| kind));
    assert_eq!((batch.id.as_str(), batch.operations[1].mode), ("deploy-42", Mode::Soft));
    let purge = batch.purge(&plain(), "\"me\"");
    assert_eq!(purge.stamps.len(), 6);
    assert!(
        serde_json::from_str::<serde_json::Value>(&format!("{{{}}}", purge.entry)).is_ok(),
        "{}",
        purge.entry
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_what_is_allowed() {
    let of = |operation: &str| format!(r#"{{"operations":[{{"tag":"a"}},{operation}]}}"#);
    for (text, expected) in [
        ("".to_owned(), "the content is no JSON object; allowed: "),
        ("[]".into(), "the content is no JSON object; allowed: "),
        (r#"{"operation":[]}"#.into(), "`operation` is not a key here; allowed: \"id\", \"operations\""),
        (r#"{"id":"a b","operations":[{"tag":"a"}]}"#.into(), "id: is no name for a batch; allowed: "),
        ("{}".into(), "operations: is no list that fits; allowed: 1 to 100 operations"),
        (r#"{"operations":[]}"#.into(), "operations: is no list that fits; allowed: 1 to 100 operations"),
        (
            format!(r#"{{"operations":[{}]}}"#, vec![r#"{"tag":"a"}"#; 101].join(",")),
            "operations: is no list that fits; allowed: 1 to 100 operations",
        ),
        (of("7"), "operations[1]: is no object; allowed: one of \"url\", "),
        (of("{}"), "operations[1]: names nothing; allowed: one of \"url\", "),
        (of(r#"{"mode":"soft"}"#), "operations[1]: names nothing; allowed: one of \"url\", "),
        (of(r#"{"tag":"a","host":"b"}"#), "operations[1]: names more than one thing; allowed: one of "),
        (of(r#"{"tags":"a"}"#), "operations[1].tags: is not a key here; allowed: one of "),
        (of(r#"{"tag":"a","mode":"sft"}"#), "operations[1].mode: is not known; allowed: \"hard\", \"soft\""),
        (of(r#"{"tag":7}"#), "operations[1].tag: is no text that fits; allowed: 1 to 8192 bytes"),
        (
            of(r#"{"tag":"a,b"}"#),
            "operations[1].tag: `a,b` is more than one tag; allowed: one, without commas",
        ),
        (of(r#"{"everything":false}"#), "operations[1].everything: `everything` is a switch; allowed: true"),
        (of(r#"{"url":"/x"}"#), "operations[1].url: `/x` is not an absolute URL; allowed: "),
        (of(r#"{"url":"https://a/x#y"}"#), "operations[1].url: `https://a/x#y` has a fragment; allowed: "),
        (
            of(r#"{"url":"https://a/x/*"}"#),
            "operations[1].url: `https://a/x/*` ends in `*`, which stands for nothing",
        ),
        (of(r#"{"prefix":"https://a/x?y"}"#), "operations[1].prefix: `https://a/x?y` has a query; allowed: "),
        (
            of(r#"{"prefix":"https://a/%4"}"#),
            "operations[1].prefix: `https://a/%4` has a broken escape; allowed: ",
        ),
        (of(r#"{"route":"al"}"#), "operations[1].route: `al` is not a route; allowed: all"),
        (of(r#"{"host":"*.a"}"#), "operations[1].host: `*.a` is no host; allowed: "),
        (of(r#"{"host":"a:80"}"#), "operations[1].host: `a:80` is no host; allowed: "),
        (of(r#"{"host":"https://a"}"#), "operations[1].host: `https://a` is no host; allowed: "),
    ] {
        let wrong = Batch::read(&text, &plain()).unwrap_err();
        assert!(wrong.starts_with(expected), "{text}: {wrong}");
    }
}

#[test]
fn a_url_is_hit_in_every_form_in_which_keys_have_it() {
    let dropped = serde_json::from_value(serde_json::json!({ "drop": ["u"] })).unwrap();
    let shared = KeyRules { host: false, scheme: false, ..KeyRules::default() };
    let routes = table(&[("all", "/**", KeyRules::default()), ("b", "/b/*", dropped), ("c", "/c/*", shared)]);
    let forms =
        |url: &str| Operation { kind: Kind::Url, text: url.into(), mode: Mode::Hard }.stamps(&routes).len();
    assert_eq!(forms("https://a/x"), 2, "with its host and without");
    assert_eq!(forms("https://a/x?u=1"), 3, "with its query and without, too");
}

#[test]
fn what_the_audit_trail_keeps_of_a_batch_is_bounded() {
    let long = format!(r#"{{"url":"https://a/{}"}}"#, "x".repeat(500));
    let text = format!(r#"{{"operations":[{}]}}"#, vec![&*long; 100].join(","));
    let entry = Batch::read(&text, &plain()).unwrap().purge(&plain(), "1").entry;
    assert!(entry.len() < ENTRY_BYTES_MAX + 40 && entry.contains("\"left_out\":9"), "{}", entry.len());
}
