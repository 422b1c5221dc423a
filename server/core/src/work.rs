//! Work in conversations: what waits for rows, in order, and is done when they are there.

use std::collections::btree_map::Entry;

use lockstep_protocol::directory::DirectoryEvent;
use lockstep_protocol::entry::EntryBody;
use lockstep_protocol::fact::{Direction, Fact, KeyId};
use lockstep_protocol::frame::{Command, Outcome};
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, MemberId};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::conversation::{Commander, Committed, Presence, Slot, Work};
use crate::effect::{Effect, Report};
use crate::hub::{Hub, INDEX_ROWS_MAX, refused};
use crate::input::SessionId;
use crate::lock::Reply;
use crate::query::{Answer, LoadFailure, Query};
use crate::row::{AcceptedReply, IndexRow, MediaRow};

impl Hub {
    /// Adds work to a conversation's queue and does what can be done. The conversation is read first if it must be.
    pub(crate) fn enqueue(&mut self, id: ConversationId, work: Work, effects: &mut Vec<Effect>) {
        if !self.conversations.contains_key(&id) {
            let used = self.next_use(id);
            let mut slot = Slot::loading(used);
            let query = Query::Conversation(id);
            slot.loading.insert(query.clone());
            self.conversations.insert(id, Box::new(slot));
            effects.push(Effect::Load(query));
        }
        let slot = self.conversations.get_mut(&id).expect("it was just put there");
        slot.queue.push_back(work);
        self.process(id, effects);
    }

    /// Does a conversation's work in order, until it is done or a row is missing.
    pub(crate) fn process(&mut self, id: ConversationId, effects: &mut Vec<Effect>) {
        let Some(mut slot) = self.conversations.remove(&id) else { return };
        let mut waking = Vec::new();
        while slot.loading.is_empty()
            && let Some(work) = slot.queue.pop_front()
        {
            let missing = self.missing(id, &mut slot, &work);
            if !missing.is_empty() {
                slot.queue.push_front(work);
                for query in missing {
                    if slot.loading.insert(query.clone()) {
                        effects.push(Effect::Load(query));
                    }
                }
                break;
            }
            if let Some(open) = work.session().and_then(|session| self.open_mut(session)) {
                open.parked_bytes = open.parked_bytes.saturating_sub(work.bytes());
            }
            self.touch(&mut slot, id);
            match work {
                Work::Wake(session) => waking.push(session),
                work => {
                    self.perform(id, &mut slot, work, effects);
                    slot.pending = self.log.last_ticket();
                }
            }
        }
        slot.trim(INDEX_ROWS_MAX, &self.log);
        self.conversations_bytes -= slot.weight;
        slot.weight = slot.bytes();
        self.conversations_bytes += slot.weight;
        let unused = slot.queue.is_empty() && slot.loading.is_empty() && slot.pins == 0;
        // One that is being shredded must not be read again before that is durable.
        let gone = matches!(slot.presence, Presence::Absent) && unused && self.log.is_durable(slot.pending);
        self.conversations.insert(id, slot);
        if gone {
            // There is nothing to remember of a conversation that does not exist.
            self.forget(id);
        }
        for session in waking {
            self.woken(session, effects);
        }
    }

