import { execFile } from "node:child_process"
import { cpSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"

import * as Automerge from "@automerge/automerge"
import { IDBFactory } from "fake-indexeddb"
import { afterEach, beforeEach, expect, test } from "vitest"

import { toAutomerge } from "../../src/document/automerge.ts"
import { LockstepError } from "../../src/client.ts"
import { type ConversationId, kindOf } from "../../src/protocol/id.ts"
import { type TestDevice, enrolDevice, headsOf, openDevice, shown, until } from "../support/device.ts"
import { Hub } from "../support/hub.ts"

let hub: Hub
let ann: TestDevice
const open: TestDevice[] = []

async function device(name: string, member: number): Promise<TestDevice> {
  const made = await enrolDevice(name, await hub.pair(member), hub.url)
  open.push(made)
  return made
}

beforeEach(async () => {
  hub = await Hub.start()
  ann = await device("ann", 1)
})

afterEach(async () => {
  for (const one of open.splice(0)) await one.host.close()
  await hub.remove()
  indexedDB = new IDBFactory()
})

const listed = (of: TestDevice, conversation: ConversationId) =>
  until(of.client.conversations, (list) => list.some(({ id }) => id === conversation))

test("a Rust device and a browser hold equal documents, which stock Automerge opens", async () => {
  const conversation = await ann.client.openConversation("Both", [1])
  const binary = process.env["LOCKSTEP"] ?? "lockstep"
  const home = join(hub.folder, "device")
  const rust = async (...args: string[]) =>
    (await promisify(execFile)(binary, ["client", ...args, "--home", home])).stdout
  await rust("enrol", await hub.pairHere(1), "--name", "rust")
  const thread = ann.client.open(conversation)
  for (let n = 0; n < 40; n++) await ann.client.note(conversation, `note ${n} — ${n % 3 === 0 ? "ขอบคุณ" : "नमस्ते"}`)
  const id = await ann.client.send(conversation, "a reply")
  await shown(thread, id, ({ state }) => state.type === "Sent")
  await rust("note", conversation, "from Rust")
  await until(thread, ({ messages }) => messages.length === 42)
  await ann.client.setLabel(conversation, "vip", true)
  await until(ann.client.status, ({ synced }) => synced)
  await rust("sync")
  await rust("export", "--automerge", conversation, "--to", join(hub.folder, "out"))
  const files = readdirSync(join(hub.folder, "out"), { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  const theirs = files.map((file) =>
    Automerge.getHeads(Automerge.load(readFileSync(join(file.parentPath, file.name)))).sort(),
  )
  const documents = (await ann.host.export(conversation)).filter(({ facts }) => facts.length > 0)
  const ours = documents.map(({ document, facts }) => Automerge.getHeads(toAutomerge(kindOf(document), facts)).sort())
  expect(ours).toEqual(documents.map(({ heads }) => heads))
  expect(theirs.sort()).toEqual(ours.sort())
})

test("a new device shows a long conversation's newest messages at once, and the rest when it is asked for", async () => {
  const conversation = await ann.client.openConversation("Long", [1])
  const count = 1_300
  for (let n = 0; n < count; n += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, at) => ann.client.note(conversation, `note ${n + at}`)))
  }
  await until(ann.client.status, ({ synced }) => synced)
  const fresh = await device("fresh", 1)
  await listed(fresh, conversation)
  const thread = fresh.client.open(conversation)
  await until(thread, ({ loaded, older }) => loaded && older === "more")
  expect(thread.current.messages.length).toBeLessThan(600)
  expect(thread.current.messages[thread.current.messages.length - 1]?.body).toBe(`note ${count - 1}`)
  // An edit of a message that this device does not hold yet comes with it.
  const first = ann.client.open(conversation)
  await until(first, ({ older }) => older !== "loading")
  for (let loads = 0; first.current.older !== "none"; loads++) {
    expect(loads).toBeLessThan(10)
    const before = first.current.messages.length
    first.loadOlder()
    await until(first, ({ messages, older }) => messages.length > before && older !== "loading")
  }
  expect(first.current.messages.length).toBe(count)
  const oldest = first.current.messages[0]
  if (oldest === undefined) throw new Error("no message")
  await ann.client.edit(conversation, oldest.id, "the very first")
  await until(ann.client.status, ({ synced }) => synced)
  while (thread.current.older !== "none") {
    const before = thread.current.messages.length
    thread.loadOlder()
    await until(thread, ({ messages, older }) => messages.length > before && older !== "loading")
  }
  expect(thread.current.messages.length).toBe(count)
  expect(thread.current.messages.map(({ id }) => id)).toEqual(first.current.messages.map(({ id }) => id))
  await shown(thread, oldest.id, ({ body }) => body === "the very first")
  await until(fresh.client.status, ({ synced }) => synced)
  expect(await headsOf(fresh, conversation)).toEqual(await headsOf(ann, conversation))
})

