//! Pushed facts: judged one by one, placed in order, acknowledged as a prefix. DESIGN section 4.

use lockstep_protocol::change::{self, ChainHead};
use lockstep_protocol::directory::{CollisionPolicy, Role};
use lockstep_protocol::entry::{EntryBody, Opening, Origin, PlacedFact, Stamp, Verdict};
use lockstep_protocol::fact::{Direction, Fact, KeyId, Message};
use lockstep_protocol::frame::{Outcome, Push, PushedFact};
use lockstep_protocol::id::{ActorId, DeviceId, DocumentId, DocumentKind, Lsn, MemberId, MessageId};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::access::rank;
use crate::audit::Asked;
use crate::conversation::Slot;
use crate::effect::Effect;
use crate::hub::Hub;
use crate::input::SessionId;
use crate::lock::{Reply, Seen};
use crate::log::{Author, Draft};
use crate::planted::HubBug;
use crate::row::{
    AcceptedReply, ChainRow, ConversationRow, DocumentRow, DocumentState, IndexRow, KeyRow, MessageRow, Write,
};

/// Who pushes, and from where.
#[derive(Clone, Copy)]
struct Pusher {
    member: MemberId,
    device: DeviceId,
}

/// Where one fact is to go.
pub(crate) struct Place {
    pub(crate) document: DocumentId,
    pub(crate) actor: ActorId,
    pub(crate) seq: u32,
    /// The chain after the fact.
    pub(crate) head: ChainHead,
    /// The device of the chain; all zero for the recovery chain.
    pub(crate) device: DeviceId,
    pub(crate) opening: Option<Opening>,
    pub(crate) origin: Option<Origin>,
}

