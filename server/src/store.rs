//! The hub's durable store: one RocksDB, written by the commit thread alone, read by workers.
//!
//! Key layouts are in [`keys`], values in [`record`], in `index` and beside the core's rows, and every value passes
//! through [`seal`], where it is sealed. A row that cannot be read is an error that names its family and key; it is never served.

mod age;
pub mod audit;
mod columns;
mod data_keys;
mod dictionary;
mod index;
pub mod keys;
mod outside;
mod read;
pub mod record;
mod replaced;
mod reseal;
mod rows;
pub mod seal;
mod shred;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lockstep_core::effect::{Batch, OutsideEvent};
use lockstep_core::row::{SnapshotRow, Write};
use lockstep_protocol::codec;
use lockstep_protocol::id::{ConversationId, DocumentId, Epoch, HubId, Lsn};
use lockstep_seal::{Class, DataKeyId};
use minicbor::Decode;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions,
    CompactionDecision, DB, DBCompressionType, DBRecoveryMode, Options, WriteBatch, WriteOptions,
};
use thiserror::Error;

pub use keys::FIRST_SEALED_FORMAT;
use keys::{EPOCH_PREFIX, FORMAT_VERSION, Family, Meta};
use outside::Outside;
pub use read::{Reader, Stored, epoch_of};
use record::{Floor, Head, LogRecord};
use replaced::Replaced;
use rows::Rows;
use seal::{Owner, Place, Salts};
pub use shred::Tally;
pub use verify::Verdict;

use crate::keychain::{KeyError, KeyStatus, Keychain, SealConfig};

/// Why the store cannot do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has the folder open.
    #[error("{0} is in use by another process; stop that one first, or give this one another folder")]
    Locked(PathBuf),
    /// A newer program wrote it.
    #[error("{path} has store format {found}, newer than this program knows ({FORMAT_VERSION}); run a newer lockstep")]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A row that cannot be what was written.
    #[error("damaged row in the store, family {family}, key {key}: {what}; it is not served. Restore from a backup")]
    Corrupt {
        /// Column family.
        family: &'static str,
        /// Key, hex.
        key: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A row whose data key was destroyed.
    #[error("shredded: the data key of the row in family {family}, key {key} was destroyed; nothing brings it back")]
    Shredded {
        /// Column family.
        family: &'static str,
        /// Key, hex.
        key: String,
    },
    /// The keys are another hub's.
    #[error("{0} is not the store that the keys beside it are for; put store and keys of one hub together")]
    OtherHub(PathBuf),
    /// The file of keys cannot be written.
    #[error("{0}")]
    Keys(String),
    /// The list outside the backup chain cannot be read or written.
    #[error("{path}: {error}")]
    Outside {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The storage engine.
    #[error("the store at {path}: {error}")]
    Engine {
        /// The store.
        path: PathBuf,
        /// Why.
        error: rocksdb::Error,
    },
}

impl StoreError {
    fn corrupt(place: Place<'_>, what: &'static str) -> Self {
        Self::Corrupt { family: place.family.name(), key: hex::encode(place.key), what }
    }
}

/// How much memory the store may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreConfig {
    /// Cache of blocks read, bytes.
    pub cache_bytes: usize,
    /// Rows written and not yet in a file, all families together, bytes.
    pub write_buffer_bytes: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024, write_buffer_bytes: 64 * 1024 * 1024 }
    }
}

/// Snapshots that may lie packed and not yet committed.
const PACKED_MAX: usize = 64;

/// A snapshot on its way into a commit.
struct Packed {
    upto: Lsn,
    class: lockstep_core::row::Class,
    stored: Vec<u8>,
}

