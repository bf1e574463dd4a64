//! The native command, as a person meets it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tidegate::config::{Compiled, Config};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

struct Said {
    ok: bool,
    out: String,
    err: String,
}

fn tidegate(args: &[&str]) -> Said {
    let done = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { ok: done.status.success(), out: text(done.stdout), err: text(done.stderr) }
}

/// A file of this test run with this text.
fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
    fs::write(&path, text).unwrap();
    path
}

/// What `check` says of a text, with `FILE` for the file's name.
fn check(name: &str, text: &str) -> Said {
    let path = file(name, text);
    let path = path.to_str().unwrap();
    let said = tidegate(&["check", path]);
    Said { out: said.out.replace(path, "FILE"), err: said.err.replace(path, "FILE"), ..said }
}

fn explain(config: &Path, args: &[&str]) -> String {
    let mut all = vec!["explain", "--config", config.to_str().unwrap()];
    all.extend(args);
    let said = tidegate(&all);
    assert!(said.ok, "{}", said.err);
    said.out
}

const GOOD: &str = "[origins.default]\nurl = \"http://127.0.0.1:9001\"\n";

#[test]
fn the_least_file_works() {
    let said = check("least", GOOD);
    assert_eq!(
        (said.ok, said.out.as_str()),
        (true, "FILE: ok, 1 origin, 1 route, 1 limit policy\n"),
        "{}",
        said.err
    );
    let config = file("least-explained", GOOD);
    assert!(explain(&config, &["GET", "/api/x"]).contains("anonymous 20/1m, free 100/1m, pro 1000/1m"));
    assert!(explain(&config, &["GET", "/x"]).contains("counted, not limited"));
}

