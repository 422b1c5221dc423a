//! The values behind the golden vectors: every frame, entry and fact, with and without what is optional.

use lockstep_protocol::cursor::{Cursor, CursorTag};
use lockstep_protocol::directory::{CollisionPolicy, Conversation, Device, DirectoryEvent, Member, Policy, Role};
use lockstep_protocol::document::ChainFact;
use lockstep_protocol::entry::{
    Category, Collision, CollisionCause, Delivery, Entry, EntryBody, Imported, Mac, Opening, Origin, PlacedFact,
    Resolution, Stamp, Verdict,
};
use lockstep_protocol::fact::{Direction, Fact, Media, Message};
use lockstep_protocol::frame::{
    Catalogue, CatalogueConversation, CatalogueDocument, Command, DeviceFrame, Enrol, Entries, EntryBytes, Fetch,
    Grant, Hello, HubFrame, ListedDevice, Marker, OfferedEntry, Outcome, Push, PushedFact, Resolve, Snapshot,
    TailEntry, Team, Welcome,
};
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, DocumentKind, Epoch, FactId, HashPrefix, HubId, ImportId,
    InviteCode, Lsn, MediaHash, MemberId, MessageId, Nonce, PinnedKeyHash, PublicKey, Signature,
};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::{Refusal, RefusalCode};
use lockstep_protocol::snapshot::{DocumentDigest, Table, TableEvent, TableFact};

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
    ]
}

/// Every frame from a device.
pub(crate) fn device_frames() -> Vec<(&'static str, DeviceFrame)> {
    let hello = Hello {
        version: limits::PROTOCOL_VERSION,
        device: DEVICE,
        proof: Signature(sequence(0)),
        cursor: None,
        witness: None,
        capabilities: 0,
    };
    let enrol = Enrol {
        version: limits::PROTOCOL_VERSION,
        code: CODE,
        key: PublicKey(sequence(0)),
        name: "Pixel 12".into(),
        proof: Signature(sequence(0)),
    };
    let pushed = |fact| PushedFact { hash: HashPrefix(sequence(0x70)), fact };
    let push = |kind, seq, nonce| {
        let (_, actor, facts) = chains(kind).swap_remove(0);
        let document = if kind == DocumentKind::Card { CARD } else { SEGMENT };
        DeviceFrame::Push(Push { tag: 77, document, actor, nonce, seq, facts: facts.into_iter().map(pushed).collect() })
    };
    let resolve = |resolution, seen| {
        DeviceFrame::Resolve(Resolve { tag: 78, conversation: CONVERSATION, message: message_id(14), resolution, seen })
    };
    let offered = entries().into_iter().filter(|(name, _)| !name.contains('_')).map(|(_, entry)| entry);
    let offered = offered.filter(|entry| entry.body.document().is_some()).map(|Entry { stamp, body }| OfferedEntry {
        epoch: OLD_EPOCH,
        stamp,
        body,
    });
    let fetch = |before, limit| Fetch { tag: 80, conversation: CONVERSATION, before, limit, imported: false };
    let command = |command| DeviceFrame::Command { tag: 81, command };
    vec![
        ("hello-fresh", DeviceFrame::Hello(hello.clone())),
        ("hello-cursor", DeviceFrame::Hello(Hello { cursor: Some(cursor(24)), ..hello.clone() })),
        (
            "hello-cursor-witness",
            DeviceFrame::Hello(Hello {
                cursor: Some(cursor(24)),
                witness: Some(cursor(1_000_000)),
                capabilities: u64::MAX,
                ..hello
            }),
        ),
        ("enrol", DeviceFrame::Enrol(enrol)),
        ("push-first", push(DocumentKind::Segment, 1, Some(NONCE))),
        ("push-later", push(DocumentKind::Segment, 70_000, None)),
        ("push-card", push(DocumentKind::Card, 2, None)),
        ("mark", DeviceFrame::Mark { tag: 8, conversation: CONVERSATION, message: message_id(11) }),
        ("typing", DeviceFrame::Typing { conversation: CONVERSATION }),
        ("resolve-send", resolve(Resolution::Send, Some(message_id(13)))),
        ("resolve-discard", resolve(Resolution::Discard, None)),
        ("offer", DeviceFrame::Offer { tag: 79, entries: offered.collect() }),
        ("offer-empty", DeviceFrame::Offer { tag: 79, entries: Vec::new() }),
        ("fetch-newest", DeviceFrame::Fetch(fetch(None, 1))),
        ("fetch-older", DeviceFrame::Fetch(fetch(Some(12), limits::FETCH_SEGMENTS_MAX))),
        ("fetch-imported", DeviceFrame::Fetch(Fetch { imported: true, ..fetch(Some(3), 1) })),
        ("command-member-add", command(Command::MemberAdd(member(Role::Owner)))),
        ("command-member-role", command(Command::MemberRole { member: MemberId(12), role: Role::Auditor })),
        ("command-member-remove", command(Command::MemberRemove { member: MemberId(12) })),
        ("command-invite", command(Command::Invite { member: MemberId(12) })),
        ("command-device-revoke", command(Command::DeviceRevoke { device: DEVICE })),
        ("command-policy-set", command(Command::PolicySet(Policy::default()))),
        ("command-conversation-open", command(Command::ConversationOpen(conversation(None, &[])))),
        (
            "command-conversation-open-service",
            command(Command::ConversationOpen(conversation(Some(MemberId(90)), &[12, 70_000]))),
        ),
        ("command-assign", command(Command::Assign { conversation: CONVERSATION, member: MemberId(12) })),
        ("command-unassign", command(Command::Unassign { conversation: CONVERSATION, member: MemberId(12) })),
        (
            "command-deliver",
            command(Command::Deliver {
                conversation: CONVERSATION,
                message: message_id(11),
                delivery: Delivery::Sending,
            }),
        ),
        ("command-device-list", command(Command::DeviceList { after: None })),
        ("command-device-list-more", command(Command::DeviceList { after: Some(DEVICE) })),
        ("ping", DeviceFrame::Ping {}),
    ]
}

