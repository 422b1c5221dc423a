/**
 * Runs the device in a worker, once an origin.
 *
 * As a SharedWorker it serves every tab. Where a browser has none, each tab has a worker of its own: whoever gets the
 * device's Web Lock leads and runs the host, the others pass messages on through a BroadcastChannel. When the leading
 * tab is closed its lock goes to the next, which tells all pages to attach anew.
 */

import { Host, type Page } from "./host.ts"
import type { ToHost, ToPage } from "./messages.ts"
import type { FromWorker } from "./spawn.ts"

/** What workers of several tabs tell each other. */
type Relayed =
  | { readonly to: "leader"; readonly from: string; readonly message: ToHost }
  | { readonly to: "page"; readonly page: string; readonly message: ToPage }
  /** A new leader is there. */
  | { readonly to: "all" }

/** A device's host, opened once it is this worker's turn; what comes before waits. */
class Leader {
  private host: Host | null = null
  private failed: string | null = null
  private readonly waiting: [Page, ToHost][] = []

  constructor(name: string, ready: () => void) {
    Host.open(name).then(
      (host) => {
        this.host = host
        // The network is back: no need to wait for the next attempt.
        addEventListener("online", () => host.connect())
        for (const [page, message] of this.waiting.splice(0)) this.receive(page, message)
        ready()
      },
      (error: unknown) => {
        this.failed = error instanceof Error ? error.name : "unknown"
        for (const [page] of this.waiting.splice(0)) page.post({ type: "Failed", reason: this.failed })
      },
    )
  }

  receive(page: Page, message: ToHost): void {
    if (this.failed !== null) {
      page.post({ type: "Failed", reason: this.failed })
    } else if (this.host === null) {
      this.waiting.push([page, message])
    } else {
      this.host.receive(page, message)
      if (message.type === "Attach" && message.lock !== null) this.watch(page, message.lock)
    }
  }

  /** When the page's lock can be had, the page is gone. */
  private watch(page: Page, lock: string): void {
    void navigator.locks.request(lock, () => this.host?.detach(page))
  }
}

/** Runs `lead` once this worker holds the device's lock, for as long as it lives. */
function whenLeading(name: string, lead: () => void): void {
  if (navigator.locks === undefined) lead()
  else
    void navigator.locks.request(`lockstep host ${name}`, () => {
      lead()
      return new Promise<never>(() => {})
    })
}

type SharedScope = typeof globalThis & { onconnect: ((event: MessageEvent) => void) | null; readonly name: string }

function runShared(scope: SharedScope): void {
  let leader: Leader | null = null
  const early: [Page, ToHost][] = []
  scope.onconnect = ({ ports: [port] }) => {
    if (port === undefined) return
    const page: Page = { post: (message) => port.postMessage(message) }
    port.onmessage = ({ data }: MessageEvent<ToHost>) => {
      if (leader === null) early.push([page, data])
      else leader.receive(page, data)
    }
  }
  // Another worker of an older version may still run: its lock is awaited.
  whenLeading(scope.name, () => {
    leader = new Leader(scope.name, () => {})
    for (const [page, message] of early.splice(0)) leader.receive(page, message)
  })
}

function runOwn(scope: SharedScope): void {
  const self = crypto.randomUUID()
  const relay = new BroadcastChannel(`lockstep ${scope.name}`)
  const toOwnPage = (message: FromWorker): void => scope.postMessage(message)
  const ownPage: Page = { post: toOwnPage }
  const remote = new Map<string, Page>()
  let leader: Leader | null = null

  scope.onmessage = ({ data }: MessageEvent<ToHost>) => {
    if (leader !== null) leader.receive(ownPage, data)
    else relay.postMessage({ to: "leader", from: self, message: data } satisfies Relayed)
  }
  relay.onmessage = ({ data }: MessageEvent<Relayed>) => {
    if (data.to === "page") {
      if (data.page === self) toOwnPage(data.message)
    } else if (data.to === "all") {
      if (leader === null) toOwnPage({ type: "Again" })
    } else if (leader !== null) {
      const { from } = data
      let page = remote.get(from)
      if (page === undefined) {
        page = { post: (message) => relay.postMessage({ to: "page", page: from, message } satisfies Relayed) }
        remote.set(from, page)
      }
      leader.receive(page, data.message)
    }
  }
  whenLeading(scope.name, () => {
    leader = new Leader(scope.name, () => {
      relay.postMessage({ to: "all" } satisfies Relayed)
      toOwnPage({ type: "Again" })
    })
  })
}

const scope = globalThis as SharedScope
if ("onconnect" in scope) runShared(scope)
else runOwn(scope)
