//! WebSockets: the upgrade goes to the route's pool, past the cache, within what the client's tier may have.

use std::num::NonZeroU32;
use std::rc::Rc;

use crate::cache::Fwd;
use crate::limit::{self, Algorithm, Answer, Ask, Checked, OnError, PolicyName, Quota, QuotaPolicy, Take};
use crate::origin::ProxyStatus;
use crate::origin::forward::is_websocket;
use crate::ports::Ports;
use crate::record::{AnsweredBy, Incident, Refusal, Verdict};
use crate::respond::Problem;
use crate::time::{Span, Timestamp};

use super::Reply;
use super::admit::are_limits_on;
use super::fetch::pass;
use super::visit::Visit;

/// How long to wait for the object that counts a client's connections.
const COUNT_BUDGET: Span = Span::from_secs(2);
/// What refusals by the number of connections are counted under.
const POLICY: &str = "websocket";
/// When to come back: nobody knows when a connection will end.
const RETRY: Span = Span::from_secs(5);

/// Whether a request is an upgrade to a WebSocket.
pub fn is_upgrade<P: Ports>(visit: &Visit<P>) -> bool {
    visit.request.fields.contains("upgrade") && is_websocket(&visit.request)
}

/// Why an upgrade is none (RFC 6455, section 4.2.1), where it is none. The platform finds that out only when an origin has
/// accepted it. Over HTTP/2 there is no key (RFC 8441, section 5).
fn fault<P: Ports>(visit: &Visit<P>) -> Option<(u16, &'static str)> {
    let fields = &visit.request.fields;
    if fields.get("sec-websocket-version").map(str::trim) != Some("13") {
        return Some((426, "Sec-WebSocket-Version has to be 13"));
    }
    visit.meet_client();
    let is_old =
        visit.request.client().protocol.as_deref().is_none_or(|protocol| protocol.starts_with("HTTP/1"));
    (is_old && !fields.contains("sec-websocket-key")).then_some((400, "Sec-WebSocket-Key is missing"))
}

/// The answer to an upgrade. Where the route says nothing of WebSockets, the origin's own socket goes to the client, and
/// nobody looks into it.
pub async fn answer<P: Ports>(visit: &Rc<Visit<P>>, body: Option<P::Body>) -> Reply<P::Body> {
    if let Some((status, why)) = fault(visit) {
        let mut message = Problem::plain(status, why, &visit.id).into_message();
        // RFC 9110, section 15.5.22, and RFC 6455, section 4.2.2.
        message.head.fields.append("upgrade", "websocket");
        message.head.fields.append("sec-websocket-version", "13");
        return visit.own(message, None);
    }
    let Some(wish) = visit.route.websocket.clone() else { return pass(visit, body, Fwd::Bypass).await };
    let tier = visit.identity.tier.clone();
    let limited = are_limits_on(visit);
    let most = wish.connections.get(&tier).filter(|_| limited);
    if let Some(most) = most {
        match visit.ports.connect(&place(visit), *most, COUNT_BUDGET).await {
            Ok(true) => {}
            Ok(false) => return refuse(visit, *most, &tier),
            // As the limiter's: what can't be counted is let through.
            Err(error) => visit.incident(Incident::LimiterUnreachable, &error.to_string()),
        }
    }
    let mut reply = pass(visit, body, Fwd::Bypass).await;
    if reply.message.head.status == 101 {
        let messages = wish.messages.get(&tier).filter(|_| limited);
        let rate = messages.map(|quota| (quota.amount(), quota.window()));
        reply.message.body = visit.ports.relay(reply.message.body, rate);
    }
    reply
}

/// The object that counts this client's connections on this route.
fn place<P: Ports>(visit: &Visit<P>) -> String {
    visit.meet_client();
    let address =
        visit.request.client().address.map(|address| visit.gate.site.limits.prefixes.network(address));
    let client = match (&visit.identity.subject, address) {
        (Some(subject), _) => ["subject:", subject].concat(),
        (None, Some(address)) => ["address:", &address.to_string()].concat(),
        (None, None) => "unknown".to_owned(),
    };
    [&*visit.route.name, "\n", &client].concat()
}

fn refuse<P: Ports>(visit: &Rc<Visit<P>>, most: u32, tier: &str) -> Reply<P::Body> {
    {
        let mut notes = visit.notes.borrow_mut();
        notes.answered_by = AnsweredBy::Limiter(Refusal::Capacity);
        notes.verdict = Verdict::Refused { policy: POLICY.into() };
        notes.full = full(most, visit.ports.now());
    }
    let detail = [&most.to_string(), " open connections on tier ", tier].concat();
    let mut message = Problem::quota_exceeded(detail, vec![POLICY.to_owned()], &visit.id).into_message();
    let id = &visit.gate.site.server.id;
    let status = ProxyStatus::error(id, "connection_limit_reached", Some("quota websocket".to_owned()));
    message.head.fields.append("proxy-status", &status.to_string());
    message.head.fields.append("retry-after", &RETRY.as_secs().to_string());
    visit.own(message, None)
}

/// What the client is told of it: as of a policy that counts what is in flight.
fn full(most: u32, at: Timestamp) -> Option<Checked> {
    let policy = QuotaPolicy {
        name: PolicyName::builtin(POLICY),
        quota: Quota::new(most, RETRY.as_secs())?,
        algorithm: Algorithm::Concurrency,
        burst: NonZeroU32::MIN,
        resets_minute: 0,
        shadow: false,
    };
    let ask = Ask {
        object: Box::default(),
        take: Take { policy, cost: NonZeroU32::MIN },
        on_error: OnError::default(),
        budget: COUNT_BUDGET,
        leases: false,
        provisional: false,
    };
    let retry_after = Some(RETRY);
    let verdict =
        limit::Verdict { admitted: false, limit: most, remaining: 0, reset: RETRY, retry_after, at };
    Some(Checked { ask, answer: Answer::Counted(verdict) })
}
