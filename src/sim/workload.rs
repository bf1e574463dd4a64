//! A workload: many clients of a site and its API, whose URLs are asked for as Zipf's law says.
//!
//! The site is made of [`KINDS`]. Its pages, images and scripts are asked for by anybody; its API by clients of whom a
//! few ask most, and those have the higher tiers. A client is near one colo, and mostly meets the same isolate there.

use std::collections::BTreeMap;

use super::client::{Answer, Pending};
use super::cost::Bill;
use super::counts::Counts;
use super::fault::{Fault, Helper};
use super::origin::{Asked, Reply};
use super::world::World;
use super::{ms, secs};
use crate::config::Config;
use crate::time::{Span, Timestamp};

/// What is asked for, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// How many requests.
    pub requests: u64,
    /// How many come in a second, on average; they come as they like.
    pub per_second: f64,
    /// How many URLs there are, of all kinds together.
    pub urls: usize,
    /// The exponent of Zipf's law: the n-th URL is asked for 1/n^zipf as often as the first, and so with clients.
    pub zipf: f64,
    /// How many clients the API has.
    pub clients: usize,
    /// How much of all is for the API.
    pub api_percent: f64,
    /// How much of what is for the API changes something.
    pub write_percent: f64,
    /// How many colos there are.
    pub colos: usize,
    /// How many isolates each has.
    pub isolates: usize,
    /// What everything is drawn from.
    pub seed: u64,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            requests: 1_000_000,
            per_second: 100.0,
            urls: 10_000,
            zipf: 1.0,
            clients: 1000,
            api_percent: 20.0,
            write_percent: 1.0,
            colos: 8,
            isolates: 4,
            seed: 1,
        }
    }
}

/// A kind of URL: what of a hundred requests that are not for the API is for it, where it is, what the origin says of
/// its caching, how long it is.
struct Kind {
    percent: u32,
    path: fn(usize) -> String,
    content_type: &'static str,
    cache_control: Option<&'static str>,
    bytes: usize,
}

/// The API first.
const KINDS: [Kind; 4] = [
    Kind {
        percent: 0,
        path: |n| format!("/api/items/{n}"),
        content_type: "application/json",
        cache_control: Some("max-age=60"),
        bytes: 2 << 10,
    },
    Kind {
        percent: 35,
        path: |n| format!("/pages/{n}"),
        content_type: "text/html",
        cache_control: Some("max-age=300, stale-while-revalidate=60"),
        bytes: 8 << 10,
    },
    Kind {
        percent: 45,
        path: |n| format!("/images/{n}.webp"),
        content_type: "image/webp",
        cache_control: None,
        bytes: 32 << 10,
    },
    Kind {
        percent: 20,
        path: |n| format!("/assets/chunk-{:08X}.js", (n as u32).wrapping_mul(0x9E37_79B9)),
        content_type: "text/javascript",
        cache_control: None,
        bytes: 16 << 10,
    },
];

/// Which tier a client of the API has, by its place among them: the first of a hundred, the next four, the next 15.
const TIERS: [(usize, &str); 3] = [(1, "enterprise"), (5, "pro"), (20, "free")];

/// How long the helpers and the origin take.
const COLO_TAKES: Span = ms(3);
const KV_TAKES: Span = ms(15);
const OBJECT_TAKES: Span = ms(15);
const ORIGIN_TAKES: Span = ms(80);
/// An isolate is evicted after so long on average, when it has nothing to do.
const ISOLATE_LIVES: Span = secs(3600);
/// How much of what a client asks for comes to its isolate, and not to another one of its colo.
const SAME_ISOLATE_PERCENT: u32 = 80;

/// What came of a workload.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How long it took.
    pub lasted: Span,
    /// How many requests were answered in which way; see [`way`].
    pub ways: BTreeMap<&'static str, u64>,
    /// What was called.
    pub counts: Counts,
    /// What it costs.
    pub bill: Bill,
}

impl Outcome {
    /// How many requests were answered in this way.
    pub fn of(&self, way: &str) -> u64 {
        self.ways.get(way).copied().unwrap_or_default()
    }

    /// How many of a hundred requests did not wait for the origin and were not refused.
    pub fn hit_percent(&self) -> f64 {
        let hits: u64 = HITS.iter().map(|way| self.of(way)).sum();
        hits as f64 * 100.0 / self.bill.requests.max(1) as f64
    }
}

/// Ways of answering without the origin, in the order of what they take.
pub const HITS: [&str; 5] = ["memory", "colo", "kv", "stale", "collapsed"];

