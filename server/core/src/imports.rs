//! Imports: facts from elsewhere, a segment at a time, from the hub's own machine. DESIGN section 4.
//!
//! Two steps, both in the conversation's queue: what is known already, so that a run that is repeated adds nothing; then
//! a built segment, checked again and committed as one batch: one entry, the document as a snapshot, its index rows.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::directory::DirectoryEvent;
use lockstep_protocol::entry::{Category, EntryBody, Stamp};
use lockstep_protocol::fact::{Fact, KeyId};
use lockstep_protocol::frame::Outcome;
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, DocumentKind, ImportId, Lsn, MemberId, MessageId,
};
use lockstep_protocol::import::{DerivedImport, ImportPlace, Known};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::{Refusal, RefusalCode};
use lockstep_protocol::snapshot::{Table, TableEvent};

use crate::audit::{Act, Actor};
use crate::conversation::{Commander, Slot, Work};
use crate::effect::{Effect, ImportPlan};
use crate::hub::{Hub, Waiter};
use crate::input::{IMPORT_KEYS_MAX, ImportSegment};
use crate::log::{Author, Draft};
use crate::planted::HubBug;
use crate::push::{room, target_of};
use crate::row::{
    ChainRow, Class, DocumentRow, DocumentState, IndexRow, KeyRow, MediaRow, MessageRow, SnapshotRow, Write,
};

/// Messages of a segment, as they will be. What its facts say of earlier segments' messages is not counted there: the
/// segment may be taken back alone.
type Messages = BTreeMap<MessageId, MessageRow>;

impl Hub {
    pub(crate) fn import_asked(
        &mut self,
        request: u64,
        conversation: ConversationId,
        keys: Vec<KeyId>,
        effects: &mut Vec<Effect>,
    ) {
        let work = Work::ImportAsk(request, keys);
        match &work {
            Work::ImportAsk(_, keys) if keys.len() > IMPORT_KEYS_MAX => {
                self.refuse_work(conversation, work, RefusalCode::TooLarge, effects);
            }
            _ => self.import_work(conversation, work, effects),
        }
    }

    /// Queues a step of an import.
    pub(crate) fn import_work(&mut self, conversation: ConversationId, work: Work, effects: &mut Vec<Effect>) {
        if self.draining {
            self.refuse_work(conversation, work, RefusalCode::Draining, effects);
        } else {
            self.enqueue(conversation, work, effects);
        }
    }

    /// Says what a conversation knows under some keys, once that is durable.
    pub(crate) fn plan_import(
        &mut self,
        id: ConversationId,
        slot: &Slot,
        request: u64,
        keys: &[KeyId],
        effects: &mut Vec<Effect>,
    ) {
        let Some(row) = slot.row() else {
            let outcome = Err(Box::new(RefusalCode::ConversationUnknown.into()));
            return effects.push(Effect::ImportPlanned { request, outcome });
        };
        let known = |key: &KeyId| match slot.index.get(key) {
            Some(Some(IndexRow::Fact(row))) if row.document.kind == DocumentKind::Imported => Known::Imported,
            Some(Some(_)) => Known::Written,
            Some(None) | None => Known::Nothing,
        };
        let document = DocumentId::imported(id, row.imported);
        let plan = ImportPlan { document, known: keys.iter().map(known).collect() };
        if self.log.is_durable(slot.pending) {
            effects.push(Effect::ImportPlanned { request, outcome: Ok(plan) });
        } else {
            self.waiters.push((slot.pending, Waiter::Planned(request, plan)));
        }
    }

    /// Takes a built segment in.
    pub(crate) fn import(&mut self, slot: &mut Slot, request: u64, segment: ImportSegment, effects: &mut Vec<Effect>) {
        let mut draft = Draft::by(Actor::Machine);
        let outcome = match self.judge_import(slot, &segment) {
            Ok((derived, messages)) => Outcome::Done(self.write_import(slot, &mut draft, segment, &derived, messages)),
            Err(refusal) => Outcome::Refused(*refusal),
        };
        let ticket = self.log.commit(draft, effects);
        if matches!(outcome, Outcome::Done(_)) {
            slot.importing = ticket;
        }
        self.answer_after(ticket, Commander::Administrator(request), outcome, effects);
    }

