//! The deny and the allow list, as whoever holds the admin token reads and changes them.

use crate::head::{Method, RequestHead};
use crate::json::{Value, push_name, push_text};
use crate::limit::lists::{Entry, LISTED_FORM, List, Listed, Lists};
use crate::time::{Span, Timestamp};

use super::limits::read_query;

/// The longest note, in bytes.
const NOTE_BYTES_MAX: usize = 256;
/// What is said of two names for one.
const BOTH: &str = "`address` and `key` are both given; allowed: one of the two";

/// What is done with the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Both are shown.
    Show,
    /// Somebody is put on one.
    Add(List),
    /// Somebody is taken off one.
    Remove(List),
}

/// The act for a request to `lists` and this rest of a path (empty, or from its slash on).
///
/// # Errors
/// The methods that are allowed there; empty where there is nothing.
pub fn act(request: &RequestHead, rest: &str) -> Result<Act, &'static str> {
    match (rest.strip_prefix('/').map(List::read), &request.method) {
        (None, Method::Get | Method::Head) => Ok(Act::Show),
        (None, _) => Err("GET, HEAD"),
        (Some(Some(list)), Method::Post) => Ok(Act::Add(list)),
        (Some(Some(list)), Method::Delete) => Ok(Act::Remove(list)),
        (Some(Some(_)), _) => Err("POST, DELETE"),
        (Some(None), _) => Err(""),
    }
}

/// Who is to be put on a list, and a note for the audit trail.
///
/// # Errors
/// What is wrong with the content, and what is allowed.
pub fn entry(list: List, content: &str, now: Timestamp) -> Result<(Entry, String), String> {
    let form = "{\"address\": \"192.0.2.0/24\"} or {\"key\": ID}, with \"until\" and \"note\"";
    let wrong = |what: &str| [what, "; allowed: ", form].concat();
    let Some(Value::Table(members)) = Value::parse(content) else {
        return Err(wrong("the content is no JSON object"));
    };
    let (mut who, mut until, mut note) = (None, None, String::new());
    for (name, value) in members.iter() {
        match (name.as_str(), value) {
            ("address" | "key", Value::Text(_)) if who.is_some() => return Err(BOTH.into()),
            ("address" | "key", Value::Text(text)) => who = Some(listed(name, text)?),
            ("until", value) => until = moment(value, now)?,
            ("note", Value::Text(text)) if text.len() <= NOTE_BYTES_MAX => note.clone_from(text),
            ("note", _) => return Err("note: is no text that fits; allowed: up to 256 bytes".into()),
            _ => return Err(wrong(&["`", name, "` can't be read"].concat())),
        }
    }
    let who = who.ok_or_else(|| wrong("nobody is named"))?;
    Ok((Entry { list, who, until }, note))
}

/// Who is to be taken off a list, by the query of a request.
///
/// # Errors
/// What is wrong with it, and what is allowed.
pub fn who(target: &str) -> Result<Listed, String> {
    let [address, key] = read_query(target, ["address", "key"])?;
    match (address, key) {
        (Some(_), Some(_)) => Err(BOTH.into()),
        (Some(address), None) => listed("address", &address),
        (None, Some(key)) => listed("key", &key),
        (None, None) => Err("nobody is named in the query; allowed: `address`, `key`".into()),
    }
}

fn listed(name: &str, text: &str) -> Result<Listed, String> {
    let text = if name == "key" { ["key:", text].concat() } else { text.to_owned() };
    let read: Listed = text.parse()?;
    match (&read, name) {
        (Listed::Key(_), "address") => Err(["`", &text, "` is no address; allowed: ", LISTED_FORM].concat()),
        _ => Ok(read),
    }
}

fn moment(value: &Value, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let until = match value {
        Value::Null => return Ok(None),
        Value::Text(span) => span.parse::<Span>().ok().map(|span| now + span),
        value => value.as_u64().map(Timestamp::from_secs),
    };
    let until = until.map(|until| Timestamp::from_secs(until.as_secs())).filter(|until| *until > now);
    until.map(Some).ok_or_else(|| {
        "until: is no moment to come; allowed: whole seconds since 1970, or a duration from now such as \"1d\"".into()
    })
}

