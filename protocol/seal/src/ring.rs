//! The ring: all data keys of a store in the clear, in memory, and which of them nobody uses yet.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::id::HubId;

use crate::key::{Class, DataKey, DataKeyId, FRESH_KEY_BYTES};
use crate::record::{self, Place, RecordError};

/// Spare keys that a refill makes at least, of a class: opening a conversation must not rewrite the file of keys.
pub const POOL_MIN: usize = 256;
/// And one in so many of all keys, so that what refills write stays in proportion.
const POOL_PART: usize = 8;

/// Data keys by id.
#[derive(Debug)]
pub struct KeyRing {
    pub(crate) hub: HubId,
    pub(crate) generation: u32,
    pub(crate) keys: BTreeMap<DataKeyId, DataKey>,
    /// Destroyed keys, so that what they sealed is told apart from damage.
    pub(crate) gone: BTreeSet<DataKeyId>,
    /// Every row that can be sealed is: one that is not was put there by somebody else.
    pub(crate) complete: bool,
    /// By class: those that no row names.
    spare: [Vec<DataKeyId>; Class::ALL.len()],
}

impl KeyRing {
    /// Without keys, of the first generation.
    #[must_use]
    pub fn new(hub: HubId) -> Self {
        Self::of(hub, 1, BTreeMap::new(), BTreeSet::new(), false)
    }

    /// Every key is spare until [`KeyRing::used`] says otherwise.
    pub(crate) fn of(
        hub: HubId,
        generation: u32,
        keys: BTreeMap<DataKeyId, DataKey>,
        gone: BTreeSet<DataKeyId>,
        complete: bool,
    ) -> Self {
        let spare = Class::ALL.map(|class| keys.values().filter(|key| key.class == class).map(DataKey::id).collect());
        Self { hub, generation, keys, gone, complete, spare }
    }

    /// Whose keys they are.
    #[must_use]
    pub const fn hub(&self) -> HubId {
        self.hub
    }

    /// Generation of the key-encryption keys.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Begins the next generation: whatever is written from now on is wrapped anew.
    pub const fn rotate(&mut self) {
        self.generation = self.generation.saturating_add(1);
    }

    /// Whether every row that can be sealed is.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Says whether every row that can be sealed is.
    pub const fn set_complete(&mut self, complete: bool) {
        self.complete = complete;
    }

    /// Keys, of both classes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys that were destroyed.
    #[must_use]
    pub fn gone(&self) -> usize {
        self.gone.len()
    }

    /// Keys of a class that no row names.
    #[must_use]
    pub fn spare(&self, class: Class) -> usize {
        self.spare[usize::from(class.number())].len()
    }

    /// Rows name these keys: they are not spare.
    pub fn used(&mut self, ids: &BTreeSet<DataKeyId>) {
        for pool in &mut self.spare {
            pool.retain(|id| !ids.contains(id));
        }
    }

    /// A spare key for somebody who has none, if there is one. It counts as used once a row names it.
    pub fn take(&mut self, class: Class) -> Option<DataKeyId> {
        self.spare[usize::from(class.number())].pop()
    }

    /// How many keys of a class to add when its pool is empty.
    #[must_use]
    pub fn refill(&self) -> usize {
        POOL_MIN.max(self.keys.len() / POOL_PART)
    }

    /// Adds a spare key of fresh random bytes. It may be used once the file of keys that holds it is durable.
    /// Answers its id; none for bytes that spell the id of another.
    pub fn add(&mut self, class: Class, random: &[u8; FRESH_KEY_BYTES]) -> Option<DataKeyId> {
        let key = DataKey::new(class, random)?;
        let id = key.id;
        if self.keys.contains_key(&id) || self.gone.contains(&id) {
            return None;
        }
        self.spare[usize::from(class.number())].push(id);
        self.keys.insert(id, key);
        Some(id)
    }

