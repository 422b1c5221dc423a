import { expect, test } from "vitest"

import { fromHex, toHex, utf8Length } from "../../src/protocol/cbor.ts"
import { Clock } from "../../src/protocol/clock.ts"
import { type Fact, checkFact } from "../../src/protocol/fact.ts"
import {
  type DocumentKind,
  type FactId,
  type MessageId,
  makeUlid,
  parseUlid,
  ulidText,
  ulidTime,
} from "../../src/protocol/id.ts"
import * as limits from "../../src/protocol/limits.ts"
import { formatLink, parseLink } from "../../src/protocol/link.ts"
import { refusalClass, refusalCode } from "../../src/protocol/refusal.ts"
import { message, ulid } from "../support/facts.ts"

const edit = (body: string): Fact => ({ type: "Edit", message: ulid(1), id: ulid(2), body })
const label = (text: string): Fact => ({ type: "Label", label: text, id: ulid(2), on: true })
const field = (name: string, value = ""): Fact => ({ type: "Field", name, id: ulid(2), value })
const reaction = (emoji: string): Fact => ({ type: "Reaction", message: ulid(1), by: 1, id: ulid(2), emoji })
const media = (name: string, mediaType = "image/png", size = 0): Fact =>
  message(1, 1, "in", "", { media: { hash: "ab".repeat(32) as never, mediaType, name, size } })
const old = makeUlid(limits.ULID_TIME_MS_MIN - 1, "0".repeat(20))

test.each<[string, Fact, DocumentKind, string | null]>([
  ["a text", message(1, 1, "out", "hello"), "segment", null],
  ["an empty text", message(1, 1, "out", ""), "segment", "FieldInvalid"],
  ["an empty image", message(1, 1, "out", "", { kind: "image" }), "segment", null],
  ["a longest body", message(1, 1, "in", "ก".repeat(5461) + "x"), "segment", null],
  ["a body too long", message(1, 1, "in", "ก".repeat(5461) + "xy"), "segment", "TooLarge"],
  ["NUL in a body", message(1, 1, "in", "\u0000"), "segment", null],
  ["a message in a card", message(1, 1, "in", "x"), "card", "WrongDocument"],
  ["a label in a segment", label("vip"), "segment", "WrongDocument"],
  ["a kind with a capital", message(1, 1, "in", "x", { kind: "Text" }), "segment", "FieldInvalid"],
  ["a kind too long", message(1, 1, "in", "x", { kind: "a".repeat(17) }), "segment", "TooLarge"],
  ["seen of a reply", message(1, 1, "out", "x", { seen: ulid(0) }), "segment", null],
  ["seen of a note", message(1, 1, "note", "x", { seen: ulid(0) }), "segment", "FieldInvalid"],
  ["seen of an imported reply", message(1, 1, "out", "x", { seen: ulid(0) }), "imported", "FieldInvalid"],
  ["before 1990", message(1, 1, "in", "x", { id: old as MessageId }), "segment", "TimeTooOld"],
  ["an edit before 1990", { type: "Edit", message: ulid(1), id: old as FactId, body: "x" }, "segment", "TimeTooOld"],
  ["an empty edit", edit(""), "segment", "FieldInvalid"],
  ["a media name with a slash", media("a/b"), "segment", "FieldInvalid"],
  ["a media name with a backslash", media("a\\b"), "segment", "FieldInvalid"],
  ["a media name with a control", media("a\u0085"), "segment", "FieldInvalid"],
  ["a media type with a space", media("a", "image /png"), "segment", "FieldInvalid"],
  ["no media type", media("a", ""), "segment", "FieldInvalid"],
  ["media of the largest size", media("a", "x", limits.MEDIA_SIZE_BYTES_MAX), "segment", null],
  ["media too large", media("a", "x", limits.MEDIA_SIZE_BYTES_MAX + 1), "segment", "TooLarge"],
  ["an empty source", message(1, 1, "in", "x", { src: "" }), "imported", "FieldInvalid"],
  ["no reaction", reaction(""), "segment", null],
  ["a family", reaction("👨🏽‍👩🏽‍👧🏽‍👦🏽"), "segment", null],
  ["a control as a reaction", reaction("\n"), "segment", "FieldInvalid"],
  ["a reaction too long", reaction("a".repeat(65)), "segment", "TooLarge"],
  ["a field", field("phone_2", "x"), "card", null],
  ["a field of no name", field(""), "card", "FieldInvalid"],
  ["a field beginning with a digit", field("2nd"), "card", "FieldInvalid"],
  ["a label with a slash", label("a/b"), "card", "FieldInvalid"],
  ["a label with outer space", label("vip\u3000"), "card", "FieldInvalid"],
  ["a label with inner space", label("very important"), "card", null],
  ["a label ending in a byte order mark", label("vip\ufeff"), "card", null],
])("%s", (_, fact, kind, refused) => {
  expect(checkFact(fact, kind)).toBe(refused)
})

