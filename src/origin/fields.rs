//! Which header fields are for one hop only, and which a client may not say.

use crate::head::Fields;

/// The names that Connection lists: fields for this hop only (RFC 9110, section 7.6.1). Lower case.
pub(super) fn named_in_connection(fields: &Fields) -> Vec<String> {
    fields.list("connection").map(str::to_ascii_lowercase).collect()
}

/// Whether a field is for one hop only, whatever Connection says (RFC 9110, section 7.6.1). Proxy-Status is not:
/// it tells the client of the whole way.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    matches!(name, "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade")
        || (name.starts_with("proxy-") && name != "proxy-status")
}

/// Whether a field speaks of limits as tidegate does.
fn is_limit(name: &str) -> bool {
    name.starts_with("x-ratelimit-") || name.starts_with("ratelimit")
}

/// Whether a request field is one that only a trusted intermediary, or only tidegate, may say. An origin that
/// reads one believes it, so a client's copy never gets there.
pub(super) fn is_not_for_clients(name: &str) -> bool {
    matches!(
        name,
        "forwarded"
            | "x-real-ip"
            | "true-client-ip"
            | "x-request-id"
            | "cache-status"
            | "proxy-status"
            // What runs as CGI would take it for its own `HTTP_PROXY` (RFC 3875, section 4.1.18).
            | "proxy"
    ) || ["x-forwarded-", "x-tidegate-", "x-queue-", "cf-"].iter().any(|prefix| name.starts_with(prefix))
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
