/** Work that may need documents in memory: done in the order in which it came, one at a time, each as a whole. */

import { type Entry, type EntryBody, documentOf } from "../protocol/entry.ts"
import type { ListedConversation, Outcome, Team } from "../protocol/frame.ts"
import {
  type ConversationId,
  type DocumentId,
  type Lsn,
  NUMBER_MAX,
  conversationOf,
  documentId,
  kindOf,
  numberOf,
} from "../protocol/id.ts"
import type { Cursor } from "../protocol/stamp.ts"
import { act, actMisses } from "./act.ts"
import { READS_MAX, type WholeSnapshot, backfillDocument, takeFetched, takeSnapshot, unanswered } from "./backfill.ts"
import { takeCatalogue } from "./catalogue.ts"
import type { Device } from "./device.ts"
import { isLazy, takeRange } from "./entries.ts"
import { importListed } from "./imported.ts"
import type { Act, Request } from "./input.ts"
import { takeLost } from "./offer.ts"
import { takeAck } from "./push.ts"
import { Replica } from "./replica.ts"
import { rewriteAll } from "./rewrite.ts"
import type { EventRow, FactRow } from "./row.ts"
import { isInGap, shows, touchAll, touchArrived } from "./screen.ts"
import { summaryDocuments } from "./summary.ts"
import { commit, documentRow, stopPushing, write } from "./transaction.ts"

/** Rows that could not be read are asked for again after this long, milliseconds. */
const LOAD_AGAIN_MS = 1_000
/** Acts whose transactions may be on their way into the store; beyond, an act is answered `Busy`. */
const UNDURABLE_MAX = 4_096

/** One piece of work. */
export type Job =
  /** A member did something. */
  | { readonly type: "Act"; readonly request: Request; readonly act: Act }
  /** A range of the log came. */
  | {
      readonly type: "Entries"
      readonly from: Lsn
      readonly cursor: Cursor
      readonly entries: readonly Entry[]
      readonly granted: readonly { conversation: ConversationId; lsn: Lsn }[]
      readonly revoked: readonly ConversationId[]
    }
  | {
      readonly type: "Ack"
      readonly tag: number
      readonly results: readonly Outcome[]
      readonly witness: Cursor | null
    }
  /** The last page of the catalogue came. */
  | {
      readonly type: "Catalogue"
      readonly conversations: readonly ListedConversation[]
      readonly team: Team | null
      readonly end: Cursor
      readonly shredded: readonly ConversationId[]
    }
  /** A document came. */
  | { readonly type: "Replace"; readonly tag: number; readonly snapshot: WholeSnapshot }
  /** All documents of a Fetch came and are replaced. */
  | { readonly type: "Fetched"; readonly tag: number; readonly before: number | null }
  /** An open view begins with an older segment than before: it and those after it are loaded. Of imported ones that one. */
  | { readonly type: "Show"; readonly document: DocumentId }
  /** What a list shows of a conversation changed: its newest segments are loaded. */
  | { readonly type: "Summarise"; readonly conversation: ConversationId }

/** A decoded Entries frame. */
export type Range = Extract<Job, { type: "Entries" }>

const isLocal = (job: Job): boolean => job.type === "Act" || job.type === "Show" || job.type === "Summarise"

/** A member did something: it waits behind what came before. */
export function acted(d: Device, request: Request, what: Act): void {
  const waiting = d.jobs.filter((job) => job.type === "Act").length
  if (waiting >= d.config.waitingMax || d.done.length >= UNDURABLE_MAX) {
    d.out.push({ type: "ActDone", request, outcome: { type: "Busy" } })
  } else {
    d.jobs.push({ type: "Act", request, act: what })
  }
}

/** Queues work of this session; too much of it means that the store is far behind, and drops the connection. */
export function queue(d: Device, job: Job): void {
  const waiting = d.jobs.filter((other) => !isLocal(other)).length
  if (waiting >= 2 * d.config.waitingMax) d.session.broken = true
  else d.jobs.push(job)
}

/** The session is gone, and with it what it brought that is not done yet. */
export function dropSessionJobs(d: Device): void {
  d.jobs = d.jobs.filter(isLocal)
}

/** Does work until a document is missing. */
export function runJobs(d: Device): void {
  if (d.loadAgainMs !== null && d.loadAgainMs <= d.now.monoMs) {
    d.loadAgainMs = null
    d.loading = null
  }
  for (;;) {
    // What follows may rest on what went wrong; the next session brings it again.
    if (d.session.broken) dropSessionJobs(d)
    const [job, lost] = [d.jobs[0], d.lost[0]]
    if (job === undefined && lost === undefined) return
    const missing =
      job !== undefined ? jobMisses(d, job) : isAbsent(d, lost as DocumentId) ? (lost as DocumentId) : null
    if (missing !== null) {
      if (d.loading !== missing) {
        d.loading = missing
        d.loadAgainMs = null
        d.out.push({ type: "Load", document: missing })
      }
      return
    }
    d.uses++
    if (job !== undefined) {
      d.jobs.shift()
      run(d, job)
    } else {
      takeLost(d, d.lost.shift() as DocumentId)
    }
    commit(d)
  }
}

