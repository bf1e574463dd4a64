//! The object that the fleet shares something through, and the KV key that it writes.

use super::edge::Edge;
use crate::fleet::object::{self, AUDIT_ENTRIES_MAX};
use crate::ports::PortError;
use crate::time::{Span, Timestamp};

/// KV takes one write a second under one key.
const WRITES_APART: Span = Span::from_secs(1);

#[derive(Default)]
pub struct Fleet {
    document: String,
    state: String,
    audit: Vec<String>,
    /// What KV has had, and from when on each colo sees it.
    versions: Vec<(Vec<Timestamp>, String)>,
    written: Option<Timestamp>,
    is_due: bool,
}

impl Fleet {
    /// One command; the answer.
    pub fn take(&mut self, command: &str, now: Timestamp) -> Option<String> {
        let step = object::step(&self.document, &self.state, command, now)?;
        if let Some((document, state)) = step.kept {
            (self.document, self.state) = (document, state);
        }
        self.audit.extend(step.entry);
        let surplus = self.audit.len().saturating_sub(AUDIT_ENTRIES_MAX);
        self.audit.drain(..surplus);
        Some(step.answer)
    }

    /// When the document is to be written to KV; `None` where there is nothing new, or somebody does already.
    pub fn writes_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        let is_new = self.versions.last().is_none_or(|(_, text)| *text != self.document);
        if std::mem::replace(&mut self.is_due, true) || !is_new {
            self.is_due &= is_new;
            return None;
        }
        Some(self.written.map_or(now, |written| now.max(written + WRITES_APART)))
    }

    /// Writes it.
    pub fn write(&mut self, visible: Vec<Timestamp>, now: Timestamp) {
        self.is_due = false;
        self.written = Some(now);
        self.versions.push((visible, self.document.clone()));
    }

    /// What KV shows in a colo.
    pub fn seen(&self, colo: usize, now: Timestamp) -> Option<String> {
        let mut versions = self.versions.iter().rev();
        versions.find(|(visible, _)| visible[colo] <= now).map(|(_, text)| text.clone())
    }

    /// What was done, the latest first.
    pub fn audit(&self) -> String {
        let latest: Vec<&str> = self.audit.iter().rev().map(String::as_str).collect();
        format!("[{}]", latest.join(","))
    }
}

/// As the object on the platform: it takes the command, and writes KV within a second.
pub fn command(edge: &Edge, command: &str) -> Result<String, PortError> {
    let shared = &edge.shared;
    let answer = shared.fleet.borrow_mut().take(command, shared.clock.now());
    let answer = answer.ok_or(PortError::Failed("the command can't be read".into()))?;
    if let Some(at) = shared.fleet.borrow_mut().writes_at(shared.clock.now()) {
        let edge = edge.clone();
        // No isolate's: the object goes on whoever asked it.
        shared.tasks.spawn(u64::MAX, async move {
            edge.shared.clock.until(at).await;
            let (visible, now) = (edge.visible(), edge.shared.clock.now());
            edge.shared.counts.borrow_mut().fleet_writes += 1;
            edge.shared.fleet.borrow_mut().write(visible, now);
        });
    }
    Ok(answer)
}
