//! Proxy-Status (RFC 9209), as tidegate writes it.

use std::fmt;

/// One member of Proxy-Status: what tidegate did where it made or replaced a response.
///
/// `tidegate; error=http_response_timeout; next-hop=origin-b; details="2 tries, budget spent"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyStatus<'a> {
    /// Which tidegate speaks.
    pub id: &'a str,
    /// The error type, a token of RFC 9209, section 2.3.
    pub error: Option<&'a str>,
    /// The status of the origin's response that was replaced.
    pub received_status: Option<u16>,
    /// The endpoint that was asked.
    pub next_hop: Option<&'a str>,
    /// In words.
    pub details: Option<String>,
}

impl<'a> ProxyStatus<'a> {
    /// An error, and no more.
    pub fn error(id: &'a str, error: &'a str, details: Option<String>) -> Self {
        Self { id, error: Some(error), received_status: None, next_hop: None, details }
    }
}

impl fmt::Display for ProxyStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_item(f, self.id)?;
        if let Some(error) = self.error {
            write!(f, "; error={error}")?;
        }
        if let Some(status) = self.received_status {
            write!(f, "; received-status={status}")?;
        }
        if let Some(next_hop) = self.next_hop {
            f.write_str("; next-hop=")?;
            write_item(f, next_hop)?;
        }
        match &self.details {
            Some(details) => {
                f.write_str("; details=")?;
                write_string(f, details)
            }
            None => Ok(()),
        }
    }
}

/// As a Token where it can be one, else as a String (RFC 9651, sections 4.1.6 and 4.1.7).
fn write_item(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let token = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b":/!#$%&'*+-.^_`|~".contains(&b));
    if token { f.write_str(text) } else { write_string(f, text) }
}

fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            ' '..='~' => write!(f, "{c}")?,
            _ => f.write_str("?")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_a_member_of_a_structured_list() {
        let status = ProxyStatus {
            id: "tidegate",
            error: Some("connection_timeout"),
            received_status: None,
            next_hop: Some("origin-b"),
            details: Some("2 tries, budget spent".into()),
        };
        let text = "tidegate; error=connection_timeout; next-hop=origin-b; details=\"2 tries, budget spent\"";
        assert_eq!(status.to_string(), text);
        let status = ProxyStatus { error: None, received_status: Some(503), details: None, ..status };
        assert_eq!(status.to_string(), "tidegate; received-status=503; next-hop=origin-b");
    }

    #[test]
    fn every_name_reads_back_as_a_structured_field() {
        for name in ["origin-a", "127.0.0.1:8080", "[::1]:80", "a\\b\"c", "naïve", "a b"] {
            let status = ProxyStatus {
                next_hop: Some(name),
                ..ProxyStatus::error("my gate", "http_request_denied", Some("quota \"x\"".into()))
            };
            let text = status.to_string();
            let list = sfv::Parser::new(&text).parse::<sfv::List>();
            assert!(list.is_ok_and(|list| list.len() == 1), "{text}");
        }
    }
}
