//! The one point through which every stored value passes on its way to the disk and back.
//!
//! | first byte | what follows |
//! |---|---|
//! | 1 | form (1) ‖ payload, in the clear |
//! | 2 | the rest of a sealed record (`lockstep-seal`), whose plaintext is form (1) ‖ payload |
//!
//! The form says how the payload is packed. In the clear are the rows that tell nothing but ids and numbers (`tails`,
//! `data_keys`, most slim rows of `keys`, format and hub of `meta`), everything else before sealing, and with
//! `seal.mode = "sensitive"` whatever is neither of the vault class nor holds digests of text. Once every row that can be sealed is, one in the clear is damage: somebody else
//! has put it there. Which that is stands in the file of keys, where it cannot be forged.

use std::borrow::Cow;

use lockstep_protocol::id::{ConversationId, HubId};
use lockstep_seal::record::{self, HEADER_BYTES};
use lockstep_seal::{Class, RecordError, SALT_BYTES};

use super::keys::{Family, Meta};
use super::{Store, StoreError, dictionary, index};
use crate::entropy;
use crate::keychain::{Keychain, SealMode};

/// Version of the envelope in the clear.
const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// As `dictionary.rs` packs: of sealed values only.
const SMALL: u8 = 2;
const FORM_BYTES: usize = 1;
/// Where a payload begins while it is packed: behind room for either envelope.
const PAYLOAD_AT: usize = HEADER_BYTES + FORM_BYTES;
/// Where an envelope in the clear begins then.
const CLEAR_AT: usize = PAYLOAD_AT - FORM_BYTES - 1;

/// Values shorter than this are not compressed, bytes: a frame header would eat what is won.
const COMPRESS_BYTES_MIN: usize = 512;
/// zstd's level: the first that packs text, ids and MACs of one document each in its own way; against 12 it saves 9 % of
/// what documents take, and costs 7 milliseconds a full segment where 12 costs 4. Snapshots are made off the hot path.
const ZSTD_LEVEL: i32 = 14;
/// No value unpacks to more, bytes: a damaged length must not allocate without bound.
const UNPACKED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Salts drawn at once.
const SALTS: usize = 8;

/// Where a value lies: its column family and whole key.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Column family.
    pub family: Family,
    /// Key.
    pub key: &'a [u8],
}

impl<'a> Place<'a> {
    const fn sealed(self, hub: HubId) -> lockstep_seal::Place<'a> {
        lockstep_seal::Place { hub, family: self.family.name(), key: self.key, kind: 0 }
    }
}

/// Whose data key seals a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Owner {
    /// The hub's own.
    Hub,
    /// A conversation's.
    Conversation(ConversationId),
}

/// The class of a record, as the core names it.
pub(super) const fn class(class: lockstep_core::row::Class) -> Class {
    match class {
        lockstep_core::row::Class::Normal => Class::Normal,
        lockstep_core::row::Class::Vault => Class::Vault,
    }
}

/// Salts for the records of one write. Drawn for it and dropped with it: a machine that is restored from an image of its
/// memory must not use one again.
#[derive(Default)]
pub(super) struct Salts {
    bytes: [[u8; SALT_BYTES]; SALTS],
    left: usize,
}

impl Salts {
    fn next(&mut self) -> [u8; SALT_BYTES] {
        if self.left == 0 {
            let fresh: [u8; SALT_BYTES * SALTS] = entropy::fresh();
            self.bytes.as_flattened_mut().copy_from_slice(&fresh);
            self.left = SALTS;
        }
        self.left -= 1;
        self.bytes[self.left]
    }
}

