//! What one isolate holds between requests. All of it can be lost at any time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::cache::Memory;
use crate::config::Site;
use crate::limit::local::Refusals;
use crate::origin::PoolState;
use crate::ports::Ports;
use crate::record::{EndpointReport, EndpointState, Incident, Outbox};
use crate::time::Timestamp;

use super::flight::Flights;
use super::identify::Keyring;

/// What is not in the config file: variables and secrets of the deployment.
#[derive(Debug, Clone, Default)]
pub struct Vars {
    /// `TIDEGATE_ADMIN_TOKEN`; without it the admin endpoints do not exist.
    pub admin_token: Option<String>,
    /// `RATE_LIMIT_ENABLED`: false switches every limit off.
    pub limits: bool,
}

impl Vars {
    /// From the names and values that the platform has.
    pub fn new(vars: &HashMap<String, String>) -> Self {
        let off = vars.get("RATE_LIMIT_ENABLED").is_some_and(|text| {
            ["false", "0", "off", "no"].contains(&text.trim().to_ascii_lowercase().as_str())
        });
        Self { admin_token: vars.get("TIDEGATE_ADMIN_TOKEN").cloned(), limits: !off }
    }
}

/// One isolate's state.
pub struct Gate<P: Ports> {
    /// What the config says.
    pub site: Site,
    /// What the deployment says.
    pub vars: Vars,
    /// The memory layer.
    pub memory: RefCell<Memory<P::Bytes>>,
    /// Who is fetching what.
    pub flights: RefCell<Flights<P::Signal>>,
    /// What was learned of each pool of the site, in its order.
    pub pools: RefCell<Vec<PoolState>>,
    /// Who is known to be over its quota.
    pub refusals: RefCell<Refusals>,
    /// API keys and key sets that were read lately.
    pub keyring: RefCell<Keyring>,
    /// Counters that the metrics object has not seen.
    pub outbox: RefCell<Outbox>,
    /// Seeded by the first request.
    pub rng: RefCell<fastrand::Rng>,
    seeded: std::cell::Cell<bool>,
}

impl<P: Ports> Gate<P> {
    /// An isolate that has seen nothing. `traps` is how often this one lost its memory before.
    pub fn new(site: Site, vars: Vars, traps: u32) -> Rc<Self> {
        let start = Timestamp::from_millis(0);
        let pools = site.pools.iter().map(|pool| PoolState::new(&pool.pool, start)).collect();
        let mut outbox = Outbox::new(0);
        if traps > 0 {
            outbox.add_incident(Incident::Trap);
        }
        Rc::new(Self {
            memory: RefCell::new(Memory::new(site.memory_bytes_max)),
            flights: RefCell::default(),
            pools: RefCell::new(pools),
            refusals: RefCell::default(),
            keyring: RefCell::default(),
            outbox: RefCell::new(outbox),
            rng: RefCell::new(fastrand::Rng::with_seed(0)),
            seeded: std::cell::Cell::new(false),
            site,
            vars,
        })
    }

    /// Seeds what is random, once: nothing random can be had before the first request.
    pub fn seed(&self, ports: &P) {
        if !self.seeded.replace(true) {
            let mut rng = fastrand::Rng::with_seed(ports.seed());
            self.outbox.borrow_mut().name(rng.u64(..));
            *self.rng.borrow_mut() = rng;
        }
    }

    /// A request's id: 32 lower-case hex digits.
    pub fn request_id(&self) -> String {
        crate::identity::hex(&self.rng.borrow_mut().u128(..).to_be_bytes())
    }

    /// What this isolate thinks of every endpoint.
    pub fn endpoint_reports(&self, now: Timestamp) -> Vec<EndpointReport> {
        let states = self.pools.borrow();
        let mut reports = Vec::new();
        for (site, state) in self.site.pools.iter().zip(states.iter()) {
            for health in state.endpoints(&site.pool, now) {
                let state = match health.state {
                    crate::origin::breaker::BreakerState::Closed => EndpointState::Closed,
                    crate::origin::breaker::BreakerState::Open => EndpointState::Open,
                    crate::origin::breaker::BreakerState::HalfOpen => EndpointState::HalfOpen,
                };
                let since = health.since;
                reports.push(EndpointReport { pool: (*site.pool.name).into(), endpoint: health.name.into(), state, since });
            }
        }
        reports
    }
}
