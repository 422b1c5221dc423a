/** How a device stands, and what it knows beside messages. Plain data. */

import type { Keep, Member, Policy, Role } from "./protocol/directory.ts"
import type { Marker } from "./protocol/frame.ts"
import type { ConversationId, DeviceId, Lsn, MemberId, PinnedKeyHash } from "./protocol/id.ts"
import type { RefusalCode } from "./protocol/refusal.ts"
import type { ConversationRow, Summary } from "./core/row.ts"
import type { StoreTrouble } from "./store/store.ts"

/** Where a device's hub is, and how it is recognised. */
export interface HubAddress {
  /** Its WebSocket, as `wss://hub.lan:7443/v1/sync`. */
  readonly url: string
  /** SHA-256 of its certificate key. */
  readonly pinned: PinnedKeyHash
}

/** How the device stands. */
export interface Status {
  /**
   * `new`: it is to be enrolled. `enrolling`: a code is being tried. `enrolled`: it is a member's device. `locked`: its
   * hub does not know it any more. Nothing is shown; what was not sent (`outbox`, `notSent`) waits until it is enrolled
   * again at the same hub for the same member, or wiped.
   */
  readonly phase: "new" | "enrolling" | "enrolled" | "locked"
  /** Whose device it is. */
  readonly member: MemberId | null
  /** This device among the member's; null before the first attempt to enrol it. */
  readonly device: DeviceId | null
  /** Where its hub is. */
  readonly hub: HubAddress | null
  /** Their role. */
  readonly role: Role | null
  /** Whether the hub let it in. */
  readonly online: boolean
  /** Whether it holds what it may see as of its last connection, the past on demand apart. */
  readonly caughtUp: boolean
  /** Whether, beyond that, everything written here is confirmed. */
  readonly synced: boolean
  /** Facts and decisions that the hub has not confirmed. */
  readonly outbox: number
  /** What the hub will never take. */
  readonly notSent: number
  /** Why the hub refused it; no further attempt until a person wants one. `DeviceRevoked`: wiped. `DeviceUnknown`: locked. */
  readonly stopped: RefusalCode | null
  /** The page derives other changes than the hub: it sends nothing until it is reloaded in a newer version. */
  readonly updateNeeded: boolean
  /** While it is enrolled: why the hub refused the code, the name or the device. */
  readonly refused: RefusalCode | null
  /** Another hub answers at the address. */
  readonly wrongHub: boolean
  /** `full`: the browser gives no more room. `failed`: the store is broken. Nothing is written or sent then. */
  readonly store: "ok" | StoreTrouble
}

/** Before anything is known. */
export const INITIAL_STATUS: Status = {
  phase: "new",
  member: null,
  device: null,
  hub: null,
  role: null,
  online: false,
  caughtUp: false,
  synced: false,
  outbox: 0,
  notSent: 0,
  stopped: null,
  refused: null,
  updateNeeded: false,
  wrongHub: false,
  store: "ok",
}

/** A conversation as a list shows it. */
export interface ConversationItem {
  readonly id: ConversationId
  /** The customer's shown name. */
  readonly customer: string
  /** The service account of its channel, if one carries it. */
  readonly service: MemberId | null
  /** The members assigned to it, ascending. */
  readonly assigned: readonly MemberId[]
  /** How long its messages are kept, days, 0 for ever; null for as long as the team's policy says. */
  readonly keep: Keep | null
  /** Its newest entry: lists sort by it, greatest first. */
  readonly newest: Lsn
  /** Read positions, ascending by member. */
  readonly markers: readonly Marker[]
  /** Newest message, unread count and the like; null until its newest segment is here. */
  readonly summary: Summary | null
}

/** The team. */
export interface TeamView {
  /** Members, former ones too, ascending by staff number. */
  readonly members: readonly Member[]
  readonly policy: Policy
  /** The own member's role. */
  readonly role: Role
}

/** A conversation's row as a list shows it; null for a hidden one. */
export function itemOf(row: ConversationRow): ConversationItem | null {
  if (row.lost) return null
  const { id, customer, service, assigned, keep } = row.conversation
  const { newest, markers, summary } = row
  // A row of before there were keep times has no such field.
  return { id, customer, service, assigned, keep: keep ?? null, newest, markers, summary }
}
