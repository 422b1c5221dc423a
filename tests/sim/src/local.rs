//! One hub with a store that answers at once: for tests of single rules, fuzzing and benches, where no fault is wanted.

use std::collections::VecDeque;

use bytes::Bytes;
use lockstep_core::effect::{Batch, CloseReason, Effect, ImportPlan, Report};
use lockstep_core::hub::{Boot, Hub, HubConfig};
use lockstep_core::input::{ApplyFailure, ImportSegment, Input, Now, SessionId};
use lockstep_core::planted::Planted;
use lockstep_core::query::{Answer, LoadFailure, Query};
use lockstep_protocol::auth::{DeviceKey, Transcript};
use lockstep_protocol::change::{self, ChainHead};
use lockstep_protocol::codec;
use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::directory::{Member, Role};
use lockstep_protocol::entry::HubKey;
use lockstep_protocol::fact::Fact;
use lockstep_protocol::frame::{Command, DeviceFrame, Enrol, Hello, HubFrame, Outcome, Push, PushedFact};
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, HubId, ImportId, MemberId, Nonce, PinnedKeyHash,
};
use lockstep_protocol::import::{self, ImportPlace};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::Refusal;

use crate::store::{Identity, Store};
use crate::worker::Worker;

/// The hub, its store, and everything that it has sent and said.
#[derive(Debug)]
pub struct LocalHub {
    /// The hub under test.
    pub hub: Hub,
    /// Its store.
    pub store: Store,
    /// Frames sent and not yet taken, in order.
    pub sent: VecDeque<(SessionId, Bytes)>,
    /// Conversations whose keys were destroyed.
    pub shredded: Vec<ConversationId>,
    /// Sessions that the hub closed.
    pub closed: Vec<(SessionId, CloseReason)>,
    /// What the hub reported.
    pub reports: Vec<Report>,
    /// The time of the next input.
    pub now: Now,
    /// Whether what is sent leaves at once, so that credit returns.
    pub reads: bool,
    /// Whether syncs and reads wait until [`LocalHub::release`] lets one of them end.
    pub holds: bool,
    held: Vec<Held>,
    /// Who compacts documents; without it every attempt fails as unreadable.
    pub worker: Option<Worker>,
    /// Every batch that became durable, in order.
    pub committed: Vec<Batch>,
    answers: Vec<Outcome>,
    plans: Vec<Result<ImportPlan, Box<Refusal>>>,
    identity: Identity,
    sessions: u64,
    drawn: u64,
}

impl LocalHub {
    /// A new hub at noon of some day, with an owner, member 1.
    #[must_use]
    pub fn new(config: HubConfig) -> Self {
        Self::with_pin(config, PinnedKeyHash([9; 32]))
    }

    /// As [`LocalHub::new`], for devices that pin this certificate key.
    #[must_use]
    pub fn with_pin(config: HubConfig, pinned: PinnedKeyHash) -> Self {
        Self::made(config, pinned, Planted::default())
    }

    /// As [`LocalHub::new`], with a bug.
    #[must_use]
    pub fn with_bug(config: HubConfig, planted: Planted) -> Self {
        Self::made(config, PinnedKeyHash([9; 32]), planted)
    }

    fn made(config: HubConfig, pinned: PinnedKeyHash, planted: Planted) -> Self {
        let identity = Identity { hub: HubId([7; 16]), key: HubKey::new(&[8; 32]), pinned, config, planted };
        let store = Store::default();
        let now = Now { wall_ms: 1_790_000_000_000, mono_ms: 1_000_000 };
        let mut effects = Vec::new();
        let hub = Hub::new(store.boot(&identity, false, [1; 32]), now, &mut effects);
        let mut local = Self {
            hub,
            store,
            sent: VecDeque::new(),
            shredded: Vec::new(),
            closed: Vec::new(),
            reports: Vec::new(),
            now,
            reads: true,
            holds: false,
            held: Vec::new(),
            worker: None,
            committed: Vec::new(),
            answers: Vec::new(),
            plans: Vec::new(),
            identity,
            sessions: 0,
            drawn: 0,
        };
        local.carry_out(effects);
        local.add_member(1, Role::Owner);
        local
    }

