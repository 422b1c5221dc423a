//! Shredding: a conversation goes for ever, with the keys under which it was sealed.
//!
//! One batch deletes everything of it, tells everyone, and remembers that its keys are still to be destroyed. Only when
//! that is durable the bodies of its entries in the log are erased and the keys destroyed, beside everything else; a hub
//! that stops in between goes on when it starts again.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::directory::DirectoryEvent;
use lockstep_protocol::entry::EntryBody;
use lockstep_protocol::frame::Outcome;
use lockstep_protocol::id::{ConversationId, Lsn, MemberId};
use lockstep_protocol::limits::SHREDDED_LISTED_MAX;
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::audit::Actor;
use crate::conversation::{Commander, Presence, Slot};
use crate::effect::Effect;
use crate::hub::Hub;
use crate::lock::Lock;
use crate::log::{Author, Draft};
use crate::planted::HubBug;
use crate::row::{ShredRow, Write};
use crate::sensitive::Recents;

/// What could not be done is tried again after this, milliseconds: a full disk takes longer.
const AGAIN_MS: u64 = 5_000;

/// Conversations that were shredded, and what is still to be done about them.
#[derive(Debug, Default)]
pub(crate) struct Shreds {
    rows: BTreeMap<ConversationId, ShredRow>,
    /// Keys that are being destroyed.
    running: BTreeSet<ConversationId>,
    /// Monotonic milliseconds before which nothing is tried again.
    again_ms: u64,
    /// Requests that wait for that.
    waiting: BTreeMap<ConversationId, Vec<u64>>,
}

impl Shreds {
    pub(crate) fn new(rows: BTreeMap<ConversationId, ShredRow>) -> Self {
        Self { rows, ..Self::default() }
    }

    /// Whether a conversation was shredded; its id is taken for ever.
    pub(crate) fn holds(&self, conversation: ConversationId) -> bool {
        self.rows.contains_key(&conversation)
    }

    /// The newest that are durable, as a catalogue lists them.
    pub(crate) fn listed(&self, committed: Lsn) -> Option<Vec<ConversationId>> {
        let durable = self.rows.iter().filter(|(_, row)| row.lsn <= committed);
        let mut rows: Vec<(Lsn, ConversationId)> = durable.map(|(id, row)| (row.lsn, *id)).collect();
        rows.sort_unstable();
        rows.drain(..rows.len().saturating_sub(SHREDDED_LISTED_MAX));
        let mut listed: Vec<ConversationId> = rows.into_iter().map(|(_, id)| id).collect();
        listed.sort_unstable();
        Some(listed).filter(|listed| !listed.is_empty())
    }
}

impl Hub {
    /// Destroys a conversation.
    pub(crate) fn shred(&mut self, id: ConversationId, slot: &mut Slot, request: u64, effects: &mut Vec<Effect>) {
        if slot.row().is_none() {
            let outcome = Outcome::Refused(RefusalCode::ConversationUnknown.into());
            return effects.push(Effect::Answer { request, outcome });
        }
        let mut draft = Draft::by(Actor::Machine);
        self.shred_conversation(id, slot, &mut draft);
        self.log.commit(draft, effects);
        self.shreds.waiting.entry(id).or_default().push(request);
    }

    /// Everything of a conversation goes with one entry; also when the hub was restored to before it, or after.
    pub(crate) fn shred_conversation(&mut self, id: ConversationId, slot: &mut Slot, draft: &mut Draft) {
        if self.shreds.rows.get(&id).is_some_and(|row| row.lsn > Lsn::ZERO) {
            return;
        }
        for held in self.leases.values_mut() {
            held.remove(&id);
        }
        self.compaction.forget_conversation(id);
        slot.keep_committed();
        slot.presence = Presence::Absent;
        slot.lock = Lock::default();
        slot.documents.clear();
        let index = std::mem::take(&mut slot.index);
        slot.recents = Recents::default();
        slot.remains = None;
        slot.gone.clear();
        let event = DirectoryEvent::ConversationShredded { conversation: id };
        let body = EntryBody::Directory(event.clone());
        let stamp = self.log.append(draft, self.now.wall_ms, Author::new(MemberId::HUB), body);
        slot.newest = stamp.lsn;
        self.note_event(draft, event);
        let row = ShredRow { lsn: stamp.lsn, done: false };
        self.shreds.rows.insert(id, row);
        draft.write(Write::ConversationGone(id));
        if self.planted.is(HubBug::ShredKeepsIndex) {
            for (key, row) in index.into_iter().filter_map(|(key, row)| Some((key, row?))) {
                draft.write(Write::Key(id, key, Box::new(row)));
            }
        }
        draft.write(Write::Shred(id, row));
    }

    /// Has the keys of shredded conversations destroyed whose deletion is durable.
    pub(crate) fn shred_on(&mut self, effects: &mut Vec<Effect>) {
        let (committed, now_ms) = (self.log.committed, self.now.mono_ms);
        if now_ms < self.shreds.again_ms {
            return;
        }
        let shreds = &mut self.shreds;
        for (id, row) in &shreds.rows {
            if !row.done && row.lsn <= committed && shreds.running.insert(*id) {
                effects.push(Effect::Shred(*id));
            }
        }
    }

    /// A conversation's keys are destroyed, or could not be: then it is tried again.
    pub(crate) fn shredded(&mut self, conversation: ConversationId, done: bool, effects: &mut Vec<Effect>) {
        self.shreds.running.remove(&conversation);
        let waiting = self.shreds.waiting.remove(&conversation).unwrap_or_default();
        let Some(row) = self.shreds.rows.get_mut(&conversation) else { return };
        row.done = done;
        if !done {
            self.shreds.again_ms = self.now.mono_ms + AGAIN_MS;
        }
        let lsn = row.lsn;
        let mut draft = Draft::default();
        if done {
            draft.write(Write::Shred(conversation, *row));
        }
        let ticket = self.log.commit(draft, effects);
        for request in waiting {
            let busy = Refusal { retry_after_ms: Some(1_000), ..RefusalCode::Busy.into() };
            let outcome = if done { Outcome::Done(lsn) } else { Outcome::Refused(busy) };
            self.answer_after(ticket, Commander::Administrator(request), outcome, effects);
        }
    }
}
