//! What one isolate holds between requests. All of it can be lost at any time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::cache::similar::Prompts;
use crate::cache::{Groups, Memory, PrimaryKey, Searches};
use crate::config::Compiled;
use crate::identity::Identity;
use crate::limit::local::Local;
use crate::list::Dict;
use crate::origin::PoolState;
use crate::origin::bookmark::Key;
use crate::ports::Ports;
use crate::record::{EndpointReport, EndpointState, Incident, Outbox};
use crate::time::{Span, Timestamp};

use super::batch::Open;
use super::fleet::Fleet;
use super::flight::Flights;
use super::health::Health;
use super::identify::Keyring;

/// What is not in the config file: variables and secrets of the deployment.
#[derive(Debug, Clone, Default)]
pub struct Vars {
    /// `TIDEGATE_ADMIN_TOKEN`; without it the admin endpoints do not exist.
    pub admin_token: Option<String>,
    /// `RATE_LIMIT_ENABLED`: false switches every limit off.
    pub limits: bool,
    /// All of them, for the pools' secrets.
    pub all: Dict<String, String>,
}

impl Vars {
    /// From the names and values that the platform has.
    pub fn new(vars: &Dict<String, String>) -> Self {
        let off = vars.get("RATE_LIMIT_ENABLED").is_some_and(|text| {
            ["false", "0", "off", "no"].contains(&text.trim().to_ascii_lowercase().as_str())
        });
        Self { admin_token: vars.get("TIDEGATE_ADMIN_TOKEN").cloned(), limits: !off, all: vars.clone() }
    }
}

/// One isolate's state.
pub struct Gate<P: Ports> {
    /// What the config says.
    pub site: Compiled,
    /// The config as it came, for those who may see it.
    pub text: Rc<str>,
    /// What the deployment says.
    pub vars: Vars,
    /// The memory layer.
    pub memory: RefCell<Memory<P::Bytes>>,
    /// Which queries are the same, as far as responses have told.
    pub searches: RefCell<Searches>,
    /// Which cache groups were invalidated.
    pub groups: RefCell<Groups>,
    /// What bookmarks are signed with.
    pub bookmark_key: Key,
    /// Prompts that were answered.
    pub prompts: RefCell<Prompts>,
    /// What the fleet shares, as far as this isolate knows.
    pub fleet: Fleet<P::Signal>,
    /// Who is fetching what.
    pub flights: RefCell<Flights<P::Signal>>,
    /// What is about to be asked of batch endpoints.
    pub batches: RefCell<Vec<Open<P::Signal>>>,
    /// What was learned of each pool of the site, in its order.
    pub pools: RefCell<Vec<PoolState>>,
    /// Who is known to be over its quota, and what is held on lease.
    pub local: RefCell<Local>,
    /// Until when somebody sees to the leases.
    pub tended: Cell<Timestamp>,
    /// API keys and key sets that were read lately.
    pub keyring: RefCell<Keyring>,
    /// What the fleet knows of the endpoints.
    pub health: Health<P::Signal>,
    /// Counters that the metrics object has not seen.
    pub outbox: RefCell<Outbox>,
    /// Seeded by the first request.
    pub rng: RefCell<fastrand::Rng>,
    /// A client of which nothing is known.
    pub anonymous: Identity,
    /// Until when no shield is asked, since one failed.
    pub shield_rests: Cell<Option<Timestamp>>,
    /// Until when somebody sees to the counters.
    pub reporting: Cell<Option<Timestamp>>,
    stored: RefCell<HashMap<PrimaryKey, (u32, Timestamp)>>,
    forgotten: RefCell<HashMap<PrimaryKey, Timestamp>>,
    /// When something was invalidated last.
    wrote: Cell<Timestamp>,
    /// When a request was sent last.
    sent: Cell<Timestamp>,
    seeded: Cell<bool>,
    traps: u32,
}

/// How many keys are counted for the admission to KV.
const STORED_MAX: usize = 8192;
/// How long a key's count lasts.
const STORED_FOR: Span = Span::from_secs(3600);
/// How fine the clock is.
pub const TICK: Span = Span::from_millis(1);
/// How far moments are ahead of the clock that keep apart what is sent and invalidated within one millisecond. What is
/// further ahead is of a clock that was set back.
const AHEAD_MAX: Span = Span::from_millis(16);

/// This moment, or now where that is later.
fn not_before(moment: Timestamp, now: Timestamp) -> Timestamp {
    if moment.since(now) > AHEAD_MAX { now } else { moment.max(now) }
}

/// How many invalidated keys are remembered.
const FORGOTTEN_MAX: usize = 2048;

