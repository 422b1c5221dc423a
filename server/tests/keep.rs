//! What expires or is shredded is gone from the store: every row, every byte, and with today's keys from older copies too.

mod support {
    pub(crate) mod disk;
}

use std::collections::BTreeMap;
use std::path::Path;

use lockstep_core::effect::Batch;
use lockstep_core::hub::{HubConfig, SegmentLimits};
use lockstep_core::input::{ImportSegment, SessionId};
use lockstep_core::query::{Answer, Query};
use lockstep_core::row::{DocumentRow, Write};
use lockstep_protocol::directory::{Conversation, Policy, Role};
use lockstep_protocol::document::build_import;
use lockstep_protocol::entry::HubKey;
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, Outcome};
use lockstep_protocol::id::{ConversationId, DocumentId, FactId, ImportId, Lsn, MemberId, MessageId};
use lockstep_protocol::import::ImportPlace;
use lockstep_protocol::keep::Keep;
use lockstep_server::keychain::{SealConfig, SealMode};
use lockstep_server::store::{Store, StoreConfig, StoreError};
use lockstep_sim::local::{LocalChain, LocalHub};
use lockstep_sim::worker::Worker;
use support::disk::{copy_folder, traces};

const ONE: ConversationId = ConversationId([0xd1; 16]);
const OTHER: ConversationId = ConversationId([0xd2; 16]);
/// In every message of the one, and in none of the other.
const CANARIES: [&str; 3] = ["the heron stands in the reeds", "นกกระสายืนอยู่ในพงอ้อ", "苍鹭站在芦苇丛中"];
/// On its card.
const CARD: &str = "likes birds of the marsh";
const CUSTOMER: &str = "Ardea Cinerea SA";
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const SESSION: SessionId = SessionId(1);

struct Team {
    hub: LocalHub,
    device: lockstep_sim::local::LocalDevice,
    chains: BTreeMap<DocumentId, LocalChain>,
    drawn: u128,
}

impl Team {
    /// Two conversations, the one with a keep time of a week: segments that are full and compacted, edits and reactions,
    /// cards, and imported segments, of which one is old.
    fn new() -> Self {
        let segment = SegmentLimits {
            open_messages: 4,
            open_ops: 60,
            open_text_bytes: 2_048,
            late_message_ops: 80,
            late_edit_ops: 100,
        };
        let retention_ms = 400 * DAY_MS;
        let config = HubConfig {
            compact_tail: 4,
            segment,
            keep_look_ms: 500,
            keep_hold_ms: 0,
            retention_ms,
            ..HubConfig::default()
        };
        let mut hub = LocalHub::new(config);
        hub.worker = Some(Worker::Automerge);
        hub.add_member(2, Role::Agent);
        let device = hub.enrol(2, 2);
        let mut team = Self { hub, device, chains: BTreeMap::new(), drawn: 0 };
        for (id, customer, keep) in [(ONE, CUSTOMER, Keep::days(7)), (OTHER, "Casa", None)] {
            let conversation =
                Conversation { id, customer: customer.into(), service: None, assigned: vec![MemberId(2)], keep };
            team.done(Command::ConversationOpen(conversation));
            team.talk(id, 11);
            let (field, value) = ("note", if id == ONE { CARD } else { "-" });
            let fact = Fact::Field { name: field.into(), id: team.fact_id(), value: value.into() };
            team.push(DocumentId::card(id, 0), &fact);
            for (number, days) in [(0, 3), (1, 300)] {
                let then_ms = team.hub.now.wall_ms - days * DAY_MS;
                let message = team.message(id, then_ms, Some("chat.txt#1".into()));
                let imported = team.import(DocumentId::imported(id, number), vec![Fact::Message(message)]);
                assert!(matches!(imported, Outcome::Done(_)), "{imported:?}");
            }
        }
        team
    }

    fn done(&mut self, command: Command) {
        let outcome = self.hub.administer(command);
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }

    fn fact_id(&mut self) -> FactId {
        self.drawn += 1;
        FactId::from_parts(self.hub.now.wall_ms, self.drawn)
    }

