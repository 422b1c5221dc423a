/** Who types a reply, and how often this device says that its member does. */

import type { ConversationId, MemberId } from "../protocol/id.ts"
import type { Device } from "./device.ts"
import { isReady, send } from "./session.ts"

/** Typing is told to the hub at most this often, milliseconds: well within the 5 s that a lease lives. */
const TYPING_MS_MIN = 2_000

/** Leases heard of, and typing told. */
export class Leases {
  readonly live = new Map<ConversationId, { holder: MemberId; untilMs: number }>()
  readonly told = new Map<ConversationId, number>()

  nextMs(): number | null {
    let next: number | null = null
    for (const { untilMs } of this.live.values()) next = next === null ? untilMs : Math.min(next, untilMs)
    return next
  }
}

/** The member typed. */
export function typeIn(d: Device, conversation: ConversationId): void {
  const { told } = d.leases
  const nowMs = d.now.monoMs
  if (!isReady(d) || nowMs < (told.get(conversation) ?? Number.NEGATIVE_INFINITY) + TYPING_MS_MIN) return
  for (const [other, atMs] of told) if (nowMs >= atMs + TYPING_MS_MIN) told.delete(other)
  told.set(conversation, nowMs)
  send(d, { type: "Typing", conversation })
}

/** The conversation last typed in, for a refusal that names none. */
export function lastTyped(d: Device): ConversationId | null {
  let last: [ConversationId, number] | null = null
  for (const [id, atMs] of d.leases.told) if (last === null || atMs >= last[1]) last = [id, atMs]
  return last?.[0] ?? null
}

/** The hub told who holds a lease. */
export function takeLease(d: Device, conversation: ConversationId, holder: MemberId | null, forMs: number): void {
  const { live } = d.leases
  if (holder === null) {
    if (live.delete(conversation)) showLease(d, conversation)
    return
  }
  live.set(conversation, { holder, untilMs: d.now.monoMs + forMs })
  showLease(d, conversation)
}

/** Leases end by themselves when the hub renews them no more. */
export function tickLeases(d: Device): void {
  for (const [conversation, { untilMs }] of d.leases.live) {
    if (untilMs > d.now.monoMs) continue
    d.leases.live.delete(conversation)
    showLease(d, conversation)
  }
}

/** Without a connection nobody's typing is known. */
export function dropLeases(d: Device): void {
  const conversations = [...d.leases.live.keys()]
  d.leases.live.clear()
  d.leases.told.clear()
  for (const conversation of conversations) showLease(d, conversation)
}

/** Tells an open view who replies, and for how long. A list learns it too, so that it goes out in any case. */
export function showLease(d: Device, conversation: ConversationId): void {
  const live = d.leases.live.get(conversation)
  const lease = live === undefined ? null : { holder: live.holder, forMs: live.untilMs - d.now.monoMs }
  d.out.push({ type: "View", event: { type: "Lease", conversation, lease } })
}
