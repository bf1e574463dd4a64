//! The header fields that tell a client about its limits (draft-ietf-httpapi-ratelimit-headers, and the
//! `X-RateLimit-*` fields that today's clients read).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::config::ResetForm;
use super::decision::{Answer, Checked, Decision};
use crate::head::Fields;
use crate::time::Timestamp;

/// How much of a partition's hash `pk` shows: enough to tell a client's own partitions apart.
const PARTITION_KEY_BYTES: usize = 16;

/// Writes all fields: `RateLimit-Policy` and `RateLimit` are added to what an origin sent, the others replace it.
/// Policies in shadow are not shown. Nothing is written where nothing was limited.
pub fn write(
    decision: &Decision,
    reset: ResetForm,
    show_partition: bool,
    now: Timestamp,
    fields: &mut Fields,
) {
    let Some(tightest) = decision.tightest() else { return };
    let (mut policies, mut states) = (String::new(), String::new());
    for checked in decision.checked.iter().filter(|checked| !checked.ask.take.policy.shadow) {
        let policy = &checked.ask.take.policy;
        let quota = policy.quota;
        item(
            &mut policies,
            checked,
            show_partition,
            &[("q", quota.amount().into()), ("w", quota.window_secs())],
        );
        if let Answer::Counted(verdict) = checked.answer {
            let parameters = [("r", verdict.remaining.into()), ("t", verdict.reset.as_secs_ceil())];
            item(&mut states, checked, show_partition, &parameters);
        }
    }
    fields.append("ratelimit-policy", &policies);
    if !states.is_empty() {
        fields.append("ratelimit", &states);
    }
    legacy(decision, tightest, reset, now, fields);
    if let Some(refusal) = decision.refusal() {
        fields.insert("retry-after", &refusal.retry_after.as_secs().to_string());
    }
}

/// One member of a list: an item with parameters (RFC 9651, sections 3.1 and 3.3). A policy's name needs no escapes.
fn item(list: &mut String, checked: &Checked, show_partition: bool, parameters: &[(&str, u64)]) {
    let separator = if list.is_empty() { "" } else { ", " };
    let _ = write!(list, "{separator}\"{}\"", checked.ask.take.policy.name);
    for (key, value) in parameters {
        let _ = write!(list, ";{key}={value}");
    }
    if show_partition {
        let key = checked.ask.object.get(..PARTITION_KEY_BYTES).unwrap_or_default();
        let _ = write!(list, ";pk=:{}:", STANDARD.encode(key));
    }
}

fn legacy(decision: &Decision, tightest: &Checked, reset: ResetForm, now: Timestamp, fields: &mut Fields) {
    let policy = &tightest.ask.take.policy;
    fields.insert("x-ratelimit-limit", &policy.quota.amount().to_string());
    if let Answer::Counted(verdict) = tightest.answer {
        let until = match reset {
            ResetForm::Epoch => (now + verdict.reset).as_millis().div_ceil(1000),
            ResetForm::Delta => verdict.reset.as_secs_ceil(),
        };
        fields.insert("x-ratelimit-remaining", &verdict.remaining.to_string());
        fields.insert("x-ratelimit-reset", &until.to_string());
    } else {
        // An origin's own numbers would be read as ours.
        fields.remove("x-ratelimit-remaining");
        fields.remove("x-ratelimit-reset");
    }
    let degraded = if decision.is_degraded() { ";degraded" } else { "" };
    fields.insert("x-ratelimit-policy", &format!("{}{degraded}", policy.name));
    fields.insert("x-ratelimit-tier", &decision.tier);
}
