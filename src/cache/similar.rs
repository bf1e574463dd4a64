//! Similar prompts: a POST whose text is nearly one that was already answered, and whose other parameters are the same to
//! the letter.
//!
//! A text is the set of its pieces of five characters (shingles), and is compared with the one in its place, such as that of
//! the same message of a chat. MinHash makes a short signature of such a set, in
//! which two sets agree as often as they are similar; its parts (bands) are keys under which similar texts are found
//! without a search. What is found that way is compared for real: the Jaccard similarity of the two sets decides.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::content;
use super::key::{PrimaryKey, StorageKey};
use crate::head::RequestHead;
use crate::list::sort;
use crate::time::Timestamp;

/// How similar two texts have to be: their Jaccard similarity, from 0.5 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Threshold(f64);

impl TryFrom<f64> for Threshold {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if (0.5..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err("no such similarity; allowed: from 0.5 to 1, such as 0.85".into())
        }
    }
}

impl From<Threshold> for f64 {
    fn from(threshold: Threshold) -> Self {
        threshold.0
    }
}

/// What becomes of an answer to a similar text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The client gets it.
    #[default]
    Answer,
    /// It is counted, and whether it is what the origin then says.
    Shadow,
}

/// How a route treats similar texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Similar {
    /// How similar two texts have to be; default 0.85.
    pub threshold: Threshold,
    /// What becomes of the answer; default `"answer"`.
    pub mode: Mode,
    /// Members of the JSON that hold the text; default prompt, input, query, messages. Of what is nested in objects there,
    /// the members `content` and `text` count.
    pub text: Vec<Box<str>>,
}

impl Default for Similar {
    fn default() -> Self {
        let text = ["prompt", "input", "query", "messages"].map(Into::into).into();
        Self { threshold: Threshold(0.85), mode: Mode::Answer, text }
    }
}

/// Bands of a signature: so many, each of so many hashes. A text as similar as 0.85 is missed by one in 300.
const BANDS: usize = 6;
const ROWS: usize = 3;

/// How long a shingle is.
const SHINGLE_CHARS: usize = 5;

/// A text of more different shingles is not compared.
const SHINGLES_MAX: usize = 8192;

/// One request's text, and what has to be equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Hash of everything but the text: the key, what the content means, the other parameters, and the words with digits or
    /// signs.
    scope: [u8; 32],
    signature: [u32; BANDS * ROWS],
    /// Sorted hashes, those of each text for itself.
    shingles: Vec<u32>,
}

impl Prompt {
    /// Of a request with this content, whose key without it is `base`. `None` where there is no text in it.
    pub fn new(base: &PrimaryKey, request: &RequestHead, content: &str, rules: &Similar) -> Option<Self> {
        let (mut rest, texts) = content::split(request, content, &rules.text)?;
        let mut shingles: Vec<u32> =
            texts.iter().zip(0..).flat_map(|(text, place)| shingles(text, place, &mut rest)).collect();
        sort(&mut shingles);
        shingles.dedup();
        if shingles.is_empty() || shingles.len() > SHINGLES_MAX {
            return None;
        }
        let hash = Sha256::new().chain_update(base.as_str().as_bytes()).chain_update(b"\nsimilar\n");
        let scope = hash.chain_update(content::digest(request, &rest)).finalize().into();
        let mut signature = [u32::MAX; BANDS * ROWS];
        for (nth, least) in signature.iter_mut().enumerate() {
            let seed = mixed(nth as u32 + 1);
            *least = shingles.iter().map(|one| mixed(one ^ seed)).min().unwrap_or(u32::MAX);
        }
        Some(Self { scope, signature, shingles })
    }

    /// The keys under which similar texts are found.
    pub fn bands(&self) -> impl Iterator<Item = StorageKey> {
        self.signature.chunks(ROWS).enumerate().map(|(nth, rows)| {
            let mut hash = Sha256::new().chain_update(self.scope).chain_update([nth as u8]);
            for row in rows {
                hash = hash.chain_update(row.to_le_bytes());
            }
            StorageKey(hash.finalize().into())
        })
    }

    /// The shingles, for [`Self::similarity_to`].
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.shingles.iter().flat_map(|one| one.to_le_bytes()).collect();
        crate::base64url::encode(&bytes)
    }

    /// The similarity to what [`Self::text`] made of another one; none where that can't be read.
    pub fn similarity_to(&self, text: &str) -> f64 {
        let bytes = crate::base64url::decode(text).unwrap_or_default();
        let read = |piece: &[u8]| piece.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let other: Vec<u32> = bytes.chunks(4).map(read).collect();
        similarity(&self.shingles, &other)
    }
}

/// What part of all that is in either of two sorted sets is in both (Jaccard), for the pair of texts that have least in common.
fn similarity(mut one: &[u32], mut other: &[u32]) -> f64 {
    let mut least: Option<f64> = None;
    while let Some(first) = [one.first(), other.first()].into_iter().flatten().min() {
        let place = first >> HASH_BITS;
        let of_place = |all: &[u32]| all.partition_point(|shingle| shingle >> HASH_BITS <= place);
        let (mine, my_others) = one.split_at(of_place(one));
        let (theirs, their_others) = other.split_at(of_place(other));
        let both = mine.iter().filter(|shingle| theirs.binary_search(shingle).is_ok()).count();
        let similarity = both as f64 / (mine.len() + theirs.len() - both) as f64;
        least = Some(least.map_or(similarity, |least| least.min(similarity)));
        (one, other) = (my_others, their_others);
    }
    least.unwrap_or_default()
}

