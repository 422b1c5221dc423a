// Opens two sets of Automerge files, merges them in both orders, and prints heads and messages as JSON.
// Usage: node merge.mjs FOLDER FOLDER; files of the same name are the same document.
import * as Automerge from "@automerge/automerge"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const [one, other] = process.argv.slice(2)
const open = (folder, name) => Automerge.load(readFileSync(join(folder, name)))
const merged = (into, from) => Automerge.merge(Automerge.clone(into), from)

const documents = readdirSync(one).map((name) => {
  const [a, b] = [open(one, name), open(other, name)]
  const both = [merged(a, b), merged(b, a)]
  return {
    name,
    heads: [a, b, ...both].map((document) => Automerge.getHeads(document).sort()),
    bodies: both.map((document) =>
      Object.entries(document.messages ?? {})
        .sort(([left], [right]) => (left < right ? -1 : 1))
        .map(([, message]) => message.body),
    ),
  }
})
console.log(JSON.stringify(documents))
