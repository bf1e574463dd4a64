//! What is counted together.

use std::fmt;
use std::net::IpAddr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::prefix::Prefixes;
use crate::head::RequestHead;
use crate::identity::{self, Identity};
use crate::path::{Reading, normal};

/// What a part of a partition may be.
const PARTS: &str =
    "client, user, key, address, route, global, country, asn, segment:N (1 to 64), header:NAME, cookie:NAME";
/// The last segment of a path that may be a part.
const MAX_SEGMENT: u8 = 64;

/// One thing that keeps requests apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// The verified subject, else the API key, else the address.
    Client,
    /// The verified subject.
    User,
    /// The API key.
    Key,
    /// The address, as far as [`Prefixes`] say.
    Address,
    /// The route.
    Route,
    /// Nothing: everybody together.
    Global,
    /// The country of the address.
    Country,
    /// The autonomous system of the address.
    Asn,
    /// The segment of the path at this place, the first being 1: in `/users/42/posts` the second is `42`. A path that
    /// origins may read in two ways has none where the readings differ.
    Segment(u8),
    /// The value of a header field. A client chooses it.
    Header(Box<str>),
    /// The value of a cookie. A client chooses it.
    Cookie(Box<str>),
}

impl Part {
    fn read(text: &str) -> Result<Self, String> {
        let named =
            |name: &str| Some(name.trim()).filter(|name| !name.is_empty()).map(str::to_ascii_lowercase);
        let segment = |place: &str| place.parse().ok().filter(|place| (1..=MAX_SEGMENT).contains(place));
        Ok(match text {
            "client" => Self::Client,
            "user" => Self::User,
            "key" => Self::Key,
            "address" => Self::Address,
            "route" => Self::Route,
            "global" => Self::Global,
            "country" => Self::Country,
            "asn" => Self::Asn,
            _ => match text.split_once(':') {
                Some(("segment", place)) if segment(place).is_some() => {
                    Self::Segment(segment(place).unwrap_or_default())
                }
                Some(("header", name)) if named(name).is_some() => {
                    Self::Header(named(name).unwrap_or_default().into())
                }
                Some(("cookie", name)) if !name.trim().is_empty() => Self::Cookie(name.trim().into()),
                _ => return Err(mistake!("`{text}` is not a part of a partition; allowed: {PARTS}")),
            },
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::User => "user",
            Self::Key => "key",
            Self::Address => "address",
            Self::Route => "route",
            Self::Global => "global",
            Self::Country => "country",
            Self::Asn => "asn",
            Self::Segment(place) => return write!(f, "segment:{place}"),
            Self::Header(name) => return write!(f, "header:{name}"),
            Self::Cookie(name) => return write!(f, "cookie:{name}"),
        })
    }
}

/// What is counted together: requests that are alike in every part. In a config one part (`"client"`, the default)
/// or a list of them (`["user", "route"]`).
///
/// A part that a request lacks (the subject of an anonymous client, a header that was not sent) counts as one value:
/// all requests without it are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Partition(Vec<Part>);

impl Default for Partition {
    fn default() -> Self {
        Self(vec![Part::Client])
    }
}

impl Partition {
    /// Its parts, as a config writes them.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(Part::to_string).collect()
    }

    /// The name of the Durable Object that counts this request: SHA-256 over the parts, in lower-case hex. Policies
    /// with the same parts share it, so that one call serves them.
    pub fn object(
        &self,
        route: &str,
        head: &RequestHead,
        identity: &Identity,
        prefixes: Prefixes,
    ) -> Box<str> {
        let mut hash = PartHash(Sha256::new());
        for part in &self.0 {
            hash.part(part, route, head, identity, prefixes);
        }
        identity::hex(&hash.0.finalize()).into()
    }
}

struct PartHash(Sha256);

impl PartHash {
    /// Kind and length go in front of a value, so that no two different lists of values are the same bytes.
    fn add(&mut self, kind: u8, value: Option<&[u8]>) {
        let length = value.map_or(u64::MAX, |value| value.len() as u64);
        self.0.update([kind]);
        self.0.update(length.to_be_bytes());
        self.0.update(value.unwrap_or_default());
    }

