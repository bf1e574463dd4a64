//! How long a response is fresh, and how long it may be used stale (RFC 9111, section 4.2; RFC 5861).

use super::date;
use super::directives::{Reach, ResponseDirectives};
use super::policy::{Policy, TtlMode};
use crate::head::{Fields, ResponseHead};
use crate::time::{DeltaSeconds, Span, Timestamp};

/// Where a lifetime comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// The origin's words: s-maxage, max-age or Expires, in Cache-Control or in a targeted field.
    Explicit,
    /// A guess from Last-Modified (RFC 9111, section 4.2.2).
    Heuristic,
    /// The route's policy.
    Policy,
    /// Nothing: the response is stale from the start, and is validated before each use.
    #[default]
    None,
}

/// A guess is this part of the time since the last change (RFC 9111, section 4.2.2).
const HEURISTIC_DIVISOR: u64 = 10;

/// Statuses that may be stored and reused without explicit freshness (RFC 9110, section 15.1).
pub(super) fn is_heuristic(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Freshness lifetime in seconds, and where it comes from.
pub(super) fn lifetime(
    response: &ResponseHead,
    said: &ResponseDirectives,
    targeted: bool,
    policy: &Policy,
    now: Timestamp,
) -> (u32, Source) {
    let fields = &response.fields;
    let explicit = said.s_maxage.or(said.max_age).or_else(|| expires(fields, now).filter(|_| !targeted));
    let configured = configured(response.status, policy).map(DeltaSeconds::from);
    let (lifetime, source) = match (explicit, configured) {
        (_, Some(own)) if policy.ttl_mode == TtlMode::Override => (own, Source::Policy),
        (Some(origin), _) => (origin, Source::Explicit),
        (None, Some(own)) => (own, Source::Policy),
        (None, None) => match heuristic(response, said, policy, now) {
            Some(guess) => (guess, Source::Heuristic),
            None => (DeltaSeconds::default(), Source::None),
        },
    };
    (lifetime.get(), source)
}

/// Expires less Date; what cannot be read has expired (RFC 9111, section 5.3).
fn expires(fields: &Fields, now: Timestamp) -> Option<DeltaSeconds> {
    let end = date::parse(fields.get("expires")?);
    let made = date::field(fields, "date").unwrap_or(now);
    Some(end.map_or(DeltaSeconds::default(), |end| DeltaSeconds::from(end.since(made))))
}

/// What the route says about this status: its table first, then `ttl` for successes and permanent redirects.
fn configured(status: u16, policy: &Policy) -> Option<Span> {
    let general = || policy.ttl.filter(|_| status < 400 && is_heuristic(status));
    policy.negative.get(status).or_else(|| general().map(|ttl| ttl.span(&policy.classes)))
}

fn heuristic(
    response: &ResponseHead,
    said: &ResponseDirectives,
    policy: &Policy,
    now: Timestamp,
) -> Option<DeltaSeconds> {
    if !policy.heuristic || !(said.public || is_heuristic(response.status)) {
        return None;
    }
    let modified = date::field(&response.fields, "last-modified")?;
    let unchanged = date::field(&response.fields, "date").unwrap_or(now).since(modified);
    let guess = Span::from_millis(unchanged.as_millis() / HEURISTIC_DIVISOR).min(policy.heuristic_max);
    Some(guess.into())
}

/// For how many seconds the response may be used stale while it is refreshed, and instead of an error. What the origin
/// says in so many words wins over what `s-maxage` implies; `must-revalidate`, `proxy-revalidate` and `no-cache`
/// win over everything (RFC 9111, section 4.2.4).
pub(super) fn stale(said: &ResponseDirectives, policy: &Policy) -> (u32, u32) {
    if said.must_revalidate || said.proxy_revalidate || said.no_cache == Reach::Whole {
        return (0, 0);
    }
    let bounded = |origin: Option<DeltaSeconds>, own: Span, max: Span| {
        let own = if said.s_maxage.is_some() { Span::ZERO } else { own };
        DeltaSeconds::from(origin.map_or(own, DeltaSeconds::span).min(max)).get()
    };
    (
        bounded(
            said.stale_while_revalidate,
            policy.stale_while_revalidate,
            policy.stale_while_revalidate_max,
        ),
        bounded(said.stale_if_error, policy.stale_if_error, policy.stale_if_error_max),
    )
}
