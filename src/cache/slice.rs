//! Large responses in aligned slices. The first lies where the whole would lie, with the head of the whole: it alone is
//! fresh or stale, validated and invalidated. The others lie under keys that name its entity tag, so that those of
//! another version are never found.

use super::key::{PrimaryKey, StorageKey};
use super::range::{ByteRange, How};
use super::stored::{StoredHead, decimal};
use super::{multipart, validator};
use crate::head::{Fields, ResponseHead};
use crate::size::Size;

/// A slice is at least so long: each may cost a request to the origin.
pub const SLICE_BYTES_MIN: Size = Size::from_kib(64);
/// A slice is at most so long.
pub const SLICE_BYTES_MAX: Size = Size::from_mib(16);
/// A response in more slices than this is fetched as it is.
const SLICES_MAX: u64 = 4096;

/// Asks for the first slice, in the place of what the client wanted of the whole.
pub fn ask_first(request: &mut Fields, slice_bytes: u64) {
    request.remove("if-range");
    request.insert("range", &["bytes=0-", &decimal(slice_bytes.saturating_sub(1))].concat());
}

/// Whether an answer to [`ask_first`] is what was asked for, and can be the first of several; then the complete length.
/// The head becomes that of a 200 whose content is this slice.
pub fn first(answer: &mut ResponseHead, slice_bytes: u64) -> Option<u64> {
    let (part, complete) = ByteRange::carried(&answer.fields).filter(|_| answer.status == 206)?;
    let asked = part.first == 0 && part.bytes() == complete.min(slice_bytes);
    let one = part.bytes() == complete;
    let several = validator::strong_tag(&answer.fields).is_some() && complete / slice_bytes < SLICES_MAX;
    if !asked || !(one || several) {
        return None;
    }
    answer.status = 200;
    answer.fields.remove("content-range");
    answer.fields.insert("content-length", &decimal(part.bytes()));
    Some(complete)
}

/// What an origin's answer to being asked for a slice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// These bytes.
    Range,
    /// All of the same response.
    Whole(ByteRange),
    /// Another response.
    Changed,
    /// Word to come again.
    Later,
    /// Nothing that these bytes could be had from.
    Useless,
}

/// What a client gets, one after the other: a text, then these bytes of the complete response.
pub type Piece = (String, Option<ByteRange>);

impl StoredHead {
    /// Whether its body is only the first slice of what its head tells of.
    pub fn is_sliced(&self) -> bool {
        self.status == 200 && self.part.is_some()
    }

    /// Its body is the first slice of so many bytes, where it is not all of them.
    pub fn slice_of(&mut self, complete: u64) {
        let Some(last) = self.body_bytes.filter(|bytes| *bytes < complete).and_then(|n| n.checked_sub(1))
        else {
            return;
        };
        self.part = Some(ByteRange { first: 0, last });
        self.body_bytes = Some(complete);
        self.fields.insert("content-length", &decimal(complete));
    }

    /// The slice with this number; `None` where there is none.
    pub fn slice(&self, number: u64) -> Option<ByteRange> {
        let (size, complete) = (self.part?.bytes(), self.body_bytes?);
        let first = size.checked_mul(number).filter(|first| *first < complete)?;
        Some(ByteRange { first, last: first.saturating_add(size).min(complete).saturating_sub(1) })
    }

    /// The slice that has this byte.
    pub fn slice_with(&self, byte: u64) -> u64 {
        byte / self.part.map_or(1, ByteRange::bytes)
    }

    /// Where a slice is kept.
    pub fn slice_key(&self, primary: &PrimaryKey, number: u64) -> StorageKey {
        if number == 0 {
            return self.storage_key(primary);
        }
        let hex = self.storage_key(primary).hex();
        let size = decimal(self.part.map_or(0, ByteRange::bytes));
        let tag = self.fields.get("etag").unwrap_or_default();
        primary.variant_key(&["slice ", &hex, " ", &decimal(number), " ", &size, " ", tag].concat())
    }

