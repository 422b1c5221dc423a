//! The log itself: order, chain, stamps, and every rule of DESIGN section 4 on every fact in it.

use lockstep_core::effect::LogEntry;
use lockstep_protocol::change::{ChainHead, derive};
use lockstep_protocol::directory::{DirectoryEvent, Role};
use lockstep_protocol::entry::{Entry, EntryBody, LogChain, PlacedFact, Stamp, Verdict};
use lockstep_protocol::fact::{Direction, Fact};
use lockstep_protocol::id::{ActorId, DocumentKind, Lsn, MemberId, MessageId};
use lockstep_protocol::limits;

use super::{Checker, Violation};
use crate::model::{MessageModel, Recorded};

impl Checker {
    /// An entry became durable.
    pub(super) fn entry(&mut self, logged: &LogEntry, true_ms: u64, wall_ms: u64) -> Result<(), Violation> {
        let Some(entry) = Entry::from_bytes(&logged.bytes) else {
            return Violation::fail("log", format!("{:?} does not decode", logged.lsn));
        };
        let (lsn, expected) = (entry.stamp.lsn, self.model.head().next());
        if lsn != logged.lsn || lsn != expected {
            return Violation::fail("log-order", format!("{lsn:?} (row {:?}) follows, not {expected:?}", logged.lsn));
        }
        let before: LogChain = self.model.chain(self.model.head());
        if before.after(&self.key, &logged.bytes) != logged.chain {
            return Violation::fail("log-chain", format!("the chain breaks at {lsn:?}"));
        }
        let epoch = self.model.epoch();
        if !entry.stamp.verify(&self.key, &epoch, &entry.body.mac_bytes()) {
            return Violation::fail("stamp", format!("the stamp of {lsn:?} does not verify in {epoch:?}"));
        }
        if (logged.conversation, logged.document) != (entry.body.conversation(), entry.body.document()) {
            return Violation::fail("log", format!("{lsn:?} is filed under another document"));
        }
        match &entry.body {
            EntryBody::Fact(placed) => self.check_fact(placed, &entry.stamp, true_ms, wall_ms)?,
            EntryBody::Resolved { document, message, resolution } => {
                self.check_resolution(document.conversation, *message, *resolution, &entry.stamp, true_ms)?;
            }
            EntryBody::Directory(event) if self.replaying => self.check_replayed(event, lsn)?,
            EntryBody::Directory(DirectoryEvent::Expired { document, .. }) => {
                self.check_expiry(*document, lsn, wall_ms)?;
            }
            _ => {}
        }
        let readmitted = match &entry.body {
            EntryBody::Fact(placed) => placed.origin.is_some(),
            EntryBody::Resolved { message, .. } => self.was_resolved(*message, &entry.stamp),
            _ => false,
        };
        self.archive.entry((epoch, lsn)).or_default().push(entry.clone());
        let (bytes, chain, run) = (logged.bytes.clone(), logged.chain, self.run);
        let went = matches!(
            &entry.body,
            EntryBody::Directory(DirectoryEvent::Expired { .. } | DirectoryEvent::ConversationShredded { .. })
        );
        let before = went.then(|| self.model.keys.clone());
        self.model.push(Recorded { epoch, entry, bytes, chain, true_ms, run, readmitted });
        if let Some(before) = before {
            let gone = before.into_keys().filter(|key| !self.model.keys.contains_key(key));
            self.acknowledged.forget(gone);
        }
        Ok(())
    }

