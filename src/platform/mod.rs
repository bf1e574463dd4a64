//! Workers: the exports that JavaScript calls. wasm only; nothing is decided here.

mod edge;
mod executor;
mod wire;

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::prelude::*;

use crate::cache::shield;
use crate::config::Compiled;
use crate::fleet;
use crate::flow::{self, Gate, Vars};
use crate::head::Message;
use crate::json::Value;
use crate::limit::object::StateTable;
use crate::limit::queue::{self, Queue};
use crate::limit::{batch, object};
use crate::list::Dict;
use crate::ports::Ports;
use crate::record::{Delta, Health, Live, exposition};
use crate::respond::Problem;
use crate::time::Timestamp;
use edge::{Body, Call, Edge};
use executor::Settled;

/// What requests are answered with.
enum Worker {
    /// A gate.
    Gate(Rc<Gate<Edge>>),
    /// The config is wrong: 503, with the list in the log.
    Misconfigured(&'static str),
}

thread_local! {
    static WORKER: RefCell<Worker> = const { RefCell::new(Worker::Misconfigured("not started")) };
}

/// Takes the config (packed, with its stamp, and as JSON for those who may see it), the deployment's variables (a JSON
/// object of texts), and how often this isolate's wasm has died before.
#[wasm_bindgen]
pub fn start(packed: &str, checked: &str, config: &str, vars: &str, traps: u32) {
    console_error_panic_hook::set_once();
    let vars = match Value::parse(vars) {
        Some(Value::Table(vars)) => texts(vars),
        _ => Dict::default(),
    };
    let worker = match Compiled::deployed(packed, checked) {
        Ok(site) => Worker::Gate(Gate::new(site, config, Vars::new(&vars), traps)),
        Err(wrong) => Worker::Misconfigured(wrong),
    };
    WORKER.with(|slot| *slot.borrow_mut() = worker);
}

fn texts(table: Dict<String, Value>) -> Dict<String, String> {
    let text = |(name, value)| match value {
        Value::Text(text) => Some((name, text)),
        _ => None,
    };
    table.into_iter().filter_map(text).collect()
}

/// One request: `packed` as `wire::request` reads it. The answer comes through `Call.respond`, before this returns where
/// nothing had to be waited for.
#[wasm_bindgen]
pub fn serve(packed: String, request: JsValue, call: Call) {
    let edge = Edge::new(call);
    let worker = WORKER.with(|slot| match &*slot.borrow() {
        Worker::Gate(gate) => Ok(gate.clone()),
        Worker::Misconfigured(wrong) => Err(*wrong),
    });
    executor::spawn(async move {
        let answer = match (worker, wire::request(packed)) {
            (Err(wrong), _) => misconfigured(&edge, wrong),
            (_, Err(wrong)) => own(&edge, Problem::plain(400, wrong, "")),
            (Ok(gate), Ok((head, has_body))) => {
                let body = has_body.then_some(Body(request));
                flow::serve(gate, edge.clone(), head, body).await
            }
        };
        edge.respond(answer);
    });
    executor::run();
}

fn misconfigured(edge: &Edge, wrong: &str) -> Message<crate::head::ResponseHead, Body> {
    edge.log(&["tidegate: the configuration is wrong: ", wrong].concat());
    own(edge, Problem::reduced_capacity("the gateway is not configured; its log says why", ""))
}

fn own(edge: &Edge, problem: Problem) -> Message<crate::head::ResponseHead, Body> {
    let Message { head, body } = problem.into_message();
    Message::new(head, edge.body(&edge.bytes(&body)))
}

/// An attempt to deliver a change that was accepted as `id`: as [`serve`], for the object that keeps it.
#[wasm_bindgen]
pub fn deliver(packed: String, body: JsValue, call: Call, id: String, attempts: u32) {
    let edge = Edge::new(call);
    executor::spawn(async move {
        let answer = match (gate(), wire::request(packed)) {
            (Some(gate), Ok((head, has_body))) => {
                let body = has_body.then_some(Body(body));
                flow::deliver(gate, edge.clone(), head, body, (id, attempts)).await
            }
            _ => own(&edge, Problem::reduced_capacity("the gateway is not configured", "")),
        };
        edge.respond(answer);
    });
    executor::run();
}

/// A URL that is to be warmed: as [`serve`], for the object that goes through them.
#[wasm_bindgen]
pub fn warm(url: String, fields: String, document: String, call: Call) {
    let edge = Edge::new(call);
    executor::spawn(async move {
        let answer = match gate() {
            Some(gate) => flow::warm(gate, edge.clone(), (&url, &fields), &document).await,
            None => own(&edge, Problem::reduced_capacity("the gateway is not configured", "")),
        };
        edge.respond(answer);
    });
    executor::run();
}

/// The platform's clock has struck: counters and the states of endpoints are handed over.
#[wasm_bindgen]
pub fn scheduled(call: Call) {
    if let Some(gate) = gate() {
        flow::tick(&gate, &Edge::new(call));
    }
    executor::run();
}

/// An operation of the platform has ended well.
#[wasm_bindgen]
pub fn settle(operation: u32, text: Option<String>, handle: JsValue) {
    executor::settle(operation, Ok(Settled { text, handle }));
}

/// An operation of the platform has failed.
#[wasm_bindgen]
pub fn fail(operation: u32, message: String) {
    executor::settle(operation, Err(message));
}

fn gate() -> Option<Rc<Gate<Edge>>> {
    WORKER.with(|slot| match &*slot.borrow() {
        Worker::Gate(gate) => Some(gate.clone()),
        Worker::Misconfigured(_) => None,
    })
}

/// A moment in milliseconds; 0 is none.
fn rings(at: Option<Timestamp>) -> JsValue {
    at.map_or(0.0, |at| at.as_millis() as f64).into()
}

/// The health object's step: its state, what an isolate has seen, the time in milliseconds. Returns the state, what is known,
/// and when its alarm should ring (0: never).
#[wasm_bindgen]
pub fn health_exchange(state: &str, seen: &str, now: f64) -> js_sys::Array {
    let Some(gate) = gate() else { return js_sys::Array::of3(&"".into(), &"".into(), &0.into()) };
    let (state, known, next) = flow::health::hear(&gate, state, seen, Timestamp::from_millis(now as u64));
    js_sys::Array::of3(&state.into(), &known.into(), &rings(next))
}

/// The health object's alarm: sends the probes that are due; what came of them is the text of the answer.
#[wasm_bindgen]
pub fn health_probe(state: String, call: Call) {
    let edge = Edge::new(call);
    executor::spawn(async move {
        let probed = match gate() {
            Some(gate) => {
                gate.seed(&edge);
                flow::health::probe(&gate, &edge, &state).await
            }
            None => String::new(),
        };
        edge.respond(Message::new(crate::head::ResponseHead::new(200), edge.body(&edge.bytes(&probed))));
    });
    executor::run();
}

/// What came of probes, added to the health object's state. Returns the state, and when its alarm should ring next.
#[wasm_bindgen]
pub fn health_note(state: &str, probed: &str, now: f64) -> js_sys::Array {
    let Some(gate) = gate() else { return js_sys::Array::of2(&"".into(), &0.into()) };
    let (state, next) = flow::health::note(&gate, state, probed, Timestamp::from_millis(now as u64));
    js_sys::Array::of2(&state.into(), &rings(next))
}

/// A limiter object's step: its stored table, the asks as text, the time in milliseconds. Returns the table to store (or
/// undefined where it did not change), the verdicts as text, and when its alarm should ring (0 where nothing is left).
#[wasm_bindgen]
pub fn limiter_take(state: &[u8], asks: &str, now: f64) -> Result<js_sys::Array, JsError> {
    let mut table = StateTable::decode(state).unwrap_or_default();
    let orders = batch::read_orders(asks).ok_or_else(|| JsError::new("the asks can't be read"))?;
    let step = object::step(&mut table, &orders, Timestamp::from_millis(now as u64));
    let kept =
        if step.changed { js_sys::Uint8Array::from(&*table.encode()).into() } else { JsValue::UNDEFINED };
    let replies = batch::replies_text(&step.replies);
    Ok(js_sys::Array::of3(&kept, &replies.into(), &rings(step.expires_at)))
}

/// A limiter object's alarm: as [`limiter_take`], without asks.
#[wasm_bindgen]
pub fn limiter_expire(state: &[u8], now: f64) -> js_sys::Array {
    let mut table = StateTable::decode(state).unwrap_or_default();
    let expires = object::expire(&mut table, Timestamp::from_millis(now as u64));
    let kept = js_sys::Uint8Array::from(&*table.encode());
    js_sys::Array::of2(&kept.into(), &rings(expires))
}

/// A shield's step: its state and what is said, as texts. Returns its state and the verdict.
#[wasm_bindgen]
pub fn shield_step(state: &str, said: &str, now: f64) -> js_sys::Array {
    let (state, verdict) = shield::step(state, said, Timestamp::from_millis(now as u64));
    js_sys::Array::of2(&state.into(), &verdict.as_str().into())
}

/// A queue object's step: its stored form, what it is told, the time in milliseconds. Returns what to store, what the
/// caller is told, what others are told (a line for each), when to look again, and when nothing is left (0: never).
#[wasm_bindgen]
pub fn queue_turn(state: &[u8], call: &str, now: f64) -> Result<js_sys::Array, JsError> {
    let mut queue = Queue::decode(state).unwrap_or_default();
    let call = queue::Call::read(call).ok_or_else(|| JsError::new("the call can't be read"))?;
    let turn = queue.turn(&call, Timestamp::from_millis(now as u64));
    Ok(js_sys::Array::of5(
        &js_sys::Uint8Array::from(&*queue.encode()).into(),
        &turn.answer.map(queue::Answer::text).unwrap_or_default().into(),
        &queue::told_text(&turn.told).into(),
        &rings(turn.wakes_at),
        &rings(turn.expires_at),
    ))
}

fn live(state: &str, now: Timestamp) -> Live {
    Live::load(state).unwrap_or_else(|| Live::new(now))
}

/// The metrics object's step: its state with a delta added, and until when that moves the page's graphs, in
/// milliseconds since the UNIX epoch.
#[wasm_bindgen]
pub fn metrics_ingest(state: &str, delta: &str, now: f64) -> Result<js_sys::Array, JsError> {
    let now = Timestamp::from_millis(now as u64);
    let mut live = live(state, now);
    let delta = Delta::decode(delta).map_err(|_| JsError::new("the delta can't be read"))?;
    live.ingest(&delta, now);
    let rests_at = live.rests_at().as_millis() as f64;
    Ok(js_sys::Array::of2(&live.store().into(), &rests_at.into()))
}

/// What the metrics object knows: `live` (the page's snapshot), `health`, `metrics`, `metrics.json`, `limits`
/// or `hot`.
#[wasm_bindgen]
pub fn metrics_tell(state: &str, what: &str, now: f64) -> String {
    let now = Timestamp::from_millis(now as u64);
    let live = live(state, now);
    match what {
        "health" => Health::of(&live, now).to_json(),
        "metrics" => exposition::openmetrics(&live, now),
        "metrics.json" => exposition::json(&live, now),
        "limits" => live.limits(),
        "hot" => live.hot(),
        _ => live.snapshot(now),
    }
}

/// The fleet object's step: its document, the rest of its state, a command as text, the time in milliseconds. Returns the
/// answer as text, then the document and the rest to store, and a line for the audit trail: undefined where they did not
/// change, or there is none.
#[wasm_bindgen]
pub fn fleet_take(document: &str, rest: &str, command: &str, now: f64) -> Result<js_sys::Array, JsError> {
    let step = fleet::object::step(document, rest, command, Timestamp::from_millis(now as u64));
    let step = step.ok_or_else(|| JsError::new("the command can't be read"))?;
    let [document, rest] = match step.kept {
        Some((document, rest)) => [document.into(), rest.into()],
        None => [JsValue::UNDEFINED, JsValue::UNDEFINED],
    };
    Ok(js_sys::Array::of4(&step.answer.into(), &document, &rest, &step.entry.into()))
}

/// How many entries the fleet object's audit trail has at most.
#[wasm_bindgen]
pub fn fleet_audit_max() -> u32 {
    fleet::object::AUDIT_ENTRIES_MAX as u32
}

/// Dies, as a bug would. JavaScript calls it only where the variable `TIDEGATE_TEST_TRAP` is set.
#[wasm_bindgen]
#[expect(clippy::panic, reason = "to see that a panic costs nobody an answer, there must be one")]
pub fn trap() {
    panic!("a test asked for it");
}
