//! Rows that a device keeps.
//!
//! Their CBOR is what stores keep: an index never changes its meaning, a new field is an `Option` at a new index.

use lockstep_protocol::change::ChainHead;
use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::directory::Conversation;
use lockstep_protocol::entry::{Category, Delivery, EntryBody, PlacedFact, Resolution, Stamp};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::frame::{Marker, OfferedEntry, Team};
use lockstep_protocol::id::{
    ActorId, ConversationId, DocumentId, Epoch, HashPrefix, HubId, Lsn, MemberId, MessageId, Nonce,
};
use lockstep_protocol::snapshot::DocumentDigest;
use minicbor::{Decode, Encode};

/// One row to write or delete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// The device's own state; one row.
    Meta(Box<Meta>),
    /// Members, policy and own role; one row.
    Team(Box<Team>),
    /// A conversation, by id.
    Conversation(Box<ConversationRow>),
    /// A document, by id.
    Document(Box<DocumentRow>),
    /// Deletes a document with its facts and events.
    DocumentGone(DocumentId),
    /// A stamped fact, by (document, actor, seq).
    Fact(Box<FactRow>),
    /// A resolution or delivery, by [`EventRow::key`].
    Event(Box<EventRow>),
    /// A fact that the hub has not confirmed, by order.
    Outbox(Box<OutboxRow>),
    /// Deletes an outbox row.
    OutboxGone(u64),
    /// A resolution that the hub has not confirmed, by order.
    Resolve(Box<ResolveRow>),
    /// Deletes a resolution.
    ResolveGone(u64),
    /// A stamped entry to be offered, by key.
    Offer(Box<OfferRow>),
    /// Deletes an offer.
    OfferGone(OfferKey),
    /// A backfill, by conversation.
    Backfill(BackfillRow),
    /// Deletes a backfill.
    BackfillGone(ConversationId),
    /// What could not be sent, by order.
    NotSent(Box<NotSentRow>),
    /// Deletes such an item.
    NotSentGone(u64),
    /// Deletes a conversation with its documents, their facts and events, and its backfill. Not its outbox rows,
    /// resolutions and offers.
    Forget(ConversationId),
}

/// The device's own state.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Meta {
    /// The hub that it belongs to, from the first Challenge that led to a Welcome.
    #[n(0)]
    pub hub: Option<HubId>,
    /// Whose device it is; none until it is enrolled.
    #[n(1)]
    pub member: Option<MemberId>,
    /// The epochs met, oldest first. The last is the newest Welcome's.
    #[n(2)]
    pub epochs: Vec<Epoch>,
    /// Up to where it holds everything it may see. Of an older epoch than the last of `epochs` while an epoch change
    /// is not finished.
    #[n(3)]
    pub cursor: Option<Cursor>,
    /// The farthest place of the log that it has proof of.
    #[n(4)]
    pub witness: Option<Cursor>,
    /// The hybrid clock's newest time, milliseconds since 1970.
    #[n(5)]
    pub clock_ms: u64,
    /// The next order number for outbox rows, resolutions and items not sent.
    #[n(6)]
    pub next_order: u64,
}

/// A conversation.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ConversationRow {
    /// What the directory says of it.
    #[n(0)]
    pub conversation: Conversation,
    /// The newest segment known: new messages go there.
    #[n(1)]
    pub open_segment: u32,
    /// The newest card known.
    #[n(2)]
    pub open_card: u32,
    /// Its newest entry, for sorting by recency.
    #[n(3)]
    pub newest: Lsn,
    /// What the directory says of it, and which imported segments it has, is as of here, or newer.
    #[n(4)]
    pub described: Lsn,
    /// Read positions, in ascending order of member.
    #[n(5)]
    pub markers: Vec<Marker>,
    /// This member's read position that the hub has not confirmed.
    #[n(6)]
    pub unsent_mark: Option<MessageId>,
    /// The hub of the present epoch does not list it: hidden, and deleted as soon as its stamped entries are offers.
    #[n(7)]
    pub lost: bool,
}

/// A document's small state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct DocumentRow {
    /// The document.
    #[n(0)]
    pub document: DocumentId,
    /// Digest of its stamped facts and events, to compare with the hub's catalogue.
    #[n(1)]
    pub digest: DocumentDigest,
    /// This device's own chain; none until it writes here, or after it abandoned one.
    #[n(2)]
    pub own: Option<OwnChain>,
    /// The newest accepted reply in it.
    #[n(3)]
    pub newest_reply: Option<AcceptedReply>,
    /// Of an imported segment: its digest at the hub. The device holds it once `digest` is the same, and asks for it
    /// only when somebody wants to see it.
    #[n(4)]
    pub listed: Option<DocumentDigest>,
}

/// This device's current chain in a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct OwnChain {
    /// Its nonce.
    #[n(0)]
    pub nonce: Nonce,
    /// Its actor.
    #[n(1)]
    pub actor: ActorId,
    /// Its newest change, facts in the outbox included.
    #[n(2)]
    pub head: ChainHead,
}

/// A reply that went to the customer, or will.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct AcceptedReply {
    /// Place in [`Meta::epochs`], from 1, of the newest epoch in whose log the acceptance is known to stand at `lsn`.
    /// (A hub's log runs through its epochs, so one log's LSNs rank everything in it.)
    #[n(0)]
    pub generation: u32,
    /// LSN of its acceptance: its own, or that of its resolution.
    #[n(1)]
    pub lsn: Lsn,
    /// The reply.
    #[n(2)]
    pub message: MessageId,
}

