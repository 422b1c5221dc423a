//! The root key: the one secret that everything durable hangs on, kept outside the data and its backups.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use lockstep_protocol::id::HubId;
use minicbor::{Decode, Encode};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::{Class, DataKey, DataKeyId, KEY_BYTES};

/// Says what a derived key is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// Wraps data keys of one generation and class.
    Wrap(u32, Class),
    /// Tells the right root key from another.
    Check,
    /// Authenticates the key file.
    File,
    /// Seals the owner's other secrets.
    Secrets,
}

/// 32 secret bytes, wiped when dropped.
#[derive(Clone)]
pub struct RootKey(Zeroizing<[u8; KEY_BYTES]>);

impl RootKey {
    /// Length in bytes.
    pub const LEN: usize = KEY_BYTES;

    /// From secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(*secret))
    }

    /// From a file's content: 32 bytes, or 64 hex digits with or without a line's end. None for anything else.
    #[must_use]
    pub fn from_file(content: &[u8]) -> Option<Self> {
        if let Ok(secret) = <&[u8; Self::LEN]>::try_from(content) {
            return Some(Self::new(secret));
        }
        let mut secret = Zeroizing::new([0; Self::LEN]);
        let digits = content.trim_ascii();
        if digits.len() != 2 * Self::LEN {
            return None;
        }
        for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = digit(0)? << 4 | digit(1)?;
        }
        Some(Self(secret))
    }

    /// As a file holds it: 64 hex digits and a line's end, so that it can be printed and typed in again.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * Self::LEN + 1));
        for byte in self.0.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        text.push('\n');
        text
    }

    /// The key that seals the secrets that are kept beside the key file.
    #[must_use]
    pub fn secrets_key(&self, hub: HubId) -> DataKey {
        DataKey { id: DataKeyId::ROOT, class: Class::Normal, secret: self.derive(hub, Purpose::Secrets) }
    }

    pub(crate) fn derive(&self, hub: HubId, purpose: Purpose) -> Zeroizing<[u8; KEY_BYTES]> {
        let (label, generation, class): (&[u8], u32, u8) = match purpose {
            Purpose::Wrap(generation, class) => (b"lockstep key encryption key 1", generation, class.number()),
            Purpose::Check => (b"lockstep root key check 1", 0, 0),
            Purpose::File => (b"lockstep key file 1", 0, 0),
            Purpose::Secrets => (b"lockstep secrets 1", 0, 0),
        };
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let parts = [label, &hub.0, &generation.to_be_bytes(), &[class]];
        Hkdf::<Sha256>::new(None, &self.0[..])
            .expand_multi_info(&parts, &mut key[..])
            .expect("32 bytes are one block of HKDF-SHA-256");
        key
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(secret)")
    }
}

/// How a passphrase becomes a root key: Argon2id (RFC 9106) with these parameters, kept in the key file in the clear.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Passphrase {
    #[cbor(n(0), with = "minicbor::bytes")]
    salt: [u8; 16],
    #[n(1)]
    memory_kib: u32,
    #[n(2)]
    passes: u32,
    #[n(3)]
    lanes: u32,
}

/// Why a passphrase gives no root key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PassphraseError {
    /// It has no letters.
    #[error("the passphrase is empty")]
    Empty,
    /// The parameters beside the keys are none that this program would have written.
    #[error("the parameters of the passphrase are damaged")]
    Parameters,
}

/// RFC 9106's second choice, for machines with less memory: 64 MiB, three passes; one lane, as nothing here is parallel.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// More is refused: a damaged parameter must not take the machine's memory.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 64;

impl Passphrase {
    /// Today's parameters, with a fresh random salt.
    #[must_use]
    pub const fn new(salt: [u8; 16]) -> Self {
        Self { salt, memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES }
    }

    /// The root key of a passphrase. Takes 64 MiB and three passes over them: that is what a guess costs.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn root_key(&self, passphrase: &[u8]) -> Result<RootKey, PassphraseError> {
        if passphrase.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if self.memory_kib > MEMORY_KIB_MAX || self.passes > PASSES_MAX || self.lanes != LANES {
            return Err(PassphraseError::Parameters);
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_BYTES));
        let params = params.map_err(|_| PassphraseError::Parameters)?;
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &self.salt, &mut secret[..])
            .map_err(|_| PassphraseError::Parameters)?;
        Ok(RootKey(secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_reads_as_it_is_written() {
        let key = RootKey::new(&std::array::from_fn(|at| u8::try_from(at * 7).unwrap()));
        let text = key.to_file();
        assert_eq!(text.len(), 65);
        for content in [text.as_bytes(), text.trim().as_bytes(), &key.0[..], text.to_uppercase().as_bytes()] {
            assert_eq!(RootKey::from_file(content).unwrap().0, key.0);
        }
        for content in [&b""[..], &[b'g'; 64], &[b'a'; 63], &[0; 31]] {
            assert!(RootKey::from_file(content).is_none());
        }
        assert_eq!(format!("{key:?}"), "RootKey(secret)");
    }

    #[test]
    fn keys_differ_by_hub_generation_class_and_purpose() {
        let (one, other) = (HubId([1; 16]), HubId([2; 16]));
        let root = RootKey::new(&[3; 32]);
        let keys = [
            root.derive(one, Purpose::Wrap(1, Class::Normal)),
            root.derive(one, Purpose::Wrap(1, Class::Vault)),
            root.derive(one, Purpose::Wrap(2, Class::Normal)),
            root.derive(other, Purpose::Wrap(1, Class::Normal)),
            root.derive(one, Purpose::Check),
            root.derive(one, Purpose::File),
            root.derive(one, Purpose::Secrets),
        ];
        let distinct: std::collections::BTreeSet<[u8; 32]> = keys.iter().map(|key| **key).collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn a_passphrase_gives_the_same_key_again_and_bad_parameters_none() {
        let cheap = Passphrase { memory_kib: 64, ..Passphrase::new([5; 16]) };
        let key = |parameters: &Passphrase, text: &[u8]| parameters.root_key(text).map(|key| *key.0);
        assert_eq!(key(&cheap, b"correct horse").unwrap(), key(&cheap, b"correct horse").unwrap());
        assert_ne!(key(&cheap, b"correct horse").unwrap(), key(&cheap, b"correct horsf").unwrap());
        let salted = Passphrase { salt: [6; 16], ..cheap.clone() };
        assert_ne!(key(&cheap, b"correct horse").unwrap(), key(&salted, b"correct horse").unwrap());
        assert_eq!(key(&cheap, b""), Err(PassphraseError::Empty));
        let spoilt = [
            Passphrase { memory_kib: u32::MAX, ..cheap.clone() },
            Passphrase { memory_kib: 0, ..cheap.clone() },
            Passphrase { passes: u32::MAX, ..cheap.clone() },
            Passphrase { passes: 0, ..cheap.clone() },
            Passphrase { lanes: 0, ..cheap },
        ];
        for parameters in spoilt {
            assert_eq!(key(&parameters, b"x"), Err(PassphraseError::Parameters), "{parameters:?}");
        }
    }
}
