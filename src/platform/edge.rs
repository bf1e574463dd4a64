//! [`Ports`] on Workers: each operation is one method of `call.mjs`, which holds the request, its bindings and the
//! bodies.

use std::future::Future;
use std::ops::Range;

use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

use super::executor::{self, Operation, Settled};
use super::wire;
use crate::cache::record::{METADATA_BYTES_MAX, json_bytes};
use crate::cache::{Layer, StorageKey};
use crate::head::{Client, Message, RequestHead, ResponseHead};
use crate::origin::FetchError;
use crate::ports::{Held, Loaded, Observed, PortError, Ports};
use crate::time::{Span, Timestamp};

#[wasm_bindgen]
extern "C" {
    /// The JavaScript half of a request (`call.mjs`).
    #[derive(Clone)]
    pub type Call;

    #[wasm_bindgen(method)]
    fn respond(this: &Call, packed: &str, body: &JsValue);
    #[wasm_bindgen(method)]
    fn client(this: &Call) -> String;
    #[wasm_bindgen(method)]
    fn stay(this: &Call);
    #[wasm_bindgen(method)]
    fn unstay(this: &Call);
    #[wasm_bindgen(method)]
    fn sleep(this: &Call, op: u32, millis: f64);
    #[wasm_bindgen(method)]
    fn signal(this: &Call) -> JsValue;
    #[wasm_bindgen(method)]
    fn raise(this: &Call, signal: &JsValue);
    #[wasm_bindgen(method)]
    fn raised(this: &Call, op: u32, signal: &JsValue, millis: f64);
    #[wasm_bindgen(method)]
    fn fetch(this: &Call, op: u32, packed: &str, body: &JsValue, millis: f64, awaited: bool);
    #[wasm_bindgen(method)]
    fn revoke(this: &Call, op: u32);
    #[wasm_bindgen(method, getter)]
    fn uploaded(this: &Call) -> f64;
    #[wasm_bindgen(method)]
    fn watch(this: &Call, body: &JsValue, millis: f64, length: f64, signal: &JsValue, lone: bool) -> JsValue;
    #[wasm_bindgen(method)]
    fn gather(this: &Call, op: u32, body: &JsValue, cap: f64);
    #[wasm_bindgen(method)]
    fn hold(this: &Call, op: u32, body: &JsValue, cap: f64);
    #[wasm_bindgen(method)]
    fn tee(this: &Call, body: &JsValue) -> Array;
    #[wasm_bindgen(method)]
    fn pipe(this: &Call, bytes: f64) -> Array;
    #[wasm_bindgen(method)]
    fn pour(this: &Call, op: u32, sink: &JsValue, body: &JsValue);
    #[wasm_bindgen(method)]
    fn end(this: &Call, sink: &JsValue, whole: bool);
    #[wasm_bindgen(method)]
    fn exact(this: &Call, body: &JsValue, length: f64) -> JsValue;
    #[wasm_bindgen(method)]
    fn part(this: &Call, body: &JsValue, start: f64, end: f64) -> JsValue;
    #[wasm_bindgen(method)]
    fn encode(this: &Call, body: &JsValue) -> JsValue;
    #[wasm_bindgen(method)]
    fn discard(this: &Call, body: &JsValue);
    #[wasm_bindgen(method)]
    fn text(this: &Call, bytes: &Uint8Array) -> String;
    #[wasm_bindgen(method)]
    fn colo_load(this: &Call, op: u32, key: &str, millis: f64);
    #[wasm_bindgen(method)]
    fn colo_save(this: &Call, op: u32, key: &str, head: &str, body: &JsValue, length: f64, keep_secs: f64);
    #[wasm_bindgen(method)]
    fn colo_remove(this: &Call, op: u32, key: &str);
    #[wasm_bindgen(method)]
    fn kv_load(this: &Call, op: u32, key: &str, millis: f64);
    #[wasm_bindgen(method)]
    fn kv_save(
        this: &Call,
        op: u32,
        key: &str,
        head: &str,
        apart: bool,
        body: &JsValue,
        length: f64,
        keep_secs: f64,
    );
    #[wasm_bindgen(method)]
    fn kv_remove(this: &Call, op: u32, key: &str);
    #[wasm_bindgen(method)]
    fn api_key(this: &Call, op: u32, hash: &str, millis: f64);
    #[wasm_bindgen(method)]
    fn secret(this: &Call) -> String;
    #[wasm_bindgen(method)]
    fn keys(this: &Call, op: u32, prefix: &str, cursor: &str, millis: f64);
    #[wasm_bindgen(method)]
    fn save_key(this: &Call, op: u32, hash: &str, record: Option<&str>, listed: bool);
    #[wasm_bindgen(method)]
    fn limit(this: &Call, op: u32, object: &str, asks: &str, millis: f64);
    #[wasm_bindgen(method)]
    fn reset_limit(this: &Call, op: u32, object: &str, millis: f64);
    #[wasm_bindgen(method)]
    fn shield(this: &Call, op: u32, key: &str, said: &str, body: &JsValue, millis: f64);
    #[wasm_bindgen(method)]
    fn queue(this: &Call, op: u32, name: &str, call: &str, patience: f64, millis: f64, awaited: bool);
    #[wasm_bindgen(method)]
    fn verify(this: &Call, op: u32, algorithm: &str, key: &str, signed: &[u8], signature: &[u8]);
    #[wasm_bindgen(method)]
    fn fleet(this: &Call, op: u32, millis: f64);
    #[wasm_bindgen(method)]
    fn command(this: &Call, op: u32, command: &str, millis: f64);
    #[wasm_bindgen(method)]
    fn audit(this: &Call, op: u32, millis: f64);
    #[wasm_bindgen(method)]
    fn health(this: &Call, op: u32, seen: &str, millis: f64);
    #[wasm_bindgen(method)]
    fn connect(this: &Call, op: u32, place: &str, most: u32, millis: f64);
    #[wasm_bindgen(method)]
    fn relay(this: &Call, socket: &JsValue, most: u32, millis: f64) -> JsValue;
    #[wasm_bindgen(method)]
    fn deliveries(this: &Call, op: u32, pool: &str, ask: &str, body: &JsValue, millis: f64);
    #[wasm_bindgen(method)]
    fn report(this: &Call, op: u32, delta: &str);
    #[wasm_bindgen(method)]
    fn observe(this: &Call, op: u32, what: &str, millis: f64);
    #[wasm_bindgen(method)]
    fn live(this: &Call, op: u32);
    #[wasm_bindgen(method)]
    fn asset(this: &Call, op: u32, path: &str);

    #[wasm_bindgen(js_namespace = console)]
    fn log(line: &str);
    #[wasm_bindgen(js_namespace = Math)]
    fn random() -> f64;
}

