//! Entries of the log, their stamps and the log chain.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::codec;
use crate::directory::DirectoryEvent;
use crate::fact::{Fact, KeyId};
use crate::id::{
    ActorId, ConversationId, DeviceId, DocumentId, Epoch, HashPrefix, ImportId, InviteCode, Lsn, MediaHash, MemberId,
    MessageId, Nonce,
};
use crate::snapshot::DocumentDigest;

/// A hub's secret for stamps, cursors and digests. Kept outside the store; survives every restore.
#[derive(Clone)]
pub struct HubKey {
    stamp: [u8; 32],
    cursor: [u8; 32],
    digest: [u8; 32],
    audit: [u8; 32],
    code: [u8; 32],
    media: [u8; 32],
}

impl HubKey {
    /// From 32 secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self {
            stamp: blake3::derive_key("lockstep stamp mac 1", secret),
            cursor: blake3::derive_key("lockstep cursor mac 1", secret),
            digest: blake3::derive_key("lockstep log digest 1", secret),
            audit: blake3::derive_key("lockstep audit chain 1", secret),
            code: blake3::derive_key("lockstep enrolment code 1", secret),
            media: blake3::derive_key("lockstep media key 2", secret),
        }
    }

    /// Keyed BLAKE3 for the chain of the audit log.
    #[must_use]
    pub fn audit_hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.audit)
    }

    /// What a hub keeps of an enrolment code and finds it by: whoever times the search learns about this hash, which
    /// tells nothing of the code.
    #[must_use]
    pub fn code_hash(&self, code: &InviteCode) -> [u8; 32] {
        *blake3::keyed_hash(&self.code, &code.0).as_bytes()
    }

    /// Under which key a hub keeps a blob in a conversation's index: of the blob's own hash it tells nothing, so whoever
    /// has the hub's disk and a file learns not even whether the file was sent.
    #[must_use]
    pub fn media_key(&self, media: &MediaHash) -> KeyId {
        let mut key = KeyId::default();
        key.0.copy_from_slice(&blake3::keyed_hash(&self.media, &media.0).as_bytes()[..16]);
        key
    }

    pub(crate) const fn cursor(&self) -> &[u8; 32] {
        &self.cursor
    }
}

impl core::fmt::Debug for HubKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HubKey(secret)")
    }
}

/// Why a reply collided. DESIGN section 5, rules 2 to 4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum CollisionCause {
    /// Another member holds a live lease.
    #[n(0)]
    Lease,
    /// Another member's reply was accepted less than the window ago.
    #[n(1)]
    Window,
    /// Another member's reply was accepted that the author had not seen.
    #[n(2)]
    Stale,
}

/// A lost reply's reason.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode)]
pub struct Collision {
    /// Which rule.
    #[n(0)]
    pub cause: CollisionCause,
    /// The reply that won, when one did.
    #[n(1)]
    pub winner: Option<MessageId>,
    /// The member who won: the winner's author or the lease's holder.
    #[n(2)]
    pub by: MemberId,
}

/// The hub's decision on a fact. Only replies ever lose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum Verdict {
    /// It stands; a reply goes to the customer.
    #[n(0)]
    Accepted,
    /// A collided reply under policy `hold`: kept, marked, not sent to the customer.
    #[n(1)]
    Held(#[n(0)] Collision),
    /// A collided reply under policy `flag`: sent, but marked.
    #[n(2)]
    Flagged(#[n(0)] Collision),
}

/// 8 bytes of keyed BLAKE3.
///
/// Enough because a stamp is only ever judged online: each guess costs an enrolled device one Offer, and a right one
/// gains a re-admitted fact with a wrong time. Every stored and sent entry pays for this length.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Mac(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 8]);

/// What the hub adds to a fact or event when it takes it into the log. The epoch is the log's at that LSN.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode)]
pub struct Stamp {
    /// Its place in the log.
    #[n(0)]
    pub lsn: Lsn,
    /// When the hub received it: milliseconds since 1970, never smaller than an earlier entry's of the same epoch.
    #[n(1)]
    pub at_ms: u64,
    /// Its author.
    #[n(2)]
    pub member: MemberId,
    /// The decision.
    #[n(3)]
    pub verdict: Verdict,
    /// Keyed BLAKE3 over epoch, the fields above and the body, see [`Stamp::sign`].
    #[n(4)]
    pub mac: Mac,
}

impl Stamp {
    /// Makes a stamp and its MAC over `"lockstep stamp" ‖ epoch ‖ cbor([lsn, at_ms, member, verdict]) ‖`
    /// [`EntryBody::mac_bytes`].
    #[must_use]
    pub fn sign(
        key: &HubKey,
        epoch: &Epoch,
        lsn: Lsn,
        at_ms: u64,
        member: MemberId,
        verdict: Verdict,
        body_bytes: &[u8],
    ) -> Self {
        let mut stamp = Self { lsn, at_ms, member, verdict, mac: Mac::default() };
        stamp.mac = stamp.compute(key, epoch, body_bytes);
        stamp
    }

    /// Whether this hub made the stamp in this epoch for a body with these bytes. Constant time.
    #[must_use]
    pub fn verify(&self, key: &HubKey, epoch: &Epoch, body_bytes: &[u8]) -> bool {
        same(&self.compute(key, epoch, body_bytes).0, &self.mac.0)
    }

    fn compute(&self, key: &HubKey, epoch: &Epoch, body_bytes: &[u8]) -> Mac {
        let head = codec::encode(&(self.lsn, self.at_ms, self.member, self.verdict));
        let mut hasher = blake3::Hasher::new_keyed(&key.stamp);
        hasher.update(b"lockstep stamp").update(&epoch.0).update(&head).update(body_bytes);
        let mut mac = Mac::default();
        mac.0.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        mac
    }
}

/// Constant-time comparison of two keyed hashes.
pub(crate) fn same<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    let mut whole = ([0; 32], [0; 32]);
    whole.0[..N].copy_from_slice(a);
    whole.1[..N].copy_from_slice(b);
    blake3::Hash::from_bytes(whole.0) == blake3::Hash::from_bytes(whole.1)
}