/// The store of one hub. Cheap to share by reference; see [`Reader`] for reads.
pub struct Store {
    db: DB,
    path: PathBuf,
    hub: HubId,
    keychain: Arc<Keychain>,
    /// Which data key seals what. Each has a row.
    data_keys: RwLock<BTreeMap<(Owner, Class), DataKeyId>>,
    /// Held while rows are written, and by whoever writes back what it has read.
    writing: Mutex<()>,
    outside: Outside,
    replaced: Replaced,
    /// Snapshots packed by who made them.
    packed: Mutex<BTreeMap<DocumentId, Packed>>,
    /// Epochs with the LSN after which each began, oldest first.
    epochs: RwLock<Vec<(Epoch, Lsn)>>,
    /// Keys of `tails` up to here are dropped whenever their file is rewritten.
    floor: Arc<AtomicU64>,
}

impl Store {
    /// The format and hub of the store in `folder`, if there is one.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`.
    pub(crate) fn peek(folder: &Path) -> Result<Option<(u32, HubId)>, StoreError> {
        let path = folder.join("store");
        if !path.join("CURRENT").exists() {
            return Ok(None);
        }
        let engine = |error| StoreError::Engine { path: path.clone(), error };
        let families = DB::list_cf(&Options::default(), &path).map_err(engine)?;
        if !families.iter().any(|name| name == Family::Meta.name()) {
            // The very first start was cut off.
            return Ok(None);
        }
        let families = ["default", Family::Meta.name()];
        let db = DB::open_cf_for_read_only(&Options::default(), &path, families, false).map_err(engine)?;
        let Some(family) = db.cf_handle(Family::Meta.name()) else { return Ok(None) };
        let get = |meta: Meta| db.get_cf(family, meta.key()).map_err(engine);
        let (Some(format), Some(hub)) = (get(Meta::Format)?, get(Meta::Hub)?) else { return Ok(None) };
        let parts = format.last_chunk().zip(hub.last_chunk());
        let place = Place { family: Family::Meta, key: Meta::Format.key() };
        let (format, hub) = parts.ok_or_else(|| StoreError::corrupt(place, "no format and hub"))?;
        Ok(Some((u32::from_be_bytes(*format), HubId(*hub))))
    }

    /// Opens the store in `folder`, or makes one, with keys that lie where `seal` says.
    ///
    /// # Errors
    /// Those of the keys, and as [`Store::open_with`].
    pub fn open(folder: &Path, config: &StoreConfig, seal: &SealConfig) -> Result<Self, KeyError> {
        let keychain = Keychain::open(folder, seal)?;
        Ok(Self::open_with(folder, config, Arc::new(keychain))?)
    }

    /// Opens the store in `folder`, or makes one.
    ///
    /// # Errors
    /// `Locked`, `Newer`, `Corrupt`, `OtherHub`, `Engine`; `Outside` for the list beside it.
    pub fn open_with(folder: &Path, config: &StoreConfig, keychain: Arc<Keychain>) -> Result<Self, StoreError> {
        let path = folder.join("store");
        let engine = |error: rocksdb::Error| match error.kind() {
            rocksdb::ErrorKind::IOError if error.to_string().contains("lock") => StoreError::Locked(path.clone()),
            _ => StoreError::Engine { path: path.clone(), error },
        };
        let floor = Arc::new(AtomicU64::new(0));
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        // A record cut off at the end of the log was never acknowledged; damage anywhere else must not pass unseen.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_paranoid_checks(true);
        options.set_db_write_buffer_size(config.write_buffer_bytes);
        options.set_max_total_wal_size(2 * config.write_buffer_bytes as u64);
        options.set_max_background_jobs(2);
        options.set_max_open_files(512);
        // By default every family starts sixteen threads to open its files, and reads their statistics.
        options.set_max_file_opening_threads(1);
        options.set_skip_stats_update_on_db_open(true);
        options.set_keep_log_file_num(4);
        options.set_max_log_file_size(4 * 1024 * 1024);
        let cache = Cache::new_lru_cache(config.cache_bytes);
        let families = Family::ALL.map(|family| {
            let options = family_options(family, config, &cache, &floor);
            ColumnFamilyDescriptor::new(family.name(), options)
        });
        let db = DB::open_cf_descriptors(&options, &path, families).map_err(engine)?;
        // First: with another hub's keys nothing below could be read, and would be called damaged.
        let meta = db.cf_handle(Family::Meta.name()).and_then(|meta| db.get_cf(meta, Meta::Hub.key()).transpose());
        if meta.transpose().map_err(engine)?.is_some_and(|stored| !stored.ends_with(&keychain.hub().0)) {
            return Err(StoreError::OtherHub(path));
        }
        let outside = Outside::open(&folder.join("revocations.log"), Arc::clone(&keychain))?;
        let hub = keychain.hub();
        let store = Self {
            db,
            path,
            hub,
            keychain,
            data_keys: RwLock::default(),
            writing: Mutex::default(),
            outside,
            replaced: Replaced::default(),
            packed: Mutex::default(),
            epochs: RwLock::default(),
            floor,
        };
        store.load_meta()?;
        store.load_data_keys()?;
        store.expect_outside()?;
        Ok(store)
    }

