//! The bench: one device, its store, and a hub that says what the script wants.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use lockstep_client_core::device::{Boot, Device, DeviceConfig};
use lockstep_client_core::effect::{ActOutcome, Apply, Effect, Notice, Ticket, Transaction};
use lockstep_client_core::input::{Act, AppliedDocument, ChainFact, ConnectionId, Draft, Input, Now};
use lockstep_client_core::planted::Planted;
use lockstep_client_core::query::Query;
use lockstep_client_core::replica::Replica;
use lockstep_client_core::row::{ConversationRow, Meta};
use lockstep_client_core::store::Rows;
use lockstep_client_core::view::{MessageState, MessageView, ViewEvent};
use lockstep_protocol::auth::DeviceKey;
use lockstep_protocol::change::{ChainHead, derive};
use lockstep_protocol::codec::{decode_device, encode};
use lockstep_protocol::cursor::{Cursor, CursorTag};
use lockstep_protocol::directory::{Conversation, Policy, Role};
use lockstep_protocol::entry::{
    Collision, CollisionCause, Entry, EntryBody, Mac, Opening, PlacedFact, Resolution, Stamp, Verdict,
};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{
    Catalogue, CatalogueConversation, CatalogueDocument, DeviceFrame, Entries, EntryBytes, Grant, HubFrame, Outcome,
    Push, Snapshot, TailEntry, Welcome,
};
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, DocumentKind, Epoch, FactId, HubId, Lsn, MemberId, MessageId, Nonce,
    PinnedKeyHash,
};
use lockstep_protocol::refusal::{Refusal, RefusalCode};
use lockstep_protocol::snapshot::{Table, TableFact};

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
    let kind = if document.kind == DocumentKind::Segment { 's' } else { 'c' };
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
    bytes_facts: BTreeMap<Vec<u8>, Vec<ChainFact>>,
    lsn: u64,
    epoch: u8,
    starts: u8,
    request: u64,
    /// The other member's chains.
    others: BTreeMap<(DocumentId, u8), (ActorId, ChainHead)>,
    messages: BTreeMap<String, MessageId>,
    planted: Planted,
    quiet: bool,
    dialled: bool,
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
        let (device, effects) = start(&rows, now, 1, planted);
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
            bytes_facts: BTreeMap::new(),
            lsn: 10,
            epoch: 1,
            starts: 1,
            request: 0,
            others: BTreeMap::new(),
            messages: BTreeMap::new(),
            planted,
            quiet: false,
            dialled: false,
        };
        bench.quiet = true;
        bench.carry_out(effects);
        bench.quiet = false;
        bench
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
            "online" => self.connect(self.epoch, false),
            "catalogue" => self.connect(self.epoch, true),
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
            "ack" => self.ack(rest),
            "done" => self.done(rest),
            "entries" => self.entries(rest),
            "page" => self.page(rest),
            "snapshot" => self.snapshot(rest),
            "fetched" => self.fetched(rest),
            "parsed" => self.parsed(),
            "epoch" => self.epoch = rest.parse().expect("a number"),
            "lsn" => self.lsn = rest.parse().expect("a number"),
            "refuse" => {
                let refusal = Refusal::from(code(rest));
                self.frame(HubFrame::Refusal { tag: None, refusal });
            }
            "rows" => self.show_rows(),
            "restore-copy" => {
                let copy = self.rows.clone();
                self.unpersisted.clear();
                self.rows = copy;
            }
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

    fn connect(&mut self, number: u8, catalogue: bool) {
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
        }));
    }

    fn persist(&mut self) {
        let Some(last) = self.unpersisted.back().map(|transaction| transaction.ticket) else { return };
        for transaction in core::mem::take(&mut self.unpersisted) {
            transaction.writes.into_iter().for_each(|write| self.rows.write(write));
        }
        self.input(Input::Persisted { ticket: last });
    }

    fn crash(&mut self) {
        self.unpersisted.clear();
        self.pushes.clear();
        self.frames.clear();
        self.parses.clear();
        self.starts += 1;
        let (device, effects) = start(&self.rows, self.now, self.starts, self.planted);
        self.device = device;
        self.carry_out(effects);
    }

    fn stamp(&mut self, member: MemberId, verdict: Verdict) -> Stamp {
        self.lsn += 1;
        Stamp { lsn: Lsn(self.lsn), at_ms: self.now.wall_ms, member, verdict, mac: Mac::default() }
    }

    fn witness(&self) -> Cursor {
        Cursor { epoch: epoch(self.epoch), lsn: Lsn(self.lsn), tag: CursorTag::default() }
    }

    /// `ok held flag never:CODE dup full:1 …`, one word a fact of the oldest push.
    fn ack(&mut self, words: &str) {
        let push = self.pushes.pop_front().expect("a push waits");
        let mut results = Vec::new();
        for (word, fact) in words.split_whitespace().zip(&push.facts) {
            let collision = Collision { cause: CollisionCause::Window, winner: None, by: OTHER };
            let verdict = match word {
                "ok" => Verdict::Accepted,
                "held" => Verdict::Held(collision),
                "flag" => Verdict::Flagged(collision),
                refusal => {
                    results.push(Outcome::Refused(self.refusal(refusal)));
                    break;
                }
            };
            let stamp = self.stamp(ME, verdict);
            results.push(Outcome::Placed { hash: fact.hash, stamp });
        }
        let witness = self.witness();
        self.frame(HubFrame::Ack { tag: push.tag, results, witness });
    }

    fn refusal(&mut self, word: &str) -> Refusal {
        let (name, argument) = word.split_once(':').unwrap_or((word, "0"));
        let number: u64 = argument.parse().expect("a number");
        let mut refusal = Refusal::from(code(name));
        match name {
            "full" | "unknown" => refusal.open = Some(segment(number as u32)),
            "ahead" => refusal.now_ms = Some(START_MS + number),
            "gap" => refusal.next = Some(number as u32),
            "dup" => {
                refusal.document = Some(segment(0));
                refusal.stamp = Some(Stamp { lsn: Lsn(number), ..self.stamp(ME, Verdict::Accepted) });
            }
            _ => {}
        }
        refusal
    }

    /// Answers the oldest Resolve, Offer or Command.
    fn done(&mut self, words: &str) {
        let frame = self.frames.pop_front().expect("a frame waits");
        let tag = match frame {
            DeviceFrame::Resolve(resolve) => resolve.tag,
            DeviceFrame::Offer { tag, .. } | DeviceFrame::Command { tag, .. } => tag,
            other => panic!("not a question: {other:?}"),
        };
        let results = words.split_whitespace().map(|word| match word {
            "ok" => Outcome::Done(Lsn(self.lsn)),
            "known" => Outcome::Known,
            "readmitted" => Outcome::Readmitted(Lsn(self.lsn)),
            other => Outcome::Refused(Refusal::from(code(other))),
        });
        let results = results.collect();
        let witness = self.witness();
        self.frame(HubFrame::Ack { tag, results, witness });
    }

    /// The next placed fact of the other member's chain in a document.
    fn other_fact(&mut self, document: DocumentId, chain: u8, text: &str) -> PlacedFact {
        let id = MessageId::from_parts(START_MS + 1 + self.lsn, u128::from(chain));
        self.messages.insert(text.to_owned(), id);
        let message = Message {
            id,
            by: OTHER,
            dir: Direction::Out,
            kind: "text".to_owned(),
            body: text.to_owned(),
            seen: None,
            re: None,
            media: None,
            src: None,
        };
        let fact = Fact::Message(message);
        let actor = ActorId([chain; 16]);
        let (_, head) = self.others.entry((document, chain)).or_insert((actor, ChainHead::empty(document.kind)));
        *head = derive(&actor, head, &fact);
        let opening = (head.seq == 1).then_some(Opening { device: DeviceId([chain; 16]), nonce: Nonce([chain; 16]) });
        PlacedFact { document, actor, seq: head.seq, hash: head.hash.prefix(), fact, opening, origin: None }
    }

    /// `[from=N] [+text | s1+text | opened1 | grant | revoke | own]*`: one Entries frame after the cursor.
    fn entries(&mut self, words: &str) {
        let mut from = self.device.meta().cursor.map_or(Lsn::ZERO, |cursor| cursor.lsn);
        let (mut entries, mut granted, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
        for word in words.split_whitespace() {
            if let Some(number) = word.strip_prefix("from=") {
                from = Lsn(number.parse().expect("a number"));
            } else if word == "grant" {
                self.lsn += 1;
                granted.push(Grant { conversation: CONVERSATION, lsn: Lsn(self.lsn) });
            } else if word == "revoke" {
                self.lsn += 1;
                revoked.push(CONVERSATION);
            } else if let Some(number) = word.strip_prefix("opened") {
                let document = segment(number.parse().expect("a number"));
                let stamp = self.stamp(MemberId::HUB, Verdict::Accepted);
                entries.push(Entry { stamp, body: EntryBody::Opened { document } });
            } else if let Some(text) = word.strip_prefix("sent-anyway:") {
                let stamp = self.stamp(ME, Verdict::Accepted);
                let (document, message, resolution) = (segment(0), self.messages[text], Resolution::Send);
                entries.push(Entry { stamp, body: EntryBody::Resolved { document, message, resolution } });
            } else if word == "pushed" {
                // What the oldest push holds, in full, as after a lost Ack.
                let push = self.pushes.pop_front().expect("a push waits");
                for (at, fact) in push.facts.iter().enumerate() {
                    let stamp = self.stamp(ME, Verdict::Accepted);
                    let seq = push.seq + u32::try_from(at).expect("few");
                    let opening =
                        push.nonce.filter(|_| seq == 1).map(|nonce| Opening { device: DeviceId::default(), nonce });
                    let placed = PlacedFact {
                        document: push.document,
                        actor: push.actor,
                        seq,
                        hash: fact.hash,
                        fact: fact.fact.clone(),
                        opening,
                        origin: None,
                    };
                    entries.push(Entry { stamp, body: EntryBody::Fact(placed) });
                }
            } else if word == "forked" {
                // Another fact at the next place of this device's own chain.
                let own = self.device_own(segment(0));
                let stamp = self.stamp(ME, Verdict::Accepted);
                let mut placed = self.other_fact(segment(0), 0xee, "other-life");
                let head = derive(&own.0, &own.1, &placed.fact);
                (placed.actor, placed.seq, placed.hash) = (own.0, head.seq, head.hash.prefix());
                entries.push(Entry { stamp, body: EntryBody::Fact(placed) });
            } else {
                let (name, text) = word.split_once('+').expect("a fact");
                let document = segment(name.strip_prefix('s').map_or(0, |number| number.parse().expect("a number")));
                let placed = self.other_fact(document, 0xbb, text);
                let stamp = self.stamp(OTHER, Verdict::Accepted);
                entries.push(Entry { stamp, body: EntryBody::Fact(placed) });
            }
        }
        let entries = entries.iter().map(|entry| EntryBytes(entry.to_bytes())).collect();
        let (upto, tag) = (Lsn(self.lsn), CursorTag::default());
        self.frame(HubFrame::Entries(Entries { from, upto, tag, entries, granted, revoked }));
    }

    fn device_own(&self, document: DocumentId) -> (ActorId, ChainHead) {
        let own = self.rows.documents[&document].own.expect("an own chain");
        (own.actor, ChainHead { ..own.head })
    }

    /// `full` (the conversation with differing documents) or `none`, or `same`: a catalogue of one page; `for-fetch`.
    fn page(&mut self, what: &str) {
        let differs = CatalogueDocument { document: segment(0), digest: Default::default() };
        let mut differs_digest = differs;
        differs_digest.digest.0 = [7; 16];
        let listed = |documents| CatalogueConversation {
            conversation: conversation_row().conversation,
            open_segment: 0,
            open_card: 0,
            newest: Lsn(self.lsn),
            markers: Vec::new(),
            documents,
        };
        let same = || {
            let rows = self.rows.documents.values();
            rows.map(|row| CatalogueDocument { document: row.document, digest: row.digest }).collect()
        };
        let conversations = match what {
            "differs" => vec![listed(vec![differs_digest])],
            "same" => vec![listed(same())],
            _ => Vec::new(),
        };
        let end = Some(self.witness());
        self.frame(HubFrame::Catalogue(Catalogue { tag: None, page: 0, conversations, team: None, end }));
    }

    /// Answers the oldest Fetch with one document: `tail` entries by the other member (`+text`), or `bytes +text`.
    fn snapshot(&mut self, words: &str) {
        let Some(DeviceFrame::Fetch(fetch)) = self.frames.front().cloned() else { panic!("no fetch waits") };
        let mut table = Table::default();
        let index = table.epoch_index(epoch(self.epoch));
        let (mut tail, mut bytes, mut facts) = (Vec::new(), Vec::new(), Vec::new());
        for word in words.split_whitespace() {
            if word == "bytes" {
                bytes = b"saved".to_vec();
                continue;
            }
            let text = word.strip_prefix('+').expect("+text");
            let placed = self.other_fact(segment(0), 0xcc, text);
            let stamp = self.stamp(OTHER, Verdict::Accepted);
            if bytes.is_empty() {
                let entry = EntryBytes(Entry { stamp, body: EntryBody::Fact(placed) }.to_bytes());
                tail.push(TailEntry { epoch: index, entry });
            } else {
                table.facts.push(TableFact { actor: placed.actor, seq: placed.seq, epoch: index, stamp });
                facts.push(ChainFact { actor: placed.actor, seq: placed.seq, fact: placed.fact });
            }
        }
        self.bytes_facts.insert(bytes.clone(), facts);
        let (tag, document, upto) = (fetch.tag, segment(0), Lsn(self.lsn));
        self.frame(HubFrame::Snapshot(Snapshot { tag, document, upto, part: 0, last: true, bytes, table, tail }));
    }

    fn fetched(&mut self, before: &str) {
        let Some(DeviceFrame::Fetch(fetch)) = self.frames.pop_front() else { panic!("no fetch waits") };
        let (tag, conversation) = (fetch.tag, fetch.conversation);
        self.frame(HubFrame::Fetched { tag, conversation, before: before.parse().ok() });
    }

    fn parsed(&mut self) {
        let Some(Effect::Apply(Apply::Parse { job, document, bytes })) = self.parses.pop_front() else {
            panic!("nothing to parse")
        };
        let facts = self.bytes_facts[&bytes.to_vec()].clone();
        let mut heads = BTreeMap::new();
        for fact in &facts {
            let head = heads.entry(fact.actor).or_insert(ChainHead::empty(document.kind));
            *head = derive(&fact.actor, head, &fact.fact);
        }
        self.input(Input::Applied { job, document, outcome: Ok(AppliedDocument { facts, heads }) });
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.note_effect(&effect);
            match effect {
                Effect::Connect { connection } => (self.connection, self.dialled) = (connection, true),
                Effect::Disconnect { .. } => self.dialled = false,
                Effect::Persist(transaction) => self.unpersisted.push_back(transaction),
                Effect::Load(query) => {
                    let outcome = Ok(self.rows.load(&query));
                    self.input(Input::Loaded { query, outcome });
                }
                Effect::Apply(Apply::Parse { .. }) => self.parses.push_back(effect),
                Effect::Send { bytes, .. } => match decode_device(&bytes).expect("a device frame").expect("known") {
                    DeviceFrame::Push(push) => self.pushes.push_back(push),
                    frame @ (DeviceFrame::Fetch(_)
                    | DeviceFrame::Offer { .. }
                    | DeviceFrame::Resolve(_)
                    | DeviceFrame::Command { .. }) => self.frames.push_back(frame),
                    _ => {}
                },
                _ => {}
            }
        }
    }

    fn note_effect(&mut self, effect: &Effect) {
        if let Effect::Persist(transaction) = effect {
            for write in &transaction.writes {
                use lockstep_client_core::row::Write;
                if let Write::Outbox(row) = write
                    && let Fact::Message(message) = &row.fact
                {
                    self.messages.insert(message.body.clone(), message.id);
                }
            }
        }
        if self.quiet {
            return;
        }
        let line = match effect {
            Effect::Connect { .. } => "connect".to_owned(),
            Effect::Disconnect { .. } => "disconnect".to_owned(),
            Effect::Persist(Transaction { ticket: Ticket(_), writes }) => format!("persist {}", writes.len()),
            Effect::Load(Query::Document(document)) => format!("load {}", document_name(*document)),
            Effect::Apply(Apply::Parse { document, .. }) => format!("parse {}", document_name(*document)),
            Effect::Apply(Apply::Build { document, facts, .. }) => {
                format!("build {} {}", document_name(*document), facts.len())
            }
            Effect::Apply(Apply::Extend { document, facts, .. }) => {
                format!("extend {} {}", document_name(*document), facts.len())
            }
            Effect::Apply(Apply::Drop { document }) => format!("drop {}", document_name(*document)),
            Effect::ActDone { outcome: ActOutcome::Written(_), .. } => "done".to_owned(),
            Effect::ActDone { outcome, .. } => format!("done {outcome:?}"),
            Effect::Notice(Notice::Online { .. }) => "online".to_owned(),
            Effect::Notice(Notice::ConversationChanged(_)) => return,
            Effect::Notice(notice) => {
                let text = format!("{notice:?}");
                text.split(['(', ' ']).next().unwrap_or_default().to_lowercase()
            }
            Effect::Send { bytes, .. } => match decode_device(bytes).expect("a device frame").expect("known") {
                DeviceFrame::Push(push) => format!("push {}", self.push_text(&push)),
                DeviceFrame::Hello(hello) => format!(
                    "hello cursor={} witness={}",
                    hello.cursor.map_or(0, |cursor| cursor.lsn.0),
                    hello.witness.map_or(0, |cursor| cursor.lsn.0)
                ),
                DeviceFrame::Offer { entries, .. } => {
                    let lsns: Vec<_> = entries.iter().map(|entry| entry.stamp.lsn).collect();
                    format!("offer {lsns:?}")
                }
                DeviceFrame::Fetch(fetch) => format!("fetch before={:?}", fetch.before),
                DeviceFrame::Resolve(resolve) => {
                    format!("resolve {:?} seen={}", resolve.resolution, self.name(resolve.seen))
                }
                DeviceFrame::Mark { message, .. } => format!("mark {}", self.name(Some(message))),
                DeviceFrame::Typing { .. } => "typing".to_owned(),
                DeviceFrame::Ping {} => "ping".to_owned(),
                other => format!("{other:?}"),
            },
            Effect::View(event) => view_text(event),
        };
        let _ = writeln!(self.log, "  {line}");
    }

    fn name(&self, id: Option<MessageId>) -> String {
        let Some(id) = id else { return "-".to_owned() };
        self.messages.iter().find(|(_, known)| **known == id).map_or("?".to_owned(), |(name, _)| name.clone())
    }

    fn push_text(&self, push: &Push) -> String {
        let nonce = if push.nonce.is_some() { " opening" } else { "" };
        let facts: Vec<_> = push.facts.iter().map(|fact| self.fact_text(&fact.fact)).collect();
        format!("{}#{}{nonce} {}", document_name(push.document), push.seq, facts.join(" "))
    }

    fn fact_text(&self, fact: &Fact) -> String {
        match fact {
            Fact::Message(message) if message.dir == Direction::Out => {
                format!("{}(seen {})", message.body, self.name(message.seen))
            }
            Fact::Message(message) => message.body.clone(),
            Fact::Edit { message, body, .. } => format!("{}>{body}", self.name(Some(*message))),
            Fact::Retraction { message, .. } => format!("!{}", self.name(Some(*message))),
            Fact::Reaction { message, emoji, .. } => format!("{}{emoji}", self.name(Some(*message))),
            other => format!("{other:?}"),
        }
    }

    /// The store's rows in short, and the messages that they mean.
    fn show_rows(&mut self) {
        let rows = &self.rows;
        let mut line = String::new();
        let cursor = rows.meta.cursor.map_or(0, |cursor| cursor.lsn.0);
        let witness = rows.meta.witness.map_or(0, |cursor| cursor.lsn.0);
        let _ = write!(line, "  cursor={cursor} witness={witness} facts={}", rows.facts.len());
        for (name, count) in [
            ("outbox", rows.outbox.len()),
            ("resolves", rows.resolves.len()),
            ("offers", rows.offers.len()),
            ("backfills", rows.backfills.len()),
            ("conversations", rows.conversations.len()),
        ] {
            if count > 0 {
                let _ = write!(line, " {name}={count}");
            }
        }
        for row in rows.not_sent.values() {
            let _ = write!(line, " not-sent:{}:{}", row.code, self.fact_text(&row.fact));
        }
        let documents: Vec<_> = rows.documents.keys().copied().collect();
        let replicas: Vec<Replica> = documents
            .iter()
            .map(|document| {
                let lockstep_client_core::query::Answer::Document { facts, events } =
                    rows.load(&Query::Document(*document));
                Replica::from_rows(*document, facts, events)
            })
            .collect();
        for replica in &replicas {
            assert_eq!(replica.digest(), rows.documents[&replica.document()].digest, "the stored digest fits the rows");
        }
        let pending: Vec<_> = rows.outbox.values().collect();
        let resolves: Vec<_> = rows.resolves.values().collect();
        let messages =
            lockstep_client_core::message::messages(&replicas.iter().collect::<Vec<_>>(), &pending, &resolves);
        let shown: Vec<_> = messages.iter().map(message_text).collect();
        let _ = writeln!(self.log, "{line} [{}]", shown.join(", "));
    }
}

