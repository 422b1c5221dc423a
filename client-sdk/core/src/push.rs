//! Sending what waits, and what the hub's answers mean.

use std::collections::BTreeSet;

use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::entry::{Opening, PlacedFact, Stamp, Verdict};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::frame::{DeviceFrame, Outcome, Push, PushedFact, Resolve, Tag};
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId, MessageId};
use lockstep_protocol::limits::PUSH_FACTS_MAX;
use lockstep_protocol::refusal::{Refusal, RefusalClass, RefusalCode};

use crate::backoff::Waiter;
use crate::device::Device;
use crate::effect::{ActOutcome, Effect, Notice};
use crate::input::Request;
use crate::planted::ClientBug;
use crate::replica::{HeldFact, message_of};
use crate::row::{FactRow, OfferKey, OutboxRow, Write};

/// Documents with a push in flight at once.
const PUSHES_MAX: usize = 8;
/// Read positions in flight at once.
const MARKS_MAX: usize = 4;
/// Bytes of text in one push: far below the frame's limit.
const PUSH_TEXT_BYTES_MAX: usize = 256 * 1024;

/// A frame that waits for its Ack.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// Facts of one chain.
    Push(PushQuestion),
    /// A resolution, by order.
    Resolve(u64),
    /// A read position.
    Mark(ConversationId, MessageId),
    /// Offered entries.
    Offer(Vec<OfferKey>),
    /// A command of this act.
    Command(Request),
}

/// See [`Question::Push`].
#[derive(Clone, Debug)]
pub(crate) struct PushQuestion {
    pub(crate) document: DocumentId,
    pub(crate) actor: ActorId,
    pub(crate) seq: u32,
}

impl Device {
    /// The connection is gone: what was asked is asked again in the next session.
    pub(crate) fn drop_questions(&mut self) {
        for question in core::mem::take(&mut self.questions).into_values() {
            if let Question::Command(request) = question {
                self.out.push(Effect::ActDone { request, outcome: ActOutcome::Interrupted });
            }
        }
    }

    /// Sends whatever may be sent now.
    pub(crate) fn send_all(&mut self) {
        if !self.ready() {
            return;
        }
        self.send_fetches();
        self.send_offers();
        if !self.session.draining {
            self.send_marks();
        }
        if !self.differs && !self.session.draining {
            self.send_resolves();
            self.send_pushes();
        }
        let reached =
            self.cursor_lsn().is_some_and(|at| at >= self.session.head || self.bug(ClientBug::CaughtUpAtOnce));
        if reached && self.backfills.is_empty() && !self.session.caught_up {
            self.session.caught_up = true;
            self.notice(Notice::CaughtUp);
        }
    }

    /// Whether an epoch change is not settled for a conversation: the hub may lack what a new fact refers to.
    fn blocked(&self, conversation: ConversationId) -> bool {
        self.stale.contains(&conversation)
            || self.backfills.get(&conversation).is_some_and(|row| row.changed)
            || self.has_offers_for(conversation)
    }

    fn pushing(&self, document: DocumentId) -> bool {
        self.questions.values().any(|question| matches!(question, Question::Push(push) if push.document == document))
    }

    fn send_pushes(&mut self) {
        let mut in_flight = self.questions.values().filter(|question| matches!(question, Question::Push(_))).count();
        for document in self.outbox.documents() {
            if in_flight >= PUSHES_MAX {
                return;
            }
            let waits = self.pauses.waits(&Waiter::Push(document), self.now.mono_ms);
            if waits || self.blocked(document.conversation) || self.pushing(document) {
                continue;
            }
            in_flight += usize::from(self.send_push(document));
        }
    }