    /// The list outside has every record that was acknowledged, or is begun anew.
    fn expect_outside(&self) -> Result<(), StoreError> {
        let place = Place { family: Family::Meta, key: Meta::Outside.key() };
        let Some(bytes) = self.meta(Meta::Outside)? else { return Ok(()) };
        let known = <[u8; 8]>::try_from(&bytes[..]).map(u64::from_be_bytes);
        if !self.outside.expect(known.map_err(|_| StoreError::corrupt(place, "no number of records"))?)? {
            tracing::warn!("the list of revocations is gone and begins anew: a restore may undo what stood in it");
            let mut rows = Rows::new(self);
            rows.put_meta(Meta::Outside.key(), &0u64.to_be_bytes())?;
            self.write(rows.batch)?;
        }
        Ok(())
    }

    fn load_meta(&self) -> Result<(), StoreError> {
        match self.meta(Meta::Format)? {
            None => {
                let mut rows = Rows::new(self);
                rows.put_meta(Meta::Format.key(), &FORMAT_VERSION.to_be_bytes())?;
                rows.put_meta(Meta::Hub.key(), &self.hub.0)?;
                rows.put_meta(Meta::Head.key(), &Head::default().encode())?;
                rows.put_meta(Meta::Floor.key(), &Floor::default().encode())?;
                self.write(rows.batch)?;
            }
            Some(bytes) => {
                let place = Place { family: Family::Meta, key: Meta::Format.key() };
                let found = <[u8; 4]>::try_from(&bytes[..]).map(u32::from_be_bytes);
                let found = found.map_err(|_| StoreError::corrupt(place, "not a format version"))?;
                if found > FORMAT_VERSION {
                    return Err(StoreError::Newer { path: self.path.clone(), found });
                }
                if found < FORMAT_VERSION {
                    // From here on rows are written that an older program would take for damaged.
                    let mut rows = Rows::new(self);
                    rows.put_meta(Meta::Format.key(), &FORMAT_VERSION.to_be_bytes())?;
                    self.write(rows.batch)?;
                }
            }
        }
        let place = Place { family: Family::Meta, key: Meta::Hub.key() };
        let hub = self.meta(Meta::Hub)?.and_then(|bytes| <[u8; 16]>::try_from(&bytes[..]).ok());
        if HubId(hub.ok_or_else(|| StoreError::corrupt(place, "no hub id"))?) != self.hub {
            return Err(StoreError::corrupt(place, "no hub id of its own"));
        }
        let epochs = self.reader().epochs()?;
        *self.epochs.write().unwrap_or_else(PoisonError::into_inner) = epochs;
        self.floor.store(self.reader().floor()?.lsn.0, Ordering::Relaxed);
        Ok(())
    }

    /// The hub's keys.
    #[must_use]
    pub const fn keychain(&self) -> &Arc<Keychain> {
        &self.keychain
    }

    /// How the keys are.
    #[must_use]
    pub fn key_status(&self) -> KeyStatus {
        self.keychain.status()
    }

