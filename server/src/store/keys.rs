//! Column families and the layout of every key. Changing anything here is a new format version.
//!
//! Numbers are big-endian, so that keys sort as their parts do. Keys hold only random ids and numbers, never names or
//! anything derived from content in the clear.
//!
//! | family | key | value |
//! |---|---|---|
//! | `meta` | name, ASCII | see [`Meta`] |
//! | `log` | LSN (8) | time (8) ‖ log chain (32) ‖ flags (1) ‖ document (21) or conversation (16) or nothing ‖ entry; nothing behind the flags of one whose body was erased |
//! | `tails` | document (21) ‖ LSN (8) | nothing: finds a document's entries in `log` |
//! | `directory` | 0 ‖ member (4), 1 ‖ device (16), 2 (policy), 3 ‖ device (16), 4 (words), 5 ‖ conversation (16) | CBOR of the member, device or policy; when the device was last seen; CBOR of what the team changed in the list of sensitive words; CBOR of `ShredRow` |
//! | `conversations` | conversation (16) | CBOR of `ConversationRow` |
//! | `documents` | document (21) | CBOR of `DocumentRow` |
//! | `chains` | document (21) ‖ actor (16) | CBOR of `ChainRow` |
//! | `keys` | conversation (16) ‖ key (16) | what the log does not say of the fact there, see `index.rs`; or CBOR of `IndexRow` |
//! | `data_keys` | class (1), or conversation (16) ‖ class (1) | id of the data key (8) of the hub, or of the conversation |
//! | `snapshots` | document (21) | CBOR of `upto`, saved document, table by columns; compressed |
//! | `audit` | sequence (8) | chain (32) ‖ CBOR of `AuditRow` |
//!
//! Values stand in envelopes, most of them sealed: see `seal.rs`.
//!
//! A document is conversation (16) ‖ kind (1) ‖ number (4).

use lockstep_protocol::fact::KeyId;
use lockstep_protocol::id::{ActorId, ConversationId, DeviceId, DocumentId, DocumentKind, Lsn, MemberId};
use lockstep_seal::Class;

use super::seal::Owner;

/// The format that this program writes. It opens this and every older one, and refuses a newer one.
///
/// 1: snapshots with their tables by rows. 2: by columns; those by rows are still read. 3: rows of `keys` without what
/// the log says; whole ones are still read. 4: sealed; rows in the clear are still read, until all of them are sealed.
/// Also the audit log, former members, when devices were seen, and how long the list outside is. 5: entries whose body was
/// erased, shredded conversations.
pub const FORMAT_VERSION: u32 = 5;
/// From here on a store has rows that nobody can read without the file of keys.
pub const FIRST_SEALED_FORMAT: u32 = 4;

/// A column family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// What the hub is and where its log ends.
    Meta,
    /// The log, by LSN.
    Log,
    /// LSNs by document.
    Tails,
    /// Members, devices, policy.
    Directory,
    /// Conversations.
    Conversations,
    /// Counters of documents.
    Documents,
    /// Ends of chains.
    Chains,
    /// Facts and media by key.
    Keys,
    /// Compacted documents.
    Snapshots,
    /// Which data key seals what.
    DataKeys,
    /// The audit log.
    Audit,
}

impl Family {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Meta,
        Self::Log,
        Self::Tails,
        Self::Directory,
        Self::Conversations,
        Self::Documents,
        Self::Chains,
        Self::Keys,
        Self::Snapshots,
        Self::DataKeys,
        Self::Audit,
    ];

    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Log => "log",
            Self::Tails => "tails",
            Self::Directory => "directory",
            Self::Conversations => "conversations",
            Self::Documents => "documents",
            Self::Chains => "chains",
            Self::Keys => "keys",
            Self::Snapshots => "snapshots",
            Self::DataKeys => "data_keys",
            Self::Audit => "audit",
        }
    }
}

/// Keys of the family `meta`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meta {
    /// Format version, u32.
    Format,
    /// The hub's id, 16 bytes.
    Hub,
    /// LSN (8) ‖ time (8) ‖ log chain (32): the end of the log.
    Head,
    /// LSN (8) ‖ log chain (32): the retention floor.
    Floor,
    /// CBOR of `ScanRow`: how far the look at everything stored got with that list.
    Scan,
    /// Sequence (8) ‖ time (8) ‖ chain (32): the end of the audit log. None before its first row.
    Audit,
    /// Records of the list outside the backup chain (8): the list has at least these. None before its first record.
    Outside,
}

