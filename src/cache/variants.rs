//! Several responses under one primary key: what Vary selects by (RFC 9111, section 4.1), and the index that leads
//! to the variants where a store holds one thing per key.

use super::key::{PrimaryKey, StorageKey};
use super::negotiate;
use super::rules::VaryRules;
use super::stored::StoredHead;
use super::validator;
use crate::head::{Fields, split_list};
use crate::list::sort_texts;
use crate::time::Timestamp;

/// Stands in the place of `accept-language` where the response's language was one that the request likes best
/// ([`super::rules::Compare::Select`]). No field can have this name.
const LANGUAGE: &str = ":language";

/// Fields whose commas do not separate members: only white space around the whole value is nothing.
const NOT_LISTS: [&str; 6] =
    ["authorization", "cookie", "if-modified-since", "origin", "referer", "user-agent"];

/// The names that Vary lists, sorted, each with the normalised value that the request had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selecting(pub Vec<(Box<str>, Option<Box<str>>)>);

impl Selecting {
    /// What a response was selected by, among requests like this one.
    pub fn new(request: &Fields, response: &Fields, rules: &VaryRules) -> Self {
        let listed = response.combined("vary").unwrap_or_default().to_ascii_lowercase();
        let mut names: Vec<(&str, usize)> = split_list(&listed).map(|name| (name, 0)).collect();
        sort_texts(&mut names);
        names.dedup();
        let names: Vec<Box<str>> = names.into_iter().map(|(name, _)| name.into()).collect();
        let language = response
            .get("content-language")
            .filter(|_| negotiate::selects(rules) && names.iter().any(|name| &**name == "accept-language"));
        match language.filter(|language| negotiate::likes(request, language)) {
            Some(language) => {
                let others = names.into_iter().filter(|name| &**name != "accept-language");
                let mut all = Self::of(others, request, rules);
                all.0.push((LANGUAGE.into(), Some(language.to_ascii_lowercase().into())));
                all
            }
            None => Self::of(names, request, rules),
        }
    }

    fn of(names: impl IntoIterator<Item = Box<str>>, request: &Fields, rules: &VaryRules) -> Self {
        let with_value = |name: Box<str>| {
            let value = normalised(request, &name, rules);
            (name, value)
        };
        Self(names.into_iter().map(with_value).collect())
    }

    /// Whether this request selects the response.
    pub fn matches(&self, request: &Fields, rules: &VaryRules) -> bool {
        self.0.iter().all(|(name, value)| match value {
            Some(language) if **name == *LANGUAGE => {
                negotiate::selects(rules) && negotiate::likes(request, language)
            }
            _ => normalised(request, name, rules) == *value,
        })
    }

    /// The names of the fields that selected.
    pub fn names(&self) -> Vec<Box<str>> {
        self.0.iter().map(|(name, _)| name).filter(|name| ***name != *LANGUAGE).cloned().collect()
    }

    /// The secondary key as text: lines of a name and, where the request had the field, `=` and the value.
    fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            text.push_str(name);
            if let Some(value) = value {
                text.push('=');
                text.push_str(value);
            }
            text.push('\n');
        }
        text
    }
}

/// A request's value in the form in which two are compared: lines joined, white space around commas gone, and for
/// the two negotiation fields what the route's rules add.
fn normalised(request: &Fields, name: &str, rules: &VaryRules) -> Option<Box<str>> {
    let value = request.combined(name)?;
    Some(match name {
        "accept-encoding" => negotiate::normalised(&value, rules.accept_encoding),
        "accept-language" => negotiate::normalised(&value, rules.accept_language),
        _ if NOT_LISTS.contains(&name) => value.trim().into(),
        _ => split_list(&value).collect::<Vec<_>>().join(",").into(),
    })
}

/// The key of what requests ask for that are like this one in the fields of these names.
pub fn narrow(key: &PrimaryKey, names: Vec<Box<str>>, request: &Fields, rules: &VaryRules) -> PrimaryKey {
    if names.is_empty() {
        return key.clone();
    }
    let text = Selecting::of(names, request, rules).text();
    PrimaryKey::from_text([key.as_str(), "\nv", &text].concat())
}

/// One variant as its index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Where it is kept.
    pub key: StorageKey,
    /// Its entity tag.
    pub etag: Option<Box<str>>,
    /// When it was stored or freshened last.
    pub response_time: Timestamp,
    /// Its [`StoredHead::generation`].
    pub generation: u64,
    /// The names of the fields that selected it.
    pub names: Vec<Box<str>>,
    /// Its language, where that stands in the place of `accept-language`.
    pub language: Option<Box<str>>,
}

impl Variant {
    fn selecting(&self, request: &Fields, rules: &VaryRules) -> Selecting {
        let mut all = Selecting::of(self.names.iter().cloned(), request, rules);
        if let Some(language) = &self.language {
            all.0.push((LANGUAGE.into(), Some(language.clone())));
        }
        all
    }
}

/// The variants of one primary key, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VariantIndex {
    /// At most `variants_max` of the route.
    pub variants: Vec<Variant>,
}

impl VariantIndex {
    /// Adds what another index knows of.
    pub fn learn(&mut self, other: Self) {
        for variant in other.variants {
            if self.variants.iter().all(|one| one.key != variant.key) {
                self.variants.push(variant);
            }
        }
    }

    /// The latest variant that this request selects.
    pub fn pick(&self, primary: &PrimaryKey, request: &Fields, rules: &VaryRules) -> Option<&Variant> {
        self.variants.iter().find(|variant| {
            let likes = |language: &str| negotiate::selects(rules) && negotiate::likes(request, language);
            variant.language.as_deref().is_none_or(likes)
                && primary.variant_key(&variant.selecting(request, rules).text()) == variant.key
        })
    }

