/** After an epoch change: what the hub may have lost is offered to it. */

import type { EntryBody } from "../protocol/entry.ts"
import { entryConversation } from "../protocol/entry.ts"
import { encode } from "../protocol/codec.ts"
import { nameOf, targetOf } from "../protocol/fact.ts"
import { type OfferedEntry, type Outcome, offeredEntryCodec } from "../protocol/frame.ts"
import {
  type ConversationId,
  type DocumentId,
  type Epoch,
  type Lsn,
  type MessageId,
  conversationOf,
} from "../protocol/id.ts"
import { OFFER_ENTRIES_MAX } from "../protocol/limits.ts"
import { REFUSAL_NUMBERS, refusalClass, refusalCode } from "../protocol/refusal.ts"
import type { Stamp } from "../protocol/stamp.ts"
import type { Device } from "./device.ts"
import { documentsOf, dropUnsent, setConversation } from "./entries.ts"
import { OrderedMap } from "./ordered.ts"
import type { Replica } from "./replica.ts"
import { noteStale } from "./rewrite.ts"
import { type OfferKey, type OfferRow, eventKey, eventMessage, offerKey } from "./row.ts"
import { closeView } from "./screen.ts"
import { send } from "./session.ts"
import { setDocument, write } from "./transaction.ts"

/** Bytes of one Offer: far below the frame's limit. */
const OFFER_BYTES_MAX = 256 * 1024

/** Offers, and whose conversation they are of. */
export class Offers {
  readonly rows = new OrderedMap<OfferKey, OfferRow>()
  readonly byConversation = new Map<ConversationId, Set<OfferKey>>()
  /** Offers about messages that the hub of this session lacks: another device may yet bring those back. */
  readonly waiting = new Map<OfferKey, MessageId>()
  /** Offers that the hub has taken, and up to where the log must be held before they are forgotten here. */
  readonly taken = new Map<OfferKey, Lsn>()

  insert(row: OfferRow): void {
    const conversation = entryConversation(row.entry.body)
    if (conversation === null) return
    this.waiting.delete(row.key)
    this.taken.delete(row.key)
    const keys = this.byConversation.get(conversation)
    if (keys === undefined) this.byConversation.set(conversation, new Set([row.key]))
    else keys.add(row.key)
    this.rows.set(row.key, row)
  }

  /** Whether anything is kept for the hub of a conversation. */
  holds(conversation: ConversationId): boolean {
    return this.byConversation.has(conversation)
  }

  /** Whether an offer is to be made: the hub has neither taken it nor lacks what it is about. */
  isOpen(key: OfferKey): boolean {
    return !this.waiting.has(key) && !this.taken.has(key)
  }

  /** Another session, or a catalogue: everything left may be offered again. */
  reopen(): void {
    this.waiting.clear()
    this.taken.clear()
  }

  remove(key: OfferKey): boolean {
    const row = this.rows.get(key)
    if (row === undefined) return false
    this.waiting.delete(key)
    this.taken.delete(key)
    this.rows.delete(key)
    const conversation = entryConversation(row.entry.body)
    const keys = conversation === null ? undefined : this.byConversation.get(conversation)
    keys?.delete(key)
    if (conversation !== null && keys?.size === 0) this.byConversation.delete(conversation)
    return true
  }
}

/** The hub has a message: what is about it may be offered again. */
export function messageStands(d: Device, message: MessageId): void {
  for (const [key, target] of d.offers.waiting) if (target === message) d.offers.waiting.delete(key)
}

/** The hub has an imported segment: what is about any message of the conversation may be offered again. */
export function importStands(d: Device, conversation: ConversationId): void {
  for (const key of d.offers.byConversation.get(conversation) ?? []) d.offers.waiting.delete(key)
}

/** The hub is in a new epoch: every chain is abandoned. Pending facts wait until their conversation is settled. */
export function beginEpoch(d: Device, epoch: Epoch): void {
  const first = d.meta.epochs.length === 0
  d.setMeta({ epochs: [...d.meta.epochs.filter((known) => known !== epoch), epoch] })
  if (first) return
  d.notice({ type: "EpochChanged", epoch })
  for (const [id, row] of d.documents.entries()) if (row.own !== null) setDocument(d, id, { own: null })
  noteStale(d)
}

/** Whether the hub may still take offers. */
export function hasOffers(d: Device): boolean {
  return [...d.offers.byConversation.keys()].some((conversation) => hasOffersFor(d, conversation))
}

/** Whether the hub may still take offers for a conversation. */
export function hasOffersFor(d: Device, conversation: ConversationId): boolean {
  if (!isOfferable(d, conversation)) return false
  for (const key of d.offers.byConversation.get(conversation) ?? []) if (d.offers.isOpen(key)) return true
  return false
}

/** Only what the hub lists can be offered; the rest is kept until it does. */
function isOfferable(d: Device, conversation: ConversationId): boolean {
  return d.conversations.get(conversation)?.lost === false && !d.unofferable.has(conversation)
}

/** Makes offers of everything stamped in `old` that `fresh` lacks, by key: the hub may have it under another hash. */
export function offerLost(d: Device, old: Replica, fresh: Replica | null): void {
  // An imported segment has no entries to offer: whoever imported it does so again.
  if (old.kind === "imported") return
  const names = new Set<string>()
  for (const held of fresh?.facts() ?? []) names.add(nameOf(held.row.placed.fact))
  for (const { row } of old.facts()) {
    if (!names.has(nameOf(row.placed.fact))) offer(d, row.epoch, row.stamp, { type: "Fact", placed: row.placed })
  }
  for (const { epoch, stamp, body } of old.events()) {
    const [key, message] = [eventKey(body), eventMessage(body)]
    if (key !== null && message !== null && fresh?.hasEvent(message, key) !== true) offer(d, epoch, stamp, body)
  }
}

