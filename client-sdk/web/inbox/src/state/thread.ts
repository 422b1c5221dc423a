/** An open conversation, as its view events tell it. */

import type { ConversationId, Marker, MemberId, MessageId, MessageView, OlderState, ViewEvent } from "../client/port.ts"
import { Store } from "./store.ts"

/** What a thread shows now. */
export interface ThreadState {
  /** Null until the view is open. */
  readonly messages: readonly MessageView[] | null
  readonly markers: readonly Marker[]
  readonly fields: readonly (readonly [string, string])[]
  readonly labels: readonly string[]
  readonly older: OlderState
  /** The conversation is visible no more. */
  readonly closed: boolean
  /** What this member had read when the thread was opened; undefined until that is known. */
  readonly readUpTo: MessageId | null | undefined
}

const EMPTY: ThreadState = {
  messages: null, markers: [], fields: [], labels: [], older: "none", closed: false, readUpTo: undefined,
}

/** One open conversation. Events are taken at once and shown once a frame: a segment comes as hundreds of them. */
export class Thread {
  readonly conversation: ConversationId
  readonly state = new Store<ThreadState>(EMPTY)
  private readonly me: () => MemberId | null
  private next: ThreadState = EMPTY
  private messages: MessageView[] = []
  private areMessagesNew = false
  private isScheduled = false

  constructor(conversation: ConversationId, me: () => MemberId | null) {
    this.conversation = conversation
    this.me = me
  }

  /** Takes an event of this conversation. */
  apply(event: ViewEvent): void {
    switch (event.type) {
      case "Opened":
        this.messages = [...event.messages]
        this.areMessagesNew = true
        this.next = { ...this.next, closed: false, messages: this.messages }
        // The first list is shown at once, with what is told together with it.
        queueMicrotask(() => this.flush())
        return
      case "Inserted":
        this.messages = this.messages.toSpliced(event.at, 0, ...event.messages)
        this.areMessagesNew = true
        break
      case "Changed":
        this.messages[event.at] = event.message
        this.areMessagesNew = true
        break
      case "Removed":
        this.messages.splice(event.at, event.count)
        this.areMessagesNew = true
        break
      case "Markers":
        this.next = { ...this.next, markers: event.markers }
        break
      case "Card":
        this.next = { ...this.next, fields: event.fields, labels: event.labels }
        break
      case "Older":
        this.next = { ...this.next, older: event.older }
        break
      case "Closed":
        this.next = { ...this.next, closed: true }
        break
      case "Lease":
        return
    }
    this.schedule()
  }

  /** The unread line begins anew from what is read now: the thread was left. */
  forgetLine(): void {
    this.next = { ...this.next, readUpTo: this.lineAfter() }
    this.schedule()
  }

  /** What was read before now. Where nothing is unread, all that comes is seen as it comes: no line stands before it. */
  private lineAfter(): MessageId | null {
    const me = this.me()
    const read = this.next.markers.find(({ member }) => member === me)?.message ?? null
    const isUnread = this.messages.some(({ by, id }) => by !== me && (read === null || id > read))
    return isUnread ? read : (this.messages.at(-1)?.id ?? read)
  }

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    // Not a frame callback: those stop in a hidden tab.
    setTimeout(() => this.flush(), 8)
  }

  private flush(): void {
    this.isScheduled = false
    if (this.areMessagesNew) this.next = { ...this.next, messages: [...this.messages] }
    this.areMessagesNew = false
    if (this.next.messages !== null && this.next.readUpTo === undefined) {
      this.next = { ...this.next, readUpTo: this.lineAfter() }
    }
    this.state.set(this.next)
  }
}