fn refusals() -> Vec<(&'static str, Refusal)> {
    let plain = |code: RefusalCode| Refusal::from(code);
    vec![
        ("busy", Refusal { retry_after_ms: Some(250), ..plain(RefusalCode::Busy) }),
        ("gap", Refusal { next: Some(5), hash: Some(HashPrefix(sequence(0x70))), ..plain(RefusalCode::Gap) }),
        ("segment-full", Refusal { open: Some(SEGMENT), ..plain(RefusalCode::SegmentFull) }),
        ("clock-ahead", Refusal { now_ms: Some(TIME_MS), ..plain(RefusalCode::ClockAhead) }),
        (
            "duplicate",
            Refusal { document: Some(SEGMENT), stamp: Some(stamp(9, held())), ..plain(RefusalCode::Duplicate) },
        ),
        ("key-taken", plain(RefusalCode::KeyTaken)),
        ("still-collides", Refusal { by: Some(MemberId(13)), ..plain(RefusalCode::StillCollides) }),
        (
            "a-later-version",
            Refusal { code: 69, message: "something that this version has no code for".into(), ..Refusal::default() },
        ),
    ]
}

fn catalogue_conversation() -> CatalogueConversation {
    CatalogueConversation {
        conversation: conversation(Some(MemberId(90)), &[12]),
        open_segment: 3,
        open_card: 0,
        newest: Lsn(24),
        markers: vec![Marker { member: MemberId(12), message: message_id(11), read: Lsn(24) }],
        documents: vec![
            CatalogueDocument { document: SEGMENT, digest: DocumentDigest(sequence(0x55)) },
            CatalogueDocument { document: CARD, digest: DocumentDigest::default() },
            CatalogueDocument { document: IMPORTED, digest: DocumentDigest(sequence(0x57)) },
        ],
    }
}

