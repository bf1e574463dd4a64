//! Time as data: the core never asks a clock, it is given a [`Timestamp`].

use std::fmt;
use std::ops::Add;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since the UNIX epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the UNIX epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the UNIX epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the UNIX epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the UNIX epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// How long ago `earlier` was; zero where it lies in the future.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// So much earlier, but not before the epoch.
    pub const fn before(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// Reads an HTTP-date in any of its three forms (RFC 9110, section 5.6.7).
    pub fn from_http_date(text: &str) -> Option<Self> {
        let moment = httpdate::parse_http_date(text).ok()?;
        let since_epoch = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Self(u64::try_from(since_epoch.as_millis()).ok()?))
    }

    /// Year, month and date.
    fn civil(self) -> (u64, u64, u64) {
        // Days are counted from a 1 March, so that leap days stand at the end of their years (of 400, 100, 4 and 1).
        let days = self.as_secs() / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let (date, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
        (year + era * 400 + u64::from(month <= 2), month, date)
    }

    /// The first day of its month and that of the next one, in days since the UNIX epoch.
    pub fn month_days(self) -> (u64, u64) {
        let (year, month, date) = self.civil();
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u64::from(is_leap),
            _ => 31,
        };
        let first = self.as_secs() / 86_400 + 1 - date;
        (first, first + days)
    }

    /// Writes an Internet timestamp in whole seconds (RFC 3339).
    pub fn to_iso(self) -> String {
        let ((year, month, date), second) = (self.civil(), self.as_secs() % 86_400);
        let mut text = String::with_capacity(20);
        let parts = [
            (year / 100, ""),
            (year % 100, "-"),
            (month, "-"),
            (date, "T"),
            (second / 3600, ":"),
            (second / 60 % 60, ":"),
            (second % 60, "Z"),
        ];
        for (number, after) in parts {
            text.extend([number / 10 % 10, number % 10].map(|digit| char::from(b'0' + digit as u8)));
            text.push_str(after);
        }
        text
    }

    /// Writes an IMF-fixdate (RFC 9110, section 5.6.7).
    pub fn to_http_date(self) -> String {
        httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_millis(self.0))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// A length of time, in milliseconds. In a config it is written as `"250ms"`, `"60s"`, `"5m"`, `"1h"`,
/// `"1d"`, `"1w"`, `"1y"` (365 days), or several of them one after the other (`"1h30m"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// For ever.
    pub const MAX: Self = Self(u64::MAX);

    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Whole seconds, rounded up: what a client that waits so long may rely on.
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(1000)
    }

    /// The sum, or the largest span there is.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

const UNITS: [(&str, u64); 7] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("y", 31_536_000_000),
];

/// What a text must be to be read as a [`Span`].
pub const SPAN_FORM: &str = "a duration such as \"250ms\", \"60s\", \"5m\", \"1h\", \"1d\", \"1y\"";

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || mistake!("`{text}` is not a duration; allowed: {SPAN_FORM}");
        let mut rest = text.trim();
        let mut total = 0_u64;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            let part = number.checked_mul(*millis).ok_or_else(wrong)?;
            total = total.checked_add(part).ok_or_else(wrong)?;
            rest = tail;
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let largest =
            UNITS.iter().rev().find(|(_, millis)| self.0 >= *millis && self.0.is_multiple_of(*millis));
        match largest {
            Some((unit, millis)) => write!(f, "{}{unit}", self.0 / millis),
            None => write!(f, "0s"),
        }
    }
}

text_serde!(Span, packed);

/// A count of seconds as HTTP caching writes it, capped at 2^31 (RFC 9111, section 1.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeltaSeconds(u32);

impl DeltaSeconds {
    /// The largest value that is kept: 2^31.
    pub const MAX: Self = Self(1 << 31);

    /// From a number; what is larger than [`Self::MAX`] becomes it.
    pub const fn new(secs: u64) -> Self {
        if secs >= Self::MAX.0 as u64 { Self::MAX } else { Self(secs as u32) }
    }

    /// Reads `1*DIGIT`; overflow becomes [`Self::MAX`], anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(text.parse::<u64>().map_or(Self::MAX, Self::new))
    }

    /// The number of seconds.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// As a [`Span`].
    pub const fn span(self) -> Span {
        Span::from_secs(self.0 as u64)
    }
}

impl From<Span> for DeltaSeconds {
    fn from(span: Span) -> Self {
        Self::new(span.as_secs())
    }
}

impl fmt::Display for DeltaSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, secs) in [("60s", 60), ("5m", 300), ("1h", 3600), ("1y", 31_536_000), ("1h30m", 5400)] {
            assert_eq!(text.parse::<Span>().unwrap(), Span::from_secs(secs), "{text}");
        }
        for text in ["", "60", "s", "1 h", "5x", "-1s", "99999999999999999999s", "1m30"] {
            assert!(text.parse::<Span>().unwrap_err().contains("allowed"), "{text}");
        }
    }

    #[test]
    fn durations_are_written_so_that_they_read_back() {
        for text in ["250ms", "60s", "90s", "1h", "1y", "0s"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text}");
        }
    }

    #[test]
    fn moments_are_written_as_rfc3339_has_them() {
        for (text, secs) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2024-12-31T01:02:03Z", 1_735_606_923),
            ("2026-09-10T00:26:40Z", 1_789_000_000),
            ("2100-02-28T12:00:00Z", 4_107_499_200),
        ] {
            assert_eq!(Timestamp::from_secs(secs).to_iso(), text);
        }
    }

    #[test]
    fn delta_seconds_overflow_to_the_cap() {
        assert_eq!(DeltaSeconds::parse("99999999999999999999"), Some(DeltaSeconds::MAX));
        assert_eq!(DeltaSeconds::parse("2147483649"), Some(DeltaSeconds::MAX));
        assert_eq!(DeltaSeconds::parse("60"), Some(DeltaSeconds::new(60)));
        for text in ["", "-1", "1.5", "+1", " 1", "0x1"] {
            assert_eq!(DeltaSeconds::parse(text), None, "{text}");
        }
    }
}
