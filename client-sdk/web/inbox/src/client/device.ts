/** What a device tells a user interface: the SDK's types, as its core defines them. Plain data. */

import type { Category, Delivery } from "../../../src/protocol/entry.ts"
import type { Role } from "../../../src/protocol/directory.ts"
import type { Direction, Media } from "../../../src/protocol/fact.ts"
import type { Marker, Outcome } from "../../../src/protocol/frame.ts"
import type { ConversationId, DocumentId, Epoch, Lsn, MemberId, MessageId } from "../../../src/protocol/id.ts"
import type { Refusal, RefusalCode } from "../../../src/protocol/refusal.ts"
import type { Collision, CollisionCause, Stamp } from "../../../src/protocol/stamp.ts"

/** How a message stands. */
export type MessageState =
  /** Written here, not confirmed by the hub: a clock. */
  | { readonly type: "Pending" }
  /** Confirmed: green. A reply goes to the customer. */
  | { readonly type: "Sent" }
  /** A reply that lost and is held back until its author decides: yellow. */
  | { readonly type: "Held"; readonly collision: Collision }
  /** A reply that lost and was sent nevertheless, marked, by the team's policy. */
  | { readonly type: "Flagged"; readonly collision: Collision }
  /** A held reply that its author sent anyway: green. */
  | { readonly type: "SentAnyway" }
  /** A held reply that its author will never send. */
  | { readonly type: "Discarded" }
  /** Taken in from elsewhere: it happened before, or outside of, this hub. */
  | { readonly type: "Imported" }

/** A message as it is to be shown. */
export interface MessageView {
  /** Its id; the list is in order of it. */
  readonly id: MessageId
  /** Its author's staff number; 0 for nobody on the team. */
  readonly by: MemberId
  /** Which way it goes. */
  readonly dir: Direction
  /** What it is: `text`, `image`, … */
  readonly kind: string
  /** Its text, after the edit with the highest ULID. */
  readonly body: string
  /** Whether there was an edit. */
  readonly edited: boolean
  /** The newest retraction's reason, if it was retracted. */
  readonly retracted: string | null
  /** Members' current reactions, in ascending order of member. */
  readonly reactions: readonly (readonly [MemberId, string])[]
  /** How it stands. */
  readonly state: MessageState
  /** A decision about it that the hub has not confirmed. */
  readonly resolving: boolean
  /** How far its delivery got. */
  readonly delivery: Delivery | null
  /** Its attachment. */
  readonly media: Media | null
  /** What it answers or quotes. */
  readonly re: MessageId | null
  /** What its sensitive words are about; text of such a message is for the open conversation only. */
  readonly sensitive: readonly Category[]
  /** When it was written by its author's clock, milliseconds since 1970. */
  readonly timeMs: number
  /** Its place in the log; null while it is pending. */
  readonly lsn: Lsn | null
}

/** Who replies to a conversation. */
export interface LeaseView {
  readonly holder: MemberId
  /** Milliseconds that it lives from now unless renewed. */
  readonly forMs: number
}

/** A change of an open view. `at` is a position in its list before (`Removed`) or after (others) the change. */
export type ViewEvent =
  | { readonly type: "Opened"; readonly conversation: ConversationId; readonly messages: readonly MessageView[] }
  | { readonly type: "Inserted"; readonly conversation: ConversationId; readonly at: number; readonly message: MessageView }
  | { readonly type: "Changed"; readonly conversation: ConversationId; readonly at: number; readonly message: MessageView }
  | { readonly type: "Removed"; readonly conversation: ConversationId; readonly at: number }
  | { readonly type: "Lease"; readonly conversation: ConversationId; readonly lease: LeaseView | null }
  | { readonly type: "Markers"; readonly conversation: ConversationId; readonly markers: readonly Marker[] }
  | {
      readonly type: "Card"
      readonly conversation: ConversationId
      /** Fields with their values, in order of name. */
      readonly fields: readonly (readonly [string, string])[]
      /** Labels that are on, in order. */
      readonly labels: readonly string[]
    }
  /** Whether older messages can be shown. */
  | { readonly type: "Older"; readonly conversation: ConversationId; readonly older: OlderState }
  | { readonly type: "Closed"; readonly conversation: ConversationId }

/** Whether an open view can show older messages: none are left, some are, or they are on their way. */
export type OlderState = "none" | "more" | "loading"

/** What came of an act. */
export type ActOutcome =
  /** A message is durable on this device, and will be sent. */
  | { readonly type: "Written"; readonly message: MessageId }
  | { readonly type: "Done" }
  /** The hub's answer to a command. */
  | { readonly type: "Answered"; readonly outcome: Outcome }
  /** It can never stand, so it was not written. */
  | { readonly type: "Rejected"; readonly code: RefusalCode }
  /** It needs a connection, and there is none. */
  | { readonly type: "Offline" }
  /** The connection broke before the hub answered: it may have happened or not. */
  | { readonly type: "Interrupted" }
  /** Too much waits already; try again. */
  | { readonly type: "Busy" }
  /** The store cannot be written. */
  | { readonly type: "StoreFailed" }

/** Something a person or program should know. */
export type Notice =
  | { readonly type: "Online"; readonly member: MemberId; readonly role: Role }
  | { readonly type: "Offline" }
  /** The device holds what it may see and what was durable when the hub let it in, the past on demand apart. */
  | { readonly type: "CaughtUp" }
  /** The hub was restored. */
  | { readonly type: "EpochChanged"; readonly epoch: Epoch }
  | { readonly type: "RoleChanged"; readonly role: Role }
  | { readonly type: "TeamChanged" }
  | { readonly type: "ConversationChanged"; readonly conversation: ConversationId }
  /** A conversation is visible no more; its local copy is deleted. */
  | { readonly type: "ConversationGone"; readonly conversation: ConversationId }
  | { readonly type: "NotSent"; readonly item: number }
  /** A message of a customer came. */
  | { readonly type: "Incoming"; readonly conversation: ConversationId; readonly message: MessageId }
  /** A reply of this member lost: it is held back or marked. */
  | {
      readonly type: "Collided"
      readonly conversation: ConversationId
      readonly message: MessageId
      readonly cause: CollisionCause
    }
  | {
      readonly type: "ResolveRefused"
      readonly conversation: ConversationId
      readonly message: MessageId
      readonly refusal: Refusal
    }
  | { readonly type: "OfferRefused"; readonly stamp: Stamp; readonly code: number }
  | { readonly type: "LeaseRefused"; readonly conversation: ConversationId | null; readonly refusal: Refusal }
  /** Own chain of a document was abandoned: the store was copied or restored. */
  | { readonly type: "ChainForked"; readonly document: DocumentId }
  /** This device derives other changes than the hub: it sends nothing until it is updated. */
  | { readonly type: "UpdateNeeded" }
  /** The hub refused the session; no further attempt until `Connect` or `Enrol`. */
  | { readonly type: "Stopped"; readonly code: RefusalCode }
  | { readonly type: "Refused"; readonly refusal: Refusal }
  | { readonly type: "WrongHub" }
  | { readonly type: "Unreadable"; readonly document: DocumentId }
  | { readonly type: "DocumentBroken"; readonly document: DocumentId }

/** A message to be written. */
export interface Draft {
  readonly conversation: ConversationId
  readonly dir: Direction
  readonly kind: string
  readonly body: string
  readonly re: MessageId | null
  readonly media: Media | null
  /** Its id where the caller derives one; else null: drawn here. */
  readonly id: MessageId | null
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
