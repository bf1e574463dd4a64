//! Which endpoint is asked: of those that can be, the selection takes one among the smallest priority number.

use super::config::{ENDPOINTS_MAX, Selection};
use super::pool::{Endpoint, EndpointState, Pool, PoolState};

/// Latencies below this, and unknown ones, count as this, in microseconds.
const LATENCY_MIN_US: u64 = 1000;

/// A number for a client, by which the rendezvous selection goes: of its subject or its address.
pub fn affinity(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv)
}

/// Some endpoints of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Set(u32);

const _: () = assert!(ENDPOINTS_MAX <= u32::BITS as usize);

impl Set {
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

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Takes one of the endpoints in `among`.
pub(super) fn choose(
    pool: &Pool,
    state: &mut PoolState,
    among: Set,
    affinity: u64,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let of = |among: Set| pool.endpoints.iter().enumerate().filter(move |(at, _)| among.contains(*at));
    let priority = of(among).map(|(_, endpoint)| endpoint.priority).min()?;
    let group = Set::of(of(among).filter(|(_, e)| e.priority == priority).map(|(at, _)| at));
    match pool.config.selection {
        Selection::Priority => by_weight(of(group), rng),
        Selection::RoundRobin => by_turn(pool, &mut state.endpoints, group),
        Selection::Rendezvous => by_affinity(of(group), affinity),
        Selection::LeastLoaded => {
            two_of(of(group), rng).min_by_key(|(at, e)| load(state, *at, e)).map(|(at, _)| at)
        }
    }
}

/// The ejected endpoint that is the least bad, those that were not `tried` first.
pub(super) fn least_bad(pool: &Pool, state: &PoolState, tried: Set) -> Option<usize> {
    let badness = |at: usize, state: &EndpointState, endpoint: &Endpoint| {
        (tried.contains(at), state.breaker.badness(), endpoint.priority)
    };
    let all = state.endpoints.iter().zip(&pool.endpoints).enumerate();
    all.min_by_key(|(at, (state, endpoint))| badness(*at, state, endpoint)).map(|(at, _)| at)
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
fn load(state: &PoolState, at: usize, endpoint: &Endpoint) -> u64 {
    state.endpoints.get(at).map_or(u64::MAX, |state| {
        let waiting = u64::from(state.in_flight) + 1;
        state.latency_us.max(LATENCY_MIN_US).saturating_mul(waiting) / u64::from(endpoint.weight)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::config::PoolConfig;
    use crate::time::Timestamp;

    /// A pool of endpoints `e0`, `e1`, ... with these priorities and weights.
    fn pool(selection: &str, endpoints: &[(u32, u32)]) -> (Pool, PoolState) {
        let endpoints: Vec<_> = (endpoints.iter().enumerate())
            .map(|(at, (priority, weight))| {
                serde_json::json!({"url": format!("http://e{at}"), "priority": priority, "weight": weight})
            })
            .collect();
        let config = serde_json::json!({"selection": selection, "endpoints": endpoints});
        let pool = Pool::new("p", serde_json::from_value::<PoolConfig>(config).unwrap());
        let state = PoolState::new(&pool, Timestamp::from_secs(1_000_000));
        (pool, state)
    }

    fn set<const N: usize>(members: [usize; N]) -> Set {
        Set::of(members.into_iter())
    }

    fn counts(pool: &Pool, state: &mut PoolState, among: Set, draws: u64) -> Vec<u64> {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut counts = vec![0; pool.endpoints.len()];
        for nth in 0..draws {
            let client = affinity(&nth.to_le_bytes());
            counts[choose(pool, state, among, client, &mut rng).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn a_smaller_priority_number_goes_first_whatever_the_selection() {
        for selection in ["priority", "round-robin", "rendezvous", "least-loaded"] {
            let (pool, mut state) = pool(selection, &[(1, 9), (0, 1), (0, 1), (2, 9)]);
            let first = counts(&pool, &mut state, set([0, 1, 2, 3]), 100);
            assert_eq!(first[1] + first[2], 100, "{selection}");
            assert!(first[1] > 20 && first[2] > 20, "{selection}: {first:?}");
            assert_eq!(counts(&pool, &mut state, set([0, 3]), 100), [100, 0, 0, 0], "{selection}");
            let mut rng = fastrand::Rng::with_seed(1);
            assert_eq!(choose(&pool, &mut state, Set::default(), 0, &mut rng), None);
        }
    }

    #[test]
    fn weights_are_shares() {
        for selection in ["priority", "round-robin", "rendezvous"] {
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
            (0..8).map(|_| choose(&pool, &mut state, set([0, 1]), 0, &mut rng).unwrap()).collect();
        assert_eq!(turns, [0, 0, 1, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_lost_endpoint_moves_only_its_own_clients() {
        let (pool, mut state) = pool("rendezvous", &[(0, 1); 5]);
        let mut rng = fastrand::Rng::with_seed(1);
        for client in 0..1000_u64 {
            let client = affinity(&client.to_le_bytes());
            let all = choose(&pool, &mut state, set([0, 1, 2, 3, 4]), client, &mut rng);
            let without = choose(&pool, &mut state, set([0, 1, 3, 4]), client, &mut rng);
            assert!(all == without || all == Some(2));
        }
    }

    #[test]
    fn the_slow_and_the_busy_are_asked_less() {
        let (pool, mut state) = pool("least-loaded", &[(0, 1); 3]);
        state.endpoints[0].latency_us = 90_000;
        state.endpoints[1].latency_us = 10_000;
        state.endpoints[2].latency_us = 10_000;
        state.endpoints[2].in_flight = 3;
        let counts = counts(&pool, &mut state, set([0, 1, 2]), 900);
        assert_eq!(counts[0], 0, "the slowest loses against either");
        assert!(counts[1] > counts[2] && counts[2] > 200, "{counts:?}");
    }

    #[test]
    fn the_least_bad_is_one_that_was_not_tried_yet() {
        let (pool, state) = pool("priority", &[(0, 1), (0, 1), (1, 1)]);
        assert_eq!(least_bad(&pool, &state, Set::default()), Some(0));
        assert_eq!(least_bad(&pool, &state, set([0, 1])), Some(2));
        assert_eq!(least_bad(&pool, &state, set([0, 1, 2])), Some(0));
    }
}
