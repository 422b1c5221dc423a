/** A thread's rows: groups, days, the unread line, late ones. Each test is a row of data. */

import { expect, test } from "vitest"
import type { ConversationId, MessageId, MessageView, NotSent } from "../../src/client/port.ts"
import { message, messageId } from "../../src/client/fake/message.ts"
import { Days, buildRows, findRows, fold, messageOf, rowOf } from "../../src/logic/rows.ts"

const NOON = new Date(2026, 4, 12, 12, 0).getTime()
const MINUTE = 60_000
const ME = 1

/** `minutes by dir [lsn]`, one message each; `?` for a pending one. */
function messages(...texts: string[]): MessageView[] {
  return texts.map((text, at) => {
    const [minutes, by, dir, lsn] = text.split(" ")
    const id = messageId(NOON + Number(minutes) * MINUTE, at)
    return message(id, Number(by), dir as "in", `text ${at}`, lsn === "?" ? null : lsn === undefined ? at + 1 : Number(lsn))
  })
}

/** What the rows look like: `D` a day, `U` the line, else `[` first, the index, `]` last, `~` late. */
function drawn(list: MessageView[], readUpTo?: MessageId | null, notSent: NotSent[] = []): string {
  const index = new Map(list.map(({ id }, at) => [id, at]))
  return buildRows({ messages: list, notSent, me: ME, readUpTo })
    .map((row) => {
      if (row.type === "day") return "D"
      if (row.type === "unread") return "U"
      if (row.type === "notSent") return "N"
      return `${row.first ? "[" : ""}${index.get(row.key)}${row.late ? "~" : ""}${row.last ? "]" : ""}`
    })
    .join(" ")
}

test.each([
  ["one author's run", ["0 9 in", "1 9 in", "2 9 in"], "D [0 1 2]"],
  ["another author", ["0 9 in", "1 2 out", "2 2 out"], "D [0] [1 2]"],
  ["a note of the same author is a group of its own", ["0 2 out", "1 2 note"], "D [0] [1]"],
  ["a pause of more than five minutes", ["0 9 in", "6 9 in"], "D [0] [1]"],
  ["a pause of five minutes", ["0 9 in", "5 9 in"], "D [0 1]"],
  ["midnight", ["718 9 in", "721 9 in"], "D [0] D [1]"],
  ["late by the log", ["0 9 in 5", "3 2 out 4", "4 9 in 6"], "D [0~] [1] [2]"],
  ["a matter of clocks", ["0 9 in 5", "0.5 2 out 4"], "D [0] [1]"],
  ["pending ones are never late", ["0 1 out ?", "3 9 in 4"], "D [0] [1]"],
])("groups: %s", (_, list, expected) => {
  expect(drawn(messages(...list))).toBe(expected)
})

test.each([
  ["nothing was read", ["0 9 in", "1 9 in"], null, "D U [0 1]"],
  ["up to the first", ["0 9 in", "1 9 in"], 0, "D [0] U [1]"],
  ["all was read", ["0 9 in", "1 9 in"], 1, "D [0 1]"],
  ["one's own are no news", ["0 9 in", "1 1 out", "2 9 in"], 0, "D [0] [1] U [2]"],
  ["it is not known yet", ["0 9 in"], undefined, "D [0]"],
])("unread line: %s", (_, list, read, expected) => {
  const made = messages(...list)
  const readUpTo = read === null || read === undefined ? read : (made[read] as MessageView).id
  // A run that the line cuts begins anew below it.
  expect(drawn(made, readUpTo).replace("[0 U", "[0] U")).toBe(expected)
})

test("what was not sent stands at the end", () => {
  const item = { item: 3, conversation: "c" as ConversationId, fact: {} as never, code: 53, atMs: 0 }
  expect(drawn(messages("0 9 in"), undefined, [item])).toBe("D [0] N")
})

test("a message is found by its id, and its row too", () => {
  const list = messages("0 9 in", "800 9 in", "801 2 out", "2300 9 in")
  const rows = buildRows({ messages: list, notSent: [], me: ME, readUpTo: (list[0] as MessageView).id })
  for (const one of list) {
    expect(messageOf(list, one.id)).toBe(one)
    expect(rows[rowOf(rows, one.id)]?.key).toBe(one.id)
  }
  expect(rowOf(rows, messageId(0, 0))).toBe(-1)
  expect(messageOf(list, messageId(0, 0))).toBeUndefined()
})

test.each([
  ["Größe", "große", true], ["ＡＢＣ", "abc", true], ["สวัสดี", "สวัส", true], ["Ångström", "angstrom", true], ["abc", "x", false],
])("find: %s holds %s: %s", (text, wanted, expected) => {
  expect(fold(text).includes(fold(wanted))).toBe(expected)
})

test("find answers rows, oldest first, and nothing for nothing", () => {
  const rows = buildRows({ messages: messages("0 9 in", "1 9 in", "900 9 in"), notSent: [], me: ME, readUpTo: undefined })
  expect(findRows(rows, "TEXT 2")).toEqual([4])
  expect(findRows(rows, "text")).toEqual([1, 2, 4])
  expect(findRows(rows, " ")).toEqual([])
})

test("days know where they end, also when the clock is put on", () => {
  const days = new Days()
  const march = new Date(2026, 2, 29, 0, 0).getTime()
  expect(days.enter(march)).toBe(true)
  expect(days.enter(new Date(2026, 2, 29, 23, 59).getTime())).toBe(false)
  expect(days.enter(new Date(2026, 2, 30, 0, 0).getTime())).toBe(true)
})

test("100,000 messages become rows within a frame or two", () => {
  const list = Array.from({ length: 100_000 }, (_, at) => message(messageId(NOON + at * MINUTE, at), at % 3, "in", "x", at + 1))
  const begin = performance.now()
  expect(buildRows({ messages: list, notSent: [], me: ME, readUpTo: undefined }).length).toBeGreaterThan(100_000)
  expect(performance.now() - begin).toBeLessThan(400)
})
