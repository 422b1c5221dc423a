/** Frames: what travels. PROTOCOL.md, tables 1 to 3. */

import { CborReader, DecodeError } from "./cbor.ts"
import {
  type Codec,
  type TypeOf,
  bool,
  bytes,
  encode,
  fixed,
  list,
  optional,
  struct,
  text,
  u32,
  u53,
  u64,
  variant,
} from "./codec.ts"
import { conversationCodec, keepCodec, memberCodec, policyCodec, roleCodec } from "./directory.ts"
import { deliveryCodec, entryBodyCodec, resolutionCodec, tableCodec } from "./entry.ts"
import { factCodec } from "./fact.ts"
import {
  type ActorId,
  type ConversationId,
  type CursorTag,
  type DeviceId,
  type DocumentDigest,
  type Epoch,
  type HashPrefix,
  type HubId,
  type InviteCode,
  type MessageId,
  type Nonce,
  type PublicKey,
  type Signature,
  documentIdCodec,
} from "./id.ts"
import * as limits from "./limits.ts"
import { refusalCodec } from "./refused.ts"
import { cursorCodec, stampCodec } from "./stamp.ts"

const conversation = fixed<ConversationId>(16)
const messageId = fixed<MessageId>(16)
const tag = u53

/** Read positions are max-registers by (LSN, message). */
export const markerCodec = struct({
  /** Who. */
  member: u32,
  /** The newest message read. */
  message: messageId,
  /** Its LSN. */
  read: u53,
})
/** A member's read position. */
export type Marker = TypeOf<typeof markerCodec>

/** A fact and the hash that its device derived. */
export const pushedFactCodec = struct({ hash: fixed<HashPrefix>(8), fact: factCodec })
/** See {@link pushedFactCodec}. */
export type PushedFact = TypeOf<typeof pushedFactCodec>

/** An entry of an earlier epoch, as its hub stamped it. */
export const offeredEntryCodec = struct({ epoch: fixed<Epoch>(16), stamp: stampCodec, body: entryBodyCodec })
/** See {@link offeredEntryCodec}. */
export type OfferedEntry = TypeOf<typeof offeredEntryCodec>

/** What a person with the right to do it wants changed. */
export const commandCodec = variant({
  MemberAdd: { member: memberCodec },
  MemberRole: { member: u32, role: roleCodec },
  MemberRemove: { member: u32 },
  Invite: { member: u32 },
  DeviceRevoke: { device: fixed<DeviceId>(16) },
  PolicySet: { policy: policyCodec },
  ConversationOpen: { conversation: conversationCodec },
  Assign: { conversation, member: u32 },
  Unassign: { conversation, member: u32 },
  Deliver: { conversation, message: messageId, delivery: deliveryCodec },
  DeviceList: { after: optional(fixed<DeviceId>(16)) },
  ConversationKeep: { conversation, keep: optional(keepCodec) },
})
/** See {@link commandCodec}. */
export type Command = TypeOf<typeof commandCodec>

const helloCodec = struct({
  version: u32,
  device: fixed<DeviceId>(16),
  proof: fixed<Signature>(64),
  cursor: optional(cursorCodec),
  witness: optional(cursorCodec),
  capabilities: u64,
})

const enrolCodec = struct({
  version: u32,
  code: fixed<InviteCode>(16),
  key: fixed<PublicKey>(32),
  name: text,
  proof: fixed<Signature>(64),
})

const pushCodec = struct({
  tag,
  document: documentIdCodec,
  actor: fixed<ActorId>(16),
  nonce: optional(fixed<Nonce>(16)),
  seq: u32,
  facts: list(pushedFactCodec, limits.PUSH_FACTS_MAX),
})

const resolveCodec = struct({
  tag,
  conversation,
  message: messageId,
  resolution: resolutionCodec,
  seen: optional(messageId),
})

const fetchCodec = struct({ tag, conversation, before: optional(u32), limit: u32, imported: bool })

/** A frame from a device. */
export const deviceFrameCodec = variant({
  Hello: { hello: helloCodec },
  Enrol: { enrol: enrolCodec },
  Push: { push: pushCodec },
  Mark: { tag, conversation, message: messageId },
  Typing: { conversation },
  Resolve: { resolve: resolveCodec },
  Offer: { tag, entries: list(offeredEntryCodec, limits.OFFER_ENTRIES_MAX) },
  Fetch: { fetch: fetchCodec },
  Command: { tag, command: commandCodec },
  Ping: {},
})
/** See {@link deviceFrameCodec}. */
export type DeviceFrame = TypeOf<typeof deviceFrameCodec>

const teamCodec = struct({ members: list(memberCodec), policy: policyCodec, role: roleCodec })
/** The part of the directory that everyone sees. */
export type Team = TypeOf<typeof teamCodec>

const listedConversationCodec = struct({
  /** What the directory says. */
  conversation: conversationCodec,
  /** Number of the open segment. */
  openSegment: u32,
  /** Number of the open card. */
  openCard: u32,
  /** LSN of its newest entry. */
  newest: u53,
  /** Read positions. */
  markers: list(markerCodec),
  /** Documents with content. */
  documents: list(struct({ document: documentIdCodec, digest: fixed<DocumentDigest>(16) })),
})
/** One conversation of a catalogue. */
export type ListedConversation = TypeOf<typeof listedConversationCodec>