#[test]
fn every_problem_is_found_at_once_with_its_line() {
    let text = r#"colour = "red"
[server]
prefix = "tidegate"
on_trap = "pas"
id = "a b"
[origins.default]
urll = "http://127.0.0.1:9001"
[origins.b]
url = "ftp://x"
attempt_timeout = "soon"
[origins.c]
endpoints = [
  { url = "http://a", weight = 0 },
  { url = "nope" },
  { url = "http://b", wait = 1 },
]
fallback = ["c", "defualt"]
[[routes]]
name = "one"
match = { path = "api", methods = ["get", "POST"] }
[[routes]]
match = { path = "/x/*", metods = ["GET"] }
[[routes]]
name = "three"
match = { path = "/x/*" }
limits = ["teir", 5, "logn"]
strip_prefix = "/y"
cache = { ttl = "shrt", layers = ["memry"] }
[[routes]]
name = "three"
match = { path = "/x/**" }
cache = "never"
static_fallback = { status = 99, body = "" }
[limits.policies.login]
quota = "5 per minute"
[limits.policies.gold]
tiers = { gold = "5/1m" }
[cache]
kv_budget = 75
memory_bytes_max = "1GiB"
[assets.images]
cache_control = "max-age: 5"
extensions = [".png"]
"#;
    let expected = [
        "1: colour: is not a key here; allowed: server, origins, ",
        "3: server.prefix: `tidegate` is not a path prefix; allowed: ",
        "4: server.on_trap: `pas` is not known, perhaps `pass`; allowed: \"pass\", \"refuse\"",
        "5: server.id: `a b` is not a word; allowed: ",
        "7: origins.default.urll: is not a key here, perhaps `url`; allowed: url, endpoints, ",
        "9: origins.b.url: `ftp://x` is not the URL of an origin; allowed: ",
        "10: origins.b.attempt_timeout: `soon` is not a duration; allowed: ",
        "13: origins.c.endpoints[0].weight: 0 is no weight; allowed: 1 to 1000",
        "14: origins.c.endpoints[1].url: `nope` is not the URL of an origin; allowed: ",
        "15: origins.c.endpoints[2].wait: is not a key here; allowed: name, url, priority, weight, colos, regions",
        "17: origins.c.fallback[0]: `c` is this pool itself, perhaps `b`; allowed: b, default",
        "17: origins.c.fallback[1]: `defualt` is not a pool, perhaps `default`; allowed: b, default",
        "20: routes[0].match.methods[0]: `get` is not a method; allowed: ",
        "20: routes[0].match.path: `api` does not begin with `/`; allowed: ",
        "21: routes[1]: lacks `name`; allowed: a table with a `name`",
        "22: routes[1].match.metods: is not a key here, perhaps `methods`; allowed: host, path, methods, headers",
        "26: routes[2].limits[0]: `teir` is not a policy, perhaps `tier`; allowed: gold, login, tier",
        "26: routes[2].limits[1]: is the number `5`; allowed: a text in quotes",
        "26: routes[2].limits[2]: `logn` is not a policy, perhaps `login`; allowed: gold, login, tier",
        "27: routes[2].strip_prefix: the route also takes paths without `/y` in front; allowed: ",
        "28: routes[2].cache.layers[0]: `memry` is not known, perhaps `memory`; allowed: \"memory\", \"colo\", \"kv\"",
        "28: routes[2].cache.ttl: `shrt` is not a duration; allowed: ",
        "30: routes[3].name: `three` is there twice; allowed: a name of its own for each route",
        "31: routes[3].match: routes[2] takes every request that this one matches; allowed: another `match`",
        "32: routes[3].cache: `never` is not a duration; allowed: ",
        "33: routes[3].static_fallback.status: 99 does not fit; allowed: 200 to 599 without 204, 205, 304",
        "35: limits.policies.login.quota: `5 per minute` is not a quota; allowed: ",
        "37: limits.policies.gold.tiers: `gold` is not a tier; allowed: anonymous, free, pro, enterprise",
        "39: cache.kv_budget: is the number `75`; allowed: ",
        "40: cache.memory_bytes_max: 1GiB does not fit; allowed: ",
        "42: assets.images.cache_control: `max-age: 5` is not a Cache-Control; allowed: ",
        "43: assets.images.extensions[0]: `.png` is not an extension; allowed: ",
    ];
    let said = check("everything", text);
    assert!(!said.ok && said.out.is_empty());
    let lines: Vec<&str> = said.err.lines().collect();
    for (line, expected) in lines.iter().zip(expected) {
        let starts = expected.ends_with(' ') && line.starts_with(&format!("FILE:{expected}"));
        assert!(starts || *line == format!("FILE:{expected}"), "{line}\nexpected: {expected}");
    }
    assert_eq!(lines.len(), expected.len(), "{}", said.err);
}

