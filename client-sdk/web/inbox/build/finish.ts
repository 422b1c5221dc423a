/** What the build does around the bundler: clears the folder, writes the service worker's list, compresses. */

import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { brotliCompressSync, constants } from "node:zlib"
import type { Plugin } from "vite"

const COMPRESSIBLE = /\.(?:html|js|css|json|svg|webmanifest|wasm|txt)$/
const WORKER = fileURLToPath(new URL("../src/worker/service-worker.js", import.meta.url))
/** What only some people need: it is fetched when it is wanted, and kept then. */
const ON_DEMAND = /^(?:icons\/|assets\/(?:th|hi|zh|ar|decode)-)/

/** The plugin; `out` is the folder that the bundler writes into. */
export function finish(out: string): Plugin {
  return {
    name: "finish",
    apply: "build",
    buildStart() {
      mkdirSync(out, { recursive: true })
      for (const name of readdirSync(out)) if (name !== ".gitignore") rmSync(join(out, name), { recursive: true })
    },
    closeBundle() {
      writeWorker(out)
      for (const path of files(out)) if (COMPRESSIBLE.test(path)) compress(path)
    },
  }
}

/** The service worker, with the shell's files and a version that changes with any of them. */
function writeWorker(out: string): void {
  const names = files(out).map((path) => relative(out, path)).filter((name) => !name.startsWith(".")).sort()
  const shell = names.filter((name) => !ON_DEMAND.test(name) && name !== "index.html").map((name) => `/${name}`)
  const digest = createHash("sha256")
  for (const name of names) digest.update(name).update(readFileSync(join(out, name)))
  const text = readFileSync(WORKER, "utf8")
    .replace('"VERSION"', JSON.stringify(digest.digest("hex").slice(0, 16)))
    .replace('"SHELL"', JSON.stringify(["/", ...shell]))
  writeFileSync(join(out, "service-worker.js"), text)
}

function compress(path: string): void {
  const plain = readFileSync(path)
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
  }
  writeFileSync(`${path}.br`, brotliCompressSync(plain, { params }))
}

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}
