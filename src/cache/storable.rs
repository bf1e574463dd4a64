//! Whether a response may be stored, and for how long it will be fresh (RFC 9111, sections 3 and 4.2.1).

use super::directives::{Reach, RequestDirectives, ResponseDirectives};
use super::freshness::{self, Source};
use super::key::keyed;
use super::policy::{Layer, Policy, SetCookie};
use super::range::ByteRange;
use super::{date, targeted, unkeyed, validator};
use crate::head::{Fields, Method, RequestHead, ResponseHead};
use crate::identity::Identity;
use crate::time::Timestamp;

/// What a storable response allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lifetime {
    /// Freshness lifetime in seconds, counted from the response's creation, not from now.
    pub fresh_secs: u32,
    /// Where that comes from.
    pub source: Source,
    /// How long it may be used stale while it is refreshed (RFC 5861, section 3), in seconds.
    pub stale_while_revalidate_secs: u32,
    /// How long it may be used stale instead of an error (RFC 5861, section 4), in seconds.
    pub stale_if_error_secs: u32,
    /// `no-cache`: it is validated before each use.
    pub no_cache: bool,
    /// `must-revalidate`, `proxy-revalidate`, `s-maxage`: clients cannot ask for it stale.
    pub must_revalidate: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// Fields that must not be stored: those that a `no-cache="..."` or `private="..."` names, and Set-Cookie
    /// where the route strips it.
    pub omitted: Vec<Box<str>>,
}

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotStored {
    /// The route does not cache.
    Disabled,
    /// The method's responses are not stored.
    Method,
    /// No final status from 200 to 599, or not one that may be stored without explicit freshness.
    Status,
    /// A part of a response, or an answer to what one request alone asked: a condition, a range.
    Partial,
    /// The response says `no-store`.
    NoStore,
    /// The request says `no-store`.
    RequestNoStore,
    /// The response is for one user.
    Private,
    /// The request showed credentials and the response does not say that it is for everybody.
    Authorization,
    /// It sets cookies.
    SetCookie,
    /// `Vary: *`.
    VaryStar,
    /// Vary names more fields than the route allows.
    VaryNames,
    /// It says `must-understand` with a status that tidegate does not know.
    MustUnderstand,
    /// It can never be reused: it is stale already, and nothing could validate it.
    NoFreshnessNoValidator,
    /// No layer takes a body of this length.
    TooLarge,
}

impl NotStored {
    /// For Cache-Status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Method => "method",
            Self::Status => "status",
            Self::Partial => "partial",
            Self::NoStore => "no-store",
            Self::RequestNoStore => "request-no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::VaryNames => "vary-names",
            Self::MustUnderstand => "must-understand",
            Self::NoFreshnessNoValidator => "no-freshness-no-validator",
            Self::TooLarge => "too-large",
        }
    }
}

/// Whether the response to this request may be stored.
///
/// # Errors
/// The first reason why not.
pub fn storable(
    request: &RequestHead,
    response: &ResponseHead,
    policy: &Policy,
    identity: &Identity,
    now: Timestamp,
) -> Result<Lifetime, NotStored> {
    let (said, targeted) = targeted::directives(&response.fields, policy);
    gates(request, response, policy, identity)?;
    if said.must_understand && !is_understood(response.status) {
        return Err(NotStored::MustUnderstand);
    }
    if said.no_store && !said.must_understand {
        return Err(NotStored::NoStore);
    }
    let for_one = said.private == Reach::Whole;
    if for_one && !policy.key.is_of_one_user(&request.fields, identity) {
        return Err(NotStored::Private);
    }
    let for_everybody = said.public || said.must_revalidate || said.s_maxage.is_some();
    if shows_credentials(request, policy, identity) && !for_everybody {
        return Err(NotStored::Authorization);
    }
    let (fresh_secs, source) = freshness::lifetime(response, &said, targeted, policy, now);
    if source == Source::None && !said.public && !freshness::is_heuristic(response.status) {
        return Err(NotStored::Status);
    }
    if request.method == Method::Post && !policy.key.has_body(&Method::Post) && source != Source::Explicit {
        return Err(NotStored::Method);
    }
    let (swr, sie) = freshness::stale(&said, policy);
    let lifetime = Lifetime {
        fresh_secs,
        source,
        stale_while_revalidate_secs: swr,
        stale_if_error_secs: sie,
        no_cache: said.no_cache == Reach::Whole,
        must_revalidate: said.must_revalidate || said.proxy_revalidate || said.s_maxage.is_some(),
        immutable: said.immutable,
        omitted: omitted(said, policy),
    };
    if !lifetime.is_of_use(&response.fields, now) {
        return Err(NotStored::NoFreshnessNoValidator);
    }
    Ok(lifetime)
}

