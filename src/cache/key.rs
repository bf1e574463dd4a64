//! Keys: the primary key is text that two requests share exactly when the route's rules call them the same; the
//! storage key is its hash, under which colo and KV keep things. A client chooses the URL, so the hash is a
//! cryptographic one.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::device;
use super::rules::KeyRules;
use crate::head::{Fields, Target};
use crate::identity::Identity;
use crate::list::sort_texts;

/// What is asked for, normalised (RFC 9111, section 2). Memory is keyed by it.
///
/// Lines of text: the scope where there is one, the target, then a line for each header, cookie, device, user, whether that
/// one shows more, and body that counts. No part can hold a line break.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PrimaryKey(Box<str>);

/// SHA-256 over a primary key, or over a primary and a secondary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StorageKey(pub [u8; 32]);

/// Ends the key of a user who shows something else besides, by which the origin may know another one.
const SHOWS_MORE: &str = "\no";

impl PrimaryKey {
    /// The key of a target, asked for with these fields by this client.
    pub fn new(target: &Target, fields: &Fields, rules: &KeyRules, identity: &Identity) -> Self {
        let mut text = String::with_capacity(target.url().len() + rules.scope.len() + 16);
        if !rules.scope.is_empty() {
            text.push('@');
            push_part(&mut text, &rules.scope);
            text.push('\n');
        }
        push_target(&mut text, target, rules);
        for name in &rules.headers {
            push_line(&mut text, "\nh", name.as_str(), fields.combined(name.as_str()).as_deref());
        }
        for name in &rules.cookies {
            push_line(&mut text, "\nc", name, cookie(fields, name).as_deref());
        }
        if rules.device {
            push_line(&mut text, "\nd", device::class(fields), None);
        }
        if rules.per_user {
            let kind = if identity.key_hash.is_some() { "key" } else { "" };
            push_line(&mut text, "\nu", kind, identity.subject.as_deref());
            if identity.subject.is_some() && !rules.is_of_one_user(fields, identity) {
                text.push_str(SHOWS_MORE);
            }
        }
        Self(text.into())
    }

    /// Where each user has responses of its own: the key of the same one who shows more than that, or no more. Whatever a
    /// write shows, it is about both.
    pub fn of_same_user(&self) -> Option<Self> {
        let (_, last) = self.0.rsplit_once('\n')?;
        let other = match self.0.strip_suffix(SHOWS_MORE) {
            Some(one) => one.to_owned(),
            None if last.starts_with('u') && last.contains('=') => [&*self.0, SHOWS_MORE].concat(),
            None => return None,
        };
        Some(Self(other.into()))
    }

    /// The key of the same target asked for with content: the SHA-256 of that content counts too.
    pub fn with_body(&self, sha256: [u8; 32]) -> Self {
        let mut text = String::from(&*self.0);
        text.push_str("\nb");
        push_hex(&mut text, &sha256);
        Self(text.into())
    }

    /// The key of a slice of its response, for whoever counts or waits.
    pub fn part(&self, slice: &StorageKey) -> Self {
        Self([&*self.0, "\ns", &slice.hex()].concat().into())
    }

    /// The key of the index of its variants, for whoever writes that.
    pub fn index(&self) -> Self {
        Self([&*self.0, "\ni"].concat().into())
    }

    /// A key of this text.
    pub(super) fn from_text(text: String) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The target as it stands in the key.
    pub(super) fn line(&self) -> &str {
        let target = if self.0.starts_with('@') {
            self.0.split_once('\n').map_or("", |(_, rest)| rest)
        } else {
            &self.0
        };
        target.split('\n').next().unwrap_or_default()
    }

