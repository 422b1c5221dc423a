//! The audit log: who did what, and who was refused what, in a chain of its own. DESIGN section 7.
//!
//! A row becomes durable in the batch of what it tells; a refusal in one of its own, bounded in rate, so that nobody can
//! fill the disk by knocking. Rows hold ids, numbers and codes: never a name, a body or a secret.

mod keep;

use bytes::Bytes;
use lockstep_protocol::codec;
use lockstep_protocol::directory::{DirectoryEvent, Policy, Role};
use lockstep_protocol::entry::HubKey;
use lockstep_protocol::id::{ConversationId, DeviceId, DocumentId, Epoch, ImportId, MemberId};
use lockstep_protocol::keep::Keep;
use minicbor::{Decode, Encode};

pub(crate) use keep::{Audit, Noted, SIGN_IN_EVERY_MS};

/// Who did it, or tried to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum Actor {
    /// Somebody on the hub's own machine, over its admin socket.
    #[n(0)]
    Machine,
    /// The hub itself: what a restore makes it replay, and its epochs.
    #[n(1)]
    Hub,
    /// A device that had proven who it is.
    #[n(2)]
    Device {
        /// Its member.
        #[n(0)]
        member: MemberId,
        /// Which.
        #[n(1)]
        device: DeviceId,
    },
    /// Whoever named this device, and had proven nothing yet.
    #[n(3)]
    Claimed {
        /// Which.
        #[n(0)]
        device: DeviceId,
    },
}

/// What a device asked for and has no right to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Asked {
    /// To write a fact.
    #[n(0)]
    Push,
    /// To read a conversation's documents.
    #[n(1)]
    Fetch,
    /// To mark a conversation as read.
    #[n(2)]
    Mark,
    /// To type a reply.
    #[n(3)]
    Type,
    /// To resolve a held reply.
    #[n(4)]
    Resolve,
    /// To bring stamped entries back.
    #[n(5)]
    Offer,
    /// To change the directory, or to report a delivery.
    #[n(6)]
    Command,
}

/// What somebody on the hub's machine did that is no entry of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum Deed {
    /// Keys were rotated; from here on the hub seals under this generation.
    #[n(0)]
    KeysRotated {
        /// Its number.
        #[n(0)]
        generation: u32,
    },
    /// The list of sensitive words was changed.
    #[n(1)]
    WordsChanged {
        /// Entries added.
        #[n(0)]
        added: u32,
        /// Entries taken away.
        #[n(1)]
        removed: u32,
    },
    /// Messages were written into a file, outside the hub.
    #[n(2)]
    Exported {
        /// Of which conversation; none for several.
        #[n(0)]
        conversation: Option<ConversationId>,
    },
    /// A conversation was deleted, and its data keys destroyed.
    #[n(3)]
    Shredded {
        /// Which.
        #[n(0)]
        conversation: ConversationId,
    },
}

