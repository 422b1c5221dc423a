/**
 * The one host of a device: several pages are attached to it, and are one device. It opens a conversation's view once,
 * however many pages show it.
 */

import type { ActOutcome } from "./core/effect.ts"
import type { Act } from "./core/input.ts"
import { type LeaseView, type MessageView, type ViewEvent, applyEvent } from "./core/view.ts"
import { Driver, type DriverOptions, type ExportedDocument } from "./driver.ts"
import type { Call, HostEvent, ToHost, ToPage } from "./messages.ts"
import type { ConversationId } from "./protocol/id.ts"
import type { ConversationItem } from "./status.ts"
import type { KeptDraft } from "./store/store.ts"

/** A page, as the host sees it. */
export interface Page {
  post(message: ToPage): void
}

/** What an open view consists of: whoever opens it later is told this. */
interface OpenThread {
  readonly pages: Set<Page>
  messages: MessageView[] | null
  /** The newest event of each other kind. */
  readonly latest: Map<"Markers" | "Card" | "Older" | "Gap", ViewEvent>
}

/** See the module. */
export class Host {
  private readonly pages = new Set<Page>()
  private readonly threads = new Map<ConversationId, OpenThread>()
  /** Views that the host itself is closing: that they are closed is nobody's news. */
  private readonly closing = new Map<ConversationId, number>()
  private readonly leases = new Map<ConversationId, { lease: LeaseView; untilMs: number }>()
  private drafts = new Map<ConversationId, KeptDraft>()
  private events: HostEvent[] = []
  private driver!: Driver

  private constructor() {}

  /** Opens a device. */
  static async open(name: string, options: DriverOptions = {}): Promise<Host> {
    const host = new Host()
    host.driver = await Driver.open(name, options, {
      view: (event) => host.view(event),
      notice: (notice) => host.events.push({ type: "Notice", notice }),
      conversations: (changed, gone) => host.conversations(changed, gone),
      team: (team) => host.events.push({ type: "Team", team }),
      notSent: (rows) => host.events.push({ type: "NotSent", rows }),
      drafts: (drafts) => host.replaceDrafts(drafts),
      status: (status) => host.events.push({ type: "Status", status }),
      turned: () => host.flush(),
    })
    host.drafts = await host.driver.drafts()
    return host
  }

  /** Stops the device. */
  close(): Promise<void> {
    return this.driver.close()
  }

  /** Every document of a conversation that is held here. */
  export(conversation: ConversationId): Promise<ExportedDocument[]> {
    return this.driver.export(conversation)
  }

  /** Connects at once: the network is back, or a person wants it. */
  connect(): void {
    void this.driver.act({ type: "Connect" })
  }

  /** A message of a page. */
  receive(page: Page, message: ToHost): void {
    switch (message.type) {
      case "Attach":
        this.flush()
        this.detach(page)
        this.pages.add(page)
        page.post({ type: "Attached", state: this.state() })
        return
      case "Detach":
        this.detach(page)
        return
      case "Call":
        void this.call(page, message.call).then((outcome) => page.post({ type: "Answer", id: message.id, outcome }))
    }
  }

  private state(): Extract<ToPage, { type: "Attached" }>["state"] {
    const { driver } = this
    const nowMs = performance.now()
    const leases = [...this.leases].map(
      ([id, { lease, untilMs }]) => [id, { ...lease, forMs: untilMs - nowMs }] as const,
    )
    return {
      status: driver.status,
      conversations: driver.conversations(),
      team: driver.team(),
      notSent: driver.notSent(),
      drafts: this.drafts,
      leases: new Map(leases),
    }
  }

  private async call(page: Page, call: Call): Promise<ActOutcome> {
    switch (call.type) {
      case "Act":
        return this.act(page, call.act)
      case "Enrol":
        return this.driver.enrol(call.enrolment)
      case "Draft":
        return this.draft(call.conversation, call.draft)
      case "Wipe":
        this.drafts = new Map()
        await this.driver.wipe()
        return { type: "Done" }
      case "Restart":
        await this.driver.restart()
        return { type: "Done" }
    }
  }

  private act(page: Page, act: Act): Promise<ActOutcome> | ActOutcome {
    if (act.type === "Open") return this.open(page, act)
    if (act.type !== "Close") return this.driver.act(act)
    return this.leave(page, act.conversation)
  }

