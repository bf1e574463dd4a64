//! `[origins.NAME.health]`: how the endpoints of a pool are probed, and what a probe's answer means.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::head::ResponseHead;
use crate::time::Span;

/// The longest body of a probe's answer that is read, in bytes.
pub const PROBE_BYTES_MAX: u64 = 64 * 1024;
/// The shortest time between two probes of an endpoint.
#[cfg(not(target_arch = "wasm32"))]
const INTERVAL_MIN: Span = Span::from_secs(1);

/// How endpoints are probed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// What is asked for, behind the endpoint's base path; nothing: no probes, what isolates have seen is all there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Box<str>>,
    /// The statuses of an endpoint that is well.
    pub status: Statuses,
    /// A text that the body of the answer has then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<str>>,
    /// The time from one probe to the next.
    pub interval: Span,
    /// How long the answer may take.
    pub timeout: Span,
    /// After so many failures in a row an endpoint is ejected.
    pub unhealthy_threshold: u32,
    /// After so many successes in a row it is back.
    pub healthy_threshold: u32,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            path: None,
            status: Statuses::default(),
            body: None,
            interval: Span::from_secs(10),
            timeout: Span::from_secs(2),
            unhealthy_threshold: 3,
            healthy_threshold: 2,
        }
    }
}

impl ProbeConfig {
    /// Whether the answer to a probe is one of an endpoint that is well, or in short why not. `body` where it was read.
    ///
    /// # Errors
    /// Where it is not.
    pub fn judge(&self, head: &ResponseHead, body: Option<&str>) -> Result<(), String> {
        if !self.status.contain(head.status) {
            return Err(["status ", &head.status.to_string()].concat());
        }
        match (&self.body, body) {
            (Some(text), Some(body)) if body.contains(&**text) => Ok(()),
            (Some(_), _) => Err("another body".into()),
            (None, _) => Ok(()),
        }
    }

    /// What is wrong with it, where something is.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn problem(&self) -> Option<String> {
        let is_path =
            |path: &str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if let Some(path) = self.path.as_ref().filter(|path| !is_path(path)) {
            return Some(format!("health.path: `{path}` is no path; allowed: such as \"/healthz\""));
        }
        if self.interval < INTERVAL_MIN {
            return Some(format!(
                "health.interval: {} is too short; allowed: from {INTERVAL_MIN} on",
                self.interval
            ));
        }
        if self.timeout > self.interval && self.timeout == Self::default().timeout {
            return Some(format!(
                "health.interval: {0} is less than health.timeout, which is {1} where nothing else is said; allowed: at \
                 least that, or a health.timeout of at most {0}",
                self.interval, self.timeout
            ));
        }
        if self.timeout == Span::ZERO || self.timeout > self.interval {
            return Some(
                "health.timeout: does not fit; allowed: more than nothing, at most health.interval".into(),
            );
        }
        (self.unhealthy_threshold == 0 || self.healthy_threshold == 0)
            .then(|| "health: a threshold of 0; allowed: 1 or more".into())
    }
}

/// Some statuses: `"2xx"`, `"200-399"`, `"200, 204"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<(u16, u16)>);

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![(200, 299)])
    }
}

impl Statuses {
    fn contain(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = |part: &str| {
            let part = part.trim();
            let (first, last) = match (part.strip_suffix("xx"), part.split_once('-')) {
                (Some(class), _) => (class.parse::<u16>().ok()? * 100, class.parse::<u16>().ok()? * 100 + 99),
                (None, Some((first, last))) => (first.trim().parse().ok()?, last.trim().parse().ok()?),
                (None, None) => (part.parse().ok()?, part.parse().ok()?),
            };
            (100 <= first && first <= last && last <= 599).then_some((first, last))
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges.map(Self).ok_or_else(|| {
            mistake!("`{text}` is no status; allowed: such as 200, \"2xx\", \"200-399\", \"200, 204\"")
        })
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            match last - first {
                0 => write!(f, "{first}")?,
                99 if first % 100 == 0 => write!(f, "{}xx", first / 100)?,
                _ => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Statuses {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A person may write one as a number; what is deployed is a text.
impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        #[cfg(not(target_arch = "wasm32"))]
        if deserializer.is_human_readable() {
            let one =
                |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let text = match serde_json::Value::deserialize(deserializer)? {
                serde_json::Value::Array(list) => list.iter().map(one).collect::<Vec<_>>().join(","),
                value => one(&value),
            };
            return text.parse().map_err(D::Error::custom);
        }
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// How far an endpoint says that it is behind: `"1.5"` (seconds), `"250ms"`.
pub fn read_lag(text: &str) -> Option<Span> {
    let text = text.trim();
    let (secs, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !(is_number(secs) && is_number(fraction)) {
        return text.parse().ok();
    }
    let thousandths = [fraction, "00"].concat().get(..3)?.parse().ok()?;
    Some(Span::from_secs(secs.parse().ok()?).saturating_add(Span::from_millis(thousandths)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statuses_are_written_as_people_do() {
        for (value, written, good, bad) in [
            (json!(200), "200", 200, 201),
            (json!("2xx"), "2xx", 299, 300),
            (json!("200-399"), "200-399", 302, 404),
            (json!([200, 204, "3xx"]), "200, 204, 3xx", 301, 205),
        ] {
            let statuses: Statuses = serde_json::from_value(value).unwrap();
            assert_eq!(statuses.to_string(), written);
            assert_eq!(written.parse(), Ok(statuses.clone()));
            assert!(statuses.contain(good) && !statuses.contain(bad), "{written}");
        }
        for wrong in ["", "ok", "99", "300-200", "6xx", "200;204"] {
            assert!(wrong.parse::<Statuses>().unwrap_err().contains("; allowed: "), "{wrong}");
        }
    }

    #[test]
    fn an_endpoint_is_well_when_status_and_body_say_so() {
        let config = ProbeConfig { body: Some("\"up\"".into()), ..ProbeConfig::default() };
        let head = ResponseHead::new;
        assert_eq!(config.judge(&head(200), Some("{\"db\":\"up\"}")), Ok(()));
        assert_eq!(config.judge(&head(200), Some("{\"db\":\"down\"}")), Err("another body".into()));
        assert_eq!(config.judge(&head(200), None), Err("another body".into()));
        assert_eq!(config.judge(&head(503), Some("\"up\"")), Err("status 503".into()));
    }

    #[test]
    fn a_lag_is_in_seconds_or_has_a_unit() {
        for (text, millis) in
            [("0", Some(0)), ("1.5", Some(1500)), ("250ms", Some(250)), (" 3s ", Some(3000))]
        {
            assert_eq!(read_lag(text).map(Span::as_millis), millis, "{text}");
        }
        for text in ["", "-1", "soon", "inf", "NaN"] {
            assert_eq!(read_lag(text), None, "{text}");
        }
    }
}