/// What was done or tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum Act {
    /// The actor's device connected.
    #[n(0)]
    SignedIn {
        /// How often before, since its last row.
        #[n(0)]
        again: u32,
    },
    /// The actor's device was not let in.
    #[n(1)]
    SignInRefused,
    /// The actor's device was enrolled.
    #[n(2)]
    Enrolled,
    /// The actor's device was not enrolled.
    #[n(3)]
    EnrolmentRefused,
    /// The actor has no right to what it asked for.
    #[n(4)]
    AccessRefused {
        /// What.
        #[n(0)]
        asked: Asked,
        /// In which conversation, if it is about one; there may be none of this id.
        #[n(1)]
        conversation: Option<ConversationId>,
    },
    /// A member joined.
    #[n(5)]
    MemberAdded {
        /// Who.
        #[n(0)]
        member: MemberId,
        /// As what.
        #[n(1)]
        role: Role,
    },
    /// A role changed.
    #[n(6)]
    RoleChanged {
        /// Whose.
        #[n(0)]
        member: MemberId,
        /// To what.
        #[n(1)]
        role: Role,
    },
    /// A member was removed, and their devices revoked.
    #[n(7)]
    MemberRemoved {
        /// Who.
        #[n(0)]
        member: MemberId,
    },
    /// A device was revoked.
    #[n(8)]
    DeviceRevoked {
        /// Which.
        #[n(0)]
        device: DeviceId,
    },
    /// A one-time code was made.
    #[n(9)]
    Invited {
        /// For whose device.
        #[n(0)]
        member: MemberId,
    },
    /// The policy was set.
    #[n(10)]
    PolicyChanged(#[n(0)] Policy),
    /// A conversation was opened.
    #[n(11)]
    ConversationOpened {
        /// Which.
        #[n(0)]
        conversation: ConversationId,
    },
    /// A member was assigned.
    #[n(12)]
    Assigned {
        /// To which conversation.
        #[n(0)]
        conversation: ConversationId,
        /// Who.
        #[n(1)]
        member: MemberId,
    },
    /// A member was unassigned.
    #[n(13)]
    Unassigned {
        /// From which conversation.
        #[n(0)]
        conversation: ConversationId,
        /// Who.
        #[n(1)]
        member: MemberId,
    },
    /// A segment was imported.
    #[n(14)]
    Imported {
        /// Which.
        #[n(0)]
        document: DocumentId,
        /// By which run.
        #[n(1)]
        import: ImportId,
    },
    /// An imported segment was taken back.
    #[n(15)]
    ImportUndone {
        /// Which.
        #[n(0)]
        document: DocumentId,
        /// The run that had brought it.
        #[n(1)]
        import: ImportId,
    },
    /// A new epoch began: the row's own.
    #[n(16)]
    EpochBegan,
    /// Something else was done on the hub's machine.
    #[n(17)]
    Done(#[n(0)] Deed),
    /// Refusals that have no row of their own.
    #[n(18)]
    More {
        /// How many.
        #[n(0)]
        refusals: u32,
    },
    /// A conversation's keep time was set.
    #[n(19)]
    KeepChanged {
        /// Which.
        #[n(0)]
        conversation: ConversationId,
        /// To what; none for the policy's.
        #[n(1)]
        keep: Option<Keep>,
    },
    /// A document was deleted because of its age.
    #[n(20)]
    Expired {
        /// Which.
        #[n(0)]
        document: DocumentId,
    },
}

impl Act {
    /// Its kind, as the command line prints and filters it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SignedIn { .. } => "sign-in",
            Self::SignInRefused => "sign-in-refused",
            Self::Enrolled => "enrolment",
            Self::EnrolmentRefused => "enrolment-refused",
            Self::AccessRefused { .. } => "access-refused",
            Self::MemberAdded { .. } => "member-added",
            Self::RoleChanged { .. } => "role-changed",
            Self::MemberRemoved { .. } => "member-removed",
            Self::DeviceRevoked { .. } => "device-revoked",
            Self::Invited { .. } => "invited",
            Self::PolicyChanged(_) => "policy-changed",
            Self::ConversationOpened { .. } => "conversation-opened",
            Self::Assigned { .. } => "assigned",
            Self::Unassigned { .. } => "unassigned",
            Self::Imported { .. } => "imported",
            Self::ImportUndone { .. } => "import-undone",
            Self::EpochBegan => "epoch-began",
            Self::Done(Deed::KeysRotated { .. }) => "keys-rotated",
            Self::Done(Deed::WordsChanged { .. }) => "words-changed",
            Self::Done(Deed::Exported { .. }) => "exported",
            Self::Done(Deed::Shredded { .. }) => "shredded",
            Self::More { .. } => "more-refusals",
            Self::KeepChanged { .. } => "keep-changed",
            Self::Expired { .. } => "expired",
        }
    }

    /// The row of a directory change.
    #[must_use]
    pub fn of(event: &DirectoryEvent) -> Self {
        match event {
            DirectoryEvent::MemberAdded(member) => Self::MemberAdded { member: member.id, role: member.role },
            DirectoryEvent::RoleChanged { member, role } => Self::RoleChanged { member: *member, role: *role },
            DirectoryEvent::MemberRemoved { member } => Self::MemberRemoved { member: *member },
            // The actor is the device.
            DirectoryEvent::DeviceAdded(_) => Self::Enrolled,
            DirectoryEvent::DeviceRevoked { device } => Self::DeviceRevoked { device: *device },
            DirectoryEvent::PolicyChanged(policy) => Self::PolicyChanged(*policy),
            DirectoryEvent::ConversationOpened(conversation) => {
                Self::ConversationOpened { conversation: conversation.id }
            }
            DirectoryEvent::Assigned { conversation, member } => {
                Self::Assigned { conversation: *conversation, member: *member }
            }
            DirectoryEvent::Unassigned { conversation, member } => {
                Self::Unassigned { conversation: *conversation, member: *member }
            }
            DirectoryEvent::ImportUndone { document, import } => {
                Self::ImportUndone { document: *document, import: *import }
            }
            DirectoryEvent::KeepChanged { conversation, keep } => {
                Self::KeepChanged { conversation: *conversation, keep: *keep }
            }
            DirectoryEvent::Expired { document, .. } => Self::Expired { document: *document },
            DirectoryEvent::ConversationShredded { conversation } => {
                Self::Done(Deed::Shredded { conversation: *conversation })
            }
        }
    }
}

