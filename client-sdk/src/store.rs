//! The device's store: one redb file in one folder, opened by one process.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format` | the format's version, 4 bytes, big-endian |
//! | `meta` | `identity`, `state`, `team` | [`Identity`], `Meta`, `Team` |
//! | `conversations`, `backfills` | conversation (16 bytes) | `ConversationRow`, `BackfillRow` |
//! | `documents` | document (21) | `DocumentRow` |
//! | `facts` | document ‖ actor (16) ‖ seq (4) | `FactRow` |
//! | `events` | document ‖ kind (1) ‖ message (16) ‖ which (1) | `EventRow` |
//! | `outbox`, `resolves`, `not_sent` | order (8) | `OutboxRow`, `ResolveRow`, `NotSentRow` |
//! | `offers` | generation (4) ‖ LSN (8) ‖ epoch (16) | `OfferRow` |
//!
//! Numbers in keys are big-endian, so that the order of keys is that of the rows. A value is the row's CBOR, sealed for its
//! table and key (see [`seal`]), which also tells damage: redb itself checks its pages only when it repairs a file. The
//! format alone is in the clear. In format 1 a value was 8 bytes of BLAKE3 over table, key and row, then the row's CBOR.

pub(crate) mod row;
mod seal;
#[cfg(test)]
mod tests;
pub(crate) mod thread;
mod writer;

use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use lockstep_client_core::query::{Answer, Query};
use lockstep_client_core::row::{
    BackfillRow, ConversationRow, DocumentRow, EventRow, FactRow, Meta, NotSentRow, OfferRow, OutboxRow, ResolveRow,
    Stored, Write,
};
use lockstep_protocol::frame::Team;
use lockstep_protocol::id::{ConversationId, PinnedKeyHash};
use minicbor::{Decode, Encode};
use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageError, TableError, WriteTransaction,
};
use thiserror::Error;

use row::{FORMAT_KEY, META, META_NAME, PROBE_KEY, Row, Single, decode};
use seal::{Salts, Sealer};
use writer::Writer;

/// The version of the store's format that this crate writes.
pub const FORMAT: u32 = 2;

/// The store's file in its folder.
const FILE: &str = "device.redb";

/// A store that is being written anew in this format; it takes the place of the old one when it is whole.
const NEW_FILE: &str = "device.redb.new";

/// Rows that are written anew in one transaction.
const UPGRADE_ROWS: usize = 4_096;

/// Memory that redb may fill with pages, bytes. (Its default is 1 GiB.)
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Why a device's store cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder or its file cannot be read or written.
    #[error("cannot use {path}: {source}; check that the folder exists and belongs to this user", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process, or another handle of this one, has it open.
    #[error("{path} is in use by another process; close that one first", path = .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this software wrote it.
    #[error("{path} has format {found}, this version knows {FORMAT}; update this software", path = .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// There is no store in the folder.
    #[error("{path} holds no device; enrol one with a pairing link", path = .path.display())]
    Absent {
        /// The folder.
        path: PathBuf,
    },
    /// The device's root key is not where it was put.
    #[error(
        "{path} with the key of this device's store is not there; put it back, or move the folder away and enrol this \
         device again", path = .path.display()
    )]
    KeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no root key.
    #[error("{path} holds no key; put back the one that was there", path = .path.display())]
    KeyUnusable {
        /// The file.
        path: PathBuf,
    },
    /// The store was sealed under another root key.
    #[error("{path} was sealed under another key than this device's; put the right one back", path = .path.display())]
    KeyWrong {
        /// The store's file.
        path: PathBuf,
    },
    /// A row is not what was written.
    #[error(
        "a row of the device's store is damaged (table {table}, key {key}); move the folder away and enrol this device \
         again: everything that the hub confirmed comes back"
    )]
    Corrupt {
        /// Its table.
        table: &'static str,
        /// Its key, in hex.
        key: String,
    },
    /// The file is not a store, or redb found it damaged.
    #[error("the device's store is damaged ({0}); move the folder away and enrol this device again")]
    Damaged(String),
    /// Reading or writing failed.
    #[error("the device's store failed: {0}; check the disk and its free space, then start again")]
    Failed(#[source] Box<redb::Error>),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Corrupted(text) => Self::Damaged(text),
            error => Self::Failed(Box::new(error)),
        }
    }
}

