//! What a device wants done: one ordered list out.

use std::collections::BTreeMap;

use bytes::Bytes;
use lockstep_protocol::change::ChainHead;
use lockstep_protocol::directory::Role;
use lockstep_protocol::entry::{CollisionCause, Stamp};
use lockstep_protocol::frame::Outcome;
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId, Epoch, MemberId, MessageId};
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::input::{ChainFact, ConnectionId, Request};
use crate::query::Query;
use crate::row::Write;
use crate::view::ViewEvent;

/// Numbers the transactions; [`Input::Persisted`](crate::input::Input::Persisted) names the newest durable one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ticket(pub u64);

/// Numbers the jobs for workers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct JobId(pub u64);

/// A command to the driver. The driver carries effects out in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Connect to the hub; answered by `Connected` or `Disconnected`.
    Connect {
        /// The connection's number.
        connection: ConnectionId,
    },
    /// Close the connection after what was sent before.
    Disconnect {
        /// Which.
        connection: ConnectionId,
    },
    /// Send one frame.
    Send {
        /// Where.
        connection: ConnectionId,
        /// The encoded [`DeviceFrame`](lockstep_protocol::frame::DeviceFrame).
        bytes: Bytes,
    },
    /// Write this transaction, atomically, after all earlier ones; answered by `Persisted`.
    Persist(Transaction),
    /// Read rows; answered by `Loaded`.
    Load(Query),
    /// Work for a guarded worker; answered by `Applied`, [`Apply::Drop`] apart.
    Apply(Apply),
    /// An open view changed.
    View(ViewEvent),
    /// Something a person or program should know.
    Notice(Notice),
    /// The answer to an act. What it confirms is durable.
    ActDone {
        /// Which.
        request: Request,
        /// What came of it.
        outcome: ActOutcome,
    },
}

/// What becomes durable together.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Its number, counting up by one.
    pub ticket: Ticket,
    /// Rows, written in order.
    pub writes: Vec<Write>,
}

/// Work on Automerge documents, outside the core, with panics caught.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Apply {
    /// Read the facts and chain heads out of a saved document that the hub sent.
    Parse {
        /// Comes back.
        job: JobId,
        /// The document.
        document: DocumentId,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Build the live document of an open view from its facts, replacing what is there.
    Build {
        /// Comes back.
        job: JobId,
        /// The document.
        document: DocumentId,
        /// Its facts, each chain in order without holes.
        facts: Vec<ChainFact>,
        /// The heads that it must have then.
        heads: BTreeMap<ActorId, ChainHead>,
    },
    /// Add facts to the live document of an open view.
    Extend {
        /// Comes back.
        job: JobId,
        /// The document.
        document: DocumentId,
        /// New facts, each chain in order without holes.
        facts: Vec<ChainFact>,
        /// The heads that it must have then.
        heads: BTreeMap<ActorId, ChainHead>,
    },
    /// The live document is needed no more.
    Drop {
        /// The document.
        document: DocumentId,
    },
}

/// What came of an act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ActOutcome {
    /// A message is durable on this device, and will be sent.
    Written(MessageId),
    /// Done, and durable on this device where it has to be.
    Done,
    /// The hub's answer to a command.
    Answered(Outcome),
    /// It can never stand, so it was not written.
    Rejected(RefusalCode),
    /// It needs a connection, and there is none.
    Offline,
    /// The connection broke before the hub answered: it may have happened or not.
    Interrupted,
    /// Too much waits already; try again.
    Busy,
    /// The store cannot be written.
    StoreFailed,
}

/// Something a person or program should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The hub let the device in.
    Online {
        /// Whose device it is.
        member: MemberId,
        /// Their role.
        role: Role,
    },
    /// The connection is gone; the next attempt comes by itself.
    Offline,
    /// The device holds everything that it may see and that was durable when the hub let it in, older segments that
    /// are fetched on demand apart.
    CaughtUp,
    /// The hub began a new epoch: it was restored.
    EpochChanged(Epoch),
    /// The member's role changed.
    RoleChanged(Role),
    /// Members, policy or roles changed.
    TeamChanged,
    /// A conversation appeared or its directory data changed.
    ConversationChanged(ConversationId),
    /// A conversation is visible no more; its local copy is deleted.
    ConversationGone(ConversationId),
    /// An item of "not sent, because …" was added.
    NotSent {
        /// Its [`NotSentRow::order`](crate::row::NotSentRow::order).
        item: u64,
    },
    /// A reply of this member lost: it is held back or marked.
    Collided {
        /// The conversation.
        conversation: ConversationId,
        /// The reply.
        message: MessageId,
        /// Why.
        cause: CollisionCause,
    },
    /// A resolution was refused: another reply still stands in the way, or the hub says why not.
    ResolveRefused {
        /// The conversation.
        conversation: ConversationId,
        /// The reply.
        message: MessageId,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// An entry of an earlier epoch was offered and refused; it is kept only for `ConversationUnknown`.
    OfferRefused {
        /// Its stamp then.
        stamp: Stamp,
        /// Why.
        code: u16,
    },
    /// Another member holds or rests from a lease that this member asked for.
    LeaseRefused {
        /// The conversation, if it is still the one last asked for.
        conversation: Option<ConversationId>,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// Own chain of a document was abandoned: its store was copied or restored.
    ChainForked(DocumentId),
    /// This device derives other changes than the hub: it sends nothing until it is updated.
    UpdateNeeded,
    /// The hub refused the session; no further attempt until [`Act::Connect`](crate::input::Act::Connect) or
    /// [`Act::Enrol`](crate::input::Act::Enrol).
    Stopped(RefusalCode),
    /// The hub refused something that was not asked by an act.
    Refused(Box<Refusal>),
    /// The hub's id is not the one that this device belongs to.
    WrongHub,
    /// Rows could not be read; it is tried again.
    Unreadable(DocumentId),
    /// A document could not be built even from its facts; its messages are shown from them nevertheless.
    DocumentBroken(DocumentId),
}
