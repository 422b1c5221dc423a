//! Arbitrary frames and entries out of bytes, and what must hold for any bytes that come as a frame.

use lockstep_protocol::codec;
use lockstep_protocol::cursor::{Cursor, CursorTag};
use lockstep_protocol::directory::{CollisionPolicy, Conversation, Device, DirectoryEvent, Member, Policy, Role};
use lockstep_protocol::entry::{
    Category, Collision, CollisionCause, Delivery, Entry, EntryBody, Imported, Mac, Opening, Origin, PlacedFact,
    Resolution, Stamp, Verdict,
};
use lockstep_protocol::fact::{Direction, Fact, Media, Message};
use lockstep_protocol::frame::{
    Catalogue, CatalogueConversation, CatalogueDocument, Command, DeviceFrame, Enrol, Entries, EntryBytes, Fetch,
    Grant, Hello, HubFrame, ListedDevice, Marker, OfferedEntry, Outcome, Push, PushedFact, Resolve, Snapshot,
    TailEntry, Team, Welcome,
};
use lockstep_protocol::keep::Keep;
use lockstep_protocol::limits::{self, KEEP_DAYS_MAX, KEEP_DAYS_MIN};
use lockstep_protocol::refusal::Refusal;
use lockstep_protocol::snapshot::{DocumentDigest, Table, TableEvent, TableFact};

use super::source::{Any, Source};

/// Bytes as a frame of either direction and as a log entry: decoding never panics, and what decodes is the same after
/// another round.
pub(crate) fn frame_decode(bytes: &[u8]) {
    if let Ok(Some(frame)) = codec::decode_device(bytes) {
        assert_eq!(codec::decode_device(&codec::encode(&frame)), Ok(Some(frame)));
    }
    if let Ok(Some(frame)) = codec::decode_hub(bytes) {
        assert_eq!(codec::decode_hub(&codec::encode(&frame)), Ok(Some(frame)));
    }
    if let Some(entry) = Entry::from_bytes(bytes) {
        assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
    }
}

macro_rules! any_struct {
    ($($name:ident { $($field:ident),* })*) => {
        $(impl Any for $name {
            fn any(source: &mut Source<'_>) -> Self {
                $(let $field = source.any();)*
                Self { $($field),* }
            }
        })*
    };
}

macro_rules! any_tuple {
    ($($name:ident)*) => {
        $(impl Any for $name {
            fn any(source: &mut Source<'_>) -> Self {
                Self(source.array())
            }
        })*
    };
}

