//! JSON texts (RFC 8259) as values.

use crate::list::Dict;

/// How deep lists and tables may stand in each other.
const DEPTH_MAX: usize = 64;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// As it is written, so that nothing is lost before it is known what number is wanted.
    Number(Box<str>),
    /// Without its escapes.
    Text(String),
    /// In their order.
    List(Vec<Self>),
    /// Of a name that is there twice, the last value.
    Table(Dict<String, Self>),
}

impl Value {
    /// Reads a text. `None` where it is no JSON.
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(DEPTH_MAX)?;
        reader.skip_space();
        (reader.at == text.len()).then_some(value)
    }

    /// The value of a name, where this is a table that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Table(table) => table.get(name),
            _ => None,
        }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// A whole number from 0 on, written without fraction and exponent.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// Any number; it may differ in its last bit from the one that is nearest.
    pub fn as_f64(&self) -> Option<f64> {
        let Self::Number(text) = self else { return None };
        let (mut number, mut scale, mut exponent) = (0.0, 0, 0_i32);
        let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        for byte in mantissa.bytes() {
            match byte {
                b'0'..=b'9' => {
                    number = number * 10.0 + f64::from(byte - b'0');
                    exponent -= scale;
                }
                b'.' => scale = 1,
                _ => {}
            }
        }
        // A power that fits no number is as good as none at all or as the greatest.
        let limit = if power.starts_with('-') { -400 } else { 400 };
        exponent += power.parse::<i32>().unwrap_or(limit).clamp(-400, 400);
        for _ in 0..exponent.unsigned_abs() {
            number = if exponent < 0 { number / 10.0 } else { number * 10.0 };
        }
        Some(if text.starts_with('-') { -number } else { number })
    }
}

