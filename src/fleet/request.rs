//! What a person asks to be purged, as JSON, and what becomes of it.

use super::object::Purge;
use crate::cache::groups::invalidated;
use crate::cache::key::line;
use crate::cache::purge::{Mode, Stamp, What, hash, host_hash, tag_hash};
use crate::cache::rules::KeyRules;
use crate::head::{Fields, RequestHead, Target};
use crate::json::{self, Value};
use crate::route::Table;
use crate::time::Timestamp;

/// How many operations a batch has at most.
pub const OPERATIONS_MAX: usize = 100;
/// How long a batch's name may be, in bytes.
const ID_BYTES_MAX: usize = 64;
/// How long the text of one operation may be, in bytes.
const TEXT_BYTES_MAX: usize = 8192;
/// In how many forms a URL may stand in keys before its host is purged instead: one for each set of key rules that makes
/// another one of it.
const FORMS_MAX: usize = 8;
/// How much of a batch the audit trail keeps, in bytes.
const ENTRY_BYTES_MAX: usize = 4096;

/// What is hit, as its sender names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A URL.
    Url,
    /// All URLs that begin so.
    Prefix,
    /// A tag.
    Tag,
    /// A route's name.
    Route,
    /// A host.
    Host,
    /// All there is.
    Everything,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Url, "url"),
    (Kind::Prefix, "prefix"),
    (Kind::Tag, "tag"),
    (Kind::Route, "route"),
    (Kind::Host, "host"),
    (Kind::Everything, "everything"),
];
const KIND_NAMES: &str = "\"url\", \"prefix\", \"tag\", \"route\", \"host\", \"everything\"";

impl Kind {
    fn as_str(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// One operation of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What kind of thing is hit.
    pub kind: Kind,
    /// Which one; empty for everything.
    pub text: String,
    /// How.
    pub mode: Mode,
}

/// A batch, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What its sender calls it; empty where it has no name.
    pub id: String,
    /// At least one.
    pub operations: Vec<Operation>,
}

impl Batch {
    /// Reads a request's content.
    ///
    /// # Errors
    /// What is wrong, where, and what is allowed.
    pub fn read(text: &str, table: &Table) -> Result<Self, String> {
        let Some(whole @ Value::Table(members)) = &Value::parse(text) else {
            return Err(
                "the content is no JSON object; allowed: {\"operations\": [{\"url\": \"https://...\"}]}"
                    .into(),
            );
        };
        if let Some(name) = members.names().find(|name| !["id", "operations"].contains(&name.as_str())) {
            return Err(["`", name, "` is not a key here; allowed: \"id\", \"operations\""].concat());
        }
        let id = whole.get("id").map_or(Some(""), Value::as_str).filter(|id| is_id(id));
        let id = id.ok_or(
            "id: is no name for a batch; allowed: up to 64 letters, digits, \"-\", \"_\", \".\", \":\"",
        )?;
        let operations = whole.get("operations").and_then(Value::as_list).unwrap_or_default();
        if !(1..=OPERATIONS_MAX).contains(&operations.len()) {
            return Err("operations: is no list that fits; allowed: 1 to 100 operations".into());
        }
        let numbered = operations.iter().enumerate();
        let read = |(at, value): (usize, &Value)| {
            operation(value, table).map_err(|wrong| ["operations[", &at.to_string(), "]", &wrong].concat())
        };
        Ok(Self { id: id.to_owned(), operations: numbered.map(read).collect::<Result<_, _>>()? })
    }

    /// What the object is told. `by` says who asks, as a JSON value.
    pub fn purge(&self, table: &Table, by: &str) -> Purge {
        let mut entry = ["\"by\":", by, ",\"id\":", &json::write(&self.id), ",\"operations\":["].concat();
        let mut left_out = self.operations.len();
        for operation in &self.operations {
            let text = operation.to_json("");
            if entry.len() + text.len() > ENTRY_BYTES_MAX {
                break;
            }
            if left_out < self.operations.len() {
                entry.push(',');
            }
            entry.push_str(&text);
            left_out -= 1;
        }
        entry.push(']');
        if left_out > 0 {
            entry.push_str(",\"left_out\":");
            entry.push_str(&left_out.to_string());
        }
        let stamps = self.operations.iter().flat_map(|operation| operation.stamps(table)).collect();
        Purge { id: self.id.clone(), entry, stamps }
    }
}

