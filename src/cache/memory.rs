//! The isolate's own layer: heads and opaque bodies, bounded by bytes, resistant to scans.

use std::rc::Rc;

use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use super::key::PrimaryKey;
use super::purge::Fate;
use super::stored::StoredHead;
use crate::size::Size;
use crate::time::Timestamp;

/// What an entry costs besides its texts and bodies, in bytes.
const ENTRY_BYTES: u64 = 256;

/// How large an entry is thought to be when room for the table is made, in bytes.
const ENTRY_BYTES_GUESS: u64 = 16 << 10;

/// One response in memory.
#[derive(Debug, Clone)]
pub struct Held<B> {
    /// Its head.
    pub head: Rc<StoredHead>,
    /// Its body; whatever the platform keeps bodies in.
    pub body: B,
    body_bytes: u64,
    /// Up to which purge it was judged.
    judged: u64,
}

impl<B> AsRef<StoredHead> for Held<B> {
    fn as_ref(&self) -> &StoredHead {
        &self.head
    }
}

impl<B> Held<B> {
    /// Whether there was a purge since it was judged last, of which this is the number.
    pub fn is_unjudged(&self, newest: u64) -> bool {
        self.judged < newest
    }

    fn bytes(&self) -> u64 {
        self.body_bytes + self.head.fields.byte_len() as u64 + ENTRY_BYTES
    }
}

#[derive(Debug, Clone)]
struct Bytes;

impl<B> Weighter<Box<str>, Vec<Held<B>>> for Bytes {
    fn weight(&self, key: &Box<str>, variants: &Vec<Held<B>>) -> u64 {
        variants.iter().map(Held::bytes).sum::<u64>() + key.len() as u64
    }
}

/// All that one isolate holds: under each primary key its variants, the latest first.
pub struct Memory<B: Clone> {
    entries: Cache<Box<str>, Vec<Held<B>>, Bytes>,
}

impl<B: Clone> Memory<B> {
    /// Room for so many bytes of heads and bodies.
    pub fn new(bytes_max: Size) -> Self {
        let entries = usize::try_from(bytes_max.bytes() / ENTRY_BYTES_GUESS).unwrap_or(0).max(16);
        Self { entries: Cache::with_weighter(entries, bytes_max.bytes(), Bytes) }
    }

    /// The variants of this key.
    pub fn get(&self, key: &PrimaryKey) -> &[Held<B>] {
        self.entries.get(key.as_str()).map_or(&[], Vec::as_slice)
    }

    /// Stores a response whose body has so many bytes, in the place of the variant that was selected by the same
    /// fields. The oldest variants beyond `variants_max` go.
    pub fn insert(
        &mut self,
        key: &PrimaryKey,
        head: StoredHead,
        body: B,
        body_bytes: u64,
        variants_max: usize,
    ) {
        let mut variants = self.entries.peek(key.as_str()).cloned().unwrap_or_default();
        variants.retain(|held| held.head.selecting != head.selecting);
        let judged = head.generation;
        variants.insert(0, Held { head: Rc::new(head), body, body_bytes, judged });
        variants.truncate(variants_max.max(1));
        self.entries.insert(key.as_str().into(), variants);
    }

    /// Gives the variant that was selected by the same fields this new head; tells whether there is one.
    pub fn freshen(&mut self, key: &PrimaryKey, head: StoredHead) -> bool {
        let Some(mut variants) = self.entries.get_mut(key.as_str()) else { return false };
        let Some(held) = variants.iter_mut().find(|held| held.head.selecting == head.selecting) else {
            return false;
        };
        held.judged = head.generation;
        held.head = Rc::new(head);
        true
    }