    fn send_push(&mut self, document: DocumentId) -> bool {
        let Some(own) = self.documents.get(&document).and_then(|row| row.own) else { return false };
        let early = self.bug(ClientBug::PushBeforePersist) || self.bug(ClientBug::SeqReuseAfterCrash);
        let mut facts = Vec::new();
        let mut first = 0;
        let mut text_bytes = 0;
        for (row, ticket) in self.outbox.chain(document, own.actor) {
            let elsewhere = |message| self.outbox.document_of(message).is_some_and(|holder| holder != document);
            let durable = ticket <= self.persisted || early;
            text_bytes += row.fact.text_bytes() as usize;
            let fits = facts.is_empty() || (facts.len() < PUSH_FACTS_MAX && text_bytes <= PUSH_TEXT_BYTES_MAX);
            // A place in between may be confirmed already, by a copy of this store that was ahead.
            let follows = facts.is_empty() || u32::try_from(facts.len()).is_ok_and(|sent| row.seq == first + sent);
            if !durable || !fits || !follows || row.fact.target().is_some_and(elsewhere) {
                break;
            }
            first = if facts.is_empty() { row.seq } else { first };
            facts.push(PushedFact { hash: row.hash, fact: row.fact.clone() });
        }
        self.push_facts(document, own.actor, first, facts)
    }

    fn push_facts(&mut self, document: DocumentId, actor: ActorId, seq: u32, facts: Vec<PushedFact>) -> bool {
        if facts.is_empty() {
            return false;
        }
        let tag = self.tag();
        let own = self.documents.get(&document).and_then(|row| row.own);
        let nonce = own.filter(|own| own.actor == actor && seq == 1).map(|own| own.nonce);
        self.questions.insert(tag, Question::Push(PushQuestion { document, actor, seq }));
        self.send(&DeviceFrame::Push(Push { tag, document, actor, nonce, seq, facts }));
        true
    }

    fn send_resolves(&mut self) {
        let asked: BTreeSet<u64> = self
            .questions
            .values()
            .filter_map(|question| if let Question::Resolve(order) = question { Some(*order) } else { None })
            .collect();
        let ready: Vec<_> = self
            .resolves
            .values()
            .filter(|(row, ticket)| *ticket <= self.persisted && !asked.contains(&row.order))
            .filter(|(row, _)| !self.blocked(row.conversation))
            .filter(|(row, _)| !self.pauses.waits(&Waiter::Resolve(row.order), self.now.mono_ms))
            .take(PUSHES_MAX.saturating_sub(asked.len()))
            .map(|(row, _)| row.clone())
            .collect();
        for row in ready {
            let tag = self.tag();
            self.questions.insert(tag, Question::Resolve(row.order));
            let (conversation, message, resolution, seen) = (row.conversation, row.message, row.resolution, row.seen);
            self.send(&DeviceFrame::Resolve(Resolve { tag, conversation, message, resolution, seen }));
        }
    }

    /// Read positions go out when the hub has the message: it is confirmed, and nothing about it is being settled.
    fn send_marks(&mut self) {
        let asked = |question: &Question| match question {
            Question::Mark(conversation, _) => Some(*conversation),
            _ => None,
        };
        let asked: BTreeSet<ConversationId> = self.questions.values().filter_map(asked).collect();
        let unsent = |id: &ConversationId| self.conversations.get(id).and_then(|row| row.unsent_mark);
        let marks: Vec<_> = self.marks.iter().filter_map(|id| Some((*id, unsent(id)?))).collect();
        let ready = |conversation: &ConversationId, message: MessageId| {
            self.conversations.get(conversation).is_some_and(|row| !row.lost)
                && !asked.contains(conversation)
                && !self.blocked(*conversation)
                && !self.backfills.contains_key(conversation)
                && !self.pauses.waits(&Waiter::Mark(*conversation), self.now.mono_ms)
                && self.outbox.document_of(message).is_none()
        };
        let room = MARKS_MAX.saturating_sub(asked.len());
        let going: Vec<_> = marks.iter().filter(|(id, message)| ready(id, *message)).take(room).copied().collect();
        self.marks = marks.into_iter().map(|(id, _)| id).collect();
        for (conversation, message) in going {
            let tag = self.tag();
            self.questions.insert(tag, Question::Mark(conversation, message));
            self.send(&DeviceFrame::Mark { tag, conversation, message });
        }
    }