    /// Takes spare keys back that nobody has seen: their file could not be written.
    pub fn withdraw(&mut self, ids: &[DataKeyId]) {
        for id in ids {
            for pool in &mut self.spare {
                pool.retain(|spare| spare != id);
            }
            self.keys.remove(id);
        }
    }

    /// Destroys a key; false if it is not there. What it sealed is gone once the file of keys is written anew, from
    /// every copy that has no older file of keys.
    pub fn destroy(&mut self, id: DataKeyId) -> bool {
        for pool in &mut self.spare {
            pool.retain(|spare| *spare != id);
        }
        let is_there = self.keys.remove(&id).is_some();
        if is_there {
            self.gone.insert(id);
        }
        is_there
    }

    /// A key.
    ///
    /// # Errors
    /// `KeyGone` for one that was destroyed, `KeyUnknown` for one that never was.
    pub fn key(&self, id: DataKeyId) -> Result<&DataKey, RecordError> {
        match self.keys.get(&id) {
            Some(key) => Ok(key),
            None if self.gone.contains(&id) => Err(RecordError::KeyGone(id)),
            None => Err(RecordError::KeyUnknown(id)),
        }
    }

    /// Opens a record of this ring.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn open(&self, place: &Place<'_>, record: &[u8], plain: &mut Vec<u8>) -> Result<(), RecordError> {
        plain.clear();
        record::open(place, self.key(record::header(record)?.key)?, record, plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(number: u16) -> [u8; FRESH_KEY_BYTES] {
        let mut bytes = [1; FRESH_KEY_BYTES];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    #[test]
    fn a_pool_gives_each_key_once_and_grows_with_the_ring() {
        let mut ring = KeyRing::new(HubId([1; 16]));
        assert_eq!((ring.take(Class::Normal), ring.refill()), (None, POOL_MIN));
        for number in 0..4_000 {
            ring.add(if number % 2 == 0 { Class::Normal } else { Class::Vault }, &random(number));
        }
        // The same bytes again, and the id of the root's own key, add nothing.
        ring.add(Class::Normal, &random(7));
        ring.add(Class::Normal, &[0; FRESH_KEY_BYTES]);
        assert_eq!((ring.len(), ring.refill()), (4_000, 500));
        let mut taken = BTreeSet::new();
        while let Some(id) = ring.take(Class::Vault) {
            assert_eq!(ring.key(id).unwrap().class(), Class::Vault);
            assert!(taken.insert(id));
        }
        assert_eq!((taken.len(), ring.spare(Class::Vault), ring.spare(Class::Normal)), (2_000, 0, 2_000));
        let named: BTreeSet<DataKeyId> = ring.keys.keys().take(100).copied().collect();
        ring.used(&named);
        assert!(ring.spare[0].iter().all(|id| !named.contains(id)));
    }

    #[test]
    fn a_destroyed_key_is_told_apart_from_one_that_never_was() {
        let mut ring = KeyRing::new(HubId([1; 16]));
        ring.add(Class::Normal, &random(1));
        let id = ring.take(Class::Normal).unwrap();
        let place = Place { hub: ring.hub(), family: "log", key: b"k", kind: 0 };
        let mut record = Vec::new();
        record::begin(&mut record);
        record.extend_from_slice(b"text");
        record::seal(&place, ring.key(id).unwrap(), &[2; record::SALT_BYTES], &mut record);
        let mut plain = Vec::new();
        ring.open(&place, &record, &mut plain).unwrap();
        assert_eq!(plain, b"text");
        assert!(ring.destroy(id) && !ring.destroy(id));
        assert_eq!(ring.open(&place, &record, &mut plain), Err(RecordError::KeyGone(id)));
        assert!(plain.is_empty());
        let never = DataKeyId([9; 8]);
        assert_eq!(ring.key(never).unwrap_err(), RecordError::KeyUnknown(never));
        // Its bytes do not bring it back.
        ring.add(Class::Normal, &random(1));
        assert_eq!((ring.len(), ring.gone()), (0, 1));
    }
}