#[test]
fn each_rule_between_the_parts_is_checked() {
    for (name, text, expected) in [
        ("empty", "", "1: no origin is given; allowed: [origins.default] with its `url`"),
        (
            "no-rest",
            "[origins.a]\nurl = \"http://a\"\n[[routes]]\nname = \"x\"\norigin = \"a\"\nmatch = { path = \"/x\" }\n",
            "1: origins: there is no pool for what no route matches; allowed: [origins.default], or a route without \
             `match`",
        ),
        (
            "pool",
            &format!("{GOOD}[[routes]]\nname = \"x\"\norigin = \"defalt\"\n"),
            "5: routes[0].origin: `defalt` is not a pool, perhaps `default`; allowed: default",
        ),
        (
            "pool-name",
            &format!("{GOOD}[origins.\"a/b\"]\nurl = \"http://b\"\n"),
            "3: origins.\"a/b\": `a/b` is not a name; allowed: 1 to 64 letters, digits, \"-\", \"_\", \".\"",
        ),
        (
            "own",
            &format!("{GOOD}[[routes]]\nname = \"x\"\nmatch = {{ path = \"/_tidegate/x\" }}\n"),
            "5: routes[0].match.path: everything below `/_tidegate` is tidegate's own; allowed: another path, or \
             another server.prefix",
        ),
        (
            "twice",
            &format!("{GOOD}[[routes]]\nname = \"x\"\nlimits = [\"tier\", \"tier\"]\n"),
            "5: routes[0].limits[1]: `tier` is there twice; allowed: each policy once",
        ),
        (
            "slice",
            &format!("{GOOD}[cache.default]\nslice = \"1MiB\"\nlayers = [\"memory\"]\n"),
            "4: cache.default.slice: no layer takes a slice; allowed: with `colo` or `kv` among `layers`, up to \
             `object_bytes_max`",
        ),
        (
            "refresh",
            &format!("{GOOD}[fleet]\nrefresh = \"500ms\"\n"),
            "4: fleet.refresh: 500ms does not fit; allowed: \"1s\" to \"1h\"",
        ),
        (
            "warm",
            &format!("{GOOD}[fleet]\nhot = true\nwarm_every = \"10s\"\n"),
            "5: fleet.warm_every: 10s does not fit; allowed: \"1m\" to \"1d\", or \"0s\": never",
        ),
        (
            "rate",
            &format!("{GOOD}[fleet]\nwarm_per_second = 0\n"),
            "4: fleet.warm_per_second: 0 does not fit; allowed: 1 to 50",
        ),
        (
            "hot",
            &format!("{GOOD}[fleet]\nwarm_after_purge = true\n"),
            "4: fleet.warm_after_purge: has nothing to warm; allowed: with `fleet.hot = true`",
        ),
        (
            "times",
            &format!("{GOOD}attempt_timeout = \"60s\"\n"),
            "3: origins.default.attempt_timeout: 1m is more than total_timeout; allowed: up to 30s",
        ),
        (
            "both",
            &format!("{GOOD}endpoints = [{{ url = \"http://b\" }}]\n"),
            "1: origins.default: `url` and `endpoints` are both given; allowed: one of the two",
        ),
        (
            "tiers",
            &format!("{GOOD}[identity]\ntiers = [\"anonymous\", \"gold\"]\ndefault_tier = \"gold\"\n"),
            "4: identity.tiers: the policy `tier` that is used says nothing about `gold`; allowed: with a \
             [limits.policies.tier] that does",
        ),
        (
            "bytes",
            &format!("{GOOD}[limits.policies.b]\nquota = \"10KiB/1m\"\n"),
            "4: limits.policies.b.quota: `10KiB/1m` is of bytes, but no unit is a byte; allowed: with cost = \
             \"request-bytes\" or \"header:NAME\", else a quota such as \"100/1m\"",
        ),
        (
            "kib",
            &format!(
                "{GOOD}[limits.policies.b]\ncost = \"request-bytes/1KiB\"\ntiers = {{ pro = \"1MiB/1m\", free = \"5/1m\" }}\n"
            ),
            "5: limits.policies.b.tiers.pro: `1MiB/1m` is of bytes, but no unit is a byte; allowed: with cost = \
             \"request-bytes\" or \"header:NAME\", else a quota such as \"100/1m\"",
        ),
        (
            "strikes",
            &format!(
                "{GOOD}[limits.policies.s]\nquota = \"5/1m\"\nstrikes = [\"refused\"]\n[[routes]]\nname = \"x\"\nlimits = [\"s\"]\n"
            ),
            "5: limits.policies.s.strikes: there is nothing to be refused by; allowed: with another policy in the \
             `limits` of a route",
        ),
        (
            "object",
            &format!("{GOOD}[cache.default]\nmemory_object_bytes_max = \"25MiB\"\n"),
            "4: cache.default.memory_object_bytes_max: 25MiB does not fit; allowed: up to cache.memory_bytes_max, \
             24MiB",
        ),
        (
            "classes",
            &format!("{GOOD}[cache.classes]\nshort = \"6m\"\n"),
            "3: cache.classes: do not grow; allowed: short <= medium <= long <= very_long",
        ),
        (
            "extensions",
            &format!(
                "{GOOD}[assets]\nimages.extensions = [\"png\"]\nmedia.extensions = [\"mp4\", \"PNG\"]\n"
            ),
            "5: assets.media.extensions[1]: `PNG` is listed twice; allowed: in one class",
        ),
        (
            "batch-path",
            &format!(
                "{GOOD}[[routes]]\nname = \"x\"\nmatch = {{ path = \"/r/*\" }}\nbatch = {{ ask = \"/other/{{id}} -> /o?ids={{ids}}\" }}\n"
            ),
            "6: routes[0].batch.ask: no path of the route's is `/other/...`; allowed: a path that match.path takes",
        ),
        (
            "batch-post",
            &format!(
                "{GOOD}[[routes]]\nname = \"x\"\nmatch = {{ methods = [\"POST\"] }}\nbatch = {{ ask = \"/r/{{id}} -> /o?ids={{ids}}\" }}\n"
            ),
            "6: routes[0].batch: only GETs are sent as one; allowed: with GET among match.methods",
        ),
        (
            "behind-get",
            &format!(
                "{GOOD}[[routes]]\nname = \"x\"\nmatch = {{ methods = [\"GET\", \"HEAD\"] }}\nwrite_behind = {{}}\n"
            ),
            "6: routes[0].write_behind: the route takes no changes; allowed: with POST, PUT, PATCH, DELETE or another \
             of their kind among match.methods",
        ),
        ("kind", "origins = \"http://a\"\n", "1: origins: is the text \"http://a\"; allowed: a table"),
        (
            "quoted",
            "[origins.\"a b\"]\nurl = 1\n[origins.default]\nurl = \"http://a\"\n",
            "2: origins.\"a b\".url: is the number `1`; allowed: a text in quotes",
        ),
    ] {
        let said = check(name, text);
        assert!(!said.ok);
        assert_eq!(said.err, format!("FILE:{expected}\n"), "{name}");
    }
}