    /// The rules of a push, as far as they hold for what comes from elsewhere.
    fn judge_import(&self, slot: &Slot, segment: &ImportSegment) -> Result<(DerivedImport, Messages), Box<Refusal>> {
        let no = |code: RefusalCode| Box::new(Refusal::from(code));
        let row = slot.row().ok_or_else(|| no(RefusalCode::ConversationUnknown))?;
        let next = DocumentId::imported(row.conversation.id, row.imported);
        if segment.document != next {
            return Err(Box::new(Refusal { open: Some(next), ..RefusalCode::DocumentUnknown.into() }));
        }
        let place = ImportPlace { hub: self.id, import: segment.import, document: segment.document };
        let derived = place.derive(&segment.facts).map_err(|refused| no(refused.code))?;
        if derived.head != segment.head {
            return Err(no(RefusalCode::HashDiffers));
        }
        let mut messages = Messages::new();
        for target in &derived.targets {
            // An import says nothing about what members wrote.
            if target_of(slot, target).map_err(no)?.0.document.kind != DocumentKind::Imported {
                return Err(no(RefusalCode::TargetForbidden));
            }
        }
        for fact in &segment.facts {
            if fact.time_ms() > self.now.wall_ms.saturating_add(limits::CLOCK_AHEAD_MS_MAX) {
                return Err(Box::new(Refusal { now_ms: Some(self.now.wall_ms), ..RefusalCode::ClockAhead.into() }));
            }
            if slot.index.get(&fact.key_id()).is_some_and(Option::is_some) {
                let is_message = matches!(fact, Fact::Message(_));
                return Err(no(if is_message { RefusalCode::MessageIdTaken } else { RefusalCode::KeyTaken }));
            }
            count(&mut messages, fact).map_err(no)?;
        }
        Ok((derived, messages))
    }

    /// One batch: the entry, the document, its snapshot, its index rows.
    fn write_import(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        segment: ImportSegment,
        derived: &DerivedImport,
        mut messages: Messages,
    ) -> Lsn {
        let ImportSegment { document, facts, bytes, import, .. } = segment;
        let body = EntryBody::Imported(derived.imported);
        let stamp = self.append_to(slot, draft, Author::new(MemberId::HUB), body.clone());
        let found: Vec<(MessageId, BTreeSet<Category>)> = facts.iter().filter_map(|fact| self.words_in(fact)).collect();
        let class = if found.is_empty() { Class::Normal } else { Class::Vault };
        // Its messages' own times count: what is old already when it is imported is not kept for longer.
        let times = || facts.iter().map(Fact::time_ms);
        let messages_ms = || facts.iter().filter(|fact| matches!(fact, Fact::Message(_))).map(Fact::time_ms);
        let row = DocumentRow {
            messages: derived.imported.messages,
            ops: derived.ops,
            text_bytes: derived.text_bytes,
            digest: derived.imported.digest,
            newest: stamp.lsn,
            covered: stamp.lsn,
            tail: 0,
            class,
            oldest_ms: messages_ms().min().or_else(|| times().min()).unwrap_or_default(),
            newest_ms: messages_ms().max().or_else(|| times().max()).unwrap_or_default(),
        };
        let actor = ActorId::import(&self.id, &import, document);
        let chain = ChainRow { head: derived.head, device: DeviceId::default() };
        slot.documents.insert((document.kind, document.number), DocumentState { row, chains: [(actor, chain)].into() });
        self.audit(draft, Act::Imported { document, import });
        draft.write(Write::Document(document, row));
        draft.write(Write::Chain(document, actor, chain));
        let events = vec![TableEvent { epoch: 0, stamp, body }];
        let table = Table { epochs: vec![self.log.epoch], facts: Vec::new(), events };
        draft.write(Write::Snapshot(document, SnapshotRow { upto: stamp.lsn, bytes, table }, class));
        for (fact, hash) in facts.iter().zip(&derived.hashes) {
            let (author, message) = match fact {
                Fact::Message(message) => {
                    if let Some(media) = &message.media {
                        let key = self.log.key.media_key(&media.hash);
                        let row = MediaRow { shown: true, ..Self::media_row(slot, &key).unwrap_or_default() };
                        self.write_index(slot, draft, key, IndexRow::Media(row));
                    }
                    (message.by, messages.remove(&message.id))
                }
                Fact::Reaction { by, .. } => (*by, None),
                _ => (MemberId::HUB, None),
            };
            let stamp = Stamp { member: author, ..stamp };
            let row = KeyRow { document, hash: *hash, content: fact.content_digest(), stamp, message };
            self.write_index(slot, draft, fact.key_id(), IndexRow::Fact(row));
        }
        if let Some(row) = slot.row_mut() {
            row.imported = document.number + 1;
            for fact in &facts {
                match fact {
                    Fact::Message(message) => row.newest_message = row.newest_message.max(message.id),
                    _ => row.newest_key = row.newest_key.max(fact.ulid()),
                }
            }
            draft.write(Write::Conversation(Box::new(row.clone())));
        }
        for (message, categories) in found {
            self.mark_sensitive(slot, draft, document, message, &categories);
        }
        stamp.lsn
    }

