/** The first change of every document: a constant. PROTOCOL.md, "Geneses". */

import { ByteWriter, toHex, toUtf8 } from "./cbor.ts"
import { containersOf } from "./fact.ts"
import { sha256 } from "./hash.ts"
import type { ActorId, ChangeHash, DocumentKind } from "./id.ts"

const ACTOR_BYTES = toUtf8("lockstep-genesis")

/** The actor of both geneses. */
export const GENESIS_ACTOR = toHex(ACTOR_BYTES) as ActorId

const HASHES = {
  segment: "29f2aac631e6d50d26bd2aba4261f62d4fff65d922d7f3b27f4d6a6c26c394c6" as ChangeHash,
  card: "bdc03de165417b1ffe839d5ba411feae346a6fd762c5c2d48249e7cabc2c9be6" as ChangeHash,
}

/** The hash of a kind's genesis. */
export function genesisHash(kind: DocumentKind): ChangeHash {
  return kind === "card" ? HASHES.card : HASHES.segment
}

/** How many maps a kind's genesis makes: its number of operations. */
export function genesisOps(kind: DocumentKind): number {
  return containersOf(kind).length
}

/** A kind's genesis, derived: the whole chunk. */
export function genesisBytes(kind: DocumentKind): Uint8Array {
  const names = containersOf(kind)
  const keys = new ByteWriter()
  keys.signedLeb(-names.length)
  for (const name of names) {
    keys.leb(name.length)
    keys.utf8(name)
  }
  const run = (value: number): Uint8Array => Uint8Array.of(names.length, value)
  const columns: readonly (readonly [number, Uint8Array])[] = [
    [0x15, keys.view()],
    [0x34, Uint8Array.of(names.length)],
    [0x42, run(0)],
    [0x56, run(0)],
    [0x70, run(0)],
  ]
  const data = new ByteWriter()
  data.leb(0)
  data.leb(ACTOR_BYTES.length)
  data.raw(ACTOR_BYTES)
  // seq 1, start_op 1, time 0, no message, no other actors
  data.raw(Uint8Array.of(1, 1, 0, 0, 0))
  data.leb(columns.length)
  for (const [id, body] of columns) {
    data.leb(id)
    data.leb(body.length)
  }
  for (const [, body] of columns) data.raw(body)
  return chunk(data.view())
}

/** A change chunk around its data: magic, checksum, type, length. */
export function chunk(data: Uint8Array): Uint8Array {
  const hashed = typed(data)
  const whole = new ByteWriter(hashed.length + 8)
  whole.raw(Uint8Array.of(0x85, 0x6f, 0x4a, 0x83))
  whole.raw(sha256(hashed).subarray(0, 4))
  whole.raw(hashed)
  return whole.take()
}

/** What a change's hash is over: type, length, data. */
export function typed(data: Uint8Array): Uint8Array {
  const head = new ByteWriter(data.length + 8)
  head.byte(1)
  head.leb(data.length)
  head.raw(data)
  return head.view()
}
