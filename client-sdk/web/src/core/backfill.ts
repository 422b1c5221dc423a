/** Fetching documents: newest segments of recent conversations first, resumable, superseded by newer grants. */

import { readEntry } from "../protocol/entry.ts"
import type { Table } from "../protocol/entry.ts"
import { EMPTY_DIGEST } from "../protocol/digest.ts"
import type { ListedConversation, Snapshot } from "../protocol/frame.ts"
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
import { factTime } from "../protocol/fact.ts"
import { type Refusal, refusalClass } from "../protocol/refusal.ts"
import { SavedDocumentError, readSaved } from "../protocol/saved.ts"
import { takeListing } from "./catalogue.ts"
import type { Device } from "./device.ts"
import { noteIfPending } from "./entries.ts"
import { isAsListed } from "./imported.ts"
import { queue } from "./job.ts"
import { messageStands, offerLost } from "./offer.ts"
import { Replica } from "./replica.ts"
import { dropFact, forked } from "./rewrite.ts"
import type { BackfillRow } from "./row.ts"
import { touch, touchArrived } from "./screen.ts"
import { send } from "./session.ts"
import { refreshDigest, replicaOf, setDocument, write } from "./transaction.ts"

/** Segments asked for at once that nobody waits for. */
const FETCH_SEGMENTS = 4
/** Fetches in flight at once. (The hub lets 16 wait.) */
const FETCHES_MAX = 12
/** Fetches in flight beyond which no past is asked for that nobody waits for. */
const PAST_FETCHES_MAX = 2
/** Attempts to read one document. */
export const READS_MAX = 4
/** Largest snapshot of one document, bytes: what a tab can bear. */
const DOCUMENT_BYTES_MAX = 64 * 1024 * 1024

/**
 * How much somebody waits for what a backfill asks for next; the lowest is asked for first. 0: an open view shows
 * nothing yet. 1: it reaches back to what is not here. 2: the newest of a conversation. 3: what an epoch change made
 * doubtful. 4: the past, which may wait until somebody wants to see it.
 */
type Urgency = 0 | 1 | 2 | 3 | 4
const PAST: Urgency = 4

/** A Fetch that waits for its answers. */
export interface FetchState {
  readonly conversation: ConversationId
  /** The imported segment that it asks for; it belongs to no backfill then. */
  readonly imported: DocumentId | null
  readonly grant: Lsn
  readonly before: number | null
  /** Documents that expired meanwhile, and the LSN that says so: what was read before does not count. */
  readonly gone: Map<DocumentId, Lsn>
  /** Documents that came. */
  readonly came: Set<DocumentId>
  assembling: WholeSnapshot | null
}

/** A document's Snapshot frames, joined. */
export interface WholeSnapshot {
  readonly document: DocumentId
  readonly upto: Lsn
  parts: number
  /** Bytes of all parts. */
  weight: number
  readonly bytes: Uint8Array[]
  readonly table: Table
  readonly tail: { readonly epoch: number; readonly entry: Uint8Array }[]
}

/** Starts or restarts a conversation's backfill. */
export function beginBackfill(d: Device, row: BackfillRow): void {
  setBackfill(d, row)
  d.pauses.clear(`fetch ${row.conversation}`)
}

function setBackfill(d: Device, row: BackfillRow): void {
  d.backfills.set(row.conversation, row)
  write(d, { type: "Backfill", row })
}

/** Starts a backfill of one document, or widens the present one so that it covers it. */
export function backfillDocument(d: Device, document: DocumentId): void {
  const conversation = conversationOf(document)
  const isSegment = kindOf(document) === "segment"
  const [before, floor] = isSegment ? [numberOf(document) + 1, numberOf(document)] : [null, NUMBER_MAX]
  for (const [tag, fetch] of d.fetches) if (fetch.conversation === conversation) d.fetches.delete(tag)
  const known = d.backfills.get(conversation)
  const asked: BackfillRow =
    known === undefined
      ? { conversation, grant: d.cursorLsn ?? 0, before, floor, changed: true, changedFloor: floor }
      : {
          ...known,
          before: known.before === null || before === null ? null : Math.max(known.before, before),
          floor: Math.min(known.floor, floor),
          changed: true,
          changedFloor: Math.min(known.changed ? known.changedFloor : NUMBER_MAX, floor),
        }
  beginBackfill(d, asked)
}

