//! The file of keys: every data key wrapped, small, rewritten whole.
//!
//! CBOR of its content, then an HMAC-SHA-256 under a key of the root key, then the first 8 bytes of the SHA-256 of all
//! before. The last tells damage from a wrong root key, the one before it who wrote the file: without it a key could be
//! left out unseen.

use std::collections::{BTreeMap, BTreeSet};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::hmac::{Hmac, Mac};
use lockstep_protocol::codec;
use lockstep_protocol::id::HubId;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::{Class, DataKey, DataKeyId, KEY_BYTES};
use crate::ring::KeyRing;
use crate::root::{Passphrase, Purpose, RootKey};

/// Version of the file.
const VERSION: u8 = 1;
/// Which rows have to be sealed before all that can be are. 0: all but `meta` and short rows of the index. 1: of `meta` all
/// but format and hub, and short rows that say more than where a fact lies. A store that is complete by less is not.
const COVERED: u8 = 1;
const CHECK_BYTES: usize = 16;
const MAC_BYTES: usize = 32;
const DIGEST_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Id, class, wrapped key.
const ENTRY_BYTES: usize = DataKeyId::LEN + 1 + KEY_BYTES + TAG_BYTES;

/// Why a file of keys gives none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KeyFileError {
    /// Made by a newer program.
    #[error("it has version {0}, newer than this program knows; run a newer lockstep")]
    Version(u8),
    /// Not what was written.
    #[error("it is damaged; put it back from a copy of the folder or from a backup")]
    Damaged,
    /// Another root key wrapped it.
    #[error("the root key is not the one that it was made with")]
    WrongRoot,
}

/// The file, read and not yet opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFile {
    content: Content,
    /// The content as it was read, and the MAC over it.
    signed: Vec<u8>,
    mac: [u8; MAC_BYTES],
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
struct Content {
    #[n(0)]
    version: u8,
    #[n(1)]
    hub: HubId,
    #[n(2)]
    generation: u32,
    /// How the root key comes from a passphrase, if it does.
    #[n(3)]
    passphrase: Option<Passphrase>,
    #[cbor(n(4), with = "minicbor::bytes")]
    check: [u8; CHECK_BYTES],
    /// Entries of id, class and wrapped key, one behind the other, in order of id.
    #[cbor(n(5), with = "minicbor::bytes")]
    keys: Vec<u8>,
    /// Ids of destroyed keys, one behind the other.
    #[cbor(n(6), with = "minicbor::bytes")]
    gone: Vec<u8>,
    #[n(7)]
    complete: bool,
    /// What `complete` is about, see [`COVERED`].
    #[cbor(n(8), default)]
    covered: u8,
}

impl KeyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// `Version`, `Damaged`.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyFileError> {
        let (whole, digest) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or(KeyFileError::Damaged)?;
        if digest_of(whole) != *digest {
            return Err(KeyFileError::Damaged);
        }
        let (signed, mac) = whole.split_last_chunk::<MAC_BYTES>().ok_or(KeyFileError::Damaged)?;
        // A newer file says so in its first field, whatever else it holds.
        let mut decoder = minicbor::Decoder::new(signed);
        let version = decoder.array().and_then(|_| decoder.u8()).map_err(|_| KeyFileError::Damaged)?;
        if version > VERSION {
            return Err(KeyFileError::Version(version));
        }
        let content = codec::decode_value(signed).ok_or(KeyFileError::Damaged)?;
        Ok(Self { content, signed: signed.to_vec(), mac: *mac })
    }

    /// Whose keys they are.
    #[must_use]
    pub const fn hub(&self) -> HubId {
        self.content.hub
    }

    /// How the root key comes from a passphrase, if it does.
    #[must_use]
    pub const fn passphrase(&self) -> Option<&Passphrase> {
        self.content.passphrase.as_ref()
    }

    /// Opens it. Every key is spare until [`KeyRing::used`] says otherwise.
    ///
    /// # Errors
    /// `WrongRoot`, `Damaged`.
    pub fn open(&self, root: &RootKey) -> Result<KeyRing, KeyFileError> {
        let content = &self.content;
        if check(root, content.hub) != content.check {
            return Err(KeyFileError::WrongRoot);
        }
        let mac = mac(root, content.hub, &self.signed);
        mac.verify_slice(&self.mac).map_err(|_| KeyFileError::Damaged)?;
        let ciphers = Class::ALL.map(|class| wrapping(root, content.hub, content.generation, class));
        let mut keys = BTreeMap::new();
        let (entries, rest) = content.keys.as_chunks::<ENTRY_BYTES>();
        for entry in entries {
            let key = unwrap(&ciphers, entry).ok_or(KeyFileError::Damaged)?;
            keys.insert(key.id, key);
        }
        let (gone, odd) = content.gone.as_chunks::<{ DataKeyId::LEN }>();
        if !rest.is_empty() || !odd.is_empty() || keys.len() != entries.len() {
            return Err(KeyFileError::Damaged);
        }
        let gone: BTreeSet<DataKeyId> = gone.iter().map(|id| DataKeyId(*id)).collect();
        let complete = content.complete && content.covered >= COVERED;
        Ok(KeyRing::of(content.hub, content.generation, keys, gone, complete))
    }
}

