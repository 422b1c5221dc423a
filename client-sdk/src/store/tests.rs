//! The store against the core's reference: the same random transactions, the same answers, closed and opened between.

use std::path::{Path, PathBuf};

use lockstep_client_core::query::Query;
use lockstep_client_core::row::{
    AcceptedReply, BackfillRow, ConversationRow, DocumentRow, EventRow, FactRow, Meta, NotSentRow, OfferKey, OfferRow,
    OutboxRow, OwnChain, ResolveRow, Write,
};
use lockstep_client_core::store::Rows;
use lockstep_protocol::change::ChainHead;
use lockstep_protocol::cursor::{Cursor, CursorTag};
use lockstep_protocol::directory::{Conversation, Member, Policy, Role};
use lockstep_protocol::entry::{Collision, CollisionCause, Delivery, EntryBody, Opening, PlacedFact, Stamp, Verdict};
use lockstep_protocol::entry::{Mac, Resolution};
use lockstep_protocol::fact::{Direction, Fact, Media, Message};
use lockstep_protocol::frame::{Marker, OfferedEntry, Team};
use lockstep_protocol::id::{
    ActorId, ChangeHash, ConversationId, DeviceId, DocumentId, Epoch, FactId, HashPrefix, HubId, Lsn, MediaHash,
    MemberId, MessageId, Nonce, PinnedKeyHash,
};
use lockstep_protocol::keep::Keep;
use lockstep_protocol::snapshot::DocumentDigest;
use redb::{Database, ReadableDatabase, ReadableTable};
use tempfile::TempDir;

use super::row::{FORMAT_KEY, META, PROBE_KEY, Row, TABLES, check_of_format_1};
use super::{FILE, FORMAT, Identity, Store, StoreError};

