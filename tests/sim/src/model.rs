//! An independent, plain model of the log: what it says, entry by entry, without the core's code.

pub mod directory;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lockstep_protocol::change::{ChainHead, derive};
use lockstep_protocol::directory::DirectoryEvent;
use lockstep_protocol::entry::{Category, Entry, EntryBody, Imported, LogChain, PlacedFact, Resolution, Verdict};
use lockstep_protocol::fact::{Direction, Fact, KeyId};
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, DocumentKind, Epoch, Lsn, MemberId, MessageId,
};

use self::directory::Directory;

/// An entry of the log, with what only the simulator knows of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its epoch.
    pub epoch: Epoch,
    /// The entry.
    pub entry: Entry,
    /// Its bytes.
    pub bytes: Bytes,
    /// The log chain with it.
    pub chain: LogChain,
    /// True time at which the hub decided on it, milliseconds.
    pub true_ms: u64,
    /// Which run of the hub decided on it.
    pub run: u64,
    /// It stood in an earlier epoch with the same author and time.
    pub readmitted: bool,
}

/// A message as the log tells it.
#[derive(Clone, Debug)]
pub struct MessageModel {
    /// Its entry.
    pub lsn: Lsn,
    /// Where it stands.
    pub document: DocumentId,
    /// Its stamped author.
    pub member: MemberId,
    /// Its direction.
    pub dir: Direction,
    /// Its verdict.
    pub verdict: Verdict,
    /// LSN at which it was accepted as a reply.
    pub accepted: Option<Lsn>,
    /// Its resolution.
    pub resolution: Option<(Lsn, Resolution)>,
    /// Who retracted it.
    pub retracted_by: Vec<MemberId>,
    /// Reactions by member.
    pub reactions: BTreeMap<MemberId, u32>,
}

/// A reply that went (or goes) to the customer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AcceptedModel {
    /// LSN of its acceptance.
    pub lsn: Lsn,
    /// The reply.
    pub message: MessageId,
    /// Its author.
    pub member: MemberId,
    /// True time of its acceptance, milliseconds.
    pub true_ms: u64,
    /// Stamped time of its acceptance, milliseconds since 1970.
    pub at_ms: u64,
    /// Which run of the hub accepted it.
    pub run: u64,
    /// Whether rules 2 to 4 decided on it: not re-admitted, not a service's.
    pub judged: bool,
}

/// A document as the log tells it.
#[derive(Clone, Debug, Default)]
pub struct DocumentModel {
    /// Chains.
    pub chains: BTreeMap<ActorId, ChainHead>,
    /// Who opened each.
    pub devices: BTreeMap<ActorId, DeviceId>,
    /// Operations.
    pub ops: u32,
    /// Facts by key, with their verdict.
    pub facts: BTreeMap<KeyId, (Lsn, Verdict)>,
}

/// An imported segment.
#[derive(Clone, Debug)]
pub struct ImportModel {
    /// Its entry.
    pub lsn: Lsn,
    /// What the entry says.
    pub imported: Imported,
    /// Its facts.
    pub facts: Vec<Fact>,
}

/// What the log says up to its head.
#[derive(Clone, Debug, Default)]
pub struct LogModel {
    /// Epochs with the LSN after which each began.
    pub epochs: Vec<(Epoch, Lsn)>,
    /// Marks of sensitive messages.
    pub marks: BTreeSet<(ConversationId, MessageId, Category)>,
    /// The first entry of each document that is stored under the stricter keys.
    pub vault: BTreeMap<DocumentId, Lsn>,
    /// Entry n stands at n − 1.
    pub entries: Vec<Recorded>,
    /// The directory after each of its changes.
    pub directories: Vec<(Lsn, Directory)>,
    /// Documents.
    pub documents: BTreeMap<DocumentId, DocumentModel>,
    /// Messages by conversation.
    pub messages: BTreeMap<(ConversationId, MessageId), MessageModel>,
    /// Keys of facts by conversation.
    pub keys: BTreeMap<(ConversationId, KeyId), Lsn>,
    /// Accepted replies by conversation, in order of acceptance.
    pub accepted: BTreeMap<ConversationId, Vec<AcceptedModel>>,
    /// Imported segments that stand.
    pub imports: BTreeMap<DocumentId, ImportModel>,
    /// The next imported segment's number by conversation.
    pub next_import: BTreeMap<ConversationId, u32>,
    /// Documents that expired, and with which entry.
    pub gone: BTreeMap<DocumentId, Lsn>,
    /// Conversations that were shredded, and with which entry.
    pub shredded: BTreeMap<ConversationId, Lsn>,
    /// Open segment and card by conversation.
    pub open: BTreeMap<ConversationId, (u32, u32)>,
}

