/** Open views: what changed is worked out once a turn, message by message, and told as positions in an ordered list. */

import { EMPTY_DIGEST } from "../protocol/digest.ts"
import type { Fact } from "../protocol/fact.ts"
import {
  type ConversationId,
  type DocumentId,
  type DocumentKind,
  type MessageId,
  NUMBER_MAX,
  conversationOf,
  documentId,
  kindOf,
  numberOf,
} from "../protocol/id.ts"
import type { Device } from "./device.ts"
import { want } from "./imported.ts"
import { isAbsent, runJobs } from "./job.ts"
import { showLease } from "./lease.ts"
import { messageView, messageViews, sameView } from "./message.ts"
import { OrderedMap } from "./ordered.ts"
import type { Replica } from "./replica.ts"
import { openDocument } from "./rewrite.ts"
import type { MessageView, OlderState, ViewEvent } from "./view.ts"

/** Messages that are told as inserted in one event. */
const RUN_MAX = 1_024

/** What may have changed since it was shown. */
class Touched {
  readonly messages = new Set<MessageId>()
  /** Documents that came into memory or into view: each message that one holds something about is looked at. */
  readonly arrived = new Set<DocumentId>()
  /** Messages may have gone with a document: every one is looked at. */
  all = false
}

/** Documents that an open view always shows: the newest, where new messages come. */
const NEWEST_KEPT = 2

/** How many places there are for imported segments, below 0. */
const IMPORTED = 2 ** 32

/** A document's place among those of its conversation with messages: imported segments come before all others. */
function placeOf(document: DocumentId): number {
  return kindOf(document) === "imported" ? numberOf(document) - IMPORTED : numberOf(document)
}

interface OpenView {
  /** The oldest segment shown. */
  oldest: number
  /** The oldest imported segment shown; those are older than every segment. */
  imported: number | null
  shown: OrderedMap<MessageId, MessageView>
  /** Places that it does not show, although they lie between those that it does: it would take too much memory. */
  gap: { readonly from: number; readonly to: number } | null
  /** Whether it was last asked for older or for newer messages: the other end is let go of. */
  goes: "older" | "newer"
  /** The gap that was told, and for which places. */
  told: string | null
  card: string
  older: OlderState | null
}

/** The place of the oldest document that a view shows. */
function lowestOf(view: OpenView): number {
  return view.imported === null ? view.oldest : view.imported - IMPORTED
}

/** What is shown, and what may have changed since it was. */
export class Screen {
  readonly views = new Map<ConversationId, OpenView>()
  touched = new Map<ConversationId, Touched>()
  /** Conversations whose summary may have changed. */
  readonly unsummarised = new Set<ConversationId>()
}

/** Whether a conversation's view is open. */
export function isOpen(d: Device, conversation: ConversationId): boolean {
  return d.screen.views.has(conversation)
}

/** A fact or event of a document came, changed or went: what it says is about one message, or about the card. */
export function touch(d: Device, document: DocumentId, message: MessageId | null): void {
  const touched = touchedOf(d, document)
  if (message !== null) touched?.messages.add(message)
}

/** A document came into memory or into view. */
export function touchArrived(d: Device, document: DocumentId): void {
  touchedOf(d, document)?.arrived.add(document)
}

/** A document went, or the view's range changed: anything may be otherwise. */
export function touchAll(d: Device, document: DocumentId): void {
  const touched = touchedOf(d, document)
  if (touched !== undefined) touched.all = true
}

function touchedOf(d: Device, document: DocumentId): Touched | undefined {
  const conversation = conversationOf(document)
  d.screen.unsummarised.add(conversation)
  if (!d.screen.views.has(conversation)) return undefined
  let touched = d.screen.touched.get(conversation)
  if (touched === undefined) d.screen.touched.set(conversation, (touched = new Touched()))
  return touched
}

/** Whether a view shows a document. */
export function shows(d: Device, document: DocumentId): boolean {
  const view = d.screen.views.get(conversationOf(document))
  if (view === undefined) return false
  return kindOf(document) === "card" || (placeOf(document) >= lowestOf(view) && !isInGap(d, document))
}

