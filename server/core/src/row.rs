//! Rows that the hub keeps: what a store must hold besides the log.

use std::collections::BTreeMap;

use bytes::Bytes;
use lockstep_protocol::change::ChainHead;
use lockstep_protocol::directory::{Conversation, Device, Member, Policy};
use lockstep_protocol::entry::{Category, Delivery, LogChain, Resolution, Stamp};
use lockstep_protocol::fact::{ContentDigest, Direction, KeyId};
use lockstep_protocol::frame::Marker;
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, Epoch, HashPrefix, Lsn, MemberId, MessageId,
};
use lockstep_protocol::snapshot::{DocumentDigest, Table};
use minicbor::{Decode, Encode};

use crate::audit::{AuditEntry, AuditHead};
use crate::scan::ScanRow;

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
    /// A member. Former ones keep their row.
    Member(MemberId, Option<Member>),
    /// A device; none once revoked.
    Device(DeviceId, Option<Device>),
    /// Whether a device was revoked.
    Revoked(DeviceId, bool),
    /// When a device was last seen, milliseconds since 1970; none once it is revoked.
    Seen(DeviceId, Option<u64>),
    /// The policy.
    Policy(Policy),
    /// A row of the audit log.
    Audit(AuditEntry),
    /// Of every batch that has such rows: the audit log's new end.
    AuditHead(AuditHead),
    /// A conversation.
    Conversation(Box<ConversationRow>),
    /// A document's counters.
    Document(DocumentId, DocumentRow),
    /// The end of one chain of a document.
    Chain(DocumentId, ActorId, ChainRow),
    /// A row of a conversation's index.
    Key(ConversationId, KeyId, Box<IndexRow>),
    /// A document's newest snapshot, and under which keys it is stored.
    Snapshot(DocumentId, SnapshotRow, Class),
    /// The team's list of sensitive words, as whoever keeps it encodes it.
    Words(Bytes),
    /// How far the look at everything stored got, with the present list.
    Scan(ScanRow),
    /// An entry of the log, durable or of this batch, is stored under the stricter keys from now on.
    Reseal(Lsn),
    /// Deletes an imported segment: its counters, its chain, its snapshot, and every row of its conversation's index
    /// whose [`KeyRow::document`] it is. All of these are durable by now, so they are found by reading the store.
    DocumentGone(DocumentId),
    /// Deletes a document that expired: its counters, its chains, its snapshot, what remains of it elsewhere, and the
    /// bodies of its entries in the log.
    DocumentExpired(DocumentId, Box<Remains>),
    /// Deletes everything of a conversation but the bodies of its entries in the log: those go with
    /// [`Effect::Shred`](crate::effect::Effect::Shred).
    ConversationGone(ConversationId),
    /// A conversation that is shredded. Kept for ever: its id is not given again.
    Shred(ConversationId, ShredRow),
}

/// What there is of a document beside its own rows, as of one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Remains {
    /// The document's newest entry then.
    pub newest: Lsn,
    /// Its facts' keys in the index of its conversation, ascending.
    pub keys: Vec<KeyId>,
    /// Its entries that are still in the log.
    pub entries: Vec<ErasedEntry>,
}

/// What stays of an entry whose body is erased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErasedEntry {
    /// Its place.
    pub lsn: Lsn,
    /// When it was received, milliseconds since 1970.
    pub at_ms: u64,
    /// The log chain with it.
    pub chain: LogChain,
}

/// How far a conversation's shredding got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ShredRow {
    /// Its entry; 0 if this store never had one.
    #[n(0)]
    pub lsn: Lsn,
    /// Its keys are destroyed, and nothing of it is in the store.
    #[n(1)]
    pub done: bool,
}

/// Under which keys something is stored. DESIGN section 8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Class {
    /// Under the data key of its conversation.
    #[default]
    #[n(0)]
    Normal,
    /// It holds sensitive words: under the conversation's second key, which has a key-encryption key of its own.
    #[n(1)]
    Vault,
}

/// An accepted reply, as far as the lock needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct AcceptedReply {
    /// The reply.
    #[n(0)]
    pub message: MessageId,
    /// Its author.
    #[n(1)]
    pub member: MemberId,
    /// LSN of its acceptance: its own, or that of its resolution.
    #[n(2)]
    pub accepted: Lsn,
    /// When it was accepted, milliseconds since 1970.
    #[n(3)]
    pub at_ms: u64,
}

