import { inflateRawSync } from "node:zlib"

import * as Automerge from "@automerge/automerge"
import { expect, test } from "vitest"

import { automergeChanges, toAutomerge } from "../../src/document/automerge.ts"
import { ByteWriter } from "../../src/protocol/cbor.ts"
import { type ChainHead, derive, emptyHead } from "../../src/protocol/change.ts"
import { sha256 } from "../../src/protocol/hash.ts"
import type { DocumentKind } from "../../src/protocol/id.ts"
import { type ChainFact, type SavedDocument, SavedDocumentError, readSaved } from "../../src/protocol/saved.ts"
import { goldenHistories, randomHistory } from "../support/facts.ts"

/** Heads that a document of these facts has. */
function headsOf(kind: DocumentKind, facts: readonly ChainFact[]): string[] {
  const heads = new Map<string, ChainHead>()
  for (const { actor, fact } of facts) heads.set(actor, derive(actor, heads.get(actor) ?? emptyHead(kind), fact))
  return [...heads.values()].map((head) => head.hash).sort()
}

/** A saved document as the hub sends it: JavaScript's Automerge compresses long columns, the hub does not. */
function save(document: Automerge.Doc<unknown>): Uint8Array {
  const bytes = Automerge.save(document)
  let at = 9
  const leb = (): number => {
    let [value, shift] = [0, 0]
    for (;;) {
      const byte = bytes[at++] as number
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
      shift += 7
    }
  }
  leb()
  const begin = at
  const skip = (length: number): void => void (at += length)
  for (let left = leb(); left > 0; left--) skip(leb())
  skip(32 * leb())
  const head = bytes.subarray(begin, at)
  const columns = [0, 1].map(() => Array.from({ length: leb() }, () => [leb(), leb()] as [number, number]))
  const out = new ByteWriter()
  out.raw(head)
  const bodies = columns.map((heads) =>
    heads.map(([id, length]) => {
      const body = bytes.subarray(at, (at += length))
      return [id & ~8, (id & 8) === 0 ? body : inflateRawSync(body)] as const
    }),
  )
  for (const group of bodies) {
    out.leb(group.length)
    for (const [id, body] of group) {
      out.leb(id)
      out.leb(body.length)
    }
  }
  for (const [, body] of bodies.flat()) out.raw(body)
  out.raw(bytes.subarray(at))
  const whole = new ByteWriter()
  whole.raw(bytes.subarray(0, 9))
  whole.leb(out.length)
  whole.raw(out.view())
  return sealed(whole.take())
}

/** The bytes with the checksum that they should have. */
function sealed(bytes: Uint8Array): Uint8Array {
  const whole = bytes.slice()
  whole.set(sha256(bytes.subarray(8)).subarray(0, 4), 4)
  return whole
}

const sorted = (facts: readonly ChainFact[]): ChainFact[] =>
  [...facts].sort((one, other) => (one.actor < other.actor ? -1 : one.actor > other.actor ? 1 : one.seq - other.seq))

const histories = [
  ...goldenHistories().map(({ kind, facts }, n) => [`golden ${n}`, kind, facts] as const),
  ...[1, 2, 3, 4, 5, 6].map((seed) => [`random ${seed}`, "segment", randomHistory(seed, seed * 40)] as const),
  ["empty", "segment", []] as const,
]

test.each(histories)("stock Automerge takes the changes of a history, %s, and has its heads", (_, kind, facts) => {
  const document = toAutomerge(kind, facts)
  const heads = headsOf(kind, facts)
  expect(Automerge.getHeads(document).sort()).toEqual(facts.length > 0 ? heads : Automerge.getHeads(document))
  expect(Automerge.getAllChanges(document).length).toBe(facts.length + 1)
  // In any order of chains.
  const [genesis, ...changes] = automergeChanges(kind, sorted(facts)) as [Uint8Array, ...Uint8Array[]]
  const [other] = Automerge.applyChanges(Automerge.init(), [genesis, ...changes.reverse()])
  expect(Automerge.getHeads(other).sort()).toEqual(Automerge.getHeads(document).sort())
})

test.each(histories)("facts are read out of a saved document, %s", (_, kind, facts) => {
  const saved = readSaved(kind, save(toAutomerge(kind, facts)))
  expect(sorted(saved.facts)).toEqual(sorted(facts))
  if (facts.length > 0) expect([...saved.heads].sort()).toEqual(headsOf(kind, saved.facts))
})

test("damaged documents are refused, or their heads give them away", () => {
  const facts = randomHistory(9, 30)
  const bytes = save(toAutomerge("segment", facts))
  const heads = headsOf("segment", facts)
  let read = 0
  for (let at = 8; at < bytes.length; at += 3) {
    const damaged = bytes.slice()
    damaged[at] = (damaged[at] as number) ^ (1 << (at % 8))
    expect(() => readSaved("segment", damaged)).toThrow("checksum")
    let saved: SavedDocument
    try {
      saved = readSaved("segment", sealed(damaged))
    } catch (error) {
      expect(error).toBeInstanceOf(SavedDocumentError)
      continue
    }
    read++
    const derived = headsOf("segment", saved.facts)
    if ([...saved.heads].sort().join() === derived.join()) expect(derived).toEqual(heads)
  }
  expect(read).toBeGreaterThan(0)
  expect(() => readSaved("card", bytes)).toThrow(SavedDocumentError)
})

test("a document that stock Automerge wrote into otherwise is not made of facts", () => {
  const other = Automerge.change(toAutomerge("segment", randomHistory(3, 5)), (document) => {
    Object.assign(document["messages"] as object, { more: "text" })
  })
  expect(() => readSaved("segment", save(other))).toThrow(SavedDocumentError)
})
