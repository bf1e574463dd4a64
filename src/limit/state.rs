//! What a policy remembers between two requests of one partition, and its stored form.
//!
//! # Stored form
//! A kind byte, then unsigned LEB128 numbers: `1` sliding window (window in ms, how many moments, the first moment in
//! ms, then for each its distance to the one before and its units), `2` fixed window (end in ms, units), `3` GCRA
//! (theoretical arrival time in ns; no longer written), `4` GCRA (the same, since when something is owed and when
//! something was taken last in ms, the slack in ns), `5` strikes (when the last penalty ends, its length and when it is
//! forgiven in ms, then as a sliding window). A new meaning gets a new kind byte; an unknown one is no state. A
//! fixed window takes at most 16 bytes, a GCRA 33; a sliding window takes 2 to 6 bytes a moment, of which there are at most
//! 2001, so 12 KiB at the very most and about 2.5 KiB for a full 1000/1m.

use super::fixed_window::FixedWindow;
use super::gcra::Gcra;
use super::policy::{Algorithm, QuotaPolicy};
use super::sliding_window::{MAX_MOMENTS, SlidingWindow};
use super::strikes::Strikes;
use crate::time::{Span, Timestamp};

const SLIDING: u8 = 1;
const FIXED: u8 = 2;
const GCRA_ALONE: u8 = 3;
const GCRA: u8 = 4;
const STRIKES: u8 = 5;

/// What an algorithm remembers about one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Of [`Algorithm::SlidingWindow`] and [`Algorithm::Concurrency`].
    Sliding(SlidingWindow),
    /// Of [`Algorithm::FixedWindow`], [`Algorithm::Daily`] and [`Algorithm::Monthly`].
    Fixed(FixedWindow),
    /// Of [`Algorithm::Gcra`].
    Gcra(Gcra),
    /// Of [`Algorithm::Strikes`].
    Strikes(Strikes),
}

impl State {
    /// Whether this is what the algorithm remembers.
    pub(super) fn is_of(&self, algorithm: Algorithm) -> bool {
        matches!(
            (self, algorithm),
            (Self::Sliding(_), Algorithm::SlidingWindow | Algorithm::Concurrency)
                | (Self::Fixed(_), Algorithm::FixedWindow | Algorithm::Daily | Algorithm::Monthly)
                | (Self::Gcra(_), Algorithm::Gcra)
                | (Self::Strikes(_), Algorithm::Strikes(_))
        )
    }

