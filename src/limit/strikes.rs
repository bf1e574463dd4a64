//! Strikes: some policies count answers instead of requests, such as refusals or the 404s of a scanner. Who collects a
//! quota of them is refused outright for a time. It is twice as long as the last one where that is not long ago, and half
//! of it is forgiven each time that as long again passes without another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::quota::Quota;
use super::sliding_window::SlidingWindow;
use crate::time::{Span, Timestamp};

/// The longest penalty.
const MAX_PENALTY: Span = Span::from_secs(30 * 86_400);
/// What a text must be to be read as a [`Penalty`].
const PENALTY_FORM: &str =
    "a time such as \"5m\", or one that grows such as \"1m to 1h\"; whole seconds, 1s to 30d";

/// For how long somebody is refused who has collected too many strikes: `"5m"`, or `"1m to 1h"` where it grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Penalty {
    /// The first time, and when enough of it is forgiven.
    pub first: Span,
    /// It does not grow beyond this.
    pub most: Span,
}

impl Default for Penalty {
    fn default() -> Self {
        Self { first: Span::from_secs(60), most: Span::from_secs(3600) }
    }
}

impl Penalty {
    /// How long the next one is, where the last was so long (zero: there was none) and is over for so long.
    fn next(self, last: Span, since: Span) -> Span {
        let halved = since.as_millis().checked_div(last.as_millis()).unwrap_or_default().min(63);
        Span::from_millis(last.as_millis().saturating_mul(2) >> halved).clamp(self.first, self.most)
    }

    /// How long after its end one of so long is forgiven wholly.
    fn forgiven_after(self, last: Span) -> Span {
        let (first, mut next, mut times) = (self.first.as_millis(), last.as_millis().saturating_mul(2), 0);
        while next > first {
            next /= 2;
            times += 1;
        }
        Span::from_millis(last.as_millis().saturating_mul(times))
    }
}

impl FromStr for Penalty {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, most) = text.split_once(" to ").unwrap_or((text, text));
        let read = |text: &str| {
            let span: Span = text.trim().parse().ok()?;
            let fits = span >= Span::from_secs(1) && span <= MAX_PENALTY;
            (fits && span.as_millis().is_multiple_of(1000)).then_some(span)
        };
        let read = read(first).zip(read(most)).filter(|(first, most)| first <= most);
        read.map(|(first, most)| Self { first, most })
            .ok_or_else(|| mistake!("`{text}` is not a penalty; allowed: {PENALTY_FORM}"))
    }
}

impl fmt::Display for Penalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        if self.most > self.first { write!(f, " to {}", self.most) } else { Ok(()) }
    }
}

text_serde!(Penalty, packed);

/// What is remembered of one client's strikes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Strikes {
    /// Those that led to no penalty so far.
    pub(super) window: SlidingWindow,
    /// When the last penalty ends, or ended.
    pub(super) ends: Timestamp,
    /// How long it is.
    pub(super) lasts: Span,
    /// From when on it makes no difference any more.
    pub(super) forgiven: Timestamp,
}

impl Strikes {
    /// Until the penalty ends; zero where there is none.
    pub(super) fn wait(&self, now: Timestamp) -> Span {
        self.ends.since(now)
    }

    pub(super) fn remaining(&self, quota: Quota, now: Timestamp) -> u32 {
        if self.ends > now { 0 } else { self.window.remaining(quota, now) }
    }

    pub(super) fn reset(&self, quota: Quota, now: Timestamp) -> Span {
        if self.ends > now { self.wait(now) } else { self.window.reset(quota, now) }
    }

    /// Adds strikes. Those of somebody who is refused already make it no longer.
    pub(super) fn add(&mut self, quota: Quota, penalty: Penalty, strikes: u32, now: Timestamp) {
        if self.ends > now {
            return;
        }
        self.window.debit(quota, strikes, now);
        if self.window.remaining(quota, now) > 0 {
            return;
        }
        self.lasts = penalty.next(self.lasts, now.since(self.ends));
        self.ends = now + self.lasts;
        self.forgiven = self.ends + penalty.forgiven_after(self.lasts);
        self.window = SlidingWindow::default();
    }

