//! A document as the hub keeps and sends it: Automerge bytes, and beside them a table of what the hub decided.

use minicbor::{Decode, Encode};

use crate::entry::{EntryBody, Mac, Stamp};
use crate::id::{ActorId, ChangeHash, Epoch, first_16};

/// Order-independent digest of what a document holds: the exclusive or of 16 bytes a fact or event.
///
/// Hub and devices keep it as they go; two replicas with equal digests hold the same facts, resolutions and deliveries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct DocumentDigest(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl DocumentDigest {
    /// Adds (or takes back) a fact: by its full change hash, which fixes document, chain, place and content, and by its
    /// stamp's MAC, because after a rollback the same change may have been judged twice.
    pub fn toggle_fact(&mut self, hash: &ChangeHash, mac: &Mac) {
        self.toggle(&hash.0[..16], mac);
    }

    /// Adds a fact of an imported segment: by its change hash alone, because one stamp covers the segment, and that
    /// stamp covers this digest.
    pub fn add_imported(&mut self, hash: &ChangeHash) {
        self.toggle(&hash.0[..16], &Mac::default());
    }

    /// Adds (or takes back) a resolution, delivery or mark.
    pub fn toggle_event(&mut self, body: &EntryBody, mac: &Mac) {
        self.toggle(&first_16(blake3::Hasher::new().update(&body.mac_bytes())), mac);
    }

    fn toggle(&mut self, bytes: &[u8], mac: &Mac) {
        self.0.iter_mut().zip(bytes).for_each(|(digest, byte)| *digest ^= byte);
        self.0.iter_mut().zip(mac.0).for_each(|(digest, byte)| *digest ^= byte);
    }
}

/// What the hub decided about one fact of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct TableFact {
    /// Its chain.
    #[n(0)]
    pub actor: ActorId,
    /// Its place in the chain.
    #[n(1)]
    pub seq: u32,
    /// Index of its epoch in [`Table::epochs`].
    #[n(2)]
    pub epoch: u32,
    /// Its stamp.
    #[n(3)]
    pub stamp: Stamp,
}

/// A resolution, delivery or mark that belongs to a snapshot's document; or what announced an imported one.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct TableEvent {
    /// Index of its epoch in [`Table::epochs`].
    #[n(0)]
    pub epoch: u32,
    /// Its stamp.
    #[n(1)]
    pub stamp: Stamp,
    /// `Resolved`, `Delivered` or `Sensitive`; of an imported segment its one `Imported`.
    #[n(2)]
    pub body: EntryBody,
}

/// LSN, time, verdict and delivery of everything in a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Table {
    /// The epochs that rows refer to.
    #[n(0)]
    pub epochs: Vec<Epoch>,
    /// One row a fact, in order of LSN. None of an imported segment: its event's stamp is that of every fact.
    #[n(1)]
    pub facts: Vec<TableFact>,
    /// Resolutions, deliveries and marks of sensitive messages, in order of LSN; of an imported segment the entry that announced it.
    #[n(2)]
    pub events: Vec<TableEvent>,
}

impl Table {
    /// The index of an epoch, added if it is new.
    pub fn epoch_index(&mut self, epoch: Epoch) -> u32 {
        let index = self.epochs.iter().position(|known| *known == epoch).unwrap_or_else(|| {
            self.epochs.push(epoch);
            self.epochs.len() - 1
        });
        u32::try_from(index).expect("a hub has fewer than 2^32 epochs")
    }

    /// The epoch of a row, if its index is one of ours.
    #[must_use]
    pub fn epoch(&self, index: u32) -> Option<Epoch> {
        self.epochs.get(index as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Delivery;
    use crate::id::{ConversationId, DocumentId, MessageId};

    #[test]
    fn a_digest_does_not_depend_on_order_and_takes_back() {
        let hashes = [ChangeHash([1; 32]), ChangeHash([2; 32])];
        let event = EntryBody::Delivered {
            document: DocumentId::segment(ConversationId([3; 16]), 0),
            message: MessageId([4; 16]),
            delivery: Delivery::Sent,
        };
        let (mut one, mut other) = (DocumentDigest::default(), DocumentDigest::default());
        let mac = |byte: u8| Mac([byte; 8]);
        one.toggle_fact(&hashes[0], &mac(1));
        one.toggle_event(&event, &mac(3));
        one.toggle_fact(&hashes[1], &mac(2));
        other.toggle_fact(&hashes[1], &mac(2));
        other.toggle_fact(&hashes[0], &mac(1));
        assert_ne!(one, other);
        let mut judged_otherwise = other;
        judged_otherwise.toggle_event(&event, &mac(4));
        other.toggle_event(&event, &mac(3));
        assert_eq!(one, other);
        assert_ne!(one, judged_otherwise, "the same body under another stamp");
        one.toggle_fact(&hashes[0], &mac(1));
        one.toggle_fact(&hashes[1], &mac(2));
        one.toggle_event(&event, &mac(3));
        assert_eq!(one, DocumentDigest::default());
    }

    #[test]
    fn a_table_names_each_epoch_once() {
        let mut table = Table::default();
        let indexes = [5, 6, 5].map(|byte| table.epoch_index(Epoch([byte; 16])));
        assert_eq!(indexes, [0, 1, 0]);
        assert_eq!(table.epoch(1), Some(Epoch([6; 16])));
        assert_eq!(table.epoch(2), None);
    }
}