    fn message(&mut self, id: ConversationId, at_ms: u64, src: Option<String>) -> Message {
        self.drawn += 1;
        let canary = CANARIES[self.drawn as usize % CANARIES.len()];
        let body = if id == ONE { canary.to_owned() } else { format!("line {}", self.drawn) };
        let (id, by, dir) = (MessageId::from_parts(at_ms, self.drawn), MemberId(2), Direction::Note);
        Message { id, by, dir, kind: "text".into(), body, seen: None, re: None, media: None, src }
    }

    fn import(&mut self, document: DocumentId, facts: Vec<Fact>) -> Outcome {
        let import = ImportId([1; 16]);
        let place = ImportPlace { hub: self.hub.boot(false).hub, import, document };
        let built = build_import(place, facts).expect("it is built");
        let (facts, head, bytes) = (built.facts, built.derived.head, built.bytes);
        self.hub.import_segment(ImportSegment { document, import, facts, head, bytes })
    }

    fn talk(&mut self, id: ConversationId, messages: usize) {
        for _ in 0..messages {
            let now_ms = self.hub.now.wall_ms;
            let message = self.message(id, now_ms, None);
            let about = message.id;
            self.push(self.open(id), &Fact::Message(message));
            let body = if id == ONE { CANARIES[0] } else { "better" };
            let edit = Fact::Edit { message: about, id: self.fact_id(), body: body.into() };
            self.push(self.open(id), &edit);
        }
    }

    fn open(&self, id: ConversationId) -> DocumentId {
        DocumentId::segment(id, self.hub.store.disk.conversation(id).expect("it is there").open_segment)
    }

    fn push(&mut self, document: DocumentId, fact: &Fact) {
        let chain = self.chains.entry(document).or_insert_with(|| self.device.chain(document, 1));
        let outcome = chain.push(&mut self.hub, fact);
        assert!(matches!(outcome, Outcome::Placed { .. }), "{outcome:?}");
    }

    /// Days pass, and the hub looks.
    fn pass(&mut self, days: u64) {
        self.hub.now.wall_ms += days * DAY_MS;
        for _ in 0..6 {
            self.hub.advance(1_000);
        }
    }

    fn documents(&self) -> Vec<DocumentId> {
        let ask = Query::Documents { after: None, documents_max: 1_000 };
        match self.hub.store.disk.answer(&ask) {
            Answer::Documents(documents) => documents,
            other => panic!("{other:?}"),
        }
    }
}

fn config(folder: &Path, mode: SealMode) -> SealConfig {
    SealConfig { mode, root_key: Some(folder.join("root.key")), ..SealConfig::default() }
}

fn open(folder: &Path, mode: SealMode) -> Store {
    Store::open(&folder.join("hub"), &StoreConfig::default(), &config(folder, mode)).expect("the store opens")
}

/// What can be asked about documents that are there, or were.
fn questions(documents: &[DocumentId], head: Lsn) -> Vec<Query> {
    let mut questions = Vec::new();
    for document in documents {
        questions.extend([
            Query::Document(*document),
            Query::Content { session: SESSION, document: *document },
            Query::Remains(*document),
        ]);
    }
    for keep in [Keep::FOREVER, Keep::days(90).expect("a time")] {
        questions.extend([1, 3, 100].map(|documents_max| Query::Ages { after: None, keep, documents_max }));
        questions.push(Query::Ages { after: documents.get(2).copied(), keep, documents_max: 100 });
    }
    questions.extend([ONE, OTHER].map(|conversation| Query::Listing { session: SESSION, conversation }));
    questions.push(Query::Catalogue { session: SESSION, after: None, conversations_max: 9 });
    for after in 0..head.0 {
        questions.push(Query::Chain { session: SESSION, lsn: Lsn(after) });
        questions.push(Query::Log { session: SESSION, after: Lsn(after), upto: head, bytes_max: 900 });
    }
    questions
}

/// Every row reads, and the log's chain holds as far as its entries were not erased.
fn is_whole(store: &Store, erased: u64) {
    let verdict = store.reader().verify(Some(&HubKey::new(&[8; 32])), &mut |_| {}).expect("it reads");
    assert_eq!((verdict.damaged, verdict.shredded, verdict.erased), (0, 0, erased), "{:?}", verdict.damage);
    assert!(verdict.entries > 0);
}

