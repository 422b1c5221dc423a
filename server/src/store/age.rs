//! How old documents are, and what there is of one beside its own rows: for the core's look at keep times.

use std::collections::BTreeSet;

use lockstep_core::query::{Aged, Answer};
use lockstep_core::row::{ConversationRow, DocumentRow, ErasedEntry, Remains};
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::fact::KeyId;
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, Lsn};
use lockstep_protocol::keep::Keep;

use super::keys::{self, Family};
use super::read::Reader;
use super::seal::Place;
use super::{StoreError, decode};

/// What the look needs of a conversation.
#[derive(Clone, Copy)]
struct Kept {
    conversation: ConversationId,
    keep: Keep,
    open: u32,
}

impl Reader<'_> {
    /// The next documents whose keep time ends some day.
    pub(super) fn ages(
        &self,
        after: Option<DocumentId>,
        team: Keep,
        documents_max: usize,
    ) -> Result<Answer, StoreError> {
        let from = after.map_or(Vec::new(), |id| [&keys::document(id)[..], &[0]].concat());
        let (mut aged, mut last, mut seen) = (Vec::new(), None, 0);
        let mut kept: Option<Kept> = None;
        self.scan(Family::Documents, &from, |key, value| {
            let place = Place { family: Family::Documents, key };
            if seen == documents_max {
                return Ok(false);
            }
            seen += 1;
            let document = keys::document_of(key).ok_or_else(|| StoreError::corrupt(place, "no document"))?;
            last = Some(document);
            let conversation = document.conversation;
            let Kept { keep, open, .. } = match kept.filter(|kept| kept.conversation == conversation) {
                Some(kept) => kept,
                None => {
                    let row = self.conversation(conversation)?;
                    let of = |row: ConversationRow| (row.conversation.keep.unwrap_or(team), row.open_segment);
                    let (keep, open) = row.map_or((Keep::FOREVER, 0), of);
                    *kept.insert(Kept { conversation, keep, open })
                }
            };
            if keep == Keep::FOREVER || document.kind == DocumentKind::Card {
                return Ok(true);
            }
            let row: DocumentRow = decode(place, value)?;
            if row.ops > 0 {
                let is_open = document.kind == DocumentKind::Segment && document.number == open;
                let is_stored = row.oldest_ms > 0;
                let stored = (row.oldest_ms, row.newest_ms);
                let (oldest_ms, newest_ms) = if is_stored { stored } else { self.times_of(document)? };
                aged.push(Aged { document, keep, is_open, is_stored, oldest_ms, newest_ms });
            }
            Ok(true)
        })?;
        Ok(Answer::Ages { aged, last: last.filter(|_| seen == documents_max) })
    }

    /// Times of a document's oldest and newest fact, as an older program wrote it: when they were received, of an
    /// imported segment those of its messages.
    fn times_of(&self, document: DocumentId) -> Result<(u64, u64), StoreError> {
        let snapshot = self.document_snapshot(document)?;
        let after = snapshot.as_ref().map_or(Lsn::ZERO, |row| row.upto);
        let mut times = BTreeSet::new();
        if let Some(row) = &snapshot {
            times.extend(row.table.facts.iter().map(|fact| fact.stamp.at_ms));
            for event in &row.table.events {
                if let EntryBody::Imported(imported) = &event.body {
                    times.extend([imported.first, imported.last].into_iter().flatten().map(|id| id.time_ms()));
                    // One without messages.
                    if imported.last.is_none() {
                        times.insert(event.stamp.at_ms);
                    }
                }
            }
        }
        for stored in self.tail(document, after, Lsn(u64::MAX))? {
            times.extend(Entry::from_bytes(&stored.bytes).map(|entry| entry.stamp.at_ms));
        }
        // Never 0: that would mean that nobody has looked.
        let [oldest, newest] = [times.first(), times.last()].map(|ms| ms.copied().unwrap_or_default().max(1));
        Ok((oldest, newest))
    }

    /// What there is of a document beside its own rows.
    pub(super) fn remains(&self, document: DocumentId) -> Result<Remains, StoreError> {
        let newest = self.document_row(document)?.map_or(Lsn::ZERO, |row| row.newest);
        let keys: BTreeSet<KeyId> = self.facts(document)?.iter().map(|(_, fact)| fact.key_id()).collect();
        let mut entries = Vec::new();
        for lsn in self.tail_lsns(document, Lsn::ZERO, Lsn(u64::MAX))? {
            let Some(record) = self.log_record(lsn)? else { continue };
            if let Some(chain) = record.chain {
                entries.push(ErasedEntry { lsn, at_ms: record.at_ms, chain });
            }
        }
        Ok(Remains { newest, keys: keys.into_iter().collect(), entries })
    }
}
