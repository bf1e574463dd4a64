//! Whatever a config says, the Worker reads of the packed form what `tidegate build` compiled.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate::config::{Compiled, Config, stamp};

use crate::reference::{PROBE, Path, accepted_paths, config_of, shown};

/// Values that many keys take.
const USUAL: &str = r#"[true, false, 0, 1, 2, 17, 0.25, "x", "*", "GET", "3", "5m", "64KiB", "/a", "/a/*", "a.example",
    "https://b.example/v1", "default", "zzz", "7/1m", ["x"], ["zzz"], [500, 503], ["https://c.example"]]"#;

/// Something of everything that a key can stand under.
fn least() -> Value {
    json!({
        "origins": { "default": { "url": "http://a" }, PROBE: { "endpoints": [{ "url": "http://a" }] } },
        "routes": [{ "name": "a", "static_fallback": { "body": "10:\u{e4}" } }],
        "limits": { "policies": { PROBE: { "quota": "1/1m" } } },
        "identity": { "jwt": { "algorithm": "HS256", "secret_binding": "S" } },
    })
}

/// Of each key the values that the reference names, as far as they are written as a config has them.
fn documented_values() -> BTreeMap<String, Vec<Value>> {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let mut values: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let mut code = line.split('`').skip(1).step_by(2);
        let Some(key) = code.next() else { continue };
        let table = code.filter_map(|value| format!("x = {value}").parse::<toml::Table>().ok());
        let of_key = values.entry(key.to_owned()).or_default();
        of_key.extend(table.map(|mut table| serde_json::to_value(table.remove("x")).unwrap()));
    }
    values
}

fn merge(into: &mut Value, other: Value) {
    match (into, other) {
        (Value::Object(into), Value::Object(other)) => {
            other.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (Value::Array(into), Value::Array(other)) if into.first().is_some_and(Value::is_object) => {
            into.iter_mut().zip(other).for_each(|(into, other)| merge(into, other));
        }
        (into, other) => *into = other,
    }
}

/// The keys that have a value, and the values that may be theirs.
fn choices() -> Vec<(Path, Vec<Value>)> {
    let (paths, documented) = (accepted_paths(), documented_values());
    let usual: Vec<Value> = serde_json::from_str(USUAL).unwrap();
    let choice = |path: Path| {
        let key = shown(&path);
        let last = key.rsplit('.').next().unwrap();
        let own = documented.iter().filter(|(known, _)| known.ends_with(last)).flat_map(|(_, values)| values);
        let values: Vec<Value> =
            own.chain(&usual).filter(|value| with(&least(), &path, value).is_some()).cloned().collect();
        (path, values)
    };
    paths.into_iter().map(choice).filter(|(_, values)| !values.is_empty()).collect()
}

/// A config that says this as well, where it may.
fn with(config: &Value, path: &Path, value: &Value) -> Option<Value> {
    let mut more = config.clone();
    merge(&mut more, config_of(path, value.clone()));
    Config::from_json(&more).is_ok().then_some(more)
}

fn assert_reads_back(config: &Value) {
    let compiled = Config::from_json(config).unwrap().compile();
    let packed = compiled.pack().unwrap();
    assert_eq!(Compiled::deployed(&packed, &stamp(&packed)).as_ref(), Ok(&compiled), "{config:#}");
}

#[test]
fn every_key_of_every_config_reaches_the_worker() {
    let choices = choices();
    assert!(choices.len() > 120, "values were found for {} keys only", choices.len());
    let rounds = if std::env::var_os("TIDEGATE_LONG").is_some() { 200 } else { 6 };
    for seed in 0..rounds {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut order: Vec<&(Path, Vec<Value>)> = choices.iter().filter(|_| rng.u8(..) > 60).collect();
        rng.shuffle(&mut order);
        let config = order.into_iter().fold(least(), |config, (path, values)| {
            with(&config, path, &values[rng.usize(..values.len())]).unwrap_or(config)
        });
        assert_reads_back(&config);
    }
}

#[test]
fn the_examples_reach_the_worker() {
    for text in [
        include_str!("../../tidegate.toml"),
        include_str!("../../src/bin/init.toml"),
        include_str!("../../src/bin/saas.toml"),
        include_str!("../../examples/minimal/tidegate.toml"),
        include_str!("../../examples/plain-cache/tidegate.toml"),
    ] {
        let table: Map<String, Value> = toml::from_str(text).unwrap();
        assert_reads_back(&Value::Object(table));
    }
}
