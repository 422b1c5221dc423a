//! What happens to the hub: one enum in.

use std::sync::Arc;

use bytes::Bytes;
use lockstep_protocol::change::ChainHead;
use lockstep_protocol::codec::DecodeError;
use lockstep_protocol::fact::{Fact, KeyId};
use lockstep_protocol::frame::{Command, DeviceFrame};
use lockstep_protocol::id::{ConversationId, DocumentId, ImportId, MediaHash, MemberId};

use crate::audit::Deed;
use crate::effect::Ticket;
use crate::query::{Answer, LoadFailure, Query};
use crate::row::SnapshotRow;
use crate::scan::Hit;
use crate::sensitive::Words;

/// The time, as the driver reads it for each input. The core has no other clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Now {
    /// Wall time, milliseconds since 1970. May jump; goes into stamps only.
    pub wall_ms: u64,
    /// Monotonic time, milliseconds since any fixed point of this run. Windows, leases and timers run on it.
    pub mono_ms: u64,
}

/// One connection, numbered by the driver; never used twice in one run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SessionId(pub u64);

/// Something that happened. Past tense; the driver tells the hub in the order in which it learnt it.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection was accepted.
    Connected {
        /// Its number.
        session: SessionId,
        /// 32 fresh random bytes: the challenge and whatever this session may need are derived from them.
        entropy: [u8; 32],
    },
    /// A WebSocket message was received and decoded (off the core's thread); frames of unknown number are dropped
    /// before.
    FrameReceived {
        /// From whom.
        session: SessionId,
        /// The frame, or why it is none.
        frame: Result<DeviceFrame, DecodeError>,
    },
    /// Bytes of earlier [`Effect::Send`](crate::effect::Effect::Send)s have left for the socket: credit returns. A
    /// driver may hold back up to a quarter of `session_queue_bytes_max`, and report many frames at once.
    Sent {
        /// Of whom.
        session: SessionId,
        /// How many.
        bytes: usize,
    },
    /// The connection is gone. Also follows every [`Effect::Close`](crate::effect::Effect::Close).
    Disconnected {
        /// Whose.
        session: SessionId,
    },
    /// All batches up to and with this one are durable: one fsync may have covered many.
    Committed {
        /// The newest of them.
        ticket: Ticket,
    },
    /// The log cannot be written or synced. The hub stops.
    CommitFailed,
    /// The answer to [`Effect::Load`](crate::effect::Effect::Load), read from committed state only.
    Loaded {
        /// The question.
        query: Query,
        /// Its answer.
        outcome: Result<Answer, LoadFailure>,
    },
    /// The answer to [`Effect::Apply`](crate::effect::Effect::Apply).
    Applied {
        /// The document.
        document: DocumentId,
        /// The new snapshot, or why there is none.
        outcome: Result<SnapshotRow, ApplyFailure>,
    },
    /// The answer to [`Effect::Scan`](crate::effect::Effect::Scan).
    Scanned {
        /// The document.
        document: DocumentId,
        /// Facts that hold words; none if it could not be read.
        hits: Option<Vec<Hit>>,
    },
    /// Somebody on the hub's own machine changed the team's list of sensitive words, by so many entries. Answered by
    /// [`Effect::Answer`](crate::effect::Effect::Answer) once it is durable; what is stored is looked at again in the
    /// background.
    WordsChanged {
        /// Comes back.
        request: u64,
        /// The list, for the store.
        list: Bytes,
        /// The list, for use.
        words: Arc<dyn Words>,
        /// Entries added, for the audit log.
        added: u32,
        /// Entries taken away.
        removed: u32,
    },
    /// A media blob is durable in this conversation.
    Uploaded {
        /// The conversation.
        conversation: ConversationId,
        /// Who uploaded it.
        member: MemberId,
        /// The blob.
        media: MediaHash,
    },
    /// A command from the hub's own machine, permission-checked there; it acts as an owner.
    Administered {
        /// Comes back in [`Effect::Answer`](crate::effect::Effect::Answer).
        request: u64,
        /// The command.
        command: Command,
        /// 32 fresh random bytes.
        entropy: [u8; 32],
    },
    /// Somebody on the hub's own machine is about to import facts into a conversation, and wants to know what it has of
    /// them and which document comes next. Answered by [`Effect::ImportPlanned`](crate::effect::Effect::ImportPlanned).
    ImportAsked {
        /// Comes back.
        request: u64,
        /// The conversation.
        conversation: ConversationId,
        /// At most [`IMPORT_KEYS_MAX`] of [`import::keys`](lockstep_protocol::import::keys); may be empty.
        keys: Vec<KeyId>,
    },
    /// A worker on the hub's own machine built an imported segment. Everything in it is checked again, the saved
    /// document apart, which the worker has proven. Answered by [`Effect::Answer`](crate::effect::Effect::Answer) with
    /// `Done` once it is durable. `DocumentUnknown` with `open`: another import came in between, build it again there.
    ImportBuilt {
        /// Comes back.
        request: u64,
        /// The segment.
        segment: Box<ImportSegment>,
    },
    /// Somebody on the hub's own machine wants everything back out of a conversation that one import brought. Answered
    /// by [`Effect::Answer`](crate::effect::Effect::Answer); `Busy` while a segment of an import is in flight there.
    UndoAsked {
        /// Comes back.
        request: u64,
        /// The conversation.
        conversation: ConversationId,
        /// The run.
        import: ImportId,
    },
    /// Somebody on the hub's own machine wants a conversation destroyed. Answered by
    /// [`Effect::Answer`](crate::effect::Effect::Answer) once nothing of it is left in the store and its keys are gone.
    ShredAsked {
        /// Comes back.
        request: u64,
        /// The conversation.
        conversation: ConversationId,
    },
    /// The answer to [`Effect::Shred`](crate::effect::Effect::Shred).
    Shredded {
        /// The conversation.
        conversation: ConversationId,
        /// Everything is done, durably; else it is tried again.
        done: bool,
    },
    /// Something was done, or is about to be, on the hub's own machine that is no command: it goes to the audit log.
    /// Answered by [`Effect::Answer`](crate::effect::Effect::Answer) once its row is durable.
    Acted {
        /// Comes back.
        request: u64,
        /// What.
        deed: Deed,
    },
    /// The time that [`Hub::next_wake`](crate::hub::Hub::next_wake) named has come.
    Ticked,
    /// The hub is to stop: nothing new is taken, what is in flight is finished.
    DrainRequested,
}

/// Most keys of one [`Input::ImportAsked`].
pub const IMPORT_KEYS_MAX: usize = 4_096;

/// An imported segment as a worker built it, with `lockstep_protocol::document::build_import`.
#[derive(Clone, Debug)]
pub struct ImportSegment {
    /// The document that [`ImportPlan`](crate::effect::ImportPlan) named, or one after it.
    pub document: DocumentId,
    /// The run.
    pub import: ImportId,
    /// Its facts, in chain order.
    pub facts: Vec<Fact>,
    /// The end of the chain that they make.
    pub head: ChainHead,
    /// The saved Automerge document.
    pub bytes: Bytes,
}

/// Why a worker could not compact a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApplyFailure {
    /// The old snapshot does not load; a rebuild from facts may help.
    BaseDamaged,
    /// The heads after applying or reloading are not the expected ones, or Automerge refused or panicked.
    Failed,
    /// The store could not be read.
    Unreadable,
}
