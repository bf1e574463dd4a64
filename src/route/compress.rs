//! Whether a response leaves compressed.

use serde::{Deserialize, Serialize};

use super::asset::essence;
use crate::head::{Method, RequestHead, ResponseHead, split_list};
use crate::size::Size;

/// A content coding that tidegate can write (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coding {
    /// `br` (RFC 7932)
    #[serde(rename = "br")]
    Brotli,
    /// `gzip` (RFC 1952)
    #[serde(rename = "gzip")]
    Gzip,
}

impl Coding {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// `[compression]`
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct CompressionConfig {
    /// Whether text is compressed that the origin did not compress; default true.
    pub enabled: bool,
    /// The codings that may be used, the favourite first: it is taken among those the client likes equally well.
    /// Default `["br", "gzip"]`.
    pub codings: Vec<Coding>,
    /// What is known to be shorter is left alone; default 1KiB.
    pub bytes_min: Size,
}

impl Default for CompressionConfig {
    fn default() -> Self {
        Self { enabled: true, codings: vec![Coding::Brotli, Coding::Gzip], bytes_min: Size::from_kib(1) }
    }
}

/// What happens to a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// It is compressed: [`encode`] its head, and its body likewise.
    Encode(Coding),
    /// It is not, but another client's would be: [`vary`].
    Negotiated,
    /// It is left alone.
    Leave(NotCompressed),
}

/// Why a response is never compressed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCompressed {
    /// Switched off.
    Off,
    /// It has no content, or only a part of it.
    Status,
    /// The origin has encoded it.
    Encoded,
    /// `Cache-Control: no-transform` (RFC 9111, section 5.2.2.6).
    NoTransform,
    /// Its type does not get smaller, or must not wait (events).
    Type,
    /// It is too short.
    Small,
}

impl NotCompressed {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Status => "status",
            Self::Encoded => "encoded",
            Self::NoTransform => "no-transform",
            Self::Type => "type",
            Self::Small => "small",
        }
    }
}

/// Whether a response is to be compressed for this client.
pub fn decide(request: &RequestHead, response: &ResponseHead, config: &CompressionConfig) -> Compression {
    if let Some(reason) = obstacle(request, response, config) {
        return Compression::Leave(reason);
    }
    preferred(request, &config.codings).map_or(Compression::Negotiated, Compression::Encode)
}

fn obstacle(
    request: &RequestHead,
    response: &ResponseHead,
    config: &CompressionConfig,
) -> Option<NotCompressed> {
    let fields = &response.fields;
    let is_type = |kind: &str| is_compressible(essence(kind).as_bytes());
    if !config.enabled || config.codings.is_empty() {
        Some(NotCompressed::Off)
    } else if response.is_bodiless()
        || response.status == 206
        || request.method == Method::Other("CONNECT".into())
    {
        Some(NotCompressed::Status)
    } else if fields.list("content-encoding").any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        Some(NotCompressed::Encoded)
    } else if fields.list("cache-control").any(|directive| directive.eq_ignore_ascii_case("no-transform")) {
        Some(NotCompressed::NoTransform)
    } else if !fields.get("content-type").is_some_and(is_type) {
        Some(NotCompressed::Type)
    } else {
        response
            .content_length()
            .filter(|length| *length < config.bytes_min.bytes())
            .map(|_| NotCompressed::Small)
    }
}

fn is_compressible(kind: &[u8]) -> bool {
    let _ = kind;
    false
}

fn preferred(request: &RequestHead, codings: &[Coding]) -> Option<Coding> {
    let _ = (request, codings, split_list(""));
    None
}

/// Makes a head say that its body is now encoded so: Content-Encoding, no Content-Length, a weak entity tag (the
/// bytes differ: RFC 9110, section 8.8.1), no digests and no ranges of what is gone, and [`vary`].
pub fn encode(response: &mut ResponseHead, coding: Coding) {
    response.fields.insert("content-encoding", coding.as_str());
    vary(response);
}

/// Adds Accept-Encoding to Vary, where it is not there (RFC 9110, section 12.5.5).
pub fn vary(response: &mut ResponseHead) {
    if !response.fields.list("vary").any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding")) {
        response.fields.append("vary", "accept-encoding");
    }
}
