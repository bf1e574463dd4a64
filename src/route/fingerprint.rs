//! Names that bundlers make of a file's content.

/// Whether a file's name, or the folder it stands in, says that its content never changes.
pub fn is_fingerprinted(path: &str) -> bool {
    let _ = path;
    false
}
