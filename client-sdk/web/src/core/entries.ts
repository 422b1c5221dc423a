/** Ranges of the log: everything in one, and the new cursor, become durable together. */

import type { Conversation, DirectoryEvent, Member } from "../protocol/directory.ts"
import { EMPTY_DIGEST } from "../protocol/digest.ts"
import { type Entry, type EntryBody, type PlacedFact, entryConversation } from "../protocol/entry.ts"
import type { Fact } from "../protocol/fact.ts"
import type { Marker } from "../protocol/frame.ts"
import {
  type ConversationId,
  type DocumentId,
  type Lsn,
  type MessageId,
  NUMBER_MAX,
  conversationOf,
  documentId,
  kindOf,
  numberOf,
} from "../protocol/id.ts"
import { REFUSAL_NUMBERS, type RefusalCode } from "../protocol/refusal.ts"
import type { Cursor, Stamp } from "../protocol/stamp.ts"
import { beginBackfill, fetchedBefore, fetchesOf } from "./backfill.ts"
import type { Device } from "./device.ts"
import { importGone, takeImported } from "./imported.ts"
import type { Range } from "./job.ts"
import { dropOffers, forgetTaken } from "./offer.ts"
import { confirm, noteCollision } from "./push.ts"
import { forked, giveUp, movePending } from "./rewrite.ts"
import type { ConversationRow } from "./row.ts"
import { closeView, isOpen, touchAll } from "./screen.ts"
import { takeEvent, takeFact, write } from "./transaction.ts"

/** Takes a range if it begins at the cursor. */
export function takeRange(d: Device, { from, cursor, entries, granted, revoked }: Range): void {
  const at = d.cursorLsn
  if (at !== from) {
    // A range that was sent before and covers nothing new does no harm; any other means a lost frame.
    d.session.broken ||= at === null || cursor.lsn > at
    return
  }
  for (const entry of entries) takeEntry(d, entry)
  for (const conversation of revoked) {
    forget(d, conversation, "ConversationUnknown")
    d.notice({ type: "ConversationGone", conversation })
  }
  for (const { conversation, lsn } of granted) {
    beginConversation(d, conversation)
    d.unofferable.delete(conversation)
    const changed = d.backfills.get(conversation)?.changed ?? false
    beginBackfill(d, { conversation, grant: lsn, before: null, floor: 0, changed, changedFloor: 0 })
    d.notice({ type: "ConversationChanged", conversation })
  }
  d.setMeta({ cursor })
  noteWitness(d, cursor)
  forgetTaken(d)
}

/** A conversation is visible from here on; what the directory says of it comes with its documents. */
function beginConversation(d: Device, conversation: ConversationId): void {
  const row = conversationRow(d, conversation)
  if (row.lost) setConversation(d, conversation, { lost: false, described: 0 })
}

/** Keeps the farthest proof. */
export function noteWitness(d: Device, proof: Cursor): void {
  const { witness } = d.meta
  if (proof.epoch !== d.epoch) return
  if (witness === null || witness.epoch !== proof.epoch || witness.lsn < proof.lsn) d.setMeta({ witness: proof })
}

function takeEntry(d: Device, { stamp, body }: Entry): void {
  const conversation = entryConversation(body)
  if (conversation !== null && d.conversations.get(conversation)?.lost !== false) {
    if (body.type === "Marked") return
    if (body.type !== "Directory") {
      // Visible without a grant, in a range that was taken: fetch it like one.
      beginConversation(d, conversation)
      conversationRow(d, conversation)
      beginBackfill(d, { conversation, grant: stamp.lsn, before: null, floor: 0, changed: false, changedFloor: 0 })
    }
  }
  switch (body.type) {
    case "Fact":
      takePlaced(d, stamp, body.placed)
      return
    case "Opened":
      opened(d, body.document)
      return
    case "Resolved":
    case "Delivered":
    case "Sensitive":
      if (!isLazy(d, body.document, body)) takeEvent(d, { epoch: d.epoch, stamp, body })
      return
    case "Marked":
      marked(d, body.conversation, { member: stamp.member, message: body.message, read: body.read })
      return
    case "Directory":
      takeDirectory(d, body.event, stamp.lsn)
      return
    case "Imported":
      takeImported(d, body.imported, stamp.lsn)
  }
}