impl Meta {
    /// The key.
    #[must_use]
    pub const fn key(self) -> &'static [u8] {
        match self {
            Self::Format => b"format",
            Self::Hub => b"hub",
            Self::Head => b"head",
            Self::Floor => b"floor",
            Self::Scan => b"scan",
            Self::Audit => b"audit",
            Self::Outside => b"outside",
        }
    }

    /// The key of an epoch's row in `meta`: its value is epoch (16) ‖ LSN after which it began (8).
    #[must_use]
    pub fn epoch(number: u32) -> Vec<u8> {
        [EPOCH_PREFIX, &number.to_be_bytes()].concat()
    }
}

/// Every epoch's row in `meta` begins so.
pub const EPOCH_PREFIX: &[u8] = b"epoch/";

const MEMBER: u8 = 0;
const DEVICE: u8 = 1;
const POLICY: u8 = 2;
const SEEN: u8 = 3;
const WORDS: u8 = 4;
const SHRED: u8 = 5;
const REVOKED: u8 = 6;

/// A row of the family `directory`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirectoryKey {
    /// A member.
    Member(MemberId),
    /// A device.
    Device(DeviceId),
    /// The policy.
    Policy,
    /// What the team changed in the list of sensitive words.
    Words,
    /// When a device was last seen.
    Seen(DeviceId),
    /// A shredded conversation.
    Shred(ConversationId),
    /// A revoked device.
    Revoked(DeviceId),
}

impl DirectoryKey {
    /// To bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Member(id) => [&[MEMBER][..], &id.0.to_be_bytes()].concat(),
            Self::Device(id) => [&[DEVICE][..], &id.0].concat(),
            Self::Policy => vec![POLICY],
            Self::Words => vec![WORDS],
            Self::Seen(id) => [&[SEEN][..], &id.0].concat(),
            Self::Shred(id) => [&[SHRED][..], &id.0].concat(),
            Self::Revoked(id) => [&[REVOKED][..], &id.0].concat(),
        }
    }

    /// From bytes; none for bytes that are no such key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match *tag {
            MEMBER => Some(Self::Member(MemberId(u32::from_be_bytes(rest.try_into().ok()?)))),
            DEVICE => Some(Self::Device(DeviceId(rest.try_into().ok()?))),
            POLICY if rest.is_empty() => Some(Self::Policy),
            WORDS if rest.is_empty() => Some(Self::Words),
            SEEN => Some(Self::Seen(DeviceId(rest.try_into().ok()?))),
            SHRED => Some(Self::Shred(ConversationId(rest.try_into().ok()?))),
            REVOKED => Some(Self::Revoked(DeviceId(rest.try_into().ok()?))),
            _ => None,
        }
    }
}

/// Length of a document's key, bytes.
pub const DOCUMENT_BYTES: usize = 21;

/// A document's key.
#[must_use]
pub fn document(id: DocumentId) -> [u8; DOCUMENT_BYTES] {
    let mut key = [0; DOCUMENT_BYTES];
    key[..16].copy_from_slice(&id.conversation.0);
    key[16] = kind_number(id.kind);
    key[17..].copy_from_slice(&id.number.to_be_bytes());
    key
}

/// The document of a key's first 21 bytes.
#[must_use]
pub fn document_of(key: &[u8]) -> Option<DocumentId> {
    let conversation = ConversationId(key.get(..16)?.try_into().ok()?);
    let kind = kind_of(*key.get(16)?)?;
    let number = u32::from_be_bytes(key.get(17..DOCUMENT_BYTES)?.try_into().ok()?);
    Some(DocumentId { conversation, kind, number })
}

const fn kind_number(kind: DocumentKind) -> u8 {
    match kind {
        DocumentKind::Segment => 0,
        DocumentKind::Card => 1,
        DocumentKind::Imported => 2,
    }
}

