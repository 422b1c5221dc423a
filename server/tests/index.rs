//! Rows of a conversation's index: whoever reads one gets it whole, from the log or from a snapshot, or an error that
//! names what is damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lockstep_core::effect::{Apply, Batch, Ticket};
use lockstep_core::hub::{HubConfig, SegmentLimits};
use lockstep_core::query::{Answer, Query};
use lockstep_core::row::{Class, IndexRow, KeyRow, MessageRow, SnapshotRow, Write};
use lockstep_protocol::change::{ChainHead, derive};
use lockstep_protocol::codec;
use lockstep_protocol::directory::{Conversation, Role};
use lockstep_protocol::entry::{Delivery, EntryBody, HubKey, PlacedFact, Resolution, Stamp, Verdict};
use lockstep_protocol::fact::{Direction, Fact, KeyId, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, HubFrame, OfferedEntry, Outcome, Resolve};
use lockstep_protocol::id::{
    ActorId, ConversationId, DocumentId, DocumentKind, Epoch, FactId, ImportId, Lsn, MemberId, MessageId,
};
use lockstep_protocol::limits;
use lockstep_server::keychain::{Keychain, SealConfig, SealMode};
use lockstep_server::store::keys::{self, FORMAT_VERSION, Family, Meta};
use lockstep_server::store::record::{decode_snapshot, encode_snapshot};
use lockstep_server::store::seal::{self, Place};
use lockstep_server::store::{Store, StoreConfig, StoreError};
use lockstep_sim::local::{LocalChain, LocalDevice, LocalHub};
use lockstep_sim::store::Disk;
use lockstep_sim::worker::Worker;

const TALK: ConversationId = ConversationId([0xc1; 16]);

type Keys = BTreeSet<(ConversationId, KeyId)>;

/// A history whose log is whole.
struct History {
    batches: Vec<Batch>,
    disk: Disk,
    keys: Keys,
}

impl History {
    /// Of a few devices that write what can be written, into segments of a few messages and a card; now and then a
    /// fact is admitted again as after a restore.
    fn new() -> Self {
        let mut team = Team::new();
        let mut replies = Vec::new();
        for round in 0..12u64 {
            let note = team.message(Direction::Note, None);
            team.push(0, &Fact::Message(note.clone()));
            let reply = team.message(Direction::Out, replies.last().copied());
            team.push(0, &Fact::Message(reply.clone()));
            replies.push(reply.id);
            // Another member's, within the window: it is held, and every other one is sent anyway.
            let held = team.message(Direction::Out, replies.last().copied());
            team.push(1, &Fact::Message(Message { by: MemberId(3), ..held.clone() }));
            team.pass();
            if round % 2 == 0 {
                let (message, seen) = (held.id, replies.last().copied());
                let resolution = if round % 4 == 0 { Resolution::Send } else { Resolution::Discard };
                team.send(1, &DeviceFrame::Resolve(Resolve { tag: 1, conversation: TALK, message, resolution, seen }));
                replies.extend((resolution == Resolution::Send).then_some(held.id));
                team.pass();
            }
            for delivery in [Delivery::Sending, Delivery::Sent].into_iter().take(1 + round as usize % 2) {
                let command = Command::Deliver { conversation: TALK, message: reply.id, delivery };
                team.send(2, &DeviceFrame::Command { tag: 2, command });
            }
            let (message, by) = (note.id, MemberId(3));
            let mut id = || FactId(team.ulid());
            let facts = [
                (1, Fact::Reaction { message, by, id: id(), emoji: "🙂".into() }),
                (0, Fact::Edit { message: reply.id, id: id(), body: "better".into() }),
                (0, Fact::Field { name: "city".into(), id: id(), value: "Lisboa".into() }),
                (1, Fact::Label { label: "vip".into(), id: id(), on: round % 2 == 0 }),
                (0, Fact::Retraction { message, id: id(), reason: String::new() }),
            ];
            for (who, fact) in facts.into_iter().take(3 + round as usize % 3) {
                team.push(who, &fact);
            }
            replies.extend(team.readmit(round));
        }
        // Two imports, one of them taken back; a member reacts to what stays.
        for (number, run) in [(0, ImportId([1; 16])), (1, ImportId([2; 16]))] {
            let message = Message { src: Some("chat.txt#1".into()), ..team.message(Direction::In, None) };
            let (id, emoji) = (FactId(team.ulid()), "👍".to_owned());
            let reaction = Fact::Reaction { message: message.id, by: MemberId(3), id, emoji: emoji.clone() };
            let facts = [Fact::Message(message.clone()), reaction];
            let outcome = team.hub.import(DocumentId::imported(TALK, number), run, &facts);
            assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
            if number == 0 {
                let id = FactId(team.ulid());
                team.push(0, &Fact::Reaction { message: message.id, by: MemberId(2), id, emoji });
            } else {
                let outcome = team.hub.undo_import(TALK, run);
                assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
            }
        }
        let (mut batches, disk) = (team.hub.committed, team.hub.store.disk);
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
        // One by one: what an undone import deletes must be durable by then.
        self.batches.iter().for_each(|batch| store.commit(std::slice::from_ref(batch)).unwrap());
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
                let apply = Apply { document, upto: self.disk.head, heads, class: Class::Normal, rebuild: false };
                Write::Snapshot(document, Worker::Automerge.apply(&self.disk, &apply).unwrap(), Class::Normal)
            })
            .collect();
        writes.push(Write::Floor(self.disk.head));
        batch(writes)
    }
}

