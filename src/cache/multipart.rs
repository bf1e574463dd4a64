//! The frame of a multipart/byteranges body (RFC 9110, section 14.6).

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::range::ByteRange;
use super::stored::StoredHead;

/// What stands before each part, and after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    /// For the response's Content-Type.
    pub content_type: String,
    /// Text, then these bytes of the stored body, and so on.
    pub parts: Vec<(String, ByteRange)>,
    /// The end.
    pub end: String,
    /// The length of it all.
    pub bytes: u64,
}

/// Frames these parts of a stored response whose complete length is known.
pub fn frames(stored: &StoredHead, ranges: &[ByteRange]) -> Frames {
    // Nobody can look into the body for a text that is not in it, so the boundary is one that chance won't put there.
    let mut hash = Sha256::new().chain_update(stored.response_time.as_millis().to_be_bytes());
    hash.update(stored.fields.get("etag").unwrap_or_default());
    let boundary = hash.finalize().iter().take(12).fold(String::from("tidegate"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let complete = stored.body_bytes.unwrap_or_default();
    let media_type = stored.fields.get("content-type");
    let frame = |range: &ByteRange| {
        let mut text = format!("\r\n--{boundary}\r\n");
        if let Some(media_type) = media_type {
            let _ = write!(text, "content-type: {media_type}\r\n");
        }
        let _ = write!(text, "content-range: bytes {}-{}/{complete}\r\n\r\n", range.first, range.last);
        (text, *range)
    };
    let parts: Vec<_> = ranges.iter().map(frame).collect();
    let end = format!("\r\n--{boundary}--\r\n");
    let bytes = parts.iter().map(|(text, range)| text.len() as u64 + range.bytes()).sum::<u64>();
    let content_type = format!("multipart/byteranges; boundary={boundary}");
    Frames { content_type, parts, bytes: bytes + end.len() as u64, end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Policy;
    use crate::cache::testing::{get, secs, stored};

    #[test]
    fn each_part_has_its_range_and_type_rfc9110_14_6() {
        let fields =
            [("content-length", "10"), ("content-type", "text/plain"), ("cache-control", "max-age=9")];
        let head = stored(&get(&[]), &fields, &Policy::default(), secs(0));
        let ranges = [ByteRange { first: 0, last: 1 }, ByteRange { first: 8, last: 9 }];
        let framed = frames(&head, &ranges);
        let boundary = framed.content_type.rsplit_once('=').unwrap().1;
        let body: String = framed
            .parts
            .iter()
            .map(|(text, range)| {
                format!("{text}{}", "0123456789".get(range.first as usize..=range.last as usize).unwrap())
            })
            .collect::<String>()
            + &framed.end;
        assert_eq!(body.len() as u64, framed.bytes);
        let part = |range: &str, text: &str| {
            format!(
                "\r\n--{boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes {range}/10\r\n\r\n{text}"
            )
        };
        assert_eq!(body, format!("{}{}\r\n--{boundary}--\r\n", part("0-1", "01"), part("8-9", "89")));
    }
}