    fn perform(&mut self, id: ConversationId, slot: &mut Slot, work: Work, effects: &mut Vec<Effect>) {
        match work {
            Work::Push(session, push) => self.push(slot, session, push, effects),
            Work::Mark(session, tag, message) => self.mark(id, slot, session, tag, message, effects),
            Work::Typing(session) => self.typing(id, slot, session, effects),
            Work::Resolve(session, resolve) => self.resolve(slot, session, &resolve, effects),
            Work::Offer(session, tag, entries) => self.readmit(slot, session, tag, entries, effects),
            Work::Fetch(session, fetch) => self.fetch(slot, session, fetch, effects),
            Work::Command(commander, command) => self.conversation_command(id, slot, commander, command, effects),
            Work::Uploaded(member, media) => self.uploaded(id, slot, member, &media, effects),
            Work::Compact(document) => self.compact(slot, document, effects),
            Work::Scanned(document, hits) => self.mark_scanned(slot, document, &hits, effects),
            Work::Compacted(document, tail, snapshot) => self.compacted(slot, document, tail, *snapshot, effects),
            Work::ImportAsk(request, keys) => self.plan_import(id, slot, request, &keys, effects),
            Work::Import(request, segment) => self.import(slot, request, *segment, effects),
            Work::ImportUndo(request, import) => self.undo_import(id, slot, request, import, effects),
            Work::Keep(aged) => self.keep_document(slot, &aged, effects),
            Work::Shred(request) => self.shred(id, slot, request, effects),
            Work::Replay(event) => self.replay(id, slot, event, effects),
            // Done once the conversation is back in its place.
            Work::Wake(_) => {}
        }
    }

