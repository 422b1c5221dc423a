//! What may be asked at the admin socket.

use std::fmt;
use std::str::FromStr;

use lockstep_protocol::directory::{CollisionPolicy, Policy, Role};
use lockstep_protocol::id::{ConversationId, DeviceId, ImportId};
use lockstep_protocol::keep::{Keep, KeepMalformed};
use serde::{Deserialize, Serialize};

use crate::audit::AuditFilter;

/// A request, tagged by its verb.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the hub is.
    Status,
    /// Adds a member; without a number, the next free one.
    MemberAdd {
        /// Staff number.
        id: Option<u32>,
        /// Shown name.
        name: String,
        /// Role.
        role: RoleName,
    },
    /// All members.
    MemberList,
    /// Changes a role.
    MemberRole {
        /// Staff number.
        id: u32,
        /// The new role.
        role: RoleName,
    },
    /// Removes a member and their devices.
    MemberRemove {
        /// Staff number.
        id: u32,
    },
    /// Makes a pairing link for a new device of a member.
    Pair {
        /// Staff number.
        id: u32,
    },
    /// All devices.
    DeviceList,
    /// Revokes a device.
    DeviceRevoke {
        /// Which.
        device: Hex<DeviceId>,
    },
    /// Opens a conversation.
    ConversationNew {
        /// The customer's shown name.
        customer: String,
        /// The service account of its channel.
        service: Option<u32>,
        /// Members assigned to it.
        #[serde(default)]
        assigned: Vec<u32>,
    },
    /// All conversations.
    ConversationList,
    /// Assigns a member.
    Assign {
        /// Which conversation.
        conversation: Hex<ConversationId>,
        /// Staff number.
        member: u32,
    },
    /// Unassigns a member.
    Unassign {
        /// Which conversation.
        conversation: Hex<ConversationId>,
        /// Staff number.
        member: u32,
    },
    /// Imports facts into a conversation, which is opened if it is not there.
    Import {
        /// Which conversation.
        conversation: Hex<ConversationId>,
        /// The customer's shown name, for a new one.
        customer: String,
        /// Members assigned to a new one.
        #[serde(default)]
        assigned: Vec<u32>,
        /// The run; the same for all parts of one import.
        import: Hex<ImportId>,
        /// Facts, a CBOR list in hex.
        facts: String,
    },
    /// Takes an import back out of a conversation.
    ImportUndo {
        /// Which conversation.
        conversation: Hex<ConversationId>,
        /// The run.
        import: Hex<ImportId>,
    },
    /// Sets how long a conversation's messages are kept.
    ConversationKeep {
        /// Which conversation.
        conversation: Hex<ConversationId>,
        /// For so long; none for as long as the policy says.
        keep: Option<KeepText>,
    },
    /// Destroys a conversation.
    Shred {
        /// Which.
        conversation: Hex<ConversationId>,
    },
    /// How the hub's keys are.
    KeyStatus,
    /// Wraps all data keys anew, under key-encryption keys of a new generation.
    KeyRotate,
    /// The secret from which ids of imported messages are derived.
    ImportKey,
    /// Reads everything that the hub holds.
    Verify,
    /// The certificate's private key.
    CertificateKey,
    /// The team's choices.
    PolicyShow,
    /// Changes some of the team's choices.
    PolicySet(PolicyChange),
    /// Messages of a conversation are about to be written into a file on this machine.
    Exported {
        /// Which conversation.
        conversation: Hex<ConversationId>,
    },
    /// Rows of the audit log.
    Audit {
        /// Only rows after this one; 0 to begin.
        after: u64,
        /// Which.
        filter: AuditFilter,
    },
    /// Walks the audit log's chain.
    AuditVerify,
    /// Takes the certificate's files as they are now.
    RefreshCertificate,
    /// The list of sensitive words.
    WordsList,
    /// Adds words or phrases; those that are there get the category.
    WordsAdd {
        /// Which.
        words: Vec<String>,
        /// What they are about.
        category: String,
    },
    /// Takes words or phrases out of the list.
    WordsRemove {
        /// Which.
        words: Vec<String>,
    },
    /// What the list finds in a text, which is kept nowhere.
    WordsTest {
        /// The text.
        text: String,
    },
}

