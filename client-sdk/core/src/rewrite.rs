//! Withdrawing facts from a chain and writing again what still stands, under a new nonce.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::change::{ChainHead, derive};
use lockstep_protocol::clock::Clock;
use lockstep_protocol::fact::{Direction, Fact};
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId, DocumentKind, FactId, MessageId, Nonce};
use lockstep_protocol::limits::{CLOCK_AHEAD_MS_MAX, CLOCK_PUSH_MS_MAX};
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::device::Device;
use crate::effect::{ActOutcome, Notice};
use crate::planted::ClientBug;
use crate::replica::message_of;
use crate::row::{NotSentRow, OutboxRow, OwnChain, Write};

impl Device {
    /// Writes a fact as the next of this device's chain in a document.
    pub(crate) fn append(&mut self, document: DocumentId, fact: Fact, order: u64) {
        let public = self.public;
        if self.document(document).own.is_none() {
            let nonce = Nonce(self.random.bytes_16());
            let actor = ActorId::derive(&public, &nonce, document);
            let head = ChainHead::empty(document.kind);
            self.document(document).own = Some(OwnChain { nonce, actor, head });
        }
        let Some(own) = &mut self.document(document).own else { return };
        let head = derive(&own.actor, &own.head, &fact);
        own.head = head;
        let (actor, seq, hash) = (own.actor, head.seq, head.hash.prefix());
        let message = message_of(&fact);
        let row = OutboxRow { order, document, actor, seq, hash, fact };
        self.write(Write::Outbox(Box::new(row.clone())));
        let ticket = self.ticket();
        self.outbox.insert(row, ticket);
        self.touch(document, message);
    }

    /// The next number for something that this device writes.
    pub(crate) fn order(&mut self) -> u64 {
        self.pending.meta = true;
        self.meta.next_order += 1;
        self.meta.next_order - 1
    }

    /// Gives a fact up: it moves to "not sent, because …".
    pub(crate) fn give_up(&mut self, order: u64, code: u16) {
        let Some(row) = self.outbox.remove(order) else { return };
        self.write(Write::OutboxGone(order));
        self.touch(row.document, message_of(&row.fact));
        let item = self.order();
        let (conversation, fact) = (row.document.conversation, row.fact);
        if let Fact::Message(message) = &fact {
            self.move_mark(conversation, message.id, None);
        }
        let row = NotSentRow { order: item, conversation, fact, code, at_ms: self.clock.last_ms() };
        self.write(Write::NotSent(Box::new(row.clone())));
        self.not_sent.insert(item, row);
        self.notice(Notice::NotSent { item });
    }

    /// The message that a read position names is called otherwise now, or will never be.
    fn move_mark(&mut self, conversation: ConversationId, old: MessageId, new: Option<MessageId>) {
        if let Some(row) = self.conversations.get_mut(&conversation).filter(|row| row.unsent_mark == Some(old)) {
            row.unsent_mark = new;
            self.pending.conversations.insert(conversation);
        }
    }

    /// Drops a fact of the outbox without a word: it stands already, or its purpose is reached.
    pub(crate) fn drop_fact(&mut self, order: u64) {
        let Some(row) = self.outbox.remove(order) else { return };
        self.write(Write::OutboxGone(order));
        self.touch(row.document, message_of(&row.fact));
    }

    /// A change of this device's own chain came that it does not hold: its store was copied or restored.
    pub(crate) fn forked(&mut self, document: DocumentId) {
        if self.bug(ClientBug::OwnForkIgnored) {
            return;
        }
        self.notice(Notice::ChainForked(document));
        self.rewrite_all(document);
    }

    /// Abandons the document's chain and writes everything pending again.
    pub(crate) fn rewrite_all(&mut self, document: DocumentId) {
        self.rewrite(document, |_| document, &BTreeMap::new());
    }

    /// A document is gone: what waits for it is written again into the open one.
    pub(crate) fn move_pending(&mut self, document: DocumentId) {
        let open = self.open_document(document.conversation, document.kind);
        if open != document && self.outbox.of(document).next().is_some() {
            self.rewrite(document, |_| open, &BTreeMap::new());
        }
    }