/// Who the device is and where its hub is.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Identity {
    /// Its secret Ed25519 key.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) secret: [u8; 32],
    /// The hub's name or address.
    #[n(1)]
    pub(crate) host: String,
    /// The hub's port.
    #[n(2)]
    pub(crate) port: u16,
    /// SHA-256 of the hub's certificate key.
    #[n(3)]
    pub(crate) pinned: PinnedKeyHash,
}

/// Everything of one document.
pub(crate) struct WholeDocument {
    pub(crate) row: DocumentRow,
    /// Stamped facts, in order of (actor, seq).
    pub(crate) facts: Vec<FactRow>,
    /// Facts that the hub has not confirmed, in order.
    pub(crate) waiting: Vec<OutboxRow>,
}

/// An open store. It is closed when it is dropped.
pub(crate) struct Store {
    database: Database,
    path: PathBuf,
    sealer: Sealer,
}

impl Store {
    /// Opens the store of a folder, with the root key that the application keeps, or that of the file beside it. A store
    /// of an older format is written anew.
    ///
    /// # Errors
    /// `Absent`, `InUse`, `Newer`, `KeyMissing`, `KeyUnusable`, `KeyWrong`, `Io`, `Damaged`, `Failed`.
    pub(crate) fn open(home: &Path, root: Option<&[u8; 32]>) -> Result<Self, StoreError> {
        let path = home.join(FILE);
        let absent = || StoreError::Absent { path: home.to_owned() };
        if !path.try_exists().map_err(|source| StoreError::Io { path: path.clone(), source })? {
            return Err(absent());
        }
        let database = open_file(&path)?;
        match format(&database)? {
            None => Err(absent()),
            Some(FORMAT) => {
                let store = Self { database, path, sealer: Sealer::open(home, root)? };
                store.check_key()?;
                Ok(store)
            }
            Some(1) => upgrade(home, database, Sealer::open_or_create(home, root)?),
            Some(found) => Err(StoreError::Newer { path, found }),
        }
    }

    /// Opens the store of a folder, or makes folder and store, readable by their owner only, and a root key if the
    /// application has none.
    ///
    /// # Errors
    /// As [`Store::open`], `Absent` apart.
    pub(crate) fn open_or_create(home: &Path, root: Option<&[u8; 32]>) -> Result<Self, StoreError> {
        match Self::open(home, root) {
            Err(StoreError::Absent { .. }) => {}
            other => return other,
        }
        make_private_folder(home).map_err(io_at(home))?;
        let path = home.join(FILE);
        let store = Self::make(path, Sealer::open_or_create(home, root)?)?;
        // The file's name must survive a power failure too.
        File::open(home).and_then(|folder| folder.sync_all()).map_err(io_at(home))?;
        Ok(store)
    }

    /// An empty store in a new file, or in one that was never finished.
    fn make(path: PathBuf, sealer: Sealer) -> Result<Self, StoreError> {
        make_private_file(&path).map_err(io_at(&path))?;
        let store = Self { database: open_file(&path)?, path, sealer };
        store.write_with(|transaction| {
            let mut probe = Vec::new();
            Sealer::begin(&mut probe);
            store.sealer.seal(META_NAME, PROBE_KEY, &mut Salts::new(), &mut probe)?;
            let mut table = transaction.open_table(META)?;
            table.insert(PROBE_KEY, &probe[..])?;
            table.insert(FORMAT_KEY, &FORMAT.to_be_bytes()[..])?;
            Ok(())
        })?;
        Ok(store)
    }

    /// The first thing that was sealed opens.
    fn check_key(&self) -> Result<(), StoreError> {
        let opens = self.read_with(|transaction| {
            let Some(table) = opened(transaction.open_table(META))? else { return Ok(false) };
            let Some(value) = table.get(PROBE_KEY)? else { return Ok(false) };
            Ok(self.sealer.unseal(META_NAME, PROBE_KEY, value.value()).is_some())
        })?;
        if opens { Ok(()) } else { Err(StoreError::KeyWrong { path: self.path.clone() }) }
    }

