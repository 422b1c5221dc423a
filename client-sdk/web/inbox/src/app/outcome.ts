/** An act's outcome in words. */

import { refusalCode } from "../../../src/protocol/refusal.ts"
import type { ActOutcome, Answer } from "../client/port.ts"
import english from "../text/en.json"
import type { Speaker, TextKey } from "../text/text.ts"

/** Why an act did not happen; null if it did. */
export function troubleOf(outcome: ActOutcome | Answer<unknown>, speaker: Speaker): string | null {
  switch (outcome.type) {
    case "Offline":
      return speaker.t("outcome.offline")
    case "Interrupted":
      return speaker.t("outcome.interrupted")
    case "Busy":
      return speaker.t("outcome.busy")
    case "StoreFailed":
      return speaker.t("outcome.storeFailed")
    case "Rejected":
      return refusalText(outcome.code, null, speaker)
    case "Refused":
      return refusalNumber(outcome.refusal.code, speaker)
    case "Answered":
      return "outcome" in outcome && outcome.outcome.type === "Refused" ? refusalNumber(outcome.outcome.refusal.code, speaker) : null
    default:
      return null
  }
}

/** A refusal by its number. */
export function refusalNumber(number: number, speaker: Speaker): string {
  return refusalText(refusalCode(number), number, speaker)
}

/** A refusal by its code. */
export function refusalText(code: string | null, number: number | null, speaker: Speaker): string {
  const key = `refusal.${code ?? ""}`
  return key in english ? speaker.t(key as TextKey) : speaker.t("refusal.other", { number: number ?? code ?? "" })
}
