//! A hub's whole course in two conversations, with texts of the test's choice: the same ids, whatever the texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lockstep_core::effect::Batch;
use lockstep_core::hub::{HubConfig, SegmentLimits};
use lockstep_core::input::{ImportSegment, Input};
use lockstep_protocol::directory::{Conversation, Member, Role};
use lockstep_protocol::document::{BuiltImport, build_import};
use lockstep_protocol::entry::Delivery;
use lockstep_protocol::fact::{Direction, Fact, Media, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, HubFrame, Outcome};
use lockstep_protocol::id::{ConversationId, DocumentId, FactId, HubId, ImportId, MediaHash, MemberId, MessageId};
use lockstep_protocol::import::ImportPlace;
use lockstep_server::keychain::{SealConfig, SealMode};
use lockstep_server::store::keys::Family;
use lockstep_sim::local::{LocalChain, LocalDevice, LocalHub};
use lockstep_sim::worker::Worker;

/// The conversations.
pub(crate) const ONE: ConversationId = ConversationId([0xc1; 16]);
pub(crate) const OTHER: ConversationId = ConversationId([0xc2; 16]);

/// Every text that somebody may write, and what comes with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texts {
    pub(crate) customer: &'static str,
    pub(crate) member: &'static str,
    /// Of messages, in turn. Those with "secret" or "iban" are of the vault class.
    pub(crate) bodies: [&'static str; 4],
    pub(crate) edit: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) emoji: &'static str,
    pub(crate) field: &'static str,
    pub(crate) value: &'static str,
    pub(crate) label: &'static str,
    pub(crate) media_name: &'static str,
    pub(crate) media_hash: [u8; 32],
}

struct Course {
    hub: LocalHub,
    texts: Texts,
    device: LocalDevice,
    chains: BTreeMap<DocumentId, LocalChain>,
    drawn: u128,
}

impl Course {
    fn draw(&mut self) -> u128 {
        self.drawn += 1;
        self.drawn
    }

    fn fact_id(&mut self) -> FactId {
        FactId(MessageId::from_parts(self.hub.now.wall_ms, self.draw()).0)
    }

    fn message(&mut self, dir: Direction, media: Option<Media>, src: Option<String>) -> Message {
        let id = MessageId::from_parts(self.hub.now.wall_ms, self.draw());
        let (by, kind, body) =
            (MemberId(2), "text".to_owned(), self.texts.bodies[(self.drawn % 4) as usize].to_owned());
        Message { id, by, dir, kind, body, seen: None, re: None, media, src }
    }

    fn push(&mut self, document: DocumentId, fact: Fact) {
        let chain = self.chains.entry(document).or_insert_with(|| self.device.chain(document, 1));
        let outcome = chain.push(&mut self.hub, &fact);
        assert!(matches!(outcome, Outcome::Placed { .. }), "{fact:?}: {outcome:?}");
    }

    fn segment(&self, id: ConversationId) -> DocumentId {
        DocumentId::segment(id, self.hub.store.disk.conversation(id).expect("it is open").open_segment)
    }

