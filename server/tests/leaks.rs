//! What lies in the clear beside sealed values says nothing of what was written: keys of rows, rows that are not sealed,
//! names of files, the dictionary, metrics.

#[path = "support/course.rs"]
mod course;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lockstep_core::row::Write;
use lockstep_protocol::codec;
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_server::keychain::SealMode;
use lockstep_server::store::keys::Family;
use lockstep_server::store::{Store, StoreConfig};
use sha2::Digest;

use course::{Raw, Texts, batches, files, seal};

const ONES: Texts = Texts {
    customer: "Palisade Mango GmbH",
    member: "Marigold Quince",
    bodies: ["the secret of the orchard", "a plain word about pears", "the iban of the cider press", "nothing else"],
    edit: "another word about pears",
    reason: "said twice",
    emoji: "🍐",
    field: "street",
    value: "Orchard Road 7",
    label: "cider",
    media_name: "pears.jpg",
    media_hash: [0x5a; 32],
};
/// As long, as sensitive, and about something else.
const OTHERS: Texts = Texts {
    customer: "Turbine Walrus Ltda",
    member: "Zephyr Basalt X",
    bodies: ["the secret of the foundry", "a plain word about bolts", "the iban of the steel works", "all is well"],
    edit: "another word about bolts",
    reason: "said again",
    emoji: "🔩",
    field: "street",
    value: "Foundry Gate 9",
    label: "steel",
    media_name: "bolts.jpg",
    media_hash: [0xa5; 32],
};
/// No shorter part of a row is taken for a trace of another.
const TRACE_BYTES: usize = 8;

fn written(texts: Texts, mode: SealMode) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("hub"), &StoreConfig::default(), &seal(folder.path(), mode)).unwrap();
    store.commit(&batches(texts, 1)).unwrap();
    folder
}

/// Keys of all rows, and what is not sealed of their values.
fn in_the_clear(folder: &Path) -> Vec<(Family, Vec<u8>, Vec<u8>)> {
    let raw = Raw::open(folder);
    let rows = Family::ALL.into_iter().flat_map(|family| raw.rows(family).into_iter().map(move |row| (family, row)));
    rows.map(|(family, (key, value))| match value.first() {
        // Version, class, id of a random key, salt: the rest is noise.
        Some(&2) => (family, key, value[..2].to_vec()),
        _ => (family, key, value),
    })
    .collect()
}

/// Names of files without the numbers that the engine counts on.
fn names(folder: &Path) -> BTreeSet<String> {
    let of = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
    files(folder).iter().map(|path| of(path).replace(|c: char| c.is_ascii_digit(), "0")).collect()
}

/// Two stores, the same course, other texts: but for drawn names of keys nothing in the clear tells them apart. What would,
/// would have come from the text.
#[test]
fn two_stores_of_different_texts_look_the_same() {
    let (one, other) = (written(ONES, SealMode::All), written(OTHERS, SealMode::All));
    assert_eq!(names(one.path()), names(other.path()));
    let (ones, others) = (in_the_clear(one.path()), in_the_clear(other.path()));
    let mut keyed = BTreeMap::new();
    for ((family, key, value), (of, its, of_its)) in ones.iter().zip(&others) {
        assert_eq!(family, of);
        match family {
            // The names of data keys and of the hub are drawn.
            Family::DataKeys => assert_eq!(key, its),
            Family::Meta if key == b"hub" => assert_eq!(key, its),
            // Sealed under an HMAC of what it names, a blob's row stands elsewhere in each; facts of cards are named with
            // an id of 80 drawn bits, which stands nowhere in the clear.
            Family::Keys => {
                *keyed.entry((key[..16].to_vec(), value.clone())).or_insert(0i32) += 1;
                *keyed.entry((its[..16].to_vec(), of_its.clone())).or_insert(0) -= 1;
            }
            _ => assert_eq!((key, value), (its, of_its), "{family:?}"),
        }
    }
    assert_eq!(ones.len(), others.len());
    assert!(keyed.values().all(|count| *count == 0), "{keyed:?}");
    let keys = |rows: &[(Family, Vec<u8>, Vec<u8>)]| -> BTreeSet<Vec<u8>> {
        rows.iter().filter(|row| row.0 == Family::Keys).map(|row| row.1.clone()).collect()
    };
    // A conversation's blob and label; the field has one name in both.
    let differing = keys(&ones).difference(&keys(&others)).count();
    assert_eq!(differing, 4, "keys of the index that depend on what was written");
}

type Digest8 = [u8; TRACE_BYTES];

/// Beginnings of digests that anybody can compute, and of what.
#[derive(Default)]
struct Digests(BTreeMap<Digest8, String>);

impl Digests {
    fn add(&mut self, digest: &[u8], of: &str) {
        self.0.insert(*digest.first_chunk().expect("a digest is long enough"), of.to_owned());
    }

