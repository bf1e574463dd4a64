//! Collapse: a request that memory does not answer waits for another one that asks for the same, as long as there is one.

use std::rc::Rc;

use crate::cache::variants::narrow;
use crate::cache::{Layer, PrimaryKey};
use crate::head::Method;
use crate::ports::Ports;

use super::Reply;
use super::cached::{from_below, from_memory};
use super::flight::{self, Lead, Left, Role};
use super::lookup::Found;
use super::visit::Visit;

/// What a request comes to that waits its turn.
pub enum Turn<P: Ports> {
    /// What another one asked for answers it.
    Answered(Reply<P::Body>),
    /// It is to ask.
    Asks {
        /// For others too.
        lead: Option<Lead<P>>,
        /// What the layers hold, where they were just looked through.
        found: Option<Found<P>>,
        /// Of late its response could not be shared.
        is_passed: bool,
    },
}

/// A failure that the origin answered with may have to do with what that one request asked: the next one tries it, too.
pub(super) const FAILURES_BELIEVED: u32 = 2;

/// Waits until this request is answered, or has to ask.
pub async fn turn<P: Ports>(visit: &Rc<Visit<P>>, key: &PrimaryKey) -> Turn<P> {
    let (mut began, mut failures) = (None, 0);
    let mut goes = !may_share(visit);
    let mut found = None;
    loop {
        if let Some(mut reply) = from_memory(visit, key) {
            mark(visit, &mut reply, began.is_some());
            return Turn::Answered(reply);
        }
        if goes {
            return Turn::Asks { lead: None, found, is_passed: false };
        }
        let asked = key_in_flight(visit, key);
        let leader = match flight::role(&visit.gate, &visit.ports, &asked) {
            Role::Lead(lead) => return Turn::Asks { lead: Some(lead), found, is_passed: false },
            Role::Alone => return Turn::Asks { lead: None, found, is_passed: true },
            Role::Follow(leader) => leader,
        };
        let now = visit.ports.now();
        let waited = now.since(*began.get_or_insert(now));
        let patience = visit.route.cache.collapse_wait.saturating_sub(waited);
        found = None;
        match flight::follow(&visit.ports, &leader, patience).await {
            Some(Left::Memory) => {}
            Some(Left::Below) => {
                let mut below = Found::in_memory(visit, key);
                if let Some(mut reply) = from_below(visit, key, &mut below, &mut None, false).await {
                    mark(visit, &mut reply, true);
                    return Turn::Answered(reply);
                }
                found = Some(below);
                // Where by now it is known to be another variant, that one is waited for.
                goes = key_in_flight(visit, key) == asked;
            }
            Some(Left::Failure(failed)) => {
                failures += 1;
                goes = failed.is_sure || failures >= FAILURES_BELIEVED;
                visit.notes.borrow_mut().failed_for_all = goes.then_some(failed);
            }
            // Whoever waited too long goes alone.
            None => goes = true,
        }
    }
}

/// Those who wait for one another ask for the same, as far as is known by what the key's variants are selected.
fn key_in_flight<P: Ports>(visit: &Visit<P>, key: &PrimaryKey) -> PrimaryKey {
    let held = visit.gate.key_in_memory(key);
    let memory = visit.gate.memory.borrow();
    let names = match memory.get(&held).first() {
        Some(latest) => latest.head.selecting.names(),
        None => visit.gate.flights.borrow().names(key),
    };
    narrow(&held, names, &visit.request.fields, &visit.route.cache.vary)
}

/// Whether this request's response could be what others wait for.
fn may_share<P: Ports>(visit: &Visit<P>) -> bool {
    let method = &visit.request.method;
    !visit.warms
        && (*method == Method::Get || visit.route.cache.key.has_body(method))
        && visit.route.cache.layers.contains(&Layer::Memory)
        && !visit.request.fields.contains("range")
        && !visit.request.fields.contains("authorization")
}

/// Says of an answer that it was waited for.
pub fn mark<P: Ports>(visit: &Visit<P>, reply: &mut Reply<P::Body>, waited: bool) {
    if waited && let Some(status) = &mut reply.cache {
        status.collapsed = true;
        visit.notes.borrow_mut().collapsed = true;
    }
}