    /// The answer to a question.
    pub(crate) fn take_ack(&mut self, tag: Tag, results: Vec<Outcome>, witness: Cursor) {
        self.witness(witness);
        if self.bug(ClientBug::CursorMovedByAck) && witness.epoch == self.epoch() {
            self.meta.cursor = Some(witness);
            self.pending.meta = true;
        }
        match self.questions.remove(&tag) {
            None => {}
            Some(Question::Push(push)) => self.push_answered(&push, results),
            Some(Question::Resolve(order)) => {
                if let Some(result) = results.into_iter().next() {
                    self.resolve_answered(order, result);
                }
            }
            Some(Question::Mark(conversation, message)) => self.mark_answered(conversation, message, &results),
            Some(Question::Offer(keys)) => self.offer_answered(keys, results, witness.lsn),
            Some(Question::Command(request)) => {
                let outcome = results.into_iter().next().map_or(ActOutcome::Interrupted, ActOutcome::Answered);
                self.done.push_back((self.persisted, request, outcome));
            }
        }
    }

    /// A refusal that carries a tag instead of an Ack.
    pub(crate) fn tag_refused(&mut self, tag: Tag, refusal: Refusal) {
        if self.questions.contains_key(&tag) {
            let witness = self.meta.witness.unwrap_or_default();
            self.queue(crate::job::Job::Ack { tag, results: vec![Outcome::Refused(refusal)], witness });
        } else {
            self.fetch_refused(tag, refusal);
        }
    }

    fn push_answered(&mut self, push: &PushQuestion, results: Vec<Outcome>) {
        let own = self.documents.get(&push.document).and_then(|row| row.own);
        if own.is_none_or(|own| own.actor != push.actor) {
            // The chain went with the copy of its conversation, which may have been granted again since. The log of
            // this session omits what the session itself wrote: what stands is fetched.
            let stands = results.iter().any(|result| matches!(result, Outcome::Placed { .. }));
            if stands && self.conversations.get(&push.document.conversation).is_some_and(|row| !row.lost) {
                self.backfill_document(push.document);
            }
            return;
        }
        for (seq, result) in (push.seq..).zip(results) {
            match result {
                Outcome::Placed { hash, stamp } => {
                    let row = self.outbox.at(push.document, push.actor, seq).filter(|row| row.hash == hash);
                    if let Some(order) = row.map(|row| row.order) {
                        self.confirm(order, stamp, None);
                        self.pauses.clear(&Waiter::Push(push.document));
                    }
                }
                Outcome::Refused(refusal) => {
                    self.fact_refused(push, seq, refusal);
                    return;
                }
                _ => return,
            }
        }
    }

    /// The hub has a fact of the outbox: it becomes a stamped one.
    pub(crate) fn confirm(&mut self, order: u64, stamp: Stamp, placed: Option<PlacedFact>) {
        let Some(row) = self.outbox.remove(order) else { return };
        self.write(Write::OutboxGone(order));
        let written = row.document;
        self.note_collision(written.conversation, &row.fact, &stamp);
        if matches!(row.fact, Fact::Message(_)) {
            self.show_from(row.document);
        }
        let placed = placed.unwrap_or_else(|| {
            let own = self.documents.get(&row.document).and_then(|row| row.own);
            let own = own.filter(|own| own.actor == row.actor && row.seq == 1);
            let opening = own.map(|own| Opening { device: self.id, nonce: own.nonce });
            let OutboxRow { document, actor, seq, hash, fact, .. } = row;
            PlacedFact { document, actor, seq, hash, fact, opening, origin: None }
        });
        let epoch = self.epoch();
        // Also where the fact came before its Ack, or is placed elsewhere than it was written.
        for document in [written, placed.document] {
            self.touch(document, message_of(&placed.fact));
        }
        self.take_fact(FactRow { epoch, stamp, placed });
    }

    /// The hub judged a reply of this member that was pending here.
    pub(crate) fn note_collision(&mut self, conversation: ConversationId, fact: &Fact, stamp: &Stamp) {
        if let Verdict::Held(collision) | Verdict::Flagged(collision) = stamp.verdict
            && let Fact::Message(message) = fact
        {
            self.notice(Notice::Collided { conversation, message: message.id, cause: collision.cause });
        }
    }