macro_rules! any_enum {
    ($($name:ident { $($make:expr),* $(,)? })*) => {
        $(impl Any for $name {
            fn any(source: &mut Source<'_>) -> Self {
                let makers: &[fn(&mut Source<'_>) -> Self] = &[$($make),*];
                let maker = *source.pick(makers);
                maker(source)
            }
        })*
    };
}

any_tuple!(CursorTag Mac DocumentDigest);

any_struct! {
    Cursor { epoch, lsn, tag }
    Member { id, name, role }
    Device { key, member, name }
    Policy { collision, agents_see_unassigned, services_lock, devices_max, keep }
    Conversation { id, customer, service, assigned, keep }
    Collision { cause, winner, by }
    Stamp { lsn, at_ms, member, verdict, mac }
    Opening { device, nonce }
    Origin { epoch, lsn }
    PlacedFact { document, actor, seq, hash, fact, opening, origin }
    Entry { stamp, body }
    Imported { document, import, facts, messages, first, last, digest }
    Media { hash, media_type, name, size }
    Message { id, by, dir, kind, body, seen, re, media, src }
    Hello { version, device, proof, cursor, witness, capabilities }
    Enrol { version, code, key, name, proof }
    PushedFact { hash, fact }
    Resolve { tag, conversation, message, resolution, seen }
    OfferedEntry { epoch, stamp, body }
    Welcome { session, epoch, now_ms, member, role, policy, catalogue, head }
    Catalogue { tag, page, conversations, team, end, shredded }
    Team { members, policy, role }
    CatalogueConversation { conversation, open_segment, open_card, newest, markers, documents }
    Marker { member, message, read }
    CatalogueDocument { document, digest }
    Entries { from, upto, tag, entries, granted, revoked }
    Grant { conversation, lsn }
    ListedDevice { device, member, name, seen_ms }
    Snapshot { tag, document, upto, part, last, bytes, table, tail }
    TailEntry { epoch, entry }
    TableFact { actor, seq, epoch, stamp }
    TableEvent { epoch, stamp, body }
    Table { epochs, facts, events }
    Refusal { code, message, retry_after_ms, next, hash, open, now_ms, document, stamp, by }
}

any_enum! {
    Direction { |_| Self::In, |_| Self::Out, |_| Self::Note }
    Role { |_| Self::Owner, |_| Self::Manager, |_| Self::Agent, |_| Self::Auditor, |_| Self::Service, |_| Self::Former }
    Keep {
        |_| Self::FOREVER,
        |s| Self::days(KEEP_DAYS_MIN + s.any::<u32>() % (KEEP_DAYS_MAX - KEEP_DAYS_MIN + 1)).unwrap_or_default(),
    }
    CollisionPolicy { |_| Self::Hold, |_| Self::Flag }
    CollisionCause { |_| Self::Lease, |_| Self::Window, |_| Self::Stale }
    Resolution { |_| Self::Send, |_| Self::Discard }
    Delivery { |_| Self::Sending, |_| Self::Sent, |_| Self::Failed, |_| Self::Unknown }
    Category {
        |_| Self::Contract, |_| Self::Payment, |_| Self::Bank, |_| Self::Identity, |_| Self::Password
    }
    Verdict { |_| Self::Accepted, |s| Self::Held(s.any()), |s| Self::Flagged(s.any()) }
    Fact {
        |s| Self::Message(s.any()),
        |s| Self::Edit { message: s.any(), id: s.any(), body: s.any() },
        |s| Self::Retraction { message: s.any(), id: s.any(), reason: s.any() },
        |s| Self::Reaction { message: s.any(), by: s.any(), id: s.any(), emoji: s.any() },
        |s| Self::Field { name: s.any(), id: s.any(), value: s.any() },
        |s| Self::Label { label: s.any(), id: s.any(), on: s.any() },
    }
    DirectoryEvent {
        |s| Self::MemberAdded(s.any()),
        |s| Self::RoleChanged { member: s.any(), role: s.any() },
        |s| Self::MemberRemoved { member: s.any() },
        |s| Self::DeviceAdded(s.any()),
        |s| Self::DeviceRevoked { device: s.any() },
        |s| Self::PolicyChanged(s.any()),
        |s| Self::ConversationOpened(s.any()),
        |s| Self::Assigned { conversation: s.any(), member: s.any() },
        |s| Self::Unassigned { conversation: s.any(), member: s.any() },
        |s| Self::ImportUndone { document: s.any(), import: s.any() },
        |s| Self::KeepChanged { conversation: s.any(), keep: s.any() },
        |s| Self::Expired { document: s.any(), newest_ms: s.any() },
        |s| Self::ConversationShredded { conversation: s.any() },
    }
    EntryBody {
        |s| Self::Fact(s.any()),
        |s| Self::Opened { document: s.any() },
        |s| Self::Resolved { document: s.any(), message: s.any(), resolution: s.any() },
        |s| Self::Delivered { document: s.any(), message: s.any(), delivery: s.any() },
        |s| Self::Marked { conversation: s.any(), message: s.any(), read: s.any() },
        |s| Self::Directory(s.any()),
        |s| Self::Imported(s.any()),
        |s| Self::Sensitive { document: s.any(), message: s.any(), category: s.any() },
    }
    Command {
        |s| Self::MemberAdd(s.any()),
        |s| Self::MemberRole { member: s.any(), role: s.any() },
        |s| Self::MemberRemove { member: s.any() },
        |s| Self::Invite { member: s.any() },
        |s| Self::DeviceRevoke { device: s.any() },
        |s| Self::PolicySet(s.any()),
        |s| Self::ConversationOpen(s.any()),
        |s| Self::Assign { conversation: s.any(), member: s.any() },
        |s| Self::Unassign { conversation: s.any(), member: s.any() },
        |s| Self::Deliver { conversation: s.any(), message: s.any(), delivery: s.any() },
        |s| Self::DeviceList { after: s.any() },
        |s| Self::ConversationKeep { conversation: s.any(), keep: s.any() },
    }
    Outcome {
        |s| Self::Placed { hash: s.any(), stamp: s.any() },
        |s| Self::Readmitted(s.any()),
        |_| Self::Known,
        |s| Self::Done(s.any()),
        |s| Self::Invited { code: s.any(), for_ms: s.any() },
        |s| Self::Refused(s.any()),
        |s| Self::Devices(s.any()),
    }
    DeviceFrame {
        |s| Self::Hello(s.any()),
        |s| Self::Enrol(s.any()),
        |s| Self::Push(s.any()),
        |s| Self::Mark { tag: s.any(), conversation: s.any(), message: s.any() },
        |s| Self::Typing { conversation: s.any() },
        |s| Self::Resolve(s.any()),
        |s| Self::Offer { tag: s.any(), entries: s.any() },
        |s| Self::Fetch(s.any()),
        |s| Self::Command { tag: s.any(), command: s.any() },
        |_| Self::Ping {},
    }
    HubFrame {
        |s| Self::Challenge { nonce: s.any(), hub: s.any() },
        |s| Self::Welcome(s.any()),
        |s| Self::Catalogue(s.any()),
        |s| Self::Entries(s.any()),
        |s| Self::Snapshot(s.any()),
        |s| Self::Ack { tag: s.any(), results: s.any(), witness: s.any() },
        |s| Self::Refusal { tag: s.any(), refusal: s.any() },
        |s| Self::Lease { conversation: s.any(), holder: s.any(), for_ms: s.any() },
        |_| Self::Draining {},
        |_| Self::Pong {},
        |s| Self::Fetched { tag: s.any(), conversation: s.any(), before: s.any() },
    }
}

impl Any for Push {
    fn any(source: &mut Source<'_>) -> Self {
        let mut facts: Vec<PushedFact> = source.any();
        if facts.is_empty() {
            facts.push(source.any());
        }
        let (tag, document, actor, nonce, seq) = (source.any(), source.any(), source.any(), source.any(), source.any());
        Self { tag, document, actor, nonce, seq, facts }
    }
}

impl Any for Fetch {
    fn any(source: &mut Source<'_>) -> Self {
        let limit = source.number(u64::from(limits::FETCH_SEGMENTS_MAX)).max(1) as u32;
        Self { tag: source.any(), conversation: source.any(), before: source.any(), limit, imported: source.any() }
    }
}

impl Any for EntryBytes {
    fn any(source: &mut Source<'_>) -> Self {
        if source.any() { Self(source.any::<Entry>().to_bytes()) } else { Self(source.any::<Vec<u8>>().into()) }
    }
}

impl Any for u8 {
    fn any(source: &mut Source<'_>) -> Self {
        source.byte()
    }
}
