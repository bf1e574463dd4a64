//! From JSON to a [`Config`], or to everything that is wrong with it.
//!
//! Deserialising stops at the first mistake. So each is noted, the value that is wrong is taken out, and the rest is
//! read again, until it can be read. What follows from a value's absence alone is not reported.

mod check;
mod limits;
mod message;
mod problem;

use serde::Deserialize;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::sections::Config;
use crate::cache::Policy;
use crate::limit::builtin;
use crate::route::CacheSetting;

pub use problem::{KeyPath, Problem, Step};

/// How many problems are looked for.
const PROBLEMS_MAX: usize = 200;

impl Config {
    /// Reads a config.
    ///
    /// # Errors
    /// Every problem there is, in the order of their paths.
    pub fn from_json(json: &Value) -> Result<Self, Vec<Problem>> {
        let mut reading = Reading { rest: json.clone(), ..Reading::default() };
        let config = reading.read();
        let mut problems = std::mem::take(&mut reading.problems);
        if let Some(config) = &config {
            problems.extend(check::check(config, json, &reading));
        }
        problems.sort();
        problems.dedup();
        match config {
            Some(config) if problems.is_empty() => Ok(complete(config, json)),
            _ => Err(problems),
        }
    }
}

/// Puts in what a config has without saying it: the policy `tier`, and in a route's cache table the keys of
/// `[cache.default]`.
fn complete(mut config: Config, json: &Value) -> Config {
    let (name, tier) = builtin::tier();
    if config.limits.policies.get(name.as_str()).is_none() {
        config.limits.policies.set(name, tier);
    }
    let default = json.pointer("/cache/default").and_then(Value::as_object);
    for (at, route) in config.routes.iter_mut().enumerate() {
        let own = json.get("routes").and_then(|routes| routes.get(at)?.get("cache")?.as_object());
        if let (Some(default), Some(own)) = (default, own) {
            let mut whole = default.clone();
            whole.extend(own.clone());
            if let Ok(policy) = Policy::deserialize(&Value::Object(whole)) {
                route.cache = Some(CacheSetting::Policy(Box::new(policy)));
            }
        }
    }
    config
}

/// A config that is being read: what is left of it, and what was wrong so far.
#[derive(Default)]
pub(super) struct Reading {
    rest: Value,
    /// What was taken out, in the order in which it was.
    removed: Vec<KeyPath>,
    /// Keys that nobody knows, and the key that was probably meant.
    meant: Vec<KeyPath>,
    problems: Vec<Problem>,
}

impl Reading {
    fn read(&mut self) -> Option<Config> {
        while self.problems.len() < PROBLEMS_MAX {
            match serde_path_to_error::deserialize::<_, Config>(&self.rest) {
                Ok(config) => return Some(config),
                Err(error) => {
                    let steps = error.path().iter().filter_map(step).collect();
                    if !self.take_out(KeyPath(steps), &error.into_inner().to_string()) {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Notes a problem and takes the value out; tells whether there was one.
    fn take_out(&mut self, place: KeyPath, error: &str) -> bool {
        let (below, error) =
            message::split_path(error, |keys| find(&self.rest, &place.below(keys)).is_some());
        let mut place = place.below(&below);
        while find(&self.rest, &place).is_none() {
            place.0.pop();
        }
        let path = self.original(&place);
        if !self.follows(&path, error) {
            let message = message::rewrite(error);
            if let Some(meant) = message::unknown_key(error).and_then(|(_, nearest)| nearest) {
                self.meant.extend(path.parent().map(|table| table.key(meant)));
            }
            self.problems.push(Problem { path: path.clone(), message });
        }
        self.removed.push(path);
        remove(&mut self.rest, &place)
    }

    /// Whether an error says no more than that something is gone which was taken out.
    fn follows(&self, path: &KeyPath, error: &str) -> bool {
        match message::missing_field(error) {
            Some(name) => {
                let missing = path.key(name);
                self.removed.contains(&missing) || self.meant.contains(&missing)
            }
            None => !self.is_whole(path),
        }
    }

    /// Whether nothing was taken out of the value that was at this place in the file.
    pub(super) fn is_whole(&self, path: &KeyPath) -> bool {
        !self.removed.iter().any(|removed| removed.0.starts_with(&path.0))
    }

    /// The place in the file of an item of a list, of which the place in the file and the index in the rest are known.
    pub(super) fn item(&self, list: &KeyPath, at: usize) -> KeyPath {
        list.at(self.original_index(list, at))
    }

    /// Where in the file a value stands, of which the place in the rest is known: items that were taken out before it
    /// have moved it forward.
    fn original(&self, place: &KeyPath) -> KeyPath {
        let mut path = KeyPath::default();
        for step in &place.0 {
            path = match step {
                Step::Key(key) => path.key(key),
                Step::Index(at) => self.item(&path, *at),
            };
        }
        path
    }

    fn original_index(&self, list: &KeyPath, at: usize) -> usize {
        let mut gone: Vec<usize> = self
            .removed
            .iter()
            .filter_map(|removed| match removed.0.split_last()? {
                (Step::Index(index), parent) if parent == list.0 => Some(*index),
                _ => None,
            })
            .collect();
        gone.sort_unstable();
        gone.into_iter().fold(at, |at, index| if index <= at { at + 1 } else { at })
    }
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { variant } => Some(Step::Key(variant.clone())),
        Segment::Unknown => None,
    }
}

fn find<'v>(value: &'v Value, place: &KeyPath) -> Option<&'v Value> {
    place.0.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

fn remove(value: &mut Value, place: &KeyPath) -> bool {
    let Some((last, parents)) = place.0.split_last() else { return false };
    let parent = parents.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    });
    match (parent, last) {
        (Some(Value::Object(table)), Step::Key(key)) => table.remove(key).is_some(),
        (Some(Value::Array(list)), Step::Index(index)) if *index < list.len() => {
            list.remove(*index);
            true
        }
        _ => false,
    }
}
