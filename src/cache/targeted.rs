//! Targeted cache control (RFC 9213): a Dictionary of Structured Fields (RFC 9651). A field that is invalid in any
//! part is as if it were not there.

use super::directives::ResponseDirectives;
use super::policy::Policy;
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

/// A bare item, as far as directives need it (RFC 9651, section 3.3).
#[derive(Debug, PartialEq)]
enum Item {
    Integer(i64),
    Text(String),
    Boolean(bool),
    /// A decimal, a date, a display string, bytes or an inner list.
    Other,
}

/// Reads a targeted field. `None` where it is empty, broken, or gives a directive a value of the wrong type.
fn parse(value: &str) -> Option<ResponseDirectives> {
    let mut rest = Reader { bytes: value.trim_matches(' ').as_bytes() };
    let mut members: Vec<(String, Item)> = Vec::new();
    loop {
        let name = rest.key()?;
        let item = if rest.eat(b'=') { rest.member()? } else { Item::Boolean(true) };
        rest.parameters()?;
        // The last of several counts (RFC 9651, section 4.2.2).
        members.retain(|(known, _)| *known != name);
        members.push((name, item));
        rest.skip_white_space();
        if rest.bytes.is_empty() {
            return collect(members);
        }
        if !rest.eat(b',') {
            return None;
        }
        rest.skip_white_space();
    }
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
                    Item::Text(names) => reach.widen(Some(names)),
                    _ => return None,
                }
                continue;
            }
            _ if all.flag(&name) => match item {
                Item::Boolean(true) => continue,
                _ => return None,
            },
            _ => {
                let text = if let Item::Text(text) = item { Some(text.into()) } else { None };
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

/// What is left of the field value.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.next();
        }
        there
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> String {
        let mut text = String::new();
        while let Some(byte) = self.peek().filter(|byte| belongs(*byte)) {
            text.push(char::from(byte));
            self.next();
        }
        text
    }

    fn skip_white_space(&mut self) {
        while self.eat(b' ') || self.eat(b'\t') {}
    }

    fn key(&mut self) -> Option<String> {
        self.peek().filter(|byte| byte.is_ascii_lowercase() || *byte == b'*')?;
        Some(
            self.take_while(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
            }),
        )
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            while self.eat(b' ') {}
            self.key()?;
            if self.eat(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn member(&mut self) -> Option<Item> {
        if !self.eat(b'(') {
            return self.bare_item();
        }
        loop {
            while self.eat(b' ') {}
            if self.eat(b')') {
                return Some(Item::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            self.peek().filter(|byte| b" )".contains(byte))?;
        }
    }

    fn bare_item(&mut self) -> Option<Item> {
        match self.peek()? {
            b'"' => self.string().map(Item::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'?' => {
                self.next();
                match self.next()? {
                    b'0' => Some(Item::Boolean(false)),
                    b'1' => Some(Item::Boolean(true)),
                    _ => None,
                }
            }
            b'@' => {
                self.next();
                matches!(self.number()?, Item::Integer(_)).then_some(Item::Other)
            }
            b':' => {
                self.next();
                self.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.eat(b':').then_some(Item::Other)
            }
            b'%' => {
                self.next();
                self.display_string()
            }
            byte if byte.is_ascii_alphabetic() || byte == b'*' => Some(Item::Text(
                self.take_while(|byte| super::rules::is_token_byte(byte) || b":/".contains(&byte)),
            )),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Item> {
        let negative = self.eat(b'-');
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        if !self.eat(b'.') {
            let number: i64 = digits.parse().ok().filter(|_| digits.len() <= 15)?;
            return Some(Item::Integer(if negative { -number } else { number }));
        }
        let fraction = self.take_while(|byte| byte.is_ascii_digit());
        let fits = (1..=12).contains(&digits.len()) && (1..=3).contains(&fraction.len());
        fits.then_some(Item::Other)
    }

    fn string(&mut self) -> Option<String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next()? {
                b'"' => return Some(text),
                b'\\' => text.push(char::from(self.next().filter(|byte| b"\"\\".contains(byte))?)),
                byte @ b' '..=b'~' => text.push(char::from(byte)),
                _ => return None,
            }
        }
    }

    fn display_string(&mut self) -> Option<Item> {
        if !self.eat(b'"') {
            return None;
        }
        let mut bytes = Vec::new();
        loop {
            match self.next()? {
                b'"' => return String::from_utf8(bytes).ok().map(|_| Item::Other),
                b'%' => bytes.push(self.hex()? * 16 + self.hex()?),
                byte @ b' '..=b'~' => bytes.push(byte),
                _ => return None,
            }
        }
    }

    fn hex(&mut self) -> Option<u8> {
        match self.next()? {
            byte @ b'0'..=b'9' => Some(byte - b'0'),
            byte @ b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        }
    }
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
