//! What the hub wants done: one ordered list out.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use lockstep_protocol::change::ChainHead;
use lockstep_protocol::directory::DirectoryEvent;
use lockstep_protocol::entry::LogChain;
use lockstep_protocol::frame::Outcome;
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId, Epoch, Lsn};
use lockstep_protocol::import::Known;
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::input::SessionId;
use crate::query::Query;
use crate::row::{Class, Write};
use crate::sensitive::Words;

/// Numbers the batches; [`Input::Committed`](crate::input::Input::Committed) names the newest durable one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ticket(pub u64);

/// A command to the driver. The driver carries effects out in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send one frame. Live entries share one `Bytes` among all sessions that see the same.
    Send {
        /// To whom.
        session: SessionId,
        /// The encoded frame.
        bytes: Bytes,
    },
    /// Close the connection after what was sent before.
    Close {
        /// Whose.
        session: SessionId,
        /// Why; [`Effect::Send`] has told the peer already where it can be told.
        reason: CloseReason,
    },
    /// Write this batch, atomically, in order; many waiting batches share one sync.
    Commit(Batch),
    /// Read rows; answered by [`Input::Loaded`](crate::input::Input::Loaded).
    Load(Query),
    /// Look for sensitive words in a document, in a worker; answered by
    /// [`Input::Scanned`](crate::input::Input::Scanned).
    Scan(Scan),
    /// A shredded conversation's deletion is durable: erase the bodies of its entries in the log, then destroy its keys;
    /// answered by [`Input::Shredded`](crate::input::Input::Shredded).
    Shred(ConversationId),
    /// Compact a document in a guarded worker; answered by [`Input::Applied`](crate::input::Input::Applied).
    Apply(Apply),
    /// The answer to [`Input::Administered`](crate::input::Input::Administered).
    Answer {
        /// Which request.
        request: u64,
        /// What came of it.
        outcome: Outcome,
    },
    /// The answer to [`Input::ImportAsked`](crate::input::Input::ImportAsked). What it says is known is durable.
    ImportPlanned {
        /// Which request.
        request: u64,
        /// What the conversation has, or why it cannot be said.
        outcome: Result<ImportPlan, Box<Refusal>>,
    },
    /// Something a person should know.
    Report(Report),
    /// Everything in flight at [`Input::DrainRequested`](crate::input::Input::DrainRequested) is finished.
    Drained,
    /// Stop the process with an error: the log cannot be trusted to be written.
    Stop,
}

/// What an import into a conversation begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportPlan {
    /// The next imported segment's document; those after it count up.
    pub document: DocumentId,
    /// What stands under each key asked for, in the order of the question.
    pub known: Vec<Known>,
}

/// Why a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The peer was refused.
    Refused(RefusalCode),
    /// The peer does not read what it is sent.
    TooSlow,
    /// A new epoch began; the device connects again.
    NewEpoch,
}

/// Something a person should know. Carries ids only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// A device holds a place in the log that this hub has lost: its disk was copied or rolled back.
    RollbackFound {
        /// The place.
        lsn: Lsn,
    },
    /// A document's snapshot was damaged and is being rebuilt from its facts.
    Rebuilding(DocumentId),
    /// A document could not be compacted; its entries are kept.
    CompactionFailed(DocumentId),
    /// Rows of a conversation could not be read; its pushes were refused with `Busy`.
    Unreadable(Option<ConversationId>),
    /// The clock went far ahead at once, or is far ahead of the newest entry: nothing expires for a while.
    ClockAhead {
        /// By how much, milliseconds.
        by_ms: u64,
        /// For how long, milliseconds.
        hold_ms: u64,
    },
}

/// What becomes durable together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its number, counting up by one.
    pub ticket: Ticket,
    /// Entries for the log, LSNs counting up by one.
    pub entries: Vec<LogEntry>,
    /// Rows, written in order after the entries.
    pub writes: Vec<Write>,
    /// Directory changes to be appended, as durably, to the small list outside the backup chain that
    /// [`Boot::outside`](crate::hub::Boot::outside) brings back after a restore.
    pub outside: Vec<OutsideEvent>,
}

/// A directory change as the small list outside the backup chain keeps it: with its place, so that a restored hub can
/// tell what lies after the restore point.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutsideEvent {
    /// The epoch of its entry.
    pub epoch: Epoch,
    /// The LSN of its entry.
    pub lsn: Lsn,
    /// The change.
    pub event: DirectoryEvent,
}

/// An entry on its way into the log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its place.
    pub lsn: Lsn,
    /// The encoded [`Entry`](lockstep_protocol::entry::Entry): encoded once, kept and sent as these bytes.
    pub bytes: Bytes,
    /// The log chain with this entry; kept beside it.
    pub chain: LogChain,
    /// When it was received, for retention: milliseconds since 1970.
    pub at_ms: u64,
    /// The conversation it belongs to, if any.
    pub conversation: Option<ConversationId>,
    /// The document it belongs to, if any.
    pub document: Option<DocumentId>,
    /// Under which keys it is stored.
    pub class: Class,
}

/// A document to look for sensitive words in: its newest snapshot and the entries behind it.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The document.
    pub document: DocumentId,
    /// The words.
    pub words: Arc<dyn Words>,
}

/// A document to compact: from the newest snapshot (or from facts alone) and the entries up to `upto`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Apply {
    /// The document.
    pub document: DocumentId,
    /// Its last entry to take in; all of them are durable.
    pub upto: Lsn,
    /// The chain heads that the document must have then.
    pub heads: BTreeMap<ActorId, ChainHead>,
    /// Under which keys the new snapshot will be stored.
    pub class: Class,
    /// Ignore the old snapshot's bytes; take its facts from the log instead, as far as they are there.
    pub rebuild: bool,
}