/// The world of one request on Workers.
#[derive(Clone)]
pub struct Edge {
    call: Call,
}

/// Ends a fetch that nobody waits for any more.
struct Revoke {
    call: Call,
    /// `None` where it has ended.
    op: Option<u32>,
}

impl Drop for Revoke {
    fn drop(&mut self) {
        if let Some(op) = self.op {
            self.call.revoke(op);
        }
    }
}

/// A body on the JavaScript side: a Request or Response (its body), a stream, bytes, a text; undefined is none.
#[derive(Default)]
pub struct Body(pub JsValue);

fn millis(span: Span) -> f64 {
    span.as_millis() as f64
}

/// As JavaScript is told a length: negative where it is unknown.
fn known(length: Option<u64>) -> f64 {
    length.map_or(-1.0, |bytes| bytes as f64)
}

fn failed(message: String) -> PortError {
    match message.as_str() {
        "timeout" => PortError::Timeout,
        "too large" => PortError::TooLarge,
        "broken off" => PortError::BrokenOff,
        "gone" => PortError::Gone,
        _ => PortError::Failed(message),
    }
}

async fn settled(operation: Operation) -> Result<Settled, PortError> {
    operation.await.map_err(failed)
}

impl Edge {
    /// The world of the request that `call` stands for.
    pub fn new(call: Call) -> Self {
        Self { call }
    }

    /// Gives the answer.
    pub fn respond(&self, answer: Message<ResponseHead, Body>) {
        let packed = wire::pack(&answer.head.status.to_string(), &answer.head.fields);
        self.call.respond(&packed, &answer.body.0);
    }

