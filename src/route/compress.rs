//! Whether a response leaves compressed.

use serde::{Deserialize, Serialize};

use super::class::essence;
use crate::head::{Fields, RequestHead, ResponseHead};
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
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
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
    /// `Cache-Control: no-transform`, in the response or the request (RFC 9111, sections 5.2.1.6 and 5.2.2.6).
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
    if !config.enabled || config.codings.is_empty() {
        Some(NotCompressed::Off)
    } else if response.is_bodiless() || response.status == 206 {
        Some(NotCompressed::Status)
    } else if fields.list("content-encoding").any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        Some(NotCompressed::Encoded)
    } else if [&request.fields, fields].iter().any(|fields| has_no_transform(fields)) {
        Some(NotCompressed::NoTransform)
    } else if !fields.get("content-type").is_some_and(is_compressible) {
        Some(NotCompressed::Type)
    } else if response.content_length().is_some_and(|length| length < config.bytes_min.bytes()) {
        Some(NotCompressed::Small)
    } else {
        None
    }
}

fn has_no_transform(fields: &Fields) -> bool {
    fields.list("cache-control").any(|directive| directive.eq_ignore_ascii_case("no-transform"))
}

/// Text, and the few binary formats without compression of their own. Not what is read line by line as it comes:
/// a compressor would hold it back.
fn is_compressible(content_type: &str) -> bool {
    let kind = essence(content_type).to_ascii_lowercase();
    match kind.split_once('/') {
        Some(("text", "event-stream")) => false,
        Some(("text", _)) => true,
        Some((_, subtype)) if subtype.ends_with("+json") || subtype.ends_with("+xml") => true,
        Some(("application", subtype)) => matches!(
            subtype,
            "json"
                | "javascript"
                | "x-javascript"
                | "ecmascript"
                | "xml"
                | "wasm"
                | "yaml"
                | "toml"
                | "graphql"
                | "sql"
                | "rtf"
                | "vnd.ms-fontobject"
        ),
        Some(("font", subtype)) => matches!(subtype, "ttf" | "otf" | "sfnt" | "collection"),
        Some(("image", subtype)) => matches!(subtype, "bmp" | "x-icon" | "vnd.microsoft.icon"),
        _ => false,
    }
}

/// The coding that the client likes best (RFC 9110, section 12.5.3), the config's order deciding between equals;
/// `None` where it takes none of them, or likes it better as it is. A client that sends no Accept-Encoding gets it
/// as it is.
fn preferred(request: &RequestHead, codings: &[Coding]) -> Option<Coding> {
    let accepted: Vec<(&str, u32)> = request.fields.list("accept-encoding").map(weighted).collect();
    let named =
        |name: &str| accepted.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, q)| *q);
    let weight = |coding: Coding| match coding {
        Coding::Gzip => named("gzip").or_else(|| named("x-gzip")),
        Coding::Brotli => named("br"),
    };
    let best = codings
        .iter()
        .map(|coding| (weight(*coding).or_else(|| named("*")).unwrap_or(0), *coding))
        .filter(|(q, _)| *q > 0)
        .reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    (best.0 >= named("identity").unwrap_or(0)).then_some(best.1)
}

/// A member of Accept-Encoding: its name, and its weight in thousandths. An unreadable weight is 0.
fn weighted(member: &str) -> (&str, u32) {
    let mut parts = member.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, weight.map_or(1000, |text| thousandths(text).unwrap_or(0)))
}

/// Reads a qvalue: `0`, `1`, `0.5`, `0.123`, `1.000` (RFC 9110, section 12.4.2).
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_good = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let fraction: u32 = if is_good { format!("{fraction:0<3}").parse().ok()? } else { return None };
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

/// Makes a head say that its body is now encoded so: Content-Encoding, no Content-Length, a weak entity tag (the
/// bytes differ: RFC 9110, section 8.8.1), no digest and no ranges of bytes that are gone, and [`vary`].
pub fn encode(response: &mut ResponseHead, coding: Coding) {
    let fields = &mut response.fields;
    fields.insert("content-encoding", coding.as_str());
    for name in ["content-length", "accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"]
    {
        fields.remove(name);
    }
    let strong = fields.get("etag").filter(|tag| tag.starts_with('"')).map(|tag| format!("W/{tag}"));
    if let Some(weak) = strong {
        fields.insert("etag", &weak);
    }
    vary(response);
}