    /// Takes back what a run brought into a conversation.
    pub(crate) fn undo_import(
        &mut self,
        id: ConversationId,
        slot: &mut Slot,
        request: u64,
        import: ImportId,
        effects: &mut Vec<Effect>,
    ) {
        let mut draft = Draft::by(Actor::Machine);
        let outcome = match slot.row().map(|row| row.imported) {
            None => Outcome::Refused(RefusalCode::ConversationUnknown.into()),
            // The store finds what it must delete by reading, and it reads what is durable.
            Some(_) if !self.log.is_durable(slot.importing) => {
                Outcome::Refused(Refusal { retry_after_ms: Some(100), ..RefusalCode::Busy.into() })
            }
            Some(imported) => {
                for number in 0..imported {
                    self.undo_segment(slot, &mut draft, DocumentId::imported(id, number), import);
                }
                Outcome::Done(self.log.head)
            }
        };
        let ticket = self.log.commit(draft, effects);
        self.answer_after(ticket, Commander::Administrator(request), outcome, effects);
    }

    /// Takes one imported segment back, if this run brought it and it still stands.
    pub(crate) fn undo_segment(&mut self, slot: &mut Slot, draft: &mut Draft, document: DocumentId, import: ImportId) {
        let actor = ActorId::import(&self.id, &import, document);
        let state = slot.document_mut(document).filter(|state| state.chains.contains_key(&actor));
        let Some(state) = state else { return };
        *state = DocumentState::default();
        if !self.planted.is(HubBug::UndoneStaysKnown) {
            slot.forget_facts_of(document);
        }
        self.compaction.forget(document);
        draft.write(Write::DocumentGone(document));
        let event = DirectoryEvent::ImportUndone { document, import };
        self.append_to(slot, draft, Author::new(MemberId::HUB), EntryBody::Directory(event.clone()));
        slot.gone.insert(document);
        self.note_event(draft, event);
    }
}

/// Counts a fact with the message that it is or is about.
fn count(messages: &mut Messages, fact: &Fact) -> Result<(), RefusalCode> {
    if let Fact::Message(message) = fact {
        let row = MessageRow {
            dir: message.dir,
            // It is no reply of this team: the lock does not know it, and nobody delivers it.
            accepted: None,
            resolution: None,
            delivery: None,
            readmitted: false,
            retracted_by: Vec::new(),
            reactions: Vec::new(),
            sensitive: Vec::new(),
        };
        messages.insert(message.id, row);
        return Ok(());
    }
    let Fact::Reaction { message, by, .. } = fact else { return Ok(()) };
    let Some(row) = messages.get_mut(message) else { return Ok(()) };
    match row.reactions.binary_search_by_key(by, |(by, _)| *by) {
        Ok(at) if row.reactions[at].1 >= limits::REACTIONS_MAX => Err(RefusalCode::ReactionsFull),
        Ok(at) => {
            row.reactions[at].1 += 1;
            Ok(())
        }
        Err(at) => {
            room(row.reactions.len())?;
            row.reactions.insert(at, (*by, 1));
            Ok(())
        }
    }
}
