//! Files of `name hex` lines that a test writes anew or holds itself against.

use std::fmt::Write as _;
use std::path::PathBuf;

/// One file of vectors.
pub(crate) struct Golden {
    path: PathBuf,
    /// The lines that the file has; none while it is written anew.
    stored: Option<Vec<String>>,
    text: String,
    /// Number of the next line of values in the stored file.
    at: usize,
}

impl Golden {
    /// Opens a file of `vectors/`. `about` says what is in it.
    pub(crate) fn new(file: &str, about: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
        let update = std::env::var_os("UPDATE_VECTORS").is_some();
        let stored = (!update).then(|| {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            text.lines().map(str::to_owned).collect()
        });
        let mut text = String::new();
        for line in about.lines() {
            writeln!(text, "# {line}").expect("writing to a string cannot fail");
        }
        text.push_str("# Lines that start with `#` are comments. PROTOCOL.md explains the bytes.\n\n");
        let at = text.lines().count();
        Self { path, stored, text, at }
    }

    /// Adds a line `name hex`; `decode` gets the bytes that the file has in its place.
    pub(crate) fn line(&mut self, name: &str, bytes: &[u8], decode: impl FnOnce(&[u8])) {
        let line = format!("{name} {}", hex::encode(bytes));
        match &self.stored {
            None => decode(bytes),
            Some(stored) => {
                let stored = stored.get(self.at).map_or("", String::as_str);
                assert_eq!(stored, line, "{}, line {}", self.path.display(), self.at + 1);
                let (_, digits) = stored.split_once(' ').expect("name and value");
                decode(&hex::decode(digits).expect("hex"));
            }
        }
        self.push(&line);
    }

    /// Adds a line `name <case>` that names a block.
    pub(crate) fn name(&mut self, case: &str) {
        self.push(&format!("name {case}"));
    }

    /// Ends a block.
    pub(crate) fn blank(&mut self) {
        self.push("");
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.at += 1;
    }

    /// Writes the file anew, or checks that it is the same to the last byte.
    pub(crate) fn finish(self) {
        let text = format!("{}\n", self.text.trim_end());
        match self.stored {
            None => std::fs::write(&self.path, text).expect("the file can be written"),
            Some(stored) => assert_eq!(stored.join("\n") + "\n", text, "{}", self.path.display()),
        }
    }
}
