//! What a request costs, and what is not counted after all.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::quota::MAX_AMOUNT;
use crate::head::{RequestHead, ResponseHead};
use crate::size::Size;

/// What a text must be to be read as a [`Cost`].
const COST_FORM: &str = "a number of units, \"request-bytes\", \"request-bytes/1KiB\", \"header:NAME\" (of the origin's \
                         response) or \"header:NAME:5\" (5 units until it is known)";
/// What a text must be to be read as an [`AnswerKind`].
const KIND_FORM: &str =
    "\"hit\", \"refused\", a class of statuses such as \"5xx\", or a status such as \"304\"";

/// How many units a request takes. In a config a number, or a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Cost {
    /// So many, whatever it is.
    Units(NonZeroU32),
    /// One for each begun so many bytes of its content, and at least one.
    RequestBytes(NonZeroU32),
    /// As many as a field of the origin's response says; until that is known, and where there is none, `first`.
    Header {
        /// The field, in lower case.
        name: Box<str>,
        /// Taken before the origin is asked.
        first: NonZeroU32,
    },
}

impl Default for Cost {
    fn default() -> Self {
        Self::Units(NonZeroU32::MIN)
    }
}

impl Cost {
    /// What is taken before the request goes on. `None`: that depends on a length which the request does not tell.
    pub fn taken(&self, request: &RequestHead) -> Option<NonZeroU32> {
        match self {
            Self::Units(units) => Some(*units),
            Self::Header { first, .. } => Some(*first),
            Self::RequestBytes(each) => {
                let bytes: u64 = request.fields.get("content-length")?.trim().parse().ok()?;
                let units = u32::try_from(bytes.div_ceil(u64::from(each.get()))).unwrap_or(u32::MAX);
                Some(NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN))
            }
        }
    }

    /// What the request cost in the end, by what the origin answered; at most [`MAX_AMOUNT`].
    pub fn settled(&self, taken: NonZeroU32, response: &ResponseHead) -> u32 {
        let Self::Header { name, .. } = self else { return taken.get() };
        let told = response.fields.get(name).map(str::trim);
        let told = told.filter(|told| !told.is_empty() && told.bytes().all(|b| b.is_ascii_digit()));
        told.map_or(taken.get(), |told| told.parse().unwrap_or(MAX_AMOUNT).min(MAX_AMOUNT))
    }

    /// The least that a request takes.
    pub fn least(&self) -> NonZeroU32 {
        match self {
            Self::Units(units) => *units,
            Self::RequestBytes(_) => NonZeroU32::MIN,
            Self::Header { first, .. } => *first,
        }
    }

    /// Whether a unit is a byte of content.
    pub fn is_bytes(&self) -> bool {
        *self == Self::RequestBytes(NonZeroU32::MIN)
    }

    /// Whether a unit can be a byte: of the content, or of what the origin counts.
    pub fn may_be_bytes(&self) -> bool {
        self.is_bytes() || matches!(self, Self::Header { .. })
    }

    fn write_for_people<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Units(units) => units.serialize(serializer),
            _ => serializer.collect_str(self),
        }
    }

    fn read_from_people<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CostVisitor)
    }
}

packed_serde!(Cost);

impl FromStr for Cost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| mistake!("`{text}` is not a cost; allowed: {COST_FORM}"))
    }
}

fn read(text: &str) -> Option<Cost> {
    let (kind, rest) = text.split_once([':', '/']).unwrap_or((text, ""));
    match kind {
        "request-bytes" if text == kind => Some(Cost::RequestBytes(NonZeroU32::MIN)),
        "request-bytes" if text.starts_with("request-bytes/") => {
            let each = rest.parse::<Size>().ok()?.bytes();
            Some(Cost::RequestBytes(NonZeroU32::new(u32::try_from(each).ok()?)?))
        }
        "header" if text.starts_with("header:") => {
            let (name, first) = rest.split_once(':').unwrap_or((rest, "1"));
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let first = first.parse().ok()?;
            is_name.then(|| Cost::Header { name: name.to_ascii_lowercase().into(), first })
        }
        _ => text.parse().ok().map(Cost::Units),
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units(units) => units.fmt(f),
            Self::RequestBytes(NonZeroU32::MIN) => f.write_str("request-bytes"),
            Self::RequestBytes(each) => write!(f, "request-bytes/{each}B"),
            Self::Header { name, first } => write!(f, "header:{name}:{first}"),
        }
    }
}

struct CostVisitor;

impl Visitor<'_> for CostVisitor {
    type Value = Cost;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a cost; allowed: {COST_FORM}")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Cost, E> {
        let units = u32::try_from(number).ok().and_then(NonZeroU32::new);
        units
            .map(Cost::Units)
            .ok_or_else(|| E::custom(mistake!("`{number}` is not a cost; allowed: {COST_FORM}")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cost, E> {
        text.parse().map_err(E::custom)
    }
}

/// A kind of answer: one that does not count, so that what was taken for it is given back, or one that is a strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum AnswerKind {
    /// A stored response, for which the origin was not asked.
    Hit,
    /// The client is over a quota.
    Refused,
    /// Any status that begins with this digit.
    Class(u8),
    /// This status.
    Status(u16),
}

