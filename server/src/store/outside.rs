//! The small list outside the backup chain: revocations and other losses, replayed before a restored hub lets anyone
//! in. DESIGN section 7.
//!
//! An append-only file: each record is its length (u32, big-endian), the first 8 bytes of the BLAKE3 hash of its body,
//! and the body: CBOR, sealed under the root key itself, as the list outlives data keys, for its number in the list. A
//! record cut off at the end was never acknowledged and is dropped at the next append. Damage in the middle may look the
//! same, and so does a list that somebody has cut: the store knows how many records were acknowledged, and does not open
//! with fewer. Only a list that is not there at all begins anew. A list from before sealing is written anew when it is
//! opened.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lockstep_core::effect::OutsideEvent;
use lockstep_protocol::codec;
use lockstep_protocol::directory::DirectoryEvent;
use lockstep_protocol::id::{Epoch, Lsn};
use minicbor::{Decode, Encode};

use super::StoreError;
use crate::keychain::Keychain;
use crate::private;

const HEADER_BYTES: usize = 4 + 8;
/// What records are sealed for, with their number.
const FAMILY: &str = "revocations";
/// A sealed body begins so; one in the clear with a CBOR array.
const SEALED: u8 = lockstep_seal::record::VERSION;
const REMEDY: &str = "restore the file from a copy, or delete it if you accept that revocations made after the last \
                      backup may be undone by a restore";
/// No record is longer, bytes.
const RECORD_BYTES_MAX: usize = 64 * 1024;

#[derive(Encode, Decode)]
struct Record {
    #[n(0)]
    epoch: Epoch,
    #[n(1)]
    lsn: Lsn,
    #[n(2)]
    event: DirectoryEvent,
}

/// The list's file.
#[derive(Debug)]
pub(super) struct Outside {
    path: PathBuf,
    keychain: Arc<Keychain>,
    list: Mutex<List>,
    /// There was no file.
    is_new: bool,
}

#[derive(Debug)]
struct List {
    file: File,
    /// Whole records in it.
    count: u64,
    /// Where they end.
    whole_bytes: u64,
}

/// What a file holds.
struct Scanned {
    events: Vec<OutsideEvent>,
    whole_bytes: u64,
    /// A record is in the clear.
    is_bare: bool,
}

impl Outside {
    /// Opens or makes it.
    pub(super) fn open(path: &Path, keychain: Arc<Keychain>) -> Result<Self, StoreError> {
        let outside = |error| StoreError::Outside { path: path.to_owned(), error };
        let is_new = !path.exists();
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open().map_err(outside)?;
        let mut scanned = scan(path, &mut file, &keychain)?;
        if scanned.is_bare {
            let mut bytes = Vec::new();
            for (number, event) in (0..).zip(&scanned.events) {
                encode(&keychain, number, event, &mut bytes);
            }
            private::write(path, &bytes).map_err(outside)?;
            file = open().map_err(outside)?;
            scanned.whole_bytes = bytes.len() as u64;
        }
        let list = Mutex::new(List { file, count: scanned.events.len() as u64, whole_bytes: scanned.whole_bytes });
        Ok(Self { path: path.to_owned(), keychain, list, is_new })
    }

    /// Holds the list against the number of records that the store knows of. Answers false if the list is begun anew.
    ///
    /// # Errors
    /// `Outside` if records are missing.
    pub(super) fn expect(&self, known: u64) -> Result<bool, StoreError> {
        let count = self.list().count;
        if count >= known || self.is_new {
            return Ok(count >= known);
        }
        let text = format!("the list of revocations holds {count} whole records, the store knows of {known}: {REMEDY}");
        Err(StoreError::Outside { path: self.path.clone(), error: std::io::Error::other(text) })
    }

    fn list(&self) -> std::sync::MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Appends events, durably. Answers how many records the list has then.
    pub(super) fn append(&self, events: &[&OutsideEvent]) -> Result<u64, StoreError> {
        let mut list = self.list();
        if events.is_empty() {
            return Ok(list.count);
        }
        let mut bytes = Vec::new();
        for (number, event) in (list.count..).zip(events) {
            encode(&self.keychain, number, event, &mut bytes);
        }
        let whole_bytes = list.whole_bytes;
        // What a crash has cut off goes first.
        let written = list.file.set_len(whole_bytes).and_then(|()| list.file.seek(SeekFrom::Start(whole_bytes)));
        let written = written.and_then(|_| list.file.write_all(&bytes)).and_then(|()| list.file.sync_data());
        written.map_err(|error| StoreError::Outside { path: self.path.clone(), error })?;
        list.count += events.len() as u64;
        list.whole_bytes += bytes.len() as u64;
        Ok(list.count)
    }