const welcomeCodec = struct({
  session: u64,
  epoch: fixed<Epoch>(16),
  nowMs: u53,
  member: u32,
  role: roleCodec,
  policy: policyCodec,
  catalogue: bool,
  head: u53,
})
/** The device is let in. */
export type Welcome = TypeOf<typeof welcomeCodec>

const catalogueCodec = struct({
  tag: optional(tag),
  page: u32,
  conversations: list(listedConversationCodec, limits.CATALOGUE_CONVERSATIONS_MAX),
  team: optional(teamCodec),
  end: optional(cursorCodec),
  /** Last page: the conversations that were ever shredded, ascending. */
  shredded: optional(list(conversation, limits.SHREDDED_LISTED_MAX)),
})

const entriesCodec = struct({
  from: u53,
  upto: u53,
  tag: fixed<CursorTag>(16),
  entries: list(bytes, limits.ENTRIES_MAX),
  granted: list(struct({ conversation, lsn: u53 })),
  revoked: list(conversation),
})
/** A range of the log. */
export type Entries = TypeOf<typeof entriesCodec>

const snapshotCodec = struct({
  tag,
  document: documentIdCodec,
  upto: u53,
  part: u32,
  last: bool,
  bytes,
  table: tableCodec,
  tail: list(struct({ epoch: u32, entry: bytes })),
})
/** A part of a document. */
export type Snapshot = TypeOf<typeof snapshotCodec>

const listedDeviceCodec = struct({
  /** Which. */
  device: fixed<DeviceId>(16),
  /** Its member. */
  member: u32,
  /** Shown name. */
  name: text,
  /** When the hub last heard of it, milliseconds since 1970. */
  seenMs: optional(u53),
})
/** A device as the hub lists it. */
export type ListedDevice = TypeOf<typeof listedDeviceCodec>

/** One result of an Ack. */
export const outcomeCodec = variant({
  Placed: { hash: fixed<HashPrefix>(8), stamp: stampCodec },
  Readmitted: { lsn: u53 },
  Known: {},
  Done: { lsn: u53 },
  Invited: { code: fixed<InviteCode>(16), forMs: u32 },
  Refused: { refusal: refusalCodec },
  Devices: { devices: list(listedDeviceCodec) },
})
/** See {@link outcomeCodec}. */
export type Outcome = TypeOf<typeof outcomeCodec>

/** A frame from the hub. */
export const hubFrameCodec = variant({
  Challenge: { nonce: fixed<Nonce>(16), hub: fixed<HubId>(16) },
  Welcome: { welcome: welcomeCodec },
  Catalogue: { catalogue: catalogueCodec },
  Entries: { entries: entriesCodec },
  Snapshot: { snapshot: snapshotCodec },
  Ack: { tag, results: list(outcomeCodec, limits.ACK_RESULTS_MAX), witness: cursorCodec },
  Refusal: { tag: optional(tag), refusal: refusalCodec },
  Lease: { conversation, holder: optional(u32), forMs: u32 },
  Draining: {},
  Pong: {},
  Fetched: { tag, conversation, before: optional(u32) },
})
/** See {@link hubFrameCodec}. */
export type HubFrame = TypeOf<typeof hubFrameCodec>

const DEVICE_FRAMES = 10
const HUB_FRAMES = 11

/** A frame's bytes. */
export function encodeDeviceFrame(frame: DeviceFrame): Uint8Array {
  return encode(deviceFrameCodec, frame)
}

/** A frame from the hub; null for a number that this version does not know. Throws {@link DecodeError}. */
export function decodeHubFrame(input: Uint8Array): HubFrame | null {
  return decodeFrame(hubFrameCodec, HUB_FRAMES, input)
}

/** A frame from a device; null for a number that this version does not know. Throws {@link DecodeError}. */
export function decodeDeviceFrame(input: Uint8Array): DeviceFrame | null {
  const frame = decodeFrame(deviceFrameCodec, DEVICE_FRAMES, input)
  if (frame?.type === "Push" && frame.push.facts.length === 0) throw new DecodeError("Malformed", input.length)
  if (frame?.type === "Fetch") {
    if (frame.fetch.limit === 0) throw new DecodeError("Malformed", input.length)
    if (frame.fetch.limit > limits.FETCH_SEGMENTS_MAX) throw new DecodeError("TooLarge", input.length)
  }
  return frame
}

function decodeFrame<T>(codec: Codec<T>, known: number, input: Uint8Array): T | null {
  if (input.length > limits.FRAME_BYTES_MAX) throw new DecodeError("TooLarge", input.length)
  const probe = new CborReader(input)
  if (probe.array() < 1) throw new DecodeError("Malformed", 0)
  const number = probe.uint(0xffff_ffff)
  const reader = new CborReader(input)
  let frame: T | null = null
  if (number < known) frame = codec.read(reader)
  else reader.skip()
  reader.end()
  return frame
}
