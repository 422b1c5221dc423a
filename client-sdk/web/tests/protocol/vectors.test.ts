import { getPublicKeyAsync, signAsync } from "@noble/ed25519"
import { expect, test } from "vitest"

import { enrolBytes, helloBytes } from "../../src/protocol/auth.ts"
import { CborReader, DecodeError, fromHex, toHex } from "../../src/protocol/cbor.ts"
import { type ChainHead, changeBytes, derive, emptyHead, selfCheck } from "../../src/protocol/change.ts"
import { decode, encode } from "../../src/protocol/codec.ts"
import { Digest } from "../../src/protocol/digest.ts"
import { entryBodyCodec, entryCodec, macBytes } from "../../src/protocol/entry.ts"
import { checkFact, contentDigest, factCodec, shortKey } from "../../src/protocol/fact.ts"
import {
  type HubFrame,
  decodeDeviceFrame,
  decodeHubFrame,
  deviceFrameCodec,
  hubFrameCodec,
} from "../../src/protocol/frame.ts"
import { GENESIS_ACTOR, genesisBytes, genesisHash, genesisOps } from "../../src/protocol/genesis.ts"
import { deriveKey, keyedHash } from "../../src/protocol/hash.ts"
import * as ids from "../../src/protocol/id.ts"
import * as limits from "../../src/protocol/limits.ts"
import { REFUSAL_NUMBERS, refusalClass } from "../../src/protocol/refusal.ts"
import { cursorCodec, stampCodec } from "../../src/protocol/stamp.ts"
import { type Block, blocks, pairs, protocolText } from "../support/vectors.ts"

const kindOf = (block: Block): ids.DocumentKind => (block.one("kind") === "01" ? "card" : "segment")
const hex = (number: number, bytes: number): string => number.toString(16).padStart(2 * bytes, "0")

test.each(pairs("frames_hub.txt"))("hub frame %s is read and written back", (_, bytes) => {
  const frame = decodeHubFrame(fromHex(bytes)) as HubFrame
  expect(toHex(encode(hubFrameCodec, frame))).toBe(bytes)
})

test.each(pairs("frames_device.txt"))("device frame %s is read and written back", (_, bytes) => {
  const frame = decodeDeviceFrame(fromHex(bytes))
  expect(frame).not.toBeNull()
  if (frame !== null) expect(toHex(encode(deviceFrameCodec, frame))).toBe(bytes)
})

test.each(pairs("entries.txt"))("entry %s is read and written back", (_, bytes) => {
  expect(toHex(encode(entryCodec, decode(entryCodec, fromHex(bytes))))).toBe(bytes)
})

test("frames that are cut, longer, or damaged are refused or read as something else; nothing else happens", () => {
  const read = (bytes: Uint8Array): boolean => {
    try {
      decodeHubFrame(bytes)
      return true
    } catch (error) {
      expect(error).toBeInstanceOf(DecodeError)
      return false
    }
  }
  for (const [name, text] of pairs("frames_hub.txt")) {
    const bytes = fromHex(text)
    for (let length = 0; length < bytes.length; length++) {
      expect(read(bytes.subarray(0, length)), `${name} cut to ${length}`).toBe(false)
    }
    expect(read(fromHex(`${text}00`)), `${name} and a byte`).toBe(false)
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice()
      damaged[at] = (damaged[at] as number) ^ (1 << (at % 8))
      read(damaged)
    }
  }
})

test.each([
  ["an empty array", "80"],
  ["an array of indefinite length outside", "9f09ff"],
  ["a map", "a0"],
  ["an unknown choice", "8201880550909192939495969798999a9b9c9d9e9f000c098300f4f4f400"],
  ["an absent field", "8107"],
  ["an id of another length", "83004101" + "50".padEnd(34, "0")],
  ["a lease of a text", "8407" + "61ff" + "f600"],
])("%s is refused", (_, bytes) => {
  expect(() => decodeHubFrame(fromHex(bytes))).toThrow(DecodeError)
})

test("what a newer hub adds is skipped", () => {
  const lease = "8407" + "50" + "ab".repeat(16) + "0c" + "1903e8"
  const more = `86${lease.slice(2)}${"a16161f93c00"}${"9f01820203ff"}`
  expect(decodeHubFrame(fromHex(more))).toEqual(decodeHubFrame(fromHex(lease)))
  expect(decodeHubFrame(fromHex("831863c1fb4009" + "21fb54442d18" + "f5"))).toBeNull()
  const deep = new Uint8Array(100_002).fill(0x81)
  deep.set([0x81, 0x18, 0x63])
  expect(() => decodeHubFrame(deep)).toThrow(DecodeError)
  const reader = new CborReader(Uint8Array.of(...new Array<number>(50_000).fill(0x81), 0x00))
  reader.skip()
  reader.end()
})

