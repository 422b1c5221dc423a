//! Who may see and do what: the one place that decides, for live fan-out, catch-up, snapshots and writes alike.

use std::collections::BTreeMap;

use lockstep_protocol::directory::{Conversation, Device, DirectoryEvent, Member, Policy, Role};
use lockstep_protocol::id::{DeviceId, MemberId};

/// Members, devices and policy as of some point of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) devices: BTreeMap<DeviceId, Device>,
    pub(crate) policy: Policy,
}

impl Directory {
    /// Takes in an event. Those of conversations are kept with the conversation.
    pub(crate) fn apply(&mut self, event: &DirectoryEvent) {
        match event {
            DirectoryEvent::MemberAdded(member) => {
                self.members.insert(member.id, member.clone());
            }
            DirectoryEvent::RoleChanged { member, role } => {
                if let Some(member) = self.members.get_mut(member) {
                    member.role = *role;
                }
            }
            DirectoryEvent::MemberRemoved { member } => {
                self.members.remove(member);
                self.devices.retain(|_, device| device.member != *member);
            }
            DirectoryEvent::DeviceAdded(device) => {
                self.devices.insert(device.id(), device.clone());
            }
            DirectoryEvent::DeviceRevoked { device } => {
                self.devices.remove(device);
            }
            DirectoryEvent::PolicyChanged(policy) => self.policy = *policy,
            DirectoryEvent::ConversationOpened(_)
            | DirectoryEvent::Assigned { .. }
            | DirectoryEvent::Unassigned { .. } => {}
        }
    }

    pub(crate) fn role(&self, member: MemberId) -> Option<Role> {
        self.members.get(&member).map(|member| member.role)
    }

    /// The visibility function. DESIGN section 7.
    pub(crate) fn may_see(&self, member: MemberId, conversation: &Conversation) -> bool {
        match self.role(member) {
            Some(Role::Owner | Role::Manager | Role::Auditor) => true,
            Some(Role::Agent) => {
                conversation.assigned.binary_search(&member).is_ok()
                    || (self.policy.agents_see_unassigned && conversation.assigned.is_empty())
            }
            Some(Role::Service) => conversation.service == Some(member),
            None => false,
        }
    }

    pub(crate) fn owners(&self) -> usize {
        self.members.values().filter(|member| member.role == Role::Owner).count()
    }
}

/// The directory twice: as sequenced and as durable. A right counts only where both give it, so that what is taken
/// away acts at once and what is given acts when it cannot be lost any more.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) sequenced: Directory,
    pub(crate) committed: Directory,
}

impl Access {
    pub(crate) fn new(directory: Directory) -> Self {
        Self { committed: directory.clone(), sequenced: directory }
    }

    /// Whether the member may see a conversation; `sequenced` and `committed` are its two states.
    pub(crate) fn may_see(&self, member: MemberId, sequenced: &Conversation, committed: Option<&Conversation>) -> bool {
        committed.is_some_and(|committed| self.committed.may_see(member, committed))
            && self.sequenced.may_see(member, sequenced)
    }

    /// Whether a member who may see a conversation may also write there.
    pub(crate) fn may_write(&self, member: MemberId) -> bool {
        let writes = |role: Option<Role>| role.is_some_and(|role| role != Role::Auditor);
        writes(self.sequenced.role(member)) && writes(self.committed.role(member))
    }

    /// The member of a device that both states know.
    pub(crate) fn device(&self, device: &DeviceId) -> Option<&Device> {
        self.committed.devices.get(device).and(self.sequenced.devices.get(device))
    }

    /// The weaker of the member's two roles decides what they may command.
    pub(crate) fn commands_as(&self, member: MemberId) -> Option<Role> {
        let (sequenced, committed) = (self.sequenced.role(member)?, self.committed.role(member)?);
        Some(if rank(sequenced) <= rank(committed) { sequenced } else { committed })
    }
}

/// More is more. Roles that can do different things rather than more are ordered by what losing them would take away.
pub(crate) const fn rank(role: Role) -> u8 {
    match role {
        Role::Owner => 4,
        Role::Manager => 3,
        Role::Agent => 2,
        Role::Auditor => 1,
        Role::Service => 0,
    }
}

/// Whether `by` may manage a member of this role (add, change, remove, invite, revoke).
pub(crate) const fn manages(by: Role, role: Role) -> bool {
    match by {
        Role::Owner => true,
        Role::Manager => matches!(role, Role::Agent | Role::Auditor | Role::Service),
        Role::Agent | Role::Auditor | Role::Service => false,
    }
}

