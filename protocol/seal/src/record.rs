//! A sealed record: AES-256-GCM under a key and nonce of its own, derived from its data key and a random salt.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version |
//! | 1 | class |
//! | 8 | id of the data key |
//! | 24 | random salt |
//! | … | ciphertext, as long as the plaintext |
//! | 16 | tag |
//!
//! HKDF-SHA-256(data key, salt, context) gives key ‖ nonce. Associated data are, each behind its length (u32,
//! big-endian): version ‖ class ‖ key id, hub id, family, row key, kind. So a record opens only in the place that it was
//! sealed for. There is no counter: a machine that was restored, or copied, would repeat it.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use lockstep_protocol::id::HubId;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::{Class, DataKey, DataKeyId, KEY_BYTES};

/// Version of the record. Number 1 is the envelope of values that are not sealed, in the hub's store.
pub const VERSION: u8 = 2;
/// Random bytes that each record needs.
pub const SALT_BYTES: usize = 24;
/// Bytes before the ciphertext.
pub const HEADER_BYTES: usize = NAMED_BYTES + SALT_BYTES;
/// Bytes by which a record is longer than its plaintext.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;
/// Version, class and key id.
const NAMED_BYTES: usize = 1 + 1 + DataKeyId::LEN;
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
/// Associated data of every row that there is fit here, bytes; longer ones take memory.
const ASSOCIATED_BYTES: usize = 192;
const CONTEXT: &[u8] = b"lockstep record 2";

/// Where a record lies: it opens nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    /// Whose it is.
    pub hub: HubId,
    /// Column family, table or folder.
    pub family: &'a str,
    /// The whole row key, or file name.
    pub key: &'a [u8],
    /// What the place holds, where one holds several kinds.
    pub kind: u8,
}

/// Why a record does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RecordError {
    /// Made by a newer program, or no record at all.
    #[error("a record of version {0}, which this program does not know")]
    Version(u8),
    /// Its data key was destroyed.
    #[error("its data key {0} was destroyed: what it held is shredded")]
    KeyGone(DataKeyId),
    /// Its data key is not in the key file, and was never destroyed there.
    #[error("its data key {0} is not in the key file: the record is damaged, or the key file older than it")]
    KeyUnknown(DataKeyId),
    /// It is not what was sealed for this place.
    #[error("damaged, or moved from another place")]
    Damaged,
}

/// What a record says of itself before it is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Its class.
    pub class: Class,
    /// Its data key.
    pub key: DataKeyId,
}

/// What a record is sealed under.
///
/// # Errors
/// `Version`, `Damaged`.
pub fn header(record: &[u8]) -> Result<Header, RecordError> {
    match record {
        [VERSION, class, rest @ ..] if record.len() >= OVERHEAD_BYTES => {
            let class = Class::from_number(*class).ok_or(RecordError::Damaged)?;
            let (key, _) = rest.split_first_chunk().ok_or(RecordError::Damaged)?;
            Ok(Header { class, key: DataKeyId(*key) })
        }
        [VERSION, ..] | [] => Err(RecordError::Damaged),
        [version, ..] => Err(RecordError::Version(*version)),
    }
}

/// Makes room for a header: what is appended behind it is the plaintext.
pub fn begin(record: &mut Vec<u8>) {
    record.clear();
    record.resize(HEADER_BYTES, 0);
}

/// Seals in place: `record` holds room for a header (see [`begin`]) and the plaintext. The salt is never used twice.
///
/// # Panics
/// If there is no room for the header, or the plaintext has 64 GiB.
pub fn seal(place: &Place<'_>, key: &DataKey, salt: &[u8; SALT_BYTES], record: &mut Vec<u8>) {
    record[0] = VERSION;
    record[1] = key.class.number();
    record[2..NAMED_BYTES].copy_from_slice(&key.id.0);
    record[NAMED_BYTES..HEADER_BYTES].copy_from_slice(salt);
    let (header, plaintext) = record.split_at_mut(HEADER_BYTES);
    let (cipher, nonce) = cipher(key, salt);
    let tag = with_associated(place, &header[..NAMED_BYTES], |associated| {
        cipher.encrypt_inout_detached(&nonce.into(), associated, plaintext.into())
    });
    let tag: [u8; TAG_BYTES] = tag.expect("no row has 64 GiB").into();
    record.extend_from_slice(&tag);
}

/// Opens a record: its plaintext replaces what `plain` holds. After an error `plain` is empty.
///
/// # Errors
/// `Version`, `Damaged`; the latter also under a key of another id or class.
pub fn open(place: &Place<'_>, key: &DataKey, record: &[u8], plain: &mut Vec<u8>) -> Result<(), RecordError> {
    plain.clear();
    let named = header(record)?;
    if (named.key, named.class) != (key.id, key.class) {
        return Err(RecordError::Damaged);
    }
    let (header, sealed) = record.split_at(HEADER_BYTES);
    let (named, salt) = header.split_at(NAMED_BYTES);
    let salt = salt.try_into().map_err(|_| RecordError::Damaged)?;
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(RecordError::Damaged)?;
    plain.extend_from_slice(ciphertext);
    let (cipher, nonce) = cipher(key, salt);
    let opened = with_associated(place, named, |associated| {
        cipher.decrypt_inout_detached(&nonce.into(), associated, plain.as_mut_slice().into(), &(*tag).into())
    });
    opened.map_err(|_| {
        plain.clear();
        RecordError::Damaged
    })
}

