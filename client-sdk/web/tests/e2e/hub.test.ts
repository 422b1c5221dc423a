import { afterAll, beforeAll, expect, test } from "vitest"

import { type TestDevice, enrolDevice, headsOf, openDevice, shown, until } from "../support/device.ts"
import { Hub } from "../support/hub.ts"

let hub: Hub
let ann: TestDevice
let ben: TestDevice

beforeAll(async () => {
  hub = await Hub.start()
  ann = await enrolDevice("ann", await hub.pair(1), hub.url)
  await ann.client.addMember(2, "Ben", "manager")
  ben = await enrolDevice("ben", await hub.pair(2), hub.url)
})

afterAll(async () => {
  await ann.host.close()
  await ben.host.close()
  await hub.remove()
})

test("what one writes the other sees, and their documents have equal heads", async () => {
  const conversation = await ann.client.openConversation("Müller & Söhne", [1, 2])
  await until(ben.client.conversations, (list) => list.some(({ id }) => id === conversation))
  const [here, there] = [ann.client.open(conversation), ben.client.open(conversation)]
  const id = await ann.client.send(conversation, "Hello — ขอบคุณ 🙏🏽")
  expect((await shown(here, id, ({ state }) => state.type === "Sent")).body).toBe("Hello — ขอบคุณ 🙏🏽")
  const view = await shown(there, id)
  expect([view.by, view.dir, view.state.type]).toEqual([1, "out", "Sent"])
  await ben.client.react(conversation, id, "👍")
  await ben.client.note(conversation, "to be seen by the team only")
  await ann.client.edit(conversation, id, "Hello again")
  await ben.client.setField(conversation, "phone", "+49 30 1234")
  await ben.client.setLabel(conversation, "vip", true)
  await shown(here, id, ({ reactions, edited }) => reactions.length === 1 && edited)
  await shown(there, id, ({ body }) => body === "Hello again")
  await until(here, ({ card }) => card.labels.includes("vip"))
  await until(ann.client.status, ({ synced }) => synced)
  await until(ben.client.status, ({ synced }) => synced)
  const heads = await headsOf(ann, conversation)
  expect(Object.keys(heads).length).toBe(2)
  expect(await headsOf(ben, conversation)).toEqual(heads)
  here.close()
  there.close()
})

test("the second of two quick replies is held, on every device; discarded, it is over", async () => {
  const conversation = await ann.client.openConversation("Collision", [1, 2])
  await until(ben.client.conversations, (list) => list.some(({ id }) => id === conversation))
  const [here, there] = [ann.client.open(conversation), ben.client.open(conversation)]
  const won = await ann.client.send(conversation, "first")
  await shown(there, won)
  const lost = await ben.client.send(conversation, "second")
  const held = await shown(here, lost, ({ state }) => state.type === "Held")
  expect(held.state).toEqual({ type: "Held", collision: { cause: "window", winner: won, by: 1 } })
  await shown(there, lost, ({ state }) => state.type === "Held")
  expect(ben.notices.some((notice) => notice.type === "Collided")).toBe(true)
  await until(ben.client.conversations, (list) => list.find(({ id }) => id === conversation)?.summary?.held === 1)
  const again = await ben.client.edit(conversation, lost, "second, better")
  expect(again).not.toBe(lost)
  await shown(here, lost, ({ state }) => state.type === "Discarded")
  await shown(here, again)
  // Sending anyway is refused while the window is open, and then it is not.
  await shown(there, again, ({ state }) => state.type === "Held")
  let isSent = false
  const sent = shown(there, again, ({ state }) => state.type === "SentAnyway").then(() => (isSent = true))
  while (!isSent) {
    const refused = new Promise<void>((heard) => {
      const stop = ben.client.onNotice(({ type }) => {
        if (type !== "ResolveRefused") return
        stop()
        heard()
      })
    })
    await ben.client.resolve(conversation, again, "send")
    await Promise.race([refused, sent])
  }
  await shown(here, again, ({ state }) => state.type === "SentAnyway")
})