test("ULIDs", () => {
  const id = "01a0c4506c0a00010203040506070809" as MessageId
  expect(ulidText(id)).toBe("01M3250V0A000G40R40M30E209")
  expect(parseUlid("01M3250V0A000G40R40M30E209")).toBe(id)
  expect(ulidTime(id)).toBe(0x01a0c4506c0a)
  for (const hex of ["0".repeat(32), "f".repeat(32), "0123456789abcdef0123456789abcdef"]) {
    expect(parseUlid(ulidText(hex as MessageId))).toBe(hex)
  }
  for (const text of [
    "01m3250V0A000G40R40M30E209",
    "81M3250V0A000G40R40M30E209",
    "0IM3250V0A000G40R40M30E209",
    "",
    "0",
  ]) {
    expect(parseUlid(text), text).toBeNull()
  }
})

test("lengths in UTF-8", () => {
  for (const text of ["", "a", "é", "ก", "😀", "a😀ก\u0000", "\ufeff"]) {
    expect(utf8Length(text), text).toBe(new TextEncoder().encode(text).length)
  }
  expect(toHex(fromHex("00ff10"))).toBe("00ff10")
})

const [PIN, CODE] = ["00112233445566778899aabbccddeeff".repeat(2), "0123456789abcdef0123456789abcdef"]

test.each([
  [`lockstep://hub.lan:7443/${PIN}/${CODE}`, "hub.lan"],
  [`lockstep://192.168.1.20:7443/${PIN}/${CODE}`, "192.168.1.20"],
  [`lockstep://[fe80::1]:7443/${PIN}/${CODE}`, "fe80::1"],
])("link %s", (text, host) => {
  const link = parseLink(` ${text}\n`)
  expect(link).toEqual({ host, port: 7443, pinned: PIN, code: CODE })
  if (typeof link !== "string") expect(formatLink(link)).toBe(text)
})

test.each([
  ["", "scheme"],
  [`https://hub:1/${PIN}/${CODE}`, "scheme"],
  [`lockstep://hub/${PIN}/${CODE}`, "address"],
  [`lockstep://hub:0/${PIN}/${CODE}`, "address"],
  [`lockstep://hub:70000/${PIN}/${CODE}`, "address"],
  [`lockstep://hu b:1/${PIN}/${CODE}`, "address"],
  [`lockstep://fe80::1:1/${PIN}/${CODE}`, "address"],
  [`lockstep://hub:1/${PIN.slice(1)}/${CODE}`, "fingerprint"],
  [`lockstep://hub:1/${PIN}`, "code"],
  [`lockstep://hub:1/${PIN}/${CODE}0`, "code"],
  [`lockstep://hub:1/${PIN}/${CODE}/x`, "code"],
  [`lockstep://hub:1/${PIN}/+${CODE.slice(1)}`, "code"],
])("link %s is none: %s", (text, problem) => {
  expect(parseLink(text)).toBe(problem)
})

test("the clock never goes back and is pushed a minute at most", () => {
  const clock = new Clock(0)
  expect([1000, 1000, 400, 1001, 2000].map((wall) => clock.tick(wall))).toEqual([1000, 1001, 1002, 1003, 2000])
  const pushed = new Clock(0)
  pushed.receive(10_000, 20_000)
  expect(pushed.tick(10_000)).toBe(20_001)
  pushed.receive(10_000, Number.MAX_SAFE_INTEGER)
  expect(pushed.tick(10_000)).toBe(10_000 + limits.CLOCK_PUSH_MS_MAX + 1)
  const corrected = new Clock(0)
  corrected.tick(900_000)
  corrected.correct(900_000, 1_000)
  expect(corrected.tick(900_000)).toBe(900_001)
})

test("an unknown code has the class of its range", () => {
  expect([5, 25, 60, 80, 101].map(refusalClass)).toEqual(["Again", "Rewrite", "Never", "Request", "Stop"])
  expect(refusalCode(60)).toBeNull()
})