impl KeyRing {
    /// The file of these keys under a root key, which comes from a passphrase or does not.
    #[must_use]
    pub fn to_file(&self, root: &RootKey, passphrase: Option<&Passphrase>) -> Vec<u8> {
        let ciphers = Class::ALL.map(|class| wrapping(root, self.hub, self.generation, class));
        let mut keys = Vec::with_capacity(self.keys.len() * ENTRY_BYTES);
        for key in self.keys.values() {
            wrap(&ciphers, key, &mut keys);
        }
        let content = Content {
            version: VERSION,
            hub: self.hub,
            generation: self.generation,
            passphrase: passphrase.cloned(),
            check: check(root, self.hub),
            keys,
            gone: self.gone.iter().flat_map(|id| id.0).collect(),
            complete: self.complete,
            covered: COVERED,
        };
        content.to_bytes(root)
    }
}

impl Content {
    fn to_bytes(&self, root: &RootKey) -> Vec<u8> {
        let mut bytes = codec::encode(self);
        let mac = mac(root, self.hub, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac);
        let digest = digest_of(&bytes);
        bytes.extend_from_slice(&digest);
        bytes
    }
}

fn digest_of(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&Sha256::digest(bytes)[..DIGEST_BYTES]);
    digest
}

/// Tells one root key from another, and nothing else of it.
fn check(root: &RootKey, hub: HubId) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&root.derive(hub, Purpose::Check)[..CHECK_BYTES]);
    check
}

fn mac(root: &RootKey, hub: HubId, content: &[u8]) -> Hmac<Sha256> {
    let key = root.derive(hub, Purpose::File);
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key[..]).expect("HMAC takes keys of any length");
    mac.update(content);
    mac
}

/// The key-encryption key of a class, and what its associated data begin with.
struct Wrapping {
    cipher: Aes256Gcm,
    class: Class,
}

fn wrapping(root: &RootKey, hub: HubId, generation: u32, class: Class) -> Wrapping {
    let key = root.derive(hub, Purpose::Wrap(generation, class));
    Wrapping { cipher: Aes256Gcm::new_from_slice(&key[..]).expect("the key has 32 bytes"), class }
}

/// Random as the id is: a key-encryption key meets an id with one data key only.
fn nonce(id: DataKeyId) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..DataKeyId::LEN].copy_from_slice(&id.0);
    nonce
}

fn wrap(ciphers: &[Wrapping; Class::ALL.len()], key: &DataKey, entries: &mut Vec<u8>) {
    let class = key.class.number();
    entries.extend_from_slice(&key.id.0);
    entries.push(class);
    let mut wrapped = Zeroizing::new(*key.secret);
    let cipher = &ciphers[usize::from(class)].cipher;
    let tag = cipher.encrypt_inout_detached(&nonce(key.id).into(), &[class], wrapped.as_mut_slice().into());
    let tag: [u8; TAG_BYTES] = tag.expect("32 bytes are not too many").into();
    entries.extend_from_slice(&wrapped[..]);
    entries.extend_from_slice(&tag);
}

