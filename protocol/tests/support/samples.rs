//! The values behind the golden vectors: every fact and entry, with and without what is optional; frames beside it.

mod frames;

use lockstep_protocol::cursor::{Cursor, CursorTag};
use lockstep_protocol::directory::{CollisionPolicy, Conversation, Device, DirectoryEvent, Member, Policy, Role};
use lockstep_protocol::document::ChainFact;
use lockstep_protocol::entry::{
    Category, Collision, CollisionCause, Delivery, Entry, EntryBody, Imported, Mac, Opening, Origin, PlacedFact,
    Resolution, Stamp, Verdict,
};
use lockstep_protocol::fact::{Direction, Fact, Media, Message};
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, DocumentKind, Epoch, FactId, HashPrefix, HubId, ImportId,
    InviteCode, Lsn, MediaHash, MemberId, MessageId, Nonce, PinnedKeyHash, PublicKey,
};
use lockstep_protocol::keep::Keep;
use lockstep_protocol::snapshot::DocumentDigest;

pub(crate) use frames::{device_frames, hub_frames};

const TIME_MS: u64 = 1_790_000_000_000;
pub(crate) const HUB: HubId = HubId(sequence(0x80));
pub(crate) const EPOCH: Epoch = Epoch(sequence(0x90));
const OLD_EPOCH: Epoch = Epoch(sequence(0x98));
pub(crate) const CONVERSATION: ConversationId = ConversationId(sequence(0xa0));
pub(crate) const NONCE: Nonce = Nonce(sequence(0xb0));
pub(crate) const PINNED: PinnedKeyHash = PinnedKeyHash(sequence(0xc0));
pub(crate) const CODE: InviteCode = InviteCode(sequence(0xd0));
const DEVICE: DeviceId = DeviceId(sequence(0x20));
const SEGMENT: DocumentId = DocumentId::segment(CONVERSATION, 3);
const CARD: DocumentId = DocumentId::card(CONVERSATION, 0);
pub(crate) const IMPORT: ImportId = ImportId(sequence(0x38));
pub(crate) const IMPORTED: DocumentId = DocumentId::imported(CONVERSATION, 2);

/// `N` bytes that count up.
pub(crate) const fn sequence<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = first.wrapping_add(at as u8);
        at += 1;
    }
    bytes
}

const fn message_id(number: u8) -> MessageId {
    MessageId::from_parts(TIME_MS + number as u64, 0x0001_0203_0405_0607_0809)
}

const fn fact_id(number: u8) -> FactId {
    FactId(message_id(number).0)
}

fn message(number: u8, body: &str) -> Message {
    Message {
        id: message_id(number),
        by: MemberId(12),
        dir: Direction::Note,
        kind: "text".into(),
        body: body.into(),
        seen: None,
        re: None,
        media: None,
        src: None,
    }
}

fn full_message(number: u8) -> Message {
    Message {
        dir: Direction::Out,
        kind: "image".into(),
        seen: Some(message_id(1)),
        re: Some(message_id(2)),
        media: Some(Media {
            hash: MediaHash(sequence(0xe0)),
            media_type: "image/jpeg".into(),
            name: "ใบเสร็จ.jpg".into(),
            size: 1_234_567,
        }),
        src: Some("whatsapp/export-7.zip#12".into()),
        ..message(number, "ขอบคุณครับ")
    }
}

