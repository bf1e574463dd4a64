//! Lists: a table that is looked up from its start, and sorting by insertion and by a heap. The library's trees and sorts
//! are made for thousands, and cost kilobytes of wasm for each type.

use std::borrow::Borrow;
use std::collections::BinaryHeap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Values by name, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dict<K, V>(Vec<(K, V)>);

impl<K, V> Default for Dict<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Borrow<str>, V> Dict<K, V> {
    /// Where a name stands.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(known, _)| known.borrow() == name)
    }

    /// A name as it is held, and its value.
    pub fn entry(&self, name: &str) -> Option<(&K, &V)> {
        self.iter().find(|(known, _)| (*known).borrow() == name)
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.entry(name).map(|(_, value)| value)
    }

    /// The value of a name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        let at = self.position(name)?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Gives a name this value, in the place of the one that it had.
    pub fn set(&mut self, name: K, value: V) {
        match self.position(name.borrow()).and_then(|at| self.0.get_mut(at)) {
            Some(entry) => *entry = (name, value),
            None => self.0.push((name, value)),
        }
    }

    /// Takes a name out.
    pub fn remove(&mut self, name: &str) -> Option<V> {
        self.position(name).map(|at| self.0.remove(at).1)
    }
}

impl<K, V> Dict<K, V> {
    /// All, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// All, as they are held.
    pub fn as_slice(&self) -> &[(K, V)] {
        &self.0
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Keeps what `wanted` says yes to.
    pub fn retain(&mut self, wanted: impl Fn(&V) -> bool) {
        self.0.retain(|(_, value)| wanted(value));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V> IntoIterator for Dict<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K, V> FromIterator<(K, V)> for Dict<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<K: Serialize, V: Serialize> Serialize for Dict<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Dict<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Table<K, V> {
            type Value = Dict<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dict<K, V>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Dict(entries))
            }
        }

        deserializer.deserialize_map(Table(PhantomData))
    }
}

/// Sorts by insertion, stably. For lists that nobody outside makes long: it takes the square of their length.
pub fn sort_short<T>(list: &mut [T], is_before: impl Fn(&T, &T) -> bool) {
    for end in 1..list.len() {
        for at in (0..end).rev() {
            match list.get_mut(at..=at + 1) {
                Some([left, right]) if is_before(right, left) => std::mem::swap(left, right),
                _ => break,
            }
        }
    }
}

/// Sorts what a client sends: texts, each with a number that tells apart or orders equal ones. One copy for all.
#[inline(never)]
pub fn sort_texts(list: &mut Vec<(&str, usize)>) {
    sort(list);
}

/// Sorts what may be long, whoever made it, by a heap: a tenth of the code of the standard library's other sorts.
pub fn sort<T: Ord>(list: &mut Vec<T>) {
    *list = BinaryHeap::from(std::mem::take(list)).into_sorted_vec();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_table_reads_back_and_holds_each_name_once() {
        let mut table: Dict<String, u8> = serde_json::from_str(r#"{"b":1,"a":2}"#).unwrap();
        table.set("b".into(), 3);
        table.set("c".into(), 4);
        assert_eq!((table.remove("a"), table.get("a"), table.get("b")), (Some(2), None, Some(&3)));
        assert_eq!(serde_json::to_string(&table).unwrap(), r#"{"b":3,"c":4}"#);
    }

    proptest! {
        #[test]
        fn short_lists_are_sorted_as_by_the_library(
            mut list in prop::collection::vec((0..5_u8, any::<u8>()), 0..20),
        ) {
            let mut expected = list.clone();
            expected.sort_by_key(|(key, _)| *key);
            sort_short(&mut list, |a, b| a.0 < b.0);
            prop_assert_eq!(list, expected);
        }
    }
}
