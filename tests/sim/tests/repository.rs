//! Rules of the repository that no compiler checks: who may depend on whom, and what the pure crates must not touch.

use std::path::{Path, PathBuf};

/// What each crate may depend on outside of tests. Nothing points back: protocol ← core, protocol ← client core.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("protocol", &["automerge", "blake3", "bytes", "ed25519-dalek", "minicbor", "sha2", "thiserror", "ulid"]),
    ("protocol/seal", &["aes-gcm", "argon2", "hkdf", "lockstep-protocol", "minicbor", "sha2", "thiserror", "zeroize"]),
    ("server/core", &["blake3", "bytes", "lockstep-protocol", "minicbor"]),
    ("client-sdk/core", &["blake3", "bytes", "lockstep-protocol", "minicbor"]),
    ("server/words", &["aho-corasick", "minicbor", "thiserror", "unicode-normalization", "unicode-security"]),
];

/// Which crates of this repository the crates with sockets, disks and clocks may depend on outside of tests. A device
/// knows nothing of the hub, and migration of neither; the hub's command line drives both.
const MAY_DEPEND_ON_OURS: &[(&str, &[&str])] = &[
    ("client-sdk", &["lockstep-protocol", "lockstep-seal", "lockstep-client-core"]),
    ("client-sdk/migrate", &["lockstep-protocol"]),
    (
        "server",
        &[
            "lockstep-protocol",
            "lockstep-seal",
            "lockstep-core",
            "lockstep-client",
            "lockstep-migrate",
            "lockstep-words",
        ],
    ),
];

/// Folders in which a file is one noun.
const FOLDERS_OF_NOUNS: &[&str] = &[
    "protocol/src",
    "protocol/seal/src",
    "server/core/src",
    "server/src",
    "server/words/src",
    "client-sdk/core/src",
    "client-sdk/src",
    "client-sdk/migrate/src",
    "tests/sim/src",
    "benches/src",
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

/// The names in the sections of a manifest that say what a crate is built from: not those of tests.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut counts = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            let (section, name) = match header.split_once("dependencies.") {
                Some((before, name)) => (format!("{before}dependencies"), Some(name)),
                None => (header.to_owned(), None),
            };
            counts = section.ends_with("dependencies") && !section.ends_with("dev-dependencies");
            names.extend(name.filter(|_| counts).map(str::to_owned));
            counts &= name.is_none();
        } else if counts && !line.is_empty() && !line.starts_with('#') {
            names.extend(line.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    names
}

#[test]
fn a_manifest_is_understood() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\na = \"1\"\nb.workspace = true\n# c = \"1\"\n\n\
                    [dependencies.d]\nversion = \"1\"\n\n[target.'cfg(unix)'.dependencies]\ne = { version = \"1\" }\n\
                    [build-dependencies]\nf = \"1\"\n[dev-dependencies]\ng = \"1\"\n[dev-dependencies.h]\nversion = \"1\"\n\
                    [lints]\nworkspace = true\n";
    assert_eq!(dependencies(manifest), ["a", "b", "d", "e", "f"]);
}

fn depends_on(folder: &str) -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
    let found = dependencies(&manifest);
    assert!(!found.is_empty(), "{folder}: the manifest was not understood");
    found
}

#[test]
fn layers_point_one_way() {
    for (folder, allowed) in MAY_DEPEND_ON {
        for name in depends_on(folder) {
            assert!(allowed.contains(&name.as_str()), "{folder} must not depend on {name}");
        }
    }
    for (folder, allowed) in MAY_DEPEND_ON_OURS {
        for name in depends_on(folder).iter().filter(|name| name.starts_with("lockstep-")) {
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
    for folder in FOLDERS_OF_NOUNS {
        let files = sources(&root().join(folder));
        assert!(!files.is_empty(), "{folder} has no sources");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source");
            assert!(text.starts_with("//! "), "{} does not begin with a sentence", file.display());
            let lines = text.lines().count();
            assert!(lines <= 650, "{} has {lines} lines: it is more than one noun", file.display());
        }
    }
}
