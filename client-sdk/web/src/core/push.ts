/** Sending what waits, and what the hub's answers mean. */

import { type Fact, nameOf, subjectOf, targetOf, textBytes } from "../protocol/fact.ts"
import type { Outcome, PushedFact } from "../protocol/frame.ts"
import {
  type ActorId,
  type ConversationId,
  type DocumentId,
  type MessageId,
  conversationOf,
  documentId,
} from "../protocol/id.ts"
import { PUSH_FACTS_MAX } from "../protocol/limits.ts"
import { type Refusal, refusalClass, refusalCode } from "../protocol/refusal.ts"
import type { Cursor, Stamp } from "../protocol/stamp.ts"
import { backfillDocument, fetchRefused, isStreamed, sendFetches } from "./backfill.ts"
import type { Device } from "./device.ts"
import { noteWitness, setConversation } from "./entries.ts"
import type { Request } from "./input.ts"
import { queue } from "./job.ts"
import { hasOffersFor, offerAnswered, sendOffers } from "./offer.ts"
import { factRefusedForEver, rewriteAll, rewriteRefused } from "./rewrite.ts"
import type { OfferKey } from "./row.ts"
import { showFrom, touch } from "./screen.ts"
import { isReady, send } from "./session.ts"
import { stopPushing, takeFact, write } from "./transaction.ts"

/** Documents with a push in flight at once. */
const PUSHES_MAX = 8
/** Read positions in flight at once. */
const MARKS_MAX = 4
/** Bytes of text in one push: far below the frame's limit. */
const PUSH_TEXT_BYTES_MAX = 256 * 1024

/** A frame that waits for its Ack. */
export type Question =
  /** Facts of one chain. */
  | { readonly type: "Push"; readonly document: DocumentId; readonly actor: ActorId; readonly seq: number }
  /** A resolution, by order. */
  | { readonly type: "Resolve"; readonly order: number }
  /** A read position. */
  | { readonly type: "Mark"; readonly conversation: ConversationId; readonly message: MessageId }
  /** Offered entries. */
  | { readonly type: "Offer"; readonly keys: readonly OfferKey[] }
  /** A command of this act. */
  | { readonly type: "Command"; readonly request: Request }

type PushQuestion = Extract<Question, { type: "Push" }>

/** The connection is gone: what was asked is asked again in the next session. */
export function dropQuestions(d: Device): void {
  for (const question of d.questions.values()) {
    if (question.type === "Command") {
      d.out.push({ type: "ActDone", request: question.request, outcome: { type: "Interrupted" } })
    }
  }
  d.questions.clear()
}

/** Sends whatever may be sent now. */
export function sendAll(d: Device): void {
  if (!isReady(d)) return
  sendFetches(d)
  sendOffers(d)
  if (!d.session.draining) {
    sendMarks(d)
    if (!d.differs) {
      sendResolves(d)
      sendPushes(d)
    }
  }
  const at = d.cursorLsn
  if (at === null || at < d.session.head || d.session.caughtUp) return
  for (const row of d.backfills.values()) if (isStreamed(d, row)) return
  d.session.caughtUp = true
  d.notice({ type: "CaughtUp" })
}

/** Whether an epoch change is not settled for a conversation: the hub may lack what a new fact refers to. */
function isBlocked(d: Device, conversation: ConversationId): boolean {
  const changed = d.backfills.get(conversation)?.changed ?? false
  return changed || d.stale.has(conversation) || hasOffersFor(d, conversation)
}

/** Whether a push of the document waits for its Ack. */
export function isPushing(d: Device, document: DocumentId): boolean {
  for (const question of d.questions.values())
    if (question.type === "Push" && question.document === document) return true
  return false
}

function asked<T extends Question["type"]>(d: Device, type: T): Extract<Question, { type: T }>[] {
  const is = (question: Question): question is Extract<Question, { type: T }> => question.type === type
  return [...d.questions.values()].filter(is)
}

function sendPushes(d: Device): void {
  let inFlight = asked(d, "Push").length
  for (const document of d.outbox.documents()) {
    if (inFlight >= PUSHES_MAX) return
    const waits = d.pauses.waits(`push ${document}`, d.now.monoMs)
    if (waits || isBlocked(d, conversationOf(document)) || isPushing(d, document)) continue
    if (sendPush(d, document)) inFlight++
  }
}