    /// The rows that this work needs and that are not in memory. Keys that are certainly new are noted as such.
    fn missing(&self, id: ConversationId, slot: &mut Slot, work: &Work) -> Vec<Query> {
        if matches!(slot.presence, Presence::Loading) {
            // An earlier read failed.
            return vec![Query::Conversation(id)];
        }
        let Some(row) = slot.row() else { return Vec::new() };
        let (newest_message, newest_key) = (row.newest_message, row.newest_key);
        let hub_key = &self.log.key;
        let (open_segment, open_card, imported) = (row.open_segment, row.open_card, row.imported);
        let mut documents: Vec<DocumentId> = Vec::new();
        let mut keys: Vec<KeyId> = Vec::new();
        let fact_keys = |slot: &mut Slot, fact: &Fact, keys: &mut Vec<KeyId>| {
            let key = fact.key_id();
            let certainly_new = match fact {
                Fact::Message(message) => message.id > newest_message,
                _ => fact.ulid() > newest_key,
            };
            match slot.index.entry(key) {
                Entry::Vacant(vacant) if certainly_new => {
                    vacant.insert(None);
                }
                Entry::Vacant(_) => keys.push(key),
                Entry::Occupied(_) => {}
            }
            keys.extend(fact.target().map(KeyId::from));
            if let Fact::Message(message) = fact {
                keys.extend(message.media.as_ref().map(|media| hub_key.media_key(&media.hash)));
                if message.dir == Direction::Out {
                    keys.extend(message.seen.filter(|seen| slot.lock.accepted_lsn(*seen).is_none()).map(KeyId::from));
                }
            }
        };
        match work {
            Work::Push(_, push) => {
                documents.push(push.document);
                // One reply's acceptance may push what another has seen out of the lock's memory.
                if push.facts.len() > 1 {
                    keys.extend(push.facts.iter().filter_map(|pushed| pushed.fact.seen()).map(KeyId::from));
                }
                for pushed in &push.facts {
                    fact_keys(slot, &pushed.fact, &mut keys);
                }
            }
            Work::Offer(_, _, entries) => {
                documents.push(DocumentId::segment(id, open_segment));
                documents.push(DocumentId::card(id, open_card));
                for (_, offered) in entries {
                    match &offered.body {
                        EntryBody::Fact(placed) => {
                            documents.push(placed.document);
                            fact_keys(slot, &placed.fact, &mut keys);
                        }
                        EntryBody::Resolved { message, .. } | EntryBody::Delivered { message, .. } => {
                            keys.push(KeyId::from(*message));
                        }
                        _ => {}
                    }
                }
            }
            Work::Mark(_, _, message) => keys.push(KeyId::from(*message)),
            Work::Resolve(_, resolve) => {
                keys.push(KeyId::from(resolve.message));
                keys.extend(resolve.seen.filter(|seen| slot.lock.accepted_lsn(*seen).is_none()).map(KeyId::from));
            }
            Work::Command(_, Command::Deliver { message, .. }) => {
                keys.push(KeyId::from(*message));
            }
            Work::Uploaded(_, media) => keys.push(hub_key.media_key(media)),
            Work::Scanned(document, hits) => {
                documents.extend([*document, DocumentId::segment(id, open_segment)]);
                keys.extend(hits.iter().filter_map(|hit| hit.message).map(KeyId::from));
            }
            Work::Compact(document) | Work::Compacted(document, ..) => documents.push(*document),
            Work::ImportAsk(_, asked) => keys.extend(asked),
            Work::Import(_, segment) => {
                // Marks of its messages stand there.
                documents.push(DocumentId::segment(id, open_segment));
                segment.facts.iter().for_each(|fact| fact_keys(slot, fact, &mut keys));
            }
            Work::ImportUndo(..) => documents.extend((0..imported).map(|number| DocumentId::imported(id, number))),
            Work::Replay(DirectoryEvent::ImportUndone { document, .. } | DirectoryEvent::Expired { document, .. }) => {
                documents.push(*document);
            }
            Work::Keep(aged) => documents.push(aged.document),
            Work::Typing(_)
            | Work::Fetch(..)
            | Work::Command(..)
            | Work::Replay(_)
            | Work::Shred(_)
            | Work::Wake(_) => {}
        }
        // Resolutions, deliveries and marks change the document that holds the message.
        if matches!(work, Work::Resolve(..) | Work::Command(..) | Work::Offer(..) | Work::Scanned(..)) {
            for key in &keys {
                documents.extend(slot.fact_row(key).map(|row| row.document));
            }
        }
        if let Work::Push(_, push) = work {
            let marked = push.facts.iter().filter(|pushed| pushed.fact.target().is_some());
            for (message, _) in marked.filter_map(|pushed| self.words_in(&pushed.fact)) {
                documents.push(DocumentId::segment(id, open_segment));
                documents.extend(slot.fact_row(&KeyId::from(message)).map(|row| row.document));
            }
        }
        let exists = |document: &DocumentId| match document.kind {
            DocumentKind::Segment => document.number <= open_segment,
            DocumentKind::Card => document.number <= open_card,
            DocumentKind::Imported => document.number < imported,
        };
        documents.sort_unstable();
        documents.dedup();
        documents.retain(|document| exists(document) && slot.document(*document).is_none());
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| !slot.index.contains_key(key));
        let mut missing: Vec<Query> = documents.into_iter().map(Query::Document).collect();
        missing.extend(
            keys.chunks(limits::PUSH_FACTS_MAX).map(|keys| Query::Keys { conversation: id, keys: keys.to_vec() }),
        );
        if missing.is_empty() {
            missing.extend(match work {
                Work::Keep(aged) => self.keep_misses(slot, aged),
                Work::Replay(DirectoryEvent::Expired { document, .. }) => {
                    let row = slot.document(*document).map(|state| state.row).filter(|row| row.ops > 0);
                    row.and_then(|row| self.remains_missing(slot, *document, &row))
                }
                _ => None,
            });
        }
        missing
    }

    /// Rows came back from the store.
    pub(crate) fn loaded(&mut self, query: Query, outcome: Result<Answer, LoadFailure>, effects: &mut Vec<Effect>) {
        match (query, outcome) {
            (Query::Chain { session, lsn }, Ok(Answer::Chain(chain))) => self.proven(session, lsn, chain, effects),
            (Query::Listing { session, conversation }, Ok(Answer::Listing { row, imported })) => {
                self.listing_read(session, conversation, row, imported, effects);
            }
            (Query::Log { session, .. }, Ok(Answer::Log { entries, upto, chain, read_at })) => {
                self.log_read(session, entries, upto, chain, read_at, effects);
            }
            (Query::Catalogue { session, .. }, Ok(Answer::Catalogue { conversations, last })) => {
                self.catalogue_read(session, conversations, last, effects);
            }
            (Query::Content { session, document }, Ok(Answer::Content { snapshot, tail, upto })) => {
                self.content_read(session, document, snapshot, &tail, upto, effects);
            }
            (Query::Retention { .. }, Ok(Answer::Retention { upto, uncovered })) => {
                self.retention_read(upto, uncovered, effects);
            }
            (Query::Documents { after, .. }, Ok(Answer::Documents(documents))) => {
                self.documents_read(after, Some(documents), effects);
            }
            (Query::Documents { after, .. }, _) => self.documents_read(after, None, effects),
            (Query::Ages { after, .. }, Ok(Answer::Ages { aged, last })) => {
                self.ages_read(after, Some((aged, last)), effects);
            }
            (Query::Ages { after, .. }, _) => self.ages_read(after, None, effects),
            (Query::Retention { .. }, _) => self.compaction.retention_failed(),
            (
                Query::Chain { session, .. }
                | Query::Log { session, .. }
                | Query::Listing { session, .. }
                | Query::Catalogue { session, .. }
                | Query::Content { session, .. },
                _,
            ) => {
                // The device connects again and asks anew.
                self.report(Report::Unreadable(None), effects);
                let refusal = Refusal { retry_after_ms: Some(1_000), ..Refusal::from(RefusalCode::Busy) };
                self.refuse_session(session, refusal, effects);
            }
            (query, outcome) => self.rows_loaded(query, outcome, effects),
        }
    }

    fn rows_loaded(&mut self, query: Query, outcome: Result<Answer, LoadFailure>, effects: &mut Vec<Effect>) {
        let id = match &query {
            Query::Conversation(id) | Query::Keys { conversation: id, .. } => *id,
            Query::Document(document) | Query::Remains(document) => document.conversation,
            _ => return,
        };
        let (started, window_ms) = (self.started, limits::REPLY_WINDOW_MS);
        let Some(slot) = self.conversations.get_mut(&id) else { return };
        if !slot.loading.remove(&query) {
            return;
        }
        match (query, outcome) {
            (Query::Conversation(_), Ok(Answer::Conversation(Some(row)))) => {
                // After a restart a reply's window ends at most five seconds after the start. DESIGN section 5.
                let reply = |row: AcceptedReply| Reply {
                    row,
                    window_ends_ms: started.mono_ms
                        + (row.at_ms.saturating_add(window_ms)).saturating_sub(started.wall_ms).min(window_ms),
                };
                slot.lock.last = row.last_reply.map(reply);
                slot.lock.last_other = row.last_other_reply.map(reply);
                slot.newest = row.newest;
                slot.presence = Presence::Present(Box::new(row));
                slot.committed = Committed::Same;
            }
            (Query::Conversation(_), Ok(Answer::Conversation(None))) => {
                slot.presence = Presence::Absent;
                slot.committed = Committed::Absent;
            }
            (Query::Document(document), Ok(Answer::Document(state))) => {
                slot.documents.insert((document.kind, document.number), state.unwrap_or_default());
            }
            (Query::Remains(document), Ok(Answer::Remains(remains))) => slot.remains = Some((document, *remains)),
            (Query::Keys { keys, .. }, Ok(Answer::Keys(rows))) if rows.len() == keys.len() => {
                let stands = |row: &IndexRow| match row {
                    IndexRow::Fact(row) => !slot.gone.contains(&row.document),
                    IndexRow::Media(_) => true,
                };
                slot.index.extend(keys.into_iter().zip(rows.into_iter().map(|row| row.filter(stands))));
            }
            _ => return self.unreadable(id, effects),
        }
        self.process(id, effects);
    }

    /// Rows of a conversation cannot be read: what waits is refused with `Busy`, and the next try reads again.
    fn unreadable(&mut self, id: ConversationId, effects: &mut Vec<Effect>) {
        self.report(Report::Unreadable(Some(id)), effects);
        let Some(slot) = self.conversations.get_mut(&id) else { return };
        let refused_work: Vec<Work> = slot.queue.drain(..).collect();
        slot.loading.clear();
        if matches!(slot.presence, Presence::Loading) && slot.pins == 0 {
            self.forget(id);
        }
        for work in refused_work {
            self.refuse_work(id, work, RefusalCode::Busy, effects);
        }
    }

    /// Answers work that cannot be done.
    pub(crate) fn refuse_work(&mut self, id: ConversationId, work: Work, code: RefusalCode, effects: &mut Vec<Effect>) {
        if let Some(open) = work.session().and_then(|session| self.open_mut(session)) {
            open.parked_bytes = open.parked_bytes.saturating_sub(work.bytes());
        }
        let retry_after_ms = (code == RefusalCode::Busy).then_some(1_000);
        let refusal = Refusal { retry_after_ms, ..Refusal::from(code) };
        let outcome = Outcome::Refused(refusal.clone());
        match work {
            Work::Push(session, push) => self.ack_now(session, push.tag, vec![outcome], effects),
            Work::Resolve(session, resolve) => self.ack_now(session, resolve.tag, vec![outcome], effects),
            Work::Command(Commander::Session(session, tag, _), _) => self.ack_now(session, tag, vec![outcome], effects),
            Work::Command(Commander::Administrator(request), _)
            | Work::Import(request, _)
            | Work::ImportUndo(request, _)
            | Work::Shred(request) => effects.push(Effect::Answer { request, outcome }),
            Work::ImportAsk(request, _) => {
                effects.push(Effect::ImportPlanned { request, outcome: Err(Box::new(refusal)) });
            }
            Work::Offer(session, tag, entries) => {
                let results = entries.into_iter().map(|(place, _)| (place, outcome.clone())).collect();
                self.offer_results(session, tag, results, effects);
            }
            Work::Fetch(session, fetch) => self.send(session, &refused(Some(fetch.tag), refusal), effects),
            Work::Mark(session, tag, _) => self.ack_now(session, tag, vec![outcome], effects),
            Work::Typing(session) => self.send(session, &refused(None, refusal), effects),
            Work::Wake(session) => self.refuse_session(session, refusal, effects),
            // Tried again: a loss that cannot be replayed keeps the hub closed, an upload is durable elsewhere.
            Work::Replay(event) => self.replay_later(event, effects),
            Work::Compact(document) | Work::Compacted(document, ..) => self.compaction.failed(document),
            Work::Keep(aged) => self.expiry.failed(aged.document),
            Work::Scanned(document, _) => self.scanned(document, None, effects),
            Work::Uploaded(member, media) => self.enqueue(id, Work::Uploaded(member, media), effects),
        }
    }

    /// The row of a media blob in a loaded conversation.
    pub(crate) fn media_row(slot: &Slot, key: &KeyId) -> Option<MediaRow> {
        match slot.index.get(key) {
            Some(Some(IndexRow::Media(row))) => Some(row.clone()),
            _ => None,
        }
    }

    /// The session's member, if they may see this conversation now.
    pub(crate) fn seeing_member(&self, slot: &Slot, session: SessionId) -> Option<MemberId> {
        let member = self.open(session)?.member;
        self.sees(slot, member).then_some(member)
    }

    /// Whether the member is about to lose a conversation by an entry that is not durable yet.
    pub(crate) fn loses(&self, slot: &Slot, member: MemberId) -> bool {
        let committed = slot.committed_conversation().is_some_and(|seen| self.access.committed.may_see(member, seen));
        committed && !self.sees(slot, member)
    }

    /// The one visibility question, for a conversation in memory.
    pub(crate) fn sees(&self, slot: &Slot, member: MemberId) -> bool {
        slot.row().is_some_and(|row| self.access.may_see(member, &row.conversation, slot.committed_conversation()))
    }
}
