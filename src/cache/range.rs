//! Which part of a stored response a client gets (RFC 9110, section 14).

use super::validator;
use crate::head::{Fields, Method, RequestHead};
use crate::time::Timestamp;

/// More ranges than this in one request are an attack or a mistake: the client gets the whole response (RFC 9110,
/// section 14.2).
const RANGES_MAX: usize = 16;

/// First and last byte, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes that is.
    pub const fn bytes(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Whether it holds all of the other.
    pub const fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// The part that a 206 carries, and the complete length (RFC 9110, section 14.4). `None` where it carries several, or
    /// does not say.
    pub(super) fn carried(fields: &Fields) -> Option<(Self, u64)> {
        let (part, complete) = Self::told(fields)?;
        Some((part, complete?))
    }

    /// The same, where the complete length need not be told.
    pub(super) fn told(fields: &Fields) -> Option<(Self, Option<u64>)> {
        let (range, complete) =
            fields.get("content-range")?.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| text.parse::<u64>().ok();
        let part = Self { first: number(first)?, last: number(last)? };
        let complete = if complete == "*" { None } else { Some(number(complete)?) };
        let fits = part.first <= part.last && complete.is_none_or(|complete| part.last < complete);
        fits.then_some((part, complete))
    }
}

/// How a stored response answers a request, its preconditions and its Range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// As it is.
    Full,
    /// 304: the client has it.
    NotModified,
    /// 206 with one part. [`super::StoredHead::in_stored_body`] says where in the stored body that lies.
    Partial(ByteRange),
    /// 206 with several parts (multipart/byteranges); [`super::multipart::frames`] says what stands between them.
    Multipart(Vec<ByteRange>),
    /// 416: the range lies outside.
    Unsatisfiable,
}

impl How {
    /// How a response answers this request's preconditions and range. Only a success has them evaluated, and only
    /// one of known length is cut (RFC 9110, sections 13.2.1 and 14.2).
    pub(super) fn new(
        request: &RequestHead,
        status: u16,
        fields: &Fields,
        body_bytes: Option<u64>,
        response_time: Timestamp,
    ) -> Self {
        if !matches!(status, 200 | 206) {
            return Self::Full;
        }
        if validator::not_modified(&request.fields, fields, response_time) {
            return Self::NotModified;
        }
        let range = request.fields.get("range").filter(|_| request.method == Method::Get);
        match (range, body_bytes) {
            (Some(range), Some(bytes)) if validator::range_counts(&request.fields, fields) => {
                cut(range, bytes)
            }
            _ => Self::Full,
        }
    }
}

/// What is left of so many bytes. An unknown unit, a broken set, or parts that overlap mean the whole.
fn cut(range: &str, bytes: u64) -> How {
    let set = match range.split_once('=') {
        Some((unit, set)) if unit.trim().eq_ignore_ascii_case("bytes") => set,
        _ => return How::Full,
    };
    let mut parts: Vec<ByteRange> = Vec::new();
    let specs = set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty());
    for (at, spec) in specs.enumerate() {
        let Some(part) = one(spec, bytes) else { return How::Full };
        if at >= RANGES_MAX {
            return How::Full;
        }
        parts.extend(part);
    }
    let overlaps = |(at, part): (usize, &ByteRange)| {
        parts.iter().take(at).any(|other| part.first <= other.last && other.first <= part.last)
    };
    match parts.as_slice() {
        [] if set.trim().is_empty() => How::Full,
        [] => How::Unsatisfiable,
        [part] => How::Partial(*part),
        several if several.iter().enumerate().any(overlaps) => How::Full,
        _ => How::Multipart(parts),
    }
}

