//! Facts: the small typed records that devices write, and the checks that need nothing but the fact itself.

use core::fmt::Write as _;

use minicbor::{Decode, Encode};

use crate::codec;
use crate::id::{DocumentKind, FactId, MediaHash, MemberId, MessageId, first_16};
use crate::limits;
use crate::refusal::RefusalCode;

/// Which way a message goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Direction {
    /// From the customer.
    #[n(0)]
    In,
    /// A reply to the customer.
    #[n(1)]
    Out,
    /// Internal, for the team only.
    #[n(2)]
    Note,
}

impl Direction {
    /// The value in the document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Note => "note",
        }
    }

    /// Reads [`Direction::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::In, Self::Out, Self::Note].into_iter().find(|direction| direction.as_str() == text)
    }
}

/// An attachment named by a message.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Media {
    /// The blob's hash.
    #[n(0)]
    pub hash: MediaHash,
    /// Media type (`image/jpeg`), 1–127 visible ASCII characters.
    #[n(1)]
    pub media_type: String,
    /// File name, at most 255 bytes, no control characters, no `/` or `\`.
    #[n(2)]
    pub name: String,
    /// Size in bytes.
    #[n(3)]
    pub size: u64,
}

/// A message. Its time is its id's.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Message {
    /// Its id; display order is by it.
    #[n(0)]
    pub id: MessageId,
    /// Its author: the device's member (an import may name another).
    #[n(1)]
    pub by: MemberId,
    /// Which way it goes.
    #[n(2)]
    pub dir: Direction,
    /// What it is: `text`, `image`, `audio`, … `[a-z][a-z0-9_]{0,15}`.
    #[n(3)]
    pub kind: String,
    /// Its text, at most 16 KiB. Empty only with media or a kind other than `text`.
    #[n(4)]
    pub body: String,
    /// Replies only: the newest accepted reply on the author's screen when they pressed send.
    #[n(5)]
    pub seen: Option<MessageId>,
    /// The message that it answers or quotes.
    #[n(6)]
    pub re: Option<MessageId>,
    /// Its attachment.
    #[n(7)]
    pub media: Option<Media>,
    /// Imports only: where it came from, 1–512 bytes.
    #[n(8)]
    pub src: Option<String>,
}

/// One typed record by one device. One fact is one Automerge change.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(flat)]
pub enum Fact {
    /// `messages/<id>`.
    #[n(0)]
    Message(#[n(0)] Message),
    /// `edits/<message>/<id>` = new body. Author only.
    #[n(1)]
    Edit {
        /// The edited message.
        #[n(0)]
        message: MessageId,
        /// Its own ULID; the highest wins.
        #[n(1)]
        id: FactId,
        /// The new body, 1 byte to 16 KiB.
        #[n(2)]
        body: String,
    },
    /// `retractions/<message>/<id>` = reason. Author or manager; one a member a message.
    #[n(2)]
    Retraction {
        /// The retracted message.
        #[n(0)]
        message: MessageId,
        /// Its own ULID.
        #[n(1)]
        id: FactId,
        /// Why, at most 1 KiB, may be empty.
        #[n(2)]
        reason: String,
    },
    /// `reactions/<message>/<member>/<id>` = emoji, empty to take it back.
    #[n(3)]
    Reaction {
        /// The message reacted to.
        #[n(0)]
        message: MessageId,
        /// Who reacts: the device's member (an import may name another).
        #[n(1)]
        by: MemberId,
        /// Its own ULID; the highest wins.
        #[n(2)]
        id: FactId,
        /// The emoji, at most 64 bytes; empty takes it back.
        #[n(3)]
        emoji: String,
    },
    /// `fields/<name>/<id>` = value.
    #[n(4)]
    Field {
        /// The field's name: `[a-z][a-z0-9_]{0,31}`.
        #[n(0)]
        name: String,
        /// Its own ULID; the highest wins.
        #[n(1)]
        id: FactId,
        /// The value, at most 4 KiB.
        #[n(2)]
        value: String,
    },
    /// `labels/<label>/<id>` = "on" or "off".
    #[n(5)]
    Label {
        /// The label: 1–64 bytes, no `/`, no control characters, no space at either end.
        #[n(0)]
        label: String,
        /// Its own ULID; the highest wins.
        #[n(1)]
        id: FactId,
        /// On or off.
        #[n(2)]
        on: bool,
    },
}

/// A key's short name in the hub's index: the message id for a message, else a hash of the key's text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct KeyId(pub [u8; 16]);

impl From<MessageId> for KeyId {
    fn from(id: MessageId) -> Self {
        Self(id.0)
    }
}

/// 8 bytes that tell one fact's content from another's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct ContentDigest(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 8]);

impl Fact {
    /// The kind of document it belongs into; from an import, into an imported segment in place of a segment.
    #[must_use]
    pub const fn document_kind(&self) -> DocumentKind {
        match self {
            Self::Message(_) | Self::Edit { .. } | Self::Retraction { .. } | Self::Reaction { .. } => {
                DocumentKind::Segment
            }
            Self::Field { .. } | Self::Label { .. } => DocumentKind::Card,
        }
    }