    fn part(
        &mut self,
        part: &Part,
        route: &str,
        head: &RequestHead,
        identity: &Identity,
        prefixes: Prefixes,
    ) {
        let subject = identity.subject.as_deref().map(str::as_bytes);
        let key = identity.key_hash.as_deref().map(str::as_bytes);
        match part {
            Part::Client if subject.is_some() => self.add(b'u', subject),
            Part::Client if key.is_some() => self.add(b'k', key),
            Part::User => self.add(b'u', subject),
            Part::Key => self.add(b'k', key),
            Part::Client | Part::Address => {
                match head.client().address.map(|address| prefixes.network(address)) {
                    Some(IpAddr::V4(v4)) => self.add(b'a', Some(&v4.octets())),
                    Some(IpAddr::V6(v6)) => self.add(b'a', Some(&v6.octets())),
                    None => self.add(b'a', None),
                }
            }
            Part::Route => self.add(b'r', Some(route.as_bytes())),
            Part::Global => self.add(b'g', None),
            Part::Country => self.add(b'c', head.client().country.as_deref().map(str::as_bytes)),
            Part::Asn => {
                self.add(b'n', head.client().asn.map(u32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice))
            }
            Part::Segment(place) => {
                let [strict, lenient] =
                    [Reading::Strict, Reading::Lenient].map(|reading| normal(head.target.path(), reading));
                let at = |path| nth_segment(path, *place);
                self.add(b's', Some(&[*place]));
                self.add(b'v', at(&strict).filter(|segment| at(&lenient) == Some(segment)));
            }
            Part::Header(name) => {
                self.add(b'h', Some(name.as_bytes()));
                self.add(b'v', head.fields.combined(name).as_deref().map(str::as_bytes));
            }
            Part::Cookie(name) => {
                self.add(b'o', Some(name.as_bytes()));
                self.add(b'v', cookie(head, name).map(str::as_bytes));
            }
        }
    }
}

/// A segment of a path in its normal form, the first being 1.
fn nth_segment(path: &[u8], place: u8) -> Option<&[u8]> {
    path.split(|b| *b == b'/').nth(place.into()).filter(|segment| !segment.is_empty())
}

/// The value of a cookie (RFC 6265, section 4.2.1).
fn cookie<'h>(head: &'h RequestHead, name: &str) -> Option<&'h str> {
    let pairs = head.fields.get_all("cookie").flat_map(|line| line.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, value)| value)
}

impl Partition {
    fn write_for_people<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [part] => serializer.collect_str(part),
            parts => serializer.collect_seq(parts.iter().map(Part::to_string)),
        }
    }

    fn read_from_people<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartitionVisitor)
    }
}

packed_serde!(Partition);

struct PartitionVisitor;

