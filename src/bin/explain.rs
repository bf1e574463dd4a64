//! What would happen to a request, in words.

use std::fmt::Write;

use tidegate::cache::PrimaryKey;
use tidegate::config::{Compiled, Config};
use tidegate::head::{Fields, Method, RequestHead};
use tidegate::identity::Identity;
use tidegate::limit::{Algorithm, PolicyConfig};
use tidegate::origin::Pool;
use tidegate::origin::forward::{Hop, Rewrite, forward};
use tidegate::origin::url::has_dot_segment;
use tidegate::route::{Route, asset};

/// The request that is asked about. A path alone stands for any host.
///
/// # Errors
/// What is wrong with the words it was given in.
pub fn request(method: &str, url: &str, headers: &[String]) -> Result<RequestHead, String> {
    let whole = if url.starts_with('/') { format!("https://any.invalid{url}") } else { url.to_owned() };
    let mut request = RequestHead::new(Method::from(method.to_ascii_uppercase().as_str()), &whole)?;
    let mut fields = Fields::new();
    for header in headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| format!("`{header}` is not a header; allowed: `name: value`"))?;
        fields.append(name.trim(), value.trim());
    }
    request.fields = fields;
    Ok(request)
}

/// Everything that a config says about a request.
pub fn explain(config: &Config, request: &RequestHead) -> String {
    let compiled = config.compile();
    let mut out = format!("{} {}\n", request.method, request.target.url());
    let path = request.target.path();
    if compiled.server.prefix.is_prefix_of(path) {
        let _ =
            writeln!(out, "route      none: everything below {} is tidegate's own", compiled.server.prefix);
        return out;
    }
    let route = match compiled.table.classify(request) {
        Ok(route) => route,
        Err(ambiguous) => {
            let _ = writeln!(out, "route      none, answered 400: {ambiguous}");
            return out;
        }
    };
    precedence(&mut out, &compiled, request, route);
    if has_dot_segment(path) {
        let _ = writeln!(out, "origin     none, answered 400: the path has a dot segment");
        limits(&mut out, config, route);
        return out;
    }
    origin(&mut out, &compiled, request, route);
    cache(&mut out, request, route);
    limits(&mut out, config, route);
    queue(&mut out, route);
    features(&mut out, &compiled, request, route);
    assets(&mut out, &compiled, request, route);
    let compressed = route.compress && compiled.compression.enabled;
    let _ = writeln!(out, "compress   {}", if compressed { "text, where the origin did not" } else { "off" });
    if let Some(fallback) = &route.static_fallback {
        let _ = writeln!(out, "at last    {} {}", fallback.status, fallback.content_type);
    }
    out
}

fn precedence(out: &mut String, compiled: &Compiled, request: &RequestHead, taken: &Route) {
    let _ = writeln!(out, "route      {} ({})", taken.name, taken.matches.specificity());
    for (route, specificity, holds) in compiled.table.explain(request) {
        if route.name == taken.name {
            continue;
        }
        let why = match holds {
            Ok(()) => format!("matches too, but is less special or later in the file ({specificity})"),
            Err(mismatch) => mismatch.as_str().to_owned(),
        };
        let _ = writeln!(out, "  not      {}: {why}", route.name);
    }
}

fn origin(out: &mut String, compiled: &Compiled, request: &RequestHead, route: &Route) {
    let pools = route.pools.iter().filter_map(|at| compiled.pools.get(*at));
    for (at, pool) in pools.enumerate() {
        let _ = writeln!(out, "{} {}", if at == 0 { "origin    " } else { "  else    " }, pool_line(pool));
        for (at, endpoint) in pool.endpoints.iter().enumerate() {
            let part = match pool.split {
                Some(split) if split.primary == at => " (primary)",
                Some(_) => " (replica)",
                None => "",
            };
            let rewrite = Rewrite {
                strip_prefix: route.strip_prefix.as_ref().map(|prefix| prefix.as_str()),
                add_prefix: route.add_prefix.as_ref().map(|prefix| prefix.as_str()),
                path: pool.config.path.as_ref(),
                ..Rewrite::default()
            };
            let server = &compiled.server;
            let hop = Hop { id: &server.id, loops_max: server.loops_max, request_id: "", traceparent: "" };
            let asked = match forward(request, endpoint, rewrite, &hop) {
                Ok(head) => head.target.url().to_owned(),
                Err(why) => format!("answered {}: {}", why.status(), why.as_str()),
            };
            let _ = writeln!(out, "           {}. {asked}{part}", endpoint.priority);
        }
    }
}

fn pool_line(pool: &Pool) -> String {
    let config = &pool.config;
    format!(
        "{}: up to {} attempts of {}, {} in all",
        pool.name, config.attempts_max, config.attempt_timeout, config.total_timeout
    )
}