/** Whether a document lies in the gap of an open view. */
export function isInGap(d: Device, document: DocumentId): boolean {
  const gap = d.screen.views.get(conversationOf(document))?.gap ?? null
  if (gap === null || kindOf(document) === "card") return false
  return placeOf(document) >= gap.from && placeOf(document) < gap.to
}

/** Documents with messages that are held between two places, the second excluded, oldest first. */
function documentsBetween(d: Device, conversation: ConversationId, from: number, to: number): DocumentId[] {
  const held = (kind: DocumentKind, first: number, end: number): DocumentId[] => {
    const [low, high] = [Math.max(0, first), Math.min(NUMBER_MAX, end - 1)]
    return low > high ? [] : d.documents.keys(documentId(conversation, kind, low), documentId(conversation, kind, high))
  }
  return [...held("imported", from + IMPORTED, to + IMPORTED), ...held("segment", from, to)]
}

/** The oldest segment that a view shows when it is opened: the open one, or an older one with a pending message. */
export function oldestShown(d: Device, conversation: ConversationId): number {
  const open = numberOf(openDocument(d, conversation, "segment"))
  const pending = d.outbox.ofConversation(conversation).filter((row) => row.fact.type === "Message")
  const known = d.screen.views.get(conversation)?.oldest ?? open
  return Math.min(open, known, ...pending.map((row) => numberOf(row.document)))
}

/** Lets an open view begin with this segment if it began later: a message that it shows lies there now. */
export function showFrom(d: Device, segment: DocumentId): void {
  const view = d.screen.views.get(conversationOf(segment))
  if (view === undefined || kindOf(segment) !== "segment" || numberOf(segment) >= view.oldest) return
  view.oldest = numberOf(segment)
  touchAll(d, segment)
  d.jobs.push({ type: "Show", document: segment })
}

/** Opens a view, or tells an open one anew. */
export function openView(d: Device, conversation: ConversationId): void {
  const oldest = oldestShown(d, conversation)
  const known = d.screen.views.get(conversation)
  const view: OpenView = {
    oldest,
    imported: known?.imported ?? null,
    gap: known?.gap ?? null,
    goes: known?.goes ?? "newer",
    shown: new OrderedMap(),
    told: null,
    card: "",
    older: null,
  }
  d.screen.views.set(conversation, view)
  const messages = shownAnew(d, conversation)
  for (const message of messages) view.shown.set(message.id, message)
  show(d, { type: "Opened", conversation, messages })
  const markers = d.conversations.get(conversation)?.markers ?? []
  if (markers.length > 0) show(d, { type: "Markers", conversation, markers })
  if (d.leases.live.has(conversation)) showLease(d, conversation)
  // The messages are told; the card is painted with the rest of this turn.
  touch(d, documentId(conversation, "card", 0), null)
}

/** Lets an open view begin where it would if it were opened now. */
export function showNewest(d: Device, conversation: ConversationId): void {
  if (d.screen.views.delete(conversation)) openView(d, conversation)
}

/** Closes a view. */
export function closeView(d: Device, conversation: ConversationId): void {
  for (const document of d.wanted) if (conversationOf(document) === conversation) d.wanted.delete(document)
  d.screen.touched.delete(conversation)
  if (d.screen.views.delete(conversation)) show(d, { type: "Closed", conversation })
}

function show(d: Device, event: ViewEvent): void {
  d.out.push({ type: "View", event })
}

/**
 * The next older document of an open view: a segment that is held here; before the first of them, an imported segment,
 * held or not. Null if it is still to be fetched, or if there is none.
 */
