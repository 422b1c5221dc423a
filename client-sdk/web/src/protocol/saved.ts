/**
 * Facts read out of a saved Automerge document, as Snapshots carry it. PROTOCOL.md, "Snapshots".
 *
 * Reads the document chunk's columns itself: a document is made of nothing but maps, strings and unsigned integers,
 * each key written once, so that little of Automerge is in it. Nothing that is read is believed: whoever derives the
 * facts' changes again and reaches the document's heads has proven that it says this and nothing else.
 */

import { fromUtf8, toHex } from "./cbor.ts"
import { type Fact, type Media, type Message, containersOf, parseMediaHash } from "./fact.ts"
import { GENESIS_ACTOR, genesisOps } from "./genesis.ts"
import { sha256 } from "./hash.ts"
import type { ActorId, ChangeHash, DocumentKind, FactId, MessageId } from "./id.ts"
import { parseUlid } from "./id.ts"

/** A fact at its place in one document. */
export interface ChainFact {
  /** The chain. */
  readonly actor: ActorId
  /** Place in the chain, from 1. */
  readonly seq: number
  /** The fact. */
  readonly fact: Fact
}

/** What a saved document says. */
export interface SavedDocument {
  /** Its facts, each chain in order. */
  readonly facts: readonly ChainFact[]
  /** Its heads: what the facts' changes must lead to. */
  readonly heads: readonly ChangeHash[]
}

/** Bytes that are no document of facts. */
export class SavedDocumentError extends Error {
  override readonly name = "SavedDocumentError"
}

/** Most operations that a document is believed to have: many times more than the hub lets into one. */
const OPS_MAX = 1 << 20

/** Reads a saved document of a kind; throws {@link SavedDocumentError}. */
export function readSaved(kind: DocumentKind, bytes: Uint8Array): SavedDocument {
  try {
    return read(kind, bytes)
  } catch (error) {
    // Invalid UTF-8 throws a TypeError.
    if (error instanceof SavedDocumentError || error instanceof TypeError) throw new SavedDocumentError(error.message)
    throw error
  }
}

function refuse(why: string): never {
  throw new SavedDocumentError(why)
}

/** Reads LEB128 numbers and slices. */
class Cursor {
  at = 0

  constructor(readonly bytes: Uint8Array) {}

  get done(): boolean {
    return this.at >= this.bytes.length
  }

  leb(): number {
    let [value, scale] = [0, 1]
    for (;;) {
      const byte = this.bytes[this.at++]
      if (byte === undefined || scale > 2 ** 49) return refuse("a number is cut off or too large")
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 0x80
    }
  }

  signed(): number {
    let [value, scale] = [0, 1]
    for (;;) {
      const byte = this.bytes[this.at++]
      if (byte === undefined || scale > 2 ** 49) return refuse("a number is cut off or too large")
      value += (byte & 0x7f) * scale
      scale *= 0x80
      if (byte < 0x80) return (byte & 0x40) === 0 ? value : value - scale
    }
  }

  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) return refuse("it is cut off")
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }
}

type Columns = ReadonlyMap<number, Uint8Array>

function columnHeads(cursor: Cursor): [number, number][] {
  return Array.from({ length: bounded(cursor.leb()) }, () => [cursor.leb(), cursor.leb()])
}

function columnBodies(cursor: Cursor, heads: readonly [number, number][]): Columns {
  return new Map(
    heads.map(([id, length]) => {
      if ((id & 8) !== 0) refuse("a column is compressed")
      return [id, cursor.take(length)]
    }),
  )
}

function bounded(count: number): number {
  return count <= OPS_MAX ? count : refuse("it claims too much")
}

/** A run-length encoded column; null where it has no value. */
function runLength<T>(column: Uint8Array | undefined, value: (cursor: Cursor) => T): (T | null)[] {
  const values: (T | null)[] = []
  if (column === undefined) return values
  const cursor = new Cursor(column)
  while (!cursor.done) {
    const length = cursor.signed()
    const count = length === 0 ? cursor.leb() : Math.abs(length)
    bounded(values.length + count)
    const repeated = length > 0 ? value(cursor) : null
    for (let n = 0; n < count; n++) values.push(length < 0 ? value(cursor) : repeated)
  }
  return values
}