/// What forbids storing whatever the response's directives say.
fn gates(
    request: &RequestHead,
    response: &ResponseHead,
    policy: &Policy,
    identity: &Identity,
) -> Result<(), NotStored> {
    if !policy.enabled || policy.layers.is_empty() {
        return Err(NotStored::Disabled);
    }
    match request.method {
        Method::Get => {}
        ref method if policy.key.has_body(method) => {}
        // RFC 9110, section 9.3.3: the response to POST is that of a later GET where it says so.
        Method::Post if answers_itself(request, response, policy) => {}
        _ => return Err(NotStored::Method),
    }
    match response.status {
        206 if policy.partial && ByteRange::carried(&response.fields).is_some() => {}
        206 | 304 => return Err(NotStored::Partial),
        // They answer a part or a condition of this request, and not the next one.
        412 if validator::is_precondition(&request.fields) => return Err(NotStored::Partial),
        416 if request.fields.contains("range") => return Err(NotStored::Partial),
        // A platform that makes responses makes none with a status beyond (RFC 9110, section 15).
        200..=599 => {}
        _ => return Err(NotStored::Status),
    }
    if policy.honours(identity) && RequestDirectives::of(&request.fields).no_store {
        return Err(NotStored::RequestNoStore);
    }
    if policy.set_cookie == SetCookie::Refuse && response.fields.contains("set-cookie") {
        return Err(NotStored::SetCookie);
    }
    let mut names = 0;
    for name in response.fields.list("vary") {
        if name == "*" {
            return Err(NotStored::VaryStar);
        }
        names += 1;
    }
    if names > policy.vary.names_max {
        return Err(NotStored::VaryNames);
    }
    // What does not say how long it is may be short enough; whoever copies it stops where it is not.
    let length = response.content_length().or(Some(0));
    if ![Layer::Memory, Layer::Colo, Layer::Kv].iter().any(|layer| policy.takes(*layer, length)) {
        return Err(NotStored::TooLarge);
    }
    Ok(())
}

/// Not where the request, which went to the origin as it came, may have been about something else.
fn answers_itself(request: &RequestHead, response: &ResponseHead, policy: &Policy) -> bool {
    let location = response.fields.get("content-location");
    let location = location.and_then(|to| super::invalidate::resolve(&request.target, to));
    location.as_ref() == Some(&request.target)
        && !unkeyed::any(&request.fields, &policy.key)
        && keyed(&request.target, &policy.key).is_none()
}

/// An Authorization field (RFC 9111, section 3.5), or another credential: one that tidegate itself has verified, unless
/// each subject has responses of its own, or one that it could not verify.
fn shows_credentials(request: &RequestHead, policy: &Policy, identity: &Identity) -> bool {
    if policy.key.is_of_one_user(&request.fields, identity) {
        return false;
    }
    request.fields.contains("authorization")
        || identity.unproven
        || (identity.subject.is_some() && !policy.key.per_user)
}

/// Final statuses whose caching requirements are implemented here (RFC 9110, section 15).
fn is_understood(status: u16) -> bool {
    matches!(status, 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// The fields that this response keeps out of a shared store.
fn omitted(said: ResponseDirectives, policy: &Policy) -> Vec<Box<str>> {
    let mut names = Vec::new();
    for reach in [said.no_cache, said.private] {
        if let Reach::Fields(some) = reach {
            names.extend(some);
        }
    }
    if policy.set_cookie != SetCookie::Store {
        names.push("set-cookie".into());
    }
    names
}

impl Lifetime {
    /// Whether the response with these fields can be reused at all: it is fresh, or may be used stale, or can be
    /// validated.
    fn is_of_use(&self, fields: &Fields, now: Timestamp) -> bool {
        let stale_secs = self.stale_while_revalidate_secs.max(self.stale_if_error_secs);
        let usable_secs = if self.no_cache { 0 } else { self.fresh_secs.saturating_add(stale_secs) };
        date::initial_age(fields, now, now) < usable_secs || validator::has_validator(fields)
    }
}

#[cfg(test)]
mod tests;
