use proptest::prelude::*;

use super::*;
use crate::cache::key::{PrimaryKey, line};
use crate::cache::rules::KeyRules;
use crate::cache::testing::{anonymous, secs};
use crate::cache::{Policy, Stamps};
use crate::head::{Fields, Method, RequestHead, Target};

fn stamp(number: u64, what: What, mode: Mode) -> Stamp {
    Stamp { number, what, mode, at: secs(number) }
}

fn of(stamps: impl IntoIterator<Item = Stamp>) -> Stamps {
    let mut all = Stamps::default();
    stamps.into_iter().for_each(|stamp| all.add(stamp));
    all
}

/// What becomes of a response of generation 0 that a GET of this URL finds.
fn fate(stamps: &Stamps, url: &str, fields: &[(&str, &str)]) -> Fate {
    fate_by(stamps, url, fields, &Policy::default().key)
}

fn fate_by(stamps: &Stamps, url: &str, fields: &[(&str, &str)], rules: &KeyRules) -> Fate {
    let request = RequestHead::new(Method::Get, url).unwrap();
    let key = PrimaryKey::new(&request.target, &request.fields, rules, &anonymous());
    let fields = Fields::from_pairs(fields.iter().copied());
    stamps.fate(0, &Marks::new(&request, &key, ("all", rules), &fields))
}

fn url(url: &str) -> What {
    What::url(&line(&Target::parse(url).unwrap(), &Policy::default().key))
}

fn prefix(url: &str) -> What {
    let target = Target::parse(url).unwrap();
    What::prefix(&line(&target, &Policy::default().key), target.host())
}

#[test]
fn each_kind_hits_what_it_names_and_nothing_else() {
    let tagged = [("cache-tag", "Post-1, list"), ("surrogate-key", "a b"), ("cache-groups", "\"g\"")];
    for (what, hit) in [
        (What::Everything, true),
        (What::Host(host_hash("A")), true),
        (What::Host(host_hash("b")), false),
        (What::Route(hash(["all"])), true),
        (What::Route(hash(["other"])), false),
        (What::Tag(tag_hash("post-1")), true),
        (What::Tag(tag_hash("list")), true),
        (What::Tag(tag_hash("b")), true),
        (What::Tag(tag_hash("g")), true),
        (What::Tag(tag_hash("post")), false),
        (url("https://a/x/y?z=1"), true),
        (url("https://A:443/x/%79?z=1"), true),
        (url("https://a/x/y"), false),
        (url("http://a/x/y?z=1"), false),
        (prefix("https://a/x/"), true),
        (prefix("https://a/"), true),
        (prefix("https://a/x/%79"), true),
        (prefix("https://a/x/z"), false),
        (prefix("https://b/"), false),
    ] {
        for (mode, expected) in [(Mode::Hard, Fate::Gone), (Mode::Soft, Fate::Stale(secs(1)))] {
            let fate = fate(&of([stamp(1, what, mode)]), "https://a/x/y?z=1", &tagged);
            assert_eq!(fate, if hit { expected } else { Fate::Stays }, "{what:?}");
        }
    }
}

#[test]
fn what_was_asked_for_when_a_purge_was_known_is_not_hit_by_it() {
    let stamps = of([stamp(5, What::Everything, Mode::Hard)]);
    let (request, rules) = (RequestHead::new(Method::Get, "https://a/").unwrap(), Policy::default().key);
    let key = PrimaryKey::new(&request.target, &request.fields, &rules, &anonymous());
    let marks = Marks::new(&request, &key, ("all", &rules), &request.fields);
    for (generation, expected) in [(0, Fate::Gone), (4, Fate::Gone), (5, Fate::Stays), (9, Fate::Stays)] {
        assert_eq!(stamps.fate(generation, &marks), expected, "{generation}");
    }
}

#[test]
fn a_response_that_answers_other_queries_is_hit_through_each_of_them() {
    let stamps = of([stamp(1, url("https://a/x?utm=1"), Mode::Hard)]);
    let (rules, any_query) = (Policy::default().key, [("no-vary-search", "params=(\"utm\")")]);
    assert_eq!(fate_by(&stamps, "https://a/x?utm=2", &any_query, &rules), Fate::Gone);
    assert_eq!(fate_by(&stamps, "https://a/x?utm=2", &[], &rules), Fate::Stays);
    assert_eq!(fate_by(&stamps, "https://a/y?utm=1", &any_query, &rules), Fate::Stays);
}

#[test]
fn what_all_hosts_share_is_hit_by_each_of_them() {
    let rules = KeyRules { host: false, ..KeyRules::default() };
    let stamps = of([stamp(1, What::Host(host_hash("b")), Mode::Hard)]);
    assert_eq!(fate_by(&stamps, "https://a/", &[], &rules), Fate::Gone);
}

#[test]
fn the_harder_of_two_counts_and_of_two_soft_ones_the_earlier() {
    let one = stamp(1, What::Everything, Mode::Soft);
    let two = stamp(2, url("https://a/"), Mode::Soft);
    let three = stamp(3, What::Host(host_hash("a")), Mode::Hard);
    assert_eq!(fate(&of([one, two]), "https://a/", &[]), Fate::Stale(secs(1)));
    assert_eq!(fate(&of([one, two, three]), "https://a/", &[]), Fate::Gone);
    assert_eq!(
        fate(&of([three, stamp(4, What::Host(host_hash("a")), Mode::Soft)]), "https://a/", &[]),
        Fate::Gone
    );
}