impl Hub {
    pub(crate) fn push(&mut self, slot: &mut Slot, session: SessionId, push: Push, effects: &mut Vec<Effect>) {
        let Some(open) = self.open(session) else { return };
        let pusher = Pusher { member: open.member, device: open.device };
        let tag = push.tag;
        let mut draft = Draft::default();
        let mut results = Vec::with_capacity(push.facts.len());
        for (offset, pushed) in push.facts.iter().enumerate() {
            let seq = push.seq.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX));
            let outcome = self.judge(slot, pusher, &push, seq, pushed);
            match outcome {
                Ok(Judged::Known(outcome)) => results.push(outcome),
                Ok(Judged::New(place, verdict)) => {
                    let apart = self.planted.is(HubBug::VerdictStoredApart);
                    let logged = if apart { Verdict::Accepted } else { verdict };
                    let author = Author { verdict: logged, origin: Some(session), ..Author::new(pusher.member) };
                    let mut stamp = self.place(slot, &mut draft, author, place, pushed.fact.clone());
                    if apart {
                        stamp.verdict = verdict;
                    }
                    results.push(Outcome::Placed { hash: pushed.hash, stamp });
                }
                Err(refusal) => {
                    let conversation = Some(push.document.conversation);
                    self.audit_access(&mut draft, session, Asked::Push, conversation, refusal.known());
                    results.push(Outcome::Refused(*refusal));
                    break;
                }
            }
        }
        self.log.commit(draft, effects);
        if self.planted.is(HubBug::AckBeforeSync) {
            self.ack_now(session, tag, results, effects);
        } else {
            // A first answer that is repeated may itself still be in flight.
            self.ack_after(self.log.last_ticket(), session, tag, results, effects);
        }
    }

    /// The rules of DESIGN section 4, in the order in which their codes take precedence.
    fn judge(
        &self,
        slot: &Slot,
        pusher: Pusher,
        push: &Push,
        seq: u32,
        pushed: &PushedFact,
    ) -> Result<Judged, Box<Refusal>> {
        let fact = &pushed.fact;
        let document = push.document;
        let no = |code: RefusalCode| Err(Box::new(Refusal::from(code)));
        let known = slot.row().is_some_and(|row| document.number <= open_number(row, document.kind));
        let chain = if known { slot.document(document).and_then(|state| state.chains.get(&push.actor)) } else { None };
        // Another's chain tells nothing: neither its length nor that it is there.
        let is_anothers = chain.is_some_and(|chain| chain.device != pusher.device);
        let chain = chain.filter(|_| !is_anothers);
        let head = chain.map_or_else(|| ChainHead::empty(document.kind), |chain| chain.head);
        let row = slot.fact_row(&fact.key_id());

        // 1. A hash that is known or in flight gets its first answer again, before any other check.
        if seq <= head.seq {
            return match row.filter(|row| row.hash == pushed.hash && row.document == document) {
                Some(row) => Ok(Judged::Known(Outcome::Placed { hash: row.hash, stamp: row.stamp })),
                None => no(RefusalCode::Forked),
            };
        }

        // 2. The member may write here.
        // By the hub's order: a loss that is sequenced before it counts, whether durable yet or not.
        let sees = match self.planted.is(HubBug::PushJudgedByDurable) {
            true => {
                let conversation = slot.committed_conversation();
                conversation.is_some_and(|seen| self.access.committed.may_see(pusher.member, seen))
            }
            false => self.sees(slot, pusher.member),
        };
        if !sees {
            return no(RefusalCode::ConversationUnknown);
        }
        if !self.access.may_write(pusher.member) {
            return no(RefusalCode::WriteForbidden);
        }
        let Some(conversation) = slot.row() else { return no(RefusalCode::ConversationUnknown) };
        if is_anothers {
            return no(RefusalCode::ActorForged);
        }

        // 3. The document, the chain and the place in it.
        if document.kind == DocumentKind::Imported {
            return no(RefusalCode::WrongDocument);
        }
        let open = DocumentId { number: open_number(conversation, document.kind), ..document };
        if !known {
            return Err(Box::new(Refusal { open: Some(open), ..Refusal::from(RefusalCode::DocumentUnknown) }));
        }
        if self.is_gone(slot, document) {
            return Err(Box::new(Refusal { open: Some(open), ..Refusal::from(RefusalCode::SegmentFull) }));
        }
        if seq != head.seq + 1 && !self.planted.is(HubBug::GapIgnored) {
            let refusal = Refusal::from(RefusalCode::Gap);
            return Err(Box::new(Refusal { next: Some(head.seq + 1), hash: Some(head.hash.prefix()), ..refusal }));
        }
        let opening = match (chain, push.nonce) {
            (Some(_), _) => None,
            (None, Some(nonce)) => {
                let key = self.access.device(&pusher.device).map(|device| device.key);
                if key.is_none_or(|key| ActorId::derive(&key, &nonce, document) != push.actor) {
                    return no(RefusalCode::ActorForged);
                }
                Some(Opening { device: pusher.device, nonce })
            }
            (None, None) => return no(RefusalCode::ActorForged),
        };

        // 4. The fact itself, and the change that it means.
        fact.check(document.kind).map_err(|code| Box::new(Refusal::from(code)))?;
        let after = change::derive(&push.actor, &head, fact);
        if after.hash.prefix() != pushed.hash {
            return no(RefusalCode::HashDiffers);
        }
        if fact.time_ms() > self.now.wall_ms.saturating_add(limits::CLOCK_AHEAD_MS_MAX) {
            let now_ms = Some(self.now.wall_ms);
            return Err(Box::new(Refusal { now_ms, ..Refusal::from(RefusalCode::ClockAhead) }));
        }
        if self.is_over(slot, fact) {
            return no(RefusalCode::Expired);
        }

        // 5. Its key, which is written once.
        if matches!(slot.index.get(&fact.key_id()), Some(Some(IndexRow::Media(_)))) {
            return no(RefusalCode::MessageIdTaken);
        }
        if let Some(row) = row
            && !self.planted.is(HubBug::DuplicateWrittenAgain)
        {
            let is_written = row.document.kind != DocumentKind::Imported;
            let same = is_written && row.stamp.member == pusher.member && row.content == fact.content_digest();
            return match (same, fact) {
                (true, _) => {
                    let refusal = Refusal::from(RefusalCode::Duplicate);
                    Err(Box::new(Refusal { document: Some(row.document), stamp: Some(row.stamp), ..refusal }))
                }
                (false, Fact::Message(_)) => no(RefusalCode::MessageIdTaken),
                (false, _) => no(RefusalCode::KeyTaken),
            };
        }

        // 6. What it says, and about whom.
        self.check_claims(slot, pusher, fact).map_err(|code| Box::new(Refusal::from(code)))?;
        let state = slot.document(document).map(|state| state.row).unwrap_or_default();
        let is_home = fact
            .target()
            .and_then(|target| slot.fact_row(&KeyId::from(target)))
            .is_some_and(|target| target.document == document);
        let is_aged = document != open && self.is_aged(slot, &state, fact);
        if (is_aged || !self.fits(&state, document == open, is_home, fact)) && !self.planted.is(HubBug::CapIgnored) {
            return Err(Box::new(Refusal { open: Some(open), ..Refusal::from(RefusalCode::SegmentFull) }));
        }

        // 7. The first-writer lock.
        let verdict = match fact {
            Fact::Message(message) if message.dir == Direction::Out => self.judge_reply(slot, pusher.member, message),
            _ => Verdict::Accepted,
        };
        let place =
            Place { document, actor: push.actor, seq, head: after, device: pusher.device, opening, origin: None };
        Ok(Judged::New(place, verdict))
    }

    /// Authorship, direction, source, attachment and target.
    fn check_claims(&self, slot: &Slot, pusher: Pusher, fact: &Fact) -> Result<(), RefusalCode> {
        let member = pusher.member;
        match fact {
            Fact::Message(message) => {
                if message.by != member && !self.planted.is(HubBug::ByTrusted) {
                    return Err(RefusalCode::AuthorForged);
                }
                let service = slot.row().and_then(|row| row.conversation.service);
                if message.dir == Direction::In && !(service == Some(member) && self.is_service(member)) {
                    return Err(RefusalCode::DirectionForbidden);
                }
                if message.src.is_some() {
                    return Err(RefusalCode::SourceForbidden);
                }
                let Some(media) = &message.media else { return Ok(()) };
                match Self::media_row(slot, &self.log.key.media_key(&media.hash)) {
                    Some(row) if row.shown || row.uploaded_by.binary_search(&member).is_ok() => Ok(()),
                    _ => Err(RefusalCode::MediaUnknown),
                }
            }
            Fact::Edit { message, .. } => {
                let (row, target) = target_of(slot, message)?;
                if row.stamp.member != member {
                    return Err(RefusalCode::TargetForbidden);
                }
                // An imported reply was never accepted here, but nothing holds it back either.
                let is_reply = target.dir == Direction::Out && row.document.kind != DocumentKind::Imported;
                if is_reply && target.accepted.is_none() { Err(RefusalCode::ReplyHeld) } else { Ok(()) }
            }
            Fact::Retraction { message, .. } => {
                let (row, target) = target_of(slot, message)?;
                let manages = self.access.commands_as(member).is_some_and(|role| rank(role) >= rank(Role::Manager));
                if row.stamp.member != member && !manages {
                    return Err(RefusalCode::TargetForbidden);
                }
                if target.retracted_by.binary_search(&member).is_ok() {
                    return Err(RefusalCode::KeyTaken);
                }
                room(target.retracted_by.len())
            }
            Fact::Reaction { message, by, .. } => {
                if *by != member {
                    return Err(RefusalCode::AuthorForged);
                }
                let (_, target) = target_of(slot, message)?;
                match target.reactions.binary_search_by_key(&member, |(by, _)| *by) {
                    Ok(at) if target.reactions[at].1 >= limits::REACTIONS_MAX => Err(RefusalCode::ReactionsFull),
                    Ok(_) => Ok(()),
                    Err(_) => room(target.reactions.len()),
                }
            }
            Fact::Field { .. } | Fact::Label { .. } => Ok(()),
        }
    }

    /// Whether the document takes this fact: the open one always, an older one up to its hard cap. `is_home` says that
    /// the fact's target lies in this document.
    pub(crate) fn fits(&self, row: &DocumentRow, is_open: bool, is_home: bool, fact: &Fact) -> bool {
        let ops = row.ops + fact.ops();
        let text_bytes = row.text_bytes.saturating_add(fact.text_bytes());
        let segment = self.config.segment;
        match fact {
            Fact::Message(_) if is_open => true,
            Fact::Message(_) => {
                ops <= segment.late_message_ops && text_bytes <= limits::SEGMENT_LATE_MESSAGE_TEXT_BYTES_MAX
            }
            // Always, beside its message.
            Fact::Retraction { .. } if is_home => true,
            Fact::Edit { .. } | Fact::Reaction { .. } | Fact::Retraction { .. } => {
                ops <= segment.late_edit_ops && text_bytes <= limits::SEGMENT_LATE_EDIT_TEXT_BYTES_MAX
            }
            Fact::Field { .. } | Fact::Label { .. } if is_open => true,
            Fact::Field { .. } | Fact::Label { .. } => {
                ops <= limits::CARD_LATE_OPS_MAX && text_bytes <= limits::SEGMENT_LATE_MESSAGE_TEXT_BYTES_MAX
            }
        }
    }

    /// Rules 2 to 4 of the lock, for a reply with this `seen`.
    pub(crate) fn lock_verdict(&self, slot: &Slot, member: MemberId, seen: Option<MessageId>) -> Verdict {
        if self.is_service(member) && !self.access.sequenced.policy.services_lock {
            return Verdict::Accepted;
        }
        let seen = seen.and_then(|seen| {
            slot.lock.accepted_lsn(seen).or_else(|| slot.fact_row(&KeyId::from(seen))?.message.as_ref()?.accepted)
        });
        let seen = seen.map_or(Seen::Nothing, Seen::Accepted);
        match slot.lock.judge(member, seen, self.now.mono_ms, self.planted) {
            Ok(()) => Verdict::Accepted,
            Err(collision) => match self.access.sequenced.policy.collision {
                CollisionPolicy::Hold => Verdict::Held(collision),
                CollisionPolicy::Flag => Verdict::Flagged(collision),
            },
        }
    }

    fn judge_reply(&self, slot: &Slot, member: MemberId, message: &Message) -> Verdict {
        self.lock_verdict(slot, member, message.seen)
    }

    pub(crate) fn is_service(&self, member: MemberId) -> bool {
        self.access.sequenced.role(member) == Some(Role::Service)
    }

    /// Writes a judged fact: entry, chain, document, index, lock; and opens the next document if this one is full.
    pub(crate) fn place(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        author: Author,
        place: Place,
        fact: Fact,
    ) -> Stamp {
        let Place { document, actor, seq, head, device, opening, origin } = place;
        let key = fact.key_id();
        let placed = PlacedFact { document, actor, seq, hash: head.hash.prefix(), fact: fact.clone(), opening, origin };
        let found = self.find_words(slot, author.member, &fact);
        let author = Author { class: found.class(), ..author };
        let stamp = self.log.append(draft, self.now.wall_ms, author, EntryBody::Fact(placed));
        slot.newest = stamp.lsn;

        let state = slot.documents.entry((document.kind, document.number)).or_default();
        let chain = ChainRow { head, device };
        state.chains.insert(actor, chain);
        if state.row.ops == 0 {
            state.row.oldest_ms = stamp.at_ms;
        }
        if !matches!(fact, Fact::Retraction { .. }) {
            state.row.newest_ms = state.row.newest_ms.max(stamp.at_ms);
        }
        state.row.messages += u32::from(matches!(fact, Fact::Message(_)));
        state.row.ops += fact.ops();
        state.row.text_bytes = state.row.text_bytes.saturating_add(fact.text_bytes());
        state.row.digest.toggle_fact(&head.hash, &stamp.mac);
        state.row.newest = stamp.lsn;
        state.row.tail += 1;
        let row = state.row;
        if row.tail > self.config.compact_tail {
            self.compaction.due.insert(document);
        }
        draft.write(Write::Chain(document, actor, chain));
        draft.write(Write::Document(document, row));

        let accepted = !matches!(stamp.verdict, Verdict::Held(_));
        let conversation = document.conversation;
        let mut message_row = None;
        match &fact {
            Fact::Message(message) => {
                let is_reply = message.dir == Direction::Out;
                message_row = Some(MessageRow {
                    dir: message.dir,
                    accepted: (is_reply && accepted).then_some(stamp.lsn),
                    resolution: None,
                    delivery: None,
                    readmitted: origin.is_some(),
                    retracted_by: Vec::new(),
                    reactions: Vec::new(),
                    sensitive: Vec::new(),
                });
                if is_reply && accepted {
                    self.reply_accepted(slot, message.id, &stamp, stamp.lsn);
                }
                if let Some(media) = &message.media {
                    let key = self.log.key.media_key(&media.hash);
                    let mut row = Self::media_row(slot, &key).unwrap_or_default();
                    row.shown = true;
                    self.write_index(slot, draft, key, IndexRow::Media(row));
                }
            }
            Fact::Retraction { message, .. } => {
                let by = stamp.member;
                self.update_message(slot, draft, *message, |row| {
                    if let Err(at) = row.retracted_by.binary_search(&by) {
                        row.retracted_by.insert(at, by);
                    }
                });
            }
            Fact::Reaction { message, by, .. } => {
                self.update_message(slot, draft, *message, |row| {
                    match row.reactions.binary_search_by_key(by, |(by, _)| *by) {
                        Ok(at) => row.reactions[at].1 += 1,
                        Err(at) => row.reactions.insert(at, (*by, 1)),
                    }
                });
            }
            Fact::Edit { .. } | Fact::Field { .. } | Fact::Label { .. } => {}
        }
        let content = fact.content_digest();
        let index = KeyRow { document, hash: head.hash.prefix(), content, stamp, message: message_row };
        self.write_index(slot, draft, key, IndexRow::Fact(index));

        if let Some(row) = slot.row_mut() {
            row.newest = stamp.lsn;
            match &fact {
                Fact::Message(message) => row.newest_message = row.newest_message.max(message.id),
                _ => row.newest_key = row.newest_key.max(fact.ulid()),
            }
        }
        self.mark_found(slot, draft, document, &stamp, &fact, &found);
        self.open_next(slot, draft, document, row);
        slot.store_replies();
        if let Some(row) = slot.row() {
            debug_assert_eq!(row.conversation.id, conversation);
            draft.write(Write::Conversation(Box::new(row.clone())));
        }
        stamp
    }

    /// The lock learns of an accepted reply, unless its author neither takes nor meets the lock.
    pub(crate) fn reply_accepted(&self, slot: &mut Slot, message: MessageId, stamp: &Stamp, accepted: Lsn) {
        let member = stamp.member;
        if self.is_service(member) && !self.access.sequenced.policy.services_lock {
            return;
        }
        // A re-admitted reply keeps its time: its window may be over already.
        let age_ms = self.log.at_ms().saturating_sub(stamp.at_ms);
        let window_ends_ms = (self.now.mono_ms + limits::REPLY_WINDOW_MS).saturating_sub(age_ms);
        let row = AcceptedReply { message, member, accepted, at_ms: stamp.at_ms };
        slot.lock.accepted(Reply { row, window_ends_ms });
    }

    /// Opens the next segment or card when the open one is full.
    fn open_next(&mut self, slot: &mut Slot, draft: &mut Draft, document: DocumentId, full: DocumentRow) {
        let segment = self.config.segment;
        let is_full = match document.kind {
            DocumentKind::Segment | DocumentKind::Imported => {
                full.messages >= segment.open_messages
                    || full.ops >= segment.open_ops
                    || full.text_bytes >= segment.open_text_bytes
            }
            DocumentKind::Card => {
                full.ops >= limits::CARD_OPEN_OPS || full.text_bytes >= limits::SEGMENT_OPEN_TEXT_BYTES
            }
        };
        if is_full && slot.row().is_some_and(|row| document.number == open_number(row, document.kind)) {
            self.open_another(slot, draft, document);
        }
    }

    /// Closes a document: the next one is written into from now on. The caller writes the conversation's row.
    pub(crate) fn open_another(&mut self, slot: &mut Slot, draft: &mut Draft, document: DocumentId) {
        let Some(row) = slot.row_mut() else { return };
        let next = DocumentId { number: document.number + 1, ..document };
        match document.kind {
            DocumentKind::Segment | DocumentKind::Imported => row.open_segment = next.number,
            DocumentKind::Card => row.open_card = next.number,
        }
        let now_ms = self.now.wall_ms;
        let stamp = self.log.append(draft, now_ms, Author::new(MemberId::HUB), EntryBody::Opened { document: next });
        row.newest = stamp.lsn;
        slot.newest = stamp.lsn;
        slot.documents.insert((next.kind, next.number), DocumentState::default());
        // A closed document is worth compacting whatever its tail.
        self.compaction.due.insert(document);
    }

    pub(crate) fn write_index(&self, slot: &mut Slot, draft: &mut Draft, key: KeyId, row: IndexRow) {
        if let Some(conversation) = slot.row().map(|row| row.conversation.id) {
            draft.write(Write::Key(conversation, key, Box::new(row.clone())));
            slot.index.insert(key, Some(row));
        }
    }

    /// Changes what is known of a message.
    pub(crate) fn update_message(
        &self,
        slot: &mut Slot,
        draft: &mut Draft,
        message: MessageId,
        change: impl FnOnce(&mut MessageRow),
    ) {
        let key = KeyId::from(message);
        let Some(row) = slot.fact_row_mut(&key) else { return };
        if let Some(message) = &mut row.message {
            change(message);
        }
        let row = IndexRow::Fact(row.clone());
        self.write_index(slot, draft, key, row);
    }
}

enum Judged {
    Known(Outcome),
    New(Place, Verdict),
}

/// The document of a kind that is written into now.
pub(crate) const fn open_number(row: &ConversationRow, kind: DocumentKind) -> u32 {
    match kind {
        DocumentKind::Segment | DocumentKind::Imported => row.open_segment,
        DocumentKind::Card => row.open_card,
    }
}

pub(crate) fn target_of<'a>(slot: &'a Slot, message: &MessageId) -> Result<(&'a KeyRow, &'a MessageRow), RefusalCode> {
    slot.fact_row(&KeyId::from(*message))
        .and_then(|row| row.message.as_ref().map(|message| (row, message)))
        .ok_or(RefusalCode::TargetUnknown)
}

pub(crate) fn room(members: usize) -> Result<(), RefusalCode> {
    if members < limits::MESSAGE_MEMBERS_MAX { Ok(()) } else { Err(RefusalCode::ReactionsFull) }
}
