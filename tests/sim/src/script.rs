//! Bytes as a script of inputs to one hub: the body of the fuzz target `hub_script`, also run over its corpus by a test.
//!
//! Whatever the bytes say, the hub must not panic, LSNs must grow by one, every frame must be well formed and within
//! its limit, and a member who may see nothing must be sent nothing of the conversation.

use lockstep_core::effect::Batch;
use lockstep_core::hub::{HubConfig, SegmentLimits};
use lockstep_core::input::{Input, SessionId};
use lockstep_protocol::codec;
use lockstep_protocol::cursor::{Cursor, CursorTag};
use lockstep_protocol::directory::{CollisionPolicy, Conversation, Policy, Role};
use lockstep_protocol::entry::{Delivery, Entry, EntryBody, Resolution};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, Fetch, HubFrame, OfferedEntry, Outcome, Resolve};
use lockstep_protocol::id::{ConversationId, DocumentId, Epoch, FactId, Lsn, MemberId, MessageId};
use lockstep_protocol::limits;

use crate::local::{LocalChain, LocalDevice, LocalHub};
use crate::store::Disk;
use crate::worker::Worker;

const TALK: ConversationId = ConversationId([0xc1; 16]);
/// Roles of the devices, in order; the last may see nothing.
const TEAM: [(u32, Role); 5] =
    [(2, Role::Agent), (3, Role::Agent), (4, Role::Manager), (5, Role::Service), (6, Role::Agent)];
const OUTSIDER: usize = 4;
const STEPS_MAX: usize = 256;

/// Runs the script that the bytes spell.
///
/// # Panics
/// If the hub breaks one of the rules in the module's text: that is what a fuzzer looks for.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    for _ in 0..STEPS_MAX {
        if script.source.is_empty() {
            break;
        }
        script.step();
        script.check();
    }
}

/// Runs the script with real compaction, and answers what became durable in it and the disk that it came to: for a store
/// that is to be held against the reference.
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn record(bytes: &[u8]) -> (Vec<Batch>, Disk) {
    let mut script = Script::new(bytes);
    script.hub.worker = Some(Worker::Automerge);
    for _ in 0..STEPS_MAX {
        if script.source.is_empty() {
            break;
        }
        script.step();
    }
    (script.hub.committed, script.hub.store.disk)
}

/// The bytes, taken from the front; zeros once they have run out.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

struct Script<'a> {
    source: Source<'a>,
    hub: LocalHub,
    devices: Vec<LocalDevice>,
    chains: Vec<LocalChain>,
    messages: Vec<MessageId>,
    cursors: Vec<Cursor>,
    entries: Vec<OfferedEntry>,
    drawn: u128,
    checked: Lsn,
}

