//! The counters as OpenMetrics text and as JSON.

use std::fmt::Write;

use super::families::{Family, Sample, families};
use super::live::Live;
use crate::json;
use crate::time::Timestamp;

/// The media type of [`openmetrics`].
pub const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// OpenMetrics 1.0 text.
pub fn openmetrics(live: &Live, now: Timestamp) -> String {
    let mut out = String::new();
    for family in families(live, now) {
        write_family(&mut out, &family);
    }
    out.push_str("# EOF\n");
    out
}

fn write_family(out: &mut String, Family { metric, samples }: &Family) {
    // Writing into a String can't fail.
    let _ = writeln!(out, "# TYPE {} {}", metric.name, metric.kind);
    if !metric.unit.is_empty() {
        let _ = writeln!(out, "# UNIT {} {}", metric.name, metric.unit);
    }
    let _ = writeln!(out, "# HELP {} {}", metric.name, metric.help);
    for Sample { suffix, labels, value } in samples {
        out.push_str(metric.name);
        out.push_str(suffix);
        for (at, (name, text)) in labels.iter().enumerate() {
            out.push_str(if at == 0 { "{" } else { "," });
            out.push_str(name);
            out.push_str("=\"");
            escape(out, text);
            out.push('"');
        }
        out.push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(out, "{value}");
    }
}

/// Escapes a label's value (OpenMetrics 1.0, "Escaping").
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// The same as JSON: `[{"name", "type", "unit"?, "help", "samples": [{"name", "labels", "value"}]}]`.
pub fn json(live: &Live, now: Timestamp) -> String {
    let mut out = String::new();
    for Family { metric, samples } in families(live, now) {
        out.push_str(if out.is_empty() { "[{" } else { ",{" });
        for (name, text) in
            [("name", metric.name), ("type", metric.kind), ("unit", metric.unit), ("help", metric.help)]
        {
            if !text.is_empty() {
                entry(&mut out, name, text);
                out.push(',');
            }
        }
        out.push_str("\"samples\":[");
        for (at, sample) in samples.iter().enumerate() {
            out.push_str(if at == 0 { "{" } else { ",{" });
            write_sample(&mut out, metric.name, sample);
        }
        out.push_str("]}");
    }
    out.push_str(if out.is_empty() { "[]" } else { "]" });
    out
}

fn write_sample(out: &mut String, name: &str, Sample { suffix, labels, value }: &Sample) {
    entry(out, "name", &[name, suffix].concat());
    out.push_str(",\"labels\":{");
    for (at, (label, text)) in labels.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        entry(out, label, text);
    }
    let _ = write!(out, "}},\"value\":{value}}}");
}

