//! Keep times: segments are closed while they are young, and go as a whole once everything in them is old enough.
//!
//! Looked at from time to time, some documents at a time, beside everything else. A segment takes facts for a part of the
//! keep time only ([`Keep::segment_ms`](lockstep_protocol::keep::Keep::segment_ms)), so that no fact stays much longer
//! than the keep time because it shares a segment with newer ones. Cards stay: they say what is known of the customer.

use std::collections::BTreeSet;

use lockstep_protocol::directory::DirectoryEvent;
use lockstep_protocol::entry::EntryBody;
use lockstep_protocol::fact::{Fact, KeyId};
use lockstep_protocol::id::{DocumentId, DocumentKind, MemberId};
use lockstep_protocol::keep::Keep;
use lockstep_protocol::limits;

use crate::conversation::{Slot, Work};
use crate::effect::{Effect, Report};
use crate::hub::Hub;
use crate::log::{Author, Draft};
use crate::planted::HubBug;
use crate::push::open_number;
use crate::query::{Aged, Query};
use crate::row::{DocumentRow, DocumentState, IndexRow, Remains, Write};

/// Documents that one look goes through.
const DOCUMENTS_MAX: usize = 256;
/// Documents of one look that are closed or deleted: whatever is committed beside that waits for no more than these.
const DUE_MAX: usize = 4;
/// A clock that is further ahead, of itself a moment ago or of the newest entry when the hub starts, may be wrong: what
/// expires by a wrong clock is lost.
const AHEAD_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

/// How far the look got.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    /// Monotonic milliseconds of the next round.
    look_at_ms: u64,
    /// Nothing expires before, monotonic milliseconds.
    hold_until_ms: u64,
    /// The next documents are being asked for.
    asking: bool,
    /// The last document looked at in this round.
    after: Option<DocumentId>,
    /// Documents that are waited for.
    running: BTreeSet<DocumentId>,
}

impl Expiry {
    /// Its rows could not be read; the next round looks again.
    pub(crate) fn failed(&mut self, document: DocumentId) {
        self.running.remove(&document);
    }
}

impl Hub {
    /// How long a conversation's messages are kept.
    pub(crate) fn keep_of(&self, slot: &Slot) -> Keep {
        slot.row().map_or(Keep::FOREVER, |row| row.conversation.keep_under(&self.access.sequenced.policy))
    }

    /// The clock is so far ahead of where it was expected.
    pub(crate) fn watch_clock(&mut self, ahead_ms: u64, effects: &mut Vec<Effect>) {
        if ahead_ms > AHEAD_MS_MAX && self.config.keep_hold_ms > 0 {
            self.expiry.hold_until_ms = self.now.mono_ms + self.config.keep_hold_ms;
            self.report(Report::ClockAhead { by_ms: ahead_ms, hold_ms: self.config.keep_hold_ms }, effects);
        }
    }

    /// Asks for the next documents, if it is time and none are waited for.
    pub(crate) fn check_keep(&mut self, effects: &mut Vec<Effect>) {
        let expiry = &self.expiry;
        let busy =
            self.now.mono_ms < expiry.hold_until_ms || expiry.asking || !expiry.running.is_empty() || self.draining;
        if busy || self.now.mono_ms < expiry.look_at_ms || !self.is_ready() {
            return;
        }
        self.expiry.asking = true;
        let keep = self.access.sequenced.policy.keep.unwrap_or_default();
        let after = self.expiry.after;
        effects.push(Effect::Load(Query::Ages { after, keep, documents_max: DOCUMENTS_MAX }));
    }

    /// A keep time changed: the next round begins now.
    pub(crate) fn keep_changed(&mut self) {
        self.expiry.look_at_ms = 0;
        self.expiry.after = None;
    }

