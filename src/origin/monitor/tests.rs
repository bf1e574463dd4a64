use super::*;
use crate::origin::PoolConfig;
use serde_json::json;

const START: Timestamp = Timestamp::from_secs(1_789_000_000);

/// The object before a pool of the endpoints `a` and `b`, with these keys in its `health`.
struct Bench {
    pools: Vec<Pool>,
    state: String,
    now: Timestamp,
}

impl Bench {
    fn new(health: serde_json::Value) -> Self {
        let endpoints = json!([{"name": "a", "url": "http://a"}, {"name": "b", "url": "http://b"}]);
        let config: PoolConfig =
            serde_json::from_value(json!({"endpoints": endpoints, "health": health})).unwrap();
        let plain = serde_json::from_value(json!({"url": "http://c"})).unwrap();
        let pools = vec![Pool::new("plain", plain), Pool::new("p", config)];
        Self { pools, state: String::new(), now: START }
    }

    fn with<R>(&mut self, step: impl FnOnce(&mut Monitor, &[Pool], Timestamp) -> R) -> R {
        let mut monitor = Monitor::read(&self.state, self.pools.iter(), self.now);
        let result = step(&mut monitor, &self.pools, self.now);
        self.state = monitor.write(true);
        assert_eq!(
            Monitor::read(&self.state, self.pools.iter(), self.now),
            monitor,
            "it reads what it wrote"
        );
        result
    }

    fn pass(&mut self, secs: u64) {
        self.now = self.now + Span::from_secs(secs);
    }

    /// Probes what is due; those in `ill` fail.
    fn probe(&mut self, ill: &[&str]) -> Vec<usize> {
        self.with(|monitor, pools, now| {
            let due = monitor.due(pools.iter(), now);
            for at in &due {
                let is_ill = ill.contains(&&*monitor.watched[*at].endpoint);
                let why = if is_ill { "status 500".into() } else { String::new() };
                let probed = Probed { at: *at, why, lag: Some(Span::from_millis(7)) };
                let probed = Probed::read(&probed.write()).unwrap();
                monitor.note(&probed, pools.iter(), now);
            }
            due
        })
    }

    fn hear(&mut self, isolate: &str, open: &[&str]) {
        let open: String = open.iter().map(|name| format!("\np\t{name}")).collect();
        self.with(|monitor, pools, now| monitor.hear(&format!("{isolate}{open}"), pools.iter(), now));
    }

    fn healthy(&mut self) -> [bool; 2] {
        self.with(|monitor, _, _| [monitor.watched[0].healthy, monitor.watched[1].healthy])
    }

    fn next(&mut self) -> Option<u64> {
        self.with(|monitor, pools, now| monitor.next(pools.iter()).map(|at| at.since(now).as_secs()))
    }
}

#[test]
fn an_endpoint_is_ill_after_so_many_failures_in_a_row_and_well_after_so_many_successes() {
    let mut bench = Bench::new(json!({"path": "/up", "unhealthy_threshold": 3, "healthy_threshold": 2}));
    for (ill, expected) in [
        (true, true),
        (true, true),
        (false, true),
        (true, true),
        (true, true),
        (true, false),
        (false, false),
        (true, false),
        (false, false),
        (false, true),
    ] {
        assert_eq!(bench.probe(if ill { &["a"] } else { &[] }), [0, 1]);
        assert_eq!(bench.probe(&[]), [0; 0], "not before the interval has passed");
        assert_eq!((bench.healthy(), bench.next()), ([expected, true], Some(10)));
        bench.pass(10);
    }
}

#[test]
fn what_an_isolate_complains_of_is_probed_at_once_and_one_failure_confirms_it() {
    let mut bench = Bench::new(json!({"path": "/up"}));
    bench.probe(&[]);
    bench.pass(3);
    bench.hear("1", &["b"]);
    assert_eq!((bench.next(), bench.probe(&["b"])), (Some(0), vec![1]));
    assert_eq!(bench.healthy(), [true, false]);
    bench.pass(10);
    bench.hear("1", &["b"]);
    bench.probe(&[]);
    assert_eq!(bench.healthy(), [true, false], "two successes are asked for");
    bench.pass(10);
    bench.probe(&[]);
    assert_eq!(bench.healthy(), [true, true]);
}

#[test]
fn a_complaint_that_no_probe_confirms_ejects_nothing() {
    let mut bench = Bench::new(json!({"path": "/up"}));
    bench.probe(&[]);
    for _ in 0..5 {
        bench.hear("1", &["a"]);
        bench.probe(&[]);
        bench.pass(1);
    }
    assert_eq!(bench.healthy(), [true, true]);
}

#[test]
fn without_probes_the_isolates_decide_together() {
    let mut bench = Bench::new(json!({}));
    assert_eq!((bench.next(), bench.probe(&[])), (None, vec![]));
    bench.hear("1", &["a"]);
    assert_eq!(bench.healthy(), [true, true], "one alone is not enough");
    bench.hear("2", &["a"]);
    assert_eq!(bench.healthy(), [false, true]);
    bench.hear("3", &[]);
    assert_eq!(bench.healthy(), [false, true], "two of three");
    bench.hear("4", &[]);
    bench.hear("5", &[]);
    assert_eq!(bench.healthy(), [true, true], "two of five");
    bench.hear("5", &["a"]);
    assert_eq!(bench.healthy(), [false, true]);
    bench.pass(16);
    bench.hear("", &[]);
    assert_eq!(bench.healthy(), [true, true], "nobody has said anything for long");
}

#[test]
fn isolates_get_a_version_that_grows_with_what_changes_and_not_what_others_said() {
    let mut bench = Bench::new(json!({"path": "/up", "unhealthy_threshold": 1}));
    let version = |bench: &mut Bench| bench.with(|monitor, _, _| monitor.version);
    let first = version(&mut bench);
    assert_eq!(
        first,
        START.as_millis(),
        "so that an object that lost everything goes on with higher numbers"
    );
    bench.probe(&[]);
    let probed = version(&mut bench);
    bench.pass(10);
    bench.probe(&[]);
    assert_eq!(version(&mut bench), probed, "nothing changed");
    bench.pass(10);
    bench.probe(&["a"]);
    assert_eq!(version(&mut bench), probed + 1);
    bench.hear("7", &["b"]);
    let told = bench.with(|monitor, _, _| monitor.write(false));
    assert!(!told.contains(WORD) && bench.state.contains(WORD), "{told}");
    let read = Monitor::read(&told, bench.pools.iter(), bench.now);
    assert_eq!((read.watched[0].healthy, &*read.watched[0].why), (false, "status 500"));
    assert_eq!(read.watched[1].lag, Some(Span::from_millis(7)));
}

#[test]
fn a_state_of_another_config_is_taken_as_far_as_it_fits() {
    let mut bench = Bench::new(json!({"path": "/up", "unhealthy_threshold": 1}));
    bench.probe(&["a", "b"]);
    let config = json!({"endpoints": [{"name": "b", "url": "http://b"}, {"name": "new", "url": "http://n"}], "health": {"path": "/"}});
    bench.pools = vec![Pool::new("p", serde_json::from_value(config).unwrap())];
    assert_eq!(bench.healthy(), [false, true]);
    for broken in ["", "1H", "2H7\nx", "1H7\np\tb\t1", "\t\t\t"] {
        bench.state = broken.into();
        assert_eq!(bench.healthy(), [true, true], "{broken:?}");
    }
}
