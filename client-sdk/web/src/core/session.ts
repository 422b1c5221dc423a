/** The session with the hub: connecting, handshake, keeping alive, and what frames mean for it. */

import { enrolBytes, helloBytes } from "../protocol/auth.ts"
import { readEntry } from "../protocol/entry.ts"
import {
  type DeviceFrame,
  type Entries,
  type HubFrame,
  type ListedConversation,
  type Team,
  type Welcome,
  encodeDeviceFrame,
} from "../protocol/frame.ts"
import type { ConversationId, HubId, InviteCode, Lsn, Nonce, Signature } from "../protocol/id.ts"
import { HANDSHAKE_MS_MAX, PROTOCOL_VERSION } from "../protocol/limits.ts"
import { type Refusal, type RefusalCode, refusalClass, refusalCode } from "../protocol/refusal.ts"
import type { Cursor } from "../protocol/stamp.ts"
import { fetched, takePage, takePart } from "./backfill.ts"
import { delayMs } from "./backoff.ts"
import type { Device } from "./device.ts"
import type { ConnectionId } from "./effect.ts"
import type { Now } from "./input.ts"
import { dropSessionJobs, queue } from "./job.ts"
import { dropLeases, lastTyped, takeLease } from "./lease.ts"
import { beginEpoch } from "./offer.ts"
import { dropQuestions, tagRefused } from "./push.ts"
import { dropEverythingUnsent } from "./rewrite.ts"
import { stopPushing } from "./transaction.ts"

/** A Ping is sent after this long without a frame from the hub, or to it. */
const PING_MS = 30_000
/** Pings that may go unanswered. */
const PINGS_LOST_MAX = 2
/** A session this old resets the backoff. */
const STEADY_MS = 5_000
/** Conversations of a catalogue that are gathered at most. */
const CATALOGUE_MAX = 1_000_000

/** How far the session is. */
export type Phase =
  /** Nothing is tried until a person wants it. */
  | "stopped"
  /** The next attempt comes at the deadline. */
  | "waiting"
  /** Connecting, or waiting for Challenge. */
  | "connecting"
  /** The device's key signs the proof. */
  | "signing"
  /** Hello or Enrol is sent. */
  | "greeted"
  /** Welcomed. */
  | "open"

interface Pages {
  next: number
  conversations: ListedConversation[]
  team: Team | null
}

/** See the module. */
export class Session {
  phase: Phase = "waiting"
  connection: ConnectionId = 0
  attempts = 0
  /** When the present phase must be over, the next attempt comes, or the next Ping is due. */
  deadlineMs: number
  welcomedMs = 0
  /** When the newest frame came. */
  heardMs = 0
  /** When the newest frame was sent. */
  toldMs = 0
  /** Pings since then that nothing followed. */
  pings = 0
  hub: HubId | null = null
  enrol: { code: InviteCode; name: string } | null = null
  /** A code was refused: perhaps its first use succeeded and only its Welcome was lost. Then Hello gets in. */
  helloOnce = false
  /** The catalogue's pages so far; null when it is not being waited for. */
  pages: Pages | null = null
  /** The hub takes nothing new. */
  draining = false
  /** Something is wrong with the connection: it is dropped at the end of the turn. */
  broken = false
  /** Where the hub's log ended when it let the device in. */
  head: Lsn = 0
  caughtUp = false

  constructor(now: Now) {
    this.deadlineMs = now.monoMs
  }

  get online(): boolean {
    return this.phase === "open"
  }

  get isConnected(): boolean {
    return this.phase !== "stopped" && this.phase !== "waiting"
  }

  nextMs(): number | null {
    return this.phase === "stopped" ? null : this.deadlineMs
  }

  /** When the next Ping is due, unless one is on its way. */
  planPing(): void {
    if (this.online && this.pings === 0) this.deadlineMs = Math.min(this.heardMs, this.toldMs) + PING_MS
  }
}

/** Whether the device may ask and push: welcomed, and the catalogue, if one comes, taken. */
export function isReady(d: Device): boolean {
  return d.session.online && d.session.pages === null && !d.session.broken
}

/** Timers of the session. */
export function tickSession(d: Device): void {
  const { session, now } = d
  if (session.phase === "stopped" || session.deadlineMs > now.monoMs) return
  if (session.phase === "waiting") {
    if (d.meta.member === null && session.enrol === null && !session.helloOnce) {
      session.phase = "stopped"
      return
    }
    session.connection++
    session.phase = "connecting"
    session.deadlineMs = now.monoMs + HANDSHAKE_MS_MAX
    d.out.push({ type: "Connect", connection: session.connection })
  } else if (session.phase !== "open" || session.pings >= PINGS_LOST_MAX) {
    dropConnection(d, null)
  } else {
    session.pings++
    session.deadlineMs = now.monoMs + PING_MS
    send(d, { type: "Ping" })
  }
}

/** Connects now. */
export function connectNow(d: Device): void {
  if (d.session.isConnected) return
  d.session.attempts = 0
  d.session.phase = "waiting"
  d.session.deadlineMs = d.now.monoMs
  tickSession(d)
}

