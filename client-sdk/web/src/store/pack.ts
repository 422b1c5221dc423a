/** A document's rows in one record: a snapshot of hundreds of facts is one value to write and to read. */

import { decode, encode, fixed, list, struct, u32 } from "../protocol/codec.ts"
import { entryBodyCodec, placedFactCodec } from "../protocol/entry.ts"
import type { Epoch } from "../protocol/id.ts"
import { stampCodec } from "../protocol/stamp.ts"
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

/** Rows from bytes; throws a `DecodeError` where they are damaged. */
export function unpack(bytes: Uint8Array): DocumentRows {
  const { epochs, facts, events } = decode(packCodec, bytes)
  const named = <T extends { epoch: number }>(row: T): Omit<T, "epoch"> & { epoch: Epoch } => {
    const epoch = epochs[row.epoch]
    if (epoch === undefined) throw new RangeError("a packed row of no epoch")
    return { ...row, epoch }
  }
  return { facts: facts.map(named), events: events.map(named) }
}
