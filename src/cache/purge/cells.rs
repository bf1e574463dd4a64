//! Old narrow stamps, together: a table of fixed size in which each stands in one cell of every row, with its number. A
//! cell keeps the highest, so a text's own number is at most the least of its cells': what is asked is answered with that
//! number or a higher one, and nothing is forgotten.

use super::stamp::What;
use crate::base64url::{push_number, read_number};

/// Rows, each of which spreads the stamps otherwise.
const ROWS: usize = 2;
/// Cells in a row.
const CELLS: usize = 1024;

/// The table; empty until the first stamp comes in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cells {
    numbers: Vec<u64>,
    newest: u64,
}

impl Cells {
    /// The highest number in it.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// Puts a stamp in.
    pub(super) fn put(&mut self, what: What, number: u64) {
        for place in places(what) {
            self.set(place, number);
        }
    }

    /// The highest number with which it can have been put in.
    pub(super) fn get(&self, what: What) -> u64 {
        places(what).map(|place| self.numbers.get(place).copied().unwrap_or(0)).min().unwrap_or(0)
    }

    fn set(&mut self, place: usize, number: u64) {
        if self.numbers.is_empty() {
            self.numbers.resize(ROWS * CELLS, 0);
        }
        if let Some(cell) = self.numbers.get_mut(place) {
            *cell = (*cell).max(number);
            self.newest = self.newest.max(number);
        }
    }

    /// A word for each cell that is not empty.
    pub(super) fn write(&self, out: &mut String) {
        for (place, number) in self.numbers.iter().enumerate().filter(|(_, number)| **number > 0) {
            out.push('*');
            push_number(out, place as u64);
            out.push('.');
            push_number(out, *number);
            out.push(' ');
        }
    }

    /// Whether a word is one of these.
    pub(super) fn is_word(word: &str) -> bool {
        word.starts_with('*')
    }

    /// Reads such a word.
    pub(super) fn read(&mut self, word: &str) -> Option<()> {
        let (place, number) = word.strip_prefix('*')?.split_once('.')?;
        let place = usize::try_from(read_number(place)?).ok().filter(|place| *place < ROWS * CELLS)?;
        self.set(place, read_number(number)?);
        Some(())
    }
}

/// Its place in each row.
fn places(what: What) -> impl Iterator<Item = usize> {
    let (kind, hash) = match what {
        What::Tag(hash) => (1, hash),
        What::Group(hash) => (2, hash),
        What::Url { line, path: 0 } => (3, line),
        What::Url { path, .. } => (4, path),
        What::Everything | What::Host(_) | What::Route(_) | What::Prefix { .. } => (5, 0),
    };
    // Multiplied, a hash is spread over its upper bits; each row takes others of them.
    let spread = (hash ^ (kind << 56)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..ROWS).map(move |row| row * CELLS + (spread >> (24 + 20 * row)) as usize % CELLS)
}