/// One row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct AuditRow {
    /// Its place, counting up by one from 1.
    #[n(0)]
    pub sequence: u64,
    /// When, milliseconds since 1970; never smaller than an earlier row's.
    #[n(1)]
    pub at_ms: u64,
    /// The log's epoch then.
    #[n(2)]
    pub epoch: Epoch,
    /// Who.
    #[n(3)]
    pub actor: Actor,
    /// What.
    #[n(4)]
    pub act: Act,
    /// 0 for what was done, else the number of the refusal.
    #[n(5)]
    pub code: u16,
}

impl AuditRow {
    /// Reads one whole row; `None` for bytes that this version does not understand.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        codec::decode_value(bytes)
    }

    /// Whether a member is the actor, or the row is about them.
    #[must_use]
    pub fn concerns(&self, member: MemberId) -> bool {
        let acts = matches!(self.actor, Actor::Device { member: by, .. } if by == member);
        let is_object = match self.act {
            Act::MemberAdded { member: whom, .. }
            | Act::RoleChanged { member: whom, .. }
            | Act::MemberRemoved { member: whom }
            | Act::Invited { member: whom }
            | Act::Assigned { member: whom, .. }
            | Act::Unassigned { member: whom, .. } => whom == member,
            _ => false,
        };
        acts || is_object
    }
}

/// Keyed hash chain over the rows: two audit logs that agree here agree in everything before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AuditChain(pub [u8; 32]);

impl AuditChain {
    /// The chain after one more row: keyed BLAKE3(chain ‖ row bytes).
    #[must_use]
    pub fn after(&self, key: &HubKey, row_bytes: &[u8]) -> Self {
        Self(*key.audit_hasher().update(&self.0).update(row_bytes).finalize().as_bytes())
    }
}

/// Where the audit log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AuditHead {
    /// The newest row; 0 if there is none.
    pub sequence: u64,
    /// Its time, milliseconds since 1970.
    pub at_ms: u64,
    /// The chain with it.
    pub chain: AuditChain,
}

/// A row on its way into the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Its place.
    pub sequence: u64,
    /// The encoded [`AuditRow`].
    pub bytes: Bytes,
    /// The chain with it; kept beside it.
    pub chain: AuditChain,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_concerns_who_acts_and_whom_it_is_about() {
        let (member, other) = (MemberId(7), MemberId(8));
        let conversation = ConversationId([1; 16]);
        let device = DeviceId([2; 16]);
        let of = |actor, act| AuditRow { sequence: 1, at_ms: 0, epoch: Epoch::default(), actor, act, code: 0 };
        for (row, expected) in [
            (of(Actor::Device { member, device }, Act::SignedIn { again: 0 }), true),
            (of(Actor::Device { member: other, device }, Act::SignedIn { again: 0 }), false),
            (of(Actor::Machine, Act::Assigned { conversation, member }), true),
            (of(Actor::Machine, Act::Assigned { conversation, member: other }), false),
            (of(Actor::Machine, Act::MemberRemoved { member }), true),
            (of(Actor::Claimed { device }, Act::SignInRefused), false),
        ] {
            assert_eq!(row.concerns(member), expected, "{row:?}");
        }
    }
}
