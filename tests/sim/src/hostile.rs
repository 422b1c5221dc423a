//! A device with a real enrolment and hand-made frames. It must never harm others or get what its member may not see.

use std::collections::BTreeMap;

use bytes::Bytes;
use lockstep_protocol::auth::{DeviceKey, Transcript};
use lockstep_protocol::change::{ChainHead, derive};
use lockstep_protocol::codec;
use lockstep_protocol::cursor::{Cursor, CursorTag};
use lockstep_protocol::directory::{Policy, Role};
use lockstep_protocol::entry::{Entry, EntryBody, Mac, PlacedFact, Resolution, Stamp, Verdict};
use lockstep_protocol::fact::{Direction, Fact, Media, Message};
use lockstep_protocol::frame::{
    Command, DeviceFrame, Enrol, Fetch, Hello, HubFrame, OfferedEntry, Outcome, Push, PushedFact, Resolve,
};
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, Epoch, FactId, HashPrefix, HubId, InviteCode, Lsn, MediaHash,
    MemberId, MessageId, Nonce, PinnedKeyHash,
};
use lockstep_protocol::limits::PROTOCOL_VERSION;

use crate::rng::Rng;

/// The attacker's state.
#[derive(Debug)]
pub struct Hostile {
    key: DeviceKey,
    code: InviteCode,
    /// Its enrolment went through.
    pub welcomed: bool,
    enrolled: bool,
    member: MemberId,
    epoch: Epoch,
    messages: Vec<(ConversationId, MessageId, MemberId)>,
    stolen: Vec<OfferedEntry>,
    cursors: Vec<Cursor>,
    chains: BTreeMap<DocumentId, (Nonce, ActorId, ChainHead)>,
    pending: Option<(DocumentId, Nonce, ActorId, ChainHead)>,
    forge_next: u64,
}

impl Hostile {
    /// An attacker that can enrol once.
    #[must_use]
    pub fn new(key: DeviceKey, code: InviteCode) -> Self {
        Self {
            key,
            code,
            welcomed: false,
            enrolled: false,
            member: MemberId::HUB,
            epoch: Epoch::default(),
            messages: Vec::new(),
            stolen: Vec::new(),
            cursors: Vec::new(),
            chains: BTreeMap::new(),
            pending: None,
            forge_next: 0,
        }
    }

