/** Reads the golden vectors where they lie: the same files as the Rust tests read. */

import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const PROTOCOL = new URL("../../../../protocol/", import.meta.url)

/** PROTOCOL.md's text. */
export const protocolText = (): string => readFileSync(new URL("PROTOCOL.md", PROTOCOL), "utf8")

/** Lines of one vector file without comments. */
function lines(file: string): string[] {
  const path = fileURLToPath(new URL(`vectors/${file}`, PROTOCOL))
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => !line.startsWith("#"))
}

/** A file of `name hex` lines. */
export function pairs(file: string): [string, string][] {
  return lines(file)
    .filter((line) => line !== "")
    .map(split)
}

/** A block of `key hex` lines; a key may come more than once. */
export class Block {
  constructor(private readonly rows: readonly [string, string][]) {}

  /** Every value of a key. */
  all(key: string): string[] {
    return this.rows.filter(([name]) => name === key).map(([, value]) => value)
  }

  /** Whether it has a key. */
  has(key: string): boolean {
    return this.rows.some(([name]) => name === key)
  }

  /** The value of a key. */
  one(key: string): string {
    const [value] = this.all(key)
    if (value === undefined) throw new Error(`the vector has no ${key}`)
    return value
  }

  /** A big-endian number. */
  number(key: string): number {
    return Number.parseInt(this.one(key), 16)
  }
}

/** A file of blocks with a blank line between them. */
export function blocks(file: string): Block[] {
  const found: Block[] = []
  let rows: [string, string][] = []
  for (const line of [...lines(file), ""]) {
    if (line !== "") rows.push(split(line))
    else if (rows.length > 0) {
      found.push(new Block(rows))
      rows = []
    }
  }
  return found
}

function split(line: string): [string, string] {
  const space = line.indexOf(" ")
  return [line.slice(0, space), line.slice(space + 1)]
}