fn unwrap(ciphers: &[Wrapping; Class::ALL.len()], entry: &[u8; ENTRY_BYTES]) -> Option<DataKey> {
    let (id, rest) = entry.split_first_chunk()?;
    let (class, rest) = rest.split_first()?;
    let (wrapped, tag) = rest.split_first_chunk::<KEY_BYTES>()?;
    let tag: [u8; TAG_BYTES] = tag.try_into().ok()?;
    let (id, mut secret) = (DataKeyId(*id), Zeroizing::new(*wrapped));
    let Wrapping { cipher, class: of } = ciphers.get(usize::from(*class))?;
    let opened = cipher.decrypt_inout_detached(&nonce(id).into(), &[*class], secret.as_mut_slice().into(), &tag.into());
    opened.ok().map(|()| DataKey { id, class: *of, secret })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::FRESH_KEY_BYTES;

    fn ring() -> KeyRing {
        let mut ring = KeyRing::new(HubId([7; 16]));
        for number in 1..20 {
            let class = if number % 3 == 0 { Class::Vault } else { Class::Normal };
            ring.add(class, &[number; FRESH_KEY_BYTES]);
        }
        ring.destroy(DataKeyId([4; 8]));
        ring.set_complete(true);
        ring
    }

    fn secrets(ring: &KeyRing) -> Vec<(DataKeyId, Class, [u8; KEY_BYTES])> {
        ring.keys.values().map(|key| (key.id, key.class, *key.secret)).collect()
    }

    #[test]
    fn keys_come_back_under_every_generation() {
        let (mut ring, root) = (ring(), RootKey::new(&[3; 32]));
        let passphrase = Passphrase::new([1; 16]);
        let mut files = Vec::new();
        for _ in 0..3 {
            let bytes = ring.to_file(&root, Some(&passphrase));
            let file = KeyFile::parse(&bytes).unwrap();
            assert_eq!((file.hub(), file.passphrase()), (ring.hub(), Some(&passphrase)));
            let opened = file.open(&root).unwrap();
            assert_eq!(secrets(&opened), secrets(&ring));
            assert_eq!((opened.generation(), opened.gone(), opened.is_complete()), (ring.generation(), 1, true));
            assert_eq!(opened.spare(Class::Vault), 6);
            files.push(bytes);
            ring.rotate();
        }
        // No key is wrapped alike in two generations, and none stands there in the clear.
        let clear = ring.keys.values().next().unwrap().secret.clone();
        assert!(files.iter().all(|bytes| !bytes.windows(KEY_BYTES).any(|window| window == &clear[..])));
        let keys = |bytes: &[u8]| KeyFile::parse(bytes).unwrap().content.keys;
        let (one, other) = (keys(&files[0]), keys(&files[1]));
        let pairs = one.as_chunks::<ENTRY_BYTES>().0.iter().zip(other.as_chunks::<ENTRY_BYTES>().0);
        assert!(pairs.into_iter().all(|(one, other)| one[9..] != other[9..] && one[..9] == other[..9]));
    }

    #[test]
    fn a_store_that_was_complete_when_fewer_rows_were_sealed_is_not() {
        let (ring, root) = (ring(), RootKey::new(&[3; 32]));
        let mut content = KeyFile::parse(&ring.to_file(&root, None)).unwrap().content;
        content.covered = COVERED - 1;
        let older = KeyFile::parse(&content.to_bytes(&root)).unwrap().open(&root).unwrap();
        assert!(ring.is_complete() && !older.is_complete());
        assert!(KeyFile::parse(&older.to_file(&root, None)).unwrap().open(&root).is_ok_and(|ring| !ring.is_complete()));
    }

    #[test]
    fn a_wrong_root_key_is_told_apart_from_damage() {
        let (ring, root) = (ring(), RootKey::new(&[3; 32]));
        let bytes = ring.to_file(&root, None);
        let file = KeyFile::parse(&bytes).unwrap();
        assert_eq!(file.open(&RootKey::new(&[4; 32])).unwrap_err(), KeyFileError::WrongRoot);
        for at in 0..bytes.len() {
            let mut spoilt = bytes.clone();
            spoilt[at] ^= 1;
            assert_eq!(KeyFile::parse(&spoilt).unwrap_err(), KeyFileError::Damaged, "byte {at}");
            assert_eq!(KeyFile::parse(&bytes[..at]).unwrap_err(), KeyFileError::Damaged);
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_refused() {
        let (ring, root) = (ring(), RootKey::new(&[3; 32]));
        let bytes = ring.to_file(&root, None);
        let content = &bytes[..bytes.len() - DIGEST_BYTES];
        // Whoever can compute the digest, but has no root key.
        let forge = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut forged = content.to_vec();
            change(&mut forged);
            let digest = digest_of(&forged);
            forged.extend_from_slice(&digest);
            KeyFile::parse(&forged).and_then(|file| file.open(&root).map(drop))
        };
        assert_eq!(forge(&|_| {}), Ok(()));
        for at in 0..content.len() {
            let refused = forge(&|forged| forged[at] ^= 1);
            assert!(refused.is_err(), "byte {at}");
        }
        let mut fewer = KeyFile::parse(&bytes).unwrap().content;
        fewer.keys.truncate(ENTRY_BYTES);
        let mut forged = [codec::encode(&fewer), content[content.len() - MAC_BYTES..].to_vec()].concat();
        let digest = digest_of(&forged);
        forged.extend_from_slice(&digest);
        assert_eq!(KeyFile::parse(&forged).unwrap().open(&root).unwrap_err(), KeyFileError::Damaged);
        let newer = forge(&|forged| forged[1] = VERSION + 1);
        assert_eq!(newer, Err(KeyFileError::Version(VERSION + 1)));
    }
}