/**
 * Whether an entry is about a segment that is fetched only when somebody wants to see it, and that nothing is held or
 * asked of: the entry will come with it. While a Fetch is in flight it may not.
 */
export function isLazy(d: Device, document: DocumentId, body: EntryBody): boolean {
  const conversation = conversationOf(document)
  const backfill = d.backfills.get(conversation)
  if (kindOf(document) !== "segment" || backfill === undefined || backfill.before === null) return false
  const number = numberOf(document)
  if (number >= backfill.before || number < backfill.floor || backfill.changed || fetchesOf(d, conversation))
    return false
  if (body.type === "Fact" && d.outbox.at(document, body.placed.actor, body.placed.seq) !== null) return false
  const row = d.documents.get(document)
  return row === undefined || (row.digest === EMPTY_DIGEST && row.own === null && d.outbox.of(document).length === 0)
}

/** A fact of the log: new, one's own that is thereby confirmed, or proof that one's own chain was forked. */
function takePlaced(d: Device, stamp: Stamp, placed: PlacedFact): void {
  const { document, actor, seq, fact } = placed
  if (isLazy(d, document, { type: "Fact", placed })) return
  if (d.replicas.get(document)?.replica.fact(actor, seq) !== undefined) return
  const waiting = d.outbox.at(document, actor, seq)
  if (waiting !== null) {
    if (waiting.hash === placed.hash) {
      confirm(d, waiting.order, stamp, placed)
      return
    }
    forked(d, document)
  } else if (d.documents.get(document)?.own?.actor === actor) {
    forked(d, document)
  }
  noteIfPending(d, fact, document, stamp)
  takeFact(d, { epoch: d.epoch, stamp, placed })
  if (fact.type === "Message" && fact.message.dir === "in" && d.session.caughtUp) {
    d.notice({ type: "Incoming", conversation: conversationOf(document), message: fact.message.id })
  }
}

/** The log or a snapshot brings a message that still waits here, by a chain that was abandoned. */
export function noteIfPending(d: Device, fact: Fact, document: DocumentId, stamp: Stamp): void {
  if (fact.type !== "Message") return
  const holder = d.outbox.documentOf(fact.message.id)
  const conversation = conversationOf(document)
  if (holder !== null && conversationOf(holder) === conversation) noteCollision(d, conversation, fact, stamp)
}

/** The hub writes into this segment or card from now on. */
export function opened(d: Device, document: DocumentId): void {
  const conversation = conversationOf(document)
  const row = conversationRow(d, conversation)
  const number = numberOf(document)
  const kind = kindOf(document)
  if (kind === "segment" && number > row.openSegment) setConversation(d, conversation, { openSegment: number })
  if (kind === "card" && number > row.openCard) setConversation(d, conversation, { openCard: number })
}

/** The row of a conversation, made if there is none. */
export function conversationRow(d: Device, id: ConversationId): ConversationRow {
  const known = d.conversations.get(id)
  if (known !== undefined) return known
  const row: ConversationRow = {
    conversation: { id, customer: "", service: null, assigned: [], keep: null },
    openSegment: 0,
    openCard: 0,
    newest: 0,
    described: 0,
    markers: [],
    unsentMark: null,
    lost: false,
    summary: null,
  }
  d.conversations.set(id, row)
  d.pending.conversations.add(id)
  return row
}

/** Changes a conversation's row. */
export function setConversation(d: Device, id: ConversationId, change: Partial<ConversationRow>): void {
  d.conversations.set(id, { ...conversationRow(d, id), ...change })
  d.pending.conversations.add(id)
}

