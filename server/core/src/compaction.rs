//! Compaction and retention: when a document is worth a new snapshot, and when old entries may go. DESIGN section 9.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::id::{ConversationId, DocumentId, Lsn};

use crate::conversation::{Slot, Work};
use crate::effect::{Apply, Effect, Report};
use crate::hub::Hub;
use crate::input::ApplyFailure;
use crate::log::Draft;
use crate::query::Query;
use crate::row::{DocumentRow, SnapshotRow, Write};
use crate::session::Mode;

/// Documents compacted at once.
const COMPACTING_MAX: usize = 4;
/// Documents that one look at the retention brings.
const RETENTION_DOCUMENTS_MAX: usize = 16;
/// Looks at the retention in one retention time.
const RETENTION_LOOKS: u64 = 16;

/// What is being compacted and what waits.
#[derive(Debug, Default)]
pub(crate) struct Compaction {
    /// Worth compacting.
    pub(crate) due: BTreeSet<DocumentId>,
    /// Worth compacting once their entries in flight are durable.
    in_flight: BTreeSet<DocumentId>,
    /// Under way, each with its tail at the start and whether it is a rebuild.
    running: BTreeMap<DocumentId, (u32, bool)>,
    /// Given up until the hub starts again.
    given_up: BTreeSet<DocumentId>,
    /// Rebuilds to be tried.
    rebuild: BTreeSet<DocumentId>,
    /// Monotonic milliseconds of the next look at the retention.
    look_at_ms: u64,
    looking: bool,
}

impl Compaction {
    pub(crate) fn wake(&mut self) {
        self.look_at_ms = 0;
    }

    pub(crate) fn retention_failed(&mut self) {
        self.looking = false;
    }

    /// A document went.
    pub(crate) fn forget(&mut self, document: DocumentId) {
        self.due.remove(&document);
        self.in_flight.remove(&document);
        self.running.remove(&document);
        self.rebuild.remove(&document);
        self.given_up.remove(&document);
    }

    /// A conversation went.
    pub(crate) fn forget_conversation(&mut self, conversation: ConversationId) {
        let stays = |document: &DocumentId| document.conversation != conversation;
        self.due.retain(stays);
        self.in_flight.retain(stays);
        self.running.retain(|document, _| stays(document));
        self.rebuild.retain(stays);
        self.given_up.retain(stays);
    }

    /// Its rows could not be read; it becomes due again with its next fact or the next look.
    pub(crate) fn failed(&mut self, document: DocumentId) {
        self.running.remove(&document);
    }
}

impl Hub {
    /// Queues what is worth compacting, a few at a time.
    pub(crate) fn compact_due(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_ready() {
            return;
        }
        while self.compaction.running.len() < COMPACTING_MAX {
            let Some(document) = self.compaction.due.pop_first() else { return };
            if self.compaction.given_up.contains(&document) || self.compaction.running.contains_key(&document) {
                continue;
            }
            self.compaction.running.insert(document, (0, false));
            self.enqueue(document.conversation, Work::Compact(document), effects);
        }
    }

    /// Looks again at documents that had entries in flight.
    pub(crate) fn compact_after_commit(&mut self, effects: &mut Vec<Effect>) {
        let mut in_flight = std::mem::take(&mut self.compaction.in_flight);
        self.compaction.due.append(&mut in_flight);
        self.compact_due(effects);
    }

    /// Hands a document to a worker, if there is anything to compact and nothing of it is in flight.
    pub(crate) fn compact(&mut self, slot: &mut Slot, document: DocumentId, effects: &mut Vec<Effect>) {
        let state = slot.document(document).filter(|state| state.row.tail > 0);
        let Some(state) = state else {
            self.compaction.running.remove(&document);
            return;
        };
        if state.row.newest > self.log.committed {
            self.compaction.running.remove(&document);
            self.compaction.in_flight.insert(document);
            return;
        }
        let rebuild = self.compaction.rebuild.remove(&document);
        self.compaction.running.insert(document, (state.row.tail, rebuild));
        let heads = state.chains.iter().map(|(actor, chain)| (*actor, chain.head)).collect();
        let DocumentRow { newest: upto, class, .. } = state.row;
        effects.push(Effect::Apply(Apply { document, upto, heads, class, rebuild }));
    }