fn cache(out: &mut String, request: &RequestHead, route: &Route) {
    let policy = &route.cache;
    if !policy.enabled {
        let _ = writeln!(out, "cache      off");
        return;
    }
    let layers: Vec<&str> = policy.layers.iter().map(|layer| layer.as_str()).collect();
    let ttl = match policy.ttl {
        Some(ttl) => format!("{} where the origin says nothing", ttl.span(&policy.classes)),
        None => "as long as the origin says".into(),
    };
    let _ = writeln!(out, "cache      {} in {}", ttl, layers.join(", "));
    let key = PrimaryKey::new(&request.target, &request.fields, &policy.key, &Identity::anonymous());
    let _ = writeln!(out, "  key      {}", key.as_str().escape_debug());
}

/// What else the route does, a line each.
fn features(out: &mut String, compiled: &Compiled, request: &RequestHead, route: &Route) {
    let method = &request.method;
    let pool = route.pools.first().and_then(|at| compiled.pools.get(*at));
    if let Some(split) = pool.and_then(|pool| pool.config.split.as_ref()) {
        let reads = method.is_safe() || route.cache.key.has_body(method);
        let goes = if reads {
            "to a replica, or to the primary after a write of this client's"
        } else {
            "to the primary, and this client's reads after it"
        };
        let _ = writeln!(out, "split      {goes}, for {}", split.bookmark_ttl);
    }
    if let Some(behind) = route.write_behind.as_ref().filter(|_| !method.is_safe()) {
        let _ = writeln!(
            out,
            "behind     answered 202 and delivered later, in up to {} attempts, with priority {}",
            behind.attempts_max, behind.priority
        );
    }
    if route.require_precondition && matches!(method, Method::Put | Method::Patch | Method::Delete) {
        let _ = writeln!(out, "precond.   answered 428 without If-Match");
    }
    if let Some(batch) = &route.batch {
        let joins = if batch.id(request).is_some() { "this one too" } else { "not this one" };
        let _ = writeln!(
            out,
            "batch      {}: up to {} that come within {}, {joins}",
            batch.ask, batch.size_max, batch.wait
        );
    }
    if let Some(sockets) = &route.websocket {
        let connections = sockets.connections.iter().map(|(tier, most)| format!("{tier} {most} open"));
        let messages = sockets.messages.iter().map(|(tier, most)| format!("{tier} {most} messages"));
        let all: Vec<String> = connections.chain(messages).collect();
        let _ = writeln!(
            out,
            "sockets    {}",
            if all.is_empty() { "not limited".into() } else { all.join(", ") }
        );
    }
}

fn queue(out: &mut String, route: &Route) {
    let Some((name, queue)) = &route.queue else { return };
    let _ = write!(out, "queue      {name}: {} at once", queue.max_concurrent);
    if let Some(quota) = queue.quota {
        let _ = write!(out, ", {quota}");
    }
    let _ = writeln!(out, ", up to {} wait for {}", queue.max_length, queue.max_wait);
}

fn limits(out: &mut String, config: &Config, route: &Route) {
    if !config.limits.enabled || route.limits.is_empty() {
        let _ = writeln!(out, "limits     none: counted, not limited");
        return;
    }
    for (name, policy) in &route.limits {
        let _ = writeln!(out, "limits     {name}: {}", quotas(policy, config));
    }
}

fn quotas(policy: &PolicyConfig, config: &Config) -> String {
    let mut parts = Vec::new();
    for tier in &config.identity.tiers {
        if policy.tiers.get(tier).is_none() && policy.quota.is_some() {
            continue;
        }
        let quota = policy.quota_of(tier).map_or("unlimited".into(), |quota| quota.to_string());
        parts.push(format!("{tier} {quota}"));
    }
    parts.extend(
        policy.quota.map(|quota| format!("{} {quota}", if parts.is_empty() { "all" } else { "others" })),
    );
    let partition = serde_json::to_string(&policy.partition).unwrap_or_default();
    let how = match policy.counts_by() {
        Algorithm::Strikes(penalty) => {
            let kinds: Vec<String> = policy.strikes.iter().map(ToString::to_string).collect();
            format!("strikes for {}, then refused for {penalty}", kinds.join(", "))
        }
        algorithm => algorithm.as_str().to_owned(),
    };
    format!("{} ({how}, per {partition})", parts.join(", "))
}

fn assets(out: &mut String, compiled: &Compiled, request: &RequestHead, route: &Route) {
    if !route.assets {
        let _ = writeln!(out, "assets     off");
        return;
    }
    let (class, cache_control) = asset::expected(request, &compiled.assets);
    let _ = writeln!(out, "assets     {}: {cache_control}, where its type agrees", class.as_str());
    if let Some(url) = asset::cdn_url(request, &compiled.assets) {
        let _ = writeln!(out, "  first    {url}");
    }
}
