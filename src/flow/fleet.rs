//! What this isolate knows of what the whole fleet shares, and how it keeps up.
//!
//! Under load the document is read in the background before it gets too old. On an isolate that was idle it is too old
//! when a request comes: the read begins with the request, and what has to know the document waits for it
//! ([`Visit::caught_up`]), which is nobody whose answer does not depend on it. Who waited too long goes on with the old one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::cache::purge::Stamp;
use crate::fleet::Document;
use crate::fleet::object::{Listing, Outcome, Purge};
use crate::fleet::request::written;
use crate::head::{Fields, Target};
use crate::json;
use crate::ports::{PortError, Ports};
use crate::record::Incident;
use crate::time::{Span, Timestamp};

use super::gate::Gate;
use super::visit::Visit;

/// How long a read may take that nobody waits for.
const READ_BUDGET: Span = Span::from_secs(5);
/// How long a command to the object may take.
const COMMAND_BUDGET: Span = Span::from_secs(10);

/// How often a write is told to an object that fails, by the request that made it.
const TOLD_TIMES_MAX: u32 = 3;
/// How long after that it is told again.
const TOLD_AGAIN_AFTER: Span = Span::from_secs(1);
/// How many writes wait to be told at most; what is beyond is told to nobody, and that is counted.
const UNTOLD_MAX: usize = 512;
/// How many stamps one command has at most.
const STAMPS_MAX: usize = 128;

/// What an isolate knows of the fleet.
pub struct Fleet<S> {
    document: RefCell<Rc<Document>>,
    /// Of the document.
    version: Cell<u64>,
    /// Of the latest purge in it.
    newest: Cell<u64>,
    /// When it was asked for that was read last.
    read: Cell<Option<Timestamp>>,
    /// When it was asked for last, read or not.
    asked: Cell<Option<Timestamp>>,
    /// Whether requests waited for the first read long enough.
    gave_up: Cell<bool>,
    /// Raised when the read is over that is under way.
    reading: RefCell<Option<S>>,
    /// What writes have made invalid, and the object has not heard of.
    untold: RefCell<Vec<Stamp>>,
    /// Until when somebody sees to that.
    telling: Cell<Option<Timestamp>>,
}

impl<S> Default for Fleet<S> {
    fn default() -> Self {
        let (read, asked) = (Cell::new(None), Cell::new(None));
        let (version, newest) = (Cell::new(0), Cell::new(0));
        let (untold, telling) = (RefCell::default(), Cell::new(None));
        Self {
            document: RefCell::default(),
            version,
            newest,
            read,
            asked,
            gave_up: Cell::new(false),
            reading: RefCell::default(),
            untold,
            telling,
        }
    }
}

/// A read that is under way, and until when it is waited for.
pub struct Wait<S> {
    signal: S,
    until: Timestamp,
}

impl<S: Clone> Fleet<S> {
    /// The document.
    pub fn document(&self) -> Rc<Document> {
        self.document.borrow().clone()
    }

    /// How far purges are known: what is stored bears it.
    pub fn generation(&self) -> u64 {
        self.version.get()
    }

    /// Whether nothing was ever heard of it, and requests still wait for that.
    pub fn is_new(&self) -> bool {
        self.read.get().is_none() && !self.gave_up.get()
    }

    /// From now on they do not any more: where KV is away, one wait is enough.
    pub fn give_up(&self) {
        self.gave_up.set(true);
    }

    /// The number of the latest purge.
    pub fn newest(&self) -> u64 {
        self.newest.get()
    }

    /// Takes a document for its own that was asked for at that moment, unless it knows a later one.
    pub fn adopt(&self, text: &str, asked: Timestamp) -> Result<(), PortError> {
        let unreadable = || PortError::Failed("the fleet's document can't be read".into());
        let version = if text.is_empty() { 0 } else { Document::version_of(text).ok_or_else(unreadable)? };
        if version > self.version.get() {
            let document = Document::decode(text).ok_or_else(unreadable)?;
            self.newest.set(document.purges.newest());
            self.version.set(version);
            *self.document.borrow_mut() = Rc::new(document);
        }
        self.read.set(self.read.get().max(Some(asked)));
        Ok(())
    }
}

/// Sees to it that the document does not get too old. `Some` where it is, and is being read.
pub fn keep_up<P: Ports>(gate: &Rc<Gate<P>>, ports: &P, now: Timestamp) -> Option<Wait<P::Signal>> {
    let fleet = &gate.fleet;
    let refresh = gate.site.fleet.refresh;
    let soon = Span::from_millis(refresh.as_millis() / 5 * 4);
    let young = |moment: &Cell<Option<Timestamp>>, span| moment.get().is_some_and(|at| now.since(at) < span);
    if young(&fleet.read, soon) {
        return None;
    }
    if !young(&fleet.asked, soon) {
        read(gate, ports, now);
    }
    let signal = fleet.reading.borrow().clone()?;
    (!young(&fleet.read, refresh)).then(|| Wait { signal, until: now + gate.site.kv_budget })
}

