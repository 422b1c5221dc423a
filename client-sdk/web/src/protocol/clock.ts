/** The hybrid logical clock that stamps ULIDs. PROTOCOL.md, "Ids and times". All times are milliseconds since 1970. */

import { CLOCK_PUSH_MS_MAX } from "./limits.ts"

/** Wall time, corrected by the hub's, never going back, always after what was seen. */
export class Clock {
  private offsetMs = 0

  /** @param last The newest time that the device issued or saw. */
  constructor(private last: number) {}

  /** The newest time issued or received. */
  get lastMs(): number {
    return this.last
  }

  /** The next time to issue. */
  tick(wallMs: number): number {
    this.last = Math.max(this.corrected(wallMs), this.last + 1)
    return this.last
  }

  /** Takes note of a received time, which pushes this clock at most a minute ahead. */
  receive(wallMs: number, timeMs: number): void {
    this.last = Math.max(this.last, Math.min(timeMs, this.corrected(wallMs) + CLOCK_PUSH_MS_MAX))
  }

  /** Sets the offset to the hub's time. */
  correct(wallMs: number, hubMs: number): void {
    this.offsetMs = hubMs - wallMs
  }

  /** Wall time by the hub's clock. */
  corrected(wallMs: number): number {
    return Math.max(0, wallMs + this.offsetMs)
  }
}
