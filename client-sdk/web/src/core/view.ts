/** What a user interface is told about open conversations. Plain data. */

import type { Category, Delivery } from "../protocol/entry.ts"
import type { Direction, Media } from "../protocol/fact.ts"
import type { Marker } from "../protocol/frame.ts"
import type { ConversationId, Lsn, MemberId, MessageId } from "../protocol/id.ts"
import type { Collision } from "../protocol/stamp.ts"

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
  /** Messages appeared next to each other: the first of them stands at `at`. */
  | {
      readonly type: "Inserted"
      readonly conversation: ConversationId
      readonly at: number
      readonly messages: readonly MessageView[]
    }
  | {
      readonly type: "Changed"
      readonly conversation: ConversationId
      readonly at: number
      readonly message: MessageView
    }
  | { readonly type: "Removed"; readonly conversation: ConversationId; readonly at: number; readonly count: number }
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
  /** Behind this message some are not shown that were; null if none are. */
  | { readonly type: "Gap"; readonly conversation: ConversationId; readonly after: MessageId | null }
  | { readonly type: "Closed"; readonly conversation: ConversationId }

/** Whether an open view can show older messages: none are left, some are, or they are on their way. */
export type OlderState = "none" | "more" | "loading"

/** A list after a change; the list itself is changed where that is cheaper. */
export function applyEvent(
  messages: MessageView[],
  event: Extract<ViewEvent, { type: "Opened" | "Inserted" | "Changed" | "Removed" }>,
): MessageView[] {
  switch (event.type) {
    case "Opened":
      return [...event.messages]
    case "Inserted":
      messages.splice(event.at, 0, ...event.messages)
      return messages
    case "Changed":
      messages[event.at] = event.message
      return messages
    case "Removed":
      messages.splice(event.at, event.count)
      return messages
  }
}