export function nextOlder(d: Device, conversation: ConversationId): DocumentId | null {
  const view = d.screen.views.get(conversation)
  if (view === undefined) return null
  const backfill = d.backfills.get(conversation)
  if (view.oldest > 0) {
    // What is held below the backfill's place is only a part of what stands there.
    const from = backfill === undefined ? 0 : Math.max(0, backfill.before ?? view.oldest)
    const to = documentId(conversation, "segment", view.oldest - 1)
    const held = from < view.oldest ? d.documents.keys(documentId(conversation, "segment", from), to) : []
    const newest = held[held.length - 1]
    if (newest !== undefined) return newest
    if (backfill !== undefined && backfill.floor < view.oldest) return null
  }
  if (view.imported === 0) return null
  const end = view.imported === null ? NUMBER_MAX : view.imported - 1
  const imported = d.documents.keys(documentId(conversation, "imported", 0), documentId(conversation, "imported", end))
  return imported[imported.length - 1] ?? null
}

/**
 * Shows one older segment. What is not held here yet comes with the conversation's backfill, which an open view puts
 * first; an imported segment is asked for now.
 */
export function showOlder(d: Device, conversation: ConversationId): void {
  const view = d.screen.views.get(conversation)
  if (view === undefined) return
  view.goes = "older"
  const next = nextOlder(d, conversation)
  if (next !== null && kindOf(next) === "imported") {
    view.oldest = 0
    view.imported = numberOf(next)
    want(d, next)
    touchArrived(d, next)
  } else if (next !== null) {
    view.oldest = numberOf(next)
  } else if (isWaiting(d, conversation)) {
    // One segment at a time: what was asked for is still on its way.
    const before = d.backfills.get(conversation)?.before ?? view.oldest
    view.oldest = Math.max(0, Math.min(view.oldest, before) - 1)
  }
  touchArrived(d, documentId(conversation, "segment", view.oldest))
}

/** The document that comes next behind what an open view shows below its gap. */
export function nextNewer(d: Device, conversation: ConversationId): DocumentId | null {
  const gap = d.screen.views.get(conversation)?.gap ?? null
  return gap === null ? null : (documentsBetween(d, conversation, gap.from, gap.to)[0] ?? null)
}

/** Shows one newer document in an open view with a gap. */
export function showNewer(d: Device, conversation: ConversationId): void {
  const view = d.screen.views.get(conversation)
  const next = nextNewer(d, conversation)
  if (view === undefined || view.gap === null || next === null) return
  view.goes = "newer"
  view.gap = { ...view.gap, from: placeOf(next) + 1 }
  if (kindOf(next) === "imported") want(d, next)
  touchArrived(d, next)
}

/**
 * Lets go of what open views show far from where they read: the newest documents always stay, for new messages come
 * there, and so does a window where older or newer ones were asked for last.
 */
export function slide(d: Device): void {
  for (const [conversation, view] of d.screen.views) {
    if (view.gap !== null && nextNewer(d, conversation) === null) view.gap = null
    const { gap } = view
    const between = (from: number, to: number): DocumentId[] => documentsBetween(d, conversation, from, to)
    const window = between(lowestOf(view), gap?.from ?? Number.POSITIVE_INFINITY)
    const newest = gap === null ? window.splice(-NEWEST_KEPT) : between(gap.to, Number.POSITIVE_INFINITY)
    const sizeOf = (id: DocumentId): number => d.replicas.get(id)?.replica.size ?? 0
    let facts = window.reduce((sum, id) => sum + sizeOf(id), 0)
    while (window.length > 1 && facts > d.config.windowFacts) {
      const away = (view.goes === "older" ? window.pop() : window.shift()) as DocumentId
      facts -= sizeOf(away)
      if (view.goes === "older") {
        const to = view.gap?.to ?? placeOf(newest[0] ?? away)
        view.gap = { from: placeOf(away), to }
      } else {
        const lowest = window[0] as DocumentId
        view.imported = kindOf(lowest) === "imported" ? numberOf(lowest) : null
        view.oldest = kindOf(lowest) === "imported" ? 0 : numberOf(lowest)
      }
      for (const message of d.replicas.get(away)?.replica.subjects() ?? []) touch(d, away, message)
    }
  }
}