/// Every frame from the hub.
pub(crate) fn hub_frames() -> Vec<(&'static str, HubFrame)> {
    let welcome = |role, policy, catalogue| {
        HubFrame::Welcome(Welcome {
            session: 5,
            epoch: EPOCH,
            now_ms: TIME_MS,
            member: MemberId(12),
            role,
            policy,
            catalogue,
            head: Lsn(70_000),
        })
    };
    let entry_bytes = |name: &str| {
        let (_, entry) = entries().into_iter().find(|(known, _)| *known == name).expect("a sample's name");
        EntryBytes(entry.to_bytes().to_vec().into())
    };
    let table = Table {
        epochs: vec![EPOCH, OLD_EPOCH],
        facts: vec![
            TableFact { actor: ActorId(sequence(0x10)), seq: 1, epoch: 1, stamp: stamp(9, Verdict::Accepted) },
            TableFact { actor: ActorId(sequence(0x10)), seq: 2, epoch: 0, stamp: stamp(10, held()) },
        ],
        events: vec![TableEvent {
            epoch: 0,
            stamp: stamp(11, Verdict::Accepted),
            body: EntryBody::Resolved { document: SEGMENT, message: message_id(14), resolution: Resolution::Send },
        }],
    };
    let snapshot = Snapshot {
        tag: 80,
        document: SEGMENT,
        upto: Lsn(24),
        part: 0,
        last: true,
        bytes: Vec::new(),
        table: Table::default(),
        tail: Vec::new(),
    };
    let ack = |results| HubFrame::Ack { tag: 77, results, witness: cursor(24) };
    let refused = refusals().into_iter().map(|(_, refusal)| Outcome::Refused(refusal));
    let mut frames = vec![
        ("challenge", HubFrame::Challenge { nonce: NONCE, hub: HUB }),
        ("welcome-entries", welcome(Role::Owner, Policy::default(), false)),
        (
            "welcome-catalogue",
            welcome(
                Role::Service,
                Policy {
                    agents_see_unassigned: true,
                    services_lock: true,
                    collision: CollisionPolicy::Flag,
                    devices_max: None,
                },
                true,
            ),
        ),
        (
            "catalogue-first",
            HubFrame::Catalogue(Catalogue {
                tag: None,
                page: 0,
                conversations: vec![catalogue_conversation()],
                team: Some(Team {
                    members: vec![member(Role::Owner), Member { id: MemberId(13), ..member(Role::Agent) }],
                    policy: Policy::default(),
                    role: Role::Owner,
                }),
                end: None,
            }),
        ),
        (
            "catalogue-former",
            HubFrame::Catalogue(Catalogue {
                tag: None,
                page: 0,
                conversations: Vec::new(),
                team: Some(Team {
                    members: vec![member(Role::Owner), Member { id: MemberId(14), ..member(Role::Former) }],
                    policy: Policy { devices_max: Some(3), ..Policy::default() },
                    role: Role::Owner,
                }),
                end: None,
            }),
        ),
        (
            "catalogue-last",
            HubFrame::Catalogue(Catalogue {
                tag: None,
                page: 300,
                conversations: Vec::new(),
                team: None,
                end: Some(cursor(24)),
            }),
        ),
        (
            "catalogue-fetched",
            HubFrame::Catalogue(Catalogue {
                tag: Some(80),
                page: 0,
                conversations: vec![CatalogueConversation {
                    conversation: conversation(None, &[]),
                    markers: Vec::new(),
                    documents: vec![CatalogueDocument { document: IMPORTED, digest: DocumentDigest(sequence(0x57)) }],
                    ..catalogue_conversation()
                }],
                team: None,
                end: None,
            }),
        ),
        (
            "entries",
            HubFrame::Entries(Entries {
                from: Lsn(20),
                upto: Lsn(24),
                tag: CursorTag(sequence(0x60)),
                entries: vec![entry_bytes("fact-later"), entry_bytes("opened-segment")],
                granted: vec![Grant { conversation: CONVERSATION, lsn: Lsn(23) }],
                revoked: vec![ConversationId(sequence(0x11))],
            }),
        ),
        (
            "entries-none-visible",
            HubFrame::Entries(Entries {
                from: Lsn::ZERO,
                upto: Lsn(1),
                tag: CursorTag(sequence(0x60)),
                entries: Vec::new(),
                granted: Vec::new(),
                revoked: Vec::new(),
            }),
        ),
        (
            "snapshot-first-part",
            HubFrame::Snapshot(Snapshot { last: false, bytes: sequence::<32>(0).to_vec(), table, ..snapshot.clone() }),
        ),
        (
            "snapshot-last-part",
            HubFrame::Snapshot(Snapshot {
                part: 1,
                tail: vec![
                    TailEntry { epoch: 0, entry: entry_bytes("fact-edit") },
                    TailEntry { epoch: 1, entry: entry_bytes("delivered-sent") },
                ],
                ..snapshot.clone()
            }),
        ),
        ("snapshot-empty", HubFrame::Snapshot(Snapshot { document: CARD, ..snapshot.clone() })),
        (
            "snapshot-imported",
            HubFrame::Snapshot(Snapshot {
                document: IMPORTED,
                bytes: sequence::<32>(0).to_vec(),
                table: Table {
                    epochs: vec![EPOCH],
                    facts: Vec::new(),
                    events: vec![TableEvent {
                        epoch: 0,
                        stamp: stamp(31, Verdict::Accepted),
                        body: EntryBody::Imported(imported()),
                    }],
                },
                ..snapshot
            }),
        ),
        (
            "ack-push",
            ack(vec![
                Outcome::Placed { hash: HashPrefix(sequence(0x70)), stamp: stamp(20, Verdict::Accepted) },
                Outcome::Placed { hash: HashPrefix(sequence(0x71)), stamp: stamp(21, held()) },
                Outcome::Placed { hash: HashPrefix(sequence(0x72)), stamp: stamp(22, flagged(CollisionCause::Stale)) },
            ]),
        ),
        ("ack-offer", ack(vec![Outcome::Readmitted(Lsn(23)), Outcome::Known])),
        ("ack-done", ack(vec![Outcome::Done(Lsn(24))])),
        ("ack-invited", ack(vec![Outcome::Invited { code: CODE, for_ms: limits::INVITE_MS_MAX as u32 }])),
        (
            "ack-devices",
            ack(vec![Outcome::Devices(vec![
                ListedDevice {
                    device: DEVICE,
                    member: MemberId(12),
                    name: "Pixel 12".into(),
                    seen_ms: Some(1_790_000_000_000),
                },
                ListedDevice { device: DEVICE, member: MemberId(13), name: String::new(), seen_ms: None },
            ])]),
        ),
        ("ack-refused", ack(refused.collect())),
        ("lease-held", HubFrame::Lease { conversation: CONVERSATION, holder: Some(MemberId(12)), for_ms: 5_000 }),
        ("lease-ended", HubFrame::Lease { conversation: CONVERSATION, holder: None, for_ms: 0 }),
        ("draining", HubFrame::Draining {}),
        ("pong", HubFrame::Pong {}),
        ("fetched-more", HubFrame::Fetched { tag: 80, conversation: CONVERSATION, before: Some(2) }),
        ("fetched-all", HubFrame::Fetched { tag: 80, conversation: CONVERSATION, before: None }),
    ];
    for (name, refusal) in refusals() {
        let name = match name {
            "busy" => "refusal-busy",
            "lease-held" => "refusal-lease-held",
            _ => continue,
        };
        frames.push((name, HubFrame::Refusal { tag: Some(81), refusal: refusal.clone() }));
    }
    frames.push(("refusal-session", HubFrame::Refusal { tag: None, refusal: RefusalCode::DeviceRevoked.into() }));
    frames
}