    /// Puts a response's variant first; tells which storage keys went for room.
    pub fn put(&mut self, primary: &PrimaryKey, head: &StoredHead, rules: &VaryRules) -> Vec<StorageKey> {
        let key = head.storage_key(primary);
        let language = head.selecting.0.iter().find(|(name, _)| **name == *LANGUAGE);
        let variant = Variant {
            key,
            etag: validator::etag(&head.fields).map(Into::into),
            response_time: head.response_time,
            generation: head.generation,
            names: head.selecting.names(),
            language: language.and_then(|(_, value)| value.clone()),
        };
        self.variants.retain(|known| known.key != key);
        self.variants.insert(0, variant);
        let room = rules.variants_max.max(1).min(self.variants.len());
        self.variants.drain(room..).map(|gone| gone.key).collect()
    }
}

impl StoredHead {
    /// Where this response is kept: under the primary storage key where nothing selected it, else under a key of
    /// its own, to which the [`VariantIndex`] under the primary one leads.
    pub fn storage_key(&self, primary: &PrimaryKey) -> StorageKey {
        if self.selecting.0.is_empty() {
            primary.storage_key()
        } else {
            primary.variant_key(&self.selecting.text())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::rules::Compare;
    use crate::cache::testing::{anonymous, get, secs, stored};
    use crate::cache::{Policy, policy};
    use crate::head::Target;

    fn selected(vary: &str, first: &[(&str, &str)], second: &[(&str, &str)], rules: &VaryRules) -> bool {
        let response = Fields::from_pairs([("vary", vary), ("content-language", "de")]);
        let first = Fields::from_pairs(first.iter().copied());
        let second = Fields::from_pairs(second.iter().copied());
        Selecting::new(&first, &response, rules).matches(&second, rules)
    }

    #[test]
    fn a_variant_answers_requests_with_the_same_fields_rfc9111_4_1() {
        let rules = VaryRules::default();
        for (vary, first, second, same) in [
            ("Foo", &[("foo", "1")][..], &[("foo", "1")][..], true),
            ("foo, BAR", &[("foo", "1"), ("bar", "2")], &[("bar", "2"), ("foo", "1"), ("baz", "3")], true),
            ("foo, bar", &[("foo", "1"), ("bar", "2")], &[("foo", "1"), ("bar", "3")], false),
            ("foo", &[("foo", "1")], &[], false),
            ("foo", &[], &[("foo", "")], false),
            ("foo", &[], &[], true),
            ("foo", &[("foo", "1, 2")], &[("foo", "1,2 ")], true),
            ("foo", &[("foo", "1,2")], &[("foo", "1"), ("foo", "2")], true),
            ("foo", &[("foo", "1,2")], &[("foo", "2,1")], false),
            ("foo", &[("foo", "\"a, b\"")], &[("foo", "\"a,b\"")], false),
            ("user-agent", &[("user-agent", "a, b")], &[("user-agent", "a,b")], false),
            ("accept-language", &[("accept-language", "DE")], &[("accept-language", "de")], true),
            ("accept-language", &[("accept-language", "en, de")], &[("accept-language", "de, en")], false),
        ] {
            assert_eq!(selected(vary, first, second, &rules), same, "{vary} {first:?} {second:?}");
        }
    }

    #[test]
    fn a_route_may_let_order_and_language_count_for_less() {
        let rules = VaryRules { accept_language: Compare::Select, ..VaryRules::default() };
        for (first, second, same) in [
            ("en, de", "de, en", true),
            ("en, de", "de;q=1.0, fr;q=0.5", true),
            ("en, de", "fr;q=1.0, de;q=0.5", false),
            ("fr, de;q=0.2", "fr, de;q=0.2", true),
            ("fr, de;q=0.2", "de", false),
        ] {
            let (first, second) = ([("accept-language", first)], [("accept-language", second)]);
            assert_eq!(selected("accept-language", &first, &second, &rules), same, "{first:?} {second:?}");
        }
    }

    #[test]
    fn the_index_alone_leads_to_the_variant() {
        let policy = Policy {
            vary: VaryRules { accept_language: Compare::Select, variants_max: 3, ..VaryRules::default() },
            ..policy::Policy::default()
        };
        let target = Target::parse("http://a/").unwrap();
        let primary = PrimaryKey::new(&target, &Fields::new(), &policy.key, &anonymous());
        let mut index = VariantIndex::default();
        let head = |foo: &str, language: &str| {
            let request = get(&[("foo", foo), ("accept-language", language)]);
            let fields = [
                ("vary", "foo, accept-language"),
                ("cache-control", "max-age=9"),
                ("content-language", language),
                ("etag", "\"x\""),
            ];
            stored(&request, &fields, &policy, secs(0))
        };
        for (foo, language) in [("1", "de"), ("2", "de"), ("1", "en")] {
            assert_eq!(index.put(&primary, &head(foo, language), &policy.vary), []);
        }
        let pick = |foo: &str, language: &str| {
            let fields = get(&[("foo", foo), ("accept-language", language)]).fields;
            index.pick(&primary, &fields, &policy.vary).map(|variant| variant.key)
        };
        assert_eq!(pick("1", "fr;q=0.1, de"), Some(head("1", "de").storage_key(&primary)));
        assert_eq!(pick("1", "en"), Some(head("1", "en").storage_key(&primary)));
        assert_eq!((pick("2", "en"), pick("3", "de")), (None, None));
        let gone = index.put(&primary, &head("3", "de"), &policy.vary);
        assert_eq!(gone, [head("1", "de").storage_key(&primary)]);
        assert_eq!(index.put(&primary, &head("3", "de"), &policy.vary), []);
    }
}
