//! Values of the store to bytes and back: one encode and one decode each, next to each other.

use bytes::Bytes;
use lockstep_core::effect::LogEntry;
use lockstep_core::query::StoredEntry;
use lockstep_core::row::{Class, SnapshotRow};
use lockstep_protocol::codec;
use lockstep_protocol::entry::LogChain;
use lockstep_protocol::id::{ConversationId, DocumentId, Epoch, Lsn};
use lockstep_protocol::snapshot::Table;
use minicbor::{Decode, Encode};

use super::columns::Columns;
use super::keys::{self, DOCUMENT_BYTES};

const HAS_NOTHING: u8 = 0;
const HAS_CONVERSATION: u8 = 1;
const HAS_DOCUMENT: u8 = 2;
/// Its body was erased.
const ERASED: u8 = 3;
/// Its body was erased when nobody could read it any more: the log chain is not known, and stands there as zeros.
const ERASED_UNREAD: u8 = 4;

/// A record of the log without its LSN, which is its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogRecord {
    /// When the entry was received, milliseconds since 1970.
    pub at_ms: u64,
    /// The log chain with it; none where it went with an unreadable body.
    pub chain: Option<LogChain>,
    /// The conversation it belongs to, if any.
    pub conversation: Option<ConversationId>,
    /// The document it belongs to, if any.
    pub document: Option<DocumentId>,
    /// The encoded entry; empty if its body was erased.
    pub entry: Bytes,
}

impl LogRecord {
    /// To bytes, appended.
    pub fn encode(entry: &LogEntry, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&entry.at_ms.to_be_bytes());
        bytes.extend_from_slice(&entry.chain.0);
        match (entry.document, entry.conversation) {
            (Some(document), _) => {
                bytes.push(HAS_DOCUMENT);
                bytes.extend_from_slice(&keys::document(document));
            }
            (None, Some(conversation)) => {
                bytes.push(HAS_CONVERSATION);
                bytes.extend_from_slice(&conversation.0);
            }
            (None, None) => bytes.push(HAS_NOTHING),
        }
        bytes.extend_from_slice(&entry.bytes);
    }

    /// One whose body was erased to bytes, appended.
    pub fn encode_erased(at_ms: u64, chain: Option<&LogChain>, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&at_ms.to_be_bytes());
        bytes.extend_from_slice(&chain.copied().unwrap_or_default().0);
        bytes.push(if chain.is_some() { ERASED } else { ERASED_UNREAD });
    }

    /// From bytes; none for bytes that are no record.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (at_ms, rest) = bytes.split_first_chunk::<8>()?;
        let (chain, rest) = rest.split_first_chunk::<32>()?;
        let (flags, rest) = rest.split_first()?;
        let (conversation, document, rest) = match *flags {
            HAS_NOTHING if !rest.is_empty() => (None, None, rest),
            ERASED | ERASED_UNREAD if rest.is_empty() => (None, None, rest),
            HAS_CONVERSATION => {
                let (conversation, rest) = rest.split_first_chunk::<16>()?;
                (Some(ConversationId(*conversation)), None, rest)
            }
            HAS_DOCUMENT => {
                let (document, rest) = rest.split_at_checked(DOCUMENT_BYTES)?;
                let document = keys::document_of(document)?;
                (Some(document.conversation), Some(document), rest)
            }
            _ => return None,
        };
        let at_ms = u64::from_be_bytes(*at_ms);
        let chain = (*flags != ERASED_UNREAD).then_some(LogChain(*chain));
        Some(Self { at_ms, chain, conversation, document, entry: Bytes::copy_from_slice(rest) })
    }

    /// Whether its body was erased.
    #[must_use]
    pub const fn is_erased(&self) -> bool {
        self.entry.is_empty()
    }

    /// The entry that was written here, of whatever class; none if its body was erased.
    pub(super) fn entry_at(&self, lsn: Lsn) -> Option<LogEntry> {
        let Self { at_ms, chain, conversation, document, ref entry } = *self;
        let entry = entry.clone();
        let whole = LogEntry { lsn, bytes: entry, chain: chain?, at_ms, conversation, document, class: Class::Normal };
        Some(whole).filter(|entry| !entry.bytes.is_empty())
    }

    /// As the core wants it.
    #[must_use]
    pub fn stored(self, lsn: Lsn) -> StoredEntry {
        StoredEntry { lsn, bytes: self.entry, conversation: self.conversation }
    }
}

/// Where the log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// The newest LSN.
    pub lsn: Lsn,
    /// The newest stamp's time, milliseconds since 1970.
    pub at_ms: u64,
    /// The log chain there.
    pub chain: LogChain,
}

impl Head {
    /// To bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&self.lsn.0.to_be_bytes()[..], &self.at_ms.to_be_bytes(), &self.chain.0].concat()
    }

    /// From bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (lsn, rest) = bytes.split_first_chunk::<8>()?;
        let (at_ms, chain) = rest.split_first_chunk::<8>()?;
        let (lsn, at_ms) = (Lsn(u64::from_be_bytes(*lsn)), u64::from_be_bytes(*at_ms));
        Some(Self { lsn, at_ms, chain: LogChain(chain.try_into().ok()?) })
    }
}

