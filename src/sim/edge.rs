//! The simulator's [`Ports`].

use std::cell::Cell;
use std::future::Future;
use std::ops::Range;
use std::rc::Rc;

use crate::cache::{Layer, StorageKey};
use crate::fleet::warm::WARM;
use crate::head::{Client, Message, RequestHead, ResponseHead};
use crate::limit::batch;
use crate::limit::object::{self, StateTable};
use crate::origin::FetchError;
use crate::ports::{Held, Loaded, Observed, PortError, Ports};
use crate::record::Delta;
use crate::time::{Span, Timestamp};

use super::body::{self, Body, Bytes, Content, Pipe};
use super::clock::Signal;
use super::deliveries;
use super::fault::Helper;
use super::fleet;
use super::origin::Asked;
use super::queue;
use super::stores::Kept;
use super::warm;
use super::world::Shared;

/// The world as the requests of one isolate see it.
#[derive(Clone)]
pub struct Edge {
    pub shared: Rc<Shared>,
    pub colo: usize,
    pub isolate: u64,
    uploaded: Rc<Cell<Timestamp>>,
}

/// A fetch without an answer yet; counted where it is dropped.
struct UnderWay(Rc<Shared>);

impl UnderWay {
    fn ends(self) {
        self.0.revoked.set(self.0.revoked.get().wrapping_sub(1));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.revoked.set(self.0.revoked.get().wrapping_add(1));
    }
}

/// How long what has no budget may hang: the platform ends deferred work after so long.
pub const HANGS_FOR: Span = Span::from_secs(30);
/// How many API keys are listed at once.
const KEYS_PAGE: usize = 2;
/// KV keeps nothing for less.
const KV_KEEPS_MIN: Span = Span::from_secs(60);
/// The stores count seconds in 31 bits.
const KEEPS_SECS_MAX: u64 = 2_147_483_647;
/// KV's promise: a write is seen everywhere after so long.
const KV_LAG_MAX: Span = Span::from_secs(60);

impl Edge {
    pub fn new(shared: Rc<Shared>, colo: usize, isolate: u64) -> Self {
        Self { shared, colo, isolate, uploaded: Rc::default() }
    }

    /// One call of a helper: half of the time it takes passes before it is done, half after. What is given up
    /// is done all the same.
    async fn ask<T>(
        &self,
        helper: Helper,
        budget: Span,
        work: impl FnOnce() -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        let clock = &self.shared.clock;
        let (takes, done) = self.shared.draw(helper);
        let Some(takes) = takes else {
            clock.sleep(budget).await;
            return Err(PortError::Timeout);
        };
        let before = Span::from_millis(takes.as_millis() / 2).min(budget);
        clock.sleep(before).await;
        let outcome = if done { work() } else { Err(PortError::Failed("the helper is broken".into())) };
        if takes > budget {
            clock.sleep(budget.saturating_sub(before)).await;
            return Err(PortError::Timeout);
        }
        let after = takes.saturating_sub(before);
        if after > Span::ZERO {
            clock.sleep(after).await;
        }
        outcome
    }

    /// From when on each colo sees what is written here now.
    pub(super) fn visible(&self) -> Vec<Timestamp> {
        let (now, mut rng) = (self.shared.clock.now(), self.shared.rng.borrow_mut());
        let lag = |_| now + Span::from_millis(rng.u64(..=KV_LAG_MAX.as_millis()));
        let mut visible: Vec<Timestamp> = (0..self.shared.colos_max).map(lag).collect();
        visible[self.colo] = now;
        visible
    }

    fn stream(&self, bytes: Bytes) -> Body {
        let content = Content { bytes, ends_at: self.shared.clock.now(), breaks: false };
        Body::stream(content, &self.shared.leaks)
    }

    fn kv_put(&self, key: &StorageKey, kept: Option<Kept>) -> Result<(), PortError> {
        self.shared.kv.borrow_mut().put(*key, kept, self.visible(), self.shared.clock.now())
    }
}

