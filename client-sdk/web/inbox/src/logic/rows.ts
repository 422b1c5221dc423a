/** A thread's rows: messages in groups, lines between days, the unread line, what arrived late, what was not sent. */

import type { MemberId, MessageId, MessageView, NotSent } from "../client/port.ts"

/** A row of a thread. */
export type ThreadRow =
  | { readonly type: "day"; readonly key: string; readonly dayMs: number }
  | { readonly type: "unread"; readonly key: "unread" }
  | {
      readonly type: "message"
      readonly key: MessageId
      readonly message: MessageView
      /** Whether it begins a group: its author is named above. */
      readonly first: boolean
      /** Whether it ends a group: its time stands below. */
      readonly last: boolean
      /** Whether it came after messages that were written later. */
      readonly late: boolean
    }
  | { readonly type: "notSent"; readonly key: string; readonly item: NotSent }

/** Messages of one author farther apart than this begin a new group, milliseconds. */
export const GROUP_MS_MAX = 5 * 60_000
/** What came out of order by less than this is a matter of clocks, milliseconds. */
export const LATE_MS_MIN = 60_000

/** What the rows are built from. */
export interface RowsInput {
  readonly messages: readonly MessageView[]
  readonly notSent: readonly NotSent[]
  readonly me: MemberId
  /** The newest message that was read when the thread was opened; null for none, undefined for no line. */
  readonly readUpTo: MessageId | null | undefined
}

/** Rows from the oldest to the newest. */
export function buildRows({ messages, notSent, me, readUpTo }: RowsInput): ThreadRow[] {
  const rows: ThreadRow[] = []
  const late = lateOnes(messages)
  const days = new Days()
  let isLineDrawn = readUpTo === undefined
  for (let at = 0; at < messages.length; at++) {
    const message = messages[at] as MessageView
    const before = messages[at - 1]
    const after = messages[at + 1]
    const isNewDay = days.enter(message.timeMs)
    if (isNewDay) rows.push({ type: "day", key: `day ${days.startMs}`, dayMs: days.startMs })
    const isLine = !isLineDrawn && message.by !== me && message.state.type !== "Imported" && (readUpTo === null || message.id > (readUpTo ?? ""))
    if (isLine) {
      rows.push({ type: "unread", key: "unread" })
      isLineDrawn = true
    }
    rows.push({
      type: "message",
      key: message.id,
      message,
      first: isNewDay || isLine || before === undefined || !isOneGroup(before, message),
      last: after === undefined || !isOneGroup(message, after) || !days.holds(after.timeMs),
      late: late.has(at),
    })
  }
  for (const item of notSent) rows.push({ type: "notSent", key: `not sent ${item.item}`, item })
  return rows
}

/** Whether two messages, one after the other, are shown as one person's run. */
export function isOneGroup(one: MessageView, other: MessageView): boolean {
  return (
    one.by === other.by &&
    one.dir === other.dir &&
    other.timeMs - one.timeMs <= GROUP_MS_MAX &&
    one.state.type !== "Held" &&
    other.state.type !== "Held"
  )
}

/** Indexes of messages with a higher place in the log than a message that was written clearly later. */
function lateOnes(messages: readonly MessageView[]): Set<number> {
  const late = new Set<number>()
  // From the newest back: the lowest place so far, and when that message was written.
  let lowest = Number.POSITIVE_INFINITY
  let lowestMs = 0
  for (let at = messages.length - 1; at >= 0; at--) {
    const { lsn, timeMs, state } = messages[at] as MessageView
    if (lsn === null || state.type === "Imported") continue
    if (lsn > lowest && lowestMs - timeMs >= LATE_MS_MIN) late.add(at)
    if (lsn < lowest) [lowest, lowestMs] = [lsn, timeMs]
  }
  return late
}

/** Local days, found without asking the calendar for every message. */
export class Days {
  startMs = Number.NEGATIVE_INFINITY
  private endMs = Number.NEGATIVE_INFINITY

  /** Goes to the day of a time; whether that is another day than before. */
  enter(timeMs: number): boolean {
    if (this.holds(timeMs)) return false
    const day = new Date(timeMs)
    day.setHours(0, 0, 0, 0)
    this.startMs = day.getTime()
    // The next midnight: a day is not always 24 hours long.
    day.setDate(day.getDate() + 1)
    this.endMs = day.getTime()
    return true
  }

  holds(timeMs: number): boolean {
    return timeMs >= this.startMs && timeMs < this.endMs
  }
}

/** Index of the row that shows a message; -1 if none does. */
export function rowOf(rows: readonly ThreadRow[], message: MessageId): number {
  // Message rows are in order of id; others lie between.
  let [low, high] = [0, rows.length - 1]
  while (low <= high) {
    const middle = (low + high) >> 1
    let at = middle
    while (at >= low && rows[at]?.type !== "message") at--
    if (at < low) {
      low = middle + 1
      continue
    }
    const { key } = rows[at] as ThreadRow
    if (key === message) return at
    if (key < message) low = middle + 1
    else high = at - 1
  }
  return -1
}

/** A message by its id, in a list in order of it. */
export function messageOf(messages: readonly MessageView[], id: MessageId): MessageView | undefined {
  let [low, high] = [0, messages.length - 1]
  while (low <= high) {
    const middle = (low + high) >> 1
    const message = messages[middle] as MessageView
    if (message.id === id) return message
    if (message.id < id) low = middle + 1
    else high = middle - 1
  }
  return undefined
}

/** Indexes of rows whose message holds the text, oldest first. */
export function findRows(rows: readonly ThreadRow[], wanted: string): number[] {
  const needle = fold(wanted)
  if (needle === "") return []
  const found: number[] = []
  for (const [at, row] of rows.entries()) {
    if (row.type === "message" && row.message.retracted === null && fold(row.message.body).includes(needle)) found.push(at)
  }
  return found
}

/** Text as it is compared: without case, width and accents of Latin letters. */
export function fold(text: string): string {
  return text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLocaleLowerCase().trim()
}