/// Chains of facts in one document: name, actor, facts from seq 1.
pub(crate) fn chains(kind: DocumentKind) -> Vec<(&'static str, ActorId, Vec<Fact>)> {
    match kind {
        DocumentKind::Segment | DocumentKind::Imported => vec![
            (
                "messages",
                ActorId(sequence(0x10)),
                vec![
                    Fact::Message(message(10, "Hello")),
                    Fact::Message(full_message(11)),
                    Fact::Message(Message {
                        dir: Direction::In, by: MemberId(0), ..message(12, "สวัสดีครับ")
                    }),
                    Fact::Message(Message {
                        by: MemberId(u32::MAX), ..message(13, "नमस्ते 你好 مرحبا")
                    }),
                    Fact::Message(message(14, "\0\u{202e}👩🏽‍👩🏿‍👧🏻‍👦🏾e\u{301}\u{fffe}\r\n")),
                    Fact::Message(Message { kind: "call".into(), ..message(15, "") }),
                    Fact::Message(message(16, "note")),
                    Fact::Message(message(17, &"x".repeat(300))),
                    Fact::Message(Message {
                        seen: Some(message_id(11)),
                        dir: Direction::Out,
                        ..message(18, "seen only")
                    }),
                    Fact::Message(Message { re: Some(message_id(11)), ..message(19, "re only") }),
                    Fact::Message(Message {
                        media: full_message(0).media.map(|media| Media { name: String::new(), size: 0, ..media }),
                        ..message(20, "")
                    }),
                    Fact::Message(Message { src: Some("telegram#1".into()), ..message(21, "src only") }),
                ],
            ),
            (
                // Sorts after the genesis actor.
                "others",
                ActorId(sequence(0xf0)),
                vec![
                    Fact::Edit { message: message_id(10), id: fact_id(30), body: "Hello, world".into() },
                    Fact::Retraction { message: message_id(10), id: fact_id(31), reason: "wrong chat".into() },
                    Fact::Retraction { message: message_id(11), id: fact_id(32), reason: String::new() },
                    Fact::Reaction { message: message_id(12), by: MemberId(7), id: fact_id(33), emoji: "👍".into() },
                    Fact::Reaction { message: message_id(12), by: MemberId(7), id: fact_id(34), emoji: String::new() },
                    Fact::Edit { message: message_id(10), id: fact_id(35), body: "สวัสดี".into() },
                ],
            ),
        ],
        DocumentKind::Card => vec![(
            "card",
            ActorId(sequence(0x30)),
            vec![
                Fact::Field { name: "phone".into(), id: fact_id(40), value: "+66 2 123 4567".into() },
                Fact::Field { name: "phone".into(), id: fact_id(41), value: String::new() },
                Fact::Label { label: "ลูกค้าสำคัญ".into(), id: fact_id(42), on: true },
                Fact::Label { label: "ลูกค้าสำคัญ".into(), id: fact_id(43), on: false },
            ],
        )],
    }
}

/// One document's facts by several actors, chains interleaved.
pub(crate) fn history(kind: DocumentKind) -> Vec<ChainFact> {
    let mut facts = Vec::new();
    let chains = chains(kind);
    let longest = chains.iter().map(|(_, _, facts)| facts.len()).max().unwrap_or(0);
    for at in 0..longest {
        for (_, actor, chain) in &chains {
            if let Some(fact) = chain.get(at) {
                facts.push(ChainFact { actor: *actor, seq: at as u32 + 1, fact: fact.clone() });
            }
        }
    }
    facts
}

fn stamp(lsn: u64, verdict: Verdict) -> Stamp {
    Stamp { lsn: Lsn(lsn), at_ms: TIME_MS + lsn, member: MemberId(12), verdict, mac: Mac(sequence(0x50)) }
}

fn held() -> Verdict {
    Verdict::Held(Collision { cause: CollisionCause::Lease, winner: None, by: MemberId(13) })
}

fn flagged(cause: CollisionCause) -> Verdict {
    Verdict::Flagged(Collision { cause, winner: Some(message_id(9)), by: MemberId(13) })
}

fn placed(seq: u32, fact: Fact) -> PlacedFact {
    PlacedFact {
        document: if fact.document_kind() == DocumentKind::Card { CARD } else { SEGMENT },
        actor: ActorId(sequence(0x10)),
        seq,
        hash: HashPrefix(sequence(0x70)),
        fact,
        opening: (seq == 1).then_some(Opening { device: DEVICE, nonce: NONCE }),
        origin: None,
    }
}

fn cursor(lsn: u64) -> Cursor {
    Cursor { epoch: EPOCH, lsn: Lsn(lsn), tag: CursorTag(sequence(0x60)) }
}

