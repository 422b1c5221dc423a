//! Rows that the core asks for: questions and their answers.

use bytes::Bytes;
use lockstep_protocol::entry::LogChain;
use lockstep_protocol::fact::KeyId;
use lockstep_protocol::frame::CatalogueDocument;
use lockstep_protocol::id::{ConversationId, DocumentId, Epoch, Lsn};
use lockstep_protocol::keep::Keep;

use crate::input::SessionId;
use crate::row::{ConversationRow, DocumentState, IndexRow, Remains, SnapshotRow};

/// A question to the store. It sees committed state only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Query {
    /// One conversation. Answer: [`Answer::Conversation`].
    Conversation(ConversationId),
    /// A document's counters and all its chains. Answer: [`Answer::Document`].
    Document(DocumentId),
    /// Rows of a conversation's index, in the order of `keys`. Answer: [`Answer::Keys`].
    Keys {
        /// The conversation.
        conversation: ConversationId,
        /// The keys.
        keys: Vec<KeyId>,
    },
    /// The log chain at this LSN; none when the log no longer (or not yet) reaches it. Answer: [`Answer::Chain`].
    Chain {
        /// For whose handshake.
        session: SessionId,
        /// Where.
        lsn: Lsn,
    },
    /// Entries after `after` up to `upto`, all conversations, until `bytes_max`. At least one entry if there is any.
    /// Answer: [`Answer::Log`].
    Log {
        /// For whom.
        session: SessionId,
        /// After which.
        after: Lsn,
        /// The last one: the newest that the hub knows to be durable.
        upto: Lsn,
        /// Bound, bytes.
        bytes_max: usize,
    },
    /// The next conversations in order of id, each with its documents. Answer: [`Answer::Catalogue`].
    Catalogue {
        /// For whom.
        session: SessionId,
        /// After which conversation; none to begin.
        after: Option<ConversationId>,
        /// How many conversations at most.
        conversations_max: usize,
    },
    /// One conversation as it is durable, with its imported segments, for the answer to a Fetch. Answer:
    /// [`Answer::Listing`].
    Listing {
        /// For whom.
        session: SessionId,
        /// The conversation.
        conversation: ConversationId,
    },
    /// A document's newest snapshot and the entries after it. Answer: [`Answer::Content`].
    Content {
        /// For whom.
        session: SessionId,
        /// The document.
        document: DocumentId,
    },
    /// The next documents that have a row, in order of id. Answer: [`Answer::Documents`].
    Documents {
        /// After which; none to begin.
        after: Option<DocumentId>,
        /// How many at most.
        documents_max: usize,
    },
    /// The next documents, in order of id, for whoever looks what is older than its keep time. Answer: [`Answer::Ages`].
    Ages {
        /// After which; none to begin.
        after: Option<DocumentId>,
        /// The keep time of conversations that have none of their own.
        keep: Keep,
        /// How many documents are looked at, at most.
        documents_max: usize,
    },
    /// What there is of a document beside its own rows. Answer: [`Answer::Remains`].
    Remains(DocumentId),
    /// The newest LSN received before a time, and documents with entries up to there that no snapshot covers.
    /// Answer: [`Answer::Retention`].
    Retention {
        /// Milliseconds since 1970.
        before_ms: u64,
        /// How many documents at most.
        documents_max: usize,
    },
}

/// The store's answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`Query::Conversation`]; none if there is no such conversation.
    Conversation(Option<ConversationRow>),
    /// To [`Query::Listing`]; none if there is no such conversation. Row and documents are of one moment.
    Listing {
        /// The conversation.
        row: Option<ConversationRow>,
        /// Its imported segments.
        imported: Vec<CatalogueDocument>,
    },
    /// To [`Query::Document`]; none if there is no such document.
    Document(Option<DocumentState>),
    /// To [`Query::Keys`], in its order.
    Keys(Vec<Option<IndexRow>>),
    /// To [`Query::Chain`].
    Chain(Option<LogChain>),
    /// To [`Query::Log`].
    Log {
        /// The entries, in order.
        entries: Vec<StoredEntry>,
        /// The range that they cover ends here: the last entry's LSN, or `after` if there is none.
        upto: Lsn,
        /// The log chain at `upto`.
        chain: LogChain,
        /// The newest committed LSN at the time of reading.
        read_at: Lsn,
    },
    /// To [`Query::Catalogue`].
    Catalogue {
        /// Conversations in order of id, with their documents that have content.
        conversations: Vec<(ConversationRow, Vec<CatalogueDocument>)>,
        /// Whether there are no more.
        last: bool,
    },
    /// To [`Query::Content`].
    Content {
        /// The newest snapshot, if the document was ever compacted.
        snapshot: Option<SnapshotRow>,
        /// The document's entries after it, in order, each with its epoch.
        tail: Vec<(Epoch, Bytes)>,
        /// The newest committed LSN at the time of reading: nothing of the document up to here is missing.
        upto: Lsn,
    },
    /// To [`Query::Documents`]; none when there are no more.
    Documents(Vec<DocumentId>),
    /// To [`Query::Ages`].
    Ages {
        /// Segments and imported segments with facts whose keep time ends some day.
        aged: Vec<Aged>,
        /// The last document looked at; none when there are no more.
        last: Option<DocumentId>,
    },
    /// To [`Query::Remains`].
    Remains(Box<Remains>),
    /// To [`Query::Retention`].
    Retention {
        /// The newest LSN received before the time; the current floor if none.
        upto: Lsn,
        /// Documents that must be compacted first.
        uncovered: Vec<DocumentId>,
    },
}

/// How old a document is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Aged {
    /// Which.
    pub document: DocumentId,
    /// Its conversation's keep time.
    pub keep: Keep,
    /// It is the segment that is written into.
    pub is_open: bool,
    /// Its row says what follows; else that was found out just now.
    pub is_stored: bool,
    /// See [`DocumentRow::oldest_ms`](crate::row::DocumentRow::oldest_ms).
    pub oldest_ms: u64,
    /// See [`DocumentRow::newest_ms`](crate::row::DocumentRow::newest_ms).
    pub newest_ms: u64,
}

/// An entry as the log holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEntry {
    /// Its place.
    pub lsn: Lsn,
    /// The encoded entry; empty once its body was erased. Nobody is sent an erased one.
    pub bytes: Bytes,
    /// The conversation it belongs to, if any.
    pub conversation: Option<ConversationId>,
}

/// Why rows could not be read. The hub refuses what waited for them with `Busy` and reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadFailure;
