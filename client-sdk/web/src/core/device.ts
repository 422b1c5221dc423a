/**
 * One Lockstep device as a pure state machine.
 *
 * The shell owns one {@link Device}, tells it what happened ({@link Input}) at what time ({@link Now}), and carries out
 * what it wants ({@link Effect}) in order:
 *
 * ```text
 * Acted ─▶ fact, its change ─▶ Persist(outbox) ─▶ Persisted ─▶ Send(Push) ─▶ Ack ─▶ Persist(stamped fact)
 * Entries ─▶ (rows missing: Load … Loaded) ─▶ Persist(facts, grants, revocations and cursor, in one) ─▶ View
 * Snapshot ─▶ Persist(the document anew, backfill one step on)
 * ```
 *
 * Invariants: no socket, disk, clock or randomness in here. What is told to the hub is durable first. The cursor moves
 * only in the transaction that holds everything up to it. Whatever is not durable can be lost at any moment without
 * harm.
 */

import { selfCheck } from "../protocol/change.ts"
import { Clock } from "../protocol/clock.ts"
import type { Team } from "../protocol/frame.ts"
import {
  type ConversationId,
  type DeviceId,
  type DocumentId,
  type Epoch,
  type Lsn,
  type MemberId,
  type PinnedKeyHash,
  type PublicKey,
  deviceIdOf,
} from "../protocol/id.ts"
import { acted, loaded, runJobs, type Job } from "./job.ts"
import { type FetchState } from "./backfill.ts"
import { Pauses } from "./backoff.ts"
import type { ActOutcome, Effect, Notice, Ticket } from "./effect.ts"
import type { Input, Now, Request } from "./input.ts"
import { Leases, tickLeases } from "./lease.ts"
import { Offers, hasOffers, queueLost } from "./offer.ts"
import { OrderedMap } from "./ordered.ts"
import { Outbox } from "./outbox.ts"
import { type Question, sendAll } from "./push.ts"
import { Random } from "./random.ts"
import type { Replica } from "./replica.ts"
import { noteStale, settle } from "./rewrite.ts"
import type { BackfillRow, ConversationRow, DocumentRow, Meta, NotSentRow, ResolveRow, Stored } from "./row.ts"
import { Screen, hasOlder, paint, reachBack, slide } from "./screen.ts"
import {
  Session,
  connected,
  disconnected,
  dropConnection,
  frameReceived,
  isReady,
  signed,
  tickSession,
} from "./session.ts"
import { summariseAll } from "./summary.ts"
import { Pending, commit, evict } from "./transaction.ts"

/** Sizes that a host may choose. */
export interface DeviceConfig {
  /** Documents kept in memory when no view shows them and nothing is in flight for them. */
  readonly documentsMax: number
  /** Facts of such documents kept in memory. */
  readonly factsMax: number
  /** Facts of an open view beside its newest documents: what is farther from where it reads is let go of. */
  readonly windowFacts: number
  /** Frames and acts that may wait for rows to be loaded; a frame beyond drops the connection, an act is `Busy`. */
  readonly waitingMax: number
  /** Whether the past of every conversation is fetched unasked. If not, it comes when somebody wants to see it. */
  readonly streamPast: boolean
}

/** What a browser's tab can bear: a fact takes about 1 KiB. */
export const DEFAULT_CONFIG: DeviceConfig = {
  documentsMax: 48,
  factsMax: 12_288,
  // A page that draws gaps sets a bound: 3,072 keeps a tab small in a conversation of any length.
  windowFacts: Number.POSITIVE_INFINITY,
  waitingMax: 256,
  streamPast: false,
}

/** What a device starts from. */
export interface Boot {
  /** Its public key; whoever has the secret one answers `Sign`. */
  readonly key: PublicKey
  /** SHA-256 of the hub's certificate public key, from the pairing link. */
  readonly pinned: PinnedKeyHash
  /** What its store holds. */
  readonly stored: Stored
  /** 32 fresh random bytes, new at each start. */
  readonly seed: Uint8Array
  /** Choices. */
  readonly config: DeviceConfig
}

/** A document in memory. */
export interface Loaded {
  replica: Replica
  /** The newest transaction that wrote to it: it stays in memory until that is durable. */
  ticket: Ticket
  /** When it was last used, in a count of uses. */
  used: number
}

