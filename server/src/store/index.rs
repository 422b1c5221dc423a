//! Rows of a conversation's index as they are stored: a fact's row says where the fact lies and what became of it, and
//! nothing that the log, or the snapshot of its document, says already. Who reads a row gets it whole.
//!
//! | form | first byte | behind it |
//! |---|---|---|
//! | slim | flags, below 0x80 | number of the document (LEB128) ‖ length of the LSN (1) ‖ LSN ‖ CBOR of [`More`] if flagged |
//! | whole | a CBOR array's, from 0x80 | CBOR of `IndexRow` |
//!
//! Whole are media, and facts that have no entry in the log: those of imported segments. So is every row that a store
//! of format 1 or 2 wrote. Numbers that change from row to row come last in a slim row, and with the next row's key:
//! that is what block compression likes best.
//!
//! A slim row says where a fact lies and how far its delivery got: it is not sealed. Other rows are. One with [`More`] says
//! whether a message holds sensitive words, and about what; a whole row of a fact has its content's digest, by which a
//! guess could be confirmed.

use std::collections::BTreeMap;

use lockstep_core::row::{IndexRow, KeyRow, MessageRow, SnapshotRow};
use lockstep_protocol::codec;
use lockstep_protocol::document::saved_facts;
use lockstep_protocol::entry::{Category, Delivery, Entry, EntryBody, Resolution, Stamp, Verdict};
use lockstep_protocol::fact::{ContentDigest, Direction, Fact, KeyId};
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId, DocumentKind, HashPrefix, Lsn, MemberId};
use lockstep_seal::Class;
use minicbor::{Decode, Encode};

use super::StoreError;
use super::keys::{self, Family};
use super::read::Reader;
use super::seal::Place;

/// Flags of a slim row: its document is a card, not a segment.
const CARD: u8 = 1;
/// [`More`] stands at its end.
const MORE: u8 = 2;
/// Three bits: the delivery.
const DELIVERY: u8 = 0b111 << DELIVERY_SHIFT;
const DELIVERY_SHIFT: u32 = 2;
const DELIVERIES: [Option<Delivery>; 5] =
    [None, Some(Delivery::Sending), Some(Delivery::Sent), Some(Delivery::Failed), Some(Delivery::Unknown)];
/// From here on a first byte is a CBOR array's.
const WHOLE: u8 = 0x80;
/// Documents whose facts are kept in memory while rows are completed from their snapshots.
const DOCUMENTS_MAX: usize = 64;

/// A row as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
enum StoredRow {
    Slim(SlimRow),
    Whole(IndexRow),
}

/// What is stored of a fact's row.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SlimRow {
    is_card: bool,
    number: u32,
    lsn: Lsn,
    delivery: Option<Delivery>,
    more: More,
}

/// What few messages have.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
struct More {
    /// See [`MessageRow::accepted`], unless the verdict says it.
    #[n(0)]
    accepted: Option<Lsn>,
    #[n(1)]
    resolution: Option<Resolution>,
    #[n(2)]
    readmitted: bool,
    #[n(3)]
    retracted_by: Vec<MemberId>,
    #[n(4)]
    reactions: Vec<(MemberId, u32)>,
    #[cbor(n(5), default)]
    sensitive: Vec<Category>,
}

/// What the log, or a snapshot, says of a fact.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Recorded {
    key: KeyId,
    hash: HashPrefix,
    content: ContentDigest,
    stamp: Stamp,
    /// Of a message only.
    dir: Option<Direction>,
}

/// A row to bytes, appended.
pub(super) fn encode(row: &IndexRow, bytes: &mut Vec<u8>) {
    match SlimRow::of(row) {
        Some(slim) => slim.encode(bytes),
        None => codec::encode_into(row, bytes),
    }
}

/// Whether a stored row says nothing of what a fact holds.
pub(super) fn is_slim(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| *first < WHOLE && *first & MORE == 0)
}

