/** What the whole inbox shows, as the port's events tell it. */

import type {
  ConversationId, ListRow, MemberId, Notice, NotSent, Port, PortEvent, Status, Team, ViewEvent,
} from "../client/port.ts"
import { byNewest } from "../logic/filter.ts"
import { Store } from "./store.ts"
import { Thread } from "./thread.ts"

/** A lease heard of. */
export interface LiveLease {
  readonly holder: MemberId
  /** By `performance.now()`. */
  readonly untilMs: number
}

/** A notice that stays until it is put away. */
export interface Alert {
  readonly number: number
  readonly notice: Notice
}

const STARTING: Status = {
  phase: "starting", stopped: null, member: null, device: null, online: false, caughtUp: false, progress: null, waiting: 0,
}

/** Threads that stay open behind the one on the screen, so that going back is instant. */
const THREADS_MAX = 3
/** Notices that a person should read. */
const ALERTS: ReadonlySet<Notice["type"]> = new Set([
  "EpochChanged", "RoleChanged", "ConversationGone", "ResolveRefused", "ChainForked", "DocumentBroken", "Unreadable",
])

/** The inbox's state. */
export class Inbox {
  readonly port: Port
  readonly status = new Store<Status>(STARTING)
  readonly team = new Store<Team | null>(null)
  /** Null until the first list is here. */
  readonly rows = new Store<readonly ListRow[] | null>(null)
  readonly leases = new Store<ReadonlyMap<ConversationId, LiveLease>>(new Map())
  readonly notSent = new Store<readonly NotSent[]>([])
  readonly alerts = new Store<readonly Alert[]>([])
  private readonly threads = new Map<ConversationId, Thread>()
  private readonly held = new Map<ConversationId, ListRow>()
  private readonly noticed = new Set<(notice: Notice) => void>()
  private areRowsScheduled = false
  private alertCount = 0

  constructor(port: Port) {
    this.port = port
    port.subscribe((event) => this.take(event))
  }

  /** This member's staff number; 0 before it is known. */
  readonly me = (): MemberId => this.status.get().member ?? 0

  /** A thread, opened if it is not. */
  thread(conversation: ConversationId): Thread {
    const known = this.threads.get(conversation)
    if (known !== undefined) {
      this.threads.delete(conversation)
      this.threads.set(conversation, known)
      return known
    }
    const thread = new Thread(conversation, this.me)
    this.threads.set(conversation, thread)
    for (const old of [...this.threads.keys()].slice(0, -THREADS_MAX)) {
      this.threads.delete(old)
      void this.port.close(old)
    }
    void this.port.open(conversation)
    return thread
  }

  /** A row of the list. */
  row(conversation: ConversationId): ListRow | undefined {
    return this.held.get(conversation)
  }

  /** Told of every notice; answers how to stop. */
  onNotice(listener: (notice: Notice) => void): () => void {
    this.noticed.add(listener)
    return () => this.noticed.delete(listener)
  }

  putAway(alert: number): void {
    this.alerts.update((alerts) => alerts.filter(({ number }) => number !== alert))
  }

  private take(event: PortEvent): void {
    switch (event.type) {
      case "Status":
        this.status.set(event.status)
        if (event.status.phase === "revoked" || event.status.phase === "fresh") this.clear()
        break
      case "Team":
        this.team.set(event.team)
        break
      case "Conversations":
        if (event.all) this.held.clear()
        for (const row of event.rows) this.held.set(row.conversation.id, row)
        for (const id of event.gone) this.held.delete(id)
        if (event.all) this.showRows()
        else this.scheduleRows()
        break
      case "NotSent":
        this.notSent.set(event.items)
        break
      case "View":
        if (event.event.type === "Lease") this.takeLease(event.event)
        else this.threads.get(event.event.conversation)?.apply(event.event)
        break
      case "Notice":
        if (ALERTS.has(event.notice.type)) {
          this.alerts.update((alerts) => [...alerts.slice(-4), { number: ++this.alertCount, notice: event.notice }])
        }
        for (const listener of this.noticed) listener(event.notice)
        break
    }
  }

  private takeLease({ conversation, lease }: Extract<ViewEvent, { type: "Lease" }>): void {
    const leases = new Map(this.leases.get())
    if (lease === null || lease.holder === this.me()) leases.delete(conversation)
    else leases.set(conversation, { holder: lease.holder, untilMs: performance.now() + lease.forMs })
    this.leases.set(leases)
  }

  private scheduleRows(): void {
    if (this.areRowsScheduled) return
    this.areRowsScheduled = true
    setTimeout(() => this.showRows(), 16)
  }

  private showRows(): void {
    this.areRowsScheduled = false
    this.rows.set([...this.held.values()].sort(byNewest))
  }

  private clear(): void {
    this.held.clear()
    this.threads.clear()
    this.rows.set(null)
    this.leases.set(new Map())
    this.notSent.set([])
    this.alerts.set([])
  }
}