/** A read position: a max-register by LSN, then message. */
export function marked(d: Device, conversation: ConversationId, marker: Marker): void {
  const row = conversationRow(d, conversation)
  const known = row.markers.find(({ member }) => member === marker.member)
  const newer =
    known === undefined || known.read < marker.read || (known.read === marker.read && known.message < marker.message)
  if (newer) {
    const others = row.markers.filter(({ member }) => member !== marker.member)
    const markers = [...others, marker].sort((one, other) => one.member - other.member)
    setConversation(d, conversation, { markers })
  }
  const own = d.member === marker.member
  if (own && row.unsentMark !== null && row.unsentMark <= marker.message) {
    setConversation(d, conversation, { unsentMark: null })
  }
  if (newer) showMarkers(d, conversation)
  if (newer && own) d.screen.unsummarised.add(conversation)
}

function showMarkers(d: Device, conversation: ConversationId): void {
  const row = d.conversations.get(conversation)
  if (row === undefined || !isOpen(d, conversation)) return
  d.out.push({ type: "View", event: { type: "Markers", conversation, markers: row.markers } })
}

/** A catalogue's read positions: what it does not have counts no more, but one's own is told to the hub again. */
export function resetMarkers(d: Device, conversation: ConversationId, markers: readonly Marker[]): void {
  const own = (of: readonly Marker[]): MessageId | null => of.find(({ member }) => member === d.member)?.message ?? null
  const row = conversationRow(d, conversation)
  const [ours, theirs] = [own(row.markers), own(markers)]
  const lost = ours !== null && (theirs === null || theirs < ours) ? ours : null
  const unsentMark = row.unsentMark === null || (lost !== null && row.unsentMark < lost) ? lost : row.unsentMark
  setConversation(d, conversation, { markers: [...markers], unsentMark })
  if (unsentMark !== null) d.marks.add(conversation)
  showMarkers(d, conversation)
  d.screen.unsummarised.add(conversation)
}

/** The member has read up to a message; false for a conversation that is not visible. */
export function markRead(d: Device, conversation: ConversationId, message: MessageId): boolean {
  const row = d.conversations.get(conversation)
  if (row === undefined || row.lost) return false
  const read = row.markers.find(({ member }) => member === d.member)
  const newer = read === undefined || read.message < message
  if (newer && (row.unsentMark === null || row.unsentMark < message)) {
    setConversation(d, conversation, { unsentMark: message })
    d.marks.add(conversation)
    d.screen.unsummarised.add(conversation)
  }
  return true
}

function takeDirectory(d: Device, event: DirectoryEvent, lsn: Lsn): void {
  switch (event.type) {
    case "ConversationOpened":
      setConversation(d, event.conversation.id, { conversation: event.conversation, described: lsn })
      d.notice({ type: "ConversationChanged", conversation: event.conversation.id })
      return
    case "ImportUndone":
      importGone(d, event.document)
      describe(d, conversationOf(event.document), lsn, () => ({}))
      return
    case "Assigned":
      describe(d, event.conversation, lsn, ({ assigned }) => {
        const others = assigned.filter((member) => member !== event.member)
        return { assigned: [...others, event.member].sort((one, other) => one - other) }
      })
      return
    case "Unassigned":
      describe(d, event.conversation, lsn, ({ assigned }) => ({
        assigned: assigned.filter((member) => member !== event.member),
      }))
      return
    case "KeepChanged":
      describe(d, event.conversation, lsn, () => ({ keep: event.keep }))
      return
    case "Expired":
      expired(d, event.document, lsn)
      describe(d, conversationOf(event.document), lsn, () => ({}))
      return
    case "ConversationShredded":
      shredded(d, event.conversation)
      return
    default:
      takeTeamEvent(d, event)
  }
}

function describe(
  d: Device,
  id: ConversationId,
  lsn: Lsn,
  change: (known: Conversation) => Partial<Conversation>,
): void {
  const row = d.conversations.get(id)
  if (row !== undefined && !row.lost) {
    if (row.described === 0) {
      // A change of what is not described yet: whoever describes it must know of the change.
      describeAgain(d, id, lsn)
      return
    }
    const conversation = { ...row.conversation, ...change(row.conversation) }
    setConversation(d, id, { conversation, described: lsn })
  }
  d.notice({ type: "ConversationChanged", conversation: id })
}