/** Whether a Fetch belongs to its conversation's present backfill. */
function isCurrent(d: Device, tag: number): boolean {
  const fetch = d.fetches.get(tag)
  if (fetch === undefined) return false
  if (fetch.imported !== null) return d.wanted.has(fetch.imported)
  const row = d.backfills.get(fetch.conversation)
  return row !== undefined && row.grant === fetch.grant && row.before === fetch.before
}

/** Whether a Fetch of a conversation is in flight. */
export function fetchesOf(d: Device, conversation: ConversationId): boolean {
  for (const fetch of d.fetches.values()) if (fetch.conversation === conversation) return true
  return false
}

/** Asks for the next documents: open views first, then the newest of every conversation, recent ones first. */
export function sendFetches(d: Device): void {
  if (d.fetches.size >= FETCHES_MAX || d.cursorLsn === null) return
  const busy = new Set<ConversationId>()
  for (const [tag, fetch] of d.fetches) if (isCurrent(d, tag)) busy.add(fetch.conversation)
  const waits = (conversation: ConversationId): boolean => d.pauses.waits(`fetch ${conversation}`, d.now.monoMs)
  // What somebody waits for comes first, the newest of it before the rest.
  for (const document of [...d.wanted].sort().reverse()) {
    const conversation = conversationOf(document)
    if (d.fetches.size >= FETCHES_MAX || waits(conversation) || busy.has(conversation)) continue
    busy.add(conversation)
    ask(d, conversation, numberOf(document) + 1, 0, document, 1)
  }
  const noPast = d.fetches.size >= PAST_FETCHES_MAX || !d.config.streamPast
  const waiting: { row: BackfillRow; urgency: Urgency; newest: Lsn }[] = []
  for (const row of d.backfills.values()) {
    if (busy.has(row.conversation) || waits(row.conversation)) continue
    const urgency = urgencyOf(d, row)
    if (noPast && urgency === PAST) continue
    waiting.push({ row, urgency, newest: d.conversations.get(row.conversation)?.newest ?? 0 })
  }
  waiting.sort(
    (one, other) =>
      one.urgency - other.urgency ||
      other.newest - one.newest ||
      (one.row.conversation < other.row.conversation ? -1 : 1),
  )
  for (const { row, urgency } of waiting) {
    if (d.fetches.size >= (urgency === PAST ? PAST_FETCHES_MAX : FETCHES_MAX)) return
    ask(d, row.conversation, row.before, row.grant, null, urgency >= 3 ? FETCH_SEGMENTS : 1)
  }
}

function urgencyOf(d: Device, row: BackfillRow): Urgency {
  const oldest = d.screen.views.get(row.conversation)?.oldest
  if (row.before === null) return oldest === undefined ? 2 : 0
  if (oldest !== undefined && oldest < row.before) return 1
  return row.changed ? 3 : PAST
}

/** Whether a backfill goes on unasked: what nobody wants to see yet of a conversation's past does not. */
export function isStreamed(d: Device, row: BackfillRow): boolean {
  return d.config.streamPast || row.before === null || row.changed
}

/** Sends a Fetch, for a backfill or for one imported segment. */
function ask(
  d: Device,
  conversation: ConversationId,
  before: number | null,
  grant: Lsn,
  imported: DocumentId | null,
  limit: number,
): void {
  const tag = d.tag()
  d.fetches.set(tag, { conversation, imported, grant, before, gone: new Map(), came: new Set(), assembling: null })
  send(d, { type: "Fetch", fetch: { tag, conversation, before, limit, imported: imported !== null } })
}

/** The conversation that a Fetch asked about. */
export function takePage(d: Device, tag: number, conversations: readonly ListedConversation[]): void {
  if (!isCurrent(d, tag)) return
  const asked = d.fetches.get(tag)?.conversation
  for (const listed of conversations) if (listed.conversation.id === asked) takeListing(d, listed, false)
}

/** A part of a document. */
export function takePart(d: Device, part: Snapshot): void {
  const fetch = d.fetches.get(part.tag)
  if (fetch === undefined) return
  const { document, upto, table, tail } = part
  const weight =
    part.bytes.length +
    64 * (table.facts.length + table.events.length) +
    tail.reduce((sum, row) => sum + row.entry.length, 0)
  if (part.part === 0) {
    fetch.assembling = { document, upto, parts: 1, weight, bytes: [part.bytes], table, tail }
  } else {
    const whole = fetch.assembling
    const fits = whole !== null && whole.document === document && whole.parts === part.part
    if (!fits || whole.weight + weight > DOCUMENT_BYTES_MAX) {
      d.session.broken = true
      return
    }
    whole.parts++
    whole.weight += weight
    whole.bytes.push(part.bytes)
    whole.table.facts.push(...table.facts)
    whole.table.events.push(...table.events)
    whole.tail.push(...tail)
  }
  const snapshot = fetch.assembling
  if (!part.last || snapshot === null) return
  fetch.assembling = null
  fetch.came.add(document)
  queue(d, { type: "Replace", tag: part.tag, snapshot })
}

