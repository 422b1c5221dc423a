//! Rules of the repository that no compiler checks: who may depend on whom, and what the pure crates must not touch.

use std::path::{Path, PathBuf};

/// What each crate may depend on outside of tests. Nothing points back: protocol ← core, protocol ← client core.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("protocol", &["automerge", "blake3", "bytes", "ed25519-dalek", "minicbor", "sha2", "thiserror", "ulid"]),
    ("server/core", &["blake3", "bytes", "lockstep-protocol", "minicbor"]),
    ("client-sdk/core", &["blake3", "bytes", "lockstep-protocol", "minicbor"]),
];

/// What the pure crates never say, with the reason. `clippy.toml` of each bans more of it by path.
const NEVER_SAID: &[(&str, &str)] = &[
    ("HashMap", "its order is random"),
    ("HashSet", "its order is random"),
    ("Instant::now", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("std::net", "sockets belong to the driver"),
    ("std::fs", "rows are loaded and written by effects"),
    ("std::thread", "threads belong to the driver"),
    ("thread_rng", "random bytes are inputs"),
    ("OsRng", "random bytes are inputs"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The names in a manifest's `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).expect("every crate has dependencies");
    let section = section.split("\n[").next().expect("a section");
    let name = |line: &str| line.split(['.', ' ', '=']).next().map(str::to_owned);
    section.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).filter_map(name).collect()
}

#[test]
fn layers_point_one_way() {
    for (folder, allowed) in MAY_DEPEND_ON {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        let found = dependencies(&manifest);
        assert!(!found.is_empty(), "{folder}: the manifest was not understood");
        for name in found {
            assert!(allowed.contains(&name.as_str()), "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn pure_crates_touch_nothing() {
    for (folder, _) in MAY_DEPEND_ON {
        let files = sources(&root().join(folder).join("src"));
        assert!(!files.is_empty());
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source");
            for (word, reason) in NEVER_SAID {
                assert!(!text.contains(word), "{}: {word}: {reason}", file.display());
            }
        }
    }
}

#[test]
fn only_documents_know_automerge() {
    for file in sources(&root().join("protocol/src")) {
        let text = std::fs::read_to_string(&file).expect("a source");
        let path = file.display().to_string();
        let knows = text.lines().any(|line| line.contains("automerge::") && !line.trim_start().starts_with("//"));
        assert!(!knows || path.contains("protocol/src/document"), "{path} uses Automerge");
    }
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["protocol/src", "server/core/src", "client-sdk/core/src", "tests/sim/src", "benches/src"] {
        for file in sources(&root().join(folder)) {
            let text = std::fs::read_to_string(&file).expect("a source");
            assert!(text.starts_with("//! "), "{} does not begin with a sentence", file.display());
            let lines = text.lines().count();
            assert!(lines <= 650, "{} has {lines} lines: it is more than one noun", file.display());
        }
    }
}
