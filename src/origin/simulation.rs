//! Random histories of endpoints that die, hang, fail and flap, with many requests in flight at once; every
//! step of every request is held against what a pool promises.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde_json::json;

use super::affinity::Wish;
use super::attempts::{Ask, Attempts, Next, Try};
use super::breaker::{Admission, BreakerState};
use super::config::PoolConfig;
use super::outcome::{Failure, FetchError, Outcome, Stop};
use super::pool::{Pool, PoolState};
use crate::head::Method;
use crate::time::{Span, Timestamp};

/// What an endpoint does with a request.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Up,
    Refusing,
    Hanging,
    Failing,
    Resetting,
    Flapping,
    /// A page of an error with status 200, that a rule knows.
    Lying,
    /// Answers that come late, but in time.
    Slow,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    Send(usize),
    End(usize),
    Turn(usize),
}

/// Some request on its way.
struct Request<'p> {
    attempts: Attempts<'p>,
    repeatable: bool,
    ask: Ask,
    deadline: Timestamp,
    current: Try,
    /// Whether it went as a probe, and after how many ejections.
    probe: Option<u32>,
    panics: u32,
    outcome: Outcome,
    tries: u32,
    /// The endpoints that were asked.
    asked: Vec<usize>,
    /// What the attempts came to, the last one not counted.
    earlier: Vec<Result<u16, FetchError>>,
}

/// What a history is like, besides its seed.
struct Setting {
    config: serde_json::Value,
    secs: u64,
    gap_ms: u64,
    /// Whether endpoint 0 is always up and every request may be sent again.
    one_is_healthy: bool,
    /// What an endpoint turns to at a moment, where not at random.
    script: Option<fn(usize, Timestamp) -> Mode>,
}

struct World<'p> {
    pool: &'p Pool,
    setting: &'p Setting,
    state: PoolState,
    rng: fastrand::Rng,
    now: Timestamp,
    modes: Vec<Mode>,
    /// Of each endpoint, after how many ejections, and how many probes since.
    probes: Vec<(u32, u32)>,
    requests: Vec<Request<'p>>,
    events: BinaryHeap<Reverse<(Timestamp, u64, Event)>>,
    steps: u64,
    /// Retries that left an endpoint whose breaker was closed for one that was asked before or failed last: the budget
    /// must have paid for them.
    paid: u64,
    arrived: u64,
    answered: u64,
    failures: Vec<Failure>,
}

const START: Timestamp = Timestamp::from_secs(1_000_000);

fn run(setting: &Setting, seed: u64) -> (u64, Vec<Failure>) {
    let pool = Pool::new("p", serde_json::from_value::<PoolConfig>(setting.config.clone()).unwrap());
    let count = pool.endpoints.len();
    let mut world = World {
        state: PoolState::new(&pool, START),
        pool: &pool,
        setting,
        rng: fastrand::Rng::with_seed(seed),
        now: START,
        modes: vec![Mode::Up; count],
        probes: vec![(0, 0); count],
        requests: Vec::new(),
        events: BinaryHeap::new(),
        steps: 0,
        paid: 0,
        arrived: 0,
        answered: 0,
        failures: Vec::new(),
    };
    world.after(Span::ZERO, Event::Arrive);
    (0..count).for_each(|at| world.after(Span::ZERO, Event::Turn(at)));
    while let Some(Reverse((moment, _, event))) = world.events.pop() {
        world.now = moment;
        world.happen(event);
    }
    assert_eq!(world.answered + world.failures.len() as u64, world.arrived, "every request ends");
    assert!(world.state.endpoints(&pool, world.now).all(|endpoint| endpoint.in_flight == 0));
    (world.answered, world.failures)
}

impl<'p> World<'p> {
    fn after(&mut self, wait: Span, event: Event) {
        self.steps += 1;
        self.events.push(Reverse((self.now + wait, self.steps, event)));
    }

