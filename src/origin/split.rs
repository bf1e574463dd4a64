//! Read replicas: writes go to a pool's primary, reads to its replicas, and what a client wrote decides which of them
//! may answer it.
//!
//! A replica is known to be past a write by its position (exact), or by its lag: what it shows is at most so old. Of one
//! that says nothing it is assumed that it is at most `lag_max` behind.

use serde::{Deserialize, Serialize};

use super::bookmark::Bookmark;
use super::pool::{Endpoint, Pool, PoolState};
use super::select::Set;
use crate::head::{Fields, Method};
use crate::time::{Span, Timestamp};

/// `split`: which endpoint is written to, and which ones are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// The endpoint that is written to: its URL, or where the pool has `endpoints` its name.
    pub primary: Box<str>,
    /// Those that are read, in the same form.
    pub replicas: Vec<Box<str>>,
    /// How far behind a replica may be: one that says that it is more is not read, and of one that says nothing it is
    /// assumed that it is not.
    #[serde(default = "ten_seconds")]
    pub lag_max: Span,
    /// The field in which a replica says how many seconds it is behind.
    #[serde(default = "lag_header")]
    pub lag_header: Box<str>,
    /// The field in which the primary says where a write stands in its log, and a replica how far it has come.
    #[serde(default = "position_header")]
    pub position_header: Box<str>,
    /// A path that replicas are asked for to learn of their lag; nothing is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Box<str>>,
    /// How often an isolate asks for it at most.
    #[serde(default = "one_second")]
    pub probe_every: Span,
    /// How a client is given its bookmark.
    #[serde(default)]
    pub bookmark: Carrier,
    /// How long a bookmark holds, and how long a stored response is reused without asking an endpoint.
    #[serde(default = "ten_minutes")]
    pub bookmark_ttl: Span,
}

fn ten_seconds() -> Span {
    Span::from_secs(10)
}

fn one_second() -> Span {
    Span::from_secs(1)
}

fn ten_minutes() -> Span {
    Span::from_secs(600)
}

fn lag_header() -> Box<str> {
    "X-Replication-Lag".into()
}

fn position_header() -> Box<str> {
    "X-Replication-Position".into()
}

/// How a client is given its bookmark. It may show it either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// In a cookie and in a field.
    #[default]
    Both,
    /// In the cookie `tidegate_bookmark`.
    Cookie,
    /// In the field `X-Tidegate-Bookmark`.
    Header,
}

/// The two sides of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The endpoint that is written to.
    pub primary: usize,
}

/// How long what a replica said of its lag is news; after that somebody may ask again.
const NEWS_FOR: Span = Span::from_secs(10);

/// What one isolate knows of a replica.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// When it said so.
    at: Timestamp,
    /// It shows what was written until then.
    as_of: Option<Timestamp>,
    /// How far it has come.
    position: Option<u64>,
}

impl SplitConfig {
    /// The name in `lag_header` as fields have it.
    fn read<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
        fields.get(&name.to_ascii_lowercase()).map(str::trim)
    }
}

impl Split {
    /// Of these endpoints, which a checked config names. The primary comes after all replicas.
    pub(super) fn new(config: &SplitConfig, endpoints: &mut [Endpoint]) -> Option<Self> {
        let is_primary = |endpoint: &Endpoint| {
            *endpoint.name == *config.primary
                || endpoint.url.to_string() == config.primary.trim_end_matches('/')
        };
        let primary = endpoints.iter().position(is_primary)?;
        let last = endpoints.iter().map(|endpoint| endpoint.priority).max()?;
        endpoints.get_mut(primary)?.priority = last.saturating_add(1);
        Some(Self { primary })
    }
}

impl PoolState {
    /// The endpoints that a request may not go to: for all but GET and HEAD the replicas; else those that are too far
    /// behind, or not known to be past the client's last write.
    pub fn barred(&self, pool: &Pool, method: &Method, bookmark: Option<&Bookmark>, now: Timestamp) -> Set {
        let (Some(split), Some(config)) = (&pool.split, &pool.config.split) else { return Set::EMPTY };
        if !matches!(method, Method::Get | Method::Head) {
            return Set::of((0..pool.endpoints.len()).filter(|at| *at != split.primary));
        }
        let bookmark = bookmark
            .map(|mark| Bookmark { position: mark.position.filter(|_| mark.pool == pool.hash), ..*mark });
        let states = self.endpoints.iter().enumerate();
        let may =
            |at: usize, seen: &Seen| at == split.primary || seen.may_be_read(config, bookmark.as_ref(), now);
        Set::of(states.filter(|(at, state)| !may(*at, &state.seen)).map(|(at, _)| at))
    }

