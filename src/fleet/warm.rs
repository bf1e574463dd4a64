//! What a person asks to be warmed, as JSON, and the command that becomes of it.

use crate::head::Target;
use crate::json::Value;
use crate::path::may_be_below;

/// How many URLs one request may name.
const URLS_MAX: usize = 1000;
/// How long one may be, in bytes.
const URL_BYTES_MAX: usize = 8192;
/// How many fields they may be asked for with.
const FIELDS_MAX: usize = 8;
/// What a command to the object begins with; nothing else in it asks how far it is.
pub const WARM: &str = "warm\n";

/// What is to be warmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// These URLs, asked for with these fields: names and values with tabs between them.
    Urls(Vec<String>, String),
    /// What is asked for most.
    Hot,
}

impl Wish {
    /// Reads a request's content. What is below `prefix` is tidegate's own.
    ///
    /// # Errors
    /// What is wrong, where, and what is allowed.
    pub fn read(text: &str, prefix: &str) -> Result<Self, String> {
        let Some(whole @ Value::Table(members)) = &Value::parse(text) else {
            return Err(
                "the content is no JSON object; allowed: {\"urls\": [\"https://...\"]}, {\"hot\": true}"
                    .into(),
            );
        };
        if let Some(name) = members.names().find(|name| !["urls", "fields", "hot"].contains(&name.as_str())) {
            return Err(["`", name, "` is not a key here; allowed: \"urls\", \"fields\", \"hot\""].concat());
        }
        match (whole.get("urls"), whole.get("hot"), whole.get("fields")) {
            (None, Some(Value::Bool(true)), None) => Ok(Self::Hot),
            (Some(urls), None, fields) => {
                let urls = read_urls(urls.as_list().unwrap_or_default(), prefix)?;
                Ok(Self::Urls(urls, fields.map_or(Ok(String::new()), read_fields)?))
            }
            _ => Err("it names nothing; allowed: \"urls\", perhaps with \"fields\", or \"hot\": true".into()),
        }
    }
}

fn read_urls(list: &[Value], prefix: &str) -> Result<Vec<String>, String> {
    if !(1..=URLS_MAX).contains(&list.len()) {
        return Err("urls: is no list that fits; allowed: 1 to 1000 URLs".into());
    }
    let url = |(at, value): (usize, &Value)| {
        let fits = |url: &&str| url.len() <= URL_BYTES_MAX && !url.contains(['#', '\n', '\t', ' ']);
        let url = value.as_str().filter(fits);
        let wrong = match url.and_then(|url| Target::parse(url).ok()) {
            Some(target) if !may_be_below(target.path(), prefix) => {
                return Ok(url.unwrap_or_default().to_owned());
            }
            Some(_) => "]: is one of tidegate's own, which are never stored; allowed: what an origin answers",
            None => "]: is no absolute URL without a fragment; allowed: \"https://host/path\"",
        };
        Err(["urls[", &at.to_string(), wrong].concat())
    };
    list.iter().enumerate().map(url).collect()
}

fn read_fields(fields: &Value) -> Result<String, String> {
    let wrong = || {
        "fields: is no object that fits; allowed: up to 8 fields, {\"accept-language\": \"de\"}".to_owned()
    };
    let Value::Table(members) = fields else { return Err(wrong()) };
    let mut text = String::new();
    for (at, (name, value)) in members.iter().enumerate() {
        let value = value.as_str().filter(|value| !value.contains(char::is_control)).ok_or_else(wrong)?;
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if at == FIELDS_MAX || !is_name {
            return Err(wrong());
        }
        if at > 0 {
            text.push('\t');
        }
        text.push_str(&[&name.to_ascii_lowercase(), "\t", value].concat());
    }
    Ok(text)
}

/// As a command to the object: at most so many of these in a second, by an isolate that knows this document.
pub fn command(urls: &[String], fields: &str, per_second: u32, document: &str) -> String {
    [WARM, &per_second.to_string(), "\t", fields, "\n", &urls.join("\n"), "\n\n", document].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read() {
        let urls = |urls: &[&str], fields: &str| {
            Wish::Urls(urls.iter().map(|url| (*url).to_owned()).collect(), fields.into())
        };
        for (text, wish) in [
            (r#"{"urls":["https://a/x"]}"#, urls(&["https://a/x"], "")),
            (
                r#"{"urls":["https://a/x","http://b/?y"],"fields":{"Accept-Language":"de, en","x":""}}"#,
                urls(&["https://a/x", "http://b/?y"], "accept-language\tde, en\tx\t"),
            ),
            (r#"{"hot":true}"#, Wish::Hot),
        ] {
            assert_eq!(Wish::read(text, "/_tidegate"), Ok(wish), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        for (text, wrong) in [
            ("", "the content is no JSON object"),
            ("{}", "it names nothing"),
            (r#"{"hot":false}"#, "it names nothing"),
            (r#"{"hot":true,"urls":["https://a/"]}"#, "it names nothing"),
            (r#"{"url":["https://a/"]}"#, "`url` is not a key here"),
            (r#"{"urls":[]}"#, "urls: is no list that fits"),
            (r#"{"urls":["https://a/","/x"]}"#, "urls[1]: is no absolute URL"),
            (r#"{"urls":["https://a/#b"]}"#, "urls[0]: is no absolute URL"),
            (r#"{"urls":["https://a/"],"fields":{"a b":"c"}}"#, "fields: is no object that fits"),
            (r#"{"urls":["https://a/"],"fields":{"a":"b\nc"}}"#, "fields: is no object that fits"),
            (r#"{"urls":["https://a/"],"fields":[]}"#, "fields: is no object that fits"),
        ] {
            let told = Wish::read(text, "/_tidegate").unwrap_err();
            assert!(told.starts_with(wrong) && told.contains("; allowed: "), "{text}: {told}");
        }
        let many: Vec<String> = (0..=URLS_MAX).map(|at| format!("\"https://a/{at}\"")).collect();
        assert!(Wish::read(&format!("{{\"urls\":[{}]}}", many.join(",")), "/_tidegate").is_err());
    }
}