    /// What a refusal of one fact means for it and for what follows in its chain.
    fn fact_refused(&mut self, push: &PushQuestion, seq: u32, refusal: Refusal) {
        let document = push.document;
        let row = self.outbox.at(document, push.actor, seq).cloned();
        match refusal.class() {
            RefusalClass::Again => match (refusal.known(), refusal.next) {
                (Some(RefusalCode::Gap), next) if !self.bug(ClientBug::EpochKeepsNonces) => {
                    self.rewrite_all(document);
                    // The hub lacks what it acknowledged, so it was rolled back: a new Hello's witness shows it.
                    self.session.broken |= next.is_some_and(|next| next < push.seq);
                }
                _ => self.pause_push(document, refusal.retry_after_ms),
            },
            RefusalClass::Rewrite => self.rewrite_refused(document, row, &refusal),
            RefusalClass::Never | RefusalClass::Request => {
                let Some(row) = row else { return self.rewrite_all(document) };
                if self.bug(ClientBug::NeverRefusalRetriedForever) {
                    return self.rewrite_all(document);
                }
                self.fact_refused_for_ever(&row, refusal.code);
            }
            RefusalClass::Stop => self.stop_pushing(),
        }
    }

    pub(crate) fn pause_push(&mut self, document: DocumentId, at_least_ms: Option<u32>) {
        self.pauses.pause(Waiter::Push(document), self.now.mono_ms, at_least_ms, &mut self.random);
    }

    /// `Duplicate`: the same content stands already, by another chain. The log brings (or brought) that fact.
    pub(crate) fn duplicate(&mut self, fact: &Fact, refusal: &Refusal) {
        let (Some(document), Some(stamp)) = (refusal.document, refusal.stamp) else { return };
        let key = fact.key_id();
        let stands = |held: &HeldFact| held.row.placed.fact.key_id() == key;
        let held = self.replicas.get(&document).is_some_and(|row| row.replica.facts().any(stands));
        let conversation = document.conversation;
        if !held {
            self.note_collision(conversation, fact, &stamp);
        }
        let comes = self.backfills.contains_key(&conversation) || self.cursor_lsn().is_none_or(|at| at < stamp.lsn);
        if !held && !comes && self.conversations.contains_key(&conversation) {
            self.backfill_document(document);
        }
    }

    /// A read position is confirmed, or can never be; one that is only refused for now goes out again later.
    fn mark_answered(&mut self, conversation: ConversationId, message: MessageId, results: &[Outcome]) {
        if let Some(Outcome::Refused(refusal)) = results.first()
            && refusal.class() == RefusalClass::Again
        {
            let (waiter, at_least_ms) = (Waiter::Mark(conversation), refusal.retry_after_ms);
            self.pauses.pause(waiter, self.now.mono_ms, at_least_ms, &mut self.random);
            return;
        }
        self.pauses.clear(&Waiter::Mark(conversation));
        let waits = self.conversations.get(&conversation).and_then(|row| row.unsent_mark);
        if waits.is_some_and(|unsent| unsent <= message) {
            self.conversation_row(conversation).unsent_mark = None;
        }
    }

    fn resolve_answered(&mut self, order: u64, result: Outcome) {
        let Some((row, _)) = self.resolves.get(&order) else { return };
        let (conversation, message) = (row.conversation, row.message);
        if let Outcome::Refused(refusal) = result {
            if refusal.class() == RefusalClass::Again {
                let waiter = Waiter::Resolve(order);
                self.pauses.pause(waiter, self.now.mono_ms, refusal.retry_after_ms, &mut self.random);
                return;
            }
            let settled = matches!(refusal.known(), Some(RefusalCode::AlreadyResolved | RefusalCode::NotHeld));
            if !settled {
                self.notice(Notice::ResolveRefused { conversation, message, refusal: Box::new(refusal) });
            }
        }
        self.resolves.remove(&order);
        self.write(Write::ResolveGone(order));
        self.touch(DocumentId::segment(conversation, 0), Some(message));
    }
}
