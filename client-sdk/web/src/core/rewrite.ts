/** Withdrawing facts from a chain and writing again what still stands, under a new nonce. */

import { derive, emptyHead } from "../protocol/change.ts"
import { Clock } from "../protocol/clock.ts"
import { type Fact, factTime, subjectOf, targetOf } from "../protocol/fact.ts"
import {
  type ConversationId,
  type DocumentId,
  type DocumentKind,
  type FactId,
  type MessageId,
  type Nonce,
  actorOf,
  conversationOf,
  documentId,
  kindOf,
  makeUlid,
  numberOf,
  prefixOf,
} from "../protocol/id.ts"
import { CLOCK_AHEAD_MS_MAX, CLOCK_PUSH_MS_MAX } from "../protocol/limits.ts"
import { type Refusal, refusalCode } from "../protocol/refusal.ts"
import type { Device } from "./device.ts"
import { conversationRow, documentsOf, setConversation } from "./entries.ts"
import { hasOffersFor } from "./offer.ts"
import { duplicate, isPushing, pausePush } from "./push.ts"
import type { OutboxRow } from "./row.ts"
import { isReady } from "./session.ts"
import { touch } from "./screen.ts"
import { documentRow, setDocument, write } from "./transaction.ts"

type Renamed = ReadonlyMap<MessageId, MessageId>
const NOTHING: Renamed = new Map()

/** Writes a fact as the next of this device's chain in a document. */
export function append(d: Device, document: DocumentId, fact: Fact, order: number): void {
  const known = documentRow(d, document).own
  const nonce = known?.nonce ?? (d.random.bytes16() as Nonce)
  const actor = known?.actor ?? actorOf(d.key, nonce, document)
  const head = derive(actor, known?.head ?? emptyHead(kindOf(document)), fact)
  setDocument(d, document, { own: { nonce, actor, head } })
  const row: OutboxRow = { order, document, actor, seq: head.seq, hash: prefixOf(head.hash), fact }
  write(d, { type: "Outbox", row })
  d.outbox.insert(row, d.nextTicket)
  touch(d, document, subjectOf(fact))
}

/** The next number for something that this device writes. */
export function nextOrder(d: Device): number {
  const order = d.meta.nextOrder
  d.setMeta({ nextOrder: order + 1 })
  return order
}

/** A new ULID, by the corrected clock. */
export function newUlid(d: Device): string {
  d.pending.meta = true
  return makeUlid(d.clock.tick(d.now.wallMs), d.random.bytes16())
}

/** Gives a fact up: it moves to "not sent, because …". */
export function giveUp(d: Device, order: number, code: number): void {
  const row = d.outbox.remove(order)
  if (row === null) return
  write(d, { type: "OutboxGone", order })
  touch(d, row.document, subjectOf(row.fact))
  const item = nextOrder(d)
  const conversation = conversationOf(row.document)
  if (row.fact.type === "Message") moveMark(d, conversation, row.fact.message.id, null)
  const notSent = { order: item, conversation, fact: row.fact, code, atMs: d.clock.lastMs }
  write(d, { type: "NotSent", row: notSent })
  d.notSent.set(item, notSent)
  d.notice({ type: "NotSent", item })
}

/** The message that a read position names is called otherwise now, or will never be. */
function moveMark(d: Device, conversation: ConversationId, old: MessageId, renamed: MessageId | null): void {
  if (d.conversations.get(conversation)?.unsentMark === old) setConversation(d, conversation, { unsentMark: renamed })
}

/** Drops a fact of the outbox without a word: it stands already, or its purpose is reached. */
export function dropFact(d: Device, order: number): void {
  const row = d.outbox.remove(order)
  if (row === null) return
  write(d, { type: "OutboxGone", order })
  touch(d, row.document, subjectOf(row.fact))
}

/** A change of this device's own chain came that it does not hold: its store was copied or restored. */
export function forked(d: Device, document: DocumentId): void {
  d.notice({ type: "ChainForked", document })
  rewriteAll(d, document)
}

/** Abandons the document's chain and writes everything pending again. */
export function rewriteAll(d: Device, document: DocumentId): void {
  rewrite(d, document, () => document, NOTHING)
}

/** A document is gone: what waits for it is written again into the open one. */
export function movePending(d: Device, document: DocumentId): void {
  const open = openDocument(d, conversationOf(document), kindOf(document))
  if (open !== document && d.outbox.of(document).length > 0) rewrite(d, document, () => open, NOTHING)
}

/**
 * Abandons the document's chain; its pending facts are written again, each into the document that `place` says, with
 * message ids replaced by `renamed`.
 */
