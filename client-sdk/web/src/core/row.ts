/** Rows that a device keeps. Plain data: they are stored and passed between threads as they are. */

import type { ChainHead } from "../protocol/change.ts"
import type { Conversation } from "../protocol/directory.ts"
import type { EntryBody, PlacedFact, Resolution } from "../protocol/entry.ts"
import { documentOf } from "../protocol/entry.ts"
import type { Direction, Fact } from "../protocol/fact.ts"
import type { Marker, OfferedEntry, Team } from "../protocol/frame.ts"
import type {
  ActorId,
  ConversationId,
  DocumentDigest,
  DocumentId,
  Epoch,
  HashPrefix,
  HubId,
  Lsn,
  MemberId,
  MessageId,
  Nonce,
} from "../protocol/id.ts"
import type { Cursor, Stamp } from "../protocol/stamp.ts"

/** One row to write or delete. */
export type Write =
  | { type: "Meta"; row: Meta }
  | { type: "Team"; row: Team }
  | { type: "Conversation"; row: ConversationRow }
  | { type: "Document"; row: DocumentRow }
  /** Deletes a document with its facts and events. */
  | { type: "DocumentGone"; document: DocumentId }
  | { type: "Fact"; row: FactRow }
  | { type: "Event"; row: EventRow }
  | { type: "Outbox"; row: OutboxRow }
  | { type: "OutboxGone"; order: number }
  | { type: "Resolve"; row: ResolveRow }
  | { type: "ResolveGone"; order: number }
  | { type: "Offer"; row: OfferRow }
  | { type: "OfferGone"; key: OfferKey }
  | { type: "Backfill"; row: BackfillRow }
  | { type: "BackfillGone"; conversation: ConversationId }
  | { type: "NotSent"; row: NotSentRow }
  | { type: "NotSentGone"; order: number }
  /** Deletes a conversation with its documents, their facts and events, and its backfill. */
  | { type: "Forget"; conversation: ConversationId }

/** The device's own state. */
export interface Meta {
  /** The hub that it belongs to. */
  readonly hub: HubId | null
  /** Whose device it is; null until it is enrolled. */
  readonly member: MemberId | null
  /** The epochs met, oldest first; the last is the newest Welcome's. */
  readonly epochs: readonly Epoch[]
  /** Up to where it holds everything that it may see. */
  readonly cursor: Cursor | null
  /** The farthest place of the log that it has proof of. */
  readonly witness: Cursor | null
  /** The hybrid clock's newest time, milliseconds since 1970. */
  readonly clockMs: number
  /** The next order number for outbox rows, resolutions and items not sent. */
  readonly nextOrder: number
  /**
   * Of a device that its hub did not know any more: whose unsent text lies here, and for which hub. It is carried over
   * if it is enrolled there again for the same member; null else, and in rows of older versions.
   */
  readonly carried?: Carried | null
}

/** See {@link Meta.carried}. */
export interface Carried {
  readonly hub: HubId | null
  readonly member: MemberId
}

/** A store that holds nothing. */
export const EMPTY_META: Meta = {
  hub: null,
  member: null,
  epochs: [],
  cursor: null,
  witness: null,
  clockMs: 0,
  nextOrder: 0,
}

/** What a conversation list shows of a conversation's messages. */
export interface Summary {
  /** The newest message; null if there is none here. */
  readonly last: {
    readonly id: MessageId
    readonly by: MemberId
    readonly dir: Direction
    readonly kind: string
    /** The beginning of its text; empty of a sensitive or retracted one. */
    readonly text: string
    readonly retracted: boolean
    readonly sensitive: boolean
    /** Milliseconds since 1970. */
    readonly timeMs: number
  } | null
  /** Customer messages behind this member's read position, among those held in the newest segments. */
  readonly unread: number
  /** Whether there may be more of them than that. */
  readonly unreadMore: boolean
  /** This member's held replies that wait for a decision. */
  readonly held: number
  /** Whether the newest message but notes and held replies is the customer's. */
  readonly waiting: boolean
}

/** A conversation. */
export interface ConversationRow {
  /** What the directory says of it. */
  readonly conversation: Conversation
  /** The newest segment known: new messages go there. */
  readonly openSegment: number
  /** The newest card known. */
  readonly openCard: number
  /** Its newest entry, for sorting by recency. */
  readonly newest: Lsn
  /** What the directory says of it is as of here, or newer. */
  readonly described: Lsn
  /** Read positions, in ascending order of member. */
  readonly markers: readonly Marker[]
  /** This member's read position that the hub has not confirmed. */
  readonly unsentMark: MessageId | null
  /** The hub of the present epoch does not list it: hidden, and deleted once its stamped entries are offers. */
  readonly lost: boolean
  /** What a list shows; null until its newest segment is here. */
  readonly summary: Summary | null
}