/** A document expired: what a Fetch in flight brings of it was read before. */
export function fetchedBefore(d: Device, document: DocumentId, lsn: Lsn): void {
  const conversation = conversationOf(document)
  for (const fetch of d.fetches.values()) if (fetch.conversation === conversation) fetch.gone.set(document, lsn)
}

/** A Fetch is answered. */
export function fetched(d: Device, tag: number, before: number | null): void {
  if (d.fetches.has(tag)) queue(d, { type: "Fetched", tag, before })
}

/** A document that came cannot be read. It is asked for again a few times; then the backfill goes on without it. */
function fetchFailed(d: Device, tag: number, document: DocumentId): void {
  d.notice({ type: "DocumentBroken", document })
  const failures = (d.unreadable.get(document) ?? 0) + 1
  d.unreadable.set(document, failures)
  if (failures >= READS_MAX) {
    d.wanted.delete(document)
  } else {
    const fetch = d.fetches.get(tag)
    d.fetches.delete(tag)
    if (fetch !== undefined) d.pauses.pause(`fetch ${fetch.conversation}`, d.now.monoMs, null, d.random)
  }
}

/** A Fetch was refused. */
export function fetchRefused(d: Device, tag: number, refusal: Refusal): void {
  const fetch = d.fetches.get(tag)
  if (fetch === undefined) return
  d.fetches.delete(tag)
  // The conversation is gone, or about to be: Entries tell. Asking goes on, ever more rarely.
  if (refusalClass(refusal.code) !== "Again") d.notice({ type: "Refused", refusal })
  d.pauses.pause(`fetch ${fetch.conversation}`, d.now.monoMs, refusal.retryAfterMs, d.random)
}

/** Replaces a document by what came. */
export function takeSnapshot(d: Device, tag: number, snapshot: WholeSnapshot): void {
  if (!isCurrent(d, tag)) return
  const { document, upto } = snapshot
  if (d.fetches.get(tag)?.conversation !== conversationOf(document)) {
    d.session.broken = true
    return
  }
  // Read before the document went.
  if (upto < (d.fetches.get(tag)?.gone.get(document) ?? 0)) return
  const replica = unpack(snapshot)
  if (replica === null || !isAsListed(d, replica)) {
    fetchFailed(d, tag, document)
    return
  }
  d.unreadable.delete(document)
  replace(d, replica, upto)
  d.wanted.delete(document)
}

/** Documents in the range of a Fetch that are held here and that the hub has not: it sent none. */
export function unanswered(d: Device, tag: number, before: number | null): DocumentId[] {
  const fetch = d.fetches.get(tag)
  if (fetch === undefined || fetch.imported !== null || !isCurrent(d, tag)) return []
  const { conversation, came } = fetch
  const from = documentId(conversation, "segment", 0)
  return d.documents.keys(from, documentId(conversation, "card", NUMBER_MAX)).filter((id) => {
    const number = numberOf(id)
    const covered =
      kindOf(id) === "card"
        ? fetch.before === null
        : number >= (before ?? 0) && (fetch.before === null || number < fetch.before)
    return covered && !came.has(id) && d.documents.get(id)?.digest !== EMPTY_DIGEST
  })
}

/** Everything of a Fetch is taken: the backfill is one step on. */
export function takeFetched(d: Device, tag: number, before: number | null): void {
  const current = isCurrent(d, tag)
  for (const document of unanswered(d, tag, before)) replace(d, new Replica(document), 0)
  const fetch = d.fetches.get(tag)
  if (fetch === undefined) return
  d.fetches.delete(tag)
  const { conversation } = fetch
  if (fetch.imported !== null) {
    // It did not come: it was taken back, and an entry says so.
    d.wanted.delete(fetch.imported)
    d.pauses.clear(`fetch ${conversation}`)
    return
  }
  const row = d.backfills.get(conversation)
  if (row === undefined || !current) return
  if (before !== null && before > row.floor && (fetch.before === null || before < fetch.before)) {
    setBackfill(d, { ...row, before, changed: row.changed && before > row.changedFloor })
  } else {
    d.backfills.delete(conversation)
    write(d, { type: "BackfillGone", conversation })
  }
  d.screen.unsummarised.add(conversation)
  d.pauses.clear(`fetch ${conversation}`)
}