    /// A worker is done with a document.
    pub(crate) fn applied(
        &mut self,
        document: DocumentId,
        outcome: Result<SnapshotRow, ApplyFailure>,
        effects: &mut Vec<Effect>,
    ) {
        let Some((tail, rebuilt)) = self.compaction.running.get(&document).copied() else { return };
        match outcome {
            Ok(snapshot) => {
                let work = Work::Compacted(document, tail, Box::new(snapshot));
                self.enqueue(document.conversation, work, effects);
            }
            Err(ApplyFailure::BaseDamaged | ApplyFailure::Failed) if !rebuilt => {
                self.compaction.running.remove(&document);
                self.compaction.rebuild.insert(document);
                self.compaction.due.insert(document);
                self.report(Report::Rebuilding(document), effects);
            }
            Err(ApplyFailure::Unreadable) => {
                self.compaction.running.remove(&document);
                self.report(Report::CompactionFailed(document), effects);
            }
            Err(ApplyFailure::BaseDamaged | ApplyFailure::Failed) => {
                self.compaction.running.remove(&document);
                self.compaction.given_up.insert(document);
                self.report(Report::CompactionFailed(document), effects);
            }
        }
        self.compact_due(effects);
    }

    /// Publishes a new snapshot.
    pub(crate) fn compacted(
        &mut self,
        slot: &mut Slot,
        document: DocumentId,
        tail: u32,
        snapshot: SnapshotRow,
        effects: &mut Vec<Effect>,
    ) {
        self.compaction.running.remove(&document);
        // It may have gone meanwhile.
        let Some(state) = slot.document_mut(document).filter(|state| state.row.ops > 0) else { return };
        state.row.covered = snapshot.upto;
        state.row.tail = state.row.tail.saturating_sub(tail);
        let row = state.row;
        let mut draft = Draft::default();
        draft.write(Write::Snapshot(document, snapshot, row.class));
        draft.write(Write::Document(document, row));
        self.log.commit(draft, effects);
    }

    /// Looks from time to time which entries are old enough to go.
    pub(crate) fn check_retention(&mut self, effects: &mut Vec<Effect>) {
        let now_ms = self.now.mono_ms;
        if self.compaction.looking || now_ms < self.compaction.look_at_ms || !self.is_ready() {
            return;
        }
        self.compaction.looking = true;
        self.compaction.look_at_ms = now_ms + self.config.retention_ms / RETENTION_LOOKS;
        let before_ms = self.now.wall_ms.saturating_sub(self.config.retention_ms);
        effects.push(Effect::Load(Query::Retention { before_ms, documents_max: RETENTION_DOCUMENTS_MAX }));
    }

    pub(crate) fn retention_read(&mut self, upto: Lsn, uncovered: Vec<DocumentId>, effects: &mut Vec<Effect>) {
        self.compaction.looking = false;
        if !uncovered.is_empty() {
            // These first; then look again soon.
            let before = uncovered.len();
            let tried: Vec<DocumentId> =
                uncovered.into_iter().filter(|document| !self.compaction.given_up.contains(document)).collect();
            // A document that was given up keeps its entries, and with them the floor; it was reported.
            if tried.len() == before {
                self.compaction.look_at_ms = self.now.mono_ms;
            }
            self.compaction.due.extend(tried);
            return self.compact_due(effects);
        }
        // No session's next page may lie below the floor.
        let slowest = self.sessions.values().filter_map(|session| session.open()).map(|open| match &open.mode {
            Mode::Catalogue(job) => job.end.lsn,
            Mode::Live | Mode::Reading(_) => open.position,
        });
        let floor = slowest.fold(upto, Lsn::min);
        if floor > self.floor {
            self.floor = floor;
            let mut draft = Draft::default();
            draft.write(Write::Floor(floor));
            self.log.commit(draft, effects);
        }
    }
}
