//! Where only what is sensitive is sealed, a row may stand in the clear until it is known for what it is: a list learns a
//! word, or the rest of one comes with the next message. It is sealed then; what it replaced is still in the engine's log and
//! files, and is driven out of them at once, for the keys that it concerns. So is what was deleted because of its age.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use lockstep_core::effect::Batch;
use lockstep_core::row::{Class, Write};
use rocksdb::{BottommostLevelCompaction, CompactOptions};
use tokio::sync::Notify;

use super::keys::{self, Family};
use super::{Store, StoreError};
use crate::keychain::SealMode;

/// The first key and the last.
type Range = (Vec<u8>, Vec<u8>);

/// Keys whose older values stand in the clear, by family.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    ranges: Mutex<BTreeMap<Family, Range>>,
    wake: Notify,
}

impl Replaced {
    fn add(&self, family: Family, key: &[u8]) {
        let mut ranges = self.ranges.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = ranges.entry(family).or_insert_with(|| (key.to_vec(), key.to_vec()));
        if key < &first[..] {
            *first = key.to_vec();
        }
        if key > &last[..] {
            *last = key.to_vec();
        }
    }
}

impl Store {
    /// Takes note of what batches that are durable now have sealed.
    pub(super) fn note_replaced(&self, batches: &[Batch]) {
        if self.keychain.mode() == SealMode::All {
            return;
        }
        let mut is_any = false;
        for write in batches.iter().flat_map(|batch| &batch.writes) {
            match write {
                Write::Reseal(lsn) => self.replaced.add(Family::Log, &lsn.0.to_be_bytes()),
                Write::DocumentExpired(document, remains) => {
                    self.replaced.add(Family::Snapshots, &keys::document(*document));
                    for entry in &remains.entries {
                        self.replaced.add(Family::Log, &entry.lsn.0.to_be_bytes());
                    }
                }
                Write::Snapshot(document, _, Class::Vault) => {
                    self.replaced.add(Family::Snapshots, &keys::document(*document));
                }
                _ => continue,
            }
            is_any = true;
        }
        if is_any {
            self.replaced.wake.notify_one();
        }
    }

    /// Waits until something was sealed that stood in the clear.
    pub(crate) async fn has_replaced(&self) {
        self.replaced.wake.notified().await;
    }

    /// Drives what was replaced out of the engine's log and files.
    ///
    /// # Errors
    /// `Engine`.
    pub(crate) fn forget_replaced(&self) -> Result<(), StoreError> {
        let ranges = std::mem::take(&mut *self.replaced.ranges.lock().unwrap_or_else(PoisonError::into_inner));
        if ranges.is_empty() {
            return Ok(());
        }
        // A file of the engine's log goes when every family has what it holds in a table.
        for family in Family::ALL {
            self.db.flush_cf(self.family(family)).map_err(|error| self.engine(error))?;
        }
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for (family, (first, last)) in ranges {
            self.db.compact_range_cf_opt(self.family(family), Some(first), Some(last), &options);
        }
        Ok(())
    }
}
