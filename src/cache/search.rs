//! No-Vary-Search (draft-ietf-httpbis-no-vary-search): a stored response says which differences between queries do not
//! matter, and answers requests that differ in nothing else.
//!
//! The rule stands in a response, so an isolate has to remember it to look up the next request: [`Searches`] does so for
//! a bounded number of paths. Only the memory layer is keyed by it. The others are keyed by the whole URL, as a rule that
//! another isolate does not know would hide from it what is to be invalidated.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::key::PrimaryKey;
use super::stored::StoredHead;
use super::structured::{self, Item};
use crate::head::Fields;
use crate::list::sort_texts;
use crate::time::Timestamp;

/// For how many paths a rule is remembered.
const RULES_MAX: usize = 256;

/// Which differences between queries do not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variance {
    /// The order of differently named parameters.
    order: bool,
    /// These parameters, or all but these.
    params: Params,
}

/// Parameters that do not matter, by their decoded names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Params {
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl Default for Params {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

impl Variance {
    /// What a response says. `None` where everything matters, or the field is broken.
    pub fn of(fields: &Fields) -> Option<Self> {
        let mut variance = Self::default();
        let mut except = None;
        for (name, item) in structured::dictionary(&fields.combined("no-vary-search")?)? {
            match (name.as_str(), item) {
                ("key-order", Item::Boolean(order)) => variance.order = order,
                ("params", Item::Boolean(true)) => variance.params = Params::AllBut(Vec::new()),
                ("params", Item::Boolean(false)) => {}
                ("params", Item::Texts(names)) => variance.params = Params::Only(all_decoded(&names)),
                ("except", Item::Texts(names)) => except = Some(all_decoded(&names)),
                ("key-order" | "params" | "except", _) => return None,
                _ => {}
            }
        }
        match (except, &mut variance.params) {
            (None, _) => {}
            (Some(names), Params::AllBut(matter)) => *matter = names,
            (Some(_), Params::Only(_)) => return None,
        }
        (variance != Self::default()).then_some(variance)
    }

    fn matters(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|one| one == name);
        match &self.params {
            Params::Only(names) => !named(names),
            Params::AllBut(names) => named(names),
        }
    }

    /// What of a query matters, in the form in which two are compared. Differences in the way of escaping are kept: they
    /// cost a hit at most.
    fn rest(&self, query: &str) -> String {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let named = pairs.map(|pair| (decoded(pair.split('=').next().unwrap_or_default()), pair));
        let kept: Vec<(String, &str)> = named.filter(|(name, _)| self.matters(name)).collect();
        let mut order: Vec<(&str, usize)> = kept.iter().map(|(name, _)| name.as_str()).zip(0..).collect();
        if self.order {
            sort_texts(&mut order);
        }
        let mut rest = String::with_capacity(query.len());
        for (_, pair) in order.iter().filter_map(|(_, at)| kept.get(*at)) {
            rest.push('&');
            rest.push_str(pair);
        }
        rest
    }
}

fn all_decoded(names: &[String]) -> Vec<String> {
    names.iter().map(|name| decoded(name)).collect()
}