/// Who opened a chain; travels with its first fact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode)]
pub struct Opening {
    /// The device. The hub's own recovery actor has none: all zero.
    #[n(0)]
    pub device: DeviceId,
    /// The nonce it chose for the document.
    #[n(1)]
    pub nonce: Nonce,
}

/// Where a re-admitted fact stood before a restore.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode)]
pub struct Origin {
    /// Its epoch then.
    #[n(0)]
    pub epoch: Epoch,
    /// Its LSN then.
    #[n(1)]
    pub lsn: Lsn,
}

/// A fact at its place in a chain.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct PlacedFact {
    /// The document.
    #[n(0)]
    pub document: DocumentId,
    /// The chain.
    #[n(1)]
    pub actor: ActorId,
    /// Place in the chain, from 1.
    #[n(2)]
    pub seq: u32,
    /// The first 8 bytes of the derived change's hash.
    #[n(3)]
    pub hash: HashPrefix,
    /// The fact.
    #[n(4)]
    pub fact: Fact,
    /// At seq 1: who opened the chain.
    #[n(5)]
    pub opening: Option<Opening>,
    /// Re-admitted facts: where it stood before. The stamp then carries the old author, time and verdict.
    #[n(6)]
    pub origin: Option<Origin>,
}

/// What an author does with a held reply.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Resolution {
    /// Send it to the customer anyway.
    #[n(0)]
    Send,
    /// Never send it.
    #[n(1)]
    Discard,
}

/// How far a channel connector got with an accepted reply.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Delivery {
    /// Recorded before the channel is called; from here on a retraction no longer stops it.
    #[n(0)]
    Sending,
    /// The channel took it.
    #[n(1)]
    Sent,
    /// The channel refused it.
    #[n(2)]
    Failed,
    /// Nobody knows; never retried unasked.
    #[n(3)]
    Unknown,
}

/// What a sensitive message is about. The hub finds it by its list of words; a person sees the mark.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Category {
    /// Contracts and what binds.
    #[n(0)]
    Contract,
    /// Payments and cards.
    #[n(1)]
    Payment,
    /// Bank accounts.
    #[n(2)]
    Bank,
    /// Identity papers and numbers.
    #[n(3)]
    Identity,
    /// Passwords and codes.
    #[n(4)]
    Password,
}

