import { cpSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"

import { IDBFactory, IDBObjectStore } from "fake-indexeddb"
import { openDB } from "idb"
import { afterEach, beforeEach, expect, test, vi } from "vitest"

import type { ConversationId } from "../../src/protocol/id.ts"
import { type TestDevice, enrolDevice, headsOf, openDevice, shown, until } from "../support/device.ts"
import { Hub } from "../support/hub.ts"

let hub: Hub
let ann: TestDevice
let open: TestDevice[] = []

async function device(name: string, member: number): Promise<TestDevice> {
  const made = await enrolDevice(name, await hub.pair(member), hub.url)
  open.push(made)
  return made
}

async function reopened(old: TestDevice, name: string): Promise<TestDevice> {
  await old.host.close()
  const made = await openDevice(name)
  open = open.map((one) => (one === old ? made : one))
  return made
}

beforeEach(async () => {
  hub = await Hub.start()
  ann = await device("ann", 1)
})

afterEach(async () => {
  vi.restoreAllMocks()
  for (const one of open.splice(0)) await one.host.close()
  await hub.remove()
  indexedDB = new IDBFactory()
})

const listed = (of: TestDevice, conversation: ConversationId) =>
  until(of.client.conversations, (list) => list.some(({ id }) => id === conversation))

const synced = async (...devices: TestDevice[]) => {
  for (const one of devices) await one.client.connect()
  for (const one of devices) await until(one.client.status, (status) => status.synced)
}

test("after the hub's folder was rolled back, devices bring back what it lost, under a new epoch", async () => {
  await ann.client.addMember(2, "Ben", "manager")
  const ben = await device("ben", 2)
  const conversation = await ann.client.openConversation("Restored", [1, 2])
  await listed(ben, conversation)
  const [here, there] = [ann.client.open(conversation), ben.client.open(conversation)]
  const before = await ann.client.send(conversation, "before the backup")
  await shown(there, before, ({ state }) => state.type === "Sent")
  await synced(ann, ben)
  await hub.kill()
  const [data, backup] = [join(hub.folder, "hub"), join(hub.folder, "backup")]
  cpSync(data, backup, { recursive: true, filter: (path) => !path.endsWith(".sock") })
  await hub.run()
  await synced(ann, ben)
  const replied = await ann.client.send(conversation, "after the backup")
  const noted = await ben.client.note(conversation, "a note after the backup")
  await shown(there, replied, ({ state }) => state.type === "Sent")
  await ben.client.react(conversation, replied, "👍")
  await shown(here, replied, ({ reactions }) => reactions.length === 1)
  await shown(here, noted, ({ state }) => state.type === "Sent")
  await synced(ann, ben)
  await hub.kill()
  rmSync(data, { recursive: true })
  renameSync(backup, data)
  await until(ann.client.status, ({ online }) => !online)
  const offline = await ann.client.note(conversation, "written while it was away")
  await hub.run()
  await synced(ann, ben)
  // Whoever comes first makes the hub draw a new epoch; all go through the catalogue.
  await shown(there, offline, ({ state }) => state.type === "Sent")
  await synced(ann, ben)
  expect(ann.notices.some(({ type }) => type === "EpochChanged")).toBe(true)
  const all = [before, replied, noted, offline].sort()
  await until(here, ({ messages }) => messages.length === 4)
  await until(there, ({ messages }) => messages.length === 4)
  expect(here.current.messages.map(({ id }) => id)).toEqual(all)
  expect(here.current.messages.map(({ state }) => state.type)).toEqual(["Sent", "Sent", "Sent", "Sent"])
  await shown(there, replied, ({ reactions }) => reactions.length === 1)
  await until(ann.client.status, (status) => status.synced)
  await until(ben.client.status, (status) => status.synced)
  await expect.poll(() => headsOf(ben, conversation)).toEqual(await headsOf(ann, conversation))
  const fresh = await device("fresh", 1)
  await listed(fresh, conversation)
  const thread = fresh.client.open(conversation)
  await until(thread, ({ messages }) => messages.length === 4)
  expect(await headsOf(fresh, conversation)).toEqual(await headsOf(ann, conversation))
})

test("a device whose clock is ten minutes ahead writes again what was refused for it, under new ids", async () => {
  const conversation = await ann.client.openConversation("Clock", [1])
  await synced(ann)
  await hub.kill()
  const real = Date.now.bind(Date)
  vi.spyOn(Date, "now").mockImplementation(() => real() + 600_000)
  ann = await reopened(ann, "ann")
  const first = await ann.client.note(conversation, "from the future")
  await ann.client.edit(conversation, first, "from the future, edited")
  const second = await ann.client.note(conversation, "quoting", first)
  await hub.run()
  const thread = ann.client.open(conversation)
  await synced(ann)
  await until(thread, ({ messages }) => messages.length === 2 && messages.every(({ state }) => state.type === "Sent"))
  const [one, two] = thread.current.messages
  expect([one?.body, two?.body, two?.re]).toEqual(["from the future, edited", "quoting", one?.id])
  expect(one?.id).not.toBe(first)
  expect(two?.id).not.toBe(second)
  expect(Math.abs((one?.timeMs ?? 0) - real())).toBeLessThan(30_000)
})

test("a browser without room says so, loses nothing that it confirmed, and goes on when there is room", async () => {
  const conversation = await ann.client.openConversation("Full", [1])
  await listed(ann, conversation)
  const kept = await ann.client.note(conversation, "kept")
  const put = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
    throw new DOMException("no room", "QuotaExceededError")
  })
  await expect(ann.client.note(conversation, "lost, and known to be")).rejects.toThrow("StoreFailed")
  await until(ann.client.status, ({ store, online }) => store === "full" && !online)
  await expect(ann.client.note(conversation, "refused at once")).rejects.toThrow("StoreFailed")
  put.mockRestore()
  await ann.client.restart()
  const again = ann.client.open(conversation)
  const id = await ann.client.note(conversation, "room again")
  await shown(again, kept, ({ state }) => state.type === "Sent")
  await shown(again, id, ({ state }) => state.type === "Sent")
  expect(again.current.messages.length).toBe(2)
})

