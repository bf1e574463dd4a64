//! Targeted cache control (RFC 9213): a Dictionary of Structured Fields (RFC 9651). A field that is invalid in any
//! part is as if it were not there.

use super::directives::ResponseDirectives;
use super::policy::Policy;
use super::structured::{self, Item};
use crate::head::Fields;
use crate::time::DeltaSeconds;

/// What a response says to this cache, and whether a targeted field says it, so that Expires does not count.
pub fn directives(fields: &Fields, policy: &Policy) -> (ResponseDirectives, bool) {
    let targeted = policy.targets.iter().find_map(|name| parse(&fields.combined(name.as_str())?));
    match targeted {
        Some(directives) => (directives, true),
        None => (ResponseDirectives::of(fields), false),
    }
}

/// Reads a targeted field. `None` where it is empty, broken, or gives a directive a value of the wrong type.
fn parse(value: &str) -> Option<ResponseDirectives> {
    structured::dictionary(value).and_then(collect)
}

fn collect(members: Vec<(String, Item)>) -> Option<ResponseDirectives> {
    let mut all = ResponseDirectives::default();
    for (name, item) in members {
        let slot = match name.as_str() {
            "max-age" => &mut all.max_age,
            "s-maxage" => &mut all.s_maxage,
            "stale-while-revalidate" => &mut all.stale_while_revalidate,
            "stale-if-error" => &mut all.stale_if_error,
            "no-cache" | "private" => {
                let reach = if name == "private" { &mut all.private } else { &mut all.no_cache };
                match &item {
                    Item::Boolean(true) => reach.widen(None),
                    Item::Text(names) | Item::Token(names) => reach.widen(Some(names)),
                    _ => return None,
                }
                continue;
            }
            _ if all.flag(&name) => match item {
                Item::Boolean(true) => continue,
                _ => return None,
            },
            _ => {
                let text =
                    if let Item::Text(text) | Item::Token(text) = item { Some(text.into()) } else { None };
                all.unknown.push((name.into(), text));
                continue;
            }
        };
        match item {
            Item::Integer(secs) => *slot = Some(DeltaSeconds::new(u64::try_from(secs).ok()?)),
            _ => return None,
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_targeted_field_is_a_dictionary_or_nothing_rfc9213_2_1() {
        for (value, max_age) in [
            ("max-age=300, stale-while-revalidate=60", Some(300)),
            ("  max-age=1", Some(1)),
            ("max-age=1;a=b;c , foo=(\"a\" b;q=1.5), bar=:YQ==:, baz=@17, d=%\"x\", e=?0", Some(1)),
            ("max-age=1, max-age=2", Some(2)),
            ("max-age=999999999999999", Some(2_147_483_648)),
        ] {
            let read = parse(value).unwrap_or_else(|| panic!("{value}"));
            assert_eq!(read.max_age.map(DeltaSeconds::get), max_age, "{value}");
        }
        for value in [
            "",
            "max-age=10, &&&",
            "max-age=\"10\"",
            "max-age=1.0",
            "max-age=-1",
            "max-age=a",
            "max-age",
            "Max-Age=10",
            "max-age =10",
            "max-age= 10",
            "max-age=10,",
            ",max-age=10",
            "max-age=10 public",
            "max-age=9999999999999999",
            "no-store=1",
            "no-store=?0",
            "private=1",
            "a=\"b",
            "a=(b",
            "a=?2",
            "a=:b",
            "a=1.",
            "a=1.2345",
            "a=%\"%zz\"",
            "a=@1.5",
            "a;",
            "a=\"\\b\"",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod oracle {
        use proptest::prelude::*;

        use super::super::*;

        proptest! {
            #[test]
            fn it_reads_what_sfv_reads(value in "[a-c*]{1,2}(=(-?[0-9.]{1,6}|\"[a-c\\\\]{0,3}\"|[a-z*][a-c:/]{0,2}|\\?[012]|\\((a|1| |;b){0,3}\\)|:YQ==:|@[0-9]{1,2}))?(;[a-c]=?[0-9])?( ?, ?[a-c])?") {
                let theirs = sfv::Parser::new(&value).parse::<sfv::Dictionary>();
                prop_assert_eq!(parse(&value).is_some(), theirs.is_ok_and(|d| !d.is_empty()), "{}", value);
            }
        }
    }

    #[test]
    fn it_wins_over_cache_control_and_the_first_valid_target_wins_rfc9213_2_2() {
        let mut policy = Policy::default();
        policy.targets.insert(0, "Tidegate-Cache-Control".to_owned().try_into().unwrap());
        for (own, cdn, secs, targeted) in [
            ("max-age=3", "max-age=2", 3, true),
            ("max-age=\"3\"", "max-age=2", 2, true),
            ("", "&", 1, false),
        ] {
            let fields = Fields::from_pairs([
                ("cache-control", "max-age=1"),
                ("tidegate-cache-control", own),
                ("cdn-cache-control", cdn),
            ]);
            let (read, is_targeted) = directives(&fields, &policy);
            assert_eq!((read.max_age, is_targeted), (Some(DeltaSeconds::new(secs)), targeted));
        }
    }
}
