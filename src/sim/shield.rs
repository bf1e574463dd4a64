//! The shield of one key: what `platform/objects/shield.mjs` holds around the step of `cache::shield`.

use std::cell::RefCell;
use std::rc::Rc;

use crate::cache::shield::{self, Verdict};
use crate::time::{Span, Timestamp};

use super::body::Bytes;
use super::clock::{Clock, Signal};

type Told = (String, Option<Bytes>);

/// Those who wait, and what they are told in the end.
#[derive(Default)]
pub struct Flight {
    pub signal: Signal,
    pub came: RefCell<Option<Told>>,
}

/// What comes of something that was said.
pub enum Heard {
    Answer(String, Option<Bytes>),
    Wait(Rc<Flight>, Span),
}

impl Heard {
    /// What whoever said it is told, at once or after a while.
    pub async fn told(self, clock: &Rc<Clock>) -> Told {
        let (flight, wait) = match self {
            Self::Answer(text, body) => return (text, body),
            Self::Wait(flight, wait) => (flight, wait),
        };
        let landed = flight.signal.raised(clock.sleep(wait)).await;
        let came = landed.then(|| flight.came.borrow().clone()).flatten();
        came.unwrap_or_else(|| ("go".into(), None))
    }
}

#[derive(Default)]
pub struct Shield {
    state: String,
    kept: Option<Told>,
    flight: Option<Rc<Flight>>,
}

impl Shield {
    pub fn say(&mut self, said: &str, body: Option<&Bytes>, now: Timestamp) -> Heard {
        let (first, record) = said.split_once('\n').map_or((said, None), |(first, rest)| (first, Some(rest)));
        let (state, verdict) = shield::step(&self.state, first, now);
        self.state = state;
        let plain = || Heard::Answer(verdict.as_str().to_owned(), None);
        let (word, millis) = first.split_once(' ').unwrap_or((first, "0"));
        match (word, verdict) {
            ("wait", Verdict::Wait) => Heard::Wait(
                self.flight.get_or_insert_default().clone(),
                Span::from_millis(millis.parse().unwrap()),
            ),
            ("ask" | "wait", Verdict::Have) => {
                let (text, body) = self.kept.clone().unwrap_or_else(|| ("go".into(), None));
                Heard::Answer(text, body)
            }
            ("ask" | "wait", _) => plain(),
            _ => {
                if word == "done" {
                    self.kept = record.map(|record| (["have\n", record].concat(), body.cloned()));
                }
                let told = match verdict {
                    Verdict::Have => self.kept.clone().unwrap_or_else(|| ("go".into(), None)),
                    _ => (verdict.as_str().to_owned(), None),
                };
                if let Some(flight) = self.flight.take() {
                    *flight.came.borrow_mut() = Some(told);
                    flight.signal.raise();
                }
                plain()
            }
        }
    }
}
