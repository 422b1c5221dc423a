/** Devices in this process: each a host with a store of its own, and a page attached to it. */

import "fake-indexeddb/auto"

import { type Channel, Client } from "../../src/client.ts"
import type { DriverOptions } from "../../src/driver.ts"
import { Host, type Page } from "../../src/host.ts"
import type { Live } from "../../src/live.ts"
import type { ToHost, ToPage } from "../../src/messages.ts"
import type { Notice } from "../../src/core/effect.ts"
import type { ConversationId, MessageId } from "../../src/protocol/id.ts"
import type { MessageView } from "../../src/core/view.ts"
import type { Thread } from "../../src/thread.ts"

/** A page's line to a host in the same process; what passes is copied, as between threads. */
export function inProcess(host: Host): Channel {
  let told: (message: ToPage) => void = () => {}
  const page: Page = {
    post: (message) => {
      const copy = structuredClone(message)
      queueMicrotask(() => told(copy))
    },
  }
  return {
    lock: null,
    post: (message: ToHost) => host.receive(page, structuredClone(message)),
    listen: (message) => void (told = message),
    close: () => host.detach(page),
  }
}

/** One device and one page of it. */
export interface TestDevice {
  readonly host: Host
  readonly client: Client
  readonly notices: Notice[]
}

/** Opens a device; its store is found again by its name. */
export async function openDevice(name: string, options: DriverOptions = {}): Promise<TestDevice> {
  // As a page sets it that draws gaps.
  const config = { windowFacts: 3_072, ...options.config }
  const host = await Host.open(name, { ...options, config })
  const client = new Client(inProcess(host))
  const notices: Notice[] = []
  client.onNotice((notice) => notices.push(notice))
  await until(client.attached, (attached) => attached)
  return { host, client, notices }
}

/** Opens a device and enrols it. */
export async function enrolDevice(
  name: string,
  link: string,
  url: string,
  options: DriverOptions = {},
): Promise<TestDevice> {
  const device = await openDevice(name, options)
  await device.client.enrol(link, name, url)
  await until(device.client.status, (status) => status.caughtUp)
  return device
}

/** Waits until a value is as it should be. */
export function until<T, R extends T = T>(live: Live<T>, holds: (value: T) => boolean): Promise<R> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!holds(live.current)) return
      stop()
      resolve(live.current as R)
    }
    let stop = (): void => {}
    const unsubscribe = live.subscribe(look)
    stop = unsubscribe
    look()
  })
}

/** Waits until a thread shows a message as it should be. */
export async function shown(
  thread: Thread,
  id: MessageId,
  holds: (view: MessageView) => boolean = () => true,
): Promise<MessageView> {
  const find = (): MessageView | undefined => thread.current.messages.find((view) => view.id === id)
  await until(thread, () => {
    const view = find()
    return view !== undefined && holds(view)
  })
  return find() as MessageView
}

/** The heads of every document of a conversation as a device's store has them. */
export async function headsOf(
  device: TestDevice,
  conversation: ConversationId,
): Promise<Record<string, readonly string[]>> {
  const documents = await device.host.export(conversation)
  return Object.fromEntries(
    documents.filter(({ facts }) => facts.length > 0).map(({ document, heads }) => [document, heads]),
  )
}
