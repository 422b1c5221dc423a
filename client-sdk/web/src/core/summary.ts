/** What a list shows of each conversation: kept with its row, so that a list needs no document in memory. */

import { type ConversationId, type DocumentId, type MessageId, NUMBER_MAX, documentId } from "../protocol/id.ts"
import type { Device } from "./device.ts"
import { setConversation } from "./entries.ts"
import { isAbsent, runJobs } from "./job.ts"
import { messageView } from "./message.ts"
import type { Summary } from "./row.ts"
import type { MessageView } from "./view.ts"

/** Characters of a message's text that a list is given. */
const TEXT_CHARACTERS_MAX = 160
/** Messages among which the newest is looked for: a list must not wait for a long segment's every message. */
const LOOKED_AT_MAX = 64
/** Unread messages that are counted: a list shows no more. */
const UNREAD_MAX = 1_000

/** The segments that a summary is made from: the newest that are held, two at most. */
export function summaryDocuments(d: Device, conversation: ConversationId): DocumentId[] {
  const segments = d.documents.keys(
    documentId(conversation, "segment", 0),
    documentId(conversation, "segment", NUMBER_MAX),
  )
  return segments.slice(-2)
}

/** Works the summaries anew that may have changed; where a document is not in memory, it is loaded first. */
export function summariseAll(d: Device): void {
  let loads = false
  const waiting = new Set(d.jobs.flatMap((job) => (job.type === "Summarise" ? [job.conversation] : [])))
  for (const conversation of d.screen.unsummarised) {
    d.screen.unsummarised.delete(conversation)
    const row = d.conversations.get(conversation)
    if (row === undefined || row.lost || waiting.has(conversation)) continue
    if (summaryDocuments(d, conversation).some((document) => isAbsent(d, document))) {
      d.jobs.push({ type: "Summarise", conversation })
      loads = true
      continue
    }
    const summary = summarise(d, conversation)
    if (JSON.stringify(summary) === JSON.stringify(row.summary)) continue
    setConversation(d, conversation, { summary })
    d.notice({ type: "ConversationChanged", conversation })
  }
  if (loads) runJobs(d)
}

function summarise(d: Device, conversation: ConversationId): Summary | null {
  const row = d.conversations.get(conversation)
  const documents = summaryDocuments(d, conversation)
  const replicas = documents.flatMap((document) => d.replicas.get(document)?.replica ?? [])
  const pending = d.outbox.ofConversation(conversation)
  const resolves = d.resolves.values().map((waiting) => waiting.row)
  const ids = new Set<MessageId>()
  for (const replica of replicas) for (const id of replica.messageIds()) ids.add(id)
  for (const { fact } of pending) if (fact.type === "Message") ids.add(fact.message.id)
  if (ids.size === 0 && d.backfills.get(conversation)?.before === null) return null
  const marker = row?.markers.find(({ member }) => member === d.member)?.message ?? ("" as MessageId)
  const unsent = row?.unsentMark ?? ("" as MessageId)
  const read = marker < unsent ? unsent : marker

  let [last, waiting, unread, held]: [MessageView | null, boolean | null, number, number] = [null, null, 0, 0]
  const newestFirst = [...ids].sort().reverse()
  let counted = 0
  for (const id of newestFirst) {
    const isUnread = id > read && unread < UNREAD_MAX
    if (!isUnread && counted >= LOOKED_AT_MAX && last !== null) break
    const view = messageView(replicas, pending, resolves, id)
    counted++
    if (view === null || view.state.type === "Discarded") continue
    last ??= view
    if (view.state.type === "Held" && view.by === d.member) held++
    if (waiting === null && view.dir !== "note" && view.state.type !== "Held" && view.retracted === null)
      waiting = view.dir === "in"
    if (isUnread && view.dir === "in" && view.retracted === null && view.state.type !== "Imported") unread++
  }
  const [oldest] = [...ids].sort()
  const lowest = documents[0]
  const isAll = lowest === undefined || lowest.endsWith("00000000")
  return {
    last: last === null ? null : shownLast(last),
    unread,
    unreadMore: unread >= UNREAD_MAX || (!isAll && oldest !== undefined && oldest > read && read !== ""),
    held,
    waiting: waiting ?? false,
  }
}

function shownLast(view: MessageView): NonNullable<Summary["last"]> {
  const { id, by, dir, kind, timeMs } = view
  const [sensitive, retracted] = [view.sensitive.length > 0, view.retracted !== null]
  // Whole characters: a cut surrogate pair would be shown as a question mark.
  const text =
    sensitive || retracted
      ? ""
      : [...view.body.slice(0, 2 * TEXT_CHARACTERS_MAX)].slice(0, TEXT_CHARACTERS_MAX).join("")
  return { id, by, dir, kind, text, retracted, sensitive, timeMs }
}
