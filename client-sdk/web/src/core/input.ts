/** What happens to a device: one union in. */

import type { Resolution } from "../protocol/entry.ts"
import type { Direction, Media } from "../protocol/fact.ts"
import type { Command, HubFrame } from "../protocol/frame.ts"
import type { ConversationId, DocumentId, InviteCode, MessageId, Signature } from "../protocol/id.ts"
import type { ConnectionId, Ticket } from "./effect.ts"
import type { EventRow, FactRow } from "./row.ts"

/** The time, as the shell reads it for each input. The core has no other clock. */
export interface Now {
  /** Wall time, milliseconds since 1970. May jump; goes into ids only. */
  readonly wallMs: number
  /** Monotonic time, milliseconds since any fixed point of this run. Timers run on it. */
  readonly monoMs: number
}

/** What a caller recognises the answer to an act by. */
export type Request = number

/** Something that happened. */
export type Input =
  /** The connection that `Connect` asked for stands. */
  | { readonly type: "Connected"; readonly connection: ConnectionId }
  /** The connection failed or is gone. Also when it never stood. */
  | { readonly type: "Disconnected"; readonly connection: ConnectionId }
  /** A frame came; null for bytes that are none. Frames of unknown number are dropped before. */
  | { readonly type: "FrameReceived"; readonly connection: ConnectionId; readonly frame: HubFrame | null }
  /** The answer to `Sign`; null if the key cannot sign. */
  | { readonly type: "Signed"; readonly connection: ConnectionId; readonly proof: Signature | null }
  /** All transactions up to and with this one are durable. */
  | { readonly type: "Persisted"; readonly ticket: Ticket }
  /** The store cannot be written: the device stops. */
  | { readonly type: "PersistFailed" }
  /** The answer to `Load`; null if the rows could not be read. */
  | {
      readonly type: "Loaded"
      readonly document: DocumentId
      readonly rows: { readonly facts: readonly FactRow[]; readonly events: readonly EventRow[] } | null
    }
  /** A person or program wants something. */
  | { readonly type: "Acted"; readonly request: Request; readonly act: Act }
  /** The time that `nextWake` named has come. */
  | { readonly type: "Ticked" }

/** What a member does on this device. */
export type Act =
  | { readonly type: "Write"; readonly draft: Draft }
  /** Writes a new body for one's own message. A reply that is held back is discarded and written anew. */
  | { readonly type: "Edit"; readonly conversation: ConversationId; readonly message: MessageId; readonly body: string }
  | {
      readonly type: "Retract"
      readonly conversation: ConversationId
      readonly message: MessageId
      readonly reason: string
    }
  /** An empty emoji takes it back. */
  | {
      readonly type: "React"
      readonly conversation: ConversationId
      readonly message: MessageId
      readonly emoji: string
    }
  | { readonly type: "SetField"; readonly conversation: ConversationId; readonly name: string; readonly value: string }
  | { readonly type: "SetLabel"; readonly conversation: ConversationId; readonly label: string; readonly on: boolean }
  | { readonly type: "MarkRead"; readonly conversation: ConversationId; readonly message: MessageId }
  /** Types a reply. To be told at every key; the core thins it out. */
  | { readonly type: "Type"; readonly conversation: ConversationId }
  | {
      readonly type: "Resolve"
      readonly conversation: ConversationId
      readonly message: MessageId
      readonly resolution: Resolution
    }
  /** Changes the directory or reports a delivery. Needs a connection. */
  | { readonly type: "Command"; readonly command: Command }
  /** Opens a view: its messages come as view events until it is closed. */
  | { readonly type: "Open"; readonly conversation: ConversationId }
  /** Shows one older segment in an open view, fetched if it is not held. */
  | { readonly type: "ShowOlder"; readonly conversation: ConversationId }
  /** Shows the segment behind the gap of an open view, which closes with the last one. */
  | { readonly type: "ShowNewer"; readonly conversation: ConversationId }
  /** Lets go of what an open view shows beyond the newest: a long way back takes memory. */
  | { readonly type: "ShowNewest"; readonly conversation: ConversationId }
  | { readonly type: "Close"; readonly conversation: ConversationId }
  /** Removes an item of "not sent, because …". */
  | { readonly type: "Dismiss"; readonly item: number }
  /** Enrols this device with a one-time code, at the next connection. */
  | { readonly type: "Enrol"; readonly code: InviteCode; readonly name: string }
  /** Connects now, also after a refusal that stopped it. */
  | { readonly type: "Connect" }

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