/// The cipher and nonce of one record.
fn cipher(key: &DataKey, salt: &[u8; SALT_BYTES]) -> (Aes256Gcm, [u8; NONCE_BYTES]) {
    let mut derived = Zeroizing::new([0; KEY_BYTES + NONCE_BYTES]);
    Hkdf::<Sha256>::new(Some(salt), &key.secret[..])
        .expand(CONTEXT, &mut derived[..])
        .expect("44 bytes are two blocks of HKDF-SHA-256");
    let (secret, nonce) = derived.split_at(KEY_BYTES);
    let cipher = Aes256Gcm::new_from_slice(secret).expect("the key has 32 bytes");
    (cipher, nonce.try_into().expect("twelve bytes are left"))
}

/// Calls `run` with the associated data of a place.
fn with_associated<T>(place: &Place<'_>, named: &[u8], run: impl FnOnce(&[u8]) -> T) -> T {
    let parts = [named, &place.hub.0, place.family.as_bytes(), place.key, &[place.kind]];
    let bytes = parts.iter().map(|part| size_of::<u32>() + part.len()).sum();
    let (mut near, mut far) = ([0; ASSOCIATED_BYTES], Vec::new());
    let whole = match near.get_mut(..bytes) {
        Some(near) => near,
        None => {
            far.resize(bytes, 0);
            &mut far[..]
        }
    };
    let mut rest = &mut whole[..];
    for part in parts {
        let (length, behind) = rest.split_at_mut(size_of::<u32>());
        length.copy_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        let (value, behind) = behind.split_at_mut(part.len());
        value.copy_from_slice(part);
        rest = behind;
    }
    run(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::FRESH_KEY_BYTES;

    const PLACE: Place<'static> = Place { hub: HubId([7; 16]), family: "log", key: &[0, 0, 0, 0, 0, 0, 0, 9], kind: 0 };

    fn key(number: u8, class: Class) -> DataKey {
        DataKey::new(class, &[number; FRESH_KEY_BYTES]).unwrap()
    }

    fn sealed(place: &Place<'_>, key: &DataKey, text: &[u8]) -> Vec<u8> {
        let mut record = b"what was there before".to_vec();
        begin(&mut record);
        record.extend_from_slice(text);
        seal(place, key, &[9; SALT_BYTES], &mut record);
        assert_eq!(record.len(), text.len() + OVERHEAD_BYTES);
        record
    }

    #[test]
    fn a_known_record() {
        // Computed apart from this program, by Python's hmac and AES-GCM.
        let record = sealed(&PLACE, &key(5, Class::Vault), b"the price is 42");
        let mut plain = b"before".to_vec();
        open(&PLACE, &key(5, Class::Vault), &record, &mut plain).unwrap();
        assert_eq!(plain, b"the price is 42");
        assert_eq!(hex::encode(&record), KNOWN);
    }

    const KNOWN: &str = "0201050505050505050509090909090909090909090909090909090909090909090992cc037e497298ca169fcdb8bdbb\
                         32f4a307c575e1519c7ae7b95dfe8f4e15";

    #[test]
    fn every_byte_counts_and_so_does_the_length() {
        let key = key(5, Class::Normal);
        let record = sealed(&PLACE, &key, b"a body");
        let mut plain = Vec::new();
        for at in 0..record.len() {
            for bit in 0..8 {
                let mut spoilt = record.clone();
                spoilt[at] ^= 1 << bit;
                let error = open(&PLACE, &key, &spoilt, &mut plain).unwrap_err();
                let expected = if at == 0 { RecordError::Version(spoilt[0]) } else { RecordError::Damaged };
                assert_eq!(error, expected, "byte {at}");
                assert!(plain.is_empty());
            }
            assert_eq!(open(&PLACE, &key, &record[..at], &mut plain), Err(RecordError::Damaged));
        }
        let longer = [&record[..], &[0]].concat();
        assert_eq!(open(&PLACE, &key, &longer, &mut plain), Err(RecordError::Damaged));
        open(&PLACE, &key, &record, &mut plain).unwrap();
        assert_eq!(plain, b"a body");
    }

    #[test]
    fn a_record_opens_in_its_own_place_under_its_own_key_alone() {
        let own = key(5, Class::Normal);
        let (long, longer) = ([3; 400], [3; 401]);
        let places = [
            PLACE,
            Place { hub: HubId([8; 16]), ..PLACE },
            Place { family: "lo", ..PLACE },
            // Lengths stand before the parts: what one lends to the other shows.
            Place { family: "log\0", key: &PLACE.key[1..], ..PLACE },
            Place { key: &[0, 0, 0, 0, 0, 0, 0, 8], ..PLACE },
            Place { key: &[], ..PLACE },
            Place { key: &long, ..PLACE },
            Place { key: &longer, ..PLACE },
            Place { kind: 1, ..PLACE },
        ];
        let mut plain = Vec::new();
        for (at, place) in places.iter().enumerate() {
            let record = sealed(place, &own, b"");
            for (other_at, other) in places.iter().enumerate() {
                let opened = open(other, &own, &record, &mut plain);
                assert_eq!(opened.is_ok(), at == other_at, "{place:?} in {other:?}");
            }
            for other in [key(6, Class::Normal), key(5, Class::Vault)] {
                assert_eq!(open(place, &other, &record, &mut plain), Err(RecordError::Damaged));
            }
            assert_eq!(header(&record), Ok(Header { class: Class::Normal, key: own.id() }));
        }
        // The same id, but not the same key.
        let impostor = DataKey { secret: key(6, Class::Normal).secret, ..own.clone() };
        assert_eq!(open(&PLACE, &impostor, &sealed(&PLACE, &own, b"x"), &mut plain), Err(RecordError::Damaged));
    }
}
