/**
 * The port: all that the inbox needs of a device. One implementation is the SDK (`sdk.ts`), the other a demo team in
 * memory (`fake/`). Everything that passes is plain data that survives a structured clone; calls answer by promise,
 * events come by one subscription, in order.
 */

import type { Command } from "../../../src/protocol/frame.ts"
import type { Category, Delivery, Resolution } from "../../../src/protocol/entry.ts"
import type { Direction, Fact, Media } from "../../../src/protocol/fact.ts"
import type { Conversation, Member, Policy, Role } from "../../../src/protocol/directory.ts"
import type { ListedDevice, Marker, Team } from "../../../src/protocol/frame.ts"
import type { ConversationId, DeviceId, InviteCode, Lsn, MemberId, MessageId, PinnedKeyHash } from "../../../src/protocol/id.ts"
import type { Refusal, RefusalCode } from "../../../src/protocol/refusal.ts"
import type { CollisionCause } from "../../../src/protocol/stamp.ts"
import type { Draft } from "../../../src/core/input.ts"
import type { ActOutcome, Notice } from "../../../src/core/effect.ts"
import type { LeaseView, MessageState, MessageView, OlderState, ViewEvent } from "../../../src/core/view.ts"
import type { Summary } from "../../../src/core/row.ts"

export type {
  ActOutcome, Category, CollisionCause, Command, Conversation, ConversationId, Delivery, DeviceId, Direction, Draft, Fact,
  InviteCode, LeaseView, ListedDevice, Lsn, Marker, Media, Member, MemberId, MessageId, MessageState, MessageView, Notice,
  OlderState, PinnedKeyHash, Policy, Refusal, RefusalCode, Resolution, Role, Summary, Team, ViewEvent,
}

/** How the device stands with its hub. */
export type Phase =
  /** The store is being opened. */
  | "starting"
  /** The store belongs to nobody yet: the enrol screen. */
  | "fresh"
  /** A code was handed in; the hub has not answered. */
  | "enrolling"
  /** Enrolled. */
  | "ready"
  /** The hub revoked this device: its store is wiped. */
  | "revoked"
  /** The hub let this device not in, for another reason (`stopped`). */
  | "stopped"
  /** This version derives other changes than the hub. */
  | "outdated"
  /** Another hub answers at this address. */
  | "wrong-hub"
  /** The store cannot be written: full, or taken away by the browser. */
  | "store-failed"

/** The device. */
export interface Status {
  readonly phase: Phase
  /** Why the hub did not let it in; null but in `stopped` and after a failed enrolment in `fresh`. */
  readonly stopped: RefusalCode | null
  /** Whose device it is; null until it is enrolled. */
  readonly member: MemberId | null
  /** This device, to be told from the member's others; null until it is enrolled. */
  readonly device: DeviceId | null
  /** Whether the hub can be reached. */
  readonly online: boolean
  /** Whether it holds what it may see, the past on demand apart. */
  readonly caughtUp: boolean
  /** How much of a catch-up is done; null if none runs or nothing is known of it. */
  readonly progress: { readonly done: number; readonly total: number } | null
  /** Facts and decisions that wait for the hub. */
  readonly waiting: number
}

/** A conversation as the list shows it. */
export interface ListRow {
  readonly conversation: Conversation
  /** Its newest entry: the list is in descending order of it. */
  readonly newest: Lsn
  /** Read positions. */
  readonly markers: readonly Marker[]
  /** Its card's labels that are on. */
  readonly labels: readonly string[]
  /** What is known of its messages; null until its newest segment is here. */
  readonly summary: Summary | null
}

/** What its author wrote and the hub can never take. */
export interface NotSent {
  /** Its number, for `dismiss`. */
  readonly item: number
  readonly conversation: ConversationId
  readonly fact: Fact
  /** Why, by the refusal code's number. */
  readonly code: number
  /** When it was given up, milliseconds since 1970. */
  readonly atMs: number
}