    fn happen(&mut self, event: Event) {
        let over = self.now >= START + Span::from_secs(self.setting.secs);
        match event {
            Event::Arrive if !over => {
                self.arrive();
                let gap = self.rng.u64(0..=2 * self.setting.gap_ms);
                self.after(Span::from_millis(gap), Event::Arrive);
            }
            Event::Turn(at) if !over => {
                self.modes[at] = self.turn(at);
                let wait = if self.setting.script.is_some() { 100 } else { self.rng.u64(100..20_000) };
                self.after(Span::from_millis(wait), Event::Turn(at));
            }
            Event::Arrive | Event::Turn(_) => {}
            Event::Send(request) => self.send(request),
            Event::End(request) => self.end(request),
        }
    }

    fn turn(&mut self, at: usize) -> Mode {
        use Mode::*;
        match self.setting.script {
            Some(script) => script(at, self.now),
            None if self.setting.one_is_healthy && at == 0 => Up,
            None => {
                let bad = [Refusing, Hanging, Failing, Resetting, Flapping, Lying, Slow];
                if self.rng.u8(0..8) < 3 { Up } else { bad[self.rng.usize(0..bad.len())] }
            }
        }
    }

    fn arrive(&mut self) {
        self.arrived += 1;
        let may_vary = !self.setting.one_is_healthy;
        let method = if may_vary && self.rng.u8(0..4) == 0 { Method::Post } else { Method::Get };
        let ask = Ask {
            declared_safe: may_vary && self.rng.u8(0..10) == 0,
            replayable: !may_vary || self.rng.u8(0..10) > 0,
            last_resort: self.rng.bool(),
            may_panic: self.rng.u8(0..8) > 0,
            wish: Wish { affinity: self.rng.u64(..), ..Wish::default() },
        };
        let mut attempts = Attempts::new(self.pool, &method, ask, self.now);
        let before = self.states();
        let first = attempts.start(&mut self.state, &mut self.rng, self.now);
        match first {
            Err(failure) => self.give_up(failure, ask),
            Ok(current) => {
                self.requests.push(Request {
                    attempts,
                    repeatable: ask.declared_safe || method.is_idempotent(),
                    ask,
                    deadline: self.now + self.pool.config.total_timeout,
                    current,
                    probe: None,
                    panics: 0,
                    outcome: Outcome::failed(FetchError::Aborted, Span::ZERO),
                    tries: 0,
                    asked: Vec::new(),
                    earlier: Vec::new(),
                });
                self.follow(self.requests.len() - 1, current, &before);
            }
        }
    }

    fn states(&self) -> Vec<BreakerState> {
        self.state.endpoints(self.pool, self.now).map(|endpoint| endpoint.state).collect()
    }

    /// A try was asked for, when the breakers stood at `before`: is it one that may be?
    fn follow(&mut self, id: usize, next: Try, before: &[BreakerState]) {
        for (probes, health) in self.probes.iter_mut().zip(self.state.endpoints(self.pool, self.now)) {
            if probes.0 != health.ejections {
                *probes = (health.ejections, 0);
            }
        }
        let request = &mut self.requests[id];
        let at = next.endpoint;
        request.probe = None;
        let may_panic =
            request.ask.last_resort && request.ask.may_panic && !before.contains(&BreakerState::Closed);
        match next.admission {
            Admission::Normal => assert_eq!(before[at], BreakerState::Closed, "{at} was asked"),
            Admission::Probe(after) => {
                assert_eq!((before[at], after), (BreakerState::HalfOpen, self.probes[at].0));
                request.probe = Some(after);
                self.probes[at].1 += 1;
                assert!(self.probes[at].1 <= self.pool.config.breaker.probes, "half-open admits its number");
            }
            Admission::Panic => {
                assert!(may_panic && before[at] != BreakerState::Closed);
                request.panics += 1;
                assert!(request.panics <= 1, "the least bad is tried once");
            }
        }
        request.current = next;
        request.asked.push(at);
        request.tries += 1;
        assert!(request.tries <= self.pool.config.attempts_max);
        assert!(self.now + next.wait + next.timeout <= request.deadline);
        assert!(next.timeout > Span::ZERO && next.timeout <= self.pool.config.attempt_timeout);
        if let Some(last) = request.earlier.last() {
            assert!(request.ask.replayable, "a body that is gone was sent again");
            assert!(request.repeatable || *last == Err(FetchError::Connect), "sent twice after {last:?}");
        }
        self.after(next.wait, Event::Send(id));
    }

