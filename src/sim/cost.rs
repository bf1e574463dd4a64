//! What the platform takes for what a world did. CPU time is not in it: nothing here measures it.

use super::counts::Counts;

/// Where the prices are from: the platform's price lists for a paid plan, beyond what it includes.
pub const PRICES_FROM: &str = "developers.cloudflare.com, November 2026: /workers/platform/pricing, \
    /kv/platform/pricing, /durable-objects/platform/pricing";

/// US dollars for a million requests to a Worker.
const WORKER_REQUESTS: f64 = 0.30;
/// For a million reads of KV.
const KV_READS: f64 = 0.50;
/// For a million writes or deletes in KV.
const KV_WRITES: f64 = 5.00;
/// For a million requests to Durable Objects, alarms among them.
const OBJECT_REQUESTS: f64 = 0.15;
/// For a million rows that they write, alarms that are set among them.
const OBJECT_ROWS: f64 = 1.00;
/// For a million GB-seconds in which they run. One that is idle and could hibernate costs nothing.
const OBJECT_GB_SECONDS: f64 = 12.50;

/// What an object is said to have of memory while it runs, whatever it uses.
const OBJECT_GB: f64 = 0.128;
/// How long an object is thought to run for one request, with what it writes.
const OBJECT_RUNS_SECS: f64 = 0.005;

/// One line of a bill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    /// What is paid for.
    pub what: &'static str,
    /// How much of it there was.
    pub number: f64,
    /// US dollars for a million of it.
    pub per_million: f64,
}

impl Item {
    /// US dollars.
    pub fn dollars(&self) -> f64 {
        self.number * self.per_million / 1e6
    }
}

/// What so many requests to the Worker cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Bill {
    /// How many there were.
    pub requests: u64,
    /// For the requests themselves, whatever tidegate does.
    pub worker: Item,
    /// For what tidegate does.
    pub storage: Vec<Item>,
}

impl Bill {
    /// Of what was counted, and the rows and alarms of its objects.
    pub fn new(requests: u64, counts: &Counts, rows: u64, alarms: u64) -> Self {
        let item = |what, number, per_million| Item { what, number, per_million };
        let calls = counts.object_requests() as f64 + alarms as f64;
        Self {
            requests,
            worker: item("Worker requests", requests as f64, WORKER_REQUESTS),
            storage: vec![
                item("KV reads", (counts.kv_reads + counts.key_reads + counts.fleet_reads) as f64, KV_READS),
                item("KV writes", counts.kv_writes as f64, KV_WRITES),
                item("Durable Object requests", calls, OBJECT_REQUESTS),
                item("Durable Object rows written", rows as f64, OBJECT_ROWS),
                item("Durable Object GB-seconds", calls * OBJECT_RUNS_SECS * OBJECT_GB, OBJECT_GB_SECONDS),
            ],
        }
    }

    /// US dollars for a million requests, without those that the platform takes for the requests themselves.
    pub fn storage_per_million(&self) -> f64 {
        self.storage.iter().map(|item| self.per_million(item)).sum()
    }

    /// US dollars for a million requests.
    pub fn total_per_million(&self) -> f64 {
        self.storage_per_million() + self.per_million(&self.worker)
    }

    /// US dollars that an item takes for a million requests.
    pub fn per_million(&self, item: &Item) -> f64 {
        item.dollars() * 1e6 / self.requests.max(1) as f64
    }
}