impl Store {
    /// Packs the value that `encode` appends, for its place, into `stored`, which is emptied first: one buffer serves a
    /// whole write. Answers what is to be stored: the end of the buffer.
    pub(super) fn pack<'s>(
        &self,
        place: Place<'_>,
        (owner, class): (Owner, Class),
        salts: &mut Salts,
        stored: &'s mut Vec<u8>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<&'s [u8], StoreError> {
        record::begin(stored);
        stored.push(PLAIN);
        encode(stored);
        let payload = &stored[PAYLOAD_AT..];
        // Entries and small rows in the clear are compressed by RocksDB, block by block; snapshots are worth a frame.
        if place.family == Family::Snapshots
            && payload.len() >= COMPRESS_BYTES_MIN
            && let Ok(compressed) = zstd::bulk::compress(payload, ZSTD_LEVEL)
        {
            stored.truncate(HEADER_BYTES);
            stored.push(ZSTD);
            stored.extend_from_slice(&compressed);
        }
        let is_sealed = tells(place, &stored[PAYLOAD_AT..])
            && (self.keychain.mode() == SealMode::All || class == Class::Vault || holds_digests(place.family));
        if !is_sealed {
            stored[CLEAR_AT] = VERSION;
            return Ok(&stored[CLEAR_AT..]);
        }
        if place.family == Family::Log && dictionary::pack(stored, PAYLOAD_AT) {
            stored[HEADER_BYTES] = SMALL;
        }
        let id = self.data_key(owner, class)?;
        let ring = self.keychain.ring();
        let key = ring.key(id).map_err(|error| StoreError::unreadable(place, error))?;
        record::seal(&place.sealed(self.hub), key, &salts.next(), stored);
        Ok(&stored[..])
    }

    /// Unpacks a value of this store.
    pub(super) fn unpack<'a>(&self, place: Place<'_>, stored: &'a [u8]) -> Result<Cow<'a, [u8]>, StoreError> {
        unpack(&self.keychain, place, stored)
    }
}

/// Whether a value is in the clear though it could be sealed.
pub(super) fn is_bare(place: Place<'_>, stored: &[u8]) -> bool {
    matches!(stored, [VERSION, _, payload @ ..] if tells(place, payload))
}

/// Whether a value tells more than ids and numbers, or must not be changed unseen.
fn tells(place: Place<'_>, payload: &[u8]) -> bool {
    match place.family {
        Family::Tails | Family::DataKeys => false,
        // What is read before there are keys to read with.
        Family::Meta => ![Meta::Format.key(), Meta::Hub.key()].contains(&place.key),
        Family::Keys => !index::is_slim(payload),
        Family::Log
        | Family::Audit
        | Family::Directory
        | Family::Conversations
        | Family::Documents
        | Family::Chains
        | Family::Snapshots => true,
    }
}

/// Whether values have digests of text, by which a guess could be confirmed: hashes of changes, of documents, of facts.
/// They say nothing of whether the text is sensitive, and are sealed in any case.
const fn holds_digests(family: Family) -> bool {
    matches!(family, Family::Keys | Family::Chains | Family::Documents)
}

/// Unpacks a value.
///
/// # Errors
/// `Shredded` if its data key was destroyed; `Corrupt` for what was not packed for this place, or is damaged.
pub fn unpack<'a>(keychain: &Keychain, place: Place<'_>, stored: &'a [u8]) -> Result<Cow<'a, [u8]>, StoreError> {
    let unusable = || StoreError::corrupt(place, "cannot be unpacked");
    match stored {
        [VERSION, form, payload @ ..] => {
            if tells(place, payload) && keychain.is_complete() {
                return Err(StoreError::corrupt(place, "is not sealed, but every row of this store is"));
            }
            match *form {
                PLAIN => Ok(Cow::Borrowed(payload)),
                ZSTD => decompress(payload).map(Cow::Owned).ok_or_else(unusable),
                _ => Err(unusable()),
            }
        }
        [record::VERSION, ..] => {
            let mut plain = Vec::new();
            let opened = keychain.open_row(&place.sealed(keychain.hub()), stored, &mut plain);
            opened.map_err(|error| StoreError::unreadable(place, error))?;
            match plain.first() {
                Some(&PLAIN) => {
                    plain.remove(0);
                    Ok(Cow::Owned(plain))
                }
                Some(&SMALL) => dictionary::unpack(&plain[FORM_BYTES..]).map(Cow::Owned).ok_or_else(unusable),
                Some(&ZSTD) => decompress(&plain[FORM_BYTES..]).map(Cow::Owned).ok_or_else(unusable),
                _ => Err(unusable()),
            }
        }
        _ => Err(unusable()),
    }
}

