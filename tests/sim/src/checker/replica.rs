//! What a device holds, against what the log says.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_client_core::row::EventKey;
use lockstep_client_core::store::Rows;
use lockstep_core::row::{IndexRow, KeyRow};
use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::entry::EntryBody;
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, Lsn, MemberId};
use lockstep_protocol::snapshot::DocumentDigest;

use super::{Checker, Violation};
use crate::store::Disk;

impl Checker {
    /// The device's durable cursor moved: everything visible up to it is held, or a backfill stands for it.
    ///
    /// # Errors
    /// An entry is missing.
    pub fn check_cursor(
        &self,
        at: usize,
        member: MemberId,
        before: Option<Cursor>,
        rows: &Rows,
    ) -> Result<(), Violation> {
        let Some(cursor) = rows.meta.cursor else { return Ok(()) };
        // A place on a branch that the hub lost says nothing about this log.
        if cursor.epoch != self.model.epoch()
            || cursor.lsn > self.model.head()
            || !cursor.lies_on(&self.model.chain(cursor.lsn))
        {
            return Ok(());
        }
        let from = before.filter(|before| before.epoch == cursor.epoch && before.lsn < cursor.lsn);
        let from = from.map_or(Lsn::ZERO, |before| before.lsn);
        for recorded in &self.model.entries[from.0 as usize..cursor.lsn.0 as usize] {
            let placed = match &recorded.entry.body {
                EntryBody::Fact(placed) => placed,
                EntryBody::Imported(imported) => {
                    self.check_cursor_import(at, member, from, imported.document, rows)?;
                    continue;
                }
                _ => continue,
            };
            let conversation = placed.document.conversation;
            if rows.backfills.contains_key(&conversation)
                || self.model.gone.contains_key(&placed.document)
                || rows.facts.contains_key(&(placed.document, placed.actor, placed.seq))
                || !self.always_sees(member, conversation, from)
            {
                continue;
            }
            let lsn = recorded.entry.stamp.lsn;
            return Violation::fail(
                "cursor-skips",
                format!(
                    "d{at}'s cursor moved from {from:?} to {:?}, but it does not hold {lsn:?}: {placed:?}",
                    cursor.lsn
                ),
            );
        }
        Ok(())
    }

    /// Whether the member sees the conversation in every state of the log from one LSN on.
    #[must_use]
    pub fn always_sees(&self, member: MemberId, conversation: ConversationId, from: Lsn) -> bool {
        self.model.directory_at(from).sees(member, conversation)
            && self
                .model
                .directories
                .iter()
                .filter(|(changed, _)| *changed > from)
                .all(|(_, directory)| directory.sees(member, conversation))
    }

    /// The hub's rows say what its log says.
    ///
    /// # Errors
    /// A row differs.
    pub fn check_rows(&self, disk: &Disk) -> Result<(), Violation> {
        let differs = |what: String| Violation::fail("rows", what);
        if disk.head != self.model.head() {
            return differs(format!("head row {:?}, log {:?}", disk.head, self.model.head()));
        }
        for ((conversation, key), lsn) in &self.model.keys {
            let recorded = &self.model.entries[lsn.0 as usize - 1].entry;
            match disk.key(*conversation, *key) {
                Some(IndexRow::Fact(KeyRow { stamp, .. })) if *stamp == recorded.stamp => {}
                // An imported fact's row names the fact's author.
                Some(IndexRow::Fact(KeyRow { stamp, document, .. }))
                    if document.kind == DocumentKind::Imported && stamp.mac == recorded.stamp.mac => {}
                row => return differs(format!("key of {lsn:?}: the log says {:?}, the row {row:?}", recorded.stamp)),
            }
        }
        if disk.facts() != self.model.keys.len() {
            return differs(format!("{} facts in the index, {} in the log", disk.facts(), self.model.keys.len()));
        }
        self.check_import_rows(disk)?;
        for (document, model) in &self.model.documents {
            let state = disk.document(*document);
            let chains: BTreeMap<_, _> =
                state.iter().flat_map(|state| state.chains.iter().map(|(actor, row)| (*actor, row.head))).collect();
            if chains != model.chains {
                return differs(format!("chains of {document:?}"));
            }
            let digest = state.map_or(DocumentDigest::default(), |state| state.row.digest);
            if digest != self.digest(*document) {
                return differs(format!("digest of {document:?}"));
            }
        }
        for (conversation, (segment, card)) in &self.model.open {
            let open = disk.conversation(*conversation).map(|row| (row.open_segment, row.open_card));
            if open != Some((*segment, *card)) {
                return differs(format!("{conversation:?} is open at {:?}, the row says {open:?}", (segment, card)));
            }
        }
        for ((conversation, message), known) in &self.model.messages {
            let row = disk.key(*conversation, (*message).into());
            if let Some(IndexRow::Fact(KeyRow { message: Some(row), .. })) = row {
                let resolution = known.resolution.map(|(_, resolution)| resolution);
                let reply = known.dir == lockstep_protocol::fact::Direction::Out;
                if row.resolution != resolution || (reply && row.accepted != known.accepted) {
                    return differs(format!("{message}: the log says {known:?}, the row {row:?}"));
                }
            }
        }
        Ok(())
    }

