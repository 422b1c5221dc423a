//! The bench: one device, its store, and a hub that says what the script wants.

mod hub;
mod show;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use lockstep_client_core::device::{Boot, Device, DeviceConfig};
use lockstep_client_core::effect::{ActOutcome, Apply, Effect, Notice, Ticket, Transaction};
use lockstep_client_core::input::{Act, AppliedDocument, ApplyFailure, ChainFact, ConnectionId, Draft, Input, Now};
use lockstep_client_core::planted::Planted;
use lockstep_client_core::query::{LoadFailure, Query};
use lockstep_client_core::replica::Replica;
use lockstep_client_core::row::{ConversationRow, Meta};
use lockstep_client_core::store::Rows;
use lockstep_client_core::view::{MessageState, MessageView, ViewEvent};
use lockstep_protocol::auth::DeviceKey;
use lockstep_protocol::change::{ChainHead, derive};
use lockstep_protocol::codec::{decode_device, encode};
use lockstep_protocol::cursor::{Cursor, CursorTag};
use lockstep_protocol::directory::{Conversation, DirectoryEvent, Policy, Role};
use lockstep_protocol::entry::{
    Collision, CollisionCause, Entry, EntryBody, Imported, Mac, Opening, PlacedFact, Resolution, Stamp, Verdict,
};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{
    Catalogue, CatalogueConversation, CatalogueDocument, DeviceFrame, Entries, EntryBytes, Grant, HubFrame, Outcome,
    Push, Snapshot, TailEntry, Welcome,
};
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, DocumentKind, Epoch, HubId, ImportId, InviteCode, Lsn, MemberId,
    MessageId, Nonce, PinnedKeyHash,
};
use lockstep_protocol::import::ImportPlace;
use lockstep_protocol::refusal::{Refusal, RefusalCode};
use lockstep_protocol::snapshot::{Table, TableEvent, TableFact};

pub(crate) const CONVERSATION: ConversationId = ConversationId([0xaa; 16]);
const OTHER: MemberId = MemberId(2);
const ME: MemberId = MemberId(1);
const START_MS: u64 = 1_700_000_000_000;

/// The epoch of a number.
fn epoch(number: u8) -> Epoch {
    Epoch([number; 16])
}

fn segment(number: u32) -> DocumentId {
    DocumentId::segment(CONVERSATION, number)
}

fn document_name(document: DocumentId) -> String {
    let kind = match document.kind {
        DocumentKind::Segment => 's',
        DocumentKind::Card => 'c',
        DocumentKind::Imported => 'i',
    };
    format!("{kind}{}", document.number)
}

/// One device and everything around it.
pub(crate) struct Bench {
    device: Device,
    pub(crate) rows: Rows,
    unpersisted: VecDeque<Transaction>,
    now: Now,
    connection: ConnectionId,
    log: String,
    /// What the device asked and the script has not answered.
    pushes: VecDeque<Push>,
    frames: VecDeque<DeviceFrame>,
    parses: VecDeque<Effect>,
    /// Jobs of live documents.
    builds: VecDeque<Effect>,
    bytes_facts: BTreeMap<Vec<u8>, Vec<ChainFact>>,
    lsn: u64,
    epoch: u8,
    starts: u8,
    request: u64,
    /// The other member's chains.
    others: BTreeMap<(DocumentId, u8), (ActorId, ChainHead)>,
    messages: BTreeMap<String, MessageId>,
    /// What was imported, by number: the entry's body and its stamp, and the facts.
    imports: BTreeMap<u32, (Stamp, Imported, Vec<ChainFact>)>,
    planted: Planted,
    config: DeviceConfig,
    quiet: bool,
    dialled: bool,
    unreadable: bool,
}

/// Runs a script on an enrolled device with one conversation and the cursor at 10.
pub(crate) fn run(script: &str) -> String {
    let mut bench = Bench::new(Planted::default());
    bench.script(script);
    core::mem::take(&mut bench.log)
}

