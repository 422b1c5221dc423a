//! RocksDB against the reference store: the same batches, the same questions, the same answers.

use std::path::Path;

use lockstep_core::effect::Batch;
use lockstep_core::input::SessionId;
use lockstep_core::query::Query;
use lockstep_core::row::Write;
use lockstep_protocol::entry::HubKey;
use lockstep_protocol::fact::KeyId;
use lockstep_protocol::id::{ConversationId, DocumentId, Lsn};
use lockstep_server::keychain::SealConfig;
use lockstep_server::store::{Store, StoreConfig};
use lockstep_sim::script;
use lockstep_sim::store::Disk;

const SESSION: SessionId = SessionId(1);

/// Every question that what was written can be asked about, and some that nothing answers.
fn questions(batches: &[Batch]) -> Vec<Query> {
    let mut conversations = vec![ConversationId([0; 16])];
    let mut documents = Vec::new();
    let mut keys: Vec<(ConversationId, KeyId)> = Vec::new();
    let mut head = Lsn::ZERO;
    let mut times = vec![0, u64::MAX];
    for batch in batches {
        for entry in &batch.entries {
            head = entry.lsn;
            times.push(entry.at_ms);
        }
        for write in &batch.writes {
            match write {
                Write::Conversation(row) => conversations.push(row.conversation.id),
                Write::Document(id, _) | Write::Snapshot(id, ..) | Write::DocumentGone(id) => documents.push(*id),
                Write::Chain(id, _, _) => documents.push(*id),
                Write::Key(conversation, key, _) => keys.push((*conversation, *key)),
                _ => {}
            }
        }
    }
    conversations.sort_unstable();
    conversations.dedup();
    documents.sort_unstable();
    documents.dedup();
    times.sort_unstable();
    times.dedup();
    documents.push(DocumentId::segment(ConversationId([1; 16]), 9));
    let mut questions = Vec::new();
    for conversation in &conversations {
        questions.push(Query::Conversation(*conversation));
        questions.push(Query::Listing { session: SESSION, conversation: *conversation });
        let mut of_it: Vec<KeyId> = keys.iter().filter(|(of, _)| of == conversation).map(|(_, key)| *key).collect();
        of_it.push(KeyId([0xee; 16]));
        questions.push(Query::Keys { conversation: *conversation, keys: of_it });
        questions.push(Query::Catalogue { session: SESSION, after: Some(*conversation), conversations_max: 1 });
    }
    questions.push(Query::Catalogue { session: SESSION, after: None, conversations_max: 64 });
    for documents_max in [1, 64] {
        questions.push(Query::Documents { after: None, documents_max });
        questions.push(Query::Documents { after: documents.first().copied(), documents_max });
    }
    for document in documents {
        questions.push(Query::Document(document));
        questions.push(Query::Content { session: SESSION, document });
    }
    for lsn in 0..=head.0 + 1 {
        questions.push(Query::Chain { session: SESSION, lsn: Lsn(lsn) });
    }
    for before_ms in times {
        questions.push(Query::Retention { before_ms, documents_max: 2 });
    }
    questions
}

/// Questions about the log, which may be asked only above the floor.
fn log_questions(disk: &Disk) -> Vec<Query> {
    let (floor, head) = (disk.floor.0, disk.head.0);
    let ranges = (floor..=head).step_by(7).flat_map(|after| [1, 300, 1_000_000].map(|bytes_max| (after, bytes_max)));
    let query = |(after, bytes_max)| Query::Log { session: SESSION, after: Lsn(after), upto: disk.head, bytes_max };
    ranges.map(query).collect()
}

fn open(folder: &Path) -> Store {
    let seal = SealConfig { root_key: Some(folder.join("root.key")), ..SealConfig::default() };
    Store::open(folder, &StoreConfig::default(), &seal).expect("the store opens")
}

/// Writes a script's batches in groups, opening the store anew in between, and compares all answers.
fn check(name: &str, bytes: &[u8]) {
    let (batches, disk) = script::record(bytes);
    let folder = tempfile::tempdir().expect("a folder");
    for part in batches.chunks(5) {
        open(folder.path()).commit(part).expect("it is written");
    }
    let store = open(folder.path());
    let report = lockstep_server::verify::verify(&store, &HubKey::new(&[8; 32]), &mut |_| {}).expect("it reads");
    assert_eq!(report.damage, [], "{name}");
    let reader = store.reader();
    for query in questions(&batches).iter().chain(&log_questions(&disk)) {
        let ours = reader.answer(query).unwrap_or_else(|error| panic!("{name}: {query:?}: {error}"));
        let reference = disk.answer(query);
        assert_eq!(format!("{ours:?}"), format!("{reference:?}"), "{name}: {query:?}");
    }
    let stored = reader.stored().expect("it reads");
    assert_eq!((stored.head.lsn, stored.floor, stored.epochs.clone()), (disk.head, disk.floor, disk.epochs.clone()));
    assert_eq!(stored.audit, disk.audit_head);
    let mut rows = Vec::new();
    let read = reader.audit(0, |sequence, row| {
        let row = row.expect("a row");
        rows.push((sequence, row.bytes, row.chain));
        Ok(true)
    });
    read.expect("it reads");
    let told = disk.audit.iter().map(|entry| (entry.sequence, entry.bytes.clone(), entry.chain));
    assert_eq!(rows, told.collect::<Vec<_>>(), "{name}");
    let verdict = lockstep_server::audit::verify(&reader, &HubKey::new(&[8; 32])).expect("it reads");
    assert_eq!((verdict.rows, verdict.bad), (rows.len() as u64, None), "{name}");
}

#[test]
fn answers_equal_the_reference_stores() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/hub_script");
    let mut files: Vec<_> =
        std::fs::read_dir(corpus).expect("the corpus").map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() > 20);
    for file in files.iter().step_by(3) {
        check(&file.display().to_string(), &std::fs::read(file).expect("a script"));
    }
    // Long ones, drawn.
    for seed in 0..6u64 {
        let bytes: Vec<u8> = (0..120u64)
            .flat_map(|at| blake3::hash(&[seed.to_be_bytes(), at.to_be_bytes()].concat()).as_bytes().to_owned())
            .collect();
        check(&format!("drawn {seed}"), &bytes);
    }
}