    fn check_fact(&self, placed: &PlacedFact, stamp: &Stamp, true_ms: u64, wall_ms: u64) -> Result<(), Violation> {
        let lsn = stamp.lsn;
        let breaks = |rule: &str| Violation::fail("fact-rule", format!("{lsn:?} breaks {rule}: {placed:?}"));
        let conversation = placed.document.conversation;
        if let Err(code) = placed.fact.check(placed.document.kind) {
            return breaks(&format!("{code:?}"));
        }
        if let Some(first) = self.model.keys.get(&(conversation, placed.fact.key_id())) {
            return Violation::fail("doubled", format!("the key of {lsn:?} stands at {first:?} already: {placed:?}"));
        }
        if self.model.gone.contains_key(&placed.document) {
            return breaks("a document that is not gone");
        }
        let empty = ChainHead::empty(placed.document.kind);
        let document = self.model.documents.get(&placed.document);
        let head = document.and_then(|document| document.chains.get(&placed.actor)).unwrap_or(&empty);
        if placed.seq != head.seq + 1 {
            return breaks("the order of its chain");
        }
        if derive(&placed.actor, head, &placed.fact).hash.prefix() != placed.hash {
            return breaks("the derivation");
        }
        if placed.origin.is_some() {
            self.check_young(placed, stamp, wall_ms)?;
            return self.check_readmitted(placed, stamp);
        }
        self.check_author(placed, stamp, document.and_then(|known| known.devices.get(&placed.actor)).copied())?;
        let open = self.model.open.get(&conversation).copied().unwrap_or_default();
        let newest = if placed.document.kind == DocumentKind::Segment { open.0 } else { open.1 };
        if placed.document.number > newest {
            return breaks("the order of documents");
        }
        let retraction = matches!(placed.fact, Fact::Retraction { .. });
        if document.map_or(0, |known| known.ops) > self.late_ops_max && !retraction {
            return breaks("the hard cap of its document");
        }
        if placed.fact.time_ms() > wall_ms.max(stamp.at_ms) + limits::CLOCK_AHEAD_MS_MAX
            || placed.fact.time_ms() < limits::ULID_TIME_MS_MIN
        {
            return breaks("the bounds of time");
        }
        if let Some(target) = placed.fact.target() {
            match self.model.messages.get(&(conversation, target)) {
                Some(target) => self.check_target(placed, stamp, target)?,
                None => return breaks("a known target"),
            }
        }
        if let Fact::Message(message) = &placed.fact {
            if message.dir == Direction::Out {
                return self.check_reply(conversation, message, stamp, true_ms);
            }
            let service = self.model.directory().conversations.get(&conversation).and_then(|known| known.service);
            if message.dir == Direction::In && service != Some(stamp.member) {
                return breaks("who writes incoming messages");
            }
            if message.src.is_some() || message.media.is_some() {
                return breaks("sources and media");
            }
        }
        if stamp.verdict != Verdict::Accepted && !matches!(&placed.fact, Fact::Message(_)) {
            return breaks("only replies lose");
        }
        Ok(())
    }

    fn check_author(
        &self,
        placed: &PlacedFact,
        stamp: &Stamp,
        opener: Option<lockstep_protocol::id::DeviceId>,
    ) -> Result<(), Violation> {
        let lsn = stamp.lsn;
        let breaks = |rule: &str| Violation::fail("fact-author", format!("{lsn:?} breaks {rule}: {placed:?}"));
        if stamp.member == MemberId::HUB {
            // Card winners that the hub carries forward.
            return if matches!(placed.fact, Fact::Field { .. } | Fact::Label { .. }) {
                Ok(())
            } else {
                breaks("what the hub writes itself")
            };
        }
        let device = match (placed.seq, placed.opening, opener) {
            (1, Some(opening), _) => {
                let Some(key) = self.keys.get(&opening.device) else { return breaks("a known device") };
                if ActorId::derive(key, &opening.nonce, placed.document) != placed.actor {
                    return breaks("the actor formula");
                }
                opening.device
            }
            (2.., None, Some(opener)) => opener,
            _ => return breaks("the opening of its chain"),
        };
        let directory = self.model.directory();
        if directory.devices.get(&device) != Some(&stamp.member) {
            return breaks("an enrolled device of its member");
        }
        if !directory.writes(stamp.member, placed.document.conversation) {
            return breaks("the right to write");
        }
        match &placed.fact {
            Fact::Message(message) if message.by != stamp.member => breaks("its author"),
            Fact::Reaction { by, .. } if *by != stamp.member => breaks("its author"),
            _ => Ok(()),
        }
    }