/// One range-spec (RFC 9110, section 14.1.1): `None` where it is broken, `Some(None)` where it lies outside.
fn one(spec: &str, bytes: u64) -> Option<Option<ByteRange>> {
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (first, last) = match (first, last) {
        ("", suffix) => match number(suffix)? {
            0 => return Some(None),
            length => (bytes.saturating_sub(length), u64::MAX),
        },
        (first, "") => (number(first)?, u64::MAX),
        (first, last) => (number(first)?, number(last)?),
    };
    if first > last {
        return None;
    }
    Some((first < bytes).then(|| ByteRange { first, last: last.min(bytes - 1) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(first: u64, last: u64) -> How {
        How::Partial(ByteRange { first, last })
    }

    #[test]
    fn ranges_are_cut_as_rfc9110_14_1_2_says() {
        for (range, how) in [
            ("bytes=0-9", part(0, 9)),
            ("Bytes=0-9", part(0, 9)),
            ("bytes=5-5", part(5, 5)),
            ("bytes=90-", part(90, 99)),
            ("bytes=90-1000", part(90, 99)),
            ("bytes=0-99999999999999999999999", part(0, 99)),
            ("bytes=-10", part(90, 99)),
            ("bytes=-1000", part(0, 99)),
            ("bytes=100-", How::Unsatisfiable),
            ("bytes=100-200", How::Unsatisfiable),
            ("bytes=-0", How::Unsatisfiable),
            ("bytes=99999999999999999999999-", How::Unsatisfiable),
            ("bytes=0-0, 200-300", part(0, 0)),
            ("bytes=9-5", How::Full),
            ("bytes=200-150", How::Full),
            ("bytes=a-b", How::Full),
            ("bytes=5", How::Full),
            ("bytes=-", How::Full),
            ("bytes=", How::Full),
            ("bytes=0-9, x", How::Full),
            ("bytes=+1-2", How::Full),
            ("lines=0-9", How::Full),
            ("bytes 0-9", How::Full),
            ("bytes=0-9, 5-20", How::Full),
            ("bytes=5-20,0-9", How::Full),
        ] {
            assert_eq!(cut(range, 100), how, "{range}");
        }
        let two = vec![ByteRange { first: 0, last: 0 }, ByteRange { first: 99, last: 99 }];
        assert_eq!(cut("bytes=0-0 ,, -1", 100), How::Multipart(two));
        assert_eq!(cut("bytes=0-", 0), How::Unsatisfiable);
        let many: Vec<String> = (0..=RANGES_MAX).map(|at| format!("{}-{}", at * 2, at * 2)).collect();
        assert_eq!(cut(&format!("bytes={}", many.join(",")), 100), How::Full);
    }

    #[test]
    fn a_206_says_what_it_carries_rfc9110_14_4() {
        let carried = |text| ByteRange::carried(&Fields::from_pairs([("content-range", text)]));
        assert_eq!(carried("bytes 4-9/10"), Some((ByteRange { first: 4, last: 9 }, 10)));
        for text in
            ["bytes 4-9/*", "bytes */10", "bytes 9-4/10", "bytes 4-10/10", "lines 4-9/10", "4-9/10", ""]
        {
            assert_eq!(carried(text), None, "{text}");
        }
    }

    #[test]
    fn preconditions_come_before_the_range_rfc9110_13_2_2() {
        let how = |method: &str, status, bytes, pairs: &[(&str, &str)]| {
            let mut request = RequestHead::new(method.into(), "http://a/").unwrap();
            request.fields = Fields::from_pairs(pairs.iter().copied());
            let fields = Fields::from_pairs([("etag", "\"a\"")]);
            How::new(&request, status, &fields, bytes, Timestamp::default())
        };
        let range = ("range", "bytes=0-4");
        assert_eq!(how("GET", 200, Some(10), &[range]), part(0, 4));
        assert_eq!(how("GET", 200, Some(10), &[range, ("if-range", "\"a\"")]), part(0, 4));
        assert_eq!(how("GET", 200, Some(10), &[range, ("if-range", "\"b\"")]), How::Full);
        assert_eq!(how("GET", 200, Some(10), &[range, ("if-none-match", "\"a\"")]), How::NotModified);
        assert_eq!(how("HEAD", 200, Some(10), &[("if-none-match", "\"a\"")]), How::NotModified);
        assert_eq!(how("HEAD", 200, Some(10), &[range]), How::Full);
        assert_eq!(how("GET", 200, None, &[range]), How::Full);
        assert_eq!(how("GET", 404, Some(10), &[range, ("if-none-match", "\"a\"")]), How::Full);
    }
}
