//! Writes what [`super::read()`] reads.

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::Unreadable;

/// Writes a value.
///
/// # Errors
/// Where a type has a part that has no packed form: a negative number, a character, bytes.
pub fn write<T: Serialize + ?Sized>(value: &T) -> Result<String, Unreadable> {
    let mut text = String::new();
    value.serialize(Writer(&mut text))?;
    Ok(text)
}

impl Error for Unreadable {
    fn custom<T: std::fmt::Display>(_message: T) -> Self {
        Self
    }
}

struct Writer<'t>(&'t mut String);

impl Writer<'_> {
    #[inline(never)]
    fn number(&mut self, number: u64) {
        // Backwards, since the last digit is known first.
        let (mut digits, mut rest) = ([0; 20], number);
        let mut at = digits.len();
        loop {
            at -= 1;
            if let Some(digit) = digits.get_mut(at) {
                *digit = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.0.extend(digits.iter().skip(at).copied().map(char::from));
        self.0.push(':');
    }

    fn member<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unreadable> {
        value.serialize(Writer(self.0))
    }
}

macro_rules! numbers {
    ($($method:ident $number:ty),*) => {
        $(fn $method(mut self, value: $number) -> Result<(), Unreadable> {
            self.number(u64::try_from(value).map_err(|_| Unreadable)?);
            Ok(())
        })*
    };
}

impl Serializer for Writer<'_> {
    type Ok = ();
    type Error = Unreadable;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! { serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_u8 u8,
    serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_bool bool }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_f64(mut self, value: f64) -> Result<(), Unreadable> {
        self.number(value.to_bits());
        Ok(())
    }

    fn serialize_f32(self, _value: f32) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn serialize_char(self, _value: char) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn serialize_bytes(self, _value: &[u8]) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn serialize_str(mut self, value: &str) -> Result<(), Unreadable> {
        self.number(value.len() as u64);
        self.0.push_str(value);
        Ok(())
    }

    fn serialize_none(mut self) -> Result<(), Unreadable> {
        self.number(0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), Unreadable> {
        self.number(1);
        self.member(value)
    }

    fn serialize_unit(self) -> Result<(), Unreadable> {
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Unreadable> {
        Ok(())
    }

    fn serialize_unit_variant(
        mut self,
        _name: &'static str,
        at: u32,
        _variant: &'static str,
    ) -> Result<(), Unreadable> {
        self.number(at.into());
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Unreadable> {
        self.member(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _name: &'static str,
        at: u32,
        _variant: &'static str,
        value: &T,
    ) -> Result<(), Unreadable> {
        self.number(at.into());
        self.member(value)
    }

    fn serialize_seq(mut self, len: Option<usize>) -> Result<Self, Unreadable> {
        self.number(len.ok_or(Unreadable)? as u64);
        Ok(self)
    }

    fn serialize_tuple(self, _len: usize) -> Result<Self, Unreadable> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Self, Unreadable> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        mut self,
        _name: &'static str,
        at: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self, Unreadable> {
        self.number(at.into());
        Ok(self)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self, Unreadable> {
        self.serialize_seq(len)
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Self, Unreadable> {
        Ok(self)
    }

    fn serialize_struct_variant(
        mut self,
        _name: &'static str,
        at: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self, Unreadable> {
        self.number(at.into());
        Ok(self)
    }
}

macro_rules! members {
    ($($compound:ident $method:ident)*) => {
        $(impl $compound for Writer<'_> {
            type Ok = ();
            type Error = Unreadable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unreadable> {
                self.member(value)
            }

            fn end(self) -> Result<(), Unreadable> {
                Ok(())
            }
        })*
    };
}

members! { SerializeSeq serialize_element SerializeTuple serialize_element SerializeTupleStruct serialize_field
SerializeTupleVariant serialize_field }

macro_rules! fields {
    ($($compound:ident)*) => {
        $(impl $compound for Writer<'_> {
            type Ok = ();
            type Error = Unreadable;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _name: &'static str,
                value: &T,
            ) -> Result<(), Unreadable> {
                self.member(value)
            }

            fn skip_field(&mut self, _name: &'static str) -> Result<(), Unreadable> {
                self.number(0);
                Ok(())
            }

            fn end(self) -> Result<(), Unreadable> {
                Ok(())
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }

impl SerializeMap for Writer<'_> {
    type Ok = ();
    type Error = Unreadable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unreadable> {
        self.member(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unreadable> {
        self.member(value)
    }

    fn end(self) -> Result<(), Unreadable> {
        Ok(())
    }
}