/** Something changed. Right after subscribing, Status, Team, Conversations and NotSent come once with all there is. */
export type PortEvent =
  | { readonly type: "Status"; readonly status: Status }
  /** Null before the first catalogue. */
  | { readonly type: "Team"; readonly team: Team | null }
  /** Rows that changed (all of them with `all`), and conversations that are visible no more. */
  | { readonly type: "Conversations"; readonly rows: readonly ListRow[]; readonly gone: readonly ConversationId[]; readonly all: boolean }
  /** Everything that the hub refused for good and nobody dismissed yet. */
  | { readonly type: "NotSent"; readonly items: readonly NotSent[] }
  /** A change of an open view; Lease comes for every conversation. */
  | { readonly type: "View"; readonly event: ViewEvent }
  | { readonly type: "Notice"; readonly notice: Notice }

/** A one-time code, as a link that a QR code can hold. */
export interface Invitation {
  /** `lockstep://HOST:PORT/PIN/CODE`. */
  readonly link: string
  /** How long it is good, milliseconds from now. */
  readonly forMs: number
}

/** What came of a question that the hub must answer. */
export type Answer<T> =
  | { readonly type: "Answered"; readonly value: T }
  | { readonly type: "Refused"; readonly refusal: Refusal }
  | { readonly type: "Offline" }
  | { readonly type: "Interrupted" }

/** What a code or link says. */
export interface Pairing {
  readonly code: InviteCode
  /** The hub's certificate key; null if a person typed the code alone: then the page's own origin vouches. */
  readonly pinned: PinnedKeyHash | null
}

/** A device. */
export interface Port {
  /** Events from now on, in order. Answers how to stop. */
  subscribe(listener: (event: PortEvent) => void): () => void
  /** Enrols this device, then connects. `Rejected` with `FieldInvalid`: the hub's key is not known, it takes a link. */
  enrol(pairing: Pairing, name: string): Promise<ActOutcome>
  /** Connects now, also after a refusal that stopped it. */
  connect(): Promise<ActOutcome>
  /** Opens a view: `Opened`, Markers, Card, Lease and Older follow as events, then changes, until it is closed. */
  open(conversation: ConversationId): Promise<ActOutcome>
  /** Shows one older segment in an open view, fetched if it is not held. */
  showOlder(conversation: ConversationId): Promise<ActOutcome>
  close(conversation: ConversationId): Promise<ActOutcome>
  /** Writes a message. Durable on this device when it is answered. */
  write(draft: Draft): Promise<ActOutcome>
  /** Writes a new body for one's own message. A reply that is held back is discarded and written anew. */
  edit(conversation: ConversationId, message: MessageId, body: string): Promise<ActOutcome>
  retract(conversation: ConversationId, message: MessageId, reason: string): Promise<ActOutcome>
  /** An empty emoji takes it back. */
  react(conversation: ConversationId, message: MessageId, emoji: string): Promise<ActOutcome>
  setField(conversation: ConversationId, name: string, value: string): Promise<ActOutcome>
  setLabel(conversation: ConversationId, label: string, on: boolean): Promise<ActOutcome>
  markRead(conversation: ConversationId, message: MessageId): Promise<ActOutcome>
  /** Types a reply: to be called at every key, the device thins it out. */
  type(conversation: ConversationId): Promise<ActOutcome>
  /** Decides about one's own held reply. */
  resolve(conversation: ConversationId, message: MessageId, resolution: Resolution): Promise<ActOutcome>
  /** Changes the directory: members, roles, assignment, policy, revocation. */
  command(command: Command): Promise<ActOutcome>
  /** A one-time code for another device of a member. */
  invite(member: MemberId): Promise<Answer<Invitation>>
  /** Devices that this member may see: their own, or all of them for owners and managers. */
  devices(): Promise<Answer<readonly ListedDevice[]>>
  /** Removes an item of "not sent, because …". */
  dismiss(item: number): Promise<ActOutcome>
  /** Deletes everything that this browser keeps of the hub, and its key. */
  wipe(): Promise<void>
}

/** What `#client` gives: the device of this browser. */
export type Connect = () => Promise<Port>
