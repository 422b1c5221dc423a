//! The store at rest: nothing of a message is on the disk, nothing that somebody changes there passes unseen, and nothing
//! is read without its keys.

mod support {
    pub(crate) mod disk;
}

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use lockstep_core::effect::Batch;
use lockstep_core::hub::{HubConfig, SegmentLimits};
use lockstep_core::row::Write;
use lockstep_protocol::directory::{Conversation, Role};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::Outcome;
use lockstep_protocol::id::{ConversationId, DocumentId, ImportId, MemberId, MessageId};
use lockstep_seal::{KeyFileError, POOL_MIN};
use lockstep_server::keychain::{KeyError, Keychain, SealConfig, SealMode};
use lockstep_server::store::keys::{self, Family};
use lockstep_server::store::seal::{self, Place};
use lockstep_server::store::{Store, StoreConfig, StoreError};
use lockstep_sim::local::{LocalChain, LocalHub};
use lockstep_sim::worker::Worker;
use support::disk::{copy_folder, traces};

const ONE: ConversationId = ConversationId([0xc1; 16]);
const OTHER: ConversationId = ConversationId([0xc2; 16]);
const CUSTOMER: &str = "Palisade Mango GmbH";
/// In every message, edited or not.
const BODIES: [&str; 4] = [
    "the contract ZX-4711 is ready to be signed",
    "สัญญาฉบับที่ 4711 พร้อมลงนามแล้ว",
    "合同编号四七一一已准备好签字",
    "العقد رقم 4711 جاهز للتوقيع",
];

fn config(folder: &Path, mode: SealMode) -> SealConfig {
    SealConfig { mode, root_key: Some(folder.join("root.key")), ..SealConfig::default() }
}

fn open_as(folder: &Path, mode: SealMode) -> Result<Store, KeyError> {
    Store::open(&folder.join("hub"), &StoreConfig::default(), &config(folder, mode))
}

fn open(folder: &Path) -> Store {
    open_as(folder, SealMode::All).unwrap()
}

/// Two conversations with the same course: messages and fields, segments that are full and compacted, and an import.
fn batches() -> Vec<Batch> {
    let segment = SegmentLimits {
        open_messages: 4,
        open_ops: 60,
        open_text_bytes: 2_048,
        late_message_ops: 80,
        late_edit_ops: 100,
    };
    let mut hub = LocalHub::new(HubConfig { compact_tail: 4, segment, ..HubConfig::default() });
    hub.worker = Some(Worker::Automerge);
    hub.add_member(2, Role::Agent);
    let device = hub.enrol(2, 2);
    let mut drawn = 0;
    for id in [ONE, OTHER] {
        let assigned = vec![MemberId(2)];
        let conversation = Conversation { id, customer: CUSTOMER.into(), service: None, assigned, keep: None };
        let opened = hub.administer(lockstep_protocol::frame::Command::ConversationOpen(conversation));
        assert!(matches!(opened, Outcome::Done(_)), "{opened:?}");
        let mut chains: BTreeMap<DocumentId, LocalChain> = BTreeMap::new();
        let mut message = |hub: &LocalHub, src: Option<String>| {
            drawn += 1;
            let (id, body) = (MessageId::from_parts(hub.now.wall_ms, drawn), BODIES[drawn as usize % 4].to_owned());
            let (by, dir, kind) = (MemberId(2), Direction::Note, "text".to_owned());
            Message { id, by, dir, kind, body, seen: None, re: None, media: None, src }
        };
        for _ in 0..10 {
            let row = hub.store.disk.conversation(id).unwrap();
            let document = DocumentId::segment(id, row.open_segment);
            let chain = chains.entry(document).or_insert_with(|| device.chain(document, 1));
            let fact = Fact::Message(message(&hub, None));
            let outcome = chain.push(&mut hub, &fact);
            assert!(matches!(outcome, Outcome::Placed { .. }), "{outcome:?}");
        }
        let fact = Fact::Message(message(&hub, Some("chat.txt#1".into())));
        let imported = hub.import(DocumentId::imported(id, 0), ImportId([1; 16]), &[fact]);
        assert!(matches!(imported, Outcome::Done(_)), "{imported:?}");
    }
    hub.committed
}

fn write(store: &Store) {
    let batches = batches();
    assert!(batches.iter().flat_map(|batch| &batch.writes).any(|write| matches!(write, Write::Snapshot(..))));
    store.commit(&batches).unwrap();
}

/// The closed store as RocksDB alone sees it.
struct Raw(rocksdb::DB);

