//! Typed ids. Byte ids are CBOR byte strings on the wire, numbers are CBOR unsigned integers.

use core::fmt;
use core::ops::RangeInclusive;

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};
use ulid::Ulid;

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl Default for $name {
            fn default() -> Self {
                Self([0; $len])
            }
        }

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(", stringify!($name))?;
                for byte in self.0.iter().take(4) {
                    write!(f, "{byte:02x}")?;
                }
                f.write_str("…)")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let at = d.position();
                let bytes = d.bytes()?;
                <[u8; $len]>::try_from(bytes)
                    .map($name)
                    .map_err(|_| decode::Error::message(concat!(stringify!($name), ": wrong length")).at(at))
            }
        }
    };
}

byte_id!(
    /// A hub, drawn at its first start; survives every restore.
    HubId, 16
);
byte_id!(
    /// One unbroken life of a hub's log: 128 random bits, new after every restore and every rollback found.
    Epoch, 16
);
byte_id!(
    /// A device: the first 16 bytes of BLAKE3 of its public key, see [`DeviceId::of`].
    DeviceId, 16
);
byte_id!(
    /// A conversation: 16 random bytes drawn by whoever opens it.
    ConversationId, 16
);
byte_id!(
    /// The author of one chain in one document, see [`ActorId::derive`].
    ActorId, 16
);
byte_id!(
    /// 16 random bytes that a device chooses per document, sent with its chain's first fact.
    Nonce, 16
);
byte_id!(
    /// SHA-256 of an Automerge change chunk (type ‖ length ‖ data).
    ChangeHash, 32
);
byte_id!(
    /// The first 8 bytes of a [`ChangeHash`]: what entries and pushes carry.
    HashPrefix, 8
);
byte_id!(
    /// An Ed25519 public key.
    PublicKey, 32
);
byte_id!(
    /// An Ed25519 signature.
    Signature, 64
);
byte_id!(
    /// SHA-256 of the hub's certificate public key, pinned at enrolment.
    PinnedKeyHash, 32
);
byte_id!(
    /// Name of a media blob: its BLAKE3 hash.
    MediaHash, 32
);
byte_id!(
    /// A one-time enrolment code.
    InviteCode, 16
);
byte_id!(
    /// One run of an import: 16 random bytes drawn by whoever runs it; what it brought is taken back by it.
    ImportId, 16
);

/// Log sequence number. 0 is before the first entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Lsn(#[n(0)] pub u64);

impl Lsn {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The one that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A member of the team, by staff number. 0 is the hub itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct MemberId(#[n(0)] pub u32);

impl MemberId {
    /// The hub, as the author of what it decides by itself.
    pub const HUB: Self = Self(0);
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// From a time in milliseconds since 1970 (48 bits) and 80 random bits.
            #[must_use]
            pub const fn from_parts(time_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(time_ms, random).to_bytes())
            }

            /// The time part, milliseconds since 1970.
            #[must_use]
            pub const fn time_ms(&self) -> u64 {
                Ulid::from_bytes(self.0).timestamp_ms()
            }

            /// Reads the 26 characters that [`Display`](fmt::Display) writes; any other spelling of the same number
            /// is refused, so that a key has one form only.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let id = Self(Ulid::from_string(text).ok()?.to_bytes());
                let mut buffer = [0; ulid::ULID_LEN];
                (Ulid::from_bytes(id.0).array_to_str(&mut buffer) == text).then_some(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Ulid::from_bytes(self.0).array_to_str(&mut [0; ulid::ULID_LEN]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let at = d.position();
                <[u8; 16]>::try_from(d.bytes()?)
                    .map($name)
                    .map_err(|_| decode::Error::message(concat!(stringify!($name), ": wrong length")).at(at))
            }
        }
    };
}

ulid_id!(
    /// A message: a ULID whose time part is its author's hybrid logical clock. Display order is by this id.
    MessageId
);
ulid_id!(
    /// The ULID of a fact that is not a message: the last part of its key.
    FactId
);

/// What a document holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DocumentKind {
    /// A slice of a conversation's messages.
    Segment,
    /// The conversation's small sheet of fields and labels.
    Card,
    /// A slice of its past that was taken in from elsewhere, as one whole: made of what a segment is made of, by the
    /// hub's import actor alone, and never written into again.
    Imported,
}

