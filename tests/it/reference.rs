//! docs/configuration.md lists every key that a config may have, and no other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidegate::config::{Config, Problem};

/// A key that no table has, and a name that every map takes.
pub const PROBE: &str = "zzz";

/// Every key there is, as `table.key`; `NAME` stands for a name that people give, and a list's items have its path.
fn accepted_keys() -> BTreeSet<String> {
    accepted_paths().iter().map(shown).collect()
}

/// Every key there is.
pub fn accepted_paths() -> BTreeSet<Path> {
    let mut paths = BTreeSet::new();
    walk(&mut Vec::new(), &mut paths);
    paths
}

/// What comes before a value in a config: keys, and `[]` for "an item of the list".
pub type Path = Vec<String>;

/// A config that says only this.
pub fn config_of(path: &Path, value: Value) -> Value {
    path.iter().rev().fold(value, |value, step| match step.as_str() {
        "[]" => json!([value]),
        key => json!({ key: value }),
    })
}

fn problem_at(path: &Path, value: Value) -> Option<Problem> {
    let whole = config_of(path, value);
    let steps: Vec<&str> = path.iter().map(|step| if step == "[]" { "[0]" } else { step }).collect();
    let place = steps.join(".").replace(".[", "[");
    let below = if place.is_empty() { PROBE.to_owned() } else { format!("{place}.{PROBE}") };
    let problems = Config::from_json(&whole).err().unwrap_or_default();
    problems.into_iter().find(|problem| problem.path.to_string() == below)
}

fn walk(path: &mut Path, keys: &mut BTreeSet<Path>) {
    let Some(problem) = problem_at(path, json!({ PROBE: 1 })) else {
        if path.last().is_some_and(|step| step != "[]") {
            path.push("[]".into());
            walk(path, keys);
            path.pop();
        }
        return;
    };
    match problem.message.strip_prefix("is not a key here; allowed: ") {
        Some(allowed) => {
            for key in allowed.split(", ") {
                path.push(key.to_owned());
                keys.insert(path.clone());
                walk(path, keys);
                path.pop();
            }
        }
        None => {
            path.push(PROBE.to_owned());
            walk(path, keys);
            path.pop();
        }
    }
}

pub fn shown(path: &Path) -> String {
    let steps =
        path.iter().filter(|step| *step != "[]").map(|step| if step == PROBE { "NAME" } else { step });
    steps.collect::<Vec<_>>().join(".")
}

/// The keys that the reference lists with what it says of their defaults: rows `| `key` | default | ...` below a
/// heading such as `## `[table]``.
fn documented_keys() -> BTreeMap<String, String> {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let mut keys = BTreeMap::new();
    let mut table = String::new();
    for line in text.lines() {
        if line.starts_with('#') {
            table = line.split('`').nth(1).unwrap_or_default().trim_matches(['[', ']']).to_owned();
        } else if let Some((key, rest)) = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')) {
            let whole = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            let default = rest.split('|').nth(1).unwrap_or_default().trim().to_owned();
            assert!(keys.insert(whole, default).is_none(), "{table}: `{key}` is listed twice");
        }
    }
    keys
}

/// The keys below a table, without the table's name.
fn below(keys: &BTreeSet<String>, table: &str) -> BTreeSet<String> {
    keys.iter().filter_map(|key| key.strip_prefix(table)).map(str::to_owned).collect()
}

#[test]
fn the_reference_lists_every_key_and_no_other() {
    let mut accepted = accepted_keys();
    assert!(accepted.len() > 80, "the walk found only {accepted:?}");
    // Written once, because they are the same.
    assert_eq!(below(&accepted, "routes.cache."), below(&accepted, "cache.default."));
    let classes = ["images", "scripts", "fonts", "media", "documents", "data"];
    for class in classes {
        assert_eq!(below(&accepted, &format!("assets.{class}.")), below(&accepted, "assets.images."));
    }
    accepted.extend(below(&accepted, "assets.images.").iter().map(|key| format!("assets.CLASS.{key}")));
    let is_repeated = |key: &String| {
        key.starts_with("routes.cache.")
            || classes.iter().any(|class| key.starts_with(&format!("assets.{class}.")))
    };
    accepted.retain(|key| !is_repeated(key));

    let documented: BTreeSet<String> = documented_keys().into_keys().collect();
    let missing: Vec<_> = accepted.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&accepted).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:#?}\nnot a key: {invented:#?}");
}

/// The value of a key in a config that says as little as it can.
fn default_of(least: &Value, key: &str) -> Option<Value> {
    key.split('.').try_fold(least.clone(), |value, step| match value {
        Value::Array(mut list) => list.pop()?.get(step).cloned(),
        value => value.get(step).cloned(),
    })
}

#[test]
fn the_defaults_in_the_reference_are_the_defaults() {
    let least = json!({
        "origins": { "NAME": { "endpoints": [{ "url": "http://a" }], "health": {} }, "default": { "url": "http://a" } },
        "routes": [{ "name": "a", "static_fallback": { "body": "" } }],
        "limits": { "policies": { "NAME": { "quota": "1/1m" } } },
        "identity": { "jwt": { "algorithm": "HS256", "secret_binding": "S" } },
    });
    let least = serde_json::to_value(Config::from_json(&least).unwrap()).unwrap();
    let mut checked = 0;
    for (key, default) in documented_keys() {
        let Some(written) = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
            continue;
        };
        let Some(value) = default_of(&least, &key) else { continue };
        let Ok(toml::Value::Table(table)) = format!("x = {written}").parse().map(toml::Value::Table) else {
            continue;
        };
        assert_eq!(serde_json::to_value(&table["x"]).unwrap(), value, "{key}");
        checked += 1;
    }
    assert!(checked > 60, "only {checked} defaults were compared");
}
