//! What the fleet knows of its endpoints' health: the state of the one object that probes them, and to which every isolate
//! says what it has seen. Pure, text in and text out.
//!
//! A text is a line with the version and one for each endpoint, and after them those of the isolates, which stay with the
//! object; names and words are set apart by tabs.

use super::pool::Pool;
use crate::time::{Span, Timestamp};

/// Stands before the version.
const FORM: &str = "1H";
/// Stands before what an isolate has said.
const WORD: char = '!';
/// How many isolates are listened to; past it the oldest word goes.
const ISOLATES_MAX: usize = 256;
/// What an isolate said longer ago says nothing any more.
const WORD_FOR: Span = Span::from_secs(15);
/// An endpoint that an isolate complains of is probed at once, but not more often than this.
const AGAIN_AFTER: Span = Span::from_secs(1);
/// A pool without probes loses an endpoint where so many isolates complain of it, and at least half of all.
const VOTES_MIN: usize = 2;

/// All that is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Monitor {
    /// Grows with every change of what isolates are told.
    pub version: u64,
    /// Every endpoint of every pool that has `health`.
    pub watched: Vec<Watched>,
    words: Vec<Word>,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watched {
    /// The pool's name.
    pub pool: Box<str>,
    /// Its own.
    pub endpoint: Box<str>,
    /// Whether it is well; what was not found out yet is.
    pub healthy: bool,
    /// Since when that is so.
    pub since: Timestamp,
    /// How far it is behind its primary, where it says so.
    pub lag: Option<Span>,
    /// Why the last probe failed; empty where it did not.
    pub why: Box<str>,
    /// How many probes in a row said the contrary.
    contrary: u32,
    /// When it was probed last.
    probed: Timestamp,
    /// When it is probed next.
    due: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    isolate: Box<str>,
    at: Timestamp,
    /// Indices of the endpoints whose breakers are open there.
    open: Vec<usize>,
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// Which endpoint, as an index into [`Monitor::watched`].
    pub at: usize,
    /// Why it failed; empty where it did not.
    pub why: String,
    /// How far behind the endpoint said that it is.
    pub lag: Option<Span>,
}

impl Monitor {
    /// From a text, as far as it fits the pools of this config; all else begins anew.
    pub fn read<'p>(text: &str, pools: impl Iterator<Item = &'p Pool>, now: Timestamp) -> Self {
        let mut monitor = Self::default();
        let mut known = Vec::new();
        let mut lines = text.lines();
        monitor.version = lines.next().and_then(|line| line.strip_prefix(FORM)?.parse().ok()).unwrap_or(0);
        if monitor.version == 0 {
            // A moment, so that an object that lost everything goes on with higher numbers.
            monitor.version = now.as_millis();
        }
        for line in lines {
            match line.strip_prefix(WORD) {
                Some(word) => monitor.words.extend(Word::read(word)),
                None => known.extend(Watched::read(line)),
            }
        }
        let is_same =
            |one: &Watched, pool: &Pool, name: &str| *one.pool == *pool.name && *one.endpoint == *name;
        for pool in pools.filter(|pool| pool.config.health.is_some()) {
            for endpoint in &pool.endpoints {
                let new = || Watched {
                    pool: pool.name.clone(),
                    endpoint: endpoint.name.clone(),
                    healthy: true,
                    since: now,
                    due: now,
                    ..Watched::default()
                };
                let old = known.iter().find(|one| is_same(one, pool, &endpoint.name)).cloned();
                monitor.watched.push(old.unwrap_or_else(new));
            }
        }
        if known.len() != monitor.watched.len() {
            monitor.words.clear();
        }
        monitor
    }

    /// As text: what isolates are told, and where `all` what only the object needs.
    pub fn write(&self, all: bool) -> String {
        let mut text = [FORM, &self.version.to_string()].concat();
        for one in &self.watched {
            text.push('\n');
            one.write(&mut text);
        }
        for word in self.words.iter().filter(|_| all) {
            text.push('\n');
            text.push(WORD);
            word.write(&mut text);
        }
        text
    }

    /// An isolate says which breakers are open there: lines of a pool's and an endpoint's name, after one with its own.
    pub fn hear<'p>(&mut self, said: &str, pools: impl Iterator<Item = &'p Pool> + Clone, now: Timestamp) {
        self.words.retain(|word| now.since(word.at) < WORD_FOR);
        let mut lines = said.lines();
        if let Some(isolate) = lines.next().filter(|name| !name.is_empty()) {
            let open = lines.filter_map(|line| {
                let (pool, endpoint) = line.split_once('\t')?;
                self.watched.iter().position(|one| *one.pool == *pool && *one.endpoint == *endpoint)
            });
            let word = Word { isolate: isolate.into(), at: now, open: open.collect() };
            self.words.retain(|word| *word.isolate != *isolate);
            if self.words.len() >= ISOLATES_MAX {
                self.words.remove(0);
            }
            self.words.push(word);
        }
        for pool in pools {
            let probes = pool.config.health.as_ref().is_some_and(|health| health.path.is_some());
            for at in 0..self.watched.len() {
                if !self.is_of(at, pool) {
                    continue;
                }
                let votes = self.votes(at);
                let (heard, half) = (votes > 0, votes >= VOTES_MIN && votes * 2 >= self.words.len());
                let Some(one) = self.watched.get_mut(at) else { continue };
                if probes && heard && one.healthy {
                    one.due = one.due.min(now.max(one.probed + AGAIN_AFTER));
                } else if !probes && one.healthy == half {
                    one.turn(!half, now);
                    one.why = if half { "isolates say so".into() } else { Box::default() };
                    self.version += 1;
                }
            }
        }
    }

    /// The endpoints that are to be probed now.
    pub fn due<'p>(&self, pools: impl Iterator<Item = &'p Pool>, now: Timestamp) -> Vec<usize> {
        let mut due = Vec::new();
        for pool in pools.filter(|pool| is_probed(pool)) {
            due.extend((0..self.watched.len()).filter(|at| {
                self.is_of(*at, pool) && self.watched.get(*at).is_some_and(|one| one.due <= now)
            }));
        }
        due
    }

    /// When the next endpoint is to be probed.
    pub fn next<'p>(&self, pools: impl Iterator<Item = &'p Pool>) -> Option<Timestamp> {
        let of = |pool: &'p Pool| {
            let its = (0..self.watched.len()).filter(move |at| self.is_of(*at, pool));
            its.filter_map(|at| self.watched.get(at)).map(|one| one.due).min()
        };
        pools.filter(|pool| is_probed(pool)).filter_map(of).min()
    }

    /// What came of a probe. One that confirms what an isolate said needs no second one.
    pub fn note<'p>(&mut self, probed: &Probed, pools: impl Iterator<Item = &'p Pool>, now: Timestamp) {
        let mut pools = pools.filter(|pool| self.is_of(probed.at, pool));
        let Some(config) = pools.next().and_then(|pool| pool.config.health.as_ref()) else { return };
        let is_heard = self.votes(probed.at) > 0;
        let Some(one) = self.watched.get_mut(probed.at) else { return };
        let told = (one.healthy, one.lag, one.why.clone());
        let is_well = probed.why.is_empty();
        (one.probed, one.due, one.lag) = (now, now + config.interval, probed.lag);
        one.why = probed.why.replace(['\t', '\n'], " ").into();
        one.contrary = if is_well == one.healthy { 0 } else { one.contrary + 1 };
        let threshold = match one.healthy {
            true if is_heard => 1,
            true => config.unhealthy_threshold,
            false => config.healthy_threshold,
        };
        if one.contrary >= threshold {
            one.turn(is_well, now);
        }
        self.version += u64::from(told != (one.healthy, one.lag, one.why.clone()));
    }

    fn votes(&self, at: usize) -> usize {
        self.words.iter().filter(|word| word.open.contains(&at)).count()
    }

    fn is_of(&self, at: usize, pool: &Pool) -> bool {
        self.watched.get(at).is_some_and(|one| one.pool == pool.name)
    }
}