/// A parameter's name as a form is read (`application/x-www-form-urlencoded`), in a query and in a rule ("parse a key").
fn decoded(name: &str) -> String {
    percent_decode_str(&name.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// The rules that an isolate has seen.
#[derive(Debug, Default)]
pub struct Searches {
    /// The latest one last.
    rules: Vec<Rule>,
    /// How many were learned so far.
    learned: u64,
}

#[derive(Debug)]
struct Rule {
    /// The key up to its query.
    path: Box<str>,
    variance: Variance,
    /// Tells it from a rule for the same path that was forgotten, whose responses are no longer found.
    number: u64,
    /// When one of its queries was written to. What another layer kept from before answers no other query.
    written: Option<Timestamp>,
}

impl Searches {
    /// The key under which memory would hold the response to a request with this one.
    pub fn key<'k>(&self, key: &'k PrimaryKey) -> Cow<'k, PrimaryKey> {
        if self.rules.is_empty() {
            return Cow::Borrowed(key);
        }
        let (path, query, rest) = parts(key.as_str());
        match self.rules.iter().find(|rule| *rule.path == *path) {
            Some(rule) => {
                let mark = ["\nn", &rule.number.to_string(), ":", &rule.variance.rest(query)].concat();
                Cow::Owned(PrimaryKey::from_text([path, rest, &mark].concat()))
            }
            None => Cow::Borrowed(key),
        }
    }

    /// Learns the rule of a response that is about to be stored in memory, and tells its key there. The latest response
    /// of a path is right.
    pub fn learn<'k>(&mut self, key: &'k PrimaryKey, head: &StoredHead) -> Cow<'k, PrimaryKey> {
        let variance = Variance::of(&head.fields);
        if self.rules.is_empty() && variance.is_none() {
            return Cow::Borrowed(key);
        }
        let (path, ..) = parts(key.as_str());
        let known = self.rules.iter().position(|rule| *rule.path == *path);
        match (known.and_then(|at| self.rules.get(at)), variance) {
            (Some(rule), Some(variance)) if rule.variance == variance => {
                if rule.written.is_some_and(|at| head.response_time <= at) {
                    return Cow::Borrowed(key);
                }
            }
            (_, variance) => self.replace(known, path, variance),
        }
        self.key(key)
    }

    fn replace(&mut self, known: Option<usize>, path: &str, variance: Option<Variance>) {
        if let Some(at) = known {
            self.rules.remove(at);
        } else if self.rules.len() >= RULES_MAX {
            self.rules.remove(0);
        }
        if let Some(variance) = variance {
            self.learned += 1;
            self.rules.push(Rule { path: path.into(), variance, number: self.learned, written: None });
        }
    }

    /// What was stored for this key is invalid from now on; tells under which key memory holds it.
    pub fn write<'k>(&mut self, key: &'k PrimaryKey, now: Timestamp) -> Cow<'k, PrimaryKey> {
        let (path, ..) = parts(key.as_str());
        if let Some(rule) = self.rules.iter_mut().find(|rule| *rule.path == *path) {
            rule.written = Some(now);
        }
        self.key(key)
    }
}

