//! Parts of one response become a larger part, or the whole (RFC 9111, section 3.4; RFC 9110, section 15.3.7.3).

use super::range::ByteRange;
use super::stored::{StoredHead, decimal};
use super::validator;

/// What a stored part and a new one make together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combined {
    /// Its head: the new part's, and what only the stored one says.
    pub head: StoredHead,
    /// What of the stored body stands before the new part.
    pub before: Option<ByteRange>,
    /// What of the stored body stands after it.
    pub after: Option<ByteRange>,
}

impl Combined {
    /// Puts them together. `None` where they are not of one response by a strong validator, or something between them
    /// is missing.
    pub fn new(stored: &StoredHead, new: &StoredHead) -> Option<Self> {
        let (old, part) = (stored.incomplete()?, new.incomplete()?);
        let (one, other) = (validator::strong(&stored.fields)?, validator::strong(&new.fields)?);
        let same = one == other && stored.body_bytes == new.body_bytes && stored.selecting == new.selecting;
        let touch = old.first <= part.last.saturating_add(1) && part.first <= old.last.saturating_add(1);
        if !same || !touch {
            return None;
        }
        let whole = ByteRange { first: old.first.min(part.first), last: old.last.max(part.last) };
        let mut head = new.clone();
        head.generation = stored.generation.min(new.generation);
        for (name, value) in stored.fields.iter().filter(|(name, _)| !new.fields.contains(name)) {
            head.fields.append(name, value);
        }
        let complete = head.body_bytes.unwrap_or_default();
        if whole.bytes() == complete {
            head.status = 200;
            head.part = None;
            head.fields.insert("content-length", &decimal(complete));
            head.fields.remove("content-range");
        } else {
            head.become_part(whole, complete);
        }
        let before = ByteRange { first: old.first, last: part.first.saturating_sub(1) };
        let after = ByteRange { first: part.last.saturating_add(1), last: old.last };
        Some(Self {
            head,
            before: (old.first < part.first).then(|| stored.in_stored_body(before)),
            after: (part.last < old.last).then(|| stored.in_stored_body(after)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::testing::{anonymous, at, get, policy, response, secs};
    use crate::cache::{StoredHead, storable};

    const TEXT: &str = "0123456789";
    const OLD: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    const OLDER: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:36 GMT");
    const OLD_DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    const LATER: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:38 GMT");

    fn part(first: usize, last: usize, more: &[(&str, &str)]) -> StoredHead {
        let range = format!("bytes {first}-{last}/10");
        let pairs = [("content-range", range.as_str()), ("cache-control", "max-age=9")];
        let response = response(206, &[&pairs, more].concat());
        let policy = policy(r#"{"partial":true}"#);
        let lifetime = storable(&get(&[]), &response, &policy, &anonymous(), secs(0)).unwrap();
        StoredHead::new(&get(&[]), &response, &lifetime, &policy, at(secs(0)))
    }

    fn cut(text: &str, range: ByteRange) -> &str {
        text.get(range.first as usize..=range.last as usize).unwrap()
    }

    fn body(head: &StoredHead) -> &'static str {
        head.part.map_or(TEXT, |part| cut(TEXT, part))
    }

    /// The body that they make.
    fn joined(one: &StoredHead, new: &StoredHead) -> Option<(StoredHead, String)> {
        let Combined { head, before, after } = Combined::new(one, new)?;
        let of_old = |range: Option<ByteRange>| range.map_or("", |range| cut(body(one), range));
        Some((head, [of_old(before), body(new), of_old(after)].concat()))
    }

    #[test]
    fn parts_need_one_strong_validator_rfc9111_3_4() {
        for (one, other, combined) in [
            (&[("etag", "\"a\"")][..], &[("etag", "\"a\"")][..], true),
            (&[("etag", "\"a\"")], &[("etag", "\"b\"")], false),
            (&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")], false),
            (&[("etag", "\"a\"")], &[], false),
            (&[], &[], false),
            (&[OLD, LATER], &[OLD, LATER], true),
            (&[OLD, LATER], &[OLDER, LATER], false),
            (&[OLD, OLD_DATE], &[OLD, OLD_DATE], false),
            (&[OLD, LATER, ("etag", "W/\"a\"")], &[OLD, LATER, ("etag", "W/\"a\"")], false),
            (&[("etag", "\"a\""), ("vary", "foo")], &[("etag", "\"a\"")], false),
        ] {
            let whole = Combined::new(&part(0, 4, one), &part(5, 9, other));
            assert_eq!(whole.is_some(), combined, "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_is_complete_is_a_200_with_the_latest_fields_rfc9110_15_3_7_3() {
        let tag = ("etag", "\"a\"");
        let old = part(0, 6, &[tag, ("x-one", "old"), ("x-two", "old")]);
        let (whole, text) = joined(&old, &part(5, 9, &[tag, ("x-two", "new")])).unwrap();
        assert_eq!((whole.status, whole.part, whole.body_bytes, text.as_str()), (200, None, Some(10), TEXT));
        let shown = ["content-range", "content-length", "x-one", "x-two"].map(|name| whole.fields.get(name));
        assert_eq!(shown, [None, Some("10"), Some("old"), Some("new")]);
        let (larger, text) = joined(&part(2, 3, &[tag]), &part(4, 6, &[tag])).unwrap();
        assert_eq!((larger.status, larger.stored_bytes(), text.as_str()), (206, Some(5), "23456"));
        assert_eq!(larger.fields.get("content-range"), Some("bytes 2-6/10"));
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_what_was_taken_apart(ends in prop::array::uniform4(0_usize..10)) {
            let [a, b, c, d] = ends;
            let tag = [("etag", "\"a\"")];
            let (one, new) = (part(a.min(b), a.max(b), &tag), part(c.min(d), c.max(d), &tag));
            let gap = c.min(d) > a.max(b) + 1 || a.min(b) > c.max(d) + 1;
            match joined(&one, &new) {
                Some((whole, text)) => prop_assert!(!gap && body(&whole) == text),
                None => prop_assert!(gap),
            }
        }
    }
}