    /// Abandons the document's chain; its pending facts are written again, each into the document that `place` says,
    /// with message ids replaced by `renamed`.
    fn rewrite(
        &mut self,
        document: DocumentId,
        place: impl Fn(&OutboxRow) -> DocumentId,
        renamed: &BTreeMap<MessageId, MessageId>,
    ) {
        if self.in_flight(document) {
            // What is in flight may yet be taken; only the log of a new session tells.
            self.session.broken = true;
        }
        self.document(document).own = None;
        let mut rows: Vec<OutboxRow> = self.outbox.of(document).cloned().collect();
        if self.bug(ClientBug::OutboxReorder) {
            rows.reverse();
        }
        for row in &rows {
            self.outbox.remove(row.order);
            self.touch(document, message_of(&row.fact));
        }
        let mut targets = BTreeSet::new();
        for mut row in rows {
            let target = place(&row);
            rename(&mut row.fact, renamed);
            self.append(target, row.fact, row.order);
            if target != document {
                targets.insert(target);
            }
        }
        // A message never comes after what is about it: there, too, all are written again in the order of writing.
        for target in targets {
            if self.outbox.is_overtaken(target) {
                self.rewrite_all(target);
            }
        }
    }

    /// Whether a push of the document waits for its Ack. (The one being answered has left the table.)
    fn in_flight(&self, document: DocumentId) -> bool {
        use crate::push::Question;
        self.questions.values().any(|question| matches!(question, Question::Push(push) if push.document == document))
    }

    /// A refusal of class *rewrite*.
    pub(crate) fn rewrite_refused(&mut self, document: DocumentId, row: Option<OutboxRow>, refusal: &Refusal) {
        match (refusal.known(), row) {
            (Some(RefusalCode::SegmentFull | RefusalCode::DocumentUnknown), Some(row)) => {
                self.rewrite_elsewhere(document, &row, refusal);
            }
            (Some(RefusalCode::ClockAhead), Some(row)) => self.rewrite_later(document, &row, refusal),
            (Some(RefusalCode::Duplicate), Some(row)) => {
                if !self.bug(ClientBug::DuplicateNotConfirmed) {
                    self.drop_fact(row.order);
                    self.duplicate(&row.fact, refusal);
                }
                self.rewrite_all(document);
            }
            (Some(RefusalCode::Forked), _) if self.bug(ClientBug::OwnForkIgnored) => {
                self.pause_push(document, refusal.retry_after_ms);
            }
            (Some(RefusalCode::Forked), _) => self.rewrite_all(document),
            (None, _) => {
                // A reason that this version does not know: the same under a new chain, but not at once.
                self.rewrite_all(document);
                self.pause_push(document, refusal.retry_after_ms);
            }
            (Some(_), _) => self.rewrite_all(document),
        }
    }

    /// The document takes no more of the refused fact: what is like it moves to the open one, together with what is
    /// about a message that moves.
    fn rewrite_elsewhere(&mut self, document: DocumentId, refused: &OutboxRow, refusal: &Refusal) {
        let fallback = self.open_document(document.conversation, document.kind);
        let open = refusal.open.filter(|open| open.kind == document.kind).unwrap_or(fallback);
        let unknown = refusal.known() == Some(RefusalCode::DocumentUnknown);
        let row = self.conversation_row(document.conversation);
        let number = match document.kind {
            DocumentKind::Segment | DocumentKind::Imported => &mut row.open_segment,
            DocumentKind::Card => &mut row.open_card,
        };
        *number = if unknown { open.number } else { (*number).max(open.number) };
        if open == document {
            self.rewrite_all(document);
            self.pause_push(document, refusal.retry_after_ms);
            return;
        }
        let messages_only = !unknown && matches!(refused.fact, Fact::Message(_));
        let mut moving = BTreeSet::new();
        let mut moved = BTreeSet::new();
        for row in self.outbox.of(document) {
            let alike = match &row.fact {
                _ if unknown => true,
                Fact::Message(_) => messages_only || row.order == refused.order,
                Fact::Retraction { .. } => row.order == refused.order,
                _ => !messages_only,
            };
            let follows = row.fact.target().is_some_and(|message| moved.contains(&message));
            let before = row.seq < refused.seq && row.actor == refused.actor;
            if (alike && !before) || follows {
                moving.insert(row.order);
                if let Fact::Message(message) = &row.fact {
                    moved.insert(message.id);
                }
            }
        }
        self.rewrite(document, |row| if moving.contains(&row.order) { open } else { document }, &BTreeMap::new());
    }