fn decompress(compressed: &[u8]) -> Option<Vec<u8>> {
    let bytes_max = zstd::zstd_safe::get_frame_content_size(compressed).ok()??;
    let bytes_max = usize::try_from(bytes_max).ok().filter(|bytes| *bytes <= UNPACKED_BYTES_MAX)?;
    zstd::bulk::decompress(compressed, bytes_max).ok()
}

impl StoreError {
    /// Of a sealed row.
    pub(super) fn unreadable(place: Place<'_>, error: RecordError) -> Self {
        match error {
            RecordError::KeyGone(_) => Self::Shredded { family: place.family.name(), key: hex::encode(place.key) },
            RecordError::KeyUnknown(_) => {
                Self::corrupt(place, "its data key is not in keys/data.keys: it is damaged, or that file is older")
            }
            RecordError::Version(_) => Self::corrupt(place, "sealed by a newer program, or damaged"),
            RecordError::Damaged => Self::corrupt(place, "damaged, or moved from another place"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keychain::SealConfig;
    use crate::store::StoreConfig;

    const OWNER: Owner = Owner::Conversation(ConversationId([7; 16]));

    fn packed(store: &Store, place: Place<'_>, value: &[u8]) -> Vec<u8> {
        let (mut stored, mut salts) = (b"what was there before".to_vec(), Salts::default());
        let of = (OWNER, Class::Normal);
        store.pack(place, of, &mut salts, &mut stored, |bytes| bytes.extend_from_slice(value)).unwrap().to_vec()
    }

    fn check(mode: SealMode) {
        let folder = tempfile::tempdir().unwrap();
        let config = SealConfig { mode, root_key: Some(folder.path().join("root.key")), ..SealConfig::default() };
        let store = Store::open(folder.path(), &StoreConfig::default(), &config).unwrap();
        let long: Vec<u8> = (0..4_000u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
        for family in [Family::Log, Family::Snapshots, Family::Meta, Family::Tails, Family::Keys] {
            let place = Place { family, key: b"k" };
            for value in [&b"\x80"[..], b"short", &long] {
                let packed = packed(&store, place, value);
                assert_eq!(store.unpack(place, &packed).unwrap(), value);
                let is_sealed = tells(place, value) && (mode == SealMode::All || holds_digests(family));
                assert_eq!(packed[0] == record::VERSION, is_sealed, "{family:?}");
            }
        }
        let place = Place { family: Family::Snapshots, key: b"k" };
        let packed = packed(&store, place, &long);
        assert!(packed.len() < long.len() / 2);
        for spoilt in [&packed[..packed.len() - 1], &[], &[VERSION], &[record::VERSION + 1, PLAIN], &[VERSION, 99, 1]] {
            assert!(store.unpack(place, spoilt).is_err());
        }
        let bare = [VERSION, PLAIN, 1];
        assert_eq!(store.unpack(place, &bare).is_err(), mode == SealMode::All);
        let of = |family, key| Place { family, key };
        assert!(is_bare(place, &bare) && is_bare(of(Family::Meta, b"head"), &bare));
        assert!(!is_bare(of(Family::Meta, b"format"), &bare) && !is_bare(of(Family::Keys, b"k"), &bare));
    }

    #[test]
    fn values_come_back_and_damage_is_seen() {
        check(SealMode::All);
        check(SealMode::Sensitive);
    }
}
