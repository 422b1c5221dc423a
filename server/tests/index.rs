//! Rows of a conversation's index: whoever reads one gets it whole, from the log or from a snapshot, or an error that
//! names what is damaged.

use std::collections::BTreeSet;
use std::path::Path;

use lockstep_core::effect::{Apply, Batch, Ticket};
use lockstep_core::query::{Answer, Query};
use lockstep_core::row::{IndexRow, KeyRow, SnapshotRow, Write};
use lockstep_protocol::codec;
use lockstep_protocol::fact::KeyId;
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, HubId, Lsn, MemberId};
use lockstep_server::store::keys::{self, FORMAT_VERSION, Family, Meta};
use lockstep_server::store::record::encode_snapshot;
use lockstep_server::store::seal::{self, Place};
use lockstep_server::store::{Store, StoreConfig, StoreError};
use lockstep_sim::script;
use lockstep_sim::store::Disk;
use lockstep_sim::worker::Worker;

type Keys = BTreeSet<(ConversationId, KeyId)>;

/// A history whose log is whole.
struct History {
    batches: Vec<Batch>,
    disk: Disk,
    keys: Keys,
}

impl History {
    fn drawn(seed: u64) -> Self {
        let bytes: Vec<u8> = (0..150u64)
            .flat_map(|at| blake3::hash(&[seed.to_be_bytes(), at.to_be_bytes()].concat()).as_bytes().to_owned())
            .collect();
        let (mut batches, disk) = script::record(&bytes);
        let mut keys = Keys::new();
        for batch in &mut batches {
            batch.writes.retain(|write| !matches!(write, Write::Floor(_)));
            for write in &batch.writes {
                if let Write::Key(conversation, key, _) = write {
                    keys.insert((*conversation, *key));
                }
            }
        }
        Self { batches, disk, keys }
    }

    fn written(&self, folder: &Path) -> Store {
        let store = open(folder);
        store.commit(&self.batches).unwrap();
        store
    }

    /// Snapshots of every document up to its newest entry, and the floor above all of them.
    fn retired(&self) -> Batch {
        let documents: BTreeSet<DocumentId> = self
            .keys
            .iter()
            .filter_map(|(conversation, key)| match self.disk.key(*conversation, *key) {
                Some(IndexRow::Fact(row)) if row.document.kind != DocumentKind::Imported => Some(row.document),
                _ => None,
            })
            .collect();
        let mut writes: Vec<Write> = documents
            .into_iter()
            .map(|document| {
                let heads = self.disk.document(document).unwrap().chains.iter();
                let heads = heads.map(|(actor, chain)| (*actor, chain.head)).collect();
                let apply = Apply { document, upto: self.disk.head, heads, rebuild: false };
                Write::Snapshot(document, Worker::Automerge.apply(&self.disk, &apply).unwrap())
            })
            .collect();
        writes.push(Write::Floor(self.disk.head));
        batch(writes)
    }
}

fn batch(writes: Vec<Write>) -> Batch {
    Batch { ticket: Ticket(u64::MAX), entries: Vec::new(), writes, outside: Vec::new() }
}

fn open(folder: &Path) -> Store {
    Store::open(folder, &StoreConfig::default(), HubId([7; 16])).unwrap()
}

fn ask(keys: &Keys) -> Vec<Query> {
    let conversations: BTreeSet<ConversationId> = keys.iter().map(|(conversation, _)| *conversation).collect();
    let of = |conversation| keys.iter().filter(move |(of, _)| *of == conversation).map(|(_, key)| *key).collect();
    conversations.into_iter().map(|conversation| Query::Keys { conversation, keys: of(conversation) }).collect()
}

fn rows(store: &Store, keys: &Keys) -> Vec<Option<IndexRow>> {
    let reader = store.reader();
    let answers = ask(keys).into_iter().flat_map(|query| match reader.answer(&query).unwrap() {
        Answer::Keys(rows) => rows,
        other => panic!("{other:?}"),
    });
    answers.collect()
}

fn expected(history: &History) -> Vec<Option<IndexRow>> {
    history.keys.iter().map(|(conversation, key)| history.disk.key(*conversation, *key).cloned()).collect()
}

