//! The normal forms of a path, which a client cannot dress up.
//!
//! An origin may read one path in two ways. `/api%2Fusers` is one segment to a server that keeps to RFC 3986,
//! and two to one that decodes first; `/api/..;/public` leaves `/api` on a servlet container and on no other.
//! So there are two readings, [`Reading::Strict`] and [`Reading::Lenient`]. What goes by a path whose readings differ
//! has to say what it makes of that: it could be used to slip past a policy.

use std::borrow::Cow;

/// How a path is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As RFC 3986 says: dot segments are resolved first, then all is decoded but `%2F` and `%5C`.
    Strict,
    /// As the most obliging origin might: parameters (`;x=1`) dropped, all decoded, `\` is `/`, and only then
    /// dot segments resolved.
    Lenient,
}

/// Whether a path is this one, which is in its normal form, or below it, as an obliging reader takes it (`//x` for `/x`).
pub fn may_be_below(path: &str, folder: &str) -> bool {
    let normal = normal(path, Reading::Lenient);
    normal.strip_prefix(folder.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

/// The form of a path that routes are matched on, under one reading: decoded, empty segments merged, dot
/// segments resolved, `;` parameters and a slash at the end dropped (many origins answer `/login/` as `/login`).
/// Begins with `/`. Bytes, because what is decoded need not be UTF-8.
pub fn normal(path: &str, reading: Reading) -> Cow<'_, [u8]> {
    if is_plain(path) {
        return Cow::Borrowed(without_last_slash(path).as_bytes());
    }
    let mut segments: Vec<Vec<u8>> = Vec::new();
    match reading {
        Reading::Strict => {
            for raw in path.split('/') {
                let dots = decode(raw.as_bytes(), &[]);
                push_segment(&mut segments, &dots, decode(without_parameters(raw), b"/\\"));
            }
        }
        Reading::Lenient => {
            for raw in path.split('/') {
                for part in decode(without_parameters(raw), &[]).split(|b| matches!(b, b'/' | b'\\')) {
                    push_segment(&mut segments, part, part.to_vec());
                }
            }
        }
    }
    let mut whole = Vec::with_capacity(path.len());
    for segment in &segments {
        whole.push(b'/');
        whole.extend_from_slice(segment);
    }
    if whole.is_empty() {
        whole.push(b'/');
    }
    Cow::Owned(whole)
}

/// The path without a slash at its end; `/` stays.
pub fn without_last_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path)
}

/// Whether both readings leave the path as it is, but for a slash at its end: the common case, which costs one scan
/// and no allocation.
fn is_plain(path: &str) -> bool {
    let mut previous = b'x';
    for byte in path.bytes() {
        match byte {
            b'%' | b';' | b'\\' => return false,
            b'/' | b'.' if previous == b'/' => return false,
            _ => previous = byte,
        }
    }
    path.starts_with('/')
}

fn push_segment(segments: &mut Vec<Vec<u8>>, dots: &[u8], segment: Vec<u8>) {
    match dots {
        b"." => {}
        b".." => drop(segments.pop()),
        _ if segment.is_empty() => {}
        _ => segments.push(segment),
    }
}

fn without_parameters(segment: &str) -> &[u8] {
    segment.split(';').next().unwrap_or_default().as_bytes()
}

/// Decodes `%XX`; what stands for a byte of `kept` stays encoded, in lower-case hex.
fn decode(bytes: &[u8], kept: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let decoded = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|(h, l)| h << 4 | l),
            _ => None,
        };
        match decoded {
            Some(byte) => {
                let (code, tail) = tail.split_at(2);
                rest = tail;
                if kept.contains(&byte) {
                    out.push(b'%');
                    out.extend(code.iter().map(u8::to_ascii_lowercase));
                } else {
                    out.push(byte);
                }
            }
            None => out.push(*first),
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(path: &str) -> String {
        String::from_utf8_lossy(&normal(path, Reading::Strict)).into_owned()
    }

    fn lenient(path: &str) -> String {
        String::from_utf8_lossy(&normal(path, Reading::Lenient)).into_owned()
    }

    #[test]
    fn both_readings_agree_where_there_is_nothing_to_argue_about() {
        for (path, form) in [
            ("/", "/"),
            ("/api/x", "/api/x"),
            ("/%61pi/x", "/api/x"),
            ("/%41PI/x", "/API/x"),
            ("//api///x", "/api/x"),
            ("/api/x/", "/api/x"),
            ("//", "/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2E/c", "/c"),
            ("/../../c", "/c"),
            ("/.well-known/x", "/.well-known/x"),
            ("/api;v=1/x;y", "/api/x"),
            ("/caf%C3%A9", "/café"),
            ("/100%", "/100%"),
            ("/%zz", "/%zz"),
            ("/a%252Fb", "/a%2Fb"),
        ] {
            assert_eq!((strict(path).as_str(), lenient(path).as_str()), (form, form), "{path}");
        }
    }

    #[test]
    fn the_readings_part_where_origins_do() {
        for (path, as_rfc, as_obliging) in [
            ("/api%2Fx", "/api%2fx", "/api/x"),
            ("/api%5cx", "/api%5cx", "/api/x"),
            ("/api\\x", "/api\\x", "/api/x"),
            ("/api/..%2Fpublic", "/api/..%2fpublic", "/public"),
            ("/api/..;/public", "/api/../public", "/public"),
            ("/a/%2e%2e%2f%2e%2e/b", "/a/..%2f../b", "/b"),
        ] {
            assert_eq!((strict(path).as_str(), lenient(path).as_str()), (as_rfc, as_obliging), "{path}");
        }
    }

    #[test]
    fn a_plain_path_is_not_copied() {
        assert!(matches!(normal("/api/v1/users.json", Reading::Strict), Cow::Borrowed(_)));
    }
}
