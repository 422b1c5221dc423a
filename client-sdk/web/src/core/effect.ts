/** What a device wants done: one ordered list out. */

import type { Role } from "../protocol/directory.ts"
import type { Outcome } from "../protocol/frame.ts"
import type { ConversationId, DocumentId, Epoch, MemberId, MessageId } from "../protocol/id.ts"
import type { Refusal, RefusalCode } from "../protocol/refusal.ts"
import type { CollisionCause, Stamp } from "../protocol/stamp.ts"
import type { Request } from "./input.ts"
import type { Write } from "./row.ts"
import type { ViewEvent } from "./view.ts"

/** Numbers the transactions, counting up by one. */
export type Ticket = number

/** One connection, numbered by the core; never used twice in one run. */
export type ConnectionId = number

/** A command to the shell, which carries effects out in order. */
export type Effect =
  /** Connect to the hub; answered by `Connected` or `Disconnected`. */
  | { readonly type: "Connect"; readonly connection: ConnectionId }
  /** Close the connection after what was sent before. */
  | { readonly type: "Disconnect"; readonly connection: ConnectionId }
  /** Sign these bytes with the device's key; answered by `Signed`. */
  | { readonly type: "Sign"; readonly connection: ConnectionId; readonly bytes: Uint8Array }
  /** Send one encoded frame. */
  | { readonly type: "Send"; readonly connection: ConnectionId; readonly bytes: Uint8Array }
  /** Write this transaction, atomically, after all earlier ones; answered by `Persisted`. */
  | { readonly type: "Persist"; readonly ticket: Ticket; readonly writes: readonly Write[] }
  /** Read a document's rows; answered by `Loaded`. */
  | { readonly type: "Load"; readonly document: DocumentId }
  /** An open view changed. */
  | { readonly type: "View"; readonly event: ViewEvent }
  /** Something a person or program should know. */
  | { readonly type: "Notice"; readonly notice: Notice }
  /** The answer to an act. What it confirms is durable. */
  | { readonly type: "ActDone"; readonly request: Request; readonly outcome: ActOutcome }

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
  /** A locked device was enrolled again. `kept`: the unsent text of before is the same member's, and goes on. */
  | { readonly type: "Reenrolled"; readonly kept: boolean }
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
