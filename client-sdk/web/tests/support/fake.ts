/** A small hub in memory and a bench around pure devices: virtual time, a store that can be held, lines that break. */

import { Device, type DeviceConfig, DEFAULT_CONFIG } from "../../src/core/device.ts"
import type { ActOutcome, Effect, Notice } from "../../src/core/effect.ts"
import { documentsOf } from "../../src/core/entries.ts"
import type { Act, Input } from "../../src/core/input.ts"
import { Replica } from "../../src/core/replica.ts"
import { type EventRow, EMPTY_META, type FactRow, type Stored, type Write, eventDocument, eventKey } from "../../src/core/row.ts"
import { isOpen, shownAnew } from "../../src/core/screen.ts"
import { type MessageView, applyEvent } from "../../src/core/view.ts"
import { type ChainHead, derive, emptyHead } from "../../src/protocol/change.ts"
import { decode, encode } from "../../src/protocol/codec.ts"
import { Digest } from "../../src/protocol/digest.ts"
import type { Member } from "../../src/protocol/directory.ts"
import { type Entry, type EntryBody, type PlacedFact, documentOf, entryCodec, entryConversation } from "../../src/protocol/entry.ts"
import { nameOf, subjectOf } from "../../src/protocol/fact.ts"
import { type DeviceFrame, type HubFrame, type Outcome, decodeDeviceFrame, decodeHubFrame, hubFrameCodec } from "../../src/protocol/frame.ts"
import { type ConversationId, type CursorTag, type DocumentId, type Epoch, type HubId, type Lsn, type Mac, type MemberId, type MessageId, type Nonce, type PinnedKeyHash, type PublicKey, type Signature, conversationOf, documentId, kindOf, numberOf, prefixOf } from "../../src/protocol/id.ts"
import { REFUSAL_NUMBERS, type Refusal, type RefusalCode } from "../../src/protocol/refusal.ts"
import type { Cursor, Stamp, Verdict } from "../../src/protocol/stamp.ts"

const hex = (byte: number, length: number): string => byte.toString(16).padStart(2, "0").repeat(length)

/** The n-th conversation of a test. */
export const conversationId = (n: number): ConversationId => hex(0xa0 + n, 16) as ConversationId

/** A refusal with a code. */
export function refusal(code: RefusalCode, more: Partial<Refusal> = {}): Refusal {
  const none = { retryAfterMs: null, next: null, hash: null, open: null, nowMs: null, document: null, stamp: null, by: null }
  return { code: REFUSAL_NUMBERS[code], message: code, ...none, ...more }
}

/** A hub that takes everything, unless a test says otherwise. */
export class FakeHub {
  epoch = hex(0xe0, 16) as Epoch
  entries: Uint8Array[] = []
  readonly conversations = new Map<ConversationId, { openSegment: number; openCard: number }>()
  readonly members: Member[] = [1, 2, 3].map((id) => ({ id, name: `member ${id}`, role: "manager" }))
  /** Messages that a segment takes; more open the next. */
  segmentMessages = 1_000_000
  /** Answers a fact of a push otherwise than by taking it. */
  judge: (placed: PlacedFact, member: MemberId) => Outcome | Verdict | null = () => null
  /** How many other things happen before the answer to a Fetch leaves. */
  slow: () => number = () => 0
  private heads = new Map<string, ChainHead>()
  private names = new Map<string, { stamp: Stamp; placed: PlacedFact }>()
  private epochs = 0
  private readonly sessions = new Map<TestDevice, { actors: Set<string> }>()

  constructor(private readonly bench: Bench) {}

  get head(): Lsn {
    return this.entries.length
  }

  cursor(lsn: Lsn): Cursor {
    return { epoch: this.epoch, lsn, tag: hex(lsn % 251, 16) as CursorTag }
  }

  connect(device: TestDevice): void {
    this.sessions.set(device, { actors: new Set() })
    this.tell(device, { type: "Challenge", nonce: hex(7, 16) as Nonce, hub: hex(0xb0, 16) as HubId })
  }

  disconnect(device: TestDevice): void {
    this.sessions.delete(device)
  }

  tell(device: TestDevice, frame: HubFrame): void {
    device.receive(decodeHubFrame(encode(hubFrameCodec, frame)) as HubFrame)
  }

