//! The object that keeps changes for later delivery, as the simulated fleet has it: each change is a task of its own.

use std::rc::Rc;

use crate::flow;
use crate::head::{Message, RequestHead};
use crate::ports::PortError;
use crate::time::{Span, Timestamp};

use super::body::{Body, Bytes};
use super::edge::Edge;
use super::world::Shared;

/// Where the objects run: no request comes to this isolate.
const PLACE: (usize, usize) = (0, usize::MAX);
/// The number of their tasks; no isolate has it.
const OBJECTS: u64 = u64::MAX;

/// One change.
#[derive(Debug, Clone)]
pub struct Kept {
    id: String,
    scope: String,
    request: RequestHead,
    body: Bytes,
    /// `pending`, `delivered` or `dead`.
    pub state: &'static str,
    /// How often it was tried.
    pub attempts: u32,
    due: Timestamp,
    why: String,
}

impl Kept {
    fn status(&self) -> &'static str {
        match (self.state, self.attempts) {
            ("pending", 0) => "accepted",
            ("pending", _) => "retrying",
            (state, _) => state,
        }
    }
}

/// One command to a pool's object.
pub fn ask(
    shared: &Rc<Shared>,
    pool: &str,
    ask: &str,
    change: Option<(RequestHead, Bytes)>,
) -> Result<String, PortError> {
    let mut parts = ask.split('\n');
    let mut part = || parts.next().unwrap_or_default();
    let mut objects = shared.deliveries.borrow_mut();
    let rows = objects.entry(pool.to_owned()).or_default();
    match (part(), change) {
        ("accept", Some((request, body))) => {
            let (id, scope) = (part().to_owned(), part().to_owned());
            let known = rows.iter().find(|row| !scope.is_empty() && row.scope == scope);
            if let Some(known) = known {
                let same = known.body == body && known.request.method == request.method;
                return Ok(if same { format!("{} {}", known.status(), known.id) } else { "conflict".into() });
            }
            let (_, pending_max) = (part(), part().parse::<usize>().unwrap_or(0));
            if rows.iter().filter(|row| row.state != "delivered").count() >= pending_max {
                return Ok("full".into());
            }
            let due = shared.clock.now();
            let why = String::new();
            rows.push(Kept { id: id.clone(), scope, request, body, state: "pending", attempts: 0, due, why });
            spawn(shared, pool, &id);
            Ok(format!("accepted {id}"))
        }
        ("tell", _) => {
            let id = part();
            let row = rows.iter().find(|row| row.id == id);
            Ok(row.map_or_else(String::new, |row| {
                format!("{{\"status\":\"{}\",\"reason\":\"{}\"}}", row.status(), row.why)
            }))
        }
        ("list", _) => {
            let count = |state: &str| rows.iter().filter(|row| row.state == state).count();
            Ok(format!("{{\"pending\":{},\"dead\":{}}}", count("pending"), count("dead")))
        }
        ("replay", _) => {
            let id = part();
            let mut ids = Vec::new();
            for row in rows.iter_mut().filter(|row| row.state == "dead" && (id.is_empty() || row.id == id)) {
                (row.state, row.attempts, row.due) = ("pending", 0, shared.clock.now());
                ids.push(row.id.clone());
            }
            ids.iter().for_each(|id| spawn(shared, pool, id));
            Ok(ids.len().to_string())
        }
        _ => Ok(String::new()),
    }
}

fn spawn(shared: &Rc<Shared>, pool: &str, id: &str) {
    let (shared, pool, id) = (shared.clone(), pool.to_owned(), id.to_owned());
    shared.clone().tasks.spawn(OBJECTS, async move {
        // Not before whoever asked has its answer.
        shared.clock.sleep(Span::ZERO).await;
        while let Some(row) = pending(&shared, &pool, &id) {
            let now = shared.clock.now();
            if row.due > now {
                shared.clock.sleep(row.due.since(now)).await;
                continue;
            }
            let (isolate, gate) = shared.isolate(PLACE);
            let edge = Edge::new(shared.clone(), PLACE.0, isolate);
            let body = Some(Body::bytes(row.body.clone()));
            let which = (row.id.clone(), row.attempts + 1);
            let Message { head, body } = flow::deliver(gate, edge, row.request.clone(), body, which).await;
            drop(body.take());
            let mut objects = shared.deliveries.borrow_mut();
            let rows = objects.entry(pool.clone()).or_default();
            if let Some(row) = rows.iter_mut().find(|row| row.id == id) {
                row.attempts += 1;
                row.state = match head.fields.get("next") {
                    Some("delivered") => "delivered",
                    Some("dead") => "dead",
                    _ => "pending",
                };
                row.why = head.fields.get("why").unwrap_or_default().to_owned();
                let at = head.fields.get("at").and_then(|text| text.parse().ok());
                row.due = Timestamp::from_millis(at.unwrap_or_default());
            }
        }
    });
}

fn pending(shared: &Shared, pool: &str, id: &str) -> Option<Kept> {
    let objects = shared.deliveries.borrow();
    objects.get(pool)?.iter().find(|row| row.id == id && row.state == "pending").cloned()
}