#[test]
fn what_a_route_can_match_is_left_to_it() {
    for (name, path, ask) in [
        ("batch-star", "/*/users/*", "/v1/users/{id}"),
        ("batch-either", "/{v1,v2}/*", "/v1/{id}"),
        ("batch-lone", "/users/7", "/users/{id}"),
        ("batch-front", "/users/*", "/users/{id}"),
        ("batch-coded", "/é/*", "/%C3%A9/{id}"),
    ] {
        let route = format!(
            "[[routes]]\nname = \"x\"\nmatch = {{ path = \"{path}\", methods = [\"GET\", \"POST\"] }}\n"
        );
        let keys = format!("batch = {{ ask = \"{ask} -> /o?ids={{ids}}\" }}\nwrite_behind = {{}}\n");
        let said = check(name, &format!("{GOOD}{route}{keys}"));
        assert!(said.ok, "{}", said.err);
    }
}

#[test]
fn what_only_looks_like_a_mistake_in_limits_is_none() {
    for (name, text) in [
        ("bytes-of-content", "[limits.policies.b]\nquota = \"10KiB/1m\"\ncost = \"request-bytes\"\n"),
        ("bytes-by-header", "[limits.policies.b]\nquota = \"10KiB/1m\"\ncost = \"header:x-bytes\"\n"),
        (
            "strikes-of-elsewhere",
            "[limits.policies.s]\nquota = \"5/1m\"\nstrikes = [\"refused\"]\n[[routes]]\nname = \"x\"\n\
             match = { path = \"/x\" }\nlimits = [\"s\"]\n[[routes]]\nname = \"y\"\nlimits = [\"tier\", \"s\"]\n",
        ),
        ("strikes-unused", "[limits.policies.s]\nquota = \"5/1m\"\nstrikes = [\"refused\"]\n"),
    ] {
        let said = check(name, &[GOOD, text].concat());
        assert!(said.ok, "{name}: {}", said.err);
    }
}

