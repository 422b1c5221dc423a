/** Serves the built demo as the hub serves the inbox: with its headers, from one port. */

import { readFile } from "node:fs/promises"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { extname, join, normalize } from "node:path"
import { fileURLToPath } from "node:url"

/** What the hub says; a page that needs more is a mistake here, not there. */
export const CSP =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const FOLDER = fileURLToPath(new URL("../../../dist-fake", import.meta.url))
const KINDS: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".webmanifest": "application/manifest+json",
}

/** A server on a free port, and its address. */
export async function serve(): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://x").pathname
    const name = normalize(path === "/" ? "/index.html" : path)
    readFile(join(FOLDER, name)).then(
      (bytes) => {
        response.writeHead(200, {
          "content-type": KINDS[extname(name)] ?? "application/octet-stream",
          "content-security-policy": CSP,
          "x-content-type-options": "nosniff",
          "cross-origin-opener-policy": "same-origin",
        })
        response.end(bytes)
      },
      () => response.writeHead(404).end(),
    )
  })
  await new Promise<void>((resume) => server.listen(0, "127.0.0.1", resume))
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