    /// The hub's id.
    #[must_use]
    pub const fn hub(&self) -> HubId {
        self.hub
    }

    /// The small list outside the backup chain, oldest first.
    ///
    /// # Errors
    /// `Outside` if it cannot be read.
    pub fn outside(&self) -> Result<Vec<OutsideEvent>, StoreError> {
        self.outside.read()
    }

    /// Writes batches, in order, and syncs once. When it answers, all of them are durable.
    ///
    /// # Errors
    /// `Outside`, `Engine`: then nothing more may be acknowledged.
    pub fn commit(&self, batches: &[Batch]) -> Result<(), StoreError> {
        // First the list outside: it may be ahead of the log (a revocation replayed twice does nothing), never behind.
        let outside: Vec<&OutsideEvent> = batches.iter().flat_map(|batch| &batch.outside).collect();
        let revocations = self.outside.append(&outside)?;
        let mut rows = Rows::new(self);
        if !outside.is_empty() {
            rows.put_meta(Meta::Outside.key(), &revocations.to_be_bytes())?;
        }
        let (mut head, mut floor) = (None, None);
        let mut epochs = Vec::new();
        let mut replaced = rows::replaced(batches).into_iter();
        for part in batches {
            for entry in &part.entries {
                let of = (entry.conversation.map_or(Owner::Hub, Owner::Conversation), seal::class(entry.class));
                rows.put(Family::Log, &entry.lsn.0.to_be_bytes(), of, |bytes| LogRecord::encode(entry, bytes))?;
                if let Some(document) = entry.document {
                    rows.batch.put_cf(rows.family(Family::Tails), keys::tail(document, entry.lsn), []);
                }
            }
            for write in &part.writes {
                if replaced.next() == Some(true) {
                    continue;
                }
                match write {
                    Write::Head { lsn, chain, at_ms } => head = Some(Head { lsn: *lsn, at_ms: *at_ms, chain: *chain }),
                    Write::Epoch { epoch, after } => epochs.push((*epoch, *after)),
                    Write::Floor(lsn) => floor = floor.max(Some(*lsn)),
                    Write::DocumentGone(id) => self.delete_document(&mut rows, *id)?,
                    Write::DocumentExpired(id, remains) => {
                        let floor = floor.max(Some(Lsn(self.floor.load(Ordering::Relaxed)))).unwrap_or_default();
                        self.delete_expired(&mut rows, *id, remains, floor)?;
                    }
                    Write::ConversationGone(id) => self.delete_conversation(&mut rows.batch, *id),
                    Write::Reseal(lsn) => self.seal_strictly(&mut rows, *lsn, batches)?,
                    other => rows.put_row(other)?,
                }
            }
        }
        if let Some(head) = head {
            rows.put_meta(Meta::Head.key(), &head.encode())?;
        }
        let floor = floor.filter(|lsn| lsn.0 > self.floor.load(Ordering::Relaxed));
        if let Some(lsn) = floor {
            self.put_floor(&mut rows, lsn, batches)?;
        }
        if !epochs.is_empty() {
            for (number, (epoch, after)) in (self.epochs().len()..).zip(&epochs) {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                rows.put_meta(&Meta::epoch(number), &record::encode_epoch(*epoch, *after))?;
            }
        }
        self.write(rows.batch)?;
        self.note_replaced(batches);
        if let Some(lsn) = floor {
            // Only now: a compaction that ran ahead of the write would drop what a crash still needs.
            self.floor.store(lsn.0, Ordering::Relaxed);
        }
        self.epochs.write().unwrap_or_else(PoisonError::into_inner).extend(epochs);
        Ok(())
    }