impl Bench {
    pub(crate) fn new(planted: Planted) -> Self {
        let mut rows = Rows::default();
        let cursor = Cursor { epoch: epoch(1), lsn: Lsn(10), tag: CursorTag::default() };
        rows.meta = Meta {
            hub: Some(HubId([1; 16])),
            member: Some(ME),
            epochs: vec![epoch(1)],
            cursor: Some(cursor),
            ..Meta::default()
        };
        rows.conversations.insert(CONVERSATION, conversation_row());
        let now = Now { wall_ms: START_MS, mono_ms: 1_000 };
        let (device, effects) = start(&rows, now, 1, planted, DeviceConfig::default());
        let mut bench = Self {
            device,
            rows,
            unpersisted: VecDeque::new(),
            now,
            connection: ConnectionId(0),
            log: String::new(),
            pushes: VecDeque::new(),
            frames: VecDeque::new(),
            parses: VecDeque::new(),
            builds: VecDeque::new(),
            bytes_facts: BTreeMap::new(),
            lsn: 10,
            epoch: 1,
            starts: 1,
            request: 0,
            others: BTreeMap::new(),
            messages: BTreeMap::new(),
            imports: BTreeMap::new(),
            planted,
            config: DeviceConfig::default(),
            quiet: false,
            dialled: false,
            unreadable: false,
        };
        bench.quiet = true;
        bench.carry_out(effects);
        bench.quiet = false;
        bench
    }

    #[cfg(feature = "planted")]
    pub(crate) fn log(&self) -> &str {
        &self.log
    }

    pub(crate) fn online(&self) -> bool {
        self.device.online()
    }

    /// Whether a step makes sense now: something waits for such an answer.
    pub(crate) fn can(&self, step: &str) -> bool {
        let word = step.split(' ').next().unwrap_or(step);
        let fetch = matches!(self.frames.front(), Some(DeviceFrame::Fetch(_)));
        match word {
            "ack" => !self.pushes.is_empty(),
            "done" => !fetch && !self.frames.is_empty(),
            "snapshot" | "fetched" => fetch,
            "parsed" | "unparsed" => !self.parses.is_empty(),
            "built" => !self.builds.is_empty(),
            "online" | "behind" | "catalogue" => !self.online() && (self.dialled || self.device.next_wake().is_some()),
            "wait" | "offline" | "small" | "epoch" if !self.lsn.is_multiple_of(4) => false,
            "entries" if step.contains("revoke") && !self.lsn.is_multiple_of(8) => false,
            "entries" if step == "entries pushed" => !self.pushes.is_empty(),
            "entries" if step == "entries forked" => {
                self.rows.documents.get(&segment(0)).is_some_and(|row| row.own.is_some())
            }
            _ => true,
        }
    }

    pub(crate) fn script(&mut self, script: &str) {
        for step in script.split(';').map(str::trim).filter(|step| !step.is_empty()) {
            let before = self.log.len();
            let _ = writeln!(self.log, "{step}");
            let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
            self.step(word, rest);
            assert!(self.log.len() > before);
        }
    }

