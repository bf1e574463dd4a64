//! One purge, as it travels.

use super::Fate;
use crate::base64url::{push_number, read_number};
use crate::time::Timestamp;

/// What a stamp hits. Texts are known by their hashes: two with one hash are purged together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// All there is.
    Everything,
    /// All of a host.
    Host(u64),
    /// All that requests of a route could be answered with.
    Route(u64),
    /// All with a tag.
    Tag(u64),
    /// All in a cache group of an origin, or of any (RFC 9875).
    Group(u64),
    /// All of a URL: every variant, and whatever else makes its key.
    Url {
        /// The URL as it stands in keys.
        line: u64,
        /// The same without its query: for responses that answer other queries too.
        path: u64,
    },
    /// All whose URL begins with a text.
    Prefix {
        /// The text.
        hash: u64,
        /// How long it is, in bytes.
        bytes: usize,
        /// The host that it begins with.
        host: u64,
    },
}

impl What {
    /// Whether it stands for little, and there may be many of its kind.
    pub(super) const fn is_narrow(&self) -> bool {
        !matches!(self, Self::Everything | Self::Host(_) | Self::Route(_))
    }
}

/// How a purge puts an end to a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is never served again.
    Hard,
    /// It is stale from then on: stale-while-revalidate and stale-if-error still hold.
    Soft,
}

/// One purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Higher than that of every purge before it.
    pub number: u64,
    /// What it hits.
    pub what: What,
    /// How.
    pub mode: Mode,
    /// When it was, by the object's clock. Says since when a response is stale, and nothing else.
    pub at: Timestamp,
}

impl Stamp {
    /// Whether nothing is hit by `other` that this one, which is later, does not hit as hard.
    pub(super) fn outdoes(&self, other: &Self) -> bool {
        let covers = match (self.what, other.what) {
            (What::Everything, _) => true,
            (What::Host(one), What::Prefix { host, .. }) => one == host,
            (one, other) => one == other,
        };
        covers && (self.mode == Mode::Hard || other.mode == Mode::Soft)
    }

    /// What it makes of what it hits.
    pub(super) const fn fate(&self) -> Fate {
        match self.mode {
            Mode::Hard => Fate::Gone,
            Mode::Soft => Fate::Stale(self.at),
        }
    }

    /// As one word: a letter, small where it is soft, and numbers with points between them.
    pub fn write(&self, out: &mut String) {
        let (letter, numbers): (u8, [u64; 3]) = match self.what {
            What::Everything => (b'E', [0; 3]),
            What::Host(hash) => (b'H', [hash, 0, 0]),
            What::Route(hash) => (b'R', [hash, 0, 0]),
            What::Tag(hash) => (b'T', [hash, 0, 0]),
            What::Group(hash) => (b'G', [hash, 0, 0]),
            What::Url { line, path } => (b'U', [line, path, 0]),
            What::Prefix { hash, bytes, host } => (b'P', [hash, host, bytes as u64]),
        };
        let is_soft = self.mode == Mode::Soft;
        out.push(char::from(if is_soft { letter.to_ascii_lowercase() } else { letter }));
        push_number(out, self.number);
        let moment = if is_soft { self.at.as_millis() } else { 0 };
        for number in [moment].into_iter().chain(numbers) {
            out.push('.');
            // Nothing stands for zero.
            if number > 0 {
                push_number(out, number);
            }
        }
        while out.ends_with('.') {
            out.pop();
        }
    }

    /// Reads such a word.
    pub fn read(word: &str) -> Option<Self> {
        let (letter, rest) = word.split_at_checked(1)?;
        let mut words = rest.split('.');
        let number = read_number(words.next()?)?;
        let mut next = || words.next().filter(|word| !word.is_empty()).map_or(Some(0), read_number);
        let at = Timestamp::from_millis(next()?);
        let (one, other, third) = (next()?, next()?, next()?);
        let what = match letter.to_ascii_uppercase().as_str() {
            "E" => What::Everything,
            "H" => What::Host(one),
            "R" => What::Route(one),
            "T" => What::Tag(one),
            "G" => What::Group(one),
            "U" => What::Url { line: one, path: other },
            "P" => What::Prefix { hash: one, bytes: usize::try_from(third).ok()?, host: other },
            // A later version's: what it would hit is not known here, so it hits all.
            letter if !letter.bytes().all(|b| b.is_ascii_alphabetic()) => return None,
            _ => return Some(Self { number, what: What::Everything, mode: Mode::Hard, at }),
        };
        let mode = if letter.bytes().all(|b| b.is_ascii_lowercase()) { Mode::Soft } else { Mode::Hard };
        Some(Self { number, what, mode, at })
    }
}

/// How many bits of a hash are kept: among some hundred stamps they tell texts apart, and a stamp stays short.
const HASH_BITS: u32 = 48;

/// What a text in some parts is known by (FNV-1a, folded).
pub fn hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = parts.into_iter().flat_map(|part| part.bytes().chain([0]));
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let whole = bytes.fold(0xcbf2_9ce4_8422_2325, fnv);
    (whole >> HASH_BITS) ^ (whole & ((1 << HASH_BITS) - 1))
}
