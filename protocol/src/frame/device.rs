//! Frames from a device to the hub.

use minicbor::{Decode, Encode};

use super::Tag;
use crate::codec;
use crate::cursor::Cursor;
use crate::directory::{Conversation, Member, Policy, Role};
use crate::entry::{Delivery, EntryBody, Resolution, Stamp};
use crate::fact::Fact;
use crate::id::{
    ActorId, ConversationId, DeviceId, DocumentId, Epoch, HashPrefix, InviteCode, MemberId, MessageId, Nonce,
    PublicKey, Signature,
};
use crate::keep::Keep;
use crate::limits;

/// Device → hub.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum DeviceFrame {
    /// First frame of an enrolled device, answers Challenge.
    #[n(0)]
    Hello(#[n(0)] Hello),
    /// First frame of a device that is to be enrolled, answers Challenge.
    #[n(1)]
    Enrol(#[n(0)] Enrol),
    /// Facts of one chain.
    #[n(2)]
    Push(#[n(0)] Push),
    /// The member has read up to a message.
    #[n(3)]
    Mark {
        /// Comes back in the Ack.
        #[n(0)]
        tag: Tag,
        /// The conversation.
        #[n(1)]
        conversation: ConversationId,
        /// The newest message read.
        #[n(2)]
        message: MessageId,
    },
    /// The member types a reply: takes or renews the lease.
    #[n(4)]
    Typing {
        /// The conversation.
        #[n(0)]
        conversation: ConversationId,
    },
    /// The author of a held reply decides.
    #[n(5)]
    Resolve(#[n(0)] Resolve),
    /// After an epoch change: stamped entries that the hub may have lost.
    #[n(6)]
    Offer {
        /// Comes back in the Ack.
        #[n(0)]
        tag: Tag,
        /// At most `OFFER_ENTRIES_MAX`, in order of (epoch as met, LSN).
        #[cbor(n(1), decode_with = "codec::list::<_, _, { limits::OFFER_ENTRIES_MAX }>")]
        entries: Vec<OfferedEntry>,
    },
    /// Asks for a conversation's documents.
    #[n(7)]
    Fetch(#[n(0)] Fetch),
    /// A change of the directory, or a delivery report.
    #[n(8)]
    Command {
        /// Comes back in the Ack.
        #[n(0)]
        tag: Tag,
        /// What to do.
        #[n(1)]
        command: Command,
    },
    /// Keeps the session alive.
    #[n(9)]
    Ping {},
}

/// See [`DeviceFrame::Hello`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`](crate::limits::PROTOCOL_VERSION).
    #[n(0)]
    pub version: u32,
    /// The device.
    #[n(1)]
    pub device: DeviceId,
    /// [`Transcript::sign_hello`](crate::auth::Transcript::sign_hello).
    #[n(2)]
    pub proof: Signature,
    /// Up to where the device holds everything it may see; none on a fresh store.
    #[n(3)]
    pub cursor: Option<Cursor>,
    /// The farthest place of the log that the device has proof of, from an Ack or Entries. At or after the cursor.
    /// It lets the hub notice that its disk was rolled back even when only acknowledgements were lost.
    #[n(4)]
    pub witness: Option<Cursor>,
    /// Bit set of capabilities, none defined yet.
    #[n(5)]
    pub capabilities: u64,
}

/// See [`DeviceFrame::Enrol`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Enrol {
    /// [`PROTOCOL_VERSION`](crate::limits::PROTOCOL_VERSION).
    #[n(0)]
    pub version: u32,
    /// The one-time code.
    #[n(1)]
    pub code: InviteCode,
    /// The device's public key.
    #[n(2)]
    pub key: PublicKey,
    /// The device's shown name.
    #[n(3)]
    pub name: String,
    /// [`Transcript::sign_enrol`](crate::auth::Transcript::sign_enrol).
    #[n(4)]
    pub proof: Signature,
}

/// See [`DeviceFrame::Push`]. Taken as a prefix: the Ack lists what was taken and then the first refusal.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Push {
    /// Comes back in the Ack.
    #[n(0)]
    pub tag: Tag,
    /// The document.
    #[n(1)]
    pub document: DocumentId,
    /// The chain.
    #[n(2)]
    pub actor: ActorId,
    /// With seq 1: the nonce that the actor was derived with.
    #[n(3)]
    pub nonce: Option<Nonce>,
    /// Place of the first fact in the chain.
    #[n(4)]
    pub seq: u32,
    /// 1 to `PUSH_FACTS_MAX` facts in chain order.
    #[cbor(n(5), decode_with = "codec::list::<_, _, { limits::PUSH_FACTS_MAX }>")]
    pub facts: Vec<PushedFact>,
}

/// A fact and the hash that its device derived.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct PushedFact {
    /// Prefix of the derived change's hash.
    #[n(0)]
    pub hash: HashPrefix,
    /// The fact.
    #[n(1)]
    pub fact: Fact,
}

