use proptest::prelude::*;

use super::*;
use crate::cache::variants::Selecting;

fn variant(etag: &str) -> Variant {
    Variant {
        key: StorageKey([7; 32]),
        etag: Some(etag.into()),
        response_time: Timestamp::from_millis(1_789_000_000_123),
        generation: 3,
        names: vec!["accept-encoding".into(), "vary".into()],
        language: None,
    }
}

#[test]
fn a_variant_index_reads_back_and_fits() {
    let all = vec![variant("\"33a64df551425fcc55e4d42a148795d9f25f89d4\""); 9];
    let record = Record::Variants(VariantIndex { variants: all });
    assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
    assert!(json_bytes(&record.encode()) > METADATA_BYTES_MAX, "long tags need the other place");
    let short = Record::Variants(VariantIndex { variants: vec![variant("\"5f3-61a\""); 9] });
    assert!(json_bytes(&short.encode()) <= METADATA_BYTES_MAX, "{}", json_bytes(&short.encode()));
}

#[test]
fn what_cannot_be_read_is_a_miss_and_no_panic() {
    let head = Record::Response(StoredHead { status: 200, ..StoredHead::default() }).encode();
    assert!(Record::decode(&head).is_ok());
    for text in [
        "",
        "1",
        "3R",
        "2R",
        "1R",
        "2V\u{7f}",
        "1V\u{7f}",
        "1V\u{7f}AAAA",
        &head.replace("2R", "3R"),
        &head.replace("200", "x"),
        &format!("{head}\u{7f}etag"),
        &format!("{head}\u{7f}\u{7f}x"),
        head.trim_end_matches('0'),
    ] {
        assert_eq!(Record::decode(text), Err(Unreadable), "{text:?}");
    }
}

#[test]
fn what_was_written_before_there_were_purges_is_still_read() {
    let head = StoredHead { status: 200, lifetime_secs: 60, ..StoredHead::default() };
    let text = Record::Response(head.clone()).encode().replace("2R\u{7f}A\u{7f}", "1R\u{7f}");
    assert_eq!(Record::decode(&text), Ok(Record::Response(head)));
    let index = |generation| {
        Record::Variants(VariantIndex { variants: vec![Variant { generation, ..variant("\"a\"") }] })
    };
    let text = index(3).encode().replace("2V", "1V").replacen("\u{7f}D\u{7f}", "\u{7f}", 1);
    assert_eq!(Record::decode(&text), Ok(index(u64::MAX)));
}

#[test]
fn json_sizes_are_those_that_json_has() {
    for text in ["", "a\"b\\c", "\t\n\u{8}\u{1}\u{7f}", "naïve €"] {
        assert_eq!(json_bytes(text), serde_json::to_string(text).unwrap().len(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn every_head_reads_back(
        numbers in (200_u16..=999, 0..u64::MAX / 2, any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()),
        flags in any::<[bool; 3]>(),
        behind in prop_oneof![Just(0), 0..1_u64 << 59],
        generation in any::<u64>(),
        body_bytes in proptest::option::of(0..u64::MAX / 2),
        part in proptest::option::of((0..u64::MAX / 2, 0..u64::MAX / 2)),
        selecting in proptest::collection::vec(("[a-z:-]{1,9}|accept|vary", proptest::option::of("[ -~]{0,9}")), 0..4),
        fields in proptest::collection::vec(("[a-z0-9-]{1,9}|etag|date", "[ -~\\t]{0,9}|\\PC{0,5}"), 0..9),
    ) {
        let boxed = |(name, value): (String, Option<String>)| (name.into(), value.map(Into::into));
        let pairs = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let record = Record::Response(StoredHead {
            status: numbers.0,
            fields: Fields::from_pairs(pairs),
            response_time: Timestamp::from_millis(numbers.1),
            initial_age_secs: numbers.2,
            lifetime_secs: numbers.3,
            stale_while_revalidate_secs: numbers.4,
            stale_if_error_secs: numbers.5,
            no_cache: flags[0],
            must_revalidate: flags[1],
            immutable: flags[2],
            selecting: Selecting(selecting.into_iter().map(boxed).collect()),
            body_bytes,
            part: part.map(|(first, last)| ByteRange { first, last }),
            behind: Span::from_millis(behind),
            generation,
        });
        prop_assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
        let Record::Response(head) = record else { return Ok(()) };
        let newer = Record::Freshened(Timestamp::from_millis(numbers.1 / 2), head);
        prop_assert_eq!(Record::decode(&newer.encode()), Ok(newer));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[12][RVFP](\u{7f}([0-9]{1,3}|=a|A|x|)){0,14}|\\PC{0,30}") {
        let _ = Record::decode(&text);
    }
}
