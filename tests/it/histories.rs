//! Random histories of a fleet: 8 colos of 4 isolates, KV that lags, helpers and origins that fail, purges and writes.
//! Whatever happens, no client gets another one's response, another variant, what is staler than allowed, or what was
//! purged once that is promised where it asks.
//!
//! A failure names its seed; `TIDEGATE_SEED=n` runs that history alone, `TIDEGATE_LONG=1` runs 10,000 of them.

mod judge;
mod purges;
mod site;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sim::{Fault, Helper, Pending, World, ms};
use judge::{Judge, MAX_STALE, Sent};
use purges::Purging;
use site::{CLIENTS, LANGUAGES, Site};

const COLOS: usize = 8;
const ISOLATES: usize = 4;
const STEPS: usize = 80;

const HELPERS: [Helper; 6] =
    [Helper::Colo, Helper::Kv, Helper::Limiter, Helper::Metrics, Helper::Shield, Helper::Fleet];

const CONFIG: &str = r#"
[origins.default]
endpoints = [
  { name = "a", url = "http://a.example" },
  { name = "b", url = "http://b.example", priority = 1 },
]
attempt_timeout = "2s"
total_timeout = "5s"

[cache]
memory_bytes_max = "1MiB"
[cache.default]
memory_object_bytes_max = "2KiB"

[limits.policies.tier]
tiers = { anonymous = "12/1m", free = "15/1m", pro = "18/1m", enterprise = "20/1m" }

[[routes]]
name = "all"

[[routes]]
name = "always"
match = { path = "/{plain,vary,swr}/*" }
cache = { kv_admission = "always" }

[[routes]]
name = "each"
match = { path = "/each/*" }
cache = { kv_admission = "always", key = { per_user = true } }

[[routes]]
name = "global"
match = { path = "/global/*" }
cache = { collapse = "global", invalidation = "global", kv_admission = "always" }

[[routes]]
name = "limited"
match = { path = "/limited/*" }
limits = ["tier"]
"#;