/// A hub and its devices: of members 2 and 3, and of the service.
struct Team {
    hub: LocalHub,
    devices: Vec<LocalDevice>,
    chains: BTreeMap<(usize, DocumentId), LocalChain>,
    drawn: u128,
}

impl Team {
    fn new() -> Self {
        let mut hub = LocalHub::new(HubConfig {
            retention_ms: u64::MAX,
            keep_look_ms: 1_000,
            keep_hold_ms: 0,
            session_queue_bytes_max: 1 << 20,
            log_read_bytes_max: 1 << 16,
            conversations_bytes_max: 1 << 20,
            compact_tail: 16,
            segment: SegmentLimits {
                open_messages: 6,
                open_ops: 60,
                open_text_bytes: 2_048,
                late_message_ops: 80,
                late_edit_ops: 100,
            },
        });
        hub.worker = Some(Worker::Automerge);
        for (member, role) in [(2, Role::Agent), (3, Role::Agent), (5, Role::Service)] {
            hub.add_member(member, role);
        }
        let assigned = vec![MemberId(2), MemberId(3)];
        let conversation =
            Conversation { id: TALK, customer: "Casa".into(), service: Some(MemberId(5)), assigned, keep: None };
        assert!(matches!(hub.administer(Command::ConversationOpen(conversation)), Outcome::Done(_)));
        let devices = [2, 3, 5].map(|member: u8| hub.enrol(member.into(), member)).into();
        Self { hub, devices, chains: BTreeMap::new(), drawn: 0 }
    }

    /// The time in which another member's reply collides passes.
    fn pass(&mut self) {
        self.hub.advance(limits::REPLY_WINDOW_MS + 1);
        for device in &self.devices {
            self.hub.send(device.session, &DeviceFrame::Ping {});
        }
    }

    fn ulid(&mut self) -> [u8; 16] {
        self.drawn += 1;
        FactId::from_parts(self.hub.now.wall_ms, self.drawn).0
    }

    fn message(&mut self, dir: Direction, seen: Option<MessageId>) -> Message {
        let (id, body) = (MessageId(self.ulid()), format!("message {}", self.drawn));
        Message { id, by: MemberId(2), dir, kind: "text".into(), body, seen, re: None, media: None, src: None }
    }

    /// The document that a fact goes into now.
    fn open(&self, fact: &Fact) -> DocumentId {
        let row = self.hub.store.disk.conversation(TALK).unwrap();
        match fact.document_kind() {
            DocumentKind::Card => DocumentId::card(TALK, row.open_card),
            DocumentKind::Segment | DocumentKind::Imported => DocumentId::segment(TALK, row.open_segment),
        }
    }

    fn push(&mut self, who: usize, fact: &Fact) {
        let document = self.open(fact);
        let chain = self.chains.entry((who, document)).or_insert_with(|| self.devices[who].chain(document, 1));
        let outcome = chain.push(&mut self.hub, fact);
        assert!(matches!(outcome, Outcome::Placed { .. }), "{fact:?}: {outcome:?}");
    }

    fn send(&mut self, who: usize, frame: &DeviceFrame) {
        let frames = self.hub.send(self.devices[who].session, frame);
        let is_done = frames.iter().any(
            |frame| matches!(frame, HubFrame::Ack { results, .. } if !matches!(results[..], [Outcome::Refused(_)])),
        );
        assert!(is_done, "{frame:?}: {frames:?}");
    }