function rewrite(d: Device, document: DocumentId, place: (row: OutboxRow) => DocumentId, renamed: Renamed): void {
  // What is in flight may yet be taken; only the log of a new session tells.
  if (isPushing(d, document)) d.session.broken = true
  setDocument(d, document, { own: null })
  const rows = d.outbox.of(document)
  for (const row of rows) {
    d.outbox.remove(row.order)
    touch(d, document, subjectOf(row.fact))
  }
  const targets = new Set<DocumentId>()
  for (const row of rows) {
    const target = place(row)
    append(d, target, rename(row.fact, renamed), row.order)
    if (target !== document) targets.add(target)
  }
  // A message never comes after what is about it: there, too, all are written again in the order of writing.
  for (const target of targets) if (d.outbox.isOvertaken(target)) rewriteAll(d, target)
}

/** A refusal of class *rewrite*. */
export function rewriteRefused(d: Device, document: DocumentId, row: OutboxRow | null, refusal: Refusal): void {
  const code = refusalCode(refusal.code)
  if (row !== null && (code === "SegmentFull" || code === "DocumentUnknown")) {
    rewriteElsewhere(d, document, row, refusal)
  } else if (row !== null && code === "ClockAhead") {
    rewriteLater(d, document, row, refusal)
  } else {
    if (row !== null && code === "Duplicate") {
      dropFact(d, row.order)
      duplicate(d, row.fact, refusal)
    }
    rewriteAll(d, document)
    // A reason that this version does not know: the same under a new chain, but not at once.
    if (code === null) pausePush(d, document, refusal.retryAfterMs)
  }
}

/**
 * The document takes no more of the refused fact: what is like it moves to the open one, together with what is about a
 * message that moves.
 */
function rewriteElsewhere(d: Device, document: DocumentId, refused: OutboxRow, refusal: Refusal): void {
  const [conversation, kind] = [conversationOf(document), kindOf(document)]
  const fallback = openDocument(d, conversation, kind)
  const open = refusal.open !== null && kindOf(refusal.open) === kind ? refusal.open : fallback
  const unknown = refusalCode(refusal.code) === "DocumentUnknown"
  const row = conversationRow(d, conversation)
  const field = kind === "card" ? "openCard" : "openSegment"
  const number = unknown ? numberOf(open) : Math.max(row[field], numberOf(open))
  setConversation(d, conversation, { [field]: number })
  if (open === document) {
    rewriteAll(d, document)
    pausePush(d, document, refusal.retryAfterMs)
    return
  }
  const messagesOnly = !unknown && refused.fact.type === "Message"
  const moving = new Set<number>()
  const moved = new Set<MessageId>()
  for (const { order, seq, actor, fact } of d.outbox.of(document)) {
    const alike =
      unknown ||
      (fact.type === "Message" && (messagesOnly || order === refused.order)) ||
      (fact.type === "Retraction" && order === refused.order) ||
      (fact.type !== "Message" && fact.type !== "Retraction" && !messagesOnly)
    const target = targetOf(fact)
    const follows = target !== null && moved.has(target)
    const before = seq < refused.seq && actor === refused.actor
    if (!(alike && !before) && !follows) continue
    moving.add(order)
    if (fact.type === "Message") moved.add(fact.message.id)
  }
  rewrite(d, document, ({ order }) => (moving.has(order) ? open : document), NOTHING)
}

/** The document that new facts of a kind go to. */
export function openDocument(d: Device, conversation: ConversationId, kind: DocumentKind): DocumentId {
  const row = d.conversations.get(conversation)
  return documentId(conversation, kind, (kind === "card" ? row?.openCard : row?.openSegment) ?? 0)
}

/** The clock was ahead: it goes back, and pending facts of the conversation from the future get new ids. */
function rewriteLater(d: Device, document: DocumentId, refused: OutboxRow, refusal: Refusal): void {
  const hubMs = refusal.nowMs ?? d.now.wallMs
  const aheadMs = hubMs + CLOCK_AHEAD_MS_MAX
  rewindClock(d, hubMs, aheadMs, refused.order)
  const conversation = conversationOf(document)
  const renamed = new Map<MessageId, MessageId>()
  for (const row of d.outbox.of(document)) {
    if (row.order !== refused.order && factTime(row.fact) <= aheadMs) continue
    const id = newUlid(d)
    if (row.fact.type === "Message") {
      moveMark(d, conversation, row.fact.message.id, id as MessageId)
      renamed.set(row.fact.message.id, id as MessageId)
    } else {
      d.outbox.insert({ ...row, fact: { ...row.fact, id: id as FactId } }, d.nextTicket)
    }
  }
  rewrite(d, document, () => document, renamed)
  for (const waiting of d.done) {
    // Acts whose messages are not durable yet are answered with the new ids, once those are.
    if (waiting.outcome.type !== "Written") continue
    const message = renamed.get(waiting.outcome.message)
    if (message !== undefined) Object.assign(waiting, { ticket: d.nextTicket, outcome: { type: "Written", message } })
  }
  const refers = ({ fact }: OutboxRow): boolean => {
    const named = fact.type === "Message" ? [fact.message.re, fact.message.seen] : [targetOf(fact)]
    return named.some((id) => id !== null && renamed.has(id))
  }
  const others = new Set(
    d.outbox
      .ofConversation(conversation)
      .filter(refers)
      .map((row) => row.document),
  )
  others.delete(document)
  for (const other of others) rewrite(d, other, () => other, renamed)
}

