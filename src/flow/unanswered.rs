//! When no origin gave an answer worth handing on: the route's static fallback, or a problem document that says what
//! happened (RFC 9457, RFC 9209).

use std::rc::Rc;

use crate::cache::{CacheStatus, Fwd};
use crate::head::{Message, Method, ResponseHead};
use crate::origin::forward::NotForwarded;
use crate::origin::{ProxyStatus, Stop};
use crate::ports::Ports;
use crate::record::{self, AnsweredBy, Incident};
use crate::respond::{Problem, RETRY_AFTER_SECS};

use super::Reply;
use super::origin::{Failed, Refusal};
use super::visit::Visit;

/// Every attempt failed, and nothing stored may stand in.
pub async fn failed<P: Ports>(
    visit: &Rc<Visit<P>>,
    failed: Failed<P::Body>,
    fwd: Option<Fwd>,
) -> Reply<P::Body> {
    let Failed { response, failure, pool, .. } = failed;
    let fwd_status = response.as_ref().map(|message| message.head.status);
    let cache = fwd.map(|fwd| CacheStatus { fwd_status, ..CacheStatus::fwd(fwd) });
    let site = &visit.gate.site;
    let proxy_status =
        site.pools.get(pool).map(|pool| failure.proxy_status(&site.server.id, pool).to_string());
    let queued = visit.notes.borrow().queued.filter(|_| failure.stop.is_capacity());
    let spent = || visit.quota_wait(pool).filter(|_| failure.stop == Stop::QuotaSpent);
    let wait = queued.map(|queued| queued.wait).or_else(spent);
    let retry_after =
        wait.map_or_else(|| RETRY_AFTER_SECS.into(), |wait| wait.as_secs_ceil().max(1).to_string());
    if let Some(fallback) = &visit.route.static_fallback {
        if let Some(message) = response {
            visit.ports.discard(message.body);
        }
        visit.notes.borrow_mut().answered_by = AnsweredBy::Static;
        let mut head = ResponseHead::new(fallback.status);
        head.fields.append("cache-control", "no-store");
        head.fields.append("proxy-status", proxy_status.as_deref().unwrap_or_default());
        if fallback.status == 503 {
            head.fields.append("retry-after", &retry_after);
        }
        if let Some(file) = &fallback.file
            && let Some(message) = file_of(visit, file, head.clone()).await
        {
            return Reply { message, cache };
        }
        head.fields.append("content-type", &fallback.content_type);
        return visit.own(Message::new(head, fallback.body.clone()), cache);
    }
    if let Some(message) = response {
        visit.notes.borrow_mut().answered_by = AnsweredBy::Origin;
        return Reply { message, cache };
    }
    visit.notes.borrow_mut().answered_by = match failure.stop {
        Stop::QueueFull | Stop::QueueSlow | Stop::QuotaSpent => {
            AnsweredBy::Limiter(record::Refusal::Capacity)
        }
        Stop::QueueUnreachable => AnsweredBy::Limiter(record::Refusal::LimiterUnreachable),
        _ => AnsweredBy::Error,
    };
    let status = failure.status();
    let problem = match status {
        503 => Problem::reduced_capacity(failure.to_string(), &visit.id),
        _ => Problem::plain(status, failure.to_string(), &visit.id),
    };
    let mut message = problem.into_message();
    message.head.fields.insert("retry-after", &retry_after);
    message.head.fields.append("proxy-status", proxy_status.as_deref().unwrap_or_default());
    visit.own(message, cache)
}

/// A file of `www/` under this head, with a type of its own; `None` where it can't be had, which is counted. The platform
/// serves a page under its name without `.html`.
async fn file_of<P: Ports>(
    visit: &Visit<P>,
    file: &str,
    mut head: ResponseHead,
) -> Option<Message<ResponseHead, P::Body>> {
    let page = file.strip_suffix(".html").map(|page| page.strip_suffix("index").unwrap_or(page));
    for path in page.into_iter().chain([file]) {
        let why = match visit.ports.asset(path).await {
            Ok(Message { head: found, body }) if found.status == 200 => {
                for name in ["content-type", "content-length"] {
                    if let Some(value) = found.fields.get(name) {
                        head.fields.append(name, value);
                    }
                }
                head.fields.append("date", &visit.ports.now().to_http_date());
                if visit.request.method == Method::Head {
                    visit.ports.discard(body);
                    return Some(Message::new(head, P::Body::default()));
                }
                return Some(Message::new(head, body));
            }
            Ok(other) => {
                visit.ports.discard(other.body);
                [file, ": status ", &other.head.status.to_string()].concat()
            }
            Err(error) => [file, ": ", &error.to_string()].concat(),
        };
        if path == file {
            visit.incident(Incident::FallbackMissing, &why);
        }
    }
    None
}

/// The request does not go to an origin.
pub fn refused<P: Ports>(visit: &Rc<Visit<P>>, why: Refusal) -> Reply<P::Body> {
    let (status, error, detail) = match why {
        Refusal::NotForwarded(NotForwarded::LoopDetected) => {
            visit.incident(Incident::LoopDetected, "the request came back to this gateway");
            (
                NotForwarded::LoopDetected.status(),
                NotForwarded::LoopDetected.as_str(),
                "the request came back to this gateway",
            )
        }
        Refusal::NotForwarded(why) => (why.status(), why.as_str(), "the path has a dot segment"),
        Refusal::BodyLost => (400, "http_request_error", "the body broke off, or was longer than it said"),
        Refusal::NoPool => (500, "proxy_configuration_error", "the route has no origin"),
    };
    let mut message = Problem::plain(status, detail, &visit.id).into_message();
    let status = ProxyStatus::error(&visit.gate.site.server.id, error, None);
    message.head.fields.append("proxy-status", &status.to_string());
    visit.own(message, None)
}
