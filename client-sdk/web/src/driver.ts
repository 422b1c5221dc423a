/**
 * Drives one device: feeds the pure core with what happens, and carries out what it wants. It owns the core, the store
 * and the connection; everything comes in through one inbox, one at a time.
 */

import { Connection, type OpenSocket } from "./connection.ts"
import { DEFAULT_CONFIG, Device, type DeviceConfig } from "./core/device.ts"
import type { ActOutcome, Effect, Notice, Ticket } from "./core/effect.ts"
import { documentsOf } from "./core/entries.ts"
import type { Act, Input, Request } from "./core/input.ts"
import { Replica } from "./core/replica.ts"
import type { NotSentRow, Write } from "./core/row.ts"
import type { ViewEvent } from "./core/view.ts"
import { type Identity, makeKey, sign } from "./identity.ts"
import type {
  ChangeHash,
  ConversationId,
  DocumentDigest,
  DocumentId,
  InviteCode,
  PinnedKeyHash,
} from "./protocol/id.ts"
import { type RefusalCode, refusalCode } from "./protocol/refusal.ts"
import type { ChainFact } from "./protocol/saved.ts"
import { type ConversationItem, INITIAL_STATUS, type Status, type TeamView, itemOf } from "./status.ts"
import { type KeptDraft, Store, type StoreTrouble, storeTrouble } from "./store/store.ts"

/** What a device is told about its hub when it is enrolled. */
export interface Enrolment {
  /** The hub's WebSocket, as `wss://hub.lan:7443/v1/sync`. */
  readonly url: string
  /** SHA-256 of the hub's certificate key, from the pairing link. */
  readonly pinned: PinnedKeyHash
  /** The one-time code. */
  readonly code: InviteCode
  /** The device's shown name. */
  readonly name: string
}

/** Choices of a host. */
export interface DriverOptions {
  /** Makes WebSockets; the browser's own by default. */
  readonly openSocket?: OpenSocket
  /** Sizes. */
  readonly config?: Partial<DeviceConfig>
}

/** What a driver tells, once a turn. */
export interface DriverEvents {
  view(event: ViewEvent): void
  notice(notice: Notice): void
  conversations(changed: readonly ConversationItem[], gone: readonly ConversationId[]): void
  team(team: TeamView | null): void
  notSent(rows: readonly NotSentRow[]): void
  /** All drafts are others now. */
  drafts(drafts: ReadonlyMap<ConversationId, KeptDraft>): void
  status(status: Status): void
  /** What was told in one turn is complete. */
  turned(): void
}

/** A document as it is held here. */
export interface ExportedDocument {
  readonly document: DocumentId
  /** Its stamped facts, each chain in order. */
  readonly facts: readonly ChainFact[]
  /** The heads that they lead to, sorted. */
  readonly heads: readonly ChangeHash[]
  readonly digest: DocumentDigest
}

/** See the module. */
export class Driver {
  status: Status = INITIAL_STATUS
  private device: Device | null = null
  private identity: Identity | null = null
  private connection: { id: number; wire: Connection } | null = null
  private readonly inbox: Input[] = []
  private running = false
  private closed = false
  private timer: ReturnType<typeof setTimeout> | null = null
  private persists: { ticket: Ticket; writes: readonly Write[] }[] = []
  private writing: Promise<void> | null = null
  private readonly answers = new Map<Request, (outcome: ActOutcome) => void>()
  private nextRequest: Request = 1
  private stopped: RefusalCode | null = null
  private refused: RefusalCode | null = null
  private wrongHub = false
  private trouble: StoreTrouble | null = null
  private changed = new Map<ConversationId, ConversationItem | null>()

  private constructor(
    private readonly name: string,
    private store: Store,
    private readonly options: DriverOptions,
    private readonly events: DriverEvents,
  ) {}

  /** Opens a device's store, and starts the device if it was enrolled. */
  static async open(name: string, options: DriverOptions, events: DriverEvents): Promise<Driver> {
    let driver: Driver | null = null
    const store = await Store.open(name, () => driver?.storeFailed("failed"))
    driver = new Driver(name, store, options, events)
    driver.identity = await store.identity()
    if (driver.identity !== null) await driver.start(driver.identity)
    return driver
  }