/// Small numbers, so that rows meet again and again.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    fn few(&mut self) -> u8 {
        // The ends of a range are where prefixes go wrong.
        [0, 1, 2, 0xfe, 0xff][self.below(5) as usize]
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| make(self))
    }

    fn conversation(&mut self) -> ConversationId {
        ConversationId([self.few(); 16])
    }

    fn document(&mut self) -> DocumentId {
        let (conversation, number) = (self.conversation(), [0, 1, u32::MAX][self.below(3) as usize]);
        if self.below(3) == 0 {
            DocumentId::card(conversation, number)
        } else {
            DocumentId::segment(conversation, number)
        }
    }

    fn message(&mut self) -> MessageId {
        MessageId([self.few(); 16])
    }

    fn text(&mut self) -> String {
        ["", "rice", "ข้าวหอมมะลิ", "أرز", "大米 🍚"][self.below(5) as usize].to_owned()
    }

    fn cursor(&mut self) -> Cursor {
        Cursor { epoch: Epoch([self.byte(); 16]), lsn: Lsn(self.below(1 << 40)), tag: CursorTag([self.byte(); 16]) }
    }

    fn stamp(&mut self) -> Stamp {
        let collision = Collision {
            cause: [CollisionCause::Lease, CollisionCause::Window, CollisionCause::Stale][self.below(3) as usize],
            winner: self.maybe(Self::message),
            by: MemberId(self.below(9) as u32),
        };
        let verdict = match self.below(3) {
            0 => Verdict::Accepted,
            1 => Verdict::Held(collision),
            _ => Verdict::Flagged(collision),
        };
        let (lsn, at_ms) = (Lsn(self.below(u64::MAX)), self.below(1 << 41));
        Stamp { lsn, at_ms, member: MemberId(3), verdict, mac: Mac([self.byte(); 8]) }
    }

    fn fact(&mut self) -> Fact {
        let (message, id, text) = (self.message(), FactId([self.byte(); 16]), self.text());
        match self.below(6) {
            0 => Fact::Edit { message, id, body: text },
            1 => Fact::Retraction { message, id, reason: text },
            2 => Fact::Reaction { message, by: MemberId(2), id, emoji: text },
            3 => Fact::Field { name: "port".to_owned(), id, value: text },
            4 => Fact::Label { label: text, id, on: self.below(2) == 0 },
            _ => Fact::Message(Message {
                id: message,
                by: MemberId(1),
                dir: [Direction::In, Direction::Out, Direction::Note][self.below(3) as usize],
                kind: "text".to_owned(),
                body: text,
                seen: self.maybe(Self::message),
                re: self.maybe(Self::message),
                media: self.maybe(|draw| Media {
                    hash: MediaHash([draw.byte(); 32]),
                    media_type: "image/jpeg".to_owned(),
                    name: draw.text(),
                    size: draw.below(u64::MAX),
                }),
                src: self.maybe(Self::text),
            }),
        }
    }

    fn placed(&mut self) -> PlacedFact {
        PlacedFact {
            document: self.document(),
            actor: ActorId([self.few(); 16]),
            seq: [1, 2, 256, u32::MAX][self.below(4) as usize],
            hash: HashPrefix([self.byte(); 8]),
            fact: self.fact(),
            opening: self
                .maybe(|draw| Opening { device: DeviceId([draw.byte(); 16]), nonce: Nonce([draw.byte(); 16]) }),
            origin: None,
        }
    }

    fn event(&mut self) -> EntryBody {
        let (document, message) = (self.document(), self.message());
        let deliveries = [Delivery::Sending, Delivery::Sent, Delivery::Failed, Delivery::Unknown];
        match self.below(3) {
            0 => EntryBody::Resolved { document, message, resolution: self.resolution() },
            1 => EntryBody::Delivered { document, message, delivery: deliveries[self.below(4) as usize] },
            // No event: never written.
            _ => EntryBody::Opened { document },
        }
    }

    fn resolution(&mut self) -> Resolution {
        if self.below(2) == 0 { Resolution::Send } else { Resolution::Discard }
    }

    fn offer_key(&mut self) -> OfferKey {
        OfferKey { generation: self.below(3) as u32, lsn: Lsn(u64::from(self.few())), epoch: Epoch([self.few(); 16]) }
    }

    fn marker(&mut self) -> Marker {
        Marker { member: MemberId(self.below(5) as u32), message: self.message(), read: Lsn(self.below(99)) }
    }

    fn order(&mut self) -> u64 {
        [0, 1, 255, 256, u64::MAX][self.below(5) as usize]
    }

    fn own(&mut self) -> OwnChain {
        let hash = ChangeHash([self.byte(); 32]);
        let head = ChainHead { seq: self.below(99) as u32, max_op: self.below(999) as u32, hash };
        OwnChain { nonce: Nonce([self.byte(); 16]), actor: ActorId([self.few(); 16]), head }
    }

    fn write(&mut self) -> Write {
        match self.below(18) {
            0 => Write::Meta(Box::new(Meta {
                hub: self.maybe(|draw| HubId([draw.byte(); 16])),
                member: self.maybe(|draw| MemberId(draw.below(9) as u32)),
                epochs: (0..self.below(3)).map(|_| Epoch([self.byte(); 16])).collect(),
                cursor: self.maybe(Self::cursor),
                witness: self.maybe(Self::cursor),
                clock_ms: self.below(1 << 41),
                next_order: self.below(u64::MAX),
            })),
            1 => Write::Team(Box::new(Team {
                members: vec![Member { id: MemberId(1), name: self.text(), role: Role::Agent }],
                policy: Policy::default(),
                role: Role::Manager,
            })),
            2 => Write::Conversation(Box::new(ConversationRow {
                conversation: Conversation {
                    id: self.conversation(),
                    customer: self.text(),
                    service: self.maybe(|_| MemberId(4)),
                    assigned: (0..self.below(3)).map(|number| MemberId(number as u32)).collect(),
                    keep: self.maybe(|_| Keep::FOREVER),
                },
                open_segment: self.below(9) as u32,
                open_card: self.below(2) as u32,
                newest: Lsn(self.below(99)),
                described: Lsn(self.below(99)),
                markers: (0..self.below(3)).map(|_| self.marker()).collect(),
                unsent_mark: self.maybe(Self::message),
                lost: self.below(2) == 0,
            })),
            3 => Write::Document(Box::new(DocumentRow {
                document: self.document(),
                digest: DocumentDigest([self.byte(); 16]),
                own: self.maybe(Self::own),
                newest_reply: self.maybe(|draw| {
                    let (generation, lsn, message) = (draw.below(3) as u32, Lsn(draw.below(99)), draw.message());
                    AcceptedReply { generation, lsn, message }
                }),
                listed: self.maybe(|draw| DocumentDigest([draw.byte(); 16])),
            })),
            4 => Write::DocumentGone(self.document()),
            5 | 6 => {
                Write::Fact(Box::new(FactRow { epoch: Epoch([1; 16]), stamp: self.stamp(), placed: self.placed() }))
            }
            7 => Write::Event(Box::new(EventRow { epoch: Epoch([1; 16]), stamp: self.stamp(), body: self.event() })),
            8 => Write::Outbox(Box::new(OutboxRow {
                order: self.order(),
                document: self.document(),
                actor: ActorId([self.few(); 16]),
                seq: self.below(99) as u32,
                hash: HashPrefix([self.byte(); 8]),
                fact: self.fact(),
            })),
            9 => Write::OutboxGone(self.order()),
            10 => Write::Resolve(Box::new(ResolveRow {
                order: self.order(),
                conversation: self.conversation(),
                message: self.message(),
                resolution: self.resolution(),
                seen: self.maybe(Self::message),
            })),
            11 => Write::ResolveGone(self.order()),
            12 => {
                let entry = OfferedEntry { epoch: Epoch([2; 16]), stamp: self.stamp(), body: self.event() };
                Write::Offer(Box::new(OfferRow { key: self.offer_key(), entry }))
            }
            13 => Write::OfferGone(self.offer_key()),
            14 => Write::Backfill(BackfillRow {
                conversation: self.conversation(),
                grant: Lsn(self.below(99)),
                before: self.maybe(|draw| draw.below(9) as u32),
                floor: self.below(9) as u32,
                changed: self.below(2) == 0,
            }),
            15 => Write::BackfillGone(self.conversation()),
            16 => Write::NotSent(Box::new(NotSentRow {
                order: self.order(),
                conversation: self.conversation(),
                fact: self.fact(),
                code: self.below(120) as u16,
                at_ms: self.below(1 << 41),
            })),
            _ if self.below(3) == 0 => Write::Forget(self.conversation()),
            _ => Write::NotSentGone(self.order()),
        }
    }
}

