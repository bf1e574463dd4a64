//! Types that a config writes in another form than their parts.

/// Reads and writes a type as text, by its `FromStr` and `Display`; what is wrong is said in `FromStr`'s words. With
/// `packed` (and `#[serde(remote = "Self")]` beside what it derives) only where people read and write: in the form that
/// is tidegate's own ([`crate::packed`]) it is its parts, and the wasm needs no reader of the text.
macro_rules! text_serde {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
    ($name:ident, packed) => {
        impl $name {
            fn write_for_people<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }

            fn read_from_people<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        packed_serde!($name);
    };
}

/// Reads and writes a type as its parts where the form is tidegate's own, and where people read and write by its
/// `write_for_people` and `read_from_people`, or as another type that it comes from and goes into.
macro_rules! packed_serde {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    self.write_for_people(serializer)
                } else {
                    $name::serialize(self, serializer)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    $name::read_from_people(deserializer)
                } else {
                    $name::deserialize(deserializer)
                }
            }
        }
    };
    ($name:ident as $people:ty) => {
        impl $name {
            fn write_for_people<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(&<$people>::from(self.clone()), serializer)
            }

            fn read_from_people<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let read = <$people as serde::Deserialize>::deserialize(deserializer)?;
                Self::try_from(read).map_err(serde::de::Error::custom)
            }
        }

        packed_serde!($name);
    };
}
