//! The deny and the allow list: who is on them, and what whoever holds the admin token changes.

use std::borrow::Cow;

use crate::admin::lists::{self as desk, Act};
use crate::fleet::holds_within;
use crate::fleet::object::{Listing, Outcome};
use crate::head::{Message, RequestHead, ResponseHead};
use crate::json::{self, push_name, push_text};
use crate::limit::lists::{Entry, List, Listed, Lists, find};
use crate::origin::ProxyStatus;
use crate::ports::Ports;
use crate::record::{AnsweredBy, Refusal, Verdict};
use crate::respond::{self, Problem};
use crate::time::Timestamp;

use super::fleet;
use super::gate::Gate;
use super::steer;
use super::visit::Visit;

/// What a config has on both lists.
fn always<P: Ports>(gate: &Gate<P>) -> (&[Listed], &[Listed]) {
    (&gate.site.limits.deny, &gate.site.limits.allow)
}

/// Whether it has somebody on one, or somebody was added.
fn are_any<P: Ports>(gate: &Gate<P>, added: &Lists) -> bool {
    let (denied, allowed) = always(gate);
    !denied.is_empty() || !allowed.is_empty() || !added.is_empty()
}

/// Whether the address of a request is denied whatever key it shows, so that no key need be looked up.
pub fn is_barred<P: Ports>(gate: &Gate<P>, ports: &P, request: &RequestHead) -> bool {
    let document = gate.fleet.document();
    if !are_any(gate, &document.lists) {
        return false;
    }
    let (now, (_, allowed)) = (ports.now(), always(gate));
    let later = document.lists.iter(now).filter(|entry| entry.list == List::Allow).map(|entry| &entry.who);
    if allowed.iter().chain(later).any(|who| matches!(who, Listed::Key(_))) {
        return false;
    }
    let address = request.client.get_or_init(|| ports.client()).address;
    find(always(gate), &document.lists, (address, None), now) == Some(List::Deny)
}

/// Whether whoever asks is on the deny list; nothing limits who is on the other one. An isolate that has not heard of the fleet yet, or heard too long ago of one where
/// somebody was added, hears of it first.
pub async fn is_denied<P: Ports>(visit: &Visit<P>) -> bool {
    let gate = &visit.gate;
    if visit.is_behind() && (gate.fleet.is_new() || !gate.fleet.document().lists.is_empty()) {
        visit.caught_up().await;
        gate.fleet.give_up();
    }
    let document = gate.fleet.document();
    if !are_any(gate, &document.lists) {
        return false;
    }
    visit.meet_client();
    let who = (visit.request.client().address, visit.identity.key_hash.as_deref());
    let list = find(always(gate), &document.lists, who, visit.ports.now());
    visit.notes.borrow_mut().is_allowed = list == Some(List::Allow);
    list == Some(List::Deny)
}

/// The refusal of somebody who is on the deny list.
pub fn refuse<P: Ports>(visit: &Visit<P>) -> Message<ResponseHead, String> {
    let mut notes = visit.notes.borrow_mut();
    notes.answered_by = AnsweredBy::Limiter(Refusal::Abuse);
    notes.verdict = Verdict::Refused { policy: List::Deny.as_str().into() };
    let mut message = Problem::plain(403, "the client is on the deny list", &visit.id).into_message();
    let status =
        ProxyStatus::error(&visit.gate.site.server.id, "http_request_denied", Some("deny list".into()));
    message.head.fields.append("proxy-status", &status.to_string());
    message
}

/// The answer of the admin's endpoints for the lists.
pub async fn answer<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    request: &RequestHead,
    body: Option<P::Body>,
    act: Act,
    id: &str,
) -> Message<ResponseHead, String> {
    let done = match act {
        Act::Show => match fleet::read_now(gate, ports).await {
            Ok(()) => Ok(desk::shown(always(gate), &gate.fleet.document().lists, ports.now())),
            Err(error) => Err(steer::unavailable(&error, id)),
        },
        Act::Add(list) => match steer::content(ports, body, id).await {
            Ok(content) => match desk::entry(list, &content, ports.now()) {
                Ok((entry, note)) => change(gate, ports, request, (&entry, true, &note), id).await,
                Err(wrong) => Err(Problem::plain(400, wrong, id)),
            },
            Err(problem) => Err(problem),
        },
        Act::Remove(list) => match desk::who(request.target.path_and_query()) {
            Ok(who) => {
                let entry = Entry { list, who, until: None };
                change(gate, ports, request, (&entry, false, ""), id).await
            }
            Err(wrong) => Err(Problem::plain(400, wrong, id)),
        },
    };
    match done {
        Ok(json) => respond::text(200, "application/json", json),
        Err(problem) => problem.into_message(),
    }
}

async fn change<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    request: &RequestHead,
    (entry, adds, note): (&Entry, bool, &str),
    id: &str,
) -> Result<String, Problem> {
    let list = match (adds, entry.list) {
        (true, list) => Cow::Borrowed(list.as_str()),
        (false, list) => ["not-", list.as_str()].concat().into(),
    };
    let mut told = String::from("{");
    push_name(&mut told, "list");
    push_text(&mut told, &list);
    desk::members(&mut told, &entry.who, entry.until);
    let by = steer::who(gate, ports, request);
    let audit = ["\"by\":", &by, ",\"listed\":", &told, ",\"note\":", &json::write(note), "}"].concat();
    let listing = Listing { entry: audit, adds, who: entry.clone() };
    match fleet::list(gate, ports, &listing).await {
        Ok(Outcome::Done { at, .. }) => {
            push_name(&mut told, "here");
            push_text(&mut told, "now");
            push_name(&mut told, "everywhere");
            push_text(&mut told, &(at + holds_within(gate.site.fleet.refresh)).to_iso());
            told.push('}');
            Ok(told)
        }
        Ok(Outcome::Conflict) if !adds => Err(Problem::plain(404, not_listed(gate, entry, ports.now()), id)),
        Ok(Outcome::Conflict) => {
            let detail =
                "the lists are full; allowed: 1000 entries together, and networks instead of addresses";
            Err(Problem::plain(409, detail, id))
        }
        Err(error) => Err(steer::unavailable(&error, id)),
    }
}

/// Says that somebody can't be taken off a list, and by what name they are on it.
fn not_listed<P: Ports>(gate: &Gate<P>, entry: &Entry, now: Timestamp) -> String {
    let Entry { list, who, .. } = entry;
    let (denied, allowed) = always(gate);
    let configured = if *list == List::Deny { denied } else { allowed };
    let document = gate.fleet.document();
    let later = document.lists.iter(now).filter(|entry| entry.list == *list).map(|entry| &entry.who);
    let (who_is, on) = (["`", &who.to_string(), "` is "].concat(), [list.as_str(), " list"].concat());
    if configured.contains(who) {
        return [&who_is, "on the ", &on, " of the config; allowed: another config"].concat();
    }
    let mut text = [&who_is, "not on the ", &on].concat();
    if let Some(whole) = configured.iter().chain(later).find(|known| known.holds(who)) {
        text.push_str(&[", but as part of `", &whole.to_string(), "`"].concat());
    }
    text
}