/**
 * Puts `fresh` in the place of a document. Live facts that came after `upto` stay; stamped facts that it lacks become
 * offers; pending facts that it holds are confirmed.
 */
function replace(d: Device, fresh: Replica, upto: Lsn): void {
  const { document } = fresh
  const { epoch } = d
  const old = replicaOf(d, document)
  for (const { row } of old.facts()) if (row.epoch === epoch && row.stamp.lsn > upto) fresh.addFact(row)
  for (const row of old.events()) if (row.epoch === epoch && row.stamp.lsn > upto) fresh.addEvent(row)
  offerLost(d, old, fresh)
  write(d, { type: "DocumentGone", document })
  for (const { row } of fresh.facts()) {
    const { actor, seq, fact } = row.placed
    if (old.fact(actor, seq) === undefined) noteIfPending(d, fact, document, row.stamp)
    d.clock.receive(d.now.wallMs, factTime(fact))
    write(d, { type: "Fact", row })
  }
  for (const row of fresh.events()) write(d, { type: "Event", row })
  d.pending.meta = true
  for (const message of old.subjects()) touch(d, document, message)
  touchArrived(d, document)
  for (const message of fresh.messageIds()) messageStands(d, message)
  const loaded = d.replicas.get(document)
  if (loaded !== undefined) loaded.replica = fresh
  // All of it stands in the log of this epoch's hub, whichever epochs its stamps are of: LSNs alone rank it.
  setDocument(d, document, { newestReply: fresh.newestReply(d.generation(epoch)) })
  refreshDigest(d, document)
  checkOwnChain(d, document)
}

/**
 * After a replacement: pending facts that the document holds are confirmed; an own chain that does not fit it is
 * abandoned.
 */
function checkOwnChain(d: Device, document: DocumentId): void {
  const replica = replicaOf(d, document)
  for (const { order, actor, seq, hash } of d.outbox.of(document)) {
    if (replica.fact(actor, seq)?.row.placed.hash === hash) dropFact(d, order)
  }
  const own = d.documents.get(document)?.own ?? null
  if (own === null) return
  const head = replica.heads(d.outbox.of(document)).get(own.actor)
  if (head?.hash !== own.head.hash || head.seq !== own.head.seq) forked(d, document)
}

/** The document that a snapshot means; null if its parts do not fit each other. */
function unpack({ document, bytes, table, tail }: WholeSnapshot): Replica | null {
  const replica = new Replica(document)
  if (bytes.some((part) => part.length > 0) && !readInto(replica, joined(bytes), table)) return null
  for (const { epoch, stamp, body } of table.events) {
    const of = table.epochs[epoch]
    if (of === undefined) return null
    replica.addEvent({ epoch: of, stamp, body })
  }
  for (const { epoch, entry } of tail) {
    const [of, read] = [table.epochs[epoch], readEntry(entry)]
    if (of === undefined) return null
    if (read === null) continue
    const { stamp, body } = read
    if (body.type !== "Fact") replica.addEvent({ epoch: of, stamp, body })
    else if (body.placed.document !== document) return null
    else replica.addFact({ epoch: of, stamp, placed: body.placed })
  }
  return replica
}

/** Adds a saved document's facts under their stamps; false if they do not lead to its heads. */
function readInto(replica: Replica, bytes: Uint8Array, table: Table): boolean {
  let saved
  try {
    saved = readSaved(replica.kind, bytes)
  } catch (error) {
    if (error instanceof SavedDocumentError) return false
    throw error
  }
  const stamps = new Map(table.facts.map((row) => [`${row.actor}/${row.seq}`, row]))
  // One stamp for all facts of an imported segment.
  const announced = table.events.find(({ body }) => body.type === "Imported")
  for (const fact of saved.facts) {
    const row = replica.kind === "imported" ? announced : stamps.get(`${fact.actor}/${fact.seq}`)
    const epoch = row === undefined ? undefined : table.epochs[row.epoch]
    if (row === undefined || epoch === undefined || !replica.append(fact, epoch, row.stamp)) return false
  }
  const heads = [...replica.chains.values()].map(({ hash }) => hash)
  return heads.length === 0 || heads.sort().join() === [...saved.heads].sort().join()
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
