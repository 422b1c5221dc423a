/** Why the hub says no. A code never changes its meaning. PROTOCOL.md, "Refusals" and table 4. */

export type { Refusal } from "./refused.ts"

/** Codes and their numbers. */
export const REFUSAL_NUMBERS = {
  /** Again: facts are missing before this one; resend from the given place. */
  Gap: 1,
  /** Again: the hub is busy; try again. */
  Busy: 2,
  /** Again: too many requests; try again later. */
  RateLimited: 3,
  /** Again: the hub is stopping; reconnect. */
  Draining: 4,
  /** Rewrite: this part of the conversation is full; write into the open one. */
  SegmentFull: 20,
  /** Rewrite: this chain has another fact at this place. */
  Forked: 21,
  /** Rewrite: the device's clock is ahead of the hub's. */
  ClockAhead: 22,
  /** Rewrite: this part of the conversation does not exist; write into the open one. */
  DocumentUnknown: 23,
  /** Rewrite: already written. */
  Duplicate: 24,
  /** Never: malformed frame. */
  Malformed: 40,
  /** Never: too large. */
  TooLarge: 41,
  /** Never: a field breaks its grammar. */
  FieldInvalid: 42,
  /** Never: this key is already written. */
  KeyTaken: 43,
  /** Never: this message id is already used. */
  MessageIdTaken: 44,
  /** Never: the target message is not known in this conversation. */
  TargetUnknown: 45,
  /** Never: the target message may not be changed by this member. */
  TargetForbidden: 46,
  /** Never: this reply is held back; resolve it first. */
  ReplyHeld: 47,
  /** Never: the author is not this device's member. */
  AuthorForged: 48,
  /** Never: only the channel writes incoming messages. */
  DirectionForbidden: 49,
  /** Never: only imports name a source. */
  SourceForbidden: 50,
  /** Never: the attachment is not known in this conversation. */
  MediaUnknown: 51,
  /** Never: the time is before 1990. */
  TimeTooOld: 52,
  /** Never: no right to write in this conversation. */
  WriteForbidden: 53,
  /** Never: no such conversation. */
  ConversationUnknown: 54,
  /** Never: the chain does not belong to this device. */
  ActorForged: 55,
  /** Never: too many reactions to this message. */
  ReactionsFull: 56,
  /** Never: this fact does not belong into this kind of document. */
  WrongDocument: 57,
  /** Never: older than the conversation's keep time. */
  Expired: 58,
  /** Request: protocol version not supported. */
  VersionUnsupported: 70,
  /** Request: the proof does not fit this hub and device. */
  ProofInvalid: 71,
  /** Request: this device is not enrolled. */
  DeviceUnknown: 72,
  /** Request: this device was revoked. */
  DeviceRevoked: 73,
  /** Request: the code is wrong, used or expired; make a new one. */
  CodeInvalid: 74,
  /** Request: timed out. */
  TimedOut: 75,
  /** Request: too many sessions of this member. */
  SessionsFull: 76,
  /** Request: this frame has no place here. */
  FrameUnexpected: 77,
  /** Request: this role may not do that. */
  NotPermitted: 78,
  /** Request: too many leases at once. */
  LeasesFull: 81,
  /** Request: already resolved. */
  AlreadyResolved: 82,
  /** Request: this message is not a held reply. */
  NotHeld: 83,
  /** Request: another reply still stands in the way. */
  StillCollides: 84,
  /** Request: no such member. */
  MemberUnknown: 85,
  /** Request: it exists already. */
  AlreadyExists: 86,
  /** Request: the last owner cannot be removed or demoted. */
  LastOwner: 87,
  /** Request: this stamp is not from this hub. */
  StampInvalid: 88,
  /** Request: the list is full. */
  ListFull: 89,
  /** Request: this member has as many devices as allowed; revoke one first. */
  DevicesFull: 90,
  /** Stop: the derived change differs; an update is needed. */
  HashDiffers: 100,
} as const

/** A refusal's code, where this version knows it. */
export type RefusalCode = keyof typeof REFUSAL_NUMBERS

/**
 * What a device does about it. `Again`: the same bytes later. `Rewrite`: writes again what still stands. `Never`: as
 * Rewrite, but this fact moves to "not sent". `Request`: about a session or request. `Stop`: it needs an update.
 */
export type RefusalClass = "Again" | "Rewrite" | "Never" | "Request" | "Stop"

const NAMES: ReadonlyMap<number, RefusalCode> = new Map(
  (Object.entries(REFUSAL_NUMBERS) as [RefusalCode, number][]).map(([name, number]) => [number, name]),
)

/** A code by its number; null for one that this version does not know. */
export function refusalCode(number: number): RefusalCode | null {
  return NAMES.get(number) ?? null
}

/** A code's class; one that is not known has that of its range. */
export function refusalClass(number: number): RefusalClass {
  if (number < 20) return "Again"
  if (number < 40) return "Rewrite"
  if (number < 70) return "Never"
  return number < 100 ? "Request" : "Stop"
}
