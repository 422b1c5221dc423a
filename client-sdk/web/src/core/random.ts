/** Numbers that nobody can guess, from the seed that the shell drew at the start: BLAKE3 in keyed counter mode. */

import { toHex } from "../protocol/cbor.ts"
import { deriveKey, keyedHash } from "../protocol/hash.ts"

/** See the module. */
export class Random {
  private readonly key: Uint8Array
  private readonly counter = new DataView(new ArrayBuffer(8))
  private count = 0

  /** @param seed 32 bytes, new at each start: a repeated one would repeat nonces and ids. */
  constructor(seed: Uint8Array) {
    this.key = deriveKey("lockstep device random 1", seed)
  }

  private next(): Uint8Array {
    this.count++
    this.counter.setUint32(4, this.count)
    return keyedHash(this.key, new Uint8Array(this.counter.buffer))
  }

  /** The next 16 bytes, in hexadecimal digits. */
  bytes16(): string {
    return toHex(this.next(), 0, 16)
  }

  /** A number below `bound`, which is not 0. */
  below(bound: number): number {
    const bytes = this.next()
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) % bound
  }
}
