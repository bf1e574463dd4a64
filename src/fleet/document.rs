//! The document, as one text: a line with its version, then a line for each section.

use crate::base64url::{push_number, read_number};
use crate::cache::Stamps;
use crate::limit::lists::Lists;
use crate::time::Timestamp;

/// Stands before the version; another form begins otherwise.
const FORM: &str = "1F";
/// Stands before the purges.
const PURGES: char = 'P';
/// Stands before who is on the lists.
const LISTS: char = 'L';

/// What the fleet shares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// Grows with every change. Purges are numbered by it.
    pub version: u64,
    /// What was purged.
    pub purges: Stamps,
    /// Who was put on the deny and the allow list.
    pub lists: Lists,
    /// Sections of a later version of tidegate, as they came: an object that does not know them keeps them.
    unknown: Vec<String>,
}

impl Document {
    /// Counts a change. The first version is a moment, so that an object that lost everything goes on with higher numbers.
    pub fn grow(&mut self, now: Timestamp) {
        self.version = if self.version == 0 { now.as_millis() } else { self.version + 1 };
    }

    /// The text, readable by [`Self::decode`].
    pub fn encode(&self) -> String {
        let mut text = String::from(FORM);
        push_number(&mut text, self.version);
        text.push('\n');
        text.push(PURGES);
        self.purges.write(&mut text);
        if !self.lists.is_empty() {
            text.push('\n');
            text.push(LISTS);
            self.lists.write(&mut text);
        }
        for line in &self.unknown {
            text.push('\n');
            text.push_str(line);
        }
        text
    }

    /// Reads a text. `None` where it is broken; the empty one is the document at its beginning.
    pub fn decode(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let mut document = Self { version: Self::version_of(text)?, ..Self::default() };
        for line in text.lines().skip(1) {
            match (line.strip_prefix(PURGES), line.strip_prefix(LISTS)) {
                (Some(purges), _) => document.purges = Stamps::read(purges)?,
                (_, Some(lists)) => document.lists = Lists::read(lists)?,
                _ => document.unknown.push(line.to_owned()),
            }
        }
        Some(document)
    }

    /// The version of a text, without reading the rest.
    pub fn version_of(text: &str) -> Option<u64> {
        read_number(text.lines().next()?.strip_prefix(FORM)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_added_is_kept_by_an_earlier_one() {
        let text = "1FBk\nPEAB\nZwhatever it is";
        let mut document = Document::decode(text).unwrap();
        assert_eq!((document.version, document.purges.newest()), (100, 1));
        document.lists = Lists::read("d192.0.2.1").unwrap();
        assert_eq!(document.encode(), "1FBk\nPEB \nLd192.0.2.1\nZwhatever it is");
        assert!(document.encode().ends_with("\nZwhatever it is"));
        assert_eq!(Document::decode(&document.encode()), Some(document));
    }

    #[test]
    fn what_is_no_document_is_none() {
        assert_eq!(Document::decode(""), Some(Document::default()));
        for text in ["2FB", "1F", "1F ", "x", "1FB\nP!", "1FB\nLx"] {
            assert_eq!(Document::decode(text), None, "{text:?}");
        }
    }
}
