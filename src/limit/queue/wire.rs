//! The texts that travel to a queue's object and back.
//!
//! There: `enter TICKET RANK CONCURRENT UNITS WINDOW-SECONDS LENGTH` (units and window 0 without a quota),
//! `stay TICKET` or `leave TICKET`. Back, to whoever called and to those whose wait is over: `1 POSITION WAITED-MS`
//! (admitted), `0 POSITION WAIT-MS` (waiting) or `2 POSITION WAIT-MS` (full).

use super::{Answer, Terms};
use crate::identity::hex;
use crate::limit::Quota;
use crate::time::Span;

/// Who has a place or waits: 128 random bits, as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub(super) u128);

impl Ticket {
    /// Reads its digits.
    pub fn read(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }

    fn text(self) -> String {
        hex(&self.0.to_be_bytes())
    }
}

/// What a request wants of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A place; or what it waits for, where it asks again.
    Enter {
        /// Who.
        ticket: Ticket,
        /// How late its turn comes: 0 is first.
        rank: u32,
        /// What the queue goes by.
        terms: Terms,
    },
    /// It still has its place.
    Stay(Ticket),
    /// It needs it no more.
    Leave(Ticket),
    /// Nothing: time has passed.
    Look,
}

impl Call {
    /// What is sent.
    pub fn text(&self) -> String {
        match self {
            Self::Enter { ticket, rank, terms } => {
                let mut text = ["enter ", &ticket.text()].concat();
                let (units, window) =
                    terms.quota.map_or((0, 0), |quota| (quota.amount().into(), quota.window_secs()));
                for number in [(*rank).into(), terms.concurrent.into(), units, window, terms.length.into()] {
                    push(&mut text, number);
                }
                text
            }
            Self::Stay(ticket) => ["stay ", &ticket.text()].concat(),
            Self::Leave(ticket) => ["leave ", &ticket.text()].concat(),
            Self::Look => String::new(),
        }
    }

    /// Reads what [`Call::text`] wrote; `None` where it is not that.
    pub fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let verb = words.next()?;
        if verb.is_empty() {
            return Some(Self::Look);
        }
        let ticket = Ticket::read(words.next()?)?;
        match verb {
            "stay" => Some(Self::Stay(ticket)),
            "leave" => Some(Self::Leave(ticket)),
            "enter" => {
                let mut number = || words.next()?.parse::<u32>().ok();
                let (rank, concurrent) = (number()?, number()?);
                let quota = Quota::new(number()?, number()?.into());
                Some(Self::Enter { ticket, rank, terms: Terms { concurrent, quota, length: number()? } })
            }
            _ => None,
        }
    }
}

impl Answer {
    /// What is sent back.
    pub fn text(self) -> String {
        let (word, position, span) = match self {
            Self::Waiting { position, wait } => ("0", position, wait),
            Self::Admitted { position, waited } => ("1", position, waited),
            Self::Full { position, wait } => ("2", position, wait),
        };
        let mut text = word.to_owned();
        push(&mut text, position.into());
        push(&mut text, span.as_millis());
        text
    }
}

/// Reads what [`Answer::text`] wrote; `None` where it is not that.
pub fn read_answer(text: &str) -> Option<Answer> {
    let mut words = text.split(' ');
    let word = words.next()?;
    let position = words.next()?.parse().ok()?;
    let span = Span::from_millis(words.next()?.parse().ok()?);
    match word {
        "0" => Some(Answer::Waiting { position, wait: span }),
        "1" => Some(Answer::Admitted { position, waited: span }),
        "2" => Some(Answer::Full { position, wait: span }),
        _ => None,
    }
}

/// Those whose wait is over: a line for each, `TICKET ANSWER`.
pub fn told_text(told: &[(Ticket, Answer)]) -> String {
    let mut text = String::new();
    for (ticket, answer) in told {
        for part in [ticket.text().as_str(), " ", answer.text().as_str(), "\n"] {
            text.push_str(part);
        }
    }
    text
}

fn push(text: &mut String, number: u64) {
    text.push(' ');
    text.push_str(&number.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_reads_back() {
        let ticket = Ticket(0x0123_4567_89ab_cdef);
        let terms = |quota: &str| Terms { concurrent: 3, quota: quota.parse().ok(), length: 7 };
        for call in [
            Call::Enter { ticket, rank: 2, terms: terms("60/1m") },
            Call::Enter { ticket, rank: 0, terms: terms("") },
            Call::Stay(ticket),
            Call::Leave(ticket),
            Call::Look,
        ] {
            assert_eq!(Call::read(&call.text()), Some(call));
        }
        let span = Span::from_millis(1234);
        for answer in [
            Answer::Waiting { position: 4, wait: span },
            Answer::Admitted { position: 0, waited: span },
            Answer::Full { position: 100, wait: span },
        ] {
            assert_eq!(read_answer(&answer.text()), Some(answer));
        }
        for wrong in ["enter", "stay xyz", "enter 1 2 3", "go 1", "3 1 1", "1 1"] {
            assert_eq!((Call::read(wrong), read_answer(wrong)), (None, None), "{wrong}");
        }
    }
}
