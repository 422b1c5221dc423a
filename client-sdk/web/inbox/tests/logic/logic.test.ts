/** Lists, keys, triggers, pairing, places, drafts. */

import { expect, test } from "vitest"
import type { ConversationId, ListRow } from "../../src/client/port.ts"
import { collisionText } from "../../src/logic/collision.ts"
import { deviceName } from "../../src/logic/device-name.ts"
import { type Filter, NO_FILTER, countAll, select } from "../../src/logic/filter.ts"
import { groupCode, readPairing, toWeb } from "../../src/logic/pairing.ts"
import { formatRoute, parseRoute } from "../../src/logic/route.ts"
import { KEYS, sends, shortcutOf } from "../../src/logic/shortcuts.ts"
import { fill, triggerAt } from "../../src/logic/trigger.ts"
import { initials } from "../../src/parts/Avatar.tsx"
import { Drafts, type Shelf } from "../../src/state/drafts.ts"

const C = "c".repeat(32) as ConversationId

/** `name assigned unread waiting? label…` */
function row(text: string): ListRow {
  const [customer = "", assigned = "", unread = "", waiting = "", ...labels] = text.split(" ")
  const list = assigned === "-" ? [] : assigned.split(",").map(Number)
  const summary = { last: null, unread: Number(unread), unreadMore: false, held: 0, waiting: waiting === "w" }
  return { conversation: { id: customer as ConversationId, customer, service: null, assigned: list, keep: null }, newest: 1, markers: [], labels, summary }
}

const ROWS = ["Anna 1 2 w", "Bert - 0 -", "Cleo 2 1 w", "Dora 1,2 0 - closed", "Emil 1 1 w closed vip"].map(row)

test("counts leave out what is put away, and a customer who writes again is back", () => {
  expect(countAll(ROWS, 1)).toEqual({ mine: { open: 2, unread: 2 }, unassigned: { open: 1, unread: 0 }, all: { open: 4, unread: 3 } })
})

test.each<[string, "mine" | "unassigned" | "all", Partial<Filter>, string]>([
  ["mine", "mine", {}, "Anna Emil"],
  ["unassigned", "unassigned", {}, "Bert"],
  ["all", "all", {}, "Anna Bert Cleo Emil"],
  ["closed ones", "all", { closed: true }, "Dora"],
  ["unread", "all", { unread: true }, "Anna Cleo Emil"],
  ["a text finds closed ones too", "all", { text: "dOR" }, "Dora"],
  ["a label", "all", { text: "vip" }, "Emil"],
])("select: %s", (_, box, filter, expected) => {
  const found = select(ROWS, box, 1, { ...NO_FILTER, ...filter })
  expect(found.map(({ conversation }) => conversation.customer).join(" ")).toBe(expected)
})

const plain = { code: "", key: "", altKey: false, ctrlKey: false, metaKey: false }
test.each([
  ["Alt+J", { altKey: true, code: "KeyJ", key: "∆" }, true, "next"],
  ["AltGr+J writes", { altKey: true, ctrlKey: true, code: "KeyJ" }, true, null],
  ["? on the page", { key: "?" }, false, "help"],
  ["? in a text", { key: "?" }, true, null],
  ["J alone", { code: "KeyJ", key: "j" }, false, null],
])("keys: %s", (_, pressed, inText, expected) => {
  expect(shortcutOf({ ...plain, ...pressed }, inText)).toBe(expected)
})

test("no two acts share a key", () => {
  expect(new Set(KEYS.map(({ code, key }) => code ?? key)).size).toBe(KEYS.length)
})

const enter = { key: "Enter", shiftKey: false, ctrlKey: false, metaKey: false, isComposing: false }
test.each([
  ["Enter", {}, true, true], ["Shift+Enter", { shiftKey: true }, true, false], ["while composing", { isComposing: true }, true, false],
  ["Enter, switched off", {}, false, false], ["Ctrl+Enter, switched off", { ctrlKey: true }, false, true], ["another key", { key: "a" }, true, false],
])("sends: %s", (_, change, enterSends, expected) => {
  expect(sends({ ...enter, ...change }, enterSends)).toBe(expected)
})

test.each([
  ["/he", 3, false, "/ he 0"], ["a /he", 5, false, null], ["/", 1, true, "/  0"], ["hi @ma", 6, true, "@ ma 3"], ["hi @ma", 6, false, null],
  ["mail@x", 6, true, null], ["@王", 2, true, "@ 王 0"],
])("trigger in %j at %i, note %s", (text, caret, isNote, expected) => {
  const found = triggerAt(text, caret, isNote)
  expect(found === null ? null : `${found.sign} ${found.typed} ${found.from}`).toBe(expected)
})

test("a trigger is filled in where it stands", () => {
  expect(fill("hi @ma, see", 6, { sign: "@", typed: "ma", from: 3 }, "@Maya ")).toEqual({ text: "hi @Maya , see", caret: 9 })
})