/// A stamped fact.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct FactRow {
    /// The epoch of its stamp.
    #[n(0)]
    pub epoch: Epoch,
    /// The hub's stamp.
    #[n(1)]
    pub stamp: Stamp,
    /// The fact. A seq above its chain's next is kept and waits for those before it.
    #[n(2)]
    pub placed: PlacedFact,
}

/// A resolution, delivery or mark.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct EventRow {
    /// The epoch of its stamp.
    #[n(0)]
    pub epoch: Epoch,
    /// The hub's stamp.
    #[n(1)]
    pub stamp: Stamp,
    /// `Resolved`, `Delivered` or `Sensitive`.
    #[n(2)]
    pub body: EntryBody,
}

/// What tells one event of a document from another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EventKey {
    /// A reply was resolved.
    Resolved(MessageId, Resolution),
    /// A delivery was reported.
    Delivered(MessageId, Delivery),
    /// A message was marked as sensitive.
    Sensitive(MessageId, Category),
}

impl EventKey {
    /// The key of a body; none if it is no event of a document.
    #[must_use]
    pub const fn of(body: &EntryBody) -> Option<Self> {
        match body {
            EntryBody::Resolved { message, resolution, .. } => Some(Self::Resolved(*message, *resolution)),
            EntryBody::Delivered { message, delivery, .. } => Some(Self::Delivered(*message, *delivery)),
            EntryBody::Sensitive { message, category, .. } => Some(Self::Sensitive(*message, *category)),
            EntryBody::Fact(_)
            | EntryBody::Opened { .. }
            | EntryBody::Marked { .. }
            | EntryBody::Directory(_)
            | EntryBody::Imported(_) => None,
        }
    }

    /// The message that it is about.
    #[must_use]
    pub const fn message(&self) -> MessageId {
        match self {
            Self::Resolved(message, _) | Self::Delivered(message, _) | Self::Sensitive(message, _) => *message,
        }
    }
}

impl EventRow {
    /// Its document and key; none for a body that is no event, which is never written.
    #[must_use]
    pub fn key(&self) -> Option<(DocumentId, EventKey)> {
        Some((self.body.document()?, EventKey::of(&self.body)?))
    }
}

/// A fact of this device that the hub has not confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct OutboxRow {
    /// Its place among everything that this device wrote.
    #[n(0)]
    pub order: u64,
    /// The document.
    #[n(1)]
    pub document: DocumentId,
    /// The chain. Another than the document's own one: it is written again when the epoch change is settled.
    #[n(2)]
    pub actor: ActorId,
    /// Place in the chain.
    #[n(3)]
    pub seq: u32,
    /// Prefix of the derived hash.
    #[n(4)]
    pub hash: HashPrefix,
    /// The fact.
    #[n(5)]
    pub fact: Fact,
}

/// A resolution that the hub has not confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ResolveRow {
    /// Its place among everything that this device wrote.
    #[n(0)]
    pub order: u64,
    /// The conversation.
    #[n(1)]
    pub conversation: ConversationId,
    /// The held reply.
    #[n(2)]
    pub message: MessageId,
    /// What its author chose.
    #[n(3)]
    pub resolution: Resolution,
    /// The newest accepted reply on the screen when they chose.
    #[n(4)]
    pub seen: Option<MessageId>,
}

/// Order in which entries are offered: that of the epoch changes that made them offers, then LSN.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct OfferKey {
    /// Rank of the epoch that began when it became an offer. (Its own epoch may be one that this device never met.)
    #[n(0)]
    pub generation: u32,
    /// Its LSN then.
    #[n(1)]
    pub lsn: Lsn,
    /// Its epoch.
    #[n(2)]
    pub epoch: Epoch,
}

/// A stamped entry of an earlier epoch that the hub may have lost.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct OfferRow {
    /// Its key.
    #[n(0)]
    pub key: OfferKey,
    /// The entry.
    #[n(1)]
    pub entry: OfferedEntry,
}

/// Documents of a conversation that are still to be fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct BackfillRow {
    /// The conversation.
    #[n(0)]
    pub conversation: ConversationId,
    /// The LSN that it belongs to: of a grant, or of a catalogue's end. What answers an older one is ignored.
    #[n(1)]
    pub grant: Lsn,
    /// The next Fetch's `before`: none for the cards and the newest segments.
    #[n(2)]
    pub before: Option<u32>,
    /// The lowest segment needed.
    #[n(3)]
    pub floor: u32,
    /// It follows an epoch change, or a catalogue that differs from what is held: nothing is sent to the conversation
    /// before it is done.
    #[n(4)]
    pub changed: bool,
}

/// What its author wrote and the hub will never take.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct NotSentRow {
    /// Its number.
    #[n(0)]
    pub order: u64,
    /// The conversation.
    #[n(1)]
    pub conversation: ConversationId,
    /// What was written.
    #[n(2)]
    pub fact: Fact,
    /// The refusal code's number.
    #[n(3)]
    pub code: u16,
    /// When it was given up, milliseconds since 1970 by the device's corrected clock.
    #[n(4)]
    pub at_ms: u64,
}

/// Everything that a device starts from; facts and events are loaded when they are needed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stored {
    /// The device's own state.
    pub meta: Meta,
    /// The team, once known.
    pub team: Option<Team>,
    /// Conversations.
    pub conversations: Vec<ConversationRow>,
    /// Documents.
    pub documents: Vec<DocumentRow>,
    /// Facts not confirmed, in order.
    pub outbox: Vec<OutboxRow>,
    /// Resolutions not confirmed, in order.
    pub resolves: Vec<ResolveRow>,
    /// Entries to be offered, in order.
    pub offers: Vec<OfferRow>,
    /// Backfills.
    pub backfills: Vec<BackfillRow>,
    /// What could not be sent.
    pub not_sent: Vec<NotSentRow>,
}
