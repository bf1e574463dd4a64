//! The object's step: a command comes in as text, the document and what else the object keeps come out. Pure; the platform
//! and the simulator call it alike.

use super::document::Document;
use crate::base64url::{push_number, read_number};
use crate::cache::purge::{Stamp, hash};
use crate::limit::lists::Entry;
use crate::time::Timestamp;

/// How many batches are remembered, so that one that is sent again is not applied again.
const BATCHES_MAX: usize = 256;
/// How many entries the audit trail has.
pub const AUDIT_ENTRIES_MAX: usize = 1000;

/// What a command is about.
const PURGE: &str = "purge";
const LIST: &str = "list";

/// A purge on its way to the object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purge {
    /// What its sender calls it; empty where it has no name.
    pub id: String,
    /// Members of a JSON object for the audit trail, without line breaks; empty where nothing is written there.
    pub entry: String,
    /// What it hits and how; numbers and times are the object's to give.
    pub stamps: Vec<Stamp>,
}

impl Purge {
    /// As a command.
    pub fn command(&self) -> String {
        [PURGE, "\n", &self.id, "\n", &self.entry, "\n", &self.words()].concat()
    }

    fn words(&self) -> String {
        let mut text = String::new();
        for stamp in &self.stamps {
            stamp.write(&mut text);
            text.push(' ');
        }
        text
    }

    fn read<'t>(mut lines: impl Iterator<Item = &'t str>) -> Option<Self> {
        let (id, entry) = (lines.next()?.to_owned(), lines.next()?.to_owned());
        let words = lines.next()?.split(' ').filter(|word| !word.is_empty());
        Some(Self { id, entry, stamps: words.map(Stamp::read).collect::<Option<_>>()? })
    }
}

/// Somebody is put on a list, or taken off it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Members of a JSON object for the audit trail, without line breaks.
    pub entry: String,
    /// Whether it is put there.
    pub adds: bool,
    /// Who, and on which list.
    pub who: Entry,
}

impl Listing {
    /// As a command.
    pub fn command(&self) -> String {
        [LIST, "\n", &self.entry, "\n", if self.adds { "+" } else { "-" }, &self.who.word()].concat()
    }

    fn read<'t>(mut lines: impl Iterator<Item = &'t str>) -> Option<Self> {
        let (entry, word) = (lines.next()?.to_owned(), lines.next()?);
        let (adds, word) = match word.strip_prefix('+') {
            Some(word) => (true, word),
            None => (false, word.strip_prefix('-')?),
        };
        Some(Self { entry, adds, who: Entry::read(word)? })
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, or was done before.
    Done {
        /// The version of the document that has it first.
        version: u64,
        /// When that was, by the object's clock.
        at: Timestamp,
    },
    /// Something else was done under that name, or there is no room, or nobody to be taken off.
    Conflict,
}

/// What the object is to keep and to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What came of it, and on the lines after that the document.
    pub answer: String,
    /// The document and the rest of the state, where they have changed.
    pub kept: Option<(String, String)>,
    /// A line for the audit trail.
    pub entry: Option<String>,
}

/// One command. `None` where it can't be read.
pub fn step(document: &str, state: &str, command: &str, now: Timestamp) -> Option<Step> {
    let known = Document::decode(document)?;
    let mut lines = command.split('\n');
    match lines.next()? {
        PURGE => Some(purge(known, document, state, Purge::read(lines)?, now)),
        LIST => Some(list(known, document, state, Listing::read(lines)?, now)),
        _ => None,
    }
}

fn list(mut known: Document, document: &str, state: &str, listing: Listing, now: Timestamp) -> Step {
    let fits = if listing.adds {
        known.lists.add(listing.who, now)
    } else {
        known.lists.remove(listing.who.list, &listing.who.who)
    };
    if !fits {
        return Step { answer: Outcome::Conflict.write(document), kept: None, entry: None };
    }
    known.grow(now);
    kept(&known, state.to_owned(), &listing.entry, now)
}