test("an unassigned agent loses the local copy, and what was not sent is kept as not sent", async () => {
  await ann.client.addMember(2, "Ben", "agent")
  const ben = await device("ben", 2)
  const conversation = await ann.client.openConversation("Secret", [2])
  await listed(ben, conversation)
  const thread = ben.client.open(conversation)
  const id = await ben.client.note(conversation, "mine")
  await shown(thread, id, ({ state }) => state.type === "Sent")
  await ann.client.unassign(conversation, 2)
  await until(thread, ({ gone }) => gone)
  await until(ben.client.conversations, (list) => list.length === 0)
  expect(await ben.host.export(conversation)).toEqual([])
  await expect(ben.client.note(conversation, "no more")).rejects.toThrow("ConversationUnknown")
  await ann.client.assign(conversation, 2)
  await listed(ben, conversation)
  const again = ben.client.open(conversation)
  await shown(again, id)
  // Offline while it happens.
  await hub.kill()
  await until(ben.client.status, ({ online }) => !online)
  await until(ann.client.status, ({ online }) => !online)
  await ben.client.note(conversation, "written too late")
  await ben.host.close()
  open.splice(open.indexOf(ben), 1)
  await hub.run()
  await ann.client.connect()
  await until(ann.client.status, ({ online }) => online)
  await ann.client.unassign(conversation, 2)
  const back = await openDevice("ben")
  open.push(back)
  const rows = await until(back.client.notSent, (all) => all.length === 1)
  expect(rows[0]?.fact.type === "Message" && rows[0].fact.message.body).toBe("written too late")
  await back.client.dismiss(rows[0]?.order ?? -1)
  await until(back.client.notSent, (all) => all.length === 0)
})

test("a promoted member sees every conversation", async () => {
  await ann.client.addMember(2, "Ben", "agent")
  const ben = await device("ben", 2)
  const conversation = await ann.client.openConversation("Theirs", [1])
  const id = await ann.client.note(conversation, "for managers")
  await until(ben.client.status, ({ synced }) => synced)
  expect(ben.client.conversations.current).toEqual([])
  await ann.client.setRole(2, "manager")
  await listed(ben, conversation)
  await shown(ben.client.open(conversation), id)
  await until(ben.client.team, (team) => team?.role === "manager")
})

test.each(["online", "offline"])("a device that is revoked while it is %s shows and keeps nothing", async (when) => {
  const phone = await device("phone", 1)
  const conversation = await ann.client.openConversation("Kept", [1])
  await listed(phone, conversation)
  const thread = phone.client.open(conversation)
  await shown(thread, await ann.client.note(conversation, "x"))
  const devices = await ann.client.devices()
  const target = devices.find(({ name }) => name === "phone")
  if (target === undefined) throw new Error("the phone is not listed")
  if (when === "offline") await phone.host.close()
  await ann.client.revoke(target.device)
  const now = when === "offline" ? await openDevice("phone") : phone
  open.push(now)
  const { phase, stopped } = await until(
    now.client.status,
    (status) => status.phase === "new" && status.stopped !== null,
  )
  expect(stopped).toBe("DeviceRevoked")
  expect(now.client.conversations.current).toEqual([])
  expect(await now.host.export(conversation)).toEqual([])
  if (when === "online") await until(thread, ({ gone, messages }) => gone && messages.length === 0)
  await now.host.close()
  const empty = await openDevice("phone")
  open.push(empty)
  expect(empty.client.status.current.phase).toBe(phase)
  expect(empty.client.conversations.current).toEqual([])
  await empty.client.wipe()
  expect(empty.client.status.current).toMatchObject({ phase: "new", outbox: 0, notSent: 0, hub: null })
})

