//! What must be true of every answer.

use std::collections::{BTreeMap, HashMap};

use tidegate::time::{Span, Timestamp};

use super::purges::{Hits, Promise, Weather};
use super::site::{CLIENTS, Kind, Life, Site, kind};
use crate::sim::{Answer, secs};

/// Ages are whole seconds, and rounded down twice: the way from the origin, and the time since.
const ROUNDING: Span = Span::from_secs(2);

/// A response may be so long on its way from the origin, to another isolate that knows nothing of the write.
const ON_ITS_WAY: Span = Span::from_secs(2);

/// A write is told to the fleet's object within this, where that has been well for [`OBJECT_IS_WELL`].
const TOLD_WITHIN: Span = Span::from_secs(5);
const OBJECT_IS_WELL: Span = Span::from_secs(15);

/// A client that says so takes what has been stale for 1,000 seconds.
pub const MAX_STALE: &str = "max-stale=1000";

/// What a client asked for.
#[derive(Debug)]
pub struct Sent {
    /// To which isolate.
    pub place: (usize, usize),
    pub at: Timestamp,
    pub method: &'static str,
    pub path: String,
    pub language: &'static str,
    pub client: usize,
    pub range: Option<(u64, u64)>,
    /// The client's own Cache-Control.
    pub directive: &'static str,
}

impl Sent {
    /// Whether it takes what is stale, and is one whose directives count.
    fn is_heard(&self) -> bool {
        self.directive == MAX_STALE
            && CLIENTS[self.client].credential.is_some_and(|(name, _)| name == "x-api-key")
    }

    fn credential(&self) -> &'static str {
        CLIENTS[self.client].credential.map_or("", |(_, value)| value)
    }
}

/// A request that a quota admitted.
struct Admitted {
    client: usize,
    from: Timestamp,
    to: Timestamp,
}

pub struct Judge {
    site: Site,
    admitted: Vec<Admitted>,
    /// When a write to a path last came through each isolate.
    writes: HashMap<((usize, usize), String), Timestamp>,
    /// What purges have put an end to, and writes on the route whose writes reach the whole fleet.
    pub promises: Vec<Promise>,
    pub kv: Weather,
    pub fleet: Weather,
    /// How often each way of answering was seen, so that one knows that the histories go everywhere.
    pub seen: BTreeMap<String, usize>,
}

impl Judge {
    pub fn new(site: Site) -> Self {
        Self {
            site,
            admitted: Vec::new(),
            writes: HashMap::new(),
            promises: Vec::new(),
            kv: Weather::new(),
            fleet: Weather::new(),
            seen: BTreeMap::new(),
        }
    }

    pub fn check(&mut self, sent: &Sent, answer: &Answer) {
        let kind = kind(&sent.path);
        let cache = answer.cache();
        let detail = cache.rsplit_once("detail=").map_or("none", |(_, detail)| detail);
        for word in [detail.to_owned(), answer.status.to_string()] {
            *self.seen.entry(word).or_default() += 1;
        }
        if kind.name == "limited" {
            self.note_admission(sent, answer);
        }
        let id = answer.field("x-request-id").unwrap_or_default();
        for cookie in answer.fields.get_all("set-cookie") {
            assert_eq!(cookie, format!("session={id}"), "another client's cookie: {sent:?} {answer:#?}");
        }
        if !self.site.may_fail() {
            let expected = matches!(answer.status, 200 | 204 | 206 | 304 | 416 | 429)
                || (answer.status == 504 && answer.cache().contains("only-if-cached"));
            assert!(expected, "a healthy origin, and {sent:?} got {answer:#?}");
        }
        let Ok(text) = &answer.read else {
            assert!(
                self.site.may_fail(),
                "a body broke off that the origin sent whole: {sent:?} {answer:#?}"
            );
            return;
        };
        match answer.status {
            204 => {
                self.writes.insert((sent.place, sent.path.clone()), answer.at);
                if kind.route() == "global" {
                    self.promises.push(Promise {
                        hits: Hits::Kind(kind.name),
                        soft: false,
                        before: sent.at,
                        from: answer.at + TOLD_WITHIN,
                        told: true,
                        place: Some(sent.place),
                    });
                }
            }
            200 if sent.method == "GET" => {
                let made: super::site::Made = serde_json::from_str(text)
                    .unwrap_or_else(|error| panic!("{error}: {sent:?} {answer:#?}"));
                let life = self.site.life(made.serial).unwrap();
                assert_eq!(*text, life.text, "not what the origin sent");
                self.check_written(&life, kind, sent, answer);
                self.check_life(&life, kind, sent, answer, &id);
            }
            304 if sent.method == "GET" => {
                let tag = answer.field("etag").unwrap_or_default();
                let Some(life) = tag.trim_matches('"').parse().ok().and_then(|serial| self.site.life(serial))
                else {
                    return;
                };
                self.check_life(&life, kind, sent, answer, &id);
            }
            206 => {
                let (first, last) = sent.range.expect("nobody asked for a part");
                let lives = self.site.lives_of(&sent.path);
                let right = lives.iter().any(|life| {
                    let part = life.text.as_bytes().get(first as usize..=last as usize);
                    part == Some(text.as_bytes())
                        && allowed(life, kind, sent, answer, &id).is_ok()
                        && self.kept(life, kind, sent, answer, &id).is_ok()
                });
                assert!(right, "no part of what it may get: {sent:#?} got {answer:#?}");
            }
            _ => {}
        }
    }