    /// Tells the hub something and carries out everything that follows from it.
    pub fn input(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.hub.handle(self.now, input, &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut waiting: VecDeque<Effect> = effects.into();
        while let Some(effect) = waiting.pop_front() {
            let input = match effect {
                Effect::Send { session, bytes } => {
                    let len = bytes.len();
                    self.sent.push_back((session, bytes));
                    if !self.reads {
                        continue;
                    }
                    Input::Sent { session, bytes: len }
                }
                Effect::Close { session, reason } => {
                    self.closed.push((session, reason));
                    Input::Disconnected { session }
                }
                Effect::Commit(batch) if self.holds => {
                    self.store.write(batch);
                    continue;
                }
                Effect::Load(query) if self.holds => {
                    self.held.push(Held::Read(query));
                    continue;
                }
                Effect::Commit(batch) => {
                    let ticket = batch.ticket;
                    self.store.write(batch);
                    self.committed.extend(self.store.synced());
                    Input::Committed { ticket }
                }
                Effect::Load(query) => Input::Loaded { outcome: Ok(self.store.disk.answer(&query)), query },
                Effect::Apply(apply) => {
                    let outcome = match self.worker {
                        Some(worker) => worker.apply(&self.store.disk, &apply),
                        None => Err(ApplyFailure::Unreadable),
                    };
                    Input::Applied { document: apply.document, outcome }
                }
                Effect::Scan(scan) => Input::Scanned {
                    document: scan.document,
                    hits: self.worker.unwrap_or(Worker::Facts).scan(&self.store.disk, &scan),
                },
                Effect::Shred(conversation) => {
                    self.store.disk.erase(conversation);
                    self.shredded.push(conversation);
                    Input::Shredded { conversation, done: true }
                }
                Effect::Answer { outcome, .. } => {
                    self.answers.push(outcome);
                    continue;
                }
                Effect::ImportPlanned { outcome, .. } => {
                    self.plans.push(outcome);
                    continue;
                }
                Effect::Report(report) => {
                    self.reports.push(report);
                    continue;
                }
                Effect::Drained | Effect::Stop => continue,
            };
            let mut effects = Vec::new();
            self.hub.handle(self.now, input, &mut effects);
            waiting.extend(effects);
        }
    }

    /// What waits: reads, answers on their way, and, as one, everything that is not synced.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.held.len() + usize::from(self.store.unsynced() > 0)
    }

