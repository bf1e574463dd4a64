//! Who has a place, who waits, and the object's step.
//!
//! # Stored form
//! A version byte, then unsigned LEB128 numbers: how long places are held, the terms, then those who have a place and
//! those who wait, each after their number; last the starts, as [`State`] writes a sliding window.

use super::wire::{Call, Ticket};
use super::{Answer, CONCURRENT_MAX, LEASE, LENGTH_MAX, Terms};
use crate::limit::Quota;
use crate::limit::sliding_window::SlidingWindow;
use crate::limit::state::{State, read_number, write_number};
use crate::time::{Span, Timestamp};

const VERSION: u8 = 1;
/// How long a request is thought to take while nothing is known.
const USUAL_HOLD: Span = Span::from_secs(1);
/// One of so many parts is what the last request moves the usual time by.
const HOLD_PARTS: u64 = 4;

/// One that has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    ticket: Ticket,
    since: Timestamp,
    /// When the place is free again, where nothing more is heard.
    until: Timestamp,
    position: u32,
    waited: Span,
}

/// One that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    ticket: Ticket,
    rank: u32,
    since: Timestamp,
    until: Timestamp,
    /// How many were before it when it came.
    position: u32,
}

/// What a queue knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queue {
    /// How long a request has its place, of late; zero where unknown.
    hold: Span,
    terms: Option<Terms>,
    running: Vec<Running>,
    /// The next one first.
    waiting: Vec<Waiting>,
    starts: SlidingWindow,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What the caller is told; `None` where it has neither place nor wait.
    pub answer: Option<Answer>,
    /// What others are told, whose wait is over.
    pub told: Vec<(Ticket, Answer)>,
    /// When a place may come free although nobody calls; `None` where nobody waits.
    pub wakes_at: Option<Timestamp>,
    /// From when on there is nothing to remember.
    pub expires_at: Option<Timestamp>,
}

impl Queue {
    /// One call.
    pub fn turn(&mut self, call: &Call, now: Timestamp) -> Turn {
        self.running.retain(|one| one.until > now);
        self.waiting.retain(|one| one.until > now);
        let caller = match *call {
            Call::Enter { ticket, rank, terms } => {
                self.terms = Some(terms);
                self.enter(ticket, rank, now);
                Some(ticket)
            }
            Call::Stay(ticket) => {
                self.renew(ticket, now);
                None
            }
            Call::Leave(ticket) => {
                self.leave(ticket, now);
                None
            }
            Call::Look => None,
        };
        let mut told = self.fill(now);
        told.extend(self.turn_away(now));
        let own = told.iter().position(|(ticket, _)| Some(*ticket) == caller);
        let answer = match own {
            Some(at) => Some(told.remove(at).1),
            None => caller.and_then(|ticket| self.tell(ticket, now)),
        };
        Turn { answer, told, wakes_at: self.wakes_at(now), expires_at: self.expires_at() }
    }

    fn renew(&mut self, ticket: Ticket, now: Timestamp) -> bool {
        let running = self.running.iter_mut().filter(|one| one.ticket == ticket).map(|one| &mut one.until);
        let waiting = self.waiting.iter_mut().filter(|one| one.ticket == ticket).map(|one| &mut one.until);
        running.chain(waiting).map(|until| *until = now + LEASE).count() > 0
    }

    fn enter(&mut self, ticket: Ticket, rank: u32, now: Timestamp) {
        if self.renew(ticket, now) {
            return;
        }
        let at = self.waiting.iter().position(|one| one.rank > rank).unwrap_or(self.waiting.len());
        let position = at as u32;
        self.waiting.insert(at, Waiting { ticket, rank, since: now, until: now + LEASE, position });
    }

    fn leave(&mut self, ticket: Ticket, now: Timestamp) {
        self.waiting.retain(|one| one.ticket != ticket);
        let Some(at) = self.running.iter().position(|one| one.ticket == ticket) else { return };
        let held = now.since(self.running.remove(at).since).as_millis();
        let usual = if self.hold == Span::ZERO { held } else { self.hold.as_millis() };
        self.hold = Span::from_millis((usual * (HOLD_PARTS - 1) + held) / HOLD_PARTS);
    }

    /// Free places go to the next ones.
    fn fill(&mut self, now: Timestamp) -> Vec<(Ticket, Answer)> {
        let mut told = Vec::new();
        let Some(terms) = self.terms else { return told };
        while (self.running.len() as u32) < terms.concurrent
            && terms.quota.is_none_or(|quota| self.starts.remaining(quota, now) > 0)
            && !self.waiting.is_empty()
        {
            let Waiting { ticket, since, position, .. } = self.waiting.remove(0);
            if let Some(quota) = terms.quota {
                self.starts.debit(quota, 1, now);
            }
            let waited = now.since(since);
            self.running.push(Running { ticket, since: now, until: now + LEASE, position, waited });
            told.push((ticket, Answer::Admitted { position, waited }));
        }
        told
    }

    /// Where too many wait, the last are told so: those that came later, or are of less priority.
    fn turn_away(&mut self, now: Timestamp) -> Vec<(Ticket, Answer)> {
        let length = self.terms.map_or(0, |terms| terms.length) as usize;
        let mut told = Vec::new();
        while self.waiting.len() > length
            && let Some(last) = self.waiting.pop()
        {
            let position = self.waiting.len() as u32;
            told.push((last.ticket, Answer::Full { position, wait: self.wait(position, now) }));
        }
        told
    }