/// Under which keys a row is stored: what is known of a sensitive message lies where the message does.
pub(super) fn class(row: &IndexRow) -> Class {
    match row {
        IndexRow::Fact(KeyRow { message: Some(message), .. }) if !message.sensitive.is_empty() => Class::Vault,
        _ => Class::Normal,
    }
}

/// And from bytes; none for bytes that are no row.
fn decode(bytes: &[u8]) -> Option<StoredRow> {
    match *bytes.first()? {
        WHOLE.. => codec::decode_value(bytes).map(StoredRow::Whole),
        _ => SlimRow::decode(bytes).map(StoredRow::Slim),
    }
}

/// Whether a stored row is that of a fact in a document; none for bytes that are no row.
pub(super) fn is_of(bytes: &[u8], document: DocumentId) -> Option<bool> {
    Some(match decode(bytes)? {
        StoredRow::Slim(slim) => slim.document(document.conversation) == document,
        StoredRow::Whole(IndexRow::Fact(row)) => row.document == document,
        StoredRow::Whole(IndexRow::Media(_)) => false,
    })
}

impl SlimRow {
    /// None for what must be stored whole.
    fn of(row: &IndexRow) -> Option<Self> {
        let IndexRow::Fact(row) = row else { return None };
        let is_card = match row.document.kind {
            DocumentKind::Segment => false,
            DocumentKind::Card => true,
            DocumentKind::Imported => return None,
        };
        let mut slim =
            Self { is_card, number: row.document.number, lsn: row.stamp.lsn, delivery: None, more: More::default() };
        if let Some(message) = &row.message {
            let accepted = match (message.accepted, accepted_at_once(message.dir, &row.stamp)) {
                (said, by_verdict) if said == by_verdict => None,
                (Some(lsn), _) => Some(lsn),
                (None, _) => return None,
            };
            slim.delivery = message.delivery;
            slim.more = More {
                accepted,
                resolution: message.resolution,
                readmitted: message.readmitted,
                retracted_by: message.retracted_by.clone(),
                reactions: message.reactions.clone(),
                sensitive: message.sensitive.clone(),
            };
        }
        Some(slim)
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let has_more = self.more != More::default();
        let delivery = DELIVERIES.iter().position(|delivery| *delivery == self.delivery);
        let delivery = delivery.and_then(|at| u8::try_from(at).ok()).expect("every delivery is in the list");
        bytes.push((u8::from(self.is_card) * CARD) | (u8::from(has_more) * MORE) | (delivery << DELIVERY_SHIFT));
        let mut number = self.number;
        while number >= 0x80 {
            bytes.push(0x80 | u8::try_from(number & 0x7f).expect("seven bits"));
            number >>= 7;
        }
        bytes.push(u8::try_from(number).expect("seven bits"));
        let lsn = self.lsn.0.to_be_bytes();
        let lsn = &lsn[self.lsn.0.leading_zeros() as usize / 8..];
        bytes.push(u8::try_from(lsn.len()).expect("at most eight bytes"));
        bytes.extend_from_slice(lsn);
        if has_more {
            codec::encode_into(&self.more, bytes);
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (flags, mut rest) = bytes.split_first()?;
        if flags & !(CARD | MORE | DELIVERY) != 0 {
            return None;
        }
        let delivery = *DELIVERIES.get(usize::from((flags & DELIVERY) >> DELIVERY_SHIFT))?;
        let (mut number, mut shift) = (0u32, 0);
        loop {
            let (byte, behind) = rest.split_first()?;
            rest = behind;
            let part = u32::from(byte & 0x7f);
            if shift >= u32::BITS || part << shift >> shift != part {
                return None;
            }
            number |= part << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (length, rest) = rest.split_first()?;
        let (lsn, rest) = rest.split_at_checked(usize::from(*length))?;
        let mut whole = [0; 8];
        whole.get_mut(8usize.checked_sub(lsn.len())?..)?.copy_from_slice(lsn);
        let more = match flags & MORE {
            0 if rest.is_empty() => More::default(),
            0 => return None,
            _ => codec::decode_value(rest)?,
        };
        Some(Self { is_card: flags & CARD != 0, number, lsn: Lsn(u64::from_be_bytes(whole)), delivery, more })
    }

    const fn document(&self, conversation: ConversationId) -> DocumentId {
        match self.is_card {
            true => DocumentId::card(conversation, self.number),
            false => DocumentId::segment(conversation, self.number),
        }
    }

    /// The whole row.
    fn complete(self, document: DocumentId, recorded: &Recorded) -> KeyRow {
        let Recorded { hash, content, stamp, dir, .. } = *recorded;
        let message = dir.map(|dir| MessageRow {
            dir,
            accepted: self.more.accepted.or_else(|| accepted_at_once(dir, &stamp)),
            resolution: self.more.resolution,
            delivery: self.delivery,
            readmitted: self.more.readmitted,
            retracted_by: self.more.retracted_by,
            reactions: self.more.reactions,
            sensitive: self.more.sensitive,
        });
        KeyRow { document, hash, content, stamp, message }
    }
}

/// LSN at which a message was accepted as a reply, as far as its stamp tells.
const fn accepted_at_once(dir: Direction, stamp: &Stamp) -> Option<Lsn> {
    match (dir, stamp.verdict) {
        (Direction::Out, Verdict::Accepted | Verdict::Flagged(_)) => Some(stamp.lsn),
        (Direction::Out, Verdict::Held(_)) | (Direction::In | Direction::Note, _) => None,
    }
}

impl Recorded {
    fn of(fact: &Fact, hash: HashPrefix, stamp: Stamp) -> Self {
        let dir = match fact {
            Fact::Message(message) => Some(message.dir),
            _ => None,
        };
        Self { key: fact.key_id(), hash, content: fact.content_digest(), stamp, dir }
    }

    /// Every fact of a snapshot; or what is wrong with it.
    fn all_of(kind: DocumentKind, row: &SnapshotRow) -> Result<BTreeMap<Lsn, Self>, &'static str> {
        let facts = saved_facts(kind, &row.bytes).map_err(|_| "its document cannot be read")?;
        let facts: BTreeMap<(ActorId, u32), _> =
            facts.into_iter().map(|(placed, hash)| ((placed.actor, placed.seq), (placed.fact, hash))).collect();
        let mut recorded = BTreeMap::new();
        for said in &row.table.facts {
            let found = facts.get(&(said.actor, said.seq));
            let (fact, hash) = found.ok_or("its table names a fact that its document does not hold")?;
            if recorded.insert(said.stamp.lsn, Self::of(fact, hash.prefix(), said.stamp)).is_some() {
                return Err("its table names one LSN twice");
            }
        }
        Ok(recorded)
    }
}

/// Reads rows and completes them: each from its fact's entry in the log, or, below the retention floor, from the
/// snapshot of its document. The latter takes about 4 ms for the first row of a document, the former 10 µs.
pub(super) struct Index<'a, 's> {
    reader: &'a Reader<'s>,
    floor: Lsn,
    /// Facts of snapshots that were read.
    documents: BTreeMap<DocumentId, BTreeMap<Lsn, Recorded>>,
}

impl<'a, 's> Index<'a, 's> {
    pub(super) fn new(reader: &'a Reader<'s>) -> Result<Self, StoreError> {
        Ok(Self { reader, floor: reader.floor()?.lsn, documents: BTreeMap::new() })
    }