    /// Judges the variants of this key by all purges up to this one: what is gone goes.
    pub fn judge(
        &mut self,
        key: &PrimaryKey,
        newest: u64,
        now: Timestamp,
        fate: impl Fn(&StoredHead) -> Fate,
    ) {
        let Some(mut variants) = self.entries.get_mut(key.as_str()) else { return };
        variants.retain_mut(|held| {
            held.judged = held.judged.max(newest);
            match fate(&held.head) {
                Fate::Gone => return false,
                Fate::Stale(since) => Rc::make_mut(&mut held.head).end_at(since, now),
                Fate::Stays => {}
            }
            true
        });
    }

    /// Removes the variant in whose place this response comes.
    pub fn displace(&mut self, key: &PrimaryKey, head: &StoredHead) {
        if let Some(mut variants) = self.entries.get_mut(key.as_str()) {
            variants.retain(|held| held.head.selecting != head.selecting);
        }
    }

    /// Removes every variant of this key; tells whether there was one.
    pub fn remove(&mut self, key: &PrimaryKey) -> bool {
        self.entries.remove(key.as_str()).is_some()
    }

    /// The bytes that are held.
    pub fn bytes(&self) -> u64 {
        self.entries.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Policy;
    use crate::cache::testing::{anonymous, get, secs, stored};
    use crate::head::Target;

    fn key(path: &str) -> PrimaryKey {
        let target = Target::parse(&format!("http://a/{path}")).unwrap();
        PrimaryKey::new(&target, &crate::head::Fields::new(), &Policy::default().key, &anonymous())
    }

    fn head(foo: &str, fields: &[(&str, &str)]) -> StoredHead {
        let fields: Vec<_> =
            fields.iter().copied().chain([("cache-control", "max-age=9"), ("vary", "foo")]).collect();
        stored(&get(&[("foo", foo)]), &fields, &Policy::default(), secs(0))
    }

    #[test]
    fn a_key_holds_several_variants_the_latest_first() {
        let mut memory = Memory::new(Size::from_kib(64));
        for (foo, body) in [("1", "a"), ("2", "b"), ("1", "c"), ("3", "d")] {
            memory.insert(&key("x"), head(foo, &[]), body, 1, 2);
        }
        assert_eq!(memory.get(&key("x")).iter().map(|held| held.body).collect::<Vec<_>>(), ["d", "c"]);
        assert!(memory.get(&key("y")).is_empty());
        assert!(memory.freshen(&key("x"), head("1", &[("etag", "new")])));
        assert!(!memory.freshen(&key("x"), head("9", &[])) && !memory.freshen(&key("y"), head("1", &[])));
        assert_eq!(memory.get(&key("x"))[1].head.fields.get("etag"), Some("new"));
        memory.displace(&key("x"), &head("1", &[]));
        assert_eq!(memory.get(&key("x")).iter().map(|held| held.body).collect::<Vec<_>>(), ["d"]);
        assert!(memory.remove(&key("x")) && !memory.remove(&key("x")));
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn the_bytes_held_stay_below_the_bound() {
        let mut memory = Memory::new(Size::from_kib(64));
        for at in 0..500 {
            memory.insert(&key(&at.to_string()), head("1", &[]), (), 1024 * (at % 7), 4);
            assert!(memory.bytes() <= 64 << 10, "{at}");
        }
        memory.insert(&key("huge"), head("1", &[]), (), 1 << 20, 4);
        assert!(memory.get(&key("huge")).is_empty() && memory.bytes() <= 64 << 10);
    }

    #[test]
    fn a_scan_does_not_push_out_what_is_asked_for_again_and_again() {
        let mut memory = Memory::new(Size::from_kib(64));
        let hot: Vec<PrimaryKey> = (0..8).map(|at| key(&format!("hot{at}"))).collect();
        for one in &hot {
            memory.insert(one, head("1", &[]), (), 1024, 4);
        }
        for round in 0..1000 {
            if round % 4 == 0 {
                assert!(hot.iter().all(|one| !memory.get(one).is_empty()), "{round}");
            }
            memory.insert(&key(&format!("cold{round}")), head("1", &[]), (), 1024, 4);
        }
    }
}