/** Enrols at the next connection. */
export function enrol(d: Device, code: InviteCode, name: string): void {
  d.session.enrol = { code, name }
  if (d.session.isConnected) dropConnection(d, null)
  connectNow(d)
}

/** The connection stands. */
export function connected(d: Device, connection: ConnectionId): void {
  if (connection === d.session.connection && d.session.phase === "connecting") {
    d.session.deadlineMs = d.now.monoMs + HANDSHAKE_MS_MAX
  }
}

/** The connection is gone. */
export function disconnected(d: Device, connection: ConnectionId): void {
  if (connection === d.session.connection && d.session.isConnected) loseConnection(d, null)
}

/** Closes the connection and tries again later, at least `retryAfterMs` later. */
export function dropConnection(d: Device, retryAfterMs: number | null): void {
  if (d.session.isConnected) {
    d.out.push({ type: "Disconnect", connection: d.session.connection })
    loseConnection(d, retryAfterMs)
  }
  d.session.broken = false
}

function loseConnection(d: Device, retryAfterMs: number | null): void {
  const { session, now } = d
  if (session.online) {
    d.notice({ type: "Offline" })
    if (now.monoMs >= session.welcomedMs + STEADY_MS) session.attempts = 0
  }
  session.deadlineMs = now.monoMs + Math.max(delayMs(session.attempts, d.random), retryAfterMs ?? 0)
  session.attempts++
  session.phase = "waiting"
  session.pages = null
  session.draining = false
  session.broken = false
  session.caughtUp = false
  session.pings = 0
  dropSessionJobs(d)
  dropQuestions(d)
  d.fetches.clear()
  dropLeases(d)
}

/** Sends one frame, if there is a connection. */
export function send(d: Device, frame: DeviceFrame): void {
  if (!d.session.isConnected) return
  d.out.push({ type: "Send", connection: d.session.connection, bytes: encodeDeviceFrame(frame) })
  d.session.toldMs = d.now.monoMs
  d.session.planPing()
}

/** A frame came; null for bytes that are none. */
export function frameReceived(d: Device, connection: ConnectionId, frame: HubFrame | null): void {
  const { session } = d
  if (connection !== session.connection || !session.isConnected || session.broken) return
  if (frame === null) {
    session.broken = true
    return
  }
  session.pings = 0
  session.heardMs = d.now.monoMs
  session.planPing()
  if (frame.type === "Refusal") refused(d, frame.tag, frame.refusal)
  else if (session.phase === "connecting" && frame.type === "Challenge") greet(d, frame.nonce, frame.hub)
  else if (session.phase === "greeted" && frame.type === "Welcome") welcomed(d, frame.welcome)
  else if (session.phase === "open") frameInSession(d, frame)
  else if (frame.type !== "Draining") session.broken = true
}

function frameInSession(d: Device, frame: HubFrame): void {
  switch (frame.type) {
    case "Catalogue": {
      const { tag, page, conversations, team, end, shredded } = frame.catalogue
      if (tag !== null) takePage(d, tag, conversations)
      else takeCataloguePage(d, page, conversations, team, end, shredded ?? [])
      return
    }
    case "Entries":
      queueEntries(d, frame.entries)
      return
    case "Snapshot":
      takePart(d, frame.snapshot)
      return
    case "Ack":
      queue(d, { type: "Ack", tag: frame.tag, results: frame.results, witness: frame.witness })
      return
    case "Lease":
      takeLease(d, frame.conversation, frame.holder, frame.forMs)
      return
    case "Draining":
      d.session.draining = true
      return
    case "Pong":
      return
    case "Fetched":
      fetched(d, frame.tag, frame.before)
      return
    default:
      d.session.broken = true
  }
}

function queueEntries(d: Device, { from, upto, tag, entries, granted, revoked }: Entries): void {
  // What a newer hub wrote and this version does not understand is passed over; the cursor covers it.
  const read = entries.map(readEntry).filter((entry) => entry !== null)
  const cursor: Cursor = { epoch: d.epoch, lsn: upto, tag }
  queue(d, { type: "Entries", from, cursor, entries: read, granted, revoked })
}

/** Answers Challenge: first the key signs. */
function greet(d: Device, nonce: Nonce, hub: HubId): void {
  if (d.meta.hub !== null && d.meta.hub !== hub) {
    d.notice({ type: "WrongHub" })
    d.session.broken = true
    return
  }
  d.session.hub = hub
  const transcript = { hub, pinned: d.pinned, nonce, device: d.id, version: PROTOCOL_VERSION }
  const { enrol: asked, connection } = d.session
  const bytes = asked === null ? helloBytes(transcript) : enrolBytes(transcript, asked.code)
  d.session.phase = "signing"
  d.out.push({ type: "Sign", connection, bytes })
}