/// A conversation's small state: what every push to it needs.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ConversationRow {
    /// What the directory says of it.
    #[n(0)]
    pub conversation: Conversation,
    /// The segment to write into.
    #[n(1)]
    pub open_segment: u32,
    /// The card to write into.
    #[n(2)]
    pub open_card: u32,
    /// Its newest entry.
    #[n(3)]
    pub newest: Lsn,
    /// The greatest message id in it: any greater one is certainly new.
    #[n(4)]
    pub newest_message: MessageId,
    /// The greatest ULID of its facts that are no messages: one with a greater ULID is certainly new.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub newest_key: [u8; 16],
    /// R0: the newest accepted reply.
    #[n(6)]
    pub last_reply: Option<AcceptedReply>,
    /// R1: the newest accepted reply by another member than R0's.
    #[n(7)]
    pub last_other_reply: Option<AcceptedReply>,
    /// Read positions, in ascending order of member.
    #[n(8)]
    pub markers: Vec<Marker>,
    /// Number of the next imported segment; those below it exist, or were taken back.
    #[n(9)]
    pub imported: u32,
}

/// A document's counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct DocumentRow {
    /// Messages in it.
    #[n(0)]
    pub messages: u32,
    /// Operations in it.
    #[n(1)]
    pub ops: u32,
    /// Text in it, bytes.
    #[n(2)]
    pub text_bytes: u32,
    /// Digest of its facts and events.
    #[n(3)]
    pub digest: DocumentDigest,
    /// Its newest entry.
    #[n(4)]
    pub newest: Lsn,
    /// Up to where a snapshot covers it.
    #[n(5)]
    pub covered: Lsn,
    /// Facts and events after that, and one for a snapshot that must be stored under other keys.
    #[n(6)]
    pub tail: u32,
    /// Under which keys its snapshot is stored.
    #[cbor(n(7), default)]
    pub class: Class,
    /// When its oldest fact was received; of an imported segment the time of its oldest message. Milliseconds since 1970.
    /// 0 in a document that has facts: an older program wrote it, and nobody has looked yet.
    #[cbor(n(8), default)]
    pub oldest_ms: u64,
    /// When its newest fact was received that is no retraction, or the time of its newest message. Milliseconds since 1970.
    #[cbor(n(9), default)]
    pub newest_ms: u64,
}

/// The end of one chain, and whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ChainRow {
    /// Its newest change.
    #[n(0)]
    pub head: ChainHead,
    /// The device that opened it; all zero for the hub's recovery chains.
    #[n(1)]
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
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum IndexRow {
    /// A fact.
    #[n(0)]
    Fact(#[n(0)] KeyRow),
    /// A media blob.
    #[n(1)]
    Media(#[n(0)] MediaRow),
}

/// A fact under its key.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct KeyRow {
    /// The document that holds it.
    #[n(0)]
    pub document: DocumentId,
    /// Prefix of its change's hash.
    #[n(1)]
    pub hash: HashPrefix,
    /// Tells its content from another's.
    #[n(2)]
    pub content: ContentDigest,
    /// Its stamp: the first answer, repeated to whoever pushes it again. An imported fact's is its segment's, with the
    /// fact's author as member.
    #[n(3)]
    pub stamp: Stamp,
    /// For a message: what later facts about it need.
    #[n(4)]
    pub message: Option<MessageRow>,
}

/// What facts about a message need to know of it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct MessageRow {
    /// Which way it goes.
    #[n(0)]
    pub dir: Direction,
    /// LSN at which it was accepted as a reply; none while held, and for what is no reply.
    #[n(1)]
    pub accepted: Option<Lsn>,
    /// What its author did with it, if it was held.
    #[n(2)]
    pub resolution: Option<Resolution>,
    /// How far the channel connector got.
    #[n(3)]
    pub delivery: Option<Delivery>,
    /// Whether it was re-admitted after a restore: whether it was sent before is unknown.
    #[n(4)]
    pub readmitted: bool,
    /// Members who retracted it, ascending.
    #[n(5)]
    pub retracted_by: Vec<MemberId>,
    /// Reactions by member, ascending.
    #[n(6)]
    pub reactions: Vec<(MemberId, u32)>,
    /// What its sensitive words are about, ascending.
    #[cbor(n(7), default)]
    pub sensitive: Vec<Category>,
}

/// A media blob in a conversation.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct MediaRow {
    /// Who uploaded it, ascending.
    #[n(0)]
    pub uploaded_by: Vec<MemberId>,
    /// Whether an accepted message shows it, so that whoever sees the conversation sees it.
    #[n(1)]
    pub shown: bool,
}

/// A compacted document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotRow {
    /// It holds every entry of the document up to here.
    pub upto: Lsn,
    /// The saved Automerge document.
    pub bytes: Bytes,
    /// What the hub decided about each of its facts; of an imported segment only the entry that announced it.
    pub table: Table,
}
