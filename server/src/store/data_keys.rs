//! Which data key seals what: a row of random ids for each, and a copy of them all in memory.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use lockstep_protocol::id::ConversationId;
use lockstep_seal::{Class, DataKeyId};
use rocksdb::{WriteBatch, WriteOptions};

use super::keys::{self, Family};
use super::rows::Rows;
use super::seal::Owner;
use super::{Store, StoreError};

impl Store {
    pub(super) fn load_data_keys(&self) -> Result<(), StoreError> {
        let found = self.reader().data_keys()?;
        self.keychain.used(&found.values().copied().collect());
        *self.data_keys.write().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    }

    /// The data key of an owner, if they have one.
    pub(super) fn data_key_known(&self, owner: Owner, class: Class) -> Option<DataKeyId> {
        self.data_keys.read().unwrap_or_else(PoisonError::into_inner).get(&(owner, class)).copied()
    }

    /// The data key of an owner; a spare one becomes theirs if they have none yet.
    pub(super) fn data_key(&self, owner: Owner, class: Class) -> Result<DataKeyId, StoreError> {
        let known = |keys: &BTreeMap<(Owner, Class), DataKeyId>| keys.get(&(owner, class)).copied();
        if let Some(id) = known(&self.data_keys.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(id);
        }
        let mut keys = self.data_keys.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = known(&keys) {
            return Ok(id);
        }
        let id = self.keychain.take(class).map_err(|error| StoreError::Keys(error.to_string()))?;
        let mut rows = Rows::new(self);
        rows.put(Family::DataKeys, &keys::data_key(owner, class), (Owner::Hub, Class::Normal), |bytes| {
            bytes.extend_from_slice(&id.0);
        })?;
        // Not synced: what is sealed under the key is written later, and the engine's log keeps its order.
        self.db.write(rows.batch).map_err(|error| self.engine(error))?;
        keys.insert((owner, class), id);
        Ok(id)
    }

    /// Destroys a conversation's data keys, durably: its rows cannot be read any more, here and in every copy that has no
    /// older file of keys; reading one answers `Shredded`. Rows written afterwards are sealed under a new key. Answers how
    /// many keys there were.
    ///
    /// # Errors
    /// `Keys` if the file of keys cannot be written, `Engine`.
    pub fn destroy_keys(&self, conversation: ConversationId) -> Result<usize, StoreError> {
        let mut keys = self.data_keys.write().unwrap_or_else(PoisonError::into_inner);
        let owner = Owner::Conversation(conversation);
        let ids: Vec<DataKeyId> = Class::ALL.iter().filter_map(|class| keys.get(&(owner, *class)).copied()).collect();
        let destroyed = self.keychain.destroy(&ids).map_err(|error| StoreError::Keys(error.to_string()))?;
        let mut batch = WriteBatch::default();
        for class in Class::ALL {
            batch.delete_cf(self.family(Family::DataKeys), keys::data_key(owner, class));
            keys.remove(&(owner, class));
        }
        self.packed.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| id.conversation != conversation);
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options).map_err(|error| self.engine(error))?;
        Ok(destroyed)
    }
}
