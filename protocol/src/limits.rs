//! Every limit of the protocol, named, with its unit, asserted against the others.
//!
//! A peer that goes beyond one is refused with [`RefusalCode::TooLarge`](crate::refusal::RefusalCode::TooLarge) or the
//! code that the limit's own line names; nothing is silently cut.

/// Version that Hello and Enrol carry; a hub refuses any other with `VersionUnsupported`.
pub const PROTOCOL_VERSION: u32 = 1;
/// Largest frame in either direction, encoded. DESIGN section 6.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Largest fact, encoded as CBOR. DESIGN section 6.
pub const FACT_BYTES_MAX: usize = 32 * 1024;
/// Longest message or edit body, UTF-8 bytes. DESIGN section 6.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest reason of a retraction, UTF-8 bytes.
pub const REASON_BYTES_MAX: usize = 1024;
/// Longest value of a card field, UTF-8 bytes.
pub const FIELD_VALUE_BYTES_MAX: usize = 4 * 1024;
/// Longest card field name: `[a-z][a-z0-9_]*`.
pub const FIELD_NAME_BYTES_MAX: usize = 32;
/// Longest label, UTF-8 bytes: any script, no `/`, no control characters.
pub const LABEL_BYTES_MAX: usize = 64;
/// Longest emoji of a reaction, UTF-8 bytes (a family with skin tones is 41).
pub const EMOJI_BYTES_MAX: usize = 64;
/// Longest message kind: `[a-z][a-z0-9_]*`.
pub const KIND_BYTES_MAX: usize = 16;
/// Longest media type, ASCII (RFC 6838 allows 127 a side; real ones are far shorter).
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// Longest file name of a media attachment, UTF-8 bytes.
pub const MEDIA_NAME_BYTES_MAX: usize = 255;
/// Largest media attachment that a message may name, bytes.
pub const MEDIA_SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Longest source reference of an imported message, UTF-8 bytes.
pub const SRC_BYTES_MAX: usize = 512;
/// Longest name of a member, device or customer, UTF-8 bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// Most facts in one Push. A push is one chain, so this is also the longest prefix that one Ack confirms.
pub const PUSH_FACTS_MAX: usize = 256;
/// Most stamped entries in one Offer.
pub const OFFER_ENTRIES_MAX: usize = 256;
/// Most results in one Ack: one for each fact of a Push or entry of an Offer.
pub const ACK_RESULTS_MAX: usize = PUSH_FACTS_MAX;
/// Most entries in one Entries frame.
pub const ENTRIES_MAX: usize = 8 * 1024;
/// Most segments that one Fetch may ask for.
pub const FETCH_SEGMENTS_MAX: u32 = 16;
/// Most members assigned to one conversation.
pub const ASSIGNED_MAX: usize = 64;
/// Most shredded conversations that a Catalogue lists.
pub const SHREDDED_LISTED_MAX: usize = 16 * 1024;
/// Most conversations on one Catalogue page.
pub const CATALOGUE_CONVERSATIONS_MAX: usize = 256;

/// Most reactions of one member to one message, taking-back included. DESIGN section 4.
pub const REACTIONS_MAX: u32 = 64;
/// Members that one message may keep retractions or reactions of; bounds the message's row.
pub const MESSAGE_MEMBERS_MAX: usize = 1024;

/// The hub opens the next segment when one holds this many messages. DESIGN section 4, calibrated by bench.
pub const SEGMENT_OPEN_MESSAGES: u32 = 384;
/// … or this many operations.
pub const SEGMENT_OPEN_OPS: u32 = 3_072;
/// … or this much text, bytes.
pub const SEGMENT_OPEN_TEXT_BYTES: u32 = 192 * 1024;
/// A late message is accepted into an older segment up to this many operations.
pub const SEGMENT_LATE_MESSAGE_OPS_MAX: u32 = 4_096;
/// Edits and reactions are accepted up to this many operations; retractions always.
pub const SEGMENT_LATE_EDIT_OPS_MAX: u32 = 6_144;
/// A late message is accepted into an older segment up to this much text, bytes; else a few long ones would make a
/// document that no phone can load.
pub const SEGMENT_LATE_MESSAGE_TEXT_BYTES_MAX: u32 = 512 * 1024;
/// Edits and reactions are accepted up to this much text, bytes.
pub const SEGMENT_LATE_EDIT_TEXT_BYTES_MAX: u32 = 1024 * 1024;
/// The hub opens the next card when one holds this many operations.
pub const CARD_OPEN_OPS: u32 = 1_024;
/// Late card facts are accepted up to this many operations.
pub const CARD_LATE_OPS_MAX: u32 = 2_048;

/// Shortest keep time, days: who was away for a weekend still finds what was said.
pub const KEEP_DAYS_MIN: u32 = 7;
/// Longest keep time that is not for ever, days: a hundred years.
pub const KEEP_DAYS_MAX: u32 = 36_500;

/// Oldest time a ULID may carry: 1990-01-01T00:00:00Z, milliseconds since 1970.
pub const ULID_TIME_MS_MIN: u64 = 631_152_000_000;
/// How far a ULID's time may lie ahead of the hub's clock (`ClockAhead`).
pub const CLOCK_AHEAD_MS_MAX: u64 = 5 * 60 * 1000;
/// How far one received time may push a device's clock ahead of its own wall clock.
pub const CLOCK_PUSH_MS_MAX: u64 = 60 * 1000;