impl Ports for Edge {
    type Body = Body;
    type Bytes = Bytes;
    type Sink = Rc<Pipe>;
    type Signal = Rc<Signal>;

    // Every request of the tests brings its client.
    fn client(&self) -> Client {
        Client::default()
    }

    fn now(&self) -> Timestamp {
        self.shared.time_at(self.isolate)
    }

    fn seed(&self) -> u64 {
        self.shared.rng.borrow_mut().u64(..)
    }

    fn log(&self, line: &str) {
        self.shared.log.borrow_mut().push(line.to_owned());
    }

    fn defer(&self, work: impl Future<Output = ()> + 'static) {
        self.shared.tasks.spawn(self.isolate, work);
    }

    fn pipe(&self, bytes: u64) -> (Body, Rc<Pipe>) {
        Body::pipe(bytes)
    }

    async fn pour(&self, sink: &Rc<Pipe>, body: Body) -> Result<(), PortError> {
        let broke = |()| PortError::Failed("the stream broke".into());
        match body::read(&self.shared.clock, body).await {
            Ok(bytes) => sink.pour(&bytes).map_err(broke),
            Err(part) => sink.pour(&part).and(Err(())).map_err(broke),
        }
    }

    fn end(&self, sink: &Rc<Pipe>, whole: bool) {
        sink.end(whole);
    }

    fn body(&self, bytes: &Bytes) -> Body {
        Body::bytes(bytes.clone())
    }

    fn bytes(&self, text: &str) -> Bytes {
        text.as_bytes().into()
    }

    fn len(&self, bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }

    fn slice(&self, bytes: &Bytes, range: Range<u64>) -> Bytes {
        body::slice(bytes, range)
    }

    fn tee(&self, body: Body) -> (Body, Body) {
        body.tee()
    }

    fn exact(&self, body: Body, length: u64) -> Body {
        body.exact(length)
    }

    fn part(&self, body: Body, range: Range<u64>) -> Body {
        body.part(range)
    }

    fn encode(&self, body: Body) -> Body {
        body.encoded()
    }

    fn discard(&self, body: Body) {
        body.take();
    }

    fn text(&self, bytes: &Bytes) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn concat(&self, parts: &[Bytes]) -> Bytes {
        parts.concat().into()
    }

    async fn gather(&self, body: Body, cap: u64) -> Result<(Bytes, bool), PortError> {
        let read = body::read(&self.shared.clock, body).await;
        let whole = read.is_ok();
        match read.unwrap_or_else(|part| part) {
            bytes if bytes.len() as u64 > cap => Err(PortError::TooLarge),
            bytes => Ok((bytes, whole)),
        }
    }

    async fn hold(&self, body: Body, cap: u64) -> Result<Held<Bytes, Body>, PortError> {
        if body.len() > cap {
            return Ok(Held::Longer(body));
        }
        self.collect(body, cap).await.map(Held::Whole)
    }

    async fn sleep(&self, span: Span) {
        self.shared.clock.sleep(span).await;
    }

    fn signal(&self) -> Rc<Signal> {
        Rc::default()
    }

    fn raise(&self, signal: &Rc<Signal>) {
        signal.raise();
    }

    async fn raised(&self, signal: &Rc<Signal>, budget: Span) -> bool {
        signal.raised(self.shared.clock.sleep(budget)).await
    }

    async fn fetch(
        &self,
        request: &RequestHead,
        body: Body,
        deadline: Span,
    ) -> Result<Message<ResponseHead, Body>, FetchError> {
        self.fetch_awaited(request, body, deadline).await
    }