    /// Time of its ULID, milliseconds since 1970.
    #[must_use]
    pub const fn time_ms(&self) -> u64 {
        match self {
            Self::Message(message) => message.id.time_ms(),
            Self::Edit { id, .. }
            | Self::Retraction { id, .. }
            | Self::Reaction { id, .. }
            | Self::Field { id, .. }
            | Self::Label { id, .. } => id.time_ms(),
        }
    }

    /// Its ULID as bytes: the order of keys in time.
    #[must_use]
    pub const fn ulid(&self) -> [u8; 16] {
        match self {
            Self::Message(message) => message.id.0,
            Self::Edit { id, .. }
            | Self::Retraction { id, .. }
            | Self::Reaction { id, .. }
            | Self::Field { id, .. }
            | Self::Label { id, .. } => id.0,
        }
    }

    /// What the author of a reply had seen.
    #[must_use]
    pub const fn seen(&self) -> Option<MessageId> {
        match self {
            Self::Message(message) => message.seen,
            _ => None,
        }
    }

    /// The message that it is about, itself apart.
    #[must_use]
    pub const fn target(&self) -> Option<MessageId> {
        match self {
            Self::Edit { message, .. } | Self::Retraction { message, .. } | Self::Reaction { message, .. } => {
                Some(*message)
            }
            Self::Message(_) | Self::Field { .. } | Self::Label { .. } => None,
        }
    }

    /// The key that it writes, within the root map that [`Fact::container`] names.
    pub fn write_key(&self, key: &mut String) {
        key.clear();
        match self {
            Self::Message(message) => write!(key, "{}", message.id),
            Self::Edit { message, id, .. } | Self::Retraction { message, id, .. } => write!(key, "{message}/{id}"),
            Self::Reaction { message, by, id, .. } => write!(key, "{message}/{by}/{id}"),
            Self::Field { name, id, .. } => write!(key, "{name}/{id}"),
            Self::Label { label, id, .. } => write!(key, "{label}/{id}"),
        }
        .expect("writing to a string cannot fail");
    }

    /// The root map that it writes into.
    #[must_use]
    pub const fn container(&self) -> Container {
        match self {
            Self::Message(_) => Container::Messages,
            Self::Edit { .. } => Container::Edits,
            Self::Retraction { .. } => Container::Retractions,
            Self::Reaction { .. } => Container::Reactions,
            Self::Field { .. } => Container::Fields,
            Self::Label { .. } => Container::Labels,
        }
    }

    /// The key's short name for an index.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        if let Self::Message(message) = self {
            return KeyId::from(message.id);
        }
        let mut key = String::new();
        self.write_key(&mut key);
        let mut hasher = blake3::Hasher::new_derive_key("lockstep fact key 1");
        hasher.update(self.container().name().as_bytes()).update(b"/").update(key.as_bytes());
        KeyId(first_16(&hasher))
    }

    /// Operations of its change.
    #[must_use]
    pub fn ops(&self) -> u32 {
        let Self::Message(message) = self else { return 1 };
        let optional = [message.seen.is_some(), message.re.is_some(), message.src.is_some()];
        let optional = optional.into_iter().map(u32::from).sum::<u32>();
        5 + optional + if message.media.is_some() { 4 } else { 0 }
    }

    /// Bytes of text that it adds to its document.
    #[must_use]
    pub fn text_bytes(&self) -> u32 {
        let bytes = match self {
            Self::Message(message) => message.body.len() + message.media.as_ref().map_or(0, |media| media.name.len()),
            Self::Edit { body, .. } => body.len(),
            Self::Retraction { reason, .. } => reason.len(),
            Self::Reaction { emoji, .. } => emoji.len(),
            Self::Field { value, .. } => value.len(),
            Self::Label { label, .. } => label.len(),
        };
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Tells its content from that of another fact with the same key.
    #[must_use]
    pub fn content_digest(&self) -> ContentDigest {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&blake3::hash(&codec::encode(self)).as_bytes()[..8]);
        ContentDigest(bytes)
    }

    /// The checks that need nothing but the fact: types, sizes and key grammar. DESIGN section 4.
    ///
    /// # Errors
    /// `WrongDocument`, `TooLarge`, `FieldInvalid` or `TimeTooOld`.
    pub fn check(&self, kind: DocumentKind) -> Result<(), RefusalCode> {
        let is_imported = kind == DocumentKind::Imported;
        if self.document_kind() != if is_imported { DocumentKind::Segment } else { kind } {
            return Err(RefusalCode::WrongDocument);
        }
        if self.time_ms() < limits::ULID_TIME_MS_MIN {
            return Err(RefusalCode::TimeTooOld);
        }
        // What an imported reply's author saw was on no screen of this team.
        holds(!is_imported || self.seen().is_none())?;
        match self {
            Self::Message(message) => message.check(),
            Self::Edit { body, .. } => sized(body, 1, limits::BODY_BYTES_MAX),
            Self::Retraction { reason, .. } => sized(reason, 0, limits::REASON_BYTES_MAX),
            Self::Reaction { emoji, .. } => {
                sized(emoji, 0, limits::EMOJI_BYTES_MAX)?;
                holds(!emoji.chars().any(char::is_control))
            }
            Self::Field { name, value, .. } => {
                word(name, limits::FIELD_NAME_BYTES_MAX)?;
                sized(value, 0, limits::FIELD_VALUE_BYTES_MAX)
            }
            Self::Label { label, .. } => {
                sized(label, 1, limits::LABEL_BYTES_MAX)?;
                holds(!label.chars().any(|c| c.is_control() || c == '/') && label.trim() == label)
            }
        }
    }
}

