/** The catalogue: what the device may see, compared with what it holds. */

import { EMPTY_DIGEST } from "../protocol/digest.ts"
import type { ListedConversation, Team } from "../protocol/frame.ts"
import {
  type ConversationId,
  type DocumentDigest,
  type DocumentId,
  NUMBER_MAX,
  documentId,
  kindOf,
  numberOf,
} from "../protocol/id.ts"
import type { Cursor } from "../protocol/stamp.ts"
import { beginBackfill } from "./backfill.ts"
import type { Device } from "./device.ts"
import { conversationRow, forget, marked, noteWitness, resetMarkers, setConversation, shredded } from "./entries.ts"
import { takeImports } from "./imported.ts"
import { lose } from "./offer.ts"
import { showFrom } from "./screen.ts"
import { catalogueTaken } from "./session.ts"
import { setDocument, write } from "./transaction.ts"

/** The whole catalogue is there: rows, deletions, backfills and the cursor become durable together. */
export function takeCatalogue(
  d: Device,
  conversations: readonly ListedConversation[],
  team: Team | null,
  end: Cursor,
  destroyed: readonly ConversationId[],
): void {
  if (end.epoch !== d.epoch) {
    d.session.broken = true
    return
  }
  for (const conversation of destroyed) shredded(d, conversation)
  const changed = d.meta.cursor !== null && d.meta.cursor.epoch !== end.epoch
  const listed = new Set(conversations.map((row) => row.conversation.id))
  for (const [conversation, { lost }] of d.conversations.entries()) {
    if (listed.has(conversation)) continue
    if (changed) {
      lose(d, conversation)
    } else if (!lost) {
      // What an epoch change took away stays until its stamped entries are offers.
      forget(d, conversation, "ConversationUnknown")
      d.notice({ type: "ConversationGone", conversation })
    }
  }
  for (const row of conversations) {
    resetMarkers(d, row.conversation.id, row.markers)
    takeListing(d, row, true)
    compare(d, row, end, changed)
  }
  if (team !== null) {
    if (d.team !== null && d.team.role !== team.role) d.notice({ type: "RoleChanged", role: team.role })
    d.team = team
    d.pending.team = true
    d.notice({ type: "TeamChanged" })
  }
  d.offers.reopen()
  d.setMeta({ cursor: end })
  noteWitness(d, end)
  catalogueTaken(d)
}

/** What the hub says of a conversation. */
export function takeListing(d: Device, listed: ListedConversation, whole: boolean): void {
  const { id } = listed.conversation
  // The page was read before what this session may have been told since: only the whole catalogue goes back.
  if (whole || listed.newest >= conversationRow(d, id).described) {
    setConversation(d, id, { conversation: listed.conversation, described: listed.newest })
    takeImports(d, listed)
  }
  const row = conversationRow(d, id)
  setConversation(d, id, {
    openSegment: whole ? listed.openSegment : Math.max(row.openSegment, listed.openSegment),
    openCard: whole ? listed.openCard : Math.max(row.openCard, listed.openCard),
    newest: Math.max(row.newest, listed.newest),
    lost: false,
  })
  for (const marker of listed.markers) marked(d, id, marker)
  showFrom(d, documentId(id, "segment", listed.openSegment))
  d.notice({ type: "ConversationChanged", conversation: id })
}

/** Documents that equal the hub's stand in the present epoch's log, with their LSNs. */
function rankReplies(d: Device, documents: readonly DocumentId[]): void {
  const generation = d.generation(d.epoch)
  for (const document of documents) {
    const reply = d.documents.get(document)?.newestReply ?? null
    if (reply !== null && reply.generation !== generation) {
      setDocument(d, document, { newestReply: { ...reply, generation } })
    }
  }
}

/** Starts a backfill if any document differs. */
function compare(d: Device, listed: ListedConversation, end: Cursor, changed: boolean): void {
  const conversation = listed.conversation.id
  // Imported segments apart: they are fetched when somebody wants to see them.
  const streamed = listed.documents.filter(({ document }) => kindOf(document) !== "imported")
  const theirs = new Map(streamed.map(({ document, digest }) => [document, digest]))
  const range = [documentId(conversation, "segment", 0), documentId(conversation, "card", NUMBER_MAX)] as const
  const ours = new Map(d.documents.entries(...range).map(([id, row]) => [id, row.digest]))
  const digest = (of: ReadonlyMap<DocumentId, DocumentDigest>, id: DocumentId): DocumentDigest =>
    of.get(id) ?? EMPTY_DIGEST
  const all = new Set([...theirs.keys(), ...ours.keys()])
  const differing = [...all].filter((id) => digest(theirs, id) !== digest(ours, id))
  rankReplies(
    d,
    [...ours.keys()].filter((id) => !differing.includes(id)),
  )
  if (differing.length === 0) {
    if (d.backfills.delete(conversation)) write(d, { type: "BackfillGone", conversation })
    return
  }
  // A hub that cannot vouch for this device's place may have lost what is held here. What is written about that waits
  // until it is offered.
  const held = differing.filter((id) => digest(ours, id) !== EMPTY_DIGEST)
  const before = d.backfills.get(conversation)
  const isSegment = (id: DocumentId): boolean => kindOf(id) === "segment"
  const numbers = differing.filter(isSegment).map(numberOf)
  const top = Math.max(-1, ...numbers)
  const cards = differing.some((id) => !isSegment(id))
  const was = before?.changed === true ? before.changedFloor : NUMBER_MAX
  beginBackfill(d, {
    conversation,
    grant: end.lsn,
    before: cards || top >= listed.openSegment ? null : top + 1,
    floor: Math.min(NUMBER_MAX, ...numbers),
    changed: changed || held.length > 0 || before?.changed === true,
    changedFloor: Math.min(was, ...held.filter(isSegment).map(numberOf)),
  })
}