  /** Adds an entry to the log and tells every session of it, but for one that has its Ack. */
  log(body: EntryBody, member: MemberId, verdict: Verdict = { type: "Accepted" }, author: TestDevice | null = null): Stamp {
    const lsn = this.head + 1
    const stamp: Stamp = { lsn, atMs: this.bench.now.wallMs, member, verdict, mac: hex(lsn % 256, 8) as Mac }
    const bytes = encode(entryCodec, { stamp, body })
    this.entries.push(bytes)
    for (const device of this.sessions.keys()) if (device.welcomed) this.range(device, lsn - 1, device === author ? [] : [bytes])
    return stamp
  }

  private range(device: TestDevice, from: Lsn, entries: Uint8Array[]): void {
    const { tag } = this.cursor(from + 1)
    this.tell(device, { type: "Entries", entries: { from, upto: from + 1, tag, entries, granted: [], revoked: [] } })
  }

  openConversation(id: ConversationId): void {
    this.conversations.set(id, { openSegment: 0, openCard: 0 })
    const conversation = { id, customer: `customer ${id.slice(0, 2)}`, service: null, assigned: [] }
    const body: EntryBody = { type: "Directory", event: { type: "ConversationOpened", conversation } }
    this.log(body, 0)
  }

  /** Loses everything after `lsn` and begins a new epoch, as after a restore. */
  restore(lsn: Lsn): void {
    const kept = this.entries.slice(0, lsn).map((bytes) => decode(entryCodec, bytes))
    for (const device of [...this.sessions.keys()]) device.cut()
    this.epoch = hex(0xe1 + this.epochs++, 16) as Epoch
    this.entries = []
    this.heads = new Map()
    this.names = new Map()
    for (const entry of kept) {
      this.entries.push(encode(entryCodec, entry))
      if (entry.body.type === "Fact") this.remember(entry.body.placed, entry.stamp)
    }
  }

  private remember(placed: PlacedFact, stamp: Stamp): void {
    const key = placed.document + placed.actor
    this.heads.set(key, derive(placed.actor, this.heads.get(key) ?? emptyHead(kindOf(placed.document)), placed.fact))
    this.names.set(conversationOf(placed.document) + nameOf(placed.fact), { stamp, placed })
  }

  receive(device: TestDevice, frame: DeviceFrame): void {
    const session = this.sessions.get(device)
    if (session === undefined) return
    switch (frame.type) {
      case "Hello":
      case "Enrol":
        this.welcome(device, frame.type === "Hello" ? frame.hello.cursor : null)
        return
      case "Push":
        this.push(device, frame)
        return
      case "Mark": {
        const { tag, conversation, message } = frame
        const known = this.names.get(conversation + message)
        const read = known?.stamp.lsn ?? 0
        const { lsn } = this.log({ type: "Marked", conversation, message, read }, device.member)
        this.ack(device, tag, [{ type: "Done", lsn }])
        return
      }
      case "Resolve": {
        const { tag, conversation, message, resolution } = frame.resolve
        const document = this.names.get(conversation + message)?.placed.document ?? documentId(conversation, "segment", 0)
        const { lsn } = this.log({ type: "Resolved", document, message, resolution }, device.member)
        this.ack(device, tag, [{ type: "Done", lsn }])
        return
      }
      case "Offer":
        this.ack(device, frame.tag, frame.entries.map(({ stamp, body }) => this.readmit(body, stamp)))
        return
      case "Fetch":
        this.fetch(device, frame.fetch)
        return
      case "Command":
        this.ack(device, frame.tag, [{ type: "Refused", refusal: refusal("NotPermitted") }])
        return
      case "Ping":
        if (!device.deaf) this.tell(device, { type: "Pong" })
    }
  }

  private ack(device: TestDevice, tag: number, results: Outcome[]): void {
    this.tell(device, { type: "Ack", tag, results, witness: this.cursor(this.head) })
  }