    fn begin_fetch(
        &self,
        request: &RequestHead,
        body: &Body,
        deadline: Span,
        awaited: bool,
    ) -> impl Future<Output = Result<Message<ResponseHead, Body>, FetchError>> + use<> {
        let first = [request.method.as_str(), " ", request.target.url()].concat();
        let packed = wire::pack(&first, &request.fields);
        let operation = Operation::new(|op| self.call.fetch(op, &packed, &body.0, millis(deadline), awaited));
        let mut revoke = awaited.then(|| Revoke { call: self.call.clone(), op: Some(operation.id()) });
        async move {
            let message = Self::message(operation).await;
            if let Some(revoke) = &mut revoke {
                revoke.op = None;
            }
            // The platform does not tell a refused connection from a lost one, so none counts as certainly not sent.
            message.map_err(|error| match error {
                PortError::Timeout => FetchError::Timeout,
                PortError::Gone => FetchError::Aborted,
                PortError::TooLarge | PortError::BrokenOff | PortError::Failed(_) => {
                    FetchError::ConnectionLost
                }
            })
        }
    }

    async fn message(operation: Operation) -> Result<Message<ResponseHead, Body>, PortError> {
        let Settled { text, handle } = settled(operation).await?;
        Ok(Message::new(wire::response(text.unwrap_or_default()), Body(handle)))
    }
}

impl Ports for Edge {
    type Body = Body;
    type Bytes = Uint8Array;
    type Sink = JsValue;
    type Signal = JsValue;

    fn client(&self) -> Client {
        wire::client(&self.call.client())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(js_sys::Date::now() as u64)
    }

    fn seed(&self) -> u64 {
        random().to_bits() ^ random().to_bits().rotate_left(32)
    }

    fn log(&self, line: &str) {
        log(line);
    }

    fn defer(&self, work: impl Future<Output = ()> + 'static) {
        let call = self.call.clone();
        call.stay();
        executor::spawn(async move {
            work.await;
            call.unstay();
        });
    }

    fn pipe(&self, bytes: u64) -> (Body, JsValue) {
        let both = self.call.pipe(bytes as f64);
        (Body(both.get(0)), both.get(1))
    }

    async fn pour(&self, sink: &JsValue, body: Body) -> Result<(), PortError> {
        settled(Operation::new(|op| self.call.pour(op, sink, &body.0))).await.map(drop)
    }

    fn end(&self, sink: &JsValue, whole: bool) {
        self.call.end(sink, whole);
    }

    fn body(&self, bytes: &Uint8Array) -> Body {
        Body(bytes.into())
    }

    fn bytes(&self, text: &str) -> Uint8Array {
        Uint8Array::from(text.as_bytes())
    }

    fn len(&self, bytes: &Uint8Array) -> u64 {
        u64::from(bytes.length())
    }

    fn slice(&self, bytes: &Uint8Array, range: Range<u64>) -> Uint8Array {
        bytes.subarray(range.start as u32, range.end as u32)
    }

    fn tee(&self, body: Body) -> (Body, Body) {
        let both = self.call.tee(&body.0);
        (Body(both.get(0)), Body(both.get(1)))
    }

    fn exact(&self, body: Body, length: u64) -> Body {
        Body(self.call.exact(&body.0, length as f64))
    }

    fn part(&self, body: Body, range: Range<u64>) -> Body {
        Body(self.call.part(&body.0, range.start as f64, range.end as f64))
    }

    fn encode(&self, body: Body) -> Body {
        Body(self.call.encode(&body.0))
    }

    fn discard(&self, body: Body) {
        self.call.discard(&body.0);
    }

    fn text(&self, bytes: &Uint8Array) -> String {
        self.call.text(bytes)
    }

    fn concat(&self, parts: &[Uint8Array]) -> Uint8Array {
        let whole = Uint8Array::new_with_length(parts.iter().map(Uint8Array::length).sum());
        let mut at = 0;
        for part in parts {
            whole.set(part, at);
            at += part.length();
        }
        whole
    }

    async fn gather(&self, body: Body, cap: u64) -> Result<(Uint8Array, bool), PortError> {
        let read = settled(Operation::new(|op| self.call.gather(op, &body.0, cap as f64))).await?;
        Ok((read.handle.unchecked_into(), read.text.is_none()))
    }

    async fn hold(&self, body: Body, cap: u64) -> Result<Held<Uint8Array, Body>, PortError> {
        let read = settled(Operation::new(|op| self.call.hold(op, &body.0, cap as f64))).await?;
        Ok(match read.text {
            None => Held::Whole(read.handle.unchecked_into()),
            Some(_) => Held::Longer(Body(read.handle)),
        })
    }