/// Two accepted replies of different members lie at least this far apart. DESIGN section 5.
pub const REPLY_WINDOW_MS: u64 = 5_000;
/// A lease lives this long after its holder's last input.
pub const LEASE_IDLE_MS: u64 = 5_000;
/// A lease lives this long in all.
pub const LEASE_TOTAL_MS_MAX: u64 = 60_000;
/// After a lease reached its total life, the same member cannot take it again for this long.
pub const LEASE_REST_MS: u64 = 10_000;
/// Live leases a member may hold.
pub const LEASES_PER_MEMBER_MAX: usize = 3;
/// A renewed lease is told to the others at most this often.
pub const LEASE_NOTICE_MS_MIN: u64 = 1_000;

/// Life of a one-time enrolment code.
pub const INVITE_MS_MAX: u64 = 10 * 60 * 1000;
/// Live enrolment codes at once.
pub const INVITES_MAX: usize = 256;
/// Live enrolment codes for one member, so that nobody can use them all up.
pub const INVITES_PER_MEMBER_MAX: usize = 8;
/// Wrong enrolment codes that the hub answers in a minute, over all connections; beyond, it looks at none (`RateLimited`).
pub const CODES_PER_MINUTE_MAX: u32 = 60;
/// Members of a team, former ones too: the first catalogue page carries them all.
pub const MEMBERS_MAX: usize = 4_096;
/// Most devices in one answer to DeviceList.
pub const DEVICES_LISTED_MAX: usize = 1_024;
/// What is kept of when a device was last seen may lie this far behind.
pub const SEEN_WRITE_MS_MIN: u64 = 15 * 60 * 1000;
/// A connection must be welcomed within this time.
pub const HANDSHAKE_MS_MAX: u64 = 10_000;
/// A session that sends nothing, not even Ping, for this long is closed.
pub const SESSION_IDLE_MS_MAX: u64 = 90_000;
/// Live sessions of one member.
pub const SESSIONS_PER_MEMBER_MAX: usize = 32;
/// Signature checks in one second, over all connections; beyond, `RateLimited`.
pub const HELLOS_PER_SECOND_MAX: u32 = 500;
/// Bytes that the hub lets lie unsent in one session before that session reads the log at its own speed.
pub const SESSION_QUEUE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// Memory for frames of one session that wait for a row to be loaded; beyond, `Busy`. One frame always may.
pub const PARKED_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// Bytes of log that the hub asks for in one read for a session that lags.
pub const LOG_READ_BYTES_MAX: usize = 256 * 1024;

const _: () = assert!(OFFER_ENTRIES_MAX <= ACK_RESULTS_MAX);
const _: () = assert!(BODY_BYTES_MAX < FACT_BYTES_MAX);
const _: () = assert!(
    BODY_BYTES_MAX + MEDIA_TYPE_BYTES_MAX + MEDIA_NAME_BYTES_MAX + SRC_BYTES_MAX + 1024 < FACT_BYTES_MAX,
    "a fact whose fields are all at their limit is within the fact limit"
);
const _: () = assert!(FIELD_VALUE_BYTES_MAX < FACT_BYTES_MAX && REASON_BYTES_MAX < FACT_BYTES_MAX);
const _: () = assert!(MEMBERS_MAX * (NAME_BYTES_MAX + 16) < FRAME_BYTES_MAX - 64 * 1024, "a team fits a frame");
const _: () = assert!(DEVICES_LISTED_MAX * (NAME_BYTES_MAX + 48) < FRAME_BYTES_MAX / 2, "an answer fits a frame");
const _: () = assert!(SHREDDED_LISTED_MAX * 17 < FRAME_BYTES_MAX / 2 - 64 * 1024, "their list fits the last page");
const _: () = assert!(2 * FACT_BYTES_MAX < FRAME_BYTES_MAX, "one fact always fits a frame");
const _: () = assert!(LOG_READ_BYTES_MAX + FACT_BYTES_MAX < FRAME_BYTES_MAX, "one log read fits a frame");
const _: () = assert!(FRAME_BYTES_MAX <= SESSION_QUEUE_BYTES_MAX, "any one frame fits an empty session queue");
const _: () = assert!(SEGMENT_OPEN_OPS < SEGMENT_LATE_MESSAGE_OPS_MAX);
const _: () = assert!(SEGMENT_LATE_MESSAGE_OPS_MAX < SEGMENT_LATE_EDIT_OPS_MAX);
const _: () = assert!(
    SEGMENT_OPEN_TEXT_BYTES + BODY_BYTES_MAX as u32 <= SEGMENT_LATE_MESSAGE_TEXT_BYTES_MAX
        && SEGMENT_LATE_MESSAGE_TEXT_BYTES_MAX < SEGMENT_LATE_EDIT_TEXT_BYTES_MAX
);
const _: () =
    assert!(LOG_READ_BYTES_MAX / 40 < ENTRIES_MAX, "an entry is longer than 40 bytes: a log read fits a frame");
const _: () = assert!(CARD_OPEN_OPS < CARD_LATE_OPS_MAX);
const _: () = assert!(LEASE_IDLE_MS < LEASE_TOTAL_MS_MAX && LEASE_NOTICE_MS_MIN < LEASE_IDLE_MS);
const _: () = assert!(CLOCK_PUSH_MS_MAX < CLOCK_AHEAD_MS_MAX, "a pushed clock stays within what the hub accepts");