    fn check_life(&mut self, life: &Life, kind: &Kind, sent: &Sent, answer: &Answer, id: &str) {
        let allowed = allowed(life, kind, sent, answer, id);
        if let Err(wrong) = allowed.and_then(|()| self.kept(life, kind, sent, answer, id)) {
            panic!("{wrong}: {sent:#?} got {answer:#?} of {life:#?}");
        }
    }

    /// An isolate is gone, and what it knew of writes.
    pub fn lost(&mut self, place: (usize, usize), now: Timestamp) {
        self.writes.retain(|(at, _), _| *at != place);
        // It may not have told of a write yet.
        self.promises.retain(|promise| promise.place != Some(place) || promise.from < now);
        for promise in self.promises.iter_mut().filter(|promise| promise.place == Some(place)) {
            promise.place = None;
        }
    }

    /// Whether what was purged, or written to, is kept from whoever it is to be kept from.
    fn kept(
        &mut self,
        life: &Life,
        kind: &Kind,
        sent: &Sent,
        answer: &Answer,
        id: &str,
    ) -> Result<(), String> {
        let last = life.confirmed.iter().map(|(at, _)| *at).filter(|at| *at <= answer.at).max();
        if kind.own || life.confirmed.iter().any(|(_, request)| request == id) {
            return Ok(());
        }
        let stale = ["detail=swr", "detail=sie", "ttl=-", "ttl=0"]
            .iter()
            .any(|detail| answer.cache().contains(detail));
        for promise in &self.promises {
            let Some(how) = promise.holds(sent, answer, &self.kv) else { continue };
            let is_meant = last.is_some_and(|last| last < promise.before)
                && (!promise.told || self.fleet.is_well(promise.before.before(OBJECT_IS_WELL), promise.from));
            if is_meant && !(promise.soft && (stale || sent.is_heard())) {
                return Err(format!("{how}, and {promise:?} is broken"));
            }
            let softly = if is_meant { " softly" } else { "" };
            *self.seen.entry([how, softly].concat()).or_default() += 1;
        }
        Ok(())
    }

    /// What a write invalidated is not given out again by the isolate that it came through.
    fn check_written(&self, life: &Life, kind: &Kind, sent: &Sent, answer: &Answer) {
        let Some(written) = self.writes.get(&(sent.place, sent.path.clone())) else { return };
        let last = life.confirmed.iter().map(|(at, _)| *at).max().unwrap();
        let since = written.since(last);
        assert!(
            kind.per_client || sent.at <= *written || since <= ON_ITS_WAY,
            "older by {since} than a write that it saw: {sent:#?} got {answer:#?} of {life:#?}"
        );
    }

    fn note_admission(&mut self, sent: &Sent, answer: &Answer) {
        let policy = answer.field("x-ratelimit-policy").unwrap_or_default();
        if answer.status != 429 && !policy.contains("degraded") {
            assert!(!policy.is_empty(), "no word of the limit: {sent:?} {answer:#?}");
            // An API key that can't be looked up leaves its client to the quota of its address.
            let tier = answer.field("x-ratelimit-tier").unwrap_or_default();
            if tier == "anonymous" && sent.credential().len() < 6 && !sent.credential().is_empty() {
                return;
            }
            self.admitted.push(Admitted { client: sent.client, from: sent.at, to: answer.at });
        }
    }

    /// No client was admitted more often within a minute than its quota says.
    pub fn check_limits(&self) {
        for (client, quota) in [12, 12, 18, 15, 12].into_iter().enumerate() {
            let own: Vec<&Admitted> = self.admitted.iter().filter(|one| one.client == client).collect();
            for first in &own {
                let within = |one: &&&Admitted| one.from >= first.from && one.to.since(first.from) < secs(60);
                let count = own.iter().filter(within).count();
                assert!(count <= quota, "client {client} was admitted {count} times in a minute");
            }
        }
    }
}

/// Whether a request may get this body.
fn allowed(life: &Life, kind: &Kind, sent: &Sent, answer: &Answer, id: &str) -> Result<(), String> {
    let made = &life.made;
    if made.path != sent.path {
        return Err("another path".into());
    }
    if kind.vary && made.language != sent.language {
        return Err("another variant".into());
    }
    if kind.per_client && made.credential != sent.credential() && !made.credential.is_empty() {
        return Err("another client's".into());
    }
    if kind.own && made.request != id {
        return Err("made for another request".into());
    }
    let mine = life.confirmed.iter().any(|(_, request)| request == id);
    if mine || kind.own {
        return Ok(());
    }
    let before = life.confirmed.iter().filter(|(at, _)| *at <= answer.at);
    let last = before.map(|(at, _)| *at).max().ok_or("from the future")?;
    let stale = answer.cache().contains("detail=sie");
    let usable = if stale { kind.error_secs } else { kind.usable_secs };
    let accepted = if sent.is_heard() { kind.max_stale_secs() } else { 0 };
    let usable = secs(usable + accepted);
    // It was chosen at some moment between the request and the answer.
    if sent.at.since(last) > usable.saturating_add(ROUNDING) {
        return Err(format!("{} after it was made or confirmed", sent.at.since(last)));
    }
    let aged = secs(answer.age()).saturating_add(ROUNDING);
    if aged < sent.at.since(last) {
        return Err("older than its Age says".into());
    }
    Ok(())
}
