/** Hashes: BLAKE3 where PROTOCOL.md does not say otherwise, SHA-256 for changes. */

import { blake3 } from "@noble/hashes/blake3.js"
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js"

import { toHex, toUtf8 } from "./cbor.ts"

/** BLAKE3 of all parts joined, cut to `length` bytes, in hexadecimal digits. */
export function hash(length: number, ...parts: readonly Uint8Array[]): string {
  const hasher = blake3.create({})
  for (const part of parts) hasher.update(part)
  return toHex(hasher.digest(), 0, length)
}

/** BLAKE3 in its keyed mode. */
export function keyedHash(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const hasher = blake3.create({ key })
  for (const part of parts) hasher.update(part)
  return hasher.digest()
}

/** BLAKE3 in its key derivation mode. */
export function deriveKey(context: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const hasher = blake3.create({ context: toUtf8(context) })
  for (const part of parts) hasher.update(part)
  return hasher.digest()
}

/** SHA-256. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return nobleSha256(bytes)
}
