//! Hashes the sources: what `tidegate build` packs, only a wasm of the same sources reads (`src/packed`).

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=TIDEGATE_FORM={:016x}", hash(&["src"])?);
    // What is counted goes on over deployments that do not change how.
    println!("cargo::rustc-env=TIDEGATE_RECORD_FORM={:016x}", hash(&["src/record", "src/packed"])?);
    Ok(())
}

/// Of the Rust files of some folders (FNV-1a).
fn hash(folders: &[&str]) -> io::Result<u64> {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for folder in folders {
        add(Path::new(folder), &mut hash)?;
    }
    Ok(hash)
}

/// Adds the Rust files of a folder, in the order of their names.
fn add(folder: &Path, hash: &mut u64) -> io::Result<()> {
    let entries: io::Result<Vec<_>> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = entries?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add(&path, hash)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for byte in fs::read(&path)? {
                *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    Ok(())
}