impl<P: Ports> Gate<P> {
    /// An isolate that has seen nothing. `traps` is how often this one lost its memory before.
    pub fn new(site: Compiled, text: &str, vars: Vars, traps: u32) -> Rc<Self> {
        let start = Timestamp::default();
        // Without a secret of their own the admin token stands in, and without that the config.
        let secrets = ["TIDEGATE_BOOKMARK_SECRET", "TIDEGATE_ADMIN_TOKEN"];
        let mut secrets = secrets.into_iter().filter_map(|name| vars.all.get(name));
        let secret = secrets.find(|secret| !secret.is_empty());
        let pools = site.pools.iter().map(|pool| PoolState::new(pool, start)).collect();
        Rc::new(Self {
            memory: RefCell::new(Memory::new(site.memory_bytes_max)),
            searches: RefCell::default(),
            groups: RefCell::default(),
            bookmark_key: Key::new(secret.map_or(text, String::as_str)),
            fleet: Fleet::default(),
            flights: RefCell::default(),
            batches: RefCell::default(),
            prompts: RefCell::default(),
            pools: RefCell::new(pools),
            local: RefCell::default(),
            tended: Cell::default(),
            keyring: RefCell::default(),
            health: Health::default(),
            outbox: RefCell::new(Outbox::new(0)),
            rng: RefCell::new(fastrand::Rng::with_seed(0)),
            text: text.into(),
            anonymous: Identity::anonymous(),
            shield_rests: Cell::new(None),
            reporting: Cell::new(None),
            stored: RefCell::default(),
            forgotten: RefCell::default(),
            wrote: Cell::default(),
            sent: Cell::default(),
            seeded: Cell::new(false),
            traps,
            site,
            vars,
        })
    }

    /// Seeds what is random, once: nothing random can be had before the first request.
    pub fn seed(&self, ports: &P) {
        if !self.seeded.replace(true) {
            let mut rng = fastrand::Rng::with_seed(ports.seed());
            let mut outbox = Outbox::new(rng.u64(..));
            if self.traps > 0 {
                outbox.add_incident(Incident::Trap);
            }
            *self.outbox.borrow_mut() = outbox;
            *self.rng.borrow_mut() = rng;
        }
    }

    /// The key under which memory holds what answers a request with this one.
    pub fn key_in_memory(&self, key: &PrimaryKey) -> PrimaryKey {
        self.searches.borrow().key(key).into_owned()
    }

    /// A request's id: 32 lower-case hex digits.
    pub fn request_id(&self) -> String {
        crate::identity::hex(&self.rng.borrow_mut().u128(..).to_be_bytes())
    }

    /// Counts that this key is stored, and tells how often that makes in its window.
    pub fn stored_again(&self, key: &PrimaryKey, now: Timestamp) -> u32 {
        let mut stored = self.stored.borrow_mut();
        if stored.len() >= STORED_MAX {
            stored.clear();
        }
        let (count, until) = stored.entry(key.clone()).or_insert((0, now + STORED_FOR));
        if *until <= now {
            (*count, *until) = (0, now + STORED_FOR);
        }
        *count += 1;
        *count
    }

    /// Drops what memory holds of this key, also where it was stored for another query that is the same, and remembers
    /// when: what is older is not to come back, neither with a request that is under way nor from a store that is late to
    /// learn of it.
    pub fn forget(&self, key: &PrimaryKey, now: Timestamp) {
        let mut memory = self.memory.borrow_mut();
        memory.remove(key);
        memory.remove(&self.searches.borrow_mut().write(key, now));
        let mut forgotten = self.forgotten.borrow_mut();
        if forgotten.len() >= FORGOTTEN_MAX {
            forgotten.clear();
        }
        let at = forgotten.entry(key.clone()).or_insert(now);
        *at = now.max(*at);
    }

    /// The moment of what is invalidated now: not before any request that was sent until then, also within the same
    /// millisecond.
    pub fn note_write(&self, now: Timestamp) -> Timestamp {
        let at = not_before(self.sent.get(), now);
        self.wrote.set(at);
        at
    }

    /// The moment that a request bears which is sent now: later than all that was invalidated before, also within the same
    /// millisecond.
    pub fn after_writes(&self, now: Timestamp) -> Timestamp {
        let at = not_before(self.wrote.get() + TICK, now);
        self.sent.set(at);
        at
    }

    /// Whether this key was invalidated since what was asked for at that moment: within one millisecond nobody knows which
    /// came first.
    pub fn is_forgotten(&self, key: &PrimaryKey, moment: Timestamp) -> bool {
        self.forgotten.borrow().get(key).is_some_and(|at| *at >= moment)
    }

    /// What this isolate thinks of every endpoint.
    pub fn endpoint_reports(&self, now: Timestamp) -> Vec<EndpointReport> {
        let states = self.pools.borrow();
        let mut reports = Vec::new();
        for (pool, state) in self.site.pools.iter().zip(states.iter()) {
            for health in state.endpoints(pool, now) {
                let state = match health.state {
                    crate::origin::breaker::BreakerState::Closed => EndpointState::Closed,
                    crate::origin::breaker::BreakerState::Open => EndpointState::Open,
                    crate::origin::breaker::BreakerState::HalfOpen => EndpointState::HalfOpen,
                };
                let since = health.since;
                reports.push(EndpointReport {
                    pool: (*pool.name).into(),
                    endpoint: health.name.into(),
                    state,
                    since,
                });
            }
        }
        reports
    }
}