/// The store answers as the reference does, and every row of it reads.
fn agrees(store: &Store, team: &Team, documents: &[DocumentId]) {
    let erased = team.hub.store.disk.log.values().filter(|entry| entry.bytes.is_empty()).count();
    is_whole(store, erased as u64);
    let reader = store.reader();
    for query in questions(documents, team.hub.store.disk.head) {
        let ours = reader.answer(&query).unwrap_or_else(|error| panic!("{query:?}: {error}"));
        let reference = team.hub.store.disk.answer(&query);
        assert_eq!(format!("{ours:?}"), format!("{reference:?}"), "{query:?}");
    }
}

fn check_expiry(mode: SealMode) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), mode);
    let mut team = Team::new();
    let documents = team.documents();
    store.commit(&team.hub.committed).expect("it is written");
    agrees(&store, &team, &documents);
    let written = team.hub.committed.len();
    // The open segment is closed first: whoever writes after that writes into the next.
    team.pass(1);
    assert!(team.hub.store.disk.document(DocumentId::imported(ONE, 0)).is_some());
    team.talk(ONE, 1);
    team.pass(6);
    let young = team.open(ONE);
    team.hub.now.wall_ms += 1;
    for part in team.hub.committed[written..].chunks(3) {
        store.commit(part).expect("it is written");
    }
    let left: Vec<DocumentId> = team.documents();
    let of_one: Vec<&DocumentId> = left.iter().filter(|document| document.conversation == ONE).collect();
    assert_eq!(of_one.len(), 2, "the segment of the second day, and the card: {of_one:?}");
    assert_eq!(left.iter().filter(|document| document.conversation == OTHER).count(), documents.len() / 2);
    agrees(&store, &team, &documents);
    let _ = young;
    // And that goes a week later, with what was never compacted.
    let written = team.hub.committed.len();
    team.pass(8);
    store.commit(&team.hub.committed[written..]).expect("it is written");
    agrees(&store, &team, &documents);
    store.settle().expect("it is written anew");
    drop(store);
    assert_eq!(traces(&folder.path().join("hub"), &CANARIES), [] as [String; 0]);
    // The card says what is known of the customer.
    assert_eq!(traces(&folder.path().join("hub"), &[CARD]).is_empty(), mode == SealMode::All);
    let store = open(folder.path(), mode);
    agrees(&store, &team, &documents);
}

#[test]
fn a_document_that_expired_leaves_nothing_but_places_in_the_log() {
    check_expiry(SealMode::All);
    check_expiry(SealMode::Sensitive);
}

#[test]
fn how_old_the_documents_of_an_older_program_are_is_found_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), SealMode::All);
    let mut team = Team::new();
    team.done(Command::PolicySet(Policy { keep: Keep::days(30), ..Policy::default() }));
    let older: Vec<Batch> = team
        .hub
        .committed
        .iter()
        .cloned()
        .map(|mut batch| {
            for write in &mut batch.writes {
                if let Write::Document(_, row) = write {
                    *row = DocumentRow { oldest_ms: 0, newest_ms: 0, ..*row };
                }
            }
            batch
        })
        .collect();
    store.commit(&older).expect("it is written");
    let query = Query::Ages { after: None, keep: Keep::days(30).expect("a time"), documents_max: 1_000 };
    let (ours, reference) = (store.reader().answer(&query).expect("it reads"), team.hub.store.disk.answer(&query));
    let (Answer::Ages { aged: ours, .. }, Answer::Ages { aged: reference, .. }) = (ours, reference) else {
        panic!("ages are answered with ages");
    };
    assert!(ours.len() > 8 && ours.iter().all(|aged| !aged.is_stored));
    let times = |aged: &[lockstep_core::query::Aged]| -> Vec<_> {
        aged.iter().map(|aged| (aged.document, aged.is_open, aged.oldest_ms, aged.newest_ms)).collect()
    };
    assert_eq!(times(&ours), times(&reference));
}

