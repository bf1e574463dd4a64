//! A workload in a simulated fleet, and what it costs.

use std::fmt::Write;

use tidegate::config::Config;
use tidegate::sim::cost::{Bill, Item, PRICES_FROM};
use tidegate::sim::workload::{HITS, Outcome, Workload, run};
use tidegate::time::Span;

/// What the workload is, as the command takes it.
#[derive(clap::Args)]
pub struct Options {
    /// How many requests are sent
    #[arg(long, default_value_t = Workload::default().requests)]
    requests: u64,
    /// How many come in a second, on average
    #[arg(long, default_value_t = Workload::default().per_second)]
    per_second: f64,
    /// How many URLs there are: of the API, pages, images and scripts
    #[arg(long, default_value_t = Workload::default().urls)]
    urls: usize,
    /// The exponent of Zipf's law, for URLs and for the API's clients
    #[arg(long, default_value_t = Workload::default().zipf)]
    zipf: f64,
    /// How many clients the API has; the one percent that asks most is of tier enterprise, the next 4 pro, the next 15
    /// free
    #[arg(long, default_value_t = Workload::default().clients)]
    clients: usize,
    /// How much of all requests is for the API, below /api/, in percent
    #[arg(long, default_value_t = Workload::default().api_percent)]
    api_percent: f64,
    /// How much of these are POSTs, in percent
    #[arg(long, default_value_t = Workload::default().write_percent)]
    write_percent: f64,
    /// How many colos there are
    #[arg(long, default_value_t = Workload::default().colos)]
    colos: usize,
    /// How many isolates each has
    #[arg(long, default_value_t = Workload::default().isolates)]
    isolates: usize,
    /// What everything is drawn from: the same seed, the same numbers
    #[arg(long, default_value_t = Workload::default().seed)]
    seed: u64,
}

impl From<Options> for Workload {
    fn from(options: Options) -> Self {
        let Options { requests, per_second, urls, zipf, clients, .. } = options;
        let Options { api_percent, write_percent, colos, isolates, seed, .. } = options;
        Self {
            requests,
            per_second: per_second.max(0.01),
            urls: urls.max(1),
            zipf,
            clients: clients.max(1),
            api_percent,
            write_percent,
            colos: colos.max(1),
            isolates: isolates.max(1),
            seed,
        }
    }
}

/// Sends the workload, and tells what came of it.
pub fn simulate(config: &Config, options: Options) -> String {
    let workload = Workload::from(options);
    report(&workload, &run(config, &workload))
}

fn report(workload: &Workload, outcome: &Outcome) -> String {
    let mut out = String::new();
    let Workload { requests, per_second, urls, zipf, clients, colos, isolates, seed, .. } = workload;
    let _ = writeln!(
        out,
        "workload   {requests} requests in {}, {per_second} a second; {urls} URLs, {clients} API clients, \
         Zipf {zipf}; seed {seed}",
        Span::from_secs(outcome.lasted.as_secs())
    );
    let _ = writeln!(
        out,
        "           {} % for /api/, {} % of them POST; the rest for pages, images, scripts",
        workload.api_percent, workload.write_percent
    );
    let _ = writeln!(
        out,
        "fleet      {colos} colos of {isolates} isolates; what is written to KV is seen elsewhere after up to 60s"
    );
    let _ = writeln!(out, "\nanswered by       requests   percent");
    for way in HITS.into_iter().chain(["origin", "refused", "failed"]) {
        let number = outcome.of(way);
        let _ = writeln!(out, "  {way:<12} {number:>12}   {:>7.2}", percent(number, *requests));
    }
    let _ = writeln!(out, "  {:<12} {:>12}   {:>7.2}", "hits in all", "", outcome.hit_percent());
    let counts = &outcome.counts;
    let _ = writeln!(out, "\ncalls                          number   per 1,000 requests");
    for (what, number) in [
        ("origin requests", counts.origin),
        ("colo reads", counts.colo_reads),
        ("colo writes", counts.colo_writes),
        ("KV reads, responses", counts.kv_reads),
        ("KV reads, API keys", counts.key_reads),
        ("KV reads, what the fleet shares", counts.fleet_reads),
        ("KV writes", counts.kv_writes),
        ("limiter objects", counts.limiter),
        ("metrics object", counts.metrics),
    ] {
        let per_thousand = number as f64 * 1000.0 / (*requests).max(1) as f64;
        let _ = writeln!(out, "  {what:<22} {number:>12}   {per_thousand:>18.3}");
    }
    bill(&mut out, &outcome.bill);
    out
}

fn bill(out: &mut String, bill: &Bill) {
    let _ = writeln!(out, "\ncost                                 number   $ per million requests");
    let mut line = |item: &Item| {
        let _ = writeln!(out, "  {:<28} {:>12.0}   {:>22.4}", item.what, item.number, bill.per_million(item));
    };
    bill.storage.iter().for_each(&mut line);
    line(&bill.worker);
    for (what, dollars) in [
        ("without the Worker's requests", bill.storage_per_million()),
        ("in all, without CPU time", bill.total_per_million()),
    ] {
        let _ = writeln!(out, "  {what:<41}   {dollars:>22.4}");
    }
    let _ = writeln!(out, "prices     {PRICES_FROM}");
}

fn percent(number: u64, of: u64) -> f64 {
    number as f64 * 100.0 / of.max(1) as f64
}