fn member(role: Role) -> Member {
    Member { id: MemberId(12), name: "สมชาย".into(), role }
}

fn conversation(service: Option<MemberId>, assigned: &[u32]) -> Conversation {
    Conversation {
        id: CONVERSATION,
        customer: "Müller & Söhne".into(),
        service,
        assigned: assigned.iter().map(|&id| MemberId(id)).collect(),
        keep: None,
    }
}

fn imported() -> Imported {
    Imported {
        document: IMPORTED,
        import: IMPORT,
        facts: 500,
        messages: 384,
        first: Some(message_id(1)),
        last: Some(message_id(200)),
        digest: DocumentDigest(sequence(0x55)),
    }
}

/// Facts as an import brings them: foreign authors, sources, an edit, a reaction, a retraction.
pub(crate) fn import_facts() -> Vec<Fact> {
    let from = |by, dir, number, body| Message {
        by: MemberId(by),
        dir,
        src: Some(format!("chat.txt#{number}")),
        ..message(number, body)
    };
    vec![
        Fact::Message(from(0, Direction::In, 1, "ราคาเท่าไหร่ครับ")),
        Fact::Reaction { message: message_id(1), by: MemberId(13), id: fact_id(5), emoji: "👍".into() },
        Fact::Message(Message { re: Some(message_id(1)), ..from(12, Direction::Out, 2, "250 baht") }),
        Fact::Edit { message: message_id(2), id: fact_id(6), body: "240 baht".into() },
        Fact::Message(Message { media: full_message(0).media, ..from(0, Direction::In, 3, "") }),
        Fact::Retraction { message: message_id(3), id: fact_id(7), reason: String::new() },
    ]
}