/** The proof is there. */
export function signed(d: Device, connection: ConnectionId, proof: Signature | null): void {
  const { session, meta } = d
  if (connection !== session.connection || session.phase !== "signing") return
  if (proof === null) {
    session.broken = true
    return
  }
  session.phase = "greeted"
  session.deadlineMs = d.now.monoMs + HANDSHAKE_MS_MAX
  const version = PROTOCOL_VERSION
  if (session.enrol === null) {
    const { cursor, witness } = meta
    send(d, { type: "Hello", hello: { version, device: d.id, proof, cursor, witness, capabilities: 0n } })
  } else {
    const { code, name } = session.enrol
    send(d, { type: "Enrol", enrol: { version, code, key: d.key, name, proof } })
  }
}

function welcomed(d: Device, welcome: Welcome): void {
  const { epoch, nowMs, member, role, policy, catalogue, head } = welcome
  const { session } = d
  session.phase = "open"
  session.welcomedMs = d.now.monoMs
  session.head = head
  session.planPing()
  session.enrol = null
  session.helloOnce = false
  session.pages = catalogue ? { next: 0, conversations: [], team: null } : null
  d.pauses.clearAll()
  d.unofferable.clear()
  d.offers.reopen()
  d.clock.correct(d.now.wallMs, nowMs)
  const changed = d.epoch !== epoch
  if (changed || d.meta.member !== member || d.meta.hub !== session.hub) d.setMeta({ hub: session.hub, member })
  carryOver(d)
  if (changed) beginEpoch(d, epoch)
  if (d.team !== null && (d.team.role !== role || JSON.stringify(d.team.policy) !== JSON.stringify(policy))) {
    d.team = { ...d.team, role, policy }
    d.pending.team = true
    d.notice({ type: "TeamChanged" })
  }
  // Entries cannot follow a cursor that is not of this epoch.
  if (!catalogue && d.cursorLsn === null) session.broken = true
  d.notice({ type: "Online", member, role })
}

/** A locked device is enrolled again: what was not sent goes on at the same hub for the same member, and else goes. */
function carryOver(d: Device): void {
  const carried = d.meta.carried ?? null
  if (carried === null) return
  const kept = carried.hub === d.meta.hub && carried.member === d.meta.member
  if (!kept) dropEverythingUnsent(d)
  d.setMeta({ carried: null })
  d.notice({ type: "Reenrolled", kept })
}

function takeCataloguePage(
  d: Device,
  page: number,
  conversations: ListedConversation[],
  team: Team | null,
  end: Cursor | null,
  shredded: readonly ConversationId[],
): void {
  const { session } = d
  // Page 0 starts the catalogue over, at any time: a change of role or policy needs one in mid-session.
  if (page === 0) session.pages = { next: 0, conversations: [], team: null }
  const { pages } = session
  if (pages === null || page !== pages.next || pages.conversations.length + conversations.length > CATALOGUE_MAX) {
    session.broken = true
    return
  }
  pages.next++
  pages.conversations.push(...conversations)
  pages.team ??= team
  if (end === null) return
  queue(d, { type: "Catalogue", conversations: pages.conversations, team: pages.team, end, shredded })
  session.pages = { next: 0, conversations: [], team: null }
}

/** The catalogue is taken: pushes may begin, unless the next one has begun already. */
export function catalogueTaken(d: Device): void {
  if (d.session.pages?.next === 0) d.session.pages = null
}

const STOPPING: readonly (RefusalCode | null)[] = [
  "DeviceRevoked",
  "DeviceUnknown",
  "VersionUnsupported",
  "ProofInvalid",
]
const PASSING: readonly (RefusalCode | null)[] = ["Busy", "RateLimited", "Draining", "SessionsFull", "TimedOut"]

/** A refusal of the session, or of a frame that has no Ack. */
function refused(d: Device, tag: number | null, refusal: Refusal): void {
  if (tag !== null) {
    tagRefused(d, tag, refusal)
    return
  }
  const { session } = d
  const code = refusalCode(refusal.code)
  const kind = refusalClass(refusal.code)
  if ((code === "CodeInvalid" || code === "AlreadyExists") && session.phase === "greeted") {
    session.helloOnce = session.enrol !== null
    session.enrol = null
    d.notice({ type: "Refused", refusal })
    dropConnection(d, null)
  } else if (code !== null && STOPPING.includes(code)) {
    stop(d, code)
  } else if (code === "LeasesFull") {
    d.notice({ type: "LeaseRefused", conversation: lastTyped(d), refusal })
  } else if (PASSING.includes(code) && session.phase !== "open") {
    dropConnection(d, refusal.retryAfterMs)
  } else if (code === "HashDiffers") {
    stopPushing(d)
  } else {
    d.notice({ type: "Refused", refusal })
    const final = code !== null && (kind === "Never" || kind === "Request")
    if (final && session.phase === "greeted" && session.enrol !== null) stop(d, code)
  }
}

/** The hub will not have it: no further attempt before a person wants one. */
function stop(d: Device, code: RefusalCode): void {
  dropConnection(d, null)
  d.session.helloOnce = false
  d.session.enrol = null
  d.session.phase = "stopped"
  d.notice({ type: "Stopped", code })
}
