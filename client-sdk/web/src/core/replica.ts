/** A document as a device holds it: its stamped facts and events, and what follows from them. */

import { type ChainHead, derive, emptyHead } from "../protocol/change.ts"
import { Digest } from "../protocol/digest.ts"
import { checkFact, subjectOf } from "../protocol/fact.ts"
import {
  type ActorId,
  type ChangeHash,
  type DocumentDigest,
  type DocumentId,
  type DocumentKind,
  type Epoch,
  type Lsn,
  type MessageId,
  kindOf,
  prefixOf,
} from "../protocol/id.ts"
import type { ChainFact } from "../protocol/saved.ts"
import type { Stamp } from "../protocol/stamp.ts"
import { type AcceptedReply, type EventRow, type FactRow, type OutboxRow, eventKey, eventMessage } from "./row.ts"

/** A stamped fact, and its change's hash once its chain reaches it. */
export interface HeldFact {
  readonly row: FactRow
  hash: ChangeHash | null
}

/** See the module. */
export class Replica {
  readonly kind: DocumentKind
  /** The head of every stamped chain, as far as it has no hole. */
  readonly chains = new Map<ActorId, ChainHead>()
  /** Whether a fact's derived hash is not the one that its entry carries. */
  differs = false
  private readonly byPlace = new Map<ActorId, Map<number, HeldFact>>()
  private readonly byMessage = new Map<MessageId, HeldFact[]>()
  private readonly eventsByMessage = new Map<MessageId, Map<string, EventRow>>()
  private readonly sum = new Digest()
  private count = 0

  constructor(readonly document: DocumentId) {
    this.kind = kindOf(document)
  }

  /** A document from its rows, in any order. */
  static fromRows(document: DocumentId, facts: Iterable<FactRow>, events: Iterable<EventRow>): Replica {
    const replica = new Replica(document)
    for (const row of facts) replica.addFact(row)
    for (const row of events) replica.addEvent(row)
    return replica
  }

  /** Stamped facts. */
  get size(): number {
    return this.count
  }

  /** Digest of the stamped facts and events, as the hub's catalogue has it. */
  get digest(): DocumentDigest {
    return this.sum.value
  }

  /** Adds a stamped fact and whatever waited for it; false if its place is taken already. */
  addFact(row: FactRow): boolean {
    return this.add(row, null)
  }

  /** `derived`: the chain's head after it, where it is known already. */
  private add(row: FactRow, derived: ChainHead | null): boolean {
    const { actor, seq, fact, hash } = row.placed
    let chain = this.byPlace.get(actor)
    if (chain === undefined) this.byPlace.set(actor, (chain = new Map<number, HeldFact>()))
    if (chain.has(seq)) return false
    const held: HeldFact = { row, hash: null }
    chain.set(seq, held)
    this.count++
    const message = subjectOf(fact)
    if (message !== null) {
      const about = this.byMessage.get(message)
      if (about === undefined) this.byMessage.set(message, [held])
      else about.push(held)
    }
    this.sum.toggleParked(hash, row.stamp.mac)
    this.extend(actor, chain, derived)
    return true
  }

  /** Adds the next fact of a chain as a saved document has it; false if the checks refuse it. */
  append({ actor, seq, fact }: ChainFact, epoch: Epoch, stamp: Stamp): boolean {
    if (checkFact(fact, this.kind) !== null) return false
    const head = this.head(actor)
    if (seq !== head.seq + 1) return false
    const derived = derive(actor, head, fact)
    const placed = {
      document: this.document,
      actor,
      seq,
      hash: prefixOf(derived.hash),
      fact,
      opening: null,
      origin: null,
    }
    return this.add({ epoch, stamp, placed }, derived)
  }

  /** Derives the changes of a chain as far as it has no hole. */
  private extend(actor: ActorId, chain: ReadonlyMap<number, HeldFact>, derived: ChainHead | null): void {
    let head = this.head(actor)
    for (;;) {
      const held = chain.get(head.seq + 1)
      if (held === undefined) return
      const { placed, stamp } = held.row
      if (checkFact(placed.fact, this.kind) !== null) {
        this.differs = true
        return
      }
      head = derived?.seq === head.seq + 1 ? derived : derive(actor, head, placed.fact)
      this.differs ||= prefixOf(head.hash) !== placed.hash
      held.hash = head.hash
      this.sum.toggleParked(placed.hash, stamp.mac)
      if (this.kind === "imported") this.sum.addImported(head.hash)
      else this.sum.toggleFact(head.hash, stamp.mac)
      this.chains.set(actor, head)
    }
  }

