//! Purging: which of the stored responses a person, or a write somewhere in the fleet, has put an end to.
//!
//! A purge is a [`Stamp`]: what it hits, and a number that the fleet's object counts up. A stored response carries the
//! number that its isolate knew when the origin was *asked* for it ([`super::StoredHead::generation`]), and is hit by every
//! stamp that fits it and has a higher number. So whoever is behind purges too much and never too little, and no clock is
//! compared with another. What is stored is not touched by a purge: it costs the same whatever there is.
//!
//! [`Stamps`] is bounded, and forgets nothing: see [`Stamps::add`].

mod cells;
mod marks;
mod stamp;

use crate::time::Timestamp;
use cells::Cells;
pub use marks::{Marks, TAG_FIELDS, host_hash, tag_hash, tags};
pub use stamp::{Mode, Stamp, What, hash};

/// How many narrow stamps are kept as they are: of URLs, prefixes, tags and groups.
pub const STAMPS_MAX: usize = 512;
/// The same for wide ones: of hosts and routes.
const WIDE_STAMPS_MAX: usize = 256;

/// What a purge makes of a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Stays,
    /// It is stale from this moment on.
    Stale(Timestamp),
    /// It is never served again.
    Gone,
}

impl Fate {
    /// The harder of two.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Gone, _) | (_, Self::Gone) => Self::Gone,
            (Self::Stays, fate) | (fate, Self::Stays) => fate,
            (Self::Stale(one), Self::Stale(other)) => Self::Stale(one.min(other)),
        }
    }
}

/// All purges that could still hit something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamps {
    /// The latest last.
    stamps: Vec<Stamp>,
    /// Those that no longer stand alone.
    cells: Cells,
}

impl Stamps {
    /// The number of the latest purge; 0 where there was none.
    pub fn newest(&self) -> u64 {
        self.stamps.last().map_or(0, |stamp| stamp.number).max(self.cells.newest())
    }

    /// How many stand alone.
    pub fn len(&self) -> usize {
        self.stamps.len()
    }

    /// Whether nothing was ever purged.
    pub fn is_empty(&self) -> bool {
        self.stamps.is_empty() && self.cells.newest() == 0
    }

    /// Adds a stamp whose number is the highest. What it outdoes goes. Where there are too many, the oldest narrow one
    /// becomes wider: of a prefix, its host; of a URL, a tag or a group, the cells that it shares with others; of a host or
    /// a route, everything. Each keeps its number, so that only what is older than it is hit with it.
    pub fn add(&mut self, stamp: Stamp) {
        self.stamps.retain(|known| !stamp.outdoes(known));
        if stamp.what == What::Everything && stamp.mode == Mode::Hard {
            self.cells = Cells::default();
        }
        self.stamps.push(stamp);
        let count =
            |all: &[Stamp], narrow| all.iter().filter(|stamp| stamp.what.is_narrow() == narrow).count();
        while count(&self.stamps, true) > STAMPS_MAX {
            self.widen(true);
        }
        while count(&self.stamps, false) > WIDE_STAMPS_MAX {
            self.widen(false);
        }
    }

    /// Makes the oldest narrow one wider, or the oldest wide one.
    fn widen(&mut self, narrow: bool) {
        // What hits everything is not to be widened: there would never be less.
        let fits = |stamp: &Stamp| stamp.what.is_narrow() == narrow && stamp.what != What::Everything;
        let Some(place) = self.stamps.iter().position(fits) else { return };
        let old = self.stamps.remove(place);
        let wider = match old.what {
            What::Url { line, path } => {
                self.cells.put(What::Url { line, path: 0 }, old.number);
                return self.cells.put(What::Url { line: 0, path }, old.number);
            }
            What::Tag(_) | What::Group(_) => return self.cells.put(old.what, old.number),
            What::Prefix { host, .. } => What::Host(host),
            What::Host(_) | What::Route(_) | What::Everything => What::Everything,
        };
        // In its own place: the numbers go on growing.
        let wide = Stamp { what: wider, mode: Mode::Hard, ..old };
        let before = |stamp: &Stamp| stamp.number <= wide.number;
        self.stamps.retain(|known| !(before(known) && wide.outdoes(known)));
        let is_known = self.stamps.iter().any(|known| known.number >= wide.number && known.outdoes(&wide));
        if !is_known {
            let place = self.stamps.iter().position(|stamp| stamp.number > wide.number);
            self.stamps.insert(place.unwrap_or(self.stamps.len()), wide);
        }
    }

    /// What becomes of a stored response of this generation, which has these marks.
    pub fn fate(&self, generation: u64, marks: &Marks<'_>) -> Fate {
        if self.newest() <= generation {
            return Fate::Stays;
        }
        let later = self.stamps.iter().rev().take_while(|stamp| stamp.number > generation);
        let hits = later.filter(|stamp| marks.have(&stamp.what)).map(Stamp::fate);
        let fate = hits.fold(Fate::Stays, Fate::and);
        let is_gone = fate != Fate::Gone
            && self.cells.newest() > generation
            && marks.of_cells().any(|what| self.cells.get(what) > generation);
        if is_gone { Fate::Gone } else { fate }
    }

    /// As text without line breaks, readable by [`Self::read`].
    pub fn write(&self, out: &mut String) {
        for stamp in &self.stamps {
            stamp.write(out);
            out.push(' ');
        }
        self.cells.write(out);
    }

    /// Reads what [`Self::write`] wrote. `None` where it is broken.
    pub fn read(text: &str) -> Option<Self> {
        let mut stamps = Self::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            match Cells::is_word(word) {
                true => stamps.cells.read(word)?,
                false => stamps.stamps.push(Stamp::read(word)?),
            }
        }
        Some(stamps)
    }
}

#[cfg(test)]
mod tests;