    /// What is stored with a slice that is not the first.
    pub fn slice_head(&self, slice: ByteRange) -> Self {
        let tag = self.fields.get("etag").unwrap_or_default();
        let fields = Fields::from_pairs([("etag", tag)]);
        Self {
            status: 206,
            fields,
            part: Some(slice),
            selecting: super::variants::Selecting::default(),
            ..self.clone()
        }
    }

    fn is_same(&self, fields: &Fields) -> bool {
        match (validator::strong_tag(&self.fields), validator::etag(fields)) {
            (Some(one), Some(other)) => validator::same_strongly(one, other),
            _ => false,
        }
    }

    /// Whether what is stored is this slice of this response.
    pub fn has_slice(&self, slice: ByteRange, stored: &Self) -> bool {
        self.is_same(&stored.fields) && stored.part == Some(slice) && stored.body_bytes == self.body_bytes
    }

    /// What the origin's answer is to being asked for these bytes ([`StoredHead::ask_for`]).
    pub fn answered(&self, range: ByteRange, answer: &ResponseHead) -> Answered {
        let complete = self.body_bytes.unwrap_or_default();
        let is_other = |said: Option<u64>| said.is_some_and(|said| said != complete);
        match answer.status {
            200 | 206 if !answer.fields.contains("etag") => Answered::Useless,
            200 | 206 if !self.is_same(&answer.fields) => Answered::Changed,
            200 if is_other(answer.content_length()) => Answered::Changed,
            200 => Answered::Whole(ByteRange { first: 0, last: complete.saturating_sub(1) }),
            206 => match ByteRange::told(&answer.fields) {
                Some((_, said)) if is_other(said) => Answered::Changed,
                Some((part, _)) if part == range => Answered::Range,
                _ => Answered::Useless,
            },
            408 | 425 | 429 | 502..=504 => Answered::Later,
            _ => Answered::Useless,
        }
    }

