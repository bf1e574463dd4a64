//! What a workload costs in the simulated fleet, on a smaller scale than `tidegate simulate` has it.

use serde_json::json;
use tidegate::config::Config;

use crate::sim::workload::{Outcome, Workload, run};

fn small(workload: Workload) -> Outcome {
    let least = json!({ "origins": { "default": { "url": "http://origin.example" } } });
    run(&Config::from_json(&least).unwrap(), &workload)
}

fn workload(requests: u64) -> Workload {
    Workload { requests, urls: 200, clients: 100, ..Workload::default() }
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let (one, other) = (small(workload(2000)), small(workload(2000)));
    assert_eq!((one.counts, &one.ways, &one.bill), (other.counts, &other.ways, &other.bill));
    let another = small(Workload { seed: 2, ..workload(2000) });
    assert_ne!(one.counts, another.counts);
}

#[test]
fn every_request_is_answered_and_counted_once() {
    let outcome = small(workload(2000));
    assert_eq!(outcome.ways.values().sum::<u64>(), 2000, "{:?}", outcome.ways);
    assert_eq!(outcome.of("failed"), 0);
    for way in ["memory", "colo", "kv", "origin"] {
        assert!(outcome.of(way) > 20, "{way}: {:?}", outcome.ways);
    }
    assert!(outcome.counts.origin as u64 >= outcome.of("origin"));
}

#[test]
fn a_bill_is_what_was_counted_at_the_prices_of_the_platform() {
    let bill = small(workload(2000)).bill;
    let prices: Vec<f64> = bill.storage.iter().map(|item| item.per_million).collect();
    assert_eq!((bill.worker.per_million, prices), (0.30, vec![0.50, 5.00, 0.15, 1.00, 12.50]));
    let sum: f64 = bill.storage.iter().map(|item| item.number * item.per_million / 2000.0).sum();
    assert!((bill.storage_per_million() - sum).abs() < 1e-9);
    assert!((bill.total_per_million() - sum - 0.30).abs() < 1e-9);
}

/// The whole of what `tidegate simulate` prints, with `TIDEGATE_LONG=1` alone: a million requests take their time.
#[test]
fn a_million_requests_cost_less_than_45_cents_beside_the_workers_own() {
    if std::env::var_os("TIDEGATE_LONG").is_some() {
        let cost = small(Workload::default()).bill.storage_per_million();
        assert!(cost < 0.45, "{cost} dollars");
    }
}