    fn add_all_of(&mut self, bytes: &[u8], of: &str) {
        self.add(blake3::hash(bytes).as_bytes(), of);
        self.add(&sha2::Sha256::digest(bytes), of);
        self.add(&sha2::Sha512::digest(bytes), of);
        self.add(&blake3::derive_key("lockstep media key 1", bytes), of);
        self.add(&blake3::derive_key("lockstep fact key 1", bytes), of);
    }

    fn found(&self, part: &[u8]) -> Option<&String> {
        part.windows(TRACE_BYTES).find_map(|window| self.0.get(window))
    }
}

/// What anybody can compute from texts and ids: all of it, or of what is sensitive alone.
fn digests(sensitive_only: bool) -> Digests {
    let is_meant = |text: &str| !sensitive_only || text.contains("secret") || text.contains("iban");
    let mut digests = Digests::default();
    let others = [ONES.customer, ONES.member, ONES.edit, ONES.reason, ONES.value, ONES.label, ONES.media_name];
    for text in ONES.bodies.into_iter().chain(others).filter(|text| is_meant(text)) {
        for form in [text.to_owned(), text.to_lowercase(), text.to_uppercase(), text.replace(' ', "")] {
            digests.add_all_of(form.as_bytes(), text);
        }
    }
    if !sensitive_only {
        digests.add_all_of(&ONES.media_hash, "the attachment");
        digests.add(&ONES.media_hash, "the attachment");
    }
    let all = batches(ONES, 1);
    for entry in all.iter().flat_map(|batch| &batch.entries) {
        let EntryBody::Fact(placed) = Entry::from_bytes(&entry.bytes).unwrap().body else { continue };
        if is_meant(&format!("{:?}", placed.fact)) {
            let of = format!("{:?}", placed.fact);
            digests.add(&placed.hash.0, &of);
            digests.add(&placed.fact.content_digest().0, &of);
            digests.add_all_of(&codec::encode(&placed.fact), &of);
        }
    }
    for write in all.iter().flat_map(|batch| &batch.writes).filter(|_| !sensitive_only) {
        match write {
            Write::Chain(document, _, row) => digests.add(&row.head.hash.0, &format!("a chain of {document:?}")),
            Write::Document(document, row) if row.ops > 0 => digests.add(&row.digest.0, &format!("{document:?}")),
            _ => {}
        }
    }
    digests
}

/// The digests of texts, of facts, of changes, of chains and documents: nothing of them is in the clear. Where only what is
/// sensitive is sealed, this holds for what is sensitive, and for rows that are made of digests.
#[test]
fn digests_that_anybody_can_compute_are_nowhere() {
    for mode in [SealMode::All, SealMode::Sensitive] {
        let folder = written(ONES, mode);
        let sought = digests(mode == SealMode::Sensitive);
        assert!(sought.0.len() > 40, "{}", sought.0.len());
        for (family, key, value) in in_the_clear(folder.path()) {
            // The ends of chains, sensitive or not, say what was written before.
            assert!(!matches!(family, Family::Chains | Family::Documents) || value[0] == 2, "{mode:?}: {family:?}");
            for part in [&key, &value] {
                let found = sought.found(part);
                assert!(found.is_none(), "{mode:?}: a row of {} holds a digest of {found:?}", family.name());
            }
        }
        for path in files(folder.path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let bytes: Vec<u8> = name.as_bytes().windows(2 * TRACE_BYTES).flat_map(hex::decode).flatten().collect();
            assert!(sought.found(name.as_bytes()).is_none() && sought.found(&bytes).is_none(), "{name}");
        }
        // The search finds what is there: where only what is sensitive is sealed, the hash of another change.
        if mode == SealMode::Sensitive {
            let all = digests(false);
            assert!(in_the_clear(folder.path()).iter().any(|(_, _, value)| all.found(value).is_some()));
        }
    }
}

/// The shipped dictionary is the one that the source has, and holds no word that a sealed text is made of.
#[test]
fn the_dictionary_knows_none_of_these_texts() {
    let dictionary = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/entries.dict")).unwrap();
    for texts in [ONES, OTHERS] {
        let all = [texts.customer, texts.member, texts.edit, texts.value, texts.label, texts.media_name];
        for text in texts.bodies.iter().chain(&all) {
            let words = text
                .split([' ', '.'])
                .filter(|word| word.len() > 4 && !["about", "plain", "nothing", "another"].contains(word));
            for word in words {
                let is_there = dictionary.windows(word.len()).any(|window| window == word.as_bytes());
                assert!(!is_there, "{word:?} is in the dictionary");
            }
        }
    }
    // No other is made: what the engine compresses in blocks, it does without one, and a row's frame names none.
    let folder = written(ONES, SealMode::All);
    let program = include_bytes!("../src/store/entries.dict");
    assert_eq!(dictionary, program);
    assert!(files(folder.path()).iter().all(|path| path.extension().is_none_or(|ending| ending != "dict")));
}