    pub(super) fn expires_at(&self) -> Timestamp {
        self.forgiven.max(self.window.expires_at())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_789_000_000);

    fn secs(secs: u64) -> Span {
        Span::from_secs(secs)
    }

    #[test]
    fn penalties_are_read_as_people_write_them() {
        for (text, first, most, back) in
            [("5m", 300, 300, "5m"), ("1m to 1h", 60, 3600, "1m to 1h"), ("60s to 60s", 60, 60, "1m")]
        {
            let penalty: Penalty = text.parse().unwrap();
            assert_eq!((penalty.first, penalty.most), (secs(first), secs(most)), "{text}");
            assert_eq!(penalty.to_string(), back);
            assert_eq!(back.parse(), Ok(penalty));
        }
        for text in ["", "0s", "500ms", "31d", "2h to 1h", "1m to", "1m-1h", "x"] {
            assert!(text.parse::<Penalty>().unwrap_err().contains("; allowed: "), "{text}");
        }
    }

    /// Collects a quota of strikes at once; how long the penalty is.
    fn strike_out(strikes: &mut Strikes, now: Timestamp) -> Span {
        let (quota, penalty) = ("3/1m".parse().unwrap(), "1m to 8m".parse().unwrap());
        for left in [2, 1, 0] {
            assert_eq!(strikes.wait(now), Span::ZERO);
            strikes.add(quota, penalty, 1, now);
            assert_eq!(strikes.remaining(quota, now), left);
        }
        assert_eq!(strikes.reset(quota, now), strikes.wait(now));
        strikes.wait(now)
    }

    #[test]
    fn a_penalty_grows_while_its_client_does_not_learn_and_is_forgiven_when_it_does() {
        let (mut strikes, mut now) = (Strikes::default(), START);
        for (mins, peace) in
            [(1, 0), (2, 0), (4, 60), (8, 60), (8, 7 * 60), (8, 8 * 60), (8, 16 * 60), (4, 12 * 60), (1, 0)]
        {
            let wait = strike_out(&mut strikes, now);
            assert_eq!(wait, secs(mins * 60), "at {now:?}");
            now = now + wait + secs(peace);
        }
    }

    #[test]
    fn strikes_that_are_far_apart_lead_to_nothing() {
        let (quota, penalty) = ("3/1m".parse().unwrap(), Penalty::default());
        let mut strikes = Strikes::default();
        for at in 0..100 {
            strikes.add(quota, penalty, 1, START + secs(at * 30));
            assert_eq!(strikes.wait(START + secs(at * 30)), Span::ZERO);
        }
    }

    #[test]
    fn who_goes_on_while_refused_is_not_refused_for_longer_and_begins_anew() {
        let (quota, penalty) = ("3/1m".parse().unwrap(), "1m to 8m".parse().unwrap());
        let mut strikes = Strikes::default();
        strike_out(&mut strikes, START);
        for at in 0..60 {
            strikes.add(quota, penalty, 5, START + secs(at));
        }
        assert_eq!(strikes.wait(START + secs(59)), secs(1));
        assert_eq!(strikes.remaining(quota, START + secs(60)), 3);
    }

    #[test]
    fn nothing_is_remembered_once_it_makes_no_difference() {
        let mut strikes = Strikes::default();
        let mut now = START;
        for _ in 0..6 {
            now = now + strike_out(&mut strikes, now);
        }
        let forgiven = strikes.expires_at();
        assert_eq!(strike_out(&mut strikes.clone(), forgiven), secs(60));
        assert!(strike_out(&mut strikes, forgiven.before(secs(1))) > secs(60));
        assert!(forgiven < now + secs(3600), "and that is soon enough");
    }
}
