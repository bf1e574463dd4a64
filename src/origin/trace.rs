//! Trace context (W3C Trace Context, level 1): which trace a request belongs to.

use std::fmt::Write;

use crate::head::Fields;

/// `00-`, 32 and 16 hex digits with a `-` behind each, 2 hex digits.
const LEN: usize = 55;

/// The traceparent of a request, for the origin and the log: the client's where it is valid, as it is, since
/// tidegate adds no span of its own that another parent id could name; else a new one.
pub fn traceparent(fields: &Fields, rng: &mut fastrand::Rng) -> String {
    received(fields).unwrap_or_else(|| start(rng))
}

/// The client's traceparent, where it sent one that is valid. Of a version to come, what version 00 knows.
pub(super) fn received(fields: &Fields) -> Option<String> {
    let mut lines = fields.get_all("traceparent");
    let text = lines.next()?.trim();
    let (known, rest) = text.split_at_checked(LEN)?;
    let mut parts = known.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |part: &str, len: usize| is_hex(part, len) && part.bytes().any(|b| b != b'0');
    let is_valid = is_hex(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2)
        && (rest.is_empty() || (version != "00" && rest.starts_with('-')))
        && lines.next().is_none();
    is_valid.then(|| format!("00-{trace}-{parent}-{flags}"))
}

fn start(rng: &mut fastrand::Rng) -> String {
    let (trace, parent) = (rng.u128(1..), rng.u64(1..));
    let mut text = String::with_capacity(LEN);
    let _ = write!(text, "00-{trace:032x}-{parent:016x}-01");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_valid_trace_goes_on() {
        let mut rng = fastrand::Rng::with_seed(1);
        let valid = format!("00-{TRACE}-00f067aa0ba902b7-01");
        for (sent, kept) in [
            (valid.clone(), valid.clone()),
            (format!("00-{TRACE}-00f067aa0ba902b7-00"), format!("00-{TRACE}-00f067aa0ba902b7-00")),
            (format!("cc-{TRACE}-00f067aa0ba902b7-01-more"), valid),
        ] {
            let fields = Fields::from_pairs([("traceparent", sent.as_str())]);
            assert_eq!(traceparent(&fields, &mut rng), kept);
        }
    }

    #[test]
    fn what_is_not_a_trace_is_replaced_by_a_new_one() {
        let mut rng = fastrand::Rng::with_seed(1);
        let valid = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let bad = [
            String::new(),
            valid.to_uppercase(),
            valid.replacen("00", "ff", 1),
            format!("{valid}-more"),
            format!("{valid}, {valid}"),
            valid.replace(TRACE, &"0".repeat(32)),
            valid.replace("00f067aa0ba902b7", "0000000000000000"),
            valid.replace("4bf9", "4bfx"),
            "é".repeat(40),
        ];
        for sent in &bad {
            let fresh = traceparent(&Fields::from_pairs([("traceparent", sent.as_str())]), &mut rng);
            assert!(!bad.contains(&fresh) && !fresh.contains(TRACE), "{sent}");
            let fields = Fields::from_pairs([("traceparent", fresh.as_str())]);
            assert_eq!(received(&fields).as_deref(), Some(&*fresh));
        }
        let twice = Fields::from_pairs([("traceparent", valid.as_str()), ("traceparent", valid.as_str())]);
        assert_eq!(received(&twice), None);
    }
}
