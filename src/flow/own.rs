//! tidegate's own endpoints: the live page, health, metrics, and what needs the admin token.

use crate::admin::Action;
use crate::head::{Message, Method, RequestHead, ResponseHead};
use crate::ports::{Observed, PortError, Ports};
use crate::record::{Health, ReasonCode, Status};
use crate::respond::{self, Problem};
use crate::time::Span;

use super::behind;
use super::gate::Gate;
use super::health;
use super::keys;
use super::limits;
use super::lists;
use super::report;
use super::steer;

/// How long to wait for the metrics object.
const OBSERVE_BUDGET: Span = Span::from_secs(2);

/// The answer of one of tidegate's own endpoints. None of them is counted.
pub async fn answer<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    request: &RequestHead,
    body: Option<P::Body>,
    action: Action<'_>,
    id: &str,
) -> Message<ResponseHead, P::Body> {
    let message = match action {
        Action::Live => return live(gate, ports, id).await,
        Action::Asset(path) => return page(ports, path, id).await,
        Action::Observe(what) => observe(gate, ports, what, id).await,
        Action::Config => respond::text(200, "application/json", &*gate.text),
        Action::Keys(act) => keys::answer(gate, ports, request, body, act, id).await,
        Action::Lists(act) => lists::answer(gate, ports, request, body, act, id).await,
        Action::Limits(act) => limits::answer(gate, ports, request, act, id).await,
        Action::Delivery(pool, delivery) => behind::tell(gate, ports, (pool, delivery), id).await,
        Action::Deliveries => behind::list(gate, ports, id).await,
        Action::Replay => behind::replay(gate, ports, request, id).await,
        Action::Steer(what) => steer::answer(gate, ports, request, body, what, id).await,
        Action::ToPage => to_page(request),
        Action::Unauthorized => {
            let mut message = Problem::plain(401, "the admin token is missing or wrong", id).into_message();
            message.head.fields.append("www-authenticate", "Bearer realm=\"tidegate\"");
            message
        }
        Action::NotFound => Problem::plain(404, "tidegate has nothing at this path", id).into_message(),
        Action::NotAllowed(allow) => {
            let mut message = Problem::plain(405, format!("allowed: {allow}"), id).into_message();
            message.head.fields.append("allow", allow);
            message
        }
    };
    let body = match request.method {
        Method::Head => P::Body::default(),
        _ => ports.body(&ports.bytes(&message.body)),
    };
    Message::new(message.head, body)
}

fn to_page(request: &RequestHead) -> Message<ResponseHead, String> {
    let mut message = respond::text(308, "text/plain; charset=utf-8", "");
    message.head.fields.append("location", &[request.target.path(), "/"].concat());
    message
}

async fn observe<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    what: Observed,
    id: &str,
) -> Message<ResponseHead, String> {
    report::flush(gate, ports).await;
    let seen = ports.observe(what, OBSERVE_BUDGET).await;
    if what == Observed::Health {
        return healthy(gate, ports, seen).await;
    }
    let media_type = match what {
        Observed::Metrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        _ => "application/json",
    };
    seen.map_or_else(|error| unavailable(&error.to_string(), id), |text| respond::text(200, media_type, text))
}

/// A load balancer reads the status alone: 503 only where nothing can be answered. That nobody counts is no reason.
async fn healthy<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    seen: Result<String, PortError>,
) -> Message<ResponseHead, String> {
    let unknown = |error: PortError| {
        Health::because(Status::Degraded, ReasonCode::MetricsUnreachable, error.to_string()).to_json()
    };
    let text = seen.unwrap_or_else(unknown);
    let text =
        health::probed(gate, ports, OBSERVE_BUDGET).await.map_or(text.clone(), |ill| ill.joined(&text));
    let down = text.contains("\"status\":\"down\"");
    respond::text(if down { 503 } else { 200 }, "application/json", text)
}

fn unavailable(error: &str, id: &str) -> Message<ResponseHead, String> {
    Problem::reduced_capacity(["the metrics object does not answer: ", error].concat(), id).into_message()
}

async fn page<P: Ports>(ports: &P, path: &str, id: &str) -> Message<ResponseHead, P::Body> {
    match ports.asset(path).await {
        Ok(message) if message.head.status == 404 => {
            ports.discard(message.body);
            let Message { head, body } =
                Problem::plain(404, "tidegate has nothing at this path", id).into_message();
            Message::new(head, ports.body(&ports.bytes(&body)))
        }
        Ok(mut message) => {
            respond::guard_page(&mut message.head.fields);
            message
        }
        Err(error) => failed(ports, &error.to_string(), id),
    }
}

async fn live<P: Ports>(gate: &Gate<P>, ports: &P, id: &str) -> Message<ResponseHead, P::Body> {
    report::flush(gate, ports).await;
    gate.outbox.borrow_mut().watch(true);
    match ports.live().await {
        Ok(message) => message,
        Err(error) => failed(ports, &error.to_string(), id),
    }
}

fn failed<P: Ports>(ports: &P, error: &str, id: &str) -> Message<ResponseHead, P::Body> {
    let Message { head, body } = unavailable(error, id);
    Message::new(head, ports.body(&ports.bytes(&body)))
}
