//! Folders: copied, and searched for texts byte by byte.

use std::io::Read;
use std::path::{Path, PathBuf};

/// Every file in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Copies a folder, as it is at this moment.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(path, target).unwrap();
    }
}

/// Where any of these texts stands: in a file as it is, as UTF-16, or in what a part of it decompresses to.
pub(crate) fn traces(folder: &Path, texts: &[&str]) -> Vec<String> {
    let words = texts.iter().flat_map(|text| {
        let utf16 = || text.encode_utf16();
        let (little, big) =
            (utf16().flat_map(u16::to_le_bytes).collect(), utf16().flat_map(u16::to_be_bytes).collect());
        [text.as_bytes().to_vec(), little, big]
    });
    let words: Vec<Vec<u8>> = words.collect();
    let mut found = Vec::new();
    for path in files(folder) {
        let bytes = std::fs::read(&path).unwrap();
        let mut parts = vec![bytes.clone()];
        for at in 0..bytes.len().saturating_sub(8) {
            if bytes[at..].starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
                let mut part = Vec::new();
                // What follows a frame is no part of it: what was read until then counts.
                if let Ok(decoder) = zstd::stream::read::Decoder::new(&bytes[at..]) {
                    drop(decoder.take(1 << 26).read_to_end(&mut part));
                }
                parts.push(part);
            }
        }
        let is_found = |part: &Vec<u8>| words.iter().any(|word| part.windows(word.len()).any(|window| window == word));
        if parts.iter().any(is_found) {
            found.push(path.display().to_string());
        }
    }
    let store = folder.join("store");
    if store.join("CURRENT").exists() {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&store, copy.path());
        let options = rocksdb::Options::default();
        let families = rocksdb::DB::list_cf(&options, copy.path()).unwrap();
        let database = rocksdb::DB::open_cf(&options, copy.path(), &families).unwrap();
        for name in families {
            for row in database.iterator_cf(database.cf_handle(&name).unwrap(), rocksdb::IteratorMode::Start) {
                let (key, value) = row.unwrap();
                let unpacked = match &value[..] {
                    [1, 1, packed @ ..] => zstd::stream::decode_all(packed).unwrap_or_default(),
                    _ => Vec::new(),
                };
                let has =
                    |part: &[u8]| words.iter().any(|word| part.windows(word.len()).any(|window| window == &word[..]));
                if has(&key) || has(&value) || has(&unpacked) {
                    found.push(format!("{name}, key {}", hex::encode(&key)));
                }
            }
        }
    }
    found
}