impl<'de> Visitor<'de> for PartitionVisitor {
    type Value = Partition;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a part of a partition or a list of them; allowed: {PARTS}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Partition, E> {
        Part::read(text).map(|part| Partition(vec![part])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Partition, A::Error> {
        let mut parts = Vec::new();
        while let Some(text) = list.next_element::<std::borrow::Cow<'de, str>>()? {
            parts.push(Part::read(&text).map_err(A::Error::custom)?);
        }
        if parts.is_empty() {
            return Err(A::Error::custom(mistake!("a partition has at least one part; allowed: {PARTS}")));
        }
        Ok(Partition(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Client, Fields, Method};

    fn head(address: &str, fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::new(Method::Get, "https://a.example/api").unwrap();
        let client = Client {
            address: address.parse().ok(),
            country: Some("NL".into()),
            asn: Some(64_496),
            ..Client::default()
        };
        head.client = client.into();
        for (name, value) in fields {
            head.fields.append(name, value);
        }
        head
    }

    fn user(subject: Option<&str>, key: Option<&str>) -> Identity {
        Identity { subject: subject.map(Box::from), key_hash: key.map(Box::from), ..Identity::anonymous() }
    }

    fn object(partition: &str, head: &RequestHead, identity: &Identity) -> Box<str> {
        let partition: Partition = serde_json::from_str(partition).unwrap();
        partition.object("api", head, identity, Prefixes::default())
    }

    #[test]
    fn a_client_is_its_subject_then_its_key_then_its_address() {
        let (here, there) = (head("192.0.2.1", &[]), head("192.0.2.2", &[]));
        for (one, other, same) in [
            ((&here, user(Some("u"), Some("k"))), (&there, user(Some("u"), None)), true),
            ((&here, user(Some("u"), None)), (&here, user(Some("v"), None)), false),
            ((&here, user(None, Some("k"))), (&there, user(None, Some("k"))), true),
            ((&here, user(None, Some("k"))), (&here, user(Some("k"), None)), false),
            ((&here, user(None, None)), (&there, user(None, None)), false),
        ] {
            let objects = [one, other].map(|(head, identity)| object("\"client\"", head, &identity));
            assert_eq!(objects[0] == objects[1], same, "{objects:?}");
        }
        let name = object("\"client\"", &here, &user(Some("alice@example.com"), None));
        assert!(name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
    }

    #[test]
    fn addresses_of_one_subscriber_are_one_client() {
        for (one, other, same) in [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("unknown", "unknown", true),
        ] {
            let objects =
                [one, other].map(|address| object("\"client\"", &head(address, &[]), &user(None, None)));
            assert_eq!(objects[0] == objects[1], same, "{one} {other}");
        }
    }

    #[test]
    fn every_part_keeps_requests_apart() {
        let fields = [("x-team", "red"), ("cookie", "a=1; session=s1")];
        let plain = head("192.0.2.1", &fields);
        let mut elsewhere = plain.clone();
        elsewhere.client = Client {
            address: "192.0.2.9".parse().ok(),
            country: Some("DE".into()),
            asn: Some(64_497),
            ..Client::default()
        }
        .into();
        elsewhere.fields = Fields::from_pairs([("x-team", "blue"), ("cookie", "session=s2; a=1")]);
        let (alice, bob) = (user(Some("alice"), Some("k1")), user(Some("bob"), Some("k2")));
        let mut seen = std::collections::BTreeSet::new();
        for part in ["user", "key", "address", "country", "asn", "header:X-Team", "cookie:session"] {
            let part = format!("[\"{part}\"]");
            assert!(seen.insert(object(&part, &plain, &alice)), "{part} is no other part");
            assert_ne!(object(&part, &plain, &alice), object(&part, &elsewhere, &bob), "{part}");
        }
        for part in ["[\"global\"]", "\"cookie:a\"", "[\"route\", \"global\"]"] {
            assert!(seen.insert(object(part, &plain, &alice)), "{part} is no other part");
            assert_eq!(object(part, &plain, &alice), object(part, &elsewhere, &bob), "{part}");
        }
        let route = Partition(vec![Part::Route]);
        let of = |name: &str| route.object(name, &plain, &alice, Prefixes::default());
        assert_ne!(of("api"), of("login"));
    }

    #[test]
    fn a_segment_of_the_path_is_counted_however_it_is_dressed_up() {
        let of = |part: &str, path: &str| {
            let head = RequestHead::new(Method::Get, &format!("https://a.example{path}")).unwrap();
            object(part, &head, &user(None, None))
        };
        let second = |path: &str| of("\"segment:2\"", path);
        let forty_two = second("/users/42/posts");
        for same in [
            "/users/42",
            "/users/42/",
            "//users/%34%32/x",
            "/users/./42;v=1/x",
            "/teams/42?x=1",
            "/a/../users/42",
        ] {
            assert_eq!(second(same), forty_two, "{same}");
        }
        let none = second("/users");
        for lacks in ["/", "/users/", "/users/42%2Fx", "/users/42/..%2f43", "/users\\42"] {
            assert_eq!(second(lacks), none, "{lacks}: without the segment, or with two readings of it");
        }
        let others = [second("/users/43"), second("/42/users"), of("\"segment:1\"", "/42"), none];
        assert!(others.iter().all(|other| *other != forty_two), "{others:?}");
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let both = "[\"header:a\", \"header:b\"]";
        let of = |fields: &[(&str, &str)]| object(both, &head("192.0.2.1", fields), &user(None, None));
        let seen: std::collections::BTreeSet<_> = [
            of(&[("a", "xy")]),
            of(&[("a", "x"), ("b", "y")]),
            of(&[("b", "xy")]),
            of(&[("a", ""), ("b", "xy")]),
        ]
        .into();
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn partitions_are_written_as_they_are_read() {
        for text in [
            "\"client\"",
            "[\"user\",\"route\"]",
            "\"segment:2\"",
            "\"header:x-team\"",
            "[\"cookie:Session\",\"asn\"]",
        ] {
            let partition: Partition = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&partition).unwrap(), text);
        }
        for text in [
            "\"segment:0\"",
            "\"segment:65\"",
            "\"segment:\"",
            "\"segment:x\"",
            "\"ip\"",
            "[]",
            "[\"user\",\"nope\"]",
            "\"header:\"",
            "\"cookie: \"",
            "7",
        ] {
            let wrong = serde_json::from_str::<Partition>(text).unwrap_err().to_string();
            assert!(wrong.contains("; allowed: client, user"), "{text}: {wrong}");
        }
    }
}
