//! What became of limits: by policy and tier, and which partitions asked most.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tally::{Merge, Named, Tally};
use crate::json::{push_name, push_text};
use crate::time::Timestamp;

/// What became of a policy, where it held for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitCount {
    /// It let a request through, as far as it was its to say.
    Admitted,
    /// It refused one.
    Refused,
    /// It could not be counted, and its request was let through all the same.
    Degraded,
    /// It is in shadow, and would have refused one.
    WouldRefuse,
    /// Its object was called.
    Called,
    /// An isolate took units on lease.
    Leased,
}

impl LimitCount {
    /// All, in the order of their indices.
    pub const ALL: [Self; 6] =
        [Self::Admitted, Self::Refused, Self::Degraded, Self::WouldRefuse, Self::Called, Self::Leased];

    /// As a label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::Degraded => "degraded",
            Self::WouldRefuse => "would-refuse",
            Self::Called => "called",
            Self::Leased => "leased",
        }
    }
}

/// How many partitions are kept as those that ask most, and of each route how many URLs as those that are asked for most.
const BUSIEST_MAX: usize = 16;

/// The partitions that asked most, by their hash. With more of them than are kept, the numbers of one that
/// came late hold those of the one whose place it took (Metwally et al., Space-Saving): never too small, and the busy ones
/// stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Busiest(Vec<Busy>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Its hash, which is the name of its object.
    pub name: Box<str>,
    /// Requests that were checked.
    pub requests: u64,
    /// Those of them that were refused.
    pub refused: u64,
}

impl Busiest {
    /// Counts requests of a partition.
    pub fn add(&mut self, name: &str, requests: u64, refused: u64) {
        let at = match self.0.iter().position(|busy| *busy.name == *name) {
            Some(at) => at,
            None if self.0.len() < BUSIEST_MAX => {
                self.0.push(Busy { name: name.into(), requests: 0, refused: 0 });
                self.0.len() - 1
            }
            None => self.idlest(name),
        };
        if let Some(busy) = self.0.get_mut(at) {
            busy.requests = busy.requests.saturating_add(requests);
            busy.refused = busy.refused.saturating_add(refused);
        }
    }

    /// Gives the place of the one that asked least away.
    fn idlest(&mut self, name: &str) -> usize {
        let least = self.0.iter().enumerate().min_by_key(|(_, busy)| busy.requests);
        let at = least.map_or(0, |(at, _)| at);
        if let Some(busy) = self.0.get_mut(at) {
            busy.name = name.into();
            busy.refused = 0;
        }
        at
    }

    /// Lets what is long ago count less.
    pub fn halve(&mut self) {
        for busy in &mut self.0 {
            busy.requests /= 2;
            busy.refused /= 2;
        }
        self.0.retain(|busy| busy.requests > 0);
    }

    /// All, the busiest first.
    pub fn ranked(&self) -> Vec<&Busy> {
        let mut ranked: Vec<&Busy> = Vec::new();
        for busy in &self.0 {
            let at = ranked.iter().take_while(|other| other.requests >= busy.requests).count();
            ranked.insert(at, busy);
        }
        ranked
    }

    /// Whether nobody asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Merge for Busiest {
    fn merge(&mut self, other: &Self) {
        for busy in &other.0 {
            self.add(&busy.name, busy.requests, busy.refused);
        }
    }
}

/// As one text: `name requests refused`, one after the other.
impl Serialize for Busiest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        for Busy { name, requests, refused } in &self.0 {
            for word in [&**name, &requests.to_string(), &refused.to_string()] {
                text.push_str(word);
                text.push(' ');
            }
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Busiest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let mut busiest = Self::default();
        let mut words = text.split_ascii_whitespace();
        while let (Some(name), Some(requests), Some(refused)) = (words.next(), words.next(), words.next()) {
            let number = |word: &str| word.parse().unwrap_or_default();
            busiest.add(name, number(requests), number(refused));
        }
        Ok(busiest)
    }
}