#[test]
fn what_is_purged_again_takes_no_more_room() {
    let mut stamps = Stamps::default();
    for number in 1..100 {
        stamps.add(stamp(number, What::Tag(number % 2), Mode::Hard));
        stamps.add(stamp(number, What::Tag(number % 2), Mode::Soft));
    }
    assert_eq!(stamps.len(), 4);
    stamps.add(stamp(200, What::Everything, Mode::Soft));
    assert_eq!(stamps.len(), 3, "the hard ones are still harder");
    stamps.add(stamp(201, What::Everything, Mode::Hard));
    assert_eq!((stamps.len(), stamps.newest()), (1, 201));
}

#[test]
fn however_much_is_purged_the_stamps_stay_bounded_and_nothing_is_forgotten() {
    let mut stamps = Stamps::default();
    let purged: Vec<String> = (0..3000).map(|at| format!("https://a/{at}")).collect();
    for (number, one) in (1..).zip(&purged) {
        stamps.add(stamp(number, url(one), Mode::Soft));
    }
    let mut text = String::new();
    stamps.write(&mut text);
    assert!(stamps.len() <= STAMPS_MAX && text.len() < 48 << 10, "{} {}", stamps.len(), text.len());
    for one in &purged {
        assert_ne!(fate(&stamps, one, &[]), Fate::Stays, "{one}");
        assert_ne!(
            fate_by(&stamps, &format!("{one}?q"), &[("no-vary-search", "params")], &Policy::default().key),
            Fate::Stays,
            "{one}"
        );
    }
    assert_eq!(Stamps::read(&text), Some(stamps));
}

#[test]
fn a_wider_stamp_spares_what_was_stored_after_the_old_one_and_most_of_the_rest() {
    let mut stamps = Stamps::default();
    for number in 1..=STAMPS_MAX as u64 + 100 {
        stamps.add(stamp(number, What::Tag(number), Mode::Hard));
    }
    let others = (0..1000).filter(|at| fate(&stamps, &format!("https://b/{at}"), &[]) != Fate::Stays).count();
    assert!(others < 40, "{others} of 1000 are purged with the old tags");
    let cells = stamps.cells.newest();
    assert!(cells == 100, "only what is older than the old tags is purged with them: {cells}");
}

#[test]
fn too_many_prefixes_and_hosts_become_hosts_and_everything() {
    let mut stamps = Stamps::default();
    for number in 1..=STAMPS_MAX as u64 + 1 {
        stamps.add(stamp(number, prefix(&format!("https://h{number}/x/")), Mode::Hard));
    }
    assert_eq!(fate(&stamps, "https://h1/y", &[]), Fate::Gone, "all of the host of the oldest");
    assert_eq!(
        (fate(&stamps, "https://h9/y", &[]), fate(&stamps, "https://h9/x/z", &[])),
        (Fate::Stays, Fate::Gone)
    );
    for number in 1000..=1000 + WIDE_STAMPS_MAX as u64 {
        stamps.add(stamp(number, What::Host(number), Mode::Hard));
    }
    assert_eq!(
        (stamps.len() <= STAMPS_MAX + WIDE_STAMPS_MAX, fate(&stamps, "https://z/", &[])),
        (true, Fate::Gone)
    );
}

#[test]
fn what_cannot_be_read_is_none_and_what_a_later_version_means_hits_everything() {
    for text in ["U", "E!", "*B", "*_____.B", "HB.é"] {
        assert_eq!(Stamps::read(text), None, "{text}");
    }
    assert_eq!(fate(&Stamps::read("XB.C.D.E").unwrap(), "https://a/", &[]), Fate::Gone);
}

fn any_stamp() -> impl Strategy<Value = (What, Mode)> {
    let host = 0..3_u64;
    let what = prop_oneof![
        Just(What::Everything),
        host.clone().prop_map(What::Host),
        (0..3_u64).prop_map(What::Route),
        (0..2000_u64).prop_map(What::Tag),
        (0..2000_u64).prop_map(What::Group),
        (1..2000_u64, 1..50_u64).prop_map(|(line, path)| What::Url { line, path }),
        (0..2000_u64, 0..99_usize, host).prop_map(|(hash, bytes, host)| What::Prefix { hash, bytes, host }),
    ];
    (what, prop::sample::select(vec![Mode::Hard, Mode::Soft]))
}

proptest! {
    #[test]
    fn stamps_read_back_in_order(all in prop::collection::vec(any_stamp(), 0..700)) {
        let numbered = (1..).zip(&all).map(|(number, (what, mode))| stamp(number, *what, *mode));
        let stamps = of(numbered);
        let mut text = String::new();
        stamps.write(&mut text);
        let read = Stamps::read(&text).unwrap();
        prop_assert_eq!(read.newest(), all.len() as u64);
        prop_assert!(read.stamps.is_sorted_by_key(|stamp| stamp.number));
        let mut again = String::new();
        read.write(&mut again);
        prop_assert_eq!(again, text);
    }
}
