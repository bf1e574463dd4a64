//! What Durable Objects do besides answering: rows that they write, alarms that ring. Both cost.

use std::collections::HashMap;

use crate::time::{Span, Timestamp};

/// As `platform/objects/metrics.mjs` has it.
const METRICS_WRITTEN_EVERY: Span = Span::from_secs(5);

/// As `platform/objects/limiter.mjs` has it.
const LIMITER_LINGERS: Span = Span::from_secs(300);

/// The alarm of an object that holds quotas, and when what it stores is over.
#[derive(Debug, Clone, Copy)]
struct Kept {
    alarm: Timestamp,
    expires: Timestamp,
}

/// What the objects of a world wrote.
#[derive(Debug, Default)]
pub struct Ledger {
    limiters: HashMap<Box<str>, Kept>,
    metrics_written: Option<Timestamp>,
    rows: u64,
    alarms: u64,
}

impl Ledger {
    /// An object that holds quotas stores its state: a row, and one more where it has no alarm yet.
    pub fn kept(&mut self, object: &str, expires: Option<Timestamp>, now: Timestamp) {
        self.ring(object, now);
        self.rows += 1;
        let Some(expires) = expires.map(|expires| expires + LIMITER_LINGERS) else { return };
        match self.limiters.get_mut(object) {
            Some(kept) => kept.expires = expires,
            None => {
                self.rows += 1;
                self.limiters.insert(object.into(), Kept { alarm: expires, expires });
            }
        }
    }

    /// Its alarms that rang until now: it sets the next, or deletes everything.
    fn ring(&mut self, object: &str, now: Timestamp) {
        while let Some(kept) = self.limiters.get_mut(object).filter(|kept| kept.alarm <= now) {
            self.alarms += 1;
            if kept.expires > kept.alarm {
                kept.alarm = kept.expires;
                self.rows += 1;
            } else {
                self.limiters.remove(object);
                self.rows += 1;
            }
        }
    }

    /// The object of the counters has taken a delta: every few seconds it stores what it holds, and again by an alarm.
    pub fn ingested(&mut self, now: Timestamp) {
        if self.metrics_written.is_none_or(|written| now.since(written) >= METRICS_WRITTEN_EVERY) {
            self.metrics_written = Some(now);
            self.rows += 3;
            self.alarms += 1;
        }
    }

    /// The rows written and the alarms that rang, once the last one has.
    pub fn total(&mut self) -> (u64, u64) {
        let objects: Vec<Box<str>> = self.limiters.keys().cloned().collect();
        objects.iter().for_each(|object| self.ring(object, Timestamp::from_millis(u64::MAX)));
        (self.rows, self.alarms)
    }
}
