//! Similar prompts: a POST whose text is nearly one that was already answered, and whose other parameters are the same to
//! the letter.
//!
//! A text is the set of its pieces of five characters (shingles). MinHash makes a short signature of such a set, in
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
    /// Hash of everything but the text: the key, what the content means, the other parameters, and the words with digits.
    scope: [u8; 32],
    signature: [u32; BANDS * ROWS],
    /// Sorted hashes.
    shingles: Vec<u32>,
}

impl Prompt {
    /// Of a request with this content, whose key without it is `base`. `None` where there is no text in it.
    pub fn new(base: &PrimaryKey, request: &RequestHead, content: &str, rules: &Similar) -> Option<Self> {
        let (mut rest, text) = content::split(request, content, &rules.text)?;
        let shingles = shingles(&text, &mut rest);
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

/// What part of all that is in either of two sorted sets is in both (Jaccard).
fn similarity(one: &[u32], other: &[u32]) -> f64 {
    let both = one.iter().filter(|shingle| other.binary_search(shingle).is_ok()).count();
    let all = one.len() + other.len() - both;
    if all == 0 { 0.0 } else { both as f64 / all as f64 }
}

/// The pieces of a text, as hashes: letters in lower case, and one space between words whatever stood there. Words with
/// digits are appended to what has to be equal to the letter: another number is another question.
fn shingles(text: &str, rest: &mut String) -> Vec<u32> {
    let mut plain = String::with_capacity(text.len() + 2);
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        if word.contains(|c: char| c.is_numeric()) {
            rest.push('\n');
            rest.push_str(&word);
        }
        plain.push(' ');
        plain.push_str(&word);
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
    let mut all: Vec<u32> = pieces.take(many).map(hashed).collect();
    sort(&mut all);
    all.dedup();
    all
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::testing::request;

    const LONG: &str = "Please write a short and friendly answer to a customer who asks why the parcel that was \
        promised for today has still not come and what we are going to do about it now";

    fn prompt(body: &str) -> Option<Prompt> {
        prompt_of("application/json", body)
    }

    fn prompt_of(media: &str, body: &str) -> Option<Prompt> {
        let request = request("POST", &[("content-type", media)]);
        let base = PrimaryKey::from_text("https://a/ai".into());
        Prompt::new(&base, &request, body, &Similar::default())
    }

    fn asked(text: &str) -> Prompt {
        prompt(&serde_json::json!({"model": "m", "prompt": text}).to_string()).unwrap()
    }

    fn found(known: &Prompt, asked: &Prompt) -> Option<String> {
        let mut prompts = Prompts::default();
        let key = PrimaryKey::from_text("k".into());
        prompts.learn(known.clone(), &key, Timestamp::from_secs(10));
        let found = prompts.find(asked, &Similar::default(), Timestamp::from_secs(9));
        found.map(|(_, similarity)| shown(similarity))
    }

    #[test]
    fn nearly_the_same_text_is_found_and_another_one_is_not() {
        let known = asked(LONG);
        for (text, similarity) in [
            (LONG.to_owned(), Some("1.00")),
            (LONG.to_uppercase().replace(' ', ",  "), Some("1.00")),
            (LONG.replace("friendly", "kind"), Some("0.88")),
            (LONG.replace("Please write", "Write"), Some("0.95")),
            (LONG.replace("friendly", "kind").replace("parcel", "letter"), None),
            (LONG.chars().take(60).collect(), None),
            (LONG.split(' ').rev().collect::<Vec<_>>().join(" "), None),
            (format!("{LONG} 7"), None),
        ] {
            assert_eq!(found(&known, &asked(&text)).as_deref(), similarity, "{text}");
        }
        assert_eq!(found(&asked("order 1234 is late"), &asked("order 1235 is late")), None);
        assert_eq!(
            found(&asked("What is the capital of France?"), &asked("what is the capital of spain")),
            None
        );
    }

    #[test]
    fn everything_but_the_text_is_equal_to_the_letter() {
        let chat = |model: &str, role: &str, text: &str| {
            let messages = serde_json::json!([{"role": role, "content": text}, {"role": "user", "content": [{"type": "text", "text": "go on please"}]}]);
            prompt(&serde_json::json!({"model": model, "messages": messages, "temperature": 0.7}).to_string())
                .unwrap()
        };
        let known = chat("m", "user", LONG);
        assert_eq!(
            found(&known, &chat("m", "user", &LONG.replace("friendly", "kind"))).as_deref(),
            Some("0.88")
        );
        assert_eq!(found(&known, &chat("n", "user", LONG)), None);
        assert_eq!(found(&known, &chat("m", "system", LONG)), None);
        let plain = |media| prompt_of(media, LONG);
        assert_eq!(
            found(&plain("text/plain").unwrap(), &plain("text/plain").unwrap()).as_deref(),
            Some("1.00")
        );
        assert_eq!(found(&plain("text/plain").unwrap(), &plain("text/x").unwrap()), None);
    }

    #[test]
    fn where_there_is_no_text_nothing_is_similar() {
        for body in [
            "{}",
            r#"{"prompt":""}"#,
            r#"{"prompt":"?!"}"#,
            r#"{"other":"a b c"}"#,
            r#"{"prompt":7}"#,
            "no json",
            "[\"prompt\"]",
        ] {
            assert_eq!(prompt(body), None, "{body}");
        }
        assert_eq!(prompt_of("application/octet-stream", LONG), None);
    }

    #[test]
    fn what_a_store_holds_reads_back_and_nonsense_is_like_nothing() {
        let known = asked(LONG);
        assert!((known.similarity_to(&known.text()) - 1.0).abs() < 1e-9);
        for nonsense in ["", "!", "AAAA", "AAAAAAA"] {
            assert!(known.similarity_to(nonsense) < 0.1, "{nonsense}");
        }
    }

    #[test]
    fn an_isolate_knows_only_so_many() {
        let mut prompts = Prompts::default();
        for nth in 0..KNOWN_MAX + 3 {
            let text = format!("one more prompt number {nth}");
            prompts.learn(asked(&text), &PrimaryKey::from_text(text), Timestamp::from_secs(9));
        }
        assert_eq!(prompts.known.len(), KNOWN_MAX);
        let find = |text: &str| prompts.find(&asked(text), &Similar::default(), Timestamp::default());
        assert!(find("one more prompt number 2").is_none() && find("one more prompt number 3").is_some());
    }

    proptest! {
        #[test]
        fn bands_find_what_is_similar(words in prop::collection::vec("[a-z]{3,9}", 40..80), at in 0_usize..40) {
            let mut other = words.clone();
            other[at] = "different".into();
            let (one, other) = (asked(&words.join(" ")), asked(&other.join(" ")));
            let similar = similarity(&one.shingles, &other.shingles);
            let shared = one.bands().zip(other.bands()).filter(|(one, other)| one == other).count();
            // 0.9 and more: missed by less than one in 2000.
            prop_assert!(similar < 0.9 || shared > 0);
        }

        #[test]
        fn no_body_makes_it_panic(body in "[\\[\\]{}\",:a1 \\\\]{0,20}|\\PC{0,30}") {
            let _ = (prompt(&body), prompt_of("text/plain", &body));
        }
    }
}
