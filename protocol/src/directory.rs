//! The directory: members, devices, policy, conversations and assignments. Decided by the hub, carried in the log.

use minicbor::{Decode, Encode};

use crate::codec;
use crate::id::{ConversationId, DeviceId, DocumentId, ImportId, MemberId, PublicKey};
use crate::keep::Keep;
use crate::limits;

/// What a member may do. DESIGN section 7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Everything.
    #[n(0)]
    Owner,
    /// Every conversation; manages agents, devices and assignments.
    #[n(1)]
    Manager,
    /// The conversations assigned to them, and unassigned ones if the policy says so.
    #[n(2)]
    Agent,
    /// Reads every conversation, never writes.
    #[n(3)]
    Auditor,
    /// A channel connector or bot: the conversations of its channel.
    #[n(4)]
    Service,
    /// Left the team: sees nothing, does nothing, signs in nowhere. The row stays, so that history keeps its names, and
    /// the staff number is never given again.
    #[n(5)]
    Former,
}

impl Role {
    /// None for one who has left.
    #[must_use]
    pub const fn active(self) -> Option<Self> {
        match self {
            Self::Former => None,
            active => Some(active),
        }
    }
}

/// A person on the team, or a service account.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Member {
    /// Staff number; never 0.
    #[n(0)]
    pub id: MemberId,
    /// Shown name.
    #[n(1)]
    pub name: String,
    /// Role; `Former` once they have left.
    #[n(2)]
    pub role: Role,
}

/// One phone, PC, tablet or browser of a member.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Device {
    /// Its public key; its id follows from it.
    #[n(0)]
    pub key: PublicKey,
    /// Its member.
    #[n(1)]
    pub member: MemberId,
    /// Shown name.
    #[n(2)]
    pub name: String,
}

impl Device {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId::of(&self.key)
    }
}

/// What happens to a collided reply.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum CollisionPolicy {
    /// Kept back until its author decides.
    #[default]
    #[n(0)]
    Hold,
    /// Sent, but marked.
    #[n(1)]
    Flag,
}

/// The team's choices.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Encode, Decode)]
pub struct Policy {
    /// What happens to a collided reply.
    #[n(0)]
    pub collision: CollisionPolicy,
    /// Whether agents see conversations that nobody is assigned to.
    #[n(1)]
    pub agents_see_unassigned: bool,
    /// Whether service accounts take and meet the lock as members do.
    #[n(2)]
    pub services_lock: bool,
    /// Devices that one member may have enrolled at once; none or 0 for no limit. One more is refused with
    /// `DevicesFull`; those that are enrolled stay.
    #[n(3)]
    pub devices_max: Option<u32>,
    /// How long messages are kept, in conversations that have no keep time of their own; none for ever.
    #[n(4)]
    pub keep: Option<Keep>,
}

impl Policy {
    /// Whether a member who has this many devices may enrol one more.
    #[must_use]
    pub fn has_room(&self, devices: usize) -> bool {
        self.devices_max.is_none_or(|max| max == 0 || devices < max as usize)
    }
}

/// A conversation as the directory knows it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Conversation {
    /// Its id.
    #[n(0)]
    pub id: ConversationId,
    /// The customer's shown name.
    #[n(1)]
    pub customer: String,
    /// The service account of its channel, if one carries it.
    #[n(2)]
    pub service: Option<MemberId>,
    /// The members assigned to it, in ascending order.
    #[cbor(n(3), decode_with = "codec::list::<_, _, { limits::ASSIGNED_MAX }>")]
    pub assigned: Vec<MemberId>,
    /// How long its messages are kept; none for as long as the policy says.
    #[n(4)]
    pub keep: Option<Keep>,
}

impl Conversation {
    /// How long its messages are kept.
    #[must_use]
    pub fn keep_under(&self, policy: &Policy) -> Keep {
        self.keep.or(policy.keep).unwrap_or_default()
    }
}

/// A change of the directory, as it stands in the log.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum DirectoryEvent {
    /// A member joined.
    #[n(0)]
    MemberAdded(#[n(0)] Member),
    /// A member's role changed.
    #[n(1)]
    RoleChanged {
        /// Who.
        #[n(0)]
        member: MemberId,
        /// The new role.
        #[n(1)]
        role: Role,
    },
    /// A member left: their role is `Former` from here on, their devices are revoked.
    #[n(2)]
    MemberRemoved {
        /// Who.
        #[n(0)]
        member: MemberId,
    },
    /// A device was enrolled.
    #[n(3)]
    DeviceAdded(#[n(0)] Device),
    /// A device was revoked.
    #[n(4)]
    DeviceRevoked {
        /// Which.
        #[n(0)]
        device: DeviceId,
    },
    /// The policy changed.
    #[n(5)]
    PolicyChanged(#[n(0)] Policy),
    /// A conversation was opened.
    #[n(6)]
    ConversationOpened(#[n(0)] Conversation),
    /// A member was assigned to a conversation.
    #[n(7)]
    Assigned {
        /// Which conversation.
        #[n(0)]
        conversation: ConversationId,
        /// Who.
        #[n(1)]
        member: MemberId,
    },
    /// A member was unassigned from a conversation.
    #[n(8)]
    Unassigned {
        /// Which conversation.
        #[n(0)]
        conversation: ConversationId,
        /// Who.
        #[n(1)]
        member: MemberId,
    },
    /// An imported segment was taken back: its facts are gone, as if never imported. Replayed after a restore.
    #[n(9)]
    ImportUndone {
        /// The imported segment; its number is not given again.
        #[n(0)]
        document: DocumentId,
        /// The run that had brought it.
        #[n(1)]
        import: ImportId,
    },
    /// The keep time of a conversation's messages changed.
    #[n(10)]
    KeepChanged {
        /// Which conversation.
        #[n(0)]
        conversation: ConversationId,
        /// Its keep time; none for the policy's.
        #[n(1)]
        keep: Option<Keep>,
    },
    /// Everything in a segment or imported segment was older than the keep time: it is gone. Replayed after a restore.
    #[n(11)]
    Expired {
        /// The document; its number is not given again in this epoch.
        #[n(0)]
        document: DocumentId,
        /// Nothing in it was newer than this, milliseconds since 1970.
        #[n(1)]
        newest_ms: u64,
    },
    /// A conversation is gone for ever, with everything in it. The whole team learns it, whoever saw the conversation: whoever
    /// holds anything of it deletes that. Its id is not given again. Replayed after a restore.
    #[n(12)]
    ConversationShredded {
        /// Which.
        #[n(0)]
        conversation: ConversationId,
    },
}

impl DirectoryEvent {
    /// The conversation that it concerns.
    #[must_use]
    pub const fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::ConversationOpened(conversation) => Some(conversation.id),
            Self::Assigned { conversation, .. }
            | Self::Unassigned { conversation, .. }
            | Self::KeepChanged { conversation, .. }
            | Self::ConversationShredded { conversation } => Some(*conversation),
            Self::ImportUndone { document, .. } | Self::Expired { document, .. } => Some(document.conversation),
            Self::MemberAdded(_)
            | Self::RoleChanged { .. }
            | Self::MemberRemoved { .. }
            | Self::DeviceAdded(_)
            | Self::DeviceRevoked { .. }
            | Self::PolicyChanged(_) => None,
        }
    }

    /// The conversation whose members may see it; `None` for what the whole team learns.
    #[must_use]
    pub const fn seen_in(&self) -> Option<ConversationId> {
        match self {
            Self::ConversationShredded { .. } => None,
            other => other.conversation(),
        }
    }
}