/** See the module. Its fields are for the core's own modules; hosts use the methods. */
export class Device {
  readonly id: DeviceId
  readonly key: PublicKey
  readonly pinned: PinnedKeyHash
  readonly config: DeviceConfig
  readonly random: Random
  clock: Clock
  now: Now

  meta: Meta
  team: Team | null
  readonly conversations: OrderedMap<ConversationId, ConversationRow>
  readonly documents: OrderedMap<DocumentId, DocumentRow>
  readonly replicas = new OrderedMap<DocumentId, Loaded>()
  readonly outbox = new Outbox()
  readonly resolves = new OrderedMap<number, { row: ResolveRow; ticket: Ticket }>()
  readonly offers = new Offers()
  readonly backfills = new Map<ConversationId, BackfillRow>()
  readonly notSent = new OrderedMap<number, NotSentRow>()
  /** Conversations that may have a read position to be sent. */
  readonly marks = new Set<ConversationId>()

  pending = new Pending()
  nextTicket: Ticket = 1
  persisted: Ticket = 0
  done: { ticket: Ticket; request: Request; outcome: ActOutcome }[] = []
  failed = false

  jobs: Job[] = []
  /** Documents of conversations that the hub of the new epoch does not list: done when no job waits. */
  readonly lost: DocumentId[] = []
  loading: DocumentId | null = null
  loadAgainMs: number | null = null
  uses = 0

  readonly session: Session
  nextTag = 1
  readonly questions = new Map<number, Question>()
  readonly fetches = new Map<number, FetchState>()
  /** Imported segments that somebody wants to see and that are not held. */
  readonly wanted = new Set<DocumentId>()
  /** How often a fetched document could not be read. */
  readonly unreadable = new Map<DocumentId, number>()
  /** How often a document's rows could not be read. */
  readonly unloadable = new Map<DocumentId, number>()
  readonly pauses = new Pauses()
  /** Conversations with facts of an abandoned chain, to be written again once the epoch change is settled. */
  stale = new Set<ConversationId>()
  /** Conversations whose offers the hub of this session does not take. */
  readonly unofferable = new Set<ConversationId>()
  /** This device and the hub derive different changes. */
  differs = false

  readonly screen = new Screen()
  readonly leases = new Leases()
  out: Effect[] = []

  /** Starts a device. An enrolled one connects at once; another waits for `Enrol`. */
  constructor(boot: Boot, now: Now, effects: Effect[]) {
    const { stored } = boot
    this.key = boot.key
    this.id = deviceIdOf(boot.key)
    this.pinned = boot.pinned
    this.config = boot.config
    this.random = new Random(boot.seed)
    this.clock = new Clock(stored.meta.clockMs)
    this.now = now
    this.meta = stored.meta
    this.team = stored.team
    this.conversations = ordered(stored.conversations, (row) => row.conversation.id)
    this.documents = ordered(stored.documents, (row) => row.document)
    this.session = new Session(now)
    for (const row of stored.resolves) this.resolves.set(row.order, { row, ticket: 0 })
    for (const row of stored.outbox) this.outbox.insert(row, 0)
    for (const row of stored.offers) this.offers.insert(row)
    for (const row of stored.backfills) this.backfills.set(row.conversation, row)
    for (const row of stored.notSent) this.notSent.set(row.order, row)
    noteStale(this)
    for (const row of this.conversations.values()) {
      if (row.unsentMark !== null) this.marks.add(row.conversation.id)
      if (row.lost) queueLost(this, row.conversation.id)
    }
    if (!selfCheck()) {
      this.differs = true
      this.notice({ type: "UpdateNeeded" })
    }
    this.turn()
    this.flush(effects)
  }