    /// Seals an entry of the log under the stricter keys: one that is durable, or in the group that is being written. One
    /// that retention has dropped stands in a snapshot only, which is written anew by itself.
    fn seal_strictly(&self, rows: &mut Rows<'_>, lsn: Lsn, group: &[Batch]) -> Result<(), StoreError> {
        let key = lsn.0.to_be_bytes();
        let owner = |conversation: Option<ConversationId>| conversation.map_or(Owner::Hub, Owner::Conversation);
        let written = group.iter().flat_map(|part| &part.entries).find(|entry| entry.lsn == lsn);
        if let Some(entry) = written {
            let of = (owner(entry.conversation), Class::Vault);
            return rows.put(Family::Log, &key, of, |bytes| LogRecord::encode(entry, bytes));
        }
        let Some(entry) = self.reader().log_record(lsn)?.and_then(|record| record.entry_at(lsn)) else { return Ok(()) };
        let of = (owner(entry.conversation), Class::Vault);
        rows.put(Family::Log, &key, of, |bytes| LogRecord::encode(&entry, bytes))
    }

    /// Packs a snapshot before it is committed: compressing takes milliseconds, which the commit thread, and every
    /// message behind it, would wait.
    pub fn pack_ahead(&self, document: DocumentId, row: &SnapshotRow, class: lockstep_core::row::Class) {
        let (mut stored, mut salts) = (Vec::new(), Salts::default());
        let place = Place { family: Family::Snapshots, key: &keys::document(document) };
        let of = (Owner::Conversation(document.conversation), seal::class(class));
        let stored = match self.pack(place, of, &mut salts, &mut stored, |bytes| record::encode_snapshot(row, bytes)) {
            Ok(stored) => stored.to_vec(),
            // Whoever commits it meets the same, and answers for it.
            Err(error) => return tracing::error!(%error, "a snapshot could not be packed ahead"),
        };
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        packed.insert(document, Packed { upto: row.upto, class, stored });
        // Those that the hub did not want after all.
        while packed.len() > PACKED_MAX {
            packed.pop_first();
        }
    }

