/** A thread's state by its events. */

import { expect, test } from "vitest"
import type { ConversationId, Marker, MessageView } from "../../src/client/port.ts"
import { message, messageId } from "../../src/client/fake/message.ts"
import { Thread } from "../../src/state/thread.ts"

const conversation = "c".repeat(32) as ConversationId
const by = (...members: number[]): MessageView[] => members.map((member, at) => message(messageId(1_000 + at, at), member, "in", "x", at + 1))
const mark = (list: MessageView[], at: number): Marker => ({ member: 1, message: (list[at] as MessageView).id, read: at + 1 })
const settled = () => new Promise((resume) => setTimeout(resume, 20))

test.each([
  ["read up to the first", [9, 9], 0, 0],
  ["all read", [9, 9], 1, 1],
  ["never read", [9, 9], null, null],
  ["never read, but all one's own", [1, 1], null, 1],
])("the unread line is that of the opening: %s", async (_, members, read, expected) => {
  const thread = new Thread(conversation, () => 1)
  const messages = by(...members)
  thread.apply({ type: "Opened", conversation, messages })
  thread.apply({ type: "Markers", conversation, markers: read === null ? [] : [mark(messages, read)] })
  await settled()
  const line = expected === null ? null : (messages[expected] as MessageView).id
  expect(thread.state.get().readUpTo).toBe(line)
  const next = message(messageId(9_000, 9), 9, "in", "new", 9)
  thread.apply({ type: "Inserted", conversation, at: 2, messages: [next] })
  thread.apply({ type: "Markers", conversation, markers: [mark(messages, 1)] })
  await settled()
  expect(thread.state.get().messages?.length).toBe(3)
  expect(thread.state.get().readUpTo).toBe(line)
})

test("older messages come in front, removed ones go", async () => {
  const thread = new Thread(conversation, () => 1)
  const [first, second, third] = by(9, 9, 9) as [MessageView, MessageView, MessageView]
  thread.apply({ type: "Opened", conversation, messages: [third] })
  thread.apply({ type: "Inserted", conversation, at: 0, messages: [first, second] })
  thread.apply({ type: "Changed", conversation, at: 1, message: { ...second, body: "y" } })
  thread.apply({ type: "Removed", conversation, at: 0, count: 1 })
  await settled()
  expect(thread.state.get().messages?.map(({ body }) => body)).toEqual(["y", "x"])
})