fn start(rows: &Rows, now: Now, seed: u8, planted: Planted) -> (Device, Vec<Effect>) {
    let mut effects = Vec::new();
    let boot = Boot {
        key: DeviceKey::new(&[3; 32]),
        pinned: PinnedKeyHash([2; 32]),
        stored: rows.stored(),
        seed: [seed; 32],
        config: DeviceConfig::default(),
        planted,
    };
    let device = Device::new(boot, now, &mut effects);
    (device, effects)
}

fn conversation_row() -> ConversationRow {
    ConversationRow {
        conversation: Conversation { id: CONVERSATION, customer: "Ann".to_owned(), service: None, assigned: vec![ME] },
        open_segment: 0,
        open_card: 0,
        newest: Lsn(1),
        markers: Vec::new(),
        unsent_mark: None,
        lost: false,
    }
}

fn code(name: &str) -> RefusalCode {
    match name {
        "busy" => RefusalCode::Busy,
        "gap" => RefusalCode::Gap,
        "full" => RefusalCode::SegmentFull,
        "unknown" => RefusalCode::DocumentUnknown,
        "forked" => RefusalCode::Forked,
        "ahead" => RefusalCode::ClockAhead,
        "dup" => RefusalCode::Duplicate,
        "key" => RefusalCode::KeyTaken,
        "never" => RefusalCode::MediaUnknown,
        "forbidden" => RefusalCode::WriteForbidden,
        "differs" => RefusalCode::HashDiffers,
        "revoked" => RefusalCode::DeviceRevoked,
        "resolved" => RefusalCode::AlreadyResolved,
        "collides" => RefusalCode::StillCollides,
        "conversation" => RefusalCode::ConversationUnknown,
        other => panic!("no such code: {other}"),
    }
}

