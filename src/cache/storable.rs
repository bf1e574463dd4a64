//! Whether a response may be stored, and for how long it will be fresh (RFC 9111, sections 3 and 4.2.1).

use super::directives::{Reach, RequestDirectives, ResponseDirectives};
use super::freshness::{self, Source};
use super::policy::{Layer, Policy, SetCookie};
use super::{date, targeted, validator};
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
    let (said, targeted) = targeted::directives(&response.fields, policy);
    gates(request, response, policy, identity)?;
    if said.must_understand && !is_understood(response.status) {
        return Err(NotStored::MustUnderstand);
    }
    if said.no_store && !said.must_understand {
        return Err(NotStored::NoStore);
    }
    if said.private == Reach::Whole {
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
    if request.method == Method::Post && source != Source::Explicit {
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
    if !policy.enabled {
        return Err(NotStored::Disabled);
    }
    match request.method {
        Method::Get => {}
        // RFC 9110, section 9.3.3: the response to POST is that of a later GET where it says so.
        Method::Post if answers_itself(request, &response.fields) => {}
        _ => return Err(NotStored::Method),
    }
    match response.status {
        206 | 304 => return Err(NotStored::Partial),
        200..=999 => {}
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
    let length = response.content_length();
    if ![Layer::Memory, Layer::Colo, Layer::Kv].iter().any(|layer| policy.takes(*layer, length)) {
        return Err(NotStored::TooLarge);
    }
    Ok(())
}

fn answers_itself(request: &RequestHead, fields: &Fields) -> bool {
    let location =
        fields.get("content-location").and_then(|to| super::invalidate::resolve(&request.target, to));
    location.as_ref() == Some(&request.target)
}

/// An Authorization field (RFC 9111, section 3.5), or credentials that tidegate itself has verified, unless each
/// subject has responses of its own.
fn shows_credentials(request: &RequestHead, policy: &Policy, identity: &Identity) -> bool {
    request.fields.contains("authorization") || (identity.subject.is_some() && !policy.key.per_user)
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
mod tests {
    use super::*;
    use crate::cache::testing::{anonymous, date, get, known, policy, request, response, secs};

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn verdict(status: u16, pairs: Pairs<'_>) -> Result<Lifetime, NotStored> {
        with("{}", &get(&[]), status, pairs)
    }

    fn with(json: &str, request: &RequestHead, status: u16, pairs: Pairs<'_>) -> Result<Lifetime, NotStored> {
        storable(request, &response(status, pairs), &policy(json), &anonymous(), secs(0))
    }

    /// The lifetime of a 200, or why there is none.
    fn fresh(json: &str, pairs: Pairs<'_>) -> Result<(u32, Source), NotStored> {
        with(json, &get(&[]), 200, pairs).map(|lifetime| (lifetime.fresh_secs, lifetime.source))
    }

    #[test]
    fn s_maxage_wins_over_max_age_wins_over_expires_rfc9111_4_2_1() {
        let (made, later) = (date(0), date(500));
        let expires = ("expires", later.as_str());
        for (pairs, secs) in [
            (&[("cache-control", "max-age=60, s-maxage=30"), expires][..], Ok(30)),
            (&[("cache-control", "max-age=60"), expires], Ok(60)),
            (&[expires, ("date", made.as_str())], Ok(500)),
            (&[expires], Ok(500)),
            (&[("expires", "0")], Err(NotStored::NoFreshnessNoValidator)),
            (&[("expires", "0"), ("etag", "\"a\"")], Ok(0)),
            (&[("cache-control", "s-maxage=x, max-age=60"), ("etag", "\"a\"")], Ok(0)),
        ] {
            assert_eq!(fresh("{}", pairs), secs.map(|secs| (secs, Source::Explicit)), "{pairs:?}");
        }
    }

    #[test]
    fn without_freshness_and_validator_nothing_is_stored_rfc9111_3() {
        for (status, pairs, expected) in [
            (200, &[][..], Err(NotStored::NoFreshnessNoValidator)),
            (200, &[("etag", "\"a\"")], Ok(Source::None)),
            (200, &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], Ok(Source::None)),
            (200, &[("last-modified", "long ago")], Err(NotStored::NoFreshnessNoValidator)),
            (200, &[("cache-control", "max-age=0")], Err(NotStored::NoFreshnessNoValidator)),
            (200, &[("cache-control", "max-age=9"), ("age", "9")], Err(NotStored::NoFreshnessNoValidator)),
            (200, &[("cache-control", "max-age=0, stale-while-revalidate=9")], Ok(Source::Explicit)),
            (200, &[("cache-control", "no-cache, max-age=9")], Err(NotStored::NoFreshnessNoValidator)),
            (200, &[("cache-control", "no-cache"), ("etag", "\"a\"")], Ok(Source::None)),
            (503, &[("etag", "\"a\"")], Err(NotStored::Status)),
            (503, &[("etag", "\"a\""), ("cache-control", "public")], Ok(Source::None)),
        ] {
            assert_eq!(
                verdict(status, pairs).map(|lifetime| lifetime.source),
                expected,
                "{status} {pairs:?}"
            );
        }
    }

    #[test]
    fn every_final_status_with_explicit_freshness_is_storable_rfc9111_3() {
        for status in [200, 201, 204, 299, 302, 307, 404, 418, 499, 500, 503, 599, 600, 999] {
            assert!(verdict(status, &[("cache-control", "max-age=9")]).is_ok(), "{status}");
        }
        for (status, reason) in
            [(101, NotStored::Status), (206, NotStored::Partial), (304, NotStored::Partial)]
        {
            assert_eq!(verdict(status, &[("cache-control", "max-age=9")]), Err(reason));
        }
    }

    #[test]
    fn what_forbids_storing_is_named() {
        for (pairs, reason) in [
            (&[("cache-control", "no-store, max-age=9")][..], NotStored::NoStore),
            (&[("cache-control", "private, max-age=9")], NotStored::Private),
            (&[("cache-control", "max-age=9"), ("set-cookie", "a=b")], NotStored::SetCookie),
            (&[("cache-control", "max-age=9"), ("vary", "foo, *")], NotStored::VaryStar),
            (&[("cache-control", "max-age=9"), ("vary", "a,b,c,d,e,f,g,h,i")], NotStored::VaryNames),
            (&[("cache-control", "max-age=9"), ("content-length", "99999999")], NotStored::TooLarge),
        ] {
            assert_eq!(verdict(200, pairs), Err(reason));
        }
        assert_eq!(with(r#"{"enabled":false}"#, &get(&[]), 200, &[]), Err(NotStored::Disabled));
    }

    #[test]
    fn must_understand_lifts_no_store_for_known_statuses_rfc9111_5_2_2_3() {
        let pairs = &[("cache-control", "no-store, must-understand, max-age=9")];
        assert!(verdict(200, pairs).is_ok() && verdict(404, pairs).is_ok());
        assert_eq!(verdict(599, pairs), Err(NotStored::MustUnderstand));
        let pairs = &[("cache-control", "must-understand, max-age=9")];
        assert_eq!(verdict(299, pairs), Err(NotStored::MustUnderstand));
    }

    #[test]
    fn responses_to_requests_with_credentials_need_leave_rfc9111_3_5() {
        let shown = get(&[("authorization", "Basic x")]);
        for (directives, stored) in [
            ("max-age=9", false),
            ("max-age=9, public", true),
            ("max-age=9, must-revalidate", true),
            ("s-maxage=9", true),
            ("max-age=9, proxy-revalidate", false),
            ("max-age=9, private, public", false),
        ] {
            let response = response(200, &[("cache-control", directives)]);
            let verdict = |request: &RequestHead, json: &str, identity: &Identity| {
                storable(request, &response, &policy(json), identity, secs(0)).is_ok()
            };
            assert_eq!(verdict(&shown, "{}", &anonymous()), stored, "{directives}");
            assert_eq!(
                verdict(&get(&[]), "{}", &known()),
                stored,
                "a verified key counts as well: {directives}"
            );
            assert_eq!(verdict(&shown, r#"{"key":{"per_user":true}}"#, &known()), stored, "{directives}");
        }
        let per_user = policy(r#"{"key":{"per_user":true}}"#);
        let fresh = response(200, &[("cache-control", "max-age=9")]);
        assert!(storable(&get(&[]), &fresh, &per_user, &known(), secs(0)).is_ok());
    }

    #[test]
    fn only_get_and_a_post_that_answers_itself_are_stored_rfc9110_9_3_3() {
        let named = [("cache-control", "max-age=9"), ("content-location", "/x")];
        for (method, pairs, stored) in [
            ("GET", &named[..1], true),
            ("HEAD", &named, false),
            ("PUT", &named, false),
            ("FOO", &named, false),
            ("POST", &named[..1], false),
            ("POST", &named, true),
            ("POST", &[("content-location", "/x"), ("etag", "\"a\"")], false),
            ("POST", &[("content-location", "/y"), ("cache-control", "max-age=9")], false),
        ] {
            let verdict = with("{}", &request(method, &[]), 200, pairs);
            assert_eq!(verdict.is_ok(), stored, "{method} {pairs:?}");
            assert!(stored || verdict == Err(NotStored::Method));
        }
    }

    #[test]
    fn a_targeted_field_replaces_cache_control_and_expires_rfc9213_2_2() {
        let later = date(500);
        for (targeted, expected) in [
            ("max-age=30", Ok((30, Source::Explicit))),
            ("max-age=30, no-store", Err(NotStored::NoStore)),
            ("public", Err(NotStored::NoFreshnessNoValidator)),
            ("max-age=\"30\"", Err(NotStored::NoStore)),
        ] {
            let pairs = [("cache-control", "no-store"), ("expires", &later), ("cdn-cache-control", targeted)];
            assert_eq!(fresh("{}", &pairs), expected, "{targeted}");
        }
    }

    #[test]
    fn the_route_fills_in_or_overrides_a_lifetime() {
        let said = ("cache-control", "max-age=9");
        let (filled, own) = (Ok((60, Source::Policy)), Ok((9, Source::Explicit)));
        for (json, status, pairs, expected) in [
            (r#"{"ttl":"short"}"#, 200, &[][..], filled.clone()),
            (r#"{"ttl":"short"}"#, 200, &[said], own.clone()),
            (r#"{"ttl":"short","ttl_mode":"override"}"#, 200, &[said], filled.clone()),
            (
                r#"{"ttl":"short","ttl_mode":"override"}"#,
                200,
                &[("cache-control", "private")],
                Err(NotStored::Private),
            ),
            (
                r#"{"ttl":"short","ttl_mode":"override"}"#,
                200,
                &[("cache-control", "no-store")],
                Err(NotStored::NoStore),
            ),
            (r#"{"ttl":"short"}"#, 404, &[], Err(NotStored::NoFreshnessNoValidator)),
            (r#"{"ttl":"short"}"#, 302, &[], Err(NotStored::Status)),
            (r#"{"negative":{"404":"1m"}}"#, 404, &[], filled.clone()),
            (r#"{"negative":{"404":"1m"}}"#, 404, &[said], own),
            (r#"{"negative":{"500":"1m"}}"#, 500, &[], filled),
        ] {
            let verdict = with(json, &get(&[]), status, pairs);
            assert_eq!(
                verdict.map(|lifetime| (lifetime.fresh_secs, lifetime.source)),
                expected,
                "{json} {pairs:?}"
            );
        }
    }

    #[test]
    fn a_guess_is_a_tenth_of_the_time_since_the_last_change_rfc9111_4_2_2() {
        let (made, old) = (date(0), crate::time::Timestamp::from_secs(999_990_000).to_http_date());
        let pairs = [("date", made.as_str()), ("last-modified", old.as_str())];
        let guess = |json: &str, status| {
            with(json, &get(&[]), status, &pairs).map(|lifetime| (lifetime.fresh_secs, lifetime.source))
        };
        assert_eq!(guess("{}", 200), Ok((0, Source::None)));
        assert_eq!(guess(r#"{"heuristic":true}"#, 200), Ok((1000, Source::Heuristic)));
        assert_eq!(guess(r#"{"heuristic":true,"heuristic_max":"5m"}"#, 404), Ok((300, Source::Heuristic)));
        assert_eq!(guess(r#"{"heuristic":true}"#, 403), Err(NotStored::Status));
    }

    #[test]
    fn stale_use_is_bounded_and_ends_at_must_revalidate_rfc5861_rfc9111_4_2_4() {
        let json = r#"{"stale_while_revalidate":"5s","stale_if_error":"6s","stale_while_revalidate_max":"50s",
            "stale_if_error_max":"60s"}"#;
        for (directives, allowed) in [
            ("max-age=9", (5, 6)),
            ("max-age=9, stale-while-revalidate=7, stale-if-error=8", (7, 8)),
            ("max-age=9, stale-while-revalidate=700, stale-if-error=800", (50, 60)),
            ("max-age=9, stale-while-revalidate=0, stale-if-error=x", (0, 0)),
            ("max-age=9, must-revalidate, stale-while-revalidate=7", (0, 0)),
            ("max-age=9, proxy-revalidate, stale-if-error=8", (0, 0)),
            ("s-maxage=9", (0, 0)),
            ("s-maxage=9, stale-while-revalidate=7", (7, 0)),
        ] {
            let lifetime = with(json, &get(&[]), 200, &[("cache-control", directives)]).unwrap();
            let stale = (lifetime.stale_while_revalidate_secs, lifetime.stale_if_error_secs);
            assert_eq!(stale, allowed, "{directives}");
        }
    }

    #[test]
    fn a_client_that_counts_may_forbid_storing_rfc9111_5_2_1_5() {
        let (shy, pairs) = (get(&[("cache-control", "no-store")]), [("cache-control", "max-age=9, public")]);
        assert!(with("{}", &shy, 200, &pairs).is_ok());
        let all = r#"{"honour_client_directives":"all"}"#;
        assert_eq!(with(all, &shy, 200, &pairs), Err(NotStored::RequestNoStore));
    }
}