test("lists beyond their limits are refused as too large", () => {
  const outcomes = (count: number): Uint8Array =>
    fromHex(`840500${"99"}${hex(count, 2)}${"8102".repeat(count)}8350${"00".repeat(16)}0050${"00".repeat(16)}`)
  expect(decodeHubFrame(outcomes(limits.ACK_RESULTS_MAX))).not.toBeNull()
  expect(() => decodeHubFrame(outcomes(limits.ACK_RESULTS_MAX + 1))).toThrow("TooLarge")
  expect(() => decodeHubFrame(new Uint8Array(limits.FRAME_BYTES_MAX + 1))).toThrow("TooLarge")
})

test("geneses", () => {
  expect(selfCheck()).toBe(true)
  for (const block of blocks("geneses.txt")) {
    const kind = kindOf(block)
    expect(GENESIS_ACTOR).toBe(block.one("actor"))
    expect(toHex(genesisBytes(kind))).toBe(block.one("change"))
    expect(genesisHash(kind)).toBe(block.one("hash"))
    expect(genesisOps(kind)).toBe(block.number("ops"))
  }
})

test.each(blocks("changes.txt").map((block) => [block.one("name"), block] as const))("change %s", (_, block) => {
  const fact = decode(factCodec, fromHex(block.one("fact")))
  const actor = block.one("actor") as ids.ActorId
  const hash = block.one("previous") as ids.ChangeHash
  const head: ChainHead = { seq: block.number("seq") - 1, maxOp: block.number("start_op") - 1, hash }
  expect(checkFact(fact, kindOf(block))).toBeNull()
  expect(toHex(encode(factCodec, fact))).toBe(block.one("fact"))
  expect(toHex(changeBytes(actor, head, fact))).toBe(block.one("change"))
  const next = { seq: block.number("seq"), maxOp: block.number("max_op"), hash: block.one("hash") }
  expect(derive(actor, head, fact)).toEqual(next)
  expect(contentDigest(fact)).toBe(block.one("content"))
  expect(shortKey(fact)).toBe(block.one("key"))
})

test("documents", () => {
  for (const block of blocks("documents.txt")) {
    const kind = kindOf(block)
    const chains = new Map<string, ChainHead>()
    const digest = new Digest()
    for (const line of block.all("fact")) {
      const [actor, seq] = [line.slice(0, 32) as ids.ActorId, line.slice(32, 40)]
      const head = chains.get(actor) ?? emptyHead(kind)
      expect(hex(head.seq + 1, 4)).toBe(seq)
      const next = derive(actor, head, decode(factCodec, fromHex(line.slice(40))))
      chains.set(actor, next)
      digest.toggleFact(next.hash, (seq + seq) as ids.Mac)
    }
    const rows = [...chains].map(([actor, head]) => actor + hex(head.seq, 4) + hex(head.maxOp, 4) + head.hash)
    expect(rows.sort()).toEqual(block.all("chain").sort())
    expect(
      [...chains.values()]
        .map((head) => head.hash)
        .sort()
        .join(""),
    ).toBe(block.one("heads"))
    expect(digest.value).toBe(block.one("digest"))
  }
})

test("imports", () => {
  for (const block of blocks("imports.txt")) {
    const document = block.one("document") as ids.DocumentId
    const actor = ids.hubActorOf(block.one("hub") as ids.HubId, block.one("import") as ids.ImportId, document)
    expect(actor).toBe(block.one("actor"))
    let head = emptyHead(ids.kindOf(document))
    const digest = new Digest()
    const hashes = block.all("fact").map((text) => {
      const fact = decode(factCodec, fromHex(text))
      expect(checkFact(fact, "imported")).toBeNull()
      head = derive(actor, head, fact)
      digest.addImported(head.hash)
      return ids.prefixOf(head.hash)
    })
    expect(hashes).toEqual(block.all("hash"))
    expect(hex(head.seq, 4) + hex(head.maxOp, 4) + head.hash).toBe(block.one("head"))
    const body = decode(entryBodyCodec, fromHex(block.one("entry")))
    if (body.type !== "Imported") throw new Error("another entry")
    expect(body.imported.digest).toBe(digest.value)
  }
})

const proofs = new Map(blocks("proofs.txt").map((block) => [block.one("name"), block]))

