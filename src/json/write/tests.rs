use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::list::Dict;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Colour {
    DarkRed,
}

#[derive(Serialize)]
struct Thing<'a> {
    name: &'a str,
    colour: Option<Colour>,
    none: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<u8>,
    pairs: Vec<(u64, bool)>,
    table: Dict<&'a str, i64>,
    letter: char,
}

#[test]
fn it_writes_what_serde_json_writes() {
    let thing = Thing {
        name: "a \"quoted\"\\ \n\r\t\u{1f}\u{7f} é 😀",
        colour: Some(Colour::DarkRed),
        none: None,
        left_out: Vec::new(),
        pairs: vec![(0, true), (u64::MAX, false)],
        table: Dict::from_iter([("x", -7), ("\n", i64::MIN)]),
        letter: '"',
    };
    assert_eq!(write(&thing), serde_json::to_string(&thing).unwrap());
    assert_eq!(write(&[(); 0]), "[]");
    assert_eq!(write(&Dict::<&str, u8>::default()), "{}");
}

#[test]
fn a_value_is_written_as_it_was_read() {
    for text in
        ["null", r#"{"a":[true,false,-1.5e3],"":{},"b":[]}"#, r#"["\"\\\n\u0000\u001f\t","ü\u2028😀"]"#]
    {
        let value = Value::parse(text).unwrap();
        let mut written = String::new();
        value.push(&mut written);
        assert_eq!(Value::parse(&written), Some(value));
        let [one, other] =
            [text, &written].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert_eq!(one, other, "{written}");
    }
}

#[test]
fn an_object_of_texts_reads_back() {
    assert_eq!(object(&[("a", "1"), ("\"", "\n")]), "{\"a\":\"1\",\"\\\"\":\"\\n\"}");
}

proptest! {
    #[test]
    fn any_text_and_number_is_written_as_by_serde_json(text in any::<String>(), number in any::<u64>()) {
        let both = (text, number);
        let expected: serde_json::Value = serde_json::from_str(&serde_json::to_string(&both).unwrap()).unwrap();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&write(&both)).unwrap(), expected);
    }
}