test.each([
  ["the same member", 1, ["unsent", "unsent, too"]],
  ["another member", 2, []],
])("a hub that was restored to before a browser's enrolment: enrolled again for %s", async (_, member, carried) => {
  await ann.client.addMember(2, "Ben", "manager")
  const conversation = await ann.client.openConversation("Here", [1, 2])
  const lost = await ann.client.note(conversation, "confirmed")
  await until(ann.client.status, ({ synced }) => synced)
  await hub.kill()
  const [data, backup] = [join(hub.folder, "hub"), join(hub.folder, "backup")]
  cpSync(data, backup, { recursive: true, filter: (path) => !path.endsWith(".sock") })
  await hub.run()
  const phone = await device("phone", 1)
  await listed(phone, conversation)
  const thread = phone.client.open(conversation)
  await shown(thread, lost)
  await phone.client.setDraft(conversation, { body: "half a rep", dir: "out", re: null })
  await hub.kill()
  rmSync(data, { recursive: true })
  renameSync(backup, data)
  await until(phone.client.status, ({ online }) => !online)
  for (const body of ["unsent", "unsent, too"]) await phone.client.note(conversation, body)
  await phone.client.react(conversation, lost, "👍")
  await hub.run()
  await phone.client.connect()
  const locked = await until(phone.client.status, ({ phase }) => phase === "locked")
  expect(locked).toMatchObject({ member: null, stopped: "DeviceUnknown", outbox: 3, online: false })
  await until(thread, ({ gone, messages }) => gone && messages.length === 0)
  await until(phone.client.drafts, (drafts) => drafts.size === 0)
  expect(phone.client.conversations.current).toEqual([])
  await expect(phone.client.note(conversation, "no")).rejects.toThrow(LockstepError)
  // Locked it stays, also when the page is loaded anew, and after a code that is none.
  await phone.host.close()
  const again = await openDevice("phone")
  open.push(again)
  expect(again.client.status.current).toMatchObject({ phase: "locked", outbox: 3 })
  expect(again.client.drafts.current.size).toBe(0)
  const link = await hub.pair(member)
  await again.client.enrol(
    link.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
    "phone",
    hub.url,
  )
  await until(again.client.status, ({ refused, phase }) => refused === "CodeInvalid" && phase === "locked")
  await again.client.enrol(link, "phone", hub.url)
  await until(again.client.status, ({ caughtUp, synced, outbox }) => caughtUp && synced && outbox === 0)
  expect(again.client.status.current.member).toBe(member)
  await listed(again, conversation)
  const texts = ["confirmed", ...carried]
  await until(
    again.client.open(conversation),
    ({ messages }) => messages.map(({ body }) => body).join() === texts.join(),
  )
  await ann.client.connect()
  await until(ann.client.open(conversation), ({ messages }) => messages.map(({ body }) => body).join() === texts.join())
  expect(again.client.notSent.current).toEqual([])
  await until(again.client.drafts, (drafts) => drafts.size === (member === 1 ? 1 : 0))
})

test("a wrong code is refused, a good one is good afterwards; a member's role limits them", async () => {
  const stranger = await openDevice("stranger")
  open.push(stranger)
  const link = await hub.pair(1)
  await stranger.client.enrol(
    link.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
    "x",
    hub.url,
  )
  await until(stranger.client.status, ({ stopped }) => stopped !== null)
  expect([stranger.client.status.current.phase, stranger.client.status.current.refused]).toEqual(["new", "CodeInvalid"])
  await stranger.client.enrol(link, "x", hub.url)
  await until(stranger.client.status, ({ phase, online }) => phase === "enrolled" && online)
  await expect(stranger.client.enrol("nonsense", "x")).rejects.toThrow(LockstepError)
  await ann.client.addMember(3, "Cid", "auditor")
  const cid = await device("cid", 3)
  await expect(cid.client.addMember(4, "Dan", "owner")).rejects.toThrow("NotPermitted")
})

test("an invitation of the client's own enrols", async () => {
  const { link } = await ann.client.invite(1)
  const other = await enrolDevice("other", link, hub.url)
  open.push(other)
  expect(other.client.status.current.member).toBe(1)
})
