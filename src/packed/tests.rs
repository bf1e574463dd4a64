use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Colour {
    DarkRed,
    Mixed(u8, Box<str>),
    Other { name: String, shade: Option<u32> },
    Same(Box<Colour>),
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
struct Thing {
    name: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    colour: Option<Colour>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sizes: Vec<(u16, f64)>,
    flags: BTreeMap<String, bool>,
    #[serde(skip)]
    unsaid: u8,
    last: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
struct Pair {
    left: u32,
    right: u32,
}

text_serde!(Pair, packed);

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{}", self.left, self.right)
    }
}

impl std::str::FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (left, right) = text.split_once('+').ok_or("no +")?;
        let number = |text: &str| text.parse::<u32>().map_err(|wrong| wrong.to_string());
        Ok(Self { left: number(left)?, right: number(right)? })
    }
}

#[test]
fn people_read_a_text_where_tidegate_reads_parts() {
    let pair = Pair { left: 1, right: 23 };
    assert_eq!(serde_json::to_string(&pair).unwrap(), r#""1+23""#);
    assert_eq!(serde_json::from_str::<Pair>(r#""1+23""#).unwrap(), pair);
    assert_eq!(write(&pair).unwrap(), "1:23:");
    assert_eq!(read::<Pair>("1:23:").unwrap(), pair);
}

#[test]
fn the_form_is_what_is_written_down() {
    let thing = Thing {
        name: "ä:1".into(),
        colour: Some(Colour::Other { name: "x".into(), shade: None }),
        sizes: vec![(7, 0.0)],
        flags: [("on".into(), true)].into(),
        unsaid: 9,
        last: u64::MAX,
    };
    let text = write(&thing).unwrap();
    assert_eq!(text, "4:ä:11:2:1:x0:1:7:0:1:2:on1:18446744073709551615:");
    assert_eq!(read::<Thing>(&text).unwrap(), Thing { unsaid: 0, ..thing });
    assert_eq!(write(&Thing::default()).unwrap(), "0:0:0:0:0:");
    assert_eq!(
        (write(&-1_i32), write(&'a'), write(&1_i64)),
        (Err(Unreadable), Err(Unreadable), Ok("1:".into()))
    );
}

#[test]
fn what_was_not_written_from_the_type_is_unreadable() {
    let text = write(&Thing { name: "a".into(), ..Thing::default() }).unwrap();
    for end in 0..text.len() {
        assert!(read::<Thing>(text.get(..end).unwrap()).is_err(), "{end}");
    }
    for wrong in ["1:a2:", "x", "99999999999999999999:", "3:ä", "1:ä0:0:0:0:", "-1:", "1:a0:0:0:0:0:"] {
        assert!(read::<Thing>(wrong).is_err(), "{wrong}");
    }
    assert!(read::<u8>("256:").is_err() && read::<Colour>("4:").is_err());
}

fn colours() -> impl Strategy<Value = Colour> {
    let plain = prop_oneof![
        Just(Colour::DarkRed),
        (any::<u8>(), any::<String>()).prop_map(|(depth, name)| Colour::Mixed(depth, name.into())),
        (any::<String>(), any::<Option<u32>>()).prop_map(|(name, shade)| Colour::Other { name, shade }),
    ];
    plain.prop_recursive(4, 4, 1, |inner| inner.prop_map(|colour| Colour::Same(Box::new(colour))))
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        name in any::<String>(),
        colour in prop::option::of(colours()),
        sizes in prop::collection::vec((any::<u16>(), any::<f64>().prop_filter("NaN", |number| !number.is_nan())), 0..5),
        flags in prop::collection::btree_map(any::<String>(), any::<bool>(), 0..4),
        last in any::<u64>(),
    ) {
        let thing = Thing { name: name.into(), colour, sizes, flags, unsaid: 0, last };
        prop_assert_eq!(read::<Thing>(&write(&thing).unwrap()), Ok(thing));
    }

    #[test]
    fn no_text_makes_it_fail_in_another_way(text in "([0-9]{0,2}:|[a-zä]){0,12}") {
        let _ = read::<Thing>(&text);
    }
}
