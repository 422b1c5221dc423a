//! Who may see and do what: the one place that decides, for live fan-out, catch-up, snapshots and writes alike.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::directory::{Conversation, Device, DirectoryEvent, Member, Policy, Role};
use lockstep_protocol::id::{ConversationId, DeviceId, DocumentId, ImportId, MemberId};
use lockstep_protocol::keep::Keep;

/// Members, devices and policy as of some point of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) devices: BTreeMap<DeviceId, Device>,
    /// Revoked devices, for ever: one that comes back is told so, and deletes its copy.
    pub(crate) revoked: BTreeSet<DeviceId>,
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
                // The row stays: history keeps its names, and the number is taken for ever.
                if let Some(member) = self.members.get_mut(member) {
                    member.role = Role::Former;
                }
                let theirs = self.devices.iter().filter(|(_, device)| device.member == *member);
                self.revoked.extend(theirs.map(|(id, _)| *id));
                self.devices.retain(|_, device| device.member != *member);
            }
            DirectoryEvent::DeviceAdded(device) => {
                self.revoked.remove(&device.id());
                self.devices.insert(device.id(), device.clone());
            }
            DirectoryEvent::DeviceRevoked { device } => {
                self.devices.remove(device);
                self.revoked.insert(*device);
            }
            DirectoryEvent::PolicyChanged(policy) => self.policy = *policy,
            DirectoryEvent::ConversationOpened(_)
            | DirectoryEvent::Assigned { .. }
            | DirectoryEvent::Unassigned { .. }
            | DirectoryEvent::ImportUndone { .. }
            | DirectoryEvent::KeepChanged { .. }
            | DirectoryEvent::Expired { .. }
            | DirectoryEvent::ConversationShredded { .. } => {}
        }
    }

    /// The role of one who is on the team.
    pub(crate) fn role(&self, member: MemberId) -> Option<Role> {
        self.members.get(&member).and_then(|member| member.role.active())
    }

    /// How many devices a member has.
    pub(crate) fn devices_of(&self, member: MemberId) -> usize {
        self.devices.values().filter(|device| device.member == member).count()
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
            Some(Role::Former) | None => false,
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

    /// Whether a device was revoked, durably or not yet.
    pub(crate) fn is_revoked(&self, device: &DeviceId) -> bool {
        self.sequenced.revoked.contains(device)
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
        Role::Owner => 5,
        Role::Manager => 4,
        Role::Agent => 3,
        Role::Auditor => 2,
        Role::Service => 1,
        Role::Former => 0,
    }
}

/// Whether `by` may manage a member of this role (add, change, remove, invite, revoke).
pub(crate) const fn manages(by: Role, role: Role) -> bool {
    match by {
        Role::Owner => true,
        Role::Manager => matches!(role, Role::Agent | Role::Auditor | Role::Service),
        Role::Agent | Role::Auditor | Role::Service | Role::Former => false,
    }
}

/// Whether a change of role takes something away: sight of everything, of the assigned, of the channel; management; the
/// pen.
const fn role_loses(now: Role, then: Role) -> bool {
    const fn rights(role: Role) -> [u8; 5] {
        match role {
            Role::Owner => [1, 1, 1, 2, 1],
            Role::Manager => [1, 1, 1, 1, 1],
            Role::Agent => [0, 1, 0, 0, 1],
            Role::Auditor => [1, 1, 1, 0, 0],
            Role::Service => [0, 0, 1, 0, 1],
            Role::Former => [0, 0, 0, 0, 0],
        }
    }
    let (now, then) = (rights(now), rights(then));
    let mut right = 0;
    while right < now.len() {
        if now[right] > then[right] {
            return true;
        }
        right += 1;
    }
    false
}

