/** A small hub in memory, for pure devices on a bench. */

import { type ChainHead, derive, emptyHead } from "../../src/protocol/change.ts"
import { decode, encode } from "../../src/protocol/codec.ts"
import { Digest } from "../../src/protocol/digest.ts"
import type { Member } from "../../src/protocol/directory.ts"
import {
  type Entry,
  type EntryBody,
  type PlacedFact,
  documentOf,
  entryCodec,
  entryConversation,
} from "../../src/protocol/entry.ts"
import { nameOf, subjectOf, targetOf } from "../../src/protocol/fact.ts"
import {
  type DeviceFrame,
  type HubFrame,
  type Outcome,
  decodeHubFrame,
  hubFrameCodec,
} from "../../src/protocol/frame.ts"
import {
  type ConversationId,
  type CursorTag,
  type DocumentId,
  type Epoch,
  type HubId,
  type Lsn,
  type Mac,
  type MemberId,
  type MessageId,
  type Nonce,
  conversationOf,
  documentId,
  kindOf,
  numberOf,
  prefixOf,
} from "../../src/protocol/id.ts"
import { REFUSAL_NUMBERS, type Refusal, type RefusalCode } from "../../src/protocol/refusal.ts"
import type { Cursor, Stamp, Verdict } from "../../src/protocol/stamp.ts"
import type { Bench, TestDevice } from "./bench.ts"

/** Bytes of one value, as hexadecimal digits. */
export const hex = (byte: number, length: number): string => byte.toString(16).padStart(2, "0").repeat(length)

/** The n-th conversation of a test. */
export const conversationId = (n: number): ConversationId => hex(0xa0 + n, 16) as ConversationId