    /// What a client gets.
    pub fn pieces(&self, how: &How) -> Vec<Piece> {
        let complete = self.body_bytes.unwrap_or_default();
        match how {
            How::Full => {
                vec![(String::new(), Some(ByteRange { first: 0, last: complete.saturating_sub(1) }))]
            }
            How::Partial(range) => vec![(String::new(), Some(*range))],
            How::Multipart(ranges) => {
                let frames = multipart::frames(self, ranges);
                let parts = frames.parts.into_iter().map(|(text, range)| (text, Some(range)));
                parts.chain([(frames.end, None)]).collect()
            }
            How::NotModified | How::Unsatisfiable => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{anonymous, get, policy, response, secs, stored};

    fn answer(status: u16, range: &str, tag: &str) -> ResponseHead {
        response(status, &[("content-range", range), ("etag", tag), ("cache-control", "max-age=9")])
    }

    fn sliced(complete: u64) -> StoredHead {
        let fields = [("content-length", "4"), ("etag", "\"a\""), ("cache-control", "max-age=9")];
        let mut head = stored(&get(&[]), &fields, &policy("{}"), secs(0));
        head.slice_of(complete);
        head
    }

    #[test]
    fn an_answer_is_the_first_slice_only_where_it_is_what_was_asked_for() {
        for (status, range, tag, complete) in [
            (206, "bytes 0-3/10", "\"a\"", Some(10)),
            (206, "bytes 0-2/3", "", Some(3)),
            (206, "bytes 0-3/4", "W/\"a\"", Some(4)),
            (206, "bytes 0-3/10", "W/\"a\"", None),
            (206, "bytes 0-3/10", "", None),
            (206, "bytes 0-2/10", "\"a\"", None),
            (206, "bytes 1-4/10", "\"a\"", None),
            (206, "bytes 0-9/10", "\"a\"", None),
            (206, "bytes 0-3/*", "\"a\"", None),
            (206, "bytes 0-3/99999999", "\"a\"", None),
            (200, "bytes 0-3/10", "\"a\"", None),
            (416, "bytes */0", "\"a\"", None),
        ] {
            let mut head = answer(status, range, tag);
            assert_eq!(first(&mut head, 4), complete, "{status} {range} {tag}");
            if complete.is_some() {
                assert_eq!((head.status, head.fields.get("content-range")), (200, None));
            }
        }
    }

    #[test]
    fn slices_are_aligned_and_the_last_ends_with_the_response() {
        let head = sliced(10);
        let slices: Vec<_> = (0..4).map(|n| head.slice(n).map(|slice| (slice.first, slice.last))).collect();
        assert_eq!(slices, [Some((0, 3)), Some((4, 7)), Some((8, 9)), None]);
        assert_eq!([0, 3, 4, 9].map(|byte| head.slice_with(byte)), [0, 0, 1, 2]);
        assert!(head.is_sliced() && !sliced(4).is_sliced());
        assert_eq!((head.fields.get("content-length"), head.stored_bytes()), (Some("10"), Some(4)));
        assert_eq!(
            head.answers(&get(&[("range", "bytes=6-")])),
            How::Partial(ByteRange { first: 6, last: 9 })
        );
    }

    #[test]
    fn slices_of_other_versions_have_other_keys() {
        let target = crate::head::Target::parse("https://a/x").unwrap();
        let primary = PrimaryKey::new(&target, &Fields::new(), &policy("{}").key, &anonymous());
        let (one, mut other) = (sliced(10), sliced(10));
        other.fields.insert("etag", "\"b\"");
        assert_eq!(one.slice_key(&primary, 0), other.slice_key(&primary, 0));
        assert_ne!(one.slice_key(&primary, 1), other.slice_key(&primary, 1));
        assert_ne!(one.slice_key(&primary, 1), one.slice_key(&primary, 2));
        let slice = one.slice(1).unwrap();
        let kept = one.slice_head(slice);
        assert!(one.has_slice(slice, &kept) && !other.has_slice(slice, &kept));
        assert!(!one.has_slice(one.slice(2).unwrap(), &kept));
        assert!(!one.has_slice(slice, &StoredHead { body_bytes: Some(11), ..kept }));
    }

    #[test]
    fn an_answer_is_what_it_says_that_it_is() {
        let asked = ByteRange { first: 4, last: 7 };
        for (status, range, tag, expected) in [
            (206, "bytes 4-7/10", "\"a\"", Answered::Range),
            (206, "bytes 4-7/*", "\"a\"", Answered::Range),
            (206, "bytes 4-7/11", "\"a\"", Answered::Changed),
            (206, "bytes 4-7/10", "\"b\"", Answered::Changed),
            (206, "bytes 4-7/10", "W/\"a\"", Answered::Changed),
            (206, "bytes 4-6/10", "\"a\"", Answered::Useless),
            (206, "", "\"a\"", Answered::Useless),
            (200, "", "\"a\"", Answered::Whole(ByteRange { first: 0, last: 9 })),
            (200, "", "\"b\"", Answered::Changed),
            (416, "bytes */10", "", Answered::Useless),
            (404, "", "\"a\"", Answered::Useless),
            (500, "", "", Answered::Useless),
            (503, "", "", Answered::Later),
            (429, "", "", Answered::Later),
        ] {
            assert_eq!(
                sliced(10).answered(asked, &answer(status, range, tag)),
                expected,
                "{status} {range} {tag}"
            );
        }
        let untagged = response(206, &[("content-range", "bytes 4-7/10")]);
        assert_eq!(sliced(10).answered(asked, &untagged), Answered::Useless);
        let longer = response(200, &[("content-length", "11"), ("etag", "\"a\"")]);
        assert_eq!(sliced(10).answered(asked, &longer), Answered::Changed);
    }
}