/// The device's folder; its key lies beside it.
fn home(folder: &TempDir) -> PathBuf {
    folder.path().join("device")
}

fn compare(store: &Store, rows: &Rows, seed: u64) {
    assert_eq!(store.stored().expect("whole rows"), rows.stored(), "seed {seed}");
    let written = rows.facts.keys().map(|key| key.0).chain(rows.events.keys().map(|key| key.0));
    for document in written.chain(rows.documents.keys().copied()) {
        let query = Query::Document(document);
        assert_eq!(store.load(&query).expect("whole rows"), rows.load(&query), "seed {seed}");
    }
}

#[test]
fn it_answers_as_the_reference_does() {
    for seed in 0..24 {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut draw, mut rows) = (Draw(seed), Rows::default());
        let mut store = Store::open_or_create(&home(&folder), None).expect("a new store");
        for _ in 0..10 {
            let writes: Vec<_> = (0..draw.below(40)).map(|_| draw.write()).collect();
            writes.iter().for_each(|write| rows.write(write.clone()));
            store.write(writes).expect("room on the disk");
            if draw.below(3) == 0 {
                drop(store);
                store = Store::open(&home(&folder), None).expect("the store again");
            }
            compare(&store, &rows, seed);
        }
        assert!(store.check().expect("nothing damaged") > 0, "seed {seed}");
    }
}

/// A store with some of everything.
fn filled(home: &Path) -> Rows {
    let (mut draw, mut rows) = (Draw(7), Rows::default());
    let store = Store::open_or_create(home, None).expect("a new store");
    let identity = Identity { secret: [1; 32], host: "hub".to_owned(), port: 1, pinned: PinnedKeyHash([2; 32]) };
    store.set_identity(&identity).expect("room on the disk");
    let wanted = |write: &Write| !matches!(write, Write::Forget(_) | Write::DocumentGone(_));
    let writes: Vec<_> = (0..400).map(|_| draw.write()).filter(wanted).collect();
    writes.iter().for_each(|write| rows.write(write.clone()));
    store.write(writes).expect("room on the disk");
    rows
}

