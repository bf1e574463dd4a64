//! Deny and allow lists: who is refused whatever it asks for, and who is never limited. Whoever is on both is allowed, so
//! that a network can be denied but for one address of it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::time::Timestamp;

/// The most entries that are added at run time.
pub const LISTED_MAX: usize = 1000;
/// How many hex digits a key's id has, and how many of them name it at least.
const KEY_DIGITS: std::ops::RangeInclusive<usize> = 8..=64;
/// What a text must be to be read as [`Listed`].
pub const LISTED_FORM: &str = "an address such as \"192.0.2.1\", a network such as \"192.0.2.0/24\" or \"2001:db8::/32\", or \
                               \"key:\" and 8 or more hex digits of an API key's id";

/// One of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Refused with 403.
    Deny,
    /// Not limited.
    Allow,
}

impl List {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn read(text: &str) -> Option<Self> {
        [Self::Deny, Self::Allow].into_iter().find(|list| list.as_str() == text)
    }
}

/// Who is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// Every address that begins with these bits; an IPv4 address counts as the IPv6 address that it is mapped to.
    Network {
        /// The others are zero.
        bits: u128,
        /// How many of them.
        length: u8,
    },
    /// The API keys whose ids begin so.
    Key(Box<str>),
}

impl Listed {
    fn network(address: IpAddr, length: Option<u8>) -> Option<Self> {
        let is_v4 = address.is_ipv4();
        let most = if is_v4 { 32 } else { 128 };
        let length = length.unwrap_or(most);
        if length > most {
            return None;
        }
        let length = if is_v4 { length + 96 } else { length };
        Some(Self::Network { bits: bits(address) & mask(length), length })
    }

    /// Whether whoever the other one means is meant by this one, too.
    pub fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Network { bits, length }, Self::Network { bits: inner, length: longer }) => {
                length <= longer && inner & mask(*length) == *bits
            }
            (Self::Key(start), Self::Key(key)) => key.starts_with(&**start),
            _ => false,
        }
    }

    fn is(&self, address: Option<IpAddr>, key: Option<&str>) -> bool {
        match self {
            Self::Network { bits: network, length } => {
                address.is_some_and(|address| bits(address) & mask(*length) == *network)
            }
            Self::Key(start) => key.is_some_and(|key| key.starts_with(&**start)),
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0)
}

impl FromStr for Listed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || ["`", text, "` is nobody that can be listed; allowed: ", LISTED_FORM].concat();
        if let Some(key) = text.strip_prefix("key:") {
            let fits = KEY_DIGITS.contains(&key.len()) && key.bytes().all(|b| b.is_ascii_hexdigit());
            return if fits { Ok(Self::Key(key.to_ascii_lowercase().into())) } else { Err(wrong()) };
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        address.parse().ok().and_then(|address| Self::network(address, length)).ok_or_else(wrong)
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, length, most) = match self {
            Self::Key(start) => {
                f.write_str("key:")?;
                return f.write_str(start);
            }
            Self::Network { bits, length } => match IpAddr::from(bits.to_be_bytes()).to_canonical() {
                IpAddr::V4(v4) if *length >= 96 => (IpAddr::V4(v4), *length - 96, 32),
                _ => (IpAddr::from(bits.to_be_bytes()), *length, 128),
            },
        };
        address.fmt(f)?;
        if length == most { Ok(()) } else { write!(f, "/{length}") }
    }
}

text_serde!(Listed);

/// Somebody who was put on a list at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The list.
    pub list: List,
    /// Who.
    pub who: Listed,
    /// From then on no more; `None`: until it is taken off.
    pub until: Option<Timestamp>,
}

impl Entry {
    /// As one word.
    pub fn word(&self) -> String {
        let mut word = String::from(if self.list == List::Deny { "d" } else { "a" });
        word.push_str(&self.who.to_string());
        if let Some(until) = self.until {
            word.push('@');
            word.push_str(&until.as_secs().to_string());
        }
        word
    }

    /// Reads what [`Self::word`] writes.
    pub fn read(word: &str) -> Option<Self> {
        let (kind, rest) = word.split_at_checked(1)?;
        let list = match kind {
            "d" => List::Deny,
            "a" => List::Allow,
            _ => return None,
        };
        let (who, until) = match rest.split_once('@') {
            Some((who, until)) => (who, Some(Timestamp::from_secs(until.parse().ok()?))),
            None => (rest, None),
        };
        Some(Self { list, who: who.parse().ok()?, until })
    }

    fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// Both lists, as they were changed at run time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lists(Vec<Entry>);

impl Lists {
    /// All who are on them now.
    pub fn iter(&self, now: Timestamp) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| entry.holds(now))
    }

    /// Whether nobody is on them.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts somebody on a list, instead of what was there of the same. Tells whether there was room.
    pub fn add(&mut self, entry: Entry, now: Timestamp) -> bool {
        self.0.retain(|known| known.holds(now) && (known.list, &known.who) != (entry.list, &entry.who));
        let fits = self.0.len() < LISTED_MAX;
        if fits {
            self.0.push(entry);
        }
        fits
    }

    /// Takes somebody off a list. Tells whether they were there.
    pub fn remove(&mut self, list: List, who: &Listed) -> bool {
        let before = self.0.len();
        self.0.retain(|known| (known.list, &known.who) != (list, who));
        self.0.len() < before
    }

    /// Appends the entries as words.
    pub fn write(&self, text: &mut String) {
        for (at, entry) in self.0.iter().enumerate() {
            if at > 0 {
                text.push(' ');
            }
            text.push_str(&entry.word());
        }
    }

    /// Reads what [`Self::write`] writes.
    pub fn read(text: &str) -> Option<Self> {
        let words = text.split(' ').filter(|word| !word.is_empty());
        words.map(Entry::read).collect::<Option<_>>().map(Self)
    }
}

