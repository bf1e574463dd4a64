//! The world: what there is, and what tests ask of it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::cache::StorageKey;
use crate::config::{Compiled, Config, stamp};
use crate::flow::{self, Gate, Vars};
use crate::head::Method;
use crate::ports::Observed;
use crate::record::{Health, Live, exposition};
use crate::time::{Span, Timestamp};
use serde_json::Value;

use super::client::{Answer, Pending, Request};
use super::clock::{Clock, Signal, Tasks};
use super::counts::Counts;
use super::deliveries::Kept;
use super::edge::Edge;
use super::fault::{Fault, Helper};
use super::fleet::Fleet;
use super::ledger::Ledger;
use super::origin::{Asked, Origin, Reply};
use super::queue::QueueObject;
use super::shield::Shield;
use super::stores::{Colos, Kv};
use super::warm::Warm;

/// When every world begins: 2026-09-10 00:26:40 GMT.
pub const START: Timestamp = Timestamp::from_secs(1_789_000_000);

/// A deployment's config, compiled.
struct Site {
    compiled: Compiled,
    text: String,
}

/// Its number, which no other one ever had, and its state.
type Isolate = (u64, Rc<Gate<Edge>>);

pub struct Shared {
    pub clock: Rc<Clock>,
    pub tasks: Tasks,
    pub rng: RefCell<fastrand::Rng>,
    pub colos_max: usize,
    pub colos: RefCell<Colos>,
    pub kv: RefCell<Kv>,
    pub api_keys: RefCell<HashMap<String, String>>,
    pub limiters: RefCell<HashMap<String, Vec<u8>>>,
    pub queues: RefCell<HashMap<String, QueueObject>>,
    pub metrics: RefCell<Live>,
    /// What the object that probes endpoints holds, and what wakes it before its alarm.
    pub health: RefCell<String>,
    pub alarm: RefCell<Option<Rc<Signal>>>,
    pub shields: RefCell<HashMap<StorageKey, Shield>>,
    /// Open WebSockets by client and route; none of them is ever closed.
    pub sockets: RefCell<HashMap<String, u32>>,
    /// Changes that are delivered later, by pool.
    pub deliveries: RefCell<HashMap<String, Vec<Kept>>>,
    pub fleet: RefCell<Fleet>,
    /// What is to be fetched before anybody asks for it.
    pub warm: RefCell<Warm>,
    pub origin: RefCell<Origin>,
    pub asked: RefCell<Vec<Asked>>,
    pub counts: RefCell<Counts>,
    pub ledger: RefCell<Ledger>,
    pub log: RefCell<Vec<String>>,
    pub leaks: Rc<Cell<u32>>,
    /// Fetches that were dropped before they had an answer.
    pub revoked: Cell<u32>,
    faults: RefCell<Vec<(Helper, Fault)>>,
    /// How far clocks of isolates may be off, and by how much each one is behind the most that it could be ahead.
    skew: Cell<Span>,
    /// Whether a page watches the counters.
    pub(super) watched: Cell<bool>,
    skews: RefCell<HashMap<u64, Span>>,
    vars: RefCell<HashMap<String, String>>,
    site: RefCell<Option<Site>>,
    isolates: RefCell<HashMap<(usize, usize), Isolate>>,
    started: Cell<u64>,
}

impl Shared {
    pub fn draw(&self, helper: Helper) -> (Option<Span>, bool) {
        let fault =
            self.faults.borrow().iter().rev().find(|(one, _)| *one == helper).map(|(_, fault)| *fault);
        fault.unwrap_or_default().draw(&mut self.rng.borrow_mut())
    }

    /// What the metrics object says, read back from what it stores.
    pub fn observe(&self, what: Observed) -> String {
        let now = self.clock.now();
        let live = Live::load(&self.metrics.borrow().store()).expect("it reads what it stored");
        match what {
            Observed::Health => Health::of(&live, now).to_json(),
            Observed::Metrics => exposition::openmetrics(&live, now),
            Observed::MetricsJson => exposition::json(&live, now),
            Observed::Limits => live.limits(),
            Observed::Hot => live.hot(),
        }
    }

    /// The time as an isolate's clock shows it.
    pub(super) fn time_at(&self, isolate: u64) -> Timestamp {
        let (now, skew) = (self.clock.now(), self.skew.get());
        if skew == Span::ZERO {
            return now;
        }
        let drawn = || Span::from_millis(self.rng.borrow_mut().u64(..=2 * skew.as_millis()));
        let behind = *self.skews.borrow_mut().entry(isolate).or_insert_with(drawn);
        (now + skew).before(behind)
    }

