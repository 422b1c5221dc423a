//! Rights taken while their holder is busy: reconnecting, proving itself with old proofs, pushing, fetching, typing. The
//! disk and every read end in an order that is drawn. Nothing is accepted or told after the loss. DESIGN section 7.

use std::collections::BTreeMap;

use lockstep_core::audit::{Act, AuditRow};
use lockstep_core::hub::HubConfig;
use lockstep_core::input::{Input, SessionId};
use lockstep_core::planted::{HubBug, Planted};
use lockstep_protocol::auth::Transcript;
use lockstep_protocol::codec;
use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::directory::{Conversation, DirectoryEvent, Role};
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, Fetch, Hello, HubFrame, Outcome};
use lockstep_protocol::id::{ConversationId, DocumentId, HubId, Lsn, MemberId, MessageId, PinnedKeyHash};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::RefusalCode;
use lockstep_sim::local::{LocalChain, LocalDevice, LocalHub};
use lockstep_sim::rng::Rng;

const ROUNDS: u64 = 1_000;
const TALK: ConversationId = ConversationId([0xc1; 16]);
const AGENT: u32 = 2;
const COLLEAGUE: u32 = 3;

/// What is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    Device,
    Member,
    Assignment,
    Pen,
}

const LOSSES: [Loss; 4] = [Loss::Device, Loss::Member, Loss::Assignment, Loss::Pen];

impl Loss {
    fn command(self, device: &LocalDevice) -> Command {
        match self {
            Self::Device => Command::DeviceRevoke { device: device.id() },
            Self::Member => Command::MemberRemove { member: MemberId(AGENT) },
            Self::Assignment => Command::Unassign { conversation: TALK, member: MemberId(AGENT) },
            Self::Pen => Command::MemberRole { member: MemberId(AGENT), role: Role::Auditor },
        }
    }

    const fn is_event(self, event: &DirectoryEvent) -> bool {
        match self {
            Self::Device => matches!(event, DirectoryEvent::DeviceRevoked { .. }),
            Self::Member => matches!(event, DirectoryEvent::MemberRemoved { .. }),
            Self::Assignment => matches!(event, DirectoryEvent::Unassigned { .. }),
            Self::Pen => matches!(event, DirectoryEvent::RoleChanged { .. }),
        }
    }

    /// Whether the device is gone with it.
    const fn ends_device(self) -> bool {
        matches!(self, Self::Device | Self::Member)
    }
}

/// One round: a hub, the agent whose right is taken, and a colleague who writes on.
struct Race {
    rng: Rng,
    hub: LocalHub,
    loss: Loss,
    agent: LocalDevice,
    chain: LocalChain,
    colleague: LocalChain,
    /// All sessions of the agent's device, with the proofs that it sent there.
    sessions: BTreeMap<SessionId, Option<Hello>>,
    /// Challenges that were not answered yet.
    open: Vec<SessionId>,
    nonces: BTreeMap<SessionId, lockstep_protocol::id::Nonce>,
    cursor: Option<Cursor>,
    /// The loss, once it is in the log and durable.
    lost: Option<Lsn>,
    drawn: u128,
}