    fn step(&mut self, word: &str, rest: &str) {
        match word {
            "online" => self.connect(self.epoch, false, Lsn::ZERO),
            // The next entry is durable already.
            "behind" => self.connect(self.epoch, false, Lsn(self.lsn + 1)),
            "catalogue" => self.connect(self.epoch, true, Lsn::ZERO),
            "offline" => {
                self.dialled = false;
                self.input(Input::Disconnected { connection: self.connection });
            }
            "wait" => {
                let wait_ms: u64 = rest.parse().expect("milliseconds");
                self.now.mono_ms += wait_ms;
                self.now.wall_ms += wait_ms;
                self.input(Input::Ticked);
            }
            "wall" => self.now.wall_ms = START_MS + rest.parse::<u64>().expect("milliseconds"),
            "write" => self.act(Act::Write(Draft::text(CONVERSATION, Direction::Out, rest))),
            "note" => self.act(Act::Write(Draft::text(CONVERSATION, Direction::Note, rest))),
            "edit" | "retract" | "react" => self.about(word, rest),
            "send-anyway" => self.resolve(rest, Resolution::Send),
            "discard" => self.resolve(rest, Resolution::Discard),
            "read" => {
                let message = self.messages[rest];
                self.act(Act::MarkRead { conversation: CONVERSATION, message });
            }
            "type" => self.act(Act::Type { conversation: CONVERSATION }),
            "open" => self.act(Act::Open { conversation: CONVERSATION }),
            "lease" => self.frame(HubFrame::Lease { conversation: CONVERSATION, holder: Some(OTHER), for_ms: 5_000 }),
            "persist" => self.persist(),
            "crash" => self.crash(),
            "fresh" => {
                self.rows = Rows::default();
                self.dialled = false;
                self.crash();
            }
            "small" => {
                self.config = DeviceConfig { documents_max: 0, facts_max: 0, waiting_max: 2 };
                self.dialled = false;
                self.crash();
            }
            "enrol" => self.act(Act::Enrol { code: InviteCode([1; 16]), name: "phone".to_owned() }),
            "challenge" => self.frame(HubFrame::Challenge { nonce: Nonce([9; 16]), hub: HubId([1; 16]) }),
            "older" => self.act(Act::ShowOlder { conversation: CONVERSATION }),
            "store-fails" => self.input(Input::PersistFailed),
            "ack" => self.ack(rest),
            "done" => self.done(rest),
            "entries" => self.entries(rest),
            "page" => self.page(rest),
            "listing" => self.listing(rest),
            "snapshot" => self.snapshot(rest),
            "snapshot-imported" => self.snapshot_imported(rest),
            "described" => self.described(rest),
            "fetched" => self.fetched(rest),
            "parsed" => self.parsed(),
            "built" => self.built(),
            "unparsed" => self.unparsed(),
            "unreadable" => self.unreadable = true,
            "epoch" => self.epoch = rest.parse().expect("a number"),
            "lsn" => self.lsn = rest.parse().expect("a number"),
            "refuse" => {
                let refusal = Refusal::from(hub::code(rest));
                self.frame(HubFrame::Refusal { tag: None, refusal });
            }
            "rows" => self.show_rows(),
            other => panic!("no such step: {other}"),
        }
    }

    fn input(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.device.handle(self.now, input, &mut effects);
        self.carry_out(effects);
    }

    fn act(&mut self, act: Act) {
        self.request += 1;
        self.input(Input::Acted { request: self.request, act });
    }

    fn frame(&mut self, frame: HubFrame) {
        let bytes = encode(&frame);
        let frame = lockstep_protocol::codec::decode_hub(&bytes).expect("decodes").expect("known");
        self.input(Input::FrameReceived { connection: self.connection, frame: Ok(frame) });
    }

    fn about(&mut self, word: &str, rest: &str) {
        let (target, text) = rest.split_once('>').expect("target>text");
        let (conversation, message, text) = (CONVERSATION, self.messages[target], text.to_owned());
        self.act(match word {
            "edit" => Act::Edit { conversation, message, body: text },
            "retract" => Act::Retract { conversation, message, reason: text },
            _ => Act::React { conversation, message, emoji: text },
        });
    }

    fn resolve(&mut self, target: &str, resolution: Resolution) {
        self.act(Act::Resolve { conversation: CONVERSATION, message: self.messages[target], resolution });
    }