/// The closed store as RocksDB alone sees it.
fn raw(
    folder: &Path,
    work: impl FnOnce(&dyn Fn(Family, &[u8]) -> Option<Vec<u8>>, &dyn Fn(Family, &[u8], Option<&[u8]>)),
) {
    let (options, path) = (rocksdb::Options::default(), folder.join("store"));
    let database = rocksdb::DB::open_cf(&options, &path, rocksdb::DB::list_cf(&options, &path).unwrap()).unwrap();
    let of = |family: Family| database.cf_handle(family.name()).unwrap();
    let get = |family: Family, key: &[u8]| database.get_cf(of(family), key).unwrap();
    let put = |family: Family, key: &[u8], value: Option<&[u8]>| match value {
        Some(value) => database.put_cf(of(family), key, value).unwrap(),
        None => database.delete_cf(of(family), key).unwrap(),
    };
    work(&get, &put);
}

fn packed(family: Family, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    seal::pack(Place { family, key }, &mut stored, |bytes| bytes.extend_from_slice(value));
    stored
}

/// Facts among rows: messages that something became of, other messages, other facts, and facts of cards.
fn census(rows: &[Option<IndexRow>]) -> [usize; 4] {
    let facts = || {
        rows.iter().flatten().filter_map(|row| match row {
            IndexRow::Fact(row) => Some(row),
            IndexRow::Media(_) => None,
        })
    };
    let something = |row: &KeyRow| {
        row.message.as_ref().is_some_and(|message| {
            message.delivery.is_some() || message.resolution.is_some() || !message.reactions.is_empty()
        })
    };
    [
        facts().filter(|row| something(row)).count(),
        facts().filter(|row| row.message.is_some() && !something(row)).count(),
        facts().filter(|row| row.message.is_none()).count(),
        facts().filter(|row| row.document.kind == DocumentKind::Card).count(),
    ]
}

#[test]
fn rows_below_the_floor_are_completed_from_snapshots() {
    let mut seen = [0; 4];
    for seed in 0..6 {
        let history = History::drawn(seed);
        let folder = tempfile::tempdir().unwrap();
        let store = history.written(folder.path());
        let before = expected(&history);
        assert_eq!(rows(&store, &history.keys), before, "seed {seed}");
        // Who began to read before the floor passed and the snapshots were replaced reads on.
        let earlier = store.reader();
        store.commit(&[history.retired()]).unwrap();
        assert_eq!(rows(&store, &history.keys), before, "seed {seed}");
        for query in ask(&history.keys) {
            let answer = format!("{:?}", earlier.answer(&query).unwrap());
            assert_eq!(answer, format!("{:?}", store.reader().answer(&query).unwrap()), "seed {seed}");
        }
        drop(earlier);
        // Something more becomes of each message: its row is written anew, its entry is long gone.
        let mut after = before.clone();
        let mut writes = Vec::new();
        for ((conversation, key), row) in history.keys.iter().zip(&mut after) {
            if let Some(IndexRow::Fact(KeyRow { message: Some(message), .. })) = row {
                message.reactions.push((MemberId(u32::MAX), 1));
                writes.push(Write::Key(*conversation, *key, Box::new(row.clone().unwrap())));
            }
        }
        store.commit(&[batch(writes)]).unwrap();
        drop(store);
        let store = open(folder.path());
        assert_eq!(rows(&store, &history.keys), after, "seed {seed}");
        store.check().unwrap();
        seen.iter_mut().zip(census(&before)).for_each(|(all, some)| *all += some);
    }
    assert!(seen.iter().all(|count| *count > 3), "{seen:?}");
}

#[test]
fn rows_of_older_formats_are_read() {
    let history = History::drawn(1);
    let folder = tempfile::tempdir().unwrap();
    drop(history.written(folder.path()));
    let format = Meta::Format.key();
    raw(folder.path(), |get, put| {
        for (conversation, key) in &history.keys {
            let row = history.disk.key(*conversation, *key).unwrap();
            let key = keys::index(*conversation, *key);
            let whole = packed(Family::Keys, &key, &codec::encode(row));
            assert!(whole.len() >= get(Family::Keys, &key).unwrap().len());
            put(Family::Keys, &key, Some(&whole));
        }
        put(Family::Meta, format, Some(&packed(Family::Meta, format, &2u32.to_be_bytes())));
    });
    let store = open(folder.path());
    assert_eq!(rows(&store, &history.keys), expected(&history));
    store.check().unwrap();
    store.commit(&[history.retired()]).unwrap();
    assert_eq!(rows(&store, &history.keys), expected(&history));
    drop(store);
    raw(folder.path(), |get, _| {
        let expected = packed(Family::Meta, format, &FORMAT_VERSION.to_be_bytes());
        assert_eq!(get(Family::Meta, format), Some(expected), "an older program refuses it from now on");
    });
}

