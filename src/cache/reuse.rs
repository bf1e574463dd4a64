//! Whether a stored response answers a request (RFC 9111, section 4).

use super::complete::Complete;
use super::date;
use super::directives::RequestDirectives;
use super::groups::Groups;
use super::policy::{Honour, Policy};
use super::range::How;
use super::status::Fwd;
use super::stored::StoredHead;
use super::validator;
use super::variants::VariantIndex;
use crate::head::{Fields, Method, RequestHead};
use crate::identity::Identity;
use crate::list::sort_texts;
use crate::time::{DeltaSeconds, Span, Timestamp};

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reuse {
    /// A stored response answers it.
    Serve(Serve),
    /// A stored response may answer it, once the origin has confirmed it.
    Revalidate(Revalidate),
    /// The origin is asked for what a stored part lacks.
    Complete(Complete),
    /// The origin answers it.
    Forward(Forward),
    /// The client wants a stored response or none: 504 (RFC 9111, section 5.2.1.7).
    OnlyIfCachedMiss,
}

/// A stored response answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// Which candidate.
    pub which: usize,
    /// As a whole, in part, or as 304.
    pub how: How,
    /// Seconds for which it stays fresh; zero or less where it is stale.
    pub ttl: i64,
    /// It is stale: ask the origin for a new one, once, in the background, with [`StoredHead::conditions`]
    /// (RFC 5861, section 3).
    pub refresh: bool,
}

/// The origin is asked whether a stored response still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revalidate {
    /// The candidate that the request selects; `None` where only others are there, whose tags the origin may choose
    /// from.
    pub which: Option<usize>,
    /// For Cache-Status.
    pub fwd: Fwd,
    /// What [`validator::replace_conditions`] puts in the place of the client's own; empty where the candidate has no
    /// validator, and is kept only for the case of an error.
    pub conditions: Fields,
    /// Until when the candidate may stand in for an error (RFC 5861, section 4).
    pub stale_until: Option<Timestamp>,
}

/// The origin answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// For Cache-Status.
    pub fwd: Fwd,
    /// Why the cache was not asked, where it was not.
    pub reason: Option<&'static str>,
}

impl Forward {
    const fn because(fwd: Fwd) -> Reuse {
        Reuse::Forward(Self { fwd, reason: None })
    }
}

/// Decides. `candidates` are the stored responses of the request's primary key that were found so far, `index`
/// tells of others, `groups` of what was invalidated.
pub fn reuse<S: AsRef<StoredHead>>(
    request: &RequestHead,
    candidates: &[S],
    index: Option<&VariantIndex>,
    groups: &Groups,
    policy: &Policy,
    identity: &Identity,
    now: Timestamp,
) -> Reuse {
    if !policy.enabled {
        return Reuse::Forward(Forward { fwd: Fwd::Bypass, reason: Some("disabled") });
    }
    if !matches!(request.method, Method::Get | Method::Head) && !policy.key.has_body(&request.method) {
        return Forward::because(Fwd::Method);
    }
    let wishes = wishes(request, policy, identity);
    if request.fields.contains("if-match") || request.fields.contains("if-unmodified-since") {
        // Only the origin knows (RFC 9111, section 4.3.2).
        return if wishes.only_if_cached { Reuse::OnlyIfCachedMiss } else { Forward::because(Fwd::Request) };
    }
    if let Some(which) = select(request, candidates, policy)
        && let Some(head) = candidates.get(which)
    {
        let head = head.as_ref();
        let invalid = groups.invalidated(request, &policy.key, &head.fields, head.as_of());
        return judge(request, (which, head, invalid), &wishes, policy, now);
    }
    if wishes.only_if_cached {
        return Reuse::OnlyIfCachedMiss;
    }
    let tags = other_tags(request, candidates, index);
    let others = !candidates.is_empty() || index.is_some_and(|index| !index.variants.is_empty());
    match tags {
        Some(conditions) => {
            Reuse::Revalidate(Revalidate { which: None, fwd: Fwd::VaryMiss, conditions, stale_until: None })
        }
        None => Forward::because(if others { Fwd::VaryMiss } else { Fwd::UriMiss }),
    }
}

/// The client's directives, as far as the route listens to them.
fn wishes(request: &RequestHead, policy: &Policy, identity: &Identity) -> RequestDirectives {
    if !request.fields.contains("cache-control") && !request.fields.contains("pragma") {
        return RequestDirectives::default();
    }
    let mut all = RequestDirectives::of(&request.fields);
    if policy.honours(identity) {
        all.no_cache = all.no_cache && !is_of_fetch(&request.fields);
        return all;
    }
    let only_if_cached = all.only_if_cached && policy.honour_client_directives != Honour::None;
    RequestDirectives { only_if_cached, ..RequestDirectives::default() }
}

/// Whether a script's `fetch` has said `no-cache`, and not the client: it adds both fields to every request to which a
/// script gave conditions, to keep its own cache out of it (the Fetch standard, section 4.5). What such a client asks is
/// whether what it holds is still right, and that a fresh stored response tells as well.
fn is_of_fetch(request: &Fields) -> bool {
    let only = |name| request.combined(name).is_some_and(|value| *value == *"no-cache");
    validator::has_condition(request) && only("pragma") && only("cache-control")
}