  /** Adds a resolution, delivery or mark, or its new stamp; false if it is known. */
  addEvent(row: EventRow): boolean {
    const [key, message] = [eventKey(row.body), eventMessage(row.body)]
    if (key === null || message === null) return false
    let about = this.eventsByMessage.get(message)
    if (about === undefined) this.eventsByMessage.set(message, (about = new Map<string, EventRow>()))
    const known = about.get(key)
    if (known !== undefined) this.sum.toggleEvent(known.body, known.stamp.mac)
    this.sum.toggleEvent(row.body, row.stamp.mac)
    about.set(key, row)
    return known === undefined || known.epoch !== row.epoch || known.stamp.mac !== row.stamp.mac
  }

  /** A stamped fact. */
  fact(actor: ActorId, seq: number): HeldFact | undefined {
    return this.byPlace.get(actor)?.get(seq)
  }

  /** Every stamped fact. */
  *facts(): Generator<HeldFact> {
    for (const chain of this.byPlace.values()) yield* chain.values()
  }

  /** Every event. */
  *events(): Generator<EventRow> {
    for (const about of this.eventsByMessage.values()) yield* about.values()
  }

  /** Whether an event is known. */
  hasEvent(message: MessageId, key: string): boolean {
    return this.eventsByMessage.get(message)?.has(key) ?? false
  }

  /** The head of every chain, facts of the outbox that go on where stamped chains end included. */
  heads(pending: Iterable<OutboxRow>): Map<ActorId, ChainHead> {
    const heads = new Map(this.chains)
    const rows = [...pending].filter((row) => row.document === this.document)
    rows.sort((one, other) => one.seq - other.seq)
    for (const { actor, seq, fact } of rows) {
      const head = heads.get(actor) ?? emptyHead(this.kind)
      if (seq === head.seq + 1 && checkFact(fact, this.kind) === null) heads.set(actor, derive(actor, head, fact))
    }
    return heads
  }

  private head(actor: ActorId): ChainHead {
    return this.chains.get(actor) ?? emptyHead(this.kind)
  }

  /** The newest accepted reply, in order of acceptance. Imported replies do not count. */
  newestReply(generation: number): AcceptedReply | null {
    if (this.kind === "imported") return null
    let newest: AcceptedReply | null = null
    const take = (accepted: Accepted | null): void => {
      if (accepted === null) return
      const reply = { generation, lsn: accepted.lsn, message: accepted.message }
      newest = laterReply(newest, reply)
    }
    for (const held of this.facts()) take(acceptedByFact(held.row))
    for (const row of this.events()) take(acceptedByEvent(row))
    return newest
  }

  /** Ids of the messages that it holds. */
  *messageIds(): Generator<MessageId> {
    for (const id of this.byMessage.keys()) if (this.hasMessage(id)) yield id
  }

  /** Every message that it holds something of or about. */
  *subjects(): Generator<MessageId> {
    yield* this.byMessage.keys()
    yield* this.eventsByMessage.keys()
  }

  /** Whether it holds the message itself. */
  hasMessage(id: MessageId): boolean {
    return this.byMessage.get(id)?.some((held) => held.row.placed.fact.type === "Message") ?? false
  }

  /** Stamped facts about a message, itself included. */
  about(id: MessageId): readonly HeldFact[] {
    return this.byMessage.get(id) ?? []
  }

  /** Events about a message. */
  eventsAbout(id: MessageId): Iterable<EventRow> {
    return this.eventsByMessage.get(id)?.values() ?? []
  }
}

/** An acceptance. */
export interface Accepted {
  readonly epoch: Epoch
  readonly lsn: Lsn
  readonly message: MessageId
}

/** The acceptance that a fact's stamp means, if it is an accepted reply. */
export function acceptedByFact({ epoch, stamp, placed }: FactRow): Accepted | null {
  if (placed.fact.type !== "Message" || placed.fact.message.dir !== "out" || stamp.verdict.type === "Held") return null
  return { epoch, lsn: stamp.lsn, message: placed.fact.message.id }
}

/** The acceptance that an event means, if it is a reply that was sent anyway. */
export function acceptedByEvent({ epoch, stamp, body }: EventRow): Accepted | null {
  if (body.type !== "Resolved" || body.resolution !== "send") return null
  return { epoch, lsn: stamp.lsn, message: body.message }
}

/** The later of two accepted replies. */
export function laterReply(one: AcceptedReply | null, other: AcceptedReply): AcceptedReply {
  if (one === null) return other
  const order = one.generation - other.generation || one.lsn - other.lsn || (one.message < other.message ? -1 : 1)
  return order < 0 ? other : one
}