/// What directory events after a restore point took away: what a restored hub replays before it lets anyone in. DESIGN
/// section 7.
///
/// A removal or revocation counts for ever, even if the member or device was let in again later: that second entry was
/// lost with the restore. Of roles, assignments and the policy the newest counts.
pub(crate) fn losses<'a>(
    after_restore_point: impl IntoIterator<Item = &'a DirectoryEvent>,
    restored: &Directory,
    replay_gains: bool,
) -> Vec<DirectoryEvent> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Subject {
        Removal(MemberId),
        Role(MemberId),
        Device(DeviceId),
        Assignment(ConversationId, MemberId),
        Import(DocumentId, ImportId),
        Keep(ConversationId),
        Expiry(DocumentId),
        Shred(ConversationId),
        Policy,
    }
    let mut newest: BTreeMap<Subject, (usize, DirectoryEvent)> = BTreeMap::new();
    for (place, event) in after_restore_point.into_iter().enumerate() {
        let subject = match event {
            DirectoryEvent::MemberRemoved { member } if restored.role(*member).is_some() => Subject::Removal(*member),
            DirectoryEvent::RoleChanged { member, .. } => Subject::Role(*member),
            DirectoryEvent::DeviceRevoked { device } if restored.devices.contains_key(device) => {
                Subject::Device(*device)
            }
            DirectoryEvent::Assigned { conversation, member } | DirectoryEvent::Unassigned { conversation, member } => {
                Subject::Assignment(*conversation, *member)
            }
            // Whether the restored store holds it is seen when its conversation is read.
            DirectoryEvent::ImportUndone { document, import } => Subject::Import(*document, *import),
            DirectoryEvent::Expired { document, .. } => Subject::Expiry(*document),
            DirectoryEvent::ConversationShredded { conversation } => Subject::Shred(*conversation),
            // Whether it is shorter than the restored one is seen there, too.
            DirectoryEvent::KeepChanged { conversation, .. } => Subject::Keep(*conversation),
            DirectoryEvent::PolicyChanged(_) => Subject::Policy,
            _ => continue,
        };
        newest.insert(subject, (place, event.clone()));
    }
    let removed: Vec<MemberId> = newest
        .keys()
        .filter_map(|subject| match subject {
            Subject::Removal(member) => Some(*member),
            _ => None,
        })
        .collect();
    let loses = |event: &DirectoryEvent| match event {
        DirectoryEvent::RoleChanged { member, role } => restored
            .role(*member)
            .is_some_and(|now| !removed.contains(member) && (role_loses(now, *role) || (replay_gains && *role != now))),
        DirectoryEvent::Assigned { .. } => false,
        DirectoryEvent::PolicyChanged(policy) => restored.policy != stricter(&restored.policy, policy),
        _ => true,
    };
    let lost = newest.into_values().filter(|(_, event)| loses(event));
    let mut events: Vec<_> = lost
        .map(|(place, event)| match event {
            DirectoryEvent::PolicyChanged(policy) => {
                (place, DirectoryEvent::PolicyChanged(stricter(&restored.policy, &policy)))
            }
            event => (place, event),
        })
        .collect();
    events.sort_by_key(|(place, _)| *place);
    events.into_iter().map(|(_, event)| event).collect()
}

