//! What is wrong with a config, and where.

use std::fmt;

/// One step into a config.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// An index into a list.
    Index(usize),
}

/// A place in a config: `routes[2].match.path`. Empty for the whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct KeyPath(pub Vec<Step>);

impl KeyPath {
    /// The place of this key of the whole.
    pub fn of(key: &str) -> Self {
        Self(vec![Step::Key(key.to_owned())])
    }

    /// The place of this key below, whatever characters it has.
    pub fn key(&self, key: &str) -> Self {
        self.and(Step::Key(key.to_owned()))
    }

    /// The place of the item with this index below.
    pub fn at(&self, index: usize) -> Self {
        self.and(Step::Index(index))
    }

    /// The place below with these keys and indices: `endpoints[0].weight`. An index that cannot be read is a key.
    pub fn below(&self, text: &str) -> Self {
        let parts = text.split(['.', '[']).filter(|part| !part.is_empty());
        parts.fold(self.clone(), |path, part| {
            let index = part.strip_suffix(']').and_then(|digits| digits.parse().ok());
            path.and(index.map_or_else(|| Step::Key(part.to_owned()), Step::Index))
        })
    }

    /// The place of what this is in.
    pub fn parent(&self) -> Option<Self> {
        let (_, parents) = self.0.split_last()?;
        Some(Self(parents.to_vec()))
    }

    fn and(&self, step: Step) -> Self {
        let mut path = self.clone();
        path.0.push(step);
        path
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_bare = |key: &str| {
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    f.write_str(if at > 0 { "." } else { "" })?;
                    if is_bare(key) { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub path: KeyPath,
    /// What is wrong, and after `; allowed: ` what would not be.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.0.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}
