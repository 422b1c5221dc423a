/** The one Automerge change that a fact at its place in its chain means. PROTOCOL.md, "Changes". */

import { ByteWriter, toHex } from "./cbor.ts"
import { type Fact, type Message, containerOf, containersOf, keyOf } from "./fact.ts"
import { GENESIS_ACTOR, chunk, genesisBytes, genesisHash, genesisOps, typed } from "./genesis.ts"
import { sha256 } from "./hash.ts"
import { type ActorId, type ChangeHash, type DocumentKind, ulidText } from "./id.ts"

/** Where a chain ends. */
export interface ChainHead {
  /** Seq of its last change; 0 before the first. */
  readonly seq: number
  /** Counter of that change's last operation. */
  readonly maxOp: number
  /** That change's hash; at seq 0 the genesis's. */
  readonly hash: ChangeHash
}

const EMPTY: Readonly<Record<DocumentKind, ChainHead>> = {
  segment: { seq: 0, maxOp: genesisOps("segment"), hash: genesisHash("segment") },
  card: { seq: 0, maxOp: genesisOps("card"), hash: genesisHash("card") },
  imported: { seq: 0, maxOp: genesisOps("imported"), hash: genesisHash("imported") },
}

/** A chain without changes. */
export function emptyHead(kind: DocumentKind): ChainHead {
  return EMPTY[kind]
}

/** A map's field, as a message writes it. */
type Value = readonly [name: string, value: string | number]

const STRING = 6
const UNSIGNED = 3

// One change at a time is written, so that its memory is used again.
const [data, raw, keys, meta, scratch] = [0, 0, 0, 0, 0].map(() => new ByteWriter(1024)) as [
  ByteWriter,
  ByteWriter,
  ByteWriter,
  ByteWriter,
  ByteWriter,
]

/** The chain's head after a fact. The caller has checked the fact. */
export function derive(actor: ActorId, head: ChainHead, fact: Fact): ChainHead {
  const ops = writeData(actor, head, fact)
  return { seq: head.seq + 1, maxOp: head.maxOp + ops, hash: toHex(sha256(typed(data.view()))) as ChangeHash }
}

/** The whole chunk of the change that {@link derive} hashes. */
export function changeBytes(actor: ActorId, head: ChainHead, fact: Fact): Uint8Array {
  writeData(actor, head, fact)
  return chunk(data.view())
}

/** Writes a change's data; answers how many operations it has. */
function writeData(actor: ActorId, head: ChainHead, fact: Fact): number {
  const startOp = head.maxOp + 1
  const isMessage = fact.type === "Message"
  const values = fact.type === "Message" ? messageFields(fact.message) : [["", scalar(fact)] as const]
  const ops = values.length + (isMessage ? 1 : 0)
  const metas: number[] = isMessage ? [0] : []
  raw.clear()
  for (const [, value] of values) {
    const before = raw.length
    if (typeof value === "string") raw.utf8(value)
    else raw.leb(value)
    metas.push(((raw.length - before) << 4) | (typeof value === "string" ? STRING : UNSIGNED))
  }
  keys.clear()
  keys.signedLeb(-ops)
  writeKey(keyOf(fact))
  if (isMessage) for (const [name] of values) writeKey(name)
  meta.clear()
  runs(meta, metas)
  const container = containerOf(fact)
  const number =
    containersOf(fact.type === "Field" || fact.type === "Label" ? "card" : "segment").indexOf(container) + 1
  const rest = new Array<number>(ops - 1)
  const columns: (readonly [number, Uint8Array])[] = [
    [0x01, run([1, ...rest.fill(0)])],
    [0x02, run([number, ...rest.fill(startOp)])],
    [0x15, keys.view()],
    [0x34, run(null, ops)],
    [0x42, run(isMessage ? [0, ...rest.fill(1)] : [1])],
    [0x56, meta.view()],
  ]
  if (raw.length > 0) columns.push([0x57, raw.view()])
  columns.push([0x70, run(new Array<number>(ops).fill(0))])

  data.clear()
  data.leb(1)
  data.hex(head.hash)
  data.leb(actor.length / 2)
  data.hex(actor)
  data.leb(head.seq + 1)
  data.leb(startOp)
  data.leb(0)
  data.leb(0)
  data.leb(1)
  data.leb(GENESIS_ACTOR.length / 2)
  data.hex(GENESIS_ACTOR)
  data.leb(columns.length)
  for (const [id, body] of columns) {
    data.leb(id)
    data.leb(body.length)
  }
  for (const [, body] of columns) data.raw(body)
  return ops
}

function writeKey(key: string): void {
  scratch.clear()
  scratch.utf8(key)
  keys.leb(scratch.length)
  keys.raw(scratch.view())
}

/** A column of numbers; or, of the insert column, just a count. */
function run(values: readonly number[] | null, count = 0): Uint8Array {
  scratch.clear()
  if (values === null) scratch.leb(count)
  else runs(scratch, values)
  return scratch.take()
}

/** Run-length encoding: n and a value for n ≥ 2 equal ones, −n and n values for what does not repeat. */
function runs(into: ByteWriter, values: readonly number[]): void {
  let at = 0
  while (at < values.length) {
    const length = repeats(values, at)
    if (length >= 2) {
      into.signedLeb(length)
      into.leb(values[at] as number)
      at += length
      continue
    }
    let end = at + 1
    while (end < values.length && repeats(values, end) === 1) end++
    into.signedLeb(at - end)
    for (; at < end; at++) into.leb(values[at] as number)
  }
}

function repeats(values: readonly number[], at: number): number {
  let end = at + 1
  while (end < values.length && values[end] === values[at]) end++
  return end - at
}

function messageFields(message: Message): Value[] {
  const { by, dir, kind, body, seen, re, media, src } = message
  const fields: Value[] = [
    ["by", by],
    ["dir", dir],
    ["kind", kind],
    ["body", body],
  ]
  if (seen !== null) fields.push(["seen", ulidText(seen)])
  if (re !== null) fields.push(["re", ulidText(re)])
  if (media !== null) {
    fields.push(["media", media.hash], ["media_type", media.mediaType])
    fields.push(["media_name", media.name], ["media_size", media.size])
  }
  if (src !== null) fields.push(["src", src])
  return fields
}

function scalar(fact: Exclude<Fact, { type: "Message" }>): string {
  switch (fact.type) {
    case "Edit":
      return fact.body
    case "Retraction":
      return fact.reason
    case "Reaction":
      return fact.emoji
    case "Field":
      return fact.value
    case "Label":
      return fact.on ? "on" : "off"
  }
}

/**
 * Whether this implementation derives what the protocol says: asked once, at the start. If not, the device stops
 * pushing, keeps its outbox, and says that it needs an update.
 */
export function selfCheck(): boolean {
  const kinds: readonly DocumentKind[] = ["segment", "card"]
  const geneses = kinds.every((kind) => {
    // Behind the magic and the checksum.
    return toHex(sha256(genesisBytes(kind).subarray(8))) === genesisHash(kind)
  })
  const actor = "101112131415161718191a1b1c1d1e1f" as ActorId
  const message: Message = {
    id: "01a0c4506c0a00010203040506070809" as Message["id"],
    by: 12,
    dir: "note",
    kind: "text",
    body: "Hello",
    seen: null,
    re: null,
    media: null,
    src: null,
  }
  const first = derive(actor, emptyHead("segment"), { type: "Message", message })
  return geneses && first.hash === "09e721d518166d6c36102d96a661642d1cda6a877f616d290e8d6154d7a1de14"
}