/** Tells an open view's gap, if it is another one. */
function paintGap(d: Device, conversation: ConversationId, view: OpenView): void {
  const { gap } = view
  const place = gap === null ? "none" : `${lowestOf(view)} ${gap.from} ${gap.to}`
  if (place === view.told) return
  view.told = place
  let after: MessageId | null = null
  if (gap !== null) {
    for (const document of documentsBetween(d, conversation, lowestOf(view), gap.from)) {
      for (const id of d.replicas.get(document)?.replica.messageIds() ?? [])
        if (after === null || id > after) after = id
    }
  }
  show(d, { type: "Gap", conversation, after })
}

/** Whether something below what is shown is still to be fetched. */
function isWaiting(d: Device, conversation: ConversationId): boolean {
  const view = d.screen.views.get(conversation)
  const backfill = d.backfills.get(conversation)
  return view !== undefined && backfill !== undefined && view.oldest > 0 && backfill.floor < view.oldest
}

/** Whether an open view could show more than it does. */
export function hasOlder(d: Device, conversation: ConversationId): boolean {
  return nextOlder(d, conversation) !== null || isWaiting(d, conversation)
}

function olderState(d: Device, conversation: ConversationId): OlderState {
  const view = d.screen.views.get(conversation)
  const backfill = d.backfills.get(conversation)
  if (view === undefined) return "none"
  const newest = backfill !== undefined && backfill.before === null
  const older =
    backfill !== undefined &&
    backfill.before !== null &&
    view.oldest < backfill.before &&
    backfill.floor < backfill.before
  const imported = [...d.wanted].some((document) => conversationOf(document) === conversation)
  if (newest || older || imported) return "loading"
  return hasOlder(d, conversation) ? "more" : "none"
}

/**
 * An open view without any message goes back in time by itself: a conversation that was only imported shows its newest
 * imported segment.
 */
export function reachBack(d: Device): void {
  let loads = false
  for (const conversation of d.screen.views.keys()) {
    for (let next = older(d, conversation); next !== null; next = older(d, conversation)) {
      showOlder(d, conversation)
      if (!isAbsent(d, next)) continue
      d.jobs.push({ type: "Show", document: next })
      loads = true
    }
  }
  if (loads) runJobs(d)
}

function older(d: Device, conversation: ConversationId): DocumentId | null {
  return showsNothing(d, conversation) ? nextOlder(d, conversation) : null
}

/** Whether an open view has no message, and nothing is on its way that may bring one. */
function showsNothing(d: Device, conversation: ConversationId): boolean {
  const view = d.screen.views.get(conversation)
  if (view === undefined || view.shown.size > 0 || d.jobs.length > 0) return false
  if (olderState(d, conversation) === "loading") return false
  return shownAnew(d, conversation).length === 0
}

function shownReplicas(d: Device, conversation: ConversationId): Replica[] {
  const view = d.screen.views.get(conversation)
  if (view === undefined) return []
  const from = documentId(conversation, "segment", view.oldest)
  const segments = d.replicas.values(from, documentId(conversation, "segment", NUMBER_MAX))
  const begin = view.imported ?? NUMBER_MAX
  const imported = d.replicas.values(
    documentId(conversation, "imported", begin),
    documentId(conversation, "imported", NUMBER_MAX),
  )
  return [...segments, ...imported].flatMap(({ replica }) => (isInGap(d, replica.document) ? [] : replica))
}

/** What an open view shows, worked out anew from everything that is in memory: what its events must add up to. */
export function shownAnew(d: Device, conversation: ConversationId): MessageView[] {
  const resolves = d.resolves.values().map(({ row }) => row)
  return messageViews(shownReplicas(d, conversation), d.outbox.ofConversation(conversation), resolves)
}

/** Tells open views what changed in this turn. */
export function paint(d: Device): void {
  const { touched } = d.screen
  d.screen.touched = new Map()
  for (const [conversation, what] of touched) {
    paintMessages(d, conversation, what)
    paintCard(d, conversation)
  }
  for (const [conversation, view] of d.screen.views) {
    paintGap(d, conversation, view)
    const state = olderState(d, conversation)
    if (view.older === state) continue
    view.older = state
    show(d, { type: "Older", conversation, older: state })
  }
}

