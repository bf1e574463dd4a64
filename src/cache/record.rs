//! What a store holds under a key, as one compact text: it stands in KV's metadata, which is JSON and short.

use super::key::StorageKey;
use super::range::ByteRange;
use super::status::push_integer;
use super::stored::StoredHead;
use super::variants::{Variant, VariantIndex};
use crate::base64url::{self, push_number};
use crate::head::Fields;
use crate::time::{Span, Timestamp};

/// What a store holds under a storage key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The response itself. Its body is the stored body.
    Response(StoredHead),
    /// The variants that are kept under storage keys of their own. It has no body.
    Variants(VariantIndex),
    /// A newer head of a response whose body is too large to be written again: the one that came at that moment. It has
    /// no body.
    Freshened(Timestamp, StoredHead),
}

/// A text that is no record, or one of a newer version: a miss, to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a stored record of this version")]
pub struct Unreadable;

/// KV takes so many bytes of metadata, written as JSON.
pub const METADATA_BYTES_MAX: usize = 1024;

/// Stands between the parts of a record: one byte that JSON does not escape and no field value may hold.
const SEPARATOR: char = '\u{7f}';

/// The version of the form, and what follows it.
const RESPONSE: &str = "2R";
/// The same without its generation, as it was written before there were purges.
const RESPONSE_1: &str = "1R";
const VARIANTS: &str = "1V";
const FRESHENED: &str = "1F";

/// Names that are written as one letter, by their place. Appending is safe, everything else needs a new version.
const SHORT_NAMES: [&str; 26] = [
    "content-type",
    "content-length",
    "content-encoding",
    "content-language",
    "cache-control",
    "etag",
    "last-modified",
    "expires",
    "date",
    "vary",
    "server",
    "via",
    "set-cookie",
    "accept-ranges",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "content-security-policy",
    "referrer-policy",
    "cdn-cache-control",
    "link",
    "content-disposition",
    "x-powered-by",
];

impl Record {
    /// The text, readable by [`Self::decode`].
    pub fn encode(&self) -> String {
        let mut out = Writer(String::with_capacity(512));
        match self {
            Self::Response(head) => {
                out.0.push_str(RESPONSE);
                out.response(head);
            }
            Self::Variants(index) => {
                out.0.push_str(VARIANTS);
                index.variants.iter().for_each(|variant| out.variant(variant));
            }
            Self::Freshened(of, head) => {
                out.0.push_str(FRESHENED);
                out.number(of.as_millis());
                out.response(head);
            }
        }
        out.0
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`Unreadable`] where the text is broken or from a newer version.
    pub fn decode(text: &str) -> Result<Self, Unreadable> {
        let mut parts = Parts(text.split(SEPARATOR));
        let record = match parts.0.next() {
            Some(RESPONSE) => {
                parts.generation().and_then(|number| parts.response(number)).map(Self::Response)
            }
            Some(RESPONSE_1) => parts.response(0).map(Self::Response),
            Some(VARIANTS) => parts.variants().map(Self::Variants),
            Some(FRESHENED) => parts.number().map(Timestamp::from_millis).and_then(|of| {
                let generation = parts.generation()?;
                Some(Self::Freshened(of, parts.response(generation)?))
            }),
            _ => None,
        };
        record.ok_or(Unreadable)
    }
}

/// How many bytes a text takes as a JSON string, quotes included.
pub fn json_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | 8 | 9 | 10 | 12 | 13 => 2,
        0..=31 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 2
}

/// How many values the three flags have; what is above them is how far behind the response is.
const FLAGS: u64 = 8;

struct Writer(String);

impl Writer {
    fn text(&mut self, text: &str) {
        self.0.push(SEPARATOR);
        if text.contains(SEPARATOR) {
            self.0.push_str(&text.replace(SEPARATOR, " "));
        } else {
            self.0.push_str(text);
        }
    }

    fn number(&mut self, number: u64) {
        self.0.push(SEPARATOR);
        push_integer(&mut self.0, i64::try_from(number).unwrap_or(i64::MAX));
    }

    fn name(&mut self, name: &str) {
        match SHORT_NAMES.iter().position(|short| *short == name) {
            Some(at) => {
                self.0.push(SEPARATOR);
                self.0.push(char::from(b'A' + at as u8));
            }
            None => self.text(name),
        }
    }

