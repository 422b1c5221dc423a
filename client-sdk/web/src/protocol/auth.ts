/** Proofs of identity: what a device signs. PROTOCOL.md, "Connection and handshake". */

import { ByteWriter } from "./cbor.ts"
import type { DeviceId, HubId, InviteCode, Nonce, PinnedKeyHash } from "./id.ts"

/** What a proof fits: one hub, one certificate, one connection, one device. */
export interface Transcript {
  readonly hub: HubId
  readonly pinned: PinnedKeyHash
  readonly nonce: Nonce
  readonly device: DeviceId
  readonly version: number
}

/** The bytes that Hello's proof signs. */
export function helloBytes(transcript: Transcript): Uint8Array {
  return transcriptBytes("lockstep-hello-1", transcript, "")
}

/** The bytes that Enrol's proof signs. */
export function enrolBytes(transcript: Transcript, code: InviteCode): Uint8Array {
  return transcriptBytes("lockstep-enrol-1", transcript, code)
}

function transcriptBytes(
  domain: string,
  { hub, pinned, nonce, device, version }: Transcript,
  code: string,
): Uint8Array {
  const writer = new ByteWriter()
  writer.utf8(domain)
  for (const id of [hub, pinned, nonce, device, version.toString(16).padStart(8, "0"), code]) writer.hex(id)
  return writer.take()
}