function paintMessages(d: Device, conversation: ConversationId, touched: Touched): void {
  const view = d.screen.views.get(conversation)
  if (view === undefined) return
  const changes = new Map<MessageId, MessageView | null>()
  if (touched.all) {
    for (const id of view.shown.keys()) changes.set(id, null)
    for (const message of shownAnew(d, conversation)) changes.set(message.id, message)
  }
  const replicas = shownReplicas(d, conversation)
  const pending = d.outbox.ofConversation(conversation)
  const resolves = d.resolves.values().map(({ row }) => row)
  const ids = new Set(touched.messages)
  for (const document of touched.arrived)
    for (const id of d.replicas.get(document)?.replica.subjects() ?? []) ids.add(id)
  for (const id of ids) if (!changes.has(id)) changes.set(id, messageView(replicas, pending, resolves, id))
  const removed = { at: 0, count: 0 }
  const tellRemoved = (): void => {
    if (removed.count > 0) show(d, { type: "Removed", conversation, ...removed })
    removed.count = 0
  }
  const ordered = [...changes].sort(([one], [other]) => (one < other ? -1 : 1))
  for (let next = 0; next < ordered.length; next++) {
    const [id, message] = ordered[next] as (typeof ordered)[number]
    const known = view.shown.get(id)
    if (message === null) {
      if (known === undefined) continue
      // Those that stood next to each other are told in one.
      const at = view.shown.indexOf(id)
      view.shown.delete(id)
      if (removed.at !== at) tellRemoved()
      removed.at = at
      removed.count++
    } else if (known === undefined) {
      tellRemoved()
      // Those that stand next to each other are told in one: a segment that arrives has hundreds.
      const at = view.shown.indexOf(id)
      const end = view.shown.keyAt(at)
      const run: [MessageId, MessageView][] = [[id, message]]
      for (let more = ordered[next + 1]; run.length < RUN_MAX && more !== undefined; more = ordered[next + 1]) {
        const [other, fresh] = more
        if (end !== undefined && other >= end) break
        next++
        if (fresh !== null) run.push([other, fresh])
      }
      view.shown.insertRun(run)
      show(d, { type: "Inserted", conversation, at, messages: run.map(([, fresh]) => fresh) })
    } else if (!sameView(known, message)) {
      tellRemoved()
      view.shown.set(id, message)
      show(d, { type: "Changed", conversation, at: view.shown.indexOf(id), message })
    }
  }
  tellRemoved()
}

function paintCard(d: Device, conversation: ConversationId): void {
  const view = d.screen.views.get(conversation)
  if (view === undefined) return
  const fields = new Map<string, { id: string; value: string }>()
  const labels = new Map<string, { id: string; value: boolean }>()
  const add = (fact: Fact): void => {
    if (fact.type === "Field" && newer(fields.get(fact.name), fact.id))
      fields.set(fact.name, { id: fact.id, value: fact.value })
    if (fact.type === "Label" && newer(labels.get(fact.label), fact.id))
      labels.set(fact.label, { id: fact.id, value: fact.on })
  }
  const cards = d.replicas.values(documentId(conversation, "card", 0), documentId(conversation, "card", NUMBER_MAX))
  for (const { replica } of cards) for (const held of replica.facts()) add(held.row.placed.fact)
  for (const row of d.outbox.ofCards(conversation)) add(row.fact)
  const byName = ([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number =>
    one < other ? -1 : 1
  const shownFields = [...fields].map(([name, { value }]) => [name, value] as const).sort(byName)
  const shownLabels = [...labels]
    .filter(([, { value }]) => value)
    .map(([label]) => label)
    .sort()
  const card = JSON.stringify([shownFields, shownLabels])
  if (card === view.card || (view.card === "" && card === "[[],[]]")) return
  view.card = card
  show(d, { type: "Card", conversation, fields: shownFields, labels: shownLabels })
}

function newer(known: { id: string } | undefined, id: string): boolean {
  return known === undefined || known.id < id
}

/** Whether the store holds nothing stamped of a document. */
export function holdsNothing(d: Device, document: DocumentId): boolean {
  return (d.documents.get(document)?.digest ?? EMPTY_DIGEST) === EMPTY_DIGEST
}
