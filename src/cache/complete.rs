//! What a stored part lacks for a request, and what becomes of a body that broke off (RFC 9111, sections 3.3 and 3.4).

use super::range::{ByteRange, How};
use super::stored::{StoredHead, decimal};
use super::validator;
use crate::head::{Fields, Method, RequestHead};

/// The origin is asked for what a stored part lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    /// Which candidate.
    pub which: usize,
    /// What it lacks; where it lacks something on both sides, what stands before it.
    pub gap: ByteRange,
}

impl StoredHead {
    /// The part that it is, where it is no more than that: one that only answers for itself.
    pub fn incomplete(&self) -> Option<ByteRange> {
        self.part.filter(|_| self.status == 206)
    }

    /// What this part lacks to answer the request, where one range of bytes beside it can be asked for. `None` also where
    /// nothing is missing.
    pub fn gap(&self, request: &RequestHead) -> Option<ByteRange> {
        let (part, complete) = (self.incomplete()?, self.body_bytes?);
        validator::strong(&self.fields).filter(|_| request.method == Method::Get)?;
        let wanted = match self.answers(request) {
            How::Full => ByteRange { first: 0, last: complete.checked_sub(1)? },
            How::Partial(range) => range,
            How::Multipart(ranges) => ByteRange {
                first: ranges.iter().map(|range| range.first).min()?,
                last: ranges.iter().map(|range| range.last).max()?,
            },
            How::NotModified | How::Unsatisfiable => return None,
        };
        let apart = wanted.first > part.last.saturating_add(1) || part.first > wanted.last.saturating_add(1);
        if apart {
            None
        } else if wanted.first < part.first {
            Some(ByteRange { first: wanted.first, last: part.first.saturating_sub(1) })
        } else if wanted.last > part.last {
            Some(ByteRange { first: part.last.saturating_add(1), last: wanted.last })
        } else {
            None
        }
    }

    /// Asks for these bytes of it, and for the whole of what has taken its place.
    pub fn ask_for(&self, range: ByteRange, request: &mut Fields) {
        validator::remove_conditions(request);
        let to_the_end = self.body_bytes == Some(range.last.saturating_add(1));
        let last = if to_the_end { String::new() } else { decimal(range.last) };
        request.append("range", &["bytes=", &decimal(range.first), "-", &last].concat());
        if let Some(validator) = validator::strong(&self.fields) {
            request.append("if-range", validator);
        }
    }

    /// Its body broke off after so many bytes: it is a part from now on. `false` where it can't be one, since nothing
    /// tells what the rest belongs to, or where it is as long as it said, or longer.
    pub fn broke_off(&mut self, bytes: u64) -> bool {
        let start = self.part.map_or(0, |part| part.first);
        let none = self.fields.get("accept-ranges").is_some_and(|units| units.trim() == "none");
        let (Some(complete), Some(more)) = (self.body_bytes, bytes.checked_sub(1)) else { return false };
        let can = matches!(self.status, 200 | 206) && !none && validator::strong(&self.fields).is_some();
        let part = ByteRange { first: start, last: start.saturating_add(more) };
        if !can || self.stored_bytes().is_none_or(|said| bytes >= said) {
            return false;
        }
        self.become_part(part, complete);
        true
    }