    /// The next documents; none if they could not be read, then the next tick asks again.
    pub(crate) fn ages_read(
        &mut self,
        after: Option<DocumentId>,
        answer: Option<(Vec<Aged>, Option<DocumentId>)>,
        effects: &mut Vec<Effect>,
    ) {
        self.expiry.asking = false;
        let Some((aged, last)) = answer.filter(|_| after == self.expiry.after) else { return };
        self.expiry.after = last;
        if last.is_none() {
            self.expiry.look_at_ms = self.now.mono_ms + self.config.keep_look_ms;
        }
        let mut due: Vec<Aged> = aged.into_iter().filter(|aged| self.is_due(aged)).collect();
        if due.len() > DUE_MAX {
            due.truncate(DUE_MAX);
            // The next tick goes on behind these.
            self.expiry.after = due.last().map(|aged| aged.document);
            self.expiry.look_at_ms = self.now.mono_ms;
        }
        for aged in due {
            self.expiry.running.insert(aged.document);
            self.enqueue(aged.document.conversation, Work::Keep(Box::new(aged)), effects);
        }
    }

    fn is_due(&self, aged: &Aged) -> bool {
        let now_ms = self.now.wall_ms;
        let over = |since_ms: u64, for_ms: Option<u64>| for_ms.is_some_and(|ms| since_ms.saturating_add(ms) <= now_ms);
        let ends = match aged.is_open {
            true => over(aged.oldest_ms, aged.keep.segment_ms()),
            false => over(aged.newest_ms, aged.keep.ms()),
        };
        ends || !aged.is_stored
    }

    /// Whether a document's facts are all older than the keep time. `row` says how old they are.
    fn is_expired(&self, slot: &Slot, document: DocumentId, row: &DocumentRow) -> bool {
        let keep = self.keep_of(slot).ms();
        let over = keep.is_some_and(|ms| row.newest_ms.saturating_add(ms) <= self.now.wall_ms);
        over && row.ops > 0 && row.oldest_ms > 0 && document.kind != DocumentKind::Card
    }

    /// The row of a document with its facts' times.
    fn aged_row(slot: &Slot, aged: &Aged) -> Option<DocumentRow> {
        let row = slot.document(aged.document)?.row;
        let known = row.oldest_ms > 0 || row.ops == 0;
        Some(if known {
            row
        } else {
            DocumentRow { oldest_ms: aged.oldest_ms, newest_ms: row.newest_ms.max(aged.newest_ms), ..row }
        })
    }

    /// What is to be read before a document can go.
    pub(crate) fn keep_misses(&self, slot: &Slot, aged: &Aged) -> Option<Query> {
        let row = Self::aged_row(slot, aged).filter(|row| self.is_expired(slot, aged.document, row))?;
        self.remains_missing(slot, aged.document, &row)
    }

    /// The question for what remains of a document, unless it is answered. What is in flight it would not find.
    pub(crate) fn remains_missing(&self, slot: &Slot, document: DocumentId, row: &DocumentRow) -> Option<Query> {
        let is_there = slot.remains.as_ref().is_some_and(|(known, _)| *known == document);
        (!is_there && row.newest <= self.log.committed).then_some(Query::Remains(document))
    }

    /// Closes a segment that is old enough, and deletes one that is older than the keep time.
    pub(crate) fn keep_document(&mut self, slot: &mut Slot, aged: &Aged, effects: &mut Vec<Effect>) {
        let document = aged.document;
        self.expiry.running.remove(&document);
        let remains = slot.remains.take().filter(|(known, _)| *known == document).map(|(_, remains)| remains);
        let Some(row) = Self::aged_row(slot, aged).filter(|row| row.ops > 0) else { return };
        let mut draft = Draft::default();
        if let Some(state) = slot.document_mut(document).filter(|state| state.row != row) {
            state.row = row;
            draft.write(Write::Document(document, row));
        }
        let is_open = document.kind == DocumentKind::Segment
            && slot.row().is_some_and(|open| document.number == open_number(open, document.kind));
        let segment_ms = self.keep_of(slot).segment_ms();
        if is_open && segment_ms.is_some_and(|ms| row.oldest_ms.saturating_add(ms) <= self.now.wall_ms) {
            self.open_another(slot, &mut draft, document);
            if let Some(row) = slot.row() {
                draft.write(Write::Conversation(Box::new(row.clone())));
            }
        }
        let has_been_read = |remains: &Remains| remains.newest == row.newest;
        if let Some(remains) = remains.filter(has_been_read)
            && self.is_expired(slot, document, &row)
        {
            self.expire(slot, &mut draft, document, remains);
        }
        self.log.commit(draft, effects);
    }

