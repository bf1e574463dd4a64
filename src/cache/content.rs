//! The content of a request as part of its key: QUERY (RFC 10008), and POST where a route says that it only reads.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::head::RequestHead;
use crate::json::{self, Value};
use crate::list::sort_texts;

/// How deep arrays and objects may be nested in each other; what is deeper is compared as it came.
const DEPTH_MAX: usize = 64;

/// Request fields that say what the content means (RFC 10008, section 2.7).
const METADATA: [&str; 2] = ["content-type", "content-language"];

/// SHA-256 over the method, what the content means, and the content. JSON counts without its white space and whatever
/// the order of its members.
pub fn digest(request: &RequestHead, content: &str) -> [u8; 32] {
    let mut hash = Sha256::new().chain_update(request.method.as_str().as_bytes());
    for name in METADATA {
        // No value holds a line break.
        let value = request.fields.combined(name).unwrap_or_default();
        hash = hash.chain_update(b"\n").chain_update(value.as_bytes());
    }
    let canonical = if is_json(request) { canonical(content) } else { None };
    let content = canonical.as_deref().unwrap_or(content);
    hash.chain_update(b"\n").chain_update(content.as_bytes()).finalize().into()
}

fn is_json(request: &RequestHead) -> bool {
    let media = request.fields.get("content-type").and_then(|value| value.split(';').next());
    let media = media.unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || media.ends_with("+json")
}

/// The content with its texts taken out, and these: of JSON what these members hold, of what is nested in objects there
/// their members `content` and `text`; of any other text all. `None` where it is neither.
pub(super) fn split(
    request: &RequestHead,
    content: &str,
    members: &[Box<str>],
) -> Option<(String, Vec<String>)> {
    if is_json(request) {
        return take_out(&canonical(content)?, members);
    }
    let media = request.fields.get("content-type").unwrap_or_default();
    let is_text = media.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"));
    is_text.then(|| (String::new(), vec![content.to_owned()]))
}

/// An array or object that is open, and the name of its member that is being read; that of an array is the one it has.
struct Open<'a> {
    object: bool,
    name: &'a str,
}

fn take_out(canonical: &str, members: &[Box<str>]) -> Option<(String, Vec<String>)> {
    let (mut rest, mut texts) = (String::with_capacity(canonical.len()), Vec::new());
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut reader = Reader { text: canonical };
    while let Some(c) = reader.text.chars().next() {
        if c == '"' {
            let Some(string) = reader.string() else { break };
            let is_name = reader.text.starts_with(':');
            if is_name && let Some(innermost) = open.last_mut() {
                innermost.name = string.get(1..string.len() - 1).unwrap_or_default();
            }
            if is_name || !is_text(&open, members) {
                rest.push_str(string);
            } else {
                rest.push_str("\"\"");
                let text = Value::parse(string)?;
                texts.push(text.as_str()?.to_owned());
            }
            continue;
        }
        match c {
            '{' => open.push(Open { object: true, name: "" }),
            '[' => {
                open.push(Open { object: false, name: open.last().map_or("", |innermost| innermost.name) })
            }
            '}' | ']' => drop(open.pop()),
            _ => {}
        }
        rest.push(c);
        reader.text = reader.text.get(c.len_utf8()..).unwrap_or_default();
    }
    Some((rest, texts))
}

fn is_text(open: &[Open<'_>], members: &[Box<str>]) -> bool {
    let [outermost, nested @ ..] = open else { return false };
    let name = open.last().map_or("", |innermost| innermost.name);
    outermost.object
        && members.iter().any(|member| **member == *outermost.name)
        && (!nested.iter().any(|one| one.object) || matches!(name, "content" | "text"))
}

/// JSON (RFC 8259) without white space, the members of objects sorted, texts without escapes that they do not need, numbers
/// as they were written: two ways to write one number may mean two things to an origin. `None` where it is not JSON.
fn canonical(json: &str) -> Option<String> {
    let mut rest = Reader { text: json };
    let mut out = String::with_capacity(json.len());
    rest.value(&mut out, DEPTH_MAX)?;
    rest.skip_white_space();
    rest.text.is_empty().then_some(out)
}

/// What is left of the text.
struct Reader<'a> {
    text: &'a str,
}

impl<'a> Reader<'a> {
    fn skip_white_space(&mut self) {
        self.text = self.text.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip_white_space();
        let rest = self.text.strip_prefix(c);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    fn value(&mut self, out: &mut String, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        if self.eat('{') {
            self.object(out, depth)
        } else if self.eat('[') {
            self.array(out, depth)
        } else if self.text.starts_with('"') {
            out.push_str(&plain(self.string()?)?);
            Some(())
        } else {
            let end = self.text.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(self.text.len());
            let (word, rest) = self.text.split_at(end);
            self.text = rest;
            out.push_str(word);
            is_word(word).then_some(())
        }
    }

    /// With its quotes, as it is written.
    fn string(&mut self) -> Option<&'a str> {
        let inner = self.text.strip_prefix('"')?;
        let mut escaped = false;
        let end = inner.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let (string, rest) = self.text.split_at(end + 2);
        self.text = rest;
        Some(string)
    }