  private async start(identity: Identity): Promise<void> {
    const stored = await this.store.stored()
    const config = { ...DEFAULT_CONFIG, ...this.options.config }
    const seed = crypto.getRandomValues(new Uint8Array(32))
    const boot = { key: identity.public, pinned: identity.pinned, stored, seed, config }
    const effects: Effect[] = []
    this.device = new Device(boot, now(), effects)
    this.carryOut(effects)
    this.publish()
  }

  /** Conversations that are shown, in no order. */
  conversations(): ConversationItem[] {
    return (
      this.device?.conversations
        .values()
        .map(itemOf)
        .filter((item) => item !== null) ?? []
    )
  }

  /** The team, once known. */
  team(): TeamView | null {
    return this.device?.team ?? null
  }

  /** What could not be sent, oldest first. */
  notSent(): NotSentRow[] {
    return this.isLocked ? [] : (this.device?.notSent.values() ?? [])
  }

  /** Whether unsent text of before waits here until it is known whose device this is. */
  private get isLocked(): boolean {
    return (this.device?.meta.carried ?? null) !== null
  }

  /** Every document of a conversation that is held here, from the store: to export it, or to compare it. */
  async export(conversation: ConversationId): Promise<ExportedDocument[]> {
    await this.writing
    const { device } = this
    if (device === null) return []
    const documents = documentsOf(device, conversation)
    return Promise.all(
      documents.map(async (document) => {
        const { facts, events } = await this.store.load(document)
        const replica = Replica.fromRows(document, facts, events)
        const chained = [...replica.facts()].filter((held) => held.hash !== null)
        const placed = chained.map(
          ({
            row: {
              placed: { actor, seq, fact },
            },
          }) => ({ actor, seq, fact }),
        )
        placed.sort((one, other) =>
          one.actor === other.actor ? one.seq - other.seq : one.actor < other.actor ? -1 : 1,
        )
        const heads = [...replica.chains.values()].map(({ hash }) => hash).sort()
        return { document, facts: placed, heads, digest: replica.digest }
      }),
    )
  }

  /** Every draft. */
  async drafts(): Promise<Map<ConversationId, KeptDraft>> {
    return this.isLocked ? new Map<ConversationId, KeptDraft>() : this.store.drafts()
  }

  /** Keeps a draft; null deletes it. */
  setDraft(conversation: ConversationId, draft: KeptDraft | null): Promise<void> {
    return this.store.setDraft(conversation, draft)
  }

  /** Does an act; answers when what it confirms is durable. */
  act(act: Act): Promise<ActOutcome> {
    if (this.device === null || this.closed) return Promise.resolve({ type: "Rejected", code: "DeviceUnknown" })
    const request = this.nextRequest++
    return new Promise((resolve) => {
      this.answers.set(request, resolve)
      this.feed({ type: "Acted", request, act })
    })
  }

  /** Enrols this device. That it is under way is answered; what comes of it is told by status and notices. */
  async enrol({ url, pinned, code, name }: Enrolment): Promise<ActOutcome> {
    if (this.status.member !== null) return { type: "Rejected", code: "AlreadyExists" }
    try {
      // The key of an attempt whose answer was lost is used again: perhaps the hub took it.
      const known = this.identity?.spent === true ? null : this.identity
      const key = known ?? (await makeKey())
      this.identity = { public: key.public, secret: key.secret, url, pinned }
      await this.store.setIdentity(this.identity)
      this.stopped = null
      this.refused = null
      this.wrongHub = false
      this.device = null
      await this.start(this.identity)
    } catch (error) {
      this.storeFailed(storeTrouble(error))
      return { type: "StoreFailed" }
    }
    return this.act({ type: "Enrol", code, name })
  }

  /** Starts the device anew from its store: after the browser gave room again. */
  async restart(): Promise<void> {
    if (this.identity === null) return
    this.dropWire()
    this.device = null
    this.trouble = null
    this.persists = []
    this.store.close()
    this.store = await Store.open(this.name, () => this.storeFailed("failed"))
    await this.start(this.identity)
  }

  /** Deletes everything that the browser keeps of this device. The hub still knows it until it is revoked there. */
  async wipe(): Promise<void> {
    this.hide()
    this.dropWire()
    this.device = null
    this.identity = null
    this.persists = []
    this.answerAll({ type: "StoreFailed" })
    await this.writing
    this.store.close()
    await Store.wipe(this.name)
    this.store = await Store.open(this.name, () => this.storeFailed("failed"))
    this.publish()
  }