    /// The digest of a document by the log.
    #[must_use]
    pub fn digest(&self, document: DocumentId) -> DocumentDigest {
        let mut digest = DocumentDigest::default();
        let mut chains = BTreeMap::new();
        for recorded in &self.model.entries {
            match &recorded.entry.body {
                EntryBody::Fact(placed) if placed.document == document => {
                    let head = chains
                        .entry(placed.actor)
                        .or_insert_with(|| lockstep_protocol::change::ChainHead::empty(document.kind));
                    *head = lockstep_protocol::change::derive(&placed.actor, head, &placed.fact);
                    digest.toggle_fact(&head.hash, &recorded.entry.stamp.mac);
                }
                body @ (EntryBody::Resolved { .. } | EntryBody::Delivered { .. } | EntryBody::Sensitive { .. })
                    if body.document() == Some(document) =>
                {
                    digest.toggle_event(body, &recorded.entry.stamp.mac);
                }
                _ => {}
            }
        }
        digest
    }

    /// After quiescence a device holds exactly what its member may see.
    ///
    /// # Errors
    /// What differs first.
    pub fn check_replica(&self, at: usize, member: MemberId, rows: &Rows) -> Result<(), Violation> {
        let differs = |checker: &'static str, what: String| Violation::fail(checker, format!("d{at}: {what}"));
        let directory = self.model.directory();
        let visible: BTreeSet<ConversationId> =
            directory.conversations.keys().copied().filter(|id| directory.sees(member, *id)).collect();
        let held: BTreeSet<ConversationId> =
            rows.conversations.values().filter(|row| !row.lost).map(|row| row.conversation.id).collect();
        if let Some(id) = held.difference(&visible).next() {
            return differs("revoked-copy", format!("still holds {id:?}, which {member:?} may not see"));
        }
        if let Some(id) = visible.difference(&held).next() {
            return differs("converge", format!("does not hold {id:?}, which {member:?} may see"));
        }
        if let Some(document) = rows.documents.keys().find(|document| !visible.contains(&document.conversation)) {
            return differs("revoked-copy", format!("still holds {document:?}"));
        }
        if let Some((document, ..)) = rows.facts.keys().find(|(document, ..)| !visible.contains(&document.conversation))
        {
            return differs("revoked-copy", format!("still holds facts of {document:?}"));
        }
        for id in &visible {
            self.check_conversation(at, *id, rows)?;
        }
        if let Some(cursor) = rows.meta.cursor
            && cursor.epoch != self.model.epoch()
        {
            return differs("converge", format!("cursor of another epoch: {cursor:?}"));
        }
        Ok(())
    }

