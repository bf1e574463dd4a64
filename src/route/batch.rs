//! `batch`: single requests that are sent to the origin as one, and its answer split again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::head::{Method, RequestHead};
use crate::json;
#[cfg(not(target_arch = "wasm32"))]
use crate::path::{Reading, normal};
use crate::time::Span;

/// The longest `wait`.
#[cfg(not(target_arch = "wasm32"))]
const WAIT_MAX: Span = Span::from_millis(100);
/// The largest `size_max`.
#[cfg(not(target_arch = "wasm32"))]
const SIZE_MAX: u32 = 500;
/// How long an id may be.
const ID_BYTES_MAX: usize = 128;
/// Request fields that ask for something that an item of a list can't be.
const LONE: [&str; 6] =
    ["range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];

/// How a route's GETs of single things are sent as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// What is asked for instead of what.
    pub ask: Ask,
    /// The member of each item that is its id.
    pub field: Box<str>,
    /// How long the first one waits for others.
    pub wait: Span,
    /// How many are sent as one at most.
    pub size_max: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self { ask: Ask::default(), field: "id".into(), wait: Span::from_millis(5), size_max: 50 }
    }
}

/// `"/users/{id} -> /users?ids={ids}"`, or `"/users/{id} -> POST /users/batch"`, which gets a JSON list of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Ask {
    /// The path before the id.
    before: Box<str>,
    /// The path after it.
    after: Box<str>,
    /// The path of the batch endpoint; before its ids.
    path: Box<str>,
    /// What follows them; `None` where the ids are the content of a POST.
    rest: Option<Box<str>>,
}

#[cfg(not(target_arch = "wasm32"))]
impl Ask {
    /// The path before the id.
    pub fn before(&self) -> &str {
        &self.before
    }
}

impl FromStr for Ask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (one, all) = text.split_once("->")?;
            let (before, after) = one.trim().split_once("{id}")?;
            let (path, rest) = match all.trim().strip_prefix("POST ") {
                Some(path) => (path.trim(), None),
                None => all.trim().split_once("{ids}").map(|(path, rest)| (path, Some(rest.into())))?,
            };
            let is_path = |path: &str| path.starts_with('/') && !path.contains([' ', '{', '}', '#']);
            let fits =
                is_path(before) && is_path(path) && !before.contains('?') && !after.contains(['?', '{', '}']);
            fits.then(|| Self { before: before.into(), after: after.into(), path: path.into(), rest })
        };
        read().ok_or_else(|| {
            mistake!(
                "`{text}` is no batch; allowed: such as \"/users/{{id}} -> /users?ids={{ids}}\", or \"/users/{{id}} -> POST /users/batch\""
            )
        })
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{id}}{} -> ", self.before, self.after)?;
        match &self.rest {
            Some(rest) => write!(f, "{}{{ids}}{rest}", self.path),
            None => write!(f, "POST {}", self.path),
        }
    }
}

text_serde!(Ask, packed);