/// Changes of the policy; what is none stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    /// What becomes of a reply that lost: kept back, or sent and marked
    #[arg(long)]
    pub collision: Option<CollisionName>,
    /// Whether agents see conversations that nobody is assigned to
    #[arg(long, value_name = "true|false")]
    pub agents_see_unassigned: Option<bool>,
    /// Whether service accounts take and meet the lock
    #[arg(long, value_name = "true|false")]
    pub services_lock: Option<bool>,
    /// Devices that a member may have at once; 0 for no limit
    #[arg(long, value_name = "NUMBER")]
    pub devices_max: Option<u32>,
    /// How long messages are kept: forever, or days from 7d
    #[arg(long, value_name = "forever|90d")]
    pub keep: Option<KeepText>,
}

impl PolicyChange {
    /// The policy with these changes.
    #[must_use]
    pub fn apply(self, policy: Policy) -> Policy {
        Policy {
            collision: self.collision.map_or(policy.collision, CollisionPolicy::from),
            agents_see_unassigned: self.agents_see_unassigned.unwrap_or(policy.agents_see_unassigned),
            services_lock: self.services_lock.unwrap_or(policy.services_lock),
            devices_max: match self.devices_max {
                None => policy.devices_max,
                Some(max) => Some(max).filter(|max| *max > 0),
            },
            keep: match self.keep {
                None => policy.keep,
                Some(keep) => Some(keep.0).filter(|keep| *keep != Keep::FOREVER),
            },
        }
    }
}

/// A keep time as text: `forever`, or `90d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepText(pub Keep);

impl FromStr for KeepText {
    type Err = KeepMalformed;

    fn from_str(text: &str) -> Result<Self, KeepMalformed> {
        text.parse().map(Self)
    }
}

impl Serialize for KeepText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeepText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What becomes of a collided reply, by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CollisionName {
    /// Kept back until its author decides.
    Hold,
    /// Sent, but marked.
    Flag,
}

impl From<CollisionName> for CollisionPolicy {
    fn from(name: CollisionName) -> Self {
        match name {
            CollisionName::Hold => Self::Hold,
            CollisionName::Flag => Self::Flag,
        }
    }
}

impl From<CollisionPolicy> for CollisionName {
    fn from(policy: CollisionPolicy) -> Self {
        match policy {
            CollisionPolicy::Hold => Self::Hold,
            CollisionPolicy::Flag => Self::Flag,
        }
    }
}

/// A role, by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RoleName {
    /// Everything.
    Owner,
    /// Every conversation; manages agents, devices and assignments.
    Manager,
    /// Conversations assigned to them.
    Agent,
    /// Reads everything, writes nothing.
    Auditor,
    /// A channel connector or bot.
    Service,
    /// Left the team; shown, never given.
    #[value(skip)]
    Former,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Owner => Self::Owner,
            RoleName::Manager => Self::Manager,
            RoleName::Agent => Self::Agent,
            RoleName::Auditor => Self::Auditor,
            RoleName::Service => Self::Service,
            RoleName::Former => Self::Former,
        }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::Manager => Self::Manager,
            Role::Agent => Self::Agent,
            Role::Auditor => Self::Auditor,
            Role::Service => Self::Service,
            Role::Former => Self::Former,
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner => "owner",
            Self::Manager => "manager",
            Self::Agent => "agent",
            Self::Auditor => "auditor",
            Self::Service => "service",
            Self::Former => "former",
        })
    }
}

/// An id of 16 bytes as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hex<T>(pub T);

impl<T: From16> FromStr for Hex<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| "an id is 32 hex digits; lists show them".to_owned())?;
        Ok(Self(T::from_16(bytes)))
    }
}

impl<T: fmt::Display> Serialize for Hex<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: From16> Deserialize<'de> for Hex<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An id made of 16 bytes.
pub trait From16 {
    /// From its bytes.
    fn from_16(bytes: [u8; 16]) -> Self;
}

impl From16 for ConversationId {
    fn from_16(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl From16 for DeviceId {
    fn from_16(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl From16 for ImportId {
    fn from_16(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}
