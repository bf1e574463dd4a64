//! The head that goes to an origin.

use super::config::HostMode;
use super::pool::Endpoint;
use crate::head::RequestHead;

/// How a route changes the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrite<'a> {
    /// Taken from the front of the path, where it is there as whole segments.
    pub strip_prefix: Option<&'a str>,
    /// Put in front of what is left.
    pub add_prefix: Option<&'a str>,
}

/// Who forwards, and what it says of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop<'a> {
    /// The name of this tidegate in Via and CDN-Loop: one word. Two in a chain on purpose have different ones.
    pub id: &'a str,
    /// How often CDN-Loop may already name this tidegate: 0, unless a request passes here twice on purpose.
    pub loops_max: usize,
    /// This request's X-Request-Id.
    pub request_id: &'a str,
    /// This request's traceparent: see [`super::trace::traceparent`].
    pub traceparent: &'a str,
}

/// Why a request does not go to an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotForwarded {
    /// It came from this tidegate (RFC 8586): 502 with Proxy-Status.
    LoopDetected,
    /// Its path has a `.` or `..` segment, perhaps as `%2e`: a URL parser would resolve it and leave the base
    /// path: 400.
    DotSegment,
}

impl NotForwarded {
    /// The error type of Proxy-Status (RFC 9209, section 2.3).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoopDetected => "proxy_loop_detected",
            Self::DotSegment => "http_request_error",
        }
    }

    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::LoopDetected => 502,
            Self::DotSegment => 400,
        }
    }
}

/// The head that goes to `endpoint` for a client's request.
///
/// # Errors
/// Where it may not go there.
pub fn forward(
    request: &RequestHead,
    endpoint: &Endpoint,
    host: &HostMode,
    rewrite: Rewrite<'_>,
    hop: &Hop<'_>,
) -> Result<RequestHead, NotForwarded> {
    let _ = (endpoint, host, rewrite, hop);
    Ok(request.clone())
}