    /// Who the device is; none if enrolment was never begun.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, StoreError> {
        self.read_with(|transaction| self.one(transaction))
    }

    /// Sets who the device is, durably.
    pub(crate) fn set_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        self.write_with(|transaction| Writer::new(transaction, &self.sealer).put(identity))
    }

    /// Carries out writes in order, as one transaction, durable when this returns.
    ///
    /// # Errors
    /// Then nothing of it is written.
    pub(crate) fn write(&self, writes: impl IntoIterator<Item = Write>) -> Result<(), StoreError> {
        self.write_with(|transaction| {
            let mut writer = Writer::new(transaction, &self.sealer);
            writes.into_iter().try_for_each(|write| writer.carry_out(write))
        })
    }

    /// Answers a question of the core.
    ///
    /// # Errors
    /// `Corrupt` names the first row that is not what was written.
    pub(crate) fn load(&self, query: &Query) -> Result<Answer, StoreError> {
        let Query::Document(document) = *query;
        self.read_with(|transaction| {
            let prefix = document.to_bytes();
            Ok(Answer::Document {
                facts: self.all::<FactRow>(transaction, &prefix)?,
                events: self.all::<EventRow>(transaction, &prefix)?,
            })
        })
    }

    /// What the device starts from.
    ///
    /// # Errors
    /// `Corrupt` names the first row that is not what was written.
    pub(crate) fn stored(&self) -> Result<Stored, StoreError> {
        self.read_with(|transaction| {
            Ok(Stored {
                meta: self.one::<Meta>(transaction)?.unwrap_or_default(),
                team: self.one::<Team>(transaction)?,
                conversations: self.all::<ConversationRow>(transaction, &[])?,
                documents: self.all::<DocumentRow>(transaction, &[])?,
                outbox: self.all::<OutboxRow>(transaction, &[])?,
                resolves: self.all::<ResolveRow>(transaction, &[])?,
                offers: self.all::<OfferRow>(transaction, &[])?,
                backfills: self.all::<BackfillRow>(transaction, &[])?,
                not_sent: self.all::<NotSentRow>(transaction, &[])?,
            })
        })
    }

    /// A conversation's documents and what waits in the outbox for them, as of one moment.
    pub(crate) fn documents(&self, conversation: ConversationId) -> Result<Vec<WholeDocument>, StoreError> {
        self.read_with(|transaction| {
            let outbox = self.all::<OutboxRow>(transaction, &[])?;
            let documents = self.all::<DocumentRow>(transaction, &conversation.0)?;
            let whole = documents.into_iter().map(|row| {
                let facts = self.all::<FactRow>(transaction, &row.document.to_bytes())?;
                let waiting = outbox.iter().filter(|waiting| waiting.document == row.document).cloned().collect();
                Ok(WholeDocument { row, facts, waiting })
            });
            whole.collect()
        })
    }

    /// Reads every row and has redb check every page. Answers the number of rows.
    ///
    /// # Errors
    /// The first damage found.
    pub(crate) fn check(&mut self) -> Result<u64, StoreError> {
        let database = &mut self.database;
        if !guarded(|| Ok(database.check_integrity()?))? {
            return Err(StoreError::Damaged("redb had to repair it".to_owned()));
        }
        let stored = self.stored()?;
        let (facts, events) = self.read_with(|transaction| {
            Ok((self.all::<FactRow>(transaction, &[])?.len(), self.all::<EventRow>(transaction, &[])?.len()))
        })?;
        let Stored { conversations, documents, outbox, resolves, offers, backfills, not_sent, .. } = stored;
        let counts = [conversations.len(), documents.len(), outbox.len(), resolves.len(), offers.len()];
        let more = [backfills.len(), not_sent.len(), facts, events];
        Ok(counts.into_iter().chain(more).map(|count| count as u64).sum())
    }

    /// The row of a table that holds one row of each type.
    fn one<R: Single>(&self, transaction: &ReadTransaction) -> Result<Option<R>, StoreError> {
        let Some(table) = opened(transaction.open_table(R::TABLE))? else { return Ok(None) };
        let Some(value) = table.get(R::ONE)? else { return Ok(None) };
        decode(&self.sealer, R::ONE, value.value()).map(Some)
    }

    /// Rows whose keys begin with `prefix`, in order of key.
    fn all<R: Row>(&self, transaction: &ReadTransaction, prefix: &[u8]) -> Result<Vec<R>, StoreError> {
        let Some(table) = opened(transaction.open_table(R::TABLE))? else { return Ok(Vec::new()) };
        let last = last_with(prefix);
        let range = table.range::<&[u8]>(prefix..=&last[..])?;
        let rows = range.map(|item| {
            let (key, value) = item?;
            decode(&self.sealer, key.value(), value.value())
        });
        rows.collect()
    }

    fn read_with<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        guarded(|| read(&self.database.begin_read()?))
    }

    fn write_with(&self, write: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>) -> Result<(), StoreError> {
        guarded(|| {
            // Durability::Immediate is redb's default: commit returns after fsync.
            let transaction = self.database.begin_write()?;
            write(&transaction)?;
            Ok(transaction.commit()?)
        })
    }
}