  /**
   * The hub does not know this device: it was revoked while it was away, or the hub was restored to before its
   * enrolment. Nothing is shown any more, and only what its member wrote and the hub has not confirmed is kept.
   */
  private async lock(): Promise<void> {
    const { device, identity } = this
    if (device === null || identity === null) return
    this.hide()
    this.answerAll({ type: "Rejected", code: "DeviceUnknown" })
    // What was answered as written is durable; what is on its way into the store gets there first.
    while (this.writing !== null) await this.writing
    if (this.device !== device || this.closed) return
    this.dropWire()
    this.device = null
    this.changed = new Map()
    try {
      await this.store.lock()
      this.identity = { ...identity, spent: true }
      await this.start(this.identity)
    } catch (error) {
      this.storeFailed(storeTrouble(error))
    }
  }

  /** Pages are shown nothing of this device any more. */
  private hide(): void {
    const gone = this.conversations().map(({ id }) => id)
    for (const conversation of this.device?.screen.views.keys() ?? []) {
      this.events.view({ type: "Closed", conversation })
    }
    this.events.conversations([], gone)
    this.events.team(null)
    this.events.notSent([])
    this.events.drafts(new Map())
  }

  /** A locked device is a member's again. */
  private async reenrolled(kept: boolean): Promise<void> {
    if (!kept) await this.store.clearDrafts()
    this.events.drafts(await this.store.drafts())
    this.events.notSent(this.notSent())
    this.events.turned()
  }

  /** Stops. What is on its way into the store is finished. */
  async close(): Promise<void> {
    this.closed = true
    this.dropWire()
    await this.writing
    this.store.close()
  }

  private dropWire(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.connection?.wire.close()
    this.connection = null
    this.inbox.length = 0
  }

  private answerAll(outcome: ActOutcome): void {
    const waiting = [...this.answers.values()]
    this.answers.clear()
    for (const answer of waiting) answer(outcome)
  }

  /** Tells the core what happened; one after the other. */
  private feed(input: Input): void {
    if (this.closed || this.device === null) return
    this.inbox.push(input)
    if (this.running) return
    this.running = true
    try {
      for (let next = this.inbox.shift(); next !== undefined && this.device !== null; next = this.inbox.shift()) {
        const effects: Effect[] = []
        this.device.handle(now(), next, effects)
        this.carryOut(effects)
      }
    } finally {
      this.running = false
    }
    this.publish()
  }

