//! Cursors: up to where a device holds everything that it may see.

use minicbor::{Decode, Encode};

use crate::entry::{HubKey, LogChain, same};
use crate::id::{Epoch, Lsn};

/// The hub's proof of a cursor: 8 bytes of the log chain's hash ‖ 8 bytes of MAC. Opaque to devices.
///
/// 64 bits of MAC are enough: every guess costs a connection to the hub, and a right one gains only a catch-up from
/// a wrong place by a device that is already enrolled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct CursorTag(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A place in the log of one epoch, with the hub's proof.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Encode, Decode)]
pub struct Cursor {
    /// The epoch.
    #[n(0)]
    pub epoch: Epoch,
    /// The last LSN covered.
    #[n(1)]
    pub lsn: Lsn,
    /// The proof.
    #[n(2)]
    pub tag: CursorTag,
}

impl Cursor {
    /// The cursor of a place in the log.
    #[must_use]
    pub fn sign(key: &HubKey, epoch: Epoch, lsn: Lsn, chain: &LogChain) -> Self {
        let mut short = [0; 8];
        short.copy_from_slice(&chain.0[..8]);
        Self { epoch, lsn, tag: CursorTag(tag(key, &epoch, lsn, short)) }
    }

    /// Whether this hub made it, in whatever epoch. Constant time.
    #[must_use]
    pub fn verify(&self, key: &HubKey) -> bool {
        let mut short = [0; 8];
        short.copy_from_slice(&self.tag.0[..8]);
        same(&tag(key, &self.epoch, self.lsn, short), &self.tag.0)
    }

    /// Whether it lies on a log with this chain at its LSN.
    #[must_use]
    pub fn lies_on(&self, chain: &LogChain) -> bool {
        self.tag.0[..8] == chain.0[..8]
    }
}

fn tag(key: &HubKey, epoch: &Epoch, lsn: Lsn, chain: [u8; 8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_keyed(key.cursor());
    hasher.update(&epoch.0).update(&lsn.0.to_be_bytes()).update(&chain);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&chain);
    bytes[8..].copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hubs_own_cursors_verify() {
        let key = HubKey::new(&[7; 32]);
        let chain = LogChain([9; 32]);
        let cursor = Cursor::sign(&key, Epoch([1; 16]), Lsn(42), &chain);
        assert!(cursor.verify(&key) && cursor.lies_on(&chain));
        assert!(!cursor.lies_on(&LogChain([8; 32])));
        assert!(!cursor.verify(&HubKey::new(&[8; 32])));
        assert!(!Cursor { lsn: Lsn(43), ..cursor }.verify(&key));
        assert!(!Cursor { epoch: Epoch([2; 16]), ..cursor }.verify(&key));
        for bit in 0..128 {
            let mut forged = cursor;
            forged.tag.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!forged.verify(&key), "bit {bit}");
        }
    }
}