/// The pieces of the text at this place, as hashes: letters in lower case, and one space between words whatever stood there.
/// What has to be equal to the letter is appended to `rest`: another number or sign is another question.
fn shingles(text: &str, place: u32, rest: &mut String) -> Vec<u32> {
    rest.push('\n');
    let mut plain = String::with_capacity(text.len() + 2);
    for token in text.split_whitespace().map(str::to_lowercase) {
        if let Some(exact) = exact(&token) {
            rest.push('\n');
            rest.push_str(exact);
        }
        for word in token.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            plain.push(' ');
            plain.push_str(word);
        }
    }
    if plain.is_empty() {
        return Vec::new();
    }
    plain.push(' ');
    let starts = plain.char_indices().map(|(at, _)| plain.get(at..).unwrap_or_default());
    let pieces = starts.map(|rest| {
        rest.char_indices().nth(SHINGLE_CHARS).map_or(rest, |(end, _)| rest.get(..end).unwrap_or(rest))
    });
    // The ends of the last one are no pieces of their own.
    let many = plain.chars().count().saturating_sub(SHINGLE_CHARS - 1).max(1);
    let place = place.min(PLACE_MAX) << HASH_BITS;
    pieces.take(many).map(|piece| place | hashed(piece) >> (u32::BITS - HASH_BITS)).collect()
}

/// How many bits of a shingle are its hash; the others are the place of its text. What comes later is compared together.
const HASH_BITS: u32 = 24;
const PLACE_MAX: u32 = 255;

/// What stands around words, and changes nothing.
const OPENING: &str = "\"'([{\u{ab}\u{2018}\u{201c}\u{201e}\u{bf}\u{a1}\u{ff08}\u{300c}\u{300e}";
const CLOSING: &str = ".,;:?\"')]}\u{bb}\u{2019}\u{201d}\u{2026}\u{2013}\u{2014}\u{3002}\u{ff0c}\u{3001}\u{ff1f}\u{ff01}\u{ff1a}\u{ff1b}\u{ff09}\u{300d}\u{300f}";

/// What of a word counts to the letter: all of one with a digit or a sign.
fn exact(token: &str) -> Option<&str> {
    let token = token.trim_start_matches(|c| OPENING.contains(c)).trim_end_matches(|c| CLOSING.contains(c));
    if token.contains(char::is_numeric) {
        return Some(token);
    }
    let token = token.trim_end_matches('!');
    let is_mark = |c: char| c.is_alphabetic() || OPENING.contains(c) || CLOSING.contains(c);
    let mut words = token.split(['-', '/']);
    let is_compound = |word: &str| {
        word.chars().count() > 1
            && word.starts_with(char::is_alphabetic)
            && word.ends_with(char::is_alphabetic)
    };
    let is_plain = token.chars().all(is_mark)
        || token.chars().all(|c| is_mark(c) || c == '-' || c == '/') && words.all(is_compound);
    (!is_plain).then_some(token)
}

/// FNV-1a.
fn hashed(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The last step of MurmurHash3: one of many ways to order numbers as if by chance.
const fn mixed(mut number: u32) -> u32 {
    number = (number ^ number >> 16).wrapping_mul(0x85eb_ca6b);
    number = (number ^ number >> 13).wrapping_mul(0xc2b2_ae35);
    number ^ number >> 16
}

/// How many prompts an isolate knows, and how many shingles of them all.
const KNOWN_MAX: usize = 512;
const KNOWN_SHINGLES_MAX: usize = 524_288;

/// Prompts that an isolate has seen answered, the latest last.
#[derive(Debug, Default)]
pub struct Prompts {
    known: Vec<(Prompt, PrimaryKey, Timestamp)>,
    shingles: usize,
}

impl Prompts {
    /// The key of the answer to the most similar prompt, and how similar it is.
    pub fn find(&self, prompt: &Prompt, rules: &Similar, now: Timestamp) -> Option<(PrimaryKey, f64)> {
        let mut best: Option<(&PrimaryKey, f64)> = None;
        for (known, key, until) in self.known.iter().rev() {
            let agrees = |(one, other): (&[u32], &[u32])| one == other;
            let bands = || prompt.signature.chunks(ROWS).zip(known.signature.chunks(ROWS));
            if *until <= now || known.scope != prompt.scope || !bands().any(agrees) {
                continue;
            }
            let similarity = similarity(&prompt.shingles, &known.shingles);
            if rules.takes(similarity) && best.is_none_or(|(_, before)| similarity > before) {
                best = Some((key, similarity));
            }
        }
        best.map(|(key, similarity)| (key.clone(), similarity))
    }

    /// A prompt was answered, and the answer is kept under this key until then.
    pub fn learn(&mut self, prompt: Prompt, key: &PrimaryKey, until: Timestamp) {
        self.forget_where(|known| known == key);
        self.shingles += prompt.shingles.len();
        self.known.push((prompt, key.clone(), until));
        while self.known.len() > KNOWN_MAX || self.shingles > KNOWN_SHINGLES_MAX {
            let (oldest, ..) = self.known.remove(0);
            self.shingles -= oldest.shingles.len();
        }
    }

    fn forget_where(&mut self, which: impl Fn(&PrimaryKey) -> bool) {
        self.known.retain(|(_, key, _)| !which(key));
        self.shingles = self.known.iter().map(|(prompt, ..)| prompt.shingles.len()).sum();
    }
}

impl Similar {
    /// Whether two texts are similar enough.
    pub fn takes(&self, similarity: f64) -> bool {
        similarity >= self.threshold.0
    }
}

/// A similarity with two digits, rounded down: `0.93`.
pub fn shown(similarity: f64) -> String {
    let hundredths = (similarity * 100.0) as u64;
    if hundredths >= 100 {
        return "1.00".into();
    }
    [if hundredths < 10 { "0.0" } else { "0." }, &super::stored::decimal(hundredths)].concat()
}

#[cfg(test)]
mod tests;
