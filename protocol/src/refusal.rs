//! Why the hub says no to a peer: stable codes in ranges that tell an older peer what to do with a code it does not
//! know.

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::entry::Stamp;
use crate::id::{DocumentId, HashPrefix, MemberId};

/// What the peer does about a refusal. DESIGN section 4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalClass {
    /// The same bytes later. Codes 1–19.
    Again,
    /// Withdraw the fact and its chain's later ones, take a new nonce, write again what still stands. Codes 20–39.
    Rewrite,
    /// It can never stand: it moves to "not sent, because …". Codes 40–69.
    Never,
    /// Not about a fact: the session or request itself. Codes 70–99.
    Request,
    /// Stop pushing, keep everything: this peer needs an update. Codes 100–109.
    Stop,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// A stable refusal code. The number never changes its meaning.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Error)]
        #[repr(u16)]
        pub enum RefusalCode {
            $($(#[$doc])* #[error($text)] $name = $number,)*
        }

        impl RefusalCode {
            /// Every code, in order of number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code with this number, if this version knows it.
            #[must_use]
            pub fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// A hole in the chain: resend from `next`; `hash` is the prefix before it.
    Gap = 1, "facts are missing before this one; resend from the given place";
    /// Too much waits for this session or conversation.
    Busy = 2, "the hub is busy; try again";
    /// More than the allowed rate.
    RateLimited = 3, "too many requests; try again later";
    /// The hub is about to stop.
    Draining = 4, "the hub is stopping; reconnect";

    /// The document takes no more of this fact; `open` takes it.
    SegmentFull = 20, "this part of the conversation is full; write into the open one";
    /// Another fact stands at this place of the chain.
    Forked = 21, "this chain has another fact at this place";
    /// The ULID's time lies too far ahead of the hub's clock; `now_ms` is the hub's.
    ClockAhead = 22, "the device's clock is ahead of the hub's";
    /// The document is not known here; `open` is the one to write into.
    DocumentUnknown = 23, "this part of the conversation does not exist; write into the open one";
    /// The same content by the same author stands already under another hash: `stamp` and `document` confirm it.
    Duplicate = 24, "already written";

    /// Not a frame, or a frame that breaks its grammar.
    Malformed = 40, "malformed frame";
    /// Beyond a size limit.
    TooLarge = 41, "too large";
    /// A field of the wrong size, value or grammar.
    FieldInvalid = 42, "a field breaks its grammar";
    /// The key is written already, by someone else or with other content.
    KeyTaken = 43, "this key is already written";
    /// The message id is used already, by someone else or with other content.
    MessageIdTaken = 44, "this message id is already used";
    /// The target of an edit, retraction, reaction or resolution is not known in this conversation.
    TargetUnknown = 45, "the target message is not known in this conversation";
    /// The target is another member's, or not of a kind that this fact may touch.
    TargetForbidden = 46, "the target message may not be changed by this member";
    /// An edit of a reply that is held back.
    ReplyHeld = 47, "this reply is held back; resolve it first";
    /// `by` is not the device's member.
    AuthorForged = 48, "the author is not this device's member";
    /// `dir = in` from a device that is not the channel's service account.
    DirectionForbidden = 49, "only the channel writes incoming messages";
    /// `src` outside an import.
    SourceForbidden = 50, "only imports name a source";
    /// The media blob is not known in this conversation to this member.
    MediaUnknown = 51, "the attachment is not known in this conversation";
    /// A ULID's time before 1990.
    TimeTooOld = 52, "the time is before 1990";
    /// The member may not write here.
    WriteForbidden = 53, "no right to write in this conversation";
    /// No such conversation that this member may see.
    ConversationUnknown = 54, "no such conversation";
    /// The actor is not the formula's for this device, nonce and document.
    ActorForged = 55, "the chain does not belong to this device";
    /// The member has reacted too often to this message.
    ReactionsFull = 56, "too many reactions to this message";
    /// The fact does not belong into this kind of document.
    WrongDocument = 57, "this fact does not belong into this kind of document";
    /// A fact that was written, or an offered entry that was accepted, longer ago than its conversation's keep time; or an
    /// offered entry of a document that expired.
    Expired = 58, "older than the conversation's keep time";

    /// Another protocol version.
    VersionUnsupported = 70, "protocol version not supported";
    /// The signature does not fit.
    ProofInvalid = 71, "the proof does not fit this hub and device";
    /// No such device; enrol it.
    DeviceUnknown = 72, "this device is not enrolled";
    /// The device or its member was removed.
    DeviceRevoked = 73, "this device was revoked";
    /// The enrolment code is wrong, used or expired.
    CodeInvalid = 74, "the code is wrong, used or expired; make a new one";
    /// The connection did not finish its handshake in time, or was silent for too long.
    TimedOut = 75, "timed out";
    /// Too many sessions of this member.
    SessionsFull = 76, "too many sessions of this member";
    /// A frame that has no place at this point.
    FrameUnexpected = 77, "this frame has no place here";
    /// The member's role does not permit it.
    NotPermitted = 78, "this role may not do that";
    /// The member holds as many leases as allowed.
    LeasesFull = 81, "too many leases at once";
    /// The reply was resolved before; the first resolution stands.
    AlreadyResolved = 82, "already resolved";
    /// The message is not a held reply.
    NotHeld = 83, "this message is not a held reply";
    /// Sending now would collide again; `by` stands in the way.
    StillCollides = 84, "another reply still stands in the way";
    /// No such member.
    MemberUnknown = 85, "no such member";
    /// The id or number is in use.
    AlreadyExists = 86, "it exists already";
    /// The team would be left without an owner.
    LastOwner = 87, "the last owner cannot be removed or demoted";
    /// An offered entry whose stamp this hub did not make.
    StampInvalid = 88, "this stamp is not from this hub";
    /// A list is at its limit.
    ListFull = 89, "the list is full";
    /// The member has as many devices as the policy allows; revoke one first.
    DevicesFull = 90, "this member has as many devices as allowed; revoke one first";

    /// The derived change's hash is not the claimed one: one side's derivation is wrong.
    HashDiffers = 100, "the derived change differs; an update is needed";
}

impl RefusalCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// What to do about it.
    #[must_use]
    pub fn class(self) -> RefusalClass {
        class_of(self.number())
    }
}

/// What to do about a code, known or not: by its range.
#[must_use]
pub fn class_of(number: u16) -> RefusalClass {
    match number {
        0..=19 => RefusalClass::Again,
        20..=39 => RefusalClass::Rewrite,
        40..=69 => RefusalClass::Never,
        70..=99 => RefusalClass::Request,
        _ => RefusalClass::Stop,
    }
}

/// A refusal as it travels. Which of the optional fields are there follows from the code.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Refusal {
    /// The code's number; `RefusalCode::from_number` if this version knows it.
    #[n(0)]
    pub code: u16,
    /// What to show a person who reads logs, in English. Never contains content.
    #[n(1)]
    pub message: String,
    /// Do not try again before this many milliseconds.
    #[n(2)]
    pub retry_after_ms: Option<u32>,
    /// `Gap`: the seq that the hub expects.
    #[n(3)]
    pub next: Option<u32>,
    /// `Gap`: prefix of the hash before `next`.
    #[n(4)]
    pub hash: Option<HashPrefix>,
    /// `SegmentFull`, `DocumentUnknown`: the document to write into.
    #[n(5)]
    pub open: Option<DocumentId>,
    /// `ClockAhead`: the hub's time, milliseconds since 1970.
    #[n(6)]
    pub now_ms: Option<u64>,
    /// `Duplicate`: where it stands.
    #[n(7)]
    pub document: Option<DocumentId>,
    /// `Duplicate`: its stamp.
    #[n(8)]
    pub stamp: Option<Stamp>,
    /// `StillCollides`: the member whose reply or lease stands in the way.
    #[n(9)]
    pub by: Option<MemberId>,
}

impl Refusal {
    /// The code, if this version knows it.
    #[must_use]
    pub fn known(&self) -> Option<RefusalCode> {
        RefusalCode::from_number(self.code)
    }

    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> RefusalClass {
        class_of(self.code)
    }
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Self {
        Self { code: code.number(), message: code.to_string(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_read_back() {
        assert!(RefusalCode::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        for &code in RefusalCode::ALL {
            assert_eq!(RefusalCode::from_number(code.number()), Some(code));
        }
        assert_eq!(RefusalCode::from_number(65_535), None);
    }
}