impl Message {
    fn check(&self) -> Result<(), RefusalCode> {
        word(&self.kind, limits::KIND_BYTES_MAX)?;
        sized(&self.body, 0, limits::BODY_BYTES_MAX)?;
        holds(!self.body.is_empty() || self.media.is_some() || self.kind != "text")?;
        holds(self.seen.is_none() || self.dir == Direction::Out)?;
        if let Some(media) = &self.media {
            sized(&media.media_type, 1, limits::MEDIA_TYPE_BYTES_MAX)?;
            holds(media.media_type.bytes().all(|byte| byte.is_ascii_graphic()))?;
            sized(&media.name, 0, limits::MEDIA_NAME_BYTES_MAX)?;
            holds(!media.name.chars().any(|c| c.is_control() || c == '/' || c == '\\'))?;
            if media.size > limits::MEDIA_SIZE_BYTES_MAX {
                return Err(RefusalCode::TooLarge);
            }
        }
        match &self.src {
            Some(src) => sized(src, 1, limits::SRC_BYTES_MAX),
            None => Ok(()),
        }
    }
}

/// A root map of a document, made by its genesis change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Container {
    /// `messages`.
    Messages,
    /// `edits`.
    Edits,
    /// `retractions`.
    Retractions,
    /// `reactions`.
    Reactions,
    /// `fields`.
    Fields,
    /// `labels`.
    Labels,
}

impl Container {
    /// Those of a document, in the order in which its genesis makes them.
    #[must_use]
    pub const fn of(kind: DocumentKind) -> &'static [Self] {
        match kind {
            DocumentKind::Segment | DocumentKind::Imported => {
                &[Self::Messages, Self::Edits, Self::Retractions, Self::Reactions]
            }
            DocumentKind::Card => &[Self::Fields, Self::Labels],
        }
    }

    /// Its key in the root map.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Edits => "edits",
            Self::Retractions => "retractions",
            Self::Reactions => "reactions",
            Self::Fields => "fields",
            Self::Labels => "labels",
        }
    }

    /// Counter of the genesis operation that makes it, from 1.
    #[must_use]
    pub const fn op(self) -> u64 {
        match self {
            Self::Messages | Self::Fields => 1,
            Self::Edits | Self::Labels => 2,
            Self::Retractions => 3,
            Self::Reactions => 4,
        }
    }
}

/// `[a-z][a-z0-9_]*`, at most `bytes_max` long.
fn word(text: &str, bytes_max: usize) -> Result<(), RefusalCode> {
    sized(text, 1, bytes_max)?;
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    holds(text.as_bytes()[0].is_ascii_lowercase() && text.bytes().all(rest))
}

fn sized(text: &str, bytes_min: usize, bytes_max: usize) -> Result<(), RefusalCode> {
    if text.len() > bytes_max {
        return Err(RefusalCode::TooLarge);
    }
    holds(text.len() >= bytes_min)
}

fn holds(rule: bool) -> Result<(), RefusalCode> {
    if rule { Ok(()) } else { Err(RefusalCode::FieldInvalid) }
}
