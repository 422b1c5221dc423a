/** Digest of what a document holds, independent of order. PROTOCOL.md, "Document digest". */

import { toHex } from "./cbor.ts"
import { type EntryBody, macBytes } from "./entry.ts"
import { hash } from "./hash.ts"
import type { ChangeHash, DocumentDigest, HashPrefix, Mac } from "./id.ts"

/** The digest of a document that holds nothing. */
export const EMPTY_DIGEST = "00000000000000000000000000000000" as DocumentDigest

/** A digest that is kept as things come and go: each is its own inverse. */
export class Digest {
  private readonly bytes = new Uint8Array(16)

  /** The digest now. */
  get value(): DocumentDigest {
    return toHex(this.bytes) as DocumentDigest
  }

  /** Adds or takes back a fact. */
  toggleFact(change: ChangeHash, mac: Mac): void {
    this.toggle(change, mac)
  }

  /** Adds or takes back a fact whose change is not known, by the part of its hash that is. */
  toggleParked(prefix: HashPrefix, mac: Mac): void {
    this.toggle(prefix, mac)
  }

  /** Adds a fact of an imported segment: one stamp covers them all, and covers this digest. */
  addImported(change: ChangeHash): void {
    this.toggle(change, "")
  }

  /** Adds or takes back a resolution, delivery or mark. */
  toggleEvent(body: EntryBody, mac: Mac): void {
    this.toggle(hash(16, macBytes(body)), mac)
  }

  private toggle(first: string, second: string): void {
    const { bytes } = this
    for (const text of [first, second]) {
      for (let at = 0; at < 16 && 2 * at < text.length; at++) {
        bytes[at] = (bytes[at] as number) ^ Number.parseInt(text.slice(2 * at, 2 * at + 2), 16)
      }
    }
  }
}