/// One Automerge document: the n-th segment, card or imported segment of a conversation, numbered from 0.
///
/// 21 bytes on the wire and in formulas: conversation ‖ kind (0 segment, 1 card, 2 imported segment) ‖ number
/// (big-endian u32).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DocumentId {
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// Segment, card or imported segment.
    pub kind: DocumentKind,
    /// Its number among those of its kind, from 0.
    pub number: u32,
}

impl DocumentId {
    /// Length of [`DocumentId::to_bytes`].
    pub const LEN: usize = 21;

    /// The n-th segment of a conversation.
    #[must_use]
    pub const fn segment(conversation: ConversationId, number: u32) -> Self {
        Self { conversation, kind: DocumentKind::Segment, number }
    }

    /// The n-th card of a conversation.
    #[must_use]
    pub const fn card(conversation: ConversationId, number: u32) -> Self {
        Self { conversation, kind: DocumentKind::Card, number }
    }

    /// The n-th imported segment of a conversation.
    #[must_use]
    pub const fn imported(conversation: ConversationId, number: u32) -> Self {
        Self { conversation, kind: DocumentKind::Imported, number }
    }

    /// Every document that a conversation may have, in their order: segments, cards, imported segments.
    #[must_use]
    pub const fn all_of(conversation: ConversationId) -> RangeInclusive<Self> {
        Self::segment(conversation, 0)..=Self::imported(conversation, u32::MAX)
    }

    /// Every imported segment that a conversation may have.
    #[must_use]
    pub const fn all_imported(conversation: ConversationId) -> RangeInclusive<Self> {
        Self::imported(conversation, 0)..=Self::imported(conversation, u32::MAX)
    }

    /// The 21 bytes; their order is the order of the type.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..16].copy_from_slice(&self.conversation.0);
        bytes[16] = match self.kind {
            DocumentKind::Segment => 0,
            DocumentKind::Card => 1,
            DocumentKind::Imported => 2,
        };
        bytes[17..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// Reads what [`DocumentId::to_bytes`] writes; `None` for any other length or kind.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = <&[u8; Self::LEN]>::try_from(bytes).ok()?;
        let kind = match bytes[16] {
            0 => DocumentKind::Segment,
            1 => DocumentKind::Card,
            2 => DocumentKind::Imported,
            _ => return None,
        };
        let (conversation, rest) = bytes.split_first_chunk::<16>()?;
        let number = u32::from_be_bytes(rest[1..].try_into().ok()?);
        Some(Self { conversation: ConversationId(*conversation), kind, number })
    }
}

impl<C> Encode<C> for DocumentId {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.to_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for DocumentId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        Self::from_bytes(d.bytes()?).ok_or_else(|| decode::Error::message("DocumentId: not a document").at(at))
    }
}

impl DeviceId {
    /// The device that holds `key`.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self(first_16(blake3::Hasher::new_derive_key("lockstep device id 1").update(&key.0)))
    }
}

impl ActorId {
    /// BLAKE3(device key ‖ nonce ‖ document id), first 16 bytes. DESIGN section 3.
    #[must_use]
    pub fn derive(key: &PublicKey, nonce: &Nonce, document: DocumentId) -> Self {
        Self(first_16(blake3::Hasher::new().update(&key.0).update(&nonce.0).update(&document.to_bytes())))
    }

    /// The hub's own actor for facts that it re-admits after a restore: BLAKE3(hub id ‖ epoch ‖ document id), first
    /// 16 bytes. DESIGN section 6.
    #[must_use]
    pub fn recovery(hub: &HubId, epoch: &Epoch, document: DocumentId) -> Self {
        Self(first_16(blake3::Hasher::new().update(&hub.0).update(&epoch.0).update(&document.to_bytes())))
    }

    /// The hub's own actor for the facts of one imported segment: BLAKE3(hub id ‖ import id ‖ document id), first 16
    /// bytes. Recovery actors write no imported segments, so the two formulas never meet.
    #[must_use]
    pub fn import(hub: &HubId, import: &ImportId, document: DocumentId) -> Self {
        Self(first_16(blake3::Hasher::new().update(&hub.0).update(&import.0).update(&document.to_bytes())))
    }
}

impl ChangeHash {
    /// What entries and pushes carry of it.
    #[must_use]
    pub fn prefix(&self) -> HashPrefix {
        let mut prefix = [0; 8];
        prefix.copy_from_slice(&self.0[..8]);
        HashPrefix(prefix)
    }
}

pub(crate) fn first_16(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    bytes
}