/// Everything about limits, as JSON.
pub(super) fn json(started: Timestamp, checks: &Named<Tally>, busiest: &Busiest) -> String {
    let mut out = String::from("{");
    push_name(&mut out, "since");
    out.push_str(&started.as_secs().to_string());
    push_name(&mut out, "policies");
    out.push('[');
    for (at, (pair, tally)) in checks.iter().enumerate() {
        let (policy, tier) = pair.split_once(' ').unwrap_or((pair, pair));
        out.push_str(if at == 0 { "{" } else { ",{" });
        push_name(&mut out, "policy");
        push_text(&mut out, policy);
        push_name(&mut out, "tier");
        push_text(&mut out, tier);
        for kind in LimitCount::ALL {
            push_number(&mut out, kind.as_str(), tally.get(kind as usize));
        }
        let decided =
            [LimitCount::Admitted, LimitCount::Refused, LimitCount::WouldRefuse, LimitCount::Degraded];
        let decided: u64 = decided.into_iter().map(|kind| tally.get(kind as usize)).sum();
        push_number(&mut out, "calls-saved", decided.saturating_sub(tally.get(LimitCount::Called as usize)));
        out.push('}');
    }
    out.push(']');
    push_name(&mut out, "partitions");
    out.push('[');
    for (at, busy) in busiest.ranked().into_iter().enumerate() {
        out.push_str(if at == 0 { "{" } else { ",{" });
        push_name(&mut out, "partition");
        push_text(&mut out, &busy.name);
        push_number(&mut out, "requests", busy.requests);
        push_number(&mut out, "refused", busy.refused);
        out.push('}');
    }
    out.push_str("]}");
    out
}

fn push_number(out: &mut String, name: &str, number: u64) {
    push_name(out, name);
    out.push_str(&number.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busy_ones_stay_whoever_else_comes() {
        let mut busiest = Busiest::default();
        for n in 0..3000 {
            // Every second request is of one of three partitions.
            busiest.add(&format!("busy-{}", n % 3), 1, 0);
            busiest.add(&format!("other-{n}"), 1, 1);
        }
        assert_eq!(busiest.0.len(), BUSIEST_MAX);
        let ranked: Vec<(&str, u64)> =
            busiest.ranked().iter().map(|busy| (&*busy.name, busy.requests)).collect();
        let first: Vec<&str> = ranked.iter().take(3).map(|(name, _)| *name).collect();
        assert!(["busy-0", "busy-1", "busy-2"].iter().all(|name| first.contains(name)), "{ranked:?}");
        assert!(ranked.iter().take(3).all(|(_, requests)| (1000..1300).contains(requests)), "{ranked:?}");
    }

    #[test]
    fn the_busiest_read_back_and_fade() {
        let mut busiest = Busiest::default();
        for (name, requests, refused) in [("a", 3, 1), ("b", 5, 0), ("c", 1, 0)] {
            busiest.add(name, requests, refused);
        }
        let text = serde_json::to_string(&busiest).unwrap();
        assert_eq!(serde_json::from_str::<Busiest>(&text).unwrap(), busiest);
        busiest.halve();
        let left: Vec<(&str, u64, u64)> =
            busiest.ranked().iter().map(|busy| (&*busy.name, busy.requests, busy.refused)).collect();
        assert_eq!(left, [("b", 2, 0), ("a", 1, 0)]);
    }

    #[test]
    fn everything_about_limits_is_told() {
        let (mut checks, mut busiest) = (Named::<Tally>::default(), Busiest::default());
        for (kind, n) in [(LimitCount::Admitted, 20), (LimitCount::Refused, 5), (LimitCount::Called, 21)] {
            checks.pair("tier", "pro").unwrap().add(kind as usize, n);
        }
        busiest.add("0123456789abcdef", 25, 5);
        assert_eq!(
            json(Timestamp::from_secs(7), &checks, &busiest),
            concat!(
                r#"{"since":7,"policies":[{"policy":"tier","tier":"pro","admitted":20,"refused":5,"degraded":0,"#,
                r#""would-refuse":0,"called":21,"leased":0,"calls-saved":4}],"#,
                r#""partitions":[{"partition":"0123456789abcdef","requests":25,"refused":5}]}"#
            )
        );
    }
}