impl Race {
    fn new(seed: u64, planted: Planted) -> Self {
        let mut rng = Rng::new(seed, 9);
        let mut hub = LocalHub::with_bug(HubConfig { compact_tail: 1_000_000, ..HubConfig::default() }, planted);
        hub.add_member(AGENT, Role::Agent);
        hub.add_member(COLLEAGUE, Role::Agent);
        let assigned = vec![MemberId(AGENT), MemberId(COLLEAGUE)];
        let conversation = Conversation { id: TALK, customer: "Ana".into(), service: None, assigned, keep: None };
        assert!(matches!(hub.administer(Command::ConversationOpen(conversation)), Outcome::Done(_)));
        let (mut agent, colleague) = (hub.enrol(AGENT, 2), hub.enrol(COLLEAGUE, 3));
        let first = agent.session;
        let cursor = hub.hello(&mut agent, None, None).into_iter().find_map(|frame| match frame {
            HubFrame::Catalogue(page) => page.end,
            _ => None,
        });
        let segment = DocumentId::segment(TALK, 0);
        let (chain, colleague) = (agent.chain(segment, 1), colleague.chain(segment, 2));
        let loss = LOSSES[rng.index(LOSSES.len())];
        let sessions = BTreeMap::from([(first, None), (agent.session, None)]);
        let mut race = Self {
            rng,
            hub,
            loss,
            agent,
            chain,
            colleague,
            sessions,
            open: Vec::new(),
            nonces: BTreeMap::new(),
            cursor,
            lost: None,
            drawn: 0,
        };
        for _ in 0..race.rng.between(1, 4) {
            race.colleague_writes();
        }
        race.look();
        race.hub.holds = true;
        race
    }

    fn note(&mut self, by: u32, dir: Direction) -> Fact {
        self.drawn += 1;
        let id = MessageId::from_parts(self.hub.now.wall_ms, self.drawn);
        let (kind, body) = ("text".into(), format!("message {}", self.drawn));
        Fact::Message(Message { id, by: MemberId(by), dir, kind, body, seen: None, re: None, media: None, src: None })
    }

    fn colleague_writes(&mut self) {
        if self.rng.chance(400) {
            self.frame(self.colleague.session, DeviceFrame::Typing { conversation: TALK });
        }
        let fact = self.note(COLLEAGUE, Direction::Note);
        let push = self.colleague.push_of(std::slice::from_ref(&fact));
        self.frame(self.colleague.session, DeviceFrame::Push(push));
        self.colleague.advance(&fact);
    }

    fn frame(&mut self, session: SessionId, frame: DeviceFrame) {
        self.hub.input(Input::FrameReceived { session, frame: Ok(frame) });
    }

    fn connect(&mut self) {
        let entropy = self.rng.bytes();
        let session = SessionId(1_000 + self.sessions.len() as u64);
        self.sessions.insert(session, None);
        self.open.push(session);
        self.hub.input(Input::Connected { session, entropy });
    }

    /// Answers a challenge with a proof for it.
    fn hello(&mut self) {
        let Some(session) = self.open.pop() else { return };
        let Some(nonce) = self.nonces.get(&session).copied() else { return };
        let (version, device) = (limits::PROTOCOL_VERSION, self.agent.id());
        let transcript = Transcript { hub: HubId([7; 16]), pinned: PinnedKeyHash([9; 32]), nonce, device, version };
        let proof = transcript.sign_hello(&self.agent.key);
        let hello = Hello { version, device, proof, cursor: self.cursor, witness: None, capabilities: 0 };
        self.sessions.insert(session, Some(hello.clone()));
        self.agent.session = session;
        self.frame(session, DeviceFrame::Hello(hello));
    }

    /// Answers a challenge, or goes on in a session, with a proof that was right once.
    fn replay(&mut self) {
        let proofs: Vec<Hello> = self.sessions.values().flatten().cloned().collect();
        if proofs.is_empty() {
            return;
        }
        let hello = proofs[self.rng.index(proofs.len())].clone();
        let session = match self.open.pop() {
            Some(session) if self.rng.chance(700) => session,
            _ => self.agent.session,
        };
        self.frame(session, DeviceFrame::Hello(hello));
    }

    fn agent_acts(&mut self) {
        let session = self.agent.session;
        match self.rng.below(8) {
            0 | 1 => {
                let dir = if self.rng.chance(500) { Direction::Note } else { Direction::Out };
                let fact = self.note(AGENT, dir);
                let push = self.chain.push_of(std::slice::from_ref(&fact));
                self.chain.advance(&fact);
                self.frame(session, DeviceFrame::Push(push));
            }
            2 | 3 => {
                let fetch = Fetch { tag: 7, conversation: TALK, before: None, limit: 4, imported: false };
                self.frame(session, DeviceFrame::Fetch(fetch));
            }
            4 => self.frame(session, DeviceFrame::Typing { conversation: TALK }),
            5 => {
                self.hub.input(Input::Disconnected { session });
                self.connect();
            }
            6 => self.replay(),
            _ => self.connect(),
        }
    }