    async fn sleep(&self, span: Span) {
        // A timer that can't be set is no reason to wait for ever.
        drop(settled(Operation::new(|op| self.call.sleep(op, millis(span)))).await);
    }

    fn signal(&self) -> JsValue {
        self.call.signal()
    }

    fn raise(&self, signal: &JsValue) {
        self.call.raise(signal);
    }

    async fn raised(&self, signal: &JsValue, budget: Span) -> bool {
        settled(Operation::new(|op| self.call.raised(op, signal, millis(budget)))).await.is_ok()
    }

    async fn fetch(
        &self,
        request: &RequestHead,
        body: Body,
        deadline: Span,
    ) -> Result<Message<ResponseHead, Body>, FetchError> {
        self.begin_fetch(request, &body, deadline, false).await
    }

    async fn fetch_awaited(
        &self,
        request: &RequestHead,
        body: Body,
        deadline: Span,
    ) -> Result<Message<ResponseHead, Body>, FetchError> {
        self.begin_fetch(request, &body, deadline, true).await
    }

    fn uploaded(&self) -> Timestamp {
        Timestamp::from_millis(self.call.uploaded() as u64)
    }

    fn watch(&self, body: Body, idle: Span, length: Option<u64>) -> Body {
        Body(self.call.watch(&body.0, millis(idle), known(length), &JsValue::UNDEFINED, false))
    }

    fn ending(&self, body: Body, signal: &JsValue, length: Option<u64>, lone: bool) -> Body {
        Body(self.call.watch(&body.0, 0.0, known(length), signal, lone))
    }

    async fn load(
        &self,
        layer: Layer,
        key: &StorageKey,
        budget: Span,
    ) -> Result<Option<Loaded<Body>>, PortError> {
        let (key, budget) = (key.hex(), millis(budget));
        let operation = Operation::new(|op| match layer {
            Layer::Kv => self.call.kv_load(op, &key, budget),
            Layer::Memory | Layer::Colo => self.call.colo_load(op, &key, budget),
        });
        let Settled { text, handle } = settled(operation).await?;
        Ok(text.map(|head| Message::new(head, Body(handle))))
    }

    async fn save(
        &self,
        layer: Layer,
        key: &StorageKey,
        record: Loaded<Body>,
        length: Option<u64>,
        keep: Span,
    ) -> Result<(), PortError> {
        let (key, keep, length) = (key.hex(), keep.as_secs_ceil() as f64, known(length));
        let Message { head, body: Body(body) } = record;
        let operation = Operation::new(|op| match layer {
            Layer::Kv => {
                let apart = json_bytes(&head) > METADATA_BYTES_MAX;
                self.call.kv_save(op, &key, &head, apart, &body, length, keep);
            }
            Layer::Memory | Layer::Colo => self.call.colo_save(op, &key, &head, &body, length, keep),
        });
        settled(operation).await.map(drop)
    }

    async fn remove(&self, layer: Layer, key: &StorageKey) -> Result<(), PortError> {
        let key = key.hex();
        let operation = Operation::new(|op| match layer {
            Layer::Kv => self.call.kv_remove(op, &key),
            Layer::Memory | Layer::Colo => self.call.colo_remove(op, &key),
        });
        settled(operation).await.map(drop)
    }

    async fn limit(&self, object: &str, asks: &str, budget: Span) -> Result<String, PortError> {
        let verdicts =
            settled(Operation::new(|op| self.call.limit(op, object, asks, millis(budget)))).await?;
        Ok(verdicts.text.unwrap_or_default())
    }

    async fn reset_limit(&self, object: &str, budget: Span) -> Result<(), PortError> {
        settled(Operation::new(|op| self.call.reset_limit(op, object, millis(budget)))).await.map(drop)
    }

    async fn shield(
        &self,
        key: &StorageKey,
        said: &str,
        body: Option<&Uint8Array>,
        budget: Span,
    ) -> Result<(String, Option<Uint8Array>), PortError> {
        let (key, body) = (key.hex(), body.map_or(JsValue::UNDEFINED, Into::into));
        let operation = Operation::new(|op| self.call.shield(op, &key, said, &body, millis(budget)));
        let Settled { text, handle } = settled(operation).await?;
        let bytes = (!handle.is_undefined()).then(|| handle.unchecked_into());
        Ok((text.unwrap_or_default(), bytes))
    }

