//! What tidegate says itself: problem documents, and the fields that every answer of its own carries.

use serde::Serialize;

use crate::head::{Fields, Message, Method, ResponseHead};
use crate::json;

/// When to come again whom nothing better is known to tell, in seconds.
pub const RETRY_AFTER_SECS: &str = "1";

/// A problem document (RFC 9457), in the forms that tidegate sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// The status it is sent with.
    pub status: u16,
    /// What happened here.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Which request it was: `/requests/<id>`.
    pub instance: String,
    /// The quota policies that refused, for [`Problem::quota_exceeded`] and [`Problem::abnormal_usage`].
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    pub violated: Vec<String>,
}

const BLANK: &str = "about:blank";

impl Problem {
    fn new(
        kind: &'static str,
        title: &'static str,
        status: u16,
        detail: impl Into<String>,
        id: &str,
    ) -> Self {
        let instance = ["/requests/", id].concat();
        Self { kind, title, status, detail: detail.into(), instance, violated: Vec::new() }
    }

    /// 429: a client has used up what it may.
    pub fn quota_exceeded(detail: impl Into<String>, violated: Vec<String>, id: &str) -> Self {
        let kind = "https://iana.org/assignments/http-problem-types#quota-exceeded";
        let title = "Request cannot be satisfied as assigned quota has been exceeded";
        Self { violated, ..Self::new(kind, title, 429, detail, id) }
    }

    /// 429: a client is refused for what it did before.
    pub fn abnormal_usage(detail: impl Into<String>, violated: Vec<String>, id: &str) -> Self {
        let kind = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";
        let title = "Request not satisfied due to detection of abnormal request pattern";
        Self { violated, ..Self::new(kind, title, 429, detail, id) }
    }

    /// 503: tidegate or what is behind it can't take the request now.
    pub fn reduced_capacity(detail: impl Into<String>, id: &str) -> Self {
        let kind = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
        let title = "Request cannot be satisfied due to temporary server capacity constraints";
        Self::new(kind, title, 503, detail, id)
    }

    /// Any other error of tidegate's own, by its status.
    pub fn plain(status: u16, detail: impl Into<String>, id: &str) -> Self {
        Self::new(BLANK, reason(status), status, detail, id)
    }

    /// The head and the text of the document. A 503 says when to come again: in a second, unless who knows better says so.
    pub fn into_message(self) -> Message<ResponseHead, String> {
        let mut head = ResponseHead::new(self.status);
        head.fields.append("content-type", "application/problem+json");
        head.fields.append("cache-control", "no-store");
        if self.status == 503 {
            head.fields.append("retry-after", RETRY_AFTER_SECS);
        }
        let text = json::write(&self);
        Message::new(head, text)
    }
}

/// The reason phrase of the statuses that tidegate makes itself (RFC 9110, section 15).
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        504 => "Gateway Timeout",
        _ => "Service Unavailable",
    }
}

/// What answers an OPTIONS or TRACE that may go no further (RFC 9110, section 7.6.2). Nothing of a request is sent back.
pub fn no_further(method: &Method, id: &str) -> Message<ResponseHead, String> {
    if *method == Method::Trace {
        let mut message = Problem::plain(405, "TRACE is not answered here", id).into_message();
        message.head.fields.append("allow", "OPTIONS");
        return message;
    }
    let mut head = ResponseHead::new(204);
    head.fields.append("cache-control", "no-store");
    Message::new(head, String::new())
}

/// A text of tidegate's own that no cache may keep.
pub fn text(status: u16, content_type: &str, text: impl Into<String>) -> Message<ResponseHead, String> {
    let mut head = ResponseHead::new(status);
    head.fields.append("content-type", content_type);
    head.fields.append("cache-control", "no-store");
    Message::new(head, text.into())
}

/// Fields of the live page: it loads nothing from elsewhere and nobody frames it.
pub fn guard_page(fields: &mut Fields) {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    fields.insert("content-security-policy", policy);
    fields.insert("x-content-type-options", "nosniff");
    fields.insert("referrer-policy", "no-referrer");
    fields.insert("cache-control", "no-cache");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_kind_its_request_and_the_policies_that_refused() {
        let problem = Problem::quota_exceeded("20 requests per 60 s", vec!["tier".into()], "abc");
        let Message { head, body } = problem.into_message();
        assert_eq!((head.status, head.fields.get("content-type")), (429, Some("application/problem+json")));
        let read: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(read["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
        assert_eq!(
            (&read["instance"], &read["violated-policies"][0]),
            (&"/requests/abc".into(), &"tier".into())
        );
    }

    #[test]
    fn a_plain_problem_leaves_out_what_it_has_not() {
        let text = Problem::plain(502, "", "1").into_message().body;
        assert_eq!(
            text,
            r#"{"type":"about:blank","title":"Bad Gateway","status":502,"instance":"/requests/1"}"#
        );
    }
}
