//! Reads: the core's questions answered from one consistent moment of the committed state.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::audit::AuditHead;
use lockstep_core::query::{Answer, Query, StoredEntry};
use lockstep_core::row::{ChainRow, ConversationRow, DocumentRow, DocumentState, ShredRow, SnapshotRow};
use lockstep_core::scan::ScanRow;
use lockstep_protocol::directory::{Device, Member, Policy};
use lockstep_protocol::document::saved_facts;
use lockstep_protocol::entry::{Entry, EntryBody, LogChain};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::frame::CatalogueDocument;
use lockstep_protocol::id::{ActorId, ConversationId, DeviceId, DocumentId, DocumentKind, Epoch, Lsn, MemberId};
use lockstep_seal::{Class, DataKeyId};
use minicbor::Decode;
use rocksdb::{DB, Direction, IteratorMode, ReadOptions, SnapshotWithThreadMode};

use super::index::{self, Index};
use super::keys::{self, DirectoryKey, Family, Meta};
use super::record::{self, Floor, Head, LogRecord};
use super::seal::{Owner, Place};
use super::{Store, StoreError, decode, is_epoch};

/// What a hub starts from.
#[derive(Debug)]
pub struct Stored {
    /// The end of the log.
    pub head: Head,
    /// The retention floor.
    pub floor: Lsn,
    /// Epochs with the LSN after which each began, oldest first.
    pub epochs: Vec<(Epoch, Lsn)>,
    /// Members.
    pub members: BTreeMap<MemberId, Member>,
    /// Devices.
    pub devices: BTreeMap<DeviceId, Device>,
    /// Revoked devices.
    pub revoked: BTreeSet<DeviceId>,
    /// Policy.
    pub policy: Policy,
    /// What the team changed in the list of sensitive words, if anything.
    pub words: Option<Vec<u8>>,
    /// How far the look at everything stored got with that list.
    pub scan: ScanRow,
    /// When devices were last seen, milliseconds since 1970.
    pub seen: BTreeMap<DeviceId, u64>,
    /// The end of the audit log.
    pub audit: AuditHead,
    /// Conversations that were shredded.
    pub shredded: BTreeMap<ConversationId, ShredRow>,
}