    /// The document that new facts of a kind go to.
    pub(crate) fn open_document(&self, conversation: ConversationId, kind: DocumentKind) -> DocumentId {
        let row = self.conversations.get(&conversation);
        let number = row.map_or(0, |row| match kind {
            DocumentKind::Segment | DocumentKind::Imported => row.open_segment,
            DocumentKind::Card => row.open_card,
        });
        DocumentId { conversation, kind, number }
    }

    /// The clock was ahead: it goes back, and pending facts of the conversation from the future get new ids.
    fn rewrite_later(&mut self, document: DocumentId, refused: &OutboxRow, refusal: &Refusal) {
        let hub_ms = refusal.now_ms.unwrap_or(self.now.wall_ms);
        let ahead_ms = hub_ms.saturating_add(CLOCK_AHEAD_MS_MAX);
        self.rewind_clock(hub_ms, ahead_ms, refused.order);
        let mut renamed = BTreeMap::new();
        let mut renewed = BTreeMap::new();
        let rows: Vec<OutboxRow> = self.outbox.of(document).cloned().collect();
        for row in rows {
            if row.order != refused.order && row.fact.time_ms() <= ahead_ms {
                continue;
            }
            let id = self.ulid();
            if let Fact::Message(message) = &row.fact {
                self.move_mark(document.conversation, message.id, Some(MessageId(id)));
                renamed.insert(message.id, MessageId(id));
            } else {
                renewed.insert(row.order, FactId(id));
            }
        }
        // Facts that are not messages get their ids first; then one pass renames messages everywhere.
        for (order, fresh) in renewed {
            let row = self.outbox.of(document).find(|row| row.order == order).cloned();
            if let Some(mut row) = row {
                if let Fact::Edit { id, .. }
                | Fact::Retraction { id, .. }
                | Fact::Reaction { id, .. }
                | Fact::Field { id, .. }
                | Fact::Label { id, .. } = &mut row.fact
                {
                    *id = fresh;
                }
                let ticket = self.ticket();
                self.outbox.insert(row, ticket);
            }
        }
        self.rewrite(document, |_| document, &renamed);
        self.rename_answers(&renamed);
        let refers = |row: &OutboxRow| {
            let named = match &row.fact {
                Fact::Message(message) => [message.re, message.seen],
                other => [other.target(), None],
            };
            named.into_iter().flatten().any(|id| renamed.contains_key(&id))
        };
        let conversation = document.conversation;
        let others: BTreeSet<DocumentId> =
            self.outbox.of_conversation(conversation).filter(|row| refers(row)).map(|row| row.document).collect();
        for other in others.into_iter().filter(|other| *other != document) {
            self.rewrite(other, |_| other, &renamed);
        }
    }

    /// Acts whose messages are not durable yet are answered with the new ids, once those are.
    fn rename_answers(&mut self, renamed: &BTreeMap<MessageId, MessageId>) {
        let ticket = self.ticket();
        for (waits_for, _, outcome) in &mut self.done {
            if let ActOutcome::Written(id) = outcome
                && let Some(new) = renamed.get(id)
            {
                (*waits_for, *id) = (ticket, *new);
            }
        }
    }

    /// The clock goes back to the hub's time, but not behind what keeps its id: what is written next is newer.
    fn rewind_clock(&mut self, hub_ms: u64, ahead_ms: u64, refused: u64) {
        let member = self.meta.member;
        let pending = self.outbox.rows().filter(|row| row.order != refused).map(|row| (row.fact.time_ms(), ahead_ms));
        let stamped = self.replicas.values().flat_map(|loaded| loaded.replica.facts()).map(|held| {
            let own = member == Some(held.row.stamp.member);
            let bound_ms = if own { ahead_ms } else { hub_ms.saturating_add(CLOCK_PUSH_MS_MAX) };
            (held.row.placed.fact.time_ms(), bound_ms)
        });
        let kept = pending.chain(stamped).filter(|(time_ms, bound_ms)| time_ms <= bound_ms);
        let kept_ms = kept.map(|(time_ms, _)| time_ms).max().unwrap_or(0);
        self.clock = Clock::resume(self.clock.last_ms().min(hub_ms.max(kept_ms)));
        self.clock.correct(self.now.wall_ms, hub_ms);
        self.pending.meta = true;
    }

