//! The object of one queue, as `queue.mjs` is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::limit::queue::{Answer, Call, Queue, Turn, told_text};
use crate::ports::PortError;
use crate::time::{Span, Timestamp};

use super::clock::{Clock, Signal};

/// Its stored form, and those who wait for their turn: by ticket, what they are told.
#[derive(Default)]
pub struct QueueObject {
    stored: Vec<u8>,
    waiting: HashMap<String, Rc<Told>>,
}

#[derive(Default)]
struct Told {
    text: RefCell<Option<String>>,
    signal: Signal,
}

/// How often the object looks whether a place came free although nobody called.
const LOOKS_EVERY: Span = Span::from_millis(50);

impl QueueObject {
    fn go(&mut self, call: &str, now: Timestamp) -> Option<String> {
        let mut queue = Queue::decode(&self.stored).unwrap_or_default();
        let Turn { answer, told, .. } = queue.turn(&Call::read(call)?, now);
        self.stored = queue.encode();
        for line in told_text(&told).lines() {
            let (ticket, text) = line.split_once(' ')?;
            if let Some(waiting) = self.waiting.remove(ticket) {
                waiting.text.replace(Some(text.to_owned()));
                waiting.signal.raise();
            }
        }
        Some(answer.map(Answer::text).unwrap_or_default())
    }
}

/// One call of the object of that name.
pub async fn turn(
    objects: &RefCell<HashMap<String, QueueObject>>,
    clock: &Rc<Clock>,
    (name, call): (&str, &str),
    patience: Span,
) -> Result<String, PortError> {
    let with = |step: &dyn Fn(&mut QueueObject) -> Option<String>| {
        let mut objects = objects.borrow_mut();
        step(objects.entry(name.to_owned()).or_default()).ok_or(PortError::Failed("unreadable".into()))
    };
    let answer = with(&|object| object.go(call, clock.now()))?;
    if patience == Span::ZERO || !answer.starts_with("0 ") {
        return Ok(answer);
    }
    let ticket = call.split(' ').nth(1).unwrap_or_default().to_owned();
    let told = Rc::new(Told::default());
    objects.borrow_mut().entry(name.to_owned()).or_default().waiting.insert(ticket.clone(), told.clone());
    let until = clock.now() + patience;
    while clock.now() < until && !told.signal.raised(clock.sleep(LOOKS_EVERY)).await {
        with(&|object| object.go("", clock.now()))?;
    }
    objects.borrow_mut().entry(name.to_owned()).or_default().waiting.remove(&ticket);
    let text = told.text.borrow().clone();
    Ok(text.unwrap_or(answer))
}
