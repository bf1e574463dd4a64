//! One request on its way: what every stage needs to see, and what they note for the record.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use crate::head::{Method, RequestHead};
use crate::identity::Identity;
use crate::json;
use crate::limit::{Batch, Checked};
use crate::origin::affinity::hash;
use crate::origin::config::Selection;
use crate::origin::forward::Rewrite;
use crate::origin::{Affinity, Bookmark, Pool, PoolState, Wish};
use crate::ports::Ports;
use crate::record::{AnsweredBy, Event, Incident, Incidents, MethodClass, Verdict};
use crate::route::Route;
use crate::route::path::PathPrefix;
use crate::time::{Span, Timestamp};

use super::fleet::Wait;
use super::flight::Failed;
use super::gate::Gate;
use super::queue::Queued;
use super::similar::Asked;

/// How many subrequests are kept for what follows an answer: storing it in the colo, and letting go of what it changes.
const SUBREQUESTS_KEPT: u32 = 8;

/// One request on its way.
pub struct Visit<P: Ports> {
    /// The isolate's state.
    pub gate: Rc<Gate<P>>,
    /// The world, as this request sees it.
    pub ports: P,
    /// The client's request.
    pub request: RequestHead,
    /// Its content, where that is part of the key.
    pub content: OnceCell<P::Bytes>,
    /// Its text, where a similar one may have been answered.
    pub prompt: OnceCell<Asked<P>>,
    /// The route that took it.
    pub route: Rc<Route>,
    /// Who asks.
    pub identity: Identity,
    /// X-Request-Id: 32 lower-case hex digits.
    pub id: String,
    /// When it came.
    pub arrived: Timestamp,
    /// Its client's last write, where that matters here and the client tells of it.
    pub bookmark: Option<Bookmark>,
    /// What is being read of what the fleet shares, where this isolate is behind.
    pub unread: RefCell<Option<Wait<P::Signal>>>,
    /// It is nobody's: KV is to have what it asks for, and what else holds that does not count.
    pub warms: bool,
    /// For the record.
    pub notes: RefCell<Notes>,
}

/// What happened on the way.
#[derive(Debug, Clone)]
pub struct Notes {
    /// Who made the response.
    pub answered_by: AnsweredBy,
    /// What admission said.
    pub verdict: Verdict,
    /// What was spent from leases for it.
    pub leased: Vec<Batch>,
    /// The limit of its client's open connections, where it refuses another.
    pub full: Option<Checked>,
    /// How long it took to say whether it is admitted.
    pub limited: Span,
    /// How long it waited for origins, its turn at them included.
    pub waited: Span,
    /// Whether nothing limits it, since its client is on the allow list.
    pub is_allowed: bool,
    /// Why the cache did not answer alone.
    pub forward: Option<&'static str>,
    /// Whether it waited for another request's answer.
    pub collapsed: bool,
    /// What the one came to that it waited for: it need not ask, too.
    pub failed_for_all: Option<Failed>,
    /// How often an origin was asked.
    pub attempts: u8,
    /// How often the platform was asked for something that it counts: an origin, or the Cache API.
    pub subrequests: u32,
    /// Whether another endpoint or pool than the first was asked.
    pub failover: bool,
    /// Whether a second attempt was sent beside the first.
    pub hedged: bool,
    /// The endpoint that was asked last.
    pub endpoint: Option<Rc<str>>,
    /// Where the primary says that it is in its log.
    pub position: Option<u64>,
    /// What went wrong in a helper.
    pub incidents: Incidents,
    /// What the client is told of its queue.
    pub queued: Option<Queued>,
}

impl Default for Notes {
    fn default() -> Self {
        Self {
            answered_by: AnsweredBy::Tidegate,
            verdict: Verdict::None,
            leased: Vec::new(),
            full: None,
            limited: Span::ZERO,
            waited: Span::ZERO,
            is_allowed: false,
            forward: None,
            collapsed: false,
            failed_for_all: None,
            attempts: 0,
            subrequests: 0,
            failover: false,
            hedged: false,
            endpoint: None,
            position: None,
            incidents: Incidents::default(),
            queued: None,
        }
    }
}

impl<P: Ports> Visit<P> {
    /// Asks the platform who the client is, once. Whatever depends on that has to come after it.
    pub fn meet_client(&self) {
        self.request.client.get_or_init(|| self.ports.client());
    }

    /// Whether what it is answered is for its client alone: nobody waits for the same, and nothing is stored. Then it ends where
    /// the client goes away.
    pub fn is_lone(&self) -> bool {
        let cache = &self.route.cache;
        !cache.enabled
            || !matches!(self.request.method, Method::Get | Method::Head) && self.content.get().is_none()
    }

    /// What a pool's selection goes by of this request, which has this method there.
    pub fn wish(&self, index: usize, pool: &Pool, method: &Method) -> Wish {
        let now = self.ports.now();
        let barred =
            self.with_pool(index, |state, _| state.barred(pool, method, self.bookmark.as_ref(), now));
        let affinity = if pool.config.selection == Selection::Rendezvous { self.affinity(pool) } else { 0 };
        Wish { affinity, near: pool.near(self.request.client()), barred: barred.unwrap_or_default() }
    }