    /// What the algorithm remembers before anything was taken.
    pub(super) fn empty(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::SlidingWindow | Algorithm::Concurrency => Self::Sliding(SlidingWindow::default()),
            Algorithm::FixedWindow | Algorithm::Daily | Algorithm::Monthly => {
                Self::Fixed(FixedWindow::default())
            }
            Algorithm::Gcra => Self::Gcra(Gcra::default()),
            Algorithm::Strikes(_) => Self::Strikes(Strikes::default()),
        }
    }

    /// Units that could be taken at `now`.
    pub(super) fn remaining(&self, policy: &QuotaPolicy, now: Timestamp) -> u32 {
        match self {
            Self::Sliding(window) => window.remaining(policy.quota, now),
            Self::Fixed(window) => window.remaining(policy, now),
            Self::Gcra(gcra) => gcra.remaining(policy, now),
            Self::Strikes(strikes) => strikes.remaining(policy.quota, now),
        }
    }

    /// Until more than that could be taken; zero where all could.
    pub(super) fn reset(&self, policy: &QuotaPolicy, now: Timestamp) -> Span {
        match self {
            Self::Sliding(window) => window.reset(policy.quota, now),
            Self::Fixed(window) => window.reset(policy, now),
            Self::Gcra(gcra) => gcra.reset(policy, now),
            Self::Strikes(strikes) => strikes.reset(policy.quota, now),
        }
    }

    /// Until `cost` fits: zero where it fits now, `None` where it never does.
    pub(super) fn wait(&self, policy: &QuotaPolicy, cost: u32, now: Timestamp) -> Option<Span> {
        match self {
            Self::Sliding(window) => window.wait(policy.quota, cost, now),
            Self::Fixed(window) => window.wait(policy, cost, now),
            Self::Gcra(gcra) => gcra.wait(policy, cost, now),
            Self::Strikes(strikes) => Some(strikes.wait(now)),
        }
    }

    /// Takes `cost`, whatever is left.
    pub(super) fn debit(&mut self, policy: &QuotaPolicy, cost: u32, now: Timestamp) {
        match self {
            Self::Sliding(window) => window.debit(policy.quota, cost, now),
            Self::Fixed(window) => window.debit(policy, cost, now),
            Self::Gcra(gcra) => gcra.debit(policy, cost, now),
            Self::Strikes(strikes) => {
                if let Algorithm::Strikes(penalty) = policy.algorithm {
                    strikes.add(policy.quota, penalty, cost, now);
                }
            }
        }
    }

    /// Puts units where they belong that were taken at a moment before others, or are going to be.
    pub(super) fn charge(&mut self, policy: &QuotaPolicy, units: u32, at: Timestamp) {
        match self {
            Self::Sliding(window) => window.charge(policy.quota, units, at),
            Self::Fixed(window) => window.charge(policy, units, at),
            Self::Gcra(gcra) => gcra.debit(policy, units, at),
            // They are never leased.
            Self::Strikes(_) => {}
        }
    }

    /// Gives back units that were taken at a moment, as far as they still count.
    pub(super) fn refund(&mut self, policy: &QuotaPolicy, units: u32, at: Timestamp) {
        match self {
            Self::Sliding(window) => window.refund(policy.quota, units, at),
            Self::Fixed(window) => window.refund(policy, units, at),
            Self::Gcra(gcra) => gcra.refund(policy, units, at),
            // None is taken back.
            Self::Strikes(_) => {}
        }
    }

    /// Notes how long a unit counts that is taken later.
    pub(super) fn lasts(&mut self, policy: &QuotaPolicy) {
        if let Self::Sliding(state) = self {
            state.window = policy.quota.window();
        }
    }

    /// How long a unit counts after it was taken, where that does not depend on when it was.
    pub(super) fn window(&self) -> Span {
        match self {
            Self::Sliding(state) => state.window,
            Self::Fixed(_) | Self::Gcra(_) | Self::Strikes(_) => Span::ZERO,
        }
    }

    /// From when on it is as good as no state.
    pub fn expires_at(&self) -> Timestamp {
        match self {
            Self::Sliding(window) => window.expires_at(),
            Self::Fixed(window) => window.ends,
            Self::Gcra(gcra) => gcra.expires_at(),
            Self::Strikes(strikes) => strikes.expires_at(),
        }
    }

    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sliding(window) => {
                out.push(SLIDING);
                encode_window(window, out);
            }
            Self::Fixed(window) => {
                out.push(FIXED);
                write_number(out, window.ends.as_millis());
                write_number(out, u64::from(window.used));
            }
            Self::Gcra(gcra) => {
                out.push(GCRA);
                write_number(out, gcra.tat_nanos);
                write_number(out, gcra.since.as_millis());
                write_number(out, gcra.last.as_millis());
                write_number(out, gcra.slack_nanos);
            }
            Self::Strikes(strikes) => {
                out.push(STRIKES);
                write_number(out, strikes.ends.as_millis());
                write_number(out, strikes.lasts.as_millis());
                write_number(out, strikes.forgiven.as_millis());
                encode_window(&strikes.window, out);
            }
        }
    }

    /// Reads a stored form from the front of `bytes` and moves it behind. `None` where it is not one.
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        *bytes = rest;
        match *kind {
            SLIDING => decode_window(bytes).map(Self::Sliding),
            FIXED => {
                let ends = Timestamp::from_millis(read_number(bytes)?);
                let used = u32::try_from(read_number(bytes)?).ok()?;
                Some(Self::Fixed(FixedWindow { ends, used }))
            }
            GCRA_ALONE => {
                let tat_nanos = read_number(bytes)?;
                // Nothing is given back of what was taken then.
                let never = Timestamp::from_millis(u64::MAX);
                Some(Self::Gcra(Gcra { tat_nanos, since: never, last: never, slack_nanos: 0 }))
            }
            GCRA => {
                let tat_nanos = read_number(bytes)?;
                let since = Timestamp::from_millis(read_number(bytes)?);
                let last = Timestamp::from_millis(read_number(bytes)?);
                Some(Self::Gcra(Gcra { tat_nanos, since, last, slack_nanos: read_number(bytes)? }))
            }
            STRIKES => {
                let ends = Timestamp::from_millis(read_number(bytes)?);
                let lasts = Span::from_millis(read_number(bytes)?);
                let forgiven = Timestamp::from_millis(read_number(bytes)?);
                Some(Self::Strikes(Strikes { window: decode_window(bytes)?, ends, lasts, forgiven }))
            }
            _ => None,
        }
    }
}