#[test]
fn what_is_not_toml_is_said_in_the_same_form() {
    let said = check("syntax", "[origins.default]\nurl = http://a\n\n[server\nprefix = \"/x\"\n");
    let lines: Vec<&str> = said.err.lines().collect();
    assert!(
        lines[0].starts_with("FILE:2: not TOML: ") && lines[1].starts_with("FILE:4: not TOML: "),
        "{}",
        said.err
    );
    assert!(!said.ok && lines.iter().all(|line| line.contains("; allowed: ")), "{}", said.err);
    assert!(check("twice-the-key", "a = 1\na = 2\n").err.starts_with("FILE:2: not TOML: "));
    assert!(!tidegate(&["check", "/nowhere/tidegate.toml"]).ok);
}

#[test]
fn the_files_that_come_with_tidegate_are_good() {
    let begun = tidegate(&["init"]);
    assert!(begun.ok);
    let said = check("init", &begun.out);
    assert_eq!(
        (said.ok, said.out.as_str()),
        (true, "FILE: ok, 1 origin, 2 routes, 6 limit policies\n"),
        "{}",
        said.err
    );
    // What is commented out is good as well.
    let uncommented: Vec<String> = begun.out.lines().map(uncomment).collect();
    let said =
        check("init-uncommented", &uncommented.join("\n").replace("url = \"https://app.example.com\"\n", ""));
    assert!(said.ok, "{}", said.err);
    let saas = tidegate(&["init", "--example", "saas"]);
    let said = check("saas", &saas.out);
    assert_eq!(said.out, "FILE: ok, 1 origin, 5 routes, 8 limit policies\n", "{}", said.err);
    let mut files = vec![Path::new(ROOT).join("tidegate.toml")];
    let examples = fs::read_dir(Path::new(ROOT).join("examples")).unwrap();
    files.extend(examples.map(|folder| folder.unwrap().path().join("tidegate.toml")));
    for path in files {
        let said = tidegate(&["check", path.to_str().unwrap()]);
        assert!(said.ok, "{}", said.err);
    }
}

/// Takes the comment sign off a line that is TOML behind it.
fn uncomment(line: &str) -> String {
    let behind = line.strip_prefix("# ").unwrap_or(line);
    let is_toml = behind.starts_with(['[', ']', ' ']) || behind.split(' ').nth(1) == Some("=");
    if is_toml { behind.to_owned() } else { line.to_owned() }
}

