//! What the fleet knows together of its endpoints' health: how an isolate keeps up with it and says what it has seen, and
//! the probes of the one object that finds it out.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use crate::head::{Message, Method, RequestHead};
use crate::json;
use crate::origin::forward::{Hop, Rewrite, forward};
use crate::origin::monitor::{Monitor, Probed};
use crate::origin::pool::Endpoint;
use crate::origin::probe::{self, PROBE_BYTES_MAX, ProbeConfig};
use crate::origin::{FetchError, Pool};
use crate::ports::{PortError, Ports};

use crate::record::{self, Incident, ReasonCode, Status};
use crate::time::{Span, Timestamp};

use super::gate::Gate;
use super::visit::Visit;

/// How old an isolate's knowledge may get; it asks when half of that is over.
const REFRESH: Span = Span::from_secs(3);
/// How soon after an exchange an isolate whose breaker has opened says so.
const TELL_AFTER: Span = Span::from_secs(1);
/// What is older than this holds no more: the object can't be reached.
const HOLDS_FOR: Span = Span::from_secs(30);
/// How long an exchange may take.
const EXCHANGE_BUDGET: Span = Span::from_secs(5);
/// How many probes are under way at once: the platform opens no more connections.
const PROBES_AT_ONCE: usize = 6;
/// How many probes one alarm sends, within what the platform allows; the others follow at once.
const PROBES_MAX: usize = 36;

/// What an isolate knows.
pub struct Health<S> {
    version: Cell<u64>,
    /// When that was asked for which it knows.
    read: Cell<Option<Timestamp>>,
    /// When it asked last, answered or not.
    asked: Cell<Option<Timestamp>>,
    /// How often its breakers had opened then.
    told: Cell<u32>,
    /// Raised when the exchange is over that is under way.
    reading: RefCell<Option<S>>,
}

impl<S> Default for Health<S> {
    fn default() -> Self {
        let (read, asked) = (Cell::new(None), Cell::new(None));
        Self { version: Cell::new(0), read, asked, told: Cell::new(0), reading: RefCell::default() }
    }
}

impl<P: Ports> Gate<P> {
    fn watches(&self) -> bool {
        self.site.pools.iter().any(|pool| pool.config.health.is_some())
    }

    fn pools(&self) -> impl Iterator<Item = &Pool> + Clone {
        self.site.pools.iter().map(Rc::as_ref)
    }

    /// What this isolate says: its name, and which breakers are open here.
    fn complaints(&self, now: Timestamp) -> String {
        let mut text = self.outbox.borrow().isolate().to_string();
        for (pool, state) in self.pools().zip(self.pools.borrow().iter()) {
            if pool.config.health.is_none() {
                continue;
            }
            for name in state.tripped(now).filter_map(|at| pool.endpoint(at)).map(|endpoint| &*endpoint.name)
            {
                text.extend(["\n", &*pool.name, "\t", name]);
            }
        }
        text
    }

    fn trips(&self) -> u32 {
        self.pools.borrow().iter().map(crate::origin::PoolState::trips).fold(0, u32::wrapping_add)
    }

    /// Takes what the object said for its own.
    fn heed(&self, said: &str, asked: Timestamp, now: Timestamp) {
        let monitor = Monitor::read(said, self.pools(), now);
        if monitor.version < self.health.version.get() {
            return;
        }
        self.health.version.set(monitor.version);
        self.health.read.set(Some(asked));
        let mut states = self.pools.borrow_mut();
        for one in &monitor.watched {
            let Some(index) = self.pools().position(|pool| pool.name == one.pool) else { continue };
            let at = self
                .pools()
                .nth(index)
                .and_then(|pool| pool.endpoints.iter().position(|endpoint| endpoint.name == one.endpoint));
            if let (Some(state), Some(at)) = (states.get_mut(index), at) {
                state.hear(at, (one.healthy, one.since), one.lag, asked + HOLDS_FOR, now);
            }
        }
    }
}

