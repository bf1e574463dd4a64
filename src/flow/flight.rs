//! Collapsed forwarding within one isolate: who is fetching what, so that others wait for it.
//!
//! What is shared is never a response but the memory layer: a follower waits until the leader is done, and looks
//! there again. Where nothing is there for it the next one leads, so that one at a time asks the origin; that it could
//! not be had is shared, too.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::cache::{PrimaryKey, StoredHead};
use crate::origin::{Cause, Failure, FetchError, Stop};
use crate::ports::Ports;
use crate::time::{Span, Timestamp};

use super::gate::Gate;
use super::shield::Duty;

/// Of how many keys each thing is remembered.
const KEYS_MAX: usize = 2048;
/// How long a key whose response could not be shared is not waited for.
const PASSED_FOR: Span = Span::from_secs(10);

/// Who is fetching what.
pub struct Flights<S> {
    leaders: HashMap<PrimaryKey, Flight<S>>,
    passed: HashMap<PrimaryKey, Timestamp>,
    refreshing: HashMap<PrimaryKey, Timestamp>,
    plain: HashMap<PrimaryKey, Timestamp>,
    names: HashMap<PrimaryKey, Vec<Box<str>>>,
}

/// What a leader and its followers share.
#[derive(Clone)]
pub struct Flight<S> {
    /// Raised when the leader is done.
    landed: S,
    /// When the leader asks the origin, at the latest.
    asks: Rc<Cell<Timestamp>>,
    left: Rc<Cell<Left>>,
}

/// What a leader leaves to those who waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Left {
    /// What memory holds now, which may not be for all of them.
    #[default]
    Memory,
    /// What a layer below memory may hold.
    Below,
    /// Word of a failure.
    Failure(Failed),
}

/// The origin could not be asked, or its answer was a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub failure: Failure,
    /// The pool that failed last, an index into the site's.
    pub pool: usize,
    /// Whether the next one could hardly fare better: the failure is not an answer to what one of them asked.
    pub is_sure: bool,
}

impl Failed {
    /// Of this pool; `None` where it concerns one request alone.
    pub fn new(failure: Failure, pool: usize) -> Option<Self> {
        let is_sure = !matches!(failure.cause, Cause::Status(_));
        failure.may_fall_back().then_some(Self { failure, pool, is_sure })
    }

    /// A failure that the origin answered with.
    pub fn answered(status: u16) -> Self {
        Self::once(Cause::Status(status))
    }

    /// What the origin answered broke off.
    pub fn broken_off() -> Self {
        Self::once(Cause::Fetch(FetchError::ConnectionLost))
    }

    fn once(cause: Cause) -> Self {
        let failure = Failure { cause, stop: Stop::NotRetried, tries: 1, endpoint: None };
        Self { failure, pool: 0, is_sure: false }
    }
}

impl<S> Default for Flights<S> {
    fn default() -> Self {
        Self {
            leaders: HashMap::new(),
            passed: HashMap::new(),
            refreshing: HashMap::new(),
            plain: HashMap::new(),
            names: HashMap::new(),
        }
    }
}

/// How long a response is fetched whole that could not be had in slices.
const PLAIN_FOR: Span = Span::from_secs(60);

impl<S> Flights<S> {
    /// This key's response can't be had in slices.
    pub fn fetch_plainly(&mut self, key: &PrimaryKey, now: Timestamp) {
        remember(&mut self.plain, key, now + PLAIN_FOR);
    }

    /// Whether that is so.
    pub fn is_plain(&self, key: &PrimaryKey, now: Timestamp) -> bool {
        self.plain.get(key).is_some_and(|until| *until > now)
    }

    /// This key's variants are selected by the fields of these names.
    pub fn learn_names(&mut self, key: &PrimaryKey, names: Vec<Box<str>>) {
        if !names.is_empty() {
            remember(&mut self.names, key, names);
        }
    }

    /// The names of these fields, as far as is known.
    pub fn names(&self, key: &PrimaryKey) -> Vec<Box<str>> {
        self.names.get(key).cloned().unwrap_or_default()
    }
}

fn remember<T>(keys: &mut HashMap<PrimaryKey, T>, key: &PrimaryKey, what: T) {
    if keys.len() >= KEYS_MAX {
        keys.clear();
    }
    keys.insert(key.clone(), what);
}

/// What a request is to do that found nothing in memory.
pub enum Role<P: Ports> {
    /// Fetch; others wait for it.
    Lead(Lead<P>),
    /// Wait for the leader, then look again.
    Follow(Flight<P::Signal>),
    /// Fetch alone: what is there can't be shared.
    Alone,
}

/// Leads until it is dropped; then the followers go on.
pub struct Lead<P: Ports> {
    gate: Rc<Gate<P>>,
    ports: P,
    key: PrimaryKey,
    flight: Flight<P::Signal>,
    /// What it owes to other isolates.
    duty: Option<Duty<P>>,
}