/// Both lists, as JSON: what the config says, and what was added since.
pub fn shown((denied, allowed): (&[Listed], &[Listed]), lists: &Lists, now: Timestamp) -> String {
    let mut out = String::from("{");
    for (list, always) in [(List::Deny, denied), (List::Allow, allowed)] {
        push_name(&mut out, list.as_str());
        out.push('[');
        let mut is_first = true;
        for who in always {
            one(&mut out, who, None, &mut is_first);
            out.pop();
            out.push_str(",\"from\":\"config\"}");
        }
        for entry in lists.iter(now).filter(|entry| entry.list == list) {
            one(&mut out, &entry.who, entry.until, &mut is_first);
        }
        out.push(']');
    }
    out.push('}');
    out
}

fn one(out: &mut String, who: &Listed, until: Option<Timestamp>, is_first: &mut bool) {
    if !std::mem::take(is_first) {
        out.push(',');
    }
    out.push('{');
    members(out, who, until);
    out.push('}');
}

/// Appends who is meant and until when, as members.
pub fn members(out: &mut String, who: &Listed, until: Option<Timestamp>) {
    let text = who.to_string();
    let (name, text) = text.strip_prefix("key:").map_or(("address", &*text), |key| ("key", key));
    push_name(out, name);
    push_text(out, text);
    if let Some(until) = until {
        push_name(out, "until");
        out.push_str(&until.as_secs().to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);

    #[test]
    fn an_entry_is_read_and_what_is_wrong_says_what_is_allowed() {
        for (content, word, note) in [
            (r#"{"address":"192.0.2.0/24"}"#, "d192.0.2.0/24", ""),
            (r#"{"address":"2001:db8::1","until":"1d","note":"scans"}"#, "d2001:db8::1@1789086400", "scans"),
            (r#"{"key":"3F2A9C1B","until":1789000001}"#, "dkey:3f2a9c1b@1789000001", ""),
            (r#"{"key":"3f2a9c1b","until":null}"#, "dkey:3f2a9c1b", ""),
        ] {
            let (entry, said) = entry(List::Deny, content, NOW).unwrap();
            assert_eq!((entry.word().as_str(), said.as_str()), (word, note), "{content}");
        }
        for content in [
            "",
            "[]",
            "{}",
            r#"{"address":"key:3f2a9c1b"}"#,
            r#"{"address":"example.com"}"#,
            r#"{"key":"3f2a"}"#,
            r#"{"address":"192.0.2.1","until":1789000000}"#,
            r#"{"address":"192.0.2.1","until":"soon"}"#,
            r#"{"address":"192.0.2.1","note":7}"#,
            r#"{"address":"192.0.2.1","tier":"pro"}"#,
        ] {
            assert!(entry(List::Deny, content, NOW).unwrap_err().contains("allowed: "), "{content}");
        }
    }

    #[test]
    fn one_is_named_and_no_other() {
        let both = "`address` and `key` are both given; allowed: one of the two";
        let content = r#"{"address":"192.0.2.0/24","key":"3f2a9c1b"}"#;
        assert_eq!(entry(List::Deny, content, NOW).unwrap_err(), both);
        assert_eq!(who("/x?address=192.0.2.1&key=3f2a9c1b").unwrap_err(), both);
        assert!(who("/x?key=3f2a9c1b&note=x").unwrap_err().starts_with("`note` can't be read"));
    }

    #[test]
    fn who_is_taken_off_is_in_the_query() {
        for (target, who_is) in [
            ("/x?address=192.0.2.0/24", "192.0.2.0/24"),
            ("/x?address=2001%3Adb8%3A%3A1", "2001:db8::1"),
            ("/x?key=3f2a9c1b", "key:3f2a9c1b"),
        ] {
            assert_eq!(who(target).unwrap().to_string(), who_is);
        }
        for target in ["/x", "/x?address=x", "/x?key=1"] {
            assert!(who(target).unwrap_err().contains("allowed: "), "{target}");
        }
    }

    #[test]
    fn both_lists_are_shown_with_where_an_entry_comes_from() {
        let denied: [Listed; 1] = ["192.0.2.0/24".parse().unwrap()];
        let lists = Lists::read("dkey:3f2a9c1b@1789000060 a2001:db8::1 d198.51.100.1@1").unwrap();
        assert_eq!(
            shown((&denied, &[]), &lists, NOW),
            r#"{"deny":[{"address":"192.0.2.0/24","from":"config"},{"key":"3f2a9c1b","until":1789000060}],"allow":[{"address":"2001:db8::1"}]}"#
        );
    }
}
