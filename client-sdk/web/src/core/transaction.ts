/** Rows on their way into the store: everything that one turn changed becomes durable together. */

import { EMPTY_DIGEST } from "../protocol/digest.ts"
import { factTime, subjectOf } from "../protocol/fact.ts"
import { type ConversationId, type DocumentId, type Lsn, conversationOf } from "../protocol/id.ts"
import type { Device } from "./device.ts"
import { jobNames } from "./job.ts"
import { messageStands } from "./offer.ts"
import { type Accepted, Replica, acceptedByEvent, acceptedByFact, laterReply } from "./replica.ts"
import { type DocumentRow, type EventRow, type FactRow, type Write, eventDocument, eventMessage } from "./row.ts"
import { shows, touch } from "./screen.ts"

/** What the next transaction will write. */
export class Pending {
  readonly writes: Write[] = []
  readonly conversations = new Set<ConversationId>()
  readonly documents = new Set<DocumentId>()
  meta = false
  team = false

  /** Whether nothing is to be written. */
  get isEmpty(): boolean {
    const sets = this.conversations.size + this.documents.size
    return this.writes.length === 0 && sets === 0 && !this.meta && !this.team
  }
}

/** Adds a row to the transaction that is being gathered. */
export function write(d: Device, row: Write): void {
  d.pending.writes.push(row)
}

/** Hands the gathered rows to the shell as one transaction. */
export function commit(d: Device): void {
  if (d.pending.isEmpty) return
  const { writes, conversations, documents, meta, team } = d.pending
  d.pending = new Pending()
  for (const id of conversations) {
    const row = d.conversations.get(id)
    if (row !== undefined) writes.push({ type: "Conversation", row })
  }
  for (const id of documents) {
    const row = d.documents.get(id)
    if (row !== undefined) writes.push({ type: "Document", row })
  }
  if (team && d.team !== null) writes.push({ type: "Team", row: d.team })
  if (meta) {
    d.meta = { ...d.meta, clockMs: d.clock.lastMs }
    writes.push({ type: "Meta", row: d.meta })
  }
  if (writes.length === 0) return
  d.out.push({ type: "Persist", ticket: d.nextTicket++, writes })
}

/** The row of a document, made if there is none: then the store holds nothing of it, and nothing is to be loaded. */
export function documentRow(d: Device, document: DocumentId): DocumentRow {
  const known = d.documents.get(document)
  if (known !== undefined) return known
  const row: DocumentRow = { document, digest: EMPTY_DIGEST, own: null, newestReply: null, listed: null }
  d.documents.set(document, row)
  d.pending.documents.add(document)
  d.replicas.set(document, { replica: new Replica(document), ticket: d.nextTicket, used: d.uses })
  return row
}

/** Changes a document's row. */
export function setDocument(d: Device, document: DocumentId, change: Partial<DocumentRow>): void {
  d.documents.set(document, { ...documentRow(d, document), ...change })
  d.pending.documents.add(document)
}

/** A loaded document that is about to be written: callers have waited for it; one that is not there has no rows. */
export function replicaOf(d: Device, document: DocumentId): Replica {
  documentRow(d, document)
  const loaded = d.replicas.get(document)
  if (loaded === undefined) throw new Error("a job waits until its documents are loaded")
  loaded.ticket = d.nextTicket
  loaded.used = d.uses
  return loaded.replica
}

/** Takes a stamped fact into its document; false if its place is taken. */
export function takeFact(d: Device, row: FactRow): boolean {
  const { document, fact } = row.placed
  if (!replicaOf(d, document).addFact(row)) return false
  d.clock.receive(d.now.wallMs, factTime(fact))
  touch(d, document, subjectOf(fact))
  if (fact.type === "Message") messageStands(d, fact.message.id)
  accepted(d, document, acceptedByFact(row))
  noteNewest(d, conversationOf(document), row.stamp.lsn)
  write(d, { type: "Fact", row })
  refreshDigest(d, document)
  return true
}

/** Takes a resolution, delivery or mark into its document; false if it is known. */
export function takeEvent(d: Device, row: EventRow): boolean {
  const document = eventDocument(row.body)
  if (document === null || !replicaOf(d, document).addEvent(row)) return false
  touch(d, document, eventMessage(row.body))
  accepted(d, document, acceptedByEvent(row))
  noteNewest(d, conversationOf(document), row.stamp.lsn)
  write(d, { type: "Event", row })
  refreshDigest(d, document)
  return true
}

function accepted(d: Device, document: DocumentId, reply: Accepted | null): void {
  if (reply === null) return
  const newer = { generation: d.generation(reply.epoch), lsn: reply.lsn, message: reply.message }
  setDocument(d, document, { newestReply: laterReply(documentRow(d, document).newestReply, newer) })
}

/** An entry of a conversation came: lists sort by the newest. */
export function noteNewest(d: Device, conversation: ConversationId, lsn: Lsn): void {
  const row = d.conversations.get(conversation)
  if (row === undefined || row.newest >= lsn) return
  d.conversations.set(conversation, { ...row, newest: lsn })
  d.pending.conversations.add(conversation)
}

/** Keeps a document's digest in its row. */
export function refreshDigest(d: Device, document: DocumentId): void {
  const replica = replicaOf(d, document)
  setDocument(d, document, { digest: replica.digest })
  if (replica.differs) stopPushing(d)
}

/** This device and the hub derive different changes: nothing is sent until an update, everything is kept. */
export function stopPushing(d: Device): void {
  if (d.differs) return
  d.differs = true
  d.notice({ type: "UpdateNeeded" })
}

/** Forgets documents that nothing needs, longest unused first. */
export function evict(d: Device): void {
  const { documentsMax, factsMax } = d.config
  let facts = 0
  const all = d.replicas.entries()
  for (const [, { replica }] of all) facts += replica.size
  if (all.length <= documentsMax && facts <= factsMax) return
  const free = all.filter(([id, { ticket }]) => ticket <= d.persisted && !shows(d, id))
  free.sort(([, one], [, other]) => one.used - other.used)
  for (const [id, { replica }] of free) {
    if (d.replicas.size <= documentsMax && facts <= factsMax) return
    const [job] = d.jobs
    if (job !== undefined && jobNames(job, id)) continue
    d.replicas.delete(id)
    facts -= replica.size
  }
}