fn is_probed(pool: &Pool) -> bool {
    pool.config.health.as_ref().is_some_and(|health| health.path.is_some())
}

impl Watched {
    fn turn(&mut self, healthy: bool, now: Timestamp) {
        (self.healthy, self.since, self.contrary) = (healthy, now, 0);
    }

    fn write(&self, text: &mut String) {
        let millis = |moment: Timestamp| moment.as_millis().to_string();
        let lag = self.lag.map_or_else(String::new, |lag| lag.as_millis().to_string());
        let parts = [
            &*self.pool,
            &*self.endpoint,
            if self.healthy { "1" } else { "0" },
            &millis(self.since),
            &lag,
            &self.why,
            &self.contrary.to_string(),
            &millis(self.probed),
            &millis(self.due),
        ];
        text.push_str(&parts.join("\t"));
    }

    fn read(line: &str) -> Option<Self> {
        let mut parts = line.split('\t');
        let moment = |text: &str| text.parse().ok().map(Timestamp::from_millis);
        Some(Self {
            pool: parts.next()?.into(),
            endpoint: parts.next()?.into(),
            healthy: parts.next()? == "1",
            since: moment(parts.next()?)?,
            lag: parts.next()?.parse().ok().map(Span::from_millis),
            why: parts.next()?.into(),
            contrary: parts.next()?.parse().ok()?,
            probed: moment(parts.next()?)?,
            due: moment(parts.next()?)?,
        })
    }
}

impl Word {
    fn write(&self, text: &mut String) {
        text.push_str(&self.isolate);
        text.push('\t');
        text.push_str(&self.at.as_millis().to_string());
        for at in &self.open {
            text.push('\t');
            text.push_str(&at.to_string());
        }
    }

    fn read(line: &str) -> Option<Self> {
        let mut parts = line.split('\t');
        let (isolate, at) = (parts.next()?.into(), Timestamp::from_millis(parts.next()?.parse().ok()?));
        Some(Self { isolate, at, open: parts.filter_map(|part| part.parse().ok()).collect() })
    }
}

impl Probed {
    /// A line.
    pub fn write(&self) -> String {
        let lag = self.lag.map_or_else(String::new, |lag| lag.as_millis().to_string());
        [&self.at.to_string(), "\t", &lag, "\t", &self.why.replace(['\t', '\n'], " ")].concat()
    }

    /// From a line.
    pub fn read(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, '\t');
        Some(Self {
            at: parts.next()?.parse().ok()?,
            lag: parts.next()?.parse().ok().map(Span::from_millis),
            why: parts.next()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