    fn check_conversation(&self, at: usize, id: ConversationId, rows: &Rows) -> Result<(), Violation> {
        let differs = |what: String| Violation::fail("converge", format!("d{at}: {what}"));
        let row = &rows.conversations[&id];
        let open = self.model.open.get(&id).copied().unwrap_or_default();
        if (row.open_segment, row.open_card) != open {
            return differs(format!("{id:?} open at {:?}, not {open:?}", (row.open_segment, row.open_card)));
        }
        let assigned: BTreeSet<MemberId> = row.conversation.assigned.iter().copied().collect();
        if self.model.directory().conversations[&id].assigned != assigned {
            return differs(format!("{id:?} assigned to {assigned:?}"));
        }
        let markers: BTreeMap<MemberId, Lsn> = row.markers.iter().map(|marker| (marker.member, marker.read)).collect();
        if markers != self.markers(id) {
            return differs(format!("{id:?} markers {markers:?}, not {:?}", self.markers(id)));
        }
        let first = DocumentId { conversation: id, kind: DocumentKind::Segment, number: 0 };
        let last = DocumentId { conversation: id, kind: DocumentKind::Card, number: u32::MAX };
        for (document, model) in self.model.documents.range(first..=last) {
            self.check_document(at, *document, model, rows)?;
        }
        self.check_imports_held(at, id, rows)?;
        let known: BTreeSet<_> = self.model.documents.range(first..=last).map(|(document, _)| *document).collect();
        if let Some((document, ..)) = rows
            .facts
            .keys()
            .filter(|(document, ..)| document.kind != DocumentKind::Imported)
            .find(|(document, ..)| document.conversation == id && !known.contains(document))
        {
            return differs(format!("holds facts of {document:?}, which the log does not have"));
        }
        Ok(())
    }

    fn check_document(
        &self,
        at: usize,
        document: DocumentId,
        model: &crate::model::DocumentModel,
        rows: &Rows,
    ) -> Result<(), Violation> {
        let differs = |what: String| Violation::fail("converge", format!("d{at}: {document:?}: {what}"));
        let from = (document, lockstep_protocol::id::ActorId([0; 16]), 0);
        let to = (document, lockstep_protocol::id::ActorId([0xff; 16]), u32::MAX);
        let mut seqs: BTreeMap<_, u32> = BTreeMap::new();
        let mut held = 0;
        for ((_, actor, seq), row) in rows.facts.range(from..=to) {
            held += 1;
            let key = row.placed.fact.key_id();
            let Some((lsn, _)) = model.facts.get(&key) else {
                return differs(format!("holds {:?}/{seq}, which the log does not have", actor));
            };
            let entry = &self.model.entries[lsn.0 as usize - 1].entry;
            if row.stamp != entry.stamp {
                return differs(format!("stamp of {key:?} is {:?}, not {:?}", row.stamp, entry.stamp));
            }
            match &entry.body {
                EntryBody::Fact(placed) if placed.fact == row.placed.fact && placed.actor == *actor => {}
                _ => return differs(format!("fact at {lsn:?} is {:?}", row.placed)),
            }
            *seqs.entry(*actor).or_default() = *seq;
        }
        if held != model.facts.len() {
            return differs(format!("holds {held} facts of {}", model.facts.len()));
        }
        if let Some((actor, head)) = model.chains.iter().find(|(actor, head)| seqs.get(*actor) != Some(&head.seq)) {
            return differs(format!("chain {actor:?} ends at {:?}, not {}", seqs.get(actor), head.seq));
        }
        let events: BTreeSet<EventKey> =
            rows.events.keys().filter(|(of, _)| *of == document).map(|(_, key)| *key).collect();
        let expected: BTreeSet<EventKey> = self
            .model
            .entries
            .iter()
            .filter(|recorded| recorded.entry.body.document() == Some(document))
            .filter_map(|recorded| EventKey::of(&recorded.entry.body))
            .collect();
        if events != expected {
            return differs(format!("events {events:?}, not {expected:?}"));
        }
        let digest = rows.documents.get(&document).map_or(DocumentDigest::default(), |row| row.digest);
        if digest != self.digest(document) {
            return differs(format!("the digest differs; events {events:?}"));
        }
        Ok(())
    }

    fn markers(&self, conversation: ConversationId) -> BTreeMap<MemberId, Lsn> {
        let mut markers: BTreeMap<MemberId, Lsn> = BTreeMap::new();
        for recorded in &self.model.entries {
            if let EntryBody::Marked { conversation: of, read, .. } = &recorded.entry.body
                && *of == conversation
            {
                let newest = markers.entry(recorded.entry.stamp.member).or_default();
                *newest = (*newest).max(*read);
            }
        }
        markers
    }
}