function sendPush(d: Device, document: DocumentId): boolean {
  const own = d.documents.get(document)?.own ?? null
  if (own === null) return false
  const facts: PushedFact[] = []
  let first = 0
  let bytes = 0
  for (const { row, ticket } of d.outbox.chain(document, own.actor)) {
    const target = targetOf(row.fact)
    const holder = target === null ? null : d.outbox.documentOf(target)
    bytes += textBytes(row.fact)
    const fits = facts.length === 0 || (facts.length < PUSH_FACTS_MAX && bytes <= PUSH_TEXT_BYTES_MAX)
    // A place in between may be confirmed already, by a copy of this store that was ahead.
    const follows = facts.length === 0 || row.seq === first + facts.length
    if (ticket > d.persisted || !fits || !follows || (holder !== null && holder !== document)) break
    if (facts.length === 0) first = row.seq
    facts.push({ hash: row.hash, fact: row.fact })
  }
  if (facts.length === 0) return false
  const tag = d.tag()
  const nonce = first === 1 ? own.nonce : null
  d.questions.set(tag, { type: "Push", document, actor: own.actor, seq: first })
  send(d, { type: "Push", push: { tag, document, actor: own.actor, nonce, seq: first, facts } })
  return true
}

function sendResolves(d: Device): void {
  const orders = new Set(asked(d, "Resolve").map(({ order }) => order))
  for (const { row, ticket } of d.resolves.values()) {
    if (orders.size >= PUSHES_MAX) return
    const { order, conversation, message, resolution, seen } = row
    if (ticket > d.persisted || orders.has(order) || isBlocked(d, conversation)) continue
    if (d.pauses.waits(`resolve ${order}`, d.now.monoMs)) continue
    const tag = d.tag()
    orders.add(order)
    d.questions.set(tag, { type: "Resolve", order })
    send(d, { type: "Resolve", resolve: { tag, conversation, message, resolution, seen } })
  }
}

/** Read positions go out when the hub has the message: it is confirmed, and nothing about it is being settled. */
function sendMarks(d: Device): void {
  const inFlight = new Set(asked(d, "Mark").map(({ conversation }) => conversation))
  for (const conversation of d.marks) {
    const row = d.conversations.get(conversation)
    const message = row?.unsentMark ?? null
    if (row === undefined || message === null) {
      d.marks.delete(conversation)
      continue
    }
    if (inFlight.size >= MARKS_MAX) return
    const backfill = d.backfills.get(conversation)
    const newestIsHere = backfill === undefined || !isStreamed(d, backfill)
    const waits = d.pauses.waits(`mark ${conversation}`, d.now.monoMs) || d.outbox.documentOf(message) !== null
    if (row.lost || inFlight.has(conversation) || isBlocked(d, conversation) || !newestIsHere || waits) continue
    const tag = d.tag()
    inFlight.add(conversation)
    d.questions.set(tag, { type: "Mark", conversation, message })
    send(d, { type: "Mark", tag, conversation, message })
  }
}

/** The answer to a question. */
export function takeAck(d: Device, tag: number, results: readonly Outcome[], witness: Cursor | null): void {
  if (witness !== null) noteWitness(d, witness)
  const question = d.questions.get(tag)
  d.questions.delete(tag)
  const [first] = results
  switch (question?.type) {
    case "Push":
      pushAnswered(d, question, results)
      return
    case "Resolve":
      if (first !== undefined) resolveAnswered(d, question.order, first)
      return
    case "Mark":
      markAnswered(d, question.conversation, question.message, first)
      return
    case "Offer":
      offerAnswered(d, question.keys, results, witness?.lsn ?? 0)
      return
    case "Command": {
      const outcome =
        first === undefined ? ({ type: "Interrupted" } as const) : ({ type: "Answered", outcome: first } as const)
      d.done.push({ ticket: d.persisted, request: question.request, outcome })
      return
    }
    case undefined:
  }
}

/** A refusal that carries a tag instead of an Ack. */
export function tagRefused(d: Device, tag: number, refusal: Refusal): void {
  if (d.questions.has(tag))
    queue(d, { type: "Ack", tag, results: [{ type: "Refused", refusal }], witness: d.meta.witness })
  else fetchRefused(d, tag, refusal)
}

function pushAnswered(d: Device, push: PushQuestion, results: readonly Outcome[]): void {
  if (d.documents.get(push.document)?.own?.actor !== push.actor) {
    // The chain went with the copy of its conversation, which may have been granted again since. The log of this
    // session omits what the session itself wrote: what stands is fetched.
    const stands = results.some((result) => result.type === "Placed")
    if (stands && d.conversations.get(conversationOf(push.document))?.lost === false) backfillDocument(d, push.document)
    return
  }
  for (const [at, result] of results.entries()) {
    const seq = push.seq + at
    if (result.type === "Refused") {
      factRefused(d, push, seq, result.refusal)
      return
    }
    if (result.type !== "Placed") return
    const row = d.outbox.at(push.document, push.actor, seq)
    if (row === null || row.hash !== result.hash) continue
    confirm(d, row.order, result.stamp, null)
    d.pauses.clear(`push ${push.document}`)
  }
}