/// Changes values of a table behind the store's back.
fn meddle<R: Row>(home: &Path, change: impl Fn(&mut Vec<u8>)) -> usize {
    let database = Database::create(home.join(FILE)).expect("the file");
    let table = database.begin_read().unwrap().open_table(R::TABLE).unwrap();
    let rows = table.iter().unwrap().map(|item| item.unwrap());
    let mut all: Vec<_> = rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect();
    drop(table);
    let transaction = database.begin_write().unwrap();
    for (key, value) in &mut all {
        change(value);
        transaction.open_table(R::TABLE).unwrap().insert(&key[..], &value[..]).unwrap();
    }
    transaction.commit().unwrap();
    all.len()
}

#[test]
fn a_damaged_row_is_named_and_never_served() {
    type Check = fn(&Path) -> (usize, &'static str);
    let rows: &[Check] = &[
        |home| (meddle::<OutboxRow>(home, |value| value[9] ^= 1), "outbox"),
        |home| (meddle::<ConversationRow>(home, |value| value[0] ^= 0x80), "conversations"),
        |home| (meddle::<NotSentRow>(home, |value| value.truncate(7)), "not_sent"),
        |home| (meddle::<BackfillRow>(home, |value| value[11] ^= 1), "backfills"),
        |home| (meddle::<DocumentRow>(home, |value| value.push(0)), "documents"),
    ];
    for damage in rows {
        let folder = tempfile::tempdir().expect("a folder");
        filled(&home(&folder));
        let (damaged, name) = damage(&home(&folder));
        assert!(damaged > 0, "{name}");
        let store = Store::open(&home(&folder), None).expect("it opens");
        match store.stored() {
            Err(StoreError::Corrupt { table, key }) => assert_eq!((table, key.is_empty()), (name, false)),
            other => panic!("{name}: {other:?}"),
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let rows = filled(&home(&folder));
    meddle::<FactRow>(&home(&folder), |value| value[20] ^= 4);
    let store = Store::open(&home(&folder), None).expect("it opens");
    assert_eq!(store.stored().expect("facts are not read at the start"), rows.stored());
    for (document, ..) in rows.facts.keys() {
        let answer = store.load(&Query::Document(*document));
        assert!(matches!(answer, Err(StoreError::Corrupt { table: "facts", .. })), "{answer:?}");
    }
}

#[test]
fn a_row_at_another_rows_place_is_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    filled(&home(&folder));
    {
        let database = Database::create(home(&folder).join(FILE)).expect("the file");
        let transaction = database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(OutboxRow::TABLE).unwrap();
            let value = table.iter().unwrap().next().unwrap().unwrap().1.value().to_vec();
            table.insert(&77_u64.to_be_bytes()[..], &value[..]).unwrap();
        }
        transaction.commit().unwrap();
    }
    let store = Store::open(&home(&folder), None).expect("it opens");
    assert!(matches!(store.stored(), Err(StoreError::Corrupt { table: "outbox", .. })));
}

#[test]
fn other_formats_and_other_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    filled(&home(&folder));
    let held = Store::open(&home(&folder), None).expect("it opens");
    let second = Store::open(&home(&folder), None);
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{second:?}");
    drop(held);
    {
        let database = Database::create(home(&folder).join(FILE)).expect("the file");
        let transaction = database.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert(FORMAT_KEY, &(FORMAT + 1).to_be_bytes()[..]).unwrap();
        transaction.commit().unwrap();
    }
    let newer = Store::open(&home(&folder), None);
    assert!(matches!(newer, Err(StoreError::Newer { found, .. }) if found == FORMAT + 1), "{newer:?}");
    std::fs::write(home(&folder).join(FILE), b"this is a letter, not a store").expect("a file");
    let letter = Store::open(&home(&folder), None);
    assert!(matches!(letter, Err(StoreError::Damaged(_))), "{letter:?}");
    // What was begun and never finished is none.
    std::fs::write(home(&folder).join(FILE), b"").expect("a file");
    let empty = Store::open(&home(&folder), None);
    assert!(matches!(empty, Err(StoreError::Absent { .. })), "{empty:?}");
    assert!(Store::open_or_create(&home(&folder), None).is_ok());
}