impl Raw {
    fn open(folder: &Path) -> Self {
        let (options, path) = (rocksdb::Options::default(), folder.join("hub/store"));
        let families = rocksdb::DB::list_cf(&options, &path).unwrap();
        Self(rocksdb::DB::open_cf(&options, &path, families).unwrap())
    }

    fn rows(&self, family: Family) -> Vec<(Vec<u8>, Vec<u8>)> {
        let family = self.0.cf_handle(family.name()).unwrap();
        let rows = self.0.iterator_cf(family, rocksdb::IteratorMode::Start);
        rows.map(|row| row.map(|(key, value)| (key.into_vec(), value.into_vec())).unwrap()).collect()
    }

    fn put(&self, family: Family, key: &[u8], value: Option<&[u8]>) {
        let family = self.0.cf_handle(family.name()).unwrap();
        match value {
            Some(value) => self.0.put_cf(family, key, value).unwrap(),
            None => self.0.delete_cf(family, key).unwrap(),
        }
    }
}

/// What the store says when it is opened and read whole.
fn complaint(folder: &Path) -> Option<StoreError> {
    let store = match open_as(folder, SealMode::All) {
        Ok(store) => store,
        Err(KeyError::Store(error)) => return Some(error),
        Err(error) => panic!("{error}"),
    };
    store.check().err().or_else(|| store.reader().stored().err())
}

#[test]
fn every_byte_of_every_kind_of_row_counts() {
    let folder = tempfile::tempdir().unwrap();
    write(&open(folder.path()));
    let raw = Raw::open(folder.path());
    let keychain = Keychain::open(&folder.path().join("hub"), &config(folder.path(), SealMode::All)).unwrap();
    let sealed = [
        Family::Log,
        Family::Directory,
        Family::Conversations,
        Family::Documents,
        Family::Chains,
        Family::Keys,
        Family::Snapshots,
    ];
    for family in sealed {
        let rows = raw.rows(family);
        let (key, stored) = rows.iter().rfind(|(_, stored)| stored[0] == 2).expect("a sealed row");
        let place = Place { family, key };
        seal::unpack(&keychain, place, stored).unwrap();
        for at in 0..stored.len() {
            let mut spoilt = stored.clone();
            spoilt[at] ^= 1 << (at % 8);
            match seal::unpack(&keychain, place, &spoilt) {
                Err(StoreError::Corrupt { family: found, key: named, .. }) => {
                    assert_eq!((found, named), (family.name(), hex::encode(key)));
                }
                other => panic!("{family:?}, byte {at}: {other:?}"),
            }
            assert!(seal::unpack(&keychain, place, &stored[..at]).is_err());
        }
    }
}

#[test]
fn what_is_moved_removed_or_replayed_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    write(&open(folder.path()));
    let raw = Raw::open(folder.path());
    let rows = |family| raw.rows(family);
    let (log, talks, documents) = (rows(Family::Log), rows(Family::Conversations), rows(Family::Documents));
    let (chains, snapshots, directory) = (rows(Family::Chains), rows(Family::Snapshots), rows(Family::Directory));
    drop(raw);
    let whole = |of: &[(Vec<u8>, Vec<u8>)], at: usize| of[at].0.clone();
    let last = log.len() - 1;
    // What is put where, and which key the store names then.
    type Change = (Family, Vec<u8>, Option<Vec<u8>>);
    let changes: [(&str, Change, Vec<u8>); 9] = [
        ("an entry over the next", (Family::Log, whole(&log, 5), Some(log[4].1.clone())), whole(&log, 5)),
        (
            "an entry behind the last",
            (Family::Log, 999u64.to_be_bytes().into(), Some(log[4].1.clone())),
            999u64.to_be_bytes().into(),
        ),
        ("an entry gone", (Family::Log, whole(&log, 5), None), whole(&log, 5)),
        ("the last entry gone", (Family::Log, whole(&log, last), None), whole(&log, last)),
        (
            "another conversation's row",
            (Family::Conversations, whole(&talks, 0), Some(talks[1].1.clone())),
            whole(&talks, 0),
        ),
        (
            "another document's row",
            (Family::Documents, whole(&documents, 0), Some(documents[1].1.clone())),
            whole(&documents, 0),
        ),
        ("another family's row", (Family::Chains, whole(&chains, 0), Some(documents[0].1.clone())), whole(&chains, 0)),
        (
            "another snapshot",
            (Family::Snapshots, whole(&snapshots, 0), Some(snapshots[1].1.clone())),
            whole(&snapshots, 0),
        ),
        ("a row in the clear", (Family::Directory, whole(&directory, 0), Some(vec![1, 0, 0x80])), whole(&directory, 0)),
    ];
    for (what, (family, key, value), named) in changes {
        let raw = Raw::open(folder.path());
        let before = raw.rows(family).into_iter().find(|(found, _)| *found == key).map(|(_, value)| value);
        raw.put(family, &key, value.as_deref());
        drop(raw);
        let said = complaint(folder.path()).unwrap_or_else(|| panic!("{what}: not found"));
        let text = said.to_string();
        assert!(text.contains(family.name()) && text.contains(&hex::encode(&named)), "{what}: {text}");
        assert!(matches!(said, StoreError::Corrupt { .. }), "{what}: {text}");
        Raw::open(folder.path()).put(family, &key, before.as_deref());
    }
    assert!(complaint(folder.path()).is_none());
}

