//! Rows that the hub keeps: what a store must hold besides the log.

use std::collections::BTreeMap;

use bytes::Bytes;
use lockstep_protocol::change::ChainHead;
use lockstep_protocol::directory::{Conversation, Device, Member, Policy};
use lockstep_protocol::entry::{Delivery, LogChain, Resolution, Stamp};
use lockstep_protocol::fact::{ContentDigest, Direction, KeyId};
use lockstep_protocol::frame::Marker;
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, Epoch, HashPrefix, Lsn, MediaHash, MemberId, MessageId,
};
use lockstep_protocol::snapshot::{DocumentDigest, Table};

/// One row to write. Each replaces the row with the same key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// Of every batch that has entries: the log's new end.
    Head {
        /// The newest LSN.
        lsn: Lsn,
        /// The log chain there.
        chain: LogChain,
        /// The newest stamp's time, milliseconds since 1970.
        at_ms: u64,
    },
    /// A new epoch begins after this LSN. Epochs are kept for ever, in order.
    Epoch {
        /// The epoch.
        epoch: Epoch,
        /// The last LSN before it.
        after: Lsn,
    },
    /// Entries up to here may be dropped: every one is covered by a snapshot or has no document.
    Floor(Lsn),
    /// A member; none once removed.
    Member(MemberId, Option<Member>),
    /// A device; none once revoked.
    Device(DeviceId, Option<Device>),
    /// The policy.
    Policy(Policy),
    /// A conversation.
    Conversation(Box<ConversationRow>),
    /// A document's counters.
    Document(DocumentId, DocumentRow),
    /// The end of one chain of a document.
    Chain(DocumentId, ActorId, ChainRow),
    /// A row of a conversation's index.
    Key(ConversationId, KeyId, Box<IndexRow>),
    /// A document's newest snapshot.
    Snapshot(DocumentId, SnapshotRow),
}

/// An accepted reply, as far as the lock needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AcceptedReply {
    /// The reply.
    pub message: MessageId,
    /// Its author.
    pub member: MemberId,
    /// LSN of its acceptance: its own, or that of its resolution.
    pub accepted: Lsn,
    /// When it was accepted, milliseconds since 1970.
    pub at_ms: u64,
}

/// A conversation's small state: what every push to it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConversationRow {
    /// What the directory says of it.
    pub conversation: Conversation,
    /// The segment to write into.
    pub open_segment: u32,
    /// The card to write into.
    pub open_card: u32,
    /// Its newest entry.
    pub newest: Lsn,
    /// The greatest message id in it: any greater one is certainly new.
    pub newest_message: MessageId,
    /// The greatest ULID of its facts that are no messages: one with a greater ULID is certainly new.
    pub newest_key: [u8; 16],
    /// R0: the newest accepted reply.
    pub last_reply: Option<AcceptedReply>,
    /// R1: the newest accepted reply by another member than R0's.
    pub last_other_reply: Option<AcceptedReply>,
    /// Read positions, in ascending order of member.
    pub markers: Vec<Marker>,
}

/// A document's counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DocumentRow {
    /// Messages in it.
    pub messages: u32,
    /// Operations in it.
    pub ops: u32,
    /// Text in it, bytes.
    pub text_bytes: u32,
    /// Digest of its facts and events.
    pub digest: DocumentDigest,
    /// Its newest entry.
    pub newest: Lsn,
    /// Up to where a snapshot covers it.
    pub covered: Lsn,
    /// Facts and events after that.
    pub tail: u32,
}

/// The end of one chain, and whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChainRow {
    /// Its newest change.
    pub head: ChainHead,
    /// The device that opened it; all zero for the hub's recovery chains.
    pub device: DeviceId,
}

/// A document's counters and all its chains.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DocumentState {
    /// Its counters.
    pub row: DocumentRow,
    /// Its chains.
    pub chains: BTreeMap<ActorId, ChainRow>,
}

/// A row of a conversation's index: what stands under one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IndexRow {
    /// A fact.
    Fact(KeyRow),
    /// A media blob.
    Media(MediaRow),
}

/// A fact under its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRow {
    /// The document that holds it.
    pub document: DocumentId,
    /// Prefix of its change's hash.
    pub hash: HashPrefix,
    /// Tells its content from another's.
    pub content: ContentDigest,
    /// Its stamp: the first answer, repeated to whoever pushes it again.
    pub stamp: Stamp,
    /// For a message: what later facts about it need.
    pub message: Option<MessageRow>,
}

/// What facts about a message need to know of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageRow {
    /// Which way it goes.
    pub dir: Direction,
    /// LSN at which it was accepted as a reply; none while held, and for what is no reply.
    pub accepted: Option<Lsn>,
    /// What its author did with it, if it was held.
    pub resolution: Option<Resolution>,
    /// How far the channel connector got.
    pub delivery: Option<Delivery>,
    /// Whether it was re-admitted after a restore: whether it was sent before is unknown.
    pub readmitted: bool,
    /// Members who retracted it, ascending.
    pub retracted_by: Vec<MemberId>,
    /// Reactions by member, ascending.
    pub reactions: Vec<(MemberId, u32)>,
}

/// A media blob in a conversation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MediaRow {
    /// Who uploaded it, ascending.
    pub uploaded_by: Vec<MemberId>,
    /// Whether an accepted message shows it, so that whoever sees the conversation sees it.
    pub shown: bool,
}

impl MediaRow {
    /// The key of a blob in a conversation's index.
    #[must_use]
    pub fn key(media: &MediaHash) -> KeyId {
        let mut key = KeyId::default();
        let hash = blake3::Hasher::new_derive_key("lockstep media key 1").update(&media.0).finalize();
        key.0.copy_from_slice(&hash.as_bytes()[..16]);
        key
    }
}

/// A compacted document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotRow {
    /// It holds every entry of the document up to here.
    pub upto: Lsn,
    /// The saved Automerge document.
    pub bytes: Bytes,
    /// What the hub decided about each of its facts.
    pub table: Table,
}