    /// What [`Store::pack_ahead`] made of this snapshot, if it did.
    fn packed(&self, document: DocumentId, upto: Lsn, class: lockstep_core::row::Class) -> Option<Vec<u8>> {
        let packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner).remove(&document)?;
        (packed.upto == upto && packed.class == class).then_some(packed.stored)
    }

    /// Deletes an imported segment with its index rows. All of them are durable.
    fn delete_document(&self, rows: &mut Rows<'_>, id: DocumentId) -> Result<(), StoreError> {
        let reader = self.reader();
        let key = keys::document(id);
        rows.batch.delete_cf(rows.family(Family::Documents), key);
        rows.batch.delete_cf(rows.family(Family::Snapshots), key);
        let past = keys::document(DocumentId { number: id.number + 1, ..id });
        rows.batch.delete_range_cf(rows.family(Family::Chains), &key[..], &past[..]);
        for key in reader.keys_of(id)? {
            rows.batch.delete_cf(rows.family(Family::Keys), key);
        }
        Ok(())
    }

    /// Moves the retention floor; what lies below goes. Its entry is durable, or in the group that is being written.
    fn put_floor(&self, rows: &mut Rows<'_>, lsn: Lsn, group: &[Batch]) -> Result<(), StoreError> {
        let reader = self.reader();
        let written = group.iter().flat_map(|part| &part.entries).find(|entry| entry.lsn == lsn);
        let chain = match (written, reader.log_record(lsn)?) {
            (Some(entry), _) => entry.chain,
            // Where it is not known no cursor stands either: whoever comes from there is sent the catalogue.
            (None, Some(record)) => record.chain.unwrap_or_default(),
            (None, None) => reader.head()?.chain,
        };
        rows.put_meta(Meta::Floor.key(), &Floor { lsn, chain }.encode())?;
        let (from, to) = (0u64.to_be_bytes(), lsn.next().0.to_be_bytes());
        rows.batch.delete_range_cf(rows.family(Family::Log), from, to);
        Ok(())
    }

    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.db.write_opt(batch, &options).map_err(|error| self.engine(error))
    }

    fn engine(&self, error: rocksdb::Error) -> StoreError {
        StoreError::Engine { path: self.path.clone(), error }
    }

    fn family(&self, family: Family) -> &ColumnFamily {
        self.db.cf_handle(family.name()).expect("every family is opened with the store")
    }

    fn meta(&self, meta: Meta) -> Result<Option<Vec<u8>>, StoreError> {
        let (family, key) = (Family::Meta, meta.key());
        let Some(stored) = self.db.get_pinned_cf(self.family(family), key).map_err(|error| self.engine(error))? else {
            return Ok(None);
        };
        let place = Place { family, key };
        Ok(Some(self.unpack(place, &stored)?.into_owned()))
    }

    pub(crate) fn epochs(&self) -> Vec<(Epoch, Lsn)> {
        self.epochs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes on disk, for metrics and `status`.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        Family::ALL.iter().map(|family| self.family_bytes(*family)).sum()
    }

    /// Bytes on disk of one family.
    #[must_use]
    pub fn family_bytes(&self, family: Family) -> u64 {
        let property = rocksdb::properties::TOTAL_SST_FILES_SIZE;
        self.db.property_int_value_cf(self.family(family), property).ok().flatten().unwrap_or(0)
    }

    /// Writes everything out and merges every file, as time would: for figures of size.
    ///
    /// # Errors
    /// `Engine`.
    pub fn settle(&self) -> Result<(), StoreError> {
        for family in Family::ALL {
            self.db.flush_cf(self.family(family)).map_err(|error| self.engine(error))?;
            self.rewrite(family);
        }
        Ok(())
    }

    /// Writes the files of a family anew.
    fn rewrite(&self, family: Family) {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db.compact_range_cf_opt(self.family(family), None::<&[u8]>, None::<&[u8]>, &options);
    }

    /// Looks at everything, as [`Reader::verify`] does without the hub's key. Answers how many rows there are.
    ///
    /// # Errors
    /// The first damage found.
    pub fn check(&self) -> Result<u64, StoreError> {
        let verdict = self.reader().verify(None, &mut |_| {})?;
        verdict.damage.into_iter().next().map_or(Ok(verdict.rows), Err)
    }

    /// A view of the committed state at one moment.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self)
    }
}

fn decode<T: for<'b> Decode<'b, ()>>(place: Place<'_>, value: &[u8]) -> Result<T, StoreError> {
    codec::decode_value(value).ok_or_else(|| StoreError::corrupt(place, "cannot be decoded"))
}

fn family_options(family: Family, config: &StoreConfig, cache: &Cache, floor: &Arc<AtomicU64>) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_block_size(16 * 1024);
    match family {
        // Every push of an older ULID asks for keys that are not there.
        Family::Chains | Family::Documents | Family::Conversations => table.set_bloom_filter(10.0, false),
        // One row a message, and few are ever read: what comes with a row counts. A ribbon filter is a third smaller
        // than Bloom's; files that soon are merged have the latter, which is made faster.
        Family::Keys => {
            table.set_hybrid_ribbon_filter(10.0, 1);
            table.set_block_restart_interval(64);
        }
        _ => {}
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(config.write_buffer_bytes / 4);
    // Snapshots are compressed by us, one by one; the rest gains in blocks.
    options.set_compression_type(match family {
        Family::Snapshots => DBCompressionType::None,
        _ => DBCompressionType::Zstd,
    });
    if family == Family::Tails {
        let floor = Arc::clone(floor);
        options.set_compaction_filter("below-floor", move |_, key, _| match keys::lsn_of(key) {
            Some(lsn) if lsn.0 <= floor.load(Ordering::Relaxed) => CompactionDecision::Remove,
            _ => CompactionDecision::Keep,
        });
    }
    options
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).field("hub", &self.hub).finish_non_exhaustive()
    }
}

/// Every key of `meta` that begins as an epoch's row does.
fn is_epoch(key: &[u8]) -> bool {
    key.starts_with(EPOCH_PREFIX)
}
