//! Colo and KV, as far as the platform promises anything of them.

use std::collections::HashMap;

use crate::cache::StorageKey;
use crate::ports::PortError;
use crate::time::{Span, Timestamp};

use super::body::Bytes;

/// What a store holds under a key.
#[derive(Clone)]
pub struct Kept {
    pub head: String,
    pub body: Bytes,
    pub until: Timestamp,
}

/// The Cache API of every colo: bytes under a key, no Vary.
#[derive(Default)]
pub struct Colos(HashMap<(usize, StorageKey), Kept>);

impl Colos {
    pub fn get(&self, colo: usize, key: &StorageKey, now: Timestamp) -> Option<&Kept> {
        self.0.get(&(colo, *key)).filter(|kept| kept.until > now)
    }

    pub fn put(&mut self, colo: usize, key: StorageKey, kept: Kept) {
        self.0.insert((colo, key), kept);
    }

    pub fn remove(&mut self, colo: usize, key: &StorageKey) {
        self.0.remove(&(colo, *key));
    }

    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.0.values()
    }
}

/// KV takes one write a second under one key.
const WRITES_APART: Span = Span::from_secs(1);

struct Version {
    written: Timestamp,
    /// From when on each colo sees it.
    visible: Vec<Timestamp>,
    kept: Option<Kept>,
}

/// KV: one value under a key, that other colos see later.
#[derive(Default)]
pub struct Kv(HashMap<StorageKey, Vec<Version>>);

impl Kv {
    pub fn get(&self, colo: usize, key: &StorageKey, now: Timestamp) -> Option<&Kept> {
        let mut versions = self.0.get(key)?.iter().rev();
        let seen = versions.find(|version| version.visible[colo] <= now)?;
        seen.kept.as_ref().filter(|kept| kept.until > now)
    }

    /// `visible` says from when on each colo sees it.
    pub fn put(
        &mut self,
        key: StorageKey,
        kept: Option<Kept>,
        visible: Vec<Timestamp>,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let versions = self.0.entry(key).or_default();
        if versions.last().is_some_and(|last| now.since(last.written) < WRITES_APART) {
            return Err(PortError::Failed("429 Too Many Requests".into()));
        }
        // What every colo has seen replaced is gone.
        if let Some(seen) = versions.iter().rposition(|one| one.visible.iter().all(|at| *at <= now)) {
            versions.drain(..seen);
        }
        versions.push(Version { written: now, visible, kept });
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.0.values().flatten().filter_map(|version| version.kept.as_ref())
    }
}