#[test]
fn without_its_keys_nothing_opens_and_the_reason_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(&open(path));
    let (root, file) = (path.join("root.key"), path.join("hub/keys/data.keys"));
    let (root_text, file_bytes) = (std::fs::read(&root).unwrap(), std::fs::read(&file).unwrap());
    let refused = || open_as(path, SealMode::All).unwrap_err();

    std::fs::write(&root, "00".repeat(32)).unwrap();
    let error = refused();
    assert!(matches!(error, KeyError::WrongRoot { .. }) && error.is_of_root(), "{error}");
    assert!(error.to_string().contains("root.key") && error.to_string().contains("data.keys"), "{error}");
    std::fs::write(&root, "nonsense").unwrap();
    assert!(matches!(refused(), KeyError::RootMalformed(_)));
    std::fs::remove_file(&root).unwrap();
    assert!(matches!(refused(), KeyError::RootMissing(_)));
    assert!(!root.exists(), "a root key that something hangs on is not made anew");
    std::fs::write(&root, &root_text).unwrap();

    std::fs::remove_file(&file).unwrap();
    assert!(matches!(refused(), KeyError::FileMissing(_)));
    assert!(!file.exists(), "keys that something hangs on are not made anew");
    let mut spoilt = file_bytes.clone();
    spoilt[100] ^= 1;
    std::fs::write(&file, spoilt).unwrap();
    assert!(matches!(refused(), KeyError::File { error: KeyFileError::Damaged, .. }));
    std::fs::write(&file, &file_bytes).unwrap();

    // The keys of another hub, and the right root key for them.
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("root.key"), &root_text).unwrap();
    drop(open(other.path()));
    std::fs::copy(other.path().join("hub/keys/data.keys"), &file).unwrap();
    assert!(matches!(refused(), KeyError::Store(StoreError::OtherHub(_))));
    std::fs::write(&file, &file_bytes).unwrap();
    open(path).check().unwrap();
}

#[test]
fn a_passphrase_is_a_root_key_too() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = (folder.path().join("hub"), folder.path().join("passphrase"));
    std::fs::write(&file, "correct horse battery staple\n").unwrap();
    let with = SealConfig { passphrase_file: Some(file.clone()), ..SealConfig::default() };
    let open = |config: &SealConfig| Store::open(&path, &StoreConfig::default(), config);
    write(&open(&with).unwrap());
    open(&with).unwrap().check().unwrap();
    std::fs::write(&file, "correct horse battery stable").unwrap();
    assert!(matches!(open(&with), Err(KeyError::WrongRoot { .. })));
    let without = config(folder.path(), SealMode::All);
    assert!(matches!(open(&without), Err(KeyError::PassphraseMissing)));
    assert!(!folder.path().join("root.key").exists());
}

