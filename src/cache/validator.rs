//! Entity tags, Last-Modified and the preconditions that compare them (RFC 9110, sections 8.8 and 13).

use crate::head::Fields;

/// Request fields that give way to tidegate's own conditions when a stored response is validated.
pub const CLIENT_CONDITIONS: [&str; 4] = ["if-none-match", "if-modified-since", "if-range", "range"];

/// Puts tidegate's own conditions in the place of the client's. Without any of them nothing is changed.
pub fn replace_conditions(request: &mut Fields, conditions: &Fields) {
    if conditions.is_empty() {
        return;
    }
    request.retain(|name, _| !CLIENT_CONDITIONS.contains(&name));
    for (name, value) in conditions.iter() {
        request.append(name, value);
    }
}