/// On which list somebody is, by what a config says and what was added since.
pub fn find(
    (denied, allowed): (&[Listed], &[Listed]),
    lists: &Lists,
    (address, key): (Option<IpAddr>, Option<&str>),
    now: Timestamp,
) -> Option<List> {
    let is_on = |list, always: &[Listed]| {
        let later = lists.iter(now).filter(|entry| entry.list == list).map(|entry| &entry.who);
        always.iter().chain(later).any(|who| who.is(address, key))
    };
    if is_on(List::Allow, allowed) {
        return Some(List::Allow);
    }
    is_on(List::Deny, denied).then_some(List::Deny)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);
    const KEY: &str = "3f2a9c1b00112233445566778899aabbccddeeff00112233445566778899aabb";

    fn listed(text: &str) -> Listed {
        text.parse().unwrap()
    }

    #[test]
    fn who_is_listed_is_read_as_people_write_it() {
        for (text, back) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("192.0.2.129/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:DB8:1::5/32", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1"),
            ("::/0", "::/0"),
            ("key:3F2A9C1B", "key:3f2a9c1b"),
        ] {
            assert_eq!(listed(text).to_string(), back, "{text}");
            assert_eq!(listed(back), listed(text));
        }
        for text in [
            "",
            "192.0.2",
            "192.0.2.0/33",
            "::/129",
            "192.0.2.0/",
            "192.0.2.0/-1",
            "key:3f2a",
            "key:",
            "key:3f2a9c1x",
        ] {
            assert!(text.parse::<Listed>().unwrap_err().contains("; allowed: "), "{text}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_other() {
        for (who, address, is_in) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "192.0.2.1", true),
        ] {
            assert_eq!(listed(who).is(address.parse().ok(), None), is_in, "{who} {address}");
            assert!(!listed(who).is(None, Some(KEY)));
        }
        assert!(listed("key:3f2a9c1b").is(None, Some(KEY)) && !listed("key:3f2a9c1c").is(None, Some(KEY)));
    }

    #[test]
    fn who_is_on_both_lists_is_allowed() {
        let (denied, allowed) = ([listed("192.0.2.0/24")], [listed("192.0.2.7"), listed("key:3f2a9c1b")]);
        let on = |address: &str, key| {
            find((&denied, &allowed), &Lists::default(), (address.parse().ok(), key), NOW)
        };
        assert_eq!(on("192.0.2.8", None), Some(List::Deny));
        assert_eq!(on("192.0.2.7", None), Some(List::Allow));
        assert_eq!(on("192.0.2.8", Some(KEY)), Some(List::Allow));
        assert_eq!(on("198.51.100.1", None), None);
    }

    #[test]
    fn what_was_added_ends_and_is_taken_off_and_reads_back() {
        let mut lists = Lists::default();
        let until = Some(Timestamp::from_secs(1_789_000_060));
        let entry = |list, text, until| Entry { list, who: listed(text), until };
        assert!(lists.add(entry(List::Deny, "192.0.2.0/24", until), NOW));
        assert!(lists.add(entry(List::Allow, "key:3f2a9c1b", None), NOW));
        assert!(lists.add(entry(List::Deny, "2001:db8::/32", None), NOW));
        let mut text = String::new();
        lists.write(&mut text);
        assert_eq!(text, "d192.0.2.0/24@1789000060 akey:3f2a9c1b d2001:db8::/32");
        assert_eq!(Lists::read(&text), Some(lists.clone()));
        assert_eq!(Lists::read(""), Some(Lists::default()));
        for broken in ["x192.0.2.1", "d", "d192.0.2.1@x", "é"] {
            assert_eq!(Lists::read(broken), None, "{broken}");
        }
        let on = |lists: &Lists, now| find((&[], &[]), lists, ("192.0.2.9".parse().ok(), None), now);
        assert_eq!(on(&lists, NOW), Some(List::Deny));
        assert_eq!(on(&lists, Timestamp::from_secs(1_789_000_060)), None);
        lists.remove(List::Allow, &listed("192.0.2.0/24"));
        assert_eq!(on(&lists, NOW), Some(List::Deny), "it is on the other list");
        lists.remove(List::Deny, &listed("192.0.2.1/24"));
        assert_eq!(on(&lists, NOW), None);
        assert_eq!(lists.iter(NOW).count(), 2);
    }

    #[test]
    fn the_lists_are_bounded_and_who_is_over_makes_room() {
        let mut lists = Lists::default();
        for at in 0..=LISTED_MAX as u32 {
            let who = Listed::network(IpAddr::V4(at.into()), None).unwrap();
            let until = (at == 0).then(|| Timestamp::from_secs(1_789_000_060));
            assert_eq!(lists.add(Entry { list: List::Deny, who, until }, NOW), at < LISTED_MAX as u32);
        }
        let entry = Entry { list: List::Deny, who: listed("2001:db8::1"), until: None };
        assert!(lists.add(entry, Timestamp::from_secs(1_789_000_060)));
    }
}