    fn tell(&self, ticket: Ticket, now: Timestamp) -> Option<Answer> {
        if let Some(one) = self.running.iter().find(|one| one.ticket == ticket) {
            return Some(Answer::Admitted { position: one.position, waited: one.waited });
        }
        let position = self.waiting.iter().position(|one| one.ticket == ticket)? as u32;
        Some(Answer::Waiting { position, wait: self.wait(position, now) })
    }

    /// How long one waits that has so many before it, as things are.
    fn wait(&self, position: u32, now: Timestamp) -> Span {
        let Some(terms) = self.terms else { return Span::ZERO };
        let turns = u64::from(position) + 1;
        let hold = if self.hold == Span::ZERO { USUAL_HOLD } else { self.hold };
        let places = Span::from_millis(hold.as_millis() * turns / u64::from(terms.concurrent.max(1)));
        let starts = terms.quota.map_or(Span::ZERO, |quota| self.wait_to_start(quota, turns, now));
        places.max(starts)
    }

    fn wait_to_start(&self, quota: Quota, turns: u64, now: Timestamp) -> Span {
        let amount = u64::from(quota.amount());
        let (windows, rest) = ((turns - 1) / amount, (turns - 1) % amount + 1);
        let wait = self.starts.wait(quota, rest as u32, now).unwrap_or_default();
        Span::from_millis(wait.as_millis() + quota.window().as_millis() * windows)
    }

    fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let terms = self.terms?;
        self.waiting.first()?;
        if (self.running.len() as u32) < terms.concurrent {
            return Some(now + self.starts.wait(terms.quota?, 1, now)?);
        }
        self.running.iter().map(|one| one.until).min()
    }

    fn expires_at(&self) -> Option<Timestamp> {
        let running = self.running.iter().map(|one| one.until);
        let waiting = self.waiting.iter().map(|one| one.until);
        let starts = Some(self.starts.expires_at()).filter(|at| *at > Timestamp::default());
        running.chain(waiting).chain(starts).max()
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let terms = self.terms.unwrap_or(Terms { concurrent: 0, quota: None, length: 0 });
        let (units, window) =
            terms.quota.map_or((0, 0), |quota| (quota.amount().into(), quota.window_secs()));
        for number in [
            self.hold.as_millis(),
            terms.concurrent.into(),
            units,
            window,
            terms.length.into(),
            self.running.len() as u64,
        ] {
            write_number(&mut out, number);
        }
        for Running { ticket, since, until, position, waited } in &self.running {
            write_ticket(&mut out, *ticket);
            for number in [since.as_millis(), until.as_millis(), (*position).into(), waited.as_millis()] {
                write_number(&mut out, number);
            }
        }
        write_number(&mut out, self.waiting.len() as u64);
        for Waiting { ticket, rank, since, until, position } in &self.waiting {
            write_ticket(&mut out, *ticket);
            for number in [(*rank).into(), since.as_millis(), until.as_millis(), (*position).into()] {
                write_number(&mut out, number);
            }
        }
        State::Sliding(self.starts.clone()).encode(&mut out);
        out
    }

    /// Reads a stored form; `None` where it is not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, mut rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let bytes = &mut rest;
        let hold = Span::from_millis(read_number(bytes)?);
        let concurrent = small(bytes)?;
        let quota = Quota::new(small(bytes)?, read_number(bytes)?);
        let terms =
            Some(Terms { concurrent, quota, length: small(bytes)? }).filter(|terms| terms.concurrent > 0);
        let mut queue = Self { hold, terms, ..Self::default() };
        for _ in 0..read_number(bytes)?.min(CONCURRENT_MAX.into()) {
            queue.running.push(Running {
                ticket: read_ticket(bytes)?,
                since: moment(bytes)?,
                until: moment(bytes)?,
                position: small(bytes)?,
                waited: Span::from_millis(read_number(bytes)?),
            });
        }
        for _ in 0..read_number(bytes)?.min(LENGTH_MAX.into()) {
            queue.waiting.push(Waiting {
                ticket: read_ticket(bytes)?,
                rank: small(bytes)?,
                since: moment(bytes)?,
                until: moment(bytes)?,
                position: small(bytes)?,
            });
        }
        let State::Sliding(starts) = State::decode(bytes)? else { return None };
        Some(Self { starts, ..queue })
    }
}

fn write_ticket(out: &mut Vec<u8>, Ticket(bits): Ticket) {
    write_number(out, (bits >> 64) as u64);
    write_number(out, bits as u64);
}

fn read_ticket(bytes: &mut &[u8]) -> Option<Ticket> {
    Some(Ticket(u128::from(read_number(bytes)?) << 64 | u128::from(read_number(bytes)?)))
}

fn moment(bytes: &mut &[u8]) -> Option<Timestamp> {
    read_number(bytes).map(Timestamp::from_millis)
}

fn small(bytes: &mut &[u8]) -> Option<u32> {
    read_number(bytes)?.try_into().ok()
}

#[cfg(test)]
mod tests;
