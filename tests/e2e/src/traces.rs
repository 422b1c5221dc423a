//! Looks for texts in everything that a process left behind: as they are, in the forms that programs write text in, and in
//! whatever decompresses; in the rows of a RocksDB store, too.
//!
//! RocksDB and the hub compress with zstd alone, redb with nothing: so zstd frames are tried wherever one begins, frames
//! within frames too. Other compressors are not linked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;

/// What every frame of zstd begins with.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// No frame is read further, bytes.
const UNPACKED_BYTES_MAX: u64 = 1 << 26;
/// Frames within frames.
const DEPTH_MAX: u32 = 3;
/// Shorter texts could stand there by chance.
const TEXT_BYTES_MIN: usize = 12;
const BASE64: [&[u8; 64]; 2] = [
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
];

/// Texts to be looked for, in all their forms.
#[derive(Debug)]
pub struct Search {
    texts: Vec<String>,
    forms: Vec<(usize, &'static str)>,
    finder: AhoCorasick,
}

/// Which text was found, in which form.
pub type Trace = (String, &'static str);

impl Search {
    /// Looks for these texts.
    ///
    /// # Panics
    /// If one is so short that it could stand somewhere by chance.
    #[must_use]
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
        assert!(texts.iter().all(|text| text.len() >= TEXT_BYTES_MIN));
        let (mut forms, mut patterns) = (Vec::new(), Vec::new());
        for (at, text) in texts.iter().enumerate() {
            for (form, pattern) in forms_of(text) {
                forms.push((at, form));
                patterns.push(pattern);
            }
        }
        let finder = AhoCorasick::new(&patterns).expect("some hundred patterns make an automaton");
        Self { texts, forms, finder }
    }

    /// Every form of every text, for a control of the search itself.
    #[must_use]
    pub fn forms(&self) -> BTreeMap<&'static str, Vec<Vec<u8>>> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (form, pattern) in self.texts.iter().flat_map(|text| forms_of(text)) {
            all.entry(form).or_default().push(pattern);
        }
        all
    }

    /// What some bytes hold, also in what they decompress to.
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> BTreeSet<Trace> {
        let mut found = BTreeSet::new();
        self.look(bytes, 0, &mut found);
        found
    }

    fn look(&self, bytes: &[u8], depth: u32, found: &mut BTreeSet<Trace>) {
        for hit in self.finder.find_overlapping_iter(bytes) {
            let (text, form) = self.forms[hit.pattern().as_usize()];
            found.insert((self.texts[text].clone(), if depth == 0 { form } else { "compressed" }));
        }
        if depth == DEPTH_MAX {
            return;
        }
        let starts = bytes.windows(ZSTD_MAGIC.len()).enumerate().filter(|(_, window)| **window == ZSTD_MAGIC);
        for (at, _) in starts {
            let mut part = Vec::new();
            // What follows a frame is no part of it, and a frame may be cut: what was read until then counts.
            if let Ok(decoder) = zstd::stream::read::Decoder::new(&bytes[at..]) {
                drop(decoder.single_frame().take(UNPACKED_BYTES_MAX).read_to_end(&mut part));
            }
            self.look(&part, depth + 1, found);
        }
    }

    /// Where in a folder something is found: in a file's name or content, or in the rows of a store of RocksDB.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn folder(&self, folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for path in files(folder) {
            let name = path.strip_prefix(folder).expect("a file below the folder").as_os_str().as_encoded_bytes();
            let content = std::fs::read(&path).expect("a file of this user");
            for (text, form) in self.bytes(name).into_iter().chain(self.bytes(&content)) {
                found.push(format!("{}: {text:?}, {form}", path.display()));
            }
            if path.file_name().is_some_and(|name| name == "CURRENT") {
                found.extend(self.rows(path.parent().expect("a file lies in a folder")));
            }
        }
        found
    }

    /// Where in the rows of a store something is found, whatever its files look like. Read from a copy.
    fn rows(&self, store: &Path) -> Vec<String> {
        let copy = tempfile::tempdir().expect("a temporary folder");
        for path in files(store) {
            std::fs::copy(&path, copy.path().join(path.file_name().expect("a file has a name"))).expect("a copy");
        }
        let options = rocksdb::Options::default();
        let families = rocksdb::DB::list_cf(&options, copy.path()).expect("a store has families");
        let database = rocksdb::DB::open_cf(&options, copy.path(), &families).expect("a copy opens");
        let mut found = Vec::new();
        for name in families {
            let family = database.cf_handle(&name).expect("every family was opened");
            for row in database.iterator_cf(family, rocksdb::IteratorMode::Start) {
                let (key, value) = row.expect("a row");
                for (text, form) in self.bytes(&key).into_iter().chain(self.bytes(&value)) {
                    found.push(format!("family {name}: {text:?}, {form}"));
                }
            }
        }
        found
    }
}

