//! Commands: changes of the directory, one-time codes, and what is replayed of them after a restore.

use lockstep_protocol::directory::{Conversation, DirectoryEvent, Member, Role};
use lockstep_protocol::entry::EntryBody;
use lockstep_protocol::frame::{Command, Outcome, Tag};
use lockstep_protocol::id::{ConversationId, DeviceId, DocumentId, InviteCode, MemberId};
use lockstep_protocol::keep::Keep;
use lockstep_protocol::limits;
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::access::{losses, manages};
use crate::audit::{Act, Actor, Asked};
use crate::conversation::{Commander, Committed, Presence, Slot, Work};
use crate::effect::{CloseReason, Effect, OutsideEvent, Ticket};
use crate::hub::{Hub, Invite, Waiter};
use crate::input::SessionId;
use crate::log::{Author, Draft};
use crate::planted::HubBug;
use crate::row::{ConversationRow, DocumentRow, DocumentState, Write};
use crate::session::Session;

impl Hub {
    /// A command from a device.
    pub(crate) fn command(
        &mut self,
        id: SessionId,
        tag: Tag,
        member: MemberId,
        command: Command,
        effects: &mut Vec<Effect>,
    ) {
        let entropy = self.sessions.get_mut(&id).map(Session::draw).unwrap_or_default();
        self.run_command(Commander::Session(id, tag, member), command, &entropy, effects);
    }

    /// A command from the hub's own machine.
    pub(crate) fn administered(
        &mut self,
        request: u64,
        command: Command,
        entropy: &[u8; 32],
        effects: &mut Vec<Effect>,
    ) {
        self.run_command(Commander::Administrator(request), command, entropy, effects);
    }

    fn run_command(&mut self, commander: Commander, command: Command, entropy: &[u8; 32], effects: &mut Vec<Effect>) {
        let conversation = match &command {
            Command::ConversationOpen(conversation) => Some(conversation.id),
            Command::Assign { conversation, .. }
            | Command::Unassign { conversation, .. }
            | Command::ConversationKeep { conversation, .. }
            | Command::Deliver { conversation, .. } => Some(*conversation),
            _ => None,
        };
        if let Some(conversation) = conversation {
            let work = Work::Command(commander, command);
            return match commander {
                Commander::Session(..) => self.park(conversation, work, effects),
                Commander::Administrator(_) => self.enqueue(conversation, work, effects),
            };
        }
        let mut draft = Draft::by(self.actor(commander));
        let outcome = self
            .team_command(&mut draft, commander, command, entropy, effects)
            .unwrap_or_else(|code| self.refused_command(&mut draft, commander, None, code));
        let ticket = self.log.commit(draft, effects);
        self.answer_after(ticket, commander, outcome, effects);
    }

    pub(crate) fn answer_after(
        &mut self,
        ticket: Ticket,
        commander: Commander,
        outcome: Outcome,
        effects: &mut Vec<Effect>,
    ) {
        match commander {
            Commander::Session(id, tag, _) if self.planted.is(HubBug::RevocationNotDurable) => {
                self.ack_now(id, tag, vec![outcome], effects);
            }
            Commander::Session(id, tag, _) => self.ack_after(ticket, id, tag, vec![outcome], effects),
            Commander::Administrator(request) if self.log.is_durable(ticket) => {
                effects.push(Effect::Answer { request, outcome });
            }
            Commander::Administrator(request) => self.waiters.push((ticket, Waiter::Answer(request, outcome))),
        }
    }

    /// Who is behind a command, for the audit log.
    fn actor(&self, commander: Commander) -> Actor {
        match commander {
            Commander::Administrator(_) => Actor::Machine,
            Commander::Session(session, ..) => self.actor_of(session).unwrap_or(Actor::Hub),
        }
    }

    fn refused_command(
        &mut self,
        draft: &mut Draft,
        commander: Commander,
        conversation: Option<ConversationId>,
        code: RefusalCode,
    ) -> Outcome {
        // The hub's own machine may do everything: what it is refused cannot be done.
        if let Commander::Session(session, ..) = commander {
            self.audit_access(draft, session, Asked::Command, conversation, Some(code));
        }
        Outcome::Refused(Refusal::from(code))
    }