  private carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "Connect":
          this.connect(effect.connection)
          break
        case "Disconnect":
          if (this.connection?.id === effect.connection) {
            this.connection.wire.close()
            this.connection = null
          }
          break
        case "Sign":
          void this.sign(effect.connection, effect.bytes)
          break
        case "Send":
          if (this.connection?.id === effect.connection) this.connection.wire.send(effect.bytes)
          break
        case "Persist":
          this.persists.push(effect)
          this.note(effect.writes)
          this.writing ??= this.persist()
          break
        case "Load":
          void this.load(effect.document)
          break
        case "View":
          this.events.view(effect.event)
          break
        case "Notice":
          this.noticed(effect.notice)
          break
        case "ActDone":
          this.answers.get(effect.request)?.(effect.outcome)
          this.answers.delete(effect.request)
      }
    }
  }

  private connect(connection: number): void {
    const open = this.options.openSocket ?? ((url: string) => new WebSocket(url))
    const events = {
      connected: () => this.feed({ type: "Connected", connection }),
      frame: (frame: Extract<Input, { type: "FrameReceived" }>["frame"]) =>
        this.feed({ type: "FrameReceived", connection, frame }),
      gone: () => this.feed({ type: "Disconnected", connection }),
    }
    this.connection?.wire.close()
    try {
      this.connection = { id: connection, wire: new Connection(open, this.identity?.url ?? "", events) }
    } catch {
      // An address that no socket can be opened to: the same as a hub that does not answer.
      queueMicrotask(events.gone)
    }
  }

  private async sign(connection: number, bytes: Uint8Array): Promise<void> {
    const { identity, device } = this
    const proof = identity === null ? null : await sign(identity.secret, bytes).catch(() => null)
    if (this.device === device) this.feed({ type: "Signed", connection, proof })
  }

  private async load(document: Extract<Effect, { type: "Load" }>["document"]): Promise<void> {
    const { device } = this
    const rows = await this.store.load(document).catch(() => null)
    if (this.device === device) this.feed({ type: "Loaded", document, rows })
  }

  /** Writes what waits, all of it in one transaction of the database at a time. */
  private async persist(): Promise<void> {
    const { device } = this
    while (this.persists.length > 0) {
      const batch = this.persists
      this.persists = []
      const ticket = batch.reduce((newest, one) => Math.max(newest, one.ticket), 0)
      try {
        await this.store.write(batch.flatMap((one) => one.writes))
      } catch (error) {
        this.writing = null
        if (this.device === device) this.storeFailed(storeTrouble(error))
        return
      }
      if (this.device === device) this.feed({ type: "Persisted", ticket })
    }
    this.writing = null
  }

  private storeFailed(trouble: StoreTrouble): void {
    if (this.closed) return
    this.trouble = trouble
    this.persists = []
    this.feed({ type: "PersistFailed" })
    this.publish()
  }

  /** Keeps track of what lists show. */
  private note(writes: readonly Write[]): void {
    let notSent = false
    for (const write of writes) {
      if (write.type === "Conversation") this.changed.set(write.row.conversation.id, itemOf(write.row))
      else if (write.type === "Forget") this.changed.set(write.conversation, null)
      else if (write.type === "Team") this.events.team(write.row)
      else if (write.type === "NotSent" || write.type === "NotSentGone") notSent = true
    }
    if (notSent) this.events.notSent(this.notSent())
  }

  private noticed(notice: Notice): void {
    if (notice.type === "Online") [this.stopped, this.refused, this.wrongHub] = [null, null, false]
    else if (notice.type === "Refused" && this.device?.member === null)
      this.refused ??= refusalCode(notice.refusal.code)
    else if (notice.type === "WrongHub") this.wrongHub = true
    else if (notice.type === "Stopped") {
      this.stopped = notice.code
      const known = this.device?.member !== null
      if (known && notice.code === "DeviceRevoked") queueMicrotask(() => void this.wipe())
      if (known && notice.code === "DeviceUnknown") queueMicrotask(() => void this.lock())
    } else if (notice.type === "Reenrolled") {
      void this.reenrolled(notice.kept).catch((error: unknown) => this.storeFailed(storeTrouble(error)))
    }
    this.events.notice(notice)
  }

  private publish(): void {
    const { device } = this
    if (this.changed.size > 0) {
      const items = [...this.changed]
      this.changed = new Map()
      const gone = items.flatMap(([id, item]) => (item === null ? [id] : []))
      this.events.conversations(
        items.flatMap(([, item]) => item ?? []),
        gone,
      )
    }
    const member = device?.member ?? null
    const status: Status = {
      phase: phaseOf(device),
      member,
      device: device?.id ?? null,
      hub: this.identity === null ? null : { url: this.identity.url, pinned: this.identity.pinned },
      role: device?.team?.role ?? null,
      online: device?.online ?? false,
      caughtUp: device?.session.caughtUp ?? false,
      synced: device?.idle ?? false,
      outbox: device === null ? 0 : device.outbox.size + device.resolves.size,
      notSent: device?.notSent.size ?? 0,
      stopped: this.stopped,
      refused: this.refused,
      updateNeeded: device?.differs ?? false,
      wrongHub: this.wrongHub,
      store: this.trouble ?? "ok",
    }
    if (JSON.stringify(status) !== JSON.stringify(this.status)) {
      this.status = status
      this.events.status(status)
    }
    this.events.turned()
    this.plan()
  }

  private plan(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    const at = this.device?.nextWake() ?? null
    this.timer =
      at === null || this.closed
        ? null
        : setTimeout(() => this.feed({ type: "Ticked" }), Math.max(0, at - now().monoMs))
  }
}

function phaseOf(device: Device | null): Status["phase"] {
  if (device === null) return "new"
  if (device.member !== null) return "enrolled"
  const { enrol, helloOnce, phase } = device.session
  if (phase !== "stopped" && (enrol !== null || helloOnce || phase !== "waiting")) return "enrolling"
  return (device.meta.carried ?? null) === null ? "new" : "locked"
}

function now(): { wallMs: number; monoMs: number } {
  return { wallMs: Date.now(), monoMs: Math.round(performance.now()) }
}