fn check_shredding(mode: SealMode) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), mode);
    let mut team = Team::new();
    let documents = team.documents();
    store.commit(&team.hub.committed).expect("it is written");
    let tally = store.reader().tally(ONE).expect("it reads");
    assert_eq!((tally.messages, tally.documents), (13, 6));
    drop(store);
    let clear = |texts: &[&str]| !traces(&folder.path().join("hub"), texts).is_empty();
    assert_eq!(clear(&CANARIES), mode == SealMode::Sensitive);
    let copy = tempfile::tempdir().expect("a folder");
    copy_folder(folder.path(), copy.path());

    let store = open(folder.path(), mode);
    let written = team.hub.committed.len();
    let shredded = team.hub.shred(ONE);
    assert!(matches!(shredded, Outcome::Done(_)), "{shredded:?}");
    assert!(matches!(team.hub.shred(ONE), Outcome::Refused(_)), "once is enough");
    store.commit(&team.hub.committed[written..]).expect("it is written");
    // A hub that stops here goes on when it starts again.
    drop(store);
    let store = open(folder.path(), mode);
    assert!(store.reader().conversation(ONE).expect("it reads").is_none());
    is_whole(&store, 0);
    assert_eq!(store.shred(ONE).expect("it is shredded"), tally.keys);
    assert_eq!(store.shred(ONE).expect("it is shredded"), 0);
    agrees(&store, &team, &documents);
    assert_eq!(store.shred_again().expect("it reads"), []);
    drop(store);
    // Every byte: raw, and what decompresses.
    assert_eq!(traces(&folder.path().join("hub"), &CANARIES), [] as [String; 0]);
    assert_eq!(traces(&folder.path().join("hub"), &[CARD, CUSTOMER]), [] as [String; 0]);
    agrees(&open(folder.path(), mode), &team, &documents);

    // An older copy with the keys of its time reads as ever: that is what must be deleted.
    assert!(open(copy.path(), mode).reader().conversation(ONE).expect("it reads").is_some());
    if mode == SealMode::Sensitive {
        return;
    }
    // With today's keys its rows answer that they are shredded, and all others read.
    let keys = "hub/keys/data.keys";
    std::fs::copy(folder.path().join(keys), copy.path().join(keys)).expect("a copy");
    let store = open(copy.path(), mode);
    let is_shredded = |error: Option<StoreError>| matches!(error, Some(StoreError::Shredded { .. }));
    let reader = store.reader();
    assert!(is_shredded(reader.conversation(ONE).err()));
    for document in documents.iter().filter(|document| document.conversation == ONE) {
        assert!(is_shredded(reader.facts(*document).err()), "{document:?}");
    }
    assert!(reader.conversation(OTHER).expect("it reads").is_some());
    for document in documents.iter().filter(|document| document.conversation == OTHER) {
        assert!(!reader.facts(*document).expect("it reads").is_empty());
    }
    drop(reader);
    // A hub that starts on it deletes what nobody can read; the rest goes on.
    assert_eq!(store.shred_again().expect("it is shredded"), [ONE]);
    store.check().expect("every row reads");
    let (reader, stored) = (store.reader(), store.reader().stored().expect("it reads"));
    assert!(reader.conversation(ONE).expect("it reads").is_none());
    assert!(stored.shredded[&ONE].done);
    let mut after = Lsn::ZERO;
    while after < stored.head.lsn {
        let query = Query::Log { session: SESSION, after, upto: stored.head.lsn, bytes_max: 500 };
        let Answer::Log { entries, upto, chain, .. } = reader.answer(&query).expect("it reads") else {
            panic!("a log is answered with a log");
        };
        assert!(upto > after && entries.iter().all(|entry| entry.conversation != Some(ONE)));
        match reader.answer(&Query::Chain { session: SESSION, lsn: upto }).expect("it reads") {
            Answer::Chain(known) => assert_eq!(known, Some(chain), "a page ends where its chain is known"),
            other => panic!("{other:?}"),
        }
        after = upto;
    }
}

#[test]
fn a_shredded_conversation_is_on_no_disk_that_has_the_present_keys() {
    check_shredding(SealMode::All);
    check_shredding(SealMode::Sensitive);
}