    /// A value that may be absent: `=` stands before one that is there.
    fn option(&mut self, value: Option<&str>) {
        match value {
            Some(value) => {
                self.0.push(SEPARATOR);
                self.0.push('=');
                self.0.extend(value.chars().map(|c| if c == SEPARATOR { ' ' } else { c }));
            }
            None => self.0.push(SEPARATOR),
        }
    }

    fn response(&mut self, head: &StoredHead) {
        self.0.push(SEPARATOR);
        push_number(&mut self.0, head.generation);
        let flags = [head.no_cache, head.must_revalidate, head.immutable];
        let flags = flags.iter().rev().fold(0, |bits, flag| bits * 2 + u64::from(*flag));
        let flags = head.behind.as_millis().saturating_mul(FLAGS) + flags;
        for number in [
            u64::from(head.status),
            head.response_time.as_millis(),
            head.initial_age_secs.into(),
            head.lifetime_secs.into(),
            head.stale_while_revalidate_secs.into(),
            head.stale_if_error_secs.into(),
            flags,
            // Zero where the length is not known.
            head.body_bytes.map_or(0, |bytes| bytes.saturating_add(1)),
            // Zero where the body is complete.
            head.part.map_or(0, |part| part.first.saturating_add(1)),
            head.part.map_or(0, |part| part.last),
            head.selecting.0.len() as u64,
        ] {
            self.number(number);
        }
        for (name, value) in &head.selecting.0 {
            self.name(name);
            self.option(value.as_deref());
        }
        for (name, value) in head.fields.iter() {
            self.name(name);
            self.text(value);
        }
    }

    fn variant(&mut self, variant: &Variant) {
        self.text(&base64url::encode(&variant.key.0));
        self.number(variant.response_time.as_millis());
        self.option(variant.etag.as_deref());
        self.option(variant.language.as_deref());
        self.number(variant.names.len() as u64);
        variant.names.iter().for_each(|name| self.name(name));
    }
}

struct Parts<'a>(std::str::Split<'a, char>);