  private welcome(device: TestDevice, cursor: Cursor | null): void {
    const good = cursor !== null && cursor.epoch === this.epoch && cursor.lsn <= this.head
    const policy = { collision: "hold" as const, agentsSeeUnassigned: true, servicesLock: false, devicesMax: null }
    const { epoch, head } = this
    const common = { session: 1n, epoch, nowMs: this.bench.now.wallMs, member: device.member, role: "manager" as const, policy }
    this.tell(device, { type: "Welcome", welcome: { ...common, catalogue: !good, head } })
    device.welcomed = true
    if (good) {
      for (let lsn = cursor.lsn; lsn < head; lsn++) this.range(device, lsn, [this.entries[lsn] as Uint8Array])
      return
    }
    const conversations = [...this.conversations.keys()].sort().map((id) => this.listing(id))
    const team = { members: this.members, policy, role: "manager" as const }
    this.tell(device, { type: "Catalogue", catalogue: { tag: null, page: 0, conversations, team, end: this.cursor(head) } })
  }

  private listing(id: ConversationId) {
    const row = this.conversations.get(id) ?? { openSegment: 0, openCard: 0 }
    const documents = [...this.documents(id)].map(([document, entries]) => ({ document, digest: digestOf(document, entries) }))
    const conversation = { id, customer: `customer ${id.slice(0, 2)}`, service: null, assigned: [] }
    return { conversation, ...row, newest: this.head, markers: [], documents: documents.sort((one, other) => (one.document < other.document ? -1 : 1)) }
  }

  /** Ids of the messages that it holds. */
  messages(): Set<MessageId> {
    return new Set([...this.names.values()].flatMap(({ placed: { fact } }) => (fact.type === "Message" ? [fact.message.id] : [])))
  }

  /** Digests of everything that it holds. */
  digests(): Map<DocumentId, string> {
    const all = [...this.conversations.keys()].flatMap((id) => [...this.documents(id)])
    return new Map(all.map(([document, entries]) => [document, digestOf(document, entries)]))
  }

  private documents(id: ConversationId): Map<DocumentId, { bytes: Uint8Array; entry: Entry }[]> {
    const documents = new Map<DocumentId, { bytes: Uint8Array; entry: Entry }[]>()
    for (const bytes of this.entries) {
      const entry = decode(entryCodec, bytes)
      const document = documentOf(entry.body)
      if (document === null || entry.body.type === "Opened" || entryConversation(entry.body) !== id) continue
      documents.set(document, [...(documents.get(document) ?? []), { bytes, entry }])
    }
    return documents
  }

  private fetch(device: TestDevice, asked: Extract<DeviceFrame, { type: "Fetch" }>["fetch"]): void {
    const frames: HubFrame[] = []
    this.answerFetch(asked, (frame) => frames.push(frame))
    // What is read for a Fetch may be told behind entries that came meanwhile.
    let hops = this.slow()
    const { connection } = device
    const tell = (): void => {
      if (hops-- > 0) this.bench.later(tell)
      else if (device.connection === connection) for (const frame of frames) this.tell(device, frame)
    }
    tell()
  }

  private answerFetch({ tag, conversation, before, limit }: Extract<DeviceFrame, { type: "Fetch" }>["fetch"], tell: (frame: HubFrame) => void): void {
    const listing = { ...this.listing(conversation), documents: [] }
    tell({ type: "Catalogue", catalogue: { tag, page: 0, conversations: [listing], team: null, end: null } })
    const all = this.documents(conversation)
    const cards = before === null ? [...all.keys()].filter((id) => kindOf(id) === "card") : []
    const segments = [...all.keys()].filter((id) => kindOf(id) === "segment" && (before === null || numberOf(id) < before))
    const newest = segments.sort().reverse().slice(0, limit)
    for (const document of [...cards, ...newest]) {
      const tail = (all.get(document) ?? []).map(({ bytes }) => ({ epoch: 0, entry: bytes }))
      const table = { epochs: [this.epoch], facts: [], events: [] }
      tell({ type: "Snapshot", snapshot: { tag, document, upto: this.head, part: 0, last: true, bytes: new Uint8Array(), table, tail } })
    }
    const last = newest[newest.length - 1]
    const more = last !== undefined && segments.length > newest.length ? numberOf(last) : null
    tell({ type: "Fetched", tag, conversation, before: more })
  }

