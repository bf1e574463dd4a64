//! Cache-Control, read as its grammar says (RFC 9111, section 5.2).

use std::borrow::Cow;

use super::rules::{is_token, is_token_byte};
use crate::head::{Fields, split_list};
use crate::time::DeltaSeconds;

/// A directive that concerns the whole response, or only some of its fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reach {
    /// It is not there.
    #[default]
    Nothing,
    /// These fields, in lower case.
    Fields(Vec<Box<str>>),
    /// All of it.
    Whole,
}

impl Reach {
    /// The wider of what was said so far and an argument: a list of field names, or nothing for all. What is no
    /// such list means all, to be on the safe side; so does a quote of the wrong kind.
    pub(super) fn widen(&mut self, argument: Option<&str>) {
        let names: Vec<&str> = argument.map(|list| split_list(list).collect()).unwrap_or_default();
        let is_name = |name: &&str| is_token(name) && !name.contains('\'');
        if *self == Self::Whole || names.is_empty() || !names.iter().all(is_name) {
            *self = Self::Whole;
            return;
        }
        let names = names.iter().map(|name| name.to_ascii_lowercase().into());
        match self {
            Self::Fields(known) => known.extend(names),
            _ => *self = Self::Fields(names.collect()),
        }
    }
}

/// What a response says to caches (RFC 9111, section 5.2.2; RFC 5861; RFC 8246).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseDirectives {
    /// An invalid value reads as 0 (section 4.2.1).
    pub max_age: Option<DeltaSeconds>,
    /// Likewise.
    pub s_maxage: Option<DeltaSeconds>,
    /// Likewise.
    pub stale_while_revalidate: Option<DeltaSeconds>,
    /// Likewise.
    pub stale_if_error: Option<DeltaSeconds>,
    /// With or without field names.
    pub no_cache: Reach,
    /// With or without field names.
    pub private: Reach,
    /// Never stored.
    pub no_store: bool,
    /// Not used stale.
    pub must_revalidate: bool,
    /// Not used stale by shared caches.
    pub proxy_revalidate: bool,
    /// Stored only with a known status.
    pub must_understand: bool,
    /// For everybody.
    pub public: bool,
    /// Its content is not changed.
    pub no_transform: bool,
    /// It does not change while it is fresh.
    pub immutable: bool,
    /// Everything else, in lower case, with its argument.
    pub unknown: Vec<(Box<str>, Option<Box<str>>)>,
}

/// What a request says to caches (RFC 9111, section 5.2.1; RFC 5861).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestDirectives {
    /// Nothing older; an invalid value reads as 0.
    pub max_age: Option<DeltaSeconds>,
    /// Fresh for so long still.
    pub min_fresh: Option<DeltaSeconds>,
    /// Stale for no longer; without an argument, [`DeltaSeconds::MAX`].
    pub max_stale: Option<DeltaSeconds>,
    /// Stale for no longer, where the origin fails.
    pub stale_if_error: Option<DeltaSeconds>,
    /// Validated first.
    pub no_cache: bool,
    /// Not stored.
    pub no_store: bool,
    /// From a store or not at all.
    pub only_if_cached: bool,
}

/// A directive's argument.
enum Argument<'a> {
    None,
    Text(Cow<'a, str>),
    /// There is one, and it is neither a token nor a quoted string, or white space stands around the `=`.
    Malformed,
}

impl Argument<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::None | Self::Malformed => None,
        }
    }

    fn seconds(&self) -> Option<DeltaSeconds> {
        self.text().and_then(DeltaSeconds::parse)
    }

    /// The first value counts, an invalid one as 0 (RFC 9111, section 4.2.1).
    fn limit(&self, slot: &mut Option<DeltaSeconds>) {
        slot.get_or_insert_with(|| self.seconds().unwrap_or_default());
    }
}

impl ResponseDirectives {
    /// Those of a Cache-Control field.
    pub fn of(fields: &Fields) -> Self {
        let mut all = Self::default();
        each(fields, |name, argument| match name {
            "max-age" => argument.limit(&mut all.max_age),
            "s-maxage" => argument.limit(&mut all.s_maxage),
            "stale-while-revalidate" => argument.limit(&mut all.stale_while_revalidate),
            "stale-if-error" => argument.limit(&mut all.stale_if_error),
            "no-cache" => all.no_cache.widen(argument.text()),
            "private" => all.private.widen(argument.text()),
            _ if all.flag(name) => {}
            _ => all.unknown.push((name.into(), argument.text().map(Into::into))),
        });
        all
    }

    /// Sets the directive without an argument that has this name; tells whether there is one.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let slot = match name {
            "no-store" => &mut self.no_store,
            "must-revalidate" => &mut self.must_revalidate,
            "proxy-revalidate" => &mut self.proxy_revalidate,
            "must-understand" => &mut self.must_understand,
            "public" => &mut self.public,
            "no-transform" => &mut self.no_transform,
            "immutable" => &mut self.immutable,
            _ => return false,
        };
        *slot = true;
        true
    }
}