/** Everything in a device's database. */
async function dump(name: string): Promise<Map<string, [IDBValidKey, unknown][]>> {
  const database = await openDB(`lockstep-${name}`)
  const tables = new Map<string, [IDBValidKey, unknown][]>()
  for (const table of database.objectStoreNames) {
    const [keys, values] = await Promise.all([database.getAllKeys(table), database.getAll(table)])
    tables.set(
      table,
      keys.map((key, at) => [key, values[at]]),
    )
  }
  database.close()
  return tables
}

async function putBack(name: string, tables: ReadonlyMap<string, [IDBValidKey, unknown][]>): Promise<void> {
  const database = await openDB(`lockstep-${name}`)
  for (const [table, rows] of tables) {
    await database.clear(table)
    for (const [key, value] of rows) await database.put(table, value, key)
  }
  database.close()
}

test("a store that was rolled back gives its chains up, and loses nothing", async () => {
  const conversation = await ann.client.openConversation("Rolled back", [1])
  await listed(ann, conversation)
  await ann.client.note(conversation, "one")
  await synced(ann)
  await ann.host.close()
  const old = await dump("ann")
  ann = await reopened(ann, "ann")
  await ann.client.note(conversation, "two")
  await synced(ann)
  await ann.host.close()
  await putBack("ann", old)
  await hub.kill()
  ann = await reopened(ann, "ann")
  // Offline it does not know of its own second note, and writes another in its place.
  await ann.client.note(conversation, "three")
  await hub.run()
  const thread = ann.client.open(conversation)
  await synced(ann)
  await until(thread, ({ messages }) => messages.length === 3 && messages.every(({ state }) => state.type === "Sent"))
  expect(thread.current.messages.map(({ body }) => body).sort()).toEqual(["one", "three", "two"])
  expect(ann.notices.some(({ type }) => type === "ChainForked")).toBe(true)
  const fresh = await device("fresh", 1)
  await listed(fresh, conversation)
  await until(fresh.client.open(conversation), ({ messages }) => messages.length === 3)
  expect(await headsOf(fresh, conversation)).toEqual(await headsOf(ann, conversation))
})

test("two pages are one device: both show it, drafts are in both, and it goes on when one closes", async () => {
  const { Client } = await import("../../src/client.ts")
  const { inProcess } = await import("../support/device.ts")
  const other = new Client(inProcess(ann.host))
  await until(other.attached, (attached) => attached)
  const conversation = await ann.client.openConversation("Tabs", [1])
  await until(other.conversations, (list) => list.some(({ id }) => id === conversation))
  const here = ann.client.open(conversation)
  const id = await ann.client.note(conversation, "from one tab")
  await shown(here, id, ({ state }) => state.type === "Sent")
  const there = other.open(conversation)
  await shown(there, id)
  await other.setDraft(conversation, { body: "half a rep", dir: "out", re: null })
  await until(ann.client.drafts, (drafts) => drafts.get(conversation)?.body === "half a rep")
  ann.client.close()
  const more = await other.note(conversation, "from the other")
  await shown(there, more, ({ state }) => state.type === "Sent")
  there.close()
  other.close()
  ann = await reopened(ann, "ann")
  expect(ann.client.drafts.current.get(conversation)?.body).toBe("half a rep")
  // Opened, closed and opened again before its messages are read from the store, as user interfaces do.
  const first = ann.client.open(conversation)
  first.close()
  const second = ann.client.open(conversation)
  await until(second, ({ messages }) => messages.length === 2)
  await ann.client.note(conversation, "third")
  await until(second, ({ messages, gone }) => messages.length === 3 && !gone)
})
