//! Frames from the hub to a device.

use bytes::Bytes;
use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use super::Tag;
use crate::codec;
use crate::cursor::{Cursor, CursorTag};
use crate::directory::{Conversation, Member, Policy, Role};
use crate::entry::Stamp;
use crate::id::{
    ConversationId, DeviceId, DocumentId, Epoch, HashPrefix, HubId, InviteCode, Lsn, MemberId, MessageId, Nonce,
};
use crate::limits;
use crate::refusal::Refusal;
use crate::snapshot::{DocumentDigest, Table};

/// Hub → device.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum HubFrame {
    /// First frame on a connection.
    #[n(0)]
    Challenge {
        /// To be signed.
        #[n(0)]
        nonce: Nonce,
        /// The hub's id.
        #[n(1)]
        hub: HubId,
    },
    /// The device is let in.
    #[n(1)]
    Welcome(#[n(0)] Welcome),
    /// What the device may see, in pages; or one conversation as the answer to a Fetch.
    #[n(2)]
    Catalogue(#[n(0)] Catalogue),
    /// A range of the log.
    #[n(3)]
    Entries(#[n(0)] Entries),
    /// A part of a document.
    #[n(4)]
    Snapshot(#[n(0)] Snapshot),
    /// The answer to Push, Mark, Resolve, Offer, Command.
    #[n(5)]
    Ack {
        /// The question's tag.
        #[n(0)]
        tag: Tag,
        /// In the question's order; a push stops at its first refusal.
        #[cbor(n(1), decode_with = "codec::list::<_, _, { limits::ACK_RESULTS_MAX }>")]
        results: Vec<Outcome>,
        /// Proof of a place in the log at or after everything that this Ack confirms.
        #[n(2)]
        witness: Cursor,
    },
    /// A refusal of a frame that has no Ack, or of the session, which is then closed.
    #[n(6)]
    Refusal {
        /// The question's tag, where it had one.
        #[n(0)]
        tag: Option<Tag>,
        /// Why.
        #[n(1)]
        refusal: Refusal,
    },
    /// Who replies to a conversation.
    #[n(7)]
    Lease {
        /// The conversation.
        #[n(0)]
        conversation: ConversationId,
        /// The holder; none when it ended.
        #[n(1)]
        holder: Option<MemberId>,
        /// Milliseconds that it lives from now unless renewed.
        #[n(2)]
        for_ms: u32,
    },
    /// The hub is about to stop: what is in flight will be answered, nothing new is taken.
    #[n(8)]
    Draining {},
    /// Answers Ping.
    #[n(9)]
    Pong {},
    /// Ends the answer to a Fetch.
    #[n(10)]
    Fetched {
        /// The Fetch's tag.
        #[n(0)]
        tag: Tag,
        /// The conversation.
        #[n(1)]
        conversation: ConversationId,
        /// Ask for `before` this to go on; none when the oldest segment was sent.
        #[n(2)]
        before: Option<u32>,
    },
}

/// See [`HubFrame::Welcome`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Welcome {
    /// The session's number, for logs.
    #[n(0)]
    pub session: u64,
    /// The log's epoch.
    #[n(1)]
    pub epoch: Epoch,
    /// The hub's time, milliseconds since 1970.
    #[n(2)]
    pub now_ms: u64,
    /// Whose device it is.
    #[n(3)]
    pub member: MemberId,
    /// Their role.
    #[n(4)]
    pub role: Role,
    /// The team's policy.
    #[n(5)]
    pub policy: Policy,
    /// Whether a catalogue follows (else entries after the device's cursor).
    #[n(6)]
    pub catalogue: bool,
    /// The newest durable entry now: a device has caught up once its cursor stands here or beyond. Ranges up to here
    /// come even if there is nothing in them that the device may see.
    #[n(7)]
    pub head: Lsn,
}

/// See [`HubFrame::Catalogue`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Catalogue {
    /// The Fetch that it answers; none for the whole catalogue.
    #[n(0)]
    pub tag: Option<Tag>,
    /// Page number from 0. Page 0 starts the catalogue over.
    #[n(1)]
    pub page: u32,
    /// The conversations.
    #[cbor(n(2), decode_with = "codec::list::<_, _, { limits::CATALOGUE_CONVERSATIONS_MAX }>")]
    pub conversations: Vec<CatalogueConversation>,
    /// Page 0 of the whole catalogue: the team.
    #[n(3)]
    pub team: Option<Team>,
    /// Last page of the whole catalogue: the cursor from which entries follow.
    #[n(4)]
    pub end: Option<Cursor>,
    /// Last page of the whole catalogue: the conversations that were ever shredded, the newest
    /// `SHREDDED_LISTED_MAX` of them, in ascending order; none without any. Whoever holds anything of one, offers too, deletes it.
    #[n(5)]
    pub shredded: Option<Vec<ConversationId>>,
}

/// The part of the directory that everyone sees.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Team {
    /// Members, in ascending order of id.
    #[n(0)]
    pub members: Vec<Member>,
    /// Policy.
    #[n(1)]
    pub policy: Policy,
    /// The device's own member's role.
    #[n(2)]
    pub role: Role,
}

