//! One conversation in memory: its small state, the rows that were loaded for it, and the work that waits, in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lockstep_protocol::directory::{Conversation, DirectoryEvent};
use lockstep_protocol::entry::EntryBody;
use lockstep_protocol::fact::{Fact, KeyId};
use lockstep_protocol::frame::{Command, Fetch, OfferedEntry, Push, Resolve, Tag};
use lockstep_protocol::id::{ActorId, DocumentId, DocumentKind, ImportId, Lsn, MediaHash, MemberId, MessageId};

use crate::effect::Ticket;
use crate::input::{ImportSegment, SessionId};
use crate::lock::Lock;
use crate::log::Log;
use crate::query::{Aged, Query};
use crate::row::{AcceptedReply, ChainRow, ConversationRow, DocumentState, IndexRow, KeyRow, Remains, SnapshotRow};
use crate::scan::Hit;
use crate::sensitive::Recents;

/// Something to do in a conversation once the rows that it needs are there.
#[derive(Debug)]
pub(crate) enum Work {
    Push(SessionId, Push),
    Mark(SessionId, Tag, MessageId),
    Typing(SessionId),
    Resolve(SessionId, Resolve),
    /// The entries of one Offer that belong to this conversation, with their places in it.
    Offer(SessionId, Tag, Vec<(usize, OfferedEntry)>),
    Fetch(SessionId, Fetch),
    /// A command about the conversation, and whose it is.
    Command(Commander, Command),
    Uploaded(MemberId, MediaHash),
    /// Look whether the document is to be compacted now.
    Compact(DocumentId),
    /// What holds sensitive words in a document.
    Scanned(DocumentId, Vec<Hit>),
    /// A compacted document, with the tail that it covers.
    Compacted(DocumentId, u32, Box<SnapshotRow>),
    /// Somebody asks, by request, what is known under some keys.
    ImportAsk(u64, Vec<KeyId>),
    /// An imported segment, by request.
    Import(u64, Box<ImportSegment>),
    /// A run's segments are to be taken back, by request.
    ImportUndo(u64, ImportId),
    /// Look whether the document is to be closed or to go because of its age.
    Keep(Box<Aged>),
    /// The conversation is to be destroyed, by request.
    Shred(u64),
    /// A loss to be replayed after a restore.
    Replay(DirectoryEvent),
    /// Nothing: somebody waits for the conversation to be there.
    Wake(SessionId),
}

/// Who asked for a command and is to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Commander {
    /// A device's member, by tag.
    Session(SessionId, Tag, MemberId),
    /// The hub's own machine, by request; acts as an owner.
    Administrator(u64),
}

impl Work {
    /// Memory that it takes while it waits, bytes.
    pub(crate) fn bytes(&self) -> usize {
        let fact = |fact: &Fact| size_of::<Fact>() + fact.text_bytes() as usize;
        size_of::<Self>()
            + match self {
                Self::Push(_, push) => push.facts.iter().map(|pushed| fact(&pushed.fact)).sum(),
                Self::Offer(_, _, entries) => {
                    let offered = |entry: &OfferedEntry| match &entry.body {
                        EntryBody::Fact(placed) => size_of::<OfferedEntry>() + fact(&placed.fact),
                        _ => size_of::<OfferedEntry>(),
                    };
                    entries.iter().map(|(_, entry)| offered(entry)).sum()
                }
                _ => 0,
            }
    }

    /// The session whose frame this is, if it is one.
    pub(crate) const fn session(&self) -> Option<SessionId> {
        match self {
            Self::Push(session, _)
            | Self::Mark(session, ..)
            | Self::Typing(session)
            | Self::Resolve(session, _)
            | Self::Offer(session, ..)
            | Self::Fetch(session, _)
            | Self::Command(Commander::Session(session, ..), _) => Some(*session),
            Self::Command(Commander::Administrator(_), _)
            | Self::Uploaded(..)
            | Self::Compact(_)
            | Self::Compacted(..)
            | Self::Scanned(..)
            | Self::ImportAsk(..)
            | Self::Import(..)
            | Self::ImportUndo(..)
            | Self::Keep(_)
            | Self::Shred(_)
            | Self::Replay(_)
            | Self::Wake(_) => None,
        }
    }
}

/// What is known of a conversation's row.
#[derive(Debug)]
pub(crate) enum Presence {
    /// It is being read.
    Loading,
    /// There is none.
    Absent,
    /// It is here.
    Present(Box<ConversationRow>),
}

/// How the durable directory sees the conversation.
#[derive(Debug)]
pub(crate) enum Committed {
    /// As the row says.
    Same,
    /// As this; the row is ahead.
    Older(Box<Conversation>),
    /// Not yet.
    Absent,
}

/// One conversation in memory.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) presence: Presence,
    pub(crate) committed: Committed,
    pub(crate) lock: Lock,
    pub(crate) documents: BTreeMap<(DocumentKind, u32), DocumentState>,
    pub(crate) index: BTreeMap<KeyId, Option<IndexRow>>,
    pub(crate) queue: VecDeque<Work>,
    pub(crate) loading: BTreeSet<Query>,
    /// Readers that need it to stay.
    pub(crate) pins: usize,
    /// Its newest entry that may still be in flight.
    pub(crate) newest: Lsn,
    /// The batch after which all its rows are as durable as they are here.
    pub(crate) pending: Ticket,
    /// The batch of its newest imported segment.
    pub(crate) importing: Ticket,
    /// Documents that went, while the store may still show rows of them.
    pub(crate) gone: BTreeSet<DocumentId>,
    /// What was read of a document that is about to expire.
    pub(crate) remains: Option<(DocumentId, Remains)>,
    /// Its members' last messages, over which a word may be split.
    pub(crate) recents: Recents,
    /// Its place in the order of use.
    pub(crate) used: u64,
    /// What it weighed when it was last put back, see [`Slot::bytes`].
    pub(crate) weight: usize,
}

