/** Which conversations a list shows, and what is counted of them. */

import type { ListRow, MemberId } from "../client/port.ts"
import { fold } from "./rows.ts"

/** The lists. */
export const BOXES = ["mine", "unassigned", "all"] as const
/** A list. */
export type Box = (typeof BOXES)[number]

/** The label that puts a conversation away until its customer writes again. */
export const CLOSED_LABEL = "closed"

/** Whether a conversation is put away. */
export function isClosed({ labels, summary }: ListRow): boolean {
  return labels.includes(CLOSED_LABEL) && summary?.waiting !== true
}

/** Whether a list holds a conversation. */
export function isIn(box: Box, row: ListRow, me: MemberId): boolean {
  const { assigned } = row.conversation
  if (box === "mine") return assigned.includes(me)
  return box === "all" || assigned.length === 0
}

/** What a list's heading says. */
export interface Counts {
  /** Conversations that are not put away. */
  readonly open: number
  /** Those of them with something unread. */
  readonly unread: number
}

/** Counts of every list. */
export function countAll(rows: readonly ListRow[], me: MemberId): Readonly<Record<Box, Counts>> {
  const counts = { mine: { open: 0, unread: 0 }, unassigned: { open: 0, unread: 0 }, all: { open: 0, unread: 0 } }
  for (const row of rows) {
    if (isClosed(row)) continue
    for (const box of BOXES) {
      if (!isIn(box, row, me)) continue
      counts[box].open++
      if ((row.summary?.unread ?? 0) > 0) counts[box].unread++
    }
  }
  return counts
}

/** What narrows a list. */
export interface Filter {
  readonly text: string
  readonly unread: boolean
  readonly closed: boolean
}

/** Nothing narrows it. */
export const NO_FILTER: Filter = { text: "", unread: false, closed: false }

/** The rows of a list, in the order of `rows`. */
export function select(rows: readonly ListRow[], box: Box, me: MemberId, filter: Filter): ListRow[] {
  const needle = fold(filter.text)
  return rows.filter((row) => {
    if (!isIn(box, row, me)) return false
    // Who looks for something wants it found, put away or not.
    if (needle === "" && isClosed(row) !== filter.closed) return false
    if (filter.unread && (row.summary?.unread ?? 0) === 0) return false
    return needle === "" || matches(row, needle)
  })
}

function matches({ conversation, labels, summary }: ListRow, needle: string): boolean {
  return [conversation.customer, summary?.last?.text ?? "", ...labels].some((text) => fold(text).includes(needle))
}

/** The newest first. */
export function byNewest(one: ListRow, other: ListRow): number {
  return other.newest - one.newest || (one.conversation.id < other.conversation.id ? -1 : 1)
}