/// How a request was answered: one of [`HITS`], `"origin"`, `"refused"` or `"failed"`.
fn way(answer: &Answer) -> &'static str {
    let cache = answer.cache();
    match answer.status {
        429 => "refused",
        500.. => "failed",
        _ if cache.ends_with("detail=swr") || cache.ends_with("detail=sie") => "stale",
        _ if cache.contains("collapsed") => "collapsed",
        _ if !cache.starts_with("hit") => "origin",
        _ => HITS.into_iter().find(|way| cache.ends_with(way)).unwrap_or("origin"),
    }
}

/// Numbers from 0 as Zipf's law draws them.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(numbers: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=numbers.max(1)).map(|n| {
            sum += (n as f64).powf(-exponent);
            sum
        });
        Self(weights.collect())
    }

    fn draw(&self, rng: &mut fastrand::Rng) -> usize {
        let wanted = rng.f64() * self.0.last().copied().unwrap_or_default();
        self.0.partition_point(|sum| *sum <= wanted).min(self.0.len() - 1)
    }
}

/// A workload under way.
struct Run<'w> {
    workload: &'w Workload,
    world: World,
    rng: fastrand::Rng,
    urls: Zipf,
    clients: Zipf,
    flights: Vec<((usize, usize), Pending)>,
    ways: BTreeMap<&'static str, u64>,
}

/// Sends a workload through a fleet with this config.
pub fn run(config: &Config, workload: &Workload) -> Outcome {
    let world = World::fleet(workload.seed, workload.colos.max(1)).with(config);
    world.watch(false);
    for (helper, takes) in [
        (Helper::Colo, COLO_TAKES),
        (Helper::Kv, KV_TAKES),
        (Helper::Limiter, OBJECT_TAKES),
        (Helper::Metrics, OBJECT_TAKES),
    ] {
        world.fault(helper, Fault::Takes(takes));
    }
    for client in 0..workload.clients {
        if let Some(tier) = tier(client, workload.clients) {
            let record = format!(r#"{{"tier":"{tier}","subject":"{client}"}}"#);
            world.api_key(&format!("key-{client}"), &record);
        }
    }
    let bodies = KINDS.map(|kind| "x".repeat(kind.bytes).into());
    world.origin(move |asked| origin(asked, &bodies));
    let run = Run {
        rng: fastrand::Rng::with_seed(workload.seed),
        urls: Zipf::new(workload.urls / KINDS.len(), workload.zipf),
        clients: Zipf::new(workload.clients, workload.zipf),
        flights: Vec::new(),
        ways: BTreeMap::new(),
        workload,
        world,
    };
    run.finish()
}

/// The site's own server. Nothing on it changes but by what is sent to it, and then nobody looks.
fn origin(asked: &Asked, bodies: &[std::rc::Rc<str>; KINDS.len()]) -> Reply {
    if asked.method() != "GET" {
        return Reply::new(204, "");
    }
    let path = asked.path();
    let at = match path {
        _ if path.starts_with("/pages/") => 1,
        _ if path.starts_with("/images/") => 2,
        _ if path.starts_with("/assets/") => 3,
        _ => 0,
    };
    let Kind { content_type, cache_control, .. } = KINDS[at];
    let mut reply = match asked.field("if-none-match") {
        Some(_) => Reply::new(304, ""),
        None => Reply::ok(bodies[at].clone()).field("content-type", content_type),
    };
    reply = reply.field("etag", "\"a\"").after(ORIGIN_TAKES);
    match cache_control {
        Some(said) => reply.field("cache-control", said),
        None => reply,
    }
}

impl Run<'_> {
    fn finish(mut self) -> Outcome {
        let start = self.world.now();
        let mut due_ms = 0.0;
        for _ in 0..self.workload.requests {
            due_ms += -(1.0 - self.rng.f64()).ln() * 1000.0 / self.workload.per_second.max(0.001);
            self.wait(start + ms(due_ms as u64));
            self.send();
        }
        let lasted = self.world.now().since(start);
        while !self.flights.is_empty() {
            self.wait(self.world.now() + secs(1));
        }
        self.world.pass(secs(120));
        let (counts, shared) = (self.world.counts(), self.world.shared());
        let (rows, alarms) = shared.ledger.borrow_mut().total();
        let bill = Bill::new(self.workload.requests, &counts, rows, alarms);
        Outcome { lasted, ways: self.ways, counts, bill }
    }

    /// Lets time pass, and counts what was answered in it.
    fn wait(&mut self, until: Timestamp) {
        let now = self.world.now();
        self.world.pass(until.since(now));
        let ways = &mut self.ways;
        self.flights.retain(|(_, pending)| match pending.take() {
            Some(answer) => {
                *ways.entry(way(&answer)).or_default() += 1;
                false
            }
            None => true,
        });
        self.evict(until.since(now));
        // They are for tests, and grow.
        self.world.shared().asked.borrow_mut().clear();
        self.world.shared().log.borrow_mut().clear();
    }

    /// Now and then an isolate is evicted that has nothing to do.
    fn evict(&mut self, passed: Span) {
        let fleet = (self.workload.colos * self.workload.isolates) as f64;
        let chance = fleet * passed.as_millis() as f64 / ISOLATE_LIVES.as_millis() as f64;
        if self.rng.f64() < chance {
            let place = (self.rng.usize(..self.workload.colos), self.rng.usize(..self.workload.isolates));
            if self.flights.iter().all(|(at, _)| *at != place) {
                self.world.lose(place.0, place.1);
            }
        }
    }

    fn send(&mut self) {
        let rng = &mut self.rng;
        let is_api = rng.f64() * 100.0 < self.workload.api_percent;
        let method = if is_api && rng.f64() * 100.0 < self.workload.write_percent { "POST" } else { "GET" };
        let kind = if is_api { 0 } else { site_kind(rng.u32(..100)) };
        let path = (KINDS[kind].path)(self.urls.draw(rng));
        // The visitors of a site are many, and the API's clients are known.
        let client = if is_api { self.clients.draw(rng) } else { rng.usize(..1 << 16) };
        let place = self.place(client);
        let address = format!("10.{}.{}.{}", client >> 16, (client >> 8) & 255, client & 255);
        let mut request = self.world.request(method, &path).at(place.0, place.1).from(&address);
        if is_api && tier(client, self.workload.clients).is_some() {
            let key = format!("key-{client}");
            request = request.field("x-api-key", &key);
        }
        self.flights.push((place, request.start()));
    }

    /// Where a client's request comes in: at its colo, and mostly at its isolate there.
    fn place(&mut self, client: usize) -> (usize, usize) {
        let mut home = fastrand::Rng::with_seed(client as u64 ^ self.workload.seed);
        let (colos, isolates) = (self.workload.colos.max(1), self.workload.isolates.max(1));
        // Some colos are busier than others.
        let colo = home.usize(..colos).min(home.usize(..colos));
        let isolate = home.usize(..isolates);
        match self.rng.u32(..100) {
            0..SAME_ISOLATE_PERCENT => (colo, isolate),
            _ => (colo, self.rng.usize(..isolates)),
        }
    }
}