    fn send(&mut self, id: usize) {
        let Try { endpoint, timeout, .. } = self.requests[id].current;
        let mode = match self.modes[endpoint] {
            Mode::Flapping => [Mode::Up, Mode::Failing][self.rng.usize(0..2)],
            mode => mode,
        };
        let (result, millis) = match mode {
            Mode::Up | Mode::Flapping => (Ok(200), self.rng.u64(1..80)),
            Mode::Refusing => (Err(FetchError::Connect), 1),
            Mode::Hanging => (Err(FetchError::Timeout), timeout.as_millis()),
            Mode::Failing => (Ok(503), 3),
            Mode::Resetting => (Err(FetchError::ConnectionLost), 20),
            Mode::Lying => (Err(FetchError::Lied), 5),
            Mode::Slow => (Ok(200), self.rng.u64(300..1500)),
        };
        let is_aborted = !self.setting.one_is_healthy && self.rng.u8(0..100) == 0;
        let result = if is_aborted { Err(FetchError::Aborted) } else { result };
        let (result, latency) = match Span::from_millis(millis) {
            latency if latency >= timeout => (Err(FetchError::Timeout), timeout),
            latency => (result, latency),
        };
        let asks_to_wait = result == Ok(503) && self.rng.u8(0..4) == 0;
        let retry_after = asks_to_wait.then(|| Span::from_secs(self.rng.u64(0..20)));
        self.requests[id].outcome = Outcome { result, latency, retry_after };
        self.after(latency, Event::End(id));
    }

    fn end(&mut self, id: usize) {
        let request = &mut self.requests[id];
        let (outcome, last) = (request.outcome, request.current.endpoint);
        // An aborted probe leaves its place to another.
        if request.probe == Some(self.probes[last].0) && outcome.result == Err(FetchError::Aborted) {
            self.probes[last].1 -= 1;
        }
        request.earlier.push(outcome.result);
        let next =
            request.attempts.report(&mut self.state, request.current, &outcome, &mut self.rng, self.now);
        let ask = request.ask;
        // Only the breaker of `last` can have changed by the report, and no try changes what is not closed yet to
        // closed; so what stands now tells what stood when the next try was chosen.
        match next {
            Next::Answer => self.answered += 1,
            Next::GiveUp(failure) => self.give_up(failure, ask),
            Next::Retry(next) => {
                let after = self.states();
                let request = &self.requests[id];
                let is_new = !request.asked.contains(&next.endpoint)
                    && self.state.sound(self.pool, self.now).contains(next.endpoint);
                self.paid += u64::from(after[last] == BreakerState::Closed && !is_new);
                self.follow(id, next, &after);
            }
        }
        self.check_budget();
    }

    fn check_budget(&self) {
        let retry = &self.pool.config.retry;
        let passed = self.now.since(START).as_millis() + 1000;
        let earned = passed * u64::from(retry.budget_min_per_second)
            + self.arrived * u64::from(retry.budget_percent) * 10;
        assert!(self.paid * 1000 <= earned, "{} retries", self.paid);
    }