    /// Lets one thing that waits go on: everything written is synced, or a row is read, or its answer arrives. What was
    /// read may be old when it arrives.
    pub fn release(&mut self, at: usize) {
        if at >= self.held.len() {
            let synced = self.store.synced();
            let newest = synced.last().map(|batch| batch.ticket);
            self.committed.extend(synced);
            if let Some(ticket) = newest {
                self.input(Input::Committed { ticket });
            }
            return;
        }
        match self.held.remove(at) {
            Held::Read(query) => {
                let outcome = Ok(self.store.disk.answer(&query));
                self.held.push(Held::Answer(query, outcome));
            }
            Held::Answer(query, outcome) => self.input(Input::Loaded { query, outcome }),
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, ms: u64) {
        self.now.wall_ms += ms;
        self.now.mono_ms += ms;
        self.input(Input::Ticked);
    }

    /// Runs a command as the hub's own machine.
    pub fn administer(&mut self, command: Command) -> Outcome {
        let entropy = self.draw();
        self.input(Input::Administered { request: 0, command, entropy });
        self.answers.pop().expect("every command is answered")
    }

    /// What another hub would start from on its store.
    #[must_use]
    pub fn boot(&self, restored: bool) -> Boot {
        self.store.boot(&self.identity, restored, [3; 32])
    }

    /// Destroys a conversation.
    pub fn shred(&mut self, conversation: ConversationId) -> Outcome {
        self.input(Input::ShredAsked { request: 0, conversation });
        self.answers.pop().expect("every shredding is answered")
    }

    /// Asks what a conversation has of some facts, and which imported segment comes next.
    ///
    /// # Errors
    /// The hub's refusal.
    pub fn plan_import(&mut self, conversation: ConversationId, facts: &[Fact]) -> Result<ImportPlan, Box<Refusal>> {
        let keys = import::keys(facts);
        self.input(Input::ImportAsked { request: 0, conversation, keys });
        self.take_plan()
    }

    /// The answer to the newest question about an import.
    ///
    /// # Errors
    /// The hub's refusal.
    pub fn take_plan(&mut self) -> Result<ImportPlan, Box<Refusal>> {
        self.plans.pop().expect("every plan is answered")
    }

    /// Imports facts as one segment at this place; `bytes` stand for its document.
    pub fn import(&mut self, document: DocumentId, import: ImportId, facts: &[Fact]) -> Outcome {
        let place = ImportPlace { hub: self.identity.hub, import, document };
        let empty = ChainHead::empty(document.kind);
        let head = facts.iter().fold(empty, |head, fact| change::derive(&place.actor(), &head, fact));
        self.import_segment(ImportSegment {
            document,
            import,
            facts: facts.to_vec(),
            head,
            bytes: Bytes::from_static(b"-"),
        })
    }

    /// Imports a segment as it is.
    pub fn import_segment(&mut self, segment: ImportSegment) -> Outcome {
        self.input(Input::ImportBuilt { request: 0, segment: Box::new(segment) });
        self.answers.pop().expect("every segment is answered")
    }

    /// Takes an import back.
    pub fn undo_import(&mut self, conversation: ConversationId, import: ImportId) -> Outcome {
        self.input(Input::UndoAsked { request: 0, conversation, import });
        self.answers.pop().expect("every undoing is answered")
    }

    /// Adds a member.
    pub fn add_member(&mut self, member: u32, role: Role) {
        let id = MemberId(member);
        let outcome = self.administer(Command::MemberAdd(Member { id, name: format!("Member {member}"), role }));
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }

    /// 32 bytes, different at each call.
    pub fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.drawn.to_le_bytes());
        bytes
    }

    /// Opens a connection and answers it with the challenge.
    pub fn connect(&mut self) -> (SessionId, Nonce) {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let entropy = self.draw();
        self.input(Input::Connected { session, entropy });
        match self.take(session).as_slice() {
            [HubFrame::Challenge { nonce, .. }] => (session, *nonce),
            other => panic!("a challenge was expected: {other:?}"),
        }
    }

    /// Sends a frame as a device would and answers what came back on that session.
    pub fn send(&mut self, session: SessionId, frame: &DeviceFrame) -> Vec<HubFrame> {
        let frame = codec::decode_device(&codec::encode(frame)).transpose().expect("a known frame");
        self.input(Input::FrameReceived { session, frame });
        self.take(session)
    }

    /// The frames sent to one session and not taken yet.
    pub fn take(&mut self, session: SessionId) -> Vec<HubFrame> {
        let mut frames = Vec::new();
        self.sent.retain(|(to, bytes)| {
            if *to == session {
                frames.push(codec::decode_hub(bytes).expect("well formed").expect("known"));
            }
            *to != session
        });
        frames
    }

    /// Enrols a device of a member.
    pub fn enrol(&mut self, member: u32, secret: u8) -> LocalDevice {
        let key = DeviceKey::new(&[secret; 32]);
        let Outcome::Invited { code, .. } = self.administer(Command::Invite { member: MemberId(member) }) else {
            panic!("an invitation was expected");
        };
        let (session, nonce) = self.connect();
        let transcript = self.transcript(&key, nonce);
        let proof = transcript.sign_enrol(&key, &code);
        let name = format!("device {secret}");
        let version = limits::PROTOCOL_VERSION;
        let frames = self.send(session, &DeviceFrame::Enrol(Enrol { version, code, key: key.public(), name, proof }));
        assert!(matches!(frames.first(), Some(HubFrame::Welcome(_))), "{frames:?}");
        LocalDevice { key, session, member: MemberId(member) }
    }

    /// Connects an enrolled device again.
    pub fn hello(
        &mut self,
        device: &mut LocalDevice,
        cursor: Option<Cursor>,
        witness: Option<Cursor>,
    ) -> Vec<HubFrame> {
        let (session, nonce) = self.connect();
        device.session = session;
        let proof = self.transcript(&device.key, nonce).sign_hello(&device.key);
        let (version, id) = (limits::PROTOCOL_VERSION, device.id());
        let hello = Hello { version, device: id, proof, cursor, witness, capabilities: 0 };
        self.send(session, &DeviceFrame::Hello(hello))
    }

    fn transcript(&self, key: &DeviceKey, nonce: Nonce) -> Transcript {
        Transcript {
            hub: self.identity.hub,
            pinned: self.identity.pinned,
            nonce,
            device: DeviceId::of(&key.public()),
            version: limits::PROTOCOL_VERSION,
        }
    }
}

