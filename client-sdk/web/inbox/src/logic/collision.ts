/** How a collision is told. */

import type { CollisionCause } from "../client/port.ts"
import type { TextKey } from "../text/text.ts"

/** Above this one does not count seconds. */
const SECONDS_MAX = 120

/** The sentence for the author of the reply that lost. Times are those of two devices' clocks: nothing is made of a negative difference. */
export function collisionText(cause: CollisionCause, ownMs: number, winnerMs: number | undefined): { key: TextKey; count: number } {
  if (cause === "lease") return { key: "collision.lease", count: 0 }
  if (cause === "stale") return { key: "collision.stale", count: 0 }
  const count = winnerMs === undefined ? 0 : Math.round((ownMs - winnerMs) / 1_000)
  return count > 0 && count <= SECONDS_MAX ? { key: "collision.windowOwn", count } : { key: "collision.window", count: 0 }
}
