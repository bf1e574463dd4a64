//! The ES module that the Worker imports: the config, and the table by which the entry sends requests straight to
//! their origins when the wasm cannot run.

use serde_json::{Value, json};
use tidegate::config::stamp;
use tidegate::origin::{PoolConfig, dropped};
use tidegate::route::Route;
use tidegate::route::matcher::HostPattern;

use crate::file::ConfigFile;

/// The text of the module.
///
/// # Errors
/// Where the config can't be packed.
pub fn module(file: &ConfigFile) -> Result<String, String> {
    let compiled = file.config.compile();
    let first = |route: &Route| {
        let pool = route.pools.first().and_then(|at| compiled.pools.get(*at))?;
        let primary = pool.split.and_then(|split| pool.endpoint(split.primary));
        let first = || pool.endpoints.iter().min_by_key(|endpoint| endpoint.priority);
        Some((primary.or_else(first)?.url.to_string(), &pool.config))
    };
    let passthrough: Vec<Value> = compiled
        .table
        .iter()
        .filter_map(|route| first(route).map(|(url, pool)| candidate(route, url, pool)))
        .collect();
    let server = &file.config.server;
    let packed = compiled.pack().map_err(|_| "the config has a part that can't be packed: a bug\n")?;
    let module = json!({
        "checked": stamp(&packed),
        "packed": packed,
        "config": serde_json::to_string(&file.config).unwrap_or_default(),
        "passthrough": passthrough,
        "dropped": dropped(),
        "prefix": server.prefix,
        "id": server.id,
        "onTrap": server.on_trap,
    });
    Ok(format!("// Made by `tidegate build`; do not edit.\nexport default {module:#};\n"))
}

/// A route as the entry tries it, in the order of precedence, on the URL's path as it came: `host` and `path` are
/// regular expressions, `headers` has a value or `true` (it only has to be there).
fn candidate(route: &Route, url: String, pool: &PoolConfig) -> Value {
    let rule = &route.matches;
    let mut methods: Vec<&str> = rule.methods.iter().map(|method| method.as_str()).collect();
    if methods.contains(&"GET") && !methods.contains(&"HEAD") {
        methods.push("HEAD");
    }
    let headers: serde_json::Map<String, Value> = rule
        .headers
        .iter()
        .map(|(name, value)| (name.to_owned(), value.map_or(true.into(), Value::from)))
        .collect();
    json!({
        "name": &*route.name,
        "host": rule.host.as_ref().map(host_regex),
        "path": rule.path.as_ref().map_or("^/".to_owned(), |pattern| path_regex(pattern.glob())),
        "methods": (!methods.is_empty()).then_some(methods),
        "headers": headers,
        "url": url,
        "strip": route.strip_prefix,
        "add": route.add_prefix,
        "rewrite": pool.path.as_ref().map(|path| path.parts()),
        "fields": pool.headers,
        "secret": pool.secret.as_ref().map(|secret| [&secret.field, &secret.scheme, &secret.name]),
    })
}

fn host_regex(host: &HostPattern) -> String {
    match host.as_str().strip_prefix('*') {
        Some(suffix) => format!("^.+{}\\.?$", literal(suffix)),
        None => format!("^{}\\.?$", literal(host.as_str())),
    }
}

/// A glob as a regular expression; see `PathPattern` for what it means.
fn path_regex(glob: &str) -> String {
    let (body, end) = match glob.strip_suffix("/**") {
        Some(parent) => (parent, "(?:/.*)?$"),
        None => (glob.trim_end_matches('/'), "/?$"),
    };
    let mut regex = String::from("^");
    let mut braces = 0_usize;
    for (at, segment) in body.split('/').enumerate() {
        match segment {
            "**" => regex.push_str("(?:/[^/]+)*"),
            _ => {
                regex.push_str(if at > 0 { "/" } else { "" });
                for c in segment.chars() {
                    match c {
                        '*' => regex.push_str("[^/]*"),
                        '{' => regex.push_str("(?:"),
                        '}' => regex.push(')'),
                        ',' if braces > 0 => regex.push('|'),
                        _ => regex.push_str(&literal(c.encode_utf8(&mut [0; 4]))),
                    }
                    braces = match c {
                        '{' => braces + 1,
                        '}' => braces.saturating_sub(1),
                        _ => braces,
                    };
                }
            }
        }
    }
    regex + end
}

/// The text as it stands in a URL, for a regular expression.
fn literal(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if r"\$.|?*+()[]{}".contains(c) {
            escaped.extend(['\\', c]);
        } else if c.is_ascii_graphic() && !"\"<>`^".contains(c) {
            escaped.push(c);
        } else {
            escaped.extend(c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    escaped
}