    /// Where the response, or the index of its variants, is kept.
    pub fn storage_key(&self) -> StorageKey {
        StorageKey(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Where the variant is kept that was selected by this secondary key.
    pub fn variant_key(&self, secondary: &str) -> StorageKey {
        let hash = Sha256::new().chain_update(self.0.as_bytes()).chain_update(b"\n\n");
        StorageKey(hash.chain_update(secondary.as_bytes()).finalize().into())
    }
}

/// A target as it stands in keys by these rules.
pub fn line(target: &Target, rules: &KeyRules) -> String {
    let mut line = String::with_capacity(target.url().len());
    push_target(&mut line, target, rules);
    line
}

fn push_target(text: &mut String, target: &Target, rules: &KeyRules) {
    if rules.scheme {
        text.push_str(target.scheme());
        text.push(':');
    }
    if rules.host {
        text.push_str("//");
        push_authority(text, target);
    }
    text.push_str(&normalise(target.path()));
    if let Some(query) = target.query() {
        push_query(text, query, rules);
    }
}

/// The target with no more of its query than the key holds, and in its form: what an origin is asked for where others may
/// get the answer. `None` where that is the target itself.
pub fn keyed(target: &Target, rules: &KeyRules) -> Option<Target> {
    if !rules.picks() {
        return None;
    }
    let query = target.query()?;
    let mut url = target.url().strip_suffix(query)?.strip_suffix('?')?.to_owned();
    push_query(&mut url, query, rules);
    Target::parse(&url).ok().filter(|keyed| keyed != target)
}

impl StorageKey {
    /// Where a newer head lies of the response that is kept here.
    pub fn beside(&self) -> Self {
        Self(Sha256::new().chain_update(b"beside\n").chain_update(self.0).finalize().into())
    }

    /// 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        push_hex(&mut text, &self.0);
        text
    }
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    for byte in bytes {
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
}

/// `name` and, where there is a value, `=` and it.
fn push_line(out: &mut String, kind: &str, name: &str, value: Option<&str>) {
    out.push_str(kind);
    push_part(out, name);
    if let Some(value) = value {
        out.push('=');
        push_part(out, value);
    }
}

/// Text that may not end its line, nor look as if it did.
fn push_part(out: &mut String, text: &str) {
    if text.contains(['\n', '\\']) {
        out.push_str(&text.replace('\\', "\\\\").replace('\n', "\\n"));
    } else {
        out.push_str(text);
    }
}

/// The host in lower case, the port where it is not the scheme's own (RFC 9110, section 4.2.3).
fn push_authority(out: &mut String, target: &Target) {
    out.extend(target.host().chars().map(|c| c.to_ascii_lowercase()));
    let port = target.authority().strip_prefix(target.host()).unwrap_or_default();
    let default = if target.scheme() == "https" { ":443" } else { ":80" };
    if port != default && port != ":" {
        out.push_str(port);
    }
}

fn push_query(out: &mut String, query: &str, rules: &KeyRules) {
    if !rules.picks() {
        out.push('?');
        out.push_str(&normalise(query));
        return;
    }
    let kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default().replace('+', " ");
        let name = percent_decode_str(&name).decode_utf8_lossy();
        let wanted = rules.keep_only.as_ref().is_none_or(|only| only.iter().any(|one| one.matches(&name)));
        wanted && !rules.drop.iter().any(|one| one.matches(&name))
    };
    let pairs: Vec<Cow<'_, str>> = query.split('&').filter(kept).map(normalise).collect();
    let names = pairs.iter().map(|pair| pair.split('=').next().unwrap_or_default());
    let mut names: Vec<(&str, usize)> = names.zip(0..).collect();
    if rules.sort {
        // Equal ones by their place: the order of values of one name may mean something.
        sort_texts(&mut names);
    }
    for (at, pair) in names.iter().filter_map(|(_, at)| pairs.get(*at)).enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        out.push_str(pair);
    }
}

/// Percent-encoding in its normal form: unreserved characters are written plainly, hexadecimal digits in upper
/// case (RFC 3986, section 6.2.2). A text with a broken escape stays as it is: nobody knows what the origin makes
/// of it.
fn normalise(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut pieces = text.split('%');
    let mut normal = String::with_capacity(text.len());
    normal.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let Some((hex, rest)) = piece.split_at_checked(2) else { return Cow::Borrowed(text) };
        let byte = match u8::from_str_radix(hex, 16) {
            Ok(byte) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => byte,
            _ => return Cow::Borrowed(text),
        };
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            normal.push('%');
            normal.extend(hex.chars().map(|c| c.to_ascii_uppercase()));
        }
        normal.push_str(rest);
    }
    Cow::Owned(normal)
}

/// Every value that an origin could read for this cookie. Cookie lines are joined with commas on the way, so a
/// cookie that follows a comma counts too.
fn cookie(fields: &Fields, name: &str) -> Option<String> {
    let lines = fields.combined("cookie")?;
    let value = |piece: &str| {
        let (found, value) = piece.trim().split_once('=')?;
        (found.trim_end() == name).then(|| value.trim().to_owned())
    };
    let by_semicolon = lines.split(';').filter_map(value);
    let by_comma = lines.split(';').flat_map(|piece| piece.split(',').skip(1)).filter_map(value);
    let values: Vec<String> = by_semicolon.chain(by_comma).collect();
    if values.is_empty() { None } else { Some(values.join(";")) }
}

#[cfg(test)]
mod tests;