/** The clock goes back to the hub's time, but not behind what keeps its id: what is written next is newer. */
function rewindClock(d: Device, hubMs: number, aheadMs: number, refused: number): void {
  let keptMs = 0
  const keep = (timeMs: number, boundMs: number): void => {
    if (timeMs <= boundMs) keptMs = Math.max(keptMs, timeMs)
  }
  for (const row of d.outbox.rows()) if (row.order !== refused) keep(factTime(row.fact), aheadMs)
  for (const { replica } of d.replicas.values()) {
    for (const { row } of replica.facts()) {
      const own = d.member === row.stamp.member
      keep(factTime(row.placed.fact), own ? aheadMs : hubMs + CLOCK_PUSH_MS_MAX)
    }
  }
  d.clock = new Clock(Math.min(d.clock.lastMs, Math.max(hubMs, keptMs)))
  d.clock.correct(d.now.wallMs, hubMs)
  d.pending.meta = true
}

/** A refusal for ever: the fact and what is about it move to "not sent", the rest of the chain is written again. */
export function factRefusedForEver(d: Device, refused: OutboxRow, code: number): void {
  const { document, fact } = refused
  const known = refusalCode(code)
  if (known === "WriteForbidden" || known === "ConversationUnknown") {
    // It holds for everything in this conversation; asking fact by fact would rewrite the chain each time.
    for (const { order } of d.outbox.of(document)) giveUp(d, order, code)
    setDocument(d, document, { own: null })
    return
  }
  // A message can be retracted once a member: it is, whoever came first. And what stands already word for word, by an
  // abandoned chain of this device, needs no second place.
  const taken = known === "KeyTaken" || known === "MessageIdTaken"
  const retracted = fact.type === "Retraction" && known === "KeyTaken"
  if (retracted || (taken && stands(d, refused))) {
    dropFact(d, refused.order)
  } else {
    const message = fact.type === "Message" ? fact.message.id : null
    const about = d.outbox.of(document).filter((row) => message !== null && targetOf(row.fact) === message)
    giveUp(d, refused.order, code)
    for (const { order } of about) giveUp(d, order, code)
  }
  rewriteAll(d, document)
}

/** Whether a stamped fact in memory is the same as a pending one. */
function stands(d: Device, { document, fact }: OutboxRow): boolean {
  const same = JSON.stringify(fact)
  for (const id of documentsOf(d, conversationOf(document))) {
    for (const held of d.replicas.get(id)?.replica.facts() ?? []) {
      if (JSON.stringify(held.row.placed.fact) === same) return true
    }
  }
  return false
}

/** Deletes everything that was written here and is not confirmed, and what could not be sent. */
export function dropEverythingUnsent(d: Device): void {
  for (const { order } of d.outbox.rows()) dropFact(d, order)
  for (const { row } of d.resolves.values()) {
    d.resolves.delete(row.order)
    write(d, { type: "ResolveGone", order: row.order })
  }
  for (const { order } of d.notSent.values()) {
    d.notSent.delete(order)
    write(d, { type: "NotSentGone", order })
  }
  d.stale.clear()
}

/** Conversations with facts of a chain that is no longer the document's own. */
export function noteStale(d: Device): void {
  const stale = d.outbox.rows().filter((row) => d.documents.get(row.document)?.own?.actor !== row.actor)
  d.stale = new Set(stale.map((row) => conversationOf(row.document)))
}

/** Once an epoch change is settled for a conversation, its unconfirmed facts are written again under new chains. */
export function settle(d: Device): void {
  if (d.stale.size === 0 || !isReady(d) || d.cursorLsn === null) return
  for (const conversation of [...d.stale]) {
    const waits = d.backfills.get(conversation)?.changed ?? false
    if (waits || hasOffersFor(d, conversation)) continue
    d.stale.delete(conversation)
    const documents = new Set(d.outbox.ofConversation(conversation).map((row) => row.document))
    for (const document of documents) rewriteAll(d, document)
  }
}

/** Replaces message ids: a message's own, and those that a fact refers to. */
function rename(fact: Fact, renamed: Renamed): Fact {
  if (renamed.size === 0) return fact
  const replace = <T extends MessageId | null>(id: T): T | MessageId => (id === null ? id : (renamed.get(id) ?? id))
  switch (fact.type) {
    case "Message": {
      const { message } = fact
      const { id, re, seen } = message
      return { type: "Message", message: { ...message, id: replace(id), re: replace(re), seen: replace(seen) } }
    }
    case "Edit":
    case "Retraction":
    case "Reaction":
      return { ...fact, message: replace(fact.message) }
    default:
      return fact
  }
}