    /// The isolate at this place, started where there is none.
    pub fn isolate(&self, place: (usize, usize)) -> Isolate {
        assert!(place.0 < self.colos_max, "there are {} colos", self.colos_max);
        let mut isolates = self.isolates.borrow_mut();
        let start = || {
            let site = self.site.borrow();
            let site = site.as_ref().expect("a world needs a config");
            let id = self.started.replace(self.started.get() + 1);
            (
                id,
                Gate::new(
                    site.compiled.clone(),
                    &site.text,
                    Vars::new(&self.vars.borrow().clone().into_iter().collect()),
                    0,
                ),
            )
        };
        isolates.entry(place).or_insert_with(start).clone()
    }
}

/// A fleet of isolates in colos, its helpers and its origins, on one virtual clock and drawn from one seed.
pub struct World(Rc<Shared>);

impl World {
    /// One isolate.
    pub fn new(seed: u64) -> Self {
        Self::fleet(seed, 1)
    }

    /// So many colos, each with as many isolates as are asked.
    pub fn fleet(seed: u64, colos: usize) -> Self {
        Self(Rc::new(Shared {
            clock: Clock::new(START),
            tasks: Tasks::default(),
            rng: RefCell::new(fastrand::Rng::with_seed(seed)),
            colos_max: colos,
            colos: RefCell::default(),
            kv: RefCell::default(),
            api_keys: RefCell::default(),
            limiters: RefCell::default(),
            queues: RefCell::default(),
            metrics: RefCell::new(Live::new(START)),
            health: RefCell::default(),
            alarm: RefCell::default(),
            shields: RefCell::default(),
            deliveries: RefCell::default(),
            fleet: RefCell::default(),
            warm: RefCell::default(),
            sockets: RefCell::default(),
            origin: RefCell::new(Box::new(|_| Reply::ok("hello"))),
            asked: RefCell::default(),
            counts: RefCell::default(),
            ledger: RefCell::default(),
            log: RefCell::default(),
            leaks: Rc::default(),
            revoked: Cell::default(),
            faults: RefCell::default(),
            skew: Cell::default(),
            watched: Cell::new(true),
            skews: RefCell::default(),
            vars: RefCell::default(),
            site: RefCell::default(),
            isolates: RefCell::default(),
            started: Cell::new(0),
        }))
    }

    /// The config of all isolates that start from now on, as `tidegate build` and the worker read it.
    pub fn config(self, toml: &str) -> Self {
        let json: Value = toml::from_str(toml).unwrap_or_else(|error| panic!("{error}"));
        let checked = Config::from_json(&json).unwrap_or_else(|problems| panic!("{problems:#?}"));
        self.with(&checked)
    }

    /// The same, of a config that was read.
    pub fn with(self, checked: &Config) -> Self {
        let packed = checked.compile().pack().unwrap();
        let compiled = Compiled::deployed(&packed, &stamp(&packed)).unwrap_or_else(|wrong| panic!("{wrong}"));
        let text = serde_json::to_string(checked).unwrap();
        *self.0.site.borrow_mut() = Some(Site { compiled, text });
        self
    }

    /// A variable or secret of the deployment.
    pub fn var(self, name: &str, value: &str) -> Self {
        self.0.vars.borrow_mut().insert(name.into(), value.into());
        self
    }

    /// What answers for every origin; [`Asked::host`] says which one it is.
    pub fn origin(&self, origin: impl FnMut(&Asked) -> Reply + 'static) {
        *self.0.origin.borrow_mut() = Box::new(origin);
    }

    /// The origin's answers in their order; the last one is given again and again.
    pub fn replies(&self, replies: impl IntoIterator<Item = Reply>) {
        let mut replies: Vec<Reply> = replies.into_iter().collect();
        replies.reverse();
        self.origin(move |_| {
            let last = if replies.len() > 1 { replies.pop() } else { replies.last().cloned() };
            last.expect("at least one reply")
        });
    }

    /// Whether a page watches the counters from now on. In the beginning one does.
    pub fn watch(&self, watched: bool) {
        self.0.watched.set(watched);
    }

    /// From now on the clock of each isolate is off, by up to so much in either direction.
    pub fn skew_clocks(&self, most: Span) {
        self.0.skew.set(most);
        self.0.skews.borrow_mut().clear();
    }