/// A key's text up to its query, the query, and the lines after that.
fn parts(key: &str) -> (&str, &str, &str) {
    // The scope, where there is one, is a line of its own before the target.
    let target = if key.starts_with('@') { key.find('\n').map_or(0, |end| end + 1) } else { 0 };
    let end = key.get(target..).and_then(|rest| rest.find('\n')).map_or(key.len(), |end| target + end);
    let (line, rest) = key.split_at(end);
    let path = line.get(target..).and_then(|rest| rest.find('?')).map_or(end, |at| target + at);
    let (path, query) = line.split_at(path);
    (path, query.strip_prefix('?').unwrap_or_default(), rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::Policy;
    use crate::cache::testing::{anonymous, get, known, policy, secs, stored};
    use crate::head::Target;

    fn variance(value: &str) -> Option<Variance> {
        Variance::of(&Fields::from_pairs([("no-vary-search", value)]))
    }

    fn key(url: &str) -> PrimaryKey {
        let target = Target::parse(&format!("https://a{url}")).unwrap();
        PrimaryKey::new(&target, &Fields::new(), &Policy::default().key, &anonymous())
    }

    fn head(value: &str) -> StoredHead {
        let fields = [("cache-control", "max-age=9"), ("no-vary-search", value)];
        stored(&get(&[]), &fields, &Policy::default(), secs(0))
    }

    #[test]
    fn queries_are_the_same_where_they_differ_in_what_does_not_matter() {
        for (rule, one, other, same) in [
            ("key-order", "a=1&b=2", "b=2&a=1", true),
            ("key-order", "a=1&a=2", "a=2&a=1", false),
            ("key-order", "a=1&b=2", "a=1&b=3", false),
            ("params", "a=1&b=2", "", true),
            ("params=(\"a\" \"c d\")", "a=1&b=2", "b=2&a=3&c+d&c%20d=1", true),
            ("params=(\"a\")", "b=1", "b=2", false),
            ("params=(\"a\")", "b=1&c=2", "c=2&b=1", false),
            ("params, except=(\"id\")", "id=1&x=2", "y=3&%69d=1&id=1", false),
            ("params, except=(\"id\")", "id=1&x=2", "y=3&id=1", true),
            ("params, except=(\"id\")", "id=1", "id=2", false),
            ("params=(\"a\"), key-order", "b&c&a", "c&b", true),
            ("params=(\"A\")", "a=1", "a=2", false),
            ("params, except=(\"%C3%A9\")", "%C3%A9=1", "%c3%a9=2", false),
            ("params, except=(\"%69d\")", "id=1", "id=2", false),
            ("params=(\"a+b\")", "a+b=1", "a%20b=2", true),
            ("params=(\"a%20b\")", "a+b=1", "", true),
            ("params=(\"a%2Bb\")", "a%2Bb=1", "", true),
            ("params=(\"a%2Bb\")", "a+b=1", "", false),
        ] {
            let rule_read = variance(rule).unwrap();
            assert_eq!(rule_read.rest(one) == rule_read.rest(other), same, "{rule}: {one} {other}");
        }
    }

    #[test]
    fn a_broken_rule_is_none() {
        for value in [
            "",
            "params=?0",
            "key-order=?0",
            "params=a",
            "params=(a)",
            "params=\"a\"",
            "params=()",
            "key-order=1",
            "except=(\"a\")",
            "params=(\"b\"), except=(\"a\")",
            "params, except",
            "params=(\"a\"",
            "foo",
        ] {
            assert_eq!(variance(value), None, "{value}");
        }
        assert!(variance("params;x=1, foo=2").is_some());
    }

    #[test]
    fn a_rule_is_learned_from_the_latest_response_of_its_path() {
        let mut searches = Searches::default();
        let same = |searches: &Searches, one: &str, other: &str| {
            searches.key(&key(one)) == searches.key(&key(other))
        };
        assert!(!same(&searches, "/x?a=1&u=1", "/x?a=1&u=2"));
        let held = searches.learn(&key("/x?a=1&u=1"), &head("params=(\"u\")")).into_owned();
        assert_eq!(*searches.key(&key("/x?u=2&a=1")), held);
        assert!(same(&searches, "/x", "/x?u=2") && !same(&searches, "/x?a=1", "/x?a=2"));
        assert!(!same(&searches, "/y?u=1", "/y?u=2"), "another path has no rule");
        assert_eq!(*searches.learn(&key("/x?a=1"), &head("params=(\"u\")")), held);
        searches.learn(&key("/x"), &head("params=(\"a\")"));
        assert!(same(&searches, "/x?a=1", "/x?a=2") && !same(&searches, "/x?u=1", "/x?u=2"));
        searches.learn(&key("/x"), &head(""));
        assert_eq!(*searches.key(&key("/x?a=1")), key("/x?a=1"));
        searches.learn(&key("/x"), &head("params=(\"u\")"));
        assert_ne!(*searches.key(&key("/x?a=1")), held, "what an earlier rule led to is not found again");
    }

    #[test]
    fn what_came_before_a_write_answers_no_other_query() {
        let (mut searches, rule) = (Searches::default(), head("params"));
        let held = searches.learn(&key("/x?a"), &rule).into_owned();
        assert_eq!(*searches.write(&key("/x?b"), secs(5)), held);
        assert_eq!(*searches.learn(&key("/x?a"), &rule), key("/x?a"));
        let later = StoredHead { response_time: secs(6), ..rule };
        assert_eq!(*searches.learn(&key("/x?a"), &later), held);
    }

    #[test]
    fn what_else_makes_the_key_still_counts() {
        let rules = policy(r#"{"key":{"per_user":true,"headers":["h"]}}"#).key;
        let mut scoped = rules.clone();
        scoped.scope = "s?".into();
        let of = |rules: &crate::cache::rules::KeyRules, h: &str, who: &crate::identity::Identity| {
            let target = Target::parse("https://a/x?u=1").unwrap();
            PrimaryKey::new(&target, &Fields::from_pairs([("h", h)]), rules, who)
        };
        let keys = [
            of(&rules, "1", &anonymous()),
            of(&rules, "2?u=1", &anonymous()),
            of(&rules, "1", &known()),
            of(&scoped, "1", &anonymous()),
        ];
        let mut searches = Searches::default();
        for key in &keys {
            searches.learn(key, &head("params"));
        }
        let found: std::collections::HashSet<_> =
            keys.iter().map(|key| searches.key(key).into_owned()).collect();
        assert_eq!(found.len(), keys.len());
    }

    #[test]
    fn the_rules_are_bounded() {
        let mut searches = Searches::default();
        for at in 0..2 * RULES_MAX {
            searches.learn(&key(&format!("/{at}")), &head("params"));
        }
        assert_eq!(searches.rules.len(), RULES_MAX);
        assert_eq!(*searches.key(&key("/0?a")), key("/0?a"));
        assert_eq!(searches.key(&key("/300?a")), searches.key(&key("/300")));
    }

    proptest! {
        #[test]
        fn what_matters_survives(query in "[abu=&+%2]{0,16}") {
            let rule = variance("params=(\"u\"), key-order").unwrap();
            let once = rule.rest(&query);
            prop_assert_eq!(rule.rest(&once), once.as_str());
            let others = |text: &str| {
                let all = text.split('&').filter(|pair| !pair.is_empty());
                all.filter(|pair| decoded(pair.split('=').next().unwrap()) != "u").count()
            };
            prop_assert_eq!(others(&query), others(&once));
        }
    }
}
