//! Server-Timing: where the time of a response went, for who looks at it in a browser (W3C Server Timing).

use crate::head::ResponseHead;
use crate::ports::Ports;
use crate::record::AnsweredBy;
use crate::time::Span;

use super::visit::Visit;

/// Adds what this gate knows, where the deployment tells of it: `limit`, `cache`, `origin` and `total`, in milliseconds. What
/// an origin said stays before it.
pub fn tell<P: Ports>(visit: &Visit<P>, is_limited: bool, head: &mut ResponseHead) {
    if !visit.gate.site.server.timing {
        return;
    }
    let notes = visit.notes.borrow();
    let total = visit.ports.now().since(visit.arrived);
    let mut said = Vec::new();
    if is_limited {
        let by = if notes.leased.is_empty() { "object" } else { "lease" };
        said.push(metric("limit", by, notes.limited));
    }
    if visit.route.cache.enabled {
        let layer = match notes.answered_by {
            AnsweredBy::Memory => "memory",
            AnsweredBy::Colo => "colo",
            AnsweredBy::Kv => "kv",
            _ => "",
        };
        said.push(metric("cache", layer, total.saturating_sub(notes.limited).saturating_sub(notes.waited)));
    }
    if notes.attempts > 0 {
        said.push(metric("origin", notes.endpoint.as_deref().unwrap_or_default(), notes.waited));
    }
    said.push(metric("total", "", total));
    head.fields.append("server-timing", &said.join(", "));
}

/// A name, what it is about, and how long it took.
fn metric(name: &str, about: &str, took: Span) -> String {
    let about = if about.is_empty() { String::new() } else { [";desc=\"", about, "\""].concat() };
    [name, &about, ";dur=", &took.as_millis().to_string()].concat()
}