    /// A refusal for ever: the fact and what is about it move to "not sent", the rest of the chain is written again.
    pub(crate) fn fact_refused_for_ever(&mut self, refused: &OutboxRow, code: u16) {
        let document = refused.document;
        let known = RefusalCode::from_number(code);
        if matches!(known, Some(RefusalCode::WriteForbidden | RefusalCode::ConversationUnknown)) {
            // It holds for everything in this conversation; asking fact by fact would rewrite the chain each time.
            let orders: Vec<u64> = self.outbox.of(document).map(|row| row.order).collect();
            orders.into_iter().for_each(|order| self.give_up(order, code));
            self.document(document).own = None;
            return;
        }
        // A message can be retracted once a member: it is, whoever came first. And what stands already word for word,
        // by an abandoned chain of this device, needs no second place.
        let taken = matches!(known, Some(RefusalCode::KeyTaken | RefusalCode::MessageIdTaken));
        let retracted = matches!(refused.fact, Fact::Retraction { .. }) && known == Some(RefusalCode::KeyTaken);
        if retracted || (taken && self.stands(refused)) {
            self.drop_fact(refused.order);
        } else {
            let about: Vec<u64> = match &refused.fact {
                Fact::Message(message) => self
                    .outbox
                    .of_conversation(document.conversation)
                    .filter(|row| row.document == document && row.fact.target() == Some(message.id))
                    .map(|row| row.order)
                    .collect(),
                _ => Vec::new(),
            };
            self.give_up(refused.order, code);
            about.into_iter().for_each(|order| self.give_up(order, code));
        }
        self.rewrite_all(document);
    }

    /// Whether a stamped fact in memory is the same as a pending one.
    fn stands(&self, row: &OutboxRow) -> bool {
        let conversation = row.document.conversation;
        let mut replicas = self.replicas.range(DocumentId::all_of(conversation));
        replicas.any(|(_, loaded)| loaded.replica.facts().any(|held| held.row.placed.fact == row.fact))
    }

    /// A new ULID's bytes, by the corrected clock.
    pub(crate) fn ulid(&mut self) -> [u8; 16] {
        self.pending.meta = true;
        let time_ms = self.clock.tick(self.now.wall_ms);
        FactId::from_parts(time_ms, u128::from_be_bytes(self.random.bytes_16())).0
    }

    /// Conversations with facts of a chain that is no longer the document's own.
    pub(crate) fn note_stale(&mut self) {
        let stale = self.outbox.rows().filter(|row| {
            let own = self.documents.get(&row.document).and_then(|document| document.own);
            own.is_none_or(|own| own.actor != row.actor)
        });
        self.stale = stale.map(|row| row.document.conversation).collect();
    }

    /// Once an epoch change is settled for a conversation, its unconfirmed facts are written again under new chains.
    pub(crate) fn settle(&mut self) {
        if self.stale.is_empty() || !self.ready() || self.cursor_lsn().is_none() {
            return;
        }
        for conversation in core::mem::take(&mut self.stale) {
            let waits = self.backfills.get(&conversation).is_some_and(|row| row.changed);
            if waits || self.has_offers_for(conversation) {
                self.stale.insert(conversation);
                continue;
            }
            let documents: BTreeSet<_> = self.outbox.of_conversation(conversation).map(|row| row.document).collect();
            documents.into_iter().for_each(|document| self.rewrite_all(document));
        }
    }
}

/// Replaces message ids: a message's own, and those that a fact refers to.
fn rename(fact: &mut Fact, renamed: &BTreeMap<MessageId, MessageId>) {
    let replace = |id: &mut MessageId| {
        if let Some(new) = renamed.get(id) {
            *id = *new;
        }
    };
    match fact {
        Fact::Message(message) => {
            replace(&mut message.id);
            message.re.as_mut().map(replace);
            if message.dir == Direction::Out {
                message.seen.as_mut().map(replace);
            }
        }
        Fact::Edit { message, .. } | Fact::Retraction { message, .. } | Fact::Reaction { message, .. } => {
            replace(message);
        }
        Fact::Field { .. } | Fact::Label { .. } => {}
    }
}
