//! Rows on their way into one write: each value is encoded once, behind its envelope, into one buffer.

use lockstep_core::row::Write;
use lockstep_protocol::codec;
use rocksdb::{ColumnFamily, WriteBatch};

use super::Store;
use super::audit;
use super::index;
use super::keys::{self, DirectoryKey, Family, Meta};
use super::record;
use super::seal::{self, Place};

/// A write that is being put together.
pub(super) struct Rows<'a> {
    store: &'a Store,
    /// What will be written.
    pub(super) batch: WriteBatch,
    /// The value under way.
    stored: Vec<u8>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, batch: WriteBatch::default(), stored: Vec::new() }
    }

    pub(super) fn family(&self, family: Family) -> &'a ColumnFamily {
        self.store.family(family)
    }

    /// A row with the value that `encode` appends.
    pub(super) fn put(&mut self, family: Family, key: &[u8], encode: impl FnOnce(&mut Vec<u8>)) {
        seal::pack(Place { family, key }, &mut self.stored, encode);
        self.batch.put_cf(self.store.family(family), key, &self.stored);
    }

    pub(super) fn put_meta(&mut self, key: &[u8], value: &[u8]) {
        self.put(Family::Meta, key, |bytes| bytes.extend_from_slice(value));
    }

    /// A row of the core's that needs nothing to be read.
    pub(super) fn put_row(&mut self, write: &Write) {
        match write {
            // Those of the whole log, and what needs reading, are written by `Store::commit` itself.
            Write::Head { .. } | Write::Epoch { .. } | Write::Floor(_) | Write::DocumentGone(_) => {}
            Write::Member(id, member) => self.put_directory(DirectoryKey::Member(*id), member.as_ref()),
            Write::Device(id, device) => self.put_directory(DirectoryKey::Device(*id), device.as_ref()),
            Write::Seen(id, at_ms) => self.put_directory(DirectoryKey::Seen(*id), at_ms.as_ref()),
            Write::Audit(entry) => {
                self.put(Family::Audit, &entry.sequence.to_be_bytes(), |bytes| audit::encode(entry, bytes));
            }
            Write::AuditHead(head) => self.put_meta(Meta::Audit.key(), &audit::encode_head(head)),
            Write::Policy(policy) => self.put_directory(DirectoryKey::Policy, Some(policy)),
            Write::Conversation(row) => self.put_value(Family::Conversations, &row.conversation.id.0, &**row),
            Write::Document(id, row) => self.put_value(Family::Documents, &keys::document(*id), row),
            Write::Chain(id, actor, row) => self.put_value(Family::Chains, &keys::chain(*id, *actor), row),
            Write::Key(conversation, key, row) => {
                self.put(Family::Keys, &keys::index(*conversation, *key), |bytes| index::encode(row, bytes));
            }
            Write::Snapshot(id, row) => match self.store.packed(*id, row.upto) {
                Some(stored) => self.batch.put_cf(self.family(Family::Snapshots), keys::document(*id), stored),
                None => self.put(Family::Snapshots, &keys::document(*id), |bytes| record::encode_snapshot(row, bytes)),
            },
        }
    }

    fn put_value<T: minicbor::Encode<()>>(&mut self, family: Family, key: &[u8], value: &T) {
        self.put(family, key, |bytes| codec::encode_into(value, bytes));
    }

    fn put_directory<T: minicbor::Encode<()>>(&mut self, key: DirectoryKey, row: Option<&T>) {
        match row {
            Some(row) => self.put_value(Family::Directory, &key.to_bytes(), row),
            None => self.batch.delete_cf(self.store.family(Family::Directory), key.to_bytes()),
        }
    }
}