/// The candidate that the request selects; of several the most recent (RFC 9111, section 4.1).
fn select<S: AsRef<StoredHead>>(request: &RequestHead, candidates: &[S], policy: &Policy) -> Option<usize> {
    let mut matching = candidates
        .iter()
        .enumerate()
        .filter(|(_, head)| head.as_ref().selecting.matches(&request.fields, &policy.vary));
    let (first, _) = matching.next()?;
    let made = |at: usize| candidates.get(at).map(|head| made(head.as_ref()));
    // Only where there is a choice are dates read.
    Some(matching.fold(first, |best, (at, _)| if made(at) > made(best) { at } else { best }))
}

fn made(head: &StoredHead) -> (Option<Timestamp>, Timestamp) {
    (date::field(&head.fields, "date"), head.response_time)
}

/// What becomes of a request that selects this response, which may be one that has to be validated (RFC 9111, section
/// 4.4).
fn judge(
    request: &RequestHead,
    (which, head, invalid): (usize, &StoredHead, bool),
    wishes: &RequestDirectives,
    policy: &Policy,
    now: Timestamp,
) -> Reuse {
    let ttl = head.ttl(now);
    let must_validate = wishes.no_cache || head.no_cache || invalid;
    let fresh_enough = !must_validate && satisfies(head, ttl, wishes, now);
    if let Some(part) = head.incomplete() {
        // A part answers for itself alone (RFC 9111, section 3.3), and what completes it confirms it as well.
        return match head.answers(request) {
            how @ How::Partial(range) if part.covers(range) && fresh_enough => {
                Reuse::Serve(Serve { which, how, ttl, refresh: false })
            }
            _ if wishes.only_if_cached => Reuse::OnlyIfCachedMiss,
            _ => match head.gap(request).filter(|_| policy.partial) {
                Some(gap) => Reuse::Complete(Complete { which, gap }),
                None => Forward::because(Fwd::Partial),
            },
        };
    }
    let serve = |refresh| Reuse::Serve(Serve { which, how: head.answers(request), ttl, refresh });
    if fresh_enough {
        return serve(false);
    }
    let no_limits = wishes.max_age.is_none() && wishes.min_fresh.is_none();
    // Whether the rest of a sliced response can be had is not known before the origin was asked.
    let refreshed = !must_validate && no_limits && !head.is_sliced();
    if refreshed && ttl <= 0 && -ttl < i64::from(head.stale_while_revalidate_secs) {
        return serve(!wishes.only_if_cached);
    }
    if wishes.only_if_cached {
        return Reuse::OnlyIfCachedMiss;
    }
    let fwd = if ttl > 0 && !head.no_cache && !invalid { Fwd::Request } else { Fwd::Stale };
    let stale_until = if must_validate { None } else { stale_until(head, wishes, policy) };
    let stale_until = stale_until.filter(|until| *until > now);
    Reuse::Revalidate(Revalidate { which: Some(which), fwd, conditions: head.conditions(), stale_until })
}

/// Whether the response is fresh enough for this client, or stale within what it accepts (RFC 9111, sections 4.2 and
/// 5.2.1).
fn satisfies(head: &StoredHead, ttl: i64, wishes: &RequestDirectives, now: Timestamp) -> bool {
    let secs = |limit: DeltaSeconds| i64::from(limit.get());
    // A fresh immutable response does not change, so a reload, which says `max-age=0`, may have it (RFC 8246). Nothing
    // else is young enough for one: whole seconds make a zero of an age that is above it.
    let unchanging = head.immutable && ttl > 0;
    let young = |limit: DeltaSeconds| limit.get() > 0 && head.current_age(now) <= limit.get();
    let young = wishes.max_age.is_none_or(|limit| unchanging || young(limit));
    if !young {
        return false;
    }
    match wishes.min_fresh {
        Some(limit) if ttl < secs(limit) => return false,
        _ if ttl > 0 => return true,
        _ => {}
    }
    !head.must_revalidate && wishes.max_stale.is_some_and(|limit| -ttl <= secs(limit))
}

/// Until when the response may stand in for an error, by its own words, the route's, or the client's.
fn stale_until(head: &StoredHead, wishes: &RequestDirectives, policy: &Policy) -> Option<Timestamp> {
    let asked = match wishes.stale_if_error {
        Some(limit) if !head.must_revalidate => limit.span().min(policy.stale_if_error_max),
        _ => Span::ZERO,
    };
    let allowed = Span::from_secs(head.stale_if_error_secs.into()).max(asked);
    let fresh_secs = head.lifetime_secs.saturating_sub(head.initial_age_secs);
    let overdue = Span::from_secs(head.initial_age_secs.saturating_sub(head.lifetime_secs).into());
    let left = Span::from_secs(fresh_secs.into()).saturating_add(allowed).saturating_sub(overdue);
    (left > Span::ZERO).then(|| head.response_time + left)
}

/// The tags of stored responses that the request did not select: the origin may say that one of them would do
/// (RFC 9111, section 4.3.1). A request with conditions of its own keeps them instead.
fn other_tags<S: AsRef<StoredHead>>(
    request: &RequestHead,
    candidates: &[S],
    index: Option<&VariantIndex>,
) -> Option<Fields> {
    if validator::is_conditional(&request.fields) {
        return None;
    }
    let held = candidates.iter().filter_map(|head| validator::etag(&head.as_ref().fields));
    let known = index.into_iter().flat_map(|index| &index.variants).filter_map(|one| one.etag.as_deref());
    let mut tags: Vec<(&str, usize)> = held.chain(known).map(|tag| (tag, 0)).collect();
    sort_texts(&mut tags);
    tags.dedup();
    let list = tags.into_iter().map(|(tag, _)| tag).collect::<Vec<_>>().join(", ");
    (!list.is_empty()).then(|| Fields::from_pairs([("if-none-match", list.as_str())]))
}

#[cfg(test)]
mod tests;