/// The committed state at one moment.
pub struct Reader<'a> {
    store: &'a Store,
    snapshot: SnapshotWithThreadMode<'a, DB>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, snapshot: store.db.snapshot() }
    }

    /// What a hub starts from. Also proves that the log and the audit log end where the store says that they do.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`.
    pub fn stored(&self) -> Result<Stored, StoreError> {
        let (mut members, mut devices, mut policy) = (BTreeMap::new(), BTreeMap::new(), Policy::default());
        let mut words = None;
        let mut seen = BTreeMap::new();
        let (mut shredded, mut revoked) = (BTreeMap::new(), BTreeSet::new());
        self.scan(Family::Directory, &[], |key, value| {
            let place = Place { family: Family::Directory, key };
            match DirectoryKey::from_bytes(key).ok_or_else(|| StoreError::corrupt(place, "no directory key"))? {
                DirectoryKey::Member(id) => drop(members.insert(id, decode(place, value)?)),
                DirectoryKey::Device(id) => drop(devices.insert(id, decode(place, value)?)),
                DirectoryKey::Policy => policy = decode(place, value)?,
                DirectoryKey::Words => words = Some(value.to_vec()),
                DirectoryKey::Seen(id) => drop(seen.insert(id, decode(place, value)?)),
                DirectoryKey::Shred(id) => drop(shredded.insert(id, decode(place, value)?)),
                DirectoryKey::Revoked(id) => drop(revoked.insert(id)),
            }
            Ok(true)
        })?;
        let (head, floor, epochs) = (self.head()?, self.floor()?.lsn, self.epochs()?);
        if head.lsn > floor {
            let key = head.lsn.0.to_be_bytes();
            let newest = self.log_record(head.lsn)?;
            if newest.is_none_or(|record| record.chain != Some(head.chain)) {
                let place = Place { family: Family::Log, key: &key };
                return Err(StoreError::corrupt(place, "the log does not end where it should"));
            }
        }
        let scan = self.row(Family::Meta, Meta::Scan.key())?.unwrap_or_default();
        let audit = self.audit_end()?;
        Ok(Stored { head, floor, epochs, members, devices, revoked, policy, words, scan, seen, audit, shredded })
    }

    /// Answers one of the core's questions.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`.
    pub fn answer(&self, query: &Query) -> Result<Answer, StoreError> {
        Ok(match query {
            Query::Conversation(id) => Answer::Conversation(self.conversation(*id)?),
            Query::Listing { conversation, .. } => {
                let mut imported = self.documents_with_content(*conversation)?;
                imported.retain(|listed| listed.document.kind == DocumentKind::Imported);
                Answer::Listing { row: self.conversation(*conversation)?, imported }
            }
            Query::Document(id) => Answer::Document(self.document(*id)?),
            Query::Keys { conversation, keys } => {
                let mut index = Index::new(self)?;
                Answer::Keys(keys.iter().map(|key| index.row(*conversation, *key)).collect::<Result<_, _>>()?)
            }
            Query::Chain { lsn, .. } => Answer::Chain(self.chain_at(*lsn)?),
            Query::Log { after, upto, bytes_max, .. } => self.log(*after, *upto, *bytes_max)?,
            Query::Catalogue { after, conversations_max, .. } => self.catalogue(*after, *conversations_max)?,
            Query::Content { document, .. } => {
                let snapshot = self.document_snapshot(*document)?;
                let after = snapshot.as_ref().map_or(Lsn::ZERO, |row| row.upto);
                let epochs = self.epochs()?;
                let tail = self.tail(*document, after, Lsn(u64::MAX))?;
                let tail = tail.into_iter().map(|entry| (epoch_of(&epochs, entry.lsn), entry.bytes)).collect();
                Answer::Content { snapshot, tail, upto: self.head()?.lsn }
            }
            Query::Documents { after, documents_max } => {
                Answer::Documents(self.next_documents(*after, *documents_max)?)
            }
            Query::Ages { after, keep, documents_max } => self.ages(*after, *keep, *documents_max)?,
            Query::Remains(document) => Answer::Remains(Box::new(self.remains(*document)?)),
            Query::Retention { before_ms, documents_max } => self.retention(*before_ms, *documents_max)?,
        })
    }

    /// The next documents that have a row, in order of id.
    fn next_documents(&self, after: Option<DocumentId>, max: usize) -> Result<Vec<DocumentId>, StoreError> {
        let from = after.map_or(Vec::new(), |id| [&keys::document(id)[..], &[0]].concat());
        let mut documents = Vec::new();
        self.scan(Family::Documents, &from, |key, _| {
            let place = Place { family: Family::Documents, key };
            documents.push(keys::document_of(key).ok_or_else(|| StoreError::corrupt(place, "no document"))?);
            Ok(documents.len() < max)
        })?;
        Ok(documents)
    }

    /// Every fact of a document with the LSN of its entry; an imported fact has its segment's.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`.
    pub fn facts(&self, document: DocumentId) -> Result<Vec<(Lsn, Fact)>, StoreError> {
        let snapshot = self.document_snapshot(document)?;
        let after = snapshot.as_ref().map_or(Lsn::ZERO, |row| row.upto);
        let mut facts = Vec::new();
        if let Some(row) = snapshot {
            let key = keys::document(document);
            let damaged = |what| StoreError::corrupt(Place { family: Family::Snapshots, key: &key }, what);
            let announced = row.table.events.first().map(|event| event.stamp.lsn);
            let places: BTreeMap<(ActorId, u32), Lsn> =
                row.table.facts.iter().map(|fact| ((fact.actor, fact.seq), fact.stamp.lsn)).collect();
            let saved = saved_facts(document.kind, &row.bytes).map_err(|_| damaged("its document does not load"))?;
            for (placed, _) in saved {
                let lsn = places.get(&(placed.actor, placed.seq)).copied().or(announced);
                facts.push((lsn.ok_or_else(|| damaged("a fact without its stamp"))?, placed.fact));
            }
        }
        for stored in self.tail(document, after, Lsn(u64::MAX))? {
            let key = stored.lsn.0.to_be_bytes();
            let damaged = || StoreError::corrupt(Place { family: Family::Log, key: &key }, "no entry of the log");
            if let EntryBody::Fact(placed) = Entry::from_bytes(&stored.bytes).ok_or_else(damaged)?.body {
                facts.push((stored.lsn, placed.fact));
            }
        }
        Ok(facts)
    }

    /// A conversation.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`.
    pub fn conversation(&self, id: ConversationId) -> Result<Option<ConversationRow>, StoreError> {
        self.row(Family::Conversations, &id.0)
    }

    /// All conversations, in order of id, until `each` says stop.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`, or what `each` answers.
    pub fn conversations(
        &self,
        after: Option<ConversationId>,
        mut each: impl FnMut(ConversationRow) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let from = after.map_or(Vec::new(), |id| [&id.0[..], &[0]].concat());
        self.scan(Family::Conversations, &from, |key, value| {
            each(decode(Place { family: Family::Conversations, key }, value)?)
        })
    }

    /// A document's newest snapshot.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`.
    pub fn document_snapshot(&self, document: DocumentId) -> Result<Option<SnapshotRow>, StoreError> {
        let key = keys::document(document);
        let place = Place { family: Family::Snapshots, key: &key };
        let Some(bytes) = self.get(place.family, place.key)? else { return Ok(None) };
        record::decode_snapshot(&bytes).map(Some).ok_or_else(|| StoreError::corrupt(place, "no snapshot"))
    }

    /// A document's entries in the log after one LSN, up to another.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`.
    pub fn tail(&self, document: DocumentId, after: Lsn, upto: Lsn) -> Result<Vec<StoredEntry>, StoreError> {
        let mut entries = Vec::new();
        for lsn in self.tail_lsns(document, after, upto)? {
            let record = self.log_record(lsn)?.ok_or_else(|| {
                let key = keys::tail(document, lsn);
                StoreError::corrupt(Place { family: Family::Tails, key: &key }, "its entry is not in the log")
            })?;
            if !record.is_erased() {
                entries.push(record.stored(lsn));
            }
        }
        Ok(entries)
    }

    /// LSNs of a document's entries in the log after one LSN, up to another.
    pub(super) fn tail_lsns(&self, document: DocumentId, after: Lsn, upto: Lsn) -> Result<Vec<Lsn>, StoreError> {
        let prefix = keys::document(document);
        let floor = self.floor()?.lsn;
        let mut lsns = Vec::new();
        let from = keys::tail(document, after.max(floor).next());
        for item in self.iterate(Family::Tails, &from) {
            let (key, _) = item.map_err(|error| self.store.engine(error))?;
            match key.strip_prefix(&prefix[..]).and_then(keys::lsn_of).filter(|lsn| *lsn <= upto) {
                Some(lsn) => lsns.push(lsn),
                None => break,
            }
        }
        Ok(lsns)
    }

    /// Conversations that were shredded.
    pub(super) fn shredded(&self) -> Result<BTreeMap<ConversationId, ShredRow>, StoreError> {
        let mut shredded = BTreeMap::new();
        let from = DirectoryKey::Shred(ConversationId([0; 16])).to_bytes();
        self.scan(Family::Directory, &from, |key, value| {
            let Some(DirectoryKey::Shred(id)) = DirectoryKey::from_bytes(key) else { return Ok(false) };
            shredded.insert(id, decode(Place { family: Family::Directory, key }, value)?);
            Ok(true)
        })?;
        Ok(shredded)
    }

    /// Every epoch with the LSN after which it began, oldest first.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`.
    pub fn epochs(&self) -> Result<Vec<(Epoch, Lsn)>, StoreError> {
        let mut epochs = Vec::new();
        self.scan(Family::Meta, keys::EPOCH_PREFIX, |key, value| {
            if !is_epoch(key) {
                return Ok(false);
            }
            let place = Place { family: Family::Meta, key };
            epochs.push(record::decode_epoch(value).ok_or_else(|| StoreError::corrupt(place, "no epoch"))?);
            Ok(true)
        })?;
        Ok(epochs)
    }

    /// Which data key seals what.
    pub(super) fn data_keys(&self) -> Result<BTreeMap<(Owner, Class), DataKeyId>, StoreError> {
        let mut found = BTreeMap::new();
        self.scan(Family::DataKeys, &[], |key, value| {
            let place = Place { family: Family::DataKeys, key };
            let parts = keys::data_key_of(key).zip(value.try_into().ok());
            let (owner, id) = parts.ok_or_else(|| StoreError::corrupt(place, "no data key"))?;
            found.insert(owner, DataKeyId(id));
            Ok(true)
        })?;
        Ok(found)
    }

    pub(super) fn head(&self) -> Result<Head, StoreError> {
        self.meta(Meta::Head, Head::decode)
    }

    pub(super) fn floor(&self) -> Result<Floor, StoreError> {
        self.meta(Meta::Floor, Floor::decode)
    }

    fn meta<T>(&self, meta: Meta, decode: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, StoreError> {
        let place = Place { family: Family::Meta, key: meta.key() };
        let bytes = self.get(place.family, place.key)?;
        bytes.and_then(|bytes| decode(&bytes)).ok_or_else(|| StoreError::corrupt(place, "missing or too short"))
    }

    pub(super) fn log_record(&self, lsn: Lsn) -> Result<Option<LogRecord>, StoreError> {
        let key = lsn.0.to_be_bytes();
        let place = Place { family: Family::Log, key: &key };
        let Some(bytes) = self.get(place.family, place.key)? else { return Ok(None) };
        LogRecord::decode(&bytes).map(Some).ok_or_else(|| StoreError::corrupt(place, "no record of the log"))
    }

    /// The keys of a conversation's index whose facts lie in a document.
    pub(super) fn keys_of(&self, document: DocumentId) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut found = Vec::new();
        let prefix = document.conversation.0;
        self.scan(Family::Keys, &prefix, |key, value| {
            if !key.starts_with(&prefix) {
                return Ok(false);
            }
            let place = Place { family: Family::Keys, key };
            if index::is_of(value, document).ok_or_else(|| StoreError::corrupt(place, "cannot be decoded"))? {
                found.push(key.to_vec());
            }
            Ok(true)
        })?;
        Ok(found)
    }

    pub(super) fn document_row(&self, id: DocumentId) -> Result<Option<DocumentRow>, StoreError> {
        self.row(Family::Documents, &keys::document(id))
    }

    fn document(&self, id: DocumentId) -> Result<Option<DocumentState>, StoreError> {
        let key = keys::document(id);
        let row = self.document_row(id)?;
        let mut chains: BTreeMap<ActorId, ChainRow> = BTreeMap::new();
        self.scan(Family::Chains, &key, |found, value| {
            let Some(actor) = found.strip_prefix(&key[..]) else { return Ok(false) };
            let place = Place { family: Family::Chains, key: found };
            let actor = actor.try_into().map_err(|_| StoreError::corrupt(place, "no actor in the key"))?;
            chains.insert(ActorId(actor), decode(place, value)?);
            Ok(true)
        })?;
        let is_known = row.is_some() || !chains.is_empty();
        Ok(is_known.then(|| DocumentState { row: row.unwrap_or_default(), chains }))
    }

    fn chain_at(&self, lsn: Lsn) -> Result<Option<LogChain>, StoreError> {
        let floor = self.floor()?;
        if lsn == floor.lsn {
            return Ok(Some(floor.chain));
        }
        Ok(self.log_record(lsn)?.and_then(|record| record.chain))
    }

    fn log(&self, after: Lsn, upto: Lsn, bytes_max: usize) -> Result<Answer, StoreError> {
        let (mut entries, mut bytes, mut chain) = (Vec::new(), 0, None);
        let mut expected = after.next();
        self.scan(Family::Log, &after.next().0.to_be_bytes(), |key, value| {
            let place = Place { family: Family::Log, key };
            let lsn = keys::lsn_of(key).ok_or_else(|| StoreError::corrupt(place, "no LSN in the key"))?;
            if lsn > upto {
                return Ok(false);
            }
            if lsn != expected {
                return Err(StoreError::corrupt(place, "the entry before it is missing"));
            }
            let record = LogRecord::decode(value).ok_or_else(|| StoreError::corrupt(place, "no record of the log"))?;
            // A page ends where its chain is known.
            if chain.is_some() && bytes + record.entry.len() > bytes_max {
                return Ok(false);
            }
            bytes += record.entry.len();
            chain = record.chain;
            expected = lsn.next();
            entries.push(record.stored(lsn));
            Ok(true)
        })?;
        // The page must not end where the chain is not known; at the end of the log it is.
        while chain.is_none() && entries.pop().is_some() {
            chain = match entries.last() {
                Some(entry) => self.chain_at(entry.lsn)?,
                None => None,
            };
        }
        let upto = entries.last().map_or(after, |entry| entry.lsn);
        let chain = match chain {
            Some(chain) => chain,
            None => self.chain_at(upto)?.unwrap_or(self.head()?.chain),
        };
        Ok(Answer::Log { entries, upto, chain, read_at: self.head()?.lsn })
    }

    fn catalogue(&self, after: Option<ConversationId>, max: usize) -> Result<Answer, StoreError> {
        let mut page = Vec::new();
        let mut last = true;
        self.conversations(after, |row| {
            if page.len() == max {
                last = false;
                return Ok(false);
            }
            let documents = self.documents_with_content(row.conversation.id)?;
            page.push((row, documents));
            Ok(true)
        })?;
        Ok(Answer::Catalogue { conversations: page, last })
    }

    fn documents_with_content(&self, conversation: ConversationId) -> Result<Vec<CatalogueDocument>, StoreError> {
        let mut documents = Vec::new();
        self.documents_of(conversation, |document, row| {
            if row.ops > 0 {
                documents.push(CatalogueDocument { document, digest: row.digest });
            }
        })?;
        Ok(documents)
    }

    /// Calls `each` with the row of every document of a conversation.
    pub(super) fn documents_of(
        &self,
        conversation: ConversationId,
        mut each: impl FnMut(DocumentId, DocumentRow),
    ) -> Result<(), StoreError> {
        self.scan(Family::Documents, &conversation.0, |key, value| {
            if !key.starts_with(&conversation.0) {
                return Ok(false);
            }
            let place = Place { family: Family::Documents, key };
            let document = keys::document_of(key).ok_or_else(|| StoreError::corrupt(place, "no document key"))?;
            each(document, decode(place, value)?);
            Ok(true)
        })
    }

    fn retention(&self, before_ms: u64, documents_max: usize) -> Result<Answer, StoreError> {
        let (floor, head) = (self.floor()?.lsn, self.head()?.lsn);
        let upto = self.newest_before(before_ms, floor, head)?;
        let mut uncovered = Vec::new();
        if upto > floor {
            self.scan(Family::Documents, &[], |key, value| {
                let place = Place { family: Family::Documents, key };
                let row: DocumentRow = decode(place, value)?;
                if row.tail == 0 || row.covered >= upto {
                    return Ok(true);
                }
                let document = keys::document_of(key).ok_or_else(|| StoreError::corrupt(place, "no document key"))?;
                let from = keys::tail(document, row.covered.next());
                let next = self.iterate(Family::Tails, &from).next().transpose();
                let next = next.map_err(|error| self.store.engine(error))?;
                let lsn = next.and_then(|(found, _)| found.strip_prefix(key).and_then(keys::lsn_of));
                if lsn.is_some_and(|lsn| lsn <= upto) {
                    uncovered.push(document);
                }
                Ok(uncovered.len() < documents_max)
            })?;
        }
        Ok(Answer::Retention { upto, uncovered })
    }

    /// The newest LSN received before a time, by bisection: receive times never go back by more than re-admission does.
    fn newest_before(&self, before_ms: u64, floor: Lsn, head: Lsn) -> Result<Lsn, StoreError> {
        let (mut low, mut high) = (floor.0, head.0);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match self.log_record(Lsn(middle))? {
                Some(record) if record.at_ms < before_ms => low = middle,
                _ => high = middle - 1,
            }
        }
        Ok(Lsn(low))
    }

    fn row<T: for<'b> Decode<'b, ()>>(&self, family: Family, key: &[u8]) -> Result<Option<T>, StoreError> {
        match self.get(family, key)? {
            Some(bytes) => decode(Place { family, key }, &bytes).map(Some),
            None => Ok(None),
        }
    }

    pub(super) const fn store(&self) -> &Store {
        self.store
    }

    /// Whether there is a row, of whatever content.
    pub(super) fn has(&self, family: Family, key: &[u8]) -> Result<bool, StoreError> {
        let stored = self.snapshot.get_pinned_cf(self.store.family(family), key);
        Ok(stored.map_err(|error| self.damaged(Place { family, key }, error))?.is_some())
    }

    /// A row's value. Rows of `tails` have none, and no envelope.
    pub(super) fn open<'v>(&self, place: Place<'_>, stored: &'v [u8]) -> Result<Cow<'v, [u8]>, StoreError> {
        match place.family {
            Family::Tails => Ok(Cow::Borrowed(stored)),
            _ => self.store.unpack(place, stored),
        }
    }

    pub(super) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let place = Place { family, key };
        let stored = self.snapshot.get_pinned_cf(self.store.family(family), key);
        let stored = stored.map_err(|error| self.damaged(place, error))?;
        stored.map(|stored| self.store.unpack(place, &stored).map(Cow::into_owned)).transpose()
    }

    /// Calls `each` with every row from a key on, until it answers false.
    pub(super) fn scan(
        &self,
        family: Family,
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for item in self.iterate(family, from) {
            let (key, stored) = item.map_err(|error| self.damaged(Place { family, key: from }, error))?;
            let place = Place { family, key: &key };
            let value = self.store.unpack(place, &stored)?;
            if !each(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    /// Calls `each` with the number of rows before it and every row as it is stored, from a key on, until it answers
    /// false.
    pub(super) fn stored_rows(
        &self,
        family: Family,
        from: &[u8],
        mut each: impl FnMut(usize, &[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut options = ReadOptions::default();
        // Whoever reads everything once must not push out of memory what is read all the time.
        options.fill_cache(false);
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = self.snapshot.iterator_cf_opt(self.store.family(family), options, mode);
        for (seen, item) in rows.enumerate() {
            let (key, stored) = item.map_err(|error| self.damaged(Place { family, key: from }, error))?;
            if !each(seen, &key, &stored)? {
                break;
            }
        }
        Ok(())
    }

    fn iterate(&self, family: Family, from: &[u8]) -> rocksdb::DBIteratorWithThreadMode<'_, DB> {
        let options = ReadOptions::default();
        let mode = IteratorMode::From(from, Direction::Forward);
        self.snapshot.iterator_cf_opt(self.store.family(family), options, mode)
    }

    /// RocksDB's own checksums found damage: name the place; other errors stay its own.
    fn damaged(&self, place: Place<'_>, error: rocksdb::Error) -> StoreError {
        match error.kind() {
            rocksdb::ErrorKind::Corruption => StoreError::corrupt(place, "its block's checksum does not fit"),
            _ => self.store.engine(error),
        }
    }
}

/// The epoch of an entry.
#[must_use]
pub fn epoch_of(epochs: &[(Epoch, Lsn)], lsn: Lsn) -> Epoch {
    let before = epochs.iter().rev().find(|(_, after)| *after < lsn);
    before.or(epochs.first()).map_or(Epoch::default(), |(epoch, _)| *epoch)
}
