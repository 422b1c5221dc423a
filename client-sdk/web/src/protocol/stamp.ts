/** Stamps: what the hub adds to a fact or event when it takes it into the log. PROTOCOL.md, "Entries and stamps". */

import { type TypeOf, choice, fixed, optional, struct, u32, u53, variant } from "./codec.ts"
import type { CursorTag, Epoch, Mac, MessageId } from "./id.ts"

/** Why a reply collided: a live lease, the window, or an accepted reply that its author had not seen. */
export const collisionCauseCodec = choice("lease", "window", "stale")
/** See {@link collisionCauseCodec}. */
export type CollisionCause = TypeOf<typeof collisionCauseCodec>

const collisionCodec = struct({
  /** Which rule. */
  cause: collisionCauseCodec,
  /** The reply that won, when one did. */
  winner: optional(fixed<MessageId>(16)),
  /** The member who won. */
  by: u32,
})
/** A lost reply's reason. */
export type Collision = TypeOf<typeof collisionCodec>

const verdictCodec = variant({
  Accepted: {},
  Held: { collision: collisionCodec },
  Flagged: { collision: collisionCodec },
})
/** The hub's decision on a fact. Only replies ever lose. */
export type Verdict = TypeOf<typeof verdictCodec>

/** A stamp. */
export const stampCodec = struct({
  /** Its place in the log. */
  lsn: u53,
  /** When the hub received it, milliseconds since 1970. */
  atMs: u53,
  /** Its author. */
  member: u32,
  /** The decision. */
  verdict: verdictCodec,
  /** The hub's proof. */
  mac: fixed<Mac>(8),
})
/** See {@link stampCodec}. */
export type Stamp = TypeOf<typeof stampCodec>

/** A place in the log of one epoch, with the hub's proof. */
export const cursorCodec = struct({
  /** The epoch. */
  epoch: fixed<Epoch>(16),
  /** The last LSN covered. */
  lsn: u53,
  /** The proof. */
  tag: fixed<CursorTag>(16),
})
/** See {@link cursorCodec}. */
export type Cursor = TypeOf<typeof cursorCodec>
