//! The architecture, as a test: which room may see which, and how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by layer: a room sees those of the layers after its own.
const LAYERS: [&[&str]; 8] = [
    &["platform", "sim"],
    &["flow"],
    &["ports", "respond", "record", "admin", "config", "fleet"],
    &["route"],
    &["limit", "cache", "origin"],
    &["identity"],
    &["base64url", "head", "json", "path", "time", "size"],
    &["list", "packed", "text"],
];

/// What rooms of one layer see of each other all the same: the admin's actions are asked of the ports.
const NEIGHBOURS: [(&str, &str); 1] = [("admin", "ports")];

const LINES_MAX: usize = 400;

/// What may be longer: the plain types of a message, which are read together; both sides of every port.
const LONGER: [(&str, usize); 3] =
    [("src/head.rs", 500), ("src/platform/edge.rs", 600), ("src/sim/edge.rs", 600)];

fn sources() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
                found.push((first.trim_end_matches(".rs").to_owned(), path));
            }
        }
    }
    found.retain(|(room, _)| room != "bin" && room != "lib");
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

/// The rooms that a text names by `crate::room` or `use crate::{room, ...}`, outside comments.
fn named_rooms(text: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rooms = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => rooms.push(rest.split(|c| !is_name(c)).next().unwrap_or_default().to_owned()),
            Some(group) => {
                let (mut depth, mut name) = (0, String::new());
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => rooms.push(std::mem::take(&mut name)),
                        _ if depth == 0 => name.push(c),
                        _ => {}
                    }
                }
                rooms.push(name);
            }
        }
    }
    let first = |name: &String| name.trim().split("::").next().unwrap_or_default().to_owned();
    rooms.iter().map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn rooms_are_read_from_every_form_of_use() {
    let text = "use crate::head::{Fields, Method};\nuse crate::{cache::{Key, Policy}, time::Span,\n  size};\n\
                // use crate::flow\nfn x() -> crate::limit::Quota { crate::origin::y() }";
    assert_eq!(named_rooms(text), ["head", "cache", "time", "size", "limit", "origin"]);
}

#[test]
fn no_arrow_between_rooms_goes_back() {
    let mut wrong = Vec::new();
    for (room, path) in sources() {
        let own =
            layer(&room).unwrap_or_else(|| panic!("{}: the room `{room}` has no layer", path.display()));
        for named in named_rooms(&fs::read_to_string(&path).unwrap()) {
            let Some(other) = layer(&named) else { continue };
            let is_allowed =
                other > own || named == room || NEIGHBOURS.contains(&(room.as_str(), named.as_str()));
            if !is_allowed {
                wrong.push(format!("{}: `{room}` names `{named}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_platform_alone_names_javascript() {
    for (room, path) in sources() {
        let text = fs::read_to_string(&path).unwrap();
        for name in ["wasm_bindgen", "js_sys", "web_sys", "worker::"] {
            assert!(room == "platform" || !text.contains(name), "{}: names {name}", path.display());
        }
    }
}

/// `json` says why. What people write is read by native code.
#[test]
fn what_goes_into_the_wasm_reads_and_writes_json_by_our_own_code() {
    const NATIVE: [&str; 4] = ["config/diagnosis", "sim", "origin/simulation.rs", "cache/testing.rs"];
    for (_, path) in sources() {
        let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
        if NATIVE.iter().any(|native| inside.starts_with(native)) || inside.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for name in ["serde_json::to_", "serde_json::json!", "serde_json::from_"] {
            assert!(!text.contains(name), "{}: names {name}", path.display());
        }
    }
}

#[test]
fn no_file_is_too_long_to_be_read() {
    for (_, path) in sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        let max = LONGER.iter().find(|(name, _)| path.ends_with(name)).map_or(LINES_MAX, |(_, max)| *max);
        assert!(lines <= max, "{}: {lines} lines, allowed: {max}", path.display());
    }
}
