use serde_json::json;

use super::*;
use crate::origin::PoolConfig;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const PRIMARY: usize = 2;

/// The replicas 0 and 1, and the primary behind them.
fn pool() -> (Pool, PoolState) {
    let split = json!({"primary": "http://p", "replicas": ["http://a", "http://b"], "lag_max": "5s"});
    let pool = Pool::new("p", serde_json::from_value::<PoolConfig>(json!({ "split": split })).unwrap());
    let state = PoolState::new(&pool, NOW);
    (pool, state)
}

fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

fn written(at: Timestamp, position: Option<u64>, pool: &Pool) -> Bookmark {
    Bookmark { at, position, pool: pool.hash }
}

/// Which endpoints a GET may go to.
fn readable(pool: &Pool, state: &PoolState, mark: Option<Bookmark>, now: Timestamp) -> Vec<usize> {
    let barred = state.barred(pool, &Method::Get, mark.as_ref(), now);
    (0..3).filter(|at| !barred.contains(*at)).collect()
}

fn says(pool: &Pool, state: &mut PoolState, at: usize, name: &str, value: &str) {
    state.heed(pool, at, &Fields::from_pairs([(name, value)]), NOW);
}

#[test]
fn endpoints_by_url_or_by_name_are_the_same_pool() {
    let named = json!({
        "endpoints": [{"name": "b", "url": "http://b"}, {"name": "a", "url": "http://a", "priority": 3}],
        "split": {"primary": "b", "replicas": ["a"]},
    });
    let named = Pool::new("p", serde_json::from_value::<PoolConfig>(named).unwrap());
    assert_eq!(named.split.map(|split| split.primary), Some(0));
    assert_eq!(named.endpoints[0].priority, 4, "the primary is read when no replica can be");
    let (pool, _) = pool();
    assert_eq!(pool.split.map(|split| split.primary), Some(PRIMARY));
    assert_eq!(pool.replicas().map(|(at, _)| at).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn only_get_and_head_go_to_replicas() {
    let (pool, state) = pool();
    for (method, replicas) in [("GET", true), ("HEAD", true), ("POST", false), ("QUERY", false), ("X", false)]
    {
        let barred = state.barred(&pool, &Method::from(method), None, NOW);
        assert_eq!((!barred.contains(0), !barred.contains(1)), (replicas, replicas), "{method}");
        assert!(!barred.contains(PRIMARY));
    }
}

#[test]
fn after_a_write_a_replica_that_says_nothing_is_not_read_until_lag_max_is_over() {
    let (pool, state) = pool();
    let mark = Some(written(NOW, None, &pool));
    assert_eq!(readable(&pool, &state, mark, NOW + ms(4999)), [PRIMARY]);
    assert_eq!(readable(&pool, &state, mark, NOW + ms(5000)), [0, 1, PRIMARY]);
    assert_eq!(readable(&pool, &state, None, NOW), [0, 1, PRIMARY]);
}

#[test]
fn a_replica_whose_lag_is_less_than_the_time_since_the_write_is_read() {
    let (pool, mut state) = pool();
    says(&pool, &mut state, 0, "x-replication-lag", "1.5");
    // What was cut off may be up to a tenth.
    for (before, expected) in [(1599, vec![PRIMARY]), (1600, vec![0, PRIMARY])] {
        let mark = Some(written(NOW.before(ms(before)), None, &pool));
        assert_eq!(readable(&pool, &state, mark, NOW), expected);
    }
}

#[test]
fn a_replica_that_says_that_it_is_behind_is_not_read_even_after_lag_max() {
    let (pool, mut state) = pool();
    says(&pool, &mut state, 0, "x-replication-lag", "60.0");
    let mark = Some(written(NOW.before(ms(8000)), None, &pool));
    assert_eq!(readable(&pool, &state, mark, NOW), [1, PRIMARY]);
    assert_eq!(readable(&pool, &state, None, NOW), [1, PRIMARY], "it is too far behind for anybody");
    assert_eq!(readable(&pool, &state, None, NOW + NEWS_FOR), [0, 1, PRIMARY], "that is no news any more");
}

#[test]
fn positions_are_exact() {
    let (pool, mut state) = pool();
    says(&pool, &mut state, 0, "x-replication-position", "16/B374D848");
    says(&pool, &mut state, 1, "x-replication-position", "16/B374D847");
    let mark = written(NOW, position("16/B374D848"), &pool);
    let other = Some(Bookmark { pool: 1, ..mark });
    let mark = Some(mark);
    assert_eq!(readable(&pool, &state, mark, NOW), [0, PRIMARY]);
    assert_eq!(
        readable(&pool, &state, mark, NOW + ms(9999)),
        [0, PRIMARY],
        "the other one says that it is not there"
    );
    assert_eq!(
        readable(&pool, &state, other, NOW),
        [PRIMARY],
        "a position of another pool says nothing here"
    );
}

#[test]
fn what_a_primary_or_nonsense_says_changes_nothing() {
    let (pool, mut state) = pool();
    says(&pool, &mut state, PRIMARY, "x-replication-lag", "60.0");
    for text in ["", "-1", "soon", "1,5", "NaN", "99999999999999999999", "0.x"] {
        says(&pool, &mut state, 0, "x-replication-lag", text);
        says(&pool, &mut state, 0, "x-replication-position", text);
    }
    assert_eq!(readable(&pool, &state, None, NOW), [0, 1, PRIMARY]);
    assert_eq!(readable(&pool, &state, Some(written(NOW.before(ms(1000)), None, &pool)), NOW), [PRIMARY]);
}

#[test]
fn lags_are_read_with_what_was_cut_off() {
    for (text, millis) in
        [("0", 1000), ("2", 3000), ("0.0", 100), ("2.013", 2014), ("0.00049", 1), ("250ms", 250)]
    {
        assert_eq!(lag(text), Some(ms(millis)), "{text}");
    }
    assert_eq!(
        (position("17"), position("1/0"), position("1/x"), position("-1")),
        (Some(17), Some(1 << 32), None, None)
    );
}

#[test]
fn what_came_from_a_replica_may_be_as_old_as_it_says_or_as_lag_max() {
    let (pool, _) = pool();
    let times = (NOW, NOW + ms(20));
    assert_eq!(pool.behind(PRIMARY, None, None, times), ms(20));
    assert_eq!(pool.behind(0, None, None, times), ms(5020));
    assert_eq!(pool.behind(0, Some(NOW.before(ms(100))), None, times), ms(120));
    let mark = written(NOW.before(ms(1000)), None, &pool);
    assert_eq!(
        pool.behind(0, None, Some(&mark), times),
        ms(1020),
        "it was asked since it is past that write"
    );
}

#[test]
fn replicas_are_probed_as_often_as_the_config_says() {
    let (mut pool, mut state) = pool();
    assert!(!state.probe_due(&pool, NOW));
    pool.config.split.as_mut().unwrap().probe = Some("/lag".into());
    let due: Vec<bool> = [0, 999, 1000, 1001].map(|after| state.probe_due(&pool, NOW + ms(after))).to_vec();
    assert_eq!(due, [true, false, true, false]);
}