fn purge(mut known: Document, document: &str, state: &str, purge: Purge, now: Timestamp) -> Step {
    if purge.stamps.is_empty() {
        // Whoever has nothing to purge wants to know what is.
        let answer = Outcome::Done { version: known.version, at: now }.write(document);
        return Step { answer, kept: None, entry: None };
    }
    let mut batches = Batches::read(state);
    // Not who sends it: whoever tries again may come from elsewhere.
    let content = hash([&*purge.words()]);
    if let Some(batch) = batches.find(&purge.id) {
        let is_same = batch.content == content;
        let outcome =
            if is_same { Outcome::Done { version: batch.version, at: batch.at } } else { Outcome::Conflict };
        return Step { answer: outcome.write(document), kept: None, entry: None };
    }
    known.grow(now);
    for stamp in purge.stamps {
        known.purges.add(Stamp { number: known.version, at: now, ..stamp });
    }
    batches.add(&purge.id, Batch { name: 0, content, version: known.version, at: now });
    kept(&known, batches.write(), &purge.entry, now)
}

/// What is to be kept and said of a document that was changed.
fn kept(known: &Document, state: String, entry: &str, now: Timestamp) -> Step {
    let text = known.encode();
    let answer = Outcome::Done { version: known.version, at: now }.write(&text);
    let entry = (!entry.is_empty()).then(|| {
        let number = known.version.to_string();
        ["{\"at\":\"", &now.to_iso(), "\",\"number\":", &number, ",", entry, "}"].concat()
    });
    Step { answer, kept: Some((text, state)), entry }
}

impl Outcome {
    fn write(&self, document: &str) -> String {
        let mut text = String::with_capacity(document.len() + 24);
        if let Self::Done { version, at } = self {
            push_number(&mut text, *version);
            text.push(' ');
            push_number(&mut text, at.as_millis());
        }
        text.push('\n');
        text.push_str(document);
        text
    }

    /// Reads an answer: what came of the command, and the document.
    pub fn read(answer: &str) -> Option<(Self, &str)> {
        let (line, document) = answer.split_once('\n')?;
        let outcome = match line.split_once(' ') {
            Some((version, at)) => {
                let at = Timestamp::from_millis(read_number(at)?);
                Self::Done { version: read_number(version)?, at }
            }
            None => Self::Conflict,
        };
        Some((outcome, document))
    }
}

#[derive(Debug, Clone, Copy)]
struct Batch {
    name: u64,
    content: u64,
    version: u64,
    at: Timestamp,
}

/// The latest batches that have a name, the latest last.
struct Batches(Vec<Batch>);

impl Batches {
    fn find(&self, id: &str) -> Option<&Batch> {
        let name = hash([id]);
        self.0.iter().find(|batch| !id.is_empty() && batch.name == name)
    }

    fn add(&mut self, id: &str, batch: Batch) {
        if !id.is_empty() {
            self.0.push(Batch { name: hash([id]), ..batch });
        }
        if self.0.len() > BATCHES_MAX {
            self.0.remove(0);
        }
    }

    fn write(&self) -> String {
        let mut text = String::new();
        for batch in &self.0 {
            for number in [batch.name, batch.content, batch.version, batch.at.as_millis()] {
                push_number(&mut text, number);
                text.push(' ');
            }
        }
        text
    }