/// What is done to a closed store, given the key of the fact's row, its LSN, and that of another fact.
type Damage = fn(&dyn Fn(Family, &[u8]) -> Option<Vec<u8>>, &dyn Fn(Family, &[u8], Option<&[u8]>), &KeyRow, &KeyRow);

fn lsn_key(row: &KeyRow) -> [u8; 8] {
    row.stamp.lsn.0.to_be_bytes()
}

fn snapshot(get: &dyn Fn(Family, &[u8]) -> Option<Vec<u8>>, key: &[u8]) -> Vec<u8> {
    let stored = get(Family::Snapshots, key).unwrap();
    seal::unpack(Place { family: Family::Snapshots, key }, &stored).unwrap().into_owned()
}

#[test]
fn what_a_row_stands_on_is_missing_or_damaged() {
    let logged: [(&str, &str, Damage); 3] = [
        ("log", "missing", |_, put, row, _| put(Family::Log, &lsn_key(row), None)),
        ("log", "no entry", |get, put, row, _| {
            let key = lsn_key(row);
            let whole = get(Family::Log, &key).unwrap();
            put(Family::Log, &key, Some(&whole[..whole.len() - 1]));
        }),
        ("keys", "no fact", |get, put, row, other| {
            put(Family::Log, &lsn_key(row), get(Family::Log, &lsn_key(other)).as_deref());
        }),
    ];
    let compacted: [(&str, &str, Damage); 4] = [
        ("snapshots", "missing", |_, put, row, _| put(Family::Snapshots, &keys::document(row.document), None)),
        ("keys", "no fact", |get, put, row, other| {
            // Another document's; both are segments.
            let whole = get(Family::Snapshots, &keys::document(other.document));
            put(Family::Snapshots, &keys::document(row.document), whole.as_deref());
        }),
        ("snapshots", "cannot be read", |get, put, row, _| {
            let key = keys::document(row.document);
            let whole = lockstep_server::store::record::decode_snapshot(&snapshot(get, &key)).unwrap();
            let (mut bytes, cut) = (Vec::new(), whole.bytes.len() - 1);
            encode_snapshot(&SnapshotRow { bytes: whole.bytes.slice(..cut), ..whole }, &mut bytes);
            put(Family::Snapshots, &key, Some(&packed(Family::Snapshots, &key, &bytes)));
        }),
        ("snapshots", "does not hold", |get, put, row, other| {
            let (key, from) = (keys::document(row.document), keys::document(other.document));
            let whole = lockstep_server::store::record::decode_snapshot(&snapshot(get, &key)).unwrap();
            let other = lockstep_server::store::record::decode_snapshot(&snapshot(get, &from)).unwrap();
            let mut bytes = Vec::new();
            encode_snapshot(&SnapshotRow { bytes: other.bytes, ..whole }, &mut bytes);
            put(Family::Snapshots, &key, Some(&packed(Family::Snapshots, &key, &bytes)));
        }),
    ];
    let history = History::drawn(2);
    let facts: Vec<((ConversationId, KeyId), KeyRow)> = history
        .keys
        .iter()
        .zip(expected(&history))
        .filter_map(|(place, row)| match row {
            Some(IndexRow::Fact(row)) if row.document.kind == DocumentKind::Segment => Some((*place, row)),
            _ => None,
        })
        .collect();
    let ((conversation, key), row) = facts[0].clone();
    let other = facts.iter().find(|(_, other)| other.document != row.document).unwrap().1.clone();
    let damages = logged.iter().map(|damage| (false, damage)).chain(compacted.iter().map(|damage| (true, damage)));
    for (retired, (family, what, damage)) in damages {
        let folder = tempfile::tempdir().unwrap();
        let store = history.written(folder.path());
        if retired {
            store.commit(&[history.retired()]).unwrap();
        }
        drop(store);
        raw(folder.path(), |get, put| damage(get, put, &row, &other));
        let store = open(folder.path());
        let error = store.reader().answer(&Query::Keys { conversation, keys: vec![key] }).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, StoreError::Corrupt { family: found, .. } if found == *family), "{what}: {said}");
        assert!(said.contains(what), "{what}: {said}");
        assert!(store.check().is_err(), "{what}");
        // What does not stand on it is answered.
        let untouched = facts.iter().find(|(_, fact)| {
            fact.document != row.document && fact.document != other.document && fact.stamp.lsn > Lsn::ZERO
        });
        let ((conversation, key), fact) = untouched.unwrap().clone();
        let answer = store.reader().answer(&Query::Keys { conversation, keys: vec![key] }).unwrap();
        assert!(matches!(answer, Answer::Keys(rows) if rows == [Some(IndexRow::Fact(fact))]), "{what}");
    }
}