    /// The verified subject, else the address.
    pub fn client_hash(&self) -> u64 {
        match (&self.identity.subject, self.request.client().address) {
            (Some(subject), _) => hash(subject.as_bytes()),
            (None, Some(std::net::IpAddr::V4(address))) => hash(&address.octets()),
            (None, Some(std::net::IpAddr::V6(address))) => hash(&address.octets()),
            (None, None) => 0,
        }
    }

    fn affinity(&self, pool: &Pool) -> u64 {
        let client = || self.client_hash();
        match &pool.config.affinity {
            Affinity::Client => client(),
            Affinity::User => hash(self.identity.subject.as_deref().unwrap_or(&self.id).as_bytes()),
            Affinity::Key => hash(self.request.target.path_and_query().as_bytes()),
            Affinity::Header(name) => {
                self.request.fields.get(name).map_or_else(client, |value| hash(value.as_bytes()))
            }
        }
    }

    /// Runs a step on what the isolate knows of a pool.
    pub fn with_pool<R>(
        &self,
        index: usize,
        step: impl FnOnce(&mut PoolState, &mut fastrand::Rng) -> R,
    ) -> Option<R> {
        let mut states = self.gate.pools.borrow_mut();
        let mut rng = self.gate.rng.borrow_mut();
        states.get_mut(index).map(|state| step(state, &mut rng))
    }

    /// How the route and a pool change a request, the pool's secret aside.
    pub fn rewrite<'a>(&'a self, pool: &'a Pool) -> Rewrite<'a> {
        Rewrite {
            strip_prefix: self.route.strip_prefix.as_ref().map(PathPrefix::as_str),
            add_prefix: self.route.add_prefix.as_ref().map(PathPrefix::as_str),
            path: pool.config.path.as_ref(),
            headers: pool.config.headers.as_slice(),
            secret: None,
        }
    }

    /// The content of the request, to be sent to an origin; `None` where there is none, or where it passes through.
    pub fn body(&self) -> Option<P::Body> {
        self.content.get().map(|bytes| self.ports.body(bytes))
    }

    /// The same visit with another request, that nobody waits for and that is not recorded.
    pub fn in_background(&self, request: RequestHead) -> Self {
        Self {
            gate: self.gate.clone(),
            ports: self.ports.clone(),
            request,
            content: self.content.clone(),
            prompt: OnceCell::new(),
            route: self.route.clone(),
            identity: self.identity.clone(),
            id: self.id.clone(),
            arrived: self.ports.now(),
            bookmark: self.bookmark,
            unread: RefCell::default(),
            // The platform counts both as one request.
            warms: self.warms,
            notes: RefCell::new(Notes { subrequests: self.notes.borrow().subrequests, ..Notes::default() }),
        }
    }

    /// Whether one more origin may be asked: the platform counts what a request asks for, and ends it in the middle where
    /// that is too much. What follows an answer has to fit, too.
    pub fn may_fetch(&self) -> bool {
        let may = self.has_left(1);
        self.notes.borrow_mut().subrequests += 1;
        may
    }

    /// Whether the platform would allow so many subrequests more.
    pub fn has_left(&self, subrequests: u32) -> bool {
        let all = self.notes.borrow().subrequests.saturating_add(subrequests + SUBREQUESTS_KEPT);
        all <= self.gate.site.server.subrequests_max
    }

    /// Notes what went wrong in a helper, and says it in the log.
    pub fn incident(&self, incident: Incident, detail: &str) {
        self.notes.borrow_mut().incidents.insert(incident);
        self.log(incident, detail);
    }

    /// The same for work after the answer, which no event tells of any more.
    pub fn late_incident(&self, incident: Incident, detail: &str) {
        self.gate.outbox.borrow_mut().add_incident(incident);
        self.log(incident, detail);
    }

    /// The incidents of a visit that no event tells of, once it is over.
    pub fn late_incidents(&self) {
        let incidents = self.notes.borrow().incidents;
        incidents.iter().for_each(|incident| self.gate.outbox.borrow_mut().add_incident(incident));
    }

    fn log(&self, incident: Incident, detail: &str) {
        self.ports.log(&json::object(&[
            ("level", "warn"),
            ("incident", incident.as_str()),
            ("detail", detail),
            ("request", &self.id),
            ("route", &self.route.name),
        ]));
    }

    /// The event of this request, answered with this status and so many bytes.
    pub fn event(&self, status: u16, bytes: Option<u64>) -> Event {
        let notes = self.notes.borrow();
        let now = self.ports.now();
        Event {
            at: now,
            route: self.route.name.clone(),
            method: MethodClass::of(&self.request.method),
            status,
            tier: self.identity.tier.clone(),
            answered_by: notes.answered_by,
            verdict: notes.verdict.clone(),
            forward: notes.forward,
            collapsed: notes.collapsed,
            origin_attempts: notes.attempts,
            failover: notes.failover,
            hedged: notes.hedged,
            endpoint: notes.endpoint.clone(),
            duration: now.since(self.arrived),
            bytes,
            incidents: notes.incidents,
        }
    }
}
