//! API keys, as whoever holds the admin token makes and changes them. A key is known by its id alone: its SHA-256 in
//! lower-case hex, under which its record lies (`identity::api_key`). The key itself is told once, when it is made.

use sha2::{Digest, Sha256};

use crate::head::{Method, RequestHead};
use crate::identity::{IdentityConfig, MAX_SUBJECT_BYTES, Tier, hex};
use crate::json::{Value, push_name, push_text};
use crate::list::Dict;
use crate::time::{Span, Timestamp};

/// What stands before the secret of a key, so that whoever finds one knows what it is.
const PREFIX: &str = "tg_";
/// How many hex digits an id has.
const ID_DIGITS: usize = 64;
/// How many of them name a key at least, where no other begins so.
const ID_DIGITS_MIN: usize = 8;
/// The longest note, in bytes.
const NOTE_BYTES_MAX: usize = 256;
/// Which key took the place of one; it is as good as new once it is given another end.
const REPLACED_BY: &str = "replaced_by";
/// How many digits of the id name the owner of a key that was made for nobody in particular.
const OWNER_DIGITS: usize = 12;

/// What is done with keys. A `&str` is an id, or its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act<'a> {
    /// All are listed, a page at a time.
    List,
    /// One is made.
    Create,
    /// Its record is shown.
    Show(&'a str),
    /// Its record is changed.
    Change(&'a str),
    /// It is switched off; its record stays.
    Revoke(&'a str),
    /// Another takes its place.
    Rotate(&'a str),
    /// Its record is removed.
    Delete(&'a str),
    /// What names it is no beginning of an id.
    Unnamed,
}

/// The act for a request to `keys` and this rest of a path (empty, or from its slash on).
///
/// # Errors
/// The methods that are allowed there; empty where there is nothing.
pub fn act<'a>(request: &RequestHead, rest: &'a str) -> Result<Act<'a>, &'static str> {
    let method = &request.method;
    let mut segments = rest.split('/').skip(1);
    match (segments.next().filter(|id| !id.is_empty()), segments.next(), segments.next()) {
        (None, None, None) => match method {
            Method::Get | Method::Head => Ok(Act::List),
            Method::Post => Ok(Act::Create),
            _ => Err("GET, HEAD, POST"),
        },
        (Some(id), _, None) if !is_id(id) => Ok(Act::Unnamed),
        (Some(id), None, None) => match method {
            Method::Get | Method::Head => Ok(Act::Show(id)),
            Method::Delete => Ok(Act::Delete(id)),
            Method::Patch => Ok(Act::Change(id)),
            _ => Err("GET, HEAD, PATCH, DELETE"),
        },
        (Some(id), Some("revoke"), None) => posted(method, Act::Revoke(id)),
        (Some(id), Some("rotate"), None) => posted(method, Act::Rotate(id)),
        _ => Err(""),
    }
}

fn posted<'a>(method: &Method, act: Act<'a>) -> Result<Act<'a>, &'static str> {
    if *method == Method::Post { Ok(act) } else { Err("POST") }
}

/// Whether this may be an id, or the beginning of one.
pub fn is_id(text: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (ID_DIGITS_MIN..=ID_DIGITS).contains(&text.len()) && text.bytes().all(digit)
}

/// Whether this is a whole id.
pub fn is_whole(id: &str) -> bool {
    id.len() == ID_DIGITS
}

/// A key that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minted {
    /// The key itself: `tg_` and the secret. Nobody keeps it.
    pub key: String,
    /// Under which its record lies.
    pub id: String,
}

impl Minted {
    /// The key with this secret, 32 random bytes as text.
    pub fn new(secret: &str) -> Self {
        let key = [PREFIX, secret].concat();
        let id = hex(&Sha256::digest(key.as_bytes()));
        Self { key, id }
    }
}

/// The record of a key; what tidegate does not know in it is kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record(Dict<String, Value>);

fn number(secs: u64) -> Value {
    Value::Number(secs.to_string().into())
}

impl Record {
    /// Reads a record. `None` where it is no JSON object.
    pub fn read(text: &str) -> Option<Self> {
        match Value::parse(text)? {
            Value::Table(members) => Some(Self(members)),
            _ => None,
        }
    }

    /// The text that lies in KV.
    pub fn text(&self) -> String {
        let mut text = String::new();
        Value::Table(self.0.clone()).push(&mut text);
        text
    }

    /// The record of a key that is made as `wanted` (a JSON object, or nothing) says.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn create(
        wanted: &str,
        minted: &Minted,
        config: &IdentityConfig,
        now: Timestamp,
    ) -> Result<Self, String> {
        let mut record = Self::default();
        if !wanted.trim().is_empty() {
            record.change(wanted, config, now)?;
        }
        if record.0.get("subject").is_none() {
            let owner = ["key-", minted.id.get(..OWNER_DIGITS).unwrap_or_default()].concat();
            record.0.set("subject".into(), Value::Text(owner));
        }
        record.0.set("created".into(), number(now.as_secs()));
        Ok(record)
    }

    /// Gives members other values; `null` takes one out. A `Span` such as `"14d"` counts from now.
    ///
    /// # Errors
    /// What is wrong with them, and what is allowed; nothing is changed then.
    pub fn change(&mut self, wanted: &str, config: &IdentityConfig, now: Timestamp) -> Result<(), String> {
        let Some(Value::Table(wanted)) = Value::parse(wanted) else {
            return Err(
                "the content is no JSON object; allowed: {\"tier\": \"...\", \"subject\": \"...\"}".into()
            );
        };
        let mut changed = self.0.clone();
        for (name, value) in wanted {
            if matches!(name.as_str(), "not_after" | "disabled") {
                changed.remove(REPLACED_BY);
            }
            let checked = match (name.as_str(), value) {
                ("subject", Value::Null) => {
                    Err("null is no owner; allowed: a text of 1 to 256 bytes".to_owned())
                }
                (_, Value::Null) => {
                    changed.remove(&name);
                    continue;
                }
                ("tier" | "then", value) => tier(value, &config.tiers),
                ("until" | "not_after", value) => moment(value, now),
                ("subject", value) => text(value, MAX_SUBJECT_BYTES),
                ("note", value) => text(value, NOTE_BYTES_MAX),
                ("disabled", value @ Value::Bool(_)) => Ok(value),
                ("disabled", _) => Err("is neither true nor false; allowed: true, false".into()),
                _ => Err("is not a key here; allowed: tier, until, then, subject, not_after, disabled, note"
                    .into()),
            };
            let value = checked.map_err(|wrong| ["`", &name, "` ", &wrong].concat())?;
            changed.set(name, value);
        }
        self.0 = changed;
        Ok(())
    }

    /// Switches the key off.
    pub fn revoke(&mut self, now: Timestamp) {
        self.0.set("disabled".into(), Value::Bool(true));
        self.0.set("revoked".into(), number(now.as_secs()));
    }

    /// Whether another key may take its place.
    ///
    /// # Errors
    /// Why not, and what is allowed: one that ends because another took its place would give its end to a further one.
    pub fn check_rotation(&self, now: Timestamp) -> Result<(), String> {
        let end = self.0.get("not_after").and_then(Value::as_u64);
        match self.0.get(REPLACED_BY) {
            _ if self.0.get("disabled") == Some(&Value::Bool(true)) => {
                Err("the key is switched off; allowed: {\"disabled\": false} first, or another key".into())
            }
            Some(next) => {
                let next = next.as_str().unwrap_or_default();
                Err(["the key was rotated already; allowed: that of ", next, ", which took its place"]
                    .concat())
            }
            None if end.is_some_and(|last| now.as_secs() > last) => {
                Err("the key's time is over; allowed: another {\"not_after\": ...} first, or another key"
                    .into())
            }
            None => Ok(()),
        }
    }

    /// The record of the key `by` that takes its place. The old one goes on for so long, or ends now.
    pub fn rotate(&mut self, id: &str, by: &str, grace: Span, now: Timestamp) -> Self {
        let mut next = self.clone();
        self.0.set(REPLACED_BY.into(), Value::Text(by.to_owned()));
        next.0.set("created".into(), number(now.as_secs()));
        next.0.set("replaces".into(), Value::Text(id.to_owned()));
        if grace == Span::ZERO {
            self.revoke(now);
        } else {
            let last = (now + grace).as_secs();
            let before = self.0.get("not_after").and_then(Value::as_u64).unwrap_or(u64::MAX);
            self.0.set("not_after".into(), number(last.min(before)));
        }
        next
    }
}

