/** Facts for tests: the golden histories, and random ones that a seed repeats. */

import { fromHex } from "../../src/protocol/cbor.ts"
import { decode } from "../../src/protocol/codec.ts"
import { type Fact, type Message, factCodec } from "../../src/protocol/fact.ts"
import { type ActorId, type DocumentKind, type FactId, type MessageId, makeUlid } from "../../src/protocol/id.ts"
import type { ChainFact } from "../../src/protocol/saved.ts"
import { blocks } from "./vectors.ts"

/** The golden histories. */
export function goldenHistories(): { kind: DocumentKind; facts: ChainFact[]; heads: string[] }[] {
  return blocks("documents.txt").map((block) => ({
    kind: block.one("kind") === "01" ? "card" : "segment",
    facts: block.all("fact").map((line) => ({
      actor: line.slice(0, 32) as ActorId,
      seq: Number.parseInt(line.slice(32, 40), 16),
      fact: decode(factCodec, fromHex(line.slice(40))),
    })),
    heads: block.one("heads").match(/.{64}/g) ?? [],
  }))
}

/** Numbers that a seed repeats (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The n-th ULID of a test. */
export const ulid = (n: number): MessageId & FactId =>
  makeUlid(1_790_000_000_000 + n, n.toString(16).padStart(20, "0")) as MessageId & FactId

/** A text message. */
export const message = (
  n: number,
  by: number,
  dir: Message["dir"],
  body: string,
  more: Partial<Message> = {},
): Fact => ({
  type: "Message",
  message: { id: ulid(n), by, dir, kind: "text", body, seen: null, re: null, media: null, src: null, ...more },
})

const BODIES = ["", "ok", "Hello, world", "ขอบคุณครับ", "नमस्ते 🙏🏽", "مرحبا", "\u0000", "\ufeffmark", "x".repeat(300)]

/** A random history of a segment by three actors. */
export function randomHistory(seed: number, length: number): ChainFact[] {
  const random = seeded(seed)
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T
  const actors = [1, 2, 3].map((n) => `${n}`.repeat(32) as ActorId)
  const seqs = new Map<ActorId, number>()
  const known: MessageId[] = []
  return Array.from({ length }, (_, n) => {
    const actor = pick(actors)
    const seq = (seqs.get(actor) ?? 0) + 1
    seqs.set(actor, seq)
    const by = Math.floor(random() * 5000)
    const id = ulid(n)
    const target = known.length > 0 ? pick(known) : null
    const sort = target === null ? 0 : Math.floor(random() * 6)
    let fact: Fact
    if (sort <= 2 || target === null) {
      known.push(id)
      const media = {
        hash: "ab".repeat(32),
        mediaType: "image/png",
        name: pick(BODIES),
        size: n * 1e9,
      } as Message["media"]
      fact = message(n, by, pick(["in", "out", "note"] as const), pick(BODIES), {
        kind: pick(["text", "image"]),
        re: random() < 0.3 ? target : null,
        seen: random() < 0.3 ? target : null,
        media: random() < 0.3 ? media : null,
        src: random() < 0.1 ? "chat.txt#1" : null,
      })
    } else if (sort === 3) fact = { type: "Edit", message: target, id, body: pick(BODIES) }
    else if (sort === 4) fact = { type: "Retraction", message: target, id, reason: pick(BODIES) }
    else fact = { type: "Reaction", message: target, by, id, emoji: pick(["", "👍", "👨‍👩‍👧‍👦"]) }
    return { actor, seq, fact }
  })
}