const numbers = (column: Uint8Array | undefined): (number | null)[] => runLength(column, (cursor) => cursor.leb())
const strings = (column: Uint8Array | undefined): (string | null)[] =>
  runLength(column, (cursor) => fromUtf8(cursor.take(cursor.leb())))

function deltas(column: Uint8Array | undefined): (number | null)[] {
  let sum = 0
  return runLength(column, (cursor) => cursor.signed()).map((delta) => (delta === null ? null : (sum += delta)))
}

interface Op {
  readonly object: readonly [actor: number, counter: number] | null
  readonly key: string
  readonly make: boolean
  readonly value: string | number | null
}

function read(kind: DocumentKind, bytes: Uint8Array): SavedDocument {
  const chunk = new Cursor(bytes)
  if (toHex(chunk.take(4)) !== "856f4a83") refuse("it does not begin as an Automerge document")
  const checksum = toHex(chunk.take(4))
  if (toHex(sha256(bytes.subarray(8)), 0, 4) !== checksum) refuse("its checksum differs")
  if (chunk.leb() !== 0) refuse("it is another kind of chunk")
  const cursor = new Cursor(chunk.take(chunk.leb()))
  if (!chunk.done) refuse("there is more behind it")

  const actors = Array.from({ length: bounded(cursor.leb()) }, () => toHex(cursor.take(cursor.leb())) as ActorId)
  const heads = Array.from({ length: bounded(cursor.leb()) }, () => toHex(cursor.take(32)) as ChangeHash)
  if (heads.length === 0) refuse("it has no heads")
  const [changeHeads, opHeads] = [columnHeads(cursor), columnHeads(cursor)]
  const changes = columnBodies(cursor, changeHeads)
  const ops = readOps(columnBodies(cursor, opHeads))
  const genesis = actors.indexOf(GENESIS_ACTOR)
  const [authors, seqs, maxOps] = [numbers(changes.get(0x01)), deltas(changes.get(0x03)), deltas(changes.get(0x13))]

  const byPlace = authors.map((author, at) => ({ author, seq: seqs[at] ?? 0, maxOp: maxOps[at] ?? 0 }))
  byPlace.sort((one, other) => (one.author ?? 0) - (other.author ?? 0) || one.seq - other.seq)
  const facts: ChainFact[] = []
  let taken = 0
  let before: { author: number | null; seq: number; maxOp: number } = { author: null, seq: 0, maxOp: 0 }
  for (const change of byPlace) {
    const { author, seq, maxOp } = change
    const actor = actors[author ?? -1]
    if (author === null || actor === undefined) return refuse("a change has no author")
    const start = before.author === author ? before : { seq: 0, maxOp: author === genesis ? 0 : genesisOps(kind) }
    if (seq !== start.seq + 1) refuse("a chain has a hole")
    const own: Op[] = []
    for (let counter = start.maxOp + 1; counter <= maxOp; counter++) {
      own.push(ops.get(place(author, counter)) ?? refuse("an operation is missing"))
    }
    taken += own.length
    before = change
    if (author !== genesis) facts.push({ actor, seq, fact: factOf(kind, genesis, [author, start.maxOp + 1], own) })
  }
  if (taken !== ops.size) refuse("an operation belongs to no change")
  return { facts, heads }
}

function place(actor: number, counter: number): number {
  return actor * 2 ** 32 + counter
}