impl RequestDirectives {
    /// Those of Cache-Control, or where there is none of Pragma (RFC 9111, section 5.4).
    pub fn of(fields: &Fields) -> Self {
        let mut all = Self::default();
        if !fields.contains("cache-control") {
            all.no_cache = fields.list("pragma").any(|member| member.eq_ignore_ascii_case("no-cache"));
            return all;
        }
        each(fields, |name, argument| match name {
            "max-age" => argument.limit(&mut all.max_age),
            "min-fresh" => all.min_fresh = all.min_fresh.or(argument.seconds()),
            "max-stale" => {
                let stale = match argument {
                    Argument::None => Some(DeltaSeconds::MAX),
                    _ => argument.seconds(),
                };
                all.max_stale = all.max_stale.or(stale);
            }
            "stale-if-error" => all.stale_if_error = all.stale_if_error.or(argument.seconds()),
            "no-cache" => all.no_cache = true,
            "no-store" => all.no_store = true,
            "only-if-cached" => all.only_if_cached = true,
            _ => {}
        });
        all
    }
}

/// What a member that the grammar does not know may still have been meant to say.
const MEANT: [&str; 3] = ["no-cache", "no-store", "private"];

/// Every directive of the Cache-Control lines: its name in lower case and its argument. Of a member that is none, such as
/// `private; max-age=60`, whatever forbids to share is taken at its word.
fn each(fields: &Fields, mut found: impl FnMut(&str, &Argument<'_>)) {
    for line in fields.get_all("cache-control") {
        // A quote that never ends must not swallow a `no-store` that follows it.
        let (quoted, plain) = if ends_in_quotes(line) { (None, Some(line)) } else { (Some(line), None) };
        let members = quoted.into_iter().flat_map(split_list);
        for member in members.chain(plain.into_iter().flat_map(|line| line.split(','))) {
            let (name, argument) = match member.split_once('=') {
                None => (member, Argument::None),
                Some((name, text)) if name.ends_with([' ', '\t']) || text.starts_with([' ', '\t']) => {
                    (name, Argument::Malformed)
                }
                Some((name, text)) => (name, unquote(text).map_or(Argument::Malformed, Argument::Text)),
            };
            let name = name.trim_matches([' ', '\t']);
            if !is_token(name) || matches!(argument, Argument::Malformed) {
                let words = member.split(|c| !u8::try_from(c).is_ok_and(is_token_byte));
                let meant = |word: &str| MEANT.into_iter().find(|one| word.eq_ignore_ascii_case(one));
                words.filter_map(meant).for_each(|name| found(name, &Argument::None));
            }
            if name.bytes().any(|b| b.is_ascii_uppercase()) {
                found(&name.to_ascii_lowercase(), &argument);
            } else {
                found(name, &argument);
            }
        }
    }
}

fn ends_in_quotes(line: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for byte in line.bytes() {
        match byte {
            _ if std::mem::take(&mut escaped) => {}
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

/// A token, or what a quoted string means (RFC 9110, section 5.6.4).
fn unquote(text: &str) -> Option<Cow<'_, str>> {
    if is_token(text) {
        return Some(Cow::Borrowed(text));
    }
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains(['\\', '"']) {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => plain.push(chars.next()?),
            _ => plain.push(c),
        }
    }
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(lines: &[&str]) -> ResponseDirectives {
        ResponseDirectives::of(&Fields::from_pairs(lines.iter().map(|line| ("cache-control", *line))))
    }

    fn request(line: &str) -> RequestDirectives {
        RequestDirectives::of(&Fields::from_pairs([("cache-control", line)]))
    }

    #[test]
    fn max_age_is_digits_or_stale_rfc9111_4_2_1() {
        for (line, secs) in [
            ("max-age=60", Some(60)),
            ("MAX-Age=60", Some(60)),
            ("  max-age=60 ,\tpublic", Some(60)),
            ("max-age=\"60\"", Some(60)),
            ("max-age=007", Some(7)),
            ("max-age=2147483648", Some(2_147_483_648)),
            ("max-age=99999999999999999999999", Some(2_147_483_648)),
            ("max-age=1800, max-age=1", Some(1800)),
            ("a=\"b, max-age=9\", max-age=1", Some(1)),
            ("a=\"\\\", max-age=9\", max-age=1", Some(1)),
            ("max-age=-1", Some(0)),
            ("max-age=1.5", Some(0)),
            ("max-age=a100", Some(0)),
            ("max-age='100'", Some(0)),
            ("max-age=100;a=b", Some(0)),
            ("max-age =100", Some(0)),
            ("max-age= 100", Some(0)),
            ("max-age=", Some(0)),
            ("max-age", Some(0)),
            ("x-max-age=5", None),
            ("", None),
        ] {
            assert_eq!(response(&[line]).max_age.map(DeltaSeconds::get), secs, "{line}");
        }
    }

    #[test]
    fn lines_count_as_one_list_rfc9110_5_3() {
        let all = response(&["public", "max-age=5, must-revalidate", "immutable"]);
        assert!(all.public && all.must_revalidate && all.immutable);
        assert_eq!(all.max_age, Some(DeltaSeconds::new(5)));
    }

    #[test]
    fn no_cache_and_private_may_name_fields_rfc9111_5_2_2() {
        let named = |names: &[&str]| Reach::Fields(names.iter().map(|name| (*name).into()).collect());
        for (line, reach) in [
            ("no-cache", Reach::Whole),
            ("no-cache=\"Foo, bar\"", named(&["foo", "bar"])),
            ("no-cache=Foo", named(&["foo"])),
            ("no-cache=\"a\", no-cache=\"b\"", named(&["a", "b"])),
            ("no-cache=\"a\", no-cache", Reach::Whole),
            ("no-cache, no-cache=\"a\"", Reach::Whole),
            ("no-cache=\"\"", Reach::Whole),
            ("no-cache=\"a b\"", Reach::Whole),
            ("public", Reach::Nothing),
        ] {
            assert_eq!(response(&[line]).no_cache, reach, "{line}");
            assert_eq!(response(&[&line.replace("no-cache", "private")]).private, reach, "{line}");
        }
    }

    #[test]
    fn a_quote_that_never_ends_hides_nothing() {
        for line in ["a=\"b, no-store", "a=\"b\\\", no-store", "private=\"x, no-store"] {
            assert!(response(&[line]).no_store, "{line}");
        }
        assert!(!response(&["a=\"no-store\", b=\"x, no-store\""]).no_store);
    }

    #[test]
    fn what_forbids_to_share_is_heard_whatever_stands_around_it() {
        for (line, private, no_store, no_cache) in [
            ("private; max-age=60", true, false, false),
            ("max-age=60; PRIVATE", true, false, false),
            ("max-age=60 no-store", false, true, false),
            ("max-age=60 / no-cache", false, false, true),
            ("\"private\", max-age=60", true, false, false),
            ("foo=\"bar, private\", max-age=60\"", true, false, false),
            ("max-age=\"60, private", true, false, false),
            ("private='x, y', max-age=60", true, false, false),
            ("private=x y, max-age=60", true, false, false),
            ("private\u{a0}, max-age=60", true, false, false),
            ("=no-store", false, true, false),
            ("a=\"b\" no-store", false, true, false),
            ("a=\"private; no-store\", no-storeage; x-private", false, false, false),
        ] {
            let all = response(&[line]);
            let heard = (all.private == Reach::Whole, all.no_store, all.no_cache == Reach::Whole);
            assert_eq!(heard, (private, no_store, no_cache), "{line}");
        }
        assert!(request("max-age=60; no-store").no_store);
        assert_eq!(response(&["max-age=\"60"]).max_age, Some(DeltaSeconds::default()));
    }

    #[test]
    fn unknown_directives_are_kept_apart_rfc9111_5_2_3() {
        let all = response(&["Foo, bar=\"a, b\", max-age=1"]);
        assert_eq!(all.unknown, [("foo".into(), None), ("bar".into(), Some("a, b".into()))]);
    }

    #[test]
    fn a_request_says_what_it_accepts_rfc9111_5_2_1() {
        let all = request("max-age=5, min-fresh=6, max-stale=7, stale-if-error=8, only-if-cached");
        let secs = |secs| Some(DeltaSeconds::new(secs));
        assert_eq!((all.max_age, all.min_fresh, all.max_stale), (secs(5), secs(6), secs(7)));
        assert!(all.only_if_cached && all.stale_if_error == secs(8) && !all.no_cache);
        assert_eq!(request("max-stale").max_stale, Some(DeltaSeconds::MAX));
        assert_eq!(request("max-stale=x").max_stale, None);
        assert_eq!(request("max-age=x").max_age, secs(0));
    }

    #[test]
    fn pragma_counts_only_without_cache_control_rfc9111_5_4() {
        let alone = Fields::from_pairs([("pragma", "foo, No-Cache")]);
        assert!(RequestDirectives::of(&alone).no_cache);
        let both = Fields::from_pairs([("pragma", "no-cache"), ("cache-control", "max-age=1")]);
        assert!(!RequestDirectives::of(&both).no_cache);
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_panic(line in "[ -~\\t]{0,80}|\\PC{0,40}") {
            let _ = (response(&[&line]), request(&line));
        }

        #[test]
        fn valid_directives_read_back(
            known in proptest::option::of(0_u32..=2_147_483_648),
            unknown in proptest::collection::vec(("x-[a-z]{1,8}", proptest::option::of("[ -~]{0,12}")), 0..5),
        ) {
            let mut members: Vec<String> = unknown.iter().map(|(name, argument)| match argument {
                Some(text) => format!("{name}=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
                None => name.clone(),
            }).collect();
            members.extend(known.map(|secs| format!("s-maxage={secs}")));
            let all = response(&[&members.join(" , ")]);
            prop_assert_eq!(all.s_maxage.map(DeltaSeconds::get), known);
            let read: Vec<_> = all.unknown.iter().map(|(n, a)| (n.to_string(), a.as_deref().map(str::to_owned))).collect();
            prop_assert_eq!(read, unknown);
        }
    }
}
