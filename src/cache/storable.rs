//! Whether a response may be stored, and for how long it will be fresh (RFC 9111, sections 3 and 4.2.1).

use super::policy::Policy;
use crate::head::{RequestHead, ResponseHead};
use crate::identity::Identity;
use crate::time::Timestamp;

/// Where a lifetime comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The origin's words: s-maxage, max-age or Expires, in Cache-Control or in a targeted field.
    Explicit,
    /// A guess from Last-Modified (RFC 9111, section 4.2.2).
    Heuristic,
    /// The route's policy.
    Policy,
    /// Nothing: the response is stale from the start, and is validated before each use.
    None,
}

/// What a storable response allows.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Neither a final status nor one that may be stored without explicit freshness.
    Status,
    /// A part of a response, or an answer to a validation.
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
    /// For Cache-Status, the log and Explain.
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
    let _ = (request, response, policy, identity, now);
    Err(NotStored::Disabled)
}