    fn talk(&mut self, id: ConversationId) {
        let assigned = vec![MemberId(2), MemberId(3)];
        let customer = self.texts.customer.into();
        let conversation = Conversation { id, customer, service: Some(MemberId(9)), assigned, keep: None };
        done(self.hub.administer(Command::ConversationOpen(conversation)));
        let media = Media {
            hash: MediaHash(self.texts.media_hash),
            media_type: "image/jpeg".into(),
            name: self.texts.media_name.into(),
            size: 9,
        };
        self.hub.input(Input::Uploaded { conversation: id, member: MemberId(2), media: media.hash });
        let mut newest = MessageId::default();
        for round in 0..10 {
            let message = self.message(Direction::Note, (round % 3 == 1).then(|| media.clone()), None);
            newest = message.id;
            self.push(self.segment(id), Fact::Message(message));
        }
        let fact = Fact::Edit { message: newest, id: self.fact_id(), body: self.texts.edit.into() };
        self.push(self.segment(id), fact);
        let (by, emoji) = (MemberId(2), self.texts.emoji.into());
        let fact = Fact::Reaction { message: newest, by, id: self.fact_id(), emoji };
        self.push(self.segment(id), fact);
        let fact = Fact::Retraction { message: newest, id: self.fact_id(), reason: self.texts.reason.into() };
        self.push(self.segment(id), fact);
        let card = DocumentId::card(id, 0);
        let fact = Fact::Field { name: self.texts.field.into(), id: self.fact_id(), value: self.texts.value.into() };
        self.push(card, fact);
        let fact = Fact::Label { label: self.texts.label.into(), id: self.fact_id(), on: true };
        self.push(card, fact);
        // A reply, and its way to the customer.
        let reply = Message { body: self.texts.bodies[1].into(), ..self.message(Direction::Out, None, None) };
        let message = reply.id;
        self.push(self.segment(id), Fact::Message(reply));
        let service = self.hub.enrol(9, if id == ONE { 9 } else { 10 });
        for delivery in [Delivery::Sending, Delivery::Sent] {
            let command = Command::Deliver { conversation: id, message, delivery };
            let frames = self.hub.send(service.session, &DeviceFrame::Command { tag: 1, command });
            let is_taken = |frame: &HubFrame| matches!(frame, HubFrame::Ack { results, .. } if matches!(results[..], [Outcome::Done(_)]));
            assert!(frames.iter().any(is_taken), "{frames:?}");
        }
        let imported = Message { media: Some(media), ..self.message(Direction::Note, None, Some("chat.txt#1".into())) };
        let place =
            ImportPlace { hub: HubId([7; 16]), import: ImportId([1; 16]), document: DocumentId::imported(id, 0) };
        let BuiltImport { facts, derived, bytes, .. } = build_import(place, vec![Fact::Message(imported)]).unwrap();
        let ImportPlace { document, import, .. } = place;
        done(self.hub.import_segment(ImportSegment { document, import, facts, head: derived.head, bytes }));
    }
}

fn done(outcome: Outcome) {
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

/// Messages of every kind, edits, reactions, retractions, cards, attachments, deliveries, imports and a removal; segments
/// that are full and compacted. `removals` members come and go at the end.
pub(crate) fn batches(texts: Texts, removals: u32) -> Vec<Batch> {
    let segment = SegmentLimits {
        open_messages: 4,
        open_ops: 60,
        open_text_bytes: 4_096,
        late_message_ops: 80,
        late_edit_ops: 100,
    };
    let mut hub = LocalHub::new(HubConfig { compact_tail: 4, segment, ..HubConfig::default() });
    hub.worker = Some(Worker::Automerge);
    for (id, role) in [(2, Role::Agent), (3, Role::Agent), (9, Role::Service)] {
        done(hub.administer(Command::MemberAdd(Member { id: MemberId(id), name: texts.member.into(), role })));
    }
    let device = hub.enrol(2, 2);
    let mut course = Course { hub, texts, device, chains: BTreeMap::new(), drawn: 0 };
    course.talk(ONE);
    course.talk(OTHER);
    for id in 20..20 + removals {
        let (id, role) = (MemberId(id), Role::Agent);
        done(course.hub.administer(Command::MemberAdd(Member { id, name: texts.member.into(), role })));
        done(course.hub.administer(Command::MemberRemove { member: id }));
    }
    course.hub.committed
}

/// Where the keys of a store in `folder`/hub are.
pub(crate) fn seal(folder: &Path, mode: SealMode) -> SealConfig {
    SealConfig { mode, root_key: Some(folder.join("root.key")), ..SealConfig::default() }
}

/// The closed store as RocksDB alone sees it.
pub(crate) struct Raw(pub(crate) rocksdb::DB);

/// A key with its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

impl Raw {
    pub(crate) fn open(folder: &Path) -> Self {
        let (options, path) = (rocksdb::Options::default(), folder.join("hub/store"));
        let families = rocksdb::DB::list_cf(&options, &path).unwrap();
        Self(rocksdb::DB::open_cf(&options, &path, families).unwrap())
    }

    pub(crate) fn rows(&self, family: Family) -> Vec<Row> {
        let family = self.0.cf_handle(family.name()).unwrap();
        let rows = self.0.iterator_cf(family, rocksdb::IteratorMode::Start);
        rows.map(|row| row.map(|(key, value)| (key.into_vec(), value.into_vec())).unwrap()).collect()
    }
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
