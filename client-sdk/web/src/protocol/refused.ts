/** A refusal as it travels. PROTOCOL.md, table 3. Apart from the codes, which a page needs without any codec. */

import { type TypeOf, fixed, optional, struct, text, u16, u32, u53 } from "./codec.ts"
import { type HashPrefix, documentIdCodec } from "./id.ts"
import { stampCodec } from "./stamp.ts"

/** See the module. Which of the optional fields are there follows from the code. */
export const refusalCodec = struct({
  /** The code's number: `refusalCode`. */
  code: u16,
  /** For a person who reads logs, in English. */
  message: text,
  /** Not again before this many milliseconds. */
  retryAfterMs: optional(u32),
  /** `Gap`: the seq that the hub expects. */
  next: optional(u32),
  /** `Gap`: prefix of the hash before `next`. */
  hash: optional(fixed<HashPrefix>(8)),
  /** `SegmentFull`, `DocumentUnknown`: the document to write into. */
  open: optional(documentIdCodec),
  /** `ClockAhead`: the hub's time, milliseconds since 1970. */
  nowMs: optional(u53),
  /** `Duplicate`: where it stands. */
  document: optional(documentIdCodec),
  /** `Duplicate`: its stamp. */
  stamp: optional(stampCodec),
  /** `StillCollides`: the member whose reply or lease stands in the way. */
  by: optional(u32),
})

/** See {@link refusalCodec}. */
export type Refusal = TypeOf<typeof refusalCodec>
