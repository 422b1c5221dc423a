//! Rows from before sealing: found and sealed beside the running hub, a page at a time, until none is left in the clear.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use lockstep_protocol::id::ConversationId;
use lockstep_seal::Class;

use super::keys::Family;
use super::record::LogRecord;
use super::rows::Rows;
use super::seal::{self, Owner, Place};
use super::{Store, StoreError};
use crate::keychain::SealMode;

/// Rows looked at, or sealed, before the commit thread gets its turn.
const PAGE_ROWS: usize = 64;
/// And bytes of rows in the clear.
const PAGE_BYTES: usize = 256 * 1024;

impl Store {
    /// Whether rows in the clear are to be sealed.
    #[must_use]
    pub fn has_bare_rows(&self) -> bool {
        self.keychain.mode() == SealMode::All && !self.keychain.is_complete()
    }

    /// Seals every row in the clear, and has the engine write its files anew, so that none is left on the disk. Ends early
    /// when `stop` turns true; the next call goes on, as what is sealed is passed over. Answers how many rows it sealed,
    /// and from then on a row in the clear is damage.
    ///
    /// # Errors
    /// `Corrupt` for a row that cannot be read, `Keys`, `Engine`.
    pub fn seal_old(&self, stop: &AtomicBool) -> Result<u64, StoreError> {
        let mut sealed = 0;
        for family in Family::ALL {
            let mut from = Some(Vec::new());
            while let Some(key) = from {
                if stop.load(Ordering::Relaxed) {
                    return Ok(sealed);
                }
                let (count, next) = self.seal_page(family, &key)?;
                sealed += count;
                from = next;
            }
        }
        // What was overwritten stands in the files and the log of the engine until they are written anew.
        for family in Family::ALL {
            self.db.flush_cf(self.family(family)).map_err(|error| self.engine(error))?;
        }
        for family in Family::ALL {
            if stop.load(Ordering::Relaxed) {
                return Ok(sealed);
            }
            self.rewrite(family);
        }
        self.keychain.set_complete(true).map_err(|error| StoreError::Keys(error.to_string()))?;
        Ok(sealed)
    }

    /// Seals the rows of one page; answers how many, and where the next page begins.
    fn seal_page(&self, family: Family, from: &[u8]) -> Result<(u64, Option<Vec<u8>>), StoreError> {
        // Nothing is written in between: it would be overwritten with what it replaced.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rows, mut sealed, mut bytes, mut next) = (Rows::new(self), 0, 0, None);
        self.reader().stored_rows(family, from, |seen, key, stored| {
            if seen == PAGE_ROWS || bytes > PAGE_BYTES {
                next = Some(key.to_vec());
                return Ok(false);
            }
            let place = Place { family, key };
            if seal::is_bare(place, stored) {
                let value = self.unpack(place, stored)?;
                let owner = owner_of(place, &value)?;
                rows.put(family, key, (owner, Class::Normal), |bytes| bytes.extend_from_slice(&value))?;
                bytes += stored.len();
                sealed += 1;
            }
            Ok(true)
        })?;
        if sealed > 0 {
            // Not synced: a page that a crash takes is sealed again.
            self.db.write(rows.batch).map_err(|error| self.engine(error))?;
        }
        Ok((sealed, next))
    }
}

/// Whose a row is.
pub(super) fn owner_of(place: Place<'_>, value: &[u8]) -> Result<Owner, StoreError> {
    match place.family {
        Family::Log => {
            let record = LogRecord::decode(value).ok_or_else(|| StoreError::corrupt(place, "no record of the log"))?;
            Ok(record.conversation.map_or(Owner::Hub, Owner::Conversation))
        }
        Family::Directory | Family::Meta | Family::Tails | Family::DataKeys | Family::Audit => Ok(Owner::Hub),
        Family::Conversations | Family::Documents | Family::Chains | Family::Keys | Family::Snapshots => {
            let id = place.key.first_chunk().ok_or_else(|| StoreError::corrupt(place, "no conversation in the key"))?;
            Ok(Owner::Conversation(ConversationId(*id)))
        }
    }
}