function offer(d: Device, epoch: Epoch, stamp: Stamp, body: EntryBody): void {
  const row: OfferRow = { key: offerKey(d.generation(d.epoch), stamp.lsn, epoch), entry: { epoch, stamp, body } }
  write(d, { type: "Offer", row })
  d.offers.insert(row)
}

/** The hub of the new epoch does not list a conversation: it is hidden, its stamped entries are kept as offers. */
export function lose(d: Device, conversation: ConversationId): void {
  if (d.conversations.get(conversation)?.lost !== false) return
  dropUnsent(d, conversation, REFUSAL_NUMBERS.ConversationUnknown)
  d.stale.delete(conversation)
  if (d.backfills.delete(conversation)) write(d, { type: "BackfillGone", conversation })
  setConversation(d, conversation, { lost: true })
  closeView(d, conversation)
  d.notice({ type: "ConversationGone", conversation })
  queueLost(d, conversation)
}

/** Queues the documents of a lost conversation. */
export function queueLost(d: Device, conversation: ConversationId): void {
  for (const document of d.wanted) if (conversationOf(document) === conversation) d.wanted.delete(document)
  const documents = documentsOf(d, conversation)
  if (documents.length === 0) forgetLost(d, conversation)
  d.lost.push(...documents)
}

function forgetLost(d: Device, conversation: ConversationId): void {
  d.conversations.delete(conversation)
  write(d, { type: "Forget", conversation })
}

/** One document of a lost conversation: its stamped entries become offers, and it is deleted. */
export function takeLost(d: Device, document: DocumentId): void {
  const conversation = conversationOf(document)
  if (d.conversations.get(conversation)?.lost !== true || !d.documents.delete(document)) return
  const loaded = d.replicas.get(document)
  d.replicas.delete(document)
  if (loaded !== undefined) offerLost(d, loaded.replica, null)
  write(d, { type: "DocumentGone", document })
  if (documentsOf(d, conversation).length === 0) forgetLost(d, conversation)
}

/** What was kept of a conversation for the hub is deleted with it when the right to see it ends. */
export function dropOffers(d: Device, conversation: ConversationId): void {
  for (const key of [...(d.offers.byConversation.get(conversation) ?? [])]) forgetOffer(d, key)
}

/** Offers what may be offered: one frame at a time, in the order in which the hub had it. */
export function sendOffers(d: Device): void {
  if (d.offers.rows.size === 0 || d.pauses.waits("offer", d.now.monoMs) || d.cursorLsn === null) return
  for (const question of d.questions.values()) if (question.type === "Offer") return
  let bytes = 0
  const entries: OfferedEntry[] = []
  const keys: OfferKey[] = []
  for (const { key, entry } of d.offers.rows.values()) {
    const conversation = entryConversation(entry.body)
    if (conversation === null || !isOfferable(d, conversation) || !d.offers.isOpen(key)) continue
    if (d.backfills.get(conversation)?.changed === true || d.backfills.get(conversation)?.before === null) continue
    bytes += encode(offeredEntryCodec, entry).length
    if ((bytes > OFFER_BYTES_MAX && keys.length > 0) || keys.length === OFFER_ENTRIES_MAX) break
    keys.push(key)
    entries.push(entry)
  }
  if (keys.length === 0) return
  const tag = d.tag()
  d.questions.set(tag, { type: "Offer", keys })
  send(d, { type: "Offer", tag, entries })
}

/** The hub's answers to an Offer, in its order. */
export function offerAnswered(d: Device, keys: readonly OfferKey[], results: readonly Outcome[], witness: Lsn): void {
  for (const [at, key] of keys.entries()) {
    const result = results[at]
    if (result === undefined) break
    if (result.type === "Refused") {
      const { refusal } = result
      if (refusalClass(refusal.code) === "Again") {
        d.pauses.pause("offer", d.now.monoMs, refusal.retryAfterMs, d.random)
        break
      }
      const row = d.offers.rows.get(key)
      if (row === undefined) continue
      const { stamp, body } = row.entry
      const target = body.type === "Fact" ? targetOf(body.placed.fact) : eventMessage(body)
      const code = refusalCode(refusal.code)
      if (code === "TargetUnknown" && target !== null) {
        d.offers.waiting.set(key, target)
        continue
      }
      d.notice({ type: "OfferRefused", stamp, code: refusal.code })
      const conversation = entryConversation(body)
      if (code === "ConversationUnknown" && conversation !== null) {
        d.unofferable.add(conversation)
        continue
      }
      forgetOffer(d, key)
    } else if (d.offers.rows.get(key) !== undefined) {
      d.offers.taken.set(key, result.type === "Readmitted" ? result.lsn : witness)
    }
    d.pauses.clear("offer")
  }
  forgetTaken(d)
}

/** Forgets the offers whose entries are held again. A hub that is restored once more would lack them otherwise. */
export function forgetTaken(d: Device): void {
  const cursor = d.cursorLsn
  if (cursor === null) return
  for (const [key, upto] of [...d.offers.taken]) if (upto <= cursor) forgetOffer(d, key)
}

function forgetOffer(d: Device, key: OfferKey): void {
  if (d.offers.remove(key)) write(d, { type: "OfferGone", key })
}
