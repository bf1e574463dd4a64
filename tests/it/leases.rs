//! Leases in a whole fleet: how many calls they save, how many requests they cost early, and that the quota holds
//! whatever fails. What is printed is seen with `cargo test leases -- --nocapture`.

use std::collections::VecDeque;

use tidegate::time::{Span, Timestamp};

use crate::sim::{Fault, Helper, Pending, World, ms, secs};

const ISOLATES: usize = 8;
const WINDOW: Span = secs(60);
const WARM_UP: Span = secs(30);
/// How long a request waits for the limiter, and so how late its answer may be.
const BUDGET: Span = ms(50);

const CONFIG: &str = r#"
[origins.default]
url = "http://origin.example"
[limits.policies.all]
quota = "QUOTA/1m"
algorithm = "ALGORITHM"
on_error = "refuse"
[[routes]]
name = "api"
limits = ["all"]
cache = "off"
"#;

fn fleet(seed: u64, quota: usize, algorithm: &str) -> World {
    let config = CONFIG.replace("ALGORITHM", algorithm).replace("QUOTA", &quota.to_string());
    World::fleet(seed, 1).config(&config)
}

fn seeds(few: u64, many: u64) -> std::ops::Range<u64> {
    0..if std::env::var_os("TIDEGATE_LONG").is_some() { many } else { few }
}

/// A sliding window without leases, for the same requests.
struct Exact(usize, VecDeque<Timestamp>);

impl Exact {
    fn admits(&mut self, now: Timestamp) -> bool {
        while self.1.front().is_some_and(|at| *at + WINDOW <= now) {
            self.1.pop_front();
        }
        let fits = self.1.len() < self.0;
        if fits {
            self.1.push_back(now);
        }
        fits
    }
}

/// When requests were admitted.
fn admitted(world: &World, sent: &[Pending]) -> Vec<Timestamp> {
    let mut moments = Vec::new();
    for one in sent {
        let answer = world.finish(one);
        match answer.status {
            200 => moments.push(answer.at),
            429 | 503 => {}
            status => panic!("{status}"),
        }
    }
    moments.sort_unstable();
    moments
}

/// The most in any window, wherever it begins.
fn most(moments: &[Timestamp], window: Span) -> usize {
    let (mut most, mut first) = (0, 0);
    for (at, moment) in moments.iter().enumerate() {
        while moments[first] + window <= *moment {
            first += 1;
        }
        most = most.max(at + 1 - first);
    }
    most
}

/// What a load came to.
#[derive(Default)]
struct Figures {
    requests: usize,
    admitted: usize,
    exact: usize,
    calls: usize,
    most: usize,
}

impl Figures {
    fn requests_per_call(&self) -> f64 {
        self.requests as f64 / self.calls as f64
    }

    /// Requests that an exact limiter would have admitted, in percent of all.
    fn early_percent(&self) -> f64 {
        (self.exact as f64 - self.admitted as f64).max(0.0) * 100.0 / self.requests as f64
    }
}

/// Requests that come as if each came by itself, at a pace of so many percent of the quota, for so long.
fn steady(seed: u64, quota: usize, percent: u64, span: Span) -> Figures {
    let world = fleet(seed, quota, "sliding-window");
    world.fault(Helper::Limiter, Fault::Takes(ms(20)));
    world.skew_clocks(ms(500));
    let mut rng = fastrand::Rng::with_seed(seed);
    let mean = WINDOW.as_millis() as f64 * 100.0 / (quota as f64 * percent as f64);
    let (begin, mut due, mut exact) = (world.now(), 0.0, Exact(quota, VecDeque::new()));
    let mut sent = Vec::new();
    let mut figures = Figures::default();
    // What it takes to get to know the isolates is not counted as calls that are steady.
    let mut warm = None;
    while due < span.as_millis() as f64 {
        let at = begin + Span::from_millis(due as u64);
        world.pass(at.since(world.now()));
        if due >= WARM_UP.as_millis() as f64 {
            warm.get_or_insert((world.counts().limiter, sent.len()));
        }
        figures.exact += usize::from(exact.admits(at));
        sent.push(world.get("/x").at(0, rng.usize(..ISOLATES)).start());
        due -= mean * (1.0 - rng.f64()).ln();
    }
    let moments = admitted(&world, &sent);
    figures.requests = sent.len() - warm.unwrap_or_default().1;
    figures.admitted = moments.len();
    figures.calls = world.counts().limiter - warm.unwrap_or_default().0;
    figures.most = most(&moments, WINDOW.saturating_sub(BUDGET));
    figures
}

