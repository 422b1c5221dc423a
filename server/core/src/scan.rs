//! A changed list of sensitive words: everything that is stored is looked at again, a few documents at a time, in the
//! background. How far that got is stored, so a hub that starts again goes on from there.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use lockstep_protocol::entry::Category;
use lockstep_protocol::frame::Outcome;
use lockstep_protocol::id::{DocumentId, Lsn, MessageId};
use minicbor::{Decode, Encode};

use crate::audit::{Act, Actor, Deed};
use crate::conversation::{Commander, Slot, Work};
use crate::effect::{Effect, Scan};
use crate::hub::Hub;
use crate::log::Draft;
use crate::query::Query;
use crate::row::Write;
use crate::sensitive::Words;

/// Documents looked at before the progress is stored.
const DOCUMENTS_MAX: usize = 16;

/// How far the look at everything stored got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct ScanRow {
    /// The last document that is done; documents are looked at in order of their ids.
    #[n(0)]
    pub after: Option<DocumentId>,
    /// Documents done.
    #[n(1)]
    pub documents: u64,
    /// Facts in them that hold words.
    #[n(2)]
    pub found: u64,
    /// Documents that could not be read; the log of the program says which.
    #[n(3)]
    pub failed: u64,
    /// Nothing is left.
    #[n(4)]
    pub is_done: bool,
}

/// A fact that holds a word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hit {
    /// Its entry; of an imported fact that of its segment.
    pub lsn: Lsn,
    /// The message that it is or is about; none on cards.
    pub message: Option<MessageId>,
    /// What the words are about.
    pub categories: BTreeSet<Category>,
}

/// What is being looked at.
#[derive(Debug, Default)]
pub(crate) struct Scanning {
    pub(crate) row: ScanRow,
    /// Documents under way.
    running: BTreeSet<DocumentId>,
    /// The last of them.
    last: Option<DocumentId>,
    /// The next documents are being asked for.
    asking: bool,
}

impl Scanning {
    pub(crate) fn new(row: ScanRow) -> Self {
        Self { row, ..Self::default() }
    }
}

impl Hub {
    /// How far the look at everything stored got.
    #[must_use]
    pub fn scan(&self) -> ScanRow {
        self.scanning.row
    }

    /// The team's list of words is another one from here on.
    pub(crate) fn words_changed(
        &mut self,
        request: u64,
        list: Bytes,
        words: Arc<dyn Words>,
        deed: Deed,
        effects: &mut Vec<Effect>,
    ) {
        self.words = words;
        // What runs still belongs to the old list; its answers do no harm.
        self.scanning = Scanning::default();
        let mut draft = Draft::by(Actor::Machine);
        self.audit(&mut draft, Act::Done(deed));
        draft.write(Write::Words(list));
        draft.write(Write::Scan(self.scanning.row));
        let ticket = self.log.commit(draft, effects);
        self.answer_after(ticket, Commander::Administrator(request), Outcome::Done(self.log.head), effects);
        self.scan_on(effects);
    }

    /// Asks for the next documents, if none are under way.
    pub(crate) fn scan_on(&mut self, effects: &mut Vec<Effect>) {
        let scanning = &mut self.scanning;
        if scanning.row.is_done || scanning.asking || !scanning.running.is_empty() || self.draining {
            return;
        }
        scanning.asking = true;
        let after = scanning.row.after;
        effects.push(Effect::Load(Query::Documents { after, documents_max: DOCUMENTS_MAX }));
    }

    /// The next documents to look at; none if they could not be read.
    pub(crate) fn documents_read(
        &mut self,
        after: Option<DocumentId>,
        documents: Option<Vec<DocumentId>>,
        effects: &mut Vec<Effect>,
    ) {
        if after != self.scanning.row.after || !self.scanning.asking {
            return;
        }
        self.scanning.asking = false;
        // Asked for again with the next tick.
        let Some(documents) = documents else { return };
        let Some(last) = documents.last() else {
            self.scanning.row.is_done = true;
            return self.store_scan(effects);
        };
        self.scanning.last = Some(*last);
        for document in documents {
            self.scanning.running.insert(document);
            effects.push(Effect::Scan(Scan { document, words: Arc::clone(&self.words) }));
        }
    }

    /// A worker has looked at a document.
    pub(crate) fn scanned(&mut self, document: DocumentId, hits: Option<Vec<Hit>>, effects: &mut Vec<Effect>) {
        match hits {
            Some(hits) if !hits.is_empty() => {
                self.enqueue(document.conversation, Work::Scanned(document, hits), effects);
            }
            Some(_) => self.scan_done(document, 0, effects),
            None => {
                self.scanning.row.failed += 1;
                self.scan_done(document, 0, effects);
            }
        }
    }

    /// Marks what was found in a document.
    pub(crate) fn mark_scanned(
        &mut self,
        slot: &mut Slot,
        document: DocumentId,
        hits: &[Hit],
        effects: &mut Vec<Effect>,
    ) {
        let mut draft = Draft::default();
        if !hits.is_empty() && slot.document(document).is_some_and(|state| !state.chains.is_empty()) {
            self.store_strictly(slot, &mut draft, document);
            for Hit { lsn, message, categories } in hits {
                draft.write(Write::Reseal(*lsn));
                if let Some(message) = message {
                    self.mark_sensitive(slot, &mut draft, document, *message, categories);
                }
            }
        }
        self.log.commit(draft, effects);
        self.scan_done(document, hits.len() as u64, effects);
    }

    /// A document is done; after the last one of those asked for the progress is stored.
    pub(crate) fn scan_done(&mut self, document: DocumentId, found: u64, effects: &mut Vec<Effect>) {
        if !self.scanning.running.remove(&document) {
            return;
        }
        self.scanning.row.documents += 1;
        self.scanning.row.found += found;
        if self.scanning.running.is_empty() {
            self.scanning.row.after = self.scanning.last;
            self.store_scan(effects);
            self.scan_on(effects);
        }
    }

    fn store_scan(&mut self, effects: &mut Vec<Effect>) {
        let mut draft = Draft::default();
        draft.write(Write::Scan(self.scanning.row));
        self.log.commit(draft, effects);
    }
}

/// What holds words in facts, each with the LSN of its entry.
pub fn hits<'a>(
    words: &dyn Words,
    facts: impl IntoIterator<Item = (Lsn, &'a lockstep_protocol::fact::Fact)>,
) -> Vec<Hit> {
    let hit = |(lsn, fact)| {
        let categories: BTreeSet<Category> =
            crate::sensitive::texts(fact).flat_map(|text| words.categories(text)).collect();
        (!categories.is_empty()).then(|| Hit { lsn, message: crate::sensitive::about(fact), categories })
    };
    facts.into_iter().filter_map(hit).collect()
}