/// See [`DeviceFrame::Resolve`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Resolve {
    /// Comes back in the Ack.
    #[n(0)]
    pub tag: Tag,
    /// The conversation.
    #[n(1)]
    pub conversation: ConversationId,
    /// The held reply.
    #[n(2)]
    pub message: MessageId,
    /// Send anyway, or discard.
    #[n(3)]
    pub resolution: Resolution,
    /// The newest accepted reply on the author's screen when they chose.
    #[n(4)]
    pub seen: Option<MessageId>,
}

/// An entry of an earlier epoch, as its hub stamped it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct OfferedEntry {
    /// Its epoch.
    #[n(0)]
    pub epoch: Epoch,
    /// Its stamp.
    #[n(1)]
    pub stamp: Stamp,
    /// A fact, resolution or delivery.
    #[n(2)]
    pub body: EntryBody,
}

/// See [`DeviceFrame::Fetch`]. Answered by one Catalogue page for the conversation, which lists its imported segments,
/// then the Snapshots: the cards (when `before` is none) and the newest `limit` segments below `before`, newest first;
/// or, if `imported`, the newest `limit` imported segments below it and nothing else. Then a Fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Fetch {
    /// Comes back in every answer.
    #[n(0)]
    pub tag: Tag,
    /// The conversation.
    #[n(1)]
    pub conversation: ConversationId,
    /// Only segments (imported ones, if `imported`) with smaller numbers; none for the newest and the cards.
    #[n(2)]
    pub before: Option<u32>,
    /// 1 to `FETCH_SEGMENTS_MAX` segments.
    #[n(3)]
    pub limit: u32,
    /// Imported segments, which nobody is sent unasked.
    #[n(4)]
    pub imported: bool,
}

/// See [`DeviceFrame::Command`]. Every command can be repeated: the second time it is refused with `AlreadyExists` or
/// changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum Command {
    /// Adds a member. Owners; managers for agents, auditors and services.
    #[n(0)]
    MemberAdd(#[n(0)] Member),
    /// Changes a role. Owners; managers among agents, auditors and services.
    #[n(1)]
    MemberRole {
        /// Who.
        #[n(0)]
        member: MemberId,
        /// The new role.
        #[n(1)]
        role: Role,
    },
    /// Removes a member and revokes their devices.
    #[n(2)]
    MemberRemove {
        /// Who.
        #[n(0)]
        member: MemberId,
    },
    /// Makes a one-time code for a device of a member: oneself, or whom one manages.
    #[n(3)]
    Invite {
        /// Whose device it will be.
        #[n(0)]
        member: MemberId,
    },
    /// Revokes a device: one's own, or of whom one manages.
    #[n(4)]
    DeviceRevoke {
        /// Which.
        #[n(0)]
        device: DeviceId,
    },
    /// Sets the policy. Owners.
    #[n(5)]
    PolicySet(#[n(0)] Policy),
    /// Opens a conversation. Owners, managers, and services for their own channel.
    #[n(6)]
    ConversationOpen(#[n(0)] Conversation),
    /// Assigns a member. Owners and managers.
    #[n(7)]
    Assign {
        /// Which conversation.
        #[n(0)]
        conversation: ConversationId,
        /// Who.
        #[n(1)]
        member: MemberId,
    },
    /// Unassigns a member. Owners and managers.
    #[n(8)]
    Unassign {
        /// Which conversation.
        #[n(0)]
        conversation: ConversationId,
        /// Who.
        #[n(1)]
        member: MemberId,
    },
    /// Reports on a reply. The conversation's service account.
    #[n(9)]
    Deliver {
        /// The conversation.
        #[n(0)]
        conversation: ConversationId,
        /// The reply.
        #[n(1)]
        message: MessageId,
        /// How far it got.
        #[n(2)]
        delivery: Delivery,
    },
    /// Lists, in order of id, the devices that one may revoke: one's own, and those of whom one manages. Changes
    /// nothing.
    #[n(10)]
    DeviceList {
        /// Only devices after this one; none to begin.
        #[n(0)]
        after: Option<DeviceId>,
    },
    /// Sets a conversation's keep time. Owners and managers.
    #[n(11)]
    ConversationKeep {
        /// Which conversation.
        #[n(0)]
        conversation: ConversationId,
        /// How long its messages are kept; none for as long as the policy says.
        #[n(1)]
        keep: Option<Keep>,
    },
}