  /** Handles one input; what is to be done is appended to `effects`, in order. */
  handle(now: Now, input: Input, effects: Effect[]): void {
    this.now = now
    if (this.failed) {
      if (input.type === "Acted") {
        effects.push({ type: "ActDone", request: input.request, outcome: { type: "StoreFailed" } })
      }
      return
    }
    switch (input.type) {
      case "Connected":
        connected(this, input.connection)
        break
      case "Disconnected":
        disconnected(this, input.connection)
        break
      case "FrameReceived":
        frameReceived(this, input.connection, input.frame)
        break
      case "Signed":
        signed(this, input.connection, input.proof)
        break
      case "Persisted":
        this.persisted = Math.max(this.persisted, input.ticket)
        break
      case "PersistFailed":
        this.persistFailed()
        break
      case "Loaded":
        loaded(this, input.document, input.rows)
        break
      case "Acted":
        acted(this, input.request, input.act)
        break
      case "Ticked":
        break
    }
    if (!this.failed) this.turn()
    this.flush(effects)
  }

  /** Does whatever can be done now. */
  private turn(): void {
    tickSession(this)
    tickLeases(this)
    runJobs(this)
    settle(this)
    reachBack(this)
    summariseAll(this)
    commit(this)
    if (this.session.broken) dropConnection(this, null)
    sendAll(this)
    commit(this)
    slide(this)
    paint(this)
    this.finishActs()
    evict(this)
  }

  private flush(effects: Effect[]): void {
    for (const effect of this.out) effects.push(effect)
    this.out = []
  }

  private persistFailed(): void {
    this.failed = true
    dropConnection(this, null)
    const waiting = this.done.map(({ request }) => request)
    const queued = this.jobs.flatMap((job) => (job.type === "Act" ? [job.request] : []))
    this.done = []
    this.jobs = []
    for (const request of [...waiting, ...queued]) {
      this.out.push({ type: "ActDone", request, outcome: { type: "StoreFailed" } })
    }
  }

  private finishActs(): void {
    let count = 0
    for (const { ticket, request, outcome } of this.done) {
      if (ticket > this.persisted) break
      this.out.push({ type: "ActDone", request, outcome })
      count++
    }
    if (count > 0) this.done.splice(0, count)
  }

  /** The monotonic time, milliseconds, at which it wants `Ticked`; null when it waits for nothing. */
  nextWake(): number | null {
    if (this.failed) return null
    const times = [this.session.nextMs(), this.leases.nextMs(), this.loadAgainMs]
    if (isReady(this)) times.push(this.pauses.nextMs(this.now.monoMs))
    return times.reduce((one, other) => (one === null || (other !== null && other < one) ? other : one), null)
  }

  /** Whether the hub let it in on the present connection. */
  get online(): boolean {
    return this.session.online
  }

  /** Whether nothing is outstanding: everything confirmed and durable, and nothing to be fetched unasked. */
  get idle(): boolean {
    return (
      isReady(this) &&
      this.session.caughtUp &&
      this.jobs.length === 0 &&
      this.lost.length === 0 &&
      this.outbox.size === 0 &&
      this.resolves.size === 0 &&
      this.fetches.size === 0 &&
      !hasOffers(this) &&
      this.persisted + 1 === this.nextTicket
    )
  }

  /** Whether an open view could show more than it does. */
  hasOlder(conversation: ConversationId): boolean {
    return hasOlder(this, conversation)
  }

  // What follows is for the core's own modules.

  get epoch(): Epoch {
    return this.meta.epochs[this.meta.epochs.length - 1] ?? ("0".repeat(32) as Epoch)
  }

  get member(): MemberId | null {
    return this.meta.member
  }

  /** Rank of an epoch among those met, from 1; 0 for others. */
  generation(epoch: Epoch): number {
    return this.meta.epochs.indexOf(epoch) + 1
  }

  /** Where its cursor stands, if it is of the present epoch. */
  get cursorLsn(): Lsn | null {
    const { cursor } = this.meta
    return cursor !== null && cursor.epoch === this.epoch ? cursor.lsn : null
  }

  setMeta(change: Partial<Meta>): void {
    this.meta = { ...this.meta, ...change }
    this.pending.meta = true
  }

  notice(notice: Notice): void {
    this.out.push({ type: "Notice", notice })
  }

  tag(): number {
    return this.nextTag++
  }
}

function ordered<K extends string | number, V>(rows: readonly V[], key: (row: V) => K): OrderedMap<K, V> {
  const map = new OrderedMap<K, V>()
  for (const row of rows) map.set(key(row), row)
  return map
}