type TeamEvent = Extract<
  DirectoryEvent,
  { type: "MemberAdded" | "RoleChanged" | "MemberRemoved" | "DeviceAdded" | "DeviceRevoked" | "PolicyChanged" }
>

function takeTeamEvent(d: Device, event: TeamEvent): void {
  const { team } = d
  if (team === null) return
  let { role } = team
  const withRole = (member: number, to: Member["role"]): Member[] => {
    if (d.member === member) role = to
    return team.members.map((known) => (known.id === member ? { ...known, role: to } : known))
  }
  switch (event.type) {
    case "MemberAdded": {
      const others = team.members.filter(({ id }) => id !== event.member.id)
      d.team = { ...team, members: [...others, event.member].sort((one, other) => one.id - other.id) }
      break
    }
    case "RoleChanged":
      d.team = { ...team, members: withRole(event.member, event.role), role }
      break
    case "MemberRemoved":
      // The row stays: what they wrote and handled keeps their name.
      d.team = { ...team, members: withRole(event.member, "former"), role }
      break
    case "PolicyChanged":
      d.team = { ...team, policy: event.policy }
      break
    default:
      return
  }
  d.team = { ...d.team, role }
  d.pending.team = true
  d.notice({ type: "TeamChanged" })
  if (role !== team.role) d.notice({ type: "RoleChanged", role })
}

/** The backfill under way starts over: its answer may have been read before the change at `lsn`. */
export function describeAgain(d: Device, conversation: ConversationId, lsn: Lsn): void {
  const changed = d.backfills.get(conversation)?.changed ?? false
  beginBackfill(d, { conversation, grant: lsn, before: null, floor: 0, changed, changedFloor: 0 })
}

/** Deletes the local copy of a conversation; what was written here and not sent moves to "not sent". */
export function forget(d: Device, conversation: ConversationId, code: RefusalCode): void {
  dropUnsent(d, conversation, REFUSAL_NUMBERS[code])
  d.conversations.delete(conversation)
  d.backfills.delete(conversation)
  d.stale.delete(conversation)
  d.screen.unsummarised.delete(conversation)
  for (const document of d.wanted) if (conversationOf(document) === conversation) d.wanted.delete(document)
  for (const document of documentsOf(d, conversation)) {
    d.documents.delete(document)
    d.replicas.delete(document)
  }
  dropOffers(d, conversation)
  write(d, { type: "Forget", conversation })
  closeView(d, conversation)
}

/** A conversation was destroyed: whatever is held of it goes, offers too. */
export function shredded(d: Device, conversation: ConversationId): void {
  if (!d.conversations.has(conversation) && !d.offers.holds(conversation)) return
  forget(d, conversation, "ConversationUnknown")
  d.notice({ type: "ConversationGone", conversation })
}

/**
 * Everything in a document was older than the keep time. What was written into it here and is not sent moves to the open
 * one.
 */
function expired(d: Device, document: DocumentId, lsn: Lsn): void {
  fetchedBefore(d, document, lsn)
  if (kindOf(document) === "imported") {
    importGone(d, document)
    return
  }
  // Only what is closed expires, and this device may not know yet of any that is open.
  const next = Math.min(NUMBER_MAX, numberOf(document) + 1)
  opened(d, documentId(conversationOf(document), kindOf(document), next))
  movePending(d, document)
  d.unreadable.delete(document)
  d.replicas.delete(document)
  if (d.documents.delete(document)) write(d, { type: "DocumentGone", document })
  touchAll(d, document)
}

/** Every document of a conversation, in order. */
export function documentsOf(d: Device, conversation: ConversationId): DocumentId[] {
  return d.documents.keys(documentId(conversation, "segment", 0), documentId(conversation, "imported", NUMBER_MAX))
}

/** Moves everything unsent of a conversation to "not sent". */
export function dropUnsent(d: Device, conversation: ConversationId, code: number): void {
  for (const { order } of d.outbox.ofConversation(conversation)) giveUp(d, order, code)
  for (const { row } of d.resolves.values()) {
    if (row.conversation !== conversation) continue
    d.resolves.delete(row.order)
    write(d, { type: "ResolveGone", order: row.order })
  }
}
