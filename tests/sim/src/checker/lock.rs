//! The first-writer lock, judged again: plainly, from the log and true time (DESIGN section 5).

use std::collections::BTreeMap;

use lockstep_protocol::entry::{CollisionCause, Entry, EntryBody, PlacedFact, Resolution, Stamp, Verdict};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::id::{ConversationId, Lsn, MemberId, MessageId};
use lockstep_protocol::limits::REPLY_WINDOW_MS;

use super::{Checker, Violation};
use crate::model::LogModel;

/// Leases as the hub told them.
#[derive(Debug, Default)]
pub(super) struct Leases {
    live: BTreeMap<ConversationId, (MemberId, u64)>,
}

impl Leases {
    pub(super) fn told(&mut self, conversation: ConversationId, holder: Option<MemberId>, until_ms: u64) {
        match holder {
            Some(holder) => self.live.insert(conversation, (holder, until_ms)),
            None => self.live.remove(&conversation),
        };
    }

    /// Whether an entry is a reply accepted while another member was told to hold a lease that still lives.
    pub(super) fn against(&self, true_ms: u64, entry: &Entry) -> Option<AgainstLease> {
        let EntryBody::Fact(PlacedFact { document, fact: Fact::Message(message), origin: None, .. }) = &entry.body
        else {
            return None;
        };
        let (holder, until_ms) = *self.live.get(&document.conversation)?;
        let Stamp { lsn, member, verdict, .. } = entry.stamp;
        let goes = message.dir == Direction::Out && verdict == Verdict::Accepted;
        // The last millisecond may have passed on its way.
        (goes && holder != member && true_ms + 1 < until_ms).then_some(AgainstLease {
            lsn,
            message: message.id,
            member,
            conversation: document.conversation,
            holder,
            true_ms,
            until_ms,
        })
    }
}

/// A reply accepted while another member held the lease, as far as leases alone tell.
#[derive(Debug)]
pub(super) struct AgainstLease {
    pub(super) lsn: Lsn,
    message: MessageId,
    member: MemberId,
    conversation: ConversationId,
    holder: MemberId,
    true_ms: u64,
    until_ms: u64,
}

impl AgainstLease {
    /// No reply is accepted against a live lease, by the rights and the policy of the log right before it: what stands
    /// there counts for the hub from when it is sequenced.
    pub(super) fn check(&self, model: &LogModel) -> Result<(), Violation> {
        let Self { message, holder, true_ms, until_ms, conversation, .. } = *self;
        let directory = model.directory();
        let counts = directory.locks(self.member) && directory.writes(holder, conversation);
        if !counts || self.may_have_ended(model) {
            return Ok(());
        }
        Violation::fail(
            "lock-lease",
            format!("reply {message} accepted at {true_ms} against {holder:?}'s lease until {until_ms}"),
        )
    }

    fn may_have_ended(&self, model: &LogModel) -> bool {
        // A right taken away and given back while the lease ran ends it: whoever changed since is left out.
        let mut recent = model.directories.iter().rev().take(4);
        recent.any(|(_, directory)| !directory.writes(self.holder, self.conversation))
    }
}

impl Checker {
    /// Rules 3 and 4 on a new reply: `before` it stands the whole log.
    pub(super) fn check_reply(
        &self,
        conversation: ConversationId,
        message: &Message,
        stamp: &Stamp,
        true_ms: u64,
    ) -> Result<(), Violation> {
        if !self.model.directory().locks(stamp.member) {
            return Ok(());
        }
        let cause = match stamp.verdict {
            Verdict::Accepted => None,
            Verdict::Held(collision) | Verdict::Flagged(collision) => Some(collision.cause),
        };
        if self.allows(cause, conversation, message.seen, stamp, true_ms) {
            return Ok(());
        }
        let rival = self.model.rival(conversation, stamp.member, self.model.head().next());
        Violation::fail(
            "lock",
            format!(
                "reply {} of {:?} at {:?} seen {:?}, true time {true_ms}: the hub says {:?}, its rival is {rival:?}",
                message.id, stamp.member, stamp.lsn, message.seen, stamp.verdict
            ),
        )
    }

