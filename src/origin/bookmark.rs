//! Bookmarks: what a client carries from its write to its reads, signed, so that it means something only where this
//! deployment wrote it.
//!
//! `MOMENT.POSITION.POOL.MAC`: the moment of the write in milliseconds, the primary's position after it (empty where
//! that is not known) and the pool's number, in hexadecimal, and the first bytes of an HMAC-SHA256 of these.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::base64url;
use crate::head::RequestHead;
use crate::time::{Span, Timestamp};

/// The field that carries it, both ways.
pub const FIELD: &str = "x-tidegate-bookmark";
/// The cookie that does.
pub const COOKIE: &str = "tidegate_bookmark";

/// How many bytes of the code are kept: no fewer than half of it, and than 80 bits (RFC 2104, section 5).
const MAC_BYTES: usize = 16;
/// How many of a request are read: each costs a signature.
const SHOWN_MAX: usize = 4;
/// The block of SHA-256, in bytes.
const BLOCK_BYTES: usize = 64;

/// The key that bookmarks of one deployment are signed with.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Key {
    /// From a secret of whatever length.
    pub fn new(secret: &str) -> Self {
        Self(Sha256::new().chain_update(b"tidegate bookmark\0").chain_update(secret).finalize().into())
    }

    /// A name for a text that nobody else can tell: 32 hex digits.
    pub fn name(&self, text: &str) -> String {
        crate::identity::hex(&mac(self, text))
    }
}

/// A client's last write, as far as its reads have to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark {
    /// When its answer was there: it was done by then.
    pub at: Timestamp,
    /// Where the primary was after it.
    pub position: Option<u64>,
    /// The pool of that position.
    pub pool: u64,
}

impl Bookmark {
    /// The bookmark that a request shows: the latest of those that are this deployment's own and not yet `ttl` old.
    pub fn of(request: &RequestHead, key: &Key, ttl: Span, now: Timestamp) -> Option<Self> {
        let cookies = request.fields.get_all("cookie").flat_map(|field| field.split([';', ',']));
        let cookies = cookies.filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        let shown = request.fields.get_all(FIELD).map(str::trim).chain(cookies).take(SHOWN_MAX);
        shown
            .filter_map(|text| Self::read(text, key))
            .filter(|mark| now < mark.at + ttl)
            .max_by_key(|mark| mark.at)
    }

    /// As a text that [`Self::read`] believes.
    pub fn write(&self, key: &Key) -> String {
        let mut text = hex(self.at.as_millis());
        text.push('.');
        text.extend(self.position.map(hex));
        text.push('.');
        text.push_str(&hex(self.pool));
        let mac = base64url::encode(&mac(key, &text));
        text.push('.');
        text.push_str(&mac);
        text
    }

    /// A text that was signed with this key.
    pub fn read(text: &str, key: &Key) -> Option<Self> {
        let (said, shown) = text.rsplit_once('.')?;
        let shown = base64url::decode(shown)?;
        if !bool::from(mac(key, said).as_slice().ct_eq(&shown)) {
            return None;
        }
        let mut parts = said.split('.');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let (at, position) = (number()?, number());
        Some(Self { at: Timestamp::from_millis(at), position, pool: number()? })
    }
}

fn hex(number: u64) -> String {
    format!("{number:x}")
}

/// HMAC-SHA256 (RFC 2104), cut.
fn mac(key: &Key, text: &str) -> [u8; MAC_BYTES] {
    let padded = |with: u8| {
        let mut block = [with; BLOCK_BYTES];
        block.iter_mut().zip(key.0).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    let mut cut = [0; MAC_BYTES];
    cut.iter_mut().zip(outer).for_each(|(byte, whole)| *byte = whole);
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::head::{Fields, Method};

    const AT: Timestamp = Timestamp::from_millis(1_789_000_000_123);
    const TTL: Span = Span::from_secs(300);

    fn bookmark(at: Timestamp) -> Bookmark {
        Bookmark { at, position: Some(0x16_b374_d848), pool: 7 }
    }

    fn shown(fields: &[(&str, &str)], now: Timestamp) -> Option<Bookmark> {
        let mut request = RequestHead::new(Method::Get, "https://a/").unwrap();
        request.fields = Fields::from_pairs(fields.iter().copied());
        Bookmark::of(&request, &Key::new("s"), TTL, now)
    }

    #[test]
    fn the_code_is_the_one_that_openssl_makes() {
        // printf %s 'what do ya want for nothing?' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0b0b... (32 bytes)
        let whole = 0xc3f2_649c_34ea_24e4_d62a_2c7e_868b_bea0_u128.to_be_bytes();
        assert_eq!(mac(&Key([0x0b; 32]), "what do ya want for nothing?"), whole);
    }

    #[test]
    fn a_bookmark_reads_back_from_field_and_cookie_until_it_has_expired() {
        let text = bookmark(AT).write(&Key::new("s"));
        let cookie = format!("a=b; {COOKIE}={text}; c=d");
        let joined = format!("{COOKIE}={text}, a=b");
        for fields in [[(FIELD, &*text)], [("cookie", &*cookie)], [("cookie", &*joined)]] {
            assert_eq!(shown(&fields, AT), Some(bookmark(AT)), "{fields:?}");
            assert_eq!(shown(&fields, AT + Span::from_millis(299_999)), Some(bookmark(AT)));
            assert_eq!(shown(&fields, AT + TTL), None);
        }
        let without = Bookmark { position: None, ..bookmark(AT) };
        assert_eq!(Bookmark::read(&without.write(&Key::new("s")), &Key::new("s")), Some(without));
    }

    #[test]
    fn of_several_the_latest_counts() {
        let key = Key::new("s");
        let (early, late) = (bookmark(AT).write(&key), bookmark(AT + Span::from_secs(1)).write(&key));
        let cookie = format!("{COOKIE}={late}; {COOKIE}={early}");
        let fields = [(FIELD, &*early), ("cookie", &*cookie), (FIELD, "nonsense")];
        assert_eq!(shown(&fields, AT), Some(bookmark(AT + Span::from_secs(1))));
    }

    #[test]
    fn one_of_another_deployment_does_nothing() {
        let text = bookmark(AT).write(&Key::new("another secret"));
        assert_eq!(shown(&[(FIELD, &text)], AT), None);
    }

    proptest! {
        #[test]
        fn one_that_was_changed_does_nothing(at in 0..60_usize, with in "[0-9a-f.A-Z_-]") {
            let text = bookmark(AT).write(&Key::new("s"));
            let mut changed = text.clone();
            let at = at % text.len();
            changed.replace_range(at..=at, &with);
            prop_assume!(changed != text);
            prop_assert_eq!(Bookmark::read(&changed, &Key::new("s")), None);
        }

        #[test]
        fn nonsense_is_no_bookmark(text in "\\PC{0,80}") {
            prop_assert_eq!(Bookmark::read(&text, &Key::new("s")), None);
        }
    }
}