impl Slot {
    pub(crate) fn loading(used: u64) -> Self {
        Self {
            presence: Presence::Loading,
            committed: Committed::Same,
            lock: Lock::default(),
            documents: BTreeMap::new(),
            index: BTreeMap::new(),
            queue: VecDeque::new(),
            loading: BTreeSet::new(),
            pins: 0,
            newest: Lsn::ZERO,
            pending: Ticket::default(),
            importing: Ticket::default(),
            gone: BTreeSet::new(),
            remains: None,
            recents: Recents::default(),
            used,
            weight: 0,
        }
    }

    /// Memory that it takes, bytes: its rows, with the slack of a tree's nodes. What waits in its queue is charged to
    /// the sessions that sent it.
    pub(crate) fn bytes(&self) -> usize {
        let row = self.row().map_or(0, |row| {
            let Conversation { customer, assigned, .. } = &row.conversation;
            size_of::<ConversationRow>() + customer.len() + size_of_val(&assigned[..]) + size_of_val(&row.markers[..])
        });
        let index = self.index.len() * size_of::<(KeyId, Option<IndexRow>)>();
        let chains: usize = self.documents.values().map(|state| state.chains.len()).sum();
        let documents = self.documents.len() * size_of::<DocumentState>() + chains * size_of::<(ActorId, ChainRow)>();
        // The nodes of a B-tree are two thirds full on average.
        size_of::<Self>() + row + self.recents.bytes() + (index + documents) * 3 / 2
    }

    pub(crate) fn row(&self) -> Option<&ConversationRow> {
        match &self.presence {
            Presence::Present(row) => Some(row),
            Presence::Loading | Presence::Absent => None,
        }
    }

    pub(crate) fn row_mut(&mut self) -> Option<&mut ConversationRow> {
        match &mut self.presence {
            Presence::Present(row) => Some(row),
            Presence::Loading | Presence::Absent => None,
        }
    }

    /// The durable directory's view.
    pub(crate) fn committed_conversation(&self) -> Option<&Conversation> {
        match (&self.committed, &self.presence) {
            (Committed::Same, Presence::Present(row)) => Some(&row.conversation),
            (Committed::Older(conversation), _) => Some(conversation),
            _ => None,
        }
    }

    /// Remembers how the durable directory sees the conversation, before the row runs ahead.
    pub(crate) fn keep_committed(&mut self) {
        if let (Committed::Same, Presence::Present(row)) = (&self.committed, &self.presence) {
            self.committed = Committed::Older(Box::new(row.conversation.clone()));
        }
    }

    pub(crate) fn document(&self, document: DocumentId) -> Option<&DocumentState> {
        self.documents.get(&(document.kind, document.number))
    }

    pub(crate) fn document_mut(&mut self, document: DocumentId) -> Option<&mut DocumentState> {
        self.documents.get_mut(&(document.kind, document.number))
    }

    /// The row under a key; the outer none means that it was not looked up.
    pub(crate) fn key(&self, key: &KeyId) -> Option<Option<&KeyRow>> {
        self.index.get(key).map(|row| match row {
            Some(IndexRow::Fact(row)) => Some(row),
            _ => None,
        })
    }

    pub(crate) fn fact_row(&self, key: &KeyId) -> Option<&KeyRow> {
        self.key(key).flatten()
    }

    pub(crate) fn fact_row_mut(&mut self, key: &KeyId) -> Option<&mut KeyRow> {
        match self.index.get_mut(key) {
            Some(Some(IndexRow::Fact(row))) => Some(row),
            _ => None,
        }
    }

    /// Copies the lock's replies into the row, for the store.
    pub(crate) fn store_replies(&mut self) {
        let row_of = |reply: &Option<crate::lock::Reply>| -> Option<AcceptedReply> { reply.map(|reply| reply.row) };
        let (last, other) = (row_of(&self.lock.last), row_of(&self.lock.last_other));
        if let Some(row) = self.row_mut() {
            row.last_reply = last;
            row.last_other_reply = other;
        }
    }

    /// Whether nothing needs it to stay in memory.
    pub(crate) fn is_idle(&self, log: &Log, now_ms: u64) -> bool {
        self.queue.is_empty()
            && self.loading.is_empty()
            && self.pins == 0
            && log.is_durable(self.pending)
            && matches!(self.committed, Committed::Same)
            && !self.lock.is_running(now_ms)
    }

    /// Forgets loaded rows beyond a bound, when nothing is under way that counts on them and none is ahead of the store.
    pub(crate) fn trim(&mut self, rows_max: usize, log: &Log) {
        if self.queue.is_empty() && self.loading.is_empty() && log.is_durable(self.pending) {
            self.gone.clear();
            if self.index.len() > rows_max {
                self.index.clear();
            }
            let open = self.row().map(|row| (row.open_segment, row.open_card));
            if let Some((segment, card)) = open
                && self.documents.len() > 8
            {
                self.documents.retain(|(kind, number), _| match kind {
                    DocumentKind::Segment => *number == segment,
                    DocumentKind::Card => *number == card,
                    DocumentKind::Imported => false,
                });
            }
        }
    }
}
