//! What goes for good: documents that expired, and shredded conversations with their data keys.
//!
//! The bodies of a shredded conversation's entries are erased page by page beside the commit thread, and its keys are
//! destroyed only when that is durable: nothing reads an erased row's neighbours wrong, whenever the program stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use lockstep_core::row::{Remains, ShredRow, Write};
use lockstep_protocol::id::{ConversationId, DocumentId, Lsn};
use lockstep_seal::{Class, DataKeyId, RecordError, record};
use rocksdb::{BottommostLevelCompaction, CompactOptions, WriteBatch};

use super::keys::{self, Family};
use super::record::LogRecord;
use super::rows::Rows;
use super::seal::{Owner, Place};
use super::{Store, StoreError};
use crate::keychain::SealMode;

/// Rows looked at before the commit thread gets its turn.
const PAGE_ROWS: usize = 64;
/// Families whose keys begin with the conversation.
const OF_CONVERSATION: [Family; 6] =
    [Family::Conversations, Family::Documents, Family::Chains, Family::Keys, Family::Snapshots, Family::Tails];

/// What a conversation amounts to before it is shredded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Messages.
    pub messages: u64,
    /// Documents with facts.
    pub documents: u64,
    /// Data keys.
    pub keys: usize,
}

impl Store {
    /// Deletes a document that expired. Everything that `remains` names is durable, and read not long ago.
    pub(super) fn delete_expired(
        &self,
        rows: &mut Rows<'_>,
        id: DocumentId,
        remains: &Remains,
        floor: Lsn,
    ) -> Result<(), StoreError> {
        let key = keys::document(id);
        rows.batch.delete_cf(self.family(Family::Documents), key);
        rows.batch.delete_cf(self.family(Family::Snapshots), key);
        let past = keys::document(DocumentId { number: id.number + 1, ..id });
        for family in [Family::Chains, Family::Tails] {
            rows.batch.delete_range_cf(self.family(family), &key[..], &past[..]);
        }
        for key in &remains.keys {
            rows.batch.delete_cf(self.family(Family::Keys), keys::index(id.conversation, *key));
        }
        for entry in remains.entries.iter().filter(|entry| entry.lsn > floor) {
            let of = (Owner::Hub, Class::Normal);
            rows.put(Family::Log, &entry.lsn.0.to_be_bytes(), of, |bytes| {
                LogRecord::encode_erased(entry.at_ms, Some(&entry.chain), bytes);
            })?;
        }
        Ok(())
    }

    /// Deletes every row of a conversation but those of the log.
    pub(super) fn delete_conversation(&self, batch: &mut WriteBatch, id: ConversationId) {
        let past = past(id);
        for family in OF_CONVERSATION {
            batch.delete_range_cf(self.family(family), &id.0[..], &past[..]);
        }
        self.packed.lock().unwrap_or_else(PoisonError::into_inner).retain(|packed, _| packed.conversation != id);
    }

    /// Erases the bodies of a shredded conversation's entries, durably, then destroys its data keys, then has the engine
    /// write anew the files that held its rows. Done twice it does no harm. Answers how many keys there were.
    ///
    /// # Errors
    /// `Corrupt` for a row of the log that cannot be read, `Keys`, `Engine`; then it is to be done again.
    pub fn shred(&self, conversation: ConversationId) -> Result<usize, StoreError> {
        self.erase_entries(&[conversation].into())?;
        let destroyed = self.destroy_keys(conversation)?;
        self.write_anew(conversation)?;
        Ok(destroyed)
    }

    /// A store that is older than its keys: what was shredded since then cannot be read, and goes now. Answers which
    /// conversations that were.
    ///
    /// # Errors
    /// As [`Store::shred`].
    pub fn shred_again(&self) -> Result<Vec<ConversationId>, StoreError> {
        let mut found = BTreeSet::new();
        for ((owner, _), id) in &*self.data_keys.read().unwrap_or_else(PoisonError::into_inner) {
            if let (Owner::Conversation(conversation), true) = (owner, self.keychain.is_destroyed(*id)) {
                found.insert(*conversation);
            }
        }
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.reader().shredded()?;
        self.erase_entries(&found)?;
        let mut rows = Rows::new(self);
        for conversation in &found {
            self.delete_conversation(&mut rows.batch, *conversation);
            let row = known.get(conversation).copied().unwrap_or(ShredRow { lsn: Lsn::ZERO, done: true });
            rows.put_row(&Write::Shred(*conversation, row))?;
        }
        self.write(rows.batch)?;
        for conversation in &found {
            self.destroy_keys(*conversation)?;
        }
        Ok(found.into_iter().collect())
    }