/** Operations by actor and counter. */
function readOps(columns: Columns): Map<number, Op> {
  const [objectActors, objectCounters] = [numbers(columns.get(0x01)), numbers(columns.get(0x02))]
  const keys = strings(columns.get(0x15))
  const [actors, counters] = [numbers(columns.get(0x21)), deltas(columns.get(0x23))]
  const [actions, metas] = [numbers(columns.get(0x42)), numbers(columns.get(0x56))]
  const raw = new Cursor(columns.get(0x57) ?? new Uint8Array())
  if (numbers(columns.get(0x80)).some((count) => count !== 0)) refuse("a key is written twice")
  const ops = new Map<number, Op>()
  for (let at = 0; at < actions.length; at++) {
    const [actor, counter, key] = [actors[at] ?? null, counters[at] ?? null, keys[at] ?? null]
    if (actor === null || counter === null || key === null) return refuse("an operation has no key or id")
    const [objectActor, objectCounter] = [objectActors[at] ?? null, objectCounters[at] ?? null]
    const object = objectActor === null || objectCounter === null ? null : ([objectActor, objectCounter] as const)
    const meta = metas[at] ?? 0
    const bytes = raw.take(Math.floor(meta / 16))
    const type = meta % 16
    let value: string | number | null = null
    if (type === 6) value = fromUtf8(bytes)
    else if (type === 3) value = new Cursor(bytes).leb()
    else if (type !== 0 || bytes.length > 0) refuse("a value of another type")
    const action = actions[at]
    if (action !== 0 && action !== 1) refuse("another action")
    ops.set(place(actor, counter), { object, key, make: action === 0, value })
  }
  return ops
}

/** The fact that a change's operations mean. `id` is the first one's. */
function factOf(kind: DocumentKind, genesis: number, id: readonly [number, number], ops: readonly Op[]): Fact {
  const [first, ...rest] = ops
  if (first === undefined || first.object === null || first.object[0] !== genesis) return refuse("no container's key")
  const container = containersOf(kind)[first.object[1] - 1]
  if (container === "messages") {
    const own = rest.every((op) => op.object !== null && op.object[0] === id[0] && op.object[1] === id[1] && !op.make)
    if (!first.make || !own) refuse("no message")
    return { type: "Message", message: messageOf(ulid(first.key), rest) }
  }
  const { value } = first
  if (first.make || rest.length > 0 || typeof value !== "string") return refuse("no scalar")
  const slash = first.key.lastIndexOf("/")
  const [target, own] = [first.key.slice(0, Math.max(slash, 0)), ulid<FactId>(first.key.slice(slash + 1))]
  switch (container) {
    case "edits":
      return { type: "Edit", message: ulid(target), id: own, body: value }
    case "retractions":
      return { type: "Retraction", message: ulid(target), id: own, reason: value }
    case "reactions": {
      const [message, by] = target.split("/")
      if (by === undefined || !/^\d{1,10}$/.test(by)) return refuse("a reaction by nobody")
      return { type: "Reaction", message: ulid(message ?? ""), by: Number(by), id: own, emoji: value }
    }
    case "fields":
      return { type: "Field", name: target, id: own, value }
    case "labels":
      if (value !== "on" && value !== "off") return refuse("a label neither on nor off")
      return { type: "Label", label: target, id: own, on: value === "on" }
    default:
      return refuse("no such container")
  }
}

function ulid<T extends MessageId | FactId = MessageId>(text: string): T {
  return (parseUlid(text) ?? refuse("a key without a ULID")) as T
}

function messageOf(id: MessageId, ops: readonly Op[]): Message {
  const fields = new Map(ops.map((op) => [op.key, op.value]))
  const string = (name: string): string | null => {
    const value = fields.get(name) ?? null
    return typeof value === "number" ? refuse("a field of another type") : value
  }
  const number = (name: string): number => {
    const value = fields.get(name)
    return typeof value === "number" ? value : refuse("a field is missing")
  }
  const reference = (name: string): MessageId | null => {
    const text = string(name)
    return text === null ? null : ulid(text)
  }
  const dir = string("dir")
  if (dir !== "in" && dir !== "out" && dir !== "note") return refuse("no direction")
  const hash = string("media")
  const media: Media | null =
    hash === null
      ? null
      : {
          hash: parseMediaHash(hash) ?? refuse("no media hash"),
          mediaType: string("media_type") ?? refuse("a field is missing"),
          name: string("media_name") ?? refuse("a field is missing"),
          size: number("media_size"),
        }
  return {
    id,
    by: number("by"),
    dir,
    kind: string("kind") ?? refuse("a field is missing"),
    body: string("body") ?? refuse("a field is missing"),
    seen: reference("seen"),
    re: reference("re"),
    media,
    src: string("src"),
  }
}
