//! Record: counters leave the isolate at most once a second, after an answer.

use std::rc::Rc;

use crate::ports::Ports;
use crate::record::Delta;
use crate::time::Span;

use super::gate::Gate;

/// A request whose deferred work was cut off leaves its part to a later one.
const GIVEN_UP_AFTER: Span = Span::from_secs(5);

/// Sees to it that what was counted is handed over: by this request's deferred work, unless another one's is at it.
pub fn schedule<P: Ports>(gate: &Rc<Gate<P>>, ports: &P) {
    let now = ports.now();
    let Some(wait) = gate.outbox.borrow().due_in(now) else { return };
    if gate.reporting.get().is_some_and(|until| until > now) {
        return;
    }
    gate.reporting.set(Some(now + wait + GIVEN_UP_AFTER));
    let (gate, ports_later) = (gate.clone(), ports.clone());
    ports.defer(async move {
        if wait > Span::ZERO {
            ports_later.sleep(wait).await;
        }
        send(&gate, &ports_later).await;
    });
}

async fn send<P: Ports>(gate: &Gate<P>, ports: &P) {
    let now = ports.now();
    gate.reporting.set(None);
    let delta = gate.outbox.borrow_mut().take(gate.endpoint_reports(now), now);
    if let Some(delta) = delta {
        deliver(gate, ports, delta).await;
    }
}

async fn deliver<P: Ports>(gate: &Gate<P>, ports: &P, delta: Delta) {
    if let Err(error) = ports.report(&delta.encode()).await {
        gate.outbox.borrow_mut().give_back(&delta);
        ports.log(&format!(
            "{{\"level\":\"warn\",\"incident\":\"metrics-unreachable\",\"detail\":\"{error}\"}}"
        ));
    }
}

/// Hands over what is known, also where nothing was counted.
pub fn tick<P: Ports>(gate: &Rc<Gate<P>>, ports: &P) {
    let (gate, ports_later) = (gate.clone(), ports.clone());
    ports.defer(async move {
        let now = ports_later.now();
        let delta = gate.outbox.borrow_mut().take_now(gate.endpoint_reports(now), now);
        deliver(&gate, &ports_later, delta).await;
    });
}
