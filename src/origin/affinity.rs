//! What draws a request to an endpoint: what keeps it with the same one, and how near one is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::select::Set;
use crate::head::Client;

/// By what the rendezvous selection keeps requests together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Affinity {
    /// `"client"`: the verified subject, else the address.
    #[default]
    Client,
    /// `"user"`: the verified subject; who has none goes anywhere.
    User,
    /// `"key"`: what is asked for, path and query.
    Key,
    /// `"header:NAME"`: this field of the request; without it, as [`Affinity::Client`].
    Header(Box<str>),
}

impl FromStr for Affinity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        match (text, text.strip_prefix("header:")) {
            ("client", _) => Ok(Self::Client),
            ("user", _) => Ok(Self::User),
            ("key", _) => Ok(Self::Key),
            (_, Some(name)) if is_name(name) => Ok(Self::Header(name.to_ascii_lowercase().into())),
            _ => Err(mistake!(
                "`{text}` is nothing to go by; allowed: \"client\", \"user\", \"key\", \"header:NAME\""
            )),
        }
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (form, name) = match self {
            Self::Client => ("client", ""),
            Self::User => ("user", ""),
            Self::Key => ("key", ""),
            Self::Header(name) => ("header:", &**name),
        };
        f.write_str(form)?;
        f.write_str(name)
    }
}

text_serde!(Affinity, packed);

/// A number for a text, by which the rendezvous selection goes.
pub fn hash(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv)
}

/// What a selection goes by of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// [`hash`] of what the pool's [`Affinity`] names.
    pub affinity: u64,
    /// Which endpoints are near.
    pub near: Near,
    /// The endpoints that it may not go to.
    pub barred: Set,
}

/// The endpoints that say they are for this request's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Near {
    colo: Set,
    region: Set,
}

impl Near {
    /// None is nearer than the others.
    pub const NONE: Self = Self { colo: Set::EMPTY, region: Set::EMPTY };

    /// Of endpoints with their `colos` and `regions`, which name this client's.
    pub(super) fn of<'e>(
        endpoints: impl Iterator<Item = (&'e [Box<str>], &'e [Box<str>])>,
        client: &Client,
    ) -> Self {
        let mut near = Self::default();
        let names = |list: &[Box<str>], name: Option<&str>| {
            name.is_some_and(|name| list.iter().any(|listed| listed.eq_ignore_ascii_case(name)))
        };
        let continent = client.continent.as_deref().and_then(continent);
        for (at, (colos, regions)) in endpoints.enumerate() {
            if names(colos, client.colo.as_deref()) {
                near.colo.insert(at);
            }
            if names(regions, client.country.as_deref()) || names(regions, continent) {
                near.region.insert(at);
            }
        }
        near
    }

    /// Of these, the nearest: those of the colo, else those of the region, else all.
    pub(super) fn nearest(self, group: Set) -> Set {
        [self.colo, self.region]
            .into_iter()
            .map(|near| near.and(group))
            .find(|near| !near.is_empty())
            .unwrap_or(group)
    }
}

/// The continents, by the platform's code and as a config names them: two letters are a country there.
const CONTINENTS: [(&str, &str); 7] = [
    ("AF", "africa"),
    ("AN", "antarctica"),
    ("AS", "asia"),
    ("EU", "europe"),
    ("NA", "north-america"),
    ("OC", "oceania"),
    ("SA", "south-america"),
];

fn continent(code: &str) -> Option<&'static str> {
    CONTINENTS.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

/// What is wrong with the name of a region or a colo, where something is.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn place_problem(colos: &[Box<str>], regions: &[Box<str>]) -> Option<String> {
    let letters = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_alphabetic());
    if let Some(colo) = colos.iter().find(|colo| !letters(colo, 3)) {
        return Some(format!("colos: `{colo}` is no data centre; allowed: three letters such as \"FRA\""));
    }
    let is_region = |name: &str| letters(name, 2) || CONTINENTS.iter().any(|(_, known)| *known == name);
    let region = regions.iter().find(|region| !is_region(region))?;
    let continents: Vec<String> = CONTINENTS.iter().map(|(_, name)| format!("\"{name}\"")).collect();
    let continents = continents.join(", ");
    Some(format!("regions: `{region}` is no region; allowed: a country such as \"DE\", or {continents}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_go_by_reads_back() {
        for text in ["client", "user", "key", "header:x-session"] {
            assert_eq!(text.parse::<Affinity>().unwrap().to_string(), text);
        }
        for text in ["", "cookie", "header:", "header:a b"] {
            assert!(text.parse::<Affinity>().unwrap_err().contains("; allowed: "), "{text}");
        }
    }

    #[test]
    fn the_nearest_is_of_the_colo_else_of_the_country_or_continent_else_any() {
        let list = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect::<Vec<Box<str>>>();
        let places = [
            (list(&["FRA"]), list(&["DE"])),
            (list(&["AMS"]), list(&["europe"])),
            (list(&[]), list(&["NA"])),
            (list(&[]), list(&[])),
        ];
        let all = Set::of(0..4);
        for (colo, country, continent, expected) in [
            ("FRA", "DE", "EU", vec![0]),
            ("MUC", "DE", "EU", vec![0, 1]),
            ("CDG", "FR", "EU", vec![1]),
            ("NRT", "JP", "AS", vec![0, 1, 2, 3]),
            ("WDH", "NA", "AF", vec![2]),
            ("EWR", "US", "NA", vec![0, 1, 2, 3]),
        ] {
            let client = Client {
                colo: Some(colo.into()),
                country: Some(country.into()),
                continent: Some(continent.into()),
                ..Client::default()
            };
            let near = Near::of(places.iter().map(|(colos, regions)| (&**colos, &**regions)), &client);
            assert_eq!(near.nearest(all), Set::of(expected.into_iter()), "{colo}");
        }
    }
}