fn entry(out: &mut String, name: &str, text: &str) {
    json::push_text(out, name);
    out.push(':');
    json::push_text(out, text);
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::super::counters::tests::{count_of, event, failure, refusal};
    use super::super::delta::Delta;
    use super::super::endpoints::{EndpointReport, EndpointState};
    use super::super::event::Event;
    use super::super::families::METRICS;
    use super::*;
    use crate::time::Span;

    const NOW: Timestamp = Timestamp::from_millis(1_789_000_000_250);

    fn live() -> Live {
        let mut live = Live::new(NOW);
        let strange = Event { route: "a \"b\"\\c\nd, e=\"f\"} 1".into(), ..event() };
        let long = Event { duration: Span::from_secs(600), ..event() };
        let counters = count_of(&[event(), refusal(), failure(), strange, long]);
        let endpoints = vec![EndpointReport {
            pool: "api".into(),
            endpoint: "origin-a".into(),
            state: EndpointState::HalfOpen,
            since: NOW,
        }];
        live.ingest(&Delta { isolate: 1, counters, endpoints }, NOW);
        live
    }

    /// Sample name, labels, value.
    type Line = (String, Vec<(String, String)>, f64);

    /// Reads one sample, strictly: no exemplars, no timestamps, since none are written.
    fn parse_sample(line: &str) -> Line {
        let name_end = line.find([' ', '{']).unwrap();
        let (name, mut rest) = line.split_at(name_end);
        let mut labels = Vec::new();
        if let Some(mut inside) = rest.strip_prefix('{') {
            loop {
                let (label, after) = inside.split_once("=\"").unwrap();
                assert!(label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
                let (mut value, mut chars) = (String::new(), after.char_indices());
                let end = loop {
                    match chars.next().unwrap() {
                        (at, '"') => break at,
                        (_, '\\') => value.push(match chars.next().unwrap().1 {
                            'n' => '\n',
                            c @ ('\\' | '"') => c,
                            c => panic!("\\{c} in {line}"),
                        }),
                        (_, c) => value.push(c),
                    }
                };
                labels.push((label.to_owned(), value));
                match after.split_at(end + 1).1.split_at(1) {
                    (",", more) => inside = more,
                    ("}", more) => break rest = more,
                    other => panic!("{other:?} in {line}"),
                }
            }
        }
        let number = rest.strip_prefix(' ').unwrap();
        assert!(!number.contains(' '), "{line}");
        (name.to_owned(), labels, number.parse().unwrap())
    }

    /// Checks what the specification demands of a text, and returns all samples.
    fn parse(text: &str) -> Vec<Line> {
        let suffixes: HashMap<&str, &[&str]> = HashMap::from([
            ("counter", ["_total"].as_slice()),
            ("gauge", &[""]),
            ("histogram", &["_bucket", "_count", "_sum"]),
            ("info", &["_info"]),
            ("stateset", &[""]),
        ]);
        let body = text.strip_suffix("# EOF\n").expect("ends in # EOF");
        let (mut family, mut kind, mut seen, mut series) = ("", "", HashSet::new(), HashSet::new());
        let mut samples = Vec::new();
        for line in body.lines() {
            assert!(!line.is_empty());
            if let Some(said) = line.strip_prefix("# ") {
                let (what, said) = said.split_once(' ').unwrap();
                let (name, said) = said.split_once(' ').unwrap();
                match what {
                    "TYPE" => {
                        assert!(seen.insert(name), "{name} twice");
                        (family, kind) = (name, said);
                    }
                    "UNIT" => assert!(name == family && name.ends_with(&format!("_{said}")), "{line}"),
                    "HELP" => assert!(name == family && !said.is_empty(), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (name, labels, value) = parse_sample(line);
            let suffix = name.strip_prefix(family).expect("a sample stands with its family");
            assert!(suffixes[kind].contains(&suffix), "{line}");
            assert!(series.insert((name.clone(), labels.clone())), "{line} twice");
            assert!(value >= 0.0 && value.is_finite(), "{line}");
            samples.push((name, labels, value));
        }
        samples
    }

    fn value(samples: &[Line], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |line: &&Line| {
            line.0 == name
                && labels.iter().all(|(n, v)| line.1.iter().any(|(name, value)| name == n && value == v))
        };
        samples.iter().find(has).map(|line| line.2)
    }

    #[test]
    fn a_strict_reader_reads_back_what_was_counted() {
        let samples = parse(&openmetrics(&live(), NOW));
        for (name, labels, expected) in [
            ("tidegate_build_info", vec![("version", env!("CARGO_PKG_VERSION"))], 1.0),
            ("tidegate_start_time_seconds", vec![], 1_789_000_000.25),
            ("tidegate_requests_total", vec![("route", "a \"b\"\\c\nd, e=\"f\"} 1")], 1.0),
            ("tidegate_requests_total", vec![("route", "api"), ("method", "read"), ("status", "5xx")], 1.0),
            ("tidegate_admissions_total", vec![("tier", "anonymous"), ("verdict", "admitted")], 4.0),
            ("tidegate_refusals_total", vec![("policy", "pro-minute"), ("reason", "quota")], 1.0),
            ("tidegate_cache_forwards_total", vec![("reason", "uri-miss")], 1.0),
            ("tidegate_incidents_total", vec![("incident", "kv-error")], 1.0),
            ("tidegate_incidents_total", vec![("incident", "trap")], 0.0),
            ("tidegate_endpoint_requests_total", vec![("endpoint", "origin-b"), ("status", "5xx")], 1.0),
            ("tidegate_endpoint_state", vec![("tidegate_endpoint_state", "half-open")], 1.0),
            ("tidegate_endpoint_state", vec![("tidegate_endpoint_state", "open")], 0.0),
            ("tidegate_health", vec![("tidegate_health", "degraded")], 1.0),
            ("tidegate_request_duration_seconds_sum", vec![("answered_by", "origin")], 0.7),
        ] {
            assert_eq!(value(&samples, name, &labels), Some(expected), "{name} {labels:?}");
        }
    }

    #[test]
    fn buckets_grow_and_end_in_the_count() {
        let samples = parse(&openmetrics(&live(), NOW));
        let memory: Vec<_> = (samples.iter())
            .filter(|(name, labels, _)| {
                name.ends_with("_bucket") && labels[0] == ("answered_by".into(), "memory".into())
            })
            .map(|(_, labels, n)| (labels[1].1.as_str(), *n))
            .collect();
        assert!(memory.is_sorted_by(|a, b| a.1 <= b.1), "{memory:?}");
        assert!(memory.contains(&("0.002", 0.0)) && memory.contains(&("0.005", 2.0)), "{memory:?}");
        assert!(memory.contains(&("0.05", 2.0)) && memory.contains(&("51.2", 2.0)), "{memory:?}");
        assert_eq!(memory.last(), Some(&("+Inf", 3.0)));
        let count = value(&samples, "tidegate_request_duration_seconds_count", &[("answered_by", "memory")]);
        assert_eq!(count, Some(3.0));
    }

    #[test]
    fn an_object_that_counted_nothing_is_readable_too() {
        parse(&openmetrics(&Live::new(NOW), NOW));
    }

    #[test]
    fn json_says_the_same() {
        let said: serde_json::Value = serde_json::from_str(&json(&live(), NOW)).unwrap();
        let text = parse(&openmetrics(&live(), NOW));
        let samples: Vec<_> = said
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|family| family["samples"].as_array().unwrap())
            .collect();
        assert_eq!(samples.len(), text.len());
        for (sample, (name, labels, value)) in samples.iter().zip(&text) {
            assert_eq!(
                (sample["name"].as_str(), sample["value"].as_f64()),
                (Some(name.as_str()), Some(*value))
            );
            for (label, value) in labels {
                assert_eq!(sample["labels"][label].as_str(), Some(value.as_str()), "{name}");
            }
        }
    }

    #[test]
    fn every_metric_is_exposed_and_stands_in_the_reference() {
        let reference = include_str!("../../docs/metrics.md");
        let text = openmetrics(&live(), NOW);
        for metric in METRICS {
            assert!(text.contains(&format!("# TYPE {} ", metric.name)), "{} is not exposed", metric.name);
            let row = format!("| `{}` | {} |", metric.name, metric.kind);
            let rest = reference.split_once(&row).unwrap_or_else(|| panic!("no row {row}")).1;
            let row = rest.lines().next().unwrap();
            for (name, labels, _) in parse(&text).iter().filter(|line| line.0.starts_with(metric.name)) {
                for (label, _) in labels {
                    assert!(row.contains(&format!("`{label}`")), "{name}: {label} is not in: {row}");
                }
            }
        }
        for word in super::super::event::Incident::ALL {
            assert!(reference.contains(&format!("`{}`", word.as_str())), "{}", word.as_str());
        }
    }
}