fn is_id(id: &str) -> bool {
    id.len() <= ID_BYTES_MAX && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

fn operation(value: &Value, table: &Table) -> Result<Operation, String> {
    let Value::Table(members) = value else {
        return Err([": is no object; allowed: one of ", KIND_NAMES].concat());
    };
    let mut found = None;
    let mut mode = Mode::Hard;
    for (name, value) in members.iter() {
        if name == "mode" {
            mode = match value.as_str() {
                Some("hard") => Mode::Hard,
                Some("soft") => Mode::Soft,
                _ => return Err(".mode: is not known; allowed: \"hard\", \"soft\"".into()),
            };
            continue;
        }
        let Some((kind, _)) = KINDS.iter().find(|(_, known)| *known == *name) else {
            return Err(
                [".", name, ": is not a key here; allowed: one of ", KIND_NAMES, ", and \"mode\""].concat()
            );
        };
        if found.replace((*kind, value)).is_some() {
            return Err([": names more than one thing; allowed: one of ", KIND_NAMES].concat());
        }
    }
    let Some((kind, value)) = found else {
        return Err([": names nothing; allowed: one of ", KIND_NAMES].concat());
    };
    let text = match (kind, value) {
        (Kind::Everything, Value::Bool(true)) => Ok(""),
        (Kind::Everything, _) => Err("`everything` is a switch; allowed: true".into()),
        (_, Value::Text(text)) if !text.is_empty() && text.len() <= TEXT_BYTES_MAX => Ok(text.as_str()),
        _ => Err("is no text that fits; allowed: 1 to 8192 bytes".into()),
    };
    let text = text.and_then(|text| check(kind, text, table).map(|()| text.to_owned()));
    let text = text.map_err(|wrong| [".", kind.as_str(), ": ", &wrong].concat())?;
    Ok(Operation { kind, text, mode })
}

/// Whether the text names something of its kind.
fn check(kind: Kind, text: &str, table: &Table) -> Result<(), String> {
    let wrong = |what: &str| Err(["`", text, "` ", what].concat());
    match kind {
        Kind::Url | Kind::Prefix if text.contains('#') => wrong("has a fragment; allowed: a URL without one"),
        Kind::Url | Kind::Prefix if text.ends_with('*') => wrong(
            "ends in `*`, which stands for nothing here; allowed: {\"prefix\": \"https://host/path/\"}, without it",
        ),
        Kind::Prefix if text.contains('?') => wrong("has a query; allowed: the beginning of a path"),
        Kind::Prefix if !are_escapes_whole(text) => {
            wrong("has a broken escape; allowed: % and two hexadecimal digits")
        }
        Kind::Url | Kind::Prefix => Target::parse(text).map(drop),
        Kind::Route if table.iter().all(|route| *route.name != *text) => {
            let names: Vec<&str> = table.iter().map(|route| &*route.name).collect();
            Err(["`", text, "` is not a route; allowed: ", &names.join(", ")].concat())
        }
        Kind::Host
            if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.[]:".contains(&b))
                || has_port(text) =>
        {
            wrong("is no host; allowed: a name without scheme, port, path and `*`")
        }
        Kind::Tag if text.contains([',', '\n']) => {
            wrong("is more than one tag; allowed: one, without commas")
        }
        Kind::Tag | Kind::Route | Kind::Host | Kind::Everything => Ok(()),
    }
}

fn has_port(host: &str) -> bool {
    host.contains(':') && !host.ends_with(']')
}

fn are_escapes_whole(text: &str) -> bool {
    let whole = |piece: &str| piece.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    text.split('%').skip(1).all(whole)
}

impl Operation {
    /// As a JSON object, with these further members.
    pub fn to_json(&self, more: &str) -> String {
        let text = if self.kind == Kind::Everything { "true".to_owned() } else { json::write(&self.text) };
        let mode = if self.mode == Mode::Hard { "hard" } else { "soft" };
        ["{\"", self.kind.as_str(), "\":", &text, ",\"mode\":\"", mode, "\"", more, "}"].concat()
    }

    /// What it hits, in each form in which the routes' keys have it.
    fn stamps(&self, table: &Table) -> Vec<Stamp> {
        let hits = match self.kind {
            Kind::Everything => vec![What::Everything],
            Kind::Route => vec![What::Route(hash([&*self.text]))],
            Kind::Tag => vec![What::Tag(tag_hash(&self.text))],
            Kind::Host => vec![What::Host(host_hash(&self.text))],
            Kind::Url | Kind::Prefix => {
                let whole = self.kind == Kind::Url;
                Target::parse(&self.text).map_or_else(|_| Vec::new(), |target| forms(&target, whole, table))
            }
        };
        let stamp = |what| Stamp { number: 0, what, mode: self.mode, at: Timestamp::default() };
        hits.into_iter().map(stamp).collect()
    }
}

/// A URL, or all that begin so, in each form in which the routes' keys have it.
fn forms(target: &Target, whole: bool, table: &Table) -> Vec<What> {
    let mut found: Vec<What> = Vec::new();
    for route in table.iter().filter(|route| route.cache.enabled) {
        let KeyRules { host, scheme, .. } = route.cache.key;
        let form = if whole {
            What::url(&line(target, &route.cache.key))
        } else {
            What::prefix(&line(target, &KeyRules { host, scheme, ..KeyRules::default() }), target.host())
        };
        if !found.contains(&form) {
            found.push(form);
        }
    }
    if found.len() > FORMS_MAX {
        found = vec![What::Host(host_hash(target.host()))];
    }
    found
}

/// What a write makes invalid: whatever is stored for these targets, and for the groups of stored responses that its
/// response names.
pub fn written(table: &Table, request: &RequestHead, targets: &[Target], response: &Fields) -> Vec<Stamp> {
    let groups = invalidated(request, response).into_iter().map(What::Group);
    let urls = targets.iter().flat_map(|target| forms(target, true, table));
    let stamp = |what| Stamp { number: 0, what, mode: Mode::Hard, at: Timestamp::default() };
    urls.chain(groups).map(stamp).collect()
}

#[cfg(test)]
mod tests;
