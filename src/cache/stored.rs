//! A stored response's head: what is served, and what decides whether it may be.

use super::multipart;
use super::policy::Policy;
use super::range::{ByteRange, How};
use super::status::push_integer;
use super::storable::{Lifetime, NotStored, storable};
use super::variants::Selecting;
use super::{date, validator};
use crate::head::{Fields, RequestHead, ResponseHead};
use crate::identity::Identity;
use crate::time::{Span, Timestamp};

/// A stored response without its body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredHead {
    /// 200 to 599.
    pub status: u16,
    /// The fields to be served; Age is not among them.
    pub fields: Fields,
    /// When the response came.
    pub response_time: Timestamp,
    /// Its corrected initial age in seconds (RFC 9111, section 4.2.3).
    pub initial_age_secs: u32,
    /// Freshness lifetime in seconds.
    pub lifetime_secs: u32,
    /// How long it may be used stale while it is refreshed, in seconds.
    pub stale_while_revalidate_secs: u32,
    /// How long it may stand in for an error, in seconds.
    pub stale_if_error_secs: u32,
    /// It is validated before each use.
    pub no_cache: bool,
    /// Clients cannot ask for it stale.
    pub must_revalidate: bool,
    /// RFC 8246.
    pub immutable: bool,
    /// The request's values of the fields that Vary names.
    pub selecting: Selecting,
    /// The complete length in bytes; whoever has counted the body sets it where Content-Length did not.
    pub body_bytes: Option<u64>,
    /// Which part of that the stored body is, where it is not all of it.
    pub part: Option<ByteRange>,
    /// How far what it shows may lie before `response_time`: it was on its way for so long, and may come from a replica.
    pub behind: Span,
    /// How far purges were known when the origin was asked for it ([`super::purge`]).
    pub generation: u64,
}

/// When a request went to the origin and when its answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// When it was sent.
    pub request_time: Timestamp,
    /// When the head of the answer was there, or it was given up.
    pub response_time: Timestamp,
    /// How far what the answer shows may lie before that, where somebody asks.
    pub behind: Span,
    /// How long the answer may be reused without asking again.
    pub good_for: Span,
    /// How far purges were known when it was sent.
    pub generation: u64,
}

impl Exchange {
    /// With an origin that knows all that there is.
    pub const fn new(request_time: Timestamp, response_time: Timestamp) -> Self {
        Self { request_time, response_time, behind: Span::ZERO, good_for: Span::MAX, generation: 0 }
    }

    /// The moment up to which the answer shows all that was written.
    pub fn as_of(self) -> Timestamp {
        self.request_time.min(self.response_time.before(self.behind))
    }
}

/// A stored response that the origin has confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshened {
    /// Its new head.
    pub head: StoredHead,
    /// Why the new head must not be stored, where it must not; then the stored one stays as it is.
    pub not_stored: Option<NotStored>,
    /// Fields of the origin's answer that are for this client alone, to be appended to what is served.
    pub pass_on: Fields,
}