    fn array(&mut self, out: &mut String, depth: usize) -> Option<()> {
        out.push('[');
        if !self.eat(']') {
            loop {
                self.value(out, depth)?;
                if self.eat(']') {
                    break;
                }
                self.eat(',').then(|| out.push(','))?;
            }
        }
        out.push(']');
        Some(())
    }

    fn object(&mut self, out: &mut String, depth: usize) -> Option<()> {
        let mut members: Vec<(Cow<'_, str>, String)> = Vec::new();
        if !self.eat('}') {
            loop {
                self.skip_white_space();
                let name = plain(self.string()?)?;
                let mut value = String::new();
                self.eat(':').then_some(())?;
                self.value(&mut value, depth)?;
                members.push((name, value));
                if self.eat('}') {
                    break;
                }
                self.eat(',').then_some(())?;
            }
        }
        let mut order: Vec<(&str, usize)> = members.iter().map(|(name, _)| &**name).zip(0..).collect();
        // Equal ones by their place: it may mean something.
        sort_texts(&mut order);
        out.push('{');
        for (nth, (name, at)) in order.iter().enumerate() {
            out.push_str(if nth == 0 { "" } else { "," });
            out.push_str(name);
            out.push(':');
            out.push_str(members.get(*at).map_or("", |(_, value)| value));
        }
        out.push('}');
        Some(())
    }
}

/// A string with its quotes, in the one way to write it. `None` where it is none, such as with half of a surrogate pair.
fn plain(string: &str) -> Option<Cow<'_, str>> {
    if string.bytes().all(|byte| byte >= b' ' && byte != b'\\') {
        return Some(Cow::Borrowed(string));
    }
    let text = Value::parse(string)?;
    Some(Cow::Owned(json::write(text.as_str()?)))
}

/// Whether it could be a number or a name.
fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::cache::testing::request;

    fn digest_of(method: &str, media: &str, content: &str) -> [u8; 32] {
        digest(&request(method, &[("content-type", media)]), content)
    }

    #[test]
    fn json_counts_without_white_space_and_order() {
        for (one, other, same) in [
            (r#"{"a":1,"b":[1, 2]}"#, "{ \"b\" : [1,2],\r\n\t\"a\":1 }", true),
            (r#"{"a":1}"#, r#"{"a":2}"#, false),
            ("[1,2]", "[2,1]", false),
            (r#"{"a":"x y"}"#, r#"{"a":"xy"}"#, false),
            (r#"{"a":{"c":1,"b":"\"}"}}"#, r#"{"a":{"b":"\"}","c":1}}"#, true),
            ("12345678901234567890123", "12345678901234567890124", false),
            ("1.0", "1", false),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#, false),
            (r#"{"\u0061":1,"a":2}"#, r#"{"a":2,"\u0061":1}"#, false),
            (r#"{"\u0061":"\u0041\/\ud83d\ude00\u000a"}"#, "{\"a\":\"A/\u{1f600}\\n\"}", true),
            (r#"["\u0022"]"#, r#"["\""]"#, true),
            (r#"["\ud800"]"#, r#"["\ud801"]"#, false),
            (r#"["\ud800"]"#, r#"[ "\ud800"]"#, false),
            (r#"["\x"]"#, r#"["x"]"#, false),
            ("[1 2]", "[12]", false),
            ("{} {}", "{}{}", false),
            ("[1,]", "[1, ]", false),
        ] {
            let digest = |text| digest_of("QUERY", "application/json; charset=utf-8", text);
            assert_eq!(digest(one) == digest(other), same, "{one} {other}");
        }
        let deep = |space: &str| format!("{}{space}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(digest_of("POST", "a/b+json", &deep("")) != digest_of("POST", "a/b+json", &deep(" ")));
    }

    #[test]
    fn method_and_meaning_count_rfc10008_2_7() {
        let all = [
            digest_of("QUERY", "application/json", "{ }"),
            digest_of("POST", "application/json", "{ }"),
            digest_of("QUERY", "text/plain", "{ }"),
            digest_of("QUERY", "text/plain", "{}"),
            digest_of("QUERY", "", "{}"),
            digest(&request("QUERY", &[("content-language", "de")]), "{}"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().take(at).all(|other| other != one), "{at}");
        }
        assert_eq!(all[0], digest_of("QUERY", "application/json", "{}"));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            "[a\"\\\\ {}:,]{0,4}".prop_map(Value::from),
            Just(Value::Null)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]{1,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_means_the_same_has_one_form(value in json()) {
            let plain = canonical(&value.to_string()).unwrap();
            prop_assert_eq!(canonical(&serde_json::to_string_pretty(&value).unwrap()), Some(plain.clone()));
            prop_assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), value);
        }

        #[test]
        fn what_has_one_form_means_the_same(one in "[\\[\\]{}\",:a1 \\\\]{0,10}", other in "[\\[\\]{}\",:a1 \\\\]{0,10}") {
            if let (Some(a), Some(b)) = (canonical(&one), canonical(&other)) {
                let read = |text: &str| serde_json::from_str::<Value>(text).ok();
                prop_assert!(a != b || read(&one) == read(&other));
            }
        }
    }
}
