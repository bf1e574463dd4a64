//! How many units in how long.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::size::Size;
use crate::time::Span;

/// The largest number of units that a quota may have.
pub const MAX_AMOUNT: u32 = 100_000_000;
/// The longest window, in seconds: 366 days.
pub const MAX_WINDOW_SECS: u64 = 366 * 86_400;
/// A day.
pub const DAY_SECS: u64 = 86_400;
/// A month at its longest.
pub const MONTH_SECS: u64 = 31 * DAY_SECS;
/// What a text must be to be read as a [`Quota`].
pub const QUOTA_FORM: &str = "a quota such as \"100/1m\", \"5/15m\", \"10/hour\", \"1000/60s\" (1 to 100000000 units, \
                              a window of whole seconds, 1s to 366d), of bytes \"10MiB/1m\"";

/// A number of quota units (`q`) in a window (`w`): `"100/1m"`, `"5/15m"`, `"10/h"`. Neither is ever zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Quota {
    amount: NonZeroU32,
    window_secs: NonZeroU32,
}

impl Quota {
    /// From units and a window in seconds; `None` where either is out of bounds.
    pub fn new(amount: u32, window_secs: u64) -> Option<Self> {
        if amount > MAX_AMOUNT || window_secs > MAX_WINDOW_SECS {
            return None;
        }
        let window_secs = NonZeroU32::new(u32::try_from(window_secs).ok()?)?;
        Some(Self { amount: NonZeroU32::new(amount)?, window_secs })
    }

    /// How many units, 1 to [`MAX_AMOUNT`].
    pub const fn amount(self) -> u32 {
        self.amount.get()
    }

    /// Whether a text that is read as a quota has bytes for units.
    pub fn is_of_bytes(text: &str) -> bool {
        text.split('/').next().is_some_and(|amount| amount.contains(|c: char| c.is_ascii_alphabetic()))
            && text.parse::<Self>().is_ok()
    }

    /// So many times the units in the same window; never more than [`MAX_AMOUNT`].
    pub fn times(self, times: NonZeroU32) -> Self {
        let most = NonZeroU32::new(MAX_AMOUNT).unwrap_or(self.amount);
        Self { amount: self.amount.saturating_mul(times).min(most), ..self }
    }

    /// The window in seconds, 1 to [`MAX_WINDOW_SECS`].
    pub const fn window_secs(self) -> u64 {
        self.window_secs.get() as u64
    }

    /// The window.
    pub const fn window(self) -> Span {
        Span::from_secs(self.window_secs())
    }
}

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| mistake!("`{text}` is not a quota; allowed: {QUOTA_FORM}"))
    }
}

fn read(text: &str) -> Option<Quota> {
    let (amount, window) = text.split_once('/')?;
    let (amount, window) = (amount.trim(), window.trim());
    let amount = if amount.bytes().all(|b| b.is_ascii_digit()) {
        amount.parse().ok()?
    } else {
        u32::try_from(amount.parse::<Size>().ok()?.bytes()).ok()?
    };
    let window: Span = match window.as_bytes().first()? {
        _ if window == "day" => Span::from_secs(DAY_SECS),
        _ if window == "month" => Span::from_secs(MONTH_SECS),
        _ if window == "hour" => Span::from_secs(3600),
        _ if window == "minute" => Span::from_secs(60),
        _ if window == "second" => Span::from_secs(1),
        b'0'..=b'9' => window.parse().ok()?,
        _ => format!("1{window}").parse().ok()?,
    };
    if !window.as_millis().is_multiple_of(1000) {
        return None;
    }
    Quota::new(amount, window.as_secs())
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.amount, self.window())
    }
}

text_serde!(Quota, packed);

/// What a tier is entitled to: a [`Quota`], so many times the policy's own (`"5x"`), or `"unlimited"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Allowance {
    /// So much, and no more.
    Quota(Quota),
    /// So many times the policy's `quota`.
    Times(NonZeroU32),
    /// Nothing is counted.
    Unlimited,
}

impl FromStr for Allowance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unlimited" => Ok(Self::Unlimited),
            _ => match text.strip_suffix('x').map(str::parse) {
                Some(Ok(times)) => Ok(Self::Times(times)),
                _ => {
                    let quota = text.parse().map(Self::Quota);
                    quota.map_err(|wrong| {
                        mistake!("{wrong}, \"5x\" for so many times `quota`, or \"unlimited\"")
                    })
                }
            },
        }
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quota(quota) => quota.fmt(f),
            Self::Times(times) => write!(f, "{times}x"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

text_serde!(Allowance, packed);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read_as_people_write_them() {
        for (text, amount, secs, back) in [
            ("100/1m", 100, 60, "100/1m"),
            ("5/15m", 5, 900, "5/15m"),
            ("10/h", 10, 3600, "10/1h"),
            ("1000/60s", 1000, 60, "1000/1m"),
            (" 7 / d ", 7, 86_400, "7/1d"),
            ("7/day", 7, 86_400, "7/1d"),
            ("10/hour", 10, 3600, "10/1h"),
            ("10/minute", 10, 60, "10/1m"),
            ("10/second", 10, 1, "10/1s"),
            ("9/month", 9, 31 * 86_400, "9/31d"),
            ("10MiB/1m", 10_485_760, 60, "10485760/1m"),
            ("20kB/1h", 20_000, 3600, "20000/1h"),
        ] {
            let quota: Quota = text.parse().unwrap();
            assert_eq!((quota.amount(), quota.window_secs()), (amount, secs), "{text}");
            assert_eq!(quota.to_string(), back);
            assert_eq!(back.parse(), Ok(quota));
        }
    }

    #[test]
    fn a_quota_of_bytes_is_told_from_one_of_requests() {
        for (text, is) in
            [("10KiB/1m", true), ("5B / 1m", true), ("100/1m", false), ("unlimited", false), ("5x", false)]
        {
            assert_eq!(Quota::is_of_bytes(text), is, "{text}");
        }
    }

    #[test]
    fn what_is_no_quota_is_refused_with_what_is_allowed() {
        for text in [
            "",
            "100",
            "100/",
            "/1m",
            "0/1m",
            "1/0s",
            "1/500ms",
            "+1/1m",
            "100000001/1m",
            "1/2y",
            "1/x",
            "-1/m",
        ] {
            let wrong = text.parse::<Quota>().unwrap_err();
            assert!(wrong.contains("; allowed: "), "{text}: {wrong}");
        }
        assert_eq!("unlimited".parse(), Ok(Allowance::Unlimited));
        assert_eq!("5x".parse(), Ok(Allowance::Times(NonZeroU32::new(5).unwrap())));
        for text in ["0x", "x", "-5x", "1.5x", "5 x", "5X"] {
            assert!(text.parse::<Allowance>().is_err(), "{text}");
        }
        assert!("Unlimited".parse::<Allowance>().unwrap_err().ends_with("or \"unlimited\""));
    }
}
