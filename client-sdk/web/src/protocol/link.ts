/** The pairing link, which a QR code holds: `lockstep://HOST:PORT/PIN/CODE`. */

import type { InviteCode, PinnedKeyHash } from "./id.ts"

/** The path of the WebSocket on the hub's port. */
export const SYNC_PATH = "/v1/sync"

/** Where a hub is, how it is recognised, and the code that lets a device in. */
export interface Link {
  /** Name or address of the hub, IPv6 without brackets. */
  readonly host: string
  /** Its port. */
  readonly port: number
  /** SHA-256 of its certificate's public key. */
  readonly pinned: PinnedKeyHash
  /** The one-time code. */
  readonly code: InviteCode
}

/** What is wrong with a text that is no pairing link. */
export type LinkProblem = "scheme" | "address" | "fingerprint" | "code"

const LABEL = /^[A-Za-z0-9_-]+$/

/** Reads a pairing link; says what is wrong with one that is none. */
export function parseLink(text: string): Link | LinkProblem {
  const rest = /^lockstep:\/\/(.*)$/s.exec(text.trim())?.[1]
  if (rest === undefined) return "scheme"
  const [address, pinned, code, ...more] = rest.split("/")
  const parts = /^(.*):(\d{1,5})$/s.exec(address ?? "")
  const [host, port] = [hostOf(parts?.[1] ?? ""), Number(parts?.[2] ?? 0)]
  if (host === null || port < 1 || port > 65_535) return "address"
  if (!isHex(pinned, 64)) return "fingerprint"
  if (!isHex(code, 32) || more.length > 0) return "code"
  return { host, port, pinned: pinned.toLowerCase() as PinnedKeyHash, code: code.toLowerCase() as InviteCode }
}

/** Writes a pairing link. */
export function formatLink({ host, port, pinned, code }: Link): string {
  return `lockstep://${authority(host, port)}/${pinned}/${code}`
}

/** `HOST:PORT` as in a URL. */
export function authority(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
}

function hostOf(text: string): string | null {
  const bracketed = /^\[([0-9A-Fa-f:.]+)\]$/.exec(text)?.[1]
  if (bracketed !== undefined) return bracketed.includes(":") ? bracketed : null
  return text.length <= 253 && text.split(".").every((label) => LABEL.test(label)) ? text : null
}

function isHex(text: string | undefined, length: number): text is string {
  return text !== undefined && text.length === length && /^[0-9A-Fa-f]*$/.test(text)
}