    async fn queue(
        &self,
        name: &str,
        call: &str,
        patience: Span,
        budget: Span,
        awaited: bool,
    ) -> Result<String, PortError> {
        let (patience, budget) = (millis(patience), millis(budget));
        let operation = Operation::new(|op| self.call.queue(op, name, call, patience, budget, awaited));
        let told = settled(operation).await?;
        Ok(told.text.unwrap_or_default())
    }

    async fn api_key(&self, hash: &str, budget: Span) -> Result<Option<String>, PortError> {
        let record = settled(Operation::new(|op| self.call.api_key(op, hash, millis(budget)))).await?;
        Ok(record.text)
    }

    fn secret(&self) -> String {
        self.call.secret()
    }

    async fn keys(&self, prefix: &str, cursor: &str, budget: Span) -> Result<String, PortError> {
        let operation = Operation::new(|op| self.call.keys(op, prefix, cursor, millis(budget)));
        Ok(settled(operation).await?.text.unwrap_or_default())
    }

    async fn save_key(&self, hash: &str, record: Option<&str>) -> Result<(), PortError> {
        let listed = record.is_some_and(|record| json_bytes(record) <= METADATA_BYTES_MAX);
        settled(Operation::new(|op| self.call.save_key(op, hash, record, listed))).await.map(drop)
    }

    async fn verify(
        &self,
        algorithm: &str,
        key: &str,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<bool, PortError> {
        let operation = Operation::new(|op| self.call.verify(op, algorithm, key, signed, signature));
        Ok(settled(operation).await?.text.as_deref() == Some("true"))
    }

    async fn fleet(&self, budget: Span) -> Result<Option<String>, PortError> {
        Ok(settled(Operation::new(|op| self.call.fleet(op, millis(budget)))).await?.text)
    }

    async fn command(&self, command: &str, budget: Span) -> Result<String, PortError> {
        let answer = settled(Operation::new(|op| self.call.command(op, command, millis(budget)))).await?;
        Ok(answer.text.unwrap_or_default())
    }

    async fn audit(&self, budget: Span) -> Result<String, PortError> {
        let trail = settled(Operation::new(|op| self.call.audit(op, millis(budget)))).await?;
        Ok(trail.text.unwrap_or_default())
    }

    async fn health(&self, seen: &str, budget: Span) -> Result<String, PortError> {
        let known = settled(Operation::new(|op| self.call.health(op, seen, millis(budget)))).await?;
        Ok(known.text.unwrap_or_default())
    }

    async fn connect(&self, place: &str, most: u32, budget: Span) -> Result<bool, PortError> {
        let operation = Operation::new(|op| self.call.connect(op, place, most, millis(budget)));
        Ok(settled(operation).await?.text.is_some())
    }

    fn relay(&self, socket: Body, messages: Option<(u32, Span)>) -> Body {
        let (most, window) = messages.unwrap_or((0, Span::ZERO));
        Body(self.call.relay(&socket.0, most, millis(window)))
    }

    async fn deliveries(
        &self,
        pool: &str,
        ask: &str,
        change: Option<(&RequestHead, &Uint8Array)>,
        budget: Span,
    ) -> Result<String, PortError> {
        let body = change.map_or(JsValue::UNDEFINED, |(_, body)| body.into());
        let operation = Operation::new(|op| self.call.deliveries(op, pool, ask, &body, millis(budget)));
        Ok(settled(operation).await?.text.unwrap_or_default())
    }

    async fn report(&self, delta: &str) -> Result<bool, PortError> {
        Ok(settled(Operation::new(|op| self.call.report(op, delta)))
            .await?
            .text
            .is_some_and(|told| told == "watched"))
    }

    async fn observe(&self, what: Observed, budget: Span) -> Result<String, PortError> {
        let operation = Operation::new(|op| self.call.observe(op, what.as_str(), millis(budget)));
        Ok(settled(operation).await?.text.unwrap_or_default())
    }

    async fn live(&self) -> Result<Message<ResponseHead, Body>, PortError> {
        Self::message(Operation::new(|op| self.call.live(op))).await
    }

    async fn asset(&self, path: &str) -> Result<Message<ResponseHead, Body>, PortError> {
        Self::message(Operation::new(|op| self.call.asset(op, path))).await
    }
}