    fn release(&mut self) {
        let waiting = self.hub.waiting();
        if waiting > 0 {
            let at = self.rng.index(waiting);
            self.hub.release(at);
        }
    }

    /// Reads what became durable and what the hub sent since, which was all sent after that: called after every input.
    fn look(&mut self) {
        for batch in std::mem::take(&mut self.hub.committed) {
            for logged in &batch.entries {
                self.written(&Entry::from_bytes(&logged.bytes).expect("an entry"));
            }
        }
        let sent = std::mem::take(&mut self.hub.sent);
        for (session, bytes) in sent {
            let frame = codec::decode_hub(&bytes).expect("well formed").expect("known");
            if self.sessions.contains_key(&session) {
                self.told(session, &frame);
            }
        }
    }

    /// What the agent's device is told.
    fn told(&mut self, session: SessionId, frame: &HubFrame) {
        match frame {
            HubFrame::Challenge { nonce, .. } => drop(self.nonces.insert(session, *nonce)),
            HubFrame::Catalogue(page) => self.cursor = page.end.or(self.cursor),
            HubFrame::Welcome(_) => {
                let own = self.sessions.get(&session).and_then(Option::as_ref);
                assert!(own.is_some_and(|hello| self.proves(session, hello)), "an old proof opened {session:?}");
            }
            _ => {}
        }
        let about = match frame {
            HubFrame::Entries(entries) => {
                entries
                    .entries
                    .iter()
                    .any(|bytes| Entry::from_bytes(&bytes.0).expect("an entry").body.conversation() == Some(TALK))
                    || !entries.granted.is_empty()
            }
            HubFrame::Snapshot(_) | HubFrame::Lease { .. } | HubFrame::Fetched { .. } => true,
            HubFrame::Catalogue(page) => !page.conversations.is_empty(),
            _ => false,
        };
        let Some(lost) = self.lost else { return };
        if self.loss == Loss::Assignment {
            // The end of a Fetch whose documents were all sent before tells nothing.
            let is_end = matches!(frame, HubFrame::Fetched { .. });
            assert!(!about || is_end, "{session:?} is told of the conversation after {lost:?}: {frame:?}");
        } else if self.loss.ends_device() {
            let is_no = matches!(frame, HubFrame::Challenge { .. } | HubFrame::Refusal { .. });
            assert!(is_no, "{session:?} of a device that went at {lost:?} is sent {frame:?}");
        }
    }

    fn proves(&self, session: SessionId, hello: &Hello) -> bool {
        let Some(nonce) = self.nonces.get(&session).copied() else { return false };
        let (version, device) = (limits::PROTOCOL_VERSION, self.agent.id());
        let transcript = Transcript { hub: HubId([7; 16]), pinned: PinnedKeyHash([9; 32]), nonce, device, version };
        transcript.verify_hello(&self.agent.key.public(), &hello.proof)
    }

    fn written(&mut self, entry: &Entry) {
        let lsn = entry.stamp.lsn;
        if let EntryBody::Directory(event) = &entry.body
            && self.loss.is_event(event)
        {
            self.lost = Some(lsn);
        }
        if let Some(lost) = self.lost {
            let by_agent = entry.stamp.member == MemberId(AGENT);
            assert!(!by_agent, "{lsn:?} by the agent is accepted after the loss at {lost:?}: {:?}", entry.body);
        }
    }

