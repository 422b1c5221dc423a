//! What happens to a device: one enum in.

use std::collections::BTreeMap;

use lockstep_protocol::change::ChainHead;
use lockstep_protocol::codec::DecodeError;
use lockstep_protocol::entry::Resolution;
use lockstep_protocol::fact::{Direction, Fact, Media};
use lockstep_protocol::frame::{Command, HubFrame};
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId, InviteCode, MessageId};

use crate::effect::{JobId, Ticket};
use crate::query::{Answer, LoadFailure, Query};

/// The time, as the driver reads it for each input. The core has no other clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Now {
    /// Wall time, milliseconds since 1970. May jump; goes into ids only.
    pub wall_ms: u64,
    /// Monotonic time, milliseconds since any fixed point of this run. Timers run on it.
    pub mono_ms: u64,
}

/// One connection, numbered by the core; never used twice in one run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ConnectionId(pub u64);

/// What a caller recognises the answer to an act by.
pub type Request = u64;

/// Something that happened. Past tense; the driver tells the device in the order in which it learnt it.
#[derive(Clone, Debug)]
pub enum Input {
    /// The connection that [`Effect::Connect`](crate::effect::Effect::Connect) asked for stands.
    Connected {
        /// Which.
        connection: ConnectionId,
    },
    /// The connection failed or is gone. Also when it never stood. May follow an
    /// [`Effect::Disconnect`](crate::effect::Effect::Disconnect), which does not wait for it.
    Disconnected {
        /// Which.
        connection: ConnectionId,
    },
    /// A WebSocket message was received and decoded; frames of unknown number are dropped before. What comes from
    /// another connection than the current one is ignored.
    FrameReceived {
        /// From where.
        connection: ConnectionId,
        /// The frame, or why it is none.
        frame: Result<HubFrame, DecodeError>,
    },
    /// All transactions up to and with this one are durable.
    Persisted {
        /// The newest of them.
        ticket: Ticket,
    },
    /// The store cannot be written. The device stops: nothing more is sent, and every act is answered with
    /// [`ActOutcome::StoreFailed`](crate::effect::ActOutcome::StoreFailed).
    PersistFailed,
    /// The answer to [`Effect::Load`](crate::effect::Effect::Load), read from durable state only.
    Loaded {
        /// The question.
        query: Query,
        /// Its answer.
        outcome: Result<Answer, LoadFailure>,
    },
    /// The answer to [`Effect::Apply`](crate::effect::Effect::Apply).
    Applied {
        /// Which job.
        job: JobId,
        /// The document.
        document: DocumentId,
        /// What it holds now, or why it does not.
        outcome: Result<AppliedDocument, ApplyFailure>,
    },
    /// A person or program wants something.
    Acted {
        /// Comes back in [`Effect::ActDone`](crate::effect::Effect::ActDone), exactly once.
        request: Request,
        /// What.
        act: Act,
    },
    /// The time that [`Device::next_wake`](crate::device::Device::next_wake) named has come.
    Ticked,
}

/// What a member does on this device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Writes a message.
    Write(Draft),
    /// Writes a new body for one's own message. A reply that is held back is discarded and written anew.
    Edit {
        /// The conversation.
        conversation: ConversationId,
        /// The message.
        message: MessageId,
        /// The new body.
        body: String,
    },
    /// Retracts a message.
    Retract {
        /// The conversation.
        conversation: ConversationId,
        /// The message.
        message: MessageId,
        /// Why; may be empty.
        reason: String,
    },
    /// Reacts to a message.
    React {
        /// The conversation.
        conversation: ConversationId,
        /// The message.
        message: MessageId,
        /// The emoji; empty takes it back.
        emoji: String,
    },
    /// Sets a field of the conversation's card.
    SetField {
        /// The conversation.
        conversation: ConversationId,
        /// The field.
        name: String,
        /// Its value.
        value: String,
    },
    /// Sets or takes away a label.
    SetLabel {
        /// The conversation.
        conversation: ConversationId,
        /// The label.
        label: String,
        /// On or off.
        on: bool,
    },
    /// Has read up to a message.
    MarkRead {
        /// The conversation.
        conversation: ConversationId,
        /// The newest message read.
        message: MessageId,
    },
    /// Types a reply. To be told at every key; the core thins it out.
    Type {
        /// The conversation.
        conversation: ConversationId,
    },
    /// Decides about one's own held reply.
    Resolve {
        /// The conversation.
        conversation: ConversationId,
        /// The reply.
        message: MessageId,
        /// Send it anyway, or never.
        resolution: Resolution,
    },
    /// Changes the directory or reports a delivery. Needs a connection; not kept while offline.
    Command(Command),
    /// Opens a view: its messages come as view events until it is closed.
    Open {
        /// The conversation.
        conversation: ConversationId,
    },
    /// Shows one older segment in an open view, fetched if it is not held.
    ShowOlder {
        /// The conversation.
        conversation: ConversationId,
    },
    /// Closes a view.
    Close {
        /// The conversation.
        conversation: ConversationId,
    },
    /// Removes an item of "not sent, because …".
    Dismiss {
        /// The item's [`NotSentRow::order`](crate::row::NotSentRow::order).
        item: u64,
    },
    /// Enrols this device with a one-time code, at the next connection.
    Enrol {
        /// The code.
        code: InviteCode,
        /// The device's shown name.
        name: String,
    },
    /// Connects now instead of waiting for the backoff, also after a refusal that stopped it.
    Connect,
}

/// A message to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// The conversation.
    pub conversation: ConversationId,
    /// Which way it goes.
    pub dir: Direction,
    /// `text`, `image`, …
    pub kind: String,
    /// Its text.
    pub body: String,
    /// The message that it answers or quotes.
    pub re: Option<MessageId>,
    /// Its attachment.
    pub media: Option<Media>,
    /// Its id where the caller derives one (a channel connector, from the channel's own id); else drawn here.
    pub id: Option<MessageId>,
}

impl Draft {
    /// A text.
    #[must_use]
    pub fn text(conversation: ConversationId, dir: Direction, body: &str) -> Self {
        Self { conversation, dir, kind: "text".to_owned(), body: body.to_owned(), re: None, media: None, id: None }
    }
}

/// A fact at its place in one document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainFact {
    /// The chain.
    pub actor: ActorId,
    /// Place in the chain, from 1.
    pub seq: u32,
    /// The fact.
    pub fact: Fact,
}

/// What a worker found or made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppliedDocument {
    /// For [`Apply::Parse`](crate::effect::Apply::Parse): every fact, each chain in order. Else empty.
    pub facts: Vec<ChainFact>,
    /// The head of every chain.
    pub heads: BTreeMap<ActorId, ChainHead>,
}

/// A worker could not read, build or extend a document: damaged bytes, unexpected heads, or Automerge refused or
/// panicked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApplyFailure;
