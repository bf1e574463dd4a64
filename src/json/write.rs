//! Writes JSON into a `String`, which never fails: with `serde_json`, which can write anywhere, every member of every
//! structure has code for a failure.

use std::convert::Infallible;
use std::fmt::Display;

use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, Serializer,
};

use super::Value;

/// A value as JSON. Numbers that are no whole ones, bytes and variants with content have no form here, and are `null`.
pub fn write<T: Serialize + ?Sized>(value: &T) -> String {
    let mut text = String::new();
    let Ok(()) = value.serialize(Writer(&mut text)).map_err(|never| match never.0 {});
    text
}

/// Texts by name.
pub fn object(entries: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in entries {
        text.push(if text.is_empty() { '{' } else { ',' });
        push_text(&mut text, name);
        text.push(':');
        push_text(&mut text, value);
    }
    text.push('}');
    text
}

/// Appends a text with its quotes and escapes (RFC 8259, section 7).
pub fn push_text(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\0'..='\x1f' => {
                json.push_str("\\u00");
                let digit = |nibble: u32| char::from_digit(nibble & 0xf, 16).unwrap_or('0');
                json.extend([digit(u32::from(c) >> 4), digit(u32::from(c))]);
            }
            _ => json.push(c),
        }
    }
    json.push('"');
}

/// Appends a name and its colon, after a comma where something stands before it.
pub fn push_name(json: &mut String, name: &str) {
    if !json.ends_with('{') {
        json.push(',');
    }
    push_text(json, name);
    json.push(':');
}

impl Value {
    /// Appends the value.
    pub fn push(&self, json: &mut String) {
        match self {
            Self::Null => json.push_str("null"),
            Self::Bool(flag) => json.push_str(if *flag { "true" } else { "false" }),
            Self::Number(digits) => json.push_str(digits),
            Self::Text(text) => push_text(json, text),
            Self::List(items) => {
                json.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        json.push(',');
                    }
                    item.push(json);
                }
                json.push(']');
            }
            Self::Table(table) => {
                json.push('{');
                for (name, value) in table.iter() {
                    push_name(json, name);
                    value.push(json);
                }
                json.push('}');
            }
        }
    }
}

/// Appends a whole number.
pub fn push_number(text: &mut String, number: u64) {
    // Backwards, since the last digit is known first.
    let (mut digits, mut rest, mut first) = ([0; 20], number, 20);
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        (*digit, first) = (b'0' + (rest % 10) as u8, at);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend(digits.iter().skip(first).copied().map(char::from));
}

/// What never happens.
#[derive(Debug)]
pub struct Never(Infallible);

impl Display for Never {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {}
    }
}

impl std::error::Error for Never {}

/// A type is to be written that has no form here.
#[expect(clippy::panic, reason = "no type of this crate is such; to stop is all that is left")]
fn no_form() -> ! {
    panic!("a value has no form in JSON")
}

impl serde::ser::Error for Never {
    fn custom<T: Display>(_message: T) -> Self {
        no_form()
    }
}

struct Writer<'t>(&'t mut String);

/// The members of a list, a table or a structure that are written so far.
struct Members<'t> {
    text: &'t mut String,
    is_first: bool,
    end: char,
}

impl<'t> Members<'t> {
    fn open(text: &'t mut String, start: char, end: char) -> Self {
        text.push(start);
        Self { text, is_first: true, end }
    }

    fn next(&mut self) -> Writer<'_> {
        if !std::mem::take(&mut self.is_first) {
            self.text.push(',');
        }
        Writer(self.text)
    }

    fn close(self) {
        self.text.push(self.end);
    }
}

macro_rules! numbers {
    ($($method:ident $number:ty),*) => {
        $(fn $method(self, value: $number) -> Result<(), Never> {
            push_number(self.0, value.into());
            Ok(())
        })*
    };
}

macro_rules! nulls {
    ($($method:ident $value:ty),*) => {
        $(fn $method(self, _value: $value) -> Result<(), Never> {
            self.serialize_unit()
        })*
    };
}

impl<'t> Serializer for Writer<'t> {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = Members<'t>;
    type SerializeTuple = Members<'t>;
    type SerializeTupleStruct = Impossible<(), Never>;
    type SerializeTupleVariant = Impossible<(), Never>;
    type SerializeMap = Members<'t>;
    type SerializeStruct = Members<'t>;
    type SerializeStructVariant = Impossible<(), Never>;

    numbers! { serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64 }
    nulls! { serialize_f32 f32, serialize_f64 f64, serialize_bytes &[u8], serialize_unit_struct &'static str }

    fn serialize_i8(self, value: i8) -> Result<(), Never> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Never> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Never> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Never> {
        if value < 0 {
            self.0.push('-');
        }
        self.serialize_u64(value.unsigned_abs())
    }

    fn serialize_bool(self, value: bool) -> Result<(), Never> {
        self.0.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Never> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Never> {
        push_text(self.0, value);
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Never> {
        self.0.push_str("null");
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Never> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _type: &'static str, _at: u32, name: &'static str) -> Result<(), Never> {
        self.serialize_str(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _type: &'static str,
        _at: u32,
        _name: &'static str,
        _value: &T,
    ) -> Result<(), Never> {
        self.serialize_unit()
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Members<'t>, Never> {
        Ok(Members::open(self.0, '[', ']'))
    }

    fn serialize_tuple(self, _len: usize) -> Result<Members<'t>, Never> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleStruct, Never> {
        no_form()
    }

    fn serialize_tuple_variant(
        self,
        _type: &'static str,
        _at: u32,
        _name: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleVariant, Never> {
        no_form()
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Members<'t>, Never> {
        Ok(Members::open(self.0, '{', '}'))
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Members<'t>, Never> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _type: &'static str,
        _at: u32,
        _name: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeStructVariant, Never> {
        no_form()
    }
}

macro_rules! items {
    ($($compound:ident)*) => {
        $(impl $compound for Members<'_> {
            type Ok = ();
            type Error = Never;

            fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
                value.serialize(self.next())
            }

            fn end(self) -> Result<(), Never> {
                self.close();
                Ok(())
            }
        })*
    };
}

items! { SerializeSeq SerializeTuple }

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Never;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Never> {
        push_text(self.next().0, name);
        self.text.push(':');
        value.serialize(Writer(self.text))
    }

    fn end(self) -> Result<(), Never> {
        self.close();
        Ok(())
    }
}

impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Never;

    /// Names are texts.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Never> {
        key.serialize(self.next())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.text.push(':');
        value.serialize(Writer(self.text))
    }

    fn end(self) -> Result<(), Never> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
