/** A device's key and the hub that it belongs to. */

import { getPublicKeyAsync, signAsync } from "@noble/ed25519"

import { toHex } from "./protocol/cbor.ts"
import type { PinnedKeyHash, PublicKey, Signature } from "./protocol/id.ts"

/**
 * The secret key: one of the browser's own that no code can read, where it knows Ed25519; else its bytes.
 */
export type SecretKey =
  { readonly type: "webcrypto"; readonly key: CryptoKey } | { readonly type: "raw"; readonly seed: Uint8Array }

/** What is kept beside the rows. */
export interface Identity {
  readonly public: PublicKey
  readonly secret: SecretKey
  /** The hub's WebSocket, as `wss://hub.lan:7443/v1/sync`. */
  readonly url: string
  /** SHA-256 of the hub's certificate key, from the pairing link. */
  readonly pinned: PinnedKeyHash
  /** The hub does not know this key any more: the next enrolment takes a fresh one. */
  readonly spent?: true
}

/** A fresh key pair. */
export async function makeKey(): Promise<{ public: PublicKey; secret: SecretKey }> {
  try {
    const pair = (await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"])) as CryptoKeyPair
    const raw = await crypto.subtle.exportKey("raw", pair.publicKey)
    return { public: toHex(new Uint8Array(raw)) as PublicKey, secret: { type: "webcrypto", key: pair.privateKey } }
  } catch {
    // This browser does not know Ed25519 yet.
    const seed = crypto.getRandomValues(new Uint8Array(32))
    return { public: toHex(await getPublicKeyAsync(seed)) as PublicKey, secret: { type: "raw", seed } }
  }
}

/** An Ed25519 signature (RFC 8032) over bytes. */
export async function sign(secret: SecretKey, bytes: Uint8Array): Promise<Signature> {
  const copy = bytes.slice()
  const proof =
    secret.type === "webcrypto"
      ? new Uint8Array(await crypto.subtle.sign({ name: "Ed25519" }, secret.key, copy))
      : await signAsync(copy, secret.seed)
  return toHex(proof) as Signature
}