    /// What a response says of how far behind its endpoint is. `sent`: when it was asked for. Returns the moment up to
    /// which it shows all writes, where it tells.
    pub fn heed(&mut self, pool: &Pool, at: usize, fields: &Fields, sent: Timestamp) -> Option<Timestamp> {
        let config = pool.config.split.as_ref()?;
        let position = SplitConfig::read(fields, &config.position_header).and_then(position);
        let lag = SplitConfig::read(fields, &config.lag_header).and_then(lag);
        self.note(pool, at, lag, position, sent)
    }

    /// The same for the text that a probe was answered with.
    pub fn heed_text(&mut self, pool: &Pool, at: usize, text: &str, sent: Timestamp) {
        self.note(pool, at, lag(text.trim()), None, sent);
    }

    fn note(
        &mut self,
        pool: &Pool,
        at: usize,
        lag: Option<Span>,
        position: Option<u64>,
        sent: Timestamp,
    ) -> Option<Timestamp> {
        let is_primary = pool.split.is_some_and(|split| split.primary == at);
        let state =
            self.endpoints.get_mut(at).filter(|_| !is_primary && (lag.is_some() || position.is_some()))?;
        let as_of = lag.map(|lag| sent.before(lag));
        state.seen = Seen { at: sent, as_of, position };
        state.lag = lag.or(state.lag);
        as_of
    }

    /// Whether the replicas are to be asked for their lag now, by whoever asks this.
    pub fn probe_due(&mut self, pool: &Pool, now: Timestamp) -> bool {
        let config = pool.config.split.as_ref().filter(|config| config.probe.is_some());
        let due = config.is_some_and(|config| now.since(self.probed) >= config.probe_every);
        if due {
            self.probed = now;
        }
        due
    }
}

impl Pool {
    /// How far what an endpoint answered may be behind the moment at which its answer came. `as_of` is what
    /// [`PoolState::heed`] said; with a bookmark, the endpoint was one that is past it.
    pub fn behind(
        &self,
        at: usize,
        as_of: Option<Timestamp>,
        bookmark: Option<&Bookmark>,
        (sent, came): (Timestamp, Timestamp),
    ) -> Span {
        let (Some(split), Some(config)) = (&self.split, &self.config.split) else { return Span::ZERO };
        if split.primary == at {
            return came.since(sent);
        }
        let as_of = as_of.unwrap_or_else(|| sent.before(config.lag_max));
        came.since(bookmark.map_or(as_of, |mark| as_of.max(mark.at)))
    }

    /// The replicas, by their index.
    pub fn replicas(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        let primary = self.split.map(|split| split.primary);
        self.endpoints.iter().enumerate().filter(move |(at, _)| primary.is_some_and(|primary| primary != *at))
    }
}

impl Seen {
    fn may_be_read(&self, config: &SplitConfig, bookmark: Option<&Bookmark>, now: Timestamp) -> bool {
        let is_news = now.since(self.at) < NEWS_FOR;
        let Some(mark) = bookmark else {
            return !(is_news && self.as_of.is_some_and(|as_of| self.at.since(as_of) > config.lag_max));
        };
        match (mark.position, self.position) {
            (Some(written), Some(come)) if come >= written => return true,
            (Some(_), Some(_)) if is_news => return false,
            _ => {}
        }
        match self.as_of {
            Some(as_of) if as_of >= mark.at => true,
            Some(_) if is_news => false,
            _ => now >= mark.at + config.lag_max,
        }
    }
}

/// A position in a log: a number, or as PostgreSQL writes it two hexadecimal halves (`16/B374D848`).
pub fn position(text: &str) -> Option<u64> {
    match text.split_once('/') {
        Some((high, low)) => {
            let half = |text: &str| u32::from_str_radix(text, 16).ok().map(u64::from);
            Some(half(high)? << 32 | half(low)?)
        }
        None => text.parse().ok(),
    }
}

/// How far behind at the most: seconds as a decimal number, of which what follows the last digit may be cut off, or a
/// duration.
fn lag(text: &str) -> Option<Span> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let Ok(secs) = whole.parse::<u64>() else { return text.parse().ok() };
    let mut millis = secs.checked_mul(1000)?;
    let mut digit_millis = 1000;
    for digit in fraction.chars() {
        let digit = u64::from(digit.to_digit(10)?);
        digit_millis /= 10;
        millis = millis.saturating_add(digit * digit_millis);
    }
    Some(Span::from_millis(millis.saturating_add(digit_millis.max(1))))
}

#[cfg(test)]
mod tests;
