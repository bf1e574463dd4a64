//! Which header fields are for one hop only, and which a client may not say.

use crate::head::Fields;

const HOP_BY_HOP: [&str; 6] = ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

const NOT_FOR_CLIENTS: [&str; 7] = [
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "x-request-id",
    "cache-status",
    "proxy-status",
    // What runs as CGI would take it for its own `HTTP_PROXY` (RFC 3875, section 4.1.18).
    "proxy",
];

const NOT_FOR_CLIENTS_PREFIXES: [&str; 4] = ["x-forwarded-", "x-tidegate-", "x-queue-", "cf-"];

/// The names of request fields that never go to an origin, and what others begin with: what [`super::forward::forward`]
/// leaves out, for the way past the wasm.
#[cfg(feature = "cli")]
pub fn dropped() -> (Vec<&'static str>, Vec<&'static str>) {
    let names = [&HOP_BY_HOP[..], &NOT_FOR_CLIENTS].concat();
    (names, [&NOT_FOR_CLIENTS_PREFIXES[..], &["proxy-", "x-ratelimit-", "ratelimit"]].concat())
}

/// The names that Connection lists: fields for this hop only (RFC 9110, section 7.6.1). Lower case.
pub(super) fn named_in_connection(fields: &Fields) -> Vec<String> {
    fields.list("connection").map(str::to_ascii_lowercase).collect()
}

/// Whether a field is for one hop only, whatever Connection says (RFC 9110, section 7.6.1). Proxy-Status is not:
/// it tells the client of the whole way.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name) || (name.starts_with("proxy-") && name != "proxy-status")
}

/// Whether a field speaks of limits as tidegate does.
fn is_limit(name: &str) -> bool {
    name.starts_with("x-ratelimit-") || name.starts_with("ratelimit")
}

/// Whether a request field is one that only a trusted intermediary, or only tidegate, may say. An origin that
/// reads one believes it, so a client's copy never gets there.
pub(super) fn is_not_for_clients(name: &str) -> bool {
    NOT_FOR_CLIENTS.contains(&name)
        || NOT_FOR_CLIENTS_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || is_limit(name)
}

/// Appends a member to a list field, whose lines become one.
pub(super) fn append_member(fields: &mut Fields, name: &str, member: &str) {
    let whole = match fields.combined(name) {
        Some(before) if !before.is_empty() => format!("{before}, {member}"),
        _ => member.to_owned(),
    };
    fields.insert(name, &whole);
}
