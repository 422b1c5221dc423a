/** One conversation as a page shows it: its newest messages, and older ones as they are asked for. */

import { type LeaseView, type MessageView, type OlderState, type ViewEvent, applyEvent } from "./core/view.ts"
import { type Live, LiveValue } from "./live.ts"
import type { Marker } from "./protocol/frame.ts"
import type { ConversationId, MessageId } from "./protocol/id.ts"

/** A card's fields and labels. */
export interface CardView {
  /** Fields with their values, in order of name. */
  readonly fields: readonly (readonly [string, string])[]
  /** Labels that are on, in order. */
  readonly labels: readonly string[]
}

/** What a page shows of a conversation. Replaced as a whole at each change. */
export interface ThreadState {
  /** Whether its messages are here yet. */
  readonly loaded: boolean
  /** In order of id. Objects of messages that did not change stay the same ones. */
  readonly messages: readonly MessageView[]
  /**
   * Behind this message some are left out: after a long way up only the messages around there and the newest are held.
   * `loadNewer()` brings the next of them, `trim()` goes back to the newest. Null if none are left out.
   */
  readonly gap: MessageId | null
  /** Whether older messages can be shown. */
  readonly older: OlderState
  /** Read positions, ascending by member. */
  readonly markers: readonly Marker[]
  readonly card: CardView
  /** It is visible no more: the right to see it ended, and its local copy is deleted. */
  readonly gone: boolean
}

const EMPTY: ThreadState = {
  loaded: false,
  messages: [],
  gap: null,
  older: "none",
  markers: [],
  card: { fields: [], labels: [] },
  gone: false,
}

/** See the module. Close it when it is not shown any more. */
export class Thread implements Live<ThreadState> {
  private readonly state = new LiveValue<ThreadState>(EMPTY)
  readonly subscribe = this.state.subscribe
  private closed = false

  /** @internal Made by `Client.open`. */
  constructor(
    readonly conversation: ConversationId,
    private readonly ask: (what: "ShowOlder" | "ShowNewer" | "ShowNewest" | "Close") => void,
  ) {}

  get current(): ThreadState {
    return this.state.current
  }

  /**
   * Shows one older segment, some hundred messages; those farthest from it, the newest apart, may be let go of. Nothing
   * happens while one is on its way, or if there is none.
   */
  loadOlder(): void {
    if (!this.closed && this.current.older === "more") this.ask("ShowOlder")
  }

  /** Shows one segment more behind the gap. Nothing happens if there is none. */
  loadNewer(): void {
    if (!this.closed && this.current.gap !== null) this.ask("ShowNewer")
  }

  /**
   * Lets go of older messages: for a page that has come back from far up, whose memory they take. Also in other tabs
   * that show this conversation.
   */
  trim(): void {
    if (!this.closed) this.ask("ShowNewest")
  }

  /** The page shows it no more. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.ask("Close")
  }

  /** @internal Takes what one turn changed. */
  take(events: readonly Exclude<ViewEvent, { type: "Lease" }>[]): void {
    let next: ThreadState = this.current
    let messages: MessageView[] | null = null
    for (const event of events) {
      switch (event.type) {
        case "Opened":
          messages = [...event.messages]
          next = { ...next, loaded: true, gone: false }
          break
        case "Inserted":
        case "Changed":
        case "Removed":
          messages = applyEvent(messages ?? [...next.messages], event)
          break
        case "Markers":
          next = { ...next, markers: event.markers }
          break
        case "Card":
          next = { ...next, card: { fields: event.fields, labels: event.labels } }
          break
        case "Gap":
          next = { ...next, gap: event.after }
          break
        case "Older":
          next = { ...next, older: event.older }
          break
        case "Closed":
          messages = []
          next = { ...EMPTY, gone: true }
      }
    }
    this.state.set(messages === null ? next : { ...next, messages })
  }
}

/** Who replies to a conversation, with the page's own time, milliseconds of `performance.now()`, at which it ends. */
export interface Lease {
  readonly holder: number
  readonly untilMs: number
}

/** A lease by the page's clock. */
export function leaseOf({ holder, forMs }: LeaseView): Lease {
  return { holder, untilMs: performance.now() + forMs }
}
