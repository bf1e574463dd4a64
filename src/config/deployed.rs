//! The config on its way to the Worker: one text, stamped by the version of `tidegate build` that checked it. The
//! wasm has no words for what is wrong with a config; it tells whether somebody has looked.

use sha2::{Digest, Sha256};

use super::sections::Config;
use crate::identity::hex;
use crate::json::{self, Value};
use crate::list::Dict;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The stamp of a checked text, for this version.
pub fn stamp(text: &str) -> String {
    hex(&Sha256::new().chain_update(VERSION).chain_update(text).finalize())
}

impl Config {
    /// Reads what `tidegate build` wrote. What bears another stamp is not believed, readable or not: a name that it
    /// gives may not be there, and then nothing would be limited.
    ///
    /// # Errors
    /// What to do about it, and which sections can't be read.
    pub fn deployed(text: &str, checked: &str) -> Result<Self, String> {
        match json::read(text) {
            Ok(config) if stamp(text) == checked => Ok(config),
            _ => Err([
                "this is no config that `tidegate build` of version ",
                VERSION,
                " has checked; build it anew. `tidegate check` says what is wrong with a file, line by line.\n",
                &unreadable(text),
            ]
            .concat()),
        }
    }
}

/// The sections that can't be read, each route and each origin as one.
fn unreadable(text: &str) -> String {
    let Some(Value::Table(whole)) = Value::parse(text) else { return "not a JSON object\n".to_owned() };
    whole
        .into_iter()
        .flat_map(parts)
        .filter_map(|(place, part)| {
            json::read_value::<Config>(&part).err()?;
            Some(place + " can't be read\n")
        })
        .collect()
}

/// A section as configs of one part each, with the name of the part.
fn parts((section, value): (String, Value)) -> Vec<(String, Value)> {
    match value {
        Value::List(items) => (items.into_iter().enumerate())
            .map(|(at, item)| (format!("{section}[{at}]"), table(&section, Value::List(vec![item]))))
            .collect(),
        Value::Table(tables) if section == "origins" => (tables.into_iter())
            .map(|(name, pool)| (format!("{section}.{name}"), table(&section, table(&name, pool))))
            .collect(),
        value => vec![(section.clone(), table(&section, value))],
    }
}

fn table(name: &str, value: Value) -> Value {
    Value::Table(Dict::from_iter([(name.to_owned(), value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"origins":{"default":{"url":"https://example.com"}}}"#;

    #[test]
    fn what_this_version_checked_is_read() {
        assert!(Config::deployed(TEXT, &stamp(TEXT)).is_ok());
    }

    #[test]
    fn what_nobody_checked_is_refused_though_it_can_be_read() {
        let changed = TEXT.replace("example.com", "example.org");
        for (text, checked) in [(TEXT, ""), (TEXT, "0"), (&*changed, &*stamp(TEXT))] {
            let wrong = Config::deployed(text, checked).unwrap_err();
            assert!(wrong.contains("build it anew") && wrong.contains("tidegate check"), "{wrong}");
        }
    }

    #[test]
    fn every_section_that_can_not_be_read_is_named() {
        let text = r#"{"origins":{"a":{"url":17},"b":{"url":"https://b.example"}},"routes":[{"name":"x"},{"y":1}],
            "server":{"loops_max":"many"},"nonsense":{}}"#;
        let wrong = Config::deployed(text, &stamp(text)).unwrap_err();
        let places: Vec<&str> = wrong.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(places, ["origins.a", "routes[1]", "server", "nonsense"], "{wrong}");
        for text in ["", "7", "undefined"] {
            assert!(Config::deployed(text, &stamp(text)).unwrap_err().lines().count() == 2, "{text}");
        }
    }
}