/** A refusal with a code. */
export function refusal(code: RefusalCode, more: Partial<Refusal> = {}): Refusal {
  const none = {
    retryAfterMs: null,
    next: null,
    hash: null,
    open: null,
    nowMs: null,
    document: null,
    stamp: null,
    by: null,
  }
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
  /** Conversations that were destroyed. */
  readonly shredded = new Set<ConversationId>()
  /** Documents that expired. */
  readonly expired = new Set<DocumentId>()
  /** Names of facts that expired: they are taken no more. */
  readonly gone = new Set<string>()
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
  log(
    body: EntryBody,
    member: MemberId,
    verdict: Verdict = { type: "Accepted" },
    author: TestDevice | null = null,
  ): Stamp {
    const lsn = this.head + 1
    const stamp: Stamp = { lsn, atMs: this.bench.now.wallMs, member, verdict, mac: hex(lsn % 256, 8) as Mac }
    const bytes = encode(entryCodec, { stamp, body })
    this.entries.push(bytes)
    for (const device of this.sessions.keys())
      if (device.welcomed) this.range(device, lsn - 1, device === author ? [] : [bytes])
    return stamp
  }

  private range(device: TestDevice, from: Lsn, entries: Uint8Array[]): void {
    const { tag } = this.cursor(from + 1)
    this.tell(device, { type: "Entries", entries: { from, upto: from + 1, tag, entries, granted: [], revoked: [] } })
  }

  openConversation(id: ConversationId): void {
    this.conversations.set(id, { openSegment: 0, openCard: 0 })
    const conversation = { id, customer: `customer ${id.slice(0, 2)}`, service: null, assigned: [], keep: null }
    const body: EntryBody = { type: "Directory", event: { type: "ConversationOpened", conversation } }
    this.log(body, 0)
  }

  /** Deletes a closed segment; its entries keep their places. */
  expire(document: DocumentId): void {
    for (const [name, { placed }] of this.names) {
      if (placed.document !== document) continue
      this.names.delete(name)
      this.gone.add(name)
    }
    this.expired.add(document)
    this.erase((body) => documentOf(body) === document && body.type !== "Opened")
    const event = { type: "Expired" as const, document, newestMs: this.bench.now.wallMs }
    this.log({ type: "Directory", event }, 0)
  }

  /** Destroys a conversation. */
  shred(conversation: ConversationId): void {
    this.conversations.delete(conversation)
    this.shredded.add(conversation)
    for (const name of this.names.keys()) if (name.startsWith(conversation)) this.names.delete(name)
    this.erase((body) => entryConversation(body) === conversation)
    this.log({ type: "Directory", event: { type: "ConversationShredded", conversation } }, 0)
  }

  private erase(which: (body: EntryBody) => boolean): void {
    this.entries = this.entries.map((bytes) =>
      bytes.length > 0 && which(decode(entryCodec, bytes).body) ? new Uint8Array() : bytes,
    )
  }

  /** Loses everything after `lsn` and begins a new epoch, as after a restore. */
  restore(lsn: Lsn): void {
    const kept = this.entries.slice(0, lsn).map((bytes) => (bytes.length > 0 ? decode(entryCodec, bytes) : null))
    for (const device of [...this.sessions.keys()]) device.cut()
    this.epoch = hex(0xe1 + this.epochs++, 16) as Epoch
    this.entries = []
    this.heads = new Map()
    this.names = new Map()
    for (const entry of kept) {
      this.entries.push(entry === null ? new Uint8Array() : encode(entryCodec, entry))
      if (entry !== null && entry.body.type === "Fact") this.remember(entry.body.placed, entry.stamp)
    }
    // What went does not come back.
    for (const document of this.expired) this.expire(document)
    for (const conversation of this.shredded) this.shred(conversation)
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
        if (!this.conversations.has(conversation)) return this.unknown(device, tag)
        const known = this.names.get(conversation + message)
        const read = known?.stamp.lsn ?? 0
        const { lsn } = this.log({ type: "Marked", conversation, message, read }, device.member)
        this.ack(device, tag, [{ type: "Done", lsn }])
        return
      }
      case "Resolve": {
        const { tag, conversation, message, resolution } = frame.resolve
        if (!this.conversations.has(conversation)) return this.unknown(device, tag)
        const document =
          this.names.get(conversation + message)?.placed.document ?? documentId(conversation, "segment", 0)
        const { lsn } = this.log({ type: "Resolved", document, message, resolution }, device.member)
        this.ack(device, tag, [{ type: "Done", lsn }])
        return
      }
      case "Offer":
        this.ack(
          device,
          frame.tag,
          frame.entries.map(({ stamp, body }) => this.readmit(body, stamp)),
        )
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

  private unknown(device: TestDevice, tag: number): void {
    this.ack(device, tag, [{ type: "Refused", refusal: refusal("ConversationUnknown") }])
  }

  private ack(device: TestDevice, tag: number, results: Outcome[]): void {
    this.tell(device, { type: "Ack", tag, results, witness: this.cursor(this.head) })
  }

  private welcome(device: TestDevice, cursor: Cursor | null): void {
    const good = cursor !== null && cursor.epoch === this.epoch && cursor.lsn <= this.head
    const policy = {
      collision: "hold" as const,
      agentsSeeUnassigned: true,
      servicesLock: false,
      devicesMax: null,
      keep: null,
    }
    const { epoch, head } = this
    const common = {
      session: 1n,
      epoch,
      nowMs: this.bench.now.wallMs,
      member: device.member,
      role: "manager" as const,
      policy,
    }
    this.tell(device, { type: "Welcome", welcome: { ...common, catalogue: !good, head } })
    device.welcomed = true
    if (good) {
      for (let lsn = cursor.lsn; lsn < head; lsn++) {
        const entry = this.entries[lsn] as Uint8Array
        this.range(device, lsn, entry.length > 0 ? [entry] : [])
      }
      return
    }
    const conversations = [...this.conversations.keys()].sort().map((id) => this.listing(id))
    const team = { members: this.members, policy, role: "manager" as const }
    const shredded = this.shredded.size > 0 ? [...this.shredded].sort() : null
    this.tell(device, {
      type: "Catalogue",
      catalogue: { tag: null, page: 0, conversations, team, end: this.cursor(head), shredded },
    })
  }

  private listing(id: ConversationId) {
    const row = this.conversations.get(id) ?? { openSegment: 0, openCard: 0 }
    const documents = [...this.documents(id)].map(([document, entries]) => ({
      document,
      digest: digestOf(document, entries),
    }))
    const conversation = { id, customer: `customer ${id.slice(0, 2)}`, service: null, assigned: [], keep: null }
    return {
      conversation,
      ...row,
      newest: this.head,
      markers: [],
      documents: documents.sort((one, other) => (one.document < other.document ? -1 : 1)),
    }
  }

  /** Ids of the messages that it holds. */
  messages(): Set<MessageId> {
    return new Set(
      [...this.names.values()].flatMap(({ placed: { fact } }) => (fact.type === "Message" ? [fact.message.id] : [])),
    )
  }

  /** Digests of everything that it holds. */
  digests(): Map<DocumentId, string> {
    const all = [...this.conversations.keys()].flatMap((id) => [...this.documents(id)])
    return new Map(all.map(([document, entries]) => [document, digestOf(document, entries)]))
  }

  private documents(id: ConversationId): Map<DocumentId, { bytes: Uint8Array; entry: Entry }[]> {
    const documents = new Map<DocumentId, { bytes: Uint8Array; entry: Entry }[]>()
    for (const bytes of this.entries) {
      if (bytes.length === 0) continue
      const entry = decode(entryCodec, bytes)
      const document = documentOf(entry.body)
      if (document === null || entry.body.type === "Opened" || entryConversation(entry.body) !== id) continue
      documents.set(document, [...(documents.get(document) ?? []), { bytes, entry }])
    }
    return documents
  }

  private fetch(device: TestDevice, asked: Extract<DeviceFrame, { type: "Fetch" }>["fetch"]): void {
    if (!this.conversations.has(asked.conversation)) {
      this.tell(device, { type: "Refusal", tag: asked.tag, refusal: refusal("ConversationUnknown") })
      return
    }
    const frames: HubFrame[] = []
    this.answerFetch(asked, (frame) => frames.push(frame))
    // What is read for a Fetch may be told behind entries that came meanwhile.
    let hops = this.slow()
    const session = this.sessions.get(device)
    const tell = (): void => {
      if (hops-- > 0) this.bench.later(tell)
      else if (this.sessions.get(device) === session) for (const frame of frames) this.tell(device, frame)
    }
    tell()
  }

  private answerFetch(
    { tag, conversation, before, limit }: Extract<DeviceFrame, { type: "Fetch" }>["fetch"],
    tell: (frame: HubFrame) => void,
  ): void {
    const listing = { ...this.listing(conversation), documents: [] }
    tell({
      type: "Catalogue",
      catalogue: { tag, page: 0, conversations: [listing], team: null, end: null, shredded: null },
    })
    const all = this.documents(conversation)
    const cards = before === null ? [...all.keys()].filter((id) => kindOf(id) === "card") : []
    const segments = [...all.keys()].filter(
      (id) => kindOf(id) === "segment" && (before === null || numberOf(id) < before),
    )
    const newest = segments.sort().reverse().slice(0, limit)
    for (const document of [...cards, ...newest]) {
      const tail = (all.get(document) ?? []).map(({ bytes }) => ({ epoch: 0, entry: bytes }))
      const table = { epochs: [this.epoch], facts: [], events: [] }
      tell({
        type: "Snapshot",
        snapshot: { tag, document, upto: this.head, part: 0, last: true, bytes: new Uint8Array(), table, tail },
      })
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
      else if (!this.conversations.has(conversationOf(document))) refuse(refusal("ConversationUnknown"))
      else if (seq > head.seq + 1) refuse(refusal("Gap", { next: head.seq + 1, hash: prefixOf(head.hash) }))
      else if (seq <= head.seq) refuse(refusal("Forked"))
      else if (prefixOf(derive(actor, head, fact).hash) !== hash) refuse(refusal("HashDiffers"))
      else if (known !== undefined)
        refuse(refusal("Duplicate", { document: known.placed.document, stamp: known.stamp }))
      else if (this.gone.has(name)) refuse(refusal("Expired"))
      else if (this.isGone(conversationOf(document), targetOf(fact))) refuse(refusal("TargetUnknown"))
      else if (this.expired.has(document)) refuse(refusal("SegmentFull", { open: this.openOf(document) }))
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

  private isGone(conversation: ConversationId, message: MessageId | null): boolean {
    return message !== null && this.gone.has(conversation + message)
  }

  private openOf(document: DocumentId): DocumentId {
    const conversation = conversationOf(document)
    return documentId(conversation, "segment", this.conversations.get(conversation)?.openSegment ?? 0)
  }

  private openNext(document: DocumentId): void {
    const conversation = conversationOf(document)
    const row = this.conversations.get(conversation)
    if (row === undefined || kindOf(document) !== "segment" || numberOf(document) !== row.openSegment) return
    const held = [...this.names.values()].filter(
      ({ placed }) => placed.document === document && placed.fact.type === "Message",
    )
    if (held.length < this.segmentMessages) return
    row.openSegment++
    this.log({ type: "Opened", document: documentId(conversation, "segment", row.openSegment) }, 0)
  }

  /** Writes an offered entry as the next of the recovery chain. */
  private readmit(body: EntryBody, stamp: Stamp): Outcome {
    const [conversation, about] = [entryConversation(body), documentOf(body)]
    if (conversation === null || !this.conversations.has(conversation))
      return { type: "Refused", refusal: refusal("ConversationUnknown") }
    if (about !== null && this.expired.has(about)) {
      if (body.type === "Fact") this.gone.add(conversation + nameOf(body.placed.fact))
      return { type: "Refused", refusal: refusal("Expired") }
    }
    if (body.type !== "Fact") {
      this.log(body, stamp.member)
      return { type: "Readmitted", lsn: this.head }
    }
    const { document, fact, hash: _, ...rest } = body.placed
    if (this.names.has(conversationOf(document) + nameOf(fact))) return { type: "Known" }
    const subject = subjectOf(fact)
    const target =
      fact.type !== "Message" && subject !== null ? this.names.get(conversationOf(document) + subject) : undefined
    if (fact.type !== "Message" && subject !== null && target === undefined)
      return { type: "Refused", refusal: refusal("TargetUnknown") }
    const actor = hex(0xcc, 16) as PlacedFact["actor"]
    const head = this.heads.get(document + actor) ?? emptyHead(kindOf(document))
    const next = derive(actor, head, fact)
    const opening = next.seq === 1 ? { device: hex(0, 16) as never, nonce: hex(0, 16) as Nonce } : null
    const placed: PlacedFact = {
      ...rest,
      document,
      actor,
      seq: next.seq,
      hash: prefixOf(next.hash),
      fact,
      opening,
      origin: null,
    }
    this.remember(placed, this.log({ type: "Fact", placed }, stamp.member, stamp.verdict))
    return { type: "Readmitted", lsn: this.head }
  }
}

function digestOf(document: DocumentId, entries: readonly { entry: Entry }[]) {
  const digest = new Digest()
  const heads = new Map<string, ChainHead>()
  for (const {
    entry: { stamp, body },
  } of entries) {
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