function run(d: Device, job: Job): void {
  switch (job.type) {
    case "Act":
      act(d, job.request, job.act)
      return
    case "Entries":
      takeRange(d, job)
      return
    case "Ack":
      takeAck(d, job.tag, job.results, job.witness)
      return
    case "Catalogue":
      takeCatalogue(d, job.conversations, job.team, job.end, job.shredded)
      return
    case "Replace":
      takeSnapshot(d, job.tag, job.snapshot)
      return
    case "Fetched":
      takeFetched(d, job.tag, job.before)
      return
    case "Summarise":
      d.screen.unsummarised.add(job.conversation)
      return
    case "Show":
  }
}

/** The first document that a job needs and that is not in memory. */
function jobMisses(d: Device, job: Job): DocumentId | null {
  const absent = (document: DocumentId): boolean => isAbsent(d, document)
  switch (job.type) {
    case "Act":
      return actMisses(d, job.act)
    case "Entries":
      for (const { body } of job.entries) {
        const document = entryDocument(body)
        if (document !== null && absent(document) && !isLazy(d, document, body)) return document
      }
      return null
    case "Ack": {
      const question = d.questions.get(job.tag)
      if (question?.type !== "Push") return null
      const elsewhere = job.results.flatMap((result) => (result.type === "Refused" ? [result.refusal.document] : []))
      return [question.document, ...elsewhere].find((document) => document !== null && absent(document)) ?? null
    }
    case "Catalogue":
      return null
    case "Replace":
      return absent(job.snapshot.document) ? job.snapshot.document : null
    case "Fetched":
      return unanswered(d, job.tag, job.before).find(absent) ?? null
    case "Summarise":
      return summaryDocuments(d, job.conversation).find(absent) ?? null
    case "Show":
      if (!shows(d, job.document)) return null
      if (kindOf(job.document) === "imported") return absent(job.document) ? job.document : null
      return absentFrom(d, conversationOf(job.document), numberOf(job.document))
  }
}

/** Whether a job is about a document, so that it must not be evicted. */
export function jobNames(job: Job, document: DocumentId): boolean {
  if (job.type === "Entries") return job.entries.some(({ body }) => entryDocument(body) === document)
  return job.type === "Replace" ? job.snapshot.document === document : true
}

/** Whether the store holds rows of a document that is not in memory. */
export function isAbsent(d: Device, document: DocumentId): boolean {
  return d.documents.has(document) && !d.replicas.has(document)
}

/** A document that a view from segment `oldest` on needs and that is not in memory: segments and every card. */
export function absentFrom(d: Device, conversation: ConversationId, oldest: number): DocumentId | null {
  const shown = d.documents.keys(
    documentId(conversation, "segment", oldest),
    documentId(conversation, "card", NUMBER_MAX),
  )
  return shown.find((id) => isAbsent(d, id) && !isInGap(d, id)) ?? null
}

/** Rows came from the store; null if they could not be read. */
export function loaded(
  d: Device,
  document: DocumentId,
  rows: { readonly facts: readonly FactRow[]; readonly events: readonly EventRow[] } | null,
): void {
  if (d.loading !== document) return
  if (rows === null) {
    d.notice({ type: "Unreadable", document })
    const failures = (d.unloadable.get(document) ?? 0) + 1
    d.unloadable.set(document, failures)
    if (failures < READS_MAX) {
      d.loadAgainMs = d.now.monoMs + LOAD_AGAIN_MS
    } else {
      d.loading = null
      d.unloadable.delete(document)
      loseRows(d, document)
    }
    return
  }
  d.loading = null
  d.unloadable.delete(document)
  if (!isAbsent(d, document)) return
  const replica = Replica.fromRows(document, rows.facts, rows.events)
  if (replica.differs) stopPushing(d)
  d.replicas.set(document, { replica, ticket: 0, used: d.uses })
  touchArrived(d, document)
}

/**
 * The rows of a document cannot be read: they are deleted, and the hub is asked for it. What waits in the outbox is
 * written again under a new chain.
 */
function loseRows(d: Device, document: DocumentId): void {
  const row = d.documents.get(document)
  if (row === undefined) return
  d.documents.delete(document)
  write(d, { type: "DocumentGone", document })
  if (row.listed !== null) {
    importListed(d, document, row.listed)
    return
  }
  documentRow(d, document)
  if (d.conversations.get(conversationOf(document))?.lost === false) backfillDocument(d, document)
  rewriteAll(d, document)
  touchAll(d, document)
}

/** The document that must be in memory before an entry is taken. */
function entryDocument(body: EntryBody): DocumentId | null {
  return body.type === "Opened" || body.type === "Imported" ? null : documentOf(body)
}