  private async open(page: Page, act: Extract<Act, { type: "Open" }>): Promise<ActOutcome> {
    const { conversation } = act
    const known = this.threads.get(conversation)
    if (known !== undefined) {
      known.pages.add(page)
      if (known.messages !== null) {
        const opened: ViewEvent = { type: "Opened", conversation, messages: known.messages }
        const events = [opened, ...known.latest.values()].map((event): HostEvent => ({ type: "View", event }))
        page.post({ type: "Events", events })
      }
      return { type: "Done" }
    }
    this.threads.set(conversation, { pages: new Set([page]), messages: null, latest: new Map() })
    const outcome = await this.driver.act(act)
    if (outcome.type !== "Done") this.threads.delete(conversation)
    return outcome
  }

  private leave(page: Page, conversation: ConversationId): Promise<ActOutcome> | ActOutcome {
    const thread = this.threads.get(conversation)
    thread?.pages.delete(page)
    if (thread === undefined || thread.pages.size > 0) return { type: "Done" }
    this.threads.delete(conversation)
    return this.closeView(conversation)
  }

  private async closeView(conversation: ConversationId): Promise<ActOutcome> {
    this.closing.set(conversation, (this.closing.get(conversation) ?? 0) + 1)
    const outcome = await this.driver.act({ type: "Close", conversation })
    const left = (this.closing.get(conversation) ?? 1) - 1
    if (left === 0) this.closing.delete(conversation)
    else this.closing.set(conversation, left)
    return outcome
  }

  private async draft(conversation: ConversationId, draft: KeptDraft | null): Promise<ActOutcome> {
    if (draft === null) this.drafts.delete(conversation)
    else this.drafts.set(conversation, draft)
    this.events.push({ type: "Draft", conversation, draft })
    this.flush()
    try {
      await this.driver.setDraft(conversation, draft)
      return { type: "Done" }
    } catch {
      return { type: "StoreFailed" }
    }
  }

  /** A page is gone. */
  detach(page: Page): void {
    if (!this.pages.delete(page)) return
    for (const conversation of [...this.threads.keys()]) void this.leave(page, conversation)
  }

  private conversations(changed: readonly ConversationItem[], gone: readonly ConversationId[]): void {
    this.events.push({ type: "Conversations", changed, gone })
    for (const conversation of gone) {
      // The store has deleted it with the conversation.
      if (this.drafts.delete(conversation)) this.events.push({ type: "Draft", conversation, draft: null })
    }
  }

  private replaceDrafts(drafts: ReadonlyMap<ConversationId, KeptDraft>): void {
    for (const conversation of this.drafts.keys()) {
      if (!drafts.has(conversation)) this.events.push({ type: "Draft", conversation, draft: null })
    }
    for (const [conversation, draft] of drafts) this.events.push({ type: "Draft", conversation, draft })
    this.drafts = new Map(drafts)
  }

  private view(event: ViewEvent): void {
    const { conversation } = event
    // It may be open again by now, for a page that came a moment later.
    if (event.type === "Closed" && this.closing.has(conversation)) return
    this.events.push({ type: "View", event })
    if (event.type === "Lease") {
      if (event.lease === null) this.leases.delete(conversation)
      else this.leases.set(conversation, { lease: event.lease, untilMs: performance.now() + event.lease.forMs })
      return
    }
    const thread = this.threads.get(conversation)
    if (thread === undefined) return
    if (event.type === "Closed") this.flush()
    if (event.type === "Closed") this.threads.delete(conversation)
    else if (event.type === "Markers" || event.type === "Card" || event.type === "Older" || event.type === "Gap")
      thread.latest.set(event.type, event)
    else thread.messages = applyEvent(thread.messages ?? [], event)
  }

  /** Tells every page what changed; of conversations those that it shows. */
  private flush(): void {
    const { events } = this
    if (events.length === 0) return
    this.events = []
    for (const page of this.pages) {
      const told = events.filter((event) => this.concerns(page, event))
      if (told.length > 0) page.post({ type: "Events", events: told })
    }
  }

  private concerns(page: Page, event: HostEvent): boolean {
    if (event.type !== "View" || event.event.type === "Lease") return true
    return this.threads.get(event.event.conversation)?.pages.has(page) ?? false
  }
}
