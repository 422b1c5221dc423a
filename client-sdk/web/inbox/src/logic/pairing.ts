/** Reads what a person scanned, followed or typed to pair a device. */

import { type Link, authority, parseLink } from "../../../src/protocol/link.ts"
import type { InviteCode, Pairing } from "../client/port.ts"

/** What it came to. */
export type PairingText =
  | { readonly type: "Pairing"; readonly pairing: Pairing }
  /** The link is for a hub at another address: it must be opened there. */
  | { readonly type: "Elsewhere"; readonly url: string }
  | { readonly type: "Unreadable" }

/** Where the page stands. */
export interface Origin {
  readonly hostname: string
  /** Empty for 443. */
  readonly port: string
}

/** Reads a pairing link, a web address that holds one, or a code alone. */
export function readPairing(text: string, origin: Origin): PairingText {
  const trimmed = text.trim()
  const code = trimmed.replace(/[\s-]/g, "").toLowerCase()
  if (/^[0-9a-f]{32}$/.test(code)) return { type: "Pairing", pairing: { code: code as InviteCode, pinned: null } }
  const link = parseLink(fromWeb(trimmed) ?? trimmed)
  if (typeof link === "string") return { type: "Unreadable" }
  const port = origin.port === "" ? 443 : Number(origin.port)
  const host = origin.hostname.replace(/^\[|\]$/g, "")
  if (link.host.toLowerCase() !== host.toLowerCase() || link.port !== port) return { type: "Elsewhere", url: webLink(link) }
  return { type: "Pairing", pairing: { code: link.code, pinned: link.pinned } }
}

/** The same link as a web address: what a phone's camera opens by itself. The hub never sees what follows the `#`. */
export function webLink({ host, port, pinned, code }: Link): string {
  const address = port === 443 ? authority(host, port).replace(/:443$/, "") : authority(host, port)
  return `https://${address}/#/pair/${pinned}/${code}`
}

/** A pairing link as a web address; null for a text that is no pairing link. */
export function toWeb(text: string): string | null {
  const link = parseLink(text)
  return typeof link === "string" ? null : webLink(link)
}

function fromWeb(text: string): string | null {
  const found = /^https:\/\/([^/?#]+)\/?#\/pair\/([0-9A-Fa-f]+)\/([0-9A-Fa-f]+)$/.exec(text)
  if (found === null) return null
  const [, address, pinned, code] = found
  return `lockstep://${/:\d+$/.test(address ?? "") ? address : `${address}:443`}/${pinned}/${code}`
}

/** A typed code in groups of four, as it is easiest to read out. */
export function groupCode(code: string): string {
  return code.replace(/(.{4})(?=.)/g, "$1 ")
}
