//! Every rule as a line of JSON, for a replay of its steps to a gate in workerd.
//!
//! ```text
//! TIDEGATE_RULES=build/rules.jsonl cargo test --test it conformance::
//! ```

use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;

use serde_json::{Value, json};

use super::{AUTHORITY, ORIGIN, START, Step};

/// Appends the rule that a test runs to the file that the environment names, where it does.
#[track_caller]
pub fn write(config: &str, steps: &[Step]) {
    let Ok(file) = std::env::var("TIDEGATE_RULES") else { return };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let rule = json!({
        "rule": test.strip_prefix("conformance::").unwrap_or(test),
        "line": Location::caller().line(),
        "start": START.as_millis(),
        "authority": AUTHORITY,
        "origin": ORIGIN,
        "config": config,
        "steps": steps.iter().map(of_step).collect::<Vec<_>>(),
    });
    // One write for the whole line: tests run side by side.
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(format!("{rule}\n").as_bytes()).unwrap();
}

fn of_step(step: &Step) -> Value {
    let reply = step.reply.as_ref().map(|reply| {
        let head = reply.result.as_ref().ok();
        json!({
            "status": head.map(|head| head.status),
            "fields": head.map(|head| head.fields.iter().collect::<Vec<_>>()),
            "body": reply.body,
            "with_length": reply.with_length,
            "breaks": reply.breaks,
        })
    });
    json!({
        "after_secs": step.after_secs,
        "method": step.method,
        "path": step.path,
        "fields": step.fields,
        "content": step.content,
        "reply": reply,
        "status": step.status,
        "body": step.body,
        "says": step.says,
        "asks": step.asks,
    })
}