    fn role_of(&self, commander: Commander) -> Option<Role> {
        match commander {
            Commander::Administrator(_) => Some(Role::Owner),
            Commander::Session(_, _, member) => self.access.commands_as(member),
        }
    }

    const fn author_of(commander: Commander) -> MemberId {
        match commander {
            Commander::Administrator(_) => MemberId::HUB,
            Commander::Session(_, _, member) => member,
        }
    }

    /// Commands about members, devices and policy.
    fn team_command(
        &mut self,
        draft: &mut Draft,
        commander: Commander,
        command: Command,
        entropy: &[u8; 32],
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, RefusalCode> {
        let by = self.role_of(commander).ok_or(RefusalCode::NotPermitted)?;
        let author = Self::author_of(commander);
        let permitted = |yes: bool| if yes { Ok(()) } else { Err(RefusalCode::NotPermitted) };
        let directory = &self.access.sequenced;
        let event = match command {
            Command::MemberAdd(member) => {
                permitted(manages(by, member.role))?;
                check_name(&member.name)?;
                if member.id == MemberId::HUB || member.role == Role::Former {
                    return Err(RefusalCode::FieldInvalid);
                }
                // A former member's number too: history names them by it.
                if directory.members.contains_key(&member.id) {
                    return Err(RefusalCode::AlreadyExists);
                }
                if directory.members.len() >= limits::MEMBERS_MAX {
                    return Err(RefusalCode::ListFull);
                }
                DirectoryEvent::MemberAdded(member)
            }
            Command::MemberRole { member, role } => {
                let now = directory.role(member).ok_or(RefusalCode::MemberUnknown)?;
                permitted(manages(by, now) && manages(by, role))?;
                if role == Role::Former {
                    // Whoever is to leave is removed, with all their devices.
                    return Err(RefusalCode::FieldInvalid);
                }
                self.keeps_an_owner(now, role)?;
                if now == role {
                    return Ok(Outcome::Done(self.log.head));
                }
                DirectoryEvent::RoleChanged { member, role }
            }
            Command::MemberRemove { member } => {
                let now = directory.role(member).ok_or(RefusalCode::MemberUnknown)?;
                permitted(manages(by, now))?;
                self.keeps_an_owner(now, Role::Agent)?;
                DirectoryEvent::MemberRemoved { member }
            }
            Command::Invite { member } => {
                let role = directory.role(member).ok_or(RefusalCode::MemberUnknown)?;
                permitted(manages(by, role) || author == member)?;
                let theirs = self.invites.values().filter(|invite| invite.member == member).count();
                if self.invites.len() >= limits::INVITES_MAX || theirs >= limits::INVITES_PER_MEMBER_MAX {
                    return Err(RefusalCode::ListFull);
                }
                let mut code = InviteCode::default();
                code.0.copy_from_slice(&blake3::derive_key("lockstep invite 1", entropy)[..16]);
                let until_ms = self.now.mono_ms + limits::INVITE_MS_MAX;
                self.invites.insert(self.log.key.code_hash(&code), Invite { member, until_ms });
                self.audit(draft, Act::Invited { member });
                let for_ms = u32::try_from(limits::INVITE_MS_MAX).unwrap_or(u32::MAX);
                return Ok(Outcome::Invited { code, for_ms });
            }
            Command::DeviceRevoke { device } => {
                let owner = directory.devices.get(&device).ok_or(RefusalCode::DeviceUnknown)?.member;
                let role = directory.role(owner).ok_or(RefusalCode::MemberUnknown)?;
                permitted(manages(by, role) || author == owner)?;
                DirectoryEvent::DeviceRevoked { device }
            }
            Command::PolicySet(policy) => {
                permitted(by == Role::Owner)?;
                if directory.policy == policy {
                    return Ok(Outcome::Done(self.log.head));
                }
                DirectoryEvent::PolicyChanged(policy)
            }
            Command::DeviceList { after } => return Ok(Outcome::Devices(self.list_devices(by, author, after))),
            Command::ConversationOpen(_)
            | Command::Assign { .. }
            | Command::Unassign { .. }
            | Command::ConversationKeep { .. }
            | Command::Deliver { .. } => return Err(RefusalCode::FrameUnexpected),
        };
        let gone = self.devices_lost(&event);
        self.drop_invites(&event);
        self.sequence_event(draft, author, event);
        self.drop_sessions(&gone, effects);
        self.drop_lost_leases(effects);
        Ok(Outcome::Done(self.log.head))
    }

    fn keeps_an_owner(&self, now: Role, then: Role) -> Result<(), RefusalCode> {
        let leaves = now == Role::Owner && then != Role::Owner && self.access.sequenced.owners() == 1;
        if leaves { Err(RefusalCode::LastOwner) } else { Ok(()) }
    }

    /// Puts a directory event into the log; losses act from here, gains when it is durable.
    pub(crate) fn sequence_event(&mut self, draft: &mut Draft, by: MemberId, event: DirectoryEvent) {
        let body = EntryBody::Directory(event.clone());
        self.log.append(draft, self.now.wall_ms, Author::new(by), body);
        self.note_event(draft, event);
    }

    pub(crate) fn note_event(&mut self, draft: &mut Draft, event: DirectoryEvent) {
        match &event {
            DirectoryEvent::MemberAdded(member) => draft.write(Write::Member(member.id, Some(member.clone()))),
            DirectoryEvent::RoleChanged { member, role } => {
                let row = self.access.sequenced.members.get(member);
                draft.write(Write::Member(*member, row.map(|row| Member { role: *role, ..row.clone() })));
            }
            DirectoryEvent::MemberRemoved { member } => {
                let row = self.access.sequenced.members.get(member);
                draft.write(Write::Member(*member, row.map(|row| Member { role: Role::Former, ..row.clone() })));
            }
            DirectoryEvent::DeviceAdded(device) => {
                draft.write(Write::Device(device.id(), Some(device.clone())));
                draft.write(Write::Revoked(device.id(), false));
            }
            DirectoryEvent::DeviceRevoked { .. } => {}
            DirectoryEvent::PolicyChanged(policy) => draft.write(Write::Policy(*policy)),
            DirectoryEvent::ConversationOpened(_)
            | DirectoryEvent::Assigned { .. }
            | DirectoryEvent::Unassigned { .. }
            | DirectoryEvent::ImportUndone { .. }
            | DirectoryEvent::KeepChanged { .. }
            | DirectoryEvent::Expired { .. }
            | DirectoryEvent::ConversationShredded { .. } => {}
        }
        for device in self.devices_lost(&event) {
            draft.write(Write::Device(device, None));
            draft.write(Write::Revoked(device, true));
            draft.write(Write::Seen(device, None));
            self.seen.forget(&device);
        }
        self.audit(draft, Act::of(&event));
        self.access.sequenced.apply(&event);
        self.access_version += u64::from(changes_sight(&event));
        if matches!(event, DirectoryEvent::PolicyChanged(_) | DirectoryEvent::KeepChanged { .. }) {
            self.keep_changed();
        }
        if !matches!(event, DirectoryEvent::ConversationOpened(_)) {
            draft.outside(&self.log, event);
        }
    }

    /// A code made before a right was taken or changed must not outlive it.
    fn drop_invites(&mut self, event: &DirectoryEvent) {
        let whom = match event {
            DirectoryEvent::RoleChanged { member, .. } | DirectoryEvent::MemberRemoved { member } => Some(*member),
            DirectoryEvent::DeviceRevoked { device } => {
                self.access.sequenced.devices.get(device).map(|device| device.member)
            }
            _ => None,
        };
        self.invites.retain(|_, invite| Some(invite.member) != whom);
    }

    /// The devices that an event takes away.
    fn devices_lost(&self, event: &DirectoryEvent) -> Vec<DeviceId> {
        let devices = &self.access.sequenced.devices;
        match event {
            DirectoryEvent::DeviceRevoked { device } => vec![*device],
            DirectoryEvent::MemberRemoved { member } => {
                devices.iter().filter(|(_, row)| row.member == *member).map(|(id, _)| *id).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A revoked device's connections close at once.
    fn drop_sessions(&mut self, devices: &[DeviceId], effects: &mut Vec<Effect>) {
        if self.planted.is(HubBug::RevokedSessionKept) {
            return;
        }
        for id in self.open_sessions() {
            if self.open(id).is_some_and(|open| devices.contains(&open.device)) {
                self.send(id, &crate::hub::refused(None, RefusalCode::DeviceRevoked.into()), effects);
                self.close(id, CloseReason::Refused(RefusalCode::DeviceRevoked), effects);
            }
        }
    }

    /// Leases end with the right to them.
    fn drop_lost_leases(&mut self, effects: &mut Vec<Effect>) {
        let held: Vec<(MemberId, ConversationId)> =
            self.leases.iter().flat_map(|(member, held)| held.keys().map(|id| (*member, *id))).collect();
        for (member, id) in held {
            let Some(mut slot) = self.conversations.remove(&id) else { continue };
            if !self.sees(&slot, member) || !self.access.may_write(member) {
                self.drop_lease(id, &mut slot, member, effects);
            }
            self.conversations.insert(id, slot);
        }
    }

    /// Commands about one conversation, which is in memory now.
    pub(crate) fn conversation_command(
        &mut self,
        id: ConversationId,
        slot: &mut Slot,
        commander: Commander,
        command: Command,
        effects: &mut Vec<Effect>,
    ) {
        if let Commander::Session(session, ..) = commander
            && self.open(session).is_none()
        {
            // Its device may have been revoked while this waited; a lost connection's command is asked again.
            return;
        }
        let mut draft = Draft::by(self.actor(commander));
        let outcome = match self.try_conversation_command(id, slot, &mut draft, commander, command, effects) {
            Ok(outcome) => outcome,
            Err(code) => self.refused_command(&mut draft, commander, Some(id), code),
        };
        let ticket = self.log.commit(draft, effects);
        self.answer_after(ticket, commander, outcome, effects);
    }

    fn try_conversation_command(
        &mut self,
        id: ConversationId,
        slot: &mut Slot,
        draft: &mut Draft,
        commander: Commander,
        command: Command,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, RefusalCode> {
        let by = self.role_of(commander).ok_or(RefusalCode::NotPermitted)?;
        let author = Self::author_of(commander);
        if let Command::ConversationOpen(conversation) = command {
            let own_channel = by == Role::Service && conversation.service == Some(author);
            if !matches!(by, Role::Owner | Role::Manager) && !own_channel {
                return Err(RefusalCode::NotPermitted);
            }
            return self.open_conversation(slot, draft, author, conversation).map(|()| Outcome::Done(self.log.head));
        }
        let sees = match commander {
            Commander::Administrator(_) => slot.row().is_some(),
            Commander::Session(_, _, member) => self.sees(slot, member),
        };
        if !sees {
            return Err(RefusalCode::ConversationUnknown);
        }
        match command {
            Command::Deliver { message, delivery, .. } => {
                self.deliver(slot, draft, author, message, delivery).map(Outcome::Done)
            }
            Command::Assign { member, .. } | Command::Unassign { member, .. } => {
                if !matches!(by, Role::Owner | Role::Manager) {
                    return Err(RefusalCode::NotPermitted);
                }
                let assign = matches!(command, Command::Assign { .. });
                if assign && self.access.sequenced.role(member).is_none() {
                    return Err(RefusalCode::MemberUnknown);
                }
                self.assign(id, slot, draft, author, member, assign, effects)?;
                Ok(Outcome::Done(self.log.head))
            }
            Command::ConversationKeep { keep, .. } => {
                if !matches!(by, Role::Owner | Role::Manager) {
                    return Err(RefusalCode::NotPermitted);
                }
                self.set_keep(id, slot, draft, author, keep);
                Ok(Outcome::Done(self.log.head))
            }
            _ => Err(RefusalCode::FrameUnexpected),
        }
    }

    fn open_conversation(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        by: MemberId,
        mut conversation: Conversation,
    ) -> Result<(), RefusalCode> {
        if matches!(slot.presence, Presence::Present(_)) || self.shreds.holds(conversation.id) {
            return Err(RefusalCode::AlreadyExists);
        }
        check_name(&conversation.customer)?;
        conversation.assigned.sort_unstable();
        conversation.assigned.dedup();
        if conversation.assigned.len() > limits::ASSIGNED_MAX {
            return Err(RefusalCode::ListFull);
        }
        let directory = &self.access.sequenced;
        let is_service = |id: &MemberId| directory.role(*id) == Some(Role::Service);
        if !conversation.assigned.iter().all(|id| directory.role(*id).is_some())
            || !conversation.service.as_ref().is_none_or(is_service)
        {
            return Err(RefusalCode::MemberUnknown);
        }
        let id = conversation.id;
        slot.presence = Presence::Present(Box::new(ConversationRow {
            conversation: conversation.clone(),
            open_segment: 0,
            open_card: 0,
            newest: self.log.head,
            newest_message: lockstep_protocol::id::MessageId::default(),
            newest_key: [0; 16],
            last_reply: None,
            last_other_reply: None,
            markers: Vec::new(),
            imported: 0,
        }));
        slot.committed = Committed::Absent;
        for document in [DocumentId::segment(id, 0), DocumentId::card(id, 0)] {
            slot.documents.insert((document.kind, 0), DocumentState::default());
            draft.write(Write::Document(document, DocumentRow::default()));
        }
        let event = DirectoryEvent::ConversationOpened(conversation);
        self.append_to(slot, draft, Author::new(by), EntryBody::Directory(event.clone()));
        self.note_event(draft, event);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one assignment, spelled out")]
    fn assign(
        &mut self,
        id: ConversationId,
        slot: &mut Slot,
        draft: &mut Draft,
        by: MemberId,
        member: MemberId,
        assign: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), RefusalCode> {
        let Some(row) = slot.row() else { return Err(RefusalCode::ConversationUnknown) };
        let assigned = &row.conversation.assigned;
        let event = match (assigned.contains(&member), assign) {
            (false, true) if assigned.len() >= limits::ASSIGNED_MAX => return Err(RefusalCode::ListFull),
            (false, true) => DirectoryEvent::Assigned { conversation: id, member },
            (true, false) => DirectoryEvent::Unassigned { conversation: id, member },
            // It is so already.
            _ => return Ok(()),
        };
        slot.keep_committed();
        if let Some(row) = slot.row_mut() {
            apply_to(&mut row.conversation, &event);
        }
        self.append_to(slot, draft, Author::new(by), EntryBody::Directory(event.clone()));
        self.note_event(draft, event);
        let holder = slot.lock.lease(self.now.mono_ms).map(|lease| lease.holder);
        if let Some(holder) = holder.filter(|holder| !self.sees(slot, *holder)) {
            self.drop_lease(id, slot, holder, effects);
        }
        Ok(())
    }

    /// Sets how long a conversation's messages are kept.
    fn set_keep(&mut self, id: ConversationId, slot: &mut Slot, draft: &mut Draft, by: MemberId, keep: Option<Keep>) {
        if slot.row().is_none_or(|row| row.conversation.keep == keep) {
            return;
        }
        let event = DirectoryEvent::KeepChanged { conversation: id, keep };
        slot.keep_committed();
        if let Some(row) = slot.row_mut() {
            apply_to(&mut row.conversation, &event);
        }
        self.append_to(slot, draft, Author::new(by), EntryBody::Directory(event.clone()));
        self.note_event(draft, event);
    }

    /// Replays what was taken away after the restore point, before anyone is let in. DESIGN section 7.
    pub(crate) fn replay_losses(&mut self, outside: &[OutsideEvent], effects: &mut Vec<Effect>) {
        let replay_gains = self.planted.is(HubBug::PromotionReplayed);
        let lost: Vec<&DirectoryEvent> = outside
            .iter()
            .filter(|outside| !self.log.holds(&outside.epoch, outside.lsn))
            .map(|outside| &outside.event)
            .collect();
        // Also of devices that the restored state does not know: they come back, and must delete their copies.
        let unknown = lost.iter().filter_map(|event| match event {
            DirectoryEvent::DeviceRevoked { device } if !self.access.sequenced.devices.contains_key(device) => {
                Some(*device)
            }
            _ => None,
        });
        let unknown: Vec<DeviceId> = unknown.collect();
        if !unknown.is_empty() {
            let mut draft = Draft::default();
            for device in unknown {
                draft.write(Write::Revoked(device, true));
                self.access.sequenced.revoked.insert(device);
            }
            self.gate = self.log.commit(draft, effects);
        }
        for event in losses(lost, &self.access.sequenced, replay_gains) {
            match event.conversation() {
                Some(conversation) => {
                    self.replays += 1;
                    self.enqueue(conversation, Work::Replay(event), effects);
                }
                None => {
                    let mut draft = Draft::default();
                    self.sequence_event(&mut draft, MemberId::HUB, event);
                    self.gate = self.log.commit(draft, effects);
                }
            }
        }
    }

    pub(crate) fn replay(
        &mut self,
        id: ConversationId,
        slot: &mut Slot,
        event: DirectoryEvent,
        effects: &mut Vec<Effect>,
    ) {
        self.replays = self.replays.saturating_sub(1);
        let mut draft = Draft::default();
        match event {
            DirectoryEvent::Unassigned { conversation, member } => {
                // A conversation that the restored state does not know has nobody to lose.
                let _unknown_is_fine =
                    self.assign(conversation, slot, &mut draft, MemberId::HUB, member, false, effects).is_err();
            }
            DirectoryEvent::ImportUndone { document, import } => {
                self.undo_segment(slot, &mut draft, document, import);
            }
            DirectoryEvent::Expired { document, newest_ms } => {
                self.expire_again(slot, &mut draft, document, newest_ms);
            }
            DirectoryEvent::ConversationShredded { .. } => self.shred_conversation(id, slot, &mut draft),
            DirectoryEvent::KeepChanged { keep, .. } => {
                let now = self.keep_of(slot);
                let then = keep.or(self.access.sequenced.policy.keep).unwrap_or_default();
                if now != then && now.shorter(then) == then {
                    self.set_keep(id, slot, &mut draft, MemberId::HUB, Some(then));
                }
            }
            _ => {}
        }
        self.gate = self.log.commit(draft, effects);
    }

    /// A loss could not be replayed: the hub stays closed and reads the conversation again.
    pub(crate) fn replay_later(&mut self, event: DirectoryEvent, effects: &mut Vec<Effect>) {
        if let Some(conversation) = event.conversation() {
            self.enqueue(conversation, Work::Replay(event), effects);
        }
    }
}

/// Whether an event may change what someone sees of conversations that exist.
pub(crate) const fn changes_sight(event: &DirectoryEvent) -> bool {
    matches!(
        event,
        DirectoryEvent::RoleChanged { .. }
            | DirectoryEvent::MemberRemoved { .. }
            | DirectoryEvent::PolicyChanged(_)
            | DirectoryEvent::Assigned { .. }
            | DirectoryEvent::Unassigned { .. }
            | DirectoryEvent::ConversationShredded { .. }
    )
}

/// An event's effect on its conversation.
pub(crate) fn apply_to(conversation: &mut Conversation, event: &DirectoryEvent) {
    match event {
        DirectoryEvent::Assigned { member, .. } => {
            if let Err(at) = conversation.assigned.binary_search(member) {
                conversation.assigned.insert(at, *member);
            }
        }
        DirectoryEvent::Unassigned { member, .. } => conversation.assigned.retain(|assigned| assigned != member),
        DirectoryEvent::KeepChanged { keep, .. } => conversation.keep = *keep,
        _ => {}
    }
}

fn check_name(name: &str) -> Result<(), RefusalCode> {
    if name.len() > limits::NAME_BYTES_MAX {
        return Err(RefusalCode::TooLarge);
    }
    if name.is_empty() || name.chars().any(char::is_control) { Err(RefusalCode::FieldInvalid) } else { Ok(()) }
}