    /// From now on this helper behaves like this.
    pub fn fault(&self, helper: Helper, fault: Fault) {
        self.0.faults.borrow_mut().push((helper, fault));
    }

    /// An API key that there is; `record` as it lies in KV.
    pub fn api_key(&self, key: &str, record: &str) {
        use sha2::{Digest, Sha256};
        let hash = crate::identity::hex(&Sha256::digest(key));
        self.0.api_keys.borrow_mut().insert(hash, record.into());
    }

    /// A request to be made of `path` and sent.
    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        Request::new(self, Method::from(method), path)
    }

    /// A GET of `path` to be sent.
    pub fn get(&self, path: &str) -> Request<'_> {
        self.request("GET", path)
    }

    /// The time here.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Lets so much time pass, and all happen that happens in it.
    pub fn pass(&self, span: Span) {
        let until = self.now() + span;
        self.settle();
        while let Some(next) = self.0.clock.next().filter(|next| *next <= until) {
            self.0.clock.move_to(next);
            self.settle();
        }
        self.0.clock.move_to(until);
        self.settle();
    }

    /// Runs what is ready, without letting time pass.
    fn settle(&self) {
        self.0.tasks.run(&self.0.rng);
    }

    /// Lets time pass until the answer is here.
    pub fn finish(&self, pending: &Pending) -> Answer {
        loop {
            self.settle();
            if let Some(answer) = pending.take() {
                return answer;
            }
            let next = self.0.clock.next().expect("a request waits for what never comes");
            self.0.clock.move_to(next);
        }
    }

    /// Lets time pass until all answers are here.
    pub fn finish_all(&self, pending: &[Pending]) -> Vec<Answer> {
        pending.iter().map(|one| self.finish(one)).collect()
    }

    /// The isolate is evicted, with all that it was doing; the next request there starts a new one.
    pub fn lose(&self, colo: usize, isolate: usize) {
        let gone = self.0.isolates.borrow_mut().remove(&(colo, isolate));
        if let Some((id, gate)) = gone {
            let leaks = self.0.leaks.get();
            self.0.tasks.lose(id);
            // Nor does it do any more what ends with its requests.
            self.0.tasks.lose(id);
            self.0.leaks.set(leaks);
            drop(gate);
        }
    }

    /// The platform's clock rings in an isolate, as it does once a minute.
    pub fn tick(&self, colo: usize, isolate: usize) {
        let (id, gate) = self.0.isolate((colo, isolate));
        flow::tick(&gate, &Edge::new(self.0.clone(), colo, id));
        self.settle();
    }

    /// What was called so far.
    pub fn counts(&self) -> Counts {
        *self.0.counts.borrow()
    }

    /// What the origins were asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.0.asked.borrow().clone()
    }

    /// What the origins were asked last.
    pub fn asked_last(&self) -> Asked {
        self.0.asked.borrow().last().expect("an origin was asked").clone()
    }

    /// The log, one line each.
    pub fn log(&self) -> Vec<String> {
        self.0.log.borrow().clone()
    }

    /// How many streams nobody read, handed on or discarded.
    pub fn leaks(&self) -> u32 {
        self.0.leaks.get()
    }

    /// How many fetches were let go before they had an answer.
    pub fn revoked(&self) -> u32 {
        self.0.revoked.get()
    }

    /// Whether any store holds this text, in a head or a body.
    pub fn stores_hold(&self, text: &str) -> bool {
        let (colos, kv) = (self.0.colos.borrow(), self.0.kv.borrow());
        colos
            .iter()
            .chain(kv.iter())
            .any(|kept| kept.head.contains(text) || String::from_utf8_lossy(&kept.body).contains(text))
    }

    /// The sum of a metric's samples that have these labels, once every isolate has reported.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.pass(Span::from_secs(2));
        let families: Value = serde_json::from_str(&self.0.observe(Observed::MetricsJson)).unwrap();
        let samples = families.as_array().unwrap().iter().flat_map(|one| one["samples"].as_array().unwrap());
        let wanted = samples.filter(|sample| {
            sample["name"] == name && labels.iter().all(|(key, value)| sample["labels"][key] == *value)
        });
        wanted.filter_map(|sample| sample["value"].as_u64()).sum()
    }

    /// What all isolates share.
    pub fn shared(&self) -> &Rc<Shared> {
        &self.0
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Tasks hold the world that holds them.
        self.0.tasks.lose_all();
        self.0.isolates.take();
    }
}