impl<P: Ports> Lead<P> {
    /// The origin is asked at this moment, and not later: those who wait have patience with the origin, not with who is
    /// asked before it.
    pub fn asks_by(&self, at: Timestamp) {
        self.flight.asks.set(at);
    }

    /// It leads for other isolates too.
    pub fn for_all(mut self, duty: Duty<P>) -> Self {
        self.duty = Some(duty);
        self
    }

    /// No answer came that the others could have.
    pub fn fail(&self, failed: Option<Failed>) {
        if let Some(failed) = failed {
            self.flight.left.set(Left::Failure(failed));
        }
    }

    /// The answer is in a layer below memory, or can be had there sooner than after another one.
    pub fn leave_below(&self) {
        self.flight.left.set(Left::Below);
    }

    /// The answer is in memory: the others may go on.
    pub fn share(mut self, head: &StoredHead, bytes: &P::Bytes) {
        self.flight.left.set(Left::Memory);
        if let Some(duty) = self.duty.take() {
            duty.share(head, bytes);
        }
    }

    /// What comes is too large for memory: other isolates are not to wait for it for a while.
    pub fn pass_for_others(&mut self) {
        if let Some(duty) = self.duty.take() {
            duty.pass();
        }
    }

    /// What comes can't be shared: nobody is to wait for this key for a while.
    pub fn pass(mut self) {
        if let Some(duty) = self.duty.take() {
            duty.pass();
        }
        let until = self.ports.now() + PASSED_FOR;
        remember(&mut self.gate.flights.borrow_mut().passed, &self.key, until);
    }
}

impl<P: Ports> Drop for Lead<P> {
    fn drop(&mut self) {
        if let Ok(mut flights) = self.gate.flights.try_borrow_mut() {
            flights.leaders.remove(&self.key);
        }
        self.ports.raise(&self.flight.landed);
    }
}

/// The role of a request for this key.
pub fn role<P: Ports>(gate: &Rc<Gate<P>>, ports: &P, key: &PrimaryKey) -> Role<P> {
    let mut flights = gate.flights.borrow_mut();
    if let Some(until) = flights.passed.get(key) {
        if *until > ports.now() {
            return Role::Alone;
        }
        flights.passed.remove(key);
    }
    if let Some(flight) = flights.leaders.get(key) {
        return Role::Follow(flight.clone());
    }
    let flight = Flight { landed: ports.signal(), asks: Rc::default(), left: Rc::default() };
    flights.leaders.insert(key.clone(), flight.clone());
    Role::Lead(Lead { gate: gate.clone(), ports: ports.clone(), key: key.clone(), flight, duty: None })
}

/// Waits until no one else of this isolate has this key, and has it until that is dropped; `None` where the others take too
/// long.
pub async fn exclusively<P: Ports>(
    gate: &Rc<Gate<P>>,
    ports: &P,
    key: &PrimaryKey,
    patience: Span,
) -> Option<Lead<P>> {
    loop {
        match role(gate, ports, key) {
            Role::Lead(lead) => return Some(lead),
            Role::Follow(other) => drop(follow(ports, &other, patience).await?),
            Role::Alone => return None,
        }
    }
}

/// Waits for the leader, and where it has to wait itself before it may ask the origin, as long for the origin; tells what
/// it left, `None` where that took too long.
pub async fn follow<P: Ports>(ports: &P, flight: &Flight<P::Signal>, patience: Span) -> Option<Left> {
    let mut wait = patience;
    while wait > Span::ZERO {
        if ports.raised(&flight.landed, wait).await {
            return Some(flight.left.get());
        }
        wait = (flight.asks.get() + patience).since(ports.now()).min(patience);
    }
    None
}

/// Holds the only background refresh of a key, until it is dropped.
pub struct Refresh<P: Ports> {
    gate: Rc<Gate<P>>,
    key: PrimaryKey,
}

/// How long a refresh may take before another one may start.
const REFRESH_FOR: Span = Span::from_secs(60);

/// The right to refresh this key; `None` where somebody does already.
pub fn refresh<P: Ports>(gate: &Rc<Gate<P>>, key: &PrimaryKey, now: Timestamp) -> Option<Refresh<P>> {
    let mut flights = gate.flights.borrow_mut();
    if flights.refreshing.get(key).is_some_and(|until| *until > now) {
        return None;
    }
    flights.refreshing.insert(key.clone(), now + REFRESH_FOR);
    Some(Refresh { gate: gate.clone(), key: key.clone() })
}

impl<P: Ports> Drop for Refresh<P> {
    fn drop(&mut self) {
        if let Ok(mut flights) = self.gate.flights.try_borrow_mut() {
            flights.refreshing.remove(&self.key);
        }
    }
}
