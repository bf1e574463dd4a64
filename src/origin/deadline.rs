//! Until when an answer is of use, as a field of a request says it: `grpc-timeout` with what is left, as gRPC writes it
//! (up to eight digits and a unit); any other with the moment, in milliseconds since the UNIX epoch.

use crate::time::{Span, Timestamp};

/// How many digits gRPC allows.
const DIGITS_MAX: usize = 8;

/// The field (lower case) that tells a span instead of a moment.
const GRPC: &str = "grpc-timeout";

/// The value of the field `name` at this moment; never less than a millisecond is left.
pub fn write(name: &str, until: Timestamp, now: Timestamp) -> String {
    if name != GRPC {
        return until.as_millis().to_string();
    }
    let mut text = until.since(now).as_millis().max(1).to_string();
    text.push('m');
    text
}

/// The moment that a value means which came then. `None` where it means none.
pub fn read(name: &str, text: &str, came: Timestamp) -> Option<Timestamp> {
    if name != GRPC {
        return text.parse().ok().map(Timestamp::from_millis);
    }
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > DIGITS_MAX || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    let millis = match unit {
        "H" => count * 3_600_000,
        "M" => count * 60_000,
        "S" => count * 1000,
        "m" => count,
        "u" => count / 1000,
        "n" => count / 1_000_000,
        _ => return None,
    };
    Some(came + Span::from_millis(millis))
}
