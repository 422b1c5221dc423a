import { writeFileSync } from "node:fs"
import { join } from "node:path"

import { IDBFactory } from "fake-indexeddb"
import { afterAll, beforeAll, expect, test } from "vitest"

import type { ConversationId } from "../../src/protocol/id.ts"
import { type TestDevice, enrolDevice, openDevice, shown, until } from "../support/device.ts"
import { Hub } from "../support/hub.ts"

const COUNT = Number(process.env["LOCKSTEP_WEB_MESSAGES"] ?? 8_000)

let hub: Hub
let ann: TestDevice
let conversation: ConversationId

beforeAll(async () => {
  hub = await Hub.start()
  const file = join(hub.folder, "WhatsApp Chat with Somchai.txt")
  const line = (n: number): string => {
    const at = new Date(Date.UTC(2024, 0, 1) + n * 60_000)
    const two = (value: number): string => String(value).padStart(2, "0")
    const date = `${two(at.getUTCDate())}/${two(at.getUTCMonth() + 1)}/${at.getUTCFullYear()}`
    return `${date}, ${two(at.getUTCHours())}:${two(at.getUTCMinutes())} - ${n % 2 === 0 ? "Somchai" : "Ann"}: message ${n} ขอบคุณครับ, see you at the pier\n`
  }
  writeFileSync(file, Array.from({ length: COUNT }, (_, n) => line(n)).join(""))
  await hub.cli("migrate", "import", file, "--member", "Ann=1", "--date-order", "dmy", "--time-zone", "Asia/Bangkok")
  ann = await enrolDevice("ann", await hub.pair(1), hub.url)
  const [item] = await until(ann.client.conversations, (list) => list.length === 1)
  conversation = item?.id as ConversationId
}, 600_000)

afterAll(async () => {
  await ann.host.close()
  await hub.remove()
  indexedDB = new IDBFactory()
})

test("an imported conversation shows its newest messages when it is opened, and older ones on demand", async () => {
  const beganMs = performance.now()
  const thread = ann.client.open(conversation)
  await until(thread, ({ messages }) => messages.length > 0)
  const openMs = performance.now() - beganMs
  const last = thread.current.messages[thread.current.messages.length - 1]
  expect([last?.body, last?.state.type]).toEqual([`message ${COUNT - 1} ขอบคุณครับ, see you at the pier`, "Imported"])
  await ann.client.react(conversation, last?.id as never, "👍")
  await shown(thread, last?.id as never, ({ reactions }) => reactions.length === 1)
  const seen = new Set(thread.current.messages.map(({ id }) => id))
  let [loads, most] = [0, 0]
  for (; thread.current.older !== "none"; loads++) {
    const [first] = thread.current.messages
    thread.loadOlder()
    await until(thread, ({ messages, older }) => messages[0]?.id !== first?.id && older !== "loading")
    for (const { id } of thread.current.messages) seen.add(id)
    most = Math.max(most, thread.current.messages.length)
  }
  expect(seen.size).toBe(COUNT)
  expect(most).toBeLessThan(5_000)
  for (let gap = thread.current.gap; gap !== null; gap = thread.current.gap) {
    thread.loadNewer()
    await until(thread, (state) => state.gap !== gap)
    expect(thread.current.messages.length).toBeLessThan(5_000)
  }
  expect(thread.current.messages[thread.current.messages.length - 1]?.id).toBe(last?.id)
  thread.close()
  await until(ann.client.status, ({ synced }) => synced)
  await ann.host.close()
  ann = await openDevice("ann")
  const againMs = performance.now()
  const again = ann.client.open(conversation)
  await until(again, ({ messages }) => messages.length > 0)
  console.log(
    `open ${openMs.toFixed(0)} ms from the hub, ${(performance.now() - againMs).toFixed(0)} ms from the store; ${loads} loads`,
  )
  expect(again.current.messages.length).toBeLessThan(1_000)
})
