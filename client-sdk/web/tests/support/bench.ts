/** A bench around pure devices: virtual time, stores that can be held, lines that break. */

import { Device, type DeviceConfig, DEFAULT_CONFIG } from "../../src/core/device.ts"
import type { ActOutcome, Effect, Notice } from "../../src/core/effect.ts"
import { documentsOf } from "../../src/core/entries.ts"
import type { Act, Input } from "../../src/core/input.ts"
import { Replica } from "../../src/core/replica.ts"
import { isOpen, shownAnew } from "../../src/core/screen.ts"
import { type MessageView, applyEvent } from "../../src/core/view.ts"
import { type DeviceFrame, type HubFrame, decodeDeviceFrame } from "../../src/protocol/frame.ts"
import {
  type ConversationId,
  type MemberId,
  type MessageId,
  type PinnedKeyHash,
  type PublicKey,
  type Signature,
} from "../../src/protocol/id.ts"
import { FakeHub, conversationId, hex } from "./fake_hub.ts"
import { Rows } from "./rows.ts"

/** A pure device with its rows and its line. */
export class TestDevice {
  rows = new Rows()
  device!: Device
  readonly sent: DeviceFrame[] = []
  readonly notices: Notice[] = []
  readonly outcomes = new Map<number, ActOutcome>()
  /** Messages that were confirmed as written, of conversations that are destroyed by now. */
  get inShredded(): Set<MessageId> {
    const of = [...this.written].filter(([, conversation]) => this.bench.hub.shredded.has(conversation))
    return new Set(of.map(([message]) => message))
  }
  private readonly drafts = new Map<number, ConversationId>()
  private readonly written = new Map<MessageId, ConversationId>()
  readonly gaps = new Map<ConversationId, MessageId | null>()
  readonly shown = new Map<ConversationId, MessageView[]>()
  /** Transactions that the store holds back. */
  held: Extract<Effect, { type: "Persist" }>[] = []
  storeHeld = false
  /** The line is cut: nothing goes through until it is mended. */
  line = true
  /** The hub does not answer pings. */
  deaf = false
  welcomed = false
  connection = 0
  private request = 0
  private starts = 0

  constructor(
    private readonly bench: Bench,
    readonly member: MemberId,
    private readonly number: number,
    private readonly config: Partial<DeviceConfig>,
  ) {
    this.start()
  }

  /** Starts it from what is durable. */
  start(): void {
    const seed = new Uint8Array(32).fill(this.number)
    seed[0] = ++this.starts
    this.shown.clear()
    this.held = []
    const effects: Effect[] = []
    const key = hex(this.number, 32) as PublicKey
    const stored = this.rows.stored()
    const enrolled = { ...stored, meta: { ...stored.meta, member: this.member } }
    const boot = {
      key,
      pinned: hex(9, 32) as PinnedKeyHash,
      stored: enrolled,
      seed,
      config: { ...DEFAULT_CONFIG, ...this.config },
    }
    this.device = new Device(boot, this.bench.now, effects)
    this.carryOut(effects)
  }

  /** Something for this run of the device: a crash takes it away. */
  private later(task: () => unknown): void {
    const { starts } = this
    this.bench.later(() => starts === this.starts && task())
  }

  /** Loses everything that is not durable. */
  crash(): void {
    this.disconnect()
    this.start()
  }

  input(input: Input): void {
    const effects: Effect[] = []
    this.device.handle(this.bench.now, input, effects)
    this.carryOut(effects)
  }

  act(what: Act): number {
    const request = ++this.request
    if (what.type === "Write") this.drafts.set(request, what.draft.conversation)
    this.input({ type: "Acted", request, act: what })
    if (this.bench.eager) this.bench.settle()
    return request
  }

  write(n: number, body: string, dir: "out" | "note" | "in" = "note"): MessageId | null {
    const draft = { conversation: conversationId(n), dir, kind: "text", body, re: null, media: null, id: null }
    const outcome = this.outcomes.get(this.act({ type: "Write", draft }))
    return outcome?.type === "Written" ? outcome.message : null
  }

  receive(frame: HubFrame): void {
    const { connection } = this
    this.later(
      () => this.line && connection === this.connection && this.input({ type: "FrameReceived", connection, frame }),
    )
  }

  /** The store writes what it held. */
  release(): void {
    this.storeHeld = false
    const { held } = this
    this.held = []
    for (const { ticket, writes } of held) {
      for (const write of writes) this.rows.write(write)
      this.later(() => this.input({ type: "Persisted", ticket }))
    }
    if (this.bench.eager) this.bench.settle()
  }

  cut(): void {
    const { connection } = this
    this.disconnect()
    this.input({ type: "Disconnected", connection })
  }

  private disconnect(): void {
    this.welcomed = false
    this.connection = 0
    this.bench.hub.disconnect(this)
  }