    fn connect(&mut self, number: u8, catalogue: bool, head: Lsn) {
        let quiet = core::mem::replace(&mut self.quiet, true);
        if !self.dialled {
            self.pushes.clear();
            self.frames.clear();
            let wake_ms = self.device.next_wake().expect("it wants to connect");
            self.now.mono_ms = self.now.mono_ms.max(wake_ms);
            self.input(Input::Ticked);
        }
        let connection = self.connection;
        self.input(Input::Connected { connection });
        self.quiet = quiet;
        self.frame(HubFrame::Challenge { nonce: Nonce([9; 16]), hub: HubId([1; 16]) });
        self.frame(HubFrame::Welcome(Welcome {
            session: 1,
            epoch: epoch(number),
            now_ms: self.now.wall_ms,
            member: ME,
            role: Role::Agent,
            policy: Policy::default(),
            catalogue,
            head,
        }));
    }

    fn persist(&mut self) {
        let Some(last) = self.unpersisted.back().map(|transaction| transaction.ticket) else { return };
        for transaction in core::mem::take(&mut self.unpersisted) {
            transaction.writes.into_iter().for_each(|write| self.rows.write(write));
        }
        self.input(Input::Persisted { ticket: last });
    }

    /// What is said to be written is durable, under the id that is said.
    fn check_written(&self, message: MessageId) {
        let rows = &self.rows;
        let outbox = rows.outbox.values().map(|row| &row.fact);
        let not_sent = rows.not_sent.values().map(|row| &row.fact);
        let mut facts = outbox.chain(not_sent).chain(rows.facts.values().map(|row| &row.placed.fact));
        let known = facts.any(|fact| matches!(fact, Fact::Message(written) if written.id == message));
        assert!(known || self.planted != Planted::default(), "{message} is durable");
    }

    fn crash(&mut self) {
        self.unpersisted.clear();
        self.pushes.clear();
        self.frames.clear();
        self.parses.clear();
        self.builds.clear();
        self.starts += 1;
        let (device, effects) = start(&self.rows, self.now, self.starts, self.planted, self.config);
        self.device = device;
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.note_effect(&effect);
            match effect {
                Effect::ActDone { outcome: ActOutcome::Written(message), .. } => self.check_written(message),
                Effect::Connect { connection } => (self.connection, self.dialled) = (connection, true),
                Effect::Disconnect { .. } => self.dialled = false,
                Effect::Persist(transaction) => self.unpersisted.push_back(transaction),
                Effect::Load(query) => {
                    let outcome = if self.unreadable { Err(LoadFailure) } else { Ok(self.rows.load(&query)) };
                    self.input(Input::Loaded { query, outcome });
                }
                Effect::Apply(Apply::Parse { .. }) => self.parses.push_back(effect),
                Effect::Apply(Apply::Build { .. } | Apply::Extend { .. }) => self.builds.push_back(effect),
                Effect::Send { bytes, .. } => match decode_device(&bytes).expect("a device frame").expect("known") {
                    DeviceFrame::Push(push) => self.pushes.push_back(push),
                    frame @ (DeviceFrame::Fetch(_)
                    | DeviceFrame::Offer { .. }
                    | DeviceFrame::Resolve(_)
                    | DeviceFrame::Mark { .. }
                    | DeviceFrame::Command { .. }) => self.frames.push_back(frame),
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

fn start(rows: &Rows, now: Now, seed: u8, planted: Planted, config: DeviceConfig) -> (Device, Vec<Effect>) {
    let mut effects = Vec::new();
    let boot = Boot {
        key: DeviceKey::new(&[3; 32]),
        pinned: PinnedKeyHash([2; 32]),
        stored: rows.stored(),
        seed: [seed; 32],
        config,
        planted,
    };
    let device = Device::new(boot, now, &mut effects);
    (device, effects)
}

fn conversation_row() -> ConversationRow {
    ConversationRow {
        conversation: Conversation {
            id: CONVERSATION,
            customer: "Ann".to_owned(),
            service: None,
            assigned: vec![ME],
            keep: None,
        },
        open_segment: 0,
        open_card: 0,
        newest: Lsn(1),
        described: Lsn(1),
        markers: Vec::new(),
        unsent_mark: None,
        lost: false,
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log);
        }
    }
}