fn encode_window(window: &SlidingWindow, out: &mut Vec<u8>) {
    write_number(out, window.window.as_millis());
    write_number(out, window.taken.len() as u64);
    let mut before = 0;
    for (at, units) in &window.taken {
        write_number(out, at.as_millis().saturating_sub(before));
        write_number(out, u64::from(*units));
        before = at.as_millis();
    }
}

fn decode_window(bytes: &mut &[u8]) -> Option<SlidingWindow> {
    let window = Span::from_millis(read_number(bytes)?);
    let moments = usize::try_from(read_number(bytes)?).ok().filter(|n| *n <= MAX_MOMENTS)?;
    let mut state = SlidingWindow { taken: Vec::with_capacity(moments).into(), window };
    let mut at = 0_u64;
    for _ in 0..moments {
        at = at.checked_add(read_number(bytes)?)?;
        let units = u32::try_from(read_number(bytes)?).ok()?;
        state.taken.push_back((Timestamp::from_millis(at), units));
    }
    Some(state)
}

/// Writes an unsigned LEB128 number.
pub(super) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads an unsigned LEB128 number and moves `bytes` behind it.
pub(super) fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_nothing_is_read_past_the_end() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            assert_eq!(read_number(&mut bytes.as_slice()), Some(number));
            bytes.pop();
            assert_eq!(read_number(&mut bytes.as_slice()), None);
        }
        assert_eq!(read_number(&mut [0xff; 10].as_slice()), None, "more than 64 bits");
    }

    #[test]
    fn a_window_of_too_many_moments_is_none() {
        for (moments, is_state) in [(MAX_MOMENTS, true), (MAX_MOMENTS + 1, false)] {
            let mut bytes = vec![SLIDING];
            write_number(&mut bytes, 1000);
            write_number(&mut bytes, moments as u64);
            bytes.resize(bytes.len() + 2 * moments, 1);
            assert_eq!(State::decode(&mut bytes.as_slice()).is_some(), is_state);
        }
    }

    #[test]
    fn strikes_read_back() {
        let (quota, penalty) = ("3/1m".parse().unwrap(), "1m to 1h".parse().unwrap());
        let (mut strikes, now) = (Strikes::default(), Timestamp::from_secs(1_789_000_000));
        for at in [0, 5, 10, 100, 101, 130] {
            strikes.add(quota, penalty, 1, now + Span::from_secs(at));
            let mut bytes = Vec::new();
            State::Strikes(strikes.clone()).encode(&mut bytes);
            assert_eq!(State::decode(&mut bytes.as_slice()), Some(State::Strikes(strikes.clone())));
            assert_eq!(State::decode(&mut bytes.split_last().unwrap().1), None);
        }
    }

    #[test]
    fn what_is_no_state_is_none() {
        for bytes in [
            [].as_slice(),
            &[0],
            &[9, 1],
            &[SLIDING, 1, 2, 1, 1],
            &[SLIDING, 1, 0xff, 0xff, 0x7f],
            &[FIXED, 1],
        ] {
            assert_eq!(State::decode(&mut &*bytes), None, "{bytes:?}");
        }
    }
}