    fn read(text: &str) -> Self {
        let mut numbers = text.split(' ').map_while(read_number);
        let mut next = move || {
            let [name, content, version] = [numbers.next()?, numbers.next()?, numbers.next()?];
            Some(Batch { name, content, version, at: Timestamp::from_millis(numbers.next()?) })
        };
        Self(std::iter::from_fn(&mut next).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::purge::{Mode, What};

    const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);

    fn purge(id: &str, tag: u64) -> String {
        let stamp = Stamp { number: 0, what: What::Tag(tag), mode: Mode::Hard, at: Timestamp::default() };
        Purge { id: id.into(), entry: "\"by\":1".into(), stamps: vec![stamp] }.command()
    }

    /// An object as its storage has it.
    #[derive(Default)]
    struct Object(String, String, Vec<String>);

    impl Object {
        fn take(&mut self, command: &str, now: Timestamp) -> Outcome {
            let step = step(&self.0, &self.1, command, now).unwrap();
            if let Some((document, state)) = step.kept {
                (self.0, self.1) = (document, state);
            }
            self.2.extend(step.entry);
            let (outcome, document) = Outcome::read(&step.answer).unwrap();
            assert_eq!(document, self.0, "whoever asks gets the document as it is now");
            outcome
        }
    }

    #[test]
    fn numbers_grow_also_when_the_object_has_lost_everything() {
        let mut object = Object::default();
        let Outcome::Done { version: first, .. } = object.take(&purge("", 1), NOW) else { panic!() };
        let Outcome::Done { version: next, .. } = object.take(&purge("", 2), NOW) else { panic!() };
        assert_eq!((first, next), (NOW.as_millis(), first + 1));
        let later = Timestamp::from_secs(1_789_000_001);
        let Outcome::Done { version, .. } = Object::default().take(&purge("", 1), later) else { panic!() };
        assert!(version > next);
    }

    #[test]
    fn a_batch_that_is_sent_again_gets_the_same_answer_and_is_not_applied_again() {
        let mut object = Object::default();
        let first = object.take(&purge("deploy-1", 1), NOW);
        object.take(&purge("deploy-2", 2), NOW);
        let document = object.0.clone();
        assert_eq!(object.take(&purge("deploy-1", 1), Timestamp::from_secs(1_789_000_100)), first);
        assert_eq!(object.take(&purge("deploy-1", 3), NOW), Outcome::Conflict);
        assert_eq!((object.0, object.2.len()), (document, 2));
    }

    #[test]
    fn the_batches_that_are_remembered_are_bounded() {
        let mut object = Object::default();
        for at in 0..=BATCHES_MAX {
            object.take(&purge(&at.to_string(), 7), NOW);
        }
        assert_eq!(Batches::read(&object.1).0.len(), BATCHES_MAX);
        assert!(object.1.len() < 16 << 10, "{}", object.1.len());
    }

    #[test]
    fn the_audit_trail_says_what_was_done_and_when() {
        let mut object = Object::default();
        object.take(&purge("", 1), NOW);
        assert_eq!(object.2, [r#"{"at":"2026-09-10T00:26:40Z","number":1789000000000,"by":1}"#]);
    }

    #[test]
    fn who_is_put_on_a_list_is_there_until_it_is_taken_off() {
        fn listing(adds: bool, word: &str) -> Listing {
            Listing { entry: "\"by\":1".into(), adds, who: Entry::read(word).unwrap() }
        }
        let mut object = Object::default();
        object.take(&purge("", 1), NOW);
        let Outcome::Done { version: first, .. } =
            object.take(&listing(true, "d192.0.2.0/24").command(), NOW)
        else {
            panic!()
        };
        object.take(&listing(true, "akey:3f2a9c1b@1789000060").command(), NOW);
        object.take(&listing(false, "d192.0.2.0/24").command(), NOW);
        let document = Document::decode(&object.0).unwrap();
        assert_eq!((document.version, document.purges.newest()), (first + 2, first - 1));
        let words: Vec<String> = document.lists.iter(NOW).map(Entry::word).collect();
        assert_eq!((words, object.2.len()), (vec!["akey:3f2a9c1b@1789000060".to_owned()], 4));
        for at in 1..1000_u32 {
            let word = format!("d{}", std::net::Ipv4Addr::from(at));
            assert_ne!(object.take(&listing(true, &word).command(), NOW), Outcome::Conflict);
        }
        assert_eq!(object.take(&listing(true, "d192.0.2.1").command(), NOW), Outcome::Conflict, "no room");
        assert!(object.0.len() < 64 << 10, "{}", object.0.len());
    }

    #[test]
    fn what_is_no_command_changes_nothing() {
        for command in [
            "",
            "list\n\n",
            "list\n\nd192.0.2.1",
            "list\n\n+x",
            "purge",
            "purge\n\n",
            "flush\n\n\n",
            "purge\n\n\n!",
        ] {
            assert_eq!(step("", "", command, NOW), None, "{command:?}");
        }
    }
}