    async fn fetch_awaited(
        &self,
        request: &RequestHead,
        body: Body,
        deadline: Span,
    ) -> Result<Message<ResponseHead, Body>, FetchError> {
        let (shared, clock) = (&self.shared, &self.shared.clock);
        let under_way = UnderWay(shared.clone());
        clock.sleep(Span::ZERO).await;
        let sent = body::read(clock, body).await.map_err(|_| FetchError::ConnectionLost)?;
        self.uploaded.set(clock.now());
        let asked = Asked {
            head: request.clone(),
            body: self.text(&sent),
            at: self.shared.clock.now(),
            nth: shared.counts.borrow().origin,
        };
        shared.counts.borrow_mut().origin += 1;
        let reply = (shared.origin.borrow_mut())(&asked);
        shared.asked.borrow_mut().push(asked);
        if reply.after > deadline {
            clock.sleep(deadline).await;
            under_way.ends();
            return Err(FetchError::Timeout);
        }
        clock.sleep(reply.after).await;
        under_way.ends();
        let mut head = reply.result?;
        let bytes: Bytes = match request.method.as_str() {
            "HEAD" => Rc::new([]),
            _ if head.is_bodiless() => Rc::new([]),
            _ if reply.breaks => reply.body.as_bytes()[..reply.body.len() / 2].into(),
            _ => reply.body.clone().into(),
        };
        if reply.with_length && !head.is_bodiless() && !head.fields.contains("content-length") {
            head.fields.append("content-length", &reply.body.len().to_string());
        }
        let content = Content { bytes, ends_at: self.shared.clock.now() + reply.takes, breaks: reply.breaks };
        Ok(Message::new(head, Body::stream(content, &shared.leaks)))
    }

    fn uploaded(&self) -> Timestamp {
        self.uploaded.get()
    }

    fn ending(&self, body: Body, signal: &Rc<Signal>, _: Option<u64>, _: bool) -> Body {
        let (clock, signal, ends_at) = (self.shared.clock.clone(), signal.clone(), body.ends_at());
        self.defer(async move {
            clock.until(ends_at).await;
            signal.raise();
        });
        body
    }

    fn watch(&self, body: Body, idle: Span, _length: Option<u64>) -> Body {
        body.watched(self.shared.clock.now() + idle)
    }

    async fn load(
        &self,
        layer: Layer,
        key: &StorageKey,
        budget: Span,
    ) -> Result<Option<Loaded<Body>>, PortError> {
        let shared = &self.shared;
        let helper = match layer {
            Layer::Kv => Helper::Kv,
            Layer::Colo => Helper::Colo,
            Layer::Memory => panic!("memory is no store"),
        };
        shared.counts.borrow_mut().reads(helper);
        let read = || match helper {
            Helper::Kv => Ok(shared.kv.borrow().get(self.colo, key, self.shared.clock.now()).cloned()),
            _ => Ok(shared.colos.borrow().get(self.colo, key, self.shared.clock.now()).cloned()),
        };
        let kept: Option<Kept> = self.ask(helper, budget, read).await?;
        Ok(kept.map(|kept| Message::new(kept.head, self.stream(kept.body))))
    }

    async fn save(
        &self,
        layer: Layer,
        key: &StorageKey,
        record: Loaded<Body>,
        length: Option<u64>,
        keep: Span,
    ) -> Result<(), PortError> {
        let shared = &self.shared;
        let helper = if layer == Layer::Kv { Helper::Kv } else { Helper::Colo };
        shared.counts.borrow_mut().writes(helper);
        let read = body::read(&shared.clock, record.body).await;
        let body = read.map_err(|_| PortError::BrokenOff)?;
        if length.is_some_and(|length| length != body.len() as u64) {
            return Err(PortError::BrokenOff);
        }
        if keep.as_secs() > KEEPS_SECS_MAX {
            return Err(PortError::Failed("Value out of range.".into()));
        }
        let write = || {
            let keep = if helper == Helper::Kv { keep.max(KV_KEEPS_MIN) } else { keep };
            let kept = Kept { head: record.head, body, until: self.shared.clock.now() + keep };
            match helper {
                Helper::Kv => self.kv_put(key, Some(kept)),
                _ => {
                    shared.colos.borrow_mut().put(self.colo, *key, kept);
                    Ok(())
                }
            }
        };
        self.ask(helper, HANGS_FOR, write).await
    }

