//! Heads as packed text, the form in which they cross between JavaScript and wasm (`call.mjs` is the other end).

use std::cell::OnceCell;

use crate::head::{Client, Fields, Method, RequestHead, ResponseHead, Target};

/// How many lines stand before the fields: method, URL, body or not.
const REQUEST_LINES: usize = 3;

/// A packed request, and whether it has a body.
///
/// # Errors
/// What is wrong with the URL.
pub fn request(packed: String) -> Result<(RequestHead, bool), String> {
    let mut lines = packed.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let method = Method::from(line());
    let target = Target::parse(line())?;
    let has_body = !line().is_empty();
    let start = packed.match_indices('\n').nth(REQUEST_LINES - 1).map_or(packed.len(), |(at, _)| at + 1);
    let fields = Fields::from_packed(packed, start);
    Ok((RequestHead { method, target, fields, client: OnceCell::new() }, has_body))
}

/// The client: address, country, ASN, colo, protocol and continent, a line each, empty where it is not known.
pub fn client(packed: &str) -> Client {
    let mut lines = packed.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    Client {
        address: line().parse().ok(),
        country: present(line()),
        asn: line().parse().ok(),
        colo: present(line()),
        protocol: present(line()),
        continent: present(line()),
    }
}

fn present(line: &str) -> Option<Box<str>> {
    if line.is_empty() { None } else { Some(line.into()) }
}

/// A packed response head.
pub fn response(packed: String) -> ResponseHead {
    let end = packed.find('\n').unwrap_or(packed.len());
    let status = packed.get(..end).and_then(|line| line.parse().ok()).unwrap_or(502);
    ResponseHead { status, fields: Fields::from_packed(packed, end + 1) }
}

/// Packs `first` and the fields.
pub fn pack(first: &str, fields: &Fields) -> String {
    let mut packed = String::with_capacity(first.len() + fields.byte_len() + fields.len() * 2 + 2);
    packed.push_str(first);
    packed.push('\n');
    fields.pack_into(&mut packed);
    packed
}
