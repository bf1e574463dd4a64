//! Purges of the histories, and what is promised once one is acknowledged.

use tidegate::time::{Span, Timestamp};

use super::judge::Sent;
use super::site::{KINDS, kind};
use crate::sim::{Answer, Pending, World, secs};

/// After how long what was acknowledged holds in every isolate: a second until it is in KV, KV's lag, `fleet.refresh`.
const EVERYWHERE: Span = Span::from_secs(66);
/// How long KV has to have been well: `fleet.refresh`, and a read from before that is given up.
const KV_IS_WELL: Span = Span::from_secs(10);

/// What a purge hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hits {
    Path(String),
    /// By prefix or by tag.
    Kind(&'static str),
    /// By a tag: all paths that end so.
    Last(char),
    Route(&'static str),
    Everything,
}

impl Hits {
    fn draw(rng: &mut fastrand::Rng, path: String) -> Self {
        match rng.u8(..8) {
            0..3 => Self::Path(path),
            3..5 => Self::Kind(kind(&path).name),
            5 => Self::Last(['0', '1'][rng.usize(..2)]),
            6 => Self::Route(kind(&path).route()),
            _ => Self::Everything,
        }
    }

    fn operation(&self, rng: &mut fastrand::Rng) -> String {
        match self {
            Self::Path(path) => format!("\"url\":\"https://edge.example{path}\""),
            Self::Kind(name) if rng.bool() => format!("\"prefix\":\"https://edge.example/{name}/\""),
            Self::Kind(name) => format!("\"tag\":\"kind-{name}\""),
            Self::Last(last) => format!("\"tag\":\"last-{last}\""),
            Self::Route(name) => format!("\"route\":\"{name}\""),
            Self::Everything if rng.bool() => "\"host\":\"edge.example\"".into(),
            Self::Everything => "\"everything\":true".into(),
        }
    }

    fn hit(&self, path: &str) -> bool {
        match self {
            Self::Path(own) => own == path,
            Self::Kind(name) => kind(path).name == *name,
            Self::Last(last) => path.ends_with(*last),
            Self::Route(name) => kind(path).route() == *name,
            Self::Everything => true,
        }
    }
}

/// A purge that was sent, and sent again until it is acknowledged.
pub struct Purging {
    pending: Pending,
    pub place: (usize, usize),
    body: String,
    hits: Hits,
    soft: bool,
    first: Timestamp,
}

impl Purging {
    pub fn start(world: &World, rng: &mut fastrand::Rng, path: String, place: (usize, usize)) -> Self {
        let (hits, soft) = (Hits::draw(rng, path), rng.u8(..3) == 0);
        let mode = if soft { "soft" } else { "hard" };
        let (id, operation) = (rng.u64(..), hits.operation(rng));
        let body = format!("{{\"id\":\"{id}\",\"operations\":[{{{operation},\"mode\":\"{mode}\"}}]}}");
        let pending = send(world, &body, place);
        Self { pending, place, body, hits, soft, first: world.now() }
    }

    /// What it promises, once it is acknowledged. One that was not is sent again, from another place.
    pub fn collect(&mut self, world: &World, place: (usize, usize)) -> Option<Promise> {
        let answer = self.pending.take()?;
        if answer.status == 503 {
            (self.pending, self.place) = (send(world, &self.body, place), place);
            return None;
        }
        assert_eq!(answer.status, 200, "{} got {answer:#?}", self.body);
        Some(Promise {
            hits: self.hits.clone(),
            soft: self.soft,
            before: self.first,
            from: answer.at,
            told: false,
            place: Some(self.place),
        })
    }
}

fn send(world: &World, body: &str, place: (usize, usize)) -> Pending {
    let request = world.request("POST", "/_tidegate/admin/purge").at(place.0, place.1);
    request.field("authorization", "Bearer s3cret").body(body).start()
}

/// What nobody may be given any more.
#[derive(Debug)]
pub struct Promise {
    pub hits: Hits,
    /// It may be given as a stale one.
    pub soft: bool,
    /// What the origin made or confirmed before this is meant.
    pub before: Timestamp,
    pub from: Timestamp,
    /// The fleet's object was told of it behind an answer, if it was well.
    pub told: bool,
    /// The isolate that has known of it from then on.
    pub place: Option<(usize, usize)>,
}

/// Since when helpers have been well, and when they were not.
pub struct Weather(Vec<(Timestamp, bool)>);

impl Weather {
    pub fn new() -> Self {
        Self(vec![(Timestamp::default(), true)])
    }

    pub fn turns(&mut self, at: Timestamp, well: bool) {
        self.0.push((at, well));
    }

    /// Whether it was well all the time.
    pub fn is_well(&self, from: Timestamp, to: Timestamp) -> bool {
        let before = self.0.iter().rev().find(|(at, _)| *at <= from).is_none_or(|(_, well)| *well);
        before && self.0.iter().all(|(at, well)| *well || *at < from || *at > to)
    }
}

impl Promise {
    /// Where it holds for this request: in the isolate that has known of it from the beginning, or in all of them.
    pub fn holds(&self, sent: &Sent, answer: &Answer, kv: &Weather) -> Option<&'static str> {
        if !self.hits.hit(&sent.path) {
            return None;
        }
        let Sent { place, at: sent, .. } = *sent;
        let everywhere =
            || sent > self.from + EVERYWHERE + secs(1) && kv.is_well(sent.before(KV_IS_WELL), answer.at);
        match self.place == Some(place) && sent > self.from {
            true => Some(if self.told { "written here" } else { "purged here" }),
            false => everywhere().then_some(if self.told { "written elsewhere" } else { "purged elsewhere" }),
        }
    }
}

/// The tags that the origin gives a response.
pub fn tags(path: &str) -> String {
    format!("kind-{}, last-{}", kind(path).name, &path[path.len() - 1..])
}

#[test]
fn each_kind_is_on_a_route() {
    assert!(KINDS.iter().all(|kind| !kind.route().is_empty()));
}