#[test]
fn under_steady_load_leases_save_calls_and_hardly_refuse_early() {
    // Quota, load in percent of it, requests a call at least.
    for (quota, percent, worth) in
        [(1000, 50, 20.0), (1000, 70, 20.0), (1000, 90, 5.0), (1000, 100, 1.5), (5000, 70, 60.0)]
    {
        let mut all = Figures::default();
        for seed in seeds(2, 40) {
            let one = steady(seed, quota, percent, secs(150));
            assert!(one.most <= quota, "{quota}/1m, {percent} %, seed {seed}: {} in a window", one.most);
            all.requests += one.requests;
            all.admitted += one.admitted;
            all.exact += one.exact;
            all.calls += one.calls;
            all.most = all.most.max(one.most);
        }
        println!(
            "leases: {percent} % of {quota}/1m on {ISOLATES} isolates: {} requests, {} admitted, at most {} in a \
             window, {:.1} requests a call, {:.2} % refused early",
            all.requests,
            all.admitted,
            all.most,
            all.requests_per_call(),
            all.early_percent(),
        );
        assert!(all.early_percent() < 2.0 && all.requests_per_call() > worth);
    }
}

#[test]
fn the_first_request_of_a_client_may_be_let_through_before_it_is_counted() {
    let config = CONFIG.replace("ALGORITHM", "sliding-window").replace("QUOTA", "5");
    let world =
        World::fleet(7, 1).config(&config.replace("on_error", "first_request = \"provisional\"\non_error"));
    world.fault(Helper::Limiter, Fault::Takes(ms(40)));
    let send = |isolate| {
        let (sent, pending) = (world.now(), world.get("/x").at(0, isolate).start());
        let answer = world.finish(&pending);
        // What goes on in the background has come to an end before the next one.
        world.pass(ms(50));
        (answer.status, answer.at.since(sent), answer.fields.get("x-ratelimit-remaining").map(str::to_owned))
    };
    let left = |n: u32| Some(n.to_string());
    assert_eq!(send(0), (200, ms(0), None), "nobody knows yet");
    assert_eq!(send(0), (200, ms(40), left(3)), "but it was counted");
    assert_eq!((send(1), send(1)), ((200, ms(0), None), (200, ms(40), left(1))), "once in each isolate");
    world.pass(secs(30));
    assert_eq!((send(0), send(0).0), ((200, ms(40), left(0)), 429), "the client is known");
    assert_eq!(send(2), (200, ms(0), None), "one too many, and it is counted");
    world.pass(secs(31));
    assert_eq!(
        send(0).2,
        left(2),
        "what came in the last half minute counts: the fifth, the one too many, this one"
    );
    world.pass(secs(60));
    assert_eq!(send(0), (200, ms(0), None), "it is forgotten");
}

#[test]
fn one_isolate_gets_all_of_a_quota_from_many_requests_at_once() {
    for (quota, at_once) in [(100, 20), (150, 7), (400, 20), (1000, 33)] {
        for seed in seeds(2, 40) {
            let world = fleet(seed, quota, "sliding-window");
            world.fault(Helper::Limiter, Fault::Takes(ms(20)));
            let mut admitted = 0;
            for _ in 0..(quota + 40).div_ceil(at_once) {
                let sent: Vec<Pending> = (0..at_once).map(|_| world.get("/x").start()).collect();
                admitted += sent.iter().filter(|one| world.finish(one).status == 200).count();
            }
            assert_eq!(admitted, quota, "{at_once} at once, seed {seed}");
        }
    }
}

