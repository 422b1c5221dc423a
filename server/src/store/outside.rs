//! The small list outside the backup chain: revocations and other losses, replayed before a restored hub lets anyone
//! in. DESIGN section 7.
//!
//! An append-only file: each record is its length (u32, big-endian), the first 8 bytes of the BLAKE3 hash of its body,
//! and the body, CBOR. A record cut off at the end was never acknowledged and is dropped at the next append.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use lockstep_core::effect::OutsideEvent;
use lockstep_protocol::codec;
use lockstep_protocol::directory::DirectoryEvent;
use lockstep_protocol::id::{Epoch, Lsn};
use minicbor::{Decode, Encode};

use super::StoreError;

const HEADER_BYTES: usize = 4 + 8;
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
    file: Mutex<File>,
}

impl Outside {
    /// Opens or makes it, and cuts off what was not written whole.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let outside = |error| StoreError::Outside { path: path.to_owned(), error };
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(outside)?;
        let list = Self { path: path.to_owned(), file: Mutex::new(file) };
        let (_, whole_bytes) = list.scan()?;
        let mut file = list.file();
        file.set_len(whole_bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(outside)?;
        drop(file);
        Ok(list)
    }

    fn file(&self) -> std::sync::MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn append(&self, events: &[&OutsideEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for event in events {
            let body = codec::encode(&Record { epoch: event.epoch, lsn: event.lsn, event: event.event.clone() });
            bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(&blake3::hash(&body).as_bytes()[..8]);
            bytes.extend_from_slice(&body);
        }
        let mut file = self.file();
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        written.map_err(|error| StoreError::Outside { path: self.path.clone(), error })
    }

    pub(super) fn read(&self) -> Result<Vec<OutsideEvent>, StoreError> {
        Ok(self.scan()?.0)
    }

    /// The whole records, and how many bytes they take.
    fn scan(&self) -> Result<(Vec<OutsideEvent>, u64), StoreError> {
        let outside = |error| StoreError::Outside { path: self.path.clone(), error };
        let mut bytes = Vec::new();
        let mut file = self.file();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).map_err(outside)?;
        let (mut events, mut at) = (Vec::new(), 0);
        while let Some((body, digest)) = bytes.get(at..).and_then(split_record) {
            let is_whole = blake3::hash(body).as_bytes()[..8] == *digest;
            let record = Some(body).filter(|_| is_whole).and_then(codec::decode_value::<Record>);
            let Some(Record { epoch, lsn, event }) = record else {
                let error = std::io::Error::other(format!(
                    "damaged record at byte {at} of the list of revocations; restore the file from a copy, or delete it \
                     if you accept that revocations made after the last backup may be undone by a restore"
                ));
                return Err(outside(error));
            };
            events.push(OutsideEvent { epoch, lsn, event });
            at += HEADER_BYTES + body.len();
        }
        Ok((events, at as u64))
    }
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
        let path = folder.path().join("list");
        Outside::open(&path).unwrap().append(&[&event(1), &event(2)]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], &whole[..9]].concat()).unwrap();
        let list = Outside::open(&path).unwrap();
        list.append(&[&event(3)]).unwrap();
        assert_eq!(list.read().unwrap(), [event(1), event(2), event(3)]);
        let mut damaged = whole;
        damaged[HEADER_BYTES + 2] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(Outside::open(&path), Err(StoreError::Outside { .. })));
    }
}
