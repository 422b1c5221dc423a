//! Rows on their way into one write: each value is encoded once, behind its envelope, into one buffer, and sealed there.

use std::collections::HashSet;

use lockstep_core::effect::Batch;
use lockstep_core::row::Write;
use lockstep_protocol::codec;
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId};
use lockstep_seal::Class;
use rocksdb::{ColumnFamily, WriteBatch};

use super::audit;
use super::index;
use super::keys::{self, DirectoryKey, Family, Meta};
use super::record;
use super::seal::{self, Owner, Place, Salts};
use super::{Store, StoreError};

/// A row that every fact, or every audit row, writes again.
#[derive(PartialEq, Eq, Hash)]
enum BusyRow {
    Conversation(ConversationId),
    Document(DocumentId),
    Chain(DocumentId, ActorId),
    AuditHead,
}

impl BusyRow {
    const fn of(write: &Write) -> Option<Self> {
        match write {
            Write::Conversation(row) => Some(Self::Conversation(row.conversation.id)),
            Write::Document(id, _) => Some(Self::Document(*id)),
            Write::Chain(id, actor, _) => Some(Self::Chain(*id, *actor)),
            Write::AuditHead(_) => Some(Self::AuditHead),
            _ => None,
        }
    }
}

/// For each write of a group, in order, whether a later one of the group replaces it: it becomes durable with that one, so
/// nobody could ever read it. Sealing is most of what a row costs.
pub(super) fn replaced(group: &[Batch]) -> Vec<bool> {
    let mut later = HashSet::new();
    let writes = group.iter().flat_map(|part| &part.writes).rev();
    let mut replaced: Vec<bool> =
        writes.map(|write| BusyRow::of(write).is_some_and(|row| !later.insert(row))).collect();
    replaced.reverse();
    replaced
}

/// A write that is being put together.
pub(super) struct Rows<'a> {
    store: &'a Store,
    /// What will be written.
    pub(super) batch: WriteBatch,
    /// The value under way.
    stored: Vec<u8>,
    salts: Salts,
}

impl<'a> Rows<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, batch: WriteBatch::default(), stored: Vec::new(), salts: Salts::default() }
    }

    pub(super) fn family(&self, family: Family) -> &'a ColumnFamily {
        self.store.family(family)
    }

    /// A row with the value that `encode` appends.
    pub(super) fn put(
        &mut self,
        family: Family,
        key: &[u8],
        of: (Owner, Class),
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StoreError> {
        let stored = self.store.pack(Place { family, key }, of, &mut self.salts, &mut self.stored, encode)?;
        self.batch.put_cf(self.store.family(family), key, stored);
        Ok(())
    }

    pub(super) fn put_meta(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.put(Family::Meta, key, (Owner::Hub, Class::Normal), |bytes| bytes.extend_from_slice(value))
    }

    /// A row of the core's that needs nothing to be read.
    pub(super) fn put_row(&mut self, write: &Write) -> Result<(), StoreError> {
        match write {
            // Those of the whole log, and what needs reading, are written by `Store::commit` itself.
            Write::Head { .. }
            | Write::Epoch { .. }
            | Write::Floor(_)
            | Write::DocumentGone(_)
            | Write::DocumentExpired(..)
            | Write::ConversationGone(_)
            | Write::Reseal(_) => Ok(()),
            Write::Shred(id, row) => self.put_directory(DirectoryKey::Shred(*id), Some(row)),
            Write::Words(list) => {
                let key = DirectoryKey::Words.to_bytes();
                // What the team calls sensitive is.
                self.put(Family::Directory, &key, (Owner::Hub, Class::Vault), |bytes| bytes.extend_from_slice(list))
            }
            Write::Scan(row) => self.put_meta(Meta::Scan.key(), &codec::encode(row)),
            Write::Member(id, member) => self.put_directory(DirectoryKey::Member(*id), member.as_ref()),
            Write::Device(id, device) => self.put_directory(DirectoryKey::Device(*id), device.as_ref()),
            Write::Revoked(id, is) => self.put_directory(DirectoryKey::Revoked(*id), is.then_some(&())),
            Write::Seen(id, at_ms) => self.put_directory(DirectoryKey::Seen(*id), at_ms.as_ref()),
            Write::Audit(entry) => {
                let of = (Owner::Hub, Class::Normal);
                self.put(Family::Audit, &entry.sequence.to_be_bytes(), of, |bytes| audit::encode(entry, bytes))
            }
            Write::AuditHead(head) => self.put_meta(Meta::Audit.key(), &audit::encode_head(head)),
            Write::Policy(policy) => self.put_directory(DirectoryKey::Policy, Some(policy)),
            Write::Conversation(row) => {
                let id = row.conversation.id;
                self.put_value(Family::Conversations, &id.0, id, &**row)
            }
            Write::Document(id, row) => self.put_value(Family::Documents, &keys::document(*id), id.conversation, row),
            Write::Chain(id, actor, row) => {
                self.put_value(Family::Chains, &keys::chain(*id, *actor), id.conversation, row)
            }
            Write::Key(conversation, key, row) => {
                let of = (Owner::Conversation(*conversation), index::class(row));
                let key = keys::index(*conversation, *key);
                self.put(Family::Keys, &key, of, |bytes| index::encode(row, bytes))
            }
            Write::Snapshot(id, row, class) => {
                let (key, of) = (keys::document(*id), (Owner::Conversation(id.conversation), seal::class(*class)));
                match self.store.packed(*id, row.upto, *class) {
                    Some(stored) => self.batch.put_cf(self.family(Family::Snapshots), key, stored),
                    None => self.put(Family::Snapshots, &key, of, |bytes| record::encode_snapshot(row, bytes))?,
                }
                Ok(())
            }
        }
    }

    fn put_value<T: minicbor::Encode<()>>(
        &mut self,
        family: Family,
        key: &[u8],
        conversation: ConversationId,
        value: &T,
    ) -> Result<(), StoreError> {
        let of = (Owner::Conversation(conversation), Class::Normal);
        self.put(family, key, of, |bytes| codec::encode_into(value, bytes))
    }

    fn put_directory<T: minicbor::Encode<()>>(&mut self, key: DirectoryKey, row: Option<&T>) -> Result<(), StoreError> {
        let key = key.to_bytes();
        match row {
            Some(row) => {
                let of = (Owner::Hub, Class::Normal);
                self.put(Family::Directory, &key, of, |bytes| codec::encode_into(row, bytes))
            }
            None => {
                self.batch.delete_cf(self.store.family(Family::Directory), key);
                Ok(())
            }
        }
    }
}
