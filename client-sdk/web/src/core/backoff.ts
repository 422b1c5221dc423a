/** How long to wait before trying again. */

import type { Random } from "./random.ts"

/** First delay, milliseconds. */
export const DELAY_MS_MIN = 250
/** Longest delay, milliseconds. */
export const DELAY_MS_MAX = 30_000

/** Exponential delay with jitter: half to the whole of 250 ms × 2ⁿ, at most 30 s. */
export function delayMs(attempt: number, random: Random): number {
  const whole = Math.min(DELAY_MS_MIN * 2 ** Math.min(attempt, 20), DELAY_MS_MAX)
  return whole / 2 + random.below(whole / 2 + 1)
}

/** What may be told to wait: pushes of a document, a resolution, a read position, offers, a conversation's backfill. */
export type Waiter = `push ${string}` | `resolve ${number}` | `mark ${string}` | "offer" | `fetch ${string}`

/** Who waits until when. */
export class Pauses {
  private readonly waiters = new Map<Waiter, { untilMs: number; attempts: number }>()

  /** Lets `waiter` wait: at least `atLeastMs`, longer each time. */
  pause(waiter: Waiter, nowMs: number, atLeastMs: number | null, random: Random): void {
    const attempts = this.waiters.get(waiter)?.attempts ?? 0
    const untilMs = nowMs + Math.max(delayMs(attempts, random), atLeastMs ?? 0)
    this.waiters.set(waiter, { untilMs, attempts: attempts + 1 })
  }

  /** Whether it still waits. */
  waits(waiter: Waiter, nowMs: number): boolean {
    return (this.waiters.get(waiter)?.untilMs ?? 0) > nowMs
  }

  /** It got through: the next delay is short again. */
  clear(waiter: Waiter): void {
    this.waiters.delete(waiter)
  }

  /** A new session: everybody may try. */
  clearAll(): void {
    this.waiters.clear()
  }

  /** The next end of a pause that is still to come. */
  nextMs(nowMs: number): number | null {
    let next: number | null = null
    for (const { untilMs } of this.waiters.values()) {
      if (untilMs > nowMs && (next === null || untilMs < next)) next = untilMs
    }
    return next
  }
}