#[test]
fn a_hot_policy_of_many_isolates_asks_its_object_seldom() {
    const MANY: usize = 150;
    let world = fleet(3, 60_000, "sliding-window");
    world.fault(Helper::Limiter, Fault::Takes(ms(20)));
    let mut rng = fastrand::Rng::with_seed(3);
    let (mut sent, mut warm) = (Vec::new(), 0);
    // 300 requests a second, each somewhere.
    for nth in 0..12_000 {
        if nth % 3 == 0 {
            world.pass(ms(10));
        }
        sent.push(world.get("/x").at(0, rng.usize(..MANY)).start());
        if nth == 4000 {
            warm = world.counts().limiter;
        }
    }
    let calls = world.counts().limiter - warm;
    assert_eq!(admitted(&world, &sent).len(), sent.len(), "nobody was refused");
    println!(
        "leases: 300 requests a second on {MANY} isolates: {:.1} calls a second",
        calls as f64 * 300.0 / 8000.0
    );
    assert!(calls * 20 < 8000, "{calls} calls for 8000 requests");
}

/// Isolates that join, die with what they hold and have clocks of their own, calls that fail, hang and are slow, bursts
/// and pauses, objects that forget what is not stored.
fn storm(seed: u64, algorithm: &str) -> (usize, usize, usize) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let quota = [100, 300, 1000][rng.usize(..3)];
    let world = fleet(seed, quota, algorithm);
    world.skew_clocks(ms(500));
    let mut sent = Vec::new();
    for _ in 0..300 {
        let place = rng.usize(..ISOLATES);
        match rng.u8(..12) {
            0 => world.lose(0, place),
            1 => world.fault(Helper::Limiter, Fault::Mixed(rng.u8(..20), ms(3000))),
            2 => world.fault(Helper::Limiter, Fault::Takes(ms(rng.u64(..40)))),
            3 => world.pass(secs(rng.u64(..20))),
            4 | 5 => sent.extend((0..rng.usize(..40)).map(|_| world.get("/x").at(0, place).start())),
            _ => {
                for _ in 0..rng.usize(1..20) {
                    sent.push(world.get("/x").at(0, place).start());
                    world.pass(ms(rng.u64(..150)));
                }
            }
        }
    }
    world.pass(secs(5));
    // Those that died with their isolate never get an answer.
    let mut moments: Vec<Timestamp> = Vec::new();
    for answer in sent.iter().filter_map(Pending::take) {
        assert!([200, 429, 503].contains(&answer.status), "{answer:#?}");
        moments.extend((answer.status == 200).then_some(answer.at));
    }
    moments.sort_unstable();
    let most = match algorithm {
        "fixed-window" => {
            let window = |at: &Timestamp| at.as_millis() / WINDOW.as_millis();
            moments.chunk_by(|one, other| window(one) == window(other)).map(<[_]>::len).max().unwrap_or(0)
        }
        _ => most(&moments, WINDOW.saturating_sub(BUDGET)),
    };
    // An answer may come in the window after the one in which it was counted.
    let slack = if algorithm == "fixed-window" { quota / 20 } else { 0 };
    assert!(most <= quota + slack, "{algorithm}, seed {seed}: {most} of {quota} in a window");
    (moments.len(), sent.len(), world.counts().limiter)
}

#[test]
fn whatever_fails_the_fleet_never_admits_more_than_the_quota() {
    for algorithm in ["sliding-window", "fixed-window"] {
        let (mut admitted, mut requests, mut calls) = (0, 0, 0);
        for seed in seeds(12, 1000) {
            let one = storm(seed, algorithm);
            (admitted, requests, calls) = (admitted + one.0, requests + one.1, calls + one.2);
        }
        println!(
            "leases: storms, {algorithm}: {requests} requests, {admitted} admitted, {calls} calls, none too many"
        );
        assert!(calls < requests && admitted * 4 > requests, "the storms hardly see leases");
    }
}
