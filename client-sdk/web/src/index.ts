/**
 * Lockstep for browsers: a device that keeps a team's customer chats. A page calls `connectClient` (see `spawn.ts`) and
 * shows what {@link Client} holds; everything else runs in a worker.
 */

export { type Channel, Client, type Failure, type Invitation, LockstepError } from "./client.ts"
export type { ActOutcome, Notice } from "./core/effect.ts"
export type { Draft } from "./core/input.ts"
export type { NotSentRow, Summary } from "./core/row.ts"
export type { LeaseView, MessageState, MessageView, OlderState } from "./core/view.ts"
export type { Live } from "./live.ts"
export { type Keep, type Member, type Policy, type Role, isKeep, keepUnder } from "./protocol/directory.ts"
export type { Category, Delivery, Resolution } from "./protocol/entry.ts"
export type { Direction, Fact, Media } from "./protocol/fact.ts"
export type { ListedDevice, Marker } from "./protocol/frame.ts"
export type { ConversationId, DeviceId, InviteCode, Lsn, MemberId, MessageId, PinnedKeyHash } from "./protocol/id.ts"
export { type Link, type LinkProblem, formatLink, parseLink } from "./protocol/link.ts"
export {
  type Refusal,
  type RefusalClass,
  type RefusalCode,
  REFUSAL_NUMBERS,
  refusalClass,
  refusalCode,
} from "./protocol/refusal.ts"
export type { Collision, CollisionCause, Stamp } from "./protocol/stamp.ts"
export { connectClient } from "./spawn.ts"
export type { ConversationItem, HubAddress, Status, TeamView } from "./status.ts"
export type { KeptDraft } from "./store/store.ts"
export type { CardView, Lease, Thread, ThreadState } from "./thread.ts"