    /// What it answers to a frame.
    pub fn hears(&mut self, frame: HubFrame, pinned: PinnedKeyHash, rng: &mut Rng) -> Vec<Bytes> {
        match frame {
            HubFrame::Challenge { nonce, hub } => vec![self.proves(nonce, hub, pinned, rng)],
            HubFrame::Welcome(welcome) => {
                (self.welcomed, self.enrolled) = (true, true);
                self.member = welcome.member;
                if self.epoch != welcome.epoch {
                    self.chains.clear();
                }
                self.epoch = welcome.epoch;
                Vec::new()
            }
            HubFrame::Entries(entries) => {
                self.cursors.push(Cursor { epoch: self.epoch, lsn: entries.upto, tag: entries.tag });
                for bytes in &entries.entries {
                    self.learns(&bytes.0);
                }
                Vec::new()
            }
            HubFrame::Ack { results, witness, .. } => {
                self.cursors.push(witness);
                if let (Some((document, nonce, actor, head)), Some(Outcome::Placed { hash, .. })) =
                    (self.pending.take(), results.last())
                    && *hash == head.hash.prefix()
                {
                    self.chains.insert(document, (nonce, actor, head));
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn learns(&mut self, bytes: &[u8]) {
        let Some(entry) = Entry::from_bytes(bytes) else { return };
        if let EntryBody::Fact(PlacedFact { document, fact: Fact::Message(message), .. }) = &entry.body {
            self.messages.push((document.conversation, message.id, message.by));
        }
        if matches!(entry.body, EntryBody::Fact(_) | EntryBody::Resolved { .. }) {
            self.stolen.push(OfferedEntry { epoch: self.epoch, stamp: entry.stamp, body: entry.body });
        }
    }

    fn proves(&mut self, nonce: Nonce, hub: HubId, pinned: PinnedKeyHash, rng: &mut Rng) -> Bytes {
        let public = self.key.public();
        let device = DeviceId::of(&public);
        let transcript = Transcript { hub, pinned, nonce, device, version: PROTOCOL_VERSION };
        let frame = if self.enrolled {
            let real = self.cursors.last().copied();
            let forged = Cursor {
                epoch: self.epoch,
                lsn: Lsn(real.map_or(5, |cursor| cursor.lsn.0) + 1 + rng.below(1_000)),
                tag: real.map_or(CursorTag::default(), |cursor| cursor.tag),
            };
            let older = self.cursors.get(rng.index(self.cursors.len())).copied();
            let (cursor, witness) = match std::mem::take(&mut self.forge_next) % 5 {
                1 => (Some(forged), Some(forged)),
                2 => (real, Some(forged)),
                3 => (Some(Cursor { epoch: Epoch(rng.bytes()), ..forged }), None),
                4 => (older, real),
                _ => (real, real),
            };
            let proof = transcript.sign_hello(&self.key);
            DeviceFrame::Hello(Hello { version: PROTOCOL_VERSION, device, proof, cursor, witness, capabilities: 0 })
        } else {
            let proof = transcript.sign_enrol(&self.key, &self.code);
            let name = "hostile".to_owned();
            DeviceFrame::Enrol(Enrol { version: PROTOCOL_VERSION, code: self.code, key: public, name, proof })
        };
        codec::encode(&frame).into()
    }

    /// Frames of one attack; none for the attack of connecting again with forged places.
    pub fn attacks(
        &mut self,
        wall_ms: u64,
        conversations: &[ConversationId],
        pick: u64,
        rng: &mut Rng,
    ) -> Option<Vec<Bytes>> {
        let conversation = conversations[rng.index(conversations.len())];
        let known = self.messages.get(rng.index(self.messages.len())).copied();
        let (target_in, target, target_by) =
            known.unwrap_or((conversation, MessageId::from_parts(wall_ms, u128::from(pick)), MemberId(1)));
        let document = DocumentId::segment(conversation, 0);
        let beside = DocumentId::segment(target_in, 0);
        let id = FactId::from_parts(wall_ms, u128::from(rng.any()));
        let note = self.message(wall_ms, Direction::Note, rng);
        let tag = rng.any() >> 1;
        let edit = |body: &str| Fact::Edit { message: target, id, body: body.to_owned() };
        let fact = |fact: Message| Fact::Message(fact);
        let frame = match pick % 31 {
            0..=2 => self.push(beside, vec![fact(note)], rng),
            3 => self.push(beside, vec![fact(Message { by: target_by, ..note })], rng),
            4 => self.push(beside, vec![fact(Message { dir: Direction::In, ..note })], rng),
            5 => self.push(beside, vec![fact(Message { src: Some("x".into()), ..note })], rng),
            6 => self.spoilt(beside, fact(note), rng, |push| push.actor.0[3] ^= 1),
            7 => self.spoilt(beside, fact(note), rng, |push| push.seq += 3),
            8 => self.spoilt(beside, fact(note), rng, |push| push.facts[0].hash = HashPrefix([7; 8])),
            9 => self.push(document, vec![fact(note)], rng),
            10 => self.push(beside, vec![edit("forged")], rng),
            11 => {
                let unknown = MessageId::from_parts(wall_ms, 77);
                self.push(beside, vec![Fact::Edit { message: unknown, id, body: "x".into() }], rng)
            }
            12 => {
                let far = wall_ms + 600_000 + rng.below(1_000_000_000);
                self.push(beside, vec![fact(Message { id: MessageId::from_parts(far, 1), ..note })], rng)
            }
            13 => self.push(beside, vec![fact(Message { id: MessageId::from_parts(1_000, 1), ..note })], rng),
            14 => self.push(beside, vec![fact(Message { body: "x".repeat(20_000), ..note })], rng),
            15 => self.push(beside, vec![fact(Message { id: target, ..note })], rng),
            16 => {
                let reaction = Fact::Reaction { message: target, by: MemberId(1), id, emoji: "x".into() };
                self.push(beside, vec![reaction], rng)
            }
            17 => self.push(beside, vec![Fact::Field { name: "Bad Name".into(), id, value: "x".into() }], rng),
            18 => self.push(DocumentId::segment(target_in, 1_000), vec![fact(note)], rng),
            19 => {
                let media = Media { hash: MediaHash([3; 32]), media_type: "a/b".into(), name: "n".into(), size: 1 };
                self.push(beside, vec![fact(Message { media: Some(media), ..note })], rng)
            }
            20 => self.offer(tag, conversation, rng),
            21 => {
                let resolution = if rng.chance(500) { Resolution::Send } else { Resolution::Discard };
                let seen = self.messages.last().map(|(_, id, _)| *id);
                let resolve = Resolve { tag, conversation: target_in, message: target, resolution, seen };
                DeviceFrame::Resolve(resolve)
            }
            22 => DeviceFrame::Command { tag, command: self.command(conversation, rng) },
            23 => {
                let len = rng.below(60) as usize;
                return Some(vec![(0..len).map(|_| rng.any() as u8).chain([0xff]).collect::<Vec<u8>>().into()]);
            }
            24 => {
                let typing: Bytes = codec::encode(&DeviceFrame::Typing { conversation }).into();
                return Some(vec![typing; 100]);
            }
            25 => DeviceFrame::Fetch(Fetch {
                tag,
                conversation,
                before: None,
                limit: 16,
                imported: tag.is_multiple_of(2),
            }),
            26 => DeviceFrame::Mark { tag: 9, conversation, message: target },
            27 => {
                let facts = (0..20).map(|_| Fact::Message(self.message(wall_ms, Direction::Note, rng))).collect();
                self.push(beside, facts, rng)
            }
            28 => {
                // Another fact at a place that is taken.
                let (nonce, actor, _) = self.chains.get(&beside).copied()?;
                let empty = ChainHead::empty(beside.kind);
                let forked = Fact::Message(note);
                let hash = derive(&actor, &empty, &forked).hash.prefix();
                let facts = vec![PushedFact { hash, fact: forked }];
                DeviceFrame::Push(Push { tag, document: beside, actor, nonce: Some(nonce), seq: 1, facts })
            }
            _ => {
                self.forge_next = rng.between(1, 4);
                return None;
            }
        };
        Some(vec![codec::encode(&frame).into()])
    }

    fn message(&self, wall_ms: u64, dir: Direction, rng: &mut Rng) -> Message {
        Message {
            id: MessageId::from_parts(wall_ms, u128::from(rng.any())),
            by: self.member,
            dir,
            kind: "text".into(),
            body: "hostile".into(),
            seen: None,
            re: None,
            media: None,
            src: None,
        }
    }

    /// A push of facts at the right place of an own chain.
    fn push(&mut self, document: DocumentId, facts: Vec<Fact>, rng: &mut Rng) -> DeviceFrame {
        let fresh = Nonce(rng.bytes());
        let (nonce, actor, mut head) = self.chains.get(&document).copied().unwrap_or_else(|| {
            (fresh, ActorId::derive(&self.key.public(), &fresh, document), ChainHead::empty(document.kind))
        });
        let seq = head.seq + 1;
        let nonce_sent = (seq == 1).then_some(nonce);
        let mut pushed = Vec::new();
        for fact in facts {
            head = derive(&actor, &head, &fact);
            pushed.push(PushedFact { hash: head.hash.prefix(), fact });
        }
        self.pending = Some((document, nonce, actor, head));
        DeviceFrame::Push(Push { tag: rng.any() >> 1, document, actor, nonce: nonce_sent, seq, facts: pushed })
    }

    fn spoilt(
        &mut self,
        document: DocumentId,
        fact: Fact,
        rng: &mut Rng,
        spoil: impl FnOnce(&mut Push),
    ) -> DeviceFrame {
        let mut frame = self.push(document, vec![fact], rng);
        if let DeviceFrame::Push(push) = &mut frame {
            spoil(push);
        }
        frame
    }

    /// Entries that the hub never stamped so.
    fn offer(&mut self, tag: u64, conversation: ConversationId, rng: &mut Rng) -> DeviceFrame {
        let mut entries: Vec<OfferedEntry> = Vec::new();
        if let Some(stolen) = self.stolen.get(rng.index(self.stolen.len())).cloned() {
            let mut forged = stolen.clone();
            forged.stamp.verdict = Verdict::Accepted;
            forged.stamp.member = self.member;
            forged.stamp.at_ms += 1;
            if let EntryBody::Fact(PlacedFact { fact: Fact::Message(message), .. }) = &mut forged.body {
                message.body = "never written".into();
                message.id.0[15] ^= 0x55;
            }
            entries.extend([stolen, forged]);
        }
        let document = DocumentId::segment(conversation, 0);
        let actor = ActorId(rng.bytes());
        let message = self.message(1_900_000_100_000, Direction::Out, rng);
        let body = EntryBody::Fact(PlacedFact {
            document,
            actor,
            seq: 1,
            hash: HashPrefix(rng.bytes()),
            fact: Fact::Message(message),
            opening: None,
            origin: None,
        });
        let stamp = Stamp {
            lsn: Lsn(1 + rng.below(500)),
            at_ms: 1_900_000_100_000,
            member: MemberId(1),
            verdict: Verdict::Accepted,
            mac: Mac(rng.bytes()),
        };
        entries.push(OfferedEntry { epoch: self.epoch, stamp, body });
        DeviceFrame::Offer { tag, entries }
    }

    fn command(&self, conversation: ConversationId, rng: &mut Rng) -> Command {
        match rng.below(5) {
            0 => Command::MemberRole { member: self.member, role: Role::Owner },
            1 => Command::PolicySet(Policy { services_lock: true, ..Policy::default() }),
            2 => Command::Assign { conversation, member: self.member },
            3 => Command::Invite { member: MemberId(1) },
            _ => Command::MemberRemove { member: MemberId(1) },
        }
    }
}