  private push(device: TestDevice, { push }: Extract<DeviceFrame, { type: "Push" }>): void {
    const results: Outcome[] = []
    const { document, actor, nonce } = push
    for (const [at, { hash, fact }] of push.facts.entries()) {
      const seq = push.seq + at
      const key = document + actor
      const head = this.heads.get(key) ?? emptyHead(kindOf(document))
      const name = conversationOf(document) + nameOf(fact)
      const known = this.names.get(name)
      const opening = nonce === null ? null : { device: device.device.id, nonce }
      const placed: PlacedFact = { document, actor, seq, hash, fact, opening: seq === 1 ? opening : null, origin: null }
      const judged = this.judge(placed, device.member)
      const refuse = (refused: Refusal): number => results.push({ type: "Refused", refusal: refused })
      if (known !== undefined && known.placed.actor === actor && known.placed.seq === seq) {
        results.push({ type: "Placed", hash, stamp: known.stamp })
        continue
      }
      if (judged?.type === "Refused") refuse(judged.refusal)
      else if (seq > head.seq + 1) refuse(refusal("Gap", { next: head.seq + 1, hash: prefixOf(head.hash) }))
      else if (seq <= head.seq) refuse(refusal("Forked"))
      else if (prefixOf(derive(actor, head, fact).hash) !== hash) refuse(refusal("HashDiffers"))
      else if (known !== undefined) refuse(refusal("Duplicate", { document: known.placed.document, stamp: known.stamp }))
      else {
        const verdict: Verdict = judged?.type === "Held" || judged?.type === "Flagged" ? judged : { type: "Accepted" }
        const stamp = this.log({ type: "Fact", placed }, device.member, verdict, device)
        this.remember(placed, stamp)
        results.push({ type: "Placed", hash, stamp })
        this.openNext(document)
        continue
      }
      break
    }
    this.ack(device, push.tag, results)
  }

  private openNext(document: DocumentId): void {
    const conversation = conversationOf(document)
    const row = this.conversations.get(conversation)
    if (row === undefined || kindOf(document) !== "segment" || numberOf(document) !== row.openSegment) return
    const held = [...this.names.values()].filter(({ placed }) => placed.document === document && placed.fact.type === "Message")
    if (held.length < this.segmentMessages) return
    row.openSegment++
    this.log({ type: "Opened", document: documentId(conversation, "segment", row.openSegment) }, 0)
  }

  /** Writes an offered entry as the next of the recovery chain. */
  private readmit(body: EntryBody, stamp: Stamp): Outcome {
    if (body.type !== "Fact") {
      this.log(body, stamp.member)
      return { type: "Readmitted", lsn: this.head }
    }
    const { document, fact, hash: _, ...rest } = body.placed
    if (this.names.has(conversationOf(document) + nameOf(fact))) return { type: "Known" }
    const subject = subjectOf(fact)
    const target = fact.type !== "Message" && subject !== null ? this.names.get(conversationOf(document) + subject) : undefined
    if (fact.type !== "Message" && subject !== null && target === undefined) return { type: "Refused", refusal: refusal("TargetUnknown") }
    const actor = hex(0xcc, 16) as PlacedFact["actor"]
    const head = this.heads.get(document + actor) ?? emptyHead(kindOf(document))
    const next = derive(actor, head, fact)
    const opening = next.seq === 1 ? { device: hex(0, 16) as never, nonce: hex(0, 16) as Nonce } : null
    const placed: PlacedFact = { ...rest, document, actor, seq: next.seq, hash: prefixOf(next.hash), fact, opening, origin: null }
    this.remember(placed, this.log({ type: "Fact", placed }, stamp.member, stamp.verdict))
    return { type: "Readmitted", lsn: this.head }
  }
}

function digestOf(document: DocumentId, entries: readonly { entry: Entry }[]) {
  const digest = new Digest()
  const heads = new Map<string, ChainHead>()
  for (const { entry: { stamp, body } } of entries) {
    if (body.type !== "Fact") digest.toggleEvent(body, stamp.mac)
    else {
      const { actor, fact } = body.placed
      const head = derive(actor, heads.get(actor) ?? emptyHead(kindOf(document)), fact)
      heads.set(actor, head)
      digest.toggleFact(head.hash, stamp.mac)
    }
  }
  return digest.value
}

/** Rows in memory: what a store must do with each write. */
export class Rows {
  private tables = new Map<string, Map<string | number, unknown>>()

  private table<T>(name: string): Map<string | number, T> {
    let table = this.tables.get(name)
    if (table === undefined) this.tables.set(name, (table = new Map()))
    return table as Map<string | number, T>
  }

