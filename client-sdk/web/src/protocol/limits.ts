/** The protocol's limits: PROTOCOL.md, table 5. Units stand in the names. */

/** Version that Hello and Enrol carry; a hub refuses any other with `VersionUnsupported`. */
export const PROTOCOL_VERSION = 1

/** Largest frame in either direction, encoded. DESIGN section 6. */
export const FRAME_BYTES_MAX = 1_048_576

/** Largest fact, encoded as CBOR. DESIGN section 6. */
export const FACT_BYTES_MAX = 32_768

/** Longest message or edit body, UTF-8 bytes. DESIGN section 6. */
export const BODY_BYTES_MAX = 16_384

/** Longest reason of a retraction, UTF-8 bytes. */
export const REASON_BYTES_MAX = 1024

/** Longest value of a card field, UTF-8 bytes. */
export const FIELD_VALUE_BYTES_MAX = 4096

/** Longest card field name: `[a-z][a-z0-9_]*`. */
export const FIELD_NAME_BYTES_MAX = 32

/** Longest label, UTF-8 bytes: any script, no `/`, no control characters. */
export const LABEL_BYTES_MAX = 64

/** Longest emoji of a reaction, UTF-8 bytes (a family with skin tones is 41). */
export const EMOJI_BYTES_MAX = 64

/** Longest message kind: `[a-z][a-z0-9_]*`. */
export const KIND_BYTES_MAX = 16

/** Longest media type, ASCII (RFC 6838 allows 127 a side; real ones are far shorter). */
export const MEDIA_TYPE_BYTES_MAX = 127

/** Longest file name of a media attachment, UTF-8 bytes. */
export const MEDIA_NAME_BYTES_MAX = 255

/** Largest media attachment that a message may name, bytes. */
export const MEDIA_SIZE_BYTES_MAX = 4_294_967_296

/** Longest source reference of an imported message, UTF-8 bytes. */
export const SRC_BYTES_MAX = 512

/** Longest name of a member, device or customer, UTF-8 bytes. */
export const NAME_BYTES_MAX = 128

/** Most facts in one Push. A push is one chain, so this is also the longest prefix that one Ack confirms. */
export const PUSH_FACTS_MAX = 256

/** Most stamped entries in one Offer. */
export const OFFER_ENTRIES_MAX = 256

/** Most results in one Ack: one for each fact of a Push or entry of an Offer. */
export const ACK_RESULTS_MAX = 256

/** Most entries in one Entries frame. */
export const ENTRIES_MAX = 8192

/** Most segments that one Fetch may ask for. */
export const FETCH_SEGMENTS_MAX = 16

/** Most members assigned to one conversation. */
export const ASSIGNED_MAX = 64

/** Most shredded conversations that a Catalogue lists. */
export const SHREDDED_LISTED_MAX = 16_384

/** Most conversations on one Catalogue page. */
export const CATALOGUE_CONVERSATIONS_MAX = 256

/** Most reactions of one member to one message, taking-back included. DESIGN section 4. */
export const REACTIONS_MAX = 64

/** Members that one message may keep retractions or reactions of; bounds the message's row. */
export const MESSAGE_MEMBERS_MAX = 1024

/** The hub opens the next segment when one holds this many messages. DESIGN section 4, calibrated by bench. */
export const SEGMENT_OPEN_MESSAGES = 384

/** … or this many operations. */
export const SEGMENT_OPEN_OPS = 3072

/** … or this much text, bytes. */
export const SEGMENT_OPEN_TEXT_BYTES = 196_608

/** A late message is accepted into an older segment up to this many operations. */
export const SEGMENT_LATE_MESSAGE_OPS_MAX = 4096

/** Edits and reactions are accepted up to this many operations; retractions always. */
export const SEGMENT_LATE_EDIT_OPS_MAX = 6144

/** A late message is accepted into an older segment up to this much text, bytes; else a few long ones would make a document that no phone can load. */
export const SEGMENT_LATE_MESSAGE_TEXT_BYTES_MAX = 524_288

/** Edits and reactions are accepted up to this much text, bytes. */
export const SEGMENT_LATE_EDIT_TEXT_BYTES_MAX = 1_048_576

/** The hub opens the next card when one holds this many operations. */
export const CARD_OPEN_OPS = 1024

/** Late card facts are accepted up to this many operations. */
export const CARD_LATE_OPS_MAX = 2048

/** Shortest keep time, days: who was away for a weekend still finds what was said. */
export const KEEP_DAYS_MIN = 7

/** Longest keep time that is not for ever, days: a hundred years. */
export const KEEP_DAYS_MAX = 36_500

/** Oldest time a ULID may carry: 1990-01-01T00:00:00Z, milliseconds since 1970. */
export const ULID_TIME_MS_MIN = 631_152_000_000

/** How far a ULID's time may lie ahead of the hub's clock (`ClockAhead`). */
export const CLOCK_AHEAD_MS_MAX = 300_000

/** How far one received time may push a device's clock ahead of its own wall clock. */
export const CLOCK_PUSH_MS_MAX = 60_000

/** Two accepted replies of different members lie at least this far apart. DESIGN section 5. */
export const REPLY_WINDOW_MS = 5000

/** A lease lives this long after its holder's last input. */
export const LEASE_IDLE_MS = 5000

/** A lease lives this long in all. */
export const LEASE_TOTAL_MS_MAX = 60_000

/** After a lease reached its total life, the same member cannot take it again for this long. */
export const LEASE_REST_MS = 10_000

/** Live leases a member may hold. */
export const LEASES_PER_MEMBER_MAX = 3

/** A renewed lease is told to the others at most this often. */
export const LEASE_NOTICE_MS_MIN = 1000

/** Life of a one-time enrolment code. */
export const INVITE_MS_MAX = 600_000

/** Live enrolment codes at once. */
export const INVITES_MAX = 256

/** Live enrolment codes for one member, so that nobody can use them all up. */
export const INVITES_PER_MEMBER_MAX = 8

/** Wrong enrolment codes that the hub answers in a minute, over all connections; beyond, it looks at none (`RateLimited`). */
export const CODES_PER_MINUTE_MAX = 60

/** Members of a team, former ones too: the first catalogue page carries them all. */
export const MEMBERS_MAX = 4096

/** Most devices in one answer to DeviceList. */
export const DEVICES_LISTED_MAX = 1024

/** What is kept of when a device was last seen may lie this far behind. */
export const SEEN_WRITE_MS_MIN = 900_000

/** A connection must be welcomed within this time. */
export const HANDSHAKE_MS_MAX = 10_000

/** A session that sends nothing, not even Ping, for this long is closed. */
export const SESSION_IDLE_MS_MAX = 90_000

/** Live sessions of one member. */
export const SESSIONS_PER_MEMBER_MAX = 32

/** Signature checks in one second, over all connections; beyond, `RateLimited`. */
export const HELLOS_PER_SECOND_MAX = 500

/** Bytes that the hub lets lie unsent in one session before that session reads the log at its own speed. */
export const SESSION_QUEUE_BYTES_MAX = 2_097_152

/** Memory for frames of one session that wait for a row to be loaded; beyond, `Busy`. One frame always may. */
export const PARKED_BYTES_MAX = 2_097_152

/** Bytes of log that the hub asks for in one read for a session that lags. */
export const LOG_READ_BYTES_MAX = 262_144
