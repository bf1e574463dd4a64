//! Which endpoint is asked: of those that can be, the selection takes one among the smallest priority number.

use super::affinity::Wish;
use super::config::{ENDPOINTS_MAX, Selection};
use super::pool::{Endpoint, EndpointState, Pool, PoolState};
use super::score::TIE;
use crate::time::Timestamp;

/// Latencies below this, and unknown ones, count as this, in microseconds.
const LATENCY_MIN_US: u64 = 1000;

/// Some endpoints of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set(u32);

const _: () = assert!(ENDPOINTS_MAX <= u32::BITS as usize);

impl Set {
    /// None.
    pub const EMPTY: Self = Self(0);

    pub(super) fn of(members: impl Iterator<Item = usize>) -> Self {
        members.fold(Self::default(), |mut set, at| {
            set.insert(at);
            set
        })
    }

    pub(super) fn insert(&mut self, at: usize) {
        self.0 |= u32::try_from(at).ok().and_then(|at| 1_u32.checked_shl(at)).unwrap_or(0);
    }

    pub(super) fn contains(self, at: usize) -> bool {
        u32::try_from(at).ok().and_then(|at| self.0.checked_shr(at)).is_some_and(|bits| bits & 1 == 1)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Takes one of the endpoints in `among`.
pub(super) fn choose(
    pool: &Pool,
    state: &mut PoolState,
    among: Set,
    wish: Wish,
    rng: &mut fastrand::Rng,
    now: Timestamp,
) -> Option<usize> {
    let of = |among: Set| pool.endpoints.iter().enumerate().filter(move |(at, _)| among.contains(*at));
    let priority = of(among).map(|(_, endpoint)| endpoint.priority).min()?;
    let group = Set::of(of(among).filter(|(_, e)| e.priority == priority).map(|(at, _)| at));
    let group = wish.near.nearest(group);
    match pool.config.selection {
        Selection::Priority => by_weight(of(group), rng),
        Selection::RoundRobin => by_turn(pool, &mut state.endpoints, group),
        Selection::Rendezvous => by_affinity(of(group), wish.affinity),
        Selection::LeastLoaded => {
            two_of(of(group), rng).min_by_key(|(at, e)| load(state, *at, e, now)).map(|(at, _)| at)
        }
        Selection::Scored => by_weight(of(best(pool, state, group, now)), rng),
    }
}

/// The ejected endpoint that is the least bad, those that were not `tried` first.
pub(super) fn least_bad(pool: &Pool, state: &PoolState, barred: Set, tried: Set) -> Option<usize> {
    let badness = |at: usize, state: &EndpointState, endpoint: &Endpoint| {
        (tried.contains(at), state.is_down(), state.breaker.badness(), endpoint.priority)
    };
    let all = state.endpoints.iter().zip(&pool.endpoints).enumerate().filter(|(at, _)| !barred.contains(*at));
    all.min_by_key(|(at, (state, endpoint))| badness(*at, state, endpoint)).map(|(at, _)| at)
}

/// Those whose score is the highest, or as good as that.
fn best(pool: &Pool, state: &PoolState, group: Set, now: Timestamp) -> Set {
    let score = |at: usize| state.endpoints.get(at).map_or(0.0, |state| pool.config.score.of(state, now));
    let all = 0..pool.endpoints.len();
    let highest = all.clone().filter(|at| group.contains(*at)).map(score).fold(f64::MIN, f64::max);
    Set::of(all.filter(|at| group.contains(*at) && score(*at) > highest - TIE))
}

fn by_weight<'a>(
    group: impl Iterator<Item = (usize, &'a Endpoint)> + Clone,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let total: u64 = group.clone().map(|(_, endpoint)| u64::from(endpoint.weight)).sum();
    let mut drawn = if total > 1 { rng.u64(0..total) } else { 0 };
    for (at, endpoint) in group {
        match drawn.checked_sub(u64::from(endpoint.weight)) {
            Some(rest) => drawn = rest,
            None => return Some(at),
        }
    }
    None
}

/// Smooth weighted round robin: each gains its weight, the one that is furthest ahead is taken and pays for all.
fn by_turn(pool: &Pool, states: &mut [EndpointState], group: Set) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<(usize, &mut EndpointState)> = None;
    for (at, (endpoint, state)) in pool.endpoints.iter().zip(states).enumerate() {
        if group.contains(at) {
            state.turn += i64::from(endpoint.weight);
            total += i64::from(endpoint.weight);
            if best.as_ref().is_none_or(|(_, best)| state.turn > best.turn) {
                best = Some((at, state));
            }
        }
    }
    let (at, state) = best?;
    state.turn -= total;
    Some(at)
}

/// Weighted rendezvous hashing: the least of -ln(hash) / weight.
fn by_affinity<'a>(group: impl Iterator<Item = (usize, &'a Endpoint)>, affinity: u64) -> Option<usize> {
    let score = |endpoint: &Endpoint| {
        let unit = ((mix(affinity ^ endpoint.hash) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        -unit.ln() / f64::from(endpoint.weight)
    };
    group.min_by(|(_, a), (_, b)| score(a).total_cmp(&score(b))).map(|(at, _)| at)
}

/// The finaliser of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Two different members at random, or twice the only one.
fn two_of<'a>(
    group: impl Iterator<Item = (usize, &'a Endpoint)> + Clone,
    rng: &mut fastrand::Rng,
) -> impl Iterator<Item = (usize, &'a Endpoint)> {
    let count = group.clone().count().max(1);
    let one = rng.usize(0..count);
    let other = (one + rng.usize(1..count.max(2))) % count;
    [one, other].into_iter().filter_map(move |nth| group.clone().nth(nth))
}

/// Latency times requests in flight, for a weight of one.
fn load(state: &PoolState, at: usize, endpoint: &Endpoint, now: Timestamp) -> u64 {
    state.endpoints.get(at).map_or(u64::MAX, |state| {
        let waiting = u64::from(state.in_flight) + 1;
        state.latency_us(now).max(LATENCY_MIN_US).saturating_mul(waiting) / u64::from(endpoint.weight)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::affinity::hash;
    use crate::origin::config::PoolConfig;
    use crate::origin::score::ScoreConfig;
    use crate::time::Span;

    /// A pool of endpoints `e0`, `e1`, ... with these priorities and weights.
    fn pool(selection: &str, endpoints: &[(u32, u32)]) -> (Pool, PoolState) {
        let endpoints: Vec<_> = (endpoints.iter().enumerate())
            .map(|(at, (priority, weight))| {
                serde_json::json!({"url": format!("http://e{at}"), "priority": priority, "weight": weight})
            })
            .collect();
        let config = serde_json::json!({"selection": selection, "endpoints": endpoints});
        let pool = Pool::new("p", serde_json::from_value::<PoolConfig>(config).unwrap());
        let state = PoolState::new(&pool, NOW);
        (pool, state)
    }

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn wish(client: u64) -> Wish {
        Wish { affinity: hash(&client.to_le_bytes()), ..Wish::default() }
    }

    fn set<const N: usize>(members: [usize; N]) -> Set {
        Set::of(members.into_iter())
    }

    fn counts(pool: &Pool, state: &mut PoolState, among: Set, draws: u64) -> Vec<u64> {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut counts = vec![0; pool.endpoints.len()];
        for nth in 0..draws {
            counts[choose(pool, state, among, wish(nth), &mut rng, NOW).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn a_smaller_priority_number_goes_first_whatever_the_selection() {
        for selection in ["weighted", "round-robin", "rendezvous", "least-loaded", "scored"] {
            let (pool, mut state) = pool(selection, &[(1, 9), (0, 1), (0, 1), (2, 9)]);
            let first = counts(&pool, &mut state, set([0, 1, 2, 3]), 100);
            assert_eq!(first[1] + first[2], 100, "{selection}");
            assert!(first[1] > 20 && first[2] > 20, "{selection}: {first:?}");
            assert_eq!(counts(&pool, &mut state, set([0, 3]), 100), [100, 0, 0, 0], "{selection}");
            let mut rng = fastrand::Rng::with_seed(1);
            assert_eq!(choose(&pool, &mut state, Set::default(), wish(0), &mut rng, NOW), None);
        }
    }

    #[test]
    fn weights_are_shares() {
        for selection in ["weighted", "round-robin", "rendezvous", "scored"] {
            let (pool, mut state) = pool(selection, &[(0, 1), (0, 2), (0, 7)]);
            let counts = counts(&pool, &mut state, set([0, 1, 2]), 10_000);
            for (count, expected) in counts.iter().zip([1000_u64, 2000, 7000]) {
                assert!(count.abs_diff(expected) < 200, "{selection}: {counts:?}");
            }
        }
    }

    #[test]
    fn round_robin_spreads_the_turns_of_a_heavy_endpoint() {
        let (pool, mut state) = pool("round-robin", &[(0, 3), (0, 1)]);
        let mut rng = fastrand::Rng::with_seed(1);
        let turns: Vec<_> =
            (0..8).map(|_| choose(&pool, &mut state, set([0, 1]), wish(0), &mut rng, NOW).unwrap()).collect();
        assert_eq!(turns, [0, 0, 1, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_lost_endpoint_moves_only_its_own_clients() {
        let (pool, mut state) = pool("rendezvous", &[(0, 1); 5]);
        let mut rng = fastrand::Rng::with_seed(1);
        for client in 0..1000_u64 {
            let all = choose(&pool, &mut state, set([0, 1, 2, 3, 4]), wish(client), &mut rng, NOW);
            let without = choose(&pool, &mut state, set([0, 1, 3, 4]), wish(client), &mut rng, NOW);
            assert!(all == without || all == Some(2));
        }
    }

    #[test]
    fn the_slow_and_the_busy_are_asked_less() {
        let (pool, mut state) = pool("least-loaded", &[(0, 1); 3]);
        for (at, millis) in [90, 10, 10].into_iter().enumerate() {
            state.endpoints[at].learn(Span::from_millis(millis), true, true, NOW);
        }
        state.endpoints[2].in_flight = 3;
        let counts = counts(&pool, &mut state, set([0, 1, 2]), 900);
        assert_eq!(counts[0], 0, "the slowest loses against either");
        assert!(counts[1] > counts[2] && counts[2] > 200, "{counts:?}");
    }

    #[test]
    fn an_endpoint_that_was_slow_once_is_asked_again_when_that_is_long_ago() {
        for selection in ["least-loaded", "scored"] {
            let (pool, mut state) = pool(selection, &[(0, 1); 2]);
            state.endpoints[0].learn(Span::from_secs(10), true, true, NOW);
            let later = NOW + Span::from_secs(120);
            state.endpoints[1].learn(Span::from_millis(20), true, true, later);
            assert_eq!(counts(&pool, &mut state, set([0, 1]), 100), [0, 100], "{selection}");
            let mut rng = fastrand::Rng::with_seed(1);
            let asked = (0..100)
                .filter(|nth| choose(&pool, &mut state, set([0, 1]), wish(*nth), &mut rng, later) == Some(0));
            assert!(asked.count() > 20, "{selection}");
        }
    }

    #[test]
    fn the_score_is_of_response_time_availability_success_and_lag() {
        let of = |latency, reached, good, lag: Option<u64>| {
            let mut state = EndpointState::default();
            (0..99).for_each(|_| state.learn(Span::from_millis(latency), reached, good, NOW));
            state.lag = lag.map(Span::from_secs);
            (ScoreConfig::default().of(&state, NOW) * 100.0).round()
        };
        assert_eq!((ScoreConfig::default().of(&EndpointState::default(), NOW) * 100.0).round(), 100.0);
        assert_eq!(of(200, true, true, None), 100.0, "under the threshold, all are as good");
        assert_eq!(of(800, true, true, None), 70.0, "a quarter of what counts 0.4");
        assert_eq!(of(10, false, false, None), 50.0);
        assert_eq!(of(10, true, false, None), 80.0);
        assert_eq!(of(10, true, true, Some(5)), 95.0);
        assert_eq!(of(10, true, true, Some(99)), 90.0);
    }

    #[test]
    fn the_highest_score_is_asked_and_those_as_good_as_it_share() {
        let (pool, mut state) = pool("scored", &[(0, 1); 3]);
        state.endpoints[0].learn(Span::from_millis(900), true, true, NOW);
        let counts = counts(&pool, &mut state, set([0, 1, 2]), 100);
        assert!(counts[0] == 0 && counts[1] > 20 && counts[2] > 20, "{counts:?}");
    }

    #[test]
    fn the_least_bad_is_one_that_was_not_tried_yet() {
        let (pool, state) = pool("priority", &[(0, 1), (0, 1), (1, 1)]);
        assert_eq!(least_bad(&pool, &state, Set::EMPTY, Set::EMPTY), Some(0));
        assert_eq!(least_bad(&pool, &state, Set::EMPTY, set([0, 1])), Some(2));
        assert_eq!(least_bad(&pool, &state, Set::EMPTY, set([0, 1, 2])), Some(0));
    }
}