/** A document's small state. */
export interface DocumentRow {
  readonly document: DocumentId
  /** Digest of its stamped facts and events. */
  readonly digest: DocumentDigest
  /** This device's own chain; null until it writes here, or after it abandoned one. */
  readonly own: OwnChain | null
  /** The newest accepted reply in it. */
  readonly newestReply: AcceptedReply | null
  /** Of an imported segment: its digest at the hub. */
  readonly listed: DocumentDigest | null
}

/** This device's current chain in a document. */
export interface OwnChain {
  readonly nonce: Nonce
  readonly actor: ActorId
  /** Its newest change, facts in the outbox included. */
  readonly head: ChainHead
}

/** A reply that went to the customer, or will. */
export interface AcceptedReply {
  /** Place in {@link Meta.epochs}, from 1, of the newest epoch in whose log the acceptance stands at `lsn`. */
  readonly generation: number
  readonly lsn: Lsn
  readonly message: MessageId
}

/** A stamped fact. */
export interface FactRow {
  /** The epoch of its stamp. */
  readonly epoch: Epoch
  readonly stamp: Stamp
  readonly placed: PlacedFact
}

/** A resolution, delivery or mark. */
export interface EventRow {
  readonly epoch: Epoch
  readonly stamp: Stamp
  readonly body: EntryBody
}

/** A fact of this device that the hub has not confirmed. */
export interface OutboxRow {
  /** Its place among everything that this device wrote. */
  readonly order: number
  readonly document: DocumentId
  readonly actor: ActorId
  readonly seq: number
  readonly hash: HashPrefix
  readonly fact: Fact
}

/** A resolution that the hub has not confirmed. */
export interface ResolveRow {
  readonly order: number
  readonly conversation: ConversationId
  readonly message: MessageId
  readonly resolution: Resolution
  readonly seen: MessageId | null
}

/** Order in which entries are offered: `generation/lsn/epoch`, each of a fixed width. */
export type OfferKey = string

/** The key of an offer. */
export function offerKey(generation: number, lsn: Lsn, epoch: Epoch): OfferKey {
  return `${String(generation).padStart(8, "0")}/${String(lsn).padStart(16, "0")}/${epoch}`
}

/** A stamped entry of an earlier epoch that the hub may have lost. */
export interface OfferRow {
  readonly key: OfferKey
  readonly entry: OfferedEntry
}

/** Documents of a conversation that are still to be fetched. */
export interface BackfillRow {
  readonly conversation: ConversationId
  /** The LSN that it belongs to; what answers an older one is ignored. */
  readonly grant: Lsn
  /** The next Fetch's `before`: null for the cards and the newest segments. */
  readonly before: number | null
  /** The lowest segment needed. */
  readonly floor: number
  /** It follows an epoch change, or a catalogue that differs from what is held: nothing is sent before it is done. */
  readonly changed: boolean
  /** Down to here that holds; older segments were never held here, and are fetched when somebody wants to see them. */
  readonly changedFloor: number
}

/** What its author wrote and the hub will never take. */
export interface NotSentRow {
  readonly order: number
  readonly conversation: ConversationId
  readonly fact: Fact
  /** The refusal code's number. */
  readonly code: number
  /** When it was given up, milliseconds since 1970. */
  readonly atMs: number
}

/** Everything that a device starts from; facts and events are loaded when they are needed. */
export interface Stored {
  readonly meta: Meta
  readonly team: Team | null
  readonly conversations: readonly ConversationRow[]
  readonly documents: readonly DocumentRow[]
  readonly outbox: readonly OutboxRow[]
  readonly resolves: readonly ResolveRow[]
  readonly offers: readonly OfferRow[]
  readonly backfills: readonly BackfillRow[]
  readonly notSent: readonly NotSentRow[]
}

/** What tells one event of a document from another; null of a body that is no event. */
export function eventKey(body: EntryBody): string | null {
  switch (body.type) {
    case "Resolved":
      return `resolved/${body.message}/${body.resolution}`
    case "Delivered":
      return `delivered/${body.message}/${body.delivery}`
    case "Sensitive":
      return `sensitive/${body.message}/${body.category}`
    default:
      return null
  }
}

/** The message that an event is about. */
export function eventMessage(body: EntryBody): MessageId | null {
  return body.type === "Resolved" || body.type === "Delivered" || body.type === "Sensitive" ? body.message : null
}

/** The document of an event; null of a body that is none. */
export function eventDocument(body: EntryBody): DocumentId | null {
  return eventKey(body) === null ? null : documentOf(body)
}
