//! The two containers of which counters are made: numbers by index and values by name.

use std::rc::Rc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Indices that a [`Tally`] holds; nothing counted here needs more.
const MAX_INDICES: usize = 256;
/// Names that a [`Named`] holds; later ones are counted together under [`OTHER`].
pub(super) const MAX_NAMES: usize = 64;
/// Bytes that are kept of a name.
const MAX_NAME_BYTES: usize = 128;
/// The name for what found no room.
pub(super) const OTHER: &str = "other";

/// Numbers by index, as long as the highest index that was counted. It is written as `[index, number, ...]`
/// without the zeros: an older and a newer version understand each other where indices are only added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally(Vec<u64>);

impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counted = self.iter().filter(|(_, n)| *n > 0);
        let flat: Vec<u64> = counted.flat_map(|(index, n)| [index as u64, n]).collect();
        flat.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tally {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut tally = Self::default();
        for pair in Vec::<u64>::deserialize(deserializer)?.chunks_exact(2) {
            if let [index, n] = *pair {
                tally.add(usize::try_from(index).unwrap_or(MAX_INDICES), n);
            }
        }
        Ok(tally)
    }
}

impl Tally {
    /// Adds `n` at `index`; an index past the bound counts at the last one.
    pub fn add(&mut self, index: usize, n: u64) {
        let index = index.min(MAX_INDICES - 1);
        if n > 0 && self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        if let Some(count) = self.0.get_mut(index) {
            *count = count.saturating_add(n);
        }
    }

    /// The number at `index`.
    pub fn get(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }

    /// The sum over all indices.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Every index and its number, zeros included, up to the highest that was counted.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().copied().enumerate()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What can be added to another of its kind.
pub trait Merge: Default {
    /// Adds `other` to `self`: the order of merging never matters.
    fn merge(&mut self, other: &Self);
}

impl Merge for Tally {
    fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(index, n)| self.add(index, n));
    }
}

impl Merge for u64 {
    fn merge(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }
}

/// Values under the first [`MAX_NAMES`] names that come; what comes later is put under `other`. A list and
/// not a map: it is short, and a request looks up three names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Named<T>(Vec<(Rc<str>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Named<T> {
    /// Every value, to be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

impl<T: Merge> Named<T> {
    /// Adds `value` under `name`.
    pub fn add(&mut self, name: &str, value: &T) {
        if let Some(held) = self.entry(name) {
            held.merge(value);
        }
    }

    /// The value under `name`, or under `other` where there is no room for one more. Always there.
    pub(super) fn entry(&mut self, name: &str) -> Option<&mut T> {
        let name = name.get(..name.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or(OTHER);
        let at = match self.position(name) {
            Some(at) => at,
            None if self.0.len() < MAX_NAMES => self.push(name),
            None => self.position(OTHER).unwrap_or_else(|| self.push(OTHER)),
        };
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// The value under two names, none of which has a space in it, as [`Self::entry`] under the one that they make.
    pub(super) fn pair(&mut self, one: &str, other: &str) -> Option<&mut T> {
        let is_pair = |held: &str| {
            held.strip_prefix(one).and_then(|rest| rest.strip_prefix(' ')).is_some_and(|rest| rest == other)
        };
        match self.0.iter().position(|(held, _)| is_pair(held)) {
            Some(at) => self.0.get_mut(at).map(|(_, value)| value),
            None => self.entry(&[one, " ", other].concat()),
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(held, _)| **held == *name)
    }

    fn push(&mut self, name: &str) -> usize {
        self.0.push((name.into(), T::default()));
        self.0.len() - 1
    }

    /// The value under `name`, where there is one.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(held, _)| **held == *name).map(|(_, value)| value)
    }

    /// Every name and its value, in the order of their first appearance.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Merge> Merge for Named<T> {
    fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(name, value)| self.add(name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_as_long_as_its_highest_index_and_never_longer_than_its_bound() {
        let mut tally = Tally::default();
        tally.add(9, 0);
        assert!(tally.is_empty());
        tally.add(2, 3);
        assert_eq!(serde_json::to_string(&tally).unwrap(), "[2,3]");
        assert_eq!(serde_json::from_str::<Tally>("[2,3]").unwrap(), tally);
        tally.add(usize::MAX, 1);
        assert_eq!((tally.get(MAX_INDICES - 1), tally.total()), (1, 4));
    }

    #[test]
    fn names_past_the_bound_are_counted_together() {
        let mut named = Named::<u64>::default();
        for at in 0..1000 {
            named.add(&format!("route-{at}"), &1);
        }
        assert_eq!(named.iter().count(), MAX_NAMES + 1);
        assert_eq!(named.get(OTHER), Some(&(1000 - MAX_NAMES as u64)));
        assert_eq!(named.iter().map(|(_, n)| n).sum::<u64>(), 1000);
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let mut named = Named::<u64>::default();
        named.add(&"é".repeat(100), &1);
        assert_eq!(named.iter().next().unwrap().0, "é".repeat(64));
    }
}