    /// What stands under a key.
    pub(super) fn row(&mut self, conversation: ConversationId, key: KeyId) -> Result<Option<IndexRow>, StoreError> {
        let key = keys::index(conversation, key);
        match self.reader.get(Family::Keys, &key)? {
            Some(stored) => self.complete(&key, &stored).map(Some),
            None => Ok(None),
        }
    }

    /// The whole row of a stored one.
    pub(super) fn complete(&mut self, key: &[u8], stored: &[u8]) -> Result<IndexRow, StoreError> {
        let place = Place { family: Family::Keys, key };
        let slim = match decode(stored).ok_or_else(|| StoreError::corrupt(place, "cannot be decoded"))? {
            StoredRow::Whole(row) => return Ok(row),
            StoredRow::Slim(slim) => slim,
        };
        let (conversation, id) = keys::index_of(key).ok_or_else(|| StoreError::corrupt(place, "no key of an index"))?;
        let document = slim.document(conversation);
        let recorded = match slim.lsn > self.floor {
            true => self.logged(document, slim.lsn)?,
            false => self.compacted(document, slim.lsn)?,
        };
        let recorded = recorded.ok_or_else(|| StoreError::corrupt(place, "no fact stands where it says"))?;
        if recorded.key != id {
            return Err(StoreError::corrupt(place, "another fact stands where it says"));
        }
        if slim.delivery.is_some() && recorded.dir != Some(Direction::Out) {
            return Err(StoreError::corrupt(place, "it tells of a delivery, and its fact is no reply"));
        }
        Ok(IndexRow::Fact(slim.complete(document, &recorded)))
    }