    async fn remove(&self, layer: Layer, key: &StorageKey) -> Result<(), PortError> {
        let shared = &self.shared;
        let helper = if layer == Layer::Kv { Helper::Kv } else { Helper::Colo };
        shared.counts.borrow_mut().writes(helper);
        let work = || match helper {
            Helper::Kv => self.kv_put(key, None),
            _ => {
                shared.colos.borrow_mut().remove(self.colo, key);
                Ok(())
            }
        };
        self.ask(helper, HANGS_FOR, work).await
    }

    /// As `limiter_take` on the platform: a table of bytes, a text, one step.
    async fn limit(&self, object: &str, asks: &str, budget: Span) -> Result<String, PortError> {
        let shared = &self.shared;
        shared.counts.borrow_mut().limiter += 1;
        let take = || {
            let mut objects = shared.limiters.borrow_mut();
            let stored = objects.entry(object.to_owned()).or_default();
            let mut table = StateTable::decode(stored).unwrap_or_default();
            let orders = batch::read_orders(asks).ok_or(PortError::Failed("unreadable".into()))?;
            let step = object::step(&mut table, &orders, self.shared.clock.now());
            if step.changed {
                *stored = table.encode();
                shared.ledger.borrow_mut().kept(object, step.expires_at, self.shared.clock.now());
            }
            Ok(batch::replies_text(&step.replies))
        };
        self.ask(Helper::Limiter, budget, take).await
    }

    async fn reset_limit(&self, object: &str, budget: Span) -> Result<(), PortError> {
        let reset = || {
            self.shared.limiters.borrow_mut().remove(object);
            Ok(())
        };
        self.ask(Helper::Limiter, budget, reset).await
    }

    async fn shield(
        &self,
        key: &StorageKey,
        said: &str,
        body: Option<&Bytes>,
        budget: Span,
    ) -> Result<(String, Option<Bytes>), PortError> {
        let shared = &self.shared;
        shared.counts.borrow_mut().shield += 1;
        let say = || {
            Ok(shared.shields.borrow_mut().entry(*key).or_default().say(said, body, self.shared.clock.now()))
        };
        let heard = self.ask(Helper::Shield, budget, say).await?;
        Ok(heard.told(&shared.clock).await)
    }

    async fn queue(
        &self,
        name: &str,
        call: &str,
        patience: Span,
        budget: Span,
        _: bool,
    ) -> Result<String, PortError> {
        let shared = &self.shared;
        self.ask(Helper::Queue, budget, || Ok(())).await?;
        queue::turn(&shared.queues, &shared.clock, (name, call), patience).await
    }

    async fn api_key(&self, hash: &str, budget: Span) -> Result<Option<String>, PortError> {
        self.shared.counts.borrow_mut().key_reads += 1;
        let read = || Ok(self.shared.api_keys.borrow().get(hash).cloned());
        self.ask(Helper::Kv, budget, read).await
    }

    fn secret(&self) -> String {
        format!("{:043}", self.shared.rng.borrow_mut().u64(..))
    }

    /// As on the platform, two on a page.
    async fn keys(&self, prefix: &str, cursor: &str, budget: Span) -> Result<String, PortError> {
        let list = || {
            let keys = self.shared.api_keys.borrow();
            let mut ids: Vec<&String> = keys.keys().filter(|id| id.starts_with(prefix)).collect();
            ids.sort();
            ids.retain(|id| id.as_str() > cursor);
            let next = if ids.len() > KEYS_PAGE { ids[KEYS_PAGE - 1].as_str() } else { "" };
            let lines = ids.iter().take(KEYS_PAGE).map(|id| format!("{id} {}", keys[*id]));
            Ok([next.to_owned()].into_iter().chain(lines).collect::<Vec<_>>().join("\n"))
        };
        self.ask(Helper::Kv, budget, list).await
    }