#[test]
fn explain_names_all_that_a_route_does() {
    let text = r#"
[origins.default]
split = { primary = "http://p:1", replicas = ["http://r:2"] }
[limits.queues.narrow]
max_concurrent = 3
[[routes]]
name = "all"
match = { path = "/all/*" }
write_behind = { priority = 7 }
require_precondition = true
queue = "narrow"
websocket = { connections = { free = 3 }, messages = { free = "10/1s" } }
[[routes]]
name = "batch"
match = { path = "/batch/*" }
batch = { ask = "/batch/{id} -> /batch?ids={ids}" }
"#;
    let config = file("features", text);
    let said = explain(&config, &["PUT", "/all/1"]);
    for line in [
        "split      to the primary, and this client's reads after it, for ",
        "behind     answered 202 and delivered later, in up to 20 attempts, with priority 7",
        "precond.   answered 428 without If-Match",
        "queue      narrow: 3 at once",
        "sockets    free 3 open, free 10/1s messages",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let said = explain(&config, &["GET", "/all/1"]);
    assert!(said.contains("split      to a replica, or to the primary after"), "{said}");
    assert!(!said.contains("behind") && !said.contains("precond."), "{said}");
    let said = explain(&config, &["GET", "/batch/1"]);
    assert!(said.contains("batch      /batch/{id} -> /batch?ids={ids}: up to "), "{said}");
    assert!(said.contains(", this one too"), "{said}");
}

#[test]
fn explain_and_the_gate_refuse_a_dot_segment() {
    let config = file("dots", GOOD);
    let said = explain(&config, &["GET", "/public/../api/x"]);
    assert!(said.contains("route      api (") && said.contains("limits     tier: "), "{said}");
    assert!(said.contains("origin     none, answered 400: the path has a dot segment"), "{said}");
    assert!(!said.contains("cache"), "{said}");
}

#[test]
fn a_fallback_that_www_does_not_have_is_an_error() {
    let folder = std::env::temp_dir().join(format!("tidegate-www-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("www")).unwrap();
    std::fs::write(folder.join("www/offline.html"), "").unwrap();
    let elsewhere = file("www-elsewhere", "");
    let check = |name: &str, is_beside: bool| {
        let fallback = format!("[[routes]]\nname = \"a\"\nstatic_fallback = {{ file = \"{name}\" }}\n");
        let config = if is_beside { folder.clone() } else { elsewhere.parent().unwrap().to_owned() };
        let config = config.join(format!("www-{name}.toml"));
        fs::write(&config, format!("{GOOD}{fallback}")).unwrap();
        let here = if is_beside { Path::new("/") } else { &folder };
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .current_dir(here)
            .args(["check", config.to_str().unwrap()])
            .output()
            .unwrap();
        (program.status.success(), String::from_utf8(program.stderr).unwrap())
    };
    for is_beside in [false, true] {
        assert!(check("offline.html", is_beside).0);
        let (is_good, said) = check("nope.html", is_beside);
        let line =
            "5: routes[0].static_fallback.file: www/ has no `nope.html`; allowed: a file that is there";
        assert!(!is_good && said.contains(line), "{said}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn explain_says_which_route_and_why_and_what_would_happen() {
    let text = r#"
[origins.default]
endpoints = [{ url = "http://a:1/base", priority = 0 }, { url = "http://b:2", priority = 1 }]
[origins.ai]
url = "http://ai:3"
fallback = ["default"]
[cache.default]
layers = ["memory"]
key = { drop = ["utm_*"] }
[[routes]]
name = "api"
match = { path = "/api/*" }
limits = ["tier"]
[[routes]]
name = "v1"
match = { path = "/api/v1/*", headers = { x-beta = "*" } }
origin = "ai"
strip_prefix = "/api"
add_prefix = "/beta"
cache = "medium"
limits = ["ai"]
static_fallback = { body = "later" }
[limits.policies.ai]
quota = "30/1m"
tiers = { enterprise = "unlimited" }
partition = ["user", "route"]
[assets.images]
cdn_base = "https://cdn.example"
"#;
    let config = file("explained", text);
    let said = explain(&config, &["GET", "https://www.example/api/v1/x?utm_a=1", "-H", "X-Beta: 1"]);
    for line in [
        "route      v1 (any host, path with 8 literal bytes in front, any method, 1 header)",
        "  not      api: matches too, but is less special or later in the file (",
        "origin     ai: up to 3 attempts of 10s, 30s in all",
        "           0. http://ai:3/beta/v1/x?utm_a=1",
        "  else     default: up to 3",
        "           1. http://b:2/beta/v1/x?utm_a=1",
        "cache      5m where the origin says nothing in memory",
        "limits     ai: enterprise unlimited, others 30/1m (sliding-window, per [\"user\",\"route\"])",
        "at last    503 text/plain",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let said = explain(&config, &["GET", "/api/v1/logo.png"]);
    for line in [
        "route      api (",
        "  not      v1: a header is missing or different",
        "           0. http://a:1/base/api/v1/logo.png",
        "assets     images: public, max-age=31536000",
        "  first    https://cdn.example/api/v1/logo.png",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(explain(&config, &["GET", "/_tidegate/health"]).contains("tidegate's own"));
    assert!(explain(&config, &["GET", "/api%2Fx"]).contains("answered 400"));
    assert!(!tidegate(&["explain", "GET", "x", "--config", config.to_str().unwrap()]).ok);
}

fn built(name: &str, text: &str) -> Value {
    let path = file(name, text);
    let out = path.with_extension("out").join("config.mjs");
    let said = tidegate(&["build", path.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    assert!(said.ok && said.out.is_empty(), "{}", said.err);
    let module = fs::read_to_string(&out).unwrap();
    let json = module.split_once("export default ").unwrap().1.trim_end().strip_suffix(';').unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn build_writes_the_config_and_the_way_past_the_wasm() {
    let text = r#"
server = { prefix = "/gate", on_trap = "refuse" }
[origins.default]
endpoints = [{ url = "http://b:2", priority = 1 }, { url = "http://a:1/base/", priority = 0 }]
path = "/x/* -> /y/*"
headers = { x-version = "7" }
secret = "x-api-key: KEY"
[origins.other]
url = "http://c:3"
[[routes]]
origin = "other"
name = "pages"
match = { host = "*.example.com", path = "/a.b/{x,y}/*" }
[[routes]]
name = "write"
match = { host = "example.com", path = "/café/**/new", methods = ["GET", "POST"], headers = { X-A = "*", x-b = "1" } }
add_prefix = "/v1/"
"#;
    let module = built("built", text);
    assert_eq!((module["prefix"].as_str(), module["onTrap"].as_str()), (Some("/gate"), Some("refuse")));
    assert_eq!(
        (module["id"].as_str(), module["dropped"][0][0].as_str()),
        (Some("tidegate"), Some("connection"))
    );
    let config: Value = serde_json::from_str(module["config"].as_str().unwrap()).unwrap();
    assert_eq!(config["routes"][1]["name"], "write");
    assert_eq!(config["limits"]["policies"]["tier"]["tiers"]["anonymous"], "20/1m");
    let (rewrite, fields, secret) =
        (["/x", "/y"], serde_json::json!({ "x-version": "7" }), ["x-api-key", "", "KEY"]);
    let rewrite = serde_json::json!([rewrite[0], rewrite[1], true]);
    let expected = serde_json::json!([
        { "rewrite": rewrite, "fields": fields, "secret": secret, "name": "write", "host": r"^example\.com\.?$", "path": "^/caf%C3%A9(?:/[^/]+)*/new/?$",
          "methods": ["GET", "POST", "HEAD"], "headers": { "x-a": true, "x-b": "1" },
          "url": "http://a:1/base", "strip": null, "add": "/v1" },
        { "rewrite": null, "fields": {}, "secret": null, "name": "pages", "host": r"^.+\.example\.com\.?$", "path": r"^/a\.b/(?:x|y)(?:/.*)?$",
          "methods": null, "headers": {}, "url": "http://c:3", "strip": null, "add": null },
        { "rewrite": rewrite, "fields": fields, "secret": secret, "name": "rest", "host": null, "path": "^/", "methods": null, "headers": {},
          "url": "http://a:1/base", "strip": null, "add": null },
    ]);
    assert_eq!(module["passthrough"], expected);
}

#[test]
fn what_is_built_reads_back_as_what_was_checked() {
    let toml = fs::read_to_string("tidegate.toml").unwrap();
    for text in [&*toml, include_str!("../../src/bin/init.toml"), "[origins.default]\nurl = \"http://a\"\n"] {
        let module = built("read-back", text);
        let [packed, checked, config] =
            ["packed", "checked", "config"].map(|key| module[key].as_str().unwrap());
        let read = Compiled::deployed(packed, checked).unwrap();
        assert_eq!(read, serde_json::from_str::<Config>(config).unwrap().compile());
        assert!(read.limits.policies.get("tier").is_some());
    }
}

#[test]
fn a_bad_config_is_never_built() {
    let path = file("unbuilt", "colour = 1\n");
    let out = path.with_extension("never.mjs");
    let said = tidegate(&["build", path.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    assert!(!said.ok && !out.exists() && said.err.contains("unbuilt.toml:1: colour: is not a key here"));
}

/// What `keys` prints, with this config.
fn keys(args: &[&str]) -> Said {
    let config = file("keys", GOOD);
    let mut all = vec!["keys", "--config", config.to_str().unwrap()];
    all.extend(args);
    tidegate(&all)
}

#[test]
fn a_key_is_made_here_and_what_puts_it_in_place_is_printed() {
    use tidegate::identity::{IdentityConfig, api_key, hex};
    use tidegate::time::Timestamp;

    let said = keys(&["create", "--tier", "pro", "--subject", "o'hara", "--not-after", "4000000000"]);
    assert!(said.ok, "{}", said.err);
    let word =
        |name: &str| said.out.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let (key, id) = (word("key "), word("id "));
    assert_eq!(id, hex(&<sha2::Sha256 as sha2::Digest>::digest(&key)));
    assert!(key.starts_with("tg_") && key.len() == 46, "{key}");
    let put = said.out.lines().find(|line| line.contains("kv key put")).unwrap();
    assert_eq!(said.out.matches(&key).count(), 1, "the key itself stands nowhere else");
    assert!(put.contains(&format!("npx wrangler kv key put --remote --binding KV key:{id} '{{")), "{put}");
    let record = put.split_once(" '").unwrap().1.trim_end_matches('\'').replace("'\\''", "'");
    let identity =
        api_key::check(Some(&record), &id, &IdentityConfig::default(), Timestamp::default()).unwrap();
    assert_eq!((&*identity.tier, identity.subject.as_deref()), ("pro", Some("o'hara")));
    assert_ne!(keys(&["create"]).out, keys(&["create"]).out);

    for (args, expected) in [
        (vec!["list"], "curl -H \"Authorization: Bearer $TIDEGATE_ADMIN_TOKEN\" https://api.example.com/_tidegate/admin/keys\n".to_owned()),
        (vec!["list", "--local", ".state"], "npx wrangler kv key list --local --persist-to '.state' --binding KV --prefix key:\n".to_owned()),
        (vec!["revoke", &key], format!("/admin/keys/{id}/revoke\n")),
        (vec!["revoke", &id], format!("/admin/keys/{id}/revoke\n")),
        (vec!["rotate", &id, "--grace", "1d", "--url", "http://a/"], format!("-d '{{\"grace\":\"1d\"}}' http://a/_tidegate/admin/keys/{id}/rotate\n")),
    ] {
        let said = keys(&args);
        assert!(said.ok && said.out.contains(&expected), "{args:?}: {}{}", said.out, said.err);
    }
    for (args, expected) in [
        (
            vec!["create", "--tier", "gold"],
            "`tier` is not a tier; allowed: anonymous, free, pro, enterprise\n",
        ),
        (vec!["create", "--until", "soon"], "`until` is no moment; allowed: "),
        (vec!["rotate", "x", "--grace", "soon"], "the content is no grace; allowed: "),
    ] {
        let said = keys(&args);
        assert!(!said.ok && said.err.contains(expected), "{args:?}: {}", said.err);
    }
}

#[test]
fn a_split_pool_is_explained_and_without_the_wasm_its_primary_answers() {
    let split =
        "[origins.default.split]\nprimary = \"http://p.example\"\nreplicas = [\"http://r.example\"]\n";
    let config = file("split", split);
    let text = explain(&config, &["GET", "/x"]);
    assert!(text.contains("0. http://r.example/x (replica)\n"), "{text}");
    assert!(text.contains("1. http://p.example/x (primary)\n"), "{text}");
    let module = file("split.mjs", "");
    tidegate(&["build", config.to_str().unwrap(), "-o", module.to_str().unwrap()]);
    let built = std::fs::read_to_string(&module).unwrap();
    assert!(built.contains("\"url\": \"http://p.example\""), "{built}");
}
