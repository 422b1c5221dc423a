//! A hub with one conversation, one writer and n other sessions, and a driver that costs nothing.

use std::sync::Arc;

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::audit::AuditHead;
use lockstep_core::effect::Effect;
use lockstep_core::hub::{Boot, Hub, HubConfig};
use lockstep_core::input::{Input, Now, SessionId};
use lockstep_core::planted::Planted;
use lockstep_core::query::{Answer, Query};
use lockstep_core::scan::ScanRow;
use lockstep_core::sensitive::NoWords;
use lockstep_protocol::auth::{DeviceKey, Transcript};
use lockstep_protocol::change::{self, ChainHead};
use lockstep_protocol::codec;
use lockstep_protocol::directory::{Conversation, Device, Member, Policy, Role};
use lockstep_protocol::entry::{HubKey, LogChain};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, Hello, HubFrame, Push, PushedFact};
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, HubId, Lsn, MemberId, MessageId, Nonce, PinnedKeyHash,
};
use lockstep_protocol::limits;

const TALK: ConversationId = ConversationId([1; 16]);

/// The hub and its writer.
#[derive(Debug)]
pub struct HubStage {
    hub: Hub,
    now: Now,
    writer: Writer,
    effects: Vec<Effect>,
}

#[derive(Debug)]
struct Writer {
    key: DeviceKey,
    session: SessionId,
    document: DocumentId,
    actor: ActorId,
    head: ChainHead,
    in_segment: u32,
    written: u64,
}

impl HubStage {
    /// A hub with a writer and this many other sessions, all owners.
    ///
    /// # Panics
    /// If the hub does not let them in.
    #[must_use]
    pub fn new(readers: u8) -> Self {
        let keys: Vec<DeviceKey> = (0..=readers).map(|n| DeviceKey::new(&[n + 1; 32])).collect();
        let devices = keys.iter().map(|key| Device { key: key.public(), member: MemberId(1), name: "device".into() });
        let (hub_id, pinned) = (HubId([2; 16]), PinnedKeyHash([3; 32]));
        let boot = Boot {
            hub: hub_id,
            key: HubKey::new(&[4; 32]),
            pinned,
            epochs: Vec::new(),
            head: Lsn::ZERO,
            chain: LogChain::default(),
            at_ms: 0,
            floor: Lsn::ZERO,
            members: [(MemberId(1), Member { id: MemberId(1), name: "Owner".into(), role: Role::Owner })].into(),
            devices: devices.map(|device| (device.id(), device)).collect(),
            revoked: BTreeSet::new(),
            policy: Policy::default(),
            seen: BTreeMap::new(),
            audit: AuditHead::default(),
            restored: false,
            outside: Vec::new(),
            words: Arc::new(NoWords),
            scan: ScanRow::default(),
            shredded: BTreeMap::new(),
            entropy: [5; 32],
            config: HubConfig { retention_ms: u64::MAX, compact_tail: u32::MAX, ..HubConfig::default() },
            planted: Planted::default(),
        };
        let now = Now { wall_ms: 1_790_000_000_000, mono_ms: 1_000 };
        let mut effects = Vec::new();
        let hub = Hub::new(boot, now, &mut effects);
        let document = DocumentId::segment(TALK, 0);
        let key = keys[0].clone();
        let writer = Writer {
            actor: ActorId::derive(&key.public(), &Nonce([9; 16]), document),
            key,
            session: SessionId(0),
            document,
            head: ChainHead::empty(document.kind),
            in_segment: 0,
            written: 0,
        };
        let mut stage = Self { hub, now, writer, effects };
        stage.carry_out();
        let conversation =
            Conversation { id: TALK, customer: "Customer".into(), service: None, assigned: Vec::new(), keep: None };
        let command = Command::ConversationOpen(conversation);
        stage.input(Input::Administered { request: 0, command, entropy: [6; 32] });
        for (number, key) in keys.iter().enumerate() {
            let session = SessionId(number as u64);
            stage.hub.handle(now, Input::Connected { session, entropy: [7; 32] }, &mut stage.effects);
            let nonce = stage.effects.drain(..).find_map(|effect| match effect {
                Effect::Send { bytes, .. } => match codec::decode_hub(&bytes) {
                    Ok(Some(HubFrame::Challenge { nonce, .. })) => Some(nonce),
                    _ => None,
                },
                _ => None,
            });
            let (nonce, device) = (nonce.expect("a challenge"), DeviceId::of(&key.public()));
            let version = limits::PROTOCOL_VERSION;
            let proof = Transcript { hub: hub_id, pinned, nonce, device, version }.sign_hello(key);
            let hello = Hello { version, device, proof, cursor: None, witness: None, capabilities: 0 };
            stage.input(Input::FrameReceived { session, frame: Ok(DeviceFrame::Hello(hello)) });
        }
        stage
    }