    fn check_target(&self, placed: &PlacedFact, stamp: &Stamp, target: &MessageModel) -> Result<(), Violation> {
        let lsn = stamp.lsn;
        let breaks = |rule: &str| Violation::fail("fact-target", format!("{lsn:?} breaks {rule}: {placed:?}"));
        let manages = matches!(self.model.directory().role(stamp.member), Some(Role::Owner | Role::Manager));
        match &placed.fact {
            Fact::Edit { .. } if target.member != stamp.member => breaks("author only"),
            Fact::Edit { .. }
                if target.dir == Direction::Out
                    && matches!(target.verdict, Verdict::Held(_))
                    && target.accepted.is_none() =>
            {
                breaks("no edits of held replies")
            }
            Fact::Retraction { .. } if target.member != stamp.member && !manages => breaks("author or manager"),
            Fact::Retraction { .. } if target.retracted_by.contains(&stamp.member) => breaks("one a member"),
            Fact::Reaction { by, .. } if target.reactions.get(by).is_some_and(|n| *n >= limits::REACTIONS_MAX) => {
                breaks("the bound of reactions")
            }
            _ => Ok(()),
        }
    }

    /// What a restored hub replays from the list outside takes a right away: nothing is only given.
    fn check_replayed(&self, event: &DirectoryEvent, lsn: Lsn) -> Result<(), Violation> {
        // See everything, write, manage, own, write for the customer.
        let rights = |role: Role| match role {
            Role::Owner => 0b1111_u8,
            Role::Manager => 0b0111,
            Role::Agent => 0b0010,
            Role::Auditor => 0b0001,
            Role::Service => 0b1_0010,
            Role::Former => 0,
        };
        let directory = self.model.directory();
        let takes = match event {
            DirectoryEvent::RoleChanged { member, role } => {
                directory.role(*member).is_some_and(|before| rights(before) & !rights(*role) != 0)
            }
            DirectoryEvent::MemberRemoved { .. }
            | DirectoryEvent::DeviceRevoked { .. }
            | DirectoryEvent::Unassigned { .. }
            | DirectoryEvent::ImportUndone { .. }
            | DirectoryEvent::KeepChanged { .. }
            | DirectoryEvent::ConversationShredded { .. } => true,
            // What was written after another restore may have its number.
            DirectoryEvent::Expired { document, newest_ms } => {
                self.newest_ms(*document).is_none_or(|newest| newest <= *newest_ms)
            }
            DirectoryEvent::PolicyChanged(policy) => {
                !policy.agents_see_unassigned || directory.policy.agents_see_unassigned
            }
            DirectoryEvent::MemberAdded(_)
            | DirectoryEvent::DeviceAdded(_)
            | DirectoryEvent::ConversationOpened(_)
            | DirectoryEvent::Assigned { .. } => false,
        };
        if takes { Ok(()) } else { Violation::fail("replay-gains", format!("{lsn:?} gives: {event:?}")) }
    }

    /// A re-admitted fact is one that this hub stamped before, unchanged.
    fn check_readmitted(&self, placed: &PlacedFact, stamp: &Stamp) -> Result<(), Violation> {
        let origin = placed.origin.expect("the caller looked");
        let recovery = ActorId::recovery(&self.hub, &self.model.epoch(), placed.document);
        if placed.actor != recovery {
            return Violation::fail("readmitted", format!("{:?} is not in the recovery chain: {placed:?}", stamp.lsn));
        }
        let once = self.archive.get(&(origin.epoch, origin.lsn)).into_iter().flatten().any(|entry| {
            matches!(&entry.body, EntryBody::Fact(before) if before.fact == placed.fact)
                && (entry.stamp.member, entry.stamp.at_ms) == (stamp.member, stamp.at_ms)
                && entry.stamp.verdict == stamp.verdict
        });
        if once {
            return Ok(());
        }
        Violation::fail("readmitted", format!("{:?} was never so in {origin:?}: {placed:?} {stamp:?}", stamp.lsn))
    }

    /// A message by its id.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&MessageModel> {
        self.model.messages.iter().find(|((_, message), _)| *message == id).map(|(_, model)| model)
    }
}