/// Every file below a folder.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of this user") {
        let entry = entry.expect("an entry of a folder");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            // A socket, or gone meanwhile.
            _ => {}
        }
    }
    found.sort();
    found
}

fn forms_of(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let units = || text.encode_utf16();
    let escaped = |upper: bool| -> Vec<u8> {
        let unit = |unit: u16| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
            _ if upper => format!("\\u{unit:04X}"),
            _ => format!("\\u{unit:04x}"),
        };
        units().map(unit).collect::<String>().into_bytes()
    };
    let hex = |upper: bool| -> Vec<u8> {
        let byte = |byte: &u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
        text.as_bytes().iter().map(byte).collect::<String>().into_bytes()
    };
    let percent = |space: &str| -> Vec<u8> {
        let byte = |byte: &u8| match byte {
            b' ' => space.to_owned(),
            byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        text.as_bytes().iter().map(byte).collect::<String>().into_bytes()
    };
    let mut forms = vec![
        ("as it is", text.as_bytes().to_vec()),
        ("UTF-16, little end first", units().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16, big end first", units().flat_map(u16::to_be_bytes).collect()),
        ("JSON", escaped(false)),
        ("JSON", escaped(true)),
        ("hex", hex(false)),
        ("hex", hex(true)),
        ("percent", percent("%20")),
        ("percent", percent("+")),
        ("Rust's debug", format!("{text:?}").trim_matches('"').as_bytes().to_vec()),
        ("bytes as a list", text.as_bytes().iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into_bytes()),
    ];
    for alphabet in BASE64 {
        forms.extend((0..3).map(|before| ("base64", base64_part(text.as_bytes(), before, alphabet))));
    }
    forms
}

/// What base64 makes of a text behind so many other bytes, as far as it depends on the text alone.
fn base64_part(text: &[u8], before: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bytes = [&vec![0; before][..], text].concat();
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let sextets = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
    sextets.map(|at| alphabet[usize::from((at * 6..at * 6 + 6).fold(0, |value, at| value << 1 | bit(at)))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_a_part() {
        // echo -n 'xHello, world' | base64, and so on.
        let part = |before| String::from_utf8(base64_part(b"Hello, world", before, BASE64[0])).unwrap();
        assert_eq!(part(0), "SGVsbG8sIHdvcmxk");
        assert!("eEhlbGxvLCB3b3JsZA==".contains(&part(1)) && part(1).len() == 15);
        assert!("eHhIZWxsbywgd29ybGQ=".contains(&part(2)) && part(2).len() == 15);
    }

    #[test]
    fn every_form_is_found_alone_and_compressed() {
        let search = Search::new(["ร่มสีม่วงของใครก็ไม่รู้", "purple umbrellas of nobody"]);
        for (form, patterns) in search.forms() {
            for pattern in patterns {
                let file = [&[0xff; 7][..], &pattern, &[0; 9]].concat();
                assert!(search.bytes(&file).iter().any(|(_, found)| *found == form || pattern.is_ascii()), "{form}");
                let frame = zstd::bulk::compress(&file, 3).unwrap();
                let inside = [&b"noise"[..], &frame, b"noise"].concat();
                assert!(search.bytes(&inside).iter().any(|(_, found)| *found == "compressed"), "{form}");
                let twice = zstd::bulk::compress(&inside, 19).unwrap();
                assert!(!search.bytes(&twice).is_empty(), "{form}");
            }
        }
        assert!(search.bytes(b"purple umbrellas of somebody").is_empty());
    }
}