    /// Whether the rules allow this verdict on a reply that comes now.
    fn allows(
        &self,
        cause: Option<CollisionCause>,
        conversation: ConversationId,
        seen: Option<MessageId>,
        stamp: &Stamp,
        true_ms: u64,
    ) -> bool {
        if cause == Some(CollisionCause::Lease) {
            return true;
        }
        let Some(rival) = self.model.rival(conversation, stamp.member, self.model.head().next()) else {
            return cause.is_none();
        };
        let seen = seen.and_then(|seen| self.model.messages.get(&(conversation, seen)));
        let unseen = seen.and_then(|message| message.accepted).is_none_or(|seen| seen < rival.lsn);
        // Over a restart, and for what was re-admitted, the hub has only wall time to go by.
        let by_truth = true_ms < rival.true_ms + REPLY_WINDOW_MS;
        let by_wall = stamp.at_ms < rival.at_ms + REPLY_WINDOW_MS;
        let by_start = true_ms < self.started_ms + REPLY_WINDOW_MS;
        // A rival of before the start: its window ends by the wall as it was then, and that may have been wrong.
        let left_ms = (rival.at_ms + REPLY_WINDOW_MS).saturating_sub(self.started_wall_ms).min(REPLY_WINDOW_MS);
        let by_start_wall = rival.run == self.run || true_ms < self.started_ms + left_ms;
        let certain = rival.judged && rival.run == self.run;
        let (may_be_within, may_be_over) = if certain {
            (by_truth, !by_truth)
        } else {
            (by_truth || by_wall || by_start, !rival.judged || !by_truth || !by_wall || !by_start_wall)
        };
        match cause {
            Some(CollisionCause::Window) => may_be_within,
            Some(_) => may_be_over && unseen,
            None => may_be_over && !unseen,
        }
    }

    /// Whether the same member resolved the message at the same time once before: it was re-admitted.
    pub(super) fn was_resolved(&self, message: MessageId, stamp: &Stamp) -> bool {
        self.archive.values().flatten().any(|entry| {
            matches!(&entry.body, EntryBody::Resolved { message: of, .. } if *of == message)
                && (entry.stamp.member, entry.stamp.at_ms) == (stamp.member, stamp.at_ms)
        })
    }

    /// A held reply sent anyway: rules 3 and 4 once more, with one of the `seen` that its author gave.
    pub(super) fn check_resolution(
        &self,
        conversation: ConversationId,
        message: MessageId,
        resolution: Resolution,
        stamp: &Stamp,
        true_ms: u64,
    ) -> Result<(), Violation> {
        let Some(known) = self.model.messages.get(&(conversation, message)) else {
            return Violation::fail("resolution", format!("{message} is not known"));
        };
        if let Some((first, _)) = known.resolution {
            return Violation::fail("resolution", format!("{message} was resolved at {first:?} and again"));
        }
        if resolution == Resolution::Discard || !self.model.directory().locks(stamp.member) {
            return Ok(());
        }
        let shown = self.resolves.get(&message).map_or(&[][..], Vec::as_slice);
        let passes = |seen: &Option<MessageId>| self.allows(None, conversation, *seen, stamp, true_ms);
        // A resolution that was re-admitted keeps its author and time, and is not judged again.
        if self.was_resolved(message, stamp) || shown.iter().any(passes) {
            return Ok(());
        }
        Violation::fail("lock", format!("{message} was sent anyway against the rules at {:?}", stamp.lsn))
    }
}

#[cfg(test)]
mod tests {
    use lockstep_protocol::directory::{DirectoryEvent, Role};

    use super::*;
    use crate::model::directory::{ConversationModel, Directory};

    #[test]
    fn a_lease_counts_by_the_roles_and_the_policy_right_before_the_reply() {
        let (holder, author, conversation) = (MemberId(1), MemberId(2), ConversationId::default());
        let writing = AgainstLease {
            lsn: Lsn(3),
            message: MessageId::default(),
            member: author,
            conversation,
            holder,
            true_ms: 1_000,
            until_ms: 5_000,
        };
        for (holds, writes, services_lock, breaks) in [
            (Role::Owner, Role::Agent, false, true),
            (Role::Owner, Role::Service, true, true),
            // As when the policy was changed in the entry just before.
            (Role::Owner, Role::Service, false, false),
            (Role::Auditor, Role::Agent, false, false),
        ] {
            let mut directory = Directory::new();
            directory.policy.services_lock = services_lock;
            directory.members.extend([(holder, holds), (author, writes)]);
            directory.conversations.insert(conversation, ConversationModel::default());
            let mut model = LogModel::default();
            model.directories.push((Lsn(0), directory.clone()));
            assert_eq!(writing.check(&model).is_err(), breaks, "{holds:?} {writes:?} {services_lock}");
            // Whoever lost the right for a moment lost the lease.
            let mut without = directory.clone();
            without.apply(&DirectoryEvent::RoleChanged { member: holder, role: Role::Auditor });
            model.directories = vec![(Lsn(0), without), (Lsn(0), directory)];
            assert_eq!(writing.check(&model), Ok(()));
        }
    }
}