const PIN = "7f".repeat(32)
const CODE = "0123456789abcdef0123456789abcdef"
test.each([
  [`lockstep://hub.local:8443/${PIN}/${CODE}`, "pinned"],
  [`https://hub.local:8443/#/pair/${PIN}/${CODE}`, "pinned"],
  [` ${CODE.toUpperCase()} `, "code"],
  ["0123 4567 89ab cdef 0123 4567 89ab cdef", "code"],
  [`lockstep://other.local:8443/${PIN}/${CODE}`, `https://other.local:8443/#/pair/${PIN}/${CODE}`],
  [`https://hub.local/#/pair/${PIN}/${CODE}`, `https://hub.local/#/pair/${PIN}/${CODE}`],
  ["hello", "unreadable"], ["", "unreadable"], [CODE.slice(1), "unreadable"],
])("pairing: %j", (text, expected) => {
  const read = readPairing(text, { hostname: "hub.local", port: "8443" })
  const told = read.type === "Unreadable" ? "unreadable" : read.type === "Elsewhere" ? read.url : read.pairing.pinned === null ? "code" : "pinned"
  expect(told).toBe(expected)
  if (read.type === "Pairing") expect(read.pairing.code).toBe(CODE)
})

test("links become web addresses, IPv6 too; codes are grouped", () => {
  expect(toWeb(`lockstep://[fe80::1]:443/${PIN}/${CODE}`)).toBe(`https://[fe80::1]/#/pair/${PIN}/${CODE}`)
  expect(toWeb("x")).toBeNull()
  expect(groupCode("01234567")).toBe("0123 4567")
})

test.each(["#/mine", `#/all/${C}`, `#/unassigned/${C}/customer`, "#/search", "#/me", "#/team", "#/devices", `#/pair/${PIN}/${CODE}`])("place %s", (hash) => {
  expect(formatRoute(parseRoute(hash))).toBe(hash)
})

test.each(["", "#", "#/nowhere", "#/pair/x", "#/all/../x"])("place %j is the start", (hash) => {
  expect(formatRoute(parseRoute(hash))).toBe("#/all")
})

test.each([
  ["window", 5_000, 3_000, "collision.windowOwn 2"], ["window", 3_000, 3_000, "collision.window 0"], ["window", 3_000, 9_000, "collision.window 0"],
  ["window", 3_000, undefined, "collision.window 0"], ["lease", 0, 0, "collision.lease 0"], ["stale", 0, 0, "collision.stale 0"],
] as const)("collision: %s %s %s", (cause, own, winner, expected) => {
  const { key, count } = collisionText(cause, own, winner)
  expect(`${key} ${count}`).toBe(expected)
})

test.each([["Maya Fischer", "MF"], ["王丽", "王"], ["สมชาย ใจดี", "ส"], ["ليلى حداد", "ل"], ["अनिता शर्मा", "अ"], ["", "?"], ["123", "?"]])("initials of %j", (name, expected) => {
  expect(initials(name)).toBe(expected)
})

test("a browser names itself", () => {
  expect(deviceName("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")).toBe("Firefox · Linux")
  expect(deviceName("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1")).toBe("Safari · iPhone")
})

function shelf(isFull = false): Shelf {
  const held = new Map<string, string>([["other", "x"]])
  return {
    getItem: (key) => held.get(key) ?? null,
    setItem: (key, value) => {
      if (isFull) throw new Error("full")
      held.set(key, value)
    },
    removeItem: (key) => void held.delete(key),
    key: (at) => [...held.keys()][at] ?? null,
    get length() {
      return held.size
    },
  }
}

test("drafts are kept per conversation, and survive the page", () => {
  const kept = shelf()
  const drafts = new Drafts(kept)
  drafts.change(C, { reply: "half an answ" })
  drafts.change(C, { tab: "note", note: "ask Li" })
  const again = new Drafts(kept)
  expect(again.of(C).get()).toMatchObject({ tab: "note", reply: "half an answ", note: "ask Li" })
  expect([...again.begun.get()]).toEqual([C])
  again.change(C, { reply: " ", note: "" })
  expect(new Drafts(kept).begun.get().size).toBe(0)
})

test("an edit leaves the draft as it was", () => {
  const drafts = new Drafts(shelf())
  drafts.change(C, { reply: "draft" })
  drafts.change(C, { editing: "m" as never, edit: "other" })
  drafts.change(C, { editing: null, edit: "" })
  expect(drafts.of(C).get().reply).toBe("draft")
})

test("a full store keeps the draft as long as the page; a wipe keeps nothing of ours", () => {
  const full = new Drafts(shelf(true))
  full.change(C, { reply: "text" })
  expect(full.of(C).get().reply).toBe("text")
  const kept = shelf()
  const drafts = new Drafts(kept)
  drafts.change(C, { reply: "text" })
  drafts.clear()
  expect(drafts.of(C).get().reply).toBe("")
  expect(kept.length).toBe(1)
})
