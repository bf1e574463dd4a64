//! Origins that lie: a response that is a failure, whatever its status says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::head::{Fields, ResponseHead};

/// The longest body that is read for what it says, in bytes.
pub const LIE_BYTES_MAX: u64 = 64 * 1024;
/// How many rules a pool has at most.
pub const RULES_MAX: usize = 16;

/// One of `fail_when`: a response of which all this holds is a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct FailWhen {
    /// Its status; without it, any below 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// A field that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<FieldPattern>,
    /// A text in its body. Only bodies of a known length up to [`LIE_BYTES_MAX`] that are not encoded are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<str>>,
}

impl FailWhen {
    fn holds(&self, head: &ResponseHead) -> bool {
        self.status.map_or(head.status < 400, |status| status == head.status)
            && self.header.as_ref().is_none_or(|header| header.holds(&head.fields))
    }
}

/// Whether a response is a failure, as far as its head tells, or its body where that was read.
pub fn is_lie(rules: &[FailWhen], head: &ResponseHead, body: Option<&str>) -> bool {
    let told = |rule: &FailWhen| match (&rule.body, body) {
        (None, _) => true,
        (Some(text), Some(body)) => body.contains(&**text),
        (Some(_), None) => false,
    };
    rules.iter().any(|rule| rule.holds(head) && told(rule))
}

/// Whether it is worth reading the body: a rule asks for it, and it is short.
pub fn needs_body(rules: &[FailWhen], head: &ResponseHead) -> bool {
    rules.iter().any(|rule| rule.body.is_some() && rule.holds(head))
        && !head.fields.contains("content-encoding")
        && head.content_length().is_some_and(|length| length <= LIE_BYTES_MAX)
}

/// `"x-error"`: the field is there; `"content-type: text/html*"`: with this value, `*` at its ends for anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct FieldPattern {
    name: Box<str>,
    value: Box<str>,
}

impl FieldPattern {
    fn holds(&self, fields: &Fields) -> bool {
        fields.get_all(&self.name).any(|value| matches(&self.value, value))
    }
}

/// Letters count the same, large or small.
fn matches(pattern: &str, value: &str) -> bool {
    let (pattern, value) = (pattern.to_ascii_lowercase(), value.trim().to_ascii_lowercase());
    let (front, back) = (pattern.strip_prefix('*'), pattern.strip_suffix('*'));
    match (front, back) {
        (Some(rest), Some(_)) => value.contains(rest.trim_end_matches('*')),
        (Some(end), None) => value.ends_with(end),
        (None, Some(start)) => value.starts_with(start),
        (None, None) => value == pattern,
    }
}

impl FromStr for FieldPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').unwrap_or((text, "*"));
        let (name, value) = (name.trim(), value.trim());
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !is_name || value.is_empty() {
            return Err(mistake!(
                "`{text}` is no field; allowed: such as \"x-error\" or \"content-type: text/html*\""
            ));
        }
        Ok(Self { name: name.to_ascii_lowercase().into(), value: value.into() })
    }
}

impl fmt::Display for FieldPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        f.write_str(": ")?;
        f.write_str(&self.value)
    }
}

text_serde!(FieldPattern, packed);

/// What is wrong with the rules, where something is.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn problem(rules: &[FailWhen]) -> Option<String> {
    if rules.len() > RULES_MAX {
        return Some(format!("fail_when: too many; allowed: up to {RULES_MAX}"));
    }
    for (at, rule) in rules.iter().enumerate() {
        if rule.header.is_none() && rule.body.is_none() && rule.status.is_none() {
            return Some(format!("fail_when[{at}]: says nothing; allowed: `status`, `header`, `body`"));
        }
        if rule.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Some(format!("fail_when[{at}].status: no status of a response; allowed: 200 to 599"));
        }
        if rule.body.as_ref().is_some_and(|text| text.is_empty()) {
            return Some(format!("fail_when[{at}].body: is in every body; allowed: a text"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        ResponseHead { status, fields: Fields::from_pairs(fields.iter().copied()) }
    }

    fn rules(value: serde_json::Value) -> Vec<FailWhen> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_rule_holds_where_all_of_it_does() {
        let page = head(200, &[("Content-Type", "Text/HTML; charset=utf-8"), ("Content-Length", "20")]);
        for (rule, body, is_failure) in [
            (json!({"header": "content-type: text/html*"}), None, true),
            (json!({"header": "content-type: *charset=utf-8"}), None, true),
            (json!({"header": "content-type: *html*"}), None, true),
            (json!({"header": "content-type: text/html"}), None, false),
            (json!({"header": "content-type"}), None, true),
            (json!({"header": "x-error"}), None, false),
            (json!({"status": 200}), None, true),
            (json!({"status": 204}), None, false),
            (json!({"status": 200, "header": "x-error"}), None, false),
            (json!({"body": "Fatal error"}), None, false),
            (json!({"body": "Fatal error"}), Some("<b>Fatal error</b>"), true),
            (json!({"body": "Fatal error"}), Some("fine"), false),
            (json!({"header": "x-error", "body": "Fatal"}), Some("Fatal"), false),
        ] {
            assert_eq!(is_lie(&rules(json!([rule])), &page, body), is_failure, "{rule}");
        }
        let several = rules(json!([{"header": "x-error"}, {"header": "content-type: text/html*"}]));
        assert!(is_lie(&several, &page, None) && !is_lie(&[], &page, None));
        assert!(!is_lie(&several, &head(404, &[("Content-Type", "text/html")]), None), "an honest error");
    }

    #[test]
    fn a_body_is_read_only_where_a_rule_asks_for_it_and_it_is_short() {
        let rules = rules(json!([{"header": "content-type: text/html*", "body": "Fatal"}]));
        for (fields, needed) in [
            (vec![("content-type", "text/html"), ("content-length", "65536")], true),
            (vec![("content-type", "text/html"), ("content-length", "65537")], false),
            (vec![("content-type", "text/html")], false),
            (vec![("content-type", "text/html"), ("content-length", "9"), ("content-encoding", "br")], false),
            (vec![("content-type", "text/plain"), ("content-length", "9")], false),
        ] {
            assert_eq!(needs_body(&rules, &head(200, &fields)), needed, "{fields:?}");
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn a_rule_that_says_nothing_is_refused() {
        for (rule, place) in [
            (json!({}), "fail_when[0]: says nothing"),
            (json!({"status": 99}), "fail_when[0].status"),
            (json!({"body": ""}), "fail_when[0].body"),
        ] {
            assert!(problem(&rules(json!([rule]))).unwrap().contains(place), "{rule}");
        }
        assert!("a b: c".parse::<FieldPattern>().is_err() && ": c".parse::<FieldPattern>().is_err());
        assert_eq!("X-Error".parse::<FieldPattern>().unwrap().to_string(), "x-error: *");
    }
}