/// A segment of facts from elsewhere, taken in as one whole. Its facts are not in the log: they come as its Snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Imported {
    /// The imported segment.
    #[n(0)]
    pub document: DocumentId,
    /// The run that brought it.
    #[n(1)]
    pub import: ImportId,
    /// Its facts, all in one chain.
    #[n(2)]
    pub facts: u32,
    /// Messages among them.
    #[n(3)]
    pub messages: u32,
    /// The oldest message, by id; none without messages.
    #[n(4)]
    pub first: Option<MessageId>,
    /// The newest message, by id; none without messages.
    #[n(5)]
    pub last: Option<MessageId>,
    /// The document's digest, for ever.
    #[n(6)]
    pub digest: DocumentDigest,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum EntryBody {
    /// A fact was accepted.
    #[n(0)]
    Fact(#[n(0)] PlacedFact),
    /// The hub opened the next segment or card.
    #[n(1)]
    Opened {
        /// The document to write into from now on.
        #[n(0)]
        document: DocumentId,
    },
    /// The author of a held reply resolved it; the stamp's verdict is the renewed one.
    #[n(2)]
    Resolved {
        /// The document that holds the reply.
        #[n(0)]
        document: DocumentId,
        /// The reply.
        #[n(1)]
        message: MessageId,
        /// What they chose.
        #[n(2)]
        resolution: Resolution,
    },
    /// A channel connector reported on a reply.
    #[n(3)]
    Delivered {
        /// The document that holds the reply.
        #[n(0)]
        document: DocumentId,
        /// The reply.
        #[n(1)]
        message: MessageId,
        /// How far it got.
        #[n(2)]
        delivery: Delivery,
    },
    /// The stamp's member has read up to a message.
    #[n(4)]
    Marked {
        /// The conversation.
        #[n(0)]
        conversation: ConversationId,
        /// The newest message read.
        #[n(1)]
        message: MessageId,
        /// That message's LSN: markers are max-registers by it.
        #[n(2)]
        read: Lsn,
    },
    /// The directory changed.
    #[n(5)]
    Directory(#[n(0)] DirectoryEvent),
    /// A segment of facts was imported.
    #[n(6)]
    Imported(#[n(0)] Imported),
    /// A message, an edit of it, or its attachment's name holds a word of the team's list.
    #[n(7)]
    Sensitive {
        /// The document that holds the message.
        #[n(0)]
        document: DocumentId,
        /// The message.
        #[n(1)]
        message: MessageId,
        /// What the word is about; one entry for each.
        #[n(2)]
        category: Category,
    },
}

impl EntryBody {
    /// The conversation whose members may see it; `None` for what the whole team sees.
    #[must_use]
    pub const fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Fact(placed) => Some(placed.document.conversation),
            Self::Opened { document }
            | Self::Resolved { document, .. }
            | Self::Delivered { document, .. }
            | Self::Sensitive { document, .. } => Some(document.conversation),
            Self::Imported(imported) => Some(imported.document.conversation),
            Self::Marked { conversation, .. } => Some(*conversation),
            Self::Directory(event) => event.seen_in(),
        }
    }

    /// The document whose content or table it is a part of. None for [`EntryBody::Imported`]: what it announces is
    /// whole without it.
    #[must_use]
    pub const fn document(&self) -> Option<DocumentId> {
        match self {
            Self::Fact(placed) => Some(placed.document),
            Self::Resolved { document, .. } | Self::Delivered { document, .. } | Self::Sensitive { document, .. } => {
                Some(*document)
            }
            Self::Opened { .. } | Self::Marked { .. } | Self::Directory(_) | Self::Imported(_) => None,
        }
    }

    /// The bytes that a stamp's MAC covers: `cbor([document, actor, seq, fact])` for a fact (what a
    /// device can also find again from a snapshot), else the body's CBOR.
    #[must_use]
    pub fn mac_bytes(&self) -> Vec<u8> {
        match self {
            Self::Fact(placed) => placed.mac_bytes(),
            other => codec::encode(other),
        }
    }
}

impl PlacedFact {
    /// See [`EntryBody::mac_bytes`].
    #[must_use]
    pub fn mac_bytes(&self) -> Vec<u8> {
        fact_mac_bytes(self.document, &self.actor, self.seq, &self.fact)
    }
}

/// See [`EntryBody::mac_bytes`].
#[must_use]
pub fn fact_mac_bytes(document: DocumentId, actor: &ActorId, seq: u32, fact: &Fact) -> Vec<u8> {
    codec::encode(&(document, actor, seq, fact))
}

/// One entry of the log.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Entry {
    /// The hub's stamp.
    #[n(0)]
    pub stamp: Stamp,
    /// What happened.
    #[n(1)]
    pub body: EntryBody,
}

impl Entry {
    /// Its CBOR: encoded once, kept and sent as these bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        codec::encode(self).into()
    }

    /// Whether the bytes are a directory entry, without reading the rest.
    #[must_use]
    pub fn is_directory(bytes: &[u8]) -> bool {
        let mut decoder = minicbor::Decoder::new(bytes);
        let body = decoder.array().and_then(|_| decoder.skip()).and_then(|()| decoder.array());
        body.and_then(|_| decoder.u32()).is_ok_and(|kind| kind == 5)
    }

    /// Reads one whole entry; `None` for bytes that this version does not understand.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        codec::decode_value(bytes)
    }
}

/// Hash chain over keyed digests of the plaintext entries, so that two logs that agree here agree in everything before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct LogChain(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl LogChain {
    /// The chain after one more entry: keyed BLAKE3(chain ‖ entry bytes).
    #[must_use]
    pub fn after(&self, key: &HubKey, entry_bytes: &[u8]) -> Self {
        Self(*blake3::Hasher::new_keyed(&key.digest).update(&self.0).update(entry_bytes).finalize().as_bytes())
    }
}