    /// A document that expired before a restore is taken away again.
    /// What has its number and is newer is something else: it was written after another restore.
    pub(crate) fn expire_again(&mut self, slot: &mut Slot, draft: &mut Draft, document: DocumentId, newest_ms: u64) {
        let remains = slot.remains.take().filter(|(known, _)| *known == document).map(|(_, remains)| remains);
        let went = |row: &DocumentRow| row.ops > 0 && row.newest_ms <= newest_ms;
        let stands = slot.document(document).is_some_and(|state| went(&state.row));
        let Some(remains) = remains.filter(|_| stands) else { return };
        let is_open = slot.row().is_some_and(|row| document.number == open_number(row, document.kind));
        if document.kind == DocumentKind::Segment && is_open {
            self.open_another(slot, draft, document);
        }
        self.expire(slot, draft, document, remains);
    }

    /// Deletes a document.
    fn expire(&mut self, slot: &mut Slot, draft: &mut Draft, document: DocumentId, remains: Remains) {
        self.compaction.forget(document);
        let newest_ms = slot.document(document).map_or(0, |state| state.row.newest_ms);
        if let Some(state) = slot.document_mut(document) {
            *state = DocumentState::default();
        }
        slot.recents.forget(document);
        if !self.planted.is(HubBug::ExpiredStaysKnown) {
            slot.forget_facts_of(document);
        }
        let gone = |message| remains.keys.binary_search(&KeyId::from(message)).is_ok();
        if slot.lock.forget(gone) {
            slot.store_replies();
        }
        draft.write(Write::DocumentExpired(document, Box::new(remains)));
        let event = DirectoryEvent::Expired { document, newest_ms };
        self.append_to(slot, draft, Author::new(MemberId::HUB), EntryBody::Directory(event.clone()));
        slot.gone.insert(document);
        self.note_event(draft, event);
    }

    /// Whether a document went: a closed one without facts.
    pub(crate) fn is_gone(&self, slot: &Slot, document: DocumentId) -> bool {
        let closed = slot.row().is_some_and(|row| document.number < open_number(row, document.kind));
        closed && slot.document(document).is_none_or(|state| state.row.ops == 0)
    }

    /// Whether a fact was written longer ago than the keep time. It may be one that stood and went, whose Ack never came:
    /// written again, a reply would go to the customer twice. A clock may be ahead, so it may be a little younger.
    pub(crate) fn is_over(&self, slot: &Slot, fact: &Fact) -> bool {
        let now_ms = self.now.wall_ms.saturating_add(limits::CLOCK_AHEAD_MS_MAX);
        let over = |ms| fact.time_ms().saturating_add(ms) <= now_ms;
        let counts = matches!(fact, Fact::Message(_) | Fact::Edit { .. } | Fact::Reaction { .. });
        counts && self.keep_of(slot).ms().is_some_and(over)
    }

    /// Whether a segment is too old for one more fact: what comes late goes into the open one, or the old ones would never
    /// go. Not retractions: those stand beside their message, and go with it.
    pub(crate) fn is_aged(&self, slot: &Slot, row: &DocumentRow, fact: &Fact) -> bool {
        let segment_ms = self.keep_of(slot).segment_ms();
        let over = segment_ms.is_some_and(|ms| row.oldest_ms.saturating_add(ms) <= self.now.wall_ms);
        over && row.oldest_ms > 0 && matches!(fact, Fact::Message(_) | Fact::Edit { .. } | Fact::Reaction { .. })
    }
}

impl Slot {
    /// What is in memory of a document's facts is no longer known.
    pub(crate) fn forget_facts_of(&mut self, document: DocumentId) {
        for row in self.index.values_mut() {
            if matches!(row, Some(IndexRow::Fact(known)) if known.document == document) {
                *row = None;
            }
        }
    }
}