    /// From the log; none if no fact of the document stands there.
    fn logged(&self, document: DocumentId, lsn: Lsn) -> Result<Option<Recorded>, StoreError> {
        let key = lsn.0.to_be_bytes();
        let place = Place { family: Family::Log, key: &key };
        let record = self.reader.log_record(lsn)?;
        let record = record.ok_or_else(|| StoreError::corrupt(place, "missing, and an index names it"))?;
        let entry =
            Entry::from_bytes(&record.entry).ok_or_else(|| StoreError::corrupt(place, "no entry of the log"))?;
        Ok(match entry.body {
            EntryBody::Fact(placed) if placed.document == document && entry.stamp.lsn == lsn => {
                Some(Recorded::of(&placed.fact, placed.hash, entry.stamp))
            }
            _ => None,
        })
    }

    /// From the document's snapshot; none if the snapshot has no fact of that LSN.
    fn compacted(&mut self, document: DocumentId, lsn: Lsn) -> Result<Option<Recorded>, StoreError> {
        if !self.documents.contains_key(&document) {
            let key = keys::document(document);
            let place = Place { family: Family::Snapshots, key: &key };
            let snapshot = self.reader.document_snapshot(document)?;
            let snapshot = snapshot.ok_or_else(|| StoreError::corrupt(place, "missing, and an index names it"))?;
            let facts = Recorded::all_of(document.kind, &snapshot).map_err(|what| StoreError::corrupt(place, what))?;
            while self.documents.len() >= DOCUMENTS_MAX {
                self.documents.pop_first();
            }
            self.documents.insert(document, facts);
        }
        Ok(self.documents.get(&document).and_then(|facts| facts.get(&lsn)).cloned())
    }
}

#[cfg(test)]
mod tests {
    use lockstep_core::row::MediaRow;
    use lockstep_protocol::entry::{Collision, CollisionCause, Mac};

    use super::*;

    const CONVERSATION: ConversationId = ConversationId([7; 16]);

    fn stamp(lsn: u64, verdict: Verdict) -> Stamp {
        Stamp { lsn: Lsn(lsn), at_ms: 1_790_000_000_000, member: MemberId(3), verdict, mac: Mac([5; 8]) }
    }

    fn note() -> MessageRow {
        MessageRow {
            dir: Direction::Note,
            accepted: None,
            resolution: None,
            delivery: None,
            readmitted: false,
            retracted_by: Vec::new(),
            reactions: Vec::new(),
            sensitive: Vec::new(),
        }
    }

    fn fact(document: DocumentId, stamp: Stamp, message: Option<MessageRow>) -> KeyRow {
        KeyRow { document, hash: HashPrefix([1; 8]), content: ContentDigest([2; 8]), stamp, message }
    }

