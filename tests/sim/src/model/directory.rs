//! The directory as a plain model: who is who, and who may see what (DESIGN section 7).

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::directory::{DirectoryEvent, Policy, Role};
use lockstep_protocol::id::{ConversationId, DeviceId, MemberId};
use lockstep_protocol::keep::Keep;

/// A conversation as far as visibility needs it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConversationModel {
    /// The service account of its channel.
    pub service: Option<MemberId>,
    /// Who is assigned.
    pub assigned: BTreeSet<MemberId>,
    /// Its keep time.
    pub keep: Option<Keep>,
}

/// The directory after some entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directory {
    /// Roles of members.
    pub members: BTreeMap<MemberId, Role>,
    /// Devices that are not revoked, with their members.
    pub devices: BTreeMap<DeviceId, MemberId>,
    /// Devices that are.
    pub revoked: BTreeSet<DeviceId>,
    /// Policy.
    pub policy: Policy,
    /// Conversations.
    pub conversations: BTreeMap<ConversationId, ConversationModel>,
}

impl Directory {
    /// Before the first entry.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: BTreeMap::new(),
            devices: BTreeMap::new(),
            revoked: BTreeSet::new(),
            policy: Policy {
                collision: lockstep_protocol::directory::CollisionPolicy::Hold,
                agents_see_unassigned: false,
                services_lock: false,
                devices_max: None,
                keep: None,
            },
            conversations: BTreeMap::new(),
        }
    }

    /// Takes a change in.
    pub fn apply(&mut self, event: &DirectoryEvent) {
        match event {
            DirectoryEvent::MemberAdded(member) => {
                self.members.insert(member.id, member.role);
            }
            DirectoryEvent::RoleChanged { member, role } => {
                self.members.insert(*member, *role);
            }
            DirectoryEvent::MemberRemoved { member } => {
                self.members.remove(member);
                self.revoked.extend(self.devices.iter().filter(|(_, owner)| *owner == member).map(|(id, _)| *id));
                self.devices.retain(|_, owner| owner != member);
            }
            DirectoryEvent::DeviceAdded(device) => {
                self.devices.insert(device.id(), device.member);
                self.revoked.remove(&device.id());
            }
            DirectoryEvent::DeviceRevoked { device } => {
                self.devices.remove(device);
                self.revoked.insert(*device);
            }
            DirectoryEvent::PolicyChanged(policy) => self.policy = *policy,
            DirectoryEvent::ConversationOpened(conversation) => {
                let model = ConversationModel {
                    service: conversation.service,
                    assigned: conversation.assigned.iter().copied().collect(),
                    keep: conversation.keep,
                };
                self.conversations.insert(conversation.id, model);
            }
            DirectoryEvent::Assigned { conversation, member } => {
                self.conversations.entry(*conversation).or_default().assigned.insert(*member);
            }
            DirectoryEvent::Unassigned { conversation, member } => {
                self.conversations.entry(*conversation).or_default().assigned.remove(member);
            }
            DirectoryEvent::KeepChanged { conversation, keep } => {
                self.conversations.entry(*conversation).or_default().keep = *keep;
            }
            DirectoryEvent::ConversationShredded { conversation } => {
                self.conversations.remove(conversation);
            }
            DirectoryEvent::ImportUndone { .. } | DirectoryEvent::Expired { .. } => {}
        }
    }

    /// A member's role.
    #[must_use]
    pub fn role(&self, member: MemberId) -> Option<Role> {
        self.members.get(&member).copied()
    }

    /// How long a conversation's messages are kept, milliseconds; none for ever.
    #[must_use]
    pub fn keep_ms(&self, conversation: ConversationId) -> Option<u64> {
        let own = self.conversations.get(&conversation).and_then(|known| known.keep);
        own.or(self.policy.keep).and_then(Keep::ms)
    }

    /// Whether the member may see the conversation.
    #[must_use]
    pub fn sees(&self, member: MemberId, conversation: ConversationId) -> bool {
        let Some(model) = self.conversations.get(&conversation) else { return false };
        match self.role(member) {
            Some(Role::Owner | Role::Manager | Role::Auditor) => true,
            Some(Role::Agent) => {
                model.assigned.contains(&member) || (self.policy.agents_see_unassigned && !self.anyone_assigned(model))
            }
            Some(Role::Service) => model.service == Some(member),
            // A model of its own: whoever left is not in it.
            Some(Role::Former) | None => false,
        }
    }

    fn anyone_assigned(&self, model: &ConversationModel) -> bool {
        !model.assigned.is_empty()
    }

    /// Whether the member may write into the conversation.
    #[must_use]
    pub fn writes(&self, member: MemberId, conversation: ConversationId) -> bool {
        self.sees(member, conversation) && self.role(member) != Some(Role::Auditor)
    }

    /// Whether the member's replies take and meet the lock.
    #[must_use]
    pub fn locks(&self, member: MemberId) -> bool {
        self.policy.services_lock || self.role(member) != Some(Role::Service)
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}