    pub(super) fn read(&self) -> Result<Vec<OutsideEvent>, StoreError> {
        Ok(scan(&self.path, &mut self.list().file, &self.keychain)?.events)
    }
}

/// A record to bytes, appended.
fn encode(keychain: &Keychain, number: u64, event: &OutsideEvent, bytes: &mut Vec<u8>) {
    let record = Record { epoch: event.epoch, lsn: event.lsn, event: event.event.clone() };
    let body = keychain.seal_beside(FAMILY, &number.to_be_bytes(), &codec::encode(&record));
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&blake3::hash(&body).as_bytes()[..8]);
    bytes.extend_from_slice(&body);
}

/// The whole records of a file.
fn scan(path: &Path, file: &mut File, keychain: &Keychain) -> Result<Scanned, StoreError> {
    let outside = |error| StoreError::Outside { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).map_err(outside)?;
    let (mut events, mut at, mut is_bare) = (Vec::new(), 0, false);
    while let Some((body, digest)) = bytes.get(at..).and_then(split_record) {
        let is_whole = blake3::hash(body).as_bytes()[..8] == *digest;
        let number = events.len() as u64;
        let record = match body.first() {
            Some(&SEALED) if is_whole => keychain
                .open_beside(FAMILY, &number.to_be_bytes(), body)
                .and_then(|plain| codec::decode_value::<Record>(&plain)),
            // From before sealing.
            Some(_) if is_whole && !keychain.is_complete() => {
                is_bare = true;
                codec::decode_value::<Record>(body)
            }
            _ => None,
        };
        let Some(Record { epoch, lsn, event }) = record else {
            let text = format!("damaged record at byte {at} of the list of revocations; {REMEDY}");
            return Err(outside(std::io::Error::other(text)));
        };
        events.push(OutsideEvent { epoch, lsn, event });
        at += HEADER_BYTES + body.len();
    }
    Ok(Scanned { events, whole_bytes: at as u64, is_bare })
}

/// The body and digest of the first record; none if it is not there whole.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8; 8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (digest, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= RECORD_BYTES_MAX);
    // A length that no record has is damage, not an unfinished write: no body has that digest.
    Some((length.map_or(Some(&[][..]), |length| rest.get(..length))?, digest))
}

#[cfg(test)]
mod tests {
    use lockstep_protocol::id::MemberId;

    use super::*;
    use crate::keychain::SealConfig;

    fn event(lsn: u64) -> OutsideEvent {
        OutsideEvent {
            epoch: Epoch([1; 16]),
            lsn: Lsn(lsn),
            event: DirectoryEvent::MemberRemoved { member: MemberId(7) },
        }
    }

    #[test]
    fn whole_records_survive_a_torn_tail_and_damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let config = SealConfig { root_key: Some(folder.path().join("root.key")), ..SealConfig::default() };
        let keychain = Arc::new(Keychain::open(folder.path(), &config).unwrap());
        let path = folder.path().join("list");
        let open = || Outside::open(&path, Arc::clone(&keychain));
        open().unwrap().append(&[&event(1), &event(2)]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], &whole[..9]].concat()).unwrap();
        let list = open().unwrap();
        assert!(list.expect(2).unwrap());
        let said = list.expect(3).unwrap_err().to_string();
        assert!(said.contains("holds 2 whole records, the store knows of 3"), "{said}");
        assert_eq!(list.append(&[&event(3)]).unwrap(), 3);
        assert_eq!(list.read().unwrap(), [event(1), event(2), event(3)]);
        let damaged = |at: usize| {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            damaged
        };
        // Once more the first one: each is sealed for its number.
        let first = HEADER_BYTES + usize::try_from(u32::from_be_bytes(*whole.first_chunk().unwrap())).unwrap();
        let replayed = [&whole[..], &whole[..first]].concat();
        let bare = codec::encode(&Record { epoch: Epoch([1; 16]), lsn: Lsn(1), event: event(1).event });
        let digest = blake3::hash(&bare);
        let bare = [&u32::try_from(bare.len()).unwrap().to_be_bytes()[..], &digest.as_bytes()[..8], &bare].concat();
        for spoilt in [&damaged(HEADER_BYTES + 2), &damaged(whole.len() - 1), &replayed, &bare] {
            std::fs::write(&path, spoilt).unwrap();
            assert!(matches!(open(), Err(StoreError::Outside { .. })));
        }
        // From before sealing it is taken, and written anew.
        keychain.set_complete(false).unwrap();
        std::fs::write(&path, &bare).unwrap();
        assert_eq!(open().unwrap().read().unwrap(), [event(1)]);
        assert_eq!(std::fs::read(&path).unwrap()[HEADER_BYTES], SEALED);
    }
}
