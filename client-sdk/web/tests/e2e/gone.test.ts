import { IDBFactory } from "fake-indexeddb"
import { afterEach, beforeEach, expect, test } from "vitest"

import type { ConversationId } from "../../src/protocol/id.ts"
import { type TestDevice, enrolDevice, openDevice, shown, until } from "../support/device.ts"
import { Hub } from "../support/hub.ts"

let hub: Hub
let ann: TestDevice
let ben: TestDevice
const open: TestDevice[] = []

async function device(name: string, member: number): Promise<TestDevice> {
  const made = await enrolDevice(name, await hub.pair(member), hub.url)
  open.push(made)
  return made
}

beforeEach(async () => {
  hub = await Hub.start()
  ann = await device("ann", 1)
  await ann.client.addMember(2, "Ben", "manager")
  ben = await device("ben", 2)
})

afterEach(async () => {
  for (const one of open.splice(0)) await one.host.close()
  await hub.remove()
  indexedDB = new IDBFactory()
})

const listed = (of: TestDevice, conversation: ConversationId) =>
  until(of.client.conversations, (list) => list.some(({ id }) => id === conversation))

test("keep times are set for the team and for one conversation, and every device shows them", async () => {
  const conversation = await ann.client.openConversation("Kept", [1, 2])
  await listed(ben, conversation)
  const keeps = (of: TestDevice) => of.client.conversations.current.find(({ id }) => id === conversation)?.keep
  expect(keeps(ben)).toBeNull()
  for (const days of [30, 0, null]) {
    await ann.client.setKeep(conversation, days)
    for (const one of [ann, ben]) await until(one.client.conversations, () => keeps(one) === days)
  }
  await ann.client.setTeamKeep(90)
  await until(ben.client.team, (team) => team?.policy.keep === 90)
  await expect(ben.client.setTeamKeep(7)).rejects.toThrow("NotPermitted")
  for (const days of [6, 36_501, 1.5, -7])
    await expect(ann.client.setKeep(conversation, days)).rejects.toThrow("FieldInvalid")
  const own = await ann.client.openConversation("Own", [1], null, 7)
  await until(ann.client.conversations, (list) => list.find(({ id }) => id === own)?.keep === 7)
})

test.each(["online", "away"])(
  "a conversation that is shredded while a device is %s leaves nothing there",
  async (when) => {
    const conversation = await ann.client.openConversation("Shredded", [1, 2])
    const other = await ann.client.openConversation("Stays", [1, 2])
    await listed(ben, conversation)
    await listed(ben, other)
    const thread = ben.client.open(conversation)
    await shown(thread, await ann.client.note(conversation, "from Ann"))
    await shown(thread, await ben.client.note(conversation, "from Ben"), ({ state }) => state.type === "Sent")
    await until(ben.client.status, ({ synced }) => synced)
    if (when === "away") {
      await hub.kill()
      await until(ben.client.status, ({ online }) => !online)
      await ben.client.note(conversation, "unsent")
      await ben.host.close()
      open.splice(open.indexOf(ben), 1)
      await hub.run()
    }
    const [report] = await hub.cli("shred", "--conversation", conversation, "--yes")
    expect(report?.["messages"]).toBe(2)
    if (when === "away") {
      ben = await openDevice("ben")
      open.push(ben)
    } else {
      await until(thread, ({ gone }) => gone)
    }
    await ann.client.connect()
    for (const one of [ann, ben]) {
      await until(one.client.conversations, (list) => list.length === 1 && list[0]?.id === other)
      expect(await one.host.export(conversation)).toEqual([])
      await expect(one.client.note(conversation, "too late")).rejects.toThrow("ConversationUnknown")
    }
    const unsent = when === "away" ? ["unsent"] : []
    const rows = await until(ben.client.notSent, (all) => all.length === unsent.length)
    expect(rows.map(({ fact, code }) => [fact.type === "Message" && fact.message.body, code])).toEqual(
      unsent.map((body) => [body, 54]),
    )
    await shown(ben.client.open(other), await ann.client.note(other, "the rest goes on"))
  },
)