/// What a policy that was set after a restore point leaves of the restored one: no more to see, nothing kept for longer.
fn stricter(restored: &Policy, set: &Policy) -> Policy {
    let base = if restored.agents_see_unassigned && !set.agents_see_unassigned { set } else { restored };
    let keep = restored.keep.unwrap_or_default().shorter(set.keep.unwrap_or_default());
    Policy { keep: Some(keep).filter(|keep| *keep != Keep::FOREVER).or(base.keep), ..*base }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: MemberId = MemberId(7);

    #[test]
    fn who_sees_what() {
        use Role::{Agent, Auditor, Former, Manager, Owner, Service};
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
            (Former, unassigned, Some(7), true, false),
            (Former, &[7], None, false, false),
        ] {
            let mut directory = Directory::default();
            directory.policy.agents_see_unassigned = agents_see_unassigned;
            directory.members.insert(ME, Member { id: ME, name: String::new(), role });
            let conversation = Conversation {
                id: ConversationId::default(),
                customer: String::new(),
                service: service.map(MemberId),
                assigned: assigned.iter().copied().map(MemberId).collect(),
                keep: None,
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
    fn whoever_leaves_keeps_their_name_and_number_and_loses_everything_else() {
        let mut directory = Directory::default();
        let device = Device { key: lockstep_protocol::id::PublicKey([1; 32]), member: ME, name: "phone".into() };
        for event in [
            DirectoryEvent::MemberAdded(Member { id: ME, name: "Nok".into(), role: Role::Owner }),
            DirectoryEvent::DeviceAdded(device),
            DirectoryEvent::MemberRemoved { member: ME },
        ] {
            directory.apply(&event);
        }
        assert_eq!(directory.members[&ME], Member { id: ME, name: "Nok".into(), role: Role::Former });
        assert_eq!((directory.role(ME), directory.owners(), directory.devices.len()), (None, 0, 0));
        assert_eq!(Access::new(directory).commands_as(ME), None);
    }

    #[test]
    fn only_the_newest_loss_of_each_subject_is_replayed() {
        let member = |role| Member { id: ME, name: String::new(), role };
        let changed = |role| DirectoryEvent::RoleChanged { member: ME, role };
        let conversation = ConversationId([1; 16]);
        let removed = DirectoryEvent::MemberRemoved { member: ME };
        let added = DirectoryEvent::MemberAdded(member(Role::Agent));
        let assigned = DirectoryEvent::Assigned { conversation, member: ME };
        let unassigned = DirectoryEvent::Unassigned { conversation, member: ME };
        for (now, outside, expected) in [
            (Role::Manager, vec![changed(Role::Agent)], vec![changed(Role::Agent)]),
            (Role::Agent, vec![changed(Role::Manager)], vec![]),
            (Role::Manager, vec![changed(Role::Agent), changed(Role::Manager)], vec![]),
            (Role::Auditor, vec![changed(Role::Agent)], vec![changed(Role::Agent)]),
            (Role::Agent, vec![changed(Role::Auditor)], vec![changed(Role::Auditor)]),
            // Let in again later: that was lost, the removal was not.
            (Role::Manager, vec![removed.clone(), added.clone()], vec![removed.clone()]),
            (Role::Manager, vec![removed.clone(), added, changed(Role::Agent)], vec![removed]),
            (Role::Agent, vec![unassigned.clone()], vec![unassigned.clone()]),
            (Role::Agent, vec![unassigned.clone(), assigned.clone()], vec![]),
            (Role::Agent, vec![assigned, unassigned.clone()], vec![unassigned]),
        ] {
            let mut restored = Directory::default();
            restored.members.insert(ME, member(now));
            assert_eq!(losses(&outside, &restored, false), expected, "{outside:?}");
        }
    }

    #[test]
    fn what_went_goes_again_and_no_keep_time_gets_longer() {
        let conversation = ConversationId([1; 16]);
        let policy = |sees: bool, days: u32| Policy {
            agents_see_unassigned: sees,
            services_lock: sees,
            keep: Keep::days(days),
            ..Policy::default()
        };
        let set = |policy: Policy| DirectoryEvent::PolicyChanged(policy);
        let expired = DirectoryEvent::Expired { document: DocumentId::segment(conversation, 3), newest_ms: 7 };
        let shredded = DirectoryEvent::ConversationShredded { conversation };
        let keep = |days| DirectoryEvent::KeepChanged { conversation, keep: Keep::days(days) };
        for (restored, outside, expected) in [
            (policy(true, 0), vec![expired.clone(), shredded.clone()], vec![expired, shredded]),
            // Which of its times is shorter is seen when the conversation is read.
            (policy(true, 0), vec![keep(30), keep(90)], vec![keep(90)]),
            (policy(true, 30), vec![set(policy(true, 90))], vec![]),
            (policy(true, 90), vec![set(policy(true, 30))], vec![set(policy(true, 30))]),
            (policy(true, 0), vec![set(policy(true, 30))], vec![set(policy(true, 30))]),
            // Each part by itself: nothing that was given with it comes back.
            (policy(false, 90), vec![set(policy(true, 30))], vec![set(policy(false, 30))]),
            (policy(true, 30), vec![set(policy(false, 90))], vec![set(policy(false, 30))]),
            (policy(true, 90), vec![set(policy(true, 30)), set(policy(true, 0))], vec![]),
        ] {
            let directory = Directory { policy: restored, ..Directory::default() };
            assert_eq!(losses(&outside, &directory, false), expected, "{restored:?} {outside:?}");
        }
    }
}
