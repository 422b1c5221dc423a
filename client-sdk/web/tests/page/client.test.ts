import { expect, test } from "vitest"

import { type Channel, Client } from "../../src/client.ts"
import type { MessageView } from "../../src/core/view.ts"
import type { HostEvent, HostState, ToHost, ToPage } from "../../src/messages.ts"
import type { ConversationId, MessageId } from "../../src/protocol/id.ts"
import { type ConversationItem, INITIAL_STATUS } from "../../src/status.ts"

const conversation = "a1".repeat(16) as ConversationId
const message = "01".repeat(16) as MessageId

/** A page whose host is played by the test. */
function page() {
  const posted: ToHost[] = []
  let [tell, again]: [(message: ToPage) => void, () => void] = [() => {}, () => {}]
  const channel: Channel = {
    lock: null,
    post: (told) => void posted.push(told),
    listen: (message, anew) => void ([tell, again] = [message, anew]),
    close: () => {},
  }
  const client = new Client(channel)
  const state: HostState = {
    status: INITIAL_STATUS,
    conversations: [],
    team: null,
    notSent: [],
    drafts: new Map(),
    leases: new Map(),
  }
  const calls = () => posted.flatMap((told) => (told.type === "Call" ? [told] : []))
  const events = (...told: HostEvent[]): void => tell({ type: "Events", events: told })
  return {
    client,
    calls,
    events,
    tell: (told: ToPage) => tell(told),
    again: () => again(),
    attach: () => tell({ type: "Attached", state }),
  }
}

const item = (id: string, newest: number): ConversationItem => ({
  id: id as ConversationId,
  customer: id,
  service: null,
  assigned: [],
  keep: null,
  newest,
  markers: [],
  summary: null,
})

test("what is asked before the host is there is asked when it is", () => {
  const { client, calls, attach } = page()
  void client.send(conversation, "early")
  client.open(conversation)
  expect(calls()).toEqual([])
  attach()
  expect(calls().map(({ call }) => call.type === "Act" && call.act.type)).toEqual(["Write", "Open"])
})

test("when another host takes over, what does no harm twice is asked again, and the rest is known to be uncertain", async () => {
  const { client, calls, attach, again, tell } = page()
  attach()
  client.open(conversation)
  const sent = client.send(conversation, "did it leave?").then(
    () => "sent",
    (error: Error) => error.message,
  )
  const read = client.markRead(conversation, message).then(() => "read")
  again()
  expect(await sent).toBe("Interrupted")
  const before = calls().length
  attach()
  const anew = calls().slice(before)
  expect(anew.map(({ call }) => call.type === "Act" && call.act.type)).toEqual(["MarkRead", "Open"])
  tell({ type: "Answer", id: anew[0]?.id ?? -1, outcome: { type: "Done" } })
  expect(await read).toBe("read")
})

test("a list stays sorted, and what did not change in it stays the same", () => {
  const { client, events, attach } = page()
  attach()
  events({ type: "Conversations", changed: [item("a", 1), item("b", 3), item("c", 2)], gone: [] })
  const [b, c] = client.conversations.current
  events({ type: "Conversations", changed: [item("a", 9)], gone: ["x" as ConversationId] })
  expect(client.conversations.current.map(({ id }) => id)).toEqual(["a", "b", "c"])
  expect(client.conversations.current[1]).toBe(b)
  expect(client.conversations.current[2]).toBe(c)
  events({ type: "Conversations", changed: [], gone: ["b" as ConversationId] })
  expect(client.conversations.current.map(({ id }) => id)).toEqual(["a", "c"])
})

test("a thread is told once a turn, and replaces its state", () => {
  const { client, events, attach } = page()
  attach()
  const thread = client.open(conversation)
  let changes = 0
  thread.subscribe(() => changes++)
  const view = (id: string) => ({ id, body: id }) as unknown as MessageView
  const opened = [view("b"), view("d")]
  events({ type: "View", event: { type: "Opened", conversation, messages: opened } })
  const before = thread.current.messages
  events(
    { type: "View", event: { type: "Inserted", conversation, at: 0, messages: [view("a")] } },
    { type: "View", event: { type: "Inserted", conversation, at: 2, messages: [view("c")] } },
    { type: "View", event: { type: "Removed", conversation, at: 3, count: 1 } },
  )
  expect(changes).toBe(2)
  expect(before.map(({ id }) => id)).toEqual(["b", "d"])
  expect(thread.current.messages.map(({ id }) => id)).toEqual(["a", "b", "c"])
  expect(thread.current.messages[1]).toBe(opened[0])
  events({ type: "View", event: { type: "Closed", conversation } })
  expect([thread.current.gone, thread.current.messages.length]).toEqual([true, 0])
})
