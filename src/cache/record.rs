//! What a store holds under a key, as one compact text: it stands in KV's metadata, which is JSON and short.

use super::key::{PrimaryKey, StorageKey};
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
    /// A prompt that was answered: the key of the answer. Its body is the prompt's shingles.
    Prompt(PrimaryKey),
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
const VARIANTS: &str = "2V";
/// The same without the generation of each, as it was written before those were looked at.
const VARIANTS_1: &str = "1V";
const FRESHENED: &str = "1F";
const PROMPT: &str = "1P";

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
            Self::Prompt(key) => {
                out.0.push_str(PROMPT);
                out.text(&base64url::encode(key.as_str().as_bytes()));
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
            Some(VARIANTS) => parts.variants(true).map(Self::Variants),
            Some(VARIANTS_1) => parts.variants(false).map(Self::Variants),
            Some(PROMPT) => parts.0.next().and_then(base64url::decode).and_then(|key| {
                let key = String::from_utf8(key).ok()?;
                Some(Self::Prompt(PrimaryKey::from_text(key)))
            }),
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
        self.0.push(SEPARATOR);
        push_number(&mut self.0, variant.generation);
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

    fn variants(&mut self, with_generation: bool) -> Option<VariantIndex> {
        let mut index = VariantIndex::default();
        while let Some(key) = self.0.next() {
            let key = base64url::decode(key)?;
            let mut variant = Variant {
                key: StorageKey(key.try_into().ok()?),
                generation: if with_generation { self.generation()? } else { u64::MAX },
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
mod tests;
