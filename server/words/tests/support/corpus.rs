//! Inputs that fuzzing kept, replayed as ordinary tests.

use std::path::PathBuf;

/// Runs a fuzz target's body over every stored input, in order of name. Says which one it was when one fails.
pub(crate) fn replay(target: &str, body: impl Fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let bytes = std::fs::read(&file).expect("a readable file");
        println!("{}", file.display());
        body(&bytes);
    }
}