    /// Replaces the entries of conversations by what stays of them, durably.
    fn erase_entries(&self, conversations: &BTreeSet<ConversationId>) -> Result<(), StoreError> {
        let owned = self.data_keys.read().unwrap_or_else(PoisonError::into_inner);
        let is_theirs = |owner: &Owner| matches!(owner, Owner::Conversation(id) if conversations.contains(id));
        let ids = owned.iter().filter(|((owner, _), _)| is_theirs(owner)).map(|(_, id)| *id).collect();
        drop(owned);
        let mut eraser = Eraser { conversations, ids, at_ms: 0 };
        let mut from = Some(Vec::new());
        while let Some(key) = from {
            from = self.erase_page(&mut eraser, &key)?;
        }
        // Before their keys go: with a body that nobody can read, the log chain beside it would be lost.
        self.db.flush_wal(true).map_err(|error| self.engine(error))
    }

    /// Erases what is to be erased of one page of the log; answers where the next one begins.
    fn erase_page(&self, eraser: &mut Eraser<'_>, from: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        // Nothing is written in between: the floor may move, and an erased row below it must not come back.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = self.reader();
        let head = reader.head()?;
        let (mut rows, mut erased, mut next) = (Rows::new(self), 0, None);
        reader.stored_rows(Family::Log, from, |seen, key, stored| {
            if seen == PAGE_ROWS {
                next = Some(key.to_vec());
                return Ok(false);
            }
            let place = Place { family: Family::Log, key };
            let Some(record) = eraser.look(self, place, stored)? else { return Ok(true) };
            // A store that is older than its keys: the body went with them, and the chain; at the end it stands elsewhere.
            let is_last = keys::lsn_of(key) == Some(head.lsn);
            let (at_ms, chain) = match record {
                Some(record) => (record.at_ms, record.chain),
                None => (eraser.at_ms, is_last.then_some(head.chain)),
            };
            let of = (Owner::Hub, Class::Normal);
            rows.put(Family::Log, key, of, |bytes| LogRecord::encode_erased(at_ms, chain.as_ref(), bytes))?;
            erased += 1;
            Ok(true)
        })?;
        if erased > 0 {
            self.db.write(rows.batch).map_err(|error| self.engine(error))?;
        }
        Ok(next)
    }

    /// Has the engine write the files anew that hold rows of a conversation: what was sealed in them cannot be read any
    /// more, what was not must not stay.
    fn write_anew(&self, conversation: ConversationId) -> Result<(), StoreError> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        let past = past(conversation);
        for family in OF_CONVERSATION {
            let (from, to) = (Some(&conversation.0[..]), Some(&past[..]));
            self.db.compact_range_cf_opt(self.family(family), from, to, &options);
        }
        if self.keychain.mode() == SealMode::All && self.keychain.is_complete() {
            return Ok(());
        }
        // Entries in the clear lie all over the log; those of the engine's own log go with the tables in memory.
        for family in Family::ALL {
            self.db.flush_cf(self.family(family)).map_err(|error| self.engine(error))?;
        }
        self.rewrite(Family::Log);
        Ok(())
    }
}

/// Looks through the log for entries of some conversations.
struct Eraser<'a> {
    conversations: &'a BTreeSet<ConversationId>,
    /// Their data keys.
    ids: BTreeSet<DataKeyId>,
    /// Time of the newest entry that could be read.
    at_ms: u64,
}

impl Eraser<'_> {
    /// The record of one of their entries; the inner none if its key is gone already. None for every other row.
    fn look(
        &mut self,
        store: &Store,
        place: Place<'_>,
        stored: &[u8],
    ) -> Result<Option<Option<LogRecord>>, StoreError> {
        let is_sealed = stored.first() == Some(&record::VERSION);
        // Which key seals a record stands in front of it.
        if is_sealed && !record::header(stored).is_ok_and(|header| self.ids.contains(&header.key)) {
            return Ok(None);
        }
        let value = match store.unpack(place, stored) {
            Ok(value) => value,
            Err(StoreError::Shredded { .. }) => return Ok(Some(None)),
            Err(error) => return Err(error),
        };
        let record = LogRecord::decode(&value).ok_or_else(|| StoreError::corrupt(place, "no record of the log"))?;
        self.at_ms = record.at_ms;
        let is_theirs = record.conversation.is_some_and(|id| self.conversations.contains(&id));
        Ok(is_theirs.then_some(Some(record)))
    }
}

/// Where the keys of a conversation end.
fn past(id: ConversationId) -> Vec<u8> {
    // Longer than any key.
    [&id.0[..], &[0xff; 64]].concat()
}

impl super::read::Reader<'_> {
    /// What a conversation amounts to.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`.
    pub fn tally(&self, conversation: ConversationId) -> Result<Tally, StoreError> {
        let (mut messages, mut documents) = (0, 0);
        self.documents_of(conversation, |_, row| {
            messages += u64::from(row.messages);
            documents += u64::from(row.ops > 0);
        })?;
        let keys: BTreeMap<_, _> = self.data_keys()?;
        let keys = keys.keys().filter(|(owner, _)| *owner == Owner::Conversation(conversation)).count();
        Ok(Tally { messages, documents, keys })
    }
}

impl crate::keychain::Keychain {
    /// Whether a data key was destroyed.
    pub(crate) fn is_destroyed(&self, id: DataKeyId) -> bool {
        matches!(self.ring().key(id), Err(RecordError::KeyGone(_)))
    }
}