/** The hub has a fact of the outbox: it becomes a stamped one. */
export function confirm(
  d: Device,
  order: number,
  stamp: Stamp,
  told: Parameters<typeof takeFact>[1]["placed"] | null,
): void {
  const row = d.outbox.remove(order)
  if (row === null) return
  const { document, actor, seq, hash, fact } = row
  write(d, { type: "OutboxGone", order })
  noteCollision(d, conversationOf(document), fact, stamp)
  if (fact.type === "Message") showFrom(d, document)
  const own = d.documents.get(document)?.own ?? null
  const opening = own !== null && own.actor === actor && seq === 1 ? { device: d.id, nonce: own.nonce } : null
  const placed = told ?? { document, actor, seq, hash, fact, opening, origin: null }
  // Also where the fact came before its Ack, or is placed elsewhere than it was written.
  for (const touched of [document, placed.document]) touch(d, touched, subjectOf(placed.fact))
  takeFact(d, { epoch: d.epoch, stamp, placed })
}

/** The hub judged a reply of this member that was pending here. */
export function noteCollision(d: Device, conversation: ConversationId, fact: Fact, stamp: Stamp): void {
  if (stamp.verdict.type === "Accepted" || fact.type !== "Message") return
  d.notice({ type: "Collided", conversation, message: fact.message.id, cause: stamp.verdict.collision.cause })
}

/** What a refusal of one fact means for it and for what follows in its chain. */
function factRefused(d: Device, push: PushQuestion, seq: number, refusal: Refusal): void {
  const { document } = push
  const row = d.outbox.at(document, push.actor, seq)
  switch (refusalClass(refusal.code)) {
    case "Again":
      if (refusalCode(refusal.code) === "Gap") {
        rewriteAll(d, document)
        // The hub lacks what it acknowledged, so it was rolled back: a new Hello's witness shows it.
        d.session.broken ||= refusal.next !== null && refusal.next < push.seq
      } else {
        pausePush(d, document, refusal.retryAfterMs)
      }
      return
    case "Rewrite":
      rewriteRefused(d, document, row, refusal)
      return
    case "Never":
    case "Request":
      if (row === null) rewriteAll(d, document)
      else factRefusedForEver(d, row, refusal.code)
      return
    case "Stop":
      stopPushing(d)
  }
}

/** Lets the pushes of a document wait. */
export function pausePush(d: Device, document: DocumentId, atLeastMs: number | null): void {
  d.pauses.pause(`push ${document}`, d.now.monoMs, atLeastMs, d.random)
}

/** `Duplicate`: the same content stands already, by another chain. The log brings (or brought) that fact. */
export function duplicate(d: Device, fact: Fact, refusal: Refusal): void {
  const { document, stamp } = refusal
  if (document === null || stamp === null) return
  const name = nameOf(fact)
  let held = false
  for (const other of d.replicas.get(document)?.replica.facts() ?? []) held ||= nameOf(other.row.placed.fact) === name
  const conversation = conversationOf(document)
  if (held) return
  noteCollision(d, conversation, fact, stamp)
  const comes = d.backfills.has(conversation) || (d.cursorLsn ?? -1) < stamp.lsn
  if (!comes && d.conversations.has(conversation)) backfillDocument(d, document)
}

/** A read position is confirmed, or can never be; one that is only refused for now goes out again later. */
function markAnswered(d: Device, conversation: ConversationId, message: MessageId, result: Outcome | undefined): void {
  if (result?.type === "Refused" && refusalClass(result.refusal.code) === "Again") {
    d.pauses.pause(`mark ${conversation}`, d.now.monoMs, result.refusal.retryAfterMs, d.random)
    return
  }
  d.pauses.clear(`mark ${conversation}`)
  const row = d.conversations.get(conversation)
  if (row === undefined || row.unsentMark === null || row.unsentMark > message) return
  setConversation(d, conversation, { unsentMark: null })
  // A confirmed one comes as an entry, too, and what is unread is counted then.
  if (result?.type === "Refused") d.screen.unsummarised.add(conversation)
}

function resolveAnswered(d: Device, order: number, result: Outcome): void {
  const waiting = d.resolves.get(order)
  if (waiting === undefined) return
  const { conversation, message } = waiting.row
  if (result.type === "Refused") {
    const { refusal } = result
    if (refusalClass(refusal.code) === "Again") {
      d.pauses.pause(`resolve ${order}`, d.now.monoMs, refusal.retryAfterMs, d.random)
      return
    }
    const code = refusalCode(refusal.code)
    const settled = code === "AlreadyResolved" || code === "NotHeld"
    if (!settled) d.notice({ type: "ResolveRefused", conversation, message, refusal })
  }
  d.resolves.delete(order)
  write(d, { type: "ResolveGone", order })
  touch(d, documentId(conversation, "segment", 0), message)
}