  write(write: Write): void {
    const within = (name: string, prefix: string): void => {
      for (const key of this.table(name).keys()) if (String(key).startsWith(prefix)) this.table(name).delete(key)
    }
    switch (write.type) {
      case "Meta":
      case "Team":
        return void this.table("state").set(write.type, write.row)
      case "Conversation":
        return void this.table("conversations").set(write.row.conversation.id, write.row)
      case "Document":
        return void this.table("documents").set(write.row.document, write.row)
      case "DocumentGone":
        return ["documents", "facts", "events"].forEach((name) => within(name, write.document))
      case "Fact":
        return void this.table("facts").set(`${write.row.placed.document}/${write.row.placed.actor}/${write.row.placed.seq}`, write.row)
      case "Event":
        return void this.table("events").set(`${eventDocument(write.row.body)}/${eventKey(write.row.body)}`, write.row)
      case "Outbox":
        return void this.table("outbox").set(write.row.order, write.row)
      case "OutboxGone":
        return void this.table("outbox").delete(write.order)
      case "Resolve":
        return void this.table("resolves").set(write.row.order, write.row)
      case "ResolveGone":
        return void this.table("resolves").delete(write.order)
      case "Offer":
        return void this.table("offers").set(write.row.key, write.row)
      case "OfferGone":
        return void this.table("offers").delete(write.key)
      case "Backfill":
        return void this.table("backfills").set(write.row.conversation, write.row)
      case "BackfillGone":
        return void this.table("backfills").delete(write.conversation)
      case "NotSent":
        return void this.table("notSent").set(write.row.order, write.row)
      case "NotSentGone":
        return void this.table("notSent").delete(write.order)
      case "Forget":
        ;["documents", "facts", "events"].forEach((name) => within(name, write.conversation))
        this.table("conversations").delete(write.conversation)
        this.table("backfills").delete(write.conversation)
    }
  }

  load(document: DocumentId): { facts: FactRow[]; events: EventRow[] } {
    const of = <T>(name: string): T[] => [...this.table<T>(name)].filter(([key]) => String(key).startsWith(document)).map(([, row]) => row)
    return { facts: of("facts"), events: of("events") }
  }

  stored(): Stored {
    const all = <T>(name: string): T[] => [...this.table<T>(name)].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, row]) => row)
    const state = this.table<never>("state")
    return {
      meta: state.get("Meta") ?? EMPTY_META,
      team: state.get("Team") ?? null,
      conversations: all("conversations"),
      documents: all("documents"),
      outbox: all("outbox"),
      resolves: all("resolves"),
      offers: all("offers"),
      backfills: all("backfills"),
      notSent: all("notSent"),
    }
  }
}

/** A pure device with its rows and its line. */
export class TestDevice {
  rows = new Rows()
  device!: Device
  readonly sent: DeviceFrame[] = []
  readonly notices: Notice[] = []
  readonly outcomes = new Map<number, ActOutcome>()
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
    const boot = { key, pinned: hex(9, 32) as PinnedKeyHash, stored: enrolled, seed, config: { ...DEFAULT_CONFIG, ...this.config } }
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

  act(act: Act): number {
    const request = ++this.request
    this.input({ type: "Acted", request, act })
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
    this.later(() => this.line && connection === this.connection && this.input({ type: "FrameReceived", connection, frame }))
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
          this.later(() => this.input({ type: "Loaded", document: effect.document, rows: this.rows.load(effect.document) }))
          break
        case "View": {
          const { event } = effect
          if (event.type === "Closed") this.shown.delete(event.conversation)
          else if ("message" in event || "messages" in event || event.type === "Removed") {
            this.shown.set(event.conversation, applyEvent(this.shown.get(event.conversation) ?? [], event))
          }
          break
        }
        case "Notice":
          this.notices.push(effect.notice)
          break
        case "ActDone":
          this.outcomes.set(effect.request, effect.outcome)
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
        if (facts.length > 0) heads[document] = [...Replica.fromRows(document, facts, events).chains.values()].map(({ hash }) => hash).sort()
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
      const wakes = this.devices.map(({ device }) => device.nextWake()).filter((at) => at !== null && at <= end) as number[]
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
