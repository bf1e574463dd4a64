//! Names that bundlers make of a file's content: such a file never changes under its name.
//!
//! A wrong "yes" keeps an old file in browsers for a year, a wrong "no" only shortens its lifetime to that of its
//! class. So in doubt it is "no": the forms are those that bundlers write, and a word, a date, a version or a
//! camera's counter is none of them.

/// The folders in which frameworks keep nothing but fingerprinted files.
const FOLDERS: [&str; 2] = ["/_next/static/", "/_app/immutable/"];

/// How many characters the hash of Vite, Rollup, esbuild and Parcel has.
const SHORT: usize = 8;

/// How many digits a hexadecimal hash has at least where it is the whole name.
const HEX_ALONE_MIN: usize = 20;

/// Whether a file's name, or the folder it stands in, says that its content never changes.
pub(super) fn is_fingerprinted(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut parts = name.split('.');
    let (Some(first), Some(extension)) = (parts.next(), parts.next_back()) else { return false };
    let is_code = matches!(extension, "js" | "mjs" | "css" | "wasm");
    FOLDERS.iter().any(|folder| path.contains(folder))
        || (first.len() >= HEX_ALONE_MIN && is_hex(first))
        || has_hash_at_end(first, is_code)
        || parts.any(|part| is_hash(part, is_code) || has_hash_at_end(part, is_code))
}

/// `name-HASH`. The short ones may hold `-` and `_` themselves.
fn has_hash_at_end(part: &str, is_code: bool) -> bool {
    let short = part.len().checked_sub(SHORT).and_then(|at| part.split_at_checked(at));
    if short.is_some_and(|(name, hash)| name.len() > 1 && name.ends_with('-') && is_hash(hash, is_code)) {
        return true;
    }
    let Some((name, hash)) = part.rsplit_once(['-', '_']) else { return false };
    let before = name.rsplit('-').next().unwrap_or_default();
    let is_uuid = before.len() == 4 && before.bytes().all(|b| b.is_ascii_hexdigit());
    !name.is_empty() && !is_uuid && is_hex(hash)
}

fn is_hash(token: &str, is_code: bool) -> bool {
    is_hex(token) || is_short(token, is_code)
}

/// 8 to 64 hexadecimal digits in lower case, of both kinds: a date or a counter has no letters, a word no digits.
fn is_hex(token: &str) -> bool {
    (SHORT..=64).contains(&token.len())
        && token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && token.bytes().any(|b| b.is_ascii_digit())
        && token.bytes().any(|b| b.is_ascii_lowercase())
}

/// 8 characters of base 32, 36 or 64 that are neither words nor a counter.
fn is_short(token: &str, is_code: bool) -> bool {
    let has = |kind: fn(&u8) -> bool| token.as_bytes().iter().any(kind);
    if token.len() != SHORT || !token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
        return false;
    }
    let digits = has(u8::is_ascii_digit);
    match (has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase)) {
        (true, true) if digits => digit_changes(token) >= if is_code { 2 } else { 3 },
        (true, true) => is_code && !is_words(token),
        // `ABCD1234`, as esbuild writes it; but `DSC01234.jpg` is a photo.
        (false, true) => digits && (is_code || digit_changes(token) >= 3),
        (true, false) => digits && digit_changes(token) >= 3,
        (false, false) => false,
    }
}

/// How often a digit follows another character or the other way round.
fn digit_changes(token: &str) -> usize {
    let bytes = token.as_bytes();
    bytes.iter().zip(bytes.iter().skip(1)).filter(|(a, b)| a.is_ascii_digit() != b.is_ascii_digit()).count()
}

/// What people shorten in names, and what has no vowel where words have one.
const SHORT_WORDS: [&str; 15] =
    ["css", "html", "http", "pdf", "svg", "xml", "sql", "png", "jpg", "xhr", "dbl", "js", "ts", "db", "my"];

/// The pairs of consonants that an English word may begin with.
const ONSETS: &str = "bl br ch cl cr dr dw fl fr gh gl gn gr kn kr ph pl pr ps rh sc sh sk sl sm sn sp sq st sw th tr ts tw wh wr";

/// Whether letters look like words in camel case (`DropDown`): every one begins as words begin, and has a vowel.
fn is_words(token: &str) -> bool {
    let lower = token.to_ascii_lowercase();
    let starts = |(at, c): (usize, char)| (at > 0 && c.is_ascii_uppercase()).then_some(at);
    let ends = token.char_indices().filter_map(starts).chain([token.len()]);
    let mut from = 0;
    ends.into_iter().all(|to| {
        let word = lower.get(from..to).unwrap_or_default();
        from = to;
        word.len() < 2 || SHORT_WORDS.contains(&word) || is_word(word)
    })
}

fn is_word(word: &str) -> bool {
    let is_vowel = |c: char| "aeiouy".contains(c);
    let onset = word.find(is_vowel).and_then(|at| word.get(..at.min(2)));
    onset.is_some_and(|onset| onset.len() < 2 || ONSETS.split(' ').any(|known| known == onset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bundlers_write_is_recognised() {
        for path in [
            "/app.3f2a9c1b.js",
            "/name-BX7d2kQ1.css",
            "/static/js/main.8c1b2d3e.chunk.js",
            "/chunk-ABCD1234.js",
            "/main-7XKQ2JVL.js",
            "/assets/index-DiwrgTda.js",
            "/assets/index-B_x7-d2K.js",
            "/assets/logo-BX7d2kQ1.svg",
            "/static/media/logo.5d5d9eef1a.svg",
            "/base.27e20196a850.js",
            "/application-7fe1a9ae3f4bd0d3e24ff3fa3bc2fd25c5ecc57b32d5e24a5ec27a1bf7a1cf9e.css",
            "/7fe1a9ae3f4bd0d3e24f.woff2",
            "/_next/static/chunks/pages/index.js",
            "/_next/static/css/plain.css",
            "/_app/immutable/entry/start.js",
            "/app_3f2a9c1b.min.css",
            "/runtime.k3j9x2p1.mjs",
        ] {
            assert!(is_fingerprinted(path), "{path}");
        }
    }

    #[test]
    fn words_dates_versions_and_counters_are_not_fingerprints() {
        for path in [
            "/jquery.min.js",
            "/jquery-3.7.1.min.js",
            "/report-20240101.pdf",
            "/app.bundle.js",
            "/bootstrap-5.3.2.min.css",
            "/my-component.js",
            "/photo-20240101.jpg",
            "/IMG-12345678.jpg",
            "/IMG_20240101.jpg",
            "/photo-DSC01234.jpg",
            "/my-Settings.js",
            "/my-DropDown.js",
            "/my-dropDown.js",
            "/admin-UserList.js",
            "/admin-PdfPanel.js",
            "/a-HtmlView.js",
            "/a-CssTheme.css",
            "/photo-holiday1.jpg",
            "/model-v1234567.js",
            "/x-10beta12.js",
            "/550e8400-e29b-41d4-a716-446655440abc.png",
            "/deadbeef.js",
            "/app.deadbeef.js",
            "/app.js",
            "/app",
            "/",
            "/3f2a9c1b.js",
            "/-ABCD1234.js",
            "/chunk-ABCDEFGH.js",
            "/x/_next/data/index.js",
        ] {
            assert!(!is_fingerprinted(path), "{path}");
        }
    }
}
