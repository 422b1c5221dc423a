//! Imported segments: what an entry announces is what its batch holds, nothing is doubled, and devices know of exactly
//! those that stand.

use std::collections::BTreeMap;

use lockstep_client_core::store::Rows;
use lockstep_core::effect::LogEntry;
use lockstep_core::row::{SnapshotRow, Write};
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, Lsn, MemberId};
use lockstep_protocol::import::ImportPlace;
use lockstep_protocol::limits;
use lockstep_protocol::snapshot::DocumentDigest;

use super::{Checker, Violation};
use crate::model::ImportModel;
use crate::store::Disk;

impl Checker {
    /// An entry of a batch became durable: if it announces an imported segment, the batch holds it.
    pub(super) fn check_import(&mut self, logged: &LogEntry, writes: &[Write], wall_ms: u64) -> Result<(), Violation> {
        let Some(Entry { stamp, body: EntryBody::Imported(imported) }) = Entry::from_bytes(&logged.bytes) else {
            return Ok(());
        };
        let (lsn, document) = (stamp.lsn, imported.document);
        let breaks = |rule: &str| Violation::fail("import", format!("{lsn:?} breaks {rule}: {imported:?}"));
        let snapshot = writes.iter().find_map(|write| match write {
            Write::Snapshot(of, row, _) if *of == document => Some(row),
            _ => None,
        });
        let Some(SnapshotRow { upto, bytes, table }) = snapshot else { return breaks("one batch") };
        let announced = table.events.first().map(|row| (row.stamp, &row.body));
        if *upto != lsn || announced != Some((stamp, &EntryBody::Imported(imported))) || !table.facts.is_empty() {
            return breaks("its table");
        }
        let Some(placed) = self.worker.facts(DocumentKind::Imported, bytes) else { return breaks("its document") };
        let facts: Vec<Fact> = placed.into_iter().map(|placed| placed.fact).collect();
        let place = ImportPlace { hub: self.hub, import: imported.import, document };
        match place.derive(&facts) {
            Ok(derived) if derived.imported == imported => {}
            other => return breaks(&format!("what its facts come to, {other:?}")),
        }
        let conversation = document.conversation;
        if document.number != self.model.next_import.get(&conversation).copied().unwrap_or_default() {
            return breaks("the order of numbers");
        }
        for fact in &facts {
            if let Some(first) = self.model.keys.get(&(conversation, fact.key_id())) {
                return Violation::fail("doubled", format!("{fact:?} of {lsn:?} stands at {first:?} already"));
            }
            if fact.time_ms() > wall_ms.max(stamp.at_ms) + limits::CLOCK_AHEAD_MS_MAX {
                return breaks("the bounds of time");
            }
            let own = |target| facts.iter().any(|fact| matches!(fact, Fact::Message(message) if message.id == target));
            let known = |target| {
                let known = self.model.messages.get(&(conversation, target));
                known.is_some_and(|known| known.document.kind == DocumentKind::Imported)
            };
            if fact.target().is_some_and(|target| !own(target) && !known(target)) {
                return breaks("a known target");
            }
        }
        self.model.import(ImportModel { lsn, imported, facts });
        Ok(())
    }

    /// The hub's rows of imported segments say what its log says.
    pub(super) fn check_import_rows(&self, disk: &Disk) -> Result<(), Violation> {
        for (document, model) in &self.model.imports {
            let digest = disk.document(*document).map(|state| state.row.digest);
            if digest != Some(model.imported.digest) || disk.snapshot(*document).is_none() {
                return Violation::fail(
                    "rows",
                    format!("{document:?} has {digest:?}, not {:?}", model.imported.digest),
                );
            }
        }
        for (conversation, next) in &self.model.next_import {
            let row = disk.conversation(*conversation).map(|row| row.imported);
            if row != Some(*next) {
                return Violation::fail("rows", format!("{conversation:?} goes on with import {row:?}, not {next}"));
            }
        }
        Ok(())
    }

    /// The device's cursor passed the entry of an imported segment that still stands: the device knows of it.
    pub(super) fn check_cursor_import(
        &self,
        at: usize,
        member: MemberId,
        from: Lsn,
        document: DocumentId,
        rows: &Rows,
    ) -> Result<(), Violation> {
        let conversation = document.conversation;
        if !self.model.imports.contains_key(&document)
            || rows.backfills.contains_key(&conversation)
            || rows.documents.get(&document).is_some_and(|row| row.listed.is_some())
            || !self.always_sees(member, conversation, from)
        {
            return Ok(());
        }
        Violation::fail(
            "cursor-skips",
            format!("d{at}'s cursor moved from {from:?}, but it does not know {document:?}"),
        )
    }

    /// A device knows of the imported segments that stand, and of no others; what it holds of one, it holds whole.
    pub(super) fn check_imports_held(&self, at: usize, id: ConversationId, rows: &Rows) -> Result<(), Violation> {
        let differs = |what: String| Violation::fail("converge", format!("d{at}: {what}"));
        let range = DocumentId::all_imported(id);
        let listed: BTreeMap<_, _> =
            rows.documents.range(range.clone()).map(|(document, row)| (*document, row.listed)).collect();
        let stands: BTreeMap<_, _> =
            self.model.imports.range(range).map(|(document, model)| (*document, Some(model.imported.digest))).collect();
        if listed != stands {
            return differs(format!("{id:?} has imported {listed:?}, not {stands:?}"));
        }
        let held = |document: DocumentId| rows.facts.iter().filter(move |((of, ..), _)| *of == document);
        let stray = rows.facts.keys().find(|(document, ..)| {
            document.conversation == id
                && document.kind == DocumentKind::Imported
                && !self.model.imports.contains_key(document)
        });
        if let Some((document, ..)) = stray {
            return differs(format!("holds facts of {document:?}, which does not stand"));
        }
        for document in stands.keys() {
            let model = &self.model.imports[document];
            let digest = rows.documents[document].digest;
            if digest == DocumentDigest::default() && held(*document).next().is_none() {
                continue;
            }
            let facts: Vec<&Fact> = held(*document).map(|(_, row)| &row.placed.fact).collect();
            if digest != model.imported.digest || !facts.iter().copied().eq(&model.facts) {
                return differs(format!("{document:?} is not what was imported: {digest:?}, {} facts", facts.len()));
            }
        }
        Ok(())
    }
}