/// Sees to it that what is known of the endpoints does not get too old. A request whose failure could not be hidden waits
/// for it a little, where the isolate was idle.
pub async fn keep_up<P: Ports>(visit: &Visit<P>, can_hide: bool) {
    let (gate, ports) = (&visit.gate, &visit.ports);
    let its = visit.route.pools.iter().filter_map(|at| gate.site.pools.get(*at));
    if !its.into_iter().any(|pool| pool.config.health.is_some()) {
        return;
    }
    let (health, now) = (&gate.health, ports.now());
    let since = |moment: &Cell<Option<Timestamp>>| moment.get().map(|at| now.since(at));
    let is_due = since(&health.asked).is_none_or(|age| {
        age.saturating_add(age) >= REFRESH || (age >= TELL_AFTER && health.told.get() != gate.trips())
    });
    if is_due {
        exchange(gate, ports);
    }
    let is_old = since(&health.read).is_none_or(|age| age > REFRESH);
    let reading = health.reading.borrow().clone();
    if let (Some(signal), true, false) = (reading, is_old, can_hide) {
        ports.raised(&signal, gate.site.kv_budget).await;
    }
}

/// Says what was seen here and learns what is known, after the answer if need be.
pub fn exchange<P: Ports>(gate: &Rc<Gate<P>>, ports: &P) {
    if !gate.watches() {
        return;
    }
    let now = ports.now();
    gate.health.asked.set(Some(now));
    gate.health.told.set(gate.trips());
    let signal = ports.signal();
    gate.health.reading.replace(Some(signal.clone()));
    let (gate, ports_later) = (gate.clone(), ports.clone());
    ports.defer(async move {
        match ports_later.health(&gate.complaints(now), EXCHANGE_BUDGET).await {
            Ok(said) => gate.heed(&said, now, ports_later.now()),
            Err(error) => {
                gate.outbox.borrow_mut().add_incident(Incident::HealthUnreachable);
                unreachable(&ports_later, &error);
            }
        }
        gate.health.reading.replace(None);
        ports_later.raise(&signal);
    });
}

/// What the object says of endpoints that are ill; `None` where nobody probes any.
pub async fn probed<P: Ports>(gate: &Gate<P>, ports: &P, budget: Span) -> Option<record::Health> {
    if !gate.watches() {
        return None;
    }
    let now = ports.now();
    let said = match ports.health("", budget).await {
        Ok(said) => said,
        Err(error) => {
            let detail = ["the object that probes endpoints does not answer: ", &error.to_string()].concat();
            return Some(record::Health::because(Status::Degraded, ReasonCode::Incident, detail));
        }
    };
    let mut health = record::Health { status: Status::Ok, reasons: Vec::new() };
    let monitor = Monitor::read(&said, gate.pools(), now);
    for pool in monitor.watched.chunk_by(|one, other| one.pool == other.pool) {
        for one in pool.iter().filter(|one| !one.healthy) {
            let secs = now.since(one.since).as_secs().to_string();
            let detail = [&*one.pool, "/", &*one.endpoint, ": ", &*one.why, ", for ", &secs, " s"].concat();
            health.add(Status::Degraded, ReasonCode::ProbeFailed, detail);
        }
        if let Some(one) = pool.first().filter(|_| pool.iter().all(|one| !one.healthy)) {
            let detail = ["no endpoint of ", &*one.pool, " is well"].concat();
            health.add(Status::Down, ReasonCode::PoolDown, detail);
        }
    }
    Some(health)
}

fn unreachable<P: Ports>(ports: &P, error: &PortError) {
    ports.log(&json::object(&[
        ("level", "warn"),
        ("incident", Incident::HealthUnreachable.as_str()),
        ("detail", &error.to_string()),
    ]));
}

/// What an isolate said comes in, what is known goes out, and when the object's alarm should ring.
pub fn hear<P: Ports>(
    gate: &Gate<P>,
    state: &str,
    said: &str,
    now: Timestamp,
) -> (String, String, Option<Timestamp>) {
    let mut monitor = Monitor::read(state, gate.pools(), now);
    monitor.hear(said, gate.pools(), now);
    (monitor.write(true), monitor.write(false), monitor.next(gate.pools()))
}

/// What came of probes, one a line, comes in; the object's state goes out, and when its alarm should ring next.
pub fn note<P: Ports>(
    gate: &Gate<P>,
    state: &str,
    probed: &str,
    now: Timestamp,
) -> (String, Option<Timestamp>) {
    let mut monitor = Monitor::read(state, gate.pools(), now);
    for probed in probed.lines().filter_map(Probed::read) {
        monitor.note(&probed, gate.pools(), now);
    }
    (monitor.write(true), monitor.next(gate.pools()))
}