/// Reads the document, after the answer if need be.
fn read<P: Ports>(gate: &Rc<Gate<P>>, ports: &P, now: Timestamp) {
    gate.fleet.asked.set(Some(now));
    let signal = ports.signal();
    gate.fleet.reading.replace(Some(signal.clone()));
    let (gate, later) = (gate.clone(), ports.clone());
    ports.defer(async move {
        let read = later.fleet(READ_BUDGET).await;
        let adopted = read.and_then(|text| gate.fleet.adopt(&text.unwrap_or_default(), now));
        if let Err(error) = adopted {
            gate.outbox.borrow_mut().add_incident(Incident::FleetUnreachable);
            later.log(
                &[
                    "{\"level\":\"warn\",\"incident\":\"fleet-unreachable\",\"detail\":",
                    &json::write(&error.to_string()),
                    "}",
                ]
                .concat(),
            );
        }
        gate.fleet.reading.replace(None);
        later.raise(&signal);
    });
}

impl<P: Ports> Visit<P> {
    /// Whether [`Self::caught_up`] would wait.
    pub fn is_behind(&self) -> bool {
        self.unread.borrow().is_some()
    }

    /// Waits until this isolate knows what the fleet shares, where it has to and not longer than for a look-up in KV.
    pub async fn caught_up(&self) {
        let Some(Wait { signal, until }) = self.unread.take() else { return };
        let left = until.since(self.ports.now());
        if left == Span::ZERO || !self.ports.raised(&signal, left).await {
            self.incident(Incident::KvSlow, "the fleet's document");
        }
    }
}

/// Has the object purge something. This isolate knows of it when this returns.
pub async fn purge<P: Ports>(gate: &Gate<P>, ports: &P, purge: &Purge) -> Result<Outcome, PortError> {
    command(gate, ports, &purge.command()).await
}

/// Has the object put somebody on a list, or take it off. This isolate knows of it when this returns.
pub async fn list<P: Ports>(gate: &Gate<P>, ports: &P, listing: &Listing) -> Result<Outcome, PortError> {
    command(gate, ports, &listing.command()).await
}

/// Reads the document for somebody who waits for it.
pub async fn read_now<P: Ports>(gate: &Gate<P>, ports: &P) -> Result<(), PortError> {
    let asked = ports.now();
    let text = ports.fleet(READ_BUDGET).await?;
    gate.fleet.adopt(&text.unwrap_or_default(), asked)
}

async fn command<P: Ports>(gate: &Gate<P>, ports: &P, command: &str) -> Result<Outcome, PortError> {
    let asked = ports.now();
    let answer = ports.command(command, COMMAND_BUDGET).await?;
    let (outcome, document) =
        Outcome::read(&answer).ok_or_else(|| PortError::Failed("the fleet's answer can't be read".into()))?;
    gate.fleet.adopt(document, asked)?;
    Ok(outcome)
}

/// Has the fleet hear what a write made invalid, behind the answer. While one command is under way the next ones become
/// one; what the object does not take, a later write brings it.
pub fn tell<P: Ports>(visit: &Rc<Visit<P>>, targets: &[Target], response: &Fields) {
    let (fleet, now) = (&visit.gate.fleet, visit.ports.now());
    let mut untold = fleet.untold.borrow_mut();
    for stamp in written(&visit.gate.site.table, &visit.request, targets, response) {
        untold.retain(|known| known.what != stamp.what);
        untold.push(stamp);
    }
    let surplus = untold.len().saturating_sub(UNTOLD_MAX);
    if surplus > 0 {
        untold.drain(..surplus);
        visit.late_incident(Incident::FleetUnreachable, "too many writes wait to be told");
    }
    if untold.is_empty() || fleet.telling.get().is_some_and(|until| until > now) {
        return;
    }
    drop(untold);
    fleet.telling.set(Some(now + COMMAND_BUDGET));
    let visit = visit.clone();
    visit.clone().ports.defer(async move {
        tell_all(&visit).await;
        visit.gate.fleet.telling.set(None);
    });
}

async fn tell_all<P: Ports>(visit: &Visit<P>) {
    let (fleet, ports) = (&visit.gate.fleet, &visit.ports);
    let mut failed = 0;
    while failed < TOLD_TIMES_MAX {
        let stamps: Vec<Stamp> = {
            let mut untold = fleet.untold.borrow_mut();
            let count = untold.len().min(STAMPS_MAX);
            untold.drain(..count).collect()
        };
        if stamps.is_empty() {
            return;
        }
        fleet.telling.set(Some(ports.now() + COMMAND_BUDGET + TOLD_AGAIN_AFTER));
        let command = Purge { stamps, ..Purge::default() };
        if let Err(error) = purge(&visit.gate, ports, &command).await {
            failed += 1;
            fleet.untold.borrow_mut().extend(command.stamps);
            visit.late_incident(Incident::FleetUnreachable, &error.to_string());
            ports.sleep(TOLD_AGAIN_AFTER).await;
        }
    }
}
