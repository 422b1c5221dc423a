//! Keep times and shredding: nothing goes too early, nothing stays too long, and nothing of what went is sent or kept.

use lockstep_protocol::entry::{Entry, EntryBody, PlacedFact, Stamp};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::frame::HubFrame;
use lockstep_protocol::id::{DocumentId, DocumentKind, Lsn};

use super::{Checker, Violation};
use crate::store::Disk;

/// How long after its time a document may still be there when all is quiet: a look, and some ticks.
const LATE_MS: u64 = 60_000;

impl Checker {
    /// When a document's newest fact was received that is no retraction, or the time of its newest message; none without.
    pub(super) fn newest_ms(&self, document: DocumentId) -> Option<u64> {
        if document.kind == DocumentKind::Imported {
            return self.model.imports.get(&document)?.imported.last.map(|id| id.time_ms());
        }
        let facts = self.model.entries.iter().filter_map(|recorded| match &recorded.entry.body {
            EntryBody::Fact(placed) if placed.document == document => Some((placed, recorded.entry.stamp.at_ms)),
            _ => None,
        });
        facts.filter(|(placed, _)| !matches!(placed.fact, Fact::Retraction { .. })).map(|(_, at_ms)| at_ms).max()
    }

    /// A document expires: everything in it is old enough, and nobody writes into it any more.
    pub(super) fn check_expiry(&self, document: DocumentId, lsn: Lsn, wall_ms: u64) -> Result<(), Violation> {
        let early = |why: &str| Violation::fail("expired-early", format!("{document:?} goes with {lsn:?}: {why}"));
        let Some(keep_ms) = self.model.directory().keep_ms(document.conversation) else {
            return early("it is kept for ever");
        };
        if self.newest_ms(document).is_some_and(|newest_ms| newest_ms + keep_ms > wall_ms) {
            return early("it is too young");
        }
        let open = self.model.open.get(&document.conversation).copied().unwrap_or_default();
        match document.kind {
            DocumentKind::Segment if document.number < open.0 => Ok(()),
            DocumentKind::Imported => Ok(()),
            DocumentKind::Segment | DocumentKind::Card => early("it is open, or a card"),
        }
    }

    /// What is re-admitted is not older than the keep time.
    pub(super) fn check_young(&self, placed: &PlacedFact, stamp: &Stamp, wall_ms: u64) -> Result<(), Violation> {
        let keep_ms = self.model.directory().keep_ms(placed.document.conversation);
        let over = keep_ms.is_some_and(|ms| stamp.at_ms + ms <= wall_ms);
        if !over || placed.document.kind == DocumentKind::Card {
            return Ok(());
        }
        Violation::fail("expired-readmitted", format!("{:?} is older than its keep time: {placed:?}", stamp.lsn))
    }

    /// Nothing is sent of what is gone.
    pub(super) fn check_not_gone(&self, frame: &HubFrame) -> Result<(), Violation> {
        let gone =
            |document: Option<DocumentId>| document.is_some_and(|document| self.model.gone.contains_key(&document));
        let sent = |what: String| Violation::fail("gone-sent", what);
        match frame {
            HubFrame::Entries(entries) => {
                for bytes in &entries.entries {
                    let Some(Entry { stamp, body }) = Entry::from_bytes(&bytes.0) else {
                        return sent(format!("an entry up to {:?} that is none", entries.upto));
                    };
                    if gone(body.document()) {
                        return sent(format!("{:?} of {:?}", stamp.lsn, body.document()));
                    }
                }
                Ok(())
            }
            HubFrame::Snapshot(part) => {
                let content = !part.bytes.is_empty() || !part.tail.is_empty() || !part.table.facts.is_empty();
                if gone(Some(part.document)) && content {
                    return sent(format!("a snapshot of {:?}, read at {:?}", part.document, part.upto));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// When all is quiet the store holds nothing of what is gone, and nothing that should be.
    ///
    /// # Errors
    /// What it holds.
    pub fn check_kept(&self, disk: &Disk, wall_ms: u64) -> Result<(), Violation> {
        let fail = |what: String| Violation::fail("gone-kept", what);
        if let Some(document) = self.model.gone.keys().find(|document| disk.holds_any_of(**document)) {
            return fail(format!("something of {document:?} is left"));
        }
        if let Some(id) = self.model.shredded.keys().find(|id| disk.holds_any_in(**id)) {
            return fail(format!("something of {id:?} is left"));
        }
        let segments = self.model.documents.keys().filter(|document| document.kind == DocumentKind::Segment);
        for document in segments.chain(self.model.imports.keys()) {
            let keep_ms = self.model.directory().keep_ms(document.conversation);
            let newest_ms = self.newest_ms(*document);
            let ends_ms = keep_ms.zip(newest_ms).map(|(keep_ms, newest_ms)| newest_ms + keep_ms + LATE_MS);
            if ends_ms.is_some_and(|ends_ms| ends_ms < wall_ms) {
                return fail(format!("{document:?} is older than its keep time"));
            }
        }
        Ok(())
    }
}