/// How long a key goes on after another took its place: `{"grace": "1d"}`, or not at all.
///
/// # Errors
/// What is wrong with it, and what is allowed.
pub fn grace(wanted: &str) -> Result<Span, String> {
    let wrong = || "the content is no grace; allowed: nothing, or {\"grace\": \"1d\"}".to_owned();
    if wanted.trim().is_empty() {
        return Ok(Span::ZERO);
    }
    let Some(Value::Table(members)) = Value::parse(wanted) else { return Err(wrong()) };
    match members.as_slice() {
        [] => Ok(Span::ZERO),
        [(name, Value::Text(span))] if name == "grace" => span.parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn tier(value: Value, tiers: &[Tier]) -> Result<Value, String> {
    match &value {
        Value::Text(name) if tiers.iter().any(|tier| **tier == **name) => Ok(value),
        _ => Err(["is not a tier; allowed: ", &tiers.join(", ")].concat()),
    }
}

fn text(value: Value, bytes_max: usize) -> Result<Value, String> {
    match &value {
        Value::Text(text) if (1..=bytes_max).contains(&text.len()) => Ok(value),
        _ => Err("does not fit; allowed: a text of 1 to 256 bytes".into()),
    }
}

fn moment(value: Value, now: Timestamp) -> Result<Value, String> {
    let parsed = match &value {
        Value::Text(span) => span.parse::<Span>().ok().map(|span| (now + span).as_secs()),
        value => value.as_u64(),
    };
    parsed.map(number).ok_or_else(|| {
        "is no moment; allowed: whole seconds since 1970, or a duration from now such as \"14d\"".into()
    })
}

/// A key with its record, as JSON. One whose record can't be read says so; the secret is there for a new key alone.
pub fn shown(id: &str, record: Option<&Record>, key: Option<&str>) -> String {
    let mut out = String::from("{");
    push_name(&mut out, "id");
    push_text(&mut out, id);
    if let Some(key) = key {
        push_name(&mut out, "key");
        push_text(&mut out, key);
    }
    match record {
        Some(Record(members)) => {
            for (name, value) in members.iter().filter(|(name, _)| !["id", "key"].contains(&name.as_str())) {
                push_name(&mut out, name);
                value.push(&mut out);
            }
        }
        None => out.push_str(",\"unreadable\":true"),
    }
    out.push('}');
    out
}

/// A page of keys, as JSON, out of the text of `Ports::keys`: where the next page begins (empty: there is none), then a
/// line for each key: its id, a space, its record.
pub fn page(text: &str) -> String {
    let mut lines = text.lines();
    let next = lines.next().unwrap_or_default();
    let mut out = String::from("{\"keys\":[");
    for line in lines {
        let (id, record) = line.split_once(' ').unwrap_or((line, ""));
        if !out.ends_with('[') {
            out.push(',');
        }
        out.push_str(&shown(id, Record::read(record).as_ref(), None));
    }
    out.push(']');
    if !next.is_empty() {
        push_name(&mut out, "cursor");
        push_text(&mut out, next);
    }
    out.push('}');
    out
}

/// The one whole id in a text of `Ports::keys`; `None` where there is none, or more than one.
pub fn only(text: &str) -> Option<&str> {
    let mut lines = text.lines().skip(1);
    let line = lines.next()?;
    lines.next().is_none().then(|| line.split(' ').next()).flatten()
}

#[cfg(test)]
mod tests;