    /// Writes this many messages before anything is measured.
    pub fn write(&mut self, messages: u32) {
        for frame in self.prepare(messages) {
            self.handle(frame);
        }
    }

    /// The next pushes, one message of 100 bytes each, derived as the device would.
    pub fn prepare(&mut self, pushes: u32) -> Vec<DeviceFrame> {
        (0..pushes).map(|_| self.writer.next_push()).collect()
    }

    /// Handles one push until the last session has it; answers the bytes sent.
    ///
    /// # Panics
    /// If the hub asks for a row, or does not send to every session.
    pub fn handle(&mut self, frame: DeviceFrame) -> usize {
        let session = self.writer.session;
        self.hub.handle(self.now, Input::FrameReceived { session, frame: Ok(frame) }, &mut self.effects);
        let mut sent = 0;
        let mut effects = std::mem::take(&mut self.effects);
        let mut at = 0;
        while at < effects.len() {
            let input = match &effects[at] {
                Effect::Commit(batch) => Some(Input::Committed { ticket: batch.ticket }),
                Effect::Send { session, bytes } => {
                    sent += bytes.len();
                    Some(Input::Sent { session: *session, bytes: bytes.len() })
                }
                Effect::Load(query) => panic!("a row was asked for on the hot path: {query:?}"),
                _ => None,
            };
            at += 1;
            if let Some(input) = input {
                self.hub.handle(self.now, input, &mut effects);
            }
        }
        effects.clear();
        self.effects = effects;
        sent
    }

    fn input(&mut self, input: Input) {
        self.hub.handle(self.now, input, &mut self.effects);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                let input = match effect {
                    Effect::Commit(batch) => Input::Committed { ticket: batch.ticket },
                    Effect::Send { session, bytes } => Input::Sent { session, bytes: bytes.len() },
                    Effect::Load(query) => {
                        let answer = match &query {
                            Query::Conversation(_) => Answer::Conversation(None),
                            Query::Catalogue { .. } => Answer::Catalogue { conversations: Vec::new(), last: true },
                            Query::Log { after, .. } => Answer::Log {
                                entries: Vec::new(),
                                upto: *after,
                                chain: LogChain::default(),
                                read_at: *after,
                            },
                            other => panic!("not expected at the start: {other:?}"),
                        };
                        Input::Loaded { query, outcome: Ok(answer) }
                    }
                    Effect::Close { session, reason } => panic!("{session:?} was closed: {reason:?}"),
                    _ => continue,
                };
                self.hub.handle(self.now, input, &mut self.effects);
            }
        }
    }
}

impl Writer {
    fn next_push(&mut self) -> DeviceFrame {
        if self.in_segment == limits::SEGMENT_OPEN_MESSAGES {
            self.document.number += 1;
            self.actor = ActorId::derive(&self.key.public(), &Nonce([9; 16]), self.document);
            self.head = ChainHead::empty(self.document.kind);
            self.in_segment = 0;
        }
        self.in_segment += 1;
        self.written += 1;
        let id = MessageId::from_parts(1_700_000_000_000 + self.written, 7);
        let body =
            "A message of one hundred bytes, as long as most of what people write to each other in a working day."
                [..100]
                .to_owned();
        let (by, dir, kind) = (MemberId(1), Direction::Note, "text".to_owned());
        let fact = Fact::Message(Message { id, by, dir, kind, body, seen: None, re: None, media: None, src: None });
        let nonce = (self.head.seq == 0).then_some(Nonce([9; 16]));
        self.head = change::derive(&self.actor, &self.head, &fact);
        let (tag, seq) = (self.written, self.head.seq);
        let facts = vec![PushedFact { hash: self.head.hash.prefix(), fact }];
        DeviceFrame::Push(Push { tag, document: self.document, actor: self.actor, nonce, seq, facts })
    }
}