/// Probes what is due, and tells what came of it.
pub async fn probe<P: Ports>(gate: &Gate<P>, ports: &P, state: &str) -> String {
    let now = ports.now();
    let monitor = Monitor::read(state, gate.pools(), now);
    let mut due = monitor.due(gate.pools(), now);
    due.truncate(PROBES_MAX);
    let mut results = String::new();
    for some in due.chunks(PROBES_AT_ONCE) {
        let probes = some.iter().filter_map(|at| {
            let one = monitor.watched.get(*at)?;
            let pool = gate.pools().find(|pool| pool.name == one.pool)?;
            let endpoint = pool.endpoints.iter().find(|endpoint| endpoint.name == one.endpoint)?;
            let probe: Probe<'_> = Box::pin(send(gate, ports, (*at, pool, endpoint)));
            Some((probe, None))
        });
        for probed in all(probes.collect()).await {
            results.push_str(&probed.write());
            results.push('\n');
        }
    }
    results
}

type Probe<'a> = Pin<Box<dyn Future<Output = Probed> + 'a>>;

/// Waits until every probe has come to something.
async fn all(mut probes: Vec<(Probe<'_>, Option<Probed>)>) -> Vec<Probed> {
    std::future::poll_fn(|context| {
        for (probe, probed) in &mut probes {
            if probed.is_none()
                && let Poll::Ready(done) = probe.as_mut().poll(context)
            {
                *probed = Some(done);
            }
        }
        if probes.iter().any(|(_, probed)| probed.is_none()) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    probes.into_iter().filter_map(|(_, probed)| probed).collect()
}

async fn send<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    (at, pool, endpoint): (usize, &Pool, &Endpoint),
) -> Probed {
    let mut lag = None;
    let why = match &pool.config.health {
        Some(config) => ask(gate, ports, (pool, endpoint, config), &mut lag).await.err().unwrap_or_default(),
        None => String::new(),
    };
    Probed { at, why, lag }
}

async fn ask<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    (pool, endpoint, config): (&Pool, &Endpoint, &ProbeConfig),
    lag: &mut Option<Span>,
) -> Result<(), String> {
    let path = config.path.as_deref().unwrap_or_default();
    let url = [endpoint.url.root(), path].concat();
    let request = RequestHead::new(Method::Get, &url).map_err(|_| "no such path")?;
    let secret = pool.config.secret.as_ref().map(|secret| (secret, gate.vars.all.get(&secret.name)));
    let secret = match secret {
        Some((secret, Some(value))) => Some((secret, value.trim())),
        Some((_, None)) => return Err("the secret is missing".into()),
        None => None,
    };
    let rewrite = Rewrite { headers: pool.config.headers.as_slice(), secret, ..Rewrite::default() };
    let id = gate.request_id();
    let traceparent = ["00-", &id, "-", id.get(..16).unwrap_or_default(), "-00"].concat();
    let hop = Hop { id: &gate.site.server.id, loops_max: 0, request_id: &id, traceparent: &traceparent };
    let mut head = forward(&request, endpoint, rewrite, &hop).map_err(|why| why.as_str())?;
    // Nobody stands behind a probe.
    head.fields.retain(|name, _| name != "forwarded" && !name.starts_with("x-forwarded-"));
    head.fields.append("user-agent", "tidegate");
    head.fields.append("accept", "*/*");
    head.fields.append("cache-control", "no-cache");
    let Message { head, body } =
        ports.fetch(&head, P::Body::default(), config.timeout).await.map_err(FetchError::as_str)?;
    let field = pool.config.lag_header.as_ref().and_then(|name| head.fields.get(&name.to_ascii_lowercase()));
    *lag = field.and_then(probe::read_lag);
    let text = if config.body.is_some() {
        let body = ports.watch(body, config.timeout, None);
        let bytes = ports.collect(body, PROBE_BYTES_MAX).await.map_err(|error| error.to_string())?;
        Some(ports.text(&bytes))
    } else {
        ports.discard(body);
        None
    };
    config.judge(&head, text.as_deref())
}