/// The values of a list or a table as they are written, in a table with their names. `None` where the text is neither.
pub fn parts(text: &str) -> Option<Vec<(Option<String>, &str)>> {
    let mut reader = Reader { text, at: 0 };
    let mut parts = Vec::new();
    reader.skip_space();
    let is_table = match reader.peek()? {
        b'[' => false,
        b'{' => true,
        _ => return None,
    };
    reader.members(if is_table { b'}' } else { b']' }, |reader| {
        let name = if is_table { Some(reader.name()?) } else { None };
        reader.skip_space();
        let start = reader.at;
        reader.value(DEPTH_MAX)?;
        parts.push((name, reader.text.get(start..reader.at)?));
        Some(())
    })?;
    reader.skip_space();
    (reader.at == text.len()).then_some(parts)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Whether this byte is next; it is passed then.
    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn skip_while(&mut self, wanted: fn(u8) -> bool) -> &'t str {
        let start = self.at;
        while self.peek().is_some_and(wanted) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space();
        match self.peek()? {
            b'"' => self.string().map(Value::Text),
            b'[' => self.list(depth.checked_sub(1)?),
            b'{' => self.table(depth.checked_sub(1)?),
            b'-' | b'0'..=b'9' => self.number(),
            _ => match self.skip_while(|byte| byte.is_ascii_lowercase()) {
                "null" => Some(Value::Null),
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        self.members(b']', |reader| {
            items.push(reader.value(depth)?);
            Some(())
        })?;
        Some(Value::List(items))
    }

    fn table(&mut self, depth: usize) -> Option<Value> {
        let mut table = Dict::default();
        self.members(b'}', |reader| {
            let name = reader.name()?;
            table.set(name, reader.value(depth)?);
            Some(())
        })?;
        Some(Value::Table(table))
    }

    /// A name and its colon.
    fn name(&mut self) -> Option<String> {
        self.skip_space();
        let name = self.string()?;
        self.skip_space();
        self.takes(b':').then_some(name)
    }

    /// What stands between an opening byte, commas and `end`.
    fn members(&mut self, end: u8, mut member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        self.skip_space();
        if self.takes(end) {
            return Some(());
        }
        loop {
            member(self)?;
            self.skip_space();
            if self.takes(end) {
                return Some(());
            }
            self.takes(b',').then_some(())?;
        }
    }

    fn number(&mut self) -> Option<Value> {
        let start = self.at;
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _ = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        self.text.get(start..self.at).map(|text| Value::Number(text.into()))
    }

    fn digits(&mut self) -> Option<()> {
        (!self.skip_while(|byte| byte.is_ascii_digit()).is_empty()).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        self.takes(b'"').then_some(())?;
        let mut text = String::new();
        loop {
            text.push_str(self.skip_while(|byte| byte >= b' ' && byte != b'"' && byte != b'\\'));
            match self.next()? {
                b'"' => return Some(text),
                b'\\' => text.push(self.escaped()?),
                _ => return None,
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.next()? {
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let first = self.unit()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first);
                }
                (self.takes(b'\\') && self.takes(b'u')).then_some(())?;
                let second = self.unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                return char::from_u32(0x10000 + ((first - 0xd800) << 10 | second));
            }
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit << 4 | char::from(self.next()?).to_digit(16)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(own: &Value, other: &serde_json::Value) -> bool {
        match (own, other) {
            (Value::Null, serde_json::Value::Null) => true,
            (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
            (Value::Number(_), serde_json::Value::Number(b)) => {
                let (a, b) = (own.as_f64().unwrap(), b.as_f64().unwrap());
                (a - b).abs() <= b.abs() * 1e-12
            }
            (Value::Text(a), serde_json::Value::String(b)) => a == b,
            (Value::List(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Value::Table(a), serde_json::Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
            }
            _ => false,
        }
    }

    fn agrees(text: &str) -> bool {
        match (Value::parse(text), serde_json::from_str(text)) {
            (Some(own), Ok(other)) => same(&own, &other),
            (own, Err(error)) => own.is_none() || error.to_string().contains("out of range"),
            (None, Ok(_)) => false,
        }
    }

    #[test]
    fn it_reads_what_serde_json_reads_and_nothing_else() {
        for text in [
            r#" {"a" : [1, -2.5e3, 0.1E-2, true, false, null, "x\n\u00e9\ud83d\ude00\/\"\\"], "a":{}, "b":[]} "#,
            "0",
            "-0",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "-",
            "+1",
            "NaN",
            "1 2",
            "[1,]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            "[",
            "{",
            "\"",
            "\"\n\"",
            r#""\x""#,
            r#""\u12""#,
            r#""\ud800""#,
            r#""\ud800\u0041""#,
            r#""\udc00""#,
            "nul",
            "nulll",
            "",
            " ",
            "[[[]]]",
            "1e5",
            "18446744073709551615",
            "tru\u{e9}",
        ] {
            assert!(agrees(text), "{text}");
        }
    }

    #[test]
    fn numbers_are_what_they_say() {
        let number = |text: &str| Value::parse(text).unwrap();
        assert_eq!(number("18446744073709551615").as_u64(), Some(u64::MAX));
        assert_eq!((number("1.0").as_u64(), number("-1").as_u64()), (None, None));
        assert_eq!((number("0.5").as_f64(), number("1e400").as_f64()), (Some(0.5), Some(f64::INFINITY)));
        assert_eq!(number("1e-99999999999").as_f64(), Some(0.0));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Value::parse(&deep(DEPTH_MAX)).is_some());
        assert!(
            Value::parse(&deep(DEPTH_MAX + 1)).is_none() && Value::parse(&"[".repeat(1_000_000)).is_none()
        );
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde_json_about_any_text(
            text in r#"([\[\]{}:, ]|"a"|"\\u00[0-9a-f]{2}"|-?[0-9]{1,3}(\.[0-9])?([eE][0-9])?|true|null){0,12}"#,
        ) {
            prop_assert!(agrees(&text), "{}", text);
        }

        #[test]
        fn any_string_reads_back(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(Value::parse(&written), Some(Value::Text(text)));
        }
    }
}