/// One conversation of a catalogue.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct CatalogueConversation {
    /// What the directory says.
    #[n(0)]
    pub conversation: Conversation,
    /// Number of the open segment; segments 0 to it exist.
    #[n(1)]
    pub open_segment: u32,
    /// Number of the open card; cards 0 to it exist.
    #[n(2)]
    pub open_card: u32,
    /// LSN of its newest entry, for sorting by recency.
    #[n(3)]
    pub newest: Lsn,
    /// Read positions.
    #[n(4)]
    pub markers: Vec<Marker>,
    /// Documents with content, so that a device finds those that differ from its own. In the answer to a Fetch the
    /// imported segments alone.
    #[n(5)]
    pub documents: Vec<CatalogueDocument>,
}

/// A member's read position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Marker {
    /// Who.
    #[n(0)]
    pub member: MemberId,
    /// The newest message read.
    #[n(1)]
    pub message: MessageId,
    /// Its LSN.
    #[n(2)]
    pub read: Lsn,
}

/// One document of a catalogue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct CatalogueDocument {
    /// The document.
    #[n(0)]
    pub document: DocumentId,
    /// Digest of everything in it.
    #[n(1)]
    pub digest: DocumentDigest,
}

/// See [`HubFrame::Entries`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Entries {
    /// The device takes this only if its cursor's LSN is this one.
    #[n(0)]
    pub from: Lsn,
    /// Its cursor's LSN afterwards.
    #[n(1)]
    pub upto: Lsn,
    /// With `upto` and the session's epoch: the new cursor.
    #[n(2)]
    pub tag: CursorTag,
    /// Those in the range that the device may see, in order, except facts that it pushed in this session and has
    /// the Ack of. Each is one encoded [`Entry`](crate::entry::Entry).
    #[cbor(n(3), decode_with = "codec::list::<_, _, { limits::ENTRIES_MAX }>")]
    pub entries: Vec<EntryBytes>,
    /// Conversations that became visible.
    #[n(4)]
    pub granted: Vec<Grant>,
    /// Conversations that are visible no more.
    #[n(5)]
    pub revoked: Vec<ConversationId>,
}

/// An encoded entry; encoded once, whatever the number of its readers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EntryBytes(pub Bytes);

impl<C> Encode<C> for EntryBytes {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for EntryBytes {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        Ok(Self(Bytes::copy_from_slice(d.bytes()?)))
    }
}

/// A conversation became visible.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Grant {
    /// Which.
    #[n(0)]
    pub conversation: ConversationId,
    /// By which entry; the backfill carries it, and what answers an older one is ignored.
    #[n(1)]
    pub lsn: Lsn,
}

/// See [`HubFrame::Snapshot`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Snapshot {
    /// The Fetch's tag.
    #[n(0)]
    pub tag: Tag,
    /// The document.
    #[n(1)]
    pub document: DocumentId,
    /// It holds everything of the document up to here.
    #[n(2)]
    pub upto: Lsn,
    /// Part number from 0.
    #[n(3)]
    pub part: u32,
    /// Whether it is the last part.
    #[n(4)]
    pub last: bool,
    /// Next bytes of the saved Automerge document; the parts' bytes are joined. Empty for a document without one.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// Next rows of its table; rows of parts are joined, epochs are the first part's.
    #[n(6)]
    pub table: Table,
    /// Entries of the document after those bytes, in order, with their epoch's index in the table.
    #[n(7)]
    pub tail: Vec<TailEntry>,
}

/// An entry after a snapshot's bytes.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct TailEntry {
    /// Index of its epoch in the snapshot's table.
    #[n(0)]
    pub epoch: u32,
    /// The encoded [`Entry`](crate::entry::Entry).
    #[n(1)]
    pub entry: EntryBytes,
}

/// One result of an Ack.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum Outcome {
    /// Push: the fact stands, now or since before.
    #[n(0)]
    Placed {
        /// Which fact.
        #[n(0)]
        hash: HashPrefix,
        /// Its stamp.
        #[n(1)]
        stamp: Stamp,
    },
    /// Offer: written again, as this document's recovery chain says.
    #[n(1)]
    Readmitted(#[n(0)] Lsn),
    /// Offer: the hub has it.
    #[n(2)]
    Known,
    /// Mark, Resolve, Command: done by this entry (or by nothing newer: it was so before).
    #[n(3)]
    Done(#[n(0)] Lsn),
    /// Invite: the code.
    #[n(4)]
    Invited {
        /// The code.
        #[n(0)]
        code: InviteCode,
        /// Milliseconds that it lives.
        #[n(1)]
        for_ms: u32,
    },
    /// No.
    #[n(5)]
    Refused(#[n(0)] Refusal),
    /// DeviceList: at most `DEVICES_LISTED_MAX` of them; as many mean that there may be more.
    #[n(6)]
    Devices(#[n(0)] Vec<ListedDevice>),
}

/// A device as [`Outcome::Devices`] lists it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ListedDevice {
    /// Which.
    #[n(0)]
    pub device: DeviceId,
    /// Its member.
    #[n(1)]
    pub member: MemberId,
    /// Shown name.
    #[n(2)]
    pub name: String,
    /// When the hub last heard of it, milliseconds since 1970; after a crash of the hub up to a quarter of an hour too
    /// early. None if it never connected since that is kept.
    #[n(3)]
    pub seen_ms: Option<u64>,
}
