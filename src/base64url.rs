//! Base64url without padding (RFC 4648, section 5; RFC 7515, section 2), which is all that is read here.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bytes as text.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0, |group, at| group << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..=chunk.len() {
            let digit = DIGITS.get((group >> (18 - 6 * at)) as usize & 63);
            text.extend(digit.map(|digit| char::from(*digit)));
        }
    }
    text
}

/// Bytes as text in the other alphabet, with padding (RFC 4648, section 4).
pub fn standard(bytes: &[u8]) -> String {
    let mut text = encode(bytes).replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Text as bytes. `None` where [`encode`] writes no bytes so: a stray character, padding, bits that are left over.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut group, mut bits) = (0_u32, 0);
    for digit in text.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        group = group << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
            group &= (1 << bits) - 1;
        }
    }
    (bits < 6 && group == 0).then_some(bytes)
}

/// Appends a number in the same digits, the highest first: `A` is 0.
pub fn push_number(out: &mut String, number: u64) {
    let highest = (0..11).rev().find(|place| number >> (6 * place) > 0).unwrap_or(0);
    for place in (0..=highest).rev() {
        let digit = DIGITS.get((number >> (6 * place)) as usize & 63);
        out.extend(digit.map(|digit| char::from(*digit)));
    }
}

/// Reads what [`push_number`] wrote.
pub fn read_number(text: &str) -> Option<u64> {
    let mut digits = text.bytes().map(|digit| DIGITS.iter().position(|known| *known == digit));
    let first = digits.next()??;
    digits.try_fold(first as u64, |number, digit| number.checked_mul(64)?.checked_add(digit? as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_writes_and_reads_the_vectors_of_rfc4648_10() {
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("\u{3ff}?", "z78_")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!((standard(b"fo"), standard("\u{3ff}?".as_bytes())), ("Zm8=".into(), "z78/".into()));
    }

    #[test]
    fn there_is_one_text_for_each_bytes() {
        for text in ["Z", "Zh", "Zg==", "Zm9", "Zm9vY", "Z g", "Zm+v", "Zm/v", "Zmé"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn all_bytes_read_back(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn every_number_reads_back(number in any::<u64>(), places in 0..64_u32) {
            let mut text = String::new();
            push_number(&mut text, number >> places);
            prop_assert_eq!(read_number(&text), Some(number >> places));
        }

        #[test]
        fn what_can_be_read_is_what_would_be_written(text in "[A-Za-z0-9_-]{0,12}") {
            prop_assert!(decode(&text).is_none_or(|bytes| encode(&bytes) == text));
        }
    }
}
