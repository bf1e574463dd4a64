//! When a day begins.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A time of the day in UTC, to the minute: `"06:30"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct TimeOfDay {
    minute: u16,
}

impl TimeOfDay {
    /// In minutes after 00:00 UTC.
    pub fn minute(self) -> u16 {
        self.minute
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| {
            mistake!("`{text}` is not a time of the day; allowed: \"00:00\" to \"23:59\", which is UTC")
        })
    }
}

fn read(text: &str) -> Option<TimeOfDay> {
    let (hour, minute) = text.split_once(':')?;
    if [hour, minute].iter().any(|part| part.len() != 2 || !part.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(TimeOfDay { minute: hour * 60 + minute })
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

text_serde!(TimeOfDay, packed);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_day_is_read_and_written() {
        for (text, minute) in [("00:00", 0), ("06:30", 390), ("23:59", 1439)] {
            let time: TimeOfDay = text.parse().unwrap();
            assert_eq!((time.minute(), time.to_string().as_str()), (minute, text));
        }
        for text in ["", "24:00", "06:60", "6:30", "06:3", "+6:30", "06-30", "06:30:00"] {
            assert!(text.parse::<TimeOfDay>().unwrap_err().contains("; allowed: "), "{text}");
        }
    }
}
