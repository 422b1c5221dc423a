/** A document's rows in one record: a snapshot of hundreds of facts is one value to write and to read. */

import { decode, encode, fixed, list, struct, u32 } from "../protocol/codec.ts"
import { entryBodyCodec, placedFactCodec } from "../protocol/entry.ts"
import type { Epoch } from "../protocol/id.ts"
import { type Stamp, stampCodec } from "../protocol/stamp.ts"
import type { EventRow, FactRow } from "../core/row.ts"

const packCodec = struct({
  epochs: list(fixed<Epoch>(16)),
  facts: list(struct({ epoch: u32, stamp: stampCodec, placed: placedFactCodec })),
  events: list(struct({ epoch: u32, stamp: stampCodec, body: entryBodyCodec })),
})

/** Rows of one document. */
export interface DocumentRows {
  readonly facts: FactRow[]
  readonly events: EventRow[]
}

/** Rows as bytes. */
export function pack({ facts, events }: DocumentRows): Uint8Array {
  const epochs = [...new Set([...facts, ...events].map((row) => row.epoch))]
  const indexed = <T extends { epoch: Epoch }>(row: T): Omit<T, "epoch"> & { epoch: number } => ({
    ...row,
    epoch: epochs.indexOf(row.epoch),
  })
  return encode(packCodec, { epochs, facts: facts.map(indexed), events: events.map(indexed) })
}

/**
 * Lets rows of one document share what they have in common: read from bytes, each has strings of its own, and half of
 * a tab's memory would be copies of ids.
 */
class Shared {
  private readonly strings = new Map<string, string>()
  private stamp: Stamp | null = null

  id<T extends string>(text: T): T {
    const known = this.strings.get(text)
    if (known === undefined) this.strings.set(text, text)
    return (known ?? text) as T
  }

  /** One stamp covers all facts of an imported segment. */
  stampOf(stamp: Stamp): Stamp {
    const { stamp: last } = this
    if (last === null || last.mac !== stamp.mac || last.lsn !== stamp.lsn || last.atMs !== stamp.atMs)
      this.stamp = stamp
    return this.stamp ?? stamp
  }
}

/** Rows from bytes; throws a `DecodeError` where they are damaged. */
export function unpack(bytes: Uint8Array): DocumentRows {
  const { epochs, facts, events } = decode(packCodec, bytes)
  const named = <T extends { epoch: number }>(row: T): Omit<T, "epoch"> & { epoch: Epoch } => {
    const epoch = epochs[row.epoch]
    if (epoch === undefined) throw new RangeError("a packed row of no epoch")
    return { ...row, epoch }
  }
  const shared = new Shared()
  return {
    facts: facts.map((row) => {
      const { document, actor } = row.placed
      const placed = { ...row.placed, document: shared.id(document), actor: shared.id(actor) }
      return named({ ...row, stamp: shared.stampOf(row.stamp), placed })
    }),
    events: events.map(named),
  }
}