impl Batch {
    /// Whether an id may stand in a path that begins so.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn may_be_below(&self, front: &str) -> bool {
        let before = normal(&self.ask.before, Reading::Strict);
        before.starts_with(front.as_bytes()) || front.as_bytes().starts_with(&before)
    }

    /// The id of what a request asks for, where it may be asked for together with others.
    pub fn id<'r>(&self, request: &'r RequestHead) -> Option<&'r str> {
        let path = request.target.path_and_query();
        let id = path.strip_prefix(&*self.ask.before)?.strip_suffix(&*self.ask.after)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let fits = (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_plain);
        let is_lone = LONE.iter().any(|name| request.fields.contains(name));
        (request.method == Method::Get && fits && !is_lone).then_some(id)
    }

    /// The request that asks for all of them, without what says who asks, and its content.
    pub fn request(&self, ids: &[Box<str>]) -> (Method, String, Option<String>) {
        match &self.ask.rest {
            Some(rest) => (Method::Get, [&self.ask.path, &*ids.join(","), rest].concat(), None),
            None => {
                let mut text = String::from("[");
                for (at, id) in ids.iter().enumerate() {
                    text.push_str(if at == 0 { "\"" } else { ",\"" });
                    text.push_str(id);
                    text.push('"');
                }
                text.push(']');
                (Method::Post, self.ask.path.to_string(), Some(text))
            }
        }
    }

    /// The items of an answer by their ids: of a list by `field`, of a table by their names. `None` where it is neither.
    pub fn split(&self, text: &str) -> Option<Vec<(Box<str>, Box<str>)>> {
        let parts = json::parts(text)?.into_iter();
        let with_id = parts.filter_map(|(name, item)| {
            let id = match name {
                Some(name) => name,
                None => match json::Value::parse(item)?.get(&self.field)? {
                    json::Value::Text(id) => id.clone(),
                    json::Value::Number(id) => id.to_string(),
                    _ => return None,
                },
            };
            (item != "null").then(|| (id.into(), item.into()))
        });
        Some(with_id.collect())
    }

    /// What can't be.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.ask == Ask::default() {
            found.push(("ask", "is missing; allowed: such as \"/users/{id} -> /users?ids={ids}\"".into()));
        }
        if self.wait > WAIT_MAX {
            found.push(("wait", format!("{} is too long; allowed: up to {WAIT_MAX}", self.wait)));
        }
        if !(2..=SIZE_MAX).contains(&self.size_max) {
            found.push(("size_max", format!("{} is out of range; allowed: 2 to {SIZE_MAX}", self.size_max)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(ask: &str) -> Batch {
        Batch { ask: ask.parse().unwrap(), ..Batch::default() }
    }

    fn id(ask: &str, path: &str, fields: &[(&str, &str)]) -> Option<String> {
        let mut request = RequestHead::new(Method::Get, &["https://edge.example", path].concat()).unwrap();
        request.fields = crate::head::Fields::from_pairs(fields.iter().copied());
        batch(ask).id(&request).map(str::to_owned)
    }

    #[test]
    fn single_things_are_told_from_everything_else() {
        let users = "/users/{id} -> /users?ids={ids}";
        for (path, expected) in [
            ("/users/7", Some("7")),
            ("/users/a-b_c.d~e", Some("a-b_c.d~e")),
            ("/users/", None),
            ("/users/7/posts", None),
            ("/users/7?full=1", None),
            ("/users/a%2Cb", None),
            ("/users/a,b", None),
            ("/users/\"", None),
        ] {
            assert_eq!(id(users, path, &[]).as_deref(), expected, "{path}");
        }
        assert_eq!(id("/u/{id}/card -> POST /u", "/u/7/card", &[]).as_deref(), Some("7"));
        assert_eq!(id(users, "/users/7", &[("range", "bytes=0-1")]), None);
        assert_eq!(id(users, "/users/7", &[("if-none-match", "\"a\"")]), None);
    }

    #[test]
    fn they_are_asked_for_in_the_query_or_as_a_list() {
        let ids = ["1".into(), "b".into()];
        let (method, path, content) = batch("/u/{id} -> /u?full=1&ids={ids}&x=2").request(&ids);
        assert_eq!((method, &*path, content), (Method::Get, "/u?full=1&ids=1,b&x=2", None));
        let (method, path, content) = batch("/u/{id} -> POST /u/batch").request(&ids);
        assert_eq!((method, &*path, content.as_deref()), (Method::Post, "/u/batch", Some("[\"1\",\"b\"]")));
    }

    #[test]
    fn an_answer_is_split_into_its_items_as_they_are_written() {
        let split = |text: &str| {
            let items = batch("/u/{id} -> /u?ids={ids}").split(text)?;
            Some(items.iter().map(|(id, item)| format!("{id} {item}")).collect::<Vec<_>>())
        };
        let list = " [ {\"id\": 1, \"name\" : \"\\u00e9\"} , {\"id\":\"b\"},null,7,{\"no\":1}]";
        assert_eq!(split(list).unwrap(), ["1 {\"id\": 1, \"name\" : \"\\u00e9\"}", "b {\"id\":\"b\"}"]);
        assert_eq!(split("{\"1\":[1,2], \"b\" : null}").unwrap(), ["1 [1,2]"]);
        assert_eq!(split("[]").unwrap(), [""; 0]);
        for text in ["", "7", "[{\"id\":1}", "[{\"id\":1}] x", "<html>"] {
            assert_eq!(split(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_batch_is_refused_with_what_is_allowed() {
        for text in
            ["", "/u/{id}", "/u -> /u?ids={ids}", "/u/{id} -> /u", "u/{id} -> /u?{ids}", "/u/{id} -> POST u"]
        {
            assert!(text.parse::<Ask>().unwrap_err().contains("; allowed: "), "{text}");
        }
        for text in ["/u/{id} -> /u?ids={ids}", "/u/{id}/x -> POST /u/batch"] {
            assert_eq!(text.parse::<Ask>().unwrap().to_string(), text);
        }
    }

    #[test]
    #[cfg(not(target_arch = "wasm32"))]
    fn every_key_out_of_range_is_named() {
        let wrong = Batch { wait: Span::from_secs(1), size_max: 1, ..Batch::default() };
        assert_eq!(
            wrong.problems().iter().map(|(key, _)| *key).collect::<Vec<_>>(),
            ["ask", "wait", "size_max"]
        );
    }
}
