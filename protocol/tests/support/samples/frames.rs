//! Every frame, with and without what is optional.

use lockstep_protocol::cursor::CursorTag;
use lockstep_protocol::directory::{CollisionPolicy, Member, Policy, Role};
use lockstep_protocol::entry::{CollisionCause, Delivery, Entry, EntryBody, Resolution, Verdict};
use lockstep_protocol::frame::{
    Catalogue, CatalogueConversation, CatalogueDocument, Command, DeviceFrame, Enrol, Entries, EntryBytes, Fetch,
    Grant, Hello, HubFrame, ListedDevice, Marker, OfferedEntry, Outcome, Push, PushedFact, Resolve, Snapshot,
    TailEntry, Team, Welcome,
};
use lockstep_protocol::id::{ActorId, ConversationId, DocumentKind, HashPrefix, Lsn, MemberId, PublicKey, Signature};
use lockstep_protocol::keep::Keep;
use lockstep_protocol::limits;
use lockstep_protocol::refusal::{Refusal, RefusalCode};
use lockstep_protocol::snapshot::{DocumentDigest, Table, TableEvent, TableFact};

use super::{
    CARD, CODE, CONVERSATION, DEVICE, EPOCH, HUB, IMPORTED, NONCE, OLD_EPOCH, SEGMENT, TIME_MS, chains, conversation,
    cursor, entries, flagged, held, imported, member, message_id, sequence, stamp,
};

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
        (
            "command-conversation-keep",
            command(Command::ConversationKeep { conversation: CONVERSATION, keep: Keep::days(7) }),
        ),
        (
            "command-conversation-keep-unset",
            command(Command::ConversationKeep { conversation: CONVERSATION, keep: None }),
        ),
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
                    keep: None,
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
                shredded: None,
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
                shredded: None,
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
                shredded: None,
            }),
        ),
        (
            "catalogue-last-shredded",
            HubFrame::Catalogue(Catalogue {
                tag: None,
                page: 1,
                conversations: Vec::new(),
                team: None,
                end: Some(cursor(24)),
                shredded: Some(vec![ConversationId(sequence(0x11)), CONVERSATION]),
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
                shredded: None,
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