/// Something that a held hub waits for.
#[derive(Debug)]
enum Held {
    /// A read that has not begun.
    Read(Query),
    /// What was read, on its way.
    Answer(Query, Result<Answer, LoadFailure>),
}

/// An enrolled device and its newest session.
#[derive(Debug)]
pub struct LocalDevice {
    /// Its key.
    pub key: DeviceKey,
    /// Its newest session.
    pub session: SessionId,
    /// Its member.
    pub member: MemberId,
}

impl LocalDevice {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId::of(&self.key.public())
    }

    /// An empty chain of it in a document.
    #[must_use]
    pub fn chain(&self, document: DocumentId, nonce: u8) -> LocalChain {
        let nonce = Nonce([nonce; 16]);
        let actor = ActorId::derive(&self.key.public(), &nonce, document);
        LocalChain { session: self.session, document, nonce, actor, head: ChainHead::empty(document.kind), tag: 0 }
    }
}

/// One chain as its author keeps it.
#[derive(Clone, Debug)]
pub struct LocalChain {
    /// Where it pushes.
    pub session: SessionId,
    /// Its document.
    pub document: DocumentId,
    /// Its nonce.
    pub nonce: Nonce,
    /// Its actor.
    pub actor: ActorId,
    /// Its end.
    pub head: ChainHead,
    tag: u64,
}

impl LocalChain {
    /// The push of the next facts. The chain goes on after them only by [`LocalChain::advance`].
    #[must_use]
    pub fn push_of(&self, facts: &[Fact]) -> Push {
        let mut head = self.head;
        let facts = facts.iter().map(|fact| {
            head = change::derive(&self.actor, &head, fact);
            PushedFact { hash: head.hash.prefix(), fact: fact.clone() }
        });
        Push {
            tag: self.tag,
            document: self.document,
            actor: self.actor,
            nonce: (self.head.seq == 0).then_some(self.nonce),
            seq: self.head.seq + 1,
            facts: facts.collect(),
        }
    }

    /// Pushes one fact and answers its outcome; the chain goes on if it was placed.
    pub fn push(&mut self, hub: &mut LocalHub, fact: &Fact) -> Outcome {
        let outcomes = self.push_raw(hub, self.push_of(std::slice::from_ref(fact)));
        let [outcome] = outcomes.as_slice() else { panic!("one outcome was expected: {outcomes:?}") };
        if matches!(outcome, Outcome::Placed { .. }) {
            self.advance(fact);
        }
        outcome.clone()
    }

    /// Goes on after a fact.
    pub fn advance(&mut self, fact: &Fact) {
        self.head = change::derive(&self.actor, &self.head, fact);
    }

    /// Pushes any frame and answers its outcomes.
    pub fn push_raw(&mut self, hub: &mut LocalHub, push: Push) -> Vec<Outcome> {
        self.tag += 1;
        let tag = push.tag;
        let frames = hub.send(self.session, &DeviceFrame::Push(push));
        let ack = frames.into_iter().find_map(|frame| match frame {
            HubFrame::Ack { tag: of, results, .. } if of == tag => Some(results),
            _ => None,
        });
        ack.expect("every push is acknowledged")
    }
}
