//! Rows of the audit log and where it ends, to bytes and back, and how they are read.

use bytes::Bytes;
use lockstep_core::audit::{AuditChain, AuditEntry, AuditHead, AuditRow};

use super::StoreError;
use super::keys::{Family, Meta};
use super::read::Reader;
use super::seal::Place;

/// A stored row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredAudit {
    /// The row.
    pub row: AuditRow,
    /// Its bytes, as they are chained.
    pub bytes: Bytes,
    /// The chain with it.
    pub chain: AuditChain,
}

/// To bytes, appended.
pub(super) fn encode(entry: &AuditEntry, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&entry.chain.0);
    bytes.extend_from_slice(&entry.bytes);
}

/// From bytes; none for bytes that are no row of this place.
#[must_use]
pub(super) fn decode(sequence: u64, value: &[u8]) -> Option<StoredAudit> {
    let (chain, bytes) = value.split_first_chunk::<32>()?;
    let row = AuditRow::from_bytes(bytes).filter(|row| row.sequence == sequence)?;
    Some(StoredAudit { row, bytes: Bytes::copy_from_slice(bytes), chain: AuditChain(*chain) })
}

/// Where it ends, to bytes.
#[must_use]
pub(super) fn encode_head(head: &AuditHead) -> Vec<u8> {
    [&head.sequence.to_be_bytes()[..], &head.at_ms.to_be_bytes(), &head.chain.0].concat()
}

pub(super) fn decode_head(bytes: &[u8]) -> Option<AuditHead> {
    let (sequence, rest) = bytes.split_first_chunk::<8>()?;
    let (at_ms, chain) = rest.split_first_chunk::<8>()?;
    let (sequence, at_ms) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*at_ms));
    Some(AuditHead { sequence, at_ms, chain: AuditChain(chain.try_into().ok()?) })
}

impl Reader<'_> {
    /// Where the audit log ends, as `meta` says; the beginning of a store that has none yet.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`.
    pub fn audit_head(&self) -> Result<AuditHead, StoreError> {
        let place = Place { family: Family::Meta, key: Meta::Audit.key() };
        let Some(bytes) = self.get(place.family, place.key)? else { return Ok(AuditHead::default()) };
        decode_head(&bytes).ok_or_else(|| StoreError::corrupt(place, "no end of the audit log"))
    }

    /// Where the audit log ends, held against its last row: a hub does not go on behind a hole.
    pub(super) fn audit_end(&self) -> Result<AuditHead, StoreError> {
        let head = self.audit_head()?;
        if head.sequence > 0 {
            let key = head.sequence.to_be_bytes();
            let place = Place { family: Family::Audit, key: &key };
            let last = self.get(place.family, place.key)?.and_then(|value| decode(head.sequence, &value));
            if last.is_none_or(|last| last.chain != head.chain) {
                return Err(StoreError::corrupt(place, "the audit log does not end where it should"));
            }
        }
        Ok(head)
    }

    /// The rows after one, in order, until `each` says stop. A value that is no row comes as none.
    ///
    /// # Errors
    /// `Corrupt`, `Engine`, or what `each` answers.
    pub fn audit(
        &self,
        after: u64,
        mut each: impl FnMut(u64, Option<StoredAudit>) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        self.scan(Family::Audit, &after.saturating_add(1).to_be_bytes(), |key, value| {
            let place = Place { family: Family::Audit, key };
            let sequence = key.try_into().map(u64::from_be_bytes);
            let sequence = sequence.map_err(|_| StoreError::corrupt(place, "no sequence in the key"))?;
            each(sequence, decode(sequence, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use lockstep_core::audit::{Act, Actor};
    use lockstep_protocol::codec;
    use lockstep_protocol::id::Epoch;

    use super::*;

    #[test]
    fn rows_and_the_end_read_as_they_are_written() {
        let row = AuditRow {
            sequence: 9,
            at_ms: 1_790_000_000_000,
            epoch: Epoch([1; 16]),
            actor: Actor::Machine,
            act: Act::EpochBegan,
            code: 0,
        };
        let entry = AuditEntry { sequence: 9, bytes: codec::encode(&row).into(), chain: AuditChain([7; 32]) };
        let mut bytes = Vec::new();
        encode(&entry, &mut bytes);
        assert_eq!(decode(9, &bytes), Some(StoredAudit { row, bytes: entry.bytes, chain: entry.chain }));
        assert_eq!(decode(8, &bytes), None, "a row of another place");
        assert_eq!(decode(9, &bytes[..40]), None);
        let head = AuditHead { sequence: 9, at_ms: 5, chain: AuditChain([7; 32]) };
        assert_eq!(decode_head(&encode_head(&head)), Some(head));
        assert_eq!(decode_head(&encode_head(&head)[1..]), None);
    }
}
