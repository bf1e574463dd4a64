//! Reads what [`super::write()`] has written.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

/// Reads a text.
///
/// # Errors
/// Where it was not written from this type.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Unreadable> {
    let mut rest = Rest { text, is_wrong: false };
    let Ok(value) = T::deserialize(&mut rest);
    if rest.text.is_empty() && !rest.is_wrong { Ok(value) } else { Err(Unreadable) }
}

/// It was not written from the type that was asked for. What is wrong with it, nobody asks here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unreadable")]
pub struct Unreadable;

/// No error ever interrupts the reading: what is wrong is noted, and something read in its place. So the code for it need
/// not be ready to drop what it has at every part, which was half of it.
#[derive(Debug)]
enum Never {}

impl std::fmt::Display for Never {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}

/// A type refuses what it has written itself.
#[expect(
    clippy::panic,
    reason = "[`Rest`] gives every type of this crate what it takes; to stop is all that is left"
)]
fn refused() -> ! {
    panic!("a packed value is refused")
}

impl Error for Never {
    fn custom<T: std::fmt::Display>(_message: T) -> Self {
        refused()
    }

    fn invalid_type(_found: Unexpected<'_>, _expected: &dyn Expected) -> Self {
        refused()
    }

    fn invalid_value(_found: Unexpected<'_>, _expected: &dyn Expected) -> Self {
        refused()
    }

    fn invalid_length(_length: usize, _expected: &dyn Expected) -> Self {
        refused()
    }

    fn unknown_variant(_variant: &str, _expected: &'static [&'static str]) -> Self {
        refused()
    }

    fn unknown_field(_field: &str, _expected: &'static [&'static str]) -> Self {
        refused()
    }

    fn missing_field(_field: &'static str) -> Self {
        refused()
    }

    fn duplicate_field(_field: &'static str) -> Self {
        refused()
    }
}

/// What is still to be read, and whether something was wrong so far.
struct Rest<'de> {
    text: &'de str,
    is_wrong: bool,
}

impl<'de> Rest<'de> {
    /// The rest is worth nothing. What is still asked for is 1, which every type takes, or nothing.
    #[cold]
    fn wrong(&mut self) {
        (self.text, self.is_wrong) = ("", true);
    }

    /// A number up to this one.
    #[inline(never)]
    fn number(&mut self, most: u64) -> u64 {
        let number = self.text.split_once(':').and_then(|(digits, rest)| {
            self.text = rest;
            digits.parse().ok().filter(|number| *number <= most)
        });
        number.unwrap_or_else(|| {
            self.wrong();
            most.min(1)
        })
    }

    #[inline(never)]
    fn text(&mut self) -> &'de str {
        let length = self.number(self.text.len() as u64) as usize;
        let (text, rest) = self.text.split_at_checked(length).unwrap_or_else(|| {
            self.wrong();
            Default::default()
        });
        self.text = rest;
        text
    }
}

/// What no type of tidegate's asks for.
macro_rules! never {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Never> {
            refused()
        })*
    };
}

macro_rules! numbers {
    ($($method:ident $visit:ident $number:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
            visitor.$visit(self.number(<$number>::MAX.into()) as $number)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Rest<'de> {
    type Error = Never;

    never! { deserialize_any deserialize_ignored_any deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
    deserialize_f32 deserialize_char deserialize_bytes deserialize_byte_buf deserialize_identifier }
    numbers! { deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
    deserialize_u64 visit_u64 u64 }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_bool(self.number(1) != 0)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_f64(f64::from_bits(self.number(u64::MAX)))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_borrowed_str(self.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_borrowed_str(self.text())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        if self.number(1) == 0 { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Never> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Never> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let left = self.number(self.text.len() as u64);
        visitor.visit_seq(Items { rest: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_seq(Parts(self))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Never> {
        visitor.visit_seq(Parts(self))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let left = self.number(self.text.len() as u64);
        visitor.visit_map(Items { rest: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Never> {
        visitor.visit_seq(Parts(self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Never> {
        visitor.visit_enum(Variant { rest: self, count: variants.len() as u64 })
    }
}

/// The parts of a structure, whose number its type knows. Whoever inlines it sees that none is missing.
struct Parts<'r, 'de>(&'r mut Rest<'de>);

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = Never;

    #[inline(always)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Never> {
        seed.deserialize(&mut *self.0).map(Some)
    }
}

/// The members of a list or a table.
struct Items<'r, 'de> {
    rest: &'r mut Rest<'de>,
    left: u64,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Never;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Never> {
        if self.left == 0 || self.rest.is_wrong {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.rest).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Never;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Never> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Never> {
        seed.deserialize(&mut *self.rest)
    }
}

/// Which one of so many variants.
struct Variant<'r, 'de> {
    rest: &'r mut Rest<'de>,
    count: u64,
}

impl<'r, 'de> EnumAccess<'de> for Variant<'r, 'de> {
    type Error = Never;
    type Variant = &'r mut Rest<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Never> {
        let place = self.rest.number(self.count.saturating_sub(1));
        Ok((seed.deserialize(place.into_deserializer())?, self.rest))
    }
}

impl<'de> VariantAccess<'de> for &mut Rest<'de> {
    type Error = Never;

    fn unit_variant(self) -> Result<(), Never> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Never> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_seq(Parts(self))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Never> {
        visitor.visit_seq(Parts(self))
    }
}