fn message_text(message: &MessageView) -> String {
    let state = match message.state {
        MessageState::Pending => "pending",
        MessageState::Sent => "sent",
        MessageState::Held(_) => "held",
        MessageState::Flagged(_) => "flagged",
        MessageState::SentAnyway => "sent-anyway",
        MessageState::Discarded => "discarded",
    };
    let mut text = format!("{} {state}", message.body);
    if message.edited {
        text.push_str(" edited");
    }
    if message.retracted.is_some() {
        text.push_str(" retracted");
    }
    if message.resolving {
        text.push_str(" resolving");
    }
    for (member, emoji) in &message.reactions {
        let _ = write!(text, " {member}{emoji}");
    }
    text
}

fn view_text(event: &ViewEvent) -> String {
    match event {
        ViewEvent::Opened { messages, .. } => {
            format!("view [{}]", messages.iter().map(message_text).collect::<Vec<_>>().join(", "))
        }
        ViewEvent::Inserted { at, message, .. } => format!("view +{at} {}", message_text(message)),
        ViewEvent::Changed { at, message, .. } => format!("view ={at} {}", message_text(message)),
        ViewEvent::Removed { at, .. } => format!("view -{at}"),
        ViewEvent::Lease { holder, .. } => format!("view lease {holder:?}"),
        ViewEvent::Markers { markers, .. } => format!("view markers {}", markers.len()),
        ViewEvent::Card { fields, labels, .. } => format!("view card {fields:?} {labels:?}"),
        ViewEvent::Closed { .. } => "view closed".to_owned(),
    }
}

/// For ids that a test needs and no text names.
#[allow(dead_code)]
pub(crate) fn fact_id() -> FactId {
    FactId::from_parts(START_MS, 1)
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log);
        }
    }
}