/// The losses in a list of directory events, oldest first, of which only the newest a subject counts: what a restored
/// hub replays before it lets anyone in. DESIGN section 7.
pub(crate) fn losses(outside: &[DirectoryEvent], restored: &Directory, replay_gains: bool) -> Vec<DirectoryEvent> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Subject {
        Member(MemberId),
        Device(DeviceId),
        Assignment(lockstep_protocol::id::ConversationId, MemberId),
        Policy,
    }
    let mut newest = BTreeMap::new();
    for (place, event) in outside.iter().enumerate() {
        let subject = match event {
            DirectoryEvent::MemberAdded(member) => Subject::Member(member.id),
            DirectoryEvent::RoleChanged { member, .. } | DirectoryEvent::MemberRemoved { member } => {
                Subject::Member(*member)
            }
            DirectoryEvent::DeviceAdded(device) => Subject::Device(device.id()),
            DirectoryEvent::DeviceRevoked { device } => Subject::Device(*device),
            DirectoryEvent::Assigned { conversation, member } | DirectoryEvent::Unassigned { conversation, member } => {
                Subject::Assignment(*conversation, *member)
            }
            DirectoryEvent::PolicyChanged(_) => Subject::Policy,
            DirectoryEvent::ConversationOpened(_) => continue,
        };
        newest.insert(subject, (place, event));
    }
    let mut events: Vec<_> = newest.into_values().collect();
    events.sort_by_key(|(place, _)| *place);
    let loses = |event: &DirectoryEvent| match event {
        DirectoryEvent::RoleChanged { member, role } => {
            restored.role(*member).is_some_and(|now| rank(*role) < rank(now) || (replay_gains && *role != now))
        }
        DirectoryEvent::MemberRemoved { member } => restored.members.contains_key(member),
        DirectoryEvent::DeviceRevoked { device } => restored.devices.contains_key(device),
        DirectoryEvent::Unassigned { .. } => true,
        DirectoryEvent::PolicyChanged(policy) => restored.policy.agents_see_unassigned && !policy.agents_see_unassigned,
        _ => false,
    };
    events.into_iter().filter(|(_, event)| loses(event)).map(|(_, event)| event.clone()).collect()
}

#[cfg(test)]
mod tests {
    use lockstep_protocol::id::ConversationId;

    use super::*;

    const ME: MemberId = MemberId(7);

    #[test]
    fn who_sees_what() {
        use Role::{Agent, Auditor, Manager, Owner, Service};
        let unassigned: &[u32] = &[];
        for (role, assigned, service, agents_see_unassigned, expected) in [
            (Owner, unassigned, None, false, true),
            (Manager, &[1], None, false, true),
            (Auditor, &[1], None, false, true),
            (Agent, unassigned, None, false, false),
            (Agent, unassigned, None, true, true),
            (Agent, &[1], None, true, false),
            (Agent, &[7], None, false, true),
            (Agent, &[1, 7], None, false, true),
            (Agent, unassigned, Some(7), false, false),
            (Service, &[7], None, true, false),
            (Service, unassigned, Some(7), false, true),
            (Service, unassigned, Some(8), true, false),
        ] {
            let mut directory = Directory::default();
            directory.policy.agents_see_unassigned = agents_see_unassigned;
            directory.members.insert(ME, Member { id: ME, name: String::new(), role });
            let conversation = Conversation {
                id: ConversationId::default(),
                customer: String::new(),
                service: service.map(MemberId),
                assigned: assigned.iter().copied().map(MemberId).collect(),
            };
            let row = format!("{role:?} {assigned:?} {service:?} {agents_see_unassigned}");
            assert_eq!(directory.may_see(ME, &conversation), expected, "{row}");
            assert!(!directory.may_see(MemberId(99), &conversation), "a stranger: {row}");
            let access = Access::new(directory.clone());
            assert_eq!(access.may_see(ME, &conversation, Some(&conversation)), expected, "{row}");
            assert!(!access.may_see(ME, &conversation, None), "not durable yet: {row}");
        }
    }

    #[test]
    fn only_the_newest_loss_of_each_subject_is_replayed() {
        let member = |role| Member { id: ME, name: String::new(), role };
        let changed = |role| DirectoryEvent::RoleChanged { member: ME, role };
        let conversation = ConversationId([1; 16]);
        let assigned = DirectoryEvent::Assigned { conversation, member: ME };
        let unassigned = DirectoryEvent::Unassigned { conversation, member: ME };
        for (now, outside, expected) in [
            (Role::Manager, vec![changed(Role::Agent)], vec![changed(Role::Agent)]),
            (Role::Agent, vec![changed(Role::Manager)], vec![]),
            (Role::Manager, vec![changed(Role::Agent), changed(Role::Manager)], vec![]),
            (Role::Agent, vec![unassigned.clone()], vec![unassigned.clone()]),
            (Role::Agent, vec![unassigned.clone(), assigned.clone()], vec![]),
            (Role::Agent, vec![assigned, unassigned.clone()], vec![unassigned]),
        ] {
            let mut restored = Directory::default();
            restored.members.insert(ME, member(now));
            assert_eq!(losses(&outside, &restored, false), expected, "{outside:?}");
        }
    }
}