  private carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "Connect": {
          const { connection } = effect
          this.connection = connection
          if (this.line) {
            this.later(() => this.input({ type: "Connected", connection }))
            this.bench.hub.connect(this)
          } else this.later(() => this.input({ type: "Disconnected", connection }))
          break
        }
        case "Disconnect":
          if (effect.connection === this.connection) this.disconnect()
          break
        case "Sign": {
          const { connection } = effect
          this.later(() => this.input({ type: "Signed", connection, proof: hex(1, 64) as Signature }))
          break
        }
        case "Send": {
          const frame = decodeDeviceFrame(effect.bytes)
          if (frame === null) throw new Error("an unknown frame was sent")
          this.sent.push(frame)
          this.later(() => this.line && effect.connection === this.connection && this.bench.hub.receive(this, frame))
          break
        }
        case "Persist":
          this.held.push(effect)
          if (!this.storeHeld) this.later(() => this.durable(effect))
          break
        case "Load":
          this.later(() =>
            this.input({ type: "Loaded", document: effect.document, rows: this.rows.load(effect.document) }),
          )
          break
        case "View": {
          const { event } = effect
          if (event.type === "Gap") this.gaps.set(event.conversation, event.after)
          if (event.type === "Closed") this.shown.delete(event.conversation)
          else if ("message" in event || "messages" in event || event.type === "Removed") {
            this.shown.set(event.conversation, applyEvent(this.shown.get(event.conversation) ?? [], event))
          }
          break
        }
        case "Notice":
          this.notices.push(effect.notice)
          break
        case "ActDone": {
          this.outcomes.set(effect.request, effect.outcome)
          const conversation = this.drafts.get(effect.request)
          if (conversation !== undefined && effect.outcome.type === "Written")
            this.written.set(effect.outcome.message, conversation)
        }
      }
    }
  }

  private durable(effect: Extract<Effect, { type: "Persist" }>): void {
    if (this.held[0] !== effect) return
    this.held.shift()
    for (const write of effect.writes) this.rows.write(write)
    this.input({ type: "Persisted", ticket: effect.ticket })
  }

  /** What its store holds of each document: heads by document. */
  heads(): Record<string, string[]> {
    const heads: Record<string, string[]> = {}
    for (const conversation of this.device.conversations.keys()) {
      for (const document of documentsOf(this.device, conversation)) {
        const { facts, events } = this.rows.load(document)
        if (facts.length > 0)
          heads[document] = [...Replica.fromRows(document, facts, events).chains.values()]
            .map(({ hash }) => hash)
            .sort()
      }
    }
    return heads
  }
}

/** See the module. */
export class Bench {
  now = { wallMs: 1_790_000_000_000, monoMs: 1_000 }
  readonly hub = new FakeHub(this)
  readonly devices: TestDevice[] = []
  /** Whether everything that waits is done after each act. */
  eager = true
  private readonly tasks: (() => unknown)[] = []

  later(task: () => unknown): void {
    this.tasks.push(task)
  }

  device(member: MemberId, config: Partial<DeviceConfig> = {}): TestDevice {
    const device = new TestDevice(this, member, this.devices.length + 1, config)
    this.devices.push(device)
    this.settle()
    return device
  }

  /** Does one thing that waits; false if nothing does. */
  step(at = 0): boolean {
    const [task] = this.tasks.splice(Math.min(at, this.tasks.length - 1), 1)
    task?.()
    this.check()
    return task !== undefined
  }

  get waiting(): number {
    return this.tasks.length
  }

  /** Does everything that waits. */
  settle(): void {
    for (let steps = 0; this.step(); steps++) if (steps > 100_000) throw new Error("it never comes to rest")
  }

  /** Time passes; every timer that falls into it goes off. */
  pass(ms: number): void {
    this.settle()
    const end = this.now.monoMs + ms
    for (let rounds = 0; ; rounds++) {
      if (rounds > 10_000) throw new Error("a timer never comes to rest")
      const wakes = this.devices
        .map(({ device }) => device.nextWake())
        .filter((at) => at !== null && at <= end) as number[]
      const at = Math.min(end, ...wakes)
      this.now = { wallMs: this.now.wallMs + Math.max(0, at - this.now.monoMs), monoMs: Math.max(at, this.now.monoMs) }
      for (const device of this.devices) {
        const wake = device.device.nextWake()
        if (wake !== null && wake <= this.now.monoMs) device.input({ type: "Ticked" })
      }
      this.settle()
      if (wakes.length === 0) return
    }
  }

  /** What views were told adds up to what is there. */
  private check(): void {
    for (const { device, shown } of this.devices) {
      for (const [conversation, messages] of shown) {
        if (!isOpen(device, conversation)) throw new Error("a closed view is shown")
        const anew = JSON.stringify(shownAnew(device, conversation))
        if (JSON.stringify(messages) !== anew) throw new Error(`view differs:\n${JSON.stringify(messages)}\n${anew}`)
      }
    }
  }
}