/// Fields that belong to one connection or message and are never stored (RFC 9111, section 3.1).
const NOT_STORED: [&str; 10] = [
    "age",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Fields that a 304 or a response to HEAD does not change, since they describe the stored body (RFC 9111,
/// section 3.2).
const NOT_UPDATED: [&str; 3] = ["content-encoding", "content-length", "content-range"];

/// Fields that a 304 or 416 does not repeat: they describe a body that does not come (RFC 9110, section 15.4.5).
const OF_THE_BODY: [&str; 6] = [
    "accept-ranges",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
];

impl StoredHead {
    /// From a storable response to this request.
    pub fn new(
        request: &RequestHead,
        response: &ResponseHead,
        lifetime: &Lifetime,
        policy: &Policy,
        exchange: Exchange,
    ) -> Self {
        let mut fields = response.fields.clone();
        let named: Vec<String> = fields.list("connection").map(str::to_ascii_lowercase).collect();
        fields.retain(|name, _| {
            let omitted = NOT_STORED.contains(&name)
                || lifetime.omitted.iter().any(|omitted| **omitted == *name)
                || named.iter().any(|other| other == name);
            // Without its Vary a variant would answer everybody.
            !omitted || name == "vary"
        });
        if date::field(&fields, "date").is_none() {
            fields.insert("date", &exchange.response_time.to_http_date());
        }
        let initial_age_secs =
            date::initial_age(&response.fields, exchange.request_time, exchange.response_time);
        let good_for = u32::try_from(exchange.good_for.saturating_sub(exchange.behind).as_secs());
        let fresh_max = good_for.unwrap_or(u32::MAX).saturating_add(initial_age_secs);
        let lifetime_secs = lifetime.fresh_secs.min(fresh_max);
        let stale_max = fresh_max - lifetime_secs;
        let carried = ByteRange::carried(&fields).filter(|_| response.status == 206);
        Self {
            status: response.status,
            response_time: exchange.response_time,
            initial_age_secs,
            lifetime_secs,
            stale_while_revalidate_secs: lifetime.stale_while_revalidate_secs.min(stale_max),
            stale_if_error_secs: lifetime.stale_if_error_secs,
            no_cache: lifetime.no_cache,
            must_revalidate: lifetime.must_revalidate,
            immutable: lifetime.immutable,
            selecting: Selecting::new(&request.fields, &fields, &policy.vary),
            body_bytes: carried.map(|(_, complete)| complete).or_else(|| response.content_length()),
            part: carried.map(|(part, _)| part),
            behind: exchange.response_time.since(exchange.as_of()),
            generation: exchange.generation,
            fields,
        }
    }

    /// The moment up to which it shows all that was written.
    pub fn as_of(&self) -> Timestamp {
        self.response_time.before(self.behind)
    }

    /// Seconds since the origin made it (RFC 9111, section 4.2.3).
    pub fn current_age(&self, now: Timestamp) -> u32 {
        let resident = now.since(self.response_time).as_secs();
        u32::try_from(resident).unwrap_or(u32::MAX).saturating_add(self.initial_age_secs)
    }

    /// Seconds for which it stays fresh; zero or less where it is stale.
    pub fn ttl(&self, now: Timestamp) -> i64 {
        i64::from(self.lifetime_secs) - i64::from(self.current_age(now))
    }

    /// Makes it stale from that moment on, or from now where that lies ahead by the other clock.
    pub fn end_at(&mut self, moment: Timestamp, now: Timestamp) {
        let age = self.current_age(moment.min(now));
        self.lifetime_secs = self.lifetime_secs.min(age);
    }

    /// The length of the stored body, where it is known: that of the part, where it is one.
    pub fn stored_bytes(&self) -> Option<u64> {
        self.part.map(ByteRange::bytes).or(self.body_bytes)
    }

    /// The stored body was counted: so many bytes.
    pub fn count(&mut self, bytes: u64) {
        if self.part.is_none() {
            self.body_bytes = Some(bytes);
        }
    }

    /// Where in the stored body a range of the complete one lies.
    pub fn in_stored_body(&self, range: ByteRange) -> ByteRange {
        let start = self.part.map_or(0, |part| part.first);
        ByteRange { first: range.first.saturating_sub(start), last: range.last.saturating_sub(start) }
    }

    /// The conditions that ask the origin whether it still holds; empty where it has no validator.
    pub fn conditions(&self) -> Fields {
        validator::conditions(&self.fields)
    }

    /// How it answers this request's preconditions and range.
    pub fn answers(&self, request: &RequestHead) -> How {
        How::new(request, self.status, &self.fields, self.body_bytes, self.response_time)
    }

    /// Updates it from the origin's 304, or from its response to HEAD (RFC 9111, section 3.2).
    pub fn freshen(
        &self,
        request: &RequestHead,
        response: &ResponseHead,
        policy: &Policy,
        identity: &Identity,
        exchange: Exchange,
    ) -> Freshened {
        let mut merged = ResponseHead { status: self.status, fields: self.fields.clone() };
        let mut pass_on = Fields::new();
        merged.fields.retain(|name, _| {
            // A 304 without a Date was made when it came.
            name != "date" && (NOT_UPDATED.contains(&name) || !response.fields.contains(name))
        });
        for (name, value) in response.fields.iter().filter(|(name, _)| !NOT_UPDATED.contains(name)) {
            let set = if name == "set-cookie" { &mut pass_on } else { &mut merged.fields };
            set.append(name, value);
        }
        if policy.set_cookie == super::policy::SetCookie::Store {
            pass_on.iter().for_each(|(name, value)| merged.fields.append(name, value));
            pass_on = Fields::new();
        }
        // A response that was stored was one to GET, or one that stands for it.
        let as_get = RequestHead { method: crate::head::Method::Get, ..request.clone() };
        let verdict = storable(&as_get, &merged, policy, identity, exchange.response_time);
        let lifetime = verdict.clone().unwrap_or_default();
        for (name, value) in response.fields.iter().filter(|(name, _)| *name != "set-cookie") {
            if lifetime.omitted.iter().any(|omitted| **omitted == *name) {
                pass_on.append(name, value);
            }
        }
        let mut head = Self::new(&as_get, &merged, &lifetime, policy, exchange);
        (head.body_bytes, head.part) = (self.body_bytes, self.part);
        Freshened { head, not_stored: verdict.err(), pass_on }
    }

    /// The head that the client gets: Age is recomputed, Date is the origin's.
    pub fn serve(&self, how: &How, now: Timestamp) -> ResponseHead {
        let mut head = ResponseHead { status: self.status, fields: self.fields.clone() };
        match how {
            How::Full => {}
            How::NotModified => {
                head.status = 304;
                let has_tag = head.fields.contains("etag");
                head.fields
                    .retain(|name, _| !(OF_THE_BODY.contains(&name) || has_tag && name == "last-modified"));
            }
            How::Partial(range) => self.serve_part(&mut head, *range),
            How::Multipart(ranges) => {
                let frames = multipart::frames(self, ranges);
                head.status = 206;
                head.fields.insert("content-type", &frames.content_type);
                head.fields.insert("content-length", &decimal(frames.bytes));
            }
            How::Unsatisfiable => {
                head.status = 416;
                head.fields.retain(|name, _| !OF_THE_BODY.contains(&name));
                let complete = decimal(self.body_bytes.unwrap_or_default());
                head.fields.append("content-range", &format!("bytes */{complete}"));
                head.fields.append("content-length", "0");
            }
        }
        let mut age = String::with_capacity(10);
        push_integer(&mut age, i64::from(self.current_age(now)));
        head.fields.append("age", &age);
        head
    }

    fn serve_part(&self, head: &mut ResponseHead, range: ByteRange) {
        let complete = self.body_bytes.unwrap_or_default();
        head.status = 206;
        head.fields.insert("content-range", &format!("bytes {}-{}/{complete}", range.first, range.last));
        head.fields.insert("content-length", &decimal(range.bytes()));
    }
}

pub(super) fn decimal(number: u64) -> String {
    let mut text = String::new();
    push_integer(&mut text, i64::try_from(number).unwrap_or(i64::MAX));
    text
}

impl AsRef<Self> for StoredHead {
    fn as_ref(&self) -> &Self {
        self
    }
}

#[cfg(test)]
mod tests;