    fn run(mut self) {
        let steps = self.rng.between(10, 40);
        let taken_at = self.rng.below(steps);
        for step in 0..steps {
            if step == taken_at {
                let command = self.loss.command(&self.agent);
                let entropy = self.rng.bytes();
                self.hub.input(Input::Administered { request: 1, command, entropy });
                self.look();
            }
            match self.rng.below(10) {
                0..=3 => self.agent_acts(),
                4 => self.colleague_writes(),
                5 => self.hello(),
                _ => self.release(),
            }
            self.look();
        }
        while self.hub.waiting() > 0 {
            self.release();
            self.look();
        }
        self.hub.holds = false;
        let lost = self.lost.expect("the loss is durable by now");
        self.colleague_writes();
        self.look();
        // What is asked afterwards.
        for _ in 0..6 {
            self.agent_acts();
            self.look();
        }
        self.connect();
        self.look();
        self.hello();
        let answers = self.hub.take(self.agent.session);
        if self.loss.ends_device() {
            let refused = answers.iter().any(
                |frame| matches!(frame, HubFrame::Refusal { refusal, .. } if refusal.known() == Some(RefusalCode::DeviceRevoked)),
            );
            assert!(refused, "{answers:?}");
            // Those that it left by itself are gone too.
            let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
            for session in sessions {
                let frames = self.hub.send(session, &DeviceFrame::Ping {});
                let frames: Vec<_> = frames.iter().filter(|frame| matches!(frame, HubFrame::Pong {})).collect();
                assert!(frames.is_empty(), "{session:?} still answers: {frames:?}");
            }
        }
        assert!(self.told_of_loss(), "the audit log does not tell of {:?} at {lost:?}", self.loss);
    }

    /// Whether the audit log tells of the loss.
    fn told_of_loss(&self) -> bool {
        let loss = self.loss;
        let rows = self.hub.store.disk.audit.iter().filter_map(|entry| AuditRow::from_bytes(&entry.bytes));
        let mut of_it = rows.filter(|row| match loss {
            Loss::Device => matches!(row.act, Act::DeviceRevoked { .. }),
            Loss::Member => matches!(row.act, Act::MemberRemoved { .. }),
            Loss::Assignment => matches!(row.act, Act::Unassigned { .. }),
            Loss::Pen => matches!(row.act, Act::RoleChanged { .. }),
        });
        of_it.next().is_some()
    }
}

fn caught(seed: u64, planted: Planted) -> Option<String> {
    let run = std::panic::catch_unwind(|| Race::new(seed, planted).run());
    run.err().map(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()),
    })
}

#[test]
fn nothing_is_accepted_or_told_after_a_loss() {
    for seed in 0..ROUNDS {
        if let Some(what) = caught(seed, Planted::default()) {
            panic!("replay: seed {seed} of tests/races.rs: {what}");
        }
    }
}

#[test]
fn the_rounds_would_notice() {
    for bug in [
        HubBug::RevokedSessionKept,
        HubBug::DeviceNotLookedUpAgain,
        HubBug::PushJudgedByDurable,
        HubBug::FetchAnsweredAfterLoss,
        HubBug::LeaseToldToAll,
        HubBug::AuditForgotten,
    ] {
        assert!((0..ROUNDS).any(|seed| caught(seed, Planted::with(bug)).is_some()), "{bug:?} is not noticed");
    }
}

/// Every row of a round's audit log stands, in order, and tells ids only.
#[test]
fn what_is_audited_has_no_content() {
    let mut race = Race::new(5, Planted::default());
    race.hub.holds = false;
    for _ in 0..60 {
        race.agent_acts();
        race.colleague_writes();
        race.hello();
        race.look();
    }
    let stored = &race.hub.store.disk.audit;
    assert!(!stored.is_empty());
    for word in ["Ana", "message", "device 2", "Member"] {
        let holds = |bytes: &[u8]| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(!stored.iter().any(|entry| holds(&entry.bytes)), "the audit log holds `{word}`");
    }
}