    #[test]
    fn slim_rows_complete_to_what_was_written() {
        let held = Verdict::Held(Collision { cause: CollisionCause::Stale, winner: None, by: MemberId(2) });
        let (segment, card) = (DocumentId::segment(CONVERSATION, 2), DocumentId::card(CONVERSATION, u32::MAX));
        let reply = |accepted| MessageRow { dir: Direction::Out, accepted, ..note() };
        let rows = [
            (7, fact(segment, stamp(0x1234_5678, Verdict::Accepted), Some(note()))),
            (4, fact(DocumentId::segment(CONVERSATION, 127), stamp(1, Verdict::Accepted), None)),
            (16, fact(card, stamp(u64::MAX, Verdict::Accepted), None)),
            (3, fact(segment, stamp(0, held), Some(reply(None)))),
            (4, fact(segment, stamp(9, Verdict::Accepted), Some(reply(Some(Lsn(9)))))),
            (
                4,
                fact(
                    segment,
                    stamp(9, Verdict::Accepted),
                    Some(MessageRow { delivery: Some(Delivery::Unknown), ..reply(Some(Lsn(9))) }),
                ),
            ),
            (
                usize::MAX,
                fact(
                    segment,
                    stamp(9, held),
                    Some(MessageRow { resolution: Some(Resolution::Send), ..reply(Some(Lsn(12))) }),
                ),
            ),
            (
                usize::MAX,
                fact(
                    segment,
                    stamp(9, Verdict::Accepted),
                    Some(MessageRow {
                        readmitted: true,
                        retracted_by: vec![MemberId(1), MemberId(70_000)],
                        reactions: vec![(MemberId(1), 2)],
                        ..note()
                    }),
                ),
            ),
        ];
        for (bytes_max, row) in rows {
            let mut bytes = Vec::new();
            encode(&IndexRow::Fact(row.clone()), &mut bytes);
            assert!(bytes.len() <= bytes_max, "{row:?}: {bytes:?}");
            let Some(StoredRow::Slim(slim)) = decode(&bytes) else { panic!("{row:?}: {bytes:?}") };
            let dir = row.message.as_ref().map(|message| message.dir);
            let recorded =
                Recorded { key: KeyId::default(), hash: row.hash, content: row.content, stamp: row.stamp, dir };
            assert_eq!(slim.complete(row.document, &recorded), row);
            assert_eq!(is_of(&bytes, row.document), Some(true));
            assert_eq!(is_of(&bytes, DocumentId::segment(CONVERSATION, 77)), Some(false));
            assert!((0..bytes.len()).all(|end| decode(&bytes[..end]).is_none()));
        }
    }

    #[test]
    fn what_the_log_does_not_say_is_stored_whole() {
        let imported = DocumentId::imported(CONVERSATION, 1);
        // No hub writes this one; it must come back nevertheless.
        let unaccepted = MessageRow { dir: Direction::Out, ..note() };
        let segment = DocumentId::segment(CONVERSATION, 1);
        let rows = [
            IndexRow::Media(MediaRow { uploaded_by: vec![MemberId(2)], shown: true }),
            IndexRow::Fact(fact(imported, stamp(4, Verdict::Accepted), Some(note()))),
            IndexRow::Fact(fact(segment, stamp(4, Verdict::Accepted), Some(unaccepted))),
        ];
        for row in rows {
            let mut bytes = Vec::new();
            encode(&row, &mut bytes);
            assert_eq!(decode(&bytes), Some(StoredRow::Whole(row.clone())));
            assert_eq!(is_of(&bytes, imported), Some(matches!(&row, IndexRow::Fact(row) if row.document == imported)));
        }
        // As formats 1 and 2 have every row.
        let row = IndexRow::Fact(fact(segment, stamp(4, Verdict::Accepted), Some(note())));
        assert_eq!(decode(&codec::encode(&row)), Some(StoredRow::Whole(row)));
    }

    #[test]
    fn bytes_that_are_no_row_are_seen() {
        let spoilt: [&[u8]; 7] = [
            &[],
            &[0b0010_0000, 0, 1, 1],
            &[5 << DELIVERY_SHIFT, 0, 1, 1],
            &[0, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 1],
            &[0, 0, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            &[0, 0, 1, 1, 1],
            &[MORE, 0, 1, 1],
        ];
        for bytes in spoilt {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
