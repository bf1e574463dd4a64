//! The header fields that tell a client about its limits (draft-ietf-httpapi-ratelimit-headers, and the
//! `X-RateLimit-*` fields that today's clients read).

use std::fmt::Write as _;

use super::config::{FieldsForm, LimitConfig, ResetForm};
use super::decision::{Answer, Checked, Decision};
use super::policy::Algorithm;
use crate::base64url;
use crate::head::Fields;
use crate::time::Timestamp;

/// How much of a partition's hash `pk` shows: enough to tell a client's own partitions apart.
const PARTITION_KEY_BYTES: usize = 16;

/// Writes all fields: `RateLimit-Policy` and `RateLimit` are added to what an origin sent, the others replace it.
/// Policies in shadow are not shown, nor strikes before they lead to something. Nothing is written where nothing was limited.
pub fn write(decision: &Decision, config: &LimitConfig, now: Timestamp, fields: &mut Fields) {
    let Some(tightest) = decision.tightest() else { return };
    if config.fields != FieldsForm::Legacy {
        standard(decision, config, now, fields);
    }
    if config.fields != FieldsForm::Standard {
        legacy(decision, tightest, config.reset, now, fields);
    }
    let refusal = decision.refusal();
    if let Some((wait, by)) = refusal.and_then(|refusal| Some((refusal.retry_after?, refusal.by))) {
        // The clocks of an isolate and an object differ.
        let reset = by.answer.verdict().map(|verdict| verdict.resets_in(now)).unwrap_or_default();
        fields.insert("retry-after", &wait.max(reset).as_secs_ceil().to_string());
    }
}

fn standard(decision: &Decision, config: &LimitConfig, now: Timestamp, fields: &mut Fields) {
    let show_partition = config.show_partition;
    let (mut policies, mut states) = (String::new(), String::new());
    for checked in decision.checked.iter().filter(|checked| checked.is_shown()) {
        let policy = &checked.ask.take.policy;
        let is_concurrency = policy.algorithm == Algorithm::Concurrency;
        let all = [("q", policy.quota.amount().into()), ("w", policy.window_secs(now))];
        item(
            &mut policies,
            checked,
            show_partition,
            all.get(..2 - usize::from(is_concurrency)).unwrap_or(&all),
        );
        if is_concurrency {
            policies.push_str(";qu=\"concurrent-requests\"");
        }
        if config.counts_bytes(policy.name.as_str()) {
            policies.push_str(";qu=\"content-bytes\"");
        }
        if checked.answer == Answer::Unreachable {
            policies.push_str(";degraded");
        }
        if let Some(verdict) = checked.answer.verdict() {
            let parameters = [("r", verdict.remaining.into()), ("t", verdict.resets_in(now).as_secs_ceil())];
            item(&mut states, checked, show_partition, &parameters);
        }
    }
    fields.append("ratelimit-policy", &policies);
    if !states.is_empty() {
        fields.append("ratelimit", &states);
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
        let _ = write!(list, ";pk=:{}:", base64url::standard(key.as_bytes()));
    }
}