impl AnswerKind {
    /// Whether an answer is of this kind.
    pub fn is(self, status: u16, is_hit: bool, is_refused: bool) -> bool {
        match self {
            Self::Hit => is_hit,
            Self::Refused => is_refused,
            Self::Class(digit) => status / 100 == u16::from(digit),
            Self::Status(one) => status == one,
        }
    }
}

impl FromStr for AnswerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let class =
            text.strip_suffix("xx").and_then(|digit| digit.parse().ok()).filter(|d| (1..=5).contains(d));
        let status = text.parse().ok().filter(|status| (100..=599).contains(status));
        match (text, class, status) {
            ("hit", ..) => Ok(Self::Hit),
            ("refused", ..) => Ok(Self::Refused),
            (_, Some(digit), _) => Ok(Self::Class(digit)),
            (_, _, Some(status)) => Ok(Self::Status(status)),
            _ => Err(mistake!("`{text}` is no kind of answer; allowed: {KIND_FORM}")),
        }
    }
}

impl fmt::Display for AnswerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit => f.write_str("hit"),
            Self::Refused => f.write_str("refused"),
            Self::Class(digit) => write!(f, "{digit}xx"),
            Self::Status(status) => status.fmt(f),
        }
    }
}

text_serde!(AnswerKind, packed);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Method;

    fn cost(text: &str) -> Cost {
        text.parse().unwrap()
    }

    #[test]
    fn costs_are_read_as_people_write_them() {
        for (text, back) in [
            ("5", "5"),
            ("request-bytes", "request-bytes"),
            ("request-bytes/1KiB", "request-bytes/1024B"),
            ("header:X-Cost", "header:x-cost:1"),
            ("header:x-cost:10", "header:x-cost:10"),
        ] {
            assert_eq!(cost(text).to_string(), back);
            assert_eq!(cost(back), cost(text));
            let json = serde_json::to_string(&cost(text)).unwrap();
            assert_eq!(serde_json::from_str::<Cost>(&json).unwrap(), cost(text), "{json}");
        }
        for text in [
            "",
            "0",
            "-1",
            "bytes",
            "request-bytes/0B",
            "request-bytes/",
            "header:",
            "header:a b",
            "header:x:0",
        ] {
            assert!(text.parse::<Cost>().unwrap_err().contains("; allowed: "), "{text}");
        }
        for json in ["0", "-1", "true", "5000000000"] {
            assert!(serde_json::from_str::<Cost>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_request_costs_by_its_size_as_far_as_it_tells() {
        let mut request = RequestHead::new(Method::Post, "https://a.example/").unwrap();
        let taken = |request: &RequestHead, text: &str| cost(text).taken(request).map(NonZeroU32::get);
        assert_eq!((taken(&request, "request-bytes"), taken(&request, "7")), (None, Some(7)));
        for (length, bytes, kib) in
            [("0", 1, 1), ("1024", 1024, 1), ("1025", 1025, 2), ("99999999999", u32::MAX, 97_656_250)]
        {
            request.fields.insert("content-length", length);
            assert_eq!(taken(&request, "request-bytes"), Some(bytes), "{length}");
            assert_eq!(taken(&request, "request-bytes/1KiB"), Some(kib), "{length}");
        }
    }

    #[test]
    fn what_the_origin_says_counts_in_the_end() {
        let taken = NonZeroU32::new(10).unwrap();
        for (value, units) in [
            (Some("37"), 37),
            (Some(" 0 "), 0),
            (Some("x"), 10),
            (Some("-3"), 10),
            (Some("+3"), 10),
            (Some(""), 10),
            (Some("100000001"), MAX_AMOUNT),
            (Some("99999999999"), MAX_AMOUNT),
            (Some("99999999999999999999999999"), MAX_AMOUNT),
            (None, 10),
        ] {
            let mut response = ResponseHead::new(200);
            value.into_iter().for_each(|value| response.fields.append("x-cost", value));
            assert_eq!(cost("header:x-cost:10").settled(taken, &response), units, "{value:?}");
            assert_eq!(cost("10").settled(taken, &response), 10);
        }
    }

    #[test]
    fn kinds_of_answers_are_told_apart() {
        for (text, status, is_hit, is) in [
            ("hit", 200, true, true),
            ("hit", 200, false, false),
            ("5xx", 503, false, true),
            ("5xx", 499, false, false),
            ("304", 304, false, true),
            ("304", 305, false, false),
            ("refused", 200, true, false),
        ] {
            let kind: AnswerKind = text.parse().unwrap();
            assert_eq!(kind.is(status, is_hit, false), is, "{text} {status}");
            assert_eq!(kind.to_string(), text);
        }
        assert!(AnswerKind::Refused.is(429, false, true));
        for text in ["", "0xx", "6xx", "99", "600", "miss"] {
            assert!(text.parse::<AnswerKind>().unwrap_err().contains("; allowed: "), "{text}");
        }
    }
}