/// The retention floor, with the log chain there: a cursor may stand exactly on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Floor {
    /// The newest LSN that may be gone.
    pub lsn: Lsn,
    /// The log chain there.
    pub chain: LogChain,
}

impl Floor {
    /// To bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&self.lsn.0.to_be_bytes()[..], &self.chain.0].concat()
    }

    /// From bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (lsn, chain) = bytes.split_first_chunk::<8>()?;
        Some(Self { lsn: Lsn(u64::from_be_bytes(*lsn)), chain: LogChain(chain.try_into().ok()?) })
    }
}

/// An epoch with the LSN after which it began, to bytes.
#[must_use]
pub fn encode_epoch(epoch: Epoch, after: Lsn) -> Vec<u8> {
    [&epoch.0[..], &after.0.to_be_bytes()].concat()
}

/// And from bytes.
#[must_use]
pub fn decode_epoch(bytes: &[u8]) -> Option<(Epoch, Lsn)> {
    let (epoch, after) = bytes.split_first_chunk::<16>()?;
    Some((Epoch(*epoch), Lsn(u64::from_be_bytes(after.try_into().ok()?))))
}

#[derive(Encode, Decode)]
struct SnapshotRecord {
    #[n(0)]
    upto: Lsn,
    #[cbor(n(1), with = "minicbor::bytes")]
    bytes: Vec<u8>,
    /// As the first stores have it; later ones have columns.
    #[n(2)]
    table: Option<Table>,
    #[n(3)]
    columns: Option<Columns>,
}

/// A snapshot to bytes, appended.
pub fn encode_snapshot(row: &SnapshotRow, bytes: &mut Vec<u8>) {
    let columns = Some(Columns::of(&row.table));
    let record = SnapshotRecord { upto: row.upto, bytes: row.bytes.to_vec(), table: None, columns };
    codec::encode_into(&record, bytes);
}

/// And from bytes.
#[must_use]
pub fn decode_snapshot(bytes: &[u8]) -> Option<SnapshotRow> {
    let SnapshotRecord { upto, bytes, table, columns } = codec::decode_value(bytes)?;
    let table = columns.map_or(table, Columns::table)?;
    Some(SnapshotRow { upto, bytes: bytes.into(), table })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_as_they_are_written() {
        let conversation = ConversationId([4; 16]);
        let document = DocumentId::segment(conversation, 3);
        let places = [(None, None), (Some(conversation), None), (Some(conversation), Some(document))];
        for (conversation, document) in places {
            let (lsn, at_ms, chain) = (Lsn(7), 1_900_000_000_000, LogChain([9; 32]));
            let entry = LogEntry {
                lsn,
                bytes: Bytes::from_static(b"entry"),
                chain,
                at_ms,
                conversation,
                document,
                class: Class::Normal,
            };
            let record = LogRecord { at_ms, chain: Some(chain), conversation, document, entry: entry.bytes.clone() };
            let mut bytes = Vec::new();
            LogRecord::encode(&entry, &mut bytes);
            assert_eq!(LogRecord::decode(&bytes), Some(record));
            // Time, log chain, and no flags.
            assert_eq!(LogRecord::decode(&bytes[..8 + 32]), None);
            for chain in [Some(chain), None] {
                let mut bytes = Vec::new();
                LogRecord::encode_erased(at_ms, chain.as_ref(), &mut bytes);
                let erased = LogRecord { at_ms, chain, conversation: None, document: None, entry: Bytes::new() };
                assert_eq!(LogRecord::decode(&bytes), Some(erased));
                bytes.push(0);
                assert_eq!(LogRecord::decode(&bytes), None);
            }
        }
        let head = Head { lsn: Lsn(5), at_ms: 6, chain: LogChain([7; 32]) };
        assert_eq!(Head::decode(&head.encode()), Some(head));
        assert_eq!(Head::decode(&head.encode()[1..]), None);
        let floor = Floor { lsn: Lsn(5), chain: LogChain([7; 32]) };
        assert_eq!(Floor::decode(&floor.encode()), Some(floor));
        assert_eq!(decode_epoch(&encode_epoch(Epoch([1; 16]), Lsn(2))), Some((Epoch([1; 16]), Lsn(2))));
        let row = SnapshotRow { upto: Lsn(3), bytes: Bytes::from_static(b"saved"), table: Table::default() };
        let mut bytes = Vec::new();
        encode_snapshot(&row, &mut bytes);
        assert_eq!(decode_snapshot(&bytes).as_ref(), Some(&row));
        // As format 1 has it.
        let (upto, bytes, table) = (row.upto, row.bytes.to_vec(), Some(row.table.clone()));
        let by_rows = codec::encode(&SnapshotRecord { upto, bytes, table, columns: None });
        assert_eq!(decode_snapshot(&by_rows), Some(row));
    }
}