fn fleet(seed: u64) -> World {
    let world = World::fleet(seed, COLOS).config(CONFIG).var("TIDEGATE_ADMIN_TOKEN", "s3cret");
    world.api_key("alice", r#"{"tier":"pro","subject":"alice"}"#);
    world.api_key("bob", r#"{"tier":"free","subject":"bob"}"#);
    world
}

/// One request under way, and what it asked for.
struct Flight {
    pending: Pending,
    sent: Sent,
}

struct History {
    world: World,
    rng: fastrand::Rng,
    site: Site,
    judge: Judge,
    flights: Vec<Flight>,
    purges: Vec<Purging>,
    /// Whether anything is purged.
    purging: bool,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let world = fleet(seed);
        let site = Site::new(rng.fork());
        let origin = site.clone();
        world.origin(move |asked| origin.answer(asked));
        let (judge, purging) = (Judge::new(site.clone()), rng.bool());
        Self { world, judge, rng, site, flights: Vec::new(), purges: Vec::new(), purging }
    }

    /// Some places are busier than others.
    fn place(&mut self) -> (usize, usize) {
        let rng = &mut self.rng;
        (rng.usize(..COLOS).min(rng.usize(..COLOS)), rng.usize(..ISOLATES).min(rng.usize(..ISOLATES)))
    }

    fn purge(&mut self) {
        let place = self.place();
        let path = self.site.path(&mut self.rng);
        self.purges.push(Purging::start(&self.world, &mut self.rng, path, place));
    }

    fn send(&mut self) {
        let place = self.place();
        let rng = &mut self.rng;
        let path = self.site.path(rng);
        let method = match rng.u8(..20) {
            0 => "HEAD",
            1 => "POST",
            2 => "DELETE",
            _ => "GET",
        };
        let client = [0, 0, 0, 1, 1, 2, 3, 4][rng.usize(..8)];
        let language = LANGUAGES[rng.usize(..LANGUAGES.len())];
        let mut request =
            self.world.request(method, &path).at(place.0, place.1).from(CLIENTS[client].address);
        if let Some((name, value)) = CLIENTS[client].credential {
            request = request.field(name, value);
        }
        if !language.is_empty() {
            request = request.field("accept-language", language);
        }
        let range = (method == "GET" && rng.u8(..8) == 0).then(|| (rng.u64(..40), rng.u64(40..90)));
        if let Some((first, last)) = range {
            request = request.field("range", &format!("bytes={first}-{last}"));
        }
        if rng.u8(..10) == 0 {
            let tag = format!("\"{}\"", rng.usize(..40));
            request = request.field("if-none-match", &tag);
        }
        let directives = ["no-cache", "max-age=0", MAX_STALE, "only-if-cached", "no-store"];
        let directive = if rng.u8(..10) == 0 { directives[rng.usize(..directives.len())] } else { "" };
        if !directive.is_empty() {
            request = request.field("cache-control", directive);
        }
        let sent = Sent { place, at: self.world.now(), method, path, language, client, range, directive };
        self.flights.push(Flight { pending: request.start(), sent });
    }

    /// Something that goes wrong, or goes well again.
    fn disturb(&mut self) {
        let rng = &mut self.rng;
        let helper = HELPERS[rng.usize(..HELPERS.len())];
        let fault = match rng.u8(..6) {
            0 => Fault::Fails,
            1 => Fault::Hangs,
            2 => Fault::Takes(ms(rng.u64(..300))),
            3 => Fault::Mixed(rng.u8(..30), ms(rng.u64(..150))),
            _ => Fault::Takes(ms(rng.u64(..20))),
        };
        let well = matches!(fault, Fault::Takes(span) if span <= ms(20));
        match helper {
            Helper::Kv => self.judge.kv.turns(self.world.now(), well),
            Helper::Fleet => self.judge.fleet.turns(self.world.now(), well),
            _ => {}
        }
        self.world.fault(helper, fault);
        self.site.disturb(rng);
        if rng.u8(..3) == 0 {
            let place = (rng.usize(..COLOS), rng.usize(..ISOLATES));
            self.world.lose(place.0, place.1);
            self.flights.retain(|flight| flight.sent.place != place);
            self.purges.retain(|purge| purge.place != place);
            self.judge.lost(place, self.world.now());
        }
    }

    fn collect(&mut self) {
        let judge = &mut self.judge;
        self.flights.retain(|flight| match flight.pending.take() {
            Some(answer) => {
                judge.check(&flight.sent, &answer);
                false
            }
            None => true,
        });
        let place = self.place();
        let (world, judge) = (&self.world, &mut self.judge);
        self.purges.retain_mut(|purge| match purge.collect(world, place) {
            Some(promise) => {
                judge.promises.push(promise);
                false
            }
            None => true,
        });
    }

    /// Runs to its end; tells which ways of answering it saw.
    fn run(mut self) -> BTreeMap<String, usize> {
        for _ in 0..STEPS {
            for _ in 0..self.rng.usize(1..6) {
                self.send();
            }
            if self.rng.u8(..12) == 0 {
                self.disturb();
            }
            if self.purging && self.rng.u8(..10) == 0 {
                self.purge();
            }
            let pause = match self.rng.u8(..10) {
                0..4 => 0,
                4..8 => self.rng.u64(..500),
                8 => self.rng.u64(..8000),
                _ => self.rng.u64(..60_000),
            };
            self.world.pass(ms(pause));
            self.collect();
        }
        self.world.pass(ms(200_000));
        self.collect();
        assert!(self.flights.is_empty(), "{} requests were never answered", self.flights.len());
        assert_eq!(self.world.leaks(), 0, "streams that nobody read or discarded");
        self.judge.check_limits();
        self.judge.seen
    }
}

fn histories() -> Vec<u64> {
    match (std::env::var("TIDEGATE_SEED"), std::env::var_os("TIDEGATE_LONG")) {
        (Ok(seed), _) => vec![seed.parse().expect("TIDEGATE_SEED is a number")],
        (_, Some(_)) => (0..10_000).collect(),
        _ => (0..200).collect(),
    }
}

#[test]
fn no_history_gives_a_client_what_is_not_for_it() {
    let (seeds, mut seen) = (histories(), BTreeMap::new());
    for seed in &seeds {
        let history = AssertUnwindSafe(|| History::new(*seed).run());
        let Ok(ways) = catch_unwind(history) else {
            panic!("history {seed} broke a promise; TIDEGATE_SEED={seed} runs it alone");
        };
        for (way, count) in ways {
            *seen.entry(way).or_insert(0) += count;
        }
    }
    let ways = "memory, colo, kv, swr, sie, shield, purged here, purged elsewhere, written here, written elsewhere, \
        200, 204, 206, 304, 429, 502, 503, 504";
    for way in ways.split(", ") {
        let enough = seeds.len() < 100 || seen.get(way).is_some_and(|count| *count > 20);
        assert!(enough, "the histories hardly ever see {way}: {seen:?}");
    }
}