    async fn save_key(&self, hash: &str, record: Option<&str>) -> Result<(), PortError> {
        let save = || {
            let mut keys = self.shared.api_keys.borrow_mut();
            match record {
                Some(record) => keys.insert(hash.to_owned(), record.to_owned()),
                None => keys.remove(hash),
            };
            Ok(())
        };
        self.ask(Helper::Kv, HANGS_FOR, save).await
    }

    /// A signature holds where it says `good`.
    async fn verify(&self, _: &str, _: &str, _: &[u8], signature: &[u8]) -> Result<bool, PortError> {
        self.shared.clock.sleep(Span::ZERO).await;
        Ok(signature == b"good")
    }

    async fn fleet(&self, budget: Span) -> Result<Option<String>, PortError> {
        self.shared.counts.borrow_mut().fleet_reads += 1;
        let read = || Ok(self.shared.fleet.borrow().seen(self.colo, self.shared.clock.now()));
        self.ask(Helper::Kv, budget, read).await
    }

    async fn command(&self, command: &str, budget: Span) -> Result<String, PortError> {
        self.shared.counts.borrow_mut().fleet_commands += 1;
        self.ask(Helper::Fleet, budget, || match command.strip_prefix(WARM) {
            Some(command) => warm::command(&self.shared, command),
            None => fleet::command(self, command),
        })
        .await
    }

    async fn audit(&self, budget: Span) -> Result<String, PortError> {
        self.ask(Helper::Fleet, budget, || Ok(self.shared.fleet.borrow().audit())).await
    }

    async fn health(&self, seen: &str, budget: Span) -> Result<String, PortError> {
        self.ask(Helper::Health, budget, || Ok(self.hear(seen))).await
    }

    async fn connect(&self, place: &str, most: u32, budget: Span) -> Result<bool, PortError> {
        let count = || {
            let mut sockets = self.shared.sockets.borrow_mut();
            let open = sockets.entry(place.to_owned()).or_default();
            let has_room = *open < most;
            *open += u32::from(has_room);
            Ok(has_room)
        };
        self.ask(Helper::Limiter, budget, count).await
    }

    fn relay(&self, socket: Body, _messages: Option<(u32, Span)>) -> Body {
        socket
    }

    async fn deliveries(
        &self,
        pool: &str,
        ask: &str,
        change: Option<(&RequestHead, &Bytes)>,
        budget: Span,
    ) -> Result<String, PortError> {
        let change = change.map(|(head, body)| (head.clone(), body.clone()));
        self.ask(Helper::Deliveries, budget, || deliveries::ask(&self.shared, pool, ask, change)).await
    }

    async fn report(&self, delta: &str) -> Result<bool, PortError> {
        let shared = &self.shared;
        shared.counts.borrow_mut().metrics += 1;
        let ingest = || {
            let delta = Delta::decode(delta).map_err(|error| PortError::Failed(error.to_string()))?;
            shared.metrics.borrow_mut().ingest(&delta, self.shared.clock.now());
            shared.ledger.borrow_mut().ingested(self.shared.clock.now());
            Ok(shared.watched.get())
        };
        self.ask(Helper::Metrics, HANGS_FOR, ingest).await
    }

    async fn observe(&self, what: Observed, budget: Span) -> Result<String, PortError> {
        let tell = || Ok(self.shared.observe(what));
        self.ask(Helper::Metrics, budget, tell).await
    }

    async fn live(&self) -> Result<Message<ResponseHead, Body>, PortError> {
        Ok(Message::new(ResponseHead::new(101), Body::default()))
    }

    async fn asset(&self, path: &str) -> Result<Message<ResponseHead, Body>, PortError> {
        self.shared.clock.sleep(Span::ZERO).await;
        let (status, text) = if path.is_empty() { (200, "<!doctype html>") } else { (404, "") };
        Ok(Message::new(ResponseHead::new(status), self.stream(text.as_bytes().into())))
    }
}
