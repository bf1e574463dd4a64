//! Record: counters leave the isolate after an answer, at most once a second where a page watches, else every ten.

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
    // One that waits longer than this one would has gone to sleep before it became urgent.
    if gate.reporting.get().is_some_and(|due| due <= now + wait && due + GIVEN_UP_AFTER > now) {
        return;
    }
    gate.reporting.set(Some(now + wait));
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
    let answer = ports.report(&delta.encode()).await;
    if let Ok(watched) = answer {
        gate.outbox.borrow_mut().watch(watched);
    }
    if let Err(error) = answer {
        gate.outbox.borrow_mut().give_back(&delta);
        ports.log(&format!(
            "{{\"level\":\"warn\",\"incident\":\"metrics-unreachable\",\"detail\":\"{error}\"}}"
        ));
    }
}

/// Hands over what was counted, so that who asks the metrics object next sees it.
pub async fn flush<P: Ports>(gate: &Gate<P>, ports: &P) {
    let now = ports.now();
    if gate.outbox.borrow().due_in(now).is_some() {
        let delta = gate.outbox.borrow_mut().take_now(gate.endpoint_reports(now), now);
        deliver(gate, ports, delta).await;
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