/// Every kind of entry.
pub(crate) fn entries() -> Vec<(&'static str, Entry)> {
    let accepted = |lsn, body| Entry { stamp: stamp(lsn, Verdict::Accepted), body };
    let fact = |seq, fact| EntryBody::Fact(placed(seq, fact));
    let event = |event| accepted(30, EntryBody::Directory(event));
    let lost = |verdict| Entry { stamp: stamp(24, verdict), body: fact(300, Fact::Message(full_message(14))) };
    let readmitted = PlacedFact {
        origin: Some(Origin { epoch: OLD_EPOCH, lsn: Lsn(1_000) }),
        opening: Some(Opening { device: DeviceId::default(), nonce: Nonce::default() }),
        ..placed(1, Fact::Message(message(15, "written again")))
    };
    vec![
        ("fact-opening", accepted(1, fact(1, Fact::Message(message(10, "Hello"))))),
        ("fact-later", accepted(1_000_000, fact(2, Fact::Message(full_message(11))))),
        ("fact-edit", accepted(2, fact(3, Fact::Edit { message: message_id(10), id: fact_id(30), body: "x".into() }))),
        (
            "fact-retraction",
            accepted(3, fact(4, Fact::Retraction { message: message_id(10), id: fact_id(31), reason: String::new() })),
        ),
        (
            "fact-reaction",
            accepted(
                4,
                fact(
                    5,
                    Fact::Reaction { message: message_id(10), by: MemberId(12), id: fact_id(33), emoji: "👍".into() },
                ),
            ),
        ),
        (
            "fact-field",
            accepted(5, fact(1, Fact::Field { name: "phone".into(), id: fact_id(40), value: "+66".into() })),
        ),
        ("fact-label", accepted(6, fact(2, Fact::Label { label: "vip".into(), id: fact_id(42), on: true }))),
        ("fact-readmitted", accepted(7, EntryBody::Fact(readmitted))),
        ("reply-held-lease", lost(held())),
        ("reply-flagged-window", lost(flagged(CollisionCause::Window))),
        ("reply-flagged-stale", lost(flagged(CollisionCause::Stale))),
        ("opened-segment", accepted(20, EntryBody::Opened { document: SEGMENT })),
        ("opened-card", accepted(21, EntryBody::Opened { document: CARD })),
        (
            "resolved-send",
            accepted(
                22,
                EntryBody::Resolved { document: SEGMENT, message: message_id(14), resolution: Resolution::Send },
            ),
        ),
        (
            "resolved-discard",
            accepted(
                23,
                EntryBody::Resolved { document: SEGMENT, message: message_id(14), resolution: Resolution::Discard },
            ),
        ),
        (
            "delivered-sending",
            accepted(
                24,
                EntryBody::Delivered { document: SEGMENT, message: message_id(11), delivery: Delivery::Sending },
            ),
        ),
        (
            "delivered-sent",
            accepted(25, EntryBody::Delivered { document: SEGMENT, message: message_id(11), delivery: Delivery::Sent }),
        ),
        (
            "delivered-failed",
            accepted(
                26,
                EntryBody::Delivered { document: SEGMENT, message: message_id(11), delivery: Delivery::Failed },
            ),
        ),
        (
            "delivered-unknown",
            accepted(
                27,
                EntryBody::Delivered { document: SEGMENT, message: message_id(11), delivery: Delivery::Unknown },
            ),
        ),
        (
            "sensitive",
            accepted(
                27,
                EntryBody::Sensitive { document: SEGMENT, message: message_id(11), category: Category::Password },
            ),
        ),
        (
            "marked",
            accepted(28, EntryBody::Marked { conversation: CONVERSATION, message: message_id(11), read: Lsn(24) }),
        ),
        ("member-added", event(DirectoryEvent::MemberAdded(member(Role::Agent)))),
        ("role-changed", event(DirectoryEvent::RoleChanged { member: MemberId(12), role: Role::Manager })),
        ("member-removed", event(DirectoryEvent::MemberRemoved { member: MemberId(12) })),
        (
            "device-added",
            event(DirectoryEvent::DeviceAdded(Device {
                key: PublicKey(sequence(0)),
                member: MemberId(12),
                name: "Pixel 12".into(),
            })),
        ),
        ("device-revoked", event(DirectoryEvent::DeviceRevoked { device: DEVICE })),
        (
            "policy-changed",
            event(DirectoryEvent::PolicyChanged(Policy {
                collision: CollisionPolicy::Flag,
                agents_see_unassigned: true,
                services_lock: true,
                devices_max: None,
                keep: None,
            })),
        ),
        ("conversation-opened", event(DirectoryEvent::ConversationOpened(conversation(Some(MemberId(90)), &[12, 13])))),
        ("assigned", event(DirectoryEvent::Assigned { conversation: CONVERSATION, member: MemberId(12) })),
        ("unassigned", event(DirectoryEvent::Unassigned { conversation: CONVERSATION, member: MemberId(12) })),
        ("import-undone", event(DirectoryEvent::ImportUndone { document: IMPORTED, import: IMPORT })),
        ("imported", accepted(31, EntryBody::Imported(imported()))),
        (
            "imported-no-messages",
            accepted(32, EntryBody::Imported(Imported { messages: 0, first: None, last: None, ..imported() })),
        ),
        ("policy-devices", event(DirectoryEvent::PolicyChanged(Policy { devices_max: Some(5), ..Policy::default() }))),
        ("policy-keep", event(DirectoryEvent::PolicyChanged(Policy { keep: Keep::days(90), ..Policy::default() }))),
        (
            "conversation-opened-keep",
            event(DirectoryEvent::ConversationOpened(Conversation {
                keep: Keep::days(30),
                ..conversation(None, &[12])
            })),
        ),
        ("keep-changed", event(DirectoryEvent::KeepChanged { conversation: CONVERSATION, keep: Some(Keep::FOREVER) })),
        ("keep-unset", event(DirectoryEvent::KeepChanged { conversation: CONVERSATION, keep: None })),
        ("expired", event(DirectoryEvent::Expired { document: IMPORTED, newest_ms: 1_790_000_000_000 })),
        ("conversation-shredded", event(DirectoryEvent::ConversationShredded { conversation: CONVERSATION })),
    ]
}
