//! Structured Fields (RFC 9651), as far as a cache needs them: a value that is broken in any part is none.

use super::rules::is_token_byte;

/// An item or an inner list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Integer(i64),
    /// A string.
    Text(String),
    Token(String),
    Boolean(bool),
    /// An inner list of strings.
    Texts(Vec<String>),
    /// A decimal, a date, a display string, bytes or an inner list of other things.
    Other,
}

/// Reads a dictionary, without its parameters. `None` where it is empty or broken.
pub(super) fn dictionary(value: &str) -> Option<Vec<(String, Item)>> {
    let mut rest = Reader { bytes: value.trim_matches(' ').as_bytes() };
    let mut members: Vec<(String, Item)> = Vec::new();
    loop {
        let name = rest.key()?;
        let item = if rest.eat(b'=') { rest.member()? } else { Item::Boolean(true) };
        rest.parameters()?;
        // The last of several counts (RFC 9651, section 4.2.2).
        members.retain(|(known, _)| *known != name);
        members.push((name, item));
        if !rest.comma()? {
            return Some(members);
        }
    }
}

/// Reads a list of strings, without their parameters. `None` where it is empty, broken, or holds anything else.
pub(super) fn strings(value: &str) -> Option<Vec<String>> {
    let mut rest = Reader { bytes: value.trim_matches(' ').as_bytes() };
    let mut members = Vec::new();
    loop {
        let Item::Text(text) = rest.member()? else { return None };
        rest.parameters()?;
        members.push(text);
        if !rest.comma()? {
            return Some(members);
        }
    }
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
        let mut texts = Some(Vec::new());
        loop {
            while self.eat(b' ') {}
            if self.eat(b')') {
                return Some(texts.map_or(Item::Other, Item::Texts));
            }
            match (self.bare_item()?, &mut texts) {
                (Item::Text(text), Some(texts)) => texts.push(text),
                _ => texts = None,
            }
            self.parameters()?;
            self.peek().filter(|byte| b" )".contains(byte))?;
        }
    }

    /// What stands between two members, or the end: tells whether there is another member.
    fn comma(&mut self) -> Option<bool> {
        self.skip_white_space();
        if self.bytes.is_empty() {
            return Some(false);
        }
        self.eat(b',').then(|| self.skip_white_space()).map(|()| true)
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
            byte if byte.is_ascii_alphabetic() || byte == b'*' => {
                Some(Item::Token(self.take_while(|byte| is_token_byte(byte) || b":/".contains(&byte))))
            }
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
    fn a_list_of_strings_holds_nothing_else_rfc9651_3_1() {
        for (value, expected) in [
            ("\"a\"", Some(&["a"][..])),
            (" \"a\" ,\t\"b, c\";x=1;y, \"\\\"\" ", Some(&["a", "b, c", "\""])),
            ("", None),
            ("a", None),
            ("\"a\", 1", None),
            ("(\"a\")", None),
            ("\"a\",", None),
            ("\"a\" \"b\"", None),
            ("\"a", None),
        ] {
            let expected = expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
            assert_eq!(strings(value), expected, "{value}");
        }
    }

    #[test]
    fn an_inner_list_of_strings_is_told_from_others_rfc9651_3_1_1() {
        let texts = |texts: &[&str]| Item::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
        for (value, item) in [
            ("a=()", texts(&[])),
            ("a=( \"b\"  \"c\";d )", texts(&["b", "c"])),
            ("a=(\"b\" c)", Item::Other),
            ("a=(1)", Item::Other),
            ("a", Item::Boolean(true)),
            ("a=b", Item::Token("b".into())),
            ("a=1, a=?0", Item::Boolean(false)),
        ] {
            assert_eq!(dictionary(value), Some(vec![("a".to_owned(), item)]), "{value}");
        }
    }
}