/// Adds Accept-Encoding to Vary, where it is not there (RFC 9110, section 12.5.5).
pub fn vary(response: &mut ResponseHead) {
    if !response.fields.list("vary").any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding")) {
        response.fields.append("vary", "accept-encoding");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Method;

    fn request(accept: &str) -> RequestHead {
        let mut request = RequestHead::new(Method::Get, "https://a.example/x").unwrap();
        request.fields.append("accept-encoding", accept);
        request
    }

    fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        ResponseHead { status, fields: Fields::from_pairs(fields.iter().copied()) }
    }

    #[test]
    fn the_client_chooses_and_the_config_breaks_ties() {
        use Coding::{Brotli, Gzip};
        let config = CompressionConfig::default();
        let page = response(200, &[("content-type", "text/html; charset=utf-8")]);
        for (accept, expected) in [
            ("gzip, deflate, br", Some(Brotli)),
            ("gzip", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("BR;q=0.5, gzip;q=0.8", Some(Gzip)),
            ("br;q=0, gzip;q=0.001", Some(Gzip)),
            ("*", Some(Brotli)),
            ("br;q=0, *;q=0.1", Some(Gzip)),
            ("identity, br;q=0.5", None),
            ("identity;q=0.5, br;q=0.5", Some(Brotli)),
            ("deflate", None),
            ("", None),
            ("gzip;q=0", None),
            ("gzip;q=2", None),
            ("gzip;q=0.0001", None),
            ("*;q=0", None),
        ] {
            let expected = expected.map_or(Compression::Negotiated, Compression::Encode);
            assert_eq!(decide(&request(accept), &page, &config), expected, "{accept}");
        }
        let bare = RequestHead::new(Method::Get, "https://a.example/x").unwrap();
        assert_eq!(decide(&bare, &page, &config), Compression::Negotiated);
    }

    #[test]
    fn what_gains_nothing_or_may_not_be_changed_is_left_alone() {
        let html = ("content-type", "text/html");
        for (status, fields, expected) in [
            (204, &[html][..], NotCompressed::Status),
            (304, &[html], NotCompressed::Status),
            (206, &[html], NotCompressed::Status),
            (200, &[html, ("content-encoding", "gzip")], NotCompressed::Encoded),
            (200, &[html, ("cache-control", "public, No-Transform")], NotCompressed::NoTransform),
            (200, &[], NotCompressed::Type),
            (200, &[("content-type", "image/png")], NotCompressed::Type),
            (200, &[("content-type", "text/event-stream")], NotCompressed::Type),
            (200, &[("content-type", "font/woff2")], NotCompressed::Type),
            (200, &[html, ("content-length", "1023")], NotCompressed::Small),
        ] {
            let decided = decide(&request("gzip"), &response(status, fields), &CompressionConfig::default());
            assert_eq!(decided, Compression::Leave(expected), "{status} {fields:?}");
        }
        let off = CompressionConfig { enabled: false, ..CompressionConfig::default() };
        assert_eq!(
            decide(&request("gzip"), &response(200, &[html]), &off),
            Compression::Leave(NotCompressed::Off)
        );
        let mut bare = request("gzip");
        bare.fields.append("cache-control", "no-transform");
        assert_eq!(
            decide(&bare, &response(200, &[html]), &CompressionConfig::default()),
            Compression::Leave(NotCompressed::NoTransform)
        );
    }

    #[test]
    fn text_in_all_its_types_is_compressed_from_a_kibibyte_on() {
        for kind in [
            "text/css",
            "Application/JSON",
            "application/problem+json",
            "image/svg+xml",
            "application/wasm",
            "font/ttf",
        ] {
            let page = response(200, &[("content-type", kind), ("content-length", "1024")]);
            let decided = decide(&request("gzip"), &page, &CompressionConfig::default());
            assert_eq!(decided, Compression::Encode(Coding::Gzip), "{kind}");
        }
    }

    #[test]
    fn an_encoded_head_tells_the_truth() {
        let mut head = response(
            200,
            &[
                ("etag", "\"a\""),
                ("content-length", "5000"),
                ("accept-ranges", "bytes"),
                ("repr-digest", "sha-256=:AA==:"),
                ("vary", "Origin"),
            ],
        );
        encode(&mut head, Coding::Gzip);
        let expected = Fields::from_pairs([
            ("vary", "Origin"),
            ("content-encoding", "gzip"),
            ("etag", "W/\"a\""),
            ("vary", "accept-encoding"),
        ]);
        assert_eq!(head.fields, expected);
        encode(&mut head, Coding::Brotli);
        assert_eq!(head.fields.get("etag"), Some("W/\"a\""));
        assert_eq!(head.fields.combined("vary").as_deref(), Some("Origin, accept-encoding"));
    }
}