impl core::fmt::Debug for Store {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

fn open_file(path: &Path) -> Result<Database, StoreError> {
    guarded(|| {
        // An empty file is a store that was never finished: it becomes a new one.
        Builder::new().set_cache_size(CACHE_BYTES).create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                StoreError::InUse { path: path.to_owned() }
            }
            DatabaseError::Storage(StorageError::Io(source)) if source.kind() == io::ErrorKind::InvalidData => {
                StoreError::Damaged(source.to_string())
            }
            DatabaseError::Storage(StorageError::Io(source)) => StoreError::Io { path: path.to_owned(), source },
            error => error.into(),
        })
    })
}

fn format(database: &Database) -> Result<Option<u32>, StoreError> {
    guarded(|| {
        let transaction = database.begin_read()?;
        let Some(table) = opened(transaction.open_table(META))? else { return Ok(None) };
        let Some(value) = table.get(FORMAT_KEY)? else { return Ok(None) };
        let bytes = <[u8; 4]>::try_from(value.value());
        bytes.map(|bytes| Some(u32::from_be_bytes(bytes))).map_err(|_| corrupt(META_NAME, FORMAT_KEY))
    })
}

/// Writes a store of format 1 anew, in a file of its own, which then takes the old one's place: rows that were in the
/// clear stay in no page of the new file.
fn upgrade(home: &Path, old: Database, sealer: Sealer) -> Result<Store, StoreError> {
    let (path, new_path) = (home.join(FILE), home.join(NEW_FILE));
    match fs::remove_file(&new_path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io_at(&new_path)(source)),
        _ => {}
    }
    let new = Store::make(new_path.clone(), sealer)?;
    for (table, name) in row::TABLES {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = guarded(|| plain_rows(&old.begin_read()?, *table, name, after.as_deref()))?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            new.write_with(|transaction| {
                let (mut salts, mut table) = (Salts::new(), transaction.open_table(*table)?);
                for (key, plain) in &rows {
                    let mut value = Vec::new();
                    Sealer::begin(&mut value);
                    value.extend_from_slice(plain);
                    new.sealer.seal(name, key, &mut salts, &mut value)?;
                    table.insert(&key[..], &value[..])?;
                }
                Ok(())
            })?;
        }
    }
    let Store { database, sealer, .. } = new;
    drop((database, old));
    fs::rename(&new_path, &path).map_err(io_at(&new_path))?;
    File::open(home).and_then(|folder| folder.sync_all()).map_err(io_at(home))?;
    Ok(Store { database: open_file(&path)?, path, sealer })
}

/// A key, and its row's CBOR.
type PlainRow = (Vec<u8>, Vec<u8>);

/// The next rows of a table of format 1, without their checks.
fn plain_rows(
    transaction: &ReadTransaction,
    table: row::TableOf,
    name: &'static str,
    after: Option<&[u8]>,
) -> Result<Vec<PlainRow>, StoreError> {
    let Some(table) = opened(transaction.open_table(table))? else { return Ok(Vec::new()) };
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rows = Vec::new();
    for item in table.range::<&[u8]>((from, Bound::Unbounded))? {
        let (key, value) = item?;
        let (key, value) = (key.value(), value.value());
        if key != FORMAT_KEY {
            rows.push((key.to_vec(), row::plain_of_format_1(name, key, value)?.to_vec()));
        }
        if rows.len() == UPGRADE_ROWS {
            break;
        }
    }
    Ok(rows)
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path, source }
}

/// No key that begins with `prefix` is greater.
fn last_with(prefix: &[u8]) -> Vec<u8> {
    let mut last = prefix.to_vec();
    last.resize(row::KEY_BYTES_MAX + 1, 0xff);
    last
}

/// A table that was never written is not there.
fn opened<T>(table: Result<T, TableError>) -> Result<Option<T>, StoreError> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn corrupt(table: &'static str, key: &[u8]) -> StoreError {
    use core::fmt::Write as _;
    let mut hex = String::with_capacity(2 * key.len());
    for byte in key {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
    }
    StoreError::Corrupt { table, key: hex }
}

/// Runs redb's code: on a file that was altered it may panic instead of answering an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    outcome.unwrap_or_else(|_| Err(StoreError::Damaged("redb gave up on it".to_owned())))
}

#[cfg(unix)]
fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(unix)]
fn make_private_file(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

#[cfg(not(unix))]
fn make_private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(not(unix))]
fn make_private_file(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).map(drop)
}