    /// A note, or a reply, which is answered, that the hub stamped in an epoch of which it knows nothing more.
    fn readmit(&mut self, round: u64) -> Option<MessageId> {
        let dir = if round.is_multiple_of(2) { Direction::Note } else { Direction::Out };
        let message = self.message(dir, None);
        let (id, fact) = (message.id, Fact::Message(message));
        let (document, actor) = (self.open(&fact), ActorId([9; 16]));
        let head = derive(&actor, &ChainHead::empty(document.kind), &fact);
        let body = EntryBody::Fact(PlacedFact {
            document,
            actor,
            seq: 1,
            hash: head.hash.prefix(),
            fact,
            opening: None,
            origin: None,
        });
        let (key, epoch, at_ms) = (HubKey::new(&[8; 32]), Epoch([4; 16]), self.hub.now.wall_ms - 1_000_000);
        let (lsn, member) = (Lsn(1_000 + round), MemberId(3));
        let stamp = Stamp::sign(&key, &epoch, lsn, at_ms, member, Verdict::Accepted, &body.mac_bytes());
        self.send(0, &DeviceFrame::Offer { tag: 3, entries: vec![OfferedEntry { epoch, stamp, body }] });
        (dir == Direction::Out).then_some(id)
    }
}

fn batch(writes: Vec<Write>) -> Batch {
    Batch { ticket: Ticket(u64::MAX), entries: Vec::new(), writes, outside: Vec::new() }
}

/// Rows in the clear: here they are read and written as RocksDB has them.
fn seal_config(folder: &Path) -> SealConfig {
    let (mode, root_key) = (SealMode::Sensitive, Some(folder.join("root.key")));
    SealConfig { mode, root_key, ..SealConfig::default() }
}