const fn kind_of(number: u8) -> Option<DocumentKind> {
    match number {
        0 => Some(DocumentKind::Segment),
        1 => Some(DocumentKind::Card),
        2 => Some(DocumentKind::Imported),
        _ => None,
    }
}

/// A key of `tails`.
#[must_use]
pub fn tail(id: DocumentId, lsn: Lsn) -> Vec<u8> {
    [&document(id)[..], &lsn.0.to_be_bytes()].concat()
}

/// The LSN of a key of `log`, or of the end of a key of `tails`.
#[must_use]
pub fn lsn_of(bytes: &[u8]) -> Option<Lsn> {
    bytes.last_chunk::<8>().map(|bytes| Lsn(u64::from_be_bytes(*bytes)))
}

/// A key of `chains`.
#[must_use]
pub fn chain(id: DocumentId, actor: ActorId) -> Vec<u8> {
    [&document(id)[..], &actor.0].concat()
}

/// A key of `data_keys`.
#[must_use]
pub fn data_key(owner: Owner, class: Class) -> Vec<u8> {
    match owner {
        Owner::Hub => vec![class.number()],
        Owner::Conversation(id) => [&id.0[..], &[class.number()]].concat(),
    }
}

/// The parts of a key of `data_keys`; none for bytes that are no such key.
#[must_use]
pub fn data_key_of(bytes: &[u8]) -> Option<(Owner, Class)> {
    let (class, owner) = bytes.split_last()?;
    let owner = match owner {
        [] => Owner::Hub,
        id => Owner::Conversation(ConversationId(id.try_into().ok()?)),
    };
    Some((owner, Class::from_number(*class)?))
}

/// A key of `keys`.
#[must_use]
pub fn index(conversation: ConversationId, key: KeyId) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&conversation.0);
    bytes[16..].copy_from_slice(&key.0);
    bytes
}

/// The parts of a key of `keys`; none for bytes that are no such key.
#[must_use]
pub fn index_of(bytes: &[u8]) -> Option<(ConversationId, KeyId)> {
    let (conversation, key) = bytes.split_first_chunk::<16>()?;
    Some((ConversationId(*conversation), KeyId(key.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_as_they_are_written_and_sort_as_their_parts() {
        let conversation = ConversationId([7; 16]);
        let documents = [
            DocumentId::segment(conversation, 0),
            DocumentId::segment(conversation, 255),
            DocumentId::segment(conversation, 256),
            DocumentId::card(conversation, 0),
            DocumentId::imported(conversation, 7),
        ];
        assert!(documents.windows(2).all(|pair| document(pair[0]) < document(pair[1])));
        for id in documents {
            assert_eq!(document_of(&tail(id, Lsn(9))), Some(id));
            assert_eq!(lsn_of(&tail(id, Lsn(258))), Some(Lsn(258)));
        }
        assert!(tail(documents[0], Lsn(255)) < tail(documents[0], Lsn(256)));
        for key in [
            DirectoryKey::Member(MemberId(70_000)),
            DirectoryKey::Device(DeviceId([3; 16])),
            DirectoryKey::Policy,
            DirectoryKey::Seen(DeviceId([3; 16])),
            DirectoryKey::Revoked(DeviceId([5; 16])),
            DirectoryKey::Shred(conversation),
        ] {
            assert_eq!(DirectoryKey::from_bytes(&key.to_bytes()), Some(key));
        }
        assert_eq!(DirectoryKey::from_bytes(&[MEMBER, 1]), None);
        assert_eq!(document_of(&[0; 20]), None);
        let key = index(conversation, KeyId([9; 16]));
        assert_eq!(index_of(&key), Some((conversation, KeyId([9; 16]))));
        assert_eq!(index_of(&key[1..]), None);
        for owner in [Owner::Hub, Owner::Conversation(conversation)] {
            for class in Class::ALL {
                assert_eq!(data_key_of(&data_key(owner, class)), Some((owner, class)));
            }
        }
        assert!([&b""[..], &[2], &[0; 16], &[0; 18]].iter().all(|bytes| data_key_of(bytes).is_none()));
        assert!(Family::ALL.windows(2).all(|pair| (pair[0] as u8) < pair[1] as u8));
    }
}