    fn give_up(&mut self, failure: Failure, ask: Ask) {
        let states = self.states();
        match failure.stop {
            Stop::BreakerOpen => assert!(!states.contains(&BreakerState::Closed), "{failure} {states:?}"),
            Stop::AttemptsSpent => assert_eq!(failure.tries, self.pool.config.attempts_max),
            Stop::BodyGone => assert!(!ask.replayable),
            Stop::RetryAfter => assert!(!ask.last_resort),
            Stop::Full => assert!(self.pool.config.concurrency.is_some()),
            Stop::NotRetried => assert!(self.pool.config.retry.on.len() < 2),
            Stop::OverCap
            | Stop::NoSecret
            | Stop::QuotaSpent
            | Stop::QueueFull
            | Stop::QueueSlow
            | Stop::QueueUnreachable => {
                panic!("that is for the flow to see")
            }
            Stop::Aborted | Stop::NotIdempotent | Stop::DeadlineSpent | Stop::BudgetSpent => {}
        }
        self.failures.push(failure);
    }
}

fn endpoints(priorities: &[u32]) -> serde_json::Value {
    let endpoint = |(at, priority)| json!({"url": format!("http://e{at}"), "priority": priority});
    priorities.iter().enumerate().map(endpoint).collect()
}

const SELECTIONS: [&str; 5] = ["priority", "round-robin", "rendezvous", "least-loaded", "scored"];

#[test]
fn no_history_makes_a_pool_break_its_promises() {
    let mut stops = std::collections::HashSet::new();
    let mut answered = 0;
    for seed in 0..120 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let on: &[&str] =
            [&["connection", "timeout"], &["connection"][..], &[]][rng.usize(0..6).saturating_sub(3)];
        let mut config = json!({
            "endpoints": endpoints(&[vec![0], vec![0, 1], vec![1, 0, 0, 2]][rng.usize(0..3)]),
            "attempts_max": rng.u32(1..=4),
            "attempt_timeout": "2s",
            "total_timeout": format!("{}ms", rng.u64(2000..9000)),
            "retry": {
                "budget_min_per_second": rng.u32(0..12),
                "on": on,
            },
            "breaker": {"probes": rng.u32(1..=3), "ejected_percent_max": rng.u32(0..=100), "ejection": "3s"},
            "selection": SELECTIONS[rng.usize(0..SELECTIONS.len())],
        });
        if rng.bool() {
            config["concurrency"] = [json!("2"), json!("adaptive")][rng.usize(0..2)].clone();
            config["breaker"]["latency"] = json!("p90 > 1s");
        }
        let setting = Setting { config, secs: 90, gap_ms: 60, one_is_healthy: false, script: None };
        let (good, failures) = run(&setting, seed);
        answered += good;
        stops.extend(failures.iter().map(|failure| failure.stop));
    }
    assert!(answered > 50_000, "{answered}");
    assert_eq!(stops.len(), 10, "the histories reach every way to give up: {stops:?}");
}

#[test]
fn while_one_endpoint_is_healthy_and_attempts_remain_every_client_gets_its_answer() {
    for seed in 0..60 {
        let config = json!({
            "endpoints": endpoints(&[[2, 0, 1], [0, 0, 0], [1, 0, 0]][seed as usize % 3]),
            "selection": SELECTIONS[seed as usize % 5],
            "retry": {"budget_min_per_second": 1000},
        });
        let setting = Setting { config, secs: 120, gap_ms: 60, one_is_healthy: true, script: None };
        let (answered, failures) = run(&setting, seed);
        assert!(failures.is_empty() && answered > 1000, "seed {seed}: {failures:?}");
    }
}

#[test]
fn a_primary_that_is_killed_stopped_and_started_under_load_costs_no_client_its_answer() {
    let script = |at, now: Timestamp| match (at, now.since(START).as_secs()) {
        (1, 5..10) => Mode::Refusing,
        (1, 20..45) => Mode::Hanging,
        _ => Mode::Up,
    };
    let config = json!({"endpoints": endpoints(&[1, 0])});
    let setting = Setting { config, secs: 60, gap_ms: 5, one_is_healthy: true, script: Some(script) };
    let (answered, failures) = run(&setting, 1);
    assert!(failures.is_empty() && answered > 11_000, "{answered} {:?}", failures.first());
}