fn open(folder: &Path) -> Store {
    Store::open(folder, &StoreConfig::default(), &seal_config(folder)).unwrap()
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

/// The closed store as RocksDB alone sees it, with values unpacked.
struct Raw(rocksdb::DB, Keychain);

impl Raw {
    fn open(folder: &Path) -> Self {
        let (options, path) = (rocksdb::Options::default(), folder.join("store"));
        let families = rocksdb::DB::list_cf(&options, &path).unwrap();
        let keychain = Keychain::open(folder, &seal_config(folder)).unwrap();
        Self(rocksdb::DB::open_cf(&options, &path, families).unwrap(), keychain)
    }

    fn get(&self, family: Family, key: &[u8]) -> Vec<u8> {
        let stored = self.0.get_cf(self.0.cf_handle(family.name()).unwrap(), key).unwrap().unwrap();
        seal::unpack(&self.1, Place { family, key }, &stored).unwrap().into_owned()
    }

    fn put(&self, family: Family, key: &[u8], value: &[u8]) {
        // Version 1 of the envelope, nothing packed.
        let stored = [&[1, 0], value].concat();
        self.0.put_cf(self.0.cf_handle(family.name()).unwrap(), key, stored).unwrap();
    }

    fn delete(&self, family: Family, key: &[u8]) {
        self.0.delete_cf(self.0.cf_handle(family.name()).unwrap(), key).unwrap();
    }

    fn snapshot(&self, document: DocumentId) -> SnapshotRow {
        decode_snapshot(&self.get(Family::Snapshots, &keys::document(document))).unwrap()
    }

    fn put_snapshot(&self, document: DocumentId, row: &SnapshotRow) {
        let mut bytes = Vec::new();
        encode_snapshot(row, &mut bytes);
        self.put(Family::Snapshots, &keys::document(document), &bytes);
    }
}

/// Facts among rows, of every kind that there is.
fn census(rows: &[Option<IndexRow>]) -> [usize; 11] {
    let facts = rows.iter().flatten().filter_map(|row| match row {
        IndexRow::Fact(row) => Some(row),
        IndexRow::Media(_) => None,
    });
    let facts: Vec<&KeyRow> = facts.collect();
    let messages =
        |is: fn(&MessageRow) -> bool| facts.iter().filter_map(|row| row.message.as_ref()).filter(|row| is(row)).count();
    [
        facts.iter().filter(|row| row.document.kind == DocumentKind::Card).count(),
        facts.iter().filter(|row| row.document.kind == DocumentKind::Imported).count(),
        rows.iter().filter(|row| row.is_none()).count(),
        facts.iter().filter(|row| row.document.number > 0).count(),
        facts.iter().filter(|row| row.message.is_none()).count(),
        messages(|row| row.delivery.is_some()),
        messages(|row| row.resolution == Some(Resolution::Send) && row.accepted.is_some()),
        messages(|row| row.resolution == Some(Resolution::Discard) && row.accepted.is_none()),
        messages(|row| row.readmitted),
        messages(|row| !row.retracted_by.is_empty()),
        messages(|row| !row.reactions.is_empty()),
    ]
}

#[test]
fn rows_below_the_floor_are_completed_from_snapshots() {
    let history = History::new();
    let folder = tempfile::tempdir().unwrap();
    let store = history.written(folder.path());
    let before = expected(&history);
    let census = census(&before);
    assert!(census.iter().all(|count| *count >= 2), "{census:?}");
    assert_eq!(rows(&store, &history.keys), before);
    // Who began to read before the floor passed and the snapshots were replaced reads on.
    let earlier = store.reader();
    store.commit(&[history.retired()]).unwrap();
    assert_eq!(rows(&store, &history.keys), before);
    for query in ask(&history.keys) {
        let answers = [&earlier, &store.reader()].map(|reader| format!("{:?}", reader.answer(&query).unwrap()));
        assert_eq!(answers[0], answers[1]);
    }
    drop(earlier);
    // Something more becomes of each message: its row is written anew, its entry is long gone.
    let mut after = before;
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
    assert_eq!(rows(&store, &history.keys), after);
    store.check().unwrap();
}

#[test]
fn rows_of_older_formats_are_read() {
    let history = History::new();
    let folder = tempfile::tempdir().unwrap();
    drop(history.written(folder.path()));
    let format = Meta::Format.key();
    let database = Raw::open(folder.path());
    for (conversation, key) in &history.keys {
        let Some(row) = history.disk.key(*conversation, *key) else { continue };
        let key = keys::index(*conversation, *key);
        let whole = codec::encode(row);
        assert!(whole.len() >= database.get(Family::Keys, &key).len());
        database.put(Family::Keys, &key, &whole);
    }
    database.put(Family::Meta, format, &2u32.to_be_bytes());
    drop(database);
    let store = open(folder.path());
    assert_eq!(rows(&store, &history.keys), expected(&history));
    store.check().unwrap();
    store.commit(&[history.retired()]).unwrap();
    assert_eq!(rows(&store, &history.keys), expected(&history));
    drop(store);
    // An older program refuses it from now on.
    assert_eq!(Raw::open(folder.path()).get(Family::Meta, format), FORMAT_VERSION.to_be_bytes());
}

/// What is done to a closed store, given a fact's row and that of a fact in another document.
type Damage = fn(&Raw, &KeyRow, &KeyRow);

fn lsn_key(row: &KeyRow) -> [u8; 8] {
    row.stamp.lsn.0.to_be_bytes()
}

#[test]
fn what_a_row_stands_on_is_missing_or_damaged() {
    // Whether the floor has passed, the family that is named, what is said.
    let damages: [(bool, &str, &str, Damage); 7] = [
        (false, "log", "missing", |database, row, _| database.delete(Family::Log, &lsn_key(row))),
        (false, "log", "no entry", |database, row, _| {
            let whole = database.get(Family::Log, &lsn_key(row));
            database.put(Family::Log, &lsn_key(row), &whole[..whole.len() - 1]);
        }),
        (false, "keys", "no fact", |database, row, other| {
            database.put(Family::Log, &lsn_key(row), &database.get(Family::Log, &lsn_key(other)));
        }),
        (true, "snapshots", "missing", |database, row, _| {
            database.delete(Family::Snapshots, &keys::document(row.document));
        }),
        (true, "keys", "no fact", |database, row, other| {
            database.put_snapshot(row.document, &database.snapshot(other.document));
        }),
        (true, "snapshots", "cannot be read", |database, row, _| {
            let whole = database.snapshot(row.document);
            let cut = whole.bytes.slice(..whole.bytes.len() - 1);
            database.put_snapshot(row.document, &SnapshotRow { bytes: cut, ..whole });
        }),
        (true, "snapshots", "does not hold", |database, row, other| {
            let (whole, other) = (database.snapshot(row.document), database.snapshot(other.document));
            database.put_snapshot(row.document, &SnapshotRow { bytes: other.bytes, ..whole });
        }),
    ];
    let history = History::new();
    let first_in = |number: u32| {
        let rows = history.keys.iter().zip(expected(&history));
        let mut of_it = rows.filter_map(|((_, key), row)| match row {
            Some(IndexRow::Fact(row)) if row.document == DocumentId::segment(TALK, number) => Some((*key, row)),
            _ => None,
        });
        of_it.next().unwrap()
    };
    let [(key, row), (_, other), (untouched, its_row)] = [0, 1, 2].map(first_in);
    for (retired, family, what, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        let store = history.written(folder.path());
        if retired {
            store.commit(&[history.retired()]).unwrap();
        }
        drop(store);
        damage(&Raw::open(folder.path()), &row, &other);
        let store = open(folder.path());
        let ask = |key| store.reader().answer(&Query::Keys { conversation: TALK, keys: vec![key] });
        let error = ask(key).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, StoreError::Corrupt { family: found, .. } if found == family), "{what}: {said}");
        assert!(said.contains(what), "{what}: {said}");
        assert!(store.check().is_err(), "{what}");
        // What does not stand on it is answered.
        assert!(matches!(ask(untouched), Ok(Answer::Keys(rows)) if rows == [Some(IndexRow::Fact(its_row.clone()))]));
    }
}