fn site_kind(drawn: u32) -> usize {
    let mut below = 0;
    let of_site = KINDS.iter().position(|kind| {
        below += kind.percent;
        drawn < below
    });
    of_site.unwrap_or_default()
}

/// The tier of the client at this place of the API's clients; `None` for those without a key.
fn tier(client: usize, clients: usize) -> Option<&'static str> {
    let percent = client * 100 / clients.max(1);
    TIERS.iter().find(|(below, _)| percent < *below).map(|(_, tier)| *tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_drawn_as_zipf_says() {
        let (zipf, mut rng) = (Zipf::new(1000, 1.0), fastrand::Rng::with_seed(1));
        let mut drawn = [0_u32; 1000];
        (0..100_000).for_each(|_| drawn[zipf.draw(&mut rng)] += 1);
        // The harmonic number of 1,000 is 7.485.
        let near = |n: usize| (f64::from(drawn[n - 1]) / (100_000.0 / 7.485 / n as f64) - 1.0).abs() < 0.1;
        assert!(near(1) && near(2) && near(10), "{:?}", &drawn[..10]);
        assert!(drawn[500..].iter().sum::<u32>() > 5000, "the tail is long");
    }

    #[test]
    fn who_asks_most_has_the_highest_tier() {
        let tiers = [0, 9, 10, 49, 50, 199, 200, 999].map(|client| tier(client, 1000));
        let (enterprise, pro, free) = (Some("enterprise"), Some("pro"), Some("free"));
        assert_eq!(tiers, [enterprise, enterprise, pro, pro, free, free, None, None]);
    }

    #[test]
    fn the_kinds_of_a_site_are_all_of_it() {
        assert_eq!(KINDS.iter().map(|kind| kind.percent).sum::<u32>(), 100);
        assert_eq!([0, 34, 35, 79, 80, 99].map(site_kind), [1, 1, 2, 2, 3, 3]);
    }
}