impl<'a> Parts<'a> {
    fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.0.next()?.parse().ok()
    }

    fn name(&mut self) -> Option<&'a str> {
        let name = self.0.next()?;
        match name.as_bytes() {
            [] => None,
            [letter @ b'A'..=b'Z'] => SHORT_NAMES.get(usize::from(letter - b'A')).copied(),
            _ => Some(name),
        }
    }

    fn option(&mut self) -> Option<Option<Box<str>>> {
        let text = self.0.next()?;
        if text.is_empty() { Some(None) } else { text.strip_prefix('=').map(|value| Some(value.into())) }
    }

    fn generation(&mut self) -> Option<u64> {
        base64url::read_number(self.0.next()?)
    }

    fn response(&mut self, generation: u64) -> Option<StoredHead> {
        let mut head = StoredHead {
            generation,
            status: self.number()?,
            response_time: Timestamp::from_millis(self.number()?),
            initial_age_secs: self.number()?,
            lifetime_secs: self.number()?,
            stale_while_revalidate_secs: self.number()?,
            stale_if_error_secs: self.number()?,
            ..StoredHead::default()
        };
        let flags: u64 = self.number()?;
        head.behind = Span::from_millis(flags / FLAGS);
        [head.no_cache, head.must_revalidate, head.immutable] = [1, 2, 4].map(|bit| flags & bit != 0);
        head.body_bytes = self.number::<u64>()?.checked_sub(1);
        let (first, last) = (self.number::<u64>()?.checked_sub(1), self.number()?);
        head.part = first.map(|first| ByteRange { first, last });
        let selecting: usize = self.number()?;
        for _ in 0..selecting {
            head.selecting.0.push((self.name()?.into(), self.option()?));
        }
        let mut fields = Fields::new();
        while let Some(name) = self.0.clone().next().and_then(|_| self.name()) {
            fields.append(name, self.0.next()?);
        }
        head.fields = fields;
        self.0.next().is_none().then_some(head)
    }

    fn variants(&mut self) -> Option<VariantIndex> {
        let mut index = VariantIndex::default();
        while let Some(key) = self.0.next() {
            let key = base64url::decode(key)?;
            let mut variant = Variant {
                key: StorageKey(key.try_into().ok()?),
                response_time: Timestamp::from_millis(self.number()?),
                etag: self.option()?,
                language: self.option()?,
                names: Vec::new(),
            };
            let names: usize = self.number()?;
            for _ in 0..names {
                variant.names.push(self.name()?.into());
            }
            index.variants.push(variant);
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::variants::Selecting;

    fn variant(etag: &str) -> Variant {
        Variant {
            key: StorageKey([7; 32]),
            etag: Some(etag.into()),
            response_time: Timestamp::from_millis(1_789_000_000_123),
            names: vec!["accept-encoding".into(), "vary".into()],
            language: None,
        }
    }

    #[test]
    fn a_variant_index_reads_back_and_fits() {
        let all = vec![variant("\"33a64df551425fcc55e4d42a148795d9f25f89d4\""); 9];
        let record = Record::Variants(VariantIndex { variants: all });
        assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
        assert!(json_bytes(&record.encode()) > METADATA_BYTES_MAX, "long tags need the other place");
        let short = Record::Variants(VariantIndex { variants: vec![variant("\"5f3-61a\""); 9] });
        assert!(json_bytes(&short.encode()) <= METADATA_BYTES_MAX, "{}", json_bytes(&short.encode()));
    }

    #[test]
    fn what_cannot_be_read_is_a_miss_and_no_panic() {
        let head = Record::Response(StoredHead { status: 200, ..StoredHead::default() }).encode();
        assert!(Record::decode(&head).is_ok());
        for text in [
            "",
            "1",
            "3R",
            "2R",
            "1R",
            "1V\u{7f}",
            "1V\u{7f}AAAA",
            &head.replace("2R", "3R"),
            &head.replace("200", "x"),
            &format!("{head}\u{7f}etag"),
            &format!("{head}\u{7f}\u{7f}x"),
            head.trim_end_matches('0'),
        ] {
            assert_eq!(Record::decode(text), Err(Unreadable), "{text:?}");
        }
    }

    #[test]
    fn what_was_written_before_there_were_purges_is_still_read() {
        let head = StoredHead { status: 200, lifetime_secs: 60, ..StoredHead::default() };
        let text = Record::Response(head.clone()).encode().replace("2R\u{7f}A\u{7f}", "1R\u{7f}");
        assert_eq!(Record::decode(&text), Ok(Record::Response(head)));
    }

    #[test]
    fn json_sizes_are_those_that_json_has() {
        for text in ["", "a\"b\\c", "\t\n\u{8}\u{1}\u{7f}", "naïve €"] {
            assert_eq!(json_bytes(text), serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_head_reads_back(
            numbers in (200_u16..=999, 0..u64::MAX / 2, any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()),
            flags in any::<[bool; 3]>(),
            behind in prop_oneof![Just(0), 0..1_u64 << 59],
            generation in any::<u64>(),
            body_bytes in proptest::option::of(0..u64::MAX / 2),
            part in proptest::option::of((0..u64::MAX / 2, 0..u64::MAX / 2)),
            selecting in proptest::collection::vec(("[a-z:-]{1,9}|accept|vary", proptest::option::of("[ -~]{0,9}")), 0..4),
            fields in proptest::collection::vec(("[a-z0-9-]{1,9}|etag|date", "[ -~\\t]{0,9}|\\PC{0,5}"), 0..9),
        ) {
            let boxed = |(name, value): (String, Option<String>)| (name.into(), value.map(Into::into));
            let pairs = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let record = Record::Response(StoredHead {
                status: numbers.0,
                fields: Fields::from_pairs(pairs),
                response_time: Timestamp::from_millis(numbers.1),
                initial_age_secs: numbers.2,
                lifetime_secs: numbers.3,
                stale_while_revalidate_secs: numbers.4,
                stale_if_error_secs: numbers.5,
                no_cache: flags[0],
                must_revalidate: flags[1],
                immutable: flags[2],
                selecting: Selecting(selecting.into_iter().map(boxed).collect()),
                body_bytes,
                part: part.map(|(first, last)| ByteRange { first, last }),
                behind: Span::from_millis(behind),
                generation,
            });
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
            let Record::Response(head) = record else { return Ok(()) };
            let newer = Record::Freshened(Timestamp::from_millis(numbers.1 / 2), head);
            prop_assert_eq!(Record::decode(&newer.encode()), Ok(newer));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[12][RVF](\u{7f}([0-9]{1,3}|=a|A|x|)){0,14}|\\PC{0,30}") {
            let _ = Record::decode(&text);
        }
    }
}