#[test]
fn keys_are_on_the_disk_before_what_they_seal_and_spare_ones_come_back() {
    let folder = tempfile::tempdir().unwrap();
    // Killed after the file of keys, before the store: the next start takes the same keys.
    let keychain = Keychain::open(&folder.path().join("hub"), &config(folder.path(), SealMode::All)).unwrap();
    let hub = keychain.hub();
    drop(keychain);
    let store = open(folder.path());
    assert_eq!(store.hub(), hub);
    let status = store.key_status();
    // One is the hub's own: where the log ends is sealed from the first row on.
    assert_eq!((status.keys, status.spare, status.complete), (2 * POOL_MIN, 2 * POOL_MIN - 1, true));
    // More conversations than the pool has keys for.
    let template = batches().into_iter().flat_map(|batch| batch.writes).find_map(|write| match write {
        Write::Conversation(row) => Some(row),
        _ => None,
    });
    let template = template.expect("a conversation");
    let conversations = POOL_MIN + 40;
    let writes = (0..conversations).map(|number| {
        let mut row = template.clone();
        row.conversation.id.0[..8].copy_from_slice(&(number as u64).to_be_bytes());
        Write::Conversation(row)
    });
    let batch =
        Batch { ticket: Default::default(), entries: Vec::new(), writes: writes.collect(), outside: Vec::new() };
    store.commit(&[batch]).unwrap();
    let status = store.key_status();
    assert_eq!((status.keys, status.spare), (3 * POOL_MIN, 3 * POOL_MIN - 1 - conversations));
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.key_status(), status);
    store.check().unwrap();
    assert_eq!(store.keychain().rotate().unwrap(), 2);
    drop(store);
    let store = open(folder.path());
    store.check().unwrap();
    assert_eq!(store.key_status().generation, 2);
}

#[test]
fn a_row_of_a_destroyed_key_is_shredded_not_damaged_and_so_is_every_copy() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store);
    drop(store);
    let copy = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), copy.path());
    let store = open(folder.path());
    assert!(store.reader().conversation(ONE).unwrap().is_some());
    assert_eq!(store.destroy_keys(ONE).unwrap(), 1);
    assert_eq!(store.destroy_keys(ONE).unwrap(), 0);
    let shredded = |store: &Store| {
        assert!(matches!(store.reader().conversation(ONE), Err(StoreError::Shredded { family: "conversations", .. })));
        let snapshot = store.reader().document_snapshot(DocumentId::segment(ONE, 0));
        assert!(matches!(snapshot, Err(StoreError::Shredded { family: "snapshots", .. })));
        assert!(store.reader().conversation(OTHER).unwrap().is_some());
    };
    shredded(&store);
    drop(store);
    let store = open(folder.path());
    shredded(&store);
    drop(store);
    // An older copy, without its own file of keys: with none it does not open, with today's it is shredded as well.
    let file = copy.path().join("hub/keys/data.keys");
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(open_as(copy.path(), SealMode::All), Err(KeyError::FileMissing(_))));
    std::fs::copy(folder.path().join("hub/keys/data.keys"), &file).unwrap();
    shredded(&open(copy.path()));
}

#[test]
fn a_store_from_before_sealing_is_sealed_in_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_as(folder.path(), SealMode::Sensitive).unwrap();
    write(&store);
    store.settle().unwrap();
    drop(store);
    // This also shows that what the search finds is there to be found.
    assert!(!traces(&folder.path().join("hub"), &texts()).is_empty());
    let store = open(folder.path());
    assert!(store.has_bare_rows());
    let before = format!("{:?}", store.reader().conversation(ONE).unwrap());
    assert_eq!(store.seal_old(&AtomicBool::new(true)).unwrap(), 0, "told to stop, it stops");
    assert!(store.seal_old(&AtomicBool::new(false)).unwrap() > 50);
    assert!(!store.has_bare_rows() && store.key_status().complete);
    assert_eq!(format!("{:?}", store.reader().conversation(ONE).unwrap()), before);
    store.check().unwrap();
    drop(store);
    assert_eq!(traces(&folder.path().join("hub"), &texts()), [] as [String; 0]);
    let store = open(folder.path());
    assert!(!store.has_bare_rows());
    store.check().unwrap();
}

fn texts() -> Vec<&'static str> {
    BODIES.iter().copied().chain([CUSTOMER, "Member 2", "device 2"]).collect()
}

#[test]
fn nothing_of_a_message_or_a_name_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store);
    // As a crash leaves it: all of it in the log of the engine.
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&folder.path().join("hub"), copy.path());
    assert_eq!(traces(copy.path(), &texts()), [] as [String; 0]);
    store.settle().unwrap();
    assert_eq!(traces(&folder.path().join("hub"), &texts()), [] as [String; 0]);
    store.keychain().rotate().unwrap();
    drop(store);
    drop(open(folder.path()));
    assert_eq!(traces(&folder.path().join("hub"), &texts()), [] as [String; 0]);
}

#[test]
fn keys_of_the_layout_name_their_owner() {
    // The conversation of a row is what its key begins with: that is how the key of a row from before is found.
    let document = DocumentId::segment(ONE, 3);
    for key in [keys::document(document).to_vec(), keys::chain(document, Default::default())] {
        assert_eq!(key[..16], ONE.0);
    }
}