impl<'a> Script<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut hub = LocalHub::new(HubConfig {
            retention_ms: 60_000,
            keep_look_ms: 5_000,
            keep_hold_ms: 0,
            session_queue_bytes_max: 4_096,
            log_read_bytes_max: 2_048,
            conversations_bytes_max: 4_096,
            compact_tail: 16,
            segment: SegmentLimits {
                open_messages: 4,
                open_ops: 40,
                open_text_bytes: 2_048,
                late_message_ops: 60,
                late_edit_ops: 80,
            },
        });
        for (member, role) in TEAM {
            hub.add_member(member, role);
        }
        let assigned = vec![MemberId(2), MemberId(3)];
        let conversation =
            Conversation { id: TALK, customer: "Casa".into(), service: Some(MemberId(5)), assigned, keep: None };
        assert!(matches!(hub.administer(Command::ConversationOpen(conversation)), Outcome::Done(_)));
        let devices: Vec<LocalDevice> =
            TEAM.iter().map(|(member, _)| hub.enrol(*member, u8::try_from(*member).expect("few members"))).collect();
        let chains = devices.iter().map(|device| device.chain(DocumentId::segment(TALK, 0), 1)).collect();
        Self {
            source: Source(bytes),
            hub,
            devices,
            chains,
            messages: vec![MessageId::default()],
            cursors: vec![Cursor::default()],
            entries: Vec::new(),
            drawn: 0,
            checked: Lsn::ZERO,
        }
    }

    fn step(&mut self) {
        let op = self.source.byte();
        let who = self.source.below(self.devices.len());
        let session = self.devices[who].session;
        match op % 18 {
            0..=3 => self.push(who),
            4 => {
                let len = self.source.below(64);
                let bytes = self.source.take(len);
                if let Some(frame) = codec::decode_device(&bytes).transpose() {
                    self.hub.input(Input::FrameReceived { session, frame });
                }
            }
            5 => {
                let ms = u64::from(self.source.byte()) * 100;
                self.hub.advance(ms);
            }
            6 => self.hub.input(Input::Disconnected { session }),
            7 => {
                let (cursor, witness) = (self.cursor(), self.cursor());
                // The device takes its chains along.
                let device = &mut self.devices[who];
                let frames = self.hub.hello(device, cursor, witness);
                self.chains[who].session = device.session;
                self.learn(who, frames);
            }
            8 => self.send(who, &DeviceFrame::Typing { conversation: TALK }),
            9 => {
                let message = self.message();
                self.send(who, &DeviceFrame::Mark { tag: 5, conversation: TALK, message });
            }
            10 => {
                let (message, seen) = (self.message(), Some(self.message()));
                let resolution =
                    if self.source.byte().is_multiple_of(2) { Resolution::Send } else { Resolution::Discard };
                let resolve = Resolve { tag: 1, conversation: TALK, message, resolution, seen };
                self.send(who, &DeviceFrame::Resolve(resolve));
            }
            11 => self.offer(who),
            12 => {
                let before = Some(u32::from(self.source.byte())).filter(|number| *number < 128);
                let limit = 1 + u32::from(self.source.byte()) % limits::FETCH_SEGMENTS_MAX;
                self.send(
                    who,
                    &DeviceFrame::Fetch(Fetch { tag: 2, conversation: TALK, before, limit, imported: false }),
                );
            }
            13 => {
                let command = self.command();
                self.send(who, &DeviceFrame::Command { tag: 3, command });
            }
            14 => self.hub.reads = !self.hub.reads,
            15 => {
                let bytes = usize::from(self.source.byte()) * 16;
                self.hub.input(Input::Sent { session, bytes });
            }
            16 => {
                let back = u64::from(self.source.byte()) * 1_000;
                self.hub.now.wall_ms = self.hub.now.wall_ms.saturating_sub(back);
            }
            _ => {
                let command = self.command();
                self.hub.administer(command);
            }
        }
    }

    fn push(&mut self, who: usize) {
        let fact = self.fact(who);
        let twist = self.source.byte();
        if twist % 32 == 5 {
            let number = u32::from(self.source.byte()) % 4;
            self.chains[who] = self.devices[who].chain(DocumentId::segment(TALK, number), twist);
        } else if twist % 32 == 6 {
            self.chains[who] = self.devices[who].chain(DocumentId::card(TALK, 0), twist);
        }
        let mut push = self.chains[who].push_of(std::slice::from_ref(&fact));
        match twist % 32 {
            0 => push.seq = push.seq.wrapping_add(u32::from(self.source.byte())),
            1 => push.facts[0].hash.0[0] ^= 1,
            2 => push.actor.0[0] ^= 1,
            3 => push.nonce = None,
            4 => push.document.number = u32::from(self.source.byte()),
            _ => {}
        }
        self.send(who, &DeviceFrame::Push(push.clone()));
        let stands = self.hub.store.disk.log.values().next_back().and_then(|entry| Entry::from_bytes(&entry.bytes));
        let placed = stands.is_some_and(
            |entry| matches!(&entry.body, EntryBody::Fact(placed) if placed.fact == fact && placed.actor == push.actor),
        );
        if placed {
            self.chains[who].advance(&fact);
        }
    }

    fn fact(&mut self, who: usize) -> Fact {
        self.drawn += 1;
        let ahead = u64::from(self.source.byte()) * 2_000;
        let time_ms = self.hub.now.wall_ms + ahead.saturating_sub(60_000);
        let id = FactId::from_parts(time_ms, self.drawn);
        let by = MemberId(TEAM[who].0);
        let message = self.message();
        match self.source.below(8) {
            0..=3 => {
                let dir = [Direction::Out, Direction::Out, Direction::Note, Direction::In][self.source.below(4)];
                let seen = (dir == Direction::Out).then_some(message);
                let body = "x".repeat(1 + self.source.below(200));
                let id = MessageId(id.0);
                self.messages.push(id);
                let kind = "text".into();
                Fact::Message(Message { id, by, dir, kind, body, seen, re: None, media: None, src: None })
            }
            4 => Fact::Edit { message, id, body: "edit".into() },
            5 => Fact::Retraction { message, id, reason: String::new() },
            6 => Fact::Reaction { message, by, id, emoji: "🙂".into() },
            _ => Fact::Field { name: "city".into(), id, value: "Lisboa".into() },
        }
    }

    fn message(&mut self) -> MessageId {
        let at = self.source.below(self.messages.len());
        self.messages[at]
    }

    /// A cursor that the hub gave once, or one with a forged part.
    fn cursor(&mut self) -> Option<Cursor> {
        let at = self.source.below(self.cursors.len());
        let mut cursor = self.cursors[at];
        match self.source.byte() % 8 {
            0 => return None,
            1 => cursor.lsn.0 += 1,
            2 => cursor.tag = CursorTag::default(),
            3 => cursor.epoch = Epoch::default(),
            _ => {}
        }
        Some(cursor)
    }

    fn offer(&mut self, who: usize) {
        let mut entries = Vec::new();
        for _ in 0..self.source.below(4) {
            if self.entries.is_empty() {
                break;
            }
            let at = self.source.below(self.entries.len());
            let mut offered = self.entries[at].clone();
            match self.source.byte() % 8 {
                0 => offered.stamp.at_ms += 1,
                1 => offered.stamp.mac.0[0] ^= 1,
                2 => offered.epoch = Epoch::default(),
                _ => {}
            }
            entries.push(offered);
        }
        self.send(who, &DeviceFrame::Offer { tag: 4, entries });
    }

    fn command(&mut self) -> Command {
        let member = MemberId(TEAM[self.source.below(4)].0);
        match self.source.below(8) {
            0 => Command::Assign { conversation: TALK, member },
            1 => Command::Unassign { conversation: TALK, member },
            2 => {
                Command::MemberRole { member, role: [Role::Agent, Role::Auditor, Role::Manager][self.source.below(3)] }
            }
            3 => {
                let collision = [CollisionPolicy::Hold, CollisionPolicy::Flag][self.source.below(2)];
                Command::PolicySet(Policy { collision, ..Policy::default() })
            }
            4 => Command::DeviceRevoke { device: self.devices[self.source.below(4)].id() },
            5 => {
                let delivery = [Delivery::Sending, Delivery::Sent, Delivery::Failed][self.source.below(3)];
                Command::Deliver { conversation: TALK, message: self.message(), delivery }
            }
            6 => Command::Invite { member },
            _ => Command::MemberRemove { member },
        }
    }

    fn send(&mut self, who: usize, frame: &DeviceFrame) {
        let session = self.devices[who].session;
        let frames = self.hub.send(session, frame);
        self.learn(who, frames);
    }

    /// Takes note of what a device was told, for cursors and offers.
    fn learn(&mut self, who: usize, frames: Vec<HubFrame>) {
        for frame in frames {
            self.look(who, &frame);
            match frame {
                HubFrame::Ack { witness, .. } => self.cursors.push(witness),
                HubFrame::Catalogue(catalogue) => self.cursors.extend(catalogue.end),
                _ => {}
            }
        }
        self.cursors.truncate(64);
    }

    /// A member who may see nothing is sent nothing of the conversation.
    fn look(&self, who: usize, frame: &HubFrame) {
        if who != OUTSIDER {
            return;
        }
        match frame {
            HubFrame::Entries(entries) => {
                for entry in &entries.entries {
                    let entry = Entry::from_bytes(&entry.0).expect("the hub sends its own entries");
                    assert_eq!(entry.body.conversation(), None, "an outsider was sent {entry:?}");
                }
                assert!(entries.granted.is_empty(), "an outsider was granted something");
            }
            HubFrame::Catalogue(catalogue) => assert!(catalogue.conversations.is_empty(), "{catalogue:?}"),
            HubFrame::Snapshot(_) | HubFrame::Lease { .. } | HubFrame::Fetched { .. } => {
                panic!("an outsider was sent {frame:?}")
            }
            _ => {}
        }
    }

    /// What must hold after every step.
    fn check(&mut self) {
        let sessions: Vec<SessionId> = self.devices.iter().map(|device| device.session).collect();
        for (who, session) in sessions.into_iter().enumerate() {
            let frames = self.hub.take(session);
            self.learn(who, frames);
        }
        for (session, bytes) in std::mem::take(&mut self.hub.sent) {
            assert!(bytes.len() <= limits::FRAME_BYTES_MAX, "{session:?} was sent {} bytes", bytes.len());
        }
        let log = &self.hub.store.disk.log;
        for (lsn, entry) in log.range(self.checked.next()..) {
            assert_eq!(*lsn, self.checked.next(), "LSNs grow by one");
            self.checked = *lsn;
            let entry = Entry::from_bytes(&entry.bytes).expect("the log holds entries");
            assert_eq!(entry.stamp.lsn, *lsn);
            if matches!(entry.body, EntryBody::Fact(_) | EntryBody::Resolved { .. }) && self.entries.len() < 64 {
                let epoch = self.hub.hub.epoch();
                self.entries.push(OfferedEntry { epoch, stamp: entry.stamp, body: entry.body });
            }
        }
    }
}