    /// Its body is this part of the complete one.
    pub(super) fn become_part(&mut self, part: ByteRange, complete: u64) {
        (self.status, self.part) = (206, Some(part));
        let (first, last) = (decimal(part.first), decimal(part.last));
        let range = ["bytes ", &first, "-", &last, "/", &decimal(complete)].concat();
        self.fields.insert("content-range", &range);
        self.fields.insert("content-length", &decimal(part.bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{anonymous, at, get, policy, request, response, secs};
    use crate::cache::{StoredHead, storable};

    fn part(first: u64, last: u64, tag: &str) -> StoredHead {
        let range = format!("bytes {first}-{last}/10");
        let pairs = [("content-range", range.as_str()), ("cache-control", "max-age=9"), ("etag", tag)];
        let (response, policy) = (response(206, &pairs), policy(r#"{"partial":true}"#));
        let lifetime = storable(&get(&[]), &response, &policy, &anonymous(), secs(0)).unwrap();
        StoredHead::new(&get(&[]), &response, &lifetime, &policy, at(secs(0)))
    }

    #[test]
    fn what_a_part_lacks_is_what_stands_beside_it_rfc9111_3_4() {
        let gap = |first, last, range: Option<&str>| {
            let asked = get(&range.map(|range| ("range", range)).into_iter().collect::<Vec<_>>());
            part(first, last, "\"a\"").gap(&asked).map(|gap| (gap.first, gap.last))
        };
        for (first, last, range, expected) in [
            (0, 4, None, Some((5, 9))),
            (5, 9, None, Some((0, 4))),
            (3, 6, None, Some((0, 2))),
            (0, 9, None, None),
            (2, 5, Some("bytes=4-7"), Some((6, 7))),
            (2, 5, Some("bytes=6-7"), Some((6, 7))),
            (2, 5, Some("bytes=0-3"), Some((0, 1))),
            (2, 5, Some("bytes=-3"), None),
            (2, 5, Some("bytes=7-8"), None),
            (2, 5, Some("bytes=3-4"), None),
            (2, 5, Some("bytes=20-"), None),
            (2, 5, Some("bytes=0-0,8-9"), Some((0, 1))),
            (0, 5, Some("bytes=0-0,8-9"), Some((6, 9))),
        ] {
            assert_eq!(gap(first, last, range), expected, "{first}-{last} {range:?}");
        }
    }

    #[test]
    fn only_a_strong_entity_tag_lets_a_part_be_completed_rfc9110_13_1_5() {
        for tag in ["W/\"a\"", "a", ""] {
            assert_eq!(part(0, 4, tag).gap(&get(&[])), None, "{tag}");
        }
        assert_eq!(part(0, 4, "\"a\"").gap(&request("HEAD", &[])), None);
        let mut fields = get(&[("if-none-match", "\"x\""), ("range", "bytes=1-")]).fields;
        part(0, 4, "\"a\"").ask_for(ByteRange { first: 5, last: 9 }, &mut fields);
        assert_eq!(fields, Fields::from_pairs([("range", "bytes=5-"), ("if-range", "\"a\"")]));
    }

    #[test]
    fn a_body_that_broke_off_is_a_part_where_its_rest_can_be_asked_for_rfc9111_3_3() {
        let whole = |pairs: &[(&str, &str)]| {
            let policy = policy("{}");
            let response = response(200, &[&[("cache-control", "max-age=9")], pairs].concat());
            let lifetime = storable(&get(&[]), &response, &policy, &anonymous(), secs(0)).unwrap();
            StoredHead::new(&get(&[]), &response, &lifetime, &policy, at(secs(0)))
        };
        let tagged = [("etag", "\"a\""), ("content-length", "10")];
        let mut head = whole(&tagged);
        assert!(head.broke_off(4));
        assert_eq!((head.incomplete(), head.body_bytes), (Some(ByteRange { first: 0, last: 3 }), Some(10)));
        assert_eq!(head.fields.get("content-range"), Some("bytes 0-3/10"));
        let mut second = part(5, 9, "\"a\"");
        assert!(second.broke_off(2));
        assert_eq!(second.incomplete(), Some(ByteRange { first: 5, last: 6 }));
        for bytes in [5, 6] {
            assert!(!part(0, 4, "\"a\"").broke_off(bytes), "{bytes}: nothing tells what the surplus is");
        }
        for (pairs, bytes) in [
            (&tagged[..], 0),
            (&tagged, 10),
            (&[("etag", "\"a\"")], 4),
            (&[("etag", "W/\"a\""), ("content-length", "10")], 4),
            (&[("etag", "\"a\""), ("content-length", "10"), ("accept-ranges", "none")], 4),
        ] {
            assert!(!whole(pairs).broke_off(bytes), "{pairs:?} {bytes}");
        }
    }
}