#[test]
fn a_store_of_the_first_format_is_sealed_on_opening() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = filled(&home(&folder));
    // As the first format had it: rows in the clear behind their check.
    {
        let sealed = Store::open(&home(&folder), None).expect("it opens");
        let old = Database::create(folder.path().join("old")).expect("the file");
        let transaction = old.begin_write().unwrap();
        for (table, name) in TABLES {
            let from = sealed.database.begin_read().unwrap();
            let Ok(from) = from.open_table(*table) else { continue };
            let mut to = transaction.open_table(*table).unwrap();
            for item in from.iter().unwrap() {
                let (key, value) = item.unwrap();
                let (key, value) = (key.value(), value.value());
                match key {
                    FORMAT_KEY => drop(to.insert(key, &1_u32.to_be_bytes()[..]).unwrap()),
                    PROBE_KEY => {}
                    key => {
                        let plain = sealed.sealer.unseal(name, key, value).expect("sealed for its place");
                        let value = [&check_of_format_1(name, key, &plain)[..], &plain].concat();
                        drop(to.insert(key, &value[..]).unwrap());
                    }
                }
            }
        }
        transaction.commit().unwrap();
    }
    std::fs::rename(folder.path().join("old"), home(&folder).join(FILE)).unwrap();
    let word = b"a wording";
    for _ in 0..2 {
        let store = Store::open(&home(&folder), None).expect("it opens");
        compare(&store, &rows, 7);
        assert_eq!(store.identity().unwrap().map(|identity| identity.port), Some(1));
    }
    let bytes = std::fs::read(home(&folder).join(FILE)).unwrap();
    assert!(!bytes.windows(word.len()).any(|window| window == word));
}

#[test]
fn without_its_key_a_store_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    filled(&home(&folder));
    let key = folder.path().join("device.key");
    let content = std::fs::read(&key).expect("the key lies beside the folder");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions()) & 0o777, 0o600);
    std::fs::remove_file(&key).unwrap();
    let missing = Store::open(&home(&folder), None);
    assert!(matches!(&missing, Err(StoreError::KeyMissing { path }) if *path == key), "{missing:?}");
    std::fs::write(&key, "no key").unwrap();
    let unusable = Store::open(&home(&folder), None);
    assert!(matches!(unusable, Err(StoreError::KeyUnusable { .. })), "{unusable:?}");
    let wrong = Store::open(&home(&folder), Some(&[9; 32]));
    assert!(matches!(wrong, Err(StoreError::KeyWrong { .. })), "{wrong:?}");
    std::fs::write(&key, content).unwrap();
    assert!(Store::open(&home(&folder), None).is_ok());
    // An application that has a key store needs no file.
    let other = folder.path().join("other");
    drop(Store::open_or_create(&other, Some(&[9; 32])).expect("a new store"));
    assert!(Store::open(&other, Some(&[9; 32])).is_ok() && !folder.path().join("other.key").exists());
}

/// Nothing that a device keeps can be read in its file.
#[test]
fn nothing_lies_in_the_file_in_the_clear() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open_or_create(&home(&folder), None).expect("a new store");
    let words = ["swordfish in the clear", "รหัสผ่านของฉัน", "пароль от банка"];
    let identity = Identity { secret: [1; 32], host: words[0].into(), port: 1, pinned: PinnedKeyHash([2; 32]) };
    store.set_identity(&identity).expect("room on the disk");
    let mut draw = Draw(3);
    for word in words {
        let write = std::iter::repeat_with(|| draw.write()).find_map(|write| match write {
            Write::Fact(mut row) => {
                row.placed.fact = Fact::Field { name: "note".into(), id: Default::default(), value: word.into() };
                Some(Write::Fact(row))
            }
            _ => None,
        });
        store.write(write).expect("room on the disk");
    }
    drop(store);
    let bytes = std::fs::read(home(&folder).join(FILE)).unwrap();
    for word in words {
        let utf_16: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for needle in [word.as_bytes(), &utf_16] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{word}");
        }
    }
}
