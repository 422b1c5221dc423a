/** How the demo makes messages and their ids. */

import type { ConversationId, Direction, Lsn, MemberId, MessageId, MessageView } from "../port.ts"

/** A seeded generator (mulberry32): the demo is the same at every start. */
export class Chance {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** From 0 to 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(this.state ^ (this.state >>> 15), this.state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 0x1_0000_0000
  }

  /** A whole number from 0 to below `bound`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }
}

/** A message's id: its time, then its number. */
export function messageId(timeMs: number, number: number): MessageId {
  return (Math.floor(timeMs).toString(16).padStart(12, "0") + number.toString(16).padStart(20, "0")) as MessageId
}

/** A conversation's id from its number. */
export function conversationId(number: number): ConversationId {
  return (0xc0 + number).toString(16).padStart(32, "0") as ConversationId
}

/** A message as it stands when nothing has happened to it. */
export function message(
  id: MessageId,
  by: MemberId,
  dir: Direction,
  body: string,
  lsn: Lsn | null,
  more: Partial<MessageView> = {},
): MessageView {
  return {
    id,
    by,
    dir,
    kind: "text",
    body,
    edited: false,
    retracted: null,
    reactions: [],
    state: lsn === null ? { type: "Pending" } : { type: "Sent" },
    resolving: false,
    delivery: dir === "out" && lsn !== null ? "sent" : null,
    media: null,
    re: null,
    sensitive: [],
    timeMs: Number.parseInt(id.slice(0, 12), 16),
    lsn,
    ...more,
  }
}