impl LogModel {
    /// The newest LSN.
    #[must_use]
    pub fn head(&self) -> Lsn {
        Lsn(self.entries.len() as u64)
    }

    /// The log chain at an LSN.
    #[must_use]
    pub fn chain(&self, lsn: Lsn) -> LogChain {
        let at = usize::try_from(lsn.0).unwrap_or(usize::MAX);
        at.checked_sub(1).and_then(|at| self.entries.get(at)).map_or(LogChain::default(), |entry| entry.chain)
    }

    /// The epoch that an entry after the head would have.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epochs.last().map_or(Epoch::default(), |(epoch, _)| *epoch)
    }

    /// The directory as it was right after an LSN.
    #[must_use]
    pub fn directory_at(&self, lsn: Lsn) -> &Directory {
        static EMPTY: Directory = Directory::new();
        let after = self.directories.partition_point(|(changed, _)| *changed <= lsn);
        after.checked_sub(1).map_or(&EMPTY, |at| &self.directories[at].1)
    }

    /// The newest directory.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        self.directory_at(self.head())
    }

    /// Adds a checked entry.
    pub fn push(&mut self, recorded: Recorded) {
        let lsn = recorded.entry.stamp.lsn;
        let stamp = recorded.entry.stamp;
        match &recorded.entry.body {
            EntryBody::Fact(placed) => self.push_fact(&recorded, placed),
            EntryBody::Opened { document } => {
                let open = self.open.entry(document.conversation).or_default();
                match document.kind {
                    DocumentKind::Segment => open.0 = open.0.max(document.number),
                    DocumentKind::Card => open.1 = open.1.max(document.number),
                    DocumentKind::Imported => {}
                }
            }
            EntryBody::Resolved { document, message, resolution } => {
                let conversation = document.conversation;
                if let Some(known) = self.messages.get_mut(&(conversation, *message)) {
                    known.resolution = Some((lsn, *resolution));
                    if *resolution == Resolution::Send {
                        known.accepted = Some(lsn);
                        let member = known.member;
                        self.accept(conversation, lsn, *message, member, &recorded, !recorded.readmitted);
                    }
                }
            }
            EntryBody::Directory(event) => {
                let mut directory = self.directory().clone();
                directory.apply(event);
                if let Some(conversation) = event.seen_in() {
                    self.open.entry(conversation).or_default();
                }
                self.directories.push((lsn, directory));
                match event {
                    DirectoryEvent::ImportUndone { document, .. } => self.undo(*document),
                    DirectoryEvent::Expired { document, .. } => self.expire(*document, lsn),
                    DirectoryEvent::ConversationShredded { conversation } => self.shred(*conversation, lsn),
                    _ => {}
                }
            }
            // Its facts are told apart, see `import`.
            EntryBody::Sensitive { document, message, category } => {
                self.marks.insert((document.conversation, *message, *category));
            }
            EntryBody::Imported(_) | EntryBody::Delivered { .. } | EntryBody::Marked { .. } => {}
        }
        debug_assert_eq!(stamp.lsn, self.head().next());
        self.entries.push(recorded);
    }

    /// Adds the checked facts of an imported segment.
    pub fn import(&mut self, model: ImportModel) {
        let document = model.imported.document;
        let conversation = document.conversation;
        self.next_import.insert(conversation, document.number + 1);
        for fact in &model.facts {
            self.keys.insert((conversation, fact.key_id()), model.lsn);
            match fact {
                Fact::Message(message) => {
                    let known = MessageModel {
                        lsn: model.lsn,
                        document,
                        member: message.by,
                        dir: message.dir,
                        verdict: Verdict::Accepted,
                        accepted: None,
                        resolution: None,
                        retracted_by: Vec::new(),
                        reactions: BTreeMap::new(),
                    };
                    self.messages.insert((conversation, message.id), known);
                }
                Fact::Reaction { message, by, .. } => {
                    if let Some(known) = self.messages.get_mut(&(conversation, *message)) {
                        *known.reactions.entry(*by).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
        self.imports.insert(document, model);
    }

    /// A document is gone.
    fn expire(&mut self, document: DocumentId, lsn: Lsn) {
        self.gone.insert(document, lsn);
        self.undo(document);
        let conversation = document.conversation;
        for key in self.documents.remove(&document).unwrap_or_default().facts.into_keys() {
            self.keys.remove(&(conversation, key));
        }
        let went = |message: &MessageModel| message.document == document;
        let accepted = self.messages.iter().filter(|((of, _), known)| *of == conversation && went(known));
        let newest = accepted.filter_map(|(_, known)| known.accepted).max().unwrap_or_default();
        // What was accepted before a reply that went counts no more either.
        self.accepted.entry(conversation).or_default().retain(|accepted| accepted.lsn > newest);
        self.messages.retain(|(of, _), known| *of != conversation || !went(known));
    }

    /// A conversation is gone.
    fn shred(&mut self, conversation: ConversationId, lsn: Lsn) {
        self.shredded.insert(conversation, lsn);
        self.documents.retain(|document, _| document.conversation != conversation);
        self.imports.retain(|document, _| document.conversation != conversation);
        self.gone.retain(|document, _| document.conversation != conversation);
        self.keys.retain(|(of, _), _| *of != conversation);
        self.messages.retain(|(of, _), _| *of != conversation);
        self.accepted.remove(&conversation);
        self.next_import.remove(&conversation);
        self.open.remove(&conversation);
    }

    fn undo(&mut self, document: DocumentId) {
        let Some(model) = self.imports.remove(&document) else { return };
        for fact in &model.facts {
            self.keys.remove(&(document.conversation, fact.key_id()));
            if let Fact::Message(message) = fact {
                self.messages.remove(&(document.conversation, message.id));
            }
        }
    }

    fn push_fact(&mut self, recorded: &Recorded, placed: &PlacedFact) {
        let stamp = recorded.entry.stamp;
        let conversation = placed.document.conversation;
        let document = self.documents.entry(placed.document).or_default();
        let head = document.chains.entry(placed.actor).or_insert_with(|| ChainHead::empty(placed.document.kind));
        *head = derive(&placed.actor, head, &placed.fact);
        if let Some(opening) = placed.opening {
            document.devices.insert(placed.actor, opening.device);
        }
        document.ops += placed.fact.ops();
        let key = placed.fact.key_id();
        document.facts.insert(key, (stamp.lsn, stamp.verdict));
        self.keys.insert((conversation, key), stamp.lsn);
        match &placed.fact {
            Fact::Message(message) => {
                let reply = message.dir == Direction::Out && message.src.is_none();
                let goes = reply && !matches!(stamp.verdict, Verdict::Held(_));
                let model = MessageModel {
                    lsn: stamp.lsn,
                    document: placed.document,
                    member: stamp.member,
                    dir: message.dir,
                    verdict: stamp.verdict,
                    accepted: goes.then_some(stamp.lsn),
                    resolution: None,
                    retracted_by: Vec::new(),
                    reactions: BTreeMap::new(),
                };
                self.messages.insert((conversation, message.id), model);
                if goes {
                    self.accept(conversation, stamp.lsn, message.id, stamp.member, recorded, !recorded.readmitted);
                }
            }
            Fact::Retraction { message, .. } => {
                if let Some(known) = self.messages.get_mut(&(conversation, *message)) {
                    known.retracted_by.push(stamp.member);
                }
            }
            Fact::Reaction { message, by, .. } => {
                if let Some(known) = self.messages.get_mut(&(conversation, *message)) {
                    *known.reactions.entry(*by).or_default() += 1;
                }
            }
            Fact::Edit { .. } | Fact::Field { .. } | Fact::Label { .. } => {}
        }
    }

    fn accept(
        &mut self,
        conversation: ConversationId,
        lsn: Lsn,
        message: MessageId,
        member: MemberId,
        recorded: &Recorded,
        judged: bool,
    ) {
        let (true_ms, run, at_ms) = (recorded.true_ms, recorded.run, recorded.entry.stamp.at_ms);
        let accepted = AcceptedModel { lsn, message, member, true_ms, at_ms, run, judged };
        self.accepted.entry(conversation).or_default().push(accepted);
    }

    /// The newest reply accepted before an LSN, of another member than this one, that counts for the lock.
    #[must_use]
    pub fn rival(&self, conversation: ConversationId, member: MemberId, before: Lsn) -> Option<AcceptedModel> {
        let counts = |accepted: &&AcceptedModel| {
            let directory = self.directory_at(accepted.lsn);
            accepted.lsn < before && accepted.member != member && directory.locks(accepted.member)
        };
        self.accepted.get(&conversation)?.iter().rev().find(counts).copied()
    }
}
