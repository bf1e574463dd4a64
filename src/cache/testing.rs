//! What the tests of this room share: requests, stored responses and moments in a few words.

use super::stored::{Exchange, StoredHead};
use super::{Policy, storable};
use crate::head::{Fields, Method, RequestHead, ResponseHead};
use crate::identity::Identity;
use crate::time::Timestamp;

/// When the tests begin: Sun, 09 Sep 2001 01:46:40 GMT.
pub(super) const EPOCH_SECS: u64 = 1_000_000_000;

/// So many seconds after the beginning.
pub(super) fn secs(after: u64) -> Timestamp {
    Timestamp::from_secs(EPOCH_SECS + after)
}

/// That moment as an HTTP date.
pub(super) fn date(after: u64) -> String {
    secs(after).to_http_date()
}

pub(super) fn anonymous() -> Identity {
    Identity::anonymous()
}

/// A client with a verified identity.
pub(super) fn known() -> Identity {
    Identity { subject: Some("u1".into()), ..Identity::anonymous() }
}

pub(super) fn request(method: &str, pairs: &[(&str, &str)]) -> RequestHead {
    let mut request = RequestHead::new(Method::from(method), "https://a/x").unwrap();
    request.fields = Fields::from_pairs(pairs.iter().copied());
    request
}

pub(super) fn get(pairs: &[(&str, &str)]) -> RequestHead {
    request("GET", pairs)
}

pub(super) fn response(status: u16, pairs: &[(&str, &str)]) -> ResponseHead {
    ResponseHead { status, fields: Fields::from_pairs(pairs.iter().copied()) }
}

/// An answer that came without delay.
pub(super) fn at(now: Timestamp) -> Exchange {
    Exchange::new(now, now)
}

/// A stored 200 that came at that moment.
pub(super) fn stored(
    request: &RequestHead,
    pairs: &[(&str, &str)],
    policy: &Policy,
    now: Timestamp,
) -> StoredHead {
    let response = response(200, pairs);
    let lifetime = storable(request, &response, policy, &anonymous(), now).unwrap();
    StoredHead::new(request, &response, &lifetime, policy, at(now))
}

/// A policy from JSON.
pub(super) fn policy(json: &str) -> Policy {
    serde_json::from_str(json).unwrap()
}
