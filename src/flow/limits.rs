//! Limits, looked at and reset by whoever holds the admin token.

use std::num::NonZeroU32;

use crate::admin::limits::{self, Act, Sought};
use crate::head::{Message, RequestHead, ResponseHead};
use crate::identity::{Identity, api_key};
use crate::limit::batch::{orders_text, read_replies};
use crate::limit::{Ask, Order, Verdict};
use crate::ports::{Observed, PortError, Ports};
use crate::respond::{self, Problem};
use crate::time::Span;

use super::gate::Gate;

/// How long to wait for an object, or a key's record.
const BUDGET: Span = Span::from_secs(2);

/// The answer of the admin's endpoints for limits.
pub async fn answer<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    request: &RequestHead,
    act: Act,
    id: &str,
) -> Message<ResponseHead, String> {
    let done = match act {
        Act::List => {
            let stats = ports.observe(Observed::Limits, BUDGET).await.unwrap_or_else(|_| "null".into());
            let site = &gate.site;
            Ok(limits::list(&site.limits, &site.identity.tiers, &site.table, &stats))
        }
        Act::Show => look(gate, ports, request, false, id).await,
        Act::Reset => look(gate, ports, request, true, id).await,
    };
    match done {
        Ok(json) => respond::text(200, "application/json", json),
        Err(problem) => problem.into_message(),
    }
}

/// Shows how the partitions stand that a query means, after they were made to forget where that is asked for.
async fn look<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    request: &RequestHead,
    reset: bool,
    id: &str,
) -> Result<String, Problem> {
    let wrong = |wrong: String| Problem::plain(400, wrong, id);
    let target = request.target.path_and_query();
    let identity = match limits::query(target, "key") {
        Some(key) => Some(owner(gate, ports, &key).await.map_err(wrong)?),
        None => None,
    };
    let sought = Sought::read(target, identity, &gate.site.identity.default_tier).map_err(wrong)?;
    let asks = sought.asks(&gate.site.table, &gate.site.limits).map_err(wrong)?;
    let mut states: Vec<(Ask, Option<Verdict>)> = Vec::new();
    for ask in asks {
        let is_new = !states.iter().any(|(known, _)| known.object == ask.object);
        if reset && is_new {
            let done = ports.reset_limit(&ask.object, BUDGET).await;
            done.map_err(|error| unavailable(&error, id))?;
            gate.local.borrow_mut().forget(&ask.object);
        }
        let order = Order { cost: None, ..Order::take(ask.take.policy.clone(), NonZeroU32::MIN) };
        let answer = ports.limit(&ask.object, &orders_text(&[order]), BUDGET).await;
        let replies = answer.map_err(|error| unavailable(&error, id))?;
        let reply = read_replies(&replies).and_then(|replies| replies.first().copied());
        states.push((ask, reply.map(|reply| reply.verdict)));
    }
    Ok(limits::shown(&states, reset))
}

/// Whose key this is, by its id.
async fn owner<P: Ports>(gate: &Gate<P>, ports: &P, key: &str) -> Result<Identity, String> {
    let record = ports.api_key(key, BUDGET).await.map_err(|error| error.to_string())?;
    let owner = api_key::check(record.as_deref(), key, &gate.site.identity, ports.now());
    owner.map_err(|why| ["`key` is no key's id: ", why.as_str()].concat())
}

fn unavailable(error: &PortError, id: &str) -> Problem {
    Problem::reduced_capacity(["the limiter does not answer: ", &error.to_string()].concat(), id)
}
