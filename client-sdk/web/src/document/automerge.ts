/**
 * A document's facts as a real Automerge document, for whoever wants one: to export it, to merge it elsewhere, to check
 * heads with stock Automerge. Nothing else in the SDK needs Automerge's code, so a page that does not import this
 * module does not load it.
 */

import * as Automerge from "@automerge/automerge"

import { type ChainHead, changeBytes, derive, emptyHead } from "../protocol/change.ts"
import { genesisBytes } from "../protocol/genesis.ts"
import type { ActorId, DocumentKind } from "../protocol/id.ts"
import type { ChainFact } from "../protocol/saved.ts"

/** What a document of facts looks like to Automerge. */
export type AutomergeDocument = Automerge.Doc<Readonly<Record<string, Readonly<Record<string, unknown>>>>>

/** The changes of a document's facts, its genesis first. Each chain comes in order and without holes. */
export function automergeChanges(kind: DocumentKind, facts: Iterable<ChainFact>): Uint8Array[] {
  const heads = new Map<ActorId, ChainHead>()
  const changes = [genesisBytes(kind)]
  for (const { actor, seq, fact } of facts) {
    const head = heads.get(actor) ?? emptyHead(kind)
    if (seq !== head.seq + 1) throw new Error(`chain ${actor} goes on at ${head.seq + 1}, not at ${seq}`)
    changes.push(changeBytes(actor, head, fact))
    heads.set(actor, derive(actor, head, fact))
  }
  return changes
}

/** A document's facts as an Automerge document. */
export function toAutomerge(kind: DocumentKind, facts: Iterable<ChainFact>): AutomergeDocument {
  const [document] = Automerge.applyChanges(Automerge.init() as AutomergeDocument, automergeChanges(kind, facts))
  return document
}