test("device and actor ids", async () => {
  const device = proofs.get("device") as Block
  const key = toHex(await getPublicKeyAsync(fromHex(device.one("secret")))) as ids.PublicKey
  expect(key).toBe(device.one("public"))
  expect(ids.deviceIdOf(key)).toBe(device.one("device"))
  for (const name of ["actor-segment", "actor-card"]) {
    const block = proofs.get(name) as Block
    const document = block.one("document") as ids.DocumentId
    const kind = name === "actor-card" ? "card" : "segment"
    expect(ids.kindOf(document)).toBe(kind)
    expect(ids.documentId(ids.conversationOf(document), kind, ids.numberOf(document))).toBe(document)
    expect(ids.actorOf(block.one("public") as ids.PublicKey, block.one("nonce") as ids.Nonce, document)).toBe(
      block.one("actor"),
    )
    const recovery = ids.hubActorOf(block.one("hub") as ids.HubId, block.one("epoch") as ids.Epoch, document)
    expect(recovery).toBe(block.one("recovery_actor"))
  }
})

test("handshake proofs", async () => {
  const block = proofs.get("handshake") as Block
  const transcript = {
    hub: block.one("hub") as ids.HubId,
    pinned: block.one("pinned") as ids.PinnedKeyHash,
    nonce: block.one("nonce") as ids.Nonce,
    device: block.one("device") as ids.DeviceId,
    version: block.number("version"),
  }
  const secret = fromHex(block.one("secret"))
  const sign = async (bytes: Uint8Array): Promise<string> => toHex(await signAsync(bytes, secret))
  expect(await sign(helloBytes(transcript))).toBe(block.one("hello_proof"))
  expect(await sign(enrolBytes(transcript, block.one("code") as ids.InviteCode))).toBe(block.one("enrol_proof"))
})

test("stamps, the log chain, cursors and digests of events", () => {
  const stamps = [...proofs.values()].filter((block) => block.has("mac_bytes"))
  expect(stamps.length).toBeGreaterThan(30)
  for (const block of stamps) {
    const name = block.one("name")
    const secret = fromHex(block.one("hub_secret"))
    const [stampKey, cursorKey, digestKey] = [
      "lockstep stamp mac 1",
      "lockstep cursor mac 1",
      "lockstep log digest 1",
    ].map((context) => deriveKey(context, secret)) as [Uint8Array, Uint8Array, Uint8Array]
    const entry = decode(entryCodec, fromHex(block.one("entry")))
    expect(toHex(macBytes(entry.body)), name).toBe(block.one("mac_bytes"))
    const { stamp } = entry
    expect([hex(stamp.lsn, 8), hex(stamp.atMs, 8), hex(stamp.member, 4), stamp.mac], name).toEqual([
      block.one("lsn"),
      block.one("at_ms"),
      block.one("member"),
      block.one("mac"),
    ])
    // [lsn, at_ms, member, verdict] are the stamp's array without its head and its MAC.
    const signed = encode(stampCodec, stamp).slice(1, -9)
    const parts = [new TextEncoder().encode("lockstep stamp"), fromHex(block.one("epoch")), Uint8Array.of(0x84), signed]
    expect(toHex(keyedHash(stampKey, ...parts, macBytes(entry.body)), 0, 8), name).toBe(block.one("mac"))
    const chain = keyedHash(digestKey, fromHex(block.one("chain_before")), fromHex(block.one("entry")))
    expect(toHex(chain), name).toBe(block.one("chain"))
    const cursor = decode(cursorCodec, fromHex(block.one("cursor")))
    const proof = keyedHash(cursorKey, fromHex(cursor.epoch), fromHex(hex(cursor.lsn, 8)), chain.subarray(0, 8))
    expect(cursor.tag, name).toBe(toHex(chain, 0, 8) + toHex(proof, 0, 8))
    if (block.has("digest")) {
      const digest = new Digest()
      digest.toggleEvent(entry.body, stamp.mac)
      expect(digest.value, name).toBe(block.one("digest"))
    }
  }
})

test("limits and refusal codes are those of PROTOCOL.md", () => {
  const rows = (title: string): string[][] => {
    const part = protocolText().split(`## ${title}`)[1]?.split("\n## ")[0] ?? ""
    const table = part
      .split("\n")
      .filter((line) => line.startsWith("| "))
      .slice(1)
    return table.map((line) =>
      line
        .split("|")
        .map((cell) => cell.trim())
        .slice(1),
    )
  }
  const values = new Map(rows("Table 5: limits").map(([name, value]) => [name, Number(value)]))
  expect(new Map<string | undefined, number>(Object.entries(limits))).toEqual(values)
  const codes = rows("Table 4: refusal codes").map(([number, name, kind]) => [name, Number(number), kind])
  expect(Object.entries(REFUSAL_NUMBERS).map(([name, number]) => [name, number, refusalClass(number)])).toEqual(codes)
})