fn legacy(decision: &Decision, tightest: &Checked, reset: ResetForm, now: Timestamp, fields: &mut Fields) {
    let policy = &tightest.ask.take.policy;
    fields.insert("x-ratelimit-limit", &policy.quota.amount().to_string());
    if let Answer::Counted(verdict) = tightest.answer {
        let until = match reset {
            ResetForm::Epoch => verdict.resets_at(now).as_millis().div_ceil(1000),
            ResetForm::Delta => verdict.resets_in(now).as_secs_ceil(),
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::limit::{Ask, OnError, QuotaPolicy, Take, Verdict};
    use crate::time::Span;

    const NOW: Timestamp = Timestamp::from_millis(1_789_000_000_400);

    fn checked(name: &str, quota: &str, answer: Answer) -> Checked {
        let policy = QuotaPolicy {
            name: name.parse().unwrap(),
            quota: quota.parse().unwrap(),
            algorithm: Algorithm::SlidingWindow,
            burst: NonZeroU32::MIN,
            resets_minute: 0,
            shadow: name == "shadow",
        };
        let take = Take { policy, cost: NonZeroU32::MIN };
        let object = "00112233445566778899aabbccddeeff".into();
        Checked {
            ask: Ask {
                object,
                take,
                on_error: OnError::Admit,
                budget: Span::from_millis(50),
                leases: false,
                provisional: false,
            },
            answer,
        }
    }

    fn counted(limit: u32, remaining: u32, reset_millis: u64, retry_millis: Option<u64>) -> Answer {
        Answer::Counted(Verdict {
            admitted: retry_millis.is_none(),
            limit,
            remaining,
            reset: Span::from_millis(reset_millis),
            retry_after: retry_millis.map(Span::from_millis),
            at: NOW,
        })
    }

    fn written(checked: Vec<Checked>, reset: ResetForm, show_partition: bool) -> Fields {
        let mut fields =
            Fields::from_pairs([("x-ratelimit-remaining", "7"), ("ratelimit", "\"theirs\";r=1")]);
        let config = LimitConfig { reset, show_partition, ..LimitConfig::default() };
        write(&Decision { tier: "pro".into(), checked }, &config, NOW, &mut fields);
        fields
    }

    #[test]
    fn a_config_may_have_one_family_of_fields_alone() {
        for (form, standard, legacy) in [
            (FieldsForm::All, true, true),
            (FieldsForm::Standard, true, false),
            (FieldsForm::Legacy, false, true),
        ] {
            let checked = vec![checked("minute", "20/1m", counted(20, 0, 900, Some(900)))];
            let config = LimitConfig { fields: form, ..LimitConfig::default() };
            let mut fields = Fields::default();
            write(&Decision { tier: "pro".into(), checked }, &config, NOW, &mut fields);
            let has =
                ["ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-tier", "retry-after"]
                    .map(|name| fields.contains(name));
            assert_eq!(has, [standard, standard, legacy, legacy, true], "{form:?}");
        }
    }

    #[test]
    fn every_policy_is_listed_and_the_nearest_to_its_limit_is_told_the_old_way() {
        let policies = vec![
            checked("pro-day", "100000/1d", counted(100_000, 83_211, 40_210_000, None)),
            checked("pro-minute", "1000/1m", counted(1000, 412, 22_001, None)),
            checked("shadow", "1/1m", counted(1, 0, 1, Some(1))),
        ];
        let expected = [
            ("ratelimit", "\"theirs\";r=1"),
            ("ratelimit-policy", "\"pro-day\";q=100000;w=86400, \"pro-minute\";q=1000;w=60"),
            ("ratelimit", "\"pro-day\";r=83211;t=40210, \"pro-minute\";r=412;t=23"),
            ("x-ratelimit-limit", "1000"),
            ("x-ratelimit-remaining", "412"),
            ("x-ratelimit-reset", "1789000023"),
            ("x-ratelimit-policy", "pro-minute"),
            ("x-ratelimit-tier", "pro"),
        ];
        assert_eq!(written(policies.clone(), ResetForm::Epoch, false), Fields::from_pairs(expected));
        assert_eq!(written(policies, ResetForm::Delta, false).get("x-ratelimit-reset"), Some("23"));
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let both = |wait| {
            vec![
                checked("minute", "20/1m", counted(20, 0, 900, Some(wait))),
                checked("hour", "100/1h", counted(100, 50, 1_800_000, None)),
            ]
        };
        for (wait, secs) in [(900, "1"), (1000, "1"), (1001, "2"), (30_500, "31")] {
            let fields = written(both(wait), ResetForm::Epoch, false);
            assert_eq!(fields.get("retry-after"), Some(secs), "{wait}");
            assert_eq!(fields.get("x-ratelimit-policy"), Some("minute"));
        }
    }

    #[test]
    fn what_was_not_counted_is_marked_and_shows_no_numbers() {
        let lost = checked("minute", "20/1m", Answer::Unreachable);
        let fields = written(vec![lost.clone()], ResetForm::Epoch, false);
        let expected = [
            ("ratelimit", "\"theirs\";r=1"),
            ("ratelimit-policy", "\"minute\";q=20;w=60;degraded"),
            ("x-ratelimit-limit", "20"),
            ("x-ratelimit-policy", "minute;degraded"),
            ("x-ratelimit-tier", "pro"),
        ];
        assert_eq!(fields, Fields::from_pairs(expected));

        let hour = checked("hour", "100/1h", counted(100, 50, 1, None));
        let fields = written(vec![lost, hour], ResetForm::Epoch, false);
        assert_eq!(fields.get("x-ratelimit-policy"), Some("hour;degraded"));
        assert_eq!(fields.get("x-ratelimit-remaining"), Some("50"));
    }

    #[test]
    fn nothing_is_written_where_nothing_was_limited() {
        for none in [vec![], vec![checked("shadow", "1/1m", counted(1, 0, 1, Some(1)))]] {
            assert_eq!(written(none, ResetForm::Epoch, true).len(), 2);
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn a_structured_field_parser_reads_what_was_meant() {
        use sfv::{BareItem, List, ListEntry, Parser};

        let policies = vec![
            checked("a.b_c-9", "100000000/366d", counted(100_000_000, 5, 1, None)),
            checked("minute", "20/1m", counted(20, 0, 1500, Some(1500))),
        ];
        let fields = written(policies, ResetForm::Epoch, true);
        let read = |name: &str| {
            let value = fields.get_all(name).last().unwrap();
            let list: List = Parser::new(value).parse().unwrap();
            let member = |entry: ListEntry| {
                let ListEntry::Item(item) = entry else { panic!("an item") };
                let BareItem::String(policy) = item.bare_item else { panic!("a string") };
                assert!(
                    matches!(item.params.get("pk"), Some(BareItem::ByteSequence(key)) if key == b"0011223344556677")
                );
                let numbers = item.params.iter().filter_map(|(key, value)| match value {
                    BareItem::Integer(number) => Some((key.to_string(), i64::from(*number))),
                    _ => None,
                });
                (policy.as_str().to_owned(), numbers.collect::<Vec<_>>())
            };
            list.into_iter().map(member).collect::<Vec<_>>()
        };
        let pair = |key: &str, number| (key.to_owned(), number);
        assert_eq!(
            read("ratelimit-policy"),
            [
                ("a.b_c-9".to_owned(), vec![pair("q", 100_000_000), pair("w", 31_622_400)]),
                ("minute".to_owned(), vec![pair("q", 20), pair("w", 60)]),
            ]
        );
        assert_eq!(
            read("ratelimit"),
            [
                ("a.b_c-9".to_owned(), vec![pair("r", 5), pair("t", 1)]),
                ("minute".to_owned(), vec![pair("r", 0), pair("t", 2)]),
            ]
        );
    }
}