test("typing is told, with how long it holds", async () => {
  const conversation = await ann.client.openConversation("Lease", [1, 2])
  await until(ben.client.conversations, (list) => list.some(({ id }) => id === conversation))
  ann.client.typing(conversation)
  const leases = await until(ben.client.leases, (all) => all.has(conversation))
  expect(leases.get(conversation)?.holder).toBe(1)
  expect((leases.get(conversation)?.untilMs ?? 0) - performance.now()).toBeGreaterThan(1000)
})

test("unread counts fall when the member has read, on any of their devices", async () => {
  const link = await hub.pair(1)
  const second = await enrolDevice("ann-phone", link, hub.url)
  const [service] = await hub.cli("member", "add", "WhatsApp", "--role", "service")
  const channel = await enrolDevice("channel", await hub.pair(Number(service?.["id"])), hub.url)
  const conversation = await ann.client.openConversation("Unread", [1], Number(service?.["id"]))
  await until(channel.client.conversations, (list) => list.some(({ id }) => id === conversation))
  await channel.client.receive(conversation, "are you there?")
  const last = await channel.client.receive(conversation, "hello?")
  const summary = (device: TestDevice) =>
    device.client.conversations.current.find(({ id }) => id === conversation)?.summary
  await until(second.client.conversations, () => summary(second)?.unread === 2)
  await until(ann.client.conversations, () => summary(ann)?.unread === 2 && summary(ann)?.waiting === true)
  await ann.client.markRead(conversation, last)
  await until(ann.client.conversations, () => summary(ann)?.unread === 0)
  await until(second.client.conversations, () => summary(second)?.unread === 0)
  expect(summary(second)?.last?.text).toBe("hello?")
  await second.host.close()
  await channel.host.close()
})

test("what is written offline waits over a restart of the page and of the hub, and is sent once", async () => {
  const conversation = await ann.client.openConversation("Offline", [1, 2])
  await until(ben.client.conversations, (list) => list.some(({ id }) => id === conversation))
  await hub.kill()
  await until(ann.client.status, ({ online }) => !online)
  const id = await ann.client.send(conversation, "written in a tunnel")
  await ann.client.edit(conversation, id, "written in a long tunnel")
  expect(ann.client.status.current.outbox).toBe(2)
  await ann.host.close()
  ann = await openDevice("ann")
  const here = ann.client.open(conversation)
  const pending = await shown(here, id)
  expect([pending.state.type, pending.body]).toEqual(["Pending", "written in a long tunnel"])
  await hub.run()
  await ann.client.connect()
  await shown(here, id, ({ state }) => state.type === "Sent")
  const there = ben.client.open(conversation)
  await ben.client.connect()
  await shown(there, id, ({ body }) => body === "written in a long tunnel")
  await until(ann.client.status, ({ synced }) => synced)
  await until(ben.client.status, ({ synced }) => synced)
  expect(await headsOf(ben, conversation)).toEqual(await headsOf(ann, conversation))
})

test("a hub that is killed while a device sends takes every message once", async () => {
  const conversation = await ann.client.openConversation("Killed", [1, 2])
  await until(ben.client.conversations, (list) => list.some(({ id }) => id === conversation))
  const here = ann.client.open(conversation)
  const ids: string[] = []
  for (let round = 0; round < 3; round++) {
    const writing = Array.from({ length: 60 }, (_, n) => ann.client.note(conversation, `round ${round}, note ${n}`))
    ids.push(...(await Promise.all(writing.slice(0, 20))))
    await hub.kill()
    ids.push(...(await Promise.all(writing.slice(20))))
    await hub.run()
    await ann.client.connect()
  }
  await until(here, ({ messages }) => messages.length === 180 && messages.every(({ state }) => state.type === "Sent"))
  expect(here.current.messages.map(({ id }) => id)).toEqual([...ids].sort())
  await ben.client.connect()
  const there = ben.client.open(conversation)
  await until(there, ({ messages }) => messages.length === 180)
  await until(ann.client.status, ({ synced }) => synced)
  await until(ben.client.status, ({ synced }) => synced)
  expect(await headsOf(ben, conversation)).toEqual(await headsOf(ann, conversation))
})
